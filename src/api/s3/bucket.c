/* Buckets: listed, made, removed, looked at. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "api/s3/ops.h"

static int add_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct ft_xml *x = ctx;
    if (b->name[0] == '.')
        return 0;
    ft_xml_begin(x, "Bucket");
    ft_xml_text(x, "Name", b->name);
    ft_xml_time(x, "CreationDate", b->created_ns);
    ft_xml_end(x);
    return 0;
}

int ft_s3_buckets_list(struct ft_s3_call *c)
{
    if (c->anonymous || !c->caller.read)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    struct ft_xml x;
    struct ft_err err = {0};
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "ListAllMyBucketsResult", FT_S3_XMLNS);
    ft_xml_begin(&x, "Owner");
    ft_xml_text(&x, "ID", c->caller.project);
    ft_xml_text(&x, "DisplayName", c->caller.display);
    ft_xml_end(&x);
    ft_xml_begin(&x, "Buckets");
    int rc = ft_blob_bucket_list(c->blob, c->caller.project, add_bucket, &x, &err);
    if (rc != 0) {
        ft_xml_fini(&x);
        return ft_s3_fail_err(c, &err);
    }
    ft_xml_end(&x);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

/* docs.aws.amazon.com/AmazonS3/latest/userguide/bucketnamingrules.html */
static bool name_is_good(const char *s)
{
    size_t n = strlen(s);
    if (n < 3 || n > FT_BLOB_BUCKET_MAX)
        return false;
    bool digits_and_dots = true;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)s[i];
        bool plain = islower(c) || isdigit(c);
        if (!plain && c != '-' && c != '.')
            return false;
        if (!plain && (i == 0 || i == n - 1))
            return false;
        if (c == '.' && (s[i - 1] == '.' || s[i - 1] == '-' || s[i + 1] == '-'))
            return false;
        digits_and_dots = digits_and_dots && (isdigit(c) || c == '.');
    }
    int a, b, d, e;
    char rest;
    return !(digits_and_dots && sscanf(s, "%d.%d.%d.%d%c", &a, &b, &d, &e, &rest) == 4);
}

int ft_s3_bucket_create(struct ft_s3_call *c)
{
    if (c->anonymous || !c->caller.write)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    if (!name_is_good(c->bucket))
        return ft_s3_fail(c, FT_S3_InvalidBucketName, NULL);
    const char *data;
    size_t n;
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &data, &n) != 0)
        return -1;
    if (n > 0) {
        struct ft_xml_node *root;
        struct ft_err bad;
        if (ft_xml_read(data, n, c->arena, &root, &bad) != 0)
            return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    }
    struct ft_err err = {0};
    if (ft_blob_bucket_create(c->blob, c->bucket, c->caller.project, &err) != 0) {
        struct ft_blob_bucket there;
        if (ft_blob_why(&err) == FT_BLOB_BUCKET_IS_THERE &&
            ft_s3_bucket(c, c->bucket, &there) == 0 && strcmp(there.owner, c->caller.project) == 0)
            return ft_s3_fail(c, FT_S3_BucketAlreadyOwnedByYou, NULL);
        return ft_s3_fail_err(c, &err);
    }
    ft_s3_outf(c, "Location", "/%s", c->bucket);
    return ft_s3_answer_empty(c, 200);
}

int ft_s3_bucket_delete(struct ft_s3_call *c)
{
    struct ft_err err = {0};
    if (ft_blob_bucket_delete(c->blob, c->bucket, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return ft_s3_answer_empty(c, 204);
}

int ft_s3_bucket_head(struct ft_s3_call *c)
{
    ft_s3_out(c, "x-amz-bucket-region", c->s3->region);
    return ft_s3_answer_empty(c, 200);
}

/* us-east-1 is said by saying nothing. */
int ft_s3_bucket_location(struct ft_s3_call *c)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "LocationConstraint", FT_S3_XMLNS);
    if (strcmp(c->s3->region, "us-east-1") != 0)
        ft_xml_escape(&x.buf, c->s3->region, strlen(c->s3->region));
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}
