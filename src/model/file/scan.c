/* The scanner of scan.h. */
#include "model/file/scan.h"

#include <string.h>

#define DEPTH_MAX 16

void ft_scan_space(struct ft_scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\n' || *s->p == '\r'))
        s->p++;
}

bool ft_scan_maybe(struct ft_scan *s, char c)
{
    ft_scan_space(s);
    if (s->p == s->end || *s->p != c)
        return false;
    s->p++;
    return true;
}

bool ft_scan_char(struct ft_scan *s, char c)
{
    return ft_scan_maybe(s, c);
}

/* The raw bytes between the quotes; escapes are checked for shape only. */
static bool raw_string(struct ft_scan *s, const char **ret, size_t *ret_n)
{
    if (!ft_scan_char(s, '"'))
        return false;
    const char *start = s->p;
    for (; s->p < s->end && *s->p != '"'; s->p++) {
        if ((unsigned char)*s->p < 32)
            return false;
        if (*s->p == '\\' && ++s->p == s->end)
            return false;
    }
    if (s->p == s->end)
        return false;
    *ret = start;
    *ret_n = (size_t)(s->p - start);
    s->p++;
    return true;
}

static int hex4(const char *p)
{
    int v = 0;
    for (int i = 0; i < 4; i++) {
        int c = p[i], d = c >= '0' && c <= '9'   ? c - '0'
                          : c >= 'a' && c <= 'f' ? c - 'a' + 10
                          : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                                 : -1;
        if (d < 0)
            return -1;
        v = v << 4 | d;
    }
    return v;
}

static char *utf8_put(char *out, unsigned c)
{
    if (c < 0x80) {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x800) {
        *out++ = (char)(0xc0 | c >> 6);
    } else if (c < 0x10000) {
        *out++ = (char)(0xe0 | c >> 12);
        *out++ = (char)(0x80 | (c >> 6 & 63));
    } else {
        *out++ = (char)(0xf0 | c >> 18);
        *out++ = (char)(0x80 | (c >> 12 & 63));
        *out++ = (char)(0x80 | (c >> 6 & 63));
    }
    *out++ = (char)(0x80 | (c & 63));
    return out;
}

/* \uXXXX at *p (past the u), a pair of surrogates as one character. */
static bool unicode_escape(const char **p, const char *end, char **out)
{
    if (end - *p < 4)
        return false;
    int c = hex4(*p);
    *p += 4;
    if (c >= 0xd800 && c < 0xdc00) {
        if (end - *p < 6 || (*p)[0] != '\\' || (*p)[1] != 'u')
            return false;
        int low = hex4(*p + 2);
        if (low < 0xdc00 || low > 0xdfff)
            return false;
        c = 0x10000 + (c - 0xd800) * 1024 + (low - 0xdc00);
        *p += 6;
    } else if (c <= 0 || (c >= 0xdc00 && c < 0xe000)) {
        return false; /* not hexadecimal, NUL, or half a pair */
    }
    *out = utf8_put(*out, (unsigned)c);
    return true;
}

bool ft_scan_string(struct ft_scan *s, struct ft_arena *a, size_t max, const char **ret)
{
    const char *p;
    size_t n;
    if (!raw_string(s, &p, &n) || n == 0 || n > 6 * max)
        return false;
    char *text = ft_arena_alloc(a, n + 1), *out = text; /* an escape never grows */
    if (text == NULL)
        return false;
    for (const char *end = p + n; p < end;) {
        char c = *p++;
        if (c != '\\') {
            *out++ = c;
            continue;
        }
        static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
        char e = *p++;
        const char *at = e != '\0' ? strchr(from, e) : NULL;
        if (at != NULL)
            *out++ = to[at - from];
        else if (e != 'u' || !unicode_escape(&p, end, &out))
            return false;
    }
    *out = '\0';
    *ret = text;
    for (const char *c = text; c < out; c++)
        if ((unsigned char)*c < 32 || *c == 127)
            return false;
    return (size_t)(out - text) <= max;
}

bool ft_scan_uint(struct ft_scan *s, int64_t *ret)
{
    ft_scan_space(s);
    const char *start = s->p;
    int64_t v = 0;
    for (; s->p < s->end && *s->p >= '0' && *s->p <= '9'; s->p++)
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, *s->p - '0', &v))
            return false;
    if (s->p == start || (*start == '0' && s->p - start > 1))
        return false;
    *ret = v;
    return true;
}

static bool skip_scalar(struct ft_scan *s)
{
    const char *p;
    size_t n;
    ft_scan_space(s);
    if (s->p < s->end && *s->p == '"')
        return raw_string(s, &p, &n);
    const char *start = s->p;
    while (s->p < s->end && strchr("+-.0123456789eEtrufalsn", *s->p) != NULL && *s->p != '\0')
        s->p++;
    return s->p > start;
}

static bool skip_key(struct ft_scan *s)
{
    const char *p;
    size_t n;
    return raw_string(s, &p, &n) && ft_scan_char(s, ':');
}

bool ft_scan_skip(struct ft_scan *s)
{
    char open[DEPTH_MAX]; /* what closes each level */
    int depth = 0;
    for (;;) {
        bool object = ft_scan_maybe(s, '{');
        if (object || ft_scan_maybe(s, '[')) {
            char closer = object ? '}' : ']';
            if (!ft_scan_maybe(s, closer)) {
                if (depth == DEPTH_MAX)
                    return false;
                open[depth++] = closer;
                if (object && !skip_key(s))
                    return false;
                continue;
            }
        } else if (!skip_scalar(s)) {
            return false;
        }
        /* a value is complete: go on after it, out of every level that ends here */
        while (depth > 0 && ft_scan_maybe(s, open[depth - 1]))
            depth--;
        if (depth == 0)
            return true;
        if (!ft_scan_char(s, ',') || (open[depth - 1] == '}' && !skip_key(s)))
            return false;
    }
}
