/* What the tests of blob_dir share: a folder of their own, objects whose bytes follow from a
 * number. */
#ifndef FT_TEST_BLOB_DIR_FIXTURE_H
#define FT_TEST_BLOB_DIR_FIXTURE_H

#include <dirent.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "base/rand.h"
#include "blob/blob.h"
#include "blob/dir/dir.h"

#include "testing.h"

static char folder[64];
static struct ft_err err;

#define OK(call)                                                                                   \
    do {                                                                                           \
        int ok_rc = (call);                                                                        \
        if (ok_rc != 0)                                                                            \
            fail_msg("%s: %d %s", #call, ok_rc, err.msg);                                          \
    } while (0)

static inline int make_folder(void **state)
{
    (void)state;
    snprintf(folder, sizeof folder, "/tmp/ft_blob_dir_XXXXXX");
    return mkdtemp(folder) == NULL ? -1 : 0;
}

static inline int remove_folder(void **state)
{
    char cmd[96];
    (void)state;
    snprintf(cmd, sizeof cmd, "rm -r %s", folder);
    return system(cmd);
}

static inline struct ft_blob *open_blob(void)
{
    struct ft_blob *b = NULL;
    OK(ft_blob_dir_open(&(struct ft_blob_dir_config){.path = folder}, &b, &err));
    return b;
}

/* The bytes of object `number`, from `offset` on. */
static inline void fill(uint64_t number, size_t offset, uint8_t *to, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t at = offset + i;
        to[i] = (uint8_t)(ft_rand_mix(number * 1000003 + at / 8) >> 8 * (at % 8));
    }
}

static inline int put_made(struct ft_blob *b, const struct ft_blob_put *put, uint64_t number,
                           size_t from, size_t n, struct ft_blob_done *ret)
{
    struct ft_blob_writer *w;
    uint8_t *data = malloc(n + 1);
    int rc = ft_blob_put(b, put, &w, &err);
    if (rc == 0) {
        fill(number, from, data, n);
        rc = ft_blob_put_write(w, data, n, &err);
        if (rc == 0)
            rc = ft_blob_put_commit(w, NULL, 0, ret, &err);
        else
            ft_blob_put_abort(w);
    }
    free(data);
    return rc;
}

/* Files under data/. */
static inline int count_files(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *e;
    int n = 0;
    while (dir != NULL && (e = readdir(dir)) != NULL) {
        char below[512];
        struct stat st;
        if (e->d_name[0] == '.' ||
            (size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below)
            continue;
        if (stat(below, &st) == 0)
            n += S_ISDIR(st.st_mode) ? count_files(below) : 1;
    }
    if (dir != NULL)
        closedir(dir);
    return n;
}

static inline int count_data_files(void)
{
    char path[80];
    snprintf(path, sizeof path, "%s/data", folder);
    return count_files(path);
}

/* One number out of the index, by another connection. */
static inline int64_t ask_index(const char *sql)
{
    char path[80];
    sqlite3 *db;
    sqlite3_stmt *s;
    snprintf(path, sizeof path, "%s/index.db", folder);
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &s, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(s), SQLITE_ROW);
    int64_t n = sqlite3_column_int64(s, 0);
    sqlite3_finalize(s);
    sqlite3_close(db);
    return n;
}

/* Everything is whole, and no file is nobody's; waits for the sweeper. */
static inline void assert_sound(struct ft_blob *b)
{
    struct ft_blob_scrubbed done;
    struct ft_blob_scrub scrub = {.bytes_per_s = 0};
    for (int i = 0; i < 1000 && ask_index("SELECT COUNT(*) FROM trash") != 0; i++)
        usleep(10000);
    OK(ft_blob_scrub(b, &scrub, &done, &err));
    assert_int_equal(done.faults, 0);
    for (int i = 0; i < 1000; i++) { /* doubtful ones go a moment later */
        if (count_data_files() == ask_index("SELECT COUNT(*) FROM file"))
            break;
        usleep(10000);
    }
    assert_int_equal(count_data_files(), ask_index("SELECT COUNT(*) FROM file"));
}

/* What the counters say is what there is. */
static inline void assert_counted(void)
{
    assert_int_equal(ask_index("SELECT SUM(objects) FROM bucket"),
                     ask_index("SELECT (SELECT COUNT(*) FROM object) + (SELECT COUNT(*) FROM part"
                               " WHERE upload IN (SELECT id FROM upload))"));
}

#endif
