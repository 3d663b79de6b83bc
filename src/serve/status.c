/* What serving is doing now, as JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/memory.h"
#include "base/utf8.h"
#include "serve/core.h"

#define NAME_BYTES 4096 /* of a version: a model, and the URL of its server */

/* A figure that the worker told of its engine. */
static json_int_t member(const struct ft_worker *w, const char *name)
{
    return json_integer_value(json_object_get(w->stats, name));
}

static json_t *held_json(const struct ft_worker *w)
{
    static const char *const state[] = {"adding", "ready", "removing", "failed"};
    json_t *all = json_array();
    for (int i = 0; i < w->n_held; i++) {
        const struct ft_held *h = &w->held[i];
        json_t *o = json_pack("{s:s,s:s}", "name", h->name, "state", state[h->state]);
        if (h->of != NULL)
            json_object_set_new(o, "adapter_of", json_string(h->of));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *worker_json(const struct ft_serve *s, int k, int64_t now)
{
    const struct ft_worker *w = s->worker[k];
    char id[32];
    snprintf(id, sizeof id, k == FT_SERVE_QUARANTINE ? "quarantine" : "worker-%d", k);
    json_t *o = json_pack(
        "{s:s,s:s,s:f,s:i,s:i}", "id", id, "state", ft_worker_state_name[w->state], "since_s",
        (double)(now - w->since_ns) / 1e9, "running", w->running, "restarts", w->restarts);
    json_object_set_new(o, "waiting", json_integer(member(w, "waiting")));
    json_object_set_new(o, "memory_bytes",
                        json_integer(w->pid > 0 ? (json_int_t)ft_memory_resident(w->pid) : 0));
    json_object_set_new(o, "memory_limit_bytes", json_integer(w->memory_bytes));
    json_object_set_new(o, "tokens_per_second", json_real(w->tokens_per_s));
    json_object_set_new(o, "models", held_json(w));
    if (w->pid > 0)
        json_object_set_new(o, "pid", json_integer(w->pid));
    if (w->last_end[0] != '\0')
        json_object_set_new(o, "last_end", json_string(w->last_end));
    if (w->stats != NULL) /* all that the worker told */
        json_object_set_new(o, "health", json_deep_copy(w->stats));
    return o;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* How calls at it ended. `name` is for curves and people, and another for each of the endpoint's.
 */
static void add_tally(json_t *o, const struct ft_target *t)
{
    const struct ft_target_tally *a = &t->tally;
    json_object_set_new(o, "requests",
                        json_pack("{s:I,s:I,s:I,s:I}", "ok", (json_int_t)a->ended[FT_END_OK],
                                  "cancelled", (json_int_t)a->ended[FT_END_CANCELLED], "refused",
                                  (json_int_t)a->ended[FT_END_REFUSED], "error",
                                  (json_int_t)a->ended[FT_END_ERROR]));
    json_object_set_new(o, "first_token_seconds",
                        json_pack("{s:f,s:I}", "sum", a->first_s, "count", (json_int_t)a->first));
    json_object_set_new(
        o, "duration_seconds",
        json_pack("{s:f,s:I}", "sum", a->duration_s, "count", (json_int_t)a->ended[FT_END_OK]));
}

static bool same_place(const struct ft_target *a, const struct ft_target *b)
{
    return a->kind == b->kind && same_text(a->model, b->model) &&
           same_text(a->adapter, b->adapter) && same_text(a->url, b->url);
}

void ft_target_name(const struct ft_endpoint *e, const struct ft_target *t, char *ret, size_t n)
{
    const char *base = t->model != NULL ? t->model : t->url != NULL ? t->url : "script";
    const char *more = t->model == NULL ? NULL : t->adapter != NULL ? t->adapter : t->url;
    int same = 1; /* the same model of the same server, with another key */
    for (int k = 0; k < e->n_target && e->target[k] != t; k++)
        same += same_place(e->target[k], t);
    char number[24] = "";
    if (same > 1)
        snprintf(number, sizeof number, " #%d", same);
    snprintf(ret, n, "%s%s%s%s", base, more != NULL ? " + " : "", more != NULL ? more : "", number);
    ret[ft_utf8_valid_len(ret, strlen(ret))] = '\0'; /* cut in the middle of a character */
}

static const char *const kind_name[] = {"model", "url", "script"};

static json_t *target_json(const struct ft_serve *s, const struct ft_target *t, int *ret_ready)
{
    int ready = 0;
    for (int k = 0; k < FT_SERVE_WORKERS_MAX && t->kind == FT_TARGET_MODEL; k++)
        ready += ft_workers_serves(s, t, k) && ft_workers_wants(s, t, k);
    if (t->kind != FT_TARGET_MODEL)
        ready = !t->silent;
    *ret_ready = ready;
    json_t *o = json_pack("{s:s,s:f,s:i,s:i}", "kind", kind_name[t->kind], "weight", t->weight,
                          "ready", ready, "in_flight", t->running);
    if (t->kind == FT_TARGET_URL) /* null: it was not asked yet */
        json_object_set_new(o, "answered", t->asked ? json_boolean(!t->silent) : json_null());
    if (t->model != NULL)
        json_object_set_new(o, "model", json_string(t->model));
    if (t->url != NULL)
        json_object_set_new(o, "url", json_string(t->url));
    if (t->adapter != NULL)
        json_object_set_new(o, "adapter", json_string(t->adapter));
    add_tally(o, t);
    return o;
}

static json_t *endpoint_json(const struct ft_serve *s, const struct ft_endpoint *e, int64_t now)
{
    json_t *targets = json_array();
    int ready = 0;
    const char *kind = "url"; /* unless there are workers for it, of which there may be replicas */
    for (int i = 0; i < e->n_target; i++) {
        char name[NAME_BYTES];
        int n;
        json_t *o = target_json(s, e->target[i], &n);
        ft_target_name(e, e->target[i], name, sizeof name);
        json_object_set_new(o, "name", json_string(name));
        json_array_append_new(targets, o);
        ready = i == 0 ? n : FT_MIN(ready, n);
        if (e->target[i]->kind != FT_TARGET_URL)
            kind = kind_name[e->target[i]->kind];
    }
    return json_pack("{s:s,s:s,s:s,s:s?,s:{s:i,s:i,s:i,s:i},s:i,s:i,s:I,s:I,s:f,s:o}", "id", e->id,
                     "kind", kind, "name", e->name, "project", e->project, "replicas", "min",
                     e->scale.min, "max", e->scale.max, "wanted", e->state.wanted, "ready", ready,
                     "in_flight", e->running, "queue", ft_queue_waiting(&s->queue, e), "requests",
                     (json_int_t)e->served, "failovers", (json_int_t)e->failovers, "since_s",
                     (double)(now - e->since_ns) / 1e9, "targets", targets);
}

static json_t *queue_json(const struct ft_serve *s)
{
    json_t *projects = json_object();
    for (int i = 0; i < s->queue.n_project; i++) {
        const struct ft_queue_project *p = s->queue.project[i];
        if (p->waiting + p->running > 0)
            json_object_set_new(
                projects, p->name,
                json_pack("{s:i,s:i}", "waiting", p->waiting, "running", p->running));
    }
    int suspects = 0;
    for (const struct ft_serve_call *c = s->suspect; c != NULL; c = c->later)
        suspects++;
    return json_pack("{s:i,s:i,s:i,s:o}", "waiting", s->queue.waiting, "max", s->queue_max,
                     "quarantined", suspects + s->suspect_runs, "projects", projects);
}

static int by_name(const void *a, const void *b)
{
    const json_t *x = *(json_t *const *)a, *y = *(json_t *const *)b;
    int order = strcmp(json_string_value(json_object_get(x, "name")),
                       json_string_value(json_object_get(y, "name")));
    return order != 0 ? order
                      : strcmp(json_string_value(json_object_get(x, "id")),
                               json_string_value(json_object_get(y, "id")));
}

/* Takes the reference, gives another: the same order each time. As it came without memory. */
static json_t *sorted(json_t *list)
{
    size_t n = json_array_size(list);
    json_t **all = calloc(n > 0 ? n : 1, sizeof *all), *ret = json_array();
    if (all == NULL || ret == NULL) {
        free(all);
        json_decref(ret);
        return list;
    }
    for (size_t i = 0; i < n; i++)
        all[i] = json_array_get(list, i);
    qsort(all, n, sizeof *all, by_name);
    for (size_t i = 0; i < n; i++)
        json_array_append(ret, all[i]);
    free(all);
    json_decref(list);
    return ret;
}

json_t *ft_serve_status(struct ft_serve *s)
{
    json_t *workers = json_array(), *endpoints = json_array();
    pthread_mutex_lock(&s->mu);
    int64_t now = s->now(s->now_ctx);
    for (int k = 0; k < FT_SERVE_PLACES; k++)
        if (s->worker[k] != NULL && s->worker[k]->state != FT_WORKER_NONE)
            json_array_append_new(workers, worker_json(s, k, now));
    for (const struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next)
        if (!e->gone)
            json_array_append_new(endpoints, endpoint_json(s, e, now));
    json_t *all = json_pack("{s:o,s:o,s:i,s:b,s:I,s:I,s:I}", "workers", workers, "queue",
                            queue_json(s), "in_flight", s->n_calls - s->queue.waiting, "draining",
                            s->draining, "worker_starts", (json_int_t)s->worker_starts,
                            "worker_deaths", (json_int_t)s->worker_deaths,
                            "worker_deaths_out_of_memory", (json_int_t)s->worker_deaths_memory);
    pthread_mutex_unlock(&s->mu);
    json_object_set_new(all, "endpoints", sorted(endpoints));
    return all;
}
