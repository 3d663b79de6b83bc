/* labels: threads */
/* Answers that were cut anywhere go on with the same tokens, texts and log-probabilities, and end
 * in the same way. */
#define TEST_DEVICE ft_dev_cpu_ops
#include "fixture.h"

#include "engine/constrain/constrain.h"

#define SAMPLES_MAX 8

static const int32_t dog[11] = {1, 403, 407, 261, 378, 432, 383, 286, 261, 400, 428};
static const char *const stories = "stories/stories260K-F32.gguf";

static void open_story(struct rig *g, const struct ft_engine_config *c)
{
    rig_open(g, c);
    if (!rig_add(g, "s", stories)) {
        rig_close(g);
        skip();
    }
}

/* Everything that a sample's events told: tokens, and the end token if there is one. */
static int told(const struct said *s, int32_t *ids)
{
    memcpy(ids, s->token, (size_t)s->n * sizeof *ids);
    if (s->last < 0)
        return s->n;
    ids[s->n] = s->last;
    return s->n + 1;
}

static void same_after(const struct said *want, const struct said *got, int cut, int all, int n_top)
{
    assert_same_said(want, got);
    assert_int_equal(got->n_resumed, FT_MIN(cut, want->n));
    assert_int_equal(got->done_resumed, cut == all);
    assert_int_equal(want->stop_index, got->stop_index);
    assert_int_equal(want->text_n, got->text_n);
    assert_memory_equal(want->text, got->text, got->text_n);
    for (int k = got->n_resumed; k < got->n; k++) {
        assert_true(want->logprob[k] == got->logprob[k]);
        assert_memory_equal(want->top[k], got->top[k], (size_t)n_top * sizeof **want->top);
    }
}

/* Cuts r's answer at every position, each sample at another one, and lets it go on. */
static void cut_everywhere(struct ft_engine *e, struct ft_request r)
{
    static struct answer want, got;
    static int32_t ids[SAMPLES_MAX][OUT_MAX];
    int n[SAMPLES_MAX], most = 0;
    r.resume = NULL;
    run_request(e, &r, &want);
    assert_int_not_equal(want.finish, FT_FINISH_ERROR);
    for (int i = 0; i < r.n; i++) {
        n[i] = told(&want.sample[i], ids[i]);
        most = FT_MAX(most, n[i]);
    }
    assert_true(most > 3);
    for (int cut = 0; cut <= most; cut++) {
        struct ft_resume part[SAMPLES_MAX];
        for (int i = 0; i < r.n; i++)
            part[i] = (struct ft_resume){ids[i], FT_MIN(i == 0 ? cut : cut * (i + 2) % most, n[i])};
        r.resume = part;
        run_request(e, &r, &got);
        if (got.finish == FT_FINISH_ERROR)
            fail_msg("cut at %d: %s", cut, got.err.msg);
        for (int i = 0; i < r.n; i++)
            same_after(&want.sample[i], &got.sample[i], part[i].n, n[i], r.n_top);
        assert_int_equal(got.usage.generated_tokens, want.usage.generated_tokens);
        assert_int_equal(got.usage.prompt_tokens, want.usage.prompt_tokens);
        assert_true(got.usage.cached_tokens <= got.usage.prompt_tokens);
    }
}

static struct ft_request sampled(int max_tokens)
{
    struct ft_request r = greedy_request("s", dog, 11, max_tokens);
    r.sampling.temperature = 1.1f;
    r.sampling.seed = 77;
    r.sampling.top_p = 0.95f;
    r.logprobs = true;
    r.n_top = 3;
    return r;
}

static void greedy_and_sampled(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 40);
    r.logprobs = true;
    cut_everywhere(g.e, r);
    r.prefix_cache = false;
    cut_everywhere(g.e, r);
    cut_everywhere(g.e, sampled(40));
    r = sampled(45);
    r.spec.lookup_max = 6;
    cut_everywhere(g.e, r);
    rig_close(&g);
}

static void penalties_and_biases(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_logit_bias bias = {403, 4};
    struct ft_request r = sampled(40);
    r.sampling.repetition_penalty = 1.3f;
    r.sampling.frequency_penalty = 0.6f;
    r.sampling.presence_penalty = 0.4f;
    r.sampling.bias = &bias;
    r.sampling.n_bias = 1;
    cut_everywhere(g.e, r);
    r.sampling.penalty_window = 16; /* the border moves through it */
    cut_everywhere(g.e, r);
    rig_close(&g);
}

static void grammars(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err = {0};
    open_story(&g, NULL);
    struct ft_request r = sampled(60);
    const char *schema = "{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\","
                         "\"maxLength\":12},\"age\":{\"type\":\"integer\",\"maximum\":99}},"
                         "\"required\":[\"name\",\"age\"],\"additionalProperties\":false}";
    if (ft_grammar_from_schema(schema, strlen(schema), &r.grammar, &err) != 0)
        fail_msg("%s", err.msg);
    r.ignore_eos = false;
    for (int n = 1; n <= 4; n += 3) { /* each sample has a position of its own in the grammar */
        r.n = n;
        cut_everywhere(g.e, r);
    }
    int32_t wrong[2] = {403, 407};
    struct ft_resume resume[4] = {{wrong, 2}};
    struct ft_stream *st;
    r.resume = resume;
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "resume[0][0]: grammar"));
    ft_grammar_unref(r.grammar);
    rig_close(&g);
}

/* Free text up to a mark, then what the grammar allows, and cuts before, in and behind the mark. */
static void grammars_that_begin_later(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err = {0};
    static struct answer all, got;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    run_request(g.e, &r, &all);
    r.ignore_eos = false;
    assert_int_equal(ft_grammar_from_regex("(yes|no){3}", 11, &r.grammar, &err), 0);
    const char *text = all.sample[0].text, *end = strchr(text + 40, ' ');
    assert_non_null(end); /* tokens begin with their spaces: so one ends here */
    for (size_t n = 8; n <= 32; n += 12) {
        r.grammar_after = (struct ft_slice){end - n, n};
        run_request(g.e, &r, &got);
        size_t free_n = (size_t)(end - text);
        assert_int_equal(got.sample[0].finish, FT_FINISH_EOS);
        assert_memory_equal(got.sample[0].text, text, free_n);
        struct ft_matcher *m;
        assert_int_equal(ft_matcher_open(r.grammar, NULL, &m, &err), 0);
        assert_true(
            ft_matcher_accept_bytes(m, got.sample[0].text + free_n, got.sample[0].text_n - free_n));
        assert_true(ft_matcher_may_end(m));
        ft_matcher_close(m);
        cut_everywhere(g.e, r);
    }
    /* a mark in the middle of tokens: one that goes on as the grammar wants, or another */
    for (int i = 0; i < 20; i++) {
        r.grammar_after = (struct ft_slice){text + 20 + i, 1};
        run_request(g.e, &r, &got);
        assert_int_not_equal(got.finish, FT_FINISH_ERROR);
    }
    ft_grammar_unref(r.grammar);
    rig_close(&g);
}

/* Anything, until this mark; then a few words, and then the end or anything again. */
static struct ft_grammar *bound_after(struct ft_slice mark)
{
    static const char re[] = "(yes|no){3}";
    const struct ft_layout_node node[] = {
        {.op = FT_LAYOUT_FORK, .next = 1, .other = 2},
        {.op = FT_LAYOUT_ANY, .next = 0},
        {.op = FT_LAYOUT_FORK, .next = 3, .other = 6},
        {.op = FT_LAYOUT_TEXT, .text = mark, .next = 4},
        {.op = FT_LAYOUT_CUT, .next = 5},
        {.op = FT_LAYOUT_REGEX, .text = {re, sizeof re - 1}, .next = 6},
        {.op = FT_LAYOUT_END},
    };
    struct ft_grammar *g = NULL;
    struct ft_err err = {0};
    int at;
    if (ft_grammar_from_layout(&(struct ft_layout){node, FT_COUNT(node), 0, false}, &at, &g,
                               &err) != 0)
        fail_msg("%s", err.msg);
    return g;
}

/* A grammar that leaves text alone until a mark: up to there the answer is what it is without one,
 * behind it the grammar holds, also where the mark ends in the middle of a token. */
static void grammars_that_bind_from_a_mark_on(void **state)
{
    (void)state;
    struct rig g;
    static struct answer all, got;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    run_request(g.e, &r, &all);
    const char *text = all.sample[0].text, *end = strchr(text + 40, ' ');
    assert_non_null(end);
    r.grammar = bound_after((struct ft_slice){"never", 5});
    run_request(g.e, &r, &got); /* end tokens mean nothing here, as was asked */
    assert_string_equal(got.sample[0].text, text);
    ft_grammar_unref(r.grammar);
    for (int i = 0; i < 24; i++) { /* also in the middle of tokens */
        size_t from = (size_t)(end - text) - 20, n = 8 + (size_t)i;
        struct ft_matcher *m;
        struct ft_err err;
        r.grammar = bound_after((struct ft_slice){text + from, n});
        run_request(g.e, &r, &got);
        assert_int_not_equal(got.finish, FT_FINISH_ERROR);
        assert_int_equal(ft_matcher_open(r.grammar, NULL, &m, &err), 0);
        assert_true(ft_matcher_accept_bytes(m, got.sample[0].text, got.sample[0].text_n));
        ft_matcher_close(m);
        if (text + from + n == end) { /* where a token ends, nothing leads past the mark */
            assert_int_equal(got.sample[0].finish, FT_FINISH_EOS);
            assert_memory_equal(got.sample[0].text, text, from + n);
        }
        if (i % 6 == 0)
            cut_everywhere(g.e, r);
        ft_grammar_unref(r.grammar);
    }
    rig_close(&g);
}

static void stop_strings_over_the_border(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    static struct answer all;
    run_request(g.e, &r, &all);
    for (size_t at = 20; at < 60; at += 13) {
        struct ft_slice stop[2] = {{"never this", 10}, {all.sample[0].text + at, 12}};
        r.stop = stop;
        r.n_stop = 2;
        cut_everywhere(g.e, r);
        r.min_tokens = 30; /* the first occurrence does not count */
        cut_everywhere(g.e, r);
        r.min_tokens = 0;
    }
    rig_close(&g);
}

static void end_tokens(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    static struct answer all;
    run_request(g.e, &r, &all);
    r.stop_token = &all.sample[0].token[20];
    r.n_stop_token = 1;
    cut_everywhere(g.e, r);
    r.min_tokens = 25;
    cut_everywhere(g.e, r);
    rig_close(&g);
}

/* Some samples are over, some have not begun, some are in the middle. */
static void several_samples(void **state)
{
    (void)state;
    struct rig g;
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    open_story(&g, &c);
    struct ft_request r = sampled(24);
    r.n = 5;
    cut_everywhere(g.e, r);
    rig_close(&g);
    c.max_running = 2;
    c.max_rows = 9;
    open_story(&g, &c);
    cut_everywhere(g.e, r);
    int32_t prompt[100]; /* the samples share the prompt's blocks, as without the cut */
    make_prompt(prompt, 100, 512, 3);
    r.prompt = prompt;
    r.n_prompt = 100;
    cut_everywhere(g.e, r);
    rig_close(&g);
}

static void cuts_survive_preemption(void **state)
{
    (void)state;
    struct rig g;
    struct ft_model_stats m;
    open_story(&g, NULL);
    assert_int_equal(ft_engine_model_load(g.e, "s", NULL, NULL, NULL), 0);
    ft_engine_model_stats(g.e, &m, 1);
    rig_close(&g);
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.memory_bytes = m.weight_bytes + 8 * m.block_bytes;
    open_story(&g, &c);
    struct ft_request r = sampled(60);
    r.n = 4;
    cut_everywhere(g.e, r);
    struct ft_engine_stats s;
    ft_engine_stats(g.e, &s);
    assert_true(s.preemptions > 0);
    rig_close(&g);
}

static void refuse(struct rig *g, const struct ft_request *r, const char *what)
{
    struct ft_err err = {0};
    struct ft_stream *st = NULL;
    assert_int_equal(ft_engine_submit(g->e, r, NULL, &st, &err), FT_EINVAL);
    if (strstr(err.msg, what) == NULL)
        fail_msg("'%s' does not say %s", err.msg, what);
}

static void wrong_ids_are_refused(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 5);
    struct ft_resume part = {dog, 6};
    r.resume = &part;
    refuse(&g, &r, "resume[0]: 6 tokens, but token 4 ended it (length)");
    int32_t outside[2] = {5, 512};
    part = (struct ft_resume){outside, 2};
    refuse(&g, &r, "resume[0][1]: token 512");
    part.n = -1;
    refuse(&g, &r, "resume[0]: -1");
    rig_close(&g);
}

struct heard {
    struct ft_engine *e;
    uint64_t id;
    int events, ends;
};

static void cancel_at_once(void *ctx, const struct ft_event *ev)
{
    struct heard *h = ctx;
    h->events++;
    if (ev->kind == FT_EVENT_END)
        __atomic_add_fetch(&h->ends, 1, __ATOMIC_SEQ_CST);
    else
        ft_engine_cancel(h->e, __atomic_load_n(&h->id, __ATOMIC_SEQ_CST));
}

static void cancelling_while_it_is_told_again(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 400);
    struct ft_resume part = {dog, 11};
    struct heard h = {.e = g.e, .id = 1};
    r.resume = &part;
    r.on_event = cancel_at_once;
    r.ctx = &h;
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, NULL, NULL), 0);
    while (__atomic_load_n(&h.ends, __ATOMIC_SEQ_CST) == 0)
        sched_yield();
    assert_int_equal(h.events, 11 + 2);
    rig_close(&g);
}

/* Two at once: each is charged for its own rows, and both for no more than there was. */
static void processor_time_is_shared_by_rows(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 200);
    static struct answer one, three;
    struct timespec t0, t1;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t0);
    struct ft_stream *a = must_submit(g.e, &r, NULL);
    r.n = 3;
    drain_stream(must_submit(g.e, &r, NULL), &three);
    drain_stream(a, &one);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t1);
    int64_t all = (t1.tv_sec - t0.tv_sec) * 1000000000LL + t1.tv_nsec - t0.tv_nsec;
    assert_true(one.usage.cpu_ns > 0);
    assert_true(three.usage.cpu_ns > one.usage.cpu_ns);
    assert_true(one.usage.cpu_ns + three.usage.cpu_ns <= all);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(greedy_and_sampled),
        cmocka_unit_test(penalties_and_biases),
        cmocka_unit_test(grammars),
        cmocka_unit_test(grammars_that_begin_later),
        cmocka_unit_test(grammars_that_bind_from_a_mark_on),
        cmocka_unit_test(stop_strings_over_the_border),
        cmocka_unit_test(end_tokens),
        cmocka_unit_test(several_samples),
        cmocka_unit_test(cuts_survive_preemption),
        cmocka_unit_test(wrong_ids_are_refused),
        cmocka_unit_test(cancelling_while_it_is_told_again),
        cmocka_unit_test(processor_time_is_shared_by_rows),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
