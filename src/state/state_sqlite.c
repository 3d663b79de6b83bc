/* The store in one SQLite file (WAL, synced at every commit), and its double in memory.
 *
 * Before every transaction the file at the path is compared with the open one, so that a store that
 * was moved away, replaced or brought back is noticed: what SQLite holds open would otherwise go on
 * into a file that nobody sees. Nothing is mapped from the database file (mmap_size 0), so a
 * file cut short is an error, never a signal.
 *
 * Placeholders $1, $2 are named parameters to SQLite: looked up by name, since it numbers them in
 * the order of appearance. */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "base/map.h"
#include "state/engine.h"

#define CACHE_MAX    256
#define BUSY_WAIT_MS 2000 /* for another process's transaction; then the whole one runs again */
#define WAL_PAGES    1000 /* log length at which it is copied into the file */

struct rows {
    struct ft_state_rows base;
    struct sqlite *db;
    sqlite3_stmt *stmt;
    bool busy, cached;
    int param[FT_STATE_PARAMS_MAX]; /* SQLite's number of $1, $2, ... ; 0: not used */
};

struct sqlite {
    struct ft_state base;
    char *path; /* NULL: in memory */
    sqlite3 *db;
    dev_t dev;
    ino_t ino;
    bool writing, moved;
    struct ft_strmap cached; /* SQL text: index */
    struct rows *cache[CACHE_MAX];
    int n_cache;
};

static struct sqlite *of(struct ft_state *s)
{
    return (struct sqlite *)s;
}

static int map_code(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return FT_EBUSY;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return FT_ECORRUPT;
    case SQLITE_NOMEM:
        return FT_ENOMEM;
    case SQLITE_TOOBIG:
        return FT_ELIMIT;
    case SQLITE_CONSTRAINT:
        return rc == SQLITE_CONSTRAINT_UNIQUE || rc == SQLITE_CONSTRAINT_PRIMARYKEY ? FT_EEXIST
                                                                                    : FT_EINVAL;
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL:
        return FT_EIO;
    default:
        return FT_EINTERNAL;
    }
}

static int fail(struct sqlite *q, int rc, const char *what, struct ft_err *err)
{
    int sys = q->db != NULL ? sqlite3_system_errno(q->db) : 0;
    int code = map_code(rc);
    ft_err_set(err, code, "state store%s%s: %s: %s", q->path != NULL ? " " : "",
               q->path != NULL ? q->path : "", what,
               q->db != NULL ? sqlite3_errmsg(q->db) : sqlite3_errstr(rc));
    if (err != NULL)
        err->sys_errno = (rc & 0xff) == SQLITE_FULL ? ENOSPC : code == FT_EIO ? sys : 0;
    return code;
}

/* ---- the connection ---- */

/* The file was moved or taken away while open. What is still in the log alone goes into it now (by
 * its descriptor, wherever it is), and the log, which stays behind, is emptied: so the moved file
 * is whole, and no other file that is put into its place gets this one's pages. */
static void settle_moved(struct sqlite *q)
{
    if (q->db != NULL && !q->moved)
        sqlite3_wal_checkpoint_v2(q->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    q->moved = true;
}

static void drop(struct ft_state *s)
{
    struct sqlite *q = of(s);
    if (q->path == NULL)
        return; /* memory has no other connection */
    for (int i = 0; i < q->n_cache; i++) {
        sqlite3_finalize(q->cache[i]->stmt);
        free(q->cache[i]);
    }
    q->n_cache = 0;
    ft_strmap_fini(&q->cached);
    q->cached = (struct ft_strmap){0};
    sqlite3_close_v2(q->db);
    q->db = NULL;
}

static int pragma(struct sqlite *q, const char *sql, struct ft_err *err)
{
    int rc = sqlite3_exec(q->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(q, rc, "open", err);
}

static int connect_to(struct sqlite *q, struct ft_err *err)
{
    char wal[64];
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE |
                (q->base.known ? 0 : SQLITE_OPEN_CREATE);
    mode_t mask = umask(077); /* it holds hashes of keys and people's answers */
    int rc = sqlite3_open_v2(q->path != NULL ? q->path : ":memory:", &q->db, flags, NULL);
    if (rc == SQLITE_OK && q->path != NULL)
        /* the log's files are made here, under the mask */
        rc = sqlite3_exec(q->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
    umask(mask);
    if (rc != SQLITE_OK) {
        int code = fail(q, rc, "open", err);
        sqlite3_close_v2(q->db);
        q->db = NULL;
        return code;
    }
    sqlite3_busy_timeout(q->db, BUSY_WAIT_MS);
    snprintf(wal, sizeof wal, "PRAGMA wal_autocheckpoint = %d", WAL_PAGES);
    rc = pragma(q, "PRAGMA synchronous = FULL", err);
    if (rc == 0)
        rc = pragma(q, "PRAGMA foreign_keys = ON", err);
    if (rc == 0)
        rc = pragma(q, "PRAGMA mmap_size = 0", err);
    if (rc == 0)
        rc = pragma(q, wal, err);
    return rc;
}

static int open_file(struct sqlite *q, struct ft_err *err)
{
    struct stat st;
    int rc = connect_to(q, err);
    if (rc == 0 && stat(q->path, &st) != 0)
        rc = ft_err_sys(err, "state store %s", q->path);
    if (rc != 0) {
        drop(&q->base);
        return rc == FT_ENOTFOUND ? FT_EIO : rc;
    }
    q->dev = st.st_dev;
    q->ino = st.st_ino;
    return 0;
}

static int ready(struct ft_state *s, bool *ret_fresh, struct ft_err *err)
{
    struct sqlite *q = of(s);
    struct stat st;
    if (q->path == NULL) {
        *ret_fresh = q->base.id[0] == '\0';
        return 0;
    }
    if (stat(q->path, &st) != 0) {
        int sys = errno;
        settle_moved(q);
        errno = sys;
        if (errno != ENOENT || q->base.known) {
            ft_err_sys(err, "state store %s", q->path);
            if (err != NULL)
                err->code = FT_EIO; /* to a caller "not found" would be the thing asked for */
            return FT_EIO;
        }
    } else if (!S_ISREG(st.st_mode)) {
        return ft_err_set(err, FT_EIO, "state store %s: not a regular file", q->path);
    } else if (q->db != NULL && (st.st_dev != q->dev || st.st_ino != q->ino)) {
        settle_moved(q);
        drop(s);
    }
    q->moved = false;
    *ret_fresh = q->db == NULL;
    return q->db == NULL ? open_file(q, err) : 0;
}

static void close_store(struct ft_state *s)
{
    struct sqlite *q = of(s);
    char *path = q->path;
    q->path = ""; /* what lies in memory is dropped now too */
    drop(s);
    free(path);
    free(q);
}

/* ---- transactions ---- */

static int simple(struct sqlite *q, const char *sql, struct ft_err *err)
{
    int rc = sqlite3_exec(q->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(q, rc, sql, err);
}

static int begin(struct ft_state *s, bool write, struct ft_err *err)
{
    of(s)->writing = write;
    return simple(of(s), write ? "BEGIN IMMEDIATE" : "BEGIN", err);
}

static void rollback(struct ft_state *s)
{
    if (!sqlite3_get_autocommit(of(s)->db)) /* some failures have rolled back by themselves */
        sqlite3_exec(of(s)->db, "ROLLBACK", NULL, NULL, NULL);
}

static int commit(struct ft_state *s, struct ft_err *err)
{
    int rc = simple(of(s), "COMMIT", err);
    if (rc != 0)
        rollback(s);
    return rc;
}

/* ---- statements ---- */

static void rows_free(struct rows *r)
{
    sqlite3_finalize(r->stmt);
    free(r);
}

static int rows_open(struct sqlite *q, const char *sql, struct rows **ret, struct ft_err *err)
{
    const char *tail = "";
    struct rows *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "state: no memory for a statement");
    int rc = sqlite3_prepare_v3(q->db, sql, -1, SQLITE_PREPARE_PERSISTENT, &r->stmt, &tail);
    if (rc != SQLITE_OK || r->stmt == NULL) {
        free(r);
        return fail(q, rc != SQLITE_OK ? rc : SQLITE_ERROR, sql, err);
    }
    FT_ASSERT(*tail == '\0' && "one statement at a time");
    for (int i = 1; i <= sqlite3_bind_parameter_count(r->stmt); i++) {
        const char *name = sqlite3_bind_parameter_name(r->stmt, i);
        int at = name != NULL && name[0] == '$' ? atoi(name + 1) : 0;
        FT_ASSERT(at >= 1 && at <= FT_STATE_PARAMS_MAX);
        r->param[at - 1] = i;
    }
    r->db = q;
    *ret = r;
    return 0;
}

static int prepare(struct ft_state *s, const char *sql, struct ft_state_rows **ret,
                   struct ft_err *err)
{
    struct sqlite *q = of(s);
    struct rows *r = NULL;
    int32_t at;
    if (ft_strmap_get(&q->cached, sql, strlen(sql), &at) && !q->cache[at]->busy) {
        r = q->cache[at];
    } else {
        int rc = rows_open(q, sql, &r, err);
        if (rc != 0)
            return rc;
        const char *own = sqlite3_sql(r->stmt); /* lives as long as the statement */
        if (q->n_cache < CACHE_MAX &&
            ft_strmap_add(&q->cached, own, strlen(own), q->n_cache) == 0) {
            q->cache[q->n_cache++] = r;
            r->cached = true;
        }
    }
    if (!q->writing && !sqlite3_stmt_readonly(r->stmt)) {
        if (!r->cached)
            rows_free(r);
        return ft_err_set(err, FT_EINTERNAL, "state: a change in a transaction that reads: %s",
                          sql);
    }
    r->busy = true;
    *ret = &r->base;
    return 0;
}

static int bind(struct ft_state_rows *base, int index, const struct ft_sql_value *v,
                struct ft_err *err)
{
    struct rows *r = (struct rows *)base;
    int at = r->param[index - 1], rc = SQLITE_OK;
    if (at == 0)
        return ft_err_set(err, FT_EINTERNAL, "state: no $%d in: %s", index, sqlite3_sql(r->stmt));
    switch (v->type) {
    case FT_SQL_NULL:
        rc = sqlite3_bind_null(r->stmt, at);
        break;
    case FT_SQL_INT:
        rc = sqlite3_bind_int64(r->stmt, at, v->i);
        break;
    case FT_SQL_DOUBLE:
        rc = sqlite3_bind_double(r->stmt, at, v->d);
        break;
    case FT_SQL_TEXT:
        rc = sqlite3_bind_text(r->stmt, at, v->s.p, (int)v->s.n, SQLITE_STATIC);
        break;
    case FT_SQL_BLOB:
        rc = sqlite3_bind_blob(r->stmt, at, v->s.n > 0 ? v->s.p : "", (int)v->s.n, SQLITE_STATIC);
        break;
    }
    return rc == SQLITE_OK ? 0 : fail(r->db, rc, sqlite3_sql(r->stmt), err);
}

static int step(struct ft_state_rows *base, struct ft_err *err)
{
    struct rows *r = (struct rows *)base;
    int rc = sqlite3_step(r->stmt);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : fail(r->db, rc, sqlite3_sql(r->stmt), err);
}

static int64_t changed(struct ft_state_rows *base)
{
    return sqlite3_changes64(((struct rows *)base)->db->db);
}

static struct ft_sql_value column(struct ft_state_rows *base, int i)
{
    sqlite3_stmt *stmt = ((struct rows *)base)->stmt;
    FT_ASSERT(i >= 0 && i < sqlite3_column_count(stmt));
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER:
        return ft_sql_int(sqlite3_column_int64(stmt, i));
    case SQLITE_FLOAT:
        return ft_sql_double(sqlite3_column_double(stmt, i));
    case SQLITE_TEXT: {
        const char *p = (const char *)sqlite3_column_text(stmt, i);
        return ft_sql_textn(p, p == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, i));
    }
    case SQLITE_BLOB:
        return ft_sql_blob(sqlite3_column_blob(stmt, i), (size_t)sqlite3_column_bytes(stmt, i));
    default:
        return ft_sql_null();
    }
}

static void finish(struct ft_state_rows *base)
{
    struct rows *r = (struct rows *)base;
    sqlite3_reset(r->stmt);
    sqlite3_clear_bindings(r->stmt);
    r->busy = false;
    if (!r->cached)
        rows_free(r);
}

static int script(struct ft_state *s, const char *sql, struct ft_err *err)
{
    int rc = sqlite3_exec(of(s)->db, sql, NULL, NULL, NULL);
    return rc == SQLITE_OK ? 0 : fail(of(s), rc, "schema", err);
}

static const struct ft_state_ops ops = {
    .name = "sqlite",
    .ready = ready,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .script = script,
    .prepare = prepare,
    .bind = bind,
    .step = step,
    .changed = changed,
    .column = column,
    .finish = finish,
    .drop = drop,
    .close = close_store,
};

/* ---- opening ---- */

static int make_folder(const char *path, struct ft_err *err)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return 0;
    if ((size_t)(slash - path) >= sizeof folder)
        return ft_err_set(err, FT_ELIMIT, "state store: the path is too long");
    snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
    if (mkdir(folder, 0700) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make %s", folder);
    return 0;
}

static int do_nothing(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    (void)tx;
    (void)ctx;
    (void)err;
    return 0;
}

static int make(const char *path, bool known, struct ft_state **ret, struct ft_err *err)
{
    struct sqlite *q = calloc(1, sizeof *q);
    if (q == NULL || (path != NULL && (q->path = strdup(path)) == NULL)) {
        free(q);
        return ft_err_set(err, FT_ENOMEM, "state: no memory");
    }
    int rc = ft_state_base_init(&q->base, &ops, err);
    if (rc != 0) {
        free(q->path);
        free(q);
        return rc;
    }
    q->base.known = known;
    *ret = &q->base;
    return 0;
}

int ft_state_sqlite_open(const char *path, bool known, struct ft_state **ret, struct ft_err *err)
{
    struct ft_state *s;
    int rc = known ? 0 : make_folder(path, err);
    if (rc == 0)
        rc = make(path, known, &s, err);
    if (rc != 0)
        return rc;
    if (!known && (rc = ft_state_tx(s, do_nothing, NULL, err)) != 0) {
        ft_state_close(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int ft_state_memory_open(struct ft_state **ret, struct ft_err *err)
{
    struct ft_state *s;
    int rc = make(NULL, false, &s, err);
    if (rc != 0)
        return rc;
    rc = connect_to(of(s), err);
    if (rc == 0)
        rc = ft_state_tx(s, do_nothing, NULL, err);
    if (rc == 0)
        *ret = s;
    else
        ft_state_close(s);
    return rc;
}
