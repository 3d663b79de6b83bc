/* How long a run is going to take, before its first step: one sequence passes forwards and back, as
 * in a step, and its time is taken for that of all others. Nothing of it stays: gradients are
 * cleared before every step, and draws depend on counters alone. Steps that are measured later know
 * better (watch_step() in train.c). */
#include "base/clock.h"
#include "train/core/impl.h"

#define SHORT_NS   1000000000 /* a pass within this is run again: the first touches new memory */
#define VALID_COST (1.0 / 3)  /* of a token that passes forwards only */

static int64_t rows_of(const struct ft_train *t, const struct ft_data *d, const int32_t *index,
                       int n)
{
    int each = t->o->objective == FT_TRAIN_DPO ? 2 : 1;
    int64_t rows = 0;
    for (int i = 0; i < n; i++)
        for (int k = 0; k < each; k++)
            rows += d->sample[(index != NULL ? index[i] : i * each) + k].n - 1;
    return rows;
}

/* Nanoseconds of a token in the sequence that t->batch holds. */
static int time_token(struct ft_train *t, const struct ft_epoch *e, double *ret, struct ft_err *err)
{
    struct ft_train_score score = {0};
    int64_t ns = 0;
    for (int i = 0; i < 2 && ns < SHORT_NS; i++) {
        int64_t began = ft_clock_now_ns();
        ft_epoch_batch(e, 0, &t->batch);
        int rc = ft_train_batch(t, FT_PASS_TRAIN, 0, 0, t->ref_train, &score, err);
        if (rc != 0)
            return rc;
        ns = ft_clock_now_ns() - began;
    }
    *ret = (double)ns / (double)FT_MAX(t->batch.n_rows, 1);
    return 0;
}

int ft_train_estimate(struct ft_train *t, double *ret_seconds, struct ft_err *err)
{
    struct ft_pack_config one = ft_train_pack(t, false), all = one;
    struct ft_epoch *e;
    double ns = 0;
    int64_t left = t->steps - t->state.step;
    one.bins = 1;
    *ret_seconds = 0;
    if (left <= 0)
        return 0;
    int rc = ft_epoch_open(t->data, t->split.train, t->split.n_train, &one, 0, &e, err);
    if (rc != 0)
        return rc;
    rc = time_token(t, e, &ns, err);
    ft_epoch_close(e);
    if (rc == 0)
        rc = ft_epoch_open(t->data, t->split.train, t->split.n_train, &all, 0, &e, err);
    if (rc != 0)
        return rc;
    double epoch_steps = (double)((e->n_batches + t->o->accumulate - 1) / t->o->accumulate);
    ft_epoch_close(e);
    double every = t->o->eval_every > 0 ? (double)t->o->eval_every : epoch_steps;
    double rows = (double)rows_of(t, t->data, t->split.train, t->split.n_train) / epoch_steps +
                  (double)rows_of(t, t->valid_set, t->valid, t->n_valid) * VALID_COST / every;
    *ret_seconds = ns * 1e-9 * rows * (double)left;
    return 0;
}
