/* What a put carries beside its bytes: the access control list (and with it who owns the object),
 * tags, retention. */
#include "api/s3/marks.h"

#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "net/date.h"

/* ---- people ---- */

/* A project's address is PROJECT@DOMAIN, for every domain that buckets are reached at. */
static size_t address_project(const struct ft_s3 *s3, const char *address)
{
    const char *at = strrchr(address, '@');
    for (int i = 0; at != NULL && i < s3->config.n_domains; i++)
        if (strcasecmp(s3->domains[i], at + 1) == 0)
            return (size_t)(at - address);
    return 0;
}

static bool find_person(void *ctx, const char *id, bool is_address, char ret_id[FT_S3_WHO_MAX + 1],
                        char ret_name[FT_S3_NAME_MAX + 1])
{
    const struct ft_s3 *s3 = ctx;
    const struct ft_s3_config *config = &s3->config;
    struct ft_err err = {0};
    size_t n = is_address ? address_project(s3, id) : strlen(id);
    if (n == 0 || n > FT_S3_WHO_MAX)
        return false;
    snprintf(ret_id, FT_S3_WHO_MAX + 1, "%.*s", (int)n, id);
    snprintf(ret_name, FT_S3_NAME_MAX + 1, "%s", ret_id);
    return config->display == NULL || config->display(config->ctx, ret_id, ret_name, &err) == 0;
}

struct ft_s3_people ft_s3_people(const struct ft_s3_call *c)
{
    return (struct ft_s3_people){find_person, c->s3};
}

int ft_s3_fail_acl(struct ft_s3_call *c, const struct ft_err *err)
{
    enum ft_s3_code code = err->code == FT_ECORRUPT    ? FT_S3_MalformedACLError
                           : err->code == FT_ENOTFOUND ? FT_S3_UnresolvableGrantByEmailAddress
                           : err->code == FT_EBUSY     ? FT_S3_AccessDenied
                           : err->code == FT_ENOMEM    ? FT_S3_InternalError
                                                       : FT_S3_InvalidArgument;
    return ft_s3_fail(c, code, "%s", err->msg);
}

/* ---- access control lists in headers ---- */

static const struct {
    const char *header;
    enum ft_s3_perm perm;
} GRANTS[] = {{"x-amz-grant-read", FT_S3_READ},
              {"x-amz-grant-write", FT_S3_WRITE},
              {"x-amz-grant-read-acp", FT_S3_READ_ACP},
              {"x-amz-grant-write-acp", FT_S3_WRITE_ACP},
              {"x-amz-grant-full-control", FT_S3_FULL_CONTROL}};

bool ft_s3_has_grants(const struct ft_s3_call *c)
{
    for (size_t i = 0; i < FT_COUNT(GRANTS); i++)
        if (ft_s3_in(c, GRANTS[i].header) != NULL)
            return true;
    return false;
}

static int read_grants(struct ft_s3_call *c, struct ft_s3_acl *acl)
{
    const struct ft_s3_people people = ft_s3_people(c);
    for (size_t i = 0; i < FT_COUNT(GRANTS); i++) {
        const char *text = ft_s3_in(c, GRANTS[i].header);
        char kind[16], who[256];
        struct ft_err err = {0};
        int rc = 0;
        while (text != NULL && (rc = ft_s3_grantee_next(&text, kind, who, &err)) > 0)
            if (ft_s3_acl_grant_to(acl, GRANTS[i].perm, kind, who, &people, &err) != 0)
                return ft_s3_fail_acl(c, &err);
        if (rc < 0)
            return ft_s3_fail_acl(c, &err);
    }
    return 0;
}

int ft_s3_acl_of_headers(struct ft_s3_call *c, const char *canned, const char *owner,
                         const char *bucket_owner, struct ft_s3_acl *ret)
{
    struct ft_err err = {0};
    bool grants = ft_s3_has_grants(c);
    if (canned != NULL && grants)
        return ft_s3_fail(c, FT_S3_InvalidRequest,
                          "Specifying both Canned ACLs and Header Grants is not allowed");
    if (grants) {
        *ret = (struct ft_s3_acl){.n = 0};
        snprintf(ret->owner, sizeof(ret->owner), "%s", owner);
        return read_grants(c, ret);
    }
    if (ft_s3_acl_canned(ret, canned != NULL ? canned : "private", owner, bucket_owner, &err) != 0)
        return ft_s3_fail_acl(c, &err);
    return 0;
}

int ft_s3_acl_text(struct ft_s3_call *c, const struct ft_s3_acl *acl, const char *plain_owner,
                   const char **ret)
{
    struct ft_buf text;
    bool plain = plain_owner != NULL && strcmp(acl->owner, plain_owner) == 0 && acl->n == 1 &&
                 acl->grants[0].perm == FT_S3_FULL_CONTROL &&
                 strcmp(acl->grants[0].who, acl->owner) == 0;
    ft_buf_init(&text, FT_S3_ACL_BYTES_MAX);
    int rc = plain ? 0 : ft_s3_acl_write(acl, &text);
    *ret = rc == 0 ? ft_arena_strndup(c->arena, text.len > 0 ? text.data : "", text.len) : NULL;
    ft_buf_fini(&text);
    return *ret != NULL ? 0 : ft_s3_fail(c, FT_S3_InternalError, NULL);
}

int ft_s3_put_acl(struct ft_s3_call *c, const char *canned, const char **ret)
{
    const struct ft_s3_settings *s;
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    bool to_bucket = canned != NULL && strcmp(canned, "bucket-owner-full-control") == 0;
    if (s->ownership == FT_S3_OWNER_ENFORCED) {
        if ((canned != NULL && !to_bucket) || ft_s3_has_grants(c))
            return ft_s3_fail(c, FT_S3_AccessControlListNotSupported, NULL);
        *ret = "";
        return 0;
    }
    const char *owner = c->anonymous ? c->at.owner : c->caller.project;
    if (s->ownership == FT_S3_OWNER_PREFERRED && to_bucket)
        owner = c->at.owner;
    struct ft_s3_acl acl;
    if (ft_s3_acl_of_headers(c, canned, owner, c->at.owner, &acl) != 0)
        return -1;
    if (s->block.acls && ft_s3_acl_is_public(&acl))
        return ft_s3_fail(c, FT_S3_AccessDenied, NULL);
    return ft_s3_acl_text(c, &acl, c->at.owner, ret);
}

/* ---- retention ---- */

static int read_hold(struct ft_s3_call *c, struct ft_blob_hold *ret)
{
    const struct ft_s3_settings *s;
    const char *mode = ft_s3_in(c, "x-amz-object-lock-mode");
    const char *until = ft_s3_in(c, "x-amz-object-lock-retain-until-date");
    const char *legal = ft_s3_in(c, "x-amz-object-lock-legal-hold");
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    if (!s->lock.enabled)
        return mode == NULL && until == NULL && legal == NULL
                   ? 0
                   : ft_s3_fail(c, FT_S3_InvalidRequest,
                                "Bucket is missing Object Lock Configuration");
    if ((mode == NULL) != (until == NULL))
        return ft_s3_fail(
            c, FT_S3_InvalidArgument,
            "x-amz-object-lock-retain-until-date and x-amz-object-lock-mode must both "
            "be supplied");
    if (legal != NULL && strcmp(legal, "ON") != 0 && strcmp(legal, "OFF") != 0)
        return ft_s3_fail(c, FT_S3_InvalidArgument, "Legal Hold must be either of 'ON' or 'OFF'");
    ret->legal = legal != NULL && strcmp(legal, "ON") == 0;
    if (mode != NULL) {
        if (!ft_s3_lock_mode(mode, &ret->mode))
            return ft_s3_fail(c, FT_S3_InvalidArgument, "Unknown wormMode directive.");
        if (!ft_date_parse_iso(until, &ret->until_s) || ret->until_s <= c->now_s)
            return ft_s3_fail(c, FT_S3_InvalidArgument,
                              "The retain until date must be in the future!");
    } else if (s->lock.mode != FT_BLOB_LOCK_NONE) {
        ret->mode = s->lock.mode;
        ret->until_s = ft_s3_lock_until(&s->lock, c->now_s);
    }
    return 0;
}

/* ---- all of it ---- */

static int keep_tags(struct ft_s3_call *c, const struct ft_s3_tags *tags, struct ft_blob_put *put)
{
    struct ft_blob_field *v = ft_arena_array(c->arena, (size_t)tags->n + 1, sizeof(*v));
    if (v == NULL)
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    memcpy(v, tags->v, (size_t)tags->n * sizeof(*v));
    put->tags = v;
    put->n_tags = tags->n;
    return 0;
}

static int header_tags(struct ft_s3_call *c, const char *text, struct ft_blob_put *put)
{
    struct ft_s3_tags tags;
    struct ft_err err = {0};
    if (ft_s3_tags_of_query(text, c->arena, &tags, &err) != 0)
        return ft_s3_fail(c, FT_S3_InvalidTag, "%s", err.msg);
    return keep_tags(c, &tags, put);
}

int ft_s3_put_marks(struct ft_s3_call *c, struct ft_blob_put *put)
{
    const char *tagging = ft_s3_in(c, "x-amz-tagging");
    if (tagging != NULL && header_tags(c, tagging, put) != 0)
        return -1;
    if (ft_s3_put_acl(c, ft_s3_in(c, "x-amz-acl"), &put->acl) != 0)
        return -1;
    return read_hold(c, &put->hold);
}

int ft_s3_tags_of_xml(struct ft_s3_call *c, const struct ft_xml_node *root, int max,
                      struct ft_s3_tags *ret)
{
    struct ft_err err = {0};
    int rc = ft_s3_tags_read(root, max, ret, &err);
    if (rc == 0)
        return 0;
    return ft_s3_fail(c, rc == FT_ECORRUPT ? FT_S3_MalformedXML : FT_S3_InvalidTag, "%s", err.msg);
}

int ft_s3_form_tags(struct ft_s3_call *c, const char *tagging, struct ft_s3_tags *ret)
{
    struct ft_xml_node *root;
    *ret = (struct ft_s3_tags){.n = 0};
    if (tagging == NULL)
        return 0;
    if (ft_xml_read(tagging, strlen(tagging), c->arena, &root, NULL) != 0)
        return ft_s3_fail(c, FT_S3_MalformedXML, NULL);
    return ft_s3_tags_of_xml(c, root, FT_S3_TAGS_MAX, ret);
}

int ft_s3_put_form_marks(struct ft_s3_call *c, const struct ft_s3_tags *tags,
                         struct ft_blob_put *put)
{
    if (keep_tags(c, tags, put) != 0 || ft_s3_put_acl(c, ft_s3_in(c, "x-amz-acl"), &put->acl) != 0)
        return -1;
    return read_hold(c, &put->hold);
}
