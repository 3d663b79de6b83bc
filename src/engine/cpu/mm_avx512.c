/* Matrix product kernels for AVX-512 with VNNI: lanes are the 16 rows of a panel.
 *
 * One function, panel_dot(), is every kernel: it is compiled once per format and number of columns,
 * with both as constants, so the choices below vanish. `step` gives one operand of the dot product
 * instruction from the packed bits; unpack() writes those operands and the scales to a tile
 * instead, and the tile formats read them back, so both ways the same numbers meet in the same
 * order.
 *
 * Two multiply slots bind (vpdpbusd, vpmaddwd and FMA share them; shifts, blends, conversions and
 * loads do not): 64 + 2 of them per block of 32 for 8 columns, unpacking is free beside them. */
#include "engine/cpu/mm_avx512.h"

#include <immintrin.h>
#include <string.h>

#include "engine/cpu/mm_format.h"
#include "model/file/quant_block.h"

#define R      FT_CPU_ROWS
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* Unpacked: of formats without super-blocks per block 8 operands, w and the minimum; of
 * super-blocks 64 operands, then room for 8 vectors of scale pairs, 8 of pairs of minimums, d and
 * -dmin. */
enum {
    TILE_Q = 512,
    SUPER_Q = 8 * TILE_Q,
    SUPER_SCALE = SUPER_Q,
    SUPER_MIN = SUPER_SCALE + 8 * 64,
    SUPER_D = SUPER_MIN + 8 * 64,
    SUPER_DMIN = SUPER_D + 64,
    SUPER_BYTES = SUPER_DMIN + 64
};
_Static_assert(SUPER_BYTES <= 8 * FT_CPU_TILE_BYTES, "the tile that product.c gives is too small");

INLINE int fine_bytes(int f)
{
    return TILE_Q + 64 + 64 * has_min(f);
}

INLINE int q_bytes(int f)
{
    return f < TILE ? ft_cpu_format[f].q_bytes : is_super(f) ? TILE_Q : fine_bytes(f);
}

INLINE int scale_bytes(int f)
{
    return f < TILE ? ft_cpu_format[f].scale_bytes : 0;
}

INLINE __m512i load(const void *p)
{
    return _mm512_loadu_si512(p);
}

/* Bits of `v` from position `from`, moved to position `to`. */
INLINE __m512i move_bits(__m512i v, int from, int to)
{
    return from > to ? _mm512_srli_epi32(v, (unsigned)(from - to))
                     : _mm512_slli_epi32(v, (unsigned)(to - from));
}

/* a | (b & mask) */
INLINE __m512i or_bits(__m512i a, __m512i b, int mask)
{
    return _mm512_ternarylogic_epi32(a, b, _mm512_set1_epi8((char)mask), 0xf8);
}

INLINE __m512i nibble(const uint8_t *q, int s)
{
    __m512i v = load(q + s % 4 * 64);
    return _mm512_and_si512(s < 4 ? v : _mm512_srli_epi32(v, 4), _mm512_set1_epi8(15));
}

INLINE __m512i table16(const int8_t *values, int offset)
{
    __m128i t = _mm_add_epi8(_mm_loadu_si128((const void *)values), _mm_set1_epi8((char)offset));
    return _mm512_broadcast_i32x4(t);
}

/* Weights 4 s .. 4 s + 3 of 16 rows as unsigned bytes. lut: the format's values. */
INLINE __m512i step(int f, const uint8_t *q, int s, __m512i lut)
{
    if (f >= TILE || f == FT_CPU_Q8_0)
        return load(q + s * 64);
    switch (f) {
    case FT_CPU_Q5_0:
    case FT_CPU_Q5_1:
    case FT_CPU_Q5_K:
        return or_bits(nibble(q, s), move_bits(load(q + 256), s, 4), 16);
    case FT_CPU_IQ4_NL:
    case FT_CPU_IQ4_XS:
    case FT_CPU_MXFP4:
        return _mm512_shuffle_epi8(lut, nibble(q, s));
    case FT_CPU_Q2_K:
    case FT_CPU_Q3_K: {
        __m512i two =
            _mm512_and_si512(move_bits(load(q + s / 4 * 64), s % 4 * 2, 0), _mm512_set1_epi8(3));
        return f == FT_CPU_Q2_K ? two : or_bits(two, move_bits(load(q + 128), s, 2), 4);
    }
    case FT_CPU_Q6_K:
        return or_bits(nibble(q, s), move_bits(load(q + 256 + s / 4 * 64), s % 4 * 2, 4), 48);
    default:
        return nibble(q, s);
    }
}

INLINE __m512 half16(const uint8_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const void *)p));
}

INLINE __m512i bytes16(const uint8_t *p)
{
    return _mm512_cvtepu8_epi32(_mm_loadu_si128((const void *)p));
}

INLINE __m512i bytes32(const uint8_t *p)
{
    return _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)p));
}

/* Low and high nibbles of 16 bytes as pairs of 16-bit numbers. */
INLINE __m512i nibble_pairs(const uint8_t *p)
{
    __m512i v = bytes16(p);
    return _mm512_and_si512(_mm512_or_si512(v, _mm512_slli_epi32(v, 12)),
                            _mm512_set1_epi32(0x000f000f));
}

/* Bits `mask` of v, moved up by `up` (down if negative), on top of low nibbles. */
INLINE __m512i top_bits(__m512i low, __m512i v, int mask, int up)
{
    v = _mm512_and_si512(v, _mm512_set1_epi16((short)mask));
    v = up >= 0 ? _mm512_slli_epi16(v, (unsigned)up) : _mm512_srli_epi16(v, (unsigned)-up);
    return _mm512_or_si512(low, v);
}

/* w (and the minimum to add) of a FINE block. p: its scales; tile: the block unpacked. */
INLINE __m512 fine_scale(int f, const uint8_t *p, const uint8_t *tile)
{
    if (f >= TILE)
        return _mm512_loadu_ps(tile + TILE_Q);
    if (f != FT_CPU_MXFP4)
        return half16(p);
    /* half of 2^(e - 127); exponents below 2 are subnormal */
    __m512i e = bytes16(p);
    __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
    __mmask16 tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
    return _mm512_castsi512_ps(
        _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x00200000), e));
}

INLINE __m512 fine_min(int f, const uint8_t *p, const uint8_t *tile)
{
    return f >= TILE ? _mm512_loadu_ps(tile + TILE_Q + 64) : half16(p + 2 * R);
}

/* Integer scales of a super-block as pairs of 16 bits: of block i's halves (SPLIT), of blocks 2 i
 * and 2 i + 1 (COARSE). p: the scale unit; tile: the super-block unpacked. */
INLINE __m512i scale_pair(int f, const uint8_t *p, int i, const uint8_t *tile)
{
    if (f >= TILE)
        return load(tile + SUPER_SCALE + i * 64);
    switch (f) {
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K: {
        __m512i low = _mm512_and_si512(bytes32(p + 4 * R + i * 2 * R), _mm512_set1_epi16(15));
        return top_bits(low, nibble_pairs(p + 12 * R + i * R), 3, 4);
    }
    case FT_CPU_Q3_K: {
        __m512i low = nibble_pairs(p + 2 * R + i * R), high = bytes16(p + 10 * R + i / 2 * R);
        high = _mm512_srl_epi32(high, _mm_cvtsi32_si128(i % 2 * 4));
        high = _mm512_or_si512(high, _mm512_slli_epi32(high, 14));
        return _mm512_sub_epi16(top_bits(low, high, 3, 4), _mm512_set1_epi16(32));
    }
    case FT_CPU_IQ4_XS: {
        __m512i low = nibble_pairs(p + 2 * R + i * R), high = bytes16(p + 6 * R + i / 2 * R);
        high = _mm512_srl_epi32(high, _mm_cvtsi32_si128(i % 2 * 4));
        high = _mm512_or_si512(high, _mm512_slli_epi32(high, 14));
        return _mm512_sub_epi16(top_bits(low, high, 3, 4), _mm512_set1_epi16(32));
    }
    case FT_CPU_Q2_K:
        return _mm512_and_si512(bytes32(p + 4 * R + i * 2 * R), _mm512_set1_epi16(15));
    default: /* Q6_K */
        return _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(p + 2 * R + i * 2 * R)));
    }
}

/* The same for minimums. */
INLINE __m512i min_pair(int f, const uint8_t *p, int i, const uint8_t *tile)
{
    if (f >= TILE)
        return load(tile + SUPER_MIN + i * 64);
    __m512i low = _mm512_srli_epi16(bytes32(p + 4 * R + i * 2 * R), 4);
    return f == FT_CPU_Q2_K ? low : top_bits(low, nibble_pairs(p + 12 * R + i * R), 12, 2);
}

INLINE __m512 super_d(int f, const uint8_t *p, const uint8_t *tile)
{
    return f >= TILE ? _mm512_loadu_ps(tile + SUPER_D) : half16(p);
}

INLINE __m512 super_minus_dmin(int f, const uint8_t *p, const uint8_t *tile)
{
    return f >= TILE ? _mm512_loadu_ps(tile + SUPER_DMIN)
                     : _mm512_sub_ps(_mm512_setzero_ps(), half16(p + 2 * R));
}

/* The instruction with its memory operand broadcast, which the compiler does not form. */
INLINE __m512i dp(__m512i acc, __m512i w, const uint8_t *x)
{
    __asm__("vpdpbusd %2%{1to16%}, %1, %0"
            : "+v"(acc)
            : "v"(w), "m"(*(const int32_t *)(const void *)x));
    return acc;
}

INLINE __m512i start(const uint8_t *p)
{
    __m512i v;
    __asm__("vpbroadcastd %1, %0" : "=v"(v) : "m"(*(const int32_t *)(const void *)p));
    return v;
}

INLINE __m512 f32_at(const uint8_t *p)
{
    return _mm512_set1_ps(*(const float *)(const void *)p);
}

/* i0 and i1, shifted to 16 bits, as pairs. */
INLINE __m512i pair_up(int f, __m512i i0, __m512i i1)
{
    int shift = fmt_shift(f);
    if (shift > 0)
        i0 = _mm512_srli_epi32(i0, (unsigned)shift);
    return _mm512_mask_mov_epi16(_mm512_slli_epi32(i1, (unsigned)(16 - shift)), 0x55555555, i0);
}

/* The words of column c that follow a block's bytes. */
INLINE const uint8_t *word_at(const uint8_t *act, int nc, int word, int c)
{
    return act + nc * 32 + word * nc * 4 + c * 4;
}

/* sum[c] += steps [from, to) of a block. */
INLINE void steps_dot(const int f, const int nc, const uint8_t *q, int from, int to,
                      const uint8_t *act, __m512i lut, __m512i *sum)
{
    UNROLL for (int s = from; s < to; s++)
    {
        __m512i w = step(f, q, s, lut);
        UNROLL for (int c = 0; c < nc; c++) sum[c] = dp(sum[c], w, act + c * 32 + s * 4);
    }
}

INLINE void starts(const int f, const int nc, const uint8_t *act, int word, __m512i *sum)
{
    UNROLL for (int c = 0; c < nc; c++)
    {
        sum[c] =
            f % TILE == FT_CPU_Q2_K ? _mm512_setzero_si512() : start(word_at(act, nc, word, c));
    }
}

INLINE void fine_block(const int f, const int nc, const uint8_t *q, const uint8_t *scale,
                       const uint8_t *act, __m512i lut, __m512 *acc)
{
    __m512i i0[FT_CPU_COLS], i1[FT_CPU_COLS];
    starts(f, nc, act, 0, i0);
    steps_dot(f, nc, q, 0, 4, act, lut, i0);
    starts(f, nc, act, 1, i1);
    steps_dot(f, nc, q, 4, 8, act, lut, i1);
    __m512 w = fine_scale(f, scale, q);
    UNROLL for (int c = 0; c < nc; c++)
    {
        __m512i t = _mm512_madd_epi16(pair_up(f, i0[c], i1[c]), start(word_at(act, nc, 2, c)));
        acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t), w, acc[c]);
    }
    if (has_min(f)) {
        __m512 min = fine_min(f, scale, q);
        UNROLL for (int c = 0; c < nc; c++)
        {
            acc[c] = _mm512_fmadd_ps(min, f32_at(word_at(act, nc, 3, c)), acc[c]);
        }
    }
}

/* A block (SPLIT) or two (COARSE) of a super-block: sup[c] += t * a. */
INLINE void super_part(const int f, const int nc, const uint8_t *q, __m512i scales,
                       const uint8_t *act, __m512i lut, __m512 *sup)
{
    __m512i i0[FT_CPU_COLS], i1[FT_CPU_COLS];
    starts(f, nc, act, 0, i0);
    if (rule_of(f) == FT_CPU_COARSE) {
        const uint8_t *next = act + nc * FT_CPU_ACT_BYTES;
        steps_dot(f, nc, q, 0, 8, act, lut, i0);
        starts(f, nc, next, 0, i1);
        steps_dot(f, nc, q + q_bytes(f), 0, 8, next, lut, i1);
    } else {
        steps_dot(f, nc, q, 0, 4, act, lut, i0);
        starts(f, nc, act, 1, i1);
        steps_dot(f, nc, q, 4, 8, act, lut, i1);
    }
    UNROLL for (int c = 0; c < nc; c++)
    {
        __m512i t = _mm512_madd_epi16(pair_up(f, i0[c], i1[c]), scales);
        sup[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t), f32_at(word_at(act, nc, 2, c)), sup[c]);
    }
}

/* total[c] += sup[c] * d - M * dmin, at the end of a super-block whose input is at act. */
INLINE void super_end(const int f, const int nc, const uint8_t *scale, const uint8_t *tile,
                      const uint8_t *act, const __m512 *sup, float *total)
{
    const int parts = rule_of(f) == FT_CPU_COARSE ? 4 : 8;
    __m512 d = super_d(f, scale, tile);
    UNROLL for (int c = 0; c < nc; c++)
    {
        _mm512_storeu_ps(total + c * R, _mm512_fmadd_ps(sup[c], d, _mm512_loadu_ps(total + c * R)));
    }
    if (!has_min(f))
        return;
    __m512i m[FT_CPU_COLS];
    UNROLL for (int c = 0; c < nc; c++) m[c] = _mm512_setzero_si512();
    UNROLL for (int i = 0; i < parts; i++)
    {
        __m512i pair = min_pair(f, scale, i, tile);
        const uint8_t *at = act + i * (8 / parts) * nc * FT_CPU_ACT_BYTES;
        UNROLL for (int c = 0; c < nc; c++)
        {
            m[c] = _mm512_dpwssd_epi32(m[c], pair, start(word_at(at, nc, 3, c)));
        }
    }
    __m512 dmin = super_minus_dmin(f, scale, tile);
    UNROLL for (int c = 0; c < nc; c++)
    {
        _mm512_storeu_ps(total + c * R, _mm512_fmadd_ps(_mm512_cvtepi32_ps(m[c]), dmin,
                                                        _mm512_loadu_ps(total + c * R)));
    }
}

/* How far ahead of the operands weights are asked for. The hardware's prefetchers stop at every 4
 * KB page, this does not; it walks the panel as it lies in memory, scales first. */
#define AHEAD     8192
#define ACT_AHEAD 2048 /* the same for a tile's input */

INLINE void prefetch(const uint8_t *p, int bytes)
{
    UNROLL for (int i = 0; i < bytes; i += 64) _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

INLINE __m512i lut_of(int f)
{
    if (f == FT_CPU_IQ4_NL || f == FT_CPU_IQ4_XS)
        return table16(ft_iq4_values, 128);
    return f == FT_CPU_MXFP4 ? table16(ft_mxfp4_values, 12) : _mm512_setzero_si512();
}

/* Asks for what `blocks` blocks take, of weights or, where those are in the cache, of input. */
INLINE const uint8_t *look_ahead(const int f, const int nc, const uint8_t *ahead, int blocks,
                                 const uint8_t *act)
{
    if (f >= TILE) {
        if (nc > 4)
            prefetch(act + ACT_AHEAD, blocks * nc * FT_CPU_ACT_BYTES);
        return ahead;
    }
    int bytes = blocks * (q_bytes(f) + scale_bytes(f) / (is_super(f) ? 8 : 1));
    prefetch(ahead, bytes);
    if (nc == 8)
        prefetch(act + ACT_AHEAD, blocks * nc * FT_CPU_ACT_BYTES);
    return ahead + bytes;
}

INLINE void panel_dot(const int f, const int nc, const uint8_t *q, const uint8_t *scale,
                      int64_t n_blocks, const uint8_t *act, float *total)
{
    const int blocks = rule_of(f) == FT_CPU_COARSE ? 2 : 1; /* at a time */
    const int act_bytes = nc * FT_CPU_ACT_BYTES;
    const uint8_t *ahead = q + AHEAD;
    __m512i lut = lut_of(f);
    __m512 acc[FT_CPU_COLS];
    if (!is_super(f)) {
        UNROLL for (int c = 0; c < nc; c++) acc[c] = _mm512_loadu_ps(total + c * R);
        for (int64_t b = 0; b < n_blocks; b++) {
            ahead = look_ahead(f, nc, ahead, 1, act);
            fine_block(f, nc, q, scale, act, lut, acc);
            q += q_bytes(f);
            scale += scale_bytes(f);
            act += act_bytes;
        }
        UNROLL for (int c = 0; c < nc; c++) _mm512_storeu_ps(total + c * R, acc[c]);
        return;
    }
    for (int64_t u = 0; u < n_blocks / 8; u++) {
        UNROLL for (int c = 0; c < nc; c++) acc[c] = _mm512_setzero_ps();
        for (int i = 0; i < 8 / blocks; i++) {
            const uint8_t *x = act + i * blocks * act_bytes;
            ahead = look_ahead(f, nc, ahead, blocks, x);
            super_part(f, nc, q + i * blocks * q_bytes(f), scale_pair(f, scale, i, q), x, lut, acc);
        }
        super_end(f, nc, scale, q, act, acc, total);
        q += f >= TILE ? SUPER_BYTES : 8 * q_bytes(f);
        scale += scale_bytes(f);
        act += 8 * act_bytes;
    }
}

INLINE void panel_unpack(const int f, const uint8_t *q, const uint8_t *scale, int64_t n_blocks,
                         uint8_t *tile)
{
    const int unit = is_super(f) ? 8 : 1, parts = rule_of(f) == FT_CPU_COARSE ? 4 : 8;
    __m512i lut = lut_of(f);
    for (int64_t u = 0; u < n_blocks / unit; u++) {
        for (int b = 0; b < unit; b++, q += q_bytes(f))
            UNROLL for (int s = 0; s < 8; s++)
                _mm512_storeu_si512(tile + b * TILE_Q + s * 64, step(f, q, s, lut));
        if (is_super(f)) {
            for (int i = 0; i < parts; i++) {
                _mm512_storeu_si512(tile + SUPER_SCALE + i * 64, scale_pair(f, scale, i, NULL));
                if (has_min(f))
                    _mm512_storeu_si512(tile + SUPER_MIN + i * 64, min_pair(f, scale, i, NULL));
            }
            _mm512_storeu_ps(tile + SUPER_D, super_d(f, scale, NULL));
            if (has_min(f))
                _mm512_storeu_ps(tile + SUPER_DMIN, super_minus_dmin(f, scale, NULL));
            tile += SUPER_BYTES;
        } else {
            _mm512_storeu_ps(tile + TILE_Q, fine_scale(f, scale, NULL));
            if (has_min(f))
                _mm512_storeu_ps(tile + TILE_Q + 64, fine_min(f, scale, NULL));
            tile += fine_bytes(f);
        }
        scale += scale_bytes(f);
    }
}

#define DOT(name, f, nc)                                                                           \
    static void name##_##nc(const uint8_t *q, const uint8_t *scale, int64_t n_blocks,              \
                            const uint8_t *act, float *acc)                                        \
    {                                                                                              \
        panel_dot(f, nc, q, scale, n_blocks, act, acc);                                            \
    }
#define DOTS(name, f)                                                                              \
    DOT(name, f, 1)                                                                                \
    DOT(name, f, 2)                                                                                \
    DOT(name, f, 3) DOT(name, f, 4) DOT(name, f, 5) DOT(name, f, 6) DOT(name, f, 7) DOT(name, f, 8)
#define ROW(name)                                                                                  \
    {                                                                                              \
        name##_1, name##_2, name##_3, name##_4, name##_5, name##_6, name##_7, name##_8             \
    }
#define UNPACK(id)                                                                                 \
    static void unpack_##id(const uint8_t *q, const uint8_t *scale, int64_t n_blocks,              \
                            uint8_t *tile)                                                         \
    {                                                                                              \
        panel_unpack(FT_CPU_##id, q, scale, n_blocks, tile);                                       \
    }

DOTS(q4_0, FT_CPU_Q4_0)
DOTS(q4_1, FT_CPU_Q4_1)
DOTS(q5_0, FT_CPU_Q5_0)
DOTS(q5_1, FT_CPU_Q5_1)
DOTS(q8_0, FT_CPU_Q8_0)
DOTS(iq4_nl, FT_CPU_IQ4_NL)
DOTS(mxfp4, FT_CPU_MXFP4)
DOTS(q2_k, FT_CPU_Q2_K)
DOTS(q3_k, FT_CPU_Q3_K)
DOTS(q4_k, FT_CPU_Q4_K)
DOTS(q5_k, FT_CPU_Q5_K)
DOTS(q6_k, FT_CPU_Q6_K)
DOTS(iq4_xs, FT_CPU_IQ4_XS)

/* Tiles, for the formats whose unpacking is dear: one set for all of a rule, minimum and shift. */
DOTS(tile_fine, TILE + FT_CPU_Q5_0)
DOTS(tile_fine_min1, TILE + FT_CPU_Q5_1)
DOTS(tile_coarse_min1, TILE + FT_CPU_Q4_K)
DOTS(tile_coarse_min2, TILE + FT_CPU_Q5_K)
DOTS(tile_split, TILE + FT_CPU_Q3_K)
DOTS(tile_split1, TILE + FT_CPU_Q6_K)
DOTS(tile_split_min, TILE + FT_CPU_Q2_K)
UNPACK(Q5_0)
UNPACK(Q5_1)
UNPACK(Q2_K)
UNPACK(Q3_K)
UNPACK(Q4_K)
UNPACK(Q5_K)
UNPACK(Q6_K)

const struct ft_cpu_mm ft_cpu_mm_avx512 = {
    .quantise = ft_cpu_quantise_avx512,
    .dot = {[FT_CPU_Q4_0] = ROW(q4_0),
            [FT_CPU_Q4_1] = ROW(q4_1),
            [FT_CPU_Q5_0] = ROW(q5_0),
            [FT_CPU_Q5_1] = ROW(q5_1),
            [FT_CPU_Q8_0] = ROW(q8_0),
            [FT_CPU_IQ4_NL] = ROW(iq4_nl),
            [FT_CPU_MXFP4] = ROW(mxfp4),
            [FT_CPU_Q2_K] = ROW(q2_k),
            [FT_CPU_Q3_K] = ROW(q3_k),
            [FT_CPU_Q4_K] = ROW(q4_k),
            [FT_CPU_Q5_K] = ROW(q5_k),
            [FT_CPU_Q6_K] = ROW(q6_k),
            [FT_CPU_IQ4_XS] = ROW(iq4_xs)},
    .store = ft_cpu_store_avx512,
    .unpack = {[FT_CPU_Q5_0] = unpack_Q5_0,
               [FT_CPU_Q5_1] = unpack_Q5_1,
               [FT_CPU_Q2_K] = unpack_Q2_K,
               [FT_CPU_Q3_K] = unpack_Q3_K,
               [FT_CPU_Q4_K] = unpack_Q4_K,
               [FT_CPU_Q5_K] = unpack_Q5_K,
               [FT_CPU_Q6_K] = unpack_Q6_K},
    .tile_dot = {[FT_CPU_Q5_0] = ROW(tile_fine),
                 [FT_CPU_Q5_1] = ROW(tile_fine_min1),
                 [FT_CPU_Q2_K] = ROW(tile_split_min),
                 [FT_CPU_Q3_K] = ROW(tile_split),
                 [FT_CPU_Q4_K] = ROW(tile_coarse_min1),
                 [FT_CPU_Q5_K] = ROW(tile_coarse_min2),
                 [FT_CPU_Q6_K] = ROW(tile_split1)},
    .dot_float = ft_cpu_dot_float_avx512,
    .add_scaled = ft_cpu_add_scaled_avx512,
};
