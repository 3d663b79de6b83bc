/* Serving: from the name of an endpoint to pieces of an answer, whatever dies in between.
 *
 * Endpoints, their replicas, the queue before them, routing, scaling and failover. Any thread may
 * call; callbacks of one call never overlap, and may come from within submit. */
#ifndef FT_SERVE_SERVE_H
#define FT_SERVE_SERVE_H

#include "serve/replica.h"

struct ft_serve;
struct ft_serve_call; /* a running request; valid until its END was delivered */

struct ft_serve_request {
    enum ft_task_kind kind;
    const char *id;       /* request id: logs, tool-call ids; at most 64 bytes */
    const char *endpoint; /* what the client calls "model" */
    const char *project;  /* for the fair queue, and salts the prefix cache */
    float weight;         /* of the project in the queue: 1 */
    int priority;         /* -10 .. 10 */
    int queue_max;        /* requests of this project that may wait; 0: the default */
    /* OpenAI's JSON, checked by the API; serving takes a reference, sets model, stream, seed and
     * "feitian" in a copy of its top level. */
    json_t *body;
    ft_piece_fn *on_piece;
    void *ctx;
};

/* 0: exactly one END will come (perhaps it has come already; *ret is set before). FT_ENOTFOUND: no
 * such endpoint for this project; FT_EBUSY: the queue is full, *ret_retry_ms says when to return.
 */
int ft_serve_submit(struct ft_serve *s, const struct ft_serve_request *q,
                    struct ft_serve_call **ret, int *ret_retry_ms, struct ft_err *err);
void ft_serve_cancel(struct ft_serve *s, struct ft_serve_call *call);
void ft_serve_pause(struct ft_serve *s, struct ft_serve_call *call, bool paused);

/* A row of the feed: kinds "model", "endpoint", "setting"; others are ignored. body NULL: gone. */
int ft_serve_apply(struct ft_serve *s, const char *kind, const char *id, const json_t *body,
                   struct ft_err *err);
/* Live state for /api/v1/status: a new object {workers:[...], endpoints:[...], ...}. */
json_t *ft_serve_status(struct ft_serve *s);
/* Endpoints that a project may call: a new array of {id, created, owned_by, ...}. */
json_t *ft_serve_models(struct ft_serve *s, const char *project);

#endif
