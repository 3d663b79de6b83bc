/* Projects: an id that was one's is not another's. (The rest: tests/integration/control.py.) */
#include "fixture.h"

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

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, fixture_open, fixture_close, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {TEST(an_id_is_not_given_twice)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
