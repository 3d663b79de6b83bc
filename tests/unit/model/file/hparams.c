/* Hyperparameters of the reference models. */
#include "testing.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(llama_has_neighbouring_pairs),
        cmocka_unit_test(deepseek2_has_latent_attention_and_experts),
        cmocka_unit_test(qwen3moe_normalises_softmax_weights),
        cmocka_unit_test(a_vocabulary_without_weights_has_linear_scaling),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
