/* Norms, rotation and gating in plain C: the definition, and what machines without vector kernels
 * run. Sums are kept in f64. */
#include <math.h>

#include "engine/cpu/steps.h"

static float norm_factor(const float *x, int d, float eps)
{
    double sum = 0;
    for (int i = 0; i < d; i++)
        sum += (double)x[i] * x[i];
    return (float)(1 / sqrt(sum / d + (double)eps));
}

static void rmsnorm_plain(const float *x, int d, const float *w, float eps, float *y)
{
    float f = norm_factor(x, d, eps);
    for (int i = 0; i < d; i++)
        y[i] = x[i] * f * w[i];
}

static void rotate(float *x, const float *cs, int n_rot, enum ft_rope_pairs pairs)
{
    int half = n_rot / 2, step = pairs == FT_ROPE_HALVES ? 1 : 2;
    int apart = pairs == FT_ROPE_HALVES ? half : 1;
    for (int j = 0; j < half; j++) {
        float *a = x + j * step, *b = a + apart, u = *a, v = *b;
        *a = u * cs[2 * j] - v * cs[2 * j + 1];
        *b = u * cs[2 * j + 1] + v * cs[2 * j];
    }
}

static void heads_plain(float *x, int n_head, int d_head, const float *w, float eps,
                        const float *cs, int at, int n_rot, enum ft_rope_pairs pairs)
{
    for (int h = 0; h < n_head; h++, x += d_head) {
        if (w != NULL)
            rmsnorm_plain(x, d_head, w, eps, x);
        if (cs != NULL)
            rotate(x + at, cs, n_rot, pairs);
    }
}

static void swiglu_plain(const float *gate, const float *up, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = gate[i] / (1 + expf(-gate[i])) * up[i];
}

static void sigmoid_plain(const float *x, int n, float *y)
{
    for (int i = 0; i < n; i++)
        y[i] = 1 / (1 + expf(-x[i]));
}

static void softmax_plain(const float *x, int n, float *y)
{
    float most = x[0];
    for (int i = 1; i < n; i++)
        most = fmaxf(most, x[i]);
    float sum = 0;
    for (int i = 0; i < n; i++)
        sum += y[i] = expf(x[i] - most);
    for (int i = 0; i < n; i++)
        y[i] /= sum;
}

const struct ft_cpu_steps ft_cpu_steps_plain = {
    .attend_scratch = ft_attend_scratch_plain,
    .attend_tile = ft_attend_tile_plain,
    .attend_fold = ft_attend_fold_plain,
    .kv_store = ft_kv_store_plain,
    .rmsnorm = rmsnorm_plain,
    .heads = heads_plain,
    .swiglu = swiglu_plain,
    .sigmoid = sigmoid_plain,
    .softmax = softmax_plain,
    .lora_down = ft_lora_down_plain,
    .lora_up = ft_lora_up_plain,
};
