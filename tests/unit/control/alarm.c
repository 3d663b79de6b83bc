/* Alerts at work on a store in memory and a history of made-up points: what the API shows of them,
 * which subjects a rule has, what survives, what a change does, who may. */
/* labels: threads */
#include "control/watch/alarm.h"

#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/file.h"
#include "base/utf8.h"
#include "control/inside.h"
#include "control/watch/watch.h"
#include "fixture.h"
#include "monitor/alert.h"
#include "net/server.h"

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
    for (int i = 0; i < 6000 && failed == 0; i++) {
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

/* ---- what is told ---- */

static const char *dead_channel(struct rig *r)
{
    static char id[CTL_ID_MAX];
    assert_int_equal(fixture_ask(r->f, "POST", "/api/v1/channels",
                                 "{\"kind\":\"webhook\",\"name\":\"x\",\"url\":\"http://"
                                 "127.0.0.1:1/\"}"),
                     201);
    snprintf(id, sizeof id, "%s", ft_ctl_text(r->f->call.answer, "id"));
    return id;
}

/* The nth notice that waits, as the file has it; a new reference. */
static json_t *notice(struct rig *r, const char *channel, size_t n)
{
    char path[4200], *text;
    size_t len;
    struct ft_err err = {0};
    snprintf(path, sizeof path, "%s/monitor/alerts.json", r->f->ctl.home);
    assert_int_equal(ft_file_read(path, 1 << 20, &text, &len, &err), 0);
    json_t *all = json_loadb(text, len, 0, NULL), *of;
    free(text);
    of = json_object_get(json_object_get(json_object_get(all, "notices"), channel), "queue");
    json_t *body = json_incref(json_object_get(json_array_get(of, n), "body"));
    json_decref(all);
    return body;
}

static const char *create_told(struct rig *r, const char *name, const char *channel)
{
    char body[1200];
    snprintf(body, sizeof body,
             "{\"name\":\"%s\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"for_s\":0,"
             "\"channels\":[\"%s\"]}",
             name, channel);
    return create(r, body);
}

static void test_a_long_name_is_no_sign_of_life(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    static const char *const wide[] = {"\xe6\xb8\xa9", "\xf0\x9f\x94\xa5"};
    for (size_t k = 0; k < FT_COUNT(wide); k++) {
        char name[128 * 4 + 1] = "";
        char id[CTL_ID_MAX];
        for (int i = 0; i < 128; i++)
            strcat(name, wide[k]);
        strcpy(id, dead_channel(&r));
        create_told(&r, name, id);
        put(&r, "cpu", "", 2);
        look(&r);
        json_t *o = notice(&r, id, 0);
        assert_non_null(o);
        const char *text = ft_ctl_text(o, "text");
        assert_string_equal(ft_ctl_text(o, "kind"), "alerts");
        assert_string_equal(ft_ctl_text(o, "status"), "firing");
        assert_true(strncmp(text, wide[k], strlen(wide[k])) == 0);
        assert_true(ft_utf8_valid(text, strlen(text)));
        json_t *alert = json_array_get(json_object_get(o, "alerts"), 0);
        assert_string_equal(ft_ctl_text(alert, "name"), name);
        assert_non_null(strstr(ft_ctl_text(alert, "text"), "cpu is 2, above 1"));
        json_decref(o);
    }
    rig_close(&r);
}

static void test_silence_is_not_told_as_well(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    char id[CTL_ID_MAX], rule[CTL_ID_MAX];
    strcpy(id, dead_channel(&r));
    strcpy(rule, create_told(&r, "c", id));
    put(&r, "cpu", "", 2);
    look(&r);
    is(&r, rule, "firing", 1);
    r.now_s += 300;
    look(&r);
    is(&r, rule, "no_data", 1);
    json_t *o = notice(&r, id, 1);
    assert_string_equal(ft_ctl_text(o, "status"), "no_data");
    json_decref(o);
    rig_close(&r);
}

static void test_a_full_disk_resolves_nothing(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    struct ft_history_name n = {.name = "cpu", .unit = "1"};
    struct ft_err err = {0};
    struct rlimit was, full;
    char rule[CTL_ID_MAX];
    strcpy(rule, create_told(&r, "c", dead_channel(&r)));
    put(&r, "cpu", "", 2);
    look(&r);
    is(&r, rule, "firing", 1);
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &was), 0);
    full = (struct rlimit){1, was.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &full), 0);
    int taken = 0;
    for (int i = 0; i < 20; i++) {
        taken += ft_history_put(r.h, &n, r.now_s, 2, &err) == 0;
        look(&r);
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &was), 0);
    assert_int_equal(taken, 0);
    is(&r, rule, "firing", 1);
    rig_close(&r);
}

static void test_what_is_enabled_again_begins_anew(void **state)
{
    struct rig r;
    rig_open(&r, *state);
    char rule[CTL_ID_MAX], path[200], id[CTL_ID_MAX];
    strcpy(id, dead_channel(&r));
    strcpy(rule, create_told(&r, "c", id));
    snprintf(path, sizeof path, "/api/v1/alerts/%s", rule);
    put(&r, "cpu", "", 2);
    look(&r);
    ft_alarm_close(r.a);
    open_alarm(&r);
    look(&r);
    is(&r, rule, "firing", 1); /* of before */
    put(&r, "cpu", "", 0);
    look(&r);
    assert_int_equal(fixture_ask(r.f, "PATCH", path, "{\"enabled\":false}"), 200);
    look(&r);
    assert_int_equal(fixture_ask(r.f, "PATCH", path, "{\"enabled\":true}"), 200);
    put(&r, "cpu", "", 0);
    look(&r);
    is(&r, rule, "ok", 1);
    ft_alarm_close(r.a); /* writes all that waits */
    json_t *over = notice(&r, id, 1), *twice = notice(&r, id, 2);
    assert_string_equal(ft_ctl_text(over, "status"), "resolved");
    assert_null(twice);
    json_decref(over);
    r.a = NULL;
    rig_close(&r);
}

/* ---- a gateway that keeps what it is told ---- */

struct gateway {
    int fd, calls;
    pthread_t thread;
    json_t *told;
};

static void answer_one(struct gateway *g, int c)
{
    char all[65536];
    size_t n = 0;
    for (;;) {
        ssize_t got = read(c, all + n, sizeof all - 1 - n);
        if (got <= 0)
            return;
        n += (size_t)got;
        all[n] = '\0';
        const char *head = strstr(all, "\r\n\r\n"), *len = strcasestr(all, "Content-Length:");
        if (head == NULL || len == NULL || all + n < head + 4 + atoi(len + 15))
            continue;
        json_t *list = json_loads(head + 4, 0, NULL);
        g->calls++;
        json_array_extend(g->told, list);
        json_decref(list);
        static const char ok[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}";
        assert_int_equal(write(c, ok, sizeof ok - 1), sizeof ok - 1);
        n = 0;
    }
}

static void *gateway(void *ctx)
{
    struct gateway *g = ctx;
    int c = accept(g->fd, NULL, NULL);
    if (c >= 0)
        answer_one(g, c);
    close(c);
    return NULL;
}

static void test_each_rule_has_its_event_in_one_call(void **state)
{
    struct rig r;
    struct gateway g = {.told = json_array()};
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    rig_open(&r, *state);
    snprintf(at.sun_path, sizeof at.sun_path, "%.40s/run", r.f->ctl.home);
    mkdir(at.sun_path, 0700);
    strcat(at.sun_path, "/gateway.sock");
    g.fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(g.fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(g.fd, 4), 0);
    assert_int_equal(pthread_create(&g.thread, NULL, gateway, &g), 0);
    create(&r, "{\"name\":\"a\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"for_s\":0}");
    create(&r, "{\"name\":\"b\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"for_s\":0}");
    create(&r, "{\"name\":\"c\",\"series\":\"waiting\",\"op\":\">\",\"threshold\":1,\"for_s\":0,"
               "\"labels\":{\"endpoint\":\"*\"}}");
    struct ft_history_name own = {
        .name = "waiting", .unit = "1", .label = "endpoint", .value = "e@p", .owner = "p"};
    struct ft_err err = {0};
    put(&r, "cpu", "", 2);
    assert_int_equal(ft_history_put(r.h, &own, r.now_s, 2, &err), 0);
    look(&r);
    rig_close(&r); /* its connection too */
    pthread_join(g.thread, NULL);
    close(g.fd);
    assert_int_equal(g.calls, 1);
    assert_int_equal(json_array_size(g.told), 3);
    int owned = 0;
    for (size_t i = 0; i < 3; i++) {
        const json_t *e = json_array_get(g.told, i);
        assert_string_equal(ft_ctl_text(e, "kind"), "alert_firing");
        for (size_t k = 0; k < i; k++)
            assert_string_not_equal(ft_ctl_text(e, "rule"),
                                    ft_ctl_text(json_array_get(g.told, k), "rule"));
        if (ft_ctl_text(e, "endpoint") == NULL)
            continue;
        assert_string_equal(ft_ctl_text(e, "endpoint"), "e");
        assert_string_equal(ft_ctl_text(e, "project"), "p");
        owned++;
    }
    assert_int_equal(owned, 1);
    json_decref(g.told);
}

/* ---- receivers that take it ---- */

#define RECEIVERS 3
#define CHANGES   24 /* fewer than may wait for a channel */

static void take(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)ctx, (void)data, (void)n;
    ft_http_respond(x, 200, NULL, 0, "", 0);
}

static void receive(void *ctx, struct ft_http_exchange *x)
{
    ft_http_body_collect(x, 1 << 20, take, ctx);
}

static int64_t told_of(struct rig *r, const char *channel, const char *what)
{
    json_t *o = json_object();
    ft_alarm_show_channel(r->a, channel, o);
    int64_t n = json_integer_value(json_object_get(o, what));
    json_decref(o);
    return n;
}

/* The thread sanitizer sees whether notices, which channels share, are let go in order. */
static void test_senders_send_while_it_looks(void **state)
{
    struct rig r;
    struct ft_http_server *s;
    struct ft_err err = {0};
    struct ft_http_server_config config = {.listen = "127.0.0.1:0", .handler = receive};
    char id[RECEIVERS][CTL_ID_MAX], body[600];
    assert_int_equal(ft_http_server_open(&config, &s, &err), 0);
    rig_open(&r, *state);
    for (int i = 0; i < RECEIVERS; i++) {
        snprintf(body, sizeof body,
                 "{\"kind\":\"webhook\",\"name\":\"x%d\",\"url\":\"http://%s/\"}", i,
                 ft_http_server_address(s));
        assert_int_equal(fixture_ask(r.f, "POST", "/api/v1/channels", body), 201);
        strcpy(id[i], ft_ctl_text(r.f->call.answer, "id"));
    }
    snprintf(body, sizeof body,
             "{\"name\":\"c\",\"series\":\"cpu\",\"op\":\">\",\"threshold\":1,\"for_s\":0,"
             "\"channels\":[\"%s\",\"%s\",\"%s\"]}",
             id[0], id[1], id[2]);
    create(&r, body);
    for (int i = 0; i < CHANGES; i++) {
        put(&r, "cpu", "", i % 2 == 0 ? 2 : 0);
        look(&r);
        r.now_s += FT_ALERT_REFILL_S; /* each is told */
    }
    for (int i = 0; i < RECEIVERS; i++) {
        for (int k = 0; k < 6000 && told_of(&r, id[i], "sent") < CHANGES; k++)
            usleep(10000);
        assert_int_equal(told_of(&r, id[i], "sent"), CHANGES);
        assert_int_equal(told_of(&r, id[i], "given_up"), 0);
    }
    rig_close(&r);
    ft_http_server_close(s);
}

/* ---- the watch ---- */

static void test_a_history_that_comes_late(void **state)
{
    struct fixture *f = *state;
    struct rig r = {.f = f};
    struct ft_watch *w = NULL;
    struct ft_err err = {0};
    char path[4200], id[CTL_ID_MAX];
    snprintf(path, sizeof path, "%s/monitor", f->ctl.home);
    mkdir(path, 0700);
    strcat(path, "/history");
    mkdir(path, 0700); /* a folder in its place */
    strcpy(id, dead_channel(&r));
    char patch[200];
    snprintf(patch, sizeof patch, "/api/v1/channels/%s", id);
    assert_int_equal(fixture_ask(f, "PATCH", patch, "{\"heartbeat_s\":1}"), 200);
    f->opt.look_ms = 20;
    assert_int_equal(ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err), 0);
    assert_int_equal(ft_watch_open(&f->ctl, &w, &err), 0);
    int64_t tried = 0;
    for (int i = 0; i < 6000 && tried == 0; i++) { /* a sign of life is sent without a history */
        json_t *o = json_object();
        usleep(10000);
        ft_alarm_show_channel(ft_watch_alarm(w), id, o);
        tried = ft_ctl_int(o, "failed", 0);
        json_decref(o);
    }
    assert_true(tried > 0);
    assert_null(ft_watch_history(w));
    assert_int_equal(rmdir(path), 0);
    for (int i = 0; i < 6000 && ft_watch_history(w) == NULL; i++)
        usleep(10000);
    assert_non_null(ft_watch_history(w));
    ft_watch_close(w);
    ft_inside_close(f->ctl.inside);
}

static bool yes(void *ctx)
{
    (void)ctx;
    return true;
}

static void test_a_test_under_way_ends_with_control(void **state)
{
    struct fixture *f = *state;
    struct ft_err err = {0};
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof at;
    char body[200], path[200];
    int fd = socket(AF_INET, SOCK_STREAM, 0); /* takes connections, and never answers */
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &n), 0);
    snprintf(body, sizeof body,
             "{\"kind\":\"webhook\",\"name\":\"x\",\"url\":\"http://127.0.0.1:%d/\"}",
             ntohs(at.sin_port));
    assert_int_equal(fixture_ask(f, "POST", "/api/v1/channels", body), 201);
    snprintf(path, sizeof path, "/api/v1/channels/%s/test", ft_ctl_text(f->call.answer, "id"));
    assert_int_equal(ft_inside_open(f->ctl.home, yes, NULL, &f->ctl.inside, &err), 0);
    assert_int_equal(fixture_ask(f, "POST", path, NULL), 200);
    assert_string_equal(ft_ctl_text(f->call.answer, "error"), "cancelled");
    ft_inside_close(f->ctl.inside);
    close(fd);
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
        cmocka_unit_test_setup_teardown(test_a_long_name_is_no_sign_of_life, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_silence_is_not_told_as_well, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_full_disk_resolves_nothing, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_enabled_again_begins_anew, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_each_rule_has_its_event_in_one_call, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_senders_send_while_it_looks, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_history_that_comes_late, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_a_test_under_way_ends_with_control, fixture_open,
                                        fixture_close),
        cmocka_unit_test_setup_teardown(test_what_is_refused, fixture_open, fixture_close),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
