/* Keys of objects: which may come, which may still be completed, when the object may end.
 * See machine.h and tables.h. */
#include <string.h>

#include "engine/constrain/machine.h"

#define SEARCH_STATES_MAX 60064

static uint32_t missing(const struct ft_jobj *o, const uint64_t *names)
{
    uint32_t n = 0;
    for (uint32_t i = 0; i < o->n_words; i++)
        n += (uint32_t)__builtin_popcountll(o->required[i] & ~names[i]);
    return n;
}

/* Every property still to come is spoken for: by required names and by facts owed. */
bool ft_json_key_tight(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a)
{
    const struct ft_jobj *o = &t->objs[a->id];
    return (int64_t)obj->count + missing(o, a->names) + o->need[a->q] >= o->max;
}

static bool val_fits(const struct ft_jtables *t, const struct ft_jframe *obj, uint32_t val)
{
    return val != 0 && obj->depth + t->vals[val].height <= FT_JSON_DEPTH_MAX;
}

bool ft_json_label_welcome(const struct ft_jtables *t, const struct ft_jframe *obj,
                           const struct ft_jalt *a, const struct ft_jlabel *l)
{
    const struct ft_jobj *o = &t->objs[a->id];
    uint32_t left = missing(o, a->names);
    if (l->name != UINT32_MAX) {
        uint64_t bit = 1ull << l->name % 64;
        uint32_t w = l->name / 64;
        if ((a->names[w] & bit) != 0)
            return false;
        left -= (o->required[w] & bit) != 0;
    }
    for (uint32_t g = 0; g < 1u << o->n_exists; g++)
        if ((g & ~(l->exists & a->q)) == 0 && val_fits(t, obj, l->val[g]) &&
            (int64_t)obj->count + 1 + left + o->need[a->q & ~g] <= o->max)
            return true;
    return false;
}

/* The slow way, for the tight and the deep: does any state that can still be reached end a welcome
 * key? */
static bool search(const struct ft_jtables *t, const struct ft_jframe *obj, const struct ft_jalt *a,
                   uint32_t q)
{
    const struct ft_jobj *o = &t->objs[a->id];
    const struct ft_dfa *d = o->keys;
    static _Thread_local uint8_t welcome[1 << 16]; /* per label: 0 unknown, 1 no, 2 yes */
    static _Thread_local uint32_t stack[SEARCH_STATES_MAX];
    static _Thread_local uint8_t seen[SEARCH_STATES_MAX];
    if (d->n_states > SEARCH_STATES_MAX)
        return false;
    memset(seen, 0, d->n_states);
    memset(welcome, 0, o->n_labels + 1);
    uint32_t top = 0;
    stack[top++] = q;
    seen[q] = 1;
    while (top > 0) {
        q = stack[--top];
        uint16_t l = d->label[q];
        if (l != 0 && welcome[l] == 0)
            welcome[l] = ft_json_label_welcome(t, obj, a, &o->labels[l - 1]) ? 2 : 1;
        if (l != 0 && welcome[l] == 2)
            return true;
        for (uint32_t c = 0; c < d->n_cls; c++) {
            uint32_t to = d->next[(size_t)q * d->n_cls + c];
            if (to != 0 && !seen[to]) {
                seen[to] = 1;
                stack[top++] = to;
            }
        }
    }
    return false;
}

static bool unseen_name(const uint64_t *allowed, const uint64_t *names, uint32_t lo, uint32_t hi)
{
    for (uint32_t i = lo; i < hi;) {
        uint64_t w = allowed[i / 64] & ~names[i / 64];
        w >>= i % 64;
        uint32_t n = FT_MIN(64 - i % 64, hi - i);
        if (n < 64)
            w &= (1ull << n) - 1;
        if (w != 0)
            return true;
        i += n;
    }
    return false;
}

bool ft_json_key_live(const struct ft_jtables *t, const struct ft_jframe *obj,
                      const struct ft_jalt *a, uint32_t q, const struct ft_jrope *rope)
{
    const struct ft_jobj *o = &t->objs[a->id];
    bool tight = ft_json_key_tight(t, obj, a);
    if (ft_json_deep(t, obj) || (tight && o->n_exists != 0))
        return search(t, obj, a, q);
    if (unseen_name(tight ? o->required : o->allowed, a->names, o->name_lo[q], o->name_hi[q]))
        return true;
    uint32_t words = tight ? 0 : o->keys->count[q];
    if (words == 0 || words == FT_DFA_COUNT_MAX)
        return words != 0;
    /* Finitely many other keys start like this: some must be left. */
    uint32_t taken = 0;
    for (const struct ft_jseen *k = obj->seen; k != NULL && taken < words; k = k->prev)
        taken += ft_jrope_is_prefix(rope, k->text);
    return words > taken;
}

bool ft_json_more_keys(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a)
{
    const struct ft_jobj *o = &t->objs[a->id];
    return (int64_t)obj->count < o->max && o->keys->start != 0 &&
           ft_json_key_live(t, obj, a, o->keys->start, NULL);
}

bool ft_json_may_close(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a)
{
    const struct ft_jobj *o = &t->objs[a->id];
    return a->q == 0 && (int64_t)obj->count >= o->min && missing(o, a->names) == 0;
}

bool ft_json_key_dup(const struct ft_jframe *obj, uint64_t hash, uint32_t n)
{
    for (const struct ft_jseen *k = obj->seen; k != NULL; k = k->prev)
        if (k->hash == hash && k->n == n)
            return true;
    return false;
}

const struct ft_jframe *ft_json_key_begin(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f)
{
    struct ft_jframe *obj = ft_jframe_new(s, f, f->up, FT_J_OBJ, f->n_alts);
    struct ft_jframe *key = ft_jframe_new(s, NULL, obj, FT_J_KEY, f->n_alts);
    if (obj == NULL || key == NULL)
        return NULL;
    obj->phase = FT_P_IN;
    obj->ws = FT_WS_NONE;
    key->depth = f->depth;
    for (uint32_t i = 0; i < f->n_alts; i++) {
        if (!ft_json_more_keys(t, f, &f->alt[i]))
            continue;
        struct ft_jalt *k = &key->alt[key->n_alts++];
        memset(k, 0, sizeof *k);
        k->id = obj->n_alts;
        k->q = t->objs[f->alt[i].id].keys->start;
        obj->alt[obj->n_alts++] = f->alt[i];
    }
    return key->n_alts != 0 ? key : NULL;
}

/* What the alternative `a` can be after a key of class l: one per set of facts that it may
 * establish. */
static bool add_after_key(struct ft_scratch *s, const struct ft_jtables *t,
                          const struct ft_jframe *obj, const struct ft_jalt *a,
                          const struct ft_jlabel *l, struct ft_jframe *r)
{
    const struct ft_jobj *o = &t->objs[a->id];
    struct ft_jalt n = *a;
    if (l->name != UINT32_MAX) {
        if (a->names[l->name / 64] >> l->name % 64 & 1)
            return true;
        uint64_t *names = ft_scratch_alloc(s, o->n_words * sizeof *names);
        if (names == NULL)
            return false;
        memcpy(names, a->names, o->n_words * sizeof *names);
        names[l->name / 64] |= 1ull << l->name % 64;
        n.names = names;
    }
    uint32_t left = missing(o, n.names);
    for (uint32_t g = 0; g < 1u << o->n_exists; g++) {
        if ((g & ~(l->exists & a->q)) != 0 || !val_fits(t, obj, l->val[g]) ||
            (int64_t)obj->count + 1 + left + o->need[a->q & ~g] > o->max)
            continue;
        n.q = a->q & ~g;
        n.val = l->val[g];
        ft_jframe_add(r, &n);
    }
    return true;
}

const struct ft_jframe *ft_json_key_end(struct ft_scratch *s, const struct ft_jtables *t,
                                        const struct ft_jframe *f)
{
    const struct ft_jframe *obj = f->up;
    if (ft_json_key_dup(obj, f->hash, f->count))
        return NULL;
    uint32_t n = 0;
    for (uint32_t i = 0; i < f->n_alts; i++)
        n += 1u << t->objs[obj->alt[f->alt[i].id].id].n_exists;
    struct ft_jframe *r =
        ft_jframe_new(s, obj, obj->up, FT_J_OBJ, FT_MIN(n, (uint32_t)FT_JALTS_MAX));
    struct ft_jseen *seen = ft_scratch_alloc(s, sizeof *seen);
    if (r == NULL || seen == NULL)
        return NULL;
    for (uint32_t i = 0; i < f->n_alts; i++) {
        const struct ft_jalt *a = &obj->alt[f->alt[i].id];
        const struct ft_jobj *o = &t->objs[a->id];
        uint16_t l = o->keys->label[f->alt[i].q];
        if (l != 0 && !add_after_key(s, t, obj, a, &o->labels[l - 1], r))
            return NULL;
    }
    if (r->n_alts == 0)
        return NULL;
    *seen = (struct ft_jseen){obj->seen, f->rope, f->hash, f->count, FT_J_KEY};
    r->seen = seen;
    r->count = obj->count + 1;
    r->phase = FT_P_COLON;
    r->ws = FT_WS_NONE;
    return r;
}
