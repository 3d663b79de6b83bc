/* Conversations to ids: which template is meant, special tokens in it, one beginning, calls as the
 * template wants them. */
#include "testing.h"

#include "model/prompt/prompt.h"

static const char tokenizer_json[] =
    "{\"added_tokens\":[{\"id\":0,\"content\":\"<s>\",\"special\":true},"
    "{\"id\":1,\"content\":\"</s>\",\"special\":true}],"
    "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":false},"
    "\"model\":{\"type\":\"BPE\",\"merges\":[],\"vocab\":{\"h\":2,\"i\":3}}}";

static struct ft_tokenizer *tokenizer(bool bos)
{
    struct ft_tokenizer *t = NULL;
    struct ft_err err = {0};
    char config[128];
    snprintf(config, sizeof config,
             "{\"bos_token\":\"<s>\",\"eos_token\":\"</s>\",\"add_bos_token\":%s}",
             bos ? "true" : "false");
    if (ft_tokenizer_open_json(tokenizer_json, sizeof tokenizer_json - 1, config, strlen(config),
                               &t, &err) != 0)
        fail_msg("%s", err.msg);
    return t;
}

static void test_one_beginning(void **state)
{
    (void)state;
    static const char *const texts[] = {"<s>hi</s>", "hi</s>"};
    for (int bos = 0; bos < 2; bos++)
        for (int i = 0; i < 2; i++) {
            struct ft_tokenizer *t = tokenizer(bos != 0);
            struct ft_err err;
            int32_t *ids = NULL;
            size_t n = 0;
            static const int32_t want[] = {0, 2, 3, 1};
            int from = bos == 0 && i == 1 ? 1 : 0; /* none unless somebody wants it */
            assert_int_equal(ft_prompt_encode(t, texts[i], strlen(texts[i]), &ids, &n, &err), 0);
            assert_int_equal(n, 4 - from);
            assert_memory_equal(ids, want + from, n * sizeof *ids);
            free(ids);
            ft_tokenizer_close(t);
        }
}

static void test_special_tokens_are_variables(void **state)
{
    (void)state;
    static const char text[] = "{{ bos_token }}{{ messages[0].content }}{{ eos_token }}";
    struct ft_tokenizer *t = tokenizer(true);
    struct ft_prompter *p = NULL;
    struct ft_err err = {0};
    struct ft_buf out;
    json_t *vars = json_pack("{s:[{s:s}], s:s}", "messages", "content", "x", "eos_token", "mine");
    ft_buf_init(&out, 1 << 10);
    assert_int_equal(ft_prompter_open_text(text, sizeof text - 1, t, &p, &err), 0);
    assert_int_equal(ft_prompter_render(p, vars, 0, &out, &err), 0);
    assert_string_equal(out.data, "<s>xmine");
    ft_prompter_close(p);
    assert_int_equal(ft_prompter_open_text("{{", 2, t, &p, &err), FT_EINVAL);
    ft_buf_fini(&out);
    json_decref(vars);
    ft_tokenizer_close(t);
}

/* What a template of this text makes of a message, as JSON text; or the error. */
static void check_calls(const char *template, const char *message, const char *want)
{
    struct ft_tokenizer *t = tokenizer(true);
    struct ft_prompter *p = NULL;
    struct ft_err err = {0};
    json_t *m = json_loads(message, 0, NULL);
    assert_non_null(m);
    if (ft_prompter_open_text(template, strlen(template), t, &p, &err) != 0)
        fail_msg("%s", err.msg);
    int rc = ft_prompter_fix_calls(p, false, m, &err);
    char *got = rc == 0 ? json_dumps(m, 0) : strdup(err.msg);
    assert_string_equal(got, want);
    free(got);
    json_decref(m);
    ft_prompter_close(p);
    ft_tokenizer_close(t);
}

#define FOR "{% for m in messages %}{{ m.content }}{% for c in m.tool_calls %}"
#define END "{% endfor %}{% endfor %}"
#define CALL(content, arguments)                                                                   \
    "{\"content\": " content ", \"tool_calls\": [{\"function\": {\"arguments\": " arguments "}}]}"

static void test_calls_as_the_template_takes_them(void **state)
{
    (void)state;
    /* objects by tojson; text by concatenation; either; tags */
    const char *object = FOR "{{ c.function.arguments | tojson }}" END;
    const char *text = FOR "{{ 'x' + c.function.arguments }}" END;
    const char *tags = FOR "{% for k, v in c.function.arguments | items %}<{{ k }}>{{ v }}"
                           "{% endfor %}" END;
    const char *no_null = "{% for m in messages %}{{ m.content.strip() }}"
                          "{% for c in m.tool_calls %}{{ c.function.arguments | tojson }}" END;
    check_calls(object, CALL("null", "\"{\\\"a\\\": 1.5}\""), CALL("null", "{\"a\": 1.5}"));
    check_calls(object, CALL("\"x\"", "{\"a\": 1}"), CALL("\"x\"", "{\"a\": 1}"));
    check_calls(tags, CALL("\"x\"", "\"{}\""), CALL("\"x\"", "{}"));
    check_calls(text, CALL("\"x\"", "{\"a\": 0.1}"), CALL("\"x\"", "\"{\\\"a\\\": 0.1}\""));
    check_calls(text, CALL("\"x\"", "\"{ }\""), CALL("\"x\"", "\"{ }\""));
    check_calls(no_null, CALL("null", "\"{}\""), CALL("\"\"", "{}"));
    /* one that knows no calls */
    const char *plain = "{% for m in messages %}{{ 'x' + m.content }}{% endfor %}";
    check_calls(plain, CALL("null", "\"{}\""), CALL("\"\"", "{}"));
    check_calls(object, "{\"content\": null}", "{\"content\": null}");
    check_calls(object, CALL("\"x\"", "\"[1]\""),
                "tool_calls[0].function.arguments is not a JSON object");
    check_calls(text, CALL("\"x\"", "7"), "tool_calls[0].function.arguments is not a JSON object");
}

/* A model may have a template of its own for tools. */
static void test_the_templates_of_a_model(void **state)
{
    (void)state;
    struct ft_err err = {0};
    struct ft_weights *w = NULL;
    struct ft_prompter *p = NULL;
    const char *path = ft_test_ref("vocab/ggml-vocab-gpt-2.gguf");
    if (path == NULL)
        skip();
    assert_int_equal(ft_weights_open(path, &w, &err), 0);
    struct ft_tokenizer *t = tokenizer(true);
    assert_int_equal(ft_prompter_open(w, t, &p, &err), FT_ENOTFOUND);
    assert_non_null(strstr(err.msg, "has no chat template"));
    ft_tokenizer_close(t);
    ft_weights_close(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_beginning),
        cmocka_unit_test(test_special_tokens_are_variables),
        cmocka_unit_test(test_calls_as_the_template_takes_them),
        cmocka_unit_test(test_the_templates_of_a_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
