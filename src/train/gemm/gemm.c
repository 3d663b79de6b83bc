/* Products in blocks that fit the caches.
 *
 * One operand, `shared`, is packed by all workers together: a span of it across, up to SPAN_MAX,
 * times as many blocks of k as the buffer takes. The other is cut into chunks, which the workers
 * multiply with all of it. Where k lies inside the rows of the other operand, a chunk packs it
 * itself, panel by panel, just before it is multiplied, and asks for the memory of the next panel
 * between tiles: a large operand is then read once, at no cost to speak of. Where k lies across, a
 * chunk would read short pieces of far rows (which moreover fall into few sets of the caches if
 * rows are a power of two); there both operands are packed together, in long rows.
 *
 *   for spans of the operands across, for groups of blocks of k:
 *       region: pack the shared operand (or both)
 *       region: per chunk of the other: for blocks of k, for panels: (pack it;) tiles
 *
 * B is the shared one, so that C is written along its rows (walking down its columns instead: 211
 * for 225 GFLOP/s), unless A is so small that packing B decides. ft_gemm_one runs the same loops
 * alone over buffers of the worker. */
#include "train/gemm/gemm.h"

#include <stdlib.h>

#include "base/cpu_isa.h"
#include "base/pages.h"
#include "train/gemm/kern.h"
#include "train/gemm/pack.h"

#define SPAN_MAX     2048 /* across, of what is packed together */
#define ONE_SPAN_MAX 512
#define THIN_MAX     128 /* rows of C up to which A may be the shared one */
#define GROUP_MAX    256 /* across, of what a chunk packs at once */
#define CHUNKS       8   /* per worker, where there is enough to share */
#define CHUNK_MIN    24  /* across */
#define PART         64  /* across or of k: what is packed at once by one of all workers */

#define SHARED_UNITS  ((int64_t)(FT_GEMM_SHARED_BYTES / sizeof(uint32_t)))
#define ONE_UNITS     ((int64_t)ONE_SPAN_MAX * FT_GEMM_BLOCK)
#define PRIVATE_UNITS ((int64_t)GROUP_MAX * FT_GEMM_BLOCK)

/* Of one worker. */
struct worker {
    uint32_t private[PRIVATE_UNITS];
    uint32_t one[ONE_UNITS]; /* the shared operand of ft_gemm_one */
    float fetch[FT_GEMM_FETCH_FLOATS];
};

_Static_assert(sizeof(struct worker) <= FT_GEMM_WORKER_BYTES, "the header promises it");

struct ft_gemm {
    struct ft_pool *pool;
    const struct ft_gemm_kern *kern;
    uint32_t *shared;
    struct worker *workers;
};

/* A part of an operand across; u: its packed blocks, [block][panel], NULL if chunks pack it. */
struct span {
    struct ft_gemm_side side;
    uint32_t *u;
    int64_t at, n, n_max;
};

/* One product on its way. */
struct job {
    struct ft_gemm *g;
    const struct ft_gemm_args *x;
    struct span shared, other;
    int64_t k_at, n_k; /* the group of blocks */
    int64_t block;     /* elements of k */
    int64_t n_chunks;  /* of the other operand */
    bool ask_ahead;    /* for the memory of its next panel */
};

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static int64_t round_up(int64_t a, int64_t b)
{
    return div_up(a, b) * b;
}

/* Elements of k in a block of the group (all but the last are whole), and their units. */
static int64_t block_k(const struct job *j, int64_t block)
{
    return FT_MIN(j->block, j->n_k - block * j->block);
}

static int64_t block_units(const struct job *j, int64_t block)
{
    return div_up(block_k(j, block), j->g->kern->unit_k);
}

/* Panels of a block from `at` on, a multiple of width. */
static uint32_t *packed(const struct job *j, const struct span *s, int64_t block, int64_t at)
{
    return s->u + block * round_up(s->n, s->side.width) * FT_GEMM_BLOCK +
           at * block_units(j, block);
}

/* ---- packing together ---- */

static int64_t part_across(const struct span *s)
{
    return round_up(PART, s->side.width);
}

/* What one chunk packs of a block: a few panels in full, or, where k runs across memory, some rows
 * of k of all panels, so that memory is read in long rows either way. */
static int64_t parts_of_block(const struct job *j, const struct span *s)
{
    if (s->side.k_inside)
        return div_up(s->n, part_across(s));
    return div_up(block_k(j, 0), PART);
}

static int64_t parts_of(const struct job *j, const struct span *s)
{
    return s->u == NULL ? 0 : div_up(j->n_k, j->block) * parts_of_block(j, s);
}

static void pack_part(void *ctx, int chunk, int worker)
{
    struct job *j = ctx;
    bool is_shared = chunk < parts_of(j, &j->shared);
    const struct span *s = is_shared ? &j->shared : &j->other;
    int64_t nth = is_shared ? chunk : chunk - parts_of(j, &j->shared);
    int64_t n_parts = parts_of_block(j, s), block = nth / n_parts, part = nth % n_parts;
    int64_t n_units = block_units(j, block), n_k = block_k(j, block), k = 0, at = 0, n = s->n;
    if (s->side.k_inside) {
        at = part * part_across(s);
        n = FT_MIN(part_across(s), s->n - at);
    } else {
        k = part * PART;
        n_k = FT_MIN((int64_t)PART, n_k - k);
    }
    if (n_k > 0)
        ft_gemm_pack(&s->side, s->at + at, n, j->k_at + block * j->block + k, n_k,
                     packed(j, s, block, at) + k / j->g->kern->unit_k * s->side.width, n_units,
                     j->g->workers[worker].fetch);
}

/* ---- multiplying ---- */

/* Chunks of the other operand, whole panels; they differ by one panel at most. */
static int64_t chunk_begin(const struct job *j, int64_t chunk)
{
    int64_t width = j->other.side.width, panels = div_up(j->other.n, width);
    return FT_MIN(chunk * panels / j->n_chunks * width, j->other.n);
}

static int64_t chunk_count(const struct job *j, int64_t n_workers)
{
    int64_t panels = div_up(j->other.n, j->other.side.width);
    int64_t n = FT_MIN(CHUNKS * n_workers, div_up(j->other.n, CHUNK_MIN));
    return FT_MIN(round_up(n, n_workers), panels);
}

/* A chunk goes group by group: one panel, or, where it packs rows of k across memory itself, as
 * many as its buffer takes. */
struct group {
    int64_t at, n, at_end; /* across, from the span's beginning */
    int64_t block, n_blocks;
};

static void group_size(const struct job *j, struct group *g)
{
    int64_t width = j->other.side.width;
    bool panel = j->other.side.k_inside || j->other.u != NULL;
    g->n = FT_MIN(panel ? width : GROUP_MAX / width * width, g->at_end - g->at);
}

static bool group_next(const struct job *j, struct group *g, int64_t chunk_at)
{
    g->at += g->n;
    if (g->at == g->at_end) {
        g->at = chunk_at;
        g->block++;
    }
    group_size(j, g);
    return g->block < g->n_blocks;
}

/* The group with all of the shared operand; between the tiles memory is asked for that comes next.
 */
static void tiles(const struct job *j, const struct group *g, const uint32_t *other,
                  struct ft_gemm_ahead *ahead)
{
    const struct ft_gemm_args *x = j->x;
    bool b_shared = j->shared.side.vector;
    const struct ft_gemm_side *a = b_shared ? &j->other.side : &j->shared.side;
    const uint32_t *shared = packed(j, &j->shared, g->block, 0);
    int64_t n_units = block_units(j, g->block);
    int64_t s_width = j->shared.side.width, o_width = j->other.side.width;
    struct ft_gemm_tile t = {
        .row_step = a->k_inside ? n_units : 1,
        .unit_step = a->k_inside ? 1 : a->width,
        .n_units = n_units,
        .ldc = x->ldc,
        .alpha = x->alpha,
        .add = x->add || j->k_at + g->block > 0,
    };
    int64_t n_tiles = div_up(j->shared.n, s_width) * div_up(g->n, o_width);
    int64_t lines = div_up(ft_gemm_ahead_lines(ahead), n_tiles);
    for (int64_t s = 0; s < j->shared.n; s += s_width)
        for (int64_t o = 0; o < g->n; o += o_width) {
            int64_t s_at = j->shared.at + s, o_at = j->other.at + g->at + o;
            int64_t s_n = FT_MIN(s_width, j->shared.n - s), o_n = FT_MIN(o_width, g->n - o);
            t.a = b_shared ? other + o * n_units : shared + s * n_units;
            t.b = b_shared ? shared + s * n_units : other + o * n_units;
            t.c = x->c + (b_shared ? o_at * x->ldc + s_at : s_at * x->ldc + o_at);
            t.rows = (int)(b_shared ? o_n : s_n);
            t.cols = (int)(b_shared ? s_n : o_n);
            ft_gemm_ahead_step(ahead, lines);
            j->g->kern->tile(&t);
        }
}

static void multiply_chunk(void *ctx, int chunk, int worker)
{
    struct job *j = ctx;
    struct worker *w = &j->g->workers[worker];
    const struct ft_gemm_side *side = &j->other.side;
    int64_t at = chunk_begin(j, chunk);
    struct group g = {at, 0, chunk_begin(j, chunk + 1), 0, div_up(j->n_k, j->block)};
    group_size(j, &g);
    for (bool more = true; more;) {
        struct group now = g;
        struct ft_gemm_ahead ahead = {0};
        more = group_next(j, &g, at);
        if (j->other.u != NULL) {
            tiles(j, &now, packed(j, &j->other, now.block, now.at), &ahead);
            continue;
        }
        ft_gemm_pack(side, j->other.at + now.at, now.n, j->k_at + now.block * j->block,
                     block_k(j, now.block), w->private, block_units(j, now.block), w->fetch);
        if (more && j->ask_ahead)
            ft_gemm_ahead_start(&ahead, side, j->other.at + g.at, g.n, j->k_at + g.block * j->block,
                                block_k(j, g.block));
        tiles(j, &now, w->private, &ahead);
    }
}

/* ---- the loops around them ---- */

/* worker < 0: all of them. */
static void region(struct job *j, int64_t n_chunks, ft_pool_fn *fn, int worker)
{
    if (worker < 0)
        ft_pool_run(j->g->pool, (int)n_chunks, fn, j);
    for (int i = 0; i < n_chunks && worker >= 0; i++)
        fn(j, i, worker);
}

/* Spans as they are, all groups of blocks of k: as many at once as `units` of buffer take. */
static void run_spans(struct job *j, int64_t units, int worker)
{
    int64_t across = round_up(j->shared.n, j->shared.side.width);
    if (j->other.u != NULL)
        across = FT_MAX(across, round_up(j->other.n, j->other.side.width));
    int64_t n_k_max = units / (across * FT_GEMM_BLOCK) * j->block;
    j->n_chunks = chunk_count(j, worker < 0 ? ft_pool_size(j->g->pool) : 1);
    for (j->k_at = 0; j->k_at < j->x->k; j->k_at += j->n_k) {
        j->n_k = FT_MIN(n_k_max, j->x->k - j->k_at);
        region(j, parts_of(j, &j->shared) + parts_of(j, &j->other), pack_part, worker);
        region(j, j->n_chunks, multiply_chunk, worker);
    }
}

static void run_job(struct job *j, int64_t units, int worker)
{
    struct span *s = &j->shared, *o = &j->other;
    for (o->at = 0; o->at < o->side.n; o->at += o->n) {
        o->n = FT_MIN(o->n_max, o->side.n - o->at);
        for (s->at = 0; s->at < s->side.n; s->at += s->n) {
            s->n = FT_MIN(s->n_max, s->side.n - s->at);
            run_spans(j, units, worker);
        }
    }
}

static struct span span_of(const struct ft_gemm *g, const struct ft_gemm_args *x, bool is_b)
{
    const struct ft_gemm_in *in = is_b ? &x->b : &x->a;
    int64_t n = is_b ? x->n : x->m;
    int width = is_b ? g->kern->nr : g->kern->mr;
    struct ft_gemm_side side = {.kern = g->kern,
                                .in = *in,
                                .info = ft_type_info(in->type),
                                .n = n,
                                .width = width,
                                .vector = is_b,
                                .k_inside = in->trans == is_b};
    return (struct span){.side = side, .n_max = n};
}

/* A sum of nothing. */
static void clear(const struct ft_gemm_args *x)
{
    for (int64_t i = 0; i < x->m; i++)
        for (int64_t j = 0; j < x->n; j++)
            x->c[i * x->ldc + j] = 0;
}

static struct job job_of(struct ft_gemm *g, const struct ft_gemm_args *x, uint32_t *u,
                         int64_t span_max)
{
    bool b_shared = x->n <= x->m || x->m > THIN_MAX;
    struct job j = {.g = g,
                    .x = x,
                    .shared = span_of(g, x, b_shared),
                    .other = span_of(g, x, !b_shared),
                    .block = (int64_t)FT_GEMM_BLOCK * g->kern->unit_k};
    j.shared.u = u;
    j.shared.n_max = span_max / j.shared.side.width * j.shared.side.width;
    return j;
}

void ft_gemm_run(struct ft_gemm *g, const struct ft_gemm_args *x)
{
    if (x->k == 0 && !x->add)
        clear(x);
    struct job j = job_of(g, x, g->shared, SPAN_MAX);
    int64_t units = SHARED_UNITS;
    j.ask_ahead = j.other.side.k_inside; /* what ft_gemm_one is for lies in the caches */
    if (!j.other.side.k_inside && FT_MIN(x->m, x->n) > THIN_MAX) {
        units /= 2;
        j.other.u = g->shared + units;
        j.other.n_max = SPAN_MAX / j.other.side.width * j.other.side.width;
    }
    run_job(&j, units, -1);
}

void ft_gemm_one(struct ft_gemm *g, int worker, const struct ft_gemm_args *x)
{
    if (x->k == 0 && !x->add)
        clear(x);
    struct job j = job_of(g, x, g->workers[worker].one, ONE_SPAN_MAX);
    run_job(&j, ONE_UNITS, worker);
}

/* ---- life ---- */

static const struct ft_gemm_kern *kern_of(enum ft_cpu_isa isa, enum ft_gemm_math math)
{
#ifdef FT_GEMM_X86
    if (isa >= FT_CPU_AVX512)
        return math == FT_GEMM_BF16 ? &ft_gemm_kern_avx512_bf16 : &ft_gemm_kern_avx512_f32;
    if (isa >= FT_CPU_AVX2)
        return math == FT_GEMM_BF16 ? &ft_gemm_kern_avx2_bf16 : &ft_gemm_kern_avx2_f32;
#else
    (void)isa; /* every set includes plain C */
#endif
    return math == FT_GEMM_BF16 ? &ft_gemm_kern_plain_bf16 : &ft_gemm_kern_plain_f32;
}

static size_t workers_bytes(const struct ft_gemm *g)
{
    return (size_t)ft_pool_size(g->pool) * sizeof *g->workers;
}

int ft_gemm_open(struct ft_pool *pool, const char *isa_name, enum ft_gemm_math math,
                 struct ft_gemm **ret_g, struct ft_err *err)
{
    enum ft_cpu_isa isa;
    int rc = ft_cpu_isa_choose(isa_name, &isa, err);
    if (rc != 0)
        return rc;
    struct ft_gemm *g = calloc(1, sizeof *g);
    if (g == NULL)
        return ft_err_set(err, FT_ENOMEM, "matrix products: no memory");
    g->pool = pool;
    g->kern = kern_of(isa, math);
    g->shared = ft_pages_alloc(FT_GEMM_SHARED_BYTES, true);
    g->workers = ft_pages_alloc(workers_bytes(g), true);
    if (g->shared == NULL || g->workers == NULL) {
        ft_gemm_close(g);
        return ft_err_set(err, FT_ENOMEM, "matrix products: no memory for %d workers",
                          ft_pool_size(pool));
    }
    *ret_g = g;
    return 0;
}

void ft_gemm_close(struct ft_gemm *g)
{
    if (g == NULL)
        return;
    ft_pages_free(g->shared, FT_GEMM_SHARED_BYTES);
    ft_pages_free(g->workers, workers_bytes(g));
    free(g);
}
