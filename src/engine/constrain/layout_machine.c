/* The machine that runs a layout: see layout.h and machine.h. */
#include <string.h>

#include "engine/constrain/constrain.h"
#include "engine/constrain/layout.h"

struct thread {
    uint32_t node;
    uint32_t at;     /* TEXT: bytes read; SCHEMA, STRING: of `without`, those it ends with */
    const void *sub; /* of the node's machine */
};

struct state {
    uint32_t n;
    bool ends;
    struct thread t[];
};

_Static_assert(sizeof(struct state) + FT_LAYOUT_THREADS_MAX * sizeof(struct thread) <=
                   FT_SCRATCH_CHUNK,
               "a state has room in a chunk");
#define WORDS (2 * FT_LAYOUT_NODES_MAX / 64)
_Static_assert(2 * FT_LAYOUT_NODES_MAX <= UINT16_MAX + 1, "what is to do is kept in 16 bits");

/* Everything reached with one byte. What was passed by a CUT stands alone. */
struct closure {
    struct ft_scratch *s;
    const struct ft_layout_graph *g;
    uint64_t *seen;   /* bits: 2 * node + cut; cleared by the first visit, which few bytes make */
    uint16_t *open;   /* a stack of the same: found, not visited yet */
    struct thread *t; /* [FT_LAYOUT_THREADS_MAX] */
    uint32_t n;
    bool visiting, cutting, ends, failed;
};

static void closure_init(struct closure *c, struct ft_scratch *s, const struct ft_layout_graph *g)
{
    static _Thread_local uint64_t seen[WORDS];
    static _Thread_local uint16_t open[2 * FT_LAYOUT_NODES_MAX];
    static _Thread_local struct thread t[FT_LAYOUT_THREADS_MAX];
    *c = (struct closure){.s = s, .g = g, .seen = seen, .open = open, .t = t};
}

static void give(struct closure *c, uint32_t node, uint32_t at, const void *sub, bool cut)
{
    if (c->n < FT_LAYOUT_THREADS_MAX && (cut || !c->cutting))
        c->t[c->n++] = (struct thread){node, at, sub};
}

/* The node's machine has read a whole text. */
static bool is_whole(const struct ft_lnode *n, const void *sub)
{
    return n->ops->may_end(n->g, sub);
}

static const void *begin(struct closure *c, const struct ft_lnode *n)
{
    const void *sub = n->ops->start(c->s, n->g);
    c->failed |= sub == NULL && c->s->failed;
    return sub;
}

static uint32_t push(struct closure *c, uint32_t n_open, uint32_t node, bool cut)
{
    uint32_t k = 2 * node + cut;
    if (!c->g->node[node].live || (c->seen[k / 64] >> k % 64 & 1) != 0)
        return n_open;
    c->seen[k / 64] |= (uint64_t)1 << k % 64;
    c->open[n_open++] = (uint16_t)k;
    return n_open;
}

/* Enters a node: at most twice each, before and behind a CUT. */
static void visit(struct closure *c, uint32_t from)
{
    if (!c->visiting)
        memset(c->seen, 0, (2 * (size_t)c->g->n_nodes + 63) / 64 * sizeof *c->seen);
    c->visiting = true;
    uint32_t n_open = push(c, 0, from, false);
    while (n_open > 0) {
        uint32_t k = c->open[--n_open], i = k / 2;
        const struct ft_lnode *n = &c->g->node[i];
        bool cut = k % 2 != 0;
        const void *sub = NULL;
        c->s->work++;
        switch (n->op) {
        case FT_LAYOUT_FORK:
            n_open = push(c, n_open, n->other, cut);
            n_open = push(c, n_open, n->next, cut);
            break;
        case FT_LAYOUT_CUT:
            if (!c->cutting) {
                c->cutting = true;
                c->ends = false;
                c->n = 0;
            }
            n_open = push(c, n_open, n->next, true);
            break;
        case FT_LAYOUT_END:
            c->ends |= cut || !c->cutting;
            break;
        case FT_LAYOUT_TEXT:
        case FT_LAYOUT_ANY:
            give(c, i, 0, NULL, cut);
            break;
        default:
            if ((sub = begin(c, n)) == NULL)
                break;
            give(c, i, 0, sub, cut);
            if (is_whole(n, sub))
                n_open = push(c, n_open, n->next, cut);
        }
    }
}

static const struct state *closure_done(struct closure *c)
{
    if (c->failed || (c->n == 0 && !c->ends))
        return NULL;
    struct state *r = ft_scratch_alloc(c->s, sizeof *r + c->n * sizeof r->t[0]);
    if (r == NULL)
        return NULL;
    r->n = c->n;
    r->ends = c->ends;
    memcpy(r->t, c->t, c->n * sizeof r->t[0]);
    return r;
}

static const void *layout_start(struct ft_scratch *s, const void *g)
{
    struct closure c;
    closure_init(&c, s, g);
    visit(&c, c.g->start);
    return closure_done(&c);
}

/* The node's machine stands at `sub` now. */
static void moved(struct closure *c, const struct thread *t, uint32_t at, const void *sub)
{
    const struct ft_lnode *n = &c->g->node[t->node];
    give(c, t->node, at, sub, false);
    if (is_whole(n, sub))
        visit(c, n->next);
}

static void step_machine(struct closure *c, const struct thread *t, uint8_t b)
{
    const struct ft_lnode *n = &c->g->node[t->node];
    uint32_t at = t->at;
    if (n->n_without > 0) {
        while (at > 0 && (uint8_t)n->without[at] != b)
            at = n->back[at - 1]; /* as in Knuth, Morris and Pratt */
        at += (uint8_t)n->without[at] == b;
        if (at == n->n_without)
            return;
    }
    const void *sub = n->ops->step(c->s, n->g, t->sub, b);
    if (sub != NULL)
        moved(c, t, at, sub);
    else
        c->failed |= c->s->failed;
}

static void step_thread(struct closure *c, const struct thread *t, uint8_t b)
{
    const struct ft_lnode *n = &c->g->node[t->node];
    switch (n->op) {
    case FT_LAYOUT_ANY:
        visit(c, n->next);
        break;
    case FT_LAYOUT_TEXT:
        if ((uint8_t)n->text[t->at] != b)
            break;
        if (t->at + 1 == n->n)
            visit(c, n->next);
        else
            give(c, t->node, t->at + 1, NULL, false);
        break;
    default:
        step_machine(c, t, b);
    }
}

static const void *layout_step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    const struct state *x = state;
    struct closure c;
    closure_init(&c, s, g);
    for (uint32_t i = 0; i < x->n; i++)
        step_thread(&c, &x->t[i], b);
    return closure_done(&c);
}

static bool layout_may_end(const void *g, const void *state)
{
    (void)g;
    return ((const struct state *)state)->ends;
}

static const void *layout_copy(struct ft_scratch *to, const void *g, const void *state)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    struct state *r = ft_scratch_alloc(to, sizeof *r + x->n * sizeof r->t[0]);
    if (r == NULL)
        return NULL;
    memcpy(r, x, sizeof *r + x->n * sizeof r->t[0]);
    for (uint32_t i = 0; i < r->n; i++) {
        const struct ft_lnode *n = &p->node[r->t[i].node];
        if (n->ops == NULL)
            continue;
        r->t[i].sub = n->ops->copy(to, n->g, x->t[i].sub);
        if (r->t[i].sub == NULL)
            return NULL;
    }
    return r;
}

/* ---- masks ---- */

static bool layout_kept(const void *g, const void *state)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    for (uint32_t i = 0; i < x->n; i++)
        if (p->node[x->t[i].node].op == FT_LAYOUT_SCHEMA)
            return false;
    return true;
}

static uint64_t layout_hash(const void *g, const void *state)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    uint64_t h = x->ends;
    for (uint32_t i = 0; i < x->n; i++) {
        const struct thread *t = &x->t[i];
        const struct ft_lnode *n = &p->node[t->node];
        if (n->ops != NULL && n->ops->hash != NULL)
            h ^= n->ops->hash(n->g, t->sub);
        h = (h ^ ((uint64_t)t->node << 32 | t->at)) * 0xff51afd7ed558ccdu + 1;
        h ^= h >> 32;
    }
    return h;
}

static bool same_thread(const struct ft_layout_graph *p, const struct thread *a,
                        const struct thread *b)
{
    const struct ft_lnode *n = &p->node[a->node];
    if (a->node != b->node || a->at != b->at)
        return false;
    return a->sub == b->sub ||
           (n->ops != NULL && n->ops->same != NULL && n->ops->same(n->g, a->sub, b->sub));
}

static bool layout_same(const void *g, const void *a, const void *b)
{
    const struct state *x = a, *y = b;
    if (x->n != y->n || x->ends != y->ends)
        return false;
    for (uint32_t i = 0; i < x->n; i++)
        if (!same_thread(g, &x->t[i], &y->t[i]))
            return false;
    return true;
}

static bool layout_free(const void *g, const void *state)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    for (uint32_t i = 0; i < x->n && x->ends; i++)
        if (p->node[x->t[i].node].op == FT_LAYOUT_ANY)
            return true;
    return false;
}

static const void *layout_control(struct ft_scratch *s, const void *g, const void *state,
                                  const char *bytes, size_t len)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    if (!p->control || len == 0)
        return layout_free(g, state) ? state : NULL;
    for (size_t k = 0; k < len && x != NULL; k++) { /* never inside of a value */
        struct closure c;
        closure_init(&c, s, p);
        for (uint32_t i = 0; i < x->n; i++)
            if (p->node[x->t[i].node].ops == NULL)
                step_thread(&c, &x->t[i], (uint8_t)bytes[k]);
        x = closure_done(&c);
    }
    return x;
}

static const struct ft_jframe *layout_json(const void *g, const void *state,
                                           const struct ft_jtables **ret_t)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    const struct ft_lnode *n = x->n == 1 ? &p->node[x->t[0].node] : NULL;
    if (n == NULL || n->op != FT_LAYOUT_SCHEMA)
        return NULL;
    if (n->n_without > 0 && memchr(n->without, '"', n->n_without) != NULL)
        return NULL; /* see layout_with_json */
    *ret_t = n->g;
    return x->t[0].sub;
}

/* f: behind a string, whose closing quote is nowhere in what the value is without. */
static const void *layout_with_json(struct ft_scratch *s, const void *g, const void *state,
                                    const struct ft_jframe *f)
{
    struct closure c;
    closure_init(&c, s, g);
    moved(&c, &((const struct state *)state)->t[0], 0, f);
    return closure_done(&c);
}

static bool layout_without(const void *g, const void *state, struct ft_without *ret)
{
    const struct ft_layout_graph *p = g;
    const struct thread *t = ((const struct state *)state)->t;
    const struct ft_lnode *n = &p->node[t->node];
    *ret = (struct ft_without){n->without, n->n_without, (uint8_t)t->at, n->back};
    return n->n_without > 0;
}

static const void *layout_relax(struct ft_scratch *s, const void *g, const void *state,
                                uint32_t *left)
{
    const struct ft_layout_graph *p = g;
    const struct state *x = state;
    struct state *r = NULL;
    for (uint32_t i = 0; i < x->n; i++) {
        const struct ft_lnode *n = &p->node[x->t[i].node];
        if (n->ops == NULL || n->ops->relax == NULL)
            continue;
        const void *sub = n->ops->relax(s, n->g, x->t[i].sub, left);
        size_t bytes = sizeof *r + x->n * sizeof r->t[0];
        if (sub != NULL && r == NULL && (r = ft_scratch_alloc(s, bytes)) != NULL)
            memcpy(r, x, bytes);
        if (sub != NULL && r != NULL)
            r->t[i].sub = sub;
    }
    return r;
}

const struct ft_machine_ops ft_machine_layout = {.start = layout_start,
                                                 .step = layout_step,
                                                 .may_end = layout_may_end,
                                                 .copy = layout_copy,
                                                 .hash = layout_hash,
                                                 .same = layout_same,
                                                 .kept = layout_kept,
                                                 .free = layout_free,
                                                 .control = layout_control,
                                                 .json = layout_json,
                                                 .with_json = layout_with_json,
                                                 .without = layout_without,
                                                 .relax = layout_relax};
