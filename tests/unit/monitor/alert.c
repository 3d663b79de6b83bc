/* Alerts by a scripted clock: states, waiting both ways, silence, floods, quiet times, restarts. */
#include "monitor/alert.h"

#include <math.h>
#include <string.h>

#include "testing.h"

#define T0 INT64_C(1700000000)

static const struct ft_alert_rule above = {.threshold = 10, .for_s = 30, .repeat_s = 3600};

static void at(struct ft_alert *a, const struct ft_alert_rule *r, int64_t s, double v,
               enum ft_alert_state state, enum ft_alert_news news)
{
    ft_alert_look(a, r, T0 + s, v);
    if (a->state != state)
        fail_msg("at %lld with %g: %s", (long long)s, v, ft_alert_state_name[a->state]);
    enum ft_alert_news is = ft_alert_news(a, r, T0 + s, false);
    if (is != news)
        fail_msg("at %lld with %g: told %d", (long long)s, v, (int)is);
}

static void test_fires_after_its_time_and_ends_after_it(void **state)
{
    (void)state;
    struct ft_alert a = {0};
    at(&a, &above, 0, 5, FT_ALERT_OK, FT_ALERT_NOTHING);
    at(&a, &above, 10, 11, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 20, 10, FT_ALERT_OK, FT_ALERT_NOTHING); /* not above */
    at(&a, &above, 30, 11, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 50, 12, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 60, 13, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    assert_int_equal(a.since_s, T0 + 60);
    at(&a, &above, 70, 1, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &above, 80, 11, FT_ALERT_FIRING, FT_ALERT_NOTHING); /* so it was not over */
    at(&a, &above, 90, 1, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &above, 110, 1, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &above, 120, 1, FT_ALERT_OK, FT_ALERT_TELL_RESOLVED);
    at(&a, &above, 130, 1, FT_ALERT_OK, FT_ALERT_NOTHING);
}

static void test_at_once_and_below(void **state)
{
    (void)state;
    static const struct ft_alert_rule below = {.below = true, .threshold = 2};
    struct ft_alert a = {0};
    at(&a, &below, 0, 2, FT_ALERT_OK, FT_ALERT_NOTHING);
    at(&a, &below, 10, 1, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    at(&a, &below, 20, 1, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &below, 100000, 1, FT_ALERT_FIRING, FT_ALERT_NOTHING); /* repeat_s 0: once */
    at(&a, &below, 100010, 3, FT_ALERT_OK, FT_ALERT_TELL_RESOLVED);
}

static void test_told_again_while_it_lasts(void **state)
{
    (void)state;
    struct ft_alert a = {0};
    at(&a, &above, 0, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 30, 20, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    for (int64_t s = 40; s < 3630; s += 10)
        at(&a, &above, s, 20, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &above, 3630, 20, FT_ALERT_FIRING, FT_ALERT_TELL_AGAIN);
    at(&a, &above, 3640, 20, FT_ALERT_FIRING, FT_ALERT_NOTHING);
}

static void test_no_values(void **state)
{
    (void)state;
    struct ft_alert a = {0};
    at(&a, &above, 0, NAN, FT_ALERT_NO_DATA, FT_ALERT_NOTHING);
    at(&a, &above, 10, 1, FT_ALERT_OK, FT_ALERT_NOTHING);
    at(&a, &above, 130, NAN, FT_ALERT_OK, FT_ALERT_NOTHING);
    at(&a, &above, 140, NAN, FT_ALERT_NO_DATA, FT_ALERT_NOTHING);
    at(&a, &above, 150, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 180, 20, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    at(&a, &above, 290, NAN, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    at(&a, &above, 310, NAN, FT_ALERT_NO_DATA, FT_ALERT_TELL_RESOLVED);
}

static void test_what_flaps_does_not_flood(void **state)
{
    (void)state;
    static const struct ft_alert_rule r = {.threshold = 10, .repeat_s = 3600};
    struct ft_alert a = {0};
    int told = 0;
    for (int64_t s = 0; s < 86400; s += 10) {
        ft_alert_look(&a, &r, T0 + s, s / 10 % 2 == 0 ? 20 : 1);
        told += ft_alert_news(&a, &r, T0 + s, false) != FT_ALERT_NOTHING;
        if (s == 3590)
            assert_true(told >= FT_ALERT_BURST && told <= FT_ALERT_BURST + 6);
    }
    assert_true(told <= FT_ALERT_BURST + 86400 / FT_ALERT_REFILL_S);
    for (int64_t s = 86400; s < 87100; s += 10) { /* in the end what holds is told */
        ft_alert_look(&a, &r, T0 + s, 1);
        ft_alert_news(&a, &r, T0 + s, false);
    }
    assert_false(a.told);
}

static void test_quiet_times_hold_back_what_is_told_alone(void **state)
{
    (void)state;
    static const struct ft_alert_rule r = {.threshold = 10};
    struct ft_alert a = {0};
    ft_alert_look(&a, &r, T0, 20);
    assert_int_equal(a.state, FT_ALERT_FIRING);
    assert_int_equal(ft_alert_news(&a, &r, T0, true), FT_ALERT_NOTHING);
    ft_alert_look(&a, &r, T0 + 10, 20);
    assert_int_equal(ft_alert_news(&a, &r, T0 + 10, false), FT_ALERT_TELL_FIRING);
    ft_alert_look(&a, &r, T0 + 20, 1);
    assert_int_equal(ft_alert_news(&a, &r, T0 + 20, true), FT_ALERT_NOTHING);
    ft_alert_look(&a, &r, T0 + 30, 1);
    assert_int_equal(ft_alert_news(&a, &r, T0 + 30, false), FT_ALERT_TELL_RESOLVED);
    /* what came and went within them is not told at all */
    ft_alert_look(&a, &r, T0 + 40, 20);
    assert_int_equal(ft_alert_news(&a, &r, T0 + 40, true), FT_ALERT_NOTHING);
    ft_alert_look(&a, &r, T0 + 50, 1);
    assert_int_equal(ft_alert_news(&a, &r, T0 + 50, false), FT_ALERT_NOTHING);
}

static void test_a_restart_tells_nothing_twice(void **state)
{
    (void)state;
    struct ft_alert a = {0}, b;
    at(&a, &above, 0, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 30, 20, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    json_t *o = ft_alert_save(&a);
    assert_true(ft_alert_load(o, &b));
    assert_memory_equal(&a.since_s, &b.since_s, sizeof a.since_s);
    at(&b, &above, 90, 20, FT_ALERT_FIRING, FT_ALERT_NOTHING);
    json_object_set_new(o, "state", json_string("odd"));
    assert_false(ft_alert_load(o, &b));
    json_decref(o);
    o = json_pack("{s:s}", "state", "ok");
    assert_false(ft_alert_load(o, &b));
    assert_int_equal(b.since_s, 0);
    json_decref(o);
    assert_false(ft_alert_load(NULL, &b));
}

static void test_a_clock_that_is_set_back_begins_to_wait_anew(void **state)
{
    (void)state;
    struct ft_alert a = {0};
    at(&a, &above, 100000, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 0, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 20, 20, FT_ALERT_PENDING, FT_ALERT_NOTHING);
    at(&a, &above, 30, 20, FT_ALERT_FIRING, FT_ALERT_TELL_FIRING);
    at(&a, &above, 3630, 20, FT_ALERT_FIRING, FT_ALERT_TELL_AGAIN);
    assert_int_equal(ft_alert_worse(FT_ALERT_NO_DATA, FT_ALERT_PENDING), FT_ALERT_PENDING);
    assert_int_equal(ft_alert_worse(FT_ALERT_OK, FT_ALERT_NO_DATA), FT_ALERT_NO_DATA);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fires_after_its_time_and_ends_after_it),
        cmocka_unit_test(test_at_once_and_below),
        cmocka_unit_test(test_told_again_while_it_lasts),
        cmocka_unit_test(test_no_values),
        cmocka_unit_test(test_what_flaps_does_not_flood),
        cmocka_unit_test(test_quiet_times_hold_back_what_is_told_alone),
        cmocka_unit_test(test_a_restart_tells_nothing_twice),
        cmocka_unit_test(test_a_clock_that_is_set_back_begins_to_wait_anew),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
