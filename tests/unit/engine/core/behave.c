/* What a request can ask for, one behaviour a test: ends, stop strings, grammars, errors, flow
 * control. */
#include "fixture.h"

#include <math.h>

#include "engine/constrain/constrain.h"

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

static void stop_strings_end_the_text_before_them(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    static struct answer all, a;
    run_request(g.e, &r, &all);
    /* every piece of the text as a stop string, over token boundaries */
    for (size_t at = 3; at + 9 < all.sample[0].text_n; at += 7) {
        struct ft_slice stop[2] = {{"never this", 10}, {all.sample[0].text + at, 9}};
        r.stop = stop;
        r.n_stop = 2;
        run_request(g.e, &r, &a);
        struct said *s = &a.sample[0];
        assert_int_equal(s->finish, FT_FINISH_STOP_STRING);
        assert_int_equal(s->stop_index, 1);
        char *first = memmem(all.sample[0].text, all.sample[0].text_n, stop[1].p, 9);
        assert_int_equal(s->text_n, first - all.sample[0].text);
        assert_memory_equal(s->text, all.sample[0].text, s->text_n);
    }
    struct ft_slice absent = {"Max was a cat", 13};
    r.stop = &absent;
    r.n_stop = 1;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].text_n, all.sample[0].text_n);
    rig_close(&g);
}

static void stop_tokens_and_minimum_length_end_where_asked(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 60);
    static struct answer all, a;
    run_request(g.e, &r, &all);
    int32_t stop = all.sample[0].token[12];
    int at = 0;
    while (all.sample[0].token[at] != stop)
        at++;
    r.stop_token = &stop;
    r.n_stop_token = 1;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].finish, FT_FINISH_STOP_TOKEN);
    assert_int_equal(a.sample[0].last, stop);
    assert_int_equal(a.sample[0].n, at);
    assert_int_equal(a.usage.generated_tokens, at + 1);
    r.min_tokens = at + 5;
    run_request(g.e, &r, &a);
    assert_true(a.sample[0].n >= at + 5);
    for (int i = 0; i < at + 5; i++)
        assert_int_not_equal(a.sample[0].token[i], stop);
    rig_close(&g);
}

static void the_context_ends_an_unlimited_answer(void **state)
{
    (void)state;
    struct rig g;
    struct ft_err err;
    rig_open(&g, NULL);
    const char *path = ft_test_ref(stories);
    if (path == NULL) {
        rig_close(&g);
        skip();
    }
    struct ft_model_options opt = {.n_ctx = 100};
    assert_int_equal(ft_engine_model_add(g.e, "s", path, &opt, &err), 0);
    struct ft_request r = greedy_request("s", dog, 11, 0);
    static struct answer a;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].finish, FT_FINISH_LENGTH);
    assert_int_equal(a.sample[0].n, 89);
    int32_t prompt[100];
    make_prompt(prompt, 100, 512, 1);
    r = greedy_request("s", prompt, 99, 10);
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].n, 1);
    struct ft_stream *st;
    r.n_prompt = 100;
    assert_int_equal(ft_engine_submit(g.e, &r, NULL, &st, &err), FT_ELIMIT);
    assert_non_null(strstr(err.msg, "prompt: 100 tokens"));
    rig_close(&g);
}

static void refuse(struct rig *g, const struct ft_request *r, int code, const char *field)
{
    struct ft_err err = {0};
    struct ft_stream *st = NULL;
    assert_int_equal(ft_engine_submit(g->e, r, NULL, &st, &err), code);
    if (strstr(err.msg, field) == NULL)
        fail_msg("'%s' does not name %s", err.msg, field);
}

static void bad_requests_are_refused_by_field(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    const struct ft_request good = greedy_request("s", dog, 11, 5);
    static const struct {
        const char *field;
        size_t at;
        float v;
    } bad[] = {
#define F(name, v) {#name, offsetof(struct ft_sampling, name), v}
        F(temperature, -1),
        F(temperature, 101),
        F(temperature, NAN),
        F(top_p, 0),
        F(top_p, 1.1f),
        F(top_p, NAN),
        F(min_p, -0.1f),
        F(min_p, 2),
        F(typical_p, 0),
        F(typical_p, INFINITY),
        F(repetition_penalty, 0),
        F(repetition_penalty, 11),
        F(presence_penalty, -2.1f),
        F(presence_penalty, 3),
        F(frequency_penalty, -3),
        F(frequency_penalty, NAN),
#undef F
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_request r = good;
        memcpy((char *)&r.sampling + bad[i].at, &bad[i].v, sizeof bad[i].v);
        refuse(&g, &r, FT_EINVAL, bad[i].field);
    }
    struct ft_request r = good;
#define BAD(field, value, code, name) (r = good, r.field = (value), refuse(&g, &r, (code), (name)))
    BAD(model, "nobody", FT_ENOTFOUND, "nobody");
    BAD(n_prompt, 0, FT_EINVAL, "prompt");
    BAD(n, 0, FT_EINVAL, "n:");
    BAD(n, 129, FT_EINVAL, "n:");
    BAD(max_tokens, -1, FT_EINVAL, "max_tokens");
    BAD(min_tokens, 6, FT_EINVAL, "min_tokens");
    BAD(sampling.top_k, -1, FT_EINVAL, "top_k");
    BAD(sampling.penalty_window, -1, FT_EINVAL, "penalty_window");
    BAD(n_top, 21, FT_EINVAL, "n_top");
    BAD(priority, 11, FT_EINVAL, "priority");
    BAD(caller_weight, 0, FT_EINVAL, "caller_weight");
    BAD(spec.lookup_max, 17, FT_EINVAL, "spec.lookup_max");
    BAD(spec.draft, "nobody", FT_ENOTFOUND, "nobody");
    BAD(kind, (enum ft_request_kind)9, FT_EINVAL, "kind");
    BAD(kind, FT_REQUEST_SCORE, FT_EINVAL, "score_token");
    BAD(kind, FT_REQUEST_RANK, FT_EINVAL, "score_token");
#undef BAD
    int32_t far[3] = {1, 512, 2};
    r = good;
    r.prompt = far;
    r.n_prompt = 3;
    refuse(&g, &r, FT_EINVAL, "prompt[1]");
    r = good;
    r.stop_token = far;
    r.n_stop_token = 3;
    refuse(&g, &r, FT_EINVAL, "stop_token[1]");
    struct ft_logit_bias bias = {3, 101};
    r = good;
    r.sampling.bias = &bias;
    r.sampling.n_bias = 1;
    refuse(&g, &r, FT_EINVAL, "logit_bias");
    rig_close(&g);
}

static void a_prompt_beyond_the_kv_budget_is_refused(void **state)
{
    (void)state;
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.memory_bytes = 1054368 + 300000;
    struct rig g;
    open_story(&g, &c);
    struct ft_model_stats m;
    ft_engine_model_stats(g.e, &m, 1);
    int most = m.blocks_max * FT_KV_BLOCK;
    assert_true(most > 64 && most < 500);
    int32_t prompt[512];
    make_prompt(prompt, 512, 512, 3);
    struct ft_request r = greedy_request("s", prompt, most + 1, 5);
    refuse(&g, &r, FT_ELIMIT, "prompt");
    r = greedy_request("s", prompt, most - 40, 0);
    static struct answer a;
    run_request(g.e, &r, &a);
    assert_int_equal(a.sample[0].finish, FT_FINISH_LENGTH);
    assert_true(a.sample[0].n <= 40 && a.sample[0].n > 4);
    rig_close(&g);
    /* and a budget that not even one block fits */
    c.memory_bytes = 1000000;
    rig_open(&g, &c);
    struct ft_err err;
    assert_int_equal(ft_engine_model_add(g.e, "s", ft_test_ref(stories), NULL, &err), FT_ELIMIT);
    assert_non_null(strstr(err.msg, "memory budget"));
    rig_close(&g);
}

static void a_full_engine_says_busy(void **state)
{
    (void)state;
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.max_requests = 3;
    struct rig g;
    open_story(&g, &c);
    struct ft_request r = greedy_request("s", dog, 11, 450);
    r.n = 4; /* more than a stream holds: none of them ends before it is read or closed */
    r.n_top = 20;
    struct ft_stream *st[3];
    for (int i = 0; i < 3; i++)
        st[i] = must_submit(g.e, &r, NULL);
    refuse(&g, &r, FT_EBUSY, "requests");
    for (int i = 0; i < 3; i++)
        ft_stream_close(st[i]);
    /* What was closed frees its place when the engine's thread comes to it. */
    r.max_tokens = 2;
    r.n = 1;
    struct ft_stream *again = NULL;
    struct ft_err err = {0};
    int rc = FT_EBUSY;
    for (int i = 0; i < 10000 && rc == FT_EBUSY; i++) {
        usleep(2000);
        rc = ft_engine_submit(g.e, &r, NULL, &again, &err);
    }
    assert_int_equal(rc, 0);
    static struct answer a;
    drain_stream(again, &a);
    assert_int_equal(a.sample[0].n, 2);
    rig_close(&g);
}

static void grammars_bind_every_sample(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_grammar *gr = NULL;
    struct ft_err err;
    static const char re[] = "( cat| dog| bird) (is|was) [a-z]{3,5}\\.";
    if (ft_grammar_from_regex(re, strlen(re), &gr, &err) != 0)
        fail_msg("%s", err.msg);
    struct ft_request r = greedy_request("s", dog, 11, 40);
    r.grammar = gr;
    r.n = 4;
    r.ignore_eos = false;
    r.sampling.temperature = 1.5f;
    static struct answer a, b;
    run_request(g.e, &r, &a);
    for (int i = 0; i < 4; i++) {
        struct said *s = &a.sample[i];
        s->text[s->text_n] = '\0';
        if (s->finish != FT_FINISH_EOS)
            fail_msg("'%s' ended by %s", s->text, ft_finish_name(s->finish));
        struct ft_matcher *m;
        assert_int_equal(ft_matcher_open(gr, NULL, &m, &err), 0);
        if (!ft_matcher_accept_bytes(m, s->text, s->text_n) || !ft_matcher_may_end(m))
            fail_msg("'%s'", s->text);
        ft_matcher_close(m);
    }
    r.spec.lookup_max = 8;
    run_request(g.e, &r, &b);
    for (int i = 0; i < 4; i++)
        assert_same_said(&a.sample[i], &b.sample[i]);
    ft_grammar_unref(gr);
    rig_close(&g);
}

/* ---- flow ---- */

static void a_slow_reader_holds_up_itself_alone(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    struct ft_request r = greedy_request("s", dog, 11, 450);
    r.n_top = 20;
    r.n = 4;
    static struct answer quick, slow;
    run_request(g.e, &r, &quick);
    struct ft_stream *lazy = must_submit(g.e, &r, NULL);
    struct ft_engine_stats s = {0};
    for (int i = 0; i < 5000 && s.paused < 4; i++) {
        usleep(2000);
        ft_engine_stats(g.e, &s);
    }
    assert_int_equal(s.paused, 4);
    struct ft_request other = greedy_request("s", dog, 11, 30);
    static struct answer o;
    run_request(g.e, &other, &o);
    assert_int_equal(o.sample[0].n, 30);
    drain_stream(lazy, &slow);
    for (int i = 0; i < 4; i++)
        assert_same_said(&quick.sample[i], &slow.sample[i]);
    rig_close(&g);
}

struct paused {
    pthread_mutex_t lock;
    struct answer a;
    struct ft_engine *e;
    bool stands;
};

/* An engine's first request: it pauses itself, since it may be over before another thread can. */
static void note_locked(void *ctx, const struct ft_event *ev)
{
    struct paused *p = ctx;
    pthread_mutex_lock(&p->lock);
    note_event(&p->a, ev);
    if (!p->stands && p->a.sample[0].n >= 5) {
        ft_engine_pause(p->e, 1, true);
        p->stands = true;
    }
    pthread_mutex_unlock(&p->lock);
}

static int said_so_far(struct paused *p)
{
    pthread_mutex_lock(&p->lock);
    int n = p->a.ended ? -1 : p->a.sample[0].n;
    pthread_mutex_unlock(&p->lock);
    return n;
}

static void a_paused_request_waits_and_goes_on(void **state)
{
    (void)state;
    struct rig g;
    open_story(&g, NULL);
    static struct paused p;
    memset(&p, 0, sizeof p);
    pthread_mutex_init(&p.lock, NULL);
    p.e = g.e;
    struct ft_request r = greedy_request("s", dog, 11, 450);
    r.on_event = note_locked;
    r.ctx = &p;
    uint64_t id;
    struct ft_err err;
    assert_int_equal(ft_engine_submit(g.e, &r, &id, NULL, &err), 0);
    assert_int_equal(id, 1);
    struct ft_engine_stats s = {0};
    for (int i = 0; i < 5000 && s.paused == 0 && said_so_far(&p) >= 0; i++) {
        usleep(1000);
        ft_engine_stats(g.e, &s);
    }
    assert_int_equal(s.paused, 1);
    int n = said_so_far(&p);
    usleep(30000);
    assert_int_equal(said_so_far(&p), n);
    ft_engine_pause(g.e, id, false);
    while (said_so_far(&p) >= 0)
        usleep(1000);
    assert_int_equal(p.a.sample[0].n, 450);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stop_strings_end_the_text_before_them),
        cmocka_unit_test(stop_tokens_and_minimum_length_end_where_asked),
        cmocka_unit_test(the_context_ends_an_unlimited_answer),
        cmocka_unit_test(bad_requests_are_refused_by_field),
        cmocka_unit_test(a_prompt_beyond_the_kv_budget_is_refused),
        cmocka_unit_test(a_full_engine_says_busy),
        cmocka_unit_test(grammars_bind_every_sample),
        cmocka_unit_test(a_slow_reader_holds_up_itself_alone),
        cmocka_unit_test(a_paused_request_waits_and_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
