/* A plant whose workers are doubles that the test moves by hand, token by token, on one thread with
 * a clock of its own. Token i of an answer is 100 + i, its text "<i>". A request with "poison": N
 * kills the worker that is about to give its token N. */
#ifndef FT_TEST_SERVE_DOUBLE_H
#define FT_TEST_SERVE_DOUBLE_H

#include "serve/core.h"
#include "testing.h"

#define ASKS_MAX 256
#define JOBS_MAX 512

struct double_job {
    struct double_job *next;
    struct double_place *at;
    ft_piece_fn *on_piece;
    void *ctx;
    int given, limit, poison; /* poison: -1: none */
    bool canceled, paused;
    char model[64];
};

struct double_place {
    struct ft_replica replica;
    struct double_plant *plant;
    bool known, running;
    int starts;
    int n_job;
    struct double_job *job;
};

struct double_ask {
    int k;
    char method[8], path[128];
    json_t *body;
    ft_plant_answer_fn *fn;
    void *ctx;
};

struct double_plant {
    struct ft_plant plant;
    struct double_place place[FT_SERVE_PLACES];
    struct double_ask ask[ASKS_MAX];
    int n_ask;
    int64_t now_ns;
    int loads;
    bool mute;           /* health is not answered */
    bool refuse_start;   /* processes die at once */
    bool dies_adding;    /* and when they are to open a model */
    bool out_of_memory;  /* that is why */
    const char *code;    /* of the error of a refusal; NULL: none */
    const char *refused; /* this model is refused */
    const char *knows,
        *knows_path; /* a model that a worker has from an earlier gateway, with an adapter "law" */
    int64_t memory;  /* of the last start */
    char log[8192];  /* "+0 nano;" added to worker 0, "-0 nano;" removed */
};

static const struct ft_replica_ops double_replica_ops;

static inline void double_end(struct double_job *j, enum ft_code code, enum ft_piece_fault fault)
{
    struct ft_err err;
    struct ft_piece p = {.kind = FT_PIECE_END, .fault = fault};
    p.usage.prompt_tokens = 10;
    p.usage.completion_tokens = j->given;
    if (code != FT_OK) {
        ft_err_set(&err, code, "double: %s", ft_code_name(code));
        p.err = &err;
    }
    struct double_job **at = &j->at->job;
    while (*at != j)
        at = &(*at)->next;
    *at = j->next;
    j->at->n_job--;
    j->on_piece(j->ctx, &p);
    free(j);
}

/* The process is gone: everything on it has lost its connection. */
static inline void double_die(struct double_plant *d, int k)
{
    struct double_place *p = &d->place[k];
    p->running = false;
    while (p->job != NULL)
        double_end(p->job, FT_EIO, FT_FAULT_REPLICA);
}

/* One token of every call at place k. */
static inline void double_token(struct double_plant *d, int k)
{
    struct double_place *p = &d->place[k];
    struct double_job *all[JOBS_MAX];
    int n = 0;
    for (struct double_job *j = p->job; j != NULL && n < JOBS_MAX; j = j->next)
        all[n++] = j;
    for (int i = 0; i < n; i++)
        if (all[i]->poison == all[i]->given && !all[i]->canceled) {
            double_die(d, k);
            return;
        }
    for (int i = 0; i < n; i++) {
        struct double_job *j = all[i];
        if (j->canceled) {
            double_end(j, FT_ECANCELED, FT_FAULT_CALL);
            continue;
        }
        if (j->paused)
            continue;
        if (j->given < j->limit) {
            char text[16];
            int32_t id = 100 + j->given;
            int len = snprintf(text, sizeof text, "<%d>", j->given++);
            struct ft_piece c = {.kind = FT_PIECE_CONTENT, .text = {text, (size_t)len}};
            j->on_piece(j->ctx, &c);
            if (j->given == j->limit) {
                c = (struct ft_piece){.kind = FT_PIECE_FINISH, .finish = FT_ANSWER_LENGTH};
                j->on_piece(j->ctx, &c);
            }
            c = (struct ft_piece){.kind = FT_PIECE_STEP, .token = &id, .n_token = 1};
            j->on_piece(j->ctx, &c);
        } else {
            double_end(j, FT_OK, FT_FAULT_CALL);
        }
    }
}

static inline int double_submit(struct ft_replica *r, const struct ft_job *job,
                                struct ft_replica_job **ret, struct ft_err *err)
{
    struct double_place *p = (struct double_place *)r;
    if (!p->running)
        return ft_err_set(err, FT_EIO, "connection refused");
    struct double_job *j = calloc(1, sizeof *j);
    const json_t *f = json_object_get(job->body, "feitian");
    const json_t *ids = json_array_get(json_object_get(f, "resume"), 0);
    *j = (struct double_job){.next = p->job, .at = p, .on_piece = job->on_piece, .ctx = job->ctx};
    assert_non_null(json_string_value(json_object_get(f, "id")));
    assert_true(json_is_integer(json_object_get(job->body, "seed")));
    for (size_t i = 0; i < json_array_size(ids); i++)
        assert_int_equal(json_integer_value(json_array_get(ids, i)), 100 + (int)i);
    j->given = (int)json_array_size(ids);
    j->limit = (int)json_integer_value(json_object_get(job->body, "max_tokens"));
    const json_t *poison = json_object_get(job->body, "poison");
    j->poison = poison != NULL ? (int)json_integer_value(poison) : -1;
    snprintf(j->model, sizeof j->model, "%s",
             json_string_value(json_object_get(job->body, "model")));
    p->job = j;
    p->n_job++;
    *ret = (struct ft_replica_job *)j;
    return 0;
}

static inline void double_cancel(struct ft_replica *r, struct ft_replica_job *job)
{
    (void)r;
    ((struct double_job *)job)->canceled = true;
}

static inline void double_pause(struct ft_replica *r, struct ft_replica_job *job, bool paused)
{
    (void)r;
    ((struct double_job *)job)->paused = paused;
}

static inline void double_replica_close(struct ft_replica *r)
{
    assert_int_equal(((struct double_place *)r)->n_job, 0);
}

static const struct ft_replica_ops double_replica_ops = {
    .name = "double",
    .submit = double_submit,
    .cancel = double_cancel,
    .pause = double_pause,
    .close = double_replica_close,
    .resumes = true,
};

#endif
