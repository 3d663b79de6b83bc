/* `feitian render`: a conversation on standard input to the exact text that a model is given. */
#include "cli/cli.h"

#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "model/jinja/template.h"
#include "model/prompt/prompt.h"

#define INPUT_BYTES_MAX    ((size_t)256 << 20)
#define TEMPLATE_BYTES_MAX ((size_t)4 << 20)
#define OUTPUT_BYTES_MAX   ((size_t)256 << 20)

struct options {
    const char *model, *template;
    int64_t now;
};

/* Seconds since the epoch, or ISO 8601: a date, or date and time. The time is what a clock on the
 * wall shows, so a zone at its end is accepted and changes nothing. */
static int time_parse(const char *text, int64_t *ret)
{
    char *end;
    errno = 0;
    long long s = strtoll(text, &end, 10);
    if (errno == 0 && end != text && *end == '\0') {
        *ret = s;
        return 0;
    }
    struct tm t = {0};
    int n = 0, used = 0, frac = 0;
    if (sscanf(text, "%4d-%2d-%2d%n", &t.tm_year, &t.tm_mon, &t.tm_mday, &n) != 3)
        return -1;
    const char *p = text + n;
    if (*p == 'T' || *p == 't' || *p == ' ') {
        if (sscanf(p + 1, "%2d:%2d%n", &t.tm_hour, &t.tm_min, &used) != 2)
            return -1;
        p += 1 + used;
        if (*p == ':') {
            if (sscanf(p + 1, "%2d%n", &t.tm_sec, &used) != 1)
                return -1;
            p += 1 + used;
        }
        if (*p == '.' && sscanf(p + 1, "%*[0-9]%n", &frac) == 0 && frac > 0)
            p += 1 + frac;
        int hours, minutes;
        if (*p == 'Z' || *p == 'z')
            p++;
        else if ((*p == '+' || *p == '-') &&
                 sscanf(p + 1, "%2d:%2d%n", &hours, &minutes, &used) == 2)
            p += 1 + used;
    }
    bool valid = *p == '\0' && t.tm_year >= 1 && t.tm_mon >= 1 && t.tm_mon <= 12 &&
                 t.tm_mday >= 1 && t.tm_mday <= 31 && t.tm_hour >= 0 && t.tm_hour <= 23 &&
                 t.tm_min >= 0 && t.tm_min <= 59 && t.tm_sec >= 0 && t.tm_sec <= 59;
    if (!valid)
        return -1;
    int day = t.tm_mday;
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    *ret = timegm(&t);
    return t.tm_mday == day ? 0 : -1; /* the 30th of February became another day */
}

static int args_parse(int argc, char **argv, struct options *o)
{
    static const struct option options[] = {
        {"template", required_argument, NULL, 't'}, {"now", required_argument, NULL, 'n'}, {0}};
    *o = (struct options){.now = ft_clock_wall_s()};
    for (int c; (c = ft_cli_getopt(argc, argv, "", options)) != -1;) {
        if (c == 't')
            o->template = optarg;
        else if (c == 'n' && time_parse(optarg, &o->now) != 0)
            return ft_cli_usage(
                "render", "--now: '%s' is neither seconds nor like 2024-07-26T12:00:00", optarg);
        else if (c != 'n')
            return ft_cli_see_help("render");
    }
    if (argc - optind != (o->template == NULL ? 1 : 0))
        return ft_cli_usage("render", "either one MODEL or --template FILE is needed");
    o->model = o->template == NULL ? argv[optind] : NULL;
    return 0;
}

static int vars_read(json_t **ret, struct ft_err *err)
{
    char *text;
    size_t n;
    json_error_t jerr;
    int rc = ft_file_read("-", INPUT_BYTES_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    json_t *vars = json_loadb(text, n, JSON_ALLOW_NUL, &jerr);
    free(text);
    if (vars == NULL)
        return ft_err_set(err, FT_EINVAL, "standard input: line %d: %s", jerr.line, jerr.text);
    if (!json_is_object(vars)) {
        json_decref(vars);
        return ft_err_set(err, FT_EINVAL, "standard input: one JSON object is wanted");
    }
    *ret = vars;
    return 0;
}

static int from_file(const char *path, struct ft_template **ret, struct ft_err *err)
{
    char *text;
    size_t n;
    int rc = ft_file_read(path, TEMPLATE_BYTES_MAX, &text, &n, err);
    if (rc != 0)
        return rc;
    rc = ft_template_open(text, n, ret, err);
    free(text);
    return rc != 0 ? ft_err_wrap(err, "%s", path) : 0;
}

/* A template would take what is missing for empty, and print nothing or half. */
static int messages_check(const json_t *vars, struct ft_err *err)
{
    const json_t *messages = json_object_get(vars, "messages");
    size_t i;
    const json_t *m;
    if (!json_is_array(messages))
        return ft_err_set(err, FT_EINVAL, "standard input: messages: %s",
                          messages == NULL ? "missing" : "must be an array");
    json_array_foreach(messages, i, m)
    {
        if (!json_is_object(m))
            return ft_err_set(err, FT_EINVAL, "standard input: messages[%zu]: must be an object",
                              i);
        if (!json_is_string(json_object_get(m, "role")))
            return ft_err_set(err, FT_EINVAL, "standard input: messages[%zu].role: %s", i,
                              json_object_get(m, "role") == NULL ? "missing" : "must be a string");
    }
    return 0;
}

/* The model is opened first: that it is missing is said before standard input is waited for. */
static int from_model(const char *path, json_t **ret_vars, struct ft_template **ret,
                      struct ft_err *err)
{
    struct ft_weights *w = NULL;
    struct ft_tokenizer *t = NULL;
    struct ft_slice text;
    json_t *vars = NULL, *tools;
    int rc = ft_weights_open(path, &w, err);
    if (rc == 0)
        rc = vars_read(ret_vars, err);
    vars = *ret_vars;
    if (rc == 0)
        rc = messages_check(vars, err);
    tools = json_object_get(vars, "tools");
    if (rc == 0)
        rc = ft_prompt_template_text(w, json_array_size(tools) > 0, &text, err);
    if (rc == 0)
        rc = ft_tokenizer_open(w, &t, err);
    if (rc == 0)
        rc = ft_prompt_vars(t, vars, err);
    if (rc == 0 && (rc = ft_template_open(text.p, text.n, ret, err)) != 0)
        ft_err_wrap(err, "the chat template of %s", path);
    ft_tokenizer_close(t);
    ft_weights_close(w);
    return rc;
}

int ft_cmd_render(int argc, char **argv)
{
    struct options o;
    struct ft_err err = {0};
    struct ft_template *t = NULL;
    struct ft_buf out;
    json_t *vars = NULL;
    int status = args_parse(argc, argv, &o);
    if (status != 0)
        return status;
    ft_buf_init(&out, OUTPUT_BYTES_MAX);
    int rc =
        o.model != NULL ? from_model(o.model, &vars, &t, &err) : from_file(o.template, &t, &err);
    if (rc == 0 && o.model == NULL)
        rc = vars_read(&vars, &err);
    if (rc == 0)
        rc = ft_template_render(t, vars, o.now, &out, &err);
    if (rc == 0 && (fwrite(out.data != NULL ? out.data : "", 1, out.len, stdout) != out.len ||
                    fflush(stdout) != 0))
        rc = ft_err_sys(&err, "standard output");
    if (rc != 0)
        status = ft_cli_fail(err.code == FT_EINVAL ? 2 : 1, &err, "render");
    ft_buf_fini(&out);
    ft_template_close(t);
    json_decref(vars);
    return status;
}
