/* Everything before the first step: model, data, plan of steps, memory, device, optimiser, the
 * checkpoint to go on from. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/rand.h"
#include "train/core/impl.h"
#include "train/data/lines.h"
#include "train/init/init.h"

#define RUN_MAX  ((size_t)1 << 20) /* bytes of run.json */
#define MB       ((uint64_t)1 << 20)
#define ROWS_MAX (1 << 20) /* tokens of a batch: what a model takes */

/* ---- the output folder ---- */

static void output_path(const struct ft_train *t, const char *name, char *path)
{
    snprintf(path, FT_TRAIN_PATH_BYTES, "%s/%s", t->o->output, name);
}

/* The folder, which is this process's alone until it ends. */
static int lock_output(struct ft_train *t, struct ft_err *err)
{
    const char *path = t->o->output;
    if (strlen(path) > FT_TRAIN_PATH_BYTES - 256)
        return ft_err_set(err, FT_EINVAL, "output: the path is too long");
    if (t->o->resume && access(path, F_OK) != 0)
        return ft_err_set(err, FT_ENOTFOUND, "resume: %s holds no run", path);
    t->made_output = mkdir(path, 0777) == 0;
    if (!t->made_output && errno != EEXIST)
        return ft_err_sys(err, "output: make %s", path);
    t->lock_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (t->lock_fd < 0)
        return ft_err_sys(err, "output: open %s", path);
    if (flock(t->lock_fd, LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK)
        return ft_err_set(err, FT_EEXIST, "output: another run is at work in %s", path);
    return 0; /* or the file system has no locks */
}

/* A new run wants a folder of its own; a resumed one finds what day templates saw, unless it was
 * killed before it had written even that. */
static int open_output(struct ft_train *t, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES];
    int rc = lock_output(t, err);
    if (rc != 0)
        return rc;
    output_path(t, "run.json", path);
    t->goes_on = access(path, F_OK) == 0;
    if (t->goes_on && !t->o->resume)
        return ft_err_set(err, FT_EEXIST,
                          "output: %s holds a run already; give another folder, or resume",
                          t->o->output);
    t->now = ft_clock_wall_s();
    if (!t->goes_on)
        return 0;
    char *text;
    size_t n;
    rc = ft_file_read(path, RUN_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    json_t *root = json_loadb(text, n, 0, NULL);
    free(text);
    json_t *now = json_object_get(root, "now");
    if (json_is_integer(now))
        t->now = json_integer_value(now);
    else
        rc = ft_err_set(err, FT_ECORRUPT, "%s: no run's", path);
    t->old_split = json_object_get(root, "n_valid") == NULL;
    json_decref(root);
    return rc;
}

static int write_run(struct ft_train *t, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES];
    output_path(t, "run.json", path);
    if (t->goes_on)
        return 0;
    char *text = json_dumps(t->run, JSON_INDENT(1) | JSON_REAL_PRECISION(17));
    int rc = text != NULL ? ft_file_put(path, text, strlen(text), err)
                          : ft_err_set(err, FT_ENOMEM, "run.json: no memory");
    free(text);
    t->goes_on = rc == 0;
    return rc;
}

/* ---- model and data ---- */

static int init_model(struct ft_train *t, struct ft_err *err)
{
    const struct ft_train_options *o = t->o;
    struct ft_init_shape s = {
        .arch = o->arch,
        .n_layer = (int)o->layers,
        .d_model = (int)o->d_model,
        .d_ff = (int)o->d_ff,
        .n_head = (int)o->heads,
        .n_head_kv = (int)o->kv_heads,
        .d_head = (int)o->head_dim,
        .n_ctx = (int)o->context,
        .rope_theta = o->rope_theta,
        .norm_eps = o->norm_eps,
        .tied = o->tied,
    };
    output_path(t, "init", t->model_path);
    if (t->goes_on) /* written before run.json was, and whole */
        return 0;
    return ft_init_write(&s, o->tokenizer, (uint64_t)o->seed, t->model_path, true, err);
}

static int open_prompter(struct ft_train *t, struct ft_err *err)
{
    char *text;
    size_t n;
    if (t->o->chat_template == NULL) {
        struct ft_err none;
        int rc = ft_prompter_open(t->base, t->tokenizer, &t->prompter, &none);
        if (rc == 0 || rc == FT_ENOTFOUND) /* lines of messages will be refused with the reason */
            return 0;
        *err = none;
        return rc;
    }
    int rc = ft_file_read(t->o->chat_template, MB, &text, &n, err);
    if (rc == 0) {
        rc = ft_prompter_open_text(text, n, t->tokenizer, &t->prompter, err);
        free(text);
    }
    if (rc != 0)
        return ft_err_wrap(err, "chat-template");
    ft_train_note(t, "chat-template: what is written keeps the model's own; who runs it must be "
                     "given this one again");
    return 0;
}

static int choose_seq_len(struct ft_train *t, struct ft_err *err)
{
    struct ft_hparams h;
    int rc = ft_hparams_read(t->base, &h, err);
    if (rc != 0)
        return rc;
    if (t->o->seq_len > h.n_ctx_train && ft_train_options_given(t->o, "seq-len"))
        return ft_err_set(err, FT_EINVAL, "seq-len: the model's context is %d tokens",
                          h.n_ctx_train);
    t->seq_len = (int)FT_MIN(t->o->seq_len, (int64_t)h.n_ctx_train);
    return 0;
}

static int open_base(struct ft_train *t, struct ft_err *err)
{
    int rc = 0;
    if (t->o->model != NULL)
        snprintf(t->model_path, sizeof t->model_path, "%s", t->o->model);
    else
        rc = init_model(t, err);
    if (rc == 0)
        rc = ft_weights_open(t->model_path, &t->base, err);
    if (rc == 0)
        rc = choose_seq_len(t, err);
    if (rc == 0)
        rc = ft_tokenizer_open(t->base, &t->tokenizer, err);
    return rc != 0 ? rc : open_prompter(t, err);
}

static int read_progress(void *ctx, int64_t done, int64_t all)
{
    (void)done;
    (void)all;
    const struct ft_train *t = ctx;
    return t->ev->interrupt != NULL && *t->ev->interrupt != 0;
}

static int open_set(struct ft_train *t, const struct ft_train_list *files, bool valid,
                    struct ft_data **ret, struct ft_err *err)
{
    struct ft_data_config c;
    struct ft_data_report report;
    ft_data_config_init(&c);
    c.kind = t->o->objective == FT_TRAIN_DPO ? FT_DATA_PREFERENCE : FT_DATA_SUPERVISED;
    c.form = (enum ft_data_form)t->o->form;
    c.tokenizer = t->tokenizer;
    c.prompter = t->prompter;
    c.now = t->now;
    c.max_len = t->seq_len;
    c.too_long = (enum ft_too_long)t->o->too_long;
    c.special_text = t->o->special_text;
    c.progress = read_progress;
    c.ctx = t;
    int rc = ft_data_open(&c, files->item, files->n, ret, &report, err);
    if (t->ev->on_data != NULL && rc != FT_ECANCELED)
        t->ev->on_data(t->ev->ctx, &report, files->item, valid);
    return rc;
}

static int open_data(struct ft_train *t, struct ft_err *err)
{
    const struct ft_train_options *o = t->o;
    ft_train_stage(t, "reading the data");
    int rc = open_set(t, &o->data, false, &t->data, err);
    if (rc == 0 && o->valid_data.n > 0)
        rc = open_set(t, &o->valid_data, true, &t->valid_own, err);
    if (rc != 0)
        return rc;
    bool own = t->valid_own != NULL, pairs = o->objective == FT_TRAIN_DPO;
    double fraction = o->valid_fraction;
    if (t->old_split && lround(fraction * (t->data->n / (pairs ? 2 : 1))) == 0)
        fraction = 0; /* another split in the middle of a run would not lead to the same bits */
    rc = ft_data_split(t->data, (uint64_t)o->seed, (int)o->valid_samples, fraction, &t->split, err);
    if (rc != 0)
        return ft_err_wrap(err, "%s", o->valid_samples > 0 ? "valid-samples" : "valid-fraction");
    t->valid_set = own ? t->valid_own : t->data;
    t->valid = own ? NULL : t->split.valid;
    t->n_valid = own ? t->valid_own->n / (pairs ? 2 : 1) : t->split.n_valid;
    return 0;
}

struct ft_pack_config ft_train_pack(const struct ft_train *t, bool valid)
{
    return (struct ft_pack_config){
        .len = t->seq_len,
        .bins = (int)t->o->batch,
        .packing = t->o->packing,
        .shuffle = !valid,
        .seed = (uint64_t)t->o->seed,
    };
}

/* ---- steps ---- */

struct extent {
    int rows, segs;
};

static void widen(struct extent *x, const struct ft_epoch *e)
{
    x->rows = FT_MAX(x->rows, e->max_rows);
    x->segs = FT_MAX(x->segs, e->max_segs);
}

/* A whole set in its order, as it is validated with, and as DPO asks the model before training. */
static int widen_unshuffled(struct extent *x, const struct ft_train *t, const struct ft_data *d,
                            const int32_t *index, int n, struct ft_err *err)
{
    struct ft_pack_config cfg = ft_train_pack(t, true);
    struct ft_epoch *e;
    int rc = ft_epoch_open(d, index, n, &cfg, 0, &e, err);
    if (rc == 0) {
        widen(x, e);
        ft_epoch_close(e);
    }
    return rc;
}

static int64_t epoch_steps(const struct ft_train *t, const struct ft_epoch *e)
{
    return (e->n_batches + t->o->accumulate - 1) / t->o->accumulate;
}

/* Counts the steps of all epochs and finds the largest batch; plan: the first epoch's figures. */
static int count_steps(struct ft_train *t, struct extent *x, struct ft_train_plan *plan,
                       struct ft_err *err)
{
    struct ft_pack_config cfg = ft_train_pack(t, false);
    struct ft_epoch *e;
    int rc = 0;
    for (int64_t i = 0; i < t->o->epochs && rc == 0; i++) {
        rc = ft_epoch_open(t->data, t->split.train, t->split.n_train, &cfg, (uint64_t)i, &e, err);
        if (rc != 0)
            return rc;
        if (i == 0) {
            plan->batches_epoch = e->n_batches;
            plan->fill = e->fill;
        }
        t->steps += epoch_steps(t, e);
        widen(x, e);
        ft_epoch_close(e);
        if (t->o->max_steps > 0 && t->steps >= t->o->max_steps)
            break;
    }
    if (t->o->max_steps > 0)
        t->steps = FT_MIN(t->steps, t->o->max_steps);
    if (t->o->objective == FT_TRAIN_DPO)
        rc = widen_unshuffled(x, t, t->data, t->split.train, t->split.n_train, err);
    if (rc == 0 && t->n_valid > 0)
        rc = widen_unshuffled(x, t, t->valid_set, t->valid, t->n_valid, err);
    return rc;
}

static int open_batch(struct ft_train *t, struct extent x, struct ft_err *err)
{
    struct ft_pack_batch *b = &t->batch;
    struct ft_epoch widest = {.max_rows = x.rows, .max_segs = x.segs};
    if (x.rows > ROWS_MAX)
        return ft_err_set(err, FT_EINVAL, "batch: %d tokens pass together, %d at most can", x.rows,
                          ROWS_MAX);
    int rc = ft_pack_batch_init(b, &widest, err);
    if (rc != 0)
        return rc;
    t->seg = calloc((size_t)x.segs, sizeof *t->seg);
    t->coef = calloc((size_t)x.rows, sizeof *t->coef);
    t->logprob = calloc((size_t)x.rows, sizeof *t->logprob);
    if (t->seg == NULL || t->coef == NULL || t->logprob == NULL)
        return ft_err_set(err, FT_ENOMEM, "batches of %d tokens: no memory", x.rows);
    return 0;
}

/* ---- device ---- */

static int choose_params(struct ft_train *t, struct ft_err *err)
{
    const struct ft_train_options *o = t->o;
    if (o->method == FT_TRAIN_FULL)
        return ft_tape_train_full(t->dev, t->model, err);
    const char *target[FT_TRAIN_LIST_MAX];
    for (int i = 0; i < o->targets.n; i++)
        target[i] = ft_train_target(o->targets.item[i]); /* checked with the options */
    struct ft_tape_lora lora = {
        .rank = (int)o->rank,
        .scale = (float)(o->alpha / (double)o->rank),
        .dropout = (float)o->dropout,
        .seed = (uint64_t)o->seed,
        .target = target,
        .n_target = o->targets.n,
    };
    int rc = ft_tape_train_lora(t->dev, t->model, &lora, err);
    return rc != 0 ? ft_err_wrap(err, "targets") : 0;
}

/* A tokenizer may know tokens that the model has no row for. */
static int check_tokens(const struct ft_train *t, const struct ft_data *d,
                        const struct ft_train_list *files, struct ft_err *err)
{
    int n_vocab = t->model->hp.n_vocab;
    if (d == NULL || ft_tokenizer_size(t->tokenizer) <= n_vocab)
        return 0;
    for (int i = 0; i < d->n; i++) {
        const struct ft_sample *s = &d->sample[i];
        for (int k = 0; k < s->n; k++)
            if (s->token[k] >= n_vocab)
                return ft_err_set(err, FT_EINVAL,
                                  "%s:%lld: token %d of the tokenizer; the model has %d only",
                                  ft_lines_name(files->item[s->file]), (long long)s->line,
                                  (int)s->token[k], n_vocab);
    }
    return 0;
}

static int open_device(struct ft_train *t, int rows, struct ft_err *err)
{
    struct ft_tape_config dc = {
        .n_threads = (int)t->o->threads,
        .isa = t->o->isa,
        .math = t->o->precision == FT_TRAIN_BF16 ? FT_GEMM_BF16 : FT_GEMM_F32,
        .recompute = t->o->recompute == FT_TRAIN_ON,
    };
    struct ft_model_config mc = {.max_rows = rows};
    int rc = ft_tape_open(&dc, &t->dev, err);
    if (rc == 0)
        rc = ft_model_open(t->dev, t->base, &mc, &t->model, err);
    if (rc == FT_EUNSUPPORTED)
        ft_err_wrap(err, "model: llama, qwen2 and qwen3 can be trained");
    if (rc == 0)
        rc = ft_dev_kv_open(t->dev, &t->model->kv_shape, 0, 0, &t->kv, err);
    if (rc == 0)
        rc = check_tokens(t, t->data, &t->o->data, err);
    if (rc == 0)
        rc = check_tokens(t, t->valid_own, &t->o->valid_data, err);
    return rc == 0 ? choose_params(t, err) : rc;
}

static uint64_t data_bytes(const struct ft_data *d)
{
    size_t each = sizeof *d->sample->token + sizeof *d->sample->loss;
    return d == NULL ? 0 : (uint64_t)d->tokens * each + (uint64_t)d->n * sizeof *d->sample;
}

static void count_params(struct ft_train *t, struct ft_train_plan *plan)
{
    for (int i = 0; i < t->model->n_weights; i++) {
        const struct ft_weight *w = t->model->weight[i];
        plan->model_params += w->n_in * w->n_out;
        if (t->o->method == FT_TRAIN_LORA)
            plan->weight_bytes += w->file_bytes;
    }
    for (int i = 0; i < t->model->n_vectors; i++)
        plan->model_params += (int64_t)(t->model->vector[i].bytes / sizeof(float));
    plan->n_trained = ft_tape_param_count(t->dev);
    for (int i = 0; i < plan->n_trained; i++) {
        const struct ft_param *p = ft_tape_param(t->dev, i);
        plan->trained_params += p->rows * p->cols;
    }
    plan->data_bytes = data_bytes(t->data) + data_bytes(t->valid_own);
    uint64_t resident = ft_memory_resident(getpid());
    plan->program_bytes = resident > plan->data_bytes ? resident - plan->data_bytes : 0;
    plan->state_bytes =
        (uint64_t)plan->trained_params * 2 * sizeof(float) + ft_optim_bytes(plan->trained_params);
}

/* What passes take, with recomputation if asked for, or if that alone makes them fit. */
static int plan_memory(struct ft_train *t, struct ft_train_plan *plan, struct ft_err *err)
{
    uint64_t fixed = plan->data_bytes + plan->weight_bytes + plan->state_bytes;
    plan->memory_max =
        t->o->memory_mb > 0 ? (uint64_t)t->o->memory_mb * MB : ft_memory_available() / 10 * 8;
    t->recompute = t->o->recompute == FT_TRAIN_ON;
    int rc = ft_tape_measure(t->dev, t->model, t->kv, &plan->pass_bytes, err);
    if (rc == 0 && t->o->recompute == FT_TRAIN_AUTO &&
        fixed + plan->pass_bytes > plan->memory_max) {
        t->recompute = true;
        ft_tape_set_recompute(t->dev, true);
        rc = ft_tape_measure(t->dev, t->model, t->kv, &plan->pass_bytes, err);
    }
    plan->recompute = t->recompute;
    plan->memory_bytes = fixed + plan->pass_bytes;
    if (rc == 0 && plan->memory_bytes > plan->memory_max)
        return ft_err_set(err, FT_ELIMIT,
                          "memory-mb: the run needs %llu (%llu for data, %llu for weights, %llu "
                          "for what is trained, %llu for a batch of %d tokens), %llu are to be "
                          "had; a smaller batch, seq-len or rank helps, or recompute",
                          (unsigned long long)(plan->memory_bytes / MB),
                          (unsigned long long)(plan->data_bytes / MB),
                          (unsigned long long)(plan->weight_bytes / MB),
                          (unsigned long long)(plan->state_bytes / MB),
                          (unsigned long long)(plan->pass_bytes / MB), plan->batch_rows,
                          (unsigned long long)(plan->memory_max / MB));
    return rc;
}

/* ---- optimiser and checkpoint ---- */

static int open_optim(struct ft_train *t, struct ft_err *err)
{
    const struct ft_train_options *o = t->o;
    int n = ft_tape_param_count(t->dev);
    struct ft_optim_config cfg = {o->beta1, o->beta2, o->eps, o->weight_decay, o->clip};
    t->n_params = n;
    t->oparam = calloc((size_t)n, sizeof *t->oparam);
    t->cparam = calloc((size_t)n, sizeof *t->cparam);
    if (t->oparam == NULL || t->cparam == NULL)
        return ft_err_set(err, FT_ENOMEM, "optimiser: no memory");
    for (int i = 0; i < n; i++) {
        const struct ft_param *p = ft_tape_param(t->dev, i);
        t->oparam[i] = (struct ft_optim_param){
            .value = p->value, .grad = p->grad, .n = p->rows * p->cols, .decay = p->decay};
        t->cparam[i] = (struct ft_checkpoint_param){p->name, p->rows, p->cols, &t->oparam[i]};
    }
    return ft_optim_open(ft_tape_pool(t->dev), &cfg, t->oparam, n, &t->optim, err);
}

/* The same in every process, which base/map.h's hash is not. */
static uint64_t data_hash(const struct ft_data *d)
{
    uint64_t h = 0;
    for (int i = 0; d != NULL && i < d->n; i++) {
        const struct ft_sample *s = &d->sample[i];
        h = ft_rand_mix(h + (uint64_t)s->n);
        for (int k = 0; k < s->n; k++)
            h = ft_rand_mix(h ^ ((uint64_t)(uint32_t)s->token[k] << 1 | (s->loss[k] != 0)));
    }
    return h;
}

static int describe_run(struct ft_train *t, struct ft_err *err)
{
    char hash[40];
    snprintf(hash, sizeof hash, "%016llx-%016llx", (unsigned long long)data_hash(t->data),
             (unsigned long long)data_hash(t->valid_own));
    t->run = ft_train_options_json(t->o);
    if (t->run == NULL || json_object_set_new(t->run, "data_hash", json_string(hash)) != 0 ||
        json_object_set_new(t->run, "now", json_integer(t->now)) != 0 ||
        (!t->old_split &&
         json_object_set_new(t->run, "n_valid", json_integer(t->split.n_valid)) != 0))
        return ft_err_set(err, FT_ENOMEM, "run: no memory");
    return 0;
}

/* From the newest checkpoint that is whole: any leads to the same bits. */
static int resume(struct ft_train *t, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES];
    struct ft_err none; /* killed before the first one: from the beginning */
    int64_t step = INT64_MAX;
    int rc = 0;
    t->state.best_valid = 1e300;
    if (!t->o->resume)
        return 0;
    while ((step = ft_checkpoint_newest(t->o->output, step, path, sizeof path, &none)) >= 0) {
        rc = ft_checkpoint_read(path, t->run, &t->state, t->cparam, t->n_params, err);
        if (rc != FT_ECORRUPT && rc != FT_ENOTFOUND)
            break;
        ft_train_note(t, "%s; what is before it is tried", err->msg);
    }
    return rc;
}

static int open_reference(struct ft_train *t, struct ft_err *err)
{
    if (t->o->objective != FT_TRAIN_DPO)
        return 0;
    ft_train_stage(t, "scoring the pairs with the model as it is");
    int rc = ft_train_reference(t, t->data, t->split.train, t->split.n_train, &t->ref_train, err);
    if (rc == 0 && t->n_valid > 0)
        rc = ft_train_reference(t, t->valid_set, t->valid, t->n_valid, &t->ref_valid, err);
    return rc;
}

int ft_train_setup(struct ft_train *t, struct ft_err *err)
{
    struct ft_train_plan plan = {0};
    struct extent x = {0, 0};
    int rc = open_output(t, err);
    if (rc == 0)
        rc = open_base(t, err);
    if (rc == 0)
        rc = open_data(t, err);
    if (rc == 0)
        rc = count_steps(t, &x, &plan, err);
    if (rc == 0)
        rc = open_batch(t, x, err);
    if (rc == 0)
        rc = open_device(t, x.rows, err);
    plan.batch_rows = x.rows;
    if (rc == 0) {
        count_params(t, &plan);
        rc = plan_memory(t, &plan, err);
    }
    if (rc == 0)
        rc = describe_run(t, err);
    if (rc == 0)
        rc = write_run(t, err);
    if (rc != 0)
        return rc;
    ft_train_stage(t, "loading the model");
    rc = ft_model_load(t->model, NULL, NULL, err);
    if (rc == 0)
        rc = ft_tape_prepare(t->dev, t->model, t->kv, err);
    if (rc == 0)
        rc = open_reference(t, err); /* before a checkpoint changes the weights */
    if (rc == 0)
        rc = open_optim(t, err);
    if (rc == 0)
        rc = resume(t, err);
    if (rc == 0)
        rc = ft_train_estimate(t, &plan.seconds, err);
    plan.device = ft_dev_describe(t->dev);
    snprintf(plan.arch, sizeof plan.arch, "%s", t->model->hp.arch);
    plan.steps = t->steps;
    plan.n_train = t->split.n_train;
    plan.n_valid = t->n_valid;
    plan.resumed_step = t->state.step;
    if (rc == 0 && t->ev->on_plan != NULL)
        t->ev->on_plan(t->ev->ctx, &plan);
    return rc;
}

void ft_train_teardown(struct ft_train *t)
{
    if (t->metrics != NULL)
        fclose(t->metrics);
    json_decref(t->run);
    ft_optim_close(t->optim);
    free(t->oparam);
    free(t->cparam);
    free(t->ref_train);
    free(t->ref_valid);
    free(t->logprob);
    free(t->coef);
    free(t->seg);
    ft_pack_batch_fini(&t->batch);
    if (t->dev != NULL) {
        ft_dev_kv_close(t->dev, t->kv);
        ft_model_close(t->model);
        ft_dev_close(t->dev);
    }
    ft_data_split_fini(&t->split);
    ft_data_close(t->valid_own);
    ft_data_close(t->data);
    ft_prompter_close(t->prompter);
    ft_tokenizer_close(t->tokenizer);
    ft_weights_close(t->base);
    if (t->lock_fd >= 0)
        close(t->lock_fd);
}
