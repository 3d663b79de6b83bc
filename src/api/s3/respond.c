/* Errors and answers. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "api/s3/impl.h"
#include "base/log.h"
#include "net/url.h"

static const struct ft_s3_code_info codes[] = {
#define E(name, status, text) {#name, status, text},
    FT_S3_ERRORS(E)
#undef E
};

const struct ft_s3_code_info *ft_s3_code_info(enum ft_s3_code code)
{
    return &codes[code];
}

char *ft_s3_printf(struct ft_s3_call *c, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    char *s = n < 0 ? NULL : ft_arena_alloc(c->arena, (size_t)n + 1);
    if (s == NULL) {
        ft_s3_fail(c, FT_S3_InternalError, NULL);
        return NULL;
    }
    va_start(ap, fmt);
    vsnprintf(s, (size_t)n + 1, fmt, ap);
    va_end(ap);
    return s;
}

int ft_s3_fail(struct ft_s3_call *c, enum ft_s3_code code, const char *fmt, ...)
{
    if (c->failed)
        return -1;
    c->failed = true;
    c->code = code;
    c->message = codes[code].message;
    if (fmt != NULL) {
        char text[FT_ERR_MSG_MAX];
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(text, sizeof text, fmt, ap);
        va_end(ap);
        const char *copy = ft_arena_strndup(c->arena, text, strlen(text));
        if (copy != NULL)
            c->message = copy;
    }
    return -1;
}

static enum ft_s3_code code_of(const struct ft_err *err)
{
    switch (ft_blob_why(err)) {
    case FT_BLOB_NO_BUCKET:
        return FT_S3_NoSuchBucket;
    case FT_BLOB_NO_KEY:
        return FT_S3_NoSuchKey;
    case FT_BLOB_NO_VERSION:
        return FT_S3_NoSuchVersion;
    case FT_BLOB_NO_UPLOAD:
        return FT_S3_NoSuchUpload;
    case FT_BLOB_NO_PART:
        return FT_S3_InvalidPart;
    case FT_BLOB_PART_ORDER:
        return FT_S3_InvalidPartOrder;
    case FT_BLOB_BUCKET_IS_THERE:
        return FT_S3_BucketAlreadyExists;
    case FT_BLOB_BUCKET_FULL:
        return FT_S3_BucketNotEmpty;
    case FT_BLOB_CONDITION:
        return FT_S3_PreconditionFailed;
    case FT_BLOB_LOCKED:
        return FT_S3_AccessDenied;
    case FT_BLOB_IS_MARKER:
        return FT_S3_MethodNotAllowed;
    default:
        break;
    }
    switch (err->code) {
    case FT_EINVAL:
        return FT_S3_InvalidArgument;
    case FT_EUNSUPPORTED:
        return FT_S3_NotImplemented;
    case FT_EBUSY:
        return FT_S3_SlowDown;
    case FT_EUNAVAIL:
    case FT_ELIMIT:
        return FT_S3_ServiceUnavailable; /* full: reads go on */
    default:
        return FT_S3_InternalError;
    }
}

int ft_s3_fail_err(struct ft_s3_call *c, const struct ft_err *err)
{
    enum ft_s3_code code = code_of(err);
    int status = codes[code].status;
    if (status >= 500 && err->code != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "s3", "%s %s/%s: %s", c->op != NULL ? c->op->name : c->x->method,
               c->bucket != NULL ? c->bucket : "", c->key != NULL ? c->key : "", err->msg);
    /* what a disk said is nobody else's business */
    bool ours = err->code == FT_EINVAL || err->code == FT_EUNSUPPORTED;
    return ft_s3_fail(c, code, ours && ft_blob_why(err) == FT_BLOB_WHY_NONE ? "%s" : NULL,
                      err->msg);
}

void ft_s3_fail_extra(struct ft_s3_call *c, const char *name, const char *value)
{
    if (c->n_extras < FT_S3_EXTRAS_MAX && value != NULL)
        c->extras[c->n_extras++] = (struct ft_s3_param){name, value};
}

void ft_s3_out(struct ft_s3_call *c, const char *name, const char *value)
{
    if (value == NULL || c->n_out >= FT_HTTP_FIELDS_MAX)
        return;
    /* both may be an object's, which is closed before an error is answered */
    const char *own = ft_arena_strndup(c->arena, name, strlen(name)),
               *copy = ft_arena_strndup(c->arena, value, strlen(value));
    if (own != NULL && copy != NULL)
        c->out[c->n_out++] = (struct ft_http_field){own, copy};
}

void ft_s3_outf(struct ft_s3_call *c, const char *name, const char *fmt, ...)
{
    char text[1024];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    ft_s3_out(c, name, text);
}

int ft_s3_answer(struct ft_s3_call *c, int status, const void *body, size_t n)
{
    int rc = ft_http_respond(c->x, status, c->out, c->n_out, body, n);
    if (rc == FT_EINVAL) { /* a stored value that may not stand in a header */
        c->n_out = 0;
        rc = ft_http_respond(c->x, 500, NULL, 0, NULL, 0);
        status = 500;
    }
    c->status = status;
    c->bytes_out += (int64_t)n;
    (void)rc; /* else the client is gone: nobody to tell */
    return 0;
}

void ft_s3_answer_location(const struct ft_s3_call *c, struct ft_xml *x, const char *key)
{
    const char *host = ft_http_header(c->x, "host"), *path = c->x->target;
    size_t n = strcspn(path, "?");
    ft_buf_addf(&x->buf, "<Location>%s://", c->x->secure ? "https" : "http");
    ft_xml_escape(&x->buf, host != NULL ? host : "", host != NULL ? strlen(host) : 0);
    if (key != NULL && n > 0 && path[n - 1] == '/')
        n--;
    ft_xml_escape(&x->buf, path, n);
    if (key != NULL) {
        ft_buf_add_byte(&x->buf, '/');
        ft_url_encode(&x->buf, key, strlen(key));
    }
    ft_buf_add_str(&x->buf, "</Location>");
}

int ft_s3_answer_xml(struct ft_s3_call *c, int status, struct ft_xml *x)
{
    if (x->buf.failed) {
        ft_xml_fini(x);
        return ft_s3_fail(c, FT_S3_InternalError, NULL);
    }
    ft_s3_out(c, "Content-Type", "application/xml");
    int rc = ft_s3_answer(c, status, x->buf.data, x->buf.len);
    ft_xml_fini(x);
    return rc;
}

void ft_s3_answer_error(struct ft_s3_call *c)
{
    const struct ft_s3_code_info *e = &codes[c->code];
    if (strcmp(c->x->method, "HEAD") == 0 || e->status == 304) {
        ft_s3_answer(c, e->status, NULL, 0);
        return;
    }
    struct ft_xml x;
    ft_xml_init(&x, FT_S3_ANSWER_MAX);
    ft_xml_root(&x, "Error", NULL);
    ft_xml_text(&x, "Code", e->name);
    ft_xml_text(&x, "Message", c->message);
    for (int i = 0; i < c->n_extras; i++)
        ft_xml_text(&x, c->extras[i].name, c->extras[i].value);
    ft_xml_text(&x, "Key", c->key);
    ft_xml_text(&x, "BucketName", c->bucket);
    ft_buf_add_str(&x.buf, "<Resource>");
    ft_xml_escape(&x.buf, c->x->target, strcspn(c->x->target, "?"));
    ft_buf_add_str(&x.buf, "</Resource>");
    ft_xml_text(&x, "RequestId", c->request_id);
    ft_xml_text(&x, "HostId", c->request_id);
    ft_xml_end(&x);
    ft_s3_answer_xml(c, e->status, &x);
}
