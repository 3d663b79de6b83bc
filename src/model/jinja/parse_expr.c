/* The parser's expressions: Jinja's grammar, precedence by recursive descent.
 *
 * Quirks that decide what real templates mean are kept: unary minus binds tighter than filters,
 * "is" takes a bare operand, "~" binds tighter than "+". */
#include <string.h>

#include "model/jinja/ast.h"

static struct jn *parse_unary(struct jn_compiler *c, bool with_filter);

static struct jn *binary(struct jn_compiler *c, enum jn_kind kind, int op, struct jn *a,
                         struct jn *b, int line)
{
    struct jn *n = jn_new(c, kind, line);
    n->op = (unsigned char)op;
    n->a = a;
    n->b = b;
    return jn_done(c, n);
}

static struct jn *constant(struct jn_compiler *c, struct jv v, int line)
{
    struct jn *n = jn_new(c, N_CONST, line);
    n->value = v;
    return jn_done(c, n);
}

static struct jn *string_constant(struct jn_compiler *c, const char *s, size_t len, int line)
{
    struct jn *n = jn_new(c, N_CONST, line);
    n->str = (struct jv_str){.p = s, .n = len, .cps = -1};
    n->str.cps = jv_cps(&n->str); /* counted now: the tree is shared between threads later */
    n->value = (struct jv){.t = JV_STR, .s = &n->str};
    return jn_done(c, n);
}

static struct jn *parse_pow(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *left = parse_unary(c, true);
    while (jn_skip(c, T_POW))
        left = binary(c, N_BINARY, T_POW, left, parse_unary(c, true), line);
    return left;
}

static struct jn *parse_math2(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *left = parse_pow(c);
    for (;;) {
        enum jn_tok t = jn_cur(c)->type;
        if (t != T_MUL && t != T_DIV && t != T_FLOORDIV && t != T_MOD)
            return left;
        jn_next(c);
        left = binary(c, N_BINARY, (int)t, left, parse_pow(c), line);
    }
}

static struct jn *parse_concat(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *first = parse_math2(c);
    if (jn_cur(c)->type != T_TILDE)
        return first;
    struct jn *n = jn_new(c, N_CONCAT, line);
    n->op = (unsigned char)c->autoescape;
    jn_push(c, &n->items, &n->n_items, first);
    while (jn_skip(c, T_TILDE))
        jn_push(c, &n->items, &n->n_items, parse_math2(c));
    return jn_done(c, n);
}

static struct jn *parse_math1(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *left = parse_concat(c);
    while (jn_cur(c)->type == T_ADD || jn_cur(c)->type == T_SUB) {
        int op = (int)jn_next(c)->type;
        left = binary(c, N_BINARY, op, left, parse_concat(c), line);
    }
    return left;
}

static int compare_op(struct jn_compiler *c)
{
    const struct jn_token *t = jn_cur(c);
    if (t->type == T_EQ || t->type == T_NE || t->type == T_LT || t->type == T_LE ||
        t->type == T_GT || t->type == T_GE)
        return (int)jn_next(c)->type;
    if (jn_skip_name(c, "in"))
        return T_IN;
    if (jn_is_name(t, "not") && jn_is_name(jn_look(c), "in")) {
        jn_next(c);
        jn_next(c);
        return T_NOTIN;
    }
    return 0;
}

static struct jn *parse_compare(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *first = parse_math1(c);
    int op = compare_op(c);
    if (op == 0)
        return first;
    struct jn *n = jn_new(c, N_COMPARE, line);
    n->a = first;
    int cap = 0;
    for (; op != 0; op = compare_op(c)) {
        if (n->n_items == cap) {
            cap = cap == 0 ? 2 : cap * 2;
            unsigned char *ops = jn_alloc(c, (size_t)cap, 1);
            if (n->n_items != 0)
                memcpy(ops, n->ops, (size_t)n->n_items);
            n->ops = ops;
        }
        n->ops[n->n_items] = (unsigned char)op;
        jn_push(c, &n->items, &n->n_items, parse_math1(c));
    }
    return jn_done(c, n);
}

static struct jn *parse_not(struct jn_compiler *c)
{
    if (!jn_is_name(jn_cur(c), "not"))
        return parse_compare(c);
    int line = jn_next(c)->line;
    jn_nest(c);
    struct jn *n = jn_new(c, N_NOT, line);
    n->a = parse_not(c);
    c->nest--;
    return jn_done(c, n);
}

static struct jn *parse_and(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *left = parse_not(c);
    while (jn_skip_name(c, "and"))
        left = binary(c, N_AND, 0, left, parse_not(c), line);
    return left;
}

static struct jn *parse_or(struct jn_compiler *c)
{
    int line = jn_cur(c)->line;
    struct jn *left = parse_and(c);
    while (jn_skip_name(c, "or"))
        left = binary(c, N_OR, 0, left, parse_and(c), line);
    return left;
}

struct jn *jn_parse_expr(struct jn_compiler *c, bool with_cond)
{
    jn_nest(c);
    int line = jn_cur(c)->line;
    struct jn *e = parse_or(c);
    while (with_cond && jn_skip_name(c, "if")) {
        struct jn *n = jn_new(c, N_COND, line);
        n->a = e;
        n->b = parse_or(c);
        if (jn_skip_name(c, "else"))
            n->c = jn_parse_expr(c, true);
        e = jn_done(c, n);
        line = jn_cur(c)->line;
    }
    c->nest--;
    return e;
}

static struct jn *parse_list(struct jn_compiler *c)
{
    struct jn *n = jn_new(c, N_LIST, jn_next(c)->line);
    while (jn_cur(c)->type != T_RBRACKET) {
        if (n->n_items != 0)
            jn_expect(c, T_COMMA);
        if (jn_cur(c)->type == T_RBRACKET)
            break;
        jn_push(c, &n->items, &n->n_items, jn_parse_expr(c, true));
    }
    jn_expect(c, T_RBRACKET);
    return jn_done(c, n);
}

static struct jn *parse_dict(struct jn_compiler *c)
{
    struct jn *n = jn_new(c, N_DICT, jn_next(c)->line);
    while (jn_cur(c)->type != T_RBRACE) {
        if (n->n_items != 0)
            jn_expect(c, T_COMMA);
        if (jn_cur(c)->type == T_RBRACE)
            break;
        jn_push(c, &n->items, &n->n_items, jn_parse_expr(c, true));
        jn_expect(c, T_COLON);
        jn_push(c, &n->items2, &n->n_items2, jn_parse_expr(c, true));
    }
    jn_expect(c, T_RBRACE);
    return jn_done(c, n);
}

/* Adjacent string literals are one. */
static struct jn *parse_strings(struct jn_compiler *c)
{
    struct jn_token *first = jn_next(c);
    if (jn_cur(c)->type != T_STRING)
        return string_constant(c, first->s, first->n, first->line);
    size_t n = first->n, k = c->pos;
    for (; c->tok[k].type == T_STRING; k++)
        n += c->tok[k].n;
    char *p = jn_alloc(c, n + 1, 1), *q = p;
    memcpy(q, first->s, first->n);
    for (q += first->n; jn_cur(c)->type == T_STRING; jn_next(c)) {
        memcpy(q, jn_cur(c)->s, jn_cur(c)->n);
        q += jn_cur(c)->n;
    }
    return string_constant(c, p, n, first->line);
}

static struct jn *parse_name(struct jn_compiler *c)
{
    struct jn_token *t = jn_next(c);
    if (jn_is_name(t, "true") || jn_is_name(t, "True"))
        return constant(c, jv_bool(true), t->line);
    if (jn_is_name(t, "false") || jn_is_name(t, "False"))
        return constant(c, jv_bool(false), t->line);
    if (jn_is_name(t, "none") || jn_is_name(t, "None"))
        return constant(c, jv_of(JV_NONE), t->line);
    struct jn *n = jn_new(c, N_NAME, t->line);
    n->name = jn_intern(c, t->s, t->n, t->line);
    return jn_done(c, n);
}

struct jn *jn_parse_primary(struct jn_compiler *c)
{
    struct jn_token *t = jn_cur(c);
    struct jn *n;
    char buf[64];
    switch (t->type) {
    case T_NAME:
        return parse_name(c);
    case T_STRING:
        return parse_strings(c);
    case T_INT:
        jn_next(c);
        return constant(c, jv_int(t->i), t->line);
    case T_FLOAT:
        jn_next(c);
        return constant(c, jv_float(t->f), t->line);
    case T_LPAREN:
        jn_next(c);
        n = jn_parse_tuple(c, false, true, true);
        jn_expect(c, T_RPAREN);
        return n;
    case T_LBRACKET:
        return parse_list(c);
    case T_LBRACE:
        return parse_dict(c);
    default:
        jn_fail(c, t->line, "unexpected '%s'", jn_describe(t, buf, sizeof buf));
    }
}

struct jn *jn_parse_tuple(struct jn_compiler *c, bool simplified, bool with_cond, bool parens)
{
    int line = jn_cur(c)->line;
    struct jn **items = NULL;
    int n_items = 0;
    bool is_tuple = false;
    jn_nest(c);
    for (;;) {
        if (n_items != 0)
            jn_expect(c, T_COMMA);
        enum jn_tok t = jn_cur(c)->type;
        if (t == T_VAR_END || t == T_BLOCK_END || t == T_RPAREN)
            break;
        jn_push(c, &items, &n_items,
                simplified ? jn_parse_primary(c) : jn_parse_expr(c, with_cond));
        if (jn_cur(c)->type != T_COMMA)
            break;
        is_tuple = true;
    }
    c->nest--;
    if (!is_tuple && n_items != 0)
        return items[0];
    if (!is_tuple && !parens) {
        char buf[64];
        jn_fail(c, jn_cur(c)->line, "Expected an expression, got '%s'",
                jn_describe(jn_cur(c), buf, sizeof buf));
    }
    struct jn *n = jn_new(c, N_TUPLE, line);
    n->items = items;
    n->n_items = n_items;
    return jn_done(c, n);
}

static struct jn *parse_subscribed(struct jn_compiler *c)
{
    struct jn *start = NULL;
    int line = jn_cur(c)->line;
    if (jn_cur(c)->type != T_COLON) {
        start = jn_parse_expr(c, true);
        if (jn_cur(c)->type != T_COLON)
            return start;
    }
    jn_next(c);
    struct jn *n = jn_new(c, N_SLICE, line);
    n->a = start;
    enum jn_tok t = jn_cur(c)->type;
    if (t != T_COLON && t != T_RBRACKET && t != T_COMMA)
        n->b = jn_parse_expr(c, true);
    if (jn_skip(c, T_COLON) && jn_cur(c)->type != T_RBRACKET && jn_cur(c)->type != T_COMMA)
        n->c = jn_parse_expr(c, true);
    return jn_done(c, n);
}

static struct jn *parse_subscript(struct jn_compiler *c, struct jn *node)
{
    struct jn_token *t = jn_next(c);
    struct jn *n;
    if (t->type == T_DOT) {
        struct jn_token *attr = jn_next(c);
        if (attr->type == T_NAME) {
            n = jn_new(c, N_GETATTR, t->line);
            n->a = node;
            n->str = (struct jv_str){.p = attr->s, .n = attr->n, .cps = -1};
            return jn_done(c, n);
        }
        if (attr->type != T_INT)
            jn_fail(c, attr->line, "expected name or number");
        return binary(c, N_GETITEM, 0, node, constant(c, jv_int(attr->i), attr->line), t->line);
    }
    struct jn **items = NULL;
    int n_items = 0;
    while (jn_cur(c)->type != T_RBRACKET) {
        if (n_items != 0)
            jn_expect(c, T_COMMA);
        jn_push(c, &items, &n_items, parse_subscribed(c));
    }
    jn_expect(c, T_RBRACKET);
    if (n_items == 1)
        return binary(c, N_GETITEM, 0, node, items[0], t->line);
    for (int i = 0; i < n_items; i++)
        if (items[i]->kind == N_SLICE)
            jn_fail(c, t->line, "a slice cannot be part of a tuple index");
    n = jn_new(c, N_TUPLE, t->line);
    n->items = items;
    n->n_items = n_items;
    return binary(c, N_GETITEM, 0, node, jn_done(c, n), t->line);
}

static void parse_keyword(struct jn_compiler *c, struct jn_args *a, int line)
{
    struct jn_token *key = jn_next(c);
    jn_next(c);
    for (int i = 0; i < a->n_kw; i++)
        if (a->kw_names[i].n == key->n && memcmp(a->kw_names[i].s, key->s, key->n) == 0)
            jn_fail(c, line, "keyword argument repeated: %.*s", (int)FT_MIN(key->n, (size_t)64),
                    key->s);
    if (a->n_kw >= 64)
        jn_fail(c, line, "more than 64 keyword arguments");
    if (a->kw_names == NULL)
        a->kw_names = jn_alloc(c, 64, sizeof *a->kw_names);
    a->kw_names[a->n_kw] = (struct jn_name){key->s, key->n};
    jn_push(c, &a->kw, &a->n_kw, jn_parse_expr(c, true));
}

static struct jn_args *parse_args(struct jn_compiler *c)
{
    static const char bad[] = "invalid syntax for function call expression";
    struct jn_args *a = jn_alloc(c, 1, sizeof *a);
    int line = jn_expect(c, T_LPAREN)->line;
    for (bool first = true; jn_cur(c)->type != T_RPAREN; first = false) {
        if (!first) {
            jn_expect(c, T_COMMA);
            if (jn_cur(c)->type == T_RPAREN)
                break;
        }
        if (jn_skip(c, T_MUL)) {
            if (a->dyn != NULL || a->dyn_kw != NULL)
                jn_fail(c, line, "%s", bad);
            a->dyn = jn_parse_expr(c, true);
        } else if (jn_skip(c, T_POW)) {
            if (a->dyn_kw != NULL)
                jn_fail(c, line, "%s", bad);
            a->dyn_kw = jn_parse_expr(c, true);
        } else if (jn_cur(c)->type == T_NAME && jn_look(c)->type == T_ASSIGN) {
            if (a->dyn_kw != NULL)
                jn_fail(c, line, "%s", bad);
            parse_keyword(c, a, line);
        } else {
            if (a->dyn != NULL || a->dyn_kw != NULL || a->n_kw != 0)
                jn_fail(c, line, "%s", bad);
            jn_push(c, &a->pos, &a->n_pos, jn_parse_expr(c, true));
        }
    }
    jn_expect(c, T_RPAREN);
    return a;
}

static struct jn *parse_call(struct jn_compiler *c, struct jn *node)
{
    struct jn *n = jn_new(c, N_CALL, jn_cur(c)->line);
    n->a = node;
    n->args = parse_args(c);
    return jn_done(c, n);
}

static struct jn *parse_postfix(struct jn_compiler *c, struct jn *node)
{
    for (;;) {
        enum jn_tok t = jn_cur(c)->type;
        if (t == T_DOT || t == T_LBRACKET)
            node = parse_subscript(c, node);
        else if (t == T_LPAREN)
            node = parse_call(c, node);
        else
            return node;
    }
}

/* The name of a filter or test, dots included. */
static void parse_dotted(struct jn_compiler *c, struct jn *n)
{
    struct jn_token *t = jn_expect(c, T_NAME);
    n->str = (struct jv_str){.p = t->s, .n = t->n, .cps = -1};
    while (jn_skip(c, T_DOT)) {
        t = jn_expect(c, T_NAME);
        char *p = jn_alloc(c, n->str.n + t->n + 2, 1);
        memcpy(p, n->str.p, n->str.n);
        p[n->str.n] = '.';
        memcpy(p + n->str.n + 1, t->s, t->n);
        n->str.n += t->n + 1;
        n->str.p = p;
    }
}

struct jn *jn_parse_filter(struct jn_compiler *c, struct jn *node, bool start_inline)
{
    while (start_inline || jn_cur(c)->type == T_PIPE) {
        if (!start_inline)
            jn_next(c);
        struct jn *n = jn_new(c, N_FILTER, jn_cur(c)->line);
        parse_dotted(c, n);
        n->a = node;
        n->args = jn_cur(c)->type == T_LPAREN ? parse_args(c) : jn_alloc(c, 1, sizeof *n->args);
        node = jn_done(c, n);
        start_inline = false;
    }
    return node;
}

static struct jn *parse_test(struct jn_compiler *c, struct jn *node)
{
    int line = jn_next(c)->line;
    bool negated = jn_skip_name(c, "not");
    struct jn *n = jn_new(c, N_TEST, line);
    parse_dotted(c, n);
    n->a = node;
    struct jn_token *t = jn_cur(c);
    if (t->type == T_LPAREN) {
        n->args = parse_args(c);
    } else {
        n->args = jn_alloc(c, 1, sizeof *n->args);
        if ((t->type == T_NAME && !jn_is_name(t, "else") && !jn_is_name(t, "or") &&
             !jn_is_name(t, "and")) ||
            t->type == T_STRING || t->type == T_INT || t->type == T_FLOAT ||
            t->type == T_LBRACKET || t->type == T_LBRACE) {
            if (jn_is_name(t, "is"))
                jn_fail(c, t->line, "You cannot chain multiple tests with is");
            struct jn *arg = parse_postfix(c, jn_parse_primary(c));
            jn_push(c, &n->args->pos, &n->args->n_pos, arg);
        }
    }
    n = jn_done(c, n);
    if (!negated)
        return n;
    struct jn *neg = jn_new(c, N_NOT, line);
    neg->a = n;
    return jn_done(c, neg);
}

static struct jn *parse_filter_expr(struct jn_compiler *c, struct jn *node)
{
    for (;;) {
        struct jn_token *t = jn_cur(c);
        if (t->type == T_PIPE)
            node = jn_parse_filter(c, node, false);
        else if (jn_is_name(t, "is"))
            node = parse_test(c, node);
        else if (t->type == T_LPAREN)
            node = parse_call(c, node);
        else
            return node;
    }
}

static struct jn *parse_unary(struct jn_compiler *c, bool with_filter)
{
    struct jn_token *t = jn_cur(c);
    struct jn *node;
    if (t->type == T_SUB || t->type == T_ADD) {
        jn_next(c);
        jn_nest(c);
        node = jn_new(c, t->type == T_SUB ? N_NEG : N_POS, t->line);
        node->a = parse_unary(c, false);
        c->nest--;
        node = jn_done(c, node);
    } else {
        node = jn_parse_primary(c);
    }
    node = parse_postfix(c, node);
    return with_filter ? parse_filter_expr(c, node) : node;
}
