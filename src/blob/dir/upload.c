/* Uploads in parts.
 *
 * An upload is a row, its parts are rows under its number. To complete it is to let a version refer
 * to that number: no byte and no part's row is moved, however large the object. What completed just
 * now is remembered a while, for callers who did not hear the answer. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/hex.h"
#include "blob/dir/calls.h"
#include "blob/dir/page.h"

#define ENDED_KEPT_NS ((int64_t)3600 * 1000000000)

static int not_there(struct ft_err *err)
{
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_UPLOAD, "no such upload");
}

int ft_dir_upload_find(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                       const char *id, struct ft_row *ret, struct ft_err *err)
{
    int64_t n = ft_dir_id_parse(d, id);
    sqlite3_stmt *s;
    if (n == 0)
        return not_there(err);
    int rc = ft_sql_row(c, &s, err, FT_SQL_UPLOAD_GET, "i", n);
    if (rc == 1 &&
        (sqlite3_column_int64(s, 0) != bucket || sqlite3_column_type(s, 1) != SQLITE_TEXT ||
         strcmp((const char *)sqlite3_column_text(s, 1), key) != 0))
        rc = 0;
    if (rc == 1) {
        size_t n_bytes = (size_t)sqlite3_column_bytes(s, 2), n_key = strlen(key) + 1;
        char *memory = malloc(n_key + n_bytes + 1);
        rc = memory == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for an upload") : 0;
        if (rc == 0) {
            struct ft_row_at at = {bucket, n, memory};
            memcpy(memory, key, n_key);
            memcpy(memory + n_key, sqlite3_column_blob(s, 2), n_bytes);
            rc = ft_row_decode(memory + n_key, n_bytes, &at, ret, err);
        }
        if (rc == 0)
            ret->memory = memory;
        else
            free(memory);
    } else if (rc == 0) {
        rc = not_there(err);
    }
    ft_sql_end(s);
    return rc;
}

struct begin {
    const struct ft_blob_put *put;
    int64_t id;
};

static int begin(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct begin *x = ctx;
    const struct ft_blob_put *p = x->put;
    struct ft_dir_bucket bucket;
    struct ft_buf bytes;
    int rc = ft_dir_bucket_find(c, p->bucket, &bucket, err);
    if (rc != 0)
        return rc;
    x->id = ft_dir_id_next(d);
    struct ft_row row = {.id = x->id,
                         .info = {.modified_ns = ft_dir_wall_ns(),
                                  .fields = p->fields,
                                  .n_fields = p->n_fields,
                                  .tags = p->tags,
                                  .n_tags = p->n_tags,
                                  .hold = p->hold,
                                  .acl = p->acl}};
    struct ft_row_at at = {bucket.id, x->id, p->key};
    ft_buf_init(&bytes, FT_ROW_BYTES_MAX);
    rc = ft_row_encode(&row, &at, &bytes, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_UPLOAD_ADD, "iitb", x->id, bucket.id, p->key, bytes.data,
                        bytes.len);
    ft_buf_fini(&bytes);
    return rc;
}

int ft_dir_upload_begin(struct ft_blob *b, const struct ft_blob_put *put, char ret_id[],
                        struct ft_err *err)
{
    struct begin x = {put, 0};
    int rc = ft_dir_commit(ft_dir_of(b), begin, &x, 0, NULL, err);
    if (rc == 0)
        ft_dir_id_text(ft_dir_of(b), x.id, ret_id);
    return rc;
}

/* Bucket and upload, in a transaction for reading. */
static int open_upload(struct ft_dir *d, const char *bucket, const char *key, const char *id,
                       struct ft_conn **ret_c, struct ft_row *ret, struct ft_err *err)
{
    struct ft_dir_bucket found;
    int rc = ft_index_read(&d->index, ret_c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(*ret_c, bucket, &found, err);
    if (rc == 0)
        rc = ft_dir_upload_find(d, *ret_c, found.id, key, id, ret, err);
    if (rc != 0)
        ft_index_done(&d->index, *ret_c);
    return rc;
}

int ft_dir_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                      struct ft_blob_object *ret, struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct ft_row row;
    int rc = open_upload(d, bucket, key, id, &c, &row, err);
    if (rc != 0)
        return rc;
    ft_index_done(&d->index, c);
    rc = ft_blob_object_set(ret, &row.info, NULL, 0, err);
    ft_row_fini(&row);
    return rc;
}

/* ---- parts ---- */

/* 1: there is one. The texts of *ret lie in the statement, which the caller ends. */
static int part_row(struct ft_conn *c, int64_t upload, int number, sqlite3_stmt **ret_s,
                    struct ft_row *ret, struct ft_err *err)
{
    int rc = ft_sql_row(c, ret_s, err, FT_SQL_PART_GET, "ii", upload, (int64_t)number);
    if (rc == 1) {
        struct ft_row_at at = {upload, number, ""};
        rc = ft_row_decode(sqlite3_column_blob(*ret_s, 1), (size_t)sqlite3_column_bytes(*ret_s, 1),
                           &at, ret, err);
        rc = rc == 0 ? 1 : rc;
    }
    return rc;
}

int ft_dir_part_get(struct ft_conn *c, int64_t upload, int number, struct ft_blob_object *ret,
                    struct ft_err *err)
{
    sqlite3_stmt *s;
    struct ft_row row;
    int rc = part_row(c, upload, number, &s, &row, err);
    if (rc == 0)
        rc = ft_err_set(err, FT_ECORRUPT, "part %d is missing in the index", number);
    if (rc == 1) {
        ft_blob_object_fini(ret);
        rc = ft_blob_object_set(ret, &row.info, NULL, 0, err);
    }
    ft_sql_end(s);
    return rc;
}

/* Removes a part of an unfinished upload, with its bytes. */
static int part_drop(struct ft_conn *c, int64_t bucket, int64_t upload, int number,
                     const struct ft_row *part, struct ft_err *err)
{
    int rc = ft_sql_run(c, err, FT_SQL_PART_DROP, "ii", upload, (int64_t)number);
    if (rc == 0)
        rc = ft_dir_place_drop(c, part->place, part->id, part->id, err);
    return rc != 0 ? rc : ft_dir_bucket_count(c, bucket, -1, -part->info.size, err);
}

int ft_dir_part_put(struct ft_conn *c, int64_t bucket, int64_t upload, int number,
                    struct ft_row *row, struct ft_err *err)
{
    sqlite3_stmt *s;
    struct ft_row old;
    struct ft_buf bytes;
    struct ft_row_at at = {upload, number, ""};
    int rc = part_row(c, upload, number, &s, &old, err);
    ft_sql_end(s);
    if (rc == 1)
        rc = part_drop(c, bucket, upload, number, &old, err);
    if (rc != 0)
        return rc;
    ft_buf_init(&bytes, FT_ROW_BYTES_MAX);
    rc = ft_row_encode(row, &at, &bytes, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_PART_ADD, "iib", upload, (int64_t)number, bytes.data,
                        bytes.len);
    if (rc == 0)
        rc = ft_dir_bucket_count(c, bucket, 1, row->info.size, err);
    ft_buf_fini(&bytes);
    return rc;
}

int ft_dir_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                        struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_conn *c;
    struct ft_row row;
    sqlite3_stmt *s;
    int n = 0, rc = open_upload(d, bucket, key, id, &c, &row, err);
    if (rc != 0)
        return rc;
    int64_t upload = row.id;
    ft_row_fini(&row);
    struct ft_page page;
    ft_page_init(&page);
    rc = ft_sql_row(c, &s, err, FT_SQL_PART_LIST, "ii", upload, (int64_t)after);
    while (rc == 1 && n < max && page.bytes.len < FT_PAGE_BYTES_MAX) {
        struct ft_page_entry e = {"", sqlite3_column_int64(s, 0), false, sqlite3_column_blob(s, 1),
                                  (size_t)sqlite3_column_bytes(s, 1)};
        rc = ft_page_add(&page, &e, err);
        n++;
        if (rc == 0)
            rc = ft_sql_step(c, s, err);
    }
    bool more = rc == 1 && max > 0;
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    rc = rc < 0 ? rc : 0;
    struct ft_page_entry e;
    for (size_t at = 0; rc == 0 && ft_page_next(&page, &at, &e);) {
        struct ft_row_at where = {upload, e.order, ""};
        rc = ft_row_decode(e.bytes, e.n_bytes, &where, &row, err);
        if (rc != 0)
            break;
        const struct ft_blob_info *info = &row.info;
        struct ft_blob_part part = {(int)e.order, info->size,   info->modified_ns,
                                    "",           info->fields, info->n_fields};
        memcpy(part.etag, info->etag, sizeof part.etag);
        rc = fn(ctx, &part);
    }
    ft_page_fini(&page);
    if (rc == 0 && ret_more != NULL)
        *ret_more = more;
    return rc;
}

/* ---- the end of an upload ---- */

int ft_dir_upload_drop(struct ft_conn *c, int64_t bucket, int64_t upload, struct ft_err *err)
{
    int64_t objects = 0, bytes = 0;
    sqlite3_stmt *s;
    struct ft_row part;
    int rc = ft_sql_row(c, &s, err, FT_SQL_PART_LIST, "ii", upload, (int64_t)0);
    for (; rc == 1; rc = ft_sql_step(c, s, err)) {
        struct ft_row_at at = {upload, sqlite3_column_int64(s, 0), ""};
        rc = ft_row_decode(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &at,
                           &part, err);
        if (rc != 0)
            break;
        objects++;
        bytes += part.info.size;
    }
    ft_sql_end(s);
    if (rc == 0)
        rc = ft_dir_place_drop(c, FT_PLACE_PARTS, upload, upload, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_UPLOAD_DROP, "i", upload);
    return rc != 0 ? rc : ft_dir_bucket_count(c, bucket, -objects, -bytes, err);
}

struct end {
    const char *bucket, *key, *id;
    const struct ft_blob_part *parts;
    int n_parts;
    const struct ft_blob_condition *condition;
    const struct ft_blob_field *fields;
    int n_fields;
    uint8_t digest[MD5_DIGEST_LENGTH]; /* of the numbers and ETags that were asked for */
    struct ft_blob_done done;
    struct ft_row old, row;
};

static int abort_upload(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct end *x = ctx;
    struct ft_dir_bucket bucket;
    int rc = ft_dir_bucket_find(c, x->bucket, &bucket, err);
    if (rc == 0)
        rc = ft_dir_upload_find(d, c, bucket.id, x->key, x->id, &x->old, err);
    if (rc != 0)
        return rc;
    int64_t upload = x->old.id;
    ft_row_fini(&x->old);
    rc = ft_dir_upload_drop(c, bucket.id, upload, err);
    c->broken |= rc != 0;
    return rc;
}

int ft_dir_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        struct ft_err *err)
{
    struct end *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an upload");
    x->bucket = bucket;
    x->key = key;
    x->id = id;
    int rc = ft_dir_commit(ft_dir_of(b), abort_upload, x, FT_DIR_FREES, NULL, err);
    free(x);
    ft_dir_sweep_wake(ft_dir_of(b));
    return rc;
}

/* Was it completed with these parts a while ago? 1: then *ret is what was answered. */
static int ended(struct ft_dir *d, struct ft_conn *c, int64_t bucket, struct end *x,
                 struct ft_err *err)
{
    int64_t upload = ft_dir_id_parse(d, x->id);
    sqlite3_stmt *s;
    if (upload == 0)
        return 0;
    int rc = ft_sql_row(c, &s, err, FT_SQL_ENDED_GET, "i", upload);
    if (rc == 1 && sqlite3_column_bytes(s, 0) == MD5_DIGEST_LENGTH &&
        memcmp(sqlite3_column_blob(s, 0), x->digest, MD5_DIGEST_LENGTH) == 0 &&
        sqlite3_column_int64(s, 1) == bucket &&
        strcmp((const char *)sqlite3_column_text(s, 2), x->key) == 0) {
        snprintf(x->done.version, sizeof x->done.version, "%s",
                 (const char *)sqlite3_column_text(s, 3));
        snprintf(x->done.etag, sizeof x->done.etag, "%s", (const char *)sqlite3_column_text(s, 4));
        x->done.size = sqlite3_column_int64(s, 5);
        x->done.modified_ns = sqlite3_column_int64(s, 6);
    } else if (rc == 1) {
        rc = 0;
    }
    ft_sql_end(s);
    return rc;
}

/* Looks at every part that is asked for: size and ETag of the whole. Changes nothing. */
static int parts_check(struct ft_conn *c, int64_t upload, struct end *x, struct ft_err *err)
{
    MD5_CTX md5;
    uint8_t digest[MD5_DIGEST_LENGTH];
    int64_t size = 0;
    MD5_Init(&md5);
    for (int i = 0; i < x->n_parts; i++) {
        sqlite3_stmt *s;
        const struct ft_blob_part *p = &x->parts[i];
        int rc = part_row(c, upload, p->number, &s, &x->old, err);
        ft_sql_end(s); /* its ETag and size lie in the row itself */
        if (rc < 0)
            return rc;
        if (rc == 0 || strcmp(x->old.info.etag, p->etag) != 0)
            return ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART,
                               rc == 0 ? "part %d: was not uploaded" : "part %d: another ETag",
                               p->number);
        for (int k = 0; k < MD5_DIGEST_LENGTH; k++) {
            unsigned byte = 0;
            sscanf(x->old.info.etag + 2 * k, "%2x", &byte);
            digest[k] = (uint8_t)byte;
        }
        MD5_Update(&md5, digest, sizeof digest);
        size += x->old.info.size;
        if (size > FT_BLOB_SIZE_MAX)
            return ft_err_set(err, FT_ELIMIT, "the object would be larger than %lld bytes",
                              (long long)FT_BLOB_SIZE_MAX);
    }
    MD5_Final(digest, &md5);
    ft_hex(digest, MD5_DIGEST_LENGTH, x->done.etag);
    snprintf(x->done.etag + 2 * MD5_DIGEST_LENGTH, sizeof x->done.etag - 2 * MD5_DIGEST_LENGTH,
             "-%d", x->n_parts);
    x->done.size = size;
    return 0;
}

/* Parts that are not asked for are removed; the others are counted as one object from now on. */
static int parts_settle(struct ft_conn *c, int64_t bucket, int64_t upload, struct end *x,
                        struct ft_err *err)
{
    int asked = 0, number = 0, rc;
    int64_t objects = 0, bytes = 0;
    for (;;) {
        sqlite3_stmt *s;
        rc = ft_sql_row(c, &s, err, FT_SQL_PART_LIST, "ii", upload, (int64_t)number);
        if (rc != 1) {
            ft_sql_end(s);
            break;
        }
        struct ft_row_at at = {upload, sqlite3_column_int64(s, 0), ""};
        rc = ft_row_decode(sqlite3_column_blob(s, 1), (size_t)sqlite3_column_bytes(s, 1), &at,
                           &x->old, err);
        ft_sql_end(s);
        number = (int)at.order;
        if (rc == 0 && asked < x->n_parts && x->parts[asked].number == number) {
            asked++;
            objects++;
            bytes += x->old.info.size;
        } else if (rc == 0) {
            rc = part_drop(c, bucket, upload, number, &x->old, err);
        }
        if (rc != 0)
            break;
    }
    return rc != 0 ? rc : ft_dir_bucket_count(c, bucket, -objects, -bytes, err);
}

static int complete_found(struct ft_dir *d, struct ft_conn *c, const struct ft_dir_bucket *bucket,
                          struct end *x, const struct ft_blob_object *o, int64_t upload,
                          struct ft_err *err)
{
    x->row = (struct ft_row){.info = o->info, .place = FT_PLACE_PARTS, .id = upload};
    x->row.info.size = x->done.size;
    x->row.info.n_parts = x->n_parts;
    x->row.info.modified_ns = x->done.modified_ns = ft_dir_wall_ns();
    memcpy(x->row.info.etag, x->done.etag, sizeof x->done.etag);
    int rc = ft_dir_version_add(d, c, bucket, x->key, &x->row, x->done.version, err);
    if (rc != 0)
        return rc;
    rc = parts_settle(c, bucket->id, upload, x, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_UPLOAD_DROP, "i", upload);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_ENDED_DROP, "i", x->done.modified_ns - ENDED_KEPT_NS);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_ENDED_ADD, "iibitttii", upload, x->done.modified_ns,
                        x->digest, sizeof x->digest, bucket->id, x->key, x->done.version,
                        x->done.etag, x->done.size, x->done.modified_ns);
    c->broken |= rc != 0;
    return rc;
}

static int complete(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct end *x = ctx;
    struct ft_dir_bucket bucket;
    struct ft_blob_object o = {.memory = NULL};
    int rc = ft_dir_bucket_find(c, x->bucket, &bucket, err);
    if (rc == 0) {
        rc = ended(d, c, bucket.id, x, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
        rc = ft_dir_upload_find(d, c, bucket.id, x->key, x->id, &x->old, err);
    }
    if (rc != 0)
        return rc;
    int64_t upload = x->old.id;
    rc = ft_blob_object_set(&o, &x->old.info, x->fields, x->n_fields, err);
    ft_row_fini(&x->old);
    if (rc == 0)
        rc = parts_check(c, upload, x, err);
    if (rc == 0)
        rc = ft_dir_condition(d, c, bucket.id, x->key, x->condition, err);
    if (rc == 0)
        rc = complete_found(d, c, &bucket, x, &o, upload, err);
    ft_blob_object_fini(&o);
    return rc;
}

int ft_dir_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                           const struct ft_blob_part *parts, int n_parts,
                           const struct ft_blob_condition *condition,
                           const struct ft_blob_field *fields, int n_fields,
                           struct ft_blob_done *ret, struct ft_err *err)
{
    MD5_CTX md5;
    struct end *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for an upload");
    x->bucket = bucket;
    x->key = key;
    x->id = id;
    x->parts = parts;
    x->n_parts = n_parts;
    x->condition = condition;
    x->fields = fields;
    x->n_fields = n_fields;
    MD5_Init(&md5);
    for (int i = 0; i < n_parts; i++) {
        char line[FT_BLOB_ETAG_MAX + 32];
        int n = snprintf(line, sizeof line, "%d %.48s\n", parts[i].number, parts[i].etag);
        MD5_Update(&md5, (const uint8_t *)line, (size_t)n);
    }
    MD5_Final(x->digest, &md5);
    int rc = ft_dir_commit(ft_dir_of(b), complete, x, 0, NULL, err);
    if (rc == 0 && ret != NULL)
        *ret = x->done;
    free(x);
    ft_dir_sweep_wake(ft_dir_of(b));
    return rc;
}
