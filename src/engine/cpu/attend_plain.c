/* Attention and the storing of keys and values in plain C: the definition that the vector kernels
 * (attend_vec.inc) are compared with, and what machines without them run.
 *
 * Reads as steps.h describes: parts, spans, tokens in order. Scratch: one row's scores of a span.
 */
#include <math.h>
#include <string.h>

#include "base/half.h"
#include "engine/cpu/steps.h"

static float elem(enum ft_kv_type type, const uint8_t *p, size_t i, const uint8_t *scale, size_t j)
{
    if (type == FT_KV_F32)
        return ((const float *)p)[i];
    if (type == FT_KV_F16)
        return ft_f16_to_f32(((const uint16_t *)p)[i]);
    return (float)((const int8_t *)p)[i] * ft_bf16_to_f32(((const uint16_t *)scale)[j]);
}

static float key(enum ft_kv_type type, const struct ft_kv_slice *s, const uint8_t *head, int t,
                 int i)
{
    size_t g = (size_t)(i / FT_KV_GROUP);
    if (s->v_in_k)
        return elem(type, head, (size_t)t * (size_t)s->ld_v + (size_t)i, head + s->k_scale,
                    (size_t)t * (size_t)s->n_kg + g);
    return elem(type, head, (size_t)i * FT_KV_BLOCK + (size_t)t, head + s->k_scale,
                g * FT_KV_BLOCK + (size_t)t);
}

static float value(enum ft_kv_type type, const struct ft_kv_slice *s, const uint8_t *head, int t,
                   int i)
{
    return elem(type, head + s->v, (size_t)t * (size_t)s->ld_v + (size_t)i, head + s->v_scale,
                (size_t)t * (size_t)s->n_vg + (size_t)(i / FT_KV_GROUP));
}

/* One span of the running softmax for one query row: tokens [t0, t1). */
static void span(const struct ft_attn *a, const struct ft_attn_tile *t, const float *q, int t0,
                 int t1, float *m, float *l, float *o, float *score)
{
    const struct ft_kv_slice *s = a->s;
    const int32_t *block = a->seg[t->seg].block;
    float most = *m;
    for (int j = t0; j < t1; j++) {
        const uint8_t *head = ft_kv_head(a->kv, s, block[j / FT_KV_BLOCK], t->head);
        float sum = 0;
        for (int i = 0; i < s->d_k; i++)
            sum += q[i] * a->scale * key(a->kv->type, s, head, j % FT_KV_BLOCK, i);
        score[j - t0] = sum;
        most = fmaxf(most, sum);
    }
    float shrink = exp2f(*m - most), sum = 0;
    for (int i = 0; i < s->d_v; i++)
        o[i] *= shrink;
    for (int j = t0; j < t1; j++) {
        const uint8_t *head = ft_kv_head(a->kv, s, block[j / FT_KV_BLOCK], t->head);
        float p = exp2f(score[j - t0] - most);
        sum += p;
        for (int i = 0; i < s->d_v; i++)
            o[i] += p * value(a->kv->type, s, head, j % FT_KV_BLOCK, i);
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
    return FT_ATTN_SPAN + 2 * (size_t)ft_attn_state_ld(s);
}

void ft_attend_tile_plain(const struct ft_attn *a, const struct ft_attn_tile *t, float *scratch)
{
    const struct ft_kv_slice *s = a->s;
    const struct ft_seg *g = &a->seg[t->seg];
    int n = t->q1 - t->q0, ld = ft_attn_state_ld(s);
    float *score = scratch, *all = score + FT_ATTN_SPAN, *one = all + ld;
    for (int r = 0; r < n; r++) {
        int qi = t->q0 + r, limit = g->pos + qi / a->group + 1;
        const float *q = a->q.p + (int64_t)(g->row + qi / a->group) * a->q.ld +
                         (int64_t)(t->head * a->group + qi % a->group) * s->d_k;
        float m = FT_ATTN_LOW, l = 0;
        memset(all, 0, (size_t)ld * sizeof *all);
        for (int part = t->part0; part < t->part1; part++) {
            float pm = FT_ATTN_LOW, pl = 0, *po = part == t->part0 ? all : one;
            memset(po, 0, (size_t)ld * sizeof *po);
            int end = FT_MIN((part + 1) * FT_ATTN_PART, limit);
            for (int t0 = part * FT_ATTN_PART; t0 < end; t0 += FT_ATTN_SPAN)
                span(a, t, q, t0, FT_MIN(t0 + FT_ATTN_SPAN, end), &pm, &pl, po, score);
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
