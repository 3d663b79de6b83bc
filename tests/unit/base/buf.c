/* Buffer: appends, its maximum, and that the first failure sticks. */
#include "testing.h"

#include "base/buf.h"
#include "base/err.h"

static void test_appends_and_keeps_the_end_marked(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, 1 << 20);
    assert_int_equal(ft_buf_add_str(&b, "ab"), 0);
    assert_int_equal(ft_buf_add_byte(&b, 'c'), 0);
    assert_int_equal(ft_buf_addf(&b, "%d-%s", 42, "x"), 0);
    assert_string_equal(b.data, "abc42-x");
    assert_int_equal(ft_buf_add(&b, "\0z", 2), 0);
    assert_int_equal(ft_buf_add(&b, NULL, 0), 0);
    assert_int_equal(b.len, 9);
    assert_memory_equal(b.data, "abc42-x\0z", 10);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(ft_buf_addf(&b, "%04d", i % 10000), 0);
    assert_int_equal(b.len, 9 + 80000);
    assert_memory_equal(b.data + b.len - 4, "9999", 5);
    ft_buf_reset(&b);
    assert_int_equal(b.len, 0);
    assert_string_equal(b.data, "");
    ft_buf_fini(&b);
    assert_null(b.data);
}

static void test_the_maximum_holds_to_the_byte(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, 10);
    assert_int_equal(ft_buf_add_str(&b, "0123456789"), 0);
    assert_int_equal(ft_buf_add(&b, "", 0), 0);
    assert_int_equal(ft_buf_add_byte(&b, 'x'), FT_ELIMIT);
    assert_string_equal(b.data, "0123456789");
    ft_buf_fini(&b);
    ft_buf_init(&b, 10);
    assert_int_equal(ft_buf_addf(&b, "%s", "01234567890"), FT_ELIMIT);
    assert_int_equal(b.len, 0);
    ft_buf_fini(&b);
    ft_buf_init(&b, 10);
    assert_int_equal(ft_buf_reserve(&b, SIZE_MAX), FT_ELIMIT);
    ft_buf_fini(&b);
}

static void test_the_first_failure_sticks_until_reset(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, 4);
    assert_int_equal(ft_buf_add_str(&b, "ab"), 0);
    assert_int_equal(ft_buf_add_str(&b, "cde"), FT_ELIMIT);
    assert_int_equal(ft_buf_add_byte(&b, 'c'), FT_ELIMIT); /* would fit: but something is missing */
    assert_int_equal(ft_buf_addf(&b, "d"), FT_ELIMIT);
    assert_int_equal(b.failed, FT_ELIMIT);
    assert_string_equal(b.data, "ab");
    ft_buf_reset(&b);
    assert_int_equal(ft_buf_add_str(&b, "abcd"), 0);
    ft_buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_and_keeps_the_end_marked),
        cmocka_unit_test(test_the_maximum_holds_to_the_byte),
        cmocka_unit_test(test_the_first_failure_sticks_until_reset),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
