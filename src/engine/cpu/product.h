/* Many matrix products as one parallel region: how linear.c and experts.c use the kernels.
 *
 * A product is one matrix times some columns (rows of the caller's batch). Quantised inputs are
 * made first (ft_cpu_inputs_quantise), then all products run as chunks of panels, claimed
 * dynamically by the pool's threads. Which chunk computes a panel never changes a result. */
#ifndef FT_ENGINE_CPU_PRODUCT_H
#define FT_ENGINE_CPU_PRODUCT_H

#include "engine/cpu/mm.h"

/* The input of a product, as floats and (for quantised weights) as tiles. */
struct ft_cpu_input {
    const float *x; /* column j at x + j * ld */
    int64_t ld, n_in;
    int n;
    const struct ft_cpu_fmt *fmt; /* NULL: floats are used */
    uint8_t *act;                 /* tiles of FT_CPU_COLS columns, the last one narrower */
    float *scale;                 /* [n] */
    int64_t first_tile;           /* set by ft_cpu_inputs_quantise */
};

struct ft_cpu_product {
    const struct ft_cpu_weight *w;
    int index; /* in the stack */
    const struct ft_cpu_input *in;
    float *y; /* y[j * ld + r] */
    int64_t ld;
    const float *bias;
    bool add;
    int64_t first_chunk, panels_per_chunk; /* set by ft_cpu_products_run */
};

/* Whether one quantised input serves both formats. */
bool ft_cpu_fmt_same_input(const struct ft_cpu_fmt *a, const struct ft_cpu_fmt *b);

/* Bytes of memory that an input's tiles and scales take; and sets act and scale to lie at p. */
size_t ft_cpu_input_bytes(const struct ft_cpu_input *in);
void ft_cpu_input_place(struct ft_cpu_input *in, uint8_t *p);

void ft_cpu_inputs_quantise(struct ft_cpu *c, struct ft_cpu_input *in, int n_in);
void ft_cpu_products_run(struct ft_cpu *c, struct ft_cpu_product *p, int n);

#endif
