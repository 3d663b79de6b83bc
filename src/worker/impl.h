/* The worker's own state. Private to src/worker. */
#ifndef FT_WORKER_IMPL_H
#define FT_WORKER_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "api/openai/error.h"
#include "engine/core/engine.h"
#include "net/server.h"
#include "sched/sandbox.h"
#include "worker/crew.h"
#include "worker/energy.h"
#include "worker/lodger.h"
#include "worker/worker.h"

#define FT_WORKER_PREP_THREADS 2    /* parse, render, compile */
#define FT_WORKER_PREP_MAX     2048 /* requests waiting for that; more is FT_EBUSY */
#define FT_WORKER_ADMIN_MAX    256  /* models and adapters waiting to be opened */
/* A body of the API's own bound, and what a gateway adds to it: the tokens so far. */
#define FT_WORKER_BODY_MAX ((size_t)24 << 20)

struct ft_worker {
    const struct ft_worker_config *cfg;
    struct ft_http_server *http;
    struct ft_dev *dev;
    struct ft_engine *engine;
    pthread_rwlock_t engine_lock; /* read: the engine is used by who is no crew and no event */
    bool engine_gone;             /* under it: it is being closed */
    struct ft_lodgers lodgers;
    struct ft_crew *prep;
    struct ft_crew *admin; /* one thread: models come and go one after the other */
    struct ft_energy energy;
    struct ft_sandbox_report sandbox;
    bool ready; /* answers: main thread */
    atomic_bool draining;
    atomic_llong renewed_ns; /* the last GET /health */
    atomic_llong calls, failed;
    struct {
        pthread_mutex_t lock;
        uint64_t generated; /* at at_ns */
        int64_t at_ns;
        double value;
    } rate; /* admin.c */
    int64_t started_ns;
};

/* worker.c: the engine, to be given back at once; NULL when the worker's end has taken it already.
 * The server's threads outlive it, so that who is cut off is told. */
struct ft_engine *ft_worker_borrow_engine(struct ft_worker *w);
void ft_worker_return_engine(struct ft_worker *w);

/* routes.c: the server's handler; ctx is the worker. */
void ft_worker_handle(void *ctx, struct ft_http_exchange *x);
void ft_worker_error_body(void *ctx, int status, const char *why, struct ft_buf *ret_body,
                          const char **ret_type);

/* reply.c: whole answers. */
void ft_reply_json(struct ft_http_exchange *x, int status, const struct ft_buf *body);
void ft_reply_value(struct ft_http_exchange *x, int status, json_t *v); /* takes v */
void ft_reply_error(struct ft_http_exchange *x, const struct ft_oai_error *e);
/* The same of a call, which says itself in the log which request it was about. */
void ft_reply_told(struct ft_http_exchange *x, const struct ft_oai_error *e);
bool ft_reply_is_ours(const struct ft_oai_error *e); /* a fault: worth a line of the log */
void ft_reply_err(struct ft_http_exchange *x, const struct ft_err *err);

/* admin.c: GET /health; models and adapters. */
void ft_admin_health(struct ft_worker *w, struct ft_http_exchange *x);
/* Takes over what is left of the path behind "/feitian/". */
void ft_admin_handle(struct ft_worker *w, struct ft_http_exchange *x, const char *rest);

#endif
