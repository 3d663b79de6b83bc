/* Buckets: listed, made, removed, looked at. */
#include <ctype.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "api/s3/marks.h"
#include "api/s3/ops.h"

#define BUCKETS_LISTED_MAX 10000 /* in one answer */

struct bucket_list {
    struct ft_xml x;
    const char *prefix, *after;
    int64_t max, n;
    char last[FT_BLOB_BUCKET_MAX + 1];
    bool more;
};

static int add_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct bucket_list *l = ctx;
    if (b->name[0] == '.' || strncmp(b->name, l->prefix, strlen(l->prefix)) != 0 ||
        strcmp(b->name, l->after) <= 0)
        return 0;
    if (l->n == l->max) {
        l->more = true;
        return 1;
    }
    l->n++;
    memcpy(l->last, b->name, sizeof(l->last));
    ft_xml_begin(&l->x, "Bucket");
    ft_xml_text(&l->x, "Name", b->name);
    ft_xml_time(&l->x, "CreationDate", b->created_ns);
    ft_xml_end(&l->x);
    return l->x.buf.failed;
}

static const char *param_or_empty(const struct ft_s3_call *c, const char *name)
{
    const char *v = ft_s3_param(c, name);
    return v != NULL ? v : "";
}

/* Without a key: nobody's, which are none. */
int ft_s3_buckets_list(struct ft_s3_call *c)
{
    if (!c->anonymous && !c->caller.read)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    struct bucket_list l = {.prefix = param_or_empty(c, "prefix"),
                            .after = param_or_empty(c, "continuation-token")};
    struct ft_err err = {0};
    if (ft_s3_param_int(c, "max-buckets", 1, BUCKETS_LISTED_MAX, BUCKETS_LISTED_MAX, &l.max) != 0)
        return -1;
    ft_xml_init(&l.x, FT_S3_ANSWER_MAX);
    ft_xml_root(&l.x, "ListAllMyBucketsResult", FT_S3_XMLNS);
    ft_xml_begin(&l.x, "Owner");
    ft_xml_text(&l.x, "ID", c->anonymous ? "anonymous" : c->caller.project);
    ft_xml_text(&l.x, "DisplayName", c->anonymous ? "" : c->caller.display);
    ft_xml_end(&l.x);
    ft_xml_begin(&l.x, "Buckets");
    int rc =
        c->anonymous ? 0 : ft_blob_bucket_list(c->blob, c->caller.project, add_bucket, &l, &err);
    if (rc < 0) {
        ft_xml_fini(&l.x);
        return ft_s3_fail_err(c, &err);
    }
    ft_xml_end(&l.x);
    if (l.more)
        ft_xml_text(&l.x, "ContinuationToken", l.last);
    ft_xml_end(&l.x);
    return ft_s3_answer_xml(c, 200, &l.x);
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

/* Where the client wants it: here or nowhere. */
static int check_location(struct ft_s3_call *c)
{
    const char *data;
    size_t n;
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &data, &n) != 0)
        return -1;
    if (n == 0)
        return 0;
    struct ft_xml_node *root;
    struct ft_err err = {0};
    if (ft_xml_read(data, n, c->arena, &root, &err) != 0 ||
        strcmp(root->name, "CreateBucketConfiguration") != 0)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    const char *where = ft_xml_child_text(root, "LocationConstraint");
    return where == NULL || *where == '\0' || strcmp(where, c->s3->region) == 0
               ? 0
               : ft_s3_fail(c, FT_S3_InvalidLocationConstraint, NULL);
}

/* What headers ask of a new bucket. */
struct wishes {
    struct ft_s3_acl acl;
    bool lock, has_ownership;
    enum ft_s3_ownership ownership;
};

static int read_wishes(struct ft_s3_call *c, struct wishes *ret)
{
    const char *me = c->caller.project, *acl = ft_s3_in(c, "x-amz-acl");
    const char *lock = ft_s3_in(c, "x-amz-bucket-object-lock-enabled");
    const char *ownership = ft_s3_in(c, "x-amz-object-ownership");
    *ret = (struct wishes){.lock = lock != NULL && strcasecmp(lock, "true") == 0,
                           .has_ownership = ownership != NULL};
    if (ownership != NULL && !ft_s3_ownership_find(ownership, &ret->ownership))
        return ft_s3_fail(c, FT_S3_InvalidArgument, "Invalid x-amz-object-ownership header: %.60s",
                          ownership);
    if (ret->ownership == FT_S3_OWNER_ENFORCED &&
        (ft_s3_has_grants(c) || (acl != NULL && strcmp(acl, "private") != 0)))
        return ft_s3_fail(c, FT_S3_InvalidBucketAclWithObjectOwnership, NULL);
    return ft_s3_acl_of_headers(c, acl, me, me, &ret->acl);
}

/* A bucket of that name is there: the caller's own, as it is wished for, is as good as made. */
static int answer_is_there(struct ft_s3_call *c, const struct wishes *w)
{
    const struct ft_s3_settings *s;
    struct ft_blob_bucket there;
    const char *wished, *is;
    if (ft_s3_bucket(c, c->bucket, &there) != 0 || ft_s3_settings(c, &there, &s) != 0 ||
        ft_s3_acl_text(c, &w->acl, NULL, &wished) != 0 ||
        ft_s3_acl_text(c, &s->acl, NULL, &is) != 0)
        return -1;
    if (strcmp(there.owner, c->caller.project) != 0 || strcmp(wished, is) != 0 ||
        w->lock != s->lock.enabled)
        return ft_s3_fail(c, FT_S3_BucketAlreadyExists, NULL);
    ft_s3_outf(c, "Location", "/%s", c->bucket);
    return ft_s3_answer_empty(c, 200);
}

static int count_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    *(int *)ctx += b->name[0] != '.';
    return 0;
}

static int check_number(struct ft_s3_call *c)
{
    struct ft_err err = {0};
    int n = 0;
    if (ft_blob_bucket_list(c->blob, c->caller.project, count_bucket, &n, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return n < FT_S3_BUCKETS_MAX ? 0 : ft_s3_fail(c, FT_S3_TooManyBuckets, NULL);
}

int ft_s3_bucket_create(struct ft_s3_call *c)
{
    struct wishes w;
    struct ft_err err = {0};
    if (c->anonymous || !c->caller.write)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    if (!name_is_good(c->bucket))
        return ft_s3_fail(c, FT_S3_InvalidBucketName, NULL);
    if (check_location(c) != 0 || read_wishes(c, &w) != 0 || check_number(c) != 0)
        return -1;
    if (ft_blob_bucket_create(c->blob, c->bucket, c->caller.project, &err) != 0)
        return ft_blob_why(&err) == FT_BLOB_BUCKET_IS_THERE ? answer_is_there(c, &w)
                                                            : ft_s3_fail_err(c, &err);
    const char *acl;
    const struct ft_s3_lock lock = {.enabled = true};
    if (ft_s3_acl_text(c, &w.acl, c->caller.project, &acl) != 0 ||
        (*acl != '\0' && ft_s3_bucket_acl_keep(c, &w.acl) != 0) ||
        (w.has_ownership && ft_s3_ownership_keep(c, w.ownership) != 0))
        return -1;
    if (w.lock && ft_blob_bucket_set_versioning(c->blob, c->bucket, FT_BLOB_VERSIONED, &err) != 0)
        return ft_s3_fail_err(c, &err);
    if (w.lock && ft_s3_lock_keep(c, &lock) != 0)
        return -1;
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

struct tally {
    int64_t objects, bytes;
    char last[FT_BLOB_KEY_MAX + 1];
};

static int tally(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct tally *t = ctx;
    (void)prefix;
    t->objects++;
    t->bytes += info->size;
    snprintf(t->last, sizeof(t->last), "%s", info->key);
    return 0;
}

/* Ceph's "read-stats": all of the bucket is looked through, for who owns it. */
static int out_stats(struct ft_s3_call *c)
{
    struct tally t = {0};
    bool more = true;
    while (more) {
        struct ft_err err = {0};
        char after[FT_BLOB_KEY_MAX + 1];
        memcpy(after, t.last, sizeof(after));
        const struct ft_blob_list l = {
            .bucket = c->bucket, .after = after, .max = FT_BLOB_LIST_MAX};
        if (ft_blob_list(c->blob, &l, false, tally, &t, &more, &err) != 0)
            return ft_s3_fail_err(c, &err);
    }
    ft_s3_outf(c, "X-RGW-Object-Count", "%lld", (long long)t.objects);
    ft_s3_outf(c, "X-RGW-Bytes-Used", "%lld", (long long)t.bytes);
    ft_s3_outf(c, "X-RGW-Quota-Max-Buckets", "%d", FT_S3_BUCKETS_MAX);
    return 0;
}

int ft_s3_bucket_head(struct ft_s3_call *c)
{
    const char *stats = ft_s3_param(c, "read-stats");
    bool own = !c->anonymous && strcmp(c->at.owner, c->caller.project) == 0;
    if (stats != NULL && strcmp(stats, "true") == 0 && own && out_stats(c) != 0)
        return -1;
    ft_s3_out(c, "x-amz-bucket-region", c->s3->region);
    return ft_s3_answer_empty(c, 200);
}

/* Ceph's "usage": what the project keeps and may. */
int ft_s3_usage(struct ft_s3_call *c)
{
    const struct ft_s3_config *config = &c->s3->config;
    struct ft_blob_usage usage = {0};
    struct ft_err err = {0};
    struct ft_xml x;
    if (c->anonymous || !c->caller.read)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    if (ft_blob_usage(c->blob, c->caller.project, &usage, &err) != 0)
        return ft_s3_fail_err(c, &err);
    int64_t most =
        config->quota_max != NULL ? config->quota_max(config->ctx, c->caller.project) : -1;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "Usage", NULL);
    ft_xml_begin(&x, "Summary");
    ft_xml_int(&x, "QuotaMaxBytes", most);
    ft_xml_int(&x, "QuotaMaxBuckets", FT_S3_BUCKETS_MAX);
    ft_xml_int(&x, "QuotaMaxObjCount", -1);
    ft_xml_int(&x, "QuotaMaxBytesPerBucket", -1);
    ft_xml_int(&x, "QuotaMaxObjCountPerBucket", -1);
    ft_xml_int(&x, "TotalBytes", usage.bytes);
    ft_xml_int(&x, "TotalEntries", usage.objects);
    ft_xml_end(&x);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
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
