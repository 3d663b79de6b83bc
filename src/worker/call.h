/* A call: one request for tokens, vectors or scores, from its body to its answer.
 *
 *   server's thread   call is made, body comes in
 *   crew              parsed; `prepare` makes the runs (one engine request each); the first of them
 *                     are submitted
 *   engine's thread   events -> `event`; the next runs are submitted as earlier ones end
 *   whoever ends      `finish` answers
 *
 * At most FT_CALL_WINDOW runs are in the engine at a time. The first error, or the client's
 * leaving, stops the call: what runs is cancelled, nothing more is submitted, and it ends when the
 * last run has. */
#ifndef FT_WORKER_CALL_H
#define FT_WORKER_CALL_H

#include "api/openai/write.h"
#include "worker/ask.h"
#include "worker/impl.h"

#define FT_CALL_WINDOW   16
#define FT_CALL_RUNS_MAX FT_OAI_INPUTS_MAX

struct ft_call;

/* One input and what the engine makes of it. */
struct ft_run {
    struct ft_call *call;
    int index;
    int32_t *ids;
    size_t n_ids;
    bool scoring;       /* its prompt is being scored before it is answered (generate.c) */
    json_t *prompt_lp;  /* what came of that */
    size_t n_chars;     /* of the prompt, as far as it is scored */
    uint64_t engine_id; /* under the call's lock; 0: not in the engine */
    bool ended;         /* under the call's lock: its request has */
    int n_requests;     /* submitted so far */
    bool counted;       /* its prompt is in the call's usage */
};

struct ft_generation; /* generate.c */

struct ft_call_ops {
    /* Crew: checks the rest of the request, makes c->run. */
    int (*prepare)(struct ft_call *c, struct ft_oai_error *e);
    /* Engine's thread or crew: the engine's request of a run; prompt and callback are set already.
     */
    void (*request)(struct ft_call *c, struct ft_run *run, struct ft_request *r);
    /* Engine's thread: an event but END. Not 0: the call stops. */
    int (*event)(struct ft_call *c, struct ft_run *run, const struct ft_event *ev,
                 struct ft_err *err);
    /* Engine's thread: a request of the run has ended well. True: the run goes on with another. */
    bool (*again)(struct ft_call *c, struct ft_run *run);
    /* All runs have ended; c->error says how. The client may be gone. */
    void (*finish)(struct ft_call *c);
};

struct ft_call {
    struct ft_worker *w;
    struct ft_http_exchange *x;
    const struct ft_call_ops *ops;
    enum ft_task_kind kind;
    const char *body; /* the exchange's, until it was parsed */
    size_t body_n;
    bool body_in;    /* server's thread */
    int64_t body_ns; /* since when */
    atomic_int ref;
    char id[FT_OAI_ID_BYTES_MAX + 1];

    /* made by the crew, then read by all */
    struct ft_oai_request q;
    struct ft_lodger *lodger;
    struct ft_ask ask; /* chat */
    struct ft_logit_bias *bias;
    struct ft_request base; /* what all runs ask */
    struct ft_run *run;
    int n_runs;
    struct ft_energy_mark mark;

    pthread_mutex_t lock;
    int next_run, active;      /* under lock; active: runs in the engine, and the crew's own hand */
    bool stopped, over;        /* under lock */
    bool gone;                 /* under lock: nobody listens any more */
    struct ft_oai_error error; /* the first; under lock until the call is over */

    /* engine's thread (and `finish`) */
    struct ft_generation *gen;
    int32_t rank_token[2]; /* yes, no */
    float *value;          /* [n_runs][dim] vectors, scores */
    int dim;
    struct ft_answer_usage usage;
    struct ft_phases phases; /* of the slowest run each */
    int64_t steps, shared;   /* of all */
    int64_t cpu_ns;
};

/* Server's thread, in the handler. */
void ft_call_begin(struct ft_worker *w, struct ft_http_exchange *x, enum ft_task_kind kind);
int ft_call_make_runs(struct ft_call *c, int n, struct ft_oai_error *e);
/* Any thread: the call stops, with this error unless it has one. */
void ft_call_fail(struct ft_call *c, const struct ft_oai_error *e);
void ft_call_fail_err(struct ft_call *c, const struct ft_err *err);
/* Any thread: nothing more is needed of what runs; no failure. */
void ft_call_enough(struct ft_call *c);
void ft_call_pause(struct ft_call *c, bool paused);
bool ft_call_is_gone(struct ft_call *c);
/* In `finish`: processor time, energy and phases into c->usage. */
void ft_call_measure(struct ft_call *c);

extern const struct ft_call_ops ft_generate_ops; /* chat, completions */
extern const struct ft_call_ops ft_count_ops;
extern const struct ft_call_ops ft_embed_ops;
extern const struct ft_call_ops ft_rerank_ops;
void ft_generation_free(struct ft_generation *g); /* NULL is accepted */

#endif
