/* Server-sent events: the same events however the bytes are cut, and bounds. */
#include "net/sse.h"

#include "testing.h"

#define EVENT_MAX 64

struct seen {
    struct ft_buf text; /* "name|data;" of each event */
    int stop_after;
};

static int take(void *ctx, const struct ft_sse_event *e)
{
    struct seen *s = ctx;
    assert_int_equal(strlen(e->data), e->n);
    ft_buf_addf(&s->text, "%s|%s;", e->name, e->data);
    return s->stop_after > 0 && --s->stop_after == 0 ? 7 : 0;
}

/* Every cut into two pieces, and byte by byte. */
static void check(const char *bytes, const char *want)
{
    size_t n = strlen(bytes);
    for (size_t cut = 0; cut <= n + 1; cut++) {
        struct seen s = {0};
        ft_buf_init(&s.text, 10000);
        ft_buf_add_str(&s.text, "");
        struct ft_sse_parser p;
        ft_sse_init(&p, EVENT_MAX, take, &s);
        if (cut <= n) {
            assert_int_equal(ft_sse_feed(&p, bytes, cut), 0);
            assert_int_equal(ft_sse_feed(&p, bytes + cut, n - cut), 0);
        } else {
            for (size_t i = 0; i < n; i++)
                assert_int_equal(ft_sse_feed(&p, bytes + i, 1), 0);
        }
        assert_string_equal(s.text.data, want);
        ft_buf_fini(&s.text);
        ft_sse_fini(&p);
    }
}

static void test_events_in_any_cut(void **state)
{
    (void)state;
    check("data: one\n\ndata:two\n\n", "|one;|two;");
    check("data: a\ndata: b\ndata\n\n", "|a\nb\n;");
    check("event: ping\ndata: {}\n\ndata: x\n\n", "ping|{};|x;");
    check("data: a\r\n\r\ndata: b\r\rdata: c\n\n", "|a;|b;|c;");
    check(": comment\n\n:\ndata:  two spaces\n\n", "| two spaces;");
    check("id: 1\nretry: 5\nnonsense\n\n", "");
    check("event: e\n\ndata: x\n\n", "|x;");
    check("data\n\n", "|;");
    check("data: unfinished\n", "");
    check("\xef\xbb\xbf"
          "data: marked\n\n",
          "|marked;");
    check("database: no\ndat: no\ndata: yes\n\n", "|yes;");
}

static void test_too_long_is_refused(void **state)
{
    (void)state;
    char line[200];
    memset(line, 'x', sizeof line);
    struct seen s = {0};
    ft_buf_init(&s.text, 10000);
    struct ft_sse_parser p;
    ft_sse_init(&p, EVENT_MAX, take, &s);
    assert_int_equal(ft_sse_feed(&p, line, sizeof line), FT_ELIMIT);
    ft_sse_fini(&p);
    ft_sse_init(&p, EVENT_MAX, take, &s);
    int rc = 0;
    for (int i = 0; i < 20 && rc == 0; i++)
        rc = ft_sse_feed(&p, "data: 12345\n", 12);
    assert_int_equal(rc, FT_ELIMIT);
    ft_sse_fini(&p);
    memcpy(line, "data: ", 6);
    line[198] = line[199] = '\n';
    ft_sse_init(&p, EVENT_MAX, take, &s);
    assert_int_equal(ft_sse_feed(&p, line, sizeof line), FT_ELIMIT);
    ft_sse_fini(&p);
    ft_buf_fini(&s.text);
}

static void test_the_reader_can_stop(void **state)
{
    (void)state;
    struct seen s = {.stop_after = 2};
    ft_buf_init(&s.text, 10000);
    struct ft_sse_parser p;
    ft_sse_init(&p, EVENT_MAX, take, &s);
    assert_int_equal(ft_sse_feed(&p, "data:1\n\ndata:2\n\ndata:3\n\n", 24), 7);
    assert_string_equal(s.text.data, "|1;|2;");
    ft_sse_fini(&p);
    ft_buf_fini(&s.text);
}

static void test_what_is_written_is_read(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, 1000);
    ft_sse_write(&b, NULL, "plain", 5);
    ft_sse_write(&b, "delta", "two\nlines\r\nthree\r", 17);
    ft_sse_write(&b, "bad\nname", "", 0);
    ft_buf_add_str(&b, FT_SSE_KEEP_ALIVE);
    assert_string_equal(b.data, "data: plain\n\n"
                                "event: delta\ndata: two\ndata: lines\ndata: three\ndata: \n\n"
                                "data: \n\n: \n\n");
    check(b.data, "|plain;delta|two\nlines\nthree\n;|;");
    ft_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_events_in_any_cut),
        cmocka_unit_test(test_too_long_is_refused),
        cmocka_unit_test(test_the_reader_can_stop),
        cmocka_unit_test(test_what_is_written_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
