/* See sched.h. */
#include "engine/core/sched.h"

#include <stdlib.h>
#include <string.h>

int ft_sched_init(struct ft_sched *s, struct ft_err *err)
{
    *s = (struct ft_sched){.caller = calloc(FT_SCHED_CALLERS_MAX, sizeof *s->caller)};
    return s->caller != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "scheduler: no memory");
}

void ft_sched_fini(struct ft_sched *s)
{
    free(s->caller);
    *s = (struct ft_sched){0};
}

static struct ft_caller *find(struct ft_sched *s, struct ft_slice id)
{
    for (int i = 0; i < s->n_caller; i++) {
        struct ft_caller *c = &s->caller[i];
        if (c->live && c->id_n == id.n && (id.n == 0 || memcmp(c->id, id.p, id.n) == 0))
            return c;
    }
    return NULL;
}

static struct ft_caller *spare(struct ft_sched *s)
{
    if (s->n_caller < FT_SCHED_CALLERS_MAX)
        return &s->caller[s->n_caller++];
    struct ft_caller *old = NULL;
    for (int i = 0; i < s->n_caller; i++) {
        struct ft_caller *c = &s->caller[i];
        if (c->n_active == 0 && (old == NULL || c->last < old->last))
            old = c;
    }
    return old;
}

/* The smallest counter of those who have requests, or of the last one who had. */
static double floor_of(const struct ft_sched *s)
{
    double low = -1;
    for (int i = 0; i < s->n_caller; i++) {
        const struct ft_caller *c = &s->caller[i];
        if (c->live && c->n_active > 0 && (low < 0 || c->served < low))
            low = c->served;
    }
    return low < 0 ? s->last_served : low;
}

struct ft_caller *ft_sched_caller_get(struct ft_sched *s, struct ft_slice id, double weight)
{
    FT_ASSERT(id.n <= FT_REQUEST_CALLER_BYTES && weight > 0);
    struct ft_caller *c = find(s, id);
    if (c == NULL) {
        c = spare(s);
        if (c == NULL) { /* that many callers active at once: share the last */
            c = &s->caller[FT_SCHED_CALLERS_MAX - 1];
        } else {
            *c = (struct ft_caller){.id_n = id.n, .live = true};
            if (id.n > 0)
                memcpy(c->id, id.p, id.n);
        }
    }
    if (c->n_active == 0) {
        double low = floor_of(s);
        if (c->served < low)
            c->served = low;
    }
    c->weight = weight;
    c->n_active++;
    c->last = ++s->clock;
    return c;
}

void ft_sched_caller_put(struct ft_sched *s, struct ft_caller *c)
{
    FT_ASSERT(c->n_active > 0);
    if (--c->n_active == 0)
        s->last_served = c->served;
}

void ft_sched_charge(struct ft_caller *c, double tokens)
{
    c->served += tokens / c->weight;
}

int ft_sched_aged(int priority, int64_t waited_ns)
{
    int64_t steps = waited_ns / ((int64_t)FT_SCHED_AGE_MS * 1000000);
    return priority + (int)FT_MIN(steps, 1000);
}

int ft_rank_cmp(const struct ft_rank *a, const struct ft_rank *b)
{
    if (a->priority != b->priority)
        return a->priority > b->priority ? -1 : 1;
    if (a->served != b->served)
        return a->served < b->served ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

/* ---- pace ---- */

#define PACE_BLEND    0.2 /* weight of a new measurement */
#define PACE_RISE     0.4 /* of one that says rows cost more: who waits notices at once */
#define PACE_SLACK    0.7 /* of what is allowed: measurements are noisy */
#define PACE_ROWS_MIN 4   /* prefill always gets on */
#define PACE_CLEAR    64  /* prefill-only steps of so many rows tell the cost of a row */

static int bucket(int n)
{
    int b = 0;
    while (n > 1 && b < FT_PACE_BUCKETS - 1) {
        n = (n + 1) / 2;
        b++;
    }
    return b;
}

static double blend(double old, double now, double weight)
{
    if (old <= 0)
        return now;
    /* one slow step (a page fault, another process) must not count for much */
    now = FT_MIN(now, 3 * old);
    return old + weight * (now - old);
}

double ft_pace_decode_ns(const struct ft_pace *p, int n_decode)
{
    if (n_decode <= 0)
        return 0;
    int b = bucket(n_decode);
    for (int d = 0; d < FT_PACE_BUCKETS; d++) {
        if (b - d >= 0 && p->decode_ns[b - d] > 0)
            return p->decode_ns[b - d];
        if (b + d < FT_PACE_BUCKETS && p->decode_ns[b + d] > 0)
            return p->decode_ns[b + d];
    }
    return 0;
}

void ft_pace_note(struct ft_pace *p, int n_decode, int n_prefill, int64_t ns)
{
    if (n_prefill == 0) {
        double *t = &p->decode_ns[bucket(n_decode)];
        *t = blend(*t, (double)ns, PACE_BLEND);
        p->n_mixed = 0;
        return;
    }
    if (n_decode == 0) {
        /* includes reading the weights once, so an upper bound: used until better is known */
        if (n_prefill >= PACE_CLEAR)
            p->row_ns = blend(p->row_ns, (double)ns / n_prefill, PACE_BLEND);
        return;
    }
    p->n_mixed++;
    double base = ft_pace_decode_ns(p, n_decode);
    if (base <= 0)
        return;
    double row = FT_MAX((double)ns - base, 0.02 * base) / n_prefill;
    p->row_ns = blend(p->row_ns, row, row > p->row_ns ? PACE_RISE : PACE_BLEND);
}

int ft_pace_rows(struct ft_pace *p, bool decoding, double allow_ns, int max_rows)
{
    if (!decoding)
        return max_rows;
    if (p->n_mixed >= FT_PACE_REFRESH || allow_ns <= 0) {
        p->n_mixed = 0;
        return 0;
    }
    double rows = p->row_ns > 0 ? PACE_SLACK * allow_ns / p->row_ns : FT_PACE_FIRST;
    rows = FT_MAX(rows, PACE_ROWS_MIN);
    return rows < max_rows ? (int)rows : max_rows;
}
