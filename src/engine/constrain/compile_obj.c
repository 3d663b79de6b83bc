/* Objects to tables: which keys there are, and what each one's value must be. See compile.h.
 *
 * Keys fall into classes: every name that the schema mentions is one, and all other keys are told
 * apart by which patterns they match. One automaton over the characters of the key finds the class.
 *
 * A fact "some property with such a key has such a value" (from a negated pattern, say) is split:
 * it may be one of the named properties (then that one becomes required, one alternative each), or
 * one of infinitely many other keys (then it can always still be established). */
#include <stdlib.h>
#include <string.h>

#include "engine/constrain/compile.h"

#define ENUMERATED_MAX 64   /* a finite class of keys up to this size becomes names */
#define CLASSES_MAX    4000 /* classes of keys beside the names */
#define NAMES_MAX      16000

static void refuse(struct ft_compiler *c, const char *why)
{
    ft_cx_fail(c->cx, FT_EUNSUPPORTED, "%s: %s", c->cx->what != NULL ? c->cx->what : "schema", why);
}

/* ---- names ---- */

struct names {
    uint32_t *id;
    size_t n, cap;
};

static void names_add(struct ft_compiler *c, struct names *v, uint32_t id)
{
    FT_GROW(c->cx, v->id, v->n, v->cap);
    v->id[v->n++] = id;
    if (v->n > 4 * NAMES_MAX)
        refuse(c, "too many properties");
}

static int cmp_name(const void *a, const void *b)
{
    const struct ft_str *x = a, *y = b;
    int k = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return k != 0 ? k : x->n < y->n ? -1 : x->n > y->n;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static void names_tidy(struct ft_compiler *c, struct names *v)
{
    (void)c;
    if (v->n == 0)
        return;
    qsort(v->id, v->n, sizeof *v->id, cmp_u32);
    size_t m = 0;
    for (size_t i = 0; i < v->n; i++)
        if (m == 0 || v->id[m - 1] != v->id[i])
            v->id[m++] = v->id[i];
    v->n = m;
}

static struct names names_of(struct ft_compiler *c, const struct ft_conj *x)
{
    struct names v = {NULL, 0, 0};
    for (size_t i = 0; i < x->n_props; i++) {
        const struct ft_props *p = c->ns.v[x->props[i]].props;
        for (size_t j = 0; j < p->n_names; j++)
            names_add(c, &v, p->name[j]);
    }
    for (size_t i = 0; i < x->n_req; i++)
        names_add(c, &v, x->req[i]);
    names_tidy(c, &v);
    return v;
}

/* ---- classes of keys ---- */

struct classes {
    struct ft_compiler *c;
    size_t n_pats;
    uint16_t n_names;
    uint16_t *tuple; /* [n][n_pats + 1]: name label, then whether each pattern matches */
    size_t n;
    bool full;
};

static uint16_t class_label(void *ctx, const uint16_t *labels)
{
    struct classes *k = ctx;
    if (labels[0] != 0)
        return labels[0]; /* a name is its own class */
    size_t w = k->n_pats;
    uint16_t *t = k->tuple + k->n * w;
    for (size_t i = 0; i < w; i++)
        t[i] = labels[i + 1] != 0;
    size_t i = 0;
    while (w != 0 && memcmp(k->tuple + i * w, t, w * sizeof *t) != 0)
        i++;
    ft_cx_work(k->c->cx, (i + 1) * w);
    if (i == k->n) {
        if (k->n + 1 >= CLASSES_MAX)
            refuse(k->c, "too many patterns together");
        k->n++;
    }
    return (uint16_t)(k->n_names + i + 1);
}

/* What values of an unnamed class must satisfy; pat_match in the order of collect_patterns(). */
static uint32_t class_node(struct ft_compiler *c, const struct ft_conj *x, const uint16_t *match)
{
    uint32_t all = FT_NODE_TRUE;
    size_t at = 0;
    for (size_t i = 0; i < x->n_props; i++) {
        const struct ft_props *p = c->ns.v[x->props[i]].props;
        bool matched = false;
        for (size_t j = 0; j < p->n_pats; j++, at++)
            if (match[at]) {
                all = ft_node_and2(&c->ns, all, p->pat_node[j]);
                matched = true;
            }
        if (!matched)
            all = ft_node_and2(&c->ns, all, p->rest);
    }
    return all;
}

static const struct ft_dfa **collect_patterns(struct ft_compiler *c, const struct ft_conj *x,
                                              size_t *ret_n)
{
    size_t n = x->n_exists;
    for (size_t i = 0; i < x->n_props; i++)
        n += c->ns.v[x->props[i]].props->n_pats;
    const struct ft_dfa **d = ft_cx_alloc(c->cx, n + 1, sizeof(*d));
    size_t at = 1; /* d[0] is for the names */
    for (size_t i = 0; i < x->n_props; i++) {
        const struct ft_props *p = c->ns.v[x->props[i]].props;
        for (size_t j = 0; j < p->n_pats; j++)
            d[at++] = p->pat[j];
    }
    for (size_t i = 0; i < x->n_exists; i++)
        d[at++] = x->exists[i].keys;
    *ret_n = n;
    return d;
}

static void label_vals(struct ft_compiler *c, const struct ft_conj *x, uint32_t node,
                       struct ft_raw_label *l)
{
    for (uint32_t g = 0; g < 1u << x->n_exists; g++) {
        uint32_t all = node;
        if ((g & ~l->exists) != 0)
            continue;
        for (size_t e = 0; e < x->n_exists; e++)
            if (g >> e & 1)
                all = ft_node_and2(&c->ns, all, x->exists[e].node);
        l->val[g] = ft_compile_val(c, all);
    }
}

/* Words of finite, usable, unnamed classes become names; false if there are none (to add). */
static bool enumerate_classes(struct ft_compiler *c, const struct classes *k, const uint32_t *node,
                              const struct ft_dfa *keys, struct names *extra)
{
    bool any = false;
    for (size_t i = 0; i < k->n; i++) {
        struct ft_str *w;
        size_t n;
        if (node[i] == FT_NODE_FALSE ||
            !ft_dfa_enumerate(c->cx, keys, (uint16_t)(k->n_names + i + 1), ENUMERATED_MAX, &w, &n))
            continue;
        for (size_t j = 0; j < n; j++) {
            names_add(c, extra, ft_node_name(&c->ns, w[j]));
            any = true;
        }
    }
    return any;
}

/* New names: a fact about other keys may be about one of them, so facts are split once more. */
static void reopen_facts(struct ft_compiler *c, const struct ft_conj *x, const struct names *names,
                         struct ft_conjs *todo)
{
    struct ft_conj *r = ft_cx_alloc(c->cx, 1, sizeof *r);
    *r = *x;
    for (size_t i = 0; i < names->n; i++)
        ft_conj_add_props(&c->ns, r, ft_props_name(&c->ns, names->id[i], FT_NODE_TRUE));
    r->exists = ft_cx_alloc(c->cx, x->n_exists, sizeof *r->exists);
    for (size_t e = 0; e < x->n_exists; e++)
        r->exists[e] = (struct ft_exists){x->exists[e].keys, x->exists[e].node, false};
    if (todo->n > FT_ALTS_MAX)
        refuse(c, "too many alternatives");
    FT_GROW(c->cx, todo->v, todo->n, todo->cap);
    todo->v[todo->n++] = r;
}

static void compile_object(struct ft_compiler *c, const struct ft_conj *x, struct names names,
                           bool may_enumerate, struct ft_conjs *todo, struct ft_raw_val *v)
{
    struct ft_cx *cx = c->cx;
    names_tidy(c, &names);
    if (names.n > NAMES_MAX)
        refuse(c, "too many properties");
    struct ft_raw_obj *o = ft_cx_alloc(cx, 1, sizeof *o);
    o->height = UINT16_MAX;
    o->min = x->min;
    o->max = x->max;
    o->n_exists = (uint32_t)x->n_exists;
    o->n_names = (uint32_t)names.n;
    o->names = ft_cx_alloc(cx, names.n, sizeof *o->names);
    for (size_t i = 0; i < names.n; i++)
        o->names[i] = c->ns.names[names.id[i]];
    qsort(o->names, names.n, sizeof *o->names, cmp_name);

    struct classes k = {.c = c, .n_names = (uint16_t)names.n};
    const struct ft_dfa **d = collect_patterns(c, x, &k.n_pats);
    d[0] = ft_dfa_words(cx, o->names, names.n, true);
    k.tuple = ft_cx_alloc(cx, (k.n_pats + 1) * CLASSES_MAX, sizeof *k.tuple);
    o->keys = ft_dfa_multi(cx, d, k.n_pats + 1, class_label, &k);
    uint32_t *node = ft_cx_alloc(cx, k.n, sizeof *node);
    for (size_t i = 0; i < k.n; i++)
        node[i] = class_node(c, x, k.tuple + i * k.n_pats);
    if (may_enumerate && enumerate_classes(c, &k, node, o->keys, &names)) {
        if (x->n_exists > 0)
            reopen_facts(c, x, &names, todo);
        else
            compile_object(c, x, names, false, todo, v);
        return;
    }
    o->n_labels = (uint32_t)(names.n + k.n);
    o->labels = ft_cx_alloc(cx, o->n_labels, sizeof *o->labels);
    o->required = ft_cx_alloc(cx, names.n, sizeof *o->required);
    for (size_t i = 0; i < names.n; i++) {
        uint32_t id = ft_node_name(&c->ns, o->names[i]);
        o->labels[i].name = (uint32_t)i;
        o->required[i] =
            x->n_req != 0 && bsearch(&id, x->req, x->n_req, sizeof id, cmp_u32) != NULL;
        label_vals(c, x, ft_conj_prop(&c->ns, x, id), &o->labels[i]);
    }
    for (size_t i = 0; i < k.n; i++) {
        struct ft_raw_label *l = &o->labels[names.n + i];
        l->name = UINT32_MAX;
        for (size_t e = 0; e < x->n_exists; e++)
            if (k.tuple[i * k.n_pats + k.n_pats - x->n_exists + e])
                l->exists |= 1u << e;
        l->count = ft_dfa_count(cx, o->keys, (uint16_t)(names.n + i + 1));
        label_vals(c, x, node[i], l);
    }
    FT_GROW(cx, v->objs, v->n_objs, v->objs_cap);
    v->objs[v->n_objs++] = o;
}

/* ---- facts about some property ---- */

static struct ft_conj *copy_without(struct ft_compiler *c, const struct ft_conj *x, size_t e)
{
    struct ft_conj *r = ft_cx_alloc(c->cx, 1, sizeof *r);
    *r = *x;
    r->exists = ft_cx_alloc(c->cx, x->n_exists, sizeof *r->exists);
    r->n_exists = 0;
    for (size_t i = 0; i < x->n_exists; i++)
        if (i != e)
            r->exists[r->n_exists++] = x->exists[i];
    return r;
}

/* Splits the first fact that may still be about a named property; x itself if there is none. */
static bool split_fact(struct ft_compiler *c, const struct ft_conj *x, struct ft_conjs *todo)
{
    size_t e = 0;
    while (e < x->n_exists && x->exists[e].unnamed)
        e++;
    if (e == x->n_exists)
        return false;
    struct names names = names_of(c, x);
    struct ft_exists fact = x->exists[e];
    struct ft_conj *r = copy_without(c, x, e);
    r->exists[r->n_exists++] = (struct ft_exists){fact.keys, fact.node, true};
    FT_GROW(c->cx, todo->v, todo->n, todo->cap);
    todo->v[todo->n++] = r;
    for (size_t i = 0; i < names.n; i++) {
        struct ft_str s = c->ns.names[names.id[i]];
        if (!ft_dfa_has(fact.keys, s.p, s.n))
            continue;
        r = copy_without(c, x, e);
        ft_conj_add_req(&c->ns, r, names.id[i]);
        ft_conj_add_props(&c->ns, r, ft_props_name(&c->ns, names.id[i], fact.node));
        if ((r = ft_conj_check(&c->ns, r)) == NULL)
            continue;
        if (todo->n > FT_ALTS_MAX)
            refuse(c, "too many alternatives");
        FT_GROW(c->cx, todo->v, todo->n, todo->cap);
        todo->v[todo->n++] = r;
    }
    return true;
}

/* Keys of a fact that are finitely many become names (with TRUE), so that splitting finds them. */
static void name_finite_keys(struct ft_compiler *c, struct ft_conj *x)
{
    for (size_t e = 0; e < x->n_exists; e++) {
        struct ft_str *w;
        size_t n;
        if (!ft_dfa_enumerate(c->cx, x->exists[e].keys, 0, ENUMERATED_MAX, &w, &n))
            continue;
        /* {"properties": {w: true}} would hide w from additionalProperties of its own node only. */
        for (size_t j = 0; j < n; j++)
            ft_conj_add_props(&c->ns, x,
                              ft_props_name(&c->ns, ft_node_name(&c->ns, w[j]), FT_NODE_TRUE));
    }
}

void ft_compile_objects(struct ft_compiler *c, uint32_t node, struct ft_raw_val *v)
{
    struct ft_conjs todo = {NULL, 0, 0};
    ft_normal(&c->ns, FT_C_OBJ, node, &todo);
    for (size_t i = 0; i < todo.n; i++)
        name_finite_keys(c, todo.v[i]);
    for (size_t i = 0; i < todo.n; i++) {
        if (split_fact(c, todo.v[i], &todo))
            continue;
        if (todo.v[i]->n_exists > FT_EXISTS_MAX)
            refuse(c, "too many facts about some property");
        compile_object(c, todo.v[i], names_of(c, todo.v[i]), true, &todo, v);
    }
}

/* ---- existence ---- */

/* need[p]: the fewest properties that establish the facts p; UINT8_MAX if they cannot be. Only
 * classes with endlessly many keys count, so a fact can never be missed for want of a key. */
static void object_needs(const struct ft_compiler *c, const struct ft_raw_obj *o, unsigned height,
                         uint8_t *need)
{
    uint32_t sets = 1u << o->n_exists;
    bool can[FT_SUBSETS] = {false};
    for (uint32_t i = o->n_names; i < o->n_labels; i++)
        for (uint32_t g = 1; g < sets; g++)
            if (o->labels[i].count == FT_DFA_COUNT_MAX &&
                ft_val_exists(c, o->labels[i].val[g], height))
                can[g] = true;
    need[0] = 0;
    for (uint32_t p = 1; p < sets; p++) {
        unsigned best = UINT8_MAX;
        for (uint32_t g = 1; g < sets; g++)
            if ((g & ~p) == 0 && can[g])
                best = FT_MIN(best, 1u + need[p & ~g]);
        need[p] = (uint8_t)FT_MIN(best, (unsigned)UINT8_MAX);
    }
}

static bool label_exists(const struct ft_compiler *c, const struct ft_raw_obj *o,
                         const struct ft_raw_label *l, unsigned height)
{
    for (uint32_t g = 0; g < 1u << o->n_exists; g++)
        if (ft_val_exists(c, l->val[g], height))
            return true;
    return false;
}

bool ft_raw_obj_exists(const struct ft_compiler *c, const struct ft_raw_obj *o, unsigned height)
{
    uint8_t need[FT_SUBSETS];
    int64_t required = 0, keys = 0;
    for (uint32_t i = 0; i < o->n_labels; i++) {
        bool some = label_exists(c, o, &o->labels[i], height);
        if (i < o->n_names && o->required[i]) {
            required++;
            if (!some)
                return false;
        }
        if (some)
            keys += i < o->n_names ? 1 : o->labels[i].count;
    }
    object_needs(c, o, height, need);
    uint32_t all = (1u << o->n_exists) - 1;
    if (need[all] == UINT8_MAX)
        return false;
    return o->min <= FT_MIN(keys, (int64_t)FT_KEYS_MAX) &&
           (o->max < 0 || (required + need[all] <= o->max && o->min <= o->max));
}

/* Without the labels that have no value; name_lo and name_hi by following every name. */
static void finish_keys(struct ft_compiler *c, const struct ft_raw_obj *o, struct ft_jobj *out)
{
    struct ft_cx *cx = c->cx;
    struct ft_dfa *d = ft_dfa_raw(cx, o->keys->n_states, o->keys->n_bounds, o->keys->bound,
                                  o->keys->bound_cls, o->keys->n_cls);
    memcpy(d->next, o->keys->next, (size_t)d->n_states * d->n_cls * sizeof *d->next);
    d->start = o->keys->start;
    for (uint32_t s = 1; s < d->n_states; s++) {
        uint16_t l = o->keys->label[s];
        if (l != 0 && label_exists(c, o, &o->labels[l - 1], UINT16_MAX))
            d->label[s] = l;
    }
    out->keys = ft_dfa_finish(cx, ft_dfa_tidy(cx, d), (uint16_t)o->n_names);
    out->name_lo = ft_cx_keep(cx, out->keys->n_states, sizeof *out->name_lo);
    out->name_hi = ft_cx_keep(cx, out->keys->n_states, sizeof *out->name_hi);
    for (uint32_t i = 0; i < o->n_names; i++) {
        if (!(out->allowed[i / 64] >> i % 64 & 1))
            continue;
        uint32_t q = out->keys->start;
        for (size_t at = 0;;) {
            if (out->name_hi[q] == 0)
                out->name_lo[q] = (uint16_t)i;
            out->name_hi[q] = (uint16_t)(i + 1);
            if (at == o->names[i].n)
                break;
            uint32_t cp = 0;
            at += (size_t)ft_utf8_get(o->names[i].p + at, o->names[i].n - at, &cp);
            q = ft_dfa_step(out->keys, q, cp);
        }
    }
}

void ft_raw_obj_finish(struct ft_compiler *c, const struct ft_raw_obj *o, const uint32_t *val_index,
                       struct ft_jobj *out)
{
    struct ft_cx *cx = c->cx;
    out->min = o->min;
    out->max = o->max < 0 || o->max > FT_KEYS_MAX ? FT_KEYS_MAX : o->max;
    out->height = o->height;
    out->n_exists = o->n_exists;
    out->n_labels = o->n_labels;
    out->n_names = o->n_names;
    out->n_words = (o->n_names + 63) / 64;
    out->required = ft_cx_keep(cx, out->n_words, sizeof *out->required);
    out->allowed = ft_cx_keep(cx, out->n_words, sizeof *out->allowed);
    out->labels = ft_cx_keep(cx, o->n_labels, sizeof *out->labels);
    uint64_t unnamed = 0;
    for (uint32_t i = 0; i < o->n_labels; i++) {
        const struct ft_raw_label *l = &o->labels[i];
        struct ft_jlabel *to = &out->labels[i];
        to->name = l->name;
        to->exists = l->exists;
        for (uint32_t g = 0; g < 1u << o->n_exists; g++)
            to->val[g] = val_index[l->val[g]];
        if (!label_exists(c, o, l, UINT16_MAX))
            continue;
        if (l->name == UINT32_MAX) {
            unnamed += l->count;
            continue;
        }
        out->allowed[i / 64] |= 1ull << i % 64;
        out->n_allowed++;
        if (o->required[i]) {
            out->required[i / 64] |= 1ull << i % 64;
            out->n_required++;
        }
    }
    out->n_unnamed = (uint32_t)FT_MIN(unnamed, (uint64_t)FT_DFA_COUNT_MAX);
    object_needs(c, o, UINT16_MAX, out->need);
    finish_keys(c, o, out);
}
