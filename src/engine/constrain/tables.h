/* What a schema becomes: tables that the machine runs. Immutable, in the grammar's arena.
 *
 * Every state that the tables let the machine reach can be completed: values that cannot exist are
 * gone, required properties are known to be possible, and `height` says how many levels of nesting
 * the smallest completion needs, so that the bound on depth cannot be run into either. */
#ifndef FT_CONSTRAIN_TABLES_H
#define FT_CONSTRAIN_TABLES_H

#include "engine/constrain/dfa.h"

#define FT_JSON_DEPTH_MAX 64   /* nested arrays and objects in constrained output */
#define FT_EXISTS_MAX     4    /* "some element / some property" facts of one alternative */
#define FT_KEYS_MAX       4096 /* properties of one object, elements told apart by uniqueItems */

/* What a key can be: one of the schema's own names, or one of a class of other keys. */
struct ft_jlabel {
    uint32_t name;   /* index, or UINT32_MAX */
    uint32_t exists; /* which facts a property with this key can establish (bits) */
    uint32_t val[1 << FT_EXISTS_MAX]; /* value that establishes just these; 0 = impossible */
};

struct ft_jobj {
    const struct ft_dfa *keys;   /* label l of a state: labels[l - 1] */
    uint16_t *name_lo, *name_hi; /* [state]: names (sorted) that can still be meant: lo <= i < hi */
    struct ft_jlabel *labels;
    uint32_t n_labels, n_names, n_words; /* n_words: 64-bit words of a set of names */
    uint64_t *required, *allowed;
    uint32_t n_required, n_allowed;
    uint32_t n_unnamed; /* other keys there are, at most FT_DFA_COUNT_MAX */
    int64_t min, max;
    uint32_t n_exists;
    uint8_t need[1 << FT_EXISTS_MAX]; /* properties that establish a set of facts, at least */
    uint16_t height;
};

struct ft_jarr {
    uint32_t n_prefix, n_exists;
    uint32_t *val;  /* [n_prefix + 1][1 << n_exists]; 0 = impossible */
    uint16_t *need; /* [n_prefix + 1][1 << n_exists]: further elements a set of facts needs */
    uint32_t from[FT_EXISTS_MAX];
    int64_t ex_min, ex_max; /* of the only fact, if it is counted */
    bool counted, unique;
    int64_t min, max;
    uint16_t height;
};

struct ft_jstr {
    const struct ft_dfa *d;
    int64_t min, max; /* counted: min only if `any`, max also beside another d; < 0: none */
    bool any;         /* d takes every string */
    uint32_t longest; /* shortest way to an end from the state that is farthest from one */
};

struct ft_jval {
    unsigned simple; /* FT_T_ bits */
    uint16_t height; /* UINT16_MAX: there is no such value */
    uint32_t n_strs, n_nums, n_arrs, n_objs;
    uint32_t *strs, *nums, *arrs, *objs;
};

struct ft_jtables {
    struct ft_jval *vals; /* from 1 */
    struct ft_jstr *strs;
    const struct ft_dfa **nums;
    struct ft_jarr *arrs;
    struct ft_jobj *objs;
    uint32_t n_vals, n_strs, n_nums, n_arrs, n_objs, root;
    uint16_t max_height; /* of any value */
};

/* From the text of a schema. Fails through cx; may_be_empty: NULL where no value satisfies it. */
struct ft_jtables *ft_tables_from_schema(struct ft_cx *cx, const char *json, size_t n,
                                         bool may_be_empty);

#endif
