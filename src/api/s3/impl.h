/* One request, as its handler sees it. Handlers (ops.h) return 0 when they have answered, or what
 * ft_s3_fail returns: then the answer is the error. Everything lives in the call's arena, on one
 * lane. */
#ifndef FT_API_S3_IMPL_H
#define FT_API_S3_IMPL_H

#include <pthread.h>

#include "api/s3/documents.h"
#include "api/s3/error.h"
#include "api/s3/s3.h"
#include "api/s3/settings.h"
#include "api/s3/tags.h"
#include "net/sigv4.h"
#include "net/xml.h"

#define FT_S3_PARAMS_MAX    64                 /* of a query */
#define FT_S3_XML_MAX       (2u << 20)         /* bytes of a document that is read: 10,000 parts */
#define FT_S3_ANSWER_MAX    (8u << 20)         /* bytes of one that is written */
#define FT_S3_METADATA_MAX  2048               /* bytes of names and values of x-amz-meta- */
#define FT_S3_PUT_MAX       ((int64_t)5 << 30) /* bytes of one put, of one part */
#define FT_S3_COPY_MAX      ((int64_t)5 << 30) /* of one copy */
#define FT_S3_PIECE_BYTES   (256u << 10)       /* moved at a time */
#define FT_S3_SETTINGS_HELD 4                  /* buckets that one call is about */
#define FT_S3_EXTRAS_MAX    8 /* elements that an error's document has beside the usual */

enum ft_s3_level { FT_S3_SERVICE, FT_S3_BUCKET, FT_S3_OBJECT };

struct ft_s3_call;

struct ft_s3_op {
    enum ft_s3_level level;
    const char *method;
    const char *sub;    /* a parameter that must be there; NULL: any */
    const char *header; /* a header that must be there; NULL: any */
    const char *name;   /* "PutObject" */
    const char
        *action;    /* "s3:PutObject", asked of ft_s3_may before run; NULL: run asks by itself */
    bool no_bucket; /* run is called whether the bucket is there or not */
    int (*run)(struct ft_s3_call *c);
};
/* Rows are looked through from the first; ended by one without a method. */
extern const struct ft_s3_op ft_s3_object_ops[]; /* ops_object.c */
extern const struct ft_s3_op ft_s3_bucket_ops[]; /* ops_bucket.c */

struct ft_s3 {
    struct ft_s3_config config;
    struct ft_s3_cache *cache;
    pthread_mutex_t holds; /* held while retention or a legal hold is read, changed and kept */
    char *domains[FT_S3_DOMAINS_MAX];
    char *region;
};

struct ft_s3_param {
    const char *name, *value; /* decoded; value "" without one */
};

struct ft_s3_call {
    struct ft_s3 *s3;
    struct ft_blob *blob;
    struct ft_lane *lane;
    /* of the body as it is sent; ft_lane_read, but in tests */
    int64_t (*read)(struct ft_s3_call *c, void *data, size_t n, struct ft_err *err);
    struct ft_http_exchange *x;
    struct ft_arena *arena;

    const char *bucket, *key; /* decoded; NULL if the request names none */
    const char *of_project;   /* "PROJECT:BUCKET" was named: it must be that project's; else NULL */
    struct ft_s3_param params[FT_S3_PARAMS_MAX];
    int n_params;
    const struct ft_s3_op *op;
    struct ft_blob_bucket at; /* the bucket, if has_bucket */
    bool has_bucket;

    struct ft_sigv4_auth auth;
    struct ft_sigv4_chain chain; /* of the signature, for chunks */
    struct ft_s3_caller caller;
    bool anonymous; /* caller is empty */
    bool known;     /* it was proved without a signature */

    char request_id[17];
    int64_t now_s;
    const struct ft_http_field *form; /* fields that its policy was held to; NULL: it is no form */
    int n_form;
    /* the answer */
    struct ft_http_field out[FT_HTTP_FIELDS_MAX];
    int n_out, n_out_any; /* of these: that whatever answer has */
    int status;           /* 0: not answered yet */
    int64_t bytes_in, bytes_out;
    /* the error, once ft_s3_fail was called */
    enum ft_s3_code code;
    bool failed;
    const char *message;
    struct ft_s3_param extras[FT_S3_EXTRAS_MAX];
    int n_extras;
    bool sum_elsewhere;      /* checksums in headers are of an object, not of this body */
    struct ft_s3_body *body; /* once opened */
    struct ft_s3_settings *settings[FT_S3_SETTINGS_HELD]; /* dropped at the end */
    int n_settings;
};

/* ---- the request (request.c) ---- */
const char *ft_s3_param(const struct ft_s3_call *c, const char *name); /* NULL: not there */
/* A header; in a form's call, fields of the form stand in the place of those of S3. NULL: none. */
const char *ft_s3_in(const struct ft_s3_call *c, const char *header);
/* A number from min to max in a parameter. InvalidArgument. absent: what it is when not there. */
int ft_s3_param_int(struct ft_s3_call *c, const char *name, int64_t min, int64_t max,
                    int64_t absent, int64_t *ret);
bool ft_s3_size_read(const char *text, int64_t *ret); /* bytes: digits alone, up to 15 */
int ft_s3_request_read(struct ft_s3_call *c);         /* bucket, key, params */
/* The bucket of a host-style host in an arena, or NULL. */
const char *ft_s3_host_bucket(const struct ft_s3 *s3, const struct ft_http_exchange *x,
                              struct ft_arena *arena);
/* "a%20b" to "a b" in an arena; NULL: a broken escape, a NUL, or no memory. */
char *ft_s3_unescape(struct ft_arena *arena, const char *s, size_t n, bool plus_is_space);

/* ---- errors and answers (respond.c) ---- */
/* fmt NULL: the sentence of the code. Always returns -1. The first one counts. */
int ft_s3_fail(struct ft_s3_call *c, enum ft_s3_code code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* What an error of the blob store means here (and FT_ECANCELED: the client is gone). */
int ft_s3_fail_err(struct ft_s3_call *c, const struct ft_err *err);
void ft_s3_fail_extra(struct ft_s3_call *c, const char *name, const char *value);
/* A header of the answer; copied. NULL value: none. */
void ft_s3_out(struct ft_s3_call *c, const char *name, const char *value);
void ft_s3_outf(struct ft_s3_call *c, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int ft_s3_answer(struct ft_s3_call *c, int status, const void *body, size_t n);
static inline int ft_s3_answer_empty(struct ft_s3_call *c, int status)
{
    return ft_s3_answer(c, status, NULL, 0);
}
/* Frees x. */
int ft_s3_answer_xml(struct ft_s3_call *c, int status, struct ft_xml *x);
/* <Location>: the URL of what was made, as the client reached us; key: below the request's path, or
 * NULL for that path itself. */
void ft_s3_answer_location(const struct ft_s3_call *c, struct ft_xml *x, const char *key);
void ft_s3_answer_error(struct ft_s3_call *c); /* what ft_s3_fail said */
/* The arena's; NULL fails the call with InternalError. */
char *ft_s3_printf(struct ft_s3_call *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- who may (access.c) ---- */
struct ft_s3_ask {
    const char *action; /* "s3:GetObject" */
    const struct ft_blob_bucket *bucket;
    const char *key, *version;         /* NULL: none */
    const struct ft_blob_info *object; /* what is there, if it has been looked at; NULL */
    const struct ft_s3_tags *tags;     /* of the request; NULL: those of x-amz-tagging */
};
bool ft_s3_is_allowed(struct ft_s3_call *c, const struct ft_s3_ask *ask);
int ft_s3_may(struct ft_s3_call *c, const struct ft_s3_ask *ask); /* AccessDenied */
/* A client may take long over its body. Is the bucket still the one whose owner was asked, and what
 * the head asked for still allowed of the object that is there now? NoSuchBucket, AccessDenied. */
int ft_s3_bucket_again(struct ft_s3_call *c);
int ft_s3_may_again(struct ft_s3_call *c);
int ft_s3_may_run(struct ft_s3_call *c); /* c->op's action, if it has one */
/* A bucket that is seen here: NoSuchBucket, also for those of the cloud. */
int ft_s3_bucket(struct ft_s3_call *c, const char *name, struct ft_blob_bucket *ret);
/* InternalError if they cannot be read; valid to the end of the call. */
int ft_s3_settings(struct ft_s3_call *c, const struct ft_blob_bucket *bucket,
                   const struct ft_s3_settings **ret);
void ft_s3_settings_drop(struct ft_s3_call *c);
/* Who owns what has this list (of an object, an upload) in a bucket; room holds the result. */
const char *ft_s3_owner_of(const struct ft_s3_settings *s, const char *bucket_owner,
                           const char *acl_text, struct ft_s3_acl *room);
int ft_s3_authenticate(struct ft_s3_call *c); /* auth.c */
/* Looks an access key up. InvalidAccessKeyId. */
int ft_s3_credentials(struct ft_s3_call *c, const char *id, struct ft_s3_caller *ret);
int ft_s3_admit(struct ft_s3_call *c); /* SlowDown */

/* ---- versions and holds (object_marks.c) ---- */
/* x-amz-version-id, where c->at has or had versions. */
void ft_s3_out_version(struct ft_s3_call *c, const char *version);
/* x-amz-expiration: when the latest version goes by the bucket's lifecycle rules, and by which. */
void ft_s3_out_expiry(struct ft_s3_call *c, const struct ft_blob_info *info);
/* Does the request ask to get past governance retention, and may it? */
bool ft_s3_bypasses(struct ft_s3_call *c, const char *key, const char *version);

/* ---- cross-origin requests (preflight.c) ---- */
void ft_s3_cors_headers(struct ft_s3_call *c); /* of the answer, where the bucket's rules say so */
int ft_s3_preflight(struct ft_s3_call *c);     /* OPTIONS */

/* ---- the body (body.c) ---- */
/* All of it, checked, NUL-terminated, in the arena. More than max: MaxMessageLengthExceeded. */
int ft_s3_body_whole(struct ft_s3_call *c, size_t max, const char **ret, size_t *ret_n);
/* All of it as XML with this root (NULL: any). MalformedXML; empty: MissingRequestBodyError. */
int ft_s3_body_xml(struct ft_s3_call *c, const char *root, const struct ft_xml_node **ret);

/* ---- what a put carries beside its bytes (marks.c) ---- */
/* acl, tags and hold from the headers and the bucket's defaults. */
int ft_s3_put_marks(struct ft_s3_call *c, struct ft_blob_put *put);

#endif
