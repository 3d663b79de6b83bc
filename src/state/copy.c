/* SQLite's online backup, within a read transaction that was begun before: so several files can be
 * held at one moment first and be copied then. */
#include "state/copy.h"

#include <errno.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define BUSY_MS   5000
#define STEP      2048 /* pages copied between two looks at the interrupt */
#define FAULT_MAX 200

struct ft_sqlite_copy {
    sqlite3 *db;
    char *path;
    int64_t bytes;
};

bool ft_sqlite_is(int fd)
{
    static const char magic[16] = "SQLite format 3";
    char head[sizeof magic];
    return pread(fd, head, sizeof head, 0) == (ssize_t)sizeof head &&
           memcmp(head, magic, sizeof magic) == 0;
}

static int fail(sqlite3 *db, const char *path, struct ft_err *err)
{
    int rc = sqlite3_errcode(db), sys = sqlite3_system_errno(db);
    int code = rc == SQLITE_FULL || sys == ENOSPC || sys == EDQUOT ? FT_ELIMIT
               : rc == SQLITE_CORRUPT || rc == SQLITE_NOTADB       ? FT_ECORRUPT
               : rc == SQLITE_NOMEM                                ? FT_ENOMEM
               : rc == SQLITE_BUSY || rc == SQLITE_LOCKED          ? FT_EBUSY
                                                                   : FT_EIO;
    ft_err_set(err, code, "%s: %s", path, sqlite3_errmsg(db));
    err->sys_errno = sys;
    return code;
}

/* The first number of the first row. */
static int number(sqlite3 *db, const char *path, const char *sql, int64_t *ret, struct ft_err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(db, sql, -1, &s, NULL) != SQLITE_OK || sqlite3_step(s) != SQLITE_ROW)
        rc = fail(db, path, err);
    else
        *ret = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    return rc;
}

int ft_sqlite_copy_begin(const char *path, struct ft_sqlite_copy **ret, struct ft_err *err)
{
    int64_t pages = 0, size = 0, any;
    struct ft_sqlite_copy *c;
    if (access(path, R_OK) != 0)
        return ft_err_sys(err, "open %s", path);
    c = calloc(1, sizeof *c);
    if (c == NULL || (c->path = strdup(path)) == NULL) {
        free(c);
        return ft_err_set(err, FT_ENOMEM, "copy %s: no memory", path);
    }
    int rc = 0;
    /* written to is its log's index alone; the log stays as it is when this is closed */
    if (sqlite3_open_v2(path, &c->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_busy_timeout(c->db, BUSY_MS) != SQLITE_OK ||
        sqlite3_db_config(c->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL) != SQLITE_OK ||
        sqlite3_exec(c->db, "PRAGMA query_only = 1; BEGIN", NULL, NULL, NULL) != SQLITE_OK)
        rc = c->db != NULL ? fail(c->db, path, err) : ft_err_set(err, FT_ENOMEM, "no memory");
    if (rc == 0) /* reads: from here on it is held */
        rc = number(c->db, path, "SELECT count(*) FROM sqlite_schema", &any, err);
    if (rc == 0)
        rc = number(c->db, path, "PRAGMA page_count", &pages, err);
    if (rc == 0)
        rc = number(c->db, path, "PRAGMA page_size", &size, err);
    c->bytes = pages * size;
    if (rc != 0)
        ft_sqlite_copy_end(c);
    else
        *ret = c;
    return rc;
}

int64_t ft_sqlite_copy_bytes(const struct ft_sqlite_copy *c)
{
    return c->bytes;
}

static int copy_pages(struct ft_sqlite_copy *c, sqlite3 *to, const char *to_path,
                      const atomic_int *interrupt, struct ft_err *err)
{
    sqlite3_backup *b = sqlite3_backup_init(to, "main", c->db, "main");
    int rc = SQLITE_OK;
    if (b == NULL)
        return fail(to, to_path, err);
    do {
        if (interrupt != NULL && *interrupt != 0)
            rc = SQLITE_INTERRUPT;
        else
            rc = sqlite3_backup_step(b, STEP);
    } while (rc == SQLITE_OK);
    int end = sqlite3_backup_finish(b);
    if (rc == SQLITE_INTERRUPT)
        return ft_err_set(err, FT_ECANCELED, "interrupted");
    if (rc == SQLITE_DONE && end == SQLITE_OK)
        return 0;
    return fail(to, to_path, err);
}

static int check(sqlite3 *db, const char *path, struct ft_err *err)
{
    sqlite3_stmt *s = NULL;
    int rc = 0;
    if (sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &s, NULL) != SQLITE_OK ||
        sqlite3_step(s) != SQLITE_ROW)
        rc = fail(db, path, err);
    else if (strcmp((const char *)sqlite3_column_text(s, 0), "ok") != 0)
        rc = ft_err_set(err, FT_ECORRUPT, "%s is damaged: %.*s", path, FAULT_MAX,
                        (const char *)sqlite3_column_text(s, 0));
    sqlite3_finalize(s);
    return rc;
}

int ft_sqlite_copy_write(struct ft_sqlite_copy *c, const char *to, const atomic_int *interrupt,
                         struct ft_err *err)
{
    sqlite3 *db = NULL;
    int rc = 0;
    /* nobody sees it before it is whole, so it needs no journal of its own */
    if (sqlite3_open_v2(to, &db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
                        NULL) != SQLITE_OK ||
        sqlite3_exec(db, "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF", NULL, NULL, NULL) !=
            SQLITE_OK)
        rc = db != NULL ? fail(db, to, err) : ft_err_set(err, FT_ENOMEM, "no memory");
    if (rc == 0)
        rc = copy_pages(c, db, to, interrupt, err);
    if (rc == 0) /* as a file without a log: nothing is to stand beside it */
        rc = sqlite3_exec(db, "PRAGMA journal_mode = DELETE", NULL, NULL, NULL) == SQLITE_OK
                 ? check(db, c->path, err)
                 : fail(db, to, err);
    sqlite3_close(db);
    return rc;
}

void ft_sqlite_copy_end(struct ft_sqlite_copy *c)
{
    if (c == NULL)
        return;
    sqlite3_close(c->db); /* and with it the transaction */
    free(c->path);
    free(c);
}
