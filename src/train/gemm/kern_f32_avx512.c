/* f32 in AVX-512. */
#ifdef FT_GEMM_X86

#include "train/gemm/vec_avx512.inc"

#define UNIT_K 1
#define TABLE  ft_gemm_kern_avx512_f32

static inline vec vec_mac(vec sum, vec a, vec b)
{
    return _mm512_fmadd_ps(a, b, sum);
}

static inline __m512i units(const float *x, int64_t n)
{
    return _mm512_castps_si512(load(x, n));
}

static inline __m512i unit(const float *x, int64_t ld, int n_k, int64_t n)
{
    (void)ld;
    (void)n_k;
    return _mm512_castps_si512(load(x, n));
}

#include "train/gemm/kern_avx512.inc"

#endif
