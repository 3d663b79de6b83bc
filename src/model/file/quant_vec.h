/* Eight floats at a time, with GCC's vector types: every target's SIMD without intrinsics. The
 * functions marked FT_VEC_CLONES exist for AVX2 as well, chosen when the program starts; products
 * are never fused with sums (see the build's flags), so both give the same bits. */
#ifndef FT_MODEL_QUANT_VEC_H
#define FT_MODEL_QUANT_VEC_H

#include <stdint.h>
#include <string.h>

#define FT_VEC_LANES 8
typedef float ft_vec __attribute__((vector_size(32)));
typedef int32_t ft_ivec __attribute__((vector_size(32)));

#if defined(__x86_64__) && defined(__GNUC__) && !defined(__clang__) && !defined(__SANITIZE_THREAD__)
#define FT_VEC_CLONES __attribute__((target_clones("avx2", "default")))
#else
#define FT_VEC_CLONES
#endif
/* Before a loop of 16: gcc would unroll it in full, and then find nothing to turn into vectors. */
#define FT_VEC_LOOP   _Pragma("GCC unroll 1")
#define FT_VEC_INLINE static inline __attribute__((always_inline))

/* Vectors go through pointers: by value their passing would differ between the clones. */
FT_VEC_INLINE void ft_vec_splat(ft_vec *v, float x)
{
    *v = x + (ft_vec){0}; /* a list of eight x becomes eight insertions in a clone */
}

FT_VEC_INLINE void ft_vec_load(ft_vec *v, const float *p)
{
    memcpy(v, p, sizeof *v);
}

/* *x becomes clamp(round(*x), lo, hi), for |lo|, |hi| < 2^22; not a number becomes lo */
FT_VEC_INLINE void ft_vec_levels(ft_vec *x, const ft_vec *lo, const ft_vec *hi)
{
    ft_vec magic;
    ft_vec_splat(&magic, 12582912.0f);
    ft_ivec above = *x > *lo;
    ft_vec v = (ft_vec)((above & (ft_ivec)*x) | (~above & (ft_ivec)*lo));
    ft_ivec below = v < *hi;
    v = (ft_vec)((below & (ft_ivec)v) | (~below & (ft_ivec)*hi));
    *x = (v + magic) - magic;
}

FT_VEC_INLINE float ft_vec_sum(const ft_vec *v)
{
    const ft_vec a = *v;
    return ((a[0] + a[1]) + (a[2] + a[3])) + ((a[4] + a[5]) + (a[6] + a[7]));
}

#endif
