/* Log: levels, one line an event whatever the message holds, a bound on its length. */
#include "testing.h"

#include <errno.h>

#include "base/log.h"

static char got[4 * FT_LOG_LINE_MAX];

static const char *logged(int fds[2])
{
    close(fds[1]);
    size_t n = 0;
    ssize_t r;
    while ((r = read(fds[0], got + n, sizeof got - 1 - n)) > 0)
        n += (size_t)r;
    got[n] = '\0';
    close(fds[0]);
    ft_log_set_fd(2);
    return got;
}

static void begin(int fds[2])
{
    assert_int_equal(pipe(fds), 0);
    ft_log_set_fd(fds[1]);
}

static void test_debug_is_off_until_asked_for(void **state)
{
    (void)state;
    int fds[2];
    begin(fds);
    assert_false(ft_log_on(FT_LOG_DEBUG));
    ft_log(FT_LOG_DEBUG, "test", "hidden");
    ft_log(FT_LOG_INFO, "test", "seen %d", 1);
    ft_log_set_level(FT_LOG_DEBUG);
    ft_log(FT_LOG_DEBUG, "test", "seen %d", 2);
    ft_log_set_level(FT_LOG_ERROR);
    ft_log(FT_LOG_WARN, "test", "hidden");
    ft_log_set_level(FT_LOG_INFO);
    const char *s = logged(fds);
    assert_null(strstr(s, "hidden"));
    assert_non_null(strstr(s, "Z info  test: seen 1\n"));
    assert_non_null(strstr(s, "Z debug test: seen 2\n"));
}

static void test_a_message_cannot_forge_a_line(void **state)
{
    (void)state;
    int fds[2];
    begin(fds);
    errno = EAGAIN;
    ft_log(FT_LOG_WARN, "test", "a\nb\033[2J%s", "\x7f");
    assert_int_equal(errno, EAGAIN);
    const char *s = logged(fds);
    assert_ptr_equal(strchr(s, '\n'), s + strlen(s) - 1);
    assert_non_null(strstr(s, "a\\x0ab\\x1b[2J\\x7f\n"));
}

static void test_long_lines_are_cut_and_say_so(void **state)
{
    (void)state;
    char text[3 * FT_LOG_LINE_MAX];
    for (size_t n = FT_LOG_LINE_MAX - 80; n < sizeof text; n += n < FT_LOG_LINE_MAX + 8 ? 1 : 700) {
        memset(text, '\1', n); /* each becomes four characters */
        text[n] = '\0';
        int fds[2];
        begin(fds);
        ft_log(FT_LOG_ERROR, "test", "%s", text);
        const char *s = logged(fds);
        assert_true(strlen(s) <= FT_LOG_LINE_MAX);
        assert_string_equal(s + strlen(s) - 4, "...\n");
    }
}

static void test_level_names(void **state)
{
    (void)state;
    enum ft_log_level level = FT_LOG_INFO;
    assert_true(ft_log_level_parse("error", &level));
    assert_int_equal(level, FT_LOG_ERROR);
    assert_true(ft_log_level_parse("debug", &level));
    assert_int_equal(level, FT_LOG_DEBUG);
    assert_false(ft_log_level_parse("loud", &level));
    assert_int_equal(level, FT_LOG_DEBUG);
}

static void test_lines_may_be_json(void **state)
{
    (void)state;
    int fds[2];
    bool json = false;
    assert_true(ft_log_format_parse("json", &json) && json);
    assert_false(ft_log_format_parse("yaml", &json));
    ft_log_set_json(true);
    begin(fds);
    ft_log(FT_LOG_WARN, "test", "say \"a\\b\"\n of req_ABCDEFGHIJKLMNOPQRSTUVWX, req_no");
    ft_log(FT_LOG_INFO, "test", "%0*d", 2 * FT_LOG_LINE_MAX, 7);
    const struct ft_log_field fields[] = {{"request", "req_1", 0}, {"ms", NULL, -5}};
    ft_log_fields(FT_LOG_DEBUG, "access", "ok", fields, 2);
    const char *s = logged(fds);
    ft_log_set_json(false);
    assert_non_null(strstr(s, "\"level\":\"warn\",\"module\":\"test\",\"msg\":"
                              "\"say \\\"a\\\\b\\\"\\u000a of req_ABC"));
    assert_non_null(strstr(s, ",\"request\":\"req_ABCDEFGHIJKLMNOPQRSTUVWX\"}\n{\"ts\":\"20"));
    assert_non_null(strstr(s, "000...\"}\n"));
    assert_non_null(strstr(s, "\"msg\":\"ok\",\"request\":\"req_1\",\"ms\":-5}\n"));
    for (const char *nl = strchr(s, '\n'), *at = s; nl != NULL; at = nl + 1, nl = strchr(at, '\n'))
        assert_true(nl - at <= FT_LOG_LINE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_may_be_json),
        cmocka_unit_test(test_debug_is_off_until_asked_for),
        cmocka_unit_test(test_a_message_cannot_forge_a_line),
        cmocka_unit_test(test_long_lines_are_cut_and_say_so),
        cmocka_unit_test(test_level_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
