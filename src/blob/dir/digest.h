/* MD5 beside the writing: of one stream it goes at some 700 MB/s, which is slower than most disks,
 * so a few threads of the store compute it while the writer's own thread checks and writes.
 *
 * One stream's bytes are taken in their order by one thread at a time. Where no thread is idle the
 * caller's own does it: nobody waits for a stranger. */
#ifndef FT_BLOB_DIR_DIGEST_H
#define FT_BLOB_DIR_DIGEST_H

#define OPENSSL_API_COMPAT 0x10100000L /* MD5_Update: no object to allocate for each */
#include <openssl/md5.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "base/err.h"

#define FT_DIGEST_THREADS_MAX 8
#define FT_DIGEST_PIECE       (128u << 10) /* bytes handed over at once */
#define FT_DIGEST_AHEAD_MAX   3            /* pieces of one stream that wait */

struct ft_digest_piece;
struct ft_digest_pool {
    pthread_mutex_t mutex;
    pthread_cond_t more, done;
    pthread_t thread[FT_DIGEST_THREADS_MAX];
    int n_threads, n_idle;
    bool stopping;
    struct ft_digest *head, *tail; /* streams with pieces that no thread has taken up */
    struct ft_digest_piece *spare;
};

/* One stream; in its owner's memory. */
struct ft_digest {
    struct ft_digest_pool *pool;
    MD5_CTX md5;
    struct ft_digest_piece *head, *tail; /* what waits */
    int n_pieces;                        /* waiting, or being taken */
    struct ft_digest_piece *filling;     /* the owner's: smaller pieces are put together */
    size_t total;
    struct ft_digest *next;
};

int ft_digest_pool_open(struct ft_digest_pool *p, struct ft_err *err);
void ft_digest_pool_close(struct ft_digest_pool *p); /* no stream is open */

void ft_digest_init(struct ft_digest *d, struct ft_digest_pool *p);
void ft_digest_add(struct ft_digest *d, const void *data, size_t n);
/* Waits for what is under way. The stream may be forgotten then; a second time is accepted. */
void ft_digest_end(struct ft_digest *d, uint8_t ret[MD5_DIGEST_LENGTH]);

#endif
