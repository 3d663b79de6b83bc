/* Notices by a scripted clock: order, retries, giving up, dead channels beside living ones,
 * heartbeats, bounds, restarts. */
#include "monitor/notify.h"

#include <string.h>

#include "testing.h"

#define T0 INT64_C(1700000000)

static struct ft_notify *start(int64_t heartbeat_s)
{
    struct ft_notify *n = NULL;
    struct ft_err err = {0};
    struct ft_notify_channel c[] = {{"a", heartbeat_s}, {"b", 0}};
    assert_int_equal(ft_notify_open(&n, &err), 0);
    ft_notify_channels(n, c, 2);
    return n;
}

static void add(struct ft_notify *n, const char *channel, int number)
{
    json_t *body = json_pack("{s:i}", "n", number);
    ft_notify_add(n, channel, body, T0);
    json_decref(body);
}

/* What is next: its number, 0 for a heartbeat, -1 for nothing. */
static int next(struct ft_notify *n, int64_t s, const char *channel)
{
    struct ft_notify_due due;
    int64_t wake;
    if (!ft_notify_next(n, T0 + s, &due, &wake))
        return -1;
    assert_string_equal(due.channel, channel);
    assert_true(due.is_heartbeat == (due.body == NULL));
    int number = due.is_heartbeat ? 0 : (int)json_integer_value(json_object_get(due.body, "n"));
    json_decref(due.body);
    return number;
}

static int64_t figure(struct ft_notify *n, const char *channel, const char *name)
{
    json_t *o = ft_notify_status(n, channel);
    int64_t v = json_integer_value(json_object_get(o, name));
    json_decref(o);
    return v;
}

static void test_in_order_and_each_channel_for_itself(void **state)
{
    (void)state;
    struct ft_notify *n = start(0);
    add(n, "a", 1);
    add(n, "a", 2);
    add(n, "b", 3);
    add(n, "nobody", 4);
    assert_int_equal(next(n, 0, "a"), 1);
    assert_int_equal(next(n, 0, "b"), 3); /* a's is under way */
    assert_int_equal(next(n, 0, ""), -1);
    ft_notify_done(n, "a", T0, NULL, false);
    assert_int_equal(next(n, 0, "a"), 2);
    ft_notify_done(n, "a", T0, NULL, false);
    ft_notify_done(n, "b", T0, NULL, false);
    assert_int_equal(next(n, 100000, ""), -1);
    assert_int_equal(figure(n, "a", "sent"), 2);
    ft_notify_close(n);
}

static void test_tried_again_ever_more_seldom_then_given_up(void **state)
{
    (void)state;
    static const int pause[] = {5, 15, 45, 135, 405, 900, 900, 900, 900, 900, 900};
    struct ft_notify *n = start(0);
    add(n, "a", 1);
    add(n, "a", 2);
    int64_t s = 0;
    for (int i = 0; i < FT_NOTIFY_TRIES; i++) {
        assert_int_equal(next(n, s, "a"), 1);
        ft_notify_done(n, "a", T0 + s, "refused", false);
        if (i + 1 < FT_NOTIFY_TRIES) {
            assert_int_equal(next(n, s + pause[i] - 1, ""), -1);
            s += pause[i];
        }
    }
    assert_int_equal(figure(n, "a", "given_up"), 1);
    assert_int_equal(figure(n, "a", "failed"), FT_NOTIFY_TRIES);
    assert_int_equal(next(n, s, "a"), 2);
    ft_notify_done(n, "a", T0 + s, "no such mailbox", true); /* never */
    assert_int_equal(next(n, s + 100000, ""), -1);
    ft_notify_close(n);
}

static void test_a_dead_channel_holds_up_no_other(void **state)
{
    (void)state;
    struct ft_notify *n = start(0);
    for (int i = 0; i < 5; i++) {
        add(n, "a", 1);
        assert_int_equal(next(n, 0, "a") > 0 ? 1 : next(n, 0, "a"), i == 0 ? 1 : -1);
        if (i == 0)
            ft_notify_done(n, "a", T0, "dead", false);
        add(n, "b", 10 + i);
        assert_int_equal(next(n, 0, "b"), 10 + i);
        ft_notify_done(n, "b", T0, NULL, false);
    }
    ft_notify_close(n);
}

static void test_heartbeats(void **state)
{
    (void)state;
    struct ft_notify *n = start(60);
    assert_int_equal(next(n, 0, "a"), 0); /* the first at once */
    ft_notify_done(n, "a", T0, NULL, false);
    assert_int_equal(next(n, 59, ""), -1);
    assert_int_equal(next(n, 60, "a"), 0);
    ft_notify_done(n, "a", T0 + 60, "dead", false); /* none is sent late */
    assert_int_equal(next(n, 119, ""), -1);
    add(n, "a", 7);
    assert_int_equal(next(n, 120, "a"), 7); /* news go before */
    ft_notify_done(n, "a", T0 + 120, NULL, false);
    assert_int_equal(next(n, 120, "a"), 0);
    ft_notify_done(n, "a", T0 + 120, NULL, false);
    json_t *saved = ft_notify_save(n);
    ft_notify_close(n);
    n = start(60);
    ft_notify_load(n, saved, T0 + 130);
    assert_int_equal(next(n, 130, ""), -1);
    assert_int_equal(next(n, 180, "a"), 0);
    json_decref(saved);
    ft_notify_close(n);
}

static void test_queues_are_bounded_and_survive(void **state)
{
    (void)state;
    struct ft_notify *n = start(0);
    for (int i = 1; i <= FT_NOTIFY_WAITING_MAX + 3; i++)
        add(n, "a", i);
    assert_int_equal(figure(n, "a", "waiting"), FT_NOTIFY_WAITING_MAX);
    assert_int_equal(next(n, 0, "a"), 4); /* the oldest gave way */
    add(n, "a", 99);
    ft_notify_done(n, "a", T0, NULL, false); /* the one under way did not */
    json_t *saved = ft_notify_save(n);
    ft_notify_close(n);
    n = start(0);
    ft_notify_load(n, saved, T0);
    assert_int_equal(next(n, 0, "a"), 6);
    ft_notify_close(n);
    n = start(0);
    json_object_set_new(
        saved, "b",
        json_pack("{s:[{s:i},i,{s:{},s:i}]}", "queue", "body", 1, 2, "body", "tries", -1));
    ft_notify_load(n, saved, T0);
    assert_int_equal(figure(n, "b", "waiting"), 0); /* not made by save */
    ft_notify_load(n, NULL, T0);
    json_decref(saved);
    ft_notify_close(n);
}

static void test_what_waits_for_a_channel_goes_with_it(void **state)
{
    (void)state;
    struct ft_notify *n = start(0);
    add(n, "a", 1);
    assert_int_equal(next(n, 0, "a"), 1);
    struct ft_notify_channel c[] = {{"b", 0}};
    ft_notify_channels(n, c, 1);
    ft_notify_done(n, "a", T0, NULL, false); /* it was under way */
    assert_int_equal(next(n, 0, ""), -1);
    assert_int_equal(figure(n, "a", "sent"), 0);
    add(n, "b", 2);
    assert_int_equal(next(n, 0, "b"), 2);
    ft_notify_close(n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order_and_each_channel_for_itself),
        cmocka_unit_test(test_tried_again_ever_more_seldom_then_given_up),
        cmocka_unit_test(test_a_dead_channel_holds_up_no_other),
        cmocka_unit_test(test_heartbeats),
        cmocka_unit_test(test_queues_are_bounded_and_survive),
        cmocka_unit_test(test_what_waits_for_a_channel_goes_with_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
