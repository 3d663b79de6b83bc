/* Speculation: cheap guesses at the next tokens, verified by the model in one pass.
 *
 * Guesses come from an earlier occurrence of the last few tokens (prompt lookup), or from a draft
 * model with the same vocabulary. Verification is plain sampling, row by row, with the random
 * numbers that those positions have anyway, for as long as the sampled token is the guessed one: so
 * the answer is the same, token for token, as without guesses, sampled or greedy. The draft model
 * draws with the same random numbers as the model it guesses for, which makes agreement likely
 * where their distributions are close. How many tokens are drafted follows how many were accepted.
 */
#include "engine/core/core.h"

#include <string.h>

#include "base/clock.h"

#define NGRAM_MAX     4
#define NGRAM_MIN     2
#define LOOKBACK_MAX  65536 /* tokens searched for a repetition */
#define REST_MAX      32    /* steps without drafts after drafts that failed */
#define RELOAD_MS     10000 /* a draft model that made way stays away */
#define CATCH_UP_ROWS 128   /* rows per step of a draft model that is behind, at most */

/* ---- length ---- */

static int length_wanted(struct ft_seq *s, int most)
{
    struct ft_draft_pace *p = &s->draft_pace;
    if (p->rest > 0) {
        p->rest--;
        return 0;
    }
    if (p->len == 0)
        p->len = 4;
    return FT_MIN(FT_MIN(p->len, most), s->limit - s->n_token - 1);
}

void ft_spec_note(struct ft_seq *s, int n_drafted, int n_accepted)
{
    struct ft_draft_pace *p = &s->draft_pace;
    s->n_draft = 0;
    if (s->dkv.n_done > s->n_token - 1)
        s->dkv.n_done = s->n_token - 1;
    if (n_drafted == 0)
        return;
    if (n_accepted == n_drafted) {
        p->len = FT_MIN(2 * p->len, FT_SPEC_TOKENS_MAX);
    } else {
        p->len = FT_MAX(1, (p->len + n_accepted + 1) / 2);
    }
    p->next_rest = n_accepted > 0 ? 0 : FT_MIN(2 * p->next_rest + 1, REST_MAX);
    p->rest = p->next_rest;
}

/* ---- prompt lookup ---- */

/* The tokens that followed the longest, then latest, earlier occurrence of the end of the text. */
static int look_up(const struct ft_seq *s, int most, int32_t *draft)
{
    const int32_t *t = s->token;
    int n = s->n_token, best = 0, at = -1;
    int from = FT_MAX(0, n - LOOKBACK_MAX);
    for (int end = n - 1; end > from && best < NGRAM_MAX; end--) {
        /* t[end - 1] is the last token of the occurrence */
        if (t[end - 1] != t[n - 1])
            continue;
        int len = 1;
        while (len < NGRAM_MAX && end - 1 - len >= from && t[end - 1 - len] == t[n - 1 - len])
            len++;
        if (len > best) {
            best = len;
            at = end;
        }
    }
    if (best < NGRAM_MIN)
        return 0;
    int k = FT_MIN(most, n - at);
    memcpy(draft, t + at, (size_t)k * sizeof *draft);
    return k;
}

/* ---- draft model ---- */

void ft_spec_release(struct ft_engine *e, struct ft_seq *s)
{
    (void)e;
    while (s->dkv.n_block > 0)
        ft_blocks_unref(&s->req->draft->pool, s->dkv.block[--s->dkv.n_block]);
    s->dkv.n_done = 0;
}

bool ft_spec_release_any(struct ft_engine *e)
{
    for (int i = 0; i < e->n_running && !e->drafting; i++)
        if (e->running[i]->dkv.n_block > 0) {
            ft_spec_release(e, e->running[i]);
            return true;
        }
    return false;
}

static bool reserve(struct ft_engine *e, struct ft_seq *s, int n_tokens)
{
    while (s->dkv.n_block * FT_KV_BLOCK < n_tokens) {
        int32_t b = ft_models_block(e, s->req->draft);
        if (b < 0)
            return false;
        s->dkv.block[s->dkv.n_block++] = b;
    }
    return true;
}

/* Rows of sequences that are far behind, as after a long prompt: like prefill, they may not keep
 * others from their next token for longer than one takes. */
static int catch_up_rows(struct ft_engine *e, const struct ft_hosted *m, struct ft_hosted *d)
{
    bool others = e->n_state[FT_SEQ_DECODE] > 1;
    double allow = ft_pace_decode_ns(&m->pace, m->n_state[FT_SEQ_DECODE]);
    return ft_pace_rows(&d->pace, others, allow, CATCH_UP_ROWS);
}

/* One pass of the draft model over those of list[] that take part; each gets one more drafted
 * token, or is only brought up to date. want[i]: how many it is to have. *catch_up: rows left for
 * those far behind. */
static bool draft_pass(struct ft_engine *e, struct ft_hosted *d, struct ft_seq **list,
                       const int *want, int n, int *catch_up)
{
    struct ft_batch b = {
        .token = e->row_token, .pos = e->row_pos, .seg = e->seg, .out_row = e->row_out};
    struct ft_seq *in[FT_ENGINE_RUNNING_MAX];
    bool out[FT_ENGINE_RUNNING_MAX];
    int left = e->cfg.max_rows, n_behind = 0;
    int64_t start = ft_clock_now_ns();
    for (int i = 0; i < n && left > 0; i++) {
        struct ft_seq *s = list[i];
        int known = s->n_token + s->n_draft, rows = FT_MIN(known - s->dkv.n_done, left);
        bool behind = known - s->dkv.n_done > FT_SPEC_TOKENS_MAX + 1;
        if (behind)
            rows = FT_MIN(rows, *catch_up);
        if (s->n_draft >= want[i] || rows <= 0 || !reserve(e, s, s->dkv.n_done + rows))
            continue;
        if (behind) {
            *catch_up -= rows;
            n_behind += rows;
        }
        e->seg[b.n_segs] = (struct ft_seg){
            .row = b.n_rows, .n = rows, .pos = s->dkv.n_done, .block = s->dkv.block, .state = -1};
        for (int j = 0; j < rows; j++) {
            int at = s->dkv.n_done + j;
            e->row_token[b.n_rows] = at < s->n_token ? s->token[at] : s->draft[at - s->n_token];
            e->row_pos[b.n_rows++] = at;
        }
        out[b.n_segs] = s->dkv.n_done + rows == known;
        if (out[b.n_segs])
            e->row_out[b.n_out++] = b.n_rows - 1;
        in[b.n_segs++] = s;
        left -= rows;
    }
    const float *logits = NULL;
    if (b.n_segs == 0 ||
        ft_model_forward(d->model, d->kv, &b, b.n_out > 0 ? &logits : NULL, NULL, NULL) != 0)
        return false;
    ft_pace_note(&d->pace, b.n_rows - n_behind, n_behind, ft_clock_now_ns() - start);
    int n_vocab = d->src->pub.hp.n_vocab;
    for (int i = 0, at = 0; i < b.n_segs; i++) {
        struct ft_seq *s = in[i];
        s->dkv.n_done += e->seg[i].n;
        if (!out[i])
            continue;
        struct ft_sample_in sample = {.logits = logits + (size_t)at++ * (size_t)n_vocab,
                                      .n_vocab = n_vocab,
                                      .sp = &s->req->r.sampling,
                                      .stream = (uint64_t)s->index,
                                      .position =
                                          (uint64_t)(s->n_token - s->n_prompt + s->n_draft)};
        struct ft_sample_out got;
        if (ft_sample(&e->sampler, &sample, &got, NULL) == 0)
            s->draft[s->n_draft++] = got.token;
    }
    return b.n_out > 0;
}

/* An optimisation, never at the cost of others: there must be room, and it must not have had to
 * make room a moment ago. */
static bool may_load(struct ft_engine *e, struct ft_hosted *d)
{
    if (d->state == FT_MODEL_READY)
        return true;
    int64_t room = ft_models_room(e, d, 0) * (int64_t)d->pool.block_bytes;
    return e->drain == NULL && room >= 2 * (int64_t)ft_weights_bytes(d->src->weights) &&
           (d->dropped_ns == 0 || ft_clock_now_ns() - d->dropped_ns > (int64_t)RELOAD_MS * 1000000);
}

static void draft_by_model(struct ft_engine *e, struct ft_hosted *d, struct ft_seq **list,
                           const int *want, int n)
{
    int catch_up = catch_up_rows(e, list[0]->req->m, d);
    struct ft_err err;
    if (d->has_state || d->removed || !may_load(e, d) ||
        ft_models_ready(e, d, NULL, NULL, &err) != 1)
        return;
    e->drafting = true;
    for (int i = 0; i < FT_SPEC_TOKENS_MAX; i++)
        if (!draft_pass(e, d, list, want, n, &catch_up))
            break;
    e->drafting = false;
}

/* Groups the sequences by draft model, one group after the other. */
static void draft_by_models(struct ft_engine *e, struct ft_seq **list, int *want, int n)
{
    while (n > 0) {
        struct ft_hosted *d = list[0]->req->draft;
        struct ft_seq *group[FT_ENGINE_RUNNING_MAX];
        int group_want[FT_ENGINE_RUNNING_MAX], n_group = 0, n_rest = 0;
        for (int i = 0; i < n; i++) {
            if (list[i]->req->draft == d) {
                group[n_group] = list[i];
                group_want[n_group++] = want[i];
            } else {
                list[n_rest] = list[i];
                want[n_rest++] = want[i];
            }
        }
        draft_by_model(e, d, group, group_want, n_group);
        n = n_rest;
    }
}

void ft_spec_draft(struct ft_engine *e, struct ft_hosted *m)
{
    struct ft_seq *list[FT_ENGINE_RUNNING_MAX];
    int want[FT_ENGINE_RUNNING_MAX], n = 0;
    int left = FT_MIN(FT_SPEC_ROWS_MAX, e->cfg.max_rows) - m->n_state[FT_SEQ_DECODE];
    for (int i = 0; i < e->n_running; i++) {
        struct ft_seq *s = e->running[i];
        const struct ft_speculation *sp = &s->req->r.spec;
        s->n_draft = 0;
        if (s->req->m != m || s->state != FT_SEQ_DECODE || m->has_state ||
            (sp->lookup_max == 0 && s->req->draft == NULL))
            continue;
        int most = s->req->draft != NULL ? FT_MAX(sp->draft_max, sp->lookup_max) : sp->lookup_max;
        int k = FT_MIN(length_wanted(s, most), left);
        if (k <= 0)
            continue;
        if (sp->lookup_max > 0)
            s->n_draft = look_up(s, FT_MIN(k, sp->lookup_max), s->draft);
        if (s->n_draft == 0 && s->req->draft != NULL) {
            list[n] = s;
            want[n++] = FT_MIN(k, sp->draft_max);
            left -= FT_MIN(k, sp->draft_max);
        }
        left -= s->n_draft;
    }
    if (n > 0)
        draft_by_models(e, list, want, n);
}
