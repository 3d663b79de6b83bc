/* The interpreter's statements: output, scopes, loops, macros, blocks.
 *
 * Walks the tree. Frames hold the variables of what Jinja compiles to one Python function; scopes
 * inside of it are entered by running their loads. */
#include "model/jinja/eval.h"

#include <string.h>

enum ctl { CTL_GO, CTL_BREAK, CTL_CONTINUE };

static enum ctl exec(struct jr *r, struct jframe *f, struct jn **body, int n);

static struct jframe *frame_new(struct jr *r, const struct jn_func *fn, struct jframe *up)
{
    struct jframe *f = jr_alloc(r, sizeof *f + (size_t)fn->n_slots * sizeof f->slot[0]);
    f->up = up; /* slots are zeroed: JV_MISSING */
    return f;
}

static struct jv resolve(struct jr *r, const struct jn_name *name)
{
    struct jv v;
    if (jv_dict_getn(r, r->vars, name->s, name->n, &v) ||
        jv_dict_getn(r, r->globals, name->s, name->n, &v))
        return v;
    return jv_of(JV_MISSING);
}

static void enter_scope(struct jr *r, struct jframe *f, const struct jn_scope *s)
{
    for (int i = 0; i < s->n_loads; i++) {
        const struct jn_load *l = &s->loads[i];
        jr_step(r);
        if (l->kind == LOAD_RESOLVE)
            f->slot[l->slot] = resolve(r, l->name);
        else if (l->kind == LOAD_ALIAS)
            f->slot[l->slot] = *jf_slot(f, l->from);
        else if (l->kind == LOAD_UNDEFINED)
            f->slot[l->slot] = jv_of(JV_MISSING);
    }
}

static void leave_scope(struct jframe *f, const struct jn_scope *s)
{
    for (int i = 0; i < s->n_loads; i++)
        f->slot[s->loads[i].slot] = jv_of(JV_MISSING);
}

static void assign(struct jr *r, struct jframe *f, const struct jn *target, struct jv v)
{
    jr_step(r);
    if (target->kind == N_NAME) {
        *jf_slot(f, target->ref) = v;
        if (target->toplevel)
            jv_dict_set(r, r->vars, jv_str_view(r, target->name->s, target->name->n), v);
        return;
    }
    if (target->kind == N_NSREF) {
        struct jv ns = *jf_slot(f, target->ref);
        if (ns.t != JV_NS)
            jr_fail(r, FT_EINVAL, "cannot assign attribute on non-namespace object");
        jv_dict_set(r, ns.d, jv_str_view(r, target->str.p, target->str.n), v);
        return;
    }
    if (!jv_iterable(v))
        jr_fail(r, FT_EINVAL, "cannot unpack non-iterable %s object", jv_type_name(v));
    struct jv_iter *it = jv_iter_of(r, v);
    struct jv item;
    for (int i = 0; i < target->n_items; i++) {
        if (!jv_next(r, it, &item))
            jr_fail(r, FT_EINVAL, "not enough values to unpack (expected %d, got %d)",
                    target->n_items, i);
        assign(r, f, target->items[i], item);
    }
    if (jv_next(r, it, &item))
        jr_fail(r, FT_EINVAL, "too many values to unpack (expected %d)", target->n_items);
}

static bool escaping(const struct jr *r, unsigned char op)
{
    return op == 1 || (op == 2 && r->autoescape);
}

static void output(struct jr *r, struct jframe *f, const struct jn *n)
{
    for (int i = 0; i < n->n_items; i++) {
        struct jv v = je_eval(r, f, n->items[i]);
        r->line = n->line;
        if (escaping(r, n->op))
            jv_escape_to(r->out, v);
        else
            jv_str_to(r->out, v);
    }
}

/* Runs a body with its output kept apart. */
struct capture {
    struct jb text, *outer;
};

static void capture_begin(struct jr *r, struct capture *c)
{
    jb_init(&c->text, r);
    c->outer = r->out;
    r->out = &c->text;
}

static struct jv capture_end(struct jr *r, struct capture *c)
{
    r->out = c->outer;
    return jb_str(&c->text);
}

/* ---- loops ---- */

static int next_filtered(struct jr *r, struct jv_iter *it, struct jv *ret)
{
    const struct jn *n = it->ctx;
    struct jframe *f = it->frame;
    if (!it->started) {
        it->started = true;
        enter_scope(r, f, n->scope2);
    }
    while (jv_next(r, it->in, ret)) {
        assign(r, f, n->items3[0], *ret);
        if (je_true(r, f, n->c))
            return 1;
    }
    return 0;
}

static bool loop_next(struct jr *r, struct jv_loop *l, struct jv *ret)
{
    if (jv_given(l->after)) {
        *ret = l->after;
        l->after = jv_of(JV_MISSING);
    } else if (!jv_next(r, l->it, ret)) {
        return false;
    }
    l->index0++;
    l->before = l->current;
    l->current = *ret;
    return true;
}

static struct jv peek(struct jr *r, struct jv_loop *l)
{
    if (!jv_given(l->after) && !jv_next(r, l->it, &l->after))
        l->after = jv_of(JV_MISSING);
    return l->after;
}

static int64_t loop_length(struct jr *r, struct jv_loop *l)
{
    if (l->length >= 0)
        return l->length;
    if (jv_has_len(l->iterable)) {
        l->length = jv_len(r, l->iterable);
    } else {
        struct jv rest = jv_to_list(r, jv_iter_value(l->it));
        l->it = jv_iter_of(r, rest);
        l->length = (int64_t)rest.l->n + l->index0 + 1 + jv_given(l->after);
    }
    return l->length;
}

static struct jv call_cycle(struct jr *r, struct jv self, const struct jv_args *a)
{
    if (a->n == 0)
        jr_fail(r, FT_EINVAL, "no items for cycling given");
    return a->v[(size_t)self.loop->index0 % a->n];
}

static struct jv call_changed(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv now = jv_tuple_new(r, a->n);
    for (size_t i = 0; i < a->n; i++)
        now.l->v[i] = a->v[i];
    struct jv_loop *l = self.loop;
    bool changed = !jv_given(l->changed) || !jv_eq(r, l->changed, now);
    if (changed)
        l->changed = now;
    return jv_bool(changed);
}

struct jv jv_loop_attr(struct jr *r, struct jv_loop *l, const char *name, size_t n, bool *found)
{
    static const struct jv_func methods[] = {{"cycle", call_cycle}, {"changed", call_changed}};
    static const char *const names[] = {"index0",    "index",    "first",    "last",     "length",
                                        "revindex0", "revindex", "previtem", "nextitem", "depth0",
                                        "depth",     "cycle",    "changed"};
    size_t k = 0;
    while (k < FT_COUNT(names) && (strlen(names[k]) != n || memcmp(names[k], name, n) != 0))
        k++;
    *found = k < FT_COUNT(names);
    struct jv v;
    switch (k) {
    case 0:
        return jv_int(l->index0);
    case 1:
        return jv_int(l->index0 + 1);
    case 2:
        return jv_bool(l->index0 == 0);
    case 3:
        return jv_bool(!jv_given(peek(r, l)));
    case 4:
        return jv_int(loop_length(r, l));
    case 5:
        return jv_int(loop_length(r, l) - l->index0 - 1);
    case 6:
        return jv_int(loop_length(r, l) - l->index0);
    case 7:
        return l->index0 == 0 ? jv_undef(r, "there is no previous item") : l->before;
    case 8:
        v = peek(r, l);
        return jv_given(v) ? v : jv_undef(r, "there is no next item");
    case 9:
        return jv_int(l->depth0);
    case 10:
        return jv_int(l->depth0 + 1);
    case 11:
    case 12:
        v = jv_of(JV_METHOD);
        v.method = jr_alloc(r, sizeof *v.method);
        *v.method = (struct jv_method){{.t = JV_LOOP, .loop = l}, &methods[k - 11]};
        return v;
    default:
        return jv_of(JV_MISSING);
    }
}

/* f: where the body runs; outer: where the loop stands (differs in recursive loops). */
static enum ctl run_loop(struct jr *r, struct jframe *f, struct jframe *outer, const struct jn *n,
                         struct jv iterable, int64_t depth0)
{
    struct jv_iter *it = jv_iter_of(r, iterable);
    if (n->c != NULL) {
        struct jv_iter *filtered = jv_iter_new(r, next_filtered);
        filtered->in = it;
        filtered->ctx = (void *)(uintptr_t)n;
        filtered->frame = frame_new(r, n->func2, outer);
        it = filtered;
        iterable = jv_iter_value(it);
    }
    struct jv_loop *loop = jr_alloc(r, sizeof *loop);
    *loop = (struct jv_loop){
        .it = it, .iterable = iterable, .index0 = -1, .length = -1, .depth0 = depth0};
    loop->recurse = n->recursive ? n : NULL;
    loop->frame = outer;
    struct jv item;
    bool any = false;
    while (loop_next(r, loop, &item)) {
        assign(r, f, n->a, item);
        if (n->uses_loop)
            *jf_slot(f, n->loop_ref) = (struct jv){.t = JV_LOOP, .loop = loop};
        enter_scope(r, f, n->scope);
        enum ctl c = exec(r, f, n->items, n->n_items);
        if (c == CTL_BREAK)
            break;
        any |= c == CTL_GO; /* Jinja marks an iteration at the end of the body, so break skips it */
    }
    leave_scope(f, n->scope);
    if (any || n->n_items2 == 0)
        return CTL_GO;
    enter_scope(r, f, n->scope3);
    enum ctl c = exec(r, f, n->items2, n->n_items2);
    leave_scope(f, n->scope3);
    return c;
}

static struct jv run_recursive(struct jr *r, struct jframe *outer, const struct jn *n,
                               struct jv iterable, int64_t depth0)
{
    struct capture c;
    jr_enter(r);
    capture_begin(r, &c);
    run_loop(r, frame_new(r, n->func, outer), outer, n, iterable, depth0);
    r->depth--;
    struct jv text = capture_end(r, &c);
    return r->autoescape ? jv_markup(r, text) : text;
}

struct jv jv_call_loop(struct jr *r, struct jv_loop *loop, const struct jv_args *args)
{
    struct jv iterable;
    jv_bind(r, "loop()", "iterable", 1, args, &iterable);
    if (loop->recurse == NULL)
        jr_fail(r, FT_EINVAL,
                "The loop must have the 'recursive' marker to be called recursively.");
    return run_recursive(r, loop->frame, loop->recurse, iterable, loop->depth0 + 1);
}

static enum ctl exec_for(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv iterable = je_eval(r, f, n->b);
    r->line = n->line;
    if (!n->recursive)
        return run_loop(r, f, f, n, iterable, 0);
    struct jv text = run_recursive(r, f, n, iterable, 0);
    jb_add(r->out, text.s->p, text.s->n);
    return CTL_GO;
}

/* ---- macros ---- */

static bool take_keyword(struct jv_args *a, const char *name, size_t n, struct jv *ret)
{
    for (size_t i = 0; i < a->n_kw; i++) {
        const struct jv_str *k = a->kw_names[i].s;
        if (k->n != n || memcmp(k->p, name, n) != 0)
            continue;
        *ret = a->kw[i];
        for (size_t j = i + 1; j < a->n_kw; j++) {
            a->kw[j - 1] = a->kw[j];
            a->kw_names[j - 1] = a->kw_names[j];
        }
        a->n_kw--;
        return true;
    }
    return false;
}

/* A copy whose keywords may be taken out. */
static struct jv_args copy_keywords(struct jr *r, const struct jv_args *args)
{
    struct jv_args a = *args;
    a.kw = jr_array(r, a.n_kw + 1, sizeof *a.kw);
    a.kw_names = jr_array(r, a.n_kw + 1, sizeof *a.kw_names);
    for (size_t i = 0; i < a.n_kw; i++) {
        a.kw[i] = args->kw[i];
        a.kw_names[i] = args->kw_names[i];
    }
    return a;
}

static void bind_macro(struct jr *r, struct jframe *f, const struct jn *m,
                       const struct jv_args *args)
{
    struct jv_args a = copy_keywords(r, args);
    size_t n_params = (size_t)m->n_refs;
    bool found_caller = m->explicit_caller && a.n >= n_params;
    for (size_t i = 0; i < n_params; i++) {
        const struct jn_name *name = m->items2[i]->name;
        struct jv v = jv_of(JV_MISSING);
        if (i < a.n) {
            v = a.v[i];
        } else {
            take_keyword(&a, name->s, name->n, &v);
            found_caller |= name->n == 6 && memcmp(name->s, "caller", 6) == 0;
        }
        *jf_slot(f, m->refs[i]) = v;
    }
    if (m->flag && !found_caller) {
        struct jv caller;
        if (!take_keyword(&a, "caller", 6, &caller) || caller.t == JV_NONE)
            caller = jv_undef(r, "No caller defined");
        if (m->caller_ref.slot >= 0)
            *jf_slot(f, m->caller_ref) = caller;
    }
    const struct jn_name *what = m->name;
    if (m->kwargs_ref.slot >= 0) {
        struct jv kw = jv_dict_new(r);
        for (size_t i = 0; i < a.n_kw; i++)
            jv_dict_set(r, kw.d, a.kw_names[i], a.kw[i]);
        *jf_slot(f, m->kwargs_ref) = kw;
    } else if (a.n_kw != 0) {
        jr_fail(r, FT_EINVAL, "macro '%.*s' takes no keyword argument '%.*s'",
                what ? (int)what->n : 9, what ? what->s : "anonymous",
                (int)FT_MIN(a.kw_names[0].s->n, (size_t)100), a.kw_names[0].s->p);
    }
    if (m->varargs_ref.slot >= 0) {
        size_t extra = a.n > n_params ? a.n - n_params : 0;
        struct jv rest = jv_tuple_new(r, extra);
        for (size_t i = 0; i < extra; i++)
            rest.l->v[i] = a.v[n_params + i];
        *jf_slot(f, m->varargs_ref) = rest;
    } else if (a.n > n_params) {
        jr_fail(r, FT_EINVAL, "macro '%.*s' takes not more than %zu argument(s)",
                what ? (int)what->n : 9, what ? what->s : "anonymous", n_params);
    }
}

struct jv jv_call_macro(struct jr *r, struct jv_macro *macro, const struct jv_args *args)
{
    const struct jn *m = macro->node;
    struct capture c;
    jr_enter(r);
    struct jframe *f = frame_new(r, m->func, macro->frame);
    bind_macro(r, f, m, args);
    capture_begin(r, &c);
    enter_scope(r, f, m->scope);
    for (int i = 0; i < m->n_refs; i++) {
        struct jv *slot = jf_slot(f, m->refs[i]);
        if (jv_given(*slot))
            continue;
        const struct jn_name *name = m->items2[i]->name;
        int k = i - (m->n_items2 - m->n_items3);
        *slot = k >= 0 ? je_eval(r, f, m->items3[k])
                       : jv_undef(r, "parameter '%.*s' was not provided",
                                  (int)FT_MIN(name->n, (size_t)100), name->s);
    }
    exec(r, f, m->items, m->n_items);
    r->depth--;
    struct jv text = capture_end(r, &c);
    return r->autoescape ? jv_markup(r, text) : text;
}

static struct jv macro_value(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv v = jv_of(JV_MACRO);
    v.macro = jr_alloc(r, sizeof *v.macro);
    *v.macro = (struct jv_macro){n, f};
    return v;
}

static void exec_call_block(struct jr *r, struct jframe *f, const struct jn *n)
{
    struct jv caller = macro_value(r, f, n);
    struct jv v = n->a != NULL ? je_call(r, f, n->a, caller)
                               : jv_call_macro(r, caller.macro, &(struct jv_args){0});
    jv_str_to(r->out, v);
}

/* ---- scopes within a frame ---- */

static enum ctl exec_inner(struct jr *r, struct jframe *f, const struct jn *n)
{
    enum ctl ctl = CTL_GO;
    if (n->kind == N_WITH) {
        enter_scope(r, f, n->scope);
        for (int i = 0; i < n->n_items2; i++)
            assign(r, f, n->items2[i], je_eval(r, f, n->items3[i]));
        ctl = exec(r, f, n->items, n->n_items);
        leave_scope(f, n->scope);
        return ctl;
    }
    enter_scope(r, f, n->scope);
    if (n->kind == N_AUTOESCAPE) {
        bool outer = r->autoescape;
        r->autoescape = je_true(r, f, n->a);
        ctl = exec(r, f, n->items, n->n_items);
        r->autoescape = outer;
        leave_scope(f, n->scope);
        return ctl;
    }
    struct capture c;
    capture_begin(r, &c);
    ctl = exec(r, f, n->items, n->n_items);
    struct jv text = capture_end(r, &c);
    if (ctl != CTL_GO) /* a break jumps over the end of the block */
        return ctl;
    if (r->autoescape)
        text = jv_markup(r, text);
    if (n->b != NULL)
        text = je_filter_text(r, f, n->b, text);
    if (n->kind == N_SETBLOCK)
        assign(r, f, n->a, text);
    else
        jv_str_to(r->out, text);
    leave_scope(f, n->scope);
    return CTL_GO;
}

static void exec_block(struct jr *r, struct jframe *outer, const struct jn *n)
{
    struct jv_dict *vars = r->vars;
    if (n->required)
        jr_fail(r, FT_EINVAL, "Required block '%.*s' not found",
                (int)FT_MIN(n->name->n, (size_t)100), n->name->s);
    if (n->flag) {
        r->vars = jv_dict_new(r).d;
        for (size_t i = 0; i < vars->n; i++)
            jv_dict_set(r, r->vars, vars->e[i].key, vars->e[i].value);
        for (int i = n->n_refs - 1; i >= 0; i--) { /* innermost last */
            struct jv v = *jf_slot(outer, n->refs[i]);
            if (jv_given(v))
                jv_dict_set(r, r->vars, jv_str_view(r, n->ref_names[i]->s, n->ref_names[i]->n), v);
        }
    }
    struct jframe *f = frame_new(r, n->func, NULL);
    enter_scope(r, f, n->scope);
    exec(r, f, n->items, n->n_items);
    r->vars = vars;
}

static enum ctl exec_if(struct jr *r, struct jframe *f, const struct jn *n)
{
    if (je_true(r, f, n->a))
        return exec(r, f, n->items, n->n_items);
    for (int i = 0; i < n->n_items3; i++)
        if (je_true(r, f, n->items3[i]->a))
            return exec(r, f, n->items3[i]->items, n->items3[i]->n_items);
    return exec(r, f, n->items2, n->n_items2);
}

static enum ctl exec_one(struct jr *r, struct jframe *f, const struct jn *n)
{
    switch (n->kind) {
    case N_DATA:
        jb_add(r->out, n->str.p, n->str.n);
        return CTL_GO;
    case N_OUTPUT:
        output(r, f, n);
        return CTL_GO;
    case N_IF:
        return exec_if(r, f, n);
    case N_FOR:
        return exec_for(r, f, n);
    case N_SET:
        assign(r, f, n->a, je_eval(r, f, n->b));
        return CTL_GO;
    case N_MACRO:
        assign(r, f, n->a, macro_value(r, f, n));
        return CTL_GO;
    case N_CALLBLOCK:
        exec_call_block(r, f, n);
        return CTL_GO;
    case N_BLOCK:
        exec_block(r, f, n);
        return CTL_GO;
    case N_BREAK:
        return CTL_BREAK;
    case N_CONTINUE:
        return CTL_CONTINUE;
    default:
        return exec_inner(r, f, n);
    }
}

static enum ctl exec(struct jr *r, struct jframe *f, struct jn **body, int n)
{
    enum ctl c = CTL_GO;
    jr_enter(r);
    for (int i = 0; i < n && c == CTL_GO; i++) {
        jr_step(r);
        r->line = body[i]->line;
        c = exec_one(r, f, body[i]);
    }
    r->depth--;
    return c;
}

void je_run(struct jr *r, const struct jn_template *t)
{
    struct jframe *f = frame_new(r, t->func, NULL);
    enter_scope(r, f, t->scope);
    exec(r, f, t->body, t->n_body);
}
