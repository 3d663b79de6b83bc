/* See call.h. A call is held by two: the exchange, until it closes, and serving, until END.
 *
 *   admit, begin, submit --> pieces: written, counted --> END: settled, recorded, answered
 *                      client gone: cancelled --^
 *
 * Pieces of a call never overlap; `lock` is between them and the end of the exchange. */
#include "gateway/calls/call.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/utf8.h"
#include "gateway/watch/prompts.h"
#include "gateway/watch/requests.h"

/* What an answer is expected to be where the client sets no max_tokens: of rates, which are settled
 * later, a usual one; of budgets, a long one. */
#define CALL_TOKENS_USUAL 256
#define CALL_TOKENS_LONG  8192
#define CALL_CHUNK_MAX    ((size_t)80 << 20)

struct call {
    struct gw_request *r;
    struct gw *gw;
    struct gw_closing closing;
    struct gw_writer_ops ops;
    void *writer;
    struct ft_tenant_lease lease;
    struct ft_price price;
    void (*before_end)(struct gw_request *r, void *writer, void (*done)(void *ctx), void *ctx);
    int slot;
    int64_t start_us;
    struct gw_running running;
    json_t *said;         /* what is kept of the prompt (prompts.h); NULL: nothing */
    struct ft_buf answer; /* and of the answer */
    bool said_cut;
    char model[FT_RECORD_MODEL_MAX + 1];
    char endpoint[FT_METRIC_VALUE_BYTES + 1]; /* its id: names are not alone */
    struct gw_meter_call meter;
    enum ft_task_kind kind;
    bool stream, begun; /* begun: the head of a stream was sent */
    bool failed;        /* the writer gave up, or we did: cancelled, and why is in `why` */
    struct ft_err why;
    _Atomic int64_t prompt, cached, completion; /* one thread writes, others look */
    int64_t given_ns, first_ns;                 /* to serving; the first token came */
    struct ft_buf out;
    pthread_mutex_t lock; /* of what follows */
    struct ft_phases phases;
    int64_t paused_ns; /* since when; 0: it is not */
    struct ft_serve_call *call;
    int refs;
    bool gone, ended, paused;
};

static void unref(struct call *c)
{
    pthread_mutex_lock(&c->lock);
    bool last = --c->refs == 0;
    pthread_mutex_unlock(&c->lock);
    if (!last)
        return;
    c->ops.close(c->writer);
    ft_buf_fini(&c->out);
    ft_buf_fini(&c->answer);
    json_decref(c->said);
    pthread_mutex_destroy(&c->lock);
    free(c);
}

/* ---- towards serving ---- */

static void cancel(struct call *c, bool gone)
{
    pthread_mutex_lock(&c->lock);
    if (gone && !c->gone && !c->ended)
        ft_moment_add(&c->phases, FT_MOMENT_CLIENT_LEFT, 0, ft_clock_now_ns());
    c->gone |= gone;
    if (c->call != NULL && !c->ended)
        ft_serve_cancel(c->gw->serve, c->call);
    pthread_mutex_unlock(&c->lock);
}

/* Under the lock. */
static void note_pause(struct call *c, bool paused)
{
    int64_t now = ft_clock_now_ns();
    ft_moment_add(&c->phases, paused ? FT_MOMENT_PAUSED : FT_MOMENT_RESUMED, 0, now);
    if (c->paused_ns != 0)
        c->phases.paused_us += (now - c->paused_ns) / 1000;
    c->paused_ns = paused ? now : 0;
}

static void pause_call(struct call *c, bool paused)
{
    pthread_mutex_lock(&c->lock);
    if (c->call != NULL && !c->ended && c->paused != paused)
        ft_serve_pause(c->gw->serve, c->call, paused);
    if (c->paused != paused && !c->ended)
        note_pause(c, paused);
    c->paused = paused;
    pthread_mutex_unlock(&c->lock);
}

static void on_drained(void *ctx, struct ft_http_exchange *x)
{
    (void)x;
    pause_call(ctx, false);
}

static void on_close(void *ctx, bool clean)
{
    if (!clean)
        cancel(ctx, true);
    unref(ctx);
}

/* ---- towards the client ---- */

static void send_stream(struct call *c)
{
    struct ft_http_exchange *x = c->r->x;
    if (!c->begun) {
        struct ft_http_field f[GW_FIELDS_MAX];
        int n = gw_fields(c->r, f, GW_FIELDS_MAX - 2);
        f[n++] = (struct ft_http_field){"cache-control", "no-cache"};
        f[n++] = (struct ft_http_field){"x-accel-buffering", "no"};
        ft_http_stream_begin(x, 200, "text/event-stream; charset=utf-8", f, n);
        c->begun = true;
    }
    int rc = ft_http_stream_write(x, c->out.data, c->out.len);
    if (rc == FT_EBUSY) {
        pause_call(c, true);
        if (!ft_http_stream_is_full(x)) /* drained before the pause */
            pause_call(c, false);
    }
    ft_buf_reset(&c->out);
}

/* The last bytes, or all of them. */
static void send_end(struct call *c)
{
    if (c->stream && (c->begun || c->ops.error(c->writer) == NULL)) {
        if (c->out.len > 0 || !c->begun)
            send_stream(c);
        ft_http_stream_end(c->r->x);
    } else if (c->ops.error(c->writer) != NULL) {
        gw_fail(c->r, c->ops.error(c->writer));
    } else {
        gw_respond(c->r, c->ops.status(c->writer), "application/json", c->out.data, c->out.len);
    }
}

/* ---- the ledger ---- */

/* What is not streamed is delivered at its end, or not at all; who leaves before has it generated
 * all the same. */
static bool undelivered(struct call *c, const struct ft_piece *end)
{
    pthread_mutex_lock(&c->lock);
    bool left = c->gone;
    pthread_mutex_unlock(&c->lock);
    return end->err != NULL && !c->stream && !left;
}

static void note_first(struct call *c)
{
    pthread_mutex_lock(&c->lock);
    c->first_ns = ft_clock_now_ns();
    ft_moment_add(&c->phases, FT_MOMENT_FIRST_TOKEN, 0, c->first_ns);
    pthread_mutex_unlock(&c->lock);
}

/* What serving and the worker say of it, and ours; moments from then on since its beginning. A
 * server that tells nothing: from outside. Under the lock. */
static void merge_phases(const struct call *c, const struct ft_phases *told, int64_t now,
                         struct ft_phases *ret)
{
    struct ft_phases all = told != NULL ? *told : (struct ft_phases){0};
    const struct ft_phases *own = &c->phases;
    all.admission_us = own->admission_us;
    all.paused_us = own->paused_us;
    for (int i = 0; i < own->n_moments; i++)
        ft_moment_add(&all, own->moment[i].kind, own->moment[i].n, own->moment[i].at_ns);
    ft_moments_sort(&all);
    for (int i = 0; i < all.n_moments; i++)
        all.moment[i].at_ns = FT_MAX(all.moment[i].at_ns - c->r->x->begun_ns, 0);
    if (all.prefill_us == 0 && all.decode_us == 0 && c->first_ns != 0) {
        int64_t before = c->given_ns + 1000 * (all.queue_us + all.start_us + all.failed_us);
        all.prefill_us = FT_MAX(c->first_ns - before, 0) / 1000;
        all.decode_us = FT_MAX(now - c->first_ns, 0) / 1000;
    }
    *ret = all;
}

static void count(struct call *c, const struct ft_piece *p)
{
    if (c->kind == FT_TASK_COUNT)
        return; /* nothing is read or generated: free */
    if (p->kind == FT_PIECE_END && undelivered(c, p))
        return;
    if (p->kind == FT_PIECE_STEP)
        c->completion += p->n_token;
    if (c->first_ns == 0 && p->kind != FT_PIECE_END)
        note_first(c);
    c->prompt = FT_MAX(c->prompt, p->usage.prompt_tokens);
    c->cached = FT_MAX(c->cached, p->usage.cached_tokens);
    if (p->kind == FT_PIECE_END) {
        c->completion = FT_MAX(c->completion, p->usage.completion_tokens);
    } else if (p->kind != FT_PIECE_STEP || !c->stream) {
        return;
    }
    if (!c->r->batch)
        ft_ledger_count(c->gw->ledger, c->slot, c->prompt, c->cached, c->completion);
}

static enum ft_record_status how_ended(const struct call *c, const struct ft_err *err, bool gone)
{
    if (err == NULL)
        return FT_RECORD_OK;
    if (gone || err->code == FT_ECANCELED)
        return c->failed ? FT_RECORD_ERROR : FT_RECORD_CANCELLED;
    bool too_long = err->code == FT_ELIMIT && !c->failed; /* the prompt, for its model */
    return too_long || err->code == FT_EINVAL || err->code == FT_ENOTFOUND ||
                   err->code == FT_EUNSUPPORTED
               ? FT_RECORD_REFUSED
               : FT_RECORD_ERROR;
}

/* What is known of it by now. */
static void fill_record(const struct call *c, struct ft_record *n)
{
    const struct gw_request *r = c->r;
    *n = (struct ft_record){.requests = 1,
                            .stream = c->stream,
                            .start_us = c->start_us,
                            .end_us = FT_MAX(ft_clock_unix_us(), c->start_us),
                            .prompt_tokens = c->prompt,
                            .cached_tokens = c->cached,
                            .completion_tokens = c->completion,
                            .phases = c->phases};
    snprintf(n->id, sizeof n->id, "%s", r->id);
    snprintf(n->project, sizeof n->project, "%s", r->project);
    snprintf(n->key, sizeof n->key, "%s", c->lease.ident->key);
    snprintf(n->model, sizeof n->model, "%s", c->model);
    snprintf(n->route, sizeof n->route, "%s", r->name);
    snprintf(n->client_id, sizeof n->client_id, "%s", r->client_id != NULL ? r->client_id : "");
    snprintf(n->trace_id, sizeof n->trace_id, "%s", r->trace_id);
}

/* Of one that runs: with what serving knows by now. */
static void look(struct gw_running *u, struct ft_record *ret)
{
    struct call *c = (struct call *)(void *)((char *)u - offsetof(struct call, running));
    struct ft_phases told = {0};
    char target[FT_RECORD_TARGET_MAX + 1] = "";
    pthread_mutex_lock(&c->lock);
    if (c->call != NULL && !c->ended)
        ft_serve_look(c->gw->serve, c->call, &told, target, sizeof target);
    fill_record(c, ret);
    memcpy(ret->target, target, sizeof target);
    merge_phases(c, &told, ft_clock_now_ns(), &ret->phases);
    if (c->first_ns != 0)
        ret->first_us = (c->first_ns - c->r->x->begun_ns) / 1000;
    pthread_mutex_unlock(&c->lock);
}

/* Control writes the record of a batch's call, in one step with its result: it goes along with the
 * answer, and a call whose answer was not seen is made again. */
static void end_of_batch(struct call *c, struct ft_record *n, struct ft_ledger_sum *sum)
{
    n->cost_nanos = ft_ledger_batch_cost(
        c->gw->ledger, ft_price_cost(&c->price, c->prompt, c->cached, c->completion));
    *sum = (struct ft_ledger_sum){.end_s = n->end_us / 1000000,
                                  .start_us = n->start_us,
                                  .end_us = n->end_us,
                                  .prompt_tokens = n->prompt_tokens,
                                  .completion_tokens = n->completion_tokens,
                                  .cost_nanos = n->cost_nanos};
    gw_record_tell(c->r, n);
}

static void measure(struct call *c, enum ft_record_status status, const struct ft_answer_usage *u,
                    int64_t cost_nanos)
{
    char currency[FT_TENANT_CURRENCY_BYTES];
    ft_tenant_currency(c->gw->tenant, currency);
    struct gw_meter_end e = {.status = status,
                             .prompt = c->prompt,
                             .cached = c->cached,
                             .completion = c->completion,
                             .reasoning = u->reasoning_tokens,
                             .phases = &c->phases,
                             .cpu_us = u->cpu_us,
                             .energy_uj = u->energy_uj,
                             .cost_nanos = cost_nanos,
                             .currency = currency,
                             .error = c->r->error.code};
    gw_meter_call_end(&c->meter, &e);
}

/* What another's server says of a request may hold any of its prompt, quoted or not; that the
 * server is not there or broke, serving says itself. */
static bool in_anothers_words(struct call *c)
{
    const struct ft_oai_error *e = c->ops.error(c->writer);
    bool server = false;
    for (int i = 0; i < c->phases.n_moments; i++)
        server |= c->phases.moment[i].kind == FT_MOMENT_GIVEN && c->phases.moment[i].n < 0;
    return server && e != NULL && e->err.code != FT_EUNAVAIL && e->err.code != FT_ECANCELED;
}

static void copy_target(char ret[FT_RECORD_TARGET_MAX + 1], const char *target)
{
    const char *text = target != NULL ? target : "";
    size_t n = ft_utf8_valid_len(text, strnlen(text, FT_RECORD_TARGET_MAX));
    memcpy(ret, text, n);
    ret[n] = '\0';
}

/* It has ended: into the ledger, the tenants' accounts, the metrics and the latest requests. */
static void settle(struct call *c, enum ft_record_status status, int http,
                   const struct ft_answer_usage *u)
{
    struct gw_request *r = c->r;
    pthread_mutex_lock(&c->lock);
    if (c->paused_ns != 0)
        note_pause(c, false);
    merge_phases(c, u->phases, ft_clock_now_ns(), &c->phases);
    pthread_mutex_unlock(&c->lock);
    if (c->ops.error(c->writer) != NULL)
        gw_error_note(r, c->model, c->ops.error(c->writer));
    if (in_anothers_words(c))
        r->error.text[0] = '\0';
    struct ft_ledger_end e = {.status = status,
                              .http = http,
                              .phases = &c->phases,
                              .error = &r->error,
                              .target = u->target,
                              .reasoning_tokens = u->reasoning_tokens,
                              .cpu_us = u->cpu_us,
                              .energy_uj = u->energy_uj,
                              .energy_estimated = u->energy_estimated};
    struct ft_record n;
    struct ft_ledger_sum sum;
    fill_record(c, &n);
    n.status = e.status;
    n.http = e.http;
    n.error = r->error;
    copy_target(n.target, u->target);
    n.reasoning_tokens = e.reasoning_tokens;
    n.cpu_us = e.cpu_us;
    n.energy_uj = e.energy_uj;
    n.energy_estimated = e.energy_estimated;
    if (r->batch)
        end_of_batch(c, &n, &sum);
    else
        ft_ledger_end(c->gw->ledger, c->slot, &e, &sum);
    measure(c, status, u, sum.cost_nanos);
    n.start_us = sum.start_us; /* as the ledger has it */
    n.end_us = sum.end_us;
    n.first_us = sum.first_us;
    n.cost_nanos = sum.cost_nanos;
    gw_requests_leave(c->gw->requests, &c->running, &n);
    ft_tenant_settle(&c->lease, sum.end_s, sum.prompt_tokens + sum.completion_tokens,
                     sum.cost_nanos); /* from here on nobody looks at the call */
    gw_request_told(r, &n, c->meter.finish);
    atomic_fetch_sub(&c->gw->running, 1);
}

/* ---- what was said, for a project that wants it kept ---- */

/* Of the first choice; of a tool call its name and arguments. The buffer has a bound. */
static void keep_said(struct call *c, const struct ft_piece *p)
{
    bool text = p->kind == FT_PIECE_CONTENT || p->kind == FT_PIECE_REASONING ||
                p->kind == FT_PIECE_CALL_BEGIN || p->kind == FT_PIECE_CALL_ARGS;
    if (text && p->choice == 0 && c->answer.len + p->text.n <= GW_PROMPT_BYTES)
        ft_buf_add(&c->answer, p->text.p, p->text.n);
    else if (text)
        c->said_cut = true;
    if (p->kind != FT_PIECE_END)
        return;
    const char *answer = c->answer.len > 0 ? c->answer.data : "";
    gw_prompts_put(c->gw->prompts, c->r->project, c->r->id, c->said, answer, c->answer.len,
                   c->said_cut);
    c->said = NULL;
}

/* ---- pieces ---- */

/* After END: the last bytes, and serving's hold. */
static void finish(void *ctx)
{
    struct call *c = ctx;
    struct ft_http_exchange *x = c->r->x;
    send_end(c);
    unref(c);
    ft_http_unref(x);
}

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct call *c = ctx;
    struct ft_piece end = *p;
    bool last = p->kind == FT_PIECE_END;
    gw_meter_call_piece(&c->meter, p);
    count(c, p);
    if (c->said != NULL)
        keep_said(c, p);
    if (last && c->failed && p->err != NULL) {
        end.err = &c->why;
        p = &end;
    }
    if (c->ops.piece(c->writer, p, &c->out) != 0 && !last && !c->failed) {
        c->failed = true;
        ft_err_set(&c->why, FT_ELIMIT,
                   "the answer is longer than an answer that is not streamed "
                   "may be");
        cancel(c, false);
    }
    if (!last) {
        if (c->stream && c->out.len > 0)
            send_stream(c);
        return;
    }
    pthread_mutex_lock(&c->lock);
    bool gone = c->gone;
    c->ended = true;
    pthread_mutex_unlock(&c->lock);
    int http = p->err != NULL && !c->begun && c->ops.error(c->writer) != NULL
                   ? ft_oai_error_status(c->ops.error(c->writer))
                   : 200;
    settle(c, how_ended(c, p->err, gone), gone ? 0 : http, &p->usage);
    if (c->before_end != NULL && p->err == NULL)
        c->before_end(c->r, c->writer, finish, c);
    else
        finish(c);
}

/* ---- the beginning ---- */

/* A project names its endpoints itself: none makes what is behind it cheaper. */
static void raise_price(void *ctx, const char *model)
{
    struct call *c = ctx;
    struct ft_price p;
    ft_ledger_price(c->gw->ledger, model, &p);
    c->price.input = FT_MAX(c->price.input, p.input);
    c->price.cached_input = FT_MAX(c->price.cached_input, p.cached_input);
    c->price.output = FT_MAX(c->price.output, p.output);
}

void gw_admission_error(const struct gw_request *r, int rc, const struct ft_err *err,
                        struct ft_oai_error *e)
{
    enum ft_tenant_why why = r->limits.why;
    ft_oai_error_set(e, rc, ft_tenant_why_code(why), NULL, "%s", err->msg);
    e->type = ft_tenant_why_type(why);
    e->status = ft_tenant_why_status(why);
    e->final = why == FT_WHY_TOO_LARGE || rc == FT_ELIMIT;
    e->retry_after_ms = (int)FT_MIN(r->limits.retry_after_ms, 86400000);
}

/* context: most tokens that the model takes; 0: not known. */
static int admit(struct gw_request *r, const struct gw_ask *a, int context, struct call *c,
                 struct ft_oai_error *e)
{
    struct ft_err err = {0};
    enum ft_tenant_why why = FT_WHY_OK;
    bool generates = a->kind == FT_TASK_CHAT || a->kind == FT_TASK_TEXT;
    int64_t n = generates ? FT_MAX(a->n, 1) : 0;
    int64_t prompt = (int64_t)a->body_bytes / 4 + 1, prompt_most = (int64_t)a->body_bytes;
    int64_t usual = a->max_tokens > 0 ? a->max_tokens : CALL_TOKENS_USUAL;
    int64_t most = a->max_tokens > 0 ? a->max_tokens : context > 0 ? context : CALL_TOKENS_LONG;
    if (ft_tenant_may(r->ident, r->route->action, a->model, &why, &err) != 0) {
        ft_oai_error_set(e, FT_EINVAL, ft_tenant_why_code(why), "model", "%s", err.msg);
        e->type = ft_tenant_why_type(why);
        e->status = ft_tenant_why_status(why);
        return FT_EINVAL;
    }
    c->gw = r->gw;
    ft_ledger_price(c->gw->ledger, a->model, &c->price);
    ft_serve_own_models(c->gw->serve, a->model, r->ident->project, raise_price, c);
    int64_t cost_most =
        a->kind == FT_TASK_COUNT ? 0 : ft_price_cost(&c->price, prompt_most, 0, n * most);
    struct ft_tenant_ask ask = {
        .now_ns = ft_clock_now_ns(),
        .now_s = (int64_t)time(NULL),
        .tokens_estimate = a->kind == FT_TASK_COUNT ? 0 : prompt + n * usual,
        .cost_max_nanos = r->batch ? ft_ledger_batch_cost(c->gw->ledger, cost_most) : cost_most};
    int rc = ft_tenant_admit(r->gw->tenant, r->ident, &ask, &c->lease, &r->limits, &err);
    r->measured = true;
    if (rc == 0)
        return 0;
    gw_admission_error(r, rc, &err, e);
    return rc;
}

static int begin(struct gw_request *r, const struct gw_ask *a, struct call *c,
                 struct ft_oai_error *e)
{
    struct ft_err err = {0};
    c->given_ns = ft_clock_now_ns();
    c->phases.admission_us = (c->given_ns - r->x->begun_ns) / 1000;
    c->start_us = ft_clock_unix_us() - c->phases.admission_us;
    if (r->batch) {
        atomic_store(&r->accounted, true);
        return 0;
    }
    struct ft_ledger_begin b = {.id = r->id,
                                .project = r->ident->project,
                                .key = r->ident->key,
                                .model = a->model,
                                .route = r->route->name,
                                .stream = a->stream,
                                .price = c->price,
                                .ago_us = c->phases.admission_us,
                                .client_id = r->client_id,
                                .trace_id = r->trace_id};
    int rc = ft_ledger_begin(r->gw->ledger, &b, &c->slot, &err);
    if (rc == 0) {
        atomic_store(&r->accounted, true);
        return 0;
    }
    ft_tenant_settle(&c->lease, (int64_t)time(NULL), 0, 0);
    ft_log(FT_LOG_ERROR, "gateway", "the ledger takes no more: %s", err.msg);
    ft_oai_error_set(e, FT_EBUSY, "ledger_unavailable", NULL,
                     "usage cannot be recorded now, so nothing is served");
    e->status = 503;
    e->retry_after_ms = 1000;
    return rc;
}

/* Serving would not take it: what there is to say is told, and recorded. */
static void not_served(struct call *c, const struct ft_err *err, int retry_ms)
{
    struct gw_request *r = c->r;
    struct ft_answer_usage none = {0};
    struct ft_oai_error e;
    ft_oai_error_from(&e, err);
    if (err->code == FT_ENOTFOUND) {
        e.code = "model_not_found";
        snprintf(e.param, sizeof e.param, "model");
    }
    e.retry_after_ms = retry_ms;
    c->ended = true;
    gw_error_note(r, NULL, &e);
    if (err->code == FT_EBUSY) /* the client's has no code for it */
        snprintf(r->error.code, sizeof r->error.code, "queue_full");
    settle(c, err->code == FT_EBUSY ? FT_RECORD_ERROR : FT_RECORD_REFUSED, ft_oai_error_status(&e),
           &none);
    gw_fail(r, &e);
    struct ft_http_exchange *x = r->x;
    unref(c);
    ft_http_unref(x);
}

static void submit(struct call *c, const struct gw_ask *a)
{
    struct gw_request *r = c->r;
    struct ft_serve_request q = {.kind = a->kind,
                                 .id = r->id,
                                 .endpoint = a->model,
                                 .project = r->ident->project,
                                 .weight = c->lease.weight,
                                 .queue_max = c->lease.queue_max,
                                 .priority = r->batch ? GW_BATCH_PRIORITY : 0,
                                 .body = a->body,
                                 .may_log = c->said != NULL,
                                 .on_piece = on_piece,
                                 .ctx = c};
    char parent[FT_TRACE_PARENT_BYTES];
    if (gw_trace_headers(r, parent, &q.trace_state))
        q.trace_parent = parent;
    struct ft_err err = {0};
    struct ft_serve_call *call = NULL;
    int retry_ms = 0;
    atomic_fetch_add(&c->gw->running, 1);
    if (ft_serve_submit(c->gw->serve, &q, &call, &retry_ms, &err) != 0) {
        not_served(c, &err, retry_ms);
        call = NULL;
    }
    pthread_mutex_lock(&c->lock);
    if (!c->ended) {
        c->call = call;
        if (c->paused) /* meanwhile, as the next */
            ft_serve_pause(c->gw->serve, call, true);
        if (c->gone || c->failed)
            ft_serve_cancel(c->gw->serve, call);
    }
    pthread_mutex_unlock(&c->lock);
    unref(c);
}

void gw_call(struct gw_request *r, const struct gw_ask *a)
{
    struct ft_oai_error e;
    struct call *c = calloc(1, sizeof *c);
    char endpoint[FT_METRIC_VALUE_BYTES + 1];
    int context =
        ft_serve_context(r->gw->serve, a->model, r->ident->project, endpoint, sizeof endpoint);
    ft_oai_error_init(&e);
    if (c == NULL)
        ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
    else if (context < 0 || strlen(a->model) > FT_RECORD_MODEL_MAX)
        ft_oai_error_set(&e, FT_ENOTFOUND, "model_not_found", "model",
                         "The model '%s' does not exist or you do not have access to it.",
                         a->model);
    if (e.err.code != 0 || admit(r, a, context, c, &e) != 0 || begin(r, a, c, &e) != 0) {
        a->ops->close(a->writer);
        free(c);
        /* names that are none are not recorded: they would have no end */
        gw_refuse(r, e.err.code == FT_ENOTFOUND ? "" : a->model, &e);
        return;
    }
    c->r = r;
    c->gw = r->gw;
    c->ops = *a->ops;
    c->writer = a->writer;
    c->kind = a->kind;
    c->stream = a->stream;
    c->before_end = a->before_end;
    snprintf(c->model, sizeof c->model, "%s", a->model);
    memcpy(c->endpoint, endpoint, sizeof endpoint);
    if (c->kind != FT_TASK_COUNT) /* nothing is generated */
        gw_meter_call_begin(&c->meter, &c->gw->meter, c->endpoint, r->project, r->x->begun_ns);
    ft_buf_init(&c->answer, GW_PROMPT_BYTES);
    if (ft_tenant_logs_prompts(c->gw->tenant, r->project))
        c->said = gw_prompt_of(a->body);
    c->running = (struct gw_running){.id = r->id, .look = look};
    c->refs = 3; /* the exchange's, serving's, and one while submitting */
    ft_buf_init(&c->out, CALL_CHUNK_MAX);
    pthread_mutex_init(&c->lock, NULL);
    ft_http_ref(r->x); /* until END */
    if (c->stream)
        ft_http_stream_on_drained(r->x, on_drained, c);
    c->closing = (struct gw_closing){on_close, c};
    gw_requests_enter(c->gw->requests, &c->running);
    gw_on_close(r, &c->closing);
    submit(c, a);
}
