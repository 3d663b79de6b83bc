/* Sessions: a secret that stands for a key, as long as both are there. */
#include "unit/tenant/rows.h"

static enum ft_tenant_why show(struct ft_tenant *t, const char *secret, int64_t now_s,
                               struct ft_tenant_ident **ret)
{
    struct ft_tenant_session s;
    enum ft_tenant_why why;
    struct ft_err err;
    *ret = NULL;
    int rc = ft_tenant_session(t, secret, strlen(secret), now_s, ret, &s, &why, &err);
    assert_int_equal(rc == 0, why == FT_WHY_OK);
    assert_int_equal(rc == 0, *ret != NULL);
    return why;
}

static enum ft_tenant_why why_not(struct ft_tenant *t, const char *secret, int64_t now_s)
{
    struct ft_tenant_ident *i;
    enum ft_tenant_why why = show(t, secret, now_s, &i);
    ft_tenant_ident_unref(i);
    return why;
}

static void test_a_session_is_its_key(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    struct ft_tenant_ident *i, *k;
    row(t, "project", "p1", "{}");
    session(t, "s1", "key_1", "se-1", NOW_S + 100, ""); /* may come before its key */
    assert_int_equal(FT_WHY_KEY_REVOKED, why_not(t, "se-1", NOW_S));
    key(t, "key_1", "p1", "sk-1", ",\"role\":\"viewer\",\"models\":[\"a*\"]");
    assert_int_equal(FT_WHY_OK, show(t, "se-1", NOW_S, &i));
    k = login(t, "sk-1");
    assert_ptr_equal(k, i);
    ft_tenant_ident_unref(i);
    ft_tenant_ident_unref(k);
    /* neither secret is the other's */
    assert_int_equal(FT_WHY_KEY_UNKNOWN, login_at(t, "se-1", NOW_S, &i));
    assert_int_equal(FT_WHY_KEY_UNKNOWN, why_not(t, "sk-1", NOW_S));
    /* the key as it is now */
    key(t, "key_1", "p1", "sk-1", ",\"role\":\"admin\"");
    assert_int_equal(FT_WHY_OK, show(t, "se-1", NOW_S, &i));
    assert_int_equal(FT_ROLE_ADMIN, ft_tenant_ident_role(i));
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static void test_it_ends(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    row(t, "member", "m1", "{\"role\":\"developer\"}");
    key(t, "key_1", "p1", "sk-1", ",\"member\":\"m1\",\"expires\":1767225700");
    session(t, "s1", "key_1", "se-1", NOW_S + 50, "");
    assert_int_equal(FT_WHY_OK, why_not(t, "se-1", NOW_S + 49));
    assert_int_equal(FT_WHY_KEY_EXPIRED, why_not(t, "se-1", NOW_S + 50));
    session(t, "s1", "key_1", "se-1", NOW_S + 500, ""); /* renewed */
    assert_int_equal(FT_WHY_OK, why_not(t, "se-1", NOW_S + 50));
    assert_int_equal(FT_WHY_KEY_EXPIRED, why_not(t, "se-1", NOW_S + 100)); /* with its key */
    row(t, "member", "m1", NULL);
    assert_int_equal(FT_WHY_KEY_ORPHAN, why_not(t, "se-1", NOW_S));
    row(t, "member", "m1", "{\"role\":\"developer\"}");
    assert_int_equal(FT_WHY_OK, why_not(t, "se-1", NOW_S));
    session(t, "s1", "key_1", "se-1", NOW_S + 500, ",\"ended\":1767225600");
    assert_int_equal(FT_WHY_KEY_UNKNOWN, why_not(t, "se-1", NOW_S));
    session(t, "s2", "key_1", "se-2", NOW_S + 500, "");
    row(t, "key", "key_1", NULL);
    assert_int_equal(FT_WHY_KEY_REVOKED, why_not(t, "se-2", NOW_S));
    row(t, "session", "s2", NULL);
    row(t, "session", "s2", NULL);
    ft_tenant_close(t);
}

static enum ft_tenant_why admit(struct ft_tenant *t, struct ft_tenant_ident *i)
{
    struct ft_tenant_ask ask = {.now_ns = 1, .now_s = NOW_S, .tokens_estimate = 1};
    struct ft_tenant_lease lease = {.tenant = NULL};
    struct ft_tenant_limits limits;
    struct ft_err err;
    if (ft_tenant_admit(t, i, &ask, &lease, &limits, &err) == 0)
        ft_tenant_settle(&lease, NOW_S, 1, 0);
    return limits.why;
}

static void test_sessions_have_no_limits_of_their_own(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    struct ft_tenant_ident *key_1, *a, *b;
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-1", ",\"limits\":{\"rpm\":3}");
    session(t, "s1", "key_1", "se-1", NOW_S + 50, "");
    session(t, "s2", "key_1", "se-2", NOW_S + 50, "");
    key_1 = login(t, "sk-1");
    assert_int_equal(FT_WHY_OK, show(t, "se-1", NOW_S, &a));
    assert_int_equal(FT_WHY_OK, show(t, "se-2", NOW_S, &b));
    assert_int_equal(FT_WHY_OK, admit(t, a));
    assert_int_equal(FT_WHY_OK, admit(t, key_1));
    assert_int_equal(FT_WHY_OK, admit(t, b));
    assert_int_equal(FT_WHY_REQUESTS, admit(t, a));
    assert_int_equal(FT_WHY_REQUESTS, admit(t, b));
    assert_int_equal(FT_WHY_REQUESTS, admit(t, key_1));
    ft_tenant_ident_unref(a);
    ft_tenant_ident_unref(b);
    ft_tenant_ident_unref(key_1);
    ft_tenant_close(t);
}

static int64_t kept(struct ft_tenant *t)
{
    json_t *status = ft_tenant_status(t);
    int64_t n = json_integer_value(json_object_get(status, "sessions"));
    json_decref(status);
    return n;
}

static void test_expired_ones_do_not_stay(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    char id[16], secret[16];
    for (int i = 0; i < 10000; i++) { /* the clock is this machine's: all are over */
        snprintf(id, sizeof id, "s%d", i);
        snprintf(secret, sizeof secret, "se-%d", i);
        session(t, id, "key_1", secret, 1000, "");
    }
    assert_true(kept(t) < 200);
    ft_tenant_close(t);
}

static void test_a_snapshot_leaves_what_it_has(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-1", "");
    session(t, "s1", "key_1", "se-1", NOW_S + 50, "");
    session(t, "s2", "key_1", "se-2", NOW_S + 50, "");
    ft_tenant_snapshot_begin(t);
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-1", "");
    session(t, "s2", "key_1", "se-2", NOW_S + 60, "");
    ft_tenant_snapshot_end(t);
    assert_int_equal(FT_WHY_KEY_UNKNOWN, why_not(t, "se-1", NOW_S));
    assert_int_equal(FT_WHY_OK, why_not(t, "se-2", NOW_S + 55));
    assert_int_equal(1, kept(t));
    ft_tenant_close(t);
}

static void test_bad_rows_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "{}",
        "{\"parent\":\"k\"}",
        "{\"parent\":\"k\",\"expires\":0}",
        "{\"parent\":\"k\",\"expires\":9}",
        "{\"parent\":\"k\",\"expires\":9,\"hash\":\"xyz\"}",
        "{\"parent\":\"\",\"expires\":9,\"hash\":"
        "\"0000000000000000000000000000000000000000000000000000000000000000\"}",
        "[]"};
    struct ft_tenant *t = open_tenant();
    struct ft_err err;
    for (size_t i = 0; i < FT_COUNT(bad); i++)
        assert_int_equal(FT_EINVAL, try_row(t, "session", "s1", bad[i], &err));
    session(t, "s1", "key_1", "se-1", NOW_S + 50, "");
    char hex[65], body[256];
    digest_of("se-1", hex);
    snprintf(body, sizeof body, "{\"parent\":\"k\",\"expires\":9,\"hash\":\"%s\"}", hex);
    assert_int_equal(FT_EINVAL, try_row(t, "session", "s2", body, &err)); /* another's secret */
    assert_int_equal(1, kept(t));
    ft_tenant_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_a_session_is_its_key),
                                       cmocka_unit_test(test_it_ends),
                                       cmocka_unit_test(test_sessions_have_no_limits_of_their_own),
                                       cmocka_unit_test(test_expired_ones_do_not_stay),
                                       cmocka_unit_test(test_a_snapshot_leaves_what_it_has),
                                       cmocka_unit_test(test_bad_rows_are_refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
