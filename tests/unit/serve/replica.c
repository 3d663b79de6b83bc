/* Replicas held to their contract: a worker and a server behind HTTP, and the script; then what
 * real and broken servers answer. */
/* labels: threads */
#include "canned.h"

#include "net/client.h"
#include "serve/replica_http.h"
#include "serve/replica_script.h"

#define CHUNK(text) "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text "\"}}]}\n\n"
#define STEP(text, id)                                                                             \
    "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"" text                              \
    "\"}}],\"feitian\":{\"i\":0,\"t\":[" id "]}}\n\n"
#define STOP  "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
#define DONE  "data: [DONE]\n\n"
#define USAGE "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":2}}\n\n"

static const struct canned_answer answers[] = {
    {"good", CANNED_SSE, CHUNK("a") CHUNK("b") STOP USAGE DONE, 0},
    {"v1", CANNED_SSE, STEP("a", "1") STEP("b", "2") STOP USAGE DONE, 0}, /* a worker's path */
    {"endless", CANNED_SSE, CHUNK("x"), 100000},
    {"comments", CANNED_SSE,
     "\xef\xbb\xbf: ping\r\n\r\nevent: x\r\nretry: 5\r\ndata: {\"choices\":\r\ndata: "
     "[]}\r\n\r\n" CHUNK("a") STOP DONE,
     0},
    {"nousage", CANNED_SSE, CHUNK("a") CHUNK("b") STOP DONE, 0},
    {"nodone", CANNED_SSE, CHUNK("a") STOP, 0},
    {"cut", CANNED_SSE, CHUNK("a") "data: {\"choi", 0},
    {"cutlength",
     "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: 100000\r\n\r\n",
     CHUNK("a"), 0},
    {"slam", NULL, NULL, 0},
    {"junk", "\x01\x02 what\r\n\r\n", "", 0},
    {"html", "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n", "<html>", 0},
    {"badjson", CANNED_SSE, CHUNK("a") "data: {{{\n\n" CHUNK("b") STOP DONE, 0},
    {"midway", CANNED_SSE,
     CHUNK("a") "data: {\"error\":{\"message\":\"out of cheese\",\"code\":500}}\n\n", 0},
    {"whole", CANNED_JSON,
     "{\"choices\":[{\"index\":0,\"message\":{\"content\":\"all\"},\"finish_reason\":\"stop\"}]}",
     0},
    {"busy", "HTTP/1.1 429 Too Many\r\nRetry-After: 3\r\nContent-Type: application/json\r\n\r\n",
     "{\"error\":{\"message\":\"later\"}}", 0},
    {"busyms", "HTTP/1.1 503 No\r\nretry-after-ms: 250\r\n\r\n", "", 0},
    {"absurd", "HTTP/1.1 429 No\r\nRetry-After: 1e300\r\n\r\n", "", 0},
    {"refused", "HTTP/1.1 400 Bad\r\n\r\n", "{\"error\":{\"message\":\"no such parameter\"}}", 0},
    {"missing", "HTTP/1.1 404 No\r\n\r\n", "{\"error\":{\"message\":\"no such model\"}}", 0},
    {"broken", "HTTP/1.1 500 Oh\r\n\r\n", "{\"error\":\"boom\"}", 0},
    {"unauthorized", "HTTP/1.1 401 Who\r\n\r\n", "{\"error\":{\"message\":\"bad sk-secret\"}}", 0},
};

/* ---- who listens ---- */

struct heard {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    char text[256];
    int pieces, steps, tokens, finishes, ends, retry_ms;
    struct ft_answer_usage usage;
    enum ft_piece_fault fault;
    struct ft_err err;
};

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct heard *h = ctx;
    pthread_mutex_lock(&h->mu);
    assert_int_equal(h->ends, 0);
    h->pieces++;
    if (p->kind == FT_PIECE_CONTENT && strlen(h->text) + p->text.n < sizeof h->text)
        strncat(h->text, p->text.p, p->text.n);
    h->steps += p->kind == FT_PIECE_STEP;
    h->tokens += p->kind == FT_PIECE_STEP ? p->n_token : 0;
    h->finishes += p->kind == FT_PIECE_FINISH;
    if (p->kind == FT_PIECE_END) {
        h->ends++;
        h->usage = p->usage;
        h->fault = p->fault;
        h->retry_ms = p->retry_after_ms;
        if (p->err != NULL)
            h->err = *p->err;
    }
    pthread_cond_broadcast(&h->cond);
    pthread_mutex_unlock(&h->mu);
}

/* Until there were that many pieces, or the END. */
static void heard_wait(struct heard *h, int pieces)
{
    pthread_mutex_lock(&h->mu);
    while (h->ends == 0 && (pieces == 0 || h->pieces < pieces))
        pthread_cond_wait(&h->cond, &h->mu);
    pthread_mutex_unlock(&h->mu);
}

static struct ft_replica_job *ask(struct ft_replica *r, struct heard *h)
{
    struct ft_err err;
    struct ft_replica_job *run = NULL;
    json_t *body = json_pack("{s:s,s:[{s:s,s:s}]}", "model", "m", "messages", "role", "user",
                             "content", "0123456789012345");
    struct ft_job job = {.kind = FT_TASK_CHAT, .body = body, .on_piece = on_piece, .ctx = h};
    memset(h, 0, sizeof *h);
    pthread_mutex_init(&h->mu, NULL);
    pthread_cond_init(&h->cond, NULL);
    assert_int_equal(r->ops->submit(r, &job, &run, &err), 0);
    ft_json_unref(body);
    return run;
}

static struct ft_http_client *client;
static struct canned server, worker;

static struct ft_replica *open_server(const char *what)
{
    struct ft_err err;
    struct ft_replica *r;
    char url[128];
    snprintf(url, sizeof url, "http://127.0.0.1:%d/%s", server.port, what);
    struct ft_replica_http_config config = {.client = client, .url = url, .key = "sk-secret"};
    assert_int_equal(ft_replica_http_open(&config, &r, &err), 0);
    return r;
}

static struct ft_replica *open_worker(void)
{
    struct ft_err err;
    struct ft_replica *r;
    struct ft_replica_http_config config = {.client = client, .socket = worker.path};
    assert_int_equal(ft_replica_http_open(&config, &r, &err), 0);
    return r;
}

static struct ft_replica *open_script(const char *json)
{
    struct ft_err err;
    struct ft_replica *r;
    json_t *script = json_loads(json, 0, NULL);
    assert_int_equal(ft_replica_script_open(script, &r, &err), 0);
    json_decref(script);
    return r;
}

/* ---- the contract ---- */

static void a_good_answer_ends_once_and_well(void **state)
{
    (void)state;
    struct ft_replica *r[] = {open_server("good"), open_worker(),
                              open_script("{\"text\":\"ab\",\"tokens\":2}"),
                              open_script("{\"text\":\"ab\",\"tokens\":2,\"interval_ms\":1}")};
    for (size_t i = 0; i < FT_COUNT(r); i++) {
        struct heard h;
        ask(r[i], &h);
        heard_wait(&h, 0);
        assert_int_equal(h.err.code, FT_OK);
        assert_int_equal(h.finishes, 1);
        assert_int_equal(h.steps, 2);
        assert_string_equal(h.text, i < 2 ? "ab" : "abab");
        assert_int_equal(h.usage.completion_tokens, 2);
        assert_int_equal(h.tokens, r[i]->ops->resumes ? 2 : 0); /* ids, if it can be resumed */
        r[i]->ops->close(r[i]);
    }
}

static void a_canceled_job_ends_soon(void **state)
{
    (void)state;
    struct ft_replica *r[] = {open_server("endless"),
                              open_script("{\"tokens\":100000,\"interval_ms\":1}")};
    for (size_t i = 0; i < FT_COUNT(r); i++) {
        struct heard h;
        struct ft_replica_job *job = ask(r[i], &h);
        heard_wait(&h, 5);
        r[i]->ops->cancel(r[i], job);
        heard_wait(&h, 0);
        assert_int_equal(h.err.code, FT_ECANCELED);
        assert_int_equal(h.fault, FT_FAULT_CALL);
        assert_true(h.usage.prompt_tokens > 0 && h.usage.completion_tokens > 0);
        r[i]->ops->close(r[i]);
    }
}

static void a_paused_job_goes_on_later(void **state)
{
    (void)state;
    struct ft_replica *r[] = {open_server("endless"),
                              open_script("{\"tokens\":100000,\"interval_ms\":1}")};
    for (size_t i = 0; i < FT_COUNT(r); i++) {
        struct heard h;
        struct ft_replica_job *job = ask(r[i], &h);
        heard_wait(&h, 3);
        r[i]->ops->pause(r[i], job, true);
        int before = -1, now = 0;
        for (int k = 0; k < 200 && before != now; k++) { /* what is on its way comes */
            before = now;
            usleep(100000);
            pthread_mutex_lock(&h.mu);
            now = h.pieces;
            pthread_mutex_unlock(&h.mu);
        }
        assert_int_equal(before, now);
        r[i]->ops->pause(r[i], job, false);
        heard_wait(&h, before + 3);
        assert_true(h.ends == 0);
        r[i]->ops->cancel(r[i], job);
        heard_wait(&h, 0);
        r[i]->ops->close(r[i]);
    }
}

/* ---- servers as they are ---- */

static void what_servers_answer(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum ft_code code;
        enum ft_piece_fault fault;
        const char *text, *says;
        int retry_ms;
    } c[] = {
        {"good", FT_OK, 0, "ab", "", 0},
        {"comments", FT_OK, 0, "a", "", 0},
        {"nousage", FT_OK, 0, "ab", "", 0},
        {"nodone", FT_OK, 0, "a", "", 0},
        {"whole", FT_OK, 0, "all", "", 0},
        {"cut", FT_EIO, FT_FAULT_REPLICA, "a", "in the middle", 0},
        {"cutlength", FT_EIO, FT_FAULT_REPLICA, "a", "", 0},
        {"slam", FT_EIO, FT_FAULT_REPLICA, "", "", 0},
        {"junk", FT_EIO, FT_FAULT_REPLICA, "", "", 0},
        {"html", FT_ECORRUPT, FT_FAULT_REPLICA, "", "no JSON", 0},
        {"badjson", FT_ECORRUPT, FT_FAULT_REPLICA, "a", "no JSON", 0},
        {"midway", FT_EINTERNAL, FT_FAULT_REPLICA, "a", "out of cheese", 0},
        {"busy", FT_EBUSY, FT_FAULT_BUSY, "", "later", 3000},
        {"busyms", FT_EBUSY, FT_FAULT_BUSY, "", "503", 250},
        {"absurd", FT_EBUSY, FT_FAULT_BUSY, "", "429", 600000},
        {"refused", FT_EINVAL, FT_FAULT_CALL, "", "no such parameter", 0},
        {"missing", FT_ENOTFOUND, FT_FAULT_CALL, "", "no such model", 0},
        {"broken", FT_EINTERNAL, FT_FAULT_REPLICA, "", "boom", 0},
        {"unauthorized", FT_EINTERNAL, FT_FAULT_REPLICA, "", "refused its key", 0},
    };
    for (size_t i = 0; i < FT_COUNT(c); i++) {
        struct ft_replica *r = open_server(c[i].name);
        struct heard h;
        ask(r, &h);
        heard_wait(&h, 0);
        if (h.err.code != c[i].code || (h.err.code != FT_OK && h.fault != c[i].fault) ||
            strcmp(h.text, c[i].text) != 0 || strstr(h.err.msg, c[i].says) == NULL ||
            h.retry_ms != c[i].retry_ms)
            fail_msg("%s: code %d, fault %d, text '%s', retry %d: %s", c[i].name, h.err.code,
                     h.fault, h.text, h.retry_ms, h.err.msg);
        assert_null(strstr(h.err.msg, "sk-secret"));
        r->ops->close(r);
    }
}

static void nobody_there_is_unheard(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_replica_http_config configs[] = {
        {.client = client, .socket = "/tmp/ft_canned.none"},
        {.client = client, .url = "http://127.0.0.1:1"},
    };
    for (size_t i = 0; i < FT_COUNT(configs); i++) {
        struct ft_replica *r;
        struct heard h;
        assert_int_equal(ft_replica_http_open(&configs[i], &r, &err), 0);
        ask(r, &h);
        heard_wait(&h, 0);
        assert_int_equal(h.err.code, FT_EIO);
        assert_int_equal(h.fault, FT_FAULT_UNHEARD);
        r->ops->close(r);
    }
}

static void usage_that_was_not_told_is_counted(void **state)
{
    (void)state;
    struct ft_replica *r = open_server("nousage");
    struct heard h;
    ask(r, &h);
    heard_wait(&h, 0);
    assert_true(h.usage.counted);
    assert_int_equal(h.usage.completion_tokens, 2);
    assert_true(h.usage.prompt_tokens > 3);
    r->ops->close(r);
}

static void the_request_is_openais(void **state)
{
    (void)state;
    struct ft_replica *r = open_server("good/v1/");
    struct heard h;
    ask(r, &h);
    heard_wait(&h, 0);
    pthread_mutex_lock(&server.mu);
    assert_non_null(strstr(server.request, "POST /good/v1/chat/completions HTTP/1.1\r\n"));
    assert_non_null(strstr(server.request, "Authorization: Bearer sk-secret\r\n"));
    assert_non_null(strstr(server.request, "\r\n\r\n{\"model\":\"m\",\"messages\":[{"));
    pthread_mutex_unlock(&server.mu);
    r->ops->close(r);
}

static void bad_addresses_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "host", "ftp://host", "http://", "http://a b", "http://a\r\nX: y", "http://a?b"};
    struct ft_err err;
    struct ft_replica *r;
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_replica_http_config config = {.client = client, .url = bad[i]};
        assert_int_equal(ft_replica_http_open(&config, &r, &err), FT_EINVAL);
    }
    struct ft_replica_http_config config = {.client = client, .url = "http://a", .key = "a\nb"};
    assert_int_equal(ft_replica_http_open(&config, &r, &err), FT_EINVAL);
}

static int setup(void **state)
{
    (void)state;
    struct ft_err err;
    canned_open(&server, answers, (int)FT_COUNT(answers), false);
    canned_open(&worker, answers, (int)FT_COUNT(answers), true);
    return ft_http_client_open(&client, &err);
}

static int teardown(void **state)
{
    (void)state;
    ft_http_client_close(client);
    canned_close(&server);
    canned_close(&worker);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_good_answer_ends_once_and_well),
        cmocka_unit_test(a_canceled_job_ends_soon),
        cmocka_unit_test(a_paused_job_goes_on_later),
        cmocka_unit_test(what_servers_answer),
        cmocka_unit_test(nobody_there_is_unheard),
        cmocka_unit_test(usage_that_was_not_told_is_counted),
        cmocka_unit_test(the_request_is_openais),
        cmocka_unit_test(bad_addresses_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
