/* Programs that answer: what is taken of them, and that none holds its asker up. */
#include <signal.h>
#include <sys/wait.h>

#include "sched/ask.h"
#include "testing.h"

static struct ft_ask_answer ask(const char *script, int timeout_ms, size_t max, struct ft_buf *out)
{
    char *const argv[] = {"/bin/sh", "-c", (char *)script, NULL};
    const struct ft_ask a = {.argv = argv, .timeout_ms = timeout_ms};
    struct ft_ask_answer ret;
    struct ft_err err = {0};
    ft_buf_init(out, max);
    assert_int_equal(0, ft_ask(&a, out, &ret, &err));
    return ret;
}

static void its_words_and_its_status_come_back(void **state)
{
    struct ft_buf out;
    struct ft_ask_answer a = ask("printf yes; echo why >&2; exit 3", 10000, 100, &out);
    (void)state;
    assert_true(a.whole);
    assert_int_equal(3, WEXITSTATUS(a.status));
    assert_memory_equal("yes", out.data, 3);
    assert_string_equal("why", a.says);
    ft_buf_fini(&out);
}

static void who_says_too_much_is_killed(void **state)
{
    struct ft_buf out;
    struct ft_ask_answer a = ask("while :; do echo words; done", 60000, 1000, &out);
    (void)state;
    assert_false(a.whole);
    ft_buf_fini(&out);
}

/* An hour would pass; a test's time limit would not. */
static void who_says_no_more_and_stays_is_killed(void **state)
{
    struct ft_buf out;
    struct ft_ask_answer a = ask("exec >&- 2>&-; exec sleep 3600", 300, 100, &out);
    (void)state;
    assert_false(a.whole);
    assert_true(WIFSIGNALED(a.status));
    assert_int_equal(SIGKILL, WTERMSIG(a.status));
    ft_buf_fini(&out);
}

static void who_says_nothing_is_killed(void **state)
{
    struct ft_buf out;
    struct ft_ask_answer a = ask("exec sleep 3600", 300, 100, &out);
    (void)state;
    assert_false(a.whole);
    assert_true(WIFSIGNALED(a.status));
    ft_buf_fini(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(its_words_and_its_status_come_back),
        cmocka_unit_test(who_says_too_much_is_killed),
        cmocka_unit_test(who_says_no_more_and_stays_is_killed),
        cmocka_unit_test(who_says_nothing_is_killed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
