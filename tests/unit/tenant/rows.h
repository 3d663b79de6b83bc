/* What the tenant tests share: rows from JSON text, keys by their secret. */
#ifndef FT_TENANT_ROWS_H
#define FT_TENANT_ROWS_H

#include "testing.h"

#include <nettle/sha2.h>

#include "tenant/tenant.h"

#define NOW_S 1767225600 /* 2026-01-01T00:00:00Z */

static inline int try_row(struct ft_tenant *t, const char *kind, const char *id, const char *body,
                          struct ft_err *err)
{
    json_t *json = body == NULL ? NULL : json_loads(body, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    assert_true(body == NULL || json != NULL);
    int rc = ft_tenant_apply(t, kind, id, json, err);
    json_decref(json);
    return rc;
}

static inline void row(struct ft_tenant *t, const char *kind, const char *id, const char *body)
{
    struct ft_err err = {.msg = ""};
    if (try_row(t, kind, id, body, &err) != 0)
        fail_msg("%s", err.msg);
}

static inline void digest_of(const char *secret, char ret[65])
{
    struct sha256_ctx sha;
    uint8_t digest[32];
    sha256_init(&sha);
    sha256_update(&sha, strlen(secret), (const uint8_t *)secret);
    sha256_digest(&sha, sizeof digest, digest);
    for (int i = 0; i < 32; i++)
        snprintf(ret + 2 * i, 3, "%02x", digest[i]);
}

/* A session row for this secret, which stands for the key `parent`; more: further members. */
static inline void session(struct ft_tenant *t, const char *id, const char *parent,
                           const char *secret, int64_t expires, const char *more)
{
    char hex[65], body[512];
    struct ft_err err = {.msg = ""};
    digest_of(secret, hex);
    snprintf(body, sizeof body, "{\"parent\":\"%s\",\"hash\":\"%s\",\"expires\":%lld%s}", parent,
             hex, (long long)expires, more);
    if (try_row(t, "session", id, body, &err) != 0)
        fail_msg("%s", err.msg);
}

/* A key row for this secret; more: further members, such as ",\"role\":\"admin\"". */
static inline int try_key(struct ft_tenant *t, const char *id, const char *project,
                          const char *secret, const char *more, struct ft_err *err)
{
    char hex[65], body[1024];
    digest_of(secret, hex);
    snprintf(body, sizeof body, "{\"name\":\"n\",\"project\":\"%s\",\"hash\":\"%s\"%s}", project,
             hex, more);
    return try_row(t, "key", id, body, err);
}

static inline void key(struct ft_tenant *t, const char *id, const char *project, const char *secret,
                       const char *more)
{
    struct ft_err err = {.msg = ""};
    if (try_key(t, id, project, secret, more, &err) != 0)
        fail_msg("%s", err.msg);
}

static inline enum ft_tenant_why login_at(struct ft_tenant *t, const char *secret, int64_t now_s,
                                          struct ft_tenant_ident **ret)
{
    enum ft_tenant_why why = FT_WHY_OK;
    struct ft_err err;
    int rc = ft_tenant_authenticate(t, secret, strlen(secret), now_s, ret, &why, &err);
    assert_int_equal(rc == 0, why == FT_WHY_OK);
    return why;
}

static inline struct ft_tenant_ident *login(struct ft_tenant *t, const char *secret)
{
    struct ft_tenant_ident *i = NULL;
    assert_int_equal(login_at(t, secret, NOW_S, &i), FT_WHY_OK);
    return i;
}

static inline struct ft_tenant *open_tenant(void)
{
    struct ft_tenant *t = NULL;
    struct ft_err err;
    assert_int_equal(ft_tenant_open(&t, &err), 0);
    return t;
}

#endif
