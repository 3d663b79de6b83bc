/* Inside serving: what is shared by its files. Everything here is under s->mu, unless it says
 * otherwise.
 *
 * Locks: s->mu is held for short and never while a client's callback or a replica's submit runs.
 * A replica's cancel and pause are called under it (replica.h promises that they do not call back).
 */
#ifndef FT_SERVE_CORE_H
#define FT_SERVE_CORE_H

#include <pthread.h>
#include <stdatomic.h>

#include "serve/failover.h"
#include "serve/plant.h"
#include "serve/pool.h"
#include "serve/queue.h"
#include "serve/router.h"
#include "serve/scale.h"
#include "serve/serve.h"

#define FT_SERVE_ENDPOINTS_MAX 4096
#define FT_SERVE_MODELS_MAX    4096
#define FT_SERVE_TARGETS_MAX   16        /* of an endpoint */
#define FT_SERVE_PROJECT_QUEUE 256       /* requests of a project that may wait */
#define FT_SERVE_NAME_MAX      256       /* bytes of names and ids */
#define FT_SERVE_RESUME_MAX    (1 << 20) /* tokens of a choice that are kept for failover */

/* ---- what the feed says: endpoint.c ---- */

struct ft_model_row {
    char *name, *path, *adapter_of; /* adapter_of: of adapters only */
    char *digest;                   /* what it is made of; another: it is another model */
    uint64_t version;
    uint64_t seen; /* the snapshot that it was told in last */
    int n_ctx;     /* as control tells; 0: it does not */
    char *project; /* whose it is; NULL: everybody's */
    int64_t bytes; /* of its files */
};

enum ft_target_kind { FT_TARGET_MODEL, FT_TARGET_URL, FT_TARGET_SCRIPT };

/* How calls of a target ended, and how long those that went well took: what one version of a canary
 * is judged by. Only sums, from which whoever asks makes rates and means. */
enum ft_target_end { FT_END_OK, FT_END_CANCELLED, FT_END_REFUSED, FT_END_ERROR };
#define FT_TARGET_ENDS 4
struct ft_target_tally {
    int64_t ended[FT_TARGET_ENDS];
    int64_t first; /* answers with a first token, and their time to it */
    double first_s;
    double duration_s; /* of those that went well, with their waiting */
};

/* Where an endpoint's calls go. Lives as long as the endpoint has it or calls run on it. */
struct ft_target {
    struct ft_target *next; /* all of them */
    enum ft_target_kind kind;
    struct ft_endpoint *endpoint; /* whose it is, or was */
    bool dropped;                 /* no longer its endpoint's */
    char *key;                    /* its definition without the weight: equal ones are the same */
    double weight;
    char *model, *adapter;      /* MODEL: names of rows; URL: the server's name of it */
    char *url;                  /* URL: for people */
    struct ft_replica *replica; /* URL, SCRIPT */
    int cap;                    /* calls at one replica */
    bool asked, silent;         /* URL: it had a call; the last one got no (whole) answer */
    int calls;                  /* that point here */
    bool cold;                  /* no replica is ready; as of: */
    unsigned cold_turn;         /* of ft_serve's turns */
    int running;                /* of these */
    int at[FT_SERVE_PLACES];    /* running per place */
    struct ft_target_tally tally;
};

struct ft_endpoint {
    struct ft_endpoint *next;
    char *id, *name, *project; /* project NULL: everyone's */
    uint64_t name_hash;
    struct ft_target *target[FT_SERVE_TARGETS_MAX];
    int n_target;
    struct ft_scale scale;
    struct ft_scale_state state;
    int64_t since_ns; /* the last change of what is wanted */
    int64_t created;  /* wall clock, s */
    int n_ctx;        /* 0: the model's own */
    uint64_t seen;    /* the snapshot that it was told in last */
    bool gone;
    int calls, running;
    int64_t served;    /* calls since the start */
    int64_t failovers; /* calls that went on elsewhere after a replica broke */
};

/* ---- calls: call.c ---- */

/*  QUEUED --(room)--> STARTING --(submitted)--> RUNNING --(END)--> DONE
 *    ^                   |                         |
 *    +-----(failed, again)-------------------------+      QUEUED --(cancelled, too late)--> DONE */
enum ft_call_state { FT_CALL_QUEUED, FT_CALL_STARTING, FT_CALL_RUNNING, FT_CALL_DONE };

struct ft_call_choice {
    int32_t *token;
    int n, cap;
    bool finishing, closed; /* FINISH was passed on; and the STEP behind it */
};

struct ft_serve_call {
    struct ft_queue_item item;         /* first: calls are found by it */
    struct ft_serve_call *prev, *next; /* all */
    struct ft_serve_call *later;       /* among the suspects, or those to be ended */
    struct ft_serve *s;
    enum ft_call_state state;
    int refs; /* running, and whoever is in the middle of starting it */
    unsigned attempt;
    char id[FT_SERVE_NAME_MAX];
    uint64_t key; /* of its id */
    enum ft_task_kind kind;
    json_t *body;
    char *trace_parent, *trace_state; /* NULL: none */
    bool may_log;                     /* what another's server says of it */
    ft_piece_fn *on_piece;
    void *ctx;
    struct ft_queue_project *project;
    struct ft_endpoint *endpoint;
    struct ft_target *target; /* where it runs, or must run because it has begun */
    unsigned avoid;           /* targets that failed it, by index */
    int place;                /* the worker; -1: target->replica */
    struct ft_replica_job *job;
    bool paused, canceled, suspect, ending;
    struct ft_phases phases;
    char given_to[FT_SERVE_NAME_MAX]; /* the name of the target that it had last; "" */
    bool cold;                        /* QUEUED: no replica is ready for it */
    int64_t waited_ns;                /* QUEUED: since when it waits so, warm or cold */
    struct ft_router_chain *chain;
    _Atomic bool leads; /* its prompt is being read: its worker's leader */
    int64_t begun_ns, tried_ns, until_ns, not_before_ns;
    struct ft_failover failover;
    /* Of the thread that delivers its pieces; under the lock only between two tries. */
    struct ft_call_choice *choice;
    int n_choice;
    bool begun, resumable, progress;
    int64_t first_ns; /* its first token, or what the answer began with; 0: none yet */
    int charged;      /* tokens, to the project's counter */
    /* ending: how */
    struct ft_err end_err;
    int end_retry_ms;
};

struct ft_serve {
    pthread_mutex_t mu;
    pthread_cond_t wake;  /* the serving thread */
    pthread_cond_t quiet; /* no calls, no asks */
    pthread_t thread;
    bool threaded, kicked, closing, draining;
    int64_t (*now)(void *ctx);
    void *now_ctx;
    struct ft_http_client *client; /* borrowed */
    struct ft_plant *plant;        /* NULL: no workers */
    int64_t memory_bytes;
    int workers_max, queue_max, in_flight_max;
    int64_t wait_ms_max;

    struct ft_model_row *model;
    int n_model;
    uint64_t versions, snapshot; /* counters */
    struct ft_endpoint *endpoint;
    int n_endpoint;
    struct ft_target *target;
    int64_t settled_ns; /* before, nothing that was adopted is removed: the feed is still coming */
    struct ft_worker *worker[FT_SERVE_PLACES];                  /* NULL: never needed */
    int asks;                                                   /* under way */
    int64_t worker_starts, worker_deaths, worker_deaths_memory; /* since the start */

    struct ft_queue queue;
    struct ft_serve_call *calls;
    int n_calls;
    struct ft_serve_call *suspect, **suspect_end;
    bool suspect_runs;
    struct ft_serve_call *ended; /* to be told so by the serving thread */
    unsigned turn;
    unsigned looks;      /* how often waiting calls were looked at */
    _Atomic bool choice; /* there are workers' endpoints: prompts are hashed */
    double call_ms;      /* how long calls take, a moving mean: for when to come back */
    void (*on_event)(void *ctx, const struct ft_serve_event *event);
    void *event_ctx;
    bool followed; /* rows that come now are changes, and told as such */
};

/* serve.c */
int ft_serve_open_on(const struct ft_serve_config *config, struct ft_plant *plant, bool threaded,
                     int64_t (*now)(void *ctx), void *now_ctx, struct ft_serve **ret,
                     struct ft_err *err);
/* Does all that is due. Returns when it wants to be called again. Without the lock; one thread. */
int64_t ft_serve_step(struct ft_serve *s);
void ft_serve_kick(struct ft_serve *s); /* under the lock */

/* tell.c: events. Under the lock. */
void ft_tell(struct ft_serve *s, const char *kind, int level, const struct ft_endpoint *e, int k,
             const char *request, const char *fmt, ...) __attribute__((format(printf, 7, 8)));
/* Of worker k: told of every endpoint that wants it, of none if none does. */
void ft_tell_worker(struct ft_serve *s, const char *kind, int level, int k, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));
/* A replica ended the call's try with an error. on: it is tried again. What a client was told of
 * its own fault is no event. */
void ft_tell_end(const struct ft_serve_call *c, const struct ft_piece *p, bool on, int place,
                 enum ft_failover_verdict verdict);

/* endpoint.c */
int ft_endpoint_apply(struct ft_serve *s, const char *id, const json_t *body, struct ft_err *err);
int ft_model_apply(struct ft_serve *s, const char *id, const json_t *body, struct ft_err *err);
/* Rows that were not told since the snapshot began are gone. */
void ft_rows_sweep(struct ft_serve *s);
const struct ft_model_row *ft_model_find(const struct ft_serve *s, const char *name);
/* status.c: a target's name for curves and people, another for each of the endpoint's; cut to n
 * bytes with the NUL. */
void ft_target_name(const struct ft_endpoint *e, const struct ft_target *t, char *ret, size_t n);
struct ft_endpoint *ft_endpoint_find(const struct ft_serve *s, const char *name,
                                     const char *project);
/* The rows a MODEL target needs: *ret_base, and *ret_adapter or NULL. False: one is missing. */
bool ft_target_rows(const struct ft_serve *s, const struct ft_target *t,
                    const struct ft_model_row **ret_base, const struct ft_model_row **ret_adapter);
/* Takes out targets and endpoints that nobody uses any more; what is left of them is in *ret, to be
 * freed without the lock. */
void ft_target_reap(struct ft_serve *s, struct ft_target **ret);
void ft_target_free_all(struct ft_target *t);
void ft_endpoint_free_all(struct ft_serve *s);

/* call.c */
void ft_call_dispatch(struct ft_serve *s, int64_t now, int64_t *next); /* without the lock */
/* Ends a waiting call: the serving thread will tell it. Under the lock. */
void ft_call_end_waiting(struct ft_serve_call *c, enum ft_code code, int retry_ms, const char *why);
/* Ends waiting calls of the target, or of the endpoint if target is NULL. Under the lock. */
void ft_call_end_all(struct ft_serve *s, const struct ft_endpoint *e, const struct ft_target *t,
                     enum ft_code code, const char *why);
void ft_call_cancel_all(struct ft_serve *s);

void ft_call_move(struct ft_serve_call *c, enum ft_call_state to); /* under the lock */

/* body.c: the request as a replica gets it. NULL: out of memory. */
json_t *ft_body_for(const struct ft_serve_call *c, bool ours, bool resumes);

/* plant_local.c */
int ft_plant_local_open(const struct ft_serve_config *config, struct ft_plant **ret,
                        struct ft_err *err);

#endif
