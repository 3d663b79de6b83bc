/* f32 in AVX-512. */
#ifdef FT_GEMM_X86

#include "train/gemm/vec_avx512.inc"

#define UNIT_K 1
#define TABLE  ft_gemm_kern_avx512_f32

static inline vec vec_mac(vec sum, vec a, vec b)
{
    return _mm512_fmadd_ps(a, b, sum);
}

static inline __m512i units(const float *x, __mmask16 low, __mmask16 high)
{
    (void)high; /* a unit is one element */
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(low, x));
}

static inline __m512i unit(const float *x, int64_t ld, int n_k, __mmask16 there)
{
    (void)ld;
    (void)n_k;
    return _mm512_castps_si512(_mm512_maskz_loadu_ps(there, x));
}

#include "train/gemm/kern_avx512.inc"

#endif
