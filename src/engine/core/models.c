/* Residency and room: see models.h. */
#include "engine/core/core.h"

#include <stdlib.h>

#include "base/clock.h"

#define KV_BLOCKS_MIN 16384 /* a small model's cache may grow to so many at least */

/* What the budget leaves for KV beside the weights of one model and all adapters. */
static uint64_t left_beside(const struct ft_engine *e, uint64_t weights)
{
    uint64_t fixed = weights + e->budget.adapter_bytes;
    return e->budget.max_bytes > fixed ? e->budget.max_bytes - fixed : 0;
}

/* As many blocks as the budget could ever give it beside its own weights, or as are of use. */
static int count_blocks(const struct ft_engine *e, const struct ft_hosted *h, size_t block_bytes)
{
    uint64_t left = left_beside(e, ft_weights_bytes(h->src->weights));
    uint64_t per_seq = ((uint64_t)h->src->pub.n_ctx + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
    uint64_t n = left / block_bytes, useful = 4 * per_seq * (uint64_t)e->cfg.max_running;
    n = FT_MIN(n, FT_MAX(useful, KV_BLOCKS_MIN));
    return (int)FT_MIN(n, FT_BLOCKS_MAX);
}

int ft_models_blocks_max(const struct ft_engine *e, const struct ft_hosted *h)
{
    uint64_t weights =
        h->state == FT_MODEL_READY ? h->weight_bytes : ft_weights_bytes(h->src->weights);
    return (int)FT_MIN(left_beside(e, weights) / h->pool.block_bytes, (uint64_t)h->pool.n_max);
}

static int open_states(struct ft_engine *e, struct ft_hosted *h, struct ft_err *err)
{
    for (int i = 0; i < h->model->kv_shape.n_layer; i++)
        h->has_state |= h->model->kv_layer[i].state_bytes > 0;
    if (!h->has_state)
        return 0;
    h->n_state_free = e->cfg.max_running;
    h->state_free = calloc((size_t)h->n_state_free, sizeof *h->state_free);
    if (h->state_free == NULL)
        return ft_err_set(err, FT_ENOMEM, "recurrent states: no memory");
    for (int i = 0; i < h->n_state_free; i++)
        h->state_free[i] = i;
    return 0;
}

int ft_hosted_open(struct ft_engine *e, struct ft_hosted *h, struct ft_err *err)
{
    struct ft_model_config cfg = {.kv_type = e->cfg.kv_type, .max_rows = e->cfg.max_rows};
    int rc = ft_model_open(e->dev, h->src->weights, &cfg, &h->model, err);
    if (rc == 0)
        rc = open_states(e, h, err);
    size_t block_bytes = 1;
    int n_blocks = 0;
    if (rc == 0) {
        block_bytes = FT_MAX(ft_dev_kv_block_bytes(e->dev, &h->model->kv_shape), 1);
        n_blocks = count_blocks(e, h, block_bytes);
        if (n_blocks == 0)
            rc = ft_err_set(err, FT_ELIMIT,
                            "%llu bytes are needed (%llu of weights, %llu of adapters and one "
                            "KV block of %zu), the memory budget has %llu",
                            (unsigned long long)(ft_weights_bytes(h->src->weights) +
                                                 e->budget.adapter_bytes + block_bytes),
                            (unsigned long long)ft_weights_bytes(h->src->weights),
                            (unsigned long long)e->budget.adapter_bytes, block_bytes,
                            (unsigned long long)e->budget.max_bytes);
    }
    if (rc == 0)
        rc = ft_dev_kv_open(e->dev, &h->model->kv_shape, n_blocks, h->n_state_free, &h->kv, err);
    if (rc == 0)
        rc = ft_blocks_init(&h->pool, &e->budget, e->dev, h->kv, block_bytes, n_blocks, err);
    if (rc == 0)
        rc = ft_radix_init(&h->radix, &h->pool, &e->clock, err);
    if (rc == 0)
        rc = ft_sampler_reserve(&e->sampler, h->src->pub.hp.n_vocab, err);
    ft_spill_init(&h->spill, e->spill_dir, &e->spill_budget, block_bytes);
    h->opened = rc == 0;
    return rc;
}

void ft_hosted_drop(struct ft_engine *e, struct ft_hosted *h)
{
    if (h->state != FT_MODEL_READY)
        return;
    ft_radix_clear(&h->radix);
    ft_blocks_trim(&h->pool);
    ft_model_drop(h->model);
    e->budget.weight_bytes -= h->weight_bytes;
    h->weight_bytes = 0;
    h->state = FT_MODEL_COLD;
    h->dropped_ns = ft_clock_now_ns();
    e->count.unloads++;
}

void ft_hosted_close(struct ft_engine *e, struct ft_hosted *h)
{
    if (h == NULL)
        return;
    if (h->opened)
        ft_hosted_drop(e, h);
    ft_spill_fini(&h->spill);
    ft_radix_fini(&h->radix);
    ft_blocks_fini(&h->pool);
    ft_dev_kv_close(e->dev, h->kv);
    ft_model_close(h->model);
    free(h->state_free);
    free(h->adapter);
    if (h->src != NULL)
        ft_model_source_unref(&h->src->pub);
    free(h);
}

/* ---- room ---- */

static bool trim_others(struct ft_engine *e, const struct ft_hosted *h)
{
    bool any = false;
    for (int i = 0; i < e->n_models; i++)
        if (e->model[i] != h)
            any |= ft_blocks_trim(&e->model[i]->pool);
    return any;
}

/* Evicts the cached block that was not used for longest, of any model. */
static bool evict_oldest(struct ft_engine *e)
{
    struct ft_hosted *oldest = NULL;
    for (int i = 0; i < e->n_models; i++) {
        struct ft_hosted *m = e->model[i];
        uint64_t t = ft_radix_oldest(&m->radix);
        if (t != UINT64_MAX && (oldest == NULL || t < ft_radix_oldest(&oldest->radix)))
            oldest = m;
    }
    if (oldest == NULL)
        return false;
    e->count.evicted_blocks++;
    return ft_radix_evict(&oldest->radix);
}

/* Somebody waits for m who need not let h go first, and could come in. */
static bool is_awaited(const struct ft_engine *e, const struct ft_hosted *m,
                       const struct ft_hosted *h)
{
    int64_t now = e->drain == h ? ft_clock_now_ns() : 0;
    for (const struct ft_seq *s = m->wait_head; s != NULL; s = s->next)
        if (e->drain != h || (!ft_loop_gives_way(e, s, now) &&
                              (s->state != FT_SEQ_PREEMPTED || !ft_req_blocked(s->req))))
            return true;
    return false;
}

/* May m lose its weights for h? Never while a sequence of it holds KV. With requests of its own
 * waiting only when it has been told to make way for h, and only if they rank behind. As somebody's
 * draft it is a convenience, which gives way to everything. */
static bool may_drop(const struct ft_engine *e, const struct ft_hosted *m,
                     const struct ft_hosted *h)
{
    if (m == h || m->state != FT_MODEL_READY || m->n_state[FT_SEQ_PREFILL] > 0 ||
        m->n_state[FT_SEQ_DECODE] > 0 || m->n_state[FT_SEQ_PAUSED] > 0)
        return false;
    return !is_awaited(e, m, h);
}

static bool drop_idle(struct ft_engine *e, const struct ft_hosted *h)
{
    struct ft_hosted *oldest = NULL;
    for (int i = 0; i < e->n_models; i++) {
        struct ft_hosted *m = e->model[i];
        if (may_drop(e, m, h) && (oldest == NULL || m->used < oldest->used))
            oldest = m;
    }
    if (oldest == NULL)
        return false;
    for (int i = e->n_running - 1; i >= 0; i--) /* it may be somebody's draft */
        if (e->running[i]->req->draft == oldest)
            ft_spec_release(e, e->running[i]);
    ft_hosted_drop(e, oldest);
    return true;
}

int32_t ft_models_block(struct ft_engine *e, struct ft_hosted *h)
{
    for (;;) {
        int32_t b = ft_blocks_take(&h->pool);
        if (b >= 0)
            return b;
        if (h->pool.n_used == h->pool.n_max) { /* its own pool is the limit, not the bytes */
            if (!ft_radix_evict(&h->radix))
                return -1;
            e->count.evicted_blocks++;
            continue;
        }
        if (!trim_others(e, h) && !evict_oldest(e) && !ft_spec_release_any(e) && !drop_idle(e, h))
            return -1;
    }
}

int64_t ft_models_room(struct ft_engine *e, struct ft_hosted *h, int less_idle)
{
    const struct ft_budget *b = &e->budget;
    uint64_t held = ft_budget_held(b);
    int64_t bytes = (int64_t)b->max_bytes - (int64_t)held;
    for (int i = 0; i < e->n_models; i++) {
        const struct ft_hosted *m = e->model[i];
        bytes += (int64_t)(m->pool.n_warm + m->radix.n_idle) * (int64_t)m->pool.block_bytes;
        if (may_drop(e, m, h))
            bytes += (int64_t)m->weight_bytes;
    }
    bytes -= (int64_t)less_idle * (int64_t)h->pool.block_bytes;
    int64_t own = h->pool.n_max - h->pool.n_used + h->radix.n_idle - less_idle;
    return FT_MIN(bytes / (int64_t)h->pool.block_bytes, own);
}

/* ---- loading ---- */

struct load_progress {
    struct ft_engine *e;
    struct ft_hosted *h;
    void (*progress)(void *ctx, uint64_t done, uint64_t all);
    void *ctx;
};

static void note_progress(void *ctx, uint64_t done, uint64_t all)
{
    struct load_progress *p = ctx;
    pthread_mutex_lock(&p->e->lock);
    p->h->load_done = done;
    p->h->load_all = all;
    for (int i = 0; i < p->e->n_model_stats; i++)
        if (p->e->model[i] == p->h) {
            p->e->model_stats[i].state = FT_MODEL_LOADING;
            p->e->model_stats[i].load_done = done;
            p->e->model_stats[i].load_all = all;
        }
    pthread_mutex_unlock(&p->e->lock);
    if (p->progress != NULL)
        p->progress(p->ctx, done, all);
}

bool ft_models_make_room(struct ft_engine *e, struct ft_hosted *h, uint64_t bytes)
{
    struct ft_budget *b = &e->budget;
    while (ft_budget_held(b) + bytes > b->max_bytes)
        if (!trim_others(e, NULL) && !evict_oldest(e) && !ft_spec_release_any(e) &&
            !drop_idle(e, h))
            return false;
    return true;
}

int ft_models_ready(struct ft_engine *e, struct ft_hosted *h,
                    void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx,
                    struct ft_err *err)
{
    h->used = ++e->clock;
    if (h->state == FT_MODEL_READY)
        return 1;
    if (!ft_models_make_room(e, h, ft_weights_bytes(h->src->weights)))
        return 0;
    struct load_progress p = {e, h, progress, ctx};
    h->state = FT_MODEL_LOADING;
    h->load_begun_ns = ft_clock_now_ns();
    int rc = ft_model_load(h->model, note_progress, &p, err);
    h->load_ended_ns = ft_clock_now_ns();
    if (rc != 0) {
        h->state = FT_MODEL_FAILED;
        return rc;
    }
    h->state = FT_MODEL_READY;
    h->weight_bytes = ft_model_weight_bytes(h->model);
    e->budget.weight_bytes += h->weight_bytes;
    h->loads++;
    e->count.loads++;
    /* the device's own layout may take more than the file */
    ft_models_make_room(e, h, 0);
    return 1;
}
