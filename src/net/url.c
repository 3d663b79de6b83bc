/* Paths and queries. One decoder for both; they differ in what it does with '+', and in what the
 * result must not hold. */
#include "net/url.h"

#include <string.h>

#include "base/utf8.h"

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c |= 0x20;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* what: names the thing in messages. */
static int decode(const char *s, size_t n, bool plus_is_space, const char *what,
                  struct ft_arena *arena, const char **ret, size_t *ret_n, struct ft_err *err)
{
    char *out = ft_arena_alloc(arena, n + 1);
    if (out == NULL)
        return ft_err_set(err, FT_ENOMEM, "%s: no memory", what);
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        char c = s[i];
        if (c == '%') {
            int hi = n - i > 2 ? hex_digit(s[i + 1]) : -1;
            int lo = hi >= 0 ? hex_digit(s[i + 2]) : -1;
            if (lo < 0)
                return ft_err_set(err, FT_EINVAL, "%s: '%%' without two hexadecimal digits", what);
            c = (char)(hi << 4 | lo);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        if ((unsigned char)c < 0x20 || c == 0x7f)
            return ft_err_set(err, FT_EINVAL, "%s: holds a control character", what);
        out[k++] = c;
    }
    if (!ft_utf8_valid(out, k))
        return ft_err_set(err, FT_EINVAL, "%s: not UTF-8", what);
    *ret = out;
    *ret_n = k;
    return 0;
}

static bool is_dots(const char *part, size_t n)
{
    return (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.');
}

int ft_url_path(const char *target, size_t n, struct ft_arena *arena, const char **ret_path,
                struct ft_err *err)
{
    const char *query = memchr(target, '?', n);
    if (query != NULL)
        n = (size_t)(query - target);
    if (n == 0 || target[0] != '/')
        return ft_err_set(err, FT_EINVAL, "path: does not begin with '/'");
    const char *path;
    int rc = decode(target, n, false, "path", arena, &path, &n, err);
    if (rc != 0)
        return rc;
    if (memchr(path, '\\', n) != NULL)
        return ft_err_set(err, FT_EINVAL, "path: holds a backslash");
    for (const char *p = path + 1, *end = path + n; p <= end;) {
        const char *slash = memchr(p, '/', (size_t)(end - p));
        size_t len = (size_t)((slash != NULL ? slash : end) - p);
        if (is_dots(p, len))
            return ft_err_set(err, FT_EINVAL, "path: holds a '.' or '..' part");
        p += len + 1;
    }
    *ret_path = path;
    return 0;
}

int ft_url_param_next(const char *query, size_t *at, struct ft_arena *arena, const char **ret_name,
                      const char **ret_value, struct ft_err *err)
{
    const char *p = query + *at;
    p += strspn(p, "&");
    if (*p == '\0')
        return 0;
    size_t n = strcspn(p, "&");
    const char *eq = memchr(p, '=', n);
    size_t n_name = eq != NULL ? (size_t)(eq - p) : n;
    const char *name, *value = "";
    size_t len;
    int rc = decode(p, n_name, true, "query", arena, &name, &len, err);
    if (rc == 0 && eq != NULL)
        rc = decode(eq + 1, n - n_name - 1, true, name, arena, &value, &len, err);
    if (rc != 0)
        return rc;
    *at = (size_t)(p - query) + n;
    *ret_name = name;
    *ret_value = value;
    return 1;
}

int ft_url_param(const char *query, const char *name, struct ft_arena *arena,
                 const char **ret_value, struct ft_err *err)
{
    size_t at = 0;
    for (;;) {
        const char *k, *v;
        int rc = ft_url_param_next(query, &at, arena, &k, &v, err);
        if (rc < 0)
            return rc;
        if (rc == 0 || strcmp(k, name) == 0) {
            *ret_value = rc == 0 ? NULL : v;
            return 0;
        }
    }
}

void ft_url_encode(struct ft_buf *b, const char *bytes, size_t n)
{
    static const char hex[] = "0123456789ABCDEF";
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)bytes[i];
        bool plain = (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                     c == '-' || c == '.' || c == '_' || c == '~';
        char out[3] = {plain ? (char)c : '%', hex[c >> 4], hex[c & 15]};
        ft_buf_add(b, out, plain ? 1 : 3);
    }
}
