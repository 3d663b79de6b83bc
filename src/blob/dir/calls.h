/* Buckets, versions, uploads and readers, as the files of the store know them of each other; and
 * the calls of the seam, under the names of their slots. */
#ifndef FT_BLOB_DIR_CALLS_H
#define FT_BLOB_DIR_CALLS_H

#include "blob/dir/impl.h"
#include "blob/dir/row.h"

/* ---- bucket.c ---- */

struct ft_dir_bucket {
    int64_t id;
    struct ft_blob_bucket info;
};
/* NO_BUCKET */
int ft_dir_bucket_find(struct ft_conn *c, const char *name, struct ft_dir_bucket *ret,
                       struct ft_err *err);
int ft_dir_bucket_count(struct ft_conn *c, int64_t bucket, int64_t objects, int64_t bytes,
                        struct ft_err *err);

/* ---- version.c: rows of versions ---- */

/* 1: *ret is it (ft_row_fini), 0: there is none. */
int ft_dir_latest(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                  struct ft_row *ret, struct ft_err *err);
int ft_dir_version(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                   const char *version, struct ft_row *ret, struct ft_err *err);
/* version NULL: the latest that is no marker. 0, NO_KEY, NO_VERSION; IS_MARKER with *ret filled. */
int ft_dir_find(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                const char *version, struct ft_row *ret, struct ft_err *err);
/* Puts row in as the newest version by the bucket's rules; *ret_version is what it is called. */
int ft_dir_version_add(struct ft_dir *d, struct ft_conn *c, const struct ft_dir_bucket *bucket,
                       const char *key, struct ft_row *row, char ret_version[], struct ft_err *err);
/* Where a name without a version leads: for conditions. there: as ft_dir_latest. */
int ft_dir_condition(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                     const struct ft_blob_condition *condition, struct ft_err *err);
/* What a row refers to is removed with it: pin keeps it from being so while it is read. */
int ft_dir_place_drop(struct ft_conn *c, enum ft_place place, int64_t id, int64_t pin,
                      struct ft_err *err);
int ft_dir_remove(struct ft_blob *b, const struct ft_blob_delete *del, struct ft_blob_deleted *ret,
                  struct ft_err *err);
int ft_dir_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                    const struct ft_blob_marks *marks, char ret_version[], struct ft_err *err);

/* ---- the rest of the seam ---- */

int ft_dir_bucket_create(struct ft_blob *b, const char *name, const char *owner,
                         struct ft_err *err);
int ft_dir_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err);
int ft_dir_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                      struct ft_err *err);
int ft_dir_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                       struct ft_err *err);
int ft_dir_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                 struct ft_err *err);
int ft_dir_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                      struct ft_err *err);
int ft_dir_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                         struct ft_err *err);
int ft_dir_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                 struct ft_err *err);
int ft_dir_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                        struct ft_err *err);

int ft_dir_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
               struct ft_err *err);
int ft_dir_put_write(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err);
int ft_dir_put_commit(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                      struct ft_blob_done *ret, struct ft_err *err);
void ft_dir_put_abort(struct ft_blob_writer *w);
/* Makes the data file of another object this one's too, in the place of bytes written. The caller
 * has pinned it. Failed: nothing was changed. */
int ft_dir_put_link(struct ft_blob_writer *w, int64_t file, const struct ft_blob_info *info,
                    struct ft_err *err);
int ft_dir_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
                struct ft_err *err);

int ft_dir_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_object *ret, struct ft_err *err);
int ft_dir_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_reader **ret, struct ft_err *err);
const struct ft_blob_info *ft_dir_reader_info(struct ft_blob_reader *r);
int ft_dir_read(struct ft_blob_reader *r, int64_t offset, void *data, size_t n, struct ft_err *err);
void ft_dir_close_reader(struct ft_blob_reader *r);
int ft_dir_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                const char *path, struct ft_err *err);
int ft_dir_part_of(struct ft_blob_reader *r, int number, struct ft_blob_part *ret,
                   int64_t *ret_offset, struct ft_err *err);
/* Where a walk over the parts of unfinished uploads is. Zeroed: before the first. */
struct ft_dir_part_at {
    int64_t upload, number;
    char bucket[FT_BLOB_BUCKET_MAX + 1], key[FT_BLOB_KEY_MAX + 1];
};
/* The next part as if it were an object. 1: *at says which it is, 0: no more; FT_ECORRUPT with *at
 * set: its row is damaged. */
int ft_dir_open_next_part(struct ft_dir *d, struct ft_dir_part_at *at, struct ft_blob_reader **ret,
                          struct ft_err *err);
/* The data file that is all of the object; 0 if it is none. */
int64_t ft_dir_reader_file(const struct ft_blob_reader *r);

int ft_dir_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
                void *ctx, bool *ret_more, struct ft_err *err);
int ft_dir_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn,
                   void *ctx, bool *ret_more, struct ft_err *err);

int ft_dir_upload_begin(struct ft_blob *b, const struct ft_blob_put *put, char ret_id[],
                        struct ft_err *err);
int ft_dir_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                      struct ft_blob_object *ret, struct ft_err *err);
int ft_dir_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                           const struct ft_blob_part *parts, int n_parts,
                           const struct ft_blob_condition *condition,
                           const struct ft_blob_field *fields, int n_fields,
                           struct ft_blob_done *ret, struct ft_err *err);
int ft_dir_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        struct ft_err *err);
int ft_dir_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                        struct ft_err *err);
/* NO_UPLOAD unless the upload is one of this bucket and key. */
int ft_dir_upload_find(struct ft_dir *d, struct ft_conn *c, int64_t bucket, const char *key,
                       const char *id, struct ft_row *ret, struct ft_err *err);
/* A part of a finished object, *ret freed before. */
int ft_dir_part_get(struct ft_conn *c, int64_t upload, int number, struct ft_blob_object *ret,
                    struct ft_err *err);
/* Adds a part, in the place of the one that had its number. */
int ft_dir_part_put(struct ft_conn *c, int64_t bucket, int64_t upload, int number,
                    struct ft_row *row, struct ft_err *err);
int ft_dir_upload_drop(struct ft_conn *c, int64_t bucket, int64_t upload, struct ft_err *err);

int ft_dir_scrub(struct ft_blob *b, const struct ft_blob_scrub *s, struct ft_blob_scrubbed *ret,
                 struct ft_err *err);

/* ---- sweep.c ---- */
int ft_dir_hold(struct ft_blob *b, struct ft_blob_held **ret, struct ft_err *err);
void ft_dir_release(struct ft_blob *b, struct ft_blob_held *h);

#endif
