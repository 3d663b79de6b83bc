/* Fine-tuning jobs without trainings: who may train what, and what the runner does when a job's row
 * was changed or removed under it. (Trainings: tests/integration/tune.py.) */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "control/inside.h"
#include "control/keep_days.h"
#include "control/tune/run.h"
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

static int put_job_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct fixture_row *r = ctx;
    struct ft_ctl_call c = {.now_s = 1};
    return ft_tune_put(&c, tx, r->id, NULL, r->body, err);
}

/* Takes the body. */
static void put_job(struct fixture *f, const char *id, json_t *body)
{
    struct fixture_row r = {TUNE_KIND, id, body, 0};
    struct ft_err err = {0};
    assert_int_equal(0, ft_state_tx(f->ctl.state, put_job_tx, &r, &err));
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
    put_job(f, JOB, job_row("cancelled")); /* since the runner looked */
    ft_tune_fail(&t, &t.job[0], "server_error", NULL, "it fell over");
    assert_status(f, "cancelled");
    json_decref(t.job[0].body);
}

static int only(const struct ft_tune_change *what, const char *was, struct fixture *f)
{
    struct ft_err err = {0};
    have_job(f, &t, "running");
    put_job(f, JOB, job_row(was));
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
    for (int i = 0; i < 6000 && !is(w); i++)
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
    put_job(f, JOB, job_row("queued"));
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
    put_job(f, JOB, json_pack("{s:s,s:s}", "status", "running", "project", "other"));
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
    for (int i = 0; i < 3000 && ft_exec_fake_starts(w.x, JOB) < 2; i++)
        usleep(10000);
    assert_int_equal(2, ft_exec_fake_starts(w.x, JOB));
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
    put_job(f, JOB, job_row("succeeded"));
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

struct used {
    int64_t n, nanos, tokens, cpu_us, requests;
};

static int used_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct used *u = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT COUNT(*), COALESCE(SUM(cost_nanos), 0),"
                            " COALESCE(SUM(prompt_tokens), 0), COALESCE(SUM(cpu_us), 0),"
                            " COALESCE(SUM(requests), 0) FROM usage_records",
                            FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    *u = (struct used){ft_rows_int(r, 0), ft_rows_int(r, 1), ft_rows_int(r, 2), ft_rows_int(r, 3),
                       ft_rows_int(r, 4)};
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

static struct used used_so_far(struct fixture *f)
{
    struct ft_err err;
    struct used u;
    assert_int_equal(0, ft_state_read(f->ctl.state, used_tx, &u, &err));
    return u;
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
    put_job(f, JOB, json_deep_copy(row));
    snprintf(path, sizeof path, "%s/adapters", f->ctl.home);
    mkdir(path, 0700);
    snprintf(path, sizeof path, "%s/adapters/%s", f->ctl.home, JOB);
    mkdir(path, 0700);
}

static void a_name_of_ones_own_makes_training_no_cheaper(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
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
    assert_int_equal(1, used_so_far(f).n);
    assert_int_equal(INT64_C(2000000000), used_so_far(f).nanos);
    json_decref(t.job[0].body);
}

/* ---- what it uses ---- */

#define STEP2 "{\"event\":\"step\",\"step\":2,\"steps\":9,\"loss\":2,\"tokens\":%d}\n"

static json_t *billed_row(const char *status)
{
    json_t *row = job_row(status);
    json_object_set_new(row, "model", json_string("nano"));
    return row;
}

/* A job that trains, a token of which costs 1000 nanos; no gateway. */
static void have_billed(struct fixture *f, struct ft_tune *to, const char *status)
{
    struct ft_err err = {0};
    have_job(f, to, status);
    fixture_put(f, "price", "p1",
                json_pack("{s:s,s:s,s:s}", "model", "nano", "input", "1", "output", "1"));
    put_job(f, JOB, billed_row(status));
    ft_tune_job_set(&to->job[0], billed_row(status));
    if (f->ctl.inside == NULL)
        assert_int_equal(0, ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err));
}

static void done_billed(struct fixture *f, struct ft_tune *to)
{
    json_decref(to->job[0].body);
    ft_inside_close(f->ctl.inside);
    f->ctl.inside = NULL;
}

static void each_piece_is_on_the_record_once(void **state)
{
    struct fixture *f = *state;
    struct ft_exec_info info = {.started_ns = 7, .cpu_us = 2000000};
    struct tune_job *job = &t.job[0];
    have_billed(f, &t, "running");
    assert_true(ft_tune_settle(&t, job, &info, false)); /* time waits for tokens */
    assert_int_equal(0, used_so_far(f).n);
    job->tokens = 100;
    assert_true(ft_tune_settle(&t, job, &info, false));
    assert_true(ft_tune_settle(&t, job, &info, false));
    struct used u = used_so_far(f);
    assert_int_equal(1, u.n);
    assert_int_equal(100, u.tokens);
    assert_int_equal(100000, u.nanos);
    assert_int_equal(2000000, u.cpu_us);
    /* killed, and from its checkpoint: some is done again, which costs its time alone */
    info = (struct ft_exec_info){.started_ns = 8, .cpu_us = 500000};
    job->tokens = 60;
    assert_true(ft_tune_settle(&t, job, &info, false));
    assert_int_equal(1, used_so_far(f).n);
    job->tokens = 150;
    assert_true(ft_tune_settle(&t, job, &info, false));
    /* control was killed: what it knew in memory is gone, the row has ended */
    put_job(f, JOB, billed_row("cancelled"));
    done_billed(f, &t);
    struct ft_err err = {0};
    assert_int_equal(0, ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err));
    have_job(f, &t, "cancelled");
    job->tokens = 170;
    job->end_cpu_us = 900000; /* the training told more than was seen of it */
    assert_true(ft_tune_settle(&t, job, &info, true));
    assert_true(ft_tune_settle(&t, job, &info, true));
    u = used_so_far(f);
    assert_int_equal(3, u.n);
    assert_int_equal(170, u.tokens);
    assert_int_equal(170000, u.nanos);
    assert_int_equal(2900000, u.cpu_us);
    assert_int_equal(1, u.requests);
    done_billed(f, &t);
}

static void what_used_up_its_budget_waits_for_more(void **state)
{
    struct fixture *f = *state;
    struct ft_exec_info info = {.started_ns = 7, .cpu_us = 1000};
    struct tune_job *job = &t.job[0];
    fixture_put(f, "key", "key_x",
                json_pack("{s:s,s:{s:s}}", "project", "default", "budget", "day", "0.0001"));
    have_billed(f, &t, "running");
    job->tokens = 99;
    assert_true(ft_tune_settle(&t, job, &info, false));
    assert_false(ft_tune_is_held(job->body));
    job->tokens = 100;
    assert_true(ft_tune_settle(&t, job, &info, false));
    assert_true(ft_tune_is_held(job->body));
    assert_status(f, "queued");
    assert_int_equal(200, fixture_ask(f, "GET", "/v1/fine_tuning/jobs/" JOB, NULL));
    assert_string_equal("insufficient_quota",
                        ft_ctl_text(json_object_get(f->call.answer, "error"), "code"));
    assert_int_equal(200, fixture_ask(f, "GET", "/v1/fine_tuning/jobs/" JOB "/events", NULL));
    assert_non_null(
        strstr(ft_ctl_text(json_array_get(json_object_get(f->call.answer, "data"), 0), "message"),
               "insufficient_quota"));
    fixture_put(f, "key", "key_x",
                json_pack("{s:s,s:{s:s}}", "project", "default", "budget", "day", "1"));
    assert_true(ft_tune_settle(&t, job, &info, false)); /* its training is still there */
    assert_true(ft_tune_is_held(job->body));
    assert_true(ft_tune_settle(&t, job, NULL, false));
    assert_false(ft_tune_is_held(job->body));
    assert_status(f, "queued");
    /* the project's counts too, and what was done before it was used up stays paid */
    fixture_put(f, "project", "default",
                json_pack("{s:s,s:{s:s}}", "name", "default", "budget", "month", "0.0001"));
    assert_true(ft_tune_settle(&t, job, NULL, false));
    assert_true(ft_tune_is_held(job->body));
    assert_int_equal(100, used_so_far(f).tokens);
    assert_int_equal(200, fixture_ask(f, "POST", "/v1/fine_tuning/jobs/" JOB "/cancel", NULL));
    assert_true(json_is_null(json_object_get(f->call.answer, "error")));
    done_billed(f, &t);
}

static bool has_stopped(const struct waiting *w)
{
    struct ft_exec_info info;
    return ft_exec_query(w->x, JOB, &info, NULL) != 0;
}

static void a_training_without_budget_is_stopped_and_goes_on(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct waiting w = {.f = f};
    char folder[PATH_MAX], path[PATH_MAX + 8], text[256];
    fixture_put(f, "price", "p1",
                json_pack("{s:s,s:s,s:s}", "model", "nano", "input", "1", "output", "1"));
    assert_int_equal(0, ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err));
    begin(f, &w, folder);
    json_t *row = billed_row("running");
    put_job(f, JOB, row);
    fixture_put(f, "key", "key_x",
                json_pack("{s:s,s:{s:s}}", "project", "default", "budget", "day", "0.0001"));
    snprintf(path, sizeof path, "%s/log", folder);
    snprintf(text, sizeof text, STEPS STEP2, 500);
    write_file(path, text);
    ft_tune_wake(f->ctl.tune);
    wait_until(has_stopped, &w);
    usleep(600000); /* it is not begun again */
    assert_true(has_stopped(&w));
    assert_int_equal(1, ft_exec_fake_starts(w.x, JOB));
    assert_status(f, "queued");
    assert_int_equal(500, used_so_far(f).tokens);
    fixture_put(f, "key", "key_x", json_pack("{s:s}", "project", "default"));
    for (int i = 0; i < 6000 && ft_exec_fake_starts(w.x, JOB) < 2; i++)
        usleep(10000);
    assert_int_equal(2, ft_exec_fake_starts(w.x, JOB));
    assert_int_equal(200, fixture_ask(f, "POST", "/v1/fine_tuning/jobs/" JOB "/cancel", NULL));
    w.path = folder;
    wait_until(is_gone, &w);
    assert_int_equal(500, used_so_far(f).tokens);
    ft_tune_close(f->ctl.tune);
    ft_exec_close(w.x);
    ft_inside_close(f->ctl.inside);
    f->ctl.inside = NULL;
}

/* A gateway that takes what comes and says nothing. */
static int deaf_gateway(struct fixture *f)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/run", f->ctl.home);
    mkdir(path, 0700);
    snprintf(a.sun_path, sizeof a.sun_path, "%.80s/run/gateway.sock", f->ctl.home);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(0, bind(fd, (struct sockaddr *)&a, sizeof a));
    assert_int_equal(0, listen(fd, 8));
    return fd;
}

static void a_download_that_hangs_holds_up_nobody(void **state)
{
    struct fixture *f = *state;
    struct waiting w = {.f = f};
    struct ft_err err = {0};
    char path[PATH_MAX], folder[PATH_MAX], slow[PATH_MAX];
    int gateway = deaf_gateway(f);
    json_t *row = job_row("validating_files");
    json_object_set_new(row, "training_file", json_string("file-slow"));
    snprintf(path, sizeof path, "%s/tune", f->ctl.home);
    mkdir(path, 0700);
    snprintf(slow, sizeof slow, "%s/tune/ftjob-slow", f->ctl.home);
    put_job(f, "ftjob-slow", row);
    fixture_put(f, "model", "nano", json_pack("{s:s}", "path", "/nowhere"));
    f->opt.program = "/bin/true";
    assert_int_equal(0, ft_exec_fake_open(NULL, NULL, &w.x, &err));
    f->opt.exec = w.x;
    assert_int_equal(0, ft_tune_open(&f->ctl, &f->ctl.tune, &err));
    for (int i = 0; i < 6000 && access(slow, F_OK) != 0; i++)
        usleep(10000);
    assert_int_equal(0, access(slow, F_OK)); /* it is under way */
    snprintf(folder, sizeof folder, "%s/tune/%s", f->ctl.home, JOB);
    mkdir(folder, 0700);
    put_job(f, JOB, job_row("queued"));
    ft_tune_wake(f->ctl.tune);
    wait_until(starts, &w);
    assert_int_equal(200, fixture_ask(f, "POST", "/v1/fine_tuning/jobs/ftjob-slow/cancel", NULL));
    w.path = slow;
    wait_until(is_gone, &w); /* which ends the download */
    ft_tune_close(f->ctl.tune);
    ft_exec_close(w.x);
    close(gateway);
}

/* ---- lists, and what ended long ago ---- */

static void put_at(struct fixture *f, int i, const char *project, const char *status, int finished)
{
    char id[32];
    json_t *row = billed_row(status);
    snprintf(id, sizeof id, "ftjob-%03d", i);
    json_object_set_new(row, "project", json_string(project));
    json_object_set_new(row, "created_ns", json_integer(1000 - i)); /* ids are no order */
    json_object_set_new(row, "metadata",
                        json_pack("{s:s}", "team", i % 50 == 0 ? "rare" : "common"));
    if (finished > 0)
        json_object_set_new(row, "finished", json_integer(finished));
    put_job(f, id, row);
}

static const char *listed(struct fixture *f, const char *query, int n, bool more)
{
    char target[128];
    snprintf(target, sizeof target, "/v1/fine_tuning/jobs?%s", query);
    assert_int_equal(200, fixture_ask(f, "GET", target, NULL));
    assert_int_equal(n, json_array_size(json_object_get(f->call.answer, "data")));
    assert_int_equal(more, json_is_true(json_object_get(f->call.answer, "has_more")));
    return ft_ctl_text(f->call.answer, "last_id");
}

static void a_list_goes_page_by_page(void **state)
{
    struct fixture *f = *state;
    for (int i = 0; i < 260; i++)
        put_at(f, i, i == 7 ? "other" : "default", "queued", 0);
    assert_string_equal("ftjob-001", listed(f, "limit=2", 2, true));
    assert_string_equal("ftjob-001", listed(f, "limit=2&after=", 2, true));
    assert_string_equal("ftjob-004", listed(f, "limit=3&after=ftjob-001", 3, true));
    assert_string_equal("ftjob-009", listed(f, "limit=3&after=ftjob-005", 3, true)); /* not 7 */
    listed(f, "after=ftjob-259", 0, false);
    listed(f, "after=ftjob-none", 0, false);
    listed(f, "after=ftjob-007", 0, false); /* another project's */
    assert_string_equal("ftjob-250", listed(f, "metadata%5Bteam%5D=rare&limit=6", 6, false));
    assert_string_equal("ftjob-200", listed(f, "metadata%5Bteam%5D=rare&limit=5", 5, true));
}

static int age_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    (void)ctx;
    return ft_tune_note(tx, "ftjob-001", 1, "info", "message", "so it was", NULL, err);
}

struct counting {
    const char *sql;
    int64_t n;
};

static int count_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct counting *q = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, q->sql, FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    q->n = ft_rows_int(r, 0);
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

static int64_t count_of(struct fixture *f, const char *sql)
{
    struct counting q = {sql, -1};
    struct ft_err err = {0};
    assert_int_equal(0, ft_state_read(f->ctl.state, count_tx, &q, &err));
    return q.n;
}

static void what_ended_long_ago_goes(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct ft_ctl_prune p = {.ctl = &f->ctl, .now_s = 100 * 86400};
    put_at(f, 1, "default", "succeeded", 9 * 86400);
    put_at(f, 2, "default", "failed", 11 * 86400);
    put_at(f, 3, "default", "paused", 0);
    fixture_put(f, "model", "ft:x", json_pack("{s:s}", "project", "default"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, age_tx, NULL, &err));
    assert_int_equal(200, fixture_ask(f, "PATCH", "/api/v1/settings", "{\"keep_jobs_days\":0}"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, ft_tune_prune, &p, &err));
    assert_int_equal(0, p.gone);
    assert_int_equal(200, fixture_ask(f, "PATCH", "/api/v1/settings", "{\"keep_jobs_days\":90}"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, ft_tune_prune, &p, &err));
    assert_int_equal(1, p.gone);
    assert_null(fixture_get(f, TUNE_KIND, "ftjob-001"));
    assert_int_equal(0, count_of(f, "SELECT COUNT(*) FROM tune_event WHERE job = 'ftjob-001'"));
    assert_int_equal(2, count_of(f, "SELECT COUNT(*) FROM tune_job"));
    json_decref(fixture_get(f, TUNE_KIND, "ftjob-002"));
    json_decref(fixture_get(f, "model", "ft:x"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, ft_tune_prune, &p, &err));
    assert_int_equal(0, p.gone);
    assert_int_equal(200, fixture_ask(f, "PATCH", "/api/v1/settings", "{\"keep_jobs_days\":1}"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, ft_tune_prune, &p, &err));
    assert_int_equal(1, p.gone); /* the paused one stays */
}

/* Of a store from before there was an index. */
static void rows_without_an_index_get_one(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    json_t *row = job_row("queued");
    json_object_set_new(row, "created_ns", json_integer(5));
    fixture_put(f, TUNE_KIND, JOB, row);
    listed(f, "limit=2", 0, false);
    assert_int_equal(0, ft_tune_migrate(f->ctl.state, &err));
    assert_string_equal(JOB, listed(f, "limit=2", 1, false));
}

static void what_was_cancelled_at_its_end_succeeds_not(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    have_trained(f, &t, "nano");
    put_job(f, JOB, job_row("cancelled")); /* since the runner looked */
    assert_int_equal(0, ft_tune_finish(&t, &t.job[0], &err));
    assert_status(f, "cancelled");
    assert_int_equal(0, used_so_far(f).n); /* what it used was recorded when its training ended */
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
        TEST(what_was_cancelled_at_its_end_succeeds_not),
        TEST(a_list_goes_page_by_page),
        TEST(what_ended_long_ago_goes),
        TEST(rows_without_an_index_get_one),
        TEST(a_download_that_hangs_holds_up_nobody),
        TEST(each_piece_is_on_the_record_once),
        TEST(what_used_up_its_budget_waits_for_more),
        TEST(a_training_without_budget_is_stopped_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
