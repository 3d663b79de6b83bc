/* The interpreter's expressions. */
#include <string.h>

#include "model/jinja/eval.h"

bool je_true(struct jr *r, struct jframe *f, const struct jn *n)
{
    return jv_truth(r, je_eval(r, f, n));
}

static struct jv eval_name(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = *jf_slot(f, n->ref);
    if (jv_given(v))
        return v;
    return jv_undef(r, "'%.*s' is undefined", (int)FT_MIN(n->name->n, (size_t)100), n->name->s);
}

static struct jv eval_items(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = jv_list_new(r, (size_t)n->n_items);
    for (int i = 0; i < n->n_items; i++)
        jv_list_push(r, v, je_eval(r, f, n->items[i]));
    if (n->kind == N_TUPLE)
        v.t = JV_TUPLE;
    return v;
}

static struct jv eval_dict(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = jv_dict_new(r);
    for (int i = 0; i < n->n_items; i++) {
        struct jv key = je_eval(r, f, n->items[i]);
        jv_dict_set(r, v.d, key, je_eval(r, f, n->items2[i]));
    }
    return v;
}

static bool compare(struct jr *r, int op, struct jv a, struct jv b)
{
    switch (op) {
    case T_EQ:
        return jv_eq(r, a, b);
    case T_NE:
        return !jv_eq(r, a, b);
    case T_IN:
        return jv_in(r, a, b);
    case T_NOTIN:
        return !jv_in(r, a, b);
    default:
        return jv_order(r, a, b,
                        op == T_LT   ? JV_LT
                        : op == T_LE ? JV_LE
                        : op == T_GT ? JV_GT
                                     : JV_GE);
    }
}

static struct jv eval_compare(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv a = je_eval(r, f, n->a);
    for (int i = 0; i < n->n_items; i++) {
        struct jv b = je_eval(r, f, n->items[i]);
        if (!compare(r, n->ops[i], a, b))
            return jv_bool(false);
        a = b;
    }
    return jv_bool(true);
}

static struct jv eval_concat(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = eval_items(r, f, n);
    bool markup = false;
    if (n->op == 1 || (n->op == 2 && r->autoescape))
        for (size_t i = 0; i < v.l->n; i++)
            markup |= v.l->v[i].t == JV_STR && v.l->v[i].s->markup;
    struct jb b;
    jb_init(&b, r);
    for (size_t i = 0; i < v.l->n; i++) {
        if (markup)
            jv_escape_to(&b, v.l->v[i]);
        else
            jv_str_to(&b, v.l->v[i]);
    }
    struct jv s = jb_str(&b);
    s.s->markup = markup;
    return s;
}

static struct jv eval_opt(struct jr *r, struct jframe *f, const struct jn *n)
{
    return n == NULL ? jv_of(JV_NONE) : je_eval(r, f, n);
}

static struct jv eval_item(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv obj = je_eval(r, f, n->a);
    if (n->b->kind != N_SLICE)
        return jv_getitem(r, obj, je_eval(r, f, n->b));
    struct jv start = eval_opt(r, f, n->b->a), stop = eval_opt(r, f, n->b->b);
    return jv_slice(r, obj, start, stop, eval_opt(r, f, n->b->c));
}

static void add_keyword(struct jr *r, struct jv_args *a, size_t cap, struct jv name, struct jv v)
{
    for (size_t i = 0; i < a->n_kw; i++)
        if (jv_eq(r, a->kw_names[i], name))
            jr_fail(r, FT_EINVAL, "got multiple values for keyword argument '%.*s'",
                    (int)FT_MIN(name.s->n, (size_t)100), name.s->p);
    FT_ASSERT(a->n_kw < cap);
    a->kw_names[a->n_kw] = name;
    a->kw[a->n_kw++] = v;
}

/* Evaluates arguments; caller is JV_MISSING or becomes the keyword "caller". */
static struct jv_args eval_args(struct jr *r, struct jframe *f, const struct jn_args *n,
                                struct jv caller)
{
    struct jv_args a = {0};
    struct jv pos = jv_list_new(r, (size_t)n->n_pos), *kw = NULL;
    if (n->n_kw != 0)
        kw = jr_array(r, (size_t)n->n_kw, sizeof *kw);
    for (int i = 0; i < n->n_pos; i++)
        jv_list_push(r, pos, je_eval(r, f, n->pos[i]));
    for (int i = 0; i < n->n_kw; i++)
        kw[i] = je_eval(r, f, n->kw[i]);
    if (n->dyn != NULL) {
        struct jv_iter *it = jv_iter_of(r, je_eval(r, f, n->dyn));
        struct jv item;
        while (jv_next(r, it, &item))
            jv_list_push(r, pos, item);
    }
    struct jv dyn = n->dyn_kw != NULL ? je_eval(r, f, n->dyn_kw) : jv_of(JV_MISSING);
    if (jv_given(dyn) && dyn.t != JV_DICT)
        jr_fail(r, FT_EINVAL, "argument after ** must be a mapping, not %s", jv_type_name(dyn));
    size_t cap = (size_t)n->n_kw + 1 + (jv_given(dyn) ? dyn.d->n : 0);
    if (cap > 1) {
        a.kw = jr_array(r, cap, sizeof *a.kw);
        a.kw_names = jr_array(r, cap, sizeof *a.kw_names);
    }
    for (int i = 0; i < n->n_kw; i++)
        add_keyword(r, &a, cap, jv_str_view(r, n->kw_names[i].s, n->kw_names[i].n), kw[i]);
    if (jv_given(caller)) {
        if (a.kw == NULL) {
            a.kw = jr_array(r, cap, sizeof *a.kw);
            a.kw_names = jr_array(r, cap, sizeof *a.kw_names);
        }
        add_keyword(r, &a, cap, jv_strz(r, "caller"), caller);
    }
    for (size_t i = 0; jv_given(dyn) && i < dyn.d->n; i++) {
        if (dyn.d->e[i].key.t != JV_STR)
            jr_fail(r, FT_EINVAL, "keywords must be strings");
        add_keyword(r, &a, cap, dyn.d->e[i].key, dyn.d->e[i].value);
    }
    a.v = pos.l->v;
    a.n = pos.l->n;
    return a;
}

struct jv je_call(struct jr *r, struct jframe *f, const struct jn *n, struct jv caller)
{
    struct jv callee = je_eval(r, f, n->a);
    struct jv_args a = eval_args(r, f, n->args, caller);
    r->line = n->line;
    return jv_call(r, callee, &a);
}

struct jv jv_call(struct jr *r, struct jv callee, const struct jv_args *args)
{
    switch (callee.t) {
    case JV_MACRO:
        return jv_call_macro(r, callee.macro, args);
    case JV_FUNC:
        return callee.fn->call(r, callee, args);
    case JV_METHOD:
        return callee.method->fn->call(r, callee.method->self, args);
    case JV_LOOP:
        return jv_call_loop(r, callee.loop, args);
    case JV_JOINER: {
        bool used = callee.joiner->used;
        jv_bind(r, "joiner", "", 0, args, NULL);
        callee.joiner->used = true;
        return used ? callee.joiner->sep : jv_strz(r, "");
    }
    default:
        jr_check_defined(r, callee);
        jr_fail(r, FT_EINVAL, "'%s' object is not callable", jv_type_name(callee));
    }
}

static struct jv apply_filter(struct jr *r, struct jframe *f, const struct jn *n, struct jv v)
{
    const struct jv_filter *filter = jv_filter_find(n->str.p, n->str.n);
    if (filter == NULL)
        jr_fail(r, FT_EINVAL, "No filter named '%.*s' found.", (int)FT_MIN(n->str.n, (size_t)100),
                n->str.p);
    struct jv_args a = eval_args(r, f, n->args, jv_of(JV_MISSING));
    r->line = n->line;
    return jv_filter_call(r, filter, v, &a);
}

struct jv je_filter_text(struct jr *r, struct jframe *f, const struct jn *n, struct jv text)
{
    jr_enter(r);
    struct jv v = n->a == NULL ? text : je_filter_text(r, f, n->a, text);
    v = apply_filter(r, f, n, v);
    r->depth--;
    return v;
}

static struct jv eval_test(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = je_eval(r, f, n->a);
    const struct jv_test *test = jv_test_find(n->str.p, n->str.n);
    if (test == NULL)
        jr_fail(r, FT_EINVAL, "No test named '%.*s' found.", (int)FT_MIN(n->str.n, (size_t)100),
                n->str.p);
    struct jv_args a = eval_args(r, f, n->args, jv_of(JV_MISSING));
    r->line = n->line;
    return jv_bool(jv_test_call(r, test, v, &a));
}

static struct jv eval_cond(struct jr *r, struct jframe *f, const struct jn *n)
{
    if (je_true(r, f, n->b))
        return je_eval(r, f, n->a);
    if (n->c != NULL)
        return je_eval(r, f, n->c);
    return jv_undef(
        r,
        "the inline if-expression on line %d evaluated to false and no else section was defined.",
        n->line);
}

static struct jv eval_one(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v;
    switch (n->kind) {
    case N_CONST:
        return n->value;
    case N_NAME:
        return eval_name(r, f, n);
    case N_TUPLE:
    case N_LIST:
        return eval_items(r, f, n);
    case N_DICT:
        return eval_dict(r, f, n);
    case N_COND:
        return eval_cond(r, f, n);
    case N_OR:
        v = je_eval(r, f, n->a);
        return jv_truth(r, v) ? v : je_eval(r, f, n->b);
    case N_AND:
        v = je_eval(r, f, n->a);
        return jv_truth(r, v) ? je_eval(r, f, n->b) : v;
    case N_NOT:
        return jv_bool(!je_true(r, f, n->a));
    case N_COMPARE:
        return eval_compare(r, f, n);
    case N_BINARY:
        v = je_eval(r, f, n->a);
        return jv_binary(r, n->op, v, je_eval(r, f, n->b));
    case N_CONCAT:
        return eval_concat(r, f, n);
    case N_NEG:
    case N_POS:
        return jv_negate(r, je_eval(r, f, n->a), n->kind == N_NEG);
    case N_GETATTR:
        return jv_getattr(r, je_eval(r, f, n->a), n->str.p, n->str.n);
    case N_GETITEM:
        return eval_item(r, f, n);
    case N_CALL:
        return je_call(r, f, n, jv_of(JV_MISSING));
    case N_FILTER:
        return apply_filter(r, f, n, je_eval(r, f, n->a));
    case N_TEST:
        return eval_test(r, f, n);
    default:
        jr_fail(r, FT_EINTERNAL, "an expression of kind %d", (int)n->kind);
    }
}

struct jv je_eval(struct jr *r, struct jframe *f, const struct jn *n)
{
    jr_enter(r);
    struct jv v = eval_one(r, f, n);
    r->depth--;
    return v;
}
