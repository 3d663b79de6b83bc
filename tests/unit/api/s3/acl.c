/* Access control lists: canned ones, what they allow, the text that is kept, grantees of headers.
 */
#include "api/s3/acl.h"

#include <string.h>

#include "testing.h"

static struct ft_s3_acl canned(const char *name, const char *owner)
{
    struct ft_s3_acl acl;
    assert_int_equal(ft_s3_acl_canned(&acl, name, owner, "bob", NULL), 0);
    return acl;
}

static void test_canned(void **state)
{
    (void)state;
    struct ft_s3_acl a = canned("public-read-write", "ann");
    assert_int_equal(a.n, 3); /* groups first: clients look for the owner behind them */
    assert_int_equal(a.grants[0].group, FT_S3_ALL_USERS);
    assert_int_equal(a.grants[0].perm, FT_S3_READ);
    assert_int_equal(a.grants[1].perm, FT_S3_WRITE);
    assert_string_equal(a.grants[2].who, "ann");
    assert_true(ft_s3_acl_is_public(&a));
    a = canned("bucket-owner-read", "ann");
    assert_int_equal(a.n, 2);
    assert_true(ft_s3_acl_allows(&a, "bob", FT_S3_READ, false));
    assert_false(ft_s3_acl_allows(&a, "bob", FT_S3_READ_ACP, false));
    assert_false(ft_s3_acl_is_public(&a));
    a = canned("bucket-owner-full-control", "bob");
    assert_int_equal(a.n, 1); /* his own anyway */
    struct ft_err err = {0};
    assert_int_equal(ft_s3_acl_canned(&a, "public", "ann", "bob", &err), FT_EINVAL);
}

static void test_allows(void **state)
{
    (void)state;
    struct ft_s3_acl a = canned("authenticated-read", "ann");
    assert_true(ft_s3_acl_allows(&a, "ann", FT_S3_WRITE_ACP, false));
    assert_true(ft_s3_acl_allows(&a, "eve", FT_S3_READ, false));
    assert_false(ft_s3_acl_allows(&a, "eve", FT_S3_READ, true));
    assert_false(ft_s3_acl_allows(&a, "eve", FT_S3_WRITE, false));
    assert_false(ft_s3_acl_allows(&a, NULL, FT_S3_READ, false));
    a = canned("public-read", "ann");
    assert_true(ft_s3_acl_allows(&a, NULL, FT_S3_READ, false));
    assert_false(ft_s3_acl_allows(&a, NULL, FT_S3_READ, true));
    assert_true(ft_s3_acl_allows(&a, "ann", FT_S3_READ, true));
}

static void test_text(void **state)
{
    (void)state;
    struct ft_s3_acl a = canned("log-delivery-write", "ann"), b;
    assert_int_equal(ft_s3_acl_grant(&a, FT_S3_READ_ACP, FT_S3_ONE, "eve", NULL), 0);
    struct ft_buf text;
    ft_buf_init(&text, FT_S3_ACL_BYTES_MAX);
    assert_int_equal(ft_s3_acl_write(&a, &text), 0);
    assert_string_equal(text.data, "owner ann\nWRITE logs\nREAD_ACP logs\nFULL_CONTROL id ann\n"
                                   "READ_ACP id eve\n");
    assert_int_equal(ft_s3_acl_read(&b, text.data, "other", NULL), 0);
    assert_int_equal(b.n, a.n);
    assert_string_equal(b.owner, "ann");
    for (int i = 0; i < a.n; i++) {
        assert_int_equal(a.grants[i].perm, b.grants[i].perm);
        assert_int_equal(a.grants[i].group, b.grants[i].group);
        assert_string_equal(a.grants[i].who, b.grants[i].who);
    }
    ft_buf_fini(&text);
    assert_int_equal(ft_s3_acl_read(&b, "", "ann", NULL), 0);
    assert_int_equal(b.n, 1);
    assert_string_equal(b.owner, "ann");
    assert_int_equal(ft_s3_acl_read(&b, "owner ann\n", "eve", NULL), 0); /* all were revoked */
    assert_int_equal(b.n, 0);
    static const char *const BAD[] = {"READ all\n", "owner ann\nREAD\n", "owner ann\nFLY all\n",
                                      "owner ann\nREAD moon\n", "owner ann\nREAD id\n"};
    for (size_t i = 0; i < FT_COUNT(BAD); i++)
        assert_int_equal(ft_s3_acl_read(&b, BAD[i], "ann", NULL), FT_ECORRUPT);
}

static void test_too_many(void **state)
{
    (void)state;
    struct ft_s3_acl a = {.owner = "ann"};
    for (int i = 0; i < FT_S3_GRANTS_MAX; i++)
        assert_int_equal(ft_s3_acl_grant(&a, FT_S3_READ, FT_S3_ONE, "eve", NULL), 0);
    assert_int_equal(ft_s3_acl_grant(&a, FT_S3_READ, FT_S3_ALL_USERS, "", NULL), FT_ELIMIT);
}

static void test_grantees(void **state)
{
    (void)state;
    const char *text = " id=\"ann\", uri=http://x/y , emailAddress=\"a@b\",id=bob";
    static const char *const WANT[][2] = {
        {"id", "ann"}, {"uri", "http://x/y"}, {"emailAddress", "a@b"}, {"id", "bob"}};
    char kind[16], value[256];
    for (size_t i = 0; i < FT_COUNT(WANT); i++) {
        assert_int_equal(ft_s3_grantee_next(&text, kind, value, NULL), 1);
        assert_string_equal(kind, WANT[i][0]);
        assert_string_equal(value, WANT[i][1]);
    }
    assert_int_equal(ft_s3_grantee_next(&text, kind, value, NULL), 0);
    static const char *const BAD[] = {"ann", "name=ann", "id=", "id=\"ann", "=ann"};
    for (size_t i = 0; i < FT_COUNT(BAD); i++) {
        text = BAD[i];
        assert_int_equal(ft_s3_grantee_next(&text, kind, value, NULL), FT_EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canned),   cmocka_unit_test(test_allows),
        cmocka_unit_test(test_text),     cmocka_unit_test(test_too_many),
        cmocka_unit_test(test_grantees),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
