/* Serving on doubles, stepped by hand, and clients that write down what they are given. */
#ifndef FT_TEST_SERVE_RIG_H
#define FT_TEST_SERVE_RIG_H

#include "double_plant.h"

/* ---- a client ---- */

struct client {
    struct ft_serve_call *call;
    char text[4096];
    int tokens, ends, finishes, prompt_tokens;
    enum ft_code code; /* of END; FT_OK */
    int retry_ms;
    char message[FT_ERR_MSG_MAX];
    json_t *result;
    struct ft_phases phases; /* of END */
};

static inline void client_piece(void *ctx, const struct ft_piece *p)
{
    struct client *c = ctx;
    assert_int_equal(c->ends, 0);
    size_t n = strlen(c->text);
    if (p->kind == FT_PIECE_CONTENT && n + p->text.n < sizeof c->text) {
        memcpy(c->text + n, p->text.p, p->text.n);
        c->text[n + p->text.n] = '\0';
    }
    c->tokens += p->kind == FT_PIECE_STEP ? p->n_token : 0;
    c->finishes += p->kind == FT_PIECE_FINISH;
    if (p->kind == FT_PIECE_RESULT)
        c->result = json_incref(p->json);
    if (p->kind != FT_PIECE_END)
        return;
    c->ends++;
    c->call = NULL;
    c->code = p->err != NULL ? p->err->code : FT_OK;
    c->prompt_tokens = p->usage.prompt_tokens;
    c->retry_ms = p->retry_after_ms;
    assert_non_null(p->usage.phases);
    c->phases = *p->usage.phases;
    if (p->err != NULL)
        snprintf(c->message, sizeof c->message, "%s", p->err->msg);
}

/* "<0><1>...": what an answer of n tokens must be. */
static inline const char *double_text(int n)
{
    static char text[4096];
    text[0] = '\0';
    for (int i = 0; i < n; i++)
        sprintf(text + strlen(text), "<%d>", i);
    return text;
}

struct rig {
    struct double_plant plant;
    struct ft_serve *s;
    int ids;
};

static inline void rig_open_with(struct rig *r, const struct ft_serve_config *config)
{
    struct ft_err err;
    memset(r, 0, sizeof *r);
    r->plant.plant.ops = &double_plant_ops;
    r->plant.now_ns = INT64_C(1000000000000);
    assert_int_equal(
        ft_serve_open_on(config, &r->plant.plant, false, double_now, &r->plant, &r->s, &err), 0);
}

static inline void rig_open(struct rig *r)
{
    rig_open_with(r, &(struct ft_serve_config){.memory_bytes = 8 << 20});
}

static inline void rig_close(struct rig *r)
{
    for (int k = 0; k < FT_SERVE_PLACES; k++)
        double_die(&r->plant, k);
    for (int i = 0; i < r->plant.n_ask; i++) { /* nobody answers any more */
        r->plant.ask[i].fn(r->plant.ask[i].ctx, 0, NULL);
        json_decref(r->plant.ask[i].body);
    }
    r->plant.n_ask = 0;
    ft_serve_close(r->s, false);
}

/* Lets everything happen that is due, without time passing. */
static inline void rig_settle(struct rig *r)
{
    for (int i = 0; i < 12; i++) {
        ft_serve_step(r->s);
        int n = r->plant.n_ask;
        struct double_ask ask[ASKS_MAX];
        memcpy(ask, r->plant.ask, sizeof ask);
        r->plant.n_ask = 0;
        for (int k = 0; k < n; k++)
            double_answer(&r->plant, &ask[k]);
    }
}

static inline void rig_pass(struct rig *r, int ms)
{
    for (int t = 0; t < ms;) {
        int some = ms - t < 50 ? ms - t : 50;
        r->plant.now_ns += some * FT_SERVE_MS;
        t += some;
        ft_serve_step(r->s);
        int n = r->plant.n_ask;
        struct double_ask ask[ASKS_MAX];
        memcpy(ask, r->plant.ask, sizeof ask);
        r->plant.n_ask = 0;
        for (int k = 0; k < n; k++)
            double_answer(&r->plant, &ask[k]);
    }
    rig_settle(r);
}

static inline int rig_apply(struct rig *r, const char *kind, const char *id, const char *json)
{
    struct ft_err err = {0};
    json_t *body = json != NULL ? json_loads(json, 0, NULL) : NULL;
    assert_true(json == NULL || body != NULL);
    int rc = ft_serve_apply(r->s, kind, id, body, &err);
    json_decref(body);
    return rc;
}

static inline int rig_ask_as(struct rig *r, struct client *c, const char *endpoint,
                             const char *project, const char *json, int priority)
{
    char id[32];
    struct ft_err err = {0};
    snprintf(id, sizeof id, "req_%d", r->ids++);
    json_t *body = json_loads(json, 0, NULL);
    struct ft_serve_request q = {.kind = FT_TASK_CHAT,
                                 .id = id,
                                 .endpoint = endpoint,
                                 .project = project,
                                 .priority = priority,
                                 .body = body,
                                 .on_piece = client_piece,
                                 .ctx = c};
    memset(c, 0, sizeof *c);
    int rc = ft_serve_submit(r->s, &q, &c->call, &c->retry_ms, &err);
    if (rc != 0)
        snprintf(c->message, sizeof c->message, "%s", err.msg);
    json_decref(body);
    return rc;
}

static inline int rig_ask(struct rig *r, struct client *c, const char *endpoint,
                          const char *project, const char *json)
{
    return rig_ask_as(r, c, endpoint, project, json, 0);
}

#endif
