/* What browsers are told of other origins: before a request, and with its answer. */
#include <string.h>

#include "api/s3/impl.h"

#define JOINED_MAX 8192 /* bytes of a header made of a list */

static void out_list(struct ft_s3_call *c, const char *name, const struct ft_s3_cors_list *list)
{
    struct ft_buf b;
    if (list->n == 0)
        return;
    ft_buf_init(&b, JOINED_MAX);
    ft_s3_cors_join(list, &b);
    if (b.failed == 0)
        ft_s3_out(c, name, b.data);
    ft_buf_fini(&b);
}

static void out_rule(struct ft_s3_call *c, const struct ft_s3_cors_rule *rule, const char *origin)
{
    ft_s3_out(c, "Access-Control-Allow-Origin", origin);
    out_list(c, "Access-Control-Allow-Methods", &rule->methods);
    out_list(c, "Access-Control-Expose-Headers", &rule->expose);
    if (rule->max_age_s >= 0)
        ft_s3_outf(c, "Access-Control-Max-Age", "%lld", (long long)rule->max_age_s);
    if (strcmp(origin, "*") != 0)
        ft_s3_out(c, "Access-Control-Allow-Credentials", "true");
    ft_s3_out(c, "Vary", "Origin, Access-Control-Request-Headers, Access-Control-Request-Method");
}

void ft_s3_cors_headers(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    const char *origin = ft_s3_in(c, "origin"), *answer;
    const char *method = ft_s3_in(c, "access-control-request-method");
    if (origin == NULL || ft_s3_settings(c, &c->at, &s) != 0)
        return;
    const struct ft_s3_cors_rule *rule =
        ft_s3_cors_find(&s->cors, origin, method != NULL ? method : c->x->method, NULL, &answer);
    if (rule != NULL)
        out_rule(c, rule, answer);
}

int ft_s3_preflight(struct ft_s3_call *c)
{
    const struct ft_s3_settings *s;
    const char *origin = ft_s3_in(c, "origin"), *answer;
    const char *method = ft_s3_in(c, "access-control-request-method");
    const char *headers = ft_s3_in(c, "access-control-request-headers");
    c->anonymous = true;
    if (origin == NULL)
        return ft_s3_fail(c, FT_S3_BadRequest,
                          "Insufficient information. Origin request header needed.");
    if (method == NULL || !ft_s3_cors_method_ok(method))
        return ft_s3_fail(c, FT_S3_BadRequest, "Invalid Access-Control-Request-Method: %.60s",
                          method != NULL ? method : "null");
    if (c->bucket == NULL || ft_s3_bucket(c, c->bucket, &c->at) != 0)
        return ft_s3_fail(c, FT_S3_NoSuchBucket, NULL);
    c->has_bucket = true;
    if (ft_s3_settings(c, &c->at, &s) != 0)
        return -1;
    const struct ft_s3_cors_rule *rule =
        ft_s3_cors_find(&s->cors, origin, method, headers, &answer);
    if (rule == NULL)
        return ft_s3_fail(c, FT_S3_AccessForbidden, NULL);
    out_rule(c, rule, answer);
    ft_s3_out(c, "Access-Control-Allow-Headers", headers); /* each of them is allowed */
    return ft_s3_answer_empty(c, 200);
}
