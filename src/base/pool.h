/* Thread pool for data-parallel regions of a few microseconds to milliseconds.
 *
 * One owner thread runs regions; it takes part as worker 0. A region is a function called once
 * per chunk; chunks are claimed dynamically, so a worker that loses its core holds up one chunk
 * at most, and the pool shrinks by itself while a core is taken away (see pool.c). Results must
 * not depend on which worker runs a chunk.
 *
 * Cost: about a microsecond a region while the workers are hot, that is within FT_POOL_SPIN_NS
 * of the region before; otherwise a worker must be woken, which takes the system tens of
 * microseconds (the owner works on meanwhile). A chunk of 5 to 50 us is a good size: cheap to
 * claim, little to wait for at the end. */
#ifndef FT_BASE_POOL_H
#define FT_BASE_POOL_H

#include "base/err.h"

#define FT_POOL_THREADS_MAX 1024
#define FT_POOL_SPIN_NS     50000 /* how long an idle worker looks for work before it sleeps */

struct ft_pool;

/* chunk: 0 .. n_chunks-1; worker: 0 .. ft_pool_size()-1, for per-worker scratch. */
typedef void ft_pool_fn(void *ctx, int chunk, int worker);

/* n_threads counts the owner: 1 .. FT_POOL_THREADS_MAX, else FT_EINVAL. The owner is whichever
 * thread calls ft_pool_run; it may change between regions. */
int ft_pool_open(int n_threads, struct ft_pool **ret_pool, struct ft_err *err);
void ft_pool_close(struct ft_pool *pool); /* NULL is accepted */
int ft_pool_size(const struct ft_pool *pool);

/* How many of the threads take part now: ft_pool_size(), or fewer while a core is taken away.
 * Owner thread only; for reports, never for results. */
int ft_pool_active(const struct ft_pool *pool);

/* Runs fn for every chunk and returns when all are done; what the chunks wrote is visible then.
 * Owner thread only, not reentrant. */
void ft_pool_run(struct ft_pool *pool, int n_chunks, ft_pool_fn *fn, void *ctx);

#endif
