/* Stored responses: how long, and how many. (What is answered: tests/integration/control.py.) */
#include <time.h>

#include "fixture.h"

struct made {
    int64_t created;
    int n;
    int64_t count; /* out */
};

static int make_many(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct made *m = ctx;
    for (int i = 0; i < m->n; i++) {
        char id[32];
        snprintf(id, sizeof id, "resp_%lld_%d", (long long)m->created, i);
        int rc = ft_state_exec(tx,
                               "INSERT INTO response (project, id, created, document)"
                               " VALUES ('default', $1, $2, '{}')",
                               FT_ARGS(ft_sql_text(id), ft_sql_int(m->created + i)), NULL, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static int count_all(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct made *m = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT COUNT(*) FROM response", FT_NO_ARGS, &r, err);
    while (rc == 0 && (rc = ft_rows_step(r, err)) > 0) {
        m->count = ft_rows_int(r, 0);
        rc = 0;
    }
    ft_rows_close(r);
    return rc;
}

static void they_end_after_thirty_days(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    int64_t now = (int64_t)time(NULL);
    struct made old = {now - 30 * 86400 - 10, 1, 0}, young = {now - 30 * 86400 + 600, 1, 0};
    char path[128];
    assert_int_equal(0, ft_state_tx(f->ctl.state, make_many, &old, &err));
    assert_int_equal(0, ft_state_tx(f->ctl.state, make_many, &young, &err));
    snprintf(path, sizeof path, "/internal/responses/resp_%lld_0", (long long)old.created);
    assert_int_equal(404, fixture_ask(f, "GET", path, NULL));
    snprintf(path, sizeof path, "/internal/responses/resp_%lld_0", (long long)young.created);
    assert_int_equal(200, fixture_ask(f, "GET", path, NULL));
    assert_int_equal(200, fixture_ask(f, "PUT", "/internal/responses/resp_new", "{}"));
    assert_int_equal(0, ft_state_read(f->ctl.state, count_all, &old, &err));
    assert_int_equal(2, old.count); /* the old one is no longer kept at all */
}

static void the_oldest_give_way(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    struct made m = {(int64_t)time(NULL) - 20000, 10000, 0};
    char path[128];
    assert_int_equal(0, ft_state_tx(f->ctl.state, make_many, &m, &err));
    f->project = "other";
    assert_int_equal(200, fixture_ask(f, "PUT", "/internal/responses/resp_theirs", "{}"));
    f->project = "default";
    assert_int_equal(200, fixture_ask(f, "PUT", "/internal/responses/resp_new", "{}"));
    assert_int_equal(0, ft_state_read(f->ctl.state, count_all, &m, &err));
    assert_int_equal(10001, m.count); /* 10,000 of this project, and another's one */
    assert_int_equal(200, fixture_ask(f, "GET", "/internal/responses/resp_new", NULL));
    snprintf(path, sizeof path, "/internal/responses/resp_%lld_0", (long long)m.created);
    assert_int_equal(404, fixture_ask(f, "GET", path, NULL));
    snprintf(path, sizeof path, "/internal/responses/resp_%lld_1", (long long)m.created);
    assert_int_equal(200, fixture_ask(f, "GET", path, NULL));
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, fixture_open, fixture_close, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(they_end_after_thirty_days),
        TEST(the_oldest_give_way),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
