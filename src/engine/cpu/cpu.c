/* The CPU device's life and its table of steps.
 *
 * Device memory is host memory. Steps run on the owner thread and a pool of threads that lives as
 * long as the device. Which instruction set is used is decided here, once. */
#include "engine/cpu/cpu.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/pages.h"
#include "engine/cpu/cpu_dev.h"
#include "engine/cpu/lora.h"
#include "engine/cpu/mm.h"
#include "engine/cpu/steps.h"

/* Above this, memory comes from the kernel page by page and goes back at once. */
#define PAGES_MIN ((size_t)256 << 10)

static size_t mem_round(size_t bytes)
{
    return (FT_MAX(bytes, (size_t)1) + 63) & ~(size_t)63;
}

static void *cpu_mem_alloc(struct ft_dev *d, size_t bytes)
{
    (void)d;
    if (bytes >= PAGES_MIN)
        return ft_pages_alloc(bytes, true);
    return aligned_alloc(64, mem_round(bytes));
}

static void cpu_mem_free(struct ft_dev *d, void *p, size_t bytes)
{
    (void)d;
    if (bytes >= PAGES_MIN)
        ft_pages_free(p, bytes);
    else
        free(p);
}

static void cpu_upload(struct ft_dev *d, void *dst, const void *src, size_t bytes)
{
    (void)d;
    memcpy(dst, src, bytes);
}

static const void *cpu_host_view(struct ft_dev *d, const void *p, size_t bytes)
{
    (void)d;
    (void)bytes;
    return p;
}

void *ft_cpu_scratch_get(struct ft_cpu *c, enum ft_cpu_scratch_use use, size_t bytes)
{
    struct ft_cpu_scratch *s = &c->scratch[use];
    if (s->bytes < bytes) {
        cpu_mem_free(&c->base, s->p, s->bytes);
        s->bytes = mem_round(bytes + bytes / 8);
        s->p = cpu_mem_alloc(&c->base, s->bytes);
        FT_ASSERT(s->p != NULL);
    }
    return s->p;
}

int ft_cpu_count(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) != 0)
        return 1;
    return FT_MAX(1, CPU_COUNT(&set));
}

static void cpu_close(struct ft_dev *d)
{
    struct ft_cpu *c = ft_cpu_of(d);
    ft_pool_close(c->pool);
    ft_cpu_arena_close(c);
    for (int i = 0; i < FT_CPU_SCRATCH_COUNT; i++)
        if (c->scratch[i].p != NULL)
            cpu_mem_free(d, c->scratch[i].p, c->scratch[i].bytes);
    free(c);
}

static int cpu_open(const struct ft_dev_config *cfg, struct ft_dev **ret_dev, struct ft_err *err)
{
    if (cfg->n_threads < 0 || cfg->n_threads > FT_CPU_THREADS_MAX)
        return ft_err_set(err, FT_EINVAL, "threads: %d is not within 0 .. %d", cfg->n_threads,
                          FT_CPU_THREADS_MAX);
    struct ft_cpu *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "cpu device: no memory");
    c->base.ops = &ft_dev_cpu_ops;
    int rc = ft_cpu_isa_choose(cfg->isa, &c->isa, err);
    if (rc == 0) {
        int n = cfg->n_threads != 0 ? cfg->n_threads : ft_cpu_count();
        c->n_threads = FT_MIN(n, FT_CPU_THREADS_MAX);
        c->steps = ft_cpu_steps_of(c->isa);
        c->mm = ft_cpu_mm_of(c->isa);
        rc = ft_pool_open(c->n_threads, &c->pool, err);
    }
    if (rc != 0) {
        free(c);
        return rc;
    }
    static const char *const text[FT_CPU_ISA_COUNT] = {"plain C", "AVX2", "AVX-512 VNNI BF16"};
    snprintf(c->describe, sizeof c->describe, "cpu: %s, %d thread%s", text[c->isa], c->n_threads,
             c->n_threads == 1 ? "" : "s");
    *ret_dev = &c->base;
    return 0;
}

static const char *cpu_describe(struct ft_dev *d)
{
    return ft_cpu_of(d)->describe;
}

const struct ft_dev_ops ft_dev_cpu_ops = {
    .name = "cpu",
    .open = cpu_open,
    .close = cpu_close,
    .describe = cpu_describe,
    .mem_alloc = cpu_mem_alloc,
    .mem_free = cpu_mem_free,
    .upload = cpu_upload,
    .host_view = cpu_host_view,
    .weight_open = ft_cpu_weight_open,
    .weight_load = ft_cpu_weight_load,
    .weight_drop = ft_cpu_weight_drop,
    .weight_bytes = ft_cpu_weight_bytes,
    .weight_close = ft_cpu_weight_close,
    .lora_open = ft_cpu_lora_open,
    .lora_close = ft_cpu_lora_close,
    .kv_open = ft_cpu_kv_open,
    .kv_close = ft_cpu_kv_close,
    .kv_block_bytes = ft_cpu_kv_block_bytes,
    .kv_read = ft_cpu_kv_read,
    .kv_write = ft_cpu_kv_write,
    .kv_copy = ft_cpu_kv_copy,
    .kv_release = ft_cpu_kv_release,
    .embed = ft_cpu_embed,
    .gather = ft_cpu_gather,
    .rmsnorm = ft_cpu_rmsnorm,
    .linear = ft_cpu_linear,
    .lora = ft_cpu_lora,
    .linear_heads = ft_cpu_linear_heads,
    .rope_table = ft_cpu_rope_table,
    .heads = ft_cpu_heads,
    .kv_store = ft_cpu_kv_store,
    .attend = ft_cpu_attend,
    .swiglu = ft_cpu_swiglu,
    .route = ft_cpu_route,
    .experts = ft_cpu_experts,
};
