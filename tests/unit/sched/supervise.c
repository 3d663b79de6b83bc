/* The supervisor over scripted children on a clock moved by hand; and once over real ones. */
#include "sched/supervise.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>

#include "sched/exec_fake.h"
#include "sched/exec_local.h"
#include "sched/proc.h"
#include "testing.h"

#define MS    1000000LL
#define NEVER FT_EXEC_FAKE_NEVER

static struct ft_err err;
static const char *const ARGV[] = {"/bin/true", NULL};

struct box {
    struct ft_supervise *s;
    struct ft_exec *x;
    bool more;
};

/* gateway is stopped before control */
static int setup(void **state)
{
    struct box *b = calloc(1, sizeof *b);
    const struct ft_supervise_child child[2] = {
        {.task = {.id = "gateway", .argv = ARGV, .tells_ready = true}, .stop_ms = 1000},
        {.task = {.id = "control", .argv = ARGV}, .stop_order = 1, .stop_ms = 1000},
    };
    *state = b;
    int e = ft_supervise_open(child, 2, &b->s, &err);
    if (e == 0)
        e = ft_exec_fake_open(ft_supervise_event, b->s, &b->x, &err);
    if (e == 0)
        ft_supervise_attach(b->s, b->x);
    return e;
}

static int teardown(void **state)
{
    struct box *b = *state;
    ft_exec_close(b->x);
    ft_supervise_close(b->s);
    free(b);
    return 0;
}

/* Lets time pass, stepping whenever the supervisor wants to be called or something has happened. */
static void pass(struct box *b, int64_t ms)
{
    int64_t next, until = ft_exec_fake_now_ns(b->x) + ms * MS;
    do {
        b->more = ft_supervise_step(b->s, ft_exec_fake_now_ns(b->x), &next);
        int64_t now = ft_exec_fake_now_ns(b->x);
        ft_exec_fake_advance(b->x, FT_MIN(FT_MAX(FT_MIN(next, until) - now, 0), 5 * MS));
    } while (ft_exec_fake_now_ns(b->x) < until);
    b->more = ft_supervise_step(b->s, until, &next);
}

static struct ft_supervise_status status(struct box *b, int child)
{
    struct ft_supervise_status st;
    ft_supervise_status(b->s, child, &st);
    return st;
}

static void up_means_ready_where_a_child_tells(void **state)
{
    struct box *b = *state;
    const struct ft_exec_fake_script slow = {
        .id = "gateway", .ready_ns = 300 * MS, .end_ns = NEVER};
    ft_exec_fake_script(b->x, &slow);
    pass(b, 100);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_STARTING);
    assert_int_equal(status(b, 1).state, FT_SUPERVISE_UP);
    assert_true(status(b, 0).pid > 0);
    assert_false(ft_supervise_all_up(b->s));
    pass(b, 300);
    assert_true(ft_supervise_all_up(b->s));
}

static void a_child_that_ends_is_started_again(void **state)
{
    struct box *b = *state;
    pass(b, 50);
    ft_exec_fake_end(b->x, "gateway", SIGKILL, 0);
    pass(b, 50);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_WAITING);
    assert_string_equal(status(b, 0).last_end, "killed by signal 9");
    pass(b, 100);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_UP);
    assert_int_equal(status(b, 0).restarts, 1);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 1);
}

static void pauses_double_up_to_five_seconds_and_are_forgotten(void **state)
{
    struct box *b = *state;
    const struct ft_exec_fake_script broken = {.id = "control", .end_ns = 0, .exit_code = 1};
    const struct ft_exec_fake_script good = {.id = "control", .end_ns = NEVER};
    ft_exec_fake_script(b->x, &broken);
    pass(b, 60); /* 1st start at 0; then after pauses of 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 5, 5 */
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 1);
    pass(b, 100);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 2);
    pass(b, 6250);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 7);
    pass(b, 5000);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 8);
    pass(b, 5000);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 9);
    ft_exec_fake_script(b->x, &good);
    pass(b, 20000);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 10);
    ft_exec_fake_end(b->x, "control", SIGKILL, 0); /* it has lived for long */
    pass(b, 150);
    assert_int_equal(ft_exec_fake_starts(b->x, "control"), 11);
}

static void one_that_cannot_be_started_is_tried_again(void **state)
{
    struct box *b = *state;
    const struct ft_exec_fake_script fails = {.id = "control", .fail = FT_ENOTFOUND};
    const struct ft_exec_fake_script good = {.id = "control", .end_ns = NEVER};
    ft_exec_fake_script(b->x, &fails);
    pass(b, 50);
    assert_int_equal(status(b, 1).state, FT_SUPERVISE_WAITING);
    ft_exec_fake_script(b->x, &good);
    pass(b, 100);
    assert_int_equal(status(b, 1).state, FT_SUPERVISE_UP);
}

static void stopping_goes_in_order(void **state)
{
    struct box *b = *state;
    const struct ft_exec_fake_script slow = {.id = "gateway", .end_ns = NEVER, .term_ns = 500 * MS};
    ft_exec_fake_script(b->x, &slow);
    pass(b, 50);
    ft_supervise_stop(b->s);
    pass(b, 300);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_STOPPING);
    assert_int_equal(status(b, 1).state, FT_SUPERVISE_UP);
    assert_true(b->more);
    pass(b, 300);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_STOPPED);
    assert_int_equal(status(b, 1).state, FT_SUPERVISE_STOPPED);
    assert_false(b->more);
    assert_int_equal(ft_exec_fake_starts(b->x, "gateway"), 1);
}

static void one_that_will_not_stop_is_killed(void **state)
{
    struct box *b = *state;
    const struct ft_exec_fake_script stubborn = {.id = "*", .end_ns = NEVER, .term_ns = NEVER};
    ft_exec_fake_script(b->x, &stubborn);
    pass(b, 50);
    ft_supervise_stop(b->s);
    pass(b, 950);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_STOPPING);
    pass(b, 100);
    assert_int_equal(status(b, 0).state, FT_SUPERVISE_STOPPED);
    assert_string_equal(status(b, 0).last_end, "killed by signal 9");
    assert_true(b->more);
    pass(b, 1100);
    assert_false(b->more);
}

static void one_that_waits_for_its_start_is_not_started_any_more(void **state)
{
    struct box *b = *state;
    pass(b, 50);
    ft_exec_fake_end(b->x, "gateway", SIGKILL, 0);
    pass(b, 10);
    ft_supervise_stop(b->s);
    pass(b, 2000);
    assert_false(b->more);
    assert_int_equal(ft_exec_fake_starts(b->x, "gateway"), 1);
}

static void children_are_checked(void **state)
{
    (void)state;
    struct ft_supervise *s;
    const struct ft_supervise_child outlives = {
        .task = {.id = "a", .argv = ARGV, .outlives = true}};
    const struct ft_supervise_child nameless = {.task = {.argv = ARGV}};
    assert_int_equal(ft_supervise_open(&outlives, 1, &s, &err), FT_EINVAL);
    assert_int_equal(ft_supervise_open(&nameless, 1, &s, &err), FT_EINVAL);
    assert_int_equal(ft_supervise_open(&outlives, 0, &s, &err), FT_EINVAL);
    assert_int_equal(ft_supervise_open(&outlives, 17, &s, &err), FT_EINVAL);
}

/* ---- real processes ---- */

static void say_up(void *ctx)
{
    ssize_t n = write(*(int *)ctx, "u", 1);
    (void)n;
}

/* What `feitian up` does, in a folder: one child that starts a task which outlives it. */
static int run_all(const char *dir, int out)
{
    char services[128], tasks[128];
    snprintf(services, sizeof services, "%s/services", dir);
    snprintf(tasks, sizeof tasks, "%s/tasks", dir);
    const char *argv[] = {"/bin/sh", "-c",
                          "trap 'exit 0' TERM; echo 1 >/proc/self/fd/$FEITIAN_READY_FD;"
                          "while :; do sleep 0.01; done",
                          NULL};
    const char *sleep_argv[] = {"/bin/sleep", "1000", NULL};
    const struct ft_exec_spec worker = {.id = "w", .argv = sleep_argv, .outlives = true};
    const struct ft_supervise_child child = {
        .task = {.id = "gateway", .argv = argv, .tells_ready = true}, .sweep_dir = tasks};
    struct ft_supervise *s;
    struct ft_exec *x;
    struct ft_exec_info info;
    ft_supervise_block_signals();
    if (ft_exec_local_open(tasks, NULL, NULL, &x, &err) != 0 ||
        ft_exec_start(x, &worker, &err) != 0)
        return 1;
    ft_exec_query(x, "w", &info, &err);
    ft_exec_close(x);
    if (ft_supervise_open(&child, 1, &s, &err) != 0 ||
        ft_exec_local_open(services, ft_supervise_event, s, &x, &err) != 0)
        return 1;
    ft_supervise_attach(s, x);
    int e = ft_supervise_run(s, say_up, &out, &err);
    ft_exec_close(x);
    ft_supervise_close(s);
    struct ft_proc_stat st; /* it was this process's child, so a zombie of it stays */
    return e != 0 || (ft_proc_stat((pid_t)info.pid, &st) && st.state != 'Z');
}

static void sigterm_stops_everything_workers_too(void **state)
{
    (void)state;
    char dir[] = "/tmp/ft_up_XXXXXX", cmd[64], byte;
    int fds[2], status;
    assert_non_null(mkdtemp(dir));
    assert_int_equal(pipe(fds), 0);
    pid_t pid = fork();
    if (pid == 0) {
        alarm(30);
        _exit(run_all(dir, fds[1]));
    }
    close(fds[1]);
    assert_int_equal(read(fds[0], &byte, 1), 1);
    kill(pid, SIGTERM);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    close(fds[0]);
    snprintf(cmd, sizeof cmd, "rm -r %s", dir);
    assert_int_equal(system(cmd), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(up_means_ready_where_a_child_tells, setup, teardown),
        cmocka_unit_test_setup_teardown(a_child_that_ends_is_started_again, setup, teardown),
        cmocka_unit_test_setup_teardown(pauses_double_up_to_five_seconds_and_are_forgotten, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(one_that_cannot_be_started_is_tried_again, setup, teardown),
        cmocka_unit_test_setup_teardown(stopping_goes_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_will_not_stop_is_killed, setup, teardown),
        cmocka_unit_test_setup_teardown(one_that_waits_for_its_start_is_not_started_any_more, setup,
                                        teardown),
        cmocka_unit_test(children_are_checked),
        cmocka_unit_test(sigterm_stops_everything_workers_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
