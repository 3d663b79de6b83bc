/* Characters inside strings and keys. See machine.h and jchar.h.
 *
 * A character may be written raw or escaped; what counts is the character. After every byte, also
 * within a character, some continuation must be left: the bytes read so far stand for a range of
 * characters, and the automaton must have a live step for one of them. */
#include "engine/constrain/machine.h"

/* Alternative a of f can be completed after one more character cp that leads to state q. */
static bool fits(const struct ft_jtables *t, const struct ft_jframe *f, const struct ft_jalt *a,
                 uint32_t q, const struct ft_jrope *rope)
{
    if (f->kind == FT_J_KEY)
        return ft_json_key_live(t, f->up, &f->up->alt[a->id], q, rope);
    const struct ft_jstr *k = &t->strs[a->id];
    return ft_jstr_fits(k, q, rope->n) &&
           (!f->roped || ft_json_unique_live(f, k->d->count[q], rope, k->any && rope->n == k->max));
}

static const struct ft_dfa *automaton(const struct ft_jtables *t, const struct ft_jframe *f,
                                      const struct ft_jalt *a)
{
    return f->kind == FT_J_KEY ? t->objs[f->up->alt[a->id].id].keys : t->strs[a->id].d;
}

static uint32_t taken(const struct ft_jseen *k)
{
    uint32_t n = 0;
    for (; k != NULL; k = k->prev)
        n++;
    return n;
}

/* Alternative a of f can go on with some character in [lo, hi]. Characters of one interval lead to
 * the same state; they differ only in which texts are taken already, so of n + 1 of them, where n
 * are taken, one decides for all. */
static bool alt_range(const struct ft_jtables *t, const struct ft_jframe *f,
                      const struct ft_jalt *a, uint32_t lo, uint32_t hi)
{
    if (lo > hi)
        return false;
    const struct ft_dfa *d = automaton(t, f, a);
    uint32_t tries = taken(f->up->seen) + 1;
    for (uint32_t i = ft_dfa_interval(d, lo); i < d->n_bounds && d->bound[i] <= hi; i++) {
        uint32_t q = d->next[(size_t)a->q * d->n_cls + d->bound_cls[i]];
        uint32_t first = FT_MAX(lo, d->bound[i]);
        uint32_t last = i + 1 < d->n_bounds ? FT_MIN(hi, d->bound[i + 1] - 1) : hi;
        for (uint32_t k = 0; q != 0 && k < tries && first + k <= last; k++) {
            struct ft_jrope rope = {f->rope, first + k, f->count + 1};
            if (fits(t, f, a, q, &rope))
                return true;
        }
    }
    return false;
}

static const struct ft_jframe *part(struct ft_scratch *s, const struct ft_jtables *t,
                                    const struct ft_jframe *f, const struct ft_jchar *c,
                                    const uint32_t range[4])
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    for (uint32_t i = 0; i < f->n_alts; i++)
        if (alt_range(t, f, &f->alt[i], range[0], range[1]) ||
            alt_range(t, f, &f->alt[i], range[2], range[3]))
            r->alt[r->n_alts++] = f->alt[i];
    r->chr = *c;
    return r->n_alts != 0 ? r : NULL;
}

static const struct ft_jframe *whole(struct ft_scratch *s, const struct ft_jtables *t,
                                     const struct ft_jframe *f, uint32_t cp)
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    r->chr = (struct ft_jchar){0, FT_S_PLAIN, 0};
    r->count = f->count + 1;
    r->hash = ft_jhash(f->hash, cp);
    if (f->kind == FT_J_KEY || f->roped) {
        struct ft_jrope *rope = ft_scratch_alloc(s, sizeof *rope);
        if (rope == NULL)
            return NULL;
        *rope = (struct ft_jrope){f->rope, cp, r->count};
        r->rope = rope;
    }
    for (uint32_t i = 0; i < f->n_alts; i++) {
        const struct ft_jalt *a = &f->alt[i];
        uint32_t q = ft_dfa_step(automaton(t, f, a), a->q, cp);
        struct ft_jrope rope = {f->rope, cp, r->count};
        bool live = q != 0 && fits(t, f, a, q, r->rope != f->rope ? r->rope : &rope);
        if (live) {
            r->alt[r->n_alts] = *a;
            r->alt[r->n_alts++].q = q;
        }
    }
    return r->n_alts != 0 ? r : NULL;
}

const struct ft_jframe *ft_json_char_byte(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b)
{
    struct ft_jchar c = f->chr;
    uint32_t range[4];
    switch (ft_jchar_step(&c, b, range)) {
    case FT_JCHAR_PART:
        return part(s, t, f, &c, range);
    case FT_JCHAR_WHOLE:
        return whole(s, t, f, c.cp);
    default:
        return NULL;
    }
}
