/* The fields of a form that uploads an object, and the policy that says which are allowed. */
#ifndef FT_API_S3_FORM_H
#define FT_API_S3_FORM_H

#include "api/s3/impl.h"

#define FT_S3_FORM_FIELDS_MAX 64
#define FT_S3_FORM_BYTES_MAX  (20u << 10) /* of all fields before the file, as AWS has it */
#define FT_S3_CONDITIONS_MAX  128         /* of a policy */

/* Values are the arena's; names as the client wrote them, looked up in any case. */
struct ft_s3_form {
    struct ft_http_field fields[FT_S3_FORM_FIELDS_MAX];
    int n;
    int64_t size_min, size_max; /* of the file, by the policy */
};
const char *ft_s3_form_field(const struct ft_s3_form *f, const char *name); /* NULL: not there */

/* The policy's text (its signature is right) against the form: expired, a condition that is not
 * met, a field that no condition names: AccessDenied; no policy at all: InvalidPolicyDocument. Sets
 * the sizes. json: decoded. */
int ft_s3_form_policy(struct ft_s3_call *c, const char *json, size_t n, struct ft_s3_form *f);

#endif
