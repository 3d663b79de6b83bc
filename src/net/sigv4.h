/* Signatures of AWS, version 4, as S3 uses them: made and checked. Pure functions of strings; any
 * thread.
 *
 * The path and the query of a request are taken as they stand on the wire: they are decoded and
 * encoded anew, so that a client that escapes more or less than another has the same signature.
 * Nothing is normalised ("//" and "." parts are bytes of a key). In a query '+' is a space.
 * (docs.aws.amazon.com/AmazonS3/latest/API: sig-v4-authenticating-requests,
 * sigv4-query-string-auth, sigv4-streaming, sigv4-streaming-trailers,
 * sigv4-HTTPPOSTConstructPolicy) */
#ifndef FT_NET_SIGV4_H
#define FT_NET_SIGV4_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"
#include "net/server.h"

#define FT_SIGV4_ID_MAX        128         /* bytes of an access key id */
#define FT_SIGV4_WORD_MAX      64          /* bytes of a region, of a service */
#define FT_SIGV4_SIGNED_MAX    64          /* headers that one signature covers */
#define FT_SIGV4_PARAMS_MAX    128         /* parameters of a signed query */
#define FT_SIGV4_CANONICAL_MAX (128 << 10) /* bytes of a canonical request */
#define FT_SIGV4_SKEW_S        900         /* a clock may be wrong by this, either way */
#define FT_SIGV4_EXPIRES_MAX_S 604800      /* of a presigned URL */

#define FT_SIGV4_UNSIGNED         "UNSIGNED-PAYLOAD"
#define FT_SIGV4_UNSIGNED_TRAILER "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
#define FT_SIGV4_CHUNKS           "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"
#define FT_SIGV4_CHUNKS_TRAILER   "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER"
#define FT_SIGV4_EMPTY_SHA256     "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

/* Why a request was refused: ft_sigv4_why of the err. What S3 calls it stands beside. */
enum ft_sigv4_why {
    FT_SIGV4_WHY_NONE,
    FT_SIGV4_MALFORMED,       /* FT_EINVAL: AuthorizationHeaderMalformed */
    FT_SIGV4_QUERY_MALFORMED, /* FT_EINVAL: AuthorizationQueryParametersError */
    FT_SIGV4_OTHER_SCHEME,    /* FT_EUNSUPPORTED: InvalidRequest (version 2, 4A, Bearer, ...) */
    FT_SIGV4_NO_DATE,         /* FT_EINVAL: AccessDenied */
    FT_SIGV4_NO_HASH,         /* FT_EINVAL: InvalidRequest, x-amz-content-sha256 is missing */
    FT_SIGV4_BAD_HASH,        /* FT_EINVAL: InvalidArgument, it is no hash and no known word */
    FT_SIGV4_SKEWED,          /* FT_EBUSY: RequestTimeTooSkewed */
    FT_SIGV4_BAD_EXPIRES,     /* FT_EINVAL: AccessDenied, not from 1 to FT_SIGV4_EXPIRES_MAX_S */
    FT_SIGV4_EXPIRED,         /* FT_EBUSY: AccessDenied, "Request has expired" */
    FT_SIGV4_NOT_YET,         /* FT_EBUSY: AccessDenied */
    FT_SIGV4_NOT_SIGNED,      /* FT_EINVAL: AccessDenied, an x-amz- header is not signed */
    FT_SIGV4_MISMATCH         /* FT_EINVAL: SignatureDoesNotMatch */
};
enum ft_sigv4_why ft_sigv4_why(const struct ft_err *err); /* of an error of this module */

struct ft_sigv4_request {
    const char *method;
    const char *path;                   /* encoded, from '/' up to the '?' (or with it) */
    const char *query;                  /* encoded, without '?'; "" if none */
    const struct ft_http_field *fields; /* all headers; "host" must be among them */
    int n_fields;
};

/* What follows a signature: the chunks of a body and its trailers, each signed with the one
 * before. */
struct ft_sigv4_chain {
    uint8_t key[32];
    char date[17];                              /* "20130524T000000Z" */
    char scope[8 + 2 * FT_SIGV4_WORD_MAX + 16]; /* "20130524/us-east-1/s3/aws4_request" */
    char previous[65];                          /* hex */
};
/* The signature of the next chunk (its bytes' SHA-256 in hex; of no bytes for the last), which
 * becomes the previous one. */
void ft_sigv4_chunk(struct ft_sigv4_chain *c, const char sha256_hex[65], char ret_hex[65]);
/* The same for the trailers: SHA-256 of "name:value\n" of each. */
void ft_sigv4_trailer(struct ft_sigv4_chain *c, const char sha256_hex[65], char ret_hex[65]);
/* The signature of a POST form's policy: of its base64 text as it stands in the form. */
void ft_sigv4_policy(const struct ft_sigv4_chain *c, const char *policy, char ret_hex[65]);
bool ft_sigv4_equal(const char *a, const char *b); /* in a time that tells nothing but lengths */

/* ---- signing ---- */

struct ft_sigv4_key {
    const char *id, *secret;
    const char *region, *service; /* "us-east-1", "s3" */
};
/* The key for one day's scope; previous is empty. */
void ft_sigv4_derive(const struct ft_sigv4_key *key, int64_t now_s, struct ft_sigv4_chain *ret);

struct ft_sigv4_signed {
    char date[17]; /* of x-amz-date: to be sent */
    char authorization[512 + FT_SIGV4_SIGNED_MAX * (FT_HTTP_FIELD_NAME_MAX + 1)];
    struct ft_sigv4_chain chain;
};
/* Signs host, content-md5, content-type, range and every x-amz- header of r, and with them
 * x-amz-date and x-amz-content-sha256, which must not be in r: payload is the latter's value.
 * The caller sends r, these two and Authorization. */
int ft_sigv4_sign(const struct ft_sigv4_request *r, const struct ft_sigv4_key *key,
                  const char *payload, int64_t now_s, struct ft_sigv4_signed *ret,
                  struct ft_err *err);
/* Appends the parameters that sign r to ret: r->query (encoded anew) with X-Amz-...; all headers of
 * r are signed. The payload is not. */
int ft_sigv4_presign(const struct ft_sigv4_request *r, const struct ft_sigv4_key *key,
                     int64_t now_s, int expires_s, struct ft_buf *ret, struct ft_err *err);

/* ---- checking ---- */

enum ft_sigv4_how { FT_SIGV4_ANONYMOUS, FT_SIGV4_HEADER, FT_SIGV4_QUERY };
enum ft_sigv4_payload {
    FT_SIGV4_P_UNSIGNED,         /* and of anonymous requests */
    FT_SIGV4_P_HASH,             /* payload_hash is what the body must have */
    FT_SIGV4_P_CHUNKS,           /* aws-chunked, signed */
    FT_SIGV4_P_CHUNKS_TRAILER,   /* the same with signed trailers */
    FT_SIGV4_P_UNSIGNED_TRAILER, /* aws-chunked with trailers, nothing signed */
};

/* What a request says of itself; nothing of it is proved. */
struct ft_sigv4_auth {
    enum ft_sigv4_how how;
    enum ft_sigv4_payload payload;
    char id[FT_SIGV4_ID_MAX + 1];
    char day[9]; /* the scope's */
    char region[FT_SIGV4_WORD_MAX + 1], service[FT_SIGV4_WORD_MAX + 1];
    char date[17]; /* when it was signed */
    int64_t signed_s;
    int expires_s; /* QUERY */
    char signature[65];
    char payload_hash[80]; /* the value that was signed in its place */

    /* "host;x-amz-date" */
    char names[FT_SIGV4_SIGNED_MAX * (FT_HTTP_FIELD_NAME_MAX + 1)];
};
/* Neither Authorization nor X-Amz-Algorithm (or version 2's AWSAccessKeyId): ANONYMOUS. */
int ft_sigv4_read(const struct ft_sigv4_request *r, struct ft_sigv4_auth *ret, struct ft_err *err);
/* Is it signed with this secret, now, for this region (NULL: any) and service? ret_chain, for the
 * chunks, may be NULL. */
int ft_sigv4_verify(const struct ft_sigv4_request *r, const struct ft_sigv4_auth *auth,
                    const char *secret, const char *region, const char *service, int64_t now_s,
                    struct ft_sigv4_chain *ret_chain, struct ft_err *err);

#endif
