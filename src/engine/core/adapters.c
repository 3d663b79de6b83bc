/* Adapters of an engine: see adapters.h. The table of each model is sorted by id. */
#include "engine/core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- the table ---- */

/* Where id is in the table of h, or with *found false where it would go. */
static int place_of(const struct ft_hosted *h, const char *id, bool *found)
{
    int low = 0, high = h->n_adapters;
    *found = false;
    while (low < high && !*found) {
        int mid = (low + high) / 2, c = strcmp(h->adapter[mid]->id, id);
        *found = c == 0;
        if (c == 0)
            low = mid;
        else if (c < 0)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct ft_hosted_adapter *ft_hosted_adapter_hold(struct ft_engine *e, const struct ft_hosted *h,
                                                 const char *id)
{
    struct ft_hosted_adapter *a = NULL;
    bool found;
    pthread_mutex_lock(&e->lock);
    int at = place_of(h, id, &found);
    if (found) {
        a = h->adapter[at];
        a->n_ref++;
    }
    pthread_mutex_unlock(&e->lock);
    return a;
}

void ft_hosted_adapter_unhold(struct ft_engine *e, struct ft_hosted_adapter *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&e->lock);
    bool last = --a->n_ref == 0;
    pthread_mutex_unlock(&e->lock);
    if (last)
        ft_engine_wake(e); /* it was removed meanwhile, and is freed by the owner */
}

static int insert(struct ft_engine *e, struct ft_hosted_adapter *a, int at, struct ft_err *err)
{
    struct ft_hosted *h = a->m;
    int rc = 0;
    pthread_mutex_lock(&e->lock);
    if (h->n_adapters == h->cap_adapters) {
        int cap = 2 * h->cap_adapters + 16;
        struct ft_hosted_adapter **grown = realloc(h->adapter, (size_t)cap * sizeof(void *));
        if (grown == NULL) {
            rc = ft_err_set(err, FT_ENOMEM, "adapter %s: no memory", a->id);
        } else {
            h->adapter = grown;
            h->cap_adapters = cap;
        }
    }
    if (rc == 0) {
        memmove(&h->adapter[at + 1], &h->adapter[at],
                (size_t)(h->n_adapters - at) * sizeof(struct ft_hosted_adapter *));
        h->adapter[at] = a;
        h->n_adapters++;
        a->n_ref = 1;
    }
    pthread_mutex_unlock(&e->lock);
    return rc;
}

/* Adapters stay while weights come and go: every model must still fit beside all of them. */
static int check_fits(const struct ft_engine *e, const struct ft_hosted_adapter *a,
                      struct ft_err *err)
{
    const struct ft_budget *b = &e->budget;
    for (int i = 0; i < e->n_models; i++) {
        const struct ft_hosted *m = e->model[i];
        uint64_t weights =
            m->state == FT_MODEL_READY ? m->weight_bytes : ft_weights_bytes(m->src->weights);
        if (b->adapter_bytes + a->bytes + weights + m->pool.block_bytes > b->max_bytes)
            return ft_err_set(err, FT_ELIMIT,
                              "adapter %s: its %llu bytes, %llu of other adapters and %llu of "
                              "the weights of %s do not fit the memory budget of %llu bytes",
                              a->id, (unsigned long long)a->bytes,
                              (unsigned long long)b->adapter_bytes, (unsigned long long)weights,
                              m->src->id, (unsigned long long)b->max_bytes);
    }
    return 0;
}

int ft_hosted_adapter_enter(struct ft_engine *e, struct ft_hosted_adapter *a, struct ft_err *err)
{
    struct ft_hosted *h = a->m;
    bool found;
    int at = place_of(h, a->id, &found);
    if (h->removed)
        return ft_err_set(err, FT_ENOTFOUND, "model %s was removed", h->src->id);
    if (found)
        return ft_err_set(err, FT_EEXIST, "adapter %s: model %s has one of that id already", a->id,
                          h->src->id);
    if (e->n_adapters == FT_ENGINE_ADAPTERS_MAX)
        return ft_err_set(err, FT_ELIMIT, "adapters: %d already", FT_ENGINE_ADAPTERS_MAX);
    int rc = check_fits(e, a, err);
    if (rc == 0 && !ft_models_make_room(e, h, a->bytes))
        rc = ft_err_set(err, FT_EBUSY, "adapter %s: models in use hold the memory", a->id);
    if (rc == 0)
        rc = insert(e, a, at, err);
    if (rc != 0)
        return rc;
    a->serial = ++e->adapter_serials;
    e->n_adapters++;
    e->budget.adapter_bytes += a->bytes;
    return 0;
}

static void remove_at(struct ft_engine *e, struct ft_hosted *h, int at)
{
    struct ft_hosted_adapter *a = h->adapter[at];
    a->removed = true;
    pthread_mutex_lock(&e->lock);
    memmove(&h->adapter[at], &h->adapter[at + 1],
            (size_t)(h->n_adapters - at - 1) * sizeof(struct ft_hosted_adapter *));
    h->n_adapters--;
    a->n_ref--;
    pthread_mutex_unlock(&e->lock);
    e->n_adapters--;
    a->next_gone = e->gone_adapters;
    e->gone_adapters = a;
}

int ft_hosted_adapter_remove(struct ft_engine *e, const char *model, const char *id,
                             struct ft_err *err)
{
    for (int i = 0; i < e->n_models; i++) {
        struct ft_hosted *h = e->model[i];
        bool found;
        if (strcmp(h->src->id, model) != 0)
            continue;
        int at = place_of(h, id, &found);
        if (!found)
            return ft_err_set(err, FT_ENOTFOUND, "adapter %s: model %s has none of that id", id,
                              model);
        struct ft_hosted_adapter *a = h->adapter[at];
        for (struct ft_req *q = e->requests, *next; q != NULL; q = next) {
            next = q->next;
            if (q->adapter == a)
                ft_loop_cancel(e, q);
        }
        remove_at(e, h, at);
        ft_engine_reap(e);
        return 0;
    }
    return ft_err_set(err, FT_ENOTFOUND, "model %s: not known", model);
}

void ft_hosted_adapters_clear(struct ft_engine *e, struct ft_hosted *h)
{
    while (h->n_adapters > 0)
        remove_at(e, h, h->n_adapters - 1);
}

/* One that is in no table; its bytes are in the budget if it ever was. Any thread before that. */
static void destroy(struct ft_engine *e, struct ft_hosted_adapter *a)
{
    struct ft_hosted *h = a->m;
    ft_model_adapter_close(h->model, a->on_dev);
    free(a);
    ft_hosted_unhold(e, h);
}

void ft_hosted_adapters_reap(struct ft_engine *e)
{
    for (struct ft_hosted_adapter **at = &e->gone_adapters; *at != NULL;) {
        struct ft_hosted_adapter *a = *at;
        pthread_mutex_lock(&e->lock);
        bool held = a->n_ref > 0;
        pthread_mutex_unlock(&e->lock);
        if (held) {
            at = &a->next_gone;
            continue;
        }
        *at = a->next_gone;
        e->budget.adapter_bytes -= a->bytes;
        destroy(e, a);
    }
}

size_t ft_hosted_adapter_salt(const struct ft_req *q, unsigned char *key)
{
    uint64_t serial = q->adapter != NULL ? q->adapter->serial : 0;
    _Static_assert(sizeof serial + FT_REQUEST_SALT_BYTES <= FT_RADIX_SALT_BYTES, "key");
    memcpy(key, &serial, sizeof serial);
    if (q->r.salt.n > 0)
        memcpy(key + sizeof serial, q->r.salt.p, q->r.salt.n);
    return sizeof serial + q->r.salt.n;
}

/* ---- calls ---- */

static int make(struct ft_hosted *h, const char *id, const struct ft_adapter *a,
                struct ft_hosted_adapter **ret_a, struct ft_err *err)
{
    struct ft_hosted_adapter *n = calloc(1, sizeof *n);
    if (n == NULL)
        return ft_err_set(err, FT_ENOMEM, "adapter %s: no memory", id);
    int rc = ft_model_adapter_open(h->model, a, &n->on_dev, err);
    if (rc != 0) {
        free(n);
        return rc;
    }
    snprintf(n->id, sizeof n->id, "%s", id);
    n->m = h;
    n->bytes = n->on_dev->lora->bytes;
    n->n_pairs = a->n;
    for (int i = 0; i < a->n; i++)
        n->rank_max = FT_MAX(n->rank_max, a->pair[i].rank);
    *ret_a = n;
    return 0;
}

/* h is held by the caller, and given back by the adapter's end. */
static int add(struct ft_engine *e, struct ft_hosted *h, const char *id, const struct ft_adapter *a,
               struct ft_err *err)
{
    struct ft_hosted_adapter *n = NULL;
    struct ft_reply r = {0};
    int rc = make(h, id, a, &n, err);
    if (rc != 0) {
        ft_hosted_unhold(e, h);
        return rc;
    }
    struct ft_msg m = {.kind = FT_MSG_ADAPTER_ADD, .adapter = n};
    rc = ft_engine_ask(e, &m, &r, err);
    if (rc != 0)
        destroy(e, n);
    return rc;
}

/* Checked before files are read; the owner checks again. */
static int hold_for(struct ft_engine *e, const char *model, const char *id,
                    struct ft_hosted **ret_h, struct ft_err *err)
{
    int rc = ft_engine_check_id("adapter", id, err);
    if (rc != 0)
        return rc;
    struct ft_hosted *h = ft_hosted_hold(e, model);
    if (h == NULL)
        return ft_err_set(err, FT_ENOTFOUND, "model %s: not known",
                          model != NULL ? model : "(none)");
    struct ft_hosted_adapter *there = ft_hosted_adapter_hold(e, h, id);
    if (there != NULL) {
        ft_hosted_adapter_unhold(e, there);
        ft_hosted_unhold(e, h);
        return ft_err_set(err, FT_EEXIST, "adapter %s: model %s has one of that id already", id,
                          model);
    }
    *ret_h = h;
    return 0;
}

int ft_engine_adapter_add_open(struct ft_engine *e, const char *model, const char *id,
                               const struct ft_adapter *a, struct ft_err *err)
{
    struct ft_hosted *h = NULL;
    int rc = hold_for(e, model, id, &h, err);
    return rc != 0 ? rc : add(e, h, id, a, err);
}

int ft_engine_adapter_add(struct ft_engine *e, const char *model, const char *id,
                          const char *folder, struct ft_err *err)
{
    struct ft_hosted *h = NULL;
    struct ft_adapter *a = NULL;
    int rc = hold_for(e, model, id, &h, err);
    if (rc != 0)
        return rc;
    rc = ft_adapter_open(folder, h->src->weights, &a, err);
    if (rc != 0) {
        ft_hosted_unhold(e, h);
        return rc;
    }
    rc = add(e, h, id, a, err);
    ft_adapter_close(a);
    return rc;
}

int ft_engine_adapter_remove(struct ft_engine *e, const char *model, const char *id,
                             struct ft_err *err)
{
    if (model == NULL || id == NULL)
        return ft_err_set(err, FT_EINVAL, "%s id: none given", model == NULL ? "model" : "adapter");
    struct ft_msg m = {.kind = FT_MSG_ADAPTER_REMOVE, .name = model, .name2 = id};
    struct ft_reply r = {0};
    return ft_engine_ask(e, &m, &r, err);
}

int ft_engine_adapter_stats(struct ft_engine *e, struct ft_adapter_stats *ret, int n)
{
    int known = 0;
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < e->n_models; i++) {
        const struct ft_hosted *h = e->model[i];
        for (int k = 0; k < h->n_adapters; k++, known++) {
            struct ft_hosted_adapter *a = h->adapter[k];
            if (known >= n)
                continue;
            struct ft_adapter_stats *s = &ret[known];
            memcpy(s->model, h->src->id, sizeof s->model);
            memcpy(s->id, a->id, sizeof s->id);
            s->bytes = a->bytes;
            s->pairs = a->n_pairs;
            s->rank_max = a->rank_max;
            s->requests = atomic_load(&a->n_requests);
            s->generated_tokens = atomic_load(&a->generated_tokens);
        }
    }
    pthread_mutex_unlock(&e->lock);
    return known;
}
