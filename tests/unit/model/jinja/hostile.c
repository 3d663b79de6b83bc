/* Hostile templates end with a clear error, soon, within bounded memory; syntax errors name the
 * line. */
#include "testing.h"

#include <jansson.h>

#include "base/clock.h"
#include "model/jinja/template.h"

/* Renders text with no variables; returns the code, fills err and out. */
static int render(const char *text, size_t n, struct ft_buf *out, struct ft_err *err)
{
    struct ft_template *t = NULL;
    json_t *vars = json_pack("{s:[i, i], s:s}", "xs", 1, 2, "s", "abc");
    *err = (struct ft_err){0};
    int rc = ft_template_open(text, n, &t, err);
    if (rc == 0)
        rc = ft_template_render(t, vars, 0, out, err);
    ft_template_close(t);
    json_decref(vars);
    return rc;
}

static void fails(const char *text, const char *message)
{
    struct ft_buf out;
    struct ft_err err;
    ft_buf_init(&out, 1 << 20);
    ft_buf_add_str(&out, "kept");
    int64_t start = ft_clock_now_ns();
    int rc = render(text, strlen(text), &out, &err);
    if (rc == 0 || strstr(err.msg, message) == NULL)
        fail_msg("%.60s: wanted '%s', have %d '%s'", text, message, rc, err.msg);
    assert_string_equal(out.data, "kept");
    assert_true(ft_clock_now_ns() - start < 60000000000);
    ft_buf_fini(&out);
}

static void syntax_errors_name_the_line(void **state)
{
    (void)state;
    fails("a\n{{ 1 +\n}}", "line 3: unexpected 'end of print statement'");
    fails("\n\n{% if x %}", "line 3: Unexpected end of template");
    fails("{% nosuch %}", "line 1: Encountered unknown tag 'nosuch'");
    fails("\n{{ 1|nosuch }}", "line 2: No filter named 'nosuch'");
    fails("{% include 'x' %}", "needs other templates");
    fails("{{ 99999999999999999999 }}", "64 bits");
    fails("\xff", "not valid UTF-8");
}

static void run_time_errors_say_what(void **state)
{
    (void)state;
    fails("{{ nope.x }}", "'nope' is undefined");
    fails("\n{{ s.x.y }}", "line 2: 'str object' has no attribute 'x'");
    fails("{{ raise_exception('stop: ' ~ s) }}", "stop: abc");
    fails("{{ 1 / 0 }}", "division by zero");
    fails("{{ 9223372036854775807 + 1 }}", "exceeds 64 bits");
    fails("{{ xs.append(1) }}", "unsafe");
    fails("{{ s.__class__.__mro__ }}", "__class__");
    fails("{{ [1]|random }}", "not supported");
}

static void endless_work_is_cut_off(void **state)
{
    (void)state;
    fails("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
          "steps");
    fails("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "nested");
    fails("{% macro m() %}{{ m() }}{{ m() }}{% endmacro %}{{ m() }}", "nested");
    fails("{% for x in [[1]] recursive %}{{ loop([x]) }}{% endfor %}", "nested");
    fails("{{ 'x' * 99999999999 }}", "longer than");
    fails("{% set ns = namespace(s='x') %}{% for i in range(99) %}{% set ns.s = ns.s ~ ns.s %}"
          "{% endfor %}",
          "MiB");
    fails("{% set ns = namespace(l=[1]) %}{% for i in range(99) %}{% set ns.l = ns.l + ns.l %}"
          "{% endfor %}",
          "MiB");
    fails("{{ [0] * 99999999999 }}", "MiB");
    fails("{% set ns = namespace(l=[]) %}{% for i in range(9999) %}{% set ns.l = [ns.l] %}{% "
          "endfor %}"
          "{{ ns.l }}",
          "nested");
    fails("{% set ns = namespace(l=xs) %}{% for i in range(9999) %}{% set ns.l = ns.l|map('abs') %}"
          "{% endfor %}{{ ns.l|list }}",
          "nested");
    fails("{% set x = 'ab' * 9999999 %}{% for i in range(99999) %}{{ 'z' in x }}{% endfor %}",
          "steps");
    fails("{% for i in range(99999) %}{{ 'x' * 9999 }}{% endfor %}", "M");
    fails("{{ '%999999999d' % 1 }}", "characters");
    fails("{{ '{:999999999}'.format(1) }}", "characters");
    fails("{{ range(100001) }}", "MAX_RANGE");
    fails("{{ s|center(99999999999) }}", "longer than");
    fails("{{ s|indent(99999999999, true) }}", "longer than");
}

/* Repeats a piece n times between two others. */
static void repeated_fails(const char *a, const char *piece, int n, const char *b,
                           const char *message)
{
    struct ft_buf t;
    ft_buf_init(&t, 1 << 24);
    ft_buf_add_str(&t, a);
    for (int i = 0; i < n; i++)
        ft_buf_add_str(&t, piece);
    ft_buf_add_str(&t, b);
    fails(t.data, message);
    ft_buf_fini(&t);
}

static void deep_templates_are_refused(void **state)
{
    (void)state;
    repeated_fails("{{ ", "(", 100000, "1 }}", "nested");
    repeated_fails("{{ ", "[", 1000, "1 }}", "nested");
    repeated_fails("{{ ", "-", 100000, "1 }}", "nested");
    repeated_fails("{{ ", "not ", 100000, "1 }}", "nested");
    repeated_fails("{{ 1", " + 1", 100000, " }}", "nested");
    repeated_fails("{{ s", "|upper", 100000, " }}", "nested");
    repeated_fails("{{ s", ".x", 100000, " }}", "nested");
    repeated_fails("{{ 1", " if 1 else 1", 50000, " }}", "nested");
    repeated_fails("", "{% if 1 %}", 50000, "", "nested");
    repeated_fails("", "{% for x in xs %}", 50000, "", "nested");
    repeated_fails("", "{{ 1 }}", 200000, "", "bytes, more than");
}

static void names_and_arguments_are_bounded(void **state)
{
    (void)state;
    struct ft_buf t;
    ft_buf_init(&t, 1 << 24);
    for (int i = 0; i < 6000; i++)
        ft_buf_addf(&t, "{%% set v%d = 1 %%}", i);
    fails(t.data, "variables");
    ft_buf_reset(&t);
    ft_buf_add_str(&t, "{{ dict(");
    for (int i = 0; i < 100; i++)
        ft_buf_addf(&t, "k%d=1,", i);
    ft_buf_add_str(&t, ") }}");
    fails(t.data, "keyword arguments");
    ft_buf_fini(&t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(syntax_errors_name_the_line),
        cmocka_unit_test(run_time_errors_say_what),
        cmocka_unit_test(endless_work_is_cut_off),
        cmocka_unit_test(deep_templates_are_refused),
        cmocka_unit_test(names_and_arguments_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
