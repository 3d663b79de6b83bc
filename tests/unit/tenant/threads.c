/* Many threads ask, admit and settle while rows change: sums are exact, budgets hold. */
/* labels: threads */
#include "unit/tenant/rows.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

enum { THREADS = 4, ROUNDS = 4000, COST = 7 };

struct shared {
    struct ft_tenant *t;
    atomic_llong spent, admitted, most;
    atomic_llong inside;
    atomic_int done;
};

static void *client(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct ft_tenant_ident *ident = NULL;
        struct ft_err err;
        struct ft_tenant_lease lease;
        struct ft_tenant_limits limits;
        enum ft_tenant_why why;
        while (ft_tenant_authenticate(s->t, "s", 1, NOW_S, &ident, &why, &err) != 0)
            sched_yield(); /* revoked for a moment */
        struct ft_tenant_ask ask = {i + 1, NOW_S, 10, COST};
        if (ft_tenant_admit(s->t, ident, &ask, &lease, &limits, &err) == 0) {
            long long inside = atomic_fetch_add(&s->inside, 1) + 1, most = atomic_load(&s->most);
            while (inside > most && !atomic_compare_exchange_weak(&s->most, &most, inside))
                continue;
            atomic_fetch_add(&s->spent, COST);
            atomic_fetch_add(&s->admitted, 1);
            atomic_fetch_sub(&s->inside, 1);
            ft_tenant_settle(&lease, NOW_S, 10, COST);
        }
        ft_tenant_ident_unref(ident);
    }
    atomic_fetch_add(&s->done, 1);
    return NULL;
}

static void on_spend(void *ctx, enum ft_tenant_scope scope, const char *id, int64_t day,
                     int64_t month)
{
    (void)id;
    (void)month;
    if (scope == FT_SCOPE_PROJECT)
        *(int64_t *)ctx += day;
}

static void run(struct shared *s, bool change)
{
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, client, s), 0);
    for (int n = 0; change && atomic_load(&s->done) < THREADS; n++) {
        char id[16];
        snprintf(id, sizeof id, "other%d", n % 50);
        key(s->t, id, "p", id, "");
        key(s->t, "k", "p", "s", n % 2 == 0 ? ",\"role\":\"admin\"" : "");
        if (n % 7 == 0)
            row(s->t, "key", id, NULL);
        if (n % 11 == 0) {
            row(s->t, "key", "k", NULL);
            key(s->t, "k", "p", "s", "");
        }
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
}

static void test_the_budget_holds_under_threads(void **state)
{
    (void)state;
    struct shared s = {.t = open_tenant()};
    row(s.t, "project", "p",
        "{\"budget\":{\"day\":\"0.000050001\"},\"limits\":{\"concurrency\":3}}"); /* 50001 nanos */
    key(s.t, "k", "p", "s", "");
    run(&s, false);
    int64_t spent = 0;
    ft_tenant_spend_each(s.t, NOW_S, on_spend, &spent);
    assert_int_equal(spent, atomic_load(&s.spent));
    assert_in_range(spent, 50001, 50001 + COST);
    assert_in_range(atomic_load(&s.most), 1, 3);
    ft_tenant_close(s.t);
}

static void test_sums_are_exact_while_rows_change(void **state)
{
    (void)state;
    struct shared s = {.t = open_tenant()};
    row(s.t, "project", "p", "{\"limits\":{\"concurrency\":1000}}");
    key(s.t, "k", "p", "s", "");
    run(&s, true);
    int64_t spent = 0;
    ft_tenant_spend_each(s.t, NOW_S, on_spend, &spent);
    assert_int_equal(spent, atomic_load(&s.admitted) * COST);
    assert_true(atomic_load(&s.admitted) > 0);
    ft_tenant_close(s.t);
}

/* ---- sessions ---- */

static void *visitor(void *arg)
{
    struct shared *s = arg;
    for (int i = 0; i < ROUNDS || atomic_load(&s->admitted) == 0; i++) { /* at least one came in */
        struct ft_tenant_ident *ident = NULL;
        struct ft_tenant_session session = {.id = ""};
        enum ft_tenant_why why;
        struct ft_err err;
        if (ft_tenant_session(s->t, "se", 2, NOW_S, &ident, &session, &why, &err) == 0) {
            bool whole = strcmp(session.id, "s1") == 0 && strcmp(ident->key, "k") == 0;
            atomic_fetch_add(whole ? &s->admitted : &s->inside, 1);
        }
        ft_tenant_ident_unref(ident);
    }
    atomic_fetch_add(&s->done, 1);
    return NULL;
}

static void test_sessions_are_whole_while_rows_change(void **state)
{
    (void)state;
    struct shared s = {.t = open_tenant()};
    pthread_t threads[THREADS];
    row(s.t, "project", "p", "{}");
    key(s.t, "k", "p", "s", "");
    session(s.t, "s1", "k", "se", NOW_S + 10, "");
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, visitor, &s), 0);
    for (int n = 0; atomic_load(&s.done) < THREADS; n++) {
        char id[16];
        snprintf(id, sizeof id, "other%d", n % 200);
        session(s.t, id, "k", id, NOW_S + n % 3, "");
        session(s.t, "s1", "k", "se", NOW_S + 10 + n % 5, n % 5 == 0 ? ",\"ended\":1" : "");
        if (n % 7 == 0)
            row(s.t, "key", "k", NULL);
        key(s.t, "k", "p", "s", "");
    }
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_true(atomic_load(&s.admitted) > 0);
    assert_int_equal(0, atomic_load(&s.inside)); /* torn ones */
    ft_tenant_close(s.t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_budget_holds_under_threads),
        cmocka_unit_test(test_sums_are_exact_while_rows_change),
        cmocka_unit_test(test_sessions_are_whole_while_rows_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
