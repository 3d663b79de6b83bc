/* Walks of the vocabulary inside strings (walk.h), and whole masks: kept per grammar.
 *
 * A mask inside a string is what stays in it plus what the surroundings make of the exits. For
 * regular expressions, grammars and what layouts have beside JSON the whole mask of a state is
 * kept. Bounded; the entry that was not used for longest goes first. Locked by its owner's lock. */
#ifndef FT_CONSTRAIN_CACHE_H
#define FT_CONSTRAIN_CACHE_H

#include <pthread.h>

#include "engine/constrain/machine.h"
#include "engine/constrain/vocab.h"
#include "engine/constrain/walk.h"

#define FT_CACHE_BYTES_MAX ((size_t)48 << 20)
#define FT_CACHE_SLOTS     4096

struct ft_cache_key {
    uint64_t vocab;
    const struct ft_dfa *d; /* NULL: any string, or a whole mask */
    uint64_t state;         /* q; of a whole mask its hash */
    struct ft_jchar chr;
    bool whole;
};

struct ft_cache_entry {
    struct ft_cache_key key;
    struct ft_cache_entry *next;
    uint64_t used;
    size_t bytes;
    const void *exact; /* whole masks: the state itself, in `own` */
    struct ft_scratch *own;
    uint32_t *mask;
    struct ft_string_walk walk;
};

struct ft_cache {
    pthread_mutex_t lock;
    struct ft_cache_entry *slot[FT_CACHE_SLOTS];
    size_t bytes;
    uint64_t clock, work; /* work: of all walks ever, in steps */
    uint32_t n;
};

void ft_cache_init(struct ft_cache *c);
void ft_cache_fini(struct ft_cache *c);

/* The walk from state q of d (NULL: any string), made if it is not kept. NULL when out of memory.
 * The caller holds the lock while it uses it. */
const struct ft_string_walk *ft_cache_string(struct ft_cache *c, const struct ft_vocab *v,
                                             const struct ft_dfa *d, uint32_t q,
                                             struct ft_jchar chr);
/* A whole mask for `state`, or NULL; and keeping one (failing to is harmless). */
struct ft_cache_entry *ft_cache_mask(struct ft_cache *c, const struct ft_vocab *v,
                                     const struct ft_machine_ops *ops, const void *g,
                                     const void *state);
void ft_cache_mask_put(struct ft_cache *c, const struct ft_vocab *v,
                       const struct ft_machine_ops *ops, const void *g, const void *state,
                       const uint32_t *mask);

#endif
