/* A node as alternatives, type by type: a value of the type satisfies the node exactly if it
 * satisfies one of them. Each alternative is a conjunction of plain facts. */
#ifndef FT_CONSTRAIN_NORMAL_H
#define FT_CONSTRAIN_NORMAL_H

#include "engine/constrain/node.h"
#include "engine/constrain/number.h"

#define FT_ALTS_MAX 256 /* alternatives of one node and type */

enum ft_conj_type { FT_C_NUM, FT_C_STR, FT_C_ARR, FT_C_OBJ };

struct ft_contains {
    uint32_t node, from; /* from: first index that counts */
    int64_t min, max;
};

struct ft_exists {
    const struct ft_dfa *keys;
    uint32_t node;
    bool unnamed; /* compile.c: only keys without a name of their own count */
};

struct ft_conj {
    enum ft_conj_type type;
    int64_t min, max; /* length, items or properties; max < 0: none */
    struct ft_numcon num;
    const struct ft_dfa *dfa; /* strings; NULL: all */
    uint32_t *items;          /* FT_N_ITEMS nodes */
    size_t n_items;
    struct ft_contains *contains;
    size_t n_contains;
    bool unique;
    uint32_t *props; /* FT_N_PROPS nodes */
    size_t n_props;
    uint32_t *req; /* name ids, sorted */
    size_t n_req;
    struct ft_exists *exists;
    size_t n_exists;
};

struct ft_conjs {
    struct ft_conj **v;
    size_t n, cap;
};

/* Appends the alternatives of `node` for one type. Refuses (through cx) past FT_ALTS_MAX. */
void ft_normal(struct ft_nodes *ns, enum ft_conj_type t, uint32_t node, struct ft_conjs *out);
/* The subset of null, true and false that satisfies the node, as FT_T_ bits. */
unsigned ft_normal_simple(struct ft_nodes *ns, uint32_t node);
/* True only if no value satisfies the node; looks a few levels deep. */
bool ft_node_empty(struct ft_nodes *ns, uint32_t node);
/* The strings that satisfy it, lengths folded in. */
const struct ft_dfa *ft_normal_strings(struct ft_nodes *ns, uint32_t node);
/* What the value of a property named `name` must satisfy, for the PROPS nodes of c. */
uint32_t ft_conj_prop(struct ft_nodes *ns, const struct ft_conj *c, uint32_t name);
void ft_conj_add_req(struct ft_nodes *ns, struct ft_conj *c, uint32_t name);
void ft_conj_add_props(struct ft_nodes *ns, struct ft_conj *c, uint32_t node);
/* PROPS with one name or one pattern. */
uint32_t ft_props_name(struct ft_nodes *ns, uint32_t name, uint32_t value);
uint32_t ft_props_pattern(struct ft_nodes *ns, const struct ft_dfa *keys, uint32_t value);
/* c, unless it plainly has no value: then NULL. */
struct ft_conj *ft_conj_check(struct ft_nodes *ns, struct ft_conj *c);

#endif
