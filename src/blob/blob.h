/* The seam of storage: buckets of objects by key, with versions, written as streams and read in
 * ranges.
 *
 * Nothing of an object is visible before its commit has returned 0, and from then on it is whole,
 * durable (kill -9, power loss) and what every read and listing finds. What is read was checked
 * against checksums: bytes that changed on the disk are FT_ECORRUPT, never data. Memory does not
 * grow with the size of objects.
 *
 * Implementations: blob_dir (a folder: SQLite index, data files), blob_s3 (any S3 server), blob_mem
 * (the double); each has an open of its own. Calls block; any thread may make any of them at any
 * time; a writer or reader is one thread's at a time.
 *
 * FT_ENOTFOUND, FT_EEXIST and FT_EBUSY say what is missing, there or in the way by *why
 * (ft_blob_why of the err): see enum ft_blob_why (object.h). FT_EIO: the disk or the upstream
 * failed, FT_ELIMIT: it is full; nothing was changed, reads go on. */
#ifndef FT_BLOB_BLOB_H
#define FT_BLOB_BLOB_H

#include "base/buf.h"
#include "blob/object.h"

struct ft_blob_usage {
    int64_t bytes, objects; /* versions, markers and parts of unfinished uploads count */
};

/* What a scrub or a check found wrong. */
struct ft_blob_fault {
    const char *bucket, *key, *version; /* "" if it is of no object */
    const char *what;
};
typedef void ft_blob_fault_fn(void *ctx, const struct ft_blob_fault *fault);
struct ft_blob_scrub {
    int64_t bytes_per_s;     /* 0: as fast as it goes */
    bool (*stop)(void *ctx); /* asked several times a second; may be NULL */
    ft_blob_fault_fn *fault; /* may be NULL */
    void *ctx;
};
struct ft_blob_scrubbed {
    int64_t objects, bytes, faults;
};

struct ft_blob;
struct ft_blob_writer;
struct ft_blob_reader;

/* ---- buckets ---- */
int ft_blob_bucket_create(struct ft_blob *b, const char *name, const char *owner,
                          struct ft_err *err); /* BUCKET_IS_THERE, whoever owns it */
/* BUCKET_FULL while it holds a version or a marker; unfinished uploads go with it. */
int ft_blob_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err);
int ft_blob_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                       struct ft_err *err);
/* By name; owner NULL: everybody's. Those of the cloud too. */
int ft_blob_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                        struct ft_err *err);
int ft_blob_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                  struct ft_err *err); /* never back to UNVERSIONED: FT_EINVAL */
/* A document that belongs to the bucket ("cors", "policy", ...); NULL takes it away. */
int ft_blob_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                       struct ft_err *err);
/* Appends it to ret. 1: there is one, 0: none. */
int ft_blob_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                          struct ft_err *err);

/* ---- writing ---- */
int ft_blob_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
                struct ft_err *err);
int ft_blob_put_write(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err);
/* fields: more of them, known by now (checksums, ...). Frees the writer, whatever comes. NO_BUCKET
 * if the bucket was removed meanwhile, even if there is one of its name again. */
int ft_blob_put_commit(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                       struct ft_blob_done *ret, struct ft_err *err);
void ft_blob_put_abort(struct ft_blob_writer *w); /* frees it; NULL is accepted */
/* Also between buckets, and onto itself (new fields). Part copies: to.upload. Fields of the
 * source are not taken over unless given again. */
int ft_blob_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
                 struct ft_err *err);
/* A key that is not there is removed well; a version that is not there too. */
int ft_blob_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
                   struct ft_err *err);
/* version NULL: the latest. A compliance hold is not shortened, nor a governance one without
 * bypass (LOCKED); nor does one that runs become another mode without. */
int ft_blob_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                     const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                     struct ft_err *err);

/* ---- reading ---- */
/* version NULL: the latest (a marker is NO_KEY then; named by version: IS_MARKER with ret
 * filled). */
int ft_blob_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 struct ft_blob_object *ret, struct ft_err *err);
/* The same bytes to its end, whatever is put or removed meanwhile. */
int ft_blob_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 struct ft_blob_reader **ret, struct ft_err *err);
const struct ft_blob_info *ft_blob_reader_info(struct ft_blob_reader *r);
/* Exactly n bytes from offset, within the object. */
int ft_blob_read(struct ft_blob_reader *r, int64_t offset, void *data, size_t n,
                 struct ft_err *err);
void ft_blob_close_reader(struct ft_blob_reader *r); /* NULL is accepted */
/* Makes `path` (not there yet) a file of the object's bytes, checked, read-only: sharing its
 * place on the disk where that can be, else a copy. */
int ft_blob_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const char *path, struct ft_err *err);
/* What is told of an object: key, version, is_latest, is_marker, size, modified_ns, etag; the rest
 * is empty, and head's to tell. fn may call the blob. An after_version that is gone hides none of
 * the key's other versions. max 0: nothing, and no more. */
int ft_blob_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions,
                 ft_blob_list_fn *fn, void *ctx, bool *ret_more, struct ft_err *err);

/* ---- uploads in parts ---- */
int ft_blob_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                         char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
/* What it was begun with. */
int ft_blob_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                       struct ft_blob_object *ret, struct ft_err *err);
/* parts: number and etag, rising; all but the last of 5 MiB at least, or an upstream may refuse it.
 * The ETag is the MD5 of their MD5s, "-" and how many they are. Completing what was completed with
 * the same parts just now answers the same again. */
int ft_blob_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                            const struct ft_blob_part *parts, int n_parts,
                            const struct ft_blob_condition *condition,
                            const struct ft_blob_field *fields, int n_fields,
                            struct ft_blob_done *ret, struct ft_err *err);
int ft_blob_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                         struct ft_err *err);
/* Behind part number `after`, at most max. */
int ft_blob_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                         int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                         struct ft_err *err);
/* By key, those of a key in any lasting order; id, key and begun_ns are told, fields by upload_get.
 * after_version of the list: behind this upload of `after`. */
int ft_blob_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn,
                    void *ctx, bool *ret_more, struct ft_err *err);
/* The size and fields of part `number` of a finished object (n_parts > 0), and where it begins.
 * Counted from 1 to n_parts, whatever numbers they were uploaded with; NO_PART. */
int ft_blob_part_of(struct ft_blob_reader *r, int number, struct ft_blob_part *ret,
                    int64_t *ret_offset, struct ft_err *err);

/* ---- the whole ---- */
int ft_blob_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                  struct ft_err *err);
int ft_blob_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                         struct ft_err *err); /* of one bucket; NO_BUCKET */
/* Of every owner of buckets, in no order. owner: valid during the call. */
typedef void ft_blob_usage_fn(void *ctx, const char *owner, const struct ft_blob_usage *u);
int ft_blob_usage_each(struct ft_blob *b, ft_blob_usage_fn *fn, void *ctx, struct ft_err *err);
/* Reads everything against its checksums, the index against the files; what is no object's any
 * more is removed. */
int ft_blob_scrub(struct ft_blob *b, const struct ft_blob_scrub *s, struct ft_blob_scrubbed *ret,
                  struct ft_err *err);
/* From now on until the release, bytes of what is removed stay where they are, for a backup that
 * copies them; they are removed after it. Any number at a time. *ret may come to be NULL. */
struct ft_blob_held;
int ft_blob_hold(struct ft_blob *b, struct ft_blob_held **ret, struct ft_err *err);
void ft_blob_release(struct ft_blob *b, struct ft_blob_held *h);
void ft_blob_close(struct ft_blob *b); /* no call may run, no writer or reader be open */

#endif
