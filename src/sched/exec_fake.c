/* exec_fake: a table of tasks, each with the moments at which it becomes ready and ends.
 *
 * Everything is guarded by one lock, which is let go while an event is told. */
#include "sched/exec_fake.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STARTS_MAX 256 /* different ids whose starts are counted */
#define NEVER      FT_EXEC_FAKE_NEVER

struct task {
    struct ft_exec_info info;
    int64_t start_ns, ready_at, end_at;
    int64_t term_ns, cpu_permille;
    int end_code, end_signal;
};

struct fake {
    struct ft_exec base;
    ft_exec_event_fn *on_event;
    void *ctx;
    pthread_mutex_t lock;
    int64_t now_ns, last_pid;
    struct ft_exec_fake_script script[FT_EXEC_FAKE_SCRIPTS_MAX];
    int n_script;
    struct task *task[FT_EXEC_TASKS_MAX];
    int n_task;
    struct {
        char id[FT_EXEC_ID_MAX];
        int n;
    } starts[STARTS_MAX];
    int n_starts;
};

static const struct ft_exec_ops OPS;

static struct fake *fake_of(struct ft_exec *x)
{
    FT_ASSERT(x->ops == &OPS);
    return (struct fake *)x;
}

static int find(const struct fake *x, const char *id)
{
    for (int i = 0; i < x->n_task; i++)
        if (strcmp(x->task[i]->info.id, id) == 0)
            return i;
    return -1;
}

static void tell(struct fake *x, const struct task *t, enum ft_exec_event event)
{
    const struct ft_exec_info info = t->info;
    ft_exec_event_fn *f = x->on_event;
    void *ctx = x->ctx;
    pthread_mutex_unlock(&x->lock);
    if (f != NULL)
        f(ctx, event, &info);
    pthread_mutex_lock(&x->lock);
}

static void use_now(const struct fake *x, const struct task *t, struct ft_exec_info *info)
{
    if (info->state == FT_EXEC_RUNNING)
        info->cpu_us = (x->now_ns - t->start_ns) / 1000 * t->cpu_permille / 1000;
}

static void end(struct fake *x, struct task *t, int sig, int code)
{
    use_now(x, t, &t->info);
    t->info.state = FT_EXEC_ENDED;
    t->info.status_known = !t->info.adopted;
    t->info.term_signal = t->info.status_known ? sig : 0;
    t->info.exit_code = t->info.status_known && sig == 0 ? code : -1;
    tell(x, t, FT_EXEC_EVENT_ENDED);
}

static struct ft_exec_fake_script script_of(const struct fake *x, const char *id)
{
    struct ft_exec_fake_script s = {.end_ns = NEVER};
    bool exact = false;
    for (int i = 0; i < x->n_script; i++) {
        bool is = strcmp(x->script[i].id, id) == 0;
        if (is || (!exact && strcmp(x->script[i].id, "*") == 0))
            s = x->script[i];
        exact |= is;
    }
    return s;
}

static void count_start(struct fake *x, const char *id)
{
    int i = 0;
    while (i < x->n_starts && strcmp(x->starts[i].id, id) != 0)
        i++;
    if (i == STARTS_MAX)
        return;
    if (i == x->n_starts)
        snprintf(x->starts[x->n_starts++].id, FT_EXEC_ID_MAX, "%s", id);
    x->starts[i].n++;
}

static int64_t later(const struct fake *x, int64_t ns)
{
    return ns == NEVER ? NEVER : x->now_ns + ns;
}

/* Lets happen what is due up to until, in order. */
static void run(struct fake *x, int64_t until)
{
    for (;;) {
        struct task *next = NULL;
        int64_t at = NEVER;
        for (int i = 0; i < x->n_task; i++) {
            struct task *t = x->task[i];
            int64_t due = FT_MIN(t->ready_at, t->end_at);
            if (t->info.state == FT_EXEC_RUNNING && due < at) {
                at = due;
                next = t;
            }
        }
        if (next == NULL || at > until)
            break;
        x->now_ns = FT_MAX(x->now_ns, at);
        if (next->ready_at <= next->end_at) {
            next->ready_at = NEVER;
            next->info.ready = true;
            tell(x, next, FT_EXEC_EVENT_READY);
        } else {
            end(x, next, next->end_signal, next->end_code);
        }
    }
    x->now_ns = FT_MAX(x->now_ns, until);
}

static int fake_start(struct ft_exec *base, const struct ft_exec_spec *spec, struct ft_err *err)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    struct ft_exec_fake_script s = script_of(x, spec->id);
    struct task *t = NULL;
    int e = 0;
    if (find(x, spec->id) >= 0)
        e = ft_err_set(err, FT_EEXIST, "there is one already");
    else if (x->n_task == FT_EXEC_TASKS_MAX)
        e = ft_err_set(err, FT_ELIMIT, "there are %d tasks", FT_EXEC_TASKS_MAX);
    else if (s.fail != 0)
        e = ft_err_set(err, s.fail, "as the script says");
    else if ((t = calloc(1, sizeof *t)) == NULL)
        e = ft_err_set(err, FT_ENOMEM, "out of memory");
    if (e == 0) {
        snprintf(t->info.id, sizeof t->info.id, "%s", spec->id);
        snprintf(t->info.note, sizeof t->info.note, "%s", spec->note != NULL ? spec->note : "");
        snprintf(t->info.limits, sizeof t->info.limits, "none");
        t->info.outlives = spec->outlives;
        t->info.pid = ++x->last_pid;
        t->info.started_ns = t->start_ns = x->now_ns;
        t->info.exit_code = -1;
        t->ready_at = spec->tells_ready ? later(x, s.ready_ns) : NEVER;
        t->end_at = later(x, s.end_ns);
        t->end_code = s.exit_code;
        t->term_ns = s.term_ns;
        t->cpu_permille = s.cpu_permille;
        x->task[x->n_task++] = t;
        count_start(x, spec->id);
    }
    pthread_mutex_unlock(&x->lock);
    return e;
}

static int fake_kill(struct ft_exec *base, const char *id, int sig, struct ft_err *err)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id), e = 0;
    struct task *t = i < 0 ? NULL : x->task[i];
    if (t == NULL) {
        e = ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    } else if (t->info.state == FT_EXEC_RUNNING && sig == SIGKILL) {
        end(x, t, SIGKILL, 0);
    } else if (t->info.state == FT_EXEC_RUNNING && sig == SIGTERM) {
        int64_t at = later(x, t->term_ns);
        if (at < t->end_at) {
            t->end_at = at;
            t->end_code = t->end_signal = 0;
        }
        run(x, x->now_ns);
    }
    pthread_mutex_unlock(&x->lock);
    return e;
}

static int fake_query(struct ft_exec *base, const char *id, struct ft_exec_info *ret_info,
                      struct ft_err *err)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id), e = 0;
    if (i < 0) {
        e = ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    } else {
        *ret_info = x->task[i]->info;
        use_now(x, x->task[i], ret_info);
    }
    pthread_mutex_unlock(&x->lock);
    return e;
}

static void fake_list(struct ft_exec *base, char (*ret_ids)[FT_EXEC_ID_MAX], int max, int *ret_n)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    *ret_n = x->n_task;
    for (int i = 0; i < FT_MIN(max, x->n_task); i++)
        memcpy(ret_ids[i], x->task[i]->info.id, FT_EXEC_ID_MAX);
    pthread_mutex_unlock(&x->lock);
}

static void drop(struct fake *x, int i)
{
    free(x->task[i]);
    x->task[i] = x->task[--x->n_task];
}

static int fake_remove(struct ft_exec *base, const char *id, struct ft_err *err)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id), e = 0;
    if (i < 0)
        e = ft_err_set(err, FT_ENOTFOUND, "no task %s", id);
    else if (x->task[i]->info.state == FT_EXEC_RUNNING)
        e = ft_err_set(err, FT_EBUSY, "task %s runs", id);
    else
        drop(x, i);
    pthread_mutex_unlock(&x->lock);
    return e;
}

static void fake_close(struct ft_exec *base)
{
    struct fake *x = fake_of(base);
    while (x->n_task > 0)
        drop(x, x->n_task - 1);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

static const struct ft_exec_ops OPS = {"fake",    fake_start,  fake_kill, fake_query,
                                       fake_list, fake_remove, fake_close};

int ft_exec_fake_open(ft_exec_event_fn *on_event, void *ctx, struct ft_exec **ret_x,
                      struct ft_err *err)
{
    struct fake *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    x->base.ops = &OPS;
    x->on_event = on_event;
    x->ctx = ctx;
    pthread_mutex_init(&x->lock, NULL);
    *ret_x = &x->base;
    return 0;
}

void ft_exec_fake_script(struct ft_exec *base, const struct ft_exec_fake_script *script)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int i = 0;
    while (i < x->n_script && strcmp(x->script[i].id, script->id) != 0)
        i++;
    FT_ASSERT(i < FT_EXEC_FAKE_SCRIPTS_MAX);
    x->script[i] = *script;
    x->n_script = FT_MAX(x->n_script, i + 1);
    pthread_mutex_unlock(&x->lock);
}

void ft_exec_fake_advance(struct ft_exec *base, int64_t ns)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    run(x, x->now_ns + ns);
    pthread_mutex_unlock(&x->lock);
}

int64_t ft_exec_fake_now_ns(struct ft_exec *base)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int64_t now = x->now_ns;
    pthread_mutex_unlock(&x->lock);
    return now;
}

void ft_exec_fake_end(struct ft_exec *base, const char *id, int sig, int code)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    int i = find(x, id);
    if (i >= 0 && x->task[i]->info.state == FT_EXEC_RUNNING)
        end(x, x->task[i], sig, code);
    pthread_mutex_unlock(&x->lock);
}

int ft_exec_fake_starts(struct ft_exec *base, const char *id)
{
    struct fake *x = fake_of(base);
    int n = 0;
    pthread_mutex_lock(&x->lock);
    for (int i = 0; i < x->n_starts; i++)
        if (strcmp(x->starts[i].id, id) == 0)
            n = x->starts[i].n;
    pthread_mutex_unlock(&x->lock);
    return n;
}

void ft_exec_fake_restart(struct ft_exec *base, ft_exec_event_fn *on_event, void *ctx)
{
    struct fake *x = fake_of(base);
    pthread_mutex_lock(&x->lock);
    x->on_event = on_event;
    x->ctx = ctx;
    for (int i = x->n_task - 1; i >= 0; i--) {
        struct task *t = x->task[i];
        if (!t->info.outlives) {
            drop(x, i);
            continue;
        }
        t->info.adopted = true;
        t->ready_at = NEVER; /* the pipe it tells through is gone */
        if (t->info.state == FT_EXEC_ENDED) {
            t->info.status_known = false;
            t->info.exit_code = -1;
            t->info.term_signal = 0;
        }
    }
    pthread_mutex_unlock(&x->lock);
}
