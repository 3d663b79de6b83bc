/* blob_dir within: what its files know of each other. */
#ifndef FT_BLOB_DIR_IMPL_H
#define FT_BLOB_DIR_IMPL_H

#include <pthread.h>

#include "blob/backend.h"
#include "blob/dir/digest.h"
#include "blob/dir/dir.h"
#include "blob/dir/index.h"
#include "blob/dir/row.h"

#define FT_DIR_BLOCK       (64u << 10) /* bytes of a data file under one checksum */
#define FT_DIR_SMALL_MAX   (32u << 10) /* bytes of an object that the index holds itself */
#define FT_DIR_SUMS_CHUNK  16384       /* checksums in one row: of 1 GiB */
#define FT_DIR_READERS_MAX 16          /* connections of the index for reading */
#define FT_DIR_PATH_MAX    4096

struct ft_dir;

/* ---- commit.c: one thread changes the index, and commits what many callers want at once ---- */

/* A change, run in a transaction on the committing thread, perhaps again after a failure: it sets
 * its results anew each time. A negative code that it returns itself (not from the connection)
 * must leave the index as it was; the other changes of the transaction are committed then. */
typedef int ft_dir_change_fn(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err);
#define FT_DIR_FREES (-1) /* in the place of folder_of: a change that makes room */
/* Returns when it is on the disk. folder_of: number of a new data file whose folder is to be
 * synced before, or 0, or FT_DIR_FREES. FT_EIO, FT_ELIMIT, FT_ECORRUPT: the index failed.
 * *ret_doubt (may be NULL): true when what was written might still come back after a crash until
 * the next commit succeeds. */
int ft_dir_commit(struct ft_dir *d, ft_dir_change_fn *fn, void *ctx, int64_t folder_of,
                  bool *ret_doubt, struct ft_err *err);
int ft_dir_commit_start(struct ft_dir *d, struct ft_err *err);
void ft_dir_commit_stop(struct ft_dir *d); /* commits what waits */

/* ---- sweep.c: removing data files that nothing refers to any more ---- */

int ft_dir_sweep_start(struct ft_dir *d, struct ft_err *err);
void ft_dir_sweep_stop(struct ft_dir *d);
void ft_dir_sweep_wake(struct ft_dir *d);
/* A data file whose commit failed: removed at once, or after the next commit if in doubt. */
void ft_dir_file_drop(struct ft_dir *d, int64_t id, bool doubt);

/* Removes data files of openings `from` and later that the index does not know; not this one's. */
int ft_dir_collect(struct ft_dir *d, int64_t from, struct ft_err *err);

/* What a reader reads stays: pinned by its place's number. 0: everything, while it is looked up. */
struct ft_dir_pin {
    int64_t id;
    struct ft_dir_pin *prev, *next;
};
void ft_dir_pin(struct ft_dir *d, struct ft_dir_pin *pin); /* id 0 */
void ft_dir_pin_set(struct ft_dir *d, struct ft_dir_pin *pin, int64_t id);
void ft_dir_unpin(struct ft_dir *d, struct ft_dir_pin *pin);

/* ---- reserve.c: room kept for removals on a full disk ---- */

bool ft_dir_reserve_make(struct ft_dir *d);    /* true: it is there (again) */
bool ft_dir_reserve_give_up(struct ft_dir *d); /* true: now there is a little room */

struct ft_dir {
    struct ft_blob base;
    char path[FT_DIR_PATH_MAX];
    struct ft_disk disk;
    int lock_fd;
    int64_t epoch;   /* how often the folder was opened: the upper bits of all numbers */
    uint64_t secret; /* the store's own: the tail of version and upload ids */
    struct ft_index index;
    _Atomic bool is_full; /* the reserve is given up: only what frees room is done */
    struct ft_digest_pool digests;

    pthread_mutex_t id_mutex;
    int64_t id_next, folder_made; /* folder_made: number of a file in the last one made */

    /* commit.c */
    pthread_mutex_t commit_mutex;
    pthread_cond_t commit_more;
    struct ft_dir_wait *commit_head, *commit_tail;
    int n_queued;
    pthread_t committer;
    bool commit_stopping;

    /* sweep.c */
    pthread_mutex_t sweep_mutex;
    pthread_cond_t sweep_more;
    pthread_t sweeper;
    _Atomic bool sweep_stopping;
    bool sweep_due, sweep_left; /* left: something is pinned */
    struct ft_dir_pin *pins;
    struct ft_dir_doubt *doubts;
    int n_doubts;
};

static inline struct ft_dir *ft_dir_of(struct ft_blob *b)
{
    return (struct ft_dir *)b; /* base is the first member */
}

/* ---- dir.c ---- */

extern const struct ft_blob_ops ft_dir_ops;

/* A new number, larger than all before: of a data file, a row of `small`, a version, an upload. */
int64_t ft_dir_id_next(struct ft_dir *d);
int64_t ft_dir_id_first(int64_t epoch); /* below all of this opening */
void ft_dir_file_path(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX]);
void ft_dir_file_folder(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX]);
/* Its path, in a folder that is there. */
int ft_dir_file_place(struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX], struct ft_err *err);
int64_t ft_dir_wall_ns(void);

/* Ids that callers see: 16 hex digits of the number, 8 of a check. 0: none of ours. */
void ft_dir_id_text(const struct ft_dir *d, int64_t id, char ret[FT_BLOB_VERSION_MAX + 1]);
int64_t ft_dir_id_parse(const struct ft_dir *d, const char *text);

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

#endif
