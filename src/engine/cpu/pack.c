/* The panel layout of every quantised format (mm.h describes it): file blocks in, panels out.
 *
 * Works on words of four weights, the unit that the kernels multiply. Each format is three choices:
 * where its bits are in the file, how its scales are laid out, and its row in mm_format.h.
 * Plain C: loading is bound by memory. */
#include <string.h>

#include "base/half.h"
#include "engine/cpu/mm_format.h"
#include "model/file/quant_block.h"

#define R FT_CPU_ROWS

const struct ft_cpu_fmt *ft_cpu_fmt_of(enum ft_type type)
{
    for (int i = 0; i < FT_CPU_FMT_COUNT; i++)
        if (ft_cpu_format[i].type == type)
            return &ft_cpu_format[i];
    return NULL;
}

size_t ft_cpu_scales_bytes(const struct ft_cpu_fmt *f, int64_t n_in)
{
    size_t units = (size_t)n_in / 32 / (size_t)f->scale_blocks;
    return (units * (size_t)f->scale_bytes + 63) & ~(size_t)63;
}

size_t ft_cpu_panel_bytes(const struct ft_cpu_fmt *f, int64_t n_in)
{
    return ft_cpu_scales_bytes(f, n_in) + (size_t)n_in / 32 * (size_t)f->q_bytes;
}

static inline uint32_t word(const uint8_t *p)
{
    uint32_t w;
    memcpy(&w, p, 4);
    return w;
}

/* Nibbles at bit `shift` (0 or 4) of 32 bytes -> the four words of a block's nibble field. */
static inline void nibbles_gather(const uint8_t *p, int shift, uint32_t *out)
{
    for (int j = 0; j < 4; j++)
        out[j * R] = (word(p + 4 * j) >> shift & 0x0f0f0f0fu) |
                     (word(p + 16 + 4 * j) >> shift & 0x0f0f0f0fu) << 4;
}

static inline void nibbles_copy(const uint8_t *p, uint32_t *out)
{
    for (int j = 0; j < 4; j++)
        out[j * R] = word(p + 4 * j);
}

/* Two bits at `shift` of each of 32 bytes. */
static inline void twos_gather(const uint8_t *p, int shift, uint32_t *out)
{
    for (int j = 0; j < 2; j++) {
        uint32_t w = 0;
        for (int s = 0; s < 4; s++)
            w |= (word(p + 16 * j + 4 * s) >> shift & 0x03030303u) << (2 * s);
        out[j * R] = w;
    }
}

/* Bit `shift` of each of 32 bytes. */
static inline void ones_gather(const uint8_t *p, int shift, uint32_t *out)
{
    uint32_t w = 0;
    for (int s = 0; s < 8; s++)
        w |= (word(p + 4 * s) >> shift & 0x01010101u) << s;
    *out = w;
}

/* 32 bits, one a weight: bit 4 s + i goes to bit s of byte i. */
static inline void ones_spread(uint32_t bits, uint32_t *out)
{
    uint32_t w = 0;
    for (int i = 0; i < 4; i++) {
        uint32_t x = bits >> i & 0x11111111u;
        x = (x | x >> 3) & 0x03030303u;
        x = (x | x >> 6) & 0x000f000fu;
        w |= ((x | x >> 12) & 0xffu) << (8 * i);
    }
    *out = w;
}

/* One row's part (lane r) of a block of 32, or of a super-block: q_bytes apart. */
static inline void pack_legacy(enum ft_cpu_fmt_id id, const uint8_t *src, int64_t b, int r,
                               uint8_t *q, uint8_t *scale)
{
    uint32_t *w = (uint32_t *)(void *)q + r;
    uint16_t *s = (uint16_t *)(void *)scale + r;
    switch (id) {
    case FT_CPU_Q4_0:
    case FT_CPU_IQ4_NL: {
        const struct ft_block_q4_0 *p = (const struct ft_block_q4_0 *)(const void *)src + b;
        *s = p->d;
        nibbles_copy(p->qs, w);
        break;
    }
    case FT_CPU_Q4_1: {
        const struct ft_block_q4_1 *p = (const struct ft_block_q4_1 *)(const void *)src + b;
        s[0] = p->d;
        s[R] = p->m;
        nibbles_copy(p->qs, w);
        break;
    }
    case FT_CPU_Q5_0: {
        const struct ft_block_q5_0 *p = (const struct ft_block_q5_0 *)(const void *)src + b;
        *s = p->d;
        nibbles_copy(p->qs, w);
        ones_spread(word(p->qh), w + 4 * R);
        break;
    }
    case FT_CPU_Q5_1: {
        const struct ft_block_q5_1 *p = (const struct ft_block_q5_1 *)(const void *)src + b;
        s[0] = p->d;
        s[R] = p->m;
        nibbles_copy(p->qs, w);
        ones_spread(word(p->qh), w + 4 * R);
        break;
    }
    case FT_CPU_Q8_0: {
        const struct ft_block_q8_0 *p = (const struct ft_block_q8_0 *)(const void *)src + b;
        *s = p->d;
        for (int j = 0; j < 8; j++)
            w[j * R] = word((const uint8_t *)p->qs + 4 * j) ^ 0x80808080u;
        break;
    }
    case FT_CPU_MXFP4: {
        const struct ft_block_mxfp4 *p = (const struct ft_block_mxfp4 *)(const void *)src + b;
        scale[r] = p->e;
        nibbles_copy(p->qs, w);
        break;
    }
    default:
        break;
    }
}

/* Scale units of super-blocks. d (and dmin) come first, [16] f16 each; then bytes per row:
 *   Q4_K, Q5_K  pairs of blocks: [4][16][2] low nibbles, scale | min << 4; [4][16] upper bits,
 *               from bit 0: scale and min of the even block, scale and min of the odd one
 *   Q3_K        the same with blocks [8] and the scales of their halves: low [8][16] first | second
 *               << 4, upper bits [4][16] of two blocks, first | second << 2, the odd one's from bit
 * 4 Q6_K        [8][16][2] scales; Q2_K [8][16][2] scale | min << 4 IQ4_XS      [4][16] low nibbles
 * of two blocks, [2][16] upper bits of four */
static void halves_pack(uint8_t *low, uint8_t *high, int b, int r, unsigned first, unsigned second)
{
    low[b * R + r] = (uint8_t)((first & 15) | (second & 15) << 4);
    unsigned bits = (first >> 4) | (second >> 4) << 2;
    uint8_t *h = &high[b / 2 * R + r];
    *h = (uint8_t)(b % 2 == 0 ? bits : *h | bits << 4);
}

static void blocks_pack(uint8_t *low, uint8_t *high, int b, int r, unsigned scale, unsigned min)
{
    low[(b / 2 * R + r) * 2 + b % 2] = (uint8_t)((scale & 15) | (min & 15) << 4);
    unsigned bits = (scale >> 4) | (min >> 4) << 2;
    uint8_t *h = &high[b / 2 * R + r];
    *h = (uint8_t)(b % 2 == 0 ? bits : *h | bits << 4);
}

static void pack_q45_k(bool five, const uint8_t *src, int64_t sb, int r, uint8_t *q, size_t stride,
                       uint8_t *scale)
{
    const struct ft_block_q4_k *p4 = (const struct ft_block_q4_k *)(const void *)src + sb;
    const struct ft_block_q5_k *p5 = (const struct ft_block_q5_k *)(const void *)src + sb;
    const uint8_t *qs = five ? p5->qs : p4->qs, *sc = five ? p5->scales : p4->scales;
    uint16_t *s = (uint16_t *)(void *)scale + r;
    s[0] = five ? p5->d : p4->d;
    s[R] = five ? p5->dmin : p4->dmin;
    for (int b = 0; b < 8; b++) {
        uint32_t *w = (uint32_t *)(void *)(q + (size_t)b * stride) + r;
        nibbles_gather(qs + 32 * (b / 2), 4 * (b % 2), w);
        if (five)
            ones_gather(p5->qh, b, w + 4 * R);
        uint8_t first, second;
        ft_q4_k_scale(sc, b, &first, &second);
        blocks_pack(scale + 4 * R, scale + 12 * R, b, r, first, second);
    }
}

static void pack_q2_k(const uint8_t *src, int64_t sb, int r, uint8_t *q, uint8_t *scale)
{
    const struct ft_block_q2_k *p = (const struct ft_block_q2_k *)(const void *)src + sb;
    uint16_t *s = (uint16_t *)(void *)scale + r;
    s[0] = p->d;
    s[R] = p->dmin;
    for (int b = 0; b < 8; b++) {
        twos_gather(p->qs + 32 * (b / 4), 2 * (b % 4), (uint32_t *)(void *)(q + b * TWO) + r);
        memcpy(scale + 4 * R + (b * R + r) * 2, p->scales + 2 * b, 2);
    }
}

static void pack_q3_k(const uint8_t *src, int64_t sb, int r, uint8_t *q, uint8_t *scale)
{
    const struct ft_block_q3_k *p = (const struct ft_block_q3_k *)(const void *)src + sb;
    ((uint16_t *)(void *)scale)[r] = p->d;
    int8_t sc[16];
    ft_q3_k_scales(p->scales, sc);
    for (int b = 0; b < 8; b++) {
        uint32_t *w = (uint32_t *)(void *)(q + b * (TWO + ONE)) + r;
        twos_gather(p->qs + 32 * (b / 4), 2 * (b % 4), w);
        ones_gather(p->hmask, b, w + 2 * R);
        halves_pack(scale + 2 * R, scale + 10 * R, b, r, (unsigned)(sc[2 * b] + 32),
                    (unsigned)(sc[2 * b + 1] + 32));
    }
}

static void pack_q6_k(const uint8_t *src, int64_t sb, int r, uint8_t *q, uint8_t *scale)
{
    const struct ft_block_q6_k *p = (const struct ft_block_q6_k *)(const void *)src + sb;
    ((uint16_t *)(void *)scale)[r] = p->d;
    for (int b = 0; b < 8; b++) {
        uint32_t *w = (uint32_t *)(void *)(q + b * (NIBBLE + TWO)) + r;
        int half = b / 4, s = b % 4;
        nibbles_gather(p->ql + 64 * half + 32 * (s % 2), 4 * (s / 2), w);
        twos_gather(p->qh + 32 * half, 2 * s, w + 4 * R);
        memcpy(scale + 2 * R + (b * R + r) * 2, p->scales + 2 * b, 2);
    }
}

static void pack_iq4_xs(const uint8_t *src, int64_t sb, int r, uint8_t *q, uint8_t *scale)
{
    const struct ft_block_iq4_xs *p = (const struct ft_block_iq4_xs *)(const void *)src + sb;
    ((uint16_t *)(void *)scale)[r] = p->d;
    uint8_t *low = scale + 2 * R, *high = scale + 6 * R;
    for (int b = 0; b < 8; b++)
        nibbles_copy(p->qs + 16 * b, (uint32_t *)(void *)(q + b * NIBBLE) + r);
    for (int j = 0; j < 4; j++)
        low[j * R + r] = p->scales_l[j];
    high[r] = (uint8_t)p->scales_h;
    high[R + r] = (uint8_t)(p->scales_h >> 8);
}

static void pack_super(enum ft_cpu_fmt_id id, const uint8_t *src, int64_t sb, int r, uint8_t *q,
                       size_t q_bytes, uint8_t *scale)
{
    switch (id) {
    case FT_CPU_Q2_K:
        pack_q2_k(src, sb, r, q, scale);
        break;
    case FT_CPU_Q3_K:
        pack_q3_k(src, sb, r, q, scale);
        break;
    case FT_CPU_Q6_K:
        pack_q6_k(src, sb, r, q, scale);
        break;
    case FT_CPU_IQ4_XS:
        pack_iq4_xs(src, sb, r, q, scale);
        break;
    default:
        pack_q45_k(id == FT_CPU_Q5_K, src, sb, r, q, q_bytes, scale);
        break;
    }
}

void ft_cpu_panel_pack(const struct ft_cpu_fmt *f, const void *const row[R], int64_t n_in,
                       uint8_t *panel)
{
    int64_t n_blocks = n_in / 32;
    size_t q_bytes = (size_t)f->q_bytes, scale_bytes = (size_t)f->scale_bytes;
    uint8_t *scales = panel;
    panel += ft_cpu_scales_bytes(f, n_in);
    if (f->scale_blocks == 8) {
        for (int64_t sb = 0; sb < n_blocks / 8; sb++)
            for (int r = 0; r < R; r++)
                pack_super(f->id, row[r], sb, r, panel + (size_t)sb * 8 * q_bytes, q_bytes,
                           scales + (size_t)sb * scale_bytes);
        return;
    }
    for (int64_t b = 0; b < n_blocks; b++)
        for (int r = 0; r < R; r++)
            pack_legacy(f->id, row[r], b, r, panel + (size_t)b * q_bytes,
                        scales + (size_t)b * scale_bytes);
}
