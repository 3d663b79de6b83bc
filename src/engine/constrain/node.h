/* Schemas as boolean expressions: leaves say one thing about one type of value (and nothing about
 * values of other types), AND, OR, NOT and ONE (exactly one of) combine them. Everything a schema
 * can say here is closed under negation, so `not`, `oneOf`, `if` and `dependencies` need no
 * machinery of their own.
 *
 * schema.c reads a JSON Schema into nodes; normal.c turns a node into alternatives per type;
 * compile.c makes the tables that machine.c runs. */
#ifndef FT_CONSTRAIN_NODE_H
#define FT_CONSTRAIN_NODE_H

#include "engine/constrain/dec.h"
#include "engine/constrain/dfa.h"
#include "engine/constrain/jdoc.h"

#define FT_NODES_MAX 400000

enum { FT_NODE_NONE, FT_NODE_TRUE, FT_NODE_FALSE }; /* the first ids */

/* Types of values; integers and other numbers apart, so that both are sets of values. */
enum {
    FT_T_NULL = 1,
    FT_T_TRUE = 2,
    FT_T_FALSE = 4,
    FT_T_INT = 8,
    FT_T_FRAC = 16,
    FT_T_STR = 32,
    FT_T_ARR = 64,
    FT_T_OBJ = 128,
    FT_T_BOOL = FT_T_TRUE | FT_T_FALSE,
    FT_T_NUM = FT_T_INT | FT_T_FRAC,
    FT_T_ALL = 255,
};

enum ft_node_kind {
    FT_N_TRUE,
    FT_N_FALSE,
    FT_N_AND,
    FT_N_OR,
    FT_N_NOT,
    FT_N_ONE,  /* exactly one of the kids */
    FT_N_REF,  /* kid[0], known later: a schema that is being read */
    FT_N_TYPE, /* mask */
    /* numbers */
    FT_N_LO,
    FT_N_HI,     /* dec, open */
    FT_N_MUL,    /* dec */
    FT_N_PLAIN,  /* written in the one plain way */
    FT_N_NUMSET, /* nums */
    /* strings */
    FT_N_LEN, /* min, max */
    FT_N_DFA, /* dfa */
    /* arrays */
    FT_N_ITEMS,    /* kids: those of the first elements, then of all others */
    FT_N_CONTAINS, /* kid[0], min, max, from: first index that counts */
    FT_N_NITEMS,   /* min, max */
    FT_N_UNIQUE,
    /* objects */
    FT_N_PROPS,  /* props */
    FT_N_REQ,    /* name */
    FT_N_NPROPS, /* min, max */
    FT_N_PNAMES, /* kid[0], a schema for the keys */
    FT_N_EXISTS, /* some property with a key in dfa and a value of kid[0] */
};

/* properties, patternProperties and additionalProperties of one schema */
struct ft_props {
    uint32_t *name, *name_node; /* name ids */
    size_t n_names;
    const struct ft_dfa **pat;
    uint32_t *pat_node;
    size_t n_pats;
    uint32_t rest;
};

struct ft_node {
    uint8_t kind;
    bool open, busy;
    uint8_t empty_memo; /* of ft_node_empty(): 0 unknown, 1 asked now, 2 no, 3 yes */
    uint16_t mask;
    uint32_t n_kids, *kid;
    int64_t min, max; /* max < 0: none */
    uint32_t from, name;
    const struct ft_dec *dec;
    const struct ft_jv **nums;
    size_t n_nums;
    const struct ft_dfa *dfa;
    struct ft_props *props;
    const char *where; /* "oneOf at #/properties/a", for refusals; or NULL */
    uint32_t lowered;  /* FT_N_ONE: as AND, OR and NOT; 0 before */
    uint32_t val;      /* compile.c: index + 1 of its tables */
};

/* All nodes of one compilation. */
struct ft_nodes {
    struct ft_cx *cx;
    struct ft_node *v;
    size_t n, cap;
    uint32_t *slot; /* interned AND, OR, NOT, TYPE */
    size_t slots;
    struct ft_str *names; /* property names by id */
    size_t n_names, names_cap;
    uint32_t *name_slot;
    size_t name_slots;
    struct ft_jv *root;
    const struct ft_dfa *any; /* all strings */
    struct {
        const char *re;
        size_t n;
        bool search;
        const struct ft_dfa *d;
    } * res; /* expressions seen before */
    size_t n_res, res_cap;
    int depth, level;
};

void ft_nodes_init(struct ft_nodes *ns, struct ft_cx *cx);
uint32_t ft_node_new(struct ft_nodes *ns, enum ft_node_kind kind);
uint32_t ft_node_type(struct ft_nodes *ns, unsigned mask);
uint32_t ft_node_not(struct ft_nodes *ns, uint32_t a);
uint32_t ft_node_and(struct ft_nodes *ns, const uint32_t *v, size_t n);
uint32_t ft_node_or(struct ft_nodes *ns, const uint32_t *v, size_t n);
static inline uint32_t ft_node_and2(struct ft_nodes *ns, uint32_t a, uint32_t b)
{
    uint32_t v[2] = {a, b};
    return ft_node_and(ns, v, 2);
}
static inline uint32_t ft_node_or2(struct ft_nodes *ns, uint32_t a, uint32_t b)
{
    uint32_t v[2] = {a, b};
    return ft_node_or(ns, v, 2);
}
uint32_t ft_node_name(struct ft_nodes *ns, struct ft_str s);
const struct ft_dfa *ft_node_regex(struct ft_nodes *ns, const char *re, size_t n, bool search);
/* The value v and nothing else. */
uint32_t ft_node_const(struct ft_nodes *ns, const struct ft_jv *v);

/* The root of a schema; fails through cx with the keyword and its place. */
uint32_t ft_schema_read(struct ft_nodes *ns, struct ft_jv *root);

#endif
