/* JSON Schema (drafts 4 to 2020-12) read into nodes. See node.h.
 *
 * Every keyword is in one of three lists: read here, known to say nothing about validity, or
 * refused by name. A keyword that is in none is an annotation, as the standard has it. */
#include <stdio.h>
#include <string.h>

#include "engine/constrain/format.h"
#include "engine/constrain/node.h"

#define DEPTH_MAX  400
#define LENGTH_MAX (1 << 30) /* larger bounds are no bounds */
#define NAMED_MAX  (1 << 16) /* properties read, more than any object may have in the end */

/* Keywords of some draft that restrict values and are not enforced. */
static const char *const refused[] = {
    "unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
    "$recursiveRef",         "extends",          "disallow",
    "divisibleBy",
};

static uint32_t read_schema(struct ft_nodes *ns, struct ft_jv *s);

static void at(struct ft_nodes *ns, const char *keyword, const struct ft_jv *s)
{
    ns->cx->what = ft_cx_printf(ns->cx, "%s at %s", keyword, ft_jv_path(ns->cx, s));
}

static void malformed(struct ft_nodes *ns, const char *wanted)
{
    ft_cx_fail(ns->cx, FT_EINVAL, "%s: %s", ns->cx->what, wanted);
}

static int64_t get_count(struct ft_nodes *ns, const struct ft_jv *v)
{
    struct ft_dec d;
    uint64_t n;
    if (v->kind != FT_JV_NUM || !ft_dec_parse(v->s.p, v->s.n, &d) || d.neg || !ft_dec_is_int(&d))
        malformed(ns, "a whole number was expected");
    return ft_dec_scaled(&d, 0, &n) && n < LENGTH_MAX ? (int64_t)n : LENGTH_MAX;
}

/* A keyword pair like minLength, maxLength as one node of `kind`; FT_NODE_TRUE if neither is there.
 */
static uint32_t read_bounds(struct ft_nodes *ns, struct ft_jv *s, enum ft_node_kind kind,
                            const char *lo_name, const char *hi_name)
{
    const struct ft_jv *lo = ft_jv_get(s, lo_name), *hi = ft_jv_get(s, hi_name);
    if (lo == NULL && hi == NULL)
        return FT_NODE_TRUE;
    int64_t min = 0, max = -1;
    if (lo != NULL) {
        at(ns, lo_name, s);
        min = get_count(ns, lo);
    }
    if (hi != NULL) {
        at(ns, hi_name, s);
        max = get_count(ns, hi);
        if (max == LENGTH_MAX)
            max = -1;
    }
    uint32_t x = ft_node_new(ns, kind);
    ns->v[x].min = min;
    ns->v[x].max = max;
    return x;
}

static uint32_t read_type(struct ft_nodes *ns, const struct ft_jv *t)
{
    static const struct {
        const char *name;
        unsigned mask;
    } types[] = {{"null", FT_T_NULL},  {"boolean", FT_T_BOOL}, {"integer", FT_T_INT},
                 {"number", FT_T_NUM}, {"string", FT_T_STR},   {"array", FT_T_ARR},
                 {"object", FT_T_OBJ}};
    if (t->kind == FT_JV_ARR) {
        unsigned mask = 0;
        for (size_t i = 0; i < t->n; i++) {
            uint32_t x = read_type(ns, t->v[i]);
            mask |= x == FT_NODE_TRUE ? FT_T_ALL : x == FT_NODE_FALSE ? 0 : ns->v[x].mask;
        }
        return ft_node_type(ns, mask);
    }
    for (size_t i = 0; t->kind == FT_JV_STR && i < FT_COUNT(types); i++)
        if (strcmp(t->s.p, types[i].name) == 0)
            return ft_node_type(ns, types[i].mask);
    malformed(ns, "no such type");
    return 0;
}

static uint32_t read_enum(struct ft_nodes *ns, const struct ft_jv *e)
{
    if (e->kind != FT_JV_ARR)
        malformed(ns, "an array was expected");
    uint32_t *alt = ft_cx_alloc(ns->cx, e->n + 2, sizeof *alt);
    struct ft_str *words = ft_cx_alloc(ns->cx, e->n, sizeof *words);
    const struct ft_jv **nums = ft_cx_alloc(ns->cx, e->n, sizeof(*nums));
    size_t n = 0, n_words = 0, n_nums = 0;
    for (size_t i = 0; i < e->n; i++) {
        if (e->v[i]->kind == FT_JV_STR)
            words[n_words++] = e->v[i]->s;
        else if (e->v[i]->kind == FT_JV_NUM)
            nums[n_nums++] = e->v[i];
        else
            alt[n++] = ft_node_const(ns, e->v[i]);
    }
    if (n_words > 0) {
        uint32_t x = ft_node_new(ns, FT_N_DFA);
        const struct ft_dfa *d = ft_dfa_words(ns->cx, words, n_words, false);
        ns->v[x].dfa = d;
        alt[n++] = ft_node_and2(ns, ft_node_type(ns, FT_T_STR), x);
    }
    if (n_nums > 0) {
        uint32_t x = ft_node_new(ns, FT_N_NUMSET);
        ns->v[x].nums = nums;
        ns->v[x].n_nums = n_nums;
        alt[n++] = ft_node_and2(ns, ft_node_type(ns, FT_T_NUM), x);
    }
    return ft_node_or(ns, alt, n);
}

static uint32_t dec_node(struct ft_nodes *ns, enum ft_node_kind kind, const struct ft_jv *v,
                         bool open)
{
    struct ft_dec *d = ft_cx_alloc(ns->cx, 1, sizeof *d);
    if (v->kind != FT_JV_NUM)
        malformed(ns, "a number was expected");
    if (!ft_dec_parse(v->s.p, v->s.n, d))
        ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: a number with too many digits", ns->cx->what);
    if (kind == FT_N_MUL && (d->neg || ft_dec_is_zero(d)))
        malformed(ns, "must be greater than zero");
    uint32_t x = ft_node_new(ns, kind);
    ns->v[x].dec = d;
    ns->v[x].open = open;
    return x;
}

/* minimum with exclusiveMinimum, in draft 4's form (a boolean) or later ones' (a number). */
static size_t read_limit(struct ft_nodes *ns, struct ft_jv *s, enum ft_node_kind kind,
                         const char *name, const char *ex_name, uint32_t *out)
{
    const struct ft_jv *v = ft_jv_get(s, name), *ex = ft_jv_get(s, ex_name);
    size_t n = 0;
    if (v != NULL) {
        at(ns, name, s);
        out[n++] = dec_node(ns, kind, v, ex != NULL && ex->kind == FT_JV_TRUE);
    }
    if (ex != NULL && ex->kind != FT_JV_TRUE && ex->kind != FT_JV_FALSE) {
        at(ns, ex_name, s);
        out[n++] = dec_node(ns, kind, ex, true);
    }
    return n;
}

static uint32_t read_list(struct ft_nodes *ns, struct ft_jv *s, const char *keyword,
                          enum ft_node_kind kind)
{
    struct ft_jv *v = ft_jv_get(s, keyword);
    at(ns, keyword, s);
    const char *where = ns->cx->what;
    if (v->kind != FT_JV_ARR || v->n == 0)
        malformed(ns, "an array of schemas was expected");
    uint32_t *kid = ft_cx_alloc(ns->cx, v->n, sizeof *kid);
    for (size_t i = 0; i < v->n; i++)
        kid[i] = read_schema(ns, v->v[i]);
    ns->cx->what = where;
    if (kind == FT_N_AND)
        return ft_node_and(ns, kid, v->n);
    if (kind == FT_N_OR)
        return ft_node_or(ns, kid, v->n);
    if (v->n == 1)
        return kid[0];
    uint32_t x = ft_node_new(ns, FT_N_ONE);
    ns->v[x].kid = kid;
    ns->v[x].n_kids = (uint32_t)v->n;
    return x;
}

static uint32_t str_lang(struct ft_nodes *ns, const struct ft_dfa *d)
{
    uint32_t x = ft_node_new(ns, FT_N_DFA);
    ns->v[x].dfa = d;
    return x;
}

static size_t read_string(struct ft_nodes *ns, struct ft_jv *s, uint32_t *out)
{
    size_t n = 0;
    const struct ft_jv *v = ft_jv_get(s, "pattern");
    out[n++] = read_bounds(ns, s, FT_N_LEN, "minLength", "maxLength");
    if (v != NULL) {
        at(ns, "pattern", s);
        if (v->kind != FT_JV_STR)
            malformed(ns, "a string was expected");
        out[n++] = str_lang(ns, ft_node_regex(ns, v->s.p, v->s.n, true));
    }
    v = ft_jv_get(s, "format");
    if (v != NULL && v->kind == FT_JV_STR) {
        at(ns, "format", s);
        const char *re = ft_format_regex(v->s.p);
        if (re != NULL)
            out[n++] = str_lang(ns, ft_node_regex(ns, re, strlen(re), false));
    }
    return n;
}

static uint32_t items_node(struct ft_nodes *ns, struct ft_jv *first, struct ft_jv *rest)
{
    size_t n = first != NULL ? first->n : 0;
    uint32_t *kid = ft_cx_alloc(ns->cx, n + 1, sizeof *kid);
    for (size_t i = 0; i < n; i++)
        kid[i] = read_schema(ns, first->v[i]);
    kid[n] = rest != NULL ? read_schema(ns, rest) : FT_NODE_TRUE;
    uint32_t x = ft_node_new(ns, FT_N_ITEMS);
    ns->v[x].kid = kid;
    ns->v[x].n_kids = (uint32_t)n + 1;
    return x;
}

static size_t read_array(struct ft_nodes *ns, struct ft_jv *s, uint32_t *out)
{
    size_t n = 0;
    struct ft_jv *items = ft_jv_get(s, "items"), *prefix = ft_jv_get(s, "prefixItems");
    out[n++] = read_bounds(ns, s, FT_N_NITEMS, "minItems", "maxItems");
    if (prefix != NULL) {
        at(ns, "prefixItems", s);
        if (prefix->kind != FT_JV_ARR)
            malformed(ns, "an array of schemas was expected");
    }
    if (items != NULL && items->kind == FT_JV_ARR) { /* up to draft 2019-09 */
        at(ns, "items", s);
        out[n++] = items_node(ns, items, ft_jv_get(s, "additionalItems"));
        items = NULL;
    }
    if (items != NULL || prefix != NULL) {
        at(ns, "items", s);
        out[n++] = items_node(ns, prefix, items);
    }
    struct ft_jv *c = ft_jv_get(s, "contains");
    if (c != NULL) {
        const struct ft_jv *lo = ft_jv_get(s, "minContains"), *hi = ft_jv_get(s, "maxContains");
        at(ns, "contains", s);
        int64_t min = lo != NULL ? get_count(ns, lo) : 1, max = hi != NULL ? get_count(ns, hi) : -1;
        uint32_t kid = read_schema(ns, c);
        at(ns, "contains", s);
        /* every element counts: then it is a bound on their number */
        uint32_t x = ft_node_new(ns, kid == FT_NODE_TRUE ? FT_N_NITEMS : FT_N_CONTAINS);
        ns->v[x].kid = ft_cx_alloc(ns->cx, 1, sizeof kid);
        ns->v[x].kid[0] = kid;
        ns->v[x].n_kids = kid == FT_NODE_TRUE ? 0 : 1;
        ns->v[x].min = min;
        ns->v[x].max = max;
        if (min > 0 || max >= 0)
            out[n++] = x;
    }
    const struct ft_jv *u = ft_jv_get(s, "uniqueItems");
    if (u != NULL && u->kind == FT_JV_TRUE) {
        at(ns, "uniqueItems", s);
        out[n++] = ft_node_new(ns, FT_N_UNIQUE);
    }
    return n;
}

static uint32_t req_node(struct ft_nodes *ns, const struct ft_jv *name)
{
    if (name->kind != FT_JV_STR)
        malformed(ns, "an array of strings was expected");
    uint32_t x = ft_node_new(ns, FT_N_REQ);
    ns->v[x].name = ft_node_name(ns, name->s);
    return x;
}

static uint32_t read_props(struct ft_nodes *ns, struct ft_jv *s)
{
    struct ft_jv *named = ft_jv_get(s, "properties"), *pats = ft_jv_get(s, "patternProperties");
    struct ft_jv *rest = ft_jv_get(s, "additionalProperties");
    if (named == NULL && pats == NULL && rest == NULL)
        return FT_NODE_TRUE;
    struct ft_props *p = ft_cx_alloc(ns->cx, 1, sizeof *p);
    if (named != NULL) {
        at(ns, "properties", s);
        if (named->kind != FT_JV_OBJ)
            malformed(ns, "an object was expected");
        if (named->n > NAMED_MAX)
            ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: too many properties", ns->cx->what);
        p->name = ft_cx_alloc(ns->cx, named->n, sizeof *p->name);
        p->name_node = ft_cx_alloc(ns->cx, named->n, sizeof *p->name_node);
        for (size_t i = 0; i < named->n; i++) {
            ft_cx_work(ns->cx, named->n);
            if (ft_jv_get_n(named, named->k[i].p, named->k[i].n) != named->v[i])
                continue;
            p->name[p->n_names] = ft_node_name(ns, named->k[i]);
            p->name_node[p->n_names++] = read_schema(ns, named->v[i]);
        }
    }
    if (pats != NULL) {
        at(ns, "patternProperties", s);
        if (pats->kind != FT_JV_OBJ)
            malformed(ns, "an object was expected");
        p->pat = ft_cx_alloc(ns->cx, pats->n, sizeof(*p->pat));
        p->pat_node = ft_cx_alloc(ns->cx, pats->n, sizeof *p->pat_node);
        for (size_t i = 0; i < pats->n; i++) {
            at(ns, "patternProperties", s);
            p->pat[p->n_pats] = ft_node_regex(ns, pats->k[i].p, pats->k[i].n, true);
            p->pat_node[p->n_pats++] = read_schema(ns, pats->v[i]);
        }
    }
    at(ns, "additionalProperties", s);
    p->rest = rest != NULL ? read_schema(ns, rest) : FT_NODE_TRUE;
    at(ns,
       named != NULL  ? "properties"
       : pats != NULL ? "patternProperties"
                      : "additionalProperties",
       s);
    uint32_t x = ft_node_new(ns, FT_N_PROPS);
    ns->v[x].props = p;
    return x;
}

/* One entry of dependencies: if the object has `key`, then `then` must hold. */
static uint32_t dependency(struct ft_nodes *ns, struct ft_str key, uint32_t then)
{
    uint32_t req = ft_node_new(ns, FT_N_REQ);
    ns->v[req].name = ft_node_name(ns, key);
    uint32_t alt[3] = {ft_node_type(ns, FT_T_ALL & ~(unsigned)FT_T_OBJ), ft_node_not(ns, req),
                       then};
    return ft_node_or(ns, alt, 3);
}

static uint32_t read_dependencies(struct ft_nodes *ns, struct ft_jv *s, const char *keyword)
{
    struct ft_jv *d = ft_jv_get(s, keyword);
    if (d == NULL)
        return FT_NODE_TRUE;
    at(ns, keyword, s);
    const char *where = ns->cx->what;
    if (d->kind != FT_JV_OBJ)
        malformed(ns, "an object was expected");
    uint32_t *all = ft_cx_alloc(ns->cx, d->n, sizeof *all);
    for (size_t i = 0; i < d->n; i++) {
        uint32_t then;
        if (d->v[i]->kind == FT_JV_ARR || d->v[i]->kind == FT_JV_STR) { /* a string: draft 3 */
            size_t m = d->v[i]->kind == FT_JV_ARR ? d->v[i]->n : 1;
            uint32_t *req = ft_cx_alloc(ns->cx, m, sizeof *req);
            for (size_t j = 0; j < m; j++)
                req[j] = req_node(ns, d->v[i]->kind == FT_JV_ARR ? d->v[i]->v[j] : d->v[i]);
            then = ft_node_and(ns, req, m);
        } else {
            then = read_schema(ns, d->v[i]);
        }
        ns->cx->what = where;
        all[i] = dependency(ns, d->k[i], then);
    }
    return ft_node_and(ns, all, d->n);
}

static size_t read_object(struct ft_nodes *ns, struct ft_jv *s, uint32_t *out)
{
    size_t n = 0;
    out[n++] = read_props(ns, s);
    out[n++] = read_bounds(ns, s, FT_N_NPROPS, "minProperties", "maxProperties");
    out[n++] = read_dependencies(ns, s, "dependencies");
    out[n++] = read_dependencies(ns, s, "dependentRequired");
    out[n++] = read_dependencies(ns, s, "dependentSchemas");
    struct ft_jv *names = ft_jv_get(s, "propertyNames");
    if (names != NULL) {
        at(ns, "propertyNames", s);
        uint32_t kid = read_schema(ns, names);
        at(ns, "propertyNames", s);
        uint32_t x = ft_node_new(ns, FT_N_PNAMES);
        ns->v[x].kid = ft_cx_alloc(ns->cx, 1, sizeof kid);
        ns->v[x].kid[0] = kid;
        ns->v[x].n_kids = 1;
        out[n++] = x;
    }
    const struct ft_jv *req = ft_jv_get(s, "required");
    bool draft3 = req != NULL && (req->kind == FT_JV_TRUE || req->kind == FT_JV_FALSE);
    if (req != NULL && !draft3) { /* draft 3's boolean says nothing here */
        at(ns, "required", s);
        if (req->kind != FT_JV_ARR)
            malformed(ns, "an array of strings was expected");
        uint32_t *all = ft_cx_alloc(ns->cx, req->n, sizeof *all);
        for (size_t i = 0; i < req->n; i++)
            all[i] = req_node(ns, req->v[i]);
        out[n++] = ft_node_and(ns, all, req->n);
    }
    return n;
}

/* ---- references ---- */

/* The nearest ancestor (or s itself) with an identifier of its own: what "#/..." is relative to. */
static struct ft_jv *resource(struct ft_nodes *ns, struct ft_jv *s)
{
    for (; s->parent != NULL; s = s->parent) {
        const struct ft_jv *id = ft_jv_get(s, "$id");
        if (id == NULL)
            id = ft_jv_get(s, "id");
        if (id != NULL && id->kind == FT_JV_STR && id->s.n > 0 && id->s.p[0] != '#' &&
            s->parent->kind == FT_JV_OBJ && strcmp(s->name.p, "properties") != 0)
            return s;
    }
    return ns->root;
}

static struct ft_jv *walk_pointer(struct ft_nodes *ns, struct ft_jv *v, const char *p)
{
    while (v != NULL && *p == '/') {
        ft_cx_work(ns->cx, v->n);
        const char *end = strchr(p + 1, '/');
        size_t n = end != NULL ? (size_t)(end - p - 1) : strlen(p + 1), m = 0;
        char *part = ft_cx_alloc(ns->cx, n + 1, 1);
        for (size_t i = 0; i < n; i++) {
            const char *c = p + 1 + i;
            if (*c == '~' && i + 1 < n && (c[1] == '0' || c[1] == '1')) {
                part[m++] = c[1] == '0' ? '~' : '/';
                i++;
            } else if (*c == '%' && i + 2 < n && ft_hex_digit((unsigned char)c[1]) >= 0 &&
                       ft_hex_digit((unsigned char)c[2]) >= 0) {
                part[m++] = (char)(ft_hex_digit((unsigned char)c[1]) << 4 |
                                   ft_hex_digit((unsigned char)c[2]));
                i += 2;
            } else {
                part[m++] = *c;
            }
        }
        struct ft_jv *next = ft_jv_get_n(v, part, m);
        for (size_t i = 0; v->kind == FT_JV_ARR && next == NULL && i < v->n; i++)
            if (v->v[i]->name.n == m && memcmp(v->v[i]->name.p, part, m) == 0)
                next = v->v[i];
        v = next;
        p += n + 1;
    }
    return v != NULL && *p == '\0' ? v : NULL;
}

static size_t id_bare(const struct ft_jv *id) /* without an empty fragment */
{
    return id->s.n > 0 && id->s.p[id->s.n - 1] == '#' ? id->s.n - 1 : id->s.n;
}

/* The value whose $id, id or $anchor is `name`; bounded by the document's depth. */
static struct ft_jv *find_id(struct ft_nodes *ns, struct ft_jv *v, const char *name, size_t n,
                             bool anchor)
{
    static const char *const keys[] = {"$id", "id", "$anchor"};
    ft_cx_work(ns->cx, 20 + 5 * v->n);
    for (size_t i = 0; v->kind == FT_JV_OBJ && i < FT_COUNT(keys); i++) {
        const struct ft_jv *id = ft_jv_get(v, keys[i]);
        if (id == NULL || id->kind != FT_JV_STR)
            continue;
        size_t skip = anchor && i < 2 ? 1 : 0; /* "$id": "#name" in draft 6 and 7 */
        if (skip == 1 && (id->s.n == 0 || id->s.p[0] != '#'))
            continue;
        if (anchor == (i == 2 || skip == 1) && id_bare(id) - skip == n &&
            memcmp(id->s.p + skip, name, n) == 0)
            return v;
    }
    for (size_t i = 0; i < v->n; i++) {
        struct ft_jv *r = find_id(ns, v->v[i], name, n, anchor);
        if (r != NULL)
            return r;
    }
    return NULL;
}

static uint32_t read_ref(struct ft_nodes *ns, struct ft_jv *s, const struct ft_jv *ref)
{
    at(ns, "$ref", s);
    if (ref->kind != FT_JV_STR)
        malformed(ns, "a string was expected");
    const char *hash = strchr(ref->s.p, '#');
    size_t base = hash != NULL ? (size_t)(hash - ref->s.p) : ref->s.n;
    const char *frag = hash != NULL ? hash + 1 : "";
    struct ft_jv *from = base == 0 ? resource(ns, s) : find_id(ns, ns->root, ref->s.p, base, false);
    struct ft_jv *to = NULL;
    if (from != NULL && (*frag == '/' || *frag == '\0'))
        to = walk_pointer(ns, from, frag);
    else if (from != NULL)
        to = find_id(ns, from, frag, strlen(frag), true);
    if (to == NULL && base == 0 && *frag == '/')
        to = walk_pointer(ns, ns->root, frag);
    if (to == NULL)
        ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: %s is not in this document", ns->cx->what,
                   ref->s.p);
    return read_schema(ns, to);
}

/* ---- a schema ---- */

static void check_refused(struct ft_nodes *ns, struct ft_jv *s)
{
    for (size_t i = 0; i < FT_COUNT(refused); i++) {
        const struct ft_jv *v = ft_jv_get(s, refused[i]);
        if (v == NULL || v->kind == FT_JV_TRUE)
            continue;
        at(ns, refused[i], s);
        ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: this keyword is not enforced", ns->cx->what);
    }
}

static uint32_t read_if(struct ft_nodes *ns, struct ft_jv *s)
{
    struct ft_jv *i = ft_jv_get(s, "if"), *t = ft_jv_get(s, "then"), *e = ft_jv_get(s, "else");
    if (i == NULL || (t == NULL && e == NULL))
        return FT_NODE_TRUE;
    at(ns, "if", s);
    const char *where = ns->cx->what;
    uint32_t cond = read_schema(ns, i);
    uint32_t yes = t != NULL ? read_schema(ns, t) : FT_NODE_TRUE;
    uint32_t no = e != NULL ? read_schema(ns, e) : FT_NODE_TRUE;
    ns->cx->what = where;
    return ft_node_or2(ns, ft_node_and2(ns, cond, yes),
                       ft_node_and2(ns, ft_node_not(ns, cond), no));
}

static uint32_t read_keywords(struct ft_nodes *ns, struct ft_jv *s)
{
    uint32_t all[64];
    size_t n = 0;
    const struct ft_jv *v;
    check_refused(ns, s);
    if ((v = ft_jv_get(s, "type")) != NULL) {
        at(ns, "type", s);
        all[n++] = read_type(ns, v);
    }
    if ((v = ft_jv_get(s, "enum")) != NULL) {
        at(ns, "enum", s);
        all[n++] = read_enum(ns, v);
    }
    if ((v = ft_jv_get(s, "const")) != NULL) {
        at(ns, "const", s);
        all[n++] = ft_node_const(ns, v);
    }
    if ((v = ft_jv_get(s, "$ref")) != NULL)
        all[n++] = read_ref(ns, s, v);
    n += read_limit(ns, s, FT_N_LO, "minimum", "exclusiveMinimum", all + n);
    n += read_limit(ns, s, FT_N_HI, "maximum", "exclusiveMaximum", all + n);
    if ((v = ft_jv_get(s, "multipleOf")) != NULL) {
        at(ns, "multipleOf", s);
        all[n++] = dec_node(ns, FT_N_MUL, v, false);
    }
    n += read_string(ns, s, all + n);
    n += read_array(ns, s, all + n);
    n += read_object(ns, s, all + n);
    if (ft_jv_get(s, "allOf") != NULL)
        all[n++] = read_list(ns, s, "allOf", FT_N_AND);
    if (ft_jv_get(s, "anyOf") != NULL)
        all[n++] = read_list(ns, s, "anyOf", FT_N_OR);
    if (ft_jv_get(s, "oneOf") != NULL)
        all[n++] = read_list(ns, s, "oneOf", FT_N_ONE);
    struct ft_jv *not = ft_jv_get(s, "not");
    if (not != NULL) {
        at(ns, "not", s);
        const char *where = ns->cx->what;
        uint32_t kid = read_schema(ns, not );
        ns->cx->what = where;
        all[n++] = ft_node_not(ns, kid);
    }
    all[n++] = read_if(ns, s);
    return ft_node_and(ns, all, n);
}

/* Recursion follows the document and its references; a schema met while it is being read becomes a
 * FT_N_REF, so that cycles end. */
static uint32_t read_schema(struct ft_nodes *ns, struct ft_jv *s)
{
    if (s->kind == FT_JV_TRUE)
        return FT_NODE_TRUE;
    if (s->kind == FT_JV_FALSE)
        return FT_NODE_FALSE;
    if (s->kind != FT_JV_OBJ)
        ft_cx_fail(ns->cx, FT_EINVAL, "%s: a schema must be an object or a boolean",
                   ft_jv_path(ns->cx, s));
    if (s->node != 0 && (!s->busy || ns->v[s->node].kind == FT_N_REF))
        return s->node;
    if (s->busy) {
        s->node = ft_node_new(ns, FT_N_REF);
        ns->v[s->node].kid = ft_cx_alloc(ns->cx, 1, sizeof(uint32_t));
        ns->v[s->node].n_kids = 1;
        return s->node;
    }
    if (++ns->depth > DEPTH_MAX)
        ft_cx_fail(ns->cx, FT_EUNSUPPORTED, "%s: references nest too deeply",
                   ft_jv_path(ns->cx, s));
    s->busy = true;
    uint32_t x = read_keywords(ns, s);
    s->busy = false;
    if (s->node != 0)
        ns->v[s->node].kid[0] = x;
    s->node = x;
    ns->depth--;
    return x;
}

uint32_t ft_schema_read(struct ft_nodes *ns, struct ft_jv *root)
{
    ns->root = root;
    return read_schema(ns, root);
}
