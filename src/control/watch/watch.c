/* The thread that looks: wakes at every whole step of 10 seconds, by the clock on the wall, so that
 * points of all series stand at the same times. */
#include "control/watch/watch.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "control/watch/alarm.h"
#include "control/watch/scrape.h"
#include "monitor/machine.h"

#define MISSED_MAX 1
#define BEHIND_NS  INT64_C(50000000) /* so far behind a step: clocks that are slewed stay there */
#define OLD_NS     INT64_C(35000000000) /* a look before it is no use for rates */

struct ft_watch {
    struct ft_ctl *ctl;
    /* NULL: it cannot be had, and is tried again at each look; once there it stays */
    _Atomic(struct ft_history *) history;
    pthread_t thread;
    bool threaded;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;
    /* the thread's own */
    struct ft_machine before;
    struct ft_scrape *scrape;
    struct ft_alarm *alarm;
    int missed;                   /* looks at the gateway, in a row */
    char trouble[FT_ERR_MSG_MAX]; /* as it was said last */
};

struct ft_history *ft_watch_history(struct ft_watch *w)
{
    return w != NULL ? atomic_load(&w->history) : NULL;
}

struct ft_alarm *ft_watch_alarm(struct ft_watch *w)
{
    return w != NULL ? w->alarm : NULL;
}

/* Once when it begins, and when it is over. */
static void say_trouble(struct ft_watch *w, const char *msg)
{
    if (strcmp(w->trouble, msg) == 0)
        return;
    if (msg[0] != '\0')
        ft_log(FT_LOG_WARN, "control", "history: %s", msg);
    else
        ft_log(FT_LOG_INFO, "control", "history: goes on");
    snprintf(w->trouble, sizeof w->trouble, "%s", msg);
}

static void put(struct ft_watch *w, const char *name, const char *unit, enum ft_history_fold fold,
                int64_t at_s, double v)
{
    struct ft_err err = {0};
    struct ft_history_name n = {.fold = fold};
    snprintf(n.name, sizeof n.name, "%s", name);
    snprintf(n.unit, sizeof n.unit, "%s", unit);
    if (ft_history_put(w->history, &n, at_s, v, &err) != 0)
        say_trouble(w, err.msg);
}

static void look_at_machine(struct ft_watch *w, int64_t at_s)
{
    struct ft_machine m;
    struct ft_err err = {0};
    if (ft_machine_read(w->ctl->home, &m, &err) != 0) {
        say_trouble(w, err.msg);
        return;
    }
    bool recent = w->before.at_ns != 0 && m.at_ns - w->before.at_ns < OLD_NS;
    put(w, "cpu", "cores", FT_FOLD_MEAN, at_s, recent ? ft_machine_cores(&w->before, &m) : NAN);
    put(w, "memory_bytes", "bytes", FT_FOLD_MAX, at_s, (double)(m.memory_total - m.memory_left));
    if (m.disk_free >= 0) {
        put(w, "disk_free_bytes", "bytes", FT_FOLD_MIN, at_s, (double)m.disk_free);
        put(w, "disk_free_ratio", "ratio", FT_FOLD_MIN, at_s,
            m.disk > 0 ? (double)m.disk_free / (double)m.disk : NAN);
    }
    w->before = m;
}

static void open_history(struct ft_watch *w, int64_t now_s)
{
    char path[4096];
    struct ft_err err = {0};
    struct ft_history *h = NULL;
    snprintf(path, sizeof path, "%s/monitor", w->ctl->home);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        ft_err_sys(&err, "%s", path);
    snprintf(path, sizeof path, "%s/monitor/history", w->ctl->home);
    if (ft_history_open(path, now_s, &h, &err) == 0)
        atomic_store(&w->history, h);
    say_trouble(w, h == NULL ? err.msg : "");
}

static void look_at_cloud(struct ft_watch *w, int64_t now_s)
{
    struct ft_err err = {0};
    look_at_machine(w, now_s);
    if (ft_scrape_once(w->scrape, w->history, now_s, &err) == 0) {
        say_trouble(w, "");
        w->missed = 0;
    } else if (++w->missed > MISSED_MAX) { /* one that starts or stops is none */
        say_trouble(w, err.msg);
    }
}

/* Without a history nothing is known, and alerts say so; heartbeats go on. */
static void look(struct ft_watch *w, int64_t now_s)
{
    if (w->history == NULL)
        open_history(w, now_s);
    if (w->history != NULL)
        look_at_cloud(w, now_s);
    ft_alarm_look(w->alarm, w->history, now_s);
}

/* Sleeps until the next whole step; false: it is over. */
static bool wait_step(struct ft_watch *w)
{
    struct timespec wall, until;
    int look_ms = w->ctl->opt->look_ms;
    clock_gettime(CLOCK_REALTIME, &wall);
    int64_t wait_ns =
        look_ms > 0 ? look_ms * INT64_C(1000000)
                    : (FT_HISTORY_STEP_S - wall.tv_sec % FT_HISTORY_STEP_S) * INT64_C(1000000000) -
                          wall.tv_nsec + BEHIND_NS;
    int64_t end_ns = ft_clock_now_ns() + wait_ns; /* a clock that is set back holds up one look */
    until = (struct timespec){end_ns / 1000000000, end_ns % 1000000000};
    pthread_mutex_lock(&w->lock);
    int rc = 0;
    while (!w->stop && rc != ETIMEDOUT)
        rc = pthread_cond_timedwait(&w->wake, &w->lock, &until);
    bool over = w->stop;
    pthread_mutex_unlock(&w->lock);
    return !over;
}

static void *watch(void *ctx)
{
    struct ft_watch *w = ctx;
    do {
        look(w, (int64_t)time(NULL));
    } while (wait_step(w));
    return NULL;
}

int ft_watch_open(struct ft_ctl *ctl, struct ft_watch **ret, struct ft_err *err)
{
    struct ft_watch *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    w->ctl = ctl;
    pthread_mutex_init(&w->lock, NULL);
    ft_cond_init(&w->wake);
    open_history(w, (int64_t)time(NULL));
    int rc = ft_scrape_open(ctl, &w->scrape, err);
    if (rc == 0)
        rc = ft_alarm_open(ctl, &w->alarm, err);
    if (rc != 0) {
        ft_watch_close(w);
        return rc;
    }
    if (pthread_create(&w->thread, NULL, watch, w) != 0) {
        ft_watch_close(w);
        return ft_err_sys(err, "control: start a thread");
    }
    w->threaded = true;
    *ret = w;
    return 0;
}

void ft_watch_close(struct ft_watch *w)
{
    if (w == NULL)
        return;
    pthread_mutex_lock(&w->lock);
    w->stop = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    if (w->threaded)
        pthread_join(w->thread, NULL);
    ft_alarm_close(w->alarm);
    ft_scrape_close(w->scrape);
    ft_history_close(w->history);
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    free(w);
}
