/* Arena: aligned, zeroed, disjoint, and never past its maximum. */
#include "testing.h"

#include "base/arena.h"
#include "base/err.h"

static void test_pieces_are_zeroed_aligned_and_disjoint(void **state)
{
    (void)state;
    struct ft_arena a;
    unsigned char *pieces[300];
    ft_arena_init(&a, 64 << 20);
    for (size_t i = 0; i < FT_COUNT(pieces); i++) {
        size_t n = i * 37 % 5000;
        pieces[i] = ft_arena_alloc(&a, n);
        assert_non_null(pieces[i]);
        assert_int_equal((uintptr_t)pieces[i] % 16, 0);
        for (size_t k = 0; k < n; k++)
            assert_int_equal(pieces[i][k], 0);
        memset(pieces[i], (int)(i & 0xff), n);
    }
    for (size_t i = 0; i < FT_COUNT(pieces); i++)
        for (size_t k = 0; k < i * 37 % 5000; k++)
            assert_int_equal(pieces[i][k], i & 0xff);
    ft_arena_fini(&a);
    assert_int_equal(a.used_bytes, 0);
    assert_non_null(ft_arena_alloc(&a, 1)); /* usable again */
    ft_arena_fini(&a);
}

static void test_the_maximum_holds(void **state)
{
    (void)state;
    struct ft_arena a;
    ft_arena_init(&a, 1000);
    assert_null(ft_arena_alloc(&a, 1001));
    assert_non_null(ft_arena_alloc(&a, 900));
    assert_null(ft_arena_alloc(&a, 101));
    assert_non_null(ft_arena_alloc(&a, 80));
    assert_null(ft_arena_alloc(&a, 17));
    assert_true(a.used_bytes <= a.max_bytes);
    ft_arena_fini(&a);
}

static void test_sizes_that_overflow_are_refused(void **state)
{
    (void)state;
    struct ft_arena a;
    ft_arena_init(&a, SIZE_MAX);
    assert_null(ft_arena_alloc(&a, SIZE_MAX));
    assert_null(ft_arena_alloc(&a, SIZE_MAX - 15));
    assert_null(ft_arena_array(&a, SIZE_MAX / 2, 4));
    assert_null(ft_arena_array(&a, (size_t)1 << 33, (size_t)1 << 33));
    assert_null(ft_arena_strndup(&a, "x", SIZE_MAX));
    ft_arena_fini(&a);
}

static void test_strndup_copies_bytes_and_ends_them(void **state)
{
    (void)state;
    struct ft_arena a;
    ft_arena_init(&a, 1 << 20);
    char *s = ft_arena_strndup(&a, "ab\0cd", 4);
    assert_memory_equal(s, "ab\0c", 5);
    assert_string_equal(ft_arena_strndup(&a, NULL, 0), "");
    ft_arena_fini(&a);
    struct ft_arena zero = {0};
    assert_null(ft_arena_alloc(&zero, 1));
    ft_arena_fini(&zero);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pieces_are_zeroed_aligned_and_disjoint),
        cmocka_unit_test(test_the_maximum_holds),
        cmocka_unit_test(test_sizes_that_overflow_are_refused),
        cmocka_unit_test(test_strndup_copies_bytes_and_ends_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
