/* Wrappers of the device seam: one place for asserts and, later, tracing. */
#include "engine/dev.h"

int ft_dev_open(const struct ft_dev_ops *ops, const struct ft_dev_config *cfg,
                struct ft_dev **ret_dev, struct ft_err *err)
{
    struct ft_dev_config none = {0};
    return ops->open(cfg != NULL ? cfg : &none, ret_dev, err);
}

void ft_dev_close(struct ft_dev *d)
{
    if (d != NULL)
        d->ops->close(d);
}

const char *ft_dev_describe(struct ft_dev *d)
{
    return d->ops->describe(d);
}

void *ft_dev_mem_alloc(struct ft_dev *d, size_t bytes)
{
    return d->ops->mem_alloc(d, bytes);
}

void ft_dev_mem_free(struct ft_dev *d, void *p, size_t bytes)
{
    if (p != NULL)
        d->ops->mem_free(d, p, bytes);
}

void ft_dev_upload(struct ft_dev *d, void *dst, const void *src, size_t bytes)
{
    d->ops->upload(d, dst, src, bytes);
}

const void *ft_dev_host_view(struct ft_dev *d, const void *p, size_t bytes)
{
    return d->ops->host_view(d, p, bytes);
}

int ft_dev_weight_open(struct ft_dev *d, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err)
{
    int rc = d->ops->weight_open(d, t, ret_w, err);
    return rc == 0 ? 0 : ft_err_wrap(err, "tensor %s", t->name);
}

int ft_dev_weight_load(struct ft_dev *d, struct ft_weight *w, struct ft_err *err)
{
    return d->ops->weight_load(d, w, err);
}

void ft_dev_weight_drop(struct ft_dev *d, struct ft_weight *w)
{
    d->ops->weight_drop(d, w);
}

size_t ft_dev_weight_bytes(struct ft_dev *d, const struct ft_weight *w)
{
    return d->ops->weight_bytes(d, w);
}

void ft_dev_weight_close(struct ft_dev *d, struct ft_weight *w)
{
    if (w != NULL)
        d->ops->weight_close(d, w);
}

int ft_dev_lora_open(struct ft_dev *d, const struct ft_lora_pair *pair, int n,
                     struct ft_lora **ret_l, struct ft_err *err)
{
    if (d->ops->lora_open == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED, "device %s: no adapters", d->ops->name);
    for (int i = 0; i < n; i++)
        FT_ASSERT(pair[i].rank >= 1 && pair[i].rank <= FT_LORA_RANK_MAX && pair[i].n_in >= 1 &&
                  pair[i].n_out >= 1);
    return d->ops->lora_open(d, pair, n, ret_l, err);
}

void ft_dev_lora_close(struct ft_dev *d, struct ft_lora *l)
{
    if (l != NULL)
        d->ops->lora_close(d, l);
}

int ft_dev_kv_open(struct ft_dev *d, const struct ft_kv_shape *shape, int n_blocks, int n_states,
                   struct ft_kv **ret_kv, struct ft_err *err)
{
    return d->ops->kv_open(d, shape, n_blocks, n_states, ret_kv, err);
}

void ft_dev_kv_close(struct ft_dev *d, struct ft_kv *kv)
{
    if (kv != NULL)
        d->ops->kv_close(d, kv);
}

size_t ft_dev_kv_block_bytes(struct ft_dev *d, const struct ft_kv_shape *shape)
{
    return d->ops->kv_block_bytes(d, shape);
}

void ft_dev_kv_read(struct ft_dev *d, struct ft_kv *kv, int block, void *host)
{
    d->ops->kv_read(d, kv, block, host);
}

void ft_dev_kv_write(struct ft_dev *d, struct ft_kv *kv, int block, const void *host)
{
    d->ops->kv_write(d, kv, block, host);
}

void ft_dev_kv_copy(struct ft_dev *d, struct ft_kv *kv, int dst_block, int src_block)
{
    d->ops->kv_copy(d, kv, dst_block, src_block);
}

void ft_dev_kv_release(struct ft_dev *d, struct ft_kv *kv, int block)
{
    d->ops->kv_release(d, kv, block);
}

void ft_dev_layer(struct ft_dev *d, int i, struct ft_mat x, int n, int d_model)
{
    if (d->ops->layer != NULL)
        d->ops->layer(d, i, x, n, d_model);
}

void ft_dev_embed(struct ft_dev *d, const struct ft_weight *w, const int32_t *id, int n,
                  struct ft_mat y)
{
    d->ops->embed(d, w, id, n, y);
}

void ft_dev_gather(struct ft_dev *d, struct ft_mat x, const int32_t *row, int n, int d_model,
                   struct ft_mat y)
{
    d->ops->gather(d, x, row, n, d_model, y);
}

void ft_dev_rmsnorm(struct ft_dev *d, struct ft_mat x, int n, int d_model, const float *w,
                    float eps, struct ft_mat y)
{
    d->ops->rmsnorm(d, x, n, d_model, w, eps, y);
}

void ft_dev_linear(struct ft_dev *d, struct ft_mat x, int n, const struct ft_linear *lin, int n_lin)
{
    for (int i = 1; i < n_lin; i++)
        FT_ASSERT(lin[i].w->n_in == lin[0].w->n_in);
    d->ops->linear(d, x, n, lin, n_lin);
}

void ft_dev_lora(struct ft_dev *d, struct ft_mat x, const struct ft_lora_use *use, int n_use)
{
    FT_ASSERT(d->ops->lora != NULL);
    for (int i = 0; i < n_use; i++)
        FT_ASSERT(use[i].pair >= 0 && use[i].pair < use[i].lora->n_pairs && use[i].n >= 1);
    d->ops->lora(d, x, use, n_use);
}

void ft_dev_linear_heads(struct ft_dev *d, struct ft_mat x, int x_step, int n, struct ft_weight *w,
                         struct ft_mat y, int y_step)
{
    d->ops->linear_heads(d, x, x_step, n, w, y, y_step);
}

void ft_dev_rope_table(struct ft_dev *d, const double *freq, int n_rot, double mul,
                       const int32_t *pos, int n, float *cs)
{
    d->ops->rope_table(d, freq, n_rot, mul, pos, n, cs);
}

void ft_dev_heads(struct ft_dev *d, struct ft_mat x, int n, int n_head, int d_head, const float *w,
                  float eps, const float *cs, int at, int n_rot, enum ft_rope_pairs pairs)
{
    FT_ASSERT(cs == NULL || (n_rot % 2 == 0 && at >= 0 && at + n_rot <= d_head));
    d->ops->heads(d, x, n, n_head, d_head, w, eps, cs, at, n_rot, pairs);
}

void ft_dev_kv_store(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                     struct ft_mat k, struct ft_mat v)
{
    d->ops->kv_store(d, kv, layer, b, k, v);
}

void ft_dev_attend(struct ft_dev *d, struct ft_kv *kv, int layer, const struct ft_batch *b,
                   struct ft_mat q, int n_q_head, float scale, struct ft_mat y)
{
    d->ops->attend(d, kv, layer, b, q, n_q_head, scale, y);
}

void ft_dev_swiglu(struct ft_dev *d, struct ft_mat gate, struct ft_mat up, int n, int d_ff,
                   struct ft_mat y)
{
    d->ops->swiglu(d, gate, up, n, d_ff, y);
}

void ft_dev_route(struct ft_dev *d, const struct ft_route *r, struct ft_mat logit, int n,
                  int32_t *id, float *weight)
{
    d->ops->route(d, r, logit, n, id, weight);
}

void ft_dev_experts(struct ft_dev *d, const struct ft_experts *e, struct ft_mat x, int n,
                    const int32_t *id, const float *weight, int n_used, struct ft_mat y)
{
    d->ops->experts(d, e, x, n, id, weight, n_used, y);
}
