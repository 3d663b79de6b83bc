/* Serving as a whole: opening, the serving thread's steps, draining, rows of the feed. */
#include "serve/serve.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/memory.h"
#include "serve/core.h"

#define MS                FT_SERVE_MS
#define STEP_MS_MAX       1000 /* a step at least so often */
#define QUEUE_DEFAULT     4096
#define IN_FLIGHT_DEFAULT 64
#define WAIT_MS_DEFAULT   300000
#define CALL_MS_DEFAULT   1000.0

/* ---- steps ---- */

void ft_serve_kick(struct ft_serve *s)
{
    s->kicked = true;
    pthread_cond_signal(&s->wake);
}

void ft_serve_wake(struct ft_serve *s)
{
    pthread_mutex_lock(&s->mu);
    ft_serve_kick(s);
    pthread_mutex_unlock(&s->mu);
}

static bool has_model(const struct ft_endpoint *e)
{
    for (int i = 0; i < e->n_target; i++)
        if (e->target[i]->kind == FT_TARGET_MODEL)
            return true;
    return false;
}

/* How many replicas each endpoint should have now. Under the lock. */
static void scale_all(struct ft_serve *s, int64_t now)
{
    bool choice = false;
    for (struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next) {
        if (e->gone || !has_model(e))
            continue;
        struct ft_scale scale = e->scale;
        scale.max = FT_MIN(scale.max, s->workers_max);
        scale.min = FT_MIN(scale.min, scale.max);
        int was = e->state.wanted;
        int load = e->running + ft_queue_waiting(&s->queue, e);
        if (ft_scale_step(&scale, &e->state, load, now) != was) {
            e->since_ns = now;
            ft_tell(s, "scaled", 0, e, -1, NULL, "%d replica%s instead of %d", e->state.wanted,
                    e->state.wanted == 1 ? "" : "s", was);
        }
        choice = true;
    }
    atomic_store_explicit(&s->choice, choice, memory_order_relaxed);
}

int64_t ft_serve_step(struct ft_serve *s)
{
    int64_t now = s->now(s->now_ctx);
    int64_t next = now + STEP_MS_MAX * MS;
    struct ft_target *old = NULL;
    pthread_mutex_lock(&s->mu);
    scale_all(s, now);
    ft_target_reap(s, &old);
    pthread_mutex_unlock(&s->mu);
    ft_target_free_all(old);
    ft_workers_step(s, now, &next);
    ft_call_dispatch(s, now, &next);
    return next;
}

static void *serve_thread(void *arg)
{
    struct ft_serve *s = arg;
    pthread_mutex_lock(&s->mu);
    while (!s->closing) {
        s->kicked = false;
        pthread_mutex_unlock(&s->mu);
        int64_t next = ft_serve_step(s);
        pthread_mutex_lock(&s->mu);
        struct timespec t = {next / 1000000000, next % 1000000000};
        while (!s->kicked && !s->closing)
            if (pthread_cond_timedwait(&s->wake, &s->mu, &t) != 0)
                break;
    }
    pthread_mutex_unlock(&s->mu);
    return NULL;
}

/* ---- open, drain, close ---- */

static int64_t clock_now(void *ctx)
{
    (void)ctx;
    return ft_clock_now_ns();
}

static int or_default(int value, int otherwise)
{
    return value > 0 ? value : otherwise;
}

/* Takes the plant, also when it fails. */
int ft_serve_open_on(const struct ft_serve_config *config, struct ft_plant *plant, bool threaded,
                     int64_t (*now)(void *ctx), void *now_ctx, struct ft_serve **ret,
                     struct ft_err *err)
{
    struct ft_serve *s = calloc(1, sizeof *s);
    if (s == NULL || ft_queue_init(&s->queue) != 0) {
        free(s);
        if (plant != NULL)
            plant->ops->close(plant);
        return ft_err_set(err, FT_ENOMEM, "serving: out of memory");
    }
    ft_cond_init(&s->wake);
    ft_cond_init(&s->quiet);
    pthread_mutex_init(&s->mu, NULL);
    s->threaded = threaded;
    s->now = now;
    s->now_ctx = now_ctx;
    s->client = config->client;
    s->plant = plant;
    s->memory_bytes =
        config->memory_bytes > 0 ? config->memory_bytes : (int64_t)(ft_memory_available() / 4 * 3);
    s->workers_max =
        FT_MIN(or_default(config->workers_max, FT_SERVE_WORKERS_MAX), FT_SERVE_WORKERS_MAX);
    s->queue_max = or_default(config->queue_max, QUEUE_DEFAULT);
    s->in_flight_max = or_default(config->in_flight_max, IN_FLIGHT_DEFAULT);
    s->wait_ms_max = or_default(config->wait_ms_max, WAIT_MS_DEFAULT);
    s->suspect_end = &s->suspect;
    s->call_ms = CALL_MS_DEFAULT;
    s->on_event = config->on_event;
    s->event_ctx = config->event_ctx;
    int64_t given;
    ft_workers_adopt(s, &given);
    if (config->memory_bytes <= 0) /* what those found hold is not available, but theirs */
        s->memory_bytes = FT_MAX(s->memory_bytes, given);
    int rc = threaded ? pthread_create(&s->thread, NULL, serve_thread, s) : 0;
    if (rc != 0) {
        s->threaded = false;
        ft_serve_close(s, false);
        return ft_err_set(err, FT_EIO, "serving: thread: error %d", rc);
    }
    *ret = s;
    return 0;
}

int ft_serve_open(const struct ft_serve_config *config, struct ft_serve **ret, struct ft_err *err)
{
    struct ft_plant *plant = NULL;
    int rc = config->exec != NULL ? ft_plant_local_open(config, &plant, err) : 0;
    return rc != 0 ? rc : ft_serve_open_on(config, plant, true, clock_now, NULL, ret, err);
}

/* Waits until no call is left or the time is over; under the lock. */
static void wait_quiet(struct ft_serve *s, int64_t until_ns)
{
    struct timespec t = {until_ns / 1000000000, until_ns % 1000000000};
    while (s->n_calls > 0 && (!s->threaded || ft_clock_now_ns() < until_ns)) {
        if (s->threaded) {
            pthread_cond_timedwait(&s->quiet, &s->mu, &t);
            continue;
        }
        pthread_mutex_unlock(&s->mu); /* in tests: whoever drains does the steps */
        ft_serve_step(s);
        pthread_mutex_lock(&s->mu);
        if (ft_clock_now_ns() >= until_ns)
            break;
    }
}

int ft_serve_drain(struct ft_serve *s, int timeout_ms)
{
    int64_t now = ft_clock_now_ns();
    pthread_mutex_lock(&s->mu);
    s->draining = true;
    wait_quiet(s, now + timeout_ms * MS);
    int left = s->n_calls;
    ft_call_cancel_all(s);
    wait_quiet(s, INT64_MAX); /* every replica ends what is cancelled */
    pthread_mutex_unlock(&s->mu);
    return left;
}

void ft_serve_close(struct ft_serve *s, bool stop_workers)
{
    if (s == NULL)
        return;
    ft_serve_drain(s, 0);
    pthread_mutex_lock(&s->mu);
    s->closing = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->mu);
    if (s->threaded)
        pthread_join(s->thread, NULL);
    ft_workers_close(s, stop_workers);
    ft_endpoint_free_all(s);
    ft_queue_fini(&s->queue);
    pthread_mutex_destroy(&s->mu);
    pthread_cond_destroy(&s->wake);
    pthread_cond_destroy(&s->quiet);
    free(s);
}

/* ---- the feed ---- */

int ft_serve_apply(struct ft_serve *s, const char *kind, const char *id, const json_t *body,
                   struct ft_err *err)
{
    if (json_is_null(body))
        body = NULL;
    bool model = strcmp(kind, "model") == 0;
    if (!model && strcmp(kind, "endpoint") != 0)
        return 0;
    pthread_mutex_lock(&s->mu);
    int rc = model ? ft_model_apply(s, id, body, err) : ft_endpoint_apply(s, id, body, err);
    ft_serve_kick(s);
    pthread_mutex_unlock(&s->mu);
    return rc != 0 ? ft_err_wrap(err, "%s %s", kind, id) : 0;
}

void ft_serve_snapshot_begin(struct ft_serve *s)
{
    pthread_mutex_lock(&s->mu);
    s->snapshot++;
    s->followed = false;
    pthread_mutex_unlock(&s->mu);
}

void ft_serve_snapshot_end(struct ft_serve *s)
{
    pthread_mutex_lock(&s->mu);
    ft_rows_sweep(s);
    s->followed = true;
    ft_serve_kick(s);
    pthread_mutex_unlock(&s->mu);
}

json_t *ft_serve_models(struct ft_serve *s, const char *project)
{
    json_t *all = json_array();
    pthread_mutex_lock(&s->mu);
    for (struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next) {
        if (ft_endpoint_find(s, e->name, project) != e) /* gone, another's, or hidden by its own */
            continue;
        json_array_append_new(all, json_pack("{s:s,s:s,s:I,s:s}", "id", e->name, "object", "model",
                                             "created", (json_int_t)e->created, "owned_by",
                                             e->project != NULL ? e->project : "feitian"));
    }
    pthread_mutex_unlock(&s->mu);
    return all;
}

int64_t ft_serve_kept(struct ft_serve *s, const char *project)
{
    int64_t sum = 0;
    pthread_mutex_lock(&s->mu);
    for (int i = 0; i < s->n_model; i++) {
        const struct ft_model_row *m = &s->model[i];
        if (m->adapter_of != NULL && m->project != NULL && strcmp(m->project, project) == 0)
            sum += FT_MAX(m->bytes, 0);
    }
    pthread_mutex_unlock(&s->mu);
    return sum;
}

int ft_serve_context(struct ft_serve *s, const char *endpoint, const char *project, char *ret_id,
                     size_t n)
{
    int most = 0;
    pthread_mutex_lock(&s->mu);
    const struct ft_endpoint *e = ft_endpoint_find(s, endpoint, project);
    for (int i = 0; e != NULL && i < e->n_target; i++) {
        const struct ft_model_row *base, *adapter;
        if (e->target[i]->kind == FT_TARGET_MODEL &&
            ft_target_rows(s, e->target[i], &base, &adapter))
            most = FT_MAX(most, base->n_ctx);
    }
    if (e != NULL && e->n_ctx > 0)
        most = e->n_ctx;
    snprintf(ret_id, n, "%s", e != NULL ? e->id : "");
    pthread_mutex_unlock(&s->mu);
    return e != NULL ? most : -1;
}

void ft_serve_own_models(struct ft_serve *s, const char *endpoint, const char *project,
                         void (*fn)(void *ctx, const char *model), void *ctx)
{
    pthread_mutex_lock(&s->mu);
    const struct ft_endpoint *e = ft_endpoint_find(s, endpoint, project);
    for (int i = 0; e != NULL && e->project != NULL && i < e->n_target; i++) {
        const struct ft_target *t = e->target[i];
        if (t->kind == FT_TARGET_MODEL)
            fn(ctx, t->model);
        if (t->kind == FT_TARGET_MODEL && t->adapter != NULL)
            fn(ctx, t->adapter);
    }
    pthread_mutex_unlock(&s->mu);
}
