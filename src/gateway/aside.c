/* See aside.h: one thread, a ring of what it is to do. */
#include "gateway/aside.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#include "gateway/inner.h"

struct gw_aside {
    pthread_mutex_t lock;
    pthread_cond_t come;
    struct {
        void (*fn)(void *ctx);
        void *ctx;
    } job[GW_ASIDE_MAX];
    int first, n;
    bool stop, runs;
    pthread_t thread;
};

static void *aside_main(void *arg)
{
    struct gw_aside *a = arg;
    pthread_mutex_lock(&a->lock);
    while (a->n > 0 || !a->stop) {
        if (a->n == 0) {
            pthread_cond_wait(&a->come, &a->lock);
            continue;
        }
        int at = a->first;
        void (*fn)(void *) = a->job[at].fn;
        void *ctx = a->job[at].ctx;
        a->first = (at + 1) % GW_ASIDE_MAX;
        a->n--;
        pthread_mutex_unlock(&a->lock);
        fn(ctx);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int gw_aside_do(struct gw_request *r, void (*fn)(void *ctx), void *ctx)
{
    struct gw_aside *a = r->gw->aside;
    pthread_mutex_lock(&a->lock);
    bool room = a->n < GW_ASIDE_MAX;
    if (room) {
        int at = (a->first + a->n++) % GW_ASIDE_MAX;
        a->job[at].fn = fn;
        a->job[at].ctx = ctx;
        pthread_cond_signal(&a->come);
    }
    pthread_mutex_unlock(&a->lock);
    if (room)
        return 0;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    int rc = ft_oai_error_set(&e, FT_EBUSY, NULL, NULL, "too many such questions wait already");
    e.status = 503;
    e.retry_after_ms = 1000;
    gw_fail(r, &e);
    return rc;
}

int gw_aside_open(struct gw_aside **ret, struct ft_err *err)
{
    struct gw_aside *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ft_err_set(err, FT_ENOMEM, "answers: no memory");
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->come, NULL);
    errno = pthread_create(&a->thread, NULL, aside_main, a);
    a->runs = errno == 0;
    if (!a->runs) {
        int rc = ft_err_sys(err, "start a thread");
        gw_aside_close(a);
        return rc;
    }
    *ret = a;
    return 0;
}

void gw_aside_close(struct gw_aside *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
    if (a->runs)
        pthread_join(a->thread, NULL);
    pthread_cond_destroy(&a->come);
    pthread_mutex_destroy(&a->lock);
    free(a);
}
