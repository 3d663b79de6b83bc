/* The JSON reader for schemas: see jdoc.h. Recursive, bounded by FT_JDOC_DEPTH_MAX. */
#include "engine/constrain/jdoc.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "engine/constrain/dec.h"
#include "engine/constrain/utf8.h"

struct reader {
    struct ft_cx *cx;
    const char *p, *end, *start;
};

static void bad(struct reader *r, const char *what)
{
    ft_cx_fail(r->cx, FT_EINVAL, "not JSON: %s at byte %zu", what, (size_t)(r->p - r->start));
}

static void skip_ws(struct reader *r)
{
    while (r->p < r->end && (*r->p == ' ' || *r->p == '\n' || *r->p == '\r' || *r->p == '\t'))
        r->p++;
}

static uint32_t read_hex4(struct reader *r)
{
    uint32_t v = 0;
    for (int i = 0; i < 4; i++) {
        int d = r->p < r->end ? ft_hex_digit((unsigned char)*r->p) : -1;
        if (d < 0)
            bad(r, "a \\u escape needs four hexadecimal digits");
        v = v << 4 | (uint32_t)d;
        r->p++;
    }
    return v;
}

static uint32_t read_escape(struct reader *r)
{
    if (r->p >= r->end)
        bad(r, "a string is not closed");
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    char c = *r->p++;
    const char *at = c != '\0' ? strchr(from, c) : NULL;
    if (at != NULL)
        return (unsigned char)to[at - from];
    if (c != 'u')
        bad(r, "unknown escape");
    uint32_t v = read_hex4(r);
    if (v >= 0xdc00 && v <= 0xdfff)
        bad(r, "a lone surrogate");
    if (v >= 0xd800 && v <= 0xdbff) {
        if (r->end - r->p < 6 || r->p[0] != '\\' || r->p[1] != 'u')
            bad(r, "a lone surrogate");
        r->p += 2;
        uint32_t low = read_hex4(r);
        if (low < 0xdc00 || low > 0xdfff)
            bad(r, "a lone surrogate");
        v = 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
    }
    return v;
}

static struct ft_str read_string(struct reader *r)
{
    r->p++; /* the quote */
    const char *q = r->p;
    while (q < r->end && *q != '"') {
        if (*q == '\\')
            q++;
        q++;
    }
    if (q >= r->end)
        bad(r, "a string is not closed");
    char *out = ft_cx_alloc(r->cx, (size_t)(q - r->p) + 1, 1); /* decoding never grows it */
    size_t n = 0;
    while (*r->p != '"') {
        unsigned char c = (unsigned char)*r->p;
        if (c < 0x20)
            bad(r, "a control character in a string");
        if (c == '\\') {
            r->p++;
            n += (size_t)ft_utf8_put(read_escape(r), out + n);
            continue;
        }
        uint32_t cp;
        int len = ft_utf8_get(r->p, (size_t)(r->end - r->p), &cp);
        if (len == 0)
            bad(r, "a string is not UTF-8");
        memcpy(out + n, r->p, (size_t)len);
        n += (size_t)len;
        r->p += len;
    }
    r->p++;
    return (struct ft_str){out, n};
}

static size_t digits(struct reader *r)
{
    const char *s = r->p;
    while (r->p < r->end && *r->p >= '0' && *r->p <= '9')
        r->p++;
    return (size_t)(r->p - s);
}

static void read_number(struct reader *r, struct ft_jv *v)
{
    const char *s = r->p;
    if (*r->p == '-')
        r->p++;
    if (r->p < r->end && *r->p == '0')
        r->p++;
    else if (digits(r) == 0)
        bad(r, "unexpected character");
    if (r->p < r->end && *r->p == '.') {
        r->p++;
        if (digits(r) == 0)
            bad(r, "a number needs digits after its point");
    }
    if (r->p < r->end && (*r->p == 'e' || *r->p == 'E')) {
        r->p++;
        if (r->p < r->end && (*r->p == '+' || *r->p == '-'))
            r->p++;
        if (digits(r) == 0)
            bad(r, "a number needs digits in its exponent");
    }
    size_t n = (size_t)(r->p - s);
    char *t = ft_cx_alloc(r->cx, n + 1, 1);
    memcpy(t, s, n);
    v->kind = FT_JV_NUM;
    v->s = (struct ft_str){t, n};
}

static bool literal(struct reader *r, const char *word)
{
    size_t n = strlen(word);
    if ((size_t)(r->end - r->p) < n || memcmp(r->p, word, n) != 0)
        return false;
    r->p += n;
    return true;
}

static struct ft_jv *read_value(struct reader *r, int depth);

static void read_members(struct reader *r, struct ft_jv *v, int depth)
{
    bool is_obj = v->kind == FT_JV_OBJ;
    char close = is_obj ? '}' : ']';
    size_t cap = 0, kcap = 0;
    r->p++;
    skip_ws(r);
    if (r->p < r->end && *r->p == close) {
        r->p++;
        return;
    }
    for (;;) {
        struct ft_str key = {NULL, 0};
        skip_ws(r);
        if (is_obj) {
            if (r->p >= r->end || *r->p != '"')
                bad(r, "a key was expected");
            key = read_string(r);
            skip_ws(r);
            if (r->p >= r->end || *r->p != ':')
                bad(r, "':' was expected");
            r->p++;
        } else {
            key.p = ft_cx_printf(r->cx, "%zu", v->n);
            key.n = strlen(key.p);
        }
        struct ft_jv *child = read_value(r, depth + 1);
        child->parent = v;
        child->name = key;
        FT_GROW(r->cx, v->v, v->n, cap);
        FT_GROW(r->cx, v->k, v->n, kcap);
        v->v[v->n] = child;
        v->k[v->n++] = key;
        skip_ws(r);
        if (r->p < r->end && *r->p == ',') {
            r->p++;
            continue;
        }
        if (r->p < r->end && *r->p == close) {
            r->p++;
            return;
        }
        bad(r, is_obj ? "',' or '}' was expected" : "',' or ']' was expected");
    }
}

static struct ft_jv *read_value(struct reader *r, int depth)
{
    if (depth > FT_JDOC_DEPTH_MAX)
        bad(r, "nested too deeply");
    skip_ws(r);
    if (r->p >= r->end)
        bad(r, "a value was expected");
    struct ft_jv *v = ft_cx_alloc(r->cx, 1, sizeof *v);
    switch (*r->p) {
    case '{':
        v->kind = FT_JV_OBJ;
        read_members(r, v, depth);
        break;
    case '[':
        v->kind = FT_JV_ARR;
        read_members(r, v, depth);
        break;
    case '"':
        v->kind = FT_JV_STR;
        v->s = read_string(r);
        break;
    default:
        if (literal(r, "null"))
            v->kind = FT_JV_NULL;
        else if (literal(r, "true"))
            v->kind = FT_JV_TRUE;
        else if (literal(r, "false"))
            v->kind = FT_JV_FALSE;
        else
            read_number(r, v);
    }
    return v;
}

struct ft_jv *ft_jdoc_parse(struct ft_cx *cx, const char *text, size_t n)
{
    if (n > FT_JDOC_BYTES_MAX)
        ft_cx_fail(cx, FT_ELIMIT, "longer than %zu bytes", FT_JDOC_BYTES_MAX);
    struct reader r = {cx, text, text + n, text};
    r.p += ft_utf8_mark_len(text, n);
    struct ft_jv *v = read_value(&r, 0);
    skip_ws(&r);
    if (r.p != r.end)
        bad(&r, "more text after the value");
    return v;
}

struct ft_jv *ft_jv_get_n(const struct ft_jv *o, const char *key, size_t n)
{
    if (o->kind != FT_JV_OBJ)
        return NULL;
    for (size_t i = o->n; i-- > 0;)
        if (o->k[i].n == n && memcmp(o->k[i].p, key, n) == 0)
            return o->v[i];
    return NULL;
}

struct ft_jv *ft_jv_get(const struct ft_jv *o, const char *key)
{
    return ft_jv_get_n(o, key, strlen(key));
}

const char *ft_jv_path(struct ft_cx *cx, const struct ft_jv *v)
{
    if (v->parent == NULL)
        return "#";
    char buf[300]; /* a longer path is cut at its front */
    size_t at = sizeof buf - 1;
    buf[at] = '\0';
    for (; v->parent != NULL; v = v->parent) {
        size_t n = v->name.n;
        if (n + 6 > at) {
            memcpy(buf + at - 3, "...", 3);
            return ft_cx_printf(cx, "%s", buf + at - 3);
        }
        at -= n;
        memcpy(buf + at, v->name.p, n);
        buf[--at] = '/';
    }
    return ft_cx_printf(cx, "#%s", buf + at);
}

bool ft_jv_equal(const struct ft_jv *a, const struct ft_jv *b)
{
    if (a->kind != b->kind)
        return false;
    switch (a->kind) {
    case FT_JV_NUM: {
        struct ft_dec x, y;
        if (!ft_dec_parse(a->s.p, a->s.n, &x) || !ft_dec_parse(b->s.p, b->s.n, &y))
            return a->s.n == b->s.n && memcmp(a->s.p, b->s.p, a->s.n) == 0;
        return ft_dec_cmp(&x, &y) == 0;
    }
    case FT_JV_STR:
        return a->s.n == b->s.n && memcmp(a->s.p, b->s.p, a->s.n) == 0;
    case FT_JV_ARR:
        if (a->n != b->n)
            return false;
        for (size_t i = 0; i < a->n; i++)
            if (!ft_jv_equal(a->v[i], b->v[i]))
                return false;
        return true;
    case FT_JV_OBJ:
        for (size_t i = 0; i < a->n; i++) {
            const struct ft_jv *o = ft_jv_get_n(b, a->k[i].p, a->k[i].n);
            const struct ft_jv *mine = ft_jv_get_n(a, a->k[i].p, a->k[i].n);
            if (o == NULL || !ft_jv_equal(mine, o))
                return false;
        }
        for (size_t i = 0; i < b->n; i++)
            if (ft_jv_get_n(a, b->k[i].p, b->k[i].n) == NULL)
                return false;
        return true;
    default:
        return true;
    }
}
