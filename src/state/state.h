/* The seam of storage in SQL: one text of every statement for every engine.
 *
 * The common SQL: $1 .. $32 placeholders (CAST($1 AS TEXT) where the type is not plain from the
 * place); types BIGINT, TEXT, DOUBLE PRECISION, BYTEA; INSERT ... ON CONFLICT (...) DO UPDATE ...
 * RETURNING; functions COALESCE, SUM, COUNT, MIN, MAX, LENGTH, LOWER, UPPER; CAST(SUM(x) AS
 * BIGINT), since a sum may come back wider; whole-number division of what is not negative. Not:
 * numbers drawn by the engine, dates, booleans, `?`, OR REPLACE, IFNULL. Text is UTF-8 without NUL
 * and compares by bytes. tests/house/sql.py looks for what is not common; state_<engine>.c holds
 * the rest.
 *
 * Any thread may call; transactions of one store run one after the other. */
#ifndef FT_STATE_STATE_H
#define FT_STATE_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/slice.h"

#define FT_STATE_PARAMS_MAX  32        /* placeholders of one statement */
#define FT_STATE_TRIES_MAX   50        /* runs of one transaction while the store is busy */
#define FT_STATE_VALUE_MAX   (8 << 20) /* bytes of one text or blob */
#define FT_STATE_MODULES_MAX 16        /* sets of migrations */

struct ft_state;
struct ft_state_tx;   /* a running transaction */
struct ft_state_rows; /* a running statement */

enum ft_sql_type { FT_SQL_NULL, FT_SQL_INT, FT_SQL_DOUBLE, FT_SQL_TEXT, FT_SQL_BLOB };

struct ft_sql_value {
    enum ft_sql_type type;
    int64_t i;
    double d;
    struct ft_slice s; /* TEXT, BLOB: borrowed */
};

static inline struct ft_sql_value ft_sql_int(int64_t v)
{
    return (struct ft_sql_value){.type = FT_SQL_INT, .i = v};
}
static inline struct ft_sql_value ft_sql_double(double v)
{
    return (struct ft_sql_value){.type = FT_SQL_DOUBLE, .d = v};
}
static inline struct ft_sql_value ft_sql_null(void)
{
    return (struct ft_sql_value){.type = FT_SQL_NULL};
}
static inline struct ft_sql_value ft_sql_blob(const void *p, size_t n)
{
    return (struct ft_sql_value){.type = FT_SQL_BLOB, .s = {p, n}};
}
static inline struct ft_sql_value ft_sql_textn(const char *p, size_t n)
{
    return (struct ft_sql_value){.type = FT_SQL_TEXT, .s = {p, n}};
}
/* NULL becomes SQL's NULL. */
static inline struct ft_sql_value ft_sql_text(const char *p)
{
    return p == NULL ? ft_sql_null() : ft_sql_textn(p, strlen(p));
}

/* The arguments of $1, $2, ... : FT_ARGS(ft_sql_int(7), ft_sql_text(name)). */
#define FT_ARGS(...)                                                                               \
    (const struct ft_sql_value[]){__VA_ARGS__},                                                    \
        (int)(sizeof((const struct ft_sql_value[]){__VA_ARGS__}) / sizeof(struct ft_sql_value))
#define FT_NO_ARGS NULL, 0

/* What a transaction does: 0 commits, a negative code rolls back and is returned. It may be run
 * again from the start (another process was in the way, the connection was lost): it must have no
 * effect outside the store, and set its results anew each time. */
typedef int ft_state_tx_fn(struct ft_state_tx *tx, void *ctx, struct ft_err *err);

/* Runs fn in one serialisable transaction; 0: committed, and on the disk. FT_EBUSY after
 * FT_STATE_TRIES_MAX. FT_EIO, FT_ECORRUPT: the store cannot be read or written now (gone,
 * unreadable, full, damaged): nothing was changed; every call tries anew, and succeeds once the
 * store is back. Not from within fn. */
int ft_state_tx(struct ft_state *s, ft_state_tx_fn *fn, void *ctx, struct ft_err *err);
/* The same for reading alone: one consistent view; a change in it fails. */
int ft_state_read(struct ft_state *s, ft_state_tx_fn *fn, void *ctx, struct ft_err *err);
/* True for what ft_state_tx returns when the store itself is in trouble (503), rather than the
 * caller's input. */
bool ft_state_is_trouble(int code);

/* Starts a statement; rows are taken with ft_state_step. Texts and blobs are copied or kept until
 * ft_rows_close; `sql` must be a literal (statements are cached by their address and text). */
int ft_state_query(struct ft_state_tx *tx, const char *sql, const struct ft_sql_value *args,
                   int n_args, struct ft_state_rows **ret, struct ft_err *err);
/* 1: there is a row; 0: no more (the statement was run to its end); negative: failed. */
int ft_rows_step(struct ft_state_rows *r, struct ft_err *err);
/* Columns of the row, from 0; valid until the next step. NULL reads as 0, 0.0, an empty slice
 * whose p is "". Texts are NUL-terminated behind their n bytes. */
int64_t ft_rows_int(struct ft_state_rows *r, int column);
double ft_rows_double(struct ft_state_rows *r, int column);
struct ft_slice ft_rows_text(struct ft_state_rows *r, int column); /* blobs too */
bool ft_rows_is_null(struct ft_state_rows *r, int column);
void ft_rows_close(struct ft_state_rows *r); /* NULL is accepted */

/* Runs a statement to its end. *ret_changed (may be NULL): rows inserted, updated or deleted. A
 * broken UNIQUE is FT_EEXIST, another constraint FT_EINVAL. */
int ft_state_exec(struct ft_state_tx *tx, const char *sql, const struct ft_sql_value *args,
                  int n_args, int64_t *ret_changed, struct ft_err *err);

/* ---- schema ---- */

struct ft_migration {
    int version; /* 1, 2, 3, ... without gaps */
    const char *name;
    const char *sql; /* one or more statements; never edited once released: its checksum is kept */
};

/* Brings the tables of `module` to the newest version, each step in its own transaction; what is
 * there already is not run again. FT_EUNSUPPORTED: written by a newer feitian, or a step that was
 * applied had another text; nothing is changed. The list is kept (static): it is run again when the
 * store comes back after a loss. */
int ft_state_migrate(struct ft_state *s, const char *module, const struct ft_migration *list, int n,
                     struct ft_err *err);

/* ---- the change feed ---- */

/* The number of this transaction in the order of commits: 1, 2, ...; the same for every call within
 * one. Rows that carry it can be followed by `WHERE seq > $1 ORDER BY seq` without a gap: when one
 * is visible, every smaller one is, or was rolled back. */
int ft_state_seq_next(struct ft_state_tx *tx, int64_t *ret, struct ft_err *err);
/* The newest committed one as this transaction sees it. */
int ft_state_seq_last(struct ft_state_tx *tx, int64_t *ret, struct ft_err *err);
/* fn is called after every commit that took a number, on the committing thread, outside of the
 * transaction; it must not block. One watcher; NULL for none. */
void ft_state_watch(struct ft_state *s, void (*fn)(void *ctx, int64_t seq), void *ctx);

/* A name drawn at random when the store was made: another file under the same path is told. The
 * result is valid while s is. Empty before the first successful use. */
const char *ft_state_id(struct ft_state *s);

void ft_state_close(struct ft_state *s); /* NULL is accepted; no transaction may run */

/* ---- engines (chosen in cli) ---- */

/* A file. known: false: made with its folder if it is not there, and trouble is an error now. true:
 * it was there before and holds a store, so an empty or missing one is trouble, never a new store;
 * trouble is not an error now, every transaction fails until the file is (back) in its place. */
int ft_state_sqlite_open(const char *path, bool known, struct ft_state **ret, struct ft_err *err);
/* The double: in memory, gone at close. */
int ft_state_memory_open(struct ft_state **ret, struct ft_err *err);

#endif
