/* Limits, budgets and dates, from options to JSON and back to words. */
#include "cli/cloud/terms.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "cli/table.h"

#define WARN_MAX    8
#define STORAGE_MAX 1e18 /* bytes */

static json_t *child(json_t *body, const char *name)
{
    json_t *o = json_object_get(body, name);
    if (o == NULL) {
        o = json_object();
        json_object_set_new(body, name, o);
    }
    return o;
}

static int put_limit(json_t *body, const char *name, const char *text, struct ft_err *err)
{
    char *end;
    if (text == NULL)
        return 0;
    if (strcmp(text, "none") == 0)
        return json_object_set_new(child(body, "limits"), name, json_null());
    errno = 0;
    long long v = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || v < 0)
        return ft_err_set(err, FT_EINVAL, "--%s: '%s' is neither a whole number nor 'none'", name,
                          text);
    return json_object_set_new(child(body, "limits"), name, json_integer(v));
}

static int put_storage(json_t *body, const char *text, struct ft_err *err)
{
    int64_t bytes;
    if (text == NULL)
        return 0;
    if (strcmp(text, "none") == 0)
        return json_object_set_new(child(body, "limits"), "storage_bytes", json_null());
    int rc = ft_opts_bytes("storage", text, 0, STORAGE_MAX, &bytes, err);
    if (rc == 0)
        json_object_set_new(child(body, "limits"), "storage_bytes", json_integer(bytes));
    return rc;
}

static int put_budget(json_t *body, const char *option, const char *name, const char *text,
                      struct ft_err *err)
{
    if (text == NULL)
        return 0;
    if (strcmp(text, "none") == 0)
        return json_object_set_new(child(body, "budget"), name, json_null());
    if (text[0] == '\0' || strspn(text, "0123456789.") != strlen(text))
        return ft_err_set(err, FT_EINVAL, "--%s: '%s' is neither an amount nor 'none'", option,
                          text);
    return json_object_set_new(child(body, "budget"), name, json_string(text));
}

static int put_warn(json_t *body, const char *text, struct ft_err *err)
{
    json_t *list = json_array();
    json_object_set_new(child(body, "budget"), "warn", list);
    for (const char *p = text; json_array_size(list) < WARN_MAX;) {
        char *end;
        double v = strtod(p, &end);
        if (end == p || (*end != '\0' && *end != ',') || !(v > 0 && v <= 1))
            break;
        json_array_append_new(list, json_real(v));
        if (*end == '\0')
            return 0;
        p = end + 1;
    }
    return ft_err_set(err, FT_EINVAL, "--warn: '%s' is not parts of the budget, such as 0.5,0.8",
                      text);
}

int ft_terms_put(const struct ft_terms *t, json_t *body, struct ft_err *err)
{
    int rc = put_limit(body, "rpm", t->rpm, err);
    if (rc == 0)
        rc = put_limit(body, "tpm", t->tpm, err);
    if (rc == 0)
        rc = put_limit(body, "concurrency", t->concurrency, err);
    if (rc == 0)
        rc = put_limit(body, "queue", t->queue, err);
    if (rc == 0)
        rc = put_storage(body, t->storage, err);
    if (rc == 0)
        rc = put_budget(body, "budget-day", "day", t->day, err);
    if (rc == 0)
        rc = put_budget(body, "budget-month", "month", t->month, err);
    if (rc == 0 && t->warn != NULL)
        rc = put_warn(body, t->warn, err);
    return rc;
}

static bool has_budget(const json_t *entity)
{
    const json_t *b = json_object_get(entity, "budget");
    return json_is_string(json_object_get(b, "day")) || json_is_string(json_object_get(b, "month"));
}

void ft_terms_currency(struct ft_cloud *c, json_t *entities)
{
    json_t *settings = NULL, *e;
    size_t i;
    bool any = has_budget(entities);
    struct ft_err ignored = {0};
    json_array_foreach(entities, i, e) any |= has_budget(e);
    if (!any || ft_cloud_call(c, "GET", "/api/v1/settings", NULL, &settings, &ignored) != 0)
        return;
    json_t *currency = json_object_get(settings, "currency");
    if (json_is_object(entities))
        json_object_set(entities, "currency", currency);
    json_array_foreach(entities, i, e) json_object_set(e, "currency", currency);
    json_decref(settings);
}

const char *ft_terms_text(const json_t *entity, char *ret, size_t n)
{
    static const struct {
        const char *name, *words;
    } limits[] = {{"rpm", "requests/min"},
                  {"tpm", "tokens/min"},
                  {"concurrency", "at once"},
                  {"queue", "waiting"}},
      budgets[] = {{"day", "a day"}, {"month", "a month"}};
    const json_t *l = json_object_get(entity, "limits"), *b = json_object_get(entity, "budget");
    const char *currency = ft_cloud_text(entity, "currency", "");
    size_t at = 0;
    ret[0] = '\0';
    for (size_t i = 0; i < FT_COUNT(limits) && at < n; i++) {
        const json_t *v = json_object_get(l, limits[i].name);
        if (json_is_integer(v))
            at += (size_t)snprintf(ret + at, n - at, "%s%lld %s", at > 0 ? ", " : "",
                                   json_integer_value(v), limits[i].words);
    }
    for (size_t i = 0; i < FT_COUNT(budgets) && at < n; i++) {
        const char *v = json_string_value(json_object_get(b, budgets[i].name));
        if (v != NULL)
            at += (size_t)snprintf(ret + at, n - at, "%s%s %s%s%s", at > 0 ? ", " : "", v, currency,
                                   currency[0] != '\0' ? " " : "", budgets[i].words);
    }
    const json_t *kept = json_object_get(l, "storage_bytes");
    if (json_is_integer(kept) && at < n) {
        char size[FT_FIGURE_BYTES];
        snprintf(ret + at, n - at, "%s%s stored", at > 0 ? ", " : "",
                 ft_figure_bytes(size, (uint64_t)json_integer_value(kept)));
    }
    return ret;
}

int ft_terms_when(const char *option, const char *text, bool past, int64_t *ret, struct ft_err *err)
{
    static const struct {
        char letter;
        int64_t s;
    } units[] = {{'m', 60}, {'h', 3600}, {'d', 86400}, {'w', 7 * 86400}};
    char *end;
    struct tm t = {.tm_isdst = -1};
    errno = 0;
    long long v = strtoll(text, &end, 10);
    for (size_t i = 0; i < FT_COUNT(units); i++)
        if (end != text && errno == 0 && v > 0 && v < 1000000 && end[0] == units[i].letter &&
            end[1] == '\0') {
            *ret = (int64_t)time(NULL) + (past ? -v : v) * units[i].s;
            return 0;
        }
    const char *rest = strptime(text, "%Y-%m-%d", &t);
    if (rest == NULL || *rest != '\0')
        return ft_err_set(err, FT_EINVAL,
                          "--%s: '%s' is neither a span such as 90m, 12h, 30d nor a date such as "
                          "2026-12-31",
                          option, text);
    *ret = (int64_t)mktime(&t);
    return 0;
}
