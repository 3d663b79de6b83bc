/* The supervisor: a table of children, moved on by time and by what their exec tells.
 *
 * Events come on the exec's thread and are only noted (under the lock); ft_supervise_step, on its
 * one thread, acts on them. So nothing here waits for a child. */
#include "sched/supervise.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/exec_local.h"

#define MS              1000000LL
#define PAUSE_MIN_NS    (100 * MS)
#define PAUSE_MAX_NS    (5000 * MS)
#define LIVED_NS        (10000 * MS) /* long enough to forget earlier ends */
#define STOP_MS_DEFAULT 5000
#define KILL_AGAIN_NS   (1000 * MS)
#define SWEEP_GRACE_MS  2000
#define SWEEP_TRIES     40 /* the folder's owner has been killed; its lock goes in a moment */
#define SWEEP_PAUSE_MS  50
#define POLL_MS_MAX     1000
#define STRANGERS_MAX   64 /* reaped at once */

enum noted { NOTED_READY = 1, NOTED_ENDED = 2 };

struct child {
    struct ft_supervise_child what;
    struct ft_supervise_status status;
    int64_t started_ns, due_ns; /* due: WAITING: its start; STOPPING: the next SIGKILL */
    int64_t pause_ns;
    /* noted by events, under the lock */
    int noted;
    struct ft_exec_info end;
};

struct ft_supervise {
    struct ft_exec *x;
    struct child child[FT_SUPERVISE_CHILDREN_MAX];
    int n;
    bool stopping;
    int fd;
    pthread_mutex_t lock;
};

int ft_supervise_open(const struct ft_supervise_child *children, int n_children,
                      struct ft_supervise **ret_s, struct ft_err *err)
{
    if (n_children < 1 || n_children > FT_SUPERVISE_CHILDREN_MAX)
        return ft_err_set(err, FT_EINVAL, "children: 1 to %d", FT_SUPERVISE_CHILDREN_MAX);
    for (int i = 0; i < n_children; i++) {
        int e = ft_exec_spec_check(&children[i].task, err);
        if (e == 0 && children[i].task.outlives)
            e = ft_err_set(err, FT_EINVAL, "%s: outlives", children[i].task.id);
        if (e != 0)
            return e;
    }
    struct ft_supervise *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    s->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (s->fd < 0) {
        free(s);
        return ft_err_sys(err, "eventfd");
    }
    pthread_mutex_init(&s->lock, NULL);
    s->n = n_children;
    for (int i = 0; i < n_children; i++) {
        s->child[i].what = children[i];
        s->child[i].pause_ns = PAUSE_MIN_NS;
        s->child[i].due_ns = INT64_MIN; /* at once */
    }
    *ret_s = s;
    return 0;
}

void ft_supervise_close(struct ft_supervise *s)
{
    if (s == NULL)
        return;
    close(s->fd);
    pthread_mutex_destroy(&s->lock);
    free(s);
}

void ft_supervise_attach(struct ft_supervise *s, struct ft_exec *x)
{
    s->x = x;
}

int ft_supervise_fd(const struct ft_supervise *s)
{
    return s->fd;
}

void ft_supervise_event(void *ctx, enum ft_exec_event event, const struct ft_exec_info *info)
{
    struct ft_supervise *s = ctx;
    const uint64_t one = 1;
    pthread_mutex_lock(&s->lock);
    for (int i = 0; i < s->n; i++) {
        struct child *c = &s->child[i];
        if (strcmp(c->what.task.id, info->id) != 0)
            continue;
        c->noted |= event == FT_EXEC_EVENT_READY ? NOTED_READY : NOTED_ENDED;
        if (event == FT_EXEC_EVENT_ENDED)
            c->end = *info;
    }
    pthread_mutex_unlock(&s->lock);
    ssize_t n = write(s->fd, &one, sizeof one);
    (void)n;
}

/* ---- one child ---- */

static const char *id_of(const struct child *c)
{
    return c->what.task.id;
}

static bool runs(const struct child *c)
{
    return c->status.state == FT_SUPERVISE_STARTING || c->status.state == FT_SUPERVISE_UP ||
           c->status.state == FT_SUPERVISE_STOPPING;
}

static void wait_before_start(struct child *c, int64_t now_ns, bool lived)
{
    if (lived)
        c->pause_ns = PAUSE_MIN_NS;
    c->status.state = FT_SUPERVISE_WAITING;
    c->status.pid = 0;
    c->due_ns = now_ns + c->pause_ns;
    c->pause_ns = FT_MIN(c->pause_ns * 2, PAUSE_MAX_NS);
}

static void start(struct ft_supervise *s, struct child *c, int64_t now_ns)
{
    struct ft_err err;
    struct ft_exec_info info;
    if (ft_exec_start(s->x, &c->what.task, &err) != 0) {
        ft_log(FT_LOG_ERROR, "up", "%s", err.msg);
        snprintf(c->status.last_end, sizeof c->status.last_end, "%.90s", err.msg);
        c->status.restarts++;
        wait_before_start(c, now_ns, false);
        return;
    }
    c->status.state = c->what.task.tells_ready ? FT_SUPERVISE_STARTING : FT_SUPERVISE_UP;
    c->started_ns = now_ns;
    if (ft_exec_query(s->x, id_of(c), &info, NULL) == 0)
        c->status.pid = info.pid;
}

static void on_ended(struct ft_supervise *s, struct child *c, const struct ft_exec_info *end,
                     int64_t now_ns)
{
    struct ft_err err;
    ft_exec_how_ended(end, c->status.last_end, sizeof c->status.last_end);
    if (ft_exec_remove(s->x, id_of(c), &err) != 0)
        ft_log(FT_LOG_ERROR, "up", "%s: %s", id_of(c), err.msg);
    if (s->stopping) {
        c->status.state = FT_SUPERVISE_STOPPED;
        c->status.pid = 0;
        return;
    }
    wait_before_start(c, now_ns, now_ns - c->started_ns >= LIVED_NS);
    c->status.restarts++;
    ft_log(FT_LOG_WARN, "up", "%s %s; it starts again in %lld ms", id_of(c), c->status.last_end,
           (long long)((c->due_ns - now_ns) / MS));
}

static void take_events(struct ft_supervise *s, int64_t now_ns)
{
    uint64_t count;
    if (read(s->fd, &count, sizeof count) < 0 && errno != EAGAIN)
        ft_log(FT_LOG_ERROR, "up", "eventfd: %s", strerror(errno));
    for (int i = 0; i < s->n; i++) {
        struct child *c = &s->child[i];
        pthread_mutex_lock(&s->lock);
        int noted = c->noted;
        struct ft_exec_info end = c->end;
        c->noted = 0;
        pthread_mutex_unlock(&s->lock);
        if ((noted & NOTED_READY) != 0 && c->status.state == FT_SUPERVISE_STARTING)
            c->status.state = FT_SUPERVISE_UP;
        if ((noted & NOTED_ENDED) != 0 && runs(c))
            on_ended(s, c, &end, now_ns);
    }
}

/* ---- stopping ---- */

void ft_supervise_stop(struct ft_supervise *s)
{
    s->stopping = true;
    for (int i = 0; i < s->n; i++)
        if (s->child[i].status.state == FT_SUPERVISE_WAITING)
            s->child[i].status.state = FT_SUPERVISE_STOPPED;
}

static void stop(struct ft_supervise *s, struct child *c, int64_t now_ns)
{
    int ms = c->what.stop_ms > 0 ? c->what.stop_ms : STOP_MS_DEFAULT;
    if (c->status.state != FT_SUPERVISE_STOPPING) {
        c->status.state = FT_SUPERVISE_STOPPING;
        c->due_ns = now_ns + ms * MS;
        ft_exec_kill(s->x, id_of(c), SIGTERM, NULL);
    } else if (now_ns >= c->due_ns) {
        ft_log(FT_LOG_WARN, "up", "%s did not stop in %d ms and is killed", id_of(c), ms);
        ft_exec_kill(s->x, id_of(c), SIGKILL, NULL);
        c->due_ns = now_ns + KILL_AGAIN_NS;
    }
}

static void sweep(const char *dir)
{
    const struct timespec pause = {0, SWEEP_PAUSE_MS * MS};
    struct ft_exec *x;
    struct ft_err err = {0};
    int e = FT_EBUSY;
    if (access(dir, F_OK) != 0)
        return;
    for (int i = 0; i < SWEEP_TRIES && e == FT_EBUSY; i++) {
        if (i > 0)
            nanosleep(&pause, NULL);
        e = ft_exec_local_open(dir, NULL, NULL, &x, &err);
    }
    if (e != 0) {
        ft_log(FT_LOG_ERROR, "up", "tasks cannot be stopped: %s", err.msg);
        return;
    }
    ft_exec_sweep(x, SWEEP_GRACE_MS);
    ft_exec_close(x);
}

/* Goes on with the lowest order of which something runs; true if there is any. */
static bool stop_next(struct ft_supervise *s, int64_t now_ns)
{
    int order = INT32_MAX;
    for (int i = 0; i < s->n; i++) {
        struct child *c = &s->child[i];
        if (c->status.state == FT_SUPERVISE_STOPPED && c->what.sweep_dir != NULL) {
            sweep(c->what.sweep_dir);
            c->what.sweep_dir = NULL; /* once */
        }
        if (runs(c))
            order = FT_MIN(order, c->what.stop_order);
    }
    for (int i = 0; i < s->n; i++)
        if (runs(&s->child[i]) && s->child[i].what.stop_order == order)
            stop(s, &s->child[i], now_ns);
    return order != INT32_MAX;
}

/* ---- all of it ---- */

bool ft_supervise_step(struct ft_supervise *s, int64_t now_ns, int64_t *ret_next_ns)
{
    bool any = true;
    take_events(s, now_ns);
    if (s->stopping)
        any = stop_next(s, now_ns);
    *ret_next_ns = INT64_MAX;
    for (int i = 0; i < s->n; i++) {
        struct child *c = &s->child[i];
        if (c->status.state == FT_SUPERVISE_WAITING && now_ns >= c->due_ns)
            start(s, c, now_ns);
        if (c->status.state == FT_SUPERVISE_WAITING || c->status.state == FT_SUPERVISE_STOPPING)
            *ret_next_ns = FT_MIN(*ret_next_ns, c->due_ns);
    }
    return any;
}

bool ft_supervise_all_up(const struct ft_supervise *s)
{
    for (int i = 0; i < s->n; i++)
        if (s->child[i].status.state != FT_SUPERVISE_UP)
            return false;
    return true;
}

void ft_supervise_status(const struct ft_supervise *s, int child,
                         struct ft_supervise_status *ret_status)
{
    FT_ASSERT(child >= 0 && child < s->n);
    *ret_status = s->child[child].status;
}

/* ---- running until told to stop ---- */

static void signals(sigset_t *ret)
{
    sigemptyset(ret);
    sigaddset(ret, SIGTERM);
    sigaddset(ret, SIGINT);
    sigaddset(ret, SIGHUP);
}

void ft_supervise_block_signals(void)
{
    sigset_t set;
    signals(&set);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
}

/* As process 1 (of a container) it inherits tasks whose owner died, and must reap them. Its own
 * children are the exec's to wait for: they are left alone. */
static void reap_strangers(const struct ft_supervise *s)
{
    for (int tries = 0; tries < STRANGERS_MAX && getpid() == 1; tries++) {
        siginfo_t si = {0};
        if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG | WNOWAIT) != 0 || si.si_pid == 0)
            return;
        for (int i = 0; i < s->n; i++)
            if (runs(&s->child[i]) && s->child[i].status.pid == si.si_pid)
                return;
        waitpid(si.si_pid, NULL, WNOHANG);
    }
}

static void on_signal(struct ft_supervise *s, int sig)
{
    for (int i = 0; i < s->n; i++) {
        struct child *c = &s->child[i];
        if (runs(c) && sig == SIGHUP)
            ft_exec_kill(s->x, id_of(c), SIGHUP, NULL);
        else if (runs(c) && s->stopping) /* asked twice: whoever asks is in a hurry */
            ft_exec_kill(s->x, id_of(c), SIGKILL, NULL);
    }
    if (sig != SIGHUP)
        ft_supervise_stop(s);
}

int ft_supervise_run(struct ft_supervise *s, void (*on_up)(void *ctx), void *ctx,
                     struct ft_err *err)
{
    sigset_t set;
    signals(&set);
    int sig_fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    if (sig_fd < 0)
        return ft_err_sys(err, "signalfd");
    int64_t next_ns, now_ns = ft_clock_now_ns();
    bool told = on_up == NULL;
    while (ft_supervise_step(s, now_ns, &next_ns)) {
        if (!told && ft_supervise_all_up(s)) {
            told = true;
            on_up(ctx);
        }
        int64_t wait_ms = next_ns == INT64_MAX ? POLL_MS_MAX : (next_ns - now_ns) / MS + 1;
        struct pollfd p[2] = {{.fd = s->fd, .events = POLLIN}, {.fd = sig_fd, .events = POLLIN}};
        poll(p, 2, (int)FT_MAX(0, FT_MIN(wait_ms, POLL_MS_MAX)));
        struct signalfd_siginfo si;
        while (read(sig_fd, &si, sizeof si) == (ssize_t)sizeof si)
            on_signal(s, (int)si.ssi_signo);
        reap_strangers(s);
        now_ns = ft_clock_now_ns();
    }
    close(sig_fd);
    return 0;
}
