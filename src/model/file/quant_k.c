/* Reading the formats with super-blocks of 256 weights: Q2_K to Q6_K.
 *
 * Each sub-block has a small integer scale (and minimum) of its own, times the super-block's f16
 * ones. quant_block.h says where the bits are; writing is in quant_k_fit.c. */
#include "base/half.h"
#include "model/file/quant_block.h"
#include "model/file/quant_impl.h"
#include "model/file/quant_vec.h"

#define QK FT_QK_SUPER

FT_VEC_CLONES
void ft_q2_k_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q2_k *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++) {
        float d = ft_f16_to_f32(b->d), dmin = ft_f16_to_f32(b->dmin);
        for (int sub = 0; sub < 16; sub++) {
            float dl = d * (float)(b->scales[sub] & 15), ml = dmin * (float)(b->scales[sub] >> 4);
            const uint8_t *q = b->qs + 32 * (sub / 8) + 16 * (sub % 2);
            int shift = 2 * (sub % 8 / 2);
            FT_VEC_LOOP
            for (int l = 0; l < 16; l++)
                *y++ = dl * (float)(q[l] >> shift & 3) - ml;
        }
    }
}

FT_VEC_CLONES
void ft_q3_k_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q3_k *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++) {
        float d = ft_f16_to_f32(b->d);
        int8_t scales[16];
        ft_q3_k_scales(b->scales, scales);
        for (int sub = 0; sub < 16; sub++) {
            float dl = d * (float)scales[sub];
            const uint8_t *q = b->qs + 32 * (sub / 8) + 16 * (sub % 2);
            const uint8_t *hm = b->hmask + 16 * (sub % 2);
            int shift = 2 * (sub % 8 / 2), bit = sub / 2;
            FT_VEC_LOOP
            for (int l = 0; l < 16; l++)
                *y++ = dl * (float)((q[l] >> shift & 3) - ((hm[l] >> bit & 1) != 0 ? 0 : 4));
        }
    }
}

FT_VEC_CLONES
void ft_q4_k_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q4_k *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++) {
        float d = ft_f16_to_f32(b->d), dmin = ft_f16_to_f32(b->dmin);
        for (int sub = 0; sub < 8; sub++) {
            uint8_t sc, m;
            ft_q4_k_scale(b->scales, sub, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (sub / 2);
            int shift = 4 * (sub % 2);
            for (int l = 0; l < 32; l++)
                *y++ = dl * (float)(q[l] >> shift & 15) - ml;
        }
    }
}

FT_VEC_CLONES
void ft_q5_k_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q5_k *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++) {
        float d = ft_f16_to_f32(b->d), dmin = ft_f16_to_f32(b->dmin);
        for (int sub = 0; sub < 8; sub++) {
            uint8_t sc, m;
            ft_q4_k_scale(b->scales, sub, &sc, &m);
            float dl = d * (float)sc, ml = dmin * (float)m;
            const uint8_t *q = b->qs + 32 * (sub / 2);
            int shift = 4 * (sub % 2);
            for (int l = 0; l < 32; l++)
                *y++ = dl * (float)((q[l] >> shift & 15) + (b->qh[l] >> sub & 1) * 16) - ml;
        }
    }
}

FT_VEC_CLONES
void ft_q6_k_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q6_k *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++) {
        float d = ft_f16_to_f32(b->d);
        for (int sub = 0; sub < 16; sub++) {
            float dl = d * (float)b->scales[sub];
            int half = sub / 8, s = sub % 8 / 2, l0 = 16 * (sub % 2); /* weight 32 s + l0 + l */
            const uint8_t *ql = b->ql + 64 * half + 32 * (s % 2) + l0;
            const uint8_t *qh = b->qh + 32 * half + l0;
            FT_VEC_LOOP
            for (int l = 0; l < 16; l++) {
                int q = (ql[l] >> (4 * (s / 2)) & 15) | (qh[l] >> (2 * s) & 3) << 4;
                *y++ = dl * (float)(q - 32);
            }
        }
    }
}
