/* The file of the store in trouble: gone, replaced, damaged, no room, another writer, a killed one.
 * Always an error that says so, never a crash, and everything goes on once the file is back. */
#include "state/state.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "testing.h"

static const struct ft_migration tables[] = {
    {1, "t", "CREATE TABLE t (id BIGINT PRIMARY KEY, body TEXT NOT NULL)"}};

struct fixture {
    char dir[64], db[128], other[128];
    struct ft_state *s;
};
static struct ft_err err;

static int open_at(const char *path, bool known, struct ft_state **ret)
{
    int rc = ft_state_sqlite_open(path, known, ret, &err);
    if (rc != 0)
        return rc;
    rc = ft_state_migrate(*ret, "t", tables, 1, &err);
    return known ? 0 : rc;
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof *f);
    *state = f;
    strcpy(f->dir, "/tmp/ft_faults_XXXXXX");
    if (mkdtemp(f->dir) == NULL)
        return -1;
    snprintf(f->db, sizeof f->db, "%s/state.db", f->dir);
    snprintf(f->other, sizeof f->other, "%s/other.db", f->dir);
    return open_at(f->db, false, &f->s);
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char cmd[100];
    ft_state_close(f->s);
    snprintf(cmd, sizeof cmd, "rm -r %s", f->dir);
    free(f);
    return system(cmd);
}

struct row {
    int64_t id, count;
    const char *body;
};

static int do_put(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    struct row *r = ctx;
    return ft_state_exec(tx, "INSERT INTO t (id, body) VALUES ($1, $2)",
                         FT_ARGS(ft_sql_int(r->id), ft_sql_text(r->body)), NULL, e);
}

static int do_count(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    struct row *r = ctx;
    struct ft_state_rows *rows;
    int rc = ft_state_query(tx, "SELECT COUNT(*), MAX(LENGTH(body)) FROM t", FT_NO_ARGS, &rows, e);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(rows, e)) > 0)
        r->count = ft_rows_int(rows, 0);
    ft_rows_close(rows);
    return rc;
}

static int put(struct ft_state *s, int64_t id)
{
    struct row r = {.id = id, .body = "body"};
    return ft_state_tx(s, do_put, &r, &err);
}

static int64_t count(struct ft_state *s)
{
    struct row r = {.count = -1};
    int rc = ft_state_read(s, do_count, &r, &err);
    return rc == 0 ? r.count : rc;
}

static void a_file_moved_away_is_trouble_until_it_is_back(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(0, put(f->s, 1));
    assert_int_equal(0, rename(f->db, f->other));
    for (int i = 0; i < 3; i++) {
        assert_int_equal(FT_EIO, put(f->s, 2));
        assert_true(ft_state_is_trouble(FT_EIO));
        assert_non_null(strstr(err.msg, "state.db: No such file"));
        assert_int_equal(FT_EIO, count(f->s));
        assert_int_equal(-1, access(f->db, F_OK)); /* no new one was made */
    }
    assert_int_equal(0, rename(f->other, f->db));
    assert_int_equal(0, put(f->s, 2));
    assert_int_equal(2, count(f->s));
}

static void its_whole_folder_too(void **state)
{
    struct fixture *f = *state;
    char away[80];
    snprintf(away, sizeof away, "%s.away", f->dir);
    put(f->s, 1);
    assert_int_equal(0, rename(f->dir, away));
    assert_int_equal(FT_EIO, put(f->s, 2));
    assert_int_equal(0, rename(away, f->dir));
    assert_int_equal(0, put(f->s, 2));
    assert_int_equal(2, count(f->s));
}

static void another_process_waits_for_a_known_file_and_makes_none(void **state)
{
    struct fixture *f = *state;
    struct ft_state *s;
    put(f->s, 1);
    ft_state_close(f->s);
    f->s = NULL;
    assert_int_equal(0, rename(f->db, f->other));
    assert_int_equal(0, open_at(f->db, true, &s));
    assert_int_equal(FT_EIO, put(s, 2));
    assert_int_equal(FT_EIO, count(s));
    assert_int_equal(-1, access(f->db, F_OK));
    close(open(f->db, O_CREAT | O_WRONLY, 0600)); /* empty is not "there" */
    assert_int_equal(FT_ECORRUPT, put(s, 2));
    assert_non_null(strstr(err.msg, "empty"));
    assert_int_equal(0, rename(f->other, f->db));
    assert_int_equal(0, put(s, 2));
    assert_int_equal(2, count(s));
    ft_state_close(s);
}

static void another_store_in_its_place_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ft_state *s;
    char mine[128];
    snprintf(mine, sizeof mine, "%s/mine.db", f->dir);
    put(f->s, 1);
    assert_int_equal(0, open_at(f->other, false, &s));
    put(s, 7);
    ft_state_close(s);
    assert_int_equal(0, rename(f->db, mine));
    assert_int_equal(0, rename(f->other, f->db));
    assert_int_equal(FT_ECORRUPT, put(f->s, 2));
    assert_non_null(strstr(err.msg, "another state store"));
    assert_int_equal(0, rename(mine, f->db));
    assert_int_equal(0, put(f->s, 2));
    assert_int_equal(2, count(f->s));
}

/* Overwrites the file in place, keeping its length and number; returns what was there. */
static char *scribble(const char *path, const char *with, size_t *ret_n)
{
    struct stat st;
    int fd = open(path, O_RDWR);
    assert_int_equal(0, fstat(fd, &st));
    char *was = malloc((size_t)st.st_size);
    assert_int_equal(st.st_size, pread(fd, was, (size_t)st.st_size, 0));
    for (off_t at = 0; at < st.st_size; at += 64)
        assert_int_equal(64, pwrite(fd, with, 64, at));
    close(fd);
    *ret_n = (size_t)st.st_size;
    return was;
}

static void damage_is_an_error_and_a_mended_file_works(void **state)
{
    struct fixture *f = *state;
    char noise[64];
    size_t n;
    memset(noise, 0x5a, sizeof noise);
    for (int i = 0; i < 100; i++)
        put(f->s, i);
    ft_state_close(f->s); /* all of it is in the file, none in the log */
    assert_int_equal(0, open_at(f->db, true, &f->s));
    char *was = scribble(f->db, noise, &n);
    int rc = put(f->s, 1000);
    assert_true(rc == FT_ECORRUPT || rc == FT_EIO);
    assert_true(ft_state_is_trouble(rc));
    assert_true(ft_state_is_trouble((int)count(f->s)));
    int fd = open(f->db, O_WRONLY);
    assert_int_equal(n, pwrite(fd, was, n, 0));
    close(fd);
    free(was);
    assert_int_equal(100, count(f->s));
    assert_int_equal(0, put(f->s, 1000));
    assert_int_equal(0, truncate(f->db, 100)); /* cut short: an error, no signal */
    assert_true(ft_state_is_trouble((int)count(f->s)) || count(f->s) == 101);
    put(f->s, 1001);
}

static void no_room_left_changes_nothing_and_passes(void **state)
{
    struct fixture *f = *state;
    struct rlimit was, tight = {256 << 10, 256 << 10};
    static char big[100 << 10];
    memset(big, 'x', sizeof big - 1);
    struct row r = {.id = 100, .body = big};
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &was);
    tight.rlim_max = was.rlim_max;
    assert_int_equal(0, put(f->s, 1));
    setrlimit(RLIMIT_FSIZE, &tight);
    int rc = 0, done = 0;
    for (; done < 20 && rc == 0; done += rc == 0, r.id++)
        rc = ft_state_tx(f->s, do_put, &r, &err);
    int64_t there = count(f->s); /* reading goes on */
    setrlimit(RLIMIT_FSIZE, &was);
    assert_int_equal(FT_EIO, rc);
    assert_int_equal(1 + done, there);
    assert_int_equal(0, ft_state_tx(f->s, do_put, &r, &err));
    assert_int_equal(2 + done, count(f->s));
}

static void what_is_no_file_is_refused(void **state)
{
    struct fixture *f = *state;
    struct ft_state *s;
    assert_int_equal(FT_EIO, ft_state_sqlite_open(f->dir, false, &s, &err));
    assert_non_null(strstr(err.msg, "not a regular file"));
    assert_int_equal(FT_ENOTFOUND, ft_state_sqlite_open("/nowhere/at/all.db", false, &s, &err));
}

static void two_processes_write_by_turns(void **state)
{
    struct fixture *f = *state;
    pid_t child = fork();
    if (child == 0) {
        struct ft_state *s;
        int bad = open_at(f->db, true, &s) != 0;
        for (int i = 1000; i < 1100; i++)
            bad |= put(s, i) != 0;
        ft_state_close(s);
        _exit(bad);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(0, put(f->s, i));
    int status;
    assert_int_equal(child, waitpid(child, &status, 0));
    assert_int_equal(0, status);
    assert_int_equal(200, count(f->s));
}

static void what_was_committed_survives_a_kill(void **state)
{
    struct fixture *f = *state;
    int64_t acknowledged = 0, next = 0;
    ft_state_close(f->s);
    for (int round = 0; round < 4; round++) {
        int pipe_fd[2];
        assert_int_equal(0, pipe(pipe_fd));
        pid_t child = fork();
        if (child == 0) {
            struct ft_state *s;
            if (open_at(f->db, true, &s) != 0)
                _exit(1);
            for (int64_t i = next;; i++)
                if (put(s, i) != 0 || write(pipe_fd[1], &i, sizeof i) != sizeof i)
                    _exit(2);
        }
        close(pipe_fd[1]);
        for (int i = 0; i < 20; i++)
            assert_int_equal(sizeof acknowledged,
                             read(pipe_fd[0], &acknowledged, sizeof acknowledged));
        kill(child, SIGKILL);
        while (read(pipe_fd[0], &acknowledged, sizeof acknowledged) == sizeof acknowledged)
            ;
        close(pipe_fd[0]);
        waitpid(child, NULL, 0);
        assert_int_equal(0, open_at(f->db, true, &f->s));
        int64_t n = count(f->s);
        assert_true(n == acknowledged + 1 || n == acknowledged + 2); /* one may be in between */
        next = n;
        ft_state_close(f->s);
    }
    f->s = NULL;
}

static void others_cannot_read_it(void **state)
{
    struct fixture *f = *state;
    struct stat st;
    char wal[160];
    put(f->s, 1);
    assert_int_equal(0, stat(f->db, &st));
    assert_int_equal(0600, st.st_mode & 0777);
    snprintf(wal, sizeof wal, "%s-wal", f->db);
    assert_int_equal(0, stat(wal, &st));
    assert_int_equal(0600, st.st_mode & 0777);
}

#define TEST(test)                                                                                 \
    {                                                                                              \
#test, test, setup, teardown, NULL                                                         \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_file_moved_away_is_trouble_until_it_is_back),
        TEST(its_whole_folder_too),
        TEST(another_process_waits_for_a_known_file_and_makes_none),
        TEST(another_store_in_its_place_is_refused),
        TEST(damage_is_an_error_and_a_mended_file_works),
        TEST(no_room_left_changes_nothing_and_passes),
        TEST(what_is_no_file_is_refused),
        TEST(two_processes_write_by_turns),
        TEST(what_was_committed_survives_a_kill),
        TEST(others_cannot_read_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
