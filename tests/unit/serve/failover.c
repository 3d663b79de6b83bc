/* Deaths of workers in the middle of answers, and what comes of them. */
#include "rig.h"

#include "serve/failover.h"

#define TWO                                                                                        \
    "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],\"replicas\":{\"min\":2,\"max\":2}}"
#define ONE                                                                                        \
    "{\"name\":\"chat\",\"targets\":[{\"model\":\"nano\"}],\"replicas\":{\"min\":1,\"max\":1}}"
#define Q FT_SERVE_QUARANTINE

static void open_with(struct rig *r, const char *endpoint)
{
    rig_open(r);
    rig_apply(r, "model", "nano", "{\"name\":\"nano\",\"path\":\"/m\"}");
    rig_apply(r, "endpoint", "e1", endpoint);
    rig_pass(r, 200);
}

static int place_of(struct rig *r)
{
    for (int k = 0; k < FT_SERVE_PLACES; k++)
        if (r->plant.place[k].n_job > 0)
            return k;
    return -1;
}

static void an_answer_is_whole_wherever_its_worker_dies(void **state)
{
    (void)state;
    for (int at = 0; at <= 6; at++) {
        struct rig r;
        open_with(&r, TWO);
        struct client c;
        rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
        int k = place_of(&r);
        for (int i = 0; i < at; i++)
            double_token(&r.plant, k);
        double_die(&r.plant, k);
        if (at == 0) /* it may have been dying before: a moment is waited */
            rig_pass(&r, 60);
        rig_settle(&r); /* else without time passing: the other one takes it at once */
        assert_int_equal(place_of(&r), 1 - k);
        for (int i = 0; i < 8; i++)
            double_token(&r.plant, 1 - k);
        assert_int_equal(c.ends, 1);
        assert_int_equal(c.code, FT_OK);
        assert_int_equal(c.finishes, 1);
        assert_int_equal(c.tokens, 6);
        assert_string_equal(c.text, double_text(6));
        rig_pass(&r, 500);
        assert_true(r.plant.place[k].running); /* restarted */
        rig_close(&r);
    }
}

static void the_only_worker_is_restarted_and_goes_on(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c[32];
    for (int i = 0; i < 32; i++)
        rig_ask(&r, &c[i], "chat", "p", "{\"max_tokens\":8}");
    for (int i = 0; i < 3; i++)
        double_token(&r.plant, 0);
    double_die(&r.plant, 0);
    rig_pass(&r, 300);
    assert_int_equal(r.plant.place[0].n_job, 32);
    for (int i = 0; i < 8; i++)
        double_token(&r.plant, 0);
    for (int i = 0; i < 32; i++)
        assert_string_equal(c[i].text, double_text(8));
    rig_close(&r);
}

static void a_poison_fails_alone_and_innocents_get_through(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client bad, c[8];
    for (int i = 0; i < 4; i++)
        rig_ask(&r, &c[i], "chat", "p", "{\"max_tokens\":6}");
    rig_ask(&r, &bad, "chat", "p", "{\"max_tokens\":6,\"poison\":2}");
    for (int i = 4; i < 8; i++)
        rig_ask(&r, &c[i], "chat", "p", "{\"max_tokens\":6}");
    int alone = 0;
    for (int t = 0; t < 400; t++) {
        for (int k = 0; k < FT_SERVE_PLACES; k++) {
            alone = FT_MAX(alone, k == Q ? r.plant.place[k].n_job : 0);
            double_token(&r.plant, k);
        }
        rig_pass(&r, 250);
    }
    assert_int_equal(alone, 1);
    assert_int_equal(bad.ends, 1);
    assert_int_equal(bad.code, FT_EINTERNAL);
    assert_non_null(strstr(bad.message, "not tried again"));
    assert_string_equal(bad.text, double_text(2));
    for (int i = 0; i < 8; i++) {
        assert_int_equal(c[i].code, FT_OK);
        assert_string_equal(c[i].text, double_text(6));
    }
    assert_int_equal(r.plant.place[Q].starts, 2);
    rig_pass(&r, 10000);
    assert_false(r.plant.place[Q].running); /* nobody needs it any more */
    rig_close(&r);
}

static void kills_of_a_call_that_goes_on_are_forgiven(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
    for (int i = 0; i < 4; i++) {
        assert_int_equal(r.plant.place[0].n_job, 1);
        double_token(&r.plant, 0);
        double_die(&r.plant, 0);
        rig_pass(&r, 5500);
    }
    assert_int_equal(r.plant.place[Q].starts, 0);
    for (int i = 0; i < 3; i++)
        double_token(&r.plant, 0);
    assert_string_equal(c.text, double_text(6));
    rig_close(&r);
}

static void a_worker_without_the_model_is_asked_again(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
    /* the request reached the process after this one, which has no model yet */
    double_end(r.plant.place[0].job, FT_ENOTFOUND, FT_FAULT_CALL);
    assert_int_equal(c.ends, 0);
    rig_pass(&r, 200);
    assert_string_equal(r.plant.log, "+0 nano;+0 nano;");
    assert_int_equal(r.plant.place[0].n_job, 1);
    for (int i = 0; i < 7; i++)
        double_token(&r.plant, 0);
    assert_string_equal(c.text, double_text(6));
    rig_close(&r);
}

static void canceled_while_it_waits_for_another_worker(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
    double_token(&r.plant, 0);
    double_die(&r.plant, 0);
    ft_serve_cancel(r.s, c.call);
    assert_int_equal(c.ends, 0); /* never from within */
    rig_settle(&r);
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.code, FT_ECANCELED);
    assert_int_equal(r.plant.place[0].n_job, 0);
    rig_close(&r);
}

static void canceled_while_it_runs(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
    double_token(&r.plant, 0);
    ft_serve_cancel(r.s, c.call);
    double_token(&r.plant, 0);
    assert_int_equal(c.code, FT_ECANCELED);
    assert_int_equal(c.tokens, 1);
    rig_close(&r);
}

static void a_pause_lasts_over_a_death(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    struct client c;
    rig_ask(&r, &c, "chat", "p", "{\"max_tokens\":6}");
    ft_serve_pause(r.s, c.call, true);
    double_die(&r.plant, 0);
    rig_pass(&r, 300);
    double_token(&r.plant, 0);
    assert_int_equal(c.tokens, 0);
    ft_serve_pause(r.s, c.call, false);
    double_token(&r.plant, 0);
    assert_int_equal(c.tokens, 1);
    rig_close(&r);
}

/* ---- servers that are not ours: scripts that fail ---- */

static void a_server_that_fails_before_the_first_piece_is_replaced(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"never\",\"error\":\"lost\","
              "\"resumes\":false}},{\"script\":{\"text\":\"good\",\"tokens\":1}}]}");
    for (int i = 0; i < 20; i++) {
        struct client c;
        rig_ask(&r, &c, "x", "p", "{}");
        rig_pass(&r, 100);
        assert_int_equal(c.ends, 1);
        assert_string_equal(c.text, "good");
    }
    rig_close(&r);
}

static void a_server_that_fails_later_is_told(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"one two\",\"fail_after\":1,"
              "\"resumes\":false}},{\"script\":{\"text\":\"good\",\"tokens\":1},\"weight\":0}]}");
    struct client c;
    rig_ask(&r, &c, "x", "p", "{}");
    rig_pass(&r, 200);
    assert_int_equal(c.ends, 1);
    assert_string_equal(c.text, "one");
    assert_int_equal(c.code, FT_EUNAVAIL);
    assert_string_equal(c.message, "the server behind 'x' broke off in the middle of the answer");
    rig_close(&r);
}

/* What a canary is judged by. */
static void each_target_counts_its_own(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"one two\",\"fail_after\":1,"
              "\"resumes\":false}},{\"script\":{\"text\":\"good\",\"tokens\":1},\"weight\":0}]}");
    struct client bad, good;
    rig_ask(&r, &bad, "x", "p", "{}");
    rig_pass(&r, 200);
    assert_int_equal(bad.code, FT_EUNAVAIL);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"text\":\"one two\",\"fail_after\":1,"
              "\"resumes\":false},\"weight\":0},{\"script\":{\"text\":\"good\",\"tokens\":1}}]}");
    rig_ask(&r, &good, "x", "p", "{}");
    rig_pass(&r, 200);
    assert_string_equal(good.text, "good");
    static const char *const name[] = {"script", "script #2"}; /* never the same */
    json_t *st = ft_serve_status(r.s);
    const json_t *targets =
        json_object_get(json_array_get(json_object_get(st, "endpoints"), 0), "targets");
    for (size_t i = 0; i < 2; i++) {
        const char *is;
        int ok, error, first, done;
        json_t *t = json_array_get(targets, i);
        assert_int_equal(json_unpack(t, "{s:s,s:{s:i,s:i},s:{s:i},s:{s:i}}", "name", &is,
                                     "requests", "ok", &ok, "error", &error, "first_token_seconds",
                                     "count", &first, "duration_seconds", "count", &done),
                         0);
        assert_string_equal(is, name[i]);
        assert_int_equal(ok, i == 1);
        assert_int_equal(error, i == 0); /* also after its share was changed */
        assert_int_equal(first, i == 1);
        assert_int_equal(done, i == 1);
    }
    json_decref(st);
    rig_close(&r);
}

static void a_server_that_does_not_answer_is_told(void **state)
{
    (void)state;
    static const char *const how[][2] = {{"lost", "the server behind 'x' does not answer"},
                                         {"internal", "the server behind 'x' failed"}};
    for (int i = 0; i < 2; i++) {
        struct rig r;
        char row[128];
        rig_open(&r);
        snprintf(row, sizeof row, "{\"name\":\"x\",\"targets\":[{\"script\":{\"error\":\"%s\"}}]}",
                 how[i][0]);
        rig_apply(&r, "endpoint", "e1", row);
        struct client c;
        rig_ask(&r, &c, "x", "p", "{}");
        rig_pass(&r, 500);
        assert_int_equal(c.ends, 1);
        assert_int_equal(c.code, FT_EUNAVAIL);
        assert_string_equal(c.message, how[i][1]);
        json_t *st = ft_serve_status(r.s);
        const char *kind;
        int ready;
        assert_int_equal(json_unpack(st, "{s:[{s:s,s:[{s:i}]}]}", "endpoints", "kind", &kind,
                                     "targets", "ready", &ready),
                         0);
        assert_string_equal(kind, "script");
        assert_int_equal(ready, i); /* one that says that it failed is there */
        json_decref(st);
        rig_close(&r);
    }
}

static void a_poison_that_is_memory_is_told_so(void **state)
{
    (void)state;
    struct rig r;
    open_with(&r, ONE);
    r.plant.out_of_memory = true;
    struct client bad;
    rig_ask(&r, &bad, "chat", "p", "{\"max_tokens\":6,\"poison\":2}");
    for (int t = 0; t < 400; t++) {
        for (int k = 0; k < FT_SERVE_PLACES; k++)
            double_token(&r.plant, k);
        rig_pass(&r, 250);
    }
    assert_int_equal(bad.ends, 1);
    assert_int_equal(bad.code, FT_EUNAVAIL);
    assert_non_null(strstr(bad.message, "killed for lack of memory"));
    rig_close(&r);
}

static void what_a_model_refuses_is_never_tried_again(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"error\":\"invalid\"}},"
              "{\"script\":{\"text\":\"good\",\"tokens\":1},\"weight\":0.0001}]}");
    struct client c;
    rig_ask(&r, &c, "x", "p", "{}");
    assert_int_equal(c.ends, 1);
    assert_int_equal(c.code, FT_EINVAL);
    rig_close(&r);
}

static void a_full_server_says_when_to_return(void **state)
{
    (void)state;
    struct rig r;
    rig_open(&r);
    rig_apply(&r, "endpoint", "e1",
              "{\"name\":\"x\",\"targets\":[{\"script\":{\"error\":\"busy\"}}]}");
    struct client c;
    rig_ask(&r, &c, "x", "p", "{}");
    assert_int_equal(c.code, FT_EBUSY);
    assert_int_equal(c.retry_ms, 1000);
    rig_close(&r);
}

/* ---- the rules by themselves ---- */

static void the_rules(void **state)
{
    (void)state;
    struct ft_err lost = {.code = FT_EIO}, broke = {.code = FT_EINTERNAL},
                  bad = {.code = FT_EINVAL};
    struct ft_failover f = {0};
    int delay;
    struct ft_failover_end e = {
        .err = &lost, .fault = FT_FAULT_REPLICA, .ours = true, .ran_ms = 100, .resumable = true};
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_SUSPECT);
    e.alone = true;
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_SUSPECT);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_GUILTY);
    /* workers that were dying when it was sent: some are forgiven */
    f = (struct ft_failover){0};
    e.alone = false;
    e.ran_ms = 1;
    for (int i = 1; i < FT_FAILOVER_SUDDEN_MAX + FT_FAILOVER_FRUITLESS_MAX - 1; i++)
        assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_SUSPECT);
    e.ran_ms = 100;
    /* always some progress: a suspect after many */
    f = (struct ft_failover){0};
    e.alone = false;
    e.progress = e.begun = true;
    for (int i = 1; i < FT_FAILOVER_DEATHS_MAX; i++)
        assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_SUSPECT);
    /* not there: any number of times, after a moment */
    f = (struct ft_failover){0};
    e.fault = FT_FAULT_UNHEARD;
    for (int i = 0; i < 50; i++)
        assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_true(delay > 0);
    /* it lives and breaks: told in the end */
    e.fault = FT_FAULT_REPLICA;
    e.err = &broke;
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_AGAIN);
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_TELL);
    /* tokens not known: cannot go on */
    f = (struct ft_failover){0};
    e.err = &lost;
    e.resumable = false;
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_TELL);
    e.err = &bad;
    e.fault = FT_FAULT_CALL;
    e.resumable = true;
    assert_int_equal(ft_failover_judge(&f, &e, &delay), FT_FAILOVER_TELL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_answer_is_whole_wherever_its_worker_dies),
        cmocka_unit_test(the_only_worker_is_restarted_and_goes_on),
        cmocka_unit_test(a_poison_fails_alone_and_innocents_get_through),
        cmocka_unit_test(kills_of_a_call_that_goes_on_are_forgiven),
        cmocka_unit_test(a_worker_without_the_model_is_asked_again),
        cmocka_unit_test(canceled_while_it_waits_for_another_worker),
        cmocka_unit_test(canceled_while_it_runs),
        cmocka_unit_test(a_pause_lasts_over_a_death),
        cmocka_unit_test(a_server_that_fails_before_the_first_piece_is_replaced),
        cmocka_unit_test(a_server_that_fails_later_is_told),
        cmocka_unit_test(each_target_counts_its_own),
        cmocka_unit_test(a_server_that_does_not_answer_is_told),
        cmocka_unit_test(a_poison_that_is_memory_is_told_so),
        cmocka_unit_test(what_a_model_refuses_is_never_tried_again),
        cmocka_unit_test(a_full_server_says_when_to_return),
        cmocka_unit_test(the_rules),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
