/* One step of the engine: whose turn, who comes in, what the batch holds, what came of it.
 *
 * Models with work take turns by the step. In a turn, waiting sequences are admitted by rank; every
 * sequence that decodes gets its row (or rows, with drafts); what is left of the batch, and of the
 * time that those who decode may be kept waiting, goes to prompts by rank. Embeddings run in
 * batches of their own, which skip the output matrix. */
#include "engine/core/core.h"

#include "base/clock.h"
#include "base/log.h"

static struct ft_rank rank_of(const struct ft_seq *s, int64_t now)
{
    const struct ft_req *q = s->req;
    return (struct ft_rank){.priority = ft_sched_aged(q->r.priority, now - q->t_submit),
                            .served = q->caller->served,
                            .order = s->order};
}

/* ---- admission ---- */

bool ft_loop_gives_way(const struct ft_engine *e, const struct ft_seq *s, int64_t now)
{
    const struct ft_req *q = s->req;
    if (e->drain == NULL || e->drain == q->m)
        return false;
    int own = ft_sched_aged(q->r.priority, now - q->t_submit);
    int other = ft_sched_aged(e->drain_priority, now - e->drain_ns);
    return own != other ? own < other : s->order > e->drain_order;
}

static bool may_enter(const struct ft_engine *e, struct ft_seq *s, int64_t now)
{
    return !ft_loop_gives_way(e, s, now) &&
           (s->state != FT_SEQ_PREEMPTED || !ft_req_blocked(s->req));
}

static struct ft_seq *first_waiting(struct ft_engine *e, struct ft_hosted *m, int64_t now)
{
    struct ft_seq *best = NULL;
    struct ft_rank top = {0};
    for (struct ft_seq *s = m->wait_head; s != NULL; s = s->next) {
        struct ft_rank r = rank_of(s, now);
        if ((best == NULL || ft_rank_cmp(&r, &top) < 0) && may_enter(e, s, now)) {
            best = s;
            top = r;
        }
    }
    return best;
}

/* A sequence that even an empty cache cannot hold: known only now that the weights' bytes are. */
static bool ends_for_size(struct ft_engine *e, struct ft_seq *s)
{
    int most = ft_models_blocks_max(e, s->req->m);
    if (ft_kv_blocks_wanted(s) <= most)
        return false;
    struct ft_err err;
    ft_err_set(&err, FT_ELIMIT,
               "prompt: %d tokens do not fit the KV cache, which the memory budget limits to %d",
               s->n_token, most * FT_KV_BLOCK);
    if (s->n_token > s->n_prompt)
        ft_loop_finish(e, s, FT_FINISH_LENGTH, -1, NULL, -1);
    else
        ft_loop_fail(e, s->req, &err);
    return true;
}

static int n_holding(const struct ft_hosted *m)
{
    return m->n_state[FT_SEQ_PREFILL] + m->n_state[FT_SEQ_DECODE] + m->n_state[FT_SEQ_PAUSED];
}

/* The model cannot become resident, or its first in line, s, finds no room beside other models. If
 * that has waited long enough, the others admit nothing that ranks behind it, finish what runs and
 * make way; what is paused there moves out at once. */
static void ask_for_room(struct ft_engine *e, struct ft_hosted *m, const struct ft_seq *s,
                         int64_t now)
{
    if (s == NULL || (e->drain != NULL && (e->drain == m || ft_loop_gives_way(e, s, now))) ||
        now - s->req->t_submit <= (int64_t)FT_ENGINE_DRAIN_MS * 1000000)
        return;
    e->drain = m;
    e->drain_order = s->order;
    e->drain_priority = s->req->r.priority;
    e->drain_ns = s->req->t_submit;
    for (int i = e->n_running - 1; i >= 0; i--)
        if (e->running[i]->req->m != m && ft_kv_stands_still(e->running[i]))
            ft_kv_preempt(e, e->running[i]);
}

/* Whoever wanted the room may have come in, or gone. */
static void end_drain(struct ft_engine *e)
{
    const struct ft_seq *s = e->drain != NULL ? e->drain->wait_head : NULL;
    while (s != NULL && s->order != e->drain_order)
        s = s->next;
    if (s == NULL)
        e->drain = NULL;
}

static void admit(struct ft_engine *e, struct ft_hosted *m)
{
    int64_t now = ft_clock_now_ns();
    for (;;) {
        struct ft_seq *s = first_waiting(e, m, now);
        if (s == NULL)
            return;
        if (ends_for_size(e, s))
            continue;
        struct ft_req *q = s->req;
        if (!ft_kv_admit(e, s)) {
            if (e->n_running == 0 || e->n_running > n_holding(m))
                ask_for_room(e, m, s, now);
            return;
        }
        if (q->t_admit == 0)
            q->t_admit = ft_clock_now_ns();
    }
}

/* ---- building the batch ---- */

static void update_paused(struct ft_engine *e, struct ft_hosted *m)
{
    for (int i = 0; i < e->n_running; i++) {
        struct ft_seq *s = e->running[i];
        if (s->req->m != m || (s->state != FT_SEQ_DECODE && s->state != FT_SEQ_PAUSED))
            continue;
        bool blocked = ft_req_blocked(s->req);
        if (blocked != (s->state == FT_SEQ_PAUSED))
            ft_seq_move(e, s, blocked ? FT_SEQ_PAUSED : FT_SEQ_DECODE);
    }
}

/* Blocks for everything that decodes. Who finds none takes them from what is less important, or
 * gives way itself. */
static void reserve_decode(struct ft_engine *e, struct ft_hosted *m)
{
    struct ft_seq *s, *list[FT_ENGINE_RUNNING_MAX];
    int n = 0;
    for (int i = 0; i < e->n_running; i++)
        if ((s = e->running[i])->req->m == m && s->state == FT_SEQ_DECODE)
            list[n++] = s;
    for (int i = 0; i < n; i++) {
        s = list[i];
        if (s->state != FT_SEQ_DECODE)
            continue; /* preempted for one before it */
        if (!ft_kv_reserve(e, s, s->n_token, true)) {
            ft_kv_preempt(e, s);
            continue;
        }
        if (s->n_draft > 0 && !ft_kv_reserve(e, s, s->n_token + s->n_draft, false))
            s->n_draft = FT_MIN(s->n_draft, s->n_block * FT_KV_BLOCK - s->n_token);
    }
}

static void plan_add(struct ft_engine *e, struct ft_seq *s, int n, int n_out)
{
    e->plan[e->n_plan++] = (struct ft_plan){.s = s, .n = n, .out = -1, .n_out = n_out};
}

/* Returns the rows taken. When not all fit one batch, the next begins where this one ended. */
static int plan_decode(struct ft_engine *e, struct ft_hosted *m)
{
    int rows = 0, n = e->n_running, skipped = 0;
    for (int k = 0; k < n; k++) {
        struct ft_seq *s = e->running[(e->rotate + k) % n];
        if (s->req->m != m || s->state != FT_SEQ_DECODE)
            continue;
        if (rows + 1 > e->cfg.max_rows) {
            if (skipped++ == 0)
                e->rotate = (e->rotate + k) % n;
            continue;
        }
        s->n_draft = FT_MIN(s->n_draft, e->cfg.max_rows - rows - 1);
        plan_add(e, s, 1 + s->n_draft, 1 + s->n_draft);
        rows += 1 + s->n_draft;
    }
    return rows;
}

/* How long the step may take beyond decoding: as long as all who decode, in all models, take for a
 * token. 0: not known; -1: nobody decodes. */
static double allowance(struct ft_engine *e)
{
    double sum = 0;
    bool any = false;
    for (int i = 0; i < e->n_models; i++) {
        struct ft_hosted *m = e->model[i];
        if (m->n_state[FT_SEQ_DECODE] == 0)
            continue;
        double t = ft_pace_decode_ns(&m->pace, m->n_state[FT_SEQ_DECODE]);
        if (t <= 0)
            return 0;
        sum += t;
        any = true;
    }
    return any ? sum : -1;
}

static void plan_prefill(struct ft_engine *e, struct ft_hosted *m, bool hidden, int left)
{
    struct {
        struct ft_seq *s;
        struct ft_rank r;
    } list[FT_ENGINE_RUNNING_MAX];
    int n = 0;
    int64_t now = ft_clock_now_ns();
    for (int i = 0; i < e->n_running; i++) {
        struct ft_seq *s = e->running[i];
        if (s->req->m != m || s->state != FT_SEQ_PREFILL ||
            ft_embed_wants_hidden(s->req) != hidden || ft_req_blocked(s->req))
            continue;
        struct ft_rank r = rank_of(s, now);
        int at = n++;
        for (; at > 0 && ft_rank_cmp(&r, &list[at - 1].r) < 0; at--)
            list[at] = list[at - 1];
        list[at].s = s;
        list[at].r = r;
    }
    if (n == 0)
        return;
    double allow = allowance(e);
    int rows_now = ft_pace_rows(&m->pace, allow >= 0, allow, e->cfg.max_rows);
    if (rows_now == 0 && e->n_plan == 0) /* nothing to measure in a step of its own */
        rows_now = allow > 0 ? ft_pace_rows(&m->pace, true, allow, e->cfg.max_rows) : FT_PACE_FIRST;
    left = FT_MIN(left, rows_now);
    int with_logits = FT_PROMPT_ROWS_MAX;
    for (int i = 0; i < n && left > 0; i++) {
        struct ft_seq *s = list[i].s;
        int rows = FT_MIN(left, s->n_token - s->n_done);
        if (s->req->r.kind == FT_REQUEST_PROMPT) {
            rows = FT_MIN(rows, with_logits);
            with_logits -= rows;
        }
        if (rows == 0)
            continue;
        plan_add(e, s, rows, ft_embed_out_rows(s, rows));
        left -= rows;
    }
}

static uint64_t adapter_of(const struct ft_plan *p)
{
    const struct ft_hosted_adapter *a = p->s->req->adapter;
    return a != NULL ? a->serial : 0;
}

/* Rows of the same adapter lie together, so that the device reads it once for all of them. */
static void group_by_adapter(struct ft_engine *e)
{
    for (int i = 1; i < e->n_plan; i++) {
        struct ft_plan p = e->plan[i];
        uint64_t own = adapter_of(&p);
        int at = i;
        for (; at > 0 && adapter_of(&e->plan[at - 1]) > own; at--)
            e->plan[at] = e->plan[at - 1];
        e->plan[at] = p;
    }
}

static struct ft_batch assemble(struct ft_engine *e)
{
    group_by_adapter(e);
    struct ft_batch b = {.token = e->row_token,
                         .pos = e->row_pos,
                         .seg = e->seg,
                         .n_segs = e->n_plan,
                         .out_row = e->row_out};
    for (int i = 0; i < e->n_plan; i++) {
        struct ft_plan *p = &e->plan[i];
        struct ft_seq *s = p->s;
        e->seg[i] = (struct ft_seg){.row = b.n_rows,
                                    .n = p->n,
                                    .pos = s->n_done,
                                    .block = s->block,
                                    .state = s->slot_state};
        if (s->req->adapter != NULL)
            e->seg[i].adapter = s->req->adapter->on_dev;
        for (int j = 0; j < p->n; j++) {
            int at = s->n_done + j;
            e->row_token[b.n_rows + j] = at < s->n_token ? s->token[at] : s->draft[at - s->n_token];
            e->row_pos[b.n_rows + j] = at;
        }
        b.n_rows += p->n;
        p->out = b.n_out;
        for (int j = p->n - p->n_out; j < p->n; j++)
            e->row_out[b.n_out++] = b.n_rows - p->n + j;
    }
    return b;
}

/* ---- after the forward pass ---- */

/* The other samples of the request take over the prompt's KV and draw from the same logits. */
static void fork_samples(struct ft_engine *e, struct ft_seq *s, const float *logits)
{
    struct ft_req *q = s->req;
    for (int i = 1; i < q->n_seq && s->index == 0; i++) {
        struct ft_seq *f = &q->seq[i];
        if (f->state != FT_SEQ_FORKING)
            continue;
        int32_t token;
        if (ft_kv_fork(e, s, f)) {
            ft_seq_move(e, f, FT_SEQ_DECODE);
            ft_output_sample(e, f, logits, &token);
        } else {
            ft_seq_move(e, f, FT_SEQ_WAITING);
        }
    }
}

static void after_decode(struct ft_engine *e, struct ft_seq *s, const float *logits, int n_vocab)
{
    int n_draft = s->n_draft, accepted = 0;
    for (int j = 0; j <= n_draft; j++) {
        int32_t token;
        s->n_done++;
        if (!ft_output_sample(e, s, logits + (size_t)j * (size_t)n_vocab, &token))
            break;
        if (j == n_draft || token != s->draft[j])
            break;
        accepted++;
    }
    s->req->usage.drafted_tokens += n_draft;
    s->req->usage.accepted_tokens += accepted;
    e->count.drafted_tokens += (uint64_t)n_draft;
    e->count.accepted_tokens += (uint64_t)accepted;
    ft_spec_note(s, n_draft, accepted);
    if (s->state == FT_SEQ_DECODE)
        ft_kv_publish(e, s);
}

static void after_prefill(struct ft_engine *e, const struct ft_plan *p, const float *logits,
                          const float *hidden)
{
    struct ft_seq *s = p->s;
    struct ft_req *q = s->req;
    int pos = s->n_done + p->n - p->n_out;
    s->n_done += p->n;
    ft_sched_charge(q->caller, p->n * FT_SCHED_COST_IN);
    ft_kv_publish(e, s);
    ft_resume_release(e, s);
    if (q->r.kind != FT_REQUEST_GENERATE) {
        ft_embed_rows(e, s, p, pos, logits, hidden);
        return;
    }
    if (s->n_done < s->n_token)
        return;
    int32_t token;
    const float *row = logits + (size_t)p->out * (size_t)q->m->src->pub.hp.n_vocab;
    ft_seq_move(e, s, FT_SEQ_DECODE);
    s->n_draft = 0;
    fork_samples(e, s, row);
    if (s->state == FT_SEQ_DECODE)
        ft_output_sample(e, s, row, &token);
}

static void fail_plan(struct ft_engine *e, const struct ft_err *err)
{
    ft_log(FT_LOG_ERROR, "engine", "step failed: %s", err->msg);
    for (int i = 0; i < e->n_plan; i++)
        ft_loop_fail(e, e->plan[i].s->req, err);
}

static void run(struct ft_engine *e, struct ft_hosted *m, bool hidden)
{
    int64_t start = ft_clock_now_ns();
    int n_vocab = m->src->pub.hp.n_vocab, n_decode = 0, n_prefill = 0;
    struct ft_batch b = assemble(e);
    const float *logits = NULL, *rows = NULL;
    struct ft_err err;
    bool want = b.n_out > 0;
    if (ft_model_forward(m->model, m->kv, &b, want && !hidden ? &logits : NULL,
                         want && hidden ? &rows : NULL, &err) != 0) {
        fail_plan(e, &err);
        ft_account_end(e);
        return;
    }
    ft_account_computed(e);
    ft_account_step(e);
    for (int i = 0; i < e->n_plan; i++) {
        const struct ft_plan *p = &e->plan[i];
        if (p->s->req->cancelled)
            continue; /* by a callback of this step */
        bool decode = p->s->state == FT_SEQ_DECODE;
        *(decode ? &n_decode : &n_prefill) += p->n;
        if (decode)
            after_decode(e, p->s, logits + (size_t)p->out * (size_t)n_vocab, n_vocab);
        else if (p->s->state == FT_SEQ_PREFILL)
            after_prefill(e, p, logits, rows);
    }
    e->count.steps++;
    ft_account_end(e);
    ft_pace_note(&m->pace, n_decode, n_prefill, ft_clock_now_ns() - start);
}

static bool try_lane(struct ft_engine *e, struct ft_hosted *m, bool hidden)
{
    e->n_plan = 0;
    ft_account_begin(e);
    int rows = 0;
    if (!hidden) {
        ft_spec_draft(e, m);
        reserve_decode(e, m);
        rows = plan_decode(e, m);
    }
    plan_prefill(e, m, hidden, e->cfg.max_rows - rows);
    if (e->n_plan == 0) {
        ft_account_end(e);
        return false;
    }
    run(e, m, hidden);
    return true;
}

/* ---- turns ---- */

static void fail_waiting(struct ft_engine *e, struct ft_hosted *m, const struct ft_err *err)
{
    while (m->wait_head != NULL)
        ft_loop_fail(e, m->wait_head->req, err);
}

static bool turn(struct ft_engine *e, struct ft_hosted *m)
{
    update_paused(e, m);
    if (m->wait_head == NULL && m->n_state[FT_SEQ_PREFILL] == 0 && m->n_state[FT_SEQ_DECODE] == 0)
        return false;
    struct ft_err err;
    int rc = ft_models_ready(e, m, NULL, NULL, &err);
    if (rc < 0) {
        ft_log(FT_LOG_ERROR, "engine", "model %s: %s", m->src->id, err.msg);
        fail_waiting(e, m, &err);
        return true;
    }
    if (rc == 0) {
        int64_t now = ft_clock_now_ns();
        ask_for_room(e, m, first_waiting(e, m, now), now);
        return false;
    }
    admit(e, m);
    m->hidden_turn = !m->hidden_turn;
    return try_lane(e, m, m->hidden_turn) || try_lane(e, m, !m->hidden_turn);
}

bool ft_loop_step(struct ft_engine *e)
{
    end_drain(e);
    for (int i = 1; i <= e->n_models; i++) {
        int at = (e->turn + i) % e->n_models;
        if (turn(e, e->model[at])) {
            e->turn = at;
            return true;
        }
    }
    return false;
}
