/* Answers with calls, in every dialect: what their grammar takes is read back as it was meant, and
 * nothing that breaks a strict function's schema is taken. */
#include "testing.h"

#include "worker/calls.h"
#include "worker/choice.h"

static json_t *tools; /* fly is strict, look is not */

static const char tools_text[] =
    "[{'type':'function','function':{'name':'fly','strict':true,'parameters':{'type':'object',"
    "'properties':{'to':{'$ref':'#/$defs/place'},'seats':{'type':'integer','minimum':1,'maximum':"
    "9},'note':{'type':['string','null'],'maxLength':12},'code':{'type':'string','pattern':'^[A-Z]"
    "{2}$'},'text':{'type':'string'}},'required':['to'],'additionalProperties':false,'$defs':{"
    "'place':{'enum':['Rome','Oslo']}}}}},{'type':'function','function':{'name':'look','parameters'"
    ":{'type':'object','properties':{'at':{'type':'string'},'n':{'type':'integer'}}}}}]";

static json_t *load(const char *text)
{
    char json[4096];
    size_t n = strlen(text);
    assert_true(n < sizeof json);
    for (size_t i = 0; i <= n; i++)
        json[i] = text[i] == '\'' ? '"' : text[i];
    json_t *v = json_loads(json, 0, NULL);
    assert_non_null(v);
    return v;
}

static const char format[] = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\"}},"
                             "\"required\":[\"name\"],\"additionalProperties\":false}";

static struct ft_calls_config config(enum ft_dialect d, bool either, bool reasons)
{
    if (tools == NULL)
        tools = load(tools_text);
    struct ft_calls_config c = {.dialect = d, .tools = tools, .control = true, .reasons = reasons};
    if (either) {
        c.format = FT_LAYOUT_SCHEMA;
        c.format_text = (struct ft_slice){format, sizeof format - 1};
    }
    return c;
}

static struct ft_grammar *grammar(const struct ft_calls_config *c)
{
    char field[FT_CALLS_FIELD_BYTES];
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    if (ft_calls_grammar(c, field, &g, &err) != 0)
        fail_msg("%s: %s", field, err.msg);
    return g;
}

/* How much of the text is taken; *ret_end: it may end there. */
static size_t taken(const struct ft_calls_config *c, const char *text, bool *ret_end)
{
    struct ft_grammar *g = grammar(c);
    struct ft_matcher *m;
    struct ft_err err;
    size_t n = 0;
    assert_int_equal(ft_matcher_open(g, NULL, &m, &err), 0);
    while (text[n] != '\0' && ft_matcher_accept_bytes(m, text + n, 1))
        n++;
    *ret_end = ft_matcher_may_end(m);
    ft_matcher_close(m);
    ft_grammar_unref(g);
    return n;
}

/* ---- as the worker reads it ---- */

struct said {
    char text[4096];
    int kind;
};

static void hear(void *ctx, const struct ft_piece *p)
{
    struct said *s = ctx;
    static const char mark[] = {[FT_PIECE_CONTENT] = 'C',
                                [FT_PIECE_REASONING] = 'R',
                                [FT_PIECE_CALL_BEGIN] = 'B',
                                [FT_PIECE_CALL_ARGS] = 'A'};
    size_t n = strlen(s->text);
    if (p->kind == FT_PIECE_FINISH)
        return;
    if (s->kind == (int)p->kind && n > 0)
        s->text[--n] = '\0'; /* the bracket */
    else
        n += (size_t)snprintf(s->text + n, sizeof s->text - n, "%c(", mark[p->kind]);
    snprintf(s->text + n, sizeof s->text - n, "%.*s)", (int)p->text.n, p->text.p);
    s->kind = (int)p->kind;
}

static void reads(const struct ft_calls_config *c, const char *text, const char *want)
{
    struct ft_err err = {0};
    struct ft_choice_config cfg = {.request = "req_1",
                                   .dialect = c->dialect,
                                   .tools = tools,
                                   .bound = c->format_text.n > 0 ? FT_CHAT_BOUND_ANSWER
                                                                 : FT_CHAT_BOUND_CALLS,
                                   .tail = {c->reasons ? "<think>\n" : "", c->reasons ? 8 : 0},
                                   .call_bytes_max = 1000};
    for (size_t step = 1; step <= 5; step += 2) {
        struct said s = {.text = ""};
        struct ft_choice one;
        assert_int_equal(ft_choice_open(&one, &cfg, hear, &s, &err), 0);
        for (size_t at = 0; at < strlen(text); at += step)
            assert_int_equal(
                ft_choice_token(&one, text + at, FT_MIN(step, strlen(text) - at), &err), 0);
        assert_int_equal(
            ft_choice_finish(&one, "", 0, 0, FT_ANSWER_STOP, (struct ft_slice){0}, &err), 0);
        ft_choice_close(&one);
        if (strcmp(s.text, want) != 0)
            fail_msg("%s: read as %s, not %s", text, s.text, want);
    }
}

/* Taken whole, and read so. */
static void says(const struct ft_calls_config *c, const char *text, const char *want)
{
    bool end;
    size_t n = taken(c, text, &end);
    if (n < strlen(text) || !end)
        fail_msg("%s: taken up to \"%s\", end %d", text, text + n, end);
    reads(c, text, want);
}

/* Taken up to the `|`, which is not in the text, and no more. */
static void stops(const struct ft_calls_config *c, const char *marked)
{
    char text[1024];
    bool end;
    const char *bar = strchr(marked, '|');
    while (bar[1] == '\0' ? false : strchr(bar + 1, '|') != NULL)
        bar = strchr(bar + 1, '|'); /* the last: marks have some */
    snprintf(text, sizeof text, "%.*s%s", (int)(bar - marked), marked, bar + 1);
    size_t n = taken(c, text, &end);
    if (n != (size_t)(bar - marked) || (text[n] == '\0' && end))
        fail_msg("%s: taken up to \"%s\", end %d", marked, text + n, end);
}

/* ---- one way of writing calls after the other ---- */

struct form {
    enum ft_dialect d;
    const char *begin, *name, *args, *end; /* around the name, of the arguments, behind them */
    const char *more;                      /* between two calls, if not `end` and `begin` */
};

static const struct form json_forms[] = {
    {FT_DIALECT_HERMES, "<tool_call>\n{\"name\": \"", "\", \"arguments\": ", "", "}\n</tool_call>",
     NULL},
    {FT_DIALECT_LLAMA3, "{\"name\": \"", "\", \"parameters\": ", "", "}", "}; {\"name\": \""},
    {FT_DIALECT_LLAMA3, "<|python_tag|>{\"type\": \"function\", \"name\": \"",
     "\", \"parameters\": ", "", "}", "}; {\"name\": \""},
    {FT_DIALECT_DEEPSEEK_V3, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>",
     "\n```json\n", "", "\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
     "\n```<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>"},
    {FT_DIALECT_DEEPSEEK_V31, "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>", "<｜tool▁sep｜>", "",
     "<｜tool▁call▁end｜><｜tool▁calls▁end｜>", "<｜tool▁call▁end｜><｜tool▁call▁begin｜>"},
};

static const char *call(const struct form *f, const char *name, const char *args)
{
    static char text[4][1024];
    static int at;
    char *t = text[at++ % 4];
    snprintf(t, sizeof text[0], "%s%s%s%s%s", f->begin, name, f->name, args, f->end);
    return t;
}

static void calls_as_json(void **state)
{
    (void)state;
    char text[2048];
    for (size_t i = 0; i < FT_COUNT(json_forms); i++)
        for (int either = 0; either < 2; either++) {
            const struct form *f = &json_forms[i];
            struct ft_calls_config c = config(f->d, either != 0, false);
            says(&c, call(f, "fly", "{\"to\": \"Rome\", \"seats\": 2}"),
                 "B(fly)A({\"to\": \"Rome\", \"seats\": 2})");
            says(&c, call(f, "look", "{\"at\": [1, {}]}"), "B(look)A({\"at\": [1, {}]})");
            stops(&c, call(f, "fly", "{\"to\": \"|Paris\"}"));
            stops(&c, call(f, "fly", "{\"seats\": 1|}"));
            stops(&c, call(f, "look", "|[]"));
            snprintf(text, sizeof text, "%s|drive", f->begin);
            if (f->begin[0] != '{') /* without a mark it may be another object */
                stops(&c, text);
            const char *one = call(f, "fly", "{\"to\": \"Rome\"}");
            if (f->more == NULL)
                snprintf(text, sizeof text, "%s\n%s", one, one);
            else
                snprintf(text, sizeof text, "%sfly%s{\"to\": \"Rome\"}%sfly%s{\"to\": \"Rome\"}%s",
                         f->begin, f->name, f->more, f->name, f->end);
            says(&c, text, "B(fly)A({\"to\": \"Rome\"})B(fly)A({\"to\": \"Rome\"})");
        }
}

static void free_answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < FT_COUNT(json_forms); i++) {
        const struct form *f = &json_forms[i];
        const char *one = call(f, "fly", "{\"to\": \"Oslo\"}");
        char text[2048], want[2048];
        struct ft_calls_config c = config(f->d, false, false);
        bool bare = f->begin[0] == '{';
        says(&c, "words <, {\"name\": 1} and \xc3\xa9", "C(words <, {\"name\": 1} and \xc3\xa9)");
        if (!bare) {
            snprintf(text, sizeof text, "so %s", one);
            says(&c, text, "C(so )B(fly)A({\"to\": \"Oslo\"})");
        }
        /* in reasoning nothing is a call, behind it everything may be */
        snprintf(text, sizeof text, "<think>maybe %s</think>\n\n%s", call(f, "drive", "{}"), one);
        snprintf(want, sizeof want, "R(maybe %s)B(fly)A({\"to\": \"Oslo\"})",
                 call(f, "drive", "{}"));
        says(&c, text, want);
        c.reasons = true;
        says(&c, text + strlen("<think>"), want);
        says(&c, "x", "R(x)");
    }
}

static void content_by_a_format(void **state)
{
    (void)state;
    for (enum ft_dialect d = FT_DIALECT_HERMES; d <= FT_DIALECT_DEEPSEEK_V32; d++) {
        struct ft_calls_config c = config(d, true, false);
        says(&c, "{\"name\": \"Max\"}", "C({\"name\": \"Max\"})");
        says(&c, "{\"name\": \"<tool_call><function=<|python_tag|>{}\"}",
             "C({\"name\": \"<tool_call><function=<|python_tag|>{}\"})");
        stops(&c, "|words");
        stops(&c, "{\"name\": |1}");
        stops(&c, "{\"name\": \"Max\"}|<tool_call>");
        c.format = FT_LAYOUT_REGEX;
        static const char re[] = "\\n?(<tool)?yes";
        c.format_text = (struct ft_slice){re, sizeof re - 1};
        says(&c, "<toolyes", "C(<toolyes)");
        says(&c, "\nyes", "C(\nyes)");
    }
}

/* An object that only looks like Llama's calls is content, to the grammar and to its reader. */
static void objects_that_are_no_calls(void **state)
{
    (void)state;
    struct ft_calls_config c = config(FT_DIALECT_LLAMA3, false, false);
    const char *const text[] = {
        "{\"parameters\": {\"to\": \"Paris\"}, \"name\": \"fly\"}",
        "{\"name\": \"fl\\u0079\", \"parameters\": {}}",
        "{\"n\\u0061me\": \"fly\", \"parameters\": {}}",
        "{\"id\": 1, \"name\": \"fly\", \"parameters\": {}}",
        "{\"type\": \"x\", \"name\": \"fly\", \"parameters\": {}}",
        "{\"function\": \"fly\", \"parameters\": {}}",
        "{\"name\": \"drive\", \"parameters\": {}}",
        "x{\"name\": \"fly\", \"parameters\": {}}",
    };
    for (size_t i = 0; i < FT_COUNT(text); i++) {
        char want[256];
        snprintf(want, sizeof want, "C(%s)", text[i]);
        says(&c, text[i], want);
    }
    says(&c,
         " \n{ \"type\":\"function\" ,\"name\" : \"fly\", \"parameters\": {\"to\": \"Rome\"}} ;{"
         "\"name\":\"look\", \"parameters\": {}}",
         "C( )B(fly)A({\"to\": \"Rome\"})B(look)A({})");
    stops(&c, "{\"name\":\"fly\"|}");
}

#define XML(name, params) "<tool_call>\n<function=" name ">\n" params "</function>\n</tool_call>"
#define P(key, value)     "<parameter=" key ">\n" value "\n</parameter>\n"

static void calls_in_tags(void **state)
{
    (void)state;
    for (int either = 0; either < 2; either++) {
        struct ft_calls_config c = config(FT_DIALECT_QWEN_XML, either != 0, false);
        says(&c, XML("fly", P("to", "Rome")), "B(fly)A({\"to\": \"Rome\"})");
        says(&c,
             XML("fly", P("to", "Oslo") P("seats", "3") P("note", "null") P("code", "AB")
                            P("text", "a <b>\n\"c\"")),
             "B(fly)A({\"to\": \"Oslo\", \"seats\": 3, \"note\": null, \"code\": \"AB\", \"text\": "
             "\"a <b>\\n\\\"c\\\"\"})");
        says(&c, XML("fly", P("to", "Rome") P("note", "5 \"x\"")),
             "B(fly)A({\"to\": \"Rome\", \"note\": \"5 \\\"x\\\"\"})");
        says(&c, XML("look", P("n", "7") P("else", "a")) "\n" XML("look", ""),
             "B(look)A({\"n\": 7, \"else\": \"a\"})B(look)A({})");
        says(&c, "<function=look>\n</function>\n</tool_call>", "B(look)A({})");
        stops(&c, "<tool_call>\n<function=|drive>");
        stops(&c, "<tool_call>\n<function=fly>\n<|/function>");
        stops(&c, "<tool_call>\n<function=fly>\n<parameter=|seats>");
        stops(&c, "<tool_call>\n<function=fly>\n<parameter=to>\n|Paris");
        stops(&c, "<tool_call>\n<function=fly>\n<parameter=to>\n|\"Rome\"");
        stops(&c, "<tool_call>\n<function=fly>\n" P("to", "Rome") "<parameter=seats>\n|0");
        stops(&c, "<tool_call>\n<function=fly>\n" P("to", "Rome") "<parameter=code>\nA|b");
        stops(&c, "<tool_call>\n<function=fly>\n" P(
                      "to", "Rome") "<parameter=note>\ntrue\n</param|eter>");
        stops(&c, "<tool_call>\n<function=fly>\n" P("to", "Rome") "<parameter=t|o>");
    }
}

#define DSML(name, params) "<｜DSML｜invoke name=\"" name "\">\n" params "</｜DSML｜invoke>\n"
#define ALL(invokes)       "<｜DSML｜function_calls>\n" invokes "</｜DSML｜function_calls>"
#define T(key, value)                                                                              \
    "<｜DSML｜parameter name=\"" key "\" string=\"true\">" value "</｜DSML｜parameter>\n"
#define J(key, value)                                                                              \
    "<｜DSML｜parameter name=\"" key "\" string=\"false\">" value "</｜DSML｜parameter>\n"

static void calls_in_typed_tags(void **state)
{
    (void)state;
    for (int either = 0; either < 2; either++) {
        struct ft_calls_config c = config(FT_DIALECT_DEEPSEEK_V32, either != 0, false);
        says(&c,
             ALL(DSML("fly", T("to", "Rome") J("seats", "4") T("note", "true") T("text", "\n<p>"))),
             "B(fly)A({\"to\": \"Rome\", \"seats\": 4, \"note\": \"true\", \"text\": \"\\n<p>\"})");
        says(&c, ALL(DSML("fly", T("to", "Rome") J("note", "null")) DSML("look", J("x", "[1]"))),
             "B(fly)A({\"to\": \"Rome\", \"note\": null})B(look)A({\"x\": [1]})");
        stops(&c, "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"fly\">\n<|/");
        stops(&c, "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"fly\">\n<｜DSML｜parameter "
                  "name=\"to\" string=\"|false");
        stops(&c, "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"fly\">\n<｜DSML｜parameter "
                  "name=\"to\" string=\"true\">|Paris");
    }
}

static void refuses(enum ft_dialect d, const char *text, const char *want_field, const char *want)
{
    json_t *bad = load(text);
    struct ft_calls_config c = {.dialect = d, .tools = bad};
    char field[FT_CALLS_FIELD_BYTES] = "";
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    if (ft_calls_grammar(&c, field, &g, &err) == 0 || strcmp(field, want_field) != 0 ||
        strstr(err.msg, want) == NULL)
        fail_msg("%s: %s: %s, not %s: %s", text, field, err.msg, want_field, want);
    json_decref(bad);
}

#define STRICT(name, params)                                                                       \
    "{'type':'function','function':{'name':'" name "','strict':true,'parameters':" params "}}"

static void what_cannot_be_kept_is_refused(void **state)
{
    (void)state;
    const char *two = "[" STRICT("a", "{}") "," STRICT("b", "{'unevaluatedProperties':false}") "]";
    refuses(FT_DIALECT_HERMES, two, "tools[1].function.parameters", "unevaluatedProperties");
    refuses(FT_DIALECT_LLAMA3,
            "[" STRICT("a", "{'type':'object','required':['x'],'properties':"
                            "{'x':false}}") "]",
            "tools[0].function.parameters", "no value");
    const char *any = "[" STRICT("a", "{'anyOf':[{},{}]}") "]";
    refuses(FT_DIALECT_QWEN_XML, any, "tools[0].function.parameters", "#/anyOf");
    refuses(FT_DIALECT_QWEN_XML, "[" STRICT("a", "{'properties':{'a>b':{}}}") "]",
            "tools[0].function.parameters", "a>b");
    refuses(FT_DIALECT_DEEPSEEK_V32, "[" STRICT("a", "{'required':['x']}") "]",
            "tools[0].function.parameters", "#/required");
    refuses(FT_DIALECT_QWEN_XML,
            "[" STRICT("a", "{'properties':{'x':{'enum':['</parameter>']}}}") "]",
            "tools[0].function.parameters", "</parameter>");
    static const char *const malformed[] = {"{'type':'string'}", "{'properties':[]}",
                                            "{'required':'x'}", "{'required':[1]}"};
    for (size_t i = 0; i < 2 * FT_COUNT(malformed); i++) {
        char one[200];
        snprintf(one, sizeof one, "[" STRICT("a", "%s") "]", malformed[i / 2]);
        refuses(i % 2 == 0 ? FT_DIALECT_QWEN_XML : FT_DIALECT_DEEPSEEK_V32, one,
                "tools[0].function.parameters", "#/");
    }
    struct ft_calls_config c = config(FT_DIALECT_HERMES, true, false);
    char field[FT_CALLS_FIELD_BYTES];
    struct ft_grammar *g = NULL;
    struct ft_err err;
    c.format_text = (struct ft_slice){"{\"not\":{}}", 10};
    assert_int_not_equal(ft_calls_grammar(&c, field, &g, &err), 0);
    assert_string_equal(field, "response_format");
    assert_false(ft_calls_any_strict(NULL));
    assert_true(ft_calls_any_strict(tools));
}

static int teardown(void **state)
{
    (void)state;
    json_decref(tools);
    return 0;
}

/* As many as a request may have. */
static void many_functions(void **state)
{
    (void)state;
    enum { FUNCTIONS = 100, PARAMS = 20 };
    static const enum ft_dialect dialects[] = {FT_DIALECT_HERMES, FT_DIALECT_QWEN_XML,
                                               FT_DIALECT_DEEPSEEK_V32};
    json_t *many = json_array(), *props = json_object(), *required = json_array();
    char name[32];
    for (int i = 0; i < PARAMS; i++) {
        snprintf(name, sizeof name, "p%d", i);
        json_object_set_new(props, name, json_pack("{s:s}", "type", "string"));
        json_array_append_new(required, json_string(name));
    }
    for (int i = 0; i < FUNCTIONS; i++) {
        snprintf(name, sizeof name, "f%d", i);
        json_array_append_new(many, json_pack("{s:{s:s, s:b, s:{s:s, s:O, s:O, s:b}}}", "function",
                                              "name", name, "strict", 1, "parameters", "type",
                                              "object", "properties", props, "required", required,
                                              "additionalProperties", 0));
    }
    for (size_t k = 0; k < FT_COUNT(dialects); k++) {
        struct ft_calls_config c = config(dialects[k], false, false);
        c.tools = many;
        ft_grammar_unref(grammar(&c));
    }
    json_decref(many);
    json_decref(props);
    json_decref(required);
}

/* All of them may be left out, or come. */
static void many_parameters(void **state)
{
    (void)state;
    enum { MOST = 500 };
    json_t *many =
        json_pack("[{s:{s:s, s:b, s:{}}}]", "function", "name", "f", "strict", 1, "parameters");
    json_t *props = json_object();
    json_object_set_new(
        json_object_get(json_object_get(json_array_get(many, 0), "function"), "parameters"),
        "properties", props);
    char name[32];
    for (int i = 0; i < MOST; i++) {
        snprintf(name, sizeof name, "p%d", i);
        json_object_set_new(props, name, json_object());
    }
    static const char *const calls[] = {
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n</｜DSML｜invoke>\n"
        "</｜DSML｜function_calls>",
        "<｜DSML｜function_calls>\n<｜DSML｜invoke name=\"f\">\n"
        "<｜DSML｜parameter name=\"p499\" string=\"false\">1</｜DSML｜parameter>\n"
        "</｜DSML｜invoke>\n</｜DSML｜function_calls>"};
    struct ft_calls_config c = config(FT_DIALECT_DEEPSEEK_V32, false, false);
    c.tools = many;
    for (size_t i = 0; i < FT_COUNT(calls); i++) {
        bool end;
        assert_int_equal(taken(&c, calls[i], &end), strlen(calls[i]));
        assert_true(end);
    }
    json_object_set_new(props, "more", json_object());
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    char field[FT_CALLS_FIELD_BYTES];
    assert_int_equal(ft_calls_grammar(&c, field, &g, &err), FT_EUNSUPPORTED);
    assert_string_equal(field, "tools[0].function.parameters");
    json_decref(many);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(calls_as_json),
        cmocka_unit_test(free_answers),
        cmocka_unit_test(content_by_a_format),
        cmocka_unit_test(objects_that_are_no_calls),
        cmocka_unit_test(calls_in_tags),
        cmocka_unit_test(calls_in_typed_tags),
        cmocka_unit_test(what_cannot_be_kept_is_refused),
        cmocka_unit_test(many_functions),
        cmocka_unit_test(many_parameters),
    };
    return cmocka_run_group_tests(tests, NULL, teardown);
}
