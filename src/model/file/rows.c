/* A batch is a few chunks per thread; each chunk is fetched, quantised into its place of the batch,
 * and the batch is written. */
#include "model/file/rows.h"

#include <stdlib.h>

#define CHUNK_WEIGHTS (1 << 18) /* at least; at most one row more */
#define CHUNKS        4         /* per thread and batch */

struct batch {
    const struct ft_type_info *info;
    int64_t k, first, rows, chunk_rows; /* first row; rows in this batch */
    const struct ft_rows *r;
    float *scratch; /* per worker: chunk_rows * k */
    uint8_t *out;
};

static void chunk_run(void *ctx, int chunk, int worker)
{
    struct batch *b = ctx;
    int64_t row = (int64_t)chunk * b->chunk_rows, n = FT_MIN(b->chunk_rows, b->rows - row);
    float *x = b->scratch + (int64_t)worker * b->chunk_rows * b->k;
    b->r->get(b->r->ctx, (b->first + row) * b->k, n * b->k, x);
    size_t row_bytes = ft_type_row_bytes(b->info, b->k);
    b->info->quantise(x, b->out + (size_t)row * row_bytes, n * b->k);
}

int ft_rows_write(struct ft_pool *pool, const struct ft_rows *r, enum ft_type type, int64_t k,
                  int64_t rows, struct ft_err *err)
{
    struct batch b = {.info = ft_type_info(type), .k = k, .r = r};
    size_t row_bytes = ft_type_row_bytes(b.info, k);
    b.chunk_rows = FT_MIN(FT_MAX(CHUNK_WEIGHTS / k, 1), rows);
    int64_t batch_rows = b.chunk_rows * ft_pool_size(pool) * CHUNKS;
    b.scratch = calloc((size_t)(b.chunk_rows * ft_pool_size(pool)), (size_t)k * sizeof(float));
    b.out = calloc((size_t)batch_rows, row_bytes);
    int rc = 0;
    if (b.scratch == NULL || b.out == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a batch of rows");
    for (b.first = 0; rc == 0 && b.first < rows; b.first += b.rows) {
        b.rows = FT_MIN(batch_rows, rows - b.first);
        ft_pool_run(pool, (int)((b.rows + b.chunk_rows - 1) / b.chunk_rows), chunk_run, &b);
        rc = r->put(r->sink, b.out, (size_t)b.rows * row_bytes, err);
        if (r->done != NULL)
            r->done(r->ctx, b.first * k, b.rows * k);
    }
    free(b.scratch);
    free(b.out);
    return rc;
}
