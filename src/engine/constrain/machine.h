/* The byte machines: from a state and a byte to the next state. Four kinds behind one table: JSON
 * (by a schema's tables), a regular expression, a grammar, a layout of those (layout.h).
 *
 * States are persistent values in scratch memory: a step makes a new one and leaves the old one as
 * it was, so walking a vocabulary's trie is a depth-first search with scratch marks. NULL is "not
 * allowed". Every state that is not NULL can be completed. */
#ifndef FT_CONSTRAIN_MACHINE_H
#define FT_CONSTRAIN_MACHINE_H

#include "engine/constrain/jchar.h"
#include "engine/constrain/scratch.h"
#include "engine/constrain/tables.h"

struct ft_jframe;

#define FT_RELAX_BYTES 32

/* A text that a value must not have in it. */
struct ft_without {
    const char *text;
    uint8_t n, at;       /* at: so much of it was read last */
    const uint8_t *back; /* [n] the longest beginning of it that ends so, shorter */
};

struct ft_machine_ops {
    const void *(*start)(struct ft_scratch *s, const void *g);
    const void *(*step)(struct ft_scratch *s, const void *g, const void *state, uint8_t byte);
    bool (*may_end)(const void *g, const void *state);
    /* A copy that shares nothing with the old one, in another scratch; NULL when out of memory. */
    const void *(*copy)(struct ft_scratch *to, const void *g, const void *state);
    /* Equal states have equal hashes, allow the same tokens, and are `same`. NULL where masks are
     * not kept by state. */
    uint64_t (*hash)(const void *g, const void *state);
    bool (*same)(const void *g, const void *a, const void *b);

    /* The rest is NULL where it does not apply. */
    bool (*kept)(const void *g, const void *state); /* its mask is kept; NULL: any, with a hash */
    bool (*free)(const void *g, const void *state); /* no byte and no end is refused */
    /* The state after a control token with this text; NULL where it may not stand. */
    const void *(*control)(struct ft_scratch *s, const void *g, const void *state,
                           const char *bytes, size_t n);
    /* The JSON state that this one is all about, or NULL; and this one with another in its place.
     */
    const struct ft_jframe *(*json)(const void *g, const void *state,
                                    const struct ft_jtables **ret_t);
    const void *(*with_json)(struct ft_scratch *s, const void *g, const void *state,
                             const struct ft_jframe *f);
    /* A text that this JSON must be without, which has no quote in it; false: none. */
    bool (*without)(const void *g, const void *state, struct ft_without *ret);
    /* A state that allows the same tokens of at most *left bytes, which is lowered if it must be,
     * never below FT_RELAX_BYTES: one for many, where only a bound on length would tell them
     * apart. NULL: there is none. */
    const void *(*relax)(struct ft_scratch *s, const void *g, const void *state, uint32_t *left);
};

extern const struct ft_machine_ops ft_machine_json;   /* g: struct ft_jtables */
extern const struct ft_machine_ops ft_machine_regex;  /* g: struct ft_dfa */
extern const struct ft_machine_ops ft_machine_gbnf;   /* g: struct ft_gbnf */
extern const struct ft_machine_ops ft_machine_bare;   /* g: struct ft_jtables: its strings */
extern const struct ft_machine_ops ft_machine_layout; /* g: struct ft_layout_graph */

/* ---- JSON states, for json_*.c and mask.c ---- */

#define FT_JALTS_MAX                                                                               \
    256 /* alternatives of one frame; more are dropped: fewer texts, never a wrong one */
#define FT_JMASK      (FT_JALTS_MAX / 64)
#define FT_INDENT_MAX 4 /* spaces for each level of nesting after a newline; or one tab */

enum ft_jkind { FT_J_ROOT, FT_J_OBJ, FT_J_ARR, FT_J_STR, FT_J_KEY, FT_J_NUM, FT_J_LIT };

enum ft_jphase {
    FT_P_FIRST, /* ROOT: before the value; OBJ, ARR: after the opening bracket */
    FT_P_IN,    /* a frame is on top */
    FT_P_COLON, /* OBJ: after a key */
    FT_P_VALUE, /* OBJ: after ':' */
    FT_P_AFTER, /* after a value */
    FT_P_NEXT,  /* after ',' */
};

/* Whitespace so far: a newline and n spaces or tabs is FT_WS_LINE + n, tabs with FT_WS_TAB. */
enum { FT_WS_NONE, FT_WS_SPACE, FT_WS_LINE, FT_WS_TAB = 0x8000 };

/* One alternative. In a frame that waits for a value (`val` != 0) this is what it will be when the
 * value satisfied vals[val]. `up`: the alternatives of the frame below that it belongs to. */
struct ft_jalt {
    uint32_t id; /* of objs, arrs, strs, nums; KEY: index of the alternative below */
    uint32_t q;  /* STR, KEY, NUM: state; OBJ: facts still owed; ARR: the same, or counted ones */
    uint32_t val;
    const uint64_t *names; /* OBJ: names seen */
    uint64_t up[FT_JMASK];
};

/* Characters of the current key, newest first. */
struct ft_jrope {
    const struct ft_jrope *prev;
    uint32_t cp, n;
};

struct ft_jseen { /* keys of an object, values of a unique array */
    const struct ft_jseen *prev;
    const struct ft_jrope *text;
    uint64_t hash;
    uint32_t n;
    uint8_t kind; /* of the value: FT_J_KEY, FT_J_STR, FT_J_NUM, FT_J_LIT */
};

struct ft_jframe {
    const struct ft_jframe *up;
    uint8_t kind, phase, depth;
    uint16_t ws;  /* FT_WS_*: whitespace since the last byte that was not */
    bool roped;   /* ARR: its elements differ; STR, NUM: in such an array, so `rope` is kept */
    uint8_t word; /* LIT: which */
    struct ft_jchar chr;
    uint16_t n_alts;
    uint32_t count; /* characters, bytes, elements or properties */
    uint64_t hash;
    const struct ft_jrope *rope;
    const struct ft_jseen *seen;
    struct ft_jalt alt[];
};

#define FT_JHASH_MUL 0x9e3779b97f4a7c15u
static inline uint64_t ft_jhash(uint64_t h, uint32_t cp)
{
    return h * FT_JHASH_MUL + cp + 1;
}

struct ft_jframe *ft_jframe_new(struct ft_scratch *s, const struct ft_jframe *like,
                                const struct ft_jframe *up, enum ft_jkind kind, uint32_t n_alts);
/* Adds *a, or merges it with an equal one; drops it where the frame is full. */
void ft_jframe_add(struct ft_jframe *f, const struct ft_jalt *a);
/* The frame below, after its value ended for the alternatives in `mask`; NULL if none is left. */
const struct ft_jframe *ft_json_value_done(struct ft_scratch *s, const struct ft_jtables *t,
                                           const struct ft_jframe *f, const uint64_t *mask);
const struct ft_jframe *ft_json_step(struct ft_scratch *s, const struct ft_jtables *t,
                                     const struct ft_jframe *f, uint8_t b);

/* json_string.c */
const struct ft_jframe *ft_json_char_byte(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b);
/* With this many characters read, state q can still end within the bound on length. */
static inline bool ft_jstr_fits(const struct ft_jstr *s, uint32_t q, uint32_t count)
{
    return s->max < 0 || (int64_t)count + s->d->dist[q] <= s->max;
}

/* json_unique.c */
/* With `rope` read of a string or number of a unique array, of which `words` continuations exist:
 * is one left that is not in the array yet? `only_this`: nothing can follow. */
bool ft_json_unique_live(const struct ft_jframe *f, uint32_t words, const struct ft_jrope *rope,
                         bool only_this);
bool ft_json_unique_dup(const struct ft_jframe *f);
/* The same of a text with this hash and length. */
bool ft_json_unique_has(const struct ft_jframe *f, uint64_t hash, uint32_t n);
bool ft_json_unique_literal_free(const struct ft_jframe *arr, uint8_t which);
/* vals[val] has a value that the array has not. */
bool ft_json_unique_left(const struct ft_jtables *t, const struct ft_jframe *arr, uint32_t val);
/* Notes f's value, just ended, in the array's new frame. */
bool ft_json_unique_add(struct ft_scratch *s, const struct ft_jframe *f, struct ft_jframe *arr);
bool ft_jrope_is_prefix(const struct ft_jrope *p, const struct ft_jrope *of);

/* json_object.c */
const struct ft_jframe *ft_json_key_begin(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f);
const struct ft_jframe *ft_json_key_end(struct ft_scratch *s, const struct ft_jtables *t,
                                        const struct ft_jframe *f);
/* A key of the object alternative `a` of `obj` can be completed from state q; rope: what is read.
 */
bool ft_json_key_live(const struct ft_jtables *t, const struct ft_jframe *obj,
                      const struct ft_jalt *a, uint32_t q, const struct ft_jrope *rope);
bool ft_json_more_keys(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a);
bool ft_json_may_close(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a);
bool ft_json_key_tight(const struct ft_jtables *t, const struct ft_jframe *obj,
                       const struct ft_jalt *a);
/* A key of class l would be welcome now: new, with a value that fits, within the bounds. */
bool ft_json_label_welcome(const struct ft_jtables *t, const struct ft_jframe *obj,
                           const struct ft_jalt *a, const struct ft_jlabel *l);
/* Nested so deeply that heights matter. */
static inline bool ft_json_deep(const struct ft_jtables *t, const struct ft_jframe *obj)
{
    return obj->depth + t->max_height > FT_JSON_DEPTH_MAX;
}
bool ft_json_key_dup(const struct ft_jframe *obj, uint64_t hash, uint32_t n);

#endif
