/* The machine that runs a grammar: see gbnf.h and machine.h.
 *
 * A state is a set of threads, each standing at a set of characters with a stack of returns. Stacks
 * are lists that share their tails; equal ones are found by hash, then compared. A call right
 * before a return leaves nothing to come back to, so it pushes nothing. */
#include <string.h>

#include "engine/constrain/gbnf.h"
#include "engine/constrain/machine.h"

struct stack {
    const struct stack *prev;
    uint64_t hash;
    uint32_t pc, depth;
};

struct thread {
    uint32_t pc;
    const struct stack *st;
};

struct state {
    uint16_t n;
    bool accepts;
    uint8_t left, bytes; /* of a character that is being read */
    uint32_t cp;
    struct thread t[];
};

static bool same_stack(const struct stack *a, const struct stack *b, uint64_t *work)
{
    for (; a != b; a = a->prev, b = b->prev, (*work)++)
        if (a == NULL || b == NULL || a->hash != b->hash || a->pc != b->pc || a->depth != b->depth)
            return false;
    return true;
}

#define WORK_MAX   4096
#define WORK_SLOTS (2 * WORK_MAX)

/* Everything reached from one thread without reading, appended to `out` where it can read. */
struct closure {
    struct ft_scratch *s;
    const struct ft_gbnf *g;
    struct state *out;
    struct thread *work; /* visited ones first, then those to do */
    struct slot {
        uint32_t round; /* an entry of another round is no entry */
        uint32_t at;    /* in work[] */
    } * slot;           /* [WORK_SLOTS] those visited, by hash */
    uint32_t round;
    uint32_t n, at;
    bool failed;
};

static void visit(struct closure *c, uint32_t pc, const struct stack *st)
{
    if (!c->g->code[pc].live)
        return;
    uint64_t h = ((st != NULL ? st->hash : 0) ^ pc) * 0x9e3779b97f4a7c15u;
    uint32_t i = (uint32_t)(h >> 40) % WORK_SLOTS;
    for (; c->slot[i].round == c->round; i = (i + 1) % WORK_SLOTS) {
        const struct thread *t = &c->work[c->slot[i].at];
        if (t->pc == pc && same_stack(t->st, st, &c->s->work))
            return;
    }
    if (c->n == WORK_MAX)
        return;
    c->slot[i] = (struct slot){c->round, c->n};
    c->work[c->n++] = (struct thread){pc, st};
}

static const struct stack *push(struct closure *c, const struct stack *st, uint32_t pc)
{
    struct stack *n = ft_scratch_alloc(c->s, sizeof *n);
    if (n == NULL) {
        c->failed = true;
        return NULL;
    }
    n->prev = st;
    n->pc = pc;
    n->depth = st != NULL ? st->depth + 1 : 1;
    n->hash = ((st != NULL ? st->hash : 0) ^ pc) * 0xff51afd7ed558ccdu + 1;
    n->hash ^= n->hash >> 31;
    return n;
}

/* Where a return to pc really leads: past jumps. */
static uint32_t settle(const struct ft_gbnf *g, uint32_t pc)
{
    for (int i = 0; i < 64 && g->code[pc].op == FT_G_JUMP; i++)
        pc = g->code[pc].x;
    return pc;
}

static void expand(struct closure *c)
{
    for (; c->at < c->n; c->at++) {
        struct thread t = c->work[c->at];
        const struct ft_ginst *in = &c->g->code[t.pc];
        switch (in->op) {
        case FT_G_SPLIT:
            visit(c, in->x, t.st);
            visit(c, in->y, t.st);
            break;
        case FT_G_JUMP:
            visit(c, in->x, t.st);
            break;
        case FT_G_CALL: {
            uint32_t back = settle(c->g, t.pc + 1);
            if (c->g->code[back].op == FT_G_RETURN) {
                visit(c, in->x, t.st);
            } else if (t.st == NULL || t.st->depth < FT_GBNF_STACK_MAX) {
                const struct stack *st = push(c, t.st, back);
                if (st == NULL)
                    return;
                visit(c, in->x, st);
            }
            break;
        }
        case FT_G_RETURN:
            if (t.st == NULL)
                c->out->accepts = true;
            else
                visit(c, t.st->pc, t.st->prev);
            break;
        default:
            if (c->out->n < FT_GBNF_THREADS_MAX)
                c->out->t[c->out->n++] = t;
        }
    }
}

static const struct state *close_all(struct ft_scratch *s, const struct ft_gbnf *g,
                                     const struct thread *from, uint32_t n)
{
    static _Thread_local struct thread work[WORK_MAX];
    static _Thread_local union {
        struct state st;
        char bytes[sizeof(struct state) + FT_GBNF_THREADS_MAX * sizeof(struct thread)];
    } out;
    static _Thread_local struct slot slot[WORK_SLOTS];
    static _Thread_local uint32_t round;
    memset(&out.st, 0, sizeof out.st);
    if (++round == 0) { /* after 4 billion of them */
        memset(slot, 0, sizeof slot);
        round = 1;
    }
    struct closure c = {s, g, &out.st, work, slot, round, 0, 0, false};
    for (uint32_t i = 0; i < n; i++)
        visit(&c, from[i].pc, from[i].st);
    expand(&c);
    s->work += c.n;
    if (c.failed || (out.st.n == 0 && !out.st.accepts))
        return NULL;
    size_t bytes = sizeof(struct state) + out.st.n * sizeof(struct thread);
    struct state *r = ft_scratch_alloc(s, bytes);
    if (r != NULL)
        memcpy(r, &out, bytes);
    return r;
}

static const void *start(struct ft_scratch *s, const void *g)
{
    struct thread t = {((const struct ft_gbnf *)g)->root, NULL};
    return close_all(s, g, &t, 1);
}

static bool set_meets(const struct ft_gset *s, uint32_t lo, uint32_t hi)
{
    uint32_t a = 0, b = s->n;
    while (a < b) {
        uint32_t mid = (a + b) / 2;
        if (s->iv[mid][1] < lo)
            a = mid + 1;
        else
            b = mid;
    }
    return a < s->n && s->iv[a][0] <= hi;
}

/* Threads that can read a character in [lo, hi]: stepped over it, or (part != 0) kept waiting. */
static const struct state *advance(struct ft_scratch *s, const struct ft_gbnf *g,
                                   const struct state *x, uint32_t lo, uint32_t hi,
                                   const struct state *part)
{
    static _Thread_local struct thread next[FT_GBNF_THREADS_MAX];
    uint32_t n = 0;
    for (uint32_t i = 0; i < x->n; i++)
        if (set_meets(&g->sets[g->code[x->t[i].pc].x], lo, hi)) {
            next[n] = x->t[i];
            next[n++].pc += part == NULL;
        }
    if (n == 0)
        return NULL;
    if (part == NULL)
        return close_all(s, g, next, n);
    struct state *r = ft_scratch_alloc(s, sizeof *r + n * sizeof r->t[0]);
    if (r == NULL)
        return NULL;
    *r = *part;
    r->n = (uint16_t)n;
    memcpy(r->t, next, n * sizeof r->t[0]);
    return r;
}

static const void *step(struct ft_scratch *s, const void *g, const void *state, uint8_t b)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    const struct state *x = state;
    struct state part = {.left = 0};
    if (x->left == 0) {
        if (b < 0x80)
            return advance(s, g, x, b, b, NULL);
        if (b < 0xc2 || b > 0xf4)
            return NULL;
        part.bytes = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
        part.left = (uint8_t)(part.bytes - 1);
        part.cp = b & (0x7fu >> part.bytes);
    } else {
        if ((b & 0xc0) != 0x80)
            return NULL;
        part.bytes = x->bytes;
        part.left = (uint8_t)(x->left - 1);
        part.cp = x->cp << 6 | (b & 0x3fu);
    }
    uint32_t lo = part.cp << (6 * part.left), hi = lo + (1u << (6 * part.left)) - 1;
    lo = FT_MAX(lo, least[part.bytes]);
    hi = FT_MIN(hi, FT_CP_MAX);
    if (lo < 0xd800 && hi >= 0xd800 && hi <= 0xdfff)
        hi = 0xd7ff;
    if (lo > hi || (lo >= 0xd800 && hi <= 0xdfff))
        return NULL;
    return advance(s, g, x, lo, hi, part.left != 0 ? &part : NULL);
}

static bool may_end(const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    return x->accepts && x->left == 0;
}

/* Stacks are copied once each where threads share them as a whole; shared tails become separate. */
static const void *copy(struct ft_scratch *to, const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    struct state *r = ft_scratch_alloc(to, sizeof *r + x->n * sizeof r->t[0]);
    if (r == NULL)
        return NULL;
    memcpy(r, x, sizeof *r + x->n * sizeof r->t[0]);
    for (uint32_t i = 0; i < r->n; i++) {
        uint32_t j = 0;
        while (j < i && x->t[j].st != x->t[i].st)
            j++;
        if (j < i) {
            r->t[i].st = r->t[j].st;
            continue;
        }
        struct stack *last = NULL;
        for (const struct stack *st = x->t[i].st; st != NULL; st = st->prev) {
            struct stack *n = ft_scratch_alloc(to, sizeof *n);
            if (n == NULL)
                return NULL;
            *n = *st;
            if (last != NULL)
                last->prev = n;
            else
                r->t[i].st = n;
            last = n;
        }
    }
    return r;
}

static uint64_t hash(const void *g, const void *state)
{
    (void)g;
    const struct state *x = state;
    uint64_t h = ((uint64_t)x->cp << 16 | x->left) * 2 + x->accepts;
    for (uint32_t i = 0; i < x->n; i++) {
        h = (h ^ x->t[i].pc ^ (x->t[i].st != NULL ? x->t[i].st->hash : 0)) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    return h;
}

static bool same(const void *g, const void *a, const void *b)
{
    (void)g;
    const struct state *x = a, *y = b;
    if (x->n != y->n || x->cp != y->cp || x->left != y->left || x->bytes != y->bytes ||
        x->accepts != y->accepts)
        return false;
    uint64_t work = 0;
    for (uint32_t i = 0; i < x->n; i++)
        if (x->t[i].pc != y->t[i].pc || !same_stack(x->t[i].st, y->t[i].st, &work))
            return false;
    return true;
}

const struct ft_machine_ops ft_machine_gbnf = {
    .start = start, .step = step, .may_end = may_end, .copy = copy, .hash = hash, .same = same};
