/* bfloat16 pairs in AVX-512 BF16: two products a lane and instruction. */
#ifdef FT_GEMM_X86

#include "train/gemm/vec_avx512.inc"

#define UNIT_K 2
#define TABLE  ft_gemm_kern_avx512_bf16

static inline vec vec_mac(vec sum, vec a, vec b)
{
    return _mm512_dpbf16_ps(sum, (__m512bh)a, (__m512bh)b);
}

static inline __m512i units(const float *x, __mmask16 low, __mmask16 high)
{
    return (__m512i)_mm512_cvtne2ps_pbh(_mm512_maskz_loadu_ps(high, x + 16),
                                        _mm512_maskz_loadu_ps(low, x));
}

static inline __m512i unit(const float *x, int64_t ld, int n_k, __mmask16 there)
{
    const __m512i mix = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24,
                                         8, 23, 7, 22, 6, 21, 5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
    __m512 second = _mm512_maskz_loadu_ps(n_k >= 2 ? there : 0, x + ld);
    return _mm512_permutexvar_epi16(
        mix, (__m512i)_mm512_cvtne2ps_pbh(second, _mm512_maskz_loadu_ps(there, x)));
}

#include "train/gemm/kern_avx512.inc"

#endif
