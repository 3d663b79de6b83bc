/* Formats with blocks of 32 weights and one f16 scale (and minimum): Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * Reading is the definition. Writing searches the scale (and offset) with the least squared error
 * (quant_fit.h). Blocks may lie at any address. */
#include "model/file/quant_impl.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/half.h"
#include "model/file/quant_block.h"
#include "model/file/quant_fit.h"
#include "model/file/quant_vec.h"

#define QK FT_QK_LEGACY

FT_VEC_CLONES
void ft_q4_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q4_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d);
        FT_VEC_LOOP
        for (int j = 0; j < QK / 2; j++)
            y[j] = (float)((b->qs[j] & 15) - 8) * d;
        FT_VEC_LOOP
        for (int j = 0; j < QK / 2; j++)
            y[j + QK / 2] = (float)((b->qs[j] >> 4) - 8) * d;
    }
}

FT_VEC_CLONES
void ft_q4_1_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q4_1 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d), m = ft_f16_to_f32(b->m);
        FT_VEC_LOOP
        for (int j = 0; j < QK / 2; j++)
            y[j] = (float)(b->qs[j] & 15) * d + m;
        FT_VEC_LOOP
        for (int j = 0; j < QK / 2; j++)
            y[j + QK / 2] = (float)(b->qs[j] >> 4) * d + m;
    }
}

/* y = d * (q - zero) + m for the 5-bit q. */
FT_VEC_INLINE void five_bits_expand(const uint8_t *qs, const uint8_t *high, int zero, float d,
                                    float m, float *y)
{
    uint32_t qh;
    memcpy(&qh, high, 4);
    FT_VEC_LOOP
    for (uint32_t j = 0; j < QK / 2; j++)
        y[j] = (float)((int)((qs[j] & 15u) | (qh >> j & 1u) << 4) - zero) * d + m;
    FT_VEC_LOOP
    for (uint32_t j = 0; j < QK / 2; j++)
        y[j + QK / 2] = (float)((int)(qs[j] >> 4 | (qh >> (j + 16) & 1u) << 4) - zero) * d + m;
}

FT_VEC_CLONES
void ft_q5_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q5_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK)
        five_bits_expand(b->qs, b->qh, 16, ft_f16_to_f32(b->d), -0.0f, y);
}

FT_VEC_CLONES
void ft_q5_1_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q5_1 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK)
        five_bits_expand(b->qs, b->qh, 0, ft_f16_to_f32(b->d), ft_f16_to_f32(b->m), y);
}

FT_VEC_CLONES
void ft_q8_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q8_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d);
        for (int j = 0; j < QK; j++)
            y[j] = (float)b->qs[j] * d;
    }
}

/* Nibbles of 32 levels 0..15 (of 5-bit levels: the low four bits). */
static void nibbles_pack(const int8_t *q, uint8_t *qs)
{
    for (int j = 0; j < QK / 2; j++)
        qs[j] = (uint8_t)((q[j] & 15) | (q[j + QK / 2] & 15) << 4);
}

static void fifth_bits_pack(const int8_t *q, uint8_t *qh)
{
    uint32_t bits = 0;
    for (int j = 0; j < QK; j++)
        bits |= (uint32_t)(q[j] >> 4 & 1) << j;
    memcpy(qh, &bits, 4);
}

/* Levels 0 .. 2 * half - 1 of a block around `half`, and the scale's f16 bits. */
static uint16_t symmetric_levels(const float *x, int half, int8_t *q)
{
    uint16_t d = ft_fit_f16(ft_fit_scale(x, QK, -half, half - 1));
    ft_fit_quantise(x, QK, ft_f16_to_f32(d), 0, -half, half - 1, q);
    for (int j = 0; j < QK; j++)
        q[j] = (int8_t)(q[j] + half);
    return d;
}

static uint16_t offset_levels(const float *x, int max, uint16_t *ret_m, int8_t *q)
{
    float scale, min;
    ft_fit_offset(x, QK, max, 0, &scale, &min);
    uint16_t d = ft_fit_f16(scale);
    *ret_m = ft_fit_f16(-min);
    ft_fit_quantise(x, QK, ft_f16_to_f32(d), -ft_f16_to_f32(*ret_m), 0, max, q);
    return d;
}

void ft_q4_0_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_q4_0 *b = y;
    int8_t q[QK];
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        b->d = symmetric_levels(x, 8, q);
        nibbles_pack(q, b->qs);
    }
}

void ft_q4_1_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_q4_1 *b = y;
    int8_t q[QK];
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        uint16_t m;
        b->d = offset_levels(x, 15, &m, q);
        b->m = m;
        nibbles_pack(q, b->qs);
    }
}

void ft_q5_0_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_q5_0 *b = y;
    int8_t q[QK];
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        b->d = symmetric_levels(x, 16, q);
        nibbles_pack(q, b->qs);
        fifth_bits_pack(q, b->qh);
    }
}

void ft_q5_1_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_q5_1 *b = y;
    int8_t q[QK];
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        uint16_t m;
        b->d = offset_levels(x, 31, &m, q);
        b->m = m;
        nibbles_pack(q, b->qs);
        fifth_bits_pack(q, b->qh);
    }
}

/* 8 bits leave nothing to search for: the extreme weight goes to 127. */
void ft_q8_0_quantise(const float *x, void *y, int64_t n)
{
    struct ft_block_q8_0 *b = y;
    for (int64_t i = 0; i < n / QK; i++, b++, x += QK) {
        float extreme = 0;
        for (int j = 0; j < QK; j++)
            extreme = fmaxf(extreme, fabsf(x[j]));
        b->d = ft_fit_f16(extreme / 127);
        ft_fit_quantise(x, QK, ft_f16_to_f32(b->d), 0, -127, 127, b->qs);
    }
}
