/* Operations on values (types.h): making, asking, iterating, text, operators, calls. The file
 * that defines a group is named above it. Anything that fails unwinds through jr_fail(). */
#ifndef FT_MODEL_JINJA_VALUE_H
#define FT_MODEL_JINJA_VALUE_H

#include "model/jinja/types.h"

/* Constructors. */
static inline struct jv jv_of(enum jv_type t)
{
    return (struct jv){.t = t};
}
static inline struct jv jv_bool(bool b)
{
    return (struct jv){.t = JV_BOOL, .b = b};
}
static inline struct jv jv_int(int64_t i)
{
    return (struct jv){.t = JV_INT, .i = i};
}
static inline struct jv jv_float(double f)
{
    return (struct jv){.t = JV_FLOAT, .f = f};
}
static inline bool jv_is_int(struct jv v) /* bool is an int, as in Python */
{
    return v.t == JV_INT || v.t == JV_BOOL;
}
static inline int64_t jv_as_int(struct jv v)
{
    return v.t == JV_BOOL ? v.b : v.i;
}
static inline bool jv_is_num(struct jv v)
{
    return jv_is_int(v) || v.t == JV_FLOAT;
}
static inline double jv_as_float(struct jv v)
{
    return v.t == JV_FLOAT ? v.f : (double)jv_as_int(v);
}
static inline bool jv_given(struct jv v)
{
    return v.t != JV_MISSING;
}
struct jv jv_strn(struct jr *r, const char *p, size_t n); /* copies */
struct jv jv_strz(struct jr *r, const char *s);
struct jv jv_str_view(struct jr *r, const char *p, size_t n); /* shares p, which must live on */
struct jv jv_substr(struct jr *r, struct jv s, size_t from, size_t to); /* bytes; keeps markup */
struct jv jv_str_cat(struct jr *r, struct jv a, struct jv b);
struct jv jv_list_new(struct jr *r, size_t cap);
struct jv jv_tuple_new(struct jr *r, size_t n); /* n slots to be filled */
void jv_list_push(struct jr *r, struct jv list, struct jv v);
struct jv jv_pair(struct jr *r, struct jv a, struct jv b);
struct jv jv_dict_new(struct jr *r);
void jv_dict_set(struct jr *r, struct jv_dict *d, struct jv key, struct jv value);
void jv_dict_sets(struct jr *r, struct jv_dict *d, const char *key, struct jv value);
bool jv_dict_get(struct jr *r, struct jv_dict *d, struct jv key, struct jv *ret);
bool jv_dict_getn(struct jr *r, struct jv_dict *d, const char *key, size_t n, struct jv *ret);
struct jv jv_undef(struct jr *r, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
struct jv jv_unsafe(struct jr *r, struct jv obj, const char *attr, size_t n);
struct jv jv_from_json(struct jr *r, json_t *j, int depth);

/* Questions. */
const char *jv_type_name(struct jv v);
bool jv_truth(struct jr *r, struct jv v);
bool jv_hashable(struct jv v);
bool jv_eq(struct jr *r, struct jv a, struct jv b);
bool jv_same(struct jv a, struct jv b); /* Python's `is` */
enum jv_order { JV_LT, JV_LE, JV_GT, JV_GE };
bool jv_order(struct jr *r, struct jv a, struct jv b, enum jv_order op);
bool jv_has_len(struct jv v);
int64_t jv_len(struct jr *r, struct jv v);
bool jv_in(struct jr *r, struct jv item, struct jv seq);
int64_t jv_cps(struct jv_str *s);
size_t jv_byte_at(struct jv_str *s, int64_t cp); /* byte offset of code point index 0 .. cps */
void jr_check_defined(struct jr *r, struct jv v);

/* Iteration (iter.c). */
bool jv_iterable(struct jv v);
struct jv_iter *jv_iter_of(struct jr *r, struct jv v);
int jv_next(struct jr *r, struct jv_iter *it, struct jv *ret);
struct jv jv_to_list(struct jr *r, struct jv v);
struct jv_iter *jv_iter_new(struct jr *r, int (*next)(struct jr *, struct jv_iter *, struct jv *));
bool jv_reversible(struct jv v);
struct jv_iter *jv_reversed(struct jr *r, struct jv v);
struct jv jv_iter_value(struct jv_iter *it);

/* Text (format.c). */
void jv_str_to(struct jb *b, struct jv v);        /* Python's str() */
void jv_repr_to(struct jb *b, struct jv v);       /* Python's repr() */
struct jv jv_to_str(struct jr *r, struct jv v);   /* str(), drops markup */
struct jv jv_soft_str(struct jr *r, struct jv v); /* strings as they are, with their markup */
void jv_float_repr(struct jb *b, double f);
void jv_escape_to(struct jb *b, struct jv v); /* HTML-escaped unless markup */
struct jv jv_escape(struct jr *r, struct jv v);
struct jv jv_markup(struct jr *r, struct jv v);
struct jv_json_opts {
    bool ensure_ascii, sort_keys, indented;
    struct jv indent, item_sep, key_sep; /* strings */
};
void jv_json_to(struct jb *b, struct jv v, const struct jv_json_opts *o);
struct jv jv_percent(struct jr *r, struct jv fmt, struct jv args);                /* fmt % args */
struct jv jv_str_format(struct jr *r, struct jv fmt, const struct jv_args *args); /* fmt.format() */
struct jv jv_pprint(struct jr *r, struct jv v);
struct jv jv_strftime(struct jr *r, struct jv fmt, int64_t now);

/* Operators, attributes, calls (op.c, attr.c, expr.c). */
struct jv jv_binary(struct jr *r, int op, struct jv a, struct jv b);
struct jv jv_negate(struct jr *r, struct jv v, bool minus);
struct jv jv_getattr(struct jr *r, struct jv obj, const char *name, size_t n);
struct jv jv_getitem(struct jr *r, struct jv obj, struct jv key);
struct jv jv_slice(struct jr *r, struct jv obj, struct jv start, struct jv stop, struct jv step);
bool jv_find_attr(struct jr *r, struct jv obj, const char *name, size_t n, struct jv *ret);
struct jv jv_call(struct jr *r, struct jv callee, const struct jv_args *args);
struct jv jv_call_macro(struct jr *r, struct jv_macro *m, const struct jv_args *args);
struct jv jv_call_loop(struct jr *r, struct jv_loop *loop, const struct jv_args *args);
struct jv jv_loop_attr(struct jr *r, struct jv_loop *loop, const char *name, size_t n, bool *found);
const struct jv_func *jv_str_method(const char *name, size_t n);

/* Filters, tests, globals. NULL: no such name. */
struct jv_filter;
const struct jv_filter *jv_filter_find(const char *name, size_t n);
struct jv jv_filter_call(struct jr *r, const struct jv_filter *f, struct jv value,
                         const struct jv_args *args);
struct jv_test;
const struct jv_test *jv_test_find(const char *name, size_t n);
bool jv_test_call(struct jr *r, const struct jv_test *t, struct jv value,
                  const struct jv_args *args);
void jv_globals_add(struct jr *r, struct jv_dict *d);
/* Numbers out of text, as Python's int() and float(); false where Python raises ValueError. */
bool jv_parse_int(struct jr *r, struct jv_str *s, int base, int64_t *ret);
bool jv_parse_float(struct jv_str *s, double *ret);

/* Binds arguments to the parameters named in `params` ("a b c"), the first n_required of which must
 * be given; out[i] is JV_MISSING for those left out. `what` names the callee in errors. */
#define JV_PARAMS_MAX 8
void jv_bind(struct jr *r, const char *what, const char *params, int n_required,
             const struct jv_args *args, struct jv *out);

#endif
