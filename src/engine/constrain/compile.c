/* Nodes to tables. See tables.h and compile.h.
 *
 * 1. Every node that describes a value becomes a raw value: its alternatives per type, whose parts
 *    name further values. A queue visits each once, so recursion in the schema costs nothing.
 * 2. Which values exist, and in how few levels, is found in rounds: in round h those that can be
 *    built from values of earlier rounds (a least fixed point). What is never built does not exist.
 * 3. The tables are written with everything that does not exist left out. */
#include "engine/constrain/compile.h"

#include <string.h>

#define VALUES_MAX  60000
#define PREFIX_MAX  2000
#define COUNTED_MIN 4000 /* a bound on length that would cost more states than this is counted */

static void refuse(struct ft_compiler *c, const char *why)
{
    ft_cx_fail(c->cx, FT_EUNSUPPORTED, "%s: %s", c->cx->what != NULL ? c->cx->what : "schema", why);
}

uint32_t ft_compile_val(struct ft_compiler *c, uint32_t node)
{
    for (int i = 0; i < 100 && c->ns.v[node].kind == FT_N_REF; i++)
        node = c->ns.v[node].kid[0];
    if (node == FT_NODE_FALSE)
        return 0;
    if (c->ns.v[node].val != 0)
        return c->ns.v[node].val;
    if (c->n_vals >= VALUES_MAX)
        refuse(c, "the schema is too complex");
    FT_GROW(c->cx, c->vals, c->n_vals, c->vals_cap);
    struct ft_raw_val *v = &c->vals[c->n_vals];
    memset(v, 0, sizeof *v);
    v->node = node;
    v->height = UINT16_MAX;
    c->ns.v[node].val = (uint32_t)c->n_vals;
    return (uint32_t)c->n_vals++;
}

/* ---- strings and numbers ---- */

static void compile_strings(struct ft_compiler *c, uint32_t node, struct ft_raw_val *v)
{
    struct ft_conjs all = {NULL, 0, 0};
    ft_normal(&c->ns, FT_C_STR, node, &all);
    const struct ft_dfa *fixed = NULL;
    v->strs = ft_cx_alloc(c->cx, all.n + 1, sizeof *v->strs);
    for (size_t i = 0; i < all.n; i++) {
        const struct ft_conj *x = all.v[i];
        if (x->dfa == NULL || ft_dfa_is_any(x->dfa)) {
            bool dup = false;
            for (size_t j = 0; j < v->n_strs; j++)
                dup = dup || (v->strs[j].min == x->min && v->strs[j].max == x->max);
            if (!dup)
                v->strs[v->n_strs++] = (struct ft_jstr){c->ns.any, x->min, x->max, true, 0};
            continue;
        }
        const struct ft_dfa *d = x->dfa;
        if (x->min > 0)
            d = ft_dfa_combine(c->cx, FT_DFA_AND, d, ft_dfa_lengths(c->cx, x->min, -1));
        if (x->max >= 0 && (uint64_t)x->max * d->n_states > COUNTED_MIN) {
            if (ft_dfa_shortest(c->cx, d) <= x->max)
                v->strs[v->n_strs++] = (struct ft_jstr){d, 0, x->max, false, 0};
            continue;
        }
        if (x->max >= 0)
            d = ft_dfa_combine(c->cx, FT_DFA_AND, d, ft_dfa_lengths(c->cx, 0, x->max));
        fixed = fixed == NULL ? d : ft_dfa_combine(c->cx, FT_DFA_OR, fixed, d);
    }
    if (fixed != NULL && !ft_dfa_empty(fixed))
        v->strs[v->n_strs++] = (struct ft_jstr){fixed, 0, -1, false, 0};
    for (size_t i = 0; i < v->n_strs; i++) /* all strings: nothing else matters */
        if (v->strs[i].any && v->strs[i].min == 0 && v->strs[i].max < 0) {
            v->strs[0] = v->strs[i];
            v->n_strs = 1;
        }
}

static void compile_numbers(struct ft_compiler *c, uint32_t node, struct ft_raw_val *v)
{
    struct ft_conjs all = {NULL, 0, 0};
    ft_normal(&c->ns, FT_C_NUM, node, &all);
    const struct ft_dfa *d = NULL;
    for (size_t i = 0; i < all.n; i++) {
        const struct ft_dfa *one = ft_number_dfa(c->cx, &all.v[i]->num);
        d = d == NULL ? one : ft_dfa_combine(c->cx, FT_DFA_OR, d, one);
    }
    v->num = d != NULL && !ft_dfa_empty(d) ? d : NULL;
}

/* ---- arrays ---- */

static uint32_t element_node(struct ft_compiler *c, const struct ft_conj *x, uint32_t i)
{
    uint32_t all = FT_NODE_TRUE;
    for (size_t k = 0; k < x->n_items; k++) {
        const struct ft_node *n = &c->ns.v[x->items[k]];
        all = ft_node_and2(&c->ns, all, n->kid[FT_MIN(i, n->n_kids - 1)]);
    }
    return all;
}

/* Values for element i, for every set g of facts that it establishes. */
static void element_vals(struct ft_compiler *c, const struct ft_conj *x, struct ft_jarr *a,
                         uint32_t i)
{
    uint32_t base = element_node(c, x, i), n = a->n_exists;
    for (uint32_t g = 0; g < 1u << n; g++) {
        uint32_t node = base;
        bool possible = true;
        for (uint32_t e = 0; e < n; e++) {
            bool in = (g >> e & 1) != 0, counts = i >= a->from[e];
            possible = possible && (!in || counts);
            if (in)
                node = ft_node_and2(&c->ns, node, x->contains[e].node);
            else if (counts && x->contains[e].max >= 0)
                node = ft_node_and2(&c->ns, node, ft_node_not(&c->ns, x->contains[e].node));
        }
        a->val[((size_t)i << n) + g] = possible ? ft_compile_val(c, node) : 0;
    }
}

/* Elements that differ: compared as texts, so only values whose equality is that of one text. An
 * array whose elements may also be arrays or objects gets the others only (fewer texts, never a
 * wrong one); if they can be nothing else it is refused. */
static void unique_array(struct ft_compiler *c, const struct ft_conj *x, struct ft_jarr *a)
{
    if (a->n_prefix > 0 || a->n_exists > 0)
        ft_cx_fail(c->cx, FT_EUNSUPPORTED, "%s: uniqueItems beside prefixItems or contains",
                   c->cx->what);
    uint32_t scalars = ft_node_type(&c->ns, FT_T_ALL & ~(unsigned)(FT_T_ARR | FT_T_OBJ));
    uint32_t all = element_node(c, x, 0), node = ft_node_and2(&c->ns, all, scalars);
    if (ft_node_empty(&c->ns, node) && !ft_node_empty(&c->ns, all))
        ft_cx_fail(c->cx, FT_EUNSUPPORTED, "%s: uniqueItems of arrays or objects is not enforced",
                   c->cx->what != NULL ? c->cx->what : "uniqueItems");
    if (c->plain == 0)
        c->plain = ft_node_new(&c->ns, FT_N_PLAIN);
    a->val[0] = ft_compile_val(c, ft_node_and2(&c->ns, node, c->plain));
    a->max = a->max < 0 ? FT_KEYS_MAX : FT_MIN(a->max, (int64_t)FT_KEYS_MAX);
}

/* How many different elements there are, at most FT_DFA_COUNT_MAX. */
static int64_t distinct(const struct ft_compiler *c, const struct ft_raw_val *v)
{
    int64_t n = __builtin_popcount(v->simple);
    for (size_t i = 0; i < v->n_strs; i++)
        n += v->strs[i].max == 0 ? 1 : ft_dfa_count(c->cx, v->strs[i].d, 0);
    return n + (v->num != NULL ? ft_dfa_count(c->cx, v->num, 0) : 0);
}

static void compile_array(struct ft_compiler *c, const struct ft_conj *x, struct ft_raw_val *v)
{
    struct ft_raw_arr *r = ft_cx_alloc(c->cx, 1, sizeof *r);
    struct ft_jarr *a = &r->a;
    r->height = UINT16_MAX;
    a->min = x->min;
    a->max = x->max;
    a->unique = x->unique && (x->max < 0 || x->max > 1);
    a->n_exists = (uint32_t)x->n_contains;
    for (size_t k = 0; k < x->n_items; k++)
        a->n_prefix = FT_MAX(a->n_prefix, c->ns.v[x->items[k]].n_kids - 1);
    if (a->n_exists > FT_EXISTS_MAX)
        refuse(c, "too many `contains` in one array");
    for (uint32_t e = 0; e < a->n_exists; e++) {
        a->from[e] = x->contains[e].from;
        a->n_prefix = FT_MAX(a->n_prefix, a->from[e]);
        a->counted = a->counted || x->contains[e].min != 1 || x->contains[e].max >= 0;
    }
    if (a->counted &&
        (a->n_exists > 1 || x->contains[0].min > FT_KEYS_MAX || x->contains[0].max > FT_KEYS_MAX))
        refuse(c, "minContains or maxContains beside other `contains`");
    if (a->counted) {
        a->ex_min = x->contains[0].min;
        a->ex_max = x->contains[0].max;
    }
    if (a->n_prefix > PREFIX_MAX)
        refuse(c, "too many element positions");
    size_t cells = (size_t)(a->n_prefix + 1) << a->n_exists;
    a->val = ft_cx_alloc(c->cx, cells, sizeof *a->val);
    a->need = ft_cx_alloc(c->cx, cells, sizeof *a->need);
    if (a->unique)
        unique_array(c, x, a);
    for (uint32_t i = 0; i <= a->n_prefix && !a->unique; i++)
        element_vals(c, x, a, i);
    FT_GROW(c->cx, v->arrs, v->n_arrs, v->arrs_cap);
    v->arrs[v->n_arrs++] = r;
}

/* need[i][p]: the fewest further elements, from position i on, that establish the facts p. */
static void array_needs(const struct ft_compiler *c, const struct ft_jarr *a, unsigned height,
                        uint16_t *need)
{
    uint32_t n = a->n_exists, sets = 1u << n;
    for (uint32_t i = a->n_prefix + 1; i-- > 0;) {
        uint16_t *own = need + ((size_t)i << n);
        const uint16_t *later = i == a->n_prefix ? own : own + sets;
        own[0] = 0;
        for (uint32_t p = 1; p < sets; p++) {
            unsigned best = UINT16_MAX;
            for (uint32_t g = 0; g < sets; g++)
                if ((g & ~p) == 0 && (g != 0 || i < a->n_prefix) &&
                    ft_val_exists(c, a->val[((size_t)i << n) + g], height))
                    best = FT_MIN(best, 1u + later[p & ~g]);
            own[p] = (uint16_t)FT_MIN(best, (unsigned)UINT16_MAX);
        }
    }
}

/* How many elements there can be, given which exist. */
static int64_t array_max(const struct ft_compiler *c, const struct ft_jarr *a, unsigned height)
{
    for (uint32_t i = 0; i <= a->n_prefix; i++) {
        bool some = false;
        for (uint32_t g = 0; g < 1u << a->n_exists && !some; g++)
            some = ft_val_exists(c, a->val[((size_t)i << a->n_exists) + g], height);
        if (!some)
            return a->max < 0 ? i : FT_MIN(a->max, (int64_t)i);
    }
    return a->max;
}

static bool array_exists(const struct ft_compiler *c, const struct ft_jarr *a, unsigned height)
{
    int64_t max = array_max(c, a, height);
    if (max >= 0 && a->min > max)
        return false;
    if (a->unique && a->min > 1 && a->min > distinct(c, &c->vals[a->val[0]]))
        return false;
    if (a->n_exists == 0)
        return true;
    uint32_t n = a->n_exists, all = (1u << n) - 1;
    if (a->counted) {
        const uint32_t *rest = a->val + ((size_t)a->n_prefix << n);
        if (a->ex_max >= 0) /* every element must be able not to count */
            for (uint32_t i = 0; i <= a->n_prefix && (max < 0 || i < max); i++)
                if (!ft_val_exists(c, a->val[(size_t)i << n], height))
                    return false;
        if (a->ex_max >= 0 && a->ex_min > a->ex_max)
            return false;
        return a->ex_min == 0 ||
               (ft_val_exists(c, rest[1], height) && (max < 0 || a->n_prefix + a->ex_min <= max));
    }
    array_needs(c, a, height, a->need);
    return a->need[all] != UINT16_MAX && (max < 0 || a->need[all] <= max);
}

/* ---- values ---- */

static void compile_one(struct ft_compiler *c, size_t i)
{
    struct ft_raw_val v = c->vals[i]; /* the table moves while values are added */
    uint32_t node = v.node;
    if (c->ns.v[node].where != NULL)
        c->cx->what = c->ns.v[node].where;
    v.simple = ft_normal_simple(&c->ns, node);
    compile_strings(c, node, &v);
    compile_numbers(c, node, &v);
    struct ft_conjs arrs = {NULL, 0, 0};
    ft_normal(&c->ns, FT_C_ARR, node, &arrs);
    for (size_t k = 0; k < arrs.n; k++)
        compile_array(c, arrs.v[k], &v);
    ft_compile_objects(c, node, &v);
    c->vals[i] = v;
}

/* Round `h`: which values exist with that many levels. Returns whether any was found. */
static bool find_heights(struct ft_compiler *c, unsigned h)
{
    bool found = false;
    for (size_t i = 1; i < c->n_vals; i++) {
        struct ft_raw_val *v = &c->vals[i];
        if (h == 0) {
            if (v->simple != 0 || v->n_strs != 0 || v->num != NULL)
                v->height = 0;
            found = found || v->height == 0;
            continue;
        }
        for (size_t k = 0; k < v->n_arrs; k++)
            if (v->arrs[k]->height == UINT16_MAX && array_exists(c, &v->arrs[k]->a, h)) {
                v->arrs[k]->height = (uint16_t)h;
                found = true;
            }
        for (size_t k = 0; k < v->n_objs; k++)
            if (v->objs[k]->height == UINT16_MAX && ft_raw_obj_exists(c, v->objs[k], h)) {
                v->objs[k]->height = (uint16_t)h;
                found = true;
            }
        ft_cx_work(c->cx, 20 * (v->n_arrs + v->n_objs + 1));
    }
    /* Values only after all of the round's parts, so that a level counts once. */
    for (size_t i = 1; i < c->n_vals && h > 0; i++) {
        struct ft_raw_val *v = &c->vals[i];
        for (size_t k = 0; k < v->n_arrs; k++)
            v->height = FT_MIN(v->height, v->arrs[k]->height);
        for (size_t k = 0; k < v->n_objs; k++)
            v->height = FT_MIN(v->height, v->objs[k]->height);
    }
    return found;
}

/* ---- writing the tables ---- */

const struct ft_dfa *ft_compile_keep(struct ft_compiler *c, const struct ft_dfa *d)
{
    for (size_t i = 0; i < c->n_kept; i++) {
        const struct ft_dfa *k = c->kept[i];
        if (k->n_states == d->n_states && k->n_cls == d->n_cls && k->n_bounds == d->n_bounds &&
            k->start == d->start &&
            memcmp(k->next, d->next, (size_t)d->n_states * d->n_cls * sizeof *d->next) == 0 &&
            memcmp(k->label, d->label, d->n_states * sizeof *d->label) == 0 &&
            memcmp(k->bound, d->bound, d->n_bounds * sizeof *d->bound) == 0 &&
            memcmp(k->bound_cls, d->bound_cls, d->n_bounds * sizeof *d->bound_cls) == 0)
            return k;
    }
    FT_GROW(c->cx, c->kept, c->n_kept, c->kept_cap);
    c->kept[c->n_kept] = ft_dfa_finish(c->cx, d, 0);
    return c->kept[c->n_kept++];
}

struct writer {
    struct ft_compiler *c;
    struct ft_jtables *t;
    uint32_t *index; /* raw value to written one; 0: does not exist */
    size_t strs_cap, nums_cap, arrs_cap, objs_cap;
};

static uint32_t write_string(struct writer *w, const struct ft_jstr *s)
{
    struct ft_jstr k = *s;
    k.d = ft_compile_keep(w->c, s->d);
    for (uint32_t i = 0; i < w->t->n_strs; i++)
        if (w->t->strs[i].d == k.d && w->t->strs[i].min == k.min && w->t->strs[i].max == k.max)
            return i;
    for (uint32_t q = 1; q < k.d->n_states; q++)
        k.longest = FT_MAX(k.longest, (uint32_t)k.d->dist[q]);
    FT_GROW(w->c->cx, w->t->strs, w->t->n_strs, w->strs_cap);
    w->t->strs[w->t->n_strs] = k;
    return w->t->n_strs++;
}

static uint32_t write_number(struct writer *w, const struct ft_dfa *d)
{
    d = ft_compile_keep(w->c, d);
    for (uint32_t i = 0; i < w->t->n_nums; i++)
        if (w->t->nums[i] == d)
            return i;
    FT_GROW(w->c->cx, w->t->nums, w->t->n_nums, w->nums_cap);
    w->t->nums[w->t->n_nums] = d;
    return w->t->n_nums++;
}

static uint32_t write_array(struct writer *w, const struct ft_raw_arr *r)
{
    struct ft_jarr a = r->a;
    size_t cells = (size_t)(a.n_prefix + 1) << a.n_exists;
    a.max = array_max(w->c, &a, UINT16_MAX);
    if (a.counted)
        memset(a.need, 0, cells * sizeof *a.need);
    else
        array_needs(w->c, &a, UINT16_MAX, a.need);
    a.height = r->height;
    a.val = ft_cx_keep(w->c->cx, cells, sizeof *a.val);
    a.need = ft_cx_keep(w->c->cx, cells, sizeof *a.need);
    for (size_t i = 0; i < cells; i++)
        a.val[i] = w->index[r->a.val[i]];
    memcpy(a.need, r->a.need, cells * sizeof *a.need);
    FT_GROW(w->c->cx, w->t->arrs, w->t->n_arrs, w->arrs_cap);
    w->t->arrs[w->t->n_arrs] = a;
    return w->t->n_arrs++;
}

static void write_value(struct writer *w, const struct ft_raw_val *v, struct ft_jval *out)
{
    struct ft_cx *cx = w->c->cx;
    out->simple = v->simple;
    out->height = v->height;
    out->strs = ft_cx_keep(cx, v->n_strs, sizeof *out->strs);
    out->nums = ft_cx_keep(cx, 1, sizeof *out->nums);
    out->arrs = ft_cx_keep(cx, v->n_arrs, sizeof *out->arrs);
    out->objs = ft_cx_keep(cx, v->n_objs, sizeof *out->objs);
    for (size_t i = 0; i < v->n_strs; i++)
        out->strs[out->n_strs++] = write_string(w, &v->strs[i]);
    if (v->num != NULL)
        out->nums[out->n_nums++] = write_number(w, v->num);
    for (size_t i = 0; i < v->n_arrs; i++)
        if (v->arrs[i]->height != UINT16_MAX)
            out->arrs[out->n_arrs++] = write_array(w, v->arrs[i]);
    for (size_t i = 0; i < v->n_objs; i++) {
        if (v->objs[i]->height == UINT16_MAX)
            continue;
        struct ft_jobj o;
        memset(&o, 0, sizeof o);
        ft_raw_obj_finish(w->c, v->objs[i], w->index, &o);
        FT_GROW(cx, w->t->objs, w->t->n_objs, w->objs_cap);
        w->t->objs[w->t->n_objs] = o;
        out->objs[out->n_objs++] = w->t->n_objs++;
    }
}

static void *to_keep(struct ft_cx *cx, const void *v, size_t n, size_t elem)
{
    void *r = ft_cx_keep(cx, n, elem);
    if (n != 0)
        memcpy(r, v, n * elem);
    return r;
}

static struct ft_jtables *write_tables(struct ft_compiler *c, uint32_t root)
{
    struct ft_cx *cx = c->cx;
    struct ft_jtables *t = ft_cx_keep(cx, 1, sizeof *t);
    struct writer w = {.c = c, .t = t};
    w.index = ft_cx_alloc(cx, c->n_vals, sizeof *w.index);
    t->n_vals = 1;
    for (size_t i = 1; i < c->n_vals; i++)
        if (c->vals[i].height != UINT16_MAX)
            w.index[i] = t->n_vals++;
    t->vals = ft_cx_keep(cx, t->n_vals, sizeof *t->vals);
    for (size_t i = 1; i < c->n_vals; i++)
        if (w.index[i] != 0)
            write_value(&w, &c->vals[i], &t->vals[w.index[i]]);
    for (uint32_t i = 1; i < t->n_vals; i++)
        t->max_height = FT_MAX(t->max_height, t->vals[i].height);
    t->root = w.index[root];
    t->strs = to_keep(cx, t->strs, t->n_strs, sizeof *t->strs);
    t->nums = to_keep(cx, t->nums, t->n_nums, sizeof(*t->nums));
    t->arrs = to_keep(cx, t->arrs, t->n_arrs, sizeof *t->arrs);
    t->objs = to_keep(cx, t->objs, t->n_objs, sizeof *t->objs);
    return t;
}

struct ft_jtables *ft_tables_from_schema(struct ft_cx *cx, const char *json, size_t n,
                                         bool may_be_empty)
{
    struct ft_compiler *c = ft_cx_alloc(cx, 1, sizeof *c);
    c->cx = cx;
    ft_nodes_init(&c->ns, cx);
    FT_GROW(cx, c->vals, 0, c->vals_cap);
    c->n_vals = 1;
    uint32_t root = ft_compile_val(c, ft_schema_read(&c->ns, ft_jdoc_parse(cx, json, n)));
    for (c->done = 1; c->done < c->n_vals; c->done++)
        compile_one(c, c->done);
    cx->what = NULL;
    unsigned h = 0;
    while (h <= FT_JSON_DEPTH_MAX && (find_heights(c, h) || h == 0))
        h++;
    bool empty = root == 0 || c->vals[root].height == UINT16_MAX;
    if (empty && may_be_empty)
        return NULL;
    if (empty)
        ft_cx_fail(cx, FT_EUNSUPPORTED,
                   h > FT_JSON_DEPTH_MAX ? "schema: every value nests deeper than %d levels"
                                         : "schema: no value satisfies it (at most %d levels deep)",
                   FT_JSON_DEPTH_MAX);
    return write_tables(c, root);
}
