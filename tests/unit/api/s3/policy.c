/* Bucket policies: what is refused when they are put, and what they say of requests. */
#include "api/s3/policy.h"

#include <string.h>

#include "api/s3/policy_match.h"
#include "testing.h"

static struct ft_s3_policy *parse(const char *text)
{
    struct ft_s3_policy *p = NULL;
    struct ft_err err = {0};
    if (ft_s3_policy_parse(text, strlen(text), &p, &err) != 0)
        fail_msg("%s: %s", text, err.msg);
    return p;
}

static void refused(const char *text, const char *why)
{
    struct ft_s3_policy *p = NULL;
    struct ft_err err = {0};
    assert_int_equal(ft_s3_policy_parse(text, strlen(text), &p, &err), FT_EINVAL);
    if (strstr(err.msg, why) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", err.msg, why);
}

/* The request's condition values, for value(): name, value pairs. */
static const char *const *values;
static const char *value(void *ctx, const char *name, int i)
{
    (void)ctx;
    for (const char *const *v = values; v != NULL && *v != NULL; v += 2)
        if (strcmp(v[0], name) == 0 && i-- == 0)
            return v[1];
    return NULL;
}

static enum ft_s3_verdict ask(const char *text, const char *project, const char *key,
                              const char *action, const char *resource)
{
    struct ft_s3_policy *p = parse(text);
    struct ft_s3_policy_ask a = {project, key, action, resource, value, NULL};
    enum ft_s3_verdict v = ft_s3_policy_ask(p, &a);
    ft_s3_policy_free(p);
    return v;
}

#define STATEMENT(effect, who, action, resource, more)                                             \
    "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"" effect "\",\"Principal\":" who     \
    ",\"Action\":" action ",\"Resource\":" resource more "}]}"
#define EVERYBODY "{\"AWS\":\"*\"}"

static void test_who(void **state)
{
    (void)state;
    static const struct {
        const char *text, *project, *key;
        enum ft_s3_verdict want;
    } CASES[] = {
        {STATEMENT("Allow", "\"*\"", "\"s3:GetObject\"", "\"arn:aws:s3:::b/*\"", ""), NULL, NULL,
         FT_S3_ALLOW},
        {STATEMENT("Allow", "{\"AWS\":[\"p2\",\"arn:aws:iam::p1:root\"]}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         "p1", "k", FT_S3_ALLOW},
        {STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::p1:root\"}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         "p11", "k", FT_S3_SILENT},
        {STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::p1:root\"}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         NULL, NULL, FT_S3_SILENT},
        {STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::p1:user/k1\"}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         "p1", "k1", FT_S3_ALLOW},
        {STATEMENT("Allow", "{\"AWS\":\"arn:aws:iam::p1:user/k1\"}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         "p1", "k2", FT_S3_SILENT},
        {STATEMENT("Allow", "{\"CanonicalUser\":\"p3\"}", "\"s3:GetObject\"",
                   "\"arn:aws:s3:::b/*\"", ""),
         "p3", "k2", FT_S3_ALLOW},
        {"{\"Statement\":{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"p1\"},\"Action\":\"*\","
         "\"Resource\":\"*\"}}",
         "p2", "k", FT_S3_DENY},
        {"{\"Statement\":{\"Effect\":\"Deny\",\"NotPrincipal\":{\"AWS\":\"p1\"},\"Action\":\"*\","
         "\"Resource\":\"*\"}}",
         "p1", "k", FT_S3_SILENT},
    };
    for (size_t i = 0; i < FT_COUNT(CASES); i++)
        if (ask(CASES[i].text, CASES[i].project, CASES[i].key, "s3:GetObject", "b/x") !=
            CASES[i].want)
            fail_msg("case %zu", i);
}

static void test_actions_and_resources(void **state)
{
    (void)state;
    const char *get = STATEMENT("Allow", "\"*\"", "[\"s3:Get*\",\"s3:PutObject\"]",
                                "[\"arn:aws:s3:::b/pub/*\",\"arn:aws:s3:::b\"]", "");
    assert_int_equal(ask(get, "p", "k", "s3:GetObject", "b/pub/x"), FT_S3_ALLOW);
    assert_int_equal(ask(get, "p", "k", "s3:getobject", "b/pub/x"), FT_S3_ALLOW);
    assert_int_equal(ask(get, "p", "k", "s3:GetObject", "b/Pub/x"), FT_S3_SILENT);
    assert_int_equal(ask(get, "p", "k", "s3:GetObject", "bb/pub/x"), FT_S3_SILENT);
    assert_int_equal(ask(get, "p", "k", "s3:GetBucketAcl", "b"), FT_S3_ALLOW);
    assert_int_equal(ask(get, "p", "k", "s3:DeleteObject", "b/pub/x"), FT_S3_SILENT);
    const char *rest = "{\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\",\"NotAction\":"
                       "\"s3:Delete*\",\"NotResource\":\"arn:aws:s3:::b/secret?\"}]}";
    assert_int_equal(ask(rest, "p", "k", "s3:GetObject", "b/secrets"), FT_S3_SILENT);
    assert_int_equal(ask(rest, "p", "k", "s3:GetObject", "b/secret"), FT_S3_ALLOW);
    assert_int_equal(ask(rest, "p", "k", "s3:DeleteObject", "b/secret"), FT_S3_SILENT);
}

static void test_deny_outweighs(void **state)
{
    (void)state;
    const char *both = "{\"Statement\":["
                       "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"*\",\"Resource\":"
                       "\"*\"},"
                       "{\"Effect\":\"Deny\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\","
                       "\"Resource\":\"arn:aws:s3:::b/*\"},"
                       "{\"Effect\":\"Allow\",\"Principal\":\"*\",\"Action\":\"s3:PutObject\","
                       "\"Resource\":\"*\"}]}";
    assert_int_equal(ask(both, "p", "k", "s3:PutObject", "b/x"), FT_S3_DENY);
    assert_int_equal(ask(both, "p", "k", "s3:GetObject", "b/x"), FT_S3_ALLOW);
}

static enum ft_s3_verdict when(const char *condition, const char *const *got)
{
    char text[1024];
    snprintf(text, sizeof(text),
             STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"", ",\"Condition\":{%s}"), condition);
    values = got;
    enum ft_s3_verdict v = ask(text, "p", "k", "s3:GetObject", "b/x");
    values = NULL;
    return v;
}
#define GOT(...) ((const char *const[]){__VA_ARGS__, NULL})

static void test_conditions(void **state)
{
    (void)state;
    static const struct {
        const char *condition, *name, *got;
        bool holds;
    } CASES[] = {
        {"\"StringEquals\":{\"s3:prefix\":[\"a\",\"b\"]}", "s3:prefix", "b", true},
        {"\"StringEquals\":{\"s3:prefix\":\"a\"}", "s3:prefix", "A", false},
        {"\"StringEquals\":{\"s3:prefix\":\"a\"}", "other", "a", false},
        {"\"StringEqualsIgnoreCase\":{\"s3:prefix\":\"a\"}", "s3:prefix", "A", true},
        {"\"StringNotEquals\":{\"s3:prefix\":\"a\"}", "s3:prefix", "a", false},
        {"\"StringNotEquals\":{\"s3:prefix\":\"a\"}", "other", "a", true},
        {"\"StringLike\":{\"S3:X-Amz-Acl\":\"public*\"}", "s3:x-amz-acl", "public-read", true},
        {"\"StringLike\":{\"s3:x-amz-acl\":\"public*\"}", "s3:x-amz-acl", "private", false},
        {"\"StringNotLike\":{\"aws:Referer\":\"http://a/*\"}", "aws:referer", "http://a/b", false},
        {"\"StringLikeIfExists\":{\"aws:Referer\":\"http://a/*\"}", "other", "", true},
        {"\"StringLikeIfExists\":{\"aws:Referer\":\"http://a/*\"}", "aws:referer", "x", false},
        {"\"StringEquals\":{\"s3:ExistingObjectTag/Level\":\"public\"}",
         "s3:existingobjecttag/Level", "public", true},
        {"\"StringEquals\":{\"s3:ExistingObjectTag/level\":\"public\"}",
         "s3:existingobjecttag/Level", "public", false},
        {"\"NumericLessThanEquals\":{\"s3:max-keys\":\"10\"}", "s3:max-keys", "10", true},
        {"\"NumericLessThan\":{\"s3:max-keys\":10}", "s3:max-keys", "10", false},
        {"\"NumericGreaterThan\":{\"s3:max-keys\":\"10\"}", "s3:max-keys", "x", false},
        {"\"Bool\":{\"aws:SecureTransport\":\"false\"}", "aws:securetransport", "false", true},
        {"\"Bool\":{\"aws:SecureTransport\":true}", "aws:securetransport", "false", false},
        {"\"Null\":{\"s3:x-amz-acl\":\"true\"}", "other", "", true},
        {"\"Null\":{\"s3:x-amz-acl\":\"true\"}", "s3:x-amz-acl", "private", false},
        {"\"Null\":{\"s3:x-amz-acl\":\"false\"}", "s3:x-amz-acl", "private", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/20\"}", "aws:sourceip", "10.1.15.255", true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/20\"}", "aws:sourceip", "10.1.16.0", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"10.1.0.0/20\"}", "aws:sourceip", "::1", false},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:sourceip", "2001:db8:7fff::1",
         true},
        {"\"IpAddress\":{\"aws:SourceIp\":\"2001:db8::/33\"}", "aws:sourceip", "2001:db8:8000::1",
         false},
        {"\"NotIpAddress\":{\"aws:SourceIp\":\"127.0.0.1\"}", "aws:sourceip", "127.0.0.1", false},
        {"\"DateLessThan\":{\"aws:CurrentTime\":\"2030-01-01T00:00:00Z\"}", "aws:currenttime",
         "2026-05-05T00:00:00Z", true},
        {"\"DateGreaterThan\":{\"aws:CurrentTime\":\"2030-01-01\"}", "aws:currenttime",
         "2026-05-05T00:00:00Z", false},
        {"\"ForAnyValue:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\",\"b\"]}",
         "s3:requestobjecttagkeys", "b", true},
    };
    for (size_t i = 0; i < FT_COUNT(CASES); i++)
        if (when(CASES[i].condition, GOT(CASES[i].name, CASES[i].got)) !=
            (CASES[i].holds ? FT_S3_ALLOW : FT_S3_SILENT))
            fail_msg("%s of %s = %s", CASES[i].condition, CASES[i].name, CASES[i].got);
}

static void test_conditions_of_several(void **state)
{
    (void)state;
    const char *keys = "s3:requestobjecttagkeys";
    const char *all = "\"ForAllValues:StringEquals\":{\"s3:RequestObjectTagKeys\":[\"a\",\"b\"]}";
    assert_int_equal(when(all, GOT(keys, "a", keys, "b")), FT_S3_ALLOW);
    assert_int_equal(when(all, GOT(keys, "a", keys, "c")), FT_S3_SILENT);
    assert_int_equal(when(all, NULL), FT_S3_ALLOW);
    const char *two = "\"StringEquals\":{\"s3:prefix\":\"a\",\"s3:delimiter\":\"/\"},"
                      "\"Bool\":{\"aws:SecureTransport\":\"true\"}";
    assert_int_equal(
        when(two, GOT("s3:prefix", "a", "s3:delimiter", "/", "aws:securetransport", "true")),
        FT_S3_ALLOW);
    assert_int_equal(
        when(two, GOT("s3:prefix", "a", "s3:delimiter", "/", "aws:securetransport", "false")),
        FT_S3_SILENT);
    assert_int_equal(when(two, GOT("s3:prefix", "a", "aws:securetransport", "true")), FT_S3_SILENT);
}

static void test_refused(void **state)
{
    (void)state;
    refused("{", "valid JSON");
    refused("[]", "an object");
    refused("{\"Version\":\"2012-10-17\"}", "Statement");
    refused("{\"Version\":\"2013\",\"Statement\":[]}", "Version");
    refused("{\"Statement\":[{\"Effect\":\"Allow\"}]}", "one each of");
    refused(STATEMENT("Permit", "\"*\"", "\"*\"", "\"*\"", ""), "effect");
    refused(STATEMENT("Allow", "\"me\"", "\"*\"", "\"*\"", ""), "principal");
    refused(STATEMENT("Allow", "{\"Service\":\"x\"}", "\"*\"", "\"*\"", ""), "principal");
    refused(STATEMENT("Allow", "{\"AWS\":\"arn:aws:s3:::b\"}", "\"*\"", "\"*\"", ""), "principal");
    refused(STATEMENT("Allow", "\"*\"", "\"s3:Fly\"", "\"*\"", ""), "action");
    refused(STATEMENT("Allow", "\"*\"", "[]", "\"*\"", ""), "Action");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"bucket\"", ""), "resource");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"", ",\"Sid\":1"), "Sid");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"", ",\"Colour\":1"), "Colour");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"", ",\"NotAction\":\"*\""), "one each of");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"",
                      ",\"Condition\":{\"StringIs\":{\"s3:prefix\":\"a\"}}"),
            "StringIs");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"",
                      ",\"Condition\":{\"StringLike\":{\"s3:mood\":\"a\"}}"),
            "s3:mood");
    refused(STATEMENT("Allow", "\"*\"", "\"*\"", "\"*\"",
                      ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/33\"}}"),
            "aws:SourceIp");
    refused("{\"Statement\":[{\"Effect\":\"Allow\",\"NotPrincipal\":{\"AWS\":\"p\"},\"Action\":"
            "\"*\",\"Resource\":\"*\"}]}",
            "NotPrincipal");
    refused("{\"Statement\":{\"Effect\":\"Allow\",\"Effect\":\"Deny\",\"Principal\":\"*\","
            "\"Action\":\"*\",\"Resource\":\"*\"}}",
            "JSON");
}

static void stray(const char *resource, bool is)
{
    char text[1024];
    snprintf(text, sizeof text,
             "{\"Version\":\"2012-10-17\",\"Statement\":[{\"Effect\":\"Allow\",\"Principal\":\"*\","
             "\"Action\":\"s3:GetObject\",\"Resource\":[\"arn:aws:s3:::photos/*\",\"%s\"]}]}",
             resource);
    struct ft_s3_policy *p = parse(text);
    const char *found = ft_s3_policy_stray(p, "photos");
    if ((found != NULL) != is || (is && strcmp(found, resource) != 0))
        fail_msg("%s: %s", resource, found != NULL ? found : "none");
    ft_s3_policy_free(p);
}

static void test_resources_are_of_the_bucket(void **state)
{
    (void)state;
    stray("*", false);
    stray("arn:aws:s3:::*", false);
    stray("arn:aws:s3:::*/*", false);
    stray("arn:aws:s3:::photos", false);
    stray("arn:aws:s3::project:phot?s/a/b", false);
    stray("arn:aws:s3:::photo/*", true);
    stray("arn:aws:s3:::photos2/*", true);
    stray("arn:aws:s3:::other", true);
}

static bool is_public(const char *text)
{
    struct ft_s3_policy *p = parse(text);
    bool is = ft_s3_policy_is_public(p);
    ft_s3_policy_free(p);
    return is;
}

static void test_public(void **state)
{
    (void)state;
    assert_true(is_public(STATEMENT("Allow", EVERYBODY, "\"*\"", "\"*\"", "")));
    assert_false(is_public(STATEMENT("Deny", EVERYBODY, "\"*\"", "\"*\"", "")));
    assert_false(is_public(STATEMENT("Allow", "{\"AWS\":\"p\"}", "\"*\"", "\"*\"", "")));
    assert_false(
        is_public(STATEMENT("Allow", EVERYBODY, "\"*\"", "\"*\"",
                            ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"10.0.0.0/32\"}}")));
    assert_true(
        is_public(STATEMENT("Allow", EVERYBODY, "\"*\"", "\"*\"",
                            ",\"Condition\":{\"IpAddress\":{\"aws:SourceIp\":\"0.0.0.0/0\"}}")));
    assert_true(is_public(
        STATEMENT("Allow", EVERYBODY, "\"*\"", "\"*\"",
                  ",\"Condition\":{\"NotIpAddress\":{\"aws:SourceIp\":\"10.0.0.0/32\"}}")));
}

static void test_like(void **state)
{
    (void)state;
    assert_true(ft_s3_like("a*c?e", "abbbcde", false));
    assert_false(ft_s3_like("a*c?e", "abbbce", false));
    assert_true(ft_s3_like("*", "", false));
    assert_true(ft_s3_like("A*", "abc", true));
    assert_false(ft_s3_like("A*", "abc", false));
    assert_false(ft_s3_like("", "a", false));
    assert_true(ft_s3_like("*a*b*c", "xxabyyabzzabc", false));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who),
        cmocka_unit_test(test_actions_and_resources),
        cmocka_unit_test(test_deny_outweighs),
        cmocka_unit_test(test_conditions),
        cmocka_unit_test(test_conditions_of_several),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_public),
        cmocka_unit_test(test_resources_are_of_the_bucket),
        cmocka_unit_test(test_like),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
