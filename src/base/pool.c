/* Thread pool: one generation counter per region, chunks claimed by an atomic counter. Workers spin
 * briefly for the next region, then sleep on a condition variable. */
#include "base/pool.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct ft_pool {
    int n_threads;
    pthread_t *threads;
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    ft_pool_fn *fn;
    void *ctx;
    int n_chunks, next, running;
    unsigned long generation;
    int stop;
};

struct worker_arg {
    struct ft_pool *pool;
    int index;
};

static void take_chunks(struct ft_pool *p, int worker)
{
    /* lock held */
    while (p->next < p->n_chunks) {
        int chunk = p->next++;
        p->running++;
        pthread_mutex_unlock(&p->lock);
        p->fn(p->ctx, chunk, worker);
        pthread_mutex_lock(&p->lock);
        p->running--;
    }
}

static void *worker_main(void *arg)
{
    struct worker_arg w = *(struct worker_arg *)arg;
    free(arg);
    struct ft_pool *p = w.pool;
    unsigned long seen = 0;
    pthread_mutex_lock(&p->lock);
    while (!p->stop) {
        if (seen == p->generation) {
            pthread_cond_wait(&p->wake, &p->lock);
            continue;
        }
        seen = p->generation;
        take_chunks(p, w.index);
        if (p->running == 0)
            pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

int ft_pool_open(int n_threads, struct ft_pool **ret_pool, struct ft_err *err)
{
    FT_ASSERT(n_threads >= 1);
    struct ft_pool *p = calloc(1, sizeof *p);
    if (p == NULL)
        return ft_err_set(err, FT_ENOMEM, "thread pool: no memory");
    p->threads = calloc((size_t)n_threads, sizeof *p->threads);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    pthread_cond_init(&p->done, NULL);
    p->n_threads = 1;
    for (int i = 1; p->threads != NULL && i < n_threads; i++) {
        struct worker_arg *w = malloc(sizeof *w);
        if (w == NULL)
            break;
        *w = (struct worker_arg){p, i};
        if (pthread_create(&p->threads[i], NULL, worker_main, w) != 0) {
            free(w);
            break;
        }
        p->n_threads++;
    }
    if (p->n_threads != n_threads) {
        ft_pool_close(p);
        return ft_err_set(err, FT_ENOMEM, "thread pool: cannot start %d threads", n_threads);
    }
    *ret_pool = p;
    return 0;
}

void ft_pool_close(struct ft_pool *p)
{
    if (p == NULL)
        return;
    pthread_mutex_lock(&p->lock);
    p->stop = 1;
    pthread_cond_broadcast(&p->wake);
    pthread_mutex_unlock(&p->lock);
    for (int i = 1; i < p->n_threads; i++)
        pthread_join(p->threads[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
    free(p->threads);
    free(p);
}

int ft_pool_size(const struct ft_pool *p)
{
    return p->n_threads;
}

void ft_pool_run(struct ft_pool *p, int n_chunks, ft_pool_fn *fn, void *ctx)
{
    if (p->n_threads == 1 || n_chunks <= 1) {
        for (int i = 0; i < n_chunks; i++)
            fn(ctx, i, 0);
        return;
    }
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->ctx = ctx;
    p->n_chunks = n_chunks;
    p->next = 0;
    p->generation++;
    pthread_cond_broadcast(&p->wake);
    take_chunks(p, 0);
    while (p->running > 0)
        pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
}
