/* What a vocabulary's tokens do from a state inside a string, and whole masks: kept per grammar.
 *
 * Inside a string most tokens stay inside it, whatever surrounds the string. So for a state of the
 * string's automaton the vocabulary is walked once: `stay` are the tokens that end inside the
 * string, `exits` the places in the trie where the closing quote was read. A mask is then `stay`
 * plus what the surroundings make of the exits. For regular expressions and grammars the whole mask
 * of a state is kept. Bounded; the entry that was not used for longest goes first. Locked by its
 * owner's lock. */
#ifndef FT_CONSTRAIN_CACHE_H
#define FT_CONSTRAIN_CACHE_H

#include <pthread.h>

#include "engine/constrain/jchar.h"
#include "engine/constrain/machine.h"
#include "engine/constrain/vocab.h"

#define FT_CACHE_BYTES_MAX ((size_t)48 << 20)
#define FT_CACHE_SLOTS     4096

struct ft_exit {
    uint32_t node; /* of the quote */
    uint32_t q;    /* state of the automaton before it: an accepting one */
    uint32_t n;    /* characters read */
    uint64_t hash; /* of them, as ft_jhash() from 0 */
};

struct ft_cache_key {
    uint64_t vocab;
    const struct ft_dfa *d; /* NULL: a whole mask */
    uint64_t state;         /* hash of it, or q */
    struct ft_jchar chr;
};

struct ft_cache_entry {
    struct ft_cache_key key;
    struct ft_cache_entry *next;
    uint64_t used;
    size_t bytes;
    const void *exact; /* whole masks: the state itself, in `own` */
    struct ft_scratch *own;
    uint32_t *stay;
    uint8_t *len; /* automaton that takes all: characters of each token, or NULL */
    struct ft_exit *exit;
    uint32_t n_exits, longest; /* longest: characters of any token that stays or leaves */
    bool free;                 /* all states met have endlessly many continuations */
};

struct ft_cache {
    pthread_mutex_t lock;
    struct ft_cache_entry *slot[FT_CACHE_SLOTS];
    size_t bytes;
    uint64_t clock, made; /* made: entries ever */
    uint32_t n;
};

void ft_cache_init(struct ft_cache *c);
void ft_cache_fini(struct ft_cache *c);

/* The entry for tokens inside a string, made if there is none. NULL when out of memory. The caller
 * holds the lock while it uses the entry. */
struct ft_cache_entry *ft_cache_string(struct ft_cache *c, const struct ft_vocab *v,
                                       const struct ft_dfa *d, bool any, uint32_t q,
                                       struct ft_jchar chr);
/* A whole mask for `state`, or NULL; and keeping one (failing to is harmless). */
struct ft_cache_entry *ft_cache_mask(struct ft_cache *c, const struct ft_vocab *v,
                                     const struct ft_machine_ops *ops, const void *g,
                                     const void *state);
void ft_cache_mask_put(struct ft_cache *c, const struct ft_vocab *v,
                       const struct ft_machine_ops *ops, const void *g, const void *state,
                       const uint32_t *mask);

#endif
