/* W3C Trace Context and the collector's headers: what is one, and what is none; messages; an
 * exporter whose collector is not there. */
/* labels: threads */
#include "testing.h"

#include <jansson.h>

#include "base/log.h"
#include "monitor/trace.h"

#define GOOD "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

static void one_that_the_recommendation_gives(void **state)
{
    (void)state;
    char text[FT_TRACE_PARENT_BYTES];
    struct ft_trace_context c = {.span_id = {0xb7, 0xad, 0x6b, 0x71, 0x69, 0x20, 0x33, 0x31}};
    assert_true(ft_trace_parent_parse(GOOD, &c));
    assert_true(c.sampled && c.has_parent);
    assert_int_equal(c.trace_id[0], 0x0a);
    assert_int_equal(c.trace_id[15], 0x9c);
    assert_int_equal(c.parent_id[7], 0x31);
    ft_trace_parent_write(&c, c.span_id, text);
    assert_string_equal(text, GOOD);
    assert_true(
        ft_trace_parent_parse("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", &c));
    assert_false(c.sampled);
    assert_true(
        ft_trace_parent_parse("cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03-x", &c));
    assert_true(c.sampled);
}

/* Every single character of a good one, replaced by every byte: what is taken has the form. */
static void every_change_of_one_character(void **state)
{
    (void)state;
    for (size_t at = 0; at < sizeof GOOD - 1; at++) {
        for (int b = 1; b < 256; b++) {
            char text[] = GOOD;
            struct ft_trace_context c = {0};
            text[at] = (char)b;
            bool dash = at == 2 || at == 35 || at == 52;
            bool digit = (b >= '0' && b <= '9') || (b >= 'a' && b <= 'f');
            assert_true(ft_trace_parent_parse(text, &c) == (dash ? b == '-' : digit));
        }
    }
    for (size_t n = 0; n < sizeof GOOD - 1; n++) { /* and every beginning of it */
        char text[] = GOOD;
        struct ft_trace_context c = {0};
        text[n] = '\0';
        assert_false(ft_trace_parent_parse(text, &c));
    }
}

static void what_is_forbidden(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        GOOD "-more",
        GOOD "0",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01more",
        " " GOOD,
        GOOD " ",
        "",
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_trace_context c = {.parent_id = {7}}, was = c;
        assert_false(ft_trace_parent_parse(bad[i], &c));
        assert_memory_equal(&c, &was, sizeof c);
    }
    char longest[FT_TRACE_STATE_MAX + 2];
    memset(longest, 'a', sizeof longest);
    longest[1] = '=';
    longest[FT_TRACE_STATE_MAX + 1] = '\0';
    assert_false(ft_trace_state_ok(longest));
    longest[FT_TRACE_STATE_MAX] = '\0';
    assert_true(ft_trace_state_ok(longest));
    assert_false(ft_trace_state_ok("a=b\r\nx: y"));
    assert_false(ft_trace_state_ok(""));
    assert_false(ft_trace_state_ok("vendor"));
}

static void headers_of_the_collector(void **state)
{
    (void)state;
    char *h[FT_TRACE_HEADERS_MAX];
    int n = -1;
    struct ft_err err;
    assert_int_equal(ft_trace_headers_parse("a=1, B-c = Bearer%20x%3D,,d=", h, &n, &err), 0);
    assert_int_equal(n, 3);
    assert_string_equal(h[0], "a: 1");
    assert_string_equal(h[1], "B-c: Bearer x=");
    assert_string_equal(h[2], "d: ");
    while (n > 0)
        free(h[--n]);
    static const char *const bad[] = {"a",     "=x",     "a b=x", "a=%",  "a=%2",    "a=%zz",
                                      "a=%0a", "a=x\ny", "a=%00", "a:=x", "ok=1,bad"};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ft_trace_headers_parse(bad[i], h, &n, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "entry 2"));
    assert_int_equal(ft_trace_headers_parse("1=1,2=2,3=3,4=4,5=5,6=6,7=7,8=8,9=9,10=1,11=1,12=1,"
                                            "13=1,14=1,15=1,16=1,17=1",
                                            h, &n, &err),
                     FT_EINVAL);
}

static struct ft_trace_item item(void)
{
    return (struct ft_trace_item){.context = {.trace_id = {1}, .span_id = {2}, .sampled = true},
                                  .operation = FT_TRACE_CHAT,
                                  .method = "POST",
                                  .route = "/v1/chat/completions",
                                  .finish = "stop",
                                  .record = {.id = "req_1",
                                             .model = "nano",
                                             .route = "chat.completions",
                                             .http = 200,
                                             .start_us = 1700000000000000,
                                             .end_us = 1700000001000000,
                                             .phases = {.prefill_us = 10, .decode_us = 20}}};
}

static void a_message_is_json_with_all_spans(void **state)
{
    (void)state;
    struct ft_trace_item list[2] = {item(), item()};
    struct ft_trace_options o = {.service = "x", .version = "1"};
    struct ft_buf out;
    list[1].operation = FT_TRACE_NONE;
    ft_buf_init(&out, 1 << 20);
    ft_trace_write(&o, list, 2, &out);
    json_t *j = json_loadb(out.data, out.len, 0, NULL);
    const json_t *resources = json_object_get(j, "resourceSpans");
    assert_int_equal(json_array_size(resources), 2);
    static const size_t want[] = {3, 3}; /* two of servers, a call; worker, prefill, decode */
    for (size_t i = 0; i < 2; i++) {
        const json_t *scope =
            json_array_get(json_object_get(json_array_get(resources, i), "scopeSpans"), 0);
        assert_int_equal(json_array_size(json_object_get(scope, "spans")), want[i]);
    }
    assert_non_null(strstr(out.data, "\"startTimeUnixNano\":\"1700000000000000000\""));
    json_decref(j);
    ft_buf_fini(&out);
}

static void without_a_collector_requests_are_dropped_and_counted(void **state)
{
    (void)state;
    struct ft_trace_options o = {.endpoint = "http://127.0.0.1:1", .ratio = 0.5};
    struct ft_tracer *t = NULL;
    struct ft_err err = {0};
    struct ft_tracer_stats s;
    struct ft_trace_item one = item();
    assert_int_equal(ft_tracer_open(&o, &t, &err), 0);
    for (int i = 0; i < 2 * FT_TRACE_QUEUE_MAX; i++)
        ft_tracer_put(t, &one);
    one.context.sampled = false;
    ft_tracer_put(t, &one);
    ft_tracer_stats(t, &s);
    assert_int_equal(s.sent, 0);
    assert_true(s.waiting <= FT_TRACE_QUEUE_MAX && s.dropped > 0);
    int sampled = 0;
    for (int i = 0; i < 2000; i++) {
        struct ft_trace_context c;
        ft_tracer_begin(t, i % 2 == 0 ? NULL : "nonsense", &c);
        assert_false(c.has_parent);
        sampled += c.sampled;
    }
    assert_in_range(sampled, 800, 1200);
    int forced = 0;
    for (int i = 0; i < 2000;
         i++) { /* the client wants all; who it is decides whether that counts */
        struct ft_trace_context c;
        ft_tracer_begin(t, GOOD, &c);
        assert_true(c.has_parent && c.sampled && c.trace_id[15] == 0x9c);
        forced += c.forced;
    }
    assert_in_range(forced, 800, 1200);
    ft_tracer_close(t);
    static const struct ft_trace_options bad[] = {
        {.endpoint = "ftp://x", .ratio = 1},
        {.endpoint = "http://", .ratio = 1},
        {.endpoint = "http://x", .ratio = 1.5},
        {.endpoint = "http://x", .headers = "q", .ratio = 1}};
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(ft_tracer_open(&bad[i], &t, &err), FT_EINVAL);
}

/* What the log says of a collector is its address, not who sends there. */
static void the_log_has_no_password(void **state)
{
    (void)state;
    const struct ft_trace_options o = {.endpoint = "http://ada:secret-word@127.0.0.1:1",
                                       .ratio = 1};
    struct ft_tracer *t = NULL;
    struct ft_err err = {0};
    struct ft_trace_item one = item();
    char text[4096];
    FILE *log = tmpfile();
    assert_non_null(log);
    ft_log_set_fd(fileno(log));
    assert_int_equal(ft_tracer_open(&o, &t, &err), 0);
    ft_tracer_put(t, &one);
    ft_tracer_close(t);
    ft_log_set_fd(2);
    ssize_t n = pread(fileno(log), text, sizeof text - 1, 0);
    text[FT_MAX(n, 0)] = '\0';
    assert_non_null(strstr(text, "http://127.0.0.1:1/v1/traces"));
    assert_null(strstr(text, "secret-word"));
    assert_null(strstr(text, "ada"));
    fclose(log);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_that_the_recommendation_gives),
        cmocka_unit_test(every_change_of_one_character),
        cmocka_unit_test(what_is_forbidden),
        cmocka_unit_test(headers_of_the_collector),
        cmocka_unit_test(a_message_is_json_with_all_spans),
        cmocka_unit_test(without_a_collector_requests_are_dropped_and_counted),
        cmocka_unit_test(the_log_has_no_password),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
