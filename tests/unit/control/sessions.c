/* Sessions in the store: renewed by use, bounded, and gone for good in the end. (Signing in as
 * people do: tests/integration/signin.py.) */
#include "control/admin/sign_in.h"
#include "fixture.h"

#include <time.h>

static int open_all(void **state)
{
    struct ft_err err;
    if (fixture_open(state) != 0)
        return -1;
    struct fixture *f = *state;
    return ft_ctl_sign_in_migrate(f->ctl.state, &err);
}

static void make_key(struct fixture *f, char id[CTL_ID_MAX], const char *body)
{
    f->key = "";
    f->role = CTL_OPERATOR;
    assert_int_equal(201, fixture_ask(f, "POST", "/api/v1/keys", body));
    snprintf(id, CTL_ID_MAX, "%s", fixture_text(f, "id"));
}

static void sign_in(struct fixture *f, const char *key, char id[CTL_ID_MAX])
{
    f->key = key;
    f->role = CTL_NOBODY;
    assert_int_equal(201, fixture_ask(f, "POST", "/api/v1/session", "{\"key\":\"shown\"}"));
    snprintf(id, CTL_ID_MAX, "%s", fixture_text(f, "id"));
}

static int renew(struct fixture *f, const char *id)
{
    char path[128];
    f->key = "";
    f->role = CTL_NOBODY;
    snprintf(path, sizeof path, "/internal/sessions/%s", id);
    return fixture_ask(f, "POST", path, NULL);
}

static int64_t number(struct fixture *f, const char *id, const char *name)
{
    json_t *body = fixture_get(f, "session", id);
    int64_t v = ft_ctl_int(body, name, -1);
    json_decref(body);
    return v;
}

/* As if it had been begun, and been about to end, so many seconds ago or from now. */
static void age(struct fixture *f, const char *id, int64_t created, int64_t expires)
{
    json_t *body = fixture_get(f, "session", id);
    json_object_set_new(body, "created", json_integer(created));
    json_object_set_new(body, "expires", json_integer(expires));
    fixture_put(f, "session", id, body);
}

static void use_puts_the_end_off(void **state)
{
    struct fixture *f = *state;
    char key[CTL_ID_MAX], id[CTL_ID_MAX];
    make_key(f, key, "{\"name\":\"k\"}");
    sign_in(f, key, id);
    int64_t now = f->call.now_s;
    assert_int_equal(now + CTL_SESSION_S, number(f, id, "expires"));
    age(f, id, now, now + 100);
    assert_int_equal(200, renew(f, id));
    assert_true(number(f, id, "expires") >= now + CTL_SESSION_S);
    /* not beyond all its time */
    age(f, id, now - CTL_SESSION_MOST_S + 200, now + 100);
    assert_int_equal(200, renew(f, id));
    assert_int_equal(now + 200, number(f, id, "expires"));
    age(f, id, now, now - 1);
    assert_int_equal(404, renew(f, id));
    assert_int_equal(404, renew(f, "sess_none"));
}

static void none_outlives_its_key(void **state)
{
    struct fixture *f = *state;
    char key[CTL_ID_MAX], id[CTL_ID_MAX], body[64];
    int64_t end = (int64_t)time(NULL) + 1000;
    snprintf(body, sizeof body, "{\"name\":\"k\",\"expires\":%lld}", (long long)end);
    make_key(f, key, body);
    sign_in(f, key, id);
    assert_int_equal(end, number(f, id, "expires"));
    assert_int_equal(200, renew(f, id));
    assert_int_equal(end, number(f, id, "expires"));
    f->key = "";
    f->role = CTL_OPERATOR;
    char path[128];
    snprintf(path, sizeof path, "/api/v1/keys/%s", key);
    assert_int_equal(200, fixture_ask(f, "DELETE", path, NULL));
    assert_true(number(f, id, "ended") > 0);
    assert_int_equal(404, renew(f, id));
}

static int over(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    return ft_state_exec(tx, "UPDATE session SET expires = 1000 WHERE id = $1",
                         FT_ARGS(ft_sql_text(ctx)), NULL, err);
}

static int rows_of(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_state_rows *r;
    int64_t *n = ctx;
    int rc = ft_state_query(tx,
                            "SELECT (SELECT COUNT(*) FROM session),"
                            " (SELECT COUNT(*) FROM entity WHERE kind = 'session')",
                            FT_NO_ARGS, &r, err);
    if (rc == 0 && ft_rows_step(r, err) > 0) {
        n[0] = ft_rows_int(r, 0);
        n[1] = ft_rows_int(r, 1);
    }
    ft_rows_close(r);
    return rc;
}

/* Long over, they leave no row behind. */
static void they_go_for_good(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    char key[CTL_ID_MAX], id[CTL_ID_MAX];
    int64_t n[2] = {0, 0};
    make_key(f, key, "{\"name\":\"k\"}");
    for (int i = 0; i < 100; i++) {
        sign_in(f, key, id);
        assert_int_equal(0, ft_state_tx(f->ctl.state, over, id, &err));
    }
    assert_int_equal(0, ft_state_read(f->ctl.state, rows_of, n, &err));
    assert_int_equal(1, n[0]);
    assert_int_equal(1, n[1]);
}

static void a_key_has_so_many(void **state)
{
    struct fixture *f = *state;
    char key[CTL_ID_MAX], id[CTL_ID_MAX], first[CTL_ID_MAX];
    make_key(f, key, "{\"name\":\"k\"}");
    sign_in(f, key, first);
    age(f, first, f->call.now_s - 10, f->call.now_s + 100);
    for (int i = 0; i < CTL_SESSIONS_OF_KEY + 10; i++)
        sign_in(f, key, id);
    f->role = CTL_OPERATOR;
    assert_int_equal(200, fixture_ask(f, "GET", "/api/v1/sessions?limit=1000", NULL));
    assert_int_equal(CTL_SESSIONS_OF_KEY, json_array_size(json_object_get(f->call.answer, "data")));
    assert_int_equal(200, renew(f, id));
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, open_all, fixture_close, NULL                                                       \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(use_puts_the_end_off), TEST(none_outlives_its_key),
                                       TEST(a_key_has_so_many), TEST(they_go_for_good)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
