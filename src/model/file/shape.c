/* The table of shapes, and writing one.
 *
 * Weights are Gaussian with the variance that keeps activations at their size through the layers.
 * Drawing and quantising billions of them would take minutes, so each format and deviation gets a
 * pool of blocks, drawn and quantised once; tensors are made of blocks picked at random from it. */
#include "model/file/shape.h"

#include <fcntl.h>
#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/rand.h"
#include "model/file/hparams.h"
#include "model/file/quant_mix.h"

static const struct ft_shape shapes[] = {
    {.name = "qwen3-0.6b",
     .arch = "qwen3",
     .n_layer = 28,
     .d_model = 1024,
     .d_ff = 3072,
     .n_head = 16,
     .n_head_kv = 8,
     .d_head = 128,
     .n_vocab = 151936,
     .n_ctx = 40960,
     .theta = 1e6,
     .tied = 1},
    {.name = "qwen3-4b",
     .arch = "qwen3",
     .n_layer = 36,
     .d_model = 2560,
     .d_ff = 9728,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 128,
     .n_vocab = 151936,
     .n_ctx = 40960,
     .theta = 1e6,
     .tied = 1},
    {.name = "llama-3.2-1b",
     .arch = "llama",
     .n_layer = 16,
     .d_model = 2048,
     .d_ff = 8192,
     .n_head = 32,
     .n_head_kv = 8,
     .d_head = 64,
     .n_vocab = 128256,
     .n_ctx = 131072,
     .theta = 500000,
     .tied = 1,
     .orig_ctx = 8192,
     .llama3_factor = 32,
     .llama3_low = 1,
     .llama3_high = 4},
    {.name = "qwen3moe-small",
     .arch = "qwen3moe",
     .n_layer = 12,
     .d_model = 1024,
     .d_ff = 3072,
     .n_head = 16,
     .n_head_kv = 4,
     .d_head = 128,
     .n_vocab = 151936,
     .n_ctx = 40960,
     .theta = 1e6,
     .n_expert = 32,
     .n_expert_used = 4,
     .d_ff_expert = 512},
    {.name = "deepseek2-small",
     .arch = "deepseek2",
     .n_layer = 12,
     .d_model = 1024,
     .d_ff = 4096,
     .n_head = 16,
     .n_head_kv = 1,
     .n_vocab = 102400,
     .n_ctx = 163840,
     .theta = 10000,
     .yarn_factor = 40,
     .mscale_all_dim = 1,
     .orig_ctx = 4096,
     .n_expert = 32,
     .n_expert_used = 4,
     .n_expert_shared = 1,
     .d_ff_expert = 512,
     .n_layer_dense = 1,
     .n_group = 4,
     .n_group_used = 2,
     .sigmoid = 1,
     .expert_scale = 2.5,
     .q_lora_rank = 512,
     .kv_lora_rank = 512,
     .d_rot = 64,
     .d_nope = 128,
     .d_v = 128},
};

const struct ft_shape *ft_shape_by_name(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(shapes); i++)
        if (strcmp(shapes[i].name, name) == 0)
            return &shapes[i];
    return NULL;
}

const char *ft_shape_names(void)
{
    return "qwen3-0.6b qwen3-4b llama-3.2-1b qwen3moe-small deepseek2-small";
}

#define POOL_BLOCKS  4096 /* blocks of 256 weights */
#define POOL_WEIGHTS 256  /* per pool entry: whole blocks of every format */
#define TENSORS_MAX  4096
#define BATCH_BYTES  (1 << 20)
#define NAME_MAX_LEN 64

enum fill { FILL_GAUSS, FILL_NORM, FILL_ZERO, FILL_ROPE };

struct plan_tensor {
    char name[NAME_MAX_LEN];
    enum ft_type type;
    int n_dims;
    int64_t dim[FT_TENSOR_DIMS_MAX];
    enum fill fill;
    double deviation;
};

struct plan {
    const struct ft_shape *s;
    const struct ft_mix *mix;
    struct plan_tensor *tensor;
    int n;
};

static struct plan_tensor *add(struct plan *p, enum fill fill, int64_t k, int64_t m, int64_t e,
                               int layer, const char *name)
{
    FT_ASSERT(p->n < TENSORS_MAX);
    struct plan_tensor *t = &p->tensor[p->n++];
    *t = (struct plan_tensor){.fill = fill, .dim = {k, m > 0 ? m : 1, e > 0 ? e : 1, 1}};
    t->n_dims = 1 + (m > 0) + (e > 0);
    t->deviation = 1 / sqrt((double)k);
    if (layer >= 0)
        snprintf(t->name, sizeof t->name, "blk.%d.%s", layer, name);
    else
        snprintf(t->name, sizeof t->name, "%s", name);
    t->type =
        ft_mix_type(p->mix, t->name, t->n_dims, t->dim, p->s->n_layer, p->s->tied != 0, false);
    return t;
}

/* What adds to the residual stream: smaller the deeper the model, so the stream stays of one size.
 */
static void add_out(struct plan *p, int64_t k, int64_t m, int64_t e, int layer, const char *name)
{
    add(p, FILL_GAUSS, k, m, e, layer, name)->deviation /= sqrt(2.0 * p->s->n_layer);
}

static void plan_attention(struct plan *p, int i)
{
    const struct ft_shape *s = p->s;
    int64_t d = s->d_model;
    add(p, FILL_NORM, d, 0, 0, i, "attn_norm.weight");
    if (s->kv_lora_rank > 0) {
        int64_t lora = s->kv_lora_rank, h = s->n_head;
        add(p, FILL_GAUSS, d, s->q_lora_rank, 0, i, "attn_q_a.weight");
        add(p, FILL_NORM, s->q_lora_rank, 0, 0, i, "attn_q_a_norm.weight");
        add(p, FILL_GAUSS, s->q_lora_rank, h * (s->d_nope + s->d_rot), 0, i, "attn_q_b.weight");
        add(p, FILL_GAUSS, d, lora + s->d_rot, 0, i, "attn_kv_a_mqa.weight");
        add(p, FILL_NORM, lora, 0, 0, i, "attn_kv_a_norm.weight");
        add(p, FILL_GAUSS, s->d_nope, lora, h, i, "attn_k_b.weight")->deviation =
            1 / sqrt((double)lora);
        add(p, FILL_GAUSS, lora, s->d_v, h, i, "attn_v_b.weight");
        add_out(p, h * s->d_v, d, 0, i, "attn_output.weight");
        return;
    }
    add(p, FILL_GAUSS, d, (int64_t)s->n_head * s->d_head, 0, i, "attn_q.weight");
    add(p, FILL_GAUSS, d, (int64_t)s->n_head_kv * s->d_head, 0, i, "attn_k.weight");
    add(p, FILL_GAUSS, d, (int64_t)s->n_head_kv * s->d_head, 0, i, "attn_v.weight");
    if (strncmp(s->arch, "qwen3", 5) == 0) {
        add(p, FILL_NORM, s->d_head, 0, 0, i, "attn_q_norm.weight");
        add(p, FILL_NORM, s->d_head, 0, 0, i, "attn_k_norm.weight");
    }
    add_out(p, (int64_t)s->n_head * s->d_head, d, 0, i, "attn_output.weight");
}

static void plan_feed_forward(struct plan *p, int i)
{
    const struct ft_shape *s = p->s;
    int64_t d = s->d_model, f = s->d_ff_expert, e = s->n_expert;
    add(p, FILL_NORM, d, 0, 0, i, "ffn_norm.weight");
    if (e == 0 || i < s->n_layer_dense) {
        add(p, FILL_GAUSS, d, s->d_ff, 0, i, "ffn_gate.weight");
        add(p, FILL_GAUSS, d, s->d_ff, 0, i, "ffn_up.weight");
        add_out(p, s->d_ff, d, 0, i, "ffn_down.weight");
        return;
    }
    add(p, FILL_GAUSS, d, e, 0, i, "ffn_gate_inp.weight");
    if (s->sigmoid)
        add(p, FILL_ZERO, e, 0, 0, i, "exp_probs_b.bias");
    add(p, FILL_GAUSS, d, f, e, i, "ffn_gate_exps.weight");
    add(p, FILL_GAUSS, d, f, e, i, "ffn_up_exps.weight");
    add_out(p, f, d, e, i, "ffn_down_exps.weight");
    if (s->n_expert_shared > 0) {
        f *= s->n_expert_shared;
        add(p, FILL_GAUSS, d, f, 0, i, "ffn_gate_shexp.weight");
        add(p, FILL_GAUSS, d, f, 0, i, "ffn_up_shexp.weight");
        add_out(p, f, d, 0, i, "ffn_down_shexp.weight");
    }
}

static void plan_make(struct plan *p)
{
    const struct ft_shape *s = p->s;
    add(p, FILL_GAUSS, s->d_model, s->n_vocab, 0, -1, "token_embd.weight");
    add(p, FILL_NORM, s->d_model, 0, 0, -1, "output_norm.weight");
    if (!s->tied)
        add(p, FILL_GAUSS, s->d_model, s->n_vocab, 0, -1, "output.weight");
    if (s->llama3_factor > 0)
        add(p, FILL_ROPE, s->d_head / 2, 0, 0, -1, "rope_freqs.weight");
    for (int i = 0; i < s->n_layer; i++) {
        plan_attention(p, i);
        plan_feed_forward(p, i);
    }
}

struct keys {
    struct ft_gguf_writer *g;
    const char *arch;
};

static void key_int(struct keys k, const char *name, int v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k.arch, name);
    ft_gguf_put_u32(k.g, key, (uint32_t)v);
}

static void key_real(struct keys k, const char *name, double v)
{
    char key[96];
    snprintf(key, sizeof key, "%s.%s", k.arch, name);
    ft_gguf_put_f32(k.g, key, (float)v);
}

static void experts_put(struct keys k, const struct ft_shape *s)
{
    char key[96];
    key_int(k, "expert_count", s->n_expert);
    key_int(k, "expert_used_count", s->n_expert_used);
    key_int(k, "expert_feed_forward_length", s->d_ff_expert);
    if (s->kv_lora_rank == 0)
        return;
    key_int(k, "leading_dense_block_count", s->n_layer_dense);
    key_int(k, "expert_shared_count", s->n_expert_shared);
    key_real(k, "expert_weights_scale", s->expert_scale);
    snprintf(key, sizeof key, "%s.expert_weights_norm", k.arch);
    ft_gguf_put_bool(k.g, key, true);
    key_int(k, "expert_gating_func", s->sigmoid ? 2 : 1);
    key_int(k, "expert_group_count", s->n_group);
    key_int(k, "expert_group_used_count", s->n_group_used);
}

static void attention_put(struct keys k, const struct ft_shape *s)
{
    char key[96];
    key_int(k, "attention.head_count", s->n_head);
    key_int(k, "attention.head_count_kv", s->n_head_kv);
    key_real(k, "attention.layer_norm_rms_epsilon", 1e-6);
    key_real(k, "rope.freq_base", s->theta);
    if (s->kv_lora_rank == 0) {
        key_int(k, "attention.key_length", s->d_head);
        key_int(k, "attention.value_length", s->d_head);
        key_int(k, "rope.dimension_count", s->d_head);
        return;
    }
    key_int(k, "attention.q_lora_rank", s->q_lora_rank);
    key_int(k, "attention.kv_lora_rank", s->kv_lora_rank);
    key_int(k, "attention.key_length", s->kv_lora_rank + s->d_rot);
    key_int(k, "attention.value_length", s->kv_lora_rank);
    key_int(k, "attention.key_length_mla", s->d_nope + s->d_rot);
    key_int(k, "attention.value_length_mla", s->d_v);
    key_int(k, "rope.dimension_count", s->d_rot);
    snprintf(key, sizeof key, "%s.rope.scaling.type", k.arch);
    ft_gguf_put_str(k.g, key, "yarn", 4);
    key_real(k, "rope.scaling.factor", s->yarn_factor);
    key_int(k, "rope.scaling.original_context_length", s->orig_ctx);
    key_real(k, "rope.scaling.yarn_log_multiplier", 0.1 * s->mscale_all_dim);
}

static int metadata_put(struct ft_gguf_writer *g, const struct plan *p, struct ft_err *err)
{
    const struct ft_shape *s = p->s;
    struct keys k = {g, s->arch};
    char name[96];
    ft_gguf_put_str(g, "general.architecture", s->arch, strlen(s->arch));
    int n = snprintf(name, sizeof name, "random weights in the shape of %s", s->name);
    ft_gguf_put_str(g, "general.name", name, (size_t)n);
    ft_gguf_put_u32(g, "general.quantization_version", 2);
    ft_gguf_put_u32(g, "general.file_type", (uint32_t)p->mix->file_type);
    key_int(k, "block_count", s->n_layer);
    key_int(k, "context_length", s->n_ctx);
    key_int(k, "embedding_length", s->d_model);
    key_int(k, "feed_forward_length", s->d_ff);
    key_int(k, "vocab_size", s->n_vocab);
    attention_put(k, s);
    if (s->n_expert > 0)
        experts_put(k, s);
    return ft_shape_vocab_put(g, s->n_vocab, err);
}

static float gauss(uint64_t stream, uint64_t i)
{
    return (float)ft_rand_normal(17, stream, i);
}

/* A pool of blocks per format and deviation; few of either, so a list. */
struct block_pool {
    struct block_pool *next;
    enum ft_type type;
    double deviation;
    size_t bytes; /* of one entry of POOL_WEIGHTS weights */
    uint8_t *data;
};

static struct block_pool *pool_get(struct block_pool **list, const float *normals,
                                   enum ft_type type, double deviation)
{
    for (struct block_pool *b = *list; b != NULL; b = b->next)
        if (b->type == type && b->deviation == deviation)
            return b;
    const struct ft_type_info *info = ft_type_info(type);
    struct block_pool *b = calloc(1, sizeof *b);
    float *x = malloc(POOL_WEIGHTS * sizeof *x);
    if (b != NULL) {
        *b = (struct block_pool){*list, type, deviation, ft_type_row_bytes(info, POOL_WEIGHTS),
                                 NULL};
        b->data = malloc(b->bytes * POOL_BLOCKS);
    }
    if (b == NULL || x == NULL || b->data == NULL) {
        if (b != NULL)
            free(b->data);
        free(b);
        free(x);
        return NULL;
    }
    for (size_t i = 0; i < POOL_BLOCKS; i++) {
        for (size_t j = 0; j < POOL_WEIGHTS; j++)
            x[j] = (float)deviation * normals[i * POOL_WEIGHTS + j];
        info->quantise(x, b->data + i * b->bytes, POOL_WEIGHTS);
    }
    free(x);
    *list = b;
    return b;
}

static int64_t elements(const struct plan_tensor *t)
{
    return t->dim[0] * t->dim[1] * t->dim[2];
}

static int blocks_write(struct ft_gguf_writer *g, const struct block_pool *b, int64_t n,
                        uint64_t stream, uint8_t *batch, struct ft_err *err)
{
    const struct ft_type_info *info = ft_type_info(b->type);
    size_t total = ft_type_row_bytes(info, n), used = 0;
    int rc = 0;
    for (uint64_t i = 0; rc == 0 && total > 0; i++) {
        size_t piece = FT_MIN(b->bytes, total);
        if (used + piece > BATCH_BYTES) {
            rc = ft_gguf_write(g, batch, used, err);
            used = 0;
        }
        memcpy(batch + used, b->data + ft_rand_u64(18, stream, i) % POOL_BLOCKS * b->bytes, piece);
        used += piece;
        total -= piece;
    }
    return rc == 0 ? ft_gguf_write(g, batch, used, err) : rc;
}

static float rope_factor(const struct ft_shape *s, int i)
{
    struct ft_rope_params p = {.n_rot = s->d_head,
                               .theta = s->theta,
                               .factor = s->llama3_factor,
                               .orig_ctx = s->orig_ctx,
                               .low_freq_factor = s->llama3_low,
                               .high_freq_factor = s->llama3_high};
    return (float)ft_rope_llama3_factor(&p, i);
}

static int small_write(struct ft_gguf_writer *g, const struct ft_shape *s,
                       const struct plan_tensor *t, uint64_t stream, struct ft_err *err)
{
    int rc = 0;
    for (int64_t i = 0; rc == 0 && i < t->dim[0]; i++) {
        float v = t->fill == FILL_ROPE   ? rope_factor(s, (int)i)
                  : t->fill == FILL_NORM ? 1 + 0.1f * gauss(stream, (uint64_t)i)
                                         : 0.05f * gauss(stream, (uint64_t)i);
        rc = ft_gguf_write(g, &v, sizeof v, err);
    }
    return rc;
}

static int tensors_write(struct ft_gguf_writer *g, const struct plan *p, struct ft_err *err)
{
    struct block_pool *pools = NULL;
    float *normals = malloc(sizeof *normals * POOL_BLOCKS * POOL_WEIGHTS);
    uint8_t *batch = malloc(BATCH_BYTES);
    int rc = normals == NULL || batch == NULL ? ft_err_set(err, FT_ENOMEM, "no memory") : 0;
    for (uint64_t i = 0; rc == 0 && i < POOL_BLOCKS * POOL_WEIGHTS; i++)
        normals[i] = gauss(1, i);
    for (int i = 0; rc == 0 && i < p->n; i++) {
        const struct plan_tensor *t = &p->tensor[i];
        if (t->fill != FILL_GAUSS) {
            rc = small_write(g, p->s, t, (uint64_t)i + 2, err);
            continue;
        }
        struct block_pool *b = pool_get(&pools, normals, t->type, t->deviation);
        if (b == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "no memory for a pool of blocks");
        else
            rc = blocks_write(g, b, elements(t), (uint64_t)i + 2, batch, err);
    }
    while (pools != NULL) {
        struct block_pool *next = pools->next;
        free(pools->data);
        free(pools);
        pools = next;
    }
    free(normals);
    free(batch);
    return rc;
}

int ft_shape_write(const struct ft_shape *s, const char *type, const char *path,
                   const atomic_int *interrupt, struct ft_err *err)
{
    struct plan p = {.s = s, .mix = ft_mix_by_name(type)};
    if (p.mix == NULL)
        return ft_err_set(err, FT_EINVAL, "type '%s': one of %s", type, ft_mix_names());
    struct ft_gguf_writer *g = NULL;
    p.tensor = calloc(TENSORS_MAX, sizeof *p.tensor);
    if (p.tensor == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the list of tensors");
    plan_make(&p);
    int rc = ft_gguf_writer_open(path, interrupt, &g, err);
    if (rc == 0)
        rc = metadata_put(g, &p, err);
    for (int i = 0; rc == 0 && i < p.n; i++)
        ft_gguf_put_tensor(g, p.tensor[i].name, p.tensor[i].type, p.tensor[i].n_dims,
                           p.tensor[i].dim);
    if (rc == 0)
        rc = tensors_write(g, &p, err);
    if (rc == 0)
        rc = ft_gguf_commit(g, false, err);
    ft_gguf_writer_close(g);
    free(p.tensor);
    return rc;
}

int ft_shape_temp(const struct ft_shape *s, const char *type, const atomic_int *interrupt,
                  int *ret_fd, struct ft_err *err)
{
    const char *dir = getenv("TMPDIR");
    char folder[512], path[sizeof folder + 16];
    int n = snprintf(folder, sizeof folder, "%s/feitian-XXXXXX",
                     dir != NULL && *dir != '\0' ? dir : "/tmp");
    if (n < 0 || (size_t)n >= sizeof folder)
        return ft_err_set(err, FT_EINVAL, "TMPDIR: too long");
    if (mkdtemp(folder) == NULL) /* our own: nobody else may put a link where we write */
        return ft_err_sys(err, "create %s", folder);
    snprintf(path, sizeof path, "%s/shape.gguf", folder);
    int rc = ft_shape_write(s, type, path, interrupt, err);
    if (rc == 0 && (*ret_fd = open(path, O_RDONLY | O_CLOEXEC)) < 0)
        rc = ft_err_sys(err, "open %s", path);
    unlink(path);
    rmdir(folder);
    return rc;
}
