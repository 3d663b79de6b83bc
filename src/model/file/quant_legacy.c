/* Formats with blocks of 32 weights and one f16 scale (and minimum): Q4_0, Q4_1, Q5_0, Q5_1, Q8_0.
 *
 * Reading is the definition. Writing takes the scale from the block's extreme value, as every
 * reader of these formats expects, and rounds to nearest; see fit_symmetric for the search that
 * lowers the error further. Blocks may lie at any address. */
#include "model/file/quant_impl.h"

#include <math.h>
#include <string.h>

#include "base/err.h"
#include "base/half.h"
#include "model/file/quant_block.h"

#define QK FT_QK_LEGACY

void ft_q4_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q4_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d);
        for (int j = 0; j < QK / 2; j++) {
            y[j] = (float)((b->qs[j] & 15) - 8) * d;
            y[j + QK / 2] = (float)((b->qs[j] >> 4) - 8) * d;
        }
    }
}

void ft_q4_1_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q4_1 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d), m = ft_f16_to_f32(b->m);
        for (int j = 0; j < QK / 2; j++) {
            y[j] = (float)(b->qs[j] & 15) * d + m;
            y[j + QK / 2] = (float)(b->qs[j] >> 4) * d + m;
        }
    }
}

/* The 5-bit value of weight j. */
static inline int five_bits(const uint8_t *qs, uint32_t qh, int j)
{
    int low = j < QK / 2 ? qs[j] & 15 : qs[j - QK / 2] >> 4;
    return low | (int)(qh >> j & 1) << 4;
}

void ft_q5_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q5_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d);
        uint32_t qh;
        memcpy(&qh, b->qh, 4);
        for (int j = 0; j < QK; j++)
            y[j] = (float)(five_bits(b->qs, qh, j) - 16) * d;
    }
}

void ft_q5_1_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q5_1 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d), m = ft_f16_to_f32(b->m);
        uint32_t qh;
        memcpy(&qh, b->qh, 4);
        for (int j = 0; j < QK; j++)
            y[j] = (float)five_bits(b->qs, qh, j) * d + m;
    }
}

void ft_q8_0_dequantise(const void *x, float *y, int64_t n)
{
    const struct ft_block_q8_0 *b = x;
    for (int64_t i = 0; i < n / QK; i++, b++, y += QK) {
        float d = ft_f16_to_f32(b->d);
        for (int j = 0; j < QK; j++)
            y[j] = (float)b->qs[j] * d;
    }
}
