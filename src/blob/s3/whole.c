/* Usage and scrubs over S3. The upstream scrubs its bytes; what is done here is to count, and to
 * remove documents that belong to nothing any more: of objects that were replaced or removed, and
 * of uploads that ended. */
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/s3/impl.h"

#define DOC_KEY_MAX (FT_BLOB_KEY_MAX + 1)

/* ---- counting ---- */

struct counting {
    struct ups *s;
    const struct ups_place *p;
    struct ft_blob_usage sum;
    char key[FT_BLOB_KEY_MAX + 1], id[FT_BLOB_UPLOAD_MAX + 1]; /* the last one seen */
    bool parts;                                                /* of uploads are counted, too */
    struct ft_err *err;
};

static int count_version(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    struct counting *c = ctx;
    (void)prefix;
    c->sum.objects++;
    c->sum.bytes += info->size;
    snprintf(c->key, sizeof c->key, "%s", info->key);
    snprintf(c->id, sizeof c->id, "%s", info->version);
    return 0;
}

static int count_upload(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct counting *c = ctx;
    struct ups_piece *pieces;
    int n;
    bool more;
    (void)prefix;
    snprintf(c->key, sizeof c->key, "%s", u->key);
    snprintf(c->id, sizeof c->id, "%s", u->id);
    int rc = ups_native_parts(c->s, c->p, u->key, u->id, 0, FT_BLOB_PART_MAX, &pieces, &n, &more,
                              c->err);
    if (rc == FT_ENOTFOUND)
        return 0; /* it ended meanwhile */
    if (rc != 0)
        return rc;
    for (int i = 0; i < n; i++) {
        c->sum.objects++;
        c->sum.bytes += pieces[i].size;
    }
    free(pieces);
    return 0;
}

static int count(struct counting *c, struct ft_err *err)
{
    char after[FT_BLOB_KEY_MAX + 1] = "", id[FT_BLOB_UPLOAD_MAX + 1] = "";
    bool more = true;
    int rc = 0;
    c->err = err;
    for (int uploads = 0; uploads < (c->parts ? 2 : 1) && rc == 0; uploads++) {
        after[0] = id[0] = '\0';
        for (more = true; rc == 0 && more;) {
            struct ft_blob_list l = {.bucket = c->p->name, .after = after, .max = FT_BLOB_LIST_MAX};
            l.after_version = id[0] != '\0' ? id : NULL;
            rc = uploads == 1 ? ups_uploads(&c->s->base, &l, count_upload, c, &more, err)
                              : ups_list(&c->s->base, &l, true, count_version, c, &more, err);
            strcpy(after, c->key);
            strcpy(id, c->id);
        }
    }
    return rc;
}

struct names {
    char (*names)[FT_BLOB_BUCKET_MAX + 1];
    size_t n, cap;
};

static int name_add(void *ctx, const struct ft_blob_bucket *b)
{
    struct names *all = ctx;
    if (all->n == all->cap) {
        size_t cap = all->cap == 0 ? 16 : 2 * all->cap;
        void *more = realloc(all->names, cap * sizeof *all->names);
        if (more == NULL)
            return FT_ENOMEM;
        all->names = more;
        all->cap = cap;
    }
    strcpy(all->names[all->n++], b->name);
    return 0;
}

static int usage_of(struct ups *s, const char *name, struct ft_blob_usage *sum, struct ft_err *err)
{
    struct ups_place p;
    struct counting c = {.s = s, .p = &p, .parts = true};
    bool counted = false;
    pthread_mutex_lock(&s->lock);
    struct ups_bucket *k = ups_bucket_find(s, name);
    if (k != NULL && k->counted_s != 0 && ups_now_s() - k->counted_s < s->usage_seconds) {
        c.sum = k->usage;
        counted = true;
    }
    pthread_mutex_unlock(&s->lock);
    int rc = 0;
    if (!counted) {
        if (ups_place(s, name, &p, NULL) != 0)
            return 0; /* removed meanwhile */
        rc = count(&c, err);
        if (rc == FT_ENOTFOUND)
            return 0;
        pthread_mutex_lock(&s->lock);
        k = ups_bucket_find(s, name);
        if (rc == 0 && k != NULL) {
            k->usage = c.sum;
            k->counted_s = ups_now_s();
        }
        pthread_mutex_unlock(&s->lock);
    }
    sum->bytes += c.sum.bytes;
    sum->objects += c.sum.objects;
    return rc;
}

int ups_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret, struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct names all = {.n = 0};
    struct ft_blob_usage sum = {0};
    int rc = ups_bucket_list(b, owner, name_add, &all, err);
    if (rc == FT_ENOMEM)
        ft_err_set(err, rc, "no memory for a list of buckets");
    for (size_t i = 0; rc == 0 && i < all.n; i++)
        rc = usage_of(s, all.names[i], &sum, err);
    free(all.names);
    if (rc == 0)
        *ret = sum;
    return rc;
}

int ups_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                     struct ft_err *err)
{
    struct ft_blob_bucket facts;
    struct ft_blob_usage sum = {0};
    int rc = ups_bucket_get(b, name, &facts, err);
    if (rc == 0)
        rc = usage_of(ups_of(b), name, &sum, err);
    if (rc == 0)
        *ret = sum;
    return rc;
}

/* ---- documents that belong to nothing ---- */

struct sweep {
    struct ups *s;
    const struct ft_blob_scrub *scrub;
    struct ft_err *err;
};

static int stop_or_go_on(const struct sweep *w)
{
    if (w->scrub->stop != NULL && w->scrub->stop(w->scrub->ctx))
        return ft_err_set(w->err, FT_ECANCELED, "stopped");
    return 0;
}

/* Younger ones may be of a write that is on its way. */
static bool is_old(const struct sweep *w, int64_t modified_s)
{
    return ups_now_s() - modified_s > w->s->document_seconds;
}

/* state/TOKEN: of a version that was replaced or removed, or of a write that never came to its
 * end; and parts/TOKEN with it. */
static int sweep_state(void *ctx, const char *doc, int64_t modified_s)
{
    struct sweep *w = ctx;
    const char *token = doc + strlen("state/");
    char parts[DOC_KEY_MAX];
    int rc = stop_or_go_on(w);
    if (rc != 0 || !is_old(w, modified_s))
        return rc;
    rc = ups_state_is_used(w->s, token, w->err);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    snprintf(parts, sizeof parts, "parts/%s", token);
    rc = ups_doc_remove(w->s, parts, w->err);
    return rc == 0 ? ups_doc_remove(w->s, doc, w->err) : rc;
}

/* upload/NAME: completed long ago, or of an upload that the upstream does not know. */
static int sweep_upload(void *ctx, const char *doc, int64_t modified_s)
{
    struct sweep *w = ctx;
    char *text = NULL;
    const char *bucket, *key, *id;
    struct ups_place p;
    struct ups_piece *pieces = NULL;
    int n, rc = stop_or_go_on(w);
    bool more;
    if (rc != 0 || !is_old(w, modified_s))
        return rc;
    rc = ups_doc_get(w->s, doc, &text, w->err);
    if (rc <= 0)
        return rc;
    rc = 0;
    json_t *j = json_loads(text, 0, NULL);
    free(text);
    if (json_unpack(j, "{s:s,s:s,s:s}", "bucket", &bucket, "key", &key, "id", &id) == 0) {
        bool over = json_object_get(j, "done") != NULL || ups_place(w->s, bucket, &p, NULL) != 0;
        if (!over) {
            rc = ups_native_parts(w->s, &p, key, id, 0, 1, &pieces, &n, &more, w->err);
            over = rc == FT_ENOTFOUND;
            free(pieces);
        }
        if (over)
            rc = ups_upload_forget(w->s, bucket, key, id, w->err);
    }
    json_decref(j);
    return rc;
}

int ups_scrub(struct ft_blob *b, const struct ft_blob_scrub *scrub, struct ft_blob_scrubbed *ret,
              struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct names all = {.n = 0};
    struct sweep w = {s, scrub, err};
    struct ft_blob_scrubbed sum = {0};
    int rc = ups_bucket_list(b, NULL, name_add, &all, err);
    for (size_t i = 0; rc == 0 && i < all.n; i++) {
        struct ups_place p;
        struct counting c = {.s = s, .p = &p, .parts = false};
        if (ups_place(s, all.names[i], &p, NULL) != 0)
            continue;
        rc = count(&c, err);
        if (rc == FT_ENOTFOUND)
            rc = 0;
        sum.objects += c.sum.objects;
        sum.bytes += c.sum.bytes;
        if (rc == 0)
            rc = stop_or_go_on(&w);
    }
    if (rc == 0)
        rc = ups_docs(s, "upload/", sweep_upload, &w, err);
    if (rc == 0)
        rc = ups_docs(s, "state/", sweep_state, &w, err);
    free(all.names);
    *ret = sum;
    return rc;
}
