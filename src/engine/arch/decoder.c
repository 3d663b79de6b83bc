/* Grouped-query attention and the loop over layers that llama, qwen2, qwen3 and qwen3moe share. */
#include "engine/arch/decoder.h"

#include <math.h>

struct layer {
    float *attn_norm, *ffn_norm;
    struct ft_gqa attn;
    struct ft_ffn ffn;
};

size_t ft_fwd_common_floats(const struct ft_model *m)
{
    return 2 * (size_t)m->hp.d_model + (size_t)m->hp.rope.n_rot;
}

void ft_fwd_init(struct ft_fwd *f, struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b)
{
    size_t rows = (size_t)m->max_rows, d = (size_t)m->hp.d_model;
    f->m = m;
    f->kv = kv;
    f->b = b;
    f->kept = false;
    f->x = (struct ft_mat){m->scratch, m->hp.d_model};
    f->h = (struct ft_mat){m->scratch + rows * d, m->hp.d_model};
    f->cs = f->h.p + rows * d;
    f->phase = f->cs + rows * (size_t)m->hp.rope.n_rot;
    ft_dev_embed(m->dev, m->embed, b->token, b->n_rows, f->x);
    ft_dev_rope_table(m->dev, m->rope_freq, m->hp.rope.n_rot, m->rope_mul, b->pos, b->n_rows,
                      f->cs);
}

struct ft_mat ft_fwd_carve(const struct ft_fwd *f, size_t *at, int64_t width)
{
    struct ft_mat part = {f->phase + *at, width};
    *at += (size_t)f->m->max_rows * (size_t)width;
    return part;
}

int ft_fwd_keep_out(struct ft_fwd *f, struct ft_mat y, int d_y)
{
    const struct ft_batch *b = f->b;
    if (b->n_out < b->n_rows) {
        ft_dev_gather(f->m->dev, f->x, b->out_row, b->n_out, f->m->hp.d_model, f->x);
        ft_dev_gather(f->m->dev, y, b->out_row, b->n_out, d_y, y);
    }
    f->kept = true;
    return b->n_out;
}

void ft_fwd_linear(struct ft_fwd *f, struct ft_mat x, int n, const struct ft_linear *lin, int n_lin)
{
    FT_ASSERT(n == (f->kept ? f->b->n_out : f->b->n_rows));
    ft_adapted_linear(f->m, f->kept, x, n, lin, n_lin);
}

static int open_bias(struct ft_model *m, int layer, const char *name, int64_t n, float **ret,
                     struct ft_err *err)
{
    if (!ft_model_has(m, "blk.%d.%s.bias", layer, name))
        return 0;
    return ft_model_vector(m, n, ret, err, "blk.%d.%s.bias", layer, name);
}

static int open_attn(struct ft_model *m, int i, struct ft_gqa *a, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int64_t d = hp->d_model, n_q = (int64_t)hp->n_head * hp->d_k;
    int64_t n_k = (int64_t)hp->n_head_kv * hp->d_k, n_v = (int64_t)hp->n_head_kv * hp->d_v;
    int64_t n_o = (int64_t)hp->n_head * hp->d_v;
    int rc = ft_model_matrix(m, d, n_q, &a->q, err, "blk.%d.attn_q.weight", i);
    if (rc == 0)
        rc = ft_model_matrix(m, d, n_k, &a->k, err, "blk.%d.attn_k.weight", i);
    if (rc == 0)
        rc = ft_model_matrix(m, d, n_v, &a->v, err, "blk.%d.attn_v.weight", i);
    if (rc == 0)
        rc = ft_model_matrix(m, n_o, d, &a->o, err, "blk.%d.attn_output.weight", i);
    if (rc == 0)
        rc = open_bias(m, i, "attn_q", n_q, &a->q_bias, err);
    if (rc == 0)
        rc = open_bias(m, i, "attn_k", n_k, &a->k_bias, err);
    if (rc == 0)
        rc = open_bias(m, i, "attn_v", n_v, &a->v_bias, err);
    if (rc == 0)
        rc = open_bias(m, i, "attn_output", d, &a->o_bias, err);
    if (rc == 0 && ft_model_has(m, "blk.%d.attn_q_norm.weight", i))
        rc = ft_model_vector(m, hp->d_k, &a->q_norm, err, "blk.%d.attn_q_norm.weight", i);
    if (rc == 0 && ft_model_has(m, "blk.%d.attn_k_norm.weight", i))
        rc = ft_model_vector(m, hp->d_k, &a->k_norm, err, "blk.%d.attn_k_norm.weight", i);
    m->kv_layer[i] = (struct ft_kv_layer){.n_head = hp->n_head_kv, .d_k = hp->d_k, .d_v = hp->d_v};
    return rc;
}

static size_t attn_floats(const struct ft_model *m)
{
    const struct ft_hparams *hp = &m->hp;
    return (size_t)(hp->n_head + hp->n_head_kv) * (size_t)(hp->d_k + hp->d_v);
}

/* x += attention(h). Returns how many rows go on: all, or in the last layer those wanted. */
static int attn_forward(struct ft_fwd *f, int i, const struct ft_gqa *a)
{
    const struct ft_hparams *hp = &f->m->hp;
    struct ft_dev *d = f->m->dev;
    int n = f->b->n_rows;
    size_t at = 0;
    struct ft_mat q = ft_fwd_carve(f, &at, (int64_t)hp->n_head * hp->d_k);
    struct ft_mat k = ft_fwd_carve(f, &at, (int64_t)hp->n_head_kv * hp->d_k);
    struct ft_mat v = ft_fwd_carve(f, &at, (int64_t)hp->n_head_kv * hp->d_v);
    struct ft_mat y = ft_fwd_carve(f, &at, (int64_t)hp->n_head * hp->d_v);
    struct ft_linear in[3] = {
        {a->q, a->q_bias, q, false}, {a->k, a->k_bias, k, false}, {a->v, a->v_bias, v, false}};
    ft_fwd_linear(f, f->h, n, in, 3);
    float eps = (float)hp->norm_eps;
    ft_dev_heads(d, q, n, hp->n_head, hp->d_k, a->q_norm, eps, f->cs, 0, hp->rope.n_rot,
                 hp->rope.pairs);
    ft_dev_heads(d, k, n, hp->n_head_kv, hp->d_k, a->k_norm, eps, f->cs, 0, hp->rope.n_rot,
                 hp->rope.pairs);
    ft_dev_kv_store(d, f->kv, i, f->b, k, v);
    ft_dev_attend(d, f->kv, i, f->b, q, hp->n_head, (float)(1 / sqrt(hp->d_k)), y);
    if (i == hp->n_layer - 1)
        n = ft_fwd_keep_out(f, y, hp->n_head * hp->d_v);
    if (n > 0) {
        struct ft_linear out = {a->o, a->o_bias, f->x, true};
        ft_fwd_linear(f, y, n, &out, 1);
    }
    return n;
}

int ft_decoder_open(struct ft_model *m, bool norm_topk, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    struct layer *layers = ft_arena_array(&m->arena, (size_t)hp->n_layer, sizeof *layers);
    if (layers == NULL)
        return ft_err_set(err, FT_ENOMEM, "%d layers: no memory", hp->n_layer);
    m->arch_state = layers;
    for (int i = 0; i < hp->n_layer; i++) {
        struct layer *l = &layers[i];
        int rc = ft_model_vector(m, hp->d_model, &l->attn_norm, err, "blk.%d.attn_norm.weight", i);
        if (rc == 0)
            rc = ft_model_vector(m, hp->d_model, &l->ffn_norm, err, "blk.%d.ffn_norm.weight", i);
        if (rc == 0)
            rc = open_attn(m, i, &l->attn, err);
        if (rc == 0)
            rc = ft_ffn_open(m, i, norm_topk, &l->ffn, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

size_t ft_decoder_scratch(const struct ft_model *m)
{
    return ft_fwd_common_floats(m) + FT_MAX(attn_floats(m), ft_ffn_floats(m));
}

void ft_decoder_forward(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                        struct ft_mat out)
{
    const struct layer *layers = m->arch_state;
    float eps = (float)m->hp.norm_eps;
    struct ft_fwd f;
    ft_fwd_init(&f, m, kv, b);
    int n = b->n_rows;
    for (int i = 0; i < m->hp.n_layer; i++) {
        const struct layer *l = &layers[i];
        ft_dev_layer(m->dev, i, f.x, n, m->hp.d_model);
        ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, l->attn_norm, eps, f.h);
        n = attn_forward(&f, i, &l->attn);
        if (n == 0)
            return; /* the last layer of a batch nobody wants results of */
        ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, l->ffn_norm, eps, f.h);
        ft_ffn_forward(&f, &l->ffn, n);
    }
    ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, m->output_norm, eps, out);
}
