/* The engine's calls and its owner thread. See engine.h and README.md.
 *
 * Calls check and allocate on the caller's thread, then post a message; the owner thread takes
 * messages between steps and otherwise steps, or sleeps when there is nothing to do. */
#include "engine/core/core.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"

#define MESSAGES_PER_STEP 256
#define IDLE_WAIT_MS      20 /* while somebody waits for room that time alone may bring */
#define TEXT_BYTES_MAX    (1u << 20)

static _Thread_local const struct ft_engine *owner_of;

bool ft_engine_is_owner(const struct ft_engine *e)
{
    return owner_of == e;
}

static void wake_engine(void *engine)
{
    struct ft_msg m = {.kind = FT_MSG_WAKE};
    ft_mailbox_try_post(((struct ft_engine *)engine)->box, &m); /* full: it is awake */
}

/* ---- the owner: messages ---- */

void ft_engine_wake(struct ft_engine *e)
{
    if (!ft_engine_is_owner(e))
        wake_engine(e);
}

static struct ft_req *find_request(struct ft_engine *e, uint64_t id)
{
    struct ft_req *q = e->hash[id % FT_ENGINE_HASH_SIZE];
    while (q != NULL && q->id != id)
        q = q->hash_next;
    return q;
}

static void enter_request(struct ft_engine *e, struct ft_req *q)
{
    struct ft_req **bucket = &e->hash[q->id % FT_ENGINE_HASH_SIZE];
    q->hash_next = *bucket;
    *bucket = q;
    q->next = e->requests;
    if (q->next != NULL)
        q->next->prev = q;
    e->requests = q;
    q->caller = ft_sched_caller_get(&e->sched, q->r.caller, q->r.caller_weight);
    if (q->r.prefix_cache && !q->m->has_state) {
        unsigned char key[FT_RADIX_SALT_BYTES];
        q->root = ft_radix_root_get(&q->m->radix, key, ft_hosted_adapter_salt(q, key));
    }
    q->m->n_requests++;
    if (q->draft != NULL)
        q->draft->n_requests++;
    if (q->adapter != NULL)
        atomic_fetch_add(&q->adapter->n_requests, 1);
    q->m->prompt_tokens += (uint64_t)q->usage.prompt_tokens;
    e->count.prompt_tokens += (uint64_t)q->usage.prompt_tokens;
    e->count.requests++;
    for (int i = 0; i < q->n_seq; i++)
        ft_seq_enter(e, &q->seq[i]);
    struct ft_err err;
    if (q->m->removed)
        ft_err_set(&err, FT_ENOTFOUND, "model %s was removed", q->m->src->id);
    else if (q->adapter != NULL && q->adapter->removed)
        ft_err_set(&err, FT_ENOTFOUND, "adapter %s was removed", q->adapter->id);
    else {
        ft_resume_tell(e, q);
        return;
    }
    ft_loop_fail(e, q, &err);
}

void ft_hosted_unhold(struct ft_engine *e, struct ft_hosted *h)
{
    pthread_mutex_lock(&e->lock);
    bool last = --h->n_ref == 0;
    pthread_mutex_unlock(&e->lock);
    if (last)
        ft_engine_wake(e); /* it was removed meanwhile, and is freed by the owner */
}

void ft_engine_reap(struct ft_engine *e)
{
    while (e->dead != NULL) {
        struct ft_req *q = e->dead;
        e->dead = q->next;
        ft_hosted_unhold(e, q->m);
        if (q->draft != NULL)
            ft_hosted_unhold(e, q->draft);
        ft_hosted_adapter_unhold(e, q->adapter);
        ft_req_free(q);
    }
    ft_hosted_adapters_reap(e);
    for (struct ft_hosted **at = &e->gone; *at != NULL;) {
        struct ft_hosted *h = *at;
        pthread_mutex_lock(&e->lock);
        bool held = h->n_ref > 0;
        pthread_mutex_unlock(&e->lock);
        if (held) {
            at = &h->next_gone;
            continue;
        }
        *at = h->next_gone;
        ft_hosted_close(e, h);
    }
}

/* Requests cancelled inside a callback end here, between steps. */
static void sweep(struct ft_engine *e)
{
    for (struct ft_req *q = e->requests, *next; q != NULL && !e->swept; q = next) {
        next = q->next;
        if (q->cancelled) {
            ft_loop_cancel(e, q);
            e->again = true;
        }
    }
    e->swept = true;
}

static int find_model(const struct ft_engine *e, const char *id)
{
    for (int i = 0; i < e->n_models; i++)
        if (strcmp(e->model[i]->src->id, id) == 0)
            return i;
    return -1;
}

/* A model that was not added: its files stay the caller's. */
static void discard(struct ft_engine *e, struct ft_hosted *h)
{
    if (h->src != NULL) {
        h->src->weights = NULL;
        h->src->tokenizer = NULL;
    }
    ft_hosted_close(e, h);
}

static int try_add(struct ft_engine *e, struct ft_hosted *h, struct ft_err *err)
{
    if (find_model(e, h->src->id) >= 0)
        return ft_err_set(err, FT_EEXIST, "model %s: there is one already", h->src->id);
    if (e->n_models == FT_ENGINE_MODELS_MAX)
        return ft_err_set(err, FT_ELIMIT, "models: %d already", FT_ENGINE_MODELS_MAX);
    int rc = ft_hosted_open(e, h, err);
    size_t words = ((size_t)h->src->pub.hp.n_vocab + 31) / 32;
    if (rc == 0 && (int)words > e->mask_words) {
        uint32_t *grown = realloc(e->mask, words * sizeof *grown);
        if (grown == NULL)
            return ft_err_set(err, FT_ENOMEM, "model: no memory");
        e->mask = grown;
        e->mask_words = (int)words;
    }
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&e->lock);
    h->n_ref = 1;
    e->model[e->n_models++] = h;
    pthread_mutex_unlock(&e->lock);
    return 0;
}

static int add_model(struct ft_engine *e, struct ft_hosted *h, struct ft_err *err)
{
    int rc = try_add(e, h, err);
    if (rc != 0)
        discard(e, h); /* here: it has things of the device, which only this thread may use */
    return rc;
}

static void remove_at(struct ft_engine *e, int at)
{
    struct ft_hosted *h = e->model[at];
    h->removed = true;
    for (struct ft_req *q = e->requests, *next; q != NULL; q = next) {
        next = q->next;
        if (q->m == h)
            ft_loop_cancel(e, q);
        for (int i = 0; i < q->n_seq && q->draft == h; i++)
            ft_spec_release(e, &q->seq[i]);
    }
    if (e->drain == h)
        e->drain = NULL;
    ft_hosted_adapters_clear(e, h);
    ft_hosted_drop(e, h); /* requests that have it as a draft may keep the rest of it for long */
    pthread_mutex_lock(&e->lock);
    memmove(&e->model[at], &e->model[at + 1],
            (size_t)(e->n_models - at - 1) * sizeof(struct ft_hosted *));
    e->n_models--;
    h->n_ref--;
    pthread_mutex_unlock(&e->lock);
    h->next_gone = e->gone;
    e->gone = h;
}

static int remove_model(struct ft_engine *e, const char *id, struct ft_err *err)
{
    int at = find_model(e, id);
    if (at < 0)
        return ft_err_set(err, FT_ENOTFOUND, "model %s: not known", id);
    remove_at(e, at);
    ft_engine_reap(e);
    return 0;
}

static int load_model(struct ft_engine *e, const char *id, struct ft_reply *r, struct ft_err *err)
{
    int at = find_model(e, id);
    if (at < 0)
        return ft_err_set(err, FT_ENOTFOUND, "model %s: not known", id);
    int rc = ft_models_ready(e, e->model[at], r->progress, r->ctx, err);
    if (rc == 0)
        return ft_err_set(err, FT_EBUSY, "model %s: models in use hold the memory", id);
    return FT_MIN(rc, 0);
}

static void answer(struct ft_engine *e, struct ft_reply *r, int rc, const struct ft_err *err)
{
    ft_engine_snapshot(e); /* whoever asked sees the change */
    pthread_mutex_lock(&r->lock);
    r->rc = rc;
    if (rc != 0)
        r->err = *err;
    r->done = true;
    pthread_cond_signal(&r->cond);
    pthread_mutex_unlock(&r->lock);
}

static void handle(struct ft_engine *e, const struct ft_msg *m)
{
    struct ft_err err;
    struct ft_req *q;
    switch (m->kind) {
    case FT_MSG_SUBMIT:
        enter_request(e, m->req);
        break;
    case FT_MSG_CANCEL:
        if ((q = find_request(e, m->id)) != NULL)
            ft_loop_cancel(e, q);
        break;
    case FT_MSG_PAUSE:
    case FT_MSG_RESUME:
        if ((q = find_request(e, m->id)) != NULL)
            q->paused = m->kind == FT_MSG_PAUSE;
        break;
    case FT_MSG_WAKE:
        break;
    case FT_MSG_MODEL_ADD:
        answer(e, m->reply, add_model(e, m->hosted, &err), &err);
        break;
    case FT_MSG_MODEL_REMOVE:
        answer(e, m->reply, remove_model(e, m->name, &err), &err);
        break;
    case FT_MSG_MODEL_LOAD:
        answer(e, m->reply, load_model(e, m->name, m->reply, &err), &err);
        break;
    case FT_MSG_ADAPTER_ADD:
        answer(e, m->reply, ft_hosted_adapter_enter(e, m->adapter, &err), &err);
        break;
    case FT_MSG_ADAPTER_REMOVE:
        answer(e, m->reply, ft_hosted_adapter_remove(e, m->name, m->name2, &err), &err);
        break;
    }
}

/* ---- the owner: snapshot ---- */

static void snapshot_model(struct ft_hosted *h, struct ft_model_stats *m)
{
    memcpy(m->id, h->src->id, sizeof m->id);
    m->state = h->state;
    m->weight_bytes = h->weight_bytes;
    m->adapters = h->n_adapters;
    m->load_done = h->load_done;
    m->load_all = h->load_all;
    m->running = h->n_state[FT_SEQ_PREFILL] + h->n_state[FT_SEQ_DECODE];
    m->waiting = h->n_state[FT_SEQ_WAITING] + h->n_state[FT_SEQ_FORKING];
    m->blocks_used = h->pool.n_used;
    m->blocks_cached = h->radix.n_idle;
    m->blocks_max = h->pool.n_max;
    m->block_bytes = h->pool.block_bytes;
    m->prompt_tokens = h->prompt_tokens;
    m->cached_tokens = h->cached_tokens;
    m->generated_tokens = h->generated_tokens;
    m->loads = h->loads;
}

void ft_engine_snapshot(struct ft_engine *e)
{
    struct ft_engine_stats s = e->count;
    s.running = e->n_state[FT_SEQ_PREFILL] + e->n_state[FT_SEQ_DECODE];
    s.waiting = e->n_state[FT_SEQ_WAITING] + e->n_state[FT_SEQ_FORKING];
    s.preempted = e->n_state[FT_SEQ_PREEMPTED];
    s.paused = e->n_state[FT_SEQ_PAUSED];
    s.models = e->n_models;
    s.memory_bytes = e->budget.max_bytes;
    s.weight_bytes = e->budget.weight_bytes;
    s.adapters = e->n_adapters;
    s.adapter_bytes = e->budget.adapter_bytes;
    s.kv_bytes = e->budget.kv_bytes;
    s.spill_bytes = e->spill_budget.used_bytes;
    pthread_mutex_lock(&e->lock);
    for (int i = 0; i < e->n_models; i++) {
        struct ft_hosted *h = e->model[i];
        s.models_ready += h->state == FT_MODEL_READY;
        s.kv_cached_bytes += (uint64_t)h->radix.n_idle * h->pool.block_bytes;
        snapshot_model(h, &e->model_stats[i]);
    }
    e->n_model_stats = e->n_models;
    e->stats = s;
    pthread_mutex_unlock(&e->lock);
}

/* ---- the owner: the loop ---- */

static int64_t wait_ms(struct ft_engine *e, bool busy)
{
    bool again = e->again || !e->swept;
    e->again = false;
    if (busy || again)
        return 0;
    return e->n_state[FT_SEQ_WAITING] + e->n_state[FT_SEQ_PREEMPTED] > 0 ? IDLE_WAIT_MS : -1;
}

static void *owner_main(void *arg)
{
    struct ft_engine *e = arg;
    owner_of = e;
    bool busy = false;
    ft_engine_snapshot(e);
    for (;;) {
        struct ft_msg m;
        int rc = ft_mailbox_take(e->box, &m, wait_ms(e, busy));
        for (int n = 0; rc == 0; n++) {
            handle(e, &m);
            rc = n < MESSAGES_PER_STEP ? ft_mailbox_take(e->box, &m, 0) : FT_EBUSY;
        }
        if (rc == FT_ECANCELED)
            break;
        sweep(e);
        busy = ft_loop_step(e);
        sweep(e);
        ft_engine_reap(e);
        ft_engine_snapshot(e);
    }
    while (e->requests != NULL) {
        ft_loop_cancel(e, e->requests);
        ft_engine_reap(e);
    }
    while (e->n_models > 0)
        remove_at(e, e->n_models - 1);
    ft_engine_reap(e);
    return NULL;
}

/* ---- opening and closing ---- */

static int check_config(const struct ft_engine_config *c, struct ft_err *err)
{
    if ((unsigned)c->kv_type > FT_KV_Q8)
        return ft_err_set(err, FT_EINVAL, "kv_type: %d is not one", (int)c->kv_type);
    if (c->max_rows < 1 || c->max_rows > FT_ENGINE_ROWS_MAX)
        return ft_err_set(err, FT_EINVAL, "max_rows: %d, must be 1 to %d", c->max_rows,
                          FT_ENGINE_ROWS_MAX);
    if (c->max_running < 1 || c->max_running > FT_ENGINE_RUNNING_MAX)
        return ft_err_set(err, FT_EINVAL, "max_running: %d, must be 1 to %d", c->max_running,
                          FT_ENGINE_RUNNING_MAX);
    if (c->max_requests < 1 || c->max_requests > FT_ENGINE_REQUESTS_MAX)
        return ft_err_set(err, FT_EINVAL, "max_requests: %d, must be 1 to %d", c->max_requests,
                          FT_ENGINE_REQUESTS_MAX);
    if (c->spill_dir != NULL && access(c->spill_dir, W_OK | X_OK) != 0)
        return ft_err_sys(err, "spill_dir %s", c->spill_dir);
    return 0;
}

static uint64_t default_memory(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGE_SIZE);
    return pages > 0 && size > 0 ? (uint64_t)pages / 4 * 3 * (uint64_t)size : 1ull << 30;
}

static void destroy(struct ft_engine *e)
{
    ft_mailbox_close(e->box);
    ft_sampler_fini(&e->sampler);
    ft_sched_fini(&e->sched);
    ft_buf_fini(&e->piece);
    ft_buf_fini(&e->text);
    pthread_mutex_destroy(&e->lock);
    free(e->row_token);
    free(e->row_pos);
    free(e->row_out);
    free(e->mask);
    free(e->block_copy);
    free(e->spill_dir);
    free(e);
}

static int allocate(struct ft_engine *e, struct ft_err *err)
{
    size_t rows = (size_t)e->cfg.max_rows;
    e->row_token = calloc(rows, sizeof *e->row_token);
    e->row_pos = calloc(rows, sizeof *e->row_pos);
    e->row_out = calloc(rows, sizeof *e->row_out);
    ft_buf_init(&e->piece, TEXT_BYTES_MAX);
    ft_buf_init(&e->text, TEXT_BYTES_MAX);
    if (e->cfg.spill_dir != NULL)
        e->spill_dir = strdup(e->cfg.spill_dir);
    if (e->row_token == NULL || e->row_pos == NULL || e->row_out == NULL ||
        (e->cfg.spill_dir != NULL && e->spill_dir == NULL))
        return ft_err_set(err, FT_ENOMEM, "engine: no memory");
    e->cfg.spill_dir = e->spill_dir;
    int rc = ft_sched_init(&e->sched, err);
    if (rc == 0)
        rc = ft_mailbox_open(2 * (size_t)e->cfg.max_requests + 64, sizeof(struct ft_msg), &e->box,
                             err);
    return rc;
}

int ft_engine_open(struct ft_dev *dev, const struct ft_engine_config *cfg, struct ft_engine **ret_e,
                   struct ft_err *err)
{
    int rc = check_config(cfg, err);
    if (rc != 0)
        return rc;
    struct ft_engine *e = calloc(1, sizeof *e);
    if (e == NULL)
        return ft_err_set(err, FT_ENOMEM, "engine: no memory");
    e->cfg = *cfg;
    e->dev = dev;
    e->swept = true;
    e->budget.max_bytes = cfg->memory_bytes != 0 ? cfg->memory_bytes : default_memory();
    e->spill_budget.max_bytes = cfg->spill_bytes;
    pthread_mutex_init(&e->lock, NULL);
    rc = allocate(e, err);
    if (rc == 0 && pthread_create(&e->thread, NULL, owner_main, e) != 0)
        rc = ft_err_sys(err, "engine: thread");
    if (rc != 0) {
        destroy(e);
        return rc;
    }
    *ret_e = e;
    return 0;
}

void ft_engine_close(struct ft_engine *e)
{
    if (e == NULL)
        return;
    FT_ASSERT(!ft_engine_is_owner(e));
    ft_mailbox_shut(e->box);
    pthread_join(e->thread, NULL);
    destroy(e);
}

/* ---- models ---- */

/* Posts a message and waits for the owner's answer. */
int ft_engine_ask(struct ft_engine *e, struct ft_msg *m, struct ft_reply *r, struct ft_err *err)
{
    if (ft_engine_is_owner(e))
        return ft_err_set(err, FT_EINVAL,
                          "models and adapters cannot be changed from an event callback");
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->cond, NULL);
    m->reply = r;
    int rc = ft_mailbox_post(e->box, m);
    if (rc == 0) {
        pthread_mutex_lock(&r->lock);
        while (!r->done)
            pthread_cond_wait(&r->cond, &r->lock);
        pthread_mutex_unlock(&r->lock);
        rc = r->rc;
        if (rc != 0 && err != NULL)
            *err = r->err;
    } else {
        rc = ft_err_set(err, FT_ECANCELED, "the engine is closing");
    }
    pthread_mutex_destroy(&r->lock);
    pthread_cond_destroy(&r->cond);
    return rc;
}

int ft_engine_check_id(const char *what, const char *id, struct ft_err *err)
{
    size_t n = id != NULL ? strlen(id) : 0;
    if (n > 0 && n < FT_ENGINE_ID_MAX)
        return 0;
    return ft_err_set(err, FT_EINVAL, "%s id: %zu bytes, must be 1 to %d", what, n,
                      FT_ENGINE_ID_MAX - 1);
}

int ft_engine_model_add_open(struct ft_engine *e, const char *id, struct ft_weights *w,
                             struct ft_tokenizer *t, const struct ft_model_options *opt,
                             struct ft_err *err)
{
    int rc = ft_engine_check_id("model", id, err);
    if (rc != 0)
        return rc;
    struct ft_hosted *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ft_err_set(err, FT_ENOMEM, "model %s: no memory", id);
    h->spill.fd = -1;
    struct ft_reply r = {0};
    rc = ft_source_open(id, w, t, opt != NULL ? opt->n_ctx : 0, &h->src, err);
    if (rc == 0) {
        struct ft_msg m = {.kind = FT_MSG_MODEL_ADD, .hosted = h};
        rc = ft_engine_ask(e, &m, &r, err);
    }
    if (rc != 0 && !r.done) /* the owner never saw it */
        discard(e, h);
    return rc;
}

int ft_engine_model_add(struct ft_engine *e, const char *id, const char *path,
                        const struct ft_model_options *opt, struct ft_err *err)
{
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    int rc = ft_weights_open(path, &w, err);
    if (rc == 0)
        rc = ft_tokenizer_open(w, &t, err);
    if (rc == 0)
        rc = ft_engine_model_add_open(e, id, w, t, opt, err);
    if (rc != 0) {
        ft_tokenizer_close(t);
        ft_weights_close(w);
    }
    return rc;
}

int ft_engine_model_remove(struct ft_engine *e, const char *id, struct ft_err *err)
{
    struct ft_msg m = {.kind = FT_MSG_MODEL_REMOVE, .name = id};
    struct ft_reply r = {0};
    return ft_engine_ask(e, &m, &r, err);
}

int ft_engine_model_load(struct ft_engine *e, const char *id,
                         void (*progress)(void *ctx, uint64_t done, uint64_t all), void *ctx,
                         struct ft_err *err)
{
    struct ft_msg m = {.kind = FT_MSG_MODEL_LOAD, .name = id};
    struct ft_reply r = {.progress = progress, .ctx = ctx};
    return ft_engine_ask(e, &m, &r, err);
}

/* The model with one more reference, or NULL. */
struct ft_hosted *ft_hosted_hold(struct ft_engine *e, const char *id)
{
    struct ft_hosted *h = NULL;
    pthread_mutex_lock(&e->lock);
    int at = id != NULL ? find_model(e, id) : -1;
    if (at >= 0) {
        h = e->model[at];
        h->n_ref++;
    }
    pthread_mutex_unlock(&e->lock);
    return h;
}

int ft_engine_model_source(struct ft_engine *e, const char *id,
                           const struct ft_model_source **ret_s, struct ft_err *err)
{
    pthread_mutex_lock(&e->lock);
    int at = id != NULL ? find_model(e, id) : -1;
    if (at >= 0)
        *ret_s = &ft_source_ref(e->model[at]->src)->pub;
    pthread_mutex_unlock(&e->lock);
    if (at < 0)
        return ft_err_set(err, FT_ENOTFOUND, "model %s: not known", id != NULL ? id : "(none)");
    return 0;
}

/* ---- requests ---- */

static bool cancel_from_stream(void *engine, uint64_t id)
{
    struct ft_engine *e = engine;
    if (ft_engine_is_owner(e)) {
        ft_engine_cancel(e, id);
        return true;
    }
    struct ft_msg m = {.kind = FT_MSG_CANCEL, .id = id};
    return ft_mailbox_try_post(e->box, &m) != FT_EBUSY;
}

/* Room for what every sample may say in one step, and for how it all ends. */
static int open_stream(struct ft_engine *e, struct ft_req *q, struct ft_err *err)
{
    size_t text = FT_REQUEST_STOP_BYTES + 3 * (q->m->src->token_bytes_max + 4);
    size_t one = ft_stream_event_bytes(text, q->r.n_top, 0), n = (size_t)q->n_seq;
    size_t per_step = 1;
    if (q->r.spec.lookup_max > 0 || q->draft != NULL)
        per_step += FT_SPEC_TOKENS_MAX;
    if (q->r.kind == FT_REQUEST_PROMPT && q->r.n_top > 0)
        per_step += FT_PROMPT_ROWS_MAX;
    size_t values = q->seq[0].value != NULL ? (size_t)q->seq[0].n_value : 0;
    size_t result = ft_stream_event_bytes(0, 0, (int)values);
    size_t end = (n + 1) * one + result + ft_resume_event_bytes(q);
    struct ft_stream_hooks hooks = {.ready = q->r.on_ready,
                                    .ctx = q->r.ctx,
                                    .wake = wake_engine,
                                    .cancel = cancel_from_stream,
                                    .engine = e,
                                    .id = q->id};
    return ft_stream_open(&hooks, FT_MAX(one, result), n * per_step * one, end, &q->stream, err);
}

static int submit(struct ft_engine *e, const struct ft_request *r, struct ft_hosted *m,
                  struct ft_hosted *draft, struct ft_hosted_adapter *adapter, uint64_t *ret_id,
                  struct ft_stream **ret_stream, struct ft_err *err)
{
    struct ft_req *q = NULL;
    int rc = ft_req_make(r, m, draft, adapter, &q, err);
    if (rc != 0)
        return rc;
    uint64_t id = q->id = atomic_fetch_add(&e->next_id, 1) + 1;
    struct ft_stream *stream = NULL;
    if (r->on_event == NULL)
        rc = open_stream(e, q, err);
    stream = q->stream;
    if (rc == 0) {
        struct ft_msg msg = {.kind = FT_MSG_SUBMIT, .req = q};
        if (atomic_fetch_add(&e->n_requests, 1) >= e->cfg.max_requests)
            rc = ft_err_set(err, FT_EBUSY, "%d requests already", e->cfg.max_requests);
        else if ((rc = ft_mailbox_try_post(e->box, &msg)) != 0)
            rc = ft_err_set(err, (enum ft_code)rc, "%s",
                            rc == FT_EBUSY ? "the engine's mailbox is full"
                                           : "the engine is closing");
        if (rc != 0)
            atomic_fetch_sub(&e->n_requests, 1);
    }
    if (rc != 0) {
        ft_stream_drop(stream);
        ft_req_free(q);
        return rc;
    }
    if (ret_id != NULL)
        *ret_id = id;
    if (r->on_event == NULL)
        *ret_stream = stream;
    return 0;
}

int ft_engine_submit(struct ft_engine *e, const struct ft_request *r, uint64_t *ret_id,
                     struct ft_stream **ret_stream, struct ft_err *err)
{
    if (r->on_event == NULL && ret_stream == NULL)
        return ft_err_set(err, FT_EINVAL, "on_event: neither a callback nor a stream");
    const char *draft_id = r->kind == FT_REQUEST_GENERATE ? r->spec.draft : NULL;
    struct ft_hosted *m = ft_hosted_hold(e, r->model), *draft = ft_hosted_hold(e, draft_id);
    struct ft_hosted_adapter *adapter =
        m != NULL && r->adapter != NULL ? ft_hosted_adapter_hold(e, m, r->adapter) : NULL;
    int rc = 0;
    if (m == NULL)
        rc = ft_err_set(err, FT_ENOTFOUND, "model %s: not known",
                        r->model != NULL ? r->model : "(none)");
    else if (draft_id != NULL && draft == NULL)
        rc = ft_err_set(err, FT_ENOTFOUND, "spec.draft: model %s is not known", draft_id);
    else if (r->adapter != NULL && adapter == NULL)
        rc = ft_err_set(err, FT_ENOTFOUND, "adapter %s: model %s has none of that id", r->adapter,
                        r->model);
    else
        rc = submit(e, r, m, draft, adapter, ret_id, ret_stream, err);
    if (rc == 0)
        return 0;
    ft_hosted_adapter_unhold(e, adapter);
    if (m != NULL)
        ft_hosted_unhold(e, m);
    if (draft != NULL)
        ft_hosted_unhold(e, draft);
    return rc;
}

void ft_engine_cancel(struct ft_engine *e, uint64_t id)
{
    if (ft_engine_is_owner(e)) { /* in a callback: it ends after the step */
        struct ft_req *q = find_request(e, id);
        if (q != NULL) {
            q->cancelled = true;
            e->swept = false;
        }
        return;
    }
    struct ft_msg m = {.kind = FT_MSG_CANCEL, .id = id};
    ft_mailbox_post(e->box, &m);
}

void ft_engine_pause(struct ft_engine *e, uint64_t id, bool paused)
{
    struct ft_msg m = {.kind = paused ? FT_MSG_PAUSE : FT_MSG_RESUME, .id = id};
    if (!ft_engine_is_owner(e)) {
        ft_mailbox_post(e->box, &m);
        return;
    }
    struct ft_req *q = find_request(e, id);
    if (q != NULL)
        q->paused = paused;
    e->again = true;
}

/* ---- state ---- */

void ft_engine_stats(struct ft_engine *e, struct ft_engine_stats *ret)
{
    pthread_mutex_lock(&e->lock);
    *ret = e->stats;
    pthread_mutex_unlock(&e->lock);
}

int ft_engine_model_stats(struct ft_engine *e, struct ft_model_stats *ret, int n)
{
    pthread_mutex_lock(&e->lock);
    int known = e->n_model_stats;
    memcpy(ret, e->model_stats, (size_t)FT_MIN(n, known) * sizeof *ret);
    pthread_mutex_unlock(&e->lock);
    return known;
}
