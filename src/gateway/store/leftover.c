/* POST /internal/projects/{}/forget, on HOME/run/gateway.sock: what a removed project kept in the
 * store of objects goes: its repositories, its buckets (its files' among them) with all versions
 * and unfinished uploads. Control asks, and asks again (control/leftover.h): one request removes
 * REMOVED_MAX things at most, and says whether there are more.
 *
 *   {"removed": n, "held": n, "until": unix time, "more": bool}
 *
 * held: versions under a retention in compliance mode or a legal hold, which stay, and their bucket
 * with them; until: when the first such retention ends, 0 if none does. A project that this gateway
 * knows is refused. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "gateway/inner.h"

#define REMOVED_MAX 500  /* things of one request */
#define BUCKETS_MAX 2000 /* looked at by one request */
#define PAGE_BYTES  ((size_t)4 << 20)

struct victim {
    const char *key; /* the page's arena */
    char id[FT_BLOB_UPLOAD_MAX + 1];
};

struct forgetting {
    struct gw *gw;
    struct ft_blob *blob;
    int left; /* of REMOVED_MAX */
    int64_t held, until_s;
    bool more;
    char (*bucket)[FT_BLOB_BUCKET_MAX + 1];
    int n_buckets;
    /* the page at hand */
    struct ft_arena arena;
    struct victim victim[FT_BLOB_LIST_MAX];
    int n;
};

static int add(struct forgetting *f, const char *key, const char *id)
{
    if (f->n == FT_BLOB_LIST_MAX)
        return FT_ENOMEM;
    struct victim *v = &f->victim[f->n];
    v->key = ft_arena_strndup(&f->arena, key, strlen(key));
    if (v->key == NULL)
        return FT_ENOMEM;
    snprintf(v->id, sizeof v->id, "%s", id);
    f->n++;
    return 0;
}

static int add_version(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)prefix; /* there is no delimiter */
    return add(ctx, info->key, info->version);
}

static int add_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    (void)prefix;
    return add(ctx, u->key, u->id);
}

static void note_held(struct forgetting *f, const char *bucket, const struct victim *v)
{
    struct ft_blob_object o = {.memory = NULL};
    struct ft_err why;
    f->held++;
    if (ft_blob_head(f->blob, bucket, v->key, v->id, &o, &why) == 0 && !o.info.hold.legal &&
        (f->until_s == 0 || o.info.hold.until_s < f->until_s))
        f->until_s = o.info.hold.until_s;
    ft_blob_object_fini(&o);
}

static int remove_version(struct forgetting *f, const char *bucket, const struct victim *v,
                          struct ft_err *err)
{
    struct ft_err why = {0};
    struct ft_blob_deleted gone;
    const struct ft_blob_delete d = {
        .bucket = bucket, .key = v->key, .version = v->id, .bypass = true};
    int rc = ft_blob_remove(f->blob, &d, &gone, &why);
    if (rc == FT_EBUSY && ft_blob_why(&why) == FT_BLOB_LOCKED) {
        note_held(f, bucket, v);
        return 0;
    }
    f->left -= rc == 0;
    if (rc != 0)
        *err = why;
    return rc;
}

static int abort_upload(struct forgetting *f, const char *bucket, const struct victim *v,
                        struct ft_err *err)
{
    struct ft_err why = {0};
    int rc = ft_blob_upload_abort(f->blob, bucket, v->key, v->id, &why);
    f->left -= rc == 0;
    if (rc == FT_ENOTFOUND && ft_blob_why(&why) == FT_BLOB_NO_UPLOAD)
        return 0;
    if (rc != 0)
        *err = why;
    return rc;
}

/* All versions, or all uploads, page by page, as far as f->left goes. */
static int clear(struct forgetting *f, const char *bucket, bool uploads, struct ft_err *err)
{
    char after[FT_BLOB_KEY_MAX + 1] = "", after_id[FT_BLOB_UPLOAD_MAX + 1] = "";
    bool more = true;
    int rc = 0;
    while (rc == 0 && more && f->left > 0 && *f->gw->opt->end == 0) {
        const struct ft_blob_list page = {.bucket = bucket,
                                          .after = after,
                                          .after_version = after_id[0] != '\0' ? after_id : NULL,
                                          .max = FT_BLOB_LIST_MAX};
        f->n = 0;
        ft_arena_init(&f->arena, PAGE_BYTES);
        rc = uploads ? ft_blob_uploads(f->blob, &page, add_upload, f, &more, err)
                     : ft_blob_list(f->blob, &page, true, add_version, f, &more, err);
        if (rc == FT_ENOMEM)
            rc = ft_err_set(err, rc, "no memory for a page");
        int i = 0;
        for (; rc == 0 && i < f->n && f->left > 0; i++)
            rc = uploads ? abort_upload(f, bucket, &f->victim[i], err)
                         : remove_version(f, bucket, &f->victim[i], err);
        more |= i < f->n;
        if (i > 0) {
            snprintf(after, sizeof after, "%s", f->victim[i - 1].key);
            snprintf(after_id, sizeof after_id, "%s", f->victim[i - 1].id);
        }
        ft_arena_fini(&f->arena);
    }
    f->more |= more;
    return rc;
}

static int forget_bucket(struct forgetting *f, const char *bucket, struct ft_err *err)
{
    struct ft_err why = {0};
    int64_t held = f->held;
    int rc = clear(f, bucket, false, err);
    if (rc == 0)
        rc = clear(f, bucket, true, err);
    if (rc != 0 || f->more || f->held > held)
        return rc;
    rc = ft_blob_bucket_delete(f->blob, bucket, &why);
    f->left -= rc == 0;
    if (rc == FT_EBUSY && ft_blob_why(&why) == FT_BLOB_BUCKET_FULL) {
        f->more = true; /* something was put meanwhile */
        return 0;
    }
    if (rc != 0)
        *err = why;
    return rc;
}

static int name_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct forgetting *f = ctx;
    if (f->n_buckets == BUCKETS_MAX) {
        f->more = true;
        return 1;
    }
    memcpy(f->bucket[f->n_buckets++], b->name, sizeof b->name);
    return 0;
}

static int forget_all(struct forgetting *f, const char *project, struct ft_err *err)
{
    int rc = gw_hub_forget(f->gw, project, &f->left, err);
    if (rc > 0 || f->left == 0) {
        f->more = true;
        return 0;
    }
    if (rc == 0)
        rc = ft_blob_bucket_list(f->blob, project, name_bucket, f, err);
    for (int i = 0; rc >= 0 && i < f->n_buckets; i++) {
        rc = f->left > 0 ? forget_bucket(f, f->bucket[i], err) : 0;
        if (rc == FT_ENOTFOUND && ft_blob_why(err) == FT_BLOB_NO_BUCKET)
            rc = 0; /* it went by itself */
        f->more |= f->left <= 0;
    }
    return FT_MIN(rc, 0);
}

static void forget(struct gw_request *r)
{
    struct forgetting *f = calloc(1, sizeof *f);
    struct ft_err err = {0};
    struct ft_oai_error e;
    const char *project = r->part[0];
    int rc;
    if (f != NULL) {
        f->gw = r->gw;
        f->blob = gw_blob(r->gw);
        f->left = REMOVED_MAX;
        f->bucket = calloc(BUCKETS_MAX, sizeof *f->bucket);
    }
    if (f == NULL || f->bucket == NULL)
        rc = ft_err_set(&err, FT_ENOMEM, "no memory");
    else if (ft_tenant_has_project(r->gw->tenant, project))
        rc = ft_err_set(&err, FT_EBUSY, "the project '%.64s' is there", project);
    else
        rc = forget_all(f, project, &err);
    if (rc != 0) {
        ft_oai_error_from(&e, &err);
        gw_fail(r, &e);
    } else {
        gw_respond_json(r, json_pack("{s:i,s:I,s:I,s:b}", "removed", REMOVED_MAX - f->left, "held",
                                     (json_int_t)f->held, "until", (json_int_t)f->until_s, "more",
                                     f->more));
    }
    if (f != NULL)
        free(f->bucket);
    free(f);
}

static const struct gw_route rows[] = {
    {"POST", "/internal/projects/{}/forget", NULL, NULL, GW_OPENAI, forget, 0,
     GW_LANE | GW_STORE | GW_INNER, 0},
};
const struct gw_table gw_leftover_routes = {rows, FT_COUNT(rows)};
