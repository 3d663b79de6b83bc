/* String map: keys of any bytes, replacement, growth, and the hash's spread. */
#include "testing.h"

#include "base/err.h"
#include "base/map.h"

static void test_zeroed_map_is_empty(void **state)
{
    (void)state;
    struct ft_strmap m = {0};
    assert_false(ft_strmap_get(&m, "a", 1, NULL));
    ft_strmap_fini(&m);
}

static void test_keys_are_bytes_with_a_length(void **state)
{
    (void)state;
    struct ft_strmap m;
    int32_t v = 0;
    assert_int_equal(ft_strmap_init(&m, 0), 0);
    assert_int_equal(ft_strmap_add(&m, "", 0, 1), 0);
    assert_int_equal(ft_strmap_add(&m, "\0", 1, 2), 0);
    assert_int_equal(ft_strmap_add(&m, "\0\0", 2, 3), 0);
    assert_int_equal(ft_strmap_add(&m, "ab", 2, 4), 0);
    assert_int_equal(ft_strmap_add(&m, "abc", 2, 5), FT_EEXIST);
    assert_true(ft_strmap_get(&m, NULL, 0, &v));
    assert_int_equal(v, 1);
    assert_true(ft_strmap_get(&m, "\0\0x", 2, &v));
    assert_int_equal(v, 3);
    assert_true(ft_strmap_get(&m, "abz", 2, &v));
    assert_int_equal(v, 4);
    assert_false(ft_strmap_get(&m, "abz", 3, &v));
    assert_int_equal(v, 4);
    assert_int_equal(ft_strmap_set(&m, "ab", 2, -9), 0);
    assert_true(ft_strmap_get(&m, "ab", 2, &v));
    assert_int_equal(v, -9);
    assert_int_equal(m.count, 4);
    ft_strmap_fini(&m);
}

static void fill_and_check(size_t n, size_t n_expected)
{
    struct ft_strmap m;
    char(*keys)[16] = calloc(n, sizeof *keys);
    assert_non_null(keys);
    assert_int_equal(ft_strmap_init(&m, n_expected), 0);
    for (size_t i = 0; i < n; i++) {
        int len = snprintf(keys[i], sizeof keys[i], "tok%zu", i);
        assert_int_equal(ft_strmap_add(&m, keys[i], (size_t)len, (int32_t)i), 0);
    }
    assert_int_equal(m.count, n);
    for (size_t i = 0; i < n; i++) {
        int32_t v = -1;
        assert_true(ft_strmap_get(&m, keys[i], strlen(keys[i]), &v));
        assert_int_equal(v, i);
    }
    assert_false(ft_strmap_get(&m, "tok", 3, NULL));
    ft_strmap_fini(&m);
    free(keys);
}

static void test_grows_and_keeps_everything(void **state)
{
    (void)state;
    fill_and_check(1, 0);
    fill_and_check(13, 12);
    fill_and_check(150000, 0);
    fill_and_check(150000, 150000);
}

static void test_expected_entries_need_no_growth(void **state)
{
    (void)state;
    struct ft_strmap m;
    assert_int_equal(ft_strmap_init(&m, 1000), 0);
    size_t n_slots = m.n_slots;
    char keys[1000][16];
    for (int i = 0; i < 1000; i++) {
        snprintf(keys[i], sizeof keys[i], "%d", i);
        assert_int_equal(ft_strmap_add(&m, keys[i], strlen(keys[i]), i), 0);
    }
    assert_int_equal(m.n_slots, n_slots);
    assert_true(m.n_slots > 1000);
    ft_strmap_fini(&m);
}

static void test_too_many_entries_are_refused(void **state)
{
    (void)state;
    struct ft_strmap m;
    assert_int_equal(ft_strmap_init(&m, (size_t)FT_STRMAP_ENTRIES_MAX + 1), FT_ELIMIT);
    ft_strmap_fini(&m);
}

static void test_hash_depends_on_every_byte_and_the_length(void **state)
{
    (void)state;
    unsigned char data[32] = {0};
    for (size_t n = 0; n < sizeof data; n++) {
        uint64_t h = ft_hash_bytes(data, n);
        assert_true(h == ft_hash_bytes(data, n));
        assert_true(h != ft_hash_bytes(data, n + 1));
        for (size_t i = 0; i < n; i++) {
            data[i] ^= 0x80;
            uint64_t other = ft_hash_bytes(data, n);
            data[i] ^= 0x80;
            int flipped = __builtin_popcountll(h ^ other);
            assert_in_range(flipped, 8, 56); /* 32 of 64 expected; outside is one in 10^9 */
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_zeroed_map_is_empty),
        cmocka_unit_test(test_keys_are_bytes_with_a_length),
        cmocka_unit_test(test_grows_and_keeps_everything),
        cmocka_unit_test(test_expected_entries_need_no_growth),
        cmocka_unit_test(test_too_many_entries_are_refused),
        cmocka_unit_test(test_hash_depends_on_every_byte_and_the_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
