/* config.json and generation_config.json of a folder that is written: what hf_config.c reads, the
 * other way round. A folder's own are kept but for what its new tensors make untrue. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/hf_impl.h"
#include "model/file/hf_write.h"
#include "model/file/hparams.h"

struct config {
    const struct ft_weights *w;
    const struct ft_hparams *h;
    json_t *json;
    struct ft_err *err;
};

static const struct {
    const char *arch, *model_type, *class;
} kinds[] = {
    {"llama", "llama", "LlamaForCausalLM"},
    {"qwen2", "qwen2", "Qwen2ForCausalLM"},
    {"qwen3", "qwen3", "Qwen3ForCausalLM"},
    {"qwen3moe", "qwen3_moe", "Qwen3MoeForCausalLM"},
};

/* The shortest decimal that is the same f32: 1e-06, not 9.99999997e-07. */
static double decimal(double x)
{
    char text[32];
    for (int digits = 1; digits < 9; digits++) {
        snprintf(text, sizeof text, "%.*g", digits, x);
        if (strtof(text, NULL) == (float)x)
            return strtod(text, NULL);
    }
    return x;
}

static void set_int(json_t *j, const char *key, int64_t v)
{
    json_object_set_new(j, key, json_integer(v));
}

static void set_real(json_t *j, const char *key, double v)
{
    json_object_set_new(j, key, json_real(decimal(v)));
}

static void set_str(json_t *j, const char *key, const char *v)
{
    json_object_set_new(j, key, json_string(v));
}

static void set_bool(json_t *j, const char *key, bool v)
{
    json_object_set_new(j, key, json_boolean(v));
}

static bool has(const struct config *c, const char *tensor)
{
    for (int i = 0; i < ft_weights_count(c->w); i++)
        if (strcmp(ft_weights_at(c->w, i)->name, tensor) == 0)
            return true;
    return false;
}

static int refuse(const struct config *c, const char *what)
{
    return ft_err_set(c->err, FT_EUNSUPPORTED, "config.json cannot say it: %s", what);
}

static double element(const struct ft_tensor *t, int i)
{
    float x;
    ft_tensor_fetch(t, NULL, i, 1, &x);
    return (double)x;
}

/* Llama 3's scaling, of which a GGUF has but the factor of each frequency: the published models
 * share all of its numbers but one. */
static int llama3_find(const struct config *c, const struct ft_tensor *t, json_t *scaling)
{
    struct ft_rope_params p = c->h->rope;
    p.scaling = FT_ROPE_LLAMA3;
    p.orig_ctx = 8192;
    p.low_freq_factor = 1;
    p.high_freq_factor = 4;
    p.factor = 1;
    if (t->type != FT_F32 || t->n_dims != 1 || t->dim[0] != p.n_rot / 2)
        return refuse(c, "rope_freqs.weight is not one F32 factor per frequency");
    for (int i = 0; i < p.n_rot / 2; i++)
        p.factor = FT_MAX(p.factor, element(t, i));
    for (int i = 0; i < p.n_rot / 2; i++)
        if (!(fabs(element(t, i) / ft_rope_llama3_factor(&p, i) - 1) < 1e-4))
            return refuse(c, "rope_freqs.weight is not the scaling of Llama 3.1 to 3.3");
    set_str(scaling, "rope_type", "llama3");
    set_real(scaling, "factor", p.factor);
    set_real(scaling, "low_freq_factor", p.low_freq_factor);
    set_real(scaling, "high_freq_factor", p.high_freq_factor);
    set_int(scaling, "original_max_position_embeddings", p.orig_ctx);
    return 0;
}

static int scaling_set(const struct config *c)
{
    const struct ft_rope_params *p = &c->h->rope;
    const struct ft_tensor *factors = ft_weights_find(c->w, "rope_freqs.weight");
    if (factors == NULL && p->scaling == FT_ROPE_PLAIN) {
        json_object_set_new(c->json, "rope_scaling", json_null());
        return 0;
    }
    json_t *s = json_object();
    json_object_set_new(c->json, "rope_scaling", s);
    if (factors != NULL)
        return p->scaling == FT_ROPE_PLAIN || p->scaling == FT_ROPE_LLAMA3
                   ? llama3_find(c, factors, s)
                   : refuse(c, "rope_freqs.weight beside another scaling");
    set_str(s, "rope_type", p->scaling == FT_ROPE_LINEAR ? "linear" : "yarn");
    set_real(s, "factor", p->factor);
    if (p->scaling == FT_ROPE_LINEAR)
        return 0;
    if (p->scaling != FT_ROPE_YARN)
        return refuse(c, "rope.scaling.type");
    set_int(s, "original_max_position_embeddings", p->orig_ctx);
    if (p->beta_fast != 32)
        set_real(s, "beta_fast", p->beta_fast);
    if (p->beta_slow != 1)
        set_real(s, "beta_slow", p->beta_slow);
    if (p->attn_factor != 1) /* GGUF's comes on top of HF's default */
        set_real(s, "attention_factor", p->attn_factor * (1 + 0.1 * log(p->factor)));
    return 0;
}

/* HF's switches for biases are for all four, all three at once. */
static int biases_set(const struct config *c)
{
    bool q = has(c, "blk.0.attn_q.bias"), o = has(c, "blk.0.attn_output.bias");
    bool mlp = has(c, "blk.0.ffn_up.bias");
    if (strcmp(c->h->arch, "qwen2") == 0)
        return o || mlp || !q ? refuse(c, "biases elsewhere than at q, k and v") : 0;
    if (q != o || (mlp && strcmp(c->h->arch, "llama") != 0))
        return refuse(c, "biases at some of the projections only");
    set_bool(c->json, "attention_bias", q);
    if (strcmp(c->h->arch, "llama") == 0)
        set_bool(c->json, "mlp_bias", mlp);
    return 0;
}

static int shape_set(const struct config *c)
{
    const struct ft_hparams *h = c->h;
    bool moe = strcmp(h->arch, "qwen3moe") == 0;
    if (h->d_k != h->d_v || h->rope.n_rot != h->d_k)
        return refuse(c, "heads whose keys, values and rotary dimensions differ");
    if (!moe && h->n_expert > 0)
        return refuse(c, "experts");
    if (moe && (h->n_expert_shared > 0 || h->n_layer_dense > 0 || h->expert_scale != 1 ||
                h->gating != FT_GATE_SOFTMAX || h->n_expert_group > 1))
        return refuse(c, "experts with other than plain softmax routing");
    set_int(c->json, "hidden_size", h->d_model);
    set_int(c->json, "intermediate_size", h->d_ff);
    set_int(c->json, "num_hidden_layers", h->n_layer);
    set_int(c->json, "num_attention_heads", h->n_head);
    set_int(c->json, "num_key_value_heads", h->n_head_kv);
    set_int(c->json, "head_dim", h->d_k);
    set_int(c->json, "max_position_embeddings", h->n_ctx_train);
    set_int(c->json, "vocab_size", h->n_vocab);
    set_real(c->json, "rms_norm_eps", h->norm_eps);
    set_real(c->json, "rope_theta", h->rope.theta);
    if (moe) {
        set_int(c->json, "num_experts", h->n_expert);
        set_int(c->json, "num_experts_per_tok", h->n_expert_used);
        set_int(c->json, "moe_intermediate_size", h->d_ff_expert);
        set_bool(c->json, "norm_topk_prob", h->expert_norm);
        set_int(c->json, "decoder_sparse_step", 1);
        json_object_set_new(c->json, "mlp_only_layers", json_array());
    }
    int rc = scaling_set(c);
    return rc == 0 ? biases_set(c) : rc;
}

/* The name that transformers has for a type. */
static const char *torch_name(enum ft_type t)
{
    return t == FT_F32 ? "float32" : t == FT_F16 ? "float16" : "bfloat16";
}

/* What most of the weights are in: the type of the embedding. */
static int type_find(const struct ft_weights *w, const char *type, enum ft_type *ret,
                     struct ft_err *err)
{
    if (type != NULL)
        return ft_hf_type(type, ret, err);
    *ret = FT_BF16;
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        if (strcmp(t->name, "token_embd.weight") == 0 && ft_type_is_float(t->type))
            *ret = t->type;
    }
    return 0;
}

static void special_ids_set(const struct ft_weights *w, json_t *j)
{
    static const struct {
        const char *gguf, *hf;
    } keys[] = {{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                {"tokenizer.ggml.padding_token_id", "pad_token_id"}};
    uint64_t id;
    for (size_t i = 0; i < FT_COUNT(keys); i++) {
        bool known = ft_meta_u64(w, keys[i].gguf, &id) && id < FT_VOCAB_MAX;
        /* said in any case: what transformers takes for an absent one depends on the class */
        json_object_set_new(j, keys[i].hf, known ? json_integer((json_int_t)id) : json_null());
    }
}

static void eos_add(json_t *list, uint64_t id)
{
    json_t *item;
    size_t i;
    json_array_foreach(list, i, item)
    {
        if (json_integer_value(item) == (json_int_t)id)
            return;
    }
    if (id < FT_VOCAB_MAX)
        json_array_append_new(list, json_integer((json_int_t)id));
}

/* All ids that end an answer: one number, or a list. */
static json_t *eos_make(const struct ft_weights *w)
{
    static const char *const keys[] = {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id",
                                       "tokenizer.ggml.eom_token_id"};
    static const char *const more = "tokenizer.ggml.eos_token_ids";
    json_t *list = json_array();
    uint64_t id;
    for (size_t i = 0; i < FT_COUNT(keys); i++)
        if (ft_meta_u64(w, keys[i], &id))
            eos_add(list, id);
    for (int64_t i = 0; i < FT_MIN(ft_meta_array_len(w, more), 64); i++)
        if (ft_meta_array_u64(w, more, i, &id))
            eos_add(list, id);
    if (json_array_size(list) > 1)
        return list;
    json_t *one = json_array_size(list) == 1 ? json_incref(json_array_get(list, 0)) : json_null();
    json_decref(list);
    return one;
}

static int json_put(json_t *j, const char *name, struct ft_folder *f, struct ft_err *err)
{
    char *text = j != NULL ? json_dumps(j, JSON_INDENT(2) | JSON_REAL_PRECISION(9)) : NULL;
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", name);
    int rc = ft_folder_put(f, name, text, strlen(text), err);
    free(text);
    return rc;
}

static int config_make(struct config *c, enum ft_type type)
{
    const struct ft_hparams *h = c->h;
    size_t i = 0;
    while (i < FT_COUNT(kinds) && strcmp(kinds[i].arch, h->arch) != 0)
        i++;
    if (i == FT_COUNT(kinds))
        return ft_err_set(c->err, FT_EUNSUPPORTED,
                          "architecture %s: a folder is written of llama, qwen2, qwen3 and "
                          "qwen3moe",
                          h->arch);
    json_object_set_new(c->json, "architectures", json_pack("[s]", kinds[i].class));
    set_str(c->json, "model_type", kinds[i].model_type);
    set_str(c->json, "torch_dtype", torch_name(type));
    set_str(c->json, "hidden_act", "silu");
    set_bool(c->json, "tie_word_embeddings", !has(c, "output.weight"));
    set_bool(c->json, "use_cache", true);
    set_real(c->json, "initializer_range", 0.02);
    set_real(c->json, "attention_dropout", 0);
    special_ids_set(c->w, c->json);
    json_object_set_new(c->json, "eos_token_id", eos_make(c->w));
    return shape_set(c);
}

/* What the model's maker recommends, from GGUF's keys. */
static int generation_write(const struct ft_weights *w, struct ft_folder *f, struct ft_err *err)
{
    static const struct {
        const char *gguf, *hf;
        bool whole;
    } keys[] = {{"general.sampling.temp", "temperature", false},
                {"general.sampling.top_k", "top_k", true},
                {"general.sampling.top_p", "top_p", false},
                {"general.sampling.min_p", "min_p", false},
                {"general.sampling.penalty_repeat", "repetition_penalty", false}};
    json_t *j = json_object();
    double v;
    special_ids_set(w, j);
    json_object_set_new(j, "eos_token_id", eos_make(w));
    for (size_t i = 0; i < FT_COUNT(keys); i++) {
        if (!ft_meta_f64(w, keys[i].gguf, &v) || !(fabs(v) <= INT32_MAX))
            continue;
        if (i == 0)
            set_bool(j, "do_sample", v > 0);
        if (i == 0 && !(v > 0)) /* transformers has no temperature of 0 */
            continue;
        if (keys[i].whole)
            set_int(j, keys[i].hf, (int64_t)v);
        else
            set_real(j, keys[i].hf, v);
    }
    int rc = json_put(j, "generation_config.json", f, err);
    json_decref(j);
    return rc;
}

/* The folder's own, whose tensors may have another type now; FP8's scales are multiplied in. */
static int folder_config_write(const struct ft_weights *w, const char *type, struct ft_folder *f,
                               struct ft_err *err)
{
    json_t *j = NULL;
    enum ft_type t = FT_BF16;
    int rc = ft_hf_json_read(w, "config.json", FT_HF_JSON_MAX, &j, err);
    if (rc == 0)
        rc = type_find(w, type, &t, err);
    if (rc == 0 && (type != NULL || json_object_get(j, "quantization_config") != NULL)) {
        const char *key = json_object_get(j, "dtype") != NULL ? "dtype" : "torch_dtype";
        set_str(j, key, torch_name(t));
    }
    if (rc == 0) {
        json_object_del(j, "quantization_config");
        rc = json_put(j, "config.json", f, err);
    }
    json_decref(j);
    return rc;
}

int ft_hf_config_write(const struct ft_weights *w, const char *type, struct ft_folder *f,
                       struct ft_err *err)
{
    if (ft_weights_source(w) == FT_SOURCE_HF)
        return folder_config_write(w, type, f, err);
    struct ft_hparams h;
    enum ft_type t = FT_BF16;
    struct config c = {w, &h, json_object(), err};
    int rc = ft_hparams_read(w, &h, err);
    if (rc == 0)
        rc = type_find(w, type, &t, err);
    if (rc == 0)
        rc = config_make(&c, t);
    if (rc == 0)
        rc = json_put(c.json, "config.json", f, err);
    if (rc == 0)
        rc = generation_write(w, f, err);
    json_decref(c.json);
    return rc;
}
