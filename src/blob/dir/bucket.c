/* Buckets, their documents and counters. */
#include <stdlib.h>
#include <string.h>

#include "blob/dir/calls.h"

static void copy_text(char *to, size_t max, const unsigned char *from)
{
    size_t n = from == NULL ? 0 : strnlen((const char *)from, max - 1);
    memcpy(to, from == NULL ? (const unsigned char *)"" : from, n);
    to[n] = '\0';
}

static void take(sqlite3_stmt *s, struct ft_dir_bucket *ret)
{
    ret->id = sqlite3_column_int64(s, 0);
    copy_text(ret->info.name, sizeof ret->info.name, sqlite3_column_text(s, 1));
    copy_text(ret->info.owner, sizeof ret->info.owner, sqlite3_column_text(s, 2));
    ret->info.created_ns = sqlite3_column_int64(s, 3);
    ret->info.versioning = (enum ft_blob_versioning)sqlite3_column_int(s, 4);
}

/* 1: there is one. */
static int look(struct ft_conn *c, const char *name, struct ft_dir_bucket *ret, struct ft_err *err)
{
    sqlite3_stmt *s;
    int rc = ft_sql_row(c, &s, err, FT_SQL_BUCKET_GET, "t", name);
    if (rc == 1)
        take(s, ret);
    ft_sql_end(s);
    return rc;
}

int ft_dir_bucket_find(struct ft_conn *c, const char *name, struct ft_dir_bucket *ret,
                       struct ft_err *err)
{
    int rc = look(c, name, ret, err);
    if (rc == 0)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: no such bucket", name);
    return rc < 0 ? rc : 0;
}

int ft_dir_bucket_count(struct ft_conn *c, int64_t bucket, int64_t objects, int64_t bytes,
                        struct ft_err *err)
{
    if (objects == 0 && bytes == 0)
        return 0;
    return ft_sql_run(c, err, FT_SQL_BUCKET_COUNT, "iii", objects, bytes, bucket);
}

/* What the changes below are about. */
struct change {
    const char *name, *owner, *what, *text;
    enum ft_blob_versioning versioning;
};

static int create(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct change *x = ctx;
    struct ft_dir_bucket there;
    (void)d;
    int rc = look(c, x->name, &there, err);
    if (rc == 1)
        return ft_blob_err(err, FT_EEXIST, FT_BLOB_BUCKET_IS_THERE, "bucket %s: is there already",
                           x->name);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_BUCKET_ADD, "tti", x->name, x->owner, ft_dir_wall_ns());
    return rc;
}

int ft_dir_bucket_create(struct ft_blob *b, const char *name, const char *owner, struct ft_err *err)
{
    struct change x = {.name = name, .owner = owner};
    return ft_dir_commit(ft_dir_of(b), create, &x, 0, NULL, err);
}

static int drop_uploads(struct ft_conn *c, int64_t bucket, struct ft_err *err)
{
    for (;;) {
        int64_t upload = 0;
        sqlite3_stmt *s;
        int rc = ft_sql_row(c, &s, err, FT_SQL_UPLOAD_OF_BUCKET, "i", bucket);
        if (rc == 1)
            upload = sqlite3_column_int64(s, 0);
        ft_sql_end(s);
        if (rc == 1)
            rc = ft_dir_upload_drop(c, bucket, upload, err);
        else
            return rc;
        if (rc != 0)
            return rc;
    }
}

static int drop(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct change *x = ctx;
    struct ft_dir_bucket b;
    (void)d;
    int rc = ft_dir_bucket_find(c, x->name, &b, err);
    if (rc != 0)
        return rc;
    sqlite3_stmt *s;
    rc = ft_sql_row(c, &s, err, FT_SQL_BUCKET_HELD, "i", b.id);
    ft_sql_end(s);
    if (rc == 1)
        return ft_blob_err(err, FT_EBUSY, FT_BLOB_BUCKET_FULL, "bucket %s: is not empty", x->name);
    if (rc == 0)
        rc = drop_uploads(c, b.id, err);
    if (rc == 0) /* its number may be given to another */
        rc = ft_sql_run(c, err, FT_SQL_ENDED_DROP_ALL, "i", b.id);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_CONFIG_DROP_ALL, "i", b.id);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_BUCKET_DROP, "i", b.id);
    c->broken |= rc != 0; /* some of its uploads may be gone */
    return rc;
}

int ft_dir_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err)
{
    struct change x = {.name = name};
    int rc = ft_dir_commit(ft_dir_of(b), drop, &x, FT_DIR_FREES, NULL, err);
    if (rc == 0)
        ft_dir_sweep_wake(ft_dir_of(b));
    return rc;
}

int ft_dir_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                      struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct ft_dir_bucket found;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(c, name, &found, err);
    ft_index_done(&d->index, c);
    if (rc == 0)
        *ret = found.info;
    return rc;
}

/* The next bucket behind `after`, and of the owner. 1: there is one. */
static int next_bucket(struct ft_dir *d, const char *after, const char *owner,
                       struct ft_dir_bucket *ret, struct ft_err *err)
{
    struct ft_conn *c;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    sqlite3_stmt *s = NULL;
    for (rc = ft_sql_row(c, &s, err, FT_SQL_BUCKET_LIST, "t", after); rc == 1;
         rc = ft_sql_step(c, s, err)) {
        take(s, ret);
        if (owner == NULL || strcmp(ret->info.owner, owner) == 0)
            break;
    }
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    return rc;
}

int ft_dir_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                       struct ft_err *err)
{
    struct ft_dir_bucket at = {.id = 0};
    char after[FT_BLOB_BUCKET_MAX + 1] = "";
    int rc;
    /* one by one, so that no connection is held while fn runs */
    while ((rc = next_bucket(ft_dir_of(b), after, owner, &at, err)) == 1) {
        rc = fn(ctx, &at.info);
        if (rc != 0)
            return rc;
        memcpy(after, at.info.name, sizeof after);
    }
    return rc;
}

static int set_versioning(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct change *x = ctx;
    struct ft_dir_bucket b;
    (void)d;
    int rc = ft_dir_bucket_find(c, x->name, &b, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_BUCKET_VERSIONING, "ii", (int64_t)x->versioning, b.id);
    return rc;
}

int ft_dir_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                 struct ft_err *err)
{
    struct change x = {.name = name, .versioning = v};
    return ft_dir_commit(ft_dir_of(b), set_versioning, &x, 0, NULL, err);
}

static int set_config(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct change *x = ctx;
    struct ft_dir_bucket b;
    (void)d;
    int rc = ft_dir_bucket_find(c, x->name, &b, err);
    if (rc != 0)
        return rc;
    if (x->text == NULL)
        return ft_sql_run(c, err, FT_SQL_CONFIG_DROP, "it", b.id, x->what);
    return ft_sql_run(c, err, FT_SQL_CONFIG_SET, "itt", b.id, x->what, x->text);
}

int ft_dir_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                      struct ft_err *err)
{
    struct change x = {.name = name, .what = what, .text = text};
    return ft_dir_commit(ft_dir_of(b), set_config, &x, 0, NULL, err);
}

int ft_dir_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                         struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct ft_dir_bucket found;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(c, name, &found, err);
    if (rc == 0) {
        sqlite3_stmt *s;
        rc = ft_sql_row(c, &s, err, FT_SQL_CONFIG_GET, "it", found.id, what);
        if (rc == 1 &&
            ft_buf_add(ret, sqlite3_column_text(s, 0), (size_t)sqlite3_column_bytes(s, 0)) != 0)
            rc = ft_err_set(err, ret->failed, "%s of bucket %s: no room for it", what, name);
        ft_sql_end(s);
    }
    ft_index_done(&d->index, c);
    return rc;
}

int ft_dir_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                 struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    sqlite3_stmt *s;
    rc = owner == NULL ? ft_sql_row(c, &s, err, FT_SQL_USAGE_ALL, "")
                       : ft_sql_row(c, &s, err, FT_SQL_USAGE, "t", owner);
    if (rc == 1) {
        ret->objects = sqlite3_column_int64(s, 0);
        ret->bytes = sqlite3_column_int64(s, 1);
        rc = 0;
    }
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    return rc;
}

int ft_dir_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                        struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_dir_bucket found;
    struct ft_conn *c;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(c, name, &found, err);
    if (rc == 0) {
        sqlite3_stmt *s;
        rc = ft_sql_row(c, &s, err, FT_SQL_USAGE_BUCKET, "i", found.id);
        if (rc == 1) {
            ret->objects = sqlite3_column_int64(s, 0);
            ret->bytes = sqlite3_column_int64(s, 1);
        }
        ft_sql_end(s);
        rc = FT_MIN(rc, 0);
    }
    ft_index_done(&d->index, c);
    return rc;
}
