/* Adapters: their layout, and the step that sends rows through them.
 *
 * A step has a use for every adapter and matrix, and 16 sequences with an adapter each make 48 of
 * them for queries, keys and values: each a few microseconds of reading that no cache holds. So
 * a use (or some columns of it) is one piece of work, both products together, and pieces of all
 * uses are claimed from one region. Where there are too few for the threads, the first products
 * run as one region and the second, cut finer, as another. The pieces never cut a sum. */
#include "engine/cpu/lora.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/half.h"
#include "engine/cpu/steps.h"

#define PIECE_COLS        8 /* streams of outputs, which prefetchers follow */
#define CHUNK_NS_MIN      3000.0
#define CHUNKS_PER_THREAD 8
#define BYTES_PER_NS      12.0 /* of pairs that one core streams */
#define PRODUCTS_PER_NS   40.0 /* multiply-adds of one core */
#define TARGET_EXP        15   /* the largest element is brought below 2^15 */
#define SHIFT_MAX         120

struct cpu_pair {
    const uint16_t *a, *b;
    int64_t n_in, n_out;
    int rank;
    float down, up; /* factors after A and after B */
};

struct cpu_lora {
    struct ft_lora base;
    struct cpu_pair *pair;
    uint16_t *data;
};

/* ---- layout ---- */

static size_t pair_halves(const struct ft_lora_pair *p)
{
    return (size_t)(ft_lora_lines(p->n_in) + ft_lora_lines(p->n_out)) * FT_LORA_LINE *
           (size_t)p->rank;
}

/* The power of two that x is multiplied with. */
static int shift_of(const float *x, int64_t n)
{
    float most = 0;
    int e;
    for (int64_t i = 0; i < n; i++)
        most = fmaxf(most, fabsf(x[i]));
    if (most == 0 || !isfinite(most))
        return 0;
    (void)frexpf(most, &e);
    return FT_MIN(FT_MAX(TARGET_EXP - e, -SHIFT_MAX), SHIFT_MAX);
}

static uint16_t *lay_a(const struct ft_lora_pair *p, float mul, uint16_t *at)
{
    for (int g = 0; g < p->rank; g += FT_LORA_GROUP) {
        int rows = FT_MIN(FT_LORA_GROUP, p->rank - g);
        for (int64_t k0 = 0; k0 < p->n_in; k0 += FT_LORA_LINE)
            for (int r = g; r < g + rows; r++)
                for (int64_t k = k0; k < k0 + FT_LORA_LINE; k++)
                    *at++ = k < p->n_in ? ft_f32_to_f16(p->a[r * p->n_in + k] * mul) : 0;
    }
    return at;
}

static uint16_t *lay_b(const struct ft_lora_pair *p, float mul, uint16_t *at)
{
    for (int64_t o0 = 0; o0 < p->n_out; o0 += FT_LORA_LINE)
        for (int r = 0; r < p->rank; r++)
            for (int64_t o = o0; o < o0 + FT_LORA_LINE; o++)
                *at++ = o < p->n_out ? ft_f32_to_f16(p->b[o * p->rank + r] * mul) : 0;
    return at;
}

int ft_cpu_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err)
{
    size_t halves = 0;
    for (int i = 0; i < n; i++)
        halves += pair_halves(&pair[i]);
    size_t bytes = FT_MAX(halves, 1) * sizeof(uint16_t);
    struct cpu_lora *l = calloc(1, sizeof *l);
    struct cpu_pair *own = calloc((size_t)n + 1, sizeof *own);
    uint16_t *data = ft_dev_mem_alloc(d, bytes), *at = data;
    if (l == NULL || own == NULL || data == NULL) {
        free(l);
        free(own);
        ft_dev_mem_free(d, data, bytes);
        return ft_err_set(err, FT_ENOMEM, "adapter of %zu bytes: no memory", bytes);
    }
    for (int i = 0; i < n; i++) {
        const struct ft_lora_pair *p = &pair[i];
        int ea = shift_of(p->a, p->rank * p->n_in), eb = shift_of(p->b, p->rank * p->n_out);
        own[i] = (struct cpu_pair){.a = at,
                                   .n_in = p->n_in,
                                   .n_out = p->n_out,
                                   .rank = p->rank,
                                   .down = p->scale * ldexpf(1, -ea),
                                   .up = ldexpf(1, -eb)};
        at = lay_a(p, ldexpf(1, ea), at);
        own[i].b = at;
        at = lay_b(p, ldexpf(1, eb), at);
    }
    *l = (struct cpu_lora){{n, bytes}, own, data};
    *ret_l = &l->base;
    return 0;
}

void ft_cpu_lora_close(struct ft_dev *d, struct ft_lora *base)
{
    struct cpu_lora *l = (struct cpu_lora *)base;
    ft_dev_mem_free(d, l->data, base->bytes);
    free(l->pair);
    free(l);
}

/* ---- the step ---- */

/* Columns [col, col + nc) of a use: groups [group, group_end) of A, then panels [panel, panel_end)
 * of B. */
struct piece {
    const struct ft_lora_use *use;
    float *t; /* of col */
    int col, nc;
    int group, group_end;
    int64_t panel, panel_end;
};

struct run {
    const struct ft_cpu_steps *k;
    struct ft_mat x;
    struct piece *piece;
    int *chunk_at; /* pieces of chunk i: chunk_at[i] .. chunk_at[i + 1] */
    int n_pieces, n_chunks;
};

static const struct cpu_pair *pair_of(const struct ft_lora_use *u)
{
    return &((const struct cpu_lora *)u->lora)->pair[u->pair];
}

static int groups_of(const struct cpu_pair *p)
{
    return (p->rank + FT_LORA_GROUP - 1) / FT_LORA_GROUP;
}

static void piece_run(const struct run *r, const struct piece *w)
{
    const struct cpu_pair *p = pair_of(w->use);
    int64_t row = w->use->row + w->col;
    struct ft_lora_cols c = {.x = r->x.p + row * r->x.ld,
                             .x_ld = r->x.ld,
                             .t_ld = p->rank,
                             .y_ld = w->use->y.ld,
                             .nc = w->nc};
    for (int g = w->group; g < w->group_end; g++) {
        int first = g * FT_LORA_GROUP;
        c.t = w->t + first;
        r->k->lora_down(p->a + first * ft_lora_lines(p->n_in) * FT_LORA_LINE,
                        FT_MIN(FT_LORA_GROUP, p->rank - first), p->n_in, p->down, &c);
    }
    if (w->panel == w->panel_end)
        return;
    int64_t from = w->panel * FT_LORA_LINE;
    c.t = w->t;
    c.y = w->use->y.p + row * w->use->y.ld + from;
    r->k->lora_up(p->b + from * p->rank, p->rank,
                  FT_MIN(w->panel_end * FT_LORA_LINE, p->n_out) - from, p->up, &c);
}

static void chunk_run(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct run *r = ctx;
    for (int i = r->chunk_at[chunk]; i < r->chunk_at[chunk + 1]; i++)
        piece_run(r, &r->piece[i]);
}

/* Nanoseconds of one thread, roughly. */
static double piece_ns(const struct piece *w)
{
    const struct cpu_pair *p = pair_of(w->use);
    double elements =
        (double)FT_MIN((w->group_end - w->group) * FT_LORA_GROUP, p->rank) * (double)p->n_in +
        (double)((w->panel_end - w->panel) * FT_LORA_LINE) * p->rank;
    return FT_MAX(elements * sizeof(uint16_t) / BYTES_PER_NS, elements * w->nc / PRODUCTS_PER_NS);
}

static void pieces_run(struct ft_cpu *c, struct run *r)
{
    double total = 0, sum = 0;
    for (int i = 0; i < r->n_pieces; i++)
        total += piece_ns(&r->piece[i]);
    double target = FT_MAX(total / (CHUNKS_PER_THREAD * c->n_threads), CHUNK_NS_MIN);
    r->n_chunks = 0;
    for (int i = 0; i < r->n_pieces; i++) {
        if (i == 0 || sum >= target) {
            r->chunk_at[r->n_chunks++] = i;
            sum = 0;
        }
        sum += piece_ns(&r->piece[i]);
    }
    r->chunk_at[r->n_chunks] = r->n_pieces;
    ft_pool_run(c->pool, r->n_chunks, chunk_run, r);
}

/* Every tile of columns of every use, whole. Returns how many; counts only if piece is NULL. */
static int whole_pieces(const struct ft_lora_use *use, int n_use, float *t, struct piece *piece)
{
    int n = 0;
    for (int u = 0; u < n_use; u++) {
        const struct cpu_pair *p = pair_of(&use[u]);
        for (int col = 0; col < use[u].n; col += PIECE_COLS, n++) {
            int nc = FT_MIN(PIECE_COLS, use[u].n - col);
            if (piece == NULL)
                continue;
            piece[n] = (struct piece){.use = &use[u],
                                      .t = t,
                                      .col = col,
                                      .nc = nc,
                                      .group_end = groups_of(p),
                                      .panel_end = ft_lora_lines(p->n_out)};
            t += (size_t)nc * (size_t)p->rank;
        }
    }
    return n;
}

/* Cuts n whole pieces into their groups, or into spans of panels. Returns how many that makes;
 * counts only if to is NULL. */
static int cut_groups(const struct piece *whole, int n, struct piece *to)
{
    int k = 0;
    for (int i = 0; i < n; i++)
        for (int g = 0; g < whole[i].group_end; g++, k++)
            if (to != NULL) {
                to[k] = whole[i];
                to[k].group = g;
                to[k].group_end = g + 1;
                to[k].panel_end = 0;
            }
    return k;
}

static int cut_panels(const struct piece *whole, int n, int parts, struct piece *to)
{
    int k = 0;
    for (int i = 0; i < n; i++) {
        int64_t step = (whole[i].panel_end + parts - 1) / parts;
        for (int64_t at = 0; at < whole[i].panel_end; at += step, k++)
            if (to != NULL) {
                to[k] = whole[i];
                to[k].group_end = 0;
                to[k].panel = at;
                to[k].panel_end = FT_MIN(at + step, whole[i].panel_end);
            }
    }
    return k;
}

void ft_cpu_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use)
{
    struct ft_cpu *c = ft_cpu_of(d);
    size_t floats = 0;
    for (int u = 0; u < n_use; u++)
        floats += (size_t)use[u].n * (size_t)pair_of(&use[u])->rank;
    float *t = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_WORK, floats * sizeof *t);
    int n = whole_pieces(use, n_use, NULL, NULL), parts = 2 * c->n_threads;
    bool split = c->n_threads > 1 && n < parts;
    int most = n; /* pieces of one region, after the whole ones */
    struct piece few[2 * FT_CPU_THREADS_MAX];
    if (split) {
        whole_pieces(use, n_use, t, few);
        most = FT_MAX(cut_groups(few, n, NULL), cut_panels(few, n, parts, NULL));
    }
    size_t bytes = (size_t)most * (sizeof(struct piece) + sizeof(int)) + sizeof(int);
    struct run r = {.k = c->steps, .x = x};
    r.piece = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_TASKS, bytes);
    r.chunk_at = (int *)(void *)(r.piece + most);
    if (!split) {
        r.n_pieces = whole_pieces(use, n_use, t, r.piece);
        pieces_run(c, &r);
        return;
    }
    r.n_pieces = cut_groups(few, n, r.piece);
    pieces_run(c, &r);
    r.n_pieces = cut_panels(few, n, parts, r.piece);
    pieces_run(c, &r);
}
