/* Rotary frequencies: plain (arXiv:2104.09864), linear, YaRN (arXiv:2309.00071), and Llama 3.1's
 * smooth extension. */
#include "engine/arch/rope.h"

#include <math.h>

#ifndef M_PI
#define M_PI 3.14159265358979323846
#endif

/* The dimension pair that turns `beta` times over the original context. */
static double yarn_pair(const struct ft_rope_params *p, double beta)
{
    return p->n_rot * log(p->orig_ctx / (beta * 2 * M_PI)) / (2 * log(p->theta));
}

static void yarn(const struct ft_rope_params *p, double *freq)
{
    double low = fmax(0, floor(yarn_pair(p, p->beta_fast)));
    double high = fmin(p->n_rot - 1, ceil(yarn_pair(p, p->beta_slow)));
    for (int j = 0; j < p->n_rot / 2; j++) {
        double ramp = fmin(1, fmax(0, (j - low) / fmax(0.001, high - low)));
        freq[j] = freq[j] / p->factor * ramp + freq[j] * (1 - ramp);
    }
}

static void llama3(const struct ft_rope_params *p, double *freq)
{
    double low_wave = p->orig_ctx / p->low_freq_factor;
    double high_wave = p->orig_ctx / p->high_freq_factor;
    for (int j = 0; j < p->n_rot / 2; j++) {
        double wave = 2 * M_PI / freq[j];
        if (wave < high_wave)
            continue;
        double smooth = 0;
        if (wave <= low_wave)
            smooth = (p->orig_ctx / wave - p->low_freq_factor) /
                     (p->high_freq_factor - p->low_freq_factor);
        freq[j] = (1 - smooth) * freq[j] / p->factor + smooth * freq[j];
    }
}

void ft_rope_freqs(const struct ft_rope_params *p, const float *factors, double *freq)
{
    for (int j = 0; j < p->n_rot / 2; j++)
        freq[j] = pow(p->theta, -2.0 * j / p->n_rot);
    if (factors != NULL) {
        for (int j = 0; j < p->n_rot / 2; j++)
            freq[j] /= factors[j];
        return; /* the file's divisors are the whole extension */
    }
    switch (p->scaling) {
    case FT_ROPE_PLAIN:
        break;
    case FT_ROPE_LINEAR:
        for (int j = 0; j < p->n_rot / 2; j++)
            freq[j] /= p->factor;
        break;
    case FT_ROPE_YARN:
        yarn(p, freq);
        break;
    case FT_ROPE_LLAMA3:
        llama3(p, freq);
        break;
    }
}

double ft_rope_mul(const struct ft_rope_params *p)
{
    return p->scaling == FT_ROPE_YARN ? p->attn_factor * (1 + 0.1 * log(p->factor)) : 1;
}
