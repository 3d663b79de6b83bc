/* JSON Lines: what is taken, what is refused and in which line, however the bytes are cut. */
#include "api/files/jsonl.h"

#include "testing.h"

static void check(const char *text, const char *want)
{
    size_t n = strlen(text);
    for (size_t cut = 0; cut <= n; cut++) {
        struct ft_jsonl j;
        struct ft_err err = {0};
        ft_jsonl_init(&j);
        ft_jsonl_feed(&j, text, cut);
        ft_jsonl_feed(&j, text + cut, n - cut);
        int rc = ft_jsonl_end(&j, &err);
        if (want == NULL && rc != 0)
            print_message("%s: %s\n", text, err.msg);
        assert_int_equal(rc, want == NULL ? 0 : FT_EINVAL);
        if (want != NULL && strncmp(err.msg, want, strlen(want)) != 0)
            fail_msg("%s: said %s", text, err.msg);
    }
}

static void objects(void **state)
{
    (void)state;
    check("{}", NULL);
    check("{}\n", NULL);
    check(
        " {\"a\" : [1, -0.5e+3, \"x\\u00e9\\n\\\"\", {}, [], null, true, false]}\t\r\n\n{\"b\":0}",
        NULL);
    check("{\"\xc3\xa9\":\"\xf0\x9f\x98\x80\xe2\x82\xac\"}\n", NULL);
}

static void lines_that_are_none(void **state)
{
    (void)state;
    check("", "the file has no lines");
    check("\n \n", "the file has no lines");
    check("{}\n[1]\n", "line 2: is not a JSON object");
    check("{}\n\n1\n", "line 3: is not a JSON object");
    check("{\"a\":1}\n{\"a\":\n1}\n", "line 2: is not valid JSON: it ends too early");
    check("{\"a\":1", "line 1: is not valid JSON: it ends too early");
    check("{\"a\" 1}", "line 1: is not valid JSON: ':' is expected");
    check("{\"a\":1,}", "line 1: is not valid JSON: a member's name");
    check("{\"a\":[1,]}", "line 1: is not valid JSON: a value");
    check("{\"a\":[1}}", "line 1: is not valid JSON: ',' or ']'");
    check("{\"a\":01}", "line 1: is not valid JSON: ',' or '}'");
    check("{\"a\":1.}", "line 1: is not valid JSON: a number");
    check("{\"a\":-}", "line 1: is not valid JSON: a number");
    check("{\"a\":1e}", "line 1: is not valid JSON: a number");
    check("{\"a\":nul}", "line 1: is not valid JSON: a value");
    check("{\"a\":\"\\x\"}", "line 1: is not valid JSON: an escape");
    check("{\"a\":\"\\u12g4\"}", "line 1: is not valid JSON: \\u");
    check("{\"a\":\"\t\"}", "line 1: is not valid JSON: a control");
    check("{\"a\":\"\xff\"}", "line 1: is not UTF-8");
    check("{\"a\":\"\xc3\"}", "line 1: is not UTF-8");
    check("{\"a\":\"\xed\xa0\x80\"}", "line 1: is not UTF-8");
    check("{} {}\n", "line 1: has something behind its object");
    check("\xef\xbb\xbf{}\n", "line 1: is not a JSON object");
}

static void bounds(void **state)
{
    (void)state;
    struct ft_jsonl j;
    struct ft_err err = {0};
    for (int depth = FT_JSONL_DEPTH_MAX; depth <= FT_JSONL_DEPTH_MAX + 1; depth++) {
        ft_jsonl_init(&j);
        ft_jsonl_feed(&j, "{\"a\":", 5);
        for (int i = 1; i < depth; i++)
            ft_jsonl_feed(&j, "[", 1);
        for (int i = 1; i < depth; i++)
            ft_jsonl_feed(&j, "]", 1);
        ft_jsonl_feed(&j, "}", 1);
        assert_int_equal(ft_jsonl_end(&j, &err), depth > FT_JSONL_DEPTH_MAX ? FT_EINVAL : 0);
    }
    for (size_t n = FT_JSONL_LINE_MAX; n <= FT_JSONL_LINE_MAX + 1; n++) {
        char *line = malloc(n);
        memset(line, ' ', n);
        memcpy(line, "{}", 2);
        ft_jsonl_init(&j);
        ft_jsonl_feed(&j, line, n);
        assert_int_equal(ft_jsonl_end(&j, &err), n > FT_JSONL_LINE_MAX ? FT_EINVAL : 0);
        free(line);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects),
        cmocka_unit_test(lines_that_are_none),
        cmocka_unit_test(bounds),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
