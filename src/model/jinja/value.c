/* Values: construction, equality, order, truth, length, membership; dictionaries; memory.
 *
 * Everything is allocated from the rendering's arena. Work that grows with the size of values is
 * charged against the same step budget as evaluated nodes, so that a template cannot hide it. */
#include "model/jinja/value.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "model/jinja/unicode.h"

#define DICT_INDEX_FROM 8 /* entries above which a dictionary keeps an index */

void jr_fail(struct jr *r, enum ft_code code, const char *fmt, ...)
{
    char msg[FT_ERR_MSG_MAX - 32];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    ft_err_set(&r->err, code, "line %d: %s", r->line, msg);
    longjmp(r->unwind, 1);
}

void jr_raise(struct jr *r, const char *msg, size_t n)
{
    ft_err_set(&r->err, FT_EINVAL, "%.*s", (int)FT_MIN(n, (size_t)FT_ERR_MSG_MAX), msg);
    longjmp(r->unwind, 1);
}

void *jr_alloc(struct jr *r, size_t bytes)
{
    void *p = ft_arena_alloc(&r->arena, bytes);
    if (p == NULL)
        jr_fail(r, FT_ENOMEM, "the template needs more than %zu MiB", JR_ARENA_BYTES_MAX >> 20);
    return p;
}

void *jr_array(struct jr *r, size_t n, size_t elem_bytes)
{
    size_t bytes;
    if (__builtin_mul_overflow(n, elem_bytes, &bytes))
        jr_fail(r, FT_ENOMEM, "the template needs more than %zu MiB", JR_ARENA_BYTES_MAX >> 20);
    return jr_alloc(r, bytes);
}

void jr_charge(struct jr *r, size_t bytes)
{
    r->steps -= (int64_t)(bytes / 16);
    if (r->steps < 0)
        jr_fail(r, FT_ELIMIT, "the template takes more than %lld steps", (long long)JR_STEPS_MAX);
}

void jr_step(struct jr *r)
{
    if (--r->steps < 0)
        jr_fail(r, FT_ELIMIT, "the template takes more than %lld steps", (long long)JR_STEPS_MAX);
}

void jr_enter(struct jr *r)
{
    jr_step(r);
    if (++r->depth > JR_DEPTH_MAX)
        jr_fail(r, FT_ELIMIT, "evaluation is nested more than %d deep", JR_DEPTH_MAX);
}

void jb_init(struct jb *b, struct jr *r)
{
    *b = (struct jb){.r = r};
}

static void jb_room(struct jb *b, size_t n)
{
    if (n <= b->cap - b->n)
        return;
    if (n > JR_STR_BYTES_MAX - b->n)
        jr_fail(b->r, FT_ELIMIT, "a text of the template is longer than %zu MiB",
                JR_STR_BYTES_MAX >> 20);
    size_t cap = FT_MAX(b->cap * 2, FT_MAX(b->n + n, (size_t)64));
    char *p = jr_alloc(b->r, cap);
    if (b->n != 0)
        memcpy(p, b->p, b->n);
    b->p = p;
    b->cap = cap;
}

void jb_add(struct jb *b, const char *p, size_t n)
{
    if (n == 0)
        return;
    jb_room(b, n);
    jr_charge(b->r, n);
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void jb_adds(struct jb *b, const char *s)
{
    jb_add(b, s, strlen(s));
}

void jb_addc(struct jb *b, char c)
{
    jb_room(b, 1);
    b->p[b->n++] = c;
}

void jb_addcp(struct jb *b, uint32_t cp)
{
    jb_room(b, 4);
    b->n += (size_t)ju_put(b->p + b->n, cp);
}

void jb_addf(struct jb *b, const char *fmt, ...)
{
    va_list ap, again;
    va_start(ap, fmt);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    jb_room(b, (size_t)n + 1);
    vsnprintf(b->p + b->n, (size_t)n + 1, fmt, again);
    va_end(again);
    b->n += (size_t)n;
}

void jb_pad(struct jb *b, const char *fill, size_t fill_n, int64_t times)
{
    if (times <= 0 || fill_n == 0)
        return;
    if ((uint64_t)times > JR_STR_BYTES_MAX / fill_n)
        jr_fail(b->r, FT_ELIMIT, "a text of the template is longer than %zu MiB",
                JR_STR_BYTES_MAX >> 20);
    jb_room(b, fill_n * (size_t)times);
    for (int64_t i = 0; i < times; i++)
        jb_add(b, fill, fill_n);
}

struct jv jb_str(struct jb *b)
{
    return jv_str_view(b->r, b->p, b->n);
}

struct jv jv_str_view(struct jr *r, const char *p, size_t n)
{
    struct jv_str *s = jr_alloc(r, sizeof *s);
    *s = (struct jv_str){.p = p != NULL ? p : "", .n = n, .cps = -1};
    return (struct jv){.t = JV_STR, .s = s};
}

struct jv jv_strn(struct jr *r, const char *p, size_t n)
{
    char *q = jr_alloc(r, n + 1);
    jr_charge(r, n);
    if (n != 0)
        memcpy(q, p, n);
    return jv_str_view(r, q, n);
}

struct jv jv_strz(struct jr *r, const char *s)
{
    return jv_strn(r, s, strlen(s));
}

struct jv jv_substr(struct jr *r, struct jv s, size_t from, size_t to)
{
    struct jv v = jv_str_view(r, s.s->p + from, to - from);
    v.s->markup = s.s->markup;
    return v;
}

struct jv jv_str_cat(struct jr *r, struct jv a, struct jv b)
{
    struct jv_str *x = a.s, *y = b.s;
    size_t n = x->n + y->n;
    if (n > JR_STR_BYTES_MAX)
        jr_fail(r, FT_ELIMIT, "a text of the template is longer than %zu MiB",
                JR_STR_BYTES_MAX >> 20);
    const char *start = x->p;
    struct jv_sbuf *own = x->own;
    if (own == NULL || x->p + x->n != own->p + own->used || own->cap - own->used < y->n) {
        own = jr_alloc(r, sizeof *own);
        own->cap = n < 256 ? n : n * 2;
        own->p = jr_alloc(r, own->cap);
        jr_charge(r, x->n);
        if (x->n != 0)
            memcpy(own->p, x->p, x->n);
        own->used = x->n;
        start = own->p;
    }
    jr_charge(r, y->n);
    if (y->n != 0)
        memcpy(own->p + own->used, y->p, y->n);
    own->used += y->n;
    struct jv v = jv_str_view(r, start, n);
    v.s->own = own;
    v.s->cps = x->cps >= 0 && y->cps >= 0 ? x->cps + y->cps : -1;
    return v;
}

int64_t jv_cps(struct jv_str *s)
{
    if (s->cps < 0) {
        int64_t n = 0;
        for (size_t i = 0; i < s->n; i++)
            n += ((unsigned char)s->p[i] & 0xc0) != 0x80;
        s->cps = n;
    }
    return s->cps;
}

size_t jv_byte_at(struct jv_str *s, int64_t cp)
{
    if ((size_t)jv_cps(s) == s->n)
        return (size_t)cp;
    const char *p = s->p;
    for (; cp > 0; cp--)
        ju_next(&p);
    return (size_t)(p - s->p);
}

struct jv jv_list_new(struct jr *r, size_t cap)
{
    struct jv_list *l = jr_alloc(r, sizeof *l);
    l->v = cap == 0 ? NULL : jr_array(r, cap, sizeof *l->v);
    l->cap = cap;
    return (struct jv){.t = JV_LIST, .l = l};
}

struct jv jv_tuple_new(struct jr *r, size_t n)
{
    struct jv v = jv_list_new(r, n);
    v.t = JV_TUPLE;
    v.l->n = n;
    return v;
}

void jv_list_push(struct jr *r, struct jv list, struct jv v)
{
    struct jv_list *l = list.l;
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 4 : l->cap * 2;
        struct jv *p = jr_array(r, cap, sizeof *p);
        if (l->n != 0)
            memcpy(p, l->v, l->n * sizeof *p);
        l->v = p;
        l->cap = cap;
    }
    l->v[l->n++] = v;
}

struct jv jv_pair(struct jr *r, struct jv a, struct jv b)
{
    struct jv v = jv_tuple_new(r, 2);
    v.l->v[0] = a;
    v.l->v[1] = b;
    return v;
}

struct jv jv_undef(struct jr *r, const char *fmt, ...)
{
    char msg[256];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    struct jv v = jv_of(JV_UNDEF);
    v.u = jr_alloc(r, sizeof *v.u);
    v.u->msg = jv_strz(r, msg).s->p;
    return v;
}

struct jv jv_unsafe(struct jr *r, struct jv obj, const char *attr, size_t n)
{
    struct jv v = jv_undef(r, "access to attribute '%.*s' of '%s' object is unsafe.",
                           (int)FT_MIN(n, (size_t)100), attr, jv_type_name(obj));
    v.u->unsafe = true;
    return v;
}

void jr_check_defined(struct jr *r, struct jv v)
{
    if (v.t == JV_UNDEF)
        jr_fail(r, FT_EINVAL, "%s", v.u->msg);
}

const char *jv_type_name(struct jv v)
{
    static const char *const names[] = {
        [JV_MISSING] = "missing",  [JV_UNDEF] = "Undefined",
        [JV_NONE] = "NoneType",    [JV_BOOL] = "bool",
        [JV_INT] = "int",          [JV_FLOAT] = "float",
        [JV_STR] = "str",          [JV_LIST] = "list",
        [JV_TUPLE] = "tuple",      [JV_DICT] = "dict",
        [JV_RANGE] = "range",      [JV_VIEW] = "dict_keys",
        [JV_ITER] = "generator",   [JV_NS] = "Namespace",
        [JV_LOOP] = "LoopContext", [JV_MACRO] = "Macro",
        [JV_FUNC] = "function",    [JV_METHOD] = "builtin_function_or_method",
        [JV_CYCLER] = "Cycler",    [JV_JOINER] = "Joiner",
    };
    if (v.t == JV_VIEW && v.view->kind != JV_KEYS)
        return v.view->kind == JV_VALUES ? "dict_values" : "dict_items";
    if (v.t == JV_STR && v.s->markup)
        return "Markup";
    return names[v.t];
}

bool jv_truth(struct jr *r, struct jv v)
{
    switch (v.t) {
    case JV_MISSING:
    case JV_UNDEF:
    case JV_NONE:
        return false;
    case JV_BOOL:
        return v.b;
    case JV_INT:
        return v.i != 0;
    case JV_FLOAT:
        return v.f != 0;
    default:
        return !jv_has_len(v) || jv_len(r, v) != 0;
    }
}

bool jv_has_len(struct jv v)
{
    return v.t == JV_UNDEF || v.t == JV_STR || v.t == JV_LIST || v.t == JV_TUPLE ||
           v.t == JV_DICT || v.t == JV_RANGE || v.t == JV_VIEW || v.t == JV_LOOP;
}

int64_t jv_len(struct jr *r, struct jv v)
{
    switch (v.t) {
    case JV_UNDEF:
        return 0;
    case JV_STR:
        if (v.s->cps < 0)
            jr_charge(r, v.s->n);
        return jv_cps(v.s);
    case JV_LIST:
    case JV_TUPLE:
        return (int64_t)v.l->n;
    case JV_DICT:
        return (int64_t)v.d->n;
    case JV_RANGE:
        return v.r->n;
    case JV_VIEW:
        return (int64_t)v.view->d->n;
    case JV_LOOP: {
        bool found;
        return jv_loop_attr(r, v.loop, "length", 6, &found).i;
    }
    default:
        jr_fail(r, FT_EINVAL, "object of type '%s' has no len()", jv_type_name(v));
    }
}

bool jv_hashable(struct jv v)
{
    if (v.t == JV_TUPLE) {
        for (size_t i = 0; i < v.l->n; i++)
            if (!jv_hashable(v.l->v[i]))
                return false;
        return true;
    }
    return v.t != JV_LIST && v.t != JV_DICT && v.t != JV_VIEW;
}

static uint64_t mix(uint64_t z)
{
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static uint64_t hash_bytes(const char *p, size_t n)
{
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * 1099511628211u;
    return mix(h);
}

static uint64_t hash_of(struct jr *r, struct jv v)
{
    switch (v.t) {
    case JV_STR:
        jr_charge(r, v.s->n);
        return hash_bytes(v.s->p, v.s->n);
    case JV_BOOL:
    case JV_INT:
        return mix((uint64_t)jv_as_int(v));
    case JV_FLOAT:
        if (v.f >= -9e18 && v.f <= 9e18 && v.f == floor(v.f))
            return mix((uint64_t)(int64_t)v.f);
        return mix((uint64_t)(v.f * 1e9 > 9e18 || v.f * 1e9 < -9e18 ? 1 : (int64_t)(v.f * 1e9)));
    case JV_TUPLE: {
        uint64_t h = 7;
        jr_enter(r);
        for (size_t i = 0; i < v.l->n; i++)
            h = mix(h ^ hash_of(r, v.l->v[i])) + i;
        r->depth--;
        return h;
    }
    case JV_LIST:
    case JV_DICT:
    case JV_VIEW:
        jr_fail(r, FT_EINVAL, "unhashable type: '%s'", jv_type_name(v));
    case JV_UNDEF:
    case JV_NONE:
    case JV_RANGE:
        return mix((uint64_t)v.t);
    default:
        return mix((uint64_t)(uintptr_t)v.s);
    }
}

struct jv jv_dict_new(struct jr *r)
{
    struct jv v = jv_of(JV_DICT);
    v.d = jr_alloc(r, sizeof *v.d);
    return v;
}

static struct jv_entry *find_entry(struct jr *r, struct jv_dict *d, struct jv key, uint64_t h)
{
    if (d->index == NULL) {
        for (size_t i = 0; i < d->n; i++)
            if (d->e[i].hash == h && jv_eq(r, d->e[i].key, key))
                return &d->e[i];
        return NULL;
    }
    for (size_t k = h & (d->index_cap - 1); d->index[k] != 0; k = (k + 1) & (d->index_cap - 1)) {
        struct jv_entry *e = &d->e[d->index[k] - 1];
        if (e->hash == h && jv_eq(r, e->key, key))
            return e;
        jr_step(r);
    }
    return NULL;
}

static void index_put(struct jv_dict *d, size_t i)
{
    size_t k = d->e[i].hash & (d->index_cap - 1);
    while (d->index[k] != 0)
        k = (k + 1) & (d->index_cap - 1);
    d->index[k] = (uint32_t)i + 1;
}

static void dict_grow(struct jr *r, struct jv_dict *d)
{
    size_t cap = d->cap == 0 ? 4 : d->cap * 2;
    struct jv_entry *e = jr_array(r, cap, sizeof *e);
    if (d->n != 0)
        memcpy(e, d->e, d->n * sizeof *e);
    d->e = e;
    d->cap = cap;
    if (cap <= DICT_INDEX_FROM)
        return;
    d->index_cap = cap * 2;
    d->index = jr_array(r, d->index_cap, sizeof *d->index);
    for (size_t i = 0; i < d->n; i++)
        index_put(d, i);
}

void jv_dict_set(struct jr *r, struct jv_dict *d, struct jv key, struct jv value)
{
    uint64_t h = hash_of(r, key);
    struct jv_entry *e = find_entry(r, d, key, h);
    if (e != NULL) {
        e->value = value;
        return;
    }
    if (d->n == d->cap)
        dict_grow(r, d);
    d->e[d->n] = (struct jv_entry){key, value, h};
    d->n++;
    if (d->index != NULL)
        index_put(d, d->n - 1);
}

void jv_dict_sets(struct jr *r, struct jv_dict *d, const char *key, struct jv value)
{
    jv_dict_set(r, d, jv_strz(r, key), value);
}

bool jv_dict_get(struct jr *r, struct jv_dict *d, struct jv key, struct jv *ret)
{
    struct jv_entry *e = find_entry(r, d, key, hash_of(r, key));
    if (e != NULL)
        *ret = e->value;
    return e != NULL;
}

bool jv_dict_getn(struct jr *r, struct jv_dict *d, const char *key, size_t n, struct jv *ret)
{
    struct jv_str s = {.p = key, .n = n, .cps = -1};
    return jv_dict_get(r, d, (struct jv){.t = JV_STR, .s = &s}, ret);
}

/* -1, 0, 1; 2 when one of them is not a number. */
static int compare_numbers(struct jv a, struct jv b)
{
    if (a.t == JV_FLOAT || b.t == JV_FLOAT) {
        /* long double holds every int64 exactly where it matters (x86, AArch64). */
        long double x = a.t == JV_FLOAT ? (long double)a.f : (long double)jv_as_int(a);
        long double y = b.t == JV_FLOAT ? (long double)b.f : (long double)jv_as_int(b);
        return x < y ? -1 : x > y ? 1 : x == y ? 0 : 2;
    }
    int64_t x = jv_as_int(a), y = jv_as_int(b);
    return x < y ? -1 : x > y;
}

static int compare_strings(struct jr *r, struct jv a, struct jv b)
{
    size_t n = FT_MIN(a.s->n, b.s->n);
    jr_charge(r, n);
    int c = n == 0 ? 0 : memcmp(a.s->p, b.s->p, n);
    return c != 0 ? c : a.s->n < b.s->n ? -1 : a.s->n > b.s->n;
}

static bool eq_dicts(struct jr *r, struct jv_dict *a, struct jv_dict *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++) {
        struct jv other;
        if (!jv_dict_get(r, b, a->e[i].key, &other) || !jv_eq(r, a->e[i].value, other))
            return false;
    }
    return true;
}

static bool eq_deep(struct jr *r, struct jv a, struct jv b)
{
    if (a.t == JV_DICT)
        return eq_dicts(r, a.d, b.d);
    if (a.l->n != b.l->n)
        return false;
    for (size_t i = 0; i < a.l->n; i++)
        if (!jv_eq(r, a.l->v[i], b.l->v[i]))
            return false;
    return true;
}

bool jv_eq(struct jr *r, struct jv a, struct jv b)
{
    if (jv_is_num(a) && jv_is_num(b))
        return compare_numbers(a, b) == 0;
    if (a.t != b.t)
        return false;
    switch (a.t) {
    case JV_UNDEF:
    case JV_NONE:
        return true;
    case JV_STR:
        return a.s == b.s || (a.s->n == b.s->n && compare_strings(r, a, b) == 0);
    case JV_LIST:
    case JV_TUPLE:
    case JV_DICT: {
        jr_enter(r);
        bool eq = eq_deep(r, a, b);
        r->depth--;
        return eq;
    }
    case JV_RANGE:
        return a.r->n == b.r->n && (a.r->n == 0 || (a.r->start == b.r->start &&
                                                    (a.r->n == 1 || a.r->step == b.r->step)));
    case JV_VIEW:
        return a.view->kind == b.view->kind &&
               (a.view->d == b.view->d ||
                (a.view->kind != JV_VALUES && eq_dicts(r, a.view->d, b.view->d)));
    case JV_METHOD:
        return a.method->fn == b.method->fn && jv_same(a.method->self, b.method->self);
    default:
        return a.s == b.s;
    }
}

bool jv_same(struct jv a, struct jv b)
{
    if (a.t != b.t)
        return false;
    switch (a.t) {
    case JV_NONE:
        return true;
    case JV_BOOL:
        return a.b == b.b;
    case JV_INT: /* CPython keeps one object for each small integer */
        return a.i == b.i && a.i >= -5 && a.i <= 256;
    case JV_FLOAT:
        return false;
    default:
        return a.s == b.s;
    }
}

static bool decide(int c, enum jv_order op)
{
    return op == JV_LT ? c < 0 : op == JV_LE ? c <= 0 : op == JV_GT ? c > 0 : c >= 0;
}

bool jv_order(struct jr *r, struct jv a, struct jv b, enum jv_order op)
{
    static const char *const text[] = {"<", "<=", ">", ">="};
    jr_step(r);
    if (jv_is_num(a) && jv_is_num(b)) {
        int c = compare_numbers(a, b);
        return c != 2 && decide(c, op);
    }
    if (a.t == JV_STR && b.t == JV_STR)
        return decide(compare_strings(r, a, b), op);
    if (a.t == b.t && (a.t == JV_LIST || a.t == JV_TUPLE)) {
        jr_enter(r);
        size_t n = FT_MIN(a.l->n, b.l->n), i = 0;
        while (i < n && jv_eq(r, a.l->v[i], b.l->v[i]))
            i++;
        bool res = i < n ? jv_order(r, a.l->v[i], b.l->v[i], op)
                         : decide(a.l->n < b.l->n ? -1 : a.l->n > b.l->n, op);
        r->depth--;
        return res;
    }
    jr_check_defined(r, a);
    jr_check_defined(r, b);
    jr_fail(r, FT_EINVAL, "'%s' not supported between instances of '%s' and '%s'", text[op],
            jv_type_name(a), jv_type_name(b));
}

static bool in_range(struct jv item, const struct jv_range *g)
{
    if (!jv_is_num(item))
        return false;
    if (item.t == JV_FLOAT && (item.f != floor(item.f) || fabs(item.f) > 9e18))
        return false;
    int64_t i = item.t == JV_FLOAT ? (int64_t)item.f : jv_as_int(item);
    if (g->n == 0 || (g->step > 0 ? i < g->start || i >= g->stop : i > g->start || i <= g->stop))
        return false;
    return ((__int128)i - g->start) % g->step == 0;
}

bool jv_in(struct jr *r, struct jv item, struct jv seq)
{
    if (seq.t == JV_STR) {
        if (item.t != JV_STR)
            jr_fail(r, FT_EINVAL, "'in <string>' requires string as left operand, not %s",
                    jv_type_name(item));
        jr_charge(r, seq.s->n);
        return item.s->n == 0 || memmem(seq.s->p, seq.s->n, item.s->p, item.s->n) != NULL;
    }
    struct jv v;
    if (seq.t == JV_DICT || (seq.t == JV_VIEW && seq.view->kind == JV_KEYS))
        return jv_dict_get(r, seq.t == JV_DICT ? seq.d : seq.view->d, item, &v);
    if (seq.t == JV_RANGE)
        return in_range(item, seq.r);
    if (!jv_iterable(seq))
        jr_fail(r, FT_EINVAL, "argument of type '%s' is not iterable", jv_type_name(seq));
    struct jv_iter *it = jv_iter_of(r, seq);
    while (jv_next(r, it, &v))
        if (jv_same(v, item) || jv_eq(r, v, item))
            return true;
    return false;
}

struct jv jv_from_json(struct jr *r, json_t *j, int depth)
{
    if (depth > JR_VARS_DEPTH_MAX)
        jr_fail(r, FT_ELIMIT, "the variables are nested more than %d deep", JR_VARS_DEPTH_MAX);
    jr_step(r);
    struct jv v;
    switch (json_typeof(j)) {
    case JSON_OBJECT: {
        v = jv_dict_new(r);
        const char *key;
        size_t key_n;
        json_t *item;
        json_object_keylen_foreach(j, key, key_n, item)
            jv_dict_set(r, v.d, jv_strn(r, key, key_n), jv_from_json(r, item, depth + 1));
        return v;
    }
    case JSON_ARRAY:
        v = jv_list_new(r, json_array_size(j));
        for (size_t i = 0; i < json_array_size(j); i++)
            jv_list_push(r, v, jv_from_json(r, json_array_get(j, i), depth + 1));
        return v;
    case JSON_STRING:
        return jv_strn(r, json_string_value(j), json_string_length(j));
    case JSON_INTEGER:
        return jv_int(json_integer_value(j));
    case JSON_REAL:
        return jv_float(json_real_value(j));
    case JSON_TRUE:
        return jv_bool(true);
    case JSON_FALSE:
        return jv_bool(false);
    default:
        return jv_of(JV_NONE);
    }
}
