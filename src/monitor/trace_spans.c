/* A request's record as spans, in OTLP's JSON (opentelemetry-proto's mapping: ids in hex, 64-bit
 * numbers as text, enums as numbers). Names of attributes: OpenTelemetry's semantic conventions for
 * HTTP and for generative AI (1.41). */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/hex.h"
#include "monitor/timeline.h"
#include "monitor/trace.h"

#define SCOPE "feitian"

enum { KIND_INTERNAL = 1, KIND_SERVER = 2, KIND_CLIENT = 3 };
enum { STATUS_UNSET = 0, STATUS_OK = 1, STATUS_ERROR = 2 };

static json_t *hex(const uint8_t *bytes, size_t n)
{
    char text[2 * FT_TRACE_ID_BYTES + 1];
    ft_hex(bytes, n, text);
    return json_string(text);
}

static json_t *nanos(int64_t us)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)us * 1000);
    return json_string(text);
}

/* ---- attributes ---- */

static void add(json_t *list, const char *key, json_t *value)
{
    json_array_append_new(list, json_pack("{s:s,s:o}", "key", key, "value", value));
}

static void add_text(json_t *list, const char *key, const char *text)
{
    if (text[0] != '\0')
        add(list, key, json_pack("{s:s}", "stringValue", text));
}

static void add_int(json_t *list, const char *key, int64_t v)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)v);
    add(list, key, json_pack("{s:s}", "intValue", text));
}

static void add_double(json_t *list, const char *key, double v)
{
    add(list, key, json_pack("{s:f}", "doubleValue", v));
}

/* ---- spans ---- */

struct span {
    const char *name;
    int kind;
    const uint8_t *id, *parent; /* parent NULL: a root */
    int64_t from_us, to_us;     /* unix time */
    json_t *attributes;         /* taken */
    const char *error;          /* NULL: none */
};

static json_t *span_json(const struct ft_trace_item *item, const struct span *s)
{
    json_t *o = json_pack("{s:o,s:o,s:s,s:i,s:o,s:o,s:o}", "traceId",
                          hex(item->context.trace_id, FT_TRACE_ID_BYTES), "spanId",
                          hex(s->id, FT_TRACE_SPAN_BYTES), "name", s->name, "kind", s->kind,
                          "startTimeUnixNano", nanos(s->from_us), "endTimeUnixNano",
                          nanos(FT_MAX(s->to_us, s->from_us)), "attributes", s->attributes);
    if (s->parent != NULL)
        json_object_set_new(o, "parentSpanId", hex(s->parent, FT_TRACE_SPAN_BYTES));
    if (item->state[0] != '\0')
        json_object_set_new(o, "traceState", json_string(item->state));
    json_object_set_new(o, "flags", json_integer(item->context.sampled));
    if (s->error != NULL)
        json_object_set_new(o, "status",
                            json_pack("{s:i,s:s}", "code", STATUS_ERROR, "message", s->error));
    return o;
}

static void new_id(uint8_t ret[FT_TRACE_SPAN_BYTES])
{
    while (getrandom(ret, FT_TRACE_SPAN_BYTES, 0) != FT_TRACE_SPAN_BYTES)
        continue;
    ret[0] |= 1; /* never all zero */
}

static const char *error_type(const struct ft_record *r, char ret[64])
{
    if (r->status == FT_RECORD_OK)
        return NULL;
    if (r->status == FT_RECORD_CANCELLED)
        return "cancelled";
    if (r->error.code[0] != '\0')
        snprintf(ret, 64, "%s", r->error.code);
    else if (r->http > 0)
        snprintf(ret, 64, "%d", r->http);
    else
        snprintf(ret, 64, "%s", ft_record_status_name(r->status));
    return ret;
}

/* By the conventions for HTTP, what a client did wrong is no error of a server. */
static json_t *server_span(const struct ft_trace_item *item)
{
    const struct ft_record *r = &item->record;
    char name[128], type[64];
    const char *bad = error_type(r, type);
    json_t *a = json_array();
    bool ours = r->http >= 500 || r->status == FT_RECORD_ERROR || r->status == FT_RECORD_LOST;
    snprintf(name, sizeof name, "%s %s", item->method, item->route);
    add_text(a, "http.request.method", item->method);
    add_text(a, "http.route", item->route);
    add_text(a, "url.scheme", item->secure ? "https" : "http");
    if (r->http > 0)
        add_int(a, "http.response.status_code", r->http);
    if (bad != NULL)
        add_text(a, "error.type", bad);
    if (r->bytes_in > 0)
        add_int(a, "http.request.body.size", r->bytes_in);
    if (r->bytes_out > 0)
        add_int(a, "http.response.body.size", r->bytes_out);
    add_text(a, "feitian.request_id", r->id);
    add_text(a, "feitian.client_request_id", r->client_id);
    add_text(a, "feitian.project", r->project);
    add_text(a, "feitian.key", r->key);
    add_text(a, "feitian.route", r->route);
    struct span s = {.name = name,
                     .kind = KIND_SERVER,
                     .id = item->context.span_id,
                     .parent = item->context.has_parent ? item->context.parent_id : NULL,
                     .from_us = r->start_us,
                     .to_us = r->end_us,
                     .attributes = a,
                     .error = ours && bad != NULL ? r->error.text : NULL};
    return span_json(item, &s);
}

static const char *operation_name(enum ft_trace_operation o)
{
    static const char *const names[] = {"", "chat", "text_completion", "embeddings", "rerank"};
    return names[o];
}

/* What a protocol's ids of answers begin with. */
static const char *id_prefix(const char *route)
{
    static const struct {
        const char *route, *prefix;
    } all[] = {{"chat.completions", "chatcmpl-"},
               {"completions", "cmpl-"},
               {"responses", "resp_"},
               {"messages", "msg_"}};
    for (size_t i = 0; i < FT_COUNT(all); i++)
        if (strcmp(route, all[i].route) == 0)
            return all[i].prefix;
    return "";
}

static json_t *call_span(const struct ft_trace_item *item, const uint8_t *id)
{
    const struct ft_record *r = &item->record;
    char name[160], type[64], response[FT_RECORD_ID_MAX + 16];
    const char *bad = error_type(r, type), *operation = operation_name(item->operation);
    json_t *a = json_array();
    snprintf(name, sizeof name, "%s %s", operation, r->model);
    add_text(a, "gen_ai.operation.name", operation);
    add_text(a, "gen_ai.provider.name", "feitian");
    add_text(a, "gen_ai.request.model", r->model);
    add_text(a, "gen_ai.response.model", r->model);
    if (item->operation == FT_TRACE_CHAT || item->operation == FT_TRACE_TEXT) {
        const char *bare = strncmp(r->id, "req_", 4) == 0 ? r->id + 4 : r->id;
        snprintf(response, sizeof response, "%s%s", id_prefix(r->route), bare);
        add_text(a, "gen_ai.response.id", response);
    }
    if (item->finish[0] != '\0')
        add(a, "gen_ai.response.finish_reasons",
            json_pack("{s:{s:[{s:s}]}}", "arrayValue", "values", "stringValue", item->finish));
    add_int(a, "gen_ai.usage.input_tokens", r->prompt_tokens);
    add_int(a, "gen_ai.usage.output_tokens", r->completion_tokens);
    if (r->cached_tokens > 0)
        add_int(a, "gen_ai.usage.cache_read.input_tokens", r->cached_tokens);
    if (r->reasoning_tokens > 0)
        add_int(a, "gen_ai.usage.reasoning.output_tokens", r->reasoning_tokens);
    if (r->stream)
        add(a, "gen_ai.request.stream", json_pack("{s:b}", "boolValue", 1));
    if (r->stream && r->first_us > 0)
        add_double(a, "gen_ai.response.time_to_first_chunk", (double)r->first_us / 1e6);
    if (bad != NULL)
        add_text(a, "error.type", bad);
    add_text(a, "feitian.request_id", r->id);
    add_text(a, "feitian.target", r->target);
    struct span s = {.name = name,
                     .kind = KIND_CLIENT,
                     .id = id,
                     .parent = item->context.span_id,
                     .from_us = r->start_us + r->phases.admission_us,
                     .to_us = r->end_us,
                     .attributes = a,
                     .error = r->status == FT_RECORD_ERROR ? r->error.text : NULL};
    return span_json(item, &s);
}

static bool is_workers(enum ft_phase_kind k)
{
    return k == FT_PHASE_PREPARE || k == FT_PHASE_WORKER_QUEUE || k == FT_PHASE_LOAD ||
           k == FT_PHASE_PREFILL || k == FT_PHASE_DECODE;
}

static json_t *phase_span(const struct ft_trace_item *item, const struct ft_timeline_entry *e,
                          const uint8_t *parent)
{
    const struct ft_record *r = &item->record;
    uint8_t id[FT_TRACE_SPAN_BYTES];
    json_t *a = json_array();
    new_id(id);
    add_text(a, "feitian.request_id", r->id);
    if (e->phase == FT_PHASE_QUEUE && e->n >= 0)
        add_int(a, "feitian.queue.ahead", e->n);
    if (e->phase == FT_PHASE_FAILOVER && e->n >= 0)
        add_int(a, "feitian.worker", e->n);
    if (e->phase == FT_PHASE_PREFILL)
        add_int(a, "feitian.prefill.tokens", r->prompt_tokens - r->cached_tokens);
    if (e->phase == FT_PHASE_DECODE)
        add_int(a, "feitian.decode.tokens", r->completion_tokens);
    struct span s = {.name = ft_phase_name(e->phase),
                     .kind = KIND_INTERNAL,
                     .id = id,
                     .parent = parent,
                     .from_us = r->start_us + e->at_us,
                     .to_us = r->start_us + e->at_us + e->us,
                     .attributes = a,
                     .error = e->phase == FT_PHASE_FAILOVER ? "the worker ended" : NULL};
    return span_json(item, &s);
}

/* The worker's number of the last try; -1: a server, or not known. */
static int worker_of(const struct ft_phases *p)
{
    int n = -1;
    for (int i = 0; i < p->n_moments; i++)
        if (p->moment[i].kind == FT_MOMENT_GIVEN)
            n = p->moment[i].n;
    return n;
}

/* What the worker did, as one span that holds its phases. */
static void add_worker(const struct ft_trace_item *item, const struct ft_timeline_entry *e, int n,
                       const uint8_t *call, json_t *spans)
{
    const struct ft_record *r = &item->record;
    int64_t from = INT64_MAX, to = 0;
    uint8_t id[FT_TRACE_SPAN_BYTES];
    for (int i = 0; i < n; i++) {
        if (!is_workers(e[i].phase))
            continue;
        from = FT_MIN(from, e[i].at_us);
        to = FT_MAX(to, e[i].at_us + e[i].us);
    }
    if (from == INT64_MAX)
        return;
    json_t *a = json_array();
    new_id(id);
    add_text(a, "feitian.request_id", r->id);
    add_text(a, "gen_ai.request.model", r->model);
    if (worker_of(&r->phases) >= 0)
        add_int(a, "feitian.worker", worker_of(&r->phases));
    struct span s = {.name = "worker",
                     .kind = KIND_SERVER,
                     .id = id,
                     .parent = call,
                     .from_us = r->start_us + from,
                     .to_us = r->start_us + to,
                     .attributes = a};
    json_array_append_new(spans, span_json(item, &s));
    for (int i = 0; i < n; i++)
        if (is_workers(e[i].phase))
            json_array_append_new(spans, phase_span(item, &e[i], id));
}

static void add_spans(const struct ft_trace_item *item, json_t *gateway, json_t *worker)
{
    struct ft_timeline_entry e[FT_TIMELINE_MAX];
    const uint8_t *call = item->context.call_id;
    json_array_append_new(gateway, server_span(item));
    if (item->operation == FT_TRACE_NONE || item->record.model[0] == '\0')
        return;
    json_array_append_new(gateway, call_span(item, call));
    int n = ft_timeline(&item->record, e);
    for (int i = 0; i < n; i++)
        if (!is_workers(e[i].phase))
            json_array_append_new(
                gateway,
                phase_span(item, &e[i],
                           e[i].phase == FT_PHASE_ADMISSION ? item->context.span_id : call));
    add_worker(item, e, n, call, worker);
}

static json_t *resource(const struct ft_trace_options *o, const char *part, json_t *spans)
{
    json_t *a = json_array();
    char name[160];
    const char *service = o->service != NULL ? o->service : "feitian";
    snprintf(name, sizeof name, "%s%s", service, strcmp(part, "worker") == 0 ? "-worker" : "");
    add_text(a, "service.name", name);
    add_text(a, "service.version", o->version != NULL ? o->version : "");
    add_text(a, "feitian.process", part);
    return json_pack("{s:{s:o},s:[{s:{s:s,s:s},s:o}]}", "resource", "attributes", a, "scopeSpans",
                     "scope", "name", SCOPE, "version", o->version != NULL ? o->version : "",
                     "spans", spans);
}

void ft_trace_write(const struct ft_trace_options *o, const struct ft_trace_item *list, int n,
                    struct ft_buf *out)
{
    json_t *gateway = json_array(), *worker = json_array(), *all = json_array();
    for (int i = 0; i < n; i++)
        add_spans(&list[i], gateway, worker);
    bool any = json_array_size(worker) > 0;
    json_array_append_new(all, resource(o, "gateway", gateway));
    if (any)
        json_array_append_new(all, resource(o, "worker", worker));
    else
        json_decref(worker);
    json_t *root = json_pack("{s:o}", "resourceSpans", all);
    char *text = json_dumps(root, JSON_COMPACT);
    ft_buf_add_str(out, text != NULL ? text : "");
    free(text);
    json_decref(root);
}
