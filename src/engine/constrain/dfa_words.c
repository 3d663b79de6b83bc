/* Questions about the words of an automaton: how many, which, how far to the end. See dfa.h. */
#include <string.h>

#include "engine/constrain/dfa.h"

#define WORD_BYTES_MAX 4096

/* Characters in each class, at most FT_DFA_COUNT_MAX. Surrogates are no characters. */
static uint32_t *class_sizes(struct ft_cx *cx, const struct ft_dfa *d)
{
    uint32_t *size = ft_cx_alloc(cx, d->n_cls, sizeof *size);
    for (uint32_t i = 0; i < d->n_bounds; i++) {
        uint32_t lo = d->bound[i], hi = i + 1 < d->n_bounds ? d->bound[i + 1] : FT_CP_MAX + 1;
        if (hi > FT_CP_MAX + 1)
            hi = FT_CP_MAX + 1;
        for (int part = 0; part < 2; part++) { /* below and above the surrogates */
            uint32_t a = FT_MAX(lo, part == 0 ? 0u : 0xe000u);
            uint32_t b = FT_MIN(hi, part == 0 ? 0xd800u : FT_CP_MAX + 1);
            if (a < b)
                size[d->bound_cls[i]] =
                    FT_MIN(size[d->bound_cls[i]] + (b - a), (uint32_t)FT_DFA_COUNT_MAX);
        }
    }
    return size;
}

/* Words from every state whose label is > named, and (only != 0) equal to `only`. The count of a
 * state on or before a useful cycle is "infinite". Kahn's order on the reversed graph: states whose
 * successors are all counted; those never reached lie on or before a cycle. */
static uint16_t *word_counts(struct ft_cx *cx, const struct ft_dfa *d, uint16_t named,
                             uint16_t only)
{
    uint32_t n = d->n_states, c = d->n_cls;
    uint32_t *size = class_sizes(cx, d);
    uint16_t *count = ft_cx_alloc(cx, n, sizeof *count);
    uint8_t *useful = ft_cx_alloc(cx, n, 1), *done = ft_cx_alloc(cx, n, 1);
    ft_cx_work(cx, (uint64_t)n * c * 4);
    bool more = true;
    for (uint32_t s = 1; s < n; s++)
        useful[s] = d->label[s] > named && (only == 0 || d->label[s] == only);
    uint8_t *accepts = ft_cx_alloc(cx, n, 1);
    memcpy(accepts, useful, n);
    /* States are numbered breadth-first, so backward sweeps settle quickly. */
    while (more) {
        more = false;
        ft_cx_work(cx, (uint64_t)n * c);
        for (uint32_t s = n; s-- > 1;)
            for (uint32_t k = 0; k < c && !useful[s]; k++)
                if (size[k] != 0 && useful[d->next[(size_t)s * c + k]]) {
                    useful[s] = 1;
                    more = true;
                }
    }
    more = true;
    while (more) {
        more = false;
        ft_cx_work(cx, (uint64_t)n * c);
        for (uint32_t s = n; s-- > 1;) {
            if (done[s])
                continue;
            uint64_t sum = accepts[s];
            bool ready = true;
            for (uint32_t k = 0; k < c && ready; k++) {
                uint32_t to = d->next[(size_t)s * c + k];
                if (to == 0 || size[k] == 0 || !useful[to])
                    continue;
                ready = done[to];
                sum += (uint64_t)count[to] * size[k];
            }
            if (ready) {
                count[s] = (uint16_t)FT_MIN(sum, (uint64_t)FT_DFA_COUNT_MAX);
                done[s] = 1;
                more = true;
            }
        }
    }
    for (uint32_t s = 1; s < n; s++)
        if (!done[s])
            count[s] = FT_DFA_COUNT_MAX;
    return count;
}

uint32_t ft_dfa_count(struct ft_cx *cx, const struct ft_dfa *d, uint16_t label)
{
    return d->start == 0 ? 0 : word_counts(cx, d, 0, label)[d->start];
}

struct lister {
    struct ft_cx *cx;
    const struct ft_dfa *d;
    uint16_t label;
    struct ft_str *v;
    size_t n, cap;
    char word[WORD_BYTES_MAX];
};

/* Depth is bounded by the longest word, which WORD_BYTES_MAX bounds. */
static void list_from(struct lister *l, const uint16_t *count, uint32_t q, size_t len)
{
    if (len + 4 > WORD_BYTES_MAX)
        ft_cx_fail(l->cx, FT_EUNSUPPORTED, "%s: a word is too long",
                   l->cx->what != NULL ? l->cx->what : "pattern");
    const struct ft_dfa *d = l->d;
    if (d->label[q] != 0 && (l->label == 0 || d->label[q] == l->label)) {
        char *p = ft_cx_alloc(l->cx, len + 1, 1);
        memcpy(p, l->word, len);
        FT_GROW(l->cx, l->v, l->n, l->cap);
        l->v[l->n++] = (struct ft_str){p, len};
    }
    for (uint32_t i = 0; i < d->n_bounds; i++) {
        uint32_t to = d->next[(size_t)q * d->n_cls + d->bound_cls[i]];
        if (to == 0 || count[to] == 0)
            continue;
        uint32_t hi = i + 1 < d->n_bounds ? d->bound[i + 1] : FT_CP_MAX + 1;
        for (uint32_t cp = d->bound[i]; cp < hi && cp <= FT_CP_MAX; cp++) {
            if (cp >= 0xd800 && cp <= 0xdfff)
                continue;
            list_from(l, count, to, len + (size_t)ft_utf8_put(cp, l->word + len));
        }
    }
}

bool ft_dfa_enumerate(struct ft_cx *cx, const struct ft_dfa *d, uint16_t label, size_t max,
                      struct ft_str **ret_words, size_t *ret_n)
{
    *ret_words = NULL;
    *ret_n = 0;
    if (d->start == 0)
        return true;
    const uint16_t *count = word_counts(cx, d, 0, label);
    if (count[d->start] > max || count[d->start] == FT_DFA_COUNT_MAX)
        return false;
    struct lister *l = ft_cx_alloc(cx, 1, sizeof *l);
    l->cx = cx;
    l->d = d;
    l->label = label;
    if (count[d->start] != 0)
        list_from(l, count, d->start, 0);
    *ret_words = l->v;
    *ret_n = l->n;
    return true;
}

static void distances(struct ft_cx *cx, const struct ft_dfa *d, uint16_t *dist)
{
    uint32_t n = d->n_states, c = d->n_cls;
    for (uint32_t s = 0; s < n; s++)
        dist[s] = d->label[s] != 0 ? 0 : UINT16_MAX;
    for (bool more = true; more;) {
        more = false;
        ft_cx_work(cx, (uint64_t)n * c);
        for (uint32_t s = n; s-- > 1;)
            for (uint32_t k = 0; k < c; k++) {
                uint16_t to = dist[d->next[(size_t)s * c + k]];
                if (to < UINT16_MAX - 1 && to + 1 < dist[s]) {
                    dist[s] = (uint16_t)(to + 1);
                    more = true;
                }
            }
    }
}

uint32_t ft_dfa_shortest(struct ft_cx *cx, const struct ft_dfa *d)
{
    uint16_t *dist = ft_cx_alloc(cx, d->n_states, sizeof *dist);
    distances(cx, d, dist);
    return d->start == 0 ? UINT16_MAX : dist[d->start];
}

#define OPEN_ROUNDS_MAX 64 /* beyond, states are taken for not open: slower, never wrong */

/* Open is a state with endlessly many words all of whose next states are open. */
static void find_open(struct ft_dfa *d)
{
    for (uint32_t s = 0; s < d->n_states; s++)
        d->open[s] = s != 0 && d->count[s] == FT_DFA_COUNT_MAX;
    bool changed = true;
    for (int round = 0; changed && round < OPEN_ROUNDS_MAX; round++) {
        changed = false;
        for (uint32_t s = d->n_states; s-- > 1;)
            for (uint32_t c = 0; d->open[s] && c < d->n_cls; c++)
                if (!d->open[d->next[(size_t)s * d->n_cls + c]]) {
                    d->open[s] = false;
                    changed = true;
                }
    }
    if (changed)
        memset(d->open, 0, d->n_states * sizeof *d->open);
}

struct ft_dfa *ft_dfa_finish(struct ft_cx *cx, const struct ft_dfa *d, uint16_t named)
{
    struct ft_dfa *r = ft_cx_keep(cx, 1, sizeof *r);
    *r = *d;
    size_t cells = (size_t)d->n_states * d->n_cls;
    r->bound = ft_cx_keep(cx, d->n_bounds, sizeof *r->bound);
    r->bound_cls = ft_cx_keep(cx, d->n_bounds, sizeof *r->bound_cls);
    r->next = ft_cx_keep(cx, cells, sizeof *r->next);
    r->label = ft_cx_keep(cx, d->n_states, sizeof *r->label);
    r->count = ft_cx_keep(cx, d->n_states, sizeof *r->count);
    r->dist = ft_cx_keep(cx, d->n_states, sizeof *r->dist);
    memcpy(r->bound, d->bound, d->n_bounds * sizeof *r->bound);
    memcpy(r->bound_cls, d->bound_cls, d->n_bounds * sizeof *r->bound_cls);
    memcpy(r->next, d->next, cells * sizeof *r->next);
    memcpy(r->label, d->label, d->n_states * sizeof *r->label);
    memcpy(r->count, word_counts(cx, d, named, 0), d->n_states * sizeof *r->count);
    distances(cx, d, r->dist);
    r->open = ft_cx_keep(cx, d->n_states, sizeof *r->open);
    find_open(r);
    return r;
}
