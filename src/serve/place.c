/* See place.h. */
#include "serve/place.h"

void ft_call_aim(struct ft_serve_call *c, struct ft_target *t)
{
    if (c->target != NULL)
        c->target->calls--;
    c->target = t;
    if (t != NULL)
        t->calls++;
}

/* Of the endpoint's targets the one that this call falls on. NULL: none is left. */
static struct ft_target *draw_target(const struct ft_serve_call *c)
{
    const struct ft_endpoint *e = c->endpoint;
    double weight[FT_SERVE_TARGETS_MAX];
    for (int i = 0; i < e->n_target; i++)
        weight[i] = c->avoid >> i & 1 ? 0 : e->target[i]->weight;
    int i = ft_router_draw(weight, e->n_target, c->key);
    return i >= 0 ? e->target[i] : NULL;
}

struct ft_target *ft_call_target(struct ft_serve_call *c)
{
    if (c->begun || c->suspect)
        return c->target; /* it must go on where it began: another model says other things */
    struct ft_target *t = draw_target(c);
    if (t == NULL && c->avoid != 0) {
        c->avoid = 0; /* all have failed it: from the beginning */
        t = draw_target(c);
    }
    return t;
}

/* ---- where its time goes ---- */

/* Is no replica of the target ready? Found out once for all that are looked at together. */
static bool is_cold(struct ft_serve *s, struct ft_target *t)
{
    if (t == NULL || t->kind != FT_TARGET_MODEL)
        return false;
    if (t->cold_turn != s->looks) {
        t->cold_turn = s->looks;
        t->cold = true;
        for (int k = 0; k < FT_SERVE_WORKERS_MAX && t->cold; k++)
            t->cold = s->worker[k] == NULL || !ft_workers_serves(s, t, k);
    }
    return t->cold;
}

/* What it has waited since it was looked at last goes to what it waited for. */
void ft_call_waited(struct ft_serve_call *c, int64_t now)
{
    int64_t us = (now - c->waited_ns) / 1000;
    *(c->cold ? &c->phases.start_us : &c->phases.queue_us) += FT_MAX(us, 0);
    c->waited_ns = now;
}

/* QUEUED: looks whether there is a replica by now, or none any more. */
void ft_call_look(struct ft_serve_call *c, int64_t now)
{
    bool cold = is_cold(c->s, ft_call_target(c));
    if (cold == c->cold)
        return;
    ft_call_waited(c, now);
    c->cold = cold;
    ft_moment_add(&c->phases, cold ? FT_MOMENT_COLD : FT_MOMENT_REPLICA, 0, now);
}

/* It becomes QUEUED. */
void ft_call_wait(struct ft_serve_call *c, int ahead, int64_t now)
{
    c->waited_ns = now;
    c->cold = false;
    ft_moment_add(&c->phases, FT_MOMENT_QUEUED, ahead, now);
    ft_call_look(c, now);
}

/* Its prompt is read now at place k; until it has said something, others with the same beginning
 * wait for it. */
static void lead(struct ft_serve_call *c, struct ft_worker *w)
{
    if (c->chain == NULL || c->chain->n < FT_ROUTER_HOLD || w->n_leader == FT_ROUTER_LEADERS_MAX)
        return;
    w->leader[w->n_leader++] = c;
    c->leads = true;
}

/* It has been read, or will not be. */
void ft_call_lead_end(struct ft_serve_call *c, bool read)
{
    struct ft_serve *s = c->s;
    struct ft_worker *w = s->worker[c->place];
    for (int i = 0; i < w->n_leader; i++)
        if (w->leader[i] == c)
            w->leader[i--] = w->leader[--w->n_leader];
    c->leads = false;
    if (read)
        ft_router_note(w->seen, c->chain);
    if (s->queue.waiting > 0)
        ft_serve_kick(s);
}

void ft_call_reserve(struct ft_serve_call *c, struct ft_target *t, int k)
{
    struct ft_serve *s = c->s;
    ft_call_move(c, FT_CALL_STARTING); /* from here on it is no longer a waiting one */
    c->attempt++;
    c->refs++; /* of call_start */
    c->progress = false;
    c->job = NULL;
    c->tried_ns = s->now(s->now_ctx);
    if (c->waited_ns != 0)
        ft_call_waited(c, c->tried_ns);
    c->waited_ns = 0;
    ft_moment_add(&c->phases, FT_MOMENT_GIVEN, k, c->tried_ns);
    ft_call_aim(c, t);
    ft_target_name(c->endpoint, t, c->given_to, sizeof c->given_to);
    c->place = k;
    t->running++;
    c->endpoint->running++;
    c->project->running++;
    if (k >= 0) {
        t->at[k]++;
        s->worker[k]->running++;
        lead(c, s->worker[k]);
    }
}

void ft_call_release(struct ft_serve_call *c)
{
    c->target->running--;
    c->endpoint->running--;
    c->project->running--;
    if (c->place >= 0) {
        c->target->at[c->place]--;
        c->s->worker[c->place]->running--;
        if (c->leads)
            ft_call_lead_end(c, false);
    }
}

static enum ft_target_end end_of(const struct ft_err *err)
{
    if (err == NULL)
        return FT_END_OK;
    switch (err->code) {
    case FT_ECANCELED:
        return FT_END_CANCELLED;
    case FT_EINVAL: /* the request's own fault: says nothing about the version */
    case FT_ELIMIT:
    case FT_EUNSUPPORTED:
        return FT_END_REFUSED;
    default:
        return FT_END_ERROR;
    }
}

void ft_call_tally(const struct ft_serve_call *c, const struct ft_err *err, int64_t now)
{
    if (c->target == NULL) /* it came to none */
        return;
    struct ft_target_tally *t = &c->target->tally;
    t->ended[end_of(err)]++;
    if (err != NULL)
        return;
    t->duration_s += (double)(now - c->begun_ns) / 1e9;
    if (c->first_ns != 0) {
        t->first++;
        t->first_s += (double)(c->first_ns - c->begun_ns) / 1e9;
    }
}

bool ft_call_is_background(const struct ft_serve_call *c)
{
    return c->item.priority <= FT_QUEUE_BACKGROUND;
}

/* How many calls may run where this one would: background ones leave half of the places, so that
 * whoever else comes finds one at once. */
static int cap_for(const struct ft_serve_call *c, const struct ft_target *t)
{
    return ft_call_is_background(c) ? FT_MAX(1, t->cap / 2) : t->cap;
}

/* What place k would be for the call. */
static struct ft_router_place place_at(const struct ft_serve_call *c, const struct ft_target *t,
                                       int k)
{
    const struct ft_worker *w = c->s->worker[k];
    struct ft_router_place p = {.load = w->running, .room = t->at[k] < cap_for(c, t)};
    if (c->chain == NULL)
        return p;
    p.match = p.soon = ft_router_match(w->seen, c->chain);
    for (int i = 0; i < w->n_leader; i++)
        p.soon = FT_MAX(p.soon, ft_router_common(w->leader[i]->chain, c->chain));
    return p;
}

/* Chooses a replica with room and reserves it. False: there is none now. */
bool ft_call_find_room(struct ft_serve_call *c)
{
    struct ft_serve *s = c->s;
    struct ft_target *t = ft_call_target(c);
    if (t == NULL)
        return false;
    if (t->kind != FT_TARGET_MODEL) {
        if (t->running >= cap_for(c, t))
            return false;
        ft_call_reserve(c, t, -1);
        return true;
    }
    struct ft_router_place place[FT_SERVE_WORKERS_MAX];
    int at[FT_SERVE_WORKERS_MAX], n = 0;
    for (int k = 0; k < FT_SERVE_WORKERS_MAX; k++) {
        if (s->worker[k] == NULL || !ft_workers_serves(s, t, k) ||
            !(c->begun || ft_workers_wants(s, t, k)))
            continue;
        place[n] = place_at(c, t, k);
        at[n++] = k;
    }
    int i = n > 0 ? ft_router_choose(place, n, s->turn++) : -1;
    if (i < 0 || place[i].soon - place[i].match >= FT_ROUTER_HOLD)
        return false; /* full, or it pays to wait until another's beginning is read */
    ft_call_reserve(c, t, at[i]);
    return true;
}
