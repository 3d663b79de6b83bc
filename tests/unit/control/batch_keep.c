/* Who gets a place, of batches that all wait (here for a gateway that is not there). */
#include <dirent.h>
#include <unistd.h>

#include "control/batch/run.h"
#include "control/keep_days.h"
#include "fixture.h"

static int open_all(void **state)
{
    struct ft_err err;
    if (fixture_open(state) != 0)
        return -1;
    struct fixture *f = *state;
    if (ft_batches_migrate(f->ctl.state, &err) != 0)
        return -1;
    return ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err);
}

static int close_all(void **state)
{
    struct fixture *f = *state;
    ft_inside_close(f->ctl.inside);
    return fixture_close(state);
}

struct made {
    const char *id, *project;
};

static int insert_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct made *m = ctx;
    return ft_state_exec(tx,
                         "INSERT INTO batch (id, project, active, total, completed, failed,"
                         " out_bytes, err_bytes, prompt_tokens, cached_tokens, completion_tokens,"
                         " reasoning_tokens) VALUES ($1, $2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                         FT_ARGS(ft_sql_text(m->id), ft_sql_text(m->project)), NULL, err);
}

static void make_batch(struct fixture *f, const char *project, int number)
{
    char id[BATCH_ID_BYTES];
    struct ft_err err = {0};
    snprintf(id, sizeof id, "batch_%02d", number);
    struct made m = {id, project};
    fixture_put(f, BATCH_KIND, id,
                json_pack("{s:s,s:s,s:s,s:s,s:s,s:I}", "project", project, "key", "key_x", "status",
                          "validating", "endpoint", "/v1/embeddings", "input_file_id", "file-x",
                          "expires_at", INT64_C(1) << 40));
    assert_int_equal(0, ft_state_tx(f->ctl.state, insert_tx, &m, &err));
}

/* How many have begun: each makes its folder. */
static int begun(struct fixture *f, bool *ret_last)
{
    char path[4200];
    int n = 0;
    snprintf(path, sizeof path, "%s/batches", f->ctl.home);
    DIR *d = opendir(path);
    assert_non_null(d);
    for (struct dirent *e; (e = readdir(d)) != NULL;) {
        n += e->d_name[0] != '.';
        *ret_last |= strcmp(e->d_name, "batch_12") == 0;
    }
    closedir(d);
    return n;
}

static void no_project_has_all_places(void **state)
{
    struct fixture *f = *state;
    struct ft_batches *all = NULL;
    struct ft_err err = {0};
    bool last = false;
    for (int i = 0; i < 12; i++)
        make_batch(f, "greedy", i);
    make_batch(f, "other", 12);
    assert_int_equal(0, ft_batches_open(&f->ctl, &all, &err));
    f->ctl.batches = all;
    for (int i = 0; i < 3000 && begun(f, &last) < BATCH_PROJECT_MAX + 1; i++)
        usleep(10000);
    usleep(700000); /* and no others at the next looks */
    assert_int_equal(BATCH_PROJECT_MAX + 1, begun(f, &last));
    assert_true(last);
    ft_batches_close(all);
}

static int end_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct made *m = ctx; /* project: when, in SQL */
    char sql[128];
    snprintf(sql, sizeof sql, "UPDATE batch SET active = 0, ended_at = %s WHERE id = $1",
             m->project);
    return ft_state_exec(tx, sql, FT_ARGS(ft_sql_text(m->id)), NULL, err);
}

static void end_batch(struct fixture *f, const char *id, const char *when)
{
    struct ft_err err = {0};
    struct made m = {id, when};
    assert_int_equal(0, ft_state_tx(f->ctl.state, end_tx, &m, &err));
}

static bool is_there(struct fixture *f, const char *id)
{
    json_t *body = fixture_get(f, BATCH_KIND, id);
    json_decref(body);
    return body != NULL;
}

static void what_ended_long_ago_goes(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct ft_ctl_prune p = {.ctl = &f->ctl, .now_s = 100 * 86400};
    for (int i = 1; i <= 4; i++)
        make_batch(f, "default", i);
    end_batch(f, "batch_01", "9 * 86400");
    end_batch(f, "batch_02", "11 * 86400");
    end_batch(f, "batch_03", "0"); /* by a control that did not say when */
    assert_int_equal(0, ft_state_tx(f->ctl.state, bt_prune, &p, &err));
    assert_int_equal(1, p.gone);
    assert_false(is_there(f, "batch_01"));
    assert_true(is_there(f, "batch_02"));
    p.now_s += 89 * 86400;
    assert_int_equal(0, ft_state_tx(f->ctl.state, bt_prune, &p, &err));
    assert_int_equal(1, p.gone);
    assert_false(is_there(f, "batch_02"));
    assert_true(is_there(f, "batch_03"));
    p.now_s += 2 * 86400;
    assert_int_equal(0, ft_state_tx(f->ctl.state, bt_prune, &p, &err));
    assert_false(is_there(f, "batch_03"));
    assert_true(is_there(f, "batch_04")); /* it has not ended */
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, open_all, close_all, NULL                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(no_project_has_all_places),
                                       TEST(what_ended_long_ago_goes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
