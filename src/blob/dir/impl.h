/* The store within: its threads, numbers and files. calls.h has what is built on them. */
#ifndef FT_BLOB_DIR_IMPL_H
#define FT_BLOB_DIR_IMPL_H

#include <pthread.h>

#include "blob/backend.h"
#include "blob/dir/digest.h"
#include "blob/dir/dir.h"
#include "blob/dir/index.h"

#define FT_DIR_BLOCK       (64u << 10) /* bytes of a data file under one checksum */
#define FT_DIR_SMALL_MAX   (32u << 10) /* bytes of an object that the index holds itself */
#define FT_DIR_SUMS_CHUNK  16384       /* checksums in one row: of 1 GiB */
#define FT_DIR_READERS_MAX 16          /* connections of the index for reading */
#define FT_DIR_PATH_MAX    4096
#define FT_DIR_NAME_MAX    64 /* of a data file, from the store's folder on */

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
    int64_t id_next;
    pthread_mutex_t folder_mutex; /* held while folders are made */
    int64_t folder_made;          /* number of a file in the last one */

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

/* A new number, larger than all before: of a data file, a row of `small`, a version, an upload. */
int64_t ft_dir_id_next(struct ft_dir *d);
int64_t ft_dir_id_first(int64_t epoch); /* below all of this opening */
void ft_dir_file_name(int64_t id, char ret[FT_DIR_NAME_MAX]);
void ft_dir_file_path(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX]);
void ft_dir_file_folder(const struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX]);
/* Its path, in a folder that is there. */
int ft_dir_file_place(struct ft_dir *d, int64_t id, char ret[FT_DIR_PATH_MAX], struct ft_err *err);
int64_t ft_dir_wall_ns(void);

/* Ids that callers see: 16 hex digits of the number, 8 of a check. 0: none of ours. */
void ft_dir_id_text(const struct ft_dir *d, int64_t id, char ret[FT_BLOB_VERSION_MAX + 1]);
int64_t ft_dir_id_parse(const struct ft_dir *d, const char *text);

#endif
