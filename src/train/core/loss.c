/* From a batch to losses and gradients: imitation, and direct preference optimisation (Rafailov et
 * al., arXiv:2305.18290). */
#include <math.h>
#include <stdlib.h>

#include "train/core/impl.h"

static struct ft_batch as_batch(struct ft_train *t)
{
    const struct ft_pack_batch *p = &t->batch;
    for (int i = 0; i < p->n_segs; i++)
        t->seg[i] = (struct ft_seg){.row = p->seg[i].row, .n = p->seg[i].n, .pos = 0, .state = -1};
    return (struct ft_batch){.n_rows = p->n_rows,
                             .token = p->token,
                             .pos = p->pos,
                             .n_segs = p->n_segs,
                             .seg = t->seg,
                             .n_out = p->n_out,
                             .out_row = p->out_row};
}

/* Targets of the output rows, in place of those of all rows. */
static int32_t *out_targets(struct ft_pack_batch *p)
{
    for (int i = 0; i < p->n_out; i++)
        p->target[i] = p->target[p->out_row[i]];
    return p->target;
}

static bool is_dpo(const struct ft_train *t)
{
    return t->o->objective == FT_TRAIN_DPO;
}

int64_t ft_train_units(const struct ft_train *t)
{
    return is_dpo(t) ? t->batch.n_segs / 2 : t->batch.n_out;
}

/* Sums of the targets' log-probabilities by segment. sum: [n_segs]. */
static void sum_segments(const struct ft_train *t, double *sum)
{
    const struct ft_pack_batch *p = &t->batch;
    int at = 0;
    for (int s = 0; s < p->n_segs; s++) {
        sum[s] = 0;
        for (; at < p->n_out && p->out_row[at] < p->seg[s].row + p->seg[s].n; at++)
            sum[s] += t->logprob[at];
    }
}

/* The loss of each pair and its slope, onto every target of the two segments. */
static void dpo_coefs(struct ft_train *t, const double *sum, const double *ref, double weight,
                      struct ft_train_score *score)
{
    const struct ft_pack_batch *p = &t->batch;
    double beta = t->o->dpo_beta;
    int at = 0;
    for (int s = 0; s + 1 < p->n_segs; s += 2) {
        double chosen = sum[s] - ref[p->seg[s].sample];
        double rejected = sum[s + 1] - ref[p->seg[s + 1].sample];
        double z = beta * (chosen - rejected);
        /* -log sigmoid(z), and its slope by z, without overflow */
        score->loss += z > 0 ? log1p(exp(-z)) : -z + log1p(exp(z));
        double slope = -1 / (1 + exp(z));
        score->accuracy += z > 0;
        score->margin += z;
        score->count++;
        for (int k = 0; k < 2; k++) {
            const struct ft_pack_seg *seg = &p->seg[s + k];
            float c = (float)(weight * slope * (k == 0 ? beta : -beta));
            for (; at < p->n_out && p->out_row[at] < seg->row + seg->n; at++)
                t->coef[at] = c;
        }
    }
}

static int run_dpo(struct ft_train *t, enum ft_train_pass pass, double weight, const double *ref,
                   struct ft_train_score *score, struct ft_err *err)
{
    struct ft_pack_batch *p = &t->batch;
    double *sum = calloc((size_t)p->n_segs + 1, sizeof *sum);
    if (sum == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    ft_tape_logprobs(t->dev, t->model, p->target, p->n_out, NULL, t->logprob);
    sum_segments(t, sum);
    dpo_coefs(t, sum, ref, weight, score);
    free(sum);
    if (pass == FT_PASS_TRAIN)
        ft_tape_logprobs(t->dev, t->model, p->target, p->n_out, t->coef, t->logprob);
    return 0;
}

static void run_sft(struct ft_train *t, enum ft_train_pass pass, double weight,
                    struct ft_train_score *score)
{
    struct ft_pack_batch *p = &t->batch;
    for (int i = 0; i < p->n_out; i++)
        t->coef[i] = (float)-weight;
    ft_tape_logprobs(t->dev, t->model, p->target, p->n_out, pass == FT_PASS_TRAIN ? t->coef : NULL,
                     t->logprob);
    for (int i = 0; i < p->n_out; i++)
        score->loss -= t->logprob[i];
    score->count += p->n_out;
}

int ft_train_batch(struct ft_train *t, enum ft_train_pass pass, double weight, uint64_t key,
                   const double *ref, struct ft_train_score *score, struct ft_err *err)
{
    struct ft_batch b = as_batch(t);
    out_targets(&t->batch);
    ft_tape_begin(t->dev, pass == FT_PASS_TRAIN, key);
    int rc = ft_model_forward(t->model, t->kv, &b, NULL, NULL, err);
    if (rc != 0)
        return rc;
    if (is_dpo(t))
        rc = run_dpo(t, pass, weight, ref, score, err);
    else
        run_sft(t, pass, weight, score);
    if (rc != 0)
        return rc;
    if (pass == FT_PASS_TRAIN)
        ft_tape_backward(t->dev);
    score->tokens += t->batch.n_rows;
    score->targets += t->batch.n_out;
    return 0;
}

/* One batch's samples, by the model as it is. */
static int reference_batch(struct ft_train *t, double *ret, struct ft_err *err)
{
    struct ft_pack_batch *p = &t->batch;
    struct ft_batch b = as_batch(t);
    double *sum = calloc((size_t)p->n_segs + 1, sizeof *sum);
    if (sum == NULL)
        return ft_err_set(err, FT_ENOMEM, "batch: no memory");
    out_targets(p);
    ft_tape_begin(t->dev, false, 0);
    int rc = ft_model_forward(t->model, t->kv, &b, NULL, NULL, err);
    if (rc == 0) {
        ft_tape_logprobs(t->dev, t->model, p->target, p->n_out, NULL, t->logprob);
        sum_segments(t, sum);
        for (int i = 0; i < p->n_segs; i++)
            ret[p->seg[i].sample] = sum[i];
    }
    free(sum);
    return rc;
}

int ft_train_reference(struct ft_train *t, const struct ft_data *d, const int32_t *index, int n,
                       double **ret, struct ft_err *err)
{
    struct ft_pack_config cfg = ft_train_pack(t, true);
    struct ft_epoch *e;
    double *all = calloc((size_t)d->n + 1, sizeof *all);
    if (all == NULL)
        return ft_err_set(err, FT_ENOMEM, "reference: no memory for %d samples", d->n);
    int rc = ft_epoch_open(d, index, n, &cfg, 0, &e, err);
    if (rc == 0) {
        ft_tape_use_lora(t->dev, false);
        for (int i = 0; i < e->n_batches && rc == 0; i++) {
            ft_epoch_batch(e, i, &t->batch);
            rc = reference_batch(t, all, err);
        }
        ft_tape_use_lora(t->dev, true);
        ft_epoch_close(e);
    }
    if (rc != 0)
        free(all);
    else
        *ret = all;
    return rc;
}
