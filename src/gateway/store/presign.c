/* Links to objects, signed in the name of the caller's key: for browsers, which cannot sign, and
 * for people who have no key. A link may what the key may, until its own end or the key's. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "gateway/inner.h"
#include "net/sigv4.h"
#include "net/url.h"

#define BODY_MAX        16384
#define URL_MAX         16384
#define KEY_MAX         1024
#define DOWNLOAD_AS_MAX 1024
#define EXPIRES_S       3600
#define VERSION_BYTES   256

struct ask {
    const char *bucket, *key, *method, *version, *download_as;
    int64_t expires_s;
};

static int wrong(struct ft_oai_error *e, const char *param, const char *why)
{
    return ft_oai_error_set(e, FT_EINVAL, "invalid_value", param, "%s: %s", param, why);
}

/* A text of at most max bytes without control characters; NULL where it may be missing. */
static int take_text(const json_t *body, const char *name, size_t max, bool needed,
                     const char **ret, struct ft_oai_error *e)
{
    const json_t *v = json_object_get(body, name);
    if (!needed && (v == NULL || json_is_null(v)))
        return 0;
    size_t n = json_string_length(v);
    if (!json_is_string(v) || n == 0 || n > max || strlen(json_string_value(v)) != n)
        return wrong(e, name,
                     v == NULL ? "is missing" : "must be a text of a length that S3 takes");
    *ret = json_string_value(v);
    return 0;
}

static int check_names(const json_t *body, struct ft_oai_error *e)
{
    static const char *const known[] = {"bucket",    "key",        "method",
                                        "expires_s", "version_id", "download_as"};
    const char *name;
    json_t *v;
    json_object_foreach((json_t *)body, name, v)
    {
        bool found = false;
        for (size_t i = 0; i < FT_COUNT(known); i++)
            found |= strcmp(name, known[i]) == 0;
        if (!found)
            return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", name,
                                    "Unknown parameter: '%.64s'.", name);
    }
    return 0;
}

static int read_ask(const json_t *body, struct ask *a, struct ft_oai_error *e)
{
    const json_t *expires = json_object_get(body, "expires_s");
    *a = (struct ask){.method = "GET", .expires_s = EXPIRES_S};
    if (!json_is_object(body))
        return ft_oai_error_set(e, FT_EINVAL, NULL, NULL, "the body must be a JSON object");
    int rc = check_names(body, e);
    if (rc == 0)
        rc = take_text(body, "bucket", FT_BLOB_BUCKET_MAX, true, &a->bucket, e);
    if (rc == 0)
        rc = take_text(body, "key", KEY_MAX, true, &a->key, e);
    if (rc == 0)
        rc = take_text(body, "method", 3, false, &a->method, e);
    if (rc == 0)
        rc = take_text(body, "version_id", VERSION_BYTES, false, &a->version, e);
    if (rc == 0)
        rc = take_text(body, "download_as", DOWNLOAD_AS_MAX, false, &a->download_as, e);
    if (rc == 0 && strcmp(a->method, "GET") != 0 && strcmp(a->method, "PUT") != 0)
        rc = wrong(e, "method", "must be GET or PUT");
    if (rc == 0 && a->download_as != NULL && ft_str_has_control(a->download_as, ""))
        rc = wrong(e, "download_as", "has a control character");
    if (rc == 0 && expires != NULL && !json_is_null(expires)) {
        a->expires_s = json_integer_value(expires);
        if (!json_is_integer(expires) || a->expires_s < 1 || a->expires_s > FT_SIGV4_EXPIRES_MAX_S)
            rc = wrong(e, "expires_s", "must be from 1 to 604800, seven days");
    }
    return rc;
}

/* RFC 6266: for old clients the name as far as it is ASCII, for all others as it is. */
static void add_disposition(struct ft_buf *query, const char *name)
{
    struct ft_buf b;
    char plain[DOWNLOAD_AS_MAX + 1];
    size_t n = 0;
    for (; n < DOWNLOAD_AS_MAX && name[n] != '\0'; n++)
        plain[n] =
            name[n] >= ' ' && name[n] <= '~' && strchr("\"\\/%", name[n]) == NULL ? name[n] : '_';
    plain[n] = '\0';
    ft_buf_init(&b, URL_MAX);
    ft_buf_addf(&b, "attachment; filename=\"%s\"; filename*=UTF-8''", plain);
    ft_url_encode(&b, name, n);
    ft_buf_add_str(query, "response-content-disposition=");
    if (b.failed == 0)
        ft_url_encode(query, b.data, b.len);
    ft_buf_fini(&b);
}

/* A key's parts between '/', escaped; the '/' stay. */
static void add_key(struct ft_buf *b, const char *key)
{
    for (;; key++) {
        size_t n = strcspn(key, "/");
        ft_url_encode(b, key, n);
        key += n;
        if (*key == '\0')
            return;
        ft_buf_add_byte(b, '/');
    }
}

static int sign(struct gw_request *r, const struct ask *a, int64_t now_s, struct ft_buf *ret,
                struct ft_err *err)
{
    char secret[FT_S3_SECRET_BYTES], endpoint[512];
    struct ft_buf path, query;
    ft_buf_init(&path, URL_MAX);
    ft_buf_init(&query, URL_MAX);
    ft_buf_add_byte(&path, '/');
    add_key(&path, a->bucket);
    ft_buf_add_byte(&path, '/');
    add_key(&path, a->key);
    if (a->download_as != NULL)
        add_disposition(&query, a->download_as);
    if (a->version != NULL) {
        ft_buf_addf(&query, "%sversionId=", query.len > 0 ? "&" : "");
        ft_url_encode(&query, a->version, strlen(a->version));
    }
    gw_endpoint_of(r, endpoint, sizeof endpoint);
    ft_tenant_s3_secret(r->ident, r->gw->s3_master, secret);
    const struct ft_http_field host = {"host", strstr(endpoint, "://") + 3};
    const struct ft_sigv4_key key = {r->ident->key, secret, GW_REGION, "s3"};
    const struct ft_sigv4_request q = {.method = a->method,
                                       .path = path.data,
                                       .query = query.len > 0 ? query.data : "",
                                       .fields = &host,
                                       .n_fields = 1};
    int rc = path.failed != 0 || query.failed != 0
                 ? ft_err_set(err, FT_ENOMEM, "no memory for a link")
                 : 0;
    if (rc == 0)
        ft_buf_addf(ret, "%s%s?", endpoint, path.data);
    if (rc == 0)
        rc = ft_sigv4_presign(&q, &key, now_s, (int)a->expires_s, ret, err);
    explicit_bzero(secret, sizeof secret);
    ft_buf_fini(&path);
    ft_buf_fini(&query);
    return rc;
}

static int answer(struct gw_request *r, const json_t *body, struct ft_oai_error *e)
{
    struct ask a;
    struct ft_err err = {0};
    enum ft_tenant_why why;
    struct ft_buf url;
    int64_t now_s = (int64_t)time(NULL);
    int rc = read_ask(body, &a, e);
    if (rc != 0)
        return rc;
    const char *action = strcmp(a.method, "PUT") == 0 ? "objects.write" : "objects.read";
    if (ft_tenant_may(r->ident, action, NULL, &why, &err) != 0) {
        ft_oai_error_set(e, FT_EINVAL, ft_tenant_why_code(why), NULL, "%s", err.msg);
        e->status = ft_tenant_why_status(why);
        return FT_EINVAL;
    }
    ft_buf_init(&url, URL_MAX);
    rc = sign(r, &a, now_s, &url, &err);
    json_t *j = rc == 0 && url.failed == 0
                    ? json_pack("{s:s,s:s,s:I}", "object", "presigned_url", "url", url.data,
                                "expires", (json_int_t)(now_s + a.expires_s))
                    : NULL;
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    if (text != NULL)
        gw_respond(r, 200, "application/json", text, strlen(text));
    else
        rc = ft_oai_error_set(e, FT_EINVAL, NULL, NULL, "%s",
                              rc != 0 ? err.msg : "Host: cannot be told back");
    json_decref(j);
    free(text);
    ft_buf_fini(&url);
    return rc;
}

static void presign(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_oai_error e;
    (void)x;
    ft_oai_error_init(&e);
    json_t *body = json_loadb(data, n, JSON_REJECT_DUPLICATES, NULL);
    if (answer(r, body, &e) != 0)
        gw_fail(r, &e);
    json_decref(body);
}

void gw_s3_presign(struct gw_request *r)
{
    if (atomic_load(&r->gw->s3_has_master))
        ft_http_body_collect(r->x, BODY_MAX, presign, r);
    else
        gw_no_storage(r);
}
