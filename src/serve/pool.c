/* Workers: starts the processes that are wanted, watches them, restarts those that die, stops those
 * that nothing needs.
 *
 * The serving thread alone changes processes: it looks at them and starts and stops them without
 * the lock, and writes down what came of it under the lock. Answers of workers come on the HTTP
 * client's thread. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "serve/core.h"

#define MS                FT_SERVE_MS
#define CHECK_MS          1000 /* between two looks at a worker's health; renews its lease */
#define CHECK_STARTING_MS 20
#define CHECK_TIMEOUT_MS  3000
#define MISSES_MAX        3
#define START_MS_MAX      60000
#define STOP_MS_MAX       10000 /* then it is killed */
#define USELESS_MS        5000  /* holds nothing, and nothing wants it: stopped */
#define SETTLE_MS         5000
#define QUICK_MS          10000 /* died so soon after the start: the next pause is longer */
#define PAUSE_MS          100
#define PAUSE_MS_MAX      5000
#define SLACK_PART        8 /* a worker may have this part of its memory more than is due to it */
#define FAILED_STARTS_MAX 5 /* in a row: calls that wait for it are told */

const char *const ft_worker_state_name[] = {"none", "starting", "ready", "stopping", "resting"};

static void worker_move(struct ft_serve *s, struct ft_worker *w, enum ft_worker_state to)
{
    static const unsigned char from[] = {
        [FT_WORKER_NONE] = 1 << FT_WORKER_STOPPING | 1 << FT_WORKER_RESTING,
        [FT_WORKER_STARTING] = 1 << FT_WORKER_NONE,
        [FT_WORKER_READY] = 1 << FT_WORKER_STARTING,
        [FT_WORKER_STOPPING] = 1 << FT_WORKER_READY | 1 << FT_WORKER_STARTING,
        [FT_WORKER_RESTING] = 1 << FT_WORKER_STARTING | 1 << FT_WORKER_READY | 1 << FT_WORKER_NONE,
    };
    FT_ASSERT(from[to] >> w->state & 1);
    w->state = to;
    w->since_ns = s->now(s->now_ctx);
}

/* Everything that was known of its process is of no more use. */
static void worker_forget(struct ft_worker *w)
{
    ft_held_clear(w);
    ft_json_unref(w->stats);
    w->stats = NULL;
    w->pid = 0;
    w->tokens_per_s = 0;
    w->tokens_ns = 0;
    w->run++;
    w->asking = w->unanswered = w->checking = false;
    w->misses = 0;
    w->next_check_ns = 0;
    w->useless_ns = 0;
    memset(w->seen, 0, sizeof *w->seen);
}

static struct ft_worker *worker_at(struct ft_serve *s, int k)
{
    if (s->worker[k] != NULL)
        return s->worker[k];
    struct ft_worker *w = calloc(1, sizeof *w);
    if (w == NULL)
        return NULL;
    w->seen = calloc(1, sizeof *w->seen);
    struct ft_err err;
    if (w->seen == NULL || s->plant->ops->replica(s->plant, k, &w->replica, &err) != 0) {
        free(w->seen);
        free(w);
        return NULL;
    }
    s->worker[k] = w;
    return w;
}

bool ft_workers_wants(const struct ft_serve *s, const struct ft_target *t, int k)
{
    if (t->kind != FT_TARGET_MODEL)
        return false;
    if (k == FT_SERVE_QUARANTINE) {
        if (t->at[k] > 0)
            return true;
        return s->suspect != NULL && s->suspect->target == t;
    }
    int wanted = t->dropped ? t->calls > 0 : t->endpoint->state.wanted;
    return k < wanted && k < s->workers_max;
}

static bool place_wanted(const struct ft_serve *s, int k)
{
    for (const struct ft_target *t = s->target; t != NULL; t = t->next)
        if (ft_workers_wants(s, t, k))
            return true;
    return false;
}

/* An even part of the memory for as many workers as there may ever be at once. */
static int64_t share_of(const struct ft_serve *s)
{
    int n = 1;
    for (const struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next)
        for (int i = 0; i < e->n_target; i++)
            if (!e->gone && e->target[i]->kind == FT_TARGET_MODEL)
                n = FT_MAX(n, FT_MIN(e->scale.max, s->workers_max));
    return s->memory_bytes / n;
}

/* ---- asking ---- */

struct ft_ask *ft_ask_new(struct ft_serve *s, int k, enum ft_ask_kind kind, const char *name)
{
    struct ft_ask *a = calloc(1, sizeof *a);
    if (a == NULL)
        return NULL;
    *a = (struct ft_ask){.s = s, .k = k, .run = s->worker[k]->run, .kind = kind};
    a->name = strdup(name);
    return a;
}

static void ask_free(struct ft_ask *a)
{
    free(a->path);
    free(a->name);
    json_decref(a->body);
    free(a);
}

/* From the worker's counter: what it generates a second. */
static void note_rate(struct ft_worker *w, const json_t *stats, int64_t now)
{
    int64_t tokens = json_integer_value(json_object_get(stats, "generated_tokens"));
    if (w->tokens_ns != 0 && now > w->tokens_ns && tokens >= w->tokens)
        w->tokens_per_s = (double)(tokens - w->tokens) * 1e9 / (double)(now - w->tokens_ns);
    w->tokens = tokens;
    w->tokens_ns = now;
}

static void health_answer(struct ft_serve *s, struct ft_worker *w, int k, int status,
                          const json_t *answer)
{
    w->checking = false;
    int64_t now = s->now(s->now_ctx);
    w->next_check_ns = now + (w->state == FT_WORKER_STARTING ? CHECK_STARTING_MS : CHECK_MS) * MS;
    if (status != 200) {
        w->misses += w->state == FT_WORKER_READY;
        return;
    }
    w->misses = 0;
    ft_json_unref(w->stats);
    w->stats = ft_json_ref((json_t *)answer);
    note_rate(w, answer, now);
    if (w->state != FT_WORKER_STARTING)
        return;
    ft_held_clear(w);
    ft_held_adopt(w, answer);
    worker_move(s, w, FT_WORKER_READY);
    w->next_check_ns = now + CHECK_MS * MS;
    ft_log(FT_LOG_INFO, "serve", "worker %d is ready, process %lld", k, (long long)w->pid);
    ft_tell_worker(s, "worker_ready", 0, k, "worker %d is ready, process %lld", k,
                   (long long)w->pid);
}

static void on_answer(void *ctx, int status, const json_t *answer)
{
    struct ft_ask *a = ctx;
    struct ft_serve *s = a->s;
    pthread_mutex_lock(&s->mu);
    struct ft_worker *w = s->worker[a->k];
    if (w->run == a->run) { /* else: of a process that is gone */
        if (a->kind == FT_ASK_HEALTH)
            health_answer(s, w, a->k, status, answer);
        else
            ft_held_answer(s, w, a, status, answer);
    }
    s->asks--;
    ft_serve_kick(s);
    pthread_cond_broadcast(&s->quiet);
    pthread_mutex_unlock(&s->mu);
    ask_free(a);
}

static struct ft_ask *ask_health(struct ft_serve *s, int k)
{
    struct ft_ask *a = ft_ask_new(s, k, FT_ASK_HEALTH, "");
    if (a == NULL)
        return NULL;
    a->method = "GET";
    a->path = strdup("/health");
    a->timeout_ms = CHECK_TIMEOUT_MS;
    s->worker[k]->checking = true;
    return a;
}

/* ---- one step ---- */

enum act { ACT_NONE, ACT_START, ACT_STOP, ACT_KILL };

struct plan { /* what a step wants done without the lock */
    enum act act[FT_SERVE_PLACES];
    int64_t memory_bytes;
    struct ft_ask *ask;
    int64_t next;
};

static void plan_by(struct plan *p, int64_t at)
{
    p->next = FT_MIN(p->next, at);
}

static void worker_died(struct ft_serve *s, int k, const struct ft_plant_info *info, int64_t now)
{
    struct ft_worker *w = s->worker[k];
    bool was_ready = w->state == FT_WORKER_READY;
    bool quick = now - w->since_ns < QUICK_MS * MS;
    bool counts = !was_ready || w->asking || w->unanswered;
    w->out_of_memory = info->out_of_memory;
    snprintf(w->last_end, sizeof w->last_end, "%s", info->how);
    ft_log(FT_LOG_WARN, "serve", "worker %d, process %lld, died: %s", k, (long long)w->pid,
           w->last_end);
    ft_tell_worker(s, "worker_died", 2, k, "worker %d, process %lld, died: %s", k,
                   (long long)w->pid, w->last_end);
    worker_forget(w);
    worker_move(s, w, FT_WORKER_RESTING);
    w->quick_deaths = quick ? w->quick_deaths + 1 : 0;
    w->restarts++;
    s->worker_deaths++;
    s->worker_deaths_memory += info->out_of_memory;
    w->failed_starts = counts ? w->failed_starts + 1 : 0;
}

bool ft_workers_no_memory(const struct ft_serve *s, int k, const char *name, struct ft_err *ret)
{
    ft_err_set(ret, FT_EUNAVAIL,
               "the worker of '%s' was killed for lack of memory, again and again: it may have "
               "%lld MiB; give the cloud more (--memory), or serve a smaller model, a smaller "
               "context or fewer replicas",
               name, (long long)(s->worker[k]->memory_bytes >> 20));
    return true;
}

static int64_t pause_ns(const struct ft_worker *w)
{
    int64_t ms = w->quick_deaths == 0 ? 0 : (int64_t)PAUSE_MS << FT_MIN(w->quick_deaths - 1, 10);
    return FT_MIN(ms, PAUSE_MS_MAX) * MS;
}

/* Calls that only this worker could take are told that it does not start. */
static void tell_failed_starts(struct ft_serve *s, int k)
{
    struct ft_err err;
    const struct ft_worker *w = s->worker[k];
    for (struct ft_target *t = s->target; t != NULL; t = t->next) {
        bool elsewhere = false;
        for (int i = 0; i < FT_SERVE_PLACES; i++)
            elsewhere |= ft_workers_serves(s, t, i);
        if (!ft_workers_wants(s, t, k) || elsewhere)
            continue;
        if (w->out_of_memory)
            ft_workers_no_memory(s, k, t->model, &err);
        else
            ft_err_set(&err, FT_EUNAVAIL, "the model's worker does not start: %s", w->last_end);
        ft_call_end_all(s, NULL, t, err.code, err.msg);
    }
}

/* Started when fewer were to share the memory? Once it is idle it has to begin anew with its part.
 */
static bool has_too_much(const struct ft_serve *s, int k, const struct plan *p)
{
    const struct ft_worker *w = s->worker[k];
    return k != FT_SERVE_QUARANTINE && w->running == 0 && !w->asking &&
           w->memory_bytes > p->memory_bytes + p->memory_bytes / SLACK_PART;
}

static void step_ready(struct ft_serve *s, int k, bool wanted, int64_t now, struct plan *p)
{
    struct ft_worker *w = s->worker[k];
    if (has_too_much(s, k, p)) {
        ft_tell_worker(s, "worker_stopped", 0, k,
                       "worker %d begins anew with less memory: there are more to share it", k);
        worker_move(s, w, FT_WORKER_STOPPING);
        p->act[k] = ACT_STOP;
        return;
    }
    if (w->misses >= MISSES_MAX) {
        ft_log(FT_LOG_WARN, "serve", "worker %d does not answer: it is killed", k);
        p->act[k] = ACT_KILL;
        w->misses = 0;
        return;
    }
    if (now - w->since_ns > QUICK_MS * MS)
        w->quick_deaths = w->failed_starts = 0;
    struct ft_ask *a = ft_held_next(s, k, now);
    if (a != NULL) {
        a->next = p->ask;
        p->ask = a;
    }
    if (wanted || w->n_held > 0 || w->running > 0 || w->asking || now < s->settled_ns) {
        w->useless_ns = 0;
        return;
    }
    if (w->useless_ns == 0)
        w->useless_ns = now;
    if (now - w->useless_ns >= USELESS_MS * MS) {
        ft_tell_worker(s, "worker_stopped", 0, k, "worker %d is stopped: nothing needs it", k);
        worker_move(s, w, FT_WORKER_STOPPING);
        p->act[k] = ACT_STOP;
    }
}

/* One place: from what its process is doing and what is wanted of it. */
static void step_place(struct ft_serve *s, int k, const struct ft_plant_info *info, int64_t now,
                       struct plan *p)
{
    bool wanted = place_wanted(s, k) && !s->closing;
    struct ft_worker *w = wanted ? worker_at(s, k) : s->worker[k];
    if (w == NULL)
        return;
    if (w->state == FT_WORKER_RESTING && now - w->since_ns >= pause_ns(w))
        worker_move(s, w, FT_WORKER_NONE);
    switch (w->state) {
    case FT_WORKER_NONE:
        if (wanted)
            p->act[k] = ACT_START;
        return;
    case FT_WORKER_RESTING:
        plan_by(p, w->since_ns + pause_ns(w));
        return;
    case FT_WORKER_STOPPING:
        if (!info->running) {
            worker_forget(w);
            worker_move(s, w, FT_WORKER_NONE);
            plan_by(p, now);
        } else {
            if (now - w->since_ns > STOP_MS_MAX * MS)
                p->act[k] = ACT_KILL;
            plan_by(p, now + CHECK_STARTING_MS * MS);
        }
        return;
    default:
        break;
    }
    if (!info->running) {
        worker_died(s, k, info, now);
        if (w->failed_starts >= FAILED_STARTS_MAX)
            tell_failed_starts(s, k);
        plan_by(p, w->since_ns + pause_ns(w));
        return;
    }
    w->pid = info->pid;
    if (w->state == FT_WORKER_STARTING && now - w->since_ns > START_MS_MAX * MS)
        p->act[k] = ACT_KILL;
    if (w->state == FT_WORKER_READY)
        step_ready(s, k, wanted, now, p);
    if (!w->checking && now >= w->next_check_ns) {
        struct ft_ask *a = ask_health(s, k);
        if (a != NULL) {
            a->next = p->ask;
            p->ask = a;
        }
    }
    if (!w->checking)
        plan_by(p, w->next_check_ns);
    if (w->useless_ns != 0)
        plan_by(p, w->useless_ns + USELESS_MS * MS);
}

/* After a start, under the lock. */
static void started(struct ft_serve *s, int k, int rc, const struct ft_err *err, int64_t memory)
{
    struct ft_worker *w = s->worker[k];
    if (rc == 0) {
        w->memory_bytes = memory;
        worker_move(s, w, FT_WORKER_STARTING);
        ft_tell_worker(s, "worker_started", 0, k, "worker %d is started%s", k,
                       w->restarts > 0 ? " again" : "");
        return;
    }
    ft_log(FT_LOG_WARN, "serve", "worker %d: %s", k, err->msg);
    snprintf(w->last_end, sizeof w->last_end, "%.*s", (int)sizeof w->last_end - 1, err->msg);
    ft_tell_worker(s, "worker_died", 2, k, "worker %d cannot be started: %s", k, w->last_end);
    w->out_of_memory = false;
    worker_move(s, w, FT_WORKER_RESTING);
    w->quick_deaths++;
    if (++w->failed_starts >= FAILED_STARTS_MAX)
        tell_failed_starts(s, k);
}

/* Does what was planned, without the lock. */
static void plan_act(struct ft_serve *s, struct plan *p)
{
    for (int k = 0; k < FT_SERVE_PLACES; k++) {
        struct ft_err err = {0};
        if (p->act[k] == ACT_START) {
            int rc = s->plant->ops->start(s->plant, k, p->memory_bytes, &err);
            pthread_mutex_lock(&s->mu);
            s->worker_starts += rc == 0;
            started(s, k, rc, &err, p->memory_bytes);
            plan_by(p, s->now(s->now_ctx));
            pthread_mutex_unlock(&s->mu);
        } else if (p->act[k] != ACT_NONE) {
            s->plant->ops->stop(s->plant, k, p->act[k] == ACT_KILL);
        }
    }
    while (p->ask != NULL) {
        struct ft_ask *a = p->ask;
        p->ask = a->next;
        pthread_mutex_lock(&s->mu);
        s->asks++;
        pthread_mutex_unlock(&s->mu);
        if (a->path == NULL || a->name == NULL)
            on_answer(a, 0, NULL); /* out of memory */
        else
            s->plant->ops->ask(s->plant, a->k, a->method, a->path, a->body, a->timeout_ms,
                               on_answer, a);
    }
}

void ft_workers_step(struct ft_serve *s, int64_t now, int64_t *next)
{
    if (s->plant == NULL)
        return;
    struct ft_plant_info info[FT_SERVE_PLACES] = {0};
    struct plan plan = {.next = *next};
    for (int k = 0; k < FT_SERVE_PLACES; k++) /* workers are made by this thread alone */
        if (s->worker[k] != NULL)
            s->plant->ops->look(s->plant, k, &info[k]);
    pthread_mutex_lock(&s->mu);
    plan.memory_bytes = share_of(s);
    for (int k = 0; k < FT_SERVE_PLACES; k++)
        step_place(s, k, &info[k], now, &plan);
    pthread_mutex_unlock(&s->mu);
    plan_act(s, &plan);
    *next = FT_MIN(*next, plan.next);
}

void ft_workers_adopt(struct ft_serve *s, int64_t *ret_memory)
{
    *ret_memory = 0;
    s->settled_ns = s->now(s->now_ctx) + SETTLE_MS * MS;
    for (int k = 0; s->plant != NULL && k < FT_SERVE_PLACES; k++) {
        struct ft_plant_info info;
        if (!s->plant->ops->look(s->plant, k, &info) || !info.running)
            continue;
        struct ft_worker *w = worker_at(s, k);
        if (w == NULL)
            continue;
        w->pid = info.pid;
        w->memory_bytes = info.memory_bytes;
        *ret_memory += info.memory_bytes;
        worker_move(s, w, FT_WORKER_STARTING); /* until it has told what it holds */
        ft_log(FT_LOG_INFO, "serve", "worker %d, process %lld, is taken over", k,
               (long long)info.pid);
        ft_tell_worker(s, "worker_started", 0, k, "worker %d, process %lld, is taken over", k,
                       (long long)info.pid);
    }
}

/* No calls run and the serving thread has ended. */
void ft_workers_close(struct ft_serve *s, bool stop_workers)
{
    if (s->plant == NULL)
        return;
    for (int k = 0; k < FT_SERVE_PLACES; k++)
        if (s->worker[k] != NULL && stop_workers)
            s->plant->ops->stop(s->plant, k, false);
    pthread_mutex_lock(&s->mu);
    while (s->asks > 0)
        pthread_cond_wait(&s->quiet, &s->mu);
    pthread_mutex_unlock(&s->mu);
    for (int k = 0; k < FT_SERVE_PLACES; k++) {
        struct ft_worker *w = s->worker[k];
        if (w == NULL)
            continue;
        worker_forget(w);
        w->replica->ops->close(w->replica);
        free(w->seen);
        free(w);
    }
    s->plant->ops->close(s->plant);
}
