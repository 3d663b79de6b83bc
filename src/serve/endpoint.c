/* Rows of the feed as endpoints, targets and models.
 *
 * A changed row changes what is there in place: targets that stay the same go on with their calls
 * and replicas, others are dropped and finish what they run. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "serve/core.h"
#include "serve/replica_http.h"
#include "serve/replica_script.h"

#define TARGET_LOAD_DEFAULT 8
#define IDLE_S_DEFAULT      300
#define URL_CALLS_MAX       256 /* at one server at a time */
#define REPLICAS_MAX        FT_SERVE_WORKERS_MAX

/* ---- reading fields ---- */

/* *ret: the member's text, NULL if absent or null. */
static int text_of(const json_t *row, const char *what, const char *name, bool needed,
                   const char **ret, struct ft_err *err)
{
    const json_t *v = json_object_get(row, name);
    *ret = NULL;
    if (v == NULL || json_is_null(v))
        return needed ? ft_err_set(err, FT_EINVAL, "%s.%s: is missing", what, name) : 0;
    if (!json_is_string(v) || json_string_length(v) == 0 ||
        strlen(json_string_value(v)) != json_string_length(v))
        return ft_err_set(err, FT_EINVAL, "%s.%s: must be text", what, name);
    *ret = json_string_value(v);
    return 0;
}

static int name_of(const json_t *row, const char *what, const char *name, bool needed,
                   const char **ret, struct ft_err *err)
{
    int rc = text_of(row, what, name, needed, ret, err);
    if (rc == 0 && *ret != NULL && strlen(*ret) >= FT_SERVE_NAME_MAX)
        rc = ft_err_set(err, FT_EINVAL, "%s.%s: longer than %d bytes", what, name,
                        FT_SERVE_NAME_MAX - 1);
    return rc;
}

static int number_of(const json_t *row, const char *what, const char *name, double least,
                     double most, double *ret, struct ft_err *err)
{
    const json_t *v = json_object_get(row, name);
    if (v == NULL || json_is_null(v))
        return 0;
    double x = json_number_value(v);
    if (!json_is_number(v) || !(x >= least && x <= most))
        return ft_err_set(err, FT_EINVAL, "%s.%s: must be a number from %g to %g", what, name,
                          least, most);
    *ret = x;
    return 0;
}

static char *copy_of(const char *s)
{
    return s != NULL ? strdup(s) : NULL;
}

/* ---- models ---- */

const struct ft_model_row *ft_model_find(const struct ft_serve *s, const char *name)
{
    for (int i = 0; i < s->n_model; i++)
        if (strcmp(s->model[i].name, name) == 0)
            return &s->model[i];
    return NULL;
}

static void model_free(struct ft_model_row *m)
{
    free(m->name);
    free(m->path);
    free(m->adapter_of);
    free(m->digest);
    free(m->project);
}

static void model_remove(struct ft_serve *s, const char *name)
{
    for (int i = 0; i < s->n_model; i++)
        if (strcmp(s->model[i].name, name) == 0) {
            model_free(&s->model[i]);
            s->model[i] = s->model[--s->n_model];
            return;
        }
}

/* What a worker would read: another text is another model. */
static char *digest_of(const json_t *body)
{
    static const char *const members[] = {"path", "sha256", "adapter_of", "bytes"};
    json_t *of = json_object();
    for (size_t i = 0; i < FT_COUNT(members); i++) {
        json_t *v = json_object_get(body, members[i]);
        if (v != NULL)
            json_object_set(of, members[i], v);
    }
    char *text = json_dumps(of, JSON_COMPACT);
    json_decref(of);
    return text;
}

int ft_model_apply(struct ft_serve *s, const char *id, const json_t *body, struct ft_err *err)
{
    if (body == NULL) {
        model_remove(s, id);
        return 0;
    }
    for (int i = 0; i < s->n_model; i++) /* also when the new row is refused */
        if (strcmp(s->model[i].name, id) == 0)
            s->model[i].seen = s->snapshot;
    const char *name, *path, *of;
    int rc = name_of(body, "model", "name", false, &name, err);
    if (rc == 0)
        rc = text_of(body, "model", "path", true, &path, err);
    if (rc == 0)
        rc = name_of(body, "model", "adapter_of", false, &of, err);
    if (rc != 0)
        return rc;
    if (name != NULL && strcmp(name, id) != 0)
        return ft_err_set(err, FT_EINVAL, "model.name: %s, but the row is %s", name, id);
    const struct ft_model_row *old = ft_model_find(s, id);
    if (old == NULL && s->n_model == FT_SERVE_MODELS_MAX)
        return ft_err_set(err, FT_ELIMIT, "model: more than %d", FT_SERVE_MODELS_MAX);
    const char *project = json_string_value(json_object_get(body, "project"));
    json_int_t n_ctx = json_integer_value(json_object_get(body, "n_ctx"));
    struct ft_model_row m = {.name = strdup(id),
                             .path = strdup(path),
                             .adapter_of = copy_of(of),
                             .digest = digest_of(body),
                             .project = copy_of(project),
                             .bytes = json_integer_value(json_object_get(body, "bytes")),
                             .n_ctx = n_ctx > 0 && n_ctx <= INT_MAX ? (int)n_ctx : 0};
    struct ft_model_row *more =
        realloc(s->model, (size_t)(s->n_model + 1) * sizeof(struct ft_model_row));
    if (more != NULL)
        s->model = more;
    if (more == NULL || m.name == NULL || m.path == NULL || m.digest == NULL ||
        (of != NULL && m.adapter_of == NULL) || (project != NULL && m.project == NULL)) {
        model_free(&m);
        return ft_err_set(err, FT_ENOMEM, "model: out of memory");
    }
    old = ft_model_find(s, id); /* the array may have moved */
    bool same = old != NULL && strcmp(old->digest, m.digest) == 0;
    m.seen = s->snapshot;
    m.version = same ? old->version : ++s->versions;
    model_remove(s, id);
    s->model[s->n_model++] = m;
    return 0;
}

bool ft_target_rows(const struct ft_serve *s, const struct ft_target *t,
                    const struct ft_model_row **ret_base, const struct ft_model_row **ret_adapter)
{
    const struct ft_model_row *base = ft_model_find(s, t->model), *adapter = NULL;
    if (t->adapter != NULL)
        adapter = ft_model_find(s, t->adapter);
    if (base != NULL && base->adapter_of != NULL && t->adapter == NULL) {
        adapter = base; /* a target that names the adapter alone */
        base = ft_model_find(s, adapter->adapter_of);
    }
    if (base == NULL || base->adapter_of != NULL || (t->adapter != NULL && adapter == NULL))
        return false;
    *ret_base = base;
    *ret_adapter = adapter;
    return true;
}

/* ---- targets ---- */

static void target_free(struct ft_target *t)
{
    if (t == NULL)
        return;
    if (t->replica != NULL)
        t->replica->ops->close(t->replica);
    free(t->key);
    free(t->model);
    free(t->adapter);
    free(t->url);
    free(t);
}

void ft_target_free_all(struct ft_target *t)
{
    while (t != NULL) {
        struct ft_target *next = t->next;
        target_free(t);
        t = next;
    }
}

static int target_read_url(struct ft_serve *s, struct ft_target *t, const json_t *row,
                           struct ft_err *err)
{
    const char *url, *key, *model;
    double cap = URL_CALLS_MAX;
    int rc = text_of(row, "target", "url", true, &url, err);
    if (rc == 0)
        rc = text_of(row, "target", "key", false, &key, err);
    if (rc == 0)
        rc = name_of(row, "target", "model", false, &model, err);
    if (rc == 0)
        rc = number_of(row, "target", "in_flight_max", 1, 1 << 20, &cap, err);
    if (rc != 0)
        return rc;
    if (s->client == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "target.url: there is no HTTP client here");
    t->kind = FT_TARGET_URL;
    t->cap = (int)cap;
    t->model = copy_of(model);
    t->url = strdup(url);
    struct ft_replica_http_config config = {.client = s->client, .url = url, .key = key};
    return ft_replica_http_open(&config, &t->replica, err);
}

static int target_read(struct ft_serve *s, struct ft_target *t, const json_t *row,
                       struct ft_err *err)
{
    const json_t *script = json_object_get(row, "script");
    if (json_object_get(row, "url") != NULL)
        return target_read_url(s, t, row, err);
    if (script != NULL) {
        t->kind = FT_TARGET_SCRIPT;
        t->cap = FT_SCRIPT_JOBS_MAX;
        return ft_replica_script_open(script, &t->replica, err);
    }
    const char *model, *adapter;
    int rc = name_of(row, "target", "model", true, &model, err);
    if (rc == 0)
        rc = name_of(row, "target", "adapter", false, &adapter, err);
    if (rc != 0)
        return rc;
    if (s->plant == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "target.model: there are no workers here");
    t->kind = FT_TARGET_MODEL;
    t->cap = s->in_flight_max;
    t->model = strdup(model);
    t->adapter = copy_of(adapter);
    return t->model != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "target: out of memory");
}

/* The definition without its weight. */
static char *target_key(const json_t *row)
{
    json_t *copy = json_copy((json_t *)row);
    json_object_del(copy, "weight");
    char *key = json_dumps(copy, JSON_COMPACT | JSON_SORT_KEYS);
    json_decref(copy);
    return key;
}

static int target_open(struct ft_serve *s, const json_t *row, struct ft_target **ret,
                       struct ft_err *err)
{
    if (!json_is_object(row))
        return ft_err_set(err, FT_EINVAL, "must be an object");
    struct ft_target *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "target: out of memory");
    t->weight = 1;
    int rc = number_of(row, "target", "weight", 0, 1e6, &t->weight, err);
    if (rc == 0)
        rc = target_read(s, t, row, err);
    t->key = target_key(row);
    if (rc == 0 && t->key == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "target: out of memory");
    if (rc != 0) {
        target_free(t);
        return rc;
    }
    *ret = t;
    return 0;
}

/* ---- endpoints ---- */

static int endpoint_numbers(struct ft_endpoint *e, const json_t *body, struct ft_err *err)
{
    const json_t *replicas = json_object_get(body, "replicas");
    double min = 0, max = 1, load = TARGET_LOAD_DEFAULT, idle = IDLE_S_DEFAULT, n_ctx = 0;
    double created = (double)time(NULL);
    int rc = number_of(replicas, "endpoint.replicas", "min", 0, REPLICAS_MAX, &min, err);
    if (rc == 0)
        rc = number_of(replicas, "endpoint.replicas", "max", 0, REPLICAS_MAX, &max, err);
    if (rc == 0)
        rc = number_of(body, "endpoint", "target_load", 0.01, 1e6, &load, err);
    if (rc == 0)
        rc = number_of(body, "endpoint", "idle_s", 0, 1e9, &idle, err);
    if (rc == 0)
        rc = number_of(body, "endpoint", "n_ctx", 0, 1 << 24, &n_ctx, err);
    if (rc == 0)
        rc = number_of(body, "endpoint", "created", 0, 1e15, &created, err);
    if (rc != 0)
        return rc;
    e->scale = (struct ft_scale){.min = (int)min,
                                 .max = (int)FT_MAX(min, max),
                                 .target_load = load,
                                 .idle_ms = (int64_t)(idle * 1000)};
    e->n_ctx = (int)n_ctx;
    e->created = (int64_t)created;
    return 0;
}

static void endpoint_free(struct ft_endpoint *e)
{
    free(e->id);
    free(e->name);
    free(e->project);
    free(e);
}

struct ft_endpoint *ft_endpoint_find(const struct ft_serve *s, const char *name,
                                     const char *project)
{
    uint64_t hash = ft_hash_bytes(name, strlen(name));
    struct ft_endpoint *found = NULL;
    for (struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next) {
        if (e->gone || e->name_hash != hash || strcmp(e->name, name) != 0)
            continue;
        if (e->project == NULL)
            found = found == NULL ? e : found;
        else if (strcmp(e->project, project) == 0)
            return e; /* its own before everyone's */
    }
    return found;
}

static struct ft_endpoint *endpoint_by_id(const struct ft_serve *s, const char *id)
{
    struct ft_endpoint *e = s->endpoint;
    while (e != NULL && (e->gone || strcmp(e->id, id) != 0))
        e = e->next;
    return e;
}

static void endpoint_drop(struct ft_endpoint *e)
{
    for (int i = 0; i < e->n_target; i++)
        e->target[i]->dropped = true;
    e->n_target = 0;
}

/* Makes next's targets those of e: old ones that are the same stay. Takes next's. */
static void targets_replace(struct ft_serve *s, struct ft_endpoint *e, struct ft_target **target,
                            int n)
{
    struct ft_target *old[FT_SERVE_TARGETS_MAX];
    int n_old = e->n_target;
    memcpy(old, e->target, sizeof old);
    for (int i = 0; i < n; i++) {
        struct ft_target *same = NULL;
        for (int k = 0; k < n_old && same == NULL; k++)
            if (old[k] != NULL && strcmp(old[k]->key, target[i]->key) == 0) {
                same = old[k];
                old[k] = NULL;
            }
        if (same != NULL) {
            same->weight = target[i]->weight;
            target[i]->dropped = true; /* its replica is closed by whoever reaps */
        }
        target[i]->endpoint = e;
        target[i]->next = s->target;
        s->target = target[i];
        e->target[i] = same != NULL ? same : target[i];
    }
    e->n_target = n;
    for (int k = 0; k < n_old; k++)
        if (old[k] != NULL)
            old[k]->dropped = true;
}

static int targets_open(struct ft_serve *s, const json_t *rows, struct ft_target **ret, int *ret_n,
                        struct ft_err *err)
{
    size_t n = json_array_size(rows);
    if (n == 0 || n > FT_SERVE_TARGETS_MAX)
        return ft_err_set(err, FT_EINVAL, "endpoint.targets: must be 1 to %d",
                          FT_SERVE_TARGETS_MAX);
    for (size_t i = 0; i < n; i++) {
        int rc = target_open(s, json_array_get(rows, i), &ret[i], err);
        if (rc != 0) {
            for (size_t k = 0; k < i; k++)
                target_free(ret[k]);
            return ft_err_wrap(err, "endpoint.targets[%zu]", i);
        }
    }
    *ret_n = (int)n;
    return 0;
}

static int endpoint_gone(struct ft_serve *s, const char *id)
{
    struct ft_endpoint *e = endpoint_by_id(s, id);
    if (e == NULL)
        return 0;
    if (s->followed)
        ft_tell(s, "endpoint_removed", 0, e, -1, NULL, "%s is removed", e->name);
    e->gone = true;
    endpoint_drop(e);
    ft_call_end_all(s, e, NULL, FT_ENOTFOUND, "the endpoint was removed while the request waited");
    return 0;
}

static struct ft_endpoint *endpoint_new(struct ft_serve *s, const char *id, const char *name,
                                        const char *project)
{
    struct ft_endpoint *e = s->n_endpoint < FT_SERVE_ENDPOINTS_MAX ? calloc(1, sizeof *e) : NULL;
    if (e == NULL)
        return NULL;
    e->id = strdup(id);
    e->name = strdup(name);
    e->project = copy_of(project);
    if (e->id == NULL || e->name == NULL || (project != NULL && e->project == NULL)) {
        endpoint_free(e);
        return NULL;
    }
    e->name_hash = ft_hash_bytes(name, strlen(name));
    e->since_ns = s->now(s->now_ctx);
    e->state.used_ns = e->since_ns;
    return e;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

int ft_endpoint_apply(struct ft_serve *s, const char *id, const json_t *body, struct ft_err *err)
{
    if (body == NULL)
        return endpoint_gone(s, id);
    const char *name, *project;
    struct ft_endpoint numbers, *e = endpoint_by_id(s, id);
    if (e != NULL)
        e->seen = s->snapshot; /* also when the new row is refused */
    int rc = name_of(body, "endpoint", "name", true, &name, err);
    if (rc == 0)
        rc = name_of(body, "endpoint", "project", false, &project, err);
    if (rc == 0)
        rc = endpoint_numbers(&numbers, body, err);
    struct ft_target *target[FT_SERVE_TARGETS_MAX];
    int n = 0;
    if (rc == 0)
        rc = targets_open(s, json_object_get(body, "targets"), target, &n, err);
    if (rc != 0)
        return rc;

    if (e != NULL && (strcmp(e->name, name) != 0 || !same_text(e->project, project))) {
        endpoint_gone(s, id); /* another name or owner: another endpoint */
        e = NULL;
    }
    if (e == NULL) {
        e = endpoint_new(s, id, name, project);
        if (e == NULL) {
            while (n > 0)
                target_free(target[--n]);
            return ft_err_set(err, FT_ENOMEM, "endpoint: no room for another");
        }
        e->next = s->endpoint;
        e->seen = s->snapshot;
        s->endpoint = e;
        s->n_endpoint++;
    }
    bool is_new = e->n_target == 0;
    if (s->followed)
        ft_tell(s, is_new ? "endpoint_created" : "endpoint_changed", 0, e, -1, NULL,
                "%s is %s: %d target%s, %d to %d replicas", name, is_new ? "made" : "changed", n,
                n == 1 ? "" : "s", numbers.scale.min, numbers.scale.max);
    e->scale = numbers.scale;
    e->n_ctx = numbers.n_ctx;
    e->created = numbers.created;
    targets_replace(s, e, target, n);
    return 0;
}

void ft_rows_sweep(struct ft_serve *s)
{
    for (struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next)
        if (!e->gone && e->seen != s->snapshot)
            endpoint_gone(s, e->id);
    for (int i = s->n_model - 1; i >= 0; i--)
        if (s->model[i].seen != s->snapshot) {
            model_free(&s->model[i]);
            s->model[i] = s->model[--s->n_model];
        }
}

/* ---- the end ---- */

void ft_target_reap(struct ft_serve *s, struct ft_target **ret)
{
    for (struct ft_target **at = &s->target; *at != NULL;) {
        struct ft_target *t = *at;
        if (t->dropped && t->calls == 0) {
            *at = t->next;
            t->next = *ret;
            *ret = t;
        } else {
            at = &t->next;
        }
    }
    for (struct ft_endpoint **at = &s->endpoint; *at != NULL;) {
        struct ft_endpoint *e = *at;
        if (e->gone && e->calls == 0) {
            *at = e->next;
            s->n_endpoint--;
            endpoint_free(e);
        } else {
            at = &e->next;
        }
    }
}

void ft_endpoint_free_all(struct ft_serve *s)
{
    for (struct ft_endpoint *e = s->endpoint; e != NULL; e = e->next) {
        e->gone = true;
        endpoint_drop(e);
    }
    struct ft_target *t = NULL;
    ft_target_reap(s, &t);
    ft_target_free_all(t);
    for (int i = 0; i < s->n_model; i++)
        model_free(&s->model[i]);
    free(s->model);
}
