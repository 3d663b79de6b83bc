/* Answers of known length, for lanes: libmicrohttpd sends from a buffer of its own, and the lane
 * fills it in place, so that a byte is copied once, by the system, and a block costs one hand-over
 * each way.
 *
 *   block_read (libmicrohttpd's thread): nothing there? lends the buffer, suspends
 *   ft_http_block_room                   waits for the buffer
 *   ft_http_block_filled                 resumes; block_read says how much there is
 *
 * The exchange keeps the response until it is freed: the lane may be writing into its buffer when
 * the connection goes. */
#include <string.h>

#include "net/server_impl.h"

#define BLOCK_BYTES (512u << 10) /* few hand-overs, and still in the second-level cache */

static ssize_t block_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;
    (void)pos;
    pthread_mutex_lock(&x->lock);
    ssize_t rc = 0;
    pthread_cond_t *waiter = NULL;
    if (x->gone || (x->refs == 1 && x->handed_over && x->filled == 0)) { /* or nobody fills it */
        rc = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (x->filled != 0) {
        rc = (ssize_t)x->filled;
        x->filled = 0;
    } else if (ft_http_suspend(x)) {
        x->room = buf;
        x->room_n = max;
        waiter = x->waiter;
    } else {
        rc = MHD_CONTENT_READER_END_WITH_ERROR;
    }
    pthread_mutex_unlock(&x->lock);
    if (waiter != NULL)
        pthread_cond_signal(waiter);
    return rc;
}

int ft_http_block_begin(struct exchange *x, int status, int64_t length,
                        const struct ft_http_field *fields, int n_fields)
{
    size_t block = (size_t)FT_MIN((uint64_t)length, BLOCK_BYTES);
    struct MHD_Response *r =
        MHD_create_response_from_callback((uint64_t)length, FT_MAX(block, 1u), block_read, x, NULL);
    if (r == NULL)
        return FT_ENOMEM;
    if (ft_http_add_fields(r, fields, n_fields) != 0 || status < 200 || status > 599) {
        MHD_destroy_response(r);
        return FT_EINVAL;
    }
    pthread_mutex_lock(&x->lock);
    bool first = x->block == NULL;
    if (first)
        x->block = r;
    pthread_mutex_unlock(&x->lock);
    if (!first) {
        MHD_destroy_response(r);
        return FT_EEXIST;
    }
    int rc = ft_http_put_answer(x, status, r, true, length);
    if (rc != 0) { /* r is freed */
        pthread_mutex_lock(&x->lock);
        x->block = NULL;
        pthread_mutex_unlock(&x->lock);
    }
    return rc;
}

int ft_http_block_room(struct exchange *x, char **ret, size_t *ret_n)
{
    pthread_mutex_lock(&x->lock);
    while (x->room == NULL && !x->gone && x->phase != PHASE_DONE)
        pthread_cond_wait(x->waiter, &x->lock);
    int rc = x->gone || x->phase == PHASE_DONE ? FT_ECANCELED : 0;
    if (rc == 0) {
        *ret = x->room;
        *ret_n = x->room_n;
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

int ft_http_block_filled(struct exchange *x, size_t n)
{
    pthread_mutex_lock(&x->lock);
    int rc = x->gone || x->phase == PHASE_DONE ? FT_ECANCELED : 0;
    x->room = NULL;
    if (rc == 0) {
        FT_ASSERT(n != 0 && n <= x->room_n);
        x->filled = n;
        x->stream_left -= (int64_t)n;
        x->stream_ended = x->stream_left == 0;
        ft_http_wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}
