/* A training run: setup.c prepares, this file steps, loss.c is what a batch does, result.c is what
 * stays. State is what a checkpoint holds; everything a step does depends on it, the options and
 * the data alone. */
#include "train/core/train.h"

#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "train/core/impl.h"

#define RATE_SECONDS 20 /* tokens/s are over about so long */

void ft_train_stage(const struct ft_train *t, const char *what)
{
    if (t->ev->on_stage != NULL)
        t->ev->on_stage(t->ev->ctx, what);
}

void ft_train_note(const struct ft_train *t, const char *fmt, ...)
{
    char text[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    if (t->ev->on_note != NULL)
        t->ev->on_note(t->ev->ctx, text);
}

static int interrupt(const struct ft_train *t)
{
    return t->ev->interrupt != NULL ? *t->ev->interrupt : 0;
}

/* ---- what a step needs ---- */

static double lr_at(const struct ft_train *t, int64_t step)
{
    const struct ft_train_options *o = t->o;
    double warm = o->warmup < 1 ? floor(o->warmup * (double)t->steps) : o->warmup;
    if ((double)step < warm)
        return o->lr * (double)(step + 1) / warm;
    double rest = (double)t->steps - warm;
    double p = rest > 1 ? ((double)step - warm) / (rest - 1) : 0; /* one step alone is the peak */
    p = FT_MIN(p, 1.0);
    if (o->schedule == FT_TRAIN_COSINE)
        return o->min_lr + (o->lr - o->min_lr) * 0.5 * (1 + cos(3.14159265358979323846 * p));
    if (o->schedule == FT_TRAIN_LINEAR)
        return o->min_lr + (o->lr - o->min_lr) * (1 - p);
    return o->lr;
}

/* Rates over a window, and the time that this part of the run has taken. */
struct watch {
    int64_t began_ns, window_ns;
    double before; /* seconds of the parts before this one */
    int64_t window_tokens, first_step;
    double window_flops, tokens_per_s, gflop_s;
};

static void watch_start(struct watch *w, const struct ft_train *t)
{
    *w = (struct watch){.began_ns = ft_clock_now_ns(),
                        .before = t->state.seconds,
                        .window_tokens = t->state.tokens,
                        .first_step = t->state.step,
                        .window_flops = ft_tape_flops(t->dev)};
    w->window_ns = w->began_ns;
}

static void watch_step(struct watch *w, const struct ft_train *t, struct ft_train_step *s)
{
    int64_t now = ft_clock_now_ns();
    double window = (double)(now - w->window_ns) * 1e-9;
    s->seconds = w->before + (double)(now - w->began_ns) * 1e-9;
    if (window > 0) {
        w->tokens_per_s = (double)(t->state.tokens - w->window_tokens) / window;
        w->gflop_s = (ft_tape_flops(t->dev) - w->window_flops) * 1e-9 / window;
    }
    if (window > RATE_SECONDS) {
        w->window_ns = now;
        w->window_tokens = t->state.tokens;
        w->window_flops = ft_tape_flops(t->dev);
    }
    s->tokens_per_s = w->tokens_per_s;
    s->gflop_s = w->gflop_s;
    double each = (s->seconds - w->before) / (double)(t->state.step - w->first_step);
    s->seconds_left = each * (double)(t->steps - t->state.step);
}

/* ---- validation and checkpoints ---- */

/* With patience, what the results are made of (result.c). */
static int save_best(struct ft_train *t, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES];
    snprintf(path, sizeof path, "%s/best", t->o->output);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make %s", path);
    return ft_checkpoint_write(path, &t->state, t->run, t->cparam, t->n_params, 1, err);
}

static int validate(struct ft_train *t, struct ft_err *err)
{
    struct ft_pack_config cfg = ft_train_pack(t, true);
    struct ft_train_score score = {0};
    struct ft_epoch *e = NULL;
    if (t->n_valid == 0 || t->state.last_valid_step == t->state.step)
        return 0;
    int rc = ft_epoch_open(t->valid_set, t->valid, t->n_valid, &cfg, 0, &e, err);
    for (int i = 0; rc == 0 && i < e->n_batches; i++) {
        ft_epoch_batch(e, i, &t->batch);
        rc = ft_train_batch(t, FT_PASS_SCORE, 0, 0, t->ref_valid, &score, err);
    }
    ft_epoch_close(e);
    if (rc != 0)
        return rc;
    double n = (double)score.count;
    struct ft_train_valid v = {t->state.step, score.loss / n, score.accuracy / n, score.margin / n,
                               false};
    v.best = v.loss < t->state.best_valid;
    t->state.bad_valids = v.best ? 0 : t->state.bad_valids + 1;
    t->state.last_valid_step = t->state.step;
    if (v.best) {
        t->state.best_valid = v.loss;
        t->state.best_step = t->state.step;
    }
    if (t->ev->on_valid != NULL)
        t->ev->on_valid(t->ev->ctx, &v);
    rc = ft_metrics_valid(t, &v, err);
    return rc == 0 && v.best && t->o->patience > 0 ? save_best(t, err) : rc;
}

static int save(struct ft_train *t, struct ft_err *err)
{
    int rc = ft_checkpoint_write(t->o->output, &t->state, t->run, t->cparam, t->n_params,
                                 (int)t->o->keep, err);
    if (rc == 0)
        rc = ft_train_keep_adapter(t, err);
    if (rc == 0 && t->ev->on_checkpoint != NULL)
        t->ev->on_checkpoint(t->ev->ctx, t->state.step);
    return rc;
}

/* ---- the loop ---- */

/* Batches [at, at + n) of the epoch, one step. */
static int step(struct ft_train *t, const struct ft_epoch *e, int at, int n, struct watch *w,
                struct ft_err *err)
{
    struct ft_train_score score = {0};
    int64_t units = 0;
    int rc = 0;
    for (int i = 0; i < n; i++) {
        ft_epoch_batch(e, at + i, &t->batch);
        units += ft_train_units(t);
    }
    ft_tape_zero_grad(t->dev);
    for (int i = 0; i < n && rc == 0; i++) {
        ft_epoch_batch(e, at + i, &t->batch);
        uint64_t key = (uint64_t)t->state.step * (uint64_t)t->o->accumulate + (uint64_t)i;
        rc = ft_train_batch(t, FT_PASS_TRAIN, 1.0 / (double)units, key, t->ref_train, &score, err);
    }
    if (rc != 0)
        return rc;
    struct ft_train_step s = {.steps = t->steps, .lr = lr_at(t, t->state.step)};
    s.grad_norm = ft_optim_norm(t->optim);
    s.loss = score.loss / (double)units;
    if (!isfinite(s.loss) || !isfinite(s.grad_norm))
        return ft_err_set(err, FT_ECORRUPT,
                          "step %lld: the loss or its gradient is no number any more; a smaller lr "
                          "or precision f32 may help",
                          (long long)t->state.step + 1);
    ft_optim_step(t->optim, t->state.step + 1, s.lr, s.grad_norm);
    t->state.step++;
    t->state.batch = at + n;
    t->state.tokens += score.tokens;
    t->state.targets += score.targets;
    s.step = t->state.step;
    s.epoch = (double)t->state.epoch + (double)(at + n) / e->n_batches;
    s.accuracy = score.accuracy / (double)units;
    s.margin = score.margin / (double)units;
    s.tokens = t->state.tokens;
    watch_step(w, t, &s);
    t->state.seconds = s.seconds;
    rc = ft_metrics_step(t, &s, err);
    if (rc == 0 && t->ev->on_step != NULL)
        t->ev->on_step(t->ev->ctx, &s);
    return rc;
}

static bool is_time(int64_t every, int64_t at, bool epoch_ends)
{
    return every > 0 ? at % every == 0 : epoch_ends;
}

static bool gives_up(const struct ft_train *t)
{
    return t->o->patience > 0 && t->state.bad_valids >= t->o->patience;
}

static bool is_over(const struct ft_train *t)
{
    return t->state.step >= t->steps || gives_up(t);
}

/* What comes after a step. */
static int after_step(struct ft_train *t, bool epoch_ends, struct ft_err *err)
{
    int rc = 0;
    bool last = t->state.step >= t->steps;
    if (last || is_time(t->o->eval_every, t->state.step, epoch_ends))
        rc = validate(t, err);
    if (rc != 0 || interrupt(t) > 1)
        return rc != 0 ? rc : ft_err_set(err, FT_ECANCELED, "interrupted");
    if (is_over(t) || interrupt(t) != 0 || is_time(t->o->save_every, t->state.step, epoch_ends))
        rc = save(t, err);
    if (rc == 0 && interrupt(t) != 0 && !is_over(t))
        rc = ft_err_set(err, FT_ECANCELED, "interrupted after step %lld", (long long)t->state.step);
    return rc;
}

static int run_epoch(struct ft_train *t, struct watch *w, struct ft_err *err)
{
    struct ft_pack_config cfg = ft_train_pack(t, false);
    struct ft_epoch *e;
    int rc = ft_epoch_open(t->data, t->split.train, t->split.n_train, &cfg,
                           (uint64_t)t->state.epoch, &e, err);
    if (rc != 0)
        return rc;
    while (rc == 0 && !is_over(t) && t->state.batch < e->n_batches) {
        int at = (int)t->state.batch;
        int n = (int)FT_MIN(t->o->accumulate, (int64_t)(e->n_batches - at));
        rc = step(t, e, at, n, w, err);
        bool ends = rc == 0 && at + n == e->n_batches;
        if (ends) {
            t->state.epoch++;
            t->state.batch = 0;
        }
        if (rc == 0)
            rc = after_step(t, ends, err);
        if (ends)
            break;
    }
    ft_epoch_close(e);
    return rc;
}

int ft_train_run(const struct ft_train_options *o, const struct ft_train_events *ev,
                 struct ft_err *err)
{
    struct ft_train t = {.o = o, .ev = ev, .lock_fd = -1};
    struct watch w;
    int rc = ft_train_setup(&t, err);
    if (rc == 0)
        rc = ft_metrics_open(&t, err);
    if (rc == 0)
        watch_start(&w, &t);
    while (rc == 0 && !is_over(&t))
        rc = run_epoch(&t, &w, err);
    if (rc == 0 && gives_up(&t))
        ft_train_note(&t, "stopped early: no better validation since step %lld",
                      (long long)t.state.best_step);
    if (rc == 0)
        rc = ft_train_results(&t, err);
    ft_train_teardown(&t);
    if (rc != 0 && o->model == NULL && !t.goes_on && t.model_path[0] != '\0')
        ft_folder_remove(t.model_path); /* new weights of a run that was refused */
    if (rc != 0 && t.made_output)
        rmdir(o->output); /* where nothing came of it; what holds anything stays */
    return rc;
}
