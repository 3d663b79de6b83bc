/* What servers answer, as pieces: workers, and the ways of others. */
#include "serve/chunk.h"
#include "testing.h"

/* Pieces written down as text: "c0:hi " content, "r0:" reasoning, "b0.1:id/name ", "a0.1:args ",
 * "f0:stop ", "s0:3,4 " */
struct heard {
    char log[4096];
};

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct heard *h = ctx;
    char *at = h->log + strlen(h->log);
    size_t room = sizeof h->log - strlen(h->log);
    int n = (int)p->text.n;
    switch (p->kind) {
    case FT_PIECE_CONTENT:
    case FT_PIECE_REASONING:
        snprintf(at, room, "%c%d:%.*s ", p->kind == FT_PIECE_CONTENT ? 'c' : 'r', p->choice, n,
                 p->text.p);
        break;
    case FT_PIECE_CALL_BEGIN:
        snprintf(at, room, "b%d.%d:%.*s/%.*s ", p->choice, p->call,
                 (int)FT_MIN(p->call_id.n, (size_t)5), p->call_id.p, n, p->text.p);
        break;
    case FT_PIECE_CALL_ARGS:
        snprintf(at, room, "a%d.%d:%.*s ", p->choice, p->call, n, p->text.p);
        break;
    case FT_PIECE_FINISH:
        snprintf(at, room, "f%d:%s%s%.*s ", p->choice, ft_answer_finish_name(p->finish),
                 p->stop.p != NULL ? "=" : "", (int)p->stop.n, p->stop.p != NULL ? p->stop.p : "");
        break;
    case FT_PIECE_STEP:
        snprintf(at, room, "s%d:%s", p->choice, p->logprobs != NULL ? "L" : "");
        for (int i = 0; i < p->n_token; i++)
            sprintf(at + strlen(at), "%s%d", i > 0 ? "," : "", p->token[i]);
        strcat(at, " ");
        break;
    case FT_PIECE_RESULT:
        snprintf(at, room, "R%zu ", json_object_size(p->json));
        break;
    default:
        fail();
    }
}

struct run {
    struct heard h;
    int rc;
    struct ft_err err;
    enum ft_piece_fault fault;
    struct ft_answer_usage usage;
};

/* Events (up to NULL), then the end of the bytes. */
static void run(struct run *r, enum ft_task_kind kind, const char *const *events)
{
    struct ft_chunk_reader reader;
    memset(r, 0, sizeof *r);
    ft_chunk_init(&reader, kind, 7, on_piece, &r->h);
    for (; *events != NULL && r->rc == 0; events++)
        r->rc = ft_chunk_read(&reader, *events, strlen(*events), &r->fault, &r->err);
    json_t *body = json_pack("{s:[{s:s}]}", "messages", "content", "0123456789012345");
    if (r->rc == 0)
        r->rc = ft_chunk_end(&reader, body, &r->usage, &r->err);
    json_decref(body);
    ft_chunk_fini(&reader);
}

#define RUN(r, kind, ...) run(r, kind, (const char *const[]){__VA_ARGS__, NULL})

static void a_workers_events(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT,
        "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"Hel\"}}],"
        "\"feitian\":{\"i\":0,\"t\":[5,6]}}",
        "{\"choices\":[],\"feitian\":{\"i\":1,\"t\":[9]}}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"lo\"}},{\"index\":0,\"delta\":{},"
        "\"finish_reason\":\"stop\",\"stop_reason\":\"X\",\"logprobs\":{\"content\":[]}}],"
        "\"feitian\":{\"i\":0,\"t\":[7]}}",
        "{\"choices\":[{\"index\":1,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"length\"}],"
        "\"feitian\":{\"i\":1,\"t\":[8]}}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":11,\"completion_tokens\":5,"
        "\"prompt_tokens_details\":{\"cached_tokens\":4}},\"feitian\":{\"cpu_us\":12,\"uj\":34,"
        "\"uj_estimated\":true}}",
        "[DONE]");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.h.log, "c0:Hel s0:5,6 s1:9 c0:lo f0:stop=X s0:L7 c1:b f1:length s1:8 ");
    assert_int_equal(r.usage.prompt_tokens, 11);
    assert_int_equal(r.usage.cached_tokens, 4);
    assert_int_equal(r.usage.cpu_us, 12);
    assert_true(r.usage.energy_estimated && !r.usage.counted);
}

static void on_known(void *ctx, const struct ft_piece *p)
{
    if (p->kind == FT_PIECE_CONTENT)
        *(struct ft_answer_usage *)ctx = p->usage;
}

static void the_first_piece_tells_of_the_prompt(void **state)
{
    (void)state;
    static const char event[] = "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],"
                                "\"feitian\":{\"i\":0,\"t\":[5],\"p\":7,\"c\":2}}";
    struct ft_answer_usage known = {0};
    struct ft_chunk_reader reader;
    enum ft_piece_fault fault;
    struct ft_err err;
    ft_chunk_init(&reader, FT_TASK_CHAT, 7, on_known, &known);
    assert_int_equal(ft_chunk_read(&reader, event, sizeof event - 1, &fault, &err), 0);
    assert_true(known.prompt_tokens == 7 && known.cached_tokens == 2);
    ft_chunk_fini(&reader);
}

static void a_worker_tells_where_the_time_went(void **state)
{
    (void)state;
    static const char *const events[] = {
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":\"stop\"}],"
        "\"feitian\":{\"i\":0,\"t\":[5]}}",
        "{\"choices\":[],\"usage\":{\"prompt_tokens\":1},\"feitian\":{\"cpu_us\":"
        "9223372036854775807,"
        "\"uj\":9223372036854775807,\"ph\":{"
        "\"load_us\":70,\"decode_us\":9223372036854775807,\"wait_us\":-4,\"prefill_us\":\"x\","
        "\"queue_us\":5,\"new\":1}}}",
        "[DONE]"};
    struct ft_answer_usage usage = {0};
    struct ft_chunk_reader reader;
    enum ft_piece_fault fault;
    struct ft_err err;
    ft_chunk_init(&reader, FT_TASK_CHAT, 7, on_known, &usage);
    for (size_t i = 0; i < FT_COUNT(events); i++)
        assert_int_equal(ft_chunk_read(&reader, events[i], strlen(events[i]), &fault, &err), 0);
    assert_int_equal(ft_chunk_end(&reader, NULL, &usage, &err), 0);
    assert_non_null(usage.phases);
    assert_int_equal(usage.phases->load_us, 70);
    assert_in_range(usage.phases->decode_us, 1, INT64_MAX / 64); /* sums of them do not overflow */
    assert_in_range(usage.cpu_us, 1, INT64_MAX / 64);
    assert_in_range(usage.energy_uj, 1, INT64_MAX / 64);
    assert_int_equal(usage.phases->wait_us + usage.phases->prefill_us, 0);
    assert_int_equal(usage.phases->queue_us, 0); /* not the worker's to say */
    ft_chunk_fini(&reader);
}

static void results_tell_what_they_cost(void **state)
{
    (void)state;
    static const struct {
        enum ft_task_kind kind;
        const char *member;
    } form[] = {{FT_TASK_EMBED, "\"data\":[]"},
                {FT_TASK_RERANK, "\"results\":[]"},
                {FT_TASK_COUNT, "\"prompt_tokens\":3"}};
    for (size_t i = 0; i < FT_COUNT(form); i++) {
        struct run r;
        char text[160];
        snprintf(text, sizeof text,
                 "{%s,\"usage\":{\"prompt_tokens\":3},\"feitian\":{\"cpu_us\":12,\"uj\":34,"
                 "\"uj_estimated\":true}}",
                 form[i].member);
        RUN(&r, form[i].kind, text);
        assert_int_equal(r.rc, 0);
        assert_true(r.usage.prompt_tokens == 3 && r.usage.cpu_us == 12 && r.usage.energy_uj == 34 &&
                    r.usage.energy_estimated);
    }
}

static void others_without_usage_are_counted(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT,
        "{\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"content\":\"\"},"
        "\"finish_reason\":null}],\"usage\":null}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"},\"finish_reason\":null}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"},\"finish_reason\":\"\"}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"content\":null},\"finish_reason\":\"stop\"}]}",
        "[DONE]");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.h.log, "c0:a s0: c0:b s0: f0:stop ");
    assert_true(r.usage.counted);
    assert_int_equal(r.usage.completion_tokens, 2);
    assert_in_range(r.usage.prompt_tokens, 4, 10);
}

/* Bytes that end before the answer does. */
static void cut(struct ft_answer_usage *ret, const char *event)
{
    struct ft_chunk_reader reader;
    struct heard h = {""};
    struct ft_err err;
    enum ft_piece_fault fault;
    ft_chunk_init(&reader, FT_TASK_CHAT, 7, on_piece, &h);
    if (event != NULL)
        assert_int_equal(ft_chunk_read(&reader, event, strlen(event), &fault, &err), 0);
    json_t *body = json_pack("{s:[{s:s}]}", "messages", "content", "0123456789012345");
    ft_chunk_cut(&reader, body, ret);
    json_decref(body);
    ft_chunk_fini(&reader);
}

static void answers_that_were_cut_are_counted(void **state)
{
    (void)state;
    struct ft_answer_usage u;
    cut(&u, NULL);
    assert_true(u.prompt_tokens == 0 && u.completion_tokens == 0);
    cut(&u, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}]}");
    assert_true(u.counted && u.completion_tokens == 1);
    assert_in_range(u.prompt_tokens, 4, 10);
    cut(&u, "{\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],"
            "\"feitian\":{\"i\":0,\"p\":7,\"c\":3,\"t\":[5]}}");
    assert_true(!u.counted && u.prompt_tokens == 7 && u.cached_tokens == 3);
}

static void reasoning_by_both_names_and_no_index(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT, "{\"choices\":[{\"delta\":{\"reasoning\":\"hm\"}}]}",
        "{\"choices\":[{\"delta\":{\"reasoning_content\":\"hm2\",\"content\":\"so\"}}]}",
        "{\"choices\":[{\"delta\":{},\"finish_reason\":\"eos_token\"}]}",
        "{\"choices\":null,\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":99999999999}}");
    assert_int_equal(r.rc, 0); /* no [DONE], but all has ended */
    assert_string_equal(r.h.log, "r0:hm s0: r0:hm2 c0:so s0: f0:stop ");
    assert_int_equal(r.usage.prompt_tokens, 0);
    assert_int_equal(r.usage.completion_tokens, INT32_MAX);
}

static void tool_calls_as_servers_send_them(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT,
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":3,\"id\":\"x\","
        "\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":3,\"function\":{"
        "\"arguments\":\"{}\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"function\":{\"name\":\"g\","
        "\"arguments\":{\"a\":1}}},{\"function\":{\"name\":\"h\"}}]}}]}",
        "{\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"function\":{\"arguments\":\"1\"}}"
        "]},\"finish_reason\":\"tool_calls\"}]}",
        "[DONE]");
    assert_string_equal(r.h.log, "b0.0:x/f s0: a0.0:{} s0: b0.1:call_/g a0.1:{\"a\":1} "
                                 "b0.2:call_/h s0: a0.2:1 f0:tool_calls s0: ");
}

static void an_answer_in_one_piece(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT,
        "{\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},"
        "\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.h.log, "c0:hi f0:stop s0: ");
    RUN(&r, FT_TASK_TEXT,
        "{\"choices\":[{\"index\":1,\"text\":\"hi\",\"finish_reason\":null,"
        "\"logprobs\":{\"tokens\":[]}}]}",
        "[DONE]", "{\"choices\":[{\"index\":0,\"text\":\"after\"}]}");
    assert_string_equal(r.h.log, "c1:hi s1:L f1:stop ");
    RUN(&r, FT_TASK_EMBED, "{\"data\":[],\"usage\":{\"prompt_tokens\":3},\"feitian\":{}}");
    assert_string_equal(r.h.log, "R2 ");
    assert_int_equal(r.usage.prompt_tokens, 3);
    RUN(&r, FT_TASK_RERANK, "{\"results\":[],\"usage\":{\"total_tokens\":3}}");
    assert_int_equal(r.usage.prompt_tokens, 3);
    RUN(&r, FT_TASK_COUNT, "{\"prompt_tokens\":3}");
    assert_int_equal(r.usage.prompt_tokens, 3);
}

static void errors_in_mid_stream(void **state)
{
    (void)state;
    static const struct {
        const char *event;
        enum ft_code code;
        enum ft_piece_fault fault;
    } c[] = {
        {"{\"error\":{\"message\":\"m\",\"type\":\"server_error\"}}", FT_EINTERNAL,
         FT_FAULT_REPLICA},
        {"{\"error\":{\"message\":\"m\",\"code\":400}}", FT_EINVAL, FT_FAULT_CALL},
        {"{\"error\":{\"message\":\"m\",\"type\":\"rate_limit_error\"}}", FT_EBUSY, FT_FAULT_BUSY},
        {"{\"error\":\"m\"}", FT_EINTERNAL, FT_FAULT_REPLICA},
        {"{\"object\":\"error\",\"message\":\"m\",\"code\":404}", FT_ENOTFOUND, FT_FAULT_CALL},
        {"{\"error\":{\"message\":\"m\",\"type\":\"server_error\"},\"feitian\":{\"code\":"
         "\"out_of_memory\"}}",
         FT_ENOMEM, FT_FAULT_CALL},
        {"{\"error\":{\"message\":\"m\"},\"feitian\":{\"code\":\"canceled\"}}", FT_EINTERNAL,
         FT_FAULT_REPLICA},
    };
    for (size_t i = 0; i < FT_COUNT(c); i++) {
        struct run r;
        RUN(&r, FT_TASK_CHAT, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}", c[i].event);
        assert_string_equal(r.h.log, "c0:a s0: ");
        assert_int_equal(r.rc, c[i].code);
        assert_int_equal(r.fault, c[i].fault);
        assert_string_equal(r.err.msg, "m");
    }
}

static void nonsense_is_an_error(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",
        "7",
        "[]",
        "{",
        "{}",
        "{\"choices\":",
        "\"x\"",
        "{\"choices\":[],\"a\":\"\\ud800\"}",
        "{\"choices\":[],\"feitian\":{\"i\":-1,\"t\":[1]}}",
        "{\"choices\":[],\"feitian\":{\"i\":1000,\"t\":[1]}}",
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct run r;
        RUN(&r, FT_TASK_CHAT, bad[i]);
        assert_int_equal(r.rc, FT_ECORRUPT);
        assert_int_equal(r.fault, FT_FAULT_REPLICA);
    }
    struct run r; /* odd, but harmless */
    RUN(&r, FT_TASK_CHAT,
        "{\"choices\":[7,null,{\"index\":-1,\"delta\":{\"content\":\"x\"}},"
        "{\"index\":128,\"delta\":{\"content\":\"x\"}},{\"index\":0,\"delta\":[]}"
        "]}",
        "[DONE]");
    assert_int_equal(r.rc, 0);
    assert_string_equal(r.h.log, "f0:stop ");
}

static void cut_answers_are_seen(void **state)
{
    (void)state;
    struct run r;
    RUN(&r, FT_TASK_CHAT, "{\"choices\":[{\"delta\":{\"content\":\"a\"}}]}");
    assert_int_equal(r.rc, FT_EIO);
    const char *none[] = {NULL};
    run(&r, FT_TASK_CHAT, none);
    assert_int_equal(r.rc, FT_EIO);
}

static void error_statuses(void **state)
{
    (void)state;
    static const struct {
        int status;
        const char *body, *message;
        enum ft_code code;
        enum ft_piece_fault fault;
    } c[] = {
        {400, "{\"error\":{\"message\":\"bad\"}}", "bad", FT_EINVAL, FT_FAULT_CALL},
        {400, "{\"error\":{\"message\":\"bad\",\"param\":\"tools[0]\"}}", "tools[0]: bad",
         FT_EINVAL, FT_FAULT_CALL},
        {400, "{\"error\":{\"message\":\"n: bad\",\"param\":\"n\"}}", "n: bad", FT_EINVAL,
         FT_FAULT_CALL},
        {400,
         "{\"error\":{\"message\":\"long\",\"param\":\"messages\",\"code\":"
         "\"context_length_exceeded\"}}",
         "messages: long", FT_ELIMIT, FT_FAULT_CALL},
        {422, "{\"detail\":\"bad\"}", "bad", FT_EINVAL, FT_FAULT_CALL},
        {404, "{\"error\":\"no model\"}", "no model", FT_ENOTFOUND, FT_FAULT_CALL},
        {401, "{\"error\":{\"message\":\"key sk-x\"}}", "the server refused its key (status 401)",
         FT_EINTERNAL, FT_FAULT_REPLICA},
        {429, "", "the server answered with status 429", FT_EBUSY, FT_FAULT_BUSY},
        {503, "<html>", "the server answered with status 503", FT_EBUSY, FT_FAULT_BUSY},
        {500, "{", "the server answered with status 500", FT_EINTERNAL, FT_FAULT_REPLICA},
        {302, "", "the server answered with status 302", FT_EINTERNAL, FT_FAULT_REPLICA},
        {500, "{\"error\":{\"message\":\"m\"},\"feitian\":{\"code\":\"limit\"}}", "m", FT_ELIMIT,
         FT_FAULT_CALL},
    };
    for (size_t i = 0; i < FT_COUNT(c); i++) {
        struct ft_err err;
        enum ft_piece_fault fault;
        ft_chunk_error(c[i].status, c[i].body, strlen(c[i].body), &fault, &err);
        assert_string_equal(err.msg, c[i].message);
        assert_int_equal(err.code, c[i].code);
        assert_int_equal(fault, c[i].fault);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workers_events),
        cmocka_unit_test(the_first_piece_tells_of_the_prompt),
        cmocka_unit_test(a_worker_tells_where_the_time_went),
        cmocka_unit_test(results_tell_what_they_cost),
        cmocka_unit_test(others_without_usage_are_counted),
        cmocka_unit_test(answers_that_were_cut_are_counted),
        cmocka_unit_test(reasoning_by_both_names_and_no_index),
        cmocka_unit_test(tool_calls_as_servers_send_them),
        cmocka_unit_test(an_answer_in_one_piece),
        cmocka_unit_test(errors_in_mid_stream),
        cmocka_unit_test(nonsense_is_an_error),
        cmocka_unit_test(cut_answers_are_seen),
        cmocka_unit_test(error_statuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
