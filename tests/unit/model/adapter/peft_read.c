/* PEFT folders beside the reference models: what is read, in which order, and what is refused. */
#include "folder.h"

#include <math.h>

#include "model/adapter/adapter.h"
#include "model/file/hparams.h"

#define PREFIX "base_model.model.model.layers.0."

static float *values(int64_t n, float first)
{
    float *x = malloc((size_t)n * sizeof *x);
    for (int64_t i = 0; i < n; i++)
        x[i] = first + (float)i;
    return x;
}

/* A and B of a module whose base tensor is t. */
static void module_add(struct st *s, const struct ft_tensor *t, const char *module,
                       const char *adapter, int rank)
{
    char name[192];
    float *a = values(rank * t->dim[0], 1), *b = values(t->dim[1] * rank, 1000);
    snprintf(name, sizeof name, PREFIX "%s.lora_A.%sweight", module, adapter);
    st_add(s, name, rank, t->dim[0], a);
    snprintf(name, sizeof name, PREFIX "%s.lora_B.%sweight", module, adapter);
    st_add(s, name, t->dim[1], rank, b);
    free(a);
    free(b);
}

static void config_put(const char *text)
{
    put_file("adapter_config.json", text, strlen(text));
}

static const char plain_config[] =
    "{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":6,\"target_modules\":[\"q_proj\",\"v_proj\"]}";

static struct ft_adapter *opened(const struct ft_weights *w)
{
    struct ft_adapter *a = NULL;
    struct ft_err err = {0};
    if (ft_adapter_open(folder, w, &a, &err) != 0)
        fail_msg("%s", err.msg);
    return a;
}

static void refused(const struct ft_weights *w, enum ft_code code, const char *words)
{
    struct ft_adapter *a = NULL;
    struct ft_err err = {0};
    assert_int_equal(code, ft_adapter_open(folder, w, &a, &err));
    assert_int_equal(code, err.code);
    assert_null(a);
    if (strstr(err.msg, words) == NULL)
        fail_msg("'%s' does not say '%s'", err.msg, words);
}

static void test_pairs_are_read_beside_a_gguf(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    const struct ft_tensor *q = ft_weights_find(w, "blk.0.attn_q.weight");
    const struct ft_tensor *down = ft_weights_find(w, "blk.0.ffn_down.weight");
    struct st s;
    st_init(&s);
    module_add(&s, down, "mlp.down_proj", "default.", 2);
    module_add(&s, q, "self_attn.q_proj", "", 2);
    st_write(&s, "adapter_model.safetensors");
    config_put(plain_config);
    struct ft_adapter *a = opened(w);
    assert_int_equal(2, a->n);
    assert_false(a->is_rslora);
    const struct ft_adapter_pair *p = ft_adapter_find(a, "blk.0.attn_q.weight");
    assert_non_null(p);
    assert_int_equal(q->dim[0], p->n_in);
    assert_int_equal(q->dim[1], p->n_out);
    assert_int_equal(2, p->rank);
    assert_float_equal(3, p->scale, 0);
    assert_float_equal(6, p->alpha, 0);
    for (int64_t i = 0; i < 2 * p->n_in; i++)
        assert_true(p->a[i] == 1 + (float)i);
    for (int64_t i = 0; i < 2 * p->n_out; i++) /* qwen's rows are in the folder's order */
        assert_true(p->b[i] == 1000 + (float)i);
    assert_non_null(ft_adapter_find(a, "blk.0.ffn_down.weight"));
    assert_null(ft_adapter_find(a, "blk.1.attn_q.weight"));
    ft_adapter_close(a);
    ft_weights_close(w);
}

static void test_rows_of_q_and_k_follow_a_llama_gguf(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/llama-s-F32.gguf");
    struct ft_hparams h;
    struct ft_err err;
    assert_int_equal(0, ft_hparams_read(w, &h, &err));
    struct st s;
    st_init(&s);
    module_add(&s, ft_weights_find(w, "blk.0.attn_q.weight"), "self_attn.q_proj", "", 2);
    module_add(&s, ft_weights_find(w, "blk.0.attn_k.weight"), "self_attn.k_proj", "", 2);
    module_add(&s, ft_weights_find(w, "blk.0.attn_v.weight"), "self_attn.v_proj", "", 2);
    st_write(&s, "adapter_model.safetensors");
    config_put(plain_config);
    struct ft_adapter *a = opened(w);
    static const char *const names[] = {"blk.0.attn_q.weight", "blk.0.attn_k.weight"};
    for (int k = 0; k < 2; k++) {
        const struct ft_adapter_pair *p = ft_adapter_find(a, names[k]);
        int64_t d = h.d_k;
        assert_int_equal(d * (k == 0 ? h.n_head : h.n_head_kv), p->n_out);
        for (int64_t head = 0; head < p->n_out / d; head++) {
            for (int64_t i = 0; i < d / 2; i++) { /* pairs (i, i + d / 2) become neighbours */
                float first = 1000 + 2 * (float)(head * d + i);
                assert_true(p->b[(head * d + 2 * i) * 2] == first);
                assert_true(p->b[(head * d + 2 * i + 1) * 2] == first + (float)d);
            }
        }
    }
    const struct ft_adapter_pair *v = ft_adapter_find(a, "blk.0.attn_v.weight");
    for (int64_t i = 0; i < 2 * v->n_out; i++)
        assert_true(v->b[i] == 1000 + (float)i);
    ft_adapter_close(a);
    ft_weights_close(w);
}

static void test_patterns_give_rank_and_alpha(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    struct st s;
    st_init(&s);
    module_add(&s, ft_weights_find(w, "blk.0.attn_q.weight"), "self_attn.q_proj", "", 4);
    module_add(&s, ft_weights_find(w, "blk.0.attn_v.weight"), "self_attn.v_proj", "", 9);
    module_add(&s, ft_weights_find(w, "blk.0.ffn_up.weight"), "mlp.up_proj", "", 2);
    st_write(&s, "adapter_model.safetensors");
    config_put("{\"peft_type\":\"LORA\",\"r\":2,\"lora_alpha\":6,\"use_rslora\":true,"
               "\"rank_pattern\":{\"layers.0.self_attn.q_proj\":4,\"self_attn.(k|v)_proj\":9},"
               "\"alpha_pattern\":{\"q_proj\":32,\"up\":5,\"v_proj|o_proj\":1.5}}");
    struct ft_adapter *a = opened(w);
    assert_true(a->is_rslora);
    const struct ft_adapter_pair *q = ft_adapter_find(a, "blk.0.attn_q.weight");
    const struct ft_adapter_pair *v = ft_adapter_find(a, "blk.0.attn_v.weight");
    const struct ft_adapter_pair *up = ft_adapter_find(a, "blk.0.ffn_up.weight");
    assert_float_equal(16, q->scale, 0);                 /* 32 / sqrt(4) */
    assert_float_equal(0.5, v->scale, 0);                /* 1.5 / sqrt(9) */
    assert_float_equal(6 / 1.41421356, up->scale, 1e-6); /* "up" is no whole word of up_proj */
    ft_adapter_close(a);
    config_put(plain_config);
    refused(w, FT_EINVAL, "self_attn.q_proj.lora_A.weight: its shape is [4, ");
    ft_weights_close(w);
}

static void test_shapes_that_do_not_fit_are_named(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    const struct ft_tensor *q = ft_weights_find(w, "blk.0.attn_q.weight");
    struct ft_tensor wide = *q;
    wide.dim[1] += 2;
    struct st s;
    char words[160];
    st_init(&s);
    module_add(&s, &wide, "self_attn.q_proj", "", 2);
    st_write(&s, "adapter_model.safetensors");
    config_put(plain_config);
    snprintf(words, sizeof words, "q_proj.lora_B.weight: its shape is [%lld, 2], not [%lld, 2]",
             (long long)wide.dim[1], (long long)q->dim[1]);
    refused(w, FT_EINVAL, words);
    refused(w, FT_EINVAL, "the base's blk.0.attn_q.weight [");
    ft_weights_close(w);
}

static void test_tensors_without_a_place_are_refused(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    static const struct {
        const char *name, *words;
        enum ft_code code;
    } cases[] = {
        {PREFIX "self_attn.q_proj.lora_A.weight", "its lora_B is missing", FT_ECORRUPT},
        {PREFIX "self_attn.q_proj.lora_magnitude_vector", "neither lora_A nor", FT_EUNSUPPORTED},
        {PREFIX "self_attn.q_proj.lora_A.other.weight", "neither lora_A nor", FT_EUNSUPPORTED},
        {PREFIX "self_attn.z_proj.lora_A.weight", "not a part of any", FT_EUNSUPPORTED},
        {"base_model.model.model.layers.99.mlp.up_proj.lora_A.weight", "the base has no blk.99",
         FT_EINVAL},
        {"base_model.model.model.embed_tokens.lora_A.weight", "of embeddings", FT_EUNSUPPORTED},
        {"base_model.model.lm_head.weight", "neither lora_A nor", FT_EUNSUPPORTED},
        {PREFIX "mlp.experts.0.up_proj.lora_A.weight", "of experts", FT_EUNSUPPORTED},
        {"base_model.model..lora_A.weight", "neither lora_A nor", FT_EUNSUPPORTED},
        {".lora_A.weight", "neither lora_A nor", FT_EUNSUPPORTED},
        {"model.layers.0.input_layernorm.lora_A.weight", "its lora_B is missing", FT_ECORRUPT},
    };
    config_put(plain_config);
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        struct st s;
        float x[8] = {0};
        st_init(&s);
        st_add(&s, cases[i].name, 2, 4, x);
        st_write(&s, "adapter_model.safetensors");
        refused(w, cases[i].code, cases[i].words);
    }
    struct st s;
    st_init(&s);
    st_write(&s, "adapter_model.safetensors");
    refused(w, FT_ECORRUPT, "no tensors");
    ft_weights_close(w);
}

static void test_settings_that_change_the_result_are_refused(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    struct st s;
    st_init(&s);
    module_add(&s, ft_weights_find(w, "blk.0.attn_q.weight"), "self_attn.q_proj", "", 2);
    st_write(&s, "adapter_model.safetensors");
    static const struct {
        const char *field, *words;
        enum ft_code code;
    } cases[] = {
        {"\"use_dora\":true", "use_dora", FT_EUNSUPPORTED},
        {"\"modules_to_save\":[\"lm_head\"]", "modules_to_save", FT_EUNSUPPORTED},
        {"\"fan_in_fan_out\":true", "fan_in_fan_out", FT_EUNSUPPORTED},
        {"\"bias\":\"all\"", "bias: 'all'", FT_EUNSUPPORTED},
        {"\"lora_bias\":true", "lora_bias", FT_EUNSUPPORTED},
        {"\"init_lora_weights\":\"pissa\"", "init_lora_weights: 'pissa'", FT_EUNSUPPORTED},
        {"\"task_type\":\"SEQ_CLS\"", "task_type: 'SEQ_CLS'", FT_EUNSUPPORTED},
        {"\"layer_replication\":[[0,1]]", "layer_replication", FT_EUNSUPPORTED},
        {"\"alora_invocation_tokens\":[1]", "alora_invocation_tokens", FT_EUNSUPPORTED},
        {"\"a_new_trick\":{\"x\":1}", "a_new_trick: not a field", FT_EUNSUPPORTED},
        {"\"target_modules\":[1]", "target_modules", FT_ECORRUPT},
        {"\"lora_alpha\":\"16\"", "lora_alpha", FT_ECORRUPT},
        {"\"r\":0", "r: not a whole number", FT_ECORRUPT},
        {"\"r\":70000", "r: not a whole number", FT_ECORRUPT},
        {"\"rank_pattern\":{\"q_proj\":2.5}", "rank_pattern", FT_ECORRUPT},
        {"\"rank_pattern\":[2]", "rank_pattern: not an object", FT_ECORRUPT},
        {"\"alpha_pattern\":{\"(\":2}", "alpha_pattern: '(': ", FT_ECORRUPT},
        {"\"alpha_pattern\":{\"(.*)*(.*)*(.*)*[xz]\":2}", "takes too long", FT_ELIMIT},
        {"\"use_rslora\":1", "use_rslora", FT_ECORRUPT},
        {"\"peft_type\":\"LOHA\"", "peft_type: 'LOHA'", FT_EUNSUPPORTED},
    };
    char text[256];
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        bool typed = strstr(cases[i].field, "peft_type") != NULL;
        snprintf(text, sizeof text, "{%s%s%s%s}", cases[i].field,
                 typed ? "" : ",\"peft_type\":\"LORA\"",
                 strstr(cases[i].field, "\"r\"") != NULL ? "" : ",\"r\":2", "");
        config_put(text);
        refused(w, cases[i].code, cases[i].words);
    }
    config_put("{\"r\":2}");
    refused(w, FT_ECORRUPT, "peft_type: missing");
    config_put("[]");
    refused(w, FT_ECORRUPT, "not an object");
    config_put("{\"peft_type\":\"LORA\",\"r\":2,\"use_dora\":false,\"modules_to_save\":null,"
               "\"bias\":\"none\",\"init_lora_weights\":true,\"layer_replication\":null,"
               "\"target_modules\":\"all-linear\",\"a_new_trick\":null,\"eva_config\":{\"rho\":2},"
               "\"lora_dropout\":0.1,\"inference_mode\":true,\"task_type\":\"CAUSAL_LM\"}");
    struct ft_adapter *a = opened(w);
    assert_float_equal(4, a->pair[0].scale, 0); /* lora_alpha is 8 where nothing is said */
    ft_adapter_close(a);
    ft_weights_close(w);
}

/* Merged, they would be a model that says nothing. */
static void test_numbers_that_are_none_are_refused(void **state)
{
    (void)state;
    static const struct {
        float first;
        const char *says;
    } cases[] = {{NAN, "q_proj.lora_A.weight: element 0"},
                 {-INFINITY, "q_proj.lora_A.weight: element 0"},
                 {3e38F, "q_proj.lora_B.weight: its product"}};
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    const struct ft_tensor *q = ft_weights_find(w, "blk.0.attn_q.weight");
    config_put(plain_config);
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        struct st s;
        st_init(&s);
        float *a = values(2 * q->dim[0], 1), *b = values(q->dim[1] * 2, 1);
        a[0] = cases[i].first;
        st_add(&s, PREFIX "self_attn.q_proj.lora_A.weight", 2, q->dim[0], a);
        st_add(&s, PREFIX "self_attn.q_proj.lora_B.weight", q->dim[1], 2, b);
        st_write(&s, "adapter_model.safetensors");
        free(a);
        free(b);
        refused(w, FT_ECORRUPT, cases[i].says);
    }
    ft_weights_close(w);
}

static void test_folders_that_are_no_adapters(void **state)
{
    (void)state;
    char path[128];
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    unlink(path);
    refused(w, FT_ENOTFOUND, "no adapter_config.json");
    config_put(plain_config);
    snprintf(path, sizeof path, "%s/adapter_model.safetensors", folder);
    unlink(path);
    refused(w, FT_ENOTFOUND, "adapter_model.safetensors");
    config_put("");
    refused(w, FT_ECORRUPT, "adapter_config.json: line");
    snprintf(path, sizeof path, "%s/adapter_config.json", folder);
    unlink(path);
    assert_int_equal(0, mkfifo(path, 0600)); /* nobody waits for who never writes */
    refused(w, FT_EINVAL, "not a regular file");
    unlink(path);
    ft_weights_close(w);
}

/* A type that the safetensors reader does not know is not checked by it: nothing may be read. */
static void test_types_are_taken_by_their_exact_names(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen2-s-F32.gguf");
    const struct ft_tensor *q = ft_weights_find(w, "blk.0.attn_q.weight");
    struct st s;
    st_init(&s);
    for (int half = 0; half < 2; half++)
        ft_buf_addf(&s.header,
                    ",\"" PREFIX "self_attn.q_proj.lora_%c.weight\":{\"dtype\":\"f32\","
                    "\"shape\":[%lld,%lld],\"data_offsets\":[0,0]}",
                    'A' + half, half == 0 ? 2LL : (long long)q->dim[1],
                    half == 0 ? (long long)q->dim[0] : 2LL);
    st_write(&s, "adapter_model.safetensors");
    config_put(plain_config);
    refused(w, FT_EUNSUPPORTED, "the dtype f32");
    ft_weights_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pairs_are_read_beside_a_gguf),
        cmocka_unit_test(test_rows_of_q_and_k_follow_a_llama_gguf),
        cmocka_unit_test(test_patterns_give_rank_and_alpha),
        cmocka_unit_test(test_shapes_that_do_not_fit_are_named),
        cmocka_unit_test(test_tensors_without_a_place_are_refused),
        cmocka_unit_test(test_settings_that_change_the_result_are_refused),
        cmocka_unit_test(test_numbers_that_are_none_are_refused),
        cmocka_unit_test(test_folders_that_are_no_adapters),
        cmocka_unit_test(test_types_are_taken_by_their_exact_names),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
