/* Access control lists of buckets and objects, put and got. */
#include <string.h>

#include "api/s3/marks.h"
#include "api/s3/ops.h"

static int answer_acl(struct ft_s3_call *c, const struct ft_s3_acl *acl)
{
    const struct ft_s3_people people = ft_s3_people(c);
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_s3_acl_write_xml(acl, &people, &x);
    return ft_s3_answer_xml(c, 200, &x);
}

/* The list that a request puts: by headers or as a document, which is text. */
static int read_acl(struct ft_s3_call *c, const char *text, size_t n, const char *owner,
                    struct ft_s3_acl *ret)
{
    const struct ft_s3_settings *s;
    const char *canned = ft_s3_in(c, "x-amz-acl");
    struct ft_err err = {0};
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    if (s->ownership == FT_S3_OWNER_ENFORCED)
        return ft_s3_fail(c, FT_S3_AccessControlListNotSupported, NULL);
    bool by_header = canned != NULL || ft_s3_has_grants(c);
    if (by_header && n > 0)
        return ft_s3_fail(c, FT_S3_UnexpectedContent, NULL);
    if (by_header) {
        if (ft_s3_acl_of_headers(c, canned, owner, c->at.owner, ret) != 0)
            return -1;
    } else if (n == 0) {
        return ft_s3_fail(c, FT_S3_MissingSecurityHeader, NULL);
    } else {
        const struct ft_s3_people people = ft_s3_people(c);
        struct ft_xml_node *root;
        if (ft_xml_read(text, n, c->arena, &root, &err) != 0)
            return ft_s3_fail(c, FT_S3_MalformedACLError, "%s", err.msg);
        if (ft_s3_acl_read_xml(root, owner, &people, ret, &err) != 0)
            return ft_s3_fail_acl(c, &err);
    }
    if (s->block.acls && ft_s3_acl_is_public(ret))
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    return 0;
}

/* ---- of buckets ---- */

int ft_s3_bucket_acl_get(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    return ft_s3_settings(c, &c->at, &s) != 0 ? -1 : answer_acl(c, &s->acl);
}

int ft_s3_bucket_acl_keep(struct ft_s3_call *c, const struct ft_s3_acl *acl)
{
    const char *text;
    struct ft_err err = {0};
    if (ft_s3_acl_text(c, acl, NULL, &text) != 0)
        return -1;
    if (ft_s3_settings_set(c->s3->cache, c->bucket, FT_S3_DOC_ACL, text, &err) != 0)
        return ft_s3_fail_err(c, &err);
    return 0;
}

int ft_s3_bucket_acl_put(struct ft_s3_call *c)
{
    struct ft_s3_acl acl;
    const char *text;
    size_t n;
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &text, &n) != 0 ||
        read_acl(c, text, n, c->at.owner, &acl) != 0 || ft_s3_bucket_acl_keep(c, &acl) != 0)
        return -1;
    return ft_s3_answer_empty(c, 200);
}

/* ---- of objects ---- */

/* The list of the object that the request names. */
static int object_acl(struct ft_s3_call *c, struct ft_s3_acl *ret,
                      char ret_version[FT_BLOB_VERSION_MAX + 1])
{
    const struct ft_s3_settings *s;
    struct ft_blob_object o = {.memory = NULL};
    struct ft_err err = {0};
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    if (ft_blob_head(c->blob, c->bucket, c->key, ft_s3_param(c, "versionId"), &o, &err) != 0) {
        ft_blob_object_fini(&o); /* a marker fills it */
        return ft_s3_fail_err(c, &err);
    }
    const char *text = s->ownership == FT_S3_OWNER_ENFORCED || o.info.acl == NULL ? "" : o.info.acl;
    int rc = ft_s3_acl_read(ret, text, c->at.owner, &err);
    memcpy(ret_version, o.info.version, FT_BLOB_VERSION_MAX + 1);
    ft_blob_object_fini(&o);
    return rc == 0 ? 0 : ft_s3_fail_err(c, &err);
}

int ft_s3_object_acl_get(struct ft_s3_call *c)
{
    struct ft_s3_acl acl;
    char version[FT_BLOB_VERSION_MAX + 1];
    if (object_acl(c, &acl, version) != 0)
        return -1;
    ft_s3_out_version(c, version);
    return answer_acl(c, &acl);
}

int ft_s3_object_acl_put(struct ft_s3_call *c)
{
    struct ft_s3_acl old, acl;
    char version[FT_BLOB_VERSION_MAX + 1];
    struct ft_blob_marks marks = {.acl = NULL};
    struct ft_err err = {0};
    const char *text;
    size_t n;
    /* the body first: who owns the object may change while it comes */
    if (ft_s3_body_whole(c, FT_S3_XML_MAX, &text, &n) != 0 || object_acl(c, &old, version) != 0 ||
        read_acl(c, text, n, old.owner, &acl) != 0 ||
        ft_s3_acl_text(c, &acl, c->at.owner, &marks.acl) != 0)
        return -1;
    if (ft_blob_annotate(c->blob, c->bucket, c->key, version, &marks, version, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_s3_out_version(c, version);
    return ft_s3_answer_empty(c, 200);
}
