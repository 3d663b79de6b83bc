/* POST /internal/projects/{}/forget, on HOME/run/gateway.sock: what a removed project kept in the
 * store of objects goes: its repositories, its buckets (its files' among them) with all versions
 * and unfinished uploads. Control asks, and asks again (control/leftover.h): one request looks at
 * LOOKS_MAX things at most, whether they go or stay, and says where the next is to go on.
 *
 *   {}, or the `next` of the answer before
 *   {"removed": n, "held": n, "until": unix time, "next": {bucket, key, version, held}, or null}
 *
 * held: versions under a retention in compliance mode or a legal hold, which stay, and their bucket
 * with them; until: when the first such retention ends, 0 if none does; both of what this request
 * looked at. A project that this gateway knows is refused, and so is a second request while one is
 * under way. */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "gateway/inner.h"

/* Things of one request: repositories and what is noted of them, versions, uploads, buckets. So few
 * that it is answered before control gives up, also on a store that is slow. */
#define LOOKS_MAX  200
#define PAGE_BYTES ((size_t)4 << 20)
#define BODY_MAX   16384

struct victim {
    const char *key; /* the page's arena */
    char id[FT_BLOB_UPLOAD_MAX + 1];
};

/* Behind what was looked at: all of a version's, of its key if it has none. */
struct place {
    char bucket[FT_BLOB_BUCKET_MAX + 1]; /* "": nothing yet, not even the repositories */
    char key[FT_BLOB_KEY_MAX + 1], version[FT_BLOB_UPLOAD_MAX + 1];
    int64_t held; /* in this bucket, up to here */
};

struct forgetting {
    struct gw *gw;
    struct ft_blob *blob;
    int left, removed; /* of LOOKS_MAX */
    int64_t held, until_s;
    bool more;
    struct place at;                                    /* where to go on, if there is more */
    char bucket[LOOKS_MAX + 1][FT_BLOB_BUCKET_MAX + 1]; /* each is a look: one more than can be */
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
    f->at.held++;
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
    f->left--;
    if (rc == FT_EBUSY && ft_blob_why(&why) == FT_BLOB_LOCKED) {
        note_held(f, bucket, v);
        return 0;
    }
    f->removed += rc == 0;
    if (rc != 0)
        *err = why;
    return rc;
}

static int abort_upload(struct forgetting *f, const char *bucket, const struct victim *v,
                        struct ft_err *err)
{
    struct ft_err why = {0};
    int rc = ft_blob_upload_abort(f->blob, bucket, v->key, v->id, &why);
    f->left--;
    f->removed += rc == 0;
    if (rc == FT_ENOTFOUND && ft_blob_why(&why) == FT_BLOB_NO_UPLOAD)
        return 0;
    if (rc != 0)
        *err = why;
    return rc;
}

static int clear_page(struct forgetting *f, const char *bucket, bool uploads, struct place *at,
                      bool *ret_more, struct ft_err *err)
{
    const struct ft_blob_list page = {.bucket = bucket,
                                      .after = at->key,
                                      .after_version = at->version[0] != '\0' ? at->version : NULL,
                                      .max = FT_MIN(f->left, FT_BLOB_LIST_MAX)};
    f->n = 0;
    ft_arena_init(&f->arena, PAGE_BYTES);
    int rc = uploads ? ft_blob_uploads(f->blob, &page, add_upload, f, ret_more, err)
                     : ft_blob_list(f->blob, &page, true, add_version, f, ret_more, err);
    if (rc == FT_ENOMEM)
        rc = ft_err_set(err, rc, "no memory for a page");
    for (int i = 0; rc == 0 && i < f->n; i++) {
        rc = uploads ? abort_upload(f, bucket, &f->victim[i], err)
                     : remove_version(f, bucket, &f->victim[i], err);
        snprintf(at->key, sizeof at->key, "%s", f->victim[i].key);
        snprintf(at->version, sizeof at->version, "%s", f->victim[i].id);
    }
    ft_arena_fini(&f->arena);
    return rc;
}

/* All versions behind f->at, or all uploads, page by page, as far as f->left goes. */
static int clear(struct forgetting *f, const char *bucket, bool uploads, struct ft_err *err)
{
    struct place first = {.key = ""}; /* uploads do not stay: those that there are come first */
    bool more = true;
    int rc = 0;
    while (rc == 0 && more && f->left > 0 && *f->gw->opt->end == 0)
        rc = clear_page(f, bucket, uploads, uploads ? &first : &f->at, &more, err);
    f->more |= more;
    return rc;
}

static int forget_bucket(struct forgetting *f, const char *bucket, struct ft_err *err)
{
    struct ft_err why = {0};
    int rc = clear(f, bucket, false, err);
    if (rc == 0 && !f->more)
        rc = clear(f, bucket, true, err);
    if (rc != 0 || f->more || f->at.held > 0)
        return rc;
    rc = ft_blob_bucket_delete(f->blob, bucket, &why);
    f->removed += rc == 0;
    if (rc == FT_EBUSY && ft_blob_why(&why) == FT_BLOB_BUCKET_FULL)
        return ft_err_set(err, rc, "something was put into the bucket '%s' meanwhile", bucket);
    if (rc != 0)
        *err = why;
    return rc;
}

static int name_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct forgetting *f = ctx;
    if (strcmp(b->name, f->at.bucket) < 0)
        return 0;
    if (f->n_buckets == (int)FT_COUNT(f->bucket))
        return 1;
    memcpy(f->bucket[f->n_buckets++], b->name, sizeof b->name);
    return 0;
}

static int forget_buckets(struct forgetting *f, const char *project, struct ft_err *err)
{
    int rc = ft_blob_bucket_list(f->blob, project, name_bucket, f, err);
    for (int i = 0; rc >= 0 && i < f->n_buckets && !f->more; i++) {
        if (strcmp(f->at.bucket, f->bucket[i]) != 0) {
            f->at = (struct place){.key = ""};
            memcpy(f->at.bucket, f->bucket[i], sizeof f->at.bucket);
        }
        f->more = f->left <= 0;
        if (f->more)
            break;
        f->left--;
        rc = forget_bucket(f, f->bucket[i], err);
        if (rc == FT_ENOTFOUND && ft_blob_why(err) == FT_BLOB_NO_BUCKET)
            rc = 0; /* it went by itself */
    }
    return FT_MIN(rc, 0);
}

static int forget_all(struct forgetting *f, const char *project, struct ft_err *err)
{
    if (f->at.bucket[0] == '\0') {
        int left = f->left;
        int rc = gw_hub_forget(f->gw, project, &left, err);
        f->removed += f->left - left;
        f->left = left;
        f->more = rc > 0 || left <= 0;
        if (rc < 0 || f->more)
            return FT_MIN(rc, 0);
    }
    return forget_buckets(f, project, err);
}

/* ---- the request ---- */

static int read_place(struct gw_request *r, struct place *ret, struct ft_err *err)
{
    char text[BODY_MAX];
    const char *bucket = "", *key = "", *version = "";
    json_int_t held = 0;
    size_t n = 0;
    int64_t got = 1;
    while (n < sizeof text && (got = ft_lane_read(r->lane, text + n, sizeof text - n, err)) > 0)
        n += (size_t)got;
    if (got < 0)
        return (int)got;
    json_t *o = json_loadb(text, n, 0, NULL);
    int rc = json_unpack(o, "{s?s,s?s,s?s,s?I}", "bucket", &bucket, "key", &key, "version",
                         &version, "held", &held);
    if (rc == 0 && strlen(bucket) < sizeof ret->bucket && strlen(key) < sizeof ret->key &&
        strlen(version) < sizeof ret->version) {
        snprintf(ret->bucket, sizeof ret->bucket, "%s", bucket);
        snprintf(ret->key, sizeof ret->key, "%s", key);
        snprintf(ret->version, sizeof ret->version, "%s", version);
        ret->held = held;
    } else {
        rc = ft_err_set(err, FT_EINVAL, "the body is no place to go on at");
    }
    json_decref(o);
    return rc;
}

static json_t *answer_of(const struct forgetting *f)
{
    json_t *next = NULL;
    if (f->more)
        next = json_pack("{s:s,s:s,s:s,s:I}", "bucket", f->at.bucket, "key", f->at.key, "version",
                         f->at.version, "held", (json_int_t)f->at.held);
    if (f->more && next == NULL)
        return NULL; /* no memory */
    return json_pack("{s:i,s:I,s:I,s:o?}", "removed", f->removed, "held", (json_int_t)f->held,
                     "until", (json_int_t)f->until_s, "next", next);
}

static int run(struct gw_request *r, struct forgetting *f, struct ft_err *err)
{
    const char *project = r->part[0];
    f->gw = r->gw;
    f->blob = gw_blob(r->gw);
    f->left = LOOKS_MAX;
    int rc = read_place(r, &f->at, err);
    if (rc != 0)
        return rc;
    if (ft_tenant_has_project(r->gw->tenant, project))
        return ft_err_set(err, FT_EBUSY, "the project '%.64s' is there", project);
    if (atomic_exchange(&r->gw->forgetting, true))
        return ft_err_set(err, FT_EBUSY, "what a project kept is being cleared away");
    rc = forget_all(f, project, err);
    atomic_store(&r->gw->forgetting, false);
    return rc;
}

static void forget(struct gw_request *r)
{
    struct forgetting *f = calloc(1, sizeof *f);
    struct ft_err err = {0};
    struct ft_oai_error e;
    int rc = f != NULL ? run(r, f, &err) : ft_err_set(&err, FT_ENOMEM, "no memory");
    if (rc != 0) {
        ft_oai_error_from(&e, &err);
        gw_fail(r, &e);
    } else {
        gw_respond_json(r, answer_of(f));
    }
    free(f);
}

static const struct gw_route rows[] = {
    {"POST", "/internal/projects/{}/forget", NULL, NULL, GW_OPENAI, forget, 0,
     GW_LANE | GW_STORE | GW_INNER, BODY_MAX},
};
const struct gw_table gw_leftover_routes = {rows, FT_COUNT(rows)};
