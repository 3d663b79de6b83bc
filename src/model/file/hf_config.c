/* A folder's configuration as metadata under GGUF keys, the ones that llama.cpp's converter would
 * have written. What this build would compute wrongly is refused by the name of its key: silence
 * here would be a model that answers nonsense. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/file/hf_impl.h"
#include "model/file/hparams.h"

#define KEYS_MAX 128 /* metadata keys made here */

enum family { FAMILY_DENSE, FAMILY_QWEN3_MOE, FAMILY_DEEPSEEK };

struct model_type {
    const char *hf, *arch;
    enum family family;
};

static const struct model_type model_types[] = {
    {"llama", "llama", FAMILY_DENSE},
    {"qwen2", "qwen2", FAMILY_DENSE},
    {"qwen3", "qwen3", FAMILY_DENSE},
    {"qwen3_moe", "qwen3moe", FAMILY_QWEN3_MOE},
    {"deepseek_v2", "deepseek2", FAMILY_DEEPSEEK},
    {"deepseek_v3", "deepseek2", FAMILY_DEEPSEEK},
};

struct config {
    struct ft_weights *w;
    const struct model_type *type;
    json_t *json; /* config.json */
    struct ft_err *err;
    int rc; /* the first failure; later calls do nothing */
};

static void refuse(struct config *c, enum ft_code code, const char *key, const char *what)
{
    if (c->rc == 0)
        c->rc = ft_err_set(c->err, code, "config.json: %s: %s%s", key, what,
                           code == FT_EUNSUPPORTED ? " is not supported" : "");
}

static struct ft_meta_value *value_add(struct config *c, const char *key, enum ft_meta_type type,
                                       const void *p, size_t n)
{
    struct ft_weights *w = c->w;
    if (c->rc != 0)
        return NULL;
    FT_ASSERT(w->n_meta < KEYS_MAX);
    struct ft_meta_value *v = &w->meta[w->n_meta];
    char *copy = ft_arena_strndup(&w->arena, p, n);
    v->key = ft_arena_strndup(&w->arena, key, strlen(key));
    if (copy == NULL || v->key == NULL) {
        c->rc = ft_err_set(c->err, FT_ENOMEM, "no memory for the configuration");
        return NULL;
    }
    *v = (struct ft_meta_value){v->key, type, 0, 1, (const uint8_t *)copy, n};
    if (ft_name_index_add(&w->meta_index, w->meta, sizeof *w->meta, w->n_meta))
        w->n_meta++;
    return v;
}

static void put_str(struct config *c, const char *key, const char *s, size_t n)
{
    struct ft_meta_value *v = value_add(c, key, FT_META_STRING, s, n);
    if (v != NULL)
        v->n = n;
}

static void put_u32(struct config *c, const char *key, uint32_t x)
{
    value_add(c, key, FT_META_U32, &x, sizeof x);
}

static void put_f32(struct config *c, const char *key, double x)
{
    float f = (float)x;
    value_add(c, key, FT_META_F32, &f, sizeof f);
}

static void put_bool(struct config *c, const char *key, bool x)
{
    uint8_t b = x;
    value_add(c, key, FT_META_BOOL, &b, 1);
}

/* "arch.name" in a static-size buffer */
struct key {
    char text[128];
};

static struct key arch_key(const struct config *c, const char *name)
{
    struct key k;
    snprintf(k.text, sizeof k.text, "%s.%s", c->type->arch, name);
    return k;
}

static void arch_u32(struct config *c, const char *name, int64_t v)
{
    put_u32(c, arch_key(c, name).text, (uint32_t)v);
}

static void arch_f32(struct config *c, const char *name, double v)
{
    put_f32(c, arch_key(c, name).text, v);
}

static void arch_str(struct config *c, const char *name, const char *v)
{
    put_str(c, arch_key(c, name).text, v, strlen(v));
}

#define NEEDED (-1)

/* A whole number of config.json in [min, max]; `absent` if it is null or not there. */
static int64_t get_int(struct config *c, const char *key, int64_t min, int64_t max, int64_t absent)
{
    json_t *v = json_object_get(c->json, key);
    if (v == NULL || json_is_null(v)) {
        if (absent == NEEDED)
            refuse(c, FT_ECORRUPT, key, "missing");
        return absent;
    }
    if (!json_is_integer(v) || json_integer_value(v) < min || json_integer_value(v) > max) {
        refuse(c, FT_ECORRUPT, key, "not a whole number within its bounds");
        return absent;
    }
    return json_integer_value(v);
}

static double get_real(struct config *c, json_t *object, const char *key, double absent)
{
    json_t *v = json_object_get(object, key);
    if (v == NULL || json_is_null(v))
        return absent;
    if (!json_is_number(v) || !isfinite(json_number_value(v)) ||
        fabs(json_number_value(v)) > 1e18) {
        refuse(c, FT_ECORRUPT, key, "not a number within its bounds");
        return absent;
    }
    return json_number_value(v);
}

static bool get_bool(struct config *c, const char *key, bool absent)
{
    json_t *v = json_object_get(c->json, key);
    if (v == NULL || json_is_null(v))
        return absent;
    if (!json_is_boolean(v))
        refuse(c, FT_ECORRUPT, key, "not a boolean");
    return json_is_true(v);
}

static const char *get_str(struct config *c, json_t *object, const char *key, const char *absent)
{
    json_t *v = json_object_get(object, key);
    if (v == NULL || json_is_null(v))
        return absent;
    if (!json_is_string(v)) {
        refuse(c, FT_ECORRUPT, key, "not a string");
        return absent;
    }
    return json_string_value(v);
}

#define DIM_MAX (1 << 24)

/* YaRN. HF multiplies cos and sin by attention_factor, by default 1 + 0.1 ln factor; GGUF's
 * attn_factor is what comes on top of that default. DeepSeek instead scales the scores by its
 * mscale_all_dim, and cos and sin by what mscale has beyond it: nothing, in what is published. */
static void yarn_put(struct config *c, json_t *scaling, double factor)
{
    arch_str(c, "rope.scaling.type", "yarn");
    double fast = get_real(c, scaling, "beta_fast", 32),
           slow = get_real(c, scaling, "beta_slow", 1);
    if (fast != 32)
        arch_f32(c, "rope.scaling.yarn_beta_fast", fast);
    if (slow != 1)
        arch_f32(c, "rope.scaling.yarn_beta_slow", slow);
    double mscale = get_real(c, scaling, "mscale", 0),
           all = get_real(c, scaling, "mscale_all_dim", 0);
    double plain = 1 + 0.1 * log(factor), wanted = plain;
    if (mscale != 0 && all != 0)
        wanted = (1 + 0.1 * mscale * log(factor)) / (1 + 0.1 * all * log(factor));
    wanted = get_real(c, scaling, "attention_factor", wanted);
    if (c->type->family == FAMILY_DEEPSEEK) {
        if (wanted != 1) /* no key of GGUF says how long cos and sin are here */
            refuse(c, FT_EUNSUPPORTED, "rope_scaling.mscale", "other than equal to mscale_all_dim");
        arch_f32(c, "rope.scaling.yarn_log_multiplier", 0.1 * all);
    } else if (fabs(wanted - plain) > 1e-9) {
        arch_f32(c, "rope.scaling.attn_factor", wanted / plain);
    }
}

static void scaling_put(struct config *c, json_t *scaling)
{
    const char *kind = get_str(c, scaling, "rope_type", get_str(c, scaling, "type", "default"));
    double factor = get_real(c, scaling, "factor", 1);
    int64_t orig = (int64_t)get_real(c, scaling, "original_max_position_embeddings", 0);
    /* dynamic scaling changes nothing up to max_position_embeddings, which is the context here */
    if (c->rc != 0 || strcmp(kind, "default") == 0 || strcmp(kind, "dynamic") == 0)
        return;
    if (!(factor >= 1 && factor <= 1e6) || orig < 0 || orig > INT32_MAX) {
        refuse(c, FT_ECORRUPT, "rope_scaling", "factor or original context outside their bounds");
    } else if (strcmp(kind, "linear") == 0) {
        arch_str(c, "rope.scaling.type", "linear");
    } else if (strcmp(kind, "yarn") == 0) {
        yarn_put(c, scaling, factor);
    } else if (strcmp(kind, "llama3") == 0) {
        arch_str(c, "rope.scaling.type", "llama3");
        arch_f32(c, "rope.scaling.low_freq_factor", get_real(c, scaling, "low_freq_factor", 1));
        arch_f32(c, "rope.scaling.high_freq_factor", get_real(c, scaling, "high_freq_factor", 4));
        if (orig == 0)
            refuse(c, FT_ECORRUPT, "rope_scaling.original_max_position_embeddings", "missing");
    } else {
        refuse(c, FT_EUNSUPPORTED, "rope_scaling", kind);
    }
    arch_f32(c, "rope.scaling.factor", factor);
    if (orig > 0)
        arch_u32(c, "rope.scaling.original_context_length", orig);
}

/* rope_theta and rope_scaling, or, since transformers 5, both in rope_parameters. */
static void rope_put(struct config *c, int64_t n_rot)
{
    json_t *scaling = json_object_get(c->json, "rope_scaling");
    json_t *both = json_object_get(c->json, "rope_parameters");
    if (json_is_object(both))
        scaling = both;
    double theta = get_real(c, c->json, "rope_theta", 10000);
    theta = json_is_object(scaling) ? get_real(c, scaling, "rope_theta", theta) : theta;
    arch_f32(c, "rope.freq_base", theta);
    arch_u32(c, "rope.dimension_count", n_rot);
    if (scaling != NULL && !json_is_null(scaling) && !json_is_object(scaling))
        refuse(c, FT_ECORRUPT, "rope_scaling", "not an object");
    else if (json_is_object(scaling))
        scaling_put(c, scaling);
}

static void attention_put(struct config *c, int64_t d_model)
{
    int64_t heads = get_int(c, "num_attention_heads", 1, 4096, NEEDED);
    int64_t kv = get_int(c, "num_key_value_heads", 1, 4096, heads);
    arch_u32(c, "attention.head_count", heads);
    if (c->type->family == FAMILY_DEEPSEEK) {
        int64_t lora = get_int(c, "kv_lora_rank", 1, DIM_MAX, NEEDED);
        int64_t q_lora = get_int(c, "q_lora_rank", 1, DIM_MAX, 0);
        int64_t nope = get_int(c, "qk_nope_head_dim", 1, DIM_MAX, NEEDED);
        int64_t rot = get_int(c, "qk_rope_head_dim", 2, DIM_MAX, NEEDED);
        int64_t v = get_int(c, "v_head_dim", 1, DIM_MAX, NEEDED);
        arch_u32(c, "attention.head_count_kv", 1); /* one latent vector serves all heads */
        if (q_lora > 0)
            arch_u32(c, "attention.q_lora_rank", q_lora);
        arch_u32(c, "attention.kv_lora_rank", lora);
        arch_u32(c, "attention.key_length", lora + rot);
        arch_u32(c, "attention.value_length", lora);
        arch_u32(c, "attention.key_length_mla", nope + rot);
        arch_u32(c, "attention.value_length_mla", v);
        rope_put(c, rot);
        return;
    }
    int64_t d_head = get_int(c, "head_dim", 1, DIM_MAX, c->rc == 0 ? d_model / heads : 0);
    arch_u32(c, "attention.head_count_kv", kv);
    arch_u32(c, "attention.key_length", d_head);
    arch_u32(c, "attention.value_length", d_head);
    double part = get_real(c, c->json, "partial_rotary_factor", 1);
    if (!(part > 0 && part <= 1))
        refuse(c, FT_ECORRUPT, "partial_rotary_factor", "outside 0 to 1");
    else
        rope_put(c, (int64_t)((double)d_head * part));
}

static void sliding_window_check(struct config *c)
{
    int64_t window = get_int(c, "sliding_window", 0, INT32_MAX, 0);
    int64_t from = get_int(c, "max_window_layers", 0, INT32_MAX, 0);
    int64_t layers = get_int(c, "num_hidden_layers", 0, INT32_MAX, 0);
    bool used = get_bool(c, "use_sliding_window", false);
    if (used && window > 0 && from < layers &&
        window < get_int(c, "max_position_embeddings", 1, 1 << 30, NEEDED))
        refuse(c, FT_EUNSUPPORTED, "use_sliding_window", "attention in a sliding window");
}

static void qwen3_moe_put(struct config *c)
{
    if (get_int(c, "decoder_sparse_step", 0, INT32_MAX, 1) != 1)
        refuse(c, FT_EUNSUPPORTED, "decoder_sparse_step",
               "a mixture of layers with and without experts");
    if (json_array_size(json_object_get(c->json, "mlp_only_layers")) > 0)
        refuse(c, FT_EUNSUPPORTED, "mlp_only_layers",
               "a mixture of layers with and without experts");
    int64_t n = get_int(c, "num_experts", 1, FT_EXPERTS_MAX, NEEDED);
    arch_u32(c, "expert_count", n);
    arch_u32(c, "expert_used_count", get_int(c, "num_experts_per_tok", 1, n, NEEDED));
    arch_u32(c, "expert_feed_forward_length",
             get_int(c, "moe_intermediate_size", 1, DIM_MAX, NEEDED));
    put_bool(c, arch_key(c, "expert_weights_norm").text, get_bool(c, "norm_topk_prob", false));
}

static void deepseek_gate_put(struct config *c, int64_t n)
{
    bool v3 = strcmp(c->type->hf, "deepseek_v3") == 0;
    const char *scoring = get_str(c, c->json, "scoring_func", v3 ? "sigmoid" : "softmax");
    const char *method = get_str(c, c->json, "topk_method", v3 ? "noaux_tc" : "greedy");
    bool sigmoid = strcmp(scoring, "sigmoid") == 0;
    if (!sigmoid && strcmp(scoring, "softmax") != 0)
        refuse(c, FT_EUNSUPPORTED, "scoring_func", scoring);
    arch_u32(c, "expert_gating_func", sigmoid ? FT_GATE_SIGMOID : FT_GATE_SOFTMAX);
    bool grouped = strcmp(method, "group_limited_greedy") == 0 || strcmp(method, "noaux_tc") == 0;
    if (!grouped && strcmp(method, "greedy") != 0)
        refuse(c, FT_EUNSUPPORTED, "topk_method", method);
    int64_t groups = get_int(c, "n_group", 1, n, 1), used = get_int(c, "topk_group", 1, groups, 1);
    if (grouped && groups > 1) {
        arch_u32(c, "expert_group_count", groups);
        arch_u32(c, "expert_group_used_count", used);
    }
    put_bool(c, arch_key(c, "expert_weights_norm").text, get_bool(c, "norm_topk_prob", v3));
    arch_f32(c, "expert_weights_scale", get_real(c, c->json, "routed_scaling_factor", 1));
}

static void deepseek_put(struct config *c, int64_t n_layer)
{
    int64_t n = get_int(c, "n_routed_experts", 0, FT_EXPERTS_MAX, 0);
    if (n == 0)
        return;
    if (get_int(c, "moe_layer_freq", 0, INT32_MAX, 1) != 1)
        refuse(c, FT_EUNSUPPORTED, "moe_layer_freq",
               "a mixture of layers with and without experts");
    arch_u32(c, "expert_count", n);
    arch_u32(c, "expert_used_count", get_int(c, "num_experts_per_tok", 1, n, NEEDED));
    arch_u32(c, "expert_shared_count", get_int(c, "n_shared_experts", 0, FT_EXPERTS_MAX, 0));
    arch_u32(c, "expert_feed_forward_length",
             get_int(c, "moe_intermediate_size", 1, DIM_MAX, NEEDED));
    arch_u32(c, "leading_dense_block_count", get_int(c, "first_k_dense_replace", 0, n_layer, 0));
    deepseek_gate_put(c, n);
}

static void architecture_put(struct config *c)
{
    int64_t n_layer = get_int(c, "num_hidden_layers", 1, FT_LAYERS_MAX, NEEDED);
    int64_t d_model = get_int(c, "hidden_size", 1, DIM_MAX, NEEDED);
    const char *act = get_str(c, c->json, "hidden_act", "silu");
    if (strcmp(act, "silu") != 0)
        refuse(c, FT_EUNSUPPORTED, "hidden_act", act);
    arch_u32(c, "block_count", n_layer);
    arch_u32(c, "context_length", get_int(c, "max_position_embeddings", 1, 1 << 30, 2048));
    arch_u32(c, "embedding_length", d_model);
    arch_u32(c, "feed_forward_length", get_int(c, "intermediate_size", 0, DIM_MAX, NEEDED));
    arch_f32(c, "attention.layer_norm_rms_epsilon", get_real(c, c->json, "rms_norm_eps", 1e-6));
    arch_u32(c, "vocab_size", get_int(c, "vocab_size", 1, FT_VOCAB_MAX, NEEDED));
    attention_put(c, d_model);
    sliding_window_check(c);
    if (c->type->family == FAMILY_QWEN3_MOE)
        qwen3_moe_put(c);
    if (c->type->family == FAMILY_DEEPSEEK)
        deepseek_put(c, n_layer);
}

/* A file that may be absent: *ret is NULL then. */
static void optional_json(struct config *c, const char *name, json_t **ret)
{
    struct ft_err e = {0};
    *ret = NULL;
    int rc = c->rc == 0 ? ft_hf_json_read(c->w, name, FT_HF_JSON_MAX, ret, &e) : 0;
    if (rc != 0 && rc != FT_ENOTFOUND) {
        c->rc = rc;
        if (c->err != NULL)
            *c->err = e;
    }
}

static bool is_id(const json_t *v)
{
    return json_is_integer(v) && json_integer_value(v) >= 0 && json_integer_value(v) < FT_VOCAB_MAX;
}

/* The id of a token that tokenizer_config.json names by its text, or -1. */
static int64_t named_id(json_t *tokenizer, const char *key)
{
    json_t *token = json_object_get(tokenizer, key), *added, *entry;
    if (json_is_object(token))
        token = json_object_get(token, "content");
    const char *text = json_string_value(token), *id;
    added = json_object_get(tokenizer, "added_tokens_decoder");
    json_object_foreach(added, id, entry)
    {
        const char *content = json_string_value(json_object_get(entry, "content"));
        if (text != NULL && content != NULL && strcmp(text, content) == 0)
            return strtol(id, NULL, 10);
    }
    return -1;
}

static void special_put(struct config *c, const char *key, json_t *tokenizer, const char *name,
                        json_t *generation, const char *id_name)
{
    int64_t id = named_id(tokenizer, name);
    json_t *v = json_object_get(generation, id_name);
    if (v == NULL)
        v = json_object_get(c->json, id_name);
    if (json_is_array(v))
        v = json_array_get(v, 0);
    if (id < 0 && is_id(v))
        id = json_integer_value(v);
    if (id >= 0 && id < FT_VOCAB_MAX)
        put_u32(c, key, (uint32_t)id);
}

/* Every id that ends an answer. */
static void eos_ids_put(struct config *c, json_t *generation)
{
    json_t *v = json_object_get(generation, "eos_token_id");
    if (v == NULL)
        v = json_object_get(c->json, "eos_token_id");
    int32_t ids[64];
    size_t n = 0, i;
    json_t *item;
    if (is_id(v))
        ids[n++] = (int32_t)json_integer_value(v);
    json_array_foreach(v, i, item)
    {
        if (is_id(item) && n < FT_COUNT(ids))
            ids[n++] = (int32_t)json_integer_value(item);
    }
    if (n == 0)
        return;
    struct ft_meta_value *m =
        value_add(c, "tokenizer.ggml.eos_token_ids", FT_META_ARRAY, ids, n * sizeof *ids);
    if (m != NULL) {
        m->elem = FT_META_I32;
        m->n = n;
    }
}

/* What generation_config.json recommends, under the keys that GGUF has for it. */
static void sampling_put(struct config *c, json_t *generation)
{
    static const struct {
        const char *hf, *gguf;
        bool whole;
    } keys[] = {{"temperature", "general.sampling.temp", false},
                {"top_k", "general.sampling.top_k", true},
                {"top_p", "general.sampling.top_p", false},
                {"min_p", "general.sampling.min_p", false},
                {"repetition_penalty", "general.sampling.penalty_repeat", false}};
    for (size_t i = 0; i < FT_COUNT(keys); i++) {
        double v = get_real(c, generation, keys[i].hf, -1);
        if (i == 0 && json_is_false(json_object_get(generation, "do_sample")))
            v = 0; /* the likeliest token, whatever the temperature */
        if (v < 0)
            continue;
        if (keys[i].whole && v <= INT32_MAX && v == floor(v)) {
            int32_t n = (int32_t)v;
            value_add(c, keys[i].gguf, FT_META_I32, &n, sizeof n);
        } else if (!keys[i].whole) {
            put_f32(c, keys[i].gguf, v);
        }
    }
}

/* chat_template.jinja wins, as in transformers; else tokenizer_config.json's, whose list form names
 * several: the one called "default" is it, the others get a key each. */
static void template_put(struct config *c, json_t *tokenizer)
{
    char *text;
    size_t n = 0, i;
    struct ft_err e = {0};
    if (c->rc != 0)
        return;
    int rc = ft_hf_file_read(c->w, "chat_template.jinja", FT_HF_TEMPLATE_MAX, &text, &n, &e);
    if (rc == 0) {
        put_str(c, "tokenizer.chat_template", text, n);
        free(text);
        return;
    }
    if (rc != FT_ENOTFOUND) {
        c->rc = rc;
        if (c->err != NULL)
            *c->err = e;
        return;
    }
    json_t *v = json_object_get(tokenizer, "chat_template"), *item;
    if (json_is_string(v))
        put_str(c, "tokenizer.chat_template", json_string_value(v), json_string_length(v));
    json_array_foreach(v, i, item)
    {
        json_t *name = json_object_get(item, "name"), *body = json_object_get(item, "template");
        char key[96];
        if (!json_is_string(name) || !json_is_string(body) || i >= 8)
            continue;
        if (strcmp(json_string_value(name), "default") == 0)
            snprintf(key, sizeof key, "tokenizer.chat_template");
        else
            snprintf(key, sizeof key, "tokenizer.chat_template.%.48s", json_string_value(name));
        put_str(c, key, json_string_value(body), json_string_length(body));
    }
}

static void neighbours_put(struct config *c)
{
    json_t *generation, *tokenizer;
    optional_json(c, "generation_config.json", &generation);
    optional_json(c, "tokenizer_config.json", &tokenizer);
    static const struct {
        const char *key, *name, *id;
    } specials[] = {{"tokenizer.ggml.bos_token_id", "bos_token", "bos_token_id"},
                    {"tokenizer.ggml.eos_token_id", "eos_token", "eos_token_id"},
                    {"tokenizer.ggml.padding_token_id", "pad_token", "pad_token_id"}};
    for (size_t i = 0; i < FT_COUNT(specials); i++)
        special_put(c, specials[i].key, tokenizer, specials[i].name, generation, specials[i].id);
    eos_ids_put(c, generation);
    json_t *add = json_object_get(tokenizer, "add_bos_token");
    if (json_is_boolean(add))
        put_bool(c, "tokenizer.ggml.add_bos_token", json_is_true(add));
    sampling_put(c, generation);
    template_put(c, tokenizer);
    json_decref(generation);
    json_decref(tokenizer);
}

static void type_find(struct config *c)
{
    const char *name = get_str(c, c->json, "model_type", NULL);
    if (name == NULL) {
        refuse(c, FT_ECORRUPT, "model_type", "missing");
        return;
    }
    for (size_t i = 0; i < FT_COUNT(model_types); i++)
        if (strcmp(model_types[i].hf, name) == 0)
            c->type = &model_types[i];
    if (c->type == NULL && c->rc == 0)
        c->rc = ft_err_set(c->err, FT_EUNSUPPORTED,
                           "config.json: model_type: '%.64s' (llama, qwen2, qwen3, qwen3_moe, "
                           "deepseek_v2 and deepseek_v3 are read)",
                           name);
}

static void name_put(struct config *c)
{
    const char *path = c->w->path;
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    size_t start = n;
    while (start > 0 && path[start - 1] != '/')
        start--;
    put_str(c, "general.name", path + start, n - start);
}

/* quantization_config.weight_block_size: [rows, columns] */
static void fp8_block_read(struct config *c, struct ft_hf_config *ret)
{
    json_t *q = json_object_get(c->json, "quantization_config");
    json_t *size = json_object_get(q, "weight_block_size");
    for (size_t i = 0; i < 2 && json_array_size(size) == 2; i++) {
        json_t *v = json_array_get(size, i);
        if (!json_is_integer(v) || json_integer_value(v) < 1 || json_integer_value(v) > DIM_MAX)
            refuse(c, FT_ECORRUPT, "quantization_config.weight_block_size",
                   "not two whole numbers");
        else
            ret->fp8_block[i] = json_integer_value(v);
    }
}

int ft_hf_config_read(struct ft_weights *w, struct ft_hf_config *ret, struct ft_err *err)
{
    struct config c = {.w = w, .err = err};
    w->meta = ft_arena_array(&w->arena, KEYS_MAX, sizeof *w->meta);
    if (w->meta == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for the configuration");
    c.rc = ft_name_index_init(&w->meta_index, &w->arena, KEYS_MAX, err);
    if (c.rc == 0)
        c.rc = ft_hf_json_read(w, "config.json", FT_HF_JSON_MAX, &c.json, err);
    if (c.rc == FT_ENOTFOUND)
        return ft_err_set(err, FT_ENOTFOUND, "not a model folder: it has no config.json");
    if (c.rc != 0)
        return c.rc;
    type_find(&c);
    if (c.rc == 0) {
        put_str(&c, "general.architecture", c.type->arch, strlen(c.type->arch));
        name_put(&c);
        architecture_put(&c);
        neighbours_put(&c);
        fp8_block_read(&c, ret);
    }
    json_t *tied = json_object_get(c.json, "tie_word_embeddings");
    ret->tied = json_is_boolean(tied) ? json_is_true(tied) : -1;
    json_decref(c.json);
    return c.rc;
}
