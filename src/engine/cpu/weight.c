/* Weights of the CPU device: where their memory comes from, and laying them out at load.
 *
 * F32, F16 and BF16 are used where the file maps them. Quantised weights are rearranged into panels
 * (mm.h), of the same size as in the file, and the file's pages are given back: one copy is
 * resident. Panels of all weights lie in a few large ranges of address space ("arenas"), so that
 * huge pages can back them; a weight keeps its range from the first load until it is closed, and
 * dropping it gives the pages back, not the range. Owner thread only. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/pages.h"
#include "engine/cpu/mm.h"

#ifndef MADV_POPULATE_READ
#define MADV_POPULATE_READ 22
#endif

#define ARENA_BYTES ((size_t)1 << 30)
#define PAGE        ((size_t)4096)
#define LOOKUPS_MAX 128 /* rows of embeddings after which their pages in the file are let go */
#define ROWS_MAX    ((int64_t)1 << 24) /* of a matrix; also bounds panel arithmetic */

struct ft_cpu_arena {
    uint8_t *p;
    size_t bytes, used;
    int n_users;
};

const uint8_t *ft_cpu_weight_rows(const struct ft_cpu_weight *w, int index)
{
    if (w->t->n_parts > 1)
        return w->t->part[index];
    return (const uint8_t *)w->t->part[0] + (size_t)index * (size_t)w->base.n_out * w->row_bytes;
}

int ft_cpu_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err)
{
    (void)d;
    const struct ft_type_info *info = ft_type_info(t->type);
    if (info == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "type %d is unknown", (int)t->type);
    if (t->n_dims > 3)
        return ft_err_set(err, FT_EUNSUPPORTED, "%d dimensions", t->n_dims);
    if (t->dim[0] <= 0 || t->dim[0] % info->block_len != 0 || t->dim[0] > ROWS_MAX ||
        t->dim[1] <= 0 || t->dim[1] > ROWS_MAX || t->dim[2] <= 0 || t->dim[2] > FT_EXPERTS_MAX)
        return ft_err_set(err, FT_EUNSUPPORTED, "shape %lld x %lld x %lld of %s",
                          (long long)t->dim[0], (long long)t->dim[1], (long long)t->dim[2],
                          info->name);
    const struct ft_cpu_fmt *fmt = ft_cpu_fmt_of(t->type);
    if (fmt == NULL && !ft_type_is_float(t->type))
        return ft_err_set(err, FT_EUNSUPPORTED, "the cpu device has no kernels for %s", info->name);
    struct ft_cpu_weight *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    w->base = (struct ft_weight){
        .n_in = t->dim[0],
        .n_out = t->dim[1],
        .n_stack = (int)t->dim[2],
        .type = t->type,
        .file_bytes = t->part_bytes * (size_t)t->n_parts,
    };
    w->t = t;
    w->fmt = fmt;
    w->row_bytes = ft_type_row_bytes(info, t->dim[0]);
    w->n_panels = (t->dim[1] + FT_CPU_ROWS - 1) / FT_CPU_ROWS;
    if (fmt != NULL) {
        w->scales_bytes = ft_cpu_scales_bytes(fmt, t->dim[0]);
        w->panel_bytes = ft_cpu_panel_bytes(fmt, t->dim[0]);
        w->packed_bytes = w->panel_bytes * (size_t)w->n_panels * (size_t)w->base.n_stack;
    }
    *ret_w = &w->base;
    return 0;
}

static void arena_leave(struct ft_cpu *c, struct ft_cpu_arena *a)
{
    if (a == NULL || --a->n_users > 0 || a == c->arena)
        return;
    ft_pages_free(a->p, a->bytes);
    free(a);
}

/* A range of the current arena, or of a new one. Its pages cost memory when first touched. */
static uint8_t *arena_take(struct ft_cpu *c, size_t bytes, struct ft_cpu_arena **ret_arena)
{
    struct ft_cpu_arena *a = c->arena;
    if (a == NULL || a->bytes - a->used < bytes) {
        a = calloc(1, sizeof *a);
        if (a == NULL)
            return NULL;
        a->bytes = FT_MAX(ARENA_BYTES, bytes);
        a->p = ft_pages_alloc(a->bytes, true);
        if (a->p == NULL && a->bytes > bytes) {
            a->bytes = bytes;
            a->p = ft_pages_alloc(a->bytes, true);
        }
        if (a->p == NULL) {
            free(a);
            return NULL;
        }
        struct ft_cpu_arena *old = c->arena;
        c->arena = a;
        if (old != NULL) { /* its users keep it */
            old->n_users++;
            arena_leave(c, old);
        }
    }
    uint8_t *p = a->p + a->used;
    a->used += bytes;
    a->n_users++;
    *ret_arena = a;
    return p;
}

void ft_cpu_arena_close(struct ft_cpu *c)
{
    if (c->arena == NULL)
        return;
    struct ft_cpu_arena *a = c->arena;
    c->arena = NULL;
    a->n_users++;
    arena_leave(c, a);
}

/* Packing a stack of matrices: chunks of panels. */
struct pack {
    struct ft_cpu_weight *w;
    int64_t panels_per_chunk;
};

#define PACK_CHUNK_BYTES ((size_t)2 << 20)

static void source_advise(const uint8_t *p, size_t bytes, int advice, bool inside)
{
    uintptr_t from = (uintptr_t)p, to = from + bytes;
    if (inside) {
        from = (from + PAGE - 1) & ~(PAGE - 1);
        to &= ~(PAGE - 1);
    } else {
        from &= ~(PAGE - 1);
        to = (to + PAGE - 1) & ~(PAGE - 1);
    }
    if (to > from)
        madvise((void *)from, to - from, advice);
}

static void pack_chunk(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct pack *p = ctx;
    struct ft_cpu_weight *w = p->w;
    int64_t n_out = w->base.n_out,
            per_matrix = (w->n_panels + p->panels_per_chunk - 1) / p->panels_per_chunk;
    int index = (int)(chunk / per_matrix);
    int64_t from = chunk % per_matrix * p->panels_per_chunk;
    int64_t to = FT_MIN(from + p->panels_per_chunk, w->n_panels);
    const uint8_t *rows = ft_cpu_weight_rows(w, index);
    const uint8_t *first = rows + (size_t)from * FT_CPU_ROWS * w->row_bytes;
    size_t bytes = (size_t)(FT_MIN(to * FT_CPU_ROWS, n_out) - from * FT_CPU_ROWS) * w->row_bytes;
    if (w->t->is_mapped)
        source_advise(first, bytes, MADV_POPULATE_READ, false); /* one call, not a fault a page */
    for (int64_t i = from; i < to; i++) {
        const void *row[FT_CPU_ROWS];
        for (int64_t r = 0; r < FT_CPU_ROWS; r++) /* a short last panel repeats the last row */
            row[r] = rows + (size_t)FT_MIN(i * FT_CPU_ROWS + r, n_out - 1) * w->row_bytes;
        ft_cpu_panel_pack(w->fmt, row, w->base.n_in,
                          w->packed +
                              ((size_t)index * (size_t)w->n_panels + (size_t)i) * w->panel_bytes);
    }
    if (w->t->is_mapped)
        source_advise(first, bytes, MADV_DONTNEED, true);
}

int ft_cpu_weight_load(struct ft_dev *d, struct ft_weight *weight, struct ft_err *err)
{
    struct ft_cpu *c = ft_cpu_of(d);
    struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    if (w->loaded)
        return 0;
    if (w->fmt != NULL) {
        if (w->packed == NULL)
            w->packed = arena_take(c, w->packed_bytes, &w->arena);
        if (w->packed == NULL)
            return ft_err_set(err, FT_ENOMEM, "no memory for %zu bytes of weights",
                              w->packed_bytes);
        size_t source = (size_t)FT_CPU_ROWS * w->row_bytes;
        struct pack p = {w, (int64_t)FT_MAX(PACK_CHUNK_BYTES / source, (size_t)1)};
        int64_t chunks = (w->n_panels + p.panels_per_chunk - 1) / p.panels_per_chunk;
        ft_pool_run(c->pool, (int)(chunks * w->base.n_stack), pack_chunk, &p);
    }
    w->loaded = true;
    return 0;
}

void ft_cpu_weight_drop(struct ft_dev *d, struct ft_weight *weight)
{
    (void)d;
    struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    if (!w->loaded)
        return;
    w->loaded = false;
    if (w->fmt != NULL) {
        source_advise(w->packed, w->packed_bytes, MADV_DONTNEED, true);
    } else if (w->t->is_mapped) {
        for (int i = 0; i < w->t->n_parts; i++)
            source_advise(w->t->part[i], w->t->part_bytes, MADV_DONTNEED, true);
    }
}

size_t ft_cpu_weight_bytes(struct ft_dev *d, const struct ft_weight *weight)
{
    (void)d;
    const struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    return !w->loaded ? 0 : w->fmt != NULL ? w->packed_bytes : w->base.file_bytes;
}

void ft_cpu_weight_close(struct ft_dev *d, struct ft_weight *weight)
{
    struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    ft_cpu_weight_drop(d, weight);
    arena_leave(ft_cpu_of(d), w->arena);
    free(w);
}

void ft_cpu_embed(struct ft_dev *d, const struct ft_weight *weight, const int32_t *id, int n,
                  struct ft_mat y)
{
    struct ft_cpu *c = ft_cpu_of(d);
    const struct ft_cpu_weight *w = ft_cpu_weight_of(weight);
    const struct ft_type_info *info = ft_type_info(w->base.type);
    for (int i = 0; i < n; i++)
        info->dequantise(ft_cpu_weight_rows(w, 0) + (size_t)id[i] * w->row_bytes, y.p + i * y.ld,
                         w->base.n_in);
    /* The kernel maps a good many pages around each one that is looked up. */
    c->n_looked_up += n;
    if (c->n_looked_up > LOOKUPS_MAX) {
        if (w->t->is_mapped && w->fmt != NULL)
            source_advise(w->t->part[0], w->t->part_bytes, MADV_DONTNEED, true);
        c->n_looked_up = 0;
    }
}
