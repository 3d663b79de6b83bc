/* What a run leaves: the adapter, merged models, the curve. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/folder.h"
#include "model/adapter/merge.h"
#include "train/core/impl.h"
#include "train/curve/curve.h"

/* ---- trained values in the place of the file's ---- */

static const struct ft_param *trained(const struct ft_train *t, const char *name)
{
    for (int i = 0; i < t->n_params; i++)
        if (strcmp(t->cparam[i].name, name) == 0)
            return ft_tape_param(t->dev, i);
    return NULL;
}

static bool value_changes(void *ctx, const struct ft_tensor *tensor)
{
    return trained(ctx, tensor->name) != NULL;
}

static void value_apply(void *ctx, const struct ft_tensor *tensor, int64_t at, int64_t n, float *y)
{
    memcpy(y, trained(ctx, tensor->name)->value + at, (size_t)n * sizeof *y);
}

/* ---- the adapter ---- */

/* A view of the parameters: pairs point into them. */
static int adapter_view(const struct ft_train *t, struct ft_adapter *a, struct ft_err *err)
{
    a->pair = calloc((size_t)t->n_params / 2 + 1, sizeof *a->pair);
    if (a->pair == NULL)
        return ft_err_set(err, FT_ENOMEM, "adapter: no memory");
    /* in the order of the base's tensors */
    for (int i = 0; i < ft_weights_count(t->base); i++) {
        const struct ft_tensor *tensor = ft_weights_at(t->base, i);
        char name[FT_TENSOR_NAME_MAX + 8];
        snprintf(name, sizeof name, "%s.lora_a", tensor->name);
        const struct ft_param *pa = trained(t, name);
        snprintf(name, sizeof name, "%s.lora_b", tensor->name);
        const struct ft_param *pb = trained(t, name);
        if (pa == NULL || pb == NULL)
            continue;
        struct ft_adapter_pair *p = &a->pair[a->n++];
        snprintf(p->tensor, sizeof p->tensor, "%s", tensor->name);
        p->n_in = pa->cols;
        p->n_out = pb->rows;
        p->rank = (int)pa->rows;
        p->alpha = (float)t->o->alpha;
        p->scale = ft_adapter_scale(p->alpha, p->rank, false);
        p->a = pa->value;
        p->b = pb->value;
    }
    return 0;
}

static int save_adapter_at(struct ft_train *t, const struct ft_adapter *a, const char *path,
                           struct ft_err *err)
{
    struct ft_adapter_save_opts o = {
        .base_model = t->model_path, .dropout = t->o->dropout, .type = FT_F32, .replace = true};
    return ft_adapter_save(a, t->base, &o, path, err);
}

static int save_adapter(struct ft_train *t, const struct ft_adapter *a, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES + 16];
    snprintf(path, sizeof path, "%s/adapter", t->o->output);
    int rc = save_adapter_at(t, a, path, err);
    if (rc == 0 && t->ev->on_result != NULL)
        t->ev->on_result(t->ev->ctx, "adapter", path);
    return rc;
}

int ft_train_keep_adapter(struct ft_train *t, struct ft_err *err)
{
    char path[4096];
    struct ft_adapter a = {0};
    if (t->o->keep_adapters == 0)
        return 0;
    snprintf(path, sizeof path, "%s/adapters", t->o->output);
    if (mkdir(path, 0777) != 0 && errno != EEXIST)
        return ft_err_sys(err, "make %s", path);
    ft_step_folder(path, t->o->output, "adapters", t->state.step);
    int rc = adapter_view(t, &a, err);
    if (rc == 0)
        rc = save_adapter_at(t, &a, path, err);
    free(a.pair);
    if (rc == 0)
        ft_step_folders_trim(t->o->output, "adapters", (int)t->o->keep_adapters);
    return rc;
}

/* ---- merged models ---- */

static int save_model(struct ft_train *t, const struct ft_adapter *a, const char *form,
                      struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES + 16];
    struct ft_edit edit = {value_changes, value_apply, t};
    bool gguf = strcmp(form, "gguf") == 0;
    struct ft_convert_opts o = {.type = gguf ? t->o->gguf_type : NULL,
                                .edit = a == NULL ? &edit : NULL,
                                .n_threads = ft_pool_size(ft_tape_pool(t->dev)),
                                .interrupt = t->ev->interrupt};
    snprintf(path, sizeof path, "%s/%s", t->o->output, gguf ? "model.gguf" : "model");
    if (!gguf)
        ft_folder_remove(path); /* of a run that was killed while it wrote, and resumed */
    int rc = gguf ? ft_merge_gguf(t->base, a, &o, path, err)
                  : ft_merge_folder(t->base, a, &o, 0, path, err);
    if (rc == 0 && t->ev->on_result != NULL)
        t->ev->on_result(t->ev->ctx, gguf ? "gguf" : "folder", path);
    return rc;
}

/* ---- all of it ---- */

/* Without the drawing program the run is no worse. */
static void save_curve(struct ft_train *t)
{
    char from[FT_TRAIN_PATH_BYTES + 16], to[FT_TRAIN_PATH_BYTES + 16];
    struct ft_err err;
    snprintf(from, sizeof from, "%s/metrics.jsonl", t->o->output);
    snprintf(to, sizeof to, "%s/loss.svg", t->o->output);
    if (ft_curve_write(from, t->o->output, to, NULL, &err) != 0)
        ft_train_note(t, "no loss curve: %s", err.msg);
    else if (t->ev->on_result != NULL)
        t->ev->on_result(t->ev->ctx, "curve", to);
}

/* With patience the weights are those of the best validation. */
static int load_best(struct ft_train *t, struct ft_err *err)
{
    char best[FT_TRAIN_PATH_BYTES], path[FT_TRAIN_PATH_BYTES];
    struct ft_train_state s;
    if (t->o->patience == 0 || t->state.best_step == t->state.step || t->state.best_step == 0)
        return 0; /* or no validation gave a number */
    snprintf(best, sizeof best, "%s/best", t->o->output);
    int rc = 0;
    if (ft_checkpoint_newest(best, INT64_MAX, path, sizeof path, err) < 0)
        rc = err->code;
    if (rc == 0)
        rc = ft_checkpoint_read(path, t->run, &s, t->cparam, t->n_params, err);
    if (rc == 0)
        ft_train_note(t, "the results are those of step %lld", (long long)s.step);
    return rc;
}

int ft_train_results(struct ft_train *t, struct ft_err *err)
{
    struct ft_adapter a = {0};
    bool lora = t->o->method == FT_TRAIN_LORA;
    ft_train_stage(t, "writing the results");
    int rc = load_best(t, err);
    if (rc == 0 && lora)
        rc = adapter_view(t, &a, err);
    for (int i = 0; i < t->o->save.n && rc == 0; i++) {
        const char *form = t->o->save.item[i];
        if (strcmp(form, "adapter") == 0)
            rc = save_adapter(t, &a, err);
        else
            rc = save_model(t, lora ? &a : NULL, form, err);
    }
    free(a.pair);
    if (t->o->curve)
        save_curve(t);
    return rc;
}
