/* Streams of MD5 and the threads that take their pieces. */
#include "blob/dir/digest.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ALONE_MAX (64u << 10) /* a stream no longer than this is not worth waking a thread */

struct ft_digest_piece {
    struct ft_digest_piece *next;
    size_t n;
    uint8_t data[FT_DIGEST_PIECE];
};

/* All of a stream's pieces that wait, then the next stream's. */
static void *digest_main(void *arg)
{
    struct ft_digest_pool *p = arg;
    pthread_mutex_lock(&p->mutex);
    for (;;) {
        while (p->head == NULL && !p->stopping) {
            p->n_idle++;
            pthread_cond_wait(&p->more, &p->mutex);
            p->n_idle--;
        }
        struct ft_digest *d = p->head;
        if (d == NULL)
            break;
        p->head = d->next;
        while (d->head != NULL) {
            struct ft_digest_piece *x = d->head;
            d->head = x->next;
            pthread_mutex_unlock(&p->mutex);
            MD5_Update(&d->md5, x->data, x->n);
            pthread_mutex_lock(&p->mutex);
            x->next = p->spare;
            p->spare = x;
            d->n_pieces--; /* its owner may be gone when it is 0 and the lock given up */
            pthread_cond_broadcast(&p->done);
            if (d->n_pieces == 0)
                break;
        }
    }
    pthread_mutex_unlock(&p->mutex);
    return NULL;
}

int ft_digest_pool_open(struct ft_digest_pool *p, struct ft_err *err)
{
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    int n = (int)FT_MIN(FT_MAX(cores, 1), FT_DIGEST_THREADS_MAX);
    *p = (struct ft_digest_pool){.n_threads = 0};
    pthread_mutex_init(&p->mutex, NULL);
    pthread_cond_init(&p->more, NULL);
    pthread_cond_init(&p->done, NULL);
    for (; p->n_threads < n; p->n_threads++)
        if (pthread_create(&p->thread[p->n_threads], NULL, digest_main, p) != 0) {
            ft_digest_pool_close(p);
            return ft_err_set(err, FT_ENOMEM, "no thread for digests");
        }
    return 0;
}

void ft_digest_pool_close(struct ft_digest_pool *p)
{
    pthread_mutex_lock(&p->mutex);
    p->stopping = true;
    pthread_cond_broadcast(&p->more);
    pthread_mutex_unlock(&p->mutex);
    for (int i = 0; i < p->n_threads; i++)
        pthread_join(p->thread[i], NULL);
    while (p->spare != NULL) {
        struct ft_digest_piece *x = p->spare;
        p->spare = x->next;
        free(x);
    }
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->more);
    pthread_mutex_destroy(&p->mutex);
}

void ft_digest_init(struct ft_digest *d, struct ft_digest_pool *p)
{
    *d = (struct ft_digest){.pool = p};
    MD5_Init(&d->md5);
}

/* A piece of memory if a thread is to take it, else NULL: then nothing of the stream is under way.
 */
static struct ft_digest_piece *piece_take(struct ft_digest *d)
{
    struct ft_digest_pool *p = d->pool;
    struct ft_digest_piece *x = NULL;
    pthread_mutex_lock(&p->mutex);
    while (d->n_pieces >= FT_DIGEST_AHEAD_MAX)
        pthread_cond_wait(&p->done, &p->mutex);
    if (d->n_pieces > 0 || (p->n_idle > 0 && p->head == NULL)) {
        x = p->spare;
        if (x != NULL)
            p->spare = x->next;
        else
            x = malloc(sizeof *x);
    }
    while (x == NULL && d->n_pieces > 0)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    if (x != NULL)
        x->n = 0;
    return x;
}

/* The piece that was filled to the threads. */
static void piece_give(struct ft_digest *d)
{
    struct ft_digest_pool *p = d->pool;
    struct ft_digest_piece *x = d->filling;
    d->filling = NULL;
    x->next = NULL;
    pthread_mutex_lock(&p->mutex);
    bool is_taken = d->n_pieces > 0; /* a thread has the stream, or it stands in the queue */
    if (d->head == NULL)
        d->head = x;
    else
        d->tail->next = x;
    d->tail = x;
    d->n_pieces++;
    if (!is_taken) {
        d->next = NULL;
        if (p->head == NULL)
            p->head = d;
        else
            p->tail->next = d;
        p->tail = d;
        pthread_cond_signal(&p->more);
    }
    pthread_mutex_unlock(&p->mutex);
}

void ft_digest_add(struct ft_digest *d, const void *data, size_t n)
{
    const uint8_t *from = data;
    d->total += n;
    while (n > 0) {
        if (d->filling == NULL && d->total > ALONE_MAX)
            d->filling = piece_take(d);
        struct ft_digest_piece *x = d->filling;
        size_t take = FT_MIN(n, FT_DIGEST_PIECE - (x == NULL ? 0 : x->n));
        if (x == NULL) {
            MD5_Update(&d->md5, from, take);
        } else {
            memcpy(x->data + x->n, from, take);
            x->n += take;
            if (x->n == FT_DIGEST_PIECE)
                piece_give(d);
        }
        from += take;
        n -= take;
    }
}

void ft_digest_end(struct ft_digest *d, uint8_t ret[MD5_DIGEST_LENGTH])
{
    struct ft_digest_pool *p = d->pool;
    struct ft_digest_piece *rest = d->filling;
    d->filling = NULL;
    pthread_mutex_lock(&p->mutex);
    while (d->n_pieces > 0)
        pthread_cond_wait(&p->done, &p->mutex);
    pthread_mutex_unlock(&p->mutex);
    if (rest != NULL) {
        MD5_Update(&d->md5, rest->data, rest->n);
        pthread_mutex_lock(&p->mutex);
        rest->next = p->spare;
        p->spare = rest;
        pthread_mutex_unlock(&p->mutex);
    }
    MD5_Final(ret, &d->md5);
}
