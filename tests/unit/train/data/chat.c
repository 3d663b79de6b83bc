/* Conversations by the vendors' templates: each answer stands behind exactly what inference would
 * be given (what the reference renders), and targets are the answers with their end tokens. */
#include "support.h"

/* Control tokens of all the templates, so that a tokenizer of bytes cuts where theirs do. */
static const char *const control[] = {"<|im_start|>",
                                      "<|begin_of_text|>",
                                      "<|start_header_id|>",
                                      "<|end_header_id|>",
                                      "<|eot_id|>",
                                      "<|eom_id|>",
                                      "<|python_tag|>",
                                      "<｜begin▁of▁sentence｜>",
                                      "<｜end▁of▁sentence｜>",
                                      "<｜User｜>",
                                      "<｜Assistant｜>",
                                      NULL};

/* ---- against the reference ---- */

/* The case with an answer at its end; only that is to be learnt. A new reference. */
static json_t *line_of(json_t *context, json_t *vars)
{
    json_t *line = json_object(), *v, *m;
    const char *key;
    size_t i;
    json_object_foreach(context, key, v)
        json_object_set_new(strcmp(key, "messages") == 0 || strcmp(key, "tools") == 0 ? line : vars,
                            key, json_deep_copy(v));
    json_object_del(vars, "add_generation_prompt");
    json_t *messages = json_object_get(line, "messages");
    json_array_foreach(
        messages, i, m) if (strcmp(json_string_value(json_object_get(m, "role")), "assistant") == 0)
        json_object_set_new(m, "weight", json_integer(0));
    json_array_append_new(messages,
                          json_pack("{s:s, s:s}", "role", "assistant", "content", "ANSWER"));
    return line;
}

static void check_case(struct kit *k, json_t *c)
{
    struct ft_line_reader r;
    struct ft_drafts d = {0};
    struct ft_err err = {0};
    struct ft_buf got;
    json_t *line = line_of(json_object_get(c, "context"), k->cfg.template_vars);
    char *text = json_dumps(line, 0);
    const char *name = json_string_value(json_object_get(c, "case"));
    ft_buf_init(&got, 1 << 20);
    ft_line_reader_init(&r, &k->cfg);
    int rc = ft_line_read(&r, text, strlen(text), &d, &err);
    if (json_object_get(c, "error") != NULL) {
        assert_int_equal(rc, FT_EINVAL);
    } else if (rc != 0) {
        fail_msg("%s: %s", name, err.msg);
    } else {
        assert_int_equal(d.n, 1);
        const struct ft_draft *s = &d.at[0];
        size_t n = 0;
        while (n < s->n && s->loss[n] == 0)
            n++;
        write_tokens(&got, k->t, s->token, s->loss, n);
        assert_string_equal(got.data, json_string_value(json_object_get(c, "output")));
        ft_buf_reset(&got);
        for (size_t i = n; i < s->n; i++)
            assert_int_equal(s->loss[i], 1);
        assert_true(ft_tokenizer_is_eog(k->t, s->token[s->n - 1]));
        for (size_t i = n; i + 1 < s->n; i++)
            assert_false(ft_tokenizer_is_control(k->t, s->token[i]));
        write_tokens(&got, k->t, s->token + n, s->loss + n, s->n - 1 - n);
        assert_true(got.len >= 10 && memcmp(got.data + got.len - 8, "ANSWER]]", 8) == 0);
        /* before the answer stands nothing, or a section of reasoning without any */
        for (size_t i = 2; i + 8 < got.len; i++)
            assert_non_null(strchr("<think>\n</think>\n\n", got.data[i]));
    }
    ft_buf_fini(&got);
    ft_drafts_fini(&d);
    ft_line_reader_fini(&r);
    json_decref(line);
    free(text);
}

static void test_contexts_are_the_references(void **state)
{
    (void)state;
    const char *path = ft_test_ref("templates/cases.json");
    if (path == NULL)
        skip();
    json_t *root = json_load_file(path, 0, NULL), *c;
    size_t i, n = 0;
    char last[128] = "";
    struct kit k = {0};
    json_array_foreach(json_object_get(root, "cases"), i, c)
    {
        char name[128];
        json_t *context = json_object_get(c, "context");
        json_t *messages = json_object_get(context, "messages");
        json_t *end = json_array_get(messages, json_array_size(messages) - 1);
        snprintf(name, sizeof name, "%s", json_string_value(json_object_get(c, "template")));
        if (!json_is_true(json_object_get(context, "add_generation_prompt")) ||
            strcmp(json_string_value(json_object_get(end, "role")), "assistant") == 0)
            continue;
        if (strcmp(name, last) != 0) {
            memcpy(last, name, sizeof last);
            kit_close(&k);
            kit_bytes(false, control, NULL, &k);
            *strrchr(name, '.') = '\0';
            kit_template(&k, name);
            k.cfg.special_text = true; /* a case has the name of a control token */
        }
        k.cfg.template_vars = json_object();
        check_case(&k, c);
        json_decref(k.cfg.template_vars);
        n++;
    }
    assert_in_range(n, 100, 1000);
    kit_close(&k);
    json_decref(root);
}

/* ---- real vocabularies, written out ---- */

static void check(const char *vocab, const char *template, const char *vars, const char *line,
                  const char *want)
{
    struct kit k;
    struct ft_buf b;
    if (vocab == NULL && ft_test_ref("templates/cases.json") == NULL)
        skip();
    if (vocab == NULL) {
        kit_bytes(false, control, NULL, &k);
        kit_template(&k, template);
    } else if (!kit_open(vocab, template, &k)) {
        skip();
    }
    ft_buf_init(&b, 1 << 20);
    k.cfg.template_vars = vars != NULL ? json_loads(vars, 0, NULL) : NULL;
    assert_string_equal(line_text(&k, line, &b), want);
    json_decref(k.cfg.template_vars);
    ft_buf_fini(&b);
    kit_close(&k);
}

#define MSG(role, content) "{\"role\":\"" role "\",\"content\":\"" content "\"}"
#define TWO_TURNS                                                                                  \
    "{\"messages\":[" MSG("system", "S") "," MSG("user", "one") "," MSG(                           \
        "assistant", "two") "," MSG("user", "three") "," MSG("assistant", " four ") "]}"
#define REASONED                                                                                   \
    "{\"messages\":[" MSG("user", "q") "," MSG(                                                    \
        "assistant",                                                                               \
        "<think>\\nhm\\n</think>\\n\\na") "," MSG("user", "r") ",{\"role\":\"assistant\","         \
                                                               "\"content\":\"b\","                \
                                                               "\"reasoning_content\":\"so\"}]}"
#define CALLED                                                                                     \
    "{\"messages\":[" MSG("user", "w?") ",{\"role\":\"assistant\",\"content\":null,"               \
                                        "\"tool_calls\":[{\"id\":\"c1\",\"type\":\"function\","    \
                                        "\"function\":{\"name\":\"f\",\"arguments\":"              \
                                        "\"{\\\"city\\\": \\\"杭州\\\"}\"}}]},"                  \
                                        "{\"role\":\"tool\",\"tool_call_id\":\"c1\",\"content\":"  \
                                        "\"sun\"}," MSG("assistant", "Sunny") "]}"
/* the same, as it was done before tools */
#define CALLED_OLD                                                                                 \
    "{\"messages\":[" MSG("user", "w?") ",{\"role\":\"assistant\",\"function_call\":{"             \
                                        "\"name\":\"f\",\"arguments\":"                            \
                                        "\"{\\\"city\\\": \\\"杭州\\\"}\"}},"                    \
                                        "{\"role\":\"function\",\"name\":\"f\",\"content\":"       \
                                        "\"sun\"}," MSG("assistant", "Sunny") "]}"
#define IM(role, text) "<|im_start|>" role "\n" text "<|im_end|>\n"
#define IM_ASK         "<|im_start|>assistant\n"

static void test_qwen2(void **state)
{
    (void)state;
    const char *name = "Qwen-Qwen2.5-7B-Instruct";
    check("qwen2", name, NULL, TWO_TURNS,
          IM("system", "S") IM("user", "one") IM_ASK "[[two<|im_end|>]]\n" IM("user", "three")
              IM_ASK "[[ four <|im_end|>]]");
    const char *called =
        IM("system", "You are Qwen, created by Alibaba Cloud. You are a helpful assistant.")
            IM("user", "w?") IM_ASK
        "[[<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"杭州\"}}\n"
        "</tool_call><|im_end|>]]\n" IM("user", "<tool_response>\nsun\n</tool_response>") IM_ASK
        "[[Sunny<|im_end|>]]";
    check("qwen2", name, NULL, CALLED, called);
    check("qwen2", name, NULL, CALLED_OLD, called);
    check("qwen2", name, NULL, REASONED,
          "error: the turn of message 3: the chat template leaves its reasoning out (some ask for "
          "enable_thinking)");
}

/* It takes reasoning out of earlier turns: each turn is a sample of its own. */
static void test_qwen3(void **state)
{
    (void)state;
    const char *name = "Qwen-Qwen3-0.6B";
#define NO_THOUGHT "<think>\n\n</think>\n\n"
    check("qwen35", name, NULL, TWO_TURNS,
          IM("system", "S") IM("user", "one") IM_ASK
          "[[" NO_THOUGHT "two<|im_end|>]] || " IM("system", "S") IM("user", "one")
              IM("assistant", "two") IM("user", "three") IM_ASK "[[" NO_THOUGHT
                                                                " four <|im_end|>]]");
    check("qwen35", name, "{\"enable_thinking\":false}", TWO_TURNS,
          IM("system", "S") IM("user", "one") IM_ASK NO_THOUGHT
          "[[two<|im_end|>]] || " IM("system", "S") IM("user", "one") IM("assistant", "two")
              IM("user", "three") IM_ASK NO_THOUGHT "[[ four <|im_end|>]]");
    check("qwen35", name, NULL, REASONED,
          IM("user", "q") IM_ASK "[[<think>\nhm\n</think>\n\na<|im_end|>]] || " IM("user", "q")
              IM("assistant", "a") IM("user", "r") IM_ASK
          "[[<think>\nso\n</think>\n\nb<|im_end|>]]");
    check("qwen35", name, "{\"enable_thinking\":false}", REASONED,
          "error: the turn of message 1: the chat template opens its reasoning otherwise than the "
          "prompt does (some ask for enable_thinking)");
    /* assistant turns in a row: the first looks different once the second is there */
    check(
        "qwen35", name, NULL,
        "{\"messages\":[" MSG("user", "q") "," MSG("assistant", "a") "," MSG("assistant", "b") "]}",
        IM("user", "q") IM_ASK "[[" NO_THOUGHT "a<|im_end|>]]\n" IM_ASK "[[" NO_THOUGHT
                               "b<|im_end|>]]");
}

static void test_llama3(void **state)
{
    (void)state;
    const char *name = "meta-llama-Llama-3.2-3B-Instruct";
#define H(role) "<|start_header_id|>" role "<|end_header_id|>\n\n"
#define HEAD                                                                                       \
    "<|begin_of_text|>" H("system") "Cutting Knowledge Date: December 2023\nToday Date: 26 Jul "   \
                                    "2024\n\n"
    /* the template trims content; the date is the one given */
    check("llama-bpe", name, NULL, TWO_TURNS,
          HEAD "S<|eot_id|>" H("user") "one<|eot_id|>" H("assistant") "[[two<|eot_id|>]]" H(
              "user") "three<|eot_id|>" H("assistant") "[[four<|eot_id|>]]");
    check("llama-bpe", name, NULL, CALLED,
          HEAD "<|eot_id|>" H("user") "w?<|eot_id|>" H(
              "assistant") "[[{\"name\": \"f\", "
                           "\"parameters\": {\"city\": "
                           "\"杭州\"}}<|eot_id|>]]" H(
                               "ipyth"
                               "on") "\"sun\"<|eot_id|>" H("assistant") "[[Sunny<|eot_"
                                                                        "id|>]]");
}

/* The prompt opens the reasoning, turns have none: it is put back, or left empty. */
static void test_deepseek(void **state)
{
    (void)state;
    const char *r1 = "deepseek-ai-DeepSeek-R1-Distill-Llama-8B";
    const char *v31 = "deepseek-ai-DeepSeek-V3.1", *v32 = "deepseek-ai-DeepSeek-V3.2";
#define U   "<｜User｜>"
#define A   "<｜Assistant｜>"
#define END "<｜end▁of▁sentence｜>"
    check(NULL, r1, NULL, TWO_TURNS,
          "<BOS>S" U "one" A "<think>\n[[\n</think>\n\ntwo" END "]] || <BOS>S" U "one" A "two" END U
          "three" A "<think>\n[[\n</think>\n\n four " END "]]");
    check(NULL, r1, NULL, REASONED,
          "<BOS>" U "q" A "<think>\n[[hm\n</think>\n\na" END "]] || <BOS>" U "q" A "\n\na" END U
          "r" A "<think>\n[[so\n</think>\n\nb" END "]]");
    check(NULL, v31, NULL, TWO_TURNS,
          "<BOS>S" U "one" A "<think></think>[[two" END "]]" U "three" A
          "<think></think>[[ four " END "]]");
    check(NULL, v31, "{\"thinking\":true}", REASONED,
          "<BOS>" U "q" A "<think>[[hm</think>\n\na" END "]] || <BOS>" U "q" A
          "<think></think>\n\na" END U "r" A "<think>[[so</think>b" END "]]");
    check(NULL, v32, NULL, TWO_TURNS,
          "<BOS>S" U "one" A "<think></think>[[two" END "]] || <BOS>S" U "one" A "</think>two" END U
          "three" A "<think></think>[[ four " END "]]");
    check(NULL, v32, NULL, REASONED,
          "error: the turn of message 3: the chat template leaves its reasoning out (some ask for "
          "enable_thinking)");
    check(NULL, v32, "{\"thinking\":true}", REASONED,
          "error: the turn of message 1: the chat template wants its reasoning in "
          "reasoning_content");
    check(NULL, v32, "{\"thinking\":true}",
          "{\"messages\":[" MSG("user", "r") ",{\"role\":\"assistant\",\"content\":\"b\","
                                             "\"reasoning_content\":\"so\"}]}",
          "<BOS>" U "r" A "<think>[[so</think>b" END "]]");
}

/* Tool calls where templates disagree on what arguments and content look like. */
static void test_calls(void **state)
{
    (void)state;
    struct kit k;
    /* arguments as text, content null; it ends a single call with nothing: our own end does */
#define R1_BEGIN "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n"
#define R1_CALL  R1_BEGIN "```json\n{\"city\": \"杭州\"}\n```<｜tool▁call▁end｜>"
    check(NULL, "deepseek-ai-DeepSeek-R1-Distill-Llama-8B", NULL, CALLED,
          "<BOS>" U "w?" A "<think>\n[[\n</think>\n\n" R1_CALL "<EOS>]] || <BOS>" U "w?" A R1_CALL
          "<｜tool▁outputs▁begin｜><｜tool▁output▁begin｜>sun<｜tool▁output▁end｜><"
          "｜tool▁outputs▁end｜>"
          "[[Sunny" END "]]");
    /* no null */
#define CALL "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"city\": \"杭州\"}}\n</tool_call>"
    check(NULL, "Qwen-QwQ-32B", "{\"enable_thinking\":true}", CALLED,
          IM("user", "w?") IM_ASK "<think>\n[[\n</think>\n\n" CALL
                                  "<|im_end|>]] || " IM("user", "w?") IM("assistant", CALL)
                                      IM("user", "<tool_response>\nsun\n</tool_response>") IM_ASK
          "<think>\n[[\n</think>\n\nSunny<|im_end|>]]");
    /* tags */
#define TAGS                                                                                       \
    "<tool_call>\n<function=f>\n<parameter=city>\n杭州\n</parameter>\n</function>\n</tool_call>"
    check(NULL, "Qwen3-Coder", NULL, CALLED,
          IM("user", "w?") IM_ASK
          "[[" TAGS "<|im_end|>]]\n" IM("user", "<tool_response>\nsun\n</tool_response>\n") IM_ASK
          "[[Sunny<|im_end|>]]");
    /* what stands before a turn differs once the turn is there: what a request gives counts */
    if (ft_test_ref("templates/cases.json") == NULL)
        skip();
    kit_bytes(false, control, NULL, &k);
    kit_template(&k, "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use");
    struct ft_buf b;
    ft_buf_init(&b, 1 << 20);
    const char *text = line_text(&k, CALLED, &b);
    assert_non_null(
        strstr(text, IM("user", "w?") IM_ASK "[[" CALL "<|im_end|>]]\n<|im_start|>tool"));
    assert_true(ft_str_ends(text, "</tool_response><|im_end|>" IM_ASK "[[Sunny<|im_end|>]]"));
    ft_buf_fini(&b);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_contexts_are_the_references),
        cmocka_unit_test(test_qwen2),
        cmocka_unit_test(test_qwen3),
        cmocka_unit_test(test_llama3),
        cmocka_unit_test(test_deepseek),
        cmocka_unit_test(test_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
