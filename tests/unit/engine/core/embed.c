/* Embeddings and scores against the model called directly. */
#include "fixture.h"

#include <math.h>

#include "engine/arch/model.h"

#define N 80

static int32_t prompt[N];
static float *hidden, *logits; /* [N, d_model], [N, n_vocab] */
static int d_model, n_vocab;

/* All rows of the prompt, with the model called in one batch. */
static int setup(void **state)
{
    (void)state;
    const char *path = ft_test_ref("models/qwen3-s-F32.gguf");
    if (path == NULL)
        return 0;
    struct ft_err err;
    struct ft_weights *w;
    struct ft_dev *dev;
    struct ft_model *m;
    struct ft_kv *kv;
    struct ft_model_config cfg = {.kv_type = FT_KV_F32};
    assert_int_equal(ft_weights_open(path, &w, &err), 0);
    assert_int_equal(ft_dev_open(&ft_dev_ref_ops, NULL, &dev, &err), 0);
    assert_int_equal(ft_model_open(dev, w, &cfg, &m, &err), 0);
    assert_int_equal(ft_model_load(m, NULL, NULL, &err), 0);
    assert_int_equal(ft_dev_kv_open(dev, &m->kv_shape, 4, 0, &kv, &err), 0);
    int32_t pos[N], block[4] = {0, 1, 2, 3};
    make_prompt(prompt, N, 320, 11);
    for (int i = 0; i < N; i++)
        pos[i] = i;
    struct ft_seg seg = {.n = N, .block = block, .state = -1};
    struct ft_batch b = {N, prompt, pos, 1, &seg, N, pos};
    const float *lp, *hp;
    assert_int_equal(ft_model_forward(m, kv, &b, &lp, &hp, &err), 0);
    d_model = m->hp.d_model;
    n_vocab = m->hp.n_vocab;
    size_t nh = (size_t)(N * d_model) * sizeof(float), nl = (size_t)(N * n_vocab) * sizeof(float);
    hidden = malloc(nh);
    logits = malloc(nl);
    memcpy(hidden, hp, nh);
    memcpy(logits, lp, nl);
    ft_dev_kv_close(dev, kv);
    ft_model_close(m);
    ft_dev_close(dev);
    ft_weights_close(w);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    free(hidden);
    free(logits);
    return 0;
}

static void open_with_rows(struct rig *g, int max_rows)
{
    struct ft_engine_config c;
    ft_engine_config_init(&c);
    c.kv_type = FT_KV_F32;
    c.max_rows = max_rows;
    rig_open(g, &c);
    if (hidden == NULL || !rig_add(g, "m", "models/qwen3-s-F32.gguf")) {
        rig_close(g);
        skip();
    }
}

static struct ft_request request_of(enum ft_request_kind kind)
{
    struct ft_request r = greedy_request("m", prompt, N, 0);
    r.kind = kind;
    return r;
}

static double logprob(int row, int token)
{
    double top = -INFINITY, sum = 0;
    const float *x = logits + row * n_vocab;
    for (int i = 0; i < n_vocab; i++)
        top = fmax(top, x[i]);
    for (int i = 0; i < n_vocab; i++)
        sum += exp(x[i] - top);
    return x[token] - top - log(sum);
}

static void poolings_are_what_they_say(void **state)
{
    (void)state;
    static const int rows[] = {512, 7};
    for (size_t k = 0; k < FT_COUNT(rows); k++) {
        struct rig g;
        open_with_rows(&g, rows[k]);
        for (int p = FT_POOL_MEAN; p <= FT_POOL_LAST; p++)
            for (int normal = 0; normal < 2; normal++) {
                struct ft_request r = request_of(FT_REQUEST_EMBED);
                r.pooling = (enum ft_pooling)p;
                r.normalise = normal;
                static struct answer a;
                run_request(g.e, &r, &a);
                assert_int_equal(a.n_value, d_model);
                assert_int_not_equal(a.finish, FT_FINISH_ERROR);
                double want[512], norm = 0;
                for (int i = 0; i < d_model; i++) {
                    want[i] = 0;
                    for (int j = 0; j < N && p == FT_POOL_MEAN; j++)
                        want[i] += hidden[j * d_model + i] / (double)N;
                    if (p != FT_POOL_MEAN)
                        want[i] = hidden[(p == FT_POOL_CLS ? 0 : N - 1) * d_model + i];
                    norm += want[i] * want[i];
                }
                for (int i = 0; i < d_model; i++)
                    assert_true(fabs(a.value[i] - want[i] / (normal ? sqrt(norm) : 1)) < 1e-5);
                free(a.value);
            }
        rig_close(&g);
    }
}

static void mean_of_rows(double *want)
{
    for (int i = 0; i < d_model; i++) {
        want[i] = 0;
        for (int j = 0; j < N; j++)
            want[i] += hidden[j * d_model + i] / (double)N;
    }
}

/* The file's own pooling counts like one that was asked for: no row may come from the cache. */
static void the_models_own_pooling_sees_every_row(void **state)
{
    (void)state;
    struct rig g;
    open_with_rows(&g, 512);
    const struct ft_model_source *src;
    assert_int_equal(ft_engine_model_source(g.e, "m", &src, NULL), 0);
    ((struct ft_model_source *)src)->pooling = FT_POOL_MEAN; /* as its file might say */
    struct ft_request r = request_of(FT_REQUEST_EMBED);
    r.normalise = false;
    double want[512];
    mean_of_rows(want);
    for (int round = 0; round < 2; round++) {
        static struct answer a;
        run_request(g.e, &r, &a);
        for (int i = 0; i < d_model; i++)
            assert_true(fabs(a.value[i] - want[i]) < 1e-5);
        free(a.value);
    }
    ft_model_source_unref(src);
    rig_close(&g);
}

/* A sequence that generates; from its callback, when some of the embedding is done, an important
 * prompt arrives for which the embedding must move out. */
struct crowd {
    struct ft_engine *e;
    struct answer embed;
    int n_told, n_ended;
    pthread_mutex_t lock;
};

static void note_embed(void *ctx, const struct ft_event *ev)
{
    struct crowd *c = ctx;
    pthread_mutex_lock(&c->lock);
    note_event(&c->embed, ev);
    c->n_ended += ev->kind == FT_EVENT_END;
    pthread_mutex_unlock(&c->lock);
}

static void note_other(void *ctx, const struct ft_event *ev)
{
    struct crowd *c = ctx;
    pthread_mutex_lock(&c->lock);
    c->n_ended += ev->kind == FT_EVENT_END;
    pthread_mutex_unlock(&c->lock);
}

static void crowd_in(void *ctx, const struct ft_event *ev)
{
    struct crowd *c = ctx;
    if (ev->kind == FT_EVENT_TOKEN && (++c->n_told == 1 || c->n_told == 8)) {
        struct ft_request r =
            c->n_told == 1 ? request_of(FT_REQUEST_EMBED) : greedy_request("m", prompt, N, 3);
        r.pooling = FT_POOL_MEAN;
        r.normalise = false;
        r.prefix_cache = false;
        r.priority = c->n_told == 1 ? -5 : 5;
        r.on_event = c->n_told == 1 ? note_embed : note_other;
        r.ctx = c;
        assert_int_equal(ft_engine_submit(c->e, &r, NULL, NULL, NULL), 0);
    }
    note_other(ctx, ev);
}

static void a_preempted_embedding_counts_each_row_once(void **state)
{
    (void)state;
    double want[512];
    mean_of_rows(want);
    for (int spill = 0; spill < 2; spill++) {
        struct rig g;
        struct ft_model_stats m;
        open_with_rows(&g, 4);
        assert_int_equal(ft_engine_model_load(g.e, "m", NULL, NULL, NULL), 0);
        ft_engine_model_stats(g.e, &m, 1);
        rig_close(&g);
        struct ft_engine_config c;
        ft_engine_config_init(&c);
        c.kv_type = FT_KV_F32;
        c.max_rows = 4;
        c.spill_dir = spill ? "/tmp" : NULL;
        c.memory_bytes = m.weight_bytes + 7 * m.block_bytes;
        rig_open(&g, &c);
        assert_true(rig_add(&g, "m", "models/qwen3-s-F32.gguf"));
        struct crowd w = {.e = g.e};
        pthread_mutex_init(&w.lock, NULL);
        struct ft_request r = greedy_request("m", prompt, 2, 60);
        r.priority = 10;
        r.on_event = crowd_in;
        r.ctx = &w;
        assert_int_equal(ft_engine_submit(g.e, &r, NULL, NULL, NULL), 0);
        for (int ended = 0; ended < 3; usleep(500)) {
            pthread_mutex_lock(&w.lock);
            ended = w.n_ended;
            pthread_mutex_unlock(&w.lock);
        }
        rig_close(&g);
        assert_true(w.embed.usage.preemptions > 0);
        for (int i = 0; i < d_model; i++)
            assert_true(fabs(w.embed.value[i] - want[i]) < 1e-5);
        free(w.embed.value);
        pthread_mutex_destroy(&w.lock);
    }
}

static void scores_are_logprobs_after_the_prompt(void **state)
{
    (void)state;
    struct rig g;
    open_with_rows(&g, 512);
    static const int32_t ids[3] = {5, 300, 17};
    struct ft_request r = request_of(FT_REQUEST_SCORE);
    r.score_token = ids;
    r.n_score = 3;
    static struct answer a;
    for (int round = 0; round < 2; round++) { /* the second with a cached prefix */
        run_request(g.e, &r, &a);
        assert_int_equal(a.n_value, 3);
        for (int i = 0; i < 3; i++)
            assert_true(fabs(a.value[i] - logprob(N - 1, ids[i])) < 1e-4);
        free(a.value);
        assert_int_equal(a.usage.cached_tokens > 0, round);
    }
    r = request_of(FT_REQUEST_RANK);
    r.score_token = ids;
    r.n_score = 2;
    run_request(g.e, &r, &a);
    assert_int_equal(a.n_value, 1);
    double yes = exp(logprob(N - 1, 5)), no = exp(logprob(N - 1, 300));
    assert_true(fabs(a.value[0] - yes / (yes + no)) < 1e-5);
    free(a.value);
    rig_close(&g);
}

static void a_prompt_is_scored_token_by_token(void **state)
{
    (void)state;
    struct rig g;
    open_with_rows(&g, 512);
    struct ft_request r = request_of(FT_REQUEST_PROMPT);
    static struct answer a;
    for (int round = 0; round < 2; round++) { /* the cache must not leave rows out */
        run_request(g.e, &r, &a);
        assert_int_equal(a.n_value, N);
        assert_true(a.value[0] == 0);
        for (int i = 1; i < N; i++)
            assert_true(fabs(a.value[i] - logprob(i - 1, prompt[i])) < 1e-4);
        free(a.value);
    }
    /* with what the model would rather have seen */
    r.n_top = 3;
    run_request(g.e, &r, &a);
    struct said *s = &a.sample[0];
    assert_int_equal(s->n, N - 1);
    for (int i = 1; i < N; i++) {
        int32_t best = 0;
        for (int32_t v = 1; v < n_vocab; v++)
            if (logprob(i - 1, v) > logprob(i - 1, best))
                best = v;
        assert_int_equal(s->token[i - 1], prompt[i]);
        assert_true(s->logprob[i - 1] == a.value[i]);
        assert_int_equal(s->top[i - 1][0].token, best);
        assert_true(fabs(s->top[i - 1][0].logprob - logprob(i - 1, best)) < 1e-4);
    }
    free(a.value);
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poolings_are_what_they_say),
        cmocka_unit_test(the_models_own_pooling_sees_every_row),
        cmocka_unit_test(a_preempted_embedding_counts_each_row_once),
        cmocka_unit_test(scores_are_logprobs_after_the_prompt),
        cmocka_unit_test(a_prompt_is_scored_token_by_token),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
