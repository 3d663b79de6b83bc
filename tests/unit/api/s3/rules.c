/* Cross-origin rules and lifecycle rules: which one a request or an object meets, and when. */
#include <string.h>

#include "api/s3/cors.h"
#include "api/s3/lifecycle.h"
#include "testing.h"

static const struct ft_s3_cors_rule GET_RULE = {
    .origins = {{"*suffix", "start*end"}, 2}, .methods = {{"GET", "HEAD"}, 2}, .max_age_s = -1};
static const struct ft_s3_cors_rule PUT_RULE = {.origins = {{"*"}, 1},
                                                .methods = {{"PUT"}, 1},
                                                .headers = {{"x-amz-*", "Content-Type"}, 2},
                                                .max_age_s = -1};

static const char *met(const char *origin, const char *method, const char *headers)
{
    const struct ft_s3_cors_rule *rules[] = {&GET_RULE, &PUT_RULE};
    const struct ft_s3_cors cors = {rules, 2};
    const char *answer = "";
    const struct ft_s3_cors_rule *r = ft_s3_cors_find(&cors, origin, method, headers, &answer);
    return r == NULL ? "none" : answer;
}

static void test_cors(void **state)
{
    (void)state;
    assert_string_equal(met("foo.suffix", "GET", NULL), "foo.suffix");
    assert_string_equal(met("foo.suffix.get", "GET", NULL), "none");
    assert_string_equal(met("startend", "HEAD", NULL), "startend");
    assert_string_equal(met("0startend", "HEAD", NULL), "none");
    assert_string_equal(met("startend", "DELETE", NULL), "none");
    assert_string_equal(met("startend", "GET", "x-amz-date"), "none");
    assert_string_equal(met("anybody", "PUT", NULL), "*");
    assert_string_equal(met("anybody", "PUT", " X-Amz-Date ,content-type"), "*");
    assert_string_equal(met("anybody", "PUT", "x-amz-date,range"), "none");
    assert_true(ft_s3_cors_pattern_ok("http://*.x"));
    assert_false(ft_s3_cors_pattern_ok("http://*.*"));
    assert_false(ft_s3_cors_pattern_ok(""));
    assert_false(ft_s3_cors_method_ok("PATCH"));
    struct ft_buf b;
    ft_buf_init(&b, 100);
    ft_s3_cors_join(&GET_RULE.methods, &b);
    assert_string_equal(b.data, "GET, HEAD");
    ft_buf_fini(&b);
}

#define DAY ((int64_t)FT_S3_DAY_S)
static const struct ft_s3_rule PLAIN = {
    .id = "r", .enabled = true, .size_more = -1, .size_less = -1, .date_s = -1};

static bool due(struct ft_s3_rule r, struct ft_s3_version v, int64_t now_s, int64_t day_s)
{
    const struct ft_s3_rule *rules[] = {&r};
    const struct ft_s3_lifecycle l = {rules, 1};
    return ft_s3_lifecycle_due(&l, &v, now_s, day_s);
}

static void test_days(void **state)
{
    (void)state;
    assert_int_equal(ft_s3_days_after(10 * DAY + 5, 1, DAY), 12 * DAY);
    assert_int_equal(ft_s3_days_after(10 * DAY, 1, DAY), 11 * DAY);
    assert_int_equal(ft_s3_days_after(1003, 2, 10), 1023); /* days of ten seconds: no midnights */
}

static void test_latest(void **state)
{
    (void)state;
    struct ft_blob_info info = {
        .key = "logs/a", .is_latest = true, .size = 100, .modified_ns = 1000 * 1000000000LL};
    struct ft_s3_version v = {.info = &info, .alone = true};
    struct ft_s3_rule r = PLAIN;
    r.prefix = "logs/";
    r.days = 2;
    assert_false(due(r, v, 1019, 10));
    assert_true(due(r, v, 1020, 10));
    r.enabled = false;
    assert_false(due(r, v, 5000, 10));
    r.enabled = true;
    r.prefix = "log";
    r.and_prefix = "logs/b";
    assert_false(due(r, v, 5000, 10));
    r.and_prefix = NULL;
    r.size_more = 100;
    assert_false(due(r, v, 5000, 10));
    r.size_more = 99;
    assert_true(due(r, v, 5000, 10));
    r.size_less = 100;
    assert_false(due(r, v, 5000, 10));
    r = PLAIN;
    r.date_s = 3000;
    assert_false(due(r, v, 2999, 10));
    assert_true(due(r, v, 3000, 10));
}

static void test_tags(void **state)
{
    (void)state;
    const struct ft_blob_field tags[] = {{"a", "1"}, {"b", "2"}};
    struct ft_blob_info info = {.key = "k", .is_latest = true, .tags = tags, .n_tags = 2};
    struct ft_s3_version v = {.info = &info};
    struct ft_s3_rule r = PLAIN;
    r.days = 1;
    r.tags[0] = (struct ft_blob_field){"b", "2"};
    r.n_tags = 1;
    assert_true(due(r, v, 1000, 10));
    r.tags[1] = (struct ft_blob_field){"a", "2"};
    r.n_tags = 2;
    assert_false(due(r, v, 1000, 10));
    r.tags[1].value = "1";
    assert_true(due(r, v, 1000, 10));
}

static void test_noncurrent(void **state)
{
    (void)state;
    struct ft_blob_info info = {.key = "k"};
    struct ft_s3_version v = {.info = &info, .noncurrent_since_s = 1000, .noncurrent_newer = 4};
    struct ft_s3_rule r = PLAIN;
    r.days = 1;
    assert_false(due(r, v, 9000, 10)); /* speaks of the latest alone */
    r.noncurrent_days = 3;
    assert_false(due(r, v, 1029, 10));
    assert_true(due(r, v, 1030, 10));
    r.noncurrent_keep = 5;
    assert_false(due(r, v, 1030, 10));
    v.noncurrent_newer = 5;
    assert_true(due(r, v, 1030, 10));
}

static void test_markers(void **state)
{
    (void)state;
    struct ft_blob_info info = {.key = "k", .is_latest = true, .is_marker = true};
    struct ft_s3_version v = {.info = &info};
    struct ft_s3_rule lone = PLAIN, days = PLAIN;
    lone.lone_markers = true;
    days.days = 2;
    assert_false(due(lone, v, 100, 10));
    assert_false(due(days, v, 100, 10)); /* what it hides is still there */
    v.alone = true;
    assert_true(due(lone, v, 0, 10));
    assert_false(due(days, v, 19, 10));
    assert_true(due(days, v, 20, 10));
    struct ft_blob_info object = {.key = "k", .is_latest = true};
    v.info = &object;
    assert_false(due(lone, v, 100, 10));
}

static void test_uploads_and_expires(void **state)
{
    (void)state;
    struct ft_s3_rule a = PLAIN, b = PLAIN, c = PLAIN;
    a.abort_days = 2;
    a.prefix = "t/";
    b.id = "late";
    b.days = 5;
    c.id = "soon";
    c.days = 1;
    const struct ft_s3_rule *rules[] = {&a, &b, &c};
    const struct ft_s3_lifecycle l = {rules, 3};
    assert_true(ft_s3_lifecycle_upload_due(&l, "t/x", 100, 120, 10));
    assert_false(ft_s3_lifecycle_upload_due(&l, "t/x", 100, 119, 10));
    assert_false(ft_s3_lifecycle_upload_due(&l, "x", 100, 500, 10));
    struct ft_blob_info info = {.key = "k", .is_latest = true, .modified_ns = 1000000000};
    int64_t at = 0;
    assert_string_equal(ft_s3_lifecycle_expires(&l, &info, &at)->id, "soon");
    assert_int_equal(at, 2 * DAY);
}

static void test_checks(void **state)
{
    (void)state;
    struct ft_s3_rule r = PLAIN;
    char id[FT_S3_RULE_ID_MAX + 2];
    memset(id, 'a', sizeof(id) - 1);
    id[sizeof(id) - 1] = '\0';
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL); /* does nothing */
    r.days = 1;
    assert_int_equal(ft_s3_rule_check(&r, NULL), 0);
    r.id = id;
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL);
    r = PLAIN;
    r.date_s = DAY;
    assert_int_equal(ft_s3_rule_check(&r, NULL), 0);
    r.date_s = DAY + 1;
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL);
    r.date_s = DAY;
    r.days = 1;
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL);
    r = PLAIN;
    r.abort_days = 1;
    r.size_more = 1;
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL);
    r = PLAIN;
    r.days = 1;
    r.size_more = 5;
    r.size_less = 5;
    assert_int_equal(ft_s3_rule_check(&r, NULL), FT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_days),
        cmocka_unit_test(test_latest),
        cmocka_unit_test(test_tags),
        cmocka_unit_test(test_noncurrent),
        cmocka_unit_test(test_markers),
        cmocka_unit_test(test_uploads_and_expires),
        cmocka_unit_test(test_checks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
