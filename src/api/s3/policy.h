/* Bucket policies: AWS's JSON of statements, checked when it is put and asked about every request.
 *
 * A policy says of a request one of three things: nothing, allowed, or denied; one Deny that
 * matches outweighs every Allow. What this build does not know (an operator, a key, an action) is
 * refused when the policy is put: nothing in a policy is ever silently ignored.
 *
 * Who: "*"; {"AWS": ...} with "*", a project's id, "arn:aws:iam::PROJECT:root" (any key of the
 * project) or "arn:aws:iam::PROJECT:user/KEY" (one key); {"CanonicalUser": PROJECT}. */
#ifndef FT_API_S3_POLICY_H
#define FT_API_S3_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_S3_POLICY_BYTES_MAX      (20u << 10) /* of its text, as AWS has it */
#define FT_S3_POLICY_STATEMENTS_MAX 256
#define FT_S3_POLICY_VALUES_MAX     64 /* of one condition key of a request (tag keys) */

struct ft_s3_policy;

/* What a request is, as far as policies ask. */
struct ft_s3_policy_ask {
    const char *project, *key; /* of who asks; NULL: nobody */
    const char *action;        /* "s3:GetObject" */
    const char *resource;      /* "BUCKET" or "BUCKET/KEY" */
    /* The i-th value of a condition's key ("s3:prefix", "aws:sourceip", in lower case; behind the
     * '/' of "s3:existingobjecttag/..." as it was written), NULL behind the last. May be NULL. */
    const char *(*value)(void *ctx, const char *name, int i);
    void *ctx;
};

enum ft_s3_verdict { FT_S3_SILENT, FT_S3_ALLOW, FT_S3_DENY };

/* FT_EINVAL: what is wrong and where (for MalformedPolicy); FT_ELIMIT: too long. */
int ft_s3_policy_parse(const char *text, size_t n, struct ft_s3_policy **ret, struct ft_err *err);
void ft_s3_policy_free(struct ft_s3_policy *p); /* NULL is accepted */
enum ft_s3_verdict ft_s3_policy_ask(const struct ft_s3_policy *p,
                                    const struct ft_s3_policy_ask *ask);
/* Does it allow anything to everybody, with no condition that narrows who (an address, a referer,
 * a project)? */
bool ft_s3_policy_is_public(const struct ft_s3_policy *p);
/* The first resource that cannot be the bucket or in it; NULL: there is none. */
const char *ft_s3_policy_stray(const struct ft_s3_policy *p, const char *bucket);

#endif
