/* What is told of a request that has ended: to a collector of traces, and to the log. Never what
 * was said in it. */
#include <stdio.h>
#include <string.h>

#include "base/hex.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "gateway/watch/requests.h"

/* ---- traces ---- */

void gw_trace_begin(struct gw_request *r)
{
    if (r->gw->tracer == NULL)
        return;
    ft_tracer_begin(r->gw->tracer, ft_http_header(r->x, "traceparent"), &r->trace);
    if (r->trace.sampled && !r->trace.forced)
        ft_hex(r->trace.trace_id, FT_TRACE_ID_BYTES, r->trace_id);
}

void gw_trace_known(struct gw_request *r)
{
    r->trace.forced = false;
    if (r->gw->tracer != NULL && r->trace.sampled)
        ft_hex(r->trace.trace_id, FT_TRACE_ID_BYTES, r->trace_id);
}

bool gw_trace_headers(const struct gw_request *r, char ret_parent[FT_TRACE_PARENT_BYTES],
                      const char **ret_state)
{
    struct ft_trace_context c = r->trace;
    const char *parent = ft_http_header(r->x, "traceparent");
    const char *state = ft_http_header(r->x, "tracestate");
    bool is_one =
        r->gw->tracer != NULL ? c.has_parent : parent != NULL && ft_trace_parent_parse(parent, &c);
    *ret_state = is_one && state != NULL && ft_trace_state_ok(state) ? state : NULL;
    if (r->gw->tracer == NULL && !is_one)
        return false;
    ft_trace_parent_write(&c, r->gw->tracer != NULL ? c.call_id : c.parent_id, ret_parent);
    return true;
}

static enum ft_trace_operation operation_of(const struct gw_route *route)
{
    if (route == NULL || route->handler == NULL)
        return FT_TRACE_NONE;
    bool calls = route->handler == gw_call_model || route->handler == gw_call_message ||
                 route->handler == gw_responses;
    switch (calls ? (enum ft_task_kind)route->task : FT_TASK_COUNT) {
    case FT_TASK_CHAT:
        return FT_TRACE_CHAT;
    case FT_TASK_TEXT:
        return FT_TRACE_TEXT;
    case FT_TASK_EMBED:
        return FT_TRACE_EMBED;
    case FT_TASK_RERANK:
        return FT_TRACE_RERANK;
    case FT_TASK_COUNT:
        break;
    }
    return FT_TRACE_NONE;
}

/* The route's pattern: a path may hold names of a client's. */
static const char *pattern_of(const struct gw_request *r)
{
    if (r->route == NULL || strchr(r->route->path, '*') != NULL)
        return r->name != NULL ? r->name : "";
    return r->route->path;
}

static void trace(struct gw_request *r, const struct ft_record *record, const char *finish)
{
    struct ft_trace_item item = {.context = r->trace,
                                 .record = *record,
                                 .operation = operation_of(r->route),
                                 .secure = r->x->secure};
    const char *state = ft_http_header(r->x, "tracestate");
    snprintf(item.method, sizeof item.method, "%s", r->x->method);
    snprintf(item.route, sizeof item.route, "%s", pattern_of(r));
    snprintf(item.finish, sizeof item.finish, "%s", finish != NULL ? finish : "");
    if (r->trace.has_parent && state != NULL && ft_trace_state_ok(state))
        snprintf(item.state, sizeof item.state, "%s", state);
    ft_tracer_put(r->gw->tracer, &item);
}

/* ---- the log ---- */

static void log_line(const struct gw_request *r, const struct ft_record *o)
{
    const struct ft_log_field fields[] = {
        {"request", o->id, 0},
        {"method", r->x->method, 0},
        {"route", o->route, 0},
        {"status", NULL, o->http},
        {"ms", NULL, (o->end_us - o->start_us) / 1000},
        {"project", o->project, 0},
        {"key", o->key, 0},
        {"model", o->model, 0},
        {"prompt_tokens", NULL, o->prompt_tokens},
        {"completion_tokens", NULL, o->completion_tokens},
        {"error", o->error.code, 0},
        {"client_request", o->client_id, 0},
        {"trace", o->trace_id, 0},
    };
    struct ft_log_field told[FT_COUNT(fields)];
    int n = 0;
    for (size_t i = 0; i < FT_COUNT(fields); i++) /* what there is */
        if (fields[i].text != NULL ? fields[i].text[0] != '\0'
                                   : fields[i].number != 0 || strcmp(fields[i].name, "ms") == 0)
            told[n++] = fields[i];
    enum ft_log_level level = r->gw->opt->log_requests ? FT_LOG_INFO : FT_LOG_DEBUG;
    ft_log_fields(level, "access", ft_record_status_name(o->status), told, n);
}

void gw_request_told(struct gw_request *r, const struct ft_record *record, const char *finish)
{
    if (r->gw->tracer != NULL && r->trace.sampled && !r->trace.forced)
        trace(r, record, finish);
    if (r->gw->opt->log_requests || ft_log_on(FT_LOG_DEBUG))
        log_line(r, record);
}
