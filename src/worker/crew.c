/* See crew.h. A ring under one lock: work takes far longer than taking it. */
#include "worker/crew.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

struct work {
    ft_crew_fn *fn;
    void *ctx;
};

struct ft_crew {
    pthread_mutex_t lock;
    pthread_cond_t cond;
    struct work *ring;
    size_t cap, head, n;
    bool closing;
    pthread_t thread[FT_CREW_THREADS_MAX];
    int n_threads;
};

static void *work_main(void *arg)
{
    struct ft_crew *c = arg;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->n == 0 && !c->closing)
            pthread_cond_wait(&c->cond, &c->lock);
        if (c->n == 0)
            break;
        struct work w = c->ring[c->head];
        c->head = (c->head + 1) % c->cap;
        c->n--;
        pthread_mutex_unlock(&c->lock);
        w.fn(w.ctx);
        pthread_mutex_lock(&c->lock);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

int ft_crew_open(int n_threads, size_t n_max, struct ft_crew **ret, struct ft_err *err)
{
    FT_ASSERT(n_threads >= 1 && n_threads <= FT_CREW_THREADS_MAX && n_max >= 1);
    struct ft_crew *c = calloc(1, sizeof *c);
    if (c == NULL || (c->ring = calloc(n_max, sizeof *c->ring)) == NULL) {
        free(c);
        return ft_err_set(err, FT_ENOMEM, "crew: no memory");
    }
    c->cap = n_max;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->cond, NULL);
    for (; c->n_threads < n_threads; c->n_threads++)
        if (pthread_create(&c->thread[c->n_threads], NULL, work_main, c) != 0) {
            int rc = ft_err_sys(err, "crew: thread");
            ft_crew_close(c);
            return rc;
        }
    *ret = c;
    return 0;
}

void ft_crew_stop(struct ft_crew *c)
{
    if (c == NULL)
        return;
    pthread_mutex_lock(&c->lock);
    c->closing = true;
    pthread_cond_broadcast(&c->cond);
    pthread_mutex_unlock(&c->lock);
    for (int i = 0; i < c->n_threads; i++)
        pthread_join(c->thread[i], NULL);
    c->n_threads = 0;
}

void ft_crew_close(struct ft_crew *c)
{
    if (c == NULL)
        return;
    ft_crew_stop(c);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->cond);
    free(c->ring);
    free(c);
}

int ft_crew_post(struct ft_crew *c, ft_crew_fn *fn, void *ctx)
{
    pthread_mutex_lock(&c->lock);
    int rc = c->closing ? FT_ECANCELED : c->n == c->cap ? FT_EBUSY : 0;
    if (rc == 0) {
        c->ring[(c->head + c->n++) % c->cap] = (struct work){fn, ctx};
        pthread_cond_signal(&c->cond);
    }
    pthread_mutex_unlock(&c->lock);
    return rc;
}

size_t ft_crew_waiting(struct ft_crew *c)
{
    pthread_mutex_lock(&c->lock);
    size_t n = c->n;
    pthread_mutex_unlock(&c->lock);
    return n;
}
