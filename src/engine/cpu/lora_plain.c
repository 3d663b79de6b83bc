/* Adapters in plain C: the definition, and what machines without vector kernels run. */
#include "base/half.h"
#include "engine/cpu/lora.h"

#define LANES 8

void ft_lora_down_plain(const uint16_t *a, int rows, int64_t n_in, float mul,
                        const struct ft_lora_cols *c)
{
    for (int i = 0; i < c->nc; i++)
        for (int r = 0; r < rows; r++) {
            const float *x = c->x + i * c->x_ld;
            float s[LANES] = {0}, sum = 0;
            for (int64_t k = 0; k < n_in; k++) {
                int64_t at = (k / FT_LORA_LINE * rows + r) * FT_LORA_LINE + k % FT_LORA_LINE;
                s[k % LANES] += ft_f16_to_f32(a[at]) * x[k];
            }
            for (int j = 0; j < LANES; j++)
                sum += s[j];
            c->t[i * c->t_ld + r] = mul * sum;
        }
}

void ft_lora_up_plain(const uint16_t *b, int rank, int64_t n_out, float mul,
                      const struct ft_lora_cols *c)
{
    for (int i = 0; i < c->nc; i++)
        for (int64_t o = 0; o < n_out; o++) {
            const uint16_t *w = b + o / FT_LORA_LINE * rank * FT_LORA_LINE + o % FT_LORA_LINE;
            float sum = 0;
            for (int r = 0; r < rank; r++)
                sum += ft_f16_to_f32(w[r * FT_LORA_LINE]) * c->t[i * c->t_ld + r];
            c->y[i * c->y_ld + o] += mul * sum;
        }
}
