/* Projects: an id that was one's is not another's, and what a removed one kept is noted with its
 * end. (The rest: tests/integration/control.py, leftover.py.) */
#include <time.h>
#include <unistd.h>

#include "fixture.h"

#include "control/inside.h"
#include "control/leftover.h"

static void an_id_is_not_given_twice(void **state)
{
    struct fixture *f = *state;
    const char *body = "{\"id\":\"lab\",\"name\":\"Lab\"}";
    assert_int_equal(201, fixture_ask(f, "POST", "/api/v1/projects", body));
    assert_int_equal(409, fixture_ask(f, "POST", "/api/v1/projects", body));
    assert_int_equal(200, fixture_ask(f, "DELETE", "/api/v1/projects/lab", NULL));
    assert_int_equal(404, fixture_ask(f, "GET", "/api/v1/projects/lab", NULL));
    assert_int_equal(409, fixture_ask(f, "POST", "/api/v1/projects", body));
    assert_int_equal(409, fixture_ask(f, "POST", "/api/v1/projects", "{\"name\":\"lab\"}"));
    assert_int_equal(
        201, fixture_ask(f, "POST", "/api/v1/projects", "{\"id\":\"lab-2\",\"name\":\"Lab\"}"));
}

struct asked {
    struct ft_leftover one;
    int64_t now_s;
    bool found;
};

static int next_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct asked *a = ctx;
    int rc = ft_leftover_next(tx, a->now_s, &a->one, err);
    a->found = rc > 0;
    return FT_MIN(rc, 0);
}

static bool is_due(struct fixture *f, int64_t now_s, struct asked *ret)
{
    struct ft_err err;
    json_decref(ret->one.adapters);
    *ret = (struct asked){.now_s = now_s};
    assert_int_equal(0, ft_state_read(f->ctl.state, next_tx, ret, &err));
    return ret->found;
}

static int put_adapter_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct fixture *f = ctx;
    json_t *body = json_pack("{s:s,s:s+,s:s}", "project", "lab", "path", f->ctl.home,
                             "/adapters/ftjob-1", "adapter_of", "m");
    int rc = ft_ctl_put_quiet(tx, "model", "ft:m:lab::1", body, err);
    json_decref(body);
    return rc;
}

static int later_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    (void)ctx;
    return ft_leftover_later(tx, "lab", 200, 1, err);
}

static int drop_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    (void)ctx;
    return ft_leftover_drop(tx, "lab", err);
}

static void what_it_kept_is_noted(void **state)
{
    struct fixture *f = *state;
    struct ft_err err;
    struct asked a = {.now_s = 0};
    assert_int_equal(
        201, fixture_ask(f, "POST", "/api/v1/projects", "{\"id\":\"lab\",\"name\":\"Lab\"}"));
    assert_int_equal(0, ft_state_tx(f->ctl.state, put_adapter_tx, f, &err));
    assert_int_equal(409, fixture_ask(f, "DELETE", "/api/v1/projects/lab", NULL));
    assert_false(is_due(f, 100, &a)); /* it is there still */
    assert_int_equal(200, fixture_ask(f, "DELETE", "/api/v1/projects/lab?cascade=true", NULL));
    assert_true(is_due(f, 100, &a));
    assert_string_equal("lab", a.one.project);
    assert_int_equal(0, a.one.looks);
    assert_int_equal(1, json_array_size(a.one.adapters));
    assert_string_equal("adapters/ftjob-1", json_string_value(json_array_get(a.one.adapters, 0)));
    assert_int_equal(0, ft_state_tx(f->ctl.state, later_tx, NULL, &err));
    assert_false(is_due(f, 199, &a));
    assert_true(is_due(f, 200, &a));
    assert_int_equal(1, a.one.looks);
    assert_int_equal(0, ft_state_tx(f->ctl.state, drop_tx, NULL, &err));
    assert_false(is_due(f, 1000, &a));
    json_decref(a.one.adapters);
}

/* ---- its files ---- */

static int files_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct fixture *f = ctx;
    struct ft_leftover one = {
        .project = "lab", .adapters = json_pack("[s,s]", "adapters/ftjob-1", "adapters/ftjob-2")};
    int rc = ft_leftover_files(tx, f->ctl.home, &one, err);
    json_decref(one.adapters);
    return rc;
}

static char *under_home(struct fixture *f, const char *name)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/%s", f->ctl.home, name);
    return path;
}

static void put_file(struct fixture *f, const char *name)
{
    char cmd[9000];
    const char *path = under_home(f, name);
    snprintf(cmd, sizeof cmd, "mkdir -p $(dirname %s) && echo x > %s", path, path);
    assert_int_equal(0, system(cmd));
}

static void its_files_go_but_for_other_models(void **state)
{
    struct fixture *f = *state;
    static const char *const go[] = {"adapters/ftjob-1/adapter_config.json",
                                     "models/hub/lab/m/rev1/a.gguf", "models/hub/lab/n/rev1/b"};
    static const char *const stay[] = {
        "adapters/ftjob-2/adapter_config.json", "adapters/ftjob-10/adapter_config.json",
        "models/hub/lab/m/rev2/a.gguf", "models/hub/lab-2/m/r/a", "models/other.gguf"};
    struct ft_err err;
    for (size_t i = 0; i < FT_COUNT(go); i++)
        put_file(f, go[i]);
    for (size_t i = 0; i < FT_COUNT(stay); i++)
        put_file(f, stay[i]);
    fixture_put(f, "model", "everybody's",
                json_pack("{s:s,s:s}", "path", under_home(f, "adapters/ftjob-2"), "adapter_of",
                          "m"));      /* the folder itself */
    fixture_put(f, "model", "public", /* a file in one */
                json_pack("{s:s}", "path", under_home(f, "models/hub/lab/m/rev2/a.gguf")));
    for (int twice = 0; twice < 2; twice++)
        assert_int_equal(0, ft_state_tx(f->ctl.state, files_tx, f, &err));
    for (size_t i = 0; i < FT_COUNT(go); i++)
        if (access(under_home(f, go[i]), F_OK) == 0)
            fail_msg("%s is there", go[i]);
    for (size_t i = 0; i < FT_COUNT(stay); i++)
        if (access(under_home(f, stay[i]), F_OK) != 0)
            fail_msg("%s is gone", stay[i]);
    assert_int_not_equal(0, access(under_home(f, "models/hub/lab/n"), F_OK));
}

/* ---- the thread ---- */

#define WAIT_S 120 /* at most */

static void one_that_fails_lets_the_others_pass(void **state)
{
    struct fixture *f = *state;
    struct ft_leftovers *l = NULL;
    struct ft_err err;
    struct asked a = {.now_s = 0};
    bool waits = true;
    for (int i = 1; i <= 3; i++) {
        char body[64], path[64];
        snprintf(body, sizeof body, "{\"id\":\"lab-%d\",\"name\":\"Lab\"}", i);
        snprintf(path, sizeof path, "/api/v1/projects/lab-%d", i);
        assert_int_equal(201, fixture_ask(f, "POST", "/api/v1/projects", body));
        assert_int_equal(200, fixture_ask(f, "DELETE", path, NULL));
    }
    assert_true(is_due(f, 1, &a));
    /* there is no gateway: each is tried, and put off */
    assert_int_equal(0, ft_inside_open(f->ctl.home, NULL, NULL, &f->ctl.inside, &err));
    assert_int_equal(0, ft_leftovers_open(&f->ctl, &l, &err));
    for (time_t end = time(NULL) + WAIT_S; waits && time(NULL) < end; usleep(10000))
        waits = is_due(f, 1, &a);
    ft_leftovers_close(l);
    ft_inside_close(f->ctl.inside);
    if (waits)
        fail_msg("%s was never put off", a.one.project);
    assert_true(is_due(f, (int64_t)time(NULL) + 3600, &a)); /* and is still there */
    json_decref(a.one.adapters);
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, fixture_open, fixture_close, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(an_id_is_not_given_twice), TEST(what_it_kept_is_noted),
                                       TEST(its_files_go_but_for_other_models),
                                       TEST(one_that_fails_lets_the_others_pass)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
