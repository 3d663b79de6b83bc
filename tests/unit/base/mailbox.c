/* Mailbox: order, bounds, waiting, closing, and many producers at once. */
/* labels: threads */
#include "testing.h"

#include <pthread.h>

#include "base/clock.h"
#include "base/mailbox.h"

static struct ft_mailbox *open_ints(size_t n_slots)
{
    struct ft_mailbox *m = NULL;
    struct ft_err err;
    assert_int_equal(ft_mailbox_open(n_slots, sizeof(int), &m, &err), 0);
    return m;
}

static void test_keeps_order_and_bound(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(3);
    int got = 0;
    for (int round = 0; round < 10; round++) { /* wraps around the ring */
        for (int i = 0; i < 3; i++)
            assert_int_equal(ft_mailbox_try_post(m, &(int){round * 3 + i}), 0);
        assert_int_equal(ft_mailbox_try_post(m, &(int){-1}), FT_EBUSY);
        assert_int_equal(ft_mailbox_size(m), 3);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(ft_mailbox_take(m, &got, 0), 0);
            assert_int_equal(got, round * 3 + i);
        }
        got = -7;
        assert_int_equal(ft_mailbox_take(m, &got, 0), FT_EBUSY);
        assert_int_equal(got, -7);
    }
    ft_mailbox_close(m);
}

static void test_take_waits_at_most_its_timeout(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(1);
    int got;
    int64_t begin = ft_clock_now_ns();
    assert_int_equal(ft_mailbox_take(m, &got, 30), FT_EBUSY);
    assert_true(ft_clock_now_ns() - begin >= 29 * 1000000);
    ft_mailbox_close(m);
}

static void test_shut_refuses_posts_and_keeps_what_was_accepted(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(4);
    int got = 0;
    assert_int_equal(ft_mailbox_post(m, &(int){5}), 0);
    ft_mailbox_shut(m);
    assert_int_equal(ft_mailbox_post(m, &(int){6}), FT_ECANCELED);
    assert_int_equal(ft_mailbox_try_post(m, &(int){6}), FT_ECANCELED);
    assert_int_equal(ft_mailbox_take(m, &got, -1), 0);
    assert_int_equal(got, 5);
    assert_int_equal(ft_mailbox_take(m, &got, -1), FT_ECANCELED);
    assert_int_equal(ft_mailbox_take(m, &got, 0), FT_ECANCELED);
    ft_mailbox_close(m);
    ft_mailbox_close(NULL);
}

static void *post_one_blocking(void *arg)
{
    return (void *)(intptr_t)ft_mailbox_post(arg, &(int){2});
}

static void test_shut_wakes_a_producer_that_waits(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(1);
    assert_int_equal(ft_mailbox_post(m, &(int){1}), 0);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, post_one_blocking, m), 0);
    usleep(20000);
    ft_mailbox_shut(m);
    void *rc;
    pthread_join(t, &rc);
    assert_int_equal((intptr_t)rc, FT_ECANCELED);
    ft_mailbox_close(m);
}

static void *shut_later(void *arg)
{
    usleep(20000);
    ft_mailbox_shut(arg);
    return NULL;
}

static void test_shut_wakes_the_consumer(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(1);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, shut_later, m), 0);
    int got;
    assert_int_equal(ft_mailbox_take(m, &got, -1), FT_ECANCELED);
    pthread_join(t, NULL);
    ft_mailbox_close(m);
}

#define N_PRODUCERS 4
#define N_EACH      5000

struct producer {
    struct ft_mailbox *m;
    int id;
};

static void *produce(void *arg)
{
    struct producer *p = arg;
    for (int i = 0; i < N_EACH; i++) {
        int msg = p->id * N_EACH + i;
        if (i % 3 != 0 || ft_mailbox_try_post(p->m, &msg) != 0)
            ft_mailbox_post(p->m, &msg);
    }
    return NULL;
}

static void test_many_producers_lose_and_repeat_nothing(void **state)
{
    (void)state;
    struct ft_mailbox *m = open_ints(7); /* small: producers must wait */
    pthread_t threads[N_PRODUCERS];
    struct producer producers[N_PRODUCERS];
    int next[N_PRODUCERS] = {0};
    for (int i = 0; i < N_PRODUCERS; i++) {
        producers[i] = (struct producer){m, i};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (int i = 0; i < N_PRODUCERS * N_EACH; i++) {
        int got;
        assert_int_equal(ft_mailbox_take(m, &got, -1), 0);
        assert_int_equal(got % N_EACH, next[got / N_EACH]++); /* each producer's own order */
    }
    for (int i = 0; i < N_PRODUCERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(ft_mailbox_size(m), 0);
    ft_mailbox_close(m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keeps_order_and_bound),
        cmocka_unit_test(test_take_waits_at_most_its_timeout),
        cmocka_unit_test(test_shut_refuses_posts_and_keeps_what_was_accepted),
        cmocka_unit_test(test_shut_wakes_a_producer_that_waits),
        cmocka_unit_test(test_shut_wakes_the_consumer),
        cmocka_unit_test(test_many_producers_lose_and_repeat_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
