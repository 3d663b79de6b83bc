/* Attributes and items: what `a.b` and `a[b]` find, and the methods of everything but strings.
 *
 * As Jinja's sandbox: an attribute of the Python object comes before an item of the same name, so
 * `d.items` is the method even where d has a key "items"; what changes a list or dictionary is
 * "unsafe" and reads as undefined. (list.pop and list.clear escape that rule in Jinja, here too.)
 */
#include <math.h>
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/value.h"

static bool is(const char *name, size_t n, const char *lit)
{
    return strlen(lit) == n && memcmp(name, lit, n) == 0;
}

static struct jv bind_method(struct jr *r, struct jv self, const struct jv_func *fn)
{
    struct jv v = jv_of(JV_METHOD);
    v.method = jr_alloc(r, sizeof *v.method);
    *v.method = (struct jv_method){self, fn};
    return v;
}

static struct jv view_of(struct jr *r, struct jv d, enum jv_view_kind kind)
{
    struct jv v = jv_of(JV_VIEW);
    v.view = jr_alloc(r, sizeof *v.view);
    *v.view = (struct jv_view){kind, d.d};
    return v;
}

static struct jv dict_keys(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "keys", "", 0, a, NULL);
    return view_of(r, self, JV_KEYS);
}

static struct jv dict_values(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "values", "", 0, a, NULL);
    return view_of(r, self, JV_VALUES);
}

static struct jv dict_items(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "items", "", 0, a, NULL);
    return view_of(r, self, JV_ITEMS);
}

static struct jv dict_get(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p[2], v;
    if (a->n_kw != 0)
        jr_fail(r, FT_EINVAL, "dict.get() takes no keyword arguments");
    jv_bind(r, "get", "key default", 1, a, p);
    if (jv_dict_get(r, self.d, p[0], &v))
        return v;
    return jv_given(p[1]) ? p[1] : jv_of(JV_NONE);
}

static struct jv dict_copy(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "copy", "", 0, a, NULL);
    struct jv v = jv_dict_new(r);
    for (size_t i = 0; i < self.d->n; i++)
        jv_dict_set(r, v.d, self.d->e[i].key, self.d->e[i].value);
    return v;
}

static struct jv dict_fromkeys(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    struct jv p[2], v = jv_dict_new(r), key;
    jv_bind(r, "fromkeys", "iterable value", 1, a, p);
    struct jv_iter *it = jv_iter_of(r, p[0]);
    while (jv_next(r, it, &key))
        jv_dict_set(r, v.d, key, jv_given(p[1]) ? p[1] : jv_of(JV_NONE));
    return v;
}

static struct jv seq_count(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv what, v;
    int64_t n = 0;
    jv_bind(r, "count", "value", 1, a, &what);
    struct jv_iter *it = jv_iter_of(r, self);
    while (jv_next(r, it, &v))
        n += jv_eq(r, v, what);
    return jv_int(n);
}

static int64_t opt_index(struct jr *r, struct jv v, int64_t absent, int64_t n)
{
    if (!jv_given(v))
        return absent;
    if (!jv_is_int(v))
        jr_fail(r, FT_EINVAL, "slice indices must be integers or have an __index__ method");
    int64_t i = jv_as_int(v);
    return i < 0 ? FT_MAX(i < -n ? 0 : i + n, (int64_t)0) : i;
}

static struct jv seq_index(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p[3], v;
    jv_bind(r, "index", "value start stop", 1, a, p);
    int64_t n = jv_len(r, self), from = opt_index(r, p[1], 0, n), to = opt_index(r, p[2], n, n);
    struct jv_iter *it = jv_iter_of(r, self);
    for (int64_t i = 0; jv_next(r, it, &v) && i < to; i++)
        if (i >= from && jv_eq(r, v, p[0]))
            return jv_int(i);
    jr_fail(r, FT_EINVAL, "value is not in %s", jv_type_name(self));
}

static struct jv list_copy(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "copy", "", 0, a, NULL);
    return jv_to_list(r, self);
}

static struct jv list_clear(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "clear", "", 0, a, NULL);
    self.l->n = 0;
    return jv_of(JV_NONE);
}

static struct jv list_pop(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv index;
    struct jv_list *l = self.l;
    jv_bind(r, "pop", "index", 0, a, &index);
    if (jv_given(index) && !jv_is_int(index))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer",
                jv_type_name(index));
    int64_t n = (int64_t)l->n, i = jv_given(index) ? jv_as_int(index) : -1;
    if (i < 0 && i >= -n)
        i += n;
    if (i < 0 || i >= n)
        jr_fail(r, FT_EINVAL, n == 0 ? "pop from empty list" : "pop index out of range");
    struct jv v = l->v[i];
    jr_charge(r, 16 * (size_t)(n - i));
    memmove(l->v + i, l->v + i + 1, (size_t)(n - i - 1) * sizeof *l->v);
    l->n--;
    return v;
}

static struct jv cycler_next(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "next", "", 0, a, NULL);
    struct jv_cycler *c = self.cycler;
    struct jv v = c->v[c->pos];
    c->pos = (c->pos + 1) % c->n;
    return v;
}

static struct jv cycler_reset(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "reset", "", 0, a, NULL);
    self.cycler->pos = 0;
    return jv_of(JV_NONE);
}

static struct jv number_self(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "conjugate", "", 0, a, NULL);
    return jv_is_int(self) ? jv_int(jv_as_int(self)) : self;
}

static struct jv int_bit_length(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "bit_length", "", 0, a, NULL);
    int64_t i = jv_as_int(self);
    uint64_t u = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
    return jv_int(u == 0 ? 0 : 64 - __builtin_clzll(u));
}

static struct jv int_bit_count(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "bit_count", "", 0, a, NULL);
    int64_t i = jv_as_int(self);
    return jv_int(__builtin_popcountll(i < 0 ? 0 - (uint64_t)i : (uint64_t)i));
}

static struct jv float_is_integer(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "is_integer", "", 0, a, NULL);
    return jv_bool(self.f == floor(self.f) && !isinf(self.f));
}

static struct jv not_supported(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)a;
    jr_fail(r, FT_EUNSUPPORTED, "this method of %s is not supported", jv_type_name(self));
}

struct method_row {
    enum jv_type type;
    struct jv_func fn; /* call NULL: unsafe */
};

static const struct method_row rows[] = {
    {JV_DICT, {"get", dict_get}},
    {JV_DICT, {"items", dict_items}},
    {JV_DICT, {"keys", dict_keys}},
    {JV_DICT, {"values", dict_values}},
    {JV_DICT, {"copy", dict_copy}},
    {JV_DICT, {"fromkeys", dict_fromkeys}},
    {JV_FUNC, {"fromkeys", dict_fromkeys}}, /* of dict alone */
    {JV_DICT, {"clear", NULL}},
    {JV_DICT, {"pop", NULL}},
    {JV_DICT, {"popitem", NULL}},
    {JV_DICT, {"setdefault", NULL}},
    {JV_DICT, {"update", NULL}},
    {JV_LIST, {"count", seq_count}},
    {JV_LIST, {"index", seq_index}},
    {JV_LIST, {"copy", list_copy}},
    {JV_LIST, {"clear", list_clear}},
    {JV_LIST, {"pop", list_pop}},
    {JV_LIST, {"append", NULL}},
    {JV_LIST, {"reverse", NULL}},
    {JV_LIST, {"insert", NULL}},
    {JV_LIST, {"sort", NULL}},
    {JV_LIST, {"extend", NULL}},
    {JV_LIST, {"remove", NULL}},
    {JV_TUPLE, {"count", seq_count}},
    {JV_TUPLE, {"index", seq_index}},
    {JV_RANGE, {"count", seq_count}},
    {JV_RANGE, {"index", seq_index}},
    {JV_CYCLER, {"next", cycler_next}},
    {JV_CYCLER, {"reset", cycler_reset}},
    {JV_INT, {"bit_length", int_bit_length}},
    {JV_INT, {"bit_count", int_bit_count}},
    {JV_INT, {"conjugate", number_self}},
    {JV_INT, {"to_bytes", not_supported}},
    {JV_INT, {"from_bytes", not_supported}},
    {JV_INT, {"as_integer_ratio", not_supported}},
    {JV_FLOAT, {"is_integer", float_is_integer}},
    {JV_FLOAT, {"conjugate", number_self}},
    {JV_FLOAT, {"hex", not_supported}},
    {JV_FLOAT, {"fromhex", not_supported}},
    {JV_FLOAT, {"as_integer_ratio", not_supported}},
    {JV_VIEW, {"isdisjoint", not_supported}},
    {JV_VIEW, {"mapping", not_supported}},
    {JV_ITER, {"send", not_supported}},
    {JV_ITER, {"throw", not_supported}},
    {JV_ITER, {"close", not_supported}},
};

static const struct method_row *find_row(enum jv_type type, const char *name, size_t n)
{
    for (size_t i = 0; i < FT_COUNT(rows); i++)
        if (rows[i].type == type && is(name, n, rows[i].fn.name))
            return &rows[i];
    return NULL;
}

static struct jv macro_arguments(struct jr *r, const struct jn *m)
{
    struct jv v = jv_tuple_new(r, (size_t)m->n_items2);
    for (int i = 0; i < m->n_items2; i++)
        v.l->v[i] = jv_strn(r, m->items2[i]->name->s, m->items2[i]->name->n);
    return v;
}

static bool macro_attr(struct jr *r, const struct jn *m, const char *name, size_t n, struct jv *ret)
{
    if (is(name, n, "name"))
        *ret = m->name == NULL ? jv_of(JV_NONE) : jv_strn(r, m->name->s, m->name->n);
    else if (is(name, n, "arguments"))
        *ret = macro_arguments(r, m);
    else if (is(name, n, "catch_kwargs"))
        *ret = jv_bool(m->kwargs_ref.slot >= 0);
    else if (is(name, n, "catch_varargs"))
        *ret = jv_bool(m->varargs_ref.slot >= 0);
    else if (is(name, n, "caller"))
        *ret = jv_bool(m->flag);
    else if (is(name, n, "explicit_caller"))
        *ret = jv_bool(m->explicit_caller);
    else
        return false;
    return true;
}

/* Plain attributes: fields of numbers, ranges and Jinja's own objects. */
static bool field(struct jr *r, struct jv obj, const char *name, size_t n, struct jv *ret)
{
    bool found = false;
    switch (obj.t) {
    case JV_NS:
        return jv_dict_getn(r, obj.d, name, n, ret);
    case JV_LOOP:
        *ret = jv_loop_attr(r, obj.loop, name, n, &found);
        return found;
    case JV_MACRO:
        return macro_attr(r, obj.macro->node, name, n, ret);
    case JV_BOOL:
    case JV_INT:
    case JV_FLOAT:
        if (is(name, n, "real") || (obj.t != JV_FLOAT && is(name, n, "numerator")))
            *ret = obj.t == JV_FLOAT ? obj : jv_int(jv_as_int(obj));
        else if (is(name, n, "imag"))
            *ret = obj.t == JV_FLOAT ? jv_float(0) : jv_int(0);
        else if (obj.t != JV_FLOAT && is(name, n, "denominator"))
            *ret = jv_int(1);
        else
            return false;
        return true;
    case JV_RANGE:
        if (!is(name, n, "start") && !is(name, n, "stop") && !is(name, n, "step"))
            return false;
        *ret = jv_int(is(name, n, "start")  ? obj.r->start
                      : is(name, n, "stop") ? obj.r->stop
                                            : obj.r->step);
        return true;
    case JV_TUPLE:
        if (!obj.l->group || (!is(name, n, "grouper") && !is(name, n, "list")))
            return false;
        *ret = obj.l->v[is(name, n, "list")];
        return true;
    case JV_CYCLER:
        if (is(name, n, "current"))
            *ret = obj.cycler->v[obj.cycler->pos];
        else if (is(name, n, "pos"))
            *ret = jv_int((int64_t)obj.cycler->pos);
        else
            return false;
        return true;
    case JV_JOINER:
        if (is(name, n, "sep"))
            *ret = obj.joiner->sep;
        else if (is(name, n, "used"))
            *ret = jv_bool(obj.joiner->used);
        else
            return false;
        return true;
    default:
        return false;
    }
}

bool jv_find_attr(struct jr *r, struct jv obj, const char *name, size_t n, struct jv *ret)
{
    if (field(r, obj, name, n, ret)) {
        if (n != 0 && name[0] == '_')
            *ret = jv_unsafe(r, obj, name, n);
        return true;
    }
    const struct jv_func *fn = NULL;
    if (obj.t == JV_STR) {
        fn = jv_str_method(name, n);
    } else {
        const struct method_row *row = find_row(obj.t == JV_BOOL ? JV_INT : obj.t, name, n);
        if (row != NULL && row->fn.call == NULL) {
            *ret = jv_unsafe(r, obj, name, n);
            return true;
        }
        fn = row != NULL && (obj.t != JV_FUNC || strcmp(obj.fn->name, "dict") == 0) ? &row->fn
                                                                                    : NULL;
    }
    if (fn != NULL)
        *ret = bind_method(r, obj, fn);
    return fn != NULL;
}

static const char *describe(struct jv obj)
{
    return obj.t == JV_NONE ? "None" : jv_type_name(obj);
}

static struct jv no_attr(struct jr *r, struct jv obj, const char *name, size_t n)
{
    return jv_undef(r, "'%s%s' has no attribute '%.*s'", describe(obj),
                    obj.t == JV_NONE ? "" : " object", (int)FT_MIN(n, (size_t)100), name);
}

struct jv jv_getattr(struct jr *r, struct jv obj, const char *name, size_t n)
{
    struct jv v;
    jr_check_defined(r, obj);
    if (jv_find_attr(r, obj, name, n, &v) ||
        (obj.t == JV_DICT && jv_dict_getn(r, obj.d, name, n, &v)))
        return v;
    return no_attr(r, obj, name, n);
}

static bool item(struct jr *r, struct jv obj, struct jv key, struct jv *ret)
{
    if (obj.t == JV_DICT)
        return jv_hashable(key) && jv_dict_get(r, obj.d, key, ret);
    if (!jv_is_int(key) ||
        (obj.t != JV_STR && obj.t != JV_LIST && obj.t != JV_TUPLE && obj.t != JV_RANGE))
        return false;
    int64_t n = jv_len(r, obj), i = jv_as_int(key);
    if (i < 0)
        i = i < -n ? -1 : i + n;
    if (i < 0 || i >= n)
        return false;
    if (obj.t == JV_RANGE) {
        *ret = jv_int(obj.r->start + i * obj.r->step);
    } else if (obj.t == JV_STR) {
        jr_charge(r, (size_t)n == obj.s->n ? 0 : obj.s->n);
        size_t from = jv_byte_at(obj.s, i), to = from + 1;
        while (to < obj.s->n && ((unsigned char)obj.s->p[to] & 0xc0) == 0x80)
            to++;
        *ret = jv_substr(r, obj, from, to);
    } else {
        *ret = obj.l->v[i];
    }
    return true;
}

struct jv jv_getitem(struct jr *r, struct jv obj, struct jv key)
{
    struct jv v;
    jr_check_defined(r, obj);
    if (item(r, obj, key, &v))
        return v;
    if (key.t == JV_STR) {
        if (jv_find_attr(r, obj, key.s->p, key.s->n, &v))
            return v;
        return no_attr(r, obj, key.s->p, key.s->n);
    }
    struct jb b;
    jb_init(&b, r);
    jv_repr_to(&b, key);
    return jv_undef(r, "%s%s has no element %.*s", describe(obj), obj.t == JV_NONE ? "" : " object",
                    (int)FT_MIN(b.n, (size_t)100), b.p);
}
