/* Versions of objects in the index: looked up, added by the rules of their bucket, removed,
 * annotated.
 *
 * The versions of a key stand newest first: the first row is the latest. A version's number is
 * larger than all before (it holds how often the folder was opened, then a counter), and stands
 * negated in `ord`. "null" versions, of which a key has one at most, are found by looking through
 * the key's rows. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "blob/dir/calls.h"

#define NULL_VERSION "null"

/* The row that s stands on: (ord, row) from `column` on. Copied: the statement may go on. */
static int take(struct ft_dir *d, sqlite3_stmt *s, int64_t bucket, const char *key,
                struct ft_row *ret, struct ft_err *err)
{
    size_t n = (size_t)sqlite3_column_bytes(s, 1), n_key = strlen(key) + 1;
    char *memory = malloc(n_key + n + 1);
    if (memory == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a row of the index");
    memcpy(memory, key, n_key);
    memcpy(memory + n_key, n == 0 ? "" : sqlite3_column_blob(s, 1), n);
    struct ft_row_at at = {bucket, sqlite3_column_int64(s, 0), memory};
    int rc = ft_row_decode(memory + n_key, n, &at, ret, err);
    if (rc != 0) {
        free(memory);
        return rc;
    }
    ret->memory = memory;
    if (ret->is_null)
        memcpy(ret->info.version, NULL_VERSION, sizeof NULL_VERSION);
    else
        ft_dir_id_text(d, -at.order, ret->info.version);
    return 0;
}

int ft_dir_latest(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                  struct ft_row *ret, struct ft_err *err)
{
    sqlite3_stmt *s;
    int rc = ft_sql_row(c, &s, err, FT_SQL_VERSIONS, "it", bucket, key);
    if (rc == 1) {
        rc = take(d, s, bucket, key, ret, err);
        if (rc == 0) {
            ret->info.is_latest = true;
            rc = 1;
        }
    }
    ft_sql_end(s);
    return rc;
}

static int null_version(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                        struct ft_row *ret, struct ft_err *err)
{
    sqlite3_stmt *s;
    bool first = true;
    int rc = ft_sql_row(c, &s, err, FT_SQL_VERSIONS, "it", bucket, key);
    for (; rc == 1; rc = ft_sql_step(c, s, err), first = false) {
        rc = take(d, s, bucket, key, ret, err);
        if (rc != 0)
            break;
        if (ret->is_null) {
            ret->info.is_latest = first;
            rc = 1;
            break;
        }
        ft_row_fini(ret);
    }
    ft_sql_end(s);
    return rc;
}

int ft_dir_version(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                   const char *version, struct ft_row *ret, struct ft_err *err)
{
    if (strcmp(version, NULL_VERSION) == 0)
        return null_version(d, c, bucket, key, ret, err);
    int64_t id = ft_dir_id_parse(d, version), first = 0;
    if (id == 0)
        return 0;
    sqlite3_stmt *s;
    int rc = ft_sql_row(c, &s, err, FT_SQL_VERSION_GET, "iti", bucket, key, -id);
    if (rc == 1) {
        rc = take(d, s, bucket, key, ret, err);
        rc = rc == 0 ? 1 : rc;
    }
    ft_sql_end(s);
    if (rc != 1)
        return rc;
    if (ret->is_null) { /* it has no name but that one */
        ft_row_fini(ret);
        return 0;
    }
    rc = ft_sql_row(c, &s, err, FT_SQL_VERSIONS, "it", bucket, key);
    if (rc == 1)
        first = sqlite3_column_int64(s, 0);
    ft_sql_end(s);
    ret->info.is_latest = first == -id;
    if (rc < 0)
        ft_row_fini(ret);
    return rc < 0 ? rc : 1;
}

int ft_dir_find(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                const char *version, struct ft_row *ret, struct ft_err *err)
{
    int rc = version == NULL ? ft_dir_latest(d, c, bucket, key, ret, err)
                             : ft_dir_version(d, c, bucket, key, version, ret, err);
    if (rc < 0)
        return rc;
    if (rc == 0 && version != NULL)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_VERSION, "%s: no version %s", key,
                           version);
    if (rc == 0)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_KEY, "%s: no such object", key);
    if (!ret->info.is_marker)
        return 0;
    if (version != NULL)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_IS_MARKER, "%s: this version is a deletion",
                           key);
    ft_row_fini(ret);
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_KEY, "%s: was deleted", key);
}

int ft_dir_condition(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                     const struct ft_blob_condition *condition, struct ft_err *err)
{
    struct ft_row there;
    if (!ft_blob_condition_any(condition))
        return 0;
    int rc = ft_dir_latest(d, c, bucket, key, &there, err);
    if (rc < 0)
        return rc;
    int met = ft_blob_condition_check(condition, rc == 1 ? &there.info : NULL, err);
    if (rc == 1)
        ft_row_fini(&there);
    return met;
}

/* ---- changes ---- */

int ft_dir_place_drop(struct ft_conn *c, enum ft_place place, int64_t id, int64_t pin,
                      struct ft_err *err)
{
    switch (place) {
    case FT_PLACE_NONE:
        return 0;
    case FT_PLACE_SMALL: /* readers of an object hold all of it; those of its parts do not */
        if (pin == id)
            return ft_sql_run(c, err, FT_SQL_SMALL_DROP, "i", id);
        return ft_sql_run(c, err, FT_SQL_TRASH_ADD, "ii", id, pin);
    case FT_PLACE_FILE:
        return ft_sql_run(c, err, FT_SQL_TRASH_ADD, "ii", id, pin);
    case FT_PLACE_PARTS:
        break;
    }
    sqlite3_stmt *s;
    struct ft_row part;
    int rc = ft_sql_row(c, &s, err, FT_SQL_PART_LIST, "ii", id, (int64_t)0);
    for (; rc == 1; rc = ft_sql_step(c, s, err)) {
        struct ft_row_at at = {id, sqlite3_column_int64(s, 0), ""};
        rc = ft_row_decode(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &at,
                           &part, err);
        c->broken |= rc != 0; /* half of it is done */
        if (rc == 0)
            rc = ft_dir_place_drop(c, part.place, part.id, id, err);
        if (rc != 0)
            break;
    }
    ft_sql_end(s);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_PART_DROP_ALL, "i", id);
    return rc;
}

static int version_drop(struct ft_conn *c, const struct ft_row *row, struct ft_err *err)
{
    int rc =
        ft_sql_run(c, err, FT_SQL_VERSION_DROP, "iti", row->at.owner, row->at.key, row->at.order);
    if (rc == 0)
        rc = ft_dir_place_drop(c, row->place, row->id, row->id, err);
    if (rc == 0)
        rc = ft_dir_bucket_count(c, row->at.owner, -1, -row->info.size, err);
    return rc;
}

/* The null version gives way to a new one, if no hold forbids it. */
static int null_drop(struct ft_dir *d, struct ft_conn *c, const struct ft_dir_bucket *bucket,
                     const char *key, bool bypass, struct ft_err *err)
{
    struct ft_row old;
    int rc = bucket->info.versioning == FT_BLOB_UNVERSIONED
                 ? ft_dir_latest(d, c, bucket->id, key, &old, err)
                 : null_version(d, c, bucket->id, key, &old, err);
    if (rc != 1)
        return rc;
    rc = ft_blob_hold_check(&old.info.hold, time(NULL), bypass, err);
    if (rc == 0)
        rc = version_drop(c, &old, err);
    ft_row_fini(&old);
    return rc;
}

int ft_dir_version_add(struct ft_dir *d, struct ft_conn *c, const struct ft_dir_bucket *bucket,
                       const char *key, struct ft_row *row, char ret_version[], struct ft_err *err)
{
    struct ft_buf bytes;
    int64_t id = ft_dir_id_next(d);
    struct ft_row_at at = {bucket->id, -id, key};
    row->is_null = bucket->info.versioning != FT_BLOB_VERSIONED;
    ft_buf_init(&bytes, FT_ROW_BYTES_MAX);
    int rc = ft_row_encode(row, &at, &bytes, err);
    if (rc == 0 && row->is_null)
        rc = null_drop(d, c, bucket, key, false, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_VERSION_ADD, "itib", bucket->id, key, -id, bytes.data,
                        bytes.len);
    if (rc == 0)
        rc = ft_dir_bucket_count(c, bucket->id, 1, row->info.size, err);
    ft_buf_fini(&bytes);
    if (rc == 0 && row->is_null)
        memcpy(ret_version, NULL_VERSION, sizeof NULL_VERSION);
    else if (rc == 0)
        ft_dir_id_text(d, id, ret_version);
    return rc;
}

struct removal {
    const struct ft_blob_delete *del;
    struct ft_blob_deleted *ret;
};

/* One version, by its name. */
static int remove_version(struct ft_dir *d, struct ft_conn *c, int64_t bucket,
                          const struct ft_blob_delete *del, struct ft_blob_deleted *ret,
                          struct ft_err *err)
{
    struct ft_row row;
    int rc = ft_dir_version(d, c, bucket, del->key, del->version, &row, err);
    if (rc < 0)
        return rc;
    int met = ft_blob_condition_check(&del->condition, rc == 1 ? &row.info : NULL, err);
    if (rc == 0)
        return met;
    rc = met;
    if (rc == 0)
        rc = ft_blob_hold_check(&row.info.hold, time(NULL), del->bypass, err);
    if (rc == 0)
        rc = version_drop(c, &row, err);
    if (rc == 0) {
        memcpy(ret->version, row.info.version, sizeof ret->version);
        ret->is_marker = row.info.is_marker;
    }
    ft_row_fini(&row);
    return rc;
}

static int remove_key(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    const struct removal *x = ctx;
    const struct ft_blob_delete *del = x->del;
    struct ft_dir_bucket bucket;
    *x->ret = (struct ft_blob_deleted){.is_marker = false};
    int rc = ft_dir_bucket_find(c, del->bucket, &bucket, err);
    if (rc != 0)
        return rc;
    if (del->version != NULL)
        return remove_version(d, c, bucket.id, del, x->ret, err);
    rc = ft_dir_condition(d, c, bucket.id, del->key, &del->condition, err);
    if (rc != 0)
        return rc;
    if (bucket.info.versioning == FT_BLOB_UNVERSIONED)
        return null_drop(d, c, &bucket, del->key, del->bypass, err);
    struct ft_row marker = {.info = {.is_marker = true, .modified_ns = ft_dir_wall_ns()}};
    x->ret->is_marker = true;
    return ft_dir_version_add(d, c, &bucket, del->key, &marker, x->ret->version, err);
}

int ft_dir_remove(struct ft_blob *b, const struct ft_blob_delete *del, struct ft_blob_deleted *ret,
                  struct ft_err *err)
{
    struct ft_blob_deleted made;
    struct removal x = {del, &made};
    int rc = ft_dir_commit(ft_dir_of(b), remove_key, &x, FT_DIR_FREES, NULL, err);
    if (rc != 0)
        return rc;
    ft_dir_sweep_wake(ft_dir_of(b));
    if (ret != NULL)
        *ret = made;
    return 0;
}

struct annotation {
    const char *bucket, *key, *version;
    const struct ft_blob_marks *marks;
    char ret_version[FT_BLOB_VERSION_MAX + 1];
};

static int annotate_row(struct ft_conn *c, struct ft_row *row, const struct ft_blob_marks *marks,
                        struct ft_err *err)
{
    struct ft_buf bytes;
    int rc = 0;
    if (marks->hold != NULL) {
        rc = ft_blob_hold_change(&row->info.hold, marks->hold, time(NULL), marks->bypass, err);
        row->info.hold = *marks->hold;
    }
    if (marks->tags != NULL) {
        row->info.tags = marks->tags;
        row->info.n_tags = marks->n_tags;
    }
    if (marks->acl != NULL)
        row->info.acl = marks->acl;
    ft_buf_init(&bytes, FT_ROW_BYTES_MAX);
    if (rc == 0)
        rc = ft_row_encode(row, &row->at, &bytes, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_VERSION_SET, "biti", bytes.data, bytes.len, row->at.owner,
                        row->at.key, row->at.order);
    ft_buf_fini(&bytes);
    return rc;
}

static int annotate(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct annotation *x = ctx;
    struct ft_dir_bucket bucket;
    struct ft_row row = {.memory = NULL};
    int rc = ft_dir_bucket_find(c, x->bucket, &bucket, err);
    if (rc == 0)
        rc = ft_dir_find(d, c, bucket.id, x->key, x->version, &row, err);
    if (rc == 0) {
        memcpy(x->ret_version, row.info.version, sizeof x->ret_version);
        rc = annotate_row(c, &row, x->marks, err);
    }
    ft_row_fini(&row);
    return rc;
}

int ft_dir_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                    const struct ft_blob_marks *marks, char ret_version[], struct ft_err *err)
{
    struct annotation x = {bucket, key, version, marks, ""};
    int rc = ft_dir_commit(ft_dir_of(b), annotate, &x, 0, NULL, err);
    if (rc == 0 && ret_version != NULL)
        memcpy(ret_version, x.ret_version, sizeof x.ret_version);
    return rc;
}
