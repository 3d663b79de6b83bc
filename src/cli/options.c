/* Tables of options, read by getopt_long. */
#include "cli/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"

#define MIB   1048576.0
#define FIRST 256 /* the value that getopt gives back for the first row */

int ft_opts_bytes(const char *option, const char *text, double min, double max, int64_t *ret,
                  struct ft_err *err)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    const char *unit = *end != '\0' ? strchr(units, *end & ~0x20) : NULL;
    bool wrong = end == text || errno != 0 || !isfinite(v);
    if (unit != NULL && *unit != '\0') {
        v = ldexp(v, 10 * (int)(unit - units + 1));
        end++;
        end += *end == 'i';
        end += *end == 'B';
    }
    if (wrong || *end != '\0' || !(v >= min && v <= max))
        return min >= MIB
                   ? ft_err_set(err, FT_EINVAL, "--%s: '%s' is no size from %.0fM on, such as 4G",
                                option, text, min / MIB)
                   : ft_err_set(err, FT_EINVAL,
                                "--%s: '%s' is no size from %.0f bytes on, such as 4G", option,
                                text, min);
    *ret = (int64_t)v;
    return 0;
}

static int set_number(const struct ft_opt *o, const char *text, struct ft_err *err)
{
    char *end;
    errno = 0;
    double v = strtod(text, &end);
    bool whole = o->kind == FT_OPT_WHOLE;
    if (end == text || *end != '\0' || errno != 0 || !(v >= o->min && v <= o->max) ||
        (whole && v != floor(v)))
        return ft_err_set(err, FT_EINVAL, "--%s: '%s' is not a %snumber from %.10g to %.10g",
                          o->name, text, whole ? "whole " : "", o->min, o->max);
    if (whole)
        *(int64_t *)o->at = (int64_t)v;
    else
        *(double *)o->at = v;
    return 0;
}

static int set(const struct ft_opt *o, const char *text, struct ft_err *err)
{
    struct ft_opt_many *many = o->at;
    switch (o->kind) {
    case FT_OPT_FLAG:
        *(bool *)o->at = true;
        return 0;
    case FT_OPT_TEXT:
        *(const char **)o->at = text;
        return 0;
    case FT_OPT_MANY:
        if (many->n == FT_OPT_MANY_MAX)
            return ft_err_set(err, FT_ELIMIT, "--%s: given more than %d times", o->name,
                              FT_OPT_MANY_MAX);
        many->value[many->n++] = text;
        return 0;
    case FT_OPT_BYTES:
        return ft_opts_bytes(o->name, text, o->min, o->max, o->at, err);
    default:
        return set_number(o, text, err);
    }
}

static const struct ft_opt *find(const struct ft_opt *opts, size_t n, int c)
{
    if (c >= FIRST)
        return &opts[c - FIRST];
    for (size_t i = 0; i < n; i++)
        if (opts[i].letter != 0 && opts[i].letter == c)
            return &opts[i];
    return NULL;
}

int ft_opts_parse(const char *cmd, const struct ft_opt *opts, size_t n, int argc, char **argv,
                  int min_args, int max_args, const char *words, char ***ret_args)
{
    struct option table[FT_OPT_COUNT_MAX + 1] = {{0}};
    char letters[2 * FT_OPT_COUNT_MAX + 1] = "";
    size_t at = 0;
    FT_ASSERT(n <= FT_OPT_COUNT_MAX);
    for (size_t i = 0; i < n; i++) {
        bool takes = opts[i].kind != FT_OPT_FLAG;
        table[i] = (struct option){opts[i].name, takes ? required_argument : no_argument, NULL,
                                   FIRST + (int)i};
        if (opts[i].letter != 0) {
            letters[at++] = opts[i].letter;
            if (takes)
                letters[at++] = ':';
        }
    }
    optind = 1;
    for (int c; (c = ft_cli_getopt(argc, argv, letters, table)) != -1;) {
        const struct ft_opt *o = find(opts, n, c);
        struct ft_err err = {0};
        if (o == NULL)
            return ft_cli_see_help(cmd);
        if (set(o, optarg, &err) != 0)
            return ft_cli_usage(cmd, "%s", err.msg);
    }
    int left = argc - optind;
    if (left < min_args)
        return ft_cli_usage(cmd, "needs %s", words);
    if (left > max_args)
        return ft_cli_usage(cmd, "unexpected '%s'", argv[optind + max_args]);
    *ret_args = argv + optind;
    return 0;
}

/* "tls_cert" is the option tls-cert. */
static const struct ft_opt *named(const struct ft_opt *opts, size_t n, const char *member)
{
    for (size_t i = 0; i < n; i++) {
        const char *a = opts[i].name, *b = member;
        for (; *a != '\0' && (*a == *b || (*a == '-' && *b == '_')); a++)
            b++;
        if (*a == '\0' && *b == '\0')
            return &opts[i];
    }
    return NULL;
}

int ft_opts_json(const struct ft_opt *opts, size_t n, const json_t *object, struct ft_err *err)
{
    const char *member;
    json_t *v;
    json_object_foreach((json_t *)object, member, v)
    {
        const struct ft_opt *o = named(opts, n, member);
        char number[48];
        const char *text = json_string_value(v);
        if (o == NULL)
            return ft_err_set(err, FT_EINVAL, "there is no option '%.60s'", member);
        if (json_is_integer(v))
            snprintf(number, sizeof number, "%" JSON_INTEGER_FORMAT, json_integer_value(v));
        else
            snprintf(number, sizeof number, "%.17g", json_number_value(v));
        if (json_is_number(v) && o->kind != FT_OPT_TEXT)
            text = number;
        if (o->kind == FT_OPT_FLAG && json_is_boolean(v))
            *(bool *)o->at = json_is_true(v);
        else if (o->kind == FT_OPT_FLAG || text == NULL)
            return ft_err_set(err, FT_EINVAL, "%.60s: must be %s", member,
                              o->kind == FT_OPT_FLAG   ? "true or false"
                              : o->kind == FT_OPT_TEXT ? "a text"
                                                       : "a number");
        else if (set(o, text, err) != 0)
            return err->code;
    }
    return 0;
}
