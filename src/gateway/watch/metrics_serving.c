/* What serving tells of endpoints and workers, as metrics. Of each family at most
 * FT_METRIC_VALUES_MAX series are shown; figures of the rest are added up under "other". */
#include <string.h>

#include "gateway/inner.h"
#include "gateway/watch/metrics.h"
#include "monitor/process.h"

#define COUNTER FT_METRIC_COUNTER
#define GAUGE   FT_METRIC_GAUGE

static double number(const json_t *o, const char *name)
{
    return json_number_value(json_object_get(o, name));
}

static const char *text(const json_t *o, const char *name)
{
    const char *s = json_string_value(json_object_get(o, name));
    return s != NULL ? s : "";
}

/* ---- endpoints ---- */

typedef double endpoint_fn(const json_t *endpoint);

static void endpoints(void *ctx, struct ft_metric_out *out, endpoint_fn *of)
{
    const struct gw_scrape *s = ctx;
    double other = 0;
    bool any_other = false;
    int given = 0;
    size_t i;
    json_t *e;
    json_array_foreach(json_object_get(s->serving, "endpoints"), i, e)
    {
        if (given < FT_METRIC_VALUES_MAX && strcmp(text(e, "id"), FT_METRIC_OTHER) != 0) {
            gw_metrics_give2(out, text(e, "id"), text(e, "id"), of(e));
            given++;
        } else {
            other += of(e);
            any_other = true;
        }
    }
    if (any_other)
        gw_metrics_give2(out, FT_METRIC_OTHER, FT_METRIC_OTHER, other);
}

static double replicas(const json_t *e, const char *name)
{
    return number(json_object_get(e, "replicas"), name);
}

#define ENDPOINT(name, value)                                                                      \
    static double of_##name(const json_t *e)                                                       \
    {                                                                                              \
        return value;                                                                              \
    }                                                                                              \
    static void name(void *ctx, struct ft_metric_out *out)                                         \
    {                                                                                              \
        endpoints(ctx, out, of_##name);                                                            \
    }
ENDPOINT(read_running, number(e, "in_flight"))
ENDPOINT(read_waiting, number(e, "queue"))
ENDPOINT(read_failovers, number(e, "failovers"))
ENDPOINT(read_ready, replicas(e, "ready"))
ENDPOINT(read_wanted, replicas(e, "wanted"))

/* ---- an endpoint's targets: the versions of a canary ---- */

typedef void target_fn(struct ft_metric_out *out, const char *endpoint, const char *name,
                       const json_t *target);

/* At most FT_METRIC_VALUES_MAX of them. */
static void targets(void *ctx, struct ft_metric_out *out, target_fn *of)
{
    const struct gw_scrape *s = ctx;
    int given = 0;
    size_t i, k;
    json_t *e, *t;
    json_array_foreach(json_object_get(s->serving, "endpoints"), i, e)
    {
        const json_t *list = json_object_get(e, "targets");
        if (given + (int)json_array_size(list) > FT_METRIC_VALUES_MAX)
            break;
        json_array_foreach(list, k, t)
        {
            of(out, text(e, "id"), text(t, "name"), t);
            given++;
        }
    }
}

static void give_requests(struct ft_metric_out *out, const char *endpoint, const char *name,
                          const json_t *target)
{
    const char *status;
    json_t *n;
    json_object_foreach(json_object_get(target, "requests"), status, n)
    {
        gw_metrics_give3(out, endpoint, name, status, json_number_value(n));
    }
}

/* Sum and count alone: a histogram of one bucket. */
static void give_spans(struct ft_metric_out *out, const char *endpoint, const char *name,
                       const json_t *of)
{
    const char *value[FT_METRIC_LABELS_MAX] = {endpoint, name};
    struct ft_histogram h = {.sum = number(of, "sum")};
    h.bucket[0] = (uint64_t)json_integer_value(json_object_get(of, "count"));
    out->give(out, value, 0, &h);
}

static void give_first(struct ft_metric_out *out, const char *endpoint, const char *name,
                       const json_t *target)
{
    give_spans(out, endpoint, name, json_object_get(target, "first_token_seconds"));
}

static void give_duration(struct ft_metric_out *out, const char *endpoint, const char *name,
                          const json_t *target)
{
    give_spans(out, endpoint, name, json_object_get(target, "duration_seconds"));
}

static void read_target_first(void *ctx, struct ft_metric_out *out)
{
    targets(ctx, out, give_first);
}

static void read_target_duration(void *ctx, struct ft_metric_out *out)
{
    targets(ctx, out, give_duration);
}

static void read_target_requests(void *ctx, struct ft_metric_out *out)
{
    targets(ctx, out, give_requests);
}

/* ---- the queue ---- */

static void read_queue(void *ctx, struct ft_metric_out *out)
{
    const struct gw_scrape *s = ctx;
    gw_metrics_give(out, number(json_object_get(s->serving, "queue"), "waiting"));
}

static void read_queue_max(void *ctx, struct ft_metric_out *out)
{
    const struct gw_scrape *s = ctx;
    gw_metrics_give(out, number(json_object_get(s->serving, "queue"), "max"));
}

static void read_quarantined(void *ctx, struct ft_metric_out *out)
{
    const struct gw_scrape *s = ctx;
    gw_metrics_give(out, number(json_object_get(s->serving, "queue"), "quarantined"));
}

/* ---- workers: FT_SERVE_WORKERS_MAX of them, and the quarantine ---- */

static void read_states(void *ctx, struct ft_metric_out *out)
{
    static const char *const state[] = {"starting", "ready", "stopping", "resting"};
    const struct gw_scrape *s = ctx;
    double n[FT_COUNT(state)] = {0};
    size_t i;
    json_t *w;
    json_array_foreach(json_object_get(s->serving, "workers"), i, w)
    {
        for (size_t k = 0; k < FT_COUNT(state); k++)
            n[k] += strcmp(text(w, "state"), state[k]) == 0;
    }
    for (size_t k = 0; k < FT_COUNT(state); k++)
        gw_metrics_give1(out, state[k], n[k]);
}

static void read_starts(void *ctx, struct ft_metric_out *out)
{
    const struct gw_scrape *s = ctx;
    gw_metrics_give(out, number(s->serving, "worker_starts"));
}

static void read_deaths(void *ctx, struct ft_metric_out *out)
{
    const struct gw_scrape *s = ctx;
    double all = number(s->serving, "worker_deaths");
    double memory = number(s->serving, "worker_deaths_out_of_memory");
    gw_metrics_give1(out, "out_of_memory", memory);
    gw_metrics_give1(out, "died", all - memory);
}

/* False: it is not known of this one. */
typedef bool worker_fn(const json_t *worker, double *ret);

static void workers(void *ctx, struct ft_metric_out *out, worker_fn *of)
{
    const struct gw_scrape *s = ctx;
    size_t i;
    json_t *w;
    json_array_foreach(json_object_get(s->serving, "workers"), i, w)
    {
        double v;
        if (of(w, &v))
            gw_metrics_give1(out, text(w, "id"), v);
    }
}

/* A figure that the worker tells of itself. */
static bool health(const json_t *w, const char *name, double scale, double *ret)
{
    const json_t *v = json_object_get(json_object_get(w, "health"), name);
    *ret = json_number_value(v) * scale;
    return json_is_number(v);
}

static bool process(const json_t *w, struct ft_process_info *ret)
{
    json_int_t pid = json_integer_value(json_object_get(w, "pid"));
    return pid > 0 && ft_process_info(pid, ret, NULL) == 0;
}

#define WORKER(name, body)                                                                         \
    static bool of_##name(const json_t *w, double *ret)                                            \
    {                                                                                              \
        body                                                                                       \
    }                                                                                              \
    static void name(void *ctx, struct ft_metric_out *out)                                         \
    {                                                                                              \
        workers(ctx, out, of_##name);                                                              \
    }
WORKER(read_resident, struct ft_process_info p; if (!process(w, &p)) return false;
       *ret = (double)p.resident_bytes; return true;)
WORKER(read_cpu, struct ft_process_info p; if (!process(w, &p)) return false; *ret = p.cpu_s;
       return true;)
WORKER(read_limit, *ret = number(w, "memory_limit_bytes"); return *ret > 0;)
WORKER(read_uptime, return health(w, "uptime_ms", 1e-3, ret);)
WORKER(read_worker_running, return health(w, "running", 1, ret);)
WORKER(read_worker_waiting, return health(w, "waiting", 1, ret);)
WORKER(read_preempted, return health(w, "preempted", 1, ret);)
WORKER(read_weights, return health(w, "weight_bytes", 1, ret);)
WORKER(read_kv, return health(w, "kv_bytes", 1, ret);)
WORKER(read_kv_cached, return health(w, "kv_cached_bytes", 1, ret);)
WORKER(read_loads, return health(w, "loads", 1, ret);)
WORKER(read_rate, *ret = number(w, "tokens_per_second"); return true;)

static const struct ft_metric_def families[] = {
    {"feitian_endpoint_requests_running",
     "Calls at an endpoint's replicas.",
     NULL,
     GAUGE,
     {"model", "endpoint"},
     .read = read_running},
    {"feitian_endpoint_requests_waiting",
     "Calls that wait for a replica of an endpoint.",
     NULL,
     GAUGE,
     {"model", "endpoint"},
     .read = read_waiting},
    {"feitian_endpoint_replicas_ready",
     "Replicas of an endpoint that take calls.",
     NULL,
     GAUGE,
     {"model", "endpoint"},
     .read = read_ready},
    {"feitian_endpoint_replicas_wanted",
     "Replicas that an endpoint should have.",
     NULL,
     GAUGE,
     {"model", "endpoint"},
     .read = read_wanted},
    {"feitian_failovers",
     "Calls of an endpoint that went on at another replica after theirs broke.",
     NULL,
     COUNTER,
     {"model", "endpoint"},
     .read = read_failovers},
    {"feitian_endpoint_target_requests",
     "Calls that a version behind an endpoint answered, by how they ended.",
     NULL,
     COUNTER,
     {"endpoint", "target", "status"},
     .read = read_target_requests},
    {"feitian_endpoint_target_time_to_first_token_seconds",
     "From a call's arrival to the first token of a version behind an endpoint.",
     "seconds",
     FT_METRIC_HISTOGRAM,
     {"endpoint", "target"},
     .read = read_target_first},
    {"feitian_endpoint_target_request_duration_seconds",
     "Calls that a version behind an endpoint answered well, from arrival to end.",
     "seconds",
     FT_METRIC_HISTOGRAM,
     {"endpoint", "target"},
     .read = read_target_duration},
    {"feitian_queue_requests", "Calls that wait for a replica.", NULL, GAUGE, .read = read_queue},
    {"feitian_queue_limit", "Calls that may wait.", NULL, GAUGE, .read = read_queue_max},
    {"feitian_quarantined_requests", "Calls tried alone, because workers died of them.", NULL,
     GAUGE, .read = read_quarantined},
    {"feitian_workers", "Workers by state.", NULL, GAUGE, {"state"}, .read = read_states},
    {"feitian_worker_starts", "Workers' processes started.", NULL, COUNTER, .read = read_starts},
    {"feitian_worker_deaths",
     "Workers' processes that died, by why.",
     NULL,
     COUNTER,
     {"why"},
     .read = read_deaths},
    {"feitian_worker_resident_memory_bytes",
     "Memory of a worker that is resident.",
     "bytes",
     GAUGE,
     {"worker"},
     .read = read_resident},
    {"feitian_worker_memory_limit_bytes",
     "Memory that a worker may have.",
     "bytes",
     GAUGE,
     {"worker"},
     .read = read_limit},
    {"feitian_worker_cpu_seconds",
     "Processor time of a worker's process.",
     "seconds",
     COUNTER,
     {"worker"},
     .read = read_cpu},
    {"feitian_worker_uptime_seconds",
     "How long a worker has been running.",
     "seconds",
     GAUGE,
     {"worker"},
     .read = read_uptime},
    {"feitian_worker_requests_running",
     "Sequences that a worker computes.",
     NULL,
     GAUGE,
     {"worker"},
     .read = read_worker_running},
    {"feitian_worker_requests_waiting",
     "Sequences that wait in a worker.",
     NULL,
     GAUGE,
     {"worker"},
     .read = read_worker_waiting},
    {"feitian_worker_requests_preempted",
     "Sequences that gave way in a worker.",
     NULL,
     GAUGE,
     {"worker"},
     .read = read_preempted},
    {"feitian_worker_weight_bytes",
     "Weights of resident models.",
     "bytes",
     GAUGE,
     {"worker"},
     .read = read_weights},
    {"feitian_worker_kv_bytes",
     "KV in use, the prefix cache's included.",
     "bytes",
     GAUGE,
     {"worker"},
     .read = read_kv},
    {"feitian_worker_kv_cached_bytes",
     "KV that the prefix cache alone holds.",
     "bytes",
     GAUGE,
     {"worker"},
     .read = read_kv_cached},
    {"feitian_worker_model_loads",
     "Models that a worker's process read into memory.",
     NULL,
     COUNTER,
     {"worker"},
     .read = read_loads},
    {"feitian_worker_tokens_per_second",
     "Tokens that a worker generates.",
     NULL,
     GAUGE,
     {"worker"},
     .read = read_rate},
};

int gw_metrics_add_serving(struct ft_metric_set *m, struct ft_err *err)
{
    return gw_metrics_add_list(m, families, FT_COUNT(families), err);
}
