/* Products in blocks that fit the caches.
 *
 * One operand is shared: packed by all workers together, a span of up to SPAN_MAX across times as
 * many blocks of k as the buffer takes. The other is private: each chunk of the region after it
 * packs its own piece, block after block of k, and multiplies it with all of the shared one, so
 * that its part of C stays in the caches. The smaller operand is the shared one: thus a large one
 * is read from memory once, by the worker that multiplies with it.
 *
 *   for spans of the shared operand across, for groups of blocks of k:
 *       region: pack the shared operand
 *       region: per chunk of the private operand: for blocks of k: pack it; tiles
 *
 * ft_gemm_one runs the same loops alone over buffers of the worker. */
#include "train/gemm/gemm.h"

#include <stdlib.h>

#include "base/cpu_isa.h"
#include "base/pages.h"
#include "train/gemm/kern.h"
#include "train/gemm/pack.h"

#define SPAN_MAX     2048 /* across, of the shared operand */
#define ONE_SPAN_MAX 512
#define CHUNK_MAX    256 /* across, of the private operand */
#define CHUNK_MIN    24
#define A_SHARED_MAX 256
#define CHUNKS       4  /* per worker, where there is enough to share */
#define PART         64 /* across, of the shared operand: what one chunk packs of a block */

#define SHARED_UNITS  (FT_GEMM_SHARED_BYTES / sizeof(uint32_t))
#define PRIVATE_UNITS ((size_t)CHUNK_MAX * FT_GEMM_BLOCK)
#define ONE_UNITS     ((size_t)ONE_SPAN_MAX * FT_GEMM_BLOCK)

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

/* One product on its way. */
struct job {
    struct ft_gemm *g;
    const struct ft_gemm_args *x;
    struct ft_gemm_side shared, private;
    uint32_t *u;           /* the shared operand, packed: [block][panel] */
    int64_t span_at, span; /* of the shared operand across */
    int64_t k_at, n_k;     /* the group of blocks */
    int64_t chunk;         /* of the private operand across */
    int64_t block;         /* elements of k */
};

static int64_t div_up(int64_t a, int64_t b)
{
    return (a + b - 1) / b;
}

static struct ft_gemm_side side_of(const struct ft_gemm *g, const struct ft_gemm_args *x, bool is_b)
{
    const struct ft_gemm_in *in = is_b ? &x->b : &x->a;
    return (struct ft_gemm_side){
        .kern = g->kern,
        .in = *in,
        .info = ft_type_info(in->type),
        .n = is_b ? x->n : x->m,
        .width = is_b ? g->kern->nr : g->kern->mr,
        .vector = is_b,
        .k_inside = in->trans == is_b,
    };
}

/* ---- the two regions ---- */

/* Units of a block of n_k elements of a panel. */
static int64_t block_units(const struct job *j, int64_t n_k)
{
    return div_up(n_k, j->g->kern->unit_k);
}

static int64_t shared_panels(const struct job *j)
{
    return div_up(j->span, j->shared.width);
}

/* All blocks of a group but the last are whole. */
static uint32_t *shared_block(const struct job *j, int64_t block)
{
    return j->u + block * shared_panels(j) * j->shared.width * FT_GEMM_BLOCK;
}

static int64_t part_of(const struct job *j)
{
    return div_up(PART, j->shared.width) * j->shared.width;
}

static void pack_part(void *ctx, int chunk, int worker)
{
    struct job *j = ctx;
    int64_t part = part_of(j), n_parts = div_up(j->span, part);
    int64_t block = chunk / n_parts, at = chunk % n_parts * part;
    int64_t n = FT_MIN(part, j->span - at), k = block * j->block;
    int64_t n_k = FT_MIN(j->block, j->n_k - k);
    ft_gemm_pack(&j->shared, j->span_at + at, n, j->k_at + k, n_k,
                 shared_block(j, block) + at * block_units(j, n_k), j->g->workers[worker].fetch);
}

/* The private operand is packed and multiplied a group at a time: one panel where that is read in
 * whole lines, the chunk where k runs across memory. */
struct group {
    int64_t at, n;  /* across */
    int64_t k, n_k; /* within the group of blocks */
    int64_t at_end; /* of the chunk */
};

static bool group_next(const struct job *j, struct group *g, int64_t chunk_at)
{
    int64_t n_max = j->private.k_inside ? j->private.width : j->chunk;
    g->at += g->n;
    if (g->at == g->at_end) {
        g->at = chunk_at;
        g->k += g->n_k;
        g->n_k = FT_MIN(j->block, j->n_k - g->k);
    }
    g->n = FT_MIN(n_max, g->at_end - g->at);
    return g->k < j->n_k;
}

/* The group with all of the shared operand; between the tiles memory is asked for that comes next.
 */
static void tiles(const struct job *j, const struct group *g, const uint32_t *private,
                  struct ft_gemm_ahead *ahead)
{
    const struct ft_gemm_args *x = j->x;
    bool b_shared = j->shared.vector;
    const struct ft_gemm_side *a = b_shared ? &j->private : &j->shared;
    const uint32_t *shared = shared_block(j, g->k / j->block);
    int64_t n_units = block_units(j, g->n_k);
    struct ft_gemm_tile t = {
        .row_step = a->k_inside ? n_units : 1,
        .unit_step = a->k_inside ? 1 : a->width,
        .n_units = n_units,
        .ldc = x->ldc,
        .alpha = x->alpha,
        .add = x->add || j->k_at + g->k > 0,
    };
    int64_t n_tiles = shared_panels(j) * div_up(g->n, j->private.width);
    int64_t lines = div_up(ft_gemm_ahead_lines(ahead), n_tiles);
    for (int64_t s = 0; s < j->span; s += j->shared.width)
        for (int64_t p = 0; p < g->n; p += j->private.width) {
            int64_t row = b_shared ? g->at + p : j->span_at + s;
            int64_t col = b_shared ? j->span_at + s : g->at + p;
            int64_t rows = b_shared ? g->n - p : j->span - s;
            int64_t cols = b_shared ? j->span - s : g->n - p;
            t.a = b_shared ? private + p * n_units : shared + s * n_units;
            t.b = b_shared ? shared + s * n_units : private + p * n_units;
            t.c = x->c + row * x->ldc + col;
            t.rows = (int)FT_MIN(rows, (int64_t)a->width);
            t.cols = (int)FT_MIN(cols, (int64_t)j->g->kern->nr);
            ft_gemm_ahead_step(ahead, lines);
            j->g->kern->tile(&t);
        }
}

static void multiply_chunk(void *ctx, int chunk, int worker)
{
    struct job *j = ctx;
    struct worker *w = &j->g->workers[worker];
    int64_t at = chunk * j->chunk;
    struct group g = {.at = at, .n_k = 0, .at_end = FT_MIN(at + j->chunk, j->private.n)};
    g.at = g.at_end;
    bool more = group_next(j, &g, at);
    while (more) {
        ft_gemm_pack(&j->private, g.at, g.n, j->k_at + g.k, g.n_k, w->private, w->fetch);
        struct group now = g;
        struct ft_gemm_ahead ahead = {0};
        more = group_next(j, &g, at);
        if (more)
            ft_gemm_ahead_start(&ahead, &j->private, g.at, g.n, j->k_at + g.k, g.n_k);
        tiles(j, &now, w->private, &ahead);
    }
}

/* ---- the loops around them ---- */

static void run_alone(struct job *j, int n_chunks, ft_pool_fn *fn, int worker)
{
    for (int i = 0; i < n_chunks; i++)
        fn(j, i, worker);
}

static void region(struct job *j, int64_t n_chunks, ft_pool_fn *fn, int worker)
{
    if (worker >= 0)
        run_alone(j, (int)n_chunks, fn, worker);
    else
        ft_pool_run(j->g->pool, (int)n_chunks, fn, j);
}

static void no_products(const struct ft_gemm_args *x)
{
    for (int64_t i = 0; i < x->m && !x->add; i++)
        for (int64_t j = 0; j < x->n; j++)
            x->c[i * x->ldc + j] = 0;
}

/* worker < 0: all of them. units: what u holds. */
static void run(struct ft_gemm *g, const struct ft_gemm_args *x, uint32_t *u, int64_t units,
                int64_t span_max, int worker)
{
    if (x->k == 0) {
        no_products(x);
        return;
    }
    bool b_shared = x->n <= x->m || x->m >= A_SHARED_MAX;
    struct job j = {.g = g,
                    .x = x,
                    .shared = side_of(g, x, b_shared),
                    .private = side_of(g, x, !b_shared),
                    .u = u,
                    .block = (int64_t)FT_GEMM_BLOCK * g->kern->unit_k};
    int n_workers = worker >= 0 ? 1 : ft_pool_size(g->pool);
    int64_t width = j.private.width;
    int64_t chunk = div_up(j.private.n, (int64_t)CHUNKS * n_workers);
    if (worker >= 0)
        chunk = CHUNK_MAX;
    chunk = FT_MIN(FT_MAX(chunk, CHUNK_MIN), CHUNK_MAX - width + 1);
    j.chunk = div_up(chunk, width) * width;
    span_max = span_max / j.shared.width * j.shared.width;
    for (; j.span_at < j.shared.n; j.span_at += j.span) {
        j.span = FT_MIN(span_max, j.shared.n - j.span_at);
        int64_t n_blocks = units / (shared_panels(&j) * j.shared.width * FT_GEMM_BLOCK);
        for (j.k_at = 0; j.k_at < x->k; j.k_at += j.n_k) {
            j.n_k = FT_MIN(n_blocks * j.block, x->k - j.k_at);
            region(&j, div_up(j.n_k, j.block) * div_up(j.span, part_of(&j)), pack_part, worker);
            region(&j, div_up(j.private.n, j.chunk), multiply_chunk, worker);
        }
    }
}

void ft_gemm_run(struct ft_gemm *g, const struct ft_gemm_args *x)
{
    run(g, x, g->shared, SHARED_UNITS, SPAN_MAX, -1);
}

void ft_gemm_one(struct ft_gemm *g, int worker, const struct ft_gemm_args *x)
{
    run(g, x, g->workers[worker].one, ONE_UNITS, ONE_SPAN_MAX, worker);
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
