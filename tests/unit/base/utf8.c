/* UTF-8: every scalar value round-trips, everything else is refused, cut-off tails are found. */
#include "testing.h"

#include "base/utf8.h"

static void test_every_scalar_value_round_trips(void **state)
{
    (void)state;
    for (uint32_t cp = 0; cp <= 0x10ffff; cp++) {
        char s[FT_UTF8_BYTES_MAX];
        uint32_t back = 0xffffffff;
        int n = ft_utf8_encode(cp, s);
        if (cp >= 0xd800 && cp <= 0xdfff) {
            assert_int_equal(n, 0);
            continue;
        }
        if (n != (cp < 0x80 ? 1 : cp < 0x800 ? 2 : cp < 0x10000 ? 3 : 4))
            fail_msg("U+%04X has length %d", cp, n);
        if (ft_utf8_decode(s, (size_t)n, &back) != n || back != cp)
            fail_msg("U+%04X comes back as U+%04X", cp, back);
        for (int cut = 1; cut < n; cut++) {
            if (ft_utf8_decode(s, (size_t)cut, NULL) != 0)
                fail_msg("U+%04X is decoded from %d bytes", cp, cut);
            if (ft_utf8_tail(s, (size_t)cut) != (size_t)cut)
                fail_msg("U+%04X cut to %d: tail %zu", cp, cut, ft_utf8_tail(s, (size_t)cut));
        }
        if (ft_utf8_tail(s, (size_t)n) != 0)
            fail_msg("U+%04X whole has a tail", cp);
    }
    char s[FT_UTF8_BYTES_MAX];
    assert_int_equal(ft_utf8_encode(0x110000, s), 0);
    assert_int_equal(ft_utf8_encode(0xffffffff, s), 0);
}

static void test_what_is_not_utf8_is_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "\x80",
        "\xbf",
        "\xc0\x80",
        "\xc1\xbf",
        "\xe0\x80\x80",
        "\xe0\x9f\xbf",
        "\xed\xa0\x80",
        "\xed\xbf\xbf",
        "\xf0\x80\x80\x80",
        "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80",
        "\xf5\x80\x80\x80",
        "\xff",
        "\xc3(",
        "\xe2\x82(",
        "\xf0\x9f\x98(",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(ft_utf8_decode(bad[i], strlen(bad[i]), NULL), 0);
        assert_false(ft_utf8_valid(bad[i], strlen(bad[i])));
    }
    assert_int_equal(ft_utf8_decode("", 0, NULL), 0);
    assert_true(ft_utf8_valid("", 0));
    assert_true(ft_utf8_valid("a\0\xe2\x82\xac\xf0\x9f\x98\x80", 9));
    assert_int_equal(ft_utf8_valid_len("ab\xe2\x82", 4), 2);
    assert_int_equal(ft_utf8_valid_len("ab\xe2\x82\xac\xff", 6), 5);
}

static void test_a_tail_is_only_what_can_be_completed(void **state)
{
    (void)state;
    assert_int_equal(ft_utf8_tail("", 0), 0);
    assert_int_equal(ft_utf8_tail("abc", 3), 0);
    assert_int_equal(ft_utf8_tail("abc\xe2\x82", 5), 2);
    assert_int_equal(ft_utf8_tail("\xf0\x9f\x98", 3), 3);
    assert_int_equal(ft_utf8_tail("\xed\xa0", 2), 0); /* would be a surrogate */
    assert_int_equal(ft_utf8_tail("\xe0\x80", 2), 0); /* would be overlong */
    assert_int_equal(ft_utf8_tail("\x80\x80\x80", 3), 0);
    assert_int_equal(ft_utf8_tail("\xff", 1), 0);
    assert_int_equal(ft_utf8_tail("\xc3\xa9\xc3", 3), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_scalar_value_round_trips),
        cmocka_unit_test(test_what_is_not_utf8_is_refused),
        cmocka_unit_test(test_a_tail_is_only_what_can_be_completed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
