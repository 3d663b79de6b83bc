/* Small readers of text: patterns of names, decimal strings. */
#include "testing.h"

#include "base/decimal.h"
#include "base/err.h"
#include "base/glob.h"

static void test_a_star_is_any_run(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *text;
        bool match;
    } cases[] = {
        {"*", "", true},          {"*", "abc", true},      {"", "", true},
        {"", "a", false},         {"abc", "abc", true},    {"abc", "abcd", false},
        {"abcd", "abc", false},   {"a*c", "ac", true},     {"a*c", "abcbc", true},
        {"a*c", "abcb", false},   {"*b*", "abc", true},    {"**", "x", true},
        {"a**", "a", true},       {"a?c", "abc", false},   {"qwen*b", "qwen3-0.6b", true},
        {"*a*b*a", "abba", true}, {"*aab", "aaaab", true}, {"*ab*", "ba", false},
        {"x*", "*x", false},      {"\\*", "\\abc", true},
    };
    for (size_t i = 0; i < FT_COUNT(cases); i++)
        if (ft_glob_match(cases[i].pattern, cases[i].text) != cases[i].match)
            fail_msg("%s on %s", cases[i].pattern, cases[i].text);
}

static void test_decimals_are_exact_or_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int decimals;
        int64_t value; /* -1: refused */
    } cases[] = {
        {"0", 3, 0},
        {"1", 3, 1000},
        {"0.15", 3, 150},
        {"12.500", 3, 12500},
        {"0.001", 3, 1},
        {"0.0001", 3, -1},
        {"1.0000", 3, -1},
        {"", 3, -1},
        {".5", 3, -1},
        {"5.", 3, -1},
        {"-1", 3, -1},
        {"+1", 3, -1},
        {"1e3", 3, -1},
        {" 1", 3, -1},
        {"1 ", 3, -1},
        {"1,5", 3, -1},
        {"1.2.3", 3, -1},
        {"0x10", 3, -1},
        {"007", 3, 7000},
        {"7.5", 0, -1},
        {"9223372036854775807", 0, INT64_MAX},
        {"9223372036854775808", 0, -1},
        {"9223372036854775.807", 3, INT64_MAX},
        {"9223372036854775.808", 3, -1},
        {"99999999999999999", 3, -1},
    };
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        int64_t value = -7;
        bool ok = ft_decimal_parse(cases[i].text, cases[i].decimals, &value);
        if (ok != (cases[i].value >= 0) || (ok ? value != cases[i].value : value != -7))
            fail_msg("\"%s\": %d, %lld", cases[i].text, (int)ok, (long long)value);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_star_is_any_run),
        cmocka_unit_test(test_decimals_are_exact_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
