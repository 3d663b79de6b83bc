/* Limits of the machine: a streaming sum over memory larger than any cache, and loops of nothing
 * but the instruction that counts, enough of them independent that only the units' number binds. */
#include "engine/cpu/probe.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/pages.h"
#include "engine/cpu/cpu_dev.h"
#include "engine/cpu/probe_loops.h"

#define READ_BYTES (192u << 20) /* over all threads; several times the largest cache here */
#define ROUNDS     7

static void read_plain(struct ft_probe *p, int part)
{
    const uint64_t *at = (const void *)(p->data + (size_t)part * p->part_bytes);
    uint64_t s[4] = {0};
    for (size_t i = 0; i < p->part_bytes / 8; i += 4)
#pragma GCC unroll 4
        for (int j = 0; j < 4; j++)
            s[j] ^= at[i + (size_t)j];
    p->sink[part] += (double)(s[0] ^ s[1] ^ s[2] ^ s[3]);
}

static void f32_plain(struct ft_probe *p, int part)
{
    float a = 1e-3f, s[FT_PROBE_CHAINS] = {0};
    for (int i = 0; i < FT_PROBE_LOOPS; i++) {
        a = *(volatile float *)&a;
#pragma GCC unroll 16
        for (int j = 0; j < FT_PROBE_CHAINS; j++)
            s[j] += a * 1e-3f;
    }
#pragma GCC unroll 16
    for (int j = 1; j < FT_PROBE_CHAINS; j++)
        s[0] += s[j];
    p->sink[part] += s[0];
}

/* ---- the table and the measuring ---- */

typedef void work_fn(struct ft_probe *p, int part);

static const struct {
    work_fn *read, *int8, *bf16, *f32;
    int int8_ops, bf16_ops, f32_ops; /* operations of one instruction (or pair) of the loop */
} kinds[FT_CPU_ISA_COUNT] = {
    [FT_CPU_PLAIN] = {read_plain, f32_plain, f32_plain, f32_plain, 2, 2, 2},
#ifdef FT_CPU_X86
    [FT_CPU_AVX2] = {ft_cpu_probe_read_avx2, ft_cpu_probe_int8_avx2, ft_cpu_probe_f32_avx2,
                     ft_cpu_probe_f32_avx2, 64, 16, 16},
    [FT_CPU_AVX512] = {ft_cpu_probe_read_avx512, ft_cpu_probe_int8_avx512, ft_cpu_probe_bf16_avx512,
                       ft_cpu_probe_f32_avx512, 128, 64, 32},
#endif
};

static void run_part(void *ctx, int chunk, int worker)
{
    (void)worker;
    struct ft_probe *p = ctx;
    p->work(p, chunk);
}

/* Seconds of the fastest round. */
static double best_s(struct ft_pool *pool, struct ft_probe *p, work_fn *work)
{
    double best = 1e30;
    p->work = work;
    for (int i = 0; i < ROUNDS; i++) {
        int64_t began = ft_clock_now_ns();
        ft_pool_run(pool, p->n_parts, run_part, p);
        double s = 1e-9 * (double)(ft_clock_now_ns() - began);
        best = s < best ? s : best;
    }
    return best;
}

static void probe_products(struct ft_pool *pool, struct ft_probe *p, struct ft_cpu_limits *ret)
{
    enum ft_cpu_isa isa = ft_cpu_isa_best();
    double ops = (double)p->n_parts * FT_PROBE_LOOPS * FT_PROBE_CHAINS * 1e-9;
    ret->int8_gop_s = ops * kinds[isa].int8_ops / best_s(pool, p, kinds[isa].int8);
    ret->bf16_gflop_s = ops * kinds[isa].bf16_ops / best_s(pool, p, kinds[isa].bf16);
    ret->f32_gflop_s = ops * kinds[isa].f32_ops / best_s(pool, p, kinds[isa].f32);
}

static int probe_read(struct ft_pool *pool, struct ft_probe *p, struct ft_cpu_limits *ret,
                      struct ft_err *err)
{
    p->part_bytes = READ_BYTES / (size_t)p->n_parts / 4096 * 4096;
    size_t bytes = p->part_bytes * (size_t)p->n_parts;
    uint8_t *data = ft_pages_alloc(bytes, true);
    if (data == NULL)
        return ft_err_set(err, FT_ENOMEM, "probe: no memory for %zu bytes", bytes);
    memset(data, 1, bytes);
    p->data = data;
    ret->read_gb_s = 1e-9 * (double)bytes / best_s(pool, p, kinds[ft_cpu_isa_best()].read);
    ft_pages_free(data, bytes);
    return 0;
}

static int probe(int n_threads, bool with_memory, struct ft_cpu_limits *ret, struct ft_err *err)
{
    struct ft_pool *pool = NULL;
    int rc = ft_pool_open(n_threads > 0 ? n_threads : ft_cpu_count(), &pool, err);
    if (rc != 0)
        return rc;
    struct ft_cpu_limits limits = {0};
    struct ft_probe p = {.n_parts = ft_pool_size(pool)};
    p.sink = calloc((size_t)p.n_parts, sizeof *p.sink);
    if (p.sink == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "probe: no memory");
    if (rc == 0 && with_memory)
        rc = probe_read(pool, &p, &limits, err);
    if (rc == 0) {
        probe_products(pool, &p, &limits);
        *ret = limits;
    }
    free(p.sink);
    ft_pool_close(pool);
    return rc;
}

int ft_cpu_probe(int n_threads, struct ft_cpu_limits *ret, struct ft_err *err)
{
    return probe(n_threads, true, ret, err);
}

int ft_cpu_probe_products(int n_threads, struct ft_cpu_limits *ret, struct ft_err *err)
{
    return probe(n_threads, false, ret, err);
}
