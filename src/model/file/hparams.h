/* Hyperparameters of a transformer, read once from a model's metadata and checked against bounds.
 *
 * One struct for all architectures: a field that an architecture does not use is 0. Names follow
 * the GGUF keys where they have one. */
#ifndef FT_MODEL_HPARAMS_H
#define FT_MODEL_HPARAMS_H

#include <stdbool.h>
#include <stdint.h>

#include "model/file/weights.h"

enum ft_rope_pairs {
    FT_ROPE_HALVES,     /* dimension i turns with i + n_rot/2 (NeoX; qwen, HF's llama) */
    FT_ROPE_NEIGHBOURS, /* 2i turns with 2i + 1 (llama and deepseek2 GGUF) */
};
enum ft_rope_scaling { FT_ROPE_PLAIN, FT_ROPE_LINEAR, FT_ROPE_YARN, FT_ROPE_LLAMA3 };

struct ft_rope_params {
    enum ft_rope_pairs pairs;
    enum ft_rope_scaling scaling;
    int n_rot;                                /* dimensions turned, even */
    double theta;                             /* frequency base */
    double factor;                            /* context extension; 1 = none */
    int orig_ctx;                             /* context before extension (yarn, llama3) */
    double attn_factor;                       /* yarn: extra factor on cos and sin; 1 = none */
    double beta_fast, beta_slow;              /* yarn: 32, 1 */
    double low_freq_factor, high_freq_factor; /* llama3 */
    double yarn_log_mul; /* deepseek2: rope.scaling.yarn_log_multiplier; 0 = none */
};

enum ft_gating { FT_GATE_SOFTMAX = 1, FT_GATE_SIGMOID = 2 };

struct ft_hparams {
    char arch[32]; /* general.architecture */
    int n_layer, n_vocab, n_ctx_train;
    int d_model, d_ff;
    int n_head, n_head_kv;
    int d_k, d_v; /* per head */
    double norm_eps;
    struct ft_rope_params rope;

    /* mixture of experts */
    int n_expert, n_expert_used, n_expert_shared;
    int d_ff_expert, d_ff_shared;
    int n_layer_dense; /* leading layers without experts */
    enum ft_gating gating;
    bool expert_norm;                        /* the chosen weights are normalised to sum 1 */
    double expert_scale;                     /* then multiplied by this; 1 = none */
    int n_expert_group, n_expert_group_used; /* 0 or 1 = no grouping */

    /* multi-head latent attention (deepseek2) */
    int q_lora_rank; /* 0: queries are projected directly */
    int kv_lora_rank;
    int d_k_mla, d_v_mla; /* per-head sizes before absorption; d_k_mla includes n_rot */
};

/* What Llama 3.1 divides the frequency of rotary pair i by: 1 for short waves, `factor` for those
 * longer than the original context allows, a blend between. p->scaling is FT_ROPE_LLAMA3. */
double ft_rope_llama3_factor(const struct ft_rope_params *p, int i);

/* The heads whose rows a GGUF file has in neighbours' order and a folder in halves': those of
 * llama's q and k, weights and biases. 0 for any other tensor. `tensor` is GGUF's name. */
int ft_rope_ordered_heads(const struct ft_hparams *h, const char *tensor);

/* Row r of a tensor in neighbours' order is this row in halves' order, and the other way round; d
 * rows a head: dimension 2 i + s of a head was i + s d / 2. */
static inline int64_t ft_rope_halves_row(int64_t r, int64_t d)
{
    int64_t in_head = r % d;
    return r - in_head + in_head / 2 + in_head % 2 * (d / 2);
}

static inline int64_t ft_rope_neighbours_row(int64_t r, int64_t d)
{
    int64_t in_head = r % d;
    return r - in_head + in_head % (d / 2) * 2 + in_head / (d / 2);
}

/* Bounds, so that hostile metadata cannot ask for absurd work. */
#define FT_LAYERS_MAX  1024
#define FT_EXPERTS_MAX 1024
#define FT_VOCAB_MAX   (1 << 22)

/* FT_EUNSUPPORTED for an architecture nobody registered is the engine's business, not this one's:
 * here any architecture name is read with the common keys. FT_ECORRUPT names the key at fault. */
int ft_hparams_read(const struct ft_weights *w, struct ft_hparams *ret, struct ft_err *err);

#endif
