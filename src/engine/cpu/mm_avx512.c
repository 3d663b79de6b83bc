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

#include "engine/cpu/mm.h"
#include "model/file/quant_block.h"

#define R      FT_CPU_ROWS
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* The formats, and what they look like unpacked to a tile. */
enum { TILE = 32 }; /* added to a format's id: its blocks, unpacked */

INLINE enum ft_cpu_rule rule_of(int f)
{
    switch (f % TILE) {
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K:
    case FT_CPU_IQ4_XS:
        return FT_CPU_COARSE;
    case FT_CPU_Q2_K:
    case FT_CPU_Q3_K:
    case FT_CPU_Q6_K:
        return FT_CPU_SPLIT;
    default:
        return FT_CPU_FINE;
    }
}

INLINE int has_min(int f)
{
    f %= TILE;
    return f == FT_CPU_Q4_1 || f == FT_CPU_Q5_1 || f == FT_CPU_Q4_K || f == FT_CPU_Q5_K ||
           f == FT_CPU_Q2_K;
}

INLINE int shift_of(int f)
{
    f %= TILE;
    return f == FT_CPU_Q8_0 || f == FT_CPU_IQ4_NL ? 3 : f == FT_CPU_Q5_1 || f == FT_CPU_Q6_K;
}

INLINE int is_super(int f)
{
    return f % TILE >= FT_CPU_Q2_K;
}

/* Bytes of an unpacked block: 8 operands and up to four vectors of scales. */
INLINE int tile_bytes(int f)
{
    int vectors = rule_of(f) == FT_CPU_SPLIT ? 2 + 2 * has_min(f) : 1 + has_min(f);
    return 512 + 64 * vectors;
}

INLINE int q_bytes(int f)
{
    switch (f) {
    case FT_CPU_Q5_0:
    case FT_CPU_Q5_1:
    case FT_CPU_Q5_K:
        return 320;
    case FT_CPU_Q8_0:
        return 512;
    case FT_CPU_Q2_K:
        return 128;
    case FT_CPU_Q3_K:
        return 192;
    case FT_CPU_Q6_K:
        return 384;
    default:
        return f >= TILE ? tile_bytes(f) : 256;
    }
}

INLINE int scale_bytes(int f)
{
    switch (f) {
    case FT_CPU_Q4_1:
    case FT_CPU_Q5_1:
        return 4 * R;
    case FT_CPU_MXFP4:
        return R;
    case FT_CPU_Q2_K:
        return 20 * R;
    case FT_CPU_Q3_K:
        return 14 * R;
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K:
        return 16 * R;
    case FT_CPU_Q6_K:
        return 18 * R;
    case FT_CPU_IQ4_XS:
        return 8 * R;
    default:
        return f >= TILE ? 0 : 2 * R;
    }
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

/* The scales of one block: w (f32; SPLIT: pairs of 16-bit integers), d, minimums to add. */
struct scales {
    __m512 w, d, min0, min1;
    __m512i pair;
};

/* Pairs of 6-bit numbers: low at [8][16], upper bits at [4][16] (pack.c). */
INLINE void six_bits(const uint8_t *low, const uint8_t *high, int b, __m512i *first,
                     __m512i *second)
{
    __m512i l = bytes16(low + b * R);
    __m512i h = _mm512_srl_epi32(bytes16(high + b / 2 * R), _mm_cvtsi32_si128(b % 2 * 4));
    __m512i nib = _mm512_set1_epi32(15), top = _mm512_set1_epi32(48);
    *first =
        _mm512_or_si512(_mm512_and_si512(l, nib), _mm512_and_si512(_mm512_slli_epi32(h, 4), top));
    *second =
        _mm512_or_si512(_mm512_srli_epi32(l, 4), _mm512_and_si512(_mm512_slli_epi32(h, 2), top));
}

/* b: the block within its scale unit p (super-blocks: 0 .. 7). tile: an unpacked block. */
INLINE struct scales scales_at(int f, const uint8_t *p, int b, const uint8_t *tile)
{
    struct scales s;
    memset(&s, 0, sizeof s);
    if (f >= TILE) {
        const uint8_t *t = tile + 512;
        if (rule_of(f) == FT_CPU_SPLIT) {
            s.pair = load(t);
            s.d = _mm512_loadu_ps(t + 64);
            if (has_min(f)) {
                s.min0 = _mm512_loadu_ps(t + 128);
                s.min1 = _mm512_loadu_ps(t + 192);
            }
        } else {
            s.w = _mm512_loadu_ps(t);
            if (has_min(f))
                s.min0 = _mm512_loadu_ps(t + 64);
        }
        return s;
    }
    __m512i first, second;
    if (f == FT_CPU_MXFP4) { /* half of 2^(e - 127); exponents below 2 are subnormal */
        __m512i e = bytes16(p);
        __m512i bits = _mm512_slli_epi32(_mm512_sub_epi32(e, _mm512_set1_epi32(1)), 23);
        __mmask16 tiny = _mm512_cmplt_epi32_mask(e, _mm512_set1_epi32(2));
        s.w = _mm512_castsi512_ps(
            _mm512_mask_sllv_epi32(bits, tiny, _mm512_set1_epi32(0x00200000), e));
        return s;
    }
    s.d = half16(p);
    s.w = s.d;
    switch (f) {
    case FT_CPU_Q4_1:
    case FT_CPU_Q5_1:
        s.min0 = half16(p + 2 * R);
        break;
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K:
        six_bits(p + 4 * R, p + 12 * R, b, &first, &second);
        s.w = _mm512_mul_ps(s.d, _mm512_cvtepi32_ps(first));
        s.min0 = _mm512_mul_ps(_mm512_sub_ps(_mm512_setzero_ps(), half16(p + 2 * R)),
                               _mm512_cvtepi32_ps(second));
        break;
    case FT_CPU_IQ4_XS: {
        __m512i low =
            _mm512_srl_epi32(bytes16(p + 2 * R + b / 2 * R), _mm_cvtsi32_si128(b % 2 * 4));
        __m512i high =
            _mm512_srl_epi32(bytes16(p + 6 * R + b / 4 * R), _mm_cvtsi32_si128(b % 4 * 2));
        low = _mm512_and_si512(low, _mm512_set1_epi32(15));
        high = _mm512_and_si512(_mm512_slli_epi32(high, 4), _mm512_set1_epi32(48));
        first = _mm512_sub_epi32(_mm512_or_si512(low, high), _mm512_set1_epi32(32));
        s.w = _mm512_mul_ps(s.d, _mm512_cvtepi32_ps(first));
        break;
    }
    case FT_CPU_Q2_K: {
        __m512i v = _mm512_cvtepu8_epi16(_mm256_loadu_si256((const void *)(p + 4 * R + b * 2 * R)));
        s.pair = _mm512_and_si512(v, _mm512_set1_epi16(15));
        __m512i m = _mm512_srli_epi16(v, 4);
        __m512 dmin = _mm512_sub_ps(_mm512_setzero_ps(), half16(p + 2 * R));
        s.min0 =
            _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_and_si512(m, _mm512_set1_epi32(0xffff))));
        s.min1 = _mm512_mul_ps(dmin, _mm512_cvtepi32_ps(_mm512_srli_epi32(m, 16)));
        break;
    }
    case FT_CPU_Q3_K:
        six_bits(p + 2 * R, p + 10 * R, b, &first, &second);
        s.pair = _mm512_sub_epi16(_mm512_or_si512(first, _mm512_slli_epi32(second, 16)),
                                  _mm512_set1_epi16(32));
        break;
    case FT_CPU_Q6_K:
        s.pair = _mm512_cvtepi8_epi16(_mm256_loadu_si256((const void *)(p + 2 * R + b * 2 * R)));
        break;
    default:
        break;
    }
    return s;
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
    int shift = shift_of(f);
    if (shift > 0)
        i0 = _mm512_srli_epi32(i0, (unsigned)shift);
    return _mm512_mask_mov_epi16(_mm512_slli_epi32(i1, (unsigned)(16 - shift)), 0x55555555, i0);
}

/* One block of 32 for nc columns. acc: FINE, COARSE the result; SPLIT the super-block's sum, and
 * minimums go to `total`. */
INLINE void block_dot(const int f, const int nc, const uint8_t *q, const struct scales sc,
                      const uint8_t *act, __m512i lut, __m512 *acc, float *total)
{
    const uint8_t *w0 = act + nc * 32, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4, *w3 = w2 + nc * 4;
    const int coarse = rule_of(f) == FT_CPU_COARSE;
    const int sums = rule_of(f) == FT_CPU_SPLIT && has_min(f);
    __m512i i0[FT_CPU_COLS], i1[FT_CPU_COLS];
    UNROLL for (int c = 0; c < nc; c++) i0[c] = sums ? _mm512_setzero_si512() : start(w0 + c * 4);
    UNROLL for (int s = 0; s < 4; s++)
    {
        __m512i w = step(f, q, s, lut);
        UNROLL for (int c = 0; c < nc; c++) i0[c] = dp(i0[c], w, act + c * 32 + s * 4);
    }
    UNROLL for (int c = 0; c < nc; c++)
    {
        i1[c] = coarse ? i0[c] : sums ? _mm512_setzero_si512() : start(w1 + c * 4);
    }
    UNROLL for (int s = 4; s < 8; s++)
    {
        __m512i w = step(f, q, s, lut);
        UNROLL for (int c = 0; c < nc; c++) i1[c] = dp(i1[c], w, act + c * 32 + s * 4);
    }
    UNROLL for (int c = 0; c < nc; c++)
    {
        if (coarse) {
            __m512 t = _mm512_mul_ps(_mm512_cvtepi32_ps(i1[c]), f32_at(w2 + c * 4));
            acc[c] = _mm512_fmadd_ps(t, sc.w, acc[c]);
        } else {
            __m512i pair = pair_up(f, i0[c], i1[c]);
            if (rule_of(f) == FT_CPU_FINE) {
                __m512i t = _mm512_madd_epi16(pair, start(w2 + c * 4));
                acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t), sc.w, acc[c]);
            } else {
                __m512i t = _mm512_madd_epi16(pair, sc.pair);
                acc[c] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(t), f32_at(w2 + c * 4), acc[c]);
            }
        }
        if (sums) {
            __m512 v = _mm512_loadu_ps(total + c * R);
            v = _mm512_fmadd_ps(sc.min0, f32_at(w0 + c * 4), v);
            _mm512_storeu_ps(total + c * R, _mm512_fmadd_ps(sc.min1, f32_at(w1 + c * 4), v));
        } else if (has_min(f)) {
            acc[c] = _mm512_fmadd_ps(sc.min0, f32_at(w3 + c * 4), acc[c]);
        }
    }
}

#define PREFETCH 4096 /* bytes of weights ahead: what the hardware does not see across pages */

INLINE void prefetch(const uint8_t *p, int bytes)
{
    UNROLL for (int i = 0; i < bytes; i += 64) _mm_prefetch((const char *)p + i, _MM_HINT_T0);
}

INLINE void panel_dot(const int f, const int nc, const uint8_t *q, const uint8_t *scale,
                      int64_t n_blocks, const uint8_t *act, float *total)
{
    const int split = rule_of(f) == FT_CPU_SPLIT;
    const int unit = is_super(f) ? 8 : 1; /* tile formats keep their super-blocks */
    __m512i lut = _mm512_setzero_si512();
    if (f == FT_CPU_IQ4_NL || f == FT_CPU_IQ4_XS)
        lut = table16(ft_iq4_values, 128);
    if (f == FT_CPU_MXFP4)
        lut = table16(ft_mxfp4_values, 12);
    __m512 acc[FT_CPU_COLS];
    UNROLL for (int c = 0; c < nc; c++) acc[c] = _mm512_loadu_ps(total + c * R);
    for (int64_t u = 0; u < n_blocks / unit; u++) {
        if (split) {
            UNROLL for (int c = 0; c < nc; c++) acc[c] = _mm512_setzero_ps();
        }
        struct scales sc;
        for (int b = 0; b < unit; b++) {
            if (f < TILE)
                prefetch(q + PREFETCH, q_bytes(f));
            sc = scales_at(f, scale, b, q);
            block_dot(f, nc, q, sc, act, lut, acc, total);
            q += q_bytes(f);
            act += nc * FT_CPU_ACT_BYTES;
        }
        scale += scale_bytes(f);
        if (split) {
            UNROLL for (int c = 0; c < nc; c++) _mm512_storeu_ps(
                total + c * R, _mm512_fmadd_ps(acc[c], sc.d, _mm512_loadu_ps(total + c * R)));
        }
    }
    if (!split) {
        UNROLL for (int c = 0; c < nc; c++) _mm512_storeu_ps(total + c * R, acc[c]);
    }
}

INLINE void panel_unpack(const int f, const uint8_t *q, const uint8_t *scale, int64_t n_blocks,
                         uint8_t *tile)
{
    const int unit = is_super(f) ? 8 : 1;
    __m512i lut = _mm512_setzero_si512();
    if (f == FT_CPU_IQ4_NL || f == FT_CPU_IQ4_XS)
        lut = table16(ft_iq4_values, 128);
    if (f == FT_CPU_MXFP4)
        lut = table16(ft_mxfp4_values, 12);
    for (int64_t i = 0; i < n_blocks; i++) {
        struct scales sc = scales_at(f, scale + i / unit * scale_bytes(f), (int)(i % unit), q);
        UNROLL for (int s = 0; s < 8; s++) _mm512_storeu_si512(tile + s * 64, step(f, q, s, lut));
        uint8_t *t = tile + 512;
        if (rule_of(f) == FT_CPU_SPLIT) {
            _mm512_storeu_si512(t, sc.pair);
            _mm512_storeu_ps(t + 64, sc.d);
            if (has_min(f)) {
                _mm512_storeu_ps(t + 128, sc.min0);
                _mm512_storeu_ps(t + 192, sc.min1);
            }
        } else {
            _mm512_storeu_ps(t, sc.w);
            if (has_min(f))
                _mm512_storeu_ps(t + 64, sc.min0);
        }
        q += q_bytes(f);
        tile += tile_bytes(f);
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

/* Tiles: one set for all formats of a rule, minimum and shift. */
DOTS(tile_fine, TILE + FT_CPU_Q4_0)
DOTS(tile_fine_min, TILE + FT_CPU_Q4_1)
DOTS(tile_fine_min1, TILE + FT_CPU_Q5_1)
DOTS(tile_fine3, TILE + FT_CPU_IQ4_NL)
DOTS(tile_coarse, TILE + FT_CPU_IQ4_XS)
DOTS(tile_coarse_min, TILE + FT_CPU_Q4_K)
DOTS(tile_split, TILE + FT_CPU_Q3_K)
DOTS(tile_split1, TILE + FT_CPU_Q6_K)
DOTS(tile_split_min, TILE + FT_CPU_Q2_K)
UNPACK(Q4_0)
UNPACK(Q4_1)
UNPACK(Q5_0)
UNPACK(Q5_1)
UNPACK(IQ4_NL)
UNPACK(MXFP4)
UNPACK(Q2_K)
UNPACK(Q3_K)
UNPACK(Q4_K)
UNPACK(Q5_K)
UNPACK(Q6_K)
UNPACK(IQ4_XS)

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
    .unpack = {[FT_CPU_Q4_0] = unpack_Q4_0,
               [FT_CPU_Q4_1] = unpack_Q4_1,
               [FT_CPU_Q5_0] = unpack_Q5_0,
               [FT_CPU_Q5_1] = unpack_Q5_1,
               [FT_CPU_IQ4_NL] = unpack_IQ4_NL,
               [FT_CPU_MXFP4] = unpack_MXFP4,
               [FT_CPU_Q2_K] = unpack_Q2_K,
               [FT_CPU_Q3_K] = unpack_Q3_K,
               [FT_CPU_Q4_K] = unpack_Q4_K,
               [FT_CPU_Q5_K] = unpack_Q5_K,
               [FT_CPU_Q6_K] = unpack_Q6_K,
               [FT_CPU_IQ4_XS] = unpack_IQ4_XS},
    .tile_dot = {[FT_CPU_Q4_0] = ROW(tile_fine),
                 [FT_CPU_Q4_1] = ROW(tile_fine_min),
                 [FT_CPU_Q5_0] = ROW(tile_fine),
                 [FT_CPU_Q5_1] = ROW(tile_fine_min1),
                 [FT_CPU_IQ4_NL] = ROW(tile_fine3),
                 [FT_CPU_MXFP4] = ROW(tile_fine),
                 [FT_CPU_Q2_K] = ROW(tile_split_min),
                 [FT_CPU_Q3_K] = ROW(tile_split),
                 [FT_CPU_Q4_K] = ROW(tile_coarse_min),
                 [FT_CPU_Q5_K] = ROW(tile_coarse_min),
                 [FT_CPU_Q6_K] = ROW(tile_split1),
                 [FT_CPU_IQ4_XS] = ROW(tile_coarse)},
    .dot_float = ft_cpu_dot_float_avx512,
    .add_scaled = ft_cpu_add_scaled_avx512,
};
