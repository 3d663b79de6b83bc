/* Admission: rates, places, budgets, what clients are told; settling; warnings. */
#include "unit/tenant/rows.h"

#define SECOND 1000000000LL

static struct ft_tenant *open_with(const char *project, const char *more_key)
{
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p", project);
    key(t, "k", "p", "s", more_key);
    return t;
}

static struct ft_tenant_limits limits; /* of the last ask */
static struct ft_err refusal;

static enum ft_tenant_why ask(struct ft_tenant *t, int64_t now_ns, int64_t now_s, int64_t tokens,
                              int64_t nanos, struct ft_tenant_lease *lease)
{
    struct ft_tenant_ident *i = NULL;
    assert_int_equal(login_at(t, "s", now_s, &i), FT_WHY_OK);
    struct ft_tenant_ask a = {now_ns, now_s, tokens, nanos};
    *lease = (struct ft_tenant_lease){.tenant = NULL};
    int rc = ft_tenant_admit(t, i, &a, lease, &limits, &refusal);
    assert_int_equal(rc == 0, limits.why == FT_WHY_OK);
    assert_int_equal(rc == 0, lease->ident != NULL);
    ft_tenant_ident_unref(i);
    return limits.why;
}

static enum ft_tenant_why ask_once(struct ft_tenant *t, int64_t now_ns, int64_t tokens)
{
    struct ft_tenant_lease lease;
    enum ft_tenant_why why = ask(t, now_ns, NOW_S, tokens, 0, &lease);
    ft_tenant_settle(&lease, NOW_S, tokens, 0);
    return why;
}

static void test_requests_a_minute(void **state)
{
    (void)state;
    struct ft_tenant *t = open_with("{\"limits\":{\"rpm\":6}}", "");
    for (int i = 0; i < 6; i++) {
        assert_int_equal(ask_once(t, SECOND, 1), FT_WHY_OK);
        assert_int_equal(limits.requests.limit, 6);
        assert_int_equal(limits.requests.remaining, 5 - i);
        assert_in_range(limits.requests.reset_ms, 10000 * (i + 1), 10000 * (i + 1) + 1);
        assert_int_equal(limits.tokens.limit, 0);
    }
    assert_int_equal(ask_once(t, SECOND, 1), FT_WHY_REQUESTS);
    assert_true(limits.by_project);
    assert_in_range(limits.retry_after_ms, 10000, 10001);
    assert_int_equal(refusal.code, FT_EBUSY);
    assert_non_null(
        strstr(refusal.msg, "requests per min (RPM): Limit 6. Please try again in 11s"));
    assert_int_equal(ask_once(t, SECOND + 9 * SECOND, 1), FT_WHY_REQUESTS);
    assert_int_equal(ask_once(t, SECOND + 10 * SECOND, 1), FT_WHY_OK); /* one every ten seconds */
    assert_int_equal(ask_once(t, SECOND + 10 * SECOND, 1), FT_WHY_REQUESTS);
    for (int i = 0; i < 6; i++) /* never more than a minute's */
        assert_int_equal(ask_once(t, 3600 * SECOND, 1), FT_WHY_OK);
    assert_int_equal(ask_once(t, 3600 * SECOND, 1), FT_WHY_REQUESTS);
    ft_tenant_close(t);
}

/* A limit of none is for ever: nobody is told to wait for it. */
static void test_limits_of_none_are_final(void **state)
{
    (void)state;
    static const char *const none[] = {"rpm", "concurrency"};
    for (size_t i = 0; i < FT_COUNT(none); i++) {
        char project[64];
        snprintf(project, sizeof project, "{\"limits\":{\"%s\":0}}", none[i]);
        struct ft_tenant *t = open_with(project, "");
        assert_int_equal(ask_once(t, SECOND, 1), i == 0 ? FT_WHY_REQUESTS : FT_WHY_CONCURRENCY);
        assert_int_equal(limits.retry_after_ms, 0);
        assert_int_equal(refusal.code, FT_ELIMIT);
        assert_non_null(strstr(refusal.msg, "This project may make no requests: its limit of "));
        ft_tenant_close(t);
    }
}

static void test_tokens_are_settled_to_what_they_were(void **state)
{
    (void)state;
    struct ft_tenant *t = open_with("{}", ",\"limits\":{\"tpm\":1000}");
    struct ft_tenant_lease a, b;
    assert_int_equal(ask(t, SECOND, NOW_S, 700, 0, &a), FT_WHY_OK);
    assert_int_equal(limits.tokens.remaining, 300);
    assert_int_equal(ask(t, SECOND, NOW_S, 301, 0, &b), FT_WHY_TOKENS);
    assert_false(limits.by_project);
    assert_int_equal(limits.tokens.remaining, 300); /* a refused one takes nothing */
    ft_tenant_settle(&a, NOW_S, 100, 0);
    assert_int_equal(ask(t, SECOND, NOW_S, 301, 0, &b), FT_WHY_OK);
    assert_int_equal(limits.tokens.remaining, 599);
    ft_tenant_settle(&b, NOW_S, 1500, 0); /* more than was estimated: the next ones wait for it */
    assert_int_equal(ask_once(t, SECOND, 1), FT_WHY_TOKENS);
    assert_int_equal(limits.tokens.remaining, 0);
    assert_in_range(limits.retry_after_ms, 36000, 36100); /* 600 below 0, 1 wanted */
    ft_tenant_settle(&b, NOW_S, 1500, 0);                 /* a lease is settled once */
    assert_int_equal(ask_once(t, SECOND + 37 * SECOND, 1), FT_WHY_OK);
    assert_int_equal(ask_once(t, 100 * SECOND, 1001), FT_WHY_TOO_LARGE);
    assert_int_equal(limits.retry_after_ms, 0);
    assert_int_equal(ask_once(t, 1000 * SECOND, 1000), FT_WHY_OK);
    ft_tenant_close(t);
}

static void test_places_of_key_and_project(void **state)
{
    (void)state;
    struct ft_tenant *t = open_with("{\"limits\":{\"concurrency\":2},\"weight\":2.5}",
                                    ",\"limits\":{\"concurrency\":1}");
    struct ft_tenant_lease a, b;
    assert_int_equal(ask(t, 1, NOW_S, 1, 0, &a), FT_WHY_OK);
    assert_true(a.weight == 2.5f);
    assert_int_equal(ask(t, 1, NOW_S, 1, 0, &b), FT_WHY_CONCURRENCY);
    assert_false(limits.by_project);
    key(t, "k", "p", "s", ",\"limits\":{\"concurrency\":5}"); /* in force at once */
    assert_int_equal(ask(t, 1, NOW_S, 1, 0, &b), FT_WHY_OK);
    struct ft_tenant_lease c;
    assert_int_equal(ask(t, 1, NOW_S, 1, 0, &c), FT_WHY_CONCURRENCY);
    assert_true(limits.by_project);
    ft_tenant_settle(&a, NOW_S, 0, 0);
    assert_int_equal(ask(t, 1, NOW_S, 1, 0, &c), FT_WHY_OK);
    ft_tenant_settle(&b, NOW_S, 0, 0);
    ft_tenant_settle(&c, NOW_S, 0, 0);
    ft_tenant_close(t);
}

static void test_a_changed_limit_counts_what_was_used(void **state)
{
    (void)state;
    struct ft_tenant *t = open_with("{\"limits\":{\"rpm\":10}}", "");
    for (int i = 0; i < 8; i++)
        assert_int_equal(ask_once(t, 5, 1), FT_WHY_OK);
    row(t, "project", "p", "{\"limits\":{\"rpm\":9}}");
    assert_int_equal(ask_once(t, 5, 1), FT_WHY_OK);
    assert_int_equal(ask_once(t, 5, 1), FT_WHY_REQUESTS);
    row(t, "project", "p", "{\"limits\":{\"rpm\":11}}");
    assert_int_equal(ask_once(t, 5, 1), FT_WHY_OK);
    assert_int_equal(ask_once(t, 5, 1), FT_WHY_OK);
    assert_int_equal(ask_once(t, 5, 1), FT_WHY_REQUESTS);
    row(t, "project", "p", "{\"limits\":{\"rpm\":0}}");
    assert_int_equal(ask_once(t, 1000 * SECOND, 1), FT_WHY_REQUESTS);
    row(t, "project", "p", "{}");
    assert_int_equal(ask_once(t, 1000 * SECOND, 1), FT_WHY_OK);
    ft_tenant_close(t);
}

static void test_overspend_is_at_most_one_reservation(void **state)
{
    (void)state;
    struct ft_tenant *t = open_with("{\"budget\":{\"day\":\"0.000001\"}}", ""); /* 1000 nanos */
    struct ft_tenant_lease lease[20];
    int n = 0;
    while (n < 20 && ask(t, 1, NOW_S, 1, 300, &lease[n]) == FT_WHY_OK)
        n++;
    assert_int_equal(n, 4); /* 0, 300, 600, 900 reserved before */
    assert_int_equal(limits.why, FT_WHY_BUDGET_DAY);
    assert_int_equal(refusal.code, FT_ELIMIT);
    assert_non_null(strstr(refusal.msg, "budget of 0.000001")); /* also what is below a cent */
    assert_string_equal(ft_tenant_why_code(limits.why), "insufficient_quota");
    assert_int_equal(ft_tenant_why_status(limits.why), 429);
    for (int i = 0; i < n; i++)
        ft_tenant_settle(&lease[i], NOW_S, 1, 249); /* 996 */
    assert_int_equal(ask(t, 1, NOW_S, 1, 300, &lease[0]), FT_WHY_OK);
    assert_int_equal(ask(t, 1, NOW_S, 1, 300, &lease[1]), FT_WHY_BUDGET_DAY);
    ft_tenant_settle(&lease[0], NOW_S, 1, 300);
    assert_int_equal(ask(t, 1, NOW_S + 86399, 1, 300, &lease[1]), FT_WHY_BUDGET_DAY);
    assert_int_equal(limits.retry_after_ms, 1000);
    assert_int_equal(ask(t, 1, NOW_S + 86400, 1, 300, &lease[1]), FT_WHY_OK); /* another day */
    ft_tenant_settle(&lease[1], NOW_S + 86400, 1, 300);
    row(t, "project", "p", "{\"budget\":{\"month\":\"0.000002\"}}");
    assert_int_equal(ask(t, 1, NOW_S + 86400, 1, 700, &lease[1]), FT_WHY_OK);
    ft_tenant_settle(&lease[1], NOW_S + 86400, 1, 404); /* 996 + 300 + 300 + 404 */
    assert_int_equal(ask(t, 1, NOW_S + 30 * 86400, 1, 1, &lease[1]), FT_WHY_BUDGET_MONTH);
    assert_int_equal(limits.retry_after_ms, 86400000);
    assert_int_equal(ask(t, 1, NOW_S + 31 * 86400, 1, 1, &lease[1]), FT_WHY_OK); /* February */
    ft_tenant_settle(&lease[1], NOW_S, 1, 1);
    row(t, "project", "p", "{\"budget\":{\"day\":\"0\"}}");
    assert_int_equal(ask(t, 1, NOW_S + 31 * 86400, 1, 0, &lease[1]), FT_WHY_BUDGET_DAY);
    ft_tenant_close(t);
}

struct seen {
    int n;
    struct ft_tenant_warning w[16];
    char id[16][8];
};

static void on_warning(void *ctx, const struct ft_tenant_warning *w)
{
    struct seen *s = ctx;
    assert_true(s->n < 16);
    snprintf(s->id[s->n], sizeof s->id[0], "%s", w->id);
    s->w[s->n++] = *w;
}

static void spend(struct ft_tenant *t, int64_t now_s, int64_t nanos)
{
    struct ft_tenant_lease lease;
    assert_int_equal(ask(t, 1, now_s, 1, nanos, &lease), FT_WHY_OK);
    ft_tenant_settle(&lease, now_s, 1, nanos);
}

static void test_each_threshold_warns_once_a_period(void **state)
{
    (void)state;
    struct seen s = {0};
    struct ft_tenant *t = open_with("{\"budget\":{\"day\":\"0.000001\",\"warn\":[0.5,0.8]}}",
                                    ",\"budget\":{\"month\":\"9\"}");
    ft_tenant_on_warning(t, on_warning, &s);
    spend(t, NOW_S, 499);
    assert_int_equal(s.n, 0);
    spend(t, NOW_S, 1);
    assert_int_equal(s.n, 1);
    assert_int_equal(s.w[0].scope, FT_SCOPE_PROJECT);
    assert_string_equal(s.id[0], "p");
    assert_true(!s.w[0].month && s.w[0].fraction == 0.5);
    assert_int_equal(s.w[0].spent_nanos, 500);
    assert_int_equal(s.w[0].budget_nanos, 1000);
    spend(t, NOW_S, 10);
    assert_int_equal(s.n, 1);
    spend(t, NOW_S, 600); /* two at once */
    assert_int_equal(s.n, 3);
    assert_true(s.w[1].fraction == 0.8 && s.w[2].fraction == 1);
    spend(t, NOW_S + 86400, 800);
    assert_int_equal(s.n, 5);
    row(t, "project", "p", "{\"name\":\"x\",\"budget\":{\"day\":\"0.000001\",\"warn\":[0.5,0.8]}}");
    spend(t, NOW_S + 86400, 1);
    assert_int_equal(s.n, 5); /* the same budget */
    row(t, "project", "p", "{\"budget\":{\"day\":\"0.000002\",\"warn\":[0.4]}}");
    spend(t, NOW_S + 86400, 1);
    assert_int_equal(s.n, 6); /* another one */
    ft_tenant_close(t);
}

static void on_spend(void *ctx, enum ft_tenant_scope scope, const char *id, int64_t day,
                     int64_t month)
{
    char line[96];
    snprintf(line, sizeof line, "%d %s %lld %lld;", (int)scope, id, (long long)day,
             (long long)month);
    strcat(ctx, line);
}

static void test_spend_known_from_before_counts(void **state)
{
    (void)state;
    struct seen s = {0};
    struct ft_err err;
    struct ft_tenant_lease lease;
    struct ft_tenant *t = open_tenant();
    ft_tenant_on_warning(t, on_warning, &s);
    int64_t now = NOW_S + 5 * 86400;
    /* before the rows have come */
    assert_int_equal(ft_tenant_spend_set(t, FT_SCOPE_PROJECT, "p", now, 900, 5000, &err), 0);
    row(t, "project", "p", "{\"budget\":{\"day\":\"0.000001\",\"warn\":[0.8]}}");
    key(t, "k", "p", "s", "");
    assert_int_equal(ft_tenant_spend_set(t, FT_SCOPE_PROJECT, "p", now, 850, 5100, &err), 0);
    assert_int_equal(ft_tenant_spend_add(t, "p", "k", now, now - 86400, 70, &err), 0);
    assert_int_equal(s.n, 0); /* 0.8 was passed before: whoever knew of it has warned */
    char all[512] = "";
    ft_tenant_spend_each(t, now, on_spend, all);
    assert_string_equal(all, "0 p 850 5170;1 k 0 70;");
    assert_int_equal(ft_tenant_spend_add(t, "p", "k", now, now, 149, &err), 0);
    assert_int_equal(ask(t, 1, now, 1, 5, &lease), FT_WHY_OK);
    ft_tenant_settle(&lease, now, 1, 1);
    assert_int_equal(s.n, 1);
    assert_true(s.w[0].fraction == 1);
    assert_int_equal(ask(t, 1, now, 1, 5, &lease), FT_WHY_BUDGET_DAY);
    all[0] = '\0';
    ft_tenant_spend_each(t, now + 40 * 86400, on_spend, all);
    assert_string_equal(all, "");
    ft_tenant_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests_a_minute),
        cmocka_unit_test(test_limits_of_none_are_final),
        cmocka_unit_test(test_tokens_are_settled_to_what_they_were),
        cmocka_unit_test(test_places_of_key_and_project),
        cmocka_unit_test(test_a_changed_limit_counts_what_was_used),
        cmocka_unit_test(test_overspend_is_at_most_one_reservation),
        cmocka_unit_test(test_each_threshold_warns_once_a_period),
        cmocka_unit_test(test_spend_known_from_before_counts),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
