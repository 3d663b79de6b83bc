/* What one forward pass computes: rows of tokens, cut into segments that belong to one sequence
 * each.
 *
 * Rows of a segment are consecutive positions of its sequence. A batch mixes prefill segments
 * (many rows) and decode segments (one row, or a few when speculating) freely; results of a row
 * never depend on the other segments (DESIGN.md, principle 8). */
#ifndef FT_ENGINE_BATCH_H
#define FT_ENGINE_BATCH_H

#include <stdint.h>

/* Tokens per KV block. Prefixes are shared, kept and spilled in units of this. */
#define FT_KV_BLOCK 32

struct ft_model_adapter; /* engine/arch/adapter.h; devices do not look at it */

struct ft_seg {
    int row; /* first row of the batch */
    int n;   /* rows, >= 1 */
    int pos; /* position of the first row in its sequence; everything before it is in the cache */
    const int32_t
        *block; /* [ceil((pos + n) / FT_KV_BLOCK)] ids of KV blocks, in order of position */
    /* slot of fixed-size recurrent state, -1 if the model keeps none; what a slot holds before
     * position 0 means nothing: a step that keeps state begins there from its own zero */
    int32_t state;
    const struct ft_model_adapter *adapter; /* what its rows go through, NULL: the base alone */
};

struct ft_batch {
    int n_rows;
    const int32_t *token; /* [n_rows] */
    const int32_t *pos;   /* [n_rows] position of each row in its sequence */
    int n_segs;
    const struct ft_seg *seg; /* [n_segs], rows ascending, covering all rows */
    int n_out;
    const int32_t *out_row; /* [n_out] rows whose result is wanted, ascending */
};

#endif
