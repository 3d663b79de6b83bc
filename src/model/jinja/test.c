/* The tests of `is`, and the global functions. */
#include <math.h>
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/method.h"
#include "model/jinja/value.h"

struct jv_test {
    const char *name;
    bool (*fn)(struct jr *r, struct jv v, const struct jv *p);
    const char *params; /* all required */
    int n;
};

static bool remainder_is(struct jr *r, struct jv v, struct jv by, int64_t want)
{
    struct jv rem = jv_binary(r, T_MOD, v, by);
    return jv_eq(r, rem, jv_int(want));
}

static bool t_odd(struct jr *r, struct jv v, const struct jv *p)
{
    (void)p;
    return remainder_is(r, v, jv_int(2), 1);
}

static bool t_even(struct jr *r, struct jv v, const struct jv *p)
{
    (void)p;
    return remainder_is(r, v, jv_int(2), 0);
}

static bool t_divisibleby(struct jr *r, struct jv v, const struct jv *p)
{
    return remainder_is(r, v, p[0], 0);
}

#define TYPE_TEST(name, cond)                                                                      \
    static bool t_##name(struct jr *r, struct jv v, const struct jv *p)                            \
    {                                                                                              \
        (void)r;                                                                                   \
        (void)p;                                                                                   \
        return cond;                                                                               \
    }
TYPE_TEST(defined, v.t != JV_UNDEF)
TYPE_TEST(undefined, v.t == JV_UNDEF)
TYPE_TEST(none, v.t == JV_NONE)
TYPE_TEST(boolean, v.t == JV_BOOL)
TYPE_TEST(false, v.t == JV_BOOL && !v.b)
TYPE_TEST(true, v.t == JV_BOOL && v.b)
TYPE_TEST(integer, v.t == JV_INT)
TYPE_TEST(float, v.t == JV_FLOAT)
TYPE_TEST(number, jv_is_num(v))
TYPE_TEST(string, v.t == JV_STR)
TYPE_TEST(mapping, v.t == JV_DICT)
TYPE_TEST(sequence, v.t == JV_STR || v.t == JV_LIST || v.t == JV_TUPLE || v.t == JV_DICT ||
                        v.t == JV_RANGE || v.t == JV_UNDEF)
TYPE_TEST(iterable, jv_iterable(v) || v.t == JV_LOOP)
TYPE_TEST(callable, v.t == JV_FUNC || v.t == JV_METHOD || v.t == JV_MACRO || v.t == JV_UNDEF ||
                        v.t == JV_LOOP || v.t == JV_JOINER)
TYPE_TEST(escaped, v.t == JV_STR && v.s->markup)
TYPE_TEST(sameas, jv_same(v, p[0]))
TYPE_TEST(eq, jv_eq(r, v, p[0]))
TYPE_TEST(ne, !jv_eq(r, v, p[0]))
TYPE_TEST(lt, jv_order(r, v, p[0], JV_LT))
TYPE_TEST(le, jv_order(r, v, p[0], JV_LE))
TYPE_TEST(gt, jv_order(r, v, p[0], JV_GT))
TYPE_TEST(ge, jv_order(r, v, p[0], JV_GE))
TYPE_TEST(in, jv_in(r, v, p[0]))
TYPE_TEST(lower, jm_is_cased(jv_to_str(r, v).s, false))
TYPE_TEST(upper, jm_is_cased(jv_to_str(r, v).s, true))

static void want_hashable(struct jr *r, struct jv v)
{
    if (!jv_hashable(v))
        jr_fail(r, FT_EINVAL, "unhashable type: '%s'", jv_type_name(v));
}

static bool t_filter(struct jr *r, struct jv v, const struct jv *p)
{
    (void)p;
    want_hashable(r, v);
    return v.t == JV_STR && jv_filter_find(v.s->p, v.s->n) != NULL;
}

static bool t_test(struct jr *r, struct jv v, const struct jv *p)
{
    (void)p;
    want_hashable(r, v);
    return v.t == JV_STR && jv_test_find(v.s->p, v.s->n) != NULL;
}

static const struct jv_test tests[] = {
    {"odd", t_odd, "", 0},
    {"even", t_even, "", 0},
    {"divisibleby", t_divisibleby, "num", 1},
    {"defined", t_defined, "", 0},
    {"undefined", t_undefined, "", 0},
    {"filter", t_filter, "", 0},
    {"test", t_test, "", 0},
    {"none", t_none, "", 0},
    {"boolean", t_boolean, "", 0},
    {"false", t_false, "", 0},
    {"true", t_true, "", 0},
    {"integer", t_integer, "", 0},
    {"float", t_float, "", 0},
    {"lower", t_lower, "", 0},
    {"upper", t_upper, "", 0},
    {"string", t_string, "", 0},
    {"mapping", t_mapping, "", 0},
    {"number", t_number, "", 0},
    {"sequence", t_sequence, "", 0},
    {"iterable", t_iterable, "", 0},
    {"callable", t_callable, "", 0},
    {"sameas", t_sameas, "other", 1},
    {"escaped", t_escaped, "", 0},
    {"in", t_in, "seq", 1},
    {"==", t_eq, "b", 1},
    {"eq", t_eq, "b", 1},
    {"equalto", t_eq, "b", 1},
    {"!=", t_ne, "b", 1},
    {"ne", t_ne, "b", 1},
    {">", t_gt, "b", 1},
    {"gt", t_gt, "b", 1},
    {"greaterthan", t_gt, "b", 1},
    {"ge", t_ge, "b", 1},
    {">=", t_ge, "b", 1},
    {"<", t_lt, "b", 1},
    {"lt", t_lt, "b", 1},
    {"lessthan", t_lt, "b", 1},
    {"<=", t_le, "b", 1},
    {"le", t_le, "b", 1},
};

const struct jv_test *jv_test_find(const char *name, size_t n)
{
    for (size_t i = 0; i < FT_COUNT(tests); i++)
        if (strlen(tests[i].name) == n && memcmp(tests[i].name, name, n) == 0)
            return &tests[i];
    return NULL;
}

bool jv_test_call(struct jr *r, const struct jv_test *t, struct jv value,
                  const struct jv_args *args)
{
    struct jv p[JV_PARAMS_MAX];
    jr_step(r);
    jv_bind(r, t->name, t->params, t->n, args, p);
    return t->fn(r, value, p);
}

/* ---- global functions ---- */

static int64_t range_arg(struct jr *r, struct jv v)
{
    jr_check_defined(r, v);
    if (!jv_is_int(v))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer", jv_type_name(v));
    return jv_as_int(v);
}

static struct jv g_range(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p[3];
    (void)self;
    if (a->n_kw != 0)
        jr_fail(r, FT_EINVAL, "range() takes no keyword arguments");
    jv_bind(r, "range", "start stop step", 1, a, p);
    int64_t start = range_arg(r, p[0]), stop = 0, step = jv_given(p[2]) ? range_arg(r, p[2]) : 1;
    if (jv_given(p[1])) {
        stop = range_arg(r, p[1]);
    } else {
        stop = start;
        start = 0;
    }
    if (step == 0)
        jr_fail(r, FT_EINVAL, "range() arg 3 must not be zero");
    __int128 span = step > 0 ? (__int128)stop - start : (__int128)start - stop;
    __int128 by = step > 0 ? (__int128)step : -(__int128)step,
             n = span <= 0 ? 0 : (span - 1) / by + 1;
    if (n > JR_RANGE_MAX)
        jr_fail(r, FT_ELIMIT,
                "Range too big. The sandbox blocks ranges larger than MAX_RANGE (%d).",
                JR_RANGE_MAX);
    struct jv v = jv_of(JV_RANGE);
    v.r = jr_alloc(r, sizeof *v.r);
    *v.r = (struct jv_range){start, stop, step, (int64_t)n};
    return v;
}

static void dict_from(struct jr *r, struct jv_dict *d, const char *what, const struct jv_args *a)
{
    if (a->n > 1)
        jr_fail(r, FT_EINVAL, "%s expected at most 1 argument, got %zu", what, a->n);
    if (a->n == 1 && a->v[0].t == JV_DICT) {
        for (size_t i = 0; i < a->v[0].d->n; i++)
            jv_dict_set(r, d, a->v[0].d->e[i].key, a->v[0].d->e[i].value);
    } else if (a->n == 1) {
        struct jv pair;
        for (struct jv_iter *it = jv_iter_of(r, a->v[0]); jv_next(r, it, &pair);) {
            struct jv two = jv_to_list(r, pair);
            if (two.l->n != 2)
                jr_fail(r, FT_EINVAL,
                        "dictionary update sequence element has length %zu; 2 is required",
                        two.l->n);
            jv_dict_set(r, d, two.l->v[0], two.l->v[1]);
        }
    }
    for (size_t i = 0; i < a->n_kw; i++)
        jv_dict_set(r, d, a->kw_names[i], a->kw[i]);
}

static struct jv g_dict(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    struct jv v = jv_dict_new(r);
    if (a->n == 1)
        jr_check_defined(r, a->v[0]);
    dict_from(r, v.d, "dict", a);
    return v;
}

static struct jv g_namespace(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv v = g_dict(r, self, a);
    v.t = JV_NS;
    return v;
}

static struct jv g_cycler(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    if (a->n == 0 || a->n_kw != 0)
        jr_fail(r, FT_EINVAL, "at least one item has to be provided");
    struct jv v = jv_of(JV_CYCLER);
    v.cycler = jr_alloc(r, sizeof *v.cycler);
    *v.cycler = (struct jv_cycler){a->v, a->n, 0};
    return v;
}

static struct jv g_joiner(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    struct jv sep, v = jv_of(JV_JOINER);
    jv_bind(r, "joiner", "sep", 0, a, &sep);
    v.joiner = jr_alloc(r, sizeof *v.joiner);
    *v.joiner = (struct jv_joiner){jv_given(sep) ? sep : jv_strz(r, ", "), false};
    return v;
}

static struct jv g_lipsum(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    (void)a;
    jr_fail(r, FT_EUNSUPPORTED, "lipsum() is not supported: the same input must render the same");
}

static struct jv g_raise(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    struct jv message;
    jv_bind(r, "raise_exception", "message", 1, a, &message);
    struct jv s = jv_to_str(r, message);
    jr_raise(r, s.s->p, s.s->n);
}

static struct jv g_strftime_now(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    struct jv format;
    jv_bind(r, "strftime_now", "format", 1, a, &format);
    if (format.t != JV_STR)
        jr_fail(r, FT_EINVAL, "strftime() argument 1 must be str, not %s", jv_type_name(format));
    return jv_strftime(r, format, r->now);
}

void jv_globals_add(struct jr *r, struct jv_dict *d)
{
    static const struct jv_func globals[] = {
        {"range", g_range},           {"dict", g_dict},
        {"namespace", g_namespace},   {"cycler", g_cycler},
        {"joiner", g_joiner},         {"lipsum", g_lipsum},
        {"raise_exception", g_raise}, {"strftime_now", g_strftime_now},
    };
    for (size_t i = 0; i < FT_COUNT(globals); i++)
        jv_dict_sets(r, d, globals[i].name, (struct jv){.t = JV_FUNC, .fn = &globals[i]});
}
