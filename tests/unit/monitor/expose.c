/* Metrics as text: both formats to the byte, which one is asked for, and reading them again. */
#include "testing.h"

#include <math.h>

#include "monitor/expose.h"
#include "monitor/process.h"

static const double bounds[] = {0.001, 0.5, 1, 2.5, 100};

static void read_ratio(void *ctx, struct ft_metric_out *out)
{
    out->give(out, NULL, *(double *)ctx, NULL);
}

static struct ft_metric_set *make(void)
{
    static const struct ft_metric_def defs[] = {
        {"bytes_in_bytes",
         "Bytes.\nOf \"bodies\" \\ all.",
         "bytes",
         FT_METRIC_COUNTER,
         {"bucket"},
         .read = NULL},
        {"t_seconds", "Time.", "seconds", FT_METRIC_HISTOGRAM, {"model"}, 1e-3, bounds, 5, NULL},
        {"used_ratio", "Read when it is shown.", "ratio", FT_METRIC_GAUGE, .read = read_ratio},
    };
    struct ft_metric_set *m = NULL;
    struct ft_metric *f[3];
    struct ft_err err;
    assert_int_equal(ft_metric_set_open(&m, &err), 0);
    for (size_t i = 0; i < FT_COUNT(defs); i++)
        assert_int_equal(ft_metric_set_add(m, &defs[i], &f[i], &err), 0);
    ft_series_add(ft_metric_at1(f[0], "a \"b\" \\c\nd \xe9\xa3\x9e"), 1234567890123);
    ft_series_observe(ft_metric_at1(f[1], "m"), 1);
    ft_series_observe(ft_metric_at1(f[1], "m"), 700);
    ft_series_observe(ft_metric_at1(f[1], "m"), 1000000);
    return m;
}

static struct ft_buf written(enum ft_expose_format format, double ratio)
{
    struct ft_buf b;
    struct ft_metric_set *m = make();
    ft_buf_init(&b, FT_EXPOSE_BYTES_MAX);
    ft_expose_write(m, &ratio, format, &b);
    ft_expose_end(format, &b);
    ft_metric_set_close(m);
    assert_int_equal(b.failed, 0);
    return b;
}

static void test_prometheus_text(void **state)
{
    (void)state;
    struct ft_buf b = written(FT_EXPOSE_TEXT, 0.1);
    assert_string_equal(
        b.data,
        "# HELP bytes_in_bytes_total Bytes.\\nOf \"bodies\" \\\\ all.\n"
        "# TYPE bytes_in_bytes_total counter\n"
        "bytes_in_bytes_total{bucket=\"a \\\"b\\\" \\\\c\\nd \xe9\xa3\x9e\"} 1234567890123\n"
        "# HELP t_seconds Time.\n"
        "# TYPE t_seconds histogram\n"
        "t_seconds_bucket{model=\"m\",le=\"0.001\"} 1\n"
        "t_seconds_bucket{model=\"m\",le=\"0.5\"} 1\n"
        "t_seconds_bucket{model=\"m\",le=\"1.0\"} 2\n"
        "t_seconds_bucket{model=\"m\",le=\"2.5\"} 2\n"
        "t_seconds_bucket{model=\"m\",le=\"100.0\"} 2\n"
        "t_seconds_bucket{model=\"m\",le=\"+Inf\"} 3\n"
        "t_seconds_sum{model=\"m\"} 1000.701\n"
        "t_seconds_count{model=\"m\"} 3\n"
        "# HELP used_ratio Read when it is shown.\n"
        "# TYPE used_ratio gauge\n"
        "used_ratio 0.1\n");
    ft_buf_fini(&b);
}

static void test_openmetrics(void **state)
{
    (void)state;
    struct ft_buf b = written(FT_EXPOSE_OPENMETRICS, -INFINITY);
    assert_non_null(strstr(b.data, "# HELP bytes_in_bytes Bytes.\\nOf \\\"bodies\\\" \\\\ all.\n"
                                   "# TYPE bytes_in_bytes counter\n"
                                   "# UNIT bytes_in_bytes bytes\n"
                                   "bytes_in_bytes_total{"));
    assert_non_null(strstr(b.data, "# TYPE t_seconds histogram\n# UNIT t_seconds seconds\n"));
    assert_non_null(strstr(b.data, "used_ratio -Inf\n# EOF\n"));
    assert_string_equal(b.data + b.len - 6, "# EOF\n");
    ft_buf_fini(&b);
}

static void test_the_format_is_the_one_that_is_asked_for(void **state)
{
    static const struct {
        const char *accept;
        enum ft_expose_format format;
    } cases[] = {
        {NULL, FT_EXPOSE_TEXT},
        {"", FT_EXPOSE_TEXT},
        {"*/*", FT_EXPOSE_TEXT},
        {"text/html, */*;q=0.8", FT_EXPOSE_TEXT},
        {"application/*", FT_EXPOSE_TEXT},
        /* Prometheus 2.42, then one that is told to want text */
        {"application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;"
         "q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
         FT_EXPOSE_OPENMETRICS},
        {"text/plain;version=0.0.4;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5",
         FT_EXPOSE_TEXT},
        {"application/openmetrics-text", FT_EXPOSE_OPENMETRICS},
        {"Application/OpenMetrics-Text ; charset=utf-8", FT_EXPOSE_OPENMETRICS},
        {"application/openmetrics-text; version=2.0.0, text/plain;q=0.2", FT_EXPOSE_TEXT},
        {"application/openmetrics-text;q=0, */*;q=0.1", FT_EXPOSE_TEXT},
        {"application/openmetrics-text;q=0.3, text/plain;q=0.1, */*;q=0.9", FT_EXPOSE_OPENMETRICS},
        {"application/openmetrics-textual", FT_EXPOSE_TEXT},
        {";;;,,,=;q=", FT_EXPOSE_TEXT},
        {"application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding="
         "delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.2",
         FT_EXPOSE_OPENMETRICS},
    };
    (void)state;
    for (size_t i = 0; i < FT_COUNT(cases); i++)
        if (ft_expose_choose(cases[i].accept) != cases[i].format)
            fail_msg("%s", cases[i].accept != NULL ? cases[i].accept : "NULL");
}

/* ---- reading ---- */

struct got {
    int n;
    double sum;
    char last[256], label[256];
};

static void get(void *ctx, const struct ft_sample *s)
{
    struct got *g = ctx;
    g->n++;
    g->sum += s->value;
    snprintf(g->last, sizeof g->last, "%s", s->name);
    snprintf(g->label, sizeof g->label, "%s", ft_sample_label(s, "bucket"));
}

static struct got read_text(const char *text, int broken)
{
    struct got g = {0};
    assert_int_equal(ft_expose_read(text, strlen(text), get, &g), broken);
    return g;
}

static void find_bucket(void *ctx, const struct ft_sample *s)
{
    if (strcmp(s->name, "bytes_in_bytes_total") == 0) {
        assert_string_equal(ft_sample_label(s, "bucket"), "a \"b\" \\c\nd \xe9\xa3\x9e");
        assert_string_equal(ft_sample_label(s, "none"), "");
        assert_true(s->value == 1234567890123);
        *(bool *)ctx = true;
    }
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    for (int format = FT_EXPOSE_TEXT; format <= FT_EXPOSE_OPENMETRICS; format++) {
        struct ft_buf b = written((enum ft_expose_format)format, 0.1);
        bool found = false;
        assert_int_equal(ft_expose_read(b.data, b.len, find_bucket, &found), 0);
        assert_true(found);
        struct got g = read_text(b.data, 0);
        assert_int_equal(g.n, 1 + 8 + 1);
        assert_string_equal(g.last, "used_ratio");
        ft_buf_fini(&b);
    }
}

static void test_reads_what_others_write(void **state)
{
    (void)state;
    assert_int_equal(read_text("a 1 1712345678\r\nb{} 2\n\n # x\nc{ bucket = \"v\" , } 3", 0).n, 3);
    assert_string_equal(read_text("c{bucket=\"v\"} 3 # {trace_id=\"x\"} 1 2\n", 0).label, "v");
    assert_string_equal(read_text("c{bucket=\"a\\xb\"} 3\n", 0).label, "a\\xb");
    assert_true(isnan(read_text("a NaN\n", 0).sum));
    assert_true(isinf(read_text("a +Inf\n", 0).sum));
    assert_true(read_text("vllm:a_total{x=\"1\"} 1e3\n", 0).sum == 1000);
}

static void test_what_is_broken_is_passed_over(void **state)
{
    static const char *const broken[] = {"a",           "a{",          "a{b}",
                                         "a{b=} 1",     "a{b=\"c} 1",  "a{b=\"c\" d=\"e\"} 1",
                                         "a{=\"c\"} 1", "{b=\"c\"} 1", "1a 2",
                                         "a b",         "a 1x",        "a 0x10",
                                         "a nan(1)",    "a{b=\"c\"",   "a{b=\"c\"}",
                                         "a{b\"c\"} 1"};
    char text[FT_EXPOSE_SAMPLE_MAX + 100];
    (void)state;
    for (size_t i = 0; i < FT_COUNT(broken); i++) {
        snprintf(text, sizeof text, "good 1\n%s\ngood 2\n", broken[i]);
        assert_int_equal(read_text(text, 1).n, 2);
    }
    int n = snprintf(text, sizeof text, "a{");
    for (int i = 0; i <= FT_EXPOSE_LABELS_MAX; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "l%d=\"\",", i);
    snprintf(text + n, sizeof text - (size_t)n, "} 1\n");
    assert_int_equal(read_text(text, 1).n, 0);
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_int_equal(read_text(text, 1).n, 0);
}

static void test_this_process_is_known(void **state)
{
    struct ft_process_info p;
    struct ft_err err;
    (void)state;
    assert_int_equal(ft_process_info(0, &p, &err), 0);
    assert_true(p.resident_bytes > 100000 && p.virtual_bytes >= p.resident_bytes);
    assert_true(p.open_fds >= 3 && p.max_fds >= p.open_fds && p.threads == 1);
    assert_true(p.start_s > 1.6e9 && p.cpu_s >= 0);
    assert_int_equal(ft_process_info(INT32_MAX, &p, &err), FT_ENOTFOUND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_prometheus_text),
        cmocka_unit_test(test_openmetrics),
        cmocka_unit_test(test_the_format_is_the_one_that_is_asked_for),
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_reads_what_others_write),
        cmocka_unit_test(test_what_is_broken_is_passed_over),
        cmocka_unit_test(test_this_process_is_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
