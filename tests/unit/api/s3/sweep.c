/* Lifecycle rules carried out over a store whose listings tell no more than they must. */
#include <string.h>

#include "s3_testing.h"

static struct ft_err err;

static void put_blob(const char *key, const struct ft_blob_field *tag)
{
    const struct ft_blob_put put = {
        .bucket = "bucket", .key = key, .size = -1, .tags = tag, .n_tags = tag != NULL};
    struct ft_blob_writer *w;
    assert_int_equal(ft_blob_put(server.blob, &put, &w, &err), 0);
    assert_int_equal(ft_blob_put_commit(w, NULL, 0, NULL, &err), 0);
}

static bool is_there(const char *key)
{
    struct ft_blob_object o = {.memory = NULL};
    int rc = ft_blob_head(server.blob, "bucket", key, NULL, &o, &err);
    ft_blob_object_fini(&o);
    return rc == 0;
}

static void test_rules_about_tags(void **state)
{
    (void)state;
    static const struct ft_blob_field brief = {"kept", "briefly"}, ever = {"kept", "for ever"};
    struct ft_s3_swept swept;
    put_blob("brief", &brief);
    put_blob("ever", &ever);
    put_blob("plain", NULL);
    assert_int_equal(
        ft_blob_bucket_set(
            server.blob, "bucket", "lifecycle",
            "<LifecycleConfiguration><Rule><ID>r</ID><Filter><Tag><Key>kept</Key><Value>briefly"
            "</Value></Tag></Filter><Status>Enabled</Status><Expiration><Date>2013-05-24T00:00:00Z"
            "</Date></Expiration></Rule></LifecycleConfiguration>",
            &err),
        0);
    assert_int_equal(ft_s3_sweep(server.s3, NULL, NULL, &swept, &err), 0);
    assert_int_equal(swept.versions, 1);
    assert_false(is_there("brief"));
    assert_true(is_there("ever"));
    assert_true(is_there("plain"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_rules_about_tags)};
    return cmocka_run_group_tests(tests, s3_setup, s3_teardown);
}
