/* Adapters on this device: what lora.c and the kernels agree on.
 *
 * Both matrices of a pair are kept as half floats in lines of FT_LORA_LINE elements (64 bytes), in
 * the order in which they are read:
 *
 *   A   groups of up to 8 of its rows; per group, line after line of the rows' length:
 *       a line of each row of the group
 *   B   panels of FT_LORA_LINE outputs; per panel a line for each of the ranks
 *
 * Ends are filled with zeros. Each matrix was multiplied by a power of two that brings its largest
 * element to 2^14 .. 2^15: bfloat16 files are then held exactly over 2^32 of range, others to 12
 * bits; the factor comes off again in f32.
 *
 * Order of operations, for every set: t[r] = mul * (sum over lanes of fma chains over k), each lane
 * taking every VW-th element; y[o] += mul * (fma chain over r). Neither depends on the number of
 * columns, so a row's bits are its own. */
#ifndef FT_ENGINE_CPU_LORA_H
#define FT_ENGINE_CPU_LORA_H

#include "engine/cpu/cpu_dev.h"

#define FT_LORA_LINE  32 /* elements */
#define FT_LORA_GROUP 8  /* rows of A that are read together */

/* Some columns of a use: x and y are [nc, ..]. */
struct ft_lora_cols {
    const float *x;
    int64_t x_ld;
    float *t; /* [nc, t_ld] */
    int64_t t_ld;
    float *y;
    int64_t y_ld;
    int nc;
};

/* t[c][r] = mul * A[r] x[c] for the rows of one group; c->t points to the first of them. */
typedef void ft_lora_down_fn(const uint16_t *a, int rows, int64_t n_in, float mul,
                             const struct ft_lora_cols *c);
/* y[c][o] += mul * B[o] t[c] for o < n_out, n_out beginning at a panel; c->y points to the first.
 */
typedef void ft_lora_up_fn(const uint16_t *b, int rank, int64_t n_out, float mul,
                           const struct ft_lora_cols *c);

static inline int64_t ft_lora_lines(int64_t n)
{
    return (n + FT_LORA_LINE - 1) / FT_LORA_LINE;
}

ft_lora_down_fn ft_lora_down_plain, ft_lora_down_avx2, ft_lora_down_avx512;
ft_lora_up_fn ft_lora_up_plain, ft_lora_up_avx2, ft_lora_up_avx512;

int ft_cpu_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err);
void ft_cpu_lora_close(struct ft_dev *d, struct ft_lora *l);
void ft_cpu_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use);

#endif
