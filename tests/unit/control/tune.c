/* Fine-tuning jobs without trainings: who may train what, and what the runner does when a job's row
 * was changed or removed under it. (Trainings: tests/integration/tune.py.) */
#include <sys/stat.h>
#include <unistd.h>

#include "control/inside.h"
#include "control/tune_run.h"
#include "fixture.h"
#include "ledger/store.h"
#include "sched/exec_fake.h"

#define JOB "ftjob-0123456789abcdefghij"
#define STEPS                                                                                      \
    "{\"event\":\"plan\",\"steps\":9}\n{\"event\":\"step\",\"step\":1,\"steps\":9,\"loss\":2}\n"

static void assert_status(struct fixture *f, const char *status)
{
    json_t *body = fixture_get(f, TUNE_KIND, JOB);
    assert_string_equal(status, ft_ctl_text(body, "status"));
    json_decref(body);
}

static int open_all(void **state)
{
    struct ft_err err;
    if (fixture_open(state) != 0)
        return -1;
    struct fixture *f = *state;
    int rc = ft_usage_migrate(f->ctl.state, &err);
    return rc == 0 ? ft_tune_migrate(f->ctl.state, &err) : rc;
}

/* ---- who may ---- */

static json_t *endpoint(const char *name, const char *project)
{
    return json_pack("{s:s,s:s*,s:[{s:s}]}", "name", name, "project", project, "targets", "model",
                     "base");
}

static int ask(struct fixture *f, const char *model)
{
    char body[256];
    struct ft_ctl_call *c = &f->call;
    snprintf(body, sizeof body, "{\"model\":\"%s\",\"training_file\":\"file-1\"}", model);
    /* past the look at the file, which the gateway has */
    ft_ctl_call_fini(c);
    memset(c, 0, sizeof *c);
    c->ctl = &f->ctl;
    c->method = "POST";
    c->path = "/v1/fine_tuning/jobs";
    c->query = "";
    c->role = CTL_DEVELOPER;
    snprintf(c->key, sizeof c->key, "%s", f->key);
    snprintf(c->project, sizeof c->project, "%s", f->project);
    assert_true(ft_ctl_call_begin(c));
    c->body = json_loads(body, 0, NULL);
    ft_ctl_call_run(c);
    return c->refused ? ft_oai_error_status(&c->error) : c->status;
}

static void anothers_endpoint_is_no_model_to_train(void **state)
{
    struct fixture *f = *state;
    fixture_put(f, "endpoint", "secret@other", endpoint("secret", "other"));
    fixture_put(f, "endpoint", "open", endpoint("open", NULL));
    fixture_put(f, "endpoint", "own@default", endpoint("own", "default"));
    assert_int_equal(404, ask(f, "secret"));
    assert_int_equal(404, ask(f, "secret@other"));
    assert_int_equal(200, ask(f, "open"));
    assert_int_equal(200, ask(f, "own"));
}

static void a_key_trains_the_models_that_it_may_use(void **state)
{
    struct fixture *f = *state;
    fixture_put(f, "endpoint", "open", endpoint("open", NULL));
    fixture_put(f, "endpoint", "dear", endpoint("dear", NULL));
    fixture_put(f, "key", "key_narrow",
                json_pack("{s:s,s:[s]}", "project", "default", "models", "op*"));
    f->key = "key_narrow";
    assert_int_equal(200, ask(f, "open"));
    assert_int_equal(403, ask(f, "dear"));
    assert_string_equal("model_not_allowed", f->call.error.code);
}

static void no_project_has_all_jobs(void **state)
{
    struct fixture *f = *state;
    fixture_put(f, "endpoint", "open", endpoint("open", NULL));
    for (int i = 0; i < TUNE_PROJECT_MAX; i++)
        assert_int_equal(200, ask(f, "open"));
    assert_int_equal(429, ask(f, "open"));
    f->project = "other";
    assert_int_equal(200, ask(f, "open"));
}

/* ---- the runner ---- */

static json_t *job_row(const char *status)
{
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:{s:i,s:i,s:f}}", "status", status, "project",
                     "default", "key", "key_x", "base", "nano", "method", "supervised",
                     "hyperparameters", "n_epochs", 1, "batch_size", 1, "learning_rate_multiplier",
                     1.0);
}

/* As the runner has it in memory. */
static void have_job(struct fixture *f, struct ft_tune *t, const char *status)
{
    memset(t, 0, sizeof *t);
    t->ctl = &f->ctl;
    strcpy(t->job[0].id, JOB);
    t->job[0].body = job_row(status);
    t->n_jobs = 1;
}

static struct ft_tune t; /* too large for a stack */

static void what_was_cancelled_does_not_fail(void **state)
{
    struct fixture *f = *state;
    have_job(f, &t, "running");
    fixture_put(f, TUNE_KIND, JOB, job_row("cancelled")); /* since the runner looked */
    ft_tune_fail(&t, &t.job[0], "server_error", NULL, "it fell over");
    assert_status(f, "cancelled");
    json_decref(t.job[0].body);
}

static int only(const struct ft_tune_change *what, const char *was, struct fixture *f)
{
    struct ft_err err = {0};
    have_job(f, &t, "running");
    fixture_put(f, TUNE_KIND, JOB, job_row(was));
    int rc = ft_tune_change(&t, &t.job[0], what, &err);
    json_decref(t.job[0].body);
    return rc;
}

static void a_change_minds_what_came_between(void **state)
{
    struct fixture *f = *state;
    json_t *patch = json_pack("{s:s}", "status", "queued");
    const struct ft_tune_change again = {.unless_paused = true, .patch = patch};
    assert_int_equal(0, only(&again, "cancelled", f));
    assert_status(f, "cancelled");
    assert_int_equal(0, only(&again, "paused", f));
    assert_status(f, "paused");
    assert_int_equal(0, only(&again, "running", f));
    assert_status(f, "queued");
    json_decref(patch);
}

static void write_file(const char *path, const char *text)
{
    FILE *to = fopen(path, "we");
    assert_non_null(to);
    fputs(text, to);
    fclose(to);
}

struct waiting {
    struct fixture *f;
    struct ft_exec *x;
    const char *status, *path;
};

static bool starts(const struct waiting *w)
{
    return ft_exec_fake_starts(w->x, JOB) > 0;
}

static bool is_status(const struct waiting *w)
{
    json_t *body = fixture_get(w->f, TUNE_KIND, JOB);
    bool is = body != NULL && strcmp(ft_ctl_text(body, "status"), w->status) == 0;
    json_decref(body);
    return is;
}

static bool is_gone(const struct waiting *w)
{
    return access(w->path, F_OK) != 0;
}

static void wait_until(bool (*is)(const struct waiting *w), const struct waiting *w)
{
    for (int i = 0; i < 3000 && !is(w); i++)
        usleep(10000);
    assert_true(is(w));
}

/* A job that trains: the exec's double says so, and a report is there. */
static void begin(struct fixture *f, struct waiting *w, char folder[PATH_MAX])
{
    struct ft_err err = {0};
    char path[PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/tune", f->ctl.home);
    mkdir(path, 0700);
    snprintf(folder, PATH_MAX, "%s/tune/%s", f->ctl.home, JOB);
    mkdir(folder, 0700);
    fixture_put(f, "model", "nano", json_pack("{s:s}", "path", "/nowhere"));
    fixture_put(f, TUNE_KIND, JOB, job_row("queued"));
    f->opt.program = "/bin/true";
    assert_int_equal(0, ft_exec_fake_open(NULL, NULL, &w->x, &err));
    f->opt.exec = w->x;
    assert_int_equal(0, ft_tune_open(&f->ctl, &f->ctl.tune, &err));
    wait_until(starts, w);
    snprintf(path, sizeof path, "%s/log", folder);
    write_file(path, STEPS);
    w->status = "running";
    wait_until(is_status, w);
}

static void a_job_goes_with_its_project(void **state)
{
    struct fixture *f = *state;
    struct waiting w = {.f = f};
    struct ft_exec_info info;
    char folder[PATH_MAX];
    begin(f, &w, folder);
    assert_int_equal(
        201, fixture_ask(f, "POST", "/api/v1/projects", "{\"id\":\"other\",\"name\":\"other\"}"));
    fixture_put(f, TUNE_KIND, JOB, json_pack("{s:s,s:s}", "status", "running", "project", "other"));
    fixture_put(f, "model", "ft:x", json_pack("{s:s}", "project", "other"));
    assert_int_equal(200, fixture_ask(f, "DELETE", "/api/v1/projects/other?cascade=true", NULL));
    assert_null(fixture_get(f, TUNE_KIND, JOB));
    assert_null(fixture_get(f, "model", "ft:x"));
    w.path = folder;
    wait_until(is_gone, &w);
    assert_int_equal(FT_ENOTFOUND, ft_exec_query(w.x, JOB, &info, NULL));
    ft_tune_close(f->ctl.tune);
    ft_exec_close(w.x);
}

static bool is_ended(const struct waiting *w)
{
    struct ft_exec_info info;
    return ft_exec_query(w->x, JOB, &info, NULL) != 0;
}

static void who_hangs_in_a_pause_can_be_cancelled(void **state)
{
    struct fixture *f = *state;
    struct waiting w = {.f = f};
    char folder[PATH_MAX], adapter[PATH_MAX];
    begin(f, &w, folder);
    const struct ft_exec_fake_script deaf = {
        .id = "*", .end_ns = FT_EXEC_FAKE_NEVER, .term_ns = FT_EXEC_FAKE_NEVER};
    ft_exec_fake_script(w.x, &deaf); /* from its next start on */
    ft_exec_fake_end(w.x, JOB, 9, 0);
    usleep(600000); /* it is begun again */
    assert_int_equal(200, fixture_ask(f, "POST", "/v1/fine_tuning/jobs/" JOB "/pause", NULL));
    usleep(600000); /* SIGTERM is of no use */
    assert_false(is_ended(&w));
    snprintf(adapter, sizeof adapter, "%s/adapters", f->ctl.home);
    mkdir(adapter, 0700);
    snprintf(adapter, sizeof adapter, "%s/adapters/%s", f->ctl.home, JOB);
    mkdir(adapter, 0700);
    assert_int_equal(200, fixture_ask(f, "POST", "/v1/fine_tuning/jobs/" JOB "/cancel", NULL));
    wait_until(is_ended, &w);
    w.path = adapter; /* what had been kept of it goes too */
    wait_until(is_gone, &w);
    ft_tune_close(f->ctl.tune);
    ft_exec_close(w.x);
}

static void what_a_killed_control_left_is_removed(void **state)
{
    struct fixture *f = *state;
    struct waiting w = {.f = f};
    struct ft_err err = {0};
    char ended[PATH_MAX], lost[PATH_MAX], path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tune", f->ctl.home);
    mkdir(path, 0700);
    snprintf(ended, sizeof ended, "%s/tune/%s", f->ctl.home, JOB);
    mkdir(ended, 0700);
    snprintf(lost, sizeof lost, "%s/tune/ftjob-lost", f->ctl.home);
    mkdir(lost, 0700);
    fixture_put(f, TUNE_KIND, JOB, job_row("succeeded"));
    assert_int_equal(0, ft_exec_fake_open(NULL, NULL, &w.x, &err));
    f->opt.exec = w.x;
    assert_int_equal(0, ft_tune_open(&f->ctl, &f->ctl.tune, &err));
    w.path = ended;
    wait_until(is_gone, &w);
    w.path = lost;
    wait_until(is_gone, &w);
    ft_tune_close(f->ctl.tune);
    ft_exec_close(w.x);
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, open_all, fixture_close, NULL                                                       \
    }

struct sum {
    int64_t n, nanos;
};

static int sum_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct sum *s = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT COUNT(*), SUM(cost_nanos) FROM usage_records", FT_NO_ARGS,
                            &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    *s = (struct sum){ft_rows_int(r, 0), ft_rows_int(r, 1)};
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

/* A job that has trained, and whose files were given away; `model` is an endpoint of nano. */
static void have_trained(struct fixture *f, struct ft_tune *to, const char *model)
{
    char path[PATH_MAX];
    have_job(f, to, "running");
    json_t *row = to->job[0].body;
    json_object_set_new(row, "model", json_string(model));
    json_object_set_new(row, "result_files", json_pack("[s]", "file-x"));
    json_object_set_new(row, "repository", json_string("default/x"));
    to->job[0].tokens = 1000000;
    fixture_put(f, TUNE_KIND, JOB, json_deep_copy(row));
    snprintf(path, sizeof path, "%s/adapters", f->ctl.home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/adapters/%s", f->ctl.home, JOB);
    mkdir(path, 0700);
}

static void a_name_of_ones_own_makes_training_no_cheaper(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct sum sum;
    fixture_put(f, "price", "p1",
                json_pack("{s:s,s:s,s:s}", "model", "nano", "input", "2", "output", "3"));
    fixture_put(f, "price", "p2",
                json_pack("{s:s,s:s,s:s}", "model", "cheap", "input", "0", "output", "0"));
    have_trained(f, &t, "cheap");
    /* no gateway is there: what it cost cannot be told, which changes nothing */
    assert_int_equal(0, ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err));
    assert_int_equal(0, ft_tune_finish(&t, &t.job[0], &err));
    ft_inside_close(f->ctl.inside);
    f->ctl.inside = NULL;
    assert_status(f, "succeeded");
    assert_int_equal(0, ft_state_read(f->ctl.state, sum_tx, &sum, &err));
    assert_int_equal(1, sum.n);
    assert_int_equal(INT64_C(2000000000), sum.nanos);
    json_decref(t.job[0].body);
}

static void what_was_cancelled_at_its_end_is_not_billed(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct sum sum;
    have_trained(f, &t, "nano");
    fixture_put(f, TUNE_KIND, JOB, job_row("cancelled")); /* since the runner looked */
    assert_int_equal(0, ft_tune_finish(&t, &t.job[0], &err));
    assert_status(f, "cancelled");
    assert_int_equal(0, ft_state_read(f->ctl.state, sum_tx, &sum, &err));
    assert_int_equal(0, sum.n);
    assert_null(fixture_get(f, "model", "ft:nano:default::01234567"));
    json_decref(t.job[0].body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(anothers_endpoint_is_no_model_to_train),
        TEST(a_key_trains_the_models_that_it_may_use),
        TEST(no_project_has_all_jobs),
        TEST(what_was_cancelled_does_not_fail),
        TEST(a_change_minds_what_came_between),
        TEST(a_job_goes_with_its_project),
        TEST(who_hangs_in_a_pause_can_be_cancelled),
        TEST(what_a_killed_control_left_is_removed),
        TEST(a_name_of_ones_own_makes_training_no_cheaper),
        TEST(what_was_cancelled_at_its_end_is_not_billed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
