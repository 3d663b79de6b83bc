/* What changes while a request is under way: the bucket or the object that its head was about, and
 * what a lifecycle rule was about to remove. */
#include <string.h>
#include <unistd.h>

#include "blob/backend.h"
#include "s3_client.h"

static struct ft_err err;

static void put_blob(const char *bucket, const char *key, const char *text, const char *acl)
{
    const struct ft_blob_put put = {.bucket = bucket, .key = key, .size = -1, .acl = acl};
    struct ft_blob_writer *w;
    assert_int_equal(ft_blob_put(server.blob, &put, &w, &err), 0);
    assert_int_equal(ft_blob_put_write(w, text, strlen(text), &err), 0);
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, NULL, &err), 0);
}

static bool is_there(const char *bucket, const char *key)
{
    struct ft_blob_object o = {.memory = NULL};
    int rc = ft_blob_head(server.blob, bucket, key, NULL, &o, &err);
    ft_blob_object_fini(&o);
    return rc == 0;
}

/* ---- the bucket becomes another's ---- */

static void change_owner(void)
{
    assert_int_equal(ft_blob_bucket_delete(server.blob, "bucket", &err), 0);
    assert_int_equal(ft_blob_bucket_create(server.blob, "bucket", "other", &err), 0);
}

static void take_back(void)
{
    s3_meanwhile = NULL;
    assert_int_equal(ft_blob_bucket_delete(server.blob, "bucket", &err), 0);
    assert_int_equal(ft_blob_bucket_create(server.blob, "bucket", "main", &err), 0);
}

static void test_a_bucket_made_anew_is_another(void **state)
{
    (void)state;
    s3_meanwhile = change_owner;
    s3("PUT", "/bucket/key", "Expect: 100-continue\n", "bytes");
    assert_s3_error(404, "NoSuchBucket");
    assert_false(is_there("bucket", "key"));
    take_back();

    struct ft_buf text;
    ft_buf_init(&text, FT_BLOB_CONFIG_MAX);
    s3_meanwhile = change_owner;
    s3("PUT", "/bucket?policy", "Expect: 100-continue\n",
       "{\"Version\": \"2012-10-17\", \"Statement\": [{\"Effect\": \"Allow\", \"Principal\": \"*\","
       " \"Action\": \"s3:*\", \"Resource\": \"arn:aws:s3:::bucket/*\"}]}");
    assert_s3_error(404, "NoSuchBucket");
    assert_int_equal(ft_blob_bucket_config(server.blob, "bucket", "policy", &text, &err), 0);
    ft_buf_fini(&text);
    take_back();
}

/* ---- the object becomes another's ---- */

static void put_own(void)
{
    put_blob("bucket", "key", "the owner's", "");
}

/* Who may list a bucket, or owned what was there before, has no say in what comes. */
static void test_an_object_put_meanwhile_keeps_its_list(void **state)
{
    (void)state;
    static const struct s3_ask other = {.key = "key_other"};
    assert_int_equal(s3("PUT", "/bucket?ownershipControls", NULL,
                        "<OwnershipControls><Rule><ObjectOwnership>ObjectWriter</ObjectOwnership>"
                        "</Rule></OwnershipControls>"),
                     200);
    assert_int_equal(s3("PUT", "/bucket?acl", "x-amz-grant-read: id=other\n", ""), 200);
    static const char list[] =
        "<AccessControlPolicy><Owner><ID>%s</ID></Owner><AccessControlList><Grant><Grantee "
        "xmlns:xsi=\"http://www.w3.org/2001/XMLSchema-instance\" xsi:type=\"CanonicalUser\"><ID>"
        "other</ID></Grantee><Permission>FULL_CONTROL</Permission></Grant></AccessControlList>"
        "</AccessControlPolicy>";
    char body[1024];
    snprintf(body, sizeof body, list, "main");
    s3_send(&other, "PUT", "/bucket/key?acl", NULL, body, strlen(body)); /* no body is awaited */
    assert_s3_error(404, "NoSuchKey");

    put_blob("bucket", "key", "of another", "owner other\nFULL_CONTROL id other\n");
    s3_meanwhile = put_own;
    s3_send(&other, "PUT", "/bucket/key?acl", "Expect: 100-continue\n", body, strlen(body));
    assert_s3_error(403, "AccessDenied");
    s3_meanwhile = NULL;
    s3_send(&other, "GET", "/bucket/key", NULL, NULL, 0);
    assert_s3_error(403, "AccessDenied");
    assert_int_equal(s3("GET", "/bucket/key", NULL, NULL), 200);
    assert_int_equal(s3("DELETE", "/bucket/key", NULL, NULL), 204);
}

/* ---- what lifecycle rules are about is put anew ---- */

static const struct ft_blob_ops *plain;
static struct ft_blob_ops changed;

/* The store, in which somebody puts an object just after every listing. */
static int list_then_put(struct ft_blob *b, const struct ft_blob_list *l, bool versions,
                         ft_blob_list_fn *fn, void *ctx, bool *ret_more, struct ft_err *e)
{
    int rc = plain->list(b, l, versions, fn, ctx, ret_more, e);
    assert_int_equal(ft_blob_bucket_set_versioning(server.blob, l->bucket, FT_BLOB_SUSPENDED, &err),
                     0);
    put_blob(l->bucket, "key", "new", NULL);
    return rc;
}

static void sweep(void)
{
    const struct ft_s3_config config = {.blob = server.blob, .day_s = 1};
    struct ft_s3 *s3_short;
    struct ft_s3_swept swept = {0};
    assert_int_equal(ft_s3_open(&config, &s3_short, &err), 0);
    plain = server.blob->ops;
    changed = *plain;
    changed.list = list_then_put;
    server.blob->ops = &changed;
    assert_int_equal(ft_s3_sweep(s3_short, NULL, NULL, &swept, &err), 0);
    server.blob->ops = plain;
    ft_s3_close(s3_short);
    assert_int_equal(swept.versions + swept.markers, 0);
    assert_true(is_there("swept", "key"));
}

static void remove_key(const char *version)
{
    const struct ft_blob_delete d = {.bucket = "swept", .key = "key", .version = version};
    assert_int_equal(ft_blob_remove(server.blob, &d, NULL, &err), 0);
}

static void test_what_was_put_anew_is_not_swept(void **state)
{
    (void)state;
    assert_int_equal(ft_blob_bucket_create(server.blob, "swept", "main", &err), 0);
    assert_int_equal(
        ft_blob_bucket_set(
            server.blob, "swept", "lifecycle",
            "<LifecycleConfiguration><Rule><ID>r</ID><Filter/><Status>Enabled</Status><Expiration>"
            "<ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>"
            "<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays>"
            "</NoncurrentVersionExpiration></Rule></LifecycleConfiguration>",
            &err),
        0);
    assert_int_equal(ft_blob_bucket_set_versioning(server.blob, "swept", FT_BLOB_SUSPENDED, &err),
                     0);
    remove_key(NULL); /* a lone marker, called "null" */
    sweep();
    /* an older version, called "null" */
    assert_int_equal(ft_blob_bucket_set_versioning(server.blob, "swept", FT_BLOB_VERSIONED, &err),
                     0);
    put_blob("swept", "key", "newer", NULL);
    sleep(2);
    sweep();
    assert_int_equal(ft_blob_bucket_set(server.blob, "swept", "lifecycle", NULL, &err), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_bucket_made_anew_is_another),
        cmocka_unit_test(test_an_object_put_meanwhile_keeps_its_list),
        cmocka_unit_test(test_what_was_put_anew_is_not_swept),
    };
    return cmocka_run_group_tests(tests, s3_setup, s3_end);
}
