/* What mm_avx2.c takes from mm_aux_avx2.c: everything of the table that is not a product over
 * quantised weights. */
#ifndef FT_ENGINE_CPU_MM_AVX2_H
#define FT_ENGINE_CPU_MM_AVX2_H

#include "engine/cpu/mm.h"

void ft_cpu_quantise_avx2(const struct ft_cpu_fmt *f, const float *x, int64_t ld, int nc, int64_t k,
                          uint8_t *act, float *scale);
void ft_cpu_store_avx2(const float *acc, int nc, const struct ft_cpu_store *s);
void ft_cpu_dot_float_avx2(enum ft_type type, const uint8_t *w, size_t row_bytes, int n_rows,
                           const float *x, int64_t ld, int nc, int64_t k, float *acc);
void ft_cpu_add_scaled_avx2(float *y, const float *x, float a, int64_t n);

#endif
