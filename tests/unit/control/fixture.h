/* A control without its process: requests straight to the table of routes, on a store in memory. */
#ifndef FT_TEST_CONTROL_FIXTURE_H
#define FT_TEST_CONTROL_FIXTURE_H

#include "control/inner.h"
#include "testing.h"

struct fixture {
    struct ft_ctl ctl;
    struct ft_control_options opt;
    struct ft_ctl_call call; /* the last one */
    const char *key, *project;
    enum ft_ctl_role role;
};

static inline int fixture_open(void **state)
{
    struct ft_err err;
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    f->ctl.opt = &f->opt;
    f->opt.url = "http://here";
    strcpy(f->ctl.home, "/tmp/ft_control_XXXXXX");
    f->ctl.doc = json_loadb(ft_ctl_openapi, (size_t)(ft_ctl_openapi_end - ft_ctl_openapi), 0, NULL);
    if (mkdtemp(f->ctl.home) == NULL || f->ctl.doc == NULL ||
        ft_state_memory_open(&f->ctl.state, &err) != 0 ||
        ft_ctl_store_migrate(f->ctl.state, &err) != 0 || ft_ctl_bootstrap(&f->ctl, &err) != 0)
        return -1;
    f->project = "default";
    f->role = CTL_OPERATOR;
    f->key = "";
    ft_buf_init(&f->call.raw, CTL_ANSWER_MAX);
    return 0;
}

static inline int fixture_close(void **state)
{
    struct fixture *f = *state;
    char cmd[4200];
    ft_ctl_call_fini(&f->call);
    ft_state_close(f->ctl.state);
    json_decref(f->ctl.doc);
    snprintf(cmd, sizeof cmd, "rm -r %s", f->ctl.home);
    free(f);
    return system(cmd);
}

/* Returns the status; the answer is f->call.answer, the error f->call.error. target: path, and
 * perhaps a query. */
static inline int fixture_ask(struct fixture *f, const char *method, const char *target,
                              const char *body)
{
    static char path[512];
    struct ft_ctl_call *c = &f->call;
    ft_ctl_call_fini(c);
    memset(c, 0, sizeof *c);
    snprintf(path, sizeof path, "%s", target);
    char *query = strchr(path, '?');
    if (query != NULL)
        *query++ = '\0';
    c->ctl = &f->ctl;
    c->method = method;
    c->path = path;
    c->query = query != NULL ? query : "";
    c->text = body != NULL ? body : "";
    c->n_text = strlen(c->text);
    c->role = f->role;
    snprintf(c->key, sizeof c->key, "%s", f->key);
    snprintf(c->project, sizeof c->project, "%s", f->project);
    if (ft_ctl_call_begin(c) && c->route->before != NULL)
        c->route->before(c);
    ft_ctl_call_run(c);
    return c->refused ? ft_oai_error_status(&c->error) : c->status;
}

/* ---- rows, past the handlers ---- */

struct fixture_row {
    const char *kind, *id;
    json_t *body; /* out, or to be written; NULL to write: removes it */
    int found;
};

static inline int fixture_put_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct fixture_row *r = ctx;
    struct ft_ctl_call c = {.now_s = 1};
    return r->body != NULL ? ft_ctl_put(&c, tx, r->kind, r->id, NULL, r->body, err)
                           : ft_ctl_drop(&c, tx, r->kind, r->id, json_object(), err);
}

static inline int fixture_get_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct fixture_row *r = ctx;
    struct ft_ctl_entity e = {0};
    r->found = ft_ctl_get(tx, r->kind, r->id, &e, err);
    r->body = e.body;
    return FT_MIN(r->found, 0);
}

/* Takes the body. */
static inline void fixture_put(struct fixture *f, const char *kind, const char *id, json_t *body)
{
    struct fixture_row r = {kind, id, body, 0};
    struct ft_err err = {0};
    assert_int_equal(0, ft_state_tx(f->ctl.state, fixture_put_tx, &r, &err));
    json_decref(body);
}

static inline json_t *fixture_get(struct fixture *f, const char *kind, const char *id)
{
    struct fixture_row r = {.kind = kind, .id = id};
    struct ft_err err = {0};
    assert_int_equal(0, ft_state_read(f->ctl.state, fixture_get_tx, &r, &err));
    return r.body;
}

/* A member of the last answer, by a path of names. */
static inline const char *fixture_text(struct fixture *f, const char *name)
{
    return ft_ctl_text(f->call.answer, name);
}

#endif
