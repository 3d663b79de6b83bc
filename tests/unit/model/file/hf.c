/* Hugging Face folders: made here from the F32 weights of reference models, as their vendors would
 * lay them out, then opened and converted back; every tensor must come out bit for bit. */
#include "testing.h"

#include <sys/stat.h>

#include "base/buf.h"
#include "model/file/convert.h"
#include "model/file/hparams.h"
#include "model/file/weights.h"

static char folder[64];

static void put_file(const char *name, const void *data, size_t n)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(n, fwrite(data, 1, n, f));
    fclose(f);
}

static void put_text(const char *name, const char *text)
{
    put_file(name, text, strlen(text));
}

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-hf-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

/* A safetensors file in the making. */
struct st {
    struct ft_buf header, data;
};

static void st_init(struct st *s)
{
    ft_buf_init(&s->header, 1 << 20);
    ft_buf_init(&s->data, 64 << 20);
    ft_buf_add_str(&s->header, "{\"__metadata__\":{\"format\":\"pt\"}");
}

static void st_add(struct st *s, const char *name, int64_t rows, int64_t k, const float *x)
{
    size_t n = (size_t)((rows > 0 ? rows : 1) * k) * 4;
    ft_buf_addf(&s->header, ",\"%s\":{\"dtype\":\"F32\",\"shape\":[", name);
    if (rows > 0)
        ft_buf_addf(&s->header, "%lld,", (long long)rows);
    ft_buf_addf(&s->header, "%lld],\"data_offsets\":[%zu,%zu]}", (long long)k, s->data.len,
                s->data.len + n);
    ft_buf_add(&s->data, x, n);
}

static void st_write(struct st *s, const char *name)
{
    ft_buf_add_byte(&s->header, '}');
    while (s->header.len % 8 != 0)
        ft_buf_add_byte(&s->header, ' ');
    uint64_t n = s->header.len;
    struct ft_buf all;
    ft_buf_init(&all, 128 << 20);
    ft_buf_add(&all, &n, 8);
    ft_buf_add(&all, s->header.data, s->header.len);
    if (s->data.len > 0)
        ft_buf_add(&all, s->data.data, s->data.len);
    put_file(name, all.data, all.len);
    ft_buf_fini(&all);
    ft_buf_fini(&s->header);
    ft_buf_fini(&s->data);
}

static const struct {
    const char *gguf, *hf;
} names[] = {
    {"attn_norm", "input_layernorm"},
    {"ffn_norm", "post_attention_layernorm"},
    {"attn_q", "self_attn.q_proj"},
    {"attn_k", "self_attn.k_proj"},
    {"attn_v", "self_attn.v_proj"},
    {"attn_output", "self_attn.o_proj"},
    {"attn_q_norm", "self_attn.q_norm"},
    {"attn_k_norm", "self_attn.k_norm"},
    {"attn_q_a", "self_attn.q_a_proj"},
    {"attn_q_a_norm", "self_attn.q_a_layernorm"},
    {"attn_q_b", "self_attn.q_b_proj"},
    {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
    {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
    {"ffn_gate", "mlp.gate_proj"},
    {"ffn_up", "mlp.up_proj"},
    {"ffn_down", "mlp.down_proj"},
    {"ffn_gate_inp", "mlp.gate"},
    {"ffn_gate_shexp", "mlp.shared_experts.gate_proj"},
    {"ffn_up_shexp", "mlp.shared_experts.up_proj"},
    {"ffn_down_shexp", "mlp.shared_experts.down_proj"},
    {"ffn_gate_exps", "gate_proj"},
    {"ffn_up_exps", "up_proj"},
    {"ffn_down_exps", "down_proj"},
};

/* Rows from llama.cpp's order (2 i, 2 i + 1 are a pair) to the vendor's (i, i + d / 2). */
static float *unpermuted(const struct ft_tensor *t, int n_head)
{
    int64_t k = t->dim[0], rows = t->dim[1], d = rows / n_head;
    float *out = malloc(t->part_bytes);
    const float *x = t->part[0];
    for (int64_t r = 0; r < rows; r++) {
        int64_t h = r / d, i = r % d;
        int64_t to = h * d + (i % 2) * (d / 2) + i / 2;
        memcpy(out + to * k, x + r * k, (size_t)k * 4);
    }
    return out;
}

/* kv_b from its two halves. */
static void kv_b_add(struct st *s, const struct ft_weights *w, int layer)
{
    char name[96];
    snprintf(name, sizeof name, "blk.%d.attn_k_b.weight", layer);
    const struct ft_tensor *k = ft_weights_find(w, name);
    snprintf(name, sizeof name, "blk.%d.attn_v_b.weight", layer);
    const struct ft_tensor *v = ft_weights_find(w, name);
    int64_t nope = k->dim[0], lora = k->dim[1], heads = k->dim[2], d_v = v->dim[1];
    float *x = malloc((size_t)(heads * (nope + d_v) * lora) * 4), *out = x;
    for (int64_t h = 0; h < heads; h++) {
        for (int64_t i = 0; i < nope; i++)
            for (int64_t l = 0; l < lora; l++)
                *out++ = ((const float *)k->part[0])[(h * lora + l) * nope + i];
        memcpy(out, (const float *)v->part[0] + h * d_v * lora, (size_t)(d_v * lora) * 4);
        out += d_v * lora;
    }
    snprintf(name, sizeof name, "model.layers.%d.self_attn.kv_b_proj.weight", layer);
    st_add(s, name, heads * (nope + d_v), lora, x);
    free(x);
}

static void layer_tensor_add(struct st *s, const struct ft_weights *w, const struct ft_tensor *t,
                             const struct ft_hparams *h)
{
    int layer, dot;
    char name[160], kind[64];
    assert_int_equal(2, sscanf(t->name, "blk.%d.%63[a-z_]%n", &layer, kind, &dot));
    if (strcmp(kind, "attn_k_b") == 0)
        kv_b_add(s, w, layer);
    if (strcmp(kind, "attn_k_b") == 0 || strcmp(kind, "attn_v_b") == 0)
        return;
    if (strcmp(kind, "exp_probs_b") == 0) {
        snprintf(name, sizeof name, "model.layers.%d.mlp.gate.e_score_correction_bias", layer);
        st_add(s, name, 0, t->dim[0], t->part[0]);
        return;
    }
    size_t i = 0;
    while (strcmp(names[i].gguf, kind) != 0)
        i++;
    int64_t rows = t->n_dims > 1 ? t->dim[1] : 0;
    if (t->n_dims == 3) {
        for (int64_t e = 0; e < t->dim[2]; e++) {
            snprintf(name, sizeof name, "model.layers.%d.mlp.experts.%lld.%s.weight", layer,
                     (long long)e, names[i].hf);
            st_add(s, name, rows, t->dim[0], (const float *)t->part[0] + e * rows * t->dim[0]);
        }
        return;
    }
    snprintf(name, sizeof name, "model.layers.%d.%s%s", layer, names[i].hf, t->name + dot);
    bool q = strcmp(kind, "attn_q") == 0, k = strcmp(kind, "attn_k") == 0;
    if (strcmp(h->arch, "llama") == 0 && (q || k)) {
        float *x = unpermuted(t, q ? h->n_head : h->n_head_kv);
        st_add(s, name, rows, t->dim[0], x);
        free(x);
    } else {
        st_add(s, name, rows, t->dim[0], t->part[0]);
    }
}

static void tensor_add(struct st *s, const struct ft_weights *w, const struct ft_tensor *t,
                       const struct ft_hparams *h)
{
    if (strcmp(t->name, "token_embd.weight") == 0)
        st_add(s, "model.embed_tokens.weight", t->dim[1], t->dim[0], t->part[0]);
    else if (strcmp(t->name, "output_norm.weight") == 0)
        st_add(s, "model.norm.weight", 0, t->dim[0], t->part[0]);
    else if (strcmp(t->name, "output.weight") == 0)
        st_add(s, "lm_head.weight", t->dim[1], t->dim[0], t->part[0]);
    else
        layer_tensor_add(s, w, t, h);
}

static void config_put(const struct ft_hparams *h, const char *model_type, bool tied,
                       const char *extra)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 16);
    ft_buf_addf(&b,
                "{\"model_type\":\"%s\",\"num_hidden_layers\":%d,\"hidden_size\":%d,"
                "\"intermediate_size\":%d,\"num_attention_heads\":%d,\"num_key_value_heads\":%d,"
                "\"vocab_size\":%d,\"max_position_embeddings\":%d,\"rms_norm_eps\":%.10g,"
                "\"rope_theta\":%.10g,\"tie_word_embeddings\":%s%s",
                model_type, h->n_layer, h->d_model, h->d_ff, h->n_head,
                h->kv_lora_rank > 0 ? h->n_head : h->n_head_kv, h->n_vocab, h->n_ctx_train,
                h->norm_eps, h->rope.theta, tied ? "true" : "false", extra);
    if (h->kv_lora_rank > 0)
        ft_buf_addf(&b,
                    ",\"kv_lora_rank\":%d,\"q_lora_rank\":%d,\"qk_nope_head_dim\":%d,"
                    "\"qk_rope_head_dim\":%d,\"v_head_dim\":%d,\"n_routed_experts\":%d,"
                    "\"n_shared_experts\":%d,\"first_k_dense_replace\":%d,"
                    "\"routed_scaling_factor\":%g",
                    h->kv_lora_rank, h->q_lora_rank, h->d_k_mla - h->rope.n_rot, h->rope.n_rot,
                    h->d_v_mla, h->n_expert, h->n_expert_shared, h->n_layer_dense, h->expert_scale);
    else
        ft_buf_addf(&b, ",\"head_dim\":%d,\"num_experts\":%d", h->d_k, h->n_expert);
    if (h->n_expert > 0)
        ft_buf_addf(&b,
                    ",\"num_experts_per_tok\":%d,\"moe_intermediate_size\":%d,"
                    "\"norm_topk_prob\":%s",
                    h->n_expert_used, h->d_ff_expert, h->expert_norm ? "true" : "false");
    ft_buf_add_byte(&b, '}');
    put_file("config.json", b.data, b.len);
    ft_buf_fini(&b);
}

/* A byte-level tokenizer of n tokens: ids' texts are made up, the shape is real. */
static void tokenizer_put(int n)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(
        &b, "{\"added_tokens\":[{\"id\":3,\"content\":\"<|end|>\",\"special\":true}],"
            "\"pre_tokenizer\":{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":\"Split\","
            "\"pattern\":{\"Regex\":\"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?"
            "\\\\p{L}+|\\\\p{N}| ?[^\\\\s\\\\p{L}\\\\p{N}]+[\\\\r\\\\n]*|\\\\s*[\\\\r\\\\n]+|"
            "\\\\s+(?!\\\\S)|\\\\s+\"}},{\"type\":\"ByteLevel\",\"use_regex\":false}]},"
            "\"model\":{\"type\":\"BPE\",\"merges\":[\"a b\",[\"ab\",\"c\"]],\"vocab\":{"
            "\"a\":0,\"b\":1,\"c\":2,\"ab\":4,\"abc\":5");
    for (int i = 6; i < n - 2; i++)
        ft_buf_addf(&b, ",\"t%d\":%d", i, i);
    ft_buf_add_str(&b, "}}}");
    put_file("tokenizer.json", b.data, b.len);
    ft_buf_fini(&b);
}

static void folder_fill(const struct ft_weights *w, const struct ft_hparams *h,
                        const char *model_type, int n_files, const char *extra)
{
    config_put(h, model_type, ft_weights_find(w, "output.weight") == NULL, extra);
    tokenizer_put(h->n_vocab);
    struct ft_buf index;
    ft_buf_init(&index, 1 << 20);
    ft_buf_add_str(&index, "{\"metadata\":{\"total_size\":1},\"weight_map\":{");
    for (int f = 0; f < n_files; f++) {
        struct st s;
        char name[64];
        st_init(&s);
        for (int i = 0; i < ft_weights_count(w); i++)
            if (i % n_files == f)
                tensor_add(&s, w, ft_weights_at(w, i), h);
        snprintf(name, sizeof name, "model-%05d-of-%05d.safetensors", f + 1, n_files);
        ft_buf_addf(&index, "%s\"some.tensor.%d\":\"%s\"", f > 0 ? "," : "", f, name);
        st_write(&s, n_files == 1 ? "model.safetensors" : name);
    }
    ft_buf_add_str(&index, "}}");
    if (n_files > 1)
        put_file("model.safetensors.index.json", index.data, index.len);
    ft_buf_fini(&index);
}

static void assert_same_tensor(const struct ft_tensor *want, const struct ft_tensor *got)
{
    if (got == NULL)
        fail_msg("%s is missing", want->name);
    assert_int_equal(want->n_dims, got->n_dims);
    assert_memory_equal(want->dim, got->dim, sizeof want->dim);
    assert_int_equal(want->type, got->type);
    size_t part = got->part_bytes;
    assert_int_equal(want->part_bytes, part * (size_t)got->n_parts);
    for (int i = 0; i < got->n_parts; i++)
        assert_memory_equal((const char *)want->part[0] + (size_t)i * part, got->part[i], part);
}

/* Is the tensor one that a folder stores in another form? */
static bool differs(const struct ft_hparams *h, const char *name)
{
    return strstr(name, "attn_k_b") != NULL || strstr(name, "attn_v_b") != NULL ||
           (strcmp(h->arch, "llama") == 0 &&
            (strstr(name, "attn_q.") != NULL || strstr(name, "attn_k.") != NULL));
}

static void round_trip(const char *model, const char *model_type, int n_files)
{
    char path[128];
    struct ft_err err;
    struct ft_weights *gguf, *hf, *back;
    struct ft_hparams want, got, again;
    snprintf(path, sizeof path, "models/%s-F32.gguf", model);
    const char *file = ft_test_ref(path);
    if (file == NULL)
        skip();
    assert_int_equal(0, ft_weights_open(file, &gguf, &err));
    assert_int_equal(0, ft_hparams_read(gguf, &want, &err));
    folder_fill(gguf, &want, model_type, n_files, "");
    if (ft_weights_open(folder, &hf, &err) != 0 || ft_hparams_read(hf, &got, &err) != 0)
        fail_msg("%s: %s", model, err.msg);
    assert_int_equal(FT_SOURCE_HF, ft_weights_source(hf));
    for (int i = 0; i < ft_weights_count(gguf); i++) {
        const struct ft_tensor *t = ft_weights_at(gguf, i);
        if (!differs(&want, t->name))
            assert_same_tensor(t, ft_weights_find(hf, t->name));
    }
    if (strcmp(want.arch, "llama") == 0) {
        assert_int_equal(FT_ROPE_HALVES, got.rope.pairs);
        got.rope.pairs = FT_ROPE_NEIGHBOURS;
    }
    assert_memory_equal(&want, &got, sizeof want);

    struct ft_convert_opts o = {.type = "F32", .n_threads = 2};
    snprintf(path, sizeof path, "%s/back.gguf", folder);
    if (ft_convert(hf, &o, path, &err) != 0 || ft_weights_open(path, &back, &err) != 0 ||
        ft_hparams_read(back, &again, &err) != 0)
        fail_msg("%s: %s", model, err.msg);
    assert_memory_equal(&want, &again, sizeof want);
    assert_int_equal(ft_weights_count(gguf), ft_weights_count(back));
    for (int i = 0; i < ft_weights_count(gguf); i++) {
        const struct ft_tensor *t = ft_weights_at(gguf, i);
        assert_same_tensor(t, ft_weights_find(back, t->name));
    }
    ft_weights_close(gguf);
    ft_weights_close(hf);
    ft_weights_close(back);
}

static void llama_comes_back_with_its_rows_reordered(void **state)
{
    (void)state;
    round_trip("llama-s", "llama", 1);
}

static void qwen2_comes_back_with_its_biases(void **state)
{
    (void)state;
    round_trip("qwen2-s", "qwen2", 3);
}

static void qwen3_comes_back(void **state)
{
    (void)state;
    round_trip("qwen3-k", "qwen3", 2);
}

static void qwen3moe_comes_back_with_its_experts_stacked(void **state)
{
    (void)state;
    round_trip("qwen3moe-s", "qwen3_moe", 1);
}

static void deepseek2_comes_back_with_kv_b_split(void **state)
{
    (void)state;
    round_trip("deepseek2-s", "deepseek_v3", 1);
}

/* A folder of qwen2-s with `extra` members in its config.json. */
static int opened(const char *extra, struct ft_weights **w, struct ft_err *err)
{
    const char *file = ft_test_ref("models/qwen2-s-F32.gguf");
    struct ft_weights *gguf;
    struct ft_hparams h;
    if (file == NULL)
        skip();
    assert_int_equal(0, ft_weights_open(file, &gguf, err));
    assert_int_equal(0, ft_hparams_read(gguf, &h, err));
    folder_fill(gguf, &h, "qwen2", 1, extra);
    ft_weights_close(gguf);
    return ft_weights_open(folder, w, err);
}

static void rope_scalings_are_read(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_weights *w;
    struct ft_hparams h;
    assert_int_equal(0, opened(",\"rope_scaling\":{\"rope_type\":\"yarn\",\"factor\":4.0,"
                               "\"original_max_position_embeddings\":128,"
                               "\"attention_factor\":1.0}",
                               &w, &err));
    assert_int_equal(0, ft_hparams_read(w, &h, &err));
    ft_weights_close(w);
    assert_int_equal(FT_ROPE_YARN, h.rope.scaling);
    assert_int_equal(128, h.rope.orig_ctx);
    assert_float_equal(4, h.rope.factor, 0);
    assert_float_equal(1, h.rope.attn_factor * (1 + 0.1 * 1.3862943611), 1e-6);

    assert_int_equal(0, opened(",\"rope_parameters\":{\"rope_type\":\"llama3\",\"factor\":32.0,"
                               "\"rope_theta\":500000.0,\"low_freq_factor\":1.0,"
                               "\"high_freq_factor\":4.0,"
                               "\"original_max_position_embeddings\":8192}",
                               &w, &err));
    assert_int_equal(0, ft_hparams_read(w, &h, &err));
    ft_weights_close(w);
    assert_int_equal(FT_ROPE_LLAMA3, h.rope.scaling);
    assert_float_equal(500000, h.rope.theta, 0);
    assert_float_equal(1, ft_rope_llama3_factor(&h.rope, 0), 0);
    assert_float_equal(32, ft_rope_llama3_factor(&h.rope, h.rope.n_rot / 2 - 1), 0);
}

static void generation_settings_and_template_become_metadata(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_weights *w;
    put_text("generation_config.json", "{\"eos_token_id\":[7,3],\"temperature\":0.6,\"top_k\":20}");
    put_text("tokenizer_config.json",
             "{\"eos_token\":\"<|end|>\",\"chat_template\":\"{{ x }}\","
             "\"added_tokens_decoder\":{\"3\":{\"content\":\"<|end|>\"}}}");
    assert_int_equal(0, opened("", &w, &err));
    uint64_t u;
    double f;
    struct ft_slice s;
    assert_int_equal(2, ft_meta_array_len(w, "tokenizer.ggml.eos_token_ids"));
    assert_true(ft_meta_array_u64(w, "tokenizer.ggml.eos_token_ids", 0, &u) && u == 7);
    assert_true(ft_meta_u64(w, "tokenizer.ggml.eos_token_id", &u) && u == 3);
    assert_true(ft_meta_f64(w, "general.sampling.temp", &f));
    assert_float_equal(0.6, f, 1e-6);
    assert_true(ft_meta_u64(w, "general.sampling.top_k", &u) && u == 20);
    assert_true(ft_meta_str(w, "tokenizer.chat_template", &s) && s.n == 7);
    ft_weights_close(w);
    put_text("chat_template.jinja", "{{ file }}");
    assert_int_equal(0, opened("", &w, &err));
    assert_true(ft_meta_str(w, "tokenizer.chat_template", &s) && s.n == 10);
    ft_weights_close(w);
}

#define DEEPSEEK_KEYS                                                                              \
    ",\"model_type\":\"deepseek_v2\",\"kv_lora_rank\":4,\"qk_nope_head_dim\":4,"                   \
    "\"qk_rope_head_dim\":4,\"v_head_dim\":4"

static void what_is_not_supported_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *extra, *name;
    } cases[] = {
        {",\"rope_scaling\":{\"type\":\"longrope\"}", "rope_scaling: longrope is not supported"},
        {",\"hidden_act\":\"gelu\"", "hidden_act: gelu is not supported"},
        {DEEPSEEK_KEYS ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40}", "mscale"},
        {DEEPSEEK_KEYS ",\"rope_scaling\":{\"type\":\"yarn\",\"factor\":40,\"mscale\":1.0,"
                       "\"mscale_all_dim\":0.707}",
         "mscale"},
        {",\"model_type\":\"gpt_neox\"", "model_type"},
        {",\"use_sliding_window\":true,\"sliding_window\":64,\"max_window_layers\":0",
         "use_sliding_window"},
        {",\"num_hidden_layers\":100000", "num_hidden_layers"},
        {",\"num_attention_heads\":\"4\"", "num_attention_heads"},
        {",\"rope_scaling\":[1]", "rope_scaling"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ft_err err = {0};
        struct ft_weights *w;
        assert_true(opened(cases[i].extra, &w, &err) < 0);
        if (strstr(err.msg, cases[i].name) == NULL)
            fail_msg("%s is not named: %s", cases[i].name, err.msg);
    }
}

static void a_float8_without_scales_or_unknown_tensor_is_named(void **state)
{
    (void)state;
    struct ft_err err = {0};
    struct ft_weights *w;
    static const struct {
        const char *header, *name;
    } cases[] = {
        {"{\"model.norm.weight\":{\"dtype\":\"F8_E4M3\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         "weight_scale_inv"},
        {"{\"model.norm.weight\":{\"dtype\":\"F8_E5M2\",\"shape\":[4],\"data_offsets\":[0,4]}}",
         "F8_E5M2"},
        {"{\"model.norm.weight\":{\"dtype\":\"BF16\",\"shape\":[1],\"data_offsets\":[0,2]},"
         "\"model.norm.weight_scale_inv\":{\"dtype\":\"BF16\",\"shape\":[1],"
         "\"data_offsets\":[2,4]}}",
         "BF16 with block scales"},
        {"{\"model.layers.0.mamba.x\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "mamba"},
        {"{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,4]}}",
         "model.norm.weight"},
        {"{\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}",
         "model.norm.weight"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
         "\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]}}",
         "overlaps"},
        {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1]}}", "tensor a"},
        {"{\"a\":[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]}", "tensor a"},
        {"{", "header"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_true(opened("", &w, &err) == 0);
        ft_weights_close(w);
        char file[512];
        uint64_t n = strlen(cases[i].header);
        memcpy(file, &n, 8);
        memcpy(file + 8, cases[i].header, n);
        memset(file + 8 + n, 0, 4);
        put_file("model.safetensors", file, 8 + n + 4);
        assert_true(ft_weights_open(folder, &w, &err) < 0);
        if (strstr(err.msg, cases[i].name) == NULL)
            fail_msg("%s is not named: %s", cases[i].name, err.msg);
    }
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, folder_make, folder_remove)
    const struct CMUnitTest tests[] = {
        TEST(llama_comes_back_with_its_rows_reordered),
        TEST(qwen2_comes_back_with_its_biases),
        TEST(qwen3_comes_back),
        TEST(qwen3moe_comes_back_with_its_experts_stacked),
        TEST(deepseek2_comes_back_with_kv_b_split),
        TEST(rope_scalings_are_read),
        TEST(generation_settings_and_template_become_metadata),
        TEST(what_is_not_supported_is_named),
        TEST(a_float8_without_scales_or_unknown_tensor_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
