/* Thread pool for data-parallel regions of a few microseconds to milliseconds.
 *
 * One owner thread runs regions; it takes part as worker 0. A region is a function called once per
 * chunk; chunks are claimed dynamically, so a worker that loses its core holds up one chunk at
 * most, and the pool shrinks by itself while a core is taken away (see pool.c). Results must not depend on which
 * worker runs a chunk. */
#ifndef FT_BASE_POOL_H
#define FT_BASE_POOL_H

#include "base/err.h"

struct ft_pool;

/* chunk: 0 .. n_chunks-1; worker: 0 .. ft_pool_size()-1, for per-worker scratch. */
typedef void ft_pool_fn(void *ctx, int chunk, int worker);

int ft_pool_open(int n_threads, struct ft_pool **ret_pool, struct ft_err *err);
void ft_pool_close(struct ft_pool *pool);
int ft_pool_size(const struct ft_pool *pool);

/* Runs fn for every chunk and returns when all are done. Owner thread only, not reentrant. */
void ft_pool_run(struct ft_pool *pool, int n_chunks, ft_pool_fn *fn, void *ctx);

#endif
