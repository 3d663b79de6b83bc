/* What an implementation of the seam fills in. Callers use the functions of blob.h, which check
 * what they are given and then come here under the same names; what each promises stands there. */
#ifndef FT_BLOB_BACKEND_H
#define FT_BLOB_BACKEND_H

#include "blob/blob.h"

struct ft_blob_ops {
    const char *name; /* "dir", "s3", "memory" */
    int (*bucket_create)(struct ft_blob *b, const char *name, const char *owner,
                         struct ft_err *err);
    int (*bucket_delete)(struct ft_blob *b, const char *name, struct ft_err *err);
    int (*bucket_get)(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                      struct ft_err *err);
    int (*bucket_list)(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                       struct ft_err *err);
    int (*bucket_set_versioning)(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                 struct ft_err *err);
    int (*bucket_set)(struct ft_blob *b, const char *name, const char *what, const char *text,
                      struct ft_err *err);
    int (*bucket_config)(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                         struct ft_err *err);
    int (*put)(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
               struct ft_err *err);
    int (*put_write)(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err);
    int (*put_commit)(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                      struct ft_blob_done *ret, struct ft_err *err);
    void (*put_abort)(struct ft_blob_writer *w);
    int (*copy)(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
                struct ft_err *err);
    int (*remove)(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
                  struct ft_err *err);
    int (*annotate)(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                    const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                    struct ft_err *err);
    int (*head)(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_object *ret, struct ft_err *err);
    int (*open)(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct ft_blob_reader **ret, struct ft_err *err);
    const struct ft_blob_info *(*reader_info)(struct ft_blob_reader *r);
    int (*read)(struct ft_blob_reader *r, int64_t offset, void *data, size_t n, struct ft_err *err);
    void (*close_reader)(struct ft_blob_reader *r);
    int (*link)(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                const char *path, struct ft_err *err);
    int (*list)(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
                void *ctx, bool *ret_more, struct ft_err *err);
    int (*upload_begin)(struct ft_blob *b, const struct ft_blob_put *put,
                        char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
    int (*upload_get)(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                      struct ft_blob_object *ret, struct ft_err *err);
    int (*upload_complete)(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                           const struct ft_blob_part *parts, int n_parts,
                           const struct ft_blob_condition *condition,
                           const struct ft_blob_field *fields, int n_fields,
                           struct ft_blob_done *ret, struct ft_err *err);
    int (*upload_abort)(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        struct ft_err *err);
    int (*upload_parts)(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                        struct ft_err *err);
    int (*uploads)(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn,
                   void *ctx, bool *ret_more, struct ft_err *err);
    int (*part_of)(struct ft_blob_reader *r, int number, struct ft_blob_part *ret,
                   int64_t *ret_offset, struct ft_err *err);
    int (*usage)(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                 struct ft_err *err);
    int (*bucket_usage)(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                        struct ft_err *err);
    int (*scrub)(struct ft_blob *b, const struct ft_blob_scrub *s, struct ft_blob_scrubbed *ret,
                 struct ft_err *err);
    /* (optional: nothing to hold) */
    int (*hold)(struct ft_blob *b, struct ft_blob_held **ret, struct ft_err *err);
    void (*release)(struct ft_blob *b, struct ft_blob_held *h);
    void (*close)(struct ft_blob *b);
};

/* The first member of an implementation's own. */
struct ft_blob {
    const struct ft_blob_ops *ops;
};
struct ft_blob_writer {
    struct ft_blob *blob;
};
struct ft_blob_reader {
    struct ft_blob *blob;
};

/* ---- what every implementation needs ---- */

int ft_blob_err(struct ft_err *err, int code, enum ft_blob_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Copies info with `more` fields behind its own into *ret (zeroed before), in one block. FT_ELIMIT:
 * together they are too many. */
int ft_blob_object_set(struct ft_blob_object *ret, const struct ft_blob_info *info,
                       const struct ft_blob_field *more, int n_more, struct ft_err *err);

/* there: what is there now; NULL (or a marker): nothing. */
int ft_blob_condition_check(const struct ft_blob_condition *c, const struct ft_blob_info *there,
                            struct ft_err *err);
/* May a version with this hold be removed now? LOCKED. */
int ft_blob_hold_check(const struct ft_blob_hold *hold, int64_t now_s, bool bypass,
                       struct ft_err *err);
/* May it get `to` in its place? LOCKED. */
int ft_blob_hold_change(const struct ft_blob_hold *hold, const struct ft_blob_hold *to,
                        int64_t now_s, bool bypass, struct ft_err *err);

#endif
