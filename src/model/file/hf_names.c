/* Names of tensors: Hugging Face's and GGUF's. One table for all families: a name means the same in
 * each, and the engine asks for the ones that its architecture has. */
#include "model/file/hf_names.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct pair {
    const char *hf, *gguf;
};

/* Outside the layers, without the prefix "model." */
static const struct pair global_names[] = {
    {"embed_tokens.weight", "token_embd.weight"},
    {"norm.weight", "output_norm.weight"},
    {"lm_head.weight", "output.weight"},
};

/* Of a layer: the part between "layers.N." and ".weight" or ".bias" */
static const struct pair layer_names[] = {
    {"input_layernorm", "attn_norm"},
    {"post_attention_layernorm", "ffn_norm"},
    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},
    {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"},
    {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"},
    {"self_attn.q_a_proj", "attn_q_a"},
    {"self_attn.q_a_layernorm", "attn_q_a_norm"},
    {"self_attn.q_b_proj", "attn_q_b"},
    {"self_attn.kv_a_proj_with_mqa", "attn_kv_a_mqa"},
    {"self_attn.kv_a_layernorm", "attn_kv_a_norm"},
    {"self_attn.kv_b_proj", "attn_kv_b"},
    {"mlp.gate_proj", "ffn_gate"},
    {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
    {"mlp.gate", "ffn_gate_inp"},
    {"mlp.shared_experts.gate_proj", "ffn_gate_shexp"},
    {"mlp.shared_experts.up_proj", "ffn_up_shexp"},
    {"mlp.shared_experts.down_proj", "ffn_down_shexp"},
};

static const struct pair expert_names[] = {
    {"gate_proj.weight", "ffn_gate_exps.weight"},
    {"up_proj.weight", "ffn_up_exps.weight"},
    {"down_proj.weight", "ffn_down_exps.weight"},
};

/* The one bias whose name is not its weight's. */
#define ROUTER_BIAS      "mlp.gate.e_score_correction_bias"
#define GGUF_ROUTER_BIAS "exp_probs_b.bias"

/* A decimal index and the dot after it. */
static const char *index_take(const char *s, int *ret)
{
    char *end;
    if (*s < '0' || *s > '9')
        return NULL;
    long v = strtol(s, &end, 10);
    if (end - s > 6 || *end != '.')
        return NULL;
    *ret = (int)v;
    return end + 1;
}

static const char *after(const char *s, const char *prefix)
{
    size_t n = strlen(prefix);
    return strncmp(s, prefix, n) == 0 ? s + n : NULL;
}

static enum ft_hf_known layer_map(const char *rest, struct ft_hf_name *ret)
{
    const char *expert = after(rest, "mlp.experts.");
    if (expert != NULL && (expert = index_take(expert, &ret->expert)) != NULL) {
        for (size_t i = 0; i < FT_COUNT(expert_names); i++) {
            if (strcmp(expert, expert_names[i].hf) == 0) {
                snprintf(ret->name, sizeof ret->name, "blk.%d.%s", ret->layer,
                         expert_names[i].gguf);
                return FT_HF_KNOWN;
            }
        }
        return FT_HF_UNKNOWN;
    }
    if (strcmp(rest, ROUTER_BIAS) == 0) {
        snprintf(ret->name, sizeof ret->name, "blk.%d." GGUF_ROUTER_BIAS, ret->layer);
        return FT_HF_KNOWN;
    }
    if (strcmp(rest, "self_attn.rotary_emb.inv_freq") == 0) /* computed, not learnt */
        return FT_HF_IGNORED;
    for (size_t i = 0; i < FT_COUNT(layer_names); i++) {
        const char *tail = after(rest, layer_names[i].hf);
        if (tail != NULL && (strcmp(tail, ".weight") == 0 || strcmp(tail, ".bias") == 0)) {
            snprintf(ret->name, sizeof ret->name, "blk.%d.%s%s", ret->layer, layer_names[i].gguf,
                     tail);
            return FT_HF_KNOWN;
        }
    }
    return FT_HF_UNKNOWN;
}

enum ft_hf_known ft_hf_name_map(const char *name, struct ft_hf_name *ret)
{
    *ret = (struct ft_hf_name){.layer = -1, .expert = -1};
    const char *inner = after(name, "model."); /* absent in folders of embedding models */
    if (inner != NULL)
        name = inner;
    const char *rest = after(name, "layers.");
    if (rest != NULL) {
        rest = index_take(rest, &ret->layer);
        return rest != NULL ? layer_map(rest, ret) : FT_HF_UNKNOWN;
    }
    for (size_t i = 0; i < FT_COUNT(global_names); i++) {
        if (strcmp(name, global_names[i].hf) == 0) {
            snprintf(ret->name, sizeof ret->name, "%s", global_names[i].gguf);
            return FT_HF_KNOWN;
        }
    }
    return FT_HF_UNKNOWN;
}

static bool layer_name(int layer, const char *rest, int expert, char *out, size_t n)
{
    if (strcmp(rest, GGUF_ROUTER_BIAS) == 0)
        return expert < 0 && snprintf(out, n, "model.layers.%d." ROUTER_BIAS, layer) < (int)n;
    for (size_t i = 0; i < FT_COUNT(expert_names); i++)
        if (strcmp(rest, expert_names[i].gguf) == 0)
            return expert >= 0 && snprintf(out, n, "model.layers.%d.mlp.experts.%d.%s", layer,
                                           expert, expert_names[i].hf) < (int)n;
    for (size_t i = 0; i < FT_COUNT(layer_names); i++) {
        const char *tail = after(rest, layer_names[i].gguf);
        if (tail != NULL && (strcmp(tail, ".weight") == 0 || strcmp(tail, ".bias") == 0))
            return expert < 0 && snprintf(out, n, "model.layers.%d.%s%s", layer, layer_names[i].hf,
                                          tail) < (int)n;
    }
    return false;
}

bool ft_hf_name_of(const char *gguf, int expert, char ret[FT_TENSOR_NAME_MAX + 1])
{
    const size_t n = FT_TENSOR_NAME_MAX + 1;
    int layer;
    const char *rest = after(gguf, "blk.");
    if (rest != NULL) {
        rest = index_take(rest, &layer);
        return rest != NULL && layer_name(layer, rest, expert, ret, n);
    }
    for (size_t i = 0; i < FT_COUNT(global_names); i++) {
        if (strcmp(gguf, global_names[i].gguf) == 0) {
            bool inner = strcmp(gguf, "output.weight") != 0;
            return expert < 0 &&
                   snprintf(ret, n, "%s%s", inner ? "model." : "", global_names[i].hf) < (int)n;
        }
    }
    return false;
}
