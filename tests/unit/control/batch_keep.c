/* Who gets a place, of batches that all wait (here for a gateway that is not there). */
#include <dirent.h>
#include <unistd.h>

#include "control/batch.h"
#include "control/inside.h"
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

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, open_all, close_all, NULL                                                           \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(no_project_has_all_places)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
