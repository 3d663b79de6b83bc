/* Values of the template language and the state of one rendering.
 *
 * Values behave as Python's: 64-bit integers instead of unbounded ones, strings are valid UTF-8
 * indexed by code point, dictionaries keep insertion order. All memory comes from the rendering's
 * arena and is freed with it, so nothing here is owned and nothing is reference counted.
 *
 * Errors unwind by longjmp to jr_run(): a rendering holds nothing but arena memory, and most
 * expressions can fail, so return codes would double the code without releasing anything. No
 * function may therefore hold a resource across a call that takes the rendering. */
#ifndef FT_MODEL_JINJA_TYPES_H
#define FT_MODEL_JINJA_TYPES_H

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

#endif
