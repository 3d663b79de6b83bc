/* The documents of a bucket: put, got and deleted. What is kept is what a GET answers. */
#include <string.h>

#include "api/s3/marks.h"
#include "api/s3/ops.h"

/* A document that is not of its form, or whose values are wrong. */
static int fail_document(struct ft_s3_call *c, const struct ft_err *err)
{
    enum ft_s3_code code = err->code == FT_ECORRUPT       ? FT_S3_MalformedXML
                           : err->code == FT_EUNSUPPORTED ? FT_S3_InvalidArgument
                           : err->code == FT_ELIMIT       ? FT_S3_InvalidRetentionPeriod
                           : err->code == FT_ENOMEM       ? FT_S3_InternalError
                                                          : FT_S3_InvalidArgument;
    return ft_s3_fail(c, code, "%s", err->msg);
}

static int keep(struct ft_s3_call *c, const char *what, const char *text)
{
    struct ft_err err = {0};
    if (ft_s3_settings_set(c->s3->cache, c->bucket, what, text, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return 0;
}

/* Keeps what was written, frees x. */
static int keep_xml(struct ft_s3_call *c, const char *what, struct ft_xml *x, int status)
{
    int rc = x->buf.failed != 0 ? ft_s3_fail(c, FT_S3_InvalidRequest, "the document is too long")
                                : keep(c, what, x->buf.data);
    ft_xml_fini(x);
    return rc != 0 ? -1 : ft_s3_answer_empty(c, status);
}

static int take_away(struct ft_s3_call *c, const char *what)
{
    return keep(c, what, NULL) != 0 ? -1 : ft_s3_answer_empty(c, 204);
}

static int answer_kept(struct ft_s3_call *c, const char *what, const char *type,
                       enum ft_s3_code missing)
{
    struct ft_buf text;
    struct ft_err err = {0};
    ft_buf_init(&text, FT_BLOB_CONFIG_MAX + 1);
    int found = ft_blob_bucket_config(c->blob, c->bucket, what, &text, &err), rc;
    if (found < 0) {
        rc = ft_s3_fail_err(c, &err);
    } else if (found == 0) {
        rc = ft_s3_fail(c, missing, NULL);
    } else {
        ft_s3_out(c, "Content-Type", type);
        rc = ft_s3_answer(c, 200, text.data, text.len);
    }
    ft_buf_fini(&text);
    return rc;
}

#define XML_TYPE "application/xml"

/* ---- policy ---- */

int ft_s3_policy_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_POLICY, "application/json", FT_S3_NoSuchBucketPolicy);
}

int ft_s3_policy_put(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    const char *text;
    size_t n;
    struct ft_s3_policy *policy = NULL;
    struct ft_err err = {0};
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &text, &n) != 0 || ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    int rc = ft_s3_policy_parse(text, n, &policy, &err);
    if (rc != 0)
        return ft_s3_fail(c, rc == FT_ENOMEM ? FT_S3_InternalError : FT_S3_MalformedPolicy, "%s",
                          err.msg);
    const char *stray = ft_s3_policy_stray(policy, c->bucket);
    if (stray != NULL)
        ft_s3_fail(c, FT_S3_MalformedPolicy, "Policy has invalid resource: \"%.100s\"", stray);
    bool refused = s->block.policy && ft_s3_policy_is_public(policy);
    ft_s3_policy_free(policy);
    if (stray != NULL)
        return -1;
    if (refused)
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    return keep(c, FT_S3_DOC_POLICY, text) != 0 ? -1 : ft_s3_answer_empty(c, 204);
}

int ft_s3_policy_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_POLICY);
}

int ft_s3_policy_status(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    struct ft_xml x;
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    bool by_acl = !s->block.ignore_acls && s->ownership != FT_S3_OWNER_ENFORCED &&
                  ft_s3_acl_is_public(&s->acl);
    bool by_policy =
        s->policy != NULL && !s->block.restrict_buckets && ft_s3_policy_is_public(s->policy);
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "PolicyStatus", FT_S3_XMLNS);
    ft_xml_bool(&x, "IsPublic", by_acl || by_policy);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

/* ---- public access block ---- */

int ft_s3_block_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_BLOCK, XML_TYPE, FT_S3_NoSuchPublicAccessBlockConfiguration);
}

int ft_s3_block_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_block block;
    struct ft_err err = {0};
    struct ft_xml x;
    if (ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    if (ft_s3_block_read(root, &block, &err) != 0)
        return fail_document(c, &err);
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_block_write(&block, &x);
    return keep_xml(c, FT_S3_DOC_BLOCK, &x, 200);
}

int ft_s3_block_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_BLOCK);
}

/* ---- ownership ---- */

int ft_s3_ownership_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_OWNERSHIP, XML_TYPE, FT_S3_OwnershipControlsNotFoundError);
}

int ft_s3_ownership_keep(struct ft_s3_call *c, enum ft_s3_ownership ownership)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_ownership_write(ownership, &x);
    int rc = x.buf.failed != 0 ? ft_s3_fail(c, FT_S3_InternalError, NULL)
                               : keep(c, FT_S3_DOC_OWNERSHIP, x.buf.data);
    ft_xml_fini(&x);
    return rc;
}

int ft_s3_ownership_put(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    const struct ft_xml_node *root;
    enum ft_s3_ownership ownership;
    struct ft_err err = {0};
    if (ft_s3_body_xml(c, NULL, &root) != 0 || ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    if (ft_s3_ownership_read(root, &ownership, &err) != 0)
        return fail_document(c, &err);
    bool plain = s->acl.n == 1 && strcmp(s->acl.grants[0].who, c->at.owner) == 0;
    if (ownership == FT_S3_OWNER_ENFORCED && !plain)
        return ft_s3_fail(c, FT_S3_InvalidBucketAclWithObjectOwnership, NULL);
    return ft_s3_ownership_keep(c, ownership) != 0 ? -1 : ft_s3_answer_empty(c, 200);
}

int ft_s3_ownership_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_OWNERSHIP);
}

/* ---- cross-origin rules ---- */

int ft_s3_cors_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_CORS, XML_TYPE, FT_S3_NoSuchCORSConfiguration);
}

int ft_s3_cors_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_cors cors;
    struct ft_err err = {0};
    struct ft_xml x;
    if (ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    if (ft_s3_cors_read(root, c->arena, &cors, &err) != 0)
        return fail_document(c, &err);
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_cors_write(&cors, &x);
    return keep_xml(c, FT_S3_DOC_CORS, &x, 200);
}

int ft_s3_cors_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_CORS);
}

/* ---- lifecycle ---- */

int ft_s3_lifecycle_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_LIFECYCLE, XML_TYPE, FT_S3_NoSuchLifecycleConfiguration);
}

int ft_s3_lifecycle_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_lifecycle rules;
    struct ft_err err = {0};
    struct ft_xml x;
    if (ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    if (ft_s3_lifecycle_read(root, c->arena, &rules, &err) != 0)
        return fail_document(c, &err);
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_lifecycle_write(&rules, &x);
    return keep_xml(c, FT_S3_DOC_LIFECYCLE, &x, 200);
}

int ft_s3_lifecycle_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_LIFECYCLE);
}

/* ---- object lock ---- */

int ft_s3_lock_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_LOCK, XML_TYPE, FT_S3_ObjectLockConfigurationNotFoundError);
}

int ft_s3_lock_keep(struct ft_s3_call *c, const struct ft_s3_lock *lock)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_lock_write(lock, &x);
    int rc = x.buf.failed != 0 ? ft_s3_fail(c, FT_S3_InternalError, NULL)
                               : keep(c, FT_S3_DOC_LOCK, x.buf.data);
    ft_xml_fini(&x);
    return rc;
}

int ft_s3_lock_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_lock lock;
    struct ft_err err = {0};
    if (ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    if (ft_s3_lock_read(root, &lock, &err) != 0)
        return fail_document(c, &err);
    if (c->at.versioning != FT_BLOB_VERSIONED)
        return ft_s3_fail(c, FT_S3_InvalidBucketState,
                          "Versioning must be 'Enabled' on the bucket to apply a Object Lock "
                          "configuration");
    return ft_s3_lock_keep(c, &lock) != 0 ? -1 : ft_s3_answer_empty(c, 200);
}

/* ---- tags ---- */

int ft_s3_bucket_tags_get(struct ft_s3_call *c)
{
    return answer_kept(c, FT_S3_DOC_TAGS, XML_TYPE, FT_S3_NoSuchTagSet);
}

int ft_s3_bucket_tags_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_tags tags;
    struct ft_xml x;
    if (ft_s3_body_xml(c, NULL, &root) != 0 ||
        ft_s3_tags_of_xml(c, root, FT_S3_BUCKET_TAGS_MAX, &tags) != 0)
        return -1;
    ft_xml_init(&x, FT_BLOB_CONFIG_MAX);
    ft_s3_tags_write(tags.v, tags.n, &x);
    return keep_xml(c, FT_S3_DOC_TAGS, &x, 204);
}

int ft_s3_bucket_tags_delete(struct ft_s3_call *c)
{
    return take_away(c, FT_S3_DOC_TAGS);
}

/* ---- versioning ---- */

int ft_s3_versioning_get(struct ft_s3_call *c)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_s3_versioning_write(c->at.versioning, &x);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_versioning_put(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    const struct ft_xml_node *root;
    enum ft_blob_versioning v;
    struct ft_err err = {0};
    if (ft_s3_body_xml(c, NULL, &root) != 0 || ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    if (ft_s3_versioning_read(root, &v, &err) != 0)
        return fail_document(c, &err);
    if (s->lock.enabled && v == FT_BLOB_SUSPENDED)
        return ft_s3_fail(c, FT_S3_InvalidBucketState,
                          "An Object Lock configuration is present on this bucket, so the "
                          "versioning state cannot be changed.");
    if (ft_blob_bucket_set_versioning(c->blob, c->bucket, v, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return ft_s3_answer_empty(c, 200);
}

/* ---- what every bucket has one answer for ---- */

static int answer_fixed(struct ft_s3_call *c, const char *root, const char *name, const char *text)
{
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, root, FT_S3_XMLNS);
    if (name != NULL)
        ft_xml_text(&x, name, text);
    ft_xml_end(&x);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_payment_get(struct ft_s3_call *c)
{
    return answer_fixed(c, "RequestPaymentConfiguration", "Payer", "BucketOwner");
}

int ft_s3_acceleration_get(struct ft_s3_call *c)
{
    return answer_fixed(c, "AccelerateConfiguration", NULL, NULL);
}

int ft_s3_logging_get(struct ft_s3_call *c)
{
    return answer_fixed(c, "BucketLoggingStatus", NULL, NULL);
}

int ft_s3_notification_get(struct ft_s3_call *c)
{
    return answer_fixed(c, "NotificationConfiguration", NULL, NULL);
}

int ft_s3_website_get(struct ft_s3_call *c)
{
    return ft_s3_fail(c, FT_S3_NoSuchWebsiteConfiguration, NULL);
}

int ft_s3_encryption_get(struct ft_s3_call *c)
{
    return ft_s3_fail(c, FT_S3_ServerSideEncryptionConfigurationNotFoundError, NULL);
}

int ft_s3_replication_get(struct ft_s3_call *c)
{
    return ft_s3_fail(c, FT_S3_ReplicationConfigurationNotFoundError, NULL);
}
