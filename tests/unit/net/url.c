/* Paths and queries: what is decoded, and what is refused. */
#include "net/url.h"

#include "testing.h"

static struct ft_arena arena;
static struct ft_err err;

static const char *path_of(const char *target, size_t n)
{
    const char *p = NULL;
    err.code = 0;
    int rc = ft_url_path(target, n, &arena, &p, &err);
    if (rc != 0)
        assert_int_equal(rc, err.code);
    return rc == 0 ? p : NULL;
}

static void test_paths_are_decoded(void **state)
{
    (void)state;
    assert_string_equal(path_of("/", 1), "/");
    assert_string_equal(path_of("/v1/models?x=%zz", 16), "/v1/models");
    assert_string_equal(path_of("/a%20b+c", 8), "/a b+c");
    assert_string_equal(path_of("/v1/models/org%2fname", 21), "/v1/models/org/name");
    assert_string_equal(path_of("/%E4%BD%A0", 10), "/\xe4\xbd\xa0");
    assert_string_equal(path_of("/a//b/...", 9), "/a//b/...");
}

static void test_tricks_are_refused(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "",        "*",         "a/b",     "http://x/", "/..",      "/../etc/passwd", "/a/../b",
        "/a/.",    "/./a",      "/%2e%2e", "/a/%2E./b", "/a%2f..",  "/..%2fetc",      "/%00",
        "/a%0ab",  "/a%0d%0ab", "/%7f",    "/%",        "/%4",      "/%zz",           "/%4g",
        "/%c0%af", "/%ff",      "/a\\b",   "/a%5cb",    "/..%5c..", "/%ed%a0%80",
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        if (path_of(bad[i], strlen(bad[i])) != NULL || err.code != FT_EINVAL)
            fail_msg("\"%s\" was not refused", bad[i]);
}

static void test_parameters_are_found_and_decoded(void **state)
{
    (void)state;
    const char *v = "?";
    const char *query = "&a=1&b=two+words%21&&c&d=&a=2&e%3D=x";
    assert_int_equal(ft_url_param(query, "a", &arena, &v, &err), 0);
    assert_string_equal(v, "1");
    assert_int_equal(ft_url_param(query, "b", &arena, &v, &err), 0);
    assert_string_equal(v, "two words!");
    assert_int_equal(ft_url_param(query, "c", &arena, &v, &err), 0);
    assert_string_equal(v, "");
    assert_int_equal(ft_url_param(query, "d", &arena, &v, &err), 0);
    assert_string_equal(v, "");
    assert_int_equal(ft_url_param(query, "e=", &arena, &v, &err), 0);
    assert_string_equal(v, "x");
    assert_int_equal(ft_url_param(query, "f", &arena, &v, &err), 0);
    assert_null(v);
    assert_int_equal(ft_url_param("limit=%4", "limit", &arena, &v, &err), FT_EINVAL);
    assert_non_null(strstr(err.msg, "limit"));
}

static void test_parameters_come_in_order(void **state)
{
    (void)state;
    size_t at = 0;
    const char *k, *v;
    static const char *const want[] = {"g[]", "a", "g[]", "b", "z", ""};
    for (int i = 0; i < 3; i++) {
        assert_int_equal(ft_url_param_next("g[]=a&g%5B%5D=b&z", &at, &arena, &k, &v, &err), 1);
        assert_string_equal(k, want[2 * i]);
        assert_string_equal(v, want[2 * i + 1]);
    }
    assert_int_equal(ft_url_param_next("g[]=a&g%5B%5D=b&z", &at, &arena, &k, &v, &err), 0);
}

static void test_what_was_encoded_decodes_to_itself(void **state)
{
    (void)state;
    const char *text = "a b/c?&=%+\xc3\xa9~";
    struct ft_buf b;
    ft_buf_init(&b, 1000);
    ft_buf_add_str(&b, "k=");
    ft_url_encode(&b, text, strlen(text));
    assert_string_equal(b.data, "k=a%20b%2Fc%3F%26%3D%25%2B%C3%A9~");
    const char *v;
    assert_int_equal(ft_url_param(b.data, "k", &arena, &v, &err), 0);
    assert_string_equal(v, text);
    ft_buf_fini(&b);
}

static int setup(void **state)
{
    (void)state;
    ft_arena_init(&arena, 1 << 20);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    ft_arena_fini(&arena);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_decoded),
        cmocka_unit_test(test_tricks_are_refused),
        cmocka_unit_test(test_parameters_are_found_and_decoded),
        cmocka_unit_test(test_parameters_come_in_order),
        cmocka_unit_test(test_what_was_encoded_decodes_to_itself),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
