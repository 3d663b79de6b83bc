/* What happened, for people: /api/v1/events, from the ring and files of monitor/events.h. Serving
 * tells it from here, control (alerts) through the inner socket. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/openai/json.h"
#include "base/log.h"
#include "gateway/inner.h"
#include "net/url.h"

#define TOLD_MAX ((size_t)256 << 10) /* of control, at a time */

/* Under serving's lock: memory only. */
static void on_serve_event(void *ctx, const struct ft_serve_event *v)
{
    struct gw *g = ctx;
    ft_events_tell(g->events, &(struct ft_event){.kind = v->kind,
                                                 .level = (enum ft_event_level)v->level,
                                                 .text = v->text,
                                                 .endpoint = v->endpoint,
                                                 .project = v->project,
                                                 .worker = v->worker,
                                                 .request = v->request});
}

void gw_events_open(struct gw *g, struct ft_serve_config *serve)
{
    char dir[4096];
    struct ft_err err = {0};
    snprintf(dir, sizeof dir, "%s/monitor", g->opt->home);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        ft_log(FT_LOG_WARN, "gateway", "%s: %s", dir, strerror(errno));
    if (ft_events_open(dir, &g->events, &err) != 0) { /* calls do not need them */
        ft_log(FT_LOG_WARN, "gateway", "no events are kept: %s", err.msg);
        return;
    }
    serve->on_event = on_serve_event;
    serve->event_ctx = g;
}

/* ---- asked ---- */

struct asked {
    struct ft_events_filter filter;
    struct ft_oai_error e;
    bool refused;
};

static void refuse(struct asked *a, const char *name, const char *why)
{
    ft_oai_error_set(&a->e, FT_EINVAL, "invalid_value", name, "%s: %s", name, why);
    a->refused = true;
}

/* What serving, control and the gateway tell of. */
#define KINDS                                                                                      \
    "worker_started, worker_ready, worker_stopped, worker_died, model_loaded, model_refused, "     \
    "scaled, failover, request_given_up, endpoint_created, endpoint_changed, endpoint_removed, "   \
    "alert_firing, alert_resolved, alert_no_data, gateway_started"

static bool is_kind(const char *name)
{
    const char *at = KINDS;
    size_t n = strlen(name);
    for (; at != NULL; at = strstr(at, ", ")) {
        at += at[0] == ',' ? 2 : 0;
        if (n > 0 && strncmp(at, name, n) == 0 && (at[n] == ',' || at[n] == '\0'))
            return true;
    }
    return false;
}

static void take(struct asked *a, const char *name, const char *value)
{
    char *end;
    if (strcmp(name, "endpoint") == 0) {
        a->filter.endpoint = value;
    } else if (strcmp(name, "kind") == 0) {
        a->filter.kind = value;
        if (!is_kind(value))
            refuse(a, name, "must be one of " KINDS);
    } else if (strcmp(name, "limit") == 0) {
        long n = strtol(value, &end, 10);
        if (*end != '\0' || n < 1 || n > FT_EVENTS_LIST_MAX)
            refuse(a, name, "must be a number from 1 to 500");
        a->filter.limit = (int)n;
    } else if (strcmp(name, "before") == 0) {
        a->filter.before = ft_events_id_parse(value);
        if (a->filter.before == 0)
            refuse(a, name, "is no event's id");
    } else {
        ft_oai_error_set(&a->e, FT_EINVAL, "unknown_parameter", name,
                         "%.60s: there is no such parameter", name);
        a->refused = true;
    }
}

static int read_query(struct gw_request *r, struct asked *a)
{
    struct ft_err err = {0};
    const char *name, *value;
    size_t at = 0;
    int rc;
    while (!a->refused &&
           (rc = ft_url_param_next(r->x->query, &at, &r->x->arena, &name, &value, &err)) > 0)
        take(a, name, value);
    if (!a->refused && err.code != 0) {
        ft_oai_error_from_query(&a->e, &err);
        a->refused = true;
    }
    return a->refused ? FT_EINVAL : 0;
}

static void not_kept(struct ft_oai_error *e)
{
    ft_oai_error_set(e, FT_EBUSY, "events_unavailable", NULL,
                     "events are not kept now: the log says why");
    e->status = 503;
}

static void list(struct gw_request *r)
{
    struct asked a = {0};
    ft_oai_error_init(&a.e);
    if (ft_tenant_ident_role(r->ident) < FT_ROLE_OPERATOR)
        a.filter.project = r->ident->project;
    if (read_query(r, &a) != 0) {
        gw_fail(r, &a.e);
        return;
    }
    if (r->gw->events == NULL) {
        not_kept(&a.e);
        gw_fail(r, &a.e);
        return;
    }
    json_t *all = ft_events_list(r->gw->events, &a.filter);
    gw_respond_json(r, all);
}

/* ---- told by control ---- */

/* False: it is no event. */
static bool tell(struct gw *g, const json_t *o)
{
    static const char *const level[] = {"info", "warn", "error"};
    const char *how = json_string_value(json_object_get(o, "level"));
    struct ft_event v = {.kind = json_string_value(json_object_get(o, "kind")),
                         .text = json_string_value(json_object_get(o, "text")),
                         .endpoint = json_string_value(json_object_get(o, "endpoint")),
                         .project = json_string_value(json_object_get(o, "project")),
                         .rule = json_string_value(json_object_get(o, "rule")),
                         .worker = -1};
    for (int i = 0; how != NULL && i < (int)FT_COUNT(level); i++)
        if (strcmp(level[i], how) == 0)
            v.level = (enum ft_event_level)i;
    if (v.kind == NULL || v.text == NULL)
        return false;
    ft_events_tell(g->events, &v);
    return true;
}

static void on_told(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_oai_error e;
    size_t i;
    json_t *one;
    (void)x;
    ft_oai_error_init(&e);
    json_t *list = json_loadb(data, n, 0, NULL);
    if (!json_is_array(list))
        ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "events come as a list");
    else if (r->gw->events == NULL)
        not_kept(&e);
    json_array_foreach(list, i, one)
    {
        if (e.err.code == 0 && !tell(r->gw, one))
            ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "event %zu: has no kind or no text", i);
    }
    if (e.err.code != 0)
        gw_fail(r, &e);
    else
        gw_respond(r, 200, "application/json", "{}", 2);
    json_decref(list);
}

static void told(struct gw_request *r)
{
    ft_http_body_collect(r->x, TOLD_MAX, on_told, r);
}

static const struct gw_route rows[] = {
    {"GET", "/api/v1/events", "models", "admin", GW_OPENAI, list, 0, 0, 0},
    {"GET", "/api/v1/nodes", "models", "admin", GW_OPENAI, gw_nodes, 0, GW_LANE | GW_BARE, 0},
    {"POST", "/internal/events", NULL, NULL, GW_OPENAI, told, 0, GW_INNER, 0},
};
const struct gw_table gw_monitor_routes = {rows, FT_COUNT(rows)};
