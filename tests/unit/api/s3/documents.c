/* Documents about buckets and objects: what is refused with which meaning, and that what is written
 * is what was read. */
#include "api/s3/documents.h"

#include <string.h>

#include "api/s3/tags.h"
#include "testing.h"

static struct ft_arena arena;
static struct ft_err err;

static const struct ft_xml_node *tree(const char *text)
{
    struct ft_xml_node *root;
    ft_arena_fini(&arena);
    ft_arena_init(&arena, 4u << 20);
    if (ft_xml_read(text, strlen(text), &arena, &root, &err) != 0)
        fail_msg("%s: %s", text, err.msg);
    return root;
}

/* What was written, without the head and the namespace; lives until the next call. */
static const char *written(struct ft_xml *x)
{
    static char text[8192];
    assert_int_equal(x->buf.failed, 0);
    const char *body = strstr(x->buf.data, "?>") + 2, *ns = strstr(body, " xmlns=\"");
    while (*body == '\n')
        body++;
    const char *end = ns != NULL ? strchr(ns + 8, '"') + 1 : body;
    snprintf(text, sizeof text, "%.*s%s", (int)(ns != NULL ? ns - body : 0), body, end);
    ft_xml_fini(x);
    return text;
}

/* ---- lifecycle ---- */

#define RULE(inner)                                                                                \
    "<LifecycleConfiguration><Rule>" inner "<Status>Enabled</Status></Rule>"                       \
    "</LifecycleConfiguration>"

static int lifecycle(const char *text)
{
    struct ft_s3_lifecycle l;
    return ft_s3_lifecycle_read(tree(text), &arena, &l, &err);
}

static void test_lifecycle_refused(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } CASES[] = {
        {"<Other/>", FT_ECORRUPT},
        {"<LifecycleConfiguration/>", FT_ECORRUPT},
        {RULE("<Prefix/>"), FT_EINVAL}, /* does nothing */
        {RULE("<Expiration><Days>1</Days></Expiration>"), FT_ECORRUPT},
        {RULE("<Prefix/><Expiration><Days>0</Days></Expiration>"), FT_EINVAL},
        {RULE("<Prefix/><Expiration><Days>-1</Days></Expiration>"), FT_EINVAL},
        {RULE("<Prefix/><Expiration><Date>soon</Date></Expiration>"), FT_ECORRUPT},
        {RULE("<Prefix/><Expiration><Date>1970-08-22T19:15:01Z</Date></Expiration>"), FT_EINVAL},
        {RULE("<Prefix/><NoncurrentVersionExpiration/>"), FT_ECORRUPT},
        {RULE("<Prefix/><Colour/>"), FT_ECORRUPT},
        {RULE("<Filter><And><And/></And></Filter>"), FT_ECORRUPT},
        {RULE("<Prefix/><Transition><Days>1</Days><StorageClass>GLACIER</StorageClass>"
              "</Transition>"),
         FT_EUNSUPPORTED},
        {"<LifecycleConfiguration><Rule><Prefix/><Status>enabled</Status><Expiration>"
         "<Days>1</Days></Expiration></Rule></LifecycleConfiguration>",
         FT_ECORRUPT},
        {"<LifecycleConfiguration>"
         "<Rule><ID>a</ID><Prefix/><Status>Enabled</Status><Expiration><Days>1</Days></Expiration>"
         "</Rule>"
         "<Rule><ID>a</ID><Prefix/><Status>Enabled</Status><Expiration><Days>2</Days></Expiration>"
         "</Rule></LifecycleConfiguration>",
         FT_EINVAL},
    };
    for (size_t i = 0; i < FT_COUNT(CASES); i++) {
        int rc = lifecycle(CASES[i].text);
        if (rc != CASES[i].rc)
            fail_msg("%s: %d (%s)", CASES[i].text, rc, rc != 0 ? err.msg : "");
    }
}

static void test_lifecycle_round(void **state)
{
    (void)state;
    static const char *const TEXTS[] = {
        "<LifecycleConfiguration><Rule><ID>a</ID><Prefix>p/</Prefix><Status>Disabled</Status>"
        "<Expiration><Days>3</Days></Expiration></Rule></LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><ID>a</ID><Filter></Filter><Status>Enabled</Status>"
        "<Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>"
        "</LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><ID>b</ID><Filter><And><Prefix>p</Prefix><Tag><Key>k</Key>"
        "<Value>v</Value></Tag><ObjectSizeGreaterThan>5</ObjectSizeGreaterThan>"
        "<ObjectSizeLessThan>9</ObjectSizeLessThan></And></Filter><Status>Enabled</Status>"
        "<Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
        "<NoncurrentVersionExpiration><NoncurrentDays>2</NoncurrentDays>"
        "<NewerNoncurrentVersions>3</NewerNoncurrentVersions></NoncurrentVersionExpiration>"
        "</Rule></LifecycleConfiguration>",
        "<LifecycleConfiguration><Rule><ID>c</ID><Filter><Prefix>u</Prefix></Filter>"
        "<Status>Enabled</Status><AbortIncompleteMultipartUpload>"
        "<DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>"
        "</LifecycleConfiguration>"};
    for (size_t i = 0; i < FT_COUNT(TEXTS); i++) {
        struct ft_s3_lifecycle l;
        struct ft_xml x;
        assert_int_equal(ft_s3_lifecycle_read(tree(TEXTS[i]), &arena, &l, &err), 0);
        ft_xml_init(&x, 8192);
        ft_s3_lifecycle_write(&l, &x);
        assert_string_equal(written(&x), TEXTS[i]);
    }
}

static void test_rules_get_ids(void **state)
{
    (void)state;
    struct ft_s3_lifecycle l;
    assert_int_equal(
        ft_s3_lifecycle_read(tree(RULE("<Prefix/><Expiration><Days>1</Days></Expiration>")), &arena,
                             &l, &err),
        0);
    assert_true(l.rules[0]->id[0] != '\0');
}

/* ---- cross-origin ---- */

static void test_cors(void **state)
{
    (void)state;
    static const char *const BAD[] = {
        "<CORSConfiguration/>",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod></CORSRule>"
        "</CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedMethod>PATCH</AllowedMethod><AllowedOrigin>*"
        "</AllowedOrigin></CORSRule></CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*.*"
        "</AllowedOrigin></CORSRule></CORSConfiguration>",
        "<CORSConfiguration><CORSRule><AllowedMethod>GET</AllowedMethod><AllowedOrigin>*"
        "</AllowedOrigin><MaxAgeSeconds>x</MaxAgeSeconds></CORSRule></CORSConfiguration>"};
    struct ft_s3_cors cors;
    for (size_t i = 0; i < FT_COUNT(BAD); i++)
        if (ft_s3_cors_read(tree(BAD[i]), &arena, &cors, &err) == 0)
            fail_msg("%s", BAD[i]);
    const char *text = "<CORSConfiguration><CORSRule><ID>i</ID><AllowedMethod>GET</AllowedMethod>"
                       "<AllowedOrigin>http://*.x</AllowedOrigin><AllowedHeader>a</AllowedHeader>"
                       "<ExposeHeader>e</ExposeHeader><MaxAgeSeconds>0</MaxAgeSeconds></CORSRule>"
                       "</CORSConfiguration>";
    struct ft_xml x;
    assert_int_equal(ft_s3_cors_read(tree(text), &arena, &cors, &err), 0);
    ft_xml_init(&x, 8192);
    ft_s3_cors_write(&cors, &x);
    assert_string_equal(written(&x), text);
}

/* ---- access control lists ---- */

static bool find(void *ctx, const char *id, bool is_address, char ret_id[FT_S3_WHO_MAX + 1],
                 char ret_name[FT_S3_NAME_MAX + 1])
{
    (void)ctx;
    if (strcmp(id, is_address ? "ann@x" : "ann") != 0)
        return false;
    strcpy(ret_id, "ann");
    strcpy(ret_name, "Ann");
    return true;
}
static const struct ft_s3_people PEOPLE = {find, NULL};

#define LIST(owner, grantee, perm)                                                                 \
    "<AccessControlPolicy><Owner><ID>" owner                                                       \
    "</ID></Owner><AccessControlList><Grant><Grantee>" grantee "</Grantee><Permission>" perm       \
    "</Permission></Grant></AccessControlList>"                                                    \
    "</AccessControlPolicy>"

static void test_acl(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } CASES[] = {
        {LIST("me", "<ID>ann</ID>", "READ"), 0},
        {LIST("me", "<EmailAddress>ann@x</EmailAddress>", "READ"), 0},
        {LIST("me", "<URI>http://acs.amazonaws.com/groups/global/AllUsers</URI>", "READ"), 0},
        {LIST("me", "<ID>bob</ID>", "READ"), FT_EINVAL},
        {LIST("me", "<EmailAddress>bob@x</EmailAddress>", "READ"), FT_ENOTFOUND},
        {LIST("me", "<URI>http://x</URI>", "READ"), FT_EINVAL},
        {LIST("other", "<ID>ann</ID>", "READ"), FT_EBUSY},
        {LIST("me", "<ID>ann</ID>", "FLY"), FT_ECORRUPT},
        {LIST("me", "<ID>ann</ID><URI>u</URI>", "READ"), FT_ECORRUPT},
        {"<AccessControlPolicy/>", FT_ECORRUPT},
    };
    struct ft_s3_acl acl;
    for (size_t i = 0; i < FT_COUNT(CASES); i++) {
        int rc = ft_s3_acl_read_xml(tree(CASES[i].text), "me", &PEOPLE, &acl, &err);
        if (rc != CASES[i].rc)
            fail_msg("%s: %d", CASES[i].text, rc);
    }
    assert_int_equal(
        ft_s3_acl_read_xml(tree(LIST("me", "<ID>ann</ID>", "READ")), "me", &PEOPLE, &acl, &err), 0);
    struct ft_xml x;
    ft_xml_init(&x, 8192);
    ft_s3_acl_write_xml(&acl, &PEOPLE, &x);
    const char *text = written(&x);
    assert_non_null(strstr(text, "<Owner><ID>me</ID></Owner>"));
    assert_non_null(strstr(text, "xsi:type=\"CanonicalUser\"><ID>ann</ID><DisplayName>Ann"));
}

/* ---- object lock ---- */

#define LOCK(inner)                                                                                \
    "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule>"                \
    "<DefaultRetention>" inner "</DefaultRetention></Rule></ObjectLockConfiguration>"

static void test_lock(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int rc;
    } CASES[] = {
        {LOCK("<Mode>GOVERNANCE</Mode><Days>0</Days>"), FT_ELIMIT},
        {LOCK("<Mode>GOVERNANCE</Mode><Years>-1</Years>"), FT_ELIMIT},
        {LOCK("<Mode>governance</Mode><Days>1</Days>"), FT_ECORRUPT},
        {LOCK("<Mode>GOVERNANCE</Mode><Days>1</Days><Years>1</Years>"), FT_ECORRUPT},
        {LOCK("<Mode>GOVERNANCE</Mode>"), FT_ECORRUPT},
        {"<ObjectLockConfiguration><ObjectLockEnabled>Disabled</ObjectLockEnabled>"
         "</ObjectLockConfiguration>",
         FT_ECORRUPT},
    };
    struct ft_s3_lock lock;
    for (size_t i = 0; i < FT_COUNT(CASES); i++)
        assert_int_equal(ft_s3_lock_read(tree(CASES[i].text), &lock, &err), CASES[i].rc);
    const char *text = LOCK("<Mode>COMPLIANCE</Mode><Years>2</Years>");
    struct ft_xml x;
    assert_int_equal(ft_s3_lock_read(tree(text), &lock, &err), 0);
    ft_xml_init(&x, 8192);
    ft_s3_lock_write(&lock, &x);
    assert_string_equal(written(&x), text);
    assert_int_equal(ft_s3_lock_until(&lock, 951782400), 1014940800); /* 29 February: 1 March */
    lock = (struct ft_s3_lock){.mode = FT_BLOB_LOCK_GOVERNANCE, .days = 3};
    assert_int_equal(ft_s3_lock_until(&lock, 1000), 1000 + 3 * 86400);
}

#define RETAIN(mode, until)                                                                        \
    "<Retention><Mode>" mode "</Mode><RetainUntilDate>" until "</RetainUntilDate></Retention>"

static void test_holds(void **state)
{
    (void)state;
    struct ft_blob_hold hold = {.mode = FT_BLOB_LOCK_COMPLIANCE};
    bool on = false;
    assert_int_equal(
        ft_s3_retention_read(tree(RETAIN("GOVERNANCE", "2030-01-02T00:00:00Z")), 1000, &hold, &err),
        0);
    assert_int_equal(hold.mode, FT_BLOB_LOCK_GOVERNANCE);
    assert_int_equal(hold.until_s, 1893542400);
    assert_int_equal(ft_s3_retention_read(tree(RETAIN("GOVERNANCE", "2030-01-02T00:00:00Z")),
                                          1893542400, &hold, &err),
                     FT_EINVAL);
    assert_int_equal(
        ft_s3_retention_read(tree(RETAIN("NONE", "2030-01-02T00:00:00Z")), 1000, &hold, &err),
        FT_ECORRUPT);
    assert_int_equal(ft_s3_retention_read(tree("<Retention/>"), 1000, &hold, &err), 0);
    assert_int_equal(hold.mode, FT_BLOB_LOCK_NONE);
    assert_int_equal(
        ft_s3_legal_hold_read(tree("<LegalHold><Status>ON</Status></LegalHold>"), &on, &err), 0);
    assert_true(on);
    assert_int_equal(
        ft_s3_legal_hold_read(tree("<LegalHold><Status>on</Status></LegalHold>"), &on, &err),
        FT_ECORRUPT);
}

/* ---- the small ones ---- */

static void test_small(void **state)
{
    (void)state;
    enum ft_blob_versioning v;
    assert_int_equal(ft_s3_versioning_read(tree("<VersioningConfiguration><Status>Suspended"
                                                "</Status></VersioningConfiguration>"),
                                           &v, &err),
                     0);
    assert_int_equal(v, FT_BLOB_SUSPENDED);
    assert_int_equal(ft_s3_versioning_read(tree("<VersioningConfiguration/>"), &v, &err),
                     FT_ECORRUPT);
    assert_int_equal(
        ft_s3_versioning_read(tree("<VersioningConfiguration><Status>Enabled</Status><MfaDelete>"
                                   "Enabled</MfaDelete></VersioningConfiguration>"),
                              &v, &err),
        FT_EUNSUPPORTED);
    struct ft_s3_block b;
    assert_int_equal(
        ft_s3_block_read(tree("<PublicAccessBlockConfiguration><BlockPublicPolicy>true"
                              "</BlockPublicPolicy><IgnorePublicAcls>FALSE</IgnorePublicAcls>"
                              "</PublicAccessBlockConfiguration>"),
                         &b, &err),
        0);
    assert_true(b.policy && !b.acls && !b.ignore_acls && !b.restrict_buckets);
    assert_int_equal(ft_s3_block_read(tree("<PublicAccessBlockConfiguration><BlockAll>true"
                                           "</BlockAll></PublicAccessBlockConfiguration>"),
                                      &b, &err),
                     FT_ECORRUPT);
    enum ft_s3_ownership o;
    assert_int_equal(
        ft_s3_ownership_read(tree("<OwnershipControls><Rule><ObjectOwnership>BucketOwnerEnforced"
                                  "</ObjectOwnership></Rule></OwnershipControls>"),
                             &o, &err),
        0);
    assert_int_equal(o, FT_S3_OWNER_ENFORCED);
    assert_int_equal(ft_s3_ownership_read(tree("<OwnershipControls><Rule><ObjectOwnership>Nobody"
                                               "</ObjectOwnership></Rule></OwnershipControls>"),
                                          &o, &err),
                     FT_ECORRUPT);
}

static void test_tags(void **state)
{
    (void)state;
    struct ft_s3_tags t;
    assert_int_equal(
        ft_s3_tags_read(tree("<Tagging><TagSet><Tag><Key>b</Key><Value>2</Value></Tag><Tag>"
                             "<Key>a</Key><Value/></Tag></TagSet></Tagging>"),
                        10, &t, &err),
        0);
    assert_int_equal(t.n, 2);
    assert_string_equal(t.v[0].name, "a");
    assert_string_equal(t.v[0].value, "");
    const char *twice = "<Tagging><TagSet><Tag><Key>a</Key><Value>2</Value></Tag><Tag>"
                        "<Key>a</Key><Value/></Tag></TagSet></Tagging>";
    assert_int_equal(ft_s3_tags_read(tree(twice), 10, &t, &err), FT_EINVAL);
    assert_int_equal(ft_s3_tags_read(tree(twice), 1, &t, &err), FT_EINVAL);
    assert_int_equal(
        ft_s3_tags_read(tree("<Tagging><TagSet><Tag><Key>a</Key></Tag></TagSet></Tagging>"), 10, &t,
                        &err),
        FT_ECORRUPT);
    assert_int_equal(ft_s3_tags_of_query("foo=b%20r&bar", &arena, &t, &err), 0);
    assert_string_equal(t.v[0].name, "bar");
    assert_string_equal(t.v[1].value, "b r");
    assert_int_equal(ft_s3_tags_of_query("a=1&a=2", &arena, &t, &err), FT_EINVAL);
    assert_int_equal(ft_s3_tags_of_query("a=%zz", &arena, &t, &err), FT_EINVAL);
    char longest[2 * 129 + 1] = ""; /* characters of two bytes */
    for (int i = 0; i < 128; i++)
        strcat(longest, "é");
    assert_int_equal(ft_s3_tags_of_query(longest, &arena, &t, &err), 0);
    strcat(longest, "é");
    assert_int_equal(ft_s3_tags_of_query(longest, &arena, &t, &err), FT_EINVAL);
}

static int end(void **state)
{
    (void)state;
    ft_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lifecycle_refused),
        cmocka_unit_test(test_lifecycle_round),
        cmocka_unit_test(test_rules_get_ids),
        cmocka_unit_test(test_cors),
        cmocka_unit_test(test_acl),
        cmocka_unit_test(test_lock),
        cmocka_unit_test(test_holds),
        cmocka_unit_test(test_small),
        cmocka_unit_test(test_tags),
    };
    return cmocka_run_group_tests(tests, NULL, end);
}
