/* Attention and the storing of keys and values in plain C: the definition that the vector kernels
 * (attend_vec.inc) are compared with, and what machines without them run.
 *
 * Reads as steps.h describes: parts, spans, tokens in order. Scratch: one row's scores of a span.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "engine/cpu/steps.h"

/* Where a row of d elements lies: every `step`-th from `at`, and its scales likewise. */
struct row {
    const uint8_t *p;
    const uint16_t *scale;
    size_t at, step, scale_at, scale_step;
};

/* x[0 .. d) = what the elements stand for. */
static void widen(enum ft_kv_type type, struct row r, int d, float *x)
{
    for (int i = 0; i < d; i++) {
        size_t j = r.at + (size_t)i * r.step;
        if (type == FT_KV_F32)
            x[i] = ((const float *)r.p)[j];
        else if (type == FT_KV_F16)
            x[i] = ft_f16_to_f32(((const uint16_t *)r.p)[j]);
        else
            x[i] = (float)((const int8_t *)r.p)[j] *
                   ft_bf16_to_f32(r.scale[r.scale_at + (size_t)(i / FT_KV_GROUP) * r.scale_step]);
    }
}

/* Key and value of token t of a block. */
static struct row key_at(const struct ft_kv_slice *s, const uint8_t *head, size_t t)
{
    const uint16_t *scale = (const uint16_t *)(head + s->k_scale);
    if (s->v_in_k)
        return (struct row){head, scale, t * (size_t)s->ld_v, 1, t * (size_t)s->n_kg, 1};
    return (struct row){head, scale, t, FT_KV_BLOCK, t, FT_KV_BLOCK};
}

static struct row value_at(const struct ft_kv_slice *s, const uint8_t *head, size_t t)
{
    const uint16_t *scale = (const uint16_t *)(head + s->v_scale);
    return (struct row){head + s->v, scale, t * (size_t)s->ld_v, 1, t * (size_t)s->n_vg, 1};
}

/* Scratch of one query row. */
struct work {
    float *score;     /* of a span */
    float *q, *x;     /* the query times the scale; a key or value */
    float *all, *one; /* weighted values of all parts so far, of the present one */
};

/* One span of the running softmax for one query row: tokens [t0, t1). */
static void span(const struct ft_attn *a, const struct ft_attn_tile *t, const struct work *w,
                 int t0, int t1, float *m, float *l, float *o)
{
    const struct ft_kv_slice *s = a->s;
    const int32_t *block = a->seg[t->seg].block;
    float most = *m;
    for (int j = t0; j < t1; j++) {
        const uint8_t *head = ft_kv_head(a->kv, s, block[j / FT_KV_BLOCK], t->head);
        widen(a->kv->type, key_at(s, head, (size_t)j % FT_KV_BLOCK), s->d_k, w->x);
        float sum = 0;
        for (int i = 0; i < s->d_k; i++)
            sum += w->q[i] * w->x[i];
        w->score[j - t0] = sum;
        most = fmaxf(most, sum);
    }
    float shrink = exp2f(*m - most), sum = 0;
    for (int i = 0; i < s->d_v; i++)
        o[i] *= shrink;
    for (int j = t0; j < t1; j++) {
        const uint8_t *head = ft_kv_head(a->kv, s, block[j / FT_KV_BLOCK], t->head);
        widen(a->kv->type, value_at(s, head, (size_t)j % FT_KV_BLOCK), s->d_v, w->x);
        float p = exp2f(w->score[j - t0] - most);
        sum += p;
        for (int i = 0; i < s->d_v; i++)
            o[i] += p * w->x[i];
    }
    *l = *l * shrink + sum;
    *m = most;
}

/* (m, l, o) becomes what both states hold together. */
static void fold(int d_v, float *m, float *l, float *o, float m2, float l2, const float *o2)
{
    float most = fmaxf(*m, m2), a = exp2f(*m - most), b = exp2f(m2 - most);
    *l = *l * a + l2 * b;
    for (int i = 0; i < d_v; i++)
        o[i] = o[i] * a + o2[i] * b;
    *m = most;
}

static float *row_y(const struct ft_attn *a, const struct ft_attn_tile *t, int qi)
{
    const struct ft_seg *g = &a->seg[t->seg];
    return a->y.p + (int64_t)(g->row + qi / a->group) * a->y.ld +
           (int64_t)(t->head * a->group + qi % a->group) * a->s->d_v;
}

static void finish(const struct ft_attn *a, const struct ft_attn_tile *t, int qi, float l,
                   const float *o)
{
    float *y = row_y(a, t, qi);
    for (int i = 0; i < a->s->d_v; i++)
        y[i] = o[i] / l;
}

size_t ft_attend_scratch_plain(const struct ft_kv_slice *s)
{
    return FT_ATTN_SPAN + 2 * (size_t)s->d_k + 3 * (size_t)ft_attn_state_ld(s);
}

void ft_attend_tile_plain(const struct ft_attn *a, const struct ft_attn_tile *t, float *scratch)
{
    const struct ft_kv_slice *s = a->s;
    const struct ft_seg *g = &a->seg[t->seg];
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(s);
    struct work w = {.score = scratch, .all = scratch + FT_ATTN_SPAN};
    w.one = w.all + ld;
    w.q = w.one + ld;
    w.x = w.q + s->d_k; /* d_k or d_v, whichever is longer */
    float *all = w.all;
    for (int r = 0; r < n; r++) {
        int qi = t->q0 + r, limit = g->pos + qi / a->group + 1;
        const float *q = a->q.p + (int64_t)(g->row + qi / a->group) * a->q.ld +
                         (int64_t)(t->head * a->group + qi % a->group) * s->d_k;
        for (int i = 0; i < s->d_k; i++)
            w.q[i] = q[i] * a->scale;
        float m = FT_ATTN_LOW, l = 0;
        for (int part = t->part0; part < t->part1; part++) {
            float pm = FT_ATTN_LOW, pl = 0, *po = part == t->part0 ? all : w.one;
            memset(po, 0, (size_t)ld * sizeof *po);
            int end = FT_MIN((part + 1) * FT_ATTN_PART, limit);
            for (int t0 = part * FT_ATTN_PART; t0 < end; t0 += FT_ATTN_SPAN)
                span(a, t, &w, t0, FT_MIN(t0 + FT_ATTN_SPAN, end), &pm, &pl, po);
            if (part == t->part0) {
                m = pm;
                l = pl;
            } else {
                fold(s->d_v, &m, &l, all, pm, pl, po);
            }
        }
        if (t->state == NULL) {
            finish(a, t, qi, l, all);
        } else {
            t->state[r] = m;
            t->state[n + r] = l;
            memcpy(t->state + 2 * n + (int64_t)r * ld, all, (size_t)ld * sizeof *all);
        }
    }
}

void ft_attend_fold_plain(const struct ft_attn *a, const struct ft_attn_tile *t, int n_part,
                          const float *state, float *scratch)
{
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(a->s);
    size_t step = ft_attn_state_floats(a->s, n);
    for (int r = 0; r < n; r++) {
        float m = state[r], l = state[n + r], *o = scratch;
        memcpy(o, state + 2 * n + (int64_t)r * ld, (size_t)ld * sizeof *o);
        for (int p = 1; p < n_part; p++) {
            const float *s = state + (size_t)p * step;
            fold(a->s->d_v, &m, &l, o, s[r], s[n + r], s + 2 * n + (int64_t)r * ld);
        }
        finish(a, t, t->q0 + r, l, o);
    }
}

/* Writes x[0 .. d) as elements at, at + step, ... of p, with their scales at sc[0], sc[sc_step],
 * ... */
static void put(enum ft_kv_type type, const float *x, int d, uint8_t *p, size_t at, size_t step,
                uint16_t *sc, size_t sc_step)
{
    for (int i0 = 0; i0 < d; i0 += FT_KV_GROUP) {
        int n = FT_MIN(FT_KV_GROUP, d - i0);
        float inverse = 0;
        if (type == FT_KV_Q8) {
            float most = 0;
            for (int i = 0; i < n; i++)
                most = fmaxf(most, fabsf(x[i0 + i]));
            uint16_t scale = ft_f32_to_bf16(most / 127);
            *sc = scale;
            sc += sc_step;
            inverse = ft_bf16_to_f32(scale) > 0 ? 1 / ft_bf16_to_f32(scale) : 0;
        }
        for (int i = i0; i < i0 + n; i++) {
            size_t j = at + (size_t)i * step;
            if (type == FT_KV_F32)
                ((float *)p)[j] = x[i];
            else if (type == FT_KV_F16)
                ((uint16_t *)p)[j] = ft_f32_to_f16(x[i]);
            else
                ((int8_t *)p)[j] = (int8_t)rintf(fminf(fmaxf(x[i] * inverse, -127), 127));
        }
    }
}

void ft_kv_store_plain(enum ft_kv_type type, const struct ft_kv_slice *s, uint8_t *head, int t,
                       int n, struct ft_mat k, struct ft_mat v)
{
    uint16_t *ks = (uint16_t *)(head + s->k_scale), *vs = (uint16_t *)(head + s->v_scale);
    for (int r = 0; r < n; r++) {
        const float *kr = k.p + (int64_t)r * k.ld;
        size_t tok = (size_t)(t + r), row = tok * (size_t)s->ld_v;
        if (s->v_in_k) {
            put(type, kr, s->d_k, head, row, 1, ks + tok * (size_t)s->n_kg, 1);
            continue;
        }
        put(type, kr, s->d_k, head, tok, FT_KV_BLOCK, ks + tok, FT_KV_BLOCK);
        put(type, v.p + (int64_t)r * v.ld, s->d_v, head + s->v, row, 1, vs + tok * (size_t)s->n_vg,
            1);
    }
}
