/* What a sequence holds of the cache: blocks taken, shared, published, given up and brought back.
 *
 * A sequence takes the blocks for its prompt when it is admitted and one more whenever it crosses
 * into it. Full blocks are offered to the prefix cache as they fill, so others can share them at
 * once and they survive a preemption as long as memory allows. Nothing here computes. */
#include "engine/core/core.h"

#include <stdlib.h>
#include <string.h>

static int blocks_for(int n_tokens)
{
    return (n_tokens + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
}

int ft_kv_blocks_wanted(const struct ft_seq *s)
{
    return blocks_for(FT_MIN(s->n_token + 1, s->limit));
}

/* ---- taking ---- */

/* It waits for its consumer, and holds memory for nothing. */
bool ft_kv_stands_still(const struct ft_seq *s)
{
    return s->state == FT_SEQ_PAUSED || (s->state == FT_SEQ_PREFILL && ft_req_blocked(s->req));
}

struct ft_seq *ft_kv_victim(struct ft_engine *e, const struct ft_seq *s, bool for_admission)
{
    const struct ft_hosted *m = s->req->m;
    /* more bytes would not help where the pool itself is used up */
    bool own_only = m->pool.n_used - m->radix.n_idle >= m->pool.n_max;
    struct ft_seq *worst = NULL;
    bool worst_still = false;
    for (int i = 0; i < e->n_running; i++) {
        struct ft_seq *r = e->running[i];
        int p = r->req->r.priority, own = s->req->r.priority;
        bool still = ft_kv_stands_still(r);
        /* a newcomer displaces only what is less important, or not moving anyway */
        if (r == s || (own_only && r->req->m != m) || (p > own && !still))
            continue;
        if (p == own && !still && (for_admission || r->order < s->order))
            continue;
        bool worse = worst == NULL;
        if (!worse && still != worst_still)
            worse = still;
        else if (!worse && p != worst->req->r.priority)
            worse = p < worst->req->r.priority;
        else if (!worse)
            worse = r->order > worst->order;
        if (worse) {
            worst = r;
            worst_still = still;
        }
    }
    return worst;
}

bool ft_kv_reserve(struct ft_engine *e, struct ft_seq *s, int n_tokens, bool may_preempt)
{
    int want = blocks_for(n_tokens);
    FT_ASSERT(want <= s->cap_block);
    while (s->n_block < want) {
        int32_t b = ft_models_block(e, s->req->m);
        if (b >= 0) {
            s->block[s->n_block++] = b;
            continue;
        }
        struct ft_seq *v = may_preempt ? ft_kv_victim(e, s, false) : NULL;
        if (v == NULL)
            return false;
        ft_kv_preempt(e, v);
    }
    return true;
}

static void shrink(struct ft_seq *s, int n_block)
{
    while (s->n_block > n_block)
        ft_radix_release(&s->req->m->radix, s->block[--s->n_block]);
    s->n_tree = FT_MIN(s->n_tree, s->n_block);
}

static void free_spill(struct ft_seq *s)
{
    for (int i = 0; i < s->n_spill; i++)
        if (s->spill[i] >= 0)
            ft_spill_free(&s->req->m->spill, s->spill[i]);
    s->n_spill = s->n_spill_done = 0;
}

void ft_kv_release(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_hosted *m = s->req->m;
    shrink(s, 0);
    s->n_done = 0;
    free_spill(s);
    ft_spec_release(e, s);
    if (s->slot_state >= 0)
        m->state_free[m->n_state_free++] = s->slot_state;
    s->slot_state = -1;
}

/* ---- sharing ---- */

void ft_kv_publish(struct ft_engine *e, struct ft_seq *s)
{
    (void)e;
    struct ft_req *q = s->req;
    if (q->root < 0)
        return;
    while ((s->n_tree + 1) * FT_KV_BLOCK <= s->n_done) {
        int i = s->n_tree;
        s->block[i] = ft_radix_insert(&q->m->radix, q->root, i > 0 ? s->block[i - 1] : -1,
                                      s->token + i * FT_KV_BLOCK, s->block[i]);
        s->n_tree++;
    }
}

bool ft_kv_fork(struct ft_engine *e, struct ft_seq *from, struct ft_seq *to)
{
    struct ft_hosted *m = from->req->m;
    if (e->n_running >= e->cfg.max_running)
        return false;
    int n_full = from->n_done / FT_KV_BLOCK;
    for (int i = 0; i < n_full; i++) {
        ft_blocks_ref(&m->pool, from->block[i]);
        to->block[i] = from->block[i];
    }
    to->n_block = n_full;
    to->n_tree = FT_MIN(from->n_tree, n_full);
    if (from->n_done > n_full * FT_KV_BLOCK) {
        if (!ft_kv_reserve(e, to, from->n_done, false)) {
            shrink(to, 0);
            return false;
        }
        ft_dev_kv_copy(e->dev, m->kv, to->block[n_full], from->block[n_full]);
    }
    to->n_done = from->n_done;
    return true;
}

/* ---- giving up and coming back ---- */

static void *copy_buffer(struct ft_engine *e, size_t bytes)
{
    if (e->block_copy_bytes < bytes) {
        free(e->block_copy);
        e->block_copy = malloc(bytes);
        e->block_copy_bytes = e->block_copy != NULL ? bytes : 0;
    }
    return e->block_copy;
}

/* Writes what nobody else keeps alive. What cannot be written is computed again. */
static void spill(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_hosted *m = s->req->m;
    int n = blocks_for(s->n_done);
    void *buf = m->spill.dir != NULL ? copy_buffer(e, m->pool.block_bytes) : NULL;
    free_spill(s);
    s->n_spill = buf != NULL ? n : 0;
    s->n_spill_done = buf != NULL ? s->n_done : 0;
    for (int i = 0; i < s->n_spill; i++) {
        s->spill[i] = -1;
        bool shared = m->pool.ref[s->block[i]] > (i < s->n_tree ? 2 : 1);
        if (shared)
            continue;
        ft_dev_kv_read(e->dev, m->kv, s->block[i], buf);
        s->spill[i] = ft_spill_write(&m->spill, buf, NULL);
        e->count.spilled_blocks += s->spill[i] >= 0;
    }
}

void ft_kv_preempt(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_hosted *m = s->req->m;
    if (!m->has_state)
        spill(e, s);
    shrink(s, 0);
    s->n_done = 0;
    ft_spec_release(e, s);
    if (s->slot_state >= 0)
        m->state_free[m->n_state_free++] = s->slot_state;
    s->slot_state = -1;
    ft_seq_move(e, s, FT_SEQ_PREEMPTED);
    s->req->usage.preemptions++;
    e->count.preemptions++;
}

/* Continues the cached prefix with blocks from the spill file, as far as they go without a gap. */
static void unspill(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_hosted *m = s->req->m;
    int i = s->n_done / FT_KV_BLOCK, done = s->n_done;
    void *buf = s->n_spill > 0 ? copy_buffer(e, m->pool.block_bytes) : NULL;
    for (; buf != NULL && i < s->n_spill && s->spill[i] >= 0; i++) {
        if (ft_spill_read(&m->spill, s->spill[i], buf, NULL) != 0)
            break;
        ft_dev_kv_write(e->dev, m->kv, s->block[i], buf);
        done = FT_MIN((i + 1) * FT_KV_BLOCK, s->n_spill_done);
    }
    /* the last token is computed again: its logits are wanted */
    s->n_done = FT_MIN(done, s->n_token - 1);
    free_spill(s);
}

/* May it come in without pushing running sequences out again soon? Its blocks must be there, and
 * one more for each of some running ones. */
static bool fits(struct ft_engine *e, struct ft_seq *s, int n_cached, int n_idle)
{
    struct ft_hosted *m = s->req->m;
    if (e->n_running >= e->cfg.max_running || (m->has_state && m->n_state_free == 0))
        return false;
    int need = ft_kv_blocks_wanted(s) - n_cached;
    int reserve = FT_MIN(e->n_running, FT_ENGINE_PREEMPT_RESERVE);
    return ft_models_room(e, m, n_idle) >= need + reserve;
}

bool ft_kv_admit(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_req *q = s->req;
    struct ft_hosted *m = q->m;
    bool reuse = q->root >= 0 && !ft_embed_wants_all_rows(q);
    int n_match = reuse ? s->n_token - 1 : 0, n_idle = 0;
    for (;;) {
        int n_cached = ft_radix_peek(&m->radix, q->root, s->token, n_match, &n_idle);
        if (fits(e, s, n_cached, n_idle))
            break;
        struct ft_seq *v = ft_kv_victim(e, s, true);
        if (v == NULL)
            return false;
        ft_kv_preempt(e, v);
    }
    s->n_block = ft_radix_match(&m->radix, q->root, s->token, n_match, s->block);
    s->n_tree = s->n_block;
    s->n_done = s->n_block * FT_KV_BLOCK;
    bool first = s->state == FT_SEQ_WAITING;
    int n_cached = s->n_done;
    if (!ft_kv_reserve(e, s, s->n_token, false)) {
        shrink(s, 0);
        s->n_done = 0;
        return false;
    }
    if (m->has_state)
        s->slot_state = m->state_free[--m->n_state_free];
    unspill(e, s);
    if (first && s->index == q->lead) {
        n_cached = FT_MIN(n_cached, s->n_prompt);
        q->usage.cached_tokens = n_cached;
        m->cached_tokens += (uint64_t)n_cached;
        e->count.cached_tokens += (uint64_t)n_cached;
    }
    ft_seq_move(e, s, FT_SEQ_PREFILL);
    return true;
}
