/* The lines of a batch's input: which are taken, what is said of others, and how they are read. */
#include "control/batch/lines.h"

#include "base/buf.h"
#include "control/inner.h"
#include "testing.h"

static bool stop(void *ctx)
{
    return ctx != NULL;
}

/* "LINE CODE PARAM;" of every error. */
static void check(const char *text, const char *want)
{
    struct ft_map map = {.data = (const uint8_t *)text, .bytes = strlen(text)};
    struct ft_batch_lines lines;
    struct ft_err err = {0};
    struct ft_buf b;
    char model[128];
    json_t *errors = json_array(), *e;
    size_t i;
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(&b, "");
    assert_int_equal(ft_batch_lines_index(&map, &lines, &err), 0);
    assert_int_equal(
        ft_batch_lines_check(&map, &lines, "/v1/embeddings", errors, model, stop, NULL, &err), 0);
    json_array_foreach(errors, i, e)
    {
        const char *param = ft_ctl_text(e, "param");
        ft_buf_addf(&b, "%lld %s %s;", (long long)ft_ctl_int(e, "line", 0), ft_ctl_text(e, "code"),
                    param != NULL ? param : "-");
    }
    assert_string_equal(b.data, want);
    json_decref(errors);
    ft_buf_fini(&b);
    ft_batch_lines_fini(&lines);
}

#define LINE(id, body)                                                                             \
    "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":" body "}"  \
    "\n"
#define BODY "{\"model\":\"m\",\"input\":\"x\"}"

static void lines_are_checked(void **state)
{
    (void)state;
    check(LINE("a", BODY) "\n \n" LINE("b", BODY), "");
    check("", "0 empty_file -;");
    check(LINE("a", BODY) "nonsense\n" LINE("a", BODY),
          "2 invalid_json_line -;3 duplicate_custom_id custom_id;");
    check("{}\n", "1 missing_required_parameter custom_id;1 missing_required_parameter method;"
                  "1 missing_required_parameter url;1 missing_required_parameter body;");
    check("{\"custom_id\":1,\"method\":\"GET\",\"url\":\"/v1/x\",\"body\":[],\"more\":1}\n",
          "1 unknown_parameter more;1 invalid_type custom_id;1 invalid_method method;"
          "1 invalid_url url;1 invalid_type body;");
    check(LINE("a", "{\"input\":\"x\"}"), "1 missing_required_parameter body.model;");
    check(LINE("a", "{\"model\":\"m\",\"stream\":true}"), "1 unsupported_value body.stream;");
    check(LINE("a", BODY) "{\"custom_id\":\"b\",\"custom_id\":\"c\"}\n", "2 invalid_json_line -;");
}

static void bounds(void **state)
{
    (void)state;
    struct ft_buf b;
    struct ft_map map;
    struct ft_batch_lines lines;
    struct ft_err err = {0};
    ft_buf_init(&b, 1 << 24);
    for (int i = 0; i < BATCH_LINES_MAX; i++)
        ft_buf_add_str(&b, "{}\n");
    map = (struct ft_map){.data = (const uint8_t *)b.data, .bytes = b.len};
    assert_int_equal(ft_batch_lines_index(&map, &lines, &err), 0);
    assert_int_equal(lines.n, BATCH_LINES_MAX);
    json_t *errors = json_array();
    char model[128];
    assert_int_equal(
        ft_batch_lines_check(&map, &lines, "/v1/embeddings", errors, model, stop, NULL, &err), 0);
    assert_int_equal(json_array_size(errors), BATCH_ERRORS_MAX);
    assert_int_equal(
        ft_batch_lines_check(&map, &lines, "/v1/embeddings", errors, model, stop, &b, &err),
        FT_ECANCELED);
    json_decref(errors);
    ft_batch_lines_fini(&lines);
    ft_buf_add_str(&b, "{}");
    map = (struct ft_map){.data = (const uint8_t *)b.data, .bytes = b.len};
    assert_int_equal(ft_batch_lines_index(&map, &lines, &err), FT_ELIMIT);
    ft_buf_reset(&b); /* deeper than it is read */
    ft_buf_add_str(&b, "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\","
                       "\"body\":{\"model\":\"m\",\"input\":");
    for (int i = 0; i < 100; i++)
        ft_buf_add_str(&b, "[");
    for (int i = 0; i < 100; i++)
        ft_buf_add_str(&b, "]");
    ft_buf_add_str(&b, "}}\n");
    check(b.data, "1 invalid_json_line -;");
    ft_buf_fini(&b);
}

static void a_line_is_read_as_it_stands(void **state)
{
    (void)state;
    static const char line[] = " { \"method\":\"POST\", \"body\" : {\"n\": 1.50, "
                               "\"s\":\"\\u00e9\"} ,\"custom\\u005fid\":\"a\\\"\"}";
    struct ft_slice id, body;
    struct ft_err err = {0};
    assert_int_equal(ft_batch_line_read(line, sizeof line - 1, &id, &body, &err), 0);
    assert_int_equal(id.n, strlen("\"a\\\"\""));
    assert_memory_equal(id.p, "\"a\\\"\"", id.n);
    assert_int_equal(body.n, strlen("{\"n\": 1.50, \"s\":\"\\u00e9\"}"));
    assert_memory_equal(body.p, "{\"n\": 1.50, \"s\":\"\\u00e9\"}", body.n);
    assert_int_equal(ft_batch_line_read("{\"body\":{}}", 11, &id, &body, &err), FT_EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_are_checked),
        cmocka_unit_test(bounds),
        cmocka_unit_test(a_line_is_read_as_it_stands),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
