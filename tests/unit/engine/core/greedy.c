/* The engine's greedy tokens against those of an independent implementation. */
#include "fixture.h"

#include <jansson.h>

/* Runs the model's reference prompt; tokens must agree up to the first near tie. */
static void check_model(const char *id, const char *file, const char *json)
{
    const char *path = ft_test_ref(json);
    if (path == NULL)
        skip();
    json_error_t je;
    json_t *j = json_load_file(path, 0, &je);
    assert_non_null(j);
    json_t *prompt = json_object_get(j, "prompt"), *want = json_object_get(j, "greedy");
    json_t *margin = json_object_get(j, "greedy_margin");
    int32_t ids[256];
    int n = (int)json_array_size(prompt), n_want = (int)json_array_size(want);
    for (int i = 0; i < n; i++)
        ids[i] = (int32_t)json_integer_value(json_array_get(prompt, (size_t)i));
    struct rig g;
    rig_open(&g, NULL);
    assert_true(rig_add(&g, id, file));
    struct ft_request r = greedy_request(id, ids, n, n_want);
    struct answer a;
    run_request(g.e, &r, &a);
    assert_int_equal(a.finish, FT_FINISH_LENGTH);
    assert_int_equal(a.sample[0].n, n_want);
    for (int i = 0; i < n_want; i++) {
        if (json_real_value(json_array_get(margin, (size_t)i)) < 0.02)
            break;
        int32_t t = (int32_t)json_integer_value(json_array_get(want, (size_t)i));
        if (a.sample[0].token[i] != t)
            fail_msg("%s: token %d is %d, not %d", file, i, a.sample[0].token[i], t);
    }
    rig_close(&g);
    json_decref(j);
}

static void qwen3_continues_as_the_reference_does(void **state)
{
    (void)state;
    check_model("q", "models/qwen3-s-F32.gguf", "logits/qwen3-s-F32.json");
}

static void quantised_llama_continues_as_the_reference_does(void **state)
{
    (void)state;
    check_model("l", "models/llama-k-Q8_0.gguf", "logits/llama-k-Q8_0.json");
}

static void deepseek2_continues_as_the_reference_does(void **state)
{
    (void)state;
    check_model("d", "models/deepseek2-s-F32.gguf", "logits/deepseek2-s-F32.json");
}

static void a_story_is_told_as_text(void **state)
{
    (void)state;
    check_model("s", "stories/stories260K-F32.gguf", "stories/stories260K-dog.json");
    static const int32_t dog[11] = {1, 403, 407, 261, 378, 432, 383, 286, 261, 400, 428};
    struct rig g;
    rig_open(&g, NULL);
    assert_true(rig_add(&g, "s", "stories/stories260K-F32.gguf"));
    struct ft_request r = greedy_request("s", dog, 11, 24);
    struct answer a;
    run_request(g.e, &r, &a);
    assert_non_null(strstr(a.sample[0].text, " named Max. Max loved to play"));
    assert_int_equal(a.usage.generated_tokens, 24);
    assert_int_equal(a.usage.prompt_tokens, 11);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qwen3_continues_as_the_reference_does),
        cmocka_unit_test(quantised_llama_continues_as_the_reference_does),
        cmocka_unit_test(deepseek2_continues_as_the_reference_does),
        cmocka_unit_test(a_story_is_told_as_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
