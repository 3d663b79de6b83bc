/* Series out of metrics: rates, quantiles, parts, windows; first looks, restarts, gaps, owners,
 * bounds. */
#include "monitor/derive.h"

#include <math.h>
#include <string.h>

#include "testing.h"

struct got {
    int n;
    struct {
        struct ft_history_name name;
        double v;
    } row[FT_DERIVE_MAX];
};
static struct got got;

static bool owner(void *ctx, const char *endpoint, char *ret, size_t n)
{
    (void)ctx;
    snprintf(ret, n, "%s", strcmp(endpoint, "mine") == 0 ? "lab" : "");
    return strcmp(endpoint, "gone") != 0;
}

static void put(void *ctx, const struct ft_history_name *name, double v)
{
    struct got *g = ctx;
    g->row[g->n].name = *name;
    g->row[g->n++].v = v;
}

static void sample(void *ctx, const struct ft_sample *s)
{
    ft_derive_sample(ctx, s);
}

static void look(struct ft_derive *d, int64_t ms, const char *text)
{
    struct ft_derive_out out = {owner, put, &got};
    got.n = 0;
    ft_derive_begin(d, ms);
    assert_int_equal(ft_expose_read(text, strlen(text), sample, d), 0);
    ft_derive_end(d, &out);
}

static double of(const char *name, const char *label, const char *value)
{
    for (int i = 0; i < got.n; i++)
        if (strcmp(got.row[i].name.name, name) == 0 && strcmp(got.row[i].name.label, label) == 0 &&
            strcmp(got.row[i].name.value, value) == 0)
            return got.row[i].v;
    return NAN;
}

static struct ft_derive *start(void)
{
    struct ft_derive *d = NULL;
    struct ft_err err = {0};
    assert_int_equal(ft_derive_open(&d, &err), 0);
    return d;
}

#define REQ(model, project, status, n)                                                             \
    "feitian_model_requests_total{model=\"" model "\",project=\"" project "\",status=\"" status    \
    "\"} " n "\n"

static void test_rates_of_cloud_endpoint_and_project(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000, REQ("nano", "a", "ok", "100") REQ("mine", "b", "ok", "7"));
    assert_int_equal(got.n, 0); /* nothing is known of the time before */
    look(d, 11000,
         REQ("nano", "a", "ok", "120") REQ("nano", "b", "error", "5") REQ("mine", "b", "ok", "7")
             REQ("nano", "a", "refused", "30"));
    assert_true(fabs(of("requests", "", "") - 2.5) < 1e-9); /* refused ones are none */
    assert_true(fabs(of("requests", "endpoint", "nano") - 2.5) < 1e-9);
    assert_true(of("requests", "endpoint", "mine") == 0);
    assert_true(fabs(of("requests", "project", "a") - 2) < 1e-9);
    assert_true(fabs(of("errors", "project", "b") - 0.5) < 1e-9);
    assert_true(fabs(of("error_ratio", "", "") - 0.2) < 1e-9);
    assert_true(of("error_ratio", "project", "b") == 1);
    assert_true(isnan(of("error_ratio", "endpoint", "mine"))); /* of none */
    assert_true(fabs(of("refused", "endpoint", "nano") - 3) < 1e-9);
    for (int i = 0; i < got.n; i++) {
        const struct ft_history_name *n = &got.row[i].name;
        if (strcmp(n->label, "project") == 0)
            assert_string_equal(n->owner, n->value);
        else
            assert_string_equal(n->owner, strcmp(n->value, "mine") == 0 ? "lab" : "");
    }
    ft_derive_close(d);
}

static void test_what_nobody_counted_is_none(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000, "feitian_workers{state=\"ready\"} 1\n");
    assert_true(isnan(of("requests", "", "")));
    look(d, 11000, "feitian_workers{state=\"ready\"} 1\n");
    assert_true(of("requests", "", "") == 0 && of("cost", "", "") == 0);
    look(d, 21000, REQ("nano", "a", "ok", "20"));
    assert_true(of("requests", "", "") == 2);
    ft_derive_close(d);
}

static void test_no_errors_are_a_ratio_of_0(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000, REQ("nano", "a", "ok", "1"));
    look(d, 11000, REQ("nano", "a", "ok", "5"));
    assert_true(of("error_ratio", "endpoint", "nano") == 0);
    ft_derive_close(d);
}

static void test_a_new_process_begins_at_0(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000, REQ("nano", "a", "ok", "1000"));
    look(d, 11000, REQ("nano", "a", "ok", "20"));
    assert_true(of("requests", "", "") == 2);
    look(d, 11000 + FT_DERIVE_OLD_MS + 1, REQ("nano", "a", "ok", "900")); /* too long ago */
    assert_true(isnan(of("requests", "", "")));
    look(d, 21000 + FT_DERIVE_OLD_MS + 1, REQ("nano", "a", "ok", "910"));
    assert_true(of("requests", "", "") == 1);
    ft_derive_close(d);
}

#define TTFT(le, n)                                                                                \
    "feitian_time_to_first_token_seconds_bucket{model=\"nano\",le=\"" le "\"} " n "\n"

static void test_quantiles_of_what_came_since(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000, TTFT("0.1", "50") TTFT("1.0", "60") TTFT("+Inf", "61"));
    look(d, 11000, TTFT("0.1", "50") TTFT("1.0", "70") TTFT("+Inf", "71"));
    assert_true(fabs(of("ttft_p50", "endpoint", "nano") - 0.55) < 1e-9);
    assert_true(fabs(of("ttft_p95", "", "") - 0.955) < 1e-9);
    look(d, 21000, TTFT("0.1", "50") TTFT("1.0", "70") TTFT("+Inf", "71"));
    assert_true(isnan(of("ttft_p50", "endpoint", "nano"))); /* none came */
    look(d, 31000, TTFT("0.1", "50") TTFT("1.0", "70") TTFT("+Inf", "72"));
    assert_true(of("ttft_p99", "", "") == 1); /* above all bounds: the last of them */
    const double bound[] = {1, 2}, count[] = {0, 4, 0};
    assert_true(ft_derive_quantile(bound, count, 2, 0.5) == 1.5);
    assert_true(isnan(ft_derive_quantile(bound, (const double[]){0, 0, 0}, 2, 0.5)));
    ft_derive_close(d);
}

static void test_windows_levels_and_what_is_missing(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    char text[600];
    for (int i = 0; i < 70; i++) {
        snprintf(text, sizeof text,
                 "feitian_worker_deaths_total{why=\"died\"} %d\n"
                 "feitian_worker_deaths_total{why=\"out_of_memory\"} 3\n"
                 "feitian_workers{state=\"ready\"} 2\nfeitian_workers{state=\"resting\"} 9\n"
                 "feitian_endpoint_replicas_ready{model=\"nano\",endpoint=\"e\"} 1\n"
                 "feitian_endpoint_replicas_wanted{model=\"nano\",endpoint=\"e\"} 3\n"
                 "feitian_endpoint_replicas_wanted{model=\"gone\",endpoint=\"g\"} 3\n",
                 i == 0   ? 10
                 : i < 60 ? 12
                          : 12);
        look(d, 1000 + 10000 * i, text);
        if (i == 0)
            assert_true(of("worker_deaths", "", "") == 0);
        if (i == 1 || i == 60)
            assert_true(of("worker_deaths", "", "") == 2);
    }
    assert_true(of("worker_deaths", "", "") == 0); /* ten minutes are over */
    assert_true(of("workers", "", "") == 2);
    assert_true(of("replicas_missing", "endpoint", "nano") == 2);
    assert_true(isnan(of("replicas_missing", "endpoint", "gone")));
    ft_derive_close(d);
}

static void test_buckets_are_their_projects(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    look(d, 1000,
         "feitian_bucket_bytes{bucket=\"x\",project=\"a\"} 10\n"
         "feitian_bucket_bytes{bucket=\"y\",project=\"a\"} 5\n");
    assert_true(of("stored_bytes", "project", "a") == 15);
    assert_true(of("stored_bytes", "bucket", "y") == 5);
    for (int i = 0; i < got.n; i++)
        assert_string_equal(got.row[i].name.owner, "a");
    ft_derive_close(d);
}

static void test_there_are_not_more_than_fit(void **state)
{
    (void)state;
    struct ft_derive *d = start();
    size_t room = (size_t)1 << 20, n = 0;
    char *text = malloc(room);
    for (int i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, room - n,
                              "feitian_endpoint_replicas_ready{model=\"m%d\"} 1\n", i);
    look(d, 1000, text);
    assert_true(got.n <= FT_DERIVE_MAX && got.n > 4000);
    look(d, 11000, "feitian_endpoint_replicas_ready{model=\"m1\"} 1\n");
    look(d, 21000, "feitian_endpoint_replicas_ready{model=\"late\"} 1\n");
    assert_true(of("replicas_ready", "endpoint", "late") == 1); /* those that went gave way */
    free(text);
    ft_derive_close(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rates_of_cloud_endpoint_and_project),
        cmocka_unit_test(test_what_nobody_counted_is_none),
        cmocka_unit_test(test_no_errors_are_a_ratio_of_0),
        cmocka_unit_test(test_a_new_process_begins_at_0),
        cmocka_unit_test(test_quantiles_of_what_came_since),
        cmocka_unit_test(test_windows_levels_and_what_is_missing),
        cmocka_unit_test(test_buckets_are_their_projects),
        cmocka_unit_test(test_there_are_not_more_than_fit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
