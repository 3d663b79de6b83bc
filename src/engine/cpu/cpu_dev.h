/* Inside of the CPU device: its state, what its files share, and the step functions of the table.
 *
 * cpu.c owns the device's life and the ops table; each group of steps has a file of its own
 * (linear.c and experts.c: matrix products; weight.c: embeddings; steps.c: norms, rotation, gating;
 * kv.c, attend.c, route.c). Code that differs per instruction set is reached through a table of
 * functions chosen once at open, never through an #ifdef inside a step: `mm` for the matrix
 * products (mm.h). */
#ifndef FT_ENGINE_CPU_DEV_H
#define FT_ENGINE_CPU_DEV_H

#include "base/cpu_isa.h"
#include "base/pool.h"
#include "engine/dev.h"

#define FT_CPU_THREADS_MAX 256

/* Buffers that steps need while they run; each grows to the largest size seen and stays. A step
 * may use several at once, so every use has its own number. */
enum ft_cpu_scratch_use {
    FT_CPU_SCRATCH_QUANT,  /* quantised input of a product */
    FT_CPU_SCRATCH_WORK,   /* unpacked weights and sums, per thread */
    FT_CPU_SCRATCH_TASKS,  /* the products of one step */
    FT_CPU_SCRATCH_ROUTE,  /* rows grouped by expert */
    FT_CPU_SCRATCH_EXPERT, /* their inner values */
    FT_CPU_SCRATCH_ATTEND,
    FT_CPU_SCRATCH_ATTEND2,
    FT_CPU_SCRATCH_COUNT
};

struct ft_cpu_scratch {
    void *p;
    size_t bytes;
};

struct ft_cpu_mm;    /* mm.h */
struct ft_cpu_steps; /* steps.h */

struct ft_cpu {
    struct ft_dev base;
    enum ft_cpu_isa isa;
    int n_threads;
    struct ft_pool *pool;
    const struct ft_cpu_mm *mm;
    struct ft_cpu_arena *arena; /* where the next weight goes */
    int n_looked_up;            /* rows of embeddings since their pages were let go */
    const struct ft_cpu_steps *steps;
    struct ft_cpu_scratch scratch[FT_CPU_SCRATCH_COUNT];
    char describe[96];
};

static inline struct ft_cpu *ft_cpu_of(struct ft_dev *d)
{
    return (struct ft_cpu *)d; /* base is the first member */
}

/* Cores this process may run on. */
int ft_cpu_count(void);

/* At least `bytes` bytes, 64-byte aligned, contents undefined; valid until the next call with the
 * same use. Owner thread only. Running out of memory here ends the process: a step cannot fail, and
 * the engine sizes batches by its budget before it calls. */
void *ft_cpu_scratch_get(struct ft_cpu *c, enum ft_cpu_scratch_use use, size_t bytes);

/* linear.c, experts.c, weight.c */
int ft_cpu_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err);
int ft_cpu_weight_load(struct ft_dev *d, struct ft_weight *w, struct ft_err *err);
void ft_cpu_weight_drop(struct ft_dev *d, struct ft_weight *w);
size_t ft_cpu_weight_bytes(struct ft_dev *d, const struct ft_weight *w);
void ft_cpu_weight_close(struct ft_dev *d, struct ft_weight *w);
void ft_cpu_embed(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                  struct ft_mat y);
void ft_cpu_linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin,
                   int n_lin);
void ft_cpu_linear_heads(struct ft_dev *d, struct ft_mat x, int x_step, int n, struct ft_weight *w,
                         struct ft_mat y, int y_step);
void ft_cpu_experts(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                    const int32_t *id, const float *weight, int n_used, struct ft_mat y);

#endif
