/* Kernels in AVX2: tiles of 6 rows by 16 columns, 12 sums in registers. There is no bfloat16
 * instruction: operands are rounded when packed and multiplied as f32, so units are single floats.
 */
#ifdef FT_GEMM_X86

#include <immintrin.h>

#include "base/err.h"
#include "train/gemm/kern.h"

#define MR    6
#define LANES 8
#define NR    (2 * LANES)

typedef __m256 vec;

static inline __m256i first(int64_t n)
{
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n > 8 ? 8 : (int)n), lane);
}

static inline __m256 load(const float *x, int64_t n)
{
    return n >= 8 ? _mm256_loadu_ps(x) : _mm256_maskload_ps(x, first(n));
}

static inline vec vec_zero(void)
{
    return _mm256_setzero_ps();
}

static inline vec vec_load(const uint32_t *u)
{
    return _mm256_castsi256_ps(_mm256_loadu_si256((const void *)u));
}

static inline vec vec_broadcast(const uint32_t *u)
{
    return _mm256_castsi256_ps(_mm256_set1_epi32((int)*u));
}

static inline vec vec_mac(vec sum, vec a, vec b)
{
    return _mm256_fmadd_ps(a, b, sum);
}

static inline void vec_store(float *c, vec sum, int64_t n, float alpha, bool add)
{
    __m256 scale = _mm256_set1_ps(alpha);
    sum = add ? _mm256_fmadd_ps(scale, sum, load(c, n)) : _mm256_mul_ps(scale, sum);
    if (n >= LANES)
        _mm256_storeu_ps(c, sum);
    else
        _mm256_maskstore_ps(c, first(n), sum);
}

/* ---- packing ---- */

static inline __m256 exact(__m256 x)
{
    return x;
}

/* To bfloat16 and back: nearest, ties to even; not a number stays so. */
static inline __m256 rounded(__m256 x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i r = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));
    r = _mm256_and_si256(r, _mm256_set1_epi32((int)0xffff0000));
    return _mm256_blendv_ps(_mm256_castsi256_ps(r), x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

static inline void transpose(__m256 r[8])
{
    __m256 t[8];
#pragma GCC unroll 4
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 2
    for (int i = 0; i < 8; i += 4) {
        r[i] = _mm256_shuffle_ps(t[i], t[i + 2], 0x44);
        r[i + 1] = _mm256_shuffle_ps(t[i], t[i + 2], 0xee);
        r[i + 2] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0x44);
        r[i + 3] = _mm256_shuffle_ps(t[i + 1], t[i + 3], 0xee);
    }
#pragma GCC unroll 4
    for (int i = 0; i < 4; i++) {
        t[i] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x20);
        t[i + 4] = _mm256_permute2f128_ps(r[i], r[i + 4], 0x31);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i++)
        r[i] = t[i];
}

#define PACKING(name, number)                                                                      \
    static void row_##name(const float *x, int64_t n, uint32_t *u)                                 \
    {                                                                                              \
        for (; n > 0; n -= 8, x += 8, u += 8)                                                      \
            _mm256_maskstore_epi32((int *)u, first(n), _mm256_castps_si256(number(load(x, n))));   \
    }                                                                                              \
                                                                                                   \
    static void across_##name(const float *x, int64_t ld, int n_k, int64_t n, int width,           \
                              uint32_t *u, int64_t panel_step)                                     \
    {                                                                                              \
        for (; n > 0; n -= width, x += width, u += panel_step)                                     \
            for (int i = 0; i < width; i += 8) {                                                   \
                int64_t left = n < width ? n - i : width - i;                                      \
                for (int k = 0; k < n_k; k++)                                                      \
                    _mm256_maskstore_epi32(                                                        \
                        (int *)(u + k * width + i), first(width - i),                              \
                        _mm256_castps_si256(number(load(x + k * ld + i, left))));                  \
            }                                                                                      \
    }                                                                                              \
                                                                                                   \
    static void turn_##name(const float *x, int64_t ld, int rows, int64_t n, uint32_t *u)          \
    {                                                                                              \
        for (; n > 0; n -= 8, x += 8, u += 8 * NR)                                                 \
            for (int half = 0; half < NR; half += 8) {                                             \
                __m256 r[8];                                                                       \
                for (int i = 0; i < 8; i++)                                                        \
                    r[i] = half + i < rows ? number(load(x + (half + i) * ld, n))                  \
                                           : _mm256_setzero_ps();                                  \
                transpose(r);                                                                      \
                for (int i = 0; i < 8 && i < n; i++)                                               \
                    _mm256_storeu_ps((float *)(void *)(u + i * NR + half), r[i]);                  \
            }                                                                                      \
    }

PACKING(f32, exact)
PACKING(bf16, rounded)

/* ---- tile and tables ---- */

#include "train/gemm/tile_vec.inc"

#define TABLE(name)                                                                                \
    const struct ft_gemm_kern ft_gemm_kern_avx2_##name = {                                         \
        .unit_k = 1,                                                                               \
        .mr = MR,                                                                                  \
        .nr = NR,                                                                                  \
        .row = row_##name,                                                                         \
        .across = across_##name,                                                                   \
        .turn = turn_##name,                                                                       \
        .tile = tile,                                                                              \
    };

TABLE(f32)
TABLE(bf16)

#endif
