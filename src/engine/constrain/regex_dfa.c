/* Regular expressions: tree to automaton, by Thompson's construction and the subset construction.
 *
 * Two things are more than the textbook. Assertions (^ $ \b) are resolved while stepping: a state
 * remembers what came before it, and its closure is taken knowing the kind of the next character.
 * Look-ahead makes a thread carry obligations: pairs (automaton of the looked-for strings, state)
 * that run beside it over the rest of the text; a thread accepts only where all of them do. So
 * (?=..) and (?!..) are exact wherever they stand, loops included.
 *
 * Recursion follows the tree: alternation and concatenation chains lean left and are walked in a
 * loop. */
#include <stdlib.h>
#include <string.h>

#include "engine/constrain/regex.h"

#define THREADS_MAX 20000 /* in one state */
#define LOOK_DEPTH  8
#define OBLIGE_MAX  16 /* obligations of one thread */

enum op { OP_SET, OP_SPLIT, OP_JUMP, OP_ASSERT, OP_LOOK, OP_MATCH };
enum prev { PREV_START, PREV_WORD, PREV_OTHER };
enum kind { KIND_END, KIND_WORD, KIND_OTHER, N_KINDS };

struct inst {
    uint8_t op, assert_kind;
    bool negated;
    uint32_t x, y; /* successors */
    uint32_t set;  /* OP_SET: index of its set */
    const struct ft_dfa *look;
};

struct oblige {
    uint32_t n;
    struct {
        const struct ft_dfa *d;
        uint32_t q;
        bool negated; /* the rest must NOT be in d's language */
    } v[OBLIGE_MAX];
};

struct builder {
    struct ft_cx *cx;
    struct inst *code;
    size_t n_code, code_cap;
    struct ft_set *sets;
    size_t n_sets, sets_cap;
    const struct ft_dfa **looks;
    size_t n_looks, looks_cap;
    bool has_word;
    int look_depth;
    /* classes */
    uint32_t *bound, n_bounds, n_cls, *rep; /* rep: a character of each class */
    uint16_t *cls;
    uint8_t *in_set;  /* [n_sets][n_cls] */
    uint8_t *kind_of; /* [n_cls] */
    /* obligations, interned: index 0 is none */
    struct oblige *ob;
    size_t n_ob, ob_cap;
    /* closure scratch */
    uint64_t *out; /* threads: obligation << 32 | instruction */
    size_t n_out, out_cap;
    uint64_t *seen; /* hash set of threads */
    size_t seen_cap;
    uint32_t *touched; /* slots of `seen` in use */
    size_t n_touched, touched_cap;
    uint64_t *stack;
    size_t n_stack, stack_cap;
};

static void too_big(struct ft_cx *cx)
{
    ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: the expression is too large",
               cx->what != NULL ? cx->what : "regular expression");
}

static uint32_t emit(struct builder *b, enum op op)
{
    FT_GROW(b->cx, b->code, b->n_code, b->code_cap);
    if (b->n_code >= FT_REGEX_NFA_MAX)
        too_big(b->cx);
    b->code[b->n_code] = (struct inst){.op = (uint8_t)op};
    return (uint32_t)b->n_code++;
}

static struct ft_dfa *build(struct ft_cx *cx, struct ft_re *re, bool prefix, bool suffix,
                            int depth);

static bool has_start_assert(const struct ft_re *e)
{
    for (; e != NULL; e = e->b) { /* chains lean left: a is recursed into, b looped over */
        if (e->kind == FT_RE_BOL || e->kind == FT_RE_WORD || e->kind == FT_RE_NOT_WORD)
            return true;
        if (e->a != NULL && has_start_assert(e->a))
            return true;
    }
    return false;
}

static void gen(struct builder *b, struct ft_re *e);

static void gen_repeat(struct builder *b, struct ft_re *e)
{
    for (int i = 0; i < e->min; i++)
        gen(b, e->a);
    if (e->max < 0) {
        uint32_t split = emit(b, OP_SPLIT);
        b->code[split].x = (uint32_t)b->n_code;
        gen(b, e->a);
        uint32_t jump = emit(b, OP_JUMP);
        b->code[jump].x = split;
        b->code[split].y = (uint32_t)b->n_code;
        return;
    }
    uint32_t first = UINT32_MAX; /* the splits to be patched, chained through y */
    for (int i = e->min; i < e->max; i++) {
        uint32_t split = emit(b, OP_SPLIT);
        b->code[split].x = (uint32_t)b->n_code;
        b->code[split].y = first;
        first = split;
        gen(b, e->a);
    }
    while (first != UINT32_MAX) {
        uint32_t next = b->code[first].y;
        b->code[first].y = (uint32_t)b->n_code;
        first = next;
    }
}

/* A left-leaning chain of `kind`, front first. */
static size_t chain(struct builder *b, struct ft_re *e, enum ft_re_kind kind, struct ft_re ***ret)
{
    size_t n = 1;
    for (struct ft_re *i = e; i->kind == kind; i = i->a)
        n++;
    struct ft_re **v = ft_cx_alloc(b->cx, n, sizeof(*v));
    size_t at = n;
    for (; e->kind == kind; e = e->a)
        v[--at] = e->b;
    v[0] = e;
    *ret = v;
    return n;
}

static void gen_alt(struct builder *b, struct ft_re *e)
{
    struct ft_re **v;
    size_t n = chain(b, e, FT_RE_ALT, &v);
    uint32_t last = UINT32_MAX; /* jumps to the end, chained through x */
    for (size_t i = 0; i < n; i++) {
        uint32_t split = 0;
        if (i + 1 < n) {
            split = emit(b, OP_SPLIT);
            b->code[split].x = (uint32_t)b->n_code;
        }
        gen(b, v[i]);
        if (i + 1 < n) {
            uint32_t jump = emit(b, OP_JUMP);
            b->code[jump].x = last;
            last = jump;
            b->code[split].y = (uint32_t)b->n_code;
        }
    }
    while (last != UINT32_MAX) {
        uint32_t next = b->code[last].x;
        b->code[last].x = (uint32_t)b->n_code;
        last = next;
    }
}

static void gen_look(struct builder *b, struct ft_re *e)
{
    if (b->look_depth >= LOOK_DEPTH || has_start_assert(e->a))
        ft_cx_fail(b->cx, FT_EUNSUPPORTED, "%s: a look-ahead of this kind",
                   b->cx->what != NULL ? b->cx->what : "regular expression");
    if (e->look == NULL)
        e->look = build(b->cx, e->a, false, true, b->look_depth + 1);
    uint32_t i = emit(b, OP_LOOK);
    b->code[i].look = e->look;
    b->code[i].negated = e->negated;
    b->code[i].x = i + 1;
    FT_GROW(b->cx, b->looks, b->n_looks, b->looks_cap);
    b->looks[b->n_looks++] = e->look;
}

static void gen(struct builder *b, struct ft_re *e)
{
    struct ft_re **v;
    uint32_t i;
    switch (e->kind) {
    case FT_RE_EMPTY:
        break;
    case FT_RE_SET:
        i = emit(b, OP_SET);
        b->code[i].x = i + 1;
        b->code[i].set = (uint32_t)b->n_sets;
        FT_GROW(b->cx, b->sets, b->n_sets, b->sets_cap);
        b->sets[b->n_sets++] = e->set;
        break;
    case FT_RE_CAT: {
        size_t n = chain(b, e, FT_RE_CAT, &v);
        for (size_t k = 0; k < n; k++)
            gen(b, v[k]);
        break;
    }
    case FT_RE_ALT:
        gen_alt(b, e);
        break;
    case FT_RE_REPEAT:
        gen_repeat(b, e);
        break;
    case FT_RE_LOOK:
        gen_look(b, e);
        break;
    default:
        b->has_word = b->has_word || e->kind == FT_RE_WORD || e->kind == FT_RE_NOT_WORD;
        i = emit(b, OP_ASSERT);
        b->code[i].assert_kind = (uint8_t)e->kind;
        b->code[i].x = i + 1;
    }
}

/* ---- classes of characters ---- */

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

static bool is_word(uint32_t c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_';
}

static bool set_has(const struct ft_set *s, uint32_t cp)
{
    size_t lo = 0, hi = s->n;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (cp > s->iv[mid][1])
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo < s->n && s->iv[lo][0] <= cp;
}

static void collect_bounds(struct builder *b)
{
    size_t n = 1, cap = 0;
    uint32_t *v = NULL;
    FT_GROW(b->cx, v, 0, cap);
#define ADD(cp)                                                                                    \
    do {                                                                                           \
        FT_GROW(b->cx, v, n, cap);                                                                 \
        v[n++] = (cp);                                                                             \
    } while (0)
    v[0] = 0;
    for (size_t i = 0; i < b->n_sets; i++)
        for (size_t j = 0; j < b->sets[i].n; j++) {
            ADD(b->sets[i].iv[j][0]);
            ADD(b->sets[i].iv[j][1] + 1);
        }
    for (size_t i = 0; i < b->n_looks; i++)
        for (uint32_t j = 0; j < b->looks[i]->n_bounds; j++)
            ADD(b->looks[i]->bound[j]);
    static const uint32_t word[] = {'0', '9' + 1, 'A', 'Z' + 1, '_', '_' + 1, 'a', 'z' + 1};
    for (size_t i = 0; b->has_word && i < FT_COUNT(word); i++)
        ADD(word[i]);
#undef ADD
    qsort(v, n, sizeof *v, cmp_u32);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (v[i] <= FT_CP_MAX && (m == 0 || v[m - 1] != v[i]))
            v[m++] = v[i];
    b->bound = v;
    b->n_bounds = (uint32_t)m;
}

/* Intervals that lie in the same sets are one class. Sets repeat (bounded repetitions copy them),
 * so equal ones are merged first. */
static void make_classes(struct builder *b)
{
    struct ft_cx *cx = b->cx;
    size_t n_unique = 0;
    uint32_t *to = ft_cx_alloc(cx, b->n_sets, sizeof *to);
    struct ft_set *unique = ft_cx_alloc(cx, b->n_sets, sizeof *unique);
    for (size_t i = 0; i < b->n_sets; i++) {
        size_t j = n_unique;
        size_t from = n_unique > 64 ? n_unique - 64 : 0; /* a copy stands close to its original */
        while (j > from &&
               (unique[j - 1].n != b->sets[i].n ||
                memcmp(unique[j - 1].iv, b->sets[i].iv, b->sets[i].n * sizeof *b->sets[i].iv) != 0))
            j--;
        if (j == from) {
            unique[n_unique++] = b->sets[i];
            j = n_unique;
        }
        to[i] = (uint32_t)(j - 1);
    }
    for (size_t i = 0; i < b->n_code; i++)
        if (b->code[i].op == OP_SET)
            b->code[i].set = to[b->code[i].set];
    b->sets = unique;
    b->n_sets = n_unique;
    collect_bounds(b);
    size_t width = n_unique + b->n_looks + 1;
    if ((uint64_t)width * b->n_bounds > FT_DFA_CELLS_MAX)
        too_big(cx);
    ft_cx_work(cx, (uint64_t)width * b->n_bounds * 4);
    uint16_t *sig = ft_cx_alloc(cx, width * b->n_bounds, sizeof *sig);
    b->cls = ft_cx_alloc(cx, b->n_bounds, sizeof *b->cls);
    b->rep = ft_cx_alloc(cx, b->n_bounds, sizeof *b->rep);
    for (uint32_t i = 0; i < b->n_bounds; i++) {
        uint16_t *s = sig + (size_t)b->n_cls * width;
        for (size_t j = 0; j < n_unique; j++)
            s[j] = set_has(&unique[j], b->bound[i]);
        for (size_t j = 0; j < b->n_looks; j++)
            s[n_unique + j] = (uint16_t)ft_dfa_class(b->looks[j], b->bound[i]);
        s[width - 1] = b->has_word && is_word(b->bound[i]);
        uint32_t k = 0;
        while (memcmp(sig + (size_t)k * width, s, width * sizeof *s) != 0)
            k++;
        b->cls[i] = (uint16_t)k;
        if (k == b->n_cls) {
            b->rep[b->n_cls++] = b->bound[i];
            if (b->n_cls > FT_DFA_CLASSES_MAX)
                too_big(cx);
        }
        ft_cx_work(cx, (uint64_t)k * width / 8);
    }
    b->in_set = ft_cx_alloc(cx, (n_unique + 1) * b->n_cls, 1);
    b->kind_of = ft_cx_alloc(cx, b->n_cls, 1);
    for (uint32_t c = 0; c < b->n_cls; c++) {
        for (size_t j = 0; j < n_unique; j++)
            b->in_set[j * b->n_cls + c] = (uint8_t)sig[(size_t)c * width + j];
        b->kind_of[c] = b->has_word && is_word(b->rep[c]) ? KIND_WORD : KIND_OTHER;
    }
}

/* ---- obligations ---- */

static uint32_t oblige_intern(struct builder *b, const struct oblige *o)
{
    for (size_t i = 0; i < b->n_ob; i++)
        if (b->ob[i].n == o->n && memcmp(b->ob[i].v, o->v, o->n * sizeof o->v[0]) == 0)
            return (uint32_t)i;
    ft_cx_work(b->cx, b->n_ob);
    FT_GROW(b->cx, b->ob, b->n_ob, b->ob_cap);
    b->ob[b->n_ob] = *o;
    if (b->n_ob > 4096)
        too_big(b->cx);
    return (uint32_t)b->n_ob++;
}

/* Adds (d, q); false if that can never be kept. A settled obligation is dropped. */
static bool oblige_add(struct builder *b, struct oblige *o, const struct ft_dfa *d, uint32_t q,
                       bool negated)
{
    bool universal = q != 0 && d->label[q] != 0;
    for (uint32_t c = 0; c < d->n_cls && universal; c++)
        universal = d->next[(size_t)q * d->n_cls + c] == q;
    if (q == 0 || universal)
        return (q == 0) == negated;
    uint32_t at = 0;
    while (at < o->n && (o->v[at].d->id < d->id ||
                         (o->v[at].d == d &&
                          (o->v[at].q < q || (o->v[at].q == q && o->v[at].negated < negated)))))
        at++;
    if (at < o->n && o->v[at].d == d && o->v[at].q == q && o->v[at].negated == negated)
        return true;
    if (o->n == OBLIGE_MAX)
        too_big(b->cx);
    memmove(&o->v[at + 1], &o->v[at], (o->n - at) * sizeof o->v[0]);
    memset(&o->v[at], 0, sizeof o->v[0]); /* padding too: compared as bytes */
    o->v[at].d = d;
    o->v[at].q = q;
    o->v[at].negated = negated;
    o->n++;
    return true;
}

static bool oblige_step(struct builder *b, uint32_t id, uint32_t cp, uint32_t *ret)
{
    *ret = 0;
    if (id == 0)
        return true;
    struct oblige from = b->ob[id], to;
    memset(&to, 0, sizeof to);
    for (uint32_t i = 0; i < from.n; i++)
        if (!oblige_add(b, &to, from.v[i].d, ft_dfa_step(from.v[i].d, from.v[i].q, cp),
                        from.v[i].negated))
            return false;
    *ret = oblige_intern(b, &to);
    return true;
}

static bool oblige_done(const struct builder *b, uint32_t id)
{
    for (uint32_t i = 0; i < b->ob[id].n; i++)
        if ((b->ob[id].v[i].d->label[b->ob[id].v[i].q] != 0) == b->ob[id].v[i].negated)
            return false;
    return true;
}

/* ---- subset construction ---- */

static bool seen_add(struct builder *b, uint64_t t)
{
    uint64_t h = (t + 1) * 0x9e3779b97f4a7c15u;
    for (size_t at = (h >> 20) & (b->seen_cap - 1);; at = (at + 1) & (b->seen_cap - 1)) {
        if (b->seen[at] == t + 1)
            return false;
        if (b->seen[at] == 0) {
            b->seen[at] = t + 1;
            FT_GROW(b->cx, b->touched, b->n_touched, b->touched_cap);
            b->touched[b->n_touched++] = (uint32_t)at;
            return true;
        }
    }
}

static void push(struct builder *b, uint64_t t)
{
    FT_GROW(b->cx, b->stack, b->n_stack, b->stack_cap);
    b->stack[b->n_stack++] = t;
}

static bool assert_holds(uint8_t a, enum prev prev, enum kind next)
{
    bool before = prev == PREV_WORD, after = next == KIND_WORD;
    switch (a) {
    case FT_RE_BOL:
        return prev == PREV_START;
    case FT_RE_EOL:
        return next == KIND_END;
    case FT_RE_WORD:
        return before != after;
    default:
        return before == after;
    }
}

/* The threads at OP_SET and OP_MATCH that a kernel leads to, into b->out. */
static void closure(struct builder *b, const uint64_t *kernel, size_t n, enum prev prev,
                    enum kind next)
{
    while (b->n_touched > 0)
        b->seen[b->touched[--b->n_touched]] = 0;
    b->n_out = b->n_stack = 0;
    for (size_t i = n; i-- > 0;)
        push(b, kernel[i]);
    size_t n_seen = 0;
    while (b->n_stack > 0) {
        uint64_t t = b->stack[--b->n_stack];
        if (!seen_add(b, t))
            continue;
        if (++n_seen > THREADS_MAX || n_seen * 2 > b->seen_cap)
            too_big(b->cx);
        const struct inst *in = &b->code[(uint32_t)t];
        uint64_t ob = t >> 32 << 32;
        switch (in->op) {
        case OP_SPLIT:
            push(b, ob | in->y);
            push(b, ob | in->x);
            break;
        case OP_JUMP:
            push(b, ob | in->x);
            break;
        case OP_ASSERT:
            if (assert_holds(in->assert_kind, prev, next))
                push(b, ob | in->x);
            break;
        case OP_LOOK: {
            struct oblige o = b->ob[t >> 32];
            if (oblige_add(b, &o, in->look, in->look->start, in->negated))
                push(b, (uint64_t)oblige_intern(b, &o) << 32 | in->x);
            break;
        }
        default:
            FT_GROW(b->cx, b->out, b->n_out, b->out_cap);
            b->out[b->n_out++] = t;
        }
    }
    ft_cx_work(b->cx, n_seen);
}

static int cmp_u64(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

/* States of the automaton under construction. */
struct states {
    struct {
        uint64_t *k; /* sorted threads */
        uint32_t n;
        uint8_t prev;
    } * v;
    size_t n, cap;
    uint32_t *slot;
    size_t slots;
};

static uint32_t state_intern(struct builder *b, struct states *s, const uint64_t *k, size_t n,
                             enum prev prev)
{
    if (s->n * 2 >= s->slots) {
        size_t slots = s->slots != 0 ? s->slots * 4 : 256;
        uint32_t *slot = ft_cx_alloc(b->cx, slots, sizeof *slot);
        for (size_t i = 0; i < s->slots; i++)
            if (s->slot[i] != 0) {
                uint64_t h = s->v[s->slot[i] - 1].prev;
                for (uint32_t j = 0; j < s->v[s->slot[i] - 1].n; j++)
                    h = (h ^ s->v[s->slot[i] - 1].k[j]) * 0xff51afd7ed558ccdu ^ h >> 31;
                size_t at = h & (slots - 1);
                while (slot[at] != 0)
                    at = (at + 1) & (slots - 1);
                slot[at] = s->slot[i];
            }
        s->slot = slot;
        s->slots = slots;
    }
    uint64_t h = prev;
    for (size_t j = 0; j < n; j++)
        h = (h ^ k[j]) * 0xff51afd7ed558ccdu ^ h >> 31;
    size_t at = h & (s->slots - 1);
    for (; s->slot[at] != 0; at = (at + 1) & (s->slots - 1)) {
        uint32_t i = s->slot[at] - 1;
        if (s->v[i].n == n && s->v[i].prev == prev &&
            (n == 0 || memcmp(s->v[i].k, k, n * sizeof *k) == 0))
            return i;
    }
    if (s->n >= FT_DFA_STATES_MAX)
        ft_cx_fail(b->cx, FT_EUNSUPPORTED, "%s: the automaton has more than %d states",
                   b->cx->what != NULL ? b->cx->what : "regular expression", FT_DFA_STATES_MAX);
    FT_GROW(b->cx, s->v, s->n, s->cap);
    s->v[s->n].k = ft_cx_alloc(b->cx, n, sizeof *k);
    if (n != 0)
        memcpy(s->v[s->n].k, k, n * sizeof *k);
    s->v[s->n].n = (uint32_t)n;
    s->v[s->n].prev = (uint8_t)prev;
    s->slot[at] = (uint32_t)s->n + 1;
    return (uint32_t)s->n++;
}

/* Steps the closure for one kind of next character over class c; returns the next state's index. */
static uint32_t step_class(struct builder *b, struct states *s, uint32_t c, uint32_t loop,
                           uint64_t **scratch, size_t *scratch_cap)
{
    size_t n = 0;
    for (size_t i = 0; i < b->n_out; i++) {
        const struct inst *in = &b->code[(uint32_t)b->out[i]];
        uint32_t ob;
        if (in->op != OP_SET || !b->in_set[(size_t)in->set * b->n_cls + c] ||
            !oblige_step(b, (uint32_t)(b->out[i] >> 32), b->rep[c], &ob))
            continue;
        FT_GROW(b->cx, *scratch, n, *scratch_cap);
        (*scratch)[n++] = (uint64_t)ob << 32 | in->x;
    }
    if (n > 1)
        qsort(*scratch, n, sizeof **scratch, cmp_u64);
    size_t m = 0;
    for (size_t i = 0; i < n; i++)
        if (m == 0 || (*scratch)[m - 1] != (*scratch)[i])
            (*scratch)[m++] = (*scratch)[i];
    /* A match that owes nothing and may go on for ever swallows every other thread. */
    for (size_t i = 0; i < m && loop != UINT32_MAX; i++)
        if ((*scratch)[i] == loop) {
            (*scratch)[0] = loop;
            m = 1;
        }
    ft_cx_work(b->cx, b->n_out);
    enum prev prev = b->has_word && b->kind_of[c] == KIND_WORD ? PREV_WORD : PREV_OTHER;
    return state_intern(b, s, *scratch, m, prev);
}

static struct ft_dfa *subset(struct builder *b, uint32_t loop)
{
    struct ft_cx *cx = b->cx;
    struct states s = {0};
    uint32_t *next = NULL;
    uint8_t *accept = NULL;
    size_t next_cap = 0, accept_cap = 0, scratch_cap = 0;
    uint64_t *scratch = NULL, zero = 0;
    state_intern(b, &s, &zero, 1, PREV_START);
    for (size_t i = 0; i < s.n; i++) {
        FT_GROW(cx, accept, i, accept_cap);
        closure(b, s.v[i].k, s.v[i].n, s.v[i].prev, KIND_END);
        for (size_t j = 0; j < b->n_out; j++)
            if (b->code[(uint32_t)b->out[j]].op == OP_MATCH &&
                oblige_done(b, (uint32_t)(b->out[j] >> 32)))
                accept[i] = 1;
        for (int kind = KIND_WORD; kind < N_KINDS; kind++) {
            if (kind == KIND_WORD && !b->has_word)
                continue;
            closure(b, s.v[i].k, s.v[i].n, s.v[i].prev, kind);
            for (uint32_t c = 0; c < b->n_cls; c++) {
                if (b->kind_of[c] != kind)
                    continue;
                uint32_t to = step_class(b, &s, c, loop, &scratch, &scratch_cap);
                while (i * b->n_cls + c >= next_cap)
                    next = ft_cx_grow(cx, next, next_cap, &next_cap, sizeof *next);
                next[i * b->n_cls + c] = to;
            }
        }
    }
    struct ft_dfa *d = ft_dfa_raw(cx, (uint32_t)s.n + 1, b->n_bounds, b->bound, b->cls, b->n_cls);
    for (size_t i = 0; i < s.n; i++) {
        for (uint32_t c = 0; c < b->n_cls; c++)
            d->next[(i + 1) * b->n_cls + c] = next[i * b->n_cls + c] + 1;
        d->label[i + 1] = accept[i];
    }
    d->start = 1;
    return ft_dfa_tidy(cx, d);
}

static uint32_t emit_any(struct builder *b)
{
    struct ft_set any = {NULL, 0, 0};
    ft_set_add(b->cx, &any, 0, FT_CP_MAX);
    uint32_t i = emit(b, OP_SET);
    b->code[i].set = (uint32_t)b->n_sets;
    FT_GROW(b->cx, b->sets, b->n_sets, b->sets_cap);
    b->sets[b->n_sets++] = any;
    return i;
}

static struct ft_dfa *build(struct ft_cx *cx, struct ft_re *re, bool prefix, bool suffix, int depth)
{
    struct builder *b = ft_cx_alloc(cx, 1, sizeof *b);
    b->cx = cx;
    b->look_depth = depth;
    if (prefix) { /* 0: split(2, 1); 1: any, to 0; 2: ... */
        uint32_t split = emit(b, OP_SPLIT), any = emit_any(b);
        b->code[any].x = split;
        b->code[split].x = any + 1;
        b->code[split].y = any;
    }
    gen(b, re);
    uint32_t loop = UINT32_MAX;
    if (suffix) { /* split(match, any), any goes back */
        loop = emit(b, OP_SPLIT);
        uint32_t any = emit_any(b);
        b->code[any].x = loop;
        b->code[loop].x = any + 1;
        b->code[loop].y = any;
    }
    emit(b, OP_MATCH);
    make_classes(b);
    b->seen_cap = 64;
    while (b->seen_cap < b->n_code * 2 + 64 || (b->n_looks > 0 && b->seen_cap < THREADS_MAX * 2))
        b->seen_cap *= 2;
    b->seen = ft_cx_alloc(cx, b->seen_cap, sizeof *b->seen);
    struct oblige none;
    memset(&none, 0, sizeof none);
    oblige_intern(b, &none);
    return subset(b, loop);
}

struct ft_dfa *ft_regex_dfa(struct ft_cx *cx, const char *re, size_t n, bool search)
{
    return build(cx, ft_regex_parse(cx, re, n), search, search, 0);
}
