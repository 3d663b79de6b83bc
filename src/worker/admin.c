/* The gateway's side of a worker: health, which renews the lease; models and adapters, which come
 * and go on the admin crew, as opening files takes its time. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "api/openai/json.h"
#include "base/clock.h"
#include "worker/impl.h"

#define ADMIN_BODY_MAX ((size_t)64 << 10)
#define RATE_NS        1000000000 /* shortest time that a rate is measured over */

/* ---- health ---- */

/* What the engine knows of a model, beside its name, path and context. */
static void add_stats(json_t *row, const struct ft_model_stats *m)
{
    json_t *v =
        json_pack("{s:s, s:I, s:I, s:I, s:i, s:i, s:I, s:I, s:I, s:i, s:i, s:i}", "state",
                  ft_model_state_name(m->state), "weight_bytes", (json_int_t)m->weight_bytes,
                  "load_done", (json_int_t)m->load_done, "load_all", (json_int_t)m->load_all,
                  "running", m->running, "waiting", m->waiting, "prompt_tokens",
                  (json_int_t)m->prompt_tokens, "cached_tokens", (json_int_t)m->cached_tokens,
                  "generated_tokens", (json_int_t)m->generated_tokens, "blocks_used",
                  m->blocks_used, "blocks_cached", m->blocks_cached, "blocks_max", m->blocks_max);
    if (v != NULL)
        json_object_update_new(row, v);
}

static void add_models(struct ft_worker *w, struct ft_engine *engine, json_t *health)
{
    struct ft_model_stats *s = calloc(FT_ENGINE_MODELS_MAX, sizeof *s);
    json_t *models = json_array(), *adapters = json_array(), *row;
    size_t k;
    int n = s != NULL ? ft_engine_model_stats(engine, s, FT_ENGINE_MODELS_MAX) : 0;
    ft_lodgers_describe(&w->lodgers, models, adapters);
    json_array_foreach(models, k, row)
    {
        const char *name = json_string_value(json_object_get(row, "name"));
        for (int i = 0; i < n && name != NULL; i++)
            if (strcmp(s[i].id, name) == 0)
                add_stats(row, &s[i]);
    }
    json_object_set_new(health, "models", models);
    json_object_set_new(health, "adapters", adapters);
    free(s);
}

/* Tokens generated a second, over the last seconds before this question. */
static double token_rate(struct ft_worker *w, uint64_t generated, int64_t now)
{
    pthread_mutex_lock(&w->rate.lock);
    int64_t since = now - w->rate.at_ns;
    if (since > RATE_NS) {
        w->rate.value = (double)(generated - w->rate.generated) * 1e9 / (double)since;
        w->rate.generated = generated;
        w->rate.at_ns = now;
    }
    double value = w->rate.value;
    pthread_mutex_unlock(&w->rate.lock);
    return value;
}

static void add_engine(struct ft_worker *w, struct ft_engine *engine, json_t *health, int64_t now)
{
    struct ft_engine_stats s;
    ft_engine_stats(engine, &s);
    json_t *v = json_pack(
        "{s:i, s:i, s:i, s:i, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:I, s:f}",
        "running", s.running, "waiting", s.waiting, "preempted", s.preempted, "paused", s.paused,
        "memory_bytes", (json_int_t)s.memory_bytes, "weight_bytes", (json_int_t)s.weight_bytes,
        "adapter_bytes", (json_int_t)s.adapter_bytes, "kv_bytes", (json_int_t)s.kv_bytes,
        "kv_cached_bytes", (json_int_t)s.kv_cached_bytes, "requests", (json_int_t)s.requests,
        "prompt_tokens", (json_int_t)s.prompt_tokens, "cached_tokens", (json_int_t)s.cached_tokens,
        "generated_tokens", (json_int_t)s.generated_tokens, "loads", (json_int_t)s.loads, "unloads",
        (json_int_t)s.unloads, "tokens_per_second", token_rate(w, s.generated_tokens, now));
    if (v != NULL)
        json_object_update_new(health, v);
}

void ft_admin_health(struct ft_worker *w, struct ft_http_exchange *x)
{
    int64_t now = ft_clock_now_ns();
    const char *status = atomic_load(&w->draining) ? "draining" : "ok";
    atomic_store(&w->renewed_ns, now);
    json_t *v =
        json_pack("{s:s, s:i, s:I, s:I, s:I, s:i, s:s}", "status", status, "pid", (int)getpid(),
                  "uptime_ms", (json_int_t)((now - w->started_ns) / 1000000), "calls",
                  (json_int_t)atomic_load(&w->calls), "failed", (json_int_t)atomic_load(&w->failed),
                  "preparing", (int)ft_crew_waiting(w->prep), "sandbox", w->sandbox.text);
    struct ft_engine *engine = v != NULL ? ft_worker_borrow_engine(w) : NULL;
    if (engine != NULL) { /* else it has ended, and the process is about to */
        add_engine(w, engine, v, now);
        add_models(w, engine, v);
        ft_worker_return_engine(w);
    }
    ft_reply_value(x, 200, v);
}

/* ---- models and adapters ---- */

enum change { MODEL_ADD, MODEL_REMOVE, MODEL_LOAD, ADAPTER_ADD, ADAPTER_REMOVE };

struct admin_job {
    struct ft_worker *w;
    struct ft_http_exchange *x;
    enum change change;
    char *name; /* from the path, NULL for additions */
    const char *body;
    size_t body_n;
};

/* Below one of the folders that the worker may read? realpath: no "..", no links out of them. */
static int check_path(const struct ft_worker *w, const char *path, struct ft_err *err)
{
    char *real = realpath(path, NULL);
    if (real == NULL)
        return ft_err_sys(err, "path %s", path);
    bool inside = false;
    for (int i = 0; i < w->cfg->n_read && !inside; i++) {
        char *root = realpath(w->cfg->read[i], NULL);
        size_t n = root != NULL ? strlen(root) : 0;
        inside = n > 0 && strncmp(real, root, n) == 0 &&
                 (real[n] == '\0' || real[n] == '/' || root[n - 1] == '/');
        free(root);
    }
    free(real);
    return inside
               ? 0
               : ft_err_set(err, FT_EINVAL, "path: %s is in none of the folders of --read", path);
}

static int get_string(const json_t *body, const char *key, size_t max, const char **ret,
                      struct ft_oai_error *e)
{
    const json_t *v = json_object_get(body, key);
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n == 0 || n > max)
        return ft_oai_error_set(e, FT_EINVAL, NULL, key, "%s: a string of 1 to %zu bytes is wanted",
                                key, max);
    *ret = json_string_value(v);
    return 0;
}

static int only_known(const json_t *body, const char *const *known, struct ft_oai_error *e)
{
    const char *key;
    json_t *v;
    json_object_foreach((json_t *)body, key, v)
    {
        int i = 0;
        while (known[i] != NULL && strcmp(known[i], key) != 0)
            i++;
        if (known[i] == NULL)
            return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", key,
                                    "Unknown parameter: '%.100s'.", key);
    }
    return 0;
}

static int add(struct admin_job *j, struct ft_oai_error *e, const char **ret_name,
               json_t **ret_body)
{
    static const char *const model_keys[] = {"name", "path", "n_ctx", NULL};
    static const char *const adapter_keys[] = {"name", "path", "model", NULL};
    bool adapter = j->change == ADAPTER_ADD;
    const char *path = NULL, *model = NULL;
    struct ft_err err = {0};
    int rc = ft_oai_json_object(j->body, j->body_n, ret_body, e);
    if (rc == 0)
        rc = only_known(*ret_body, adapter ? adapter_keys : model_keys, e);
    if (rc == 0)
        rc = get_string(*ret_body, "name", FT_ENGINE_ID_MAX - 1, ret_name, e);
    if (rc == 0)
        rc = get_string(*ret_body, "path", 4095, &path, e);
    if (rc == 0 && adapter)
        rc = get_string(*ret_body, "model", FT_ENGINE_ID_MAX - 1, &model, e);
    const json_t *n_ctx = json_object_get(*ret_body, "n_ctx");
    json_int_t ctx = json_integer_value(n_ctx);
    if (rc == 0 && n_ctx != NULL && (!json_is_integer(n_ctx) || ctx < 0 || ctx > INT32_MAX))
        rc = ft_oai_error_set(e, FT_EINVAL, NULL, "n_ctx", "n_ctx: a whole number is wanted");
    if (rc != 0)
        return rc;
    rc = check_path(j->w, path, &err);
    if (rc == 0)
        rc = adapter ? ft_lodgers_add_adapter(&j->w->lodgers, *ret_name, model, path, &err)
                     : ft_lodgers_add_model(&j->w->lodgers, *ret_name, path, (int)ctx, &err);
    if (rc != 0)
        ft_oai_error_from(e, &err);
    return rc;
}

static int change(struct admin_job *j, struct ft_oai_error *e, const char **ret_name,
                  json_t **ret_body)
{
    struct ft_err err = {0};
    int rc = 0;
    *ret_name = j->name;
    switch (j->change) {
    case MODEL_ADD:
    case ADAPTER_ADD:
        return add(j, e, ret_name, ret_body);
    case MODEL_REMOVE:
    case ADAPTER_REMOVE:
        rc = ft_lodgers_remove(&j->w->lodgers, j->name, j->change == ADAPTER_REMOVE, &err);
        break;
    case MODEL_LOAD:
        rc = ft_engine_model_load(j->w->engine, j->name, NULL, NULL, &err);
        break;
    }
    if (rc != 0) {
        ft_oai_error_from(e, &err);
        e->retry_after_ms = rc == FT_EBUSY ? 1000 : 0;
    }
    return rc;
}

static void free_job(struct admin_job *j)
{
    ft_http_unref(j->x);
    free(j->name);
    free(j);
}

static void work(void *ctx)
{
    struct admin_job *j = ctx;
    struct ft_oai_error e;
    json_t *body = NULL;
    const char *name = NULL;
    ft_oai_error_init(&e);
    int rc = change(j, &e, &name, &body);
    if (rc == 0)
        ft_reply_value(j->x, 200, json_pack("{s:s, s:b}", "name", name, "ok", 1));
    else
        ft_reply_error(j->x, &e);
    json_decref(body);
    free_job(j);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct admin_job *j = ctx;
    struct ft_err err;
    j->body = data;
    j->body_n = n;
    x->user = NULL; /* it is the crew's now */
    int rc = ft_crew_post(j->w->admin, work, j);
    if (rc == 0)
        return;
    ft_err_set(&err, FT_EBUSY, "The worker has too many changes waiting.");
    ft_reply_err(x, &err);
    free_job(j);
}

/* The body never came. */
static void on_close(void *ctx, struct ft_http_exchange *x, bool clean)
{
    (void)ctx;
    (void)clean;
    if (x->user != NULL)
        free_job(x->user);
}

static bool find_change(const char *method, const char *rest, enum change *ret, char **ret_name)
{
    static const char models[] = "models/", adapters[] = "adapters/", load[] = "/load";
    bool post = strcmp(method, "POST") == 0, delete = strcmp(method, "DELETE") == 0;
    size_t n = strlen(rest), m = sizeof models - 1, a = sizeof adapters - 1, l = sizeof load - 1;
    *ret_name = NULL;
    if (post && (strcmp(rest, "models") == 0 || strcmp(rest, "adapters") == 0)) {
        *ret = rest[0] == 'm' ? MODEL_ADD : ADAPTER_ADD;
        return true;
    }
    if (post && strncmp(rest, models, m) == 0 && n > m + l && strcmp(rest + n - l, load) == 0) {
        *ret = MODEL_LOAD;
        *ret_name = strndup(rest + m, n - m - l);
    } else if (delete &&strncmp(rest, models, m) == 0 && n > m) {
        *ret = MODEL_REMOVE;
        *ret_name = strdup(rest + m);
    } else if (delete &&strncmp(rest, adapters, a) == 0 && n > a) {
        *ret = ADAPTER_REMOVE;
        *ret_name = strdup(rest + a);
    }
    return *ret_name != NULL;
}

void ft_admin_handle(struct ft_worker *w, struct ft_http_exchange *x, const char *rest)
{
    struct admin_job job = {.w = w}, *j = NULL;
    struct ft_err err;
    bool known = find_change(x->method, rest, &job.change, &job.name);
    if (!known || (j = malloc(sizeof *j)) == NULL) {
        free(job.name);
        ft_err_set(&err, known ? FT_ENOMEM : FT_ENOTFOUND,
                   known ? "request: no memory" : "No such route: %s %.200s", x->method, x->path);
        ft_reply_err(x, &err);
        return;
    }
    *j = job;
    j->x = ft_http_ref(x);
    x->user = j;
    ft_http_on_close(x, on_close, NULL);
    ft_http_body_collect(x, ADMIN_BODY_MAX, on_body, j);
}
