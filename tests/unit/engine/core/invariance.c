/* labels: threads */
/* The same requests give the same tokens however they are run: alone or together, whatever the
 * batch, the chunks, the cache, preemption, speculation. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#define N_JOBS 16

struct jobs {
    int32_t prompt[N_JOBS][128];
    struct ft_request r[N_JOBS];
    struct answer want[N_JOBS];
};

static struct jobs jobs;
static bool have_jobs;
static const char *const stories = "stories/stories260K-F32.gguf";

/* Prompts of 1 to 110 tokens, some sharing a long beginning; greedy and sampled, with penalties. */
static void make_jobs(struct jobs *j)
{
    for (int i = 0; i < N_JOBS; i++) {
        int n = i == 0 ? 1 : (i * 37) % 110 + 2;
        make_prompt(j->prompt[i], 128, 512, i % 4 == 3 ? 7 : (uint32_t)i);
        struct ft_request *r = &j->r[i];
        *r = greedy_request("m", j->prompt[i], n, 50 + i * 8);
        r->prefix_cache = false;
        r->logprobs = i % 2 == 0;
        r->n_top = i % 3;
        if (i % 3 == 0)
            continue;
        r->sampling.temperature = 0.7f + 0.1f * (float)i;
        r->sampling.seed = 1000 + (uint64_t)i;
        r->sampling.top_p = i % 3 == 1 ? 0.9f : 1;
        r->sampling.top_k = i % 5 == 0 ? 20 : 0;
        r->sampling.min_p = i % 7 == 0 ? 0.05f : 0;
        r->sampling.repetition_penalty = i % 4 == 1 ? 1.2f : 1;
        r->sampling.frequency_penalty = i % 4 == 2 ? 0.5f : 0;
        r->sampling.penalty_window = i % 8 == 1 ? 16 : 0;
    }
}

static struct ft_engine_config base_config(void)
{
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    return c;
}

/* What each gives when it runs alone, in an engine without cache. */
static void need_jobs(void)
{
    if (!have_jobs) {
        struct rig g;
        rig_open(&g, NULL);
        if (!rig_add(&g, "m", stories)) {
            rig_close(&g);
            skip();
        }
        make_jobs(&jobs);
        for (int i = 0; i < N_JOBS; i++) {
            run_request(g.e, &jobs.r[i], &jobs.want[i]);
            assert_int_equal(jobs.want[i].finish, FT_FINISH_LENGTH);
            assert_int_equal(jobs.want[i].sample[0].n, jobs.r[i].max_tokens);
        }
        rig_close(&g);
        have_jobs = true;
    }
}

struct twist {
    bool cache;
    int lookup;
    const char *draft;
    int rounds;
    uint64_t preemptions, spilled, accepted; /* at least */
};

/* Runs all jobs at once and compares. */
static void run_all_as(struct rig *g, const struct twist *t, const struct answer *want)
{
    for (int round = 0; round < (t->rounds > 0 ? t->rounds : 1); round++) {
        struct ft_stream *st[N_JOBS];
        static struct answer got;
        for (int i = 0; i < N_JOBS; i++) {
            struct ft_request r = jobs.r[i];
            r.prefix_cache = t->cache;
            r.spec.lookup_max = t->lookup;
            r.spec.draft = t->draft;
            r.spec.draft_max = 5;
            st[i] = must_submit(g->e, &r, NULL);
        }
        for (int i = 0; i < N_JOBS; i++) {
            drain_stream(st[i], &got);
            if (got.finish == FT_FINISH_ERROR)
                fail_msg("job %d: %s", i, got.err.msg);
            const struct said *alone = &want[i].sample[0];
            assert_same_said(alone, &got.sample[0]);
            for (int k = 0; k < got.sample[0].n; k++)
                assert_true(got.sample[0].logprob[k] == alone->logprob[k]);
            assert_int_equal(got.sample[0].text_n, alone->text_n);
            assert_memory_equal(got.sample[0].text, alone->text, got.sample[0].text_n);
        }
    }
    struct ft_engine_stats s;
    ft_engine_stats(g->e, &s);
    assert_true(s.preemptions >= t->preemptions);
    assert_true(s.spilled_blocks >= t->spilled);
    assert_true(s.accepted_tokens >= t->accepted);
    assert_int_equal(s.running + s.waiting + s.preempted + s.paused, 0);
    assert_true(s.kv_bytes <= s.memory_bytes);
    assert_int_equal(s.spill_bytes, 0);
}

static void run_all(struct rig *g, const struct twist *t)
{
    run_all_as(g, t, jobs.want);
}

static void with_config(const struct ft_engine_config *c, const struct twist *t)
{
    need_jobs();
    struct rig g;
    rig_open(&g, c);
    assert_true(rig_add(&g, "m", stories));
    if (t->draft != NULL && strcmp(t->draft, "m") != 0)
        assert_true(rig_add(&g, t->draft, stories));
    run_all(&g, t);
    rig_close(&g);
}

static void batch_and_chunk_sizes_change_nothing(void **state)
{
    (void)state;
    static const int rows[] = {1, 7, 33, 512}, running[] = {1, 7, 64, 64};
    for (size_t i = 0; i < FT_COUNT(rows); i++) {
        struct ft_engine_config c = base_config();
        c.max_rows = rows[i];
        c.max_running = running[i];
        with_config(&c, &(struct twist){0});
    }
}

static void threads_change_nothing(void **state)
{
    (void)state;
    struct ft_engine_config c = base_config();
    for (test_threads = 1; test_threads <= 3; test_threads++)
        with_config(&c, &(struct twist){.cache = true});
    test_threads = 0;
}

/* Rounded keys and values round the same wherever a chunk ends, alone or not, cached or not. */
static void cache_types_change_nothing_but_the_model(void **state)
{
    (void)state;
    static const enum ft_kv_type types[] = {FT_KV_F16, FT_KV_Q8};
    static struct answer want[N_JOBS];
    need_jobs();
    for (size_t k = 0; k < FT_COUNT(types); k++)
        for (test_threads = 1; test_threads <= 2; test_threads++) {
            struct rig g;
            struct ft_engine_config c = base_config();
            c.kv_type = types[k];
            if (test_threads == 1) {
                rig_open(&g, &c);
                assert_true(rig_add(&g, "m", stories));
                for (int i = 0; i < N_JOBS; i++)
                    run_request(g.e, &jobs.r[i], &want[i]);
                rig_close(&g);
            }
            c.max_rows = test_threads == 1 ? 7 : 45;
            rig_open(&g, &c);
            assert_true(rig_add(&g, "m", stories));
            run_all_as(&g, &(struct twist){.cache = true, .rounds = 2, .lookup = 4}, want);
            rig_close(&g);
        }
    test_threads = 0;
}

static void a_small_batch_serves_many_sequences(void **state)
{
    (void)state;
    struct ft_engine_config c = base_config();
    c.max_rows = 3;
    with_config(&c, &(struct twist){.cache = true});
}

static void prefix_cache_changes_nothing_but_is_used(void **state)
{
    (void)state;
    struct ft_engine_config c = base_config();
    need_jobs();
    struct rig g;
    rig_open(&g, &c);
    assert_true(rig_add(&g, "m", stories));
    run_all(&g, &(struct twist){.cache = true, .rounds = 2});
    struct ft_engine_stats s;
    ft_engine_stats(g.e, &s);
    assert_true(s.cached_tokens > 100);
    assert_true(s.kv_cached_bytes > 0);
    rig_close(&g);
}

/* Room for the weights and n blocks. */
static struct ft_engine_config tight(int n_blocks)
{
    struct rig g;
    rig_open(&g, NULL);
    assert_true(rig_add(&g, "m", stories));
    struct ft_model_stats m;
    assert_int_equal(ft_engine_model_load(g.e, "m", NULL, NULL, NULL), 0);
    ft_engine_model_stats(g.e, &m, 1);
    rig_close(&g);
    struct ft_engine_config c = base_config();
    c.memory_bytes = m.weight_bytes + (uint64_t)n_blocks * m.block_bytes;
    return c;
}

static void preemption_with_recomputation_changes_nothing(void **state)
{
    (void)state;
    need_jobs();
    struct ft_engine_config c = tight(12);
    with_config(&c, &(struct twist){.preemptions = 1});
    with_config(&c, &(struct twist){.cache = true, .preemptions = 1, .rounds = 2});
}

static void preemption_with_spilling_changes_nothing(void **state)
{
    (void)state;
    need_jobs();
    struct ft_engine_config c = tight(12);
    c.spill_dir = "/tmp";
    with_config(&c, &(struct twist){.preemptions = 1, .spilled = 1});
    with_config(&c, &(struct twist){.cache = true, .preemptions = 1, .rounds = 2});
}

static void prompt_lookup_changes_nothing(void **state)
{
    (void)state;
    struct ft_engine_config c = base_config();
    with_config(&c, &(struct twist){.lookup = 8, .accepted = 10});
    c.max_rows = 5;
    with_config(&c, &(struct twist){.lookup = 8, .cache = true});
}

static void a_draft_model_changes_nothing(void **state)
{
    (void)state;
    struct ft_engine_config c = base_config();
    with_config(&c, &(struct twist){.draft = "twin", .accepted = 200});
    with_config(&c, &(struct twist){.draft = "twin", .lookup = 4, .cache = true, .rounds = 2});
}

static void a_draft_model_under_pressure_changes_nothing(void **state)
{
    (void)state;
    need_jobs();
    struct ft_engine_config c = tight(30);
    c.memory_bytes *= 2;
    with_config(&c, &(struct twist){.draft = "twin"});
    c = tight(16); /* no room for the draft at all */
    with_config(&c, &(struct twist){.draft = "twin", .cache = true});
}

static void samples_of_one_prompt_equal_requests_of_their_own(void **state)
{
    (void)state;
    need_jobs();
    struct rig g;
    rig_open(&g, NULL);
    assert_true(rig_add(&g, "m", stories));
    static struct answer four, again, one;
    struct ft_request r = jobs.r[7];
    r.prefix_cache = true;
    r.n = 4;
    run_request(g.e, &r, &four);
    run_request(g.e, &r, &again);
    for (int i = 0; i < 4; i++)
        assert_same_said(&four.sample[i], &again.sample[i]);
    assert_same_said(&jobs.want[7].sample[0], &four.sample[0]);
    bool differ = false;
    for (int i = 1; i < 4; i++)
        differ |= memcmp(four.sample[i].token, four.sample[0].token, 40) != 0;
    assert_true(differ);
    r.n = 1;
    run_request(g.e, &r, &one);
    assert_same_said(&one.sample[0], &four.sample[0]);
    assert_int_equal(four.usage.generated_tokens, 4 * r.max_tokens);
    rig_close(&g);
    /* without room to run side by side, and with preemption */
    struct ft_engine_config c = tight(7);
    rig_open(&g, &c);
    assert_true(rig_add(&g, "m", stories));
    r.n = 4;
    for (int round = 0; round < 2; round++) {
        r.prefix_cache = round == 1;
        run_request(g.e, &r, &again);
        for (int i = 0; i < 4; i++)
            assert_same_said(&four.sample[i], &again.sample[i]);
    }
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(batch_and_chunk_sizes_change_nothing),
        cmocka_unit_test(threads_change_nothing),
        cmocka_unit_test(cache_types_change_nothing_but_the_model),
        cmocka_unit_test(a_small_batch_serves_many_sequences),
        cmocka_unit_test(prefix_cache_changes_nothing_but_is_used),
        cmocka_unit_test(preemption_with_recomputation_changes_nothing),
        cmocka_unit_test(preemption_with_spilling_changes_nothing),
        cmocka_unit_test(prompt_lookup_changes_nothing),
        cmocka_unit_test(a_draft_model_changes_nothing),
        cmocka_unit_test(a_draft_model_under_pressure_changes_nothing),
        cmocka_unit_test(samples_of_one_prompt_equal_requests_of_their_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
