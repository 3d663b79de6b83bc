/* Loops of the probe for AVX2: 8-bit products are a pair of instructions. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/probe_loops.h"

void ft_cpu_probe_read_avx2(struct ft_probe *p, int part)
{
    const uint8_t *at = p->data + (size_t)part * p->part_bytes;
    __m256i s[4] = {0};
    for (size_t i = 0; i < p->part_bytes; i += 128)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            s[j] = _mm256_xor_si256(s[j], _mm256_load_si256((const void *)(at + i + 32 * j)));
    s[0] = _mm256_xor_si256(_mm256_xor_si256(s[0], s[1]), _mm256_xor_si256(s[2], s[3]));
    p->sink[part] += (double)_mm256_extract_epi64(s[0], 0);
}

void ft_cpu_probe_int8_avx2(struct ft_probe *p, int part)
{
    __m256i a = _mm256_set1_epi8(3), b = _mm256_set1_epi8(1), one = _mm256_set1_epi16(1);
    __m256i s[FT_PROBE_CHAINS];
#pragma GCC unroll 16
    for (int j = 0; j < FT_PROBE_CHAINS; j++) {
        s[j] = _mm256_setzero_si256();
        FT_PROBE_OPAQUE(s[j]);
    }
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        FT_PROBE_OPAQUE(a);
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++) {
            __m256i t = _mm256_maddubs_epi16(a, b);
            FT_PROBE_OPAQUE(t);
            s[j] = _mm256_add_epi32(s[j], _mm256_madd_epi16(t, one));
        }
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] = _mm256_add_epi32(s[0], s[j]);
    p->sink[part] += _mm256_extract_epi32(s[0], 0);
}

void ft_cpu_probe_f32_avx2(struct ft_probe *p, int part)
{
    __m256 a = _mm256_set1_ps(1e-3f), b = _mm256_set1_ps(1e-3f), s[FT_PROBE_CHAINS];
#pragma GCC unroll 16
    for (int j = 0; j < FT_PROBE_CHAINS; j++) {
        s[j] = _mm256_setzero_ps();
        FT_PROBE_OPAQUE(s[j]);
    }
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        FT_PROBE_OPAQUE(a);
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++)
            s[j] = _mm256_fmadd_ps(a, b, s[j]);
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] = _mm256_add_ps(s[0], s[j]);
    p->sink[part] += _mm256_cvtss_f32(s[0]);
}
