/* What can be changed of an object that is there: its tags, its retention, its legal hold. */
#include <string.h>
#include <strings.h>

#include "api/s3/marks.h"
#include "api/s3/ops.h"
#include "net/date.h"
#include "net/url.h"

void ft_s3_out_version(struct ft_s3_call *c, const char *version)
{
    if (c->at.versioning != FT_BLOB_UNVERSIONED && *version != '\0')
        ft_s3_out(c, "x-amz-version-id", version);
}

void ft_s3_out_expiry(struct ft_s3_call *c, const struct ft_blob_info *info)
{
    const struct ft_s3_settings *s;
    int64_t at;
    if (!info->is_latest || ft_s3_settings(c, &c->at, &s) != 0)
        return;
    const struct ft_s3_rule *rule = ft_s3_lifecycle_expires(&s->lifecycle, info, &at);
    if (rule == NULL)
        return;
    char date[FT_DATE_MAX];
    struct ft_buf id;
    ft_date_http(at, date);
    ft_buf_init(&id, 3 * FT_S3_RULE_ID_MAX + 1);
    ft_url_encode(&id, rule->id, strlen(rule->id));
    if (id.failed == 0)
        ft_s3_outf(c, "x-amz-expiration", "expiry-date=\"%s\", rule-id=\"%s\"", date, id.data);
    ft_buf_fini(&id);
}

static int head(struct ft_s3_call *c, struct ft_blob_object *ret)
{
    struct ft_err err = {0};
    *ret = (struct ft_blob_object){.memory = NULL};
    if (ft_blob_head(c->blob, c->bucket, c->key, ft_s3_param(c, "versionId"), ret, &err) == 0)
        return 0;
    ft_blob_object_fini(ret);
    return ft_s3_fail_err(c, &err);
}

static int annotate(struct ft_s3_call *c, const char *version, const struct ft_blob_marks *marks,
                    int status)
{
    char changed[FT_BLOB_VERSION_MAX + 1] = "";
    struct ft_err err = {0};
    if (ft_blob_annotate(c->blob, c->bucket, c->key, version, marks, changed, &err) != 0)
        return ft_s3_fail_err(c, &err);
    ft_s3_out_version(c, changed);
    return ft_s3_answer_empty(c, status);
}

/* ---- tags ---- */

int ft_s3_object_tags_get(struct ft_s3_call *c)
{
    struct ft_blob_object o;
    struct ft_xml x;
    if (head(c, &o) != 0)
        return -1;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_s3_tags_write(o.info.tags, o.info.n_tags, &x);
    ft_s3_out_version(c, o.info.version);
    ft_blob_object_fini(&o);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_object_tags_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_s3_tags tags;
    if (ft_s3_body_xml(c, NULL, &root) != 0 ||
        ft_s3_tags_of_xml(c, root, FT_S3_TAGS_MAX, &tags) != 0)
        return -1;
    const struct ft_s3_ask ask = {.action = "s3:PutObjectTagging",
                                  .bucket = &c->at,
                                  .key = c->key,
                                  .version = ft_s3_param(c, "versionId"),
                                  .tags = &tags};
    if (ft_s3_may(c, &ask) != 0)
        return -1;
    const struct ft_blob_marks marks = {.tags = tags.v, .n_tags = tags.n};
    return annotate(c, ask.version, &marks, 200);
}

int ft_s3_object_tags_delete(struct ft_s3_call *c)
{
    static const struct ft_blob_field none[1];
    const struct ft_blob_marks marks = {.tags = none, .n_tags = 0};
    return annotate(c, ft_s3_param(c, "versionId"), &marks, 204);
}

/* ---- retention and legal hold ---- */

static int need_lock(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    return s->lock.enabled
               ? 0
               : ft_s3_fail(c, FT_S3_InvalidRequest, "Bucket is missing Object Lock Configuration");
}

bool ft_s3_bypasses(struct ft_s3_call *c, const char *key, const char *version)
{
    const char *said = ft_s3_in(c, "x-amz-bypass-governance-retention");
    const struct ft_s3_ask ask = {
        .action = "s3:BypassGovernanceRetention", .bucket = &c->at, .key = key, .version = version};
    return said != NULL && strcasecmp(said, "true") == 0 && ft_s3_is_allowed(c, &ask);
}

/* Puts a retention or (retention NULL) a legal hold in the place of what is there. */
static int change_hold(struct ft_s3_call *c, const struct ft_blob_hold *retention, bool legal)
{
    struct ft_blob_object o;
    bool bypass = ft_s3_bypasses(c, c->key, ft_s3_param(c, "versionId"));
    if (c->failed)
        return -1;
    pthread_mutex_lock(&c->s3->holds);
    int rc = head(c, &o);
    if (rc == 0) {
        struct ft_blob_hold hold = retention != NULL ? *retention : o.info.hold;
        hold.legal = retention != NULL ? o.info.hold.legal : legal;
        const struct ft_blob_marks marks = {.hold = &hold, .bypass = bypass};
        rc = annotate(c, o.info.version, &marks, 200);
        ft_blob_object_fini(&o);
    }
    pthread_mutex_unlock(&c->s3->holds);
    return rc;
}

int ft_s3_retention_get(struct ft_s3_call *c)
{
    struct ft_blob_object o;
    struct ft_xml x;
    if (need_lock(c) != 0 || head(c, &o) != 0)
        return -1;
    struct ft_blob_hold hold = o.info.hold;
    ft_blob_object_fini(&o);
    if (hold.mode == FT_BLOB_LOCK_NONE)
        return ft_s3_fail(c, FT_S3_NoSuchObjectLockConfiguration, NULL);
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_s3_retention_write(&hold, &x);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_retention_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_blob_hold hold;
    struct ft_err err = {0};
    if (need_lock(c) != 0 || ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    int rc = ft_s3_retention_read(root, c->now_s, &hold, &err);
    if (rc != 0)
        return ft_s3_fail(c, rc == FT_ECORRUPT ? FT_S3_MalformedXML : FT_S3_InvalidArgument, "%s",
                          err.msg);
    return change_hold(c, &hold, false);
}

int ft_s3_legal_hold_get(struct ft_s3_call *c)
{
    struct ft_blob_object o;
    struct ft_xml x;
    if (need_lock(c) != 0 || head(c, &o) != 0)
        return -1;
    bool on = o.info.hold.legal;
    ft_blob_object_fini(&o);
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_s3_legal_hold_write(on, &x);
    return ft_s3_answer_xml(c, 200, &x);
}

int ft_s3_legal_hold_put(struct ft_s3_call *c)
{
    const struct ft_xml_node *root;
    struct ft_err err = {0};
    bool on;
    if (need_lock(c) != 0 || ft_s3_body_xml(c, NULL, &root) != 0)
        return -1;
    if (ft_s3_legal_hold_read(root, &on, &err) != 0)
        return ft_s3_fail(c, FT_S3_MalformedXML, "%s", err.msg);
    return change_hold(c, NULL, on);
}
