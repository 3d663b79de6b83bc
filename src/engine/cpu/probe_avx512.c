/* Loops of the probe for AVX-512 with VNNI and BF16. */
#include <immintrin.h>
#include <string.h>

#include "engine/cpu/probe_loops.h"

void ft_cpu_probe_read_avx512(struct ft_probe *p, int part)
{
    const uint8_t *at = p->data + (size_t)part * p->part_bytes;
    __m512i s[4] = {0};
    for (size_t i = 0; i < p->part_bytes; i += 256) {
        _mm_prefetch((const char *)at + i + 4096, _MM_HINT_T0);
        _mm_prefetch((const char *)at + i + 4224, _MM_HINT_T0);
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            s[j] = _mm512_xor_si512(s[j], _mm512_load_si512(at + i + 64 * j));
    }
    s[0] = _mm512_xor_si512(_mm512_xor_si512(s[0], s[1]), _mm512_xor_si512(s[2], s[3]));
    p->sink[part] += (double)_mm512_reduce_add_epi64(s[0]);
}

void ft_cpu_probe_int8_avx512(struct ft_probe *p, int part)
{
    __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(1), s[FT_PROBE_CHAINS];
#pragma GCC unroll 16
    for (int j = 0; j < FT_PROBE_CHAINS; j++) {
        s[j] = _mm512_setzero_si512();
        FT_PROBE_OPAQUE(s[j]);
    }
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        FT_PROBE_OPAQUE(a);
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++)
            s[j] = _mm512_dpbusd_epi32(s[j], a, b);
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] = _mm512_add_epi32(s[0], s[j]);
    p->sink[part] += _mm512_reduce_add_epi32(s[0]);
}

void ft_cpu_probe_bf16_avx512(struct ft_probe *p, int part)
{
    __m512i ones = _mm512_set1_epi16(0x3f80);
    __m512bh a, b;
    memcpy(&a, &ones, sizeof a);
    memcpy(&b, &ones, sizeof b);
    __m512 s[FT_PROBE_CHAINS];
#pragma GCC unroll 16
    for (int j = 0; j < FT_PROBE_CHAINS; j++) {
        s[j] = _mm512_setzero_ps();
        FT_PROBE_OPAQUE(s[j]);
    }
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        FT_PROBE_OPAQUE(a);
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++)
            s[j] = _mm512_dpbf16_ps(s[j], a, b);
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] = _mm512_add_ps(s[0], s[j]);
    p->sink[part] += _mm512_reduce_add_ps(s[0]);
}

void ft_cpu_probe_f32_avx512(struct ft_probe *p, int part)
{
    __m512 a = _mm512_set1_ps(1e-3f), b = _mm512_set1_ps(1e-3f), s[FT_PROBE_CHAINS];
#pragma GCC unroll 16
    for (int j = 0; j < FT_PROBE_CHAINS; j++) {
        s[j] = _mm512_setzero_ps();
        FT_PROBE_OPAQUE(s[j]);
    }
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        FT_PROBE_OPAQUE(a);
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++)
            s[j] = _mm512_fmadd_ps(a, b, s[j]);
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] = _mm512_add_ps(s[0], s[j]);
    p->sink[part] += _mm512_reduce_add_ps(s[0]);
}
