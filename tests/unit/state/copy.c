/* A copy is the moment of its begin, whatever is written meanwhile; the file stays as it is. */
#include "state/copy.h"

#include <sqlite3.h>
#include <stdatomic.h>

#include "testing.h"

static struct ft_err err;

static int64_t ask(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *s;
    assert_int_equal(sqlite3_open(path, &db), 0);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), 0);
    int step = sqlite3_step(s);
    int64_t v = step == SQLITE_ROW ? sqlite3_column_int64(s, 0) : 0;
    sqlite3_finalize(s);
    sqlite3_close(db);
    return v;
}

static void the_moment_is_its_begin(void **state)
{
    char dir[] = "/tmp/ft_copy_XXXXXX", from[64], to[64], rm[80];
    struct ft_sqlite_copy *c = NULL;
    sqlite3 *db;
    (void)state;
    assert_non_null(mkdtemp(dir));
    snprintf(from, sizeof from, "%s/from", dir);
    snprintf(to, sizeof to, "%s/to", dir);
    assert_int_equal(ft_sqlite_copy_begin(from, &c, &err), FT_ENOTFOUND);
    assert_int_equal(sqlite3_open(from, &db), 0);
    assert_int_equal(sqlite3_exec(db,
                                  "PRAGMA journal_mode = WAL; CREATE TABLE t (v BLOB);"
                                  "INSERT INTO t VALUES (zeroblob(100000)), (1)",
                                  NULL, NULL, NULL),
                     0);
    assert_int_equal(ft_sqlite_copy_begin(from, &c, &err), 0);
    assert_int_equal(
        sqlite3_exec(db, "INSERT INTO t VALUES (2); DELETE FROM t WHERE v = 1", NULL, NULL, NULL),
        0);
    assert_int_equal(ft_sqlite_copy_write(c, to, NULL, &err), 0);
    ft_sqlite_copy_end(c);
    assert_int_equal(ask(to, "SELECT count(*) FROM t WHERE v = 1"), 1);
    assert_int_equal(ask(to, "SELECT count(*) FROM t WHERE v = 2"), 0);
    assert_int_equal(ask(from, "SELECT count(*) FROM t WHERE v = 2"), 1);
    snprintf(rm, sizeof rm, "%s-wal", to);
    assert_int_equal(access(rm, F_OK), -1);
    sqlite3_close(db);

    const atomic_int stop = 1;
    assert_int_equal(ft_sqlite_copy_begin(from, &c, &err), 0);
    unlink(to);
    assert_int_equal(ft_sqlite_copy_write(c, to, &stop, &err), FT_ECANCELED);
    ft_sqlite_copy_end(c);

    FILE *f = fopen(from, "r+"); /* damage */
    assert_non_null(f);
    fseek(f, 4096, SEEK_SET);
    for (int i = 0; i < 4096; i++)
        putc(0xa5, f);
    fclose(f);
    unlink(to);
    int rc = ft_sqlite_copy_begin(from, &c, &err);
    if (rc == 0) {
        rc = ft_sqlite_copy_write(c, to, NULL, &err);
        ft_sqlite_copy_end(c);
    }
    assert_int_equal(rc, FT_ECORRUPT);
    snprintf(rm, sizeof rm, "rm -r %s", dir);
    assert_int_equal(system(rm), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_moment_is_its_begin)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
