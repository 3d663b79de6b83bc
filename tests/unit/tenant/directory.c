/* The directory: keys by their secret, rows in any order, roles, permissions, revocation. */
#include "unit/tenant/rows.h"

static enum ft_tenant_why refused(struct ft_tenant *t, const char *secret)
{
    struct ft_tenant_ident *i = (struct ft_tenant_ident *)8;
    enum ft_tenant_why why = login_at(t, secret, NOW_S, &i);
    assert_ptr_equal(i, (struct ft_tenant_ident *)8); /* untouched on failure */
    return why;
}

static void test_a_key_is_who_its_row_says(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{\"name\":\"One\"}");
    key(t, "key_1", "p1", "sk-ft-aaaa", ",\"role\":\"admin\",\"expires\":1867225600");
    key(t, "key_2", "p1", "sk-ft-bbbb", "");
    struct ft_tenant_ident *i = login(t, "sk-ft-aaaa");
    assert_string_equal(i->key, "key_1");
    assert_string_equal(i->name, "n");
    assert_string_equal(i->project, "p1");
    assert_string_equal(i->member, "");
    assert_int_equal(i->expires_s, 1867225600);
    assert_int_equal(ft_tenant_ident_role(i), FT_ROLE_ADMIN);
    ft_tenant_ident_unref(i);
    i = login(t, "sk-ft-bbbb");
    assert_string_equal(i->key, "key_2");
    assert_int_equal(ft_tenant_ident_role(i), FT_ROLE_DEVELOPER);
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
    ft_tenant_close(NULL);
}

static void test_what_is_no_key_is_refused(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-ft-aaaa", "");
    char longer[FT_TENANT_SECRET_MAX + 2];
    memset(longer, 'a', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    assert_int_equal(refused(t, ""), FT_WHY_KEY_MISSING);
    assert_int_equal(refused(t, "sk-ft-aaa"), FT_WHY_KEY_UNKNOWN);
    assert_int_equal(refused(t, "sk-ft-aaaaa"), FT_WHY_KEY_UNKNOWN);
    assert_int_equal(refused(t, "SK-FT-AAAA"), FT_WHY_KEY_UNKNOWN);
    assert_int_equal(refused(t, longer), FT_WHY_KEY_UNKNOWN);
    ft_tenant_close(t);
}

static void test_unknown_expired_and_revoked_read_the_same(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "key_1", "p1", "sk-ft-abcdefghijklmnopqrstuvwxyz", ",\"expires\":1000");
    struct ft_tenant_ident *i;
    enum ft_tenant_why why;
    struct ft_err err[3];
    const char *secret = "sk-ft-abcdefghijklmnopqrstuvwxyz";
    assert_int_equal(login_at(t, secret, 999, &i), FT_WHY_OK);
    ft_tenant_ident_unref(i);
    assert_int_equal(ft_tenant_authenticate(t, secret, strlen(secret), 1000, &i, &why, &err[0]),
                     FT_ENOTFOUND);
    assert_int_equal(why, FT_WHY_KEY_EXPIRED);
    row(t, "key", "key_1", NULL);
    ft_tenant_authenticate(t, secret, strlen(secret), 1000, &i, &why, &err[1]);
    assert_int_equal(why, FT_WHY_KEY_REVOKED);
    struct ft_tenant *other = open_tenant();
    ft_tenant_authenticate(other, secret, strlen(secret), 1000, &i, &why, &err[2]);
    assert_int_equal(why, FT_WHY_KEY_UNKNOWN);
    assert_string_equal(err[0].msg, err[1].msg);
    assert_string_equal(err[0].msg, err[2].msg);
    assert_non_null(strstr(err[0].msg, "Incorrect API key provided: sk-ft-ab********wxyz."));
    assert_null(strstr(err[0].msg, "cdef"));
    ft_tenant_authenticate(t, "\x1b[31m\r\nX-Evil: yes-and-more", 27, 1000, &i, &why, &err[0]);
    for (const char *c = err[0].msg; *c != '\0'; c++)
        assert_true(*c >= ' ' && *c < 0x7f);
    ft_tenant_close(other);
    ft_tenant_close(t);
}

static void test_rows_come_in_any_order(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    key(t, "key_1", "p1", "sk-ft-aaaa", ",\"member\":\"m1\",\"role\":\"admin\"");
    assert_int_equal(refused(t, "sk-ft-aaaa"), FT_WHY_KEY_ORPHAN);
    row(t, "project", "p1", "{}");
    assert_int_equal(refused(t, "sk-ft-aaaa"), FT_WHY_KEY_ORPHAN);
    row(t, "member", "m1", "{\"role\":\"developer\"}");
    struct ft_tenant_ident *i = login(t, "sk-ft-aaaa");
    assert_int_equal(ft_tenant_ident_role(i), FT_ROLE_DEVELOPER); /* never more than its member */
    row(t, "member", "m1", "{\"role\":\"viewer\"}");
    assert_int_equal(ft_tenant_ident_role(i), FT_ROLE_VIEWER); /* at once, also for held ones */
    row(t, "member", "m1", NULL);
    assert_int_equal(refused(t, "sk-ft-aaaa"), FT_WHY_KEY_ORPHAN);
    row(t, "member", "m1", "{\"role\":\"operator\"}");
    ft_tenant_ident_unref(login(t, "sk-ft-aaaa"));
    row(t, "project", "p1", NULL);
    assert_int_equal(refused(t, "sk-ft-aaaa"), FT_WHY_KEY_ORPHAN);
    assert_string_equal(i->project, "p1"); /* who holds it may still read it */
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static void test_a_changed_key_is_changed_at_once(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    row(t, "project", "p2", "{}");
    key(t, "key_1", "p1", "sk-ft-aaaa", "");
    struct ft_tenant_ident *old = login(t, "sk-ft-aaaa");
    key(t, "key_1", "p2", "sk-ft-rotated", "");
    assert_int_equal(refused(t, "sk-ft-aaaa"), FT_WHY_KEY_REVOKED);
    struct ft_tenant_ident *i = login(t, "sk-ft-rotated");
    assert_string_equal(i->project, "p2");
    assert_string_equal(old->project, "p1");
    ft_tenant_ident_unref(old);
    ft_tenant_ident_unref(i);
    struct ft_err err;
    assert_int_equal(try_key(t, "key_9", "p1", "sk-ft-rotated", "", &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "key_1"));
    i = login(t, "sk-ft-rotated");
    assert_string_equal(i->key, "key_1");
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static int may(struct ft_tenant_ident *i, const char *action, const char *model)
{
    enum ft_tenant_why why;
    struct ft_err err = {.msg = ""};
    int rc = ft_tenant_may(i, action, model, &why, &err);
    assert_int_equal(rc == 0, why == FT_WHY_OK);
    assert_int_equal(rc == 0, err.msg[0] == '\0');
    return (int)why;
}

static void test_scopes_and_roles_say_what_a_key_may(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "k1", "p1", "a", ",\"models\":[\"nano\",\"qwen*b\"],\"actions\":[\"chat\",\"em*\"]");
    key(t, "k2", "p1", "b", ",\"role\":\"viewer\"");
    key(t, "k3", "p1", "c", ",\"role\":\"admin\",\"models\":[]");
    struct ft_tenant_ident *i = login(t, "a");
    assert_int_equal(may(i, "chat", "nano"), FT_WHY_OK);
    assert_int_equal(may(i, "embeddings", "qwen3-0.6b"), FT_WHY_OK);
    assert_int_equal(may(i, "chat", "nano2"), FT_WHY_MODEL);
    assert_int_equal(may(i, "chat", "qwen3"), FT_WHY_MODEL);
    assert_int_equal(may(i, "chat", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "rerank", "nano"), FT_WHY_ACTION);
    assert_int_equal(may(i, "manage", NULL), FT_WHY_ACTION);
    ft_tenant_ident_unref(i);
    i = login(t, "b");
    assert_int_equal(may(i, "usage", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "models", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "chat", "nano"), FT_WHY_ACTION);
    ft_tenant_ident_unref(i);
    i = login(t, "c");
    assert_int_equal(may(i, "manage", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "chat", "nano"), FT_WHY_MODEL); /* an empty list is no model */
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static void test_an_operator_needs_no_project(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    struct ft_err err;
    assert_int_equal(try_key(t, "k", "", "root", "", &err), FT_EINVAL);
    key(t, "k", "", "root", ",\"role\":\"operator\"");
    struct ft_tenant_ident *i = login(t, "root");
    assert_string_equal(i->project, "");
    assert_int_equal(may(i, "manage", NULL), FT_WHY_OK);
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static void test_bad_rows_name_the_field_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *kind, *body, *field;
    } bad[] = {
        {"project", "[]", "object"},
        {"project", "{\"limits\":7}", "limits"},
        {"project", "{\"limits\":{\"rpm\":-1}}", "limits.rpm"},
        {"project", "{\"limits\":{\"rpm\":1.5}}", "limits.rpm"},
        {"project", "{\"limits\":{\"tpm\":1000000001}}", "limits.tpm"},
        {"project", "{\"limits\":{\"concurrency\":\"3\"}}", "limits.concurrency"},
        {"project", "{\"limits\":{\"queue\":-3}}", "limits.queue"},
        {"project", "{\"budget\":{\"day\":5}}", "budget.day"},
        {"project", "{\"budget\":{\"day\":\"-5\"}}", "budget.day"},
        {"project", "{\"budget\":{\"month\":\"1e3\"}}", "budget.month"},
        {"project", "{\"budget\":{\"month\":\"1.0000000001\"}}", "budget.month"},
        {"project", "{\"budget\":{\"warn\":[0.5,1.5]}}", "budget.warn[1]"},
        {"project", "{\"budget\":{\"warn\":\"x\"}}", "budget.warn"},
        {"project", "{\"weight\":0}", "weight"},
        {"project", "{\"weight\":\"2\"}", "weight"},
        {"member", "{}", "role"},
        {"member", "{\"role\":\"king\"}", "role"},
        {"key", "{}", "project"},
        {"key", "{\"project\":\"p\"}", "hash"},
        {"key", "{\"project\":\"p\",\"hash\":\"abc\"}", "hash"},
        {"key", "{\"project\":\"p\\u0000q\",\"hash\":\"abc\"}", "project"},
        {"setting", "17", "currency"},
    };
    struct ft_tenant *t = open_tenant();
    row(t, "project", "currency", "{}");
    key(t, "k1", "currency", "a", "");
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_err err = {.msg = ""};
        assert_int_equal(try_row(t, bad[i].kind, "currency", bad[i].body, &err), FT_EINVAL);
        if (strstr(err.msg, bad[i].field) == NULL)
            fail_msg("%s: %s", bad[i].field, err.msg);
    }
    static const char *const more[] = {
        ",\"models\":\"*\"", ",\"models\":[\"\"]", ",\"actions\":[1]", ",\"expires\":\"never\"",
        ",\"expires\":-1",   ",\"role\":7",        ",\"member\":[]",   ",\"limits\":{\"rpm\":{}}",
    };
    for (size_t i = 0; i < FT_COUNT(more); i++) {
        struct ft_err err = {.msg = ""};
        assert_int_equal(try_key(t, "k1", "currency", "a", more[i], &err), FT_EINVAL);
    }
    ft_tenant_ident_unref(login(t, "a"));
    ft_tenant_close(t);
}

static void test_a_snapshot_forgets_what_it_does_not_name(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    char id[16], secret[16];
    for (int i = 0; i < 200; i++) {
        snprintf(id, sizeof id, "p%d", i);
        row(t, "project", id, "{}");
        snprintf(secret, sizeof secret, "s%d", i);
        key(t, secret, id, secret, "");
    }
    ft_tenant_snapshot_begin(t);
    for (int i = 0; i < 200; i += 3) {
        snprintf(id, sizeof id, "p%d", i);
        row(t, "project", id, "{}");
        snprintf(secret, sizeof secret, "s%d", i);
        key(t, secret, id, secret, "");
    }
    ft_tenant_ident_unref(login(t, "s1")); /* until the snapshot is whole */
    ft_tenant_snapshot_end(t);
    for (int i = 0; i < 200; i++) {
        struct ft_tenant_ident *ident = NULL;
        snprintf(secret, sizeof secret, "s%d", i);
        assert_int_equal(login_at(t, secret, NOW_S, &ident) == FT_WHY_OK, i % 3 == 0);
        ft_tenant_ident_unref(ident);
    }
    json_t *status = ft_tenant_status(t);
    assert_int_equal(json_integer_value(json_object_get(status, "keys")), 67);
    assert_int_equal(json_integer_value(json_object_get(status, "projects")), 67);
    json_decref(status);
    ft_tenant_close(t);
}

/* Adding and removing at random beside a plain list of what should be there. */
static void test_thousands_of_keys_come_and_go(void **state)
{
    (void)state;
    enum { KEYS = 2000, STEPS = 20000 };
    static bool there[KEYS];
    memset(there, 0, sizeof there);
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p", "{}");
    uint32_t r = 1;
    for (int step = 0; step < STEPS; step++) {
        r = r * 1664525 + 1013904223;
        int k = (int)(r >> 8) % KEYS;
        char id[16];
        snprintf(id, sizeof id, "k%d", k);
        if ((r >> 4 & 3) == 0) {
            row(t, "key", id, NULL);
            there[k] = false;
        } else {
            key(t, id, "p", id, "");
            there[k] = true;
        }
        if (step % 500 != 0)
            continue;
        for (int i = 0; i < KEYS; i++) {
            struct ft_tenant_ident *ident = NULL;
            snprintf(id, sizeof id, "k%d", i);
            assert_int_equal(login_at(t, id, NOW_S, &ident) == FT_WHY_OK, there[i]);
            ft_tenant_ident_unref(ident);
        }
    }
    ft_tenant_close(t);
}

static enum ft_tenant_why find_at(struct ft_tenant *t, const char *id, int64_t now_s,
                                  struct ft_tenant_ident **ret)
{
    enum ft_tenant_why why;
    struct ft_err err = {.msg = ""};
    int rc = ft_tenant_find(t, id, now_s, ret, &why, &err);
    assert_int_equal(rc, why == FT_WHY_OK ? 0 : FT_ENOTFOUND);
    return why;
}

static void test_a_key_is_found_by_its_id(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    struct ft_tenant_ident *i = NULL;
    key(t, "key_1", "p1", "sk-ft-aaaa", ",\"expires\":1000");
    assert_int_equal(find_at(t, "key_1", 999, &i), FT_WHY_KEY_ORPHAN);
    row(t, "project", "p1", "{}");
    assert_int_equal(find_at(t, "key_1", 999, &i), FT_WHY_OK);
    assert_string_equal(i->project, "p1");
    ft_tenant_ident_unref(i);
    i = NULL;
    assert_int_equal(find_at(t, "key_1", 1000, &i), FT_WHY_KEY_EXPIRED);
    assert_int_equal(find_at(t, "sk-ft-aaaa", 999, &i), FT_WHY_KEY_UNKNOWN);
    assert_int_equal(find_at(t, "", 999, &i), FT_WHY_KEY_UNKNOWN);
    row(t, "key", "key_1", NULL);
    assert_int_equal(find_at(t, "key_1", 999, &i), FT_WHY_KEY_UNKNOWN);
    assert_null(i);
    ft_tenant_close(t);
}

static void test_viewers_read_objects_and_models_of_the_hub(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    row(t, "project", "p1", "{}");
    key(t, "k1", "p1", "a", ",\"role\":\"viewer\"");
    key(t, "k2", "p1", "b", ",\"actions\":[\"objects.*\"]");
    struct ft_tenant_ident *i = login(t, "a");
    assert_int_equal(may(i, "objects.read", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "hub.read", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "files.read", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "files", NULL), FT_WHY_ACTION);
    static const char *const no[] = {"objects.write", "hub.write", "files", "batches",
                                     "fine_tuning"};
    for (size_t k = 0; k < FT_COUNT(no); k++)
        assert_int_equal(may(i, no[k], NULL), FT_WHY_ACTION);
    ft_tenant_ident_unref(i);
    i = login(t, "b");
    assert_int_equal(may(i, "objects.write", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "hub.read", NULL), FT_WHY_ACTION);
    ft_tenant_ident_unref(i);
    key(t, "k3", "p1", "c", ",\"actions\":[\"files\",\"batches.read\"]");
    i = login(t, "c");
    assert_int_equal(may(i, "files.read", NULL), FT_WHY_OK); /* part of files */
    assert_int_equal(may(i, "batches.read", NULL), FT_WHY_OK);
    assert_int_equal(may(i, "batches", NULL), FT_WHY_ACTION);
    ft_tenant_ident_unref(i);
    ft_tenant_close(t);
}

static void test_a_project_may_be_told_how_much_it_keeps(void **state)
{
    (void)state;
    struct ft_tenant *t = open_tenant();
    struct ft_err err;
    assert_int_equal(ft_tenant_storage_max(t, "p1"), -1);
    row(t, "project", "p1", "{\"limits\":{\"rpm\":3}}");
    assert_int_equal(ft_tenant_storage_max(t, "p1"), -1);
    row(t, "project", "p1", "{\"limits\":{\"storage_bytes\":1099511627776}}");
    assert_int_equal(ft_tenant_storage_max(t, "p1"), 1099511627776);
    row(t, "project", "p1", "{\"limits\":{\"storage_bytes\":0}}");
    assert_int_equal(ft_tenant_storage_max(t, "p1"), 0);
    assert_int_equal(try_row(t, "project", "p1", "{\"limits\":{\"storage_bytes\":-1}}", &err),
                     FT_EINVAL);
    assert_non_null(strstr(err.msg, "storage_bytes"));
    ft_tenant_close(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_key_is_who_its_row_says),
        cmocka_unit_test(test_what_is_no_key_is_refused),
        cmocka_unit_test(test_unknown_expired_and_revoked_read_the_same),
        cmocka_unit_test(test_rows_come_in_any_order),
        cmocka_unit_test(test_a_changed_key_is_changed_at_once),
        cmocka_unit_test(test_scopes_and_roles_say_what_a_key_may),
        cmocka_unit_test(test_an_operator_needs_no_project),
        cmocka_unit_test(test_bad_rows_name_the_field_and_change_nothing),
        cmocka_unit_test(test_a_snapshot_forgets_what_it_does_not_name),
        cmocka_unit_test(test_thousands_of_keys_come_and_go),
        cmocka_unit_test(test_a_key_is_found_by_its_id),
        cmocka_unit_test(test_viewers_read_objects_and_models_of_the_hub),
        cmocka_unit_test(test_a_project_may_be_told_how_much_it_keeps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
