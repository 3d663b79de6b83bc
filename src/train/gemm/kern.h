/* What differs per instruction set and arithmetic: the packed form of operands and the tile of C
 * that is multiplied in registers.
 *
 * A unit is four bytes: one f32, or two bfloat16 that are neighbours in k (the lower half first; an
 * odd k ends with a zero). k counts in units below. The kernel takes, per unit, `nr` columns of B
 * as vectors and `mr` rows of A one by one, broadcast:
 *
 *   B panel   [unit][nr]                                   columns side by side
 *   A panel   [row][units], or [unit][mr]: as the operand is stored, so that packing never turns
 * it. row_step and unit_step tell the tile which.
 *
 * Missing rows and columns at the edges are zeros in the panels. */
#ifndef FT_TRAIN_GEMM_KERN_H
#define FT_TRAIN_GEMM_KERN_H

#include <stdbool.h>
#include <stdint.h>

#define FT_GEMM_NR_MAX 32

/* Rows of k that are packed at once: enough that a panel's lines are written whole, few enough that
 * rows whose addresses fall into one set of an 8-way cache stay there while panels pass. */
#define FT_GEMM_ACROSS 8

/* One tile: c[rows, cols] (+)= alpha * A B over n_units. rows <= mr, cols <= nr. */
struct ft_gemm_tile {
    const uint32_t *a;
    int64_t row_step, unit_step; /* in units */
    const uint32_t *b;
    int64_t n_units;
    float *c;
    int64_t ldc;
    int rows, cols;
    float alpha;
    bool add;
};

struct ft_gemm_kern {
    int unit_k; /* elements of k in a unit: 1 or 2 */
    int mr, nr;

    /* x: [n] neighbours in k -> ceil(n / unit_k) units. */
    void (*row)(const float *x, int64_t n, uint32_t *u);

    /* n_k <= FT_GEMM_ACROSS rows of k at x, ld apart, n neighbours across k -> ceil(n_k / unit_k)
     * units of each: panels of `width`, panel_step apart, the last filled with zeros. */
    void (*across)(const float *x, int64_t ld, int n_k, int64_t n, int width, uint32_t *u,
                   int64_t panel_step);

    /* `rows` rows (<= nr) of n neighbours in k, ld apart -> [units][nr], turned; zeros for
     * missing rows. */
    void (*turn)(const float *x, int64_t ld, int rows, int64_t n, uint32_t *u);

    void (*tile)(const struct ft_gemm_tile *t);
};

extern const struct ft_gemm_kern ft_gemm_kern_plain_f32, ft_gemm_kern_plain_bf16;
extern const struct ft_gemm_kern ft_gemm_kern_avx2_f32, ft_gemm_kern_avx2_bf16;
extern const struct ft_gemm_kern ft_gemm_kern_avx512_f32, ft_gemm_kern_avx512_bf16;

#endif
