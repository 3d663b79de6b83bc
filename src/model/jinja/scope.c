/* The scope pass: which slot of which frame every name means.
 *
 * Jinja compiles templates to Python functions and decides statically, scope by scope, whether a
 * name is loaded from the context, aliased from an outer scope or starts undefined; what templates
 * print depends on those decisions (a {% set %} in a loop does not leak, one in an {% if %} does,
 * a macro sees later values of outer variables). This pass is that analysis: `symtab` is its
 * Symbols, analyse() its FrameSymbolVisitor, resolve_*() the places where its code generator makes
 * frames. A variable is (level, name); within one function, equal pairs share a slot. */
#include <string.h>

#include "model/jinja/ast.h"

struct sym {
    const struct jn_name *name;
    bool ref, stored, loads;
    enum jn_load_kind load;
    const struct symtab *alias; /* where an alias comes from */
};

struct symtab {
    int level;
    struct symtab *parent;
    struct jn_func *fn;
    struct sym *v;
    int n, cap;
};

/* What Jinja's Frame knows while it visits a node. */
struct scope {
    struct symtab *sym;
    struct jn_func *fn;
    bool toplevel, soft, in_loop;
};

static struct symtab *tab_new(struct jn_compiler *c, struct symtab *parent, struct jn_func *fn)
{
    struct symtab *t = jn_alloc(c, 1, sizeof *t);
    t->parent = parent;
    t->level = parent == NULL ? 0 : parent->level + 1;
    t->fn = fn;
    return t;
}

static struct symtab *tab_copy(struct jn_compiler *c, const struct symtab *from)
{
    struct symtab *t = jn_alloc(c, 1, sizeof *t);
    *t = *from;
    t->v = jn_alloc(c, (size_t)t->cap, sizeof *t->v);
    if (t->n != 0)
        memcpy(t->v, from->v, (size_t)t->n * sizeof *t->v);
    return t;
}

static struct sym *tab_find(const struct symtab *t, const struct jn_name *name)
{
    for (int i = 0; i < t->n; i++)
        if (t->v[i].name == name)
            return &t->v[i];
    return NULL;
}

static struct sym *tab_get(struct jn_compiler *c, struct symtab *t, const struct jn_name *name)
{
    struct sym *s = tab_find(t, name);
    if (s != NULL)
        return s;
    if (t->n == t->cap) {
        int cap = t->cap == 0 ? 8 : t->cap * 2;
        struct sym *v = jn_alloc(c, (size_t)cap, sizeof *v);
        if (t->n != 0)
            memcpy(v, t->v, (size_t)t->n * sizeof *v);
        t->v = v;
        t->cap = cap;
    }
    s = &t->v[t->n++];
    *s = (struct sym){.name = name};
    return s;
}

/* The table, from t outwards, that refers to the name; NULL if none does. */
static const struct symtab *find_ref(const struct symtab *t, const struct jn_name *name)
{
    for (; t != NULL; t = t->parent) {
        const struct sym *s = tab_find(t, name);
        if (s != NULL && s->ref)
            return t;
    }
    return NULL;
}

static void define(struct sym *s, enum jn_load_kind load, const struct symtab *alias)
{
    s->ref = s->loads = true;
    s->load = load;
    s->alias = alias;
}

static void sym_load(struct jn_compiler *c, struct symtab *t, const struct jn_name *name)
{
    if (find_ref(t, name) == NULL)
        define(tab_get(c, t, name), LOAD_RESOLVE, NULL);
}

static void sym_store(struct jn_compiler *c, struct symtab *t, const struct jn_name *name)
{
    struct sym *s = tab_get(c, t, name);
    s->stored = true;
    if (s->ref)
        return;
    const struct symtab *outer = find_ref(t->parent, name);
    define(s, outer != NULL ? LOAD_ALIAS : LOAD_UNDEFINED, outer);
}

static void sym_param(struct jn_compiler *c, struct symtab *t, const struct jn_name *name)
{
    struct sym *s = tab_get(c, t, name);
    s->stored = true;
    define(s, LOAD_PARAM, NULL);
}

static void analyse(struct jn_compiler *c, struct symtab *t, const struct jn *n, bool as_param);

static void analyse_list(struct jn_compiler *c, struct symtab *t, struct jn **v, int n)
{
    for (int i = 0; i < n; i++)
        analyse(c, t, v[i], false);
}

static void analyse_args(struct jn_compiler *c, struct symtab *t, const struct jn_args *a)
{
    if (a == NULL)
        return;
    analyse_list(c, t, a->pos, a->n_pos);
    analyse_list(c, t, a->kw, a->n_kw);
    if (a->dyn != NULL)
        analyse(c, t, a->dyn, false);
    if (a->dyn_kw != NULL)
        analyse(c, t, a->dyn_kw, false);
}

/* A name that only some branches store is, after them, what it was before where it was not. */
static void merge_branches(struct jn_compiler *c, struct symtab *t, struct symtab *const branch[3])
{
    int before = t->n;
    bool *had = jn_alloc(c, (size_t)before + 1, 1);
    for (int i = 0; i < before; i++)
        had[i] = t->v[i].stored;
    for (int b = 0; b < 3; b++) {
        for (int i = 0; i < branch[b]->n; i++) {
            const struct sym *s = &branch[b]->v[i];
            struct sym *d = tab_get(c, t, s->name);
            d->ref |= s->ref;
            d->stored |= s->stored;
            if (s->loads)
                define(d, s->load, s->alias);
        }
    }
    for (int i = 0; i < t->n; i++) {
        struct sym *s = &t->v[i];
        if (!s->stored || (i < before && had[i]))
            continue;
        int in = 0;
        for (int b = 0; b < 3; b++) {
            const struct sym *x = tab_find(branch[b], s->name);
            in += x != NULL && x->stored;
        }
        if (in == 3)
            continue;
        const struct symtab *outer = find_ref(t->parent, s->name);
        define(s, outer != NULL ? LOAD_ALIAS : LOAD_RESOLVE, outer);
    }
}

static void analyse_if(struct jn_compiler *c, struct symtab *t, const struct jn *n)
{
    analyse(c, t, n->a, false);
    struct symtab *branch[3];
    struct jn **const body[3] = {n->items, n->items3, n->items2};
    const int len[3] = {n->n_items, n->n_items3, n->n_items2};
    for (int b = 0; b < 3; b++) {
        branch[b] = tab_copy(c, t);
        analyse_list(c, branch[b], body[b], len[b]);
    }
    merge_branches(c, t, branch);
}

/* Collects what a node of the scope itself loads and stores; inner scopes are not entered. */
static void analyse(struct jn_compiler *c, struct symtab *t, const struct jn *n, bool as_param)
{
    switch (n->kind) {
    case N_NAME:
        if (as_param || n->ctx == CTX_PARAM)
            sym_param(c, t, n->name);
        else if (n->ctx == CTX_STORE)
            sym_store(c, t, n->name);
        else
            sym_load(c, t, n->name);
        return;
    case N_NSREF:
        sym_load(c, t, n->name);
        return;
    case N_IF:
        analyse_if(c, t, n);
        return;
    case N_MACRO:
        sym_store(c, t, n->name);
        return;
    case N_FOR:
        analyse(c, t, n->b, false);
        return;
    case N_CALLBLOCK:
        if (n->a != NULL)
            analyse(c, t, n->a, false);
        return;
    case N_FILTERBLOCK:
        analyse(c, t, n->b, false);
        return;
    case N_WITH:
        analyse_list(c, t, n->items3, n->n_items3);
        return;
    case N_SET:
        analyse(c, t, n->b, false);
        analyse(c, t, n->a, false);
        return;
    case N_SETBLOCK:
        analyse(c, t, n->a, false);
        return;
    case N_BLOCK:
    case N_AUTOESCAPE:
        return;
    case N_TUPLE:
        for (int i = 0; i < n->n_items; i++)
            analyse(c, t, n->items[i], as_param);
        return;
    case N_COND:
        analyse(c, t, n->b, false);
        analyse(c, t, n->a, false);
        if (n->c != NULL)
            analyse(c, t, n->c, false);
        return;
    default:
        break;
    }
    struct jn *const child[] = {n->a, n->b, n->c};
    for (size_t i = 0; i < FT_COUNT(child); i++)
        if (child[i] != NULL)
            analyse(c, t, child[i], false);
    for (int i = 0; i < n->n_items; i++) {
        analyse(c, t, n->items[i], false);
        if (n->kind == N_DICT)
            analyse(c, t, n->items2[i], false);
    }
    analyse_args(c, t, n->args);
}

/* Which of `names` a body loads without having stored them before (Jinja's find_undeclared). */
struct search {
    const struct jn_name *names[3];
    bool live[3], found[3];
    int n;
};

static void search_node(struct search *s, const struct jn *n);

static void search_list(struct search *s, struct jn **v, int n)
{
    for (int i = 0; i < n; i++)
        search_node(s, v[i]);
}

static void search_args(struct search *s, const struct jn_args *a)
{
    if (a == NULL)
        return;
    search_list(s, a->pos, a->n_pos);
    search_list(s, a->kw, a->n_kw);
    if (a->dyn != NULL)
        search_node(s, a->dyn);
    if (a->dyn_kw != NULL)
        search_node(s, a->dyn_kw);
}

static void search_node(struct search *s, const struct jn *n)
{
    if (n == NULL || n->kind == N_BLOCK)
        return;
    if (n->kind == N_NAME) {
        for (int i = 0; i < s->n; i++) {
            if (s->names[i] != n->name || !s->live[i])
                continue;
            if (n->ctx == CTX_LOAD)
                s->found[i] = true;
            else
                s->live[i] = false;
        }
        return;
    }
    if (n->kind == N_FOR) { /* target, iter, body, else, test */
        search_node(s, n->a);
        search_node(s, n->b);
        search_list(s, n->items, n->n_items);
        search_list(s, n->items2, n->n_items2);
        search_node(s, n->c);
        return;
    }
    if (n->kind == N_MACRO || n->kind == N_CALLBLOCK || n->kind == N_WITH) {
        if (n->kind == N_CALLBLOCK)
            search_node(s, n->a);
        search_list(s, n->items2, n->n_items2);
        search_list(s, n->items3, n->n_items3);
        search_list(s, n->items, n->n_items);
        return;
    }
    if (n->kind == N_IF || n->kind == N_SETBLOCK || n->kind == N_FILTERBLOCK) {
        search_node(s, n->a);
        if (n->kind == N_SETBLOCK)
            search_node(s, n->b);
        search_list(s, n->items, n->n_items);
        search_list(s, n->items3, n->n_items3);
        search_list(s, n->items2, n->n_items2);
        if (n->kind == N_FILTERBLOCK)
            search_node(s, n->b);
        return;
    }
    search_node(s, n->a);
    search_node(s, n->b);
    search_node(s, n->c);
    search_list(s, n->items, n->n_items);
    search_list(s, n->items2, n->n_items2);
    search_args(s, n->args);
}

static struct jn_func *func_new(struct jn_compiler *c, struct jn_func *parent)
{
    struct jn_func *f = jn_alloc(c, 1, sizeof *f);
    f->parent = parent;
    f->depth = parent == NULL ? 0 : parent->depth + 1;
    return f;
}

static int slot_of(struct jn_compiler *c, struct jn_func *f, int level, const struct jn_name *name)
{
    for (int i = 0; i < f->n_slots; i++)
        if (f->idents[i].level == level && f->idents[i].name == name)
            return i;
    if (f->n_slots == f->cap) {
        f->cap = f->cap == 0 ? 8 : f->cap * 2;
        struct jn_ident *v = jn_alloc(c, (size_t)f->cap, sizeof *v);
        if (f->n_slots != 0)
            memcpy(v, f->idents, (size_t)f->n_slots * sizeof *v);
        f->idents = v;
    }
    f->idents[f->n_slots] = (struct jn_ident){level, name};
    return f->n_slots++;
}

static struct jn_ref ref_in(struct jn_compiler *c, const struct symtab *t,
                            const struct jn_func *from, const struct jn_name *name)
{
    return (struct jn_ref){from->depth - t->fn->depth, slot_of(c, t->fn, t->level, name)};
}

static struct jn_ref ref_of(struct jn_compiler *c, const struct scope *s,
                            const struct jn_name *name, int line)
{
    const struct symtab *t = find_ref(s->sym, name);
    if (t == NULL)
        jn_fail(c, line, "the name '%.*s' cannot be used here", (int)FT_MIN(name->n, (size_t)64),
                name->s);
    return ref_in(c, t, s->fn, name);
}

static struct jn_scope *loads_of(struct jn_compiler *c, const struct symtab *t)
{
    struct jn_scope *s = jn_alloc(c, 1, sizeof *s);
    s->loads = jn_alloc(c, (size_t)t->n + 1, sizeof *s->loads);
    for (int i = 0; i < t->n; i++) {
        const struct sym *y = &t->v[i];
        if (!y->loads)
            continue;
        struct jn_load *l = &s->loads[s->n_loads++];
        l->kind = y->load;
        l->name = y->name;
        l->slot = slot_of(c, t->fn, t->level, y->name);
        if (y->load == LOAD_ALIAS)
            l->from = ref_in(c, y->alias, t->fn, y->name);
    }
    return s;
}

static void resolve(struct jn_compiler *c, const struct scope *s, struct jn *n);

static void resolve_list(struct jn_compiler *c, const struct scope *s, struct jn **v, int n)
{
    for (int i = 0; i < n; i++)
        resolve(c, s, v[i]);
}

static void resolve_args(struct jn_compiler *c, const struct scope *s, const struct jn_args *a)
{
    if (a == NULL)
        return;
    resolve_list(c, s, a->pos, a->n_pos);
    resolve_list(c, s, a->kw, a->n_kw);
    if (a->dyn != NULL)
        resolve(c, s, a->dyn);
    if (a->dyn_kw != NULL)
        resolve(c, s, a->dyn_kw);
}

static bool stores_loop(const struct jn *n, const struct jn_name *loop)
{
    if (n == NULL)
        return false;
    if (n->kind == N_NAME)
        return n->name == loop && n->ctx == CTX_STORE;
    struct jn **const lists[] = {n->items, n->items2, n->items3};
    const int len[] = {n->n_items, n->n_items2, n->n_items3};
    for (size_t k = 0; k < FT_COUNT(lists); k++)
        for (int i = 0; i < len[k]; i++)
            if (stores_loop(lists[k][i], loop))
                return true;
    return n->kind != N_MACRO && (stores_loop(n->a, loop) || stores_loop(n->b, loop));
}

static bool has_scoped_block(const struct jn *n)
{
    if (n == NULL)
        return false;
    if (n->kind == N_BLOCK && n->flag)
        return true;
    struct jn **const lists[] = {n->items, n->items2, n->items3};
    const int len[] = {n->n_items, n->n_items2, n->n_items3};
    for (size_t k = 0; k < FT_COUNT(lists); k++)
        for (int i = 0; i < len[k]; i++)
            if (has_scoped_block(lists[k][i]))
                return true;
    return false;
}

static struct jn *clone_target(struct jn_compiler *c, const struct jn *n)
{
    struct jn *copy = jn_alloc(c, 1, sizeof *copy);
    *copy = *n;
    copy->items = NULL;
    copy->n_items = 0;
    for (int i = 0; i < n->n_items; i++)
        jn_push(c, &copy->items, &copy->n_items, clone_target(c, n->items[i]));
    return copy;
}

static void resolve_for(struct jn_compiler *c, const struct scope *s, struct jn *n)
{
    const struct jn_name *loop = jn_intern(c, "loop", 4, n->line);
    struct search q = {.names = {loop}, .live = {true}, .n = 1};
    search_list(&q, n->items, n->n_items);
    n->uses_loop = n->recursive || q.found[0] || has_scoped_block(n);
    if (stores_loop(n, loop))
        jn_fail(c, n->line, "Can't assign to special loop variable in for-loop target");

    resolve(c, s, n->b);
    struct jn_func *fn = n->recursive ? func_new(c, s->fn) : s->fn;
    n->func = n->recursive ? fn : NULL;
    struct scope in = {.sym = tab_new(c, s->sym, fn), .fn = fn, .in_loop = true};
    if (n->uses_loop)
        sym_param(c, in.sym, loop);
    analyse(c, in.sym, n->a, true);
    analyse_list(c, in.sym, n->items, n->n_items);
    if (n->uses_loop)
        n->loop_ref = ref_in(c, in.sym, fn, loop);
    n->scope = loads_of(c, in.sym);
    resolve(c, &in, n->a);
    resolve_list(c, &in, n->items, n->n_items);

    if (n->c != NULL) { /* the filter is a function of its own, with its own loop variables */
        n->func2 = func_new(c, s->fn);
        struct scope test = {.sym = tab_new(c, s->sym, n->func2), .fn = n->func2};
        analyse(c, test.sym, n->a, true);
        analyse(c, test.sym, n->c, false);
        n->scope2 = loads_of(c, test.sym);
        resolve(c, &test, n->c);
        jn_push(c, &n->items3, &n->n_items3, clone_target(c, n->a));
        resolve(c, &test, n->items3[0]);
    }
    struct scope other = {
        .sym = tab_new(c, s->sym, fn), .fn = fn, .in_loop = !n->recursive && s->in_loop};
    analyse_list(c, other.sym, n->items2, n->n_items2);
    n->scope3 = loads_of(c, other.sym);
    resolve_list(c, &other, n->items2, n->n_items2);
}

static void analyse_macro(struct jn_compiler *c, struct symtab *t, const struct jn *n)
{
    analyse_list(c, t, n->items2, n->n_items2);
    analyse_list(c, t, n->items3, n->n_items3);
    analyse_list(c, t, n->items, n->n_items);
}

static void resolve_macro(struct jn_compiler *c, const struct scope *s, struct jn *n)
{
    static const char *const special[3] = {"caller", "kwargs", "varargs"};
    struct search q = {.live = {true, true, true}, .n = 3};
    bool named[3] = {false, false, false};
    for (int k = 0; k < 3; k++) {
        q.names[k] = jn_intern(c, special[k], strlen(special[k]), n->line);
        for (int i = 0; i < n->n_items2; i++)
            named[k] |= n->items2[i]->name == q.names[k];
    }
    search_list(&q, n->items, n->n_items);
    n->func = func_new(c, s->fn);
    struct scope in = {.sym = tab_new(c, s->sym, n->func), .fn = n->func};
    analyse_macro(c, in.sym, n);
    n->explicit_caller = named[0];
    if (q.found[0] && named[0]) {
        for (int i = 0; i < n->n_items2 - n->n_items3; i++)
            if (n->items2[i]->name == q.names[0])
                jn_fail(c, n->line,
                        "the special \"caller\" argument must be omitted or be given a default");
    }
    struct jn_ref *refs[3] = {&n->caller_ref, &n->kwargs_ref, &n->varargs_ref};
    for (int k = 0; k < 3; k++) {
        if (!q.found[k] || named[k])
            continue;
        sym_param(c, in.sym, q.names[k]);
        *refs[k] = ref_in(c, in.sym, n->func, q.names[k]);
    }
    n->flag = q.found[0]; /* takes a caller */
    analyse_macro(c, in.sym, n);
    n->n_refs = n->n_items2;
    n->refs = jn_alloc(c, (size_t)n->n_refs + 1, sizeof *n->refs);
    for (int i = 0; i < n->n_items2; i++)
        n->refs[i] = ref_of(c, &in, n->items2[i]->name, n->line);
    n->scope = loads_of(c, in.sym);
    resolve_list(c, &in, n->items3, n->n_items3);
    resolve_list(c, &in, n->items, n->n_items);
}

static void resolve_block(struct jn_compiler *c, const struct scope *s, struct jn *n)
{
    for (int i = 0; i < c->n_blocks; i++)
        if (c->blocks[i] == n->name)
            jn_fail(c, n->line, "block '%.*s' defined twice", (int)FT_MIN(n->name->n, (size_t)64),
                    n->name->s);
    if (c->blocks == NULL)
        c->blocks = jn_alloc(c, JN_NAMES_MAX, sizeof *c->blocks);
    c->blocks[c->n_blocks++] = n->name; /* distinct names: at most JN_NAMES_MAX */
    if (n->flag) {
        int cap = 0;
        for (const struct symtab *t = s->sym; t != NULL; t = t->parent)
            cap += t->n;
        n->refs = jn_alloc(c, (size_t)cap + 1, sizeof *n->refs);
        n->ref_names = jn_alloc(c, (size_t)cap + 1, sizeof *n->ref_names);
        for (const struct symtab *t = s->sym; t != NULL; t = t->parent)
            for (int i = 0; i < t->n; i++)
                if (t->v[i].stored) {
                    n->ref_names[n->n_refs] = t->v[i].name;
                    n->refs[n->n_refs++] = ref_of(c, s, t->v[i].name, n->line);
                }
    }
    n->func = func_new(c, NULL);
    struct scope in = {.sym = tab_new(c, NULL, n->func), .fn = n->func};
    analyse_list(c, in.sym, n->items, n->n_items);
    n->scope = loads_of(c, in.sym);
    resolve_list(c, &in, n->items, n->n_items);
}

/* Scopes that run in the frame of their function: with, filter blocks, set blocks, autoescape. */
static void resolve_inner(struct jn_compiler *c, const struct scope *s, struct jn *n)
{
    struct scope in = {.sym = tab_new(c, s->sym, s->fn), .fn = s->fn, .in_loop = s->in_loop};
    if (n->kind == N_WITH) {
        resolve_list(c, s, n->items3, n->n_items3);
        analyse_list(c, in.sym, n->items2, n->n_items2);
    }
    if (n->kind == N_AUTOESCAPE)
        analyse(c, in.sym, n->a, false);
    analyse_list(c, in.sym, n->items, n->n_items);
    if (n->kind == N_FILTERBLOCK)
        analyse(c, in.sym, n->b, false);
    n->scope = loads_of(c, in.sym);
    if (n->kind == N_WITH)
        resolve_list(c, &in, n->items2, n->n_items2);
    if (n->kind == N_AUTOESCAPE)
        resolve(c, &in, n->a);
    resolve_list(c, &in, n->items, n->n_items);
    if (n->kind == N_SETBLOCK)
        resolve(c, s, n->a);
    if (n->kind != N_WITH && n->kind != N_AUTOESCAPE && n->b != NULL)
        resolve(c, &in, n->b);
}

static void check_known(struct jn_compiler *c, const struct scope *s, const struct jn *n)
{
    bool known = n->kind == N_FILTER ? jv_filter_find(n->str.p, n->str.n) != NULL
                                     : jv_test_find(n->str.p, n->str.n) != NULL;
    if (!known && !s->soft)
        jn_fail(c, n->line, "No %s named '%.*s'.", n->kind == N_FILTER ? "filter" : "test",
                (int)FT_MIN(n->str.n, (size_t)64), n->str.p);
}

static void resolve(struct jn_compiler *c, const struct scope *s, struct jn *n)
{
    struct scope soft = *s;
    switch (n->kind) {
    case N_NAME:
    case N_NSREF:
        n->ref = ref_of(c, s, n->name, n->line);
        n->toplevel = s->toplevel;
        return;
    case N_FOR:
        resolve_for(c, s, n);
        return;
    case N_MACRO:
        resolve(c, s, n->a);
        resolve_macro(c, s, n);
        return;
    case N_CALLBLOCK:
        resolve_macro(c, s, n);
        if (n->a != NULL)
            resolve(c, s, n->a);
        return;
    case N_BLOCK:
        resolve_block(c, s, n);
        return;
    case N_WITH:
    case N_SETBLOCK:
    case N_FILTERBLOCK:
    case N_AUTOESCAPE:
        resolve_inner(c, s, n);
        return;
    case N_BREAK:
    case N_CONTINUE:
        if (!s->in_loop)
            jn_fail(c, n->line, "'%s' outside loop", n->kind == N_BREAK ? "break" : "continue");
        return;
    case N_IF:
    case N_COND:
        soft.soft = true;
        s = &soft;
        break;
    case N_FILTER:
    case N_TEST:
        check_known(c, s, n);
        break;
    default:
        break;
    }
    struct jn *const child[] = {n->a, n->b, n->c};
    for (size_t i = 0; i < FT_COUNT(child); i++)
        if (child[i] != NULL)
            resolve(c, s, child[i]);
    resolve_list(c, s, n->items, n->n_items);
    resolve_list(c, s, n->items2, n->n_items2);
    resolve_list(c, s, n->items3, n->n_items3);
    resolve_args(c, s, n->args);
}

void jn_scopes(struct jn_compiler *c, struct jn_template *t)
{
    t->func = func_new(c, NULL);
    struct scope s = {.sym = tab_new(c, NULL, t->func), .fn = t->func, .toplevel = true};
    analyse_list(c, s.sym, t->body, t->n_body);
    t->scope = loads_of(c, s.sym);
    resolve_list(c, &s, t->body, t->n_body);
}

int jn_compile(struct jn_template *t, const char *text, size_t n, struct ft_err *err)
{
    if (n > JN_SOURCE_BYTES_MAX)
        return ft_err_set(err, FT_ELIMIT, "the template has %zu bytes, more than %zu", n,
                          JN_SOURCE_BYTES_MAX);
    struct jn_compiler c = {.arena = &t->arena};
    if (setjmp(c.unwind) != 0) {
        if (err != NULL)
            *err = c.err;
        return c.err.code;
    }
    jn_lex(&c, text, n);
    t->body = jn_parse(&c, &t->n_body);
    jn_scopes(&c, t);
    return 0;
}
