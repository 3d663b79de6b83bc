/* Log-probabilities of the wanted tokens and their gradient, some rows of logits at a time, so that
 * a large vocabulary never stands in memory for a whole batch. */
#include <math.h>
#include <string.h>

#include "train/tape/impl.h"

#define LOGITS_BYTES ((size_t)64 << 20)
#define ROWS_MIN     16

static int chunk_rows(const struct ft_model *m)
{
    size_t rows = LOGITS_BYTES / ((size_t)m->hp.n_vocab * sizeof(float));
    return (int)FT_MIN(FT_MAX(rows, (size_t)ROWS_MIN), (size_t)m->max_rows);
}

void ft_tape_measure_loss(struct tape *t, struct ft_model *m)
{
    ft_tape_work(t, (size_t)chunk_rows(m) * (size_t)m->hp.n_vocab * sizeof(float));
}

struct rows_ctx {
    float *logit; /* [n, n_vocab], from row `first` on; becomes the gradient */
    int64_t n_vocab;
    const int32_t *target;
    const float *coef;
    float *logprob;
};

/* d logprob / d logit = onehot - softmax. */
static void score_rows(struct tape *t, void *ctx, int at, int n, int worker)
{
    (void)worker;
    const struct rows_ctx *c = ctx;
    int v = (int)c->n_vocab;
    for (int i = at; i < at + n; i++) {
        float *x = c->logit + i * c->n_vocab;
        int32_t y = c->target[i];
        if (y < 0) {
            c->logprob[i] = 0;
            if (c->coef != NULL)
                memset(x, 0, (size_t)v * sizeof *x);
            continue;
        }
        float top = t->vec->max(x, v), wanted = x[y];
        float sum = t->vec->exp_sum(x, v, 1, top, x);
        c->logprob[i] = wanted - top - logf(sum);
        if (c->coef == NULL)
            continue;
        t->vec->scale(x, v, -c->coef[i] / sum, x);
        x[y] += c->coef[i];
    }
}

static void chunk(struct tape *t, struct ft_model *m, int at, int n, const struct rows_ctx *c)
{
    int64_t d = m->hp.d_model, v = m->hp.n_vocab;
    struct ft_mat hidden = {m->hidden + at * d, d};
    struct ft_gemm_in h = {hidden.p, FT_F32, d, false};
    struct ft_gemm_args a = {n, v, d, h, ft_tape_weight_in(m->output, true), 1, false, c->logit, v};
    ft_tape_gemm(t, &a);
    struct rows_ctx part = *c;
    part.target += at;
    part.logprob += at;
    part.coef = c->coef != NULL ? c->coef + at : NULL;
    ft_tape_rows(t, n, v, score_rows, &part);
    if (c->coef == NULL)
        return;
    struct ft_mat gh = ft_tape_grad(t, hidden);
    struct ft_gemm_args back = {
        n,     d,    v, {c->logit, FT_F32, v, false}, ft_tape_weight_in(m->output, false), 1,
        false, gh.p, d};
    ft_tape_gemm(t, &back);
    int param = ((const struct tape_weight *)m->output)->param;
    if (param >= 0) {
        struct ft_gemm_args gw = {
            v, d, n, {c->logit, FT_F32, v, true}, h, 1, true, t->param[param].grad, d};
        ft_tape_gemm(t, &gw);
    }
}

void ft_tape_logprobs(struct ft_dev *d, struct ft_model *m, const int32_t *target, int n_out,
                      const float *coef, float *logprob)
{
    struct tape *t = ft_tape_of(d);
    int rows = chunk_rows(m);
    struct rows_ctx c = {
        .n_vocab = m->hp.n_vocab, .target = target, .coef = coef, .logprob = logprob};
    c.logit = ft_tape_work(t, (size_t)FT_MIN(rows, n_out) * (size_t)c.n_vocab * sizeof(float));
    for (int at = 0; at < n_out; at += rows)
        chunk(t, m, at, FT_MIN(rows, n_out - at), &c);
    if (coef != NULL)
        ft_tape_set_live(t, (struct ft_mat){m->hidden, m->hp.d_model}, true);
}
