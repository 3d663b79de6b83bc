/* Answers taken apart: what the templates write comes back, however the text is cut into pieces;
 * what is no call stays content. */
#include "testing.h"

#include <jansson.h>

#include "base/file.h"
#include "model/chat/parse.h"
#include "model/jinja/template.h"

/* Parts, with neighbouring pieces of one kind joined: what does not depend on the cuts. */
struct got {
    struct ft_buf log; /* "kind:text|" */
    enum ft_part_kind last;
    struct ft_buf content, reasoning;
    json_t *calls; /* {"name", "arguments"} */
    struct ft_buf args;
    int index;
};

static void on_part(void *ctx, const struct ft_part *part)
{
    struct got *g = ctx;
    bool text = part->kind == FT_PART_CONTENT || part->kind == FT_PART_REASONING ||
                part->kind == FT_PART_CALL_ARGS;
    if (!text || part->kind != g->last)
        ft_buf_addf(&g->log, "\x01%d:", (int)part->kind);
    g->last = part->kind;
    ft_buf_add(&g->log, part->text, part->n);
    switch (part->kind) {
    case FT_PART_CONTENT:
        ft_buf_add(&g->content, part->text, part->n);
        break;
    case FT_PART_REASONING:
        ft_buf_add(&g->reasoning, part->text, part->n);
        break;
    case FT_PART_CALL_BEGIN:
        assert_int_equal(part->call_index, json_array_size(g->calls));
        ft_buf_reset(&g->args);
        json_array_append_new(g->calls, json_pack("{s:s%}", "name", part->text, part->n));
        break;
    case FT_PART_CALL_ARGS:
        assert_int_equal(part->call_index, json_array_size(g->calls) - 1);
        ft_buf_add(&g->args, part->text, part->n);
        break;
    case FT_PART_CALL_END: {
        json_t *args = json_loadb(g->args.data, g->args.len, JSON_ALLOW_NUL, NULL);
        if (args == NULL)
            fail_msg("arguments are not JSON: %s", g->args.data);
        json_object_set_new(json_array_get(g->calls, json_array_size(g->calls) - 1), "arguments",
                            args);
        break;
    }
    case FT_PART_CALL_ABORT:
        json_array_remove(g->calls, json_array_size(g->calls) - 1);
        break;
    }
}

static void got_init(struct got *g)
{
    *g = (struct got){.last = FT_PART_CALL_END, .calls = json_array()};
    struct ft_buf *b[] = {&g->log, &g->content, &g->reasoning, &g->args};
    for (size_t i = 0; i < FT_COUNT(b); i++) {
        ft_buf_init(b[i], 1 << 24);
        ft_buf_add_str(b[i], "");
    }
}

static void got_fini(struct got *g)
{
    ft_buf_fini(&g->log);
    ft_buf_fini(&g->content);
    ft_buf_fini(&g->reasoning);
    ft_buf_fini(&g->args);
    json_decref(g->calls);
}

/* Parses text in pieces that end at the given places. */
static void parse(struct got *g, enum ft_dialect d, json_t *tools, const char *tail,
                  const char *text, size_t n, size_t cut1, size_t cut2)
{
    struct ft_chat_parser *p;
    struct ft_err err;
    got_init(g);
    assert_int_equal(ft_chat_parser_open(d, tools, tail, strlen(tail), on_part, g, &p, &err), 0);
    size_t cuts[] = {0, cut1, cut2, n};
    for (int i = 0; i < 3; i++)
        assert_int_equal(ft_chat_parser_push(p, text + cuts[i], cuts[i + 1] - cuts[i], &err), 0);
    assert_int_equal(ft_chat_parser_finish(p, &err), 0);
    ft_chat_parser_close(p);
}

static void same_at_every_cut(enum ft_dialect d, json_t *tools, const char *tail, const char *text,
                              size_t n)
{
    struct got whole, cut;
    parse(&whole, d, tools, tail, text, n, 0, 0);
    for (size_t i = 0; i <= n; i++) {
        parse(&cut, d, tools, tail, text, n, i, i + (n - i) / 2);
        assert_string_equal(cut.log.data, whole.log.data);
        got_fini(&cut);
    }
    got_fini(&whole);
}

/* Checks content, reasoning and calls (JSON) of an answer, at every cut. */
static void check(enum ft_dialect d, json_t *tools, const char *tail, const char *text,
                  const char *content, const char *reasoning, const char *calls)
{
    struct got g;
    size_t n = strlen(text);
    parse(&g, d, tools, tail, text, n, 0, 0);
    assert_string_equal(g.content.data, content);
    assert_string_equal(g.reasoning.data, reasoning);
    json_t *want = json_loads(calls, 0, NULL);
    assert_non_null(want);
    if (!json_equal(g.calls, want)) {
        char *have = json_dumps(g.calls, 0);
        fail_msg("calls of %s\n  want %s\n  have %s", text, calls, have);
    }
    json_decref(want);
    got_fini(&g);
    same_at_every_cut(d, tools, tail, text, n);
}

static json_t *tools(void)
{
    json_t *t = json_loads(
        "[{\"type\":\"function\",\"function\":{\"name\":\"weather\",\"description\":\"d\","
        "\"parameters\":{\"type\":\"object\",\"properties\":{\"city\":{\"type\":\"string\"},"
        "\"days\":{\"type\":\"integer\"},\"deep\":{\"type\":\"object\"},\"l\":{\"type\":\"array\"},"
        "\"on\":{\"type\":\"boolean\"},\"no\":{},\"f\":{\"type\":\"number\"},"
        "\"code\":{\"type\":\"string\"},\"any\":{}}}}},"
        "{\"type\":\"function\",\"function\":{\"name\":\"t2\",\"description\":\"e\",\"parameters\":"
        "{\"type\":\"object\",\"properties\":{}}}}]",
        0, NULL);
    assert_non_null(t);
    return t;
}

static void hermes_calls(void **state)
{
    (void)state;
    json_t *t = tools();
    enum ft_dialect d = FT_DIALECT_HERMES;
    check(d, t, "", "Hello <b> & <too", "Hello <b> & <too", "", "[]");
    check(d, t, "",
          "Sure.\n<tool_call>\n{\"name\": \"weather\", \"arguments\": {\"city\": \"Köln\", \"l\": "
          "[1, {\"a\": null}]}}\n</tool_call>\n<tool_call>\n{\"arguments\": {\"days\": -1.5e3}, "
          "\"name\": \"t2\"}\n</tool_call>\n",
          "Sure.", "",
          "[{\"name\":\"weather\",\"arguments\":{\"city\":\"Köln\",\"l\":[1,{\"a\":null}]}},"
          "{\"name\":\"t2\",\"arguments\":{\"days\":-1500.0}}]");
    check(d, t, "", "<tool_call>{\"name\": \"t2\"}</tool_call>done", "done", "",
          "[{\"name\":\"t2\",\"arguments\":{}}]");
    check(d, t, "", "<tool_call>{\"name\": \"t2\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
          "", "", "[{\"name\":\"t2\",\"arguments\":{\"a\":1}}]");
    check(d, t, "", "<tool_call>{\"name\": \"t2\", \"arguments\": {}}", "", "",
          "[{\"name\":\"t2\",\"arguments\":{}}]");
    check(d, NULL, "", "<tool_call>{\"name\": \"t2\"}</tool_call>",
          "<tool_call>{\"name\": \"t2\"}</tool_call>", "", "[]");
    json_decref(t);
}

static void broken_calls_are_content(void **state)
{
    (void)state;
    json_t *t = tools();
    static const char *const texts[] = {
        "a\n\n<tool_call>\n{\"name\": \"t2\", \"arguments\": {\"a\": }}\n</tool_call>",
        "<tool_call>\n{\"name\": \"t2\", \"arguments\": {\"a\": 1",
        "<tool_call>no json</tool_call> tail",
        "<tool_call>\n{\"nome\": \"t2\"}\n</tool_call>",
        "<tool_call>\n{\"name\": 5}\n</tool_call>",
        "<tool_call>\n{\"name\": \"t2\", \"arguments\": [1]}\n</tool_call>",
        "<tool_call>\n{\"name\": \"\", \"arguments\": {}}\n</tool_call>",
        "<tool_call",
        "\n\n\n",
    };
    for (size_t i = 0; i < FT_COUNT(texts); i++)
        check(FT_DIALECT_HERMES, t, "", texts[i], texts[i], "", "[]");
    check(FT_DIALECT_HERMES, t, "", "<tool_call><tool_call>{\"name\": \"t2\"}</tool_call>",
          "<tool_call>", "", "[{\"name\":\"t2\",\"arguments\":{}}]");
    static const char *const xml[] = {
        "<tool_call>\n<function=t2>\noops</function>\n</tool_call>",
        "<tool_call>\n<function=t2>\n<parameter=a>\n1\n</parameter>\n",
        "<tool_call>\n<function=>\n</function></tool_call>",
    };
    for (size_t i = 0; i < FT_COUNT(xml); i++)
        check(FT_DIALECT_QWEN_XML, t, "", xml[i], xml[i], "", "[]");
    static const char *const ds[] = {
        "x<｜tool▁calls▁begin｜>y",
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>t2<｜tool▁sep｜>{\"a\": x}<｜tool▁call▁end｜>",
    };
    for (size_t i = 0; i < FT_COUNT(ds); i++)
        check(FT_DIALECT_DEEPSEEK_V31, t, "", ds[i], ds[i], "", "[]");
    json_decref(t);
}

static void reasoning_is_set_apart(void **state)
{
    (void)state;
    json_t *t = tools();
    check(FT_DIALECT_HERMES, t, "", "<think>\nhm < /think>\n</think>\n\nAnswer </think> x",
          "Answer </think> x", "hm < /think>", "[]");
    check(FT_DIALECT_HERMES, t, "<|im_start|>assistant\n<think>\n", "hm\n\n</think>\n\nAnswer",
          "Answer", "hm", "[]");
    check(FT_DIALECT_HERMES, t, "<think>", "a <tool_call>{} b", "", "a <tool_call>{} b", "[]");
    check(FT_DIALECT_HERMES, t, "<think>\n\n</think>\n\n", "Answer <think>", "Answer <think>", "",
          "[]");
    check(FT_DIALECT_PLAIN, NULL, "<think>\n", "hm</think>Yes", "Yes", "hm", "[]");
    check(FT_DIALECT_HERMES, t, "",
          "<think>hm</think>\n\n<tool_call>\n{\"name\": \"t2\", \"arguments\": {}}\n</tool_call>",
          "", "hm", "[{\"name\":\"t2\",\"arguments\":{}}]");
    json_decref(t);
}

static void tagged_values_follow_the_schema(void **state)
{
    (void)state;
    json_t *t = tools();
    check(
        FT_DIALECT_QWEN_XML, t, "",
        "ok\n\n<tool_call>\n<function=weather>\n<parameter=city>\n12\n</parameter>\n"
        "<parameter=days>\n3\n</parameter>\n<parameter=on>\nTrue\n</parameter>\n"
        "<parameter=no>\nNone\n</parameter>\n<parameter=deep>\n{\"a\": [1]}\n</parameter>\n"
        "<parameter=code>\nif a < b:\n\n  \"x\\n\"\t</par\n\n</parameter>\n"
        "<parameter=any>\nfree text\n</parameter>\n<parameter=new>\n[1]\n</parameter>\n"
        "</function>\n</tool_call>",
        "ok", "",
        "[{\"name\":\"weather\",\"arguments\":{\"city\":\"12\",\"days\":3,\"on\":true,\"no\":null,"
        "\"deep\":{\"a\":[1]},\"code\":\"if a < b:\\n\\n  \\\"x\\\\n\\\"\\t</par\\n\","
        "\"any\":\"free text\",\"new\":[1]}}]");
    check(FT_DIALECT_QWEN_XML, t, "",
          "<function=t2>\n</function>\n</tool_call><tool_call><function=t2></function></tool_call>",
          "", "", "[{\"name\":\"t2\",\"arguments\":{}},{\"name\":\"t2\",\"arguments\":{}}]");
    check(FT_DIALECT_DEEPSEEK_V32, t, "",
          "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"weather\">\n<｜DSML｜parameter "
          "name=\"city\" string=\"true\">\nA \"b\"\n</｜DSML｜parameter>\n<｜DSML｜parameter "
          "name=\"l\" string=\"false\">[1, 2]</｜DSML｜parameter>\n</｜DSML｜invoke>\n"
          "<｜DSML｜invoke name=\"t2\">\n</｜DSML｜invoke>\n</｜DSML｜function_calls>",
          "", "",
          "[{\"name\":\"weather\",\"arguments\":{\"city\":\"\\nA \\\"b\\\"\\n\",\"l\":[1,2]}},"
          "{\"name\":\"t2\",\"arguments\":{}}]");
    json_decref(t);
}

static void llama_calls(void **state)
{
    (void)state;
    json_t *t = tools();
    enum ft_dialect d = FT_DIALECT_LLAMA3;
    check(d, t, "", "{\"name\": \"t2\", \"parameters\": {\"a\": 1}}", "", "",
          "[{\"name\":\"t2\",\"arguments\":{\"a\":1}}]");
    check(d, t, "",
          "{\"type\": \"function\", \"name\": \"t2\", \"parameters\": {}}; {\"name\": "
          "\"weather\", \"parameters\": {\"city\": \"x\"}}",
          "", "",
          "[{\"name\":\"t2\",\"arguments\":{}},{\"name\":\"weather\",\"arguments\":{\"city\":\"x\"}"
          "}]");
    check(d, t, "", "<|python_tag|>{\"name\": \"t2\", \"parameters\": {}}", "", "",
          "[{\"name\":\"t2\",\"arguments\":{}}]");
    check(d, t, "", "<|python_tag|>brave_search.call(query=\"a \"b\", c\", n=\"2\")", "", "",
          "[{\"name\":\"brave_search\",\"arguments\":{\"query\":\"a \\\"b\\\", c\",\"n\":\"2\"}}]");
    check(d, t, "", "<|python_tag|>print(1)", "<|python_tag|>print(1)", "", "[]");
    check(d, t, "", "{\"answer\": 42}", "{\"answer\": 42}", "", "[]");
    check(d, t, "", "{\"name\": \"unknown\", \"parameters\": {}}",
          "{\"name\": \"unknown\", \"parameters\": {}}", "", "[]");
    check(d, t, "", "Use {\"name\": \"t2\", \"parameters\": {}}",
          "Use {\"name\": \"t2\", \"parameters\": {}}", "", "[]");
    json_decref(t);
}

static void deepseek_calls(void **state)
{
    (void)state;
    json_t *t = tools();
    check(
        FT_DIALECT_DEEPSEEK_V3, t, "",
        "Hi\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>t2\n```json\n{\"a\": "
        "1}\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>weather\n```json\n{"
        "}"
        "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "Hi", "",
        "[{\"name\":\"t2\",\"arguments\":{\"a\":1}},{\"name\":\"weather\",\"arguments\":{}}]");
    check(FT_DIALECT_DEEPSEEK_V31, t, "",
          "<｜tool▁call▁begin｜>t2<｜tool▁sep｜>\"{\\\"a\\\": [2]}\"<｜tool▁call▁end｜>", "", "",
          "[{\"name\":\"t2\",\"arguments\":{\"a\":[2]}}]");
    check(FT_DIALECT_DEEPSEEK_V31, t, "",
          "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>t2<｜tool▁sep｜>{\"a\": 1}", "", "",
          "[{\"name\":\"t2\",\"arguments\":{\"a\":1}}]");
    json_decref(t);
}

static void only_possible_markers_are_held_back(void **state)
{
    (void)state;
    json_t *t = tools();
    struct got g;
    struct ft_chat_parser *p;
    struct ft_err err;
    got_init(&g);
    assert_int_equal(ft_chat_parser_open(FT_DIALECT_HERMES, t, "", 0, on_part, &g, &p, &err), 0);
    ft_chat_parser_push(p, "a <tool", 7, &err);
    assert_string_equal(g.content.data, "a ");
    ft_chat_parser_push(p, "s", 1, &err);
    assert_string_equal(g.content.data, "a <tools");
    ft_chat_parser_push(p, "<tool_call>{\"name\": \"t2\", \"arguments\": {\"a\": \"b", 47, &err);
    assert_string_equal(g.args.data, "{\"a\": \"b");
    ft_chat_parser_close(p);
    got_fini(&g);
    json_decref(t);
}

/* ---- round trip through the vendors' templates ---- */

static char *slurp(const char *rel, size_t *n)
{
    char *text;
    struct ft_err err;
    const char *path = ft_test_ref(rel);
    if (path == NULL)
        skip();
    assert_int_equal(ft_file_read(path, 1 << 20, &text, n, &err), 0);
    return text;
}

static const char *after_last(const char *text, const char *what)
{
    const char *at = NULL;
    for (const char *q = text; (q = strstr(q, what)) != NULL; q++)
        at = q + strlen(what);
    return at;
}

/* The assistant's part of a rendered conversation: between its header and the end of the turn. */
static char *answer_of(const char *text)
{
    static const char *const headers[] = {"<|im_start|>assistant\n", "<｜Assistant｜>",
                                          "<|start_header_id|>assistant<|end_header_id|>\n\n"};
    static const char *const ends[] = {"<|im_end|>", "<|eot_id|>", "<｜end▁of▁sentence｜>"};
    const char *from = NULL;
    for (size_t i = 0; i < FT_COUNT(headers) && from == NULL; i++)
        from = after_last(text, headers[i]);
    assert_non_null(from);
    if (strncmp(from, "</think>", 8) == 0)
        from += 8;
    char *answer = strdup(from);
    for (size_t i = 0; i < FT_COUNT(ends); i++)
        if (strstr(answer, ends[i]) != NULL)
            *strstr(answer, ends[i]) = '\0';
    return answer;
}

static void round_trip(const char *file, const char *arguments, int n_calls)
{
    char rel[300];
    size_t n;
    struct ft_template *tmpl;
    struct ft_buf out;
    struct ft_err err;
    snprintf(rel, sizeof rel, "templates/%s", file);
    char *text = slurp(rel, &n);
    enum ft_dialect d = ft_dialect_detect(text, n);
    assert_int_not_equal(d, FT_DIALECT_PLAIN);
    json_t *args = json_loads(arguments, 0, NULL), *calls = json_array(), *want = json_array();
    /* R1's templates want the arguments as text and no content at all. */
    bool r1 = d == FT_DIALECT_DEEPSEEK_V3;
    json_t *given = r1 ? json_string(arguments) : json_incref(args);
    json_t *none = r1 ? json_null() : json_string("");
    for (int i = 0; i < n_calls; i++) {
        const char *name = i == 0 ? "weather" : "t2";
        json_array_append_new(calls,
                              json_pack("{s:s, s:s, s:{s:s, s:O}}", "id", "c", "type", "function",
                                        "function", "name", name, "arguments", given));
        json_array_append_new(want, json_pack("{s:s, s:O}", "name", name, "arguments", args));
    }
    json_t *t = tools();
    json_t *vars = json_pack("{s:[{s:s, s:s}, {s:s, s:o, s:o}], s:O, s:s, s:s, s:b}", "messages",
                             "role", "user", "content", "Q?", "role", "assistant", "content", none,
                             "tool_calls", calls, "tools", t, "bos_token", "<s>", "eos_token",
                             "</s>", "add_generation_prompt", 0);
    assert_int_equal(ft_template_open(text, n, &tmpl, &err), 0);
    ft_buf_init(&out, 1 << 22);
    if (ft_template_render(tmpl, vars, 0, &out, &err) != 0)
        fail_msg("%s: %s", file, err.msg);
    char *answer = answer_of(out.data);
    struct got g;
    parse(&g, d, t, "", answer, strlen(answer), 0, 0);
    if (!json_equal(g.calls, want))
        fail_msg("%s: %s\n -> %s", file, answer, json_dumps(g.calls, 0));
    assert_string_equal(g.content.data, "");
    got_fini(&g);
    same_at_every_cut(d, t, "", answer, strlen(answer));
    free(answer);
    free(text);
    ft_buf_fini(&out);
    ft_template_close(tmpl);
    json_decref(vars);
    json_decref(t);
    json_decref(args);
    json_decref(given);
    json_decref(want);
}

static void calls_survive_the_vendors_templates(void **state)
{
    (void)state;
    static const char *const files[] = {
        "NousResearch-Hermes-2-Pro-Llama-3-8B-tool_use.jinja",
        "Qwen-QwQ-32B.jinja",
        "Qwen-Qwen2.5-7B-Instruct.jinja",
        "Qwen-Qwen3-0.6B.jinja",
        "Qwen3-Coder.jinja",
        "Qwen3.5-4B.jinja",
        "deepseek-ai-DeepSeek-R1-Distill-Llama-8B.jinja",
        "deepseek-ai-DeepSeek-R1-Distill-Qwen-32B.jinja",
        "deepseek-ai-DeepSeek-V3.1.jinja",
        "deepseek-ai-DeepSeek-V3.2.jinja",
        "meta-llama-Llama-3.1-8B-Instruct.jinja",
        "meta-llama-Llama-3.2-3B-Instruct.jinja",
    };
    static const char args[] =
        "{\"city\":\"São \\\"P\\\"\\n</think> <tool_call> {x}\",\"days\":7,\"on\":true,\"no\":null,"
        "\"f\":-0.5,\"l\":[1,\"zwei\",[]],\"deep\":{\"a\":{\"b\":\"}\"}},\"code\":\"\"}";
    if (ft_test_ref("templates/cases.json") == NULL)
        skip();
    for (size_t i = 0; i < FT_COUNT(files); i++) {
        round_trip(files[i], args, 1);
        round_trip(files[i], "{}", 1);
        if (strncmp(files[i], "meta-llama", 10) != 0) /* their templates allow one call */
            round_trip(files[i], args, 2);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hermes_calls),
        cmocka_unit_test(broken_calls_are_content),
        cmocka_unit_test(reasoning_is_set_apart),
        cmocka_unit_test(tagged_values_follow_the_schema),
        cmocka_unit_test(llama_calls),
        cmocka_unit_test(deepseek_calls),
        cmocka_unit_test(only_possible_markers_are_held_back),
        cmocka_unit_test(calls_survive_the_vendors_templates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
