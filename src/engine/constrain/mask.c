/* Masks: walking the vocabulary's trie with the machine, with kept walks where they apply. See
 * matcher.h and cache.h. */
#include <string.h>

#include "engine/constrain/matcher.h"

#define LABELS_MAX 4096 /* classes of keys remembered within one mask */

/* What a byte does from the state that a walk started in; most walks that are long stay there. */
enum { UNKNOWN, DEAD, STAYS };

void ft_mask_walk(struct ft_matcher *m, uint32_t node, const void *state, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    const struct ft_machine_ops *ops = m->g->ops;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark outer = ft_scratch_mark(s);
    struct ft_level *l = m->level;
    uint32_t i = node + 1, end = v->skip[node];
    uint8_t memo[256] = {UNKNOWN};
    const void *hub = NULL; /* the state that memo is about, on the current path */
    struct ft_level *hub_level = NULL;
    l->state = state;
    l->mark = outer;
    l->end = end;
    while (i < end && s->work <= FT_MASK_WORK_MAX) {
        while (i >= l->end)
            l--;
        if (hub != NULL && l < hub_level)
            hub = NULL;
        uint8_t b = v->byte[i], known = l->state == hub ? memo[b] : UNKNOWN;
        const void *next = NULL;
        if (known == STAYS) {
            next = hub;
        } else if (known == UNKNOWN) {
            ft_scratch_reset(s, l->mark);
            next = ops->step(s, m->g->g, l->state, b);
            s->work++;
            if (next != NULL && ops->same != NULL && ops->same(m->g->g, next, l->state)) {
                next = l->state;
                if (hub != next) {
                    hub = next;
                    hub_level = l;
                    memset(memo, UNKNOWN, sizeof memo);
                }
                memo[b] = STAYS;
            } else if (next == NULL && l->state == hub) {
                memo[b] = DEAD;
            }
        }
        if (next == NULL) {
            i = v->skip[i];
            continue;
        }
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t id = (uint32_t)v->order[k];
            mask[id / 32] |= 1u << id % 32;
        }
        if (v->skip[i] > i + 1) {
            struct ft_scratch_mark mark = next == l->state ? l->mark : ft_scratch_mark(s);
            l++;
            l->state = next;
            l->mark = mark;
            l->end = v->skip[i];
        }
        i++;
    }
    ft_scratch_reset(s, outer);
}

/* ---- inside strings ---- */

static void or_words(uint32_t *mask, const uint32_t *from, size_t words)
{
    for (size_t i = 0; i < words; i++)
        mask[i] |= from[i];
}

/* Tokens that stay and have at most `left` characters. */
static void or_short(uint32_t *mask, const struct ft_string_walk *e, size_t words, uint32_t left)
{
    for (size_t i = 0; i < words; i++) {
        uint32_t w = 0;
        const uint8_t *len = e->len + i * 32;
        for (uint32_t k = 0; k < 32; k++)
            w |= (uint32_t)(len[k] <= left) << k;
        mask[i] |= w & e->stay[i];
    }
}

static void set_tokens(const struct ft_vocab *v, uint32_t node, uint32_t *mask)
{
    for (uint32_t k = v->first[node]; k < v->first[node + 1]; k++)
        mask[v->order[k] / 32] |= 1u << v->order[k] % 32;
}

/* A token that ends at `node` is in the mask already. */
static bool has_token(const struct ft_vocab *v, uint32_t node, const uint32_t *mask)
{
    uint32_t k = v->first[node];
    return k < v->first[node + 1] && (mask[v->order[k] / 32] >> v->order[k] % 32 & 1) != 0;
}

/* Goes on behind `node` from JSON state f: in whatever the JSON stands in. */
static void walk_json(struct ft_matcher *m, uint32_t node, const struct ft_jframe *f,
                      uint32_t *mask)
{
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    const void *state = m->g->ops->with_json(s, m->g->g, m->state, f);
    if (state != NULL)
        ft_mask_walk(m, node, state, mask);
    ft_scratch_reset(s, mark);
}

/* The bytes that lead to `node` and on are the first ones of any token below it. */
static void replay(struct ft_matcher *m, const struct ft_jtables *t, const struct ft_jframe *f,
                   uint32_t node, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    uint32_t id = (uint32_t)v->order[v->first[node]];
    const char *p = v->bytes + v->at[id];
    const struct ft_jframe *x = f;
    for (uint32_t i = 0; i < v->at[id + 1] - v->at[id] && x != NULL; i++) {
        bool quote =
            p[i] == '"' && x->kind == f->kind && x->up == f->up && x->chr.kind == FT_S_PLAIN;
        x = ft_json_step(s, t, x, (uint8_t)p[i]);
        if (quote)
            break;
    }
    if (x != NULL)
        walk_json(m, node, x, mask);
    ft_scratch_reset(s, mark);
}

/* The hash of a text under way with what an exit reads of it. Exits come in order of the trie, so
 * the power of the multiplier is rarely computed from the start. */
struct joined {
    const struct ft_jframe *f;
    uint64_t power; /* of FT_JHASH_MUL */
    uint32_t n;
};

static uint64_t join(struct joined *j, const struct ft_exit *x)
{
    if (x->n < j->n)
        *j = (struct joined){j->f, 1, 0};
    for (; j->n < x->n; j->n++)
        j->power *= FT_JHASH_MUL;
    return j->f->hash * j->power + x->hash;
}

/* d: NULL for any string. */
static const struct ft_string_walk *kept_string(struct ft_matcher *m, const struct ft_dfa *d,
                                                uint32_t q, struct ft_jchar chr)
{
    struct ft_cache *c = &m->g->cache;
    uint64_t work = c->work;
    const struct ft_string_walk *w = ft_cache_string(c, m->v, d, q, chr);
    ft_matcher_scratch(m)->work += (c->work - work) / 2;
    if (w != NULL)
        ft_matcher_scratch(m)->work += w->n_exits / 8;
    return w;
}

/* A string's alternative: false if a walk of the frame must do it. */
static bool mask_string(struct ft_matcher *m, const struct ft_jtables *t, const struct ft_jframe *f,
                        const struct ft_jalt *a, uint32_t *mask)
{
    const struct ft_jstr *k = &t->strs[a->id];
    const struct ft_vocab *v = m->v;
    size_t words = ((size_t)v->n_tokens + 31) / 32;
    const struct ft_string_walk *e = kept_string(m, k->any ? NULL : k->d, a->q, f->chr);
    if (e == NULL || (f->roped && !e->free))
        return false;
    int64_t left = k->max < 0 ? INT64_MAX : k->max - (int64_t)f->count;
    if (!k->any && k->max >= 0 && left < (int64_t)e->longest + k->longest)
        return false;
    if (left >= (int64_t)e->longest)
        or_words(mask, e->stay, words);
    else if (left > 254)
        return false;
    else
        or_short(mask, e, words, (uint32_t)left);
    /* the array of a string that must differ is noted with that very string: one walk each */
    bool differs = f->roped;
    const struct ft_jframe *done =
        differs ? f : ft_json_value_done(ft_matcher_scratch(m), t, f, a->up);
    struct joined joined = {f, 1, 0};
    for (uint32_t i = 0; i < e->n_exits && done != NULL; i++) {
        const struct ft_exit *x = &e->exit[i];
        if ((int64_t)x->n > left || (int64_t)f->count + x->n < k->min)
            continue;
        if (differs) {
            if (!ft_json_unique_has(f, join(&joined, x), f->count + x->n) &&
                !has_token(v, x->node, mask)) {
                set_tokens(v, x->node, mask);
                if (v->skip[x->node] > x->node + 1)
                    replay(m, t, f, x->node, mask);
            }
            continue;
        }
        set_tokens(v, x->node, mask);
        if (v->skip[x->node] > x->node + 1)
            walk_json(m, x->node, done, mask);
    }
    return true;
}

/* A key's alternative, where every state has endless continuations: then nothing in the object but
 * the keys it has (no duplicates) and the classes that are welcome matters. */
static bool mask_key(struct ft_matcher *m, const struct ft_jtables *t, const struct ft_jframe *f,
                     const struct ft_jalt *a, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    const struct ft_jframe *obj = f->up;
    const struct ft_jalt *o = &obj->alt[a->id];
    const struct ft_jobj *k = &t->objs[o->id];
    if (k->n_labels >= LABELS_MAX || ft_json_key_tight(t, obj, o) || ft_json_deep(t, obj))
        return false;
    const struct ft_string_walk *e = kept_string(m, k->keys, a->q, f->chr);
    if (e == NULL || !e->free)
        return false;
    or_words(mask, e->stay, ((size_t)v->n_tokens + 31) / 32);
    uint8_t welcome[LABELS_MAX]; /* 0 unknown, 1 no, 2 yes */
    memset(welcome, 0, k->n_labels + 1);
    struct joined joined = {f, 1, 0};
    for (uint32_t i = 0; i < e->n_exits; i++) {
        const struct ft_exit *x = &e->exit[i];
        uint16_t label = k->keys->label[x->q];
        if (welcome[label] == 0)
            welcome[label] = ft_json_label_welcome(t, obj, o, &k->labels[label - 1]) ? 2 : 1;
        if (welcome[label] == 1)
            continue;
        if (obj->seen != NULL && ft_json_key_dup(obj, join(&joined, x), f->count + x->n))
            continue;
        /* a replay is of the whole frame: another alternative may have done it */
        if (has_token(v, x->node, mask))
            continue;
        set_tokens(v, x->node, mask);
        if (v->skip[x->node] > x->node + 1)
            replay(m, t, f, x->node, mask);
    }
    return true;
}

/* ---- strings without a text ---- */

/* Drops the token unless the machine takes it byte for byte. */
static void check_token(struct ft_matcher *m, uint32_t id, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    const void *state = m->state;
    if ((mask[id / 32] >> id % 32 & 1) == 0)
        return;
    for (uint32_t i = v->at[id]; i < v->at[id + 1] && state != NULL; i++, s->work++)
        state = m->g->ops->step(s, m->g->g, state, (uint8_t)v->bytes[i]);
    if (state == NULL)
        mask[id / 32] &= ~(1u << id % 32);
    ft_scratch_reset(s, mark);
}

/* Tokens that begin with these bytes. */
static void check_beginning(struct ft_matcher *m, const char *p, size_t n, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    uint32_t node = 0;
    for (size_t i = 0; i < n; i++) {
        uint32_t child = node + 1, end = v->skip[node];
        while (child < end && v->byte[child] != (uint8_t)p[i])
            child = v->skip[child];
        if (child >= end)
            return;
        node = child;
    }
    for (uint32_t k = v->first[node]; k < v->first[v->skip[node]]; k++)
        check_token(m, (uint32_t)v->order[k], mask);
}

/* What was found as if nothing were forbidden: a token that ends the text, begun before it or in
 * itself, may do so only behind the value. */
static void drop_without(struct ft_matcher *m, const struct ft_without *w, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    for (uint8_t at = w->at; at > 0; at = w->back[at - 1])
        check_beginning(m, w->text + at, (size_t)(w->n - at), mask);
    const char *p = v->bytes, *end = v->bytes + v->at[v->n_tokens];
    while ((p = memmem(p, (size_t)(end - p), w->text, w->n)) != NULL) {
        uint32_t lo = 0, hi = v->n_tokens; /* the token that this byte is of */
        while (hi - lo > 1) {
            uint32_t mid = lo + (hi - lo) / 2;
            *(v->at[mid] <= (uint32_t)(p - v->bytes) ? &lo : &hi) = mid;
        }
        check_token(m, lo, mask);
        p++;
    }
}

/* False: nothing is known beforehand of this state. */
static bool mask_json(struct ft_matcher *m, uint32_t *mask)
{
    const struct ft_jtables *t = NULL;
    const struct ft_machine_ops *ops = m->g->ops;
    const struct ft_jframe *f = ops->json != NULL ? ops->json(m->g->g, m->state, &t) : NULL;
    if (f == NULL || (f->kind != FT_J_STR && f->kind != FT_J_KEY))
        return false;
    bool known = true;
    struct ft_without without;
    for (uint32_t i = 0; i < f->n_alts && known; i++)
        known = (f->kind == FT_J_STR ? mask_string : mask_key)(m, t, f, &f->alt[i], mask);
    if (ops->without != NULL && ops->without(m->g->g, m->state, &without))
        drop_without(m, &without, mask);
    return known;
}

static bool is_kept(const struct ft_matcher *m)
{
    const struct ft_machine_ops *ops = m->g->ops;
    return ops->hash != NULL && (ops->kept == NULL || ops->kept(m->g->g, m->state));
}

/* Control tokens are in no trie. */
static void mask_control(struct ft_matcher *m, uint32_t *mask)
{
    const struct ft_vocab *v = m->v;
    struct ft_scratch *s = ft_matcher_scratch(m);
    for (uint32_t i = 0; i < v->n_control && m->g->ops->control != NULL; i++) {
        uint32_t id = (uint32_t)v->control[i], n = v->at[id + 1] - v->at[id];
        struct ft_scratch_mark mark = ft_scratch_mark(s);
        if (m->g->ops->control(s, m->g->g, m->state, v->bytes + v->at[id], n) != NULL)
            mask[id / 32] |= 1u << id % 32;
        ft_scratch_reset(s, mark);
    }
}

/* Tokens that have more characters than are left, or might have. */
static void drop_longer(const struct ft_vocab *v, uint32_t left, uint32_t *mask)
{
    for (uint32_t i = 0; i < v->n_longer; i++) {
        uint32_t id = (uint32_t)v->longer[i];
        if (v->at[id + 1] - v->at[id] > left)
            mask[id / 32] &= ~(1u << id % 32);
    }
}

static void mask_state(struct ft_matcher *m, uint32_t *mask);

void ft_mask(struct ft_matcher *m, uint32_t *mask)
{
    const struct ft_machine_ops *ops = m->g->ops;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    const void *state = m->state, *relaxed;
    uint32_t left = UINT32_MAX;
    relaxed = ops->relax != NULL ? ops->relax(s, m->g->g, state, &left) : NULL;
    if (relaxed != NULL)
        m->state = relaxed;
    mask_state(m, mask);
    m->state = state;
    if (relaxed != NULL)
        drop_longer(m->v, left, mask);
    ft_scratch_reset(s, mark);
}

static void mask_state(struct ft_matcher *m, uint32_t *mask)
{
    const struct ft_machine_ops *ops = m->g->ops;
    struct ft_cache *c = &m->g->cache;
    size_t words = ((size_t)m->v->n_tokens + 31) / 32;
    struct ft_scratch *s = ft_matcher_scratch(m);
    struct ft_scratch_mark mark = ft_scratch_mark(s);
    bool done = false, kept = is_kept(m);
    pthread_mutex_lock(&c->lock);
    if (!kept) {
        done = mask_json(m, mask);
    } else {
        struct ft_cache_entry *e = ft_cache_mask(c, m->v, ops, m->g->g, m->state);
        if (e != NULL)
            memcpy(mask, e->mask, words * sizeof *mask);
        done = e != NULL;
    }
    pthread_mutex_unlock(&c->lock);
    ft_scratch_reset(s, mark);
    if (done)
        return;
    ft_mask_walk(m, 0, m->state, mask);
    mask_control(m, mask);
    if (!kept || s->failed || s->work > FT_MASK_WORK_MAX)
        return; /* a mask that was given up is none */
    pthread_mutex_lock(&c->lock);
    ft_cache_mask_put(c, m->v, ops, m->g->g, m->state, mask);
    pthread_mutex_unlock(&c->lock);
}
