/* feitian down: ends a cloud on this machine; whatever state it is in, nothing of it runs after. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/cloud/client.h"
#include "cli/cloud/show.h"
#include "cli/cloud/up.h"
#include "cli/options.h"
#include "sched/exec_local.h"

#define POLL_US       20000
#define AGAIN_MS      5000 /* after the second, hard signal */
#define SWEEP_MS      3000
#define ASK_MS        2000 /* what runs now */
#define TIMEOUT_S_MAX 3600

static void ignore_event(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    (void)ctx, (void)event, (void)info;
}

/* Stops tasks that a dead supervisor or gateway left. Returns how many there were. */
static int sweep(const struct ft_home *h, const char *where)
{
    char dir[FT_HOME_PATH], ids[FT_EXEC_TASKS_MAX][FT_EXEC_ID_MAX];
    struct ft_exec *x;
    struct ft_err err = {0};
    int n = 0, running = 0;
    if (access(ft_home_at(h, where, dir), F_OK) != 0 ||
        ft_exec_local_open(dir, ignore_event, NULL, &x, &err) != 0)
        return 0;
    ft_exec_list(x, ids, FT_EXEC_TASKS_MAX, &n);
    for (int i = 0; i < FT_MIN(n, FT_EXEC_TASKS_MAX); i++) {
        struct ft_exec_info info;
        if (ft_exec_query(x, ids[i], &info, &err) == 0)
            running += info.state == FT_EXEC_RUNNING;
    }
    ft_exec_sweep(x, SWEEP_MS);
    ft_exec_close(x);
    return running;
}

/* Waits until the lock is free, which a dead process cannot hold, not even as a zombie. */
static bool wait_end(const struct ft_home *h, int64_t ms)
{
    struct ft_home_up up;
    struct ft_err err;
    int64_t until = ft_clock_now_ns() + ms * 1000000;
    for (;;) {
        if (ft_home_running(h, &up, &err) != 1)
            return true;
        if (ft_clock_now_ns() >= until)
            return false;
        usleep(POLL_US);
    }
}

static int signal_it(const struct ft_home *h, int64_t pid, int sig, struct ft_err *err)
{
    struct ft_home_up up;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0)
        return errno == ESRCH ? 0 : ft_err_sys(err, "reach process %lld", (long long)pid);
    /* Now that the pid cannot be given to another: is it still the one that holds the lock? */
    int rc = 0;
    if (ft_home_running(h, &up, err) == 1 && up.pid == pid &&
        syscall(SYS_pidfd_send_signal, fd, sig, NULL, 0) != 0 && errno != ESRCH)
        rc = errno == EPERM
                 ? ft_err_set(err, FT_EINVAL,
                              "the cloud in %s belongs to another user: stop it as that one",
                              h->path)
                 : ft_err_sys(err, "signal process %lld", (long long)pid);
    close(fd);
    return rc;
}

/* Says what the time is for; says nothing where nobody answers at once. */
static void say_what_runs(const struct ft_home *h, const struct ft_home_up *up, int64_t timeout_s)
{
    struct ft_cloud_options o = {.home = h->path, .url = up->url};
    struct ft_cloud c = {0};
    struct ft_err ignored = {0};
    json_t *live = NULL;
    if (!up->ready || ft_cloud_open(&o, &c, &ignored) != 0)
        return;
    c.timeout_ms = ASK_MS;
    if (ft_cloud_call(&c, "GET", "/api/v1/status", NULL, &live, &ignored) == 0) {
        long long n = (long long)json_integer_value(
            json_object_get(json_object_get(live, "gateway"), "calls_running"));
        if (n > 0)
            fprintf(stderr,
                    "waiting for %lld running call%s, %lld s at most (--force does not wait)\n", n,
                    n == 1 ? "" : "s", (long long)timeout_s);
    }
    json_decref(live);
    ft_cloud_close(&c);
}

static int stop(const struct ft_home *h, int64_t timeout_s, bool force, struct ft_err *err)
{
    struct ft_home_up up;
    int rc = ft_home_running(h, &up, err);
    for (int i = 0; i < 50 && rc == 1 && up.pid == 0; i++) { /* it is only just beginning */
        usleep(POLL_US);
        rc = ft_home_running(h, &up, err);
    }
    if (rc <= 0)
        return rc;
    if (up.pid <= 0)
        return ft_err_set(err, FT_EIO, "%s/run/lock is held, and nobody says by whom", h->path);
    if (!force)
        say_what_runs(h, &up, timeout_s);
    rc = signal_it(h, up.pid, SIGTERM, err);
    if (rc != 0 || (!force && wait_end(h, timeout_s * 1000)))
        return rc;
    if (!force)
        fprintf(stderr, "not down after %lld s: it is stopped at once now\n", (long long)timeout_s);
    rc = signal_it(h, up.pid, SIGTERM, err); /* a second one does not wait for running calls */
    if (rc != 0 || wait_end(h, AGAIN_MS))
        return rc;
    fprintf(stderr, "process %lld does not end: it is killed\n", (long long)up.pid);
    rc = signal_it(h, up.pid, SIGKILL, err);
    if (rc == 0 && !wait_end(h, AGAIN_MS))
        rc = ft_err_set(err, FT_EIO, "process %lld does not even die of SIGKILL (a hung disk?)",
                        (long long)up.pid);
    return rc;
}

int ft_cmd_down(int argc, char **argv)
{
    const char *given = NULL;
    int64_t timeout_s = 30;
    bool force = false, json = false;
    const struct ft_opt opts[] = {
        {"home", 0, FT_OPT_TEXT, &given, 0, 0},
        {"timeout", 0, FT_OPT_WHOLE, &timeout_s, 1, TIMEOUT_S_MAX},
        {"force", 0, FT_OPT_FLAG, &force, 0, 0},
        {"json", 0, FT_OPT_FLAG, &json, 0, 0},
    };
    struct ft_home h;
    struct ft_home_up up;
    struct ft_err err = {0};
    char **args;
    int rc = ft_opts_parse("down", opts, FT_COUNT(opts), argc, argv, 0, 0, "", &args);
    if (rc != 0)
        return rc;
    if (ft_home_find(given, &h, &err) != 0)
        return ft_cli_fail(2, &err, "down");
    int running = ft_home_running(&h, &up, &err);
    if (running < 0 || stop(&h, timeout_s, force, &err) != 0)
        return ft_cli_fail(1, &err, "down");
    int left = sweep(&h, "run/up") + sweep(&h, "run/tasks") + sweep(&h, "run/tune");
    if (json) {
        ft_show_json(json_pack("{s:s,s:s,s:b,s:i}", "state", "down", "home", h.path, "was_up",
                               running == 1, "left_over", left));
        return 0;
    }
    if (running == 1)
        printf("feitian is down\n");
    else
        printf("no cloud was running in %s\n", h.path);
    if (left > 0)
        printf("%d process%s left over from one that was killed %s stopped\n", left,
               left == 1 ? "" : "es", left == 1 ? "was" : "were");
    return 0;
}
