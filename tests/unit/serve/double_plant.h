/* The plant of doubles: its processes start at once, its admin side answers when rig.h says so. */
#ifndef FT_TEST_SERVE_DOUBLE_PLANT_H
#define FT_TEST_SERVE_DOUBLE_PLANT_H

#include "double.h"

static inline int double_start(struct ft_plant *p, int k, int64_t memory, struct ft_err *err)
{
    struct double_plant *d = (struct double_plant *)p;
    (void)err;
    d->place[k].known = true;
    d->place[k].running = !d->refuse_start;
    d->place[k].starts++;
    d->memory = memory;
    return 0;
}

static inline void double_stop(struct ft_plant *p, int k, bool now)
{
    (void)now;
    double_die((struct double_plant *)p, k);
}

static inline bool double_look(struct ft_plant *p, int k, struct ft_plant_info *ret)
{
    struct double_plant *d = (struct double_plant *)p;
    *ret = (struct ft_plant_info){
        .running = d->place[k].running, .pid = 1000 + k, .memory_bytes = d->memory};
    ret->out_of_memory = !ret->running && d->out_of_memory;
    strcpy(ret->how,
           ret->out_of_memory ? "killed by signal 9 (at its memory limit)" : "killed by signal 9");
    return d->place[k].known;
}

static inline int double_replica(struct ft_plant *p, int k, struct ft_replica **ret,
                                 struct ft_err *err)
{
    struct double_plant *d = (struct double_plant *)p;
    (void)err;
    d->place[k].replica.ops = &double_replica_ops;
    d->place[k].plant = d;
    *ret = &d->place[k].replica;
    return 0;
}

static inline void double_ask(struct ft_plant *p, int k, const char *method, const char *path,
                              const json_t *body, int timeout_ms, ft_plant_answer_fn *fn, void *ctx)
{
    struct double_plant *d = (struct double_plant *)p;
    (void)timeout_ms;
    assert_true(d->n_ask < ASKS_MAX);
    struct double_ask *a = &d->ask[d->n_ask++];
    *a = (struct double_ask){.k = k, .fn = fn, .ctx = ctx, .body = json_incref((json_t *)body)};
    snprintf(a->method, sizeof a->method, "%s", method);
    snprintf(a->path, sizeof a->path, "%s", path);
}

static inline void double_note(struct double_plant *d, char what, int k, const char *name)
{
    size_t n = strlen(d->log);
    snprintf(d->log + n, sizeof d->log - n, "%c%d %s;", what, k, name);
}

static inline void double_answer(struct double_plant *d, struct double_ask *a)
{
    int status = 200;
    json_t *answer = NULL;
    if (!d->place[a->k].running || (d->mute && strcmp(a->path, "/health") == 0)) {
        status = 0;
    } else if (strcmp(a->path, "/health") == 0) {
        answer = json_pack("{s:i}", "waiting", 0);
        if (d->knows != NULL) {
            json_object_set_new(answer, "models", json_pack("[{s:s}]", "name", d->knows));
            json_object_set_new(answer, "adapters",
                                json_pack("[{s:s,s:s}]", "name", "law", "model", d->knows));
        }
    } else if (strcmp(a->method, "DELETE") == 0) {
        double_note(d, '-', a->k, strrchr(a->path, '/') + 1);
        d->knows = NULL;
    } else if (a->body != NULL) {
        const char *name = json_string_value(json_object_get(a->body, "name"));
        if (d->refused != NULL && strcmp(name, d->refused) == 0) {
            status = 400;
            answer =
                json_pack("{s:{s:s,s:s?}}", "error", "message", "it is no model", "code", d->code);
        } else if (d->dies_adding) {
            status = 0;
            double_die(d, a->k);
        } else {
            char text[64];
            json_int_t n_ctx = json_integer_value(json_object_get(a->body, "n_ctx"));
            snprintf(text, sizeof text, n_ctx > 0 ? "%s@%d" : "%s", name, (int)n_ctx);
            double_note(d, '+', a->k, text);
            const char *path = json_string_value(json_object_get(a->body, "path"));
            if (d->knows != NULL && strcmp(name, d->knows) == 0 && strcmp(path, d->knows_path) != 0)
                status = 409;
        }
    } else {
        d->loads++;
    }
    a->fn(a->ctx, status, answer);
    json_decref(answer);
    json_decref(a->body);
}

static inline void double_plant_close(struct ft_plant *p)
{
    (void)p;
}

static const struct ft_plant_ops double_plant_ops = {
    .start = double_start,
    .stop = double_stop,
    .look = double_look,
    .replica = double_replica,
    .ask = double_ask,
    .close = double_plant_close,
};

static inline int64_t double_now(void *ctx)
{
    return ((struct double_plant *)ctx)->now_ns;
}

#endif
