/* See meter.h. Bounds of histograms hold all of vLLM's, so that what is shown under its names
 * (metrics_vllm.c) is a part of what was counted here, and nothing is counted twice. */
#include "gateway/watch/meter.h"

#include <string.h>

#include "base/clock.h"
#include "gateway/inner.h"
#include "gateway/watch/metrics.h"

/* Of an exchange: from a cached answer to a long stream. */
static const double http_bounds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25,
                                     0.5,   1,      2.5,   5,    10,    30,   60,  300};
static const double first_bounds[] = {GW_VLLM_FIRST_BOUNDS};
static const double next_bounds[] = {0.0005, 0.001, 0.0025, 0.005, GW_VLLM_NEXT_BOUNDS};
static const double call_bounds[] = {0.005, 0.01, 0.025, 0.05, 0.1, 0.2, GW_VLLM_CALL_BOUNDS};
static const double size_bounds[] = {GW_VLLM_SIZE_BOUNDS};

#define NS             1e-9
#define US             1e-6
#define BOUNDS(list)   .bound = (list), .n_bound = FT_COUNT(list)
#define LABELS(...)    .label = {__VA_ARGS__}
#define OF_PROJECT     LABELS("model", "project")
#define OF_MODEL       LABELS("model")
#define COUNTER        .kind = FT_METRIC_COUNTER
#define HISTOGRAM(...) .kind = FT_METRIC_HISTOGRAM, BOUNDS(__VA_ARGS__)

static const struct {
    size_t at; /* of its pointer in struct gw_meter */
    struct ft_metric_def def;
} families[] = {
    {offsetof(struct gw_meter, http),
     {COUNTER, .name = "feitian_http_requests", LABELS("route", "method", "status"),
      .help = "Requests over HTTP that ended, by route, method and class of status (0: no answer "
              "was sent)."}},
    {offsetof(struct gw_meter, http_ns),
     {HISTOGRAM(http_bounds), .name = "feitian_http_request_duration_seconds", .unit = "seconds",
      LABELS("route", "method"), .scale = NS,
      .help = "Time from a request's head to the end of its exchange."}},
    {offsetof(struct gw_meter, refused),
     {COUNTER, .name = "feitian_requests_refused", LABELS("project", "why"),
      .help = "Requests turned away before they began, by why."}},
    {offsetof(struct gw_meter, objects),
     {COUNTER, .name = "feitian_object_requests", LABELS("operation", "status"),
      .help = "Requests of S3, the hub and files that worked on the store, by operation."}},
    {offsetof(struct gw_meter, bytes_in),
     {COUNTER, .name = "feitian_object_received_bytes", .unit = "bytes", LABELS("project"),
      .help = "Bytes of bodies received for the store."}},
    {offsetof(struct gw_meter, bytes_out),
     {COUNTER, .name = "feitian_object_sent_bytes", .unit = "bytes", LABELS("project"),
      .help = "Bytes of bodies sent from the store."}},
    {offsetof(struct gw_meter, downloads),
     {COUNTER, .name = "feitian_hub_downloads", LABELS("project"),
      .help = "Files of models and datasets that the hub was asked for and gave."}},
    {offsetof(struct gw_meter, calls),
     {COUNTER, .name = "feitian_model_requests", LABELS("model", "project", "status"),
      .help = "Calls of models that ended, by how: ok, cancelled, error, refused."}},
    {offsetof(struct gw_meter, errors),
     {COUNTER, .name = "feitian_model_errors", LABELS("model", "code"),
      .help = "Calls of models that ended with an error, by the code that the client was told."}},
    {offsetof(struct gw_meter, finishes),
     {COUNTER, .name = "feitian_model_answers", LABELS("model", "finish"),
      .help = "Answers of models by why they ended: stop, length, tool_calls, content_filter, "
              "abort, error."}},
    {offsetof(struct gw_meter, prompt),
     {COUNTER, .name = "feitian_prompt_tokens", OF_PROJECT,
      .help = "Tokens of prompts, those found in the prefix cache included."}},
    {offsetof(struct gw_meter, cached),
     {COUNTER, .name = "feitian_cached_tokens", OF_PROJECT,
      .help = "Tokens of prompts that were found in the prefix cache."}},
    {offsetof(struct gw_meter, completion),
     {COUNTER, .name = "feitian_completion_tokens", OF_PROJECT, .help = "Tokens generated."}},
    {offsetof(struct gw_meter, reasoning),
     {COUNTER, .name = "feitian_reasoning_tokens", OF_PROJECT,
      .help = "Tokens generated as reasoning before the answer."}},
    {offsetof(struct gw_meter, cost),
     {COUNTER, .name = "feitian_cost", LABELS("model", "project", "currency"), .scale = 1e-9,
      .help = "What calls of models cost by the price list, in the cloud's currency."}},
    {offsetof(struct gw_meter, first_ns),
     {HISTOGRAM(first_bounds), .name = "feitian_time_to_first_token_seconds", .unit = "seconds",
      OF_MODEL, .scale = NS, .help = "Time from a request's head to the first token."}},
    {offsetof(struct gw_meter, next_ns),
     {HISTOGRAM(next_bounds), .name = "feitian_inter_token_latency_seconds", .unit = "seconds",
      OF_MODEL, .scale = NS, .help = "Time between the tokens of an answer."}},
    {offsetof(struct gw_meter, call_ns),
     {HISTOGRAM(call_bounds), .name = "feitian_model_request_duration_seconds", .unit = "seconds",
      OF_MODEL, .scale = NS, .help = "Time from a request's head to the end of its answer."}},
    {offsetof(struct gw_meter, prompt_size),
     {HISTOGRAM(size_bounds), .name = "feitian_request_prompt_tokens", OF_MODEL,
      .help = "Tokens of a request's prompt."}},
    {offsetof(struct gw_meter, completion_size),
     {HISTOGRAM(size_bounds), .name = "feitian_request_completion_tokens", OF_MODEL,
      .help = "Tokens generated for a request, over all its choices."}},
    {offsetof(struct gw_meter, queue_us),
     {HISTOGRAM(call_bounds), .name = "feitian_queue_time_seconds", .unit = "seconds", OF_MODEL,
      .scale = US,
      .help = "Time that a call waited: for a replica, its start, its place in a batch, weights."}},
    {offsetof(struct gw_meter, prefill_us),
     {HISTOGRAM(call_bounds), .name = "feitian_prefill_time_seconds", .unit = "seconds", OF_MODEL,
      .scale = US, .help = "Time in which the prompt was read."}},
    {offsetof(struct gw_meter, decode_us),
     {HISTOGRAM(call_bounds), .name = "feitian_decode_time_seconds", .unit = "seconds", OF_MODEL,
      .scale = US, .help = "Time from the first token to the last."}},
    {offsetof(struct gw_meter, inference_us),
     {HISTOGRAM(call_bounds), .name = "feitian_inference_time_seconds", .unit = "seconds", OF_MODEL,
      .scale = US, .help = "Prefill and decode together."}},
    {offsetof(struct gw_meter, preemptions),
     {COUNTER, .name = "feitian_preemptions", OF_MODEL,
      .help = "How often calls had to make way for others."}},
    {offsetof(struct gw_meter, energy),
     {COUNTER, .name = "feitian_energy_joules", .unit = "joules", OF_PROJECT, .scale = US,
      .help = "Energy that calls of models took, measured or estimated."}},
    {offsetof(struct gw_meter, cpu),
     {COUNTER, .name = "feitian_model_cpu_seconds", .unit = "seconds", OF_PROJECT, .scale = US,
      .help = "Processor time that calls of models took in workers."}},
};

int gw_meter_open(struct gw_meter *m, struct ft_err *err)
{
    int rc = ft_metric_set_open(&m->own, err);
    if (rc == 0)
        rc = ft_metric_set_open(&m->vllm, err);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(families); i++)
        rc = ft_metric_set_add(m->own, &families[i].def,
                               (struct ft_metric **)((char *)m + families[i].at), err);
    return rc == 0 ? gw_metrics_add(m, err) : rc;
}

void gw_meter_close(struct gw_meter *m)
{
    ft_metric_set_close(m->own);
    ft_metric_set_close(m->vllm);
    m->own = m->vllm = NULL;
}

/* ---- requests ---- */

static const char *status_class(int status)
{
    static const char *const name[] = {"0", "1xx", "2xx", "3xx", "4xx", "5xx"};
    return status >= 100 && status < 600 ? name[status / 100] : name[0];
}

/* Methods are text of clients: those that are none share a word. */
static const char *method_of(const char *method)
{
    static const char *const known[] = {"GET", "POST", "PUT", "HEAD", "DELETE", "PATCH", "OPTIONS"};
    for (size_t i = 0; i < FT_COUNT(known); i++)
        if (strcmp(method, known[i]) == 0)
            return known[i];
    return FT_METRIC_OTHER;
}

/* As the ledger names it; of what the ledger does not hear of, the path. */
static const char *route_of(const struct gw_request *r)
{
    if (r->name != NULL)
        return r->name;
    return r->route != NULL && r->route->path[0] != '\0' ? r->route->path : "unknown";
}

static bool is_download(const struct gw_request *r, int status)
{
    return r->style == GW_HUB && status >= 200 && status < 300 &&
           strcmp(r->x->method, "GET") == 0 && r->x->path != NULL &&
           strstr(r->x->path, "/resolve/") != NULL;
}

void gw_meter_request(struct gw_meter *m, const struct gw_request *r)
{
    int status = atomic_load(&r->status);
    const char *route = route_of(r), *method = method_of(r->x->method), *as = status_class(status);
    int64_t in = 0, out = 0;
    ft_series_add(ft_metric_at3(m->http, route, method, as), 1);
    ft_series_observe(ft_metric_at2(m->http_ns, route, method), ft_clock_now_ns() - r->x->begun_ns);
    if (r->lane == NULL || r->route == NULL || (r->route->flags & GW_STORE) == 0)
        return;
    ft_http_body_bytes(r->x, &in, &out);
    ft_series_add(ft_metric_at2(m->objects, route, as), 1);
    if (is_download(r, status))
        ft_series_add(ft_metric_at1(m->downloads, r->project), 1);
    ft_series_add(ft_metric_at1(m->bytes_in, r->project), in);
    ft_series_add(ft_metric_at1(m->bytes_out, r->project), out);
}

/* Of limits, which one it was; else the code that the client is told. */
static const char *why_of(const struct gw_request *r, const struct ft_oai_error *e)
{
    const char *code = ft_oai_error_code(e);
    if (r->measured && r->limits.why != FT_WHY_OK)
        return ft_tenant_why_name(r->limits.why);
    return code != NULL ? code : ft_code_name(e->err.code);
}

void gw_meter_refused(struct gw_meter *m, const struct gw_request *r, const struct ft_oai_error *e)
{
    const char *project = r->ident != NULL ? r->ident->project : r->project;
    ft_series_add(ft_metric_at2(m->refused, project, why_of(r, e)), 1);
}

/* ---- calls ---- */

static void observe_phases(const struct gw_meter *m, const char *model, const struct ft_phases *p)
{
    int64_t queue = p->queue_us + p->start_us + p->wait_us + p->load_us;
    ft_series_observe(ft_metric_at1(m->queue_us, model), queue);
    ft_series_observe(ft_metric_at1(m->prefill_us, model), p->prefill_us);
    ft_series_observe(ft_metric_at1(m->decode_us, model), p->decode_us);
    ft_series_observe(ft_metric_at1(m->inference_us, model), p->prefill_us + p->decode_us);
    ft_series_add(ft_metric_at1(m->preemptions, model), p->preemptions);
}

void gw_meter_call_begin(struct gw_meter_call *c, struct gw_meter *m, const char *model,
                         const char *project, int64_t begun_ns)
{
    *c = (struct gw_meter_call){.m = m,
                                .model = model,
                                .project = project,
                                .next = ft_metric_at1(m->next_ns, model),
                                .begun_ns = begun_ns};
}

void gw_meter_call_piece(struct gw_meter_call *c, const struct ft_piece *p)
{
    if (c->m == NULL)
        return;
    if (p->kind == FT_PIECE_FINISH)
        c->finish = ft_answer_finish_name(p->finish);
    if (p->kind != FT_PIECE_STEP)
        return;
    int64_t now = ft_clock_now_ns();
    if (c->last_ns == 0)
        ft_series_observe(ft_metric_at1(c->m->first_ns, c->model), now - c->begun_ns);
    else
        ft_series_observe(c->next, now - c->last_ns);
    c->last_ns = now;
}

static const char *finish_of(const struct gw_meter_call *c, enum ft_record_status status)
{
    if (status == FT_RECORD_CANCELLED)
        return "abort";
    if (status != FT_RECORD_OK)
        return "error";
    return c->finish != NULL ? c->finish : "stop"; /* embeddings end by themselves */
}

void gw_meter_call_end(struct gw_meter_call *c, const struct gw_meter_end *e)
{
    struct gw_meter *m = c->m;
    if (m == NULL)
        return;
    const char *const of[] = {c->model, c->project};
    ft_series_add(ft_metric_at3(m->calls, of[0], of[1], ft_record_status_name(e->status)), 1);
    if (e->status == FT_RECORD_REFUSED || e->status == FT_RECORD_ERROR)
        ft_series_add(ft_metric_at2(m->errors, c->model, e->error), 1);
    if (e->status == FT_RECORD_REFUSED)
        return;
    ft_series_add(ft_metric_at2(m->finishes, c->model, finish_of(c, e->status)), 1);
    ft_series_add(ft_metric_at(m->prompt, of), e->prompt);
    ft_series_add(ft_metric_at(m->cached, of), e->cached);
    ft_series_add(ft_metric_at(m->completion, of), e->completion);
    ft_series_add(ft_metric_at(m->reasoning, of), e->reasoning);
    ft_series_add(ft_metric_at3(m->cost, of[0], of[1], e->currency), e->cost_nanos);
    ft_series_add(ft_metric_at(m->cpu, of), e->cpu_us);
    ft_series_add(ft_metric_at(m->energy, of), e->energy_uj);
    if (e->status != FT_RECORD_OK)
        return; /* how long it took until it failed says nothing of those that did not */
    ft_series_observe(ft_metric_at1(m->call_ns, c->model), ft_clock_now_ns() - c->begun_ns);
    ft_series_observe(ft_metric_at1(m->prompt_size, c->model), e->prompt);
    ft_series_observe(ft_metric_at1(m->completion_size, c->model), e->completion);
    observe_phases(m, c->model, e->phases);
}
