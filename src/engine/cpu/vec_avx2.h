/* The vector vocabulary of steps_body.h and attend_body.h, in AVX2 with FMA and F16C. Same names in
 * vec_avx512.h. */
#ifndef FT_ENGINE_CPU_VEC_AVX2_H
#define FT_ENGINE_CPU_VEC_AVX2_H

#include <immintrin.h>
#include <stdint.h>
#include <string.h>

#include "engine/cpu/steps.h"

#define VW     8 /* lanes */
#define ROWS   4 /* query rows that the registers hold together */
#define INLINE static inline __attribute__((always_inline))

typedef __m256 vf;

INLINE vf v_zero(void)
{
    return _mm256_setzero_ps();
}
INLINE vf v_set1(float x)
{
    return _mm256_set1_ps(x);
}
INLINE vf v_load(const float *p)
{
    return _mm256_loadu_ps(p);
}
INLINE void v_store(float *p, vf a)
{
    _mm256_storeu_ps(p, a);
}
INLINE vf v_add(vf a, vf b)
{
    return _mm256_add_ps(a, b);
}
INLINE vf v_sub(vf a, vf b)
{
    return _mm256_sub_ps(a, b);
}
INLINE vf v_mul(vf a, vf b)
{
    return _mm256_mul_ps(a, b);
}
INLINE vf v_div(vf a, vf b)
{
    return _mm256_div_ps(a, b);
}
INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm256_fmadd_ps(a, b, c);
}
INLINE vf v_fms(vf a, vf b, vf c)
{
    return _mm256_fmsub_ps(a, b, c);
}
/* b where a is NaN */
INLINE vf v_max(vf a, vf b)
{
    return _mm256_max_ps(a, b);
}
INLINE vf v_min(vf a, vf b)
{
    return _mm256_min_ps(a, b);
}
INLINE vf v_abs(vf a)
{
    return _mm256_andnot_ps(v_set1(-0.0f), a);
}
INLINE float v_hmax(vf a)
{
    __m128 x = _mm_max_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_max_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}
INLINE float v_hsum(vf a)
{
    __m128 x = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    x = _mm_add_ps(x, _mm_movehl_ps(x, x));
    return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

/* The first n lanes, n <= VW; the rest is zero, or left alone in memory. */
INLINE __m256i first(int n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
INLINE vf v_load_n(const float *p, int n)
{
    return _mm256_maskload_ps(p, first(n));
}
INLINE void v_store_n(float *p, vf a, int n)
{
    _mm256_maskstore_ps(p, first(n), a);
}
/* a in the first n lanes, b in the others. */
INLINE vf v_first(vf a, vf b, int n)
{
    return _mm256_blendv_ps(b, a, _mm256_castsi256_ps(first(n)));
}

/* 2^x; 0 below -127; NaN stays. */
INLINE vf v_exp2(vf x)
{
    x = v_min(v_set1(FT_EXP2_MAX), v_max(v_set1(-127), x));
    vf n = _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf f = v_sub(x, n), p = v_set1(FT_EXP2_C6);
    p = v_fma(p, f, v_set1(FT_EXP2_C5));
    p = v_fma(p, f, v_set1(FT_EXP2_C4));
    p = v_fma(p, f, v_set1(FT_EXP2_C3));
    p = v_fma(p, f, v_set1(FT_EXP2_C2));
    p = v_fma(p, f, v_set1(FT_EXP2_C1));
    p = v_fma(p, f, v_set1(1));
    __m256i e = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
    return v_mul(p, _mm256_castsi256_ps(_mm256_slli_epi32(e, 23)));
}

INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm256_cvtph_ps(_mm_loadu_si128((const __m128i *)p));
}
INLINE void v_store_f16(uint16_t *p, vf a)
{
    _mm_storeu_si128((__m128i *)p, _mm256_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void v_store_f16_n(uint16_t *p, vf a, int n)
{
    uint16_t h[VW];
    v_store_f16(h, a);
    memcpy(p, h, (size_t)n * sizeof *h);
}
INLINE vf v_load_bf16(const uint16_t *p)
{
    __m256i x = _mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)p));
    return _mm256_castsi256_ps(_mm256_slli_epi32(x, 16));
}
INLINE vf v_load_i8(const int8_t *p)
{
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64((const __m128i *)p)));
}
/* Rounded to nearest even; |a| <= 127. */
INLINE void v_store_i8_n(int8_t *p, vf a, int n)
{
    int32_t x[VW];
    _mm256_storeu_si256((__m256i *)x, _mm256_cvtps_epi32(a));
    for (int i = 0; i < n; i++)
        p[i] = (int8_t)x[i];
}

/* Pairs (c0 s0 c1 s1 ...) at p: cosines and sines of VW pairs. */
INLINE void v_load_pairs(const float *p, vf *even, vf *odd)
{
    vf a = v_load(p), b = v_load(p + VW);
    vf lo = _mm256_permute2f128_ps(a, b, 0x20), hi = _mm256_permute2f128_ps(a, b, 0x31);
    *even = _mm256_shuffle_ps(lo, hi, 0x88);
    *odd = _mm256_shuffle_ps(lo, hi, 0xdd);
}
/* VW / 2 complex products: neighbours in x times neighbours in cs. */
INLINE vf v_turn(vf x, vf cs)
{
    vf swapped = _mm256_permute_ps(x, 0xb1);
    return _mm256_fmaddsub_ps(x, _mm256_moveldup_ps(cs), v_mul(swapped, _mm256_movehdup_ps(cs)));
}

/* r[i] lane j <-> r[j] lane i. */
INLINE void v_transpose(vf r[VW])
{
    vf t[VW];
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 2) {
        t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 8
    for (int i = 0; i < 8; i += 4) {
        for (int j = 0; j < 2; j++) {
            __m256d a = _mm256_castps_pd(t[i + j]), b = _mm256_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        }
    }
#pragma GCC unroll 8
    for (int i = 0; i < 4; i++) {
        vf a = r[i], b = r[i + 4];
        r[i] = _mm256_permute2f128_ps(a, b, 0x20);
        r[i + 4] = _mm256_permute2f128_ps(a, b, 0x31);
    }
}

#endif
