/* Which models and adapters lie at which worker: compares what is wanted with what is there, and
 * says what to ask the worker next. One request at a time; models before their adapters, and
 * adapters are removed before their models.
 *
 * A model that changed, or that nobody wants any more, is removed once no call runs on it; until
 * then a changed one gets no new calls. */
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "net/url.h"
#include "serve/core.h"

#define ADD_TIMEOUT_MS    120000 /* a large file's header over a slow disk */
#define LOAD_TIMEOUT_MS   600000
#define REMOVE_TIMEOUT_MS 10000
#define PATH_BYTES_MAX    4096
#define FAILED_MS         10000 /* before a model that was refused is tried again */

static struct ft_held *held_find(struct ft_worker *w, const char *name)
{
    for (int i = 0; i < w->n_held; i++)
        if (strcmp(w->held[i].name, name) == 0)
            return &w->held[i];
    return NULL;
}

static void held_remove(struct ft_worker *w, struct ft_held *h)
{
    free(h->name);
    free(h->of);
    *h = w->held[--w->n_held];
}

void ft_held_clear(struct ft_worker *w)
{
    while (w->n_held > 0)
        held_remove(w, &w->held[w->n_held - 1]);
}

static struct ft_held *held_add(struct ft_worker *w, const char *name, const char *of)
{
    if (w->n_held == FT_SERVE_HELD_MAX)
        return NULL;
    struct ft_held h = {.name = strdup(name), .of = of != NULL ? strdup(of) : NULL};
    if (h.name == NULL || (of != NULL && h.of == NULL)) {
        free(h.name);
        free(h.of);
        return NULL;
    }
    w->held[w->n_held] = h;
    return &w->held[w->n_held++];
}

/* Calls that run at place k with this model or adapter. */
static int users_of(const struct ft_serve *s, int k, const char *name)
{
    int n = 0;
    for (const struct ft_target *t = s->target; t != NULL; t = t->next) {
        if (t->kind != FT_TARGET_MODEL || t->at[k] == 0)
            continue;
        const struct ft_model_row *base, *adapter;
        bool known = ft_target_rows(s, t, &base, &adapter);
        if (strcmp(t->model, name) == 0 || (t->adapter != NULL && strcmp(t->adapter, name) == 0) ||
            (known && strcmp(base->name, name) == 0))
            n += t->at[k];
    }
    return n;
}

/* The largest context that any endpoint of the model asks for, wanted now or not, so that it is not
 * opened anew as they come and go. 0, the model's own, is the largest there is. */
static int n_ctx_of(const struct ft_serve *s, const struct ft_model_row *row)
{
    int n = 0;
    for (const struct ft_target *t = s->target; t != NULL; t = t->next) {
        const struct ft_model_row *base, *adapter;
        if (t->kind != FT_TARGET_MODEL || t->dropped || !ft_target_rows(s, t, &base, &adapter) ||
            base != row)
            continue;
        if (t->endpoint->n_ctx == 0)
            return 0;
        n = FT_MAX(n, t->endpoint->n_ctx);
    }
    return n;
}

static bool is_current(struct ft_worker *w, const struct ft_model_row *row, bool dropped)
{
    struct ft_held *h = held_find(w, row->name);
    return h != NULL && h->state == FT_HELD_READY && !h->adopted &&
           (dropped || h->version == row->version);
}

bool ft_workers_serves(const struct ft_serve *s, const struct ft_target *t, int k)
{
    struct ft_worker *w = s->worker[k];
    const struct ft_model_row *base, *adapter;
    if (w == NULL || w->state != FT_WORKER_READY || !ft_target_rows(s, t, &base, &adapter))
        return false;
    return is_current(w, base, t->dropped) &&
           (adapter == NULL || is_current(w, adapter, t->dropped));
}

/* ---- what to ask next ---- */

/* "/feitian/models/org%2Fname/load". NULL: out of memory. */
static char *path_of(const char *what, const char *name, const char *tail)
{
    struct ft_buf b;
    ft_buf_init(&b, PATH_BYTES_MAX);
    ft_buf_addf(&b, "/feitian/%s/", what);
    ft_url_encode(&b, name, strlen(name));
    ft_buf_add_str(&b, tail);
    if (b.failed == 0)
        return b.data;
    ft_buf_fini(&b);
    return NULL;
}

static struct ft_ask *ask_remove(struct ft_serve *s, int k, struct ft_held *h)
{
    struct ft_worker *w = s->worker[k];
    struct ft_held *adapter = NULL; /* its adapters first; those that were refused are not there */
    for (int i = 0; i < w->n_held; i++)
        if (w->held[i].of != NULL && strcmp(w->held[i].of, h->name) == 0 &&
            w->held[i].state != FT_HELD_FAILED)
            adapter = &w->held[i];
    h = adapter != NULL ? adapter : h;
    if (h->state != FT_HELD_READY || users_of(s, k, h->name) > 0)
        return NULL;
    struct ft_ask *a = ft_ask_new(s, k, FT_ASK_REMOVE, h->name);
    if (a == NULL)
        return NULL;
    a->method = "DELETE";
    a->timeout_ms = REMOVE_TIMEOUT_MS;
    a->path = path_of(h->of != NULL ? "adapters" : "models", h->name, "");
    h->state = FT_HELD_REMOVING;
    return a;
}

static struct ft_ask *ask_add(struct ft_serve *s, int k, const struct ft_model_row *row, int n_ctx)
{
    struct ft_worker *w = s->worker[k];
    struct ft_ask *a = ft_ask_new(s, k, FT_ASK_ADD, row->name);
    struct ft_held *h = held_find(w, row->name);
    if (a != NULL && h == NULL)
        h = held_add(w, row->name, row->adapter_of);
    if (a == NULL || h == NULL)
        return a; /* with a path of NULL it is dropped by the pool, and tried again later */
    a->method = "POST";
    a->timeout_ms = ADD_TIMEOUT_MS;
    a->path = strdup(row->adapter_of != NULL ? "/feitian/adapters" : "/feitian/models");
    a->body = json_pack("{s:s,s:s}", "name", row->name, "path", row->path);
    if (row->adapter_of != NULL)
        json_object_set_new(a->body, "model", json_string(row->adapter_of));
    else if (n_ctx > 0)
        json_object_set_new(a->body, "n_ctx", json_integer(n_ctx));
    h->state = FT_HELD_ADDING;
    h->adopted = false;
    h->version = row->version;
    h->n_ctx = n_ctx;
    h->since_ns = s->now(s->now_ctx);
    return a;
}

/* Makes a model or adapter that is wanted at k be there. *ret_there: it is. */
static struct ft_ask *ask_for(struct ft_serve *s, int k, const struct ft_model_row *row, int n_ctx,
                              int64_t now, bool *ret_there)
{
    struct ft_worker *w = s->worker[k];
    struct ft_held *h = held_find(w, row->name);
    *ret_there = false;
    if (h == NULL)
        return ask_add(s, k, row, n_ctx);
    if (h->state == FT_HELD_FAILED) {
        if (h->version == row->version && now - h->since_ns < FAILED_MS * FT_SERVE_MS)
            return NULL;
        held_remove(w, h);
        return ask_add(s, k, row, n_ctx);
    }
    if (h->state != FT_HELD_READY)
        return NULL;
    if (h->adopted) /* is it the same file? to add that once more changes nothing */
        return ask_add(s, k, row, n_ctx);
    if (h->version != row->version || (row->adapter_of == NULL && h->n_ctx != n_ctx))
        return ask_remove(s, k, h);
    *ret_there = true;
    return NULL;
}

static struct ft_ask *ask_load(struct ft_serve *s, int k, const struct ft_model_row *row)
{
    struct ft_held *h = held_find(s->worker[k], row->name);
    if (h == NULL || h->warm)
        return NULL;
    struct ft_ask *a = ft_ask_new(s, k, FT_ASK_LOAD, row->name);
    if (a == NULL)
        return NULL;
    h->warm = true;
    a->method = "POST";
    a->timeout_ms = LOAD_TIMEOUT_MS;
    a->path = path_of("models", row->name, "/load");
    return a;
}

static bool is_wanted(const struct ft_serve *s, int k, const char *name)
{
    for (const struct ft_target *t = s->target; t != NULL; t = t->next) {
        const struct ft_model_row *base, *adapter;
        if (t->kind == FT_TARGET_MODEL && ft_workers_wants(s, t, k) &&
            ft_target_rows(s, t, &base, &adapter) &&
            (strcmp(base->name, name) == 0 ||
             (adapter != NULL && strcmp(adapter->name, name) == 0)))
            return true;
    }
    return false;
}

struct ft_ask *ft_held_next(struct ft_serve *s, int k, int64_t now)
{
    struct ft_worker *w = s->worker[k];
    if (w->asking)
        return NULL;
    struct ft_ask *a = NULL;
    for (struct ft_target *t = s->target; t != NULL && a == NULL; t = t->next) {
        const struct ft_model_row *base, *adapter;
        bool there;
        if (t->kind != FT_TARGET_MODEL || !ft_workers_wants(s, t, k))
            continue;
        if (!ft_target_rows(s, t, &base, &adapter)) {
            if (t->calls == 0 || t->running < t->calls)
                ft_call_end_all(s, NULL, t, FT_ENOTFOUND, "its model is not in the hub");
            continue;
        }
        a = ask_for(s, k, base, n_ctx_of(s, base), now, &there);
        if (a == NULL && there && adapter != NULL)
            a = ask_for(s, k, adapter, 0, now, &there);
        if (a == NULL && there && !t->dropped && t->endpoint->scale.min > k)
            a = ask_load(s, k, base);
    }
    for (int i = 0; i < w->n_held && a == NULL && now >= s->settled_ns; i++) {
        struct ft_held *h = &w->held[i];
        if (h->state == FT_HELD_FAILED && !is_wanted(s, k, h->name))
            held_remove(w, h);
        else if (h->state == FT_HELD_READY && !is_wanted(s, k, h->name))
            a = ask_remove(s, k, h);
    }
    w->asking = a != NULL;
    return a;
}

/* ---- what came of it ---- */

/* words: the worker's code of the error, or NULL. What does not fit its memory is nothing that a
 * client could ask for differently: that is for who runs the cloud. */
static enum ft_code code_of(int status, const char *words)
{
    bool limit = words != NULL && strcmp(words, "limit_exceeded") == 0;
    return limit           ? FT_EUNAVAIL
           : status == 404 ? FT_ENOTFOUND
           : status == 507 ? FT_ENOMEM
           : status >= 500 ? FT_EINTERNAL
                           : FT_EUNSUPPORTED;
}

/* An event of the endpoints that want the model at k. why: "" if it is there. */
static void tell_of(struct ft_serve *s, const char *kind, int level, int k, const char *name,
                    const char *why)
{
    const struct ft_endpoint *told = NULL;
    for (struct ft_target *t = s->target; t != NULL; t = t->next) {
        const struct ft_model_row *base, *adapter;
        if (t->kind != FT_TARGET_MODEL || t->dropped || t->endpoint == told ||
            !ft_workers_wants(s, t, k) || !ft_target_rows(s, t, &base, &adapter) ||
            (strcmp(base->name, name) != 0 &&
             (adapter == NULL || strcmp(adapter->name, name) != 0)))
            continue;
        told = t->endpoint;
        if (why[0] == '\0')
            ft_tell(s, kind, level, told, k, NULL, "worker %d has %s", k, name);
        else
            ft_tell(s, kind, level, told, k, NULL, "worker %d cannot have %s: %s", k, name, why);
    }
}

/* A model was refused: calls that wait for it, and that no other worker can take, are told. */
static void added_not(struct ft_serve *s, int k, const char *name, int status, const json_t *answer)
{
    const json_t *error = json_object_get(answer, "error");
    const char *why = json_string_value(json_object_get(error, "message"));
    enum ft_code code = code_of(status, json_string_value(json_object_get(error, "code")));
    ft_log(FT_LOG_WARN, "serve", "worker %d refused %s: %d %s", k, name, status,
           why != NULL ? why : "");
    tell_of(s, "model_refused", 2, k, name, why != NULL ? why : "the worker refused it");
    char text[FT_ERR_MSG_MAX];
    snprintf(text, sizeof text, "%s cannot be served: %s%s", name,
             why != NULL ? why : "the worker refused it",
             code == FT_EUNAVAIL ? "; give the cloud more (--memory), or fewer replicas" : "");
    for (struct ft_target *t = s->target; t != NULL; t = t->next) {
        const struct ft_model_row *base, *adapter;
        if (t->kind != FT_TARGET_MODEL || !ft_target_rows(s, t, &base, &adapter) ||
            (strcmp(base->name, name) != 0 &&
             (adapter == NULL || strcmp(adapter->name, name) != 0)))
            continue;
        bool elsewhere = false;
        for (int i = 0; i < FT_SERVE_PLACES; i++)
            elsewhere |= ft_workers_serves(s, t, i);
        if (!elsewhere)
            ft_call_end_all(s, NULL, t, code, text);
    }
}

void ft_held_doubt(struct ft_serve *s, const struct ft_target *t, int k)
{
    const struct ft_model_row *base, *adapter;
    if (k < 0 || !ft_target_rows(s, t, &base, &adapter))
        return;
    const struct ft_model_row *rows[] = {base, adapter};
    for (int i = 0; i < 2 && rows[i] != NULL; i++) {
        struct ft_held *h = held_find(s->worker[k], rows[i]->name);
        if (h != NULL && h->state == FT_HELD_READY)
            h->adopted = true;
    }
}

void ft_held_answer(struct ft_serve *s, struct ft_worker *w, const struct ft_ask *a, int status,
                    const json_t *answer)
{
    bool good = status >= 200 && status < 300;
    struct ft_held *h = held_find(w, a->name);
    w->asking = false;
    w->unanswered = status == 0;
    if (h == NULL)
        return;
    switch (a->kind) {
    case FT_ASK_ADD:
        if (good) {
            if (!h->adopted)
                tell_of(s, "model_loaded", 0, a->k, a->name, "");
            h->state = FT_HELD_READY;
        } else if (status == 409) {
            h->state = FT_HELD_READY; /* another file of this name: it is removed first */
            h->version = 0;
        } else if (status == 0) {
            held_remove(w, h); /* no answer: the worker's health decides what comes next */
        } else {
            h->state = FT_HELD_FAILED;
            h->since_ns = s->now(s->now_ctx);
            added_not(s, a->k, a->name, status, answer);
        }
        return;
    case FT_ASK_REMOVE:
        if (good || status == 404)
            held_remove(w, h);
        else
            h->state = FT_HELD_READY; /* asked again at the next step */
        return;
    default:
        if (!good)
            ft_log(FT_LOG_WARN, "serve", "worker %d: loading %s: status %d", a->k, a->name, status);
        return;
    }
}

/* list: of models, or of adapters, which name theirs. */
static void adopt(struct ft_worker *w, const json_t *list)
{
    size_t i;
    json_t *m;
    json_array_foreach(list, i, m)
    {
        const char *name = json_string_value(json_object_get(m, "name"));
        const char *of = json_string_value(json_object_get(m, "model"));
        struct ft_held *h =
            name != NULL && held_find(w, name) == NULL ? held_add(w, name, of) : NULL;
        if (h == NULL)
            continue;
        h->state = FT_HELD_READY;
        h->adopted = true;
        h->warm = true;
    }
}

void ft_held_adopt(struct ft_worker *w, const json_t *stats)
{
    adopt(w, json_object_get(stats, "models"));
    adopt(w, json_object_get(stats, "adapters"));
}
