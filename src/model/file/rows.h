/* Rows of f32 turned into rows of a weight format by a thread pool and streamed to a file in
 * batches: what writing a model does with each tensor, in bounded memory. */
#ifndef FT_MODEL_ROWS_H
#define FT_MODEL_ROWS_H

#include <stdint.h>

#include "base/err.h"
#include "base/pool.h"
#include "model/file/quant.h"

struct ft_rows {
    /* Fills out with n f32 from element `at` of the tensor (n is a whole number of rows). Called
     * from several threads at once. */
    void (*get)(void *ctx, int64_t at, int64_t n, float *out);
    /* (optional) these elements will not be asked for again. From the calling thread. */
    void (*done)(void *ctx, int64_t at, int64_t n);
    void *ctx;
    /* Takes the bytes in order, from the calling thread. */
    int (*put)(void *sink, const void *data, size_t n, struct ft_err *err);
    void *sink;
};

/* Writes `rows` rows of k weights as `type`. */
int ft_rows_write(struct ft_pool *pool, const struct ft_rows *r, enum ft_type type, int64_t k,
                  int64_t rows, struct ft_err *err);

#endif
