/* From logits to events: the sampled token, the text it frees, and whether it ends its sample. */
#include "engine/core/core.h"

#include <string.h>

#include "base/clock.h"

/* Draws until a token fits where its grammar begins in the middle of it. */
#define BORDER_TRIES 64

static bool contains(const int32_t *id, int n, int32_t token)
{
    for (int i = 0; i < n; i++)
        if (id[i] == token)
            return true;
    return false;
}

static int n_generated(const struct ft_seq *s)
{
    return s->n_token - s->n_prompt;
}

/* Tokens that may not come yet: with min_tokens, everything that would end the sample. */
static int banned(const struct ft_seq *s, int32_t *ban)
{
    const struct ft_request *r = &s->req->r;
    const struct ft_source_box *src = s->req->m->src;
    if (n_generated(s) >= r->min_tokens && !s->grammar_waits)
        return 0;
    memcpy(ban, src->eog, (size_t)src->n_eog * sizeof *ban);
    if (r->n_stop_token > 0)
        memcpy(ban + src->n_eog, r->stop_token, (size_t)r->n_stop_token * sizeof *ban);
    return src->n_eog + r->n_stop_token;
}

/* A grammar that does not bind here: where anything may stand, no mask is made (until a token was
 * drawn that goes on past the place where it begins to bind). */
static bool is_unbound(const struct ft_seq *s)
{
    return s->matcher == NULL || (!s->grammar_waits && ft_matcher_is_free(s->matcher));
}

/* refused[0 .. n_refused): tokens that were drawn before and cannot stand here. */
static int sample(struct ft_engine *e, struct ft_seq *s, const float *logits,
                  const int32_t *refused, int n_refused, struct ft_sample_out *out,
                  struct ft_err *err)
{
    struct ft_req *q = s->req;
    int32_t ban[FT_SOURCE_EOG_MAX + FT_REQUEST_STOP_IDS_MAX + BORDER_TRIES];
    struct ft_sample_in in = {.logits = logits,
                              .n_vocab = q->m->src->pub.hp.n_vocab,
                              .sp = &q->r.sampling,
                              .ban = ban,
                              .n_ban = banned(s, ban),
                              .stream = (uint64_t)s->index,
                              .position = (uint64_t)n_generated(s),
                              .logprob = q->r.logprobs || q->r.n_top > 0,
                              .n_top = q->r.n_top};
    for (int i = 0; i < n_refused; i++)
        ban[in.n_ban++] = refused[i];
    if (s->has_penalties) {
        ft_penalties_advance(&s->penalties, s->token, (size_t)s->n_token, (size_t)s->n_prompt);
        in.penalties = &s->penalties;
    }
    bool is_free = s->grammar_waits || (is_unbound(s) && n_refused == 0);
    if (s->matcher != NULL && !is_free) {
        int rc = ft_matcher_mask(s->matcher, e->mask, err);
        if (rc != 0)
            return ft_err_wrap(err, "grammar");
        in.mask = e->mask;
    }
    int rc = ft_sample(&e->sampler, &in, out, err);
    if (rc == FT_ELIMIT && s->matcher != NULL)
        return ft_err_set(err, FT_ELIMIT, "grammar: no token of the vocabulary continues the text");
    return rc;
}

/* Appends the text that the token frees; returns the stop string that it completed, or -1. */
static int take_text(struct ft_seq *s, int32_t token, struct ft_buf *piece, struct ft_buf *text)
{
    struct ft_req *q = s->req;
    ft_buf_reset(piece);
    if (q->m->src->tokenizer == NULL)
        return -1;
    ft_detok_push(&s->detok, token, piece);
    /* stop strings count from min_tokens on, and where ends do */
    if (q->stops.n == 0 || n_generated(s) < q->r.min_tokens || s->grammar_waits) {
        ft_buf_add(text, piece->data, piece->len);
        return -1;
    }
    return ft_stop_push(&q->stops, &s->stop, piece->data, piece->len, text);
}

static void tell(struct ft_engine *e, struct ft_seq *s, const struct ft_sample_out *out, bool last)
{
    struct ft_event ev = {.kind = FT_EVENT_TOKEN,
                          .index = s->index,
                          .token = out->token,
                          .last = last,
                          .text = e->text.len > 0 ? e->text.data : "",
                          .text_n = e->text.len,
                          .logprob = out->logprob,
                          .top = out->top,
                          .n_top = out->n_top,
                          .usage = {.prompt_tokens = s->req->usage.prompt_tokens,
                                    .cached_tokens = s->req->usage.cached_tokens}};
    ft_req_emit(s->req, &ev);
}

/* bound: a grammar held where the token stands. */
static bool is_end(const struct ft_seq *s, int32_t token, bool bound, enum ft_finish *ret)
{
    const struct ft_req *q = s->req;
    const struct ft_source_box *src = q->m->src;
    *ret = FT_FINISH_EOS;
    if (contains(src->eog, src->n_eog, token) && (!q->r.ignore_eos || bound))
        return true;
    *ret = FT_FINISH_STOP_TOKEN;
    return contains(q->r.stop_token, q->r.n_stop_token, token);
}

static void count_token(struct ft_engine *e, struct ft_seq *s)
{
    struct ft_req *q = s->req;
    if (q->t_first == 0)
        q->t_first = ft_clock_now_ns();
    q->usage.generated_tokens++;
    q->m->generated_tokens++;
    if (q->adapter != NULL)
        atomic_fetch_add(&q->adapter->generated_tokens, 1);
    e->count.generated_tokens++;
    ft_sched_charge(q->caller, FT_SCHED_COST_OUT);
}

/* Looks for the text that the grammar waits for; what follows it in the same token must fit, else
 * nothing has changed. */
static bool take_before_grammar(struct ft_seq *s, int32_t token)
{
    struct ft_slice after = s->req->r.grammar_after;
    char tail[FT_REQUEST_AFTER_BYTES];
    int n_tail = s->n_tail;
    memcpy(tail, s->tail, sizeof tail);
    size_t n;
    const char *bytes = ft_tokenizer_bytes(s->req->m->src->tokenizer, token, &n);
    for (size_t i = 0; i < n; i++) {
        if (s->n_tail == (int)after.n)
            memmove(s->tail, s->tail + 1, (size_t)--s->n_tail);
        s->tail[s->n_tail++] = bytes[i];
        if (s->n_tail < (int)after.n || memcmp(s->tail, after.p, after.n) != 0)
            continue;
        while (++i < n && strchr(" \t\r\n", bytes[i]) != NULL && bytes[i] != '\0')
            ;
        s->grammar_waits = !ft_matcher_accept_bytes(s->matcher, bytes + i, n - i);
        if (!s->grammar_waits)
            return true;
        memcpy(s->tail, tail, sizeof tail);
        s->n_tail = n_tail;
        return false;
    }
    return true;
}

/* bound: no end token means anything else than the end. */
static bool grammar_takes(struct ft_seq *s, int32_t token, bool bound)
{
    const struct ft_source_box *src = s->req->m->src;
    if (s->matcher == NULL ||
        (!bound && s->req->r.ignore_eos && contains(src->eog, src->n_eog, token)))
        return true;
    return s->grammar_waits ? take_before_grammar(s, token) : ft_matcher_accept(s->matcher, token);
}

int ft_output_take(struct ft_seq *s, int32_t token, struct ft_buf *piece, struct ft_buf *text,
                   struct ft_output *ret, struct ft_err *err)
{
    *ret = (struct ft_output){.stop = -1};
    bool waited = s->grammar_waits, bound = !is_unbound(s);
    if (!grammar_takes(s, token, bound))
        return ft_err_set(err, FT_EINVAL, "grammar: token %d does not continue the text", token);
    ret->ended = !waited && is_end(s, token, bound, &ret->how);
    if (ret->ended)
        return 0;
    FT_ASSERT(s->n_token < s->limit);
    s->token[s->n_token++] = token;
    ret->placed = true;
    ret->stop = take_text(s, token, piece, text);
    ret->ended = ret->stop >= 0 || s->n_token == s->limit;
    ret->how = ret->stop >= 0 ? FT_FINISH_STOP_STRING : FT_FINISH_LENGTH;
    return 0;
}

/* Draws and takes the next token. */
static int next_token(struct ft_engine *e, struct ft_seq *s, const float *logits,
                      struct ft_sample_out *out, struct ft_output *took, struct ft_err *err)
{
    int32_t refused[BORDER_TRIES];
    for (int n = 0;; n++) {
        bool border = s->grammar_waits || is_unbound(s);
        int rc = sample(e, s, logits, refused, n, out, err);
        if (rc != 0)
            return rc;
        rc = ft_output_take(s, out->token, &e->piece, &e->text, took, err);
        if (rc == 0 || !border || n + 1 == BORDER_TRIES)
            return rc;
        refused[n] = out->token;
    }
}

bool ft_output_sample(struct ft_engine *e, struct ft_seq *s, const float *logits,
                      int32_t *ret_token)
{
    struct ft_req *q = s->req;
    struct ft_sample_out out;
    struct ft_output took;
    struct ft_err err = {0};
    ft_buf_reset(&e->text);
    if (next_token(e, s, logits, &out, &took, &err) != 0) {
        ft_loop_fail(e, q, &err);
        return false;
    }
    count_token(e, s);
    *ret_token = out.token;
    if (!took.placed) {
        ft_loop_finish(e, s, took.how, out.token, &out, -1);
        return false;
    }
    tell(e, s, &out, took.ended);
    if (q->cancelled)
        return false; /* in the callback; the loop ends it */
    if (took.ended)
        ft_loop_finish(e, s, took.how, -1, NULL, took.stop);
    return !took.ended;
}
