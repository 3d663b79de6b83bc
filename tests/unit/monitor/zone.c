/* Offsets of time zones against libc's, rules of the years to come, quiet hours, damaged files. */
#include "monitor/zone.h"

#include <string.h>
#include <time.h>

#include "base/file.h"
#include "testing.h"

static void test_as_libc_has_them(void **state)
{
    (void)state;
    static const char *const zones[] = {
        "Europe/Berlin", "America/New_York",  "Asia/Shanghai",    "Australia/Lord_Howe",
        "Asia/Kolkata",  "America/Sao_Paulo", "Africa/Casablanca"};
    struct ft_err err = {0};
    int32_t is;
    if (access("/usr/share/zoneinfo/Europe/Berlin", R_OK) != 0)
        skip();
    for (size_t i = 0; i < FT_COUNT(zones); i++) {
        setenv("TZ", zones[i], 1);
        tzset();
        /* every 5 days and 7 hours from 1980 to 2060 */
        for (time_t t = 315532800; t < 2840140800; t += 5 * 86400 + 7 * 3600 + 13) {
            struct tm tm;
            localtime_r(&t, &tm);
            assert_int_equal(ft_zone_offset(zones[i], t, &is, &err), 0);
            if (is != tm.tm_gmtoff)
                fail_msg("%s at %lld: %d, libc has %ld", zones[i], (long long)t, is, tm.tm_gmtoff);
        }
    }
    unsetenv("TZ");
    tzset();
}

static void test_hours(void **state)
{
    (void)state;
    struct ft_err err = {0};
    bool in;
    int64_t noon = INT64_C(1700000000) / 86400 * 86400 + 12 * 3600;
    assert_int_equal(ft_zone_within("UTC", noon, 22 * 60, 7 * 60, &in, &err), 0);
    assert_false(in);
    assert_int_equal(ft_zone_within("UTC", noon + 11 * 3600, 22 * 60, 7 * 60, &in, &err), 0);
    assert_true(in);
    assert_int_equal(ft_zone_within("UTC", noon - 6 * 3600, 22 * 60, 7 * 60, &in, &err), 0);
    assert_true(in);
    assert_int_equal(ft_zone_within("UTC", noon - 5 * 3600, 22 * 60, 7 * 60, &in, &err), 0);
    assert_false(in); /* the end is not in */
    assert_int_equal(ft_zone_within("UTC", noon, 0, 0, &in, &err), 0);
    assert_true(in);
    if (access("/usr/share/zoneinfo/Asia/Shanghai", R_OK) == 0) {
        assert_int_equal(ft_zone_within("Asia/Shanghai", noon, 20 * 60, 20 * 60 + 1, &in, &err), 0);
        assert_true(in);
    }
}

static void test_names(void **state)
{
    (void)state;
    struct ft_err err = {0};
    int32_t is;
    assert_int_equal(ft_zone_offset("", 0, &is, &err), FT_EINVAL);
    assert_int_equal(ft_zone_offset("../../etc/passwd", 0, &is, &err), FT_EINVAL);
    assert_int_equal(ft_zone_offset("/etc/passwd", 0, &is, &err), FT_EINVAL);
    assert_int_equal(ft_zone_offset("Mars/Olympus", 0, &is, &err), FT_ENOTFOUND);
    assert_int_equal(ft_zone_offset("UTC", 0, &is, &err), 0);
    assert_int_equal(is, 0);
}

/* Cut anywhere and changed anywhere, a file is refused or read, never read beyond. */
static void test_damage(void **state)
{
    (void)state;
    struct ft_err err = {0};
    char *data;
    size_t n;
    int32_t is;
    if (ft_file_read("/usr/share/zoneinfo/Europe/Berlin", 1 << 20, &data, &n, &err) != 0)
        skip();
    for (size_t cut = 0; cut < n; cut++) {
        uint8_t *part = malloc(cut > 0 ? cut : 1);
        memcpy(part, data, cut);
        ft_zone_parse(part, cut, 4000000000, &is, &err);
        free(part);
    }
    for (size_t i = 0; i < n; i++) {
        char was = data[i];
        data[i] = (char)(was ^ 0x81);
        ft_zone_parse((const uint8_t *)data, n, 1700000000, &is, &err);
        ft_zone_parse((const uint8_t *)data, n, 4000000000, &is, &err);
        data[i] = was;
    }
    assert_int_equal(ft_zone_parse((const uint8_t *)data, n, 1700000000, &is, &err), 0);
    assert_int_equal(is, 3600);
    free(data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_libc_has_them),
        cmocka_unit_test(test_hours),
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_damage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
