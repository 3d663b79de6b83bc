/* Cross-origin rules of a bucket, and which of them a request of a browser meets. */
#ifndef FT_API_S3_CORS_H
#define FT_API_S3_CORS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define FT_S3_CORS_RULES_MAX  100
#define FT_S3_CORS_VALUES_MAX 100 /* origins, or headers, of one rule */

struct ft_s3_cors_list {
    const char *v[FT_S3_CORS_VALUES_MAX];
    int n;
};
struct ft_s3_cors_rule {
    const char *id; /* "" */
    struct ft_s3_cors_list origins, methods, headers, expose;
    int64_t max_age_s; /* -1: not said */
};
struct ft_s3_cors {
    const struct ft_s3_cors_rule **rules;
    int n;
};

/* May this text stand in a rule? One "*" at most in origins and headers; methods are five. */
bool ft_s3_cors_pattern_ok(const char *pattern);
bool ft_s3_cors_method_ok(const char *method);

/* headers: of Access-Control-Request-Headers, with commas; NULL: none. The first rule that has all
 * of it, or NULL. *ret_origin is what to answer: "*", or the origin. */
const struct ft_s3_cors_rule *ft_s3_cors_find(const struct ft_s3_cors *cors, const char *origin,
                                              const char *method, const char *headers,
                                              const char **ret_origin);
/* "GET, PUT" */
void ft_s3_cors_join(const struct ft_s3_cors_list *list, struct ft_buf *ret);

#endif
