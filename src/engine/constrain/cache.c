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
    free(e->mask);
    ft_string_walk_fini(&e->walk);
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
    return a->vocab == b->vocab && a->d == b->d && a->whole == b->whole && a->state == b->state &&
           a->chr.cp == b->chr.cp && a->chr.kind == b->chr.kind && a->chr.left == b->chr.left;
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
    c->slot[i] = e;
    c->bytes += e->bytes;
    c->n++;
}

/* ---- strings ---- */

const struct ft_string_walk *ft_cache_string(struct ft_cache *c, const struct ft_vocab *v,
                                             const struct ft_dfa *d, uint32_t q,
                                             struct ft_jchar chr)
{
    if (d == NULL && chr.kind == FT_S_PLAIN)
        return &v->plain;
    struct ft_cache_key key = {v->id, d, q, chr, false};
    for (struct ft_cache_entry *e = c->slot[slot_of(&key)]; e != NULL; e = e->next)
        if (same_key(&e->key, &key)) {
            e->used = ++c->clock;
            return &e->walk;
        }
    struct ft_cache_entry *e = calloc(1, sizeof *e);
    if (e == NULL || ft_string_walk(v, d, q, chr, &e->walk) != 0) {
        free(e);
        return NULL;
    }
    e->key = key;
    e->bytes = sizeof *e + e->walk.bytes;
    c->work += e->walk.borrowed ? e->walk.n_exits : v->n_nodes;
    enter(c, e);
    return &e->walk;
}

/* ---- whole masks ---- */

struct ft_cache_entry *ft_cache_mask(struct ft_cache *c, const struct ft_vocab *v,
                                     const struct ft_machine_ops *ops, const void *g,
                                     const void *state)
{
    struct ft_cache_key key = {v->id, NULL, ops->hash(g, state), {0, 0, 0}, true};
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
    e->mask = malloc((words + 1) * sizeof *e->mask);
    if (e->own != NULL && e->mask != NULL)
        e->exact = ops->copy(e->own, g, state);
    if (e->exact == NULL) {
        entry_free(e);
        return;
    }
    memcpy(e->mask, mask, words * sizeof *mask);
    e->key = (struct ft_cache_key){v->id, NULL, ops->hash(g, state), {0, 0, 0}, true};
    e->bytes = sizeof *e + words * 4 + sizeof *e->own + e->own->n_chunks * FT_SCRATCH_CHUNK;
    enter(c, e);
}
