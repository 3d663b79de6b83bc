/* What every implementation of the execution seam promises (sched/exec.h). */
/* labels: threads */
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/clock.h"
#include "sched/exec_fake.h"
#include "sched/exec_local.h"
#include "testing.h"

#define WAIT_NS (20LL * 1000000000)

/* Behaviours of a task; both implementations can do them. */
enum what { FOREVER, EXIT_7, STUBBORN, READY, FAILS, BUSY, N_WHAT };

static const char *const SHELL[N_WHAT] = {
    [FOREVER] = "exec sleep 1000",
    [EXIT_7] = "exit 7",
    [STUBBORN] =
        "trap '' TERM; echo 1 >/proc/self/fd/$FEITIAN_READY_FD; while :; do sleep 1000; done",
    [READY] = "echo 1 >/proc/self/fd/$FEITIAN_READY_FD; exec sleep 1000",
    [BUSY] = "while :; do :; done",
};

struct seen {
    char id[FT_EXEC_ID_MAX];
    enum ft_exec_event event;
    struct ft_exec_info info;
};

struct box { /* one implementation under test */
    bool fake;
    char dir[64];
    struct ft_exec *x;
    pthread_mutex_t lock;
    struct seen seen[64];
    int n_seen;
};

static struct ft_err err;

static void on_event(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    struct box *b = ctx;
    pthread_mutex_lock(&b->lock);
    assert_true(b->n_seen < (int)FT_COUNT(b->seen));
    struct seen *s = &b->seen[b->n_seen++];
    memcpy(s->id, info->id, sizeof s->id);
    s->event = event;
    s->info = *info;
    pthread_mutex_unlock(&b->lock);
}

static int count(struct box *b, const char *id, enum ft_exec_event event, struct ft_exec_info *ret)
{
    int n = 0;
    pthread_mutex_lock(&b->lock);
    for (int i = 0; i < b->n_seen; i++)
        if (b->seen[i].event == event && strcmp(b->seen[i].id, id) == 0) {
            n++;
            if (ret != NULL)
                *ret = b->seen[i].info;
        }
    pthread_mutex_unlock(&b->lock);
    return n;
}

static void pass(struct box *b)
{
    const struct timespec pause = {0, 2000000};
    if (b->fake)
        ft_exec_fake_advance(b->x, 100000000);
    else
        nanosleep(&pause, NULL);
}

static struct ft_exec_info wait_for(struct box *b, const char *id, enum ft_exec_event event)
{
    struct ft_exec_info info;
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    while (count(b, id, event, &info) == 0) {
        assert_true(ft_clock_now_ns() < until);
        pass(b);
    }
    return info;
}

static int start(struct box *b, const char *id, enum what what, bool outlives)
{
    static const struct ft_exec_fake_script SCRIPT[N_WHAT] = {
        [FOREVER] = {.ready_ns = FT_EXEC_FAKE_NEVER, .end_ns = FT_EXEC_FAKE_NEVER},
        [EXIT_7] = {.ready_ns = FT_EXEC_FAKE_NEVER, .end_ns = 1000, .exit_code = 7},
        [STUBBORN] = {.end_ns = FT_EXEC_FAKE_NEVER, .term_ns = FT_EXEC_FAKE_NEVER},
        [READY] = {.ready_ns = 10, .end_ns = FT_EXEC_FAKE_NEVER},
        [FAILS] = {.fail = FT_ENOTFOUND},
        [BUSY] = {.ready_ns = FT_EXEC_FAKE_NEVER,
                  .end_ns = FT_EXEC_FAKE_NEVER,
                  .cpu_permille = 1000},
    };
    const char *argv[] = {what == FAILS ? "/no/such/program" : "/bin/sh", "-c", SHELL[what], NULL};
    if (b->fake) {
        struct ft_exec_fake_script s = SCRIPT[what];
        s.id = id;
        ft_exec_fake_script(b->x, &s);
    }
    const struct ft_exec_spec spec = {.id = id,
                                      .argv = argv,
                                      .note = "worker 3 \"\xc3\xa4\"",
                                      .tells_ready = what == READY || what == STUBBORN,
                                      .outlives = outlives};
    return ft_exec_start(b->x, &spec, &err);
}

/* The owner ends and the next takes over. */
static void restart(struct box *b)
{
    if (b->fake) {
        ft_exec_fake_restart(b->x, on_event, b);
        return;
    }
    ft_exec_close(b->x);
    assert_int_equal(ft_exec_local_open(b->dir, on_event, b, &b->x, &err), 0);
}

static int open_box(void **state, bool fake)
{
    struct box *b = calloc(1, sizeof *b);
    b->fake = fake;
    pthread_mutex_init(&b->lock, NULL);
    *state = b;
    if (fake)
        return ft_exec_fake_open(on_event, b, &b->x, &err);
    snprintf(b->dir, sizeof b->dir, "/tmp/ft_exec_XXXXXX");
    return mkdtemp(b->dir) == NULL ? -1 : ft_exec_local_open(b->dir, on_event, b, &b->x, &err);
}

static int open_fake(void **state)
{
    return open_box(state, true);
}

static int open_local(void **state)
{
    return open_box(state, false);
}

static int close_box(void **state)
{
    struct box *b = *state;
    char cmd[128] = "true";
    if (!b->fake) {
        ft_exec_sweep(b->x, 0);
        snprintf(cmd, sizeof cmd, "rm -r %s", b->dir);
    }
    ft_exec_close(b->x);
    pthread_mutex_destroy(&b->lock);
    free(b);
    return system(cmd);
}

/* ---- the promises ---- */

static void a_task_runs_until_it_is_killed(void **state)
{
    struct box *b = *state;
    struct ft_exec_info info;
    assert_int_equal(start(b, "a", FOREVER, false), 0);
    assert_int_equal(ft_exec_query(b->x, "a", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_RUNNING);
    assert_string_equal(info.note, "worker 3 \"\xc3\xa4\"");
    assert_true(info.pid > 0 && !info.adopted && !info.ready);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGTERM, &err), 0);
    info = wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_int_equal(info.state, FT_EXEC_ENDED);
    assert_true(info.status_known);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGKILL, &err), 0); /* nothing happens */
    assert_int_equal(count(b, "a", FT_EXEC_EVENT_ENDED, NULL), 1);
}

static void an_exit_status_is_collected(void **state)
{
    struct box *b = *state;
    char how[64];
    assert_int_equal(start(b, "a", EXIT_7, false), 0);
    struct ft_exec_info info = wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_true(info.status_known);
    assert_int_equal(info.exit_code, 7);
    assert_int_equal(info.term_signal, 0);
    assert_string_equal(ft_exec_how_ended(&info, how, sizeof how), "exited with 7");
    assert_int_equal(ft_exec_query(b->x, "a", &info, &err), 0);
    assert_int_equal(info.exit_code, 7);
}

static void a_task_that_ignores_sigterm_is_killed(void **state)
{
    struct box *b = *state;
    char how[64];
    assert_int_equal(start(b, "a", STUBBORN, false), 0);
    wait_for(b, "a", FT_EXEC_EVENT_READY);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGTERM, &err), 0);
    for (int i = 0; i < 20; i++)
        pass(b);
    assert_int_equal(count(b, "a", FT_EXEC_EVENT_ENDED, NULL), 0);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGKILL, &err), 0);
    struct ft_exec_info info = wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_int_equal(info.term_signal, SIGKILL);
    assert_int_equal(info.exit_code, -1);
    assert_string_equal(ft_exec_how_ended(&info, how, sizeof how), "killed by signal 9");
}

static void readiness_comes_once_and_before_the_end(void **state)
{
    struct box *b = *state;
    assert_int_equal(start(b, "a", READY, false), 0);
    struct ft_exec_info info = wait_for(b, "a", FT_EXEC_EVENT_READY);
    assert_true(info.ready && info.state == FT_EXEC_RUNNING);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGKILL, &err), 0);
    wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_int_equal(count(b, "a", FT_EXEC_EVENT_READY, NULL), 1);
    assert_int_equal(b->seen[0].event, FT_EXEC_EVENT_READY);
}

static void a_program_that_cannot_run_is_an_error_and_leaves_nothing(void **state)
{
    struct box *b = *state;
    int n;
    assert_int_equal(start(b, "a", FAILS, false), FT_ENOTFOUND);
    ft_exec_list(b->x, NULL, 0, &n);
    assert_int_equal(n, 0);
    assert_int_equal(start(b, "a", EXIT_7, false), 0);
}

static void an_id_is_taken_until_it_is_removed(void **state)
{
    struct box *b = *state;
    struct ft_exec_info info;
    assert_int_equal(start(b, "a", READY, false), 0);
    assert_int_equal(start(b, "a", READY, false), FT_EEXIST);
    assert_int_equal(ft_exec_remove(b->x, "a", &err), FT_EBUSY);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGKILL, &err), 0);
    wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_int_equal(start(b, "a", READY, false), FT_EEXIST);
    assert_int_equal(ft_exec_remove(b->x, "a", &err), 0);
    assert_int_equal(ft_exec_query(b->x, "a", &info, &err), FT_ENOTFOUND);
    assert_int_equal(ft_exec_kill(b->x, "a", SIGTERM, &err), FT_ENOTFOUND);
    assert_int_equal(ft_exec_remove(b->x, "a", &err), FT_ENOTFOUND);
    assert_int_equal(start(b, "a", READY, false), 0);
}

static void processor_time_is_measured(void **state)
{
    struct box *b = *state;
    struct ft_exec_info info = {0};
    int64_t until = ft_clock_now_ns() + WAIT_NS;
    assert_int_equal(start(b, "a", BUSY, false), 0);
    while (info.cpu_us < 50000) {
        assert_true(ft_clock_now_ns() < until);
        pass(b);
        assert_int_equal(ft_exec_query(b->x, "a", &info, &err), 0);
    }
    assert_int_equal(ft_exec_kill(b->x, "a", SIGKILL, &err), 0);
    struct ft_exec_info last = wait_for(b, "a", FT_EXEC_EVENT_ENDED);
    assert_true(last.cpu_us >= 50000);
}

static void tasks_that_outlive_are_adopted_and_the_others_end(void **state)
{
    struct box *b = *state;
    struct ft_exec_info before, info;
    char ids[4][FT_EXEC_ID_MAX];
    int n;
    assert_int_equal(start(b, "stays", READY, true), 0);
    assert_int_equal(start(b, "goes", FOREVER, false), 0);
    assert_int_equal(start(b, "ends", EXIT_7, true), 0);
    before = wait_for(b, "stays", FT_EXEC_EVENT_READY);
    wait_for(b, "ends", FT_EXEC_EVENT_ENDED);
    restart(b);
    ft_exec_list(b->x, ids, 4, &n);
    assert_int_equal(n, 2);
    assert_int_equal(ft_exec_query(b->x, "stays", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_RUNNING);
    assert_true(info.adopted && info.ready && info.outlives);
    assert_int_equal(info.pid, before.pid);
    assert_int_equal(info.started_ns, before.started_ns);
    assert_string_equal(info.note, before.note);
    assert_int_equal(ft_exec_query(b->x, "goes", &info, &err), FT_ENOTFOUND);
    assert_int_equal(ft_exec_query(b->x, "ends", &info, &err), 0);
    assert_int_equal(info.state, FT_EXEC_ENDED);
    assert_false(info.status_known);
    assert_int_equal(ft_exec_remove(b->x, "ends", &err), 0);

    assert_int_equal(ft_exec_kill(b->x, "stays", SIGKILL, &err), 0);
    info = wait_for(b, "stays", FT_EXEC_EVENT_ENDED);
    assert_true(info.adopted);
    assert_int_equal(ft_exec_remove(b->x, "stays", &err), 0);
}

static void specs_are_checked_field_by_field(void **state)
{
    struct box *b = *state;
    const char *sh[] = {"/bin/sh", NULL}, *relative[] = {"sh", NULL}, *none[] = {NULL};
    char long_note[FT_EXEC_NOTE_MAX + 1], long_id[FT_EXEC_ID_MAX + 1];
    memset(long_note, 'x', sizeof long_note);
    memset(long_id, 'x', sizeof long_id);
    long_note[FT_EXEC_NOTE_MAX] = long_id[FT_EXEC_ID_MAX] = 0;
    const struct {
        struct ft_exec_spec spec;
        const char *field;
    } bad[] = {
        {{.id = "", .argv = sh}, "id"},
        {{.id = NULL, .argv = sh}, "id"},
        {{.id = "../x", .argv = sh}, "id"},
        {{.id = "a/b", .argv = sh}, "id"},
        {{.id = ".lock", .argv = sh}, "id"},
        {{.id = long_id, .argv = sh}, "id"},
        {{.id = "a", .argv = NULL}, "argv"},
        {{.id = "a", .argv = none}, "argv"},
        {{.id = "a", .argv = relative}, "argv"},
        {{.id = "a", .argv = sh, .note = long_note}, "note"},
        {{.id = "a", .argv = sh, .log_bytes = -1}, "log_bytes"},
        {{.id = "a", .argv = sh, .limits = {.memory_bytes = -1}}, "memory_bytes"},
        {{.id = "a", .argv = sh, .limits = {.cpu_weight = 10001}}, "cpu_weight"},
        {{.id = "a", .argv = sh, .limits = {.threads_max = -1}}, "threads_max"},
        {{.id = "a", .argv = sh, .limits = {.nofile = -1}}, "nofile"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_int_equal(ft_exec_start(b->x, &bad[i].spec, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, bad[i].field));
    }
    assert_int_equal(ft_exec_kill(b->x, "a", 0, &err), FT_EINVAL);
}

#define BOTH(f)                                                                                    \
    {"fake: " #f, f, open_fake, close_box, NULL},                                                  \
    {                                                                                              \
        "local: " #f, f, open_local, close_box, NULL                                               \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(a_task_runs_until_it_is_killed),
        BOTH(an_exit_status_is_collected),
        BOTH(a_task_that_ignores_sigterm_is_killed),
        BOTH(readiness_comes_once_and_before_the_end),
        BOTH(a_program_that_cannot_run_is_an_error_and_leaves_nothing),
        BOTH(an_id_is_taken_until_it_is_removed),
        BOTH(processor_time_is_measured),
        BOTH(tasks_that_outlive_are_adopted_and_the_others_end),
        BOTH(specs_are_checked_field_by_field),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
