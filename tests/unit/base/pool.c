/* Thread pool: every chunk exactly once, in any number of regions, whoever is late. */
/* labels: threads */
#include "testing.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/pool.h"

#define N_MAX 3000

struct tally {
    int n_workers;
    int plain[N_MAX]; /* not atomic on purpose: a chunk run twice, or one not visible, is a race */
    atomic_int bad_worker;
};

static void count_chunk(void *ctx, int chunk, int worker)
{
    struct tally *t = ctx;
    t->plain[chunk]++;
    if (worker < 0 || worker >= t->n_workers)
        t->bad_worker = 1;
}

static struct ft_pool *open_pool(int n)
{
    struct ft_pool *p = NULL;
    struct ft_err err;
    assert_int_equal(ft_pool_open(n, &p, &err), 0);
    assert_int_equal(ft_pool_size(p), n);
    return p;
}

static void test_every_chunk_runs_exactly_once(void **state)
{
    (void)state;
    static const int sizes[] = {0, 1, 2, 3, 7, 64, N_MAX};
    for (int n_threads = 1; n_threads <= 4; n_threads++) {
        struct ft_pool *p = open_pool(n_threads);
        for (size_t s = 0; s < FT_COUNT(sizes); s++) {
            static struct tally t;
            memset(&t, 0, sizeof t);
            t.n_workers = n_threads;
            ft_pool_run(p, sizes[s], count_chunk, &t);
            for (int i = 0; i < N_MAX; i++)
                assert_int_equal(t.plain[i], i < sizes[s]);
            assert_int_equal(t.bad_worker, 0);
        }
        ft_pool_close(p);
    }
}

struct step {
    int region;
    int *last; /* [chunk]: the last region that ran it */
    atomic_int wrong;
};

static void check_step(void *ctx, int chunk, int worker)
{
    (void)worker;
    struct step *s = ctx;
    if (s->last[chunk] != s->region - 1)
        s->wrong = 1;
    s->last[chunk] = s->region;
}

/* A late worker that ran a chunk of a past region, or with a past context, would break the
 * count. The context is a new object each time, and the number of chunks changes. */
static void test_many_regions_follow_each_other(void **state)
{
    (void)state;
    for (int n_threads = 2; n_threads <= 4; n_threads++) {
        struct ft_pool *p = open_pool(n_threads);
        int last[8][16] = {{0}};
        for (int region = 1; region <= 4000; region++) {
            struct step *s = malloc(sizeof *s);
            assert_non_null(s);
            int n_chunks = 2 + region % 8;
            *s = (struct step){.region = (region + 7) / 8, .last = last[region % 8]};
            ft_pool_run(p, n_chunks, check_step, s);
            assert_int_equal(s->wrong, 0);
            for (int i = 0; i < n_chunks; i++)
                assert_int_equal(s->last[i], s->region);
            free(s);
            if (region % 1000 == 0)
                usleep(2000); /* lets the workers fall asleep */
        }
        ft_pool_close(p);
    }
}

static void test_workers_that_sleep_are_woken(void **state)
{
    (void)state;
    struct ft_pool *p = open_pool(3);
    for (int i = 0; i < 20; i++) {
        static struct tally t;
        memset(&t, 0, sizeof t);
        t.n_workers = 3;
        usleep(1000);
        ft_pool_run(p, 100, count_chunk, &t);
        for (int c = 0; c < 100; c++)
            assert_int_equal(t.plain[c], 1);
    }
    ft_pool_close(p);
}

static void late_worker(void *ctx, int chunk, int worker)
{
    atomic_int *n_by_others = ctx;
    (void)chunk;
    if (worker != 0) {
        (*n_by_others)++;
        usleep(8000);
    } else {
        usleep(20);
    }
}

/* A worker that is late again and again is left out, and tried again later. */
static void test_shrinks_while_a_worker_is_late_and_grows_again(void **state)
{
    (void)state;
    struct ft_pool *p = open_pool(2);
    atomic_int n_by_others = 0;
    int i;
    for (i = 0; i < 2000 && ft_pool_active(p) == 2; i++)
        ft_pool_run(p, 64, late_worker, &n_by_others);
    assert_int_equal(ft_pool_active(p), 1);
    int before = n_by_others;
    ft_pool_run(p, 64, late_worker, &n_by_others);
    assert_in_range(n_by_others - before, 0, 1); /* it may still have been on its way */
    static struct tally t = {.n_workers = 2};
    for (i = 0; i < 20000 && ft_pool_active(p) == 1; i++) {
        usleep(100);
        ft_pool_run(p, 2, count_chunk, &t);
    }
    assert_int_equal(ft_pool_active(p), 2);
    ft_pool_close(p);
}

static void long_chunk(void *ctx, int chunk, int worker)
{
    (void)ctx;
    (void)chunk;
    usleep(worker == 0 ? 4000 : 6000);
}

/* Waiting for a chunk about as long as our own is no sign of a lost core. A loaded machine may
 * really take the core away meanwhile, so one quiet attempt of many is enough; a pool that takes
 * long chunks for late ones fails them all. */
static void test_long_chunks_do_not_shrink_it(void **state)
{
    (void)state;
    int quiet = 0;
    for (int attempt = 0; attempt < 20 && !quiet; attempt++) {
        struct ft_pool *p = open_pool(2);
        quiet = 1;
        for (int i = 0; i < 10; i++) {
            ft_pool_run(p, 2, long_chunk, NULL);
            quiet &= ft_pool_active(p) == 2;
        }
        ft_pool_close(p);
    }
    assert_true(quiet);
}

static void *run_region(void *arg)
{
    static struct tally t = {.n_workers = 3};
    ft_pool_run(arg, 50, count_chunk, &t);
    return NULL;
}

static void test_the_owner_may_change_between_regions(void **state)
{
    (void)state;
    struct ft_pool *p = open_pool(3);
    for (int i = 0; i < 3; i++) {
        pthread_t t;
        assert_int_equal(pthread_create(&t, NULL, run_region, p), 0);
        pthread_join(t, NULL);
        run_region(p);
    }
    ft_pool_close(p);
}

static void test_bad_sizes_are_refused(void **state)
{
    (void)state;
    struct ft_pool *p = NULL;
    struct ft_err err;
    static const int bad[] = {0, -1, FT_POOL_THREADS_MAX + 1};
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        assert_int_equal(ft_pool_open(bad[i], &p, &err), FT_EINVAL);
        assert_non_null(strstr(err.msg, "threads"));
        assert_null(p);
    }
    ft_pool_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_chunk_runs_exactly_once),
        cmocka_unit_test(test_many_regions_follow_each_other),
        cmocka_unit_test(test_workers_that_sleep_are_woken),
        cmocka_unit_test(test_shrinks_while_a_worker_is_late_and_grows_again),
        cmocka_unit_test(test_long_chunks_do_not_shrink_it),
        cmocka_unit_test(test_the_owner_may_change_between_regions),
        cmocka_unit_test(test_bad_sizes_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
