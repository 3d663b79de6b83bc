/* Characters inside strings and keys. See machine.h and jchar.h.
 *
 * A character may be written raw or escaped; what counts is the character. After every byte, also
 * within a character, some continuation must be left: the bytes read so far stand for a range of
 * characters, and the automaton must have a live step for one of them. */
#include "engine/constrain/machine.h"

/* Alternative a of f can go on with some character in [lo, hi]. */
static bool alt_range(const struct ft_jtables *t, const struct ft_jframe *f,
                      const struct ft_jalt *a, uint32_t lo, uint32_t hi)
{
    if (lo > hi)
        return false;
    const struct ft_dfa *d;
    const struct ft_jalt *o = NULL;
    if (f->kind == FT_J_STR) {
        const struct ft_jstr *s = &t->strs[a->id];
        if (s->any)
            return s->max < 0 || f->count < s->max;
        d = s->d;
        if (s->max < 0)
            return ft_dfa_range_live(d, a->q, lo, hi);
    } else {
        o = &f->up->alt[a->id];
        d = t->objs[o->id].keys;
    }
    uint32_t i = ft_dfa_interval(d, lo);
    for (; i < d->n_bounds && d->bound[i] <= hi; i++) {
        uint32_t q = d->next[(size_t)a->q * d->n_cls + d->bound_cls[i]];
        if (q == 0)
            continue;
        if (o == NULL ? ft_jstr_fits(&t->strs[a->id], q, f->count + 1)
                      : ft_json_key_live(t, f->up, o, q, f->rope))
            return true;
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
        uint32_t q = a->q;
        bool live;
        if (f->kind == FT_J_STR) {
            const struct ft_jstr *k = &t->strs[a->id];
            q = k->any ? q : ft_dfa_step(k->d, q, cp);
            live = q != 0 && ft_jstr_fits(k, q, r->count) &&
                   (!f->roped || ft_json_unique_live(r, k->d->count[q], r->rope,
                                                     k->max >= 0 && r->count >= k->max));
        } else {
            const struct ft_jalt *o = &f->up->alt[a->id];
            q = ft_dfa_step(t->objs[o->id].keys, q, cp);
            live = q != 0 && ft_json_key_live(t, f->up, o, q, r->rope);
        }
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
