/* Responses: what they ask of a chat, the events and objects they are answered with, and turns that
 * go on behind stored ones. */
#include "testing.h"

#include <stdbool.h>

#include "api/openai/responses.h"

#define OUT_MAX (1u << 20)

static char *quoted(const char *s)
{
    char *copy = strdup(s);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    return copy;
}

static int parse(const char *text, const json_t *previous, struct ft_oai_responses *ret,
                 struct ft_oai_error *e)
{
    char *body = quoted(text);
    ft_oai_error_init(e);
    int rc = ft_oai_responses_parse(body, strlen(body), "req_1", ret, e);
    free(body);
    if (rc != 0)
        return rc;
    rc = ft_oai_responses_resolve(ret, previous, false, e);
    if (rc != 0)
        ft_oai_responses_fini(ret);
    return rc;
}

static struct ft_oai_responses good(const char *text, const json_t *previous)
{
    struct ft_oai_responses r = {.root = NULL};
    struct ft_oai_error e;
    if (parse(text, previous, &r, &e) != 0)
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
    struct ft_oai_responses r = good(
        "{'model':'m','input':'hi','instructions':'be','max_output_tokens':5,'temperature':0.5,"
        "'stream':true,'store':false,'reasoning':{'effort':'low','summary':'auto'},"
        "'text':{'format':{'type':'json_schema','name':'n','strict':true,'schema':{'type':"
        "'object'}}},'tools':[{'type':'function','name':'f','parameters':{},'strict':true}],"
        "'tool_choice':{'type':'function','name':'f'},'include':['message.output_text.logprobs'],"
        "'top_logprobs':2,'metadata':{'a':'b'},'truncation':'disabled','background':false}",
        NULL);
    assert_false(r.store);
    assert_true(r.stream && r.chat.stream && r.chat.logprobs);
    assert_int_equal(r.chat.max_tokens, 5);
    assert_int_equal(r.chat.n_top, 2);
    assert_true(r.chat.temperature == 0.5f);
    assert_string_equal(r.chat.effort, "low");
    assert_int_equal(r.chat.format, FT_OAI_FORMAT_SCHEMA);
    assert_int_equal(r.chat.choose, FT_OAI_CHOOSE_NAMED);
    same_json(r.chat.messages, "[{'role':'system','content':'be'},{'role':'user','content':'hi'}]");
    same_json(r.chat.tools,
              "[{'type':'function','function':{'name':'f','parameters':{},'strict':true}}]");
    ft_oai_responses_fini(&r);
}

static void test_items_become_messages(void **state)
{
    (void)state;
    struct ft_oai_responses r =
        good("{'model':'m','input':[{'role':'developer','content':'be'},"
             "{'type':'message','role':'user','content':[{'type':'input_text','text':'a'},"
             "{'type':'input_text','text':'b'}]},"
             "{'type':'reasoning','id':'rs_1','summary':[],'content':[{'type':'reasoning_text',"
             "'text':'hm'}]},"
             "{'type':'message','id':'msg_1','status':'completed','role':'assistant','content':["
             "{'type':'output_text','text':'c','annotations':[],'logprobs':[]}]},"
             "{'type':'function_call','id':'fc_1','call_id':'x','name':'f','arguments':'{}'},"
             "{'type':'function_call','call_id':'y','name':'g','arguments':'{}'},"
             "{'type':'function_call_output','call_id':'x','output':'1'},"
             "{'type':'function_call_output','call_id':'y','output':[{'type':'input_text',"
             "'text':'2'}]}]}",
             NULL);
    same_json(r.chat.messages,
              "[{'role':'system','content':'be'},{'role':'user','content':'a\\nb'},"
              "{'role':'assistant','reasoning_content':'hm','content':'c','tool_calls':["
              "{'id':'x','type':'function','function':{'name':'f','arguments':'{}'}},"
              "{'id':'y','type':'function','function':{'name':'g','arguments':'{}'}}]},"
              "{'role':'tool','tool_call_id':'x','content':'1'},"
              "{'role':'tool','tool_call_id':'y','content':'2'}]");
    assert_int_equal(json_array_size(r.input), 8);
    for (size_t i = 0; i < 8; i++)
        assert_true(json_is_string(json_object_get(json_array_get(r.input, i), "id")));
    ft_oai_responses_fini(&r);
}

static void test_what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *members, *param, *code;
    } rows[] = {
        {"'input':5", "input", "invalid_type"},
        {"'input':[]", "input", "array_below_min_length"},
        {"'input':[5]", "input[0]", "invalid_type"},
        {"'input':[{'type':'web_search_call'}]", "input[0].type", "unsupported_parameter"},
        {"'input':[{'type':'item_reference','id':'a'}]", "input[0].type", "unsupported_parameter"},
        {"'input':[{'role':'bot','content':'a'}]", "input[0].role", "invalid_value"},
        {"'input':[{'role':'user'}]", "input[0].content", "missing_required_parameter"},
        {"'input':[{'role':'user','content':'a','status':1}]", "input[0].status", "invalid_type"},
        {"'input':[{'role':'user','content':'a','phase':'x'}]", "input[0].phase", "invalid_value"},
        {"'input':[{'role':'assistant','content':[{'type':'output_text','text':'a','annotations':"
         "1}]}]",
         "input[0].content[0].annotations", "invalid_type"},
        {"'input':[{'type':'reasoning','summary':[1]}]", "input[0].summary[0]", "invalid_type"},
        {"'input':[{'type':'reasoning','summary':[{'type':'x','text':'a'}]}]",
         "input[0].summary[0].type", "invalid_value"},
        {"'input':[{'type':'reasoning','content':[{'type':'reasoning_text'}]}]",
         "input[0].content[0].text", "missing_required_parameter"},
        {"'input':[{'role':'user','content':[{'type':'input_image'}]}]",
         "input[0].content[0].input_image", "unsupported_parameter"},
        {"'input':[{'role':'user','content':[{'type':'input_text'}]}]", "input[0].content[0].text",
         "missing_required_parameter"},
        {"'input':[{'type':'function_call','name':'f','arguments':''}]", "input[0].call_id",
         "missing_required_parameter"},
        {"'input':[{'type':'function_call','call_id':'a','name':'f','arguments':'{}'}]", "input",
         "invalid_value"},
        {"'input':[{'type':'function_call_output','call_id':'a','output':'x'}]", "input",
         "invalid_value"},
        {"'input':[{'type':'reasoning','encrypted_content':'x'}]", "input[0].encrypted_content",
         "unsupported_parameter"},
        {"'input':'a','instructions':5", "instructions", "invalid_type"},
        {"'input':'a','max_output_tokens':0", "max_output_tokens", "integer_below_min_value"},
        {"'input':'a','temperature':3", "temperature", "decimal_above_max_value"},
        {"'input':'a','stream':1", "stream", "invalid_type"},
        {"'input':'a','store':1", "store", "invalid_type"},
        {"'input':'a','previous_response_id':1", "previous_response_id", "invalid_type"},
        {"'input':'a','reasoning':{'effort':'x'}", "reasoning.effort", "invalid_value"},
        {"'input':'a','reasoning':{'summary':'detailed'}", "reasoning.summary",
         "unsupported_parameter"},
        {"'input':'a','reasoning':{'x':1}", "reasoning.x", "unknown_parameter"},
        {"'input':'a','text':{'format':{'type':'x'}}", "text.format.type", "invalid_value"},
        {"'input':'a','text':{'format':{'type':'json_schema','schema':{}}}", "text.format.name",
         "missing_required_parameter"},
        {"'input':'a','text':{'verbosity':'low'}", "text.verbosity", "unsupported_parameter"},
        {"'input':'a','tools':[{'type':'web_search'}]", "tools[0].type", "unsupported_parameter"},
        {"'input':'a','tools':[{'type':'function','name':'a b'}]", "tools[0].name",
         "invalid_value"},
        {"'input':'a','tools':[{'type':'function'}]", "tools[0].name",
         "missing_required_parameter"},
        {"'input':'a','tool_choice':'required'", "tool_choice", "invalid_value"},
        {"'input':'a','tool_choice':{'type':'mcp'}", "tool_choice.type", "unsupported_parameter"},
        {"'input':'a','include':['file_search_call.results']", "include[0]",
         "unsupported_parameter"},
        {"'input':'a','truncation':'auto'", "truncation", "unsupported_parameter"},
        {"'input':'a','background':true", "background", "unsupported_parameter"},
        {"'input':'a','conversation':'c'", "conversation", "unsupported_parameter"},
        {"'input':'a','prompt':{}", "prompt", "unsupported_parameter"},
        {"'input':'a','max_tool_calls':1", "max_tool_calls", "unsupported_parameter"},
        {"'input':'a','top_logprobs':1", "top_logprobs", "invalid_value"},
        {"'input':'a','stream_options':{}", "stream_options", "invalid_value"},
        {"'input':'a','metadata':{'a':1}", "metadata.a", "invalid_type"},
        {"'input':'a','messages':[]", "messages", "unknown_parameter"},
        {"'stream':false", "input", "missing_required_parameter"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[512];
        struct ft_oai_responses r;
        struct ft_oai_error e;
        snprintf(text, sizeof text, "{'model':'m',%s}", rows[i].members);
        if (parse(text, NULL, &r, &e) == 0)
            fail_msg("accepted: %s", text);
        if (strcmp(e.param, rows[i].param) != 0 ||
            strcmp(ft_oai_error_code(&e), rows[i].code) != 0 || ft_oai_error_status(&e) != 400)
            fail_msg("%s: param %s code %s: %s", text, e.param, ft_oai_error_code(&e), e.err.msg);
    }
}

/* ---- answers ---- */

struct w {
    struct ft_oai_writer *w;
    struct ft_buf out;
};

static struct w open_writer(const char *request, const json_t *previous, const char *id)
{
    struct ft_oai_responses r = good(request, previous);
    const struct ft_oai_writer_config cfg = {.id = id, .model = "m", .created = 7};
    struct w t;
    ft_buf_init(&t.out, OUT_MAX);
    assert_int_equal(ft_oai_responses_writer_open(&cfg, &r, &t.w, NULL), 0);
    ft_oai_responses_fini(&r);
    return t;
}

static void give(struct w *t, enum ft_piece_kind kind, const char *s)
{
    assert_int_equal(ft_oai_writer_piece(t->w,
                                         &(struct ft_piece){.kind = kind,
                                                            .text = {s, strlen(s)},
                                                            .call_id = {"call_x", 6},
                                                            .finish = FT_ANSWER_STOP},
                                         &t->out),
                     0);
}

static void finish(struct w *t, enum ft_answer_finish f)
{
    const struct ft_piece p = {.kind = FT_PIECE_FINISH, .finish = f};
    assert_int_equal(ft_oai_writer_piece(t->w, &p, &t->out), 0);
}

static void end(struct w *t, const struct ft_err *err)
{
    const struct ft_piece p = {
        .kind = FT_PIECE_END,
        .err = err,
        .usage = {
            .prompt_tokens = 3, .cached_tokens = 2, .completion_tokens = 4, .reasoning_tokens = 1}};
    ft_oai_writer_piece(t->w, &p, &t->out);
}

static void close_writer(struct w *t)
{
    ft_oai_writer_close(t->w);
    ft_buf_fini(&t->out);
}

/* The types of all events, checked to be numbered from 0. The last event's data is *ret_last. */
static char *event_types(const struct w *t, json_t **ret_last)
{
    char *types = calloc(1, 4096), *copy = strdup(t->out.data), *save = NULL;
    int64_t n = 0;
    *ret_last = NULL;
    for (char *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strncmp(line, "event: ", 7) == 0) {
            snprintf(types + strlen(types), 4096 - strlen(types), "%s ", line + 7);
            continue;
        }
        json_decref(*ret_last);
        *ret_last = json_loads(line + 6, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(*ret_last);
        assert_int_equal(json_integer_value(json_object_get(*ret_last, "sequence_number")), n++);
    }
    free(copy);
    return types;
}

static void test_events_come_in_order(void **state)
{
    (void)state;
    struct w t = open_writer("{'model':'m','input':'hi','stream':true}", NULL, "req_1");
    give(&t, FT_PIECE_REASONING, "hm");
    give(&t, FT_PIECE_STEP, "");
    give(&t, FT_PIECE_CONTENT, "He");
    give(&t, FT_PIECE_STEP, "");
    give(&t, FT_PIECE_CONTENT, "y");
    give(&t, FT_PIECE_STEP, "");
    give(&t, FT_PIECE_CALL_BEGIN, "f");
    give(&t, FT_PIECE_CALL_ARGS, "{\"a\":1}");
    give(&t, FT_PIECE_STEP, "");
    finish(&t, FT_ANSWER_CALLS);
    end(&t, NULL);
    json_t *last;
    char *types = event_types(&t, &last);
    assert_string_equal(
        types, "response.created response.in_progress "
               "response.output_item.added response.content_part.added "
               "response.reasoning_text.delta response.reasoning_text.done "
               "response.content_part.done response.output_item.done "
               "response.output_item.added response.content_part.added "
               "response.output_text.delta response.output_text.delta response.output_text.done "
               "response.content_part.done response.output_item.done "
               "response.output_item.added response.function_call_arguments.delta "
               "response.function_call_arguments.done response.output_item.done "
               "response.completed ");
    const json_t *r = json_object_get(last, "response");
    assert_null(json_object_get(r, "user")); /* its schema has no null */
    assert_string_equal(json_string_value(json_object_get(r, "id")), "resp_1");
    assert_string_equal(json_string_value(json_object_get(r, "status")), "completed");
    same_json(json_object_get(r, "output"),
              "[{'id':'rs_1_0','type':'reasoning','status':'completed','summary':[],'content':["
              "{'type':'reasoning_text','text':'hm'}]},"
              "{'id':'msg_1_1','type':'message','status':'completed','role':'assistant',"
              "'content':[{'type':'output_text','annotations':[],'logprobs':[],'text':'Hey'}]},"
              "{'id':'fc_1_2','type':'function_call','status':'completed','arguments':"
              "'{\\'a\\':1}','call_id':'call_x','name':'f'}]");
    same_json(json_object_get(r, "usage"),
              "{'input_tokens':3,'input_tokens_details':{'cached_tokens':2,'cache_write_tokens':0},"
              "'output_tokens':4,"
              "'output_tokens_details':{'reasoning_tokens':1},'total_tokens':7}");
    json_decref(last);
    free(types);
    close_writer(&t);
}

static void test_endings_have_their_events(void **state)
{
    (void)state;
    json_t *last;
    struct w t = open_writer("{'model':'m','input':'hi','stream':true}", NULL, "req_1");
    give(&t, FT_PIECE_CONTENT, "a");
    finish(&t, FT_ANSWER_LENGTH);
    end(&t, NULL);
    free(event_types(&t, &last));
    assert_string_equal(json_string_value(json_object_get(last, "type")), "response.incomplete");
    same_json(json_object_get(json_object_get(last, "response"), "incomplete_details"),
              "{'reason':'max_output_tokens'}");
    json_decref(last);
    close_writer(&t);

    t = open_writer("{'model':'m','input':'hi','stream':true}", NULL, "req_1");
    give(&t, FT_PIECE_CONTENT, "a");
    end(&t, &(struct ft_err){FT_EBUSY, 0, "gone"});
    free(event_types(&t, &last));
    assert_string_equal(json_string_value(json_object_get(last, "type")), "response.failed");
    same_json(json_object_get(json_object_get(last, "response"), "error"),
              "{'code':'server_error','message':'gone'}");
    json_decref(last);
    close_writer(&t);

    t = open_writer("{'model':'m','input':'hi'}", NULL, "req_1"); /* what a worker refused */
    end(&t, &(struct ft_err){FT_EINVAL, 0, "response_format: $ref at #/a: is not here"});
    assert_non_null(strstr(t.out.data, "\"message\":\"text.format: $ref at #/a: is not here\","));
    assert_non_null(strstr(t.out.data, "\"param\":\"text.format\""));
    close_writer(&t);

    t = open_writer("{'model':'m','input':'hi','stream':true}", NULL, "req_1");
    end(&t, &(struct ft_err){FT_EINVAL, 0, "no"});
    assert_int_equal(ft_oai_writer_status(t.w), 400);
    assert_false(ft_oai_writer_streams(t.w));
    struct ft_buf doc;
    ft_buf_init(&doc, OUT_MAX);
    assert_int_equal(ft_oai_responses_document(t.w, &doc), FT_ENOTFOUND);
    close_writer(&t);

    /* an answer of nothing is an empty message */
    t = open_writer("{'model':'m','input':'hi'}", NULL, "req_1");
    end(&t, NULL);
    json_t *answer = json_loads(t.out.data, JSON_REJECT_DUPLICATES, NULL);
    assert_int_equal(json_array_size(json_object_get(answer, "output")), 1);
    json_decref(answer);
    close_writer(&t);
}

static void test_logprobs_are_with_the_text(void **state)
{
    (void)state;
    struct w t = open_writer("{'model':'m','input':'hi','include':["
                             "'message.output_text.logprobs']}",
                             NULL, "req_1");
    json_t *probs = json_pack("{s:[{s:s,s:f,s:[],s:[]}]}", "content", "token", "a", "logprob", -0.5,
                              "bytes", "top_logprobs");
    give(&t, FT_PIECE_CONTENT, "a");
    for (int i = 0; i < 2; i++) {
        const struct ft_piece step = {.kind = FT_PIECE_STEP, .logprobs = probs};
        assert_int_equal(ft_oai_writer_piece(t.w, &step, &t.out), 0);
    }
    end(&t, NULL);
    json_decref(probs);
    json_t *answer = json_loads(t.out.data, JSON_REJECT_DUPLICATES, NULL);
    const json_t *part = json_array_get(
        json_object_get(json_array_get(json_object_get(answer, "output"), 0), "content"), 0);
    assert_int_equal(json_array_size(json_object_get(part, "logprobs")), 2);
    json_decref(answer);
    close_writer(&t);
}

/* ---- stored ---- */

static json_t *answered(const char *request, const json_t *previous, const char *id,
                        const char *text)
{
    struct w t = open_writer(request, previous, id);
    give(&t, FT_PIECE_CONTENT, text);
    end(&t, NULL);
    struct ft_buf doc;
    ft_buf_init(&doc, OUT_MAX);
    assert_int_equal(ft_oai_responses_document(t.w, &doc), 0);
    json_t *document = json_loads(doc.data, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(document);
    ft_buf_fini(&doc);
    close_writer(&t);
    return document;
}

static void test_a_turn_goes_on_behind_a_stored_one(void **state)
{
    (void)state;
    json_t *one = answered("{'model':'m','input':'a','instructions':'first'}", NULL, "req_1", "b");
    json_t *two =
        answered("{'model':'m','input':'c','previous_response_id':'resp_1'}", one, "req_2", "d");
    struct ft_oai_responses r =
        good("{'model':'m','input':'e','previous_response_id':'resp_2'}", two);
    assert_string_equal(r.previous, "resp_2");
    same_json(r.chat.messages, "[{'role':'user','content':'a'},{'role':'assistant','content':'b'},"
                               "{'role':'user','content':'c'},{'role':'assistant','content':'d'},"
                               "{'role':'user','content':'e'}]");
    ft_oai_responses_fini(&r);

    struct ft_buf out;
    struct ft_oai_error e;
    ft_buf_init(&out, OUT_MAX);
    assert_int_equal(ft_oai_responses_show(two, &out, &e), 0);
    json_t *shown = json_loads(out.data, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(shown, "previous_response_id")),
                        "resp_1");
    json_decref(shown);
    ft_buf_reset(&out);
    assert_int_equal(ft_oai_responses_items(two, "2", "asc", NULL, &out, &e), 0);
    json_t *page = json_loads(out.data, 0, NULL);
    same_json(json_object_get(page, "first_id"), "'msg_1_in0'");
    assert_true(json_is_true(json_object_get(page, "has_more")));
    ft_buf_reset(&out);
    const char *after = json_string_value(json_object_get(page, "last_id"));
    assert_int_equal(ft_oai_responses_items(two, NULL, "asc", after, &out, &e), 0);
    json_decref(page);
    page = json_loads(out.data, 0, NULL);
    assert_int_equal(json_array_size(json_object_get(page, "data")), 1);
    assert_true(json_is_false(json_object_get(page, "has_more")));
    json_decref(page);
    assert_int_equal(ft_oai_responses_items(two, "0", NULL, NULL, &out, &e), FT_EINVAL);
    assert_string_equal(e.param, "limit");
    assert_int_equal(ft_oai_responses_items(two, NULL, "up", NULL, &out, &e), FT_EINVAL);
    assert_int_equal(ft_oai_responses_items(two, NULL, NULL, "x", &out, &e), FT_EINVAL);
    assert_int_equal(ft_oai_responses_show(NULL, &out, &e), FT_ECORRUPT);
    ft_buf_fini(&out);
    json_decref(one);
    json_decref(two);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_request_becomes_a_chat_request),
        cmocka_unit_test(test_items_become_messages),
        cmocka_unit_test(test_what_is_wrong_is_named),
        cmocka_unit_test(test_events_come_in_order),
        cmocka_unit_test(test_endings_have_their_events),
        cmocka_unit_test(test_logprobs_are_with_the_text),
        cmocka_unit_test(test_a_turn_goes_on_behind_a_stored_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
