/* The index's tables and statements, and its connections. ../README.md says what the tables hold.
 *
 * WAL with synchronous=FULL: a commit is one sync of the log, readers never wait for the writer. */
#include "blob/dir/index.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "blob/dir/impl.h"

#define APPLICATION  1718904162 /* "ftib": SQLite's application_id */
#define FORMAT       1          /* SQLite's user_version */
#define CHECKPOINT   "8192"     /* pages of the log before they are moved into the file */
#define WRITER_CACHE "-16384"   /* KiB */
#define READER_CACHE "-512"
#define BUSY_MS      10000
#define SHRINK_MS    100

static const char schema[] =
    "CREATE TABLE mark (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;"
    "INSERT INTO mark VALUES ('epoch', 0), ('collected', 0), ('touched', 0),"
    " ('secret', random());"
    "CREATE TABLE bucket (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, owner TEXT NOT NULL,"
    " created INTEGER NOT NULL, versioning INTEGER NOT NULL, objects INTEGER NOT NULL,"
    " bytes INTEGER NOT NULL);"
    "CREATE TABLE config (bucket INTEGER, what TEXT, text TEXT NOT NULL,"
    " PRIMARY KEY (bucket, what)) WITHOUT ROWID;"
    "CREATE TABLE object (bucket INTEGER, key TEXT, ord INTEGER, row BLOB NOT NULL,"
    " PRIMARY KEY (bucket, key, ord)) WITHOUT ROWID;"
    "CREATE TABLE small (id INTEGER PRIMARY KEY, crc INTEGER NOT NULL, data BLOB NOT NULL);"
    "CREATE TABLE file (id INTEGER PRIMARY KEY, size INTEGER NOT NULL, crcs BLOB NOT NULL);"
    "CREATE TABLE sums (file INTEGER, chunk INTEGER, crcs BLOB NOT NULL,"
    " PRIMARY KEY (file, chunk)) WITHOUT ROWID;"
    "CREATE TABLE upload (id INTEGER PRIMARY KEY, bucket INTEGER NOT NULL, key TEXT NOT NULL,"
    " row BLOB NOT NULL);"
    "CREATE UNIQUE INDEX upload_key ON upload (bucket, key, id);"
    "CREATE TABLE part (upload INTEGER, number INTEGER, row BLOB NOT NULL,"
    " PRIMARY KEY (upload, number)) WITHOUT ROWID;"
    "CREATE TABLE ended (upload INTEGER PRIMARY KEY, at INTEGER NOT NULL, parts BLOB NOT NULL,"
    " bucket INTEGER NOT NULL, key TEXT NOT NULL, version TEXT NOT NULL, etag TEXT NOT NULL,"
    " size INTEGER NOT NULL, modified INTEGER NOT NULL);"
    "CREATE TABLE trash (id INTEGER PRIMARY KEY, pin INTEGER NOT NULL);";

static const char *const text[FT_SQL_N] = {
    [FT_SQL_BEGIN] = "BEGIN IMMEDIATE",
    [FT_SQL_BEGIN_READ] = "BEGIN",
    [FT_SQL_COMMIT] = "COMMIT",
    [FT_SQL_ROLLBACK] = "ROLLBACK",
    [FT_SQL_TOUCH] = "UPDATE mark SET value = value + 1 WHERE name = 'touched'",

    [FT_SQL_BUCKET_GET] = "SELECT id, name, owner, created, versioning FROM bucket WHERE name = ?",
    [FT_SQL_BUCKET_ADD] = "INSERT INTO bucket (name, owner, created, versioning, objects, bytes)"
                          " VALUES (?, ?, ?, 0, 0, 0)",
    [FT_SQL_BUCKET_DROP] = "DELETE FROM bucket WHERE id = ?",
    [FT_SQL_BUCKET_LIST] =
        "SELECT id, name, owner, created, versioning FROM bucket WHERE name > ? ORDER BY name",
    [FT_SQL_BUCKET_VERSIONING] = "UPDATE bucket SET versioning = ? WHERE id = ?",
    [FT_SQL_BUCKET_COUNT] =
        "UPDATE bucket SET objects = objects + ?, bytes = bytes + ? WHERE id = ?",
    [FT_SQL_BUCKET_HELD] = "SELECT 1 FROM object WHERE bucket = ? LIMIT 1",
    [FT_SQL_USAGE] =
        "SELECT COALESCE(SUM(objects), 0), COALESCE(SUM(bytes), 0) FROM bucket WHERE owner = ?",
    [FT_SQL_USAGE_ALL] = "SELECT COALESCE(SUM(objects), 0), COALESCE(SUM(bytes), 0) FROM bucket",
    [FT_SQL_USAGE_BUCKET] = "SELECT objects, bytes FROM bucket WHERE id = ?",
    [FT_SQL_CONFIG_GET] = "SELECT text FROM config WHERE bucket = ? AND what = ?",
    [FT_SQL_CONFIG_SET] = "INSERT OR REPLACE INTO config VALUES (?, ?, ?)",
    [FT_SQL_CONFIG_DROP] = "DELETE FROM config WHERE bucket = ? AND what = ?",
    [FT_SQL_CONFIG_DROP_ALL] = "DELETE FROM config WHERE bucket = ?",

    [FT_SQL_VERSIONS] = "SELECT ord, row FROM object WHERE bucket = ? AND key = ? ORDER BY ord",
    [FT_SQL_VERSION_GET] = "SELECT ord, row FROM object WHERE bucket = ? AND key = ? AND ord = ?",
    [FT_SQL_VERSION_ADD] = "INSERT INTO object VALUES (?, ?, ?, ?)",
    [FT_SQL_VERSION_SET] = "UPDATE object SET row = ? WHERE bucket = ? AND key = ? AND ord = ?",
    [FT_SQL_VERSION_DROP] = "DELETE FROM object WHERE bucket = ? AND key = ? AND ord = ?",
    [FT_SQL_LIST] = "SELECT key, ord, row FROM object WHERE bucket = ?1 AND (key, ord) > (?2, ?3)"
                    " ORDER BY key, ord",
    [FT_SQL_WALK] = "SELECT o.bucket, b.name, o.key, o.ord, o.row FROM object o LEFT JOIN bucket b"
                    " ON b.id = o.bucket WHERE (o.bucket, o.key, o.ord) > (?, ?, ?)"
                    " ORDER BY o.bucket, o.key, o.ord LIMIT 1",

    [FT_SQL_SMALL_GET] = "SELECT crc, data FROM small WHERE id = ?",
    [FT_SQL_SMALL_ADD] = "INSERT INTO small VALUES (?, ?, ?)",
    [FT_SQL_SMALL_DROP] = "DELETE FROM small WHERE id = ?",
    [FT_SQL_FILE_GET] = "SELECT size, crcs FROM file WHERE id = ?",
    [FT_SQL_FILE_ADD] = "INSERT INTO file VALUES (?, ?, ?)",
    [FT_SQL_FILE_COPY] = "INSERT INTO file SELECT ?, size, crcs FROM file WHERE id = ?",
    [FT_SQL_FILE_DROP] = "DELETE FROM file WHERE id = ?",
    [FT_SQL_SUMS_GET] = "SELECT crcs FROM sums WHERE file = ? AND chunk = ?",
    [FT_SQL_SUMS_ADD] = "INSERT INTO sums VALUES (?, ?, ?)",
    [FT_SQL_SUMS_COPY] = "INSERT INTO sums SELECT ?, chunk, crcs FROM sums WHERE file = ?",
    [FT_SQL_SUMS_DROP] = "DELETE FROM sums WHERE file = ?",

    [FT_SQL_UPLOAD_GET] = "SELECT bucket, key, row FROM upload WHERE id = ?",
    [FT_SQL_UPLOAD_ADD] = "INSERT INTO upload VALUES (?, ?, ?, ?)",
    [FT_SQL_UPLOAD_DROP] = "DELETE FROM upload WHERE id = ?",
    [FT_SQL_UPLOAD_LIST] = "SELECT key, id, row FROM upload WHERE bucket = ?1"
                           " AND (key, id) > (?2, ?3) ORDER BY key, id",
    [FT_SQL_UPLOAD_OF_BUCKET] = "SELECT id FROM upload WHERE bucket = ? LIMIT 1",
    [FT_SQL_PART_GET] = "SELECT number, row FROM part WHERE upload = ? AND number = ?",
    [FT_SQL_PART_ADD] = "INSERT INTO part VALUES (?, ?, ?)",
    [FT_SQL_PART_DROP] = "DELETE FROM part WHERE upload = ? AND number = ?",
    [FT_SQL_PART_LIST] =
        "SELECT number, row FROM part WHERE upload = ? AND number > ? ORDER BY number",
    [FT_SQL_PART_WALK] =
        "SELECT p.upload, p.number, b.name, u.key, p.row FROM part p JOIN upload u ON"
        " u.id = p.upload LEFT JOIN bucket b ON b.id = u.bucket"
        " WHERE (p.upload, p.number) > (?, ?) ORDER BY p.upload, p.number LIMIT 1",
    [FT_SQL_PART_DROP_ALL] = "DELETE FROM part WHERE upload = ?",
    [FT_SQL_ENDED_GET] = "SELECT parts, bucket, key, version, etag, size, modified FROM ended"
                         " WHERE upload = ?",
    [FT_SQL_ENDED_ADD] = "INSERT INTO ended VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
    [FT_SQL_ENDED_DROP] = "DELETE FROM ended WHERE at < ?",
    [FT_SQL_ENDED_DROP_ALL] = "DELETE FROM ended WHERE bucket = ?",

    [FT_SQL_TRASH_ADD] = "INSERT OR IGNORE INTO trash VALUES (?, ?)",
    [FT_SQL_TRASH_LIST] = "SELECT id, pin FROM trash WHERE id > ? ORDER BY id LIMIT ?",
    [FT_SQL_TRASH_DROP] = "DELETE FROM trash WHERE id = ?",
    [FT_SQL_COLLECTED_GET] = "SELECT value FROM mark WHERE name = 'collected'",
    [FT_SQL_COLLECTED_SET] = "UPDATE mark SET value = ? WHERE name = 'collected'",
    [FT_SQL_SUMS_OLD] = "DELETE FROM sums WHERE file >= ?1 AND file < ?2"
                        " AND file NOT IN (SELECT id FROM file WHERE id >= ?1 AND id < ?2)",
    [FT_SQL_QUICK_CHECK] = "PRAGMA quick_check(100)",
};

int ft_sql_err(struct ft_conn *c, struct ft_err *err)
{
    int rc = sqlite3_extended_errcode(c->db), code;
    switch (rc & 0xff) {
    case SQLITE_FULL:
        code = FT_ELIMIT;
        break;
    case SQLITE_NOMEM:
        code = FT_ENOMEM;
        break;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        code = FT_ECORRUPT;
        break;
    default:
        code = FT_EIO;
    }
    int sys = sqlite3_system_errno(c->db);
    if (code == FT_EIO && (sys == ENOSPC || sys == EDQUOT || rc == SQLITE_IOERR_SHMSIZE))
        code = FT_ELIMIT;
    c->broken = true;
    return ft_err_set(err, code, "index: %s", sqlite3_errmsg(c->db));
}

static int bind(struct ft_conn *c, sqlite3_stmt **ret, struct ft_err *err, enum ft_sql which,
                const char *fmt, va_list ap)
{
    sqlite3_stmt *s = c->stmt[which];
    *ret = NULL;
    if (s == NULL &&
        sqlite3_prepare_v3(c->db, text[which], -1, SQLITE_PREPARE_PERSISTENT, &s, NULL) != 0)
        return ft_sql_err(c, err);
    c->stmt[which] = s;
    int rc = 0;
    for (int i = 0; rc == 0 && fmt[i] != '\0'; i++)
        if (fmt[i] == 'i') {
            rc = sqlite3_bind_int64(s, i + 1, va_arg(ap, int64_t));
        } else if (fmt[i] == 't') {
            rc = sqlite3_bind_text(s, i + 1, va_arg(ap, const char *), -1, SQLITE_STATIC);
        } else {
            const void *p = va_arg(ap, const void *);
            size_t n = va_arg(ap, size_t);
            rc = sqlite3_bind_blob64(s, i + 1, p == NULL ? "" : p, n, SQLITE_STATIC);
        }
    if (rc != 0) {
        rc = ft_sql_err(c, err);
        ft_sql_end(s);
        return rc;
    }
    *ret = s;
    return 0;
}

int ft_sql_row(struct ft_conn *c, sqlite3_stmt **ret, struct ft_err *err, enum ft_sql which,
               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = bind(c, ret, err, which, fmt, ap);
    va_end(ap);
    return rc != 0 ? rc : ft_sql_step(c, *ret, err);
}

int ft_sql_step(struct ft_conn *c, sqlite3_stmt *s, struct ft_err *err)
{
    int rc = sqlite3_step(s);
    if (rc == SQLITE_ROW)
        return 1;
    return rc == SQLITE_DONE ? 0 : ft_sql_err(c, err);
}

void ft_sql_end(sqlite3_stmt *s)
{
    if (s != NULL)
        sqlite3_reset(s);
}

int ft_sql_run(struct ft_conn *c, struct ft_err *err, enum ft_sql which, const char *fmt, ...)
{
    sqlite3_stmt *s;
    va_list ap;
    va_start(ap, fmt);
    int rc = bind(c, &s, err, which, fmt, ap);
    va_end(ap);
    rc = rc == 0 ? 1 : rc;
    while (rc == 1)
        rc = ft_sql_step(c, s, err);
    ft_sql_end(s);
    return rc;
}

/* ---- connections ---- */

static void conn_close(struct ft_conn *c)
{
    if (c == NULL)
        return;
    for (int i = 0; i < FT_SQL_N; i++)
        sqlite3_finalize(c->stmt[i]);
    sqlite3_close(c->db);
    free(c);
}

static int exec(struct ft_conn *c, const char *sql, struct ft_err *err)
{
    return sqlite3_exec(c->db, sql, NULL, NULL, NULL) == SQLITE_OK ? 0 : ft_sql_err(c, err);
}

/* A file system without shared memory has no such log, and then readers would wait for the writer.
 */
static int wal_check(struct ft_conn *c, struct ft_err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(c->db, "PRAGMA journal_mode", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        rc = ft_sql_err(c, err);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "wal") != 0)
        rc = ft_err_set(err, FT_EUNSUPPORTED, "index: this file system cannot keep its log (WAL)");
    sqlite3_finalize(s);
    return rc;
}

static int conn_open(const struct ft_index *x, bool writer, bool create, struct ft_conn **ret,
                     struct ft_err *err)
{
    struct ft_conn *c = calloc(1, sizeof *c);
    if (c == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a connection of the index");
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | (create ? SQLITE_OPEN_CREATE : 0);
    int rc = sqlite3_open_v2(x->path, &c->db, flags, x->vfs);
    if (rc != SQLITE_OK && c->db == NULL) {
        free(c);
        return ft_err_set(err, FT_ENOMEM, "no memory for the index");
    }
    rc = rc != SQLITE_OK ? ft_sql_err(c, err) : 0;
    if (rc == 0) {
        sqlite3_extended_result_codes(c->db, 1);
        sqlite3_busy_timeout(c->db, BUSY_MS);
        rc = exec(c,
                  writer ? "PRAGMA cache_size=" WRITER_CACHE ";PRAGMA journal_mode=WAL;"
                           "PRAGMA synchronous=FULL;PRAGMA wal_autocheckpoint=" CHECKPOINT ";"
                           "PRAGMA journal_size_limit=67108864"
                         : "PRAGMA cache_size=" READER_CACHE ";PRAGMA query_only=1",
                  err);
    }
    if (rc == 0 && writer)
        rc = wal_check(c, err);
    if (rc != 0) {
        conn_close(c);
        return rc;
    }
    *ret = c;
    return 0;
}

static int number(struct ft_conn *c, const char *sql, int64_t *ret, struct ft_err *err)
{
    sqlite3_stmt *s = NULL;
    if (sqlite3_prepare_v2(c->db, sql, -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW) {
        int rc = ft_sql_err(c, err);
        sqlite3_finalize(s);
        return rc;
    }
    *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return 0;
}

/* Its tables: made, or of a format that this program knows. Counts the opening. */
static int begin_epoch(struct ft_conn *c, bool create, int64_t *ret_epoch, uint64_t *ret_secret,
                       struct ft_err *err)
{
    int64_t application = 0, format = 0, secret = 0;
    char pragma[128];
    int rc = exec(c, "BEGIN IMMEDIATE", err);
    if (rc == 0)
        rc = number(c, "PRAGMA application_id", &application, err);
    if (rc == 0)
        rc = number(c, "PRAGMA user_version", &format, err);
    if (rc == 0 && application == 0 && format == 0 && create) {
        snprintf(pragma, sizeof pragma, "PRAGMA application_id=%d;PRAGMA user_version=%d",
                 APPLICATION, FORMAT);
        rc = exec(c, schema, err);
        if (rc == 0)
            rc = exec(c, pragma, err);
    } else if (rc == 0 && application != APPLICATION) {
        rc = ft_err_set(err, FT_ECORRUPT, "index: not one of a store of objects");
    } else if (rc == 0 && format != FORMAT) {
        rc = ft_err_set(err, FT_EUNSUPPORTED,
                        "index: format %lld, made by a newer feitian; this one knows %d",
                        (long long)format, FORMAT);
    }
    if (rc == 0)
        rc = exec(c, "UPDATE mark SET value = value + 1 WHERE name = 'epoch'", err);
    if (rc == 0)
        rc = number(c, "SELECT value FROM mark WHERE name = 'epoch'", ret_epoch, err);
    if (rc == 0)
        rc = number(c, "SELECT value FROM mark WHERE name = 'secret'", &secret, err);
    if (rc == 0)
        rc = exec(c, "COMMIT", err);
    *ret_secret = (uint64_t)secret;
    return rc;
}

int ft_index_open(struct ft_index *x, const char *path, const char *vfs, bool create,
                  int64_t *ret_epoch, uint64_t *ret_secret, struct ft_err *err)
{
    *x = (struct ft_index){.vfs = vfs, .path = strdup(path)};
    if (x->path == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the index");
    pthread_mutex_init(&x->mutex, NULL);
    pthread_cond_init(&x->freed, NULL);
    int rc = conn_open(x, true, create, &x->writer, err);
    if (rc == 0)
        rc = begin_epoch(x->writer, create, ret_epoch, ret_secret, err);
    if (rc != 0)
        ft_index_close(x);
    return rc;
}

void ft_index_close(struct ft_index *x)
{
    if (x->path == NULL)
        return;
    while (x->idle != NULL) {
        struct ft_conn *c = x->idle;
        x->idle = c->next;
        conn_close(c);
    }
    conn_close(x->writer); /* the last: moves the log into the file */
    pthread_cond_destroy(&x->freed);
    pthread_mutex_destroy(&x->mutex);
    free(x->path);
    x->path = NULL;
}

void ft_index_shrink(struct ft_index *x)
{
    sqlite3_busy_timeout(x->writer->db, SHRINK_MS);
    sqlite3_wal_checkpoint_v2(x->writer->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    sqlite3_busy_timeout(x->writer->db, BUSY_MS);
}

int ft_index_read(struct ft_index *x, struct ft_conn **ret, struct ft_err *err)
{
    struct ft_conn *c = NULL;
    int rc = 0;
    pthread_mutex_lock(&x->mutex);
    while (x->idle == NULL && x->n_readers == FT_DIR_READERS_MAX)
        pthread_cond_wait(&x->freed, &x->mutex);
    if (x->idle != NULL) {
        c = x->idle;
        x->idle = c->next;
    } else {
        x->n_readers++;
    }
    pthread_mutex_unlock(&x->mutex);
    if (c == NULL)
        rc = conn_open(x, false, false, &c, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_BEGIN_READ, "");
    if (rc != 0) {
        ft_index_done(x, c);
        return rc;
    }
    *ret = c;
    return 0;
}

void ft_index_done(struct ft_index *x, struct ft_conn *c)
{
    /* one that failed is not used again: it is opened anew */
    if (c != NULL && (c->broken || ft_sql_run(c, NULL, FT_SQL_COMMIT, "") != 0)) {
        conn_close(c);
        c = NULL;
    }
    pthread_mutex_lock(&x->mutex);
    if (c != NULL) {
        c->next = x->idle;
        x->idle = c;
    } else {
        x->n_readers--;
    }
    pthread_cond_signal(&x->freed);
    pthread_mutex_unlock(&x->mutex);
}
