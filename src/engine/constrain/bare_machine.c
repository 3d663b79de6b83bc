/* The machine of a string that stands bare: the strings that a schema allows, as raw UTF-8 without
 * quotes. Beside the JSON machine, which would do: its states are small and can be told equal, so
 * masks are kept. See machine.h and layout.h. */
#include <string.h>

#include "engine/constrain/machine.h"

#define UNCOUNTED UINT32_MAX

struct alt {
    uint32_t id, q; /* of strs; state of its automaton */
};

struct state {
    uint32_t count; /* characters, as far as they matter; UNCOUNTED: no bound can be met */
    struct ft_jchar chr;
    uint32_t n;
    struct alt alt[];
};

static struct state *make(struct ft_scratch *s, uint32_t n, uint32_t count, struct ft_jchar chr)
{
    struct state *r = ft_scratch_alloc(s, sizeof *r + n * sizeof r->alt[0]);
    if (r != NULL)
        *r = (struct state){.count = count, .chr = chr};
    return r;
}

static const struct ft_jval *root(const struct ft_jtables *t)
{
    return &t->vals[t->root];
}

static bool fits(const struct ft_jstr *k, uint32_t q, uint32_t count)
{
    return count == UNCOUNTED || ft_jstr_fits(k, q, count);
}

static const void *start(struct ft_scratch *s, const void *g)
{
    const struct ft_jtables *t = g;
    const struct ft_jval *v = root(t);
    uint32_t n = FT_MIN(v->n_strs, FT_JALTS_MAX);
    struct state *r = make(s, n, 0, (struct ft_jchar){0, FT_S_PLAIN, 0});
    for (uint32_t i = 0; r != NULL && i < n; i++) {
        const struct ft_jstr *k = &t->strs[v->strs[i]];
        if (ft_jstr_fits(k, k->d->start, 0))
            r->alt[r->n++] = (struct alt){v->strs[i], k->d->start};
    }
    return r != NULL && r->n > 0 ? r : NULL;
}

/* One more character: where nothing bounds the length, only as far as the shortest is long. */
static uint32_t counted(const struct ft_jtables *t, const struct state *x)
{
    uint32_t least = 0;
    if (x->count == UNCOUNTED)
        return UNCOUNTED;
    for (uint32_t i = 0; i < x->n; i++) {
        const struct ft_jstr *k = &t->strs[x->alt[i].id];
        if (k->max >= 0)
            return x->count + 1;
        if (k->min > least)
            least = (uint32_t)k->min;
    }
    return FT_MIN(x->count + 1, least);
}

static bool goes_on(const struct ft_jtables *t, const struct state *x, const struct alt *a,
                    uint32_t count, const uint32_t range[4])
{
    const struct ft_jstr *k = &t->strs[a->id];
    if (count != UNCOUNTED && k->max >= 0) { /* some character must lead to a state that fits */
        for (int part = 0; part < 4; part += 2)
            for (uint32_t i = ft_dfa_interval(k->d, range[part]);
                 range[part] <= range[part + 1] && i < k->d->n_bounds &&
                 k->d->bound[i] <= range[part + 1];
                 i++) {
                uint32_t q = k->d->next[(size_t)a->q * k->d->n_cls + k->d->bound_cls[i]];
                if (q != 0 && ft_jstr_fits(k, q, x->count + 1))
                    return true;
            }
        return false;
    }
    return ft_dfa_range_live(k->d, a->q, range[0], range[1]) ||
           ft_dfa_range_live(k->d, a->q, range[2], range[3]);
}

static const void *step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    const struct ft_jtables *t = g;
    const struct state *x = state;
    struct ft_jchar c = x->chr;
    uint32_t range[4] = {1, 0, 1, 0};
    enum ft_jchar_result got = ft_jchar_step_raw(&c, b, range);
    if (got == FT_JCHAR_BAD)
        return NULL;
    bool whole = got == FT_JCHAR_WHOLE;
    uint32_t count = counted(t, x), cp = c.cp;
    if (whole)
        c.cp = 0;
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    struct state *r = make(s, x->n, whole ? count : x->count, c);
    for (uint32_t i = 0; r != NULL && i < x->n; i++) {
        const struct ft_jstr *k = &t->strs[x->alt[i].id];
        uint32_t q = whole ? ft_dfa_step(k->d, x->alt[i].q, cp) : x->alt[i].q;
        if (whole ? q != 0 && fits(k, q, count) : goes_on(t, x, &x->alt[i], count, range))
            r->alt[r->n++] = (struct alt){x->alt[i].id, q};
    }
    if (r != NULL && r->n == 0) {
        ft_scratch_reset(s, mark);
        r = NULL;
    }
    return r;
}

static bool may_end(const void *g, const void *state)
{
    const struct ft_jtables *t = g;
    const struct state *x = state;
    for (uint32_t i = 0; i < x->n && x->chr.kind == FT_S_PLAIN; i++) {
        const struct ft_jstr *k = &t->strs[x->alt[i].id];
        if (k->d->label[x->alt[i].q] != 0 && (int64_t)x->count >= k->min)
            return true;
    }
    return false;
}

static const void *copy(struct ft_scratch *to, const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    struct state *r = make(to, x->n, x->count, x->chr);
    if (r == NULL)
        return NULL;
    r->n = x->n;
    memcpy(r->alt, x->alt, x->n * sizeof x->alt[0]);
    return r;
}

static uint64_t hash(const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    uint64_t h = ((uint64_t)x->count << 32 | x->chr.cp) * 31 + x->chr.kind * 256u + x->chr.left;
    for (uint32_t i = 0; i < x->n; i++) {
        h = (h ^ ((uint64_t)x->alt[i].id << 32 | x->alt[i].q)) * 0xff51afd7ed558ccdu + 1;
        h ^= h >> 32;
    }
    return h;
}

static bool same(const void *g, const void *a, const void *b)
{
    (void)g;
    const struct state *x = a, *y = b;
    return x->count == y->count && x->chr.cp == y->chr.cp && x->chr.kind == y->chr.kind &&
           x->chr.left == y->chr.left && x->n == y->n &&
           memcmp(x->alt, y->alt, x->n * sizeof x->alt[0]) == 0;
}

static const void *relax(struct ft_scratch *s, const void *g, const void *state, uint32_t *left)
{
    const struct ft_jtables *t = g;
    const struct state *x = state;
    for (uint32_t i = 0; i < x->n; i++) {
        const struct ft_jstr *k = &t->strs[x->alt[i].id];
        int64_t room = k->max - (int64_t)x->count - k->longest;
        if ((int64_t)x->count < k->min || (k->max >= 0 && room < FT_RELAX_BYTES))
            return NULL;
        if (k->max >= 0 && room < *left)
            *left = (uint32_t)room;
    }
    struct state *r = (struct state *)copy(s, g, x);
    if (r != NULL)
        r->count = UNCOUNTED;
    return r;
}

const struct ft_machine_ops ft_machine_bare = {.start = start,
                                               .step = step,
                                               .may_end = may_end,
                                               .copy = copy,
                                               .hash = hash,
                                               .same = same,
                                               .relax = relax};
