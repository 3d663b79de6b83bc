/* The sampler against a plain oracle that sorts: what may be drawn, how often, and the edits before
 * it. */
#include "testing.h"

#include <math.h>

#include "base/clock.h"
#include "base/rand.h"
#include "engine/core/sample.h"

#define V_MAX 2000

static struct ft_sampler scratch;

static struct ft_sampling plain(void)
{
    return (struct ft_sampling){
        .temperature = 1, .top_p = 1, .typical_p = 1, .repetition_penalty = 1, .seed = 5};
}

static struct ft_sample_in input(const float *x, int n, const struct ft_sampling *sp)
{
    return (struct ft_sample_in){.logits = x, .n_vocab = n, .sp = sp};
}

static int32_t pick(const struct ft_sample_in *in, struct ft_sample_out *out)
{
    struct ft_err err = {0};
    assert_int_equal(ft_sampler_reserve(&scratch, in->n_vocab, &err), 0);
    if (ft_sample(&scratch, in, out, &err) != 0)
        fail_msg("%s", err.msg);
    return out->token;
}

static void make_logits(float *x, int n, uint64_t seed, float spread)
{
    for (int i = 0; i < n; i++) {
        double u = ft_rand_unit(seed, 1, (uint64_t)i), v = ft_rand_unit(seed, 2, (uint64_t)i);
        x[i] = spread * (float)(sqrt(-2 * log(1 - u)) * cos(2 * M_PI * v));
    }
}

/* ---- the oracle ---- */

struct entry {
    int id;
    double p, key;
};

static int by_weight(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->p != y->p ? (x->p > y->p ? -1 : 1) : x->id - y->id;
}

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    return x->key != y->key ? (x->key < y->key ? -1 : 1) : x->id - y->id;
}

static void normalise(struct entry *e, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        sum += e[i].p;
    for (int i = 0; i < n; i++)
        e[i].p /= sum;
}

static int until(struct entry *e, int n, double mass)
{
    double sum = 0;
    for (int i = 0; i < n; i++) {
        sum += e[i].p;
        if (sum >= mass)
            return i + 1;
    }
    return n;
}

/* prob[id] of every token after temperature, top_k, typical_p, top_p and min_p in this order. */
static void oracle(const float *x, int n, const struct ft_sampling *sp, double *prob)
{
    static struct entry e[V_MAX];
    int m = 0;
    double top = -INFINITY;
    for (int i = 0; i < n; i++)
        top = fmax(top, x[i]);
    for (int i = 0; i < n; i++)
        if (x[i] > -INFINITY)
            e[m++] = (struct entry){i, exp((x[i] - top) / sp->temperature), 0};
    qsort(e, (size_t)m, sizeof *e, by_weight);
    if (sp->top_k > 0 && m > sp->top_k)
        m = sp->top_k;
    normalise(e, m);
    if (sp->typical_p < 1) {
        double h = 0;
        for (int i = 0; i < m; i++)
            h -= e[i].p > 0 ? e[i].p * log(e[i].p) : 0;
        for (int i = 0; i < m; i++)
            e[i].key = fabs(-log(e[i].p) - h);
        qsort(e, (size_t)m, sizeof *e, by_key);
        m = until(e, m, sp->typical_p);
        qsort(e, (size_t)m, sizeof *e, by_weight);
        normalise(e, m);
    }
    if (sp->top_p < 1)
        m = until(e, m, sp->top_p);
    normalise(e, m);
    int left = m;
    while (left > 1 && e[left - 1].p < sp->min_p * e[0].p)
        left--;
    normalise(e, left);
    memset(prob, 0, (size_t)n * sizeof *prob);
    for (int i = 0; i < left; i++)
        prob[e[i].id] = e[i].p;
}

/* Draws many and compares with the oracle: nothing outside the set but for rounding at its edge,
 * frequencies within what chance allows (chi-square). */
static void check(const float *x, int n, const struct ft_sampling *sp, const char *what)
{
    enum { DRAWS = 12000 };
    static double prob[V_MAX];
    static int count[V_MAX];
    oracle(x, n, sp, prob);
    memset(count, 0, sizeof count);
    struct ft_sample_in in = input(x, n, sp);
    struct ft_sample_out out;
    for (int i = 0; i < DRAWS; i++) {
        in.position = (uint64_t)i;
        count[pick(&in, &out)]++;
    }
    double chi = 0, rest_p = 0, outside = 0;
    int cells = 0, rest_n = 0;
    for (int i = 0; i < n; i++) {
        if (prob[i] == 0)
            outside += count[i];
        if (prob[i] * DRAWS < 10) {
            rest_p += prob[i];
            rest_n += count[i];
            continue;
        }
        double d = count[i] - prob[i] * DRAWS;
        chi += d * d / (prob[i] * DRAWS);
        cells++;
    }
    if (rest_p * DRAWS >= 10) {
        double d = rest_n - rest_p * DRAWS;
        chi += d * d / (rest_p * DRAWS);
        cells++;
    }
    double limit = cells + 5 * sqrt(2.0 * cells) + 10;
    if (outside > 0 || chi > limit)
        fail_msg("%s: chi-square %.1f over %d cells, %.0f draws outside", what, chi, cells,
                 outside);
}

static void every_parameter_follows_the_oracle(void **state)
{
    (void)state;
    static float x[V_MAX];
    static const int sizes[] = {1, 7, 64, 65, 320, 1999};
    for (size_t k = 0; k < FT_COUNT(sizes); k++) {
        int n = sizes[k];
        make_logits(x, n, k, k % 2 == 0 ? 1.0f : 4.0f);
        struct ft_sampling sp = plain();
        check(x, n, &sp, "plain");
        sp.temperature = 0.5f;
        check(x, n, &sp, "temperature");
        sp.top_p = 0.7f;
        check(x, n, &sp, "top_p");
        sp.min_p = 0.2f;
        check(x, n, &sp, "top_p and min_p");
        sp.top_p = 1;
        check(x, n, &sp, "min_p");
        sp = plain();
        sp.top_k = 5;
        check(x, n, &sp, "top_k");
        sp.top_p = 0.8f;
        check(x, n, &sp, "top_k and top_p");
        sp.typical_p = 0.6f;
        check(x, n, &sp, "top_k, typical_p and top_p");
        sp = plain();
        sp.typical_p = 0.5f;
        check(x, n, &sp, "typical_p");
        sp.top_p = 0.5f;
        sp.min_p = 0.1f;
        check(x, n, &sp, "typical_p, top_p and min_p");
        sp = plain();
        sp.top_k = n / 2;
        sp.top_p = 0.1f;
        check(x, n, &sp, "large top_k, small top_p");
    }
}

static void ties_and_impossible_tokens_are_handled(void **state)
{
    (void)state;
    static float x[V_MAX];
    for (int i = 0; i < 300; i++)
        x[i] = i % 3 == 0 ? 1.0f : i % 3 == 1 ? 0.0f : -INFINITY;
    struct ft_sampling sp = plain();
    check(x, 300, &sp, "ties");
    sp.top_k = 10;
    check(x, 300, &sp, "ties at top_k");
    sp.top_k = 0;
    sp.top_p = 0.33f;
    check(x, 300, &sp, "ties at top_p");
}

static void greedy_takes_the_first_maximum(void **state)
{
    (void)state;
    static float x[V_MAX];
    struct ft_sampling sp = plain();
    sp.temperature = 0;
    struct ft_sample_out out;
    for (int n = 1; n < 300; n++) {
        make_logits(x, n, (uint64_t)n, 3);
        int best = 0;
        for (int i = 1; i < n; i++)
            best = x[i] > x[best] ? i : best;
        struct ft_sample_in in = input(x, n, &sp);
        assert_int_equal(pick(&in, &out), best);
        x[n - 1] = x[best];
        assert_int_equal(pick(&in, &out), best);
        if (n > 1) {
            x[best == 0 ? 1 : 0] = NAN;
            assert_int_equal(pick(&in, &out), best);
        }
    }
}

static void draws_depend_on_seed_stream_and_position_alone(void **state)
{
    (void)state;
    static float x[V_MAX];
    make_logits(x, 1000, 3, 1);
    struct ft_sampling sp = plain();
    struct ft_sample_in in = input(x, 1000, &sp);
    struct ft_sample_out out;
    int32_t first[50], same = 0;
    for (int i = 0; i < 50; i++) {
        in.position = (uint64_t)i;
        first[i] = pick(&in, &out);
    }
    for (int i = 49; i >= 0; i--) {
        in.position = (uint64_t)i;
        assert_int_equal(pick(&in, &out), first[i]);
        in.stream = 1;
        same += pick(&in, &out) == first[i];
        in.stream = 0;
    }
    assert_true(same < 10);
    sp.seed++;
    same = 0;
    for (int i = 0; i < 50; i++) {
        in.position = (uint64_t)i;
        same += pick(&in, &out) == first[i];
    }
    assert_true(same < 10);
}

static void bias_bans_and_masks_edit_the_logits(void **state)
{
    (void)state;
    float x[100];
    make_logits(x, 100, 9, 1);
    struct ft_sampling sp = plain();
    sp.temperature = 0;
    struct ft_sample_in in = input(x, 100, &sp);
    struct ft_sample_out out;
    struct ft_logit_bias bias[2] = {{42, 50}, {17, 100}};
    sp.bias = bias;
    sp.n_bias = 2;
    assert_int_equal(pick(&in, &out), 17);
    bias[1].bias = -100;
    assert_int_equal(pick(&in, &out), 42);
    int32_t ban[1] = {42};
    in.ban = ban;
    in.n_ban = 1;
    int32_t other = pick(&in, &out);
    assert_true(other != 42 && other != 17);
    uint32_t mask[4] = {0, 0, 1u << 3, 1u << 3};
    in.mask = mask;
    assert_int_equal(pick(&in, &out), x[67] >= x[99] ? 67 : 99);
    in.n_ban = 0;
    mask[3] = 0;
    mask[2] = 0;
    struct ft_err err;
    assert_int_equal(ft_sample(&scratch, &in, &out, &err), FT_ELIMIT);
    sp.temperature = 1;
    assert_int_equal(ft_sample(&scratch, &in, &out, &err), FT_ELIMIT);
    for (int i = 0; i < 100; i++)
        x[i] = NAN;
    in.mask = NULL;
    assert_int_equal(ft_sample(&scratch, &in, &out, &err), FT_EINTERNAL);
}

static void penalties_follow_their_definitions(void **state)
{
    (void)state;
    float x[6] = {2.0f, -1.0f, 3.0f, 1.0f, 0.5f, 0.0f}, want[6];
    struct ft_sampling sp = plain();
    sp.repetition_penalty = 1.5f;
    sp.presence_penalty = 0.25f;
    sp.frequency_penalty = 0.5f;
    /* prompt 0 1, answer 2 2 1 */
    static const int32_t text[5] = {0, 1, 2, 2, 1};
    want[0] = 2.0f / 1.5f;
    want[1] = -1.0f * 1.5f - 0.25f - 0.5f;
    want[2] = 3.0f / 1.5f - 0.25f - 1.0f;
    want[3] = 1.0f;
    want[4] = 0.5f;
    want[5] = 0.0f;
    struct ft_penalties p;
    struct ft_err err;
    assert_int_equal(ft_penalties_init(&p, 0, 6, &err), 0);
    ft_penalties_advance(&p, text, 3, 2);
    ft_penalties_advance(&p, text, 5, 2);
    /* the edited logits show in what is drawn when their gaps are opened by a low temperature */
    double prob[6];
    struct ft_sampling after = plain();
    oracle(want, 6, &after, prob);
    struct ft_sample_in in = input(x, 6, &sp);
    in.penalties = &p;
    int count[6] = {0};
    struct ft_sample_out out;
    for (int i = 0; i < 20000; i++) {
        in.position = (uint64_t)i;
        count[pick(&in, &out)]++;
    }
    for (int i = 0; i < 6; i++)
        assert_true(fabs(count[i] / 20000.0 - prob[i]) < 0.015);
    ft_penalties_fini(&p);
    /* a window forgets */
    assert_int_equal(ft_penalties_init(&p, 2, 6, &err), 0);
    ft_penalties_advance(&p, text, 5, 2);
    for (uint32_t i = 0; i < p.n_count; i++) {
        int all = p.count[i].token == 2 || p.count[i].token == 1;
        assert_int_equal(p.count[i].n_all, all);
        assert_int_equal(p.count[i].n_out, all);
    }
    ft_penalties_fini(&p);
}

static void logprobs_are_the_models_own(void **state)
{
    (void)state;
    static float x[V_MAX];
    int n = 1999;
    make_logits(x, n, 77, 2);
    double top = -INFINITY, sum = 0;
    for (int i = 0; i < n; i++)
        top = fmax(top, x[i]);
    for (int i = 0; i < n; i++)
        sum += exp(x[i] - top);
    double z = top + log(sum);
    struct ft_sampling sp = plain();
    sp.temperature = 0.3f;
    sp.top_k = 50;
    struct ft_logit_bias bias = {5, 3};
    sp.bias = &bias;
    sp.n_bias = 1;
    struct ft_sample_in in = input(x, n, &sp);
    in.n_top = 20;
    struct ft_sample_out out;
    pick(&in, &out);
    assert_true(fabs(out.logprob - (x[out.token] - z)) < 1e-5);
    assert_int_equal(out.n_top, 20);
    for (int i = 0; i < 20; i++) {
        assert_true(fabs(out.top[i].logprob - (x[out.top[i].token] - z)) < 1e-5);
        int above = 0;
        for (int j = 0; j < n; j++)
            above += x[j] > x[out.top[i].token];
        assert_int_equal(above, i);
    }
    in = input(x, 3, &sp);
    sp.n_bias = 0;
    in.n_top = 20;
    pick(&in, &out);
    assert_int_equal(out.n_top, 3);
    int32_t some[2] = {7, 1998};
    float lp[2];
    ft_sample_logprobs(x, n, some, 2, lp);
    for (int i = 0; i < 2; i++)
        assert_true(fabs(lp[i] - (x[some[i]] - z)) < 1e-5);
}

static void extreme_values_stay_sane(void **state)
{
    (void)state;
    float x[70];
    make_logits(x, 70, 4, 1);
    struct ft_sampling sp = plain();
    struct ft_sample_in in = input(x, 70, &sp);
    struct ft_sample_out out;
    int best = 0;
    for (int i = 1; i < 70; i++)
        best = x[i] > x[best] ? i : best;
    sp.temperature = 1e-38f;
    assert_int_equal(pick(&in, &out), best);
    sp.temperature = 1;
    sp.top_p = 1e-9f;
    assert_int_equal(pick(&in, &out), best);
    sp.top_p = 1;
    sp.min_p = 1;
    assert_int_equal(pick(&in, &out), best);
    sp.min_p = 0;
    sp.top_k = 1;
    assert_int_equal(pick(&in, &out), best);
    sp = plain();
    x[12] = 3e38f;
    x[13] = -3e38f;
    assert_int_equal(pick(&in, &out), 12);
    for (int i = 0; i < 70; i++)
        x[i] = -1e30f;
    pick(&in, &out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_parameter_follows_the_oracle),
        cmocka_unit_test(ties_and_impossible_tokens_are_handled),
        cmocka_unit_test(greedy_takes_the_first_maximum),
        cmocka_unit_test(draws_depend_on_seed_stream_and_position_alone),
        cmocka_unit_test(bias_bans_and_masks_edit_the_logits),
        cmocka_unit_test(penalties_follow_their_definitions),
        cmocka_unit_test(logprobs_are_the_models_own),
        cmocka_unit_test(extreme_values_stay_sane),
    };
    int rc = cmocka_run_group_tests(tests, NULL, NULL);
    ft_sampler_fini(&scratch);
    return rc;
}
