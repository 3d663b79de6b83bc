/* Checks of single values, and how their failures read. */
#include "api/openai/check.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#define AT_DEPTH_MAX 16 /* links of a place: no parser here goes deeper */

void ft_oai_at_write(const struct ft_oai_at *at, char *ret, size_t bytes)
{
    const struct ft_oai_at *chain[AT_DEPTH_MAX];
    int n = 0;
    size_t len = 0;
    for (; at != NULL && n < AT_DEPTH_MAX; at = at->up)
        chain[n++] = at;
    ret[0] = '\0';
    while (n-- > 0 && len < bytes) {
        int k = chain[n]->name == NULL
                    ? snprintf(ret + len, bytes - len, "[%zu]", chain[n]->index)
                    : snprintf(ret + len, bytes - len, "%s%s", len > 0 ? "." : "", chain[n]->name);
        len += (size_t)FT_MAX(k, 0);
    }
}

static int fail(struct ft_oai_error *e, enum ft_code code, const char *err_code,
                const struct ft_oai_at *at, const char *fmt, va_list ap)
{
    char place[FT_OAI_PARAM_MAX], what[FT_ERR_MSG_MAX];
    ft_oai_at_write(at, place, sizeof place);
    vsnprintf(what, sizeof what, fmt, ap);
    return ft_oai_error_set(e, code, err_code, place, "%s%s%s", place, place[0] != '\0' ? ": " : "",
                            what);
}

int ft_oai_bad(struct ft_oai_error *e, const struct ft_oai_at *at, const char *err_code,
               const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail(e, FT_EINVAL, err_code, at, fmt, ap);
    va_end(ap);
    return rc;
}

static int fail_unsupported(struct ft_oai_error *e, const struct ft_oai_at *at, const char *fmt,
                            ...) __attribute__((format(printf, 3, 4)));
static int fail_unsupported(struct ft_oai_error *e, const struct ft_oai_at *at, const char *fmt,
                            ...)
{
    va_list ap;
    va_start(ap, fmt);
    int rc = fail(e, FT_EUNSUPPORTED, "unsupported_parameter", at, fmt, ap);
    va_end(ap);
    return rc;
}

int ft_oai_unsupported(struct ft_oai_error *e, const struct ft_oai_at *at, const char *why)
{
    return fail_unsupported(e, at, "not supported: %s", why);
}

int ft_oai_unknown(struct ft_oai_error *e, const struct ft_oai_at *at)
{
    return ft_oai_bad(e, at, "unknown_parameter", "unknown parameter");
}

int ft_oai_missing(struct ft_oai_error *e, const struct ft_oai_at *at)
{
    return ft_oai_bad(e, at, "missing_required_parameter", "missing, but required");
}

static const char *type_name(const json_t *v)
{
    switch (json_typeof(v)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
        return "an integer";
    case JSON_REAL:
        return "a decimal number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    case JSON_NULL:
        return "null";
    }
    return "something else";
}

int ft_oai_wrong_type(struct ft_oai_error *e, const struct ft_oai_at *at, const char *wanted,
                      const json_t *v)
{
    return ft_oai_bad(e, at, "invalid_type", "must be %s, but is %s", wanted, type_name(v));
}

int ft_oai_int(const json_t *v, const struct ft_oai_at *at, int64_t lo, int64_t hi, int64_t *ret,
               struct ft_oai_error *e)
{
    if (!json_is_integer(v))
        return ft_oai_wrong_type(e, at, "an integer", v);
    int64_t x = json_integer_value(v);
    if (x < lo)
        return ft_oai_bad(e, at, "integer_below_min_value", "must be at least %lld, but is %lld",
                          (long long)lo, (long long)x);
    if (x > hi)
        return ft_oai_bad(e, at, "integer_above_max_value", "must be at most %lld, but is %lld",
                          (long long)hi, (long long)x);
    *ret = x;
    return 0;
}

int ft_oai_num(const json_t *v, const struct ft_oai_at *at, double lo, double hi, double *ret,
               struct ft_oai_error *e)
{
    if (!json_is_number(v))
        return ft_oai_wrong_type(e, at, "a number", v);
    double x = json_number_value(v);
    if (!(x >= lo))
        return ft_oai_bad(e, at, "decimal_below_min_value", "must be at least %g, but is %g", lo,
                          x);
    if (!(x <= hi))
        return ft_oai_bad(e, at, "decimal_above_max_value", "must be at most %g, but is %g", hi, x);
    *ret = x;
    return 0;
}

int ft_oai_bool(const json_t *v, const struct ft_oai_at *at, bool *ret, struct ft_oai_error *e)
{
    if (!json_is_boolean(v))
        return ft_oai_wrong_type(e, at, "a boolean", v);
    *ret = json_is_true(v);
    return 0;
}

int ft_oai_str(const json_t *v, const struct ft_oai_at *at, size_t min, size_t max,
               const char **ret, struct ft_oai_error *e)
{
    if (!json_is_string(v))
        return ft_oai_wrong_type(e, at, "a string", v);
    size_t n = json_string_length(v);
    if (n < min)
        return ft_oai_bad(e, at, "string_below_min_length", "%s",
                          min == 1 ? "must not be empty" : "is too short");
    if (n > max)
        return ft_oai_bad(e, at, "string_above_max_length", "must have at most %zu bytes, has %zu",
                          max, n);
    *ret = json_string_value(v);
    return 0;
}

int ft_oai_array(const json_t *v, const struct ft_oai_at *at, size_t min, size_t max,
                 struct ft_oai_error *e)
{
    if (!json_is_array(v))
        return ft_oai_wrong_type(e, at, "an array", v);
    size_t n = json_array_size(v);
    if (n < min)
        return ft_oai_bad(e, at, "array_below_min_length", "must have at least %zu element%s", min,
                          min == 1 ? "" : "s");
    if (n > max)
        return ft_oai_bad(e, at, "array_above_max_length",
                          "must have at most %zu elements, has %zu", max, n);
    return 0;
}

int ft_oai_object(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    return json_is_object(v) ? 0 : ft_oai_wrong_type(e, at, "an object", v);
}

int ft_oai_enum(const json_t *v, const struct ft_oai_at *at, const char *const *names, int *ret,
                struct ft_oai_error *e)
{
    if (!json_is_string(v))
        return ft_oai_wrong_type(e, at, "a string", v);
    const char *s = json_string_value(v);
    char all[256] = "";
    size_t len = 0;
    for (int i = 0; names[i] != NULL; i++) {
        if (strcmp(s, names[i]) == 0) {
            *ret = i;
            return 0;
        }
        if (len < sizeof all)
            len += (size_t)snprintf(all + len, sizeof all - len, "%s\"%s\"", i > 0 ? ", " : "",
                                    names[i]);
    }
    return ft_oai_bad(e, at, "invalid_value", "must be one of %s, but is \"%.64s\"", all, s);
}

int ft_oai_name(const json_t *v, const struct ft_oai_at *at, const char **ret,
                struct ft_oai_error *e)
{
    int rc = ft_oai_str(v, at, 1, 64, ret, e);
    if (rc != 0)
        return rc;
    const char *s = *ret;
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-");
    if (s[n] != '\0')
        return ft_oai_bad(e, at, "invalid_value",
                          "may have letters, digits, underscores and dashes only");
    return 0;
}

int ft_oai_only(const json_t *v, const struct ft_oai_at *at, const char *const *names,
                struct ft_oai_error *e)
{
    const char *key;
    json_t *member;
    json_object_foreach((json_t *)v, key, member)
    {
        int i = 0;
        while (names[i] != NULL && strcmp(names[i], key) != 0)
            i++;
        if (names[i] == NULL)
            return ft_oai_unknown(e, FT_OAI_AT(at, key));
    }
    return 0;
}

int ft_oai_metadata(const json_t *v, const struct ft_oai_at *at, struct ft_oai_error *e)
{
    enum { MEMBERS_MAX = 16, NAME_MAX = 64, VALUE_MAX = 512 };
    int rc = ft_oai_object(v, at, e);
    if (rc != 0)
        return rc;
    if (json_object_size(v) > MEMBERS_MAX)
        return ft_oai_bad(e, at, "object_above_max_properties", "must have at most %d members",
                          MEMBERS_MAX);
    const char *key, *s;
    json_t *member;
    json_object_foreach((json_t *)v, key, member)
    {
        const struct ft_oai_at *here = FT_OAI_AT(at, key);
        if (strlen(key) > NAME_MAX)
            return ft_oai_bad(e, at, "string_above_max_length", "names have at most %d bytes",
                              NAME_MAX);
        if ((rc = ft_oai_str(member, here, 0, VALUE_MAX, &s, e)) != 0)
            return rc;
    }
    return 0;
}

static void cut(char *s, const char *part)
{
    char *p = strstr(s, part);
    size_t n = strlen(part);
    if (p != NULL)
        memmove(p, p + n, strlen(p + n) + 1);
}

void ft_oai_error_cut(struct ft_oai_error *e, const char *head, const char *part)
{
    if (strncmp(e->param, head, strlen(head)) != 0)
        return;
    cut(e->param, part);
    cut(e->err.msg, part);
}

void ft_oai_error_rename(struct ft_oai_error *e, const struct ft_oai_renamed *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        size_t len = strlen(names[i].chat);
        if (strncmp(e->param, names[i].chat, len) != 0)
            continue;
        char rest[FT_OAI_PARAM_MAX], msg[FT_ERR_MSG_MAX];
        const char *what = strstr(e->err.msg, ": ");
        snprintf(rest, sizeof rest, "%s", e->param + len);
        snprintf(msg, sizeof msg, "%s", what != NULL ? what : "");
        snprintf(e->param, sizeof e->param, "%s%s", names[i].here, rest);
        snprintf(e->err.msg, sizeof e->err.msg, "%s%.*s", e->param,
                 FT_ERR_MSG_MAX - FT_OAI_PARAM_MAX - 1, msg);
        return;
    }
}

json_t *ft_oai_get(const json_t *object, const char *name)
{
    json_t *v = json_object_get(object, name);
    return json_is_null(v) ? NULL : v;
}
