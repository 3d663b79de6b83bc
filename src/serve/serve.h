/* Serving: from the name of an endpoint to pieces of an answer, whatever dies in between.
 *
 * Endpoints, their replicas, the queue before them, routing, scaling and failover. Any thread may
 * call; callbacks of one call never overlap, and may come from within submit. */
#ifndef FT_SERVE_SERVE_H
#define FT_SERVE_SERVE_H

#include "serve/replica.h"

struct ft_exec;        /* sched/exec.h: where workers' processes are started */
struct ft_http_client; /* net/client.h */
struct ft_serve;
/* Something that somebody may want to know of: a worker's start or death, a failover, scaling. No
 * text of requests. Strings are valid during the call. */
struct ft_serve_event {
    const char *kind;     /* "worker_died" */
    int level;            /* 0: as it should be; 1: look at it; 2: something broke */
    const char *text;     /* for people */
    const char *endpoint; /* its name; NULL: of none */
    const char *project;  /* whose endpoint; NULL: everyone's */
    int worker;           /* -1: none */
    const char *request;  /* id, or NULL */
};
struct ft_serve_call; /* a running request; valid until the callback of its END returned */

#define FT_SERVE_WORKERS_MAX 64
#define FT_SERVE_BACKGROUND  (-10)

/* What is 0 or NULL takes the default that stands behind it. Strings are copied. */
struct ft_serve_config {
    struct ft_exec *exec; /* borrowed; NULL: no workers, endpoints by URL and scripts alone */
    struct ft_http_client *client; /* borrowed; NULL: scripts alone */
    /* The worker's command and its first arguments ("/usr/bin/feitian", "worker"), ended by NULL;
     * serving adds --socket, --read, --memory, --kv, --threads, --lease. */
    const char *const *worker_argv;
    const char *log_dir;  /* worker-N.log; NULL: to standard error */
    const char *run_dir;  /* sockets worker-N.sock; must exist */
    const char *read_dir; /* DIR[:DIR]: what workers may read, the models' folders */
    const char *kv;       /* "f16" */
    /* Of all workers together, divided evenly; 3/4 of what the machine has left, and at least what
     * workers hold that run already. */
    int64_t memory_bytes;
    int threads;       /* of each worker; the machine's processors */
    int workers_max;   /* FT_SERVE_WORKERS_MAX */
    int queue_max;     /* requests waiting in all: 4096; of one project: 256 */
    int in_flight_max; /* requests at one replica of a worker: 64 */
    /* Comes under serving's lock: it must neither block nor call serving. NULL: nobody is told. */
    void (*on_event)(void *ctx, const struct ft_serve_event *event);
    void *event_ctx;
    int wait_ms_max; /* in the queue, with a replica's start: 300,000 */
};

/* Starts the serving thread; adopts workers that a gateway before this one left running. */
int ft_serve_open(const struct ft_serve_config *config, struct ft_serve **ret, struct ft_err *err);
/* From now on submit answers FT_EBUSY. Waits up to timeout_ms for the running calls; what is left
 * then ends with FT_ECANCELED. Returns how many those were. Not from a callback. */
int ft_serve_drain(struct ft_serve *s, int timeout_ms);
/* Drains with timeout 0 unless done, frees. stop_workers: ends their processes; otherwise they stay
 * for the next gateway, and end by themselves when none comes. NULL is accepted. */
void ft_serve_close(struct ft_serve *s, bool stop_workers);

struct ft_serve_request {
    enum ft_task_kind kind;
    const char *id;       /* request id: logs, tool-call ids; at most 64 bytes */
    const char *endpoint; /* what the client calls "model" */
    const char *project;  /* for the fair queue, and salts the prefix cache */
    float weight;         /* of the project in the queue: 1 */
    int priority;         /* -10 .. 10; FT_SERVE_BACKGROUND: behind every other call */
    int queue_max;        /* requests of this project that may wait; 0: the default */
    /* OpenAI's JSON, checked by the API; serving takes a reference, sets model, stream, seed and
     * "feitian" in a copy of its top level. */
    json_t *body;
    /* Headers of W3C Trace Context that servers by URL get with it; NULL: none. */
    const char *trace_parent, *trace_state;
    bool may_log; /* its project keeps what is said: also a failing server's words may be logged */
    ft_piece_fn *on_piece;
    void *ctx;
};

/* 0: exactly one END will come (perhaps it has come already; *ret is set before). FT_ENOTFOUND: no
 * such endpoint for this project; FT_EBUSY: the queue is full, *ret_retry_ms says when to return.
 */
int ft_serve_submit(struct ft_serve *s, const struct ft_serve_request *q,
                    struct ft_serve_call **ret, int *ret_retry_ms, struct ft_err *err);
/* cancel: soon an END comes. Neither ever calls back from within: the caller may hold a lock that
 * its callbacks take. */
void ft_serve_cancel(struct ft_serve *s, struct ft_serve_call *call);
void ft_serve_pause(struct ft_serve *s, struct ft_serve_call *call, bool paused);

/* Where its time went so far: a copy, with what it waits for now; and which of the endpoint's
 * versions it was given to last, cut to n bytes ("": none yet). */
void ft_serve_look(struct ft_serve *s, struct ft_serve_call *call, struct ft_phases *ret,
                   char *ret_target, size_t n);

/* Any thread: look at the workers now. For the on_event of the exec, when a task has ended. */
void ft_serve_wake(struct ft_serve *s);

/* A row of the feed: kinds "model", "endpoint"; others are ignored. body NULL: gone. */
int ft_serve_apply(struct ft_serve *s, const char *kind, const char *id, const json_t *body,
                   struct ft_err *err);
/* A snapshot begins: rows not seen again until ft_serve_snapshot_end are gone then. */
void ft_serve_snapshot_begin(struct ft_serve *s);
void ft_serve_snapshot_end(struct ft_serve *s);
/* Live state for /api/v1/status: a new object {workers:[...], endpoints:[...], ...}. */
json_t *ft_serve_status(struct ft_serve *s);
/* Endpoints that a project may call: a new array of {id, created, owned_by, ...}. */
json_t *ft_serve_models(struct ft_serve *s, const char *project);
/* Bytes of the adapters that are a project's own. */
int64_t ft_serve_kept(struct ft_serve *s, const char *project);
/* Most tokens of one sequence that an endpoint takes, 0 if that is not known (servers by URL); -1:
 * this project has no such endpoint. ret_id: the id of the one that its name means for the project:
 * a project's own may have the name of a common one. */
int ft_serve_context(struct ft_serve *s, const char *endpoint, const char *project, char *ret_id,
                     size_t n);
/* fn for every model and adapter behind a name that is the project's own; none behind a common one.
 * model is valid during the call; fn must not call serving. */
void ft_serve_own_models(struct ft_serve *s, const char *endpoint, const char *project,
                         void (*fn)(void *ctx, const char *model), void *ctx);

#endif
