/* Stop strings: found wherever the text is split, nothing of them given out, nothing else held for
 * long. */
#include "testing.h"

#include "base/rand.h"
#include "engine/core/stop.h"

static struct ft_stops stops;

static void compile(const char *const *text, int n)
{
    struct ft_slice s[FT_REQUEST_STOPS_MAX];
    struct ft_err err;
    for (int i = 0; i < n; i++)
        s[i] = (struct ft_slice){text[i], strlen(text[i])};
    assert_int_equal(ft_stops_compile(s, n, &stops, &err), 0);
}

/* The naive answer: the first place where a string ends, the longest of those that end there. */
static int naive(const char *text, const char *const *stop, int n, size_t *ret_shown)
{
    size_t len = strlen(text);
    for (size_t end = 1; end <= len; end++) {
        int hit = -1;
        for (int i = 0; i < n; i++) {
            size_t k = strlen(stop[i]);
            if (k <= end && memcmp(text + end - k, stop[i], k) == 0 &&
                (hit < 0 || k > strlen(stop[hit])))
                hit = i;
        }
        if (hit >= 0) {
            *ret_shown = end - strlen(stop[hit]);
            return hit;
        }
    }
    *ret_shown = len;
    return -1;
}

/* cuts: bit i set: the text is split before byte i + 1. */
static void check(const char *text, const char *const *stop, int n, uint64_t cuts)
{
    struct ft_stop_scan scan = {0};
    struct ft_buf out;
    ft_buf_init(&out, 4096);
    size_t len = strlen(text), from = 0, want;
    int hit = -1, expect = naive(text, stop, n, &want);
    for (size_t i = 1; i <= len && hit < 0; i++) {
        if (i < len && !(cuts >> ((i - 1) % 64) & 1))
            continue;
        hit = ft_stop_push(&stops, &scan, text + from, i - from, &out);
        from = i;
    }
    if (hit < 0)
        ft_stop_finish(&scan, &out);
    assert_int_equal(hit, expect);
    assert_int_equal(out.len, want);
    if (want > 0)
        assert_memory_equal(out.data, text, want);
    ft_buf_fini(&out);
}

static void all_split_points_give_the_same(void **state)
{
    (void)state;
    static const char *const stop[] = {"\n\n", "END", "aab", "<|x|>", "bENDc"};
    static const char *const texts[] = {"hello END more", "a\nb\n\nc",  "aaab", "aaaaaaaaab!",
                                        "xEN DEND",       "<|x<|x|>",   "b",    "bENDc",
                                        "bbENbEND",       "no stop <|", ""};
    compile(stop, 5);
    for (size_t t = 0; t < FT_COUNT(texts); t++) {
        size_t n = strlen(texts[t]);
        for (uint64_t cuts = 0; cuts < 1u << (n > 0 ? n - 1 : 0); cuts++)
            check(texts[t], stop, 5, cuts);
    }
}

static void random_texts_agree_with_the_naive_search(void **state)
{
    (void)state;
    for (uint64_t round = 0; round < 3000; round++) {
        char text[65], buf[4][8];
        const char *stop[4];
        for (int i = 0; i < 4; i++) {
            size_t n = 1 + ft_rand_u64(round, 1, (uint64_t)i) % 6;
            for (size_t j = 0; j < n; j++)
                buf[i][j] = (char)('a' + ft_rand_u64(round, (uint64_t)i + 10, j) % 2);
            buf[i][n] = '\0';
            stop[i] = buf[i];
        }
        for (size_t j = 0; j < 64; j++)
            text[j] = (char)('a' + ft_rand_u64(round, 2, j) % 7 / 3);
        text[ft_rand_u64(round, 3, 0) % 65] = '\0';
        compile(stop, 4);
        check(text, stop, 4, ft_rand_u64(round, 4, 0));
        check(text, stop, 4, ~0ull);
    }
}

static void text_that_cannot_become_a_stop_string_is_free_at_once(void **state)
{
    (void)state;
    static const char *const stop[] = {"STOP"};
    compile(stop, 1);
    struct ft_stop_scan scan = {0};
    struct ft_buf out;
    ft_buf_init(&out, 4096);
    assert_int_equal(ft_stop_push(&stops, &scan, "abcS", 4, &out), -1);
    assert_int_equal(out.len, 3);
    ft_stop_push(&stops, &scan, "T", 1, &out);
    assert_int_equal(out.len, 3);
    ft_stop_push(&stops, &scan, "x", 1, &out);
    assert_int_equal(out.len, 6);
    ft_buf_fini(&out);
}

static void bad_strings_are_refused(void **state)
{
    (void)state;
    struct ft_err err;
    static char big[FT_REQUEST_STOP_BYTES + 1];
    memset(big, 'x', sizeof big);
    struct ft_slice s[2] = {{"ok", 2}, {"", 0}};
    assert_int_equal(ft_stops_compile(s, 2, &stops, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "stop[1]"));
    s[1] = (struct ft_slice){big, sizeof big};
    assert_int_equal(ft_stops_compile(s, 2, &stops, &err), FT_EINVAL);
    s[1] = (struct ft_slice){"\xff", 1};
    assert_int_equal(ft_stops_compile(s, 2, &stops, &err), FT_EINVAL);
    assert_int_equal(ft_stops_compile(s, FT_REQUEST_STOPS_MAX + 1, &stops, &err), FT_EINVAL);
    s[1] = (struct ft_slice){big, sizeof big - 1};
    assert_int_equal(ft_stops_compile(s, 2, &stops, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_split_points_give_the_same),
        cmocka_unit_test(random_texts_agree_with_the_naive_search),
        cmocka_unit_test(text_that_cannot_become_a_stop_string_is_free_at_once),
        cmocka_unit_test(bad_strings_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
