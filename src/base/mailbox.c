/* A ring under one mutex with two condition variables. Posts are rare beside the work they ask for
 * (a request, a cancellation), so a lock held for one memcpy is cheap enough; the count is atomic
 * only so that an empty poll needs no lock. Waiters are counted: nobody is signalled in vain. */
#include "base/cond.h"
#include "base/mailbox.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct ft_mailbox {
    pthread_mutex_t lock;
    pthread_cond_t filled, drained;
    size_t n_slots, msg_bytes;
    size_t head;         /* the oldest message; under lock */
    atomic_size_t count; /* written under lock */
    atomic_bool shut;    /* written under lock */
    bool taker_waits;    /* under lock */
    size_t posters_wait; /* under lock */
    unsigned char ring[];
};

int ft_mailbox_open(size_t n_slots, size_t msg_bytes, struct ft_mailbox **ret_m, struct ft_err *err)
{
    FT_ASSERT(n_slots >= 1 && n_slots <= FT_MAILBOX_SLOTS_MAX);
    FT_ASSERT(msg_bytes >= 1 && msg_bytes <= FT_MAILBOX_MSG_BYTES_MAX);
    struct ft_mailbox *m = calloc(1, sizeof *m + n_slots * msg_bytes);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "mailbox: no memory for %zu messages", n_slots);
    m->n_slots = n_slots;
    m->msg_bytes = msg_bytes;
    pthread_mutex_init(&m->lock, NULL);
    ft_cond_init(&m->filled);
    pthread_cond_init(&m->drained, NULL);
    *ret_m = m;
    return 0;
}

void ft_mailbox_close(struct ft_mailbox *m)
{
    if (m == NULL)
        return;
    pthread_cond_destroy(&m->drained);
    pthread_cond_destroy(&m->filled);
    pthread_mutex_destroy(&m->lock);
    free(m);
}

static int post(struct ft_mailbox *m, const void *msg, bool wait)
{
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    while (wait && !m->shut && m->count == m->n_slots) {
        m->posters_wait++;
        pthread_cond_wait(&m->drained, &m->lock);
        m->posters_wait--;
    }
    if (m->shut) {
        rc = FT_ECANCELED;
    } else if (m->count == m->n_slots) {
        rc = FT_EBUSY;
    } else {
        size_t slot = (m->head + m->count) % m->n_slots;
        memcpy(m->ring + slot * m->msg_bytes, msg, m->msg_bytes);
        m->count++;
        if (m->taker_waits)
            pthread_cond_signal(&m->filled);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

int ft_mailbox_try_post(struct ft_mailbox *m, const void *msg)
{
    return post(m, msg, false);
}

int ft_mailbox_post(struct ft_mailbox *m, const void *msg)
{
    return post(m, msg, true);
}

void ft_mailbox_shut(struct ft_mailbox *m)
{
    pthread_mutex_lock(&m->lock);
    m->shut = true;
    pthread_cond_broadcast(&m->filled);
    pthread_cond_broadcast(&m->drained);
    pthread_mutex_unlock(&m->lock);
}

/* Lock held. Returns when there is a message, the mailbox is shut or the time is over. */
static void wait_filled(struct ft_mailbox *m, int64_t timeout_ms)
{
    const int64_t ms_max = (int64_t)365 * 86400 * 1000; /* keeps the sum below in range */
    struct timespec until;
    if (timeout_ms > 0) {
        if (timeout_ms > ms_max)
            timeout_ms = ms_max;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += timeout_ms / 1000;
        until.tv_nsec += timeout_ms % 1000 * 1000000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_sec++;
            until.tv_nsec -= 1000000000;
        }
    }
    int rc = 0;
    m->taker_waits = true;
    while (m->count == 0 && !m->shut && rc != ETIMEDOUT)
        rc = timeout_ms < 0 ? pthread_cond_wait(&m->filled, &m->lock)
                            : pthread_cond_timedwait(&m->filled, &m->lock, &until);
    m->taker_waits = false;
}

int ft_mailbox_take(struct ft_mailbox *m, void *ret_msg, int64_t timeout_ms)
{
    if (timeout_ms == 0 && m->count == 0 && !m->shut)
        return FT_EBUSY;
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    if (m->count == 0 && !m->shut && timeout_ms != 0)
        wait_filled(m, timeout_ms);
    if (m->count == 0) {
        rc = m->shut ? FT_ECANCELED : FT_EBUSY;
    } else {
        memcpy(ret_msg, m->ring + m->head * m->msg_bytes, m->msg_bytes);
        m->head = (m->head + 1) % m->n_slots;
        m->count--;
        if (m->posters_wait > 0)
            pthread_cond_signal(&m->drained);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

size_t ft_mailbox_size(const struct ft_mailbox *m)
{
    return m->count;
}
