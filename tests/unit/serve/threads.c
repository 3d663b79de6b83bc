/* Many threads at once: calls, cancels, pauses, changed endpoints, status; every call ends once. */
/* labels: threads */
#include <pthread.h>
#include <stdatomic.h>

#include "serve/serve.h"
#include "testing.h"

#define THREADS 6
#define CALLS   60

struct call {
    pthread_mutex_t mu;
    pthread_cond_t cond;
    struct ft_serve_call *call;
    int ends, pieces;
    enum ft_code code;
};

struct worker {
    struct ft_serve *s;
    int number;
    pthread_t thread;
};

static atomic_bool stop;

static void on_piece(void *ctx, const struct ft_piece *p)
{
    struct call *c = ctx;
    pthread_mutex_lock(&c->mu);
    c->pieces++;
    if (p->kind == FT_PIECE_END) {
        c->ends++;
        c->call = NULL;
        c->code = p->err != NULL ? p->err->code : FT_OK;
        pthread_cond_signal(&c->cond);
    }
    pthread_mutex_unlock(&c->mu);
}

static void one_call(struct ft_serve *s, int number, int i)
{
    static const char *const endpoints[] = {"now", "slow", "failing", "changing"};
    struct call c = {.mu = PTHREAD_MUTEX_INITIALIZER, .cond = PTHREAD_COND_INITIALIZER};
    struct ft_serve_call *call = NULL;
    char id[32], project[8];
    struct ft_err err;
    int retry_ms;
    snprintf(id, sizeof id, "req_%d_%d", number, i);
    snprintf(project, sizeof project, "p%d", number % 3);
    json_t *body = json_pack("{s:i}", "max_tokens", 5);
    struct ft_serve_request q = {.kind = FT_TASK_CHAT,
                                 .id = id,
                                 .endpoint = endpoints[i % 4],
                                 .project = project,
                                 .weight = 1,
                                 .body = body,
                                 .on_piece = on_piece,
                                 .ctx = &c};
    int rc = ft_serve_submit(s, &q, &call, &retry_ms, &err);
    ft_json_unref(body);
    if (rc != 0) {
        assert_int_equal(rc, FT_ENOTFOUND); /* the endpoint that comes and goes */
        assert_int_equal(i % 4, 3);
        return;
    }
    pthread_mutex_lock(&c.mu);
    if (c.ends == 0) { /* the call is valid while its END cannot be delivered */
        if (i % 3 == 0)
            ft_serve_pause(s, call, true);
        if (i % 5 == 0)
            ft_serve_cancel(s, call);
        if (i % 3 == 0)
            ft_serve_pause(s, call, false);
    }
    while (c.ends == 0)
        pthread_cond_wait(&c.cond, &c.mu);
    assert_int_equal(c.ends, 1);
    pthread_mutex_unlock(&c.mu);
}

static void *caller(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < CALLS; i++)
        one_call(w->s, w->number, i);
    return NULL;
}

static void apply(struct ft_serve *s, const char *id, const char *json)
{
    struct ft_err err;
    json_t *body = json != NULL ? json_loads(json, 0, NULL) : NULL;
    assert_int_equal(ft_serve_apply(s, "endpoint", id, body, &err), 0);
    json_decref(body);
}

static void *changer(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; !stop; i++) {
        char json[256];
        snprintf(
            json, sizeof json,
            "{\"name\":\"changing\",\"targets\":[{\"script\":{\"tokens\":%d,\"interval_ms\":%d}"
            "}]}",
            i % 7, i % 3);
        apply(w->s, "e4", i % 5 == 4 ? NULL : json);
        json_decref(ft_serve_status(w->s));
        json_decref(ft_serve_models(w->s, "p1"));
        usleep(500);
    }
    return NULL;
}

static void every_call_ends_once(void **state)
{
    (void)state;
    struct ft_err err;
    struct ft_serve *s;
    struct ft_serve_config config = {.memory_bytes = 1};
    assert_int_equal(ft_serve_open(&config, &s, &err), 0);
    apply(s, "e1", "{\"name\":\"now\",\"targets\":[{\"script\":{}}]}");
    apply(s, "e2", "{\"name\":\"slow\",\"targets\":[{\"script\":{\"interval_ms\":1}}]}");
    apply(s, "e3",
          "{\"name\":\"failing\",\"targets\":[{\"script\":{\"interval_ms\":1,"
          "\"fail_after\":3}},{\"script\":{\"error\":\"internal\",\"resumes\":false}}]}");
    struct worker w[THREADS + 1];
    for (int i = 0; i <= THREADS; i++) {
        w[i] = (struct worker){.s = s, .number = i};
        pthread_create(&w[i].thread, NULL, i < THREADS ? caller : changer, &w[i]);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(w[i].thread, NULL);
    stop = true;
    pthread_join(w[THREADS].thread, NULL);
    ft_serve_close(s, false);
}

/* 2,000 open streams, slowly: their number is what counts, not their tokens. */
static void many_streams_are_drained(void **state)
{
    (void)state;
    enum { N = 2000 };
    struct ft_err err;
    struct ft_serve *s;
    struct ft_serve_config config = {.memory_bytes = 1};
    assert_int_equal(ft_serve_open(&config, &s, &err), 0);
    apply(s, "e1",
          "{\"name\":\"x\",\"targets\":[{\"script\":{\"tokens\":1000,\"interval_ms\":1000,"
          "\"first_ms\":1000}}]}");
    struct call *c = calloc(N, sizeof *c);
    json_t *body = json_object();
    for (int i = 0; i < N; i++) {
        pthread_mutex_init(&c[i].mu, NULL);
        pthread_cond_init(&c[i].cond, NULL);
        struct ft_serve_request q = {.kind = FT_TASK_CHAT,
                                     .id = "req",
                                     .endpoint = "x",
                                     .project = "p",
                                     .body = body,
                                     .on_piece = on_piece,
                                     .ctx = &c[i]};
        int retry_ms;
        assert_int_equal(ft_serve_submit(s, &q, &c[i].call, &retry_ms, &err), 0);
    }
    assert_int_equal(ft_serve_drain(s, 10), N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(c[i].ends, 1);
        assert_int_equal(c[i].code, FT_ECANCELED);
    }
    ft_json_unref(body);
    free(c);
    ft_serve_close(s, false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_ends_once),
        cmocka_unit_test(many_streams_are_drained),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
