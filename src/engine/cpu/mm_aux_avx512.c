/* AVX-512: quantising the input, storing results, and products with weights in F32, F16, BF16. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/mm_avx512.h"

#define R      FT_CPU_ROWS
#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("GCC unroll 16")

/* Lane i: the largest of vector i's 16 lanes. */
INLINE __m512 max_across(__m512 *v)
{
    UNROLL for (int i = 0; i < 8; i++)
    {
        v[i] =
            _mm512_max_ps(_mm512_unpacklo_ps(v[i], v[i + 8]), _mm512_unpackhi_ps(v[i], v[i + 8]));
    }
    UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] =
            _mm512_max_ps(_mm512_unpacklo_ps(v[i], v[i + 4]), _mm512_unpackhi_ps(v[i], v[i + 4]));
    }
    /* lane 4 l + j of v[i]: lanes 4 l .. 4 l + 3 of vector i + 4 j */
    UNROLL for (int i = 0; i < 2; i++)
    {
        v[i] = _mm512_max_ps(_mm512_shuffle_f32x4(v[i], v[i + 2], 0x88),
                             _mm512_shuffle_f32x4(v[i], v[i + 2], 0xdd));
    }
    __m512 m = _mm512_max_ps(_mm512_shuffle_f32x4(v[0], v[1], 0x88),
                             _mm512_shuffle_f32x4(v[0], v[1], 0xdd));
    /* quarters now stand for vectors 0, 2, 1, 3 */
    const __m512i order = _mm512_setr_epi32(0, 8, 4, 12, 1, 9, 5, 13, 2, 10, 6, 14, 3, 11, 7, 15);
    return _mm512_permutexvar_ps(order, m);
}

/* Lane i: the sum of group i's 16 bytes, q holding 16 groups. */
INLINE __m512i sum_across(const int8_t *q)
{
    const __m512i ones = _mm512_set1_epi8(1);
    __m512i v[4];
    UNROLL for (int i = 0; i < 4; i++)
    {
        v[i] = _mm512_dpbusd_epi32(_mm512_setzero_si512(), ones, _mm512_loadu_si512(q + 64 * i));
    }
    __m512i a =
        _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
    __m512i b =
        _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
    __m512i s = _mm512_add_epi32(_mm512_unpacklo_epi64(a, b), _mm512_unpackhi_epi64(a, b));
    const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    return _mm512_permutexvar_epi32(order, s);
}

/* What blocks' words are made of: 16 groups of 16, that is 8 blocks, of one column. */
struct groups {
    int8_t q[256];
    int32_t start[16], mul[16];
    float a[16], sum[16]; /* sum: of the group; FINE, COARSE: of its block */
};

/* The largest value of each group -> what a step of its levels is worth. */
INLINE __m512 steps_of(const struct ft_cpu_fmt *f, __m512 max, float inverse)
{
    const __m512 n127 = _mm512_set1_ps(1.0f / 127);
    if (f->rule == FT_CPU_FINE) {
        __m512 m = _mm512_mul_ps(_mm512_mul_ps(max, _mm512_set1_ps(inverse)), n127);
        m = _mm512_roundscale_ps(m, _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
        return _mm512_min_ps(m, _mm512_set1_ps(32767));
    }
    max = _mm512_max_ps(max, _mm512_permute_ps(max, 0xb1));
    if (f->rule == FT_CPU_COARSE)
        max = _mm512_max_ps(max, _mm512_permute_ps(max, 0x4e));
    __m512 a = _mm512_mul_ps(max, n127);
    __mmask16 tiny = _mm512_cmp_ps_mask(a, _mm512_set1_ps(FT_CPU_ACT_TINY), _CMP_LT_OQ);
    return _mm512_mask_mov_ps(a, tiny, _mm512_setzero_ps());
}

INLINE void groups_make(const struct ft_cpu_fmt *f, const float *x, int n, float inverse,
                        struct groups *g)
{
    const __m512 zero = _mm512_setzero_ps();
    const int fine = f->rule == FT_CPU_FINE;
    __m512 v[16];
    for (int i = 0; i < 16; i++)
        v[i] = i < n ? _mm512_abs_ps(_mm512_loadu_ps(x + 16 * i)) : zero;
    __m512 step = steps_of(f, max_across(v), inverse);
    __mmask16 some = _mm512_cmp_ps_mask(step, zero, _CMP_NEQ_UQ);
    float scale[16];
    _mm512_storeu_ps(scale, _mm512_maskz_div_ps(some, _mm512_set1_ps(fine ? inverse : 1), step));
    for (int i = 0; i < 16; i++) {
        __m512 t = i < n ? _mm512_loadu_ps(x + 16 * i) : zero;
        __m512i q = _mm512_cvtps_epi32(_mm512_mul_ps(t, _mm512_set1_ps(scale[i])));
        _mm_storeu_si128((void *)(g->q + 16 * i), _mm512_cvtsepi32_epi8(q));
    }
    __m512i sum = sum_across(g->q);
    if (f->rule == FT_CPU_COARSE)
        sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, 0xb1));
    __m512i half = _mm512_set1_epi32(f->shift > 0 ? 1 << (f->shift - 1) : 0);
    __m512i offset = _mm512_mullo_epi32(sum, _mm512_set1_epi32(f->offset));
    _mm512_storeu_si512(g->start, _mm512_sub_epi32(half, offset));
    _mm512_storeu_ps(g->a, step);
    if (fine) {
        __m512i m = _mm512_cvtps_epi32(step);
        _mm512_storeu_si512(g->mul, m);
        sum = _mm512_mullo_epi32(m, sum);
        sum = _mm512_add_epi32(sum, _mm512_shuffle_epi32(sum, 0xb1));
        step = _mm512_set1_ps(1 / (float)(1 << f->shift)); /* comes back with the scale */
    }
    _mm512_storeu_ps(g->sum, _mm512_mul_ps(_mm512_cvtepi32_ps(sum), step));
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
    const int split = f->rule == FT_CPU_SPLIT;
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

static float column_quantise(const struct ft_cpu_fmt *f, const float *x, int nc, int c, int64_t k,
                             uint8_t *act)
{
    const int fine = f->rule == FT_CPU_FINE, sums = f->rule == FT_CPU_SPLIT && f->min;
    __m512 top = _mm512_setzero_ps(), bad = top;
    for (int64_t i = 0; i < k; i += 16) {
        __m512 v = _mm512_loadu_ps(x + i);
        top = _mm512_max_ps(top, _mm512_abs_ps(v));
        bad = _mm512_fmadd_ps(v, _mm512_setzero_ps(), bad);
    }
    float max = _mm512_reduce_max_ps(top), nan = _mm512_reduce_add_ps(bad);
    float unit = max < FT_CPU_ACT_TINY ? 0 : max / FT_CPU_FINE_MAX;
    float inverse = unit == 0 || nan != 0 ? 0 : FT_CPU_FINE_MAX / max;
    float shifted = (float)(1 << f->shift), largest = max / 127;
    struct groups g;
    uint8_t *at = act;
    for (int64_t b = 0; b < k / 32; b++, at += nc * FT_CPU_ACT_BYTES) {
        int i = (int)(b % 8);
        if (i == 0)
            groups_make(f, x + b * 32, (int)FT_MIN((k - b * 32) / 16, (int64_t)16), inverse, &g);
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
        unit = f->min ? sums_pack(f, nc, c, k / 32, nan == 0 ? largest : 0, act) : 1;
    return unit + nan; /* nan is 0, or NaN where the input is not finite */
}

void ft_cpu_quantise_avx512(const struct ft_cpu_fmt *f, const float *x, int64_t ld, int nc,
                            int64_t k, uint8_t *act, float *scale)
{
    for (int c = 0; c < nc; c++)
        scale[c] = column_quantise(f, x + c * ld, nc, c, k, act);
}

void ft_cpu_store_avx512(const float *acc, int nc, const struct ft_cpu_store *s)
{
    __mmask16 rows = (__mmask16)((1u << s->n_rows) - 1);
    __m512 bias = s->bias != NULL ? _mm512_maskz_loadu_ps(rows, s->bias) : _mm512_setzero_ps();
    for (int c = 0; c < nc; c++) {
        float *y = s->y + c * s->ld;
        __m512 v = _mm512_mul_ps(_mm512_loadu_ps(acc + c * R), _mm512_set1_ps(s->scale[c]));
        v = _mm512_add_ps(v, bias);
        if (s->add)
            v = _mm512_add_ps(_mm512_maskz_loadu_ps(rows, y), v);
        _mm512_mask_storeu_ps(y, rows, v);
    }
}

/* 16 weights at w, as f32; those not in `mask` are 0 and not read. */
INLINE __m512 weights16(const int type, const uint8_t *w, __mmask16 mask)
{
    if (type == FT_F32)
        return _mm512_maskz_loadu_ps(mask, w);
    __m256i h = _mm256_maskz_loadu_epi16(mask, w);
    if (type == FT_F16)
        return _mm512_cvtph_ps(h);
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* Lane i: sum of vector i's lanes, always in the same order. */
INLINE __m128 sum4(const __m512 *v)
{
    __m512 a = _mm512_add_ps(_mm512_unpacklo_ps(v[0], v[1]), _mm512_unpackhi_ps(v[0], v[1]));
    __m512 b = _mm512_add_ps(_mm512_unpacklo_ps(v[2], v[3]), _mm512_unpackhi_ps(v[2], v[3]));
    __m512d al = _mm512_castps_pd(a), bl = _mm512_castps_pd(b);
    __m512 s = _mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(al, bl)),
                             _mm512_castpd_ps(_mm512_unpackhi_pd(al, bl)));
    __m256 h = _mm256_add_ps(_mm512_castps512_ps256(s), _mm512_extractf32x8_ps(s, 1));
    return _mm_add_ps(_mm256_castps256_ps128(h), _mm256_extractf128_ps(h, 1));
}

/* 4 rows by nc (1 .. 4) columns: one vector of sums each, lanes along k. */
INLINE void float_tile(const int type, const int nc, const uint8_t *const *w, const float *x,
                       int64_t ld, int64_t k, float *acc)
{
    const int size = type == FT_F32 ? 4 : 2;
    __m512 sum[4][4];
    UNROLL for (int c = 0; c < nc; c++)
    {
        UNROLL for (int r = 0; r < 4; r++) sum[c][r] = _mm512_setzero_ps();
    }
    for (int64_t i = 0; i < k; i += 16) {
        __mmask16 mask = k - i >= 16 ? 0xffff : (__mmask16)((1u << (k - i)) - 1);
        __m512 v[4];
        UNROLL for (int r = 0; r < 4; r++) v[r] = weights16(type, w[r] + i * size, mask);
        UNROLL for (int c = 0; c < nc; c++)
        {
            __m512 u = _mm512_maskz_loadu_ps(mask, x + c * ld + i);
            UNROLL for (int r = 0; r < 4; r++) sum[c][r] = _mm512_fmadd_ps(v[r], u, sum[c][r]);
        }
    }
    UNROLL for (int c = 0; c < nc; c++) _mm_storeu_ps(acc + c * R, sum4(sum[c]));
}

INLINE void float_rows(const int type, const uint8_t *w, size_t row_bytes, int n_rows,
                       const float *x, int64_t ld, int nc, int64_t k, float *acc)
{
    for (int r = 0; r < n_rows; r += 4) {
        const uint8_t *row[4];
        for (int i = 0; i < 4; i++)
            row[i] = w + (size_t)FT_MIN(r + i, n_rows - 1) * row_bytes;
        for (int c = 0; c < nc; c += 4) {
            const float *xc = x + c * ld;
            float *a = acc + c * R + r;
            switch (nc - c) {
            case 1:
                float_tile(type, 1, row, xc, ld, k, a);
                break;
            case 2:
                float_tile(type, 2, row, xc, ld, k, a);
                break;
            case 3:
                float_tile(type, 3, row, xc, ld, k, a);
                break;
            default:
                float_tile(type, 4, row, xc, ld, k, a);
                break;
            }
        }
    }
}

void ft_cpu_dot_float_avx512(enum ft_type type, const uint8_t *w, size_t row_bytes, int n_rows,
                             const float *x, int64_t ld, int nc, int64_t k, float *acc)
{
    if (type == FT_F32)
        float_rows(FT_F32, w, row_bytes, n_rows, x, ld, nc, k, acc);
    else if (type == FT_F16)
        float_rows(FT_F16, w, row_bytes, n_rows, x, ld, nc, k, acc);
    else
        float_rows(FT_BF16, w, row_bytes, n_rows, x, ld, nc, k, acc);
}

void ft_cpu_add_scaled_avx512(float *y, const float *x, float a, int64_t n)
{
    for (int64_t i = 0; i < n; i += 16) {
        __mmask16 m = n - i >= 16 ? 0xffff : (__mmask16)((1u << (n - i)) - 1);
        __m512 v = _mm512_fmadd_ps(_mm512_set1_ps(a), _mm512_maskz_loadu_ps(m, x + i),
                                   _mm512_maskz_loadu_ps(m, y + i));
        _mm512_mask_storeu_ps(y + i, m, v);
    }
}
