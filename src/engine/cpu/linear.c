/* linear and linear_heads: products of one input with several matrices, or of each head's part of
 * it with that head's matrix. The input is quantised once for all weights that can share it. */
#include "engine/cpu/product.h"

#define LINEARS_MAX 16

void ft_cpu_linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin, int n_lin)
{
    struct ft_cpu *c = ft_cpu_of(d);
    FT_ASSERT(n_lin <= LINEARS_MAX);
    if (n == 0)
        return;
    struct ft_cpu_input in[LINEARS_MAX];
    struct ft_cpu_product p[LINEARS_MAX];
    int n_inputs = 0;
    size_t bytes = 0;
    for (int i = 0; i < n_lin; i++) {
        const struct ft_cpu_weight *w = ft_cpu_weight_of(lin[i].w);
        FT_ASSERT(w->loaded);
        int k = 0;
        while (k < n_inputs && !ft_cpu_fmt_same_input(in[k].fmt, w->fmt))
            k++;
        if (k == n_inputs) {
            in[k] = (struct ft_cpu_input){
                .x = x.p, .ld = x.ld, .n_in = w->base.n_in, .n = n, .fmt = w->fmt};
            bytes += ft_cpu_input_bytes(&in[k]);
            n_inputs++;
        }
        p[i] = (struct ft_cpu_product){.w = w,
                                       .in = &in[k],
                                       .y = lin[i].y.p,
                                       .ld = lin[i].y.ld,
                                       .bias = lin[i].bias,
                                       .add = lin[i].add};
    }
    uint8_t *at = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_QUANT, bytes);
    for (int k = 0; k < n_inputs; k++) {
        ft_cpu_input_place(&in[k], at);
        at += ft_cpu_input_bytes(&in[k]);
    }
    ft_cpu_inputs_quantise(c, in, n_inputs);
    ft_cpu_products_run(c, p, n_lin);
}

void ft_cpu_linear_heads(struct ft_dev *d, struct ft_mat x, int x_step, int n,
                         struct ft_weight *weight, struct ft_mat y, int y_step)
{
    struct ft_cpu *c = ft_cpu_of(d);
    const struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    FT_ASSERT(w->loaded);
    if (n == 0)
        return;
    int heads = w->base.n_stack;
    struct ft_cpu_input one = {.ld = x.ld, .n_in = w->base.n_in, .n = n, .fmt = w->fmt};
    size_t bytes = ft_cpu_input_bytes(&one);
    struct ft_cpu_product *p = ft_cpu_scratch_get(
        c, FT_CPU_SCRATCH_TASKS, (size_t)heads * (sizeof *p + sizeof(struct ft_cpu_input)));
    struct ft_cpu_input *in = (struct ft_cpu_input *)(void *)(p + heads);
    uint8_t *at = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_QUANT, bytes * (size_t)heads);
    for (int h = 0; h < heads; h++) {
        in[h] = one;
        in[h].x = x.p + (int64_t)h * x_step;
        ft_cpu_input_place(&in[h], at + (size_t)h * bytes);
        p[h] = (struct ft_cpu_product){
            .w = w, .index = h, .in = &in[h], .y = y.p + (int64_t)h * y_step, .ld = y.ld};
    }
    ft_cpu_inputs_quantise(c, in, heads);
    ft_cpu_products_run(c, p, heads);
}
