/* Deterministic automata over Unicode characters: the languages of strings, keys and numbers.
 *
 * Complete: every state has a next state for every class of characters; state 0 is dead and stays
 * dead. Built ones are trimmed: every other state reaches an accepting one. `label` is 0 for a
 * state that does not accept, else what it accepts (1 for a plain language; a property class for
 * keys). Immutable once built, except for what ft_dfa_finish() adds. */
#ifndef FT_CONSTRAIN_DFA_H
#define FT_CONSTRAIN_DFA_H

#include "engine/constrain/cx.h"
#include "engine/constrain/jdoc.h"
#include "engine/constrain/utf8.h"

#define FT_DFA_STATES_MAX  60000
#define FT_DFA_CELLS_MAX   6000000 /* states * classes */
#define FT_DFA_CLASSES_MAX 1024
#define FT_DFA_COUNT_MAX   65535 /* counts of words stop here: "as good as infinitely many" */

struct ft_dfa {
    uint32_t id; /* unique within one compilation, for memo tables */
    uint32_t n_states, start;
    uint32_t n_cls, n_bounds;
    uint32_t *bound;     /* [n_bounds] first character of each interval; bound[0] == 0 */
    uint16_t *bound_cls; /* [n_bounds] its class */
    uint16_t ascii[128]; /* class of each ASCII character */
    uint32_t *next;      /* [n_states][n_cls] */
    uint16_t *label;     /* [n_states] */
    uint16_t *count;     /* [n_states] words of the rest, at most FT_DFA_COUNT_MAX; finish() */
    uint16_t *dist;      /* [n_states] characters to the nearest end; finish() */
    bool *open;          /* [n_states] whatever characters follow, "infinitely many" words still
                          * do; finish() */
};

/* The interval that holds cp. */
static inline uint32_t ft_dfa_interval(const struct ft_dfa *d, uint32_t cp)
{
    uint32_t lo = 0, hi = d->n_bounds;
    while (hi - lo > 1) {
        uint32_t mid = (lo + hi) / 2;
        if (d->bound[mid] <= cp)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

static inline uint32_t ft_dfa_class(const struct ft_dfa *d, uint32_t cp)
{
    return cp < 128 ? d->ascii[cp] : d->bound_cls[ft_dfa_interval(d, cp)];
}

static inline uint32_t ft_dfa_step(const struct ft_dfa *d, uint32_t q, uint32_t cp)
{
    return d->next[(size_t)q * d->n_cls + ft_dfa_class(d, cp)];
}

/* Some character in [lo, hi] leads on from q. */
bool ft_dfa_range_live(const struct ft_dfa *d, uint32_t q, uint32_t lo, uint32_t hi);

struct ft_dfa *ft_dfa_any(struct ft_cx *cx);
/* Exactly these words (sorted or not, duplicates allowed); label i + 1 for word i if `labelled`. */
struct ft_dfa *ft_dfa_words(struct ft_cx *cx, const struct ft_str *w, size_t n, bool labelled);
/* All strings of min .. max characters (max < 0: no bound). */
struct ft_dfa *ft_dfa_lengths(struct ft_cx *cx, int64_t min, int64_t max);
enum ft_dfa_op { FT_DFA_AND, FT_DFA_OR, FT_DFA_MINUS };
struct ft_dfa *ft_dfa_combine(struct ft_cx *cx, enum ft_dfa_op op, const struct ft_dfa *a,
                              const struct ft_dfa *b);
struct ft_dfa *ft_dfa_not(struct ft_cx *cx, const struct ft_dfa *a);
/* The product of k automata; `label` maps their labels (0: not accepting) to the new one. */
struct ft_dfa *ft_dfa_multi(struct ft_cx *cx, const struct ft_dfa *const *d, size_t k,
                            uint16_t (*label)(void *ctx, const uint16_t *labels), void *ctx);
static inline bool ft_dfa_empty(const struct ft_dfa *d)
{
    return d->start == 0;
}
bool ft_dfa_is_any(const struct ft_dfa *d); /* accepts every string */
bool ft_dfa_has(const struct ft_dfa *d, const char *s, size_t n);
/* All words of a language of at most `max` words, in tmp; false if there are more. Only words whose
 * label is `label` (0: any). */
bool ft_dfa_enumerate(struct ft_cx *cx, const struct ft_dfa *d, uint16_t label, size_t max,
                      struct ft_str **ret_words, size_t *ret_n);
/* Number of words with this label, at most FT_DFA_COUNT_MAX. */
uint32_t ft_dfa_count(struct ft_cx *cx, const struct ft_dfa *d, uint16_t label);

/* Length of the shortest word; UINT16_MAX if there is none so short. */
uint32_t ft_dfa_shortest(struct ft_cx *cx, const struct ft_dfa *d);

/* For builders: a table of states under construction, then trimmed, minimised and numbered. */
struct ft_dfa *ft_dfa_raw(struct ft_cx *cx, uint32_t n_states, uint32_t n_bounds,
                          const uint32_t *bound, const uint16_t *bound_cls, uint32_t n_cls);
struct ft_dfa *ft_dfa_tidy(struct ft_cx *cx, struct ft_dfa *raw);
/* A copy in the grammar's arena, with counts and distances. Words whose label is <= `named` do not
 * count (keys that are told apart by name). */
struct ft_dfa *ft_dfa_finish(struct ft_cx *cx, const struct ft_dfa *d, uint16_t named);

#endif
