/* The sandbox, outermost last: privileges, files, and then the filter of system calls, which would
 * refuse what the others need. */
#include "sched/sandbox.h"

#include <dirent.h>
#include <errno.h>
#include <linux/capability.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sched/landlock.h"
#include "sched/seccomp_rules.h"

#define THREADS_LOOKED_AT 3
#define CAPABILITIES_MAX  64

/* Of the system's: what the C library and base/memory.c, base/pages.c, base/cpu_isa.c look at, and
 * energy counters. */
static const char *const SYSTEM[] = {
    "/proc/self",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/cpuinfo",
    "/proc/sys/vm",
    "/sys/devices/system",
    "/sys/kernel/mm",
    "/sys/fs/cgroup",
    "/etc/localtime",
    "/usr/share/zoneinfo",
    "/dev/urandom",
    "/sys/class/powercap",
    "/sys/devices/virtual/powercap",
};

#ifdef __SANITIZE_ADDRESS__
/* The leak check at the end of a process forks and traces itself, which the filter refuses. */
static int entered;
int __lsan_is_turned_off(void);
int __lsan_is_turned_off(void)
{
    return entered;
}
#endif

static int check_alone(struct ft_err *err)
{
#ifdef __SANITIZE_THREAD__
    return 0; /* its runtime has a thread of its own */
#endif
    DIR *d = opendir("/proc/self/task");
    if (d == NULL)
        return ft_err_sys(err, "/proc/self/task");
    int n = 0;
    struct dirent *entry;
    while (n < THREADS_LOOKED_AT && (entry = readdir(d)) != NULL)
        n += entry->d_name[0] != '.';
    closedir(d);
    if (n > 1)
        return ft_err_set(err, FT_EINVAL, "threads were started before the sandbox was entered");
    return 0;
}

static int by_number(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;
    return (x > y) - (x < y);
}

/* Closes everything but 0, 1, 2 and those to keep. */
static int close_others(const struct ft_sandbox_cfg *cfg, struct ft_err *err)
{
    int keep[FT_SANDBOX_FDS_MAX];
    unsigned from = 3;
    memcpy(keep, cfg->keep_fds, (size_t)cfg->n_keep_fds * sizeof *keep);
    qsort(keep, (size_t)cfg->n_keep_fds, sizeof *keep, by_number);
    for (int i = 0; i < cfg->n_keep_fds; i++) {
        if (keep[i] < (int)from)
            continue;
        if (keep[i] > (int)from && close_range(from, (unsigned)keep[i] - 1, 0) != 0)
            return ft_err_sys(err, "close_range");
        from = (unsigned)keep[i] + 1;
    }
    return close_range(from, ~0u, 0) == 0 ? 0 : ft_err_sys(err, "close_range");
}

static int set_limit(int which, rlim_t value, const char *name, struct ft_err *err)
{
    struct rlimit r;
    if (getrlimit(which, &r) != 0)
        return ft_err_sys(err, "limit of %s", name);
    r.rlim_max = FT_MIN(r.rlim_max, value);
    r.rlim_cur = r.rlim_max;
    return setrlimit(which, &r) == 0 ? 0 : ft_err_sys(err, "limit of %s", name);
}

/* The owner's uid stays (its files must stay readable), but root's is then like any other. */
static bool drop_capabilities(void)
{
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    for (int cap = 0; cap < CAPABILITIES_MAX; cap++) /* refused to whom it means nothing */
        if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) != 0)
            break;
    struct __user_cap_header_struct head = {_LINUX_CAPABILITY_VERSION_3, 0};
    struct __user_cap_data_struct none[2];
    memset(none, 0, sizeof none);
    return syscall(SYS_capset, &head, none) == 0;
}

static void describe(struct ft_sandbox_report *r, const char *why_no_seccomp)
{
    char files[96];
    if (r->landlock > 0)
        snprintf(files, sizeof files, "files held by Landlock %d", r->landlock);
    else
        snprintf(files, sizeof files,
                 "this kernel has no Landlock: every file this user may read can be read");
    snprintf(r->text, sizeof r->text, "%s%.120s; %s; %s; %s",
             r->seccomp ? "system calls filtered" : "system calls NOT filtered: ",
             r->seccomp ? "" : why_no_seccomp, files,
             r->no_new_privs ? "no new privileges" : "privileges can be gained",
             r->no_capabilities ? "no capabilities" : "capabilities could NOT be dropped");
}

static int check_cfg(const struct ft_sandbox_cfg *cfg, struct ft_err *err)
{
    if (cfg->n_read_paths < 0 || cfg->n_read_paths > FT_SANDBOX_PATHS_MAX)
        return ft_err_set(err, FT_EINVAL, "read_paths: more than %d", FT_SANDBOX_PATHS_MAX);
    if (cfg->n_keep_fds < 0 || cfg->n_keep_fds > FT_SANDBOX_FDS_MAX)
        return ft_err_set(err, FT_EINVAL, "keep_fds: more than %d", FT_SANDBOX_FDS_MAX);
    if (cfg->nofile < 0)
        return ft_err_set(err, FT_EINVAL, "nofile: negative");
    return 0;
}

static int enter(const struct ft_sandbox_cfg *cfg, struct ft_sandbox_report *r, struct ft_err *err)
{
    int e = check_cfg(cfg, err);
    if (e == 0)
        e = check_alone(err);
    if (e == 0 && cfg->keep_fds != NULL)
        e = close_others(cfg, err);
    if (e == 0)
        e = set_limit(RLIMIT_CORE, 0, "core files", err);
    if (e == 0 && cfg->nofile > 0)
        e = set_limit(RLIMIT_NOFILE, (rlim_t)cfg->nofile, "open files", err);
    if (e != 0)
        return e;
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
        return ft_err_sys(err, "no_new_privs");
    r->no_new_privs = true;
    r->landlock = ft_landlock_version();
    if (r->landlock > 0)
        e = ft_landlock_enter(r->landlock, cfg->read_paths, cfg->n_read_paths, SYSTEM,
                              (int)FT_COUNT(SYSTEM), cfg->write_path, err);
    if (e != 0)
        return e;
    r->no_capabilities = drop_capabilities();
    struct ft_err why = {0};
    e = ft_seccomp_load(cfg->exec_memory, cfg->write_path != NULL, &why);
    r->seccomp = e == 0;
    if (e != 0 && !(e == FT_EUNSUPPORTED && cfg->best_effort)) {
        if (err != NULL)
            *err = why;
        return e;
    }
    describe(r, why.msg);
#ifdef __SANITIZE_ADDRESS__
    entered = 1;
#endif
    return 0;
}

int ft_sandbox_enter(const struct ft_sandbox_cfg *cfg, struct ft_sandbox_report *ret_report,
                     struct ft_err *err)
{
    struct ft_sandbox_report r;
    memset(&r, 0, sizeof r);
    int e = enter(cfg, &r, err);
    if (e != 0)
        return err != NULL ? ft_err_wrap(err, "sandbox") : e;
    *ret_report = r;
    return 0;
}

struct probe {
    int result;
    struct ft_sandbox_report report;
    struct ft_err err;
};

int ft_sandbox_probe(struct ft_sandbox_report *ret_report, struct ft_err *err)
{
    int fds[2];
    struct probe p;
    memset(&p, 0, sizeof p);
    if (pipe(fds) != 0)
        return ft_err_sys(err, "pipe");
    pid_t pid = fork();
    if (pid == 0) {
        const struct ft_sandbox_cfg cfg = {.best_effort = true};
        p.result = ft_sandbox_enter(&cfg, &p.report, &p.err);
        ssize_t n = write(fds[1], &p, sizeof p); /* less than PIPE_BUF: whole or not at all */
        _exit(n == (ssize_t)sizeof p ? 0 : 1);
    }
    close(fds[1]);
    ssize_t n = pid < 0 ? -1 : read(fds[0], &p, sizeof p);
    close(fds[0]);
    if (pid < 0)
        return ft_err_sys(err, "fork");
    waitpid(pid, NULL, 0);
    if (n != (ssize_t)sizeof p)
        return ft_err_set(err, FT_EIO, "sandbox: the process that tried it died");
    if (p.result != 0) {
        if (err != NULL)
            *err = p.err;
        return p.result;
    }
    *ret_report = p.report;
    return 0;
}
