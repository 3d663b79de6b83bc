/* The small matchers that policies are made of: patterns, and the operators of conditions. */
#ifndef FT_API_S3_POLICY_MATCH_H
#define FT_API_S3_POLICY_MATCH_H

#include <stdbool.h>

/* "*" is any run of bytes, "?" any one. Time is at most the product of the lengths. */
bool ft_s3_like(const char *pattern, const char *text, bool ignore_case);

struct ft_s3_operator {
    const char *name;                  /* "StringEquals" */
    bool negative;                     /* holds if no value matches */
    bool (*valid)(const char *wanted); /* NULL: any text */
    bool (*match)(const char *wanted, const char *got);
};
/* Without "IfExists" and "ForAnyValue:" and the like. NULL: there is no such. */
const struct ft_s3_operator *ft_s3_operator_find(const char *name, int n);

#endif
