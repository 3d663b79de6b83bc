/* The index: SQLite's file, its statements, one connection that writes and some that read.
 *
 * A connection is one thread's at a time. Errors: FT_ELIMIT where the disk is full, FT_ECORRUPT,
 * FT_EIO, FT_ENOMEM. */
#ifndef FT_BLOB_DIR_INDEX_H
#define FT_BLOB_DIR_INDEX_H

#include <pthread.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* Every statement there is: index.c has their texts, in this order. */
enum ft_sql {
    FT_SQL_BEGIN,
    FT_SQL_BEGIN_READ,
    FT_SQL_COMMIT,
    FT_SQL_ROLLBACK,
    FT_SQL_TOUCH,

    FT_SQL_BUCKET_GET,
    FT_SQL_BUCKET_ADD,
    FT_SQL_BUCKET_DROP,
    FT_SQL_BUCKET_LIST,
    FT_SQL_BUCKET_VERSIONING,
    FT_SQL_BUCKET_COUNT,
    FT_SQL_BUCKET_HELD,
    FT_SQL_USAGE,
    FT_SQL_USAGE_ALL,
    FT_SQL_USAGE_BUCKET,
    FT_SQL_CONFIG_GET,
    FT_SQL_CONFIG_SET,
    FT_SQL_CONFIG_DROP,
    FT_SQL_CONFIG_DROP_ALL,

    FT_SQL_VERSIONS,
    FT_SQL_VERSION_GET,
    FT_SQL_VERSION_ADD,
    FT_SQL_VERSION_SET,
    FT_SQL_VERSION_DROP,
    FT_SQL_LIST,
    FT_SQL_WALK,

    FT_SQL_SMALL_GET,
    FT_SQL_SMALL_ADD,
    FT_SQL_SMALL_DROP,
    FT_SQL_FILE_GET,
    FT_SQL_FILE_ADD,
    FT_SQL_FILE_COPY,
    FT_SQL_FILE_DROP,
    FT_SQL_SUMS_GET,
    FT_SQL_SUMS_ADD,
    FT_SQL_SUMS_COPY,
    FT_SQL_SUMS_DROP,

    FT_SQL_UPLOAD_GET,
    FT_SQL_UPLOAD_ADD,
    FT_SQL_UPLOAD_DROP,
    FT_SQL_UPLOAD_LIST,
    FT_SQL_UPLOAD_OF_BUCKET,
    FT_SQL_PART_GET,
    FT_SQL_PART_ADD,
    FT_SQL_PART_DROP,
    FT_SQL_PART_LIST,
    FT_SQL_PART_WALK,
    FT_SQL_PART_DROP_ALL,
    FT_SQL_ENDED_GET,
    FT_SQL_ENDED_ADD,
    FT_SQL_ENDED_DROP,
    FT_SQL_ENDED_DROP_ALL,

    FT_SQL_TRASH_ADD,
    FT_SQL_TRASH_LIST,
    FT_SQL_TRASH_DROP,
    FT_SQL_COLLECTED_GET,
    FT_SQL_COLLECTED_SET,
    FT_SQL_SUMS_OLD,
    FT_SQL_QUICK_CHECK,
    FT_SQL_N
};

struct ft_conn {
    sqlite3 *db;
    sqlite3_stmt *stmt[FT_SQL_N]; /* prepared when first used */
    bool broken;                  /* a statement failed: the transaction must be rolled back */
    struct ft_conn *next;
};

struct ft_index {
    char *path;
    const char *vfs;
    struct ft_conn *writer; /* the committing thread's */
    pthread_mutex_t mutex;
    pthread_cond_t freed;
    struct ft_conn *idle;
    int n_readers;
};

/* Makes it if `create`. *ret_epoch: how often it was opened, this time counted, durable. */
int ft_index_open(struct ft_index *x, const char *path, const char *vfs, bool create,
                  int64_t *ret_epoch, uint64_t *ret_secret, struct ft_err *err);
void ft_index_close(struct ft_index *x);
/* The committing thread's: moves the log into the file and cuts it off, if readers let it. */
void ft_index_shrink(struct ft_index *x);

/* A connection in a transaction for reading: one view of the index. Waits for one. */
int ft_index_read(struct ft_index *x, struct ft_conn **ret, struct ft_err *err);
void ft_index_done(struct ft_index *x, struct ft_conn *c);

/* Starts a statement and makes its first step: 1: a row, 0: none. fmt: i int64_t, t text (const
 * char *), b bytes (const void *, size_t). *ret is given back by ft_sql_end before the same
 * statement is used again. */
int ft_sql_row(struct ft_conn *c, sqlite3_stmt **ret, struct ft_err *err, enum ft_sql which,
               const char *fmt, ...);
/* The next one. */
int ft_sql_step(struct ft_conn *c, sqlite3_stmt *s, struct ft_err *err);
void ft_sql_end(sqlite3_stmt *s); /* NULL is accepted */
/* To its end, rows ignored. */
int ft_sql_run(struct ft_conn *c, struct ft_err *err, enum ft_sql which, const char *fmt, ...);
/* Fills err by what the connection says. */
int ft_sql_err(struct ft_conn *c, struct ft_err *err);

#endif
