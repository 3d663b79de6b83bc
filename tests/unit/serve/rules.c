/* Routing, fairness and scaling, each by itself. */
#include "serve/queue.h"
#include "serve/router.h"
#include "serve/scale.h"
#include "testing.h"

#define S INT64_C(1000000000)

/* ---- router ---- */

static struct ft_router_chain chain_of(const char *shared, size_t n, const char *tail,
                                       const char *project)
{
    struct ft_router_chain c;
    char *text = malloc(n + strlen(tail) + 1);
    for (size_t i = 0; i < n; i++)
        text[i] = shared[i % strlen(shared)];
    strcpy(text + n, tail);
    json_t *body = json_pack("{s:[{s:s,s:s}]}", "messages", "role", "user", "content", text);
    assert_non_null(body);
    ft_router_chain_of(body, project, "nano", &c);
    json_decref(body);
    free(text);
    return c;
}

static void a_shared_beginning_is_found_again(void **state)
{
    (void)state;
    static struct ft_router_seen seen;
    struct ft_router_chain a = chain_of("lorem ipsum ", 4000, "first", "p");
    struct ft_router_chain b = chain_of("lorem ipsum ", 4000, "second, which is longer", "p");
    struct ft_router_chain c = chain_of("dolor sit ", 4000, "first", "p");
    assert_int_equal(a.n, 15);
    assert_int_equal(ft_router_match(&seen, &a), 0);
    ft_router_note(&seen, &a);
    assert_int_equal(ft_router_match(&seen, &a), a.n);
    assert_in_range(ft_router_match(&seen, &b), 14, 15);
    assert_int_equal(ft_router_match(&seen, &c), 0);
}

static void projects_do_not_share(void **state)
{
    (void)state;
    static struct ft_router_seen seen;
    struct ft_router_chain a = chain_of("lorem ipsum ", 4000, "", "p");
    struct ft_router_chain b = chain_of("lorem ipsum ", 4000, "", "q");
    ft_router_note(&seen, &a);
    assert_int_equal(ft_router_match(&seen, &b), 0);
}

static void long_prompts_are_looked_at_in_part(void **state)
{
    (void)state;
    struct ft_router_chain a = chain_of("x", 1000000, "", "p");
    assert_int_equal(a.n, FT_ROUTER_CHAIN_MAX);
}

static void affinity_yields_to_load(void **state)
{
    (void)state;
    struct ft_router_place p[3] = {{0, 0, 0, true}, {3, 5, 5, true}, {0, 0, 0, true}};
    assert_int_equal(ft_router_choose(p, 3, 0), 1);
    p[1].load = 5;
    assert_int_equal(ft_router_choose(p, 3, 0), 0);
    assert_int_equal(ft_router_choose(p, 3, 1), 2); /* equals take turns */
    p[0].load = p[2].load = 20;
    p[1].load = 30;
    assert_int_equal(ft_router_choose(p, 3, 0), 1);
    p[1].load = 31;
    assert_int_equal(ft_router_choose(p, 3, 0), 0);
    p[0].room = false;
    assert_int_equal(ft_router_choose(p, 3, 0), 2);
    p[1].room = p[2].room = false;
    assert_int_equal(ft_router_choose(p, 3, 0), -1);
}

static void what_is_read_counts_more_than_what_is_being_read(void **state)
{
    (void)state;
    struct ft_router_place p[2] = {{1, 0, 9, true}, {3, 9, 9, true}};
    assert_int_equal(ft_router_choose(p, 2, 0), 1);
    p[0].soon = 10;
    assert_int_equal(ft_router_choose(p, 2, 0), 0);
}

static void draws_follow_weights(void **state)
{
    (void)state;
    double w[3] = {0, 3, 1};
    int n[3] = {0};
    for (uint64_t k = 0; k < 40000; k++)
        n[ft_router_draw(w, 3, k)]++;
    assert_int_equal(n[0], 0);
    assert_in_range(n[1], 29500, 30500);
    double none[2] = {0, 0};
    assert_int_equal(ft_router_draw(none, 2, 1), -1);
}

/* ---- queue ---- */

struct room {
    struct ft_queue_item *full; /* this one finds none */
};

static bool has_room(void *ctx, struct ft_queue_item *item)
{
    return ((struct room *)ctx)->full != item;
}

static void projects_take_turns_by_tokens(void **state)
{
    (void)state;
    struct ft_queue q;
    enum { N = 300 };
    struct ft_queue_item item[2][N] = {0};
    struct room room = {0};
    char endpoint;
    assert_int_equal(ft_queue_init(&q), 0);
    struct ft_queue_project *p[2] = {ft_queue_project(&q, "a", 1), ft_queue_project(&q, "b", 3)};
    for (int i = 0; i < N; i++)
        for (int k = 0; k < 2; k++)
            assert_int_equal(ft_queue_add(&q, p[k], &endpoint, &item[k][i], 0, false), 0);
    int served[2] = {0};
    for (int i = 0; i < 200; i++) { /* a's calls are half as long, b weighs three times as much */
        struct ft_queue_item *got = ft_queue_next(&q, has_room, &room);
        int k = got >= item[1];
        assert_ptr_equal(got, &item[k][served[k]++]); /* in order */
        ft_queue_charge(p[k], k == 0 ? 50 : 100);
    }
    double ratio = 100.0 * served[1] / (50.0 * served[0]);
    assert_true(ratio > 2.8 && ratio < 3.2);
    assert_int_equal(ft_queue_waiting(&q, &endpoint), 2 * N - 200);
    ft_queue_fini(&q);
}

static void rest_is_not_saved_up(void **state)
{
    (void)state;
    struct ft_queue q;
    struct ft_queue_item item[200] = {0};
    struct room room = {0};
    char e;
    ft_queue_init(&q);
    struct ft_queue_project *a = ft_queue_project(&q, "a", 1);
    for (int i = 0; i < 50; i++) {
        ft_queue_enter(&q, a);
        ft_queue_add(&q, a, &e, &item[i], 0, false);
        ft_queue_next(&q, has_room, &room);
        ft_queue_charge(a, 1000);
    }
    struct ft_queue_project *b = ft_queue_project(&q, "b", 1);
    ft_queue_enter(&q, b);
    for (int i = 0; i < 40; i++) {
        ft_queue_add(&q, a, &e, &item[i], 0, false);
        ft_queue_add(&q, b, &e, &item[100 + i], 0, false);
    }
    int late = 0;
    for (int i = 0; i < 20; i++) {
        bool is_b = ft_queue_next(&q, has_room, &room) >= &item[100];
        late += is_b;
        ft_queue_charge(is_b ? b : a, 1000);
    }
    assert_in_range(late, 9, 11);
    ft_queue_fini(&q);
}

static void a_weight_changes_while_calls_wait(void **state)
{
    (void)state;
    struct ft_queue q;
    struct ft_queue_item item = {0};
    char e;
    ft_queue_init(&q);
    struct ft_queue_project *p = ft_queue_project(&q, "a", 1);
    ft_queue_add(&q, p, &e, &item, 0, false);
    assert_ptr_equal(ft_queue_project(&q, "a", 4), p);
    ft_queue_charge(p, 100);
    assert_int_equal(p->served, 25 * 1000);
    ft_queue_fini(&q);
}

static void priority_and_those_that_were_served(void **state)
{
    (void)state;
    struct ft_queue q;
    struct ft_queue_item low = {0}, mid = {0}, high = {0}, back = {0};
    struct room room = {0};
    char e;
    ft_queue_init(&q);
    struct ft_queue_project *p = ft_queue_project(&q, "a", 1);
    ft_queue_add(&q, p, &e, &low, -5, false);
    ft_queue_add(&q, p, &e, &mid, 0, false);
    ft_queue_add(&q, p, &e, &high, 5, false);
    ft_queue_add(&q, p, &e, &back, 0, true);
    struct ft_queue_item *order[] = {&high, &back, &mid, &low};
    for (int i = 0; i < 4; i++)
        assert_ptr_equal(ft_queue_next(&q, has_room, &room), order[i]);
    assert_null(ft_queue_next(&q, has_room, &room));
    ft_queue_fini(&q);
}

static void a_full_endpoint_holds_up_no_other(void **state)
{
    (void)state;
    struct ft_queue q;
    struct ft_queue_item one = {0}, two = {0}, three = {0};
    char e, f;
    ft_queue_init(&q);
    struct ft_queue_project *a = ft_queue_project(&q, "a", 1), *b = ft_queue_project(&q, "b", 1);
    ft_queue_charge(b, 10);
    ft_queue_add(&q, a, &e, &one, 0, false);
    ft_queue_add(&q, a, &f, &two, 0, false);
    ft_queue_add(&q, b, &f, &three, 0, false);
    struct room room = {&one};
    assert_ptr_equal(ft_queue_next(&q, has_room, &room), &two);
    assert_ptr_equal(ft_queue_next(&q, has_room, &room), &three);
    assert_null(ft_queue_next(&q, has_room, &room));
    ft_queue_remove(&q, &one);
    assert_int_equal(q.waiting, 0);
    ft_queue_fini(&q);
}

static void background_comes_behind_everybody(void **state)
{
    (void)state;
    struct ft_queue q;
    struct ft_queue_item idle = {0}, busy = {0}, batch = {0};
    struct room none = {0};
    char e;
    ft_queue_init(&q);
    struct ft_queue_project *a = ft_queue_project(&q, "a", 1), *b = ft_queue_project(&q, "b", 1);
    ft_queue_charge(b, 1000000); /* whose turn would be last */
    ft_queue_add(&q, a, &e, &batch, FT_QUEUE_BACKGROUND, false);
    assert_int_equal(ft_queue_ahead(&q, &e, 0), 0);
    assert_int_equal(ft_queue_ahead(&q, &e, FT_QUEUE_BACKGROUND), 1);
    ft_queue_add(&q, b, &e, &busy, FT_QUEUE_BACKGROUND + 1, false);
    ft_queue_add(&q, a, &e, &idle, 0, false);
    assert_int_equal(ft_queue_ahead(&q, &e, 0), 2);
    assert_int_equal(q.waiting, 3);
    assert_int_equal(q.background, 1);
    assert_int_equal(a->background, 1);
    struct room full = {&busy}; /* none for one of them: the batch may use what is free */
    assert_ptr_equal(ft_queue_next(&q, has_room, &full), &idle);
    assert_ptr_equal(ft_queue_next(&q, has_room, &full), &batch);
    assert_int_equal(q.background + a->background, 0);
    assert_ptr_equal(ft_queue_next(&q, has_room, &none), &busy);
    assert_null(ft_queue_next(&q, has_room, &none));
    ft_queue_fini(&q);
}

/* ---- scale ---- */

static void replicas_follow_the_load(void **state)
{
    (void)state;
    struct ft_scale c = {.min = 0, .max = 4, .target_load = 4, .idle_ms = 60000};
    struct ft_scale_state st = {0};
    int64_t t = S;
    assert_int_equal(ft_scale_step(&c, &st, 0, t), 0);
    assert_int_equal(ft_scale_step(&c, &st, 1, t), 1);
    assert_int_equal(ft_scale_step(&c, &st, 5, t), 2); /* at once */
    assert_int_equal(ft_scale_step(&c, &st, 1000, t), 4);
    assert_int_equal(ft_scale_step(&c, &st, 10, t += 60 * S), 4); /* nearly enough for four */
    assert_int_equal(ft_scale_step(&c, &st, 9, t), 4);            /* low from here on */
    assert_int_equal(ft_scale_step(&c, &st, 9, t += 29 * S), 4);
    assert_int_equal(ft_scale_step(&c, &st, 11, t), 4); /* not any more */
    assert_int_equal(ft_scale_step(&c, &st, 9, t += S), 4);
    assert_int_equal(ft_scale_step(&c, &st, 9, t += 30 * S), 3);
    assert_int_equal(ft_scale_step(&c, &st, 9, t += 60 * S), 3);
    assert_int_equal(ft_scale_step(&c, &st, 0, t), 3);
    assert_int_equal(ft_scale_step(&c, &st, 0, t += 59 * S), 2);
    assert_int_equal(ft_scale_step(&c, &st, 0, t += 2 * S), 0); /* idle: all */
}

static void bounds_hold(void **state)
{
    (void)state;
    struct ft_scale c = {.min = 2, .max = 3, .target_load = 1, .idle_ms = 0};
    struct ft_scale_state st = {0};
    assert_int_equal(ft_scale_step(&c, &st, 0, S), 2);
    assert_int_equal(ft_scale_step(&c, &st, 99, S), 3);
    c.max = c.min = 1; /* the operator says so: at once */
    assert_int_equal(ft_scale_step(&c, &st, 99, S), 1);
    c.max = c.min = 0;
    assert_int_equal(ft_scale_step(&c, &st, 99, S), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_shared_beginning_is_found_again),
        cmocka_unit_test(projects_do_not_share),
        cmocka_unit_test(long_prompts_are_looked_at_in_part),
        cmocka_unit_test(affinity_yields_to_load),
        cmocka_unit_test(what_is_read_counts_more_than_what_is_being_read),
        cmocka_unit_test(draws_follow_weights),
        cmocka_unit_test(projects_take_turns_by_tokens),
        cmocka_unit_test(rest_is_not_saved_up),
        cmocka_unit_test(a_weight_changes_while_calls_wait),
        cmocka_unit_test(priority_and_those_that_were_served),
        cmocka_unit_test(a_full_endpoint_holds_up_no_other),
        cmocka_unit_test(background_comes_behind_everybody),
        cmocka_unit_test(replicas_follow_the_load),
        cmocka_unit_test(bounds_hold),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
