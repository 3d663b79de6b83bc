/* Metrics: exact sums, bounds, labels that cannot grow, and counting by many threads at once. */
/* labels: threads */
#include "testing.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/metric.h"

static const double bounds[] = {0.001, 0.01, 0.1, 1};

struct fixture {
    struct ft_metric_set *m;
    struct ft_metric *counter, *gauge, *histogram, *plain;
};

static int set_up(void **state)
{
    static const struct ft_metric_def defs[] = {
        {"calls", "Calls.", NULL, FT_METRIC_COUNTER, {"model", "project"}, .scale = 1e-9},
        {"level", "Level.", NULL, FT_METRIC_GAUGE, {"model"}, .read = NULL},
        {"time_seconds", "Time.", "seconds", FT_METRIC_HISTOGRAM, {"model"}, 1e-9, bounds, 4, NULL},
        {"all", "All.", NULL, FT_METRIC_COUNTER, .read = NULL},
    };
    static struct fixture f;
    struct ft_metric **to[] = {&f.counter, &f.gauge, &f.histogram, &f.plain};
    struct ft_err err;
    assert_int_equal(ft_metric_set_open(&f.m, &err), 0);
    for (size_t i = 0; i < FT_COUNT(defs); i++)
        assert_int_equal(ft_metric_set_add(f.m, &defs[i], to[i], &err), 0);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    ft_metric_set_close(((struct fixture *)*state)->m);
    return 0;
}

/* What a family shows of one combination. */
struct seen {
    struct ft_metric_out out; /* first */
    const char *a, *b;
    int n, series;
    double number;
    struct ft_histogram h;
};

static void see(struct ft_metric_out *out, const char *const *value, double number,
                const struct ft_histogram *h)
{
    struct seen *s = (struct seen *)out;
    s->series++;
    if ((s->a != NULL && strcmp(value[0], s->a) != 0) ||
        (s->b != NULL && strcmp(value[1], s->b) != 0))
        return;
    s->n++;
    s->number = number;
    if (h != NULL)
        s->h = *h;
}

static struct seen look(const struct ft_metric *f, const char *a, const char *b)
{
    struct seen s = {.out = {see}, .a = a, .b = b};
    ft_metric_read(f, NULL, &s.out);
    return s;
}

static void test_counts_by_labels(void **state)
{
    struct fixture *f = *state;
    ft_series_add(ft_metric_at2(f->counter, "a", "x"), 1000000000);
    ft_series_add(ft_metric_at2(f->counter, "a", "x"), 500000000);
    ft_series_add(ft_metric_at2(f->counter, "a", "y"), 12600);
    ft_series_add(ft_metric_at2(f->counter, "", NULL), 1);
    assert_ptr_equal(ft_metric_at2(f->counter, "a", "x"), ft_metric_at2(f->counter, "a", "x"));
    assert_true(look(f->counter, "a", "x").number == 1.5);
    assert_true(look(f->counter, "a", "y").number == 1.26e-5); /* the very double */
    assert_true(look(f->counter, "", "").number == 1e-9);
    assert_int_equal(look(f->counter, NULL, NULL).series, 3);
    ft_series_set(ft_metric_at1(f->gauge, "a"), 7);
    ft_series_add(ft_metric_at1(f->gauge, "a"), -9);
    assert_true(look(f->gauge, "a", NULL).number == -2);
}

static void test_values_that_look_alike_when_joined_are_apart(void **state)
{
    struct fixture *f = *state;
    ft_series_add(ft_metric_at2(f->counter, "ab", "c"), 1);
    assert_ptr_not_equal(ft_metric_at2(f->counter, "a", "bc"),
                         ft_metric_at2(f->counter, "ab", "c"));
}

static void test_without_labels_there_is_one_from_the_start(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(look(f->plain, NULL, NULL).series, 1);
    ft_series_add(ft_metric_at(f->plain, NULL), 3);
    assert_true(look(f->plain, NULL, NULL).number == 3);
    assert_int_equal(look(f->gauge, NULL, NULL).series, 0); /* others: when they are counted */
}

static void test_a_histogram_counts_up_to_its_bounds_inclusive(void **state)
{
    struct fixture *f = *state;
    struct ft_series *s = ft_metric_at1(f->histogram, "a");
    static const int64_t ns[] = {0,        1000000,    1000001,    10000000,
                                 50000000, 1000000000, 1000000001, 5000000000};
    for (size_t i = 0; i < FT_COUNT(ns); i++)
        ft_series_observe(s, ns[i]);
    struct ft_histogram h = look(f->histogram, "a", NULL).h;
    static const uint64_t want[] = {2, 2, 1, 1, 2};
    assert_int_equal(h.n_bound, 4);
    for (size_t i = 0; i < FT_COUNT(want); i++)
        assert_int_equal(h.bucket[i], want[i]);
    assert_true(h.sum == 7.062000002);
}

static void test_a_label_has_so_many_values_and_the_rest_is_other(void **state)
{
    struct fixture *f = *state;
    char name[32];
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "model-%d", i);
        ft_series_add(ft_metric_at2(f->counter, name, "x"), 1000000000);
    }
    assert_int_equal(look(f->counter, NULL, NULL).series, FT_METRIC_VALUES_MAX + 1);
    assert_true(look(f->counter, "other", "x").number == 1000 - FT_METRIC_VALUES_MAX);
    assert_true(look(f->counter, "model-0", "x").number == 1); /* who was there stays */
    ft_series_add(ft_metric_at2(f->counter, "model-0", "y"), 1);
    assert_int_equal(look(f->counter, "model-0", "y").n, 1);
}

static void test_a_family_has_so_many_series(void **state)
{
    struct fixture *f = *state;
    char a[32], b[32];
    for (int i = 0; i < FT_METRIC_VALUES_MAX; i++) {
        for (int k = 0; k < FT_METRIC_VALUES_MAX; k++) {
            snprintf(a, sizeof a, "m%d", i);
            snprintf(b, sizeof b, "p%d", k);
            ft_series_add(ft_metric_at2(f->counter, a, b), 1);
        }
    }
    struct seen s = look(f->counter, "other", "other");
    assert_int_equal(s.series, FT_METRIC_SERIES_MAX + 1);
    assert_int_equal(s.n, 1);
    int left = FT_METRIC_VALUES_MAX * FT_METRIC_VALUES_MAX - FT_METRIC_SERIES_MAX;
    assert_true(s.number * 1e9 > left - 0.5 && s.number * 1e9 < left + 0.5);
}

static void test_what_is_no_text_or_too_long_is_other(void **state)
{
    struct fixture *f = *state;
    char longer[FT_METRIC_VALUE_BYTES + 2];
    memset(longer, 'x', sizeof longer - 1);
    longer[sizeof longer - 1] = '\0';
    struct ft_series *other = ft_metric_at1(f->gauge, FT_METRIC_OTHER);
    assert_ptr_equal(ft_metric_at1(f->gauge, longer), other);
    assert_ptr_equal(ft_metric_at1(f->gauge, "\xff"), other);
    assert_ptr_not_equal(ft_metric_at1(f->gauge, longer + 1), other);
}

static void test_wrong_families_are_refused(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    static const double falling[] = {2, 1};
    static const struct ft_metric_def wrong[] = {
        {"", "Help.", NULL, FT_METRIC_COUNTER, .read = NULL},
        {"1st", "Help.", NULL, FT_METRIC_COUNTER, .read = NULL},
        {"a-b", "Help.", NULL, FT_METRIC_COUNTER, .read = NULL},
        {"calls_total", "Help.", NULL, FT_METRIC_COUNTER, .read = NULL},
        {"helpless", "", NULL, FT_METRIC_COUNTER, .read = NULL},
        {"time", "Help.", "seconds", FT_METRIC_GAUGE, .read = NULL},
        {"labels", "Help.", NULL, FT_METRIC_GAUGE, {"le"}, .read = NULL},
        {"labels", "Help.", NULL, FT_METRIC_GAUGE, {"a:b"}, .read = NULL},
        {"h", "Help.", NULL, FT_METRIC_HISTOGRAM, .read = NULL},
        {"h", "Help.", NULL, FT_METRIC_HISTOGRAM, .bound = falling, .n_bound = 2},
        {"c", "Help.", NULL, FT_METRIC_COUNTER, .bound = falling, .n_bound = 1},
    };
    for (size_t i = 0; i < FT_COUNT(wrong); i++)
        assert_int_equal(ft_metric_set_add(f->m, &wrong[i], NULL, &err), FT_EINVAL);
    struct ft_metric_def twice = {"calls", "Help.", NULL, FT_METRIC_COUNTER, .read = NULL};
    assert_int_equal(ft_metric_set_add(f->m, &twice, NULL, &err), FT_EEXIST);
}

/* ---- many threads ---- */

#define THREADS 4
#define ROUNDS  20000

static void *count(void *ctx)
{
    struct fixture *f = ctx;
    char name[16];
    for (int i = 0; i < ROUNDS; i++) {
        snprintf(name, sizeof name, "m%d", i % 200); /* more than a label may have */
        ft_series_add(ft_metric_at2(f->counter, name, i % 2 == 0 ? "x" : "y"), 1000000000);
        ft_series_observe(ft_metric_at1(f->histogram, "a"), 5000000);
        if (i % 1000 == 0) { /* shown while others count */
            struct ft_histogram h = look(f->histogram, "a", NULL).h;
            assert_true(h.bucket[1] > 0 && h.bucket[0] == 0);
        }
    }
    return NULL;
}

static void test_nothing_is_lost_between_threads(void **state)
{
    struct fixture *f = *state;
    pthread_t t[THREADS];
    double sum = 0;
    char name[16];
    for (int i = 0; i < THREADS; i++)
        pthread_create(&t[i], NULL, count, f);
    for (int i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    assert_int_equal(look(f->histogram, "a", NULL).h.bucket[1], THREADS * ROUNDS);
    for (int i = 0; i <= 200; i++) {
        snprintf(name, sizeof name, i < 200 ? "m%d" : "other", i);
        struct seen x = look(f->counter, name, "x"), y = look(f->counter, name, "y");
        assert_true(x.n <= 1 && y.n <= 1);
        sum += x.number + y.number;
    }
    assert_true(sum == THREADS * ROUNDS);
}

/* Printed, never asserted: docs/performance.md has what it said. */
static void test_says_how_long_counting_takes(void **state)
{
    struct fixture *f = *state;
    struct ft_series *s = ft_metric_at1(f->histogram, "a");
    const int n = 200000;
    int64_t at[4];
    at[0] = ft_clock_now_ns();
    for (int i = 0; i < n; i++)
        ft_series_add(ft_metric_at(f->plain, NULL), 1);
    at[1] = ft_clock_now_ns();
    for (int i = 0; i < n; i++)
        ft_series_observe(s, i * 5000);
    at[2] = ft_clock_now_ns();
    for (int i = 0; i < n; i++)
        ft_series_add(ft_metric_at2(f->counter, "some-model", "some-project"), 1);
    at[3] = ft_clock_now_ns();
    print_message("a count %.1f ns, an observation %.1f ns, a count by names %.1f ns\n",
                  (double)(at[1] - at[0]) / n, (double)(at[2] - at[1]) / n,
                  (double)(at[3] - at[2]) / n);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_counts_by_labels),
        TEST(test_values_that_look_alike_when_joined_are_apart),
        TEST(test_without_labels_there_is_one_from_the_start),
        TEST(test_a_histogram_counts_up_to_its_bounds_inclusive),
        TEST(test_a_label_has_so_many_values_and_the_rest_is_other),
        TEST(test_a_family_has_so_many_series),
        TEST(test_what_is_no_text_or_too_long_is_other),
        TEST(test_wrong_families_are_refused),
        TEST(test_nothing_is_lost_between_threads),
        TEST(test_says_how_long_counting_takes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
