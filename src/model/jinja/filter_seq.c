/* Filters on sequences. map, select, unique and their kin are lazy, as Python's generators. */
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/filter.h"
#include "model/jinja/method.h"

struct jv jf_ignore_case(struct jr *r, struct jv v)
{
    return v.t == JV_STR ? jm_map(r, v, JU_LOWER) : v;
}

static struct jv path_part(struct jr *r, struct jv item, const char *p, size_t n)
{
    bool digits = n != 0;
    int64_t i = 0;
    for (const char *q = p; q < p + n;) {
        uint32_t cp = ju_next(&q);
        digits = digits && cp >= '0' && cp <= '9' && i < INT64_MAX / 100;
        i = digits ? i * 10 + (cp - '0') : i;
    }
    return jv_getitem(r, item, digits ? jv_int(i) : jv_str_view(r, p, n));
}

static struct jv attribute_or(struct jr *r, struct jv item, struct jv path, struct jv absent)
{
    if (!jv_given(path) || path.t == JV_NONE)
        return item;
    if (path.t != JV_STR) {
        item = jv_getitem(r, item, path);
        return item.t == JV_UNDEF && jv_given(absent) ? absent : item;
    }
    const char *p = path.s->p, *end = p + path.s->n;
    for (;;) {
        const char *dot = memchr(p, '.', (size_t)(end - p));
        size_t n = (size_t)((dot == NULL ? end : dot) - p);
        item = path_part(r, item, p, n);
        if (item.t == JV_UNDEF && jv_given(absent))
            item = absent;
        if (dot == NULL)
            return item;
        p = dot + 1;
    }
}

struct jv jf_attribute(struct jr *r, struct jv item, struct jv path)
{
    return attribute_or(r, item, path, jv_of(JV_MISSING));
}

static bool opt_true(struct jr *r, struct jv v)
{
    return jv_given(v) && jv_truth(r, v);
}

static struct jv opt_default(struct jv v) /* default=None counts as none given */
{
    return v.t == JV_NONE ? jv_of(JV_MISSING) : v;
}

struct jv jf_length(struct jr *r, struct jf_call *c)
{
    return jv_int(jv_len(r, c->v));
}

struct jv jf_list(struct jr *r, struct jf_call *c)
{
    return jv_to_list(r, c->v);
}

struct jv jf_first(struct jr *r, struct jf_call *c)
{
    struct jv v;
    if (jv_next(r, jv_iter_of(r, c->v), &v))
        return v;
    return jv_undef(r, "No first item, sequence was empty.");
}

struct jv jf_last(struct jr *r, struct jf_call *c)
{
    struct jv v;
    if (jv_next(r, jv_reversed(r, c->v), &v))
        return v;
    return jv_undef(r, "No last item, sequence was empty.");
}

struct jv jf_reverse(struct jr *r, struct jf_call *c)
{
    if (c->v.t == JV_STR) {
        struct jb b;
        struct jv ch;
        jb_init(&b, r);
        for (struct jv_iter *it = jv_reversed(r, c->v); jv_next(r, it, &ch);)
            jb_add(&b, ch.s->p, ch.s->n);
        struct jv v = jb_str(&b);
        v.s->markup = c->v.s->markup;
        return v;
    }
    if (jv_reversible(c->v))
        return jv_iter_value(jv_reversed(r, c->v));
    if (!jv_iterable(c->v))
        jr_fail(r, FT_EINVAL, "argument must be iterable");
    struct jv list = jv_to_list(r, c->v), back = jv_list_new(r, list.l->n);
    for (size_t i = list.l->n; i-- > 0;)
        jv_list_push(r, back, list.l->v[i]);
    return back;
}

static int next_item_pair(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (it->src.t == JV_UNDEF)
        return 0;
    if (it->src.t != JV_DICT)
        jr_fail(r, FT_EINVAL, "Can only get item pairs from a mapping.");
    if ((size_t)it->i >= it->src.d->n)
        return 0;
    const struct jv_entry *e = &it->src.d->e[it->i++];
    *ret = jv_pair(r, e->key, e->value);
    return 1;
}

struct jv jf_items(struct jr *r, struct jf_call *c)
{
    struct jv_iter *it = jv_iter_new(r, next_item_pair);
    it->src = c->v;
    return jv_iter_value(it);
}

struct jv jf_join(struct jr *r, struct jf_call *c)
{
    struct jv d = jv_given(c->p[0]) ? c->p[0] : jv_strz(r, ""), v;
    bool markup = r->autoescape && d.t == JV_STR && d.s->markup;
    struct jv_iter *it = jv_iter_of(r, c->v);
    if (r->autoescape && !markup) { /* any markup among the items turns all of it into markup */
        struct jv list = jv_to_list(r, c->v);
        for (size_t i = 0; i < list.l->n; i++) {
            v = list.l->v[i] = jf_attribute(r, list.l->v[i], c->p[1]);
            markup |= v.t == JV_STR && v.s->markup;
        }
        it = jv_iter_of(r, list);
        c->p[1] = jv_of(JV_MISSING);
    }
    if (markup)
        d = jv_escape(r, d);
    d = jv_to_str(r, d);
    struct jb b;
    jb_init(&b, r);
    for (bool first = true; jv_next(r, it, &v); first = false) {
        if (!first)
            jb_add(&b, d.s->p, d.s->n);
        v = jf_attribute(r, v, c->p[1]);
        if (markup)
            jv_escape_to(&b, v);
        else
            jv_str_to(&b, v);
    }
    v = jb_str(&b);
    v.s->markup = markup;
    return v;
}

/* ---- sorting ---- */

struct keyed {
    struct jv key, value;
};

/* Stable merge sort with Python's comparisons; reversed keeps equal elements in order too. */
static void sort_keyed(struct jr *r, struct keyed *e, size_t n, bool reverse)
{
    struct keyed *tmp = jr_array(r, n + 1, sizeof *tmp);
    for (size_t w = 1; w < n; w *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * w) {
            size_t mid = FT_MIN(lo + w, n), hi = FT_MIN(lo + 2 * w, n), i = lo, j = mid, k = lo;
            while (i < mid || j < hi) {
                bool left =
                    j == hi || (i < mid && !(reverse ? jv_order(r, e[i].key, e[j].key, JV_LT)
                                                     : jv_order(r, e[j].key, e[i].key, JV_LT)));
                tmp[k++] = left ? e[i++] : e[j++];
            }
        }
        memcpy(e, tmp, n * sizeof *e);
    }
}

/* The key of do_sort: a list with one entry for each comma-separated path. */
static struct jv multi_key(struct jr *r, struct jv item, struct jv path, bool fold)
{
    struct jv key = jv_list_new(r, 1), v;
    if (!jv_given(path) || path.t != JV_STR) {
        v = jf_attribute(r, item, path);
        jv_list_push(r, key, fold ? jf_ignore_case(r, v) : v);
        return key;
    }
    const char *p = path.s->p, *end = p + path.s->n;
    for (;;) {
        const char *comma = memchr(p, ',', (size_t)(end - p));
        v = jf_attribute(r, item, jv_str_view(r, p, (size_t)((comma == NULL ? end : comma) - p)));
        jv_list_push(r, key, fold ? jf_ignore_case(r, v) : v);
        if (comma == NULL)
            return key;
        p = comma + 1;
    }
}

static struct jv keyed_values(struct jr *r, const struct keyed *e, size_t n)
{
    struct jv list = jv_list_new(r, n);
    for (size_t i = 0; i < n; i++)
        jv_list_push(r, list, e[i].value);
    return list;
}

struct jv jf_sort(struct jr *r, struct jf_call *c)
{
    bool reverse = opt_true(r, c->p[0]), fold = !opt_true(r, c->p[1]);
    struct jv list = jv_to_list(r, c->v);
    size_t n = list.l->n;
    struct keyed *e = jr_array(r, n + 1, sizeof *e);
    for (size_t i = 0; i < n; i++)
        e[i] = (struct keyed){multi_key(r, list.l->v[i], c->p[2], fold), list.l->v[i]};
    sort_keyed(r, e, n, reverse);
    return keyed_values(r, e, n);
}

struct jv jf_dictsort(struct jr *r, struct jf_call *c)
{
    bool fold = !opt_true(r, c->p[0]), reverse = opt_true(r, c->p[2]), by_value = false;
    if (jv_given(c->p[1])) {
        by_value = jv_eq(r, c->p[1], jv_strz(r, "value"));
        if (!by_value && !jv_eq(r, c->p[1], jv_strz(r, "key")))
            jr_fail(r, FT_EINVAL, "You can only sort by either \"key\" or \"value\"");
    }
    jr_check_defined(r, c->v);
    if (c->v.t != JV_DICT)
        jr_fail(r, FT_EINVAL, "'%s' object has no attribute 'items'", jv_type_name(c->v));
    size_t n = c->v.d->n;
    struct keyed *e = jr_array(r, n + 1, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        const struct jv_entry *x = &c->v.d->e[i];
        struct jv key = by_value ? x->value : x->key;
        e[i] = (struct keyed){fold ? jf_ignore_case(r, key) : key, jv_pair(r, x->key, x->value)};
    }
    sort_keyed(r, e, n, reverse);
    return keyed_values(r, e, n);
}

static struct jv extreme(struct jr *r, struct jf_call *c, bool max)
{
    bool fold = !opt_true(r, c->p[0]);
    struct jv_iter *it = jv_iter_of(r, c->v);
    struct jv v, best = jv_of(JV_MISSING), best_key = jv_of(JV_MISSING);
    while (jv_next(r, it, &v)) {
        struct jv key = jf_attribute(r, v, c->p[1]);
        if (fold)
            key = jf_ignore_case(r, key);
        if (!jv_given(best) || jv_order(r, key, best_key, max ? JV_GT : JV_LT)) {
            best = v;
            best_key = key;
        }
    }
    return jv_given(best) ? best : jv_undef(r, "No aggregated item, sequence was empty.");
}

struct jv jf_max(struct jr *r, struct jf_call *c)
{
    return extreme(r, c, true);
}

struct jv jf_min(struct jr *r, struct jf_call *c)
{
    return extreme(r, c, false);
}

struct jv jf_groupby(struct jr *r, struct jf_call *c)
{
    bool fold = !opt_true(r, c->p[2]);
    struct jv absent = opt_default(c->p[1]), list = jv_to_list(r, c->v), out = jv_list_new(r, 0);
    size_t n = list.l->n;
    struct keyed *e = jr_array(r, n + 1, sizeof *e);
    for (size_t i = 0; i < n; i++) {
        struct jv key = attribute_or(r, list.l->v[i], c->p[0], absent);
        e[i] = (struct keyed){fold ? jf_ignore_case(r, key) : key, list.l->v[i]};
    }
    sort_keyed(r, e, n, false);
    for (size_t i = 0, k; i < n; i = k) {
        struct jv values = jv_list_new(r, 1);
        for (k = i; k < n && jv_eq(r, e[k].key, e[i].key); k++)
            jv_list_push(r, values, e[k].value);
        if (k == i) { /* a key that does not equal itself (NaN) */
            jv_list_push(r, values, e[k++].value);
        }
        struct jv key = fold ? attribute_or(r, e[i].value, c->p[0], absent) : e[i].key;
        struct jv group = jv_pair(r, key, values);
        group.l->group = true;
        jv_list_push(r, out, group);
    }
    return out;
}

struct jv jf_sum(struct jr *r, struct jf_call *c)
{
    struct jv total = jv_given(c->p[1]) ? c->p[1] : jv_int(0), v;
    struct jv_iter *it = jv_iter_of(r, c->v);
    if (total.t == JV_STR)
        jr_fail(r, FT_EINVAL, "sum() can't sum strings [use ''.join(seq) instead]");
    while (jv_next(r, it, &v))
        total = jv_binary(r, T_ADD, total, jf_attribute(r, v, c->p[0]));
    return total;
}

/* ---- generators ---- */

static int next_unique(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (!it->started) {
        it->started = true;
        it->in = jv_iter_of(r, it->src);
    }
    while (jv_next(r, it->in, ret)) {
        struct jv key = jf_attribute(r, *ret, it->extra), seen;
        if (!it->case_sensitive)
            key = jf_ignore_case(r, key);
        if (jv_dict_get(r, it->seen, key, &seen))
            continue;
        jv_dict_set(r, it->seen, key, jv_bool(true));
        return 1;
    }
    return 0;
}

struct jv jf_unique(struct jr *r, struct jf_call *c)
{
    struct jv_iter *it = jv_iter_new(r, next_unique);
    it->src = c->v;
    it->case_sensitive = opt_true(r, c->p[0]);
    it->extra = c->p[1];
    it->seen = jv_dict_new(r).d;
    return jv_iter_value(it);
}

static int64_t count_arg(struct jr *r, struct jv v)
{
    if (!jv_is_int(v))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer", jv_type_name(v));
    return jv_as_int(v);
}

static int next_batch(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    struct jv v;
    if (!it->started) {
        it->started = true;
        it->in = jv_iter_of(r, it->src);
    }
    *ret = jv_list_new(r, 0);
    if (jv_given(it->args.v[1])) { /* the item that did not fit */
        jv_list_push(r, *ret, it->args.v[1]);
        it->args.v[1] = jv_of(JV_MISSING);
    }
    struct jv count = it->args.v[0];
    while (jv_next(r, it->in, &v)) {
        if (jv_eq(r, jv_int((int64_t)ret->l->n), count)) {
            it->args.v[1] = v;
            return 1;
        }
        jv_list_push(r, *ret, v);
    }
    if (ret->l->n == 0)
        return 0;
    if (jv_given(it->extra) && it->extra.t != JV_NONE) {
        if (jv_order(r, jv_int((int64_t)ret->l->n), count, JV_LT))
            for (int64_t n = count_arg(r, count); (int64_t)ret->l->n < n;) {
                jr_step(r);
                jv_list_push(r, *ret, it->extra);
            }
    }
    return 1;
}

struct jv jf_batch(struct jr *r, struct jf_call *c)
{
    struct jv_iter *it = jv_iter_new(r, next_batch);
    it->src = c->v;
    it->extra = c->p[1];
    it->args.v = jr_array(r, 2, sizeof *it->args.v);
    it->args.v[0] = c->p[0];
    return jv_iter_value(it);
}

static int next_slice(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (!it->started) {
        it->started = true;
        it->src = jv_to_list(r, it->src);
        it->n = count_arg(r, it->args.v[0]);
        if (it->n == 0)
            jr_fail(r, FT_EINVAL, "integer division or modulo by zero");
    }
    if (it->i >= it->n)
        return 0;
    int64_t len = (int64_t)it->src.l->n, per = len / it->n, extra = len % it->n, k = it->i++;
    int64_t from = k * per + FT_MIN(k, extra), to = (k + 1) * per + FT_MIN(k + 1, extra);
    *ret = jv_list_new(r, (size_t)(to - from) + 1);
    for (int64_t i = from; i < to; i++)
        jv_list_push(r, *ret, it->src.l->v[i]);
    if (jv_given(it->extra) && it->extra.t != JV_NONE && k >= extra)
        jv_list_push(r, *ret, it->extra);
    return 1;
}

struct jv jf_slice(struct jr *r, struct jf_call *c)
{
    struct jv_iter *it = jv_iter_new(r, next_slice);
    it->src = c->v;
    it->extra = c->p[1];
    it->args.v = jr_array(r, 1, sizeof *it->args.v);
    it->args.v[0] = c->p[0];
    return jv_iter_value(it);
}

/* The arguments after the first `n`; generators outlive the call that made them, arenas do too. */
static struct jv_args tail(const struct jv_args *a, size_t n)
{
    struct jv_args t = *a;
    t.v += FT_MIN(n, a->n);
    t.n -= FT_MIN(n, a->n);
    return t;
}

static struct jv keyword(const struct jv_args *a, const char *name)
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (a->kw_names[i].s->n == strlen(name) &&
            memcmp(a->kw_names[i].s->p, name, strlen(name)) == 0)
            return a->kw[i];
    return jv_of(JV_MISSING);
}

static void map_check(struct jr *r, const struct jv_args *a)
{
    if (a->n == 0 && !jv_given(keyword(a, "attribute")))
        jr_fail(r, FT_EINVAL, "map requires a filter argument");
    if (a->n == 0 && a->n_kw > 1u + jv_given(keyword(a, "default")))
        jr_fail(r, FT_EINVAL, "map: unexpected keyword argument");
}

static int next_map(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    const struct jv_args *a = &it->args;
    if (!it->started) {
        it->started = true;
        if (!jv_truth(r, it->src)) {
            it->src = jv_list_new(r, 0);
        } else {
            map_check(r, a);
        }
        it->in = jv_iter_of(r, it->src);
    }
    if (!jv_next(r, it->in, ret))
        return 0;
    if (a->n == 0) {
        *ret = attribute_or(r, *ret, keyword(a, "attribute"), opt_default(keyword(a, "default")));
        return 1;
    }
    const struct jv_filter *f =
        a->v[0].t == JV_STR ? jv_filter_find(a->v[0].s->p, a->v[0].s->n) : NULL;
    if (f == NULL)
        jr_fail(r, FT_EINVAL, "No filter with the name that map() was given.");
    struct jv_args rest = tail(a, 1);
    *ret = jv_filter_call(r, f, *ret, &rest);
    return 1;
}

struct jv jf_map(struct jr *r, struct jf_call *c)
{
    struct jv_iter *it = jv_iter_new(r, next_map);
    it->src = c->v;
    it->args = *c->a;
    return jv_iter_value(it);
}

static bool passes(struct jr *r, struct jv_iter *it, struct jv v)
{
    const struct jv_args *a = &it->args;
    size_t off = it->by_attr;
    if (it->by_attr)
        v = jf_attribute(r, v, a->v[0]);
    if (a->n <= off)
        return jv_truth(r, v) != it->negate;
    struct jv name = a->v[off];
    const struct jv_test *t = name.t == JV_STR ? jv_test_find(name.s->p, name.s->n) : NULL;
    if (t == NULL)
        jr_fail(r, FT_EINVAL, "No test with the name that select() or reject() was given.");
    struct jv_args rest = tail(a, off + 1);
    return jv_test_call(r, t, v, &rest) != it->negate;
}

static int next_select(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    if (!it->started) {
        it->started = true;
        if (!jv_truth(r, it->src))
            it->src = jv_list_new(r, 0);
        else if (it->by_attr && it->args.n == 0)
            jr_fail(r, FT_EINVAL, "Missing parameter for attribute name");
        it->in = jv_iter_of(r, it->src);
    }
    while (jv_next(r, it->in, ret))
        if (passes(r, it, *ret))
            return 1;
    return 0;
}

static struct jv selection(struct jr *r, struct jf_call *c, bool negate, bool by_attr)
{
    struct jv_iter *it = jv_iter_new(r, next_select);
    it->src = c->v;
    it->args = *c->a;
    it->negate = negate;
    it->by_attr = by_attr;
    return jv_iter_value(it);
}

struct jv jf_select(struct jr *r, struct jf_call *c)
{
    return selection(r, c, false, false);
}

struct jv jf_reject(struct jr *r, struct jf_call *c)
{
    return selection(r, c, true, false);
}

struct jv jf_selectattr(struct jr *r, struct jf_call *c)
{
    return selection(r, c, false, true);
}

struct jv jf_rejectattr(struct jr *r, struct jf_call *c)
{
    return selection(r, c, true, true);
}
