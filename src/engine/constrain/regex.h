/* Regular expressions to automata. The dialect is ECMA-262's (the one JSON Schema names), without
 * what is not regular: back-references are refused, look-behind too. Look-ahead, positive and
 * negative, at any place, is exact. \d \w \s \b are ASCII as ECMA-262 has them; \p{..} takes
 * general categories. */
#ifndef FT_CONSTRAIN_REGEX_H
#define FT_CONSTRAIN_REGEX_H

#include "engine/constrain/dfa.h"

#define FT_REGEX_BYTES_MAX 65536
#define FT_REGEX_DEPTH_MAX 200   /* nested groups */
#define FT_REGEX_NFA_MAX   60000 /* states after repetitions are written out */

/* search: the expression may match anywhere in the string (JSON Schema's `pattern`); otherwise it
 * must match the whole of it. Fails through cx: FT_EINVAL for bad syntax, FT_EUNSUPPORTED past the
 * dialect or a bound. */
struct ft_dfa *ft_regex_dfa(struct ft_cx *cx, const char *re, size_t n, bool search);
/* For ft_machine_regex: the whole text. Fails through cx also where no text matches. */
const struct ft_dfa *ft_regex_compile(struct ft_cx *cx, const char *re, size_t n);

/* ---- between regex_parse.c and regex_dfa.c ---- */

/* A set of characters: sorted, disjoint, inclusive intervals. */
struct ft_set {
    uint32_t (*iv)[2];
    size_t n, cap;
};
void ft_set_add(struct ft_cx *cx, struct ft_set *s, uint32_t lo, uint32_t hi); /* any order */
void ft_set_tidy(struct ft_cx *cx, struct ft_set *s, bool negate);

enum ft_re_kind {
    FT_RE_EMPTY,
    FT_RE_SET,
    FT_RE_CAT,    /* a b */
    FT_RE_ALT,    /* a | b */
    FT_RE_REPEAT, /* a {min, max}; max < 0: no bound */
    FT_RE_BOL,
    FT_RE_EOL,
    FT_RE_WORD,     /* \b */
    FT_RE_NOT_WORD, /* \B */
    FT_RE_LOOK,     /* (?=a), negated (?!a) */
};

struct ft_re {
    enum ft_re_kind kind;
    bool negated;
    int min, max;
    struct ft_set set;
    struct ft_re *a, *b;
    struct ft_dfa *look; /* built on first use: the strings that start with a match of `a` */
};

struct ft_re *ft_regex_parse(struct ft_cx *cx, const char *re, size_t n);

#endif
