/* Adapters written and read again: the same bits, the same scales, beside every kind of base. */
#include "folder.h"

#include <jansson.h>

#include "base/half.h"
#include "model/adapter/adapter.h"

static char out[96];

/* A number whose BF16 is itself. */
static float value(uint32_t i)
{
    return ft_bf16_to_f32(ft_f32_to_bf16((float)(i * 2654435761u >> 8) / 16777216.0F - 0.5F));
}

/* Pairs on every matrix of the layers below `layers` whose kind is one of the words. */
static struct ft_adapter *made(const struct ft_weights *w, int layers, const char *const *kinds)
{
    struct ft_adapter *a = calloc(1, sizeof *a);
    a->pair = calloc((size_t)ft_weights_count(w), sizeof *a->pair);
    for (int i = 0; i < ft_weights_count(w); i++) {
        const struct ft_tensor *t = ft_weights_at(w, i);
        int layer = -1;
        char kind[32] = "";
        sscanf(t->name, "blk.%d.%31[a-z_]", &layer, kind);
        int k = 0;
        while (kinds[k] != NULL && strcmp(kinds[k], kind) != 0)
            k++;
        if (kinds[k] == NULL || layer >= layers || t->n_dims != 2)
            continue;
        struct ft_adapter_pair *p = &a->pair[a->n++];
        *p = (struct ft_adapter_pair){.n_in = t->dim[0], .n_out = t->dim[1]};
        snprintf(p->tensor, sizeof p->tensor, "%s", t->name);
        p->rank = k == 1 ? 5 : 4;
        p->alpha = k == 2 ? 0.3f : 8;
        p->scale = ft_adapter_scale(p->alpha, p->rank, a->is_rslora);
        p->a = malloc(sizeof(float) * (size_t)(p->rank * p->n_in));
        p->b = malloc(sizeof(float) * (size_t)(p->rank * p->n_out));
        for (int64_t j = 0; j < p->rank * p->n_in; j++)
            p->a[j] = value((uint32_t)(i * 100003 + j));
        for (int64_t j = 0; j < p->rank * p->n_out; j++)
            p->b[j] = value((uint32_t)(i * 200003 + j));
    }
    return a;
}

static void same(const struct ft_adapter *a, const struct ft_adapter *b)
{
    assert_int_equal(a->n, b->n);
    assert_int_equal(a->is_rslora, b->is_rslora);
    for (int i = 0; i < a->n; i++) {
        const struct ft_adapter_pair *p = &a->pair[i], *q = ft_adapter_find(b, p->tensor);
        assert_non_null(q);
        assert_int_equal(p->rank, q->rank);
        assert_true(p->alpha == q->alpha && p->scale == q->scale);
        assert_memory_equal(p->a, q->a, sizeof(float) * (size_t)(p->rank * p->n_in));
        assert_memory_equal(p->b, q->b, sizeof(float) * (size_t)(p->rank * p->n_out));
    }
}

static void round_trip(const char *model, int layers, const char *const *kinds, enum ft_type type,
                       bool is_rslora)
{
    struct ft_weights *w = base_open(model);
    struct ft_adapter *a = made(w, layers, kinds), *b = NULL;
    struct ft_err err = {0};
    a->is_rslora = is_rslora;
    for (int i = 0; i < a->n; i++)
        a->pair[i].scale = ft_adapter_scale(a->pair[i].alpha, a->pair[i].rank, is_rslora);
    struct ft_adapter_save_opts o = {
        .base_model = "a/base: \"named\"", .dropout = 0.05, .type = type, .replace = true};
    if (ft_adapter_save(a, w, &o, out, &err) != 0 || ft_adapter_open(out, w, &b, &err) != 0)
        fail_msg("%s", err.msg);
    same(a, b);
    ft_adapter_close(a);
    ft_adapter_close(b);
    ft_weights_close(w);
}

static const char *const few[] = {"attn_v", "attn_q", "ffn_down", NULL};
static const char *const all[] = {"attn_q", "attn_k",   "attn_v",   "attn_output",
                                  "ffn_up", "ffn_gate", "ffn_down", NULL};

static void test_round_trips_keep_every_bit(void **state)
{
    (void)state;
    round_trip("models/llama-s-F32.gguf", 1, few, FT_F32, false);
    round_trip("models/llama-s-Q8_0.gguf", 99, all, FT_BF16, true);
    round_trip("models/qwen2-s-F32.gguf", 99, few, FT_F32, true);
    round_trip("models/qwen3-k-F32.gguf", 2, all, FT_BF16, false);
}

static json_t *config_of(const char *model, int layers, const char *const *kinds)
{
    char path[160];
    round_trip(model, layers, kinds, FT_F32, false);
    snprintf(path, sizeof path, "%s/adapter_config.json", out);
    json_t *c = json_load_file(path, 0, NULL);
    assert_non_null(c);
    return c;
}

static void test_the_configuration_is_peft_s(void **state)
{
    (void)state;
    json_t *c = config_of("models/qwen3-s-F32.gguf", 99, all), *targets;
    assert_string_equal("LORA", json_string_value(json_object_get(c, "peft_type")));
    assert_string_equal("CAUSAL_LM", json_string_value(json_object_get(c, "task_type")));
    assert_string_equal("a/base: \"named\"",
                        json_string_value(json_object_get(c, "base_model_name_or_path")));
    assert_int_equal(4, json_integer_value(json_object_get(c, "r")));
    assert_int_equal(8, json_integer_value(json_object_get(c, "lora_alpha")));
    assert_true(json_is_integer(json_object_get(c, "lora_alpha")));
    targets = json_object_get(c, "target_modules");
    assert_int_equal(7, json_array_size(targets)); /* words: every layer has them */
    json_t *ranks = json_object_get(c, "rank_pattern");
    assert_int_equal(5,
                     json_integer_value(json_object_get(ranks, "model.layers.0.self_attn.k_proj")));
    assert_null(json_object_get(ranks, "model.layers.0.self_attn.q_proj"));
    json_decref(c);
    c = config_of("models/qwen3-s-F32.gguf", 1, few); /* not every layer: whole names */
    targets = json_object_get(c, "target_modules");
    assert_int_equal(3, json_array_size(targets));
    assert_string_equal("model.layers.0.self_attn.q_proj",
                        json_string_value(json_array_get(targets, 0)));
    json_decref(c);
}

static void test_a_folder_in_the_way_is_kept(void **state)
{
    (void)state;
    struct ft_weights *w = base_open("models/qwen3-s-F32.gguf");
    struct ft_adapter *a = made(w, 1, few);
    struct ft_adapter_save_opts o = {.type = FT_F32};
    struct ft_err err;
    char path[160];
    round_trip("models/qwen3-s-F32.gguf", 1, all, FT_F32, false);
    assert_int_equal(FT_EEXIST, ft_adapter_save(a, w, &o, out, &err));
    snprintf(a->pair[0].tensor, sizeof a->pair[0].tensor, "rope_freqs.weight");
    o.replace = true;
    assert_int_equal(FT_EUNSUPPORTED, ft_adapter_save(a, w, &o, out, &err));
    snprintf(path, sizeof path, "%s/adapter_config.json", out);
    assert_int_equal(0, access(path, R_OK));
    ft_adapter_close(a);
    ft_weights_close(w);
}

static int start(void **state)
{
    int rc = folder_make(state);
    snprintf(out, sizeof out, "%s/adapter", folder);
    return rc;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trips_keep_every_bit),
        cmocka_unit_test(test_the_configuration_is_peft_s),
        cmocka_unit_test(test_a_folder_in_the_way_is_kept),
    };
    return cmocka_run_group_tests(tests, start, folder_remove);
}
