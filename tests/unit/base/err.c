/* Error values: codes, context, errno, and a message that never overflows. */
#include "testing.h"

#include <errno.h>

#include "base/err.h"

static void test_set_fills_and_returns_the_code(void **state)
{
    (void)state;
    struct ft_err err = {.sys_errno = 77};
    assert_int_equal(ft_err_set(&err, FT_EINVAL, "field %s: %d", "top_k", -1), FT_EINVAL);
    assert_int_equal(err.code, FT_EINVAL);
    assert_int_equal(err.sys_errno, 0);
    assert_string_equal(err.msg, "field top_k: -1");
    assert_int_equal(ft_err_set(NULL, FT_ELIMIT, "nobody reads this"), FT_ELIMIT);
}

static void test_sys_takes_errno(void **state)
{
    (void)state;
    struct ft_err err;
    errno = EACCES;
    assert_int_equal(ft_err_sys(&err, "open %s", "x"), FT_EIO);
    assert_int_equal(err.sys_errno, EACCES);
    assert_string_equal(err.msg, "open x: Permission denied");
    errno = ENOENT;
    assert_int_equal(ft_err_sys(&err, "open"), FT_ENOTFOUND);
    errno = ENOMEM;
    assert_int_equal(ft_err_sys(NULL, "map"), FT_ENOMEM);
}

static void test_a_full_disk_is_a_limit(void **state)
{
    (void)state;
    static const struct {
        int sys, code;
    } all[] = {{ENOSPC, FT_ELIMIT}, {EDQUOT, FT_ELIMIT}, {EACCES, FT_EIO}, {ENOENT, FT_ENOTFOUND}};
    for (size_t i = 0; i < FT_COUNT(all); i++) {
        struct ft_err err;
        errno = all[i].sys;
        assert_int_equal(ft_err_disk(&err, "write %s", "x"), all[i].code);
        assert_int_equal(err.code, all[i].code);
        assert_int_equal(err.sys_errno, all[i].sys);
        assert_memory_equal(err.msg, "write x: ", 9);
    }
}

static void test_context_goes_outermost_first(void **state)
{
    (void)state;
    struct ft_err err;
    ft_err_set(&err, FT_ECORRUPT, "offset past the end");
    ft_err_wrap(&err, "tensor %d", 3);
    assert_int_equal(ft_err_wrap(&err, "load %s", "m.gguf"), FT_ECORRUPT);
    assert_string_equal(err.msg, "load m.gguf: tensor 3: offset past the end");
    assert_int_equal(ft_err_wrap(NULL, "load"), FT_EINTERNAL);
}

static void test_long_messages_are_cut(void **state)
{
    (void)state;
    static struct {
        struct ft_err err;
        unsigned char after[16];
    } s;
    char text[3 * FT_ERR_MSG_MAX];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    memset(s.after, 0xa5, sizeof s.after);
    ft_err_set(&s.err, FT_EIO, "%s", text);
    assert_int_equal(strlen(s.err.msg), FT_ERR_MSG_MAX - 1);
    errno = EIO;
    ft_err_sys(&s.err, "%s", text);
    assert_int_equal(strlen(s.err.msg), FT_ERR_MSG_MAX - 1);
    ft_err_wrap(&s.err, "outer");
    assert_int_equal(strlen(s.err.msg), FT_ERR_MSG_MAX - 1);
    assert_memory_equal(s.err.msg, "outer: xxx", 10);
    ft_err_wrap(&s.err, "%s", text);
    assert_int_equal(strlen(s.err.msg), FT_ERR_MSG_MAX - 1);
    for (size_t i = 0; i < sizeof s.after; i++)
        assert_int_equal(s.after[i], 0xa5);
}

static void test_every_code_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int a = FT_EUNAVAIL; a <= FT_OK; a++) {
        assert_string_not_equal(ft_code_name((enum ft_code)a), "unknown");
        for (int b = FT_EUNAVAIL; b < a; b++)
            assert_string_not_equal(ft_code_name((enum ft_code)a), ft_code_name((enum ft_code)b));
    }
    assert_string_equal(ft_code_name((enum ft_code)1), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_set_fills_and_returns_the_code),
        cmocka_unit_test(test_sys_takes_errno),
        cmocka_unit_test(test_a_full_disk_is_a_limit),
        cmocka_unit_test(test_context_goes_outermost_first),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_every_code_has_a_name_of_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
