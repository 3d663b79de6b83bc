/* See lodger.h. One lock around the table; opening files happens outside of it, and who comes
 * second with a name finds it taken by the engine's own check. */
#include "worker/lodger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- models ---- */

static void model_unref(struct ft_lodger_model *m)
{
    if (m == NULL || atomic_fetch_sub(&m->ref, 1) > 1)
        return;
    ft_prompter_close(m->prompter);
    ft_model_source_unref(m->source);
    free(m);
}

/* What the file recommends, in the keys that GGUF has for it. */
static void read_sampling(const struct ft_weights *w, struct ft_sampling *s)
{
    static const struct {
        const char *key;
        double lo, hi; /* lo itself only where it means something */
        size_t at;
    } floats[] = {
        {"general.sampling.temp", 0, 100, offsetof(struct ft_sampling, temperature)},
        {"general.sampling.top_p", 1e-6, 1, offsetof(struct ft_sampling, top_p)},
        {"general.sampling.min_p", 0, 1, offsetof(struct ft_sampling, min_p)},
        {"general.sampling.penalty_repeat", 1e-6, 10,
         offsetof(struct ft_sampling, repetition_penalty)},
    };
    for (size_t i = 0; i < FT_COUNT(floats); i++) {
        double v;
        if (!ft_meta_f64(w, floats[i].key, &v) || !(v >= floats[i].lo && v <= floats[i].hi))
            continue;
        float f = (float)v;
        memcpy((char *)s + floats[i].at, &f, sizeof f);
    }
    uint64_t top_k;
    if (ft_meta_u64(w, "general.sampling.top_k", &top_k) && top_k <= INT32_MAX)
        s->top_k = (int)top_k;
}

static int read_template(struct ft_lodger_model *m, struct ft_err *err)
{
    const struct ft_weights *w = m->source->weights;
    struct ft_slice text;
    if (ft_prompt_template_text(w, false, &text, NULL) != 0)
        return 0; /* completions only */
    m->dialect = ft_dialect_detect(text.p, text.n);
    m->thinks = memmem(text.p, text.n, "<think>", 7) != NULL;
    m->dialect_tools = m->dialect;
    if (ft_prompt_template_text(w, true, &text, NULL) == 0)
        m->dialect_tools = ft_dialect_detect(text.p, text.n);
    return ft_prompter_open(w, m->source->tokenizer, &m->prompter, err);
}

static int model_open(struct ft_engine *e, const char *name, struct ft_lodger_model **ret,
                      struct ft_err *err)
{
    struct ft_lodger_model *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "model %s: no memory", name);
    atomic_init(&m->ref, 1);
    struct ft_request r;
    ft_request_init(&r);
    m->sampling = r.sampling;
    int rc = ft_engine_model_source(e, name, &m->source, err);
    if (rc == 0)
        rc = read_template(m, err);
    if (rc == 0)
        read_sampling(m->source->weights, &m->sampling);
    if (rc != 0) {
        model_unref(m);
        return rc;
    }
    *ret = m;
    return 0;
}

/* ---- the table ---- */

int ft_lodgers_init(struct ft_lodgers *l, struct ft_engine *engine, struct ft_err *err)
{
    *l = (struct ft_lodgers){.engine = engine, .cap = FT_LODGERS_MAX};
    l->all = calloc((size_t)l->cap, sizeof(struct ft_lodger *));
    if (l->all == NULL)
        return ft_err_set(err, FT_ENOMEM, "models: no memory");
    pthread_mutex_init(&l->lock, NULL);
    return 0;
}

void ft_lodgers_fini(struct ft_lodgers *l)
{
    if (l->all == NULL)
        return;
    for (int i = 0; i < l->n; i++)
        ft_lodger_unref(l->all[i]);
    free(l->all);
    pthread_mutex_destroy(&l->lock);
    l->all = NULL;
}

/* Lock held. */
static int find(const struct ft_lodgers *l, const char *name)
{
    for (int i = 0; i < l->n; i++)
        if (strcmp(l->all[i]->name, name) == 0)
            return i;
    return -1;
}

struct ft_lodger *ft_lodgers_get(struct ft_lodgers *l, const char *name)
{
    struct ft_lodger *got = NULL;
    pthread_mutex_lock(&l->lock);
    int at = find(l, name);
    if (at >= 0) {
        got = l->all[at];
        atomic_fetch_add(&got->ref, 1);
    }
    pthread_mutex_unlock(&l->lock);
    return got;
}

void ft_lodger_unref(struct ft_lodger *l)
{
    if (l == NULL || atomic_fetch_sub(&l->ref, 1) > 1)
        return;
    model_unref(l->m);
    free(l->path);
    free(l);
}

/* Enters it; takes the reference to m. */
static int enter(struct ft_lodgers *l, const char *name, const char *base, const char *adapter,
                 const char *path, int n_ctx, struct ft_lodger_model *m, struct ft_err *err)
{
    struct ft_lodger *new = calloc(1, sizeof *new);
    if (new == NULL || (new->path = strdup(path)) == NULL) {
        free(new);
        model_unref(m);
        return ft_err_set(err, FT_ENOMEM, "model %s: no memory", name);
    }
    atomic_init(&new->ref, 1);
    new->m = m;
    new->n_ctx = n_ctx;
    new->created = (int64_t)time(NULL);
    snprintf(new->name, sizeof new->name, "%s", name);
    snprintf(new->base, sizeof new->base, "%s", base);
    snprintf(new->adapter, sizeof new->adapter, "%s", adapter);
    pthread_mutex_lock(&l->lock);
    int rc = find(l, name) >= 0 ? FT_EEXIST : l->n == l->cap ? FT_ELIMIT : 0;
    if (rc == 0)
        l->all[l->n++] = new;
    pthread_mutex_unlock(&l->lock);
    if (rc == 0)
        return 0;
    ft_lodger_unref(new);
    return rc == FT_EEXIST ? ft_err_set(err, FT_EEXIST, "model %s: there is one already", name)
                           : ft_err_set(err, FT_ELIMIT, "models: %d already", l->cap);
}

/* 1: it is here already, as asked; 0: it is not; FT_EEXIST: something else is. */
static int is_here(struct ft_lodgers *l, const char *name, const char *base, const char *path,
                   int n_ctx, struct ft_err *err)
{
    struct ft_lodger *have = ft_lodgers_get(l, name);
    if (have == NULL)
        return 0;
    bool same =
        strcmp(have->path, path) == 0 && strcmp(have->base, base) == 0 && have->n_ctx == n_ctx;
    ft_lodger_unref(have);
    return same ? 1
                : ft_err_set(err, FT_EEXIST, "%s: there is a model or adapter of that name", name);
}

int ft_lodgers_add_model(struct ft_lodgers *l, const char *name, const char *path, int n_ctx,
                         struct ft_err *err)
{
    struct ft_model_options opt = {.n_ctx = n_ctx};
    struct ft_lodger_model *m = NULL;
    int rc = is_here(l, name, name, path, n_ctx, err);
    if (rc != 0)
        return FT_MIN(rc, 0);
    rc = ft_engine_model_add(l->engine, name, path, &opt, err);
    if (rc != 0)
        return rc;
    rc = model_open(l->engine, name, &m, err);
    if (rc == 0)
        rc = enter(l, name, name, "", path, n_ctx, m, err);
    if (rc != 0)
        ft_engine_model_remove(l->engine, name, NULL);
    return rc;
}

int ft_lodgers_add_adapter(struct ft_lodgers *l, const char *name, const char *model,
                           const char *path, struct ft_err *err)
{
    struct ft_lodger *base = ft_lodgers_get(l, model);
    if (base == NULL || base->adapter[0] != '\0') {
        ft_lodger_unref(base);
        return ft_err_set(err, FT_ENOTFOUND, "model %s: not known", model);
    }
    int rc = is_here(l, name, model, path, 0, err);
    if (rc == 0) {
        rc = ft_engine_adapter_add(l->engine, model, name, path, err);
        if (rc == 0) {
            atomic_fetch_add(&base->m->ref, 1);
            rc = enter(l, name, model, name, path, 0, base->m, err);
            if (rc != 0)
                ft_engine_adapter_remove(l->engine, model, name, NULL);
        }
    }
    ft_lodger_unref(base);
    return FT_MIN(rc, 0);
}

/* Takes those out of the table that are called name, or are adapters of it. */
static int take_out(struct ft_lodgers *l, const char *name, struct ft_lodger **out)
{
    int n = 0, kept = 0;
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n; i++) {
        struct ft_lodger *x = l->all[i];
        if (strcmp(x->name, name) == 0 || strcmp(x->base, name) == 0)
            out[n++] = x;
        else
            l->all[kept++] = x;
    }
    l->n = kept;
    pthread_mutex_unlock(&l->lock);
    return n;
}

int ft_lodgers_remove(struct ft_lodgers *l, const char *name, bool adapter, struct ft_err *err)
{
    struct ft_lodger *have = ft_lodgers_get(l, name);
    bool right = have != NULL && (have->adapter[0] != '\0') == adapter;
    char base[FT_ENGINE_ID_MAX] = "";
    if (right)
        memcpy(base, have->base, sizeof base);
    ft_lodger_unref(have);
    if (!right)
        return ft_err_set(err, FT_ENOTFOUND, "%s %s: not known", adapter ? "adapter" : "model",
                          name);
    struct ft_lodger **gone = calloc((size_t)l->cap, sizeof(struct ft_lodger *));
    if (gone == NULL)
        return ft_err_set(err, FT_ENOMEM, "models: no memory");
    int n = take_out(l, name, gone);
    int rc = adapter ? ft_engine_adapter_remove(l->engine, base, name, err)
                     : ft_engine_model_remove(l->engine, name, err);
    for (int i = 0; i < n; i++)
        ft_lodger_unref(gone[i]);
    free(gone);
    return rc;
}

json_t *ft_lodgers_list(struct ft_lodgers *l)
{
    json_t *list = json_array();
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n && list != NULL; i++) {
        const struct ft_lodger *x = l->all[i];
        json_t *row =
            json_pack("{s:s, s:I, s:s, s:i}", "id", x->name, "created", (json_int_t)x->created,
                      "owned_by", "feitian", "context_length", x->m->source->n_ctx);
        if (row != NULL && x->adapter[0] != '\0')
            json_object_set_new(row, "parent", json_string(x->base));
        json_array_append_new(list, row);
    }
    pthread_mutex_unlock(&l->lock);
    return list;
}

void ft_lodgers_describe(struct ft_lodgers *l, json_t *models, json_t *adapters)
{
    pthread_mutex_lock(&l->lock);
    for (int i = 0; i < l->n; i++) {
        const struct ft_lodger *x = l->all[i];
        if (x->adapter[0] != '\0')
            json_array_append_new(adapters, json_pack("{s:s, s:s, s:s}", "name", x->name, "path",
                                                      x->path, "model", x->base));
        else
            json_array_append_new(models, json_pack("{s:s, s:s, s:i}", "name", x->name, "path",
                                                    x->path, "n_ctx", x->m->source->n_ctx));
    }
    pthread_mutex_unlock(&l->lock);
}
