/* Nodes: making and simplifying them. See node.h. */
#include "engine/constrain/node.h"

#include <stdlib.h>
#include <string.h>

#include "engine/constrain/regex.h"

#define KIDS_MAX 4096

static void refuse(struct ft_nodes *ns, const char *why)
{
    ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: %s", ns->cx->what != NULL ? ns->cx->what : "schema",
               why);
}

uint32_t ft_node_new(struct ft_nodes *ns, enum ft_node_kind kind)
{
    if (ns->n >= FT_NODES_MAX)
        refuse(ns, "the schema is too complex");
    FT_GROW(ns->cx, ns->v, ns->n, ns->cap);
    struct ft_node *x = &ns->v[ns->n];
    memset(x, 0, sizeof *x);
    x->kind = (uint8_t)kind;
    x->max = -1;
    x->where = ns->cx->what;
    return (uint32_t)ns->n++;
}

void ft_nodes_init(struct ft_nodes *ns, struct ft_cx *cx)
{
    memset(ns, 0, sizeof *ns);
    ns->cx = cx;
    ft_node_new(ns, FT_N_FALSE); /* id 0 is no node */
    ft_node_new(ns, FT_N_TRUE);
    ft_node_new(ns, FT_N_FALSE);
    ns->any = ft_dfa_any(cx);
}

static uint64_t node_hash(const struct ft_node *x)
{
    uint64_t h = (uint64_t)x->kind << 20 ^ x->mask;
    for (uint32_t i = 0; i < x->n_kids; i++) {
        h = (h ^ x->kid[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h * 0x9e3779b97f4a7c15u >> 7;
}

/* An existing node with the same kind, mask and kids, or a new one. */
static uint32_t intern(struct ft_nodes *ns, enum ft_node_kind kind, unsigned mask,
                       const uint32_t *kid, size_t n)
{
    if (ns->n * 2 >= ns->slots) {
        size_t slots = ns->slots != 0 ? ns->slots * 4 : 1024;
        uint32_t *slot = ft_cx_alloc(ns->cx, slots, sizeof *slot);
        for (size_t i = 0; i < ns->slots; i++)
            if (ns->slot[i] != 0) {
                size_t at = node_hash(&ns->v[ns->slot[i]]) & (slots - 1);
                while (slot[at] != 0)
                    at = (at + 1) & (slots - 1);
                slot[at] = ns->slot[i];
            }
        ns->slot = slot;
        ns->slots = slots;
    }
    struct ft_node key = {.kind = (uint8_t)kind, .mask = (uint16_t)mask, .n_kids = (uint32_t)n};
    key.kid = (uint32_t *)(uintptr_t)kid;
    size_t at = node_hash(&key) & (ns->slots - 1);
    for (; ns->slot[at] != 0; at = (at + 1) & (ns->slots - 1)) {
        const struct ft_node *x = &ns->v[ns->slot[at]];
        if (x->kind == kind && x->mask == mask && x->n_kids == n &&
            (n == 0 || memcmp(x->kid, kid, n * sizeof *kid) == 0))
            return ns->slot[at];
    }
    uint32_t id = ft_node_new(ns, kind);
    ns->v[id].mask = (uint16_t)mask;
    ns->v[id].n_kids = (uint32_t)n;
    if (n != 0) {
        ns->v[id].kid = ft_cx_alloc(ns->cx, n, sizeof *kid);
        memcpy(ns->v[id].kid, kid, n * sizeof *kid);
    }
    ns->slot[at] = id;
    return id;
}

uint32_t ft_node_type(struct ft_nodes *ns, unsigned mask)
{
    if (mask == FT_T_ALL)
        return FT_NODE_TRUE;
    return mask == 0 ? FT_NODE_FALSE : intern(ns, FT_N_TYPE, mask, NULL, 0);
}

uint32_t ft_node_not(struct ft_nodes *ns, uint32_t a)
{
    const struct ft_node *x = &ns->v[a];
    switch (x->kind) {
    case FT_N_TRUE:
        return FT_NODE_FALSE;
    case FT_N_FALSE:
        return FT_NODE_TRUE;
    case FT_N_NOT:
        return x->kid[0];
    case FT_N_TYPE:
        return ft_node_type(ns, FT_T_ALL & ~(unsigned)x->mask);
    default:
        return intern(ns, FT_N_NOT, 0, &a, 1);
    }
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* AND and OR are each other's mirror: `zero` absorbs, `one` vanishes. */
static uint32_t join(struct ft_nodes *ns, enum ft_node_kind kind, const uint32_t *v, size_t n)
{
    bool is_and = kind == FT_N_AND;
    uint32_t zero = is_and ? FT_NODE_FALSE : FT_NODE_TRUE,
             one = is_and ? FT_NODE_TRUE : FT_NODE_FALSE;
    size_t total = n, m = 0;
    for (size_t i = 0; i < n; i++)
        if (ns->v[v[i]].kind == kind)
            total += ns->v[v[i]].n_kids;
    if (total > KIDS_MAX)
        refuse(ns, "too many parts");
    uint32_t *flat = ft_cx_alloc(ns->cx, total + 1, sizeof *flat);
    unsigned mask = is_and ? FT_T_ALL : 0;
    bool has_mask = false;
    for (size_t i = 0; i < n; i++) {
        const struct ft_node *x = &ns->v[v[i]];
        const uint32_t *kid = x->kind == kind ? x->kid : &v[i];
        for (size_t j = 0, k = x->kind == kind ? x->n_kids : 1; j < k; j++) {
            const struct ft_node *y = &ns->v[kid[j]];
            if (kid[j] == zero)
                return zero;
            if (kid[j] == one)
                continue;
            if (y->kind == FT_N_TYPE) {
                mask = is_and ? mask & y->mask : mask | y->mask;
                has_mask = true;
            } else {
                flat[m++] = kid[j];
            }
        }
    }
    if (has_mask) {
        uint32_t t = ft_node_type(ns, mask);
        if (t == zero)
            return zero;
        if (t != one)
            flat[m++] = t;
    }
    qsort(flat, m, sizeof *flat, cmp_u32);
    size_t k = 0;
    for (size_t i = 0; i < m; i++)
        if (k == 0 || flat[k - 1] != flat[i])
            flat[k++] = flat[i];
    for (size_t i = 0; i < k; i++) { /* x and not x */
        const struct ft_node *x = &ns->v[flat[i]];
        if (x->kind == FT_N_NOT && bsearch(&x->kid[0], flat, k, sizeof *flat, cmp_u32) != NULL)
            return zero;
    }
    ft_cx_work(ns->cx, total * 4);
    return k == 0 ? one : k == 1 ? flat[0] : intern(ns, kind, 0, flat, k);
}

uint32_t ft_node_and(struct ft_nodes *ns, const uint32_t *v, size_t n)
{
    return join(ns, FT_N_AND, v, n);
}

uint32_t ft_node_or(struct ft_nodes *ns, const uint32_t *v, size_t n)
{
    return join(ns, FT_N_OR, v, n);
}

static uint64_t str_hash(struct ft_str s)
{
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < s.n; i++)
        h = (h ^ (unsigned char)s.p[i]) * 1099511628211u;
    return h ^ h >> 29;
}

uint32_t ft_node_name(struct ft_nodes *ns, struct ft_str s)
{
    if (ns->n_names * 2 >= ns->name_slots) {
        size_t slots = ns->name_slots != 0 ? ns->name_slots * 4 : 256;
        uint32_t *slot = ft_cx_alloc(ns->cx, slots, sizeof *slot);
        for (size_t i = 0; i < ns->n_names; i++) {
            size_t at = str_hash(ns->names[i]) & (slots - 1);
            while (slot[at] != 0)
                at = (at + 1) & (slots - 1);
            slot[at] = (uint32_t)i + 1;
        }
        ns->name_slot = slot;
        ns->name_slots = slots;
    }
    size_t at = str_hash(s) & (ns->name_slots - 1);
    for (; ns->name_slot[at] != 0; at = (at + 1) & (ns->name_slots - 1)) {
        const struct ft_str *o = &ns->names[ns->name_slot[at] - 1];
        if (o->n == s.n && memcmp(o->p, s.p, s.n) == 0)
            return ns->name_slot[at] - 1;
    }
    FT_GROW(ns->cx, ns->names, ns->n_names, ns->names_cap);
    ns->names[ns->n_names] = s;
    ns->name_slot[at] = (uint32_t)ns->n_names + 1;
    return (uint32_t)ns->n_names++;
}

const struct ft_dfa *ft_node_regex(struct ft_nodes *ns, const char *re, size_t n, bool search)
{
    for (size_t i = 0; i < ns->n_res; i++)
        if (ns->res[i].n == n && ns->res[i].search == search && memcmp(ns->res[i].re, re, n) == 0)
            return ns->res[i].d;
    FT_GROW(ns->cx, ns->res, ns->n_res, ns->res_cap);
    const struct ft_dfa *d = ft_regex_dfa(ns->cx, re, n, search);
    ns->res[ns->n_res].re = re;
    ns->res[ns->n_res].n = n;
    ns->res[ns->n_res].search = search;
    ns->res[ns->n_res++].d = d;
    return d;
}

static uint32_t const_array(struct ft_nodes *ns, const struct ft_jv *v)
{
    uint32_t *kid = ft_cx_alloc(ns->cx, v->n + 1, sizeof *kid);
    for (size_t i = 0; i < v->n; i++)
        kid[i] = ft_node_const(ns, v->v[i]);
    kid[v->n] = FT_NODE_FALSE;
    uint32_t items = ft_node_new(ns, FT_N_ITEMS), size = ft_node_new(ns, FT_N_NITEMS);
    ns->v[items].kid = kid;
    ns->v[items].n_kids = (uint32_t)v->n + 1;
    ns->v[size].min = ns->v[size].max = (int64_t)v->n;
    uint32_t all[3] = {ft_node_type(ns, FT_T_ARR), items, size};
    return ft_node_and(ns, all, 3);
}

static uint32_t const_object(struct ft_nodes *ns, const struct ft_jv *v)
{
    struct ft_props *p = ft_cx_alloc(ns->cx, 1, sizeof *p);
    p->name = ft_cx_alloc(ns->cx, v->n, sizeof *p->name);
    p->name_node = ft_cx_alloc(ns->cx, v->n, sizeof *p->name_node);
    uint32_t *all = ft_cx_alloc(ns->cx, v->n + 2, sizeof *all);
    size_t n = 0;
    for (size_t i = 0; i < v->n; i++) {
        if (ft_jv_get_n(v, v->k[i].p, v->k[i].n) != v->v[i])
            continue; /* a key given twice: the last one counts */
        p->name[p->n_names] = ft_node_name(ns, v->k[i]);
        p->name_node[p->n_names] = ft_node_const(ns, v->v[i]);
        all[n] = ft_node_new(ns, FT_N_REQ);
        ns->v[all[n++]].name = p->name[p->n_names++];
    }
    p->rest = FT_NODE_FALSE;
    all[n] = ft_node_new(ns, FT_N_PROPS);
    ns->v[all[n++]].props = p;
    all[n++] = ft_node_type(ns, FT_T_OBJ);
    return ft_node_and(ns, all, n);
}

/* Depth is bounded by the reader's (FT_JDOC_DEPTH_MAX). */
uint32_t ft_node_const(struct ft_nodes *ns, const struct ft_jv *v)
{
    uint32_t x;
    switch (v->kind) {
    case FT_JV_NULL:
        return ft_node_type(ns, FT_T_NULL);
    case FT_JV_TRUE:
        return ft_node_type(ns, FT_T_TRUE);
    case FT_JV_FALSE:
        return ft_node_type(ns, FT_T_FALSE);
    case FT_JV_NUM:
        x = ft_node_new(ns, FT_N_NUMSET);
        ns->v[x].nums = ft_cx_alloc(ns->cx, 1, sizeof(v));
        ns->v[x].nums[0] = v;
        ns->v[x].n_nums = 1;
        return ft_node_and2(ns, ft_node_type(ns, FT_T_NUM), x);
    case FT_JV_STR:
        x = ft_node_new(ns, FT_N_DFA);
        ns->v[x].dfa = ft_dfa_words(ns->cx, &v->s, 1, false);
        return ft_node_and2(ns, ft_node_type(ns, FT_T_STR), x);
    case FT_JV_ARR:
        return const_array(ns, v);
    default:
        return const_object(ns, v);
    }
}
