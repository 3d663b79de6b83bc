/* AVX2: quantising the input, storing results, and products with weights in F32, F16, BF16. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/mm_avx2.h"

#define R      FT_CPU_ROWS
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 8")

INLINE __m256 abs8(__m256 v)
{
    return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), v);
}

INLINE float max_of(__m256 v)
{
    __m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    m = _mm_max_ps(m, _mm_movehl_ps(m, m));
    return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

/* Lane i: the largest of vector i's 8 lanes. */
INLINE __m256 max_across(__m256 *v)
{
    UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] =
            _mm256_max_ps(_mm256_unpacklo_ps(v[i], v[i + 4]), _mm256_unpackhi_ps(v[i], v[i + 4]));
    }
    UNROLL for (int i = 0; i < 2; i++)
    {
        v[i] =
            _mm256_max_ps(_mm256_unpacklo_ps(v[i], v[i + 2]), _mm256_unpackhi_ps(v[i], v[i + 2]));
    }
    /* lane j of each half: that half of vector 0, 2, 4, 6 in v[0], of 1, 3, 5, 7 in v[1] */
    __m256 m = _mm256_max_ps(_mm256_permute2f128_ps(v[0], v[1], 0x20),
                             _mm256_permute2f128_ps(v[0], v[1], 0x31));
    return _mm256_permutevar8x32_ps(m, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* Lane i: the sum of group i's 16 bytes, q holding 8 groups. */
INLINE __m256i sum_across(const int8_t *q)
{
    __m256i v[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        __m256i two = _mm256_maddubs_epi16(_mm256_set1_epi8(1),
                                           _mm256_loadu_si256((const void *)(q + 32 * i)));
        v[i] = _mm256_madd_epi16(two, _mm256_set1_epi16(1));
    }
    /* hadd works within halves: a half's lanes are groups 0, 2, 4, 6, or 1, 3, 5, 7 */
    __m256i s = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
    return _mm256_permutevar8x32_epi32(s, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7));
}

/* What blocks' words are made of: 8 groups of 16, that is 4 blocks, of one column. */
struct groups {
    int8_t q[128];
    int32_t start[8], mul[8];
    float a[8], sum[8]; /* sum: of the group; FINE, COARSE: of its block */
};

/* The largest value of each group -> what a step of its levels is worth. */
INLINE __m256 steps_of(const struct ft_cpu_fmt *f, __m256 max, float inverse)
{
    const __m256 n127 = _mm256_set1_ps(1.0f / 127);
    if (f->rule == FT_CPU_FINE) {
        __m256 m = _mm256_mul_ps(_mm256_mul_ps(max, _mm256_set1_ps(inverse)), n127);
        m = _mm256_round_ps(m, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
        return _mm256_min_ps(m, _mm256_set1_ps(32767));
    }
    max = _mm256_max_ps(max, _mm256_permute_ps(max, 0xb1));
    if (f->rule == FT_CPU_COARSE)
        max = _mm256_max_ps(max, _mm256_permute_ps(max, 0x4e));
    __m256 a = _mm256_mul_ps(max, n127);
    return _mm256_andnot_ps(_mm256_cmp_ps(a, _mm256_set1_ps(FT_CPU_ACT_TINY), _CMP_LT_OQ), a);
}

/* 16 floats -> signed bytes. */
INLINE __m128i bytes_of(const float *x, float scale)
{
    __m256 s = _mm256_set1_ps(scale);
    __m256i a = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x), s));
    __m256i b = _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_loadu_ps(x + 8), s));
    return _mm_packs_epi16(
        _mm_packs_epi32(_mm256_castsi256_si128(a), _mm256_extracti128_si256(a, 1)),
        _mm_packs_epi32(_mm256_castsi256_si128(b), _mm256_extracti128_si256(b, 1)));
}

INLINE void groups_make(const struct ft_cpu_fmt *f, const float *x, int n, float inverse,
                        struct groups *g)
{
    const __m256 zero = _mm256_setzero_ps();
    const bool fine = f->rule == FT_CPU_FINE;
    __m256 v[8];
    for (int i = 0; i < 8; i++) {
        v[i] = zero;
        if (i < n)
            v[i] = _mm256_max_ps(abs8(_mm256_loadu_ps(x + 16 * i)),
                                 abs8(_mm256_loadu_ps(x + 16 * i + 8)));
    }
    __m256 step = steps_of(f, max_across(v), inverse);
    __m256 some = _mm256_cmp_ps(step, zero, _CMP_NEQ_UQ);
    float scale[8];
    _mm256_storeu_ps(scale,
                     _mm256_and_ps(some, _mm256_div_ps(_mm256_set1_ps(fine ? inverse : 1), step)));
    for (int i = 0; i < 8; i++)
        _mm_storeu_si128((void *)(g->q + 16 * i),
                         i < n ? bytes_of(x + 16 * i, scale[i]) : _mm_setzero_si128());
    __m256i sum = sum_across(g->q);
    if (f->rule == FT_CPU_COARSE)
        sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0xb1));
    __m256i half = _mm256_set1_epi32(1 << f->shift >> 1);
    __m256i offset = _mm256_mullo_epi32(sum, _mm256_set1_epi32(f->offset));
    _mm256_storeu_si256((void *)g->start, _mm256_sub_epi32(half, offset));
    _mm256_storeu_ps(g->a, step);
    if (fine) {
        __m256i m = _mm256_cvtps_epi32(step);
        _mm256_storeu_si256((void *)g->mul, m);
        sum = _mm256_mullo_epi32(m, sum);
        sum = _mm256_add_epi32(sum, _mm256_shuffle_epi32(sum, 0xb1));
        step = _mm256_set1_ps(1 / (float)(1 << f->shift)); /* comes back with the scale */
    }
    _mm256_storeu_ps(g->sum, _mm256_mul_ps(_mm256_cvtepi32_ps(sum), step));
}

INLINE void put_i32(uint8_t *p, int32_t v)
{
    memcpy(p, &v, 4);
}

INLINE void put_f32(uint8_t *p, float v)
{
    memcpy(p, &v, 4);
}

INLINE float get_f32(const uint8_t *p)
{
    float v;
    memcpy(&v, p, 4);
    return v;
}

/* Super-blocks with minimums: the sums that column_quantise left as floats (the halves' of a SPLIT
 * block in w3 and w1) become pairs of 16 bits in units of the largest, which becomes the unit of
 * the column. */
static float sums_pack(const struct ft_cpu_fmt *f, int nc, int c, int64_t n_blocks, float largest,
                       uint8_t *act)
{
    const bool split = f->rule == FT_CPU_SPLIT;
    const size_t next = (size_t)nc * FT_CPU_ACT_BYTES, w = (size_t)nc * 4;
    float unit = largest / 32767, inverse = unit > 0 ? 1 / unit : 0;
    act += nc * 32 + c * 4;
    for (int64_t b = 0; b < n_blocks; b += split ? 1 : 2, act += split ? next : 2 * next) {
        float first = get_f32(act + 3 * w), second = get_f32(split ? act + w : act + next + 3 * w);
        __m128i i =
            _mm_cvtps_epi32(_mm_mul_ps(_mm_setr_ps(first, second, 0, 0), _mm_set1_ps(inverse)));
        put_i32(act + 3 * w, _mm_cvtsi128_si32(_mm_packs_epi32(i, i)));
        put_f32(act + 2 * w, get_f32(act + 2 * w) * inverse);
    }
    return unit > 0 ? unit : 1;
}

/* The largest of |x|; *ret_nan: 0, or NaN where one of x is not finite. */
INLINE float column_max(const float *x, int64_t k, float *ret_nan)
{
    const __m256 zero = _mm256_setzero_ps();
    __m256 top[2] = {zero, zero}, bad[2] = {zero, zero};
    for (int64_t i = 0; i < k; i += 16)
        UNROLL for (int j = 0; j < 2; j++)
        {
            __m256 v = _mm256_loadu_ps(x + i + 8 * j);
            top[j] = _mm256_max_ps(top[j], abs8(v));
            bad[j] = _mm256_fmadd_ps(v, zero, bad[j]);
        }
    __m256 nan = _mm256_add_ps(bad[0], bad[1]);
    bool finite = _mm256_movemask_ps(_mm256_cmp_ps(nan, nan, _CMP_UNORD_Q)) == 0;
    *ret_nan = finite ? 0 : __builtin_nanf("");
    return max_of(_mm256_max_ps(top[0], top[1]));
}

static float column_quantise(const struct ft_cpu_fmt *f, const float *x, int nc, int c, int64_t k,
                             uint8_t *act)
{
    const bool fine = f->rule == FT_CPU_FINE, sums = f->rule == FT_CPU_SPLIT && f->min;
    float nan, max = column_max(x, k, &nan);
    bool finite = nan == 0;
    float unit = max < FT_CPU_ACT_TINY ? 0 : max / FT_CPU_FINE_MAX;
    float inverse = unit == 0 || !finite ? 0 : FT_CPU_FINE_MAX / max;
    float shifted = (float)(1 << f->shift), largest = max / 127;
    struct groups g;
    uint8_t *at = act;
    for (int64_t b = 0; b < k / 32; b++, at += nc * FT_CPU_ACT_BYTES) {
        int i = (int)(b % 4);
        if (i == 0)
            groups_make(f, x + b * 32, (int)FT_MIN((k - b * 32) / 16, (int64_t)8), inverse, &g);
        memcpy(at + c * 32, g.q + i * 32, 32);
        uint8_t *w0 = at + nc * 32 + c * 4, *w1 = w0 + nc * 4, *w2 = w1 + nc * 4, *w3 = w2 + nc * 4;
        put_i32(w0, g.start[2 * i]);
        put_i32(w1, g.start[2 * i + 1]);
        if (fine)
            put_i32(w2, (int32_t)((uint32_t)g.mul[2 * i] | (uint32_t)g.mul[2 * i + 1] << 16));
        else
            put_f32(w2, g.a[2 * i] * shifted);
        put_f32(w3, g.sum[2 * i]);
        if (sums)
            put_f32(w1, g.sum[2 * i + 1]);
        largest = FT_MAX(largest,
                         FT_MAX(__builtin_fabsf(g.sum[2 * i]), __builtin_fabsf(g.sum[2 * i + 1])));
    }
    if (fine)
        unit *= shifted;
    else
        unit = f->min ? sums_pack(f, nc, c, k / 32, finite ? largest : 0, act) : 1;
    return unit + nan;
}

void ft_cpu_quantise_avx2(const struct ft_cpu_fmt *f, const float *x, int64_t ld, int nc, int64_t k,
                          uint8_t *act, float *scale)
{
    for (int c = 0; c < nc; c++)
        scale[c] = column_quantise(f, x + c * ld, nc, c, k, act);
}

/* The first n lanes, n <= 0 for none, n >= 8 for all. */
INLINE __m256i first(int64_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)FT_MIN(n, (int64_t)8)),
                              _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}

void ft_cpu_store_avx2(const float *acc, int nc, const struct ft_cpu_store *s)
{
    for (int r = 0; r < s->n_rows; r += 8) {
        __m256i rows = first(s->n_rows - r);
        __m256 bias = s->bias != NULL ? _mm256_maskload_ps(s->bias + r, rows) : _mm256_setzero_ps();
        for (int c = 0; c < nc; c++) {
            float *y = s->y + c * s->ld + r;
            __m256 v = _mm256_mul_ps(_mm256_loadu_ps(acc + c * R + r), _mm256_set1_ps(s->scale[c]));
            v = _mm256_add_ps(v, bias);
            if (s->add)
                v = _mm256_add_ps(_mm256_maskload_ps(y, rows), v);
            if (s->n_rows - r >= 8) /* masked stores are slow on some machines */
                _mm256_storeu_ps(y, v);
            else
                _mm256_maskstore_ps(y, rows, v);
        }
    }
}

/* 8 weights at w, as f32; of the last ones only n are read, the others are 0. */
INLINE __m256 weights8(const int type, const uint8_t *w, int64_t n)
{
    if (type == FT_F32)
        return n >= 8 ? _mm256_loadu_ps((const void *)w)
                      : _mm256_maskload_ps((const void *)w, first(n));
    __m128i h;
    if (n >= 8) {
        h = _mm_loadu_si128((const void *)w);
    } else {
        uint16_t some[8] = {0};
        for (int64_t i = 0; i < n; i++)
            memcpy(&some[i], w + 2 * i, 2);
        h = _mm_loadu_si128((const void *)some);
    }
    if (type == FT_F16)
        return _mm256_cvtph_ps(h);
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

INLINE __m256 inputs8(const float *x, int64_t n)
{
    return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(n));
}

/* Half h, lane i: the sum of that half of vector i's lanes. */
INLINE __m256 sum_across4(const __m256 *v)
{
    __m256 a = _mm256_add_ps(_mm256_unpacklo_ps(v[0], v[1]), _mm256_unpackhi_ps(v[0], v[1]));
    __m256 b = _mm256_add_ps(_mm256_unpacklo_ps(v[2], v[3]), _mm256_unpackhi_ps(v[2], v[3]));
    __m256d al = _mm256_castps_pd(a), bl = _mm256_castps_pd(b);
    return _mm256_add_ps(_mm256_castpd_ps(_mm256_unpacklo_pd(al, bl)),
                         _mm256_castpd_ps(_mm256_unpackhi_pd(al, bl)));
}

#define TILE_COLS 3 /* 3 columns by 4 rows of sums leave registers for the operands */

/* Adds weights i .. i + 7 of 4 rows times those of nc columns, n of them left. */
INLINE void float_step(const int type, const int nc, const uint8_t *const *w, const float *x,
                       int64_t ld, int64_t i, int64_t n, __m256 sum[TILE_COLS][4])
{
    const int size = type == FT_F32 ? 4 : 2;
    __m256 u[TILE_COLS];
    UNROLL for (int c = 0; c < nc; c++) u[c] = inputs8(x + c * ld + i, n);
    UNROLL for (int r = 0; r < 4; r++)
    {
        __m256 v = weights8(type, w[r] + i * size, n);
        UNROLL for (int c = 0; c < nc; c++) sum[c][r] = _mm256_fmadd_ps(v, u[c], sum[c][r]);
    }
}

/* 4 rows by nc (1 .. 3) columns. The 16 partial sums of an element are two vectors: the even
 * vectors' along k and the odd ones'. With one column both fit the registers, with more the rows
 * are walked twice. */
INLINE void float_tile(const int type, const int nc, const uint8_t *const *w, const float *x,
                       int64_t ld, int64_t k, float *acc)
{
    __m256 half[2][TILE_COLS];
    if (nc == 1) {
        __m256 even[TILE_COLS][4], odd[TILE_COLS][4];
        UNROLL for (int r = 0; r < 4; r++) even[0][r] = odd[0][r] = _mm256_setzero_ps();
        int64_t i = 0;
        for (; i + 16 <= k; i += 16) {
            float_step(type, 1, w, x, ld, i, 8, even);
            float_step(type, 1, w, x, ld, i + 8, 8, odd);
        }
        if (i < k)
            float_step(type, 1, w, x, ld, i, k - i, even);
        if (i + 8 < k)
            float_step(type, 1, w, x, ld, i + 8, k - i - 8, odd);
        half[0][0] = sum_across4(even[0]);
        half[1][0] = sum_across4(odd[0]);
    } else {
        for (int h = 0; h < 2; h++) {
            __m256 sum[TILE_COLS][4];
            UNROLL for (int c = 0; c < nc; c++)
            {
                UNROLL for (int r = 0; r < 4; r++) sum[c][r] = _mm256_setzero_ps();
            }
            int64_t i = 8 * h;
            for (; i + 8 <= k; i += 16)
                float_step(type, nc, w, x, ld, i, 8, sum);
            if (i < k)
                float_step(type, nc, w, x, ld, i, k - i, sum);
            UNROLL for (int c = 0; c < nc; c++) half[h][c] = sum_across4(sum[c]);
        }
    }
    UNROLL for (int c = 0; c < nc; c++)
    {
        __m256 s = _mm256_add_ps(half[0][c], half[1][c]);
        _mm_storeu_ps(acc + c * R,
                      _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
    }
}

INLINE void float_rows(const int type, const uint8_t *w, size_t row_bytes, int n_rows,
                       const float *x, int64_t ld, int nc, int64_t k, float *acc)
{
    for (int r = 0; r < n_rows; r += 4) {
        const uint8_t *row[4];
        for (int i = 0; i < 4; i++)
            row[i] = w + (size_t)FT_MIN(r + i, n_rows - 1) * row_bytes;
        for (int c = 0, n; c < nc; c += n) {
            const float *xc = x + c * ld;
            float *a = acc + c * R + r;
            n = nc - c == 4 ? 2 : FT_MIN(nc - c, TILE_COLS); /* 4 as 2 + 2 */
            if (n == 1)
                float_tile(type, 1, row, xc, ld, k, a);
            else if (n == 2)
                float_tile(type, 2, row, xc, ld, k, a);
            else
                float_tile(type, 3, row, xc, ld, k, a);
        }
    }
}

void ft_cpu_dot_float_avx2(enum ft_type type, const uint8_t *w, size_t row_bytes, int n_rows,
                           const float *x, int64_t ld, int nc, int64_t k, float *acc)
{
    if (type == FT_F32)
        float_rows(FT_F32, w, row_bytes, n_rows, x, ld, nc, k, acc);
    else if (type == FT_F16)
        float_rows(FT_F16, w, row_bytes, n_rows, x, ld, nc, k, acc);
    else
        float_rows(FT_BF16, w, row_bytes, n_rows, x, ld, nc, k, acc);
}

void ft_cpu_add_scaled_avx2(float *y, const float *x, float a, int64_t n)
{
    const __m256 v = _mm256_set1_ps(a);
    int64_t i = 0;
    for (; i + 8 <= n; i += 8)
        _mm256_storeu_ps(y + i, _mm256_fmadd_ps(v, _mm256_loadu_ps(x + i), _mm256_loadu_ps(y + i)));
    if (i < n) {
        __m256i rest = first(n - i);
        __m256 sum =
            _mm256_fmadd_ps(v, _mm256_maskload_ps(x + i, rest), _mm256_maskload_ps(y + i, rest));
        _mm256_maskstore_ps(y + i, rest, sum);
    }
}
