/* Walks of a vocabulary inside strings: see walk.h. */
#include "engine/constrain/walk.h"

#include <stdlib.h>
#include <string.h>

#include "engine/constrain/machine.h"
#include "engine/constrain/vocab.h"

struct place { /* in a walk down the trie, inside the string */
    uint32_t q, n, end;
    struct ft_jchar chr;
    uint64_t hash;
};

struct walk {
    const struct ft_vocab *v;
    const struct ft_dfa *d; /* NULL: any string */
    struct ft_string_walk *r;
    struct place *level; /* [max_depth + 2] */
    uint32_t *read;      /* [max_depth + 2] the characters up to here */
    uint32_t exits_cap, chars_cap;
    bool failed;
};

static bool step(struct walk *w, struct place *p, uint8_t b)
{
    const struct ft_dfa *d = w->d;
    uint32_t cp = b;
    if (p->chr.kind != FT_S_PLAIN || b < 0x20 || b >= 0x80 || b == '\\') {
        uint32_t range[4];
        switch (ft_jchar_step(&p->chr, b, range)) {
        case FT_JCHAR_PART:
            return d == NULL ||
                   (range[0] <= range[1] && ft_dfa_range_live(d, p->q, range[0], range[1])) ||
                   (range[2] <= range[3] && ft_dfa_range_live(d, p->q, range[2], range[3]));
        case FT_JCHAR_BAD:
            return false;
        default:
            cp = p->chr.cp;
            p->chr.cp = 0;
        }
    }
    p->hash = ft_jhash(p->hash, cp);
    w->read[p->n++] = cp;
    if (d == NULL)
        return true;
    p->q = ft_dfa_step(d, p->q, cp);
    if (p->q != 0 && d->count[p->q] != FT_DFA_COUNT_MAX)
        w->r->free = false;
    return p->q != 0;
}

static void *grown(struct walk *w, void *p, uint32_t n, uint32_t *cap, size_t size)
{
    if (n <= *cap)
        return p;
    uint32_t more = n * 2 + 64;
    void *q = realloc(p, more * size);
    w->failed = w->failed || q == NULL;
    *cap = q != NULL ? more : *cap;
    return q != NULL ? q : p;
}

static void add_exit(struct walk *w, uint32_t node, uint32_t q, uint32_t n, uint64_t hash)
{
    struct ft_string_walk *r = w->r;
    r->exit = grown(w, r->exit, r->n_exits + 1, &w->exits_cap, sizeof *r->exit);
    if (w->failed)
        return;
    r->exit[r->n_exits++] = (struct ft_exit){node, q, n, hash};
    r->longest = FT_MAX(r->longest, n);
}

/* The characters before the exit just added. */
static void add_chars(struct walk *w, uint32_t n)
{
    struct ft_string_walk *r = w->r;
    r->chars = grown(w, r->chars, r->n_chars + n, &w->chars_cap, sizeof *r->chars);
    if (w->failed || n == 0)
        return;
    memcpy(r->chars + r->n_chars, w->read, n * sizeof *r->chars);
    r->n_chars += n;
}

static void stay(struct walk *w, uint32_t node, uint32_t n)
{
    const struct ft_vocab *v = w->v;
    struct ft_string_walk *r = w->r;
    for (uint32_t k = v->first[node]; k < v->first[node + 1]; k++) {
        uint32_t id = (uint32_t)v->order[k];
        r->stay[id / 32] |= 1u << id % 32;
        if (r->len != NULL)
            r->len[id] = (uint8_t)FT_MIN(n, 255u);
    }
    if (v->first[node] < v->first[node + 1])
        r->longest = FT_MAX(r->longest, n);
}

static void walk_all(struct walk *w, uint32_t q, struct ft_jchar chr)
{
    const struct ft_vocab *v = w->v;
    struct place *l = w->level;
    *l = (struct place){q, 0, v->n_nodes, chr, 0};
    for (uint32_t i = 1; i < v->n_nodes && !w->failed;) {
        while (i >= l->end)
            l--;
        uint8_t b = v->byte[i];
        if (b == '"' && l->chr.kind == FT_S_PLAIN) {
            if (w->d == NULL || w->d->label[l->q] != 0)
                add_exit(w, i, l->q, l->n, l->hash);
            if (w->d == NULL)
                add_chars(w, l->n);
            i = v->skip[i];
            continue;
        }
        struct place p = *l;
        if (!step(w, &p, b)) {
            i = v->skip[i];
            continue;
        }
        stay(w, i, p.n + (p.chr.kind != FT_S_PLAIN));
        if (v->skip[i] > i + 1) {
            *++l = p;
            l->end = v->skip[i];
        }
        i++;
    }
}

/* From an open state nothing can go wrong: what stays is what stays in any string, and only where
 * the exits lead is the automaton's. */
static void walk_open(struct walk *w, uint32_t q)
{
    const struct ft_string_walk *any = &w->v->plain;
    struct ft_string_walk *r = w->r;
    r->stay = any->stay;
    r->borrowed = true;
    r->longest = any->longest;
    const uint32_t *chars = any->chars;
    for (uint32_t i = 0; i < any->n_exits && !w->failed; i++) {
        const struct ft_exit *x = &any->exit[i];
        uint32_t to = q;
        for (uint32_t k = 0; k < x->n; k++)
            to = ft_dfa_step(w->d, to, *chars++);
        if (w->d->label[to] != 0)
            add_exit(w, x->node, to, x->n, x->hash);
    }
}

void ft_string_walk_fini(struct ft_string_walk *r)
{
    if (!r->borrowed)
        free(r->stay);
    free(r->len);
    free(r->exit);
    free(r->chars);
    memset(r, 0, sizeof *r);
}

int ft_string_walk(const struct ft_vocab *v, const struct ft_dfa *d, uint32_t q,
                   struct ft_jchar chr, struct ft_string_walk *r)
{
    *r = (struct ft_string_walk){.free = d == NULL || d->count[q] == FT_DFA_COUNT_MAX};
    struct walk w = {.v = v, .d = d, .r = r};
    size_t depth = (size_t)v->max_depth + 2, words = ((size_t)v->n_tokens + 31) / 32;
    bool open = d != NULL && d->open[q] && chr.kind == FT_S_PLAIN;
    if (!open) {
        r->stay = calloc(words + 1, sizeof *r->stay);
        w.level = malloc(depth * sizeof *w.level);
        w.read = malloc(depth * sizeof *w.read);
        if (d == NULL)
            r->len = calloc((size_t)v->n_tokens + 32, 1);
        w.failed =
            r->stay == NULL || w.level == NULL || w.read == NULL || (d == NULL && r->len == NULL);
    }
    if (open)
        walk_open(&w, q);
    else if (!w.failed)
        walk_all(&w, q, chr);
    free(w.level);
    free(w.read);
    if (w.failed) {
        ft_string_walk_fini(r);
        return FT_ENOMEM;
    }
    r->bytes = w.exits_cap * sizeof *r->exit + (open ? 0 : words * sizeof *r->stay) +
               (r->len != NULL ? v->n_tokens : 0);
    return 0;
}
