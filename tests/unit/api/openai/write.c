/* Answers: streams of events, whole answers, and that both say the same however the pieces are cut.
 */
#include "testing.h"

#include <stdbool.h>

#include "api/openai/writer.h"
#include "base/rand.h"

#define OUT_MAX (1u << 20)

static struct ft_slice sl(const char *s)
{
    return (struct ft_slice){s, strlen(s)};
}

static struct ft_oai_request request(enum ft_task_kind kind, const char *more)
{
    char body[512];
    snprintf(body, sizeof body, "{\"model\":\"m\",%s%s}",
             kind == FT_TASK_TEXT     ? "\"prompt\":\"p\""
             : kind == FT_TASK_EMBED  ? "\"input\":\"p\""
             : kind == FT_TASK_RERANK ? "\"query\":\"q\",\"documents\":[\"a\",\"b\",\"c\"]"
                                      : "\"messages\":[{\"role\":\"user\",\"content\":\"hi\"}]",
             more);
    struct ft_oai_request q;
    struct ft_oai_error e;
    if (ft_oai_parse(kind, FT_OAI_GATEWAY, body, strlen(body), &q, &e) != 0)
        fail_msg("%s", e.err.msg);
    return q;
}

struct w {
    struct ft_oai_writer *w;
    struct ft_buf out;
};

static struct w open_writer(enum ft_task_kind kind, const char *more, bool worker)
{
    struct ft_oai_request q = request(kind, more);
    struct w t;
    const struct ft_oai_writer_config cfg = {
        .id = "req_1", .model = "m\"x", .created = 7, .worker = worker};
    ft_buf_init(&t.out, OUT_MAX);
    assert_int_equal(ft_oai_writer_open(&cfg, &q, &t.w, NULL), 0);
    ft_oai_request_fini(&q);
    return t;
}

static void close_writer(struct w *t)
{
    ft_oai_writer_close(t->w);
    ft_buf_fini(&t->out);
}

static int give(struct w *t, const struct ft_piece *p)
{
    return ft_oai_writer_piece(t->w, p, &t->out);
}

static void text(struct w *t, enum ft_piece_kind kind, int choice, const char *s)
{
    assert_int_equal(give(t, &(struct ft_piece){.kind = kind, .choice = choice, .text = sl(s)}), 0);
}

static void call(struct w *t, enum ft_piece_kind kind, int number, const char *s)
{
    assert_int_equal(give(t, &(struct ft_piece){.kind = kind,
                                                .call = number,
                                                .text = sl(s),
                                                .call_id = sl("call_x")}),
                     0);
}

static void step(struct w *t, int choice, int n, json_t *logprobs)
{
    static const int32_t ids[] = {5, 6, 7, 8};
    assert_int_equal(give(t, &(struct ft_piece){.kind = FT_PIECE_STEP,
                                                .choice = choice,
                                                .token = ids,
                                                .n_token = n,
                                                .logprobs = logprobs}),
                     0);
    json_decref(logprobs);
}

static void finish(struct w *t, int choice, enum ft_answer_finish f, const char *stop)
{
    struct ft_piece p = {.kind = FT_PIECE_FINISH, .choice = choice, .finish = f};
    if (stop != NULL)
        p.stop = sl(stop);
    assert_int_equal(give(t, &p), 0);
}

static void end(struct w *t, const struct ft_err *err)
{
    give(t, &(struct ft_piece){.kind = FT_PIECE_END,
                               .err = err,
                               .retry_after_ms = 1500,
                               .usage = {.prompt_tokens = 3,
                                         .cached_tokens = 2,
                                         .completion_tokens = 4,
                                         .reasoning_tokens = 1,
                                         .cpu_us = 9,
                                         .energy_uj = 10,
                                         .energy_estimated = true}});
}

static json_t *prob(const char *token, double lp)
{
    return json_pack("{s:[{s:s,s:f,s:[i],s:[{s:s,s:f}]}]}", "content", "token", token, "logprob",
                     lp, "bytes", token[0], "top_logprobs", "token", token, "logprob", lp);
}

static void same(const struct w *t, const char *wanted)
{
    char *copy = strdup(wanted);
    for (char *p = copy; *p != '\0'; p++)
        if (*p == '\'')
            *p = '"';
    assert_string_equal(t->out.len > 0 ? t->out.data : "", copy);
    free(copy);
}

#define CHUNK                                                                                      \
    "data: {'id':'chatcmpl-1','object':'chat.completion.chunk','created':7,'model':'m\\'x',"       \
    "'choices':["
#define NONE ",'logprobs':null,'finish_reason':null}"
#define USAGE                                                                                      \
    "'usage':{'prompt_tokens':3,'completion_tokens':4,'total_tokens':7,"                           \
    "'prompt_tokens_details':{'cached_tokens':2},"                                                 \
    "'completion_tokens_details':{'reasoning_tokens':1}}"

/* ---- streams ---- */

static void test_a_stream_is_chunks_a_finish_and_done(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
    text(&t, FT_PIECE_CONTENT, 0, "He");
    assert_int_equal(t.out.len, 0); /* until the step is whole */
    text(&t, FT_PIECE_CONTENT, 0, "y\n");
    step(&t, 0, 1, NULL);
    step(&t, 0, 1, NULL); /* a token without text is nothing to a client */
    finish(&t, 0, FT_ANSWER_STOP, "x");
    step(&t, 0, 1, NULL);
    end(&t, NULL);
    same(&t, CHUNK "{'index':0,'delta':{'role':'assistant','content':'Hey\\n'}" NONE "]}\n\n" CHUNK
                   "{'index':0,'delta':{},'logprobs':null,'finish_reason':'stop'}]}\n\n"
                   "data: [DONE]\n\n");
    assert_int_equal(ft_oai_writer_status(t.w), 200);
    assert_true(ft_oai_writer_streams(t.w));
    close_writer(&t);
}

static void test_usage_comes_last_where_it_was_asked_for(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT,
                             ",\"stream\":true,\"stream_options\":{\"include_usage\":true}", false);
    text(&t, FT_PIECE_CONTENT, 0, "a");
    step(&t, 0, 1, NULL);
    end(&t, NULL);
    same(&t, CHUNK "{'index':0,'delta':{'role':'assistant','content':'a'}" NONE
                   "],'usage':null}\n\n" CHUNK "]," USAGE "}\n\ndata: [DONE]\n\n");
    close_writer(&t);
}

static void test_a_delta_takes_reasoning_content_and_calls_in_order(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
    text(&t, FT_PIECE_REASONING, 0, "r");
    text(&t, FT_PIECE_CONTENT, 0, "c");
    call(&t, FT_PIECE_CALL_BEGIN, 0, "f");
    call(&t, FT_PIECE_CALL_ARGS, 0, "{\"a");
    call(&t, FT_PIECE_CALL_BEGIN, 1, "g");
    text(&t, FT_PIECE_CONTENT, 0, "d"); /* goes back: another chunk */
    call(&t, FT_PIECE_CALL_ARGS, 1, "x");
    step(&t, 0, 1, NULL);
    finish(&t, 0, FT_ANSWER_CALLS, NULL);
    end(&t, NULL);
    same(&t,
         CHUNK "{'index':0,'delta':{'role':'assistant','reasoning_content':'r','content':'c',"
               "'tool_calls':[{'index':0,'id':'call_x','type':'function','function':{'name':'f',"
               "'arguments':'{\\'a'}},{'index':1,'id':'call_x','type':'function','function':"
               "{'name':'g','arguments':''}}]}" NONE "]}\n\n" CHUNK
               "{'index':0,'delta':{'content':'d','tool_calls':[{'index':1,'function':"
               "{'arguments':'x'}}]}" NONE "]}\n\n" CHUNK
               "{'index':0,'delta':{},'logprobs':null,'finish_reason':'tool_calls'}]}\n\n"
               "data: [DONE]\n\n");
    close_writer(&t);
}

static void test_a_workers_step_is_one_event_with_its_tokens(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true,\"n\":2", true);
    call(&t, FT_PIECE_CALL_BEGIN, 0, "f");
    text(&t, FT_PIECE_CONTENT, 0, "d");
    step(&t, 0, 2, NULL);
    step(&t, 1, 1, NULL);
    text(&t, FT_PIECE_CONTENT, 1, "e");
    finish(&t, 1, FT_ANSWER_STOP, "\n");
    step(&t, 1, 1, NULL);
    end(&t, NULL);
    same(&t,
         CHUNK "{'index':0,'delta':{'role':'assistant','content':null,'tool_calls':[{'index':0,"
               "'id':'call_x','type':'function','function':{'name':'f','arguments':''}}]}" NONE
               ",{'index':0,'delta':{'content':'d'}" NONE "],'feitian':{'i':0,'t':[5,6]}}\n\n" CHUNK
               "],'feitian':{'i':1,'t':[5]}}\n\n" CHUNK
               "{'index':1,'delta':{'role':'assistant','content':'e'},'logprobs':null,"
               "'finish_reason':'stop','stop_reason':'\\n'}],'feitian':{'i':1,'t':[5]}}\n\n" CHUNK
               "]," USAGE ",'feitian':{'cpu_us':9,'uj':10,'uj_estimated':true}}\n\n"
               "data: [DONE]\n\n");
    close_writer(&t);
}

static void test_a_workers_first_step_tells_of_the_prompt(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true", true);
    struct ft_piece p = {.kind = FT_PIECE_STEP,
                         .token = (const int32_t[]){5},
                         .n_token = 1,
                         .usage = {.prompt_tokens = 9, .cached_tokens = 4}};
    assert_int_equal(give(&t, &p), 0);
    assert_int_equal(give(&t, &p), 0);
    same(&t, CHUNK "],'feitian':{'i':0,'p':9,'c':4,'t':[5]}}\n\n" CHUNK
                   "],'feitian':{'i':0,'t':[5]}}\n\n");
    close_writer(&t);
}

static void test_a_failing_worker_leaves_its_open_step_out(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true", true);
    step(&t, 0, 1, NULL);
    size_t before = t.out.len;
    text(&t, FT_PIECE_CONTENT, 0, "half");
    end(&t, &(struct ft_err){FT_EBUSY, 0, "full"});
    assert_null(strstr(t.out.data + before, "half"));
    assert_non_null(strstr(t.out.data + before, "\"feitian\":{\"code\":\"busy\"}}"));
    close_writer(&t);
}

static void test_errors_are_told_within_a_stream_and_by_status_before(void **state)
{
    (void)state;
    const struct ft_err full = {FT_EBUSY, 0, "no place"};
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
    end(&t, &full);
    same(&t, "{'error':{'message':'no place','type':'server_error','param':null,"
             "'code':'overloaded'}}");
    assert_int_equal(ft_oai_writer_status(t.w), 503);
    assert_false(ft_oai_writer_streams(t.w));
    struct ft_oai_header h[FT_OAI_ERROR_HEADERS_MAX];
    assert_int_equal(ft_oai_error_headers(ft_oai_writer_error(t.w), h), 3);
    assert_string_equal(h[0].name, "retry-after");
    assert_string_equal(h[0].value, "2");
    assert_string_equal(h[1].value, "1500");
    assert_string_equal(h[2].value, "true");
    close_writer(&t);

    t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
    text(&t, FT_PIECE_CONTENT, 0, "a");
    step(&t, 0, 1, NULL);
    ft_buf_reset(&t.out);
    end(&t, &full);
    same(&t, "data: {'error':{'message':'no place','type':'server_error','param':null,"
             "'code':'overloaded'}}\n\ndata: [DONE]\n\n");
    assert_int_equal(ft_oai_writer_status(t.w), 200);
    close_writer(&t);

    t = open_writer(FT_TASK_CHAT, "", false);
    text(&t, FT_PIECE_CONTENT, 0, "a");
    end(&t, &(struct ft_err){FT_EINTERNAL, 0, "secret"});
    assert_int_equal(ft_oai_writer_status(t.w), 500);
    assert_null(strstr(t.out.data, "secret"));
    close_writer(&t);
}

/* Layers below say which member they mean at the beginning of what they say. */
static void test_errors_of_layers_below_keep_their_place(void **state)
{
    (void)state;
    static const struct {
        enum ft_code code;
        const char *msg, *param, *err_code;
    } rows[] = {
        {FT_ELIMIT, "messages: too long", "messages", "context_length_exceeded"},
        {FT_EINVAL, "response_format: no", "response_format", "invalid_value"},
        {FT_EINVAL, "tools[0].function.parameters: no", "tools[0].function.parameters",
         "invalid_value"},
        {FT_EINVAL, "chat: no", "", "invalid_value"},
        {FT_EINVAL, "messages are bad", "", "invalid_value"},
        {FT_ELIMIT, "full", "", "limit_exceeded"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct ft_err err;
        struct ft_oai_error e;
        ft_err_set(&err, rows[i].code, "%s", rows[i].msg);
        ft_oai_error_from(&e, &err);
        assert_string_equal(e.param, rows[i].param);
        assert_string_equal(ft_oai_error_code(&e), rows[i].err_code);
    }
}

static void test_logprobs_go_with_the_text_of_their_step(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"stream\":true,\"logprobs\":true", false);
    text(&t, FT_PIECE_CONTENT, 0, "a");
    finish(&t, 0, FT_ANSWER_LENGTH, NULL);
    step(&t, 0, 1, prob("a", -0.5));
    same(&t, CHUNK "{'index':0,'delta':{'role':'assistant','content':''},'logprobs':null,"
                   "'finish_reason':null}]}\n\n" CHUNK
                   "{'index':0,'delta':{'content':'a'},'logprobs':{'content':"
                   "[{'token':'a','logprob':-0.5,'bytes':[97],'top_logprobs':[{'token':'a',"
                   "'logprob':-0.5}]}],'refusal':null},'finish_reason':null}]}\n\n" CHUNK
                   "{'index':0,'delta':{},'logprobs':null,'finish_reason':'length'}]}\n\n");
    close_writer(&t);
    /* not asked for: not given */
    t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
    step(&t, 0, 1, prob("a", -0.5));
    same(&t, "");
    close_writer(&t);
}

#define TEXT_CHUNK                                                                                 \
    "data: {'id':'cmpl-1','object':'text_completion','created':7,'model':'m\\'x','choices':["

static void test_completions_have_texts_and_lists_of_logprobs(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_TEXT, ",\"stream\":true,\"logprobs\":1", false);
    text(&t, FT_PIECE_CONTENT, 0, "a");
    step(&t, 0, 1, prob("a", -0.5));
    text(&t, FT_PIECE_CONTENT, 0, "b");
    finish(&t, 0, FT_ANSWER_LENGTH, NULL);
    step(&t, 0, 1, prob("b", -1.5));
    same(&t, TEXT_CHUNK
         "{'index':0,'text':'a','logprobs':{'tokens':['a'],'token_logprobs':[-0.5],"
         "'top_logprobs':[{'a':-0.5}],'text_offset':[0]},'finish_reason':null}]}\n\n" TEXT_CHUNK
         "{'index':0,'text':'b','logprobs':{'tokens':['b'],'token_logprobs':[-1.5],"
         "'top_logprobs':[{'b':-1.5}],'text_offset':[1]},'finish_reason':null}]}\n\n" TEXT_CHUNK
         "{'index':0,'text':'','logprobs':null,'finish_reason':'length'}]}\n\n");
    close_writer(&t);
}

/* ---- whole ---- */

static void test_a_whole_answer_is_one_object(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, ",\"n\":2,\"logprobs\":true", false);
    text(&t, FT_PIECE_REASONING, 0, "hm\"");
    text(&t, FT_PIECE_CONTENT, 0, "a");
    step(&t, 0, 1, prob("a", -0.5));
    step(&t, 0, 1, prob("b", -1));
    call(&t, FT_PIECE_CALL_BEGIN, 0, "f");
    call(&t, FT_PIECE_CALL_ARGS, 0, "{\"x\":");
    call(&t, FT_PIECE_CALL_ARGS, 0, "1}");
    finish(&t, 0, FT_ANSWER_CALLS, NULL);
    finish(&t, 1, FT_ANSWER_LENGTH, NULL);
    assert_int_equal(t.out.len, 0);
    end(&t, NULL);
    same(&t,
         "{'id':'chatcmpl-1','object':'chat.completion','created':7,'model':'m\\'x','choices':["
         "{'index':0,'message':{'role':'assistant','content':'a','refusal':null,'annotations':[],"
         "'reasoning_content':'hm\\'','tool_calls':[{'id':'call_x','type':'function','function':"
         "{'name':'f','arguments':'{\\'x\\':1}'}}]},'logprobs':{'content':[{'token':'a',"
         "'logprob':-0.5,'bytes':[97],'top_logprobs':[{'token':'a','logprob':-0.5}]},{'token':'b',"
         "'logprob':-1.0,'bytes':[98],'top_logprobs':[{'token':'b','logprob':-1.0}]}],"
         "'refusal':null},'finish_reason':'tool_calls'},{'index':1,'message':{'role':'assistant',"
         "'content':'','refusal':null,'annotations':[]},'logprobs':{'content':[],'refusal':null},"
         "'finish_reason':'length'}]," USAGE "}");
    assert_int_equal(ft_oai_writer_status(t.w), 200);
    close_writer(&t);
}

static void test_calls_alone_have_no_content(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, "", false);
    call(&t, FT_PIECE_CALL_BEGIN, 0, "f");
    end(&t, NULL);
    assert_non_null(strstr(t.out.data, "\"content\":null"));
    close_writer(&t);
}

static void test_an_answer_too_long_to_keep_fails(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_CHAT, "", false);
    size_t n = (size_t)16 << 20;
    char *big = calloc(1, n + 1);
    memset(big, 'a', n);
    int rc = 0;
    for (int i = 0; i < 5 && rc == 0; i++)
        rc = give(&t, &(struct ft_piece){.kind = FT_PIECE_CONTENT, .text = {big, n}});
    assert_int_equal(rc, FT_ELIMIT);
    free(big);
    end(&t, &(struct ft_err){FT_ECANCELED, 0, "as asked"});
    assert_int_equal(ft_oai_writer_status(t.w), 400);
    assert_non_null(strstr(t.out.data, "too long"));
    close_writer(&t);
}

static void test_best_of_gives_the_likeliest(void **state)
{
    (void)state;
    struct w t = open_writer(FT_TASK_TEXT, ",\"n\":2,\"best_of\":3", false);
    static const double lp[] = {-2, -1, -3};
    for (int i = 0; i < 3; i++) {
        text(&t, FT_PIECE_CONTENT, i, (const char *[]){"x", "y", "z"}[i]);
        step(&t, i, 1, prob("a", lp[i]));
        finish(&t, i, FT_ANSWER_LENGTH, NULL);
    }
    end(&t, NULL);
    same(&t, "{'id':'cmpl-1','object':'text_completion','created':7,'model':'m\\'x','choices':["
             "{'index':0,'text':'y','logprobs':null,'finish_reason':'length'},"
             "{'index':1,'text':'x','logprobs':null,'finish_reason':'length'}]," USAGE "}");
    close_writer(&t);
}

/* ---- lists ---- */

#define COST "\"feitian\":{\"cpu_us\":50,\"uj\":60,\"uj_estimated\":false}"

static void test_embeddings_come_as_numbers_or_base64(void **state)
{
    (void)state;
    static const float v[] = {1, -0.5f, 0.1f, 2};
    const struct ft_answer_usage usage = {.prompt_tokens = 3, .cpu_us = 50, .energy_uj = 60};
    struct ft_buf worker;
    ft_buf_init(&worker, OUT_MAX);
    ft_oai_write_embeddings(&worker, "m", v, 2, 2, true, &usage);
    assert_non_null(strstr(worker.data, COST "}"));
    assert_non_null(strstr(worker.data, "\"embedding\":\"AACAPwAAAL8=\""));
    for (int base64 = 0; base64 < 2; base64++) {
        struct w t =
            open_writer(FT_TASK_EMBED, base64 ? ",\"encoding_format\":\"base64\"" : "", false);
        json_t *result = json_loads(worker.data, 0, NULL);
        give(&t, &(struct ft_piece){.kind = FT_PIECE_RESULT, .json = result});
        json_decref(result);
        end(&t, NULL);
        same(&t, base64 ? "{'object':'list','data':[{'object':'embedding','index':0,'embedding':"
                          "'AACAPwAAAL8='},{'object':'embedding','index':1,'embedding':"
                          "'zczMPQAAAEA='}],'model':'m\\'x','usage':{'prompt_tokens':3,"
                          "'total_tokens':3}}"
                        : "{'object':'list','data':[{'object':'embedding','index':0,'embedding':"
                          "[1,-0.5]},{'object':'embedding','index':1,'embedding':"
                          "[0.100000001,2]}],'model':'m\\'x','usage':{'prompt_tokens':3,"
                          "'total_tokens':3}}");
        close_writer(&t);
    }
    ft_buf_fini(&worker);
}

static void test_ranks_come_best_first(void **state)
{
    (void)state;
    static const float score[] = {0.25f, 0.75f, 0.5f};
    const struct ft_answer_usage usage = {.prompt_tokens = 3, .cpu_us = 50, .energy_uj = 60};
    struct ft_oai_request q = request(FT_TASK_RERANK, ",\"top_n\":2,\"return_documents\":true");
    struct ft_buf worker;
    ft_buf_init(&worker, OUT_MAX);
    ft_oai_write_rerank(&worker, "req_1", "m", &q, score, &usage);
    assert_non_null(strstr(worker.data, COST "}"));
    ft_oai_request_fini(&q);
    struct w t = open_writer(FT_TASK_RERANK, "", false);
    json_t *result = json_loads(worker.data, 0, NULL);
    assert_non_null(result);
    give(&t, &(struct ft_piece){.kind = FT_PIECE_RESULT, .json = result});
    json_decref(result);
    end(&t, NULL);
    same(&t, "{'id':'rerank-1','model':'m\\'x','results':[{'index':1,'relevance_score':0.75,"
             "'document':{'text':'b'}},{'index':2,'relevance_score':0.5,'document':{'text':'c'}}],"
             "'usage':{'prompt_tokens':3,'total_tokens':7}}");
    close_writer(&t);
    ft_buf_fini(&worker);
}

static void test_models_are_listed_in_openais_form(void **state)
{
    (void)state;
    json_t *models = json_pack("[{s:s,s:i},{s:s,s:s,s:i}]", "id", "a/b", "created", 5, "id", "c",
                               "owned_by", "p", "context_length", 9);
    struct w t = {.w = NULL};
    ft_buf_init(&t.out, OUT_MAX);
    ft_oai_write_models(&t.out, models);
    same(&t, "{'object':'list','data':[{'id':'a/b','object':'model','created':5,"
             "'owned_by':'feitian'},{'id':'c','object':'model','created':0,'owned_by':'p',"
             "'context_length':9}]}");
    ft_buf_reset(&t.out);
    struct ft_oai_error e;
    assert_int_equal(ft_oai_write_model(&t.out, models, "c", &e), 0);
    same(&t, "{'id':'c','object':'model','created':0,'owned_by':'p','context_length':9}");
    assert_int_equal(ft_oai_write_model(&t.out, models, "d", &e), FT_ENOTFOUND);
    assert_int_equal(ft_oai_error_status(&e), 404);
    ft_buf_fini(&t.out);
    json_decref(models);
}

/* ---- streams and whole answers say the same ---- */

struct joined {
    char content[4096], reasoning[4096], args[4][1024], finish[32];
    int n_call;
};

static void join(char *to, size_t n, const json_t *s)
{
    if (json_is_string(s))
        snprintf(to + strlen(to), n - strlen(to), "%s", json_string_value(s));
}

static void join_calls(struct joined *j, const json_t *calls)
{
    for (size_t i = 0; i < json_array_size(calls); i++) {
        const json_t *c = json_array_get(calls, i);
        const json_t *index = json_object_get(c, "index");
        int at = index != NULL ? (int)json_integer_value(index) : (int)i;
        assert_in_range(at, 0, 3);
        j->n_call += json_is_string(json_object_get(c, "id"));
        join(j->args[at], sizeof j->args[at],
             json_object_get(json_object_get(c, "function"), "arguments"));
    }
}

static void join_choice(struct joined *j, const json_t *choice, const char *member)
{
    const json_t *m = json_object_get(choice, member);
    join(j->content, sizeof j->content, json_object_get(m, "content"));
    join(j->reasoning, sizeof j->reasoning, json_object_get(m, "reasoning_content"));
    join_calls(j, json_object_get(m, "tool_calls"));
    join(j->finish, sizeof j->finish, json_object_get(choice, "finish_reason"));
}

/* one: at most one entry a chunk, as clients need it. */
static void join_stream(struct joined *j, char *events, bool one)
{
    char *save = NULL;
    for (char *line = strtok_r(events, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        if (strcmp(line, "data: [DONE]") == 0)
            continue;
        json_t *chunk = json_loads(line + 6, JSON_REJECT_DUPLICATES, NULL);
        assert_non_null(chunk);
        const json_t *choices = json_object_get(chunk, "choices");
        assert_true(!one || json_array_size(choices) <= 1);
        for (size_t i = 0; i < json_array_size(choices); i++)
            join_choice(j, json_array_get(choices, i), "delta");
        json_decref(chunk);
    }
}

static void feed_random(struct w *t, uint64_t seed)
{
    int n_call = 0;
    for (uint64_t i = 0; i < 40; i++) {
        uint64_t r = ft_rand_u64(seed, 0, i);
        char s[8];
        snprintf(s, sizeof s, "%c%c", (char)('a' + r % 26), r & 64 ? '"' : '\n');
        switch (r >> 32 & 7) {
        case 0:
        case 1:
            text(t, FT_PIECE_CONTENT, 0, s);
            break;
        case 2:
            text(t, FT_PIECE_REASONING, 0, s);
            break;
        case 3:
            if (n_call < 4)
                call(t, FT_PIECE_CALL_BEGIN, n_call++, "f");
            break;
        case 4:
        case 5:
            if (n_call > 0)
                call(t, FT_PIECE_CALL_ARGS, n_call - 1, s);
            break;
        default:
            step(t, 0, 1, NULL);
        }
    }
    finish(t, 0, n_call > 0 ? FT_ANSWER_CALLS : FT_ANSWER_STOP, NULL);
    step(t, 0, 1, NULL);
    end(t, NULL);
}

static void test_streams_and_whole_answers_say_the_same(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 300; seed++) {
        struct joined whole = {.n_call = 0}, client = whole, worker = whole;
        struct w t = open_writer(FT_TASK_CHAT, "", false);
        feed_random(&t, seed);
        json_t *answer = json_loads(t.out.data, JSON_REJECT_DUPLICATES, NULL);
        join_choice(&whole, json_array_get(json_object_get(answer, "choices"), 0), "message");
        json_decref(answer);
        close_writer(&t);
        t = open_writer(FT_TASK_CHAT, ",\"stream\":true", false);
        feed_random(&t, seed);
        join_stream(&client, t.out.data, true);
        close_writer(&t);
        t = open_writer(FT_TASK_CHAT, ",\"stream\":true", true);
        feed_random(&t, seed);
        join_stream(&worker, t.out.data, false);
        close_writer(&t);
        assert_memory_equal(&whole, &client, sizeof whole);
        assert_memory_equal(&whole, &worker, sizeof whole);
    }
}

static void test_any_bytes_become_a_json_string(void **state)
{
    (void)state;
    struct ft_buf b;
    ft_buf_init(&b, OUT_MAX);
    ft_oai_write_string(&b, "a\"\\\b\f\n\r\t\x01\x7f\xc3\xa4\xff\xe4\xbd", 15);
    assert_string_equal(b.data, "\"a\\\"\\\\\\b\\f\\n\\r\\t\\u0001\x7f\xc3\xa4\xef\xbf\xbd\xef\xbf"
                                "\xbd\xef\xbf\xbd\"");
    ft_buf_fini(&b);
}

/* Errors are set in structs that hold whatever the stack held. */
static void test_setting_an_error_leaves_nothing_of_what_was_there(void **state)
{
    (void)state;
    struct ft_oai_error e, from;
    struct ft_err err = {.code = FT_EIO, .msg = "x"};
    struct ft_oai_header h[FT_OAI_ERROR_HEADERS_MAX];
    memset(&e, 0x5a, sizeof e);
    memset(&from, 0x5a, sizeof from);
    ft_oai_error_set(&e, FT_EBUSY, NULL, NULL, "later");
    ft_oai_error_from(&from, &err);
    assert_int_equal(ft_oai_error_status(&e), 503);
    assert_int_equal(ft_oai_error_status(&from), 500);
    assert_string_equal(ft_oai_error_type(&e), "server_error");
    assert_string_equal(ft_oai_error_type(&from), "server_error");
    assert_string_equal(ft_oai_error_code(&e), "overloaded");
    assert_int_equal(e.retry_after_ms, 0);
    assert_false(e.final);
    assert_int_equal(ft_oai_error_headers(&e, h), 1); /* x-should-retry */
    assert_string_equal(h[0].value, "true");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_stream_is_chunks_a_finish_and_done),
        cmocka_unit_test(test_usage_comes_last_where_it_was_asked_for),
        cmocka_unit_test(test_a_delta_takes_reasoning_content_and_calls_in_order),
        cmocka_unit_test(test_a_workers_step_is_one_event_with_its_tokens),
        cmocka_unit_test(test_a_workers_first_step_tells_of_the_prompt),
        cmocka_unit_test(test_a_failing_worker_leaves_its_open_step_out),
        cmocka_unit_test(test_errors_are_told_within_a_stream_and_by_status_before),
        cmocka_unit_test(test_errors_of_layers_below_keep_their_place),
        cmocka_unit_test(test_logprobs_go_with_the_text_of_their_step),
        cmocka_unit_test(test_completions_have_texts_and_lists_of_logprobs),
        cmocka_unit_test(test_a_whole_answer_is_one_object),
        cmocka_unit_test(test_calls_alone_have_no_content),
        cmocka_unit_test(test_an_answer_too_long_to_keep_fails),
        cmocka_unit_test(test_best_of_gives_the_likeliest),
        cmocka_unit_test(test_embeddings_come_as_numbers_or_base64),
        cmocka_unit_test(test_ranks_come_best_first),
        cmocka_unit_test(test_models_are_listed_in_openais_form),
        cmocka_unit_test(test_streams_and_whole_answers_say_the_same),
        cmocka_unit_test(test_setting_an_error_leaves_nothing_of_what_was_there),
        cmocka_unit_test(test_any_bytes_become_a_json_string),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
