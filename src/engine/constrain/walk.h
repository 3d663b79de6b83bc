/* What a vocabulary's tokens do inside a string.
 *
 * Inside a string most tokens stay inside it, whatever surrounds the string. So for a state of the
 * string's automaton the vocabulary is walked once: `stay` are the tokens that end inside the
 * string, `exit` the places in the trie where the closing quote was read. */
#ifndef FT_CONSTRAIN_WALK_H
#define FT_CONSTRAIN_WALK_H

#include "engine/constrain/dfa.h"
#include "engine/constrain/jchar.h"

struct ft_vocab;

struct ft_exit {
    uint32_t node; /* of the quote */
    uint32_t q;    /* state of the automaton before it: an accepting one */
    uint32_t n;    /* characters read */
    uint64_t hash; /* of them, as ft_jhash() from 0 */
};

struct ft_string_walk {
    uint32_t *stay; /* [n_tokens / 32 + 1] bits */
    uint8_t *len;   /* any string: characters of each token; else NULL */
    struct ft_exit *exit;
    uint32_t *chars; /* any string: the characters of the exits, one after the other; else NULL */
    uint32_t n_exits, n_chars;
    uint32_t longest; /* characters of any token that stays or leaves */
    bool free;        /* all states met have endlessly many continuations */
    bool borrowed;    /* stay is the vocabulary's */
    size_t bytes;
};

/* From state q of d (NULL: any string), in the middle of the character chr. 0 or FT_ENOMEM. Any
 * string from between two characters is walked when a vocabulary is opened: v->plain. */
int ft_string_walk(const struct ft_vocab *v, const struct ft_dfa *d, uint32_t q,
                   struct ft_jchar chr, struct ft_string_walk *ret);
void ft_string_walk_fini(struct ft_string_walk *w);

#endif
