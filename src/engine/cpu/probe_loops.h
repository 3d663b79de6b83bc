/* The loops of the probe, one set per instruction set. Each does one round's work of one part. */
#ifndef FT_ENGINE_CPU_PROBE_LOOPS_H
#define FT_ENGINE_CPU_PROBE_LOOPS_H

#include <stddef.h>
#include <stdint.h>

#define FT_PROBE_LOOPS  400000
#define FT_PROBE_CHAINS 12 /* independent accumulators: latency times units of any x86 so far */

struct ft_probe {
    void (*work)(struct ft_probe *p, int part);
    int n_parts;
    const uint8_t *data; /* [n_parts, part_bytes], page-aligned */
    size_t part_bytes;
    double *sink; /* [n_parts] keeps results alive */
};

/* Keeps the compiler from seeing that a round repeats the one before it. */
#define FT_PROBE_OPAQUE(x) __asm__ volatile("" : "+v"(x))

void ft_cpu_probe_read_avx2(struct ft_probe *p, int part);
void ft_cpu_probe_int8_avx2(struct ft_probe *p, int part);
void ft_cpu_probe_f32_avx2(struct ft_probe *p, int part);

void ft_cpu_probe_read_avx512(struct ft_probe *p, int part);
void ft_cpu_probe_int8_avx512(struct ft_probe *p, int part);
void ft_cpu_probe_bf16_avx512(struct ft_probe *p, int part);
void ft_cpu_probe_f32_avx512(struct ft_probe *p, int part);

#endif
