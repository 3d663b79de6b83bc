/* Searches of quant_fit.h: a row of candidate scales around the one that maps the extreme weight to
 * the end of the range; for each, the levels it gives and the least-squares scale (and offset) for
 * those levels; the best of all wins. */
#include "model/file/quant_fit.h"

#include <math.h>

#include "model/file/quant_vec.h"

/* Candidates reach this many levels past the range's end either way, in steps of STEP. Wider or
 * finer gained less than 0.2% of the error on Gaussian weights. */
#define REACH 0.9f
#define STEP  0.1f

/* sum x q and sum q^2 of the levels q = clamp(round(x inverse), lo, hi) */
FT_VEC_INLINE void score_scale(const float *x, int n, float inverse, int lo, int hi, float *ret_xq,
                               float *ret_qq)
{
    ft_vec vlo, vhi, inv, xq, qq, v, q;
    ft_vec_splat(&vlo, (float)lo);
    ft_vec_splat(&vhi, (float)hi);
    ft_vec_splat(&inv, inverse);
    ft_vec_splat(&xq, 0);
    ft_vec_splat(&qq, 0);
    for (int i = 0; i < n; i += FT_VEC_LANES) {
        ft_vec_load(&v, x + i);
        q = v * inv;
        ft_vec_levels(&q, &vlo, &vhi);
        xq += v * q;
        qq += q * q;
    }
    *ret_xq = ft_vec_sum(&xq);
    *ret_qq = ft_vec_sum(&qq);
}

struct offset_sums {
    float q, qq, xq;
};

/* The same for q = clamp(round((x - low) inverse), 0, hi), with sum q. */
FT_VEC_INLINE void score_offset(const float *x, int n, float inverse, float low, int hi,
                                struct offset_sums *ret)
{
    ft_vec zero, vhi, vlow, inv, sq, sqq, sxq, v, q;
    ft_vec_splat(&zero, 0);
    ft_vec_splat(&vhi, (float)hi);
    ft_vec_splat(&vlow, low);
    ft_vec_splat(&inv, inverse);
    sq = sqq = sxq = zero;
    for (int i = 0; i < n; i += FT_VEC_LANES) {
        ft_vec_load(&v, x + i);
        q = (v - vlow) * inv;
        ft_vec_levels(&q, &zero, &vhi);
        sq += q;
        sqq += q * q;
        sxq += v * q;
    }
    *ret = (struct offset_sums){ft_vec_sum(&sq), ft_vec_sum(&sqq), ft_vec_sum(&sxq)};
}

FT_VEC_CLONES
float ft_fit_scale(const float *x, int n, int lo, int hi)
{
    float extreme = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    if (!(fabsf(extreme) > 1e-30f) || isinf(extreme))
        return 0;
    float best = 0, best_scale = extreme / (float)lo;
    for (float past = -REACH; past < REACH + STEP / 2; past += STEP) {
        float a, b;
        score_scale(x, n, ((float)lo + past) / extreme, lo, hi, &a, &b);
        if (b > 0 && a * a > best * b) { /* the error is sum x^2 - a^2 / b */
            best = a * a / b;
            best_scale = a / b;
        }
    }
    return best_scale;
}

FT_VEC_CLONES
void ft_fit_offset(const float *x, int n, int hi, int min_positive, float *ret_scale,
                   float *ret_min)
{
    float low = x[0], high = x[0], sum_x = 0;
    for (int i = 0; i < n; i++) {
        low = fminf(low, x[i]);
        high = fmaxf(high, x[i]);
        sum_x += x[i];
    }
    if (min_positive && low > 0)
        low = 0;
    *ret_scale = 0;
    *ret_min = -low;
    float range = high - low;
    if (!(range > 1e-30f) || isinf(range))
        return;
    float best = INFINITY, count = (float)n;
    for (float past = -REACH; past < REACH + STEP / 2; past += STEP) {
        struct offset_sums t;
        score_offset(x, n, ((float)hi + past) / range, low, hi, &t);
        float q = t.q, qq = t.qq, xq = t.xq, det = count * qq - q * q;
        if (!(det > 0))
            continue;
        float scale = (count * xq - sum_x * q) / det, offset = (qq * sum_x - q * xq) / det;
        if (min_positive && offset > 0) {
            offset = 0;
            scale = xq / qq;
        }
        /* sum (x - scale q - offset)^2, without the constant sum x^2 */
        float error = scale * scale * qq + count * offset * offset + 2 * scale * offset * q -
                      2 * (scale * xq + offset * sum_x);
        if (error < best) {
            best = error;
            *ret_scale = scale;
            *ret_min = -offset;
        }
    }
}

FT_VEC_CLONES
float ft_fit_error(const float *x, int n, float d, float m, int lo, int hi)
{
    ft_vec vlo, vhi, scale, min, inverse, error, v, q;
    ft_vec_splat(&vlo, (float)lo);
    ft_vec_splat(&vhi, (float)hi);
    ft_vec_splat(&scale, d);
    ft_vec_splat(&min, m);
    ft_vec_splat(&inverse, d != 0 ? 1 / d : 0);
    ft_vec_splat(&error, 0);
    for (int i = 0; i < n; i += FT_VEC_LANES) {
        ft_vec_load(&v, x + i);
        v += min;
        q = v * inverse;
        ft_vec_levels(&q, &vlo, &vhi);
        v -= scale * q;
        error += v * v;
    }
    return ft_vec_sum(&error);
}

void ft_fit_quantise(const float *x, int n, float d, float m, int lo, int hi, int8_t *q)
{
    float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)ft_fit_round((x[i] + m) * inverse, lo, hi);
}
