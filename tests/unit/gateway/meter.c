/* What the gateway counts of calls, and what of it is shown under vLLM's names. */
#include "testing.h"

#include "base/buf.h"
#include "base/clock.h"
#include "gateway/inner.h"
#include "gateway/watch/metrics.h"
#include "monitor/expose.h"

static struct gw *g;

static int set_up(void **state)
{
    struct ft_err err;
    (void)state;
    g = calloc(1, sizeof *g);
    return gw_meter_open(&g->meter, &err);
}

static int tear_down(void **state)
{
    (void)state;
    gw_meter_close(&g->meter);
    free(g);
    return 0;
}

static void step(struct gw_meter_call *c)
{
    struct ft_piece p = {.kind = FT_PIECE_STEP, .n_token = 1};
    gw_meter_call_piece(c, &p);
}

/* A call of so many tokens that ends so. */
static void call(const char *model, const char *project, int tokens, enum ft_answer_finish finish,
                 enum ft_record_status status)
{
    struct gw_meter_call c;
    struct ft_phases phases = {
        .queue_us = 1000, .wait_us = 2000, .prefill_us = 400000, .decode_us = 2000000};
    struct gw_meter_end e = {.status = status,
                             .prompt = 100,
                             .cached = 64,
                             .completion = tokens,
                             .cost_nanos = 12600,
                             .currency = "EUR",
                             .error = status == FT_RECORD_OK ? "" : "overloaded",
                             .phases = &phases};
    struct ft_piece p = {.kind = FT_PIECE_FINISH, .finish = finish};
    gw_meter_call_begin(&c, &g->meter, model, project, ft_clock_now_ns());
    for (int i = 0; i < tokens; i++)
        step(&c);
    gw_meter_call_piece(&c, &p);
    gw_meter_call_end(&c, &e);
}

/* Families of the call's names, as text; with a common endpoint "m", a project's own of the same
 * name, and a worker. */
static struct ft_buf shown(void)
{
    struct gw_scrape s = {
        .gw = g,
        .serving =
            json_pack("{s:[{s:s,s:s,s:i,s:i,s:[{s:s,s:s}]},{s:s,s:s,s:i,s:i,s:[]}],"
                      "s:[{s:s,s:{s:[{s:s,s:i,s:i,s:i}]}}]}",
                      "endpoints", "id", "m", "name", "m", "in_flight", 3, "queue", 2, "targets",
                      "kind", "model", "model", "base", "id", "m@p2", "name", "m", "in_flight", 4,
                      "queue", 0, "targets", "workers", "id", "worker-0", "health", "models",
                      "name", "base", "blocks_used", 30, "blocks_cached", 20, "blocks_max", 40)};
    struct gw_meter some = {0};
    struct ft_err err;
    struct ft_buf b;
    assert_non_null(s.serving);
    assert_int_equal(ft_metric_set_open(&some.own, &err), 0);
    assert_int_equal(ft_metric_set_open(&some.vllm, &err), 0);
    assert_int_equal(gw_metrics_add_vllm(&some, &err), 0);
    ft_buf_init(&b, FT_EXPOSE_BYTES_MAX);
    ft_expose_write(some.own, &s, FT_EXPOSE_TEXT, &b);
    ft_expose_write(some.vllm, &s, FT_EXPOSE_TEXT, &b);
    gw_meter_close(&some);
    json_decref(s.serving);
    return b;
}

static void has(const struct ft_buf *b, const char *line)
{
    if (strstr(b->data, line) == NULL)
        fail_msg("%s is not in\n%s", line, b->data);
}

static void test_vllms_names_sum_over_projects_and_endpoints(void **state)
{
    (void)state;
    call("m", "p1", 5, FT_ANSWER_STOP, FT_RECORD_OK);
    call("m", "p2", 7, FT_ANSWER_LENGTH, FT_RECORD_OK);
    call("m", "p2", 1, FT_ANSWER_CALLS, FT_RECORD_OK);
    call("m", "p2", 2, FT_ANSWER_STOP, FT_RECORD_CANCELLED);
    call("n", "p2", 3, FT_ANSWER_STOP, FT_RECORD_ERROR);
    call("n", "p2", 0, FT_ANSWER_STOP, FT_RECORD_REFUSED); /* counts nothing but itself */
    struct ft_buf b = shown();
    has(&b, "\nvllm:prompt_tokens_total{model_name=\"m\",engine=\"0\"} 400\n");
    has(&b, "\nvllm:prompt_tokens_total{model_name=\"n\",engine=\"0\"} 100\n");
    has(&b, "\nvllm:generation_tokens_total{model_name=\"m\",engine=\"0\"} 15\n");
    has(&b, "\nvllm:prefix_cache_hits_total{model_name=\"m\",engine=\"0\"} 256\n");
    has(&b, "{model_name=\"m\",engine=\"0\",finished_reason=\"stop\"} 2\n"); /* tool calls too */
    has(&b, "{model_name=\"m\",engine=\"0\",finished_reason=\"length\"} 1\n");
    has(&b, "{model_name=\"m\",engine=\"0\",finished_reason=\"abort\"} 1\n");
    has(&b, "{model_name=\"n\",engine=\"0\",finished_reason=\"error\"} 1\n");
    has(&b, "\nvllm:num_requests_running{model_name=\"m\",engine=\"0\"} 3\n");
    has(&b, "\nvllm:num_requests_running{model_name=\"m@p2\",engine=\"0\"} 4\n");
    has(&b, "\nvllm:num_requests_waiting{model_name=\"m\",engine=\"0\"} 2\n");
    has(&b, "\nvllm:kv_cache_usage_perc{model_name=\"m\",engine=\"0\"} 0.25\n");
    has(&b, "\nfeitian_kv_usage_ratio{model=\"m\"} 0.25\n");
    ft_buf_fini(&b);
}

static void test_vllms_bounds_hold_the_same_counts(void **state)
{
    (void)state;
    call("m", "p1", 5, FT_ANSWER_STOP, FT_RECORD_OK);
    struct ft_buf b = shown();
    /* 3 ms in the queue, 0.4 s of prefill: ours has finer bounds below vLLM's first */
    has(&b, "vllm:request_queue_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.3\"} 1\n");
    has(&b, "vllm:request_queue_time_seconds_sum{model_name=\"m\",engine=\"0\"} 0.003\n");
    has(&b, "vllm:request_prefill_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.3\"} 0");
    has(&b, "vllm:request_prefill_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"0.5\"} 1");
    has(&b, "vllm:request_decode_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"1.5\"} 0");
    has(&b, "vllm:request_decode_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"2.0\"} 1");
    has(&b, "vllm:request_decode_time_seconds_bucket{model_name=\"m\",engine=\"0\",le=\"+Inf\"} 1");
    has(&b, "vllm:inter_token_latency_seconds_count{model_name=\"m\",engine=\"0\"} 4\n");
    has(&b, "vllm:time_to_first_token_seconds_count{model_name=\"m\",engine=\"0\"} 1\n");
    assert_null(strstr(b.data,
                       "vllm:request_queue_time_seconds_bucket{model_name=\"m\",engine=\"0\","
                       "le=\"0.2\"}"));
    ft_buf_fini(&b);
}

/* Nobody makes /metrics longer by making endpoints. */
static void test_endpoints_past_a_number_are_one(void **state)
{
    const int n = 3 * FT_METRIC_VALUES_MAX;
    struct gw_scrape s = {.gw = g, .serving = json_pack("{s:[]}", "endpoints")};
    struct gw_meter some = {0};
    struct ft_err err;
    struct ft_buf b;
    char name[32];
    int lines = 0;
    (void)state;
    for (int i = 0; i < n; i++) {
        snprintf(name, sizeof name, i == 0 ? "other" : "e%04d", i);
        json_array_append_new(
            json_object_get(s.serving, "endpoints"),
            json_pack("{s:s,s:s,s:i,s:i}", "id", name, "name", name, "in_flight", 1, "queue", 0));
    }
    assert_int_equal(ft_metric_set_open(&some.own, &err), 0);
    assert_int_equal(ft_metric_set_open(&some.vllm, &err), 0);
    assert_int_equal(gw_metrics_add_vllm(&some, &err), 0);
    assert_int_equal(gw_metrics_add_serving(some.own, &err), 0);
    ft_buf_init(&b, FT_EXPOSE_BYTES_MAX);
    ft_expose_write(some.own, &s, FT_EXPOSE_TEXT, &b);
    ft_expose_write(some.vllm, &s, FT_EXPOSE_TEXT, &b);
    for (const char *p = b.data; (p = strstr(p, "\nvllm:num_requests_running{")) != NULL; p++)
        lines++;
    assert_int_equal(lines, FT_METRIC_VALUES_MAX + 1);
    snprintf(name, sizeof name, "} %d\n", n - FT_METRIC_VALUES_MAX);
    const char *at = strstr(b.data, "vllm:num_requests_running{model_name=\"other\",engine=\"0\"");
    assert_true(at != NULL && strncmp(strchr(at, '}'), name, strlen(name)) == 0);
    at = strstr(b.data, "feitian_endpoint_requests_running{model=\"other\",endpoint=\"other\"");
    assert_true(at != NULL && strncmp(strchr(at, '}'), name, strlen(name)) == 0);
    assert_null(strstr(at + 1, "feitian_endpoint_requests_running{model=\"other\""));
    ft_buf_fini(&b);
    gw_meter_close(&some);
    json_decref(s.serving);
}

struct found {
    struct ft_metric_out out; /* first */
    const char *a, *b;
    double number;
    int n;
};

static void find(struct ft_metric_out *out, const char *const *value, double number,
                 const struct ft_histogram *h)
{
    struct found *f = (struct found *)out;
    (void)h;
    f->n++;
    if (strcmp(value[0], f->a) == 0 && strcmp(value[1], f->b) == 0)
        f->number = number;
}

static double number_of(const struct ft_metric *f, const char *a, const char *b)
{
    struct found found = {.out = {find}, .a = a, .b = b};
    ft_metric_read(f, NULL, &found.out);
    return found.number;
}

static void test_money_is_exact_and_errors_have_their_code(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++)
        call("m", "p1", 1, FT_ANSWER_STOP, FT_RECORD_OK);
    call("m", "p1", 0, FT_ANSWER_STOP, FT_RECORD_ERROR);
    call("m", "p1", 0, FT_ANSWER_STOP, FT_RECORD_REFUSED);
    assert_true(number_of(g->meter.cost, "m", "p1") == 0.0126126); /* a refused one costs nothing */
    assert_true(number_of(g->meter.errors, "m", "overloaded") == 2);
    assert_true(number_of(g->meter.completion, "m", "p1") == 1000);
}

static void test_counting_a_call_that_never_began_does_nothing(void **state)
{
    struct gw_meter_call none = {0};
    struct gw_meter_end e = {.status = FT_RECORD_OK};
    (void)state;
    step(&none);
    gw_meter_call_end(&none, &e);
    struct found f = {.out = {find}, .a = "", .b = ""};
    ft_metric_read(g->meter.calls, NULL, &f.out);
    assert_int_equal(f.n, 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_vllms_names_sum_over_projects_and_endpoints),
        TEST(test_vllms_bounds_hold_the_same_counts),
        TEST(test_endpoints_past_a_number_are_one),
        TEST(test_money_is_exact_and_errors_have_their_code),
        TEST(test_counting_a_call_that_never_began_does_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
