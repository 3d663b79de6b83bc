/* The blob store's life: opened on a thread of its own, because a disk may be slow, another server
 * away, and chats need neither; then the same thread keeps house.
 *
 * Open once, the store stays open until the gateway ends, so that who holds it need not ask again.
 * What works on it (S3, the hub, files) is a row of `parts`: opened with it, called now and then,
 * closed before it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "blob/blob.h"
#include "gateway/inner.h"

#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 10000
#define TICK_MS      1000 /* how often parts are asked to keep house */

struct gw_storage {
    struct gw *gw;
    _Atomic(struct ft_blob *) blob;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, tried;             /* (lock) tried: the first time is over */
    char trouble[FT_ERR_MSG_MAX]; /* (lock) why it is not open; "" */
};

/* ---- parts ---- */

static const struct gw_part *const parts[] = {NULL};

static int open_parts(struct gw *g, struct ft_err *err)
{
    int rc = 0, n = 0;
    for (; parts[n] != NULL && rc == 0; n++)
        rc = parts[n]->open(g, err);
    while (rc != 0 && --n > 0)
        parts[n - 1]->close(g);
    return rc;
}

static void close_parts(struct gw *g)
{
    int n = 0;
    while (parts[n] != NULL)
        n++;
    while (n-- > 0)
        parts[n]->close(g);
}

/* ---- the thread ---- */

/* Sleeps; false: the end. Under the lock. */
static bool nap(struct gw_storage *s, int64_t ms)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    int64_t ns = t.tv_nsec + ms % 1000 * 1000000;
    t.tv_sec += (time_t)(ms / 1000 + ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    if (!s->stop)
        pthread_cond_timedwait(&s->wake, &s->lock, &t);
    return !s->stop;
}

static int try_open(struct gw_storage *s, struct ft_err *err)
{
    struct gw *g = s->gw;
    struct ft_blob *b = NULL;
    int rc = g->opt->open_blob(g->opt->ctx, &b, err);
    if (rc != 0)
        return rc;
    s->opened = b; /* parts open on it before anybody else sees it */
    rc = open_parts(g, err);
    if (rc != 0) {
        s->opened = NULL;
        ft_blob_close(b);
        return rc;
    }
    atomic_store(&s->blob, b);
    return 0;
}

static void note(struct gw_storage *s, const char *trouble)
{
    bool news = strcmp(s->trouble, trouble) != 0;
    snprintf(s->trouble, sizeof s->trouble, "%s", trouble);
    s->tried = true;
    pthread_cond_broadcast(&s->wake);
    if (news && trouble[0] != '\0')
        ft_log(FT_LOG_ERROR, "gateway", "the store of objects is not open: %s", trouble);
    else if (trouble[0] == '\0')
        ft_log(FT_LOG_INFO, "gateway", "the store of objects is open: %s", s->gw->opt->storage);
}

static void *keep_house(void *ctx)
{
    struct gw_storage *s = ctx;
    int64_t wait_ms = RETRY_MS_MIN;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        struct ft_err err = {0};
        pthread_mutex_unlock(&s->lock);
        int rc = try_open(s, &err);
        pthread_mutex_lock(&s->lock);
        note(s, rc == 0 ? "" : err.msg);
        if (rc == 0)
            break;
        nap(s, wait_ms);
        wait_ms = FT_MIN(2 * wait_ms, RETRY_MS_MAX);
    }
    while (!s->stop) {
        pthread_mutex_unlock(&s->lock);
        for (int i = 0; parts[i] != NULL; i++)
            if (parts[i]->tick != NULL)
                parts[i]->tick(s->gw);
        pthread_mutex_lock(&s->lock);
        nap(s, TICK_MS);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}
