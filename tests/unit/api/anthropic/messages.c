/* Anthropic's messages: what they ask of a chat, and the events and objects they are answered with.
 */
#include "testing.h"

#include <stdbool.h>

#include "api/anthropic/messages.h"

#define OUT_MAX (1u << 20)

static char *quoted(const char *s)
{
    char *copy = strdup(s);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static int parse(bool count, const char *text, struct ft_anthropic_request *ret,
                 struct ft_oai_error *e)
{
    char *body = quoted(text);
    ft_oai_error_init(e);
    int rc = ft_anthropic_parse(count, body, strlen(body), ret, e);
    free(body);
    return rc;
}

static struct ft_anthropic_request good(bool count, const char *text)
{
    struct ft_anthropic_request r = {.stream = false};
    struct ft_oai_error e;
    if (parse(count, text, &r, &e) != 0)
        fail_msg("%s: %s", text, e.err.msg);
    return r;
}

static void same_json(const json_t *v, const char *wanted)
{
    char *text = json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY), *w = quoted(wanted);
    assert_string_equal(text, w);
    free(text);
    free(w);
}

/* ---- requests ---- */

static void test_a_request_becomes_a_chat_request(void **state)
{
    (void)state;
    struct ft_anthropic_request r =
        good(false,
             "{'model':'m','max_tokens':2000,'system':[{'type':'text','text':'be','cache_control':"
             "{'type':'ephemeral','ttl':'1h'}}],'messages':[{'role':'user','content':'hi'}],"
             "'temperature':0.5,'top_p':0.25,'top_k':5,'stop_sequences':['a','b','c','d','e'],"
             "'stream':true,'metadata':{'user_id':'u'},'service_tier':'auto',"
             "'thinking':{'type':'enabled','budget_tokens':1024,'display':'omitted'},"
             "'tools':[{'name':'f','description':'d','input_schema':{'type':'object'},"
             "'type':'custom','cache_control':{'type':'ephemeral'}}],"
             "'tool_choice':{'type':'tool','name':'f','disable_parallel_tool_use':true}}");
    assert_true(r.stream && r.omit_thinking && r.chat.stream);
    assert_string_equal(r.chat.model, "m");
    assert_int_equal(r.chat.max_tokens, 2000);
    assert_int_equal(r.chat.n_stop, 5);
    assert_int_equal(r.chat.top_k, 5);
    assert_true(r.chat.temperature == 0.5f && r.chat.top_p == 0.25f);
    assert_int_equal(r.chat.think, FT_OAI_THINK_ON);
    assert_int_equal(r.chat.choose, FT_OAI_CHOOSE_NAMED);
    assert_false(r.chat.parallel_calls);
    assert_string_equal(r.chat.user, "u");
    same_json(r.chat.messages, "[{'role':'system','content':'be'},{'role':'user','content':'hi'}]");
    same_json(r.chat.tools, "[{'type':'function','function':{'name':'f','description':'d',"
                            "'parameters':{'type':'object'}}}]");
    ft_anthropic_request_fini(&r);
    r = good(true, "{'model':'m','messages':[{'role':'user','content':'hi'}]}");
    assert_int_equal(r.chat.kind, FT_TASK_COUNT);
    assert_int_equal(r.chat.think, FT_OAI_THINK_OFF);
    ft_anthropic_request_fini(&r);
    r = good(false, "{'model':'m','max_tokens':5,'messages':[{'role':'user','content':'hi'}],"
                    "'output_config':{'effort':'max','format':{'type':'json_schema','schema':{}}},"
                    "'tool_choice':{'type':'auto'}}");
    assert_int_equal(r.chat.format, FT_OAI_FORMAT_SCHEMA);
    assert_string_equal(r.chat.effort, "xhigh");
    assert_int_equal(r.chat.think, FT_OAI_THINK_OFF);
    ft_anthropic_request_fini(&r);
}

static void test_blocks_become_messages(void **state)
{
    (void)state;
    struct ft_anthropic_request r = good(
        false, "{'model':'m','max_tokens':5,'system':'be','messages':["
               "{'role':'user','content':[{'type':'text','text':'a'},{'type':'text','text':'b'}]},"
               "{'role':'user','content':'c'},"
               "{'role':'assistant','content':[{'type':'thinking','thinking':'hm',"
               "'signature':''},{'type':'text','text':'d','citations':null},"
               "{'type':'tool_use','id':'x','name':'f','input':{'q':1}},"
               "{'type':'tool_use','id':'y','name':'g','input':{}}]},"
               "{'role':'user','content':[{'type':'tool_result','tool_use_id':'y',"
               "'content':'1'},{'type':'tool_result','tool_use_id':'x','is_error':true,'content':"
               "[{'type':'text','text':'no'}]},{'type':'text','text':'e'}]},"
               "{'role':'assistant','content':[{'type':'tool_use','id':'z','name':'f',"
               "'input':{}}]},"
               "{'role':'user','content':[{'type':'tool_result','tool_use_id':'z'}]}]}");
    same_json(r.chat.messages,
              "[{'role':'system','content':'be'},{'role':'user','content':'a\\nb\\nc'},"
              "{'role':'assistant','content':'d','reasoning_content':'hm','tool_calls':["
              "{'id':'x','type':'function','function':{'name':'f','arguments':'{\\'q\\':1}'}},"
              "{'id':'y','type':'function','function':{'name':'g','arguments':'{}'}}]},"
              "{'role':'tool','tool_call_id':'y','content':'1'},"
              "{'role':'tool','tool_call_id':'x','content':'Error: no'},"
              "{'role':'user','content':'e'},"
              "{'role':'assistant','content':null,'tool_calls':[{'id':'z','type':'function',"
              "'function':{'name':'f','arguments':'{}'}}]},"
              "{'role':'tool','tool_call_id':'z','content':''}]");
    ft_anthropic_request_fini(&r);
}

static void test_the_system_may_speak_between_turns(void **state)
{
    (void)state;
    struct ft_anthropic_request r =
        good(false, "{'model':'m','max_tokens':5,'system':'be','messages':["
                    "{'role':'user','content':'a'},{'role':'system','content':'now'},"
                    "{'role':'user','content':'b'},{'role':'assistant','content':'c'},"
                    "{'role':'user','content':'d'},{'role':'system','content':["
                    "{'type':'text','text':'e'},{'type':'text','text':'f'}]}]}");
    same_json(r.chat.messages, "[{'role':'system','content':'be'},{'role':'user','content':'a'},"
                               "{'role':'system','content':'now'},{'role':'user','content':'b'},"
                               "{'role':'assistant','content':'c'},{'role':'user','content':'d'},"
                               "{'role':'system','content':'e\\nf'}]");
    ft_anthropic_request_fini(&r);
}

/* The SDK's tool runner asks for a thread, and goes on without one when it reads this code. */
static void test_a_refused_thread_is_told_in_details(void **state)
{
    (void)state;
    struct ft_anthropic_request r;
    struct ft_oai_error e;
    struct ft_buf out;
    assert_int_not_equal(parse(false,
                               "{'model':'m','max_tokens':5,'thread':{'type':'create'},"
                               "'messages':[{'role':'user','content':'a'}]}",
                               &r, &e),
                         0);
    ft_buf_init(&out, 4096);
    ft_anthropic_error_write(&e, NULL, &out);
    assert_non_null(
        strstr(out.data, "\"details\":{\"error_code\":\"thread_unsupported_request\"}}"));
    ft_buf_fini(&out);
}

/* long: a table */
#define U "'messages':[{'role':'user','content':'hi'}]"
static const struct {
    const char *members, *param;
} WRONG[] = {
    {"'max_tokens':5", "messages"},
    {U, "max_tokens"},
    {U ",'max_tokens':0", "max_tokens"},
    {U ",'max_tokens':'5'", "max_tokens"},
    {U ",'max_tokens':5,'temperature':1.5", "temperature"},
    {U ",'max_tokens':5,'temperature':'1'", "temperature"},
    {U ",'max_tokens':5,'top_p':2", "top_p"},
    {U ",'max_tokens':5,'top_k':-1", "top_k"},
    {U ",'max_tokens':5,'top_k':0.5", "top_k"},
    {U ",'max_tokens':5,'stream':1", "stream"},
    {U ",'max_tokens':5,'stop_sequences':'a'", "stop_sequences"},
    {U ",'max_tokens':5,'stop_sequences':['']", "stop_sequences[0]"},
    {U ",'max_tokens':5,'metadata':{'x':1}", "metadata.x"},
    {U ",'max_tokens':5,'metadata':{'user_id':1}", "metadata.user_id"},
    {U ",'max_tokens':5,'service_tier':'x'", "service_tier"},
    {U ",'max_tokens':5,'speed':'fast'", "speed"},
    {U ",'max_tokens':5,'cache_control':{'type':'x'}", "cache_control.type"},
    {U ",'max_tokens':5,'system':5", "system"},
    {U ",'max_tokens':5,'system':[{'type':'image'}]", "system[0].image"},
    {U ",'max_tokens':5,'thinking':{'type':'enabled'}", "thinking.budget_tokens"},
    {U ",'max_tokens':5,'thinking':{'type':'enabled','budget_tokens':5}", "thinking.budget_tokens"},
    {U ",'max_tokens':1024,'thinking':{'type':'enabled','budget_tokens':1024}",
     "thinking.budget_tokens"},
    {U ",'max_tokens':5,'thinking':{'type':'disabled','budget_tokens':5}",
     "thinking.budget_tokens"},
    {U ",'max_tokens':5,'thinking':{'type':'x'}", "thinking.type"},
    {U ",'max_tokens':5,'output_config':{'format':{'type':'x','schema':{}}}",
     "output_config.format.type"},
    {U ",'max_tokens':5,'output_config':{'effort':'x'}", "output_config.effort"},
    {U ",'max_tokens':5,'tools':[{'type':'bash_20250124','name':'bash'}]", "tools[0].type"},
    {U ",'max_tokens':5,'tools':[{'name':'f'}]", "tools[0].input_schema"},
    {U ",'max_tokens':5,'tools':[{'name':'f','input_schema':{'properties':{'a':1}}}]",
     "tools[0].input_schema.properties.a"},
    {U ",'max_tokens':5,'tools':[{'name':'a b','input_schema':{}}]", "tools[0].name"},
    {U ",'max_tokens':5,'tools':[{'name':'a','input_schema':{},'x':1}]", "tools[0].x"},
    {U ",'max_tokens':5,'tools':[{'name':'a','input_schema':{}},"
       "{'name':'a','input_schema':{}}]",
     "tools[1].name"},
    {U ",'max_tokens':5,'tool_choice':{'type':'any'}", "tool_choice"},
    {U ",'max_tokens':5,'tool_choice':'any'", "tool_choice"},
    {U ",'max_tokens':5,'tool_choice':{'type':'tool'}", "tool_choice.name"},
    {U ",'max_tokens':5,'tools':[{'name':'f','input_schema':{}}],"
       "'tool_choice':{'type':'tool','name':'g'}",
     "tool_choice.name"},
    {U ",'max_tokens':5,'container':'x'", "container"},
    {U ",'max_tokens':5,'mcp_servers':[]", "mcp_servers"},
    {U ",'max_tokens':5,'context_management':{}", "context_management"},
    {U ",'max_tokens':5,'nonsense':1", "nonsense"},
    {U ",'max_tokens':5,'thread':{'type':'create'}", "thread"},
    {"'max_tokens':5,'messages':[{'role':'assistant','content':[{'type':'thinking','thinking':"
     "'t','signature':5}]}]",
     "messages[0].content[0].signature"},
    {"'max_tokens':5,'messages':[{'role':'assistant','content':[{'type':'tool_use','id':'a',"
     "'name':'f','input':{}}]},{'role':'system','content':'x'}]",
     "messages[1].role"},
    {"'max_tokens':5,'messages':[{'role':'user','content':'a'},{'role':'system','content':[{"
     "'type':'image'}]}]",
     "messages[1].content[0].image"},
    {"'max_tokens':5,'messages':[]", "messages"},
    {"'max_tokens':5,'messages':'hi'", "messages"},
    {"'max_tokens':5,'messages':[{'role':'system','content':'a'}]", "messages[0].role"},
    {"'max_tokens':5,'messages':[{'role':'user'}]", "messages[0].content"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[]}]", "messages[0].content"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[{'type':'image','source':{}}]}]",
     "messages[0].content[0].image"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[{'type':'document'}]}]",
     "messages[0].content[0].document"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[{'type':'tool_use'}]}]",
     "messages[0].content[0].type"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[{'type':'text'}]}]",
     "messages[0].content[0].text"},
    {"'max_tokens':5,'messages':[{'role':'user','content':[{'type':'tool_result',"
     "'tool_use_id':'a'}]}]",
     "messages[0].content[0].tool_use_id"},
    {"'max_tokens':5,'messages':[{'role':'assistant','content':[{'type':'tool_use','id':'a',"
     "'name':'f','input':{}}]},{'role':'user','content':'x'}]",
     "messages[1].content"},
    {"'max_tokens':5,'messages':[{'role':'assistant','content':[{'type':'tool_use','id':'a',"
     "'name':'f','input':'{}'}]}]",
     "messages[0].content[0].input"},
    {"'max_tokens':5,'messages':[{'role':'user','content':'a'},"
     "{'role':'assistant','content':'b'}]",
     "messages[1]"},
};

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < FT_COUNT(WRONG); i++) {
        char text[512];
        struct ft_anthropic_request r;
        struct ft_oai_error e;
        snprintf(text, sizeof text, "{'model':'m',%s}", WRONG[i].members);
        if (parse(false, text, &r, &e) == 0)
            fail_msg("accepted: %s", text);
        if (strcmp(e.param, WRONG[i].param) != 0 || ft_anthropic_error_status(&e) != 400 ||
            strstr(e.err.msg, WRONG[i].param) == NULL)
            fail_msg("%s: param %s: %s", text, e.param, e.err.msg);
    }
    struct ft_anthropic_request r;
    struct ft_oai_error e;
    assert_int_not_equal(parse(true, "{'model':'m'," U ",'max_tokens':5}", &r, &e), 0);
    assert_string_equal(e.param, "max_tokens");
}

/* ---- answers ---- */

struct w {
    struct ft_oai_writer *w;
    struct ft_buf out;
};

static struct w open_writer(bool count, const char *more)
{
    char text[512];
    snprintf(text, sizeof text, "{'model':'m'," U "%s%s}", count ? "" : ",'max_tokens':5", more);
    struct ft_anthropic_request r = good(count, text);
    const struct ft_oai_writer_config cfg = {.id = "req_1", .model = "m", .created = 7};
    struct w t;
    ft_buf_init(&t.out, OUT_MAX);
    assert_int_equal(ft_anthropic_writer_open(&cfg, &r, &t.w, NULL), 0);
    ft_anthropic_request_fini(&r);
    return t;
}

static void give(struct w *t, enum ft_piece_kind kind, const char *s)
{
    assert_int_equal(
        ft_oai_writer_piece(
            t->w, &(struct ft_piece){.kind = kind, .text = {s, strlen(s)}, .call_id = {"x", 1}},
            &t->out),
        0);
}

static void finish(struct w *t, enum ft_answer_finish f, const char *stop)
{
    const struct ft_piece p = {
        .kind = FT_PIECE_FINISH, .finish = f, .stop = {stop, stop != NULL ? strlen(stop) : 0}};
    assert_int_equal(ft_oai_writer_piece(t->w, &p, &t->out), 0);
}

static void end(struct w *t, const struct ft_err *err)
{
    const struct ft_piece p = {
        .kind = FT_PIECE_END,
        .err = err,
        .usage = {.prompt_tokens = 7, .cached_tokens = 2, .completion_tokens = 4}};
    assert_int_equal(ft_oai_writer_piece(t->w, &p, &t->out), 0);
}

static void same(struct w *t, const char *wanted)
{
    char *w = quoted(wanted);
    assert_string_equal(t->out.len > 0 ? t->out.data : "", w);
    free(w);
    ft_oai_writer_close(t->w);
    ft_buf_fini(&t->out);
}

#define EVENT(type, rest) "event: " type "\ndata: {'type':'" type "'" rest "}\n\n"
#define MORE_USAGE                                                                                 \
    ",'output_tokens_details':{'thinking_tokens':0},'cache_creation':null,"                        \
    "'server_tool_use':null,'service_tier':'standard'"
#define USAGE                                                                                      \
    "'usage':{'input_tokens':5,'cache_creation_input_tokens':0,'cache_read_input_tokens':2,"       \
    "'output_tokens':4" MORE_USAGE "}"
#define START                                                                                      \
    EVENT(                                                                                         \
        "message_start",                                                                           \
        ",'message':{'id':'msg_1','type':'message','role':'assistant','model':'m','content':[],"   \
        "'stop_reason':null,'stop_sequence':null,'usage':{'input_tokens':0,"                       \
        "'cache_creation_input_tokens':0,'cache_read_input_tokens':0,'output_tokens':0" MORE_USAGE \
        "}}")                                                                                      \
    EVENT("ping", "")

static void test_events_come_in_order(void **state)
{
    (void)state;
    struct w t = open_writer(false, ",'stream':true");
    give(&t, FT_PIECE_REASONING, "h");
    give(&t, FT_PIECE_REASONING, "m");
    give(&t, FT_PIECE_STEP, "");
    give(&t, FT_PIECE_CONTENT, "a\"");
    give(&t, FT_PIECE_STEP, "");
    give(&t, FT_PIECE_CALL_BEGIN, "f");
    give(&t, FT_PIECE_CALL_ARGS, "{\"q\":1}");
    give(&t, FT_PIECE_STEP, "");
    finish(&t, FT_ANSWER_CALLS, NULL);
    end(&t, NULL);
    assert_true(ft_oai_writer_streams(t.w));
    same(&t,
         START EVENT("content_block_start",
                     ",'index':0,'content_block':{'type':'thinking','thinking':'',"
                     "'signature':''}")
             EVENT("content_block_delta",
                   ",'index':0,'delta':{'type':'thinking_delta','thinking':'hm'}")
                 EVENT("content_block_stop", ",'index':0") EVENT(
                     "content_block_start", ",'index':1,'content_block':{'type':'text','text':'',"
                                            "'citations':null}")
                     EVENT("content_block_delta",
                           ",'index':1,'delta':{'type':'text_delta','text':'a\\''}")
                         EVENT("content_block_stop", ",'index':1") EVENT(
                             "content_block_start", ",'index':2,'content_block':{'type':'tool_use',"
                                                    "'id':'x','name':'f','input':{}}")
                             EVENT("content_block_delta",
                                   ",'index':2,'delta':{'type':'input_json_delta',"
                                   "'partial_json':'{\\'q\\':1}'}")
                                 EVENT("content_block_stop", ",'index':2")
                                     EVENT("message_delta", ",'delta':{'stop_reason':'tool_use',"
                                                            "'stop_sequence':null}," USAGE)
                                         EVENT("message_stop", ""));
}

static void test_a_stream_begins_with_what_is_known_of_the_prompt(void **state)
{
    (void)state;
    struct w t = open_writer(false, ",'stream':true");
    const struct ft_piece p = {.kind = FT_PIECE_CONTENT,
                               .text = {"a", 1},
                               .usage = {.prompt_tokens = 7, .cached_tokens = 2}};
    assert_int_equal(ft_oai_writer_piece(t.w, &p, &t.out), 0);
    assert_non_null(strstr(t.out.data, "\"stop_sequence\":null,\"usage\":{\"input_tokens\":5,"
                                       "\"cache_creation_input_tokens\":0,"
                                       "\"cache_read_input_tokens\":2,\"output_tokens\":0,"));
    ft_oai_writer_close(t.w);
    ft_buf_fini(&t.out);
}

static void test_what_a_worker_refuses_is_told_by_this_apis_names(void **state)
{
    (void)state;
    struct w t = open_writer(false, "");
    end(&t, &(struct ft_err){FT_EINVAL, 0, "response_format: $ref at #/a: is not here"});
    assert_non_null(strstr(t.out.data, "\"output_config.format: $ref at #/a: is not here\""));
    ft_oai_writer_close(t.w);
    ft_buf_fini(&t.out);
    t = open_writer(false, "");
    end(&t, &(struct ft_err){FT_EINVAL, 0, "tools[12].function.parameters: #/a: is not here"});
    assert_non_null(strstr(t.out.data, "\"tools[12].input_schema: #/a: is not here\""));
    ft_oai_writer_close(t.w);
    ft_buf_fini(&t.out);
}

static void test_a_message_is_one_object(void **state)
{
    (void)state;
    struct w t = open_writer(false, "");
    give(&t, FT_PIECE_REASONING, "hm");
    give(&t, FT_PIECE_CONTENT, "a");
    give(&t, FT_PIECE_CALL_BEGIN, "f");
    give(&t, FT_PIECE_CALL_ARGS, "{ \"q\":1");
    give(&t, FT_PIECE_CALL_ARGS, " }");
    give(&t, FT_PIECE_CALL_BEGIN, "g");
    finish(&t, FT_ANSWER_STOP, "END");
    end(&t, NULL);
    same(&t, "{'id':'msg_1','type':'message','role':'assistant','model':'m','content':["
             "{'type':'thinking','thinking':'hm','signature':''},"
             "{'type':'text','text':'a','citations':null},"
             "{'type':'tool_use','id':'x','name':'f','input':{'q':1}},"
             "{'type':'tool_use','id':'x','name':'g','input':{}}],"
             "'stop_reason':'stop_sequence','stop_sequence':'END'," USAGE "}");
    /* arguments that were cut off are no object, and not lost */
    t = open_writer(false, "");
    give(&t, FT_PIECE_CALL_BEGIN, "f");
    give(&t, FT_PIECE_CALL_ARGS, "{\"q\":");
    finish(&t, FT_ANSWER_LENGTH, NULL);
    end(&t, NULL);
    same(&t, "{'id':'msg_1','type':'message','role':'assistant','model':'m','content':["
             "{'type':'tool_use','id':'x','name':'f','input':{'incomplete_json':'{\\'q\\':'}}],"
             "'stop_reason':'max_tokens','stop_sequence':null," USAGE "}");
    t = open_writer(false, ",'thinking':{'type':'adaptive','display':'omitted'}");
    give(&t, FT_PIECE_REASONING, "hm");
    end(&t, NULL);
    same(&t, "{'id':'msg_1','type':'message','role':'assistant','model':'m','content':[],"
             "'stop_reason':'end_turn','stop_sequence':null," USAGE "}");
}

static void test_a_count_is_a_number(void **state)
{
    (void)state;
    struct w t = open_writer(true, "");
    end(&t, NULL);
    same(&t, "{'input_tokens':7}");
}

static void test_errors_have_anthropics_form(void **state)
{
    (void)state;
    const struct ft_err full = {FT_EBUSY, 0, "no place"};
    struct w t = open_writer(false, ",'stream':true");
    end(&t, &full);
    assert_int_equal(ft_oai_writer_status(t.w), 529);
    same(&t, "{'type':'error','error':{'type':'overloaded_error','message':'no place'},"
             "'request_id':'req_1'}");
    t = open_writer(false, ",'stream':true");
    give(&t, FT_PIECE_CONTENT, "a");
    give(&t, FT_PIECE_STEP, "");
    ft_buf_reset(&t.out);
    end(&t, &full);
    assert_int_equal(ft_oai_writer_status(t.w), 200);
    same(&t, "event: error\ndata: {'type':'error','error':{'type':'overloaded_error',"
             "'message':'no place'},'request_id':'req_1'}\n\n");
    static const struct {
        int status;
        const char *type;
    } rows[] = {
        {400, "invalid_request_error"},
        {401, "authentication_error"},
        {403, "permission_error"},
        {404, "not_found_error"},
        {413, "request_too_large"},
        {429, "rate_limit_error"},
        {500, "api_error"},
        {503, "overloaded_error"},
        {504, "timeout_error"},
        {409, "invalid_request_error"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ft_oai_error e;
        ft_oai_error_set(&e, FT_EINTERNAL, NULL, NULL, "x");
        e.status = rows[i].status;
        assert_string_equal(ft_anthropic_error_type(&e), rows[i].type);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_becomes_a_chat_request),
        cmocka_unit_test(test_blocks_become_messages),
        cmocka_unit_test(test_the_system_may_speak_between_turns),
        cmocka_unit_test(test_a_refused_thread_is_told_in_details),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_events_come_in_order),
        cmocka_unit_test(test_a_stream_begins_with_what_is_known_of_the_prompt),
        cmocka_unit_test(test_what_a_worker_refuses_is_told_by_this_apis_names),
        cmocka_unit_test(test_a_message_is_one_object),
        cmocka_unit_test(test_a_count_is_a_number),
        cmocka_unit_test(test_errors_have_anthropics_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
