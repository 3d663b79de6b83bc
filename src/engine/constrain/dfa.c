/* Automata: products, trimming, minimisation. See dfa.h.
 *
 * Minimisation is Moore's refinement: quadratic at worst, so it is left out where a table is large
 * and deep (MINIMISE_WORK_MAX); a larger automaton is only larger. */
#include "engine/constrain/dfa.h"

#include <stdlib.h>
#include <string.h>

#define MINIMISE_WORK_MAX 60000000u
#define TUPLE_MAX         512 /* automata in one product */

struct ft_dfa *ft_dfa_raw(struct ft_cx *cx, uint32_t n_states, uint32_t n_bounds,
                          const uint32_t *bound, const uint16_t *bound_cls, uint32_t n_cls)
{
    static _Thread_local uint32_t ids;
    if (n_states > FT_DFA_STATES_MAX + 1 || (uint64_t)n_states * n_cls > FT_DFA_CELLS_MAX ||
        n_cls > FT_DFA_CLASSES_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: the automaton is too large",
                   cx->what != NULL ? cx->what : "pattern");
    struct ft_dfa *d = ft_cx_alloc(cx, 1, sizeof *d);
    d->id = ++ids;
    d->n_states = n_states;
    d->n_bounds = n_bounds;
    d->n_cls = n_cls;
    d->bound = ft_cx_alloc(cx, n_bounds, sizeof *d->bound);
    d->bound_cls = ft_cx_alloc(cx, n_bounds, sizeof *d->bound_cls);
    memcpy(d->bound, bound, n_bounds * sizeof *bound);
    memcpy(d->bound_cls, bound_cls, n_bounds * sizeof *bound_cls);
    uint32_t i = 0;
    for (uint32_t c = 0; c < 128; c++) {
        while (i + 1 < n_bounds && bound[i + 1] <= c)
            i++;
        d->ascii[c] = bound_cls[i];
    }
    d->next = ft_cx_alloc(cx, (size_t)n_states * n_cls, sizeof *d->next);
    d->label = ft_cx_alloc(cx, n_states, sizeof *d->label);
    return d;
}

bool ft_dfa_range_live(const struct ft_dfa *d, uint32_t q, uint32_t lo, uint32_t hi)
{
    const uint32_t *row = d->next + (size_t)q * d->n_cls;
    uint32_t a = ft_dfa_interval(d, lo);
    for (; a < d->n_bounds && d->bound[a] <= hi; a++)
        if (row[d->bound_cls[a]] != 0)
            return true;
    return false;
}

/* Marks states that reach an accepting one: repeated sweeps in reverse over predecessor lists. */
static uint8_t *live_states(struct ft_cx *cx, const struct ft_dfa *d)
{
    uint32_t n = d->n_states, c = d->n_cls;
    uint32_t *head = ft_cx_alloc(cx, (size_t)n + 1, sizeof *head);
    uint32_t *pred = ft_cx_alloc(cx, (size_t)n * c, sizeof *pred);
    uint32_t *stack = ft_cx_alloc(cx, n, sizeof *stack);
    uint8_t *live = ft_cx_alloc(cx, n, 1);
    ft_cx_work(cx, (uint64_t)n * c * 3);
    for (size_t i = 0; i < (size_t)n * c; i++)
        head[d->next[i]]++;
    uint32_t sum = 0;
    for (uint32_t i = 0; i <= n; i++) {
        uint32_t k = head[i];
        head[i] = sum;
        sum += k;
    }
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t k = 0; k < c; k++)
            pred[head[d->next[(size_t)s * c + k]]++] = s;
    uint32_t top = 0;
    for (uint32_t s = 1; s < n; s++)
        if (d->label[s] != 0) {
            live[s] = 1;
            stack[top++] = s;
        }
    while (top > 0) {
        uint32_t s = stack[--top];
        for (uint32_t i = s == 0 ? 0 : head[s - 1]; i < head[s]; i++)
            if (!live[pred[i]] && pred[i] != 0) {
                live[pred[i]] = 1;
                stack[top++] = pred[i];
            }
    }
    return live;
}

/* Renumbers by map[] (0 = dead), keeping one representative of each new number. */
static struct ft_dfa *renumber(struct ft_cx *cx, const struct ft_dfa *d, const uint32_t *map,
                               uint32_t n_new)
{
    struct ft_dfa *r = ft_dfa_raw(cx, n_new, d->n_bounds, d->bound, d->bound_cls, d->n_cls);
    for (uint32_t s = 1; s < d->n_states; s++) {
        if (map[s] == 0)
            continue;
        uint32_t *to = r->next + (size_t)map[s] * d->n_cls;
        const uint32_t *from = d->next + (size_t)s * d->n_cls;
        for (uint32_t k = 0; k < d->n_cls; k++)
            to[k] = map[from[k]];
        r->label[map[s]] = d->label[s];
    }
    r->start = map[d->start];
    return r;
}

/* Live states reachable from the start, in breadth-first order: the same language always gets the
 * same numbers. */
static struct ft_dfa *trim(struct ft_cx *cx, const struct ft_dfa *d)
{
    uint8_t *live = live_states(cx, d);
    uint32_t *map = ft_cx_alloc(cx, d->n_states, sizeof *map);
    uint32_t *queue = ft_cx_alloc(cx, d->n_states, sizeof *queue);
    uint32_t n = 1, head = 0, tail = 0;
    if (d->start != 0 && live[d->start]) {
        map[d->start] = n++;
        queue[tail++] = d->start;
    }
    while (head < tail) {
        const uint32_t *row = d->next + (size_t)queue[head++] * d->n_cls;
        for (uint32_t k = 0; k < d->n_cls; k++)
            if (row[k] != 0 && live[row[k]] && map[row[k]] == 0) {
                map[row[k]] = n++;
                queue[tail++] = row[k];
            }
    }
    return renumber(cx, d, map, n);
}

struct hash_table {
    uint32_t *slot; /* index + 1 */
    uint32_t mask;
};

static uint64_t hash_words(const uint32_t *w, size_t n)
{
    uint64_t h = 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < n; i++) {
        h = (h ^ w[i]) * 0xff51afd7ed558ccdu;
        h ^= h >> 29;
    }
    return h;
}

static struct hash_table table_open(struct ft_cx *cx, size_t n)
{
    uint32_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    return (struct hash_table){ft_cx_alloc(cx, cap, sizeof(uint32_t)), cap - 1};
}

/* Finds row i of `rows` (width w) among those entered, or enters it. Returns its index. */
static uint32_t table_intern(struct hash_table *t, const uint32_t *rows, size_t w, uint32_t i)
{
    uint32_t at = (uint32_t)hash_words(rows + (size_t)i * w, w) & t->mask;
    for (; t->slot[at] != 0; at = (at + 1) & t->mask)
        if (memcmp(rows + (size_t)(t->slot[at] - 1) * w, rows + (size_t)i * w, w * 4) == 0)
            return t->slot[at] - 1;
    t->slot[at] = i + 1;
    return i;
}

static struct ft_dfa *minimise(struct ft_cx *cx, struct ft_dfa *d)
{
    uint32_t n = d->n_states, c = d->n_cls;
    if (n <= 2)
        return d;
    uint32_t *part = ft_cx_alloc(cx, n, sizeof *part), *fresh = ft_cx_alloc(cx, n, sizeof *fresh);
    uint32_t *rows = ft_cx_alloc(cx, (size_t)n * (c + 1), sizeof *rows);
    for (uint32_t s = 1; s < n; s++)
        part[s] = 1u + d->label[s];
    uint32_t n_part = 0;
    struct hash_table t = table_open(cx, n);
    for (uint64_t spent = 0;;) {
        spent += (uint64_t)n * (c + 1);
        if (spent > MINIMISE_WORK_MAX)
            return d;
        ft_cx_work(cx, (uint64_t)n * (c + 1));
        memset(t.slot, 0, ((size_t)t.mask + 1) * sizeof *t.slot);
        uint32_t k = 0;
        for (uint32_t s = 0; s < n; s++) {
            uint32_t *row = rows + (size_t)s * (c + 1);
            row[0] = part[s];
            for (uint32_t j = 0; j < c; j++)
                row[j + 1] = part[d->next[(size_t)s * c + j]];
            uint32_t rep = table_intern(&t, rows, c + 1, s);
            fresh[s] = rep == s ? k++ : fresh[rep];
        }
        memcpy(part, fresh, n * sizeof *part);
        if (k == n_part || k == n)
            return k == n ? d : renumber(cx, d, part, k);
        n_part = k;
    }
}

/* Merges classes with equal columns. */
static struct ft_dfa *merge_classes(struct ft_cx *cx, struct ft_dfa *d)
{
    uint32_t n = d->n_states, c = d->n_cls;
    uint32_t *cols = ft_cx_alloc(cx, (size_t)n * c, sizeof *cols);
    uint32_t *map = ft_cx_alloc(cx, c, sizeof *map);
    ft_cx_work(cx, (uint64_t)n * c);
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t j = 0; j < c; j++)
            cols[(size_t)j * n + s] = d->next[(size_t)s * c + j];
    struct hash_table t = table_open(cx, c);
    uint32_t k = 0;
    for (uint32_t j = 0; j < c; j++) {
        uint32_t rep = table_intern(&t, cols, n, j);
        map[j] = rep == j ? k++ : map[rep];
    }
    uint32_t *bound = ft_cx_alloc(cx, d->n_bounds, sizeof *bound);
    uint16_t *cls = ft_cx_alloc(cx, d->n_bounds, sizeof *cls);
    uint32_t m = 0;
    for (uint32_t i = 0; i < d->n_bounds; i++) {
        uint16_t v = (uint16_t)map[d->bound_cls[i]];
        if (m > 0 && cls[m - 1] == v)
            continue;
        bound[m] = d->bound[i];
        cls[m++] = v;
    }
    struct ft_dfa *r = ft_dfa_raw(cx, n, m, bound, cls, k);
    for (uint32_t s = 0; s < n; s++)
        for (uint32_t j = 0; j < c; j++)
            r->next[(size_t)s * k + map[j]] = d->next[(size_t)s * c + j];
    memcpy(r->label, d->label, n * sizeof *r->label);
    r->start = d->start;
    return r;
}

struct ft_dfa *ft_dfa_tidy(struct ft_cx *cx, struct ft_dfa *raw)
{
    struct ft_dfa *d = minimise(cx, trim(cx, raw));
    return trim(cx, merge_classes(cx, d));
}

struct ft_dfa *ft_dfa_any(struct ft_cx *cx)
{
    static const uint32_t bound[1] = {0};
    static const uint16_t cls[1] = {0};
    struct ft_dfa *d = ft_dfa_raw(cx, 2, 1, bound, cls, 1);
    d->next[1] = 1;
    d->label[1] = 1;
    d->start = 1;
    return d;
}

struct ft_dfa *ft_dfa_lengths(struct ft_cx *cx, int64_t min, int64_t max)
{
    int64_t n = max >= 0 ? max : min;
    if (n > FT_DFA_STATES_MAX - 2)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: a length bound of %lld beside a pattern or format",
                   cx->what != NULL ? cx->what : "minLength, maxLength", (long long)n);
    static const uint32_t bound[1] = {0};
    static const uint16_t cls[1] = {0};
    struct ft_dfa *d = ft_dfa_raw(cx, (uint32_t)n + 2, 1, bound, cls, 1);
    for (int64_t i = 0; i <= n; i++) {
        d->next[i + 1] = i < n ? (uint32_t)i + 2 : max < 0 ? (uint32_t)n + 1 : 0;
        d->label[i + 1] = i >= min;
    }
    d->start = 1;
    return trim(cx, d);
}

/* ---- words: a trie ---- */

static int cmp_word(const void *a, const void *b)
{
    const struct ft_str *x = *(const struct ft_str *const *)a,
                        *y = *(const struct ft_str *const *)b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c != 0 ? c : x->n < y->n ? -1 : x->n > y->n;
}

static int cmp_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return x < y ? -1 : x > y;
}

/* Classes for an alphabet of single characters: each its own, all others together (class 0). */
static uint32_t alphabet_bounds(struct ft_cx *cx, uint32_t *chars, size_t n, uint32_t **ret_bound,
                                uint16_t **ret_cls, uint32_t *ret_n)
{
    qsort(chars, n, sizeof *chars, cmp_u32);
    uint32_t *bound = ft_cx_alloc(cx, 2 * n + 1, sizeof *bound);
    uint16_t *cls = ft_cx_alloc(cx, 2 * n + 1, sizeof *cls);
    uint32_t m = 1, k = 1;
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && chars[i] == chars[i - 1])
            continue;
        if (bound[m - 1] == chars[i])
            m--;
        bound[m] = chars[i];
        cls[m++] = (uint16_t)k++;
        bound[m] = chars[i] + 1;
        cls[m++] = 0;
        if (k > FT_DFA_CLASSES_MAX)
            ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: too many different characters",
                       cx->what != NULL ? cx->what : "enum");
    }
    *ret_bound = bound;
    *ret_cls = cls;
    *ret_n = m;
    return k;
}

struct ft_dfa *ft_dfa_words(struct ft_cx *cx, const struct ft_str *w, size_t n, bool labelled)
{
    size_t total = 0;
    for (size_t i = 0; i < n; i++)
        total += w[i].n;
    uint32_t *chars = ft_cx_alloc(cx, total, sizeof *chars);
    const struct ft_str **order = ft_cx_alloc(cx, n, sizeof(*order));
    size_t n_chars = 0;
    for (size_t i = 0; i < n; i++) {
        order[i] = &w[i];
        for (size_t at = 0; at < w[i].n;) {
            int len = ft_utf8_get(w[i].p + at, w[i].n - at, &chars[n_chars]);
            if (len == 0)
                ft_cx_fail(cx, FT_EINVAL, "a word is not UTF-8");
            n_chars++;
            at += (size_t)len;
        }
    }
    qsort(order, n, sizeof(*order), cmp_word);
    uint32_t *bound, n_bounds;
    uint16_t *cls;
    uint32_t n_cls = alphabet_bounds(cx, chars, n_chars, &bound, &cls, &n_bounds);
    struct ft_dfa *d = ft_dfa_raw(cx, (uint32_t)FT_MIN(n_chars + 2, FT_DFA_STATES_MAX + 2u),
                                  n_bounds, bound, cls, n_cls);
    uint32_t used = 2;
    d->start = 1;
    for (size_t i = 0; i < n; i++) {
        uint32_t q = 1;
        for (size_t at = 0; at < order[i]->n;) {
            uint32_t cp = 0;
            at += (size_t)ft_utf8_get(order[i]->p + at, order[i]->n - at, &cp);
            uint32_t *to = &d->next[(size_t)q * n_cls + ft_dfa_class(d, cp)];
            if (*to == 0)
                *to = used++;
            q = *to;
        }
        d->label[q] = labelled ? (uint16_t)(order[i] - w + 1) : 1;
    }
    return labelled ? trim(cx, d) : ft_dfa_tidy(cx, d);
}

/* ---- products ---- */

/* The coarsest partition that refines those of all k automata: cls_of[new class][k]. */
static uint32_t refine(struct ft_cx *cx, const struct ft_dfa *const *d, size_t k,
                       uint32_t **ret_bound, uint16_t **ret_cls, uint32_t *ret_n, uint32_t **ret_of)
{
    size_t total = 0;
    for (size_t i = 0; i < k; i++)
        total += d[i]->n_bounds;
    uint32_t *bound = ft_cx_alloc(cx, total, sizeof *bound);
    size_t m = 0;
    for (size_t i = 0; i < k; i++)
        for (uint32_t j = 0; j < d[i]->n_bounds; j++)
            bound[m++] = d[i]->bound[j];
    qsort(bound, m, sizeof *bound, cmp_u32);
    size_t n = 0;
    for (size_t i = 0; i < m; i++)
        if (n == 0 || bound[n - 1] != bound[i])
            bound[n++] = bound[i];
    ft_cx_work(cx, n * k * 4);
    uint32_t *of = ft_cx_alloc(cx, n * k, sizeof *of);
    uint16_t *cls = ft_cx_alloc(cx, n, sizeof *cls);
    struct hash_table t = table_open(cx, n);
    uint32_t n_cls = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < k; j++)
            of[(size_t)n_cls * k + j] = ft_dfa_class(d[j], bound[i]);
        uint32_t rep = table_intern(&t, of, k, n_cls);
        cls[i] = (uint16_t)rep;
        if (rep == n_cls && ++n_cls > FT_DFA_CLASSES_MAX)
            ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: too many classes of characters",
                       cx->what != NULL ? cx->what : "pattern");
    }
    *ret_bound = bound;
    *ret_cls = cls;
    *ret_n = (uint32_t)n;
    *ret_of = of;
    return n_cls;
}

/* A growing set of tuples of k states. */
struct tuples {
    uint32_t *v;
    size_t n, cap, k;
    struct hash_table t;
};

static uint32_t tuple_add(struct ft_cx *cx, struct tuples *s)
{
    if (s->n * 2 > s->t.mask) { /* rehash */
        s->t = table_open(cx, s->n * 2 + 2);
        for (size_t i = 0; i < s->n; i++)
            table_intern(&s->t, s->v, s->k, (uint32_t)i);
    }
    uint32_t at = table_intern(&s->t, s->v, s->k, (uint32_t)s->n);
    if (at == s->n)
        s->n++;
    if (s->n > FT_DFA_STATES_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: the automaton has more than %d states",
                   cx->what != NULL ? cx->what : "pattern", FT_DFA_STATES_MAX);
    if ((s->n + 1) * s->k > s->cap) {
        size_t cap = s->cap * 2 + 64 * s->k;
        uint32_t *v = ft_cx_alloc(cx, cap, sizeof *v);
        memcpy(v, s->v, s->n * s->k * sizeof *v);
        s->v = v;
        s->cap = cap;
    }
    return at;
}

struct ft_dfa *ft_dfa_multi(struct ft_cx *cx, const struct ft_dfa *const *d, size_t k,
                            uint16_t (*label)(void *ctx, const uint16_t *labels), void *ctx)
{
    if (k > TUPLE_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: more than %d patterns together",
                   cx->what != NULL ? cx->what : "pattern", TUPLE_MAX);
    uint32_t *bound, n_bounds, *of;
    uint16_t *cls;
    uint32_t n_cls = refine(cx, d, k, &bound, &cls, &n_bounds, &of);
    struct tuples s = {ft_cx_alloc(cx, 64 * k, 4), 0, 64 * k, k, table_open(cx, 64)};
    uint32_t *next = NULL;
    uint16_t *labels = NULL, *own = ft_cx_alloc(cx, k, sizeof *own);
    size_t next_cap = 0, label_cap = 0;
    for (size_t j = 0; j < k; j++)
        s.v[j] = d[j]->start;
    uint32_t first = tuple_add(cx, &s);
    for (size_t i = first; i < s.n; i++) {
        ft_cx_work(cx, (uint64_t)n_cls * k * 2);
        for (size_t j = 0; j < k; j++)
            own[j] = d[j]->label[s.v[i * k + j]];
        FT_GROW(cx, labels, i, label_cap);
        labels[i] = label(ctx, own);
        for (uint32_t c = 0; c < n_cls; c++) {
            for (size_t j = 0; j < k; j++) {
                uint32_t q = s.v[i * k + j];
                uint32_t to = d[j]->next[(size_t)q * d[j]->n_cls + of[(size_t)c * k + j]];
                s.v[s.n * k + j] = to;
            }
            uint32_t at = tuple_add(cx, &s);
            FT_GROW(cx, next, i * n_cls + c, next_cap);
            next[i * n_cls + c] = at;
        }
    }
    struct ft_dfa *r = ft_dfa_raw(cx, (uint32_t)s.n + 1, n_bounds, bound, cls, n_cls);
    for (size_t i = 0; i < s.n; i++) {
        for (uint32_t c = 0; c < n_cls; c++)
            r->next[(i + 1) * n_cls + c] = next[i * n_cls + c] + 1;
        r->label[i + 1] = labels[i];
    }
    r->start = 1;
    return ft_dfa_tidy(cx, r);
}

static uint16_t label_and(void *ctx, const uint16_t *l)
{
    (void)ctx;
    return l[0] != 0 && l[1] != 0;
}

static uint16_t label_or(void *ctx, const uint16_t *l)
{
    (void)ctx;
    return l[0] != 0 || l[1] != 0;
}

static uint16_t label_minus(void *ctx, const uint16_t *l)
{
    (void)ctx;
    return l[0] != 0 && l[1] == 0;
}

static uint16_t label_not(void *ctx, const uint16_t *l)
{
    (void)ctx;
    return l[0] == 0;
}

struct ft_dfa *ft_dfa_combine(struct ft_cx *cx, enum ft_dfa_op op, const struct ft_dfa *a,
                              const struct ft_dfa *b)
{
    const struct ft_dfa *d[2] = {a, b};
    return ft_dfa_multi(cx, d, 2,
                        op == FT_DFA_AND  ? label_and
                        : op == FT_DFA_OR ? label_or
                                          : label_minus,
                        NULL);
}

struct ft_dfa *ft_dfa_not(struct ft_cx *cx, const struct ft_dfa *a)
{
    return ft_dfa_multi(cx, &a, 1, label_not, NULL);
}

bool ft_dfa_is_any(const struct ft_dfa *d)
{
    return d->n_states == 2 && d->n_cls == 1 && d->start == 1 && d->next[1] == 1 &&
           d->label[1] != 0;
}

bool ft_dfa_has(const struct ft_dfa *d, const char *s, size_t n)
{
    uint32_t q = d->start;
    for (size_t i = 0; i < n && q != 0;) {
        uint32_t cp;
        int len = ft_utf8_get(s + i, n - i, &cp);
        if (len == 0)
            return false;
        q = ft_dfa_step(d, q, cp);
        i += (size_t)len;
    }
    return d->label[q] != 0;
}
