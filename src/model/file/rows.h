/* Rows of f32 turned into rows of a weight format by a thread pool, streamed to a GGUF writer in
 * batches: what `convert` does with each tensor, in bounded memory. */
#ifndef FT_MODEL_ROWS_H
#define FT_MODEL_ROWS_H

#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "model/file/gguf_write.h"

/* Fills out with n f32 from element `at` of the tensor (n is a whole number of rows). Called from
 * several threads at once. */
typedef void ft_rows_fn(void *ctx, int64_t at, int64_t n, float *out);

/* Writes `rows` rows of k weights as `type`. */
int ft_rows_write(struct ft_pool *pool, struct ft_gguf_writer *g, enum ft_type type, int64_t k,
                  int64_t rows, ft_rows_fn *fn, void *ctx, struct ft_err *err);

#endif
