/* What lives here now: the health of the gateway, its state (all of it for operators alone), and a
 * first page. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "gateway/inner.h"
#include "gateway/watch/requests.h"

static json_t *ledger_status(struct gw *g)
{
    struct ft_ledger_stats s;
    ft_ledger_stats(g->ledger, &s);
    return json_pack("{s:i,s:i,s:I,s:I,s:I,s:I,s:I,s:I,s:s}", "slots_used", s.slots_used, "slots",
                     s.slots_max, "records", (json_int_t)s.records, "delivered",
                     (json_int_t)s.delivered, "pending_bytes", (json_int_t)s.pending_bytes,
                     "recovered", (json_int_t)s.recovered, "lost", (json_int_t)s.lost, "uncounted",
                     (json_int_t)s.uncounted, "trouble", s.trouble);
}

static json_t *gateway_status(struct gw *g)
{
    struct ft_http_stats s;
    ft_http_server_stats(g->server, &s);
    return json_pack("{s:s,s:i,s:s,s:I,s:I,s:I,s:I,s:I,s:I}", "version", FT_VERSION, "pid",
                     (int)getpid(), "address", ft_http_server_address(g->server), "uptime_s",
                     (json_int_t)((ft_clock_now_ns() - g->begun_ns) / 1000000000), "connections",
                     (json_int_t)s.connections, "exchanges", (json_int_t)s.exchanges, "requests",
                     (json_int_t)s.requests, "refused", (json_int_t)s.refused, "calls_running",
                     (json_int_t)atomic_load(&g->running));
}

/* null: no collector was named. */
static json_t *traces_status(struct gw *g)
{
    struct ft_tracer_stats s;
    if (g->tracer == NULL)
        return json_null();
    ft_tracer_stats(g->tracer, &s);
    return json_pack("{s:I,s:I,s:I,s:i}", "sent", (json_int_t)s.sent, "dropped",
                     (json_int_t)s.dropped, "messages_failed", (json_int_t)s.failed, "waiting",
                     s.waiting);
}

/* What a project may see of a cloud that it shares: its own and the common endpoints, its own
 * queue; of the others not even how busy they are. */
static void keep_own(json_t *all, const char *project)
{
    json_t *serving = json_object_get(all, "serving"), *queue = json_object_get(serving, "queue");
    json_t *endpoints = json_object_get(serving, "endpoints");
    json_t *projects = json_object_get(queue, "projects");
    json_t *own = json_incref(json_object_get(projects, project));
    for (size_t i = json_array_size(endpoints); i-- > 0;) {
        const char *of =
            json_string_value(json_object_get(json_array_get(endpoints, i), "project"));
        if (of != NULL && strcmp(of, project) != 0)
            json_array_remove(endpoints, i);
    }
    json_object_clear(queue);
    json_object_set_new(queue, "projects", json_object());
    if (own != NULL)
        json_object_set_new(json_object_get(queue, "projects"), project, own);
    json_object_del(serving, "workers");
    json_object_del(all, "ledger");
    json_object_del(all, "storage");
    json_object_del(all, "tenants");
    json_object_del(all, "requests");
    json_object_del(all, "traces");
}

json_t *gw_status_all(struct gw *g)
{
    json_t *all = json_object();
    json_object_set_new(all, "gateway", gateway_status(g));
    json_object_set_new(all, "control",
                        json_pack("{s:b,s:I}", "connected", gw_feed_connected(g->feed), "seq",
                                  (json_int_t)gw_feed_seq(g->feed)));
    json_object_set_new(all, "ledger", ledger_status(g));
    json_object_set_new(all, "tenants", ft_tenant_status(g->tenant));
    json_object_set_new(all, "serving", ft_serve_status(g->serve));
    json_object_set_new(all, "storage", gw_storage_status(g));
    json_object_set_new(all, "requests", gw_requests_status(g->requests));
    json_object_set_new(all, "traces", traces_status(g));
    return all;
}

void gw_status(struct gw_request *r)
{
    json_t *all = gw_status_all(r->gw);
    if (ft_tenant_ident_role(r->ident) < FT_ROLE_OPERATOR)
        keep_own(all, r->ident->project);
    gw_respond_json(r, all);
}

void gw_health(struct gw_request *r)
{
    static const char ok[] = "{\"status\":\"ok\"}\n";
    gw_respond(r, 200, "application/json", ok, sizeof ok - 1);
}

void gw_index(struct gw_request *r)
{
    static const char text[] =
        "feitian " FT_VERSION ": a private AI cloud.\n\n"
        "OpenAI's API      /v1           chat/completions, completions, embeddings, rerank,\n"
        "                                responses, models, usage, files, uploads, batches,\n"
        "                                fine_tuning/jobs\n"
        "Anthropic's API   /v1/messages\n"
        "S3                /             any client of S3's, with what 'feitian key s3' prints\n"
        "The hub           /api/models   and datasets, for HF_ENDPOINT and Git LFS\n"
        "Administration    /api/v1       described in /api/v1/openapi.json\n"
        "Metrics           /metrics      for Prometheus: docs/monitoring.md\n"
        "The console       /console/     for browsers\n";
    if (gw_is_browser(r)) {
        gw_console_enter(r);
        return;
    }
    gw_respond(r, 200, "text/plain; charset=utf-8", text, sizeof text - 1);
}
