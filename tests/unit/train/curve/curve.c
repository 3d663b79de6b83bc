/* Metrics to points, points to a script, a script to a picture. */
#include "testing.h"

#include <stdbool.h>
#include <sys/stat.h>

#include "base/file.h"
#include "train/curve/impl.h"

static char folder[64], path[4][128];

/* "NAME" in the test's folder; up to four at a time. */
static const char *at(const char *name)
{
    static int next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", folder, name);
    return p;
}

static int folder_make(void **state)
{
    (void)state;
    strcpy(folder, "/tmp/feitian-curve-XXXXXX");
    return mkdtemp(folder) == NULL;
}

static int folder_remove(void **state)
{
    (void)state;
    char command[128];
    snprintf(command, sizeof command, "rm -r '%s'", folder);
    return system(command);
}

static void put_file(const char *name, const char *text)
{
    FILE *f = fopen(at(name), "w");
    assert_non_null(f);
    assert_true(fputs(text, f) >= 0);
    fclose(f);
}

static struct ft_curve_metrics metrics(const char *text)
{
    struct ft_curve_metrics m = {0};
    struct ft_err err = {0};
    if (ft_curve_metrics_read(text, strlen(text), &m, &err) != 0)
        fail_msg("%s", err.msg);
    return m;
}

static void test_lines_become_points(void **state)
{
    (void)state;
    struct ft_curve_metrics m = metrics("{\"step\": 1, \"loss\": 3.5, \"lr\": 1e-4}\n"
                                        "\n"
                                        "{\"step\": 2, \"loss\": 3}\n"
                                        "{\"step\": 2, \"valid_loss\": 3.25}\n"
                                        "{\"event\": \"something else\"}\n"
                                        "{\"step\": 3, \"loss\": 2, \"valid_loss\": 2.5}\n"
                                        "{\"step\": 4, \"lo");
    assert_int_equal(3, m.train.n);
    assert_int_equal(2, m.valid.n);
    assert_true(m.train.at[0].step == 1 && m.train.at[0].loss == 3.5);
    assert_true(m.train.at[1].step == 2 && m.train.at[1].loss == 3);
    assert_true(m.train.at[2].step == 3 && m.train.at[2].loss == 2);
    assert_true(m.valid.at[0].step == 2 && m.valid.at[0].loss == 3.25);
    assert_true(m.valid.at[1].step == 3 && m.valid.at[1].loss == 2.5);
    ft_curve_metrics_fini(&m);
}

static void test_what_a_resumed_run_says_counts(void **state)
{
    (void)state;
    struct ft_curve_metrics m = metrics("{\"step\": 1, \"loss\": 5}\n"
                                        "{\"step\": 2, \"loss\": 4}\n"
                                        "{\"step\": 3, \"loss\": 3}\n"
                                        "{\"step\": 3, \"valid_loss\": 3.5}\n"
                                        "{\"step\": 2, \"loss\": 4.5}\n"
                                        "{\"step\": 3, \"loss\": 3.75}\n"
                                        "{\"step\": 3, \"valid_loss\": 3.875}\n");
    assert_int_equal(3, m.train.n);
    assert_true(m.train.at[1].step == 2 && m.train.at[1].loss == 4.5);
    assert_true(m.train.at[2].step == 3 && m.train.at[2].loss == 3.75);
    assert_int_equal(1, m.valid.n);
    assert_true(m.valid.at[0].loss == 3.875);
    ft_curve_metrics_fini(&m);
}

static void test_bad_lines_are_named(void **state)
{
    (void)state;
    const struct {
        const char *text, *says;
        enum ft_code code;
    } bad[] = {
        {"{\"step\": 1, \"loss\": 1}\n{\"step\": 2,\n", "line 2: ", FT_ECORRUPT},
        {"[1]\n", "line 1: not a JSON object", FT_ECORRUPT},
        {"\n{\"step\": 1, \"loss\": \"x\"}\n", "line 2: loss: ", FT_ECORRUPT},
        {"{\"step\": 1, \"valid_loss\": null}\n", "line 1: valid_loss: ", FT_ECORRUPT},
        {"{\"loss\": 1}\n", "line 1: step: ", FT_ECORRUPT},
        {"{\"step\": -1, \"loss\": 1}\n", "line 1: step: ", FT_ECORRUPT},
        {"{\"step\": 1.5, \"loss\": 1}\n", "line 1: step: ", FT_ECORRUPT},
        {"", "no line has a loss", FT_EINVAL},
        {"{\"step\": 1}\n", "no line has a loss", FT_EINVAL},
    };
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_curve_metrics m = {0};
        struct ft_err err = {0};
        assert_int_equal(bad[i].code,
                         ft_curve_metrics_read(bad[i].text, strlen(bad[i].text), &m, &err));
        if (strncmp(err.msg, bad[i].says, strlen(bad[i].says)) != 0)
            fail_msg("'%s' does not begin with '%s'", err.msg, bad[i].says);
        assert_int_equal(0, m.train.n);
    }
}

static struct ft_buf script(const struct ft_curve_metrics *m, const char *title)
{
    struct ft_buf b;
    ft_buf_init(&b, 1 << 22);
    assert_int_equal(0, ft_curve_script(m, title, &b, NULL));
    return b;
}

/* Rows of a table; and the number in column 2 of its last one. */
static int rows(const char *text, const char *table, double *ret_last)
{
    char head[64];
    snprintf(head, sizeof head, "$%s << END\n", table);
    const char *p = strstr(text, head);
    assert_non_null(p);
    int n = 0;
    double step;
    for (p += strlen(head); strncmp(p, "END\n", 4) != 0; p = strchr(p, '\n') + 1, n++)
        assert_int_equal(2, sscanf(p, "%lf %lf", &step, ret_last));
    return n;
}

static struct ft_curve_metrics made(int n, double (*loss)(int))
{
    struct ft_curve_metrics m = {0};
    m.train.at = calloc((size_t)n, sizeof *m.train.at);
    for (m.train.n = 0; m.train.n < n; m.train.n++)
        m.train.at[m.train.n] = (struct ft_curve_point){m.train.n + 1, loss(m.train.n)};
    return m;
}

static double zigzag(int i)
{
    return i % 2 == 0 ? 1 : 3;
}

static double spiked(int i)
{
    return i == 50000 ? 1000 : 2;
}

static void test_curves_are_averaged_and_thinned(void **state)
{
    (void)state;
    double last = 0;
    struct ft_curve_metrics m = made(100000, zigzag);
    struct ft_buf b = script(&m, "t");
    int n = rows(b.data, "train", &last);
    assert_true(n > 1000 && n < 2000);
    n = rows(b.data, "mean", &last);
    assert_true(n > 500 && n < 2000);
    assert_true(last > 1.99 && last < 2.01);
    ft_buf_fini(&b);
    ft_curve_metrics_fini(&m);
    m = made(100, zigzag);
    b = script(&m, "t");
    assert_int_equal(100, rows(b.data, "train", &last)); /* few points are all there */
    assert_true(last == 3);
    ft_buf_fini(&b);
    ft_curve_metrics_fini(&m);
}

static void test_a_spike_is_cut(void **state)
{
    (void)state;
    double low, high;
    struct ft_curve_metrics m = made(100000, spiked);
    struct ft_buf b = script(&m, "t");
    const char *range = strstr(b.data, "set yrange");
    assert_non_null(range);
    assert_int_equal(2, sscanf(range, "set yrange [%lf:%lf]", &low, &high));
    assert_true(low <= 2 && high >= 2 && high < 10);
    ft_buf_fini(&b);
    ft_curve_metrics_fini(&m);
}

static void test_titles_cannot_command(void **state)
{
    (void)state;
    struct ft_curve_metrics m = made(3, zigzag);
    struct ft_buf b = script(&m, "it's\n!touch x \xe4\xb8\xad \xff");
    assert_non_null(strstr(b.data, "'it''s !touch x \xe4\xb8\xad ?'"));
    ft_buf_fini(&b);
    char longer[200] = {0};
    memset(longer, 'x', sizeof longer - 1);
    b = script(&m, longer);
    assert_non_null(strstr(b.data, "xxx...'"));
    assert_null(strstr(b.data, longer));
    ft_buf_fini(&b);
    ft_curve_metrics_fini(&m);
}

static bool have_gnuplot(void)
{
    return system("gnuplot --version >/dev/null 2>&1") == 0;
}

static const char some[] = "{\"step\": 1, \"loss\": 3}\n{\"step\": 2, \"loss\": 2}\n"
                           "{\"step\": 2, \"valid_loss\": 2.5}\n{\"step\": 3, \"loss\": 1.75}\n";

static void test_the_picture_is_drawn(void **state)
{
    (void)state;
    struct ft_err err = {0};
    char *text;
    size_t n;
    if (!have_gnuplot()) {
        print_message("[ SKIPPED  ] no gnuplot\n");
        skip();
    }
    put_file("metrics.jsonl", some);
    put_file("loss.svg", "the old one");
    if (ft_curve_write(at("metrics.jsonl"), "a <b> & \"c\" `d` $e @f %g {/Bold h}", at("loss.svg"),
                       NULL, &err) != 0)
        fail_msg("%s", err.msg);
    assert_int_equal(0, ft_file_read(at("loss.svg"), 1 << 20, &text, &n, NULL));
    assert_non_null(strstr(text, "<svg"));
    assert_non_null(strstr(text, "</svg>"));
    assert_non_null(strstr(text, "a &lt;b> &amp; \"c\" `d` $e @f %g {/Bold h}"));
    assert_non_null(strstr(text, "training loss 1.75 at the end, validation loss 2.5"));
    free(text);
}

static void test_failures_leave_nothing(void **state)
{
    (void)state;
    const struct {
        const char *gnuplot;
        enum ft_code code;
        const char *says;
    } bad[] = {{"/nowhere/gnuplot", FT_EUNSUPPORTED, "gnuplot-nox"},
               {"/bin/false", FT_EIO, "gnuplot"},
               {"/bin/true", FT_EIO, "drew nothing"}};
    put_file("metrics.jsonl", some);
    for (size_t i = 0; i < FT_COUNT(bad); i++) {
        struct ft_err err = {0};
        assert_int_equal(bad[i].code, ft_curve_write(at("metrics.jsonl"), "t", at("none.svg"),
                                                     bad[i].gnuplot, &err));
        if (strstr(err.msg, bad[i].says) == NULL)
            fail_msg("'%s' does not say '%s'", err.msg, bad[i].says);
    }
    char command[192];
    snprintf(command, sizeof command, "ls %s | grep -q none", folder);
    assert_int_not_equal(0, system(command));
    assert_int_equal(FT_ENOTFOUND, ft_curve_write(at("absent"), "t", at("none.svg"), NULL, NULL));
}

static void test_what_gnuplot_says_is_told(void **state)
{
    (void)state;
    struct ft_err err = {0};
    put_file("metrics.jsonl", some);
    put_file("fake", "#!/bin/sh\nhead -c 10 >/dev/null\necho partial\n"
                     "echo 'plot x' >&2\necho 'line 3: no such thing' >&2\nexit 1\n");
    assert_int_equal(0, chmod(at("fake"), 0755));
    assert_int_equal(FT_EIO,
                     ft_curve_write(at("metrics.jsonl"), "t", at("none.svg"), at("fake"), &err));
    assert_string_equal("gnuplot: line 3: no such thing", err.msg);
    assert_int_not_equal(0, access(at("none.svg"), F_OK));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_become_points),
        cmocka_unit_test(test_what_a_resumed_run_says_counts),
        cmocka_unit_test(test_bad_lines_are_named),
        cmocka_unit_test(test_curves_are_averaged_and_thinned),
        cmocka_unit_test(test_a_spike_is_cut),
        cmocka_unit_test(test_titles_cannot_command),
        cmocka_unit_test(test_the_picture_is_drawn),
        cmocka_unit_test(test_failures_leave_nothing),
        cmocka_unit_test(test_what_gnuplot_says_is_told),
    };
    return cmocka_run_group_tests(tests, folder_make, folder_remove);
}
