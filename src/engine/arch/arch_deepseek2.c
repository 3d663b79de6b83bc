/* DeepSeek V2, V3 and R1: multi-head latent attention (arXiv:2405.04434) in its absorbed form, so
 * that the cache holds one compressed vector per token, shared by all heads:
 *
 *   key   = [ norm(latent) : kv_lora_rank | rotated part : n_rot ]     value = its first part
 *   query = [ W_kb q_nope  : kv_lora_rank | rotated part : n_rot ]     per head
 *   out   = W_o [ W_vb (attention over latents) ] per head
 *
 * Files hold W_kb and W_vb split (attn_k_b, attn_v_b) or combined (attn_kv_b); the combined form is
 * taken apart when opened. Leading layers are dense, the others mixtures with shared experts. */
#include "engine/arch/archs.h"
#include "engine/arch/decoder.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct mla {
    struct ft_weight *q, *q_a, *q_b; /* direct, or through a low rank */
    float *q_a_norm;
    struct ft_weight *kv_a, *k_b, *v_b, *o;
    float *kv_a_norm;
};

struct layer {
    float *attn_norm, *ffn_norm;
    struct mla attn;
    struct ft_ffn ffn;
};

struct state {
    double scale; /* of the scores */
    struct layer *layer;
};

static int nope_of(const struct ft_hparams *hp)
{
    return hp->d_k_mla - hp->rope.n_rot;
}

static void *model_array(struct ft_model *m, size_t n, size_t bytes, struct ft_err *err)
{
    void *p = ft_arena_array(&m->arena, n, bytes);
    if (p == NULL)
        ft_err_set(err, FT_ENOMEM, "deepseek2: no memory");
    return p;
}

/* A tensor {n_in, n_out, n_head} whose heads lie `step` rows apart in t, from row `first` on. */
static int head_rows(struct ft_model *m, const struct ft_tensor *t, int first, int step,
                     int64_t n_out, struct ft_weight **ret_w, struct ft_err *err)
{
    int n_head = m->hp.n_head;
    size_t row_bytes = ft_type_row_bytes(ft_type_info(t->type), t->dim[0]);
    struct ft_tensor *part = model_array(m, 1, sizeof *part, err);
    const void **at = part == NULL ? NULL : model_array(m, (size_t)n_head, sizeof *at, err);
    if (at == NULL)
        return FT_ENOMEM;
    for (int h = 0; h < n_head; h++)
        at[h] = (const char *)t->part[0] + (size_t)(first + h * step) * row_bytes;
    *part = *t;
    part->n_dims = 3;
    part->dim[1] = n_out;
    part->dim[2] = n_head;
    part->n_parts = n_head;
    part->part = at;
    part->part_bytes = (size_t)n_out * row_bytes;
    return ft_model_add_weight(m, part, ret_w, err);
}

/* The keys' half of a combined up-projection, transposed to f32 {nope, kv_lora_rank, n_head}: a
 * quantised row runs along the latent dimension and cannot be turned in place. */
static int transpose_k(struct ft_model *m, const struct ft_tensor *t, struct ft_weight **ret_w,
                       struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t nope = nope_of(hp), rank = hp->kv_lora_rank;
    int step = (int)nope + hp->d_v_mla;
    size_t row_bytes = ft_type_row_bytes(info, rank);
    size_t n = (size_t)nope * (size_t)rank * (size_t)hp->n_head;
    struct ft_tensor *k = model_array(m, 1, sizeof *k, err);
    const void **at = k == NULL ? NULL : model_array(m, 1, sizeof *at, err);
    float *row = at == NULL ? NULL : model_array(m, (size_t)rank, sizeof *row, err);
    if (row == NULL)
        return FT_ENOMEM;
    float *data = ft_model_host_array(m, n);
    if (data == NULL)
        return ft_err_set(err, FT_ENOMEM, "tensor %s: no memory to transpose it", t->name);
    for (int h = 0; h < hp->n_head; h++)
        for (int64_t c = 0; c < nope; c++) {
            info->dequantise((const char *)t->part[0] + (size_t)(h * step + c) * row_bytes, row,
                             rank);
            for (int64_t r = 0; r < rank; r++)
                data[((int64_t)h * rank + r) * nope + c] = row[r];
        }
    at[0] = data;
    *k = (struct ft_tensor){
        .name = t->name,
        .type = FT_F32,
        .n_dims = 3,
        .dim = {nope, rank, hp->n_head, 1},
        .n_parts = 1,
        .part = at,
        .part_bytes = n * sizeof(float),
    };
    return ft_model_add_weight(m, k, ret_w, err);
}

static int open_up(struct ft_model *m, int i, struct mla *a, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int64_t rank = hp->kv_lora_rank, nope = nope_of(hp);
    char name[64];
    snprintf(name, sizeof name, "blk.%d.attn_kv_b.weight", i);
    const struct ft_tensor *both = ft_weights_find(m->file, name);
    if (both == NULL || ft_model_has(m, "blk.%d.attn_k_b.weight", i)) {
        int rc =
            ft_model_weight(m, nope, rank, hp->n_head, &a->k_b, err, "blk.%d.attn_k_b.weight", i);
        return rc != 0 ? rc
                       : ft_model_weight(m, rank, hp->d_v_mla, hp->n_head, &a->v_b, err,
                                         "blk.%d.attn_v_b.weight", i);
    }
    int step = (int)nope + hp->d_v_mla;
    if (both->dim[0] != rank || both->dim[1] != (int64_t)hp->n_head * step || both->dim[2] != 1)
        return ft_err_set(err, FT_ECORRUPT,
                          "tensor %s: shape is [%lld, %lld], the configuration wants [%lld, %lld]",
                          name, (long long)both->dim[0], (long long)both->dim[1], (long long)rank,
                          (long long)hp->n_head * step);
    int rc = transpose_k(m, both, &a->k_b, err);
    return rc != 0 ? rc : head_rows(m, both, (int)nope, step, hp->d_v_mla, &a->v_b, err);
}

static int open_queries(struct ft_model *m, int i, struct mla *a, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int64_t n_q = (int64_t)hp->n_head * hp->d_k_mla;
    if (hp->q_lora_rank == 0)
        return ft_model_matrix(m, hp->d_model, n_q, &a->q, err, "blk.%d.attn_q.weight", i);
    int rc =
        ft_model_matrix(m, hp->d_model, hp->q_lora_rank, &a->q_a, err, "blk.%d.attn_q_a.weight", i);
    if (rc == 0)
        rc = ft_model_vector(m, hp->q_lora_rank, &a->q_a_norm, err, "blk.%d.attn_q_a_norm.weight",
                             i);
    if (rc == 0)
        rc = ft_model_matrix(m, hp->q_lora_rank, n_q, &a->q_b, err, "blk.%d.attn_q_b.weight", i);
    return rc;
}

static int open_attn(struct ft_model *m, int i, struct mla *a, struct ft_err *err)
{
    const struct ft_hparams *hp = &m->hp;
    int64_t rank = hp->kv_lora_rank, d = hp->d_model;
    int rc = open_queries(m, i, a, err);
    if (rc == 0)
        rc = ft_model_matrix(m, d, rank + hp->rope.n_rot, &a->kv_a, err,
                             "blk.%d.attn_kv_a_mqa.weight", i);
    if (rc == 0)
        rc = ft_model_vector(m, rank, &a->kv_a_norm, err, "blk.%d.attn_kv_a_norm.weight", i);
    if (rc == 0)
        rc = open_up(m, i, a, err);
    if (rc == 0)
        rc = ft_model_matrix(m, (int64_t)hp->n_head * hp->d_v_mla, d, &a->o, err,
                             "blk.%d.attn_output.weight", i);
    m->kv_layer[i] = (struct ft_kv_layer){.n_head = 1,
                                          .d_k = hp->kv_lora_rank + hp->rope.n_rot,
                                          .d_v = hp->kv_lora_rank,
                                          .v_in_k = true};
    return rc;
}

static int open_layers(struct ft_model *m, struct ft_err *err)
{
    struct ft_hparams *hp = &m->hp;
    if (hp->kv_lora_rank < 1 || nope_of(hp) < 1 || hp->d_v_mla < 1)
        return ft_err_set(err, FT_ECORRUPT,
                          "deepseek2: attention.kv_lora_rank, key_length_mla and value_length_mla "
                          "must be given and larger than the rotated part");
    struct state *s = model_array(m, 1, sizeof *s, err);
    if (s == NULL)
        return FT_ENOMEM;
    s->layer = model_array(m, (size_t)hp->n_layer, sizeof *s->layer, err);
    if (s->layer == NULL)
        return FT_ENOMEM;
    m->arch_state = s;
    double mscale = 1;
    if (hp->rope.scaling == FT_ROPE_YARN) {
        /* DeepSeek puts YaRN's temperature on the scores alone: both of its mscale settings are
         * equal in every published configuration, so cos and sin keep their length. */
        mscale = 1 + hp->rope.yarn_log_mul * log(hp->rope.factor);
        m->rope_mul = 1;
    }
    s->scale = mscale * mscale / sqrt(hp->d_k_mla);
    for (int i = 0; i < hp->n_layer; i++) {
        struct layer *l = &s->layer[i];
        int rc = ft_model_vector(m, hp->d_model, &l->attn_norm, err, "blk.%d.attn_norm.weight", i);
        if (rc == 0)
            rc = ft_model_vector(m, hp->d_model, &l->ffn_norm, err, "blk.%d.ffn_norm.weight", i);
        if (rc == 0)
            rc = open_attn(m, i, &l->attn, err);
        if (rc == 0)
            rc = ft_ffn_open(m, i, false, &l->ffn, err);
        if (rc != 0)
            return rc;
    }
    return 0;
}

static size_t attn_floats(const struct ft_model *m)
{
    const struct ft_hparams *hp = &m->hp;
    size_t heads = (size_t)hp->n_head, key = (size_t)(hp->kv_lora_rank + hp->rope.n_rot);
    return (size_t)hp->q_lora_rank + heads * (size_t)hp->d_k_mla + key + heads * key +
           heads * (size_t)hp->kv_lora_rank + heads * (size_t)hp->d_v_mla;
}

static size_t scratch_floats(const struct ft_model *m)
{
    return ft_fwd_common_floats(m) + FT_MAX(attn_floats(m), ft_ffn_floats(m));
}

/* q (rotated) from h, and the token's latent and rotated key into kv. */
static void project(struct ft_fwd *f, const struct mla *a, struct ft_mat low, struct ft_mat q,
                    struct ft_mat kv)
{
    const struct ft_hparams *hp = &f->m->hp;
    struct ft_dev *d = f->m->dev;
    int n = f->b->n_rows, rank = hp->kv_lora_rank;
    float eps = (float)hp->norm_eps;
    if (a->q != NULL) {
        struct ft_linear in[2] = {{a->q, NULL, q, false}, {a->kv_a, NULL, kv, false}};
        ft_fwd_linear(f, f->h, n, in, 2);
    } else {
        struct ft_linear in[2] = {{a->q_a, NULL, low, false}, {a->kv_a, NULL, kv, false}};
        ft_fwd_linear(f, f->h, n, in, 2);
        ft_dev_rmsnorm(d, low, n, hp->q_lora_rank, a->q_a_norm, eps, low);
        struct ft_linear up = {a->q_b, NULL, q, false};
        ft_fwd_linear(f, low, n, &up, 1);
    }
    ft_dev_rmsnorm(d, kv, n, rank, a->kv_a_norm, eps, kv);
    ft_dev_heads(d, kv, n, 1, rank + hp->rope.n_rot, NULL, 0, f->cs, rank, hp->rope.n_rot,
                 hp->rope.pairs);
    ft_dev_heads(d, q, n, hp->n_head, hp->d_k_mla, NULL, 0, f->cs, nope_of(hp), hp->rope.n_rot,
                 hp->rope.pairs);
}

static int attn_forward(struct ft_fwd *f, int i, const struct mla *a)
{
    const struct ft_hparams *hp = &f->m->hp;
    const struct state *s = f->m->arch_state;
    struct ft_dev *d = f->m->dev;
    int n = f->b->n_rows, rank = hp->kv_lora_rank, n_rot = hp->rope.n_rot;
    int64_t heads = hp->n_head, key = rank + n_rot;
    size_t at = 0;
    struct ft_mat low = ft_fwd_carve(f, &at, hp->q_lora_rank);
    struct ft_mat q = ft_fwd_carve(f, &at, heads * hp->d_k_mla);
    struct ft_mat kv = ft_fwd_carve(f, &at, key);
    struct ft_mat wide = ft_fwd_carve(f, &at, heads * key);
    struct ft_mat latent = ft_fwd_carve(f, &at, heads * rank);
    struct ft_mat y = ft_fwd_carve(f, &at, heads * hp->d_v_mla);
    project(f, a, low, q, kv);
    ft_dev_linear_heads(d, q, hp->d_k_mla, n, a->k_b, wide, (int)key);
    /* Rows of one (row, head) each: the rotated parts move behind the absorbed ones. */
    struct ft_mat from = {q.p + nope_of(hp), hp->d_k_mla}, to = {wide.p + rank, key};
    ft_dev_gather(d, from, NULL, n * hp->n_head, n_rot, to);
    ft_dev_kv_store(d, f->kv, i, f->b, kv, kv);
    ft_dev_attend(d, f->kv, i, f->b, wide, hp->n_head, (float)s->scale, latent);
    if (i == hp->n_layer - 1)
        n = ft_fwd_keep_out(f, latent, (int)(heads * rank));
    if (n > 0) {
        ft_dev_linear_heads(d, latent, rank, n, a->v_b, y, hp->d_v_mla);
        struct ft_linear out = {a->o, NULL, f->x, true};
        ft_fwd_linear(f, y, n, &out, 1);
    }
    return n;
}

static void forward(struct ft_model *m, struct ft_kv *kv, const struct ft_batch *b,
                    struct ft_mat out)
{
    const struct state *s = m->arch_state;
    float eps = (float)m->hp.norm_eps;
    struct ft_fwd f;
    ft_fwd_init(&f, m, kv, b);
    int n = b->n_rows;
    for (int i = 0; i < m->hp.n_layer; i++) {
        const struct layer *l = &s->layer[i];
        ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, l->attn_norm, eps, f.h);
        n = attn_forward(&f, i, &l->attn);
        if (n == 0)
            return;
        ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, l->ffn_norm, eps, f.h);
        ft_ffn_forward(&f, &l->ffn, n);
    }
    ft_dev_rmsnorm(m->dev, f.x, n, m->hp.d_model, m->output_norm, eps, out);
}

const struct ft_arch ft_arch_deepseek2 = {
    .name = "deepseek2",
    .open = open_layers,
    .forward = forward,
    .scratch_floats = scratch_floats,
};
