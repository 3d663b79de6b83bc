/* exec_local: one thread, one epoll, a table of tasks.
 *
 * The table is guarded by `lock`; only the watcher adds and removes, so it may look without. start
 * and remove are slow (fork, files, control groups): they are handed to the watcher and waited
 * for. kill, query and list act at once under the lock. Events are told without it. */
#include "sched/exec_local.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "sched/cgroup.h"
#include "sched/log_rotate.h"
#include "sched/spawn.h"
#include "sched/task_file.h"

#define TICK_MS           1000 /* sizes of logs, use of adopted tasks */
#define EVENTS_MAX        64
#define LOG_BYTES_DEFAULT (16LL << 20)
#define ENTRIES_MAX       (4 * FT_EXEC_TASKS_MAX) /* of the folder, looked at when opening */
#define KILL_WAIT_MS      2000
#define LOCK_TRIES        50
#define LOCK_PAUSE_NS     (10 * 1000000)

struct task {
    struct ft_task_file file;
    struct ft_exec_info info;
    int pidfd, ready_fd; /* -1: closed */
    bool child;          /* ours: it can be waited for */
};

struct command {
    struct command *next;
    const struct ft_exec_spec *spec; /* start; NULL: remove */
    const char *id;
    int result;
    struct ft_err *err;
    bool done;
};

struct local {
    struct ft_exec base;
    ft_exec_event_fn *on_event;
    void *ctx;
    char dir[FT_TASK_PATH_MAX / 2];
    char boot[FT_PROC_BOOT_MAX];
    char group_prefix[64];
    int lock_fd, epoll, wake;
    struct ft_cgroup_base groups;
    bool told_limits; /* that some cannot be held */
    pthread_t thread;
    bool thread_runs;
    pthread_mutex_t lock;
    pthread_cond_t done;
    struct command *first, **last;
    bool closing;
    struct task *task[FT_EXEC_TASKS_MAX];
    int n_task;
};

static const struct ft_exec_ops OPS;

static struct local *local_of(struct ft_exec *x)
{
    FT_ASSERT(x->ops == &OPS);
    return (struct local *)x;
}

static int find(const struct local *x, const char *id)
{
    for (int i = 0; i < x->n_task; i++)
        if (strcmp(x->task[i]->info.id, id) == 0)
            return i;
    return -1;
}

/* Is there something to read, or its end? */
static bool has_come(int fd)
{
    struct pollfd p = {.fd = fd, .events = POLLIN};
    return poll(&p, 1, 0) > 0;
}

static bool has_ended(int pidfd)
{
    return has_come(pidfd);
}

static void tell(struct local *x, const struct task *t, enum ft_exec_event event)
{
    const struct ft_exec_info info = t->info;
    if (x->on_event != NULL)
        x->on_event(x->ctx, event, &info);
}

/* ---- the table; the watcher alone ---- */

static int watch(struct local *x, struct task *t, int fd)
{
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = t};
    return epoll_ctl(x->epoll, EPOLL_CTL_ADD, fd, &e);
}

/* The epoll keeps what any process has open: a child of another thread holds a copy until it runs
 * its program, and the entry, which points to the task, would outlive it. */
static void unwatch(struct local *x, int *fd)
{
    if (*fd >= 0) {
        epoll_ctl(x->epoll, EPOLL_CTL_DEL, *fd, NULL);
        close(*fd);
    }
    *fd = -1;
}

static void add(struct local *x, struct task *t)
{
    pthread_mutex_lock(&x->lock);
    x->task[x->n_task++] = t;
    pthread_mutex_unlock(&x->lock);
}

static void free_task(struct local *x, struct task *t)
{
    unwatch(x, &t->pidfd);
    unwatch(x, &t->ready_fd);
    free(t);
}

/* Takes a task that ended off the table and the disk. */
static void forget(struct local *x, int i)
{
    struct task *t = x->task[i];
    pthread_mutex_lock(&x->lock);
    x->task[i] = x->task[--x->n_task];
    pthread_mutex_unlock(&x->lock);
    ft_cgroup_remove(&t->file.group);
    ft_task_folder_remove(x->dir, t->info.id);
    free_task(x, t);
}

static struct task *new_task(const struct ft_task_file *file)
{
    struct task *t = calloc(1, sizeof *t);
    if (t == NULL)
        return NULL;
    t->file = *file;
    t->pidfd = t->ready_fd = -1;
    struct ft_exec_info *i = &t->info;
    memcpy(i->id, file->id, sizeof i->id);
    memcpy(i->note, file->note, sizeof i->note);
    memcpy(i->limits, file->limits, sizeof i->limits);
    i->state = FT_EXEC_ENDED;
    i->ready = file->ready;
    i->outlives = file->outlives;
    i->pid = file->pid;
    i->started_ns = file->started_ns;
    i->exit_code = -1;
    return t;
}

/* ---- starting ---- */

static void describe_limits(struct local *x, const struct ft_exec_limits *l,
                            const struct ft_cgroup *g, char *ret, size_t n)
{
    const char *const name[FT_CGROUP_KINDS] = {"memory", "cpu", "threads"};
    const char *const without[FT_CGROUP_KINDS] = {"RLIMIT_DATA", "nice", "not limited"};
    const bool wanted[FT_CGROUP_KINDS] = {l->memory_bytes > 0, l->cpu_weight > 0,
                                          l->threads_max > 0};
    bool lacks = false;
    size_t at = 0;
    ret[0] = 0;
    for (int k = 0; k < FT_CGROUP_KINDS && at < n; k++) {
        bool held = g->path[k][0] != 0;
        if (!wanted[k])
            continue;
        lacks |= !held;
        at += (size_t)snprintf(ret + at, n - at, "%s%s: %s%s", at > 0 ? ", " : "", name[k],
                               held ? "cgroup v" : without[k],
                               !held                       ? ""
                               : x->groups.version[k] == 1 ? "1"
                                                           : "2");
    }
    if (lacks && !x->told_limits)
        ft_log(FT_LOG_WARN, "sched", "no control group for every limit of a task: %s", ret);
    x->told_limits |= lacks;
}

/* A weight below 100 as a nice value: each step is a quarter (sched(7)). */
static int nice_of(int weight)
{
    int nice = 0;
    for (int w = weight * 100; weight > 0 && w < 9000 && nice < 19; w = w * 5 / 4)
        nice++;
    return nice;
}

static int open_log(const struct ft_exec_spec *spec, int *ret_fd, struct ft_err *err)
{
    *ret_fd = -1;
    if (spec->log == NULL)
        return 0;
    int fd = open(spec->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOCTTY, 0600);
    if (fd < 0)
        return ft_err_sys(err, "log %s", spec->log);
    *ret_fd = fd;
    return 0;
}

static int fill_file(struct local *x, const struct ft_exec_spec *spec, struct ft_task_file *f,
                     struct ft_err *err)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    memset(f, 0, sizeof *f);
    snprintf(f->id, sizeof f->id, "%s", spec->id);
    snprintf(f->note, sizeof f->note, "%s", spec->note != NULL ? spec->note : "");
    memcpy(f->boot, x->boot, sizeof f->boot);
    if (snprintf(f->log, sizeof f->log, "%s", spec->log != NULL ? spec->log : "") >=
        (int)sizeof f->log)
        return ft_err_set(err, FT_EINVAL, "log: path too long");
    f->log_bytes = spec->log_bytes > 0 ? spec->log_bytes : LOG_BYTES_DEFAULT;
    f->started_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    f->outlives = spec->outlives;
    return 0;
}

/* Between fork and exec: into the groups, onto the disk. */
static int settle(struct local *x, const struct ft_spawn *s, struct task *t, struct ft_err *err)
{
    struct ft_proc_stat stat;
    if (!ft_proc_stat(s->pid, &stat))
        return ft_err_set(err, FT_EIO, "/proc/%d/stat cannot be read", (int)s->pid);
    ft_cgroup_enter(&t->file.group, s->pid);
    t->file.pid = s->pid;
    t->file.start_ticks = stat.start_ticks;
    t->info.pid = s->pid;
    t->info.state = FT_EXEC_RUNNING;
    return ft_task_file_write(x->dir, &t->file, err);
}

/* With the folder there and *t filled but for the process. */
static int spawn(struct local *x, const struct ft_exec_spec *spec, int log_fd, struct task *t,
                 struct ft_err *err)
{
    char name[FT_EXEC_ID_MAX + sizeof x->group_prefix];
    snprintf(name, sizeof name, "%s%s", x->group_prefix, spec->id);
    struct ft_cgroup *g = &t->file.group;
    ft_cgroup_make(&x->groups, name, &spec->limits, g);
    describe_limits(x, &spec->limits, g, t->file.limits, sizeof t->file.limits);
    memcpy(t->info.limits, t->file.limits, sizeof t->info.limits);

    struct ft_spawn s;
    bool memory = g->path[FT_CGROUP_MEMORY][0] != 0, cpu = g->path[FT_CGROUP_CPU][0] != 0;
    int e = ft_spawn_begin(spec, log_fd, memory ? 0 : spec->limits.memory_bytes,
                           cpu ? 0 : nice_of(spec->limits.cpu_weight), &s, err);
    if (e != 0)
        return e;
    e = settle(x, &s, t, err);
    if (e != 0)
        ft_spawn_abort(&s);
    else
        e = ft_spawn_go(&s, spec->argv[0], err);
    if (e != 0)
        return e;
    t->pidfd = s.pidfd;
    t->ready_fd = s.ready_fd;
    t->child = true;
    return 0;
}

static int start(struct local *x, const struct ft_exec_spec *spec, struct ft_err *err)
{
    char path[FT_TASK_PATH_MAX];
    if (find(x, spec->id) >= 0)
        return ft_err_set(err, FT_EEXIST, "there is one already");
    if (x->n_task == FT_EXEC_TASKS_MAX)
        return ft_err_set(err, FT_ELIMIT, "there are %d tasks", FT_EXEC_TASKS_MAX);
    struct ft_task_file file;
    int e = fill_file(x, spec, &file, err);
    int log_fd;
    if (e == 0)
        e = open_log(spec, &log_fd, err);
    if (e != 0)
        return e;
    struct task *t = new_task(&file);
    snprintf(path, sizeof path, "%s/%s", x->dir, spec->id);
    if (t == NULL)
        e = ft_err_set(err, FT_ENOMEM, "out of memory");
    else if (mkdir(path, 0700) != 0 && errno != EEXIST)
        e = ft_err_sys(err, "%s", path);
    else
        e = spawn(x, spec, log_fd, t, err);
    if (log_fd >= 0)
        close(log_fd);
    if (e != 0) {
        if (t != NULL) {
            ft_cgroup_remove(&t->file.group);
            free_task(x, t);
        }
        ft_task_folder_remove(x->dir, spec->id);
        return e;
    }
    add(x, t);
    if (watch(x, t, t->pidfd) != 0 || (t->ready_fd >= 0 && watch(x, t, t->ready_fd) != 0))
        ft_log(FT_LOG_ERROR, "sched", "task %s: cannot be watched: %s", spec->id, strerror(errno));
    return 0;
}

/* ---- watching ---- */

/* It said something, or ended. Without a wait: what it started may hold the other end. */
static void on_ready(struct local *x, struct task *t)
{
    char word;
    ssize_t n = has_come(t->ready_fd) ? read(t->ready_fd, &word, 1) : 0;
    pthread_mutex_lock(&x->lock);
    unwatch(x, &t->ready_fd);
    bool ready = n == 1 && t->info.state == FT_EXEC_RUNNING;
    t->info.ready = t->file.ready = ready;
    pthread_mutex_unlock(&x->lock);
    struct ft_err err;
    if (!ready)
        return;
    if (ft_task_file_write(x->dir, &t->file, &err) != 0) /* a later owner asks the task itself */
        ft_log(FT_LOG_WARN, "sched", "task %s: %s", t->info.id, err.msg);
    tell(x, t, FT_EXEC_EVENT_READY);
}

static void sample(struct ft_exec_info *info)
{
    struct ft_proc_stat s;
    if (ft_proc_stat((pid_t)info->pid, &s))
        info->cpu_us = FT_MAX(info->cpu_us, s.cpu_us);
    info->peak_bytes = FT_MAX(info->peak_bytes, ft_proc_peak_bytes((pid_t)info->pid));
}

/* Reaps a child of ours; what is left of its process group goes with it (the zombie still holds the
 * number, so it is that group). */
static void reap(struct task *t, struct ft_exec_info *info)
{
    siginfo_t si;
    struct rusage use;
    memset(&si, 0, sizeof si);
    memset(&use, 0, sizeof use);
    kill(-(pid_t)info->pid, SIGKILL);
    if (syscall(SYS_waitid, P_PIDFD, t->pidfd, &si, WEXITED, &use) != 0)
        return;
    info->status_known = true;
    info->exit_code = si.si_code == CLD_EXITED ? si.si_status : -1;
    info->term_signal = si.si_code == CLD_EXITED ? 0 : si.si_status;
    info->cpu_us = ((int64_t)use.ru_utime.tv_sec + use.ru_stime.tv_sec) * 1000000 +
                   use.ru_utime.tv_usec + use.ru_stime.tv_usec;
    info->peak_bytes = FT_MAX(info->peak_bytes, (int64_t)use.ru_maxrss * 1024);
}

static void on_end(struct local *x, struct task *t)
{
    if (t->ready_fd >= 0)
        on_ready(x, t);
    struct ft_exec_info info = t->info;
    info.state = FT_EXEC_ENDED;
    if (t->child)
        reap(t, &info);
    info.out_of_memory = ft_cgroup_out_of_memory(&t->file.group);
    pthread_mutex_lock(&x->lock);
    t->info = info;
    unwatch(x, &t->pidfd);
    pthread_mutex_unlock(&x->lock);
    tell(x, t, FT_EXEC_EVENT_ENDED);
}

static void tick(struct local *x)
{
    for (int i = 0; i < x->n_task; i++) {
        struct task *t = x->task[i];
        if (t->info.state != FT_EXEC_RUNNING)
            continue;
        if (t->file.log[0] != 0)
            ft_log_rotate(t->file.log, t->file.log_bytes);
        if (t->child) /* its use comes when it is reaped */
            continue;
        struct ft_exec_info info = t->info;
        sample(&info);
        pthread_mutex_lock(&x->lock);
        t->info = info;
        pthread_mutex_unlock(&x->lock);
    }
}

static int remove_ended(struct local *x, const char *id, struct ft_err *err)
{
    int i = find(x, id);
    if (i < 0)
        return ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    if (x->task[i]->info.state == FT_EXEC_RUNNING)
        return ft_err_set(err, FT_EBUSY, "task %s runs", id);
    forget(x, i);
    return 0;
}

/* False: it is to end. */
static bool run_commands(struct local *x)
{
    for (;;) {
        pthread_mutex_lock(&x->lock);
        struct command *c = x->first;
        bool closing = x->closing;
        if (c != NULL && (x->first = c->next) == NULL)
            x->last = &x->first;
        pthread_mutex_unlock(&x->lock);
        if (c == NULL)
            return !closing;
        c->result = c->spec != NULL ? start(x, c->spec, c->err) : remove_ended(x, c->id, c->err);
        pthread_mutex_lock(&x->lock);
        c->done = true;
        pthread_cond_broadcast(&x->done);
        pthread_mutex_unlock(&x->lock);
    }
}

static void on_task(struct local *x, struct task *t)
{
    if (t->pidfd >= 0 && has_ended(t->pidfd)) {
        on_end(x, t);
    } else if (t->ready_fd >= 0 && has_come(t->ready_fd)) {
        on_ready(x, t);
    }
}

static void *watcher(void *arg)
{
    struct local *x = arg;
    struct epoll_event events[EVENTS_MAX];
    struct timespec now;
    time_t last_tick = 0;
    for (bool more = true; more;) {
        int n = epoll_wait(x->epoll, events, EVENTS_MAX, x->n_task > 0 ? TICK_MS : -1);
        for (int i = 0; i < n; i++) {
            uint64_t count;
            if (events[i].data.ptr != NULL)
                on_task(x, events[i].data.ptr); /* tasks are freed by commands alone, below */
            else if (read(x->wake, &count, sizeof count) < 0)
                continue;
        }
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (now.tv_sec != last_tick)
            tick(x);
        last_tick = now.tv_sec;
        more = run_commands(x);
    }
    return NULL;
}

/* ---- the callers' side ---- */

static void wake(struct local *x)
{
    const uint64_t one = 1;
    ssize_t n = write(x->wake, &one, sizeof one);
    (void)n;
}

static int command(struct ft_exec *base, const struct ft_exec_spec *spec, const char *id,
                   struct ft_err *err)
{
    struct local *x = local_of(base);
    struct command c = {.spec = spec, .id = id, .err = err};
    FT_ASSERT(!pthread_equal(pthread_self(), x->thread)); /* it would wait for itself */
    pthread_mutex_lock(&x->lock);
    *x->last = &c;
    x->last = &c.next;
    wake(x);
    while (!c.done)
        pthread_cond_wait(&x->done, &x->lock);
    pthread_mutex_unlock(&x->lock);
    return c.result;
}

static int local_start(struct ft_exec *base, const struct ft_exec_spec *spec, struct ft_err *err)
{
    return command(base, spec, NULL, err);
}

static int local_remove(struct ft_exec *base, const char *id, struct ft_err *err)
{
    return command(base, NULL, id, err);
}

static int local_kill(struct ft_exec *base, const char *id, int sig, struct ft_err *err)
{
    struct local *x = local_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id), e = 0;
    if (i < 0)
        e = ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    else if (x->task[i]->pidfd >= 0 &&
             syscall(SYS_pidfd_send_signal, x->task[i]->pidfd, sig, NULL, 0) != 0 && errno != ESRCH)
        e = ft_err_sys(err, "signal %d to task %s", sig, id);
    pthread_mutex_unlock(&x->lock);
    return e;
}

static int local_query(struct ft_exec *base, const char *id, struct ft_exec_info *ret_info,
                       struct ft_err *err)
{
    struct local *x = local_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id), e = 0;
    if (i < 0) {
        e = ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    } else {
        *ret_info = x->task[i]->info;
        struct ft_exec_info now = *ret_info;
        if (x->task[i]->pidfd >= 0) {
            sample(&now);
            if (!has_ended(x->task[i]->pidfd)) /* else it may have been another's */
                *ret_info = now;
        }
    }
    pthread_mutex_unlock(&x->lock);
    return e;
}

static void local_list(struct ft_exec *base, char (*ret_ids)[FT_EXEC_ID_MAX], int max, int *ret_n)
{
    struct local *x = local_of(base);
    pthread_mutex_lock(&x->lock);
    *ret_n = x->n_task;
    for (int i = 0; i < FT_MIN(max, x->n_task); i++)
        memcpy(ret_ids[i], x->task[i]->info.id, FT_EXEC_ID_MAX);
    pthread_mutex_unlock(&x->lock);
}

/* ---- closing ---- */

static void kill_and_wait(struct task *t)
{
    struct pollfd p = {.fd = t->pidfd, .events = POLLIN};
    struct ft_exec_info info = t->info;
    syscall(SYS_pidfd_send_signal, t->pidfd, SIGKILL, NULL, 0);
    if (poll(&p, 1, KILL_WAIT_MS) > 0 && t->child)
        reap(t, &info);
}

static void local_close(struct ft_exec *base)
{
    struct local *x = local_of(base);
    if (x->thread_runs) {
        pthread_mutex_lock(&x->lock);
        x->closing = true;
        wake(x);
        pthread_mutex_unlock(&x->lock);
        pthread_join(x->thread, NULL);
    }
    while (x->n_task > 0) {
        struct task *t = x->task[x->n_task - 1];
        if (!t->info.outlives) {
            if (t->pidfd >= 0)
                kill_and_wait(t);
            forget(x, x->n_task - 1);
        } else {
            free_task(x, t);
            x->n_task--;
        }
    }
    if (x->epoll >= 0)
        close(x->epoll);
    if (x->wake >= 0)
        close(x->wake);
    if (x->lock_fd >= 0)
        close(x->lock_fd);
    pthread_mutex_destroy(&x->lock);
    pthread_cond_destroy(&x->done);
    free(x);
}

static const struct ft_exec_ops OPS = {"local",    local_start,  local_kill, local_query,
                                       local_list, local_remove, local_close};

/* ---- opening: what an earlier owner left ---- */

/* The process of a task's description, if it still runs. */
static int find_process(const struct local *x, const struct ft_task_file *f)
{
    struct ft_proc_stat s;
    if (strcmp(f->boot, x->boot) != 0)
        return -1;
    int fd = (int)syscall(SYS_pidfd_open, (pid_t)f->pid, 0);
    if (fd < 0)
        return -1;
    /* looked at after the pidfd is there: it names the process that has the number now */
    if (ft_proc_stat((pid_t)f->pid, &s) && s.start_ticks == f->start_ticks && s.state != 'Z' &&
        s.state != 'X' && !has_ended(fd))
        return fd;
    close(fd);
    return -1;
}

static void adopt(struct local *x, const char *id)
{
    struct ft_task_file file;
    struct ft_err err;
    if (ft_task_file_read(x->dir, id, &file, &err) != 0) {
        if (err.code != FT_ENOTFOUND) /* else its owner died before it began */
            ft_log(FT_LOG_WARN, "sched", "remains of a task: %s", err.msg);
        ft_task_folder_remove(x->dir, id);
        return;
    }
    struct task *t = x->n_task < FT_EXEC_TASKS_MAX ? new_task(&file) : NULL;
    if (t == NULL)
        return;
    t->pidfd = find_process(x, &file);
    t->info.adopted = true;
    if (t->pidfd >= 0)
        t->info.state = FT_EXEC_RUNNING;
    add(x, t);
    if (!file.outlives) {
        if (t->pidfd >= 0)
            kill_and_wait(t);
        forget(x, x->n_task - 1);
    } else if (t->pidfd >= 0) {
        sample(&t->info);
        watch(x, t, t->pidfd);
    }
}

static int adopt_all(struct local *x, struct ft_err *err)
{
    DIR *d = opendir(x->dir);
    if (d == NULL)
        return ft_err_sys(err, "%s", x->dir);
    struct dirent *entry;
    for (int i = 0; i < ENTRIES_MAX && (entry = readdir(d)) != NULL; i++)
        if (ft_exec_id_valid(entry->d_name) && entry->d_type != DT_REG)
            adopt(x, entry->d_name);
    closedir(d);
    return 0;
}

/* The child of an owner that was killed holds the lock too, until it has seen its owner go. */
static int lock(int fd, const char *dir, struct ft_err *err)
{
    const struct timespec pause = {0, LOCK_PAUSE_NS};
    for (int i = 0; i < LOCK_TRIES; i++) {
        if (flock(fd, LOCK_EX | LOCK_NB) == 0)
            return 0;
        if (errno != EWOULDBLOCK)
            return ft_err_sys(err, "lock %s", dir);
        nanosleep(&pause, NULL);
    }
    return ft_err_set(err, FT_EBUSY, "another process holds %s", dir);
}

static int take_folder(struct local *x, const char *dir, struct ft_err *err)
{
    char path[FT_TASK_PATH_MAX];
    struct stat st;
    if (snprintf(x->dir, sizeof x->dir, "%s", dir) >= (int)sizeof x->dir)
        return ft_err_set(err, FT_EINVAL, "path too long: %s", dir);
    if (mkdir(dir, 0700) != 0 && errno != EEXIST)
        return ft_err_sys(err, "%s", dir);
    snprintf(path, sizeof path, "%s/.lock", dir);
    x->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (x->lock_fd < 0 || stat(dir, &st) != 0)
        return ft_err_sys(err, "%s", path);
    int e = lock(x->lock_fd, dir, err);
    if (e != 0)
        return e;
    snprintf(x->group_prefix, sizeof x->group_prefix, "feitian.%llx.%llx.",
             (unsigned long long)st.st_dev, (unsigned long long)st.st_ino);
    return 0;
}

static int start_watcher(struct local *x, struct ft_err *err)
{
    sigset_t all, was;
    sigfillset(&all); /* signals are other threads' business */
    pthread_sigmask(SIG_SETMASK, &all, &was);
    int e = pthread_create(&x->thread, NULL, watcher, x);
    pthread_sigmask(SIG_SETMASK, &was, NULL);
    if (e != 0)
        return ft_err_set(err, FT_EIO, "thread: %s", strerror(e));
    x->thread_runs = true;
    return 0;
}

int ft_exec_local_open(const char *dir, ft_exec_event_fn *on_event, void *ctx,
                       struct ft_exec **ret_x, struct ft_err *err)
{
    struct local *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    x->base.ops = &OPS;
    x->on_event = on_event;
    x->ctx = ctx;
    x->last = &x->first;
    x->lock_fd = x->epoll = x->wake = -1;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->done, NULL);
    ft_proc_boot(x->boot);
    int e = take_folder(x, dir, err);
    if (e == 0) {
        x->epoll = epoll_create1(EPOLL_CLOEXEC);
        x->wake = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (x->epoll < 0 || x->wake < 0 || watch(x, NULL, x->wake) != 0)
            e = ft_err_sys(err, "epoll");
    }
    if (e == 0) {
        ft_cgroup_find("", &x->groups);
        e = adopt_all(x, err);
    }
    if (e == 0) {
        ft_cgroup_sweep(&x->groups, x->group_prefix);
        e = start_watcher(x, err);
    }
    if (e != 0) {
        local_close(&x->base);
        return ft_err_wrap(err, "tasks");
    }
    *ret_x = &x->base;
    return 0;
}
