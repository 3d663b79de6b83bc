/* Hyperparameters of the reference models. */
#include "testing.h"

#include <math.h>

#include "model/file/gguf_write.h"
#include "model/file/hparams.h"

static struct ft_hparams read_model(const char *name)
{
    struct ft_weights *w;
    struct ft_hparams h;
    struct ft_err err;
    const char *path = ft_test_ref(name);
    if (path == NULL)
        skip();
    if (ft_weights_open(path, &w, &err) != 0 || ft_hparams_read(w, &h, &err) != 0)
        fail_msg("%s", err.msg);
    ft_weights_close(w);
    return h;
}

static void llama_has_neighbouring_pairs(void **state)
{
    (void)state;
    struct ft_hparams h = read_model("models/llama-k-Q4_K_M.gguf");
    assert_string_equal(h.arch, "llama");
    assert_int_equal(h.n_layer, 2);
    assert_int_equal(h.n_vocab, 320);
    assert_int_equal(h.n_ctx_train, 512);
    assert_int_equal(h.d_model, 256);
    assert_int_equal(h.d_ff, 256);
    assert_int_equal(h.n_head, 4);
    assert_int_equal(h.n_head_kv, 1);
    assert_int_equal(h.d_k, 64);
    assert_int_equal(h.d_v, 64);
    assert_float_equal(h.norm_eps, 1e-6, 1e-12);
    assert_int_equal(h.rope.pairs, FT_ROPE_NEIGHBOURS);
    assert_int_equal(h.rope.scaling, FT_ROPE_PLAIN);
    assert_int_equal(h.rope.n_rot, 64);
    assert_float_equal(h.rope.theta, 10000, 0);
    assert_float_equal(h.rope.factor, 1, 0);
    assert_int_equal(h.n_expert, 0);
}

static void deepseek2_has_latent_attention_and_experts(void **state)
{
    (void)state;
    struct ft_hparams h = read_model("models/deepseek2-s-F32.gguf");
    assert_int_equal(h.rope.pairs, FT_ROPE_NEIGHBOURS);
    assert_int_equal(h.rope.n_rot, 16);
    assert_int_equal(h.q_lora_rank, 32);
    assert_int_equal(h.kv_lora_rank, 32);
    assert_int_equal(h.d_k_mla, 48);
    assert_int_equal(h.d_v_mla, 32);
    assert_int_equal(h.n_expert, 8);
    assert_int_equal(h.n_expert_used, 3);
    assert_int_equal(h.n_expert_shared, 1);
    assert_int_equal(h.d_ff_expert, 32);
    assert_int_equal(h.d_ff_shared, 32);
    assert_int_equal(h.n_layer_dense, 1);
    assert_int_equal(h.gating, FT_GATE_SIGMOID);
    assert_true(h.expert_norm);
    assert_float_equal(h.expert_scale, 2.5, 0);
}

static void qwen3moe_normalises_softmax_weights(void **state)
{
    (void)state;
    struct ft_hparams h = read_model("models/qwen3moe-s-F32.gguf");
    assert_int_equal(h.rope.pairs, FT_ROPE_HALVES);
    assert_int_equal(h.rope.n_rot, 32);
    assert_int_equal(h.gating, FT_GATE_SOFTMAX);
    assert_true(h.expert_norm);
    assert_float_equal(h.expert_scale, 1, 0);
    assert_int_equal(h.d_ff_shared, 0);
}

static void a_vocabulary_without_weights_has_linear_scaling(void **state)
{
    (void)state;
    struct ft_hparams h = read_model("vocab/ggml-vocab-deepseek-coder.gguf");
    assert_int_equal(h.n_vocab, 32256);
    assert_int_equal(h.rope.scaling, FT_ROPE_LINEAR);
    assert_float_equal(h.rope.factor, 4, 0);
}

/* The keys of a small llama, then one more, which may repeat none of them. */
static int read_with(const char *drop, const char *key, double v, struct ft_hparams *h,
                     struct ft_err *err)
{
    static const struct {
        const char *key;
        uint32_t v;
    } keys[] = {{"block_count", 2},          {"context_length", 64},      {"embedding_length", 64},
                {"attention.head_count", 4}, {"feed_forward_length", 64}, {"vocab_size", 10}};
    char path[] = "/tmp/feitian-hparams-XXXXXX", name[96];
    struct ft_gguf_writer *g;
    struct ft_weights *w;
    close(mkstemp(path));
    assert_int_equal(0, ft_gguf_writer_open(path, NULL, &g, err));
    ft_gguf_put_str(g, "general.architecture", "deepseek2", 9);
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        snprintf(name, sizeof name, "deepseek2.%s", keys[i].key);
        if (strcmp(keys[i].key, drop) != 0)
            ft_gguf_put_u32(g, name, keys[i].v);
    }
    snprintf(name, sizeof name, "deepseek2.%s", key);
    if (v == (double)(uint32_t)v)
        ft_gguf_put_u32(g, name, (uint32_t)v);
    else
        ft_gguf_put_f32(g, name, (float)v);
    assert_int_equal(0, ft_gguf_commit(g, false, err));
    ft_gguf_writer_close(g);
    assert_int_equal(0, ft_weights_open(path, &w, err));
    int rc = ft_hparams_read(w, h, err);
    ft_weights_close(w);
    unlink(path);
    return rc;
}

static void defaults_are_the_formats(void **state)
{
    (void)state;
    struct ft_hparams h;
    struct ft_err err;
    if (read_with("", "expert_count", 0, &h, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(4, h.n_head_kv);
    assert_int_equal(16, h.d_k);
    assert_int_equal(16, h.rope.n_rot);
    assert_float_equal(10000, h.rope.theta, 0);
    assert_float_equal(1, h.expert_scale, 0);
    assert_float_equal(32, h.rope.beta_fast, 0);
}

static void a_value_out_of_bounds_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *drop, *key;
        double v;
    } cases[] = {
        {"block_count", "block_count", 0},
        {"block_count", "block_count", 5000},
        {"embedding_length", "embedding_length", 4e9},
        {"attention.head_count", "attention.head_count", 0},
        {"attention.head_count", "attention.head_count", 128},
        {"attention.head_count", "attention.head_count", 2.5},
        {"", "attention.head_count_kv", 3},
        {"", "rope.dimension_count", 7},
        {"", "rope.dimension_count", 64},
        {"", "rope.freq_base", NAN},
        {"", "rope.scaling.type", 1},
        {"", "expert_count", 100000},
        {"", "expert_used_count", 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct ft_hparams h;
        struct ft_err err = {0};
        int rc = read_with(cases[i].drop, cases[i].key, cases[i].v, &h, &err);
        if (strcmp(cases[i].key, "expert_used_count") == 0) { /* without experts it says nothing */
            assert_int_equal(0, rc);
            continue;
        }
        assert_int_equal(FT_ECORRUPT, rc);
        if (strstr(err.msg, "deepseek2.") == NULL)
            fail_msg("%s is not named: %s", cases[i].key, err.msg);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_has_neighbouring_pairs),
        cmocka_unit_test(deepseek2_has_latent_attention_and_experts),
        cmocka_unit_test(qwen3moe_normalises_softmax_weights),
        cmocka_unit_test(defaults_are_the_formats),
        cmocka_unit_test(a_value_out_of_bounds_is_named),
        cmocka_unit_test(a_vocabulary_without_weights_has_linear_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
