/* Fronts of attention and of storing keys and values: cutting the work for the pool.
 *
 * Attention: the rows of a segment times the query heads of one key-value head are its query rows;
 * a fixed number of them make a tile. A tile whose sequence is so long that it would keep one
 * thread busy while the others wait is split into the parts of its sequence; their states are
 * folded afterwards (steps.h says why this changes no bit). Tiles are handed out longest first, in
 * chunks of similar cost, all segments and heads in one region. */
#include "engine/cpu/steps.h"

#include <math.h>

#define CHUNKS_PER_THREAD 12
#define CHUNK_NS_MIN      2000 /* less is not worth claiming */
#define ALONE_NS_MAX      4000 /* less is not worth waking the pool */
#define SPLIT_PARTS_MAX   8192 /* parts of split tiles in one call; beyond, tiles stay whole */
#define STATE_BYTES_MAX   ((size_t)64 << 20) /* of address space; touched as far as used */
#define FOLD_SHARE_MIN    (64 << 10)         /* floats to fold before the pool is asked */

const struct ft_cpu_steps *ft_cpu_steps_of(enum ft_cpu_isa isa)
{
#ifdef FT_CPU_X86
    static const struct ft_cpu_steps *const table[FT_CPU_ISA_COUNT] = {
        [FT_CPU_PLAIN] = &ft_cpu_steps_plain,
        [FT_CPU_AVX2] = &ft_cpu_steps_avx2,
        [FT_CPU_AVX512] = &ft_cpu_steps_avx512};
    return table[isa];
#else
    (void)isa;
    return &ft_cpu_steps_plain;
#endif
}

struct split {
    struct ft_attn_tile tile;
    int n_part;
    float *state;
};

struct attend_run {
    const struct ft_cpu_steps *k;
    struct ft_attn a;
    struct ft_attn_tile *tile;
    int *chunk_at; /* tiles of chunk i: chunk_at[i] .. chunk_at[i + 1] */
    int n_tiles, n_chunks;
    struct split *split;
    int n_splits, n_parts;
    int64_t fold_floats;
    float *state, *state_end; /* what is left for states */
    double chunk_ns, chunk_cost;
    double split_ns;         /* tiles above this are split; 0: none */
    double token_ns, row_ns; /* streaming a token; computing a token for one query row */
};

/* What a tile costs, roughly: reading its tokens or computing with them, whichever takes longer. */
static double cost(const struct attend_run *r, int n_query, double tokens)
{
    return tokens * fmax(r->token_ns, r->row_ns * n_query);
}

/* Adds a unit of work, to the current chunk while that is small. */
static void emit(struct attend_run *r, const struct ft_attn_tile *t, double ns)
{
    if (r->n_chunks == 0 || r->chunk_cost >= r->chunk_ns) {
        r->chunk_at[r->n_chunks++] = r->n_tiles;
        r->chunk_cost = 0;
    }
    r->tile[r->n_tiles] = *t;
    r->tile[r->n_tiles].next = NULL;
    if (r->n_tiles > r->chunk_at[r->n_chunks - 1])
        r->tile[r->n_tiles - 1].next = &r->tile[r->n_tiles];
    r->n_tiles++;
    r->chunk_at[r->n_chunks] = r->n_tiles;
    r->chunk_cost += ns;
}

static void emit_tile(struct attend_run *r, struct ft_attn_tile *t, int limit, double ns)
{
    int n_part = t->part1, nq = t->q1 - t->q0;
    size_t step = ft_attn_state_floats(r->a.s, nq);
    bool split = r->split_ns > 0 && ns > r->split_ns && n_part > 1 &&
                 r->n_parts + n_part <= SPLIT_PARTS_MAX &&
                 (size_t)(r->state_end - r->state) >= step * (size_t)n_part;
    if (!split) {
        emit(r, t, ns);
        return;
    }
    r->split[r->n_splits++] = (struct split){*t, n_part, r->state};
    for (int p = 0; p < n_part; p++) {
        t->part0 = p;
        t->part1 = p + 1;
        t->state = r->state + step * (size_t)p;
        emit(r, t, cost(r, nq, FT_MIN(FT_ATTN_PART, limit - p * FT_ATTN_PART)));
    }
    r->state += step * (size_t)n_part;
    r->n_parts += n_part;
    r->fold_floats += (int64_t)step * n_part;
}

/* Tile j of a segment, for the first head; returns the tokens that its last row sees. */
static int tile_at(const struct attend_run *r, const struct ft_seg *g, int j, int rows,
                   struct ft_attn_tile *ret_t)
{
    int nq = g->n * r->a.group, q1 = FT_MIN(nq, (j + 1) * rows);
    int limit = g->pos + (q1 - 1) / r->a.group + 1;
    *ret_t = (struct ft_attn_tile){.seg = (int)(g - r->a.seg),
                                   .q0 = j * rows,
                                   .q1 = q1,
                                   .part1 = (limit + FT_ATTN_PART - 1) / FT_ATTN_PART};
    return limit;
}

static double total_cost(const struct attend_run *r, const struct ft_batch *b)
{
    double total = 0;
    int rows = ft_attn_tile_rows(r->a.s);
    for (int i = 0; i < b->n_segs; i++)
        for (int j = 0; j * rows < b->seg[i].n * r->a.group; j++) {
            struct ft_attn_tile t;
            int limit = tile_at(r, &b->seg[i], j, rows, &t);
            total += cost(r, t.q1 - t.q0, limit);
        }
    return total * r->a.s->n_head;
}

/* Head by head, so that a head's keys and values stay in the cache for its tiles; the last rows
 * first, so that what is handed out last is short. */
static void emit_all(struct attend_run *r, const struct ft_batch *b)
{
    int rows = ft_attn_tile_rows(r->a.s);
    for (int i = 0; i < b->n_segs; i++)
        for (int h = 0; h < r->a.s->n_head; h++)
            for (int j = (b->seg[i].n * r->a.group - 1) / rows; j >= 0; j--) {
                struct ft_attn_tile t;
                int limit = tile_at(r, &b->seg[i], j, rows, &t);
                t.head = h;
                emit_tile(r, &t, limit, cost(r, t.q1 - t.q0, limit));
            }
}

static void attend_chunk(void *ctx, int chunk, int worker)
{
    const struct attend_run *r = ctx;
    float *scratch = r->a.scratch + (size_t)worker * r->a.scratch_floats;
    for (int i = r->chunk_at[chunk]; i < r->chunk_at[chunk + 1]; i++)
        r->k->attend_tile(&r->a, &r->tile[i], scratch);
}

static void fold_chunk(void *ctx, int chunk, int worker)
{
    const struct attend_run *r = ctx;
    const struct split *s = &r->split[chunk];
    r->k->attend_fold(&r->a, &s->tile, s->n_part, s->state,
                      r->a.scratch + (size_t)worker * r->a.scratch_floats);
}

/* Places the lists of a run in scratch memory whose size depends on the batch's rows alone. */
static void lists_place(struct attend_run *r, struct ft_cpu *c, const struct ft_batch *b)
{
    size_t tiles = 0, rows = (size_t)ft_attn_tile_rows(r->a.s);
    for (int i = 0; i < b->n_segs; i++)
        tiles += ((size_t)b->seg[i].n * (size_t)r->a.group + rows - 1) / rows;
    tiles *= (size_t)r->a.s->n_head;
    size_t units = tiles + SPLIT_PARTS_MAX;
    size_t at_split = units * sizeof *r->tile, at_chunk = at_split + tiles * sizeof *r->split;
    size_t at_state = (at_chunk + (units + 1) * sizeof *r->chunk_at + 63) & ~(size_t)63;
    uint8_t *p = ft_cpu_scratch_get(c, FT_CPU_SCRATCH_ATTEND2, at_state + STATE_BYTES_MAX);
    r->tile = (struct ft_attn_tile *)p;
    r->split = (struct split *)(p + at_split);
    r->chunk_at = (int *)(p + at_chunk);
    r->state = (float *)(p + at_state);
    r->state_end = r->state + STATE_BYTES_MAX / sizeof *r->state;
    r->a.scratch_floats = (r->k->attend_scratch(r->a.s) + 31) & ~(size_t)15;
    r->a.scratch =
        ft_cpu_scratch_get(c, FT_CPU_SCRATCH_ATTEND,
                           r->a.scratch_floats * (size_t)c->n_threads * sizeof *r->a.scratch);
}

void ft_cpu_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y)
{
    struct ft_cpu *c = ft_cpu_of(d);
    const struct ft_kv_slice *s = &kv->slice[layer];
    FT_ASSERT(s->n_head > 0 && n_q_head % s->n_head == 0);
    struct attend_run r = {.k = c->steps,
                           .a = {.kv = kv,
                                 .s = s,
                                 .seg = b->seg,
                                 .q = q,
                                 .y = y,
                                 .group = n_q_head / s->n_head,
                                 .scale = (float)((double)scale * FT_LOG2E)}};
    double dims = s->d_k + s->d_v;
    r.token_ns = dims * ft_kv_elem_bytes(kv->type) / 25; /* bytes a nanosecond */
    r.row_ns = dims / 50;                                /* multiply-adds a nanosecond */
    lists_place(&r, c, b);
    double total = total_cost(&r, b);
    if (c->n_threads == 1 || total < ALONE_NS_MAX) {
        r.chunk_ns = INFINITY;
    } else {
        double share = total / c->n_threads;
        r.chunk_ns = fmax(share / CHUNKS_PER_THREAD, CHUNK_NS_MIN);
        r.split_ns = share / 8;
    }
    emit_all(&r, b);
    ft_pool_run(c->pool, r.n_chunks, attend_chunk, &r);
    if (r.n_splits == 0)
        return;
    if (r.fold_floats < FOLD_SHARE_MIN)
        for (int i = 0; i < r.n_splits; i++)
            fold_chunk(&r, i, 0);
    else
        ft_pool_run(c->pool, r.n_splits, fold_chunk, &r);
}

/* Stored elements below which the owner works alone. */
#define STORE_SHARE_MIN (64 << 10)

struct store_run {
    const struct ft_cpu_steps *k;
    const struct ft_kv *kv;
    const struct ft_kv_slice *s;
    const struct ft_batch *b;
    struct ft_mat kx, vx;
};

/* One segment's rows for one head, block by block. */
static void store_seg(const struct store_run *r, const struct ft_seg *g, int head)
{
    const struct ft_kv_slice *s = r->s;
    for (int i = 0; i < g->n;) {
        int pos = g->pos + i, t = pos % FT_KV_BLOCK, n = FT_MIN(FT_KV_BLOCK - t, g->n - i);
        struct ft_mat k = {r->kx.p + (int64_t)(g->row + i) * r->kx.ld + (int64_t)head * s->d_k,
                           r->kx.ld};
        struct ft_mat v = {NULL, 0};
        if (!s->v_in_k)
            v = (struct ft_mat){r->vx.p + (int64_t)(g->row + i) * r->vx.ld + (int64_t)head * s->d_v,
                                r->vx.ld};
        r->k->kv_store(r->kv->type, s, ft_kv_head(r->kv, s, g->block[pos / FT_KV_BLOCK], head), t,
                       n, k, v);
        i += n;
    }
}

static void store_chunk(void *ctx, int chunk, int worker)
{
    (void)worker;
    const struct store_run *r = ctx;
    store_seg(r, &r->b->seg[chunk / r->s->n_head], chunk % r->s->n_head);
}

void ft_cpu_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v)
{
    struct ft_cpu *c = ft_cpu_of(d);
    struct store_run r = {c->steps, kv, &kv->slice[layer], b, k, v};
    int n_chunks = b->n_segs * r.s->n_head;
    int64_t elems = (int64_t)b->n_rows * r.s->n_head * (r.s->d_k + (r.s->v_in_k ? 0 : r.s->d_v));
    if (elems < STORE_SHARE_MIN)
        for (int i = 0; i < n_chunks; i++)
            store_chunk(&r, i, 0);
    else
        ft_pool_run(c->pool, n_chunks, store_chunk, &r);
}
