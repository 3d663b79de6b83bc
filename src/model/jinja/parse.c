/* The parser's statements, and the helpers that both halves of it share.
 *
 * Tags that need other templates (include, import, from, extends) are refused by name: a chat
 * template stands alone. "{% generation %}" of the transformers library is a call block whose
 * result is printed as it is. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/jinja/ast.h"

void jn_fail(struct jn_compiler *c, int line, const char *fmt, ...)
{
    char msg[FT_ERR_MSG_MAX - 32];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    ft_err_set(&c->err, FT_EINVAL, "line %d: %s", line, msg);
    longjmp(c->unwind, 1);
}

void *jn_alloc(struct jn_compiler *c, size_t n, size_t elem_bytes)
{
    void *p = ft_arena_array(c->arena, n, elem_bytes);
    if (p == NULL) {
        ft_err_set(&c->err, FT_ENOMEM, "compiling the template takes more than %zu MiB",
                   JN_ARENA_BYTES_MAX >> 20);
        longjmp(c->unwind, 1);
    }
    return p;
}

/* Two names for each slot of the index at most: a full index would never end a search. */
#define NAME_SLOTS (2 * JN_NAMES_MAX + 1)

const struct jn_name *jn_intern(struct jn_compiler *c, const char *s, size_t n, int line)
{
    if (c->names == NULL) {
        c->names = jn_alloc(c, JN_NAMES_MAX, sizeof *c->names);
        c->name_index = jn_alloc(c, NAME_SLOTS, sizeof *c->name_index);
    }
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)s[i]) * 1099511628211u;
    size_t k = h % NAME_SLOTS;
    for (; c->name_index[k] != 0; k = (k + 1) % NAME_SLOTS) {
        struct jn_name *have = c->names[c->name_index[k] - 1];
        if (have->n == n && memcmp(have->s, s, n) == 0)
            return have;
    }
    if (c->n_names == JN_NAMES_MAX)
        jn_fail(c, line, "more than %d variables", JN_NAMES_MAX);
    struct jn_name *name = jn_alloc(c, 1, sizeof *name);
    *name = (struct jn_name){s, n};
    c->names[c->n_names++] = name;
    c->name_index[k] = c->n_names;
    return name;
}

struct jn *jn_new(struct jn_compiler *c, enum jn_kind kind, int line)
{
    struct jn *n = jn_alloc(c, 1, sizeof *n);
    n->kind = kind;
    n->line = line;
    n->caller_ref.slot = n->kwargs_ref.slot = n->varargs_ref.slot = n->loop_ref.slot = -1;
    return n;
}

static int depth_of(struct jn **items, int n, int depth)
{
    for (int i = 0; i < n; i++)
        depth = FT_MAX(depth, (int)items[i]->depth);
    return depth;
}

struct jn *jn_done(struct jn_compiler *c, struct jn *n)
{
    int d = 0;
    struct jn *child[] = {n->a, n->b, n->c, NULL, NULL};
    if (n->args != NULL) {
        child[3] = n->args->dyn;
        child[4] = n->args->dyn_kw;
        d = depth_of(n->args->pos, n->args->n_pos, d);
        d = depth_of(n->args->kw, n->args->n_kw, d);
    }
    for (size_t i = 0; i < FT_COUNT(child); i++)
        if (child[i] != NULL)
            d = FT_MAX(d, (int)child[i]->depth);
    d = depth_of(n->items, n->n_items, d);
    d = depth_of(n->items2, n->n_items2, d);
    d = depth_of(n->items3, n->n_items3, d) + 1;
    if (d > JN_DEPTH_MAX)
        jn_fail(c, n->line, "expressions and statements are nested more than %d deep",
                JN_DEPTH_MAX);
    n->depth = (short)d;
    return n;
}

struct jn_token *jn_cur(struct jn_compiler *c)
{
    return &c->tok[c->pos];
}

struct jn_token *jn_look(struct jn_compiler *c)
{
    return &c->tok[c->pos + (c->tok[c->pos].type != T_EOF)];
}

struct jn_token *jn_next(struct jn_compiler *c)
{
    struct jn_token *t = jn_cur(c);
    c->pos += t->type != T_EOF;
    return t;
}

bool jn_is_name(const struct jn_token *t, const char *name)
{
    return t->type == T_NAME && t->n == strlen(name) && memcmp(t->s, name, t->n) == 0;
}

bool jn_skip_name(struct jn_compiler *c, const char *name)
{
    if (!jn_is_name(jn_cur(c), name))
        return false;
    jn_next(c);
    return true;
}

bool jn_skip(struct jn_compiler *c, enum jn_tok type)
{
    if (jn_cur(c)->type != type)
        return false;
    jn_next(c);
    return true;
}

static const char *type_text(enum jn_tok type)
{
    static const char *const text[] = {
        [T_EOF] = "end of template",
        [T_DATA] = "template data / text",
        [T_VAR_BEGIN] = "begin of print statement",
        [T_VAR_END] = "end of print statement",
        [T_BLOCK_BEGIN] = "begin of statement block",
        [T_BLOCK_END] = "end of statement block",
        [T_NAME] = "name",
        [T_STRING] = "string",
        [T_INT] = "integer",
        [T_FLOAT] = "float",
        [T_ADD] = "+",
        [T_SUB] = "-",
        [T_DIV] = "/",
        [T_FLOORDIV] = "//",
        [T_MUL] = "*",
        [T_MOD] = "%",
        [T_POW] = "**",
        [T_TILDE] = "~",
        [T_LBRACKET] = "[",
        [T_RBRACKET] = "]",
        [T_LPAREN] = "(",
        [T_RPAREN] = ")",
        [T_LBRACE] = "{",
        [T_RBRACE] = "}",
        [T_EQ] = "==",
        [T_NE] = "!=",
        [T_GT] = ">",
        [T_GE] = ">=",
        [T_LT] = "<",
        [T_LE] = "<=",
        [T_ASSIGN] = "=",
        [T_DOT] = ".",
        [T_COLON] = ":",
        [T_PIPE] = "|",
        [T_COMMA] = ",",
        [T_SEMICOLON] = ";",
        [T_IN] = "in",
        [T_NOTIN] = "not in",
    };
    return text[type];
}

const char *jn_describe(const struct jn_token *t, char *buf, size_t n)
{
    if (t->type != T_NAME)
        return type_text(t->type);
    snprintf(buf, n, "%.*s", (int)FT_MIN(t->n, (size_t)40), t->s);
    return buf;
}

struct jn_token *jn_expect(struct jn_compiler *c, enum jn_tok type)
{
    struct jn_token *t = jn_cur(c);
    char buf[64];
    if (t->type == T_EOF && type != T_EOF)
        jn_fail(c, t->line, "unexpected end of template, expected '%s'.", type_text(type));
    if (t->type != type)
        jn_fail(c, t->line, "expected token '%s', got '%s'", type_text(type),
                jn_describe(t, buf, sizeof buf));
    return jn_next(c);
}

void jn_expect_name(struct jn_compiler *c, const char *name)
{
    char buf[64];
    if (!jn_skip_name(c, name))
        jn_fail(c, jn_cur(c)->line, "expected token '%s', got '%s'", name,
                jn_describe(jn_cur(c), buf, sizeof buf));
}

void jn_nest(struct jn_compiler *c)
{
    if (++c->nest > 3 * JN_NEST_MAX)
        jn_fail(c, jn_cur(c)->line, "expressions and statements are nested more than %d deep",
                3 * JN_NEST_MAX);
}

/* Doubles at powers of two; the arena keeps the old halves, which bounds waste to the list's size.
 */
void jn_push(struct jn_compiler *c, struct jn ***items, int *n, struct jn *item)
{
    if ((*n & (*n - 1)) == 0) {
        struct jn **grown = jn_alloc(c, *n == 0 ? 1 : (size_t)*n * 2, sizeof *grown);
        if (*n != 0)
            memcpy(grown, *items, (size_t)*n * sizeof *grown);
        *items = grown;
    }
    (*items)[(*n)++] = item;
}

static struct jn **parse_body(struct jn_compiler *c, const char *const *ends, int *ret_n);

/* The statements up to one of the tags in `ends`, whose name is the next token afterwards. */
static struct jn **parse_until(struct jn_compiler *c, const char *const *ends, int *ret_n)
{
    jn_skip(c, T_COLON);
    jn_expect(c, T_BLOCK_END);
    struct jn **body = parse_body(c, ends, ret_n);
    if (jn_cur(c)->type == T_EOF)
        jn_fail(c, jn_cur(c)->line,
                "Unexpected end of template. Jinja was looking for the following tags: '%s'%s%s%s.",
                ends[0], ends[1] != NULL ? " or '" : "", ends[1] != NULL ? ends[1] : "",
                ends[1] != NULL ? "'" : "");
    return body;
}

static void set_ctx(struct jn *n, enum jn_ctx ctx)
{
    if (n->kind == N_NAME)
        n->ctx = (unsigned char)ctx;
    for (int i = 0; n->kind == N_TUPLE && i < n->n_items; i++)
        set_ctx(n->items[i], ctx);
}

static bool can_assign(const struct jn *n)
{
    if (n->kind == N_TUPLE) {
        for (int i = 0; i < n->n_items; i++)
            if (!can_assign(n->items[i]))
                return false;
        return true;
    }
    return n->kind == N_NAME || n->kind == N_NSREF;
}

static struct jn *parse_target_name(struct jn_compiler *c, enum jn_ctx ctx)
{
    struct jn_token *t = jn_expect(c, T_NAME);
    static const char *const reserved[] = {"true", "false", "none", "True", "False", "None"};
    for (size_t i = 0; i < FT_COUNT(reserved); i++)
        if (jn_is_name(t, reserved[i]))
            jn_fail(c, t->line, "can't assign to 'name'");
    struct jn *n = jn_new(c, N_NAME, t->line);
    n->name = jn_intern(c, t->s, t->n, t->line);
    n->ctx = (unsigned char)ctx;
    return jn_done(c, n);
}

static struct jn *parse_target(struct jn_compiler *c, bool with_ns)
{
    struct jn *n;
    if (with_ns && jn_look(c)->type == T_DOT) {
        struct jn_token *t = jn_expect(c, T_NAME);
        jn_next(c);
        struct jn_token *attr = jn_expect(c, T_NAME);
        n = jn_new(c, N_NSREF, t->line);
        n->name = jn_intern(c, t->s, t->n, t->line);
        n->str = (struct jv_str){.p = attr->s, .n = attr->n, .cps = -1};
        n->str.cps = jv_cps(&n->str);
        return jn_done(c, n);
    }
    n = jn_parse_tuple(c, true, true, false);
    set_ctx(n, CTX_STORE);
    if (!can_assign(n))
        jn_fail(c, n->line, "can't assign to this expression");
    return n;
}

static struct jn *parse_for(struct jn_compiler *c)
{
    static const char *const ends[] = {"endfor", "else", NULL}, *const end[] = {"endfor", NULL};
    struct jn *n = jn_new(c, N_FOR, jn_next(c)->line);
    n->a = parse_target(c, false);
    jn_expect_name(c, "in");
    n->b = jn_parse_tuple(c, false, false, false);
    if (jn_skip_name(c, "if"))
        n->c = jn_parse_expr(c, true);
    n->recursive = jn_skip_name(c, "recursive");
    n->items = parse_until(c, ends, &n->n_items);
    if (jn_is_name(jn_next(c), "else")) {
        n->items2 = parse_until(c, end, &n->n_items2);
        jn_next(c);
    }
    return jn_done(c, n);
}

static struct jn *parse_if(struct jn_compiler *c)
{
    static const char *const ends[] = {"elif", "else", "endif", NULL}, *const end[] = {"endif",
                                                                                       NULL};
    struct jn *top = jn_new(c, N_IF, jn_next(c)->line), *n = top;
    for (;;) {
        n->a = jn_parse_tuple(c, false, false, false);
        n->items = parse_until(c, ends, &n->n_items);
        if (n != top)
            jn_push(c, &top->items3, &top->n_items3, jn_done(c, n));
        struct jn_token *t = jn_next(c);
        if (jn_is_name(t, "elif")) {
            n = jn_new(c, N_IF, t->line);
            continue;
        }
        if (jn_is_name(t, "else")) {
            top->items2 = parse_until(c, end, &top->n_items2);
            jn_next(c);
        }
        return jn_done(c, top);
    }
}

static struct jn *parse_set(struct jn_compiler *c)
{
    static const char *const end[] = {"endset", NULL};
    int line = jn_next(c)->line;
    struct jn *target = parse_target(c, true), *n;
    if (jn_skip(c, T_ASSIGN)) {
        n = jn_new(c, N_SET, line);
        n->b = jn_parse_tuple(c, false, true, false);
    } else {
        n = jn_new(c, N_SETBLOCK, line);
        n->b = jn_parse_filter(c, NULL, false);
        n->items = parse_until(c, end, &n->n_items);
        jn_next(c);
    }
    n->a = target;
    return jn_done(c, n);
}

static struct jn *parse_with(struct jn_compiler *c)
{
    static const char *const end[] = {"endwith", NULL};
    struct jn *n = jn_new(c, N_WITH, jn_next(c)->line);
    while (jn_cur(c)->type != T_BLOCK_END) {
        if (n->n_items2 != 0)
            jn_expect(c, T_COMMA);
        struct jn *target = parse_target(c, false);
        set_ctx(target, CTX_PARAM);
        jn_push(c, &n->items2, &n->n_items2, target);
        jn_expect(c, T_ASSIGN);
        jn_push(c, &n->items3, &n->n_items3, jn_parse_expr(c, true));
    }
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    return jn_done(c, n);
}

/* Parameters into items2, defaults (of the last ones) into items3. */
static void parse_signature(struct jn_compiler *c, struct jn *n)
{
    jn_expect(c, T_LPAREN);
    while (jn_cur(c)->type != T_RPAREN) {
        if (n->n_items2 != 0)
            jn_expect(c, T_COMMA);
        struct jn *arg = parse_target_name(c, CTX_PARAM);
        for (int i = 0; i < n->n_items2; i++)
            if (n->items2[i]->name == arg->name)
                jn_fail(c, arg->line, "duplicate parameter");
        if (jn_skip(c, T_ASSIGN))
            jn_push(c, &n->items3, &n->n_items3, jn_parse_expr(c, true));
        else if (n->n_items3 != 0)
            jn_fail(c, arg->line, "non-default argument follows default argument");
        if (n->n_items2 == 255)
            jn_fail(c, arg->line, "more than 255 parameters");
        jn_push(c, &n->items2, &n->n_items2, arg);
    }
    jn_expect(c, T_RPAREN);
}

static struct jn *parse_macro(struct jn_compiler *c)
{
    static const char *const end[] = {"endmacro", NULL};
    struct jn *n = jn_new(c, N_MACRO, jn_next(c)->line);
    n->a = parse_target_name(c, CTX_STORE);
    n->name = n->a->name;
    parse_signature(c, n);
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    return jn_done(c, n);
}

static struct jn *parse_call_block(struct jn_compiler *c)
{
    static const char *const end[] = {"endcall", NULL};
    struct jn *n = jn_new(c, N_CALLBLOCK, jn_next(c)->line);
    if (jn_cur(c)->type == T_LPAREN)
        parse_signature(c, n);
    n->a = jn_parse_expr(c, true);
    if (n->a->kind != N_CALL)
        jn_fail(c, n->line, "expected call");
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    return jn_done(c, n);
}

static struct jn *parse_generation(struct jn_compiler *c)
{
    static const char *const end[] = {"endgeneration", NULL};
    struct jn *n = jn_new(c, N_CALLBLOCK, jn_next(c)->line);
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    return jn_done(c, n);
}

static struct jn *parse_filter_block(struct jn_compiler *c)
{
    static const char *const end[] = {"endfilter", NULL};
    struct jn *n = jn_new(c, N_FILTERBLOCK, jn_next(c)->line);
    n->b = jn_parse_filter(c, NULL, true);
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    return jn_done(c, n);
}

static bool is_blank(const struct jn *n)
{
    for (int i = 0; i < n->n_items; i++) {
        const struct jn *d = n->items[i];
        if (d->kind != N_DATA)
            return false;
        for (size_t k = 0; k < d->str.n; k++)
            if (strchr(" \t\n\v\f\r", d->str.p[k]) == NULL)
                return false;
    }
    return true;
}

static struct jn *parse_block(struct jn_compiler *c)
{
    static const char *const end[] = {"endblock", NULL};
    struct jn *n = jn_new(c, N_BLOCK, jn_next(c)->line);
    struct jn_token *t = jn_expect(c, T_NAME);
    n->name = jn_intern(c, t->s, t->n, t->line);
    n->flag = jn_skip_name(c, "scoped");
    n->required = jn_skip_name(c, "required");
    n->items = parse_until(c, end, &n->n_items);
    jn_next(c);
    if (n->required && !is_blank(n))
        jn_fail(c, n->line, "Required blocks can only contain comments or whitespace");
    if (jn_cur(c)->type == T_NAME && jn_cur(c)->n == n->name->n &&
        memcmp(jn_cur(c)->s, n->name->s, n->name->n) == 0)
        jn_next(c);
    return jn_done(c, n);
}

/* What an expression that is constant would turn autoescape to; 2 = known only at run time. */
static int constant_truth(const struct jn *n)
{
    if (n->kind != N_CONST)
        return 2;
    return n->value.t == JV_BOOL    ? n->value.b
           : n->value.t == JV_INT   ? n->value.i != 0
           : n->value.t == JV_STR   ? n->str.n != 0
           : n->value.t == JV_FLOAT ? n->value.f != 0
                                    : 0;
}

static struct jn *parse_autoescape(struct jn_compiler *c)
{
    static const char *const end[] = {"endautoescape", NULL};
    struct jn *n = jn_new(c, N_AUTOESCAPE, jn_next(c)->line);
    n->a = jn_parse_expr(c, true);
    int outer = c->autoescape;
    c->autoescape = constant_truth(n->a);
    n->items = parse_until(c, end, &n->n_items);
    c->autoescape = outer;
    jn_next(c);
    return jn_done(c, n);
}

static struct jn *parse_print(struct jn_compiler *c)
{
    struct jn *n = jn_new(c, N_OUTPUT, jn_next(c)->line);
    n->op = (unsigned char)c->autoescape;
    while (jn_cur(c)->type != T_BLOCK_END) {
        if (n->n_items != 0)
            jn_expect(c, T_COMMA);
        jn_push(c, &n->items, &n->n_items, jn_parse_expr(c, true));
    }
    return jn_done(c, n);
}

static struct jn *parse_simple(struct jn_compiler *c, enum jn_kind kind)
{
    return jn_done(c, jn_new(c, kind, jn_next(c)->line));
}

static struct jn *parse_statement(struct jn_compiler *c, const char *const *ends)
{
    struct jn_token *t = jn_cur(c);
    char buf[64];
    static const char *const refused[] = {"include", "import", "from", "extends"};
    if (t->type != T_NAME)
        jn_fail(c, t->line, "tag name expected");
    if (jn_is_name(t, "for"))
        return parse_for(c);
    if (jn_is_name(t, "if"))
        return parse_if(c);
    if (jn_is_name(t, "set"))
        return parse_set(c);
    if (jn_is_name(t, "macro"))
        return parse_macro(c);
    if (jn_is_name(t, "call"))
        return parse_call_block(c);
    if (jn_is_name(t, "filter"))
        return parse_filter_block(c);
    if (jn_is_name(t, "with"))
        return parse_with(c);
    if (jn_is_name(t, "print"))
        return parse_print(c);
    if (jn_is_name(t, "block"))
        return parse_block(c);
    if (jn_is_name(t, "autoescape"))
        return parse_autoescape(c);
    if (jn_is_name(t, "generation"))
        return parse_generation(c);
    if (jn_is_name(t, "break"))
        return parse_simple(c, N_BREAK);
    if (jn_is_name(t, "continue"))
        return parse_simple(c, N_CONTINUE);
    for (size_t i = 0; i < FT_COUNT(refused); i++)
        if (jn_is_name(t, refused[i]))
            jn_fail(c, t->line, "'%s' needs other templates, which a chat template cannot have",
                    refused[i]);
    jn_fail(c, t->line, "Encountered unknown tag '%s'.%s%s%s", jn_describe(t, buf, sizeof buf),
            ends != NULL ? " Jinja was looking for '" : "", ends != NULL ? ends[0] : "",
            ends != NULL ? "'." : "");
}

static struct jn **parse_body(struct jn_compiler *c, const char *const *ends, int *ret_n)
{
    struct jn **body = NULL;
    int n = 0;
    jn_nest(c);
    for (;;) {
        struct jn_token *t = jn_cur(c);
        if (t->type == T_EOF)
            break;
        jn_next(c);
        if (t->type == T_DATA) {
            struct jn *d = jn_new(c, N_DATA, t->line);
            d->str = (struct jv_str){.p = t->s, .n = t->n, .cps = -1};
            jn_push(c, &body, &n, jn_done(c, d));
        } else if (t->type == T_VAR_BEGIN) {
            struct jn *o = jn_new(c, N_OUTPUT, t->line);
            o->op = (unsigned char)c->autoescape;
            jn_push(c, &o->items, &o->n_items, jn_parse_tuple(c, false, true, false));
            jn_expect(c, T_VAR_END);
            jn_push(c, &body, &n, jn_done(c, o));
        } else {
            for (int i = 0; ends != NULL && ends[i] != NULL; i++)
                if (jn_is_name(jn_cur(c), ends[i]))
                    goto out;
            jn_push(c, &body, &n, parse_statement(c, ends));
            jn_expect(c, T_BLOCK_END);
        }
    }
out:
    c->nest--;
    *ret_n = n;
    return body;
}

struct jn **jn_parse(struct jn_compiler *c, int *ret_n)
{
    return parse_body(c, NULL, ret_n);
}
