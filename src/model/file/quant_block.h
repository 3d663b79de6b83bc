/* Byte layouts of the block formats, as GGUF files hold them (ggml's definitions). Little endian.
 *
 * For code that reads blocks directly (kernels, quantisers). Blocks in a mapped file may lie at any
 * address, so the structs are packed: take copies of the 16-bit fields, never their address. */
#ifndef FT_MODEL_QUANT_BLOCK_H
#define FT_MODEL_QUANT_BLOCK_H

#include <stdint.h>

#define FT_QK_LEGACY 32  /* weights per block: Q4_0 .. Q8_0, IQ4_NL, MXFP4 */
#define FT_QK_SUPER  256 /* weights per block: Q2_K .. Q6_K, IQ4_XS */

#define FT_PACKED __attribute__((packed))

/* y = d * (q - 8); weight j in the low nibble of qs[j], j + 16 in the high one (all 4-bit here). */
struct FT_PACKED ft_block_q4_0 {
    uint16_t d; /* f16, as every d, m and dmin below */
    uint8_t qs[16];
};

/* y = d * q + m */
struct FT_PACKED ft_block_q4_1 {
    uint16_t d, m;
    uint8_t qs[16];
};

/* y = d * (q - 16); bit j of qh is the fifth bit of weight j */
struct FT_PACKED ft_block_q5_0 {
    uint16_t d;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* y = d * q + m */
struct FT_PACKED ft_block_q5_1 {
    uint16_t d, m;
    uint8_t qh[4];
    uint8_t qs[16];
};

/* y = d * q */
struct FT_PACKED ft_block_q8_0 {
    uint16_t d;
    int8_t qs[32];
};

/* 16 sub-blocks of 16: y = d * (scales & 15) * q - dmin * (scales >> 4). Weight 128 h + 32 s + l
 * has its two bits at 2 s of qs[32 h + l]. */
struct FT_PACKED ft_block_q2_k {
    uint8_t scales[16];
    uint8_t qs[64];
    uint16_t d, dmin;
};

/* 16 sub-blocks of 16: y = d * (scale - 32) * (q - 4), q's third bit in hmask: bit 4 h + s of
 * hmask[l]; the low two as in Q2_K. Scales are 6 bits, see ft_q3_k_scales. */
struct FT_PACKED ft_block_q3_k {
    uint8_t hmask[32];
    uint8_t qs[64];
    uint8_t scales[12];
    uint16_t d;
};

/* 8 sub-blocks of 32: y = d * scale * q - dmin * min; 6-bit pairs, see ft_q4_k_scale. Weight
 * 64 p + l is the low nibble of qs[32 p + l], 64 p + 32 + l the high one. */
struct FT_PACKED ft_block_q4_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qs[128];
};

/* As Q4_K; bit i of qh[l] is the fifth bit of weight 32 i + l. */
struct FT_PACKED ft_block_q5_k {
    uint16_t d, dmin;
    uint8_t scales[12];
    uint8_t qh[32];
    uint8_t qs[128];
};

/* 16 sub-blocks of 16: y = d * scale * (q - 32). In each half h of 128: weights l, 32 + l are
 * the low nibbles of ql[64 h + l], ql[64 h + 32 + l]; 64 + l, 96 + l the high ones; the two
 * upper bits of weight 32 s + l at 2 s of qh[32 h + l]. */
struct FT_PACKED ft_block_q6_k {
    uint8_t ql[128];
    uint8_t qh[64];
    int8_t scales[16];
    uint16_t d;
};

/* y = d * ft_iq4_values[q] */
struct FT_PACKED ft_block_iq4_nl {
    uint16_t d;
    uint8_t qs[16];
};

/* 8 sub-blocks of 32: y = d * (scale - 32) * ft_iq4_values[q]; the scale's low nibble in
 * scales_l, its upper two bits at 2 i of scales_h; qs[16 i + ...] as Q4_0. */
struct FT_PACKED ft_block_iq4_xs {
    uint16_t d;
    uint16_t scales_h;
    uint8_t scales_l[4];
    uint8_t qs[128];
};

/* y = 2^(e - 127) * (E2M1 value of q), kept as ft_mxfp4_values (twice the value) and half the
 * scale */
struct FT_PACKED ft_block_mxfp4 {
    uint8_t e;
    uint8_t qs[16];
};

extern const int8_t ft_iq4_values[16];
extern const int8_t ft_mxfp4_values[16];

/* The 6-bit scale and min of sub-block j (0..7) of Q4_K and Q5_K. */
static inline void ft_q4_k_scale(const uint8_t *s, int j, uint8_t *scale, uint8_t *min)
{
    if (j < 4) {
        *scale = s[j] & 63;
        *min = s[j + 4] & 63;
    } else {
        *scale = (uint8_t)((s[j + 4] & 15) | (s[j - 4] >> 6) << 4);
        *min = (uint8_t)(s[j + 4] >> 4 | (s[j] >> 6) << 4);
    }
}

/* The 16 scales of Q3_K, already less 32. */
static inline void ft_q3_k_scales(const uint8_t *s, int8_t scales[16])
{
    for (int j = 0; j < 16; j++) {
        int low = j < 8 ? s[j] & 15 : s[j - 8] >> 4;
        int high = s[8 + j % 4] >> (2 * (j / 4)) & 3;
        scales[j] = (int8_t)((low | high << 4) - 32);
    }
}

#endif
