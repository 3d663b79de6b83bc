/* The canonical request, keys, chains, and signing. sigv4_verify.c checks. */
#include "net/sigv4.h"

#include <nettle/base16.h>
#include <nettle/hmac.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/date.h"
#include "net/sigv4_impl.h"
#include "net/url.h"

int ft_sigv4_err(struct ft_err *err, int code, enum ft_sigv4_why why, const char *fmt, ...)
{
    if (err != NULL) {
        va_list ap;
        va_start(ap, fmt);
        vsnprintf(err->msg, sizeof err->msg, fmt, ap);
        va_end(ap);
        err->code = (enum ft_code)code;
        err->sys_errno = (int)why;
    }
    return code;
}

enum ft_sigv4_why ft_sigv4_why(const struct ft_err *err)
{
    return err->sys_errno > 0 && err->sys_errno <= FT_SIGV4_MISMATCH
               ? (enum ft_sigv4_why)err->sys_errno
               : FT_SIGV4_WHY_NONE;
}

bool ft_sigv4_equal(const char *a, const char *b)
{
    size_t n = strlen(a);
    return n == strlen(b) && nettle_memeql_sec(a, b, n);
}

/* ---- hashes ---- */

static void to_hex(const uint8_t digest[32], char ret_hex[65])
{
    base16_encode_update(ret_hex, 32, digest);
    ret_hex[64] = '\0';
}

void ft_sigv4_sha256_hex(const void *data, size_t n, char ret_hex[65])
{
    struct sha256_ctx ctx;
    uint8_t digest[32];
    sha256_init(&ctx);
    sha256_update(&ctx, n, data);
    sha256_digest(&ctx, sizeof digest, digest);
    to_hex(digest, ret_hex);
}

static void hmac(const void *key, size_t n_key, const void *text, size_t n, uint8_t ret[32])
{
    struct hmac_sha256_ctx ctx;
    hmac_sha256_set_key(&ctx, n_key, key);
    hmac_sha256_update(&ctx, n, text);
    hmac_sha256_digest(&ctx, 32, ret);
}

void ft_sigv4_hmac_hex(const struct ft_sigv4_chain *c, const void *text, size_t n, char ret_hex[65])
{
    uint8_t digest[32];
    hmac(c->key, sizeof c->key, text, n, digest);
    to_hex(digest, ret_hex);
}

void ft_sigv4_derive(const struct ft_sigv4_key *key, int64_t now_s, struct ft_sigv4_chain *ret)
{
    char date[FT_DATE_MAX];
    ft_date_basic(now_s, date);
    memcpy(ret->date, date, sizeof ret->date);
    ret->previous[0] = '\0';
    snprintf(ret->scope, sizeof ret->scope, "%.8s/%.*s/%.*s/aws4_request", date, FT_SIGV4_WORD_MAX,
             key->region, FT_SIGV4_WORD_MAX, key->service);
    size_t n = strlen(key->secret);
    uint8_t k[32], start[4 + 256] = "AWS4";
    n = FT_MIN(n, sizeof start - 4);
    memcpy(start + 4, key->secret, n);
    hmac(start, 4 + n, date, 8, k);
    hmac(k, sizeof k, key->region, strlen(key->region), k);
    hmac(k, sizeof k, key->service, strlen(key->service), k);
    hmac(k, sizeof k, "aws4_request", 12, ret->key);
}

/* ---- chains ---- */

static void link_of(struct ft_sigv4_chain *c, const char *kind, const char *between,
                    const char *hash, char ret_hex[65])
{
    char text[64 + sizeof c->date + sizeof c->scope + 3 * 66];
    int n = snprintf(text, sizeof text, "%s\n%s\n%s\n%s\n%s%s", kind, c->date, c->scope,
                     c->previous, between, hash);
    ft_sigv4_hmac_hex(c, text, (size_t)n, ret_hex);
    memcpy(c->previous, ret_hex, sizeof c->previous);
}

void ft_sigv4_chunk(struct ft_sigv4_chain *c, const char sha256_hex[65], char ret_hex[65])
{
    link_of(c, "AWS4-HMAC-SHA256-PAYLOAD", FT_SIGV4_EMPTY_SHA256 "\n", sha256_hex, ret_hex);
}

void ft_sigv4_trailer(struct ft_sigv4_chain *c, const char sha256_hex[65], char ret_hex[65])
{
    link_of(c, "AWS4-HMAC-SHA256-TRAILER", "", sha256_hex, ret_hex);
}

void ft_sigv4_policy(const struct ft_sigv4_chain *c, const char *policy, char ret_hex[65])
{
    ft_sigv4_hmac_hex(c, policy, strlen(policy), ret_hex);
}

/* ---- the canonical request ---- */

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* s decoded and encoded again; keep: a byte that is left as it is ('/'), or 0. */
static bool recode(struct ft_buf *b, const char *s, size_t n, char keep, bool plus_is_space)
{
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = n - i > 2 ? digit(s[i + 1]) : -1, lo = hi >= 0 ? digit(s[i + 2]) : -1;
            if (lo < 0)
                return false;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if (c == keep && keep != 0)
            ft_buf_add_byte(b, (unsigned char)c);
        else
            ft_url_encode(b, &c, 1);
    }
    return true;
}

struct param {
    size_t at, n_name, n; /* in the buffer: "name=value" */
};

/* By name, then by value: '=' would sort behind '-' and '.', so not as one text. */
static int by_name(const void *pa, const void *pb, void *ctx)
{
    const struct param *a = pa, *b = pb;
    const char *text = ctx;
    int c = memcmp(text + a->at, text + b->at, FT_MIN(a->n_name, b->n_name));
    if (c != 0 || a->n_name != b->n_name)
        return c != 0 ? c : a->n_name < b->n_name ? -1 : 1;
    c = memcmp(text + a->at, text + b->at, FT_MIN(a->n, b->n));
    return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

int ft_sigv4_canonical_query(struct ft_buf *b, const char *query, const char *skip,
                             struct ft_err *err)
{
    struct ft_buf text;
    ft_buf_init(&text, FT_SIGV4_CANONICAL_MAX);
    struct param params[FT_SIGV4_PARAMS_MAX];
    int n = 0, rc = 0;
    for (const char *p = query; rc == 0 && *(p += strspn(p, "&")) != '\0';) {
        size_t len = strcspn(p, "&"), n_name = strcspn(p, "=&");
        if (n == FT_SIGV4_PARAMS_MAX) {
            rc = ft_err_set(err, FT_EINVAL, "query: more than %d parameters", FT_SIGV4_PARAMS_MAX);
            break;
        }
        struct param *q = &params[n];
        q->at = text.len;
        bool ok = recode(&text, p, n_name, 0, true);
        q->n_name = text.len - q->at;
        ft_buf_add_byte(&text, '=');
        if (len > n_name)
            ok = ok && recode(&text, p + n_name + 1, len - n_name - 1, 0, true);
        q->n = text.len - q->at;
        if (!ok || text.failed)
            rc = ft_err_set(err, FT_EINVAL, "query: a broken escape, or too long");
        if (skip == NULL || q->n_name != strlen(skip) ||
            memcmp(text.data + q->at, skip, q->n_name) != 0)
            n++;
        p += len;
    }
    if (rc == 0 && n > 0) {
        qsort_r(params, (size_t)n, sizeof *params, by_name, text.data);
        for (int i = 0; i < n; i++) {
            if (i > 0)
                ft_buf_add_byte(b, '&');
            ft_buf_add(b, text.data + params[i].at, params[i].n);
        }
    }
    ft_buf_fini(&text);
    return rc;
}

/* Without blanks around it, and runs of them within as one. */
static void add_trimmed(struct ft_buf *b, const char *v)
{
    v += strspn(v, " \t");
    for (; *v != '\0'; v++) {
        bool blank = *v == ' ' || *v == '\t';
        if (!blank) {
            ft_buf_add_byte(b, (unsigned char)*v);
            continue;
        }
        v += strspn(v, " \t") - 1;
        if (v[1] != '\0')
            ft_buf_add_byte(b, ' ');
    }
}

/* All headers of this name, joined by ','. */
static bool add_header(struct ft_buf *b, const struct ft_sigv4_request *r, const char *name,
                       size_t n)
{
    bool there = false;
    for (int i = 0; i < r->n_fields; i++) {
        if (strlen(r->fields[i].name) != n || strncasecmp(r->fields[i].name, name, n) != 0)
            continue;
        if (there) {
            ft_buf_add_byte(b, ',');
        } else {
            ft_buf_add(b, name, n);
            ft_buf_add_byte(b, ':');
        }
        there = true;
        add_trimmed(b, r->fields[i].value);
    }
    ft_buf_add_byte(b, '\n');
    return there;
}

static int canonical(struct ft_buf *b, const struct ft_sigv4_request *r, const char *names,
                     const char *payload, const char *skip, struct ft_err *err)
{
    ft_buf_addf(b, "%s\n", r->method);
    if (!recode(b, r->path, strcspn(r->path, "?"), '/', false))
        return ft_err_set(err, FT_EINVAL, "path: '%%' without two hexadecimal digits");
    ft_buf_add_byte(b, '\n');
    int rc = ft_sigv4_canonical_query(b, r->query, skip, err);
    if (rc != 0)
        return rc;
    ft_buf_add_byte(b, '\n');
    for (const char *p = names; *p != '\0';) {
        size_t n = strcspn(p, ";");
        if (!add_header(b, r, p, n))
            return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_MISMATCH,
                                "SignedHeaders: %.*s is not among the headers", (int)n, p);
        p += n + (p[n] == ';');
    }
    ft_buf_addf(b, "\n%s\n%s", names, payload);
    return b->failed ? ft_err_set(err, FT_EINVAL, "request: more than %d bytes to sign",
                                  FT_SIGV4_CANONICAL_MAX)
                     : 0;
}

int ft_sigv4_signature(const struct ft_sigv4_request *r, const char *names, const char *payload,
                       const char *skip, const struct ft_sigv4_chain *c, char ret_hex[65],
                       struct ft_err *err)
{
    struct ft_buf b;
    ft_buf_init(&b, FT_SIGV4_CANONICAL_MAX);
    int rc = canonical(&b, r, names, payload, skip, err);
    if (rc == 0) {
        char hash[65], text[32 + sizeof c->date + sizeof c->scope + 66];
        ft_sigv4_sha256_hex(b.data, b.len, hash);
        int n =
            snprintf(text, sizeof text, "AWS4-HMAC-SHA256\n%s\n%s\n%s", c->date, c->scope, hash);
        ft_sigv4_hmac_hex(c, text, (size_t)n, ret_hex);
    }
    ft_buf_fini(&b);
    return rc;
}

/* ---- signing ---- */

static bool is_signed(const char *name)
{
    static const char *const plain[] = {"host", "content-md5", "content-type", "range"};
    for (size_t i = 0; i < FT_COUNT(plain); i++)
        if (strcasecmp(name, plain[i]) == 0)
            return true;
    return strncasecmp(name, "x-amz-", 6) == 0;
}

static int by_text(const void *a, const void *b)
{
    return strcasecmp(*(const char *const *)a, *(const char *const *)b);
}

/* The names of r's headers that are signed, in order, each once; all: every header. */
static int signed_names(const struct ft_sigv4_request *r, bool all, char *ret, size_t max,
                        struct ft_err *err)
{
    const char *names[FT_SIGV4_SIGNED_MAX];
    size_t n = 0, len = 0;
    for (int i = 0; i < r->n_fields; i++) {
        if (!all && !is_signed(r->fields[i].name))
            continue;
        if (n == FT_SIGV4_SIGNED_MAX)
            return ft_err_set(err, FT_EINVAL, "more than %d headers to sign", FT_SIGV4_SIGNED_MAX);
        names[n++] = r->fields[i].name;
    }
    qsort(names, n, sizeof *names, by_text);
    for (size_t i = 0; i < n; i++) {
        if (i > 0 && strcasecmp(names[i], names[i - 1]) == 0)
            continue;
        int k = snprintf(ret + len, max - len, "%s%s", len > 0 ? ";" : "", names[i]);
        if (k < 0 || (size_t)k >= max - len)
            return ft_err_set(err, FT_EINVAL, "header %.64s: its name is too long", names[i]);
        len += (size_t)k;
    }
    for (char *p = ret; *p != '\0'; p++)
        *p = (char)(*p >= 'A' && *p <= 'Z' ? *p | 0x20 : *p);
    return 0;
}

int ft_sigv4_sign(const struct ft_sigv4_request *r, const struct ft_sigv4_key *key,
                  const char *payload, int64_t now_s, struct ft_sigv4_signed *ret,
                  struct ft_err *err)
{
    struct ft_http_field fields[FT_HTTP_FIELDS_MAX + 2];
    if (r->n_fields > FT_HTTP_FIELDS_MAX)
        return ft_err_set(err, FT_EINVAL, "more than %d headers to sign", FT_HTTP_FIELDS_MAX);
    for (int i = 0; i < r->n_fields; i++)
        fields[i] = r->fields[i];
    struct ft_sigv4_request all = *r;
    ft_sigv4_derive(key, now_s, &ret->chain);
    memcpy(ret->date, ret->chain.date, sizeof ret->date);
    fields[all.n_fields++] = (struct ft_http_field){"x-amz-content-sha256", payload};
    fields[all.n_fields++] = (struct ft_http_field){"x-amz-date", ret->date};
    all.fields = fields;
    char names[FT_SIGV4_SIGNED_MAX * (FT_HTTP_FIELD_NAME_MAX + 1)];
    int rc = signed_names(&all, false, names, sizeof names, err);
    if (rc == 0)
        rc = ft_sigv4_signature(&all, names, payload, NULL, &ret->chain, ret->chain.previous, err);
    if (rc != 0)
        return rc;
    snprintf(ret->authorization, sizeof ret->authorization,
             "AWS4-HMAC-SHA256 Credential=%.*s/%s,SignedHeaders=%s,Signature=%s", FT_SIGV4_ID_MAX,
             key->id, ret->chain.scope, names, ret->chain.previous);
    return 0;
}

int ft_sigv4_presign(const struct ft_sigv4_request *r, const struct ft_sigv4_key *key,
                     int64_t now_s, int expires_s, struct ft_buf *ret, struct ft_err *err)
{
    if (expires_s < 1 || expires_s > FT_SIGV4_EXPIRES_MAX_S)
        return ft_err_set(err, FT_EINVAL, "expires: %d seconds; from 1 to %d", expires_s,
                          FT_SIGV4_EXPIRES_MAX_S);
    char names[FT_SIGV4_SIGNED_MAX * (FT_HTTP_FIELD_NAME_MAX + 1)] = "";
    struct ft_sigv4_chain chain;
    ft_sigv4_derive(key, now_s, &chain);
    int rc = signed_names(r, true, names, sizeof names, err);
    if (rc != 0)
        return rc;
    struct ft_buf q, credential;
    ft_buf_init(&q, FT_SIGV4_CANONICAL_MAX);
    ft_buf_init(&credential, FT_SIGV4_CANONICAL_MAX);
    ft_buf_addf(&credential, "%s/%s", key->id, chain.scope);
    ft_buf_addf(&q, "%s%sX-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=", r->query,
                r->query[0] != '\0' ? "&" : "");
    ft_url_encode(&q, credential.data, credential.len);
    ft_buf_addf(&q, "&X-Amz-Date=%s&X-Amz-Expires=%d&X-Amz-SignedHeaders=", chain.date, expires_s);
    ft_url_encode(&q, names, strlen(names));
    struct ft_buf sorted;
    ft_buf_init(&sorted, FT_SIGV4_CANONICAL_MAX);
    rc = q.failed || credential.failed ? ft_err_set(err, FT_EINVAL, "the query is too long") : 0;
    if (rc == 0)
        rc = ft_sigv4_canonical_query(&sorted, q.data, NULL, err);
    if (rc == 0) {
        struct ft_sigv4_request all = *r;
        all.query = sorted.data;
        char signature[65];
        rc = ft_sigv4_signature(&all, names, FT_SIGV4_UNSIGNED, NULL, &chain, signature, err);
        if (rc == 0)
            ft_buf_addf(ret, "%s&X-Amz-Signature=%s", sorted.data, signature);
    }
    ft_buf_fini(&sorted);
    ft_buf_fini(&credential);
    ft_buf_fini(&q);
    return rc;
}
