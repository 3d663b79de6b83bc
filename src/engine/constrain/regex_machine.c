/* The machine of a plain regular expression: the whole text, raw UTF-8. See machine.h. */
#include "engine/constrain/jchar.h"
#include "engine/constrain/machine.h"
#include "engine/constrain/regex.h"

const struct ft_dfa *ft_regex_compile(struct ft_cx *cx, const char *re, size_t n)
{
    cx->what = "regular expression";
    struct ft_dfa *d = ft_regex_dfa(cx, re, n, false);
    if (ft_dfa_empty(d))
        ft_cx_fail(cx, FT_EUNSUPPORTED, "regular expression: no text matches it");
    return ft_dfa_finish(cx, d, 0);
}

struct state {
    uint32_t q;
    struct ft_jchar chr;
};

static const struct state *make(struct ft_scratch *s, uint32_t q, struct ft_jchar c)
{
    struct state *r = ft_scratch_alloc(s, sizeof *r);
    if (r != NULL)
        *r = (struct state){q, c};
    return r;
}

static const void *start(struct ft_scratch *s, const void *g)
{
    return make(s, ((const struct ft_dfa *)g)->start, (struct ft_jchar){0, FT_S_PLAIN, 0});
}

static const void *step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    const struct ft_dfa *d = g;
    const struct state *x = state;
    struct ft_jchar c = x->chr;
    uint32_t range[4], q;
    switch (ft_jchar_step_raw(&c, b, range)) {
    case FT_JCHAR_PART:
        return ft_dfa_range_live(d, x->q, range[0], range[1]) ? make(s, x->q, c) : NULL;
    case FT_JCHAR_WHOLE:
        q = ft_dfa_step(d, x->q, c.cp);
        c.cp = 0;
        return q != 0 ? make(s, q, c) : NULL;
    default:
        return NULL;
    }
}

static bool may_end(const void *g, const void *state)
{
    const struct ft_dfa *d = g;
    const struct state *x = state;
    return x->chr.kind == FT_S_PLAIN && d->label[x->q] != 0;
}

static const void *copy(struct ft_scratch *to, const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    return make(to, x->q, x->chr);
}

static uint64_t hash(const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    return ((uint64_t)x->q << 32 | x->chr.cp) * 0x9e3779b97f4a7c15u + x->chr.kind * 256u +
           x->chr.left + 1;
}

static bool same(const void *g, const void *a, const void *b)
{
    (void)g;
    const struct state *x = a, *y = b;
    return x->q == y->q && x->chr.cp == y->chr.cp && x->chr.kind == y->chr.kind &&
           x->chr.left == y->chr.left;
}

const struct ft_machine_ops ft_machine_regex = {
    .start = start, .step = step, .may_end = may_end, .copy = copy, .hash = hash, .same = same};
