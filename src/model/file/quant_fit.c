/* Searches of quant_fit.h: a row of candidate scales around the one that maps the extreme weight to
 * the end of the range; for each, the levels it gives and the least-squares scale (and offset) for
 * those levels; the best of all wins. Written with GCC's vector types so that every target gets
 * its SIMD without intrinsics. */
#include "model/file/quant_fit.h"

#include <math.h>

#define LANES 4
typedef float vec __attribute__((vector_size(16)));
typedef int32_t ivec __attribute__((vector_size(16)));

/* Candidates reach this many levels past the range's end either way, in steps of STEP. Wider or
 * finer gained less than 0.2% of the error on Gaussian weights. */
#define REACH 0.9f
#define STEP  0.1f

static inline vec splat(float x)
{
    return (vec){x, x, x, x};
}

static inline vec load(const float *p)
{
    vec v;
    __builtin_memcpy(&v, p, sizeof v);
    return v;
}

static inline vec select_vec(ivec mask, vec a, vec b)
{
    return (vec)((mask & (ivec)a) | (~mask & (ivec)b));
}

/* clamp(round(x), lo, hi); not a number gives lo */
static inline vec levels(vec x, vec lo, vec hi)
{
    x = select_vec(x > lo, x, lo);
    x = select_vec(x < hi, x, hi);
    const vec magic = splat(12582912.0f);
    return (x + magic) - magic;
}

static inline float sum(vec v)
{
    return (v[0] + v[1]) + (v[2] + v[3]);
}

float ft_fit_scale(const float *x, int n, int lo, int hi)
{
    float extreme = 0;
    for (int i = 0; i < n; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    if (!(fabsf(extreme) > 1e-30f) || isinf(extreme))
        return 0;
    const vec vlo = splat((float)lo), vhi = splat((float)hi);
    float best = 0, best_scale = extreme / (float)lo;
    for (float past = -REACH; past < REACH + STEP / 2; past += STEP) {
        vec inverse = splat(((float)lo + past) / extreme), xq = splat(0), qq = splat(0);
        for (int i = 0; i < n; i += LANES) {
            vec v = load(x + i), q = levels(v * inverse, vlo, vhi);
            xq += v * q;
            qq += q * q;
        }
        float a = sum(xq), b = sum(qq);
        if (b > 0 && a * a > best * b) { /* the error is sum x^2 - a^2 / b */
            best = a * a / b;
            best_scale = a / b;
        }
    }
    return best_scale;
}

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
    const vec zero = splat(0), vhi = splat((float)hi), vlow = splat(low);
    float best = INFINITY, count = (float)n;
    for (float past = -REACH; past < REACH + STEP / 2; past += STEP) {
        vec inverse = splat(((float)hi + past) / range), sq = zero, sqq = zero, sxq = zero;
        for (int i = 0; i < n; i += LANES) {
            vec v = load(x + i), q = levels((v - vlow) * inverse, zero, vhi);
            sq += q;
            sqq += q * q;
            sxq += v * q;
        }
        float q = sum(sq), qq = sum(sqq), xq = sum(sxq), det = count * qq - q * q;
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

float ft_fit_error(const float *x, int n, float d, float m, int lo, int hi)
{
    const vec vlo = splat((float)lo), vhi = splat((float)hi), scale = splat(d), min = splat(m);
    const vec inverse = splat(d != 0 ? 1 / d : 0);
    vec error = splat(0);
    for (int i = 0; i < n; i += LANES) {
        vec v = load(x + i) + min, e = v - scale * levels(v * inverse, vlo, vhi);
        error += e * e;
    }
    return sum(error);
}

void ft_fit_quantise(const float *x, int n, float d, float m, int lo, int hi, int8_t *q)
{
    float inverse = d != 0 ? 1 / d : 0;
    for (int i = 0; i < n; i++)
        q[i] = (int8_t)ft_fit_round((x[i] + m) * inverse, lo, hi);
}
