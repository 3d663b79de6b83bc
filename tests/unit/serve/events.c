/* What serving tells of: starts, deaths, failovers, scaling, endpoints; of whom, in which order;
 * and that rows of a snapshot are no news. */
#include "rig.h"

#define SEEN_MAX 64
#define NANO     "{\"name\":\"nano\",\"path\":\"/m/nano\"}"

struct seen {
    int n;
    struct {
        char kind[32], endpoint[32], project[32], request[64];
        int worker, level;
    } at[SEEN_MAX];
};

static void on_event(void *ctx, const struct ft_serve_event *e)
{
    struct seen *s = ctx;
    assert_true(s->n < SEEN_MAX);
    assert_true(e->text[0] != '\0');
    snprintf(s->at[s->n].kind, 32, "%s", e->kind);
    snprintf(s->at[s->n].endpoint, 32, "%s", e->endpoint != NULL ? e->endpoint : "");
    snprintf(s->at[s->n].project, 32, "%s", e->project != NULL ? e->project : "");
    snprintf(s->at[s->n].request, 64, "%s", e->request != NULL ? e->request : "");
    s->at[s->n].worker = e->worker;
    s->at[s->n++].level = e->level;
}

static int find(const struct seen *s, const char *kind, int from)
{
    for (int i = from; i < s->n; i++)
        if (strcmp(s->at[i].kind, kind) == 0)
            return i;
    return -1;
}

static void open_told(struct rig *r, struct seen *s)
{
    memset(s, 0, sizeof *s);
    rig_open_with(r, &(struct ft_serve_config){
                         .memory_bytes = 8 << 20, .on_event = on_event, .event_ctx = s});
}

#define ROW(replicas)                                                                              \
    "{\"name\":\"chat\",\"project\":\"p\",\"targets\":[{\"model\":\"nano\"}],"                     \
    "\"replicas\":" replicas "}"

static void a_workers_life_is_told_of_its_endpoint(void **state)
{
    (void)state;
    struct rig r;
    struct seen s;
    struct client c;
    open_told(&r, &s);
    rig_pass(&r, 6000);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", ROW("{\"min\":1,\"max\":1}"));
    rig_pass(&r, 200);
    int started = find(&s, "worker_started", 0), ready = find(&s, "worker_ready", 0);
    int loaded = find(&s, "model_loaded", 0), scaled = find(&s, "scaled", 0);
    assert_true(scaled >= 0 && scaled < started && started < ready && ready < loaded);
    assert_string_equal(s.at[ready].endpoint, "chat");
    assert_string_equal(s.at[ready].project, "p");
    assert_int_equal(s.at[ready].worker, 0);
    assert_int_equal(s.at[ready].level, 0);
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":3}");
    double_token(&r.plant, 0);
    int before = s.n;
    double_die(&r.plant, 0);
    rig_pass(&r, 1000);
    int died = find(&s, "worker_died", before), over = find(&s, "failover", before);
    assert_true(died >= 0 && over >= 0 && find(&s, "worker_ready", died) > died);
    assert_int_equal(s.at[died].level, 2);
    assert_string_equal(s.at[died].endpoint, "chat");
    assert_string_equal(s.at[over].endpoint, "chat");
    assert_true(s.at[over].request[0] != '\0');
    rig_close(&r);
}

static void rows_are_news_once_they_are_followed(void **state)
{
    (void)state;
    struct rig r;
    struct seen s;
    open_told(&r, &s);
    ft_serve_snapshot_begin(r.s);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", ROW("{\"min\":0,\"max\":1}"));
    ft_serve_snapshot_end(r.s);
    assert_int_equal(find(&s, "endpoint_created", 0), -1);
    rig_apply(&r, "endpoint", "e1", ROW("{\"min\":0,\"max\":2}"));
    rig_apply(&r, "endpoint", "e2", ROW("{\"min\":0,\"max\":1}"));
    rig_apply(&r, "endpoint", "e2", NULL);
    assert_int_equal(find(&s, "endpoint_changed", 0), 0);
    assert_int_equal(find(&s, "endpoint_created", 0), 1);
    assert_int_equal(find(&s, "endpoint_removed", 0), 2);
    assert_int_equal(s.at[2].worker, -1);
    rig_close(&r);
}

static void a_refused_model_is_told(void **state)
{
    (void)state;
    struct rig r;
    struct seen s;
    open_told(&r, &s);
    r.plant.refused = "nano";
    rig_pass(&r, 6000);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", ROW("{\"min\":1,\"max\":1}"));
    rig_pass(&r, 200);
    int refused = find(&s, "model_refused", 0);
    assert_true(refused >= 0);
    assert_int_equal(s.at[refused].level, 2);
    assert_string_equal(s.at[refused].endpoint, "chat");
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_workers_life_is_told_of_its_endpoint),
        cmocka_unit_test(rows_are_news_once_they_are_followed),
        cmocka_unit_test(a_refused_model_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
