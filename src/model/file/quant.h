/* Weight formats: their blocks, how they become f32 and back.
 *
 * A row of k weights is k / block_len blocks of block_bytes bytes. Numbers of the enum are GGUF's
 * tensor type ids (ggml's `enum ggml_type`). dequantise is the plain definition every device is
 * tested against. */
#ifndef FT_MODEL_QUANT_H
#define FT_MODEL_QUANT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum ft_type {
    FT_F32 = 0,
    FT_F16 = 1,
    FT_Q4_0 = 2,
    FT_Q4_1 = 3,
    FT_Q5_0 = 6,
    FT_Q5_1 = 7,
    FT_Q8_0 = 8,
    FT_Q2_K = 10,
    FT_Q3_K = 11,
    FT_Q4_K = 12,
    FT_Q5_K = 13,
    FT_Q6_K = 14,
    FT_IQ4_NL = 20,
    FT_IQ4_XS = 23,
    FT_BF16 = 30,
    FT_MXFP4 = 39,
};

struct ft_type_info {
    enum ft_type type;
    const char *name; /* "Q4_K" */
    int block_len;    /* weights per block: 1, 32 or 256 */
    int block_bytes;
    /* x: n / block_len blocks; y: [n] f32. n is a multiple of block_len. */
    void (*dequantise)(const void *x, float *y, int64_t n);
    /* NULL where this build does not write the format. x: [n] f32. */
    void (*quantise)(const float *x, void *y, int64_t n);
};

/* NULL for a type this build does not know. */
const struct ft_type_info *ft_type_info(enum ft_type type);
const struct ft_type_info *ft_type_by_name(const char *name); /* case-insensitive */

/* Single numbers, not blocks with scales: F32, F16, BF16. */
static inline bool ft_type_is_float(enum ft_type t)
{
    return t == FT_F32 || t == FT_F16 || t == FT_BF16;
}

/* Bytes of a row of k weights; k must be a multiple of block_len. */
static inline size_t ft_type_row_bytes(const struct ft_type_info *t, int64_t k)
{
    return (size_t)(k / t->block_len) * (size_t)t->block_bytes;
}

#endif
