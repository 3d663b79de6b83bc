/* Scheduling policy in simulation: shares, lifting, ageing, and the pace of prefill. */
#include "testing.h"

#include <math.h>

#include "base/rand.h"
#include "engine/core/sched.h"

static struct ft_slice name(const char *s)
{
    return (struct ft_slice){s, strlen(s)};
}

/* Serves 20,000 requests of random length, always the caller that ranks first, and returns the
 * shares. */
static void serve(struct ft_caller **c, int n, double *share)
{
    double sum = 0;
    memset(share, 0, (size_t)n * sizeof *share);
    for (uint64_t i = 0; i < 20000; i++) {
        int best = 0;
        for (int k = 1; k < n; k++) {
            struct ft_rank a = {0, c[k]->served, (uint64_t)k};
            struct ft_rank b = {0, c[best]->served, (uint64_t)best};
            if (ft_rank_cmp(&a, &b) < 0)
                best = k;
        }
        /* some callers have longer requests than others */
        double tokens = 1 + (double)(ft_rand_u64(1, 1, i) % (uint64_t)(50 * (best + 1)));
        ft_sched_charge(c[best], tokens);
        share[best] += tokens;
        sum += tokens;
    }
    for (int k = 0; k < n; k++)
        share[k] /= sum;
}

static void shares_follow_weights_not_request_sizes(void **state)
{
    (void)state;
    struct ft_sched s;
    struct ft_err err;
    assert_int_equal(ft_sched_init(&s, &err), 0);
    struct ft_caller *c[3] = {ft_sched_caller_get(&s, name("a"), 1),
                              ft_sched_caller_get(&s, name("b"), 1),
                              ft_sched_caller_get(&s, name("c"), 2)};
    double share[3];
    serve(c, 3, share);
    assert_true(fabs(share[0] - 0.25) < 0.01);
    assert_true(fabs(share[1] - 0.25) < 0.01);
    assert_true(fabs(share[2] - 0.5) < 0.01);
    ft_sched_fini(&s);
}

static void idleness_saves_nothing_up(void **state)
{
    (void)state;
    struct ft_sched s;
    struct ft_err err;
    assert_int_equal(ft_sched_init(&s, &err), 0);
    struct ft_caller *a = ft_sched_caller_get(&s, name("a"), 1);
    ft_sched_charge(a, 1000);
    struct ft_caller *b = ft_sched_caller_get(&s, name("b"), 1);
    assert_true(b->served == 1000);
    ft_sched_charge(b, 50);
    ft_sched_caller_put(&s, b);
    ft_sched_charge(a, 500);
    assert_ptr_equal(ft_sched_caller_get(&s, name("b"), 1), b);
    assert_true(b->served == 1500);
    /* nor is what was used forgotten while away */
    ft_sched_charge(b, 5000);
    ft_sched_caller_put(&s, b);
    assert_ptr_equal(ft_sched_caller_get(&s, name("b"), 1), b);
    assert_true(b->served == 6500);
    ft_sched_fini(&s);
}

static void having_the_machine_alone_costs_nothing_later(void **state)
{
    (void)state;
    struct ft_sched s;
    struct ft_err err;
    assert_int_equal(ft_sched_init(&s, &err), 0);
    struct ft_caller *a = ft_sched_caller_get(&s, name("a"), 1);
    ft_sched_charge(a, 1e6);
    ft_sched_caller_put(&s, a);
    /* b begins on an idle machine; when a comes back, both stand equal */
    struct ft_caller *b = ft_sched_caller_get(&s, name("b"), 1);
    assert_true(b->served == 1e6);
    ft_sched_charge(b, 10);
    assert_ptr_equal(ft_sched_caller_get(&s, name("a"), 1), a);
    assert_true(a->served == 1e6 + 10);
    ft_sched_fini(&s);
}

static void many_callers_stay_within_the_bound(void **state)
{
    (void)state;
    struct ft_sched s;
    struct ft_err err;
    char id[32];
    assert_int_equal(ft_sched_init(&s, &err), 0);
    struct ft_caller *keep = ft_sched_caller_get(&s, name("keep"), 1);
    for (int i = 0; i < 2 * FT_SCHED_CALLERS_MAX; i++) {
        snprintf(id, sizeof id, "%d", i);
        ft_sched_caller_put(&s, ft_sched_caller_get(&s, name(id), 1));
    }
    assert_ptr_equal(ft_sched_caller_get(&s, name("keep"), 1), keep);
    for (int i = 0; i < FT_SCHED_CALLERS_MAX + 10; i++) {
        snprintf(id, sizeof id, "busy %d", i);
        assert_non_null(ft_sched_caller_get(&s, name(id), 1));
    }
    assert_int_equal(s.n_caller, FT_SCHED_CALLERS_MAX);
    ft_sched_fini(&s);
}

static void waiting_overcomes_priority(void **state)
{
    (void)state;
    int64_t step = (int64_t)FT_SCHED_AGE_MS * 1000000;
    struct ft_rank high = {ft_sched_aged(2, 0), 0, 9};
    struct ft_rank low = {ft_sched_aged(0, step), 0, 1};
    assert_true(ft_rank_cmp(&high, &low) < 0);
    low.priority = ft_sched_aged(0, 3 * step);
    assert_true(ft_rank_cmp(&low, &high) < 0);
    struct ft_rank poor = {0, 10, 5}, rich = {0, 20, 1};
    assert_true(ft_rank_cmp(&poor, &rich) < 0);
    rich.served = 10;
    assert_true(ft_rank_cmp(&rich, &poor) < 0);
}

/* A machine whose decode step takes base_ns and whose prefill rows cost row_ns more each, with
 * noise. */
static void simulate(double base_ns, double row_ns, double noise)
{
    struct ft_pace p = {0};
    double worst = 0, sum = 0;
    int mixed = 0, prompt = 4000;
    for (uint64_t i = 0; i < 20; i++)
        ft_pace_note(&p, 4, 0, (int64_t)base_ns);
    for (uint64_t step = 0; prompt > 0 && step < 100000; step++) {
        int rows = ft_pace_rows(&p, true, ft_pace_decode_ns(&p, 4), 512);
        if (rows > prompt)
            rows = prompt;
        double t = (base_ns + rows * row_ns) * (1 + noise * (ft_rand_unit(3, 3, step) - 0.5));
        ft_pace_note(&p, 4, rows, (int64_t)t);
        prompt -= rows;
        if (rows == 0)
            continue;
        if (++mixed > 10) { /* it may learn first */
            sum += t / base_ns;
            worst = fmax(worst, t / base_ns);
        }
    }
    assert_int_equal(prompt, 0);
    if (mixed > 40) {
        double mean = sum / (mixed - 10);
        assert_true(mean < 2.05);
        assert_true(worst < 2.6);
        if (base_ns / row_ns > 10)
            assert_true(mean > 1.3); /* and the allowance is made use of */
    }
}

static void prefill_keeps_the_pace_on_any_machine(void **state)
{
    (void)state;
    simulate(12e6, 1.6e6, 0.1);
    simulate(12e6, 0.1e6, 0.1);
    simulate(1e6, 0.2e6, 0.3);
    simulate(100e6, 0.5e6, 0.2);
}

/* Nobody is kept waiting for the sake of learning what waiting costs. */
static void what_decoding_takes_is_measured_before_prefill_joins(void **state)
{
    (void)state;
    struct ft_pace p = {0};
    ft_pace_note(&p, 0, 512, 800000000);
    assert_int_equal(ft_pace_rows(&p, true, ft_pace_decode_ns(&p, 4), 512), 0);
    ft_pace_note(&p, 4, 0, 12000000);
    int rows = ft_pace_rows(&p, true, ft_pace_decode_ns(&p, 4), 512);
    assert_true(rows >= 1 && rows * 800000000.0 / 512 <= 12000000);
}

static void prefill_alone_takes_whole_chunks(void **state)
{
    (void)state;
    struct ft_pace p = {0};
    assert_int_equal(ft_pace_rows(&p, false, 0, 512), 512);
    ft_pace_note(&p, 0, 512, 800000000);
    assert_int_equal(ft_pace_rows(&p, false, 0, 512), 512);
    /* a crawling machine still gets on */
    ft_pace_note(&p, 1, 0, 1000);
    assert_true(ft_pace_rows(&p, true, 1000, 512) >= 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shares_follow_weights_not_request_sizes),
        cmocka_unit_test(idleness_saves_nothing_up),
        cmocka_unit_test(having_the_machine_alone_costs_nothing_later),
        cmocka_unit_test(many_callers_stay_within_the_bound),
        cmocka_unit_test(waiting_overcomes_priority),
        cmocka_unit_test(prefill_keeps_the_pace_on_any_machine),
        cmocka_unit_test(what_decoding_takes_is_measured_before_prefill_joins),
        cmocka_unit_test(prefill_alone_takes_whole_chunks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
