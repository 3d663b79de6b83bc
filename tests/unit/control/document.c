/* The document and the server's table say the same; and what the document says of fields is what is
 * checked. (tests/integration/control.py holds the answers to it.) */
#include <ctype.h>

#include "fixture.h"

static bool has_route(const char *method, const char *path)
{
    int n;
    const struct ft_ctl_route *r = ft_ctl_routes(&n);
    for (int i = 0; i < n; i++)
        if (strcasecmp(r[i].method, method) == 0 && strcmp(r[i].path, path) == 0)
            return true;
    return false;
}

static void every_route_is_documented(void **state)
{
    struct fixture *f = *state;
    int n;
    const struct ft_ctl_route *r = ft_ctl_routes(&n);
    assert_true(n > 30);
    for (int i = 0; i < n; i++) {
        bool internal = strncmp(r[i].path, "/internal/", 10) == 0 ||
                        strncmp(r[i].path, "/v1/fine_tuning/", 16) == 0 ||
                        strcmp(r[i].path, "/v1/models/{id}") == 0; /* OpenAI documents it */
        if ((ft_ctl_doc_operation(f->ctl.doc, &r[i]) != NULL) == internal)
            fail_msg("%s %s: documented: %s", r[i].method, r[i].path, internal ? "yes" : "no");
    }
}

static void every_documented_route_is_served(void **state)
{
    struct fixture *f = *state;
    const char *path, *method;
    json_t *item, *op;
    json_object_foreach(json_object_get(f->ctl.doc, "paths"), path, item)
        json_object_foreach(item, method, op)
    {
        bool gateway = false; /* answers these itself */
        static const char *const its[] = {"/api/v1/status",     "/api/v1/s3/credentials",
                                          "/api/v1/s3/presign", "/api/v1/storage",
                                          "/api/v1/events",     "/api/v1/nodes",
                                          "/api/v1/requests",   "/api/v1/requests/{id}"};
        for (size_t i = 0; i < FT_COUNT(its); i++)
            gateway |= strcmp(path, its[i]) == 0;
        if (strcmp(method, "parameters") != 0 && !gateway && !has_route(method, path))
            fail_msg("%s %s is documented only", method, path);
    }
}

/* ---- schemas by hand ---- */

static int check(const char *schema, const char *value, struct ft_oai_error *e)
{
    json_t *s = json_loads(schema, 0, NULL), *v = json_loads(value, JSON_DECODE_ANY, NULL);
    json_t *doc =
        json_loads("{\"components\":{\"schemas\":{\"T\":{\"type\":\"integer\"}}}}", 0, NULL);
    assert_non_null(s);
    assert_non_null(v);
    ft_oai_error_init(e);
    int rc = ft_ctl_schema_check(doc, s, v, "", e);
    json_decref(s);
    json_decref(v);
    json_decref(doc);
    return rc;
}

static void schemas_are_kept(void **state)
{
    (void)state;
    static const struct {
        const char *schema, *good, *bad, *param;
    } cases[] = {
        {"{\"properties\":{\"a\":{\"type\":\"integer\"}}}", "{\"a\":1}", "{\"a\":1.5}", "a"},
        {"{\"properties\":{\"a\":{\"type\":[\"string\",\"null\"]}}}", "{\"a\":null}", "{\"a\":1}",
         "a"},
        {"{\"properties\":{\"a\":{\"anyOf\":[{\"$ref\":\"#/components/schemas/T\"},"
         "{\"type\":\"null\"}]}}}",
         "{\"a\":null}", "{\"a\":\"x\"}", "a"},
        {"{\"properties\":{\"a\":{\"items\":{\"properties\":{\"b\":{\"minimum\":2}}}}}}",
         "{\"a\":[{\"b\":2}]}", "{\"a\":[{\"b\":3},{\"b\":1}]}", "a[1].b"},
        {"{\"properties\":{\"a\":{\"exclusiveMaximum\":1}}}", "{\"a\":0.99}", "{\"a\":1}", "a"},
        {"{\"properties\":{\"a\":{\"exclusiveMinimum\":0}}}", "{\"a\":0.01}", "{\"a\":0}", "a"},
        {"{\"properties\":{\"a\":{\"maximum\":5}}}", "{\"a\":5}", "{\"a\":6}", "a"},
        {"{\"properties\":{\"a\":{\"maxLength\":2}}}", "{\"a\":\"\\u00e9\\u00e9\"}",
         "{\"a\":\"abc\"}", "a"},
        {"{\"properties\":{\"a\":{\"minLength\":1}}}", "{\"a\":\"x\"}", "{\"a\":\"\"}", "a"},
        {"{\"properties\":{\"a\":{\"pattern\":\"^[a-z]+$\"}}}", "{\"a\":\"x\"}", "{\"a\":\"X\"}",
         "a"},
        {"{\"properties\":{\"a\":{\"type\":\"string\"}}}", "{\"a\":\"x y\"}", "{\"a\":\"x\\ny\"}",
         "a"},
        {"{\"properties\":{\"a\":{\"enum\":[\"x\",\"y\"]}}}", "{\"a\":\"y\"}", "{\"a\":\"z\"}",
         "a"},
        {"{\"properties\":{\"a\":{\"maxItems\":1}}}", "{\"a\":[1]}", "{\"a\":[1,2]}", "a"},
        {"{\"properties\":{\"a\":{\"minItems\":1}}}", "{\"a\":[1]}", "{\"a\":[]}", "a"},
        {"{\"properties\":{\"a\":{}},\"additionalProperties\":false}", "{\"a\":{\"b\":1}}",
         "{\"a\":1,\"b\":2}", "b"},
        {"{\"properties\":{\"a\":{}},\"required\":[\"a\"]}", "{\"a\":null}", "{}", "a"},
        {"{\"type\":\"object\"}", "{}", "[]", ""},
    };
    struct ft_oai_error e;
    for (size_t i = 0; i < FT_COUNT(cases); i++) {
        if (check(cases[i].schema, cases[i].good, &e) != 0)
            fail_msg("%zu: good is refused: %s", i, e.err.msg);
        if (check(cases[i].schema, cases[i].bad, &e) != FT_EINVAL)
            fail_msg("%zu: bad is taken", i);
        assert_string_equal(cases[i].param, e.param);
        assert_true(e.err.msg[0] != '\0');
    }
}

static void queries_are_typed_and_checked(void **state)
{
    struct fixture *f = *state;
    json_t *op = json_loads(
        "{\"parameters\":[{\"name\":\"n\",\"schema\":{\"type\":\"integer\",\"maximum\":9}},"
        "{\"name\":\"on\",\"schema\":{\"type\":\"boolean\"}},"
        "{\"name\":\"by\",\"schema\":{\"type\":\"array\",\"items\":{\"enum\":[\"a\",\"b\"]}}},"
        "{\"name\":\"need\",\"required\":true,\"schema\":{\"type\":\"string\"}}]}",
        0, NULL);
    json_t *params = NULL;
    struct ft_oai_error e;
    assert_int_equal(0, ft_ctl_schema_query(f->ctl.doc, op, "n=7&on=true&by=a,b&by[]=a&need=x%20y",
                                            &params, &e));
    char *text = json_dumps(params, JSON_COMPACT | JSON_SORT_KEYS);
    assert_string_equal("{\"by\":[\"a\",\"b\",\"a\"],\"n\":7,\"need\":\"x y\",\"on\":true}", text);
    free(text);
    json_decref(params);
    static const char *const bad[][2] = {
        {"need=1&n=x", "n"},   {"need=1&n=10", "n"},  {"need=1&n=-1x", "n"},
        {"need=1&on=1", "on"}, {"n=1", "need"},       {"need=1&by=c", "by[0]"},
        {"need=1&no=1", "no"}, {"need=1&n[]=1", "n"}, {"need=1&need=2", "need"},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        ft_oai_error_init(&e);
        if (ft_ctl_schema_query(f->ctl.doc, op, bad[i][0], &params, &e) != FT_EINVAL)
            fail_msg("%s is taken", bad[i][0]);
        assert_string_equal(bad[i][1], e.param);
    }
    assert_int_equal(FT_EINVAL, ft_ctl_schema_query(f->ctl.doc, op, "need=%zz", &params, &e));
    json_decref(op);
}

#define TEST(t)                                                                                    \
    {                                                                                              \
#t, t, fixture_open, fixture_close, NULL                                                   \
    }

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(every_route_is_documented),
        TEST(every_documented_route_is_served),
        TEST(schemas_are_kept),
        TEST(queries_are_typed_and_checked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
