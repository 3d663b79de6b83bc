/* The table of series, and the figures behind them.
 *
 * A figure adds up samples of one family for one subject (the cloud, one endpoint, one project, one
 * worker). Series that are made of two figures (ratios, what is missing) name the other's rule. */
#include "monitor/derive.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/map.h"

#define BOUNDS_MAX FT_METRIC_BOUNDS_MAX
#define WINDOW     60                      /* looks that are added up: 10 minutes */
#define CROWDED    (FT_DERIVE_MAX / 4 * 3) /* from here on those that are gone give way */
#define KEY_BYTES  (FT_METRIC_VALUE_BYTES + 16)

enum subject { CLOUD = 1, ENDPOINT = 2, PROJECT = 4, WORKER = 8, BUCKET = 16 };
enum how {
    LEVEL,    /* as it is */
    RATE,     /* of a counter: per second, times `scale` */
    WINDOWED, /* of a counter: what came in the last 10 minutes */
    QUANTILE, /* of a histogram */
    PART,     /* what came of this counter, of all that came of rule `other` */
    LESS      /* the level of rule `other` without this one, at least 0 */
};

struct rule {
    const char *series, *unit;
    enum ft_history_fold fold;
    enum how how;
    const char *metric;        /* as its samples are named; a histogram without "_bucket" */
    unsigned of;               /* subjects */
    const char *label, *value; /* only samples with label=value; value "a|b": one of them */
    double number;             /* scale of a rate, q of a quantile; 0: 1 */
    int other;
};

#define MEAN FT_FOLD_MEAN
#define MAX_ FT_FOLD_MAX

enum {
    REQUESTS,
    ERRORS,
    PROMPT,
    READY, /* replicas */
};

static const struct rule rules[] = {
    [REQUESTS] = {"requests", "1/s", MEAN, RATE, "feitian_model_requests_total",
                  CLOUD | ENDPOINT | PROJECT, "status", "ok|cancelled|error", 1, 0},
    [ERRORS] = {"errors", "1/s", MEAN, RATE, "feitian_model_requests_total",
                CLOUD | ENDPOINT | PROJECT, "status", "error", 1, 0},
    [PROMPT] = {"prompt_tokens", "1/s", MEAN, RATE, "feitian_prompt_tokens_total",
                CLOUD | ENDPOINT | PROJECT, NULL, NULL, 1, 0},
    [READY] = {"replicas_ready", "1", MEAN, LEVEL, "feitian_endpoint_replicas_ready", ENDPOINT,
               NULL, NULL, 1, 0},
    {"replicas_wanted", "1", MEAN, LEVEL, "feitian_endpoint_replicas_wanted", ENDPOINT, NULL, NULL,
     1, 0},
    {"replicas_missing", "1", MEAN, LESS, "feitian_endpoint_replicas_wanted", ENDPOINT, NULL, NULL,
     1, READY},
    {"error_ratio", "ratio", MEAN, PART, "feitian_model_requests_total", CLOUD | ENDPOINT | PROJECT,
     "status", "error", 1, REQUESTS},
    {"refused", "1/s", MEAN, RATE, "feitian_requests_refused_total", CLOUD | PROJECT, NULL, NULL, 1,
     0},
    {"refused", "1/s", MEAN, RATE, "feitian_model_requests_total", ENDPOINT, "status", "refused", 1,
     0},
    {"http_requests", "1/s", MEAN, RATE, "feitian_http_requests_total", CLOUD, NULL, NULL, 1, 0},
    {"http_errors", "1/s", MEAN, RATE, "feitian_http_requests_total", CLOUD, "status", "5xx", 1, 0},
    {"completion_tokens", "1/s", MEAN, RATE, "feitian_completion_tokens_total",
     CLOUD | ENDPOINT | PROJECT, NULL, NULL, 1, 0},
    {"prefix_hit_ratio", "ratio", MEAN, PART, "feitian_cached_tokens_total",
     CLOUD | ENDPOINT | PROJECT, NULL, NULL, 1, PROMPT},
    {"cost", "currency/h", MEAN, RATE, "feitian_cost_total", CLOUD | ENDPOINT | PROJECT, NULL, NULL,
     3600, 0},
    {"energy", "W", MEAN, RATE, "feitian_energy_joules_total", CLOUD | ENDPOINT | PROJECT, NULL,
     NULL, 1, 0},
    {"ttft_p50", "s", MAX_, QUANTILE, "feitian_time_to_first_token_seconds", CLOUD | ENDPOINT, NULL,
     NULL, 0.5, 0},
    {"ttft_p95", "s", MAX_, QUANTILE, "feitian_time_to_first_token_seconds", CLOUD | ENDPOINT, NULL,
     NULL, 0.95, 0},
    {"ttft_p99", "s", MAX_, QUANTILE, "feitian_time_to_first_token_seconds", CLOUD | ENDPOINT, NULL,
     NULL, 0.99, 0},
    {"latency_p50", "s", MAX_, QUANTILE, "feitian_model_request_duration_seconds", CLOUD | ENDPOINT,
     NULL, NULL, 0.5, 0},
    {"latency_p95", "s", MAX_, QUANTILE, "feitian_model_request_duration_seconds", CLOUD | ENDPOINT,
     NULL, NULL, 0.95, 0},
    {"latency_p99", "s", MAX_, QUANTILE, "feitian_model_request_duration_seconds", CLOUD | ENDPOINT,
     NULL, NULL, 0.99, 0},
    {"token_gap_p95", "s", MAX_, QUANTILE, "feitian_inter_token_latency_seconds", CLOUD | ENDPOINT,
     NULL, NULL, 0.95, 0},
    {"running", "1", MEAN, LEVEL, "feitian_endpoint_requests_running", CLOUD | ENDPOINT, NULL, NULL,
     1, 0},
    {"waiting", "1", MAX_, LEVEL, "feitian_endpoint_requests_waiting", CLOUD | ENDPOINT, NULL, NULL,
     1, 0},
    {"kv_usage", "ratio", MAX_, LEVEL, "feitian_kv_usage_ratio", ENDPOINT, NULL, NULL, 1, 0},
    {"workers", "1", MEAN, LEVEL, "feitian_workers", CLOUD, "state", "ready", 1, 0},
    {"worker_deaths", "in 10 min", MAX_, WINDOWED, "feitian_worker_deaths_total", CLOUD, NULL, NULL,
     1, 0},
    {"failovers", "in 10 min", MAX_, WINDOWED, "feitian_failovers_total", CLOUD | ENDPOINT, NULL,
     NULL, 1, 0},
    {"worker_memory_bytes", "bytes", MAX_, LEVEL, "feitian_worker_resident_memory_bytes",
     CLOUD | WORKER, NULL, NULL, 1, 0},
    {"worker_cpu", "cores", MEAN, RATE, "feitian_worker_cpu_seconds_total", CLOUD | WORKER, NULL,
     NULL, 1, 0},
    {"worker_tokens", "1/s", MEAN, LEVEL, "feitian_worker_tokens_per_second", CLOUD | WORKER, NULL,
     NULL, 1, 0},
    {"stored_bytes", "bytes", MAX_, LEVEL, "feitian_stored_bytes", CLOUD, NULL, NULL, 1, 0},
    {"stored_objects", "1", MAX_, LEVEL, "feitian_stored_objects", CLOUD, NULL, NULL, 1, 0},
    {"stored_bytes", "bytes", MAX_, LEVEL, "feitian_bucket_bytes", PROJECT | BUCKET, NULL, NULL, 1,
     0},
    {"stored_objects", "1", MAX_, LEVEL, "feitian_bucket_objects", PROJECT | BUCKET, NULL, NULL, 1,
     0},
    {"received_bytes", "B/s", MEAN, RATE, "feitian_object_received_bytes_total", CLOUD | PROJECT,
     NULL, NULL, 1, 0},
    {"sent_bytes", "B/s", MEAN, RATE, "feitian_object_sent_bytes_total", CLOUD | PROJECT, NULL,
     NULL, 1, 0},
    {"ledger_trouble", "1", MAX_, LEVEL, "feitian_ledger_trouble", CLOUD, NULL, NULL, 1, 0},
    {"ledger_pending_bytes", "bytes", MAX_, LEVEL, "feitian_ledger_pending_bytes", CLOUD, NULL,
     NULL, 1, 0},
    {"store_open", "1", FT_FOLD_MIN, LEVEL, "feitian_store_open", CLOUD, NULL, NULL, 1, 0},
};
#define RULES ((int)FT_COUNT(rules))

/* What a figure counts, at this look and at the last. Of a histogram, values are its buckets. */
struct figure {
    int rule;
    enum subject of;
    char value[FT_METRIC_VALUE_BYTES + 1];
    char key[KEY_BYTES];
    char owner[72]; /* of a bucket: its project */
    bool seen, had; /* at this look, at the last */
    int n_bound;
    double bound[BOUNDS_MAX];
    double *now, *before; /* [BOUNDS_MAX + 1] of a histogram, else [1] */
    float *window;        /* [WINDOW] of what is added up */
};

struct ft_derive {
    struct ft_strmap by_key;
    struct figure *figure[FT_DERIVE_MAX];
    int n;
    int64_t now_ms, before_ms; /* of looks; 0: there was none */
    unsigned looks;
};

int ft_derive_open(struct ft_derive **ret, struct ft_err *err)
{
    struct ft_derive *d = calloc(1, sizeof *d);
    if (d == NULL || ft_strmap_init(&d->by_key, FT_DERIVE_MAX) != 0) {
        free(d);
        return ft_err_set(err, FT_ENOMEM, "monitor: out of memory");
    }
    *ret = d;
    return 0;
}

static void figure_free(struct figure *f)
{
    free(f->now);
    free(f->before);
    free(f->window);
    free(f);
}

void ft_derive_close(struct ft_derive *d)
{
    if (d == NULL)
        return;
    for (int i = 0; i < d->n; i++)
        figure_free(d->figure[i]);
    ft_strmap_fini(&d->by_key);
    free(d);
}

/* ---- figures ---- */

static void key_of(int rule, enum subject of, const char *value, char key[KEY_BYTES])
{
    snprintf(key, KEY_BYTES, "%d %d %s", rule, (int)of, value);
}

static struct figure *find(const struct ft_derive *d, int rule, enum subject of, const char *value)
{
    char key[KEY_BYTES];
    int32_t at;
    key_of(rule, of, value, key);
    return ft_strmap_get(&d->by_key, key, strlen(key), &at) ? d->figure[at] : NULL;
}

static struct figure *figure_new(struct ft_derive *d, int rule, enum subject of, const char *value)
{
    enum how how = rules[rule].how;
    size_t n = how == QUANTILE ? BOUNDS_MAX + 1 : 1;
    struct figure *f = d->n < FT_DERIVE_MAX ? calloc(1, sizeof *f) : NULL;
    if (f == NULL)
        return NULL;
    f->rule = rule;
    f->of = of;
    snprintf(f->value, sizeof f->value, "%s", value);
    key_of(rule, of, value, f->key);
    f->now = calloc(n, sizeof *f->now);
    f->before = calloc(n, sizeof *f->before);
    f->window = how == WINDOWED ? calloc(WINDOW, sizeof *f->window) : NULL;
    if (f->now == NULL || f->before == NULL || (how == WINDOWED && f->window == NULL) ||
        ft_strmap_add(&d->by_key, f->key, strlen(f->key), d->n) != 0) {
        figure_free(f);
        return NULL;
    }
    /* it was not there at the last look, if there was one: then it stood at nothing */
    f->had = d->before_ms != 0;
    d->figure[d->n++] = f;
    return f;
}

/* Where a bound stands among the figure's; -1: no room. Bounds come in their order. */
static int bucket_at(struct figure *f, const char *le)
{
    if (strcmp(le, "+Inf") == 0)
        return BOUNDS_MAX;
    char *end;
    double b = strtod(le, &end);
    if (end == le || *end != '\0')
        return -1;
    for (int i = 0; i < f->n_bound; i++)
        if (f->bound[i] == b)
            return i;
    if (f->n_bound == BOUNDS_MAX || (f->n_bound > 0 && b < f->bound[f->n_bound - 1]))
        return -1;
    f->bound[f->n_bound] = b;
    return f->n_bound++;
}

static void add(struct ft_derive *d, int rule, enum subject of, const char *value,
                const struct ft_sample *s)
{
    struct figure *f = find(d, rule, of, value);
    if (f == NULL)
        f = figure_new(d, rule, of, value);
    if (f == NULL)
        return;
    int at = rules[rule].how == QUANTILE ? bucket_at(f, ft_sample_label(s, "le")) : 0;
    if (at < 0)
        return;
    if (of == BUCKET)
        snprintf(f->owner, sizeof f->owner, "%.71s", ft_sample_label(s, "project"));
    f->now[at] += s->value;
    f->seen = true;
}

bool ft_derive_knows(const char *series)
{
    for (int i = 0; i < RULES; i++)
        if (strcmp(rules[i].series, series) == 0)
            return true;
    return false;
}

/* Is it one of "a|b|c"? */
static bool is_one_of(const char *list, const char *value)
{
    size_t n = strlen(value);
    for (const char *p = list; p != NULL; p = strchr(p, '|')) {
        p += *p == '|';
        if (strncmp(p, value, n) == 0 && (p[n] == '|' || p[n] == '\0'))
            return true;
    }
    return false;
}

static bool takes(const struct rule *r, const struct ft_sample *s)
{
    size_t n = strlen(r->metric);
    if (strncmp(s->name, r->metric, n) != 0 ||
        strcmp(s->name + n, r->how == QUANTILE ? "_bucket" : "") != 0)
        return false;
    return r->label == NULL || is_one_of(r->value, ft_sample_label(s, r->label));
}

/* Those that the last look did not show: of endpoints and projects that are gone. */
static void drop_unseen(struct ft_derive *d)
{
    int n = 0;
    ft_strmap_fini(&d->by_key);
    for (int i = 0; i < d->n; i++) {
        struct figure *f = d->figure[i];
        if (f->seen && ft_strmap_add(&d->by_key, f->key, strlen(f->key), n) == 0)
            d->figure[n++] = f;
        else
            figure_free(f);
    }
    d->n = n;
}

void ft_derive_begin(struct ft_derive *d, int64_t now_ms)
{
    if (d->n > CROWDED)
        drop_unseen(d);
    d->before_ms = d->now_ms;
    d->now_ms = now_ms;
    if (d->before_ms != 0 && now_ms - d->before_ms > FT_DERIVE_OLD_MS)
        d->before_ms = 0;
    d->looks++;
    for (int i = 0; i < d->n; i++) {
        struct figure *f = d->figure[i];
        size_t n = rules[f->rule].how == QUANTILE ? BOUNDS_MAX + 1 : 1;
        memcpy(f->before, f->now, n * sizeof *f->now);
        memset(f->now, 0, n * sizeof *f->now);
        f->had = d->before_ms != 0;
        f->seen = false;
    }
}

void ft_derive_sample(struct ft_derive *d, const struct ft_sample *s)
{
    static const struct {
        enum subject of;
        const char *label;
    } subjects[] = {
        {ENDPOINT, "model"}, {PROJECT, "project"}, {WORKER, "worker"}, {BUCKET, "bucket"}};
    for (int i = 0; i < RULES; i++) {
        if (!takes(&rules[i], s))
            continue;
        if (rules[i].of & CLOUD)
            add(d, i, CLOUD, "", s);
        for (size_t k = 0; k < FT_COUNT(subjects); k++) {
            const char *value = ft_sample_label(s, subjects[k].label);
            if ((rules[i].of & subjects[k].of) != 0 && value[0] != '\0')
                add(d, i, subjects[k].of, value, s);
        }
    }
}

/* ---- what they say ---- */

double ft_derive_quantile(const double *bound, const double *count, int n, double q)
{
    double all = 0, below = 0;
    for (int i = 0; i <= n; i++)
        all += count[i];
    if (!(all > 0) || n == 0)
        return NAN;
    for (int i = 0; i < n; i++) {
        if (below + count[i] >= q * all && count[i] > 0) {
            double from = i > 0 ? bound[i - 1] : FT_MIN(0, bound[0]);
            return from + (bound[i] - from) * FT_MAX(q * all - below, 0) / count[i];
        }
        below += count[i];
    }
    return bound[n - 1];
}

/* What came since the last look, in one place of a figure. */
static double came(const struct figure *f, int at)
{
    return f->now[at] >= f->before[at] ? f->now[at] - f->before[at] : f->now[at];
}

static double quantile(const struct figure *f, double q)
{
    double count[BOUNDS_MAX + 1], last = 0;
    for (int i = 0; i <= f->n_bound; i++) { /* buckets hold those below, too */
        double c = came(f, i < f->n_bound ? i : BOUNDS_MAX);
        count[i] = FT_MAX(c - last, 0);
        last = FT_MAX(c, last);
    }
    return ft_derive_quantile(f->bound, count, f->n_bound, q);
}

static double windowed(const struct ft_derive *d, struct figure *f)
{
    double sum = 0;
    f->window[d->looks % WINDOW] = f->had ? (float)came(f, 0) : 0;
    for (int i = 0; i < WINDOW; i++)
        sum += (double)f->window[i];
    return sum;
}

static double value_of(const struct ft_derive *d, struct figure *f)
{
    const struct rule *r = &rules[f->rule];
    double s = (double)(d->now_ms - d->before_ms) / 1000;
    bool is_rate = r->how != LEVEL && r->how != LESS && r->how != WINDOWED;
    if (is_rate && (!f->had || d->before_ms == 0 || s <= 0))
        return NAN;
    const struct figure *other = NULL;
    if (r->how == PART || r->how == LESS)
        other = find(d, r->other, f->of, f->value);
    switch (r->how) {
    case LEVEL:
        return f->now[0];
    case RATE:
        return came(f, 0) / s * r->number;
    case WINDOWED:
        return windowed(d, f);
    case QUANTILE:
        return quantile(f, r->number);
    case PART:
        return other != NULL && came(other, 0) > 0 ? came(f, 0) / came(other, 0) : NAN;
    default:
        return other != NULL ? FT_MAX(f->now[0] - other->now[0], 0) : NAN;
    }
}

static bool name_of(const struct figure *f, const struct ft_derive_out *out,
                    struct ft_history_name *ret)
{
    const struct rule *r = &rules[f->rule];
    memset(ret, 0, sizeof *ret);
    snprintf(ret->name, sizeof ret->name, "%s", r->series);
    snprintf(ret->unit, sizeof ret->unit, "%s", r->unit);
    snprintf(ret->value, sizeof ret->value, "%s", f->value);
    snprintf(ret->label, sizeof ret->label, "%s",
             f->of == ENDPOINT  ? "endpoint"
             : f->of == PROJECT ? "project"
             : f->of == WORKER  ? "worker"
             : f->of == BUCKET  ? "bucket"
                                : "");
    ret->fold = r->fold;
    if (f->of == PROJECT)
        snprintf(ret->owner, sizeof ret->owner, "%.71s", f->value);
    if (f->of == BUCKET)
        snprintf(ret->owner, sizeof ret->owner, "%s", f->owner);
    return f->of != ENDPOINT || out->owner(out->ctx, f->value, ret->owner, sizeof ret->owner);
}

/* A part of nothing is not known, but a part that never came of something is none of it. */
static void put_missing_parts(struct ft_derive *d)
{
    for (int i = 0, n = d->n; i < n; i++) {
        for (int r = 0; r < RULES; r++) {
            const struct figure *f = d->figure[i];
            if (f->seen && rules[r].how == PART && rules[r].other == f->rule &&
                find(d, r, f->of, f->value) == NULL)
                figure_new(d, r, f->of, f->value);
        }
    }
}

/* Counters that nothing has counted yet are not shown: of the whole cloud that is 0 a second. */
static void put_missing_rates(struct ft_derive *d)
{
    for (int r = 0; r < RULES; r++) {
        if (rules[r].how != RATE || (rules[r].of & CLOUD) == 0)
            continue;
        struct figure *f = find(d, r, CLOUD, "");
        if (f == NULL)
            f = figure_new(d, r, CLOUD, "");
        if (f != NULL)
            f->seen = true;
    }
}

void ft_derive_end(struct ft_derive *d, const struct ft_derive_out *out)
{
    put_missing_parts(d);
    put_missing_rates(d);
    for (int i = 0; i < d->n; i++) {
        struct figure *f = d->figure[i];
        struct ft_history_name name;
        bool silent = !f->seen && rules[f->rule].how != PART;
        if (silent || !name_of(f, out, &name))
            continue;
        double v = value_of(d, f);
        if (isfinite(v))
            out->put(out->ctx, &name, v);
    }
}
