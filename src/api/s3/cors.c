/* Which cross-origin rule a request meets. */
#include "api/s3/cors.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

#include "api/s3/policy_match.h"

#define HEADER_MAX 256 /* bytes of one header's name */

bool ft_s3_cors_pattern_ok(const char *pattern)
{
    const char *star = strchr(pattern, '*');
    return *pattern != '\0' && (star == NULL || strchr(star + 1, '*') == NULL);
}

bool ft_s3_cors_method_ok(const char *method)
{
    static const char *const METHODS[] = {"GET", "PUT", "POST", "DELETE", "HEAD"};
    for (size_t i = 0; i < FT_COUNT(METHODS); i++)
        if (strcmp(METHODS[i], method) == 0)
            return true;
    return false;
}

static bool pattern_has(const char *pattern, const char *text, bool ignore_case)
{
    char plain[HEADER_MAX];
    size_t n = strcspn(pattern, "?"); /* no wildcard here, and in no origin or header's name */
    if (pattern[n] != '\0' || strlen(pattern) >= sizeof(plain))
        return strcmp(pattern, text) == 0;
    return ft_s3_like(pattern, text, ignore_case);
}

static bool list_has(const struct ft_s3_cors_list *list, const char *text, bool ignore_case)
{
    for (int i = 0; i < list->n; i++)
        if (pattern_has(list->v[i], text, ignore_case))
            return true;
    return false;
}

static bool has_all_headers(const struct ft_s3_cors_rule *rule, const char *headers)
{
    while (headers != NULL && *headers != '\0') {
        while (*headers == ',' || isspace((unsigned char)*headers))
            headers++;
        size_t n = strcspn(headers, ", \t");
        char name[HEADER_MAX];
        if (n >= sizeof(name))
            return false;
        memcpy(name, headers, n);
        name[n] = '\0';
        if (n > 0 && !list_has(&rule->headers, name, true))
            return false;
        headers += n;
    }
    return true;
}

const struct ft_s3_cors_rule *ft_s3_cors_find(const struct ft_s3_cors *cors, const char *origin,
                                              const char *method, const char *headers,
                                              const char **ret_origin)
{
    for (int i = 0; i < cors->n; i++) {
        const struct ft_s3_cors_rule *rule = cors->rules[i];
        if (!list_has(&rule->methods, method, false) || !has_all_headers(rule, headers))
            continue;
        for (int o = 0; o < rule->origins.n; o++) {
            if (!pattern_has(rule->origins.v[o], origin, false))
                continue;
            *ret_origin = strcmp(rule->origins.v[o], "*") == 0 ? "*" : origin;
            return rule;
        }
    }
    return NULL;
}

void ft_s3_cors_join(const struct ft_s3_cors_list *list, struct ft_buf *ret)
{
    for (int i = 0; i < list->n; i++)
        ft_buf_addf(ret, "%s%s", i > 0 ? ", " : "", list->v[i]);
}
