/* labels: threads */
/* Tries to sign in: so many at once, then one in so long, in a memory that does not grow. */
#include "testing.h"

#include <pthread.h>

#include "gateway/throttle.h"

#define S ((int64_t)1000000000)

static struct ft_throttle t;

static int set_up(void **state)
{
    (void)state;
    ft_throttle_init(&t, 3, 10000);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    ft_throttle_fini(&t);
    return 0;
}

static void a_burst_and_then_one_in_so_long(void **state)
{
    (void)state;
    int64_t now = 100 * S;
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, ft_throttle_take(&t, "a", now));
    assert_int_equal(10000, ft_throttle_take(&t, "a", now));
    assert_int_equal(0, ft_throttle_take(&t, "b", now));
    assert_int_equal(4000, ft_throttle_take(&t, "a", now + 6 * S));
    assert_int_equal(0, ft_throttle_take(&t, "a", now + 10 * S));
    assert_int_equal(10000, ft_throttle_take(&t, "a", now + 10 * S));
    /* after a long time the burst is there again, and no more than it */
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, ft_throttle_take(&t, "a", now + 1000 * S));
    assert_true(ft_throttle_take(&t, "a", now + 1000 * S) > 0);
}

static void what_is_given_back_was_no_try(void **state)
{
    (void)state;
    int64_t now = 100 * S;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(0, ft_throttle_take(&t, "a", now));
        ft_throttle_give(&t, "a", now);
    }
    for (int i = 0; i < 3; i++)
        assert_int_equal(0, ft_throttle_take(&t, "a", now));
    assert_true(ft_throttle_take(&t, "a", now) > 0);
    ft_throttle_give(&t, "a", now);
    assert_int_equal(0, ft_throttle_take(&t, "a", now));
    assert_true(ft_throttle_take(&t, "a", now) > 0);
}

/* Many others do not make it forgotten while it has to wait longer than they have. */
static void who_waits_longest_is_remembered(void **state)
{
    (void)state;
    char name[32];
    for (int i = 0; i < 3; i++)
        ft_throttle_take(&t, "a", S);
    for (int i = 0; i < 100000; i++) {
        snprintf(name, sizeof name, "other-%d", i);
        assert_int_equal(0, ft_throttle_take(&t, name, S));
    }
    assert_true(ft_throttle_take(&t, "a", S) > 0);
}

static void *try_often(void *ctx)
{
    int *got = ctx;
    for (int i = 0; i < 1000; i++)
        *got += ft_throttle_take(&t, "a", 5 * S) == 0;
    return NULL;
}

static void threads_get_no_more_of_them(void **state)
{
    (void)state;
    pthread_t thread[4];
    int got[4] = {0}, all = 0;
    for (int i = 0; i < 4; i++)
        assert_int_equal(0, pthread_create(&thread[i], NULL, try_often, &got[i]));
    for (int i = 0; i < 4; i++) {
        pthread_join(thread[i], NULL);
        all += got[i];
    }
    assert_int_equal(3, all);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_burst_and_then_one_in_so_long), TEST(what_is_given_back_was_no_try),
        TEST(who_waits_longest_is_remembered), TEST(threads_get_no_more_of_them)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
