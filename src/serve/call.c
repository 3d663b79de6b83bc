/* Calls: from submit to END, over as many tries as it takes.
 *
 * A call that finds room starts on the caller's thread, at once. Others wait in the fair queue, and
 * the serving thread starts them when there is room. Pieces go from the replica's thread straight
 * to the client's callback; their tokens are written down on the way, so that another replica can
 * go on behind them. A call's replica ends it before it is tried again, so its pieces never come
 * from two threads at once. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "base/utf8.h"
#include "serve/core.h"
#include "serve/place.h"

#define MS            FT_SERVE_MS
#define RETRY_MS_MIN  200
#define RETRY_MS_MAX  30000
#define CALL_MS_START 1000.0
#define CALL_MS_PART  0.1 /* of the newest in the moving mean */
#define START_BATCH   64

static void call_start(struct ft_serve_call *c);
static void on_piece(void *ctx, const struct ft_piece *piece);

static struct ft_serve_call *call_of(struct ft_queue_item *item)
{
    return (struct ft_serve_call *)item;
}

void ft_call_move(struct ft_serve_call *c, enum ft_call_state to)
{
    static const unsigned char from[] = {
        [FT_CALL_QUEUED] = 1 << FT_CALL_STARTING | 1 << FT_CALL_RUNNING,
        [FT_CALL_STARTING] = 1 << FT_CALL_QUEUED,
        [FT_CALL_RUNNING] = 1 << FT_CALL_STARTING,
        [FT_CALL_DONE] = 1 << FT_CALL_QUEUED | 1 << FT_CALL_STARTING | 1 << FT_CALL_RUNNING,
    };
    FT_ASSERT(from[to] >> c->state & 1);
    c->state = to;
}

/* ---- its beginning and its end ---- */

static void call_free(struct ft_serve_call *c)
{
    for (int i = 0; i < c->n_choice; i++)
        free(c->choice[i].token);
    free(c->choice);
    free(c->chain);
    free(c->trace_parent);
    free(c->trace_state);
    ft_json_unref(c->body);
    free(c);
}

/* Under the lock. */
static void call_enter(struct ft_serve *s, struct ft_serve_call *c)
{
    ft_queue_enter(&s->queue, c->project);
    c->next = s->calls;
    if (s->calls != NULL)
        s->calls->prev = c;
    s->calls = c;
    s->n_calls++;
    c->endpoint->calls++;
    c->endpoint->served++;
}

/* It is DONE and was told so. Frees it unless another thread is still in call_start. */
static void call_leave(struct ft_serve_call *c)
{
    struct ft_serve *s = c->s;
    pthread_mutex_lock(&s->mu);
    ft_call_aim(c, NULL);
    c->endpoint->calls--;
    *(c->prev != NULL ? &c->prev->next : &s->calls) = c->next;
    if (c->next != NULL)
        c->next->prev = c->prev;
    s->n_calls--;
    double ms = (double)(s->now(s->now_ctx) - c->begun_ns) / (double)MS;
    s->call_ms += CALL_MS_PART * (ms - s->call_ms);
    if (s->n_calls == 0)
        pthread_cond_broadcast(&s->quiet);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&s->mu);
    if (last)
        call_free(c);
}

static void call_unref(struct ft_serve_call *c)
{
    pthread_mutex_lock(&c->s->mu);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&c->s->mu);
    if (last)
        call_free(c);
}

/* Without the lock; the call is DONE. */
static void tell_end(struct ft_serve_call *c, const struct ft_piece *end)
{
    c->on_piece(c->ctx, end);
    call_leave(c);
}

/* How long until a place in the queue is free, roughly. */
static int retry_ms(const struct ft_serve *s, const struct ft_endpoint *e)
{
    int running = FT_MAX(e->running, 1);
    double ms = s->call_ms * (1 + ft_queue_waiting(&s->queue, e)) / running;
    return ms < RETRY_MS_MIN ? RETRY_MS_MIN : ms > RETRY_MS_MAX ? RETRY_MS_MAX : (int)ms;
}

/* ---- submit ---- */

static int call_new(struct ft_serve *s, const struct ft_serve_request *q,
                    struct ft_serve_call **ret, struct ft_err *err)
{
    if (strlen(q->id) >= FT_SERVE_NAME_MAX)
        return ft_err_set(err, FT_EINVAL, "request id: longer than %d bytes",
                          FT_SERVE_NAME_MAX - 1);
    struct ft_serve_call *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    c->s = s;
    c->refs = 1;
    strcpy(c->id, q->id);
    c->key = ft_hash_bytes(q->id, strlen(q->id));
    c->kind = q->kind;
    c->body = ft_json_ref(q->body);
    c->may_log = q->may_log;
    c->trace_parent =
        q->trace_parent != NULL ? strdup(q->trace_parent) : NULL;            /* without memory: */
    c->trace_state = q->trace_state != NULL ? strdup(q->trace_state) : NULL; /* no trace */
    c->on_piece = q->on_piece;
    c->ctx = q->ctx;
    c->item.priority = q->priority;
    c->place = -1;
    c->resumable = true;
    c->begun_ns = s->now(s->now_ctx);
    c->until_ns = c->begun_ns + s->wait_ms_max * MS;
    *ret = c;
    return 0;
}

/* The chain that affinity needs, where there is a choice. Without the lock. */
static void call_chain(struct ft_serve_call *c, const struct ft_serve_request *q)
{
    c->chain = malloc(sizeof *c->chain);
    if (c->chain != NULL)
        ft_router_chain_of(q->body, q->project, q->endpoint, c->chain);
}

/* 0: it waits. Under the lock. */
static int call_queue(struct ft_serve_call *c, const struct ft_serve_request *q, int *ret_retry_ms,
                      struct ft_err *err)
{
    struct ft_serve *s = c->s;
    int most = q->queue_max > 0 ? q->queue_max : FT_SERVE_PROJECT_QUEUE;
    bool back = ft_call_is_background(c);
    const struct ft_queue_project *p = c->project;
    int all = back ? s->queue.background : s->queue.waiting - s->queue.background;
    bool own = (back ? p->background : p->waiting - p->background) >= most;
    if (own || all >= s->queue_max) {
        *ret_retry_ms = retry_ms(s, c->endpoint);
        return ft_err_set(err, FT_EBUSY,
                          own ? "%d requests of the project wait already"
                              : "%d requests wait already",
                          own ? most : s->queue_max);
    }
    c->phases.queue_ahead = ft_queue_ahead(&s->queue, c->endpoint, q->priority);
    if (ft_queue_add(&s->queue, c->project, c->endpoint, &c->item, q->priority, false) != 0)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    s->looks++;
    ft_call_wait(c, (int)c->phases.queue_ahead, s->now(s->now_ctx));
    ft_serve_kick(s);
    return 0;
}

int ft_serve_submit(struct ft_serve *s, const struct ft_serve_request *q,
                    struct ft_serve_call **ret, int *ret_retry_ms, struct ft_err *err)
{
    struct ft_serve_call *c = NULL;
    int rc = call_new(s, q, &c, err);
    if (rc != 0)
        return rc;
    if (atomic_load_explicit(&s->choice, memory_order_relaxed))
        call_chain(c, q);
    bool start = false;
    pthread_mutex_lock(&s->mu);
    c->endpoint = ft_endpoint_find(s, q->endpoint, q->project);
    if (s->draining) {
        *ret_retry_ms = 1000;
        rc = ft_err_set(err, FT_EBUSY, "the server is shutting down");
    } else if (c->endpoint == NULL) {
        rc = ft_err_set(err, FT_ENOTFOUND,
                        "the model %s does not exist, or this project has no "
                        "access to it",
                        q->endpoint);
    } else {
        c->project = ft_queue_project(&s->queue, q->project, q->weight);
        ft_queue_enter(&s->queue, c->project);
        start =
            (s->queue.waiting == 0 || ft_queue_ahead(&s->queue, c->endpoint, q->priority) == 0) &&
            ft_call_find_room(c);
        if (!start)
            rc = call_queue(c, q, ret_retry_ms, err);
        if (rc == 0) {
            call_enter(s, c);
            *ret = c;
        }
    }
    pthread_mutex_unlock(&s->mu);
    if (rc != 0)
        call_free(c);
    else if (start)
        call_start(c);
    return rc;
}

/* ---- one try ---- */

static struct ft_replica *replica_of(const struct ft_serve_call *c)
{
    return c->place >= 0 ? c->s->worker[c->place]->replica : c->target->replica;
}

/* A submit that failed is an END that came at once. */
static void start_failed(struct ft_serve_call *c, const struct ft_err *err)
{
    struct ft_piece end = {.kind = FT_PIECE_END, .err = err};
    end.fault = err->code == FT_EBUSY                           ? FT_FAULT_BUSY
                : err->code == FT_EIO || err->code == FT_ENOMEM ? FT_FAULT_UNHEARD
                                                                : FT_FAULT_CALL;
    on_piece(c, &end);
}

/* Room is reserved. Without the lock. */
static void call_start(struct ft_serve_call *c)
{
    struct ft_serve *s = c->s;
    struct ft_target *t = c->target;
    struct ft_replica *r = replica_of(c);
    unsigned attempt = c->attempt;
    struct ft_err err;
    struct ft_job job = {.kind = c->kind,
                         .trace_parent = c->trace_parent,
                         .trace_state = c->trace_state,
                         .on_piece = on_piece,
                         .ctx = c};
    struct ft_replica_job *running = NULL;
    json_t *body = ft_body_for(c, t->kind != FT_TARGET_URL, r->ops->resumes);
    int rc = FT_ENOMEM;
    if (body == NULL)
        ft_err_set(&err, FT_ENOMEM, "out of memory");
    else {
        job.body = body;
        rc = r->ops->submit(r, &job, &running, &err);
        ft_json_unref(body);
    }
    if (rc != 0) {
        start_failed(c, &err);
        call_unref(c);
        return;
    }
    pthread_mutex_lock(&s->mu);
    if (c->attempt == attempt && c->state == FT_CALL_STARTING) {
        c->job = running; /* it has not ended yet, and cannot while the lock is held */
        ft_call_move(c, FT_CALL_RUNNING);
        if (c->paused)
            r->ops->pause(r, running, true);
        if (c->canceled)
            r->ops->cancel(r, running);
    }
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&s->mu);
    if (last)
        call_free(c);
}

static struct ft_call_choice *choice_of(struct ft_serve_call *c, int i)
{
    if (i < 0 || i >= FT_PIECE_CHOICES_MAX)
        return NULL;
    if (i >= c->n_choice) {
        struct ft_call_choice *more = realloc(c->choice, (size_t)(i + 1) * sizeof *more);
        if (more == NULL)
            return NULL;
        memset(more + c->n_choice, 0, (size_t)(i + 1 - c->n_choice) * sizeof *more);
        c->choice = more;
        c->n_choice = i + 1;
    }
    return &c->choice[i];
}

/* Writes down tokens that are about to be passed on. False: they cannot be kept. */
static bool choice_keep(struct ft_call_choice *h, const int32_t *token, int n)
{
    if (h->n + n > h->cap) {
        int cap = FT_MAX(2 * h->cap, h->n + FT_MAX(n, 16));
        int32_t *more =
            h->n + n <= FT_SERVE_RESUME_MAX ? realloc(h->token, (size_t)cap * sizeof *more) : NULL;
        if (more == NULL)
            return false;
        h->token = more;
        h->cap = cap;
    }
    memcpy(h->token + h->n, token, (size_t)n * sizeof *token);
    h->n += n;
    return true;
}

/* A piece of the answer. False: the client has it already (a choice that had ended before its
 * replica died). */
static bool piece_note(struct ft_serve_call *c, const struct ft_piece *p)
{
    if (!c->begun && p->kind != FT_PIECE_RESULT)
        c->first_ns = c->s->now(c->s->now_ctx);
    c->begun = true;
    if (p->kind == FT_PIECE_RESULT) {
        c->resumable = false;
        return true;
    }
    struct ft_call_choice *h = choice_of(c, p->choice);
    if (h == NULL) {
        c->resumable = false;
        return true;
    }
    if (h->closed)
        return false;
    if (p->kind == FT_PIECE_FINISH)
        h->finishing = true;
    if (p->kind != FT_PIECE_STEP)
        return true;
    h->closed = h->finishing;
    if (p->n_token == 0 && !h->closed) {
        c->resumable = false; /* a server that does not tell */
        return true;
    }
    if (p->n_token > 0) {
        c->progress = true;
        if (c->resumable && !choice_keep(h, p->token, p->n_token))
            c->resumable = false;
        c->charged += p->n_token;
        ft_queue_charge(c->project, p->n_token);
    }
    return true;
}

/* Whether a server that is not ours answered last: its refusals are answers too. */
static void note_answer(struct ft_target *t, const struct ft_piece *p)
{
    if (p->err != NULL && p->err->code == FT_ECANCELED)
        return;
    t->asked = true;
    t->silent = p->err != NULL && p->err->code == FT_EIO;
}

/* The replica has ended the call with an error: what now? Under the lock; true: it goes on. */
static bool try_again(struct ft_serve_call *c, const struct ft_piece *p,
                      enum ft_failover_verdict *ret_verdict)
{
    struct ft_serve *s = c->s;
    struct ft_target *t = c->target;
    int delay_ms = 0;
    int64_t now = s->now(s->now_ctx);
    struct ft_failover_end end = {
        .err = p->err,
        .fault = p->fault,
        .ran_ms = (int)FT_MIN((now - c->tried_ns) / MS, (int64_t)INT32_MAX),
        .retry_after_ms = p->retry_after_ms,
        .ours = t->kind == FT_TARGET_MODEL,
        .alone = c->place == FT_SERVE_QUARANTINE,
        .begun = c->begun,
        .resumable = c->resumable && replica_of(c)->ops->resumes,
        .progress = c->progress,
        .choice = c->endpoint->n_target > 1 && !c->begun,
    };
    if (end.ours && p->err->code == FT_ENOTFOUND) {
        /* a process that does not have the model (yet): another than the one it was meant for */
        end.fault = FT_FAULT_UNHEARD;
        ft_held_doubt(s, t, c->place);
    }
    *ret_verdict =
        c->canceled ? FT_FAILOVER_TELL : ft_failover_judge(&c->failover, &end, &delay_ms);
    if (*ret_verdict == FT_FAILOVER_TELL || *ret_verdict == FT_FAILOVER_GUILTY)
        return false;
    if (c->progress)
        c->until_ns = FT_MAX(c->until_ns, now + s->wait_ms_max * MS);
    if (now + delay_ms * MS >= c->until_ns) {
        *ret_verdict = FT_FAILOVER_TELL;
        return false;
    }
    c->not_before_ns = now + delay_ms * MS;
    if (!end.ours) {
        if (end.choice && end.fault != FT_FAULT_BUSY)
            ft_call_tally(c, p->err, now); /* another answers in its place */
        for (int i = 0; i < c->endpoint->n_target; i++)
            if (c->endpoint->target[i] == t)
                c->avoid |= 1u << i;
    }
    if (*ret_verdict == FT_FAILOVER_SUSPECT) {
        c->suspect = true;
        c->later = NULL;
        *s->suspect_end = c;
        s->suspect_end = &c->later;
    } else if (ft_queue_add(&s->queue, c->project, c->endpoint, &c->item, c->item.priority, true) !=
               0) {
        *ret_verdict = FT_FAILOVER_TELL;
        return false;
    }
    if (end.fault == FT_FAULT_UNHEARD) /* nothing was begun there */
        c->phases.queue_us += FT_MAX(now - c->tried_ns, 0) / 1000;
    if (end.fault == FT_FAULT_REPLICA) {
        c->phases.failovers++;
        c->endpoint->failovers++;
        c->phases.failed_us += FT_MAX(now - c->tried_ns, 0) / 1000;
        ft_moment_add(&c->phases, FT_MOMENT_FAILED, c->place, now);
    }
    ft_call_move(c, FT_CALL_QUEUED);
    s->looks++;
    ft_call_wait(c, 0, now);
    ft_serve_kick(s);
    return true;
}

/* What the client is told where it is not the call's own fault; the log has the replica's words,
 * which may name what is none of its business. Under the lock. False: as it is. */
static bool end_in_our_words(const struct ft_serve_call *c, const struct ft_piece *p, bool guilty,
                             int place, struct ft_err *ret)
{
    const char *name = c->endpoint->name;
    bool lost = p->err->code == FT_EIO;
    if (guilty && place >= 0 && c->s->worker[place]->out_of_memory)
        return ft_workers_no_memory(c->s, place, name, ret);
    if (guilty)
        ft_err_set(ret, FT_EINTERNAL,
                   "this request ended the process that worked on it %d times, at last alone in "
                   "one of its own; it is not tried again",
                   c->failover.deaths + c->failover.alone);
    else if (c->canceled || (p->fault != FT_FAULT_UNHEARD && p->fault != FT_FAULT_REPLICA))
        return false;
    else if (place >= 0 && lost)
        ft_err_set(ret, FT_EUNAVAIL, "the worker behind '%s' ended in the middle of the answer",
                   name);
    else if (place < 0 && p->err->code != FT_ENOMEM) /* that is ours */
        ft_err_set(ret, FT_EUNAVAIL,
                   !lost      ? "the server behind '%s' failed"
                   : c->begun ? "the server behind '%s' broke off in the middle of the answer"
                              : "the server behind '%s' does not answer",
                   name);
    else
        return false;
    return true;
}

/* Under the lock. */
static void log_end(const struct ft_serve_call *c, const struct ft_piece *p, bool on, int place,
                    enum ft_failover_verdict verdict)
{
    bool ours = p->fault == FT_FAULT_UNHEARD || p->fault == FT_FAULT_REPLICA;
    if (p->err == NULL || p->err->code == FT_ECANCELED)
        return;
    char where[24] = "its server";
    if (place >= 0)
        snprintf(where, sizeof where, "worker %d", place);
    /* Another's server may quote of the prompt what it likes; that it was lost, or says what is no
     * answer, are our words. */
    bool foreign = place < 0 && p->err->code != FT_EIO && p->err->code != FT_ECORRUPT;
    bool words = (on || ours) && (!foreign || c->may_log);
    ft_log(on     ? FT_LOG_INFO
           : ours ? FT_LOG_WARN
                  : FT_LOG_DEBUG,
           "serve", "%s on %s, %s: %s%s", c->id, c->endpoint->name, where,
           words ? p->err->msg : ft_code_name(p->err->code), /* words may be a prompt's */
           verdict == FT_FAILOVER_AGAIN     ? "; it is tried again"
           : verdict == FT_FAILOVER_SUSPECT ? "; goes to the quarantine"
           : ours                           ? "; the client is told"
                                            : "");
}

/* A worker's own, of the last try that told any. */
static void take_phases(struct ft_serve_call *c, const struct ft_phases *told)
{
    for (int i = FT_PHASE_FIELDS - FT_PHASE_FIELDS_WORKER; told != NULL && i < FT_PHASE_FIELDS; i++)
        *ft_phase_at(&c->phases, i) = ft_phase_get(told, i);
}

static void on_end(struct ft_serve_call *c, const struct ft_piece *p)
{
    struct ft_err err;
    struct ft_serve *s = c->s;
    enum ft_failover_verdict verdict = FT_FAILOVER_TELL;
    pthread_mutex_lock(&s->mu);
    int place = c->place;
    if (place == FT_SERVE_QUARANTINE)
        s->suspect_runs = false;
    if (place < 0)
        note_answer(c->target, p);
    ft_call_release(c);
    bool on = p->err != NULL && try_again(c, p, &verdict);
    if (!on) {
        ft_call_move(c, FT_CALL_DONE);
        ft_call_tally(c, p->err, s->now(s->now_ctx));
        ft_queue_charge(c->project, FT_MAX(p->usage.prompt_tokens, 0) +
                                        FT_MAX(p->usage.completion_tokens - c->charged, 0));
    }
    if (s->queue.waiting > 0 || s->suspect != NULL || p->fault != FT_FAULT_CALL)
        ft_serve_kick(s);
    log_end(c, p, on, place, verdict);
    if (p->err != NULL)
        ft_tell_end(c, p, on, place, verdict);
    struct ft_piece end = *p;
    take_phases(c, p->usage.phases);
    end.usage.phases = &c->phases;
    end.usage.target = c->given_to;
    if (!on && p->err != NULL &&
        end_in_our_words(c, p, verdict == FT_FAILOVER_GUILTY, place, &err)) {
        end.err = &err;
        end.fault = FT_FAULT_CALL;
    }
    pthread_mutex_unlock(&s->mu);
    if (!on)
        tell_end(c, &end);
}

static void on_piece(void *ctx, const struct ft_piece *piece)
{
    struct ft_serve_call *c = ctx;
    if (c->leads && piece->kind != FT_PIECE_END) {
        pthread_mutex_lock(&c->s->mu);
        ft_call_lead_end(c, true);
        pthread_mutex_unlock(&c->s->mu);
    }
    if (piece->kind == FT_PIECE_END)
        on_end(c, piece);
    else if (piece_note(c, piece))
        c->on_piece(c->ctx, piece);
}

/* ---- cancel, pause ---- */

static void suspects_remove(struct ft_serve *s, struct ft_serve_call *c)
{
    struct ft_serve_call **at = &s->suspect;
    while (*at != NULL && *at != c)
        at = &(*at)->later;
    if (*at == NULL)
        return;
    *at = c->later;
    if (s->suspect_end == &c->later)
        s->suspect_end = at;
}

void ft_call_end_waiting(struct ft_serve_call *c, enum ft_code code, int wait_ms, const char *why)
{
    struct ft_serve *s = c->s;
    if (c->ending)
        return;
    if (c->item.flow != NULL)
        ft_queue_remove(&s->queue, &c->item);
    else
        suspects_remove(s, c);
    ft_call_waited(c, s->now(s->now_ctx));
    ft_err_set(&c->end_err, code, "%s", why);
    c->end_retry_ms = wait_ms;
    c->ending = true;
    c->later = s->ended;
    s->ended = c;
    ft_serve_kick(s);
}

void ft_call_end_all(struct ft_serve *s, const struct ft_endpoint *e, const struct ft_target *t,
                     enum ft_code code, const char *why)
{
    for (struct ft_serve_call *c = s->calls; c != NULL; c = c->next) {
        if (c->state != FT_CALL_QUEUED || c->ending || (e != NULL && c->endpoint != e))
            continue;
        if (t == NULL ? !c->begun : ft_call_target(c) == t)
            ft_call_end_waiting(c, code, 0, why);
    }
}

/* Under the lock. */
static void cancel_one(struct ft_serve_call *c)
{
    c->canceled = true;
    if (c->state == FT_CALL_QUEUED)
        ft_call_end_waiting(c, FT_ECANCELED, 0, "canceled");
    else if (c->state == FT_CALL_RUNNING)
        replica_of(c)->ops->cancel(replica_of(c), c->job);
}

void ft_call_cancel_all(struct ft_serve *s)
{
    for (struct ft_serve_call *c = s->calls; c != NULL; c = c->next)
        if (!c->canceled)
            cancel_one(c);
}

void ft_serve_cancel(struct ft_serve *s, struct ft_serve_call *call)
{
    pthread_mutex_lock(&s->mu);
    if (call->state != FT_CALL_DONE && !call->canceled)
        cancel_one(call);
    pthread_mutex_unlock(&s->mu);
}

void ft_serve_look(struct ft_serve *s, struct ft_serve_call *call, struct ft_phases *ret,
                   char *ret_target, size_t n)
{
    pthread_mutex_lock(&s->mu);
    if (call->state == FT_CALL_QUEUED)
        ft_call_waited(call, s->now(s->now_ctx));
    *ret = call->phases;
    snprintf(ret_target, n, "%s", call->given_to);
    ret_target[ft_utf8_valid_len(ret_target, strlen(ret_target))] = '\0';
    pthread_mutex_unlock(&s->mu);
}

void ft_serve_pause(struct ft_serve *s, struct ft_serve_call *call, bool paused)
{
    pthread_mutex_lock(&s->mu);
    if (call->paused != paused) {
        call->paused = paused;
        if (call->state == FT_CALL_RUNNING)
            replica_of(call)->ops->pause(replica_of(call), call->job, paused);
    }
    pthread_mutex_unlock(&s->mu);
}

/* ---- the serving thread's part ---- */

struct room {
    int64_t now, next;
};

static bool has_room(void *ctx, struct ft_queue_item *item)
{
    struct room *room = ctx;
    struct ft_serve_call *c = call_of(item);
    if (c->not_before_ns > room->now) {
        room->next = FT_MIN(room->next, c->not_before_ns);
        return false;
    }
    return ft_call_find_room(c);
}

/* The next suspect, if the quarantine is free. Under the lock. */
static struct ft_serve_call *next_suspect(struct ft_serve *s, struct room *room)
{
    struct ft_serve_call *c = s->suspect;
    if (c == NULL || s->suspect_runs || !ft_workers_serves(s, c->target, FT_SERVE_QUARANTINE))
        return NULL;
    if (c->not_before_ns > room->now) {
        room->next = FT_MIN(room->next, c->not_before_ns);
        return NULL;
    }
    suspects_remove(s, c);
    s->suspect_runs = true;
    ft_call_reserve(c, c->target, FT_SERVE_QUARANTINE);
    return c;
}

/* Looks at those that wait; ends those that have for too long. Under the lock. */
static void expire(struct ft_serve *s, struct room *room)
{
    s->looks++;
    for (struct ft_serve_call *c = s->calls; c != NULL; c = c->next) {
        if (c->state != FT_CALL_QUEUED || c->ending)
            continue;
        if (c->cold || c->phases.failovers > 0) /* others had a replica when they came */
            ft_call_look(c, room->now);
        if (c->until_ns <= room->now)
            ft_call_end_waiting(c, FT_EBUSY, retry_ms(s, c->endpoint),
                                "no replica of the model became free in time");
        else
            room->next = FT_MIN(room->next, c->until_ns);
    }
}

static void tell_ended(struct ft_serve *s)
{
    pthread_mutex_lock(&s->mu);
    struct ft_serve_call *c = s->ended;
    s->ended = NULL;
    for (struct ft_serve_call *i = c; i != NULL; i = i->later) {
        ft_call_move(i, FT_CALL_DONE);
        if (i->begun) /* others were not answered by any: the queue's matter */
            ft_call_tally(i, &i->end_err, 0);
    }
    pthread_mutex_unlock(&s->mu);
    while (c != NULL) {
        struct ft_serve_call *later = c->later;
        struct ft_piece end = {.kind = FT_PIECE_END, .retry_after_ms = c->end_retry_ms};
        struct ft_err err = c->end_err;
        end.err = &err;
        end.usage.phases = &c->phases;
        end.usage.target = c->given_to;
        for (int i = 0; i < c->n_choice; i++)
            end.usage.completion_tokens += c->choice[i].n;
        tell_end(c, &end);
        c = later;
    }
}

void ft_call_dispatch(struct ft_serve *s, int64_t now, int64_t *next)
{
    struct room room = {now, *next};
    int n;
    tell_ended(s);
    do {
        struct ft_serve_call *start[START_BATCH];
        n = 0;
        pthread_mutex_lock(&s->mu);
        if (s->queue.waiting > 0 || s->suspect != NULL)
            expire(s, &room);
        for (; n < START_BATCH && s->queue.waiting > 0; n++) {
            struct ft_queue_item *item = ft_queue_next(&s->queue, has_room, &room);
            if (item == NULL)
                break;
            start[n] = call_of(item);
        }
        if (n < START_BATCH && (start[n] = next_suspect(s, &room)) != NULL)
            n++;
        if (n == START_BATCH || s->ended != NULL)
            room.next = now; /* once more */
        pthread_mutex_unlock(&s->mu);
        for (int i = 0; i < n; i++)
            call_start(start[i]);
    } while (n == START_BATCH);
    *next = FT_MIN(*next, room.next);
}
