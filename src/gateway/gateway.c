/* Opens everything in order, waits for the end, closes it in the opposite one. */
#include "gateway/gateway.h"

#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "gateway/aside.h"
#include "gateway/sessions.h"
#include "gateway/watch/prompts.h"
#include "gateway/watch/requests.h"
#include "monitor/trace.h"
#include "sched/ready.h"

#define GATEWAY_THREADS  2
#define GATEWAY_DRAIN_MS 10000
#define END_POLL_US      50000
#define USAGE_TIMEOUT_MS 10000
#define TRIM_EVERY       40 /* polls: 2 s */
#define TRIM_EXCHANGES   64 /* after so many at once, and most of them over, memory is given back */

/* A batch of usage records, on the ledger's thread. */
static int deliver(void *ctx, const char *ndjson, size_t n, int n_records, struct ft_err *err)
{
    struct gw *g = ctx;
    struct ft_http_answer a = {0};
    const char *fields[] = {"Content-Type: application/x-ndjson"};
    struct ft_http_call_config c = {.url = "http://control/internal/usage",
                                    .unix_socket = g->control_socket,
                                    .headers = fields,
                                    .n_headers = 1,
                                    .body = ndjson,
                                    .n_body = n,
                                    .total_timeout_ms = USAGE_TIMEOUT_MS};
    (void)n_records;
    int rc = ft_http_fetch(g->client, &c, GW_ADMIN_BODY_MAX, &a, err);
    if (rc == 0 && a.status != 200)
        rc = ft_err_set(err, a.status == 400 ? FT_EINVAL : FT_EIO, "control answered %d: %.200s",
                        a.status, a.body.data != NULL ? a.body.data : "");
    ft_http_answer_fini(&a);
    return rc;
}

static void on_warning(void *ctx, const struct ft_tenant_warning *w)
{
    (void)ctx;
    ft_log(FT_LOG_WARN, "gateway", "budget: %s %s has spent %.0f %% of its %s: %.2f of %.2f",
           w->scope == FT_SCOPE_PROJECT ? "project" : "key", w->id, 100 * w->fraction,
           w->month ? "month" : "day", (double)w->spent_nanos / 1e9, (double)w->budget_nanos / 1e9);
}

static int open_ledger(struct gw *g, struct ft_err *err)
{
    char dir[4096];
    snprintf(dir, sizeof dir, "%s/journal", g->opt->home);
    struct ft_ledger_options o = {.dir = dir, .deliver = deliver, .ctx = g, .held = true};
    return ft_ledger_open(&o, &g->ledger, err);
}

static int open_serve(struct gw *g, struct ft_err *err)
{
    struct ft_serve_config c = g->opt->serve;
    c.client = g->client;
    gw_events_open(g, &c);
    int rc = ft_serve_open(&c, &g->serve, err);
    if (rc == 0 && g->opt->on_serve != NULL)
        g->opt->on_serve(g->opt->ctx, g->serve);
    return rc;
}

static int open_server(struct gw *g, struct ft_err *err)
{
    struct ft_http_server_config c = {.listen = g->opt->listen,
                                      .n_threads = g->opt->n_threads > 0 ? g->opt->n_threads
                                                                         : GATEWAY_THREADS,
                                      .tls_cert = g->opt->tls_cert,
                                      .tls_key = g->opt->tls_key,
                                      .handler = gw_handle,
                                      .error = gw_server_error,
                                      .raw_targets = true, /* keys of S3 are any text */
                                      .ctx = &g->front};
    return ft_http_server_bind(&c, &g->server, err);
}

/* For processes of this cloud: the folder and the socket are our user's alone. */
static int open_inner(struct gw *g, struct ft_err *err)
{
    char listen[4096];
    snprintf(listen, sizeof listen, "unix:%s/run/gateway.sock", g->opt->home);
    struct ft_http_server_config c = {.listen = listen,
                                      .unix_mode = 0600,
                                      .handler = gw_handle,
                                      .error = gw_server_error,
                                      .ctx = &g->back};
    return ft_http_server_bind(&c, &g->inner, err);
}

static bool has_project(void *ctx, const char *project)
{
    return ft_tenant_has_project(((struct gw *)ctx)->tenant, project);
}

static void drain(struct gw *g)
{
    int ms = g->opt->drain_ms > 0 ? g->opt->drain_ms : GATEWAY_DRAIN_MS;
    int64_t begun = ft_clock_now_ns();
    int rc = ft_http_server_drain(g->server, ms);
    int left = ms - (int)((ft_clock_now_ns() - begun) / 1000000);
    if (g->inner != NULL)
        rc |= ft_http_server_drain(g->inner, FT_MAX(left, 0));
    if (rc != 0)
        ft_log(FT_LOG_WARN, "gateway", "calls were still running after %d ms", ms);
    left = ms - (int)((ft_clock_now_ns() - begun) / 1000000);
    ft_serve_drain(g->serve, FT_MAX(left, 0));
}

static void close_all(struct gw *g)
{
    if (g->serve != NULL)
        ft_serve_drain(g->serve, 0); /* every call ends, so nothing of ours is held behind */
    ft_http_server_stop(g->server);
    ft_http_server_stop(g->inner);
    ft_lanes_close(g->lanes);
    /* What control was asked goes on aside, also when nobody waits for it any more, and may look at
     * all there is: the servers and the store are still there. */
    ft_http_client_close(g->asking);
    gw_aside_close(g->aside);
    ft_http_server_close(g->server);
    ft_http_server_close(g->inner);
    gw_storage_close(g->storage);
    ft_quota_close(g->quota);
    gw_sessions_close(g->sessions);
    gw_feed_close(g->feed);
    if (g->ledger != NULL)
        ft_ledger_drain(g->ledger, 1000);
    if (g->serve != NULL && g->opt->on_serve != NULL)
        g->opt->on_serve(g->opt->ctx, NULL);
    ft_serve_close(g->serve, g->opt->stop_workers);
    ft_ledger_close(g->ledger);
    gw_requests_close(g->requests);
    ft_tracer_close(g->tracer);
    gw_prompts_close(g->prompts);
    ft_http_client_close(g->client);
    ft_tenant_close(g->tenant);
    gw_meter_close(&g->meter);
    ft_events_close(g->events); /* serving told it until now */
    json_decref(g->checks);
    pthread_mutex_destroy(&g->checks_lock);
}

/* What a burst took is free, but malloc keeps it for good unless it is asked. */
static void wait_end(struct gw *g)
{
    int64_t most = 0;
    for (int i = 1; !*g->opt->end; i++) {
        usleep(END_POLL_US);
        struct ft_http_stats s;
        if (i % TRIM_EVERY != 0)
            continue;
        ft_http_server_stats(g->server, &s);
        most = FT_MAX(most, s.exchanges);
        if (most >= TRIM_EXCHANGES && s.exchanges <= most / 4) {
            malloc_trim(0);
            most = 0;
        }
    }
}

int ft_gateway_run(const struct ft_gateway_options *o, struct ft_err *err)
{
    struct gw g = {.opt = o, .begun_ns = ft_clock_now_ns()};
    g.front = (struct gw_door){&g, false};
    g.back = (struct gw_door){&g, true};
    pthread_mutex_init(&g.checks_lock, NULL);
    if (o->control_socket != NULL)
        snprintf(g.control_socket, sizeof g.control_socket, "%s", o->control_socket);
    else
        snprintf(g.control_socket, sizeof g.control_socket, "%s/run/control.sock", o->home);
    int rc = gw_meter_open(&g.meter, err);
    if (rc == 0)
        rc = ft_tenant_open(&g.tenant, err);
    if (rc == 0)
        rc = ft_http_client_open(&g.client, err);
    if (rc == 0)
        rc = ft_http_client_open(&g.asking, err);
    if (rc == 0)
        rc = gw_aside_open(&g.aside, err);
    if (rc == 0)
        rc = open_ledger(&g, err);
    if (rc == 0 && o->trace != NULL)
        rc = ft_tracer_open(o->trace, &g.tracer, err);
    if (rc == 0)
        rc = gw_requests_open(&g, &g.requests, err);
    if (rc == 0)
        rc = gw_prompts_open(o->home, has_project, &g, &g.prompts, err);
    if (rc == 0)
        rc = open_serve(&g, err);
    if (rc == 0) {
        ft_tenant_on_warning(g.tenant, on_warning, &g);
        rc = gw_feed_open(&g, &g.feed, err);
    }
    if (rc == 0)
        rc = ft_lanes_open(0, &g.lanes, err);
    if (rc == 0)
        rc = gw_sessions_open(&g.sessions, err);
    if (rc == 0)
        rc = ft_quota_open(gw_kept, &g, &g.quota, err);
    if (rc == 0)
        rc = gw_storage_open(&g, &g.storage, err);
    if (rc == 0 && gw_feed_wait_first(g.feed))
        rc = open_server(&g, err);
    if (rc == 0 && g.server != NULL)
        rc = open_inner(&g, err);
    if (rc == 0 && g.inner != NULL) /* whose handlers ask both for their figures */
        rc = ft_http_server_start(g.inner, err);
    if (rc == 0 && g.inner != NULL)
        rc = ft_http_server_start(g.server, err);
    if (rc == 0 && g.inner != NULL) {
        ft_log(FT_LOG_INFO, "gateway", "listening on %s", ft_http_server_address(g.server));
        ft_events_tell(g.events, &(struct ft_event){.kind = "gateway_started",
                                                    .text = "the gateway is up",
                                                    .worker = -1});
        rc = ft_ready_tell(err);
        if (rc == 0)
            wait_end(&g);
        drain(&g);
    }
    close_all(&g);
    return rc;
}
