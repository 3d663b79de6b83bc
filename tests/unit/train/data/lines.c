/* Lines of JSONL that are strings and texts; what is wrong with a line, by place. */
#include "support.h"

static const char chatml[] =
    "{% for m in messages %}{{ '<|im_start|>' + m.role + '\n' + m.content + '<|im_end|>\n' }}"
    "{% endfor %}{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}";

/* Checks what each line gives. */
static void check_lines(const struct kit *k, const char *const (*pairs)[2], size_t n)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 20);
    for (size_t i = 0; i < n; i++)
        assert_string_equal(line_text(k, pairs[i][0], &b), pairs[i][1]);
    ft_buf_fini(&b);
}
#define CHECK(k, pairs) check_lines(k, pairs, FT_COUNT(pairs))

static void test_strings_and_texts(void **state)
{
    (void)state;
    static const char *const plain[][2] = {
        {"{\"prompt\":\"2+2=\",\"completion\":\"4\"}", "2+2=[[4<EOS>]]"},
        {"{\"completion\":\"x\",\"prompt\":\"\"}", "[[x<EOS>]]"},
        {"{\"text\":\"Hi\",\"source\":7}", "H[[i<EOS>]]"},
        /* null is what is not there */
        {"{\"messages\":null,\"completion\":null,\"text\":\"Hi\"}", "H[[i<EOS>]]"},
        {"{\"text\":\"\\u4f60\\u597d\"}", "\xe4[[\xbd\xa0\xe5\xa5\xbd<EOS>]]"},
        /* names of control tokens in texts are letters */
        {"{\"prompt\":\"<EOS>\",\"completion\":\"<EOS>\"}", "<EOS>[[<EOS><EOS>]]"},
        {"{\"prompt\":\"a\\u0000b\",\"completion\":\"c\"}", "a"}, /* printed up to the NUL */
    };
    static const char *const with_bos[][2] = {
        {"{\"prompt\":\"2+2=\",\"completion\":\"4\"}", "<BOS>2+2=[[4<EOS>]]"},
        {"{\"text\":\"Hi\"}", "<BOS>[[Hi<EOS>]]"},
    };
    static const char *const special[][2] = {
        {"{\"prompt\":\"<BOS>a\",\"completion\":\"b<|im_end|>\"}", "<BOS>a[[b<|im_end|>]]"},
        {"{\"prompt\":\"a\",\"completion\":\"b\"}", "<BOS>a[[b<EOS>]]"},
    };
    struct kit k;
    struct ft_line_reader r;
    struct ft_drafts d = {0};
    struct ft_err err;
    kit_bytes(false, NULL, NULL, &k);
    CHECK(&k, plain);
    ft_line_reader_init(&r, &k.cfg);
    const char *line = "{\"prompt\":\"<EOS>\",\"completion\":\"<EOS>\"}";
    assert_int_equal(ft_line_read(&r, line, strlen(line), &d, &err), 0);
    assert_int_equal(d.at[0].n, 11); /* letters, but for the end */
    ft_drafts_fini(&d);
    ft_line_reader_fini(&r);
    kit_close(&k);
    kit_bytes(true, NULL, NULL, &k);
    CHECK(&k, with_bos);
    k.cfg.special_text = true;
    CHECK(&k, special);
    kit_close(&k);
}

static void test_spaces_of_sentencepiece_do_not_double(void **state)
{
    (void)state;
    static const char *const lines[][2] = {
        {"{\"prompt\":\"Once upon\",\"completion\":\" a time\"}", "<s> Once upon[[ a time</s>]]"},
        {"{\"prompt\":\"Once up\",\"completion\":\"on\"}", "<s> Once up[[on</s>]]"},
        {"{\"text\":\"Once\"}", "<s>[[ Once</s>]]"},
    };
    struct kit k;
    if (!kit_open("llama-spm", NULL, &k))
        skip();
    CHECK(&k, lines);
    kit_close(&k);
}

static void test_messages(void **state)
{
    (void)state;
#define Q   "{\"role\":\"user\",\"content\":\"q\"}"
#define CTX "<|im_start|>user\nq<|im_end|>\n<|im_start|>assistant\n"
    static const char *const lines[][2] = {
        {"{\"messages\":[" Q ",{\"role\":\"assistant\",\"content\":\"a\"}]}",
         CTX "[[a<|im_end|>]]"},
        /* null is what is not there */
        {"{\"messages\":[{\"role\":\"user\",\"content\":\"q\",\"name\":null,\"tool_calls\":null,"
         "\"weight\":null},{\"role\":\"assistant\",\"content\":\"a\",\"weight\":null,"
         "\"tool_call_id\":null,\"function_call\":null}],\"tools\":null,\"functions\":null,"
         "\"parallel_tool_calls\":null,\"prompt\":null}",
         CTX "[[a<|im_end|>]]"},
        /* what follows the last answer is not looked at */
        {"{\"messages\":[" Q ",{\"role\":\"assistant\",\"content\":\"a\"}," Q "]}",
         CTX "[[a<|im_end|>]]"},
        {"{\"messages\":[" Q ",{\"role\":\"assistant\",\"content\":\"a\"}," Q
         ",{\"role\":\"assistant\",\"content\":\"b\"}]}",
         CTX "[[a<|im_end|>]]\n" CTX "[[b<|im_end|>]]"},
        {"{\"messages\":[" Q ",{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0}," Q
         ",{\"role\":\"assistant\",\"content\":\"b\",\"weight\":1}]}",
         CTX "a<|im_end|>\n" CTX "[[b<|im_end|>]]"},
        {"{\"messages\":[{\"role\":\"developer\",\"content\":\"s\"},{\"role\":\"user\",\"content\":"
         "["
         "{\"type\":\"text\",\"text\":\"x\"},{\"type\":\"text\",\"text\":\"y\"}]},{\"role\":"
         "\"assistant\",\"content\":\"z\"}]}",
         "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\nx\ny<|im_end|>\n"
         "<|im_start|>assistant\n[[z<|im_end|>]]"},
        /* an answer that begins with a newline does not merge with the prompt's */
        {"{\"messages\":[" Q ",{\"role\":\"assistant\",\"content\":\"\\na\"}]}",
         CTX "[[\na<|im_end|>]]"},
        {"{\"prompt\":[" Q "],\"completion\":[{\"role\":\"assistant\",\"content\":\"a\"}]}",
         CTX "[[a<|im_end|>]]"},
        {"{\"prompt\":[" Q ",{\"role\":\"assistant\",\"content\":\"a\"}," Q "],\"completion\":"
         "[{\"role\":\"assistant\",\"content\":\"b\"}]}",
         CTX "a<|im_end|>\n" CTX "[[b<|im_end|>]]"},
    };
    static const char *const control[] = {"<|im_start|>", NULL};
    struct kit k;
    kit_bytes(false, control, chatml, &k);
    CHECK(&k, lines);
    kit_close(&k);
}

static void test_pairs(void **state)
{
    (void)state;
#define A(text) "[{\"role\":\"assistant\",\"content\":\"" text "\"}]"
    static const char *const lines[][2] = {
        {"{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":\"r\"}", "p[[c<EOS>]] || p[[r<EOS>]]"},
        {"{\"prompt\":[" Q "],\"chosen\":" A("c") ",\"rejected\":" A("r") "}",
         CTX "[[c<|im_end|>]] || " CTX "[[r<|im_end|>]]"},
        {"{\"prompt\":\"q\",\"chosen\":[" Q ",{\"role\":\"assistant\",\"content\":\"c\"}],"
         "\"rejected\":[" Q ",{\"role\":\"assistant\",\"content\":\"r\"}]}",
         CTX "[[c<|im_end|>]] || " CTX "[[r<|im_end|>]]"},
        {"{\"input\":{\"messages\":[" Q "],\"tools\":[],\"parallel_tool_calls\":true},"
         "\"preferred_output\":" A("c") ",\"non_preferred_output\":" A("r") "}",
         CTX "[[c<|im_end|>]] || " CTX "[[r<|im_end|>]]"},
        {"{\"prompt\":\"p\",\"chosen\":" A("c") ",\"rejected\":" A("r") "}",
         "error: chosen and rejected begin differently: they are whole conversations where prompt "
         "is a string"},
        {"{\"prompt\":\"p\",\"chosen\":\"c\"}", "error: rejected is missing"},
        {"{\"prompt\":\"p\",\"chosen\":\"c\",\"rejected\":3}", "error: rejected is not a string"},
        {"{\"prompt\":[" Q "],\"chosen\":\"c\",\"rejected\":\"r\"}",
         "error: chosen is not an array of messages"},
        {"{\"prompt\":[" Q "],\"chosen\":" A("c") ",\"rejected\":[" Q "]}",
         "error: no assistant turn to learn from"},
        {"{\"chosen\":" A("c") ",\"rejected\":" A("r") "}",
         "error: prompt is missing, and chosen and rejected begin differently"},
        {"{\"input\":[],\"preferred_output\":[],\"non_preferred_output\":[]}",
         "error: input is not an object"},
        {"{\"input\":{\"messages\":[" Q "]},\"preferred_output\":" A("c") "}",
         "error: non_preferred_output is missing"},
        {"{\"input\":{\"messages\":[{\"role\":\"x\"}]},\"preferred_output\":" A("c") "}",
         "error: input.messages[0].role: 'x' is not system, developer, user, assistant or tool"},
        {"{\"text\":\"t\"}",
         "error: no preference pair: prompt, chosen and rejected are wanted, or "
         "input, preferred_output and non_preferred_output"},
    };
    static const char *const control[] = {"<|im_start|>", NULL};
    struct kit k;
    kit_bytes(false, control, chatml, &k);
    k.cfg.kind = FT_DATA_PREFERENCE;
    CHECK(&k, lines);
    kit_close(&k);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
#define M(m) "{\"messages\":[" m "]}"
    static const char *const lines[][2] = {
        {"{\"text\":\"x\"", "error: not JSON: '}' expected near end of file, byte 11"},
        {"{\"text\":\"\xff\"}", "error: byte 10 is not UTF-8"},
        {"[]", "error: not a JSON object"},
        {"{\"text\":\"a\",\"text\":\"b\"}",
         "error: not JSON: duplicate object key near '\"text\"', byte 18"},
        {"{\"a\":1}",
         "error: an unknown form: messages, prompt and completion, or text are wanted"},
        {"{\"chosen\":\"a\",\"rejected\":\"b\"}",
         "error: a preference pair: messages, prompt and completion, or text are wanted"},
        {"{\"text\":1}", "error: text is not a string"},
        {"{\"text\":\"\"}", "error: text is empty"},
        {"{\"completion\":\"x\"}", "error: prompt is missing"},
        {"{\"prompt\":\"x\",\"completion\":\"\"}", "error: completion is empty"},
        {"{\"messages\":\"x\"}", "error: messages is not an array of messages"},
        {M(""), "error: messages is empty"},
        {M("7"), "error: messages[0] is not an object"},
        {M("{\"content\":\"x\"}"), "error: messages[0].role is missing"},
        {M("{\"role\":\"bot\"}"),
         "error: messages[0].role: 'bot' is not system, developer, user, assistant or tool"},
        {M("{\"role\":\"user\"}"), "error: messages[0].content is missing"},
        {M("{\"role\":\"user\",\"content\":null}"), "error: messages[0].content is null"},
        {M("{\"role\":\"user\",\"content\":5}"),
         "error: messages[0].content is not a string or an array of parts"},
        {M("{\"role\":\"user\",\"content\":[{\"type\":\"image_url\"}]}"),
         "error: messages[0].content[0] is not a part of type text"},
        {M("{\"role\":\"user\",\"content\":[{\"type\":\"text\"}]}"),
         "error: messages[0].content[0].text is not a string"},
        {M("{\"role\":\"user\",\"content\":\"x\",\"weight\":1}"),
         "error: messages[0].weight is for assistant messages only"},
        {M("{\"role\":\"user\",\"content\":\"x\",\"name\":1}"),
         "error: messages[0].name is not a string"},
        {M(Q), "error: no assistant turn to learn from"},
        {M(Q ",{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0}"),
         "error: no assistant turn to learn from"},
        {M(Q ",{\"role\":\"assistant\",\"content\":\"a\",\"weight\":0.5}"),
         "error: messages[1].weight is not 0 or 1"},
        {M(Q ",{\"role\":\"assistant\",\"content\":\"\"}"),
         "error: messages[1].content is empty, and there are no tool_calls"},
        {M(Q ",{\"role\":\"assistant\"}"), "error: messages[1].content is missing"},
        {M(Q ",{\"role\":\"assistant\",\"tool_calls\":{}}"),
         "error: messages[1].tool_calls is not an array of at most 256 calls"},
        {M(Q ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"arguments\":\"{}\"}}]}"),
         "error: messages[1].tool_calls[0].function.name is not a string"},
        {M(Q ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\"}}]}"),
         "error: messages[1].tool_calls[0].function.arguments is not a JSON object"},
        {M(Q ",{\"role\":\"assistant\",\"tool_calls\":[{\"function\":{\"name\":\"f\",\"arguments\":"
             "\"[1]\"}}]}"),
         "error: messages[1]: tool_calls[0].function.arguments is not a JSON object"},
        {M(Q ",{\"role\":\"assistant\",\"content\":\"a<|im_end|>b\"}"),
         "error: messages[1].content holds the control token <|im_end|>"},
        {"{\"tools\":[{}],\"messages\":[" Q "]}", "error: tools[0].function is not an object"},
        {"{\"tools\":[{\"function\":{\"name\":\"<EOS>\"}}],\"messages\":[" Q "]}",
         "error: tools[0].function.name holds the control token <EOS>"},
        {"{\"parallel_tool_calls\":1,\"messages\":[" Q "]}",
         "error: parallel_tool_calls is not true or false"},
        {M("{\"role\":\"tool\",\"content\":\"x\"}," Q
           ",{\"role\":\"assistant\",\"content\":\"a\"}"),
         "error: the turn of message 2: chat template: no tools here"},
    };
    static const char *const control[] = {"<|im_start|>", NULL};
    char template[1024];
    struct kit k;
    snprintf(template, sizeof template,
             "{%% if messages[0].role == 'tool' %%}{{ raise_exception('no tools here') }}{%% endif "
             "%%}%s",
             chatml);
    kit_bytes(false, control, template, &k);
    CHECK(&k, lines);
    k.cfg.special_text = true;
    static const char *const special[][2] = {
        {M(Q ",{\"role\":\"assistant\",\"content\":\"a<EOS>b\"}"), CTX "[[a<EOS>b<|im_end|>]]"}};
    CHECK(&k, special);
    k.cfg.special_text = false;
    k.cfg.form = FT_DATA_PROMPT;
    static const char *const forced[][2] = {{"{\"text\":\"a\"}", "error: prompt is missing"}};
    CHECK(&k, forced);
    kit_close(&k);
    kit_bytes(false, NULL, NULL, &k);
    static const char *const none[][2] = {{M(Q ",{\"role\":\"assistant\",\"content\":\"a\"}"),
                                           "error: messages, but the model has no chat template: "
                                           "give one with --chat-template FILE"}};
    CHECK(&k, none);
    kit_close(&k);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_strings_and_texts),
        cmocka_unit_test(test_spaces_of_sentencepiece_do_not_double),
        cmocka_unit_test(test_messages),
        cmocka_unit_test(test_pairs),
        cmocka_unit_test(test_what_is_wrong_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
