/* Writers: an object or a part as it streams in.
 *
 * The first FT_DIR_SMALL_MAX bytes are gathered in memory. If it ends there, they become a row of
 * the index; if not, a data file is begun, written as the bytes come, and told to the disk early,
 * so that the sync at the end finds little left to do. On the way: MD5 for the ETag, CRC-32C of
 * every FT_DIR_BLOCK. The commit syncs the file, then adds the rows. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "blob/dir/calls.h"

#define FLUSH_BYTES (4 << 20) /* written before the disk is told to begin */

struct writer {
    struct ft_blob_writer base;
    struct ft_dir *d;
    struct ft_blob_object meta;  /* key, fields, tags, hold, acl */
    struct ft_dir_bucket bucket; /* as it was */
    char upload[FT_BLOB_UPLOAD_MAX + 1];
    int part; /* 0: an object */
    struct ft_blob_condition condition;
    char *match, *none_match; /* what it points to */
    int64_t expected, size;
    struct ft_digest digest;
    char etag[FT_BLOB_ETAG_MAX + 1]; /* of what is linked instead of written */

    uint8_t *small; /* FT_DIR_SMALL_MAX: what is not yet in the file */
    size_t n_small;

    int64_t file; /* 0: none yet */
    int fd;
    int64_t written, flushed;
    uint32_t crc; /* of the block in the making */
    size_t n_block;
    struct ft_buf crcs; /* of the chunk in the making */
    int64_t chunk;      /* its number; those before are in the index already */
    int64_t linked;     /* the file whose checksums hold for this one too */
    int failed;
    struct ft_err err;
};

static void writer_free(struct writer *w)
{
    uint8_t unused[MD5_DIGEST_LENGTH];
    if (w->digest.pool != NULL) /* no thread has it any more */
        ft_digest_end(&w->digest, unused);
    if (w->fd >= 0)
        close(w->fd);
    ft_blob_object_fini(&w->meta);
    ft_buf_fini(&w->crcs);
    free(w->match);
    free(w->none_match);
    free(w->small);
    free(w);
}

/* Is there what it is to be put into? */
static int look(struct ft_dir *d, const struct ft_blob_put *put, struct ft_dir_bucket *ret,
                struct ft_err *err)
{
    struct ft_conn *c;
    int rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_bucket_find(c, put->bucket, ret, err);
    if (rc == 0 && put->upload != NULL) {
        struct ft_row row;
        rc = ft_dir_upload_find(d, c, ret->id, put->key, put->upload, &row, err);
        if (rc == 0)
            ft_row_fini(&row);
    }
    ft_index_done(&d->index, c);
    return rc;
}

static char *copy_of(const char *s, bool *bad)
{
    char *copy = s == NULL ? NULL : strdup(s);
    *bad |= s != NULL && copy == NULL;
    return copy;
}

int ft_dir_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
               struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_dir_bucket bucket;
    int rc = look(d, put, &bucket, err);
    if (rc != 0)
        return rc;
    struct writer *w = calloc(1, sizeof *w);
    bool bad = w == NULL;
    if (!bad) {
        w->base.blob = b;
        w->d = d;
        w->fd = -1;
        w->expected = put->size;
        w->condition = put->condition;
        w->condition.if_match = w->match = copy_of(put->condition.if_match, &bad);
        w->condition.if_none_match = w->none_match = copy_of(put->condition.if_none_match, &bad);
        w->small = malloc(FT_DIR_SMALL_MAX);
        bad |= w->small == NULL;
        ft_buf_init(&w->crcs, FT_DIR_SUMS_CHUNK * sizeof(uint32_t));
        ft_digest_init(&w->digest, &d->digests);
        w->bucket = bucket;
        if (put->upload != NULL) {
            snprintf(w->upload, sizeof w->upload, "%s", put->upload);
            w->part = put->part;
        }
    }
    struct ft_blob_info info = {.key = put->key,
                                .fields = put->fields,
                                .n_fields = put->n_fields,
                                .tags = put->tags,
                                .n_tags = put->n_tags,
                                .hold = put->hold,
                                .acl = put->acl};
    rc = bad ? ft_err_set(err, FT_ENOMEM, "no memory for a writer")
             : ft_blob_object_set(&w->meta, &info, NULL, 0, err);
    if (rc != 0) {
        if (w != NULL)
            writer_free(w);
        return rc;
    }
    *ret = &w->base;
    return 0;
}

/* A data file of its own number, in a folder that is there. */
static int file_begin(struct writer *w, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX];
    int64_t id = ft_dir_id_next(w->d);
    int rc = ft_dir_file_place(w->d, id, path, err);
    if (rc == 0)
        rc = ft_disk_create(&w->d->disk, path, &w->fd, err);
    if (rc == 0)
        w->file = id;
    return rc;
}

static int chunk_add(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    const struct writer *w = ctx;
    (void)d;
    return ft_sql_run(c, err, FT_SQL_SUMS_ADD, "iib", w->file, w->chunk, w->crcs.data, w->crcs.len);
}

static int block_end(struct writer *w, struct ft_err *err)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(w->crc >> 8 * i);
    int rc = ft_buf_add(&w->crcs, bytes, sizeof bytes);
    if (rc != 0)
        return ft_err_set(err, rc, "no memory for checksums");
    w->crc = 0;
    w->n_block = 0;
    if (w->crcs.len < FT_DIR_SUMS_CHUNK * sizeof(uint32_t))
        return 0;
    rc = ft_dir_commit(w->d, chunk_add, w, 0, NULL, err);
    ft_buf_reset(&w->crcs);
    w->chunk++;
    return rc;
}

/* To the file, with checksums. */
static int file_write(struct writer *w, const uint8_t *data, size_t n, struct ft_err *err)
{
    int rc = w->file == 0 ? file_begin(w, err) : 0;
    if (rc == 0)
        rc = ft_disk_write(&w->d->disk, w->fd, data, n, err);
    for (size_t at = 0; rc == 0 && at < n;) {
        size_t piece = FT_MIN(n - at, FT_DIR_BLOCK - w->n_block);
        w->crc = ft_crc32c(w->crc, data + at, piece);
        w->n_block += piece;
        at += piece;
        if (w->n_block == FT_DIR_BLOCK)
            rc = block_end(w, err);
    }
    w->written += (int64_t)n;
    if (rc == 0 && w->written - w->flushed >= FLUSH_BYTES) {
        ft_disk_flush(w->fd, w->flushed, w->written - w->flushed);
        w->flushed = w->written;
    }
    return rc;
}

static int small_write(struct writer *w, struct ft_err *err)
{
    size_t n = w->n_small;
    w->n_small = 0;
    return n == 0 ? 0 : file_write(w, w->small, n, err);
}

/* Small pieces are gathered, large ones written from where they are. */
static int take(struct writer *w, const uint8_t *data, size_t n, struct ft_err *err)
{
    if (n <= FT_DIR_SMALL_MAX - w->n_small) {
        memcpy(w->small + w->n_small, data, n);
        w->n_small += n;
        return 0;
    }
    int rc = small_write(w, err);
    if (rc == 0 && n > FT_DIR_SMALL_MAX / 2)
        return file_write(w, data, n, err);
    if (rc == 0) {
        memcpy(w->small, data, n);
        w->n_small = n;
    }
    return rc;
}

int ft_dir_put_write(struct ft_blob_writer *base, const void *data, size_t n, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    if (w->failed != 0) {
        if (err != NULL)
            *err = w->err;
        return w->failed;
    }
    int64_t max = w->expected >= 0 ? w->expected : FT_BLOB_SIZE_MAX;
    if (n > (uint64_t)(max - w->size)) {
        w->failed = ft_err_set(&w->err, w->expected >= 0 ? FT_EINVAL : FT_ELIMIT,
                               "more than the %lld bytes that were to come", (long long)max);
    } else {
        w->size += (int64_t)n;
        ft_digest_add(&w->digest, data, n);
        w->failed = take(w, data, n, &w->err);
    }
    if (w->failed != 0 && err != NULL)
        *err = w->err;
    return w->failed;
}

static int sums_drop(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    const struct writer *w = ctx;
    (void)d;
    return ft_sql_run(c, err, FT_SQL_SUMS_DROP, "i", w->file);
}

/* Ends a writer whose bytes are not to stay. */
static void drop(struct writer *w, bool doubt)
{
    if (w->chunk > 0) /* if it fails, the next start collects them */
        ft_dir_commit(w->d, sums_drop, w, FT_DIR_FREES, NULL, NULL);
    if (w->file != 0)
        ft_dir_file_drop(w->d, w->file, doubt);
    writer_free(w);
}

void ft_dir_put_abort(struct ft_blob_writer *base)
{
    drop((struct writer *)base, false);
}

int ft_dir_put_link(struct ft_blob_writer *base, int64_t file, const struct ft_blob_info *info,
                    struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    char from[FT_DIR_PATH_MAX], to[FT_DIR_PATH_MAX];
    int64_t id = ft_dir_id_next(w->d);
    ft_dir_file_path(w->d, file, from);
    int rc = ft_dir_file_place(w->d, id, to, err);
    if (rc == 0)
        rc = ft_disk_link(&w->d->disk, from, to, err);
    if (rc != 0)
        return rc;
    w->file = id;
    w->linked = file;
    w->size = info->size;
    memcpy(w->etag, info->etag, sizeof w->etag);
    return 0;
}

/* ---- the commit ---- */

/* What an object or part that was written becomes in the index. */
struct commit {
    struct writer *w;
    struct ft_row row;
    uint32_t small_crc;
    struct ft_blob_done done;
};

/* The rows that hold its bytes, or the checksums of its file. */
static int place_add(struct ft_dir *d, struct ft_conn *c, struct commit *x, struct ft_err *err)
{
    struct writer *w = x->w;
    struct ft_row *row = &x->row;
    if (w->size == 0) {
        row->place = FT_PLACE_NONE;
        row->id = 0;
        return 0;
    }
    if (w->file == 0) {
        row->place = FT_PLACE_SMALL;
        row->id = ft_dir_id_next(d);
        return ft_sql_run(c, err, FT_SQL_SMALL_ADD, "iib", row->id, (int64_t)x->small_crc, w->small,
                          w->n_small);
    }
    row->place = FT_PLACE_FILE;
    row->id = w->file;
    if (w->linked == 0)
        return ft_sql_run(c, err, FT_SQL_FILE_ADD, "iib", w->file, w->size, w->crcs.data,
                          w->crcs.len);
    int rc = ft_sql_run(c, err, FT_SQL_FILE_COPY, "ii", w->file, w->linked);
    return rc != 0 ? rc : ft_sql_run(c, err, FT_SQL_SUMS_COPY, "ii", w->file, w->linked);
}

/* The bucket as it is now; one that was made anew meanwhile is another. */
static int bucket_now(struct ft_conn *c, const struct writer *w, struct ft_dir_bucket *ret,
                      struct ft_err *err)
{
    const struct ft_blob_bucket *was = &w->bucket.info;
    int rc = ft_dir_bucket_find(c, was->name, ret, err);
    if (rc == 0 && (ret->id != w->bucket.id || ret->info.created_ns != was->created_ns))
        rc = ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: is another by now",
                         was->name);
    return rc;
}

static int object_add(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct commit *x = ctx;
    const struct writer *w = x->w;
    struct ft_dir_bucket bucket;
    int rc = bucket_now(c, w, &bucket, err);
    if (rc == 0)
        rc = ft_dir_condition(d, c, bucket.id, w->meta.info.key, &w->condition, err);
    if (rc != 0)
        return rc;
    x->row.info.modified_ns = x->done.modified_ns = ft_dir_wall_ns();
    rc = place_add(d, c, x, err);
    if (rc != 0)
        return rc;
    rc = ft_dir_version_add(d, c, &bucket, w->meta.info.key, &x->row, x->done.version, err);
    c->broken |= rc != 0; /* place_add's rows are to go */
    return rc;
}

static int part_add(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    struct commit *x = ctx;
    const struct writer *w = x->w;
    struct ft_dir_bucket bucket;
    struct ft_row upload;
    int rc = bucket_now(c, w, &bucket, err);
    if (rc == 0)
        rc = ft_dir_upload_find(d, c, bucket.id, w->meta.info.key, w->upload, &upload, err);
    if (rc != 0)
        return rc;
    int64_t id = upload.id;
    ft_row_fini(&upload);
    x->row.info.modified_ns = x->done.modified_ns = ft_dir_wall_ns();
    rc = place_add(d, c, x, err);
    if (rc == 0)
        rc = ft_dir_part_put(c, bucket.id, id, w->part, &x->row, err);
    c->broken |= rc != 0;
    return rc;
}

static void etag_of(struct writer *w, char ret[FT_BLOB_ETAG_MAX + 1])
{
    uint8_t digest[MD5_DIGEST_LENGTH];
    if (w->linked != 0) {
        memcpy(ret, w->etag, sizeof w->etag);
        return;
    }
    ft_digest_end(&w->digest, digest);
    ft_hex(digest, sizeof digest, ret);
}

/* Everything of the file on the disk. */
static int file_end(struct writer *w, struct ft_err *err)
{
    if (w->file == 0 || w->linked != 0)
        return 0;
    int rc = small_write(w, err);
    if (rc == 0 && w->n_block > 0)
        rc = block_end(w, err);
    if (rc == 0)
        rc = ft_disk_sync(&w->d->disk, w->fd, err);
    return rc;
}

int ft_dir_put_commit(struct ft_blob_writer *base, const struct ft_blob_field *fields, int n_fields,
                      struct ft_blob_done *ret, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    struct commit *x = calloc(1, sizeof *x);
    struct ft_blob_object meta = {.memory = NULL};
    bool doubt = false;
    int rc = w->failed;
    if (rc != 0 && err != NULL)
        *err = w->err;
    if (rc == 0 && x == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a commit");
    if (rc == 0 && w->expected >= 0 && w->size != w->expected)
        rc = ft_err_set(err, FT_EINVAL, "%lld of %lld bytes came", (long long)w->size,
                        (long long)w->expected);
    if (rc == 0)
        rc = file_end(w, err);
    if (rc == 0)
        rc = ft_blob_object_set(&meta, &w->meta.info, fields, n_fields, err);
    if (rc == 0) {
        x->w = w;
        x->row.info = meta.info;
        x->row.info.size = x->done.size = w->size;
        etag_of(w, x->done.etag);
        memcpy(x->row.info.etag, x->done.etag, sizeof x->done.etag);
        x->small_crc = w->file == 0 ? ft_crc32c(0, w->small, w->n_small) : 0;
        rc = ft_dir_commit(w->d, w->part > 0 ? part_add : object_add, x, w->file, &doubt, err);
    }
    if (rc == 0 && ret != NULL)
        *ret = x->done;
    ft_blob_object_fini(&meta);
    free(x);
    if (rc == 0) {
        ft_dir_sweep_wake(w->d); /* what was there before may have left a file */
        writer_free(w);
    } else {
        drop(w, doubt);
    }
    return rc;
}
