/* Sequences' states, requests' making and unmaking, events. See seq.h. */
#include "engine/core/seq.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "engine/core/core.h"

/* ---- states ---- */

#define TO(s) (1u << FT_SEQ_##s)

/* allowed[from]: bits of the states it may move to. */
static const unsigned allowed[FT_SEQ_STATES] = {
    [FT_SEQ_WAITING] = TO(PREFILL) | TO(DONE),
    [FT_SEQ_FORKING] = TO(WAITING) | TO(DECODE) | TO(DONE),
    [FT_SEQ_PREFILL] = TO(DECODE) | TO(PREEMPTED) | TO(DONE),
    [FT_SEQ_DECODE] = TO(PAUSED) | TO(PREEMPTED) | TO(DONE),
    [FT_SEQ_PAUSED] = TO(DECODE) | TO(PREEMPTED) | TO(DONE),
    [FT_SEQ_PREEMPTED] = TO(PREFILL) | TO(DONE),
    [FT_SEQ_DONE] = 0,
};

const char *ft_seq_state_name(enum ft_seq_state s)
{
    static const char *const name[] = {"waiting", "forking",   "prefill", "decode",
                                       "paused",  "preempted", "done"};
    return name[s];
}

static bool waits(enum ft_seq_state s)
{
    return s == FT_SEQ_WAITING || s == FT_SEQ_PREEMPTED;
}

static void wait_add(struct ft_hosted *m, struct ft_seq *s)
{
    struct ft_seq *after = m->wait_tail; /* by order; new ones come last */
    while (after != NULL && after->order > s->order)
        after = after->prev;
    s->prev = after;
    s->next = after != NULL ? after->next : m->wait_head;
    if (s->next != NULL)
        s->next->prev = s;
    else
        m->wait_tail = s;
    if (after != NULL)
        after->next = s;
    else
        m->wait_head = s;
}

static void wait_del(struct ft_hosted *m, struct ft_seq *s)
{
    *(s->prev != NULL ? &s->prev->next : &m->wait_head) = s->next;
    *(s->next != NULL ? &s->next->prev : &m->wait_tail) = s->prev;
    s->next = s->prev = NULL;
}

static void run_add(struct ft_engine *e, struct ft_seq *s)
{
    FT_ASSERT(e->n_running < FT_ENGINE_RUNNING_MAX);
    s->running_at = e->n_running;
    e->running[e->n_running++] = s;
}

static void run_del(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_seq *last = e->running[--e->n_running];
    e->running[s->running_at] = last;
    last->running_at = s->running_at;
    s->running_at = -1;
}

void ft_seq_move(struct ft_engine *e, struct ft_seq *s, enum ft_seq_state to)
{
    struct ft_hosted *m = s->req->m;
    FT_ASSERT(allowed[s->state] & 1u << to);
    bool waited = waits(s->state), ran = ft_seq_holds_kv(s);
    e->n_state[s->state]--;
    m->n_state[s->state]--;
    s->state = to;
    e->n_state[to]++;
    m->n_state[to]++;
    if (waited && !waits(to))
        wait_del(m, s);
    if (!waited && waits(to))
        wait_add(m, s);
    if (ran && !ft_seq_holds_kv(s))
        run_del(e, s);
    if (!ran && ft_seq_holds_kv(s))
        run_add(e, s);
}

void ft_seq_enter(struct ft_engine *e, struct ft_seq *s)
{
    s->order = e->next_order++;
    bool first = s->index == s->req->lead || s->req->m->has_state;
    s->state = first ? FT_SEQ_WAITING : FT_SEQ_FORKING;
    e->n_state[s->state]++;
    s->req->m->n_state[s->state]++;
    if (waits(s->state))
        wait_add(s->req->m, s);
}

/* ---- events ---- */

void ft_req_emit(struct ft_req *q, const struct ft_event *ev)
{
    if (q->stream != NULL)
        ft_stream_push(q->stream, ev);
    else
        q->r.on_event(q->r.ctx, ev);
}

bool ft_req_blocked(struct ft_req *q)
{
    if (q->stream != NULL)
        return !ft_stream_has_room(q->stream) || q->paused;
    return q->paused;
}

const char *ft_finish_name(enum ft_finish f)
{
    static const char *const name[] = {"eos",    "stop_token", "stop_string",
                                       "length", "cancelled",  "error"};
    return (size_t)f < FT_COUNT(name) ? name[f] : "unknown";
}
