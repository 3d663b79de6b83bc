/* The vector vocabulary of steps_body.h and attend_body.h, in AVX-512. Same names in vec_avx2.h. */
#ifndef FT_ENGINE_CPU_VEC_AVX512_H
#define FT_ENGINE_CPU_VEC_AVX512_H

#include <immintrin.h>
#include <stdint.h>

#include "engine/cpu/steps.h"

#define VW     16 /* lanes */
#define ROWS   8  /* query rows that the registers hold together */
#define INLINE static inline __attribute__((always_inline))

typedef __m512 vf;

INLINE vf v_zero(void)
{
    return _mm512_setzero_ps();
}
INLINE vf v_set1(float x)
{
    return _mm512_set1_ps(x);
}
INLINE vf v_load(const float *p)
{
    return _mm512_loadu_ps(p);
}
INLINE void v_store(float *p, vf a)
{
    _mm512_storeu_ps(p, a);
}
INLINE vf v_add(vf a, vf b)
{
    return _mm512_add_ps(a, b);
}
INLINE vf v_sub(vf a, vf b)
{
    return _mm512_sub_ps(a, b);
}
INLINE vf v_mul(vf a, vf b)
{
    return _mm512_mul_ps(a, b);
}
INLINE vf v_div(vf a, vf b)
{
    return _mm512_div_ps(a, b);
}
INLINE vf v_fma(vf a, vf b, vf c)
{
    return _mm512_fmadd_ps(a, b, c);
}
INLINE vf v_fms(vf a, vf b, vf c)
{
    return _mm512_fmsub_ps(a, b, c);
}
/* b where a is NaN */
INLINE vf v_max(vf a, vf b)
{
    return _mm512_max_ps(a, b);
}
INLINE vf v_min(vf a, vf b)
{
    return _mm512_min_ps(a, b);
}
INLINE vf v_abs(vf a)
{
    return _mm512_abs_ps(a);
}
INLINE float v_hmax(vf a)
{
    return _mm512_reduce_max_ps(a);
}
INLINE float v_hsum(vf a)
{
    return _mm512_reduce_add_ps(a);
}

/* The first n lanes, n <= VW; the rest is zero, or left alone in memory. */
INLINE __mmask16 first(int n)
{
    return (__mmask16)((1u << n) - 1);
}
INLINE vf v_load_n(const float *p, int n)
{
    return _mm512_maskz_loadu_ps(first(n), p);
}
INLINE void v_store_n(float *p, vf a, int n)
{
    _mm512_mask_storeu_ps(p, first(n), a);
}
/* a in the first n lanes, b in the others. */
INLINE vf v_first(vf a, vf b, int n)
{
    return _mm512_mask_mov_ps(b, first(n), a);
}

/* 2^x; 0 below FT_EXP2_MIN; NaN stays. */
INLINE vf v_exp2(vf x)
{
    x = v_min(v_set1(FT_EXP2_MAX), v_max(v_set1(FT_EXP2_MIN), x));
    vf n = _mm512_roundscale_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    vf f = v_sub(x, n), p = v_set1(FT_EXP2_C6);
    p = v_fma(p, f, v_set1(FT_EXP2_C5));
    p = v_fma(p, f, v_set1(FT_EXP2_C4));
    p = v_fma(p, f, v_set1(FT_EXP2_C3));
    p = v_fma(p, f, v_set1(FT_EXP2_C2));
    p = v_fma(p, f, v_set1(FT_EXP2_C1));
    p = v_fma(p, f, v_set1(1));
    return _mm512_scalef_ps(p, n);
}

INLINE vf v_load_f16(const uint16_t *p)
{
    return _mm512_cvtph_ps(_mm256_loadu_si256((const __m256i *)p));
}
INLINE void v_store_f16(uint16_t *p, vf a)
{
    _mm256_storeu_si256((__m256i *)p, _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
INLINE void v_store_f16_n(uint16_t *p, vf a, int n)
{
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtps_ph(a, _MM_FROUND_TO_NEAREST_INT));
}
INLINE vf v_load_bf16(const uint16_t *p)
{
    __m512i x = _mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)p));
    return _mm512_castsi512_ps(_mm512_slli_epi32(x, 16));
}
INLINE vf v_load_i8(const int8_t *p)
{
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128((const __m128i *)p)));
}
/* Rounded to nearest even; |a| <= 127. */
INLINE void v_store_i8_n(int8_t *p, vf a, int n)
{
    _mm_mask_storeu_epi8(p, first(n), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(a)));
}

/* Pairs (c0 s0 c1 s1 ...) at p: cosines and sines of VW pairs. */
INLINE void v_load_pairs(const float *p, vf *even, vf *odd)
{
    const __m512i ev = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
    vf a = v_load(p), b = v_load(p + VW);
    *even = _mm512_permutex2var_ps(a, ev, b);
    *odd = _mm512_permutex2var_ps(a, _mm512_add_epi32(ev, _mm512_set1_epi32(1)), b);
}
/* VW / 2 complex products: neighbours in x times neighbours in cs. */
INLINE vf v_turn(vf x, vf cs)
{
    vf swapped = _mm512_permute_ps(x, 0xb1);
    return _mm512_fmaddsub_ps(x, _mm512_moveldup_ps(cs), v_mul(swapped, _mm512_movehdup_ps(cs)));
}

/* r[i] lane j <-> r[j] lane i. */
INLINE void v_transpose(vf r[VW])
{
    vf t[VW];
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 2) {
        t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 16; i += 4) {
        for (int j = 0; j < 2; j++) {
            __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
            r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
            r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
        }
    }
#pragma GCC unroll 16
    for (int i = 0; i < 4; i++) {
        t[i] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0x88);
        t[i + 4] = _mm512_shuffle_f32x4(r[i], r[i + 4], 0xdd);
        t[i + 8] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0x88);
        t[i + 12] = _mm512_shuffle_f32x4(r[i + 8], r[i + 12], 0xdd);
    }
#pragma GCC unroll 16
    for (int i = 0; i < 8; i++) {
        r[i] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0x88);
        r[i + 8] = _mm512_shuffle_f32x4(t[i], t[i + 8], 0xdd);
    }
}

#endif
