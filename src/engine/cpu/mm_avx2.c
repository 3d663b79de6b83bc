/* Matrix product kernels for AVX2 with FMA and F16C: lanes are 8 of a panel's 16 rows.
 *
 * One function, panel_dot(), is every kernel: it is compiled once per format and number of columns,
 * with both as constants, so the choices below vanish. Four steps of both halves of the rows are
 * unpacked into registers, then the columns pass by in a loop: any number of columns costs one
 * unpacking, what is read of a column serves both halves, and only the current column's sums need
 * registers. The sums of a group of steps wait in memory for the group that completes a pair.
 *
 * There is no vpdpbusd here. vpmaddubsw adds two products of bytes to 16 bits with saturation, so
 * what may meet in it and be added before vpmaddwd widens it is counted: steps16() below. Formats
 * with full bytes would saturate; they are multiplied as |w| by x with w's sign (vpsignb), which
 * fits: 128 * 127 * 2 < 32768. (As two nibbles they are as fast in batches and slower for a single
 * column.) Sums are the same integers as with vpdpbusd, so results are too. */
#include "engine/cpu/mm_avx2.h"

#include <immintrin.h>

#include "engine/cpu/mm_format.h"
#include "model/file/quant_block.h"

#define R      FT_CPU_ROWS
#define HALF   8 /* of the rows */
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

/* Levels of a full byte, taken as signed. */
INLINE int is_signed(int f)
{
    return f == FT_CPU_Q8_0 || f == FT_CPU_IQ4_NL || f == FT_CPU_IQ4_XS;
}

/* Steps, of a group's four, whose products of two add up within 16 bits: n * 2 * 127 * the largest
 * level <= 32767. */
INLINE int steps16(int f)
{
    switch (f) {
    case FT_CPU_Q8_0: /* 128 */
    case FT_CPU_IQ4_NL:
    case FT_CPU_IQ4_XS:
        return 1;
    case FT_CPU_Q6_K: /* 63 */
        return 2;
    default: /* 31 and below */
        return 4;
    }
}

INLINE int q_bytes(int f)
{
    return ft_cpu_format[f].q_bytes;
}

INLINE int scale_bytes(int f)
{
    return ft_cpu_format[f].scale_bytes;
}

/* ---- weights: q is a block's bits, 32 bytes on for the upper rows ---- */

INLINE __m256i load(const void *p)
{
    return _mm256_loadu_si256(p);
}

/* Bits of `v` from position `from`, moved to position `to`. */
INLINE __m256i move_bits(__m256i v, int from, int to)
{
    return from > to ? _mm256_srli_epi32(v, from - to) : _mm256_slli_epi32(v, to - from);
}

INLINE __m256i and_bits(__m256i v, int mask)
{
    return _mm256_and_si256(v, _mm256_set1_epi8((char)mask));
}

INLINE __m256i nibble(const uint8_t *q, int s)
{
    __m256i v = load(q + s % 4 * 64);
    return and_bits(s < 4 ? v : _mm256_srli_epi32(v, 4), 15);
}

/* Weights 4 s .. 4 s + 3 of 8 rows as bytes. lut: the format's values. */
INLINE __m256i step(int f, const uint8_t *q, int s, __m256i lut)
{
    switch (f) {
    case FT_CPU_Q8_0:
        return _mm256_xor_si256(load(q + s * 64), _mm256_set1_epi8((char)0x80));
    case FT_CPU_Q5_0:
    case FT_CPU_Q5_1:
    case FT_CPU_Q5_K:
        return _mm256_or_si256(nibble(q, s), and_bits(move_bits(load(q + 256), s, 4), 16));
    case FT_CPU_IQ4_NL:
    case FT_CPU_IQ4_XS:
    case FT_CPU_MXFP4:
        return _mm256_shuffle_epi8(lut, nibble(q, s));
    case FT_CPU_Q2_K:
    case FT_CPU_Q3_K: {
        __m256i two = and_bits(move_bits(load(q + s / 4 * 64), s % 4 * 2, 0), 3);
        if (f == FT_CPU_Q2_K)
            return two;
        return _mm256_or_si256(two, and_bits(move_bits(load(q + 128), s, 2), 4));
    }
    case FT_CPU_Q6_K:
        return _mm256_or_si256(nibble(q, s),
                               and_bits(move_bits(load(q + 256 + s / 4 * 64), s % 4 * 2, 4), 48));
    default:
        return nibble(q, s);
    }
}

INLINE __m256i table16(const int8_t *values, int offset)
{
    __m128i t = _mm_add_epi8(_mm_loadu_si128((const void *)values), _mm_set1_epi8((char)offset));
    return _mm256_broadcastsi128_si256(t);
}

INLINE __m256i lut_of(int f)
{
    if (f == FT_CPU_IQ4_NL || f == FT_CPU_IQ4_XS)
        return table16(ft_iq4_values, 0);
    return f == FT_CPU_MXFP4 ? table16(ft_mxfp4_values, 12) : _mm256_setzero_si256();
}

/* ---- scales: p is a scale unit, r the first row ---- */

INLINE __m256 half8(const uint8_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const void *)p));
}

INLINE __m256i bytes8(const uint8_t *p)
{
    return _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)p));
}

INLINE __m256i bytes16(const uint8_t *p)
{
    return _mm256_cvtepu8_epi16(_mm_loadu_si128((const void *)p));
}

/* Low and high nibbles of 8 bytes as pairs of 16-bit numbers. */
INLINE __m256i nibble_pairs(const uint8_t *p)
{
    __m256i v = bytes8(p);
    return _mm256_and_si256(_mm256_or_si256(v, _mm256_slli_epi32(v, 12)),
                            _mm256_set1_epi32(0x000f000f));
}

/* Bits `mask` of v, moved up by `up`, on top of low nibbles. */
INLINE __m256i top_bits(__m256i low, __m256i v, int mask, int up)
{
    v = _mm256_and_si256(v, _mm256_set1_epi16((short)mask));
    return _mm256_or_si256(low, _mm256_slli_epi16(v, up));
}

/* w of a FINE block. */
INLINE __m256 fine_scale(int f, const uint8_t *p, int r)
{
    if (f != FT_CPU_MXFP4)
        return half8(p + 2 * r);
    /* half of 2^(e - 127); exponents below 2 are subnormal */
    __m256i e = bytes8(p + r);
    __m256i bits = _mm256_slli_epi32(_mm256_sub_epi32(e, _mm256_set1_epi32(1)), 23);
    __m256i tiny = _mm256_cmpgt_epi32(_mm256_set1_epi32(2), e);
    __m256i small = _mm256_sllv_epi32(_mm256_set1_epi32(0x00200000), e);
    return _mm256_castsi256_ps(_mm256_blendv_epi8(bits, small, tiny));
}

/* 6-bit scales of two groups, low nibbles at `low`, upper bits at `high` from bit 4 * `odd`. */
INLINE __m256i scales6(const uint8_t *low, const uint8_t *high, int odd)
{
    __m256i v = _mm256_srl_epi32(bytes8(high), _mm_cvtsi32_si128(odd * 4));
    v = _mm256_or_si256(v, _mm256_slli_epi32(v, 14));
    return _mm256_sub_epi16(top_bits(nibble_pairs(low), v, 3, 4), _mm256_set1_epi16(32));
}

/* Integer scales of a super-block as pairs of 16 bits: of block i's halves (SPLIT), of blocks 2 i
 * and 2 i + 1 (COARSE). */
INLINE __m256i scale_pair(int f, const uint8_t *p, int r, int i)
{
    switch (f) {
    case FT_CPU_Q4_K:
    case FT_CPU_Q5_K: {
        __m256i low = bytes16(p + 4 * R + (i * R + r) * 2);
        return top_bits(_mm256_and_si256(low, _mm256_set1_epi16(15)),
                        nibble_pairs(p + 12 * R + i * R + r), 3, 4);
    }
    case FT_CPU_Q3_K:
        return scales6(p + 2 * R + i * R + r, p + 10 * R + i / 2 * R + r, i % 2);
    case FT_CPU_IQ4_XS:
        return scales6(p + 2 * R + i * R + r, p + 6 * R + i / 2 * R + r, i % 2);
    case FT_CPU_Q2_K:
        return _mm256_and_si256(bytes16(p + 4 * R + (i * R + r) * 2), _mm256_set1_epi16(15));
    default: /* Q6_K */
        return _mm256_cvtepi8_epi16(_mm_loadu_si128((const void *)(p + 2 * R + (i * R + r) * 2)));
    }
}

/* The same for minimums. */
INLINE __m256i min_pair(int f, const uint8_t *p, int r, int i)
{
    __m256i low = _mm256_srli_epi16(bytes16(p + 4 * R + (i * R + r) * 2), 4);
    return f == FT_CPU_Q2_K ? low : top_bits(low, nibble_pairs(p + 12 * R + i * R + r), 12, 2);
}

/* ---- products ---- */

INLINE __m256i i32_at(const uint8_t *p)
{
    return _mm256_set1_epi32(*(const int32_t *)(const void *)p);
}

INLINE __m256 f32_at(const uint8_t *p)
{
    return _mm256_set1_ps(*(const float *)(const void *)p);
}

/* The words of column c that follow a block's bytes. */
INLINE const uint8_t *word_at(const uint8_t *act, int nc, int word, int c)
{
    return act + nc * 32 + word * nc * 4 + c * 4;
}

/* Halves of the panel's rows that are done together: four steps of both fill 8 registers, and so do
 * those of one as |w| and w. */
INLINE int halves_of(int f)
{
    return is_signed(f) ? 1 : 2;
}

/* Products of four bytes with four of x, in 16 bits two and two. */
INLINE __m256i products(int f, __m256i w, const uint8_t *x)
{
    __m256i v = i32_at(x);
    return is_signed(f) ? _mm256_maddubs_epi16(_mm256_abs_epi8(w), _mm256_sign_epi8(v, w))
                        : _mm256_maddubs_epi16(w, v);
}

/* sum + a column's products with four steps of weights. */
INLINE __m256i steps_sum(const int f, const __m256i *w, const uint8_t *x, __m256i sum)
{
    const int run = steps16(f);
    UNROLL for (int s = 0; s < 4; s += run)
    {
        __m256i t = products(f, w[s], x + s * 4);
        UNROLL for (int i = s + 1; i < s + run; i++) t =
            _mm256_add_epi16(t, products(f, w[i], x + i * 4));
        sum = _mm256_add_epi32(sum, _mm256_madd_epi16(t, _mm256_set1_epi16(1)));
    }
    return sum;
}

/* A sum's start value, word 0 or 1 of a column. With signed levels there is no offset to take off,
 * only what makes the shift round. */
INLINE __m256i start(int f, const uint8_t *act, int nc, int word, int c)
{
    if (f == FT_CPU_Q2_K)
        return _mm256_setzero_si256();
    return is_signed(f) ? _mm256_set1_epi32(1 << fmt_shift(f) >> 1)
                        : i32_at(word_at(act, nc, word, c));
}

/* i0 and i1, shifted to 16 bits, as pairs. */
INLINE __m256i pair_up(int f, __m256i i0, __m256i i1)
{
    int shift = fmt_shift(f);
    if (shift > 0)
        i0 = _mm256_srli_epi32(i0, shift);
    return _mm256_blend_epi16(_mm256_slli_epi32(i1, 16 - shift), i0, 0x55);
}

/* What of a block, or of two (COARSE), the columns' loops need; arrays by half of the rows. */
struct part {
    const uint8_t *q, *act;
    __m256i lut;
    __m256i scales[2];                              /* super-blocks */
    __m256 w[2], min[2];                            /* FINE */
    float *acc;                                     /* [nc][16]: what is added to */
    __m256i i0[2][FT_CPU_COLS], i1[2][FT_CPU_COLS]; /* as far as they are summed */
};

/* One column's end of a part: what the pair of sums adds to its accumulator. */
INLINE void part_end(const int f, const int nc, const struct part *p, int h, int c, __m256i i0,
                     __m256i i1)
{
    const int fine = rule_of(f) == FT_CPU_FINE;
    const uint8_t *word2 = word_at(p->act, nc, 2, c);
    float *at = p->acc + c * R + h * HALF;
    __m256 acc = _mm256_loadu_ps(at);
    __m256i t = _mm256_madd_epi16(pair_up(f, i0, i1), fine ? i32_at(word2) : p->scales[h]);
    acc = _mm256_fmadd_ps(_mm256_cvtepi32_ps(t), fine ? p->w[h] : f32_at(word2), acc);
    if (fine && has_min(f))
        acc = _mm256_fmadd_ps(p->min[h], f32_at(word_at(p->act, nc, 3, c)), acc);
    _mm256_storeu_ps(at, acc);
}

/* Four steps, number g of a part's 2, or of 4 (COARSE), for every column. The first half of them
 * makes i0, the others i1, which end the part. */
INLINE void group_dot(const int f, const int nc, struct part *p, const int g)
{
    const int coarse = rule_of(f) == FT_CPU_COARSE, last = coarse ? 3 : 1;
    const int block = coarse ? g / 2 : 0, from = g % 2 * 4;
    const int begins = coarse ? from == 0 : 1;
    const uint8_t *act = p->act + block * nc * FT_CPU_ACT_BYTES;
    const uint8_t *q = p->q + block * q_bytes(f);
    __m256i w[2][4], (*to)[FT_CPU_COLS] = g * 2 < last ? p->i0 : p->i1;
    UNROLL for (int h = 0; h < halves_of(f); h++)
    {
        UNROLL for (int s = 0; s < 4; s++) w[h][s] = step(f, q + h * 32, from + s, p->lut);
    }
    for (int c = 0; c < nc; c++) {
        __m256i sum[2];
        UNROLL for (int h = 0; h < halves_of(f); h++)
        {
            sum[h] = begins ? start(f, act, nc, coarse ? 0 : g, c) : to[h][c];
            sum[h] = steps_sum(f, w[h], act + c * 32 + from * 4, sum[h]);
        }
        UNROLL for (int h = 0; h < halves_of(f); h++)
        {
            if (g == last)
                part_end(f, nc, p, h, c, p->i0[h][c], sum[h]);
            else
                to[h][c] = sum[h];
        }
    }
}

INLINE void part_dot(const int f, const int nc, struct part *p)
{
    group_dot(f, nc, p, 0);
    group_dot(f, nc, p, 1);
    if (rule_of(f) == FT_CPU_COARSE) {
        group_dot(f, nc, p, 2);
        group_dot(f, nc, p, 3);
    }
}

/* total += sup * d - M * dmin, at the end of a super-block whose input is at act. */
INLINE void super_end(const int f, const int nc, const uint8_t *scale, int r, const uint8_t *act,
                      const float *sup, float *total)
{
    const int parts = rule_of(f) == FT_CPU_COARSE ? 4 : 8;
    const int next = 8 / parts * nc * FT_CPU_ACT_BYTES;
    __m256 d = half8(scale + 2 * r), dmin = _mm256_setzero_ps();
    __m256i min[8];
    if (has_min(f)) {
        dmin = half8(scale + 2 * R + 2 * r);
        UNROLL for (int i = 0; i < parts; i++) min[i] = min_pair(f, scale, r, i);
    }
    for (int c = 0; c < nc; c++) {
        __m256 acc = _mm256_loadu_ps(total + c * R);
        acc = _mm256_fmadd_ps(_mm256_loadu_ps(sup + c * R), d, acc);
        if (has_min(f)) {
            const uint8_t *at = word_at(act, nc, 3, c);
            __m256i m = _mm256_madd_epi16(min[0], i32_at(at));
            UNROLL for (int i = 1; i < parts; i++) m =
                _mm256_add_epi32(m, _mm256_madd_epi16(min[i], i32_at(at + i * next)));
            acc = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(m), dmin, acc);
        }
        _mm256_storeu_ps(total + c * R, acc);
    }
}

/* How far ahead of the operands weights are asked for. The hardware's prefetchers stop at every 4
 * KB page, this does not; it walks the panel as it lies in memory, scales first. */
#define AHEAD     8192
#define ACT_AHEAD 2048 /* the same for a tile's input */

INLINE const uint8_t *look_ahead(const int f, const int nc, const uint8_t *ahead, int blocks,
                                 const uint8_t *act)
{
    if (nc == 8)
        for (int i = 0; i < blocks * nc * FT_CPU_ACT_BYTES; i += 64)
            _mm_prefetch((const char *)act + ACT_AHEAD + i, _MM_HINT_T0);
    int bytes = blocks * (q_bytes(f) + scale_bytes(f) / (is_super(f) ? 8 : 1));
    for (int i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)ahead + i, _MM_HINT_T0);
    return ahead + bytes;
}

/* A block, or super-block, of rows r on: added to total. */
INLINE const uint8_t *unit_dot(const int f, const int nc, struct part *p, const uint8_t *scale,
                               int r, const uint8_t *ahead, float *total)
{
    const int blocks = rule_of(f) == FT_CPU_COARSE ? 2 : 1; /* at a time */
    float sup[FT_CPU_COLS * R];
    if (!is_super(f)) {
        p->acc = total;
        UNROLL for (int h = 0; h < halves_of(f); h++)
        {
            p->w[h] = fine_scale(f, scale, r + h * HALF);
            if (has_min(f))
                p->min[h] = half8(scale + 2 * R + 2 * (r + h * HALF));
        }
        if (r == 0)
            ahead = look_ahead(f, nc, ahead, 1, p->act);
        part_dot(f, nc, p);
        return ahead;
    }
    const uint8_t *act = p->act;
    p->acc = sup;
    for (int c = 0; c < nc; c++)
        UNROLL for (int h = 0; h < halves_of(f); h++)
            _mm256_storeu_ps(sup + c * R + h * HALF, _mm256_setzero_ps());
    for (int i = 0; i < 8 / blocks; i++) {
        if (r == 0)
            ahead = look_ahead(f, nc, ahead, blocks, p->act);
        UNROLL for (int h = 0; h < halves_of(f); h++) p->scales[h] =
            scale_pair(f, scale, r + h * HALF, i);
        part_dot(f, nc, p);
        p->q += blocks * q_bytes(f);
        p->act += blocks * nc * FT_CPU_ACT_BYTES;
    }
    for (int h = 0; h < halves_of(f); h++)
        super_end(f, nc, scale, r + h * HALF, act, sup + h * HALF, total + h * HALF);
    return ahead;
}

INLINE void panel_dot(const int f, const int nc, const uint8_t *q, const uint8_t *scale,
                      int64_t n_blocks, const uint8_t *act, float *total)
{
    const int unit = is_super(f) ? 8 : 1;
    const uint8_t *ahead = q + AHEAD;
    struct part p;
    p.lut = lut_of(f);
    for (int64_t u = 0; u < n_blocks / unit; u++) {
        for (int r = 0; r < R; r += HALF * halves_of(f)) {
            p.q = q + 4 * r;
            p.act = act;
            ahead = unit_dot(f, nc, &p, scale, r, ahead, total + r);
        }
        q += unit * q_bytes(f);
        scale += scale_bytes(f);
        act += unit * nc * FT_CPU_ACT_BYTES;
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

const struct ft_cpu_mm ft_cpu_mm_avx2 = {
    .quantise = ft_cpu_quantise_avx2,
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
    .store = ft_cpu_store_avx2,
    .dot_float = ft_cpu_dot_float_avx2,
    .add_scaled = ft_cpu_add_scaled_avx2,
};
