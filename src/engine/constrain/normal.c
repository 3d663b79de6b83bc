/* Nodes to alternatives: negations pushed to the leaves, conjunctions multiplied out. See normal.h.
 *
 * Multiplying out can grow without bound; FT_ALTS_MAX stops it with a refusal. Two things keep real
 * schemas far below: combinations that contradict themselves are dropped at once (a required
 * property whose value cannot be), and branches of oneOf that exclude each other are not negated.
 */
#include "engine/constrain/normal.h"

#include <stdlib.h>
#include <string.h>

#define DEPTH_MAX   400
#define PRODUCT_MAX 4096 /* alternatives while multiplying out */
#define EMPTY_DEPTH 4    /* levels that ft_node_empty() looks into */

static void refuse(struct ft_nodes *ns, const struct ft_node *x, const char *why)
{
    const char *what = x != NULL && x->where != NULL ? x->where : ns->cx->what;
    ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: %s", what != NULL ? what : "schema", why);
}

static struct ft_conj *conj_new(struct ft_nodes *ns, enum ft_conj_type t)
{
    struct ft_conj *c = ft_cx_alloc(ns->cx, 1, sizeof *c);
    c->type = t;
    c->max = -1;
    return c;
}

static void conjs_add(struct ft_nodes *ns, struct ft_conjs *out, struct ft_conj *c)
{
    if (c == NULL)
        return;
    if (out->n >= PRODUCT_MAX)
        refuse(ns, NULL, "too many alternatives");
    FT_GROW(ns->cx, out->v, out->n, out->cap);
    out->v[out->n++] = c;
}

/* ---- leaves ---- */

uint32_t ft_props_name(struct ft_nodes *ns, uint32_t name, uint32_t value)
{
    struct ft_props *p = ft_cx_alloc(ns->cx, 1, sizeof *p);
    p->name = ft_cx_alloc(ns->cx, 1, sizeof *p->name);
    p->name_node = ft_cx_alloc(ns->cx, 1, sizeof *p->name_node);
    p->name[0] = name;
    p->name_node[0] = value;
    p->n_names = 1;
    p->rest = FT_NODE_TRUE;
    uint32_t x = ft_node_new(ns, FT_N_PROPS);
    ns->v[x].props = p;
    return x;
}

uint32_t ft_props_pattern(struct ft_nodes *ns, const struct ft_dfa *keys, uint32_t value)
{
    struct ft_props *p = ft_cx_alloc(ns->cx, 1, sizeof *p);
    p->pat = ft_cx_alloc(ns->cx, 1, sizeof(*p->pat));
    p->pat_node = ft_cx_alloc(ns->cx, 1, sizeof *p->pat_node);
    p->pat[0] = keys;
    p->pat_node[0] = value;
    p->n_pats = 1;
    p->rest = FT_NODE_TRUE;
    uint32_t x = ft_node_new(ns, FT_N_PROPS);
    ns->v[x].props = p;
    return x;
}

void ft_conj_add_req(struct ft_nodes *ns, struct ft_conj *c, uint32_t name)
{
    uint32_t *v = ft_cx_alloc(ns->cx, c->n_req + 1, sizeof *v);
    size_t at = 0;
    while (at < c->n_req && c->req[at] < name)
        at++;
    if (at < c->n_req && c->req[at] == name)
        return;
    if (at > 0)
        memcpy(v, c->req, at * sizeof *v);
    v[at] = name;
    if (at < c->n_req)
        memcpy(v + at + 1, c->req + at, (c->n_req - at) * sizeof *v);
    c->req = v;
    c->n_req++;
}

static uint32_t *append_u32(struct ft_nodes *ns, const uint32_t *v, size_t n, uint32_t x)
{
    uint32_t *r = ft_cx_alloc(ns->cx, n + 1, sizeof *r);
    if (n != 0)
        memcpy(r, v, n * sizeof *r);
    r[n] = x;
    return r;
}

void ft_conj_add_props(struct ft_nodes *ns, struct ft_conj *c, uint32_t node)
{
    for (size_t i = 0; i < c->n_props; i++)
        if (c->props[i] == node)
            return;
    c->props = append_u32(ns, c->props, c->n_props, node);
    c->n_props++;
}

static void add_contains(struct ft_nodes *ns, struct ft_conjs *out, uint32_t node, uint32_t from,
                         int64_t min, int64_t max)
{
    struct ft_conj *c = conj_new(ns, FT_C_ARR);
    c->contains = ft_cx_alloc(ns->cx, 1, sizeof *c->contains);
    c->contains[0] = (struct ft_contains){node, from, min, max};
    c->n_contains = 1;
    conjs_add(ns, out, c);
}

static void add_exists(struct ft_nodes *ns, struct ft_conjs *out, const struct ft_dfa *keys,
                       uint32_t value)
{
    if (ft_dfa_empty(keys) || value == FT_NODE_FALSE)
        return;
    struct ft_conj *c = conj_new(ns, FT_C_OBJ);
    c->exists = ft_cx_alloc(ns->cx, 1, sizeof *c->exists);
    c->exists[0] = (struct ft_exists){keys, value, false};
    c->n_exists = 1;
    conjs_add(ns, out, c);
}

static void add_bounds(struct ft_nodes *ns, enum ft_conj_type t, const struct ft_node *x, bool neg,
                       struct ft_conjs *out)
{
    if (!neg) {
        struct ft_conj *c = conj_new(ns, t);
        c->min = x->min;
        c->max = x->max;
        conjs_add(ns, out, c);
        return;
    }
    if (x->min > 0) {
        struct ft_conj *c = conj_new(ns, t);
        c->max = x->min - 1;
        conjs_add(ns, out, c);
    }
    if (x->max >= 0) {
        struct ft_conj *c = conj_new(ns, t);
        c->min = x->max + 1;
        conjs_add(ns, out, c);
    }
}

static void leaf_num(struct ft_nodes *ns, const struct ft_node *x, bool neg, struct ft_conjs *out)
{
    struct ft_conj *c = conj_new(ns, FT_C_NUM);
    struct ft_numcon *n = &c->num;
    const struct ft_dec **dec = ft_cx_alloc(ns->cx, 1, sizeof(*dec));
    dec[0] = x->dec;
    switch (x->kind) {
    case FT_N_LO:
    case FT_N_HI:
        if ((x->kind == FT_N_LO) != neg) {
            n->lo = x->dec;
            n->lo_open = x->open != neg;
        } else {
            n->hi = x->dec;
            n->hi_open = x->open != neg;
        }
        break;
    case FT_N_PLAIN:
        n->plain = true;
        break;
    case FT_N_MUL:
        *(neg ? &n->not_mul : &n->mul) = dec;
        *(neg ? &n->n_not_mul : &n->n_mul) = 1;
        break;
    default:
        if (neg) {
            n->not_in = x->nums;
            n->n_not_in = x->n_nums;
        } else {
            n->has_in = true;
            n->in = x->nums;
            n->n_in = x->n_nums;
        }
    }
    conjs_add(ns, out, c);
}

static void leaf_items(struct ft_nodes *ns, uint32_t id, bool neg, struct ft_conjs *out)
{
    if (!neg) {
        struct ft_conj *c = conj_new(ns, FT_C_ARR);
        c->items = append_u32(ns, NULL, 0, id);
        c->n_items = 1;
        conjs_add(ns, out, c);
        return;
    }
    uint32_t n = ns->v[id].n_kids - 1;
    for (uint32_t i = 0; i < n; i++) { /* the element at i is there and does not fit */
        if (ns->v[id].kid[i] == FT_NODE_TRUE)
            continue;
        uint32_t *kid = ft_cx_alloc(ns->cx, i + 2, sizeof *kid);
        for (uint32_t j = 0; j < i; j++)
            kid[j] = FT_NODE_TRUE;
        kid[i] = ft_node_not(ns, ns->v[id].kid[i]);
        kid[i + 1] = FT_NODE_TRUE;
        uint32_t x = ft_node_new(ns, FT_N_ITEMS);
        ns->v[x].kid = kid;
        ns->v[x].n_kids = i + 2;
        struct ft_conj *c = conj_new(ns, FT_C_ARR);
        c->items = append_u32(ns, NULL, 0, x);
        c->n_items = 1;
        c->min = i + 1;
        conjs_add(ns, out, c);
    }
    if (ns->v[id].kid[n] != FT_NODE_TRUE)
        add_contains(ns, out, ft_node_not(ns, ns->v[id].kid[n]), n, 1, -1);
}

static void leaf_contains(struct ft_nodes *ns, const struct ft_node *x, bool neg,
                          struct ft_conjs *out)
{
    int64_t min = x->min, max = x->max;
    uint32_t kid = x->kid[0], from = x->from;
    if (!neg) {
        add_contains(ns, out, kid, from, min, max);
        return;
    }
    if (min == 1) {
        uint32_t *v = ft_cx_alloc(ns->cx, (size_t)from + 1, sizeof *v);
        for (uint32_t i = 0; i < from; i++)
            v[i] = FT_NODE_TRUE;
        v[from] = ft_node_not(ns, kid);
        uint32_t items = ft_node_new(ns, FT_N_ITEMS);
        ns->v[items].kid = v;
        ns->v[items].n_kids = from + 1;
        leaf_items(ns, items, false, out);
    } else if (min > 1) {
        add_contains(ns, out, kid, from, 0, min - 1);
    }
    if (max >= 0)
        add_contains(ns, out, kid, from, max + 1, -1);
}

static void leaf_props(struct ft_nodes *ns, uint32_t id, bool neg, struct ft_conjs *out)
{
    if (!neg) {
        struct ft_conj *c = conj_new(ns, FT_C_OBJ);
        ft_conj_add_props(ns, c, id);
        conjs_add(ns, out, c);
        return;
    }
    const struct ft_props *p = ns->v[id].props;
    struct ft_str *words = ft_cx_alloc(ns->cx, p->n_names, sizeof *words);
    for (size_t i = 0; i < p->n_names; i++) {
        words[i] = ns->names[p->name[i]];
        if (p->name_node[i] == FT_NODE_TRUE)
            continue;
        struct ft_conj *c = conj_new(ns, FT_C_OBJ);
        ft_conj_add_req(ns, c, p->name[i]);
        ft_conj_add_props(ns, c, ft_props_name(ns, p->name[i], ft_node_not(ns, p->name_node[i])));
        conjs_add(ns, out, c);
    }
    for (size_t i = 0; i < p->n_pats; i++)
        add_exists(ns, out, p->pat[i], ft_node_not(ns, p->pat_node[i]));
    if (p->rest == FT_NODE_TRUE)
        return;
    const struct ft_dfa *keys = ft_dfa_not(ns->cx, ft_dfa_words(ns->cx, words, p->n_names, false));
    for (size_t i = 0; i < p->n_pats; i++)
        keys = ft_dfa_combine(ns->cx, FT_DFA_MINUS, keys, p->pat[i]);
    add_exists(ns, out, keys, ft_node_not(ns, p->rest));
}

static void leaf_obj(struct ft_nodes *ns, uint32_t id, bool neg, struct ft_conjs *out)
{
    struct ft_conj *c;
    struct ft_node x = ns->v[id];
    switch (x.kind) {
    case FT_N_PROPS:
        leaf_props(ns, id, neg, out);
        break;
    case FT_N_REQ:
        c = conj_new(ns, FT_C_OBJ);
        if (neg)
            ft_conj_add_props(ns, c, ft_props_name(ns, x.name, FT_NODE_FALSE));
        else
            ft_conj_add_req(ns, c, x.name);
        conjs_add(ns, out, c);
        break;
    case FT_N_NPROPS:
        add_bounds(ns, FT_C_OBJ, &x, neg, out);
        break;
    case FT_N_PNAMES: {
        const struct ft_dfa *bad = ft_dfa_not(ns->cx, ft_normal_strings(ns, x.kid[0]));
        if (neg) {
            add_exists(ns, out, bad, FT_NODE_TRUE);
            break;
        }
        c = conj_new(ns, FT_C_OBJ);
        if (!ft_dfa_empty(bad))
            ft_conj_add_props(ns, c, ft_props_pattern(ns, bad, FT_NODE_FALSE));
        conjs_add(ns, out, c);
        break;
    }
    default:
        if (!neg) {
            add_exists(ns, out, x.dfa, x.kid[0]);
            break;
        }
        c = conj_new(ns, FT_C_OBJ);
        ft_conj_add_props(ns, c, ft_props_pattern(ns, x.dfa, ft_node_not(ns, x.kid[0])));
        conjs_add(ns, out, c);
    }
}

static void leaf(struct ft_nodes *ns, uint32_t id, bool neg, struct ft_conjs *out)
{
    struct ft_node x = ns->v[id]; /* a copy: making nodes may move the table */
    struct ft_conj *c;
    switch (x.kind) {
    case FT_N_LO ... FT_N_NUMSET:
        leaf_num(ns, &x, neg, out);
        break;
    case FT_N_LEN:
        add_bounds(ns, FT_C_STR, &x, neg, out);
        break;
    case FT_N_DFA:
        c = conj_new(ns, FT_C_STR);
        c->dfa = neg ? ft_dfa_not(ns->cx, x.dfa) : x.dfa;
        conjs_add(ns, out, ft_dfa_empty(c->dfa) ? NULL : c);
        break;
    case FT_N_ITEMS:
        leaf_items(ns, id, neg, out);
        break;
    case FT_N_CONTAINS:
        leaf_contains(ns, &x, neg, out);
        break;
    case FT_N_NITEMS:
        add_bounds(ns, FT_C_ARR, &x, neg, out);
        break;
    case FT_N_UNIQUE:
        if (neg)
            refuse(ns, &x, "its negation is not enforced");
        c = conj_new(ns, FT_C_ARR);
        c->unique = true;
        conjs_add(ns, out, c);
        break;
    default:
        leaf_obj(ns, id, neg, out);
    }
}

static int type_of_leaf(uint8_t kind)
{
    return kind <= FT_N_NUMSET   ? FT_C_NUM
           : kind <= FT_N_DFA    ? FT_C_STR
           : kind <= FT_N_UNIQUE ? FT_C_ARR
                                 : FT_C_OBJ;
}

/* ---- conjunction of two alternatives ---- */

static void *concat(struct ft_nodes *ns, const void *a, size_t na, const void *b, size_t nb,
                    size_t elem)
{
    char *r = ft_cx_alloc(ns->cx, na + nb, elem);
    if (na != 0)
        memcpy(r, a, na * elem);
    if (nb != 0)
        memcpy(r + na * elem, b, nb * elem);
    return r;
}

static void merge_num(struct ft_nodes *ns, struct ft_numcon *r, const struct ft_numcon *a,
                      const struct ft_numcon *b)
{
    *r = *a;
    int c = a->lo != NULL && b->lo != NULL ? ft_dec_cmp(b->lo, a->lo) : b->lo != NULL ? 1 : -1;
    if (c > 0 || (c == 0 && b->lo_open)) {
        r->lo = b->lo;
        r->lo_open = b->lo_open;
    }
    c = a->hi != NULL && b->hi != NULL ? ft_dec_cmp(b->hi, a->hi) : b->hi != NULL ? -1 : 1;
    if (c < 0 || (c == 0 && b->hi_open)) {
        r->hi = b->hi;
        r->hi_open = b->hi_open;
    }
    r->plain = a->plain || b->plain;
    if (b->integral != FT_ANY_NUMBER)
        r->integral = b->integral;
    r->mul = concat(ns, a->mul, a->n_mul, b->mul, b->n_mul, sizeof(*a->mul));
    r->n_mul = a->n_mul + b->n_mul;
    r->not_mul = concat(ns, a->not_mul, a->n_not_mul, b->not_mul, b->n_not_mul, sizeof(*a->mul));
    r->n_not_mul = a->n_not_mul + b->n_not_mul;
    r->not_in = concat(ns, a->not_in, a->n_not_in, b->not_in, b->n_not_in, sizeof(*a->not_in));
    r->n_not_in = a->n_not_in + b->n_not_in;
    if (!b->has_in)
        return;
    r->has_in = true;
    r->in = b->in;
    r->n_in = b->n_in;
    if (!a->has_in)
        return;
    r->in = ft_cx_alloc(ns->cx, a->n_in, sizeof(*r->in));
    r->n_in = 0;
    for (size_t i = 0; i < a->n_in; i++)
        for (size_t j = 0; j < b->n_in; j++)
            if (ft_jv_equal(a->in[i], b->in[j])) {
                r->in[r->n_in++] = a->in[i];
                break;
            }
}

uint32_t ft_conj_prop(struct ft_nodes *ns, const struct ft_conj *c, uint32_t name)
{
    uint32_t all = FT_NODE_TRUE;
    struct ft_str s = ns->names[name];
    for (size_t i = 0; i < c->n_props; i++) {
        const struct ft_props *p = ns->v[c->props[i]].props;
        bool matched = false;
        for (size_t j = 0; j < p->n_names; j++)
            if (p->name[j] == name) {
                all = ft_node_and2(ns, all, p->name_node[j]);
                matched = true;
            }
        for (size_t j = 0; j < p->n_pats; j++)
            if (ft_dfa_has(p->pat[j], s.p, s.n)) {
                all = ft_node_and2(ns, all, p->pat_node[j]);
                matched = true;
            }
        if (!matched)
            all = ft_node_and2(ns, all, p->rest);
        ft_cx_work(ns->cx, p->n_names + p->n_pats * (s.n + 1));
    }
    return all;
}

struct ft_conj *ft_conj_check(struct ft_nodes *ns, struct ft_conj *c)
{
    if (c->max >= 0 && c->min > c->max)
        return NULL;
    switch (c->type) {
    case FT_C_NUM: {
        if (!ft_number_possible(&c->num))
            return NULL;
        if (!c->num.has_in)
            return c;
        for (size_t i = 0; i < c->num.n_in; i++) {
            struct ft_dec d;
            if (!ft_dec_parse(c->num.in[i]->s.p, c->num.in[i]->s.n, &d) ||
                ft_number_holds(ns->cx, &c->num, &d))
                return c;
        }
        return NULL;
    }
    case FT_C_OBJ:
        if (c->max >= 0 && (int64_t)c->n_req > c->max)
            return NULL;
        for (size_t i = 0; i < c->n_req; i++)
            if (ft_node_empty(ns, ft_conj_prop(ns, c, c->req[i])))
                return NULL;
        return c;
    default:
        return c;
    }
}

static struct ft_conj *merge(struct ft_nodes *ns, const struct ft_conj *a, const struct ft_conj *b)
{
    struct ft_conj *r = ft_cx_alloc(ns->cx, 1, sizeof *r);
    *r = *a;
    ft_cx_work(ns->cx, 50);
    r->min = FT_MAX(a->min, b->min);
    r->max = a->max < 0 ? b->max : b->max < 0 ? a->max : FT_MIN(a->max, b->max);
    switch (a->type) {
    case FT_C_NUM:
        if (a->num.integral != FT_ANY_NUMBER && b->num.integral != FT_ANY_NUMBER &&
            a->num.integral != b->num.integral)
            return NULL;
        merge_num(ns, &r->num, &a->num, &b->num);
        break;
    case FT_C_STR:
        if (a->dfa == NULL)
            r->dfa = b->dfa;
        else if (b->dfa != NULL && a->dfa != b->dfa)
            r->dfa = ft_dfa_combine(ns->cx, FT_DFA_AND, a->dfa, b->dfa);
        if (r->dfa != NULL && ft_dfa_empty(r->dfa))
            return NULL;
        break;
    case FT_C_ARR:
        r->items = concat(ns, a->items, a->n_items, b->items, b->n_items, sizeof *r->items);
        r->n_items = a->n_items + b->n_items;
        r->contains =
            concat(ns, a->contains, a->n_contains, b->contains, b->n_contains, sizeof *r->contains);
        r->n_contains = a->n_contains + b->n_contains;
        r->unique = a->unique || b->unique;
        break;
    case FT_C_OBJ:
        for (size_t i = 0; i < b->n_props; i++)
            ft_conj_add_props(ns, r, b->props[i]);
        for (size_t i = 0; i < b->n_req; i++)
            ft_conj_add_req(ns, r, b->req[i]);
        r->exists = concat(ns, a->exists, a->n_exists, b->exists, b->n_exists, sizeof *r->exists);
        r->n_exists = a->n_exists + b->n_exists;
    }
    return ft_conj_check(ns, r);
}

/* ---- the expression ---- */

static void normal(struct ft_nodes *ns, enum ft_conj_type t, uint32_t id, bool neg,
                   struct ft_conjs *out);

/* Exactly one of the kids, in terms of AND, OR and NOT. */
static uint32_t lower_one(struct ft_nodes *ns, uint32_t id)
{
    if (ns->v[id].lowered != 0)
        return ns->v[id].lowered;
    uint32_t n = ns->v[id].n_kids, *kid = ns->v[id].kid;
    uint32_t *alt = ft_cx_alloc(ns->cx, n, sizeof *alt), *all = ft_cx_alloc(ns->cx, n, sizeof *all);
    bool *apart = ft_cx_alloc(ns->cx, (size_t)n * n, sizeof *apart);
    for (uint32_t i = 0; i < n; i++)
        for (uint32_t j = 0; j < i; j++)
            apart[i * n + j] = apart[j * n + i] =
                ft_node_empty(ns, ft_node_and2(ns, kid[i], kid[j]));
    for (uint32_t i = 0; i < n; i++) {
        size_t m = 0;
        all[m++] = kid[i];
        for (uint32_t j = 0; j < n; j++)
            if (j != i && !apart[i * n + j])
                all[m++] = ft_node_not(ns, kid[j]);
        alt[i] = ft_node_and(ns, all, m);
    }
    uint32_t r = ft_node_or(ns, alt, n);
    ns->v[id].lowered = r;
    return r;
}

static void cross(struct ft_nodes *ns, enum ft_conj_type t, const uint32_t *kid, uint32_t n,
                  bool neg, struct ft_conjs *out)
{
    struct ft_conjs acc = {NULL, 0, 0}, own, next;
    conjs_add(ns, &acc, conj_new(ns, t));
    /* Types first: they decide most. Then as they stand. */
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < n && acc.n > 0; i++) {
            if ((ns->v[kid[i]].kind == FT_N_TYPE) != (pass == 0))
                continue;
            own = next = (struct ft_conjs){NULL, 0, 0};
            normal(ns, t, kid[i], neg, &own);
            if (acc.n * own.n > PRODUCT_MAX)
                refuse(ns, &ns->v[kid[i]], "too many alternatives");
            for (size_t a = 0; a < acc.n; a++)
                for (size_t b = 0; b < own.n; b++)
                    conjs_add(ns, &next, merge(ns, acc.v[a], own.v[b]));
            acc = next;
        }
    for (size_t i = 0; i < acc.n; i++)
        conjs_add(ns, out, acc.v[i]);
}

static void normal_type(struct ft_nodes *ns, enum ft_conj_type t, unsigned mask,
                        struct ft_conjs *out)
{
    static const unsigned bits[] = {FT_T_NUM, FT_T_STR, FT_T_ARR, FT_T_OBJ};
    if ((mask & bits[t]) == 0)
        return;
    struct ft_conj *c = conj_new(ns, t);
    if (t == FT_C_NUM && (mask & FT_T_NUM) != FT_T_NUM)
        c->num.integral = (mask & FT_T_INT) != 0 ? FT_INTEGER : FT_NOT_INTEGER;
    conjs_add(ns, out, c);
}

static void normal(struct ft_nodes *ns, enum ft_conj_type t, uint32_t id, bool neg,
                   struct ft_conjs *out)
{
    const struct ft_node x = ns->v[id];
    ft_cx_work(ns->cx, 10);
    if (++ns->depth > DEPTH_MAX)
        refuse(ns, &x, "a reference leads back to itself without a value in between");
    switch (x.kind) {
    case FT_N_TRUE:
    case FT_N_FALSE:
        if ((x.kind == FT_N_TRUE) != neg)
            conjs_add(ns, out, conj_new(ns, t));
        break;
    case FT_N_REF:
    case FT_N_NOT:
        normal(ns, t, x.kid[0], neg != (x.kind == FT_N_NOT), out);
        break;
    case FT_N_AND:
    case FT_N_OR:
        if ((x.kind == FT_N_AND) != neg)
            cross(ns, t, x.kid, x.n_kids, neg, out);
        else
            for (uint32_t i = 0; i < x.n_kids; i++)
                normal(ns, t, x.kid[i], neg, out);
        break;
    case FT_N_ONE:
        normal(ns, t, lower_one(ns, id), neg, out);
        break;
    case FT_N_TYPE:
        normal_type(ns, t, neg ? FT_T_ALL & ~(unsigned)x.mask : x.mask, out);
        break;
    default:
        if (type_of_leaf(x.kind) == (int)t)
            leaf(ns, id, neg, out);
        else if (!neg) /* says nothing about this type */
            conjs_add(ns, out, conj_new(ns, t));
    }
    ns->depth--;
}

static bool same(const struct ft_conj *a, const struct ft_conj *b)
{
    return a->min == b->min && a->max == b->max && a->n_items == b->n_items &&
           a->n_contains == b->n_contains && a->unique == b->unique && a->n_props == b->n_props &&
           a->n_req == b->n_req && a->n_exists == b->n_exists &&
           (a->n_items == 0 || memcmp(a->items, b->items, a->n_items * sizeof *a->items) == 0) &&
           (a->n_props == 0 || memcmp(a->props, b->props, a->n_props * sizeof *a->props) == 0) &&
           (a->n_req == 0 || memcmp(a->req, b->req, a->n_req * sizeof *a->req) == 0) &&
           (a->n_contains == 0 ||
            memcmp(a->contains, b->contains, a->n_contains * sizeof *a->contains) == 0) &&
           (a->n_exists == 0 || memcmp(a->exists, b->exists, a->n_exists * sizeof *a->exists) == 0);
}

void ft_normal(struct ft_nodes *ns, enum ft_conj_type t, uint32_t node, struct ft_conjs *out)
{
    struct ft_conjs all = {NULL, 0, 0};
    normal(ns, t, node, false, &all);
    for (size_t i = 0; i < all.n; i++) {
        struct ft_conj *c = ft_conj_check(ns, all.v[i]);
        for (size_t j = 0; c != NULL && (t == FT_C_ARR || t == FT_C_OBJ) && j < out->n; j++)
            if (same(c, out->v[j]))
                c = NULL;
        conjs_add(ns, out, c);
        ft_cx_work(ns->cx, out->n);
    }
    if (out->n > FT_ALTS_MAX)
        refuse(ns, &ns->v[node], "too many alternatives");
}

static unsigned simple(struct ft_nodes *ns, uint32_t id)
{
    const unsigned all = FT_T_NULL | FT_T_BOOL;
    const struct ft_node x = ns->v[id];
    unsigned r = all;
    if (++ns->depth > DEPTH_MAX)
        refuse(ns, &x, "a reference leads back to itself without a value in between");
    switch (x.kind) {
    case FT_N_FALSE:
        r = 0;
        break;
    case FT_N_REF:
        r = simple(ns, x.kid[0]);
        break;
    case FT_N_NOT:
        r = all & ~simple(ns, x.kid[0]);
        break;
    case FT_N_AND:
        for (uint32_t i = 0; i < x.n_kids; i++)
            r &= simple(ns, x.kid[i]);
        break;
    case FT_N_OR:
        r = 0;
        for (uint32_t i = 0; i < x.n_kids; i++)
            r |= simple(ns, x.kid[i]);
        break;
    case FT_N_ONE: {
        unsigned once = 0, twice = 0;
        for (uint32_t i = 0; i < x.n_kids; i++) {
            unsigned k = simple(ns, x.kid[i]);
            twice |= once & k;
            once |= k;
        }
        r = once & ~twice;
        break;
    }
    case FT_N_TYPE:
        r = x.mask & all;
        break;
    default:
        break;
    }
    ns->depth--;
    return r;
}

unsigned ft_normal_simple(struct ft_nodes *ns, uint32_t node)
{
    return simple(ns, node);
}

bool ft_node_empty(struct ft_nodes *ns, uint32_t node)
{
    if (node == FT_NODE_FALSE)
        return true;
    uint8_t memo = ns->v[node].empty_memo;
    if (memo != 0 || ns->level >= EMPTY_DEPTH)
        return memo == 3;
    ns->v[node].empty_memo = 1; /* asked again meanwhile: not known to be empty */
    ns->level++;
    bool empty = simple(ns, node) == 0;
    for (int t = FT_C_NUM; t <= FT_C_OBJ && empty; t++) {
        struct ft_conjs v = {NULL, 0, 0};
        int depth = ns->depth;
        normal(ns, (enum ft_conj_type)t, node, false, &v);
        ns->depth = depth;
        for (size_t i = 0; i < v.n && empty; i++)
            empty = ft_conj_check(ns, v.v[i]) == NULL;
    }
    ns->level--;
    ns->v[node].empty_memo = empty ? 3 : 2;
    return empty;
}

const struct ft_dfa *ft_normal_strings(struct ft_nodes *ns, uint32_t node)
{
    struct ft_conjs v = {NULL, 0, 0};
    const struct ft_dfa *all = ft_dfa_words(ns->cx, NULL, 0, false);
    ft_normal(ns, FT_C_STR, node, &v);
    for (size_t i = 0; i < v.n; i++) {
        const struct ft_dfa *d = v.v[i]->dfa != NULL ? v.v[i]->dfa : ns->any;
        if (v.v[i]->min > 0 || v.v[i]->max >= 0)
            d = ft_dfa_combine(ns->cx, FT_DFA_AND, d,
                               ft_dfa_lengths(ns->cx, v.v[i]->min, v.v[i]->max));
        all = ft_dfa_combine(ns->cx, FT_DFA_OR, all, d);
    }
    return all;
}
