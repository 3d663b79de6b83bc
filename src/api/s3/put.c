/* PutObject: the body streams into the store, is proved at its end, and only then committed. */
#include <string.h>

#include "api/s3/object.h"
#include "api/s3/ops.h"

static int commit(struct ft_s3_call *c, struct ft_blob_writer *w, const struct ft_blob_put *put)
{
    struct ft_blob_field sums[2];
    int n;
    if (ft_s3_body_store(c, w) != 0 || ft_s3_sum_fields(c, true, sums, &n) != 0 ||
        ft_s3_bucket_again(c) != 0) {
        ft_blob_put_abort(w);
        return -1;
    }
    struct ft_blob_done done;
    struct ft_err err = {0};
    if (ft_blob_put_commit(w, sums, n, &done, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_s3_outf(c, "ETag", "\"%s\"", done.etag);
    ft_s3_out_new_version(c, done.version);
    const struct ft_blob_info info = {.key = c->key,
                                      .is_latest = true,
                                      .size = done.size,
                                      .modified_ns = done.modified_ns,
                                      .tags = put->tags,
                                      .n_tags = put->n_tags};
    ft_s3_out_expiry(c, &info);
    return ft_s3_answer_empty(c, 200);
}

int ft_s3_object_put(struct ft_s3_call *c)
{
    struct ft_blob_field *fields;
    struct ft_blob_put put = {.bucket = c->bucket, .key = c->key};
    if (ft_s3_length_said(c) != 0 || ft_s3_fields_read(c, &fields, &put.n_fields) != 0 ||
        ft_s3_put_marks(c, &put) != 0)
        return -1;
    put.fields = fields;
    if (ft_s3_in(c, "x-amz-write-offset-bytes") != NULL) /* an append must not be a new object */
        return ft_s3_fail(c, FT_S3_NotImplemented, NULL);
    ft_s3_write_condition(c, &put.condition);
    if (ft_s3_body_open(c, FT_S3_PUT_MAX, FT_S3_SUM_NONE) != 0)
        return -1;
    put.size = ft_s3_body_size(c);
    if (ft_s3_quota(c, FT_MAX(put.size, 0)) != 0)
        return -1;
    struct ft_blob_writer *w;
    struct ft_err err = {0};
    if (ft_blob_put(c->blob, &put, &w, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return commit(c, w, &put);
}
