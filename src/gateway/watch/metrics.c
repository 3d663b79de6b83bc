/* GET /metrics: who may see it, in which format, and what is known of the gateway itself. What is
 * counted as it happens is meter.c's. */
#include "gateway/watch/metrics.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "gateway/aside.h"
#include "gateway/inner.h"
#include "monitor/expose.h"

#define CONTROL_WAIT_MS 1000 /* for its figures */

/* ---- giving ---- */

int gw_metrics_add_list(struct ft_metric_set *m, const struct ft_metric_def *def, size_t n,
                        struct ft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < n; i++)
        rc = ft_metric_set_add(m, &def[i], NULL, err);
    return rc;
}

void gw_metrics_give3(struct ft_metric_out *out, const char *a, const char *b, const char *c,
                      double v)
{
    const char *const value[FT_METRIC_LABELS_MAX] = {a, b, c};
    out->give(out, value, v, NULL);
}

void gw_metrics_give2(struct ft_metric_out *out, const char *a, const char *b, double v)
{
    gw_metrics_give3(out, a, b, NULL, v);
}

void gw_metrics_give1(struct ft_metric_out *out, const char *a, double v)
{
    gw_metrics_give3(out, a, NULL, NULL, v);
}

void gw_metrics_give(struct ft_metric_out *out, double v)
{
    gw_metrics_give3(out, NULL, NULL, NULL, v);
}

/* ---- what is known of this process ---- */

#define SCRAPE(ctx) const struct gw_scrape *s = (ctx)
/* A family without labels that is one figure of the scrape. */
#define READ(name, value)                                                                          \
    static void name(void *ctx, struct ft_metric_out *out)                                         \
    {                                                                                              \
        SCRAPE(ctx);                                                                               \
        gw_metrics_give(out, (double)(value));                                                     \
    }

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

READ(read_connections, s->http.connections)
READ(read_exchanges, s->http.exchanges)
READ(read_http_refused, s->http.refused)
READ(read_calls, atomic_load(&s->gw->running))
READ(read_slots, s->ledger.slots_max)
READ(read_slots_used, s->ledger.slots_used)
READ(read_records, s->ledger.records)
READ(read_delivered, s->ledger.delivered)
READ(read_pending, s->ledger.pending_bytes)
READ(read_corrupt, s->ledger.corrupt)
READ(read_uncounted, s->ledger.uncounted)
READ(read_trouble, s->ledger.trouble[0] != '\0')
/* Zeros where no collector was named. */
static struct ft_tracer_stats traced(const struct gw *g)
{
    struct ft_tracer_stats t = {0};
    if (g->tracer != NULL)
        ft_tracer_stats(g->tracer, &t);
    return t;
}
READ(read_traced, traced(s->gw).sent)
READ(read_trace_dropped, traced(s->gw).dropped)
READ(read_connected, gw_feed_connected(s->gw->feed))
READ(read_seq, gw_feed_seq(s->gw->feed))
READ(read_projects, number(s->tenants, "projects"))
READ(read_keys, number(s->tenants, "keys"))
READ(read_members, number(s->tenants, "members"))
READ(read_store_open, json_is_true(json_object_get(s->storage, "open")))
READ(read_stored_bytes, number(s->storage, "bytes"))
READ(read_stored_objects, number(s->storage, "objects"))

static void read_bucket_bytes(void *ctx, struct ft_metric_out *out)
{
    SCRAPE(ctx);
    const struct gw_buckets *b = s->buckets;
    for (int i = 0; b != NULL && i < b->n; i++)
        gw_metrics_give2(out, b->list[i].facts.name, b->list[i].facts.owner,
                         (double)b->list[i].kept.bytes);
    if (b != NULL && b->other.objects > 0)
        gw_metrics_give2(out, FT_METRIC_OTHER, FT_METRIC_OTHER, (double)b->other.bytes);
}

static void read_bucket_objects(void *ctx, struct ft_metric_out *out)
{
    SCRAPE(ctx);
    const struct gw_buckets *b = s->buckets;
    for (int i = 0; b != NULL && i < b->n; i++)
        gw_metrics_give2(out, b->list[i].facts.name, b->list[i].facts.owner,
                         (double)b->list[i].kept.objects);
    if (b != NULL && b->other.objects > 0)
        gw_metrics_give2(out, FT_METRIC_OTHER, FT_METRIC_OTHER, (double)b->other.objects);
}

static void read_build(void *ctx, struct ft_metric_out *out)
{
    (void)ctx;
    gw_metrics_give1(out, FT_VERSION, 1);
}

static void read_auth(void *ctx, struct ft_metric_out *out)
{
    SCRAPE(ctx);
    const char *why;
    json_t *n;
    json_object_foreach(json_object_get(s->tenants, "refused"), why, n)
    {
        gw_metrics_give1(out, why, json_number_value(n));
    }
}

READ(read_machine_cpu, s->machine.cpu_s)
READ(read_memory, s->machine.memory_total)
READ(read_memory_left, s->machine.memory_left)

static void read_disk_free(void *ctx, struct ft_metric_out *out)
{
    SCRAPE(ctx);
    if (s->machine.disk_free >= 0)
        gw_metrics_give1(out, s->gw->opt->home, (double)s->machine.disk_free);
}

static void read_disk_size(void *ctx, struct ft_metric_out *out)
{
    SCRAPE(ctx);
    if (s->machine.disk >= 0)
        gw_metrics_give1(out, s->gw->opt->home, (double)s->machine.disk);
}

static void read_cores(void *ctx, struct ft_metric_out *out)
{
    (void)ctx;
    gw_metrics_give(out, (double)sysconf(_SC_NPROCESSORS_ONLN));
}

READ(read_cpu, s->process.cpu_s)
READ(read_start, s->process.start_s)
READ(read_resident, s->process.resident_bytes)
READ(read_virtual, s->process.virtual_bytes)
READ(read_fds, s->process.open_fds)
READ(read_fds_max, s->process.max_fds)
READ(read_threads, s->process.threads)

#define COUNTER FT_METRIC_COUNTER
#define GAUGE   FT_METRIC_GAUGE

static const struct ft_metric_def families[] = {
    {"feitian_build_info",
     "Always 1; the version that runs.",
     NULL,
     GAUGE,
     {"version"},
     .read = read_build},
    {"feitian_http_connections", "Open connections of the public listener.", NULL, GAUGE,
     .read = read_connections},
    {"feitian_http_exchanges", "Requests under way at the public listener.", NULL, GAUGE,
     .read = read_exchanges},
    {"feitian_http_connections_refused", "Connections and requests turned away at a bound.", NULL,
     COUNTER, .read = read_http_refused},
    {"feitian_calls_running", "Calls of models under way.", NULL, GAUGE, .read = read_calls},
    {"feitian_auth_refused",
     "Requests that their key did not allow, by why.",
     NULL,
     COUNTER,
     {"why"},
     .read = read_auth},
    {"feitian_projects", "Projects.", NULL, GAUGE, .read = read_projects},
    {"feitian_members", "Members of projects.", NULL, GAUGE, .read = read_members},
    {"feitian_keys", "Keys.", NULL, GAUGE, .read = read_keys},
    {"feitian_ledger_slots", "Requests that the ledger can hold open at once.", NULL, GAUGE,
     .read = read_slots},
    {"feitian_ledger_slots_used", "Requests that the ledger holds open.", NULL, GAUGE,
     .read = read_slots_used},
    {"feitian_ledger_records", "Records of usage written.", NULL, COUNTER, .read = read_records},
    {"feitian_ledger_delivered_records", "Records of usage that control has taken.", NULL, COUNTER,
     .read = read_delivered},
    {"feitian_ledger_pending_bytes", "Bytes of usage that wait for control.", "bytes", GAUGE,
     .read = read_pending},
    {"feitian_ledger_corrupt_records", "Lines of the journal whose checksum was wrong.", NULL,
     COUNTER, .read = read_corrupt},
    {"feitian_ledger_uncounted_requests", "Refused requests that have no record.", NULL, COUNTER,
     .read = read_uncounted},
    {"feitian_ledger_trouble", "1 while disk or delivery fail.", NULL, GAUGE, .read = read_trouble},
    {"feitian_control_connected", "1 while control answers.", NULL, GAUGE, .read = read_connected},
    {"feitian_feed_position", "The last change of control's that was applied.", NULL, GAUGE,
     .read = read_seq},
    {"feitian_store_open", "1 while the store of objects can be used.", NULL, GAUGE,
     .read = read_store_open},
    {"feitian_traced_requests", "Requests whose spans a collector took.", NULL, COUNTER,
     .read = read_traced},
    {"feitian_traced_requests_dropped", "Requests whose spans were dropped.", NULL, COUNTER,
     .read = read_trace_dropped},
    {"feitian_stored_bytes", "Bytes of all objects.", "bytes", GAUGE, .read = read_stored_bytes},
    {"feitian_stored_objects", "Objects of all buckets, with their versions.", NULL, GAUGE,
     .read = read_stored_objects},
    {"feitian_bucket_bytes",
     "Bytes kept in a bucket, for the largest buckets.",
     "bytes",
     GAUGE,
     {"bucket", "project"},
     .read = read_bucket_bytes},
    {"feitian_bucket_objects",
     "Objects kept in a bucket, with their versions.",
     NULL,
     GAUGE,
     {"bucket", "project"},
     .read = read_bucket_objects},
    {"feitian_disk_free_bytes",
     "What is left of the disk that a folder lies on.",
     "bytes",
     GAUGE,
     {"path"},
     .read = read_disk_free},
    {"feitian_disk_size_bytes",
     "Size of the disk that a folder lies on.",
     "bytes",
     GAUGE,
     {"path"},
     .read = read_disk_size},
    {"feitian_machine_cpu_seconds", "Processor time of the whole machine that was no idling.",
     "seconds", COUNTER, .read = read_machine_cpu},
    {"feitian_machine_cores", "Processors of the machine.", NULL, GAUGE, .read = read_cores},
    {"feitian_machine_memory_bytes", "Memory of the machine.", "bytes", GAUGE, .read = read_memory},
    {"feitian_machine_memory_available_bytes", "Memory that can be taken without swapping.",
     "bytes", GAUGE, .read = read_memory_left},
    {"process_cpu_seconds", "Processor time of the gateway.", "seconds", COUNTER, .read = read_cpu},
    {"process_start_time_seconds", "When the gateway started, unix time.", "seconds", GAUGE,
     .read = read_start},
    {"process_resident_memory_bytes", "Memory of the gateway that is resident.", "bytes", GAUGE,
     .read = read_resident},
    {"process_virtual_memory_bytes", "Address space of the gateway.", "bytes", GAUGE,
     .read = read_virtual},
    {"process_open_fds", "Open files of the gateway.", NULL, GAUGE, .read = read_fds},
    {"process_max_fds", "Files that the gateway may open.", NULL, GAUGE, .read = read_fds_max},
    {"process_threads", "Threads of the gateway.", NULL, GAUGE, .read = read_threads},
};

int gw_metrics_add(struct gw_meter *m, struct ft_err *err)
{
    int rc = gw_metrics_add_serving(m->own, err);
    if (rc == 0)
        rc = gw_metrics_add_list(m->own, families, FT_COUNT(families), err);
    return rc == 0 ? gw_metrics_add_vllm(m, err) : rc;
}

/* ---- the route ---- */

/* This machine's own, with nobody in between who speaks for others. */
static bool is_local(const struct gw_request *r)
{
    static const char *const forwarded[] = {"forwarded", "x-forwarded-for", "x-real-ip", "via"};
    const char *peer = r->x->peer;
    for (size_t i = 0; i < FT_COUNT(forwarded); i++)
        if (ft_http_header(r->x, forwarded[i]) != NULL)
            return false;
    return r->inner || strncmp(peer, "127.", 4) == 0 || strcmp(peer, "::1") == 0 ||
           strncmp(peer, "::ffff:127.", 11) == 0 || strcmp(peer, "unix") == 0;
}

static bool may_see(struct gw_request *r, struct ft_oai_error *e)
{
    if (is_local(r))
        return true;
    if (gw_authenticate(r, "", e) != 0)
        return false;
    if (ft_tenant_ident_role(r->ident) == FT_ROLE_OPERATOR ||
        ft_tenant_ident_names(r->ident, "metrics"))
        return true;
    ft_oai_error_set(e, FT_EINVAL, "insufficient_permissions", NULL,
                     "The figures of the whole cloud need a key of an operator, or one with "
                     "'metrics' among its actions.");
    e->status = 403;
    return false;
}

static void write_ours(struct gw *g, bool vllm, enum ft_expose_format format, struct ft_buf *out)
{
    struct gw_scrape s = {.gw = g,
                          .serving = ft_serve_status(g->serve),
                          .tenants = ft_tenant_status(g->tenant),
                          .storage = gw_storage_status(g),
                          .buckets = malloc(sizeof(struct gw_buckets)),
                          .machine = {.disk_free = -1, .disk = -1}};
    if (s.buckets != NULL)
        gw_storage_buckets(g, s.buckets);
    ft_process_info(0, &s.process, NULL); /* what cannot be read is shown as 0 */
    ft_machine_read(g->opt->home, &s.machine, NULL);
    ft_ledger_stats(g->ledger, &s.ledger);
    ft_http_server_stats(g->server, &s.http);
    ft_expose_write(g->meter.own, &s, format, out);
    if (vllm)
        ft_expose_write(g->meter.vllm, &s, format, out);
    json_decref(s.serving);
    json_decref(s.tenants);
    json_decref(s.storage);
    free(s.buckets);
}

static enum ft_expose_format format_of(const struct gw_request *r)
{
    return ft_expose_choose(ft_http_header(r->x, "accept"));
}

/* A scrape on its way. */
struct asked {
    struct gw_request *r;
    struct ft_buf control; /* what control adds */
    int status;
};

static void asked_free(struct asked *a)
{
    struct ft_http_exchange *x = a->r->x;
    ft_buf_fini(&a->control);
    free(a);
    ft_http_unref(x);
}

/* On the thread aside: it looks at disks and writes megabytes. Without control's figures, ours are
 * shown all the same. */
static void answer(void *ctx)
{
    struct asked *a = ctx;
    struct gw_request *r = a->r;
    struct ft_oai_error e;
    struct ft_buf text;
    enum ft_expose_format format = format_of(r);
    ft_buf_init(&text, FT_EXPOSE_BYTES_MAX);
    write_ours(r->gw, strcmp(r->x->query, "vllm=0") != 0, format, &text);
    if (a->status == 200 && a->control.failed == 0)
        ft_buf_add(&text, a->control.data, a->control.len);
    ft_expose_end(format, &text);
    if (text.failed == 0) {
        gw_respond(r, 200, ft_expose_type(format), text.data, text.len);
    } else {
        ft_oai_error_init(&e);
        ft_oai_error_set(&e, FT_ELIMIT, NULL, NULL, "there are too many metrics for one answer");
        gw_fail(r, &e);
    }
    ft_buf_fini(&text);
    asked_free(a);
}

/* ---- what control adds ---- */

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    ((struct asked *)ctx)->status = head->status;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    ft_buf_add(&((struct asked *)ctx)->control, data, n); /* a failure is seen at the end */
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct asked *a = ctx;
    a->status = err == NULL ? a->status : 0;
    if (gw_aside_do(a->r, answer, a) != 0)
        asked_free(a);
}

static void ask_control(struct asked *a)
{
    struct ft_err err = {0};
    struct ft_http_call_config c = {.method = "GET",
                                    .url = format_of(a->r) == FT_EXPOSE_OPENMETRICS
                                               ? "http://control/internal/metrics?openmetrics"
                                               : "http://control/internal/metrics",
                                    .unix_socket = a->r->gw->control_socket,
                                    .total_timeout_ms = CONTROL_WAIT_MS,
                                    .on_head = on_head,
                                    .on_data = on_data,
                                    .on_done = on_done,
                                    .ctx = a};
    if (ft_http_call_start(a->r->gw->asking, &c, NULL, &err) != 0)
        on_done(a, &err);
}

void gw_metrics(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (!may_see(r, &e)) {
        gw_refuse(r, "", &e);
        return;
    }
    struct asked *a = calloc(1, sizeof *a);
    if (a == NULL) {
        gw_respond_json(r, NULL);
        return;
    }
    a->r = r;
    ft_buf_init(&a->control, FT_EXPOSE_BYTES_MAX);
    ft_http_ref(r->x);
    if (r->inner || !gw_feed_connected(r->gw->feed)) /* control asks there, for ours */
        on_done(a, NULL);
    else
        ask_control(a);
}
