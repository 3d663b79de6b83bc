/* labels: threads */
/* Several models in one engine: turns, eviction under one budget, removal, statistics, fairness. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#include <stdatomic.h>

#include "base/clock.h"

static const char *const files[3] = {"models/qwen3-s-F32.gguf", "models/llama-s-F32.gguf",
                                     "stories/stories260K-F32.gguf"};
static const char *const ids[3] = {"qwen", "llama", "story"};

static void open_three(struct rig *g, uint64_t memory_bytes)
{
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.memory_bytes = memory_bytes;
    rig_open(g, &c);
    for (int i = 0; i < 3; i++)
        if (!rig_add(g, ids[i], files[i])) {
            rig_close(g);
            skip();
        }
}

static void models_answer_the_same_side_by_side_and_evicted(void **state)
{
    (void)state;
    static struct answer want[3], got;
    struct rig g;
    open_three(&g, 0);
    struct ft_request r[3];
    for (int i = 0; i < 3; i++) {
        r[i] = greedy_request(ids[i], ref_prompt, 32, 60);
        run_request(g.e, &r[i], &want[i]);
    }
    struct ft_stream *st[3];
    for (int i = 0; i < 3; i++)
        st[i] = must_submit(g.e, &r[i], NULL);
    for (int i = 0; i < 3; i++) {
        drain_stream(st[i], &got);
        assert_same_said(&want[i].sample[0], &got.sample[0]);
    }
    rig_close(&g);

    /* room for one of them and some KV: they are evicted in turn, whether one after the other or
     * all at once */
    open_three(&g, 1300000);
    for (int i = 0; i < 6; i++) {
        run_request(g.e, &r[i % 3], &got);
        assert_same_said(&want[i % 3].sample[0], &got.sample[0]);
    }
    struct ft_engine_stats s;
    ft_engine_stats(g.e, &s);
    assert_true(s.loads >= 4 && s.unloads >= 3);
    assert_true(s.weight_bytes + s.kv_bytes <= s.memory_bytes);
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 3; i++)
            st[i] = must_submit(g.e, &r[i], NULL);
        for (int i = 0; i < 3; i++) {
            drain_stream(st[i], &got);
            assert_same_said(&want[i].sample[0], &got.sample[0]);
        }
    }
    rig_close(&g);
}

static void two_resident_models_that_want_each_others_memory_get_on(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 1560000); /* the weights of two, and five blocks */
    int32_t prompt[400];
    make_prompt(prompt, 400, 320, 4);
    static struct answer a[2], again;
    struct ft_request r[2];
    struct ft_stream *st[2];
    for (int i = 0; i < 2; i++) {
        r[i] = greedy_request(ids[i], prompt, 5, 3);
        run_request(g.e, &r[i], &again);
    }
    struct ft_engine_stats s;
    ft_engine_stats(g.e, &s);
    assert_int_equal(s.models_ready, 2);
    for (int i = 0; i < 2; i++) {
        r[i] = greedy_request(ids[i], prompt, 400, 20);
        st[i] = must_submit(g.e, &r[i], NULL);
    }
    for (int i = 0; i < 2; i++) {
        drain_stream(st[i], &a[i]);
        assert_int_equal(a[i].finish, FT_FINISH_LENGTH);
        run_request(g.e, &r[i], &again);
        assert_same_said(&a[i].sample[0], &again.sample[0]);
    }
    rig_close(&g);
}

static void a_draft_model_of_another_kind_changes_nothing(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 0);
    static struct answer want, got;
    for (int i = 0; i < 2; i++) {
        struct ft_request r = greedy_request("qwen", ref_prompt, 32, 80);
        r.sampling.temperature = (float)i;
        r.sampling.seed = 9;
        run_request(g.e, &r, &want);
        r.spec.draft = "llama";
        run_request(g.e, &r, &got);
        assert_same_said(&want.sample[0], &got.sample[0]);
        assert_true(got.usage.drafted_tokens > 0);
        assert_true(got.usage.accepted_tokens <= got.usage.drafted_tokens);
        r.spec.draft = "story"; /* another vocabulary */
        struct ft_stream *st;
        assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, NULL), FT_EINVAL);
    }
    rig_close(&g);
}

static void loading_reports_progress_and_state(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 0);
    struct ft_model_stats m[4];
    assert_int_equal(ft_engine_model_stats(g.e, m, 4), 3);
    assert_string_equal(m[1].id, "llama");
    assert_int_equal(m[1].state, FT_MODEL_COLD);
    assert_int_equal(m[1].weight_bytes, 0);
    struct ft_err err;
    assert_int_equal(ft_engine_model_load(g.e, "llama", NULL, NULL, &err), 0);
    ft_engine_model_stats(g.e, m, 4);
    assert_int_equal(m[1].state, FT_MODEL_READY);
    assert_true(m[1].weight_bytes > 0);
    assert_int_equal(m[1].load_done, m[1].load_all);
    assert_int_equal(ft_engine_model_load(g.e, "none", NULL, NULL, &err), FT_ENOTFOUND);
    rig_close(&g);
}

static void bad_models_are_refused(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 0);
    struct ft_err err;
    assert_int_equal(ft_engine_model_add(g.e, "qwen", ft_test_ref(files[0]), NULL, &err),
                     FT_EEXIST);
    assert_int_equal(ft_engine_model_add(g.e, "", ft_test_ref(files[0]), NULL, &err), FT_EINVAL);
    assert_int_equal(ft_engine_model_add(g.e, "x", "/nowhere", NULL, &err), FT_ENOTFOUND);
    struct ft_model_options opt = {.n_ctx = 100000};
    assert_int_equal(ft_engine_model_add(g.e, "x", ft_test_ref(files[0]), &opt, &err), FT_EINVAL);
    assert_int_equal(ft_engine_model_remove(g.e, "x", &err), FT_ENOTFOUND);
    rig_close(&g);
}

static void removal_ends_requests_and_the_source_lives_on(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 0);
    const struct ft_model_source *src;
    struct ft_err err;
    assert_int_equal(ft_engine_model_source(g.e, "story", &src, &err), 0);
    assert_int_equal(src->n_ctx, 512);
    struct ft_request r = greedy_request("story", ref_prompt, 32, 400);
    struct ft_stream *st = must_submit(g.e, &r, NULL);
    assert_int_equal(ft_engine_model_remove(g.e, "story", &err), 0);
    static struct answer a;
    drain_stream(st, &a);
    assert_true(a.finish == FT_FINISH_CANCELLED || a.finish == FT_FINISH_ERROR);
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, &err), FT_ENOTFOUND);
    /* its name is free again */
    assert_true(rig_add(&g, "story", files[2]));
    r.max_tokens = 3;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].n, 3);
    rig_close(&g);
    size_t n;
    assert_non_null(ft_tokenizer_bytes(src->tokenizer, 403, &n));
    assert_true(n > 0);
    ft_model_source_unref(src);
}

static void a_draft_with_other_tokens_is_refused(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err = {0};
    open_three(&g, 0);
    /* as many tokens as the others, but they mean something else */
    struct ft_weights *w = NULL, *other = NULL;
    struct ft_tokenizer *t = NULL;
    assert_int_equal(ft_weights_open(ft_test_ref(files[1]), &w, &err), 0);
    assert_int_equal(ft_weights_open(ft_test_ref(files[2]), &other, &err), 0);
    assert_int_equal(ft_tokenizer_open(other, &t, &err), 0);
    assert_int_equal(ft_engine_model_add_open(g.e, "odd", w, t, NULL, &err), 0);
    struct ft_request r = greedy_request("qwen", ref_prompt, 32, 5);
    struct ft_stream *st;
    r.spec.draft = "odd";
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "spec.draft"));
    r.spec.draft = "llama";
    static struct answer a;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].n, 5);
    rig_close(&g);
    ft_weights_close(other);
}

/* ---- fairness ---- */

struct tally {
    int64_t end_ns;
    atomic_int done;
    const atomic_bool *gate; /* the engine's thread waits until all have been submitted */
};

static void note_end(void *ctx, const struct ft_event *ev)
{
    struct tally *t = ctx;
    while (!atomic_load(t->gate))
        usleep(1000);
    if (ev->kind == FT_EVENT_END) {
        t->end_ns = ft_clock_now_ns();
        atomic_store(&t->done, 1);
    }
}

static void a_flood_does_not_starve_another_caller(void **state)
{
    (void)state;
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.max_running = 2;
    struct rig g;
    rig_open(&g, &c);
    if (!rig_add(&g, "m", files[0])) {
        rig_close(&g);
        skip();
    }
    enum { FLOOD = 40, FEW = 4 };
    static struct tally t[FLOOD + FEW];
    atomic_bool gate = false;
    memset(t, 0, sizeof t);
    for (int i = 0; i < FLOOD + FEW; i++) {
        struct ft_request r = greedy_request("m", ref_prompt, 32, 20);
        r.prefix_cache = false;
        r.caller = i < FLOOD ? (struct ft_slice){"flood", 5} : (struct ft_slice){"few", 3};
        r.on_event = note_end;
        r.ctx = &t[i];
        t[i].gate = &gate;
        assert_int_equal(ft_engine_submit(g.e, &r, NULL, NULL, NULL), 0);
    }
    atomic_store(&gate, true);
    for (int i = 0; i < FLOOD + FEW; i++)
        while (!atomic_load(&t[i].done))
            usleep(1000);
    /* the few came last; each of them is done before most of the flood */
    for (int i = FLOOD; i < FLOOD + FEW; i++) {
        int before = 0;
        for (int k = 0; k < FLOOD; k++)
            before += t[k].end_ns < t[i].end_ns;
        assert_true(before < FLOOD / 2);
    }
    rig_close(&g);
}

/* Small requests that follow each other without end, as many at once as fit. */
struct flood {
    struct ft_engine *e;
    atomic_bool stop;
    atomic_int n_running, n_sent;
};

static void flow_on(void *ctx, const struct ft_event *ev)
{
    struct flood *f = ctx;
    if (ev->kind != FT_EVENT_END)
        return;
    int n = 5 + atomic_fetch_add(&f->n_sent, 1) * 7 % 60; /* they must not end all at once */
    struct ft_request r = greedy_request("llama", ref_prompt, 32, n);
    r.prefix_cache = false;
    r.on_event = flow_on;
    r.ctx = f;
    if (atomic_load(&f->stop) || ft_engine_submit(f->e, &r, NULL, NULL, NULL) != 0)
        atomic_fetch_sub(&f->n_running, 1);
}

static void a_busy_model_does_not_starve_a_large_request_of_another(void **state)
{
    (void)state;
    struct rig g;
    open_three(&g, 0);
    struct ft_model_stats m[3];
    for (int i = 0; i < 2; i++)
        assert_int_equal(ft_engine_model_load(g.e, ids[i], NULL, NULL, NULL), 0);
    ft_engine_model_stats(g.e, m, 3);
    rig_close(&g);
    /* the weights of two, and room for a prompt of 400 tokens or a dozen small ones, not for both
     */
    open_three(&g, m[0].weight_bytes + m[1].weight_bytes + 16 * m[0].block_bytes);
    static struct flood f;
    f = (struct flood){.e = g.e};
    struct ft_event end = {.kind = FT_EVENT_END};
    for (int i = 0; i < 12; i++) {
        atomic_fetch_add(&f.n_running, 1);
        flow_on(&f, &end);
    }
    int32_t prompt[400];
    make_prompt(prompt, 400, 320, 4);
    struct ft_request r = greedy_request("qwen", prompt, 400, 3);
    struct ft_stream *st = must_submit(g.e, &r, NULL);
    struct ft_event ev;
    int rc = 0;
    for (ev.kind = FT_EVENT_TOKEN; rc == 0 && ev.kind != FT_EVENT_END;)
        rc = ft_stream_take(st, &ev, 20000);
    assert_int_equal(rc, 0);
    assert_int_equal(ev.finish, FT_FINISH_LENGTH);
    assert_int_equal(atomic_load(&f.n_running), 12);
    atomic_store(&f.stop, true);
    ft_stream_close(st);
    while (atomic_load(&f.n_running) > 0)
        usleep(1000);
    rig_close(&g);
}

static void a_higher_priority_goes_first(void **state)
{
    (void)state;
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.max_running = 1;
    struct rig g;
    rig_open(&g, &c);
    if (!rig_add(&g, "m", files[0])) {
        rig_close(&g);
        skip();
    }
    static struct tally t[6];
    atomic_bool gate = false;
    memset(t, 0, sizeof t);
    for (int i = 0; i < 6; i++) {
        struct ft_request r = greedy_request("m", ref_prompt, 32, 400);
        r.priority = i == 5 ? 5 : 0;
        r.on_event = note_end;
        r.ctx = &t[i];
        t[i].gate = &gate;
        assert_int_equal(ft_engine_submit(g.e, &r, NULL, NULL, NULL), 0);
    }
    atomic_store(&gate, true);
    for (int i = 0; i < 6; i++)
        while (!atomic_load(&t[i].done))
            usleep(1000);
    for (int i = 0; i < 5; i++)
        assert_true(t[5].end_ns < t[i].end_ns); /* it pushes even the running one out */
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(models_answer_the_same_side_by_side_and_evicted),
        cmocka_unit_test(two_resident_models_that_want_each_others_memory_get_on),
        cmocka_unit_test(a_draft_model_of_another_kind_changes_nothing),
        cmocka_unit_test(loading_reports_progress_and_state),
        cmocka_unit_test(bad_models_are_refused),
        cmocka_unit_test(removal_ends_requests_and_the_source_lives_on),
        cmocka_unit_test(a_flood_does_not_starve_another_caller),
        cmocka_unit_test(a_higher_priority_goes_first),
        cmocka_unit_test(a_draft_with_other_tokens_is_refused),
        cmocka_unit_test(a_busy_model_does_not_starve_a_large_request_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
