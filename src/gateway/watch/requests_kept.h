/* What requests.c keeps, for requests_api.c, which shows it. */
#ifndef FT_GATEWAY_REQUESTS_KEPT_H
#define FT_GATEWAY_REQUESTS_KEPT_H

#include <pthread.h>
#include <stdatomic.h>

#include "gateway/watch/requests.h"

enum gw_ring_kind {
    GW_RING_ENDED,
    GW_RING_REFUSED,
    GW_RING_SLOW,
    GW_RING_STRANGERS, /* unknown keys: operators alone see them */
};
#define GW_RINGS 4

struct gw_kept {
    struct ft_record record; /* id "": a try of a batch's line that gave way to the next */
    bool written;
};

struct gw_ring {
    struct gw_kept *kept;
    int64_t n, written; /* ever kept; before which all were written down */
};

struct gw_requests {
    struct gw *gw;
    pthread_mutex_t lock; /* of all but the file's */
    pthread_cond_t wake;
    struct gw_running *running;
    int n_running;
    struct gw_ring ring[GW_RINGS];
    int64_t unwritten; /* left the ring before they were written down */
    atomic_llong slow_us;
    bool stop, runs;
    pthread_t thread;
    /* its thread's */
    int fd;
    int64_t file_bytes;
    bool trouble;
};

/* One of those that run or are kept. */
bool gw_kept_find(struct gw_requests *q, const char *id, struct ft_record *ret, bool *ret_running);
/* Each of them as it was when this was called, running ones first. fn is called without the lock,
 * which all calls need: it is taken for a few copies at a time. Not 0: there was no memory. */
typedef void gw_kept_fn(void *ctx, const struct ft_record *r, bool running);
int gw_kept_each(struct gw_requests *q, gw_kept_fn *fn, void *ctx);

#endif
