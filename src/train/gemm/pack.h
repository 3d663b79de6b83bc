/* Operands on their way into panels (kern.h): reading any stored type as f32, in pieces, and
 * handing the pieces to the kernels' packing functions. */
#ifndef FT_TRAIN_GEMM_PACK_H
#define FT_TRAIN_GEMM_PACK_H

#include "train/gemm/gemm.h"
#include "train/gemm/kern.h"

#define FT_GEMM_BLOCK 512 /* units of k in a block: what one sum from zero covers */

/* Elements that are converted at once, from a start that need not be a block's: the widest block
 * may stand over on either side. */
#define FT_GEMM_PIECE        256
#define FT_GEMM_PIECE_SLACK  512
#define FT_GEMM_FETCH_FLOATS ((size_t)FT_GEMM_NR_MAX * (FT_GEMM_PIECE + FT_GEMM_PIECE_SLACK))

/* One operand of a product as packing sees it: `across` counts its rows (A) or columns (B). */
struct ft_gemm_side {
    const struct ft_gemm_kern *kern;
    struct ft_gemm_in in;
    const struct ft_type_info *info;
    int64_t n;     /* across */
    int width;     /* of a panel: mr or nr */
    bool vector;   /* B: panels of [unit][nr]; A: rows or [unit][mr] */
    bool k_inside; /* neighbours in memory are neighbours in k */
};

/* Packs the elements [at, at + n) across and n_k elements of k from k_at on into u: panels of
 * n_units, side by side, or a part of them (u then points to its first unit, and n_k is even unless
 * it is the end). `at` is a multiple of width. fetch: FT_GEMM_FETCH_FLOATS of this thread. */
void ft_gemm_pack(const struct ft_gemm_side *s, int64_t at, int64_t n, int64_t k_at, int64_t n_k,
                  uint32_t *u, int64_t n_units, float *fetch);

/* Asking for memory before it is packed: the same elements as stored, line by line, a few between
 * any two tiles. */
struct ft_gemm_ahead {
    const uint8_t *row;
    size_t row_step, row_bytes, at;
    int64_t rows;
};

void ft_gemm_ahead_start(struct ft_gemm_ahead *a, const struct ft_gemm_side *s, int64_t at,
                         int64_t n, int64_t k_at, int64_t n_k);
int64_t ft_gemm_ahead_lines(const struct ft_gemm_ahead *a);
void ft_gemm_ahead_step(struct ft_gemm_ahead *a, int64_t n_lines);

#endif
