/* Alerts at work on a store in memory and a history of made-up points: what the API shows of them,
 * which subjects a rule has, what survives, what a change does, who may. */
/* labels: threads */
#include "control/watch/alarm.h"

#include <string.h>
#include <sys/stat.h>

#include "control/inside.h"
#include "control/watch/watch.h"
#include "fixture.h"
#include "monitor/alert.h"

#define T0 INT64_C(1700000000)

struct rig {
    struct fixture *f;
    struct ft_history *h;
    struct ft_alarm *a;
    int64_t now_s;
};

static void open_alarm(struct rig *r)
{
    struct ft_err err = {0};
    assert_int_equal(ft_alarm_open(&r->f->ctl, &r->a, &err), 0);
}

static void rig_open(struct rig *r, struct fixture *f)
{
    char path[4200];
    struct ft_err err = {0};
    memset(r, 0, sizeof *r);
    r->f = f;
    r->now_s = T0;
    snprintf(path, sizeof path, "%s/monitor", f->ctl.home);
    mkdir(path, 0700);
    strcat(path, "/history");
    assert_int_equal(ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err), 0);
    assert_int_equal(ft_history_open(path, T0, &r->h, &err), 0);
    open_alarm(r);
}

static void rig_close(struct rig *r)
{
    ft_alarm_close(r->a);
    ft_history_close(r->h);
    ft_inside_close(r->f->ctl.inside);
}

static void put(struct rig *r, const char *name, const char *endpoint, double v)
{
    struct ft_err err = {0};
    struct ft_history_name n = {.unit = "1"};
    snprintf(n.name, sizeof n.name, "%s", name);
    snprintf(n.label, sizeof n.label, "%s", endpoint[0] != '\0' ? "endpoint" : "");
    snprintf(n.value, sizeof n.value, "%s", endpoint);
    assert_int_equal(ft_history_put(r->h, &n, r->now_s, v, &err), 0);
}

static void look(struct rig *r)
{
    ft_alarm_look(r->a, r->h, r->now_s);
    r->now_s += 10;
}

static json_t *shown(struct rig *r, const char *id)
{
    json_t *o = json_object();
    ft_alarm_show_rule(r->a, id, o);
    return o;
}

static void is(struct rig *r, const char *id, const char *state, size_t instances)
{
    json_t *o = shown(r, id);
    assert_string_equal(ft_ctl_text(o, "state"), state);
    assert_int_equal(json_array_size(json_object_get(o, "instances")), instances);
    json_decref(o);
}

static const char *create(struct rig *r, const char *body)
{
    static char id[CTL_ID_MAX];
    assert_int_equal(fixture_ask(r->f, "POST", "/api/v1/alerts", body), 201);
    snprintf(id, sizeof id, "%s", ft_ctl_text(r->f->call.answer, "id"));
    return id;
}

static void test_it_begins_with_rules_once(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    look(&r);
    look(&r);
    assert_int_equal(fixture_ask(r.f, "GET", "/api/v1/alerts", NULL), 200);
    size_t n = json_array_size(json_object_get(r.f->call.answer, "data"));
    assert_int_equal(n, 6);
    assert_int_equal(fixture_ask(r.f, "DELETE", "/api/v1/alerts/alert_disk", NULL), 200);
    ft_alarm_close(r.a);
    open_alarm(&r);
    look(&r);
    assert_int_equal(fixture_ask(r.f, "GET", "/api/v1/alerts/alert_disk", NULL), 404);
    rig_close(&r);
}

static void test_each_subject_for_itself(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    char id[CTL_ID_MAX];
    strcpy(id, create(&r, "{\"name\":\"w\",\"series\":\"waiting\",\"op\":\">\",\"threshold\":5,"
                          "\"for_s\":0,\"labels\":{\"endpoint\":\"*\"}}"));
    look(&r);
    is(&r, id, "ok", 0); /* of each of none */
    put(&r, "waiting", "a", 1);
    put(&r, "waiting", "b", 9);
    put(&r, "waiting", "", 99); /* the cloud's is another */
    look(&r);
    is(&r, id, "firing", 2);
    json_t *o = shown(&r, id);
    assert_true(json_number_value(json_object_get(o, "value")) == 9);
    json_decref(o);
    put(&r, "waiting", "b", 1);
    look(&r);
    is(&r, id, "ok", 2);
    r.now_s += 300; /* silence */
    look(&r);
    is(&r, id, "no_data", 2);
    rig_close(&r);
}

static void test_states_survive_and_changes_hold(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    char id[CTL_ID_MAX], path[200];
    strcpy(id, create(&r, "{\"name\":\"c\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,"
                          "\"for_s\":0}"));
    snprintf(path, sizeof path, "/api/v1/alerts/%s", id);
    put(&r, "cpu", "", 2);
    look(&r);
    is(&r, id, "firing", 1);
    json_t *o = shown(&r, id);
    int64_t since = ft_ctl_int(o, "since", 0);
    json_decref(o);
    ft_alarm_close(r.a);
    open_alarm(&r);
    put(&r, "cpu", "", 2);
    look(&r);
    is(&r, id, "firing", 1);
    o = shown(&r, id);
    assert_int_equal(ft_ctl_int(o, "since", 0), since);
    json_decref(o);
    assert_int_equal(fixture_ask(r.f, "PATCH", path, "{\"threshold\":3}"), 200);
    put(&r, "cpu", "", 2);
    look(&r);
    is(&r, id, "ok", 1);
    assert_int_equal(fixture_ask(r.f, "PATCH", path, "{\"series\":\"waiting\"}"), 200);
    look(&r);
    is(&r, id, "no_data", 0); /* another question */
    assert_int_equal(fixture_ask(r.f, "PATCH", path, "{\"enabled\":false}"), 200);
    look(&r);
    assert_int_equal(fixture_ask(r.f, "GET", path, NULL), 200);
    assert_string_equal(ft_ctl_text(r.f->call.answer, "state"), "ok");
    rig_close(&r);
}

static void test_a_dead_channel_holds_up_no_look(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    char id[CTL_ID_MAX], body[300];
    assert_int_equal(fixture_ask(r.f, "POST", "/api/v1/channels",
                                 "{\"kind\":\"webhook\",\"name\":\"x\",\"url\":\"http://"
                                 "127.0.0.1:1/\"}"),
                     201);
    snprintf(id, sizeof id, "%s", ft_ctl_text(r.f->call.answer, "id"));
    assert_non_null(ft_ctl_text(r.f->call.answer, "secret"));
    snprintf(body, sizeof body,
             "{\"name\":\"c\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"for_s\":0,"
             "\"channels\":[\"%s\"]}",
             id);
    create(&r, body);
    put(&r, "cpu", "", 2);
    look(&r);
    int64_t failed = 0;
    for (int i = 0; i < 500 && failed == 0; i++) {
        json_t *o = json_object();
        usleep(10000);
        ft_alarm_show_channel(r.a, id, o);
        failed = ft_ctl_int(o, "failed", 0);
        assert_int_equal(ft_ctl_int(o, "waiting", -1), 1);
        json_decref(o);
    }
    assert_int_equal(failed, 1);
    look(&r);
    rig_close(&r);
}

static void test_what_is_refused(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *path, *body, *param;
    } bad[] = {
        {"alerts", "{\"name\":\"x\",\"series\":\"cpu\",\"op\":\"=\",\"threshold\":1}", "op"},
        {"alerts", "{\"name\":\"x\",\"series\":\"C P U\",\"op\":\">\",\"threshold\":1}", "series"},
        {"alerts", "{\"name\":\"x\",\"series\":\"cpu\",\"op\":\">\"}", "threshold"},
        {"alerts",
         "{\"name\":\"x\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"channels\":[\"no\"]}",
         "channels"},
        {"alerts",
         "{\"name\":\"x\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"labels\":{\"endpoint\":"
         "\"a\",\"project\":\"b\"}}",
         "labels"},
        {"alerts",
         "{\"name\":\"x\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"quiet\":{\"from\":"
         "\"25:00\",\"to\":\"01:00\"}}",
         "quiet.from"},
        {"channels", "{\"kind\":\"webhook\",\"name\":\"x\"}", "url"},
        {"channels", "{\"kind\":\"webhook\",\"name\":\"x\",\"url\":\"gopher://x\"}", "url"},
        {"channels", "{\"kind\":\"email\",\"name\":\"x\",\"to\":\"nobody\"}", "to"},
        {"channels", "{\"kind\":\"email\",\"name\":\"x\",\"to\":\"a@b\",\"url\":\"http://x/\"}",
         "url"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        char path[64];
        snprintf(path, sizeof path, "/api/v1/%s", bad[i].path);
        if (fixture_ask(f, "POST", path, bad[i].body) != 400)
            fail_msg("taken: %s", bad[i].body);
        assert_string_equal(f->call.error.param, bad[i].param);
    }
    f->role = CTL_ADMIN;
    assert_int_equal(fixture_ask(f, "GET", "/api/v1/alerts", NULL), 403);
    assert_int_equal(fixture_ask(f, "GET", "/api/v1/channels", NULL), 403);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_it_begins_with_rules_once, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_each_subject_for_itself, fixture_open, fixture_close),
        cmocka_unit_test_setup_teardown(test_states_survive_and_changes_hold, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_dead_channel_holds_up_no_look, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
