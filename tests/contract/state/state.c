/* What every engine of the store promises (state/state.h), run over each. */
/* labels: threads */
#include "state/state.h"

#include <pthread.h>

#include "testing.h"

#define WRITERS 4
#define WRITES  50

static const struct ft_migration notes[] = {
    {1, "notes",
     "CREATE TABLE note (id TEXT PRIMARY KEY, body TEXT NOT NULL, n BIGINT, x DOUBLE PRECISION,"
     " raw BYTEA, seq BIGINT NOT NULL DEFAULT 0);"
     "CREATE INDEX note_seq ON note (seq);"},
    {2, "kind", "ALTER TABLE note ADD COLUMN kind TEXT NOT NULL DEFAULT 'plain'"},
};

static struct ft_err err;

static int open_memory(void **state)
{
    struct ft_state *s = NULL;
    int rc = ft_state_memory_open(&s, &err);
    if (rc == 0)
        rc = ft_state_migrate(s, "notes", notes, 2, &err);
    *state = s;
    return rc;
}

static char path[256];

static int open_sqlite(void **state)
{
    struct ft_state *s = NULL;
    snprintf(path, sizeof path, "/tmp/ft_state_XXXXXX");
    if (mkdtemp(path) == NULL)
        return -1;
    strcat(path, "/deep/state.db");
    int rc = ft_state_sqlite_open(path, false, &s, &err);
    if (rc == 0)
        rc = ft_state_migrate(s, "notes", notes, 2, &err);
    *state = s;
    return rc;
}

static int close_state(void **state)
{
    char cmd[300];
    ft_state_close(*state);
    if (path[0] == '\0')
        return 0;
    *strstr(path, "/deep") = '\0';
    snprintf(cmd, sizeof cmd, "rm -r %s", path);
    path[0] = '\0';
    return system(cmd);
}

/* ---- transactions as values: what to do, what came of it ---- */

struct job {
    const char *sql;
    struct ft_sql_value args[8];
    int n_args;
    int64_t number; /* out: first column of the last row, or rows changed */
    char text[64];  /* out: the same as text */
    int rows, runs; /* out */
};

static int do_query(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    struct job *j = ctx;
    struct ft_state_rows *r;
    j->runs++;
    j->rows = 0;
    int rc = ft_state_query(tx, j->sql, j->args, j->n_args, &r, e);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, e)) > 0) {
        j->number = ft_rows_int(r, 0);
        snprintf(j->text, sizeof j->text, "%s", ft_rows_text(r, 0).p);
        j->rows++;
    }
    ft_rows_close(r);
    return rc;
}

static int do_exec(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    struct job *j = ctx;
    j->runs++;
    return ft_state_exec(tx, j->sql, j->args, j->n_args, &j->number, e);
}

static int put(struct ft_state *s, const char *id, const char *body)
{
    struct job j = {.sql = "INSERT INTO note (id, body) VALUES ($1, $2)",
                    .args = {ft_sql_text(id), ft_sql_text(body)},
                    .n_args = 2};
    return ft_state_tx(s, do_exec, &j, &err);
}

static int64_t count(struct ft_state *s)
{
    struct job j = {.sql = "SELECT COUNT(*) FROM note"};
    return ft_state_read(s, do_query, &j, &err) == 0 ? j.number : -1;
}

/* ---- tests ---- */

static int every_type(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    (void)ctx;
    struct ft_state_rows *r;
    assert_int_equal(0, ft_state_exec(tx,
                                      /* out of order, one twice: names count, not places */
                                      "INSERT INTO note (raw, x, n, body, id, kind)"
                                      " VALUES ($5, $4, $3, $2, $1, $2)",
                                      FT_ARGS(ft_sql_text("a"), ft_sql_textn("b\xc3\xa9", 3),
                                              ft_sql_int(INT64_MIN), ft_sql_double(0.1),
                                              ft_sql_blob("\0\1\2", 3)),
                                      NULL, e));
    assert_int_equal(0,
                     ft_state_exec(tx, "INSERT INTO note (id, body, raw) VALUES ($1, $2, $3)",
                                   FT_ARGS(ft_sql_text("e"), ft_sql_text(""), ft_sql_blob(NULL, 0)),
                                   NULL, e));
    assert_int_equal(0, ft_state_query(tx, "SELECT id, body, n, x, raw, kind FROM note ORDER BY id",
                                       FT_NO_ARGS, &r, e));
    assert_int_equal(1, ft_rows_step(r, e));
    assert_string_equal("a", ft_rows_text(r, 0).p);
    assert_string_equal("b\xc3\xa9", ft_rows_text(r, 1).p);
    assert_true(ft_rows_int(r, 2) == INT64_MIN);
    assert_true(ft_rows_double(r, 3) == 0.1);
    assert_int_equal(3, ft_rows_text(r, 4).n);
    assert_memory_equal("\0\1\2", ft_rows_text(r, 4).p, 3);
    assert_string_equal("b\xc3\xa9", ft_rows_text(r, 5).p);
    assert_int_equal(1, ft_rows_step(r, e));
    assert_false(ft_rows_is_null(r, 1));
    assert_string_equal("", ft_rows_text(r, 1).p);
    assert_true(ft_rows_is_null(r, 2));
    assert_int_equal(0, ft_rows_int(r, 2));
    assert_true(ft_rows_is_null(r, 3));
    assert_false(ft_rows_is_null(r, 4));
    assert_string_equal("plain", ft_rows_text(r, 5).p);
    assert_int_equal(0, ft_rows_step(r, e));
    ft_rows_close(r);
    return 0;
}

static void values_come_back(void **state)
{
    assert_int_equal(0, ft_state_tx(*state, every_type, NULL, &err));
    assert_int_equal(2, count(*state));
}

static int put_then_fail(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    (void)ctx;
    assert_int_equal(
        0, ft_state_exec(tx, "INSERT INTO note (id, body) VALUES ('x', 'y')", FT_NO_ARGS, NULL, e));
    return ft_err_set(e, FT_ENOTFOUND, "changed my mind");
}

static void a_failed_transaction_leaves_nothing(void **state)
{
    assert_int_equal(FT_ENOTFOUND, ft_state_tx(*state, put_then_fail, NULL, &err));
    assert_string_equal("changed my mind", err.msg);
    assert_int_equal(0, count(*state));
}

static int overlook(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    (void)ctx;
    int rc =
        ft_state_exec(tx, "INSERT INTO note (id, body) VALUES ('a', 'again')", FT_NO_ARGS, NULL, e);
    assert_int_equal(FT_EEXIST, rc);
    rc = ft_state_exec(tx, "INSERT INTO note (id, body) VALUES ('b', 'c')", FT_NO_ARGS, NULL, e);
    assert_int_equal(FT_EEXIST, rc); /* broken for good, as in PostgreSQL */
    return 0;
}

static void a_failed_statement_breaks_its_transaction(void **state)
{
    assert_int_equal(0, put(*state, "a", "b"));
    assert_int_equal(FT_EEXIST, ft_state_tx(*state, overlook, NULL, &err));
    assert_int_equal(1, count(*state));
    struct job null = {.sql = "INSERT INTO note (id, body) VALUES ('n', NULL)"};
    assert_int_equal(FT_EINVAL, ft_state_tx(*state, do_exec, &null, &err));
    struct job wrong = {.sql = "SELECT nothing FROM nowhere"};
    assert_int_equal(FT_EINTERNAL, ft_state_tx(*state, do_exec, &wrong, &err));
    assert_int_equal(0, put(*state, "c", "d")); /* and the next one works */
}

static void upserts_return_and_count(void **state)
{
    struct job j = {.sql = "INSERT INTO note (id, body, n) VALUES ($1, $2, 1)"
                           " ON CONFLICT (id) DO UPDATE SET n = note.n + 1, body = excluded.body"
                           " RETURNING n",
                    .args = {ft_sql_text("k"), ft_sql_text("v")},
                    .n_args = 2};
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(0, ft_state_tx(*state, do_query, &j, &err));
        assert_int_equal(i, j.number);
    }
    assert_int_equal(0, put(*state, "l", "m"));
    struct job all = {.sql = "UPDATE note SET n = 5"};
    assert_int_equal(0, ft_state_tx(*state, do_exec, &all, &err));
    assert_int_equal(2, all.number);
    struct job none = {.sql = "DELETE FROM note WHERE id = 'nobody'"};
    assert_int_equal(0, ft_state_tx(*state, do_exec, &none, &err));
    assert_int_equal(0, none.number);
    struct job sum = {.sql = "SELECT CAST(COALESCE(SUM(n), 0) AS BIGINT) FROM note"};
    assert_int_equal(0, ft_state_read(*state, do_query, &sum, &err));
    assert_int_equal(10, sum.number);
}

static void text_is_ordered_by_bytes(void **state)
{
    put(*state, "b", "");
    put(*state, "B", "");
    put(*state, "\xc3\xa9", "");
    put(*state, "_", "");
    struct job j = {.sql = "SELECT id FROM note WHERE id > $1 ORDER BY id LIMIT $2",
                    .args = {ft_sql_text("B"), ft_sql_int(1)},
                    .n_args = 2};
    assert_int_equal(0, ft_state_read(*state, do_query, &j, &err));
    assert_string_equal("_", j.text);
}

static void reading_does_not_write(void **state)
{
    struct job j = {.sql = "INSERT INTO note (id, body) VALUES ('r', 'r')"};
    assert_int_not_equal(0, ft_state_read(*state, do_exec, &j, &err));
    assert_int_equal(0, count(*state));
    assert_int_equal(0, ft_state_tx(*state, do_exec, &j, &err)); /* the same text, allowed here */
}

static int nested(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    static const char sql[] = "SELECT id FROM note ORDER BY id";
    int *pairs = ctx;
    struct ft_state_rows *a, *b;
    *pairs = 0;
    assert_int_equal(0, ft_state_query(tx, sql, FT_NO_ARGS, &a, e));
    while (ft_rows_step(a, e) > 0) {
        assert_int_equal(0, ft_state_query(tx, sql, FT_NO_ARGS, &b, e));
        while (ft_rows_step(b, e) > 0)
            ++*pairs;
        ft_rows_close(b);
    }
    ft_rows_close(a);
    return 0;
}

static void one_statement_may_run_within_itself(void **state)
{
    int pairs = 0;
    for (int i = 0; i < 3; i++)
        put(*state, (char[]){(char)('a' + i), '\0'}, "");
    assert_int_equal(0, ft_state_read(*state, nested, &pairs, &err));
    assert_int_equal(9, pairs);
}

static void too_large_a_value_is_refused(void **state)
{
    struct job j = {.sql = "INSERT INTO note (id, body) VALUES ('big', $1)",
                    .args = {ft_sql_textn("", FT_STATE_VALUE_MAX + 1)},
                    .n_args = 1};
    assert_int_equal(FT_ELIMIT, ft_state_tx(*state, do_exec, &j, &err));
    assert_non_null(strstr(err.msg, "8388609"));
}

/* ---- migrations ---- */

static void migrations_run_once_and_are_held_to_their_text(void **state)
{
    static const struct ft_migration edited[] = {{1, "notes", "CREATE TABLE other (a TEXT)"}};
    static const struct ft_migration more[] = {
        {1, "m", "CREATE TABLE m (a TEXT)"},
        {2, "bad", "CREATE TABLE half (a TEXT); INSERT INTO nowhere VALUES (1)"}};
    assert_int_equal(0, ft_state_migrate(*state, "notes", notes, 2, &err));
    assert_int_equal(FT_EUNSUPPORTED, ft_state_migrate(*state, "notes", notes, 1, &err));
    assert_non_null(strstr(err.msg, "newer feitian"));
    assert_int_equal(0, put(*state, "still", "works"));
    assert_int_not_equal(0, ft_state_migrate(*state, "more", more, 2, &err));
    assert_non_null(strstr(err.msg, "more version 2 (bad)"));
    struct job one = {.sql = "SELECT COUNT(*) FROM m"};
    assert_int_equal(0, ft_state_read(*state, do_query, &one, &err)); /* the first step stands */
    struct job half = {.sql = "SELECT COUNT(*) FROM half"};
    assert_int_not_equal(0,
                         ft_state_read(*state, do_query, &half, &err)); /* half of one does not */
    assert_int_equal(FT_EUNSUPPORTED, ft_state_migrate(*state, "notes", edited, 1, &err));
}

/* ---- the feed ---- */

static int numbered(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    int64_t seq, again;
    int rc = ft_state_seq_next(tx, &seq, e);
    if (rc != 0)
        return rc;
    assert_int_equal(0, ft_state_seq_next(tx, &again, e));
    assert_true(seq == again);
    return ft_state_exec(tx,
                         "INSERT INTO note (id, body, seq) VALUES ($1, '', $2)"
                         " ON CONFLICT (id) DO UPDATE SET seq = excluded.seq",
                         FT_ARGS(ft_sql_text(ctx), ft_sql_int(seq)), NULL, e);
}

static int last(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    return ft_state_seq_last(tx, ctx, e);
}

struct seen {
    pthread_mutex_t lock;
    int64_t max;
    int calls;
};

static void on_commit(void *ctx, int64_t seq)
{
    struct seen *seen = ctx;
    pthread_mutex_lock(&seen->lock);
    seen->max = seq > seen->max ? seq : seen->max;
    seen->calls++;
    pthread_mutex_unlock(&seen->lock);
}

static void *write_many(void *s)
{
    static int writer;
    struct ft_err e;
    char id[16];
    int who = __atomic_add_fetch(&writer, 1, __ATOMIC_RELAXED);
    for (int i = 0; i < WRITES; i++) {
        snprintf(id, sizeof id, "%d.%d", who, i);
        assert_int_equal(0, ft_state_tx(s, numbered, id, &e));
    }
    return NULL;
}

struct follow {
    int64_t after;
    int rows;
};

static int follow(struct ft_state_tx *tx, void *ctx, struct ft_err *e)
{
    struct follow *f = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT seq FROM note WHERE seq > $1 ORDER BY seq",
                            FT_ARGS(ft_sql_int(f->after)), &r, e);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, e)) > 0) {
        assert_true(ft_rows_int(r, 0) == f->after + 1); /* no gap, in order */
        f->after++;
        f->rows++;
    }
    ft_rows_close(r);
    return rc;
}

static void the_feed_has_no_gaps_while_many_write(void **state)
{
    struct seen seen = {.lock = PTHREAD_MUTEX_INITIALIZER};
    struct follow f = {0};
    pthread_t t[WRITERS];
    int64_t newest = -1;
    ft_state_watch(*state, on_commit, &seen);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(0, pthread_create(&t[i], NULL, write_many, *state));
    while (f.rows < WRITERS * WRITES)
        assert_int_equal(0, ft_state_read(*state, follow, &f, &err));
    for (int i = 0; i < WRITERS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(0, ft_state_read(*state, last, &newest, &err));
    assert_int_equal(WRITERS * WRITES, newest);
    assert_int_equal(newest, seen.max);
    assert_int_equal(newest, seen.calls);
    assert_int_equal(FT_ENOTFOUND, ft_state_tx(*state, put_then_fail, NULL, &err));
    assert_int_equal(newest, seen.calls); /* what was rolled back, or took no number, is silent */
    ft_state_watch(*state, NULL, NULL);
}

#define EVERY(test)                                                                                \
    {"memory: " #test, test, open_memory, close_state, NULL},                                      \
    {                                                                                              \
        "sqlite: " #test, test, open_sqlite, close_state, NULL                                     \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        EVERY(values_come_back),
        EVERY(a_failed_transaction_leaves_nothing),
        EVERY(a_failed_statement_breaks_its_transaction),
        EVERY(upserts_return_and_count),
        EVERY(text_is_ordered_by_bytes),
        EVERY(reading_does_not_write),
        EVERY(one_statement_may_run_within_itself),
        EVERY(too_large_a_value_is_refused),
        EVERY(migrations_run_once_and_are_held_to_their_text),
        EVERY(the_feed_has_no_gaps_while_many_write),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
