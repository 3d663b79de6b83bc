/* Inside of the store in memory; for src/blob/mem alone. Everything below hangs on the store and is
 * under its lock, but for contents, which never change and are counted. */
#ifndef FT_BLOB_MEM_IMPL_H
#define FT_BLOB_MEM_IMPL_H

#include <pthread.h>
#include <stdatomic.h>

#include "blob/backend.h"
#include "blob/mem/mem.h"

#define MEM_COMPLETED_MAX 64 /* uploads whose completion is answered again */

struct piece { /* a part: of a finished object, or of an upload */
    int number;
    int64_t offset, size;
    struct ft_blob_object o; /* its fields, ETag, time */
    struct content *content; /* of an upload's part */
};

/* Bytes, and the parts they came in. */
struct content {
    atomic_int refs;
    struct mem *mem;
    unsigned char *bytes;
    int64_t size;
    uint32_t crc;
    struct piece *pieces;
    int n_pieces;
};

struct version {
    struct version *older;
    struct ft_blob_object o;
    struct content *content; /* NULL: a marker */
};
struct entry { /* a key with one version at least */
    char *key;
    struct version *newest;
};
struct document {
    struct document *next;
    char *what, *text;
};
struct upload {
    struct upload *next;
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_object o;
    struct piece *pieces; /* by number */
    int n_pieces;
};
struct bucket {
    struct bucket *next; /* by name */
    struct ft_blob_bucket facts;
    struct entry *entries; /* by key */
    size_t n_entries, cap_entries;
    struct document *documents;
    struct upload *uploads; /* by key, then as they were begun */
};
struct completed {
    char id[FT_BLOB_UPLOAD_MAX + 1];
    struct ft_blob_done done;
};

struct mem {
    struct ft_blob base;
    pthread_mutex_t lock;
    struct bucket *buckets;
    struct completed completed[MEM_COMPLETED_MAX];
    int n_completed; /* ever; the newest MEM_COMPLETED_MAX are kept */
    uint64_t last_number;
    atomic_llong bytes;
    int64_t bytes_max;
    bool broken;
};

static inline struct mem *mem_of(struct ft_blob *b)
{
    return (struct mem *)b;
}

/* ---- mem.c: the store and its buckets ---- */
int mem_bucket(struct mem *m, const char *name, struct bucket **ret, struct ft_err *err);
/* As mem_bucket, for a change of something: FT_EIO while the store is broken. */
int mem_bucket_to_change(struct mem *m, const char *name, struct bucket **ret, struct ft_err *err);
int64_t mem_now_ns(void);
/* A name that was never given before, for a version or an upload. */
void mem_new_id(struct mem *m, char *ret, size_t size);
/* Takes n bytes of the store's budget, or gives them back (n < 0). */
int mem_take(struct mem *m, int64_t n, struct ft_err *err);

/* ---- object.c: contents, versions, keys ---- */
struct content *mem_content_ref(struct content *c);
void mem_content_unref(struct content *c);
/* A piece's or object's ETag and content from bytes that become the content's (already taken from
 * the budget); FT_ENOMEM frees and gives them back. */
int mem_content_new(struct mem *m, unsigned char *bytes, int64_t size, struct content **ret,
                    struct ft_err *err);
int mem_content_check(const struct content *c, struct ft_err *err);
void mem_md5_hex(const void *bytes, size_t n, char ret[33]);
void mem_pieces_free(struct piece *p, int n);

/* The entry of a key, or NULL; *ret_at: where it is or would be. */
struct entry *mem_entry_find(struct bucket *k, const char *key, size_t *ret_at);
/* The version, or why there is none (also for markers). */
int mem_version_find(struct bucket *k, const char *key, const char *id, struct version **ret,
                     struct ft_err *err);
/* Makes a version of it (o is moved from, content taken over on success) in the place that the
 * bucket's versioning gives it. Conditions and holds are looked at first. */
int mem_version_put(struct mem *m, struct bucket *k, struct ft_blob_object *o,
                    struct content *content, const struct ft_blob_condition *condition,
                    struct ft_blob_done *ret, struct ft_err *err);
void mem_versions_free(struct version *v);

/* ---- upload.c ---- */
void mem_upload_free(struct upload *u);
int mem_upload_find(struct bucket *k, const char *key, const char *id, struct upload **ret,
                    struct ft_err *err);
/* o and content are taken over on success. */
int mem_upload_put_part(struct upload *u, int number, struct ft_blob_object *o,
                        struct content *content, struct ft_err *err);

/* ---- the seam's functions, by file ---- */
int mem_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
            struct ft_err *err);
int mem_put_write(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err);
int mem_put_commit(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                   struct ft_blob_done *ret, struct ft_err *err);
void mem_put_abort(struct ft_blob_writer *w);
int mem_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
             struct ft_err *err);
int mem_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
               struct ft_err *err);
int mem_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                 struct ft_err *err);

int mem_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_err *err);
int mem_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_reader **ret, struct ft_err *err);
const struct ft_blob_info *mem_reader_info(struct ft_blob_reader *r);
int mem_read(struct ft_blob_reader *r, int64_t offset, void *data, size_t n, struct ft_err *err);
void mem_close_reader(struct ft_blob_reader *r);
int mem_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             const char *path, struct ft_err *err);
int mem_part_of(struct ft_blob_reader *r, int number, struct ft_blob_part *ret, int64_t *ret_offset,
                struct ft_err *err);

int mem_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions, ft_blob_list_fn *fn,
             void *ctx, bool *ret_more, struct ft_err *err);
int mem_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn, void *ctx,
                bool *ret_more, struct ft_err *err);

int mem_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                     char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err);
int mem_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                   struct ft_blob_object *ret, struct ft_err *err);
int mem_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                        const struct ft_blob_part *parts, int n_parts,
                        const struct ft_blob_condition *condition,
                        const struct ft_blob_field *fields, int n_fields, struct ft_blob_done *ret,
                        struct ft_err *err);
int mem_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     struct ft_err *err);
int mem_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                     int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                     struct ft_err *err);

#endif
