/* Who may do what to a bucket and its objects.
 *
 * In this order: what the role of the caller's key allows at all; a Deny of the bucket's policy; an
 * Allow of it; owning the bucket or the object; the access control list of the bucket or object.
 * Who owns a bucket can always read, change and take away its policy: nobody locks himself out. */
#include <stdio.h>
#include <string.h>

#include "api/s3/impl.h"
#include "api/s3/settings.h"
#include "net/date.h"

#define S_PER_DAY 86400

int ft_s3_bucket(struct ft_s3_call *c, const char *name, struct ft_blob_bucket *ret)
{
    struct ft_err err = {0};
    if (name[0] == '\0' || name[0] == '.' || strlen(name) > FT_BLOB_BUCKET_MAX)
        return ft_s3_fail(c, FT_S3_NoSuchBucket, NULL);
    if (ft_blob_bucket_get(c->blob, name, ret, &err) != 0)
        return err.code == FT_EINVAL ? ft_s3_fail(c, FT_S3_NoSuchBucket, NULL)
                                     : ft_s3_fail_err(c, &err);
    return 0;
}

int ft_s3_settings(struct ft_s3_call *c, const struct ft_blob_bucket *bucket,
                   const struct ft_s3_settings **ret)
{
    for (int i = 0; i < c->n_settings; i++)
        if (strcmp(c->settings[i]->bucket, bucket->name) == 0) {
            *ret = c->settings[i];
            return 0;
        }
    struct ft_s3_settings *s = NULL;
    struct ft_err err = {0};
    FT_ASSERT(c->n_settings < FT_S3_SETTINGS_HELD);
    if (ft_s3_settings_get(c->s3->cache, bucket, &s, &err) != 0)
        return ft_s3_fail_err(c, &err);
    c->settings[c->n_settings++] = s;
    *ret = s;
    return 0;
}

void ft_s3_settings_drop(struct ft_s3_call *c)
{
    while (c->n_settings > 0)
        ft_s3_settings_unref(c->settings[--c->n_settings]);
}

const char *ft_s3_owner_of(const struct ft_s3_settings *s, const char *bucket_owner,
                           const char *acl_text, struct ft_s3_acl *room)
{
    if ((s->has_ownership && s->ownership == FT_S3_OWNER_ENFORCED) || acl_text == NULL ||
        ft_s3_acl_read(room, acl_text, bucket_owner, NULL) != 0)
        return bucket_owner;
    return room->owner;
}

/* ---- what is asked about ---- */

/* A question, and what was looked up for it. */
struct question {
    struct ft_s3_call *c;
    const struct ft_s3_ask *ask;
    const struct ft_s3_settings *settings;
    const char *action;
    const char *prefix; /* in the place of the parameter; NULL: that */
    char action_room[64];
    const struct ft_blob_info *object;
    struct ft_blob_object own; /* what object points to, if it was looked for here */
    bool looked;               /* for the object; NULL then: it is not there */
    bool failed;               /* looking failed, and so has the call */
    struct ft_err missing;     /* why it is not there */
    struct ft_s3_tags tags;    /* of the request */
    bool tags_read;
    char room[128]; /* of the value that was told last */
};

/* With a version named, another action is needed: "s3:GetObjectAcl" is "s3:GetObjectVersionAcl". */
static void name_action(struct question *q)
{
    static const char *const VERSIONED[] = {
        "s3:GetObject",    "s3:GetObjectAcl",     "s3:GetObjectTagging", "s3:GetObjectAttributes",
        "s3:PutObjectAcl", "s3:PutObjectTagging", "s3:DeleteObject",     "s3:DeleteObjectTagging"};
    q->action = q->ask->action;
    for (size_t i = 0; q->ask->version != NULL && i < FT_COUNT(VERSIONED); i++) {
        if (strcmp(VERSIONED[i], q->action) != 0)
            continue;
        const char *rest = strstr(q->action, "Object") + 6;
        snprintf(q->action_room, sizeof(q->action_room), "%.*sVersion%s", (int)(rest - q->action),
                 q->action, rest);
        q->action = q->action_room;
        return;
    }
}

static const struct ft_blob_info *object_of(struct question *q)
{
    if (q->looked || q->ask->key == NULL)
        return q->object;
    q->looked = true;
    q->object = q->ask->object;
    if (q->object != NULL)
        return q->object;
    struct ft_err err = {0};
    if (ft_blob_head(q->c->blob, q->ask->bucket->name, q->ask->key, q->ask->version, &q->own,
                     &err) == 0) {
        q->object = &q->own.info;
        return q->object;
    }
    q->missing = err;
    if (err.code != FT_ENOTFOUND && err.code != FT_EINVAL) {
        q->failed = true;
        ft_s3_fail_err(q->c, &err);
    }
    return q->object;
}

/* ---- the values of conditions ---- */

static const char *tag_of(const struct ft_blob_field *tags, int n, const char *key)
{
    for (int i = 0; i < n; i++)
        if (strcmp(tags[i].name, key) == 0)
            return tags[i].value;
    return NULL;
}

static const struct ft_s3_tags *request_tags(struct question *q)
{
    const char *text = ft_s3_in(q->c, "x-amz-tagging");
    if (q->ask->tags != NULL)
        return q->ask->tags;
    if (!q->tags_read && text != NULL &&
        ft_s3_tags_of_query(text, q->c->arena, &q->tags, NULL) != 0)
        q->tags.n = 0; /* refused later, in words */
    q->tags_read = true;
    return &q->tags;
}

/* "bucket/key" however it was written. */
static const char *copy_source(struct question *q)
{
    const char *s = ft_s3_in(q->c, "x-amz-copy-source");
    if (s == NULL)
        return NULL;
    s += *s == '/';
    return ft_s3_unescape(q->c->arena, s, strcspn(s, "?"), false);
}

static const char *lock_days(struct question *q)
{
    const char *until = ft_s3_in(q->c, "x-amz-object-lock-retain-until-date");
    int64_t at = 0;
    if (until == NULL || !ft_date_parse_iso(until, &at))
        return NULL;
    snprintf(q->room, sizeof(q->room), "%lld", (long long)((at - q->c->now_s) / S_PER_DAY));
    return q->room;
}

static const char *who_value(struct question *q, const char *name)
{
    const struct ft_s3_caller *who = &q->c->caller;
    if (strcmp(name, "principaltype") == 0)
        return q->c->anonymous ? "Anonymous" : "User";
    if (q->c->anonymous)
        return NULL;
    if (strcmp(name, "principalarn") == 0)
        return ft_s3_printf(q->c, "arn:aws:iam::%s:user/%s", who->project, who->id);
    return strcmp(name, "principalaccount") == 0 ? who->project : who->id;
}

static const char *aws_value(struct question *q, const char *name)
{
    const struct ft_http_exchange *x = q->c->x;
    if (strcmp(name, "sourceip") == 0)
        return strcmp(x->peer, "unix") == 0 ? NULL : x->peer;
    if (strcmp(name, "referer") == 0)
        return ft_s3_in(q->c, "referer");
    if (strcmp(name, "useragent") == 0)
        return ft_s3_in(q->c, "user-agent");
    if (strcmp(name, "securetransport") == 0)
        return x->secure ? "true" : "false";
    if (strcmp(name, "currenttime") == 0) {
        ft_date_iso(q->c->now_s * 1000000000, q->room);
        return q->room;
    }
    if (strcmp(name, "epochtime") == 0) {
        snprintf(q->room, sizeof(q->room), "%lld", (long long)q->c->now_s);
        return q->room;
    }
    return who_value(q, name);
}

static const char *s3_value(struct question *q, const char *name)
{
    if (strcmp(name, "prefix") == 0 && q->prefix != NULL)
        return q->prefix;
    if (strcmp(name, "prefix") == 0 || strcmp(name, "delimiter") == 0 ||
        strcmp(name, "max-keys") == 0)
        return ft_s3_param(q->c, name);
    if (strcmp(name, "versionid") == 0)
        return q->ask->version;
    if (strncmp(name, "existingobjecttag/", 18) == 0) {
        const struct ft_blob_info *o = object_of(q);
        return o != NULL ? tag_of(o->tags, o->n_tags, name + 18) : NULL;
    }
    if (strncmp(name, "requestobjecttag/", 17) == 0) {
        const struct ft_s3_tags *t = request_tags(q);
        return tag_of(t->v, t->n, name + 17);
    }
    if (strcmp(name, "x-amz-copy-source") == 0)
        return copy_source(q);
    if (strcmp(name, "authtype") == 0)
        return q->c->anonymous || q->c->known     ? NULL
               : q->c->auth.how == FT_SIGV4_QUERY ? "REST-QUERY-STRING"
                                                  : "REST-HEADER";
    if (strcmp(name, "signatureversion") == 0)
        return q->c->anonymous || q->c->known ? NULL : "AWS4-HMAC-SHA256";
    if (strcmp(name, "object-lock-remaining-retention-days") == 0)
        return lock_days(q);
    if (strncmp(name, "object-lock-", 12) == 0) {
        snprintf(q->room, sizeof(q->room), "x-amz-%s", name);
        return ft_s3_in(q->c, q->room);
    }
    return strncmp(name, "x-amz-", 6) == 0 ? ft_s3_in(q->c, name) : NULL;
}

static const char *value(void *ctx, const char *name, int i)
{
    struct question *q = ctx;
    if (strcmp(name, "s3:requestobjecttagkeys") == 0) {
        const struct ft_s3_tags *t = request_tags(q);
        return i < t->n ? t->v[i].name : NULL;
    }
    if (i > 0)
        return NULL;
    return strncmp(name, "aws:", 4) == 0 ? aws_value(q, name + 4) : s3_value(q, name + 3);
}

/* ---- the answer ---- */

/* What a grant must allow for an action; perm 0: no grant does. */
static const struct by_grant {
    const char *action;
    bool object;
    enum ft_s3_perm perm;
} BY_GRANT[] = {
    {"s3:ListBucket", false, FT_S3_READ},
    {"s3:ListBucketVersions", false, FT_S3_READ},
    {"s3:ListBucketMultipartUploads", false, FT_S3_READ},
    {"s3:PutObject", false, FT_S3_WRITE},
    {"s3:DeleteObject", false, FT_S3_WRITE},
    {"s3:DeleteObjectVersion", false, FT_S3_WRITE},
    {"s3:AbortMultipartUpload", false, FT_S3_WRITE},
    {"s3:ListMultipartUploadParts", false, FT_S3_WRITE},
    {"s3:GetBucketAcl", false, FT_S3_READ_ACP},
    {"s3:PutBucketAcl", false, FT_S3_WRITE_ACP},
    {"s3:GetObject", true, FT_S3_READ},
    {"s3:GetObjectVersion", true, FT_S3_READ},
    {"s3:GetObjectAttributes", true, FT_S3_READ},
    {"s3:GetObjectVersionAttributes", true, FT_S3_READ},
    {"s3:GetObjectAcl", true, FT_S3_READ_ACP},
    {"s3:GetObjectVersionAcl", true, FT_S3_READ_ACP},
    {"s3:PutObjectAcl", true, FT_S3_WRITE_ACP},
    {"s3:PutObjectVersionAcl", true, FT_S3_WRITE_ACP},
};

/* Actions on objects that a bucket's owner may whoever owns the object. */
static const char *const BY_BUCKET[] = {"s3:PutObject",
                                        "s3:DeleteObject",
                                        "s3:DeleteObjectVersion",
                                        "s3:AbortMultipartUpload",
                                        "s3:ListMultipartUploadParts",
                                        "s3:PutObjectRetention",
                                        "s3:PutObjectLegalHold",
                                        "s3:GetObjectRetention",
                                        "s3:GetObjectLegalHold",
                                        "s3:BypassGovernanceRetention"};

static bool is_policy_action(const char *action)
{
    return strcmp(action, "s3:GetBucketPolicy") == 0 || strcmp(action, "s3:PutBucketPolicy") == 0 ||
           strcmp(action, "s3:DeleteBucketPolicy") == 0;
}

static bool reads(const char *action)
{
    return strncmp(action, "s3:Get", 6) == 0 || strncmp(action, "s3:List", 7) == 0;
}

static enum ft_s3_verdict ask_policy(struct question *q)
{
    const struct ft_s3_ask *ask = q->ask;
    if (q->settings->policy == NULL)
        return FT_S3_SILENT;
    const char *resource = ask->key != NULL
                               ? ft_s3_printf(q->c, "%s/%s", ask->bucket->name, ask->key)
                               : ask->bucket->name;
    if (resource == NULL)
        return FT_S3_DENY;
    const struct ft_s3_policy_ask pa = {.project = q->c->anonymous ? NULL : q->c->caller.project,
                                        .key = q->c->anonymous ? NULL : q->c->caller.id,
                                        .action = q->action,
                                        .resource = resource,
                                        .value = value,
                                        .ctx = q};
    return ft_s3_policy_ask(q->settings->policy, &pa);
}

static bool by_bucket(const char *action)
{
    for (size_t i = 0; i < FT_COUNT(BY_BUCKET); i++)
        if (strcmp(BY_BUCKET[i], action) == 0)
            return true;
    return false;
}

/* By owning, or by a grant. */
static bool owns_or_granted(struct question *q)
{
    const char *who = q->c->anonymous ? NULL : q->c->caller.project;
    const char *bucket_owner = q->ask->bucket->owner;
    bool owns_bucket = who != NULL && strcmp(who, bucket_owner) == 0;
    bool of_object = q->ask->key != NULL && !by_bucket(q->action);
    if (owns_bucket && !of_object)
        return true;
    bool enforced = q->settings->ownership == FT_S3_OWNER_ENFORCED;
    bool no_groups = q->settings->block.ignore_acls;
    struct ft_s3_acl acl;
    if (of_object) {
        const struct ft_blob_info *o = object_of(q);
        if (o == NULL)
            return false; /* ft_s3_may asks whether it may be known to be missing */
        if (enforced || ft_s3_acl_read(&acl, o->acl != NULL ? o->acl : "", bucket_owner, NULL) != 0)
            return owns_bucket;
        if (who != NULL && strcmp(who, acl.owner) == 0)
            return true;
    }
    const struct by_grant *g = NULL;
    for (size_t i = 0; i < FT_COUNT(BY_GRANT); i++)
        if (strcmp(BY_GRANT[i].action, q->action) == 0)
            g = &BY_GRANT[i];
    if (enforced || g == NULL)
        return false;
    return ft_s3_acl_allows(g->object ? &acl : &q->settings->acl, who, g->perm, no_groups);
}

static bool allowed(struct question *q)
{
    const struct ft_s3_call *c = q->c;
    bool owns_bucket = !c->anonymous && strcmp(c->caller.project, q->ask->bucket->owner) == 0;
    if (!c->anonymous && !(reads(q->action) ? c->caller.read : c->caller.write))
        return false;
    if (owns_bucket && is_policy_action(q->action))
        return true;
    enum ft_s3_verdict verdict = ask_policy(q);
    if (q->failed || verdict == FT_S3_DENY)
        return false;
    if (verdict == FT_S3_ALLOW && (owns_bucket || !q->settings->block.restrict_buckets ||
                                   !ft_s3_policy_is_public(q->settings->policy)))
        return true;
    return owns_or_granted(q) && !q->failed;
}

/* May the caller know which keys there are, this one among them? */
static bool may_know(struct question *q)
{
    const struct ft_s3_ask list = {.action = "s3:ListBucket", .bucket = q->ask->bucket};
    struct question l = {.c = q->c,
                         .ask = &list,
                         .settings = q->settings,
                         .action = list.action,
                         .prefix = q->ask->key};
    return allowed(&l);
}

bool ft_s3_is_allowed(struct ft_s3_call *c, const struct ft_s3_ask *ask)
{
    struct question q = {.c = c, .ask = ask};
    if (ft_s3_settings(c, ask->bucket, &q.settings) != 0)
        return false;
    name_action(&q);
    bool missing = ask->key != NULL && !by_bucket(q.action) && object_of(&q) == NULL;
    bool ok = !q.failed && (missing ? may_know(&q) : allowed(&q));
    if (ok && missing && !reads(q.action)) { /* nothing to change now; what comes is another's */
        ft_s3_fail_err(c, &q.missing);
        ok = false;
    }
    ft_blob_object_fini(&q.own);
    return ok;
}

int ft_s3_may(struct ft_s3_call *c, const struct ft_s3_ask *ask)
{
    if (ft_s3_is_allowed(c, ask))
        return 0;
    return ft_s3_fail(c, FT_S3_AccessDenied, NULL); /* unless looking failed: the first counts */
}

int ft_s3_may_run(struct ft_s3_call *c)
{
    if (c->op->action == NULL)
        return 0;
    const struct ft_s3_ask ask = {.action = c->op->action,
                                  .bucket = &c->at,
                                  .key = c->key,
                                  .version = ft_s3_param(c, "versionId")};
    FT_ASSERT(c->has_bucket);
    return ft_s3_may(c, &ask);
}

int ft_s3_bucket_again(struct ft_s3_call *c)
{
    struct ft_blob_bucket now;
    if (!c->has_bucket)
        return 0;
    if (ft_s3_bucket(c, c->bucket, &now) != 0)
        return -1;
    return now.created_ns == c->at.created_ns && strcmp(now.owner, c->at.owner) == 0
               ? 0
               : ft_s3_fail(c, FT_S3_NoSuchBucket, NULL);
}

int ft_s3_may_again(struct ft_s3_call *c)
{
    return ft_s3_bucket_again(c) != 0 ? -1 : ft_s3_may_run(c);
}
