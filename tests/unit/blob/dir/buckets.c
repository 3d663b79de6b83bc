/* Buckets that are removed and made anew: nothing of the first is the second's. */
#include "fixture.h"

static struct ft_blob_part part = {.number = 1};

static void put_part(struct ft_blob *b, const char *upload)
{
    const struct ft_blob_put put = {
        .bucket = "b", .key = "k", .size = -1, .upload = upload, .part = 1};
    struct ft_blob_done done;
    OK(put_made(b, &put, 1, 0, 100, &done));
    memcpy(part.etag, done.etag, sizeof part.etag);
}

static int complete(struct ft_blob *b, const char *upload)
{
    return ft_blob_upload_complete(b, "b", "k", upload, &part, 1, NULL, NULL, 0, NULL, &err);
}

/* What completed just now answers the same again; but not in another bucket, where it is not. */
static void completed_uploads_end_with_their_bucket(void **state)
{
    const struct ft_blob_put put = {.bucket = "b", .key = "k", .size = -1};
    const struct ft_blob_delete del = {.bucket = "b", .key = "k"};
    char id[FT_BLOB_UPLOAD_MAX + 1];
    (void)state;
    struct ft_blob *b = open_blob();
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    OK(ft_blob_upload_begin(b, &put, id, &err));
    put_part(b, id);
    OK(complete(b, id));
    OK(complete(b, id));
    OK(ft_blob_remove(b, &del, NULL, &err));
    OK(ft_blob_bucket_delete(b, "b", &err));
    OK(ft_blob_bucket_create(b, "b", "prj", &err));
    assert_int_equal(complete(b, id), FT_ENOTFOUND);
    assert_int_equal(ft_blob_why(&err), FT_BLOB_NO_UPLOAD);
    ft_blob_close(b);
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(completed_uploads_end_with_their_bucket, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
