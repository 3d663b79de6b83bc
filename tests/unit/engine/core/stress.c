/* labels: threads */
/* Many requests of every kind at once, from several threads, on two models in little memory,
 * cancelled, paused and closed at random: every one ends exactly once, nothing leaks, nothing
 * hangs. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#include <stdatomic.h>

#include "base/clock.h"
#include "base/rand.h"

#define THREADS 4
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
#define PER_THREAD 12 /* ten times slower there */
#else
#define PER_THREAD 40
#endif
#define AT_ONCE 16

struct probe {
    atomic_int n_end, n_bad;
};

struct client {
    pthread_t thread;
    struct ft_engine *e;
    uint64_t seed;
    struct probe *probe;
    int n_done, n_cancelled, n_refused;
};

/* Callback mode: counts ends, now and then cancels or pauses itself, from the owner thread. */
struct own {
    struct client *c;
    atomic_ullong id;
    atomic_int ended;
    int events, cancel_at;
};

static void on_event(void *ctx, const struct ft_event *ev)
{
    struct own *o = ctx;
    if (atomic_load(&o->ended))
        atomic_fetch_add(&o->c->probe->n_bad, 1);
    if (++o->events == o->cancel_at && atomic_load(&o->id) != 0)
        ft_engine_cancel(o->c->e, atomic_load(&o->id));
    if (ev->kind == FT_EVENT_END) {
        atomic_fetch_add(&o->c->probe->n_end, 1);
        atomic_store(&o->ended, 1);
    }
}

static uint64_t dice(struct client *c, uint64_t sides)
{
    static _Thread_local uint64_t n;
    return ft_rand_u64(c->seed, 9, n++) % sides;
}

static struct ft_request random_request(struct client *c, int32_t *prompt)
{
    struct ft_request r;
    ft_request_init(&r);
    r.model = dice(c, 3) == 0 ? "b" : "a";
    int n = 1 + (int)dice(c, dice(c, 4) == 0 ? 200 : 60);
    make_prompt(prompt, n, 320, (uint32_t)dice(c, 6));
    r.prompt = prompt;
    r.n_prompt = (size_t)n;
    r.kind = dice(c, 5) == 0 ? (enum ft_request_kind)(1 + dice(c, 4)) : FT_REQUEST_GENERATE;
    static const int32_t yes_no[2] = {7, 9};
    r.score_token = yes_no;
    r.n_score = 2;
    r.max_tokens = 1 + (int)dice(c, 60);
    r.n = dice(c, 4) == 0 ? 1 + (int)dice(c, 5) : 1;
    r.sampling.temperature = dice(c, 2) == 0 ? 0 : 1;
    r.sampling.seed = dice(c, 100);
    r.sampling.top_p = dice(c, 2) == 0 ? 1 : 0.9f;
    r.sampling.repetition_penalty = dice(c, 4) == 0 ? 1.1f : 1;
    r.n_top = (int)dice(c, 4);
    r.spec.lookup_max = dice(c, 3) == 0 ? 6 : 0;
    r.spec.draft = dice(c, 6) == 0 ? "b" : NULL;
    r.prefix_cache = dice(c, 4) != 0;
    r.salt = (struct ft_slice){"salt", dice(c, 3)};
    r.caller = (struct ft_slice){"abc", dice(c, 4)};
    r.priority = (int)dice(c, 3) - 1;
    r.ignore_eos = dice(c, 2) == 0;
    return r;
}

static void one_by_stream(struct client *c, const struct ft_request *r)
{
    struct ft_stream *st = NULL;
    struct ft_err err;
    uint64_t id;
    if (ft_engine_submit(c->e, r, &id, &st, &err) != 0) {
        c->n_refused++;
        return;
    }
    uint64_t way = dice(c, 6), stop_at = dice(c, 30);
    struct ft_event ev = {0};
    for (uint64_t n = 0; ev.kind != FT_EVENT_END; n++) {
        if (n == stop_at && way == 0)
            ft_engine_cancel(c->e, id);
        if (n == stop_at && way == 1)
            break; /* goes away without a word */
        if (n == stop_at && way == 2)
            usleep(2000); /* a slow reader */
        if (ft_stream_take(st, &ev, 120000) != 0) {
            atomic_fetch_add(&c->probe->n_bad, 1);
            break;
        }
    }
    c->n_done++;
    ft_stream_close(st);
}

static void some_by_callback(struct client *c, int32_t *prompt)
{
    struct own own[AT_ONCE];
    int n = 0;
    for (int i = 0; i < AT_ONCE; i++) {
        struct ft_request r = random_request(c, prompt);
        struct own *o = &own[n];
        *o = (struct own){.c = c, .cancel_at = dice(c, 3) == 0 ? 1 + (int)dice(c, 20) : -1};
        r.on_event = on_event;
        r.ctx = o;
        uint64_t id;
        struct ft_err err;
        if (ft_engine_submit(c->e, &r, &id, NULL, &err) != 0) {
            c->n_refused++;
            continue;
        }
        atomic_store(&o->id, id);
        n++;
        if (dice(c, 4) == 0)
            ft_engine_cancel(c->e, id);
        if (dice(c, 4) == 0) {
            ft_engine_pause(c->e, id, true);
            ft_engine_pause(c->e, id, false);
        }
    }
    int64_t until = ft_clock_now_ns() + 120000000000;
    for (int i = 0; i < n; i++) {
        while (!atomic_load(&own[i].ended) && ft_clock_now_ns() < until)
            usleep(500);
        if (!atomic_load(&own[i].ended))
            atomic_fetch_add(&c->probe->n_bad, 1);
        c->n_done++;
    }
}

static void *client_main(void *arg)
{
    struct client *c = arg;
    int32_t prompt[256];
    for (int i = 0; i < PER_THREAD; i++) {
        if (i % 10 == 3) {
            some_by_callback(c, prompt);
            continue;
        }
        struct ft_request r = random_request(c, prompt);
        one_by_stream(c, &r);
        struct ft_engine_stats s;
        ft_engine_stats(c->e, &s);
        if (s.kv_bytes > s.memory_bytes)
            atomic_fetch_add(&c->probe->n_bad, 1);
    }
    return NULL;
}

static void storm(struct ft_engine_config c, uint64_t seed)
{
    struct rig g;
    rig_open(&g, &c);
    if (!rig_add(&g, "a", "models/qwen3-s-F32.gguf")) {
        rig_close(&g);
        skip();
    }
    assert_true(rig_add(&g, "b", "models/llama-s-F32.gguf"));
    struct probe probe = {0};
    struct client client[THREADS];
    for (int i = 0; i < THREADS; i++) {
        client[i] = (struct client){.e = g.e, .seed = seed + (uint64_t)i, .probe = &probe};
        assert_int_equal(pthread_create(&client[i].thread, NULL, client_main, &client[i]), 0);
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(client[i].thread, NULL);
    assert_int_equal(atomic_load(&probe.n_bad), 0);
    /* what was abandoned ends soon */
    struct ft_engine_stats s;
    for (int i = 0; i < 2000; i++) {
        ft_engine_stats(g.e, &s);
        if (s.running + s.waiting + s.preempted + s.paused == 0)
            break;
        usleep(5000);
    }
    assert_int_equal(s.running + s.waiting + s.preempted + s.paused, 0);
    assert_int_equal(s.spill_bytes, 0);
    struct ft_model_stats m[2];
    assert_int_equal(ft_engine_model_stats(g.e, m, 2), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(m[i].blocks_used, m[i].blocks_cached);
    rig_close(&g);
}

static struct ft_engine_config small_config(void)
{
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.max_running = 12;
    c.max_rows = 48;
    c.memory_bytes = 2600000;
    c.max_requests = 200;
    return c;
}

static void a_storm_in_little_memory_ends_well(void **state)
{
    (void)state;
    storm(small_config(), 1);
}

static void a_storm_with_a_spill_file_ends_well(void **state)
{
    (void)state;
    struct ft_engine_config c = small_config();
    c.spill_dir = "/tmp";
    c.spill_bytes = 300000;
    storm(c, 100);
}

static void a_storm_in_one_models_memory_ends_well(void **state)
{
    (void)state;
    struct ft_engine_config c = small_config();
    c.memory_bytes = 1200000; /* the two take turns in memory */
    storm(c, 200);
}

static void closing_in_the_middle_ends_every_request(void **state)
{
    (void)state;
    struct rig g;
    rig_open(&g, NULL);
    if (!rig_add(&g, "a", "models/qwen3-s-F32.gguf")) {
        rig_close(&g);
        skip();
    }
    int32_t prompt[64];
    make_prompt(prompt, 64, 320, 1);
    struct ft_stream *st[20];
    for (int i = 0; i < 20; i++) {
        struct ft_request r = greedy_request("a", prompt, 64, 400);
        st[i] = must_submit(g.e, &r, NULL);
    }
    usleep(20000);
    rig_close(&g);
    for (int i = 0; i < 20; i++) {
        static struct answer a;
        drain_stream(st[i], &a);
        if (a.finish != FT_FINISH_CANCELLED) /* it was done before */
            assert_true(a.finish == FT_FINISH_LENGTH && a.sample[0].n == 400);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_storm_in_little_memory_ends_well),
        cmocka_unit_test(a_storm_with_a_spill_file_ends_well),
        cmocka_unit_test(a_storm_in_one_models_memory_ends_well),
        cmocka_unit_test(closing_in_the_middle_ends_every_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
