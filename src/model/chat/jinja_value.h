/* Values of the template language and the state of one rendering.
 *
 * Values behave as Python's: 64-bit integers instead of unbounded ones, strings are valid UTF-8
 * indexed by code point, dictionaries keep insertion order. All memory comes from the rendering's
 * arena and is freed with it, so nothing here is owned and nothing is reference counted.
 *
 * Errors unwind by longjmp to jr_run(): a rendering holds nothing but arena memory, and most
 * expressions can fail, so return codes would double the code without releasing anything. No
 * function may therefore hold a resource across a call that takes the rendering. */
#ifndef FT_MODEL_JINJA_VALUE_H
#define FT_MODEL_JINJA_VALUE_H

#include <jansson.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"

/* Bounds of a rendering; each ends it with FT_ELIMIT and a message that names the bound. */
#define JR_ARENA_BYTES_MAX ((size_t)256 << 20) /* all values together */
#define JR_STR_BYTES_MAX   ((size_t)64 << 20)  /* one string, and the output */
#define JR_STEPS_MAX       ((int64_t)40000000) /* nodes evaluated, plus work in units of 16 bytes */
#define JR_DEPTH_MAX       2000   /* nested evaluations, macro calls and recursive loops */
#define JR_VARS_DEPTH_MAX  256    /* nesting of the given variables */
#define JR_RANGE_MAX       100000 /* as Jinja's sandbox */

enum jv_type {
    JV_MISSING, /* no value: never seen by a template */
    JV_UNDEF,
    JV_NONE,
    JV_BOOL,
    JV_INT,
    JV_FLOAT,
    JV_STR,
    JV_LIST,
    JV_TUPLE,
    JV_DICT,
    JV_RANGE,
    JV_VIEW, /* keys(), values(), items() of a dictionary */
    JV_ITER, /* iterators and generators: one pass */
    JV_NS,
    JV_LOOP,
    JV_MACRO,
    JV_FUNC,   /* a global function */
    JV_METHOD, /* a method bound to its object */
    JV_CYCLER,
    JV_JOINER,
};

struct jv {
    enum jv_type t;
    union {
        bool b;
        int64_t i;
        double f;
        struct jv_str *s;
        struct jv_list *l; /* lists and tuples */
        struct jv_dict *d; /* dictionaries and namespaces */
        struct jv_undef *u;
        struct jv_range *r;
        struct jv_view *view;
        struct jv_iter *it;
        struct jv_loop *loop;
        struct jv_macro *macro;
        const struct jv_func *fn;
        struct jv_method *method;
        struct jv_cycler *cycler;
        struct jv_joiner *joiner;
    };
};

/* Bytes shared by strings that grew out of one another: `a + b` extends in place where `a` is the
 * newest holder, which keeps the common "ns.text = ns.text + x" linear in time and memory. */
struct jv_sbuf {
    char *p;
    size_t used, cap;
};

struct jv_str {
    const char *p; /* valid UTF-8, not NUL-terminated */
    size_t n;
    int64_t cps; /* code points, -1 = not counted yet */
    bool markup; /* Markup of markupsafe: escapes what is joined to it */
    struct jv_sbuf *own;
};

struct jv_list {
    struct jv *v;
    size_t n, cap;
    bool group; /* a tuple of groupby(): has .grouper and .list */
};

struct jv_entry {
    struct jv key, value;
    uint64_t hash;
};
struct jv_dict {
    struct jv_entry *e; /* in insertion order */
    size_t n, cap;
    uint32_t *index; /* open addressing, entry + 1; NULL while small */
    size_t index_cap;
};

struct jv_undef {
    const char *msg;
    bool unsafe;
};
struct jv_range {
    int64_t start, stop, step, n;
};
enum jv_view_kind { JV_KEYS, JV_VALUES, JV_ITEMS };
struct jv_view {
    enum jv_view_kind kind;
    struct jv_dict *d;
};

/* Arguments of a call. */
struct jv_args {
    struct jv *v;
    size_t n;
    struct jv *kw_names, *kw; /* names are strings */
    size_t n_kw;
};

struct jr;
typedef struct jv jv_call_fn(struct jr *r, struct jv self, const struct jv_args *args);
struct jv_func {
    const char *name;
    jv_call_fn *call;
};
struct jv_method {
    struct jv self;
    const struct jv_func *fn;
};

struct jv_cycler {
    struct jv *v;
    size_t n, pos;
};
struct jv_joiner {
    struct jv sep;
    bool used;
};

struct jv_iter {
    int (*next)(struct jr *r, struct jv_iter *it,
                struct jv *ret); /* 1 = *ret set, 0 = at the end */
    struct jv src;
    struct jv_iter *in;
    int64_t i, n, step;
    struct jv_args args;
    struct jv_dict *seen;
    void *ctx; /* loops with a filter: the node and the frame */
    void *frame;
    struct jv extra;
    bool started, negate, by_attr, case_sensitive;
};

struct jn;
struct jframe;
struct jv_loop {
    struct jv_iter *it;
    struct jv iterable;
    int64_t index0, length, depth0; /* length -1: not known yet */
    struct jv after, current, before, changed;
    const struct jn *recurse; /* NULL: not recursive */
    struct jframe *frame;
};
struct jv_macro {
    const struct jn *node;
    struct jframe *frame;
};

/* A string being built. */
struct jb {
    struct jr *r;
    char *p;
    size_t n, cap;
};

struct jr {
    struct ft_arena arena;
    jmp_buf unwind;
    struct ft_err err;
    int64_t steps;
    int depth, line;
    struct jv_dict *globals; /* given variables over the built-in ones */
    struct jv_dict *vars;    /* assigned at the top level; seen by blocks */
    struct jb *out;
    int64_t now;
    bool autoescape;
};

/* Ends the rendering; the message gets the current line in front. */
void jr_fail(struct jr *r, enum ft_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn, cold));
/* Without the line: the template's own message. */
void jr_raise(struct jr *r, const char *msg, size_t n) __attribute__((noreturn, cold));
void *jr_alloc(struct jr *r, size_t bytes);
void *jr_array(struct jr *r, size_t n, size_t elem_bytes);
void jr_charge(struct jr *r, size_t bytes); /* counts work that is linear in bytes */
void jr_step(struct jr *r);
void jr_enter(struct jr *r); /* one level deeper; leave with r->depth-- */

void jb_init(struct jb *b, struct jr *r);
void jb_add(struct jb *b, const char *p, size_t n);
void jb_adds(struct jb *b, const char *s);
void jb_addc(struct jb *b, char c);
void jb_addcp(struct jb *b, uint32_t cp);
void jb_addf(struct jb *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void jb_pad(struct jb *b, const char *fill, size_t fill_n, int64_t times);
struct jv jb_str(struct jb *b); /* takes the bytes */

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

/* Iteration (jinja_iter.c). */
bool jv_iterable(struct jv v);
struct jv_iter *jv_iter_of(struct jr *r, struct jv v);
int jv_next(struct jr *r, struct jv_iter *it, struct jv *ret);
struct jv jv_to_list(struct jr *r, struct jv v);
struct jv_iter *jv_iter_new(struct jr *r, int (*next)(struct jr *, struct jv_iter *, struct jv *));
bool jv_reversible(struct jv v);
struct jv_iter *jv_reversed(struct jr *r, struct jv v);
struct jv jv_iter_value(struct jv_iter *it);

/* Text (jinja_format.c). */
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

/* Operators, attributes, calls (jinja_op.c, jinja_attr.c, jinja_expr.c). */
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
