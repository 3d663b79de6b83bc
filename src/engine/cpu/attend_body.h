/* Vector kernels of attention and of storing keys and values (steps.h), compiled once per instruction
 * set: the including file has chosen a vec_<isa>.h and defines ISA().
 *
 * Two ways through the same floating-point operations. Few query rows (a decoded token): keys and
 * values are widened in registers as they stream in, prefetched half a span ahead. Many rows
 * (prefill, or the many heads over one compressed key): a span's keys and values are widened once
 * into tiles that stay in the second-level cache and serve all rows. Per query row and lane both
 * compute
 *   score = fma chain over the key's dimensions in order, from zero
 *   largest, weights 2^(score - largest), their sum over fixed lanes
 *   out = out * shrink, then an fma chain over the tokens in order
 * A token past a row's limit has weight zero, which changes no bit of its sums. */
#include <math.h>
#include <string.h>

#include "base/half.h"

#define SPAN_BLOCKS (FT_ATTN_SPAN / FT_KV_BLOCK)
#define PANEL       32        /* value columns of a tile's panel */
#define DIRECT_MAX  8         /* query rows up to which keys and values are used where they lie */
#define COLS_MAX    8         /* value vectors per row in registers */
#define TILED       FT_KV_F32 /* what the tiles hold */

/* Where a span's keys and values are read from. */
struct source {
    const uint8_t *k[SPAN_BLOCKS], *v[SPAN_BLOCKS];
    const uint16_t *k_scale[SPAN_BLOCKS], *v_scale[SPAN_BLOCKS];
    const uint8_t *k_next[SPAN_BLOCKS]; /* keys to prefetch while the values are read, or NULL */
    bool prefetch;
    int n; /* blocks */
};

/* Some query rows that go through a span together. */
struct group {
    const float *q;   /* [d_k][rows] */
    const int *limit; /* tokens of the span that each row sees; ascending */
    float *m, *l, *o; /* running state: o has ld floats a row */
    int64_t ld;
    float *score; /* [rows][FT_ATTN_SPAN] */
};

/* Vector i of a row of elements. scale: that of the element's group and token, where there is one. */
INLINE vf widen(enum ft_kv_type type, const uint8_t *p, int64_t i, vf scale)
{
    switch (type) {
    case FT_KV_F32:
        return v_load((const float *)p + i);
    case FT_KV_F16:
        return v_load_f16((const uint16_t *)p + i);
    default:
        return v_mul(v_load_i8((const int8_t *)p + i), scale);
    }
}

INLINE void prefetch_lines(const uint8_t *p, int64_t bytes)
{
    for (int64_t i = 0; i < bytes; i += 64)
        _mm_prefetch((const char *)p + i, _MM_HINT_T1);
}

/* Scores of R query rows over a block. q: [d_k][R]; score: [R][FT_ATTN_SPAN]. next: as many bytes to
 * prefetch as the keys have, or NULL. */
INLINE void score_block(int R, enum ft_kv_type type, const float *q, const uint8_t *k,
                        const uint16_t *k_scale, int d_k, const uint8_t *next, float *score)
{
    const int all = FT_KV_BLOCK / VW, nv = R * all <= 2 * ROWS ? all : all / 2;
    const int bytes = FT_KV_BLOCK * ft_kv_elem_bytes(type);
#pragma GCC unroll 4
    for (int v0 = 0; v0 < all; v0 += nv) {
        vf acc[ROWS][4];
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                acc[r][v] = v_zero();
        for (int d0 = 0; d0 < d_k; d0 += FT_KV_GROUP) {
            int d1 = FT_MIN(d_k, d0 + FT_KV_GROUP);
            vf scale[4];
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                scale[v] = type == FT_KV_Q8 ? v_load_bf16(k_scale + d0 + (v0 + v) * VW) : v_zero();
            for (int d = d0; d < d1; d++) {
                if (next != NULL && v0 == 0)
                    prefetch_lines(next + (int64_t)d * bytes, bytes);
                vf key[4];
#pragma GCC unroll 4
                for (int v = 0; v < nv; v++)
                    key[v] = widen(type, k, (int64_t)d * FT_KV_BLOCK + (v0 + v) * VW, scale[v]);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++) {
                    vf qr = v_set1(q[(int64_t)d * R + r]);
#pragma GCC unroll 4
                    for (int v = 0; v < nv; v++)
                        acc[r][v] = v_fma(qr, key[v], acc[r][v]);
                }
            }
        }
#pragma GCC unroll 8
        for (int r = 0; r < R; r++)
#pragma GCC unroll 4
            for (int v = 0; v < nv; v++)
                v_store(score + r * FT_ATTN_SPAN + (v0 + v) * VW, acc[r][v]);
    }
}

/* Scores become weights of a span of n_tok tokens (whole blocks), of which row r sees the first
 * limit[r]. shrink[r]: what its earlier sums are multiplied by. */
INLINE void weigh(int R, float *score, int n_tok, const int *limit, float *m, float *l,
                  float *shrink)
{
    float most[VW], old[VW];
    vf low = v_set1(-INFINITY);
    v_store(most, v_zero());
    v_store(old, v_zero());
    for (int r = 0; r < R; r++) {
        float *s = score + r * FT_ATTN_SPAN;
        vf top = low;
        for (int t = 0; t < n_tok; t += VW) {
            if (t + VW > limit[r])
                v_store(s + t, v_first(v_load(s + t), low, FT_MAX(0, limit[r] - t)));
            top = v_max(top, v_load(s + t));
        }
        old[r] = m[r];
        most[r] = fmaxf(m[r], v_hmax(top));
    }
    v_store(shrink, v_exp2(v_sub(v_load(old), v_load(most))));
    for (int r = 0; r < R; r++) {
        float *s = score + r * FT_ATTN_SPAN;
        vf top = v_set1(most[r]), sum = v_zero();
        for (int t = 0; t < n_tok; t += VW) {
            vf p = v_exp2(v_sub(v_load(s + t), top));
            v_store(s + t, p);
            sum = v_add(sum, p);
        }
        l[r] = l[r] * shrink[r] + v_hsum(sum);
        m[r] = most[r];
    }
}

/* out = out * shrink + weights x values, for R rows and C vectors of columns from column c0. n_tok:
 * tokens to add. The source's values have ld elements between tokens, this strip starts at c0 of
 * them. */
INLINE void add_values(int R, int C, enum ft_kv_type type, const struct source *src, int c0,
                       int64_t ld, int n_vg, const float *p, int n_tok, int d_k, float *o,
                       int64_t ld_o, const float *shrink)
{
    const int elem = ft_kv_elem_bytes(type);
    vf acc[ROWS][COLS_MAX];
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int c = 0; c < C; c++)
            acc[r][c] = v_mul(v_load(o + r * ld_o + c * VW), v_set1(shrink[r]));
    for (int b = 0; b * FT_KV_BLOCK < n_tok; b++) {
        const uint8_t *v = src->v[b] + (int64_t)c0 * elem;
        const uint16_t *sc = src->v_scale[b];
        const uint8_t *next = src->k_next[b];
        int n = FT_MIN(FT_KV_BLOCK, n_tok - b * FT_KV_BLOCK);
        for (int t = 0; t < n; t++, v += ld * elem, p++) {
            if (src->prefetch && next != NULL)
                prefetch_lines(next + ((int64_t)t * d_k + c0) * elem, C * VW * elem);
            vf w[ROWS];
#pragma GCC unroll 8
            for (int r = 0; r < R; r++)
                w[r] = v_set1(p[r * FT_ATTN_SPAN]);
#pragma GCC unroll 8
            for (int c = 0; c < C; c++) {
                vf scale = v_zero();
                if (type == FT_KV_Q8)
                    scale =
                        v_set1(ft_bf16_to_f32(sc[(int64_t)t * n_vg + (c0 + c * VW) / FT_KV_GROUP]));
                vf x = widen(type, v, c * VW, scale);
#pragma GCC unroll 8
                for (int r = 0; r < R; r++)
                    acc[r][c] = v_fma(w[r], x, acc[r][c]);
            }
        }
    }
#pragma GCC unroll 8
    for (int r = 0; r < R; r++)
#pragma GCC unroll 8
        for (int c = 0; c < C; c++)
            v_store(o + r * ld_o + c * VW, acc[r][c]);
}

/* The columns of R rows, in strips as wide as the registers allow. */
INLINE void add_columns(int R, enum ft_kv_type type, const struct ft_kv_slice *s,
                        const struct source *src, const struct group *g, int n_tok,
                        const float *shrink)
{
    const int wide = FT_MIN(COLS_MAX, 2 * ROWS / R);
    int c0 = 0;
#define STRIP(C)                                                                                   \
    for (; (C) <= wide && c0 + (C)*VW <= g->ld; c0 += (C)*VW)                                      \
    add_values(R, C, type, src, c0, s->ld_v, s->n_vg, g->score, n_tok, s->d_k, g->o + c0, g->ld,   \
               shrink)
    STRIP(8);
    STRIP(4);
    STRIP(2);
    STRIP(1);
#undef STRIP
}

/* The same from a tile's panels. */
INLINE void add_panels(int R, const struct source *src, const struct group *g, int n_tok,
                       const float *shrink)
{
    for (int c0 = 0; c0 < g->ld; c0 += PANEL) {
        struct source panel = {.n = src->n};
        for (int b = 0; b < src->n; b++)
            panel.v[b] = src->v[b] + (int64_t)c0 * FT_ATTN_SPAN * (int64_t)sizeof(float);
        for (int c = c0; c < FT_MIN(c0 + PANEL, g->ld); c += 2 * VW) {
            if (c + 2 * VW <= g->ld)
                add_values(R, 2, TILED, &panel, c - c0, PANEL, 0, g->score, n_tok, 0, g->o + c,
                           g->ld, shrink);
            else
                add_values(R, 1, TILED, &panel, c - c0, PANEL, 0, g->score, n_tok, 0, g->o + c,
                           g->ld, shrink);
        }
    }
}

/* One span for R query rows. */
INLINE void span(int R, enum ft_kv_type type, bool tiled, const struct ft_kv_slice *s,
                 const struct source *src, const struct group *g)
{
    float shrink[VW];
    int n_tok = FT_MIN(src->n * FT_KV_BLOCK, g->limit[R - 1]);
    int n_blocks = (n_tok + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
    for (int b = 0; b < n_blocks; b++)
        score_block(R, type, g->q, src->k[b], src->k_scale[b], s->d_k,
                    src->prefetch ? src->v[b] : NULL, g->score + b * FT_KV_BLOCK);
    weigh(R, g->score, n_blocks * FT_KV_BLOCK, g->limit, g->m, g->l, shrink);
    if (tiled)
        add_panels(R, src, g, n_tok, shrink);
    else
        add_columns(R, type, s, src, g, n_tok, shrink);
}

typedef void span_fn(const struct ft_kv_slice *s, const struct source *src, const struct group *g);

#define SPAN(name, R, type, tiled)                                                                 \
    static void name(const struct ft_kv_slice *s, const struct source *src, const struct group *g) \
    {                                                                                              \
        span(R, type, tiled, s, src, g);                                                           \
    }
SPAN(span_f32_1, 1, FT_KV_F32, false)
SPAN(span_f32_2, 2, FT_KV_F32, false)
SPAN(span_f32_4, 4, FT_KV_F32, false)
SPAN(span_f32_8, ROWS, FT_KV_F32, false)
SPAN(span_f16_1, 1, FT_KV_F16, false)
SPAN(span_f16_2, 2, FT_KV_F16, false)
SPAN(span_f16_4, 4, FT_KV_F16, false)
SPAN(span_f16_8, ROWS, FT_KV_F16, false)
SPAN(span_q8_1, 1, FT_KV_Q8, false)
SPAN(span_q8_2, 2, FT_KV_Q8, false)
SPAN(span_q8_4, 4, FT_KV_Q8, false)
SPAN(span_q8_8, ROWS, FT_KV_Q8, false)
SPAN(span_tile_1, 1, TILED, true)
SPAN(span_tile_2, 2, TILED, true)
SPAN(span_tile_4, 4, TILED, true)
SPAN(span_tile_8, ROWS, TILED, true)

#define N_SIZES 4 /* groups of 1, 2, 4 and, where the registers hold them, 8 rows */
static span_fn *const span_direct[][N_SIZES] = {
    [FT_KV_F32] = {span_f32_1, span_f32_2, span_f32_4, span_f32_8},
    [FT_KV_F16] = {span_f16_1, span_f16_2, span_f16_4, span_f16_8},
    [FT_KV_Q8] = {span_q8_1, span_q8_2, span_q8_4, span_q8_8}};
static span_fn *const span_tile[N_SIZES] = {span_tile_1, span_tile_2, span_tile_4, span_tile_8};

/* Rows of the next group when `left` remain, as a power of two. */
INLINE int group_log2(int left)
{
    int i = ROWS == 8 ? 3 : 2;
    while (1 << i > left)
        i--;
    return i;
}

/* Widens a span's blocks into a tile: keys [block][d_k][32], values [panel][FT_ATTN_SPAN][PANEL]. */
static void fill_apart(enum ft_kv_type type, const struct ft_kv_slice *s, const struct source *src,
                       float *k, float *v)
{
    int ld = ft_attn_state_ld(s);
    for (int b = 0; b < src->n; b++) {
        for (int d = 0; d < s->d_k; d++)
            for (int t = 0; t < FT_KV_BLOCK; t += VW, k += VW) {
                const uint16_t *sc = src->k_scale[b] + d / FT_KV_GROUP * FT_KV_BLOCK + t;
                vf scale = type == FT_KV_Q8 ? v_load_bf16(sc) : v_zero();
                v_store(k, widen(type, src->k[b], d * FT_KV_BLOCK + t, scale));
            }
        for (int t = 0; t < FT_KV_BLOCK; t++)
            for (int c = 0; c < ld; c += VW) {
                const uint16_t *sc = src->v_scale[b] + t * s->n_vg + c / FT_KV_GROUP;
                vf scale = type == FT_KV_Q8 ? v_set1(ft_bf16_to_f32(*sc)) : v_zero();
                v_store(v + (c / PANEL * FT_ATTN_SPAN + b * FT_KV_BLOCK + t) * PANEL + c % PANEL,
                        widen(type, src->v[b], (int64_t)t * s->ld_v + c, scale));
            }
    }
}

/* The same where the values are the first part of the keys, stored by token. */
static void fill_shared(enum ft_kv_type type, const struct ft_kv_slice *s, const struct source *src,
                        float *k, float *v)
{
    int ld = ft_attn_state_ld(s);
    for (int b = 0; b < src->n; b++, k += FT_KV_BLOCK * s->d_k)
        for (int t = 0; t < FT_KV_BLOCK; t += VW)
            for (int d = 0; d < s->d_k; d += VW) {
                vf x[VW];
                for (int i = 0; i < VW; i++) {
                    const uint16_t *sc = src->k_scale[b] + (t + i) * s->n_kg + d / FT_KV_GROUP;
                    vf scale = type == FT_KV_Q8 ? v_set1(ft_bf16_to_f32(*sc)) : v_zero();
                    x[i] = widen(type, src->k[b], (int64_t)(t + i) * s->ld_v + d, scale);
                    if (d < ld)
                        v_store(v + (d / PANEL * FT_ATTN_SPAN + b * FT_KV_BLOCK + t + i) * PANEL +
                                    d % PANEL,
                                x[i]);
                }
                v_transpose(x);
                for (int i = 0; i < FT_MIN(VW, s->d_k - d); i++)
                    v_store(k + (d + i) * FT_KV_BLOCK + t, x[i]);
            }
}

static void fill(enum ft_kv_type type, const struct ft_kv_slice *s, const struct source *src,
                 float *k, float *v)
{
    if (s->v_in_k)
        type == FT_KV_F32   ? fill_shared(FT_KV_F32, s, src, k, v)
        : type == FT_KV_F16 ? fill_shared(FT_KV_F16, s, src, k, v)
                            : fill_shared(FT_KV_Q8, s, src, k, v);
    else
        type == FT_KV_F32   ? fill_apart(FT_KV_F32, s, src, k, v)
        : type == FT_KV_F16 ? fill_apart(FT_KV_F16, s, src, k, v)
                            : fill_apart(FT_KV_Q8, s, src, k, v);
}

/* Scratch of attend_tile, in floats. */
struct work {
    float *q;           /* groups of [d_k][rows] */
    float *k, *v;       /* a span's tile */
    float *score;       /* [ROWS][FT_ATTN_SPAN] */
    float *m[2], *l[2]; /* states: all parts so far, the present one */
    float *o[2];
};

static size_t work_place(const struct ft_kv_slice *s, float *p, struct work *w)
{
    size_t ld = (size_t)ft_attn_state_ld(s), n = FT_ATTN_TILE, at = 0;
#define PLACE(field, floats) (w->field = p + at, at += ((floats) + 15) & ~(size_t)15)
    PLACE(q, n * (size_t)s->d_k);
    PLACE(k, FT_ATTN_SPAN * (size_t)s->d_k);
    PLACE(v, FT_ATTN_SPAN * ((ld + PANEL - 1) / PANEL * PANEL));
    PLACE(score, (size_t)ROWS * FT_ATTN_SPAN);
    for (int i = 0; i < 2; i++) {
        PLACE(m[i], n);
        PLACE(l[i], n);
        PLACE(o[i], n * ld);
    }
#undef PLACE
    return at;
}

size_t ISA(ft_attend_scratch)(const struct ft_kv_slice *s)
{
    struct work w;
    return work_place(s, NULL, &w);
}

/* Queries times the scale, by groups of rows, dimension after dimension. */
static void pack_queries(const struct ft_attn *a, const struct ft_attn_tile *t, float *q)
{
    const struct ft_seg *g = &a->seg[t->seg];
    int n = t->q1 - t->q0, d_k = a->s->d_k;
    for (int i = 0; i < n;) {
        int rows = 1 << group_log2(n - i);
        for (int r = 0; r < rows; r++) {
            int qi = t->q0 + i + r;
            const float *x = a->q.p + (int64_t)(g->row + qi / a->group) * a->q.ld +
                             (int64_t)(t->head * a->group + qi % a->group) * d_k;
            for (int d = 0; d < d_k; d++)
                q[(int64_t)i * d_k + d * rows + r] = x[d] * a->scale;
        }
        i += rows;
    }
}

/* Blocks [first, first + n) of the sequence as they lie in the cache; keys of the n_next blocks after
 * them are to be prefetched. */
static struct source source_at(const struct ft_attn *a, const struct ft_attn_tile *t,
                               int first_block, int n, int n_next)
{
    const struct ft_kv_slice *s = a->s;
    const int32_t *block = a->seg[t->seg].block + first_block;
    struct source src = {.n = n, .prefetch = true};
    for (int b = 0; b < n; b++) {
        const uint8_t *head = ft_kv_head(a->kv, s, block[b], t->head);
        src.k[b] = head;
        src.v[b] = head + s->v;
        src.k_scale[b] = (const uint16_t *)(head + s->k_scale);
        src.v_scale[b] = (const uint16_t *)(head + s->v_scale);
    }
    for (int b = 0; b < n_next; b++)
        src.k_next[b] = ft_kv_head(a->kv, s, block[n + b], t->head);
    return src;
}

/* One part of the sequence for all query rows of the tile. */
static void attend_part(const struct ft_attn *a, const struct ft_attn_tile *t, const struct work *w,
                        int part, float *m, float *l, float *o)
{
    const struct ft_kv_slice *s = a->s;
    const struct ft_seg *g = &a->seg[t->seg];
    enum ft_kv_type type = a->kv->type;
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(s);
    bool tiled = s->v_in_k || n > DIRECT_MAX;
    int seen = g->pos + (t->q1 - 1) / a->group + 1; /* tokens that the last row sees */
    int n_blocks = (seen + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
    for (int i = 0; i < n; i++) {
        m[i] = FT_ATTN_LOW;
        l[i] = 0;
    }
    memset(o, 0, (size_t)n * (size_t)ld * sizeof *o);

    int end = FT_MIN((part + 1) * FT_ATTN_PART, seen);
    for (int base = part * FT_ATTN_PART; base < end; base += FT_ATTN_SPAN) {
        int b0 = base / FT_KV_BLOCK, nb = FT_MIN(SPAN_BLOCKS, n_blocks - b0);
        int left = FT_MIN(n_blocks, t->part1 * (FT_ATTN_PART / FT_KV_BLOCK)) - b0 - nb;
        struct source src = source_at(a, t, b0, nb, FT_MAX(0, FT_MIN(nb, left)));
        if (tiled) {
            fill(type, s, &src, w->k, w->v);
            src = (struct source){.n = nb};
            for (int b = 0; b < nb; b++) {
                src.k[b] = (const uint8_t *)(w->k + (int64_t)b * FT_KV_BLOCK * s->d_k);
                src.v[b] = (const uint8_t *)(w->v + (int64_t)b * FT_KV_BLOCK * PANEL);
            }
        }
        for (int i = 0; i < n;) {
            int size = group_log2(n - i), rows = 1 << size, limit[ROWS];
            for (int r = 0; r < rows; r++)
                limit[r] = g->pos + (t->q0 + i + r) / a->group + 1 - base;
            struct group grp = {w->q + (int64_t)i * s->d_k, limit, m + i,   l + i,
                                o + (int64_t)i * ld,        ld,    w->score};
            if (limit[rows - 1] > 0)
                (tiled ? span_tile[size] : span_direct[type][size])(s, &src, &grp);
            src.prefetch = false; /* the first group has fetched it */
            i += rows;
        }
    }
}

/* (m, l, o) becomes what both states hold together. */
static void fold(int ld, float *m, float *l, float *o, float m2, float l2, const float *o2)
{
    float most = fmaxf(*m, m2), f[VW];
    float d[VW] = {*m - most, m2 - most};
    v_store(f, v_exp2(v_load(d)));
    vf a = v_set1(f[0]), b = v_set1(f[1]);
    *l = *l * f[0] + l2 * f[1];
    for (int i = 0; i < ld; i += VW)
        v_store(o + i, v_fma(v_load(o + i), a, v_mul(v_load(o2 + i), b)));
    *m = most;
}

static void finish(const struct ft_attn *a, const struct ft_attn_tile *t, int qi, float l,
                   const float *o)
{
    const struct ft_seg *g = &a->seg[t->seg];
    int d_v = a->s->d_v;
    float *y = a->y.p + (int64_t)(g->row + qi / a->group) * a->y.ld +
               (int64_t)(t->head * a->group + qi % a->group) * d_v;
    vf by = v_set1(1 / l);
    for (int i = 0; i < d_v; i += VW)
        v_store_n(y + i, v_mul(v_load(o + i), by), FT_MIN(VW, d_v - i));
}

void ISA(ft_attend_tile)(const struct ft_attn *a, const struct ft_attn_tile *t, float *scratch)
{
    struct work w;
    work_place(a->s, scratch, &w);
    pack_queries(a, t, w.q);
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(a->s);
    if (t->state != NULL) {
        attend_part(a, t, &w, t->part0, t->state, t->state + n, t->state + 2 * n);
        return;
    }
    attend_part(a, t, &w, t->part0, w.m[0], w.l[0], w.o[0]);
    for (int part = t->part0 + 1; part < t->part1; part++) {
        attend_part(a, t, &w, part, w.m[1], w.l[1], w.o[1]);
        for (int i = 0; i < n; i++)
            fold(ld, &w.m[0][i], &w.l[0][i], w.o[0] + (int64_t)i * ld, w.m[1][i], w.l[1][i],
                 w.o[1] + (int64_t)i * ld);
    }
    for (int i = 0; i < n; i++)
        finish(a, t, t->q0 + i, w.l[0][i], w.o[0] + (int64_t)i * ld);
}

void ISA(ft_attend_fold)(const struct ft_attn *a, const struct ft_attn_tile *t, int n_part,
                         const float *state, float *scratch)
{
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(a->s);
    size_t step = ft_attn_state_floats(a->s, n);
    for (int r = 0; r < n; r++) {
        float m = state[r], l = state[n + r], *o = scratch;
        memcpy(o, state + 2 * n + (int64_t)r * ld, (size_t)ld * sizeof *o);
        for (int p = 1; p < n_part; p++) {
            const float *s = state + (size_t)p * step;
            fold(ld, &m, &l, o, s[r], s[n + r], s + 2 * n + (int64_t)r * ld);
        }
        finish(a, t, t->q0 + r, l, o);
    }
}
