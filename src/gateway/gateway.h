/* The gateway: what everybody talks to. HTTP in front, keys, limits, prices and routes in memory,
 * workers behind.
 *
 * It never waits for the admin side (control): what control knows comes as a feed, is applied in
 * memory and kept in HOME/snapshot, and usage goes to it from a journal. With control dead or its
 * store unreadable, calls with known keys go on. */
#ifndef FT_GATEWAY_GATEWAY_H
#define FT_GATEWAY_GATEWAY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "serve/serve.h"

struct ft_blob;
struct ft_trace_options;

struct ft_gateway_options {
    const char *home;           /* folder of the cloud */
    const char *program;        /* path of feitian itself: files are looked at by a process of it */
    const char *listen;         /* "127.0.0.1:7700" */
    const char *tls_cert;       /* PEM files, both or none */
    const char *tls_key;        /* */
    const char *control_socket; /* NULL: HOME/run/control.sock */
    int n_threads;              /* of the HTTP server; 0: 2 */
    int drain_ms;               /* how long running calls may take at the end; 0: 10,000 */
    const atomic_int *end;      /* not 0: leave */
    bool stop_workers;          /* at the end; otherwise they wait for the next gateway */
    /* Its client is filled in here; the exec's events must reach ft_serve_wake(). */
    struct ft_serve_config serve;
    /* Opens the store of objects, on a thread that may wait; tried again while it fails. NULL:
     * there is none. `storage` names it in messages. */
    int (*open_blob)(void *ctx, struct ft_blob **ret, struct ft_err *err);
    const char *storage;
    /* Is the store that was opened still where it was? Asked every second; NULL: not at all. */
    int (*still_there)(void *ctx, struct ft_err *err);
    const struct ft_trace_options *trace; /* monitor/trace.h; NULL: no traces */
    bool log_requests;     /* a line of the log for every request; else where it shows debug ones */
    int s3_day_s;          /* of lifecycle rules, for tests; 0: a day */
    const char *s3_domain; /* buckets are BUCKET.DOMAIN in hosts' names; NULL: "s3.localhost" */
    /* Called once serving is open, so that the exec's events can reach it, and with NULL before it
     * closes; may be NULL. */
    void (*on_serve)(void *ctx, struct ft_serve *s);
    void *ctx;
};

/* Serves until *end, then drains. Tells whoever started it when it is ready (sched/ready.h). */
int ft_gateway_run(const struct ft_gateway_options *o, struct ft_err *err);

#endif
