/* Tokens and syntax tree of templates.
 *
 * Lexer, parser and scope pass share one arena and unwind errors by longjmp to jn_compile(). The
 * tree is immutable afterwards. Node depth is bounded, so walks may recurse. */
#ifndef FT_MODEL_JINJA_AST_H
#define FT_MODEL_JINJA_AST_H

#include <setjmp.h>

#include "base/arena.h"
#include "base/err.h"
#include "model/jinja/value.h"

#define JN_SOURCE_BYTES_MAX ((size_t)1 << 20)
#define JN_ARENA_BYTES_MAX  ((size_t)256 << 20) /* tokens, tree and scopes of one template */
#define JN_NEST_MAX         200                 /* brackets within each other; statements too */
#define JN_DEPTH_MAX        600                 /* of the tree; chains of operators count */
#define JN_NAMES_MAX        4000                /* distinct variables */

enum jn_tok {
    T_EOF,
    T_DATA,
    T_VAR_BEGIN,
    T_VAR_END,
    T_BLOCK_BEGIN,
    T_BLOCK_END,
    T_NAME,
    T_STRING,
    T_INT,
    T_FLOAT,
    T_ADD,
    T_SUB,
    T_DIV,
    T_FLOORDIV,
    T_MUL,
    T_MOD,
    T_POW,
    T_TILDE,
    T_LBRACKET,
    T_RBRACKET,
    T_LPAREN,
    T_RPAREN,
    T_LBRACE,
    T_RBRACE,
    T_EQ,
    T_NE,
    T_GT,
    T_GE,
    T_LT,
    T_LE,
    T_ASSIGN,
    T_DOT,
    T_COLON,
    T_PIPE,
    T_COMMA,
    T_SEMICOLON,
    T_IN,    /* only as an operator of comparisons */
    T_NOTIN, /* only as an operator of comparisons */
};

struct jn_token {
    enum jn_tok type;
    int line;
    const char *s; /* names, strings (unescaped), data */
    size_t n;
    int64_t i;
    double f;
};

enum jn_kind {
    N_CONST,
    N_NAME,
    N_NSREF,
    N_TUPLE,
    N_LIST,
    N_DICT, /* items, items2: keys and values */
    N_COND, /* a if b else c */
    N_OR,
    N_AND,
    N_NOT,
    N_COMPARE, /* a, then ops[i] items[i] */
    N_BINARY,
    N_CONCAT,
    N_NEG,
    N_POS,
    N_GETATTR,
    N_GETITEM,
    N_SLICE,
    N_CALL,
    N_FILTER,
    N_TEST,
    /* statements */
    N_DATA,
    N_OUTPUT,
    N_IF,
    N_FOR,
    N_SET,
    N_SETBLOCK,
    N_MACRO,
    N_CALLBLOCK,
    N_FILTERBLOCK,
    N_WITH,
    N_BREAK,
    N_CONTINUE,
    N_BLOCK,
    N_AUTOESCAPE,
};
enum jn_ctx { CTX_LOAD, CTX_STORE, CTX_PARAM };

struct jn_name {
    const char *s;
    size_t n;
};

struct jn_args {
    struct jn **pos;
    int n_pos;
    struct jn_name *kw_names;
    struct jn **kw;
    int n_kw;
    struct jn *dyn, *dyn_kw;
};

/* Where a variable lives: `hops` functions outwards, then the slot. */
struct jn_ref {
    int hops, slot;
};

enum jn_load_kind { LOAD_PARAM, LOAD_RESOLVE, LOAD_ALIAS, LOAD_UNDEFINED };
struct jn_load {
    enum jn_load_kind kind;
    int slot;
    struct jn_ref from;
    const struct jn_name *name;
};
/* What happens on entering a scope: Jinja's enter_frame(). */
struct jn_scope {
    struct jn_load *loads;
    int n_loads;
};

/* A unit with a frame of its own: the template, a macro, a recursive loop, a loop's filter, a
 * block. */
struct jn_func {
    struct jn_func *parent;
    int depth, n_slots, cap;
    struct jn_ident {
        int level;
        const struct jn_name *name;
    } * idents;
};

struct jn {
    enum jn_kind kind;
    int line;
    short depth;
    unsigned char op, ctx;
    bool recursive, soft, toplevel, flag; /* flag: kind-specific */
    struct jn *a, *b, *c;
    struct jn **items, **items2, **items3;
    int n_items, n_items2, n_items3;
    unsigned char *ops;
    const struct jn_name *name;
    struct jv_str str; /* constants, data */
    struct jv value;
    struct jn_args *args;
    struct jn_ref ref, loop_ref;
    struct jn_scope *scope, *scope2, *scope3;
    struct jn_func *func, *func2;
    struct jn_ref *refs; /* parameters of macros; a scoped block's variables */
    const struct jn_name **ref_names;
    int n_refs;
    struct jn_ref caller_ref, kwargs_ref, varargs_ref; /* slot -1: not used */
    bool explicit_caller, required, uses_loop;
};

struct jn_template {
    struct ft_arena arena;
    struct jn **body;
    int n_body;
    struct jn_scope *scope;
    struct jn_func *func;
};

/* State of one compilation. */
struct jn_compiler {
    struct ft_arena *arena;
    jmp_buf unwind;
    struct ft_err err;
    struct jn_token *tok;
    size_t n_tok, cap_tok, pos;
    int nest;
    int autoescape;         /* 0, 1, 2 = known only at run time */
    struct jn_name **names; /* interned */
    int n_names;
    int *name_index;
    const struct jn_name **blocks;
    int n_blocks;
};

void jn_fail(struct jn_compiler *c, int line, const char *fmt, ...)
    __attribute__((format(printf, 3, 4), noreturn, cold));
void *jn_alloc(struct jn_compiler *c, size_t n, size_t elem_bytes);
const struct jn_name *jn_intern(struct jn_compiler *c, const char *s, size_t n, int line);

int jn_compile(struct jn_template *t, const char *text, size_t n, struct ft_err *err);
void jn_lex(struct jn_compiler *c, const char *text, size_t n);
struct jn **jn_parse(struct jn_compiler *c, int *ret_n);
void jn_scopes(struct jn_compiler *c, struct jn_template *t);

/* Between parse.c and parse_expr.c. */
struct jn *jn_new(struct jn_compiler *c, enum jn_kind kind, int line);
struct jn *jn_done(struct jn_compiler *c, struct jn *n); /* checks the depth */
struct jn_token *jn_cur(struct jn_compiler *c);
struct jn_token *jn_look(struct jn_compiler *c);
struct jn_token *jn_next(struct jn_compiler *c);
bool jn_is_name(const struct jn_token *t, const char *name);
bool jn_skip_name(struct jn_compiler *c, const char *name);
bool jn_skip(struct jn_compiler *c, enum jn_tok type);
struct jn_token *jn_expect(struct jn_compiler *c, enum jn_tok type);
void jn_expect_name(struct jn_compiler *c, const char *name);
void jn_nest(struct jn_compiler *c); /* one level deeper; leave with c->nest-- */
void jn_push(struct jn_compiler *c, struct jn ***items, int *n, struct jn *item);
struct jn *jn_parse_expr(struct jn_compiler *c, bool with_cond);
struct jn *jn_parse_primary(struct jn_compiler *c);
struct jn *jn_parse_tuple(struct jn_compiler *c, bool simplified, bool with_cond, bool parens);
struct jn *jn_parse_filter(struct jn_compiler *c, struct jn *node, bool start_inline);
const char *jn_describe(const struct jn_token *t, char *buf, size_t n);

#endif
