/* Embeddings and scores: what is read off the rows of a prompt instead of sampling. */
#include "engine/core/core.h"

#include <math.h>

static enum ft_pooling pooling(const struct ft_req *q)
{
    enum ft_pooling p = q->r.pooling != FT_POOL_NONE ? q->r.pooling : q->m->src->pub.pooling;
    return p == FT_POOL_NONE || p == FT_POOL_RANK ? FT_POOL_LAST : p;
}

bool ft_embed_wants_hidden(const struct ft_req *q)
{
    return q->r.kind == FT_REQUEST_EMBED || (q->r.kind == FT_REQUEST_RANK && q->m->src->n_cls > 0);
}

bool ft_embed_wants_all_rows(const struct ft_req *q)
{
    enum ft_pooling p = pooling(q);
    return q->r.kind == FT_REQUEST_PROMPT ||
           (q->r.kind == FT_REQUEST_EMBED && (p == FT_POOL_MEAN || p == FT_POOL_CLS));
}

/* Of the next n_rows rows of the sequence, how many (the last ones) have a result wanted. */
int ft_embed_out_rows(const struct ft_seq *s, int n_rows)
{
    const struct ft_req *q = s->req;
    if (q->r.kind == FT_REQUEST_PROMPT)
        return n_rows;
    if (q->r.kind == FT_REQUEST_EMBED && pooling(q) == FT_POOL_MEAN)
        return n_rows;
    if (q->r.kind == FT_REQUEST_EMBED && pooling(q) == FT_POOL_CLS)
        return s->n_done == 0 ? n_rows : 0; /* the first row of the first chunk */
    return s->n_done + n_rows == s->n_token;
}

static void finish_embedding(struct ft_seq *s)
{
    double norm = 0;
    for (int i = 0; i < s->n_value; i++)
        norm += s->pool_sum[i] * s->pool_sum[i];
    double by = s->req->r.normalise && norm > 0 ? 1 / sqrt(norm) : 1;
    for (int i = 0; i < s->n_value; i++)
        s->value[i] = (float)(s->pool_sum[i] * by);
}

/* Rows that a preempted sequence computes again were taken in before. */
static void pool_rows(struct ft_seq *s, int pos, int n, const float *hidden)
{
    enum ft_pooling p = pooling(s->req);
    int d = s->n_value;
    if (p == FT_POOL_CLS)
        n = pos == 0 && n > 0 ? 1 : 0;
    double by = p == FT_POOL_MEAN ? 1.0 / s->n_prompt : 1;
    int first = FT_MAX(s->n_pooled - pos, 0);
    s->n_pooled = FT_MAX(s->n_pooled, pos + n);
    for (int r = first; r < n; r++)
        for (int i = 0; i < d; i++)
            s->pool_sum[i] += by * hidden[(size_t)r * (size_t)d + (size_t)i];
}

/* One output: a logit, through the logistic function. More: the share of the first ("yes") by
 * softmax. */
static float rank_by_head(const struct ft_req *q, const float *hidden)
{
    const struct ft_source_box *src = q->m->src;
    int d = src->pub.hp.d_model;
    double first = 0, sum = 0;
    for (int c = 0; c < src->n_cls; c++) {
        double dot = 0;
        for (int i = 0; i < d; i++)
            dot += (double)src->cls[(size_t)c * (size_t)d + (size_t)i] * hidden[i];
        if (c == 0)
            first = dot;
        sum += exp(dot - first);
    }
    return (float)(src->n_cls == 1 ? 1 / (1 + exp(-first)) : 1 / sum);
}

/* What the model would rather have seen than the prompt's token at pos. */
static void tell_prompt_token(struct ft_engine *e, struct ft_seq *s, int pos, const float *logits)
{
    struct ft_req *q = s->req;
    static const struct ft_sampling greedy = {.top_p = 1, .typical_p = 1, .repetition_penalty = 1};
    struct ft_sample_in in = {
        .logits = logits, .n_vocab = q->m->src->pub.hp.n_vocab, .sp = &greedy, .n_top = q->r.n_top};
    struct ft_sample_out out = {0};
    ft_sample(&e->sampler, &in, &out, NULL); /* fails where no logit is a number: no alternatives */
    struct ft_event ev = {.kind = FT_EVENT_TOKEN,
                          .token = s->token[pos],
                          .text = "",
                          .logprob = s->value[pos],
                          .top = out.top,
                          .n_top = out.n_top};
    ft_req_emit(q, &ev);
}

static void score_rows(struct ft_engine *e, struct ft_seq *s, int pos, int n, const float *logits)
{
    const struct ft_req *q = s->req;
    int n_vocab = q->m->src->pub.hp.n_vocab;
    if (q->r.kind == FT_REQUEST_PROMPT) {
        for (int r = 0; r < n && pos + r + 1 < s->n_prompt; r++) {
            const float *row = logits + (size_t)r * (size_t)n_vocab;
            ft_sample_logprobs(row, n_vocab, &s->token[pos + r + 1], 1, &s->value[pos + r + 1]);
            if (q->r.n_top > 0 && !q->cancelled)
                tell_prompt_token(e, s, pos + r + 1, row);
        }
    } else if (q->r.kind == FT_REQUEST_SCORE) {
        ft_sample_logprobs(logits, n_vocab, q->r.score_token, q->r.n_score, s->value);
    } else {
        double a = logits[q->r.score_token[0]], b = logits[q->r.score_token[1]];
        s->value[0] = (float)(1 / (1 + exp(b - a)));
    }
}

/* pos: of the first of the p->n_out rows. */
void ft_embed_rows(struct ft_engine *e, struct ft_seq *s, const struct ft_plan *p, int pos,
                   const float *logits, const float *hidden)
{
    struct ft_req *q = s->req;
    const struct ft_hparams *hp = &q->m->src->pub.hp;
    size_t out = p->out >= 0 ? (size_t)p->out : 0;
    if (p->n_out > 0 && q->r.kind == FT_REQUEST_EMBED)
        pool_rows(s, pos, p->n_out, hidden + out * (size_t)hp->d_model);
    else if (p->n_out > 0 && ft_embed_wants_hidden(q))
        s->value[0] = rank_by_head(q, hidden + out * (size_t)hp->d_model);
    else if (p->n_out > 0)
        score_rows(e, s, pos, p->n_out, logits + out * (size_t)hp->n_vocab);
    if (s->n_done < s->n_token)
        return;
    if (q->r.kind == FT_REQUEST_EMBED)
        finish_embedding(s);
    struct ft_event ev = {.kind = FT_EVENT_RESULT, .value = s->value, .n_value = s->n_value};
    ft_req_emit(q, &ev);
    ft_loop_finish(e, s, FT_FINISH_LENGTH, -1, NULL, -1);
}
