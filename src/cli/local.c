/* A model on a device in this process. */
#include "cli/local.h"

#include <stdlib.h>
#include <string.h>

#include "engine/cpu/cpu.h"
#include "engine/ref/ref.h"

const struct ft_dev_ops *ft_local_device(const char *name)
{
    static const struct ft_dev_ops *const all[] = {&ft_dev_cpu_ops, &ft_dev_ref_ops};
    for (size_t i = 0; i < FT_COUNT(all); i++)
        if (strcmp(all[i]->name, name) == 0)
            return all[i];
    return NULL;
}

int ft_local_kv_type(const char *name, enum ft_kv_type *ret, struct ft_err *err)
{
    static const char *const names[] = {
        [FT_KV_F32] = "f32", [FT_KV_F16] = "f16", [FT_KV_Q8] = "q8"};
    for (size_t i = 0; i < FT_COUNT(names); i++)
        if (strcmp(names[i], name) == 0) {
            *ret = (enum ft_kv_type)i;
            return 0;
        }
    return ft_err_set(err, FT_EINVAL, "--kv: '%s' is not f32, f16 or q8", name);
}

static int open_adapter(struct ft_local *l, const char *folder, struct ft_err *err)
{
    struct ft_adapter *a = NULL;
    int rc = ft_adapter_open(folder, l->weights, &a, err);
    if (rc == 0)
        rc = ft_model_adapter_open(l->model, a, &l->adapter, err);
    ft_adapter_close(a);
    return rc;
}

int ft_local_open(const char *path, const struct ft_local_config *cfg, int n_tokens,
                  struct ft_local *ret, struct ft_err *err)
{
    struct ft_local l = {0};
    const char *device = cfg->device != NULL ? cfg->device : "cpu";
    const struct ft_dev_ops *ops = ft_local_device(device);
    if (ops == NULL)
        return ft_err_set(err, FT_EINVAL, "--device: '%s' is not cpu or ref", device);
    struct ft_dev_config dev = {.n_threads = cfg->n_threads, .isa = cfg->isa};
    struct ft_model_config model = {.kv_type = cfg->kv_type, .max_rows = cfg->max_rows};
    int rc = ft_weights_open(path, &l.weights, err);
    if (rc == 0)
        rc = ft_dev_open(ops, &dev, &l.dev, err);
    if (rc == 0)
        rc = ft_model_open(l.dev, l.weights, &model, &l.model, err);
    if (rc == 0 && cfg->adapter != NULL)
        rc = open_adapter(&l, cfg->adapter, err);
    if (rc == 0)
        rc = ft_model_load(l.model, NULL, NULL, err);
    l.n_blocks = (n_tokens + FT_KV_BLOCK - 1) / FT_KV_BLOCK;
    if (rc == 0)
        rc = ft_dev_kv_open(l.dev, &l.model->kv_shape, l.n_blocks, 0, &l.kv, err);
    if (rc != 0) {
        ft_local_close(&l);
        return rc;
    }
    *ret = l;
    return 0;
}

void ft_local_close(struct ft_local *l)
{
    ft_dev_kv_close(l->dev, l->kv);
    ft_model_adapter_close(l->model, l->adapter);
    ft_model_close(l->model);
    ft_dev_close(l->dev);
    ft_weights_close(l->weights);
    *l = (struct ft_local){0};
}

/* One batch of n rows, whose last n_out give logits. scratch: [2 * n] positions, output rows. */
static int feed_rows(struct ft_local *l, const int32_t *token, int n, int pos, const int32_t *block,
                     int32_t *scratch, int n_out, ft_local_rows_fn *on_rows, void *ctx,
                     struct ft_err *err)
{
    int32_t *position = scratch, *out = scratch + n;
    for (int i = 0; i < n; i++)
        position[i] = pos + i;
    for (int i = 0; i < n_out; i++)
        out[i] = n - n_out + i;
    struct ft_seg seg = {
        .row = 0, .n = n, .pos = pos, .block = block, .state = -1, .adapter = l->adapter};
    struct ft_batch b = {.n_rows = n,
                         .token = token,
                         .pos = position,
                         .n_segs = 1,
                         .seg = &seg,
                         .n_out = n_out,
                         .out_row = out};
    const float *logits;
    int rc = ft_model_forward(l->model, l->kv, &b, n_out > 0 ? &logits : NULL, NULL, err);
    if (rc == 0 && n_out > 0 && on_rows != NULL)
        rc = on_rows(ctx, pos + n - n_out, n_out, logits, err);
    return rc;
}

int ft_local_feed(struct ft_local *l, const int32_t *token, int n, int pos, int first_block,
                  enum ft_local_out out, ft_local_rows_fn *on_rows, void *ctx, struct ft_err *err)
{
    int n_blocks = (pos + n + FT_KV_BLOCK - 1) / FT_KV_BLOCK, rows = l->model->max_rows;
    FT_ASSERT(first_block + n_blocks <= l->n_blocks);
    int32_t *block = calloc((size_t)(n_blocks + 2 * rows), sizeof *block);
    if (block == NULL)
        return ft_err_set(err, FT_ENOMEM, "feed %d tokens: no memory", n);
    for (int i = 0; i < n_blocks; i++)
        block[i] = first_block + i;
    int rc = 0;
    for (int at = 0; at < n && rc == 0; at += rows) {
        int m = FT_MIN(rows, n - at);
        bool last = at + m == n;
        int n_out = out == FT_LOCAL_ALL ? m : out == FT_LOCAL_LAST && last ? 1 : 0;
        rc = feed_rows(l, token + at, m, pos + at, block, block + n_blocks, n_out, on_rows, ctx,
                       err);
    }
    free(block);
    return rc;
}
