/* What a request says of its signature, and whether it is true. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/date.h"
#include "net/sigv4_impl.h"
#include "net/url.h"

static const char scheme[] = "AWS4-HMAC-SHA256";

static const char *header(const struct ft_sigv4_request *r, const char *name)
{
    for (int i = 0; i < r->n_fields; i++)
        if (strcasecmp(r->fields[i].name, name) == 0)
            return r->fields[i].value;
    return NULL;
}

static bool take(char *ret, size_t max, const char *s, size_t n)
{
    if (n == 0 || n >= max)
        return false;
    memcpy(ret, s, n);
    ret[n] = '\0';
    return true;
}

/* "ID/20130524/us-east-1/s3/aws4_request"; ids may hold '/', so from the end. */
static bool take_credential(struct ft_sigv4_auth *a, const char *s, size_t n)
{
    const char *end[5];
    for (int i = 4; i > 0; i--) {
        size_t at = n;
        while (at > 0 && s[at - 1] != '/')
            at--;
        if (at == 0)
            return false;
        end[i] = s + at;
        n = at - 1;
    }
    if (strncmp(end[4], "aws4_request", 12) != 0 || end[2] - end[1] != 9)
        return false;
    for (int i = 0; i < 8; i++)
        if (!isdigit((unsigned char)end[1][i]))
            return false;
    return take(a->id, sizeof a->id, s, n) && take(a->day, sizeof a->day, end[1], 8) &&
           take(a->region, sizeof a->region, end[2], (size_t)(end[3] - end[2] - 1)) &&
           take(a->service, sizeof a->service, end[3], (size_t)(end[4] - end[3] - 1));
}

static bool take_signature(struct ft_sigv4_auth *a, const char *s, size_t n)
{
    return n == 64 && strspn(s, "0123456789abcdef") >= 64 &&
           take(a->signature, sizeof a->signature, s, n);
}

/* Lower case, sorted, with host: as every signer writes it; then it can be signed as it stands. */
static bool take_names(struct ft_sigv4_auth *a, const char *s, size_t n)
{
    if (!take(a->names, sizeof a->names, s, n))
        return false;
    int count = 0;
    bool host = false;
    for (const char *p = a->names; *p != '\0'; count++) {
        size_t len = strcspn(p, ";");
        if (len == 0 || len > FT_HTTP_FIELD_NAME_MAX || (p[len] == ';' && p[len + 1] == '\0'))
            return false;
        for (size_t i = 0; i < len; i++)
            if (isupper((unsigned char)p[i]) || (unsigned char)p[i] <= ' ')
                return false;
        host = host || (len == 4 && memcmp(p, "host", 4) == 0);
        p += len + (p[len] == ';');
    }
    return host && count <= FT_SIGV4_SIGNED_MAX;
}

static bool is_signed_name(const struct ft_sigv4_auth *a, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = a->names; *p != '\0';) {
        size_t len = strcspn(p, ";");
        if (len == n && strncasecmp(p, name, n) == 0)
            return true;
        p += len + (p[len] == ';');
    }
    return false;
}

static int malformed(struct ft_err *err, const char *what)
{
    return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_MALFORMED,
                        "The authorization header is malformed; %s", what);
}

static bool take_date(struct ft_sigv4_auth *a, const char *s)
{
    char basic[FT_DATE_MAX];
    if (!ft_date_parse_iso(s, &a->signed_s) && !ft_date_parse_http(s, &a->signed_s))
        return false;
    ft_date_basic(a->signed_s, basic);
    memcpy(a->date, basic, sizeof a->date);
    return true;
}

static int take_payload(struct ft_sigv4_auth *a, const char *v, struct ft_err *err)
{
    static const struct {
        const char *word;
        enum ft_sigv4_payload payload;
    } words[] = {{FT_SIGV4_UNSIGNED, FT_SIGV4_P_UNSIGNED},
                 {FT_SIGV4_UNSIGNED_TRAILER, FT_SIGV4_P_UNSIGNED_TRAILER},
                 {FT_SIGV4_CHUNKS, FT_SIGV4_P_CHUNKS},
                 {FT_SIGV4_CHUNKS_TRAILER, FT_SIGV4_P_CHUNKS_TRAILER}};
    if (!take(a->payload_hash, sizeof a->payload_hash, v, strlen(v)))
        return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_BAD_HASH, "x-amz-content-sha256: too long");
    for (size_t i = 0; i < FT_COUNT(words); i++) {
        if (strcmp(v, words[i].word) == 0) {
            a->payload = words[i].payload;
            return 0;
        }
    }
    a->payload = FT_SIGV4_P_HASH;
    if (strlen(v) == 64 && strspn(v, "0123456789abcdefABCDEF") == 64)
        return 0;
    return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_BAD_HASH,
                        "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, "
                        "STREAMING-UNSIGNED-PAYLOAD-TRAILER, STREAMING-AWS4-HMAC-SHA256-PAYLOAD, "
                        "STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER or a valid sha256 value.");
}

static int read_header(const struct ft_sigv4_request *r, const char *value, struct ft_sigv4_auth *a,
                       struct ft_err *err)
{
    a->how = FT_SIGV4_HEADER;
    size_t n = sizeof scheme - 1;
    if (strncmp(value, scheme, n) != 0 || (value[n] != ' ' && value[n] != '\t'))
        return ft_sigv4_err(err, FT_EUNSUPPORTED, FT_SIGV4_OTHER_SCHEME,
                            "The authorization mechanism you have provided is not supported. "
                            "Please use AWS4-HMAC-SHA256.");
    bool credential = false, names = false, signature = false;
    for (const char *p = value + n; *(p += strspn(p, " \t,")) != '\0';) {
        size_t len = strcspn(p, ",");
        size_t end = len;
        while (end > 0 && (p[end - 1] == ' ' || p[end - 1] == '\t'))
            end--;
        if (end > 11 && strncmp(p, "Credential=", 11) == 0 && !credential)
            credential = take_credential(a, p + 11, end - 11);
        else if (end > 14 && strncmp(p, "SignedHeaders=", 14) == 0 && !names)
            names = take_names(a, p + 14, end - 14);
        else if (end > 10 && strncmp(p, "Signature=", 10) == 0 && !signature)
            signature = take_signature(a, p + 10, end - 10);
        else
            return malformed(err, "it holds something unknown, or something twice.");
        p += len;
    }
    if (!credential)
        return malformed(err, "Credential must be of the form "
                              "KEY/YYYYMMDD/REGION/SERVICE/aws4_request.");
    if (!names)
        return malformed(err, "SignedHeaders must be lower-case names with host among them.");
    if (!signature)
        return malformed(err, "Signature must be 64 hexadecimal digits.");
    const char *date = header(r, "x-amz-date");
    if (date == NULL)
        date = header(r, "date");
    if (date == NULL || !take_date(a, date))
        return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_NO_DATE,
                            "AWS authentication requires a valid Date or x-amz-date header");
    const char *hash = header(r, "x-amz-content-sha256");
    if (hash == NULL)
        return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_NO_HASH,
                            "Missing required header for this request: x-amz-content-sha256");
    return take_payload(a, hash, err);
}

static int bad_query(struct ft_err *err, const char *what)
{
    return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_QUERY_MALFORMED, "%s", what);
}

static int read_query(const struct ft_sigv4_request *r, struct ft_sigv4_auth *a,
                      struct ft_arena *arena, struct ft_err *err)
{
    a->how = FT_SIGV4_QUERY;
    static const char *const names[] = {
        "X-Amz-Algorithm",     "X-Amz-Credential", "X-Amz-Date",          "X-Amz-Expires",
        "X-Amz-SignedHeaders", "X-Amz-Signature",  "X-Amz-Content-Sha256"};
    enum { ALGORITHM, CREDENTIAL, DATE, EXPIRES, SIGNED, SIGNATURE, HASH };
    const char *v[FT_COUNT(names)];
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        struct ft_err bad;
        if (ft_url_param(r->query, names[i], arena, &v[i], &bad) != 0)
            return bad_query(err, bad.msg);
        if (v[i] == NULL && i != HASH)
            return bad_query(err, "Query-string authentication version 4 requires the "
                                  "X-Amz-Algorithm, X-Amz-Credential, X-Amz-Signature, X-Amz-Date, "
                                  "X-Amz-SignedHeaders, and X-Amz-Expires parameters.");
    }
    if (strcmp(v[ALGORITHM], scheme) != 0)
        return bad_query(err, "X-Amz-Algorithm only supports \"AWS4-HMAC-SHA256\"");
    if (!take_credential(a, v[CREDENTIAL], strlen(v[CREDENTIAL])))
        return bad_query(err, "X-Amz-Credential must be of the form "
                              "KEY/YYYYMMDD/REGION/SERVICE/aws4_request.");
    if (!take_names(a, v[SIGNED], strlen(v[SIGNED])))
        return bad_query(err, "X-Amz-SignedHeaders must be lower-case names with host among them.");
    if (!take_signature(a, v[SIGNATURE], strlen(v[SIGNATURE])))
        return bad_query(err, "X-Amz-Signature must be 64 hexadecimal digits.");
    if (strlen(v[DATE]) != 16 || !take_date(a, v[DATE]))
        return bad_query(err, "X-Amz-Date must be in the ISO8601 Long Format "
                              "\"yyyyMMdd'T'HHmmss'Z'\"");
    char *end;
    long expires = strtol(v[EXPIRES], &end, 10);
    if (!isdigit((unsigned char)v[EXPIRES][0]) || *end != '\0' || expires < 1 ||
        expires > FT_SIGV4_EXPIRES_MAX_S)
        return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_BAD_EXPIRES,
                            "X-Amz-Expires must be from 1 to %d seconds", FT_SIGV4_EXPIRES_MAX_S);
    a->expires_s = (int)expires;
    const char *hash = v[HASH] != NULL ? v[HASH] : header(r, "x-amz-content-sha256");
    return take_payload(a, hash != NULL ? hash : FT_SIGV4_UNSIGNED, err);
}

/* Is there a parameter of this name, whatever its value? */
static bool has_param(const char *query, const char *name)
{
    size_t n = strlen(name);
    for (const char *p = query; *(p += strspn(p, "&")) != '\0'; p += strcspn(p, "&"))
        if (strncmp(p, name, n) == 0 && (p[n] == '=' || p[n] == '&' || p[n] == '\0'))
            return true;
    return false;
}

int ft_sigv4_read(const struct ft_sigv4_request *r, struct ft_sigv4_auth *ret, struct ft_err *err)
{
    struct ft_sigv4_auth a = {0};
    const char *value = header(r, "authorization");
    int rc = 0;
    if (value != NULL && *value == '\0') /* as good as none */
        value = NULL;
    if (has_param(r->query, "X-Amz-Algorithm")) {
        if (value != NULL)
            return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_BAD_HASH,
                                "Only one auth mechanism allowed; only the X-Amz-Algorithm query "
                                "parameter or the Authorization header should be specified");
        struct ft_arena arena;
        ft_arena_init(&arena, FT_SIGV4_CANONICAL_MAX);
        rc = read_query(r, &a, &arena, err);
        ft_arena_fini(&arena);
    } else if (value != NULL) {
        rc = read_header(r, value, &a, err);
    } else if (has_param(r->query, "AWSAccessKeyId")) {
        rc = ft_sigv4_err(err, FT_EUNSUPPORTED, FT_SIGV4_OTHER_SCHEME,
                          "The authorization mechanism you have provided is not supported. "
                          "Please use AWS4-HMAC-SHA256.");
    }
    if (rc != 0)
        return rc;
    *ret = a;
    return 0;
}

static int check_time(const struct ft_sigv4_auth *a, int64_t now_s, struct ft_err *err)
{
    int64_t age_s = now_s - a->signed_s;
    if (a->how == FT_SIGV4_HEADER)
        return age_s > FT_SIGV4_SKEW_S || -age_s > FT_SIGV4_SKEW_S
                   ? ft_sigv4_err(err, FT_EBUSY, FT_SIGV4_SKEWED,
                                  "The difference between the request time and the current time "
                                  "is too large.")
                   : 0;
    if (-age_s > FT_SIGV4_SKEW_S)
        return ft_sigv4_err(err, FT_EBUSY, FT_SIGV4_NOT_YET, "Request is not valid yet");
    return age_s > a->expires_s
               ? ft_sigv4_err(err, FT_EBUSY, FT_SIGV4_EXPIRED, "Request has expired")
               : 0;
}

static int check_scope(const struct ft_sigv4_auth *a, const char *region, const char *service,
                       struct ft_err *err)
{
    enum ft_sigv4_why why =
        a->how == FT_SIGV4_QUERY ? FT_SIGV4_QUERY_MALFORMED : FT_SIGV4_MALFORMED;
    if (strncmp(a->day, a->date, 8) != 0)
        return ft_sigv4_err(err, FT_EINVAL, why,
                            "Invalid credential date \"%s\". This date is not the same as "
                            "X-Amz-Date: \"%.8s\".",
                            a->day, a->date);
    if (strcmp(a->service, service) != 0)
        return ft_sigv4_err(err, FT_EINVAL, why,
                            "Incorrect service \"%s\". This endpoint belongs to \"%s\".",
                            a->service, service);
    if (region != NULL && strcmp(a->region, region) != 0)
        return ft_sigv4_err(err, FT_EINVAL, why, "The region '%s' is wrong; expecting '%s'",
                            a->region, region);
    return 0;
}

int ft_sigv4_verify(const struct ft_sigv4_request *r, const struct ft_sigv4_auth *a,
                    const char *secret, const char *region, const char *service, int64_t now_s,
                    struct ft_sigv4_chain *ret_chain, struct ft_err *err)
{
    int rc = check_scope(a, region, service, err);
    if (rc == 0)
        rc = check_time(a, now_s, err);
    if (rc != 0)
        return rc;
    /* else anybody between could add a header that changes what the request does */
    for (int i = 0; i < r->n_fields; i++)
        if (strncasecmp(r->fields[i].name, "x-amz-", 6) == 0 &&
            !is_signed_name(a, r->fields[i].name))
            return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_NOT_SIGNED,
                                "There were headers present in the request which were not signed: "
                                "%.64s",
                                r->fields[i].name);
    struct ft_sigv4_chain chain;
    struct ft_sigv4_key key = {a->id, secret, a->region, a->service};
    ft_sigv4_derive(&key, a->signed_s, &chain);
    char want[65];
    struct ft_err bad;
    rc =
        ft_sigv4_signature(r, a->names, a->payload_hash,
                           a->how == FT_SIGV4_QUERY ? "X-Amz-Signature" : NULL, &chain, want, &bad);
    if (rc != 0 || !ft_sigv4_equal(want, a->signature))
        return ft_sigv4_err(err, FT_EINVAL, FT_SIGV4_MISMATCH,
                            "The request signature we calculated does not match the signature you "
                            "provided. Check your key and signing method.");
    memcpy(chain.previous, want, sizeof want);
    if (ret_chain != NULL)
        *ret_chain = chain;
    return 0;
}
