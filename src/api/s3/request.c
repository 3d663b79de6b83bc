/* Which bucket, key and parameters a request names: from the raw target, since a key may hold
 * anything ("//", "..", encoded bytes). */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "api/s3/impl.h"
#include "base/utf8.h"

static int digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

char *ft_s3_unescape(struct ft_arena *arena, const char *s, size_t n, bool plus_is_space)
{
    char *out = ft_arena_alloc(arena, n + 1), *p = out;
    if (out == NULL)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = n - i > 2 ? digit(s[i + 1]) : -1, lo = hi >= 0 ? digit(s[i + 2]) : -1;
            if (lo < 0 || (hi == 0 && lo == 0))
                return NULL;
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        *p++ = c;
    }
    *p = '\0';
    return out;
}

const char *ft_s3_host_bucket(const struct ft_s3 *s3, const struct ft_http_exchange *x,
                              struct ft_arena *arena)
{
    const char *host = ft_http_header(x, "host");
    if (host == NULL)
        return NULL;
    const char *colon = strrchr(host, ':');
    size_t n = colon != NULL ? (size_t)(colon - host) : strlen(host);
    for (int i = 0; i < s3->config.n_domains; i++) {
        size_t m = strlen(s3->domains[i]);
        if (n > m + 1 && host[n - m - 1] == '.' &&
            strncasecmp(host + n - m, s3->domains[i], m) == 0)
            return ft_arena_strndup(arena, host, n - m - 1);
    }
    return NULL;
}

static int read_params(struct ft_s3_call *c)
{
    for (const char *p = c->x->query; *(p += strspn(p, "&")) != '\0';) {
        size_t n = strcspn(p, "&"), n_name = strcspn(p, "=&");
        if (c->n_params == FT_S3_PARAMS_MAX)
            return ft_s3_fail(c, FT_S3_InvalidArgument, "more than %d parameters",
                              FT_S3_PARAMS_MAX);
        const char *name = ft_s3_unescape(c->arena, p, n_name, true), *value = "";
        if (n > n_name)
            value = ft_s3_unescape(c->arena, p + n_name + 1, n - n_name - 1, true);
        if (name == NULL || value == NULL || !ft_utf8_valid(value, strlen(value)))
            return ft_s3_fail(c, FT_S3_InvalidURI, NULL);
        c->params[c->n_params++] = (struct ft_s3_param){name, value};
        p += n;
    }
    return 0;
}

int ft_s3_request_read(struct ft_s3_call *c)
{
    const char *path = c->x->target;
    if (path[0] != '/')
        return ft_s3_fail(c, FT_S3_InvalidURI, NULL);
    path++;
    c->bucket = ft_s3_host_bucket(c->s3, c->x, c->arena);
    size_t n = strcspn(path, "?");
    if (c->bucket == NULL && n > 0) {
        const char *slash = memchr(path, '/', n);
        size_t m = slash != NULL ? (size_t)(slash - path) : n;
        c->bucket = ft_s3_unescape(c->arena, path, m, false);
        if (c->bucket == NULL)
            return ft_s3_fail(c, FT_S3_InvalidURI, NULL);
        const char *colon = strchr(c->bucket, ':');
        if (colon != NULL) { /* as Ceph's tenants write it; names have none here */
            if (colon > c->bucket)
                c->of_project = ft_arena_strndup(c->arena, c->bucket, (size_t)(colon - c->bucket));
            c->bucket = colon + 1;
        }
        path += m + (slash != NULL);
        n -= m + (slash != NULL);
    }
    if (n > 0) {
        c->key = ft_s3_unescape(c->arena, path, n, false);
        if (c->key == NULL || !ft_utf8_valid(c->key, strlen(c->key))) {
            c->key = NULL;
            return ft_s3_fail(c, FT_S3_InvalidURI, NULL);
        }
        if (strlen(c->key) > FT_BLOB_KEY_MAX)
            return ft_s3_fail(c, FT_S3_KeyTooLongError, NULL);
    }
    return read_params(c);
}

const char *ft_s3_param(const struct ft_s3_call *c, const char *name)
{
    for (int i = 0; i < c->n_params; i++)
        if (strcmp(c->params[i].name, name) == 0)
            return c->params[i].value;
    return NULL;
}

/* Who holds a signed form may send it with any header: only what is in the form was allowed. */
const char *ft_s3_in(const struct ft_s3_call *c, const char *header)
{
    if (c->form == NULL || strncasecmp(header, "x-amz-", 6) != 0)
        return ft_http_header(c->x, header);
    const char *name = strcasecmp(header, "x-amz-acl") == 0 ? "acl" : header;
    for (int i = 0; i < c->n_form; i++)
        if (strcasecmp(c->form[i].name, name) == 0)
            return c->form[i].value;
    return NULL;
}

bool ft_s3_size_read(const char *text, int64_t *ret)
{
    size_t n = strlen(text);
    if (n == 0 || n > 15 || strspn(text, "0123456789") != n)
        return false;
    *ret = strtoll(text, NULL, 10);
    return true;
}

int ft_s3_param_int(struct ft_s3_call *c, const char *name, int64_t min, int64_t max,
                    int64_t absent, int64_t *ret)
{
    const char *s = ft_s3_param(c, name);
    if (s == NULL || s[0] == '\0') {
        *ret = absent;
        return 0;
    }
    size_t n = strlen(s);
    int64_t v = 0;
    bool ok = n <= 10 && strspn(s, "0123456789") == n;
    for (size_t i = 0; ok && i < n; i++)
        v = v * 10 + (s[i] - '0');
    if (!ok || v < min || v > max) {
        ft_s3_fail_extra(c, "ArgumentName", name);
        ft_s3_fail_extra(c, "ArgumentValue", s);
        return ft_s3_fail(c, FT_S3_InvalidArgument,
                          "Argument %s must be an integer from %lld to %lld", name, (long long)min,
                          (long long)max);
    }
    *ret = v;
    return 0;
}
