/* What requests are taken for, and what is refused with which name. */
#include "testing.h"

#include <stdbool.h>

#include "api/openai/request.h"

static const enum ft_task_kind CHAT = FT_TASK_CHAT, TEXT = FT_TASK_TEXT, EMBED = FT_TASK_EMBED,
                               RERANK = FT_TASK_RERANK;

static char *double_quotes(const char *s)
{
    char *copy = strdup(s);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static int parse(enum ft_task_kind kind, enum ft_oai_mode mode, const char *text,
                 struct ft_oai_request *ret, struct ft_oai_error *e)
{
    char *body = double_quotes(text);
    ft_oai_error_init(e);
    int rc = ft_oai_parse(kind, mode, body, strlen(body), ret, e);
    free(body);
    return rc;
}

static struct ft_oai_request good(enum ft_task_kind kind, enum ft_oai_mode mode, const char *text)
{
    struct ft_oai_request q = {.root = NULL};
    struct ft_oai_error e;
    if (parse(kind, mode, text, &q, &e) != 0)
        fail_msg("%s: %s", text, e.err.msg);
    return q;
}

/* ---- what is refused ---- */

struct bad {
    enum ft_task_kind kind;
    const char *members; /* beside model and messages, prompt, ... */
    const char *param, *code;
};

static const char *base_of(enum ft_task_kind kind)
{
    switch (kind) {
    case FT_TASK_TEXT:
        return "'model':'m','prompt':'hi'";
    case FT_TASK_EMBED:
        return "'model':'m','input':'hi'";
    case FT_TASK_RERANK:
        return "'model':'m','query':'q','documents':['a']";
    default:
        return "'model':'m','messages':[{'role':'user','content':'hi'}]";
    }
}

static void check_bad(const struct bad *b, enum ft_oai_mode mode, const char *text)
{
    struct ft_oai_request q;
    struct ft_oai_error e;
    int rc = parse(b->kind, mode, text, &q, &e);
    if (rc == 0) {
        ft_oai_request_fini(&q);
        fail_msg("accepted: %s", text);
    }
    if (strcmp(e.param, b->param) != 0 || strcmp(ft_oai_error_code(&e), b->code) != 0 ||
        ft_oai_error_status(&e) != 400)
        fail_msg("%s: param %s code %s: %s", text, e.param, ft_oai_error_code(&e), e.err.msg);
    assert_non_null(strstr(e.err.msg, b->param));
}

static void check_all(const struct bad *bad, size_t n, enum ft_oai_mode mode)
{
    for (size_t i = 0; i < n; i++) {
        char text[2048];
        snprintf(text, sizeof text, "{%s,%s}", base_of(bad[i].kind), bad[i].members);
        check_bad(&bad[i], mode, text);
    }
}

/* Every member of every route, with each JSON type that it does not take. */
static void test_every_member_refuses_every_wrong_type(void **state)
{
    (void)state;
    enum { S = 1, I = 2, R = 4, B = 8, A = 16, O = 32 };
    static const struct {
        enum ft_task_kind kind;
        const char *name;
        unsigned types; /* taken */
    } rows[] = {
        {FT_TASK_CHAT, "model", S},
        {FT_TASK_CHAT, "messages", A},
        {FT_TASK_CHAT, "stream", B},
        {FT_TASK_CHAT, "stream_options", O},
        {FT_TASK_CHAT, "n", I},
        {FT_TASK_CHAT, "max_tokens", I},
        {FT_TASK_CHAT, "max_completion_tokens", I},
        {FT_TASK_CHAT, "min_tokens", I},
        {FT_TASK_CHAT, "temperature", I | R},
        {FT_TASK_CHAT, "top_p", I | R},
        {FT_TASK_CHAT, "top_k", I},
        {FT_TASK_CHAT, "min_p", I | R},
        {FT_TASK_CHAT, "typical_p", I | R},
        {FT_TASK_CHAT, "repetition_penalty", I | R},
        {FT_TASK_CHAT, "presence_penalty", I | R},
        {FT_TASK_CHAT, "frequency_penalty", I | R},
        {FT_TASK_CHAT, "seed", I},
        {FT_TASK_CHAT, "stop", S | A},
        {FT_TASK_CHAT, "stop_token_ids", A},
        {FT_TASK_CHAT, "ignore_eos", B},
        {FT_TASK_CHAT, "logprobs", B},
        {FT_TASK_CHAT, "top_logprobs", I},
        {FT_TASK_CHAT, "logit_bias", O},
        {FT_TASK_CHAT, "response_format", O},
        {FT_TASK_CHAT, "tools", A},
        {FT_TASK_CHAT, "tool_choice", S | O},
        {FT_TASK_CHAT, "parallel_tool_calls", B},
        {FT_TASK_CHAT, "reasoning_effort", S},
        {FT_TASK_CHAT, "chat_template_kwargs", O},
        {FT_TASK_CHAT, "user", S},
        {FT_TASK_CHAT, "metadata", O},
        {FT_TASK_CHAT, "store", B},
        {FT_TASK_CHAT, "service_tier", S},
        {FT_TASK_CHAT, "modalities", A},
        {FT_TASK_CHAT, "prompt_cache_key", S},
        {FT_TASK_CHAT, "prompt_cache_retention", S},
        {FT_TASK_CHAT, "safety_identifier", S},
        {FT_TASK_CHAT, "verbosity", S},
        {FT_TASK_TEXT, "prompt", S | A},
        {FT_TASK_TEXT, "echo", B},
        {FT_TASK_TEXT, "best_of", I},
        {FT_TASK_TEXT, "logprobs", I},
        {FT_TASK_TEXT, "suffix", S},
        {FT_TASK_TEXT, "user", S},
        {FT_TASK_TEXT, "max_tokens", I},
        {FT_TASK_EMBED, "input", S | A},
        {FT_TASK_EMBED, "encoding_format", S},
        {FT_TASK_EMBED, "dimensions", I},
        {FT_TASK_EMBED, "user", S},
        {FT_TASK_RERANK, "query", S},
        {FT_TASK_RERANK, "documents", A},
        {FT_TASK_RERANK, "top_n", I},
        {FT_TASK_RERANK, "return_documents", B},
    };
    static const struct {
        unsigned type;
        const char *value;
    } values[] = {{S, "'x'"}, {I, "1"}, {R, "0.5"}, {B, "true"}, {A, "[]"}, {O, "{}"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            if (rows[i].types & values[k].type)
                continue;
            char text[512];
            const char *base = base_of(rows[i].kind);
            bool in_base = strstr(base, rows[i].name) != NULL;
            snprintf(text, sizeof text, "{%s%s'%s':%s}", in_base ? "" : base, in_base ? "" : ",",
                     rows[i].name, values[k].value);
            check_bad(&(struct bad){rows[i].kind, "", rows[i].name, "invalid_type"}, FT_OAI_GATEWAY,
                      text);
        }
}

static void test_values_out_of_range_are_named(void **state)
{
    (void)state;
    static const struct bad rows[] = {
        {FT_TASK_CHAT, "'n':0", "n", "integer_below_min_value"},
        {FT_TASK_CHAT, "'n':129", "n", "integer_above_max_value"},
        {FT_TASK_CHAT, "'max_tokens':0", "max_tokens", "integer_below_min_value"},
        {FT_TASK_CHAT, "'max_tokens':4294967296", "max_tokens", "integer_above_max_value"},
        {FT_TASK_CHAT, "'max_tokens':1,'max_completion_tokens':2", "max_tokens", "invalid_value"},
        {FT_TASK_CHAT, "'min_tokens':3,'max_tokens':2", "min_tokens", "invalid_value"},
        {FT_TASK_CHAT, "'temperature':2.1", "temperature", "decimal_above_max_value"},
        {FT_TASK_CHAT, "'temperature':-1", "temperature", "decimal_below_min_value"},
        {FT_TASK_CHAT, "'top_p':1.5", "top_p", "decimal_above_max_value"},
        {FT_TASK_CHAT, "'top_k':-2", "top_k", "integer_below_min_value"},
        {FT_TASK_CHAT, "'min_p':1.1", "min_p", "decimal_above_max_value"},
        {FT_TASK_CHAT, "'typical_p':0", "typical_p", "decimal_below_min_value"},
        {FT_TASK_CHAT, "'repetition_penalty':0", "repetition_penalty", "decimal_below_min_value"},
        {FT_TASK_CHAT, "'presence_penalty':3", "presence_penalty", "decimal_above_max_value"},
        {FT_TASK_CHAT, "'frequency_penalty':-3", "frequency_penalty", "decimal_below_min_value"},
        {FT_TASK_CHAT, "'stop':['a','b','c','d','e']", "stop", "array_above_max_length"},
        {FT_TASK_CHAT, "'stop':['a','']", "stop[1]", "string_below_min_length"},
        {FT_TASK_CHAT, "'stop':['a',1]", "stop[1]", "invalid_type"},
        {FT_TASK_CHAT, "'stop_token_ids':[-1]", "stop_token_ids[0]", "integer_below_min_value"},
        {FT_TASK_CHAT, "'logprobs':true,'top_logprobs':21", "top_logprobs",
         "integer_above_max_value"},
        {FT_TASK_CHAT, "'top_logprobs':2", "top_logprobs", "invalid_value"},
        {FT_TASK_CHAT, "'logit_bias':{'x':1}", "logit_bias.x", "invalid_value"},
        {FT_TASK_CHAT, "'logit_bias':{'1':101}", "logit_bias.1", "decimal_above_max_value"},
        {FT_TASK_CHAT, "'stream_options':{'include_usage':true}", "stream_options",
         "invalid_value"},
        {FT_TASK_CHAT, "'stream':true,'stream_options':{'x':1}", "stream_options.x",
         "unknown_parameter"},
        {FT_TASK_CHAT, "'stream':true,'stream_options':{'include_obfuscation':true}",
         "stream_options.include_obfuscation", "unsupported_parameter"},
        {FT_TASK_CHAT, "'reasoning_effort':'much'", "reasoning_effort", "invalid_value"},
        {FT_TASK_CHAT, "'chat_template_kwargs':{'tools':[]}", "chat_template_kwargs.tools",
         "invalid_value"},
        {FT_TASK_CHAT, "'chat_template_kwargs':{'enable_thinking':1}",
         "chat_template_kwargs.enable_thinking", "invalid_type"},
        {FT_TASK_CHAT, "'metadata':{'a':1}", "metadata.a", "invalid_type"},
        {FT_TASK_CHAT, "'response_format':{'type':'xml'}", "response_format.type", "invalid_value"},
        {FT_TASK_CHAT, "'response_format':{'type':'json_schema'}", "response_format.json_schema",
         "missing_required_parameter"},
        {FT_TASK_CHAT, "'response_format':{'type':'json_schema','json_schema':{'name':'a b'}}",
         "response_format.json_schema.name", "invalid_value"},
        {FT_TASK_CHAT, "'response_format':{'type':'json_schema','json_schema':{'name':''}}",
         "response_format.json_schema.name", "string_below_min_length"},
        {FT_TASK_CHAT, "'response_format':{'type':'json_object','x':1}", "response_format.x",
         "unknown_parameter"},
        {FT_TASK_CHAT, "'response_format':{'type':'regex'}", "response_format.regex",
         "missing_required_parameter"},
        {FT_TASK_TEXT, "'logprobs':21", "logprobs", "integer_above_max_value"},
        {FT_TASK_TEXT, "'best_of':2,'n':3", "best_of", "invalid_value"},
        {FT_TASK_TEXT, "'best_of':2,'stream':true", "best_of", "invalid_value"},
        {FT_TASK_TEXT, "'max_tokens':0", "max_tokens", "integer_below_min_value"},
        {FT_TASK_TEXT, "'top_logprobs':1", "top_logprobs", "unknown_parameter"},
        {FT_TASK_EMBED, "'encoding_format':'hex'", "encoding_format", "invalid_value"},
        {FT_TASK_EMBED, "'dimensions':0", "dimensions", "integer_below_min_value"},
        {FT_TASK_EMBED, "'temperature':0", "temperature", "unknown_parameter"},
        {FT_TASK_RERANK, "'top_n':0", "top_n", "integer_below_min_value"},
    };
    check_all(rows, sizeof rows / sizeof rows[0], FT_OAI_GATEWAY);
}

static void test_parameters_of_tools_are_a_schema(void **state)
{
    (void)state;
#define T(schema) "'tools':[{'type':'function','function':{'name':'a','parameters':{" schema "}}}]"
#define P         "tools[0].function.parameters"
    static const char *const no = "invalid_type";
    const struct bad rows[] = {
        {FT_TASK_CHAT, T("'type':5"), P ".type", no},
        {FT_TASK_CHAT, T("'type':['string',5]"), P ".type[1]", no},
        {FT_TASK_CHAT, T("'properties':0"), P ".properties", no},
        {FT_TASK_CHAT, T("'properties':{'c':'string'}"), P ".properties.c", no},
        {FT_TASK_CHAT, T("'properties':{'c':{'maxLength':'3'}}"), P ".properties.c.maxLength", no},
        {FT_TASK_CHAT, T("'properties':{'c':{'minItems':-1}}"), P ".properties.c.minItems",
         "integer_below_min_value"},
        {FT_TASK_CHAT, T("'required':true"), P ".required", no},
        {FT_TASK_CHAT, T("'required':[1]"), P ".required[0]", no},
        {FT_TASK_CHAT, T("'additionalProperties':'no'"), P ".additionalProperties", no},
        {FT_TASK_CHAT, T("'items':{'enum':'a'}"), P ".items.enum", no},
        {FT_TASK_CHAT, T("'items':[{'pattern':1}]"), P ".items[0].pattern", no},
        {FT_TASK_CHAT, T("'anyOf':{}"), P ".anyOf", no},
        {FT_TASK_CHAT, T("'anyOf':[{},{'minimum':'1'}]"), P ".anyOf[1].minimum", no},
        {FT_TASK_CHAT, T("'$defs':{'x':{'not':1}}"), P ".$defs.x.not", no},
    };
#undef P
    check_all(rows, sizeof rows / sizeof rows[0], FT_OAI_GATEWAY);
    struct ft_oai_request q =
        good(CHAT, FT_OAI_GATEWAY,
             "{'model':'m','messages':[{'role':'user','content':'hi'}]," T(
                 "'type':'object','properties':{'type':{'type':['string','null'],'enum':[1,{}],"
                 "'default':null,'description':null},'any':true,'list':{'items':[{},false],"
                 "'minItems':0,'exclusiveMinimum':true,'x-own':5}},'required':[],"
                 "'additionalProperties':false,'$schema':'s'") "}");
    ft_oai_request_fini(&q);
#undef T
}

static void test_what_is_not_done_is_refused_by_name(void **state)
{
    (void)state;
    static const char *const no = "unsupported_parameter";
    const struct bad rows[] = {
        {FT_TASK_CHAT, "'audio':{}", "audio", no},
        {FT_TASK_CHAT, "'modalities':['text','audio']", "modalities", no},
        {FT_TASK_CHAT, "'prediction':{}", "prediction", no},
        {FT_TASK_CHAT, "'web_search_options':{}", "web_search_options", no},
        {FT_TASK_CHAT, "'functions':[]", "functions", no},
        {FT_TASK_CHAT, "'function_call':'auto'", "function_call", no},
        {FT_TASK_CHAT, "'moderation':{}", "moderation", no},
        {FT_TASK_CHAT, "'store':true", "store", no},
        {FT_TASK_CHAT, "'service_tier':'flex'", "service_tier", no},
        {FT_TASK_CHAT, "'verbosity':'low'", "verbosity", no},
        {FT_TASK_CHAT, "'service_tier':'ultrafast'", "service_tier", no},
        {FT_TASK_CHAT, "'prompt_cache_retention':'24h'", "prompt_cache_retention", no},
        {FT_TASK_CHAT, "'prompt_cache_options':{}", "prompt_cache_options", no},
        {FT_TASK_TEXT, "'suffix':'x'", "suffix", no},
        {FT_TASK_RERANK, "'max_chunks_per_doc':1", "max_chunks_per_doc", no},
        {FT_TASK_RERANK, "'max_tokens_per_doc':1", "max_tokens_per_doc", no},
        {FT_TASK_RERANK, "'rank_fields':['a']", "rank_fields", no},
        {FT_TASK_CHAT, "'nonsense':1", "nonsense", "unknown_parameter"},
        {FT_TASK_CHAT, "'feitian':{}", "feitian", "unknown_parameter"},
    };
    check_all(rows, sizeof rows / sizeof rows[0], FT_OAI_GATEWAY);
    /* null is absent, whatever the member */
    struct ft_oai_request q = good(CHAT, FT_OAI_GATEWAY,
                                   "{'model':'m',"
                                   "'messages':[{'role':'user','content':'hi'}],"
                                   "'audio':null,'functions':null,'temperature':null,'stop':null,"
                                   "'tools':null,'tool_choice':null,'response_format':null}");
    assert_int_equal(q.set, 0);
    ft_oai_request_fini(&q);
}

static void test_what_is_missing_is_named(void **state)
{
    (void)state;
    static const struct {
        enum ft_task_kind kind;
        const char *text, *param;
    } rows[] = {
        {FT_TASK_CHAT, "{'messages':[{'role':'user','content':'a'}]}", "model"},
        {FT_TASK_CHAT, "{'model':null,'messages':[{'role':'user','content':'a'}]}", "model"},
        {FT_TASK_CHAT, "{'model':'m'}", "messages"},
        {FT_TASK_TEXT, "{'model':'m'}", "prompt"},
        {FT_TASK_EMBED, "{'model':'m'}", "input"},
        {FT_TASK_RERANK, "{'model':'m','documents':['a']}", "query"},
        {FT_TASK_RERANK, "{'model':'m','query':'a'}", "documents"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        check_bad(&(struct bad){rows[i].kind, "", rows[i].param, "missing_required_parameter"},
                  FT_OAI_GATEWAY, rows[i].text);
}

static void test_messages_that_are_none_are_refused_at_their_place(void **state)
{
    (void)state;
    static const struct {
        const char *messages, *param, *code;
    } rows[] = {
        {"[]", "messages", "array_below_min_length"},
        {"['a']", "messages[0]", "invalid_type"},
        {"[{'content':'a'}]", "messages[0].role", "missing_required_parameter"},
        {"[{'role':'bot','content':'a'}]", "messages[0].role", "invalid_value"},
        {"[{'role':'function','content':'a','name':'f'}]", "messages[0].role",
         "unsupported_parameter"},
        {"[{'role':'user'}]", "messages[0].content", "missing_required_parameter"},
        {"[{'role':'user','content':5}]", "messages[0].content", "invalid_type"},
        {"[{'role':'user','content':'a','tool_calls':[]}]", "messages[0].tool_calls",
         "unknown_parameter"},
        {"[{'role':'user','content':'a','name':5}]", "messages[0].name", "invalid_type"},
        {"[{'role':'user','content':[]}]", "messages[0].content", "array_below_min_length"},
        {"[{'role':'user','content':[{'type':'image_url','image_url':{'url':'x'}}]}]",
         "messages[0].content[0].image_url", "unsupported_parameter"},
        {"[{'role':'user','content':[{'type':'input_audio'}]}]",
         "messages[0].content[0].input_audio", "unsupported_parameter"},
        {"[{'role':'user','content':[{'type':'file'}]}]", "messages[0].content[0].file",
         "unsupported_parameter"},
        {"[{'role':'user','content':[{'type':'text'}]}]", "messages[0].content[0].text",
         "missing_required_parameter"},
        {"[{'role':'user','content':[{'type':'text','text':'a','x':1}]}]",
         "messages[0].content[0].x", "unknown_parameter"},
        {"[{'role':'user','content':[{'type':'refusal','refusal':'a'}]}]",
         "messages[0].content[0].type", "invalid_value"},
        {"[{'role':'assistant'}]", "messages[0].content", "missing_required_parameter"},
        {"[{'role':'assistant','function_call':{}}]", "messages[0].function_call",
         "unsupported_parameter"},
        {"[{'role':'assistant','audio':{'id':'a'}}]", "messages[0].audio", "unsupported_parameter"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f'}}]}]",
         "messages[0].tool_calls[0].function.arguments", "missing_required_parameter"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','type':'custom'}]}]",
         "messages[0].tool_calls[0].type", "invalid_value"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f',"
         "'arguments':{}}}]}]",
         "messages[0].tool_calls[0].function.arguments", "invalid_type"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f',"
         "'arguments':'{}'}}]},{'role':'user','content':'x'}]",
         "messages[0].tool_calls", "invalid_value"},
        {"[{'role':'tool','content':'x','tool_call_id':'a'}]", "messages[0].tool_call_id",
         "invalid_value"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f',"
         "'arguments':'{}'}}]},{'role':'tool','content':'x','tool_call_id':'b'}]",
         "messages[1].tool_call_id", "invalid_value"},
        {"[{'role':'assistant','tool_calls':[{'id':'a','function':{'name':'f',"
         "'arguments':'{}'}}]},{'role':'tool','content':'x'}]",
         "messages[1].tool_call_id", "missing_required_parameter"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[1024];
        snprintf(text, sizeof text, "{'model':'m','messages':%s}", rows[i].messages);
        check_bad(&(struct bad){FT_TASK_CHAT, "", rows[i].param, rows[i].code}, FT_OAI_GATEWAY,
                  text);
    }
}

static void test_tools_that_are_none_are_refused_at_their_place(void **state)
{
    (void)state;
#define TOOL "'tools':[{'type':'function','function':{'name':'f'}}]"
    static const struct bad rows[] = {
        {FT_TASK_CHAT, "'tools':[{}]", "tools[0].type", "missing_required_parameter"},
        {FT_TASK_CHAT, "'tools':[{'type':'custom','custom':{}}]", "tools[0].type",
         "unsupported_parameter"},
        {FT_TASK_CHAT, "'tools':[{'type':'function'}]", "tools[0].function",
         "missing_required_parameter"},
        {FT_TASK_CHAT, "'tools':[{'type':'function','function':{}}]", "tools[0].function.name",
         "missing_required_parameter"},
        {FT_TASK_CHAT, "'tools':[{'type':'function','function':{'name':'a.b'}}]",
         "tools[0].function.name", "invalid_value"},
        {FT_TASK_CHAT, "'tools':[{'type':'function','function':{'name':'a','parameters':1}}]",
         "tools[0].function.parameters", "invalid_type"},
        {FT_TASK_CHAT, "'tools':[{'type':'function','function':{'name':'a','x':1}}]",
         "tools[0].function.x", "unknown_parameter"},
        {FT_TASK_CHAT,
         "'tools':[{'type':'function','function':{'name':'a'}},"
         "{'type':'function','function':{'name':'a'}}]",
         "tools[1].function.name", "invalid_value"},
        {FT_TASK_CHAT, "'tool_choice':'required'", "tool_choice", "invalid_value"},
        {FT_TASK_CHAT, TOOL ",'tool_choice':'any'", "tool_choice", "invalid_value"},
        {FT_TASK_CHAT, TOOL ",'tool_choice':{'type':'function','function':{'name':'g'}}",
         "tool_choice.function.name", "invalid_value"},
        {FT_TASK_CHAT, TOOL ",'tool_choice':{'type':'function'}", "tool_choice.function",
         "missing_required_parameter"},
        {FT_TASK_CHAT, TOOL ",'tool_choice':{'type':'allowed_tools'}", "tool_choice.allowed_tools",
         "missing_required_parameter"},
        {FT_TASK_CHAT,
         TOOL ",'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':'auto','tools':"
              "[{'type':'function','function':{'name':'g'}}]}}",
         "tool_choice.allowed_tools.tools[0].function.name", "invalid_value"},
    };
    check_all(rows, sizeof rows / sizeof rows[0], FT_OAI_GATEWAY);
}

static void test_json_is_bounded_and_checked(void **state)
{
    (void)state;
    struct ft_oai_request q;
    struct ft_oai_error e;
    static const char *const broken[] = {
        "",
        "{",
        "[]",
        "null",
        "{'model':'m'} x",
        "{'model':'m','model':'m'}",
        "{'model':'\xff'}",
        "{'model':'\\ud800'}",
        "{'n':01}",
    };
    for (size_t i = 0; i < sizeof broken / sizeof broken[0]; i++) {
        assert_int_equal(parse(CHAT, FT_OAI_GATEWAY, broken[i], &q, &e), FT_EINVAL);
        assert_string_equal(ft_oai_error_code(&e), "invalid_json");
    }
    /* JSON that is not taken is told by the place where it stands */
    static const struct {
        const char *text, *param;
    } named[] = {
        {"{'model':'a\\u0000b'}", "model"},
        {"{'n':123456789012345678901}", "n"},
        {"{'model':'m','stop':['a','b'], 'temperature' : 1e999 ,'n':1}", "temperature"},
        {"{'seed':-9223372036854775809}", "seed"},
        {"{'messages':[{'role':'u','content':[]},{'a':{'}':1},'content':['x',{'text':'\\u0000'}]}]"
         "}",
         "messages[1].content[1].text"},
        {"{'logit_bias':{'a\\'b':[1,[2,99999999999999999999]]}}", "logit_bias.a\\'b[1][1]"},
        {"{'a':{},'b':[],'c\\u0000':1}", "c\\u0000"},
    };
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++) {
        assert_int_equal(parse(CHAT, FT_OAI_GATEWAY, named[i].text, &q, &e), FT_EINVAL);
        if (strcmp(ft_oai_error_code(&e), "invalid_value") != 0)
            fail_msg("%s: %s", named[i].text, e.err.msg);
        char *want = double_quotes(named[i].param);
        assert_string_equal(e.param, want);
        free(want);
    }
    char deep[600];
    memset(deep, '[', sizeof deep);
    assert_int_equal(ft_oai_parse(CHAT, FT_OAI_GATEWAY, deep, sizeof deep, &q, &e), FT_EINVAL);
    assert_non_null(strstr(e.err.msg, "nested"));
    size_t n = (size_t)4 << 20;
    char *bomb = malloc(n);
    for (size_t i = 0; i < n; i++)
        bomb[i] = "[],"[i % 3];
    assert_int_equal(ft_oai_parse(CHAT, FT_OAI_GATEWAY, bomb, n, &q, &e), FT_ELIMIT);
    assert_int_equal(ft_oai_parse(CHAT, FT_OAI_GATEWAY, bomb, FT_OAI_BODY_BYTES_MAX + 1, &q, &e),
                     FT_ELIMIT);
    free(bomb);
}

/* ---- what is accepted ---- */

static void test_every_sampling_member_arrives(void **state)
{
    (void)state;
    struct ft_oai_request q = good(
        CHAT, FT_OAI_GATEWAY,
        "{'model':'m','messages':[{'role':'user','content':'hi'}],'stream':true,"
        "'stream_options':{'include_usage':true},'n':3,'max_completion_tokens':7,'min_tokens':2,"
        "'temperature':0.5,'top_p':0.25,'top_k':5,'min_p':0.125,'typical_p':0.75,"
        "'repetition_penalty':1.5,'presence_penalty':-1,'frequency_penalty':2,'seed':-1,"
        "'stop':['a','bc'],'stop_token_ids':[4,5],'ignore_eos':true,'logprobs':true,"
        "'top_logprobs':4,'logit_bias':{'50':-100,'7':0.5},'parallel_tool_calls':false,"
        "'user':'u','metadata':{'k':'v'},'store':false,'service_tier':'auto',"
        "'reasoning_effort':'none'}");
    assert_string_equal(q.model, "m");
    assert_true(q.stream && q.include_usage && q.ignore_eos && q.logprobs && !q.parallel_calls);
    assert_int_equal(q.n, 3);
    assert_int_equal(q.best_of, 3);
    assert_int_equal(q.max_tokens, 7);
    assert_int_equal(q.min_tokens, 2);
    assert_true(q.temperature == 0.5f && q.top_p == 0.25f && q.min_p == 0.125f &&
                q.typical_p == 0.75f && q.repetition_penalty == 1.5f && q.presence_penalty == -1 &&
                q.frequency_penalty == 2);
    assert_int_equal(q.top_k, 5);
    assert_true(q.seed == UINT64_MAX);
    assert_int_equal(q.n_stop, 2);
    assert_memory_equal(q.stop[1].p, "bc", 3);
    assert_int_equal(q.n_stop_id, 2);
    assert_int_equal(q.stop_id[1], 5);
    assert_int_equal(q.n_top, 4);
    assert_int_equal(q.n_bias, 2);
    assert_int_equal(q.bias[0].token, 50);
    assert_true(q.bias[0].bias == -100 && q.bias[1].bias == 0.5f);
    assert_int_equal(q.think, FT_OAI_THINK_OFF);
    assert_string_equal(q.effort, "none");
    assert_string_equal(q.user, "u");
    assert_int_equal(q.set, 0x3ff);
    ft_oai_request_fini(&q);
}

static void test_messages_take_the_form_of_templates(void **state)
{
    (void)state;
    struct ft_oai_request q = good(
        CHAT, FT_OAI_GATEWAY,
        "{'model':'m','messages':[{'role':'developer','content':'be'},"
        "{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]},"
        "{'role':'assistant','content':null,'refusal':null,'annotations':[],'audio':null,"
        "'function_call':null,'reasoning':'hm','parsed':null,'tool_calls':[{'id':'x','index':0,"
        "'type':'function','function':{'name':'f','arguments':'','parsed_arguments':null}}]},"
        "{'role':'tool','tool_call_id':'x','content':[{'type':'text','text':'r'}]},"
        "{'role':'assistant','refusal':'no'}]}");
    char *text = json_dumps(q.messages, JSON_COMPACT);
    char *wanted = double_quotes(
        "[{'role':'system','content':'be'},{'role':'user','content':'a\\nb'},"
        "{'role':'assistant','content':null,'tool_calls':[{'id':'x','type':'function',"
        "'function':{'name':'f','arguments':'{}'}}],'reasoning_content':'hm'},"
        "{'role':'tool','tool_call_id':'x','content':'r'},{'role':'assistant','content':'no'}]");
    assert_string_equal(text, wanted);
    free(wanted);
    free(text);
    ft_oai_request_fini(&q);
}

static void test_tool_choice_says_which_tools_may_be_called(void **state)
{
    (void)state;
#define TOOLS                                                                                      \
    "{'model':'m','messages':[{'role':'user','content':'hi'}],'tools':[{'type':'function',"        \
    "'function':{'name':'f','description':null,'strict':true}},"                                   \
    "{'type':'function','function':{'name':'g'}}]"
    struct ft_oai_request q = good(CHAT, FT_OAI_GATEWAY, TOOLS "}");
    assert_int_equal(q.choose, FT_OAI_CHOOSE_AUTO);
    assert_int_equal(json_array_size(q.tools), 2);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY, TOOLS ",'tool_choice':'none'}");
    assert_int_equal(q.choose, FT_OAI_CHOOSE_NONE);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY, TOOLS ",'tool_choice':'required'}");
    assert_int_equal(q.choose, FT_OAI_CHOOSE_REQUIRED);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY,
             TOOLS ",'tool_choice':{'type':'function','function':{'name':'g'}}}");
    assert_int_equal(q.choose, FT_OAI_CHOOSE_NAMED);
    assert_string_equal(q.tool_name, "g");
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY,
             TOOLS ",'tool_choice':{'type':'allowed_tools','allowed_tools':{'mode':'required',"
                   "'tools':[{'type':'function','function':{'name':'g'}}]}}}");
    assert_int_equal(q.choose, FT_OAI_CHOOSE_REQUIRED);
    assert_int_equal(json_array_size(q.tools), 1);
    assert_ptr_equal(json_object_get(q.root, "tools"), q.tools);
    assert_string_equal(json_string_value(json_object_get(q.root, "tool_choice")), "required");
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY,
             "{'model':'m','messages':[{'role':'user','content':'hi'}],'tools':[],"
             "'tool_choice':'auto'}");
    assert_null(q.tools);
    assert_int_equal(q.choose, FT_OAI_CHOOSE_NONE);
    ft_oai_request_fini(&q);
}

static void test_formats_come_as_text_to_the_worker(void **state)
{
    (void)state;
#define FORMAT(f)                                                                                  \
    "{'model':'m','messages':[{'role':'user','content':'hi'}],'response_format':" f "}"
    struct ft_oai_request q =
        good(CHAT, FT_OAI_WORKER,
             FORMAT("{'type':'json_schema','json_schema':{'name':'a-b_1','strict':true,'schema':"
                    "{'type':'object','properties':{'b':{},'a':{}}}}}"));
    assert_int_equal(q.format, FT_OAI_FORMAT_SCHEMA);
    assert_true(q.format_strict);
    assert_string_equal(q.format_text.p,
                        "{\"type\":\"object\",\"properties\":{\"b\":{},\"a\":{}}}");
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_WORKER, FORMAT("{'type':'json_object'}"));
    assert_int_equal(q.format, FT_OAI_FORMAT_JSON);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_WORKER, FORMAT("{'type':'regex','regex':'a+'}"));
    assert_int_equal(q.format, FT_OAI_FORMAT_REGEX);
    assert_int_equal(q.format_text.n, 2);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_WORKER, FORMAT("{'type':'gbnf','gbnf':'root ::= [a]'}"));
    assert_int_equal(q.format, FT_OAI_FORMAT_GBNF);
    ft_oai_request_fini(&q);
    q = good(CHAT, FT_OAI_GATEWAY, FORMAT("{'type':'text'}"));
    assert_int_equal(q.format, FT_OAI_FORMAT_TEXT);
    ft_oai_request_fini(&q);
}

static void test_prompts_come_in_four_forms(void **state)
{
    (void)state;
    struct ft_oai_request q = good(TEXT, FT_OAI_GATEWAY, "{'model':'m','prompt':'abc'}");
    assert_int_equal(q.n_input, 1);
    assert_int_equal(q.input[0].text.n, 3);
    assert_int_equal(q.max_tokens, 16);
    ft_oai_request_fini(&q);
    q = good(TEXT, FT_OAI_GATEWAY, "{'model':'m','prompt':['a','b'],'max_tokens':5}");
    assert_int_equal(q.n_input, 2);
    assert_int_equal(q.max_tokens, 5);
    ft_oai_request_fini(&q);
    q = good(TEXT, FT_OAI_GATEWAY, "{'model':'m','prompt':[1,2,3]}");
    assert_int_equal(q.n_input, 1);
    assert_int_equal(q.input[0].n_ids, 3);
    ft_oai_request_fini(&q);
    q = good(TEXT, FT_OAI_GATEWAY, "{'model':'m','prompt':[[1,2],[3]],'echo':true,'max_tokens':0}");
    assert_int_equal(q.n_input, 2);
    assert_int_equal(q.input[0].n_ids, 2);
    assert_true(q.echo && q.max_zero);
    ft_oai_request_fini(&q);
    static const struct {
        const char *prompt, *param, *code;
    } bad[] = {
        {"[]", "prompt", "array_below_min_length"},
        {"[1,'a']", "prompt[1]", "invalid_type"},
        {"['a',1]", "prompt[1]", "invalid_type"},
        {"[[1],[]]", "prompt[1]", "array_below_min_length"},
        {"[[1.5]]", "prompt[0][0]", "invalid_type"},
        {"[-1]", "prompt[0]", "integer_below_min_value"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        char text[256];
        snprintf(text, sizeof text, "{'model':'m','prompt':%s}", bad[i].prompt);
        check_bad(&(struct bad){TEXT, "", bad[i].param, bad[i].code}, FT_OAI_GATEWAY, text);
    }
}

static void test_the_best_of_several_is_the_gateways_to_choose(void **state)
{
    (void)state;
    struct ft_oai_request q =
        good(TEXT, FT_OAI_GATEWAY, "{'model':'m','prompt':'a','n':2,'best_of':4}");
    assert_int_equal(q.n, 2);
    assert_int_equal(q.best_of, 4);
    assert_false(q.logprobs);
    assert_int_equal(json_integer_value(json_object_get(q.root, "n")), 4);
    assert_true(json_is_integer(json_object_get(q.root, "logprobs")));
    assert_null(json_object_get(q.root, "best_of"));
    ft_oai_request_fini(&q);
    check_bad(&(struct bad){TEXT, "", "best_of", "unsupported_parameter"}, FT_OAI_WORKER,
              "{'model':'m','prompt':'a','n':2,'best_of':4}");
    check_bad(&(struct bad){TEXT, "", "n", "invalid_value"}, FT_OAI_WORKER,
              "{'model':'m','prompt':['a','b'],'n':65}");
}

static void test_embeddings_and_ranks_are_asked_for(void **state)
{
    (void)state;
    struct ft_oai_request q =
        good(EMBED, FT_OAI_GATEWAY, "{'model':'m','input':['a',[1,2]],'dimensions':8,'user':'u'}");
    assert_int_equal(q.n_input, 2);
    assert_int_equal(q.input[1].n_ids, 2);
    assert_int_equal(q.dimensions, 8);
    assert_false(q.base64);
    assert_string_equal(json_string_value(json_object_get(q.root, "encoding_format")), "base64");
    ft_oai_request_fini(&q);
    q = good(EMBED, FT_OAI_WORKER, "{'model':'m','input':'a','encoding_format':'base64'}");
    assert_true(q.base64);
    ft_oai_request_fini(&q);
    check_bad(&(struct bad){EMBED, "", "input", "invalid_value"}, FT_OAI_GATEWAY,
              "{'model':'m','input':''}");
    check_bad(&(struct bad){EMBED, "", "input[1]", "invalid_value"}, FT_OAI_GATEWAY,
              "{'model':'m','input':['a','']}");
    q = good(RERANK, FT_OAI_GATEWAY,
             "{'model':'m','query':'q','documents':['a',{'text':'bc'}],'top_n':1,"
             "'return_documents':true}");
    assert_int_equal(q.n_document, 2);
    assert_int_equal(q.document[1].n, 2);
    assert_int_equal(q.top_n, 1);
    assert_true(q.return_documents);
    ft_oai_request_fini(&q);
    check_bad(&(struct bad){RERANK, "", "documents[1]", "invalid_type"}, FT_OAI_GATEWAY,
              "{'model':'m','query':'q','documents':['a',5]}");
}

static void test_a_worker_is_told_more(void **state)
{
    (void)state;
    struct ft_oai_request q =
        good(CHAT, FT_OAI_WORKER,
             "{'model':'m','messages':[{'role':'user','content':'hi'}],'n':2,"
             "'stop':['a','b','c','d','e'],'feitian':{'id':'req_1','salt':'p','caller':'p',"
             "'weight':2.5,'priority':-3,'resume':[[1,2],[]]}}");
    assert_true(q.inner.present);
    assert_string_equal(q.inner.id, "req_1");
    assert_true(q.inner.weight == 2.5f);
    assert_int_equal(q.inner.priority, -3);
    assert_int_equal(q.inner.n_resume, 2);
    assert_int_equal(q.n_stop, 5);
    ft_oai_request_fini(&q);
    static const struct bad rows[] = {
        {FT_TASK_CHAT, "'feitian':1", "feitian", "invalid_type"},
        {FT_TASK_CHAT, "'feitian':{'x':1}", "feitian.x", "unknown_parameter"},
        {FT_TASK_CHAT, "'feitian':{'weight':0}", "feitian.weight", "decimal_below_min_value"},
        {FT_TASK_CHAT, "'feitian':{'resume':[1]}", "feitian.resume[0]", "invalid_type"},
        {FT_TASK_CHAT, "'feitian':{'resume':[[],[]]}", "feitian.resume", "invalid_value"},
    };
    check_all(rows, sizeof rows / sizeof rows[0], FT_OAI_WORKER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_member_refuses_every_wrong_type),
        cmocka_unit_test(test_values_out_of_range_are_named),
        cmocka_unit_test(test_parameters_of_tools_are_a_schema),
        cmocka_unit_test(test_what_is_not_done_is_refused_by_name),
        cmocka_unit_test(test_what_is_missing_is_named),
        cmocka_unit_test(test_messages_that_are_none_are_refused_at_their_place),
        cmocka_unit_test(test_tools_that_are_none_are_refused_at_their_place),
        cmocka_unit_test(test_json_is_bounded_and_checked),
        cmocka_unit_test(test_every_sampling_member_arrives),
        cmocka_unit_test(test_messages_take_the_form_of_templates),
        cmocka_unit_test(test_tool_choice_says_which_tools_may_be_called),
        cmocka_unit_test(test_formats_come_as_text_to_the_worker),
        cmocka_unit_test(test_prompts_come_in_four_forms),
        cmocka_unit_test(test_the_best_of_several_is_the_gateways_to_choose),
        cmocka_unit_test(test_embeddings_and_ranks_are_asked_for),
        cmocka_unit_test(test_a_worker_is_told_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
