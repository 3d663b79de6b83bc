/* The pull reader of json_scan.h. */
#include "base/json_scan.h"

#include <string.h>

#include "base/utf8.h"

void ft_jscan_init(struct ft_jscan *s, const char *text, size_t n, struct ft_arena *arena,
                   struct ft_err *err)
{
    *s = (struct ft_jscan){.begin = text, .p = text, .end = text + n, .arena = arena, .err = err};
}

int ft_jscan_fail(struct ft_jscan *s, const char *what)
{
    return ft_err_set(s->err, FT_EINVAL, "byte %zu: %s", (size_t)(s->p - s->begin), what);
}

char ft_jscan_peek(struct ft_jscan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\r' || *s->p == '\t'))
        s->p++;
    return s->p < s->end ? *s->p : '\0';
}

int ft_jscan_take(struct ft_jscan *s, char c)
{
    if (ft_jscan_peek(s) != c || s->p == s->end) {
        char what[] = "' ' is missing";
        what[1] = c;
        return ft_jscan_fail(s, what);
    }
    s->p++;
    return 0;
}

/* Four hexadecimal digits; -1 if there are none. */
static int64_t hex4(const char *p, const char *end)
{
    int64_t v = 0;
    for (int i = 0; i < 4; i++) {
        char c = p + i < end ? p[i] : '\0';
        int d = c >= '0' && c <= '9'   ? c - '0'
                : c >= 'a' && c <= 'f' ? c - 'a' + 10
                : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                       : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

/* \uXXXX at p (after the u), and a second half where the first is one. Returns the bytes used, 0 if
 * malformed. */
static size_t unicode_escape(const char *p, const char *end, char *out, int *ret_n)
{
    int64_t cp = hex4(p, end), low;
    size_t used = 4;
    if (cp >= 0xd800 && cp < 0xdc00 && end - p >= 10 && p[4] == '\\' && p[5] == 'u' &&
        (low = hex4(p + 6, end)) >= 0xdc00 && low < 0xe000) {
        cp = 0x10000 + ((cp - 0xd800) << 10) + (low - 0xdc00);
        used = 10;
    }
    *ret_n = cp < 0 ? 0 : ft_utf8_encode((uint32_t)cp, out);
    return *ret_n == 0 ? 0 : used;
}

/* Undoes the escapes of p .. end; never longer than it was. Returns the length, or -1. */
static int64_t unescape(const char *p, const char *end, char *out)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char *o = out;
    while (p < end) {
        if (*p != '\\') {
            *o++ = *p++;
            continue;
        }
        p++; /* a character follows: the string's end was found by skipping pairs */
        const char *k = *p == '\0' ? NULL : strchr(from, *p);
        if (k != NULL) {
            *o++ = to[k - from];
            p++;
            continue;
        }
        int n = 0;
        size_t used = *p == 'u' ? unicode_escape(p + 1, end, o, &n) : 0;
        if (used == 0)
            return -1;
        o += n;
        p += 1 + used;
    }
    return o - out;
}

int ft_jscan_string(struct ft_jscan *s, struct ft_slice *ret)
{
    int rc = ft_jscan_take(s, '"');
    if (rc != 0)
        return rc;
    const char *start = s->p;
    bool escaped = false;
    while (s->p < s->end && *s->p != '"' && (unsigned char)*s->p >= 0x20) {
        if (*s->p == '\\') {
            escaped = true;
            s->p++;
            if (s->p == s->end)
                break;
        }
        s->p++;
    }
    if (s->p >= s->end || *s->p != '"')
        return ft_jscan_fail(s, "a string without its end");
    *ret = (struct ft_slice){start, (size_t)(s->p - start)};
    if (escaped) {
        char *out = ft_arena_alloc(s->arena, ret->n);
        if (out == NULL)
            return ft_err_set(s->err, FT_ENOMEM, "out of memory");
        int64_t n = unescape(start, s->p, out);
        if (n < 0)
            return ft_jscan_fail(s, "a string with a bad escape");
        *ret = (struct ft_slice){out, (size_t)n};
    }
    s->p++;
    return 0;
}

int ft_jscan_name(struct ft_jscan *s, size_t max, const char **ret)
{
    struct ft_slice v;
    int rc = ft_jscan_string(s, &v);
    if (rc != 0)
        return rc;
    if (v.n == 0 || v.n > max || memchr(v.p, '\0', v.n) != NULL)
        return ft_jscan_fail(s, "a name that is empty, too long or holds a NUL");
    *ret = ft_arena_strndup(s->arena, v.p, v.n);
    return *ret != NULL ? 0 : ft_err_set(s->err, FT_ENOMEM, "out of memory");
}

int ft_jscan_u64(struct ft_jscan *s, uint64_t *ret)
{
    uint64_t v = 0;
    ft_jscan_peek(s);
    const char *start = s->p;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (__builtin_mul_overflow(v, 10u, &v) ||
            __builtin_add_overflow(v, (uint64_t)(*s->p - '0'), &v))
            return ft_jscan_fail(s, "a number that is too large");
    if (s->p == start || (s->p < s->end && strchr(".eE+-", *s->p) != NULL && *s->p != '\0'))
        return ft_jscan_fail(s, "not a whole number");
    *ret = v;
    return 0;
}

int ft_jscan_next(struct ft_jscan *s, char close, bool *first)
{
    if (ft_jscan_peek(s) == close && s->p < s->end) {
        s->p++;
        return 0;
    }
    int rc = *first ? 0 : ft_jscan_take(s, ',');
    *first = false;
    return rc != 0 ? rc : 1;
}

int ft_jscan_member(struct ft_jscan *s, bool *first, struct ft_slice *ret_name)
{
    int more = ft_jscan_next(s, '}', first);
    if (more <= 0)
        return more;
    int rc = ft_jscan_string(s, ret_name);
    if (rc == 0)
        rc = ft_jscan_take(s, ':');
    return rc != 0 ? rc : 1;
}

/* A number, true, false or null: what it is exactly does not matter to who skips it. */
static int skip_word(struct ft_jscan *s)
{
    const char *start = s->p;
    while (s->p < s->end && memchr(",:]}[{\" \t\r\n", *s->p, 11) == NULL)
        s->p++;
    return s->p == start ? ft_jscan_fail(s, "a value is missing") : 0;
}

static int skip_string(struct ft_jscan *s)
{
    for (s->p++; s->p < s->end && *s->p != '"'; s->p++)
        if (*s->p == '\\' && ++s->p == s->end)
            break;
    if (s->p >= s->end)
        return ft_jscan_fail(s, "a string without its end");
    s->p++;
    return 0;
}

/* Only brackets and strings are checked; whoever uses the text parses it. */
int ft_jscan_value(struct ft_jscan *s, struct ft_slice *ret)
{
    char open[FT_JSCAN_DEPTH_MAX];
    int depth = 0, rc = 0;
    ft_jscan_peek(s);
    const char *start = s->p;
    do {
        char c = ft_jscan_peek(s);
        if (c == '{' || c == '[') {
            if (depth == FT_JSCAN_DEPTH_MAX)
                return ft_jscan_fail(s, "nested too deep");
            open[depth++] = c;
            s->p++;
        } else if (c == '}' || c == ']') {
            if (depth == 0 || open[--depth] != (c == '}' ? '{' : '['))
                return ft_jscan_fail(s, "a bracket that closes nothing");
            s->p++;
        } else if (depth > 0 && (c == ',' || c == ':')) {
            s->p++;
        } else {
            rc = c == '"' ? skip_string(s) : skip_word(s);
        }
    } while (rc == 0 && depth > 0);
    *ret = (struct ft_slice){start, (size_t)(s->p - start)};
    return rc;
}
