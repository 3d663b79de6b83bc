/* The scripted double, at once and by the clock. */
/* labels: threads */
#include "serve/replica_script.h"
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>

struct heard {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    char text[512];
    int32_t token[64];
    int n_token, ends, finishes, completion, result;
    enum ft_answer_finish finish;
    enum ft_code code;
    enum ft_piece_fault fault;
};

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct heard *h = ctx;
    pthread_mutex_lock(&h->mu);
    assert_int_equal(h->ends, 0);
    if (p->kind == FT_PIECE_CONTENT)
        strncat(h->text, p->text.p, p->text.n);
    if (p->kind == FT_PIECE_STEP)
        for (int i = 0; i < p->n_token && h->n_token < 64; i++)
            h->token[h->n_token++] = p->token[i];
    if (p->kind == FT_PIECE_FINISH) {
        h->finishes++;
        h->finish = p->finish;
    }
    if (p->kind == FT_PIECE_RESULT)
        h->result = (int)(json_array_size(json_object_get(p->json, "data")) +
                          json_array_size(json_object_get(p->json, "results")) +
                          json_integer_value(json_object_get(p->json, "prompt_tokens")));
    if (p->kind == FT_PIECE_END) {
        h->ends++;
        h->completion = p->usage.completion_tokens;
        h->code = p->err != NULL ? p->err->code : FT_OK;
        h->fault = p->fault;
        pthread_cond_signal(&h->cond);
    }
    pthread_mutex_unlock(&h->mu);
}

static void heard_init(struct heard *h)
{
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->mu, NULL);
    pthread_cond_init(&h->cond, NULL);
}

static void heard_wait(struct heard *h)
{
    pthread_mutex_lock(&h->mu);
    while (h->ends == 0)
        pthread_cond_wait(&h->cond, &h->mu);
    pthread_mutex_unlock(&h->mu);
}

static struct ft_replica *open_script(const char *json)
{
    struct ft_err err;
    struct ft_replica *r = NULL;
    json_t *script = json_loads(json, 0, NULL);
    if (ft_replica_script_open(script, &r, &err) != 0)
        fail_msg("%s", err.msg);
    json_decref(script);
    return r;
}

static struct ft_replica_job *submit(struct ft_replica *r, struct heard *h, enum ft_task_kind kind,
                                     const char *json)
{
    struct ft_err err;
    struct ft_replica_job *run = NULL;
    json_t *body = json_loads(json, 0, NULL);
    assert_non_null(body);
    struct ft_job job = {.kind = kind, .body = body, .on_piece = on_piece, .ctx = h};
    assert_int_equal(r->ops->submit(r, &job, &run, &err), 0);
    json_decref(body);
    return run;
}

static struct ft_replica_job *ask(struct ft_replica *r, struct heard *h, enum ft_task_kind kind,
                                  const char *json)
{
    heard_init(h);
    return submit(r, h, kind, json);
}

static void all_within_submit(void **state)
{
    (void)state;
    struct ft_replica *r = open_script("{\"text\":\"one two three\",\"tokens\":5}");
    struct heard h;
    ask(r, &h, FT_TASK_CHAT, "{\"messages\":[{\"role\":\"user\",\"content\":\"a b c\"}]}");
    assert_int_equal(h.ends, 1);
    assert_string_equal(h.text, "one two threeone two");
    assert_int_equal(h.completion, 5);
    assert_int_equal(h.finish, FT_ANSWER_STOP);
    ask(r, &h, FT_TASK_CHAT, "{\"max_tokens\":2}");
    assert_string_equal(h.text, "one two");
    assert_int_equal(h.finish, FT_ANSWER_LENGTH);
    ask(r, &h, FT_TASK_TEXT, "{\"n\":3,\"max_tokens\":2}");
    assert_int_equal(h.finishes, 3);
    assert_int_equal(h.completion, 6);
    r->ops->close(r);
}

static void what_is_not_generated(void **state)
{
    (void)state;
    struct ft_replica *r = open_script("{}");
    struct heard h;
    ask(r, &h, FT_TASK_EMBED, "{\"input\":[\"a\",\"b\"]}");
    assert_int_equal(h.result, 2);
    ask(r, &h, FT_TASK_RERANK, "{\"query\":\"a\",\"documents\":[\"a\",\"b\",\"c\"]}");
    assert_int_equal(h.result, 3);
    ask(r, &h, FT_TASK_COUNT, "{\"messages\":[{\"role\":\"user\",\"content\":\"a b c\"}]}");
    assert_int_equal(h.result, 3);
    r->ops->close(r);
}

static void goes_on_behind_any_token(void **state)
{
    (void)state;
    struct ft_replica *r = open_script("{\"text\":\"a b c\",\"tokens\":7}");
    struct heard whole, rest;
    ask(r, &whole, FT_TASK_CHAT, "{}");
    for (int at = 0; at <= 7; at++) {
        json_t *ids = json_array();
        for (int i = 0; i < at; i++)
            json_array_append_new(ids, json_integer(whole.token[i]));
        json_t *body = json_pack("{s:{s:[o]}}", "feitian", "resume", ids);
        char *text = json_dumps(body, 0);
        ask(r, &rest, FT_TASK_CHAT, text);
        assert_int_equal(rest.n_token, 7 - at);
        assert_memory_equal(rest.token, whole.token + at, sizeof(int32_t) * (size_t)(7 - at));
        assert_int_equal(rest.completion, 7);
        free(text);
        json_decref(body);
    }
    r->ops->close(r);
}

static void fails_as_told(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        enum ft_code code;
        enum ft_piece_fault fault;
        int tokens;
    } c[] = {{"{\"fail_after\":2}", FT_EIO, FT_FAULT_REPLICA, 2},
             {"{\"error\":\"internal\"}", FT_EINTERNAL, FT_FAULT_REPLICA, 0},
             {"{\"error\":\"busy\"}", FT_EBUSY, FT_FAULT_BUSY, 0},
             {"{\"error\":\"invalid\",\"fail_after\":1}", FT_EINVAL, FT_FAULT_CALL, 1}};
    for (size_t i = 0; i < FT_COUNT(c); i++) {
        struct ft_replica *r = open_script(c[i].script);
        struct heard h;
        ask(r, &h, FT_TASK_CHAT, "{}");
        assert_int_equal(h.code, c[i].code);
        assert_int_equal(h.fault, c[i].fault);
        assert_int_equal(h.n_token, c[i].tokens);
        r->ops->close(r);
    }
}

static void many_streams_by_the_clock(void **state)
{
    (void)state;
    struct ft_replica *r = open_script("{\"tokens\":4,\"interval_ms\":5,\"first_ms\":1}");
    enum { N = 300 };
    struct heard *h = calloc(N, sizeof *h);
    for (int i = 0; i < N; i++)
        ask(r, &h[i], FT_TASK_CHAT, "{}");
    for (int i = 0; i < N; i++) {
        heard_wait(&h[i]);
        assert_int_equal(h[i].n_token, 4);
    }
    free(h);
    r->ops->close(r);
}

static void canceled_and_paused_by_the_clock(void **state)
{
    (void)state;
    struct ft_replica *r = open_script("{\"tokens\":1000000,\"interval_ms\":1}");
    struct heard a, b, c;
    struct ft_replica_job *ja = ask(r, &a, FT_TASK_CHAT, "{}");
    struct ft_replica_job *jb = ask(r, &b, FT_TASK_CHAT, "{}");
    heard_init(&c);
    pthread_mutex_lock(&c.mu); /* it cannot end before it is paused: a job is gone with its END */
    struct ft_replica_job *jc = submit(r, &c, FT_TASK_CHAT, "{\"max_tokens\":20}");
    r->ops->pause(r, jb, true);
    r->ops->pause(r, jc, true);
    pthread_mutex_unlock(&c.mu);
    usleep(5000);
    r->ops->cancel(r, ja);
    r->ops->cancel(r, jb); /* also while paused */
    heard_wait(&a);
    heard_wait(&b);
    assert_int_equal(a.code, FT_ECANCELED);
    assert_int_equal(b.code, FT_ECANCELED);
    r->ops->pause(r, jc, false);
    heard_wait(&c);
    assert_int_equal(c.code, FT_OK);
    assert_int_equal(c.n_token, 20);
    r->ops->close(r);
}

static void bad_scripts_are_refused_by_member(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"[]", "script"},
        {"{\"text\":7}", "script.text"},
        {"{\"text\":\"  \"}", "script.text"},
        {"{\"tokens\":1.5}", "script.tokens"},
        {"{\"interval_ms\":-1}", "script.interval_ms"},
        {"{\"error\":\"fire\"}", "script.error"},
        {"{\"resumes\":1}", "script.resumes"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_err err;
        struct ft_replica *r;
        json_t *script = json_loads(bad[i][0], 0, NULL);
        assert_int_equal(ft_replica_script_open(script, &r, &err), FT_EINVAL);
        assert_ptr_equal(strstr(err.msg, bad[i][1]), err.msg);
        json_decref(script);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_within_submit),
        cmocka_unit_test(what_is_not_generated),
        cmocka_unit_test(goes_on_behind_any_token),
        cmocka_unit_test(fails_as_told),
        cmocka_unit_test(many_streams_by_the_clock),
        cmocka_unit_test(canceled_and_paused_by_the_clock),
        cmocka_unit_test(bad_scripts_are_refused_by_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
