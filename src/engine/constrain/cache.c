/* Kept walks and masks: see cache.h. */
#include "engine/constrain/cache.h"

#include <stdlib.h>
#include <string.h>

void ft_cache_init(struct ft_cache *c)
{
    memset(c, 0, sizeof *c);
    pthread_mutex_init(&c->lock, NULL);
}

static void entry_free(struct ft_cache_entry *e)
{
    if (e == NULL)
        return;
    if (e->own != NULL)
        ft_scratch_fini(e->own);
    free(e->own);
    free(e->stay);
    free(e->len);
    free(e->exit);
    free(e);
}

void ft_cache_fini(struct ft_cache *c)
{
    for (size_t i = 0; i < FT_CACHE_SLOTS; i++)
        for (struct ft_cache_entry *e = c->slot[i], *next; e != NULL; e = next) {
            next = e->next;
            entry_free(e);
        }
    pthread_mutex_destroy(&c->lock);
}

static size_t slot_of(const struct ft_cache_key *k)
{
    uint64_t h = k->vocab ^ (uint64_t)(uintptr_t)k->d;
    h = (h ^ k->state) * 0xff51afd7ed558ccdu;
    h = (h ^ h >> 31 ^ k->chr.cp ^ (uint64_t)k->chr.kind << 32 ^ (uint64_t)k->chr.left << 40) *
        0x9e3779b97f4a7c15u;
    return (h >> 40) % FT_CACHE_SLOTS;
}

static bool same_key(const struct ft_cache_key *a, const struct ft_cache_key *b)
{
    return a->vocab == b->vocab && a->d == b->d && a->state == b->state && a->chr.cp == b->chr.cp &&
           a->chr.kind == b->chr.kind && a->chr.left == b->chr.left;
}

/* Drops entries until `bytes` more fit: always the one that was not used for longest. A scan: rare,
 * and an entry costs a walk of the vocabulary anyway. */
static void make_room(struct ft_cache *c, size_t bytes)
{
    while (c->n > 0 && c->bytes + bytes > FT_CACHE_BYTES_MAX) {
        struct ft_cache_entry **oldest = NULL;
        for (size_t i = 0; i < FT_CACHE_SLOTS; i++)
            for (struct ft_cache_entry **e = &c->slot[i]; *e != NULL; e = &(*e)->next)
                if (oldest == NULL || (*e)->used < (*oldest)->used)
                    oldest = e;
        struct ft_cache_entry *e = *oldest;
        *oldest = e->next;
        c->bytes -= e->bytes;
        c->n--;
        entry_free(e);
    }
}

static void enter(struct ft_cache *c, struct ft_cache_entry *e)
{
    make_room(c, e->bytes);
    size_t i = slot_of(&e->key);
    e->next = c->slot[i];
    e->used = ++c->clock;
    c->made++;
    c->slot[i] = e;
    c->bytes += e->bytes;
    c->n++;
}

/* ---- strings ---- */

struct place { /* in a walk down the trie, inside the string */
    uint32_t q, n, end;
    struct ft_jchar chr;
    uint64_t hash;
};

struct walk {
    const struct ft_vocab *v;
    const struct ft_dfa *d;
    bool any;
    struct ft_cache_entry *e;
    uint32_t exits_cap;
    bool failed;
};

static bool step(const struct walk *w, struct place *p, uint8_t b)
{
    const struct ft_dfa *d = w->d;
    uint32_t cp = b;
    if (p->chr.kind != FT_S_PLAIN || b < 0x20 || b >= 0x80 || b == '\\') {
        uint32_t range[4];
        switch (ft_jchar_step(&p->chr, b, range)) {
        case FT_JCHAR_PART:
            return w->any ||
                   (range[0] <= range[1] && ft_dfa_range_live(d, p->q, range[0], range[1])) ||
                   (range[2] <= range[3] && ft_dfa_range_live(d, p->q, range[2], range[3]));
        case FT_JCHAR_BAD:
            return false;
        default:
            cp = p->chr.cp;
            p->chr.cp = 0;
        }
    }
    p->hash = ft_jhash(p->hash, cp);
    p->n++;
    p->q = w->any ? p->q : ft_dfa_step(d, p->q, cp);
    if (p->q != 0 && d->count[p->q] != FT_DFA_COUNT_MAX)
        w->e->free = false;
    return p->q != 0;
}

static void add_exit(struct walk *w, uint32_t node, const struct place *p)
{
    struct ft_cache_entry *e = w->e;
    if (e->n_exits == w->exits_cap) {
        uint32_t cap = w->exits_cap * 2 + 64;
        struct ft_exit *x = realloc(e->exit, cap * sizeof *x);
        if (x == NULL) {
            w->failed = true;
            return;
        }
        e->exit = x;
        w->exits_cap = cap;
    }
    e->exit[e->n_exits++] = (struct ft_exit){node, p->q, p->n, p->hash};
    e->longest = FT_MAX(e->longest, p->n);
}

static void walk_string(struct walk *w, uint32_t q, struct ft_jchar chr, struct place *level)
{
    const struct ft_vocab *v = w->v;
    struct ft_cache_entry *e = w->e;
    struct place *l = level;
    *l = (struct place){q, 0, v->n_nodes, chr, 0};
    for (uint32_t i = 1; i < v->n_nodes && !w->failed;) {
        while (i >= l->end)
            l--;
        uint8_t b = v->byte[i];
        if (b == '"' && l->chr.kind == FT_S_PLAIN) {
            if (w->d->label[l->q] != 0)
                add_exit(w, i, l);
            i = v->skip[i];
            continue;
        }
        struct place p = *l;
        if (!step(w, &p, b)) {
            i = v->skip[i];
            continue;
        }
        uint32_t n = p.n + (p.chr.kind != FT_S_PLAIN);
        for (uint32_t k = v->first[i]; k < v->first[i + 1]; k++) {
            uint32_t id = (uint32_t)v->order[k];
            e->stay[id / 32] |= 1u << id % 32;
            if (e->len != NULL)
                e->len[id] = (uint8_t)FT_MIN(n, 255u);
        }
        if (v->first[i] < v->first[i + 1])
            e->longest = FT_MAX(e->longest, n);
        if (v->skip[i] > i + 1) {
            *++l = p;
            l->end = v->skip[i];
        }
        i++;
    }
}

struct ft_cache_entry *ft_cache_string(struct ft_cache *c, const struct ft_vocab *v,
                                       const struct ft_dfa *d, bool any, uint32_t q,
                                       struct ft_jchar chr)
{
    struct ft_cache_key key = {v->id, d, q, chr};
    for (struct ft_cache_entry *e = c->slot[slot_of(&key)]; e != NULL; e = e->next)
        if (same_key(&e->key, &key)) {
            e->used = ++c->clock;
            return e;
        }
    struct ft_cache_entry *e = calloc(1, sizeof *e);
    struct place *level = malloc(((size_t)v->max_depth + 2) * sizeof *level);
    size_t words = ((size_t)v->n_tokens + 31) / 32;
    if (e != NULL)
        e->stay = calloc(words + 1, sizeof *e->stay);
    if (e != NULL && any)
        e->len = calloc((size_t)v->n_tokens + 32, 1);
    if (e == NULL || level == NULL || e->stay == NULL || (any && e->len == NULL)) {
        entry_free(e);
        free(level);
        return NULL;
    }
    e->key = key;
    e->free = d->count[q] == FT_DFA_COUNT_MAX;
    struct walk w = {v, d, any, e, 0, false};
    walk_string(&w, q, chr, level);
    free(level);
    if (w.failed) {
        entry_free(e);
        return NULL;
    }
    e->bytes = sizeof *e + words * 4 + (any ? v->n_tokens : 0) + w.exits_cap * sizeof *e->exit;
    enter(c, e);
    return e;
}

/* ---- whole masks ---- */

struct ft_cache_entry *ft_cache_mask(struct ft_cache *c, const struct ft_vocab *v,
                                     const struct ft_machine_ops *ops, const void *g,
                                     const void *state)
{
    struct ft_cache_key key = {v->id, NULL, ops->hash(g, state), {0, 0, 0}};
    for (struct ft_cache_entry *e = c->slot[slot_of(&key)]; e != NULL; e = e->next)
        if (same_key(&e->key, &key) && ops->same(g, e->exact, state)) {
            e->used = ++c->clock;
            return e;
        }
    return NULL;
}

void ft_cache_mask_put(struct ft_cache *c, const struct ft_vocab *v,
                       const struct ft_machine_ops *ops, const void *g, const void *state,
                       const uint32_t *mask)
{
    struct ft_cache_entry *e = calloc(1, sizeof *e);
    size_t words = ((size_t)v->n_tokens + 31) / 32;
    if (e == NULL)
        return;
    e->own = calloc(1, sizeof *e->own);
    e->stay = malloc((words + 1) * sizeof *e->stay);
    if (e->own != NULL && e->stay != NULL)
        e->exact = ops->copy(e->own, g, state);
    if (e->exact == NULL) {
        entry_free(e);
        return;
    }
    memcpy(e->stay, mask, words * sizeof *mask);
    e->key = (struct ft_cache_key){v->id, NULL, ops->hash(g, state), {0, 0, 0}};
    e->bytes = sizeof *e + words * 4 + sizeof *e->own + e->own->n_chunks * FT_SCRATCH_CHUNK;
    enter(c, e);
}
