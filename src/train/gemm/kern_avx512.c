/* Kernels in AVX-512: tiles of 12 rows by 32 columns, 24 sums in registers. On Zen 4 a
 * multiplication of 16 units starts every cycle, so 24 hide its latency; loads and broadcasts have
 * slots beside. */
#ifdef FT_GEMM_X86

#include <immintrin.h>

#include "base/err.h"
#include "train/gemm/kern.h"

#define MR    12
#define LANES 16
#define NR    (2 * LANES)

typedef __m512 vec;

static inline __mmask16 first(int64_t n)
{
    return n >= 16 ? (__mmask16)0xffff : n <= 0 ? 0 : (__mmask16)((1u << n) - 1);
}

static inline __m512 load(const float *x, int64_t n)
{
    return n >= 16 ? _mm512_loadu_ps(x) : _mm512_maskz_loadu_ps(first(n), x);
}

static inline vec vec_zero(void)
{
    return _mm512_setzero_ps();
}

static inline vec vec_load(const uint32_t *u)
{
    return _mm512_castsi512_ps(_mm512_loadu_si512(u));
}

static inline vec vec_broadcast(const uint32_t *u)
{
    return _mm512_castsi512_ps(_mm512_set1_epi32((int)*u));
}

static inline void vec_store(float *c, vec sum, int64_t n, float alpha, bool add)
{
    __m512 scale = _mm512_set1_ps(alpha);
    if (n >= LANES) {
        sum = add ? _mm512_fmadd_ps(scale, sum, _mm512_loadu_ps(c)) : _mm512_mul_ps(scale, sum);
        _mm512_storeu_ps(c, sum);
        return;
    }
    __mmask16 m = first(n);
    sum =
        add ? _mm512_fmadd_ps(scale, sum, _mm512_maskz_loadu_ps(m, c)) : _mm512_mul_ps(scale, sum);
    _mm512_mask_storeu_ps(c, m, sum);
}

static inline vec mac_f32(vec sum, vec a, vec b)
{
    return _mm512_fmadd_ps(a, b, sum);
}

static inline vec mac_bf16(vec sum, vec a, vec b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

/* ---- packing ---- */

/* 16 rows of 16 units -> 16 columns. */
static inline void transpose(__m512i r[16])
{
    __m512i t[16];
#pragma GCC unroll 8
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_epi32(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi32(r[i], r[i + 1]);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 16; i += 4) {
        r[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
        r[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
        r[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
        r[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 16; i += 8)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++) {
            t[i + j] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0x88);
            t[i + j + 4] = _mm512_shuffle_i32x4(r[i + j], r[i + j + 4], 0xdd);
        }
#pragma GCC unroll 4
    for (int j = 0; j < 4; j++) {
        r[j] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0x88);
        r[j + 8] = _mm512_shuffle_i32x4(t[j], t[j + 8], 0xdd);
        r[j + 4] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0x88);
        r[j + 12] = _mm512_shuffle_i32x4(t[j + 4], t[j + 12], 0xdd);
    }
}

/* Up to 16 units of a row of n elements. */
static inline __m512i units_f32(const float *x, int64_t n)
{
    return _mm512_castps_si512(load(x, n));
}

static inline __m512i units_bf16(const float *x, int64_t n)
{
    return (__m512i)_mm512_cvtne2ps_pbh(load(x + 16, n - 16), load(x, n));
}

/* One unit of up to 16 neighbours across k. */
static inline __m512i unit_f32(const float *x, int64_t ld, int n_k, int64_t n)
{
    (void)ld;
    FT_ASSERT(n_k == 1);
    return _mm512_castps_si512(load(x, n));
}

static inline __m512i unit_bf16(const float *x, int64_t ld, int n_k, int64_t n)
{
    const __m512i mix = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 second = n_k == 2 ? load(x + ld, n) : _mm512_setzero_ps();
    return _mm512_permutexvar_epi16(mix, (__m512i)_mm512_cvtne2ps_pbh(second, load(x, n)));
}

#define UNIT_K_f32  1
#define UNIT_K_bf16 2

#define PACKING(name)                                                                              \
    static void row_##name(const float *x, int64_t n, uint32_t *u)                                 \
    {                                                                                              \
        const int64_t step = 16 * UNIT_K_##name;                                                   \
        for (; n >= step; n -= step, x += step, u += 16)                                           \
            _mm512_storeu_si512(u, units_##name(x, step));                                         \
        if (n > 0)                                                                                 \
            _mm512_mask_storeu_epi32(u, first((n + UNIT_K_##name - 1) / UNIT_K_##name),            \
                                     units_##name(x, n));                                          \
    }                                                                                              \
                                                                                                   \
    static void across_##name(const float *x, int64_t ld, int n_k, int64_t n, int width,           \
                              uint32_t *u, int64_t panel_step)                                     \
    {                                                                                              \
        for (; n > 0; n -= width, x += width, u += panel_step)                                     \
            for (int i = 0; i < width; i += 16) {                                                  \
                int64_t left = n < width ? n - i : width - i;                                      \
                _mm512_mask_storeu_epi32(u + i, first(width - i),                                  \
                                         unit_##name(x + i, ld, n_k, left));                       \
            }                                                                                      \
    }                                                                                              \
                                                                                                   \
    static void turn_##name(const float *x, int64_t ld, int rows, int64_t n, uint32_t *u)          \
    {                                                                                              \
        const int64_t step = 16 * UNIT_K_##name;                                                   \
        for (; n > 0; n -= step, x += step, u += 16 * NR)                                          \
            for (int half = 0; half < NR; half += 16) {                                            \
                __m512i r[16];                                                                     \
                for (int i = 0; i < 16; i++)                                                       \
                    r[i] = half + i < rows ? units_##name(x + (half + i) * ld, n)                  \
                                           : _mm512_setzero_si512();                               \
                transpose(r);                                                                      \
                int64_t n_units = (n + UNIT_K_##name - 1) / UNIT_K_##name;                         \
                for (int i = 0; i < 16 && i < n_units; i++)                                        \
                    _mm512_storeu_si512(u + i * NR + half, r[i]);                                  \
            }                                                                                      \
    }

PACKING(f32)
PACKING(bf16)

/* ---- tiles and tables ---- */

#define NAME(x) x##_f32
#define vec_mac mac_f32
#include "train/gemm/tile_vec.inc"
#undef NAME
#undef vec_mac

#define NAME(x) x##_bf16
#define vec_mac mac_bf16
#include "train/gemm/tile_vec.inc"

#define TABLE(name)                                                                                \
    const struct ft_gemm_kern ft_gemm_kern_avx512_##name = {                                       \
        .unit_k = UNIT_K_##name,                                                                   \
        .mr = MR,                                                                                  \
        .nr = NR,                                                                                  \
        .row = row_##name,                                                                         \
        .across = across_##name,                                                                   \
        .turn = turn_##name,                                                                       \
        .tile = tile_##name,                                                                       \
    };

TABLE(f32)
TABLE(bf16)

#endif
