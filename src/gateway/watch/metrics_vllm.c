/* The same figures under vLLM's names, so that dashboards made for it work: one model_name is one
 * endpoint's name, all its replicas together, and `engine` is always 0. Counters are sums over
 * projects; histograms have vLLM's own bounds, each of which is one of ours. */
#include <string.h>

#include "gateway/inner.h"
#include "gateway/watch/metrics.h"

#define COUNTER   FT_METRIC_COUNTER
#define GAUGE     FT_METRIC_GAUGE
#define HISTOGRAM FT_METRIC_HISTOGRAM
#define ENGINE    "0"

/* ---- sums ---- */

/* One value for each of a family's labels but one, whose rows are added up. */
struct sums {
    struct ft_metric_out out; /* first */
    int n;
    int extra; /* index of a second label that is kept; -1: none */
    const char *(*as)(const char *extra);
    struct {
        const char *model, *extra;
        double sum;
    } row[4 * FT_METRIC_VALUES_MAX + 1];
};

static void add_up(struct ft_metric_out *out, const char *const *value, double number,
                   const struct ft_histogram *h)
{
    struct sums *s = (struct sums *)out;
    const char *extra = s->extra >= 0 ? s->as(value[s->extra]) : "";
    int i = 0;
    (void)h;
    while (i < s->n &&
           (strcmp(s->row[i].model, value[0]) != 0 || strcmp(s->row[i].extra, extra) != 0))
        i++;
    if (i == (int)FT_COUNT(s->row))
        return;
    if (i == s->n) {
        s->row[s->n].model = value[0];
        s->row[s->n].extra = extra;
        s->row[s->n++].sum = 0;
    }
    s->row[i].sum += number;
}

static void give_sums(const struct ft_metric *f, struct ft_metric_out *out)
{
    struct sums s = {.out = {add_up}, .extra = -1};
    ft_metric_read(f, NULL, &s.out);
    for (int i = 0; i < s.n; i++)
        gw_metrics_give2(out, s.row[i].model, ENGINE, s.row[i].sum);
}

static const struct gw_meter *meter_of(void *ctx)
{
    return &((const struct gw_scrape *)ctx)->gw->meter;
}

static void read_prompt(void *ctx, struct ft_metric_out *out)
{
    give_sums(meter_of(ctx)->prompt, out);
}

static void read_completion(void *ctx, struct ft_metric_out *out)
{
    give_sums(meter_of(ctx)->completion, out);
}

static void read_cached(void *ctx, struct ft_metric_out *out)
{
    give_sums(meter_of(ctx)->cached, out);
}

static void read_preemptions(void *ctx, struct ft_metric_out *out)
{
    give_sums(meter_of(ctx)->preemptions, out);
}

/* vLLM knows stop, length, abort and error. */
static const char *reason(const char *finish)
{
    bool same = strcmp(finish, "length") == 0 || strcmp(finish, "abort") == 0 ||
                strcmp(finish, "error") == 0;
    return same ? finish : "stop";
}

static void read_success(void *ctx, struct ft_metric_out *out)
{
    struct sums s = {.out = {add_up}, .extra = 1, .as = reason};
    ft_metric_read(meter_of(ctx)->finishes, NULL, &s.out);
    for (int i = 0; i < s.n; i++)
        gw_metrics_give3(out, s.row[i].model, ENGINE, s.row[i].extra, s.row[i].sum);
}

/* ---- histograms ---- */

struct view {
    struct ft_metric_out out, *to; /* out first */
    const double *bound;
    int n_bound;
};

/* Fewer bounds, the same counts: what lies between two of them is added up. */
static void narrow(struct ft_metric_out *out, const char *const *value, double number,
                   const struct ft_histogram *h)
{
    const struct view *v = (const struct view *)out;
    const char *const named[FT_METRIC_LABELS_MAX] = {value[0], ENGINE};
    struct ft_histogram n = {.n_bound = v->n_bound, .sum = h->sum};
    int at = 0;
    (void)number;
    memcpy(n.bound, v->bound, (size_t)n.n_bound * sizeof n.bound[0]);
    for (int i = 0; i <= h->n_bound; i++) {
        while (at < n.n_bound && (i == h->n_bound || h->bound[i] > n.bound[at]))
            at++;
        n.bucket[at] += h->bucket[i];
    }
    v->to->give(v->to, named, 0, &n);
}

#define VIEW(name, of, ...)                                                                        \
    static void name(void *ctx, struct ft_metric_out *out)                                         \
    {                                                                                              \
        static const double bound[] = {__VA_ARGS__};                                               \
        struct view v = {{narrow}, out, bound, FT_COUNT(bound)};                                   \
        ft_metric_read(meter_of(ctx)->of, NULL, &v.out);                                           \
    }
VIEW(read_first, first_ns, GW_VLLM_FIRST_BOUNDS)
VIEW(read_next, next_ns, GW_VLLM_NEXT_BOUNDS)
VIEW(read_call, call_ns, GW_VLLM_CALL_BOUNDS)
VIEW(read_queue, queue_us, GW_VLLM_CALL_BOUNDS)
VIEW(read_prefill, prefill_us, GW_VLLM_CALL_BOUNDS)
VIEW(read_decode, decode_us, GW_VLLM_CALL_BOUNDS)
VIEW(read_inference, inference_us, GW_VLLM_CALL_BOUNDS)
VIEW(read_prompt_size, prompt_size, GW_VLLM_SIZE_BOUNDS)
VIEW(read_completion_size, completion_size, GW_VLLM_SIZE_BOUNDS)

/* ---- gauges ---- */

/* What workers say of a model: a figure of all of them together. */
static double at_workers(const struct gw_scrape *s, const char *model, const char *name)
{
    double sum = 0;
    size_t i, k;
    json_t *w, *m;
    json_array_foreach(json_object_get(s->serving, "workers"), i, w)
    {
        json_array_foreach(json_object_get(json_object_get(w, "health"), "models"), k, m)
        {
            const char *of = json_string_value(json_object_get(m, "name"));
            if (of != NULL && strcmp(of, model) == 0)
                sum += json_number_value(json_object_get(m, name));
        }
    }
    return sum;
}

/* Of an endpoint's targets that workers serve. */
static double of_targets(const struct gw_scrape *s, const json_t *endpoint, const char *name)
{
    double sum = 0;
    size_t i;
    json_t *t;
    json_array_foreach(json_object_get(endpoint, "targets"), i, t)
    {
        const char *model = json_string_value(json_object_get(t, "model"));
        const char *kind = json_string_value(json_object_get(t, "kind"));
        if (model != NULL && kind != NULL && strcmp(kind, "model") == 0)
            sum += at_workers(s, model, name);
    }
    return sum;
}

typedef double endpoint_fn(const struct gw_scrape *s, const json_t *endpoint);

struct group {
    const char *name;
    double sum, part;
};

static void give_group(struct ft_metric_out *out, const struct group *g, bool ratio)
{
    double v = !ratio ? g->sum : g->part > 0 ? g->sum / g->part : 0;
    gw_metrics_give2(out, g->name, ENGINE, v);
}

/* The sum, or where there is one sum / part, of each endpoint, by its id as calls are counted. */
static void by_endpoint(void *ctx, struct ft_metric_out *out, endpoint_fn *sum, endpoint_fn *part)
{
    const struct gw_scrape *s = ctx;
    const json_t *all = json_object_get(s->serving, "endpoints");
    struct group other = {.name = FT_METRIC_OTHER};
    bool any_other = false;
    int given = 0;
    for (size_t at = 0; at < json_array_size(all); at++) {
        const json_t *e = json_array_get(all, at);
        struct group g = {.name = json_string_value(json_object_get(e, "id"))};
        if (g.name == NULL)
            break;
        g.sum = sum(s, e);
        g.part = part != NULL ? part(s, e) : 0;
        if (given == FT_METRIC_VALUES_MAX || strcmp(g.name, FT_METRIC_OTHER) == 0) {
            other.sum += g.sum;
            other.part += g.part;
            any_other = true;
            continue;
        }
        give_group(out, &g, part != NULL);
        given++;
    }
    if (any_other)
        give_group(out, &other, part != NULL);
}

static double running(const struct gw_scrape *s, const json_t *e)
{
    (void)s;
    return json_number_value(json_object_get(e, "in_flight"));
}

static double waiting(const struct gw_scrape *s, const json_t *e)
{
    (void)s;
    return json_number_value(json_object_get(e, "queue"));
}

/* Blocks that requests hold: what the prefix cache alone has is free to be taken. */
static double blocks_used(const struct gw_scrape *s, const json_t *e)
{
    return of_targets(s, e, "blocks_used") - of_targets(s, e, "blocks_cached");
}

static double blocks_max(const struct gw_scrape *s, const json_t *e)
{
    return of_targets(s, e, "blocks_max");
}

static void read_running(void *ctx, struct ft_metric_out *out)
{
    by_endpoint(ctx, out, running, NULL);
}

static void read_waiting(void *ctx, struct ft_metric_out *out)
{
    by_endpoint(ctx, out, waiting, NULL);
}

static void read_kv(void *ctx, struct ft_metric_out *out)
{
    by_endpoint(ctx, out, blocks_used, blocks_max);
}

#define OF                                                                                         \
    {                                                                                              \
        "model_name", "engine"                                                                     \
    }

static const struct ft_metric_def families[] = {
    {"vllm:num_requests_running", "Requests at replicas.", NULL, GAUGE, OF, .read = read_running},
    {"vllm:num_requests_waiting", "Requests that wait.", NULL, GAUGE, OF, .read = read_waiting},
    {"vllm:kv_cache_usage_perc", "Part of the KV blocks in use; 1 is all of them.", NULL, GAUGE, OF,
     .read = read_kv},
    {"vllm:gpu_cache_usage_perc", "The same under its name before vLLM 0.10.", NULL, GAUGE, OF,
     .read = read_kv},
    {"vllm:prefix_cache_queries", "Tokens looked up in the prefix cache.", NULL, COUNTER, OF,
     .read = read_prompt},
    {"vllm:prefix_cache_hits", "Tokens found in the prefix cache.", NULL, COUNTER, OF,
     .read = read_cached},
    {"vllm:prompt_tokens", "Tokens of prompts.", NULL, COUNTER, OF, .read = read_prompt},
    {"vllm:generation_tokens", "Tokens generated.", NULL, COUNTER, OF, .read = read_completion},
    {"vllm:request_success",
     "Requests that ended, by why.",
     NULL,
     COUNTER,
     {"model_name", "engine", "finished_reason"},
     .read = read_success},
    {"vllm:time_to_first_token_seconds", "Time to the first token.", "seconds", HISTOGRAM, OF,
     .read = read_first},
    {"vllm:inter_token_latency_seconds", "Time between tokens.", "seconds", HISTOGRAM, OF,
     .read = read_next},
    {"vllm:time_per_output_token_seconds", "The same under its name before vLLM 0.11.", "seconds",
     HISTOGRAM, OF, .read = read_next},
    {"vllm:e2e_request_latency_seconds", "Time from a request to the end of its answer.", "seconds",
     HISTOGRAM, OF, .read = read_call},
    {"vllm:request_queue_time_seconds", "Time that requests waited.", "seconds", HISTOGRAM, OF,
     .read = read_queue},
    {"vllm:request_prefill_time_seconds", "Time in which prompts were read.", "seconds", HISTOGRAM,
     OF, .read = read_prefill},
    {"vllm:request_decode_time_seconds", "Time from the first token to the last.", "seconds",
     HISTOGRAM, OF, .read = read_decode},
    {"vllm:request_inference_time_seconds", "Prefill and decode together.", "seconds", HISTOGRAM,
     OF, .read = read_inference},
    {"vllm:num_preemptions", "How often requests had to make way for others.", NULL, COUNTER, OF,
     .read = read_preemptions},
    {"vllm:request_prompt_tokens", "Tokens of a request's prompt.", NULL, HISTOGRAM, OF,
     .read = read_prompt_size},
    {"vllm:request_generation_tokens", "Tokens generated for a request.", NULL, HISTOGRAM, OF,
     .read = read_completion_size},
};

/* Ours, by the same reckoning. */
static const struct ft_metric_def own[] = {
    {"feitian_kv_usage_ratio",
     "Part of the KV blocks that requests hold, 0 to 1.",
     "ratio",
     GAUGE,
     {"model"},
     .read = read_kv},
};

int gw_metrics_add_vllm(struct gw_meter *m, struct ft_err *err)
{
    int rc = gw_metrics_add_list(m->own, own, FT_COUNT(own), err);
    return rc == 0 ? gw_metrics_add_list(m->vllm, families, FT_COUNT(families), err) : rc;
}
