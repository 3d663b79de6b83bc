/* Making a request: every check, and every allocation it will ever need, on the submitting thread.
 */
#include "engine/core/core.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

void ft_engine_config_init(struct ft_engine_config *cfg)
{
    *cfg = (struct ft_engine_config){.kv_type = FT_KV_F16,
                                     .max_rows = 256,
                                     .max_running = 64,
                                     .max_requests = 1024,
                                     .spill_bytes = 8ull << 30};
}

void ft_request_init(struct ft_request *r)
{
    *r = (struct ft_request){
        .kind = FT_REQUEST_GENERATE,
        .n = 1,
        .sampling = {.temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1},
        .spec = {.draft_max = 4},
        .normalise = true,
        .caller_weight = 1,
        .prefix_cache = true,
    };
}

/* ---- checks ---- */

/* Written so that NaN fails. */
static int in_range(const char *field, double v, double lo, double hi, bool open_lo,
                    struct ft_err *err)
{
    if (v >= lo && v <= hi && !(open_lo && v == lo))
        return 0;
    return ft_err_set(err, FT_EINVAL, "%s: %g is not %s %g and at most %g", field, v,
                      open_lo ? "more than" : "at least", lo, hi);
}

static int check_ids(const char *field, const int32_t *id, int n, int n_max, int n_vocab,
                     struct ft_err *err)
{
    if (n < 0 || n > n_max || (n > 0 && id == NULL))
        return ft_err_set(err, FT_EINVAL, "%s: %d entries, at most %d", field, n, n_max);
    for (int i = 0; i < n; i++)
        if (id[i] < 0 || id[i] >= n_vocab)
            return ft_err_set(err, FT_EINVAL, "%s[%d]: token %d is outside the vocabulary of %d",
                              field, i, id[i], n_vocab);
    return 0;
}

static int check_sampling(const struct ft_sampling *s, int n_vocab, struct ft_err *err)
{
    int rc = in_range("temperature", s->temperature, 0, 100, false, err);
    if (rc == 0)
        rc = in_range("top_k", s->top_k, 0, INT32_MAX, false, err);
    if (rc == 0)
        rc = in_range("top_p", s->top_p, 0, 1, true, err);
    if (rc == 0)
        rc = in_range("min_p", s->min_p, 0, 1, false, err);
    if (rc == 0)
        rc = in_range("typical_p", s->typical_p, 0, 1, true, err);
    if (rc == 0)
        rc = in_range("repetition_penalty", s->repetition_penalty, 0, 10, true, err);
    if (rc == 0)
        rc = in_range("presence_penalty", s->presence_penalty, -2, 2, false, err);
    if (rc == 0)
        rc = in_range("frequency_penalty", s->frequency_penalty, -2, 2, false, err);
    if (rc == 0)
        rc = in_range("penalty_window", s->penalty_window, 0, INT32_MAX, false, err);
    if (rc == 0 && (s->n_bias < 0 || s->n_bias > FT_REQUEST_BIASES_MAX))
        rc = ft_err_set(err, FT_EINVAL, "logit_bias: %d entries, at most %d", s->n_bias,
                        FT_REQUEST_BIASES_MAX);
    for (int i = 0; rc == 0 && i < s->n_bias; i++) {
        rc = check_ids("logit_bias", &s->bias[i].token, 1, 1, n_vocab, err);
        if (rc == 0)
            rc = in_range("logit_bias", s->bias[i].bias, -100, 100, false, err);
    }
    return rc;
}

static int check_generate(const struct ft_request *r, const struct ft_hosted *m,
                          const struct ft_hosted *draft, struct ft_err *err)
{
    int n_vocab = m->src->pub.hp.n_vocab;
    int rc = in_range("n", r->n, 1, FT_REQUEST_SAMPLES_MAX, false, err);
    if (rc == 0)
        rc = in_range("max_tokens", r->max_tokens, 0, INT32_MAX, false, err);
    if (rc == 0)
        rc = in_range("min_tokens", r->min_tokens, 0, INT32_MAX, false, err);
    if (rc == 0 && r->max_tokens > 0 && r->min_tokens > r->max_tokens)
        rc = ft_err_set(err, FT_EINVAL, "min_tokens: %d is more than max_tokens, %d", r->min_tokens,
                        r->max_tokens);
    if (rc == 0)
        rc = check_sampling(&r->sampling, n_vocab, err);
    if (rc == 0)
        rc = check_ids("stop_token", r->stop_token, r->n_stop_token, FT_REQUEST_STOP_IDS_MAX,
                       n_vocab, err);
    if (rc == 0)
        rc = in_range("n_top", r->n_top, 0, FT_REQUEST_TOP_MAX, false, err);
    if (rc == 0)
        rc = in_range("spec.lookup_max", r->spec.lookup_max, 0, FT_SPEC_TOKENS_MAX, false, err);
    if (rc == 0 && draft != NULL)
        rc = in_range("spec.draft_max", r->spec.draft_max, 1, FT_SPEC_TOKENS_MAX, false, err);
    if (rc == 0 && draft != NULL && draft->src->pub.hp.n_vocab != n_vocab)
        rc = ft_err_set(err, FT_EINVAL, "spec.draft: %s has %d tokens, %s has %d", draft->src->id,
                        draft->src->pub.hp.n_vocab, m->src->id, n_vocab);
    if (rc == 0 && draft != NULL && !ft_source_same_tokens(draft->src, m->src))
        rc = ft_err_set(err, FT_EINVAL, "spec.draft: the tokens of %s are not those of %s",
                        draft->src->id, m->src->id);
    if (rc == 0 && r->grammar_after.n > FT_REQUEST_AFTER_BYTES)
        rc = ft_err_set(err, FT_EINVAL, "grammar_after: %zu bytes, at most %d", r->grammar_after.n,
                        FT_REQUEST_AFTER_BYTES);
    if (rc == 0 && m->src->tokenizer == NULL && (r->n_stop > 0 || r->grammar != NULL))
        rc = ft_err_set(err, FT_EINVAL, "%s: the model has no tokenizer",
                        r->n_stop > 0 ? "stop" : "grammar");
    return rc;
}

static int check_scores(const struct ft_request *r, const struct ft_hosted *m, struct ft_err *err)
{
    int most = FT_REQUEST_SCORES_MAX;
    int rc =
        check_ids("score_token", r->score_token, r->n_score, most, m->src->pub.hp.n_vocab, err);
    if (rc == 0 && r->kind == FT_REQUEST_PROMPT)
        rc = in_range("n_top", r->n_top, 0, FT_REQUEST_TOP_MAX, false, err);
    if (rc == 0 && r->kind == FT_REQUEST_SCORE && r->n_score < 1)
        rc = ft_err_set(err, FT_EINVAL, "score_token: none given");
    if (rc == 0 && r->kind == FT_REQUEST_RANK && !m->src->pub.has_cls && r->n_score != 2)
        rc = ft_err_set(err, FT_EINVAL,
                        "score_token: %d given; without a classification head ranking takes two, "
                        "yes and no",
                        r->n_score);
    return rc;
}

static int check(const struct ft_request *r, const struct ft_hosted *m,
                 const struct ft_hosted *draft, struct ft_err *err)
{
    const struct ft_model_source *src = &m->src->pub;
    if ((unsigned)r->kind > FT_REQUEST_PROMPT)
        return ft_err_set(err, FT_EINVAL, "kind: %d is not one", (int)r->kind);
    if (r->prompt == NULL || r->n_prompt == 0)
        return ft_err_set(err, FT_EINVAL, "prompt: empty");
    bool generate = r->kind == FT_REQUEST_GENERATE;
    if (r->n_prompt + (generate ? 1 : 0) > (size_t)src->n_ctx)
        return ft_err_set(err, FT_ELIMIT,
                          "prompt: %zu tokens%s do not fit the model's context of %d", r->n_prompt,
                          generate ? " and one to generate" : "", src->n_ctx);
    int rc = check_ids("prompt", r->prompt, (int)r->n_prompt, src->n_ctx, src->hp.n_vocab, err);
    if (rc == 0 && (unsigned)r->pooling > FT_POOL_LAST)
        rc = ft_err_set(err, FT_EINVAL, "pooling: %d is not one for embeddings", (int)r->pooling);
    if (rc == 0 && r->caller.n > FT_REQUEST_CALLER_BYTES)
        rc = ft_err_set(err, FT_EINVAL, "caller: %zu bytes, at most %d", r->caller.n,
                        FT_REQUEST_CALLER_BYTES);
    if (rc == 0 && r->salt.n > FT_REQUEST_SALT_BYTES)
        rc = ft_err_set(err, FT_EINVAL, "salt: %zu bytes, at most %d", r->salt.n,
                        FT_REQUEST_SALT_BYTES);
    if (rc == 0)
        rc = in_range("caller_weight", r->caller_weight, 0.001, 1000, false, err);
    if (rc == 0)
        rc = in_range("priority", r->priority, -10, 10, false, err);
    if (rc == 0 && generate)
        rc = check_generate(r, m, draft, err);
    if (rc == 0 && !generate)
        rc = check_scores(r, m, err);
    return rc;
}

/* ---- making ---- */

static int no_memory(struct ft_err *err)
{
    return ft_err_set(err, FT_ENOMEM, "request: no memory");
}

static void *copy(const void *p, size_t bytes)
{
    void *q = bytes > 0 ? malloc(bytes) : NULL;
    if (q != NULL)
        memcpy(q, p, bytes);
    return q;
}

static int copy_fields(struct ft_req *q, const struct ft_request *r, struct ft_err *err)
{
    struct ft_request *c = &q->r;
    *c = *r;
    c->prompt = NULL;
    c->model = c->adapter = NULL;
    c->spec.draft = NULL;
    c->resume = NULL;
    c->stop = NULL;
    c->grammar = NULL;
    c->grammar_after = (struct ft_slice){0};
    c->stop_token = copy(r->stop_token, (size_t)r->n_stop_token * sizeof *r->stop_token);
    c->score_token = copy(r->score_token, (size_t)r->n_score * sizeof *r->score_token);
    c->sampling.bias =
        copy(r->sampling.bias, (size_t)r->sampling.n_bias * sizeof *r->sampling.bias);
    c->caller.p = copy(r->caller.p, r->caller.n);
    c->salt.p = copy(r->salt.p, r->salt.n);
    bool lost = (r->n_stop_token > 0 && c->stop_token == NULL) ||
                (r->n_score > 0 && c->score_token == NULL) ||
                (r->sampling.n_bias > 0 && c->sampling.bias == NULL) ||
                (r->caller.n > 0 && c->caller.p == NULL) || (r->salt.n > 0 && c->salt.p == NULL);
    if (lost)
        return no_memory(err);
    if (r->kind != FT_REQUEST_GENERATE) {
        c->n = 1;
        c->n_stop = 0;
        c->n_top = r->kind == FT_REQUEST_PROMPT ? r->n_top : 0;
        return 0;
    }
    if (r->grammar != NULL)
        c->grammar = ft_grammar_ref(r->grammar);
    c->grammar_after.p = copy(r->grammar_after.p, r->grammar_after.n);
    c->grammar_after.n = c->grammar_after.p != NULL ? r->grammar_after.n : 0;
    if (r->grammar_after.n > 0 && c->grammar_after.p == NULL)
        return no_memory(err);
    return r->n_stop > 0 ? ft_stops_compile(r->stop, r->n_stop, &q->stops, err) : 0;
}

static int make_values(struct ft_req *q, struct ft_seq *s, struct ft_err *err)
{
    int d = q->m->src->pub.hp.d_model;
    switch (q->r.kind) {
    case FT_REQUEST_GENERATE:
        return 0;
    case FT_REQUEST_EMBED:
        s->n_value = d;
        s->pool_sum = calloc((size_t)d, sizeof *s->pool_sum);
        if (s->pool_sum == NULL)
            return no_memory(err);
        break;
    case FT_REQUEST_SCORE:
        s->n_value = q->r.n_score;
        break;
    case FT_REQUEST_RANK:
        s->n_value = 1;
        break;
    case FT_REQUEST_PROMPT:
        s->n_value = s->n_prompt;
        break;
    }
    s->value = calloc((size_t)s->n_value, sizeof *s->value);
    return s->value != NULL ? 0 : no_memory(err);
}

static int make_matcher(struct ft_req *q, struct ft_seq *s, struct ft_err *err)
{
    if (q->r.grammar == NULL)
        return 0;
    s->grammar_waits = q->r.grammar_after.n > 0;
    if (s->index > 0)
        return ft_matcher_clone(q->seq[0].matcher, &s->matcher, err);
    const struct ft_vocab *v = NULL;
    int rc = ft_source_vocab(q->m->src, &v, err);
    return rc != 0 ? rc : ft_matcher_open(q->r.grammar, v, &s->matcher, err);
}

static int make_seq(struct ft_req *q, struct ft_seq *s, const struct ft_request *r,
                    struct ft_err *err)
{
    int64_t limit = q->m->src->pub.n_ctx;
    if (r->kind != FT_REQUEST_GENERATE)
        limit = (int64_t)r->n_prompt;
    else if (r->max_tokens > 0)
        limit = FT_MIN(limit, (int64_t)r->n_prompt + r->max_tokens);
    int64_t kv_limit = (int64_t)q->m->pool.n_max * FT_KV_BLOCK;
    if ((int64_t)r->n_prompt + (r->kind == FT_REQUEST_GENERATE) > kv_limit)
        return ft_err_set(err, FT_ELIMIT,
                          "prompt: %zu tokens do not fit the KV cache, which the memory budget "
                          "limits to %lld",
                          r->n_prompt, (long long)kv_limit);
    limit = FT_MIN(limit, kv_limit);
    s->req = q;
    s->running_at = -1;
    s->slot_state = -1;
    s->n_token = s->n_prompt = (int)r->n_prompt;
    s->limit = (int)limit;
    s->cap_block = (int)((limit + FT_KV_BLOCK - 1) / FT_KV_BLOCK);
    s->token = malloc((size_t)limit * sizeof *s->token);
    s->block = malloc((size_t)s->cap_block * sizeof *s->block);
    s->spill = malloc((size_t)s->cap_block * sizeof *s->spill);
    if (s->token == NULL || s->block == NULL || s->spill == NULL)
        return no_memory(err);
    memcpy(s->token, r->prompt, r->n_prompt * sizeof *s->token);
    if (q->draft != NULL) {
        s->dkv.block = malloc((size_t)s->cap_block * sizeof *s->dkv.block);
        if (s->dkv.block == NULL)
            return no_memory(err);
    }
    int rc = make_values(q, s, err);
    if (rc != 0 || r->kind != FT_REQUEST_GENERATE)
        return rc;
    if (ft_penalties_wanted(&r->sampling)) {
        size_t most = FT_MIN((size_t)limit, (size_t)q->m->src->pub.hp.n_vocab);
        rc = ft_penalties_init(&s->penalties, r->sampling.penalty_window, most, err);
        s->has_penalties = rc == 0;
    }
    if (rc == 0)
        rc = make_matcher(q, s, err);
    if (q->m->src->tokenizer != NULL) {
        ft_detok_init(&s->detok, q->m->src->tokenizer, !r->keep_control);
        s->detok.first = false; /* it continues the prompt: a leading space is part of the text */
    }
    return rc;
}

int ft_req_make(const struct ft_request *r, struct ft_hosted *m, struct ft_hosted *draft,
                struct ft_hosted_adapter *adapter, struct ft_req **ret_q, struct ft_err *err)
{
    int rc = check(r, m, draft, err);
    if (rc != 0)
        return rc;
    struct ft_req *q = calloc(1, sizeof *q);
    if (q == NULL)
        return no_memory(err);
    q->m = m;
    q->draft = draft;
    q->adapter = adapter;
    q->root = -1;
    q->t_submit = ft_clock_now_ns();
    q->usage.prompt_tokens = (int)r->n_prompt;
    rc = copy_fields(q, r, err);
    if (rc == 0) {
        q->seq = calloc((size_t)q->r.n, sizeof *q->seq);
        q->n_seq = q->n_left = q->seq != NULL ? q->r.n : 0;
        if (q->seq == NULL)
            rc = no_memory(err);
    }
    for (int i = 0; rc == 0 && i < q->n_seq; i++) {
        q->seq[i].index = i;
        rc = make_seq(q, &q->seq[i], r, err);
    }
    bool resume = r->kind == FT_REQUEST_GENERATE && r->resume != NULL;
    for (int i = 0; rc == 0 && resume && i < q->n_seq; i++)
        rc = ft_resume_take(&q->seq[i], &r->resume[i], err);
    if (rc != 0) {
        ft_req_free(q);
        return rc;
    }
    ft_resume_lead(q);
    *ret_q = q;
    return 0;
}

void ft_req_free(struct ft_req *q)
{
    if (q == NULL)
        return;
    for (int i = 0; i < q->n_seq; i++) {
        struct ft_seq *s = &q->seq[i];
        ft_matcher_close(s->matcher);
        ft_resume_free(s);
        if (s->has_penalties)
            ft_penalties_fini(&s->penalties);
        free(s->token);
        free(s->block);
        free(s->spill);
        free(s->dkv.block);
        free(s->pool_sum);
        free(s->value);
    }
    free(q->seq);
    if (q->r.grammar != NULL)
        ft_grammar_unref(q->r.grammar);
    free((void *)q->r.stop_token);
    free((void *)q->r.score_token);
    free((void *)q->r.sampling.bias);
    free((void *)q->r.caller.p);
    free((void *)q->r.salt.p);
    free((void *)q->r.grammar_after.p);
    free(q);
}
