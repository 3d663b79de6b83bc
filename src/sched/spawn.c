/* fork, wait for word, exec.
 *
 * Between fork and exec only async-signal-safe calls are made (fork(2): another thread may have
 * held any lock), so everything is prepared before. What goes wrong there comes back through a pipe
 * that exec closes. */
#include "sched/spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define FD_FREE_MIN    3 /* 0, 1 and 2 are the child's own */
#define KERNEL_SIGNALS 64

enum step { STEP_OWNER, STEP_CWD, STEP_FILES, STEP_LIMITS, STEP_EXEC };
static const char *const STEP_NAME[] = {"tie to the owner", "cwd", "standard files", "limits",
                                        "run"};

struct failure {
    int step, error;
};

struct plan {
    const struct ft_exec_spec *spec;
    char **env;
    int null_fd, out_fd, ready_fd, go_fd, status_fd;
    int owner_go_fd; /* the owner's end: closed in the child, or it would never see it close */
    pid_t owner;
    int64_t data_bytes;
    int nice;
};

/* ---- in the child ---- */

static void fail(const struct plan *p, enum step step)
{
    struct failure f = {step, errno};
    ssize_t n = write(p->status_fd, &f, sizeof f);
    (void)n;
    _exit(127);
}

static bool set_limit(int which, uint64_t value)
{
    struct rlimit was;
    if (getrlimit(which, &was) != 0)
        return false;
    struct rlimit r = {FT_MIN(value, (uint64_t)was.rlim_max),
                       FT_MIN(value, (uint64_t)was.rlim_max)};
    return setrlimit(which, &r) == 0;
}

/* By the kernel's calls: the library's leave alone the two signals that it keeps for itself, which
 * an ancestor with another library may have ignored or blocked. */
static void reset_signals(void)
{
    static const unsigned long none[8]; /* larger than the kernel's sigaction: SIG_DFL, no flags */
    for (int sig = 1; sig <= KERNEL_SIGNALS; sig++)
        syscall(SYS_rt_sigaction, sig, none, NULL, KERNEL_SIGNALS / 8);
    syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, KERNEL_SIGNALS / 8);
}

__attribute__((noreturn)) static void child(const struct plan *p)
{
    const struct ft_exec_spec *spec = p->spec;
    reset_signals();
    close(p->owner_go_fd);
    setsid(); /* a terminal's Ctrl-C is for the owner, who stops its tasks in order */
    if (!spec->outlives && (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != p->owner))
        fail(p, STEP_OWNER);
    if (spec->cwd != NULL && chdir(spec->cwd) != 0)
        fail(p, STEP_CWD);
    if (dup2(p->null_fd, 0) < 0 || dup2(p->out_fd, 1) < 0 || dup2(p->out_fd, 2) < 0)
        fail(p, STEP_FILES);
    if (close_range(FD_FREE_MIN, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        fail(p, STEP_FILES);
    if (p->ready_fd >= 0 && fcntl(p->ready_fd, F_SETFD, 0) != 0)
        fail(p, STEP_FILES);
    if (!set_limit(RLIMIT_CORE, 0) ||
        (spec->limits.nofile > 0 && !set_limit(RLIMIT_NOFILE, (uint64_t)spec->limits.nofile)) ||
        (p->data_bytes > 0 && !set_limit(RLIMIT_DATA, (uint64_t)p->data_bytes)))
        fail(p, STEP_LIMITS);
    if (p->nice > 0)
        setpriority(PRIO_PROCESS, 0, p->nice);
    char word;
    ssize_t n;
    do
        n = read(p->go_fd, &word, 1);
    while (n < 0 && errno == EINTR);
    if (n != 1) /* the owner is gone, or thought better of it */
        _exit(127);
    execve(spec->argv[0], (char *const *)(uintptr_t)spec->argv, p->env);
    fail(p, STEP_EXEC);
    _exit(127);
}

/* ---- in the owner ---- */

/* Both ends above the standard files, closed by exec. */
static int make_pipe(int ret[2], struct ft_err *err)
{
    int raw[2];
    if (pipe2(raw, O_CLOEXEC) != 0)
        return ft_err_sys(err, "pipe");
    for (int i = 0; i < 2; i++) {
        ret[i] = raw[i] >= FD_FREE_MIN ? raw[i] : fcntl(raw[i], F_DUPFD_CLOEXEC, FD_FREE_MIN);
        if (ret[i] != raw[i])
            close(raw[i]);
    }
    if (ret[0] >= 0 && ret[1] >= 0)
        return 0;
    int e = ft_err_sys(err, "pipe");
    close(ret[0]);
    close(ret[1]);
    ret[0] = ret[1] = -1;
    return e;
}

static bool is_ours(const char *variable)
{
    return strncmp(variable, "FEITIAN_READY_FD=", 17) == 0 ||
           strncmp(variable, "NOTIFY_SOCKET=", 14) == 0;
}

/* The variables, less those that are for the owner, and where to tell readiness (ready_fd >= 0).
 * Only the array is allocated; `word` holds the new one. */
static char **make_env(const struct ft_exec_spec *spec, int ready_fd, char *word, size_t word_n)
{
    char *const *from = spec->env != NULL ? (char *const *)(uintptr_t)spec->env : environ;
    size_t n = 0, k = 0;
    while (from != NULL && from[n] != NULL)
        n++;
    char **env = calloc(n + 2, sizeof *env);
    if (env == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++)
        if (!is_ours(from[i]))
            env[k++] = from[i];
    if (ready_fd >= 0) {
        snprintf(word, word_n, "FEITIAN_READY_FD=%d", ready_fd);
        env[k++] = word;
    }
    return env;
}

static void close_both(int fds[2])
{
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static pid_t fork_quietly(const struct plan *p)
{
    sigset_t all, was;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &was); /* no handler of ours in the child */
    pid_t pid = fork();
    if (pid == 0)
        child(p);
    int saved = errno;
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    errno = saved;
    return pid;
}

int ft_spawn_begin(const struct ft_exec_spec *spec, int log_fd, int64_t data_bytes, int nice,
                   struct ft_spawn *ret_spawn, struct ft_err *err)
{
    int go[2] = {-1, -1}, status[2] = {-1, -1}, ready[2] = {-1, -1};
    char word[64];
    struct plan p = {.spec = spec, .owner = getpid(), .data_bytes = data_bytes, .nice = nice};
    p.null_fd = -1;
    int e = make_pipe(go, err);
    if (e == 0)
        e = make_pipe(status, err);
    if (e == 0 && spec->tells_ready)
        e = make_pipe(ready, err);
    if (e == 0) {
        p.null_fd = open("/dev/null", O_RDWR | O_CLOEXEC);
        p.env = make_env(spec, ready[1], word, sizeof word);
        if (p.null_fd < 0)
            e = ft_err_sys(err, "/dev/null");
        else if (p.env == NULL)
            e = ft_err_set(err, FT_ENOMEM, "out of memory");
    }
    pid_t pid = -1;
    int pidfd = -1;
    if (e == 0) {
        p.out_fd = log_fd >= 0 ? log_fd : 2;
        p.ready_fd = ready[1];
        p.go_fd = go[0];
        p.owner_go_fd = go[1];
        p.status_fd = status[1];
        pid = fork_quietly(&p);
        if (pid < 0)
            e = ft_err_sys(err, "fork");
        else if ((pidfd = (int)syscall(SYS_pidfd_open, pid, 0)) < 0)
            e = ft_err_sys(err, "pidfd_open");
    }
    free(p.env);
    if (p.null_fd >= 0)
        close(p.null_fd);
    if (e != 0) {
        close_both(go); /* the child sees that and ends */
        close_both(status);
        close_both(ready);
        if (pid > 0)
            waitpid(pid, NULL, 0);
        return e;
    }
    close(go[0]);
    close(status[1]);
    if (ready[1] >= 0)
        close(ready[1]);
    *ret_spawn = (struct ft_spawn){pid, pidfd, ready[0], go[1], status[0]};
    return 0;
}

int ft_spawn_go(struct ft_spawn *s, const char *program, struct ft_err *err)
{
    struct failure f;
    bool told = write(s->go_fd, "g", 1) == 1; /* SIGPIPE: the watcher blocks it */
    ssize_t n;
    do /* it may have failed before it was told, and said at what */
        n = read(s->status_fd, &f, sizeof f);
    while (n < 0 && errno == EINTR);
    if (n == 0 && told) { /* closed by exec, or it was killed before: then it ends like any other */
        close(s->go_fd);
        close(s->status_fd);
        s->go_fd = s->status_fd = -1;
        return 0;
    }
    if (n != (ssize_t)sizeof f)
        f = (struct failure){STEP_EXEC, EIO};
    ft_spawn_abort(s);
    errno = f.error;
    return ft_err_sys(err, "%s %s", STEP_NAME[f.step], program);
}

void ft_spawn_abort(struct ft_spawn *s)
{
    close(s->go_fd);
    close(s->status_fd);
    if (s->ready_fd >= 0)
        close(s->ready_fd);
    kill(s->pid, SIGKILL); /* not reaped yet, so it is still the same */
    waitpid(s->pid, NULL, 0);
    close(s->pidfd);
    *s = (struct ft_spawn){-1, -1, -1, -1, -1};
}
