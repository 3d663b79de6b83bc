/* Lifecycle rules carried out: every bucket that has some is listed page by page; what is due is
 * noted, and removed once the page is through (a store may not be changed from inside a listing).
 *
 * All is removed on the condition that it is still what was looked at: the latest may have been put
 * anew, and so may a version called "null". What retention or a hold forbids stays. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/s3/impl.h"
#include "base/log.h"

#define NS_PER_S 1000000000

/* What a page holds that is due. */
struct victim {
    const char *key, *version, *etag; /* the page's arena; version "": the key's latest */
    int64_t modified_s;
    bool is_marker, is_upload;
    bool is_alone; /* a marker that nothing stands behind */
};

struct sweep {
    struct ft_blob *blob;
    int64_t now_s, day_s;
    bool (*stop)(void *ctx);
    void *ctx;
    struct ft_s3_swept swept;
    /* of the bucket at hand */
    const char *bucket;
    const struct ft_s3_lifecycle *rules;
    /* of the page at hand */
    struct ft_arena arena;
    struct victim victims[FT_BLOB_LIST_MAX + 1];
    int n;
    char last_key[FT_BLOB_KEY_MAX + 1], last_id[FT_BLOB_UPLOAD_MAX + 1];
    /* of the key at hand, across pages */
    char key[FT_BLOB_KEY_MAX + 1];
    int64_t newer_s; /* when the version before came */
    int noncurrent;  /* seen of it */
    /* a marker that is the latest: it is alone unless another version of the key follows */
    bool has_marker;
    struct ft_blob_info marker; /* its strings are in marker_key */
    char marker_key[FT_BLOB_KEY_MAX + 1];
};

static int add_victim(struct sweep *s, const char *key, const char *version, const char *etag)
{
    struct victim *v = &s->victims[s->n];
    *v = (struct victim){.key = ft_arena_strndup(&s->arena, key, strlen(key)),
                         .version = ft_arena_strndup(&s->arena, version, strlen(version)),
                         .etag = ft_arena_strndup(&s->arena, etag, strlen(etag))};
    if (v->key == NULL || v->version == NULL || v->etag == NULL)
        return FT_ENOMEM;
    s->n++;
    return 0;
}

/* The marker that waits has nothing behind it. */
static int settle_marker(struct sweep *s)
{
    if (!s->has_marker)
        return 0;
    s->has_marker = false;
    const struct ft_s3_version v = {.info = &s->marker, .alone = true};
    if (!ft_s3_lifecycle_due(s->rules, &v, s->now_s, s->day_s))
        return 0;
    int rc = add_victim(s, s->marker_key, s->marker.version, "");
    if (rc == 0) {
        s->victims[s->n - 1].is_marker = true;
        s->victims[s->n - 1].is_alone = true;
    }
    return rc;
}

static bool asks_for_tags(const struct ft_s3_lifecycle *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->rules[i]->enabled && l->rules[i]->n_tags > 0)
            return true;
    return false;
}

/* Is a rule about it due? Listings tell no tags: they are looked up where a rule asks for them.
 * What cannot be looked at has none, and stays. */
static bool is_due(const struct sweep *s, const struct ft_blob_info *info)
{
    struct ft_blob_object o = {.memory = NULL};
    struct ft_blob_info tagged = *info;
    struct ft_err err = {0};
    if (!info->is_marker && asks_for_tags(s->rules) &&
        ft_blob_head(s->blob, s->bucket, info->key, info->version, &o, &err) == 0) {
        tagged.tags = o.info.tags;
        tagged.n_tags = o.info.n_tags;
    }
    const struct ft_s3_version v = {
        .info = &tagged, .noncurrent_since_s = s->newer_s, .noncurrent_newer = s->noncurrent};
    bool due = ft_s3_lifecycle_due(s->rules, &v, s->now_s, s->day_s);
    ft_blob_object_fini(&o);
    return due;
}

static int see_version(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct sweep *s = ctx;
    int rc = 0;
    (void)prefix; /* there is no delimiter */
    if (strcmp(s->key, info->key) != 0) {
        rc = settle_marker(s);
        snprintf(s->key, sizeof(s->key), "%s", info->key);
        s->noncurrent = 0;
    }
    s->has_marker = false; /* another version of its key */
    if (rc == 0 && info->is_latest && info->is_marker) {
        s->has_marker = true;
        s->marker = (struct ft_blob_info){.key = s->marker_key,
                                          .is_latest = true,
                                          .is_marker = true,
                                          .modified_ns = info->modified_ns};
        memcpy(s->marker.version, info->version, sizeof(s->marker.version));
        snprintf(s->marker_key, sizeof(s->marker_key), "%s", info->key);
    } else if (rc == 0) {
        bool due = is_due(s, info);
        s->noncurrent += !info->is_latest;
        if (due) {
            rc = add_victim(s, info->key, info->is_latest ? "" : info->version, info->etag);
            if (rc == 0) {
                s->victims[s->n - 1].modified_s = info->modified_ns / NS_PER_S;
                s->victims[s->n - 1].is_marker = info->is_marker;
            }
        }
    }
    s->newer_s = info->modified_ns / NS_PER_S;
    snprintf(s->last_key, sizeof(s->last_key), "%s", info->key);
    snprintf(s->last_id, sizeof(s->last_id), "%s", info->version);
    return rc;
}

static int see_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct sweep *s = ctx;
    (void)prefix;
    snprintf(s->last_key, sizeof(s->last_key), "%s", u->key);
    snprintf(s->last_id, sizeof(s->last_id), "%s", u->id);
    if (!ft_s3_lifecycle_upload_due(s->rules, u->key, u->begun_ns / NS_PER_S, s->now_s, s->day_s))
        return 0;
    int rc = add_victim(s, u->key, u->id, "");
    if (rc == 0)
        s->victims[s->n - 1].is_upload = true;
    return rc;
}

/* Failures are logged: the next run tries again. */
static void remove_victim(struct sweep *s, const struct victim *v)
{
    struct ft_err err = {0};
    struct ft_blob_deleted deleted;
    int rc;
    if (v->is_upload) {
        rc = ft_blob_upload_abort(s->blob, s->bucket, v->key, v->version, &err);
    } else {
        struct ft_blob_delete d = {.bucket = s->bucket, .key = v->key};
        if (*v->version != '\0')
            d.version = v->version;
        d.condition = v->is_marker ? (struct ft_blob_condition){.if_marker = true}
                                   : (struct ft_blob_condition){.if_match = v->etag,
                                                                .if_modified_s = v->modified_s,
                                                                .if_modified_set = true};
        rc = ft_blob_remove(s->blob, &d, &deleted, &err);
    }
    if (rc == 0) {
        s->swept.uploads += v->is_upload;
        s->swept.markers += v->is_alone;
        s->swept.versions += !v->is_upload && !v->is_alone;
    } else if (rc != FT_EBUSY && rc != FT_ENOTFOUND) { /* kept, changed, gone meanwhile */
        ft_log(FT_LOG_WARN, "s3", "lifecycle of %s: %s: %s", s->bucket, v->key, err.msg);
    }
}

static void remove_victims(struct sweep *s)
{
    for (int i = 0; i < s->n; i++)
        remove_victim(s, &s->victims[i]);
    s->n = 0;
    ft_arena_fini(&s->arena);
    ft_arena_init(&s->arena, FT_S3_SETTINGS_BYTES);
}

static bool stopped(const struct sweep *s)
{
    return s->stop != NULL && s->stop(s->ctx);
}

/* Every page of versions, or of uploads. */
static int sweep_pages(struct sweep *s, bool uploads, struct ft_err *err)
{
    bool more = true;
    char after[FT_BLOB_KEY_MAX + 1] = "", after_id[FT_BLOB_UPLOAD_MAX + 1] = "";
    int rc = 0;
    s->key[0] = '\0';
    s->has_marker = false;
    while (rc == 0 && more && !stopped(s)) {
        const struct ft_blob_list l = {.bucket = s->bucket,
                                       .after = after,
                                       .after_version = *after != '\0' ? after_id : NULL,
                                       .max = FT_BLOB_LIST_MAX};
        rc = uploads ? ft_blob_uploads(s->blob, &l, see_upload, s, &more, err)
                     : ft_blob_list(s->blob, &l, true, see_version, s, &more, err);
        if (rc == 0 && !more && !uploads)
            rc = settle_marker(s);
        memcpy(after, s->last_key, sizeof(after));
        memcpy(after_id, s->last_id, sizeof(after_id));
        remove_victims(s);
    }
    return rc;
}

static bool has_abort(const struct ft_s3_lifecycle *l)
{
    for (int i = 0; i < l->n; i++)
        if (l->rules[i]->enabled && l->rules[i]->abort_days > 0)
            return true;
    return false;
}

/* ---- all buckets ---- */

struct names {
    struct ft_buf text; /* one behind the other, each with its NUL */
};

static int add_name(void *ctx, const struct ft_blob_bucket *b)
{
    struct names *n = ctx;
    return b->name[0] == '.' ? 0 : ft_buf_add(&n->text, b->name, strlen(b->name) + 1);
}

static int sweep_bucket(struct ft_s3 *s3, struct sweep *s, const char *name, struct ft_err *err)
{
    struct ft_blob_bucket b;
    struct ft_s3_settings *settings = NULL;
    int rc = ft_blob_bucket_get(s->blob, name, &b, err);
    if (rc == 0)
        rc = ft_s3_settings_get(s3->cache, &b, &settings, err);
    if (rc == 0 && settings->lifecycle.n > 0) {
        s->bucket = name;
        s->rules = &settings->lifecycle;
        rc = sweep_pages(s, false, err);
        if (rc == 0 && has_abort(s->rules))
            rc = sweep_pages(s, true, err);
    }
    ft_s3_settings_unref(settings);
    return rc == FT_ENOTFOUND ? 0 : rc; /* removed meanwhile */
}

int ft_s3_sweep(struct ft_s3 *s3, bool (*stop)(void *ctx), void *ctx, struct ft_s3_swept *ret,
                struct ft_err *err)
{
    struct sweep *s = calloc(1, sizeof(*s));
    struct names names;
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "lifecycle");
    s->blob = s3->config.blob;
    s->now_s = (int64_t)time(NULL);
    s->day_s = s3->config.day_s > 0 ? s3->config.day_s : FT_S3_DAY_S;
    s->stop = stop;
    s->ctx = ctx;
    ft_arena_init(&s->arena, FT_S3_SETTINGS_BYTES);
    ft_buf_init(&names.text, FT_S3_ANSWER_MAX);
    int rc = ft_blob_bucket_list(s->blob, NULL, add_name, &names, err);
    for (size_t at = 0; rc == 0 && at < names.text.len && !stopped(s);
         at += strlen(names.text.data + at) + 1) {
        struct ft_err own = {0}; /* one that cannot be read does not stop the others */
        if (sweep_bucket(s3, s, names.text.data + at, &own) != 0)
            ft_log(FT_LOG_WARN, "s3", "lifecycle of %s: %s", names.text.data + at, own.msg);
    }
    ft_buf_fini(&names.text);
    ft_arena_fini(&s->arena);
    *ret = s->swept;
    free(s);
    return rc;
}
