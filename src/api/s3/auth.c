/* Who sent it: the signature of the request against the secret of its access key. */
#include <string.h>

#include "api/s3/impl.h"

static int fail_signature(struct ft_s3_call *c, const struct ft_err *err)
{
    static const enum ft_s3_code codes[] = {
        [FT_SIGV4_WHY_NONE] = FT_S3_InvalidRequest,
        [FT_SIGV4_MALFORMED] = FT_S3_AuthorizationHeaderMalformed,
        [FT_SIGV4_QUERY_MALFORMED] = FT_S3_AuthorizationQueryParametersError,
        [FT_SIGV4_OTHER_SCHEME] = FT_S3_InvalidRequest,
        [FT_SIGV4_NO_DATE] = FT_S3_AccessDenied,
        [FT_SIGV4_NO_HASH] = FT_S3_InvalidRequest,
        [FT_SIGV4_BAD_HASH] = FT_S3_InvalidArgument,
        [FT_SIGV4_SKEWED] = FT_S3_RequestTimeTooSkewed,
        [FT_SIGV4_BAD_EXPIRES] = FT_S3_AccessDenied,
        [FT_SIGV4_EXPIRED] = FT_S3_AccessDenied,
        [FT_SIGV4_NOT_YET] = FT_S3_AccessDenied,
        [FT_SIGV4_NOT_SIGNED] = FT_S3_AccessDenied,
        [FT_SIGV4_MISMATCH] = FT_S3_SignatureDoesNotMatch,
    };
    return ft_s3_fail(c, codes[ft_sigv4_why(err)], "%s", err->msg);
}

int ft_s3_credentials(struct ft_s3_call *c, const char *id, struct ft_s3_caller *ret)
{
    const struct ft_s3_config *config = &c->s3->config;
    struct ft_err err = {0};
    if (config->credentials(config->ctx, id, ret, &err) == 0)
        return 0;
    ft_s3_fail_extra(c, "AWSAccessKeyId", ft_arena_strndup(c->arena, id, strlen(id)));
    return err.code == FT_ENOTFOUND ? ft_s3_fail(c, FT_S3_InvalidAccessKeyId, NULL)
                                    : ft_s3_fail_err(c, &err);
}

/* Requests without a signature say of their bodies what signed ones do: framed with trailers, or a
 * hash, or nothing. */
static int read_unsigned(struct ft_s3_call *c)
{
    const char *hash = ft_s3_in(c, "x-amz-content-sha256");
    if (hash == NULL || strcmp(hash, FT_SIGV4_UNSIGNED) == 0)
        return 0;
    if (strcmp(hash, FT_SIGV4_UNSIGNED_TRAILER) == 0) {
        c->auth.payload = FT_SIGV4_P_UNSIGNED_TRAILER;
    } else if (strlen(hash) == 64 && strspn(hash, "0123456789abcdefABCDEF") == 64) {
        c->auth.payload = FT_SIGV4_P_HASH;
        memcpy(c->auth.payload_hash, hash, 65);
    } else {
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "x-amz-content-sha256 of a request that is not signed must be "
                          "UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, or a valid sha256 "
                          "value.");
    }
    return 0;
}

int ft_s3_authenticate(struct ft_s3_call *c)
{
    const struct ft_sigv4_request r = {.method = c->x->method,
                                       .path = c->x->target,
                                       .query = c->x->query,
                                       .fields = c->x->fields,
                                       .n_fields = c->x->n_fields};
    struct ft_err err = {0};
    const struct ft_s3_config *config = &c->s3->config;
    if (config->known != NULL && config->known(config->ctx, c->x, &c->caller)) {
        c->known = true;
        return read_unsigned(c);
    }
    if (ft_sigv4_read(&r, &c->auth, &err) != 0)
        return fail_signature(c, &err);
    c->anonymous = c->auth.how == FT_SIGV4_ANONYMOUS;
    if (c->anonymous)
        return read_unsigned(c);
    struct ft_s3_caller caller = {0};
    if (ft_s3_credentials(c, c->auth.id, &caller) != 0)
        return -1;
    if (ft_sigv4_verify(&r, &c->auth, caller.secret, config->region_checked ? c->s3->region : NULL,
                        "s3", c->now_s, &c->chain, &err) != 0)
        return fail_signature(c, &err);
    c->caller = caller;
    return 0;
}
