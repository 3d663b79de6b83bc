/* Matrix products as one parallel region (product.h): cutting work into chunks, and one chunk's
 * loops over panels, columns and pieces of k. */
#include "engine/cpu/product.h"

#include <string.h>

/* Sizes are by cost. A chunk should be a few microseconds at least (a claim costs a tenth of one)
 * and there should be several a thread, so that a thread that loses its core holds up little. */
#define CHUNK_NS_MIN      4000.0
#define CHUNKS_PER_THREAD 8
#define BYTES_PER_NS      16.0  /* of weights that one core streams */
#define PRODUCTS_PER_NS   170.0 /* multiply-adds of bytes that one core does */
#define FLOATS_PER_NS     50.0

#define CHUNK_HEAD 4096 /* bytes: before the kernels' own prefetches take over */

/* Columns of input that stay in the second-level cache while panels pass by. */
#define COLS_BYTES ((size_t)512 << 10)
/* Blocks unpacked at a time, a multiple of 8: 9 to 11 KB, which stay in the first-level cache. */
#define TILE_BLOCKS 16
/* The same for blocks as they are, where there are several groups of columns. */
#define DIRECT_BLOCKS 32
/* From here on unpacking to a tile costs less than unpacking again for every 8 columns. */
#define TILE_COLS_MIN 64

const struct ft_cpu_mm *ft_cpu_mm_of(enum ft_cpu_isa isa)
{
#ifdef FT_CPU_X86
    if (isa >= FT_CPU_AVX512)
        return &ft_cpu_mm_avx512;
    if (isa >= FT_CPU_AVX2)
        return &ft_cpu_mm_avx2;
#endif
    (void)isa;
    return &ft_cpu_mm_plain;
}

bool ft_cpu_fmt_same_input(const struct ft_cpu_fmt *a, const struct ft_cpu_fmt *b)
{
    return a == b || (a != NULL && b != NULL && a->rule == b->rule && a->offset == b->offset &&
                      a->shift == b->shift && (a->rule != FT_CPU_SPLIT || a->min == b->min));
}

static size_t round_line(size_t n)
{
    return (n + 63) & ~(size_t)63;
}

size_t ft_cpu_input_bytes(const struct ft_cpu_input *in)
{
    return in->fmt == NULL ? 0
                           : round_line((size_t)in->n * sizeof(float)) +
                                 round_line((size_t)in->n * ft_cpu_act_bytes(in->n_in));
}

void ft_cpu_input_place(struct ft_cpu_input *in, uint8_t *p)
{
    in->scale = (float *)(void *)p;
    in->act = p + round_line((size_t)in->n * sizeof(float));
}

static int64_t tiles_of(int n)
{
    return (n + FT_CPU_COLS - 1) / FT_CPU_COLS;
}

struct quantise {
    const struct ft_cpu_mm *mm;
    const struct ft_cpu_input *in;
    int n_in, per_chunk;
    int64_t n_tiles;
};

static void quantise_chunk(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct quantise *q = ctx;
    int64_t from = (int64_t)chunk * q->per_chunk, to = FT_MIN(from + q->per_chunk, q->n_tiles);
    int i = q->n_in - 1;
    while (q->in[i].first_tile > from)
        i--;
    for (int64_t t = from; t < to; t++) {
        while (i + 1 < q->n_in && q->in[i + 1].first_tile <= t)
            i++;
        const struct ft_cpu_input *in = &q->in[i];
        int64_t col = (t - in->first_tile) * FT_CPU_COLS;
        int nc = (int)FT_MIN((int64_t)FT_CPU_COLS, in->n - col);
        q->mm->quantise(in->fmt, in->x + col * in->ld, in->ld, nc, in->n_in,
                        in->act + (size_t)col * ft_cpu_act_bytes(in->n_in), in->scale + col);
    }
}

void ft_cpu_inputs_quantise(struct ft_cpu *c, struct ft_cpu_input *in, int n_in)
{
    struct quantise q = {.mm = c->mm, .in = in, .n_in = n_in};
    double bytes = 0;
    for (int i = 0; i < n_in; i++) {
        in[i].first_tile = q.n_tiles;
        if (in[i].fmt == NULL)
            continue;
        q.n_tiles += tiles_of(in[i].n);
        bytes += (double)in[i].n * (double)in[i].n_in;
    }
    if (q.n_tiles == 0)
        return;
    /* about a weight a nanosecond; below some microseconds a region costs more than it saves */
    int chunks = (int)FT_MAX(1.0, FT_MIN(bytes / CHUNK_NS_MIN, 4.0 * c->n_threads));
    q.per_chunk = (int)((q.n_tiles + chunks - 1) / chunks);
    ft_pool_run(c->pool, (int)((q.n_tiles + q.per_chunk - 1) / q.per_chunk), quantise_chunk, &q);
}

/* ---- one chunk ---- */

struct run {
    const struct ft_cpu_mm *mm;
    const struct ft_cpu_product *p;
    int n, n_chunks, n_threads;
    uint8_t *work;
    size_t work_bytes; /* per thread */
};

/* The columns of a product that are done together. */
struct span {
    int from, n;
};

static const uint8_t *tile_at(const struct ft_cpu_input *in, int col, int64_t block, int nc)
{
    return in->act + (size_t)col * ft_cpu_act_bytes(in->n_in) +
           (size_t)block * (size_t)nc * FT_CPU_ACT_BYTES;
}

static void store_tile(const struct run *r, const struct ft_cpu_product *p, int64_t panel, int col,
                       int nc, const float *acc)
{
    static const float ones[FT_CPU_COLS] = {1, 1, 1, 1, 1, 1, 1, 1};
    int64_t row = panel * FT_CPU_ROWS;
    struct ft_cpu_store s = {
        .y = p->y + (int64_t)col * p->ld + row,
        .ld = p->ld,
        .scale = p->w->fmt != NULL ? p->in->scale + col : ones,
        .bias = p->bias != NULL ? p->bias + row : NULL,
        .add = p->add,
        .n_rows = (int)FT_MIN((int64_t)FT_CPU_ROWS, p->w->base.n_out - row),
    };
    r->mm->store(acc, nc, &s);
}

/* Asks for the lines that store_tile() will write: columns lie pages apart, so that a store that
 * comes unannounced costs more than the products before it (docs/performance.md). */
static void prefetch_results(const struct ft_cpu_product *p, int64_t panel, int col, int nc)
{
    const float *y = p->y + (int64_t)col * p->ld + panel * FT_CPU_ROWS;
    for (int c = 0; c < nc; c++)
        __builtin_prefetch(y + c * p->ld, 1);
}

static const uint8_t *panel_at(const struct ft_cpu_product *p, int64_t panel)
{
    const struct ft_cpu_weight *w = p->w;
    return w->packed + ((size_t)p->index * (size_t)w->n_panels + (size_t)panel) * w->panel_bytes;
}

/* A panel times a span of columns, some blocks at a time, which stay in the first-level cache while
 * the columns pass by: as they are, unpacked in registers, or unpacked to a tile of bytes first. */
static void panel_blocks(const struct run *r, const struct ft_cpu_product *p, int64_t panel,
                         struct span span, bool tiled, uint8_t *work)
{
    const struct ft_cpu_weight *w = p->w;
    const struct ft_cpu_fmt *f = w->fmt;
    int64_t n_blocks = w->base.n_in / 32;
    int64_t step = tiled ? TILE_BLOCKS : span.n > FT_CPU_COLS ? DIRECT_BLOCKS : n_blocks;
    const uint8_t *scales = panel_at(p, panel), *bits = scales + w->scales_bytes;
    float *sums = (float *)(void *)(work + TILE_BLOCKS * FT_CPU_TILE_BYTES);
    memset(sums, 0, (size_t)span.n * FT_CPU_ROWS * sizeof(float));
    for (int64_t b = 0; b < n_blocks; b += step) {
        int64_t n = FT_MIN(step, n_blocks - b);
        const uint8_t *q = bits + b * f->q_bytes;
        const uint8_t *scale = scales + b / f->scale_blocks * f->scale_bytes;
        if (tiled)
            r->mm->unpack[f->id](q, scale, n, work);
        for (int i = 0; i < span.n; i += FT_CPU_COLS) {
            int col = span.from + i, nc = FT_MIN(FT_CPU_COLS, p->in->n - col);
            const uint8_t *x = tile_at(p->in, col, b, nc);
            float *sum = sums + (size_t)i * FT_CPU_ROWS;
            bool last = b + n == n_blocks;
            if (last)
                prefetch_results(p, panel, col, nc);
            if (tiled)
                r->mm->tile_dot[f->id][nc - 1](work, NULL, n, x, sum);
            else
                r->mm->dot[f->id][nc - 1](q, scale, n, x, sum);
            if (last)
                store_tile(r, p, panel, col, nc, sum);
        }
    }
}

static void panel_float(const struct run *r, const struct ft_cpu_product *p, int64_t panel,
                        struct span span)
{
    const struct ft_cpu_weight *w = p->w;
    int64_t row = panel * FT_CPU_ROWS;
    int n_rows = (int)FT_MIN((int64_t)FT_CPU_ROWS, w->base.n_out - row);
    const uint8_t *rows = ft_cpu_weight_rows(w, p->index) + (size_t)row * w->row_bytes;
    for (int col = span.from; col < span.from + span.n; col += FT_CPU_COLS) {
        int nc = FT_MIN(FT_CPU_COLS, p->in->n - col);
        float acc[FT_CPU_COLS * FT_CPU_ROWS] __attribute__((aligned(64)));
        r->mm->dot_float(w->base.type, rows, w->row_bytes, n_rows, p->in->x + col * p->in->ld,
                         p->in->ld, nc, w->base.n_in, acc);
        store_tile(r, p, panel, col, nc, acc);
    }
}

static bool use_tile(const struct ft_cpu_mm *mm, const struct ft_cpu_product *p)
{
    return p->w->fmt != NULL && p->in->n >= TILE_COLS_MIN && mm->unpack[p->w->fmt->id] != NULL;
}

static int span_cols(const struct ft_cpu_product *p)
{
    size_t per_col =
        p->w->fmt != NULL ? ft_cpu_act_bytes(p->in->n_in) : (size_t)p->in->n_in * sizeof(float);
    int64_t tiles = (int64_t)FT_MAX(COLS_BYTES / per_col / FT_CPU_COLS, (size_t)1);
    int64_t all = tiles_of(p->in->n), spans = (all + tiles - 1) / tiles;
    return (int)((all + spans - 1) / spans) * FT_CPU_COLS;
}

static const struct ft_cpu_product *product_of(const struct run *r, int chunk)
{
    int i = 0;
    for (int low = 0, high = r->n - 1; low <= high;) { /* the last that starts at or before */
        int mid = (low + high) / 2;
        if (r->p[mid].first_chunk <= chunk) {
            i = mid;
            low = mid + 1;
        } else {
            high = mid - 1;
        }
    }
    return &r->p[i];
}

/* Asks for the first bytes of a chunk that this thread will likely claim next. */
static void chunk_prefetch(const struct run *r, int chunk)
{
    if (chunk >= r->n_chunks)
        return;
    const struct ft_cpu_product *p = product_of(r, chunk);
    if (p->w->fmt == NULL)
        return;
    const uint8_t *at = panel_at(p, (chunk - p->first_chunk) * p->panels_per_chunk);
    for (int i = 0; i < CHUNK_HEAD; i += 64)
        __builtin_prefetch(at + i);
}

static void run_chunk(void *ctx, int chunk, int worker)
{
    const struct run *r = ctx;
    const struct ft_cpu_product *p = product_of(r, chunk);
    int64_t from = (chunk - p->first_chunk) * p->panels_per_chunk;
    int64_t to = FT_MIN(from + p->panels_per_chunk, p->w->n_panels);
    int cols = span_cols(p);
    bool tiled = use_tile(r->mm, p);
    uint8_t *work = r->work + (size_t)worker * r->work_bytes;
    for (int col = 0; col < p->in->n; col += cols) {
        struct span span = {col, FT_MIN(cols, p->in->n - col)};
        for (int64_t panel = from; panel < to; panel++) {
            if (panel == to - 1 && span.from + span.n == p->in->n)
                chunk_prefetch(r, chunk + r->n_threads);
            if (p->w->fmt == NULL)
                panel_float(r, p, panel, span);
            else
                panel_blocks(r, p, panel, span, tiled, work);
        }
    }
}

/* Nanoseconds that one thread needs for a panel, roughly. */
static double panel_cost(const struct ft_cpu_product *p)
{
    double weights = (double)p->w->base.n_in * FT_CPU_ROWS;
    bool quantised = p->w->fmt != NULL;
    double bytes = quantised ? (double)p->w->panel_bytes : (double)p->w->row_bytes * FT_CPU_ROWS;
    return FT_MAX(bytes / BYTES_PER_NS,
                  weights * p->in->n / (quantised ? PRODUCTS_PER_NS : FLOATS_PER_NS));
}

void ft_cpu_products_run(struct ft_cpu *c, struct ft_cpu_product *p, int n)
{
    double total = 0;
    int cols = 0;
    for (int i = 0; i < n; i++) {
        total += panel_cost(&p[i]) * (double)p[i].w->n_panels;
        if (p[i].w->fmt != NULL)
            cols = FT_MAX(cols, FT_MIN(span_cols(&p[i]), (int)tiles_of(p[i].in->n) * FT_CPU_COLS));
    }
    double target = FT_MAX(total / (CHUNKS_PER_THREAD * c->n_threads), CHUNK_NS_MIN);
    int64_t chunks = 0;
    for (int i = 0; i < n; i++) {
        int64_t per = (int64_t)(target / panel_cost(&p[i]) + 0.5);
        p[i].panels_per_chunk = FT_MIN(FT_MAX(per, 1), p[i].w->n_panels);
        p[i].first_chunk = chunks;
        chunks += (p[i].w->n_panels + p[i].panels_per_chunk - 1) / p[i].panels_per_chunk;
    }
    struct run r = {
        .mm = c->mm, .p = p, .n = n, .n_chunks = (int)chunks, .n_threads = c->n_threads};
    if (cols > 0) {
        r.work_bytes =
            TILE_BLOCKS * FT_CPU_TILE_BYTES + (size_t)cols * FT_CPU_ROWS * sizeof(float) + 4096;
        r.work = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_WORK, r.work_bytes * (size_t)c->n_threads);
    }
    ft_pool_run(c->pool, (int)chunks, run_chunk, &r);
}
