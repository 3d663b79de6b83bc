/* See call.h. */
#include "worker/call.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

static void on_event(void *ctx, const struct ft_event *ev);

/* ---- life ---- */

static void destroy(struct ft_call *c)
{
    for (int i = 0; i < c->n_runs; i++) {
        free(c->run[i].ids);
        json_decref(c->run[i].prompt_lp);
    }
    free(c->run);
    free(c->bias);
    free(c->value);
    ft_generation_free(c->gen);
    ft_ask_fini(&c->ask);
    ft_oai_request_fini(&c->q);
    ft_lodger_unref(c->lodger);
    ft_http_unref(c->x);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

static void unref(struct ft_call *c)
{
    if (atomic_fetch_sub(&c->ref, 1) == 1)
        destroy(c);
}

bool ft_call_is_gone(struct ft_call *c)
{
    pthread_mutex_lock(&c->lock);
    bool gone = c->gone;
    pthread_mutex_unlock(&c->lock);
    return gone;
}

/* ---- what runs ---- */

/* Tells the engine about every run that is in it; not under the lock, as the engine may wait. */
static void for_active(struct ft_call *c, void (*fn)(struct ft_engine *e, uint64_t id))
{
    uint64_t id[FT_CALL_WINDOW];
    int n = 0;
    pthread_mutex_lock(&c->lock);
    for (int i = 0; i < c->next_run && n < FT_CALL_WINDOW; i++)
        if (c->run[i].engine_id != 0)
            id[n++] = c->run[i].engine_id;
    pthread_mutex_unlock(&c->lock);
    struct ft_engine *engine = n > 0 ? ft_worker_borrow_engine(c->w) : NULL;
    if (engine == NULL)
        return; /* none runs, or the engine's end ends them all */
    for (int i = 0; i < n; i++)
        fn(engine, id[i]);
    ft_worker_return_engine(c->w);
}

static void pause_one(struct ft_engine *e, uint64_t id)
{
    ft_engine_pause(e, id, true);
}

static void resume_one(struct ft_engine *e, uint64_t id)
{
    ft_engine_pause(e, id, false);
}

void ft_call_pause(struct ft_call *c, bool paused)
{
    for_active(c, paused ? pause_one : resume_one);
}

static void stop(struct ft_call *c, const struct ft_oai_error *e, bool gone)
{
    pthread_mutex_lock(&c->lock);
    c->stopped = true;
    c->gone |= gone;
    if (e != NULL && c->error.err.code == FT_OK)
        c->error = *e;
    pthread_mutex_unlock(&c->lock);
    for_active(c, ft_engine_cancel);
}

void ft_call_fail(struct ft_call *c, const struct ft_oai_error *e)
{
    stop(c, e, false);
}

void ft_call_fail_err(struct ft_call *c, const struct ft_err *err)
{
    struct ft_oai_error e;
    ft_oai_error_from(&e, err);
    if (err->code == FT_EBUSY)
        e.retry_after_ms = 1000;
    stop(c, &e, false);
}

void ft_call_enough(struct ft_call *c)
{
    stop(c, NULL, false);
}

static int submit(struct ft_call *c, struct ft_run *run)
{
    struct ft_request r = c->base;
    struct ft_err err = {0};
    uint64_t id = 0;
    r.prompt = run->ids;
    r.n_prompt = run->n_ids;
    r.on_event = on_event;
    r.ctx = run;
    c->ops->request(c, run, &r);
    run->n_requests++;
    pthread_mutex_lock(&c->lock);
    run->ended = false;
    pthread_mutex_unlock(&c->lock);
    int rc = ft_engine_submit(c->w->engine, &r, &id, NULL, &err);
    if (rc != 0) {
        struct ft_oai_error e;
        ft_oai_error_from(&e, &err);
        if (rc == FT_ELIMIT)
            e.code = "context_length_exceeded";
        e.retry_after_ms = rc == FT_EBUSY ? 1000 : 0;
        stop(c, &e, false);
        return rc;
    }
    pthread_mutex_lock(&c->lock);
    run->engine_id = run->ended ? 0 : id;
    bool stopped = c->stopped;
    pthread_mutex_unlock(&c->lock);
    if (stopped)
        ft_engine_cancel(c->w->engine, id);
    return 0;
}

/* Fills the window. */
static void submit_more(struct ft_call *c)
{
    for (;;) {
        struct ft_run *run = NULL;
        pthread_mutex_lock(&c->lock);
        if (!c->stopped && c->next_run < c->n_runs && c->active < FT_CALL_WINDOW) {
            run = &c->run[c->next_run++];
            c->active++;
        }
        pthread_mutex_unlock(&c->lock);
        if (run == NULL)
            return;
        if (submit(c, run) != 0) {
            pthread_mutex_lock(&c->lock);
            c->active--;
            pthread_mutex_unlock(&c->lock);
            return;
        }
    }
}

static void finish(struct ft_call *c)
{
    c->ops->finish(c);
    if (c->error.err.code != FT_OK) {
        atomic_fetch_add(&c->w->failed, 1);
        if (ft_reply_is_ours(&c->error))
            ft_log(FT_LOG_ERROR, "worker", "%s: %s", c->id, c->error.err.msg);
    }
    unref(c);
}

/* A run has ended, or the crew takes its hand off: the last one finishes the call. What is
 * submitted here may end, and with it the call, on another thread before this one looks again. */
static void let_go(struct ft_call *c)
{
    atomic_fetch_add(&c->ref, 1);
    pthread_mutex_lock(&c->lock);
    c->active--;
    pthread_mutex_unlock(&c->lock);
    submit_more(c);
    pthread_mutex_lock(&c->lock);
    bool end = c->active == 0 && (c->stopped || c->next_run == c->n_runs) && !c->over;
    c->over |= end;
    pthread_mutex_unlock(&c->lock);
    if (end)
        finish(c);
    unref(c);
}

/* Once for each run, as soon as it is known: who cancels hears of it too. */
static void count_prompt(struct ft_call *c, struct ft_run *run, const struct ft_usage *u)
{
    if (run->counted || u->prompt_tokens == 0)
        return;
    run->counted = true;
    c->usage.prompt_tokens += u->prompt_tokens;
    c->usage.cached_tokens += u->cached_tokens;
}

static void longest(int64_t *us, int64_t ns)
{
    *us = FT_MAX(*us, ns / 1000);
}

/* Runs go side by side: the slowest tells. */
static void note_phases(struct ft_call *c, const struct ft_usage *u)
{
    struct ft_phases *p = &c->phases;
    longest(&p->wait_us, u->queue_ns - u->load_ns);
    longest(&p->load_us, u->load_ns);
    longest(&p->prefill_us, u->prefill_ns);
    longest(&p->decode_us, u->decode_ns);
    c->steps += u->steps;
    c->shared += u->shared;
    p->shared = c->steps > 0 ? c->shared * 100 / c->steps : 0;
    p->preemptions += u->preemptions;
}

static void run_ended(struct ft_call *c, struct ft_run *run, const struct ft_event *ev)
{
    const struct ft_usage *u = &ev->usage;
    count_prompt(c, run, u);
    c->cpu_ns += u->cpu_ns;
    note_phases(c, u);
    pthread_mutex_lock(&c->lock);
    run->engine_id = 0;
    run->ended = true;
    bool stopped = c->stopped;
    pthread_mutex_unlock(&c->lock);
    if (ev->finish == FT_FINISH_ERROR) {
        ft_call_fail_err(c, ev->err);
    } else if (ev->finish == FT_FINISH_CANCELLED && !stopped) {
        struct ft_err err;
        ft_err_set(&err, FT_EBUSY, "the worker stops, or the model was removed");
        ft_call_fail_err(c, &err);
    } else if (!stopped && c->ops->again(c, run) && submit(c, run) == 0) {
        return;
    }
    let_go(c);
}

static void on_event(void *ctx, const struct ft_event *ev)
{
    struct ft_run *run = ctx;
    struct ft_call *c = run->call;
    struct ft_err err = {0};
    if (ev->kind == FT_EVENT_TOKEN)
        count_prompt(c, run, &ev->usage);
    if (ev->kind == FT_EVENT_END)
        run_ended(c, run, ev);
    else if (!ft_call_is_gone(c) && c->ops->event(c, run, ev, &err) != 0)
        ft_call_fail_err(c, &err);
}

/* ---- from the body to the first run ---- */

int ft_call_make_runs(struct ft_call *c, int n, struct ft_oai_error *e)
{
    c->run = calloc((size_t)FT_MAX(n, 1), sizeof *c->run);
    if (c->run == NULL)
        return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "request: no memory");
    c->n_runs = n;
    for (int i = 0; i < n; i++)
        c->run[i] = (struct ft_run){.call = c, .index = i};
    return 0;
}

static int64_t thread_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void name_call(struct ft_call *c)
{
    uint64_t random[2];
    if (c->q.inner.present && c->q.inner.id[0] != '\0') {
        snprintf(c->id, sizeof c->id, "%s", c->q.inner.id);
        return;
    }
    (void)!getentropy(random, sizeof random); /* cannot fail for so few bytes */
    snprintf(c->id, sizeof c->id, "req_%016" PRIx64 "%08" PRIx32, random[0], (uint32_t)random[1]);
}

static int prepare(struct ft_call *c, struct ft_oai_error *e)
{
    int rc = ft_oai_parse(c->kind, FT_OAI_WORKER, c->body, c->body_n, &c->q, e);
    ft_http_body_release(c->x);
    if (rc != 0)
        return rc;
    name_call(c);
    c->lodger = ft_lodgers_get(&c->w->lodgers, c->q.model);
    if (c->lodger == NULL)
        return ft_oai_error_set(e, FT_ENOTFOUND, "model_not_found", "model",
                                "The model `%s` does not exist.", c->q.model);
    c->bias = calloc((size_t)FT_MAX(c->q.n_bias, 1), sizeof *c->bias);
    if (c->bias == NULL)
        return ft_oai_error_set(e, FT_ENOMEM, NULL, NULL, "request: no memory");
    ft_ask_request(c->lodger, &c->q, c->bias, &c->base);
    ft_energy_mark(&c->w->energy, &c->mark);
    return c->ops->prepare(c, e);
}

/* Crew. */
static void work(void *ctx)
{
    struct ft_call *c = ctx;
    struct ft_oai_error e;
    int64_t begun = thread_cpu_ns();
    ft_oai_error_init(&e);
    int rc = ft_call_is_gone(c) ? 0 : prepare(c, &e);
    if (rc != 0)
        stop(c, &e, false);
    c->cpu_ns += thread_cpu_ns() - begun;
    c->phases.prepare_us = (ft_clock_now_ns() - c->body_ns) / 1000;
    submit_more(c);
    let_go(c);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct ft_call *c = ctx;
    c->body_in = true;
    c->body_ns = ft_clock_now_ns();
    c->body = data;
    c->body_n = n;
    int rc = ft_crew_post(c->w->prep, work, c);
    if (rc == 0)
        return;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EBUSY, NULL, NULL, "The worker has too many requests waiting.");
    e.retry_after_ms = 1000;
    ft_reply_error(x, &e);
    unref(c);
}

/* A client that leaves before its body is in leaves its call to this alone. */
static void on_close(void *ctx, struct ft_http_exchange *x, bool clean)
{
    struct ft_call *c = ctx;
    (void)x;
    if (!clean)
        stop(c, NULL, true);
    if (!c->body_in)
        unref(c);
    unref(c);
}

void ft_call_begin(struct ft_worker *w, struct ft_http_exchange *x, enum ft_task_kind kind)
{
    static const struct ft_call_ops *const ops[] = {[FT_TASK_CHAT] = &ft_generate_ops,
                                                    [FT_TASK_TEXT] = &ft_generate_ops,
                                                    [FT_TASK_EMBED] = &ft_embed_ops,
                                                    [FT_TASK_RERANK] = &ft_rerank_ops,
                                                    [FT_TASK_COUNT] = &ft_count_ops};
    struct ft_call *c = calloc(1, sizeof *c);
    struct ft_err err;
    if (c == NULL) {
        ft_err_set(&err, FT_ENOMEM, "request: no memory");
        ft_reply_err(x, &err);
        return;
    }
    c->w = w;
    c->x = ft_http_ref(x);
    c->kind = kind;
    c->ops = ops[kind];
    c->active = 1; /* the crew's hand */
    atomic_init(&c->ref, 2);
    pthread_mutex_init(&c->lock, NULL);
    ft_oai_error_init(&c->error);
    atomic_fetch_add(&w->calls, 1);
    ft_http_on_close(x, on_close, c);
    ft_http_body_collect(x, FT_WORKER_BODY_MAX, on_body, c);
}

void ft_call_measure(struct ft_call *c)
{
    c->usage.cpu_us = c->cpu_ns / 1000;
    c->usage.phases = &c->phases;
    c->usage.energy_uj =
        ft_energy_since(&c->w->energy, &c->mark, c->usage.cpu_us, &c->usage.energy_estimated);
}
