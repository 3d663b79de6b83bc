/* Endpoints, workers and scaling, with workers that are moved by hand: tests/unit/serve/double.h.
 */
#include "rig.h"

#define NANO "{\"name\":\"nano\",\"path\":\"/m/nano\"}"

static void one_worker_starts_on_demand_serves_and_goes_when_idle(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_pass(&r, 6000);
    rig_apply(&r, "model", "nano", NANO);
    assert_int_equal(rig_apply(&r, "endpoint", "e1",
                               "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
                               "\"replicas\":{\"min\":0,\"max\":1},\"idle_s\":10}"),
                     0);
    rig_settle(&r);
    assert_int_equal(r.plant.place[0].starts, 0);
    struct client c;
    assert_int_equal(rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":3}"), 0);
    assert_int_equal(r.plant.place[0].n_job, 0); /* it waits */
    rig_pass(&r, 100);
    assert_int_equal(r.plant.place[0].starts, 1);
    assert_int_equal(r.plant.place[0].n_job, 1);
    assert_string_equal(r.plant.log, "+0 nano;");
    assert_string_equal(r.plant.place[0].job->model, "nano");
    for (int i = 0; i < 4; i++)
        double_token(&r.plant, 0);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.code, FT_OK);
    assert_string_equal(c.text, double_text(3));
    rig_pass(&r, 9000);
    assert_string_equal(r.plant.log, "+0 nano;");
    assert_true(r.plant.place[0].running);
    rig_pass(&r, 2000);
    assert_string_equal(r.plant.log, "+0 nano;-0 nano;");
    rig_pass(&r, 6000);
    assert_false(r.plant.place[0].running);
    rig_close(&r);
}

/* Whether the moments are of these kinds, in this order. */
static void assert_moments(const struct ft_phases *p, const char *names)
{
    char text[512] = "";
    for (int i = 0; i < p->n_moments; i++)
        sprintf(text + strlen(text), "%s ", ft_moment_name(p->moment[i].kind));
    assert_string_equal(text, names);
}

static void the_course_of_a_call_is_told_at_its_end(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_pass(&r, 6000);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":0,\"max\":1}}");
    rig_settle(&r);
    struct client cold, warm;
    rig_ask(&r, &cold, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 100);
    assert_int_equal(r.plant.place[0].n_job, 1);
    r.plant.now_ns += 250 * FT_SERVE_MS;
    double_die(&r.plant, 0); /* in the middle of it */
    rig_pass(&r, 1000);
    double_token(&r.plant, 0);
    double_token(&r.plant, 0);
    assert_int_equal(cold.ends, 1);
    assert_int_equal(cold.code, FT_OK);
    assert_int_equal(cold.phases.failovers, 1);
    assert_in_range(cold.phases.failed_us, 250000, 400000);
    assert_in_range(cold.phases.start_us, 50000, 1100000); /* twice: the first, the next */
    assert_moments(&cold.phases,
                   "queued waits_for_replica replica_ready given replica_failed queued "
                   "waits_for_replica replica_ready given ");
    rig_ask(&r, &warm, "chat", "p", "{\"max_tokens\":1}");
    double_token(&r.plant, 0);
    double_token(&r.plant, 0);
    assert_int_equal(warm.ends, 1);
    assert_int_equal(warm.phases.start_us + warm.phases.queue_us + warm.phases.failovers, 0);
    assert_moments(&warm.phases, "given ");
    rig_close(&r);
}

static void min_replicas_start_at_once_and_are_loaded(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":2,\"max\":2}}");
    rig_pass(&r, 200);
    assert_true(r.plant.place[0].running && r.plant.place[1].running);
    assert_int_equal(r.plant.loads, 2);
    assert_int_equal(r.plant.memory, 4 << 20); /* an even part */
    rig_close(&r);
}

static void an_adapter_comes_after_its_model(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "model", "lora", "{\"name\":\"lora\",\"path\":\"/m/l\",\"adapter_of\":\"nano\"}");
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\",\"adapter\":\"lora\"}],"
              "\"replicas\":{\"min\":0,\"max\":1}}");
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano;+0 lora;");
    assert_string_equal(r.plant.place[0].job->model, "lora");
    rig_close(&r);
    assert_int_equal(c.ends, 1);
}

static void adapters_count_as_what_their_project_keeps(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", "{\"name\":\"nano\",\"path\":\"/m\",\"bytes\":1000}");
    rig_apply(&r, "model", "ft:a",
              "{\"path\":\"/m/a\",\"adapter_of\":\"nano\",\"project\":\"p\",\"bytes\":7}");
    rig_apply(&r, "model", "ft:b",
              "{\"path\":\"/m/b\",\"adapter_of\":\"nano\",\"project\":\"p\",\"bytes\":5}");
    rig_apply(&r, "model", "ft:c",
              "{\"path\":\"/m/c\",\"adapter_of\":\"nano\",\"project\":\"q\",\"bytes\":3}");
    assert_int_equal(12, ft_serve_kept(r.s, "p"));
    assert_int_equal(3, ft_serve_kept(r.s, "q"));
    assert_int_equal(0, ft_serve_kept(r.s, "none"));
    rig_apply(&r, "model", "ft:b", NULL);
    assert_int_equal(7, ft_serve_kept(r.s, "p"));
    rig_close(&r);
}

static void an_adapter_that_is_refused_does_not_hold_its_model(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    r.plant.refused = "lora";
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "model", "lora", "{\"name\":\"lora\",\"path\":\"/m/l\",\"adapter_of\":\"nano\"}");
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"lora\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano;");
    rig_apply(&r, "model", "nano", "{\"name\":\"nano\",\"path\":\"/m/other\"}");
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano;-0 nano;+0 nano;");
    rig_close(&r);
}

static void a_model_has_the_largest_context_that_is_asked_for(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"small\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1},\"n_ctx\":512}");
    rig_pass(&r, 200);
    rig_apply(&r, "endpoint", "e2",
              "{\"name\":\"large\",\"targets\":[{\"model\":\"nano\"}],\"n_ctx\":2048}");
    rig_pass(&r, 200); /* though nobody calls it yet */
    rig_apply(&r, "endpoint", "e3", "{\"name\":\"own\",\"targets\":[{\"model\":\"nano\"}]}");
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano@512;-0 nano;+0 nano@2048;-0 nano;+0 nano;");
    rig_close(&r);
}

static void a_worker_with_more_than_its_part_begins_anew_when_it_is_idle(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    assert_int_equal(r.plant.memory, 8 << 20);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_apply(&r, "endpoint", "e2",
              "{\"name\":\"more\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":0,\"max\":2}}");
    rig_pass(&r, 1000);
    assert_int_equal(r.plant.place[0].starts, 1); /* there is a call on it */
    for (int i = 0; i < 2; i++)
        double_token(&r.plant, 0);
    assert_int_equal(c.code, FT_OK);
    rig_pass(&r, 1000);
    assert_int_equal(r.plant.place[0].starts, 2);
    assert_int_equal(r.plant.memory, 4 << 20);
    rig_close(&r);
}

static void what_is_found_keeps_the_memory_it_was_given(void **state)
{
    (void)state;
    struct rig r;
    struct ft_err err;
    const int64_t all = INT64_C(1) << 50; /* more than any machine has left */
    memset(&r, 0, sizeof r);
    r.plant.plant.ops = &double_plant_ops;
    r.plant.place[0].known = r.plant.place[0].running = true;
    r.plant.memory = all;
    r.plant.now_ns = INT64_C(1000000000000);
    assert_int_equal(ft_serve_open_on(&(struct ft_serve_config){0}, &r.plant.plant, false,
                                      double_now, &r.plant, &r.s, &err),
                     0);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 1000);
    assert_int_equal(r.plant.place[0].starts, 0);
    double_die(&r.plant, 0);
    rig_pass(&r, 1000);
    assert_int_equal(r.plant.place[0].starts, 1);
    assert_true(r.plant.memory == all);
    rig_close(&r);
}

static void load_brings_replicas_and_calm_takes_them_away(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":3},\"target_load\":2}");
    rig_pass(&r, 200);
    struct client c[6];
    for (int i = 0; i < 6; i++)
        rig_ask(&r, &c[i], "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 500);
    assert_true(r.plant.place[2].running);
    for (int k = 0; k < 3; k++)
        for (int i = 0; i < 2; i++)
            double_token(&r.plant, k);
    for (int i = 0; i < 6; i++)
        assert_int_equal(c[i].ends, 1);
    rig_pass(&r, 20000);
    assert_true(r.plant.place[2].running);
    rig_pass(&r, 20000);
    assert_false(r.plant.place[2].running);
    assert_true(r.plant.place[1].running);
    rig_pass(&r, 40000);
    assert_false(r.plant.place[1].running);
    assert_true(r.plant.place[0].running);
    rig_close(&r);
}

static void a_changed_model_is_replaced_once_its_calls_are_done(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_pass(&r, 6000);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    struct client a, b;
    rig_ask(&r, &a, "chat", "p", "{\"max_tokens\":2}");
    assert_int_equal(r.plant.place[0].n_job, 1);
    rig_apply(&r, "model", "nano", "{\"name\":\"nano\",\"path\":\"/m/nano2\"}");
    rig_ask(&r, &b, "chat", "p", "{\"max_tokens\":2}");
    rig_pass(&r, 200);
    assert_int_equal(r.plant.place[0].n_job, 1); /* b waits for the new one */
    assert_string_equal(r.plant.log, "+0 nano;");
    for (int i = 0; i < 3; i++)
        double_token(&r.plant, 0);
    assert_int_equal(a.code, FT_OK);
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano;-0 nano;+0 nano;");
    for (int i = 0; i < 3; i++)
        double_token(&r.plant, 0);
    assert_int_equal(b.ends, 1);
    rig_close(&r);
}

static void a_removed_endpoint_finishes_what_runs_and_refuses_what_waits(void **state)
{
    (void)state;
    struct rig r;
    rig_open_with(&r, &(struct ft_serve_config){.memory_bytes = 1 << 20, .in_flight_max = 1});
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    struct client a, b, c;
    rig_ask(&r, &a, "chat", "p", "{\"max_tokens\":2}");
    double_token(&r.plant, 0);
    rig_ask(&r, &b, "chat", "p", "{\"max_tokens\":2}");
    rig_apply(&r, "endpoint", "e1", NULL);
    rig_settle(&r);
    assert_int_equal(b.code, FT_ENOTFOUND);
    assert_int_equal(rig_ask(&r, &c, "chat", "p", "{}"), FT_ENOTFOUND);
    /* even a death does not harm it */
    double_die(&r.plant, 0);
    rig_pass(&r, 500);
    for (int i = 0; i < 2; i++)
        double_token(&r.plant, 0);
    assert_int_equal(a.ends, 1);
    assert_string_equal(a.text, double_text(2));
    rig_close(&r);
}

static void background_leaves_half_of_the_places(void **state)
{
    (void)state;
    struct rig r;
    rig_open_with(&r, &(struct ft_serve_config){.memory_bytes = 1 << 20, .in_flight_max = 4});
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    struct client batch[4], other;
    for (int i = 0; i < 4; i++)
        rig_ask_as(&r, &batch[i], "chat", "p", "{\"max_tokens\":1}", FT_SERVE_BACKGROUND);
    assert_int_equal(r.plant.place[0].n_job, 2);
    rig_ask(&r, &other, "chat", "q", "{\"max_tokens\":1}");
    assert_int_equal(r.plant.place[0].n_job, 3); /* at once, past those that wait */
    for (int i = 0; i < 6; i++) {
        double_token(&r.plant, 0);
        rig_settle(&r);
        assert_true(r.plant.place[0].n_job <= 3);
    }
    assert_int_equal(other.ends, 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(batch[i].ends, 1);
    rig_close(&r);
}

static void projects_see_their_own_endpoints_and_everyones(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"project\":\"a\",\"targets\":[{\"script\":"
              "{\"text\":\"own\",\"tokens\":1}}]}");
    rig_apply(&r, "endpoint", "e2",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"all\",\"tokens\":1}}]}");
    rig_apply(&r, "endpoint", "e3",
              "{\"name\":\"y\",\"project\":\"b\",\"targets\":[{\"script\":"
              "{\"text\":\"b's\",\"tokens\":1}}]}");
    struct client c;
    assert_int_equal(rig_ask(&r, &c, "x", "a", "{}"), 0);
    assert_string_equal(c.text, "own");
    assert_int_equal(rig_ask(&r, &c, "x", "b", "{}"), 0);
    assert_string_equal(c.text, "all");
    assert_int_equal(rig_ask(&r, &c, "y", "a", "{}"), FT_ENOTFOUND);
    json_t *models = ft_serve_models(r.s, "a");
    assert_int_equal(json_array_size(models), 1);
    json_decref(models);
    models = ft_serve_models(r.s, "b");
    assert_int_equal(json_array_size(models), 2);
    json_decref(models);
    rig_close(&r);
}

static void what_a_snapshot_does_not_tell_is_gone(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "model", "other", "{\"path\":\"/m/other\"}");
    rig_apply(&r, "endpoint", "e1", "{\"name\":\"a\",\"targets\":[{\"script\":{}}]}");
    rig_apply(&r, "endpoint", "e2", "{\"name\":\"b\",\"targets\":[{\"script\":{}}]}");
    ft_serve_snapshot_begin(r.s);
    rig_apply(&r, "model", "nano", NANO);
    assert_int_not_equal(rig_apply(&r, "endpoint", "e1", "{\"name\":\"a\",\"targets\":[]}"), 0);
    ft_serve_snapshot_end(r.s);
    struct client c;
    assert_int_equal(rig_ask(&r, &c, "a", "p", "{}"), 0); /* as it was: the new row is none */
    assert_int_equal(rig_ask(&r, &c, "b", "p", "{}"), FT_ENOTFOUND);
    assert_int_equal(r.s->n_model, 1);
    assert_string_equal(r.s->model[0].name, "nano");
    rig_close(&r);
}

static void name_behind(void *ctx, const char *model)
{
    strcat(strcat(ctx, model), " ");
}

static void what_is_behind_a_projects_own_name_is_told(void **state)
{
    (void)state;
    struct rig r;
    char names[64] = "";
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1", "{\"name\":\"all\",\"targets\":[{\"model\":\"big\"}]}");
    rig_apply(&r, "endpoint", "e2",
              "{\"name\":\"own\",\"project\":\"a\",\"targets\":[{\"model\":\"big\"},"
              "{\"model\":\"small\",\"adapter\":\"lora\"},{\"script\":{\"text\":\"x\"}}]}");
    ft_serve_own_models(r.s, "all", "a", name_behind, names);
    ft_serve_own_models(r.s, "own", "b", name_behind, names);
    ft_serve_own_models(r.s, "nowhere", "a", name_behind, names);
    assert_string_equal(names, "");
    ft_serve_own_models(r.s, "own", "a", name_behind, names);
    assert_string_equal(names, "big small lora ");
    rig_close(&r);
}

static void a_canary_gets_its_part_and_an_id_always_the_same(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"old\",\"tokens\":1},"
              "\"weight\":9},{\"script\":{\"text\":\"new\",\"tokens\":1},\"weight\":1}]}");
    int canary = 0;
    for (int i = 0; i < 2000; i++) {
        struct client c, again;
        rig_ask(&r, &c, "x", "a", "{}");
        r.ids--;
        rig_ask(&r, &again, "x", "a", "{}");
        assert_string_equal(c.text, again.text);
        canary += strcmp(c.text, "new") == 0;
    }
    assert_in_range(canary, 140, 260);
    rig_close(&r);
}

static void bad_rows_name_what_is_wrong_and_change_nothing(void **state)
{
    (void)state;
    static const struct {
        const char *body, *says;
    } bad[] = {
        {"{\"targets\":[{\"script\":{}}]}", "endpoint.name"},
        {"{\"name\":\"x\",\"targets\":[]}", "endpoint.targets"},
        {"{\"name\":\"x\",\"targets\":[{\"script\":{}},7]}", "targets[1]"},
        {"{\"name\":\"x\",\"targets\":[{\"model\":5}]}", "target.model"},
        {"{\"name\":\"x\",\"targets\":[{\"script\":{\"tokens\":-1}}]}", "script.tokens"},
        {"{\"name\":\"x\",\"targets\":[{\"script\":{},\"weight\":-1}]}", "target.weight"},
        {"{\"name\":\"x\",\"targets\":[{\"url\":\"ftp://x\"}]}", "target.url"},
        {"{\"name\":\"x\",\"replicas\":{\"max\":1000},\"targets\":[{\"script\":{}}]}",
         "replicas.max"},
        {"{\"name\":\"x\",\"idle_s\":\"1\",\"targets\":[{\"script\":{}}]}", "endpoint.idle_s"},
    };
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"still\",\"tokens\":1}}]}");
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_err err = {0};
        json_t *body = json_loads(bad[i].body, 0, NULL);
        assert_true(ft_serve_apply(r.s, "endpoint", "e1", body, &err) < 0);
        json_decref(body);
        if (strstr(err.msg, bad[i].says) == NULL)
            fail_msg("%s: %s", bad[i].body, err.msg);
    }
    struct client c;
    rig_ask(&r, &c, "x", "a", "{}");
    assert_string_equal(c.text, "still");
    rig_close(&r);
}

static void a_model_that_is_refused_is_told_to_who_waits(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    r.plant.refused = "nano";
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}]}");
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 200);
    assert_int_equal(c.code, FT_EUNSUPPORTED);
    assert_non_null(strstr(c.message, "it is no model"));
    /* later it is there */
    r.plant.refused = NULL;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 11000);
    assert_int_equal(r.plant.place[0].n_job, 1);
    rig_close(&r);
}

static void a_worker_that_does_not_start_is_told_after_some_tries(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    r.plant.refuse_start = true;
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}]}");
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 1000);
    assert_int_equal(c.ends, 0);
    assert_in_range(r.plant.place[0].starts, 2, 4);
    rig_pass(&r, 3000);
    assert_int_equal(c.code, FT_EUNAVAIL);
    assert_non_null(strstr(c.message, "does not start"));
    rig_close(&r);
}

static const char *last_end_of(struct rig *r)
{
    static char text[96];
    json_t *st = ft_serve_status(r->s);
    const json_t *w = json_array_get(json_object_get(st, "workers"), 0);
    const char *end = json_string_value(json_object_get(w, "last_end"));
    snprintf(text, sizeof text, "%s", end != NULL ? end : "");
    json_decref(st);
    return text;
}

static void workers_that_die_for_lack_of_memory_are_told_of(void **state)
{
    (void)state;
    for (int adding = 0; adding < 2; adding++) { /* at their start, or when they open the model */
        struct rig r;
        rig_open(&r);
        r.plant.refuse_start = !adding;
        r.plant.dies_adding = adding;
        r.plant.out_of_memory = true;
        rig_apply(&r, "model", "nano", NANO);
        rig_apply(&r, "endpoint", "e1", "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}]}");
        struct client c;
        rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
        rig_pass(&r, 5000);
        assert_int_equal(c.ends, 1);
        assert_int_equal(c.code, FT_EUNAVAIL);
        assert_non_null(strstr(c.message, "killed for lack of memory"));
        assert_non_null(strstr(c.message, "8 MiB"));
        assert_string_equal(last_end_of(&r), "killed by signal 9 (at its memory limit)");
        /* with enough of it all is well, and one death later is one death */
        r.plant.refuse_start = r.plant.dies_adding = false;
        rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
        rig_pass(&r, 11000);
        assert_int_equal(c.ends, 0);
        assert_int_equal(r.plant.place[0].n_job, 1);
        rig_close(&r);
    }
}

static void a_model_that_does_not_fit_is_for_who_runs_the_cloud(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    r.plant.refused = "nano";
    r.plant.code = "limit_exceeded";
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1", "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}]}");
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    rig_pass(&r, 200);
    assert_int_equal(c.code, FT_EUNAVAIL);
    assert_non_null(strstr(c.message, "it is no model; give the cloud more (--memory)"));
    rig_close(&r);
}

static void a_worker_that_is_silent_is_killed(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":4}");
    double_token(&r.plant, 0);
    r.plant.mute = true;
    rig_pass(&r, 2000);
    assert_int_equal(r.plant.place[0].starts, 1);
    rig_pass(&r, 3000);
    assert_in_range(r.plant.place[0].starts, 2, 4);
    r.plant.mute = false;
    rig_pass(&r, 500);
    for (int i = 0; i < 5; i++)
        double_token(&r.plant, 0);
    assert_string_equal(c.text, double_text(4));
    rig_close(&r);
}

/* A gateway that finds worker 0 running, with a model nano from the file path. */
static void open_over(struct rig *r, const char *path)
{
    struct ft_err err;
    memset(r, 0, sizeof *r);
    r->plant.plant.ops = &double_plant_ops;
    r->plant.place[0].known = r->plant.place[0].running = true;
    r->plant.knows = "nano";
    r->plant.knows_path = path;
    r->plant.now_ns = INT64_C(1000000000000);
    struct ft_serve_config config = {.memory_bytes = 1 << 20};
    assert_int_equal(
        ft_serve_open_on(&config, &r->plant.plant, false, double_now, &r->plant, &r->s, &err), 0);
    rig_pass(r, 1000); /* the feed is not there yet: nothing is stopped */
    assert_true(r->plant.place[0].running);
    rig_apply(r, "model", "nano", NANO);
    rig_apply(r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(r, 200);
}

static void a_gateway_takes_over_running_workers(void **state)
{
    (void)state;
    struct rig r;
    open_over(&r, "/m/nano");
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    assert_int_equal(r.plant.place[0].n_job, 1);
    assert_int_equal(r.plant.place[0].starts, 0);
    assert_string_equal(r.plant.log, "+0 nano;"); /* to be sure */
    rig_close(&r);
    open_over(&r, "/m/another");
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    assert_int_equal(r.plant.place[0].n_job, 1);
    assert_string_equal(r.plant.log, "+0 nano;-0 law;-0 nano;+0 nano;");
    rig_close(&r);
}

static void what_was_found_and_nobody_wants_goes(void **state)
{
    (void)state;
    struct rig r;
    open_over(&r, "/m/nano");
    rig_apply(&r, "endpoint", "e1", NULL);
    rig_pass(&r, 12000);
    assert_string_equal(r.plant.log, "+0 nano;-0 law;-0 nano;");
    assert_false(r.plant.place[0].running);
    rig_close(&r);
}

static void the_same_long_beginning_is_read_once(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    char body[4096], text[3000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    struct client c[6];
    for (int i = 0; i < 4; i++) {
        snprintf(body, sizeof body, "{\"max_tokens\":3,\"prompt\":\"%s %d\"}", text, i);
        rig_ask(&r, &c[i], "chat", i < 3 ? "p" : "q", body);
    }
    rig_ask(&r, &c[4], "chat", "p", "{\"max_tokens\":3,\"prompt\":\"another\"}");
    rig_settle(&r);
    assert_int_equal(r.plant.place[0].n_job, 3); /* one of p, one of q, and the other prompt */
    double_token(&r.plant, 0);
    rig_settle(&r);
    assert_int_equal(r.plant.place[0].n_job, 5);
    for (int i = 0; i < 5; i++)
        double_token(&r.plant, 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(c[i].code, FT_OK);
    /* one that never says anything holds nobody up for ever */
    text[0] = 'y';
    for (int i = 0; i < 2; i++) {
        snprintf(body, sizeof body, "{\"max_tokens\":3,\"prompt\":\"%s %d\"}", text, i);
        rig_ask(&r, &c[i], "chat", "p", body);
    }
    rig_settle(&r);
    assert_int_equal(r.plant.place[0].n_job, 1);
    ft_serve_cancel(r.s, c[0].call);
    double_token(&r.plant, 0);
    rig_settle(&r);
    assert_int_equal(r.plant.place[0].n_job, 1);
    assert_int_equal(c[0].code, FT_ECANCELED);
    rig_close(&r);
}

static void status_tells_workers_endpoints_and_queue(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "model", "nano", NANO);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],"
              "\"replicas\":{\"min\":1,\"max\":1}}");
    rig_pass(&r, 200);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":1}");
    json_t *st = ft_serve_status(r.s);
    const char *state_name, *name;
    int pid, running, wanted, ready, in_flight;
    assert_int_equal(json_unpack(st, "{s:[{s:s,s:i,s:i}],s:[{s:s,s:{s:i,s:i},s:i}]}", "workers",
                                 "state", &state_name, "pid", &pid, "running", &running,
                                 "endpoints", "name", &name, "replicas", "wanted", &wanted, "ready",
                                 &ready, "in_flight", &in_flight),
                     0);
    assert_string_equal(state_name, "ready");
    assert_string_equal(name, "chat");
    assert_true(pid == 1000 && running == 1 && wanted == 1 && ready == 1 && in_flight == 1);
    json_decref(st);
    rig_close(&r);
}

static void a_drain_waits_and_then_cancels(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"tokens\":100000,"
              "\"interval_ms\":20}}]}");
    struct client c, d;
    assert_int_equal(rig_ask(&r, &c, "x", "a", "{}"), 0);
    assert_int_equal(ft_serve_drain(r.s, 30), 1);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.code, FT_ECANCELED);
    assert_int_equal(rig_ask(&r, &d, "x", "a", "{}"), FT_EBUSY);
    assert_true(d.retry_ms > 0);
    rig_close(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_worker_starts_on_demand_serves_and_goes_when_idle),
        cmocka_unit_test(the_course_of_a_call_is_told_at_its_end),
        cmocka_unit_test(min_replicas_start_at_once_and_are_loaded),
        cmocka_unit_test(an_adapter_comes_after_its_model),
        cmocka_unit_test(adapters_count_as_what_their_project_keeps),
        cmocka_unit_test(an_adapter_that_is_refused_does_not_hold_its_model),
        cmocka_unit_test(a_model_has_the_largest_context_that_is_asked_for),
        cmocka_unit_test(a_worker_with_more_than_its_part_begins_anew_when_it_is_idle),
        cmocka_unit_test(what_is_found_keeps_the_memory_it_was_given),
        cmocka_unit_test(load_brings_replicas_and_calm_takes_them_away),
        cmocka_unit_test(a_changed_model_is_replaced_once_its_calls_are_done),
        cmocka_unit_test(a_removed_endpoint_finishes_what_runs_and_refuses_what_waits),
        cmocka_unit_test(background_leaves_half_of_the_places),
        cmocka_unit_test(projects_see_their_own_endpoints_and_everyones),
        cmocka_unit_test(what_a_snapshot_does_not_tell_is_gone),
        cmocka_unit_test(what_is_behind_a_projects_own_name_is_told),
        cmocka_unit_test(a_canary_gets_its_part_and_an_id_always_the_same),
        cmocka_unit_test(bad_rows_name_what_is_wrong_and_change_nothing),
        cmocka_unit_test(a_model_that_is_refused_is_told_to_who_waits),
        cmocka_unit_test(a_worker_that_does_not_start_is_told_after_some_tries),
        cmocka_unit_test(workers_that_die_for_lack_of_memory_are_told_of),
        cmocka_unit_test(a_model_that_does_not_fit_is_for_who_runs_the_cloud),
        cmocka_unit_test(a_worker_that_is_silent_is_killed),
        cmocka_unit_test(a_gateway_takes_over_running_workers),
        cmocka_unit_test(what_was_found_and_nobody_wants_goes),
        cmocka_unit_test(the_same_long_beginning_is_read_once),
        cmocka_unit_test(status_tells_workers_endpoints_and_queue),
        cmocka_unit_test(a_drain_waits_and_then_cancels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
