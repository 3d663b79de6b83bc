/* Every reference case of twelve vendors' templates: exact text, exact messages of exceptions. */
#include "testing.h"

#include <jansson.h>

#include "base/file.h"
#include "model/jinja/template.h"

#define NOW 1721995200 /* 2024-07-26T12:00:00Z, the clock of the cases */

static struct ft_template *load(const char *name)
{
    char rel[300], *text;
    size_t n;
    struct ft_err err;
    struct ft_template *t = NULL;
    snprintf(rel, sizeof rel, "templates/%s", name);
    assert_int_equal(ft_file_read(ft_test_ref(rel), 1 << 20, &text, &n, &err), 0);
    int rc = ft_template_open(text, n, &t, &err);
    if (rc != 0)
        fail_msg("%s: %s", name, err.msg);
    free(text);
    return t;
}

static void check(const struct ft_template *t, json_t *c)
{
    struct ft_buf out;
    struct ft_err err;
    const char *name = json_string_value(json_object_get(c, "template"));
    const char *what = json_string_value(json_object_get(c, "case"));
    json_t *output = json_object_get(c, "output"), *error = json_object_get(c, "error");
    ft_buf_init(&out, 1 << 24);
    int rc = ft_template_render(t, json_object_get(c, "context"), NOW, &out, &err);
    if (output != NULL) {
        if (rc != 0)
            fail_msg("%s, %s: %s", name, what, err.msg);
        assert_int_equal(out.len, json_string_length(output));
        assert_memory_equal(out.data, json_string_value(output), out.len);
    } else {
        assert_int_equal(rc, FT_EINVAL);
        assert_string_equal(err.msg, json_string_value(error));
        assert_int_equal(out.len, 0);
    }
    ft_buf_fini(&out);
}

static void reference_cases_render_exactly(void **state)
{
    (void)state;
    const char *path = ft_test_ref("templates/cases.json");
    if (path == NULL)
        skip();
    json_error_t jerr;
    json_t *root = json_load_file(path, JSON_ALLOW_NUL, &jerr), *c;
    assert_non_null(root);
    json_t *cases = json_object_get(root, "cases");
    size_t i;
    assert_true(json_array_size(cases) >= 288);
    struct ft_template *t = NULL;
    const char *loaded = "";
    json_array_foreach(cases, i, c)
    {
        const char *name = json_string_value(json_object_get(c, "template"));
        if (strcmp(name, loaded) != 0) {
            ft_template_close(t);
            t = load(name);
            loaded = name;
        }
        check(t, c);
    }
    ft_template_close(t);
    json_decref(root);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_cases_render_exactly),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
