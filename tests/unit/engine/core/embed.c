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
    rig_close(&g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(poolings_are_what_they_say),
        cmocka_unit_test(scores_are_logprobs_after_the_prompt),
        cmocka_unit_test(a_prompt_is_scored_token_by_token),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
