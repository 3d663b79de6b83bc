/* Least-squares searches for the scale (and offset) of a few weights that share one.
 *
 * Shared by the quantisers. All minimise the plain squared error: without measured activations
 * every weight counts the same. Vectors of n weights, n a multiple of 8. */
#ifndef FT_MODEL_QUANT_FIT_H
#define FT_MODEL_QUANT_FIT_H

#include <stdint.h>

#include "base/half.h"

/* The scale s that minimises sum (x - s q)^2 with q = clamp(round(x / s), lo, hi); lo < 0 < hi,
 * |lo| >= hi. s may be negative (the larger end of the range goes to the extreme weight); 0 if
 * all x are 0. */
float ft_fit_scale(const float *x, int n, int lo, int hi);

/* x ~ scale * q - min with q in 0 .. hi. min_positive: min >= 0 is required. */
void ft_fit_offset(const float *x, int n, int hi, int min_positive, float *ret_scale,
                   float *ret_min);

/* Sum of (x - (d q - m))^2, q = clamp(round((x + m) / d), lo, hi): what quantising would lose. */
float ft_fit_error(const float *x, int n, float d, float m, int lo, int hi);

/* q as above; d = 0 gives q = 0. */
void ft_fit_quantise(const float *x, int n, float d, float m, int lo, int hi, int8_t *q);

/* f16 bits of a scale, kept finite. */
static inline uint16_t ft_fit_f16(float d)
{
    return ft_f32_to_f16(d > 65504.0f ? 65504.0f : d < -65504.0f ? -65504.0f : d);
}

/* Nearest integer, for |x| < 2^22; not a number gives lo. */
static inline int ft_fit_round(float x, int lo, int hi)
{
    if (!(x > (float)lo))
        return lo;
    if (x > (float)hi)
        return hi;
    return (int)((x + 12582912.0f) - 12582912.0f);
}

#endif
