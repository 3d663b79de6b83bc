/* Which data files a store has, by a copy of its index: for backups, which are made by another
 * process than the one that has the store open. */
#include <sqlite3.h>

#include "blob/dir/impl.h"

int ft_blob_dir_files(const char *index, ft_blob_dir_file_fn *fn, void *ctx, struct ft_err *err)
{
    sqlite3 *db = NULL;
    sqlite3_stmt *s = NULL;
    char name[FT_DIR_NAME_MAX];
    int rc = 0, step = SQLITE_DONE;
    if (sqlite3_open_v2(index, &db, SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX, NULL) !=
            SQLITE_OK ||
        sqlite3_prepare_v2(db,
                           "SELECT id, size FROM file WHERE id NOT IN (SELECT id FROM trash)"
                           " ORDER BY id",
                           -1, &s, NULL) != SQLITE_OK)
        step = SQLITE_ERROR;
    while (s != NULL && rc == 0 && (step = sqlite3_step(s)) == SQLITE_ROW) {
        ft_dir_file_name(sqlite3_column_int64(s, 0), name);
        rc = fn(ctx, name, sqlite3_column_int64(s, 1), err);
    }
    if (rc == 0 && step != SQLITE_DONE)
        rc = ft_err_set(err, FT_ECORRUPT, "%s: %s", index,
                        db != NULL ? sqlite3_errmsg(db) : "no memory");
    sqlite3_finalize(s);
    sqlite3_close(db);
    return rc;
}
