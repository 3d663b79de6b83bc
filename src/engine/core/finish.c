/* How samples and requests end: last text, events, everything given back. A request's memory is
 * freed at the end of the step, since the step may still have siblings of the ended sample in its
 * hands. */
#include "engine/core/core.h"

#include "base/clock.h"

/* What was held back is free to be shown once nothing can follow it. */
static void last_text(struct ft_engine *e, struct ft_seq *s, enum ft_finish how)
{
    struct ft_req *q = s->req;
    ft_buf_reset(&e->piece);
    ft_buf_reset(&e->text);
    if (q->m->src->tokenizer == NULL || how == FT_FINISH_STOP_STRING)
        return;
    ft_detok_finish(&s->detok, &e->piece);
    if (q->stops.n > 0) {
        ft_stop_push(&q->stops, &s->stop, e->piece.data, e->piece.len, &e->text);
        ft_stop_finish(&s->stop, &e->text);
    } else {
        ft_buf_add(&e->text, e->piece.data, e->piece.len);
    }
}

static void tell_done(struct ft_engine *e, struct ft_seq *s, int32_t token,
                      const struct ft_sample_out *out, int stop_index)
{
    struct ft_event ev = {.kind = FT_EVENT_DONE,
                          .index = s->index,
                          .token = token,
                          .text = e->text.len > 0 ? e->text.data : "",
                          .text_n = e->text.len,
                          .finish = s->finish,
                          .stop_index = stop_index,
                          .resumed = s->replay.ended && s->finish == s->replay.how};
    if (out != NULL) {
        ev.logprob = out->logprob;
        ev.top = out->top;
        ev.n_top = out->n_top;
    }
    if (s->finish == FT_FINISH_ERROR)
        ev.err = &s->req->err;
    ft_req_emit(s->req, &ev);
}

static void unlink_request(struct ft_engine *e, struct ft_req *q)
{
    *(q->prev != NULL ? &q->prev->next : &e->requests) = q->next;
    if (q->next != NULL)
        q->next->prev = q->prev;
    struct ft_req **at = &e->hash[q->id % FT_ENGINE_HASH_SIZE];
    while (*at != q)
        at = &(*at)->hash_next;
    *at = q->hash_next;
    q->next = e->dead;
    e->dead = q;
}

/* How long of its waiting, which ended then, its model's weights were being read. */
static int64_t load_ns(const struct ft_req *q, int64_t until)
{
    int64_t from = FT_MAX(q->m->load_begun_ns, q->t_submit);
    int64_t to = q->m->load_ended_ns > from ? FT_MIN(q->m->load_ended_ns, until) : from;
    return FT_MAX(to - from, 0);
}

static void end_request(struct ft_engine *e, struct ft_req *q)
{
    int64_t now = ft_clock_now_ns();
    struct ft_usage *u = &q->usage;
    ft_account_ending(e, q);
    u->queue_ns = (q->t_admit != 0 ? q->t_admit : now) - q->t_submit;
    u->load_ns = load_ns(q, q->t_submit + u->queue_ns);
    u->prefill_ns = q->t_admit != 0 ? (q->t_first != 0 ? q->t_first : now) - q->t_admit : 0;
    u->decode_ns = q->t_first != 0 ? now - q->t_first : 0;
    struct ft_event ev = {.kind = FT_EVENT_END, .token = -1, .text = "", .usage = *u};
    ev.finish = q->failed ? FT_FINISH_ERROR : q->cancelled ? FT_FINISH_CANCELLED : q->seq[0].finish;
    if (q->failed)
        ev.err = &q->err;
    ft_sched_caller_put(&e->sched, q->caller);
    ft_radix_root_put(&q->m->radix, q->root);
    q->m->n_requests--;
    if (q->draft != NULL)
        q->draft->n_requests--;
    if (q->adapter != NULL)
        atomic_fetch_sub(&q->adapter->n_requests, 1);
    unlink_request(e, q);
    atomic_fetch_sub(&e->n_requests, 1);
    ft_engine_snapshot(e);
    ft_req_emit(q, &ev);
}

void ft_loop_finish(struct ft_engine *e, struct ft_seq *s, enum ft_finish how, int32_t token,
                    const struct ft_sample_out *out, int stop_index)
{
    struct ft_req *q = s->req;
    if (s->state == FT_SEQ_DONE)
        return;
    ft_kv_publish(e, s);
    ft_kv_release(e, s);
    ft_seq_move(e, s, FT_SEQ_DONE);
    s->finish = how;
    q->n_left--;
    if (q->r.kind == FT_REQUEST_GENERATE) {
        last_text(e, s, how);
        tell_done(e, s, token, out, stop_index);
    }
    if (q->n_left == 0)
        end_request(e, q);
}

void ft_loop_fail(struct ft_engine *e, struct ft_req *q, const struct ft_err *err)
{
    if (q->n_left == 0)
        return;
    q->failed = true;
    q->err = *err;
    for (int i = 0; i < q->n_seq; i++)
        ft_loop_finish(e, &q->seq[i], FT_FINISH_ERROR, -1, NULL, -1);
}

void ft_loop_cancel(struct ft_engine *e, struct ft_req *q)
{
    if (q->n_left == 0)
        return;
    q->cancelled = true;
    for (int i = 0; i < q->n_seq; i++)
        ft_loop_finish(e, &q->seq[i], FT_FINISH_CANCELLED, -1, NULL, -1);
}
