/* The table of weight formats, and the formats without blocks (F32, F16, BF16).
 *
 * Blocks of 32 are in quant_legacy.c, super-blocks of 256 in quant_k.c (reading) and quant_k_fit.c
 * (writing), formats with a table of values in quant_iq.c. A new format is its functions, one row
 * here and its layout in quant_block.h. */
#include "model/file/quant.h"

#include <string.h>
#include <strings.h>

#include "base/err.h"
#include "base/half.h"
#include "model/file/quant_block.h"
#include "model/file/quant_impl.h"
#include "model/file/quant_vec.h"

static void f32_copy(const void *x, float *y, int64_t n)
{
    memcpy(y, x, (size_t)n * 4);
}

static void f32_quantise(const float *x, void *y, int64_t n)
{
    memcpy(y, x, (size_t)n * 4);
}

FT_VEC_CLONES
static void f16_dequantise(const void *x, float *y, int64_t n)
{
    const uint8_t *p = x;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        y[i] = ft_f16_to_f32(h);
    }
}

static void f16_quantise(const float *x, void *y, int64_t n)
{
    uint8_t *p = y;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = ft_f32_to_f16(x[i]);
        memcpy(p + 2 * i, &h, 2);
    }
}

FT_VEC_CLONES
static void bf16_dequantise(const void *x, float *y, int64_t n)
{
    const uint8_t *p = x;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h;
        memcpy(&h, p + 2 * i, 2);
        y[i] = ft_bf16_to_f32(h);
    }
}

static void bf16_quantise(const float *x, void *y, int64_t n)
{
    uint8_t *p = y;
    for (int64_t i = 0; i < n; i++) {
        uint16_t h = ft_f32_to_bf16(x[i]);
        memcpy(p + 2 * i, &h, 2);
    }
}

#define BLOCKS(id, text, len, name)                                                                \
    {                                                                                              \
        id, text, len, sizeof(struct ft_block_##name), ft_##name##_dequantise,                     \
            ft_##name##_quantise                                                                   \
    }

static const struct ft_type_info types[] = {
    {FT_F32, "F32", 1, 4, f32_copy, f32_quantise},
    {FT_F16, "F16", 1, 2, f16_dequantise, f16_quantise},
    {FT_BF16, "BF16", 1, 2, bf16_dequantise, bf16_quantise},
    BLOCKS(FT_Q4_0, "Q4_0", FT_QK_LEGACY, q4_0),
    BLOCKS(FT_Q4_1, "Q4_1", FT_QK_LEGACY, q4_1),
    BLOCKS(FT_Q5_0, "Q5_0", FT_QK_LEGACY, q5_0),
    BLOCKS(FT_Q5_1, "Q5_1", FT_QK_LEGACY, q5_1),
    BLOCKS(FT_Q8_0, "Q8_0", FT_QK_LEGACY, q8_0),
    BLOCKS(FT_Q2_K, "Q2_K", FT_QK_SUPER, q2_k),
    BLOCKS(FT_Q3_K, "Q3_K", FT_QK_SUPER, q3_k),
    BLOCKS(FT_Q4_K, "Q4_K", FT_QK_SUPER, q4_k),
    BLOCKS(FT_Q5_K, "Q5_K", FT_QK_SUPER, q5_k),
    BLOCKS(FT_Q6_K, "Q6_K", FT_QK_SUPER, q6_k),
    BLOCKS(FT_IQ4_NL, "IQ4_NL", FT_QK_LEGACY, iq4_nl),
    BLOCKS(FT_IQ4_XS, "IQ4_XS", FT_QK_SUPER, iq4_xs),
    BLOCKS(FT_MXFP4, "MXFP4", FT_QK_LEGACY, mxfp4),
};

_Static_assert(sizeof(struct ft_block_q4_0) == 18 && sizeof(struct ft_block_q4_1) == 20 &&
                   sizeof(struct ft_block_q5_0) == 22 && sizeof(struct ft_block_q5_1) == 24 &&
                   sizeof(struct ft_block_q8_0) == 34,
               "blocks of 32");
_Static_assert(sizeof(struct ft_block_q2_k) == 84 && sizeof(struct ft_block_q3_k) == 110 &&
                   sizeof(struct ft_block_q4_k) == 144 && sizeof(struct ft_block_q5_k) == 176 &&
                   sizeof(struct ft_block_q6_k) == 210,
               "blocks of 256");
_Static_assert(sizeof(struct ft_block_iq4_nl) == 18 && sizeof(struct ft_block_iq4_xs) == 136 &&
                   sizeof(struct ft_block_mxfp4) == 17,
               "blocks with a table of values");

const struct ft_type_info *ft_type_info(enum ft_type type)
{
    for (size_t i = 0; i < FT_COUNT(types); i++)
        if (types[i].type == type)
            return &types[i];
    return NULL;
}

const struct ft_type_info *ft_type_by_name(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(types); i++)
        if (strcasecmp(types[i].name, name) == 0)
            return &types[i];
    return NULL;
}
