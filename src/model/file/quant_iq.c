/* Formats whose 4-bit codes index a table of values: IQ4_NL, IQ4_XS (a fixed non-linear table) and
 * MXFP4 (E2M1 values, OCP Microscaling Formats specification 1.0). */
#include "model/file/quant_impl.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/half.h"
#include "model/file/quant_block.h"
#include "model/file/quant_fit.h"
#include "model/file/quant_vec.h"

/* The values are part of the format. */
const int8_t ft_iq4_values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                  1,    13,   25,  38,  53,  69,  89,  113};
/* Twice the E2M1 values 0, 0.5, 1, 1.5, 2, 3, 4, 6, so that they are integers. */
const int8_t ft_mxfp4_values[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

/* Half of 2^(e - 127): goes with the doubled values. */
static float half_scale(uint8_t e)
{
    return ft_f32_from_bits(e < 2 ? 0x00200000u << e : (uint32_t)(e - 1) << 23);
}

FT_VEC_INLINE void nibbles_expand(const uint8_t *qs, float d, const int8_t *values, float *y)
{
    for (int j = 0; j < 16; j++)
        y[j] = d * (float)values[qs[j] & 15];
    for (int j = 0; j < 16; j++)
        y[j + 16] = d * (float)values[qs[j] >> 4];
}

FT_VEC_CLONES
void ft_iq4_nl_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_iq4_nl *b = x;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, y += FT_QK_LEGACY)
        nibbles_expand(b->qs, ft_f16_to_f32(b->d), ft_iq4_values, y);
}

FT_VEC_CLONES
void ft_iq4_xs_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_iq4_xs *b = x;
    for (int64_t i = 0; i < n / FT_QK_SUPER; i++, b++) {
        float d = ft_f16_to_f32(b->d);
        for (int sub = 0; sub < 8; sub++, y += 32) {
            int low = b->scales_l[sub / 2] >> (4 * (sub % 2)) & 15;
            int scale = (low | (b->scales_h >> (2 * sub) & 3) << 4) - 32;
            nibbles_expand(b->qs + 16 * sub, d * (float)scale, ft_iq4_values, y);
        }
    }
}

FT_VEC_CLONES
void ft_mxfp4_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_mxfp4 *b = x;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, y += FT_QK_LEGACY)
        nibbles_expand(b->qs, half_scale(b->e), ft_mxfp4_values, y);
}

/* The code of the value nearest to x: values must ascend. */
static int nearest_iq4(float x)
{
    int low = 0, high = 15;
    while (high - low > 1) {
        int mid = (low + high) / 2;
        if (x < (float)ft_iq4_values[mid])
            high = mid;
        else
            low = mid;
    }
    return x - (float)ft_iq4_values[low] < (float)ft_iq4_values[high] - x ? low : high;
}

/* *x becomes the nearest of the table's values: each midpoint below it adds a step. */
FT_VEC_INLINE void iq4_nearest(ft_vec *x)
{
    ft_vec v, middle, step;
    ft_vec_splat(&v, (float)ft_iq4_values[0]);
    for (int k = 0; k < 15; k++) {
        float low = (float)ft_iq4_values[k], high = (float)ft_iq4_values[k + 1];
        ft_vec_splat(&middle, (low + high) / 2);
        ft_vec_splat(&step, high - low);
        v += (ft_vec)((*x >= middle) & (ft_ivec)step);
    }
    *x = v;
}

FT_VEC_CLONES
static float iq4_error(const float *x, float d)
{
    ft_vec inverse, scale, error, v, q;
    ft_vec_splat(&inverse, d != 0 ? 1 / d : 0);
    ft_vec_splat(&scale, d);
    ft_vec_splat(&error, 0);
    for (int i = 0; i < 32; i += FT_VEC_LANES) {
        ft_vec_load(&v, x + i);
        q = v * inverse;
        iq4_nearest(&q);
        v -= scale * q;
        error += v * v;
    }
    return ft_vec_sum(&error);
}

FT_VEC_INLINE void iq4_score(const float *x, float inverse, float *ret_xq, float *ret_qq)
{
    ft_vec inv, xq, qq, v, q;
    ft_vec_splat(&inv, inverse);
    ft_vec_splat(&xq, 0);
    ft_vec_splat(&qq, 0);
    for (int i = 0; i < 32; i += FT_VEC_LANES) {
        ft_vec_load(&v, x + i);
        q = v * inv;
        iq4_nearest(&q);
        xq += v * q;
        qq += q * q;
    }
    *ret_xq = ft_vec_sum(&xq);
    *ret_qq = ft_vec_sum(&qq);
}

/* The least-squares scale of 32 weights; as ft_fit_scale, over the table. */
FT_VEC_CLONES
static float iq4_scale(const float *x)
{
    float extreme = 0, best = 0, best_scale;
    for (int i = 0; i < 32; i++)
        if (fabsf(x[i]) > fabsf(extreme))
            extreme = x[i];
    if (!(fabsf(extreme) > 1e-30f) || isinf(extreme))
        return 0;
    best_scale = extreme / (float)ft_iq4_values[0];
    for (int step = -7; step <= 7; step++) {
        float inverse = (float)(ft_iq4_values[0] + 2 * step) / extreme;
        for (int sign = 0; sign < 2; sign++, inverse = -inverse) {
            float xq, qq;
            iq4_score(x, inverse, &xq, &qq);
            if (qq > 0 && xq * xq > best * qq) {
                best = xq * xq / qq;
                best_scale = xq / qq;
            }
        }
    }
    return best_scale;
}

static void iq4_codes(const float *x, float d, uint8_t *qs)
{
    float inverse = d != 0 ? 1 / d : 0;
    for (int j = 0; j < 16; j++)
        qs[j] = (uint8_t)(nearest_iq4(x[j] * inverse) | nearest_iq4(x[j + 16] * inverse) << 4);
}

void ft_iq4_nl_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_iq4_nl *b = y;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, x += FT_QK_LEGACY) {
        b->d = ft_fit_f16(iq4_scale(x));
        iq4_codes(x, ft_f16_to_f32(b->d), b->qs);
    }
}

/* Each sub-block's scale in -32 .. 31 of the super-block's, the better neighbour of the rounded
 * one. */
void ft_iq4_xs_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_iq4_xs *b = y;
    for (int64_t i = 0; i < n / FT_QK_SUPER; i++, b++, x += FT_QK_SUPER) {
        float scale[8], top = 0;
        for (int sub = 0; sub < 8; sub++) {
            scale[sub] = iq4_scale(x + 32 * sub);
            if (fabsf(scale[sub]) > fabsf(top))
                top = scale[sub];
        }
        memset(b, 0, sizeof *b);
        b->d = ft_fit_f16(top / -32);
        float d = ft_f16_to_f32(b->d);
        uint16_t high = 0;
        for (int sub = 0; sub < 8; sub++) {
            const float *v = x + 32 * sub;
            int middle = d != 0 ? ft_fit_round(scale[sub] / d, -32, 31) : 0, best = middle;
            float best_error = iq4_error(v, d * (float)middle);
            for (int k = FT_MAX(middle - 1, -32); k <= FT_MIN(middle + 1, 31); k++) {
                float e = iq4_error(v, d * (float)k);
                if (e < best_error) {
                    best_error = e;
                    best = k;
                }
            }
            b->scales_l[sub / 2] |= (uint8_t)(((best + 32) & 15) << (4 * (sub % 2)));
            high |= (uint16_t)((best + 32) >> 4 << (2 * sub));
            iq4_codes(v, d * (float)best, b->qs + 16 * sub);
        }
        b->scales_h = high;
    }
}

/* The E2M1 code nearest to x (in doubled units). */
static uint8_t nearest_mxfp4(float x)
{
    static const float middle[7] = {0.5f, 1.5f, 2.5f, 3.5f, 5, 7, 10};
    float a = fabsf(x);
    uint8_t code = 0;
    for (int i = 0; i < 7; i++)
        code = (uint8_t)(code + (a > middle[i]));
    return x < 0 && code != 0 ? code | 8 : code;
}

static float mxfp4_error(const float *x, uint8_t e)
{
    float d = half_scale(e), error = 0;
    for (int j = 0; j < 32; j++) {
        float v = x[j] - d * (float)ft_mxfp4_values[nearest_mxfp4(x[j] / d)];
        error += v * v;
    }
    return error;
}

/* The exponent is a power of two: of the three around the extreme weight's, the best. */
void ft_mxfp4_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_mxfp4 *b = y;
    for (int64_t i = 0; i < n / FT_QK_LEGACY; i++, b++, x += FT_QK_LEGACY) {
        float extreme = 0;
        for (int j = 0; j < 32; j++)
            extreme = fmaxf(extreme, fabsf(x[j]));
        int exponent = extreme > 0 && !isinf(extreme) ? ilogbf(extreme) - 2 + 127 : 0;
        int best = FT_MIN(FT_MAX(exponent, 0), 254);
        for (int e = FT_MAX(exponent - 1, 0); e <= FT_MIN(exponent + 1, 254); e++)
            if (mxfp4_error(x, (uint8_t)e) < mxfp4_error(x, (uint8_t)best))
                best = e;
        b->e = (uint8_t)best;
        float d = half_scale(b->e);
        for (int j = 0; j < 16; j++)
            b->qs[j] = (uint8_t)(nearest_mxfp4(x[j] / d) | nearest_mxfp4(x[j + 16] / d) << 4);
    }
}
