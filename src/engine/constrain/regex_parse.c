/* Regular expressions: text to tree. See regex.h. Recursion is bounded by FT_REGEX_DEPTH_MAX. */
#include "engine/constrain/regex.h"

#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#define REPEAT_MAX 100000

struct parser {
    struct ft_cx *cx;
    const char *p, *end, *start;
    int depth;
};

static void refuse(struct parser *r, enum ft_code code, const char *what)
{
    ft_cx_fail(r->cx, code, "%s: %s at byte %zu of the expression",
               r->cx->what != NULL ? r->cx->what : "regular expression", what,
               (size_t)(r->p - r->start));
}

void ft_set_add(struct ft_cx *cx, struct ft_set *s, uint32_t lo, uint32_t hi)
{
    FT_GROW(cx, s->iv, s->n, s->cap);
    s->iv[s->n][0] = lo;
    s->iv[s->n++][1] = hi;
}

static int cmp_interval(const void *a, const void *b)
{
    const uint32_t *x = a, *y = b;
    return x[0] < y[0] ? -1 : x[0] > y[0];
}

void ft_set_tidy(struct ft_cx *cx, struct ft_set *s, bool negate)
{
    if (s->n > 1)
        qsort(s->iv, s->n, sizeof *s->iv, cmp_interval);
    size_t m = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (m > 0 && s->iv[i][0] <= s->iv[m - 1][1] + 1) {
            s->iv[m - 1][1] = FT_MAX(s->iv[m - 1][1], s->iv[i][1]);
            continue;
        }
        s->iv[m][0] = s->iv[i][0];
        s->iv[m++][1] = s->iv[i][1];
    }
    s->n = m;
    if (!negate)
        return;
    struct ft_set out = {NULL, 0, 0};
    uint32_t from = 0;
    for (size_t i = 0; i < s->n; i++) {
        if (s->iv[i][0] > from)
            ft_set_add(cx, &out, from, s->iv[i][0] - 1);
        from = s->iv[i][1] + 1;
    }
    if (from <= FT_CP_MAX)
        ft_set_add(cx, &out, from, FT_CP_MAX);
    *s = out;
}

static struct ft_re *make(struct parser *r, enum ft_re_kind kind, struct ft_re *a, struct ft_re *b)
{
    struct ft_re *e = ft_cx_alloc(r->cx, 1, sizeof *e);
    e->kind = kind;
    e->a = a;
    e->b = b;
    return e;
}

/* ---- classes ---- */

static void add_space(struct ft_cx *cx, struct ft_set *s)
{
    static const uint32_t sp[][2] = {
        {9, 13},          {32, 32},         {0xa0, 0xa0},     {0x1680, 0x1680}, {0x2000, 0x200a},
        {0x2028, 0x2029}, {0x202f, 0x202f}, {0x205f, 0x205f}, {0x3000, 0x3000}, {0xfeff, 0xfeff}};
    for (size_t i = 0; i < FT_COUNT(sp); i++)
        ft_set_add(cx, s, sp[i][0], sp[i][1]);
}

static void add_word(struct ft_cx *cx, struct ft_set *s)
{
    ft_set_add(cx, s, '0', '9');
    ft_set_add(cx, s, 'A', 'Z');
    ft_set_add(cx, s, '_', '_');
    ft_set_add(cx, s, 'a', 'z');
}

/* \p{L}, \p{Lu}, \p{Letter} is not taken. One pass over all characters: rare, and bounded. */
static void add_category(struct parser *r, struct ft_set *s, bool negate)
{
    const char *close =
        r->p < r->end && *r->p == '{' ? memchr(r->p, '}', (size_t)(r->end - r->p)) : NULL;
    if (close == NULL)
        refuse(r, FT_EUNSUPPORTED, "\\p without {category}");
    char name[3] = "";
    size_t n = (size_t)(close - r->p - 1);
    if (n < 1 || n > 2)
        refuse(r, FT_EUNSUPPORTED, "\\p takes a general category of one or two letters");
    memcpy(name, r->p + 1, n);
    bool known = false;
    struct ft_set own = {NULL, 0, 0};
    ft_cx_work(r->cx, FT_CP_MAX);
    for (uint32_t cp = 0, from = 0; cp <= FT_CP_MAX + 1; cp++) {
        const char *cat = cp <= FT_CP_MAX ? utf8proc_category_string((utf8proc_int32_t)cp) : "  ";
        bool in = cat[0] == name[0] && (n == 1 || cat[1] == name[1]);
        known = known || in;
        if (in)
            continue;
        if (from < cp)
            ft_set_add(r->cx, &own, from, cp - 1);
        from = cp + 1;
    }
    if (!known)
        refuse(r, FT_EUNSUPPORTED, "an unknown category after \\p");
    r->p = close + 1;
    ft_set_tidy(r->cx, &own, negate);
    for (size_t i = 0; i < own.n; i++)
        ft_set_add(r->cx, s, own.iv[i][0], own.iv[i][1]);
}

/* \d and the like; false if c names no class. */
static bool add_class(struct parser *r, char c, struct ft_set *s)
{
    struct ft_set own = {NULL, 0, 0};
    bool negate = c == 'D' || c == 'W' || c == 'S';
    switch (c) {
    case 'd':
    case 'D':
        ft_set_add(r->cx, &own, '0', '9');
        break;
    case 'w':
    case 'W':
        add_word(r->cx, &own);
        break;
    case 's':
    case 'S':
        add_space(r->cx, &own);
        break;
    case 'p':
    case 'P':
        add_category(r, s, c == 'P');
        return true;
    default:
        return false;
    }
    ft_set_tidy(r->cx, &own, negate);
    for (size_t i = 0; i < own.n; i++)
        ft_set_add(r->cx, s, own.iv[i][0], own.iv[i][1]);
    return true;
}

static bool hex_run(struct parser *r, int n, uint32_t *ret)
{
    uint32_t v = 0;
    if (r->end - r->p < n)
        return false;
    for (int i = 0; i < n; i++) {
        int d = ft_hex_digit((unsigned char)r->p[i]);
        if (d < 0)
            return false;
        v = v << 4 | (uint32_t)d;
    }
    r->p += n;
    *ret = v;
    return true;
}

static uint32_t unicode_escape(struct parser *r)
{
    uint32_t v = 0, low;
    if (r->p < r->end && *r->p == '{') {
        r->p++;
        int n = 0;
        for (; r->p < r->end && *r->p != '}' && n < 6; r->p++, n++) {
            int d = ft_hex_digit((unsigned char)*r->p);
            if (d < 0)
                refuse(r, FT_EINVAL, "bad \\u{...}");
            v = v << 4 | (uint32_t)d;
        }
        if (n == 0 || r->p >= r->end || *r->p != '}' || v > FT_CP_MAX)
            refuse(r, FT_EINVAL, "bad \\u{...}");
        r->p++;
        return v;
    }
    if (!hex_run(r, 4, &v))
        return 'u';
    if (v >= 0xd800 && v <= 0xdbff && r->end - r->p >= 6 && r->p[0] == '\\' && r->p[1] == 'u') {
        const char *back = r->p;
        r->p += 2;
        if (hex_run(r, 4, &low) && low >= 0xdc00 && low <= 0xdfff)
            return 0x10000 + ((v - 0xd800) << 10) + (low - 0xdc00);
        r->p = back;
    }
    return v;
}

/* After a backslash: the character an escape stands for. */
static uint32_t char_escape(struct parser *r, bool in_class)
{
    uint32_t v;
    char c = *r->p;
    if ((unsigned char)c >= 0x80) {
        int len = ft_utf8_get(r->p, (size_t)(r->end - r->p), &v);
        if (len == 0)
            refuse(r, FT_EINVAL, "not UTF-8");
        r->p += len;
        return v;
    }
    r->p++;
    switch (c) {
    case 't':
        return '\t';
    case 'n':
        return '\n';
    case 'r':
        return '\r';
    case 'f':
        return '\f';
    case 'v':
        return '\v';
    case 'b':
        return in_class ? '\b' : 'b';
    case 'c':
        if (r->p < r->end && ((*r->p | 32) >= 'a' && (*r->p | 32) <= 'z'))
            return (uint32_t)(*r->p++ & 31);
        refuse(r, FT_EUNSUPPORTED, "\\c without a letter");
        return 0;
    case 'x':
        return hex_run(r, 2, &v) ? v : 'x';
    case 'u':
        return unicode_escape(r);
    case '0':
        if (r->p < r->end && *r->p >= '0' && *r->p <= '9')
            refuse(r, FT_EUNSUPPORTED, "an octal escape");
        return 0;
    case '1' ... '9':
        refuse(r, FT_EUNSUPPORTED, "a back-reference");
        return 0;
    case 'k':
        refuse(r, FT_EUNSUPPORTED, "\\k");
        return 0;
    default:
        /* Letters that other dialects give a meaning (\A, \Z, \h, ...) are not guessed at. */
        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))
            refuse(r, FT_EUNSUPPORTED, "an escape that ECMA-262 does not define");
        return (unsigned char)c;
    }
}

static uint32_t one_char(struct parser *r)
{
    uint32_t v;
    int len = ft_utf8_get(r->p, (size_t)(r->end - r->p), &v);
    if (len == 0)
        refuse(r, FT_EINVAL, "not UTF-8");
    r->p += len;
    return v;
}

/* One member of [...]: a character in *ret (true), or a class added to s (false). */
static bool class_atom(struct parser *r, struct ft_set *s, uint32_t *ret)
{
    if (*r->p != '\\') {
        *ret = one_char(r);
        return true;
    }
    r->p++;
    if (r->p >= r->end)
        refuse(r, FT_EINVAL, "a backslash at the end");
    char c = *r->p++;
    if (add_class(r, c, s))
        return false;
    r->p--;
    *ret = char_escape(r, true);
    return true;
}

static struct ft_re *parse_class(struct parser *r)
{
    struct ft_re *e = make(r, FT_RE_SET, NULL, NULL);
    bool negate = r->p < r->end && *r->p == '^';
    r->p += negate;
    for (;;) {
        if (r->p >= r->end)
            refuse(r, FT_EINVAL, "[ is not closed");
        if (*r->p == ']')
            break;
        uint32_t lo = 0, hi = 0;
        bool is_char = class_atom(r, &e->set, &lo);
        if (r->end - r->p >= 2 && r->p[0] == '-' && r->p[1] != ']') {
            r->p++;
            bool hi_char = class_atom(r, &e->set, &hi);
            if (is_char && hi_char) {
                if (lo > hi)
                    refuse(r, FT_EINVAL, "a range out of order");
                ft_set_add(r->cx, &e->set, lo, hi);
                continue;
            }
            ft_set_add(r->cx, &e->set, '-', '-'); /* [\w-x]: the hyphen is itself */
            if (hi_char)
                ft_set_add(r->cx, &e->set, hi, hi);
        }
        if (is_char)
            ft_set_add(r->cx, &e->set, lo, lo);
    }
    r->p++;
    ft_set_tidy(r->cx, &e->set, negate);
    return e;
}

/* ---- expressions ---- */

static struct ft_re *parse_alt(struct parser *r);

static struct ft_re *parse_group(struct parser *r)
{
    bool look = false, negated = false;
    if (r->p < r->end && *r->p == '?') {
        const char *q = r->p + 1;
        size_t left = (size_t)(r->end - q);
        if (left >= 1 && *q == ':') {
            r->p += 2;
        } else if (left >= 1 && (*q == '=' || *q == '!')) {
            look = true;
            negated = *q == '!';
            r->p += 2;
        } else if (left >= 2 && *q == '<' && q[1] != '=' && q[1] != '!') {
            const char *close = memchr(q, '>', left);
            if (close == NULL)
                refuse(r, FT_EINVAL, "a group's name is not closed");
            r->p = close + 1;
        } else if (left >= 2 && *q == '<') {
            refuse(r, FT_EUNSUPPORTED, "a look-behind");
        } else {
            refuse(r, FT_EUNSUPPORTED, "a group with flags");
        }
    }
    struct ft_re *e = parse_alt(r);
    if (r->p >= r->end || *r->p != ')')
        refuse(r, FT_EINVAL, "( is not closed");
    r->p++;
    if (look) {
        e = make(r, FT_RE_LOOK, e, NULL);
        e->negated = negated;
    }
    return e;
}

static struct ft_re *parse_escape(struct parser *r)
{
    if (r->p >= r->end)
        refuse(r, FT_EINVAL, "a backslash at the end");
    char c = *r->p;
    if (c == 'b' || c == 'B') {
        r->p++;
        return make(r, c == 'b' ? FT_RE_WORD : FT_RE_NOT_WORD, NULL, NULL);
    }
    struct ft_re *e = make(r, FT_RE_SET, NULL, NULL);
    r->p++;
    if (!add_class(r, c, &e->set)) {
        r->p--;
        uint32_t v = char_escape(r, false);
        ft_set_add(r->cx, &e->set, v, v);
    }
    ft_set_tidy(r->cx, &e->set, false);
    return e;
}

static struct ft_re *parse_atom(struct parser *r)
{
    char c = *r->p;
    struct ft_re *e;
    switch (c) {
    case '(':
        r->p++;
        return parse_group(r);
    case '[':
        r->p++;
        return parse_class(r);
    case '\\':
        r->p++;
        return parse_escape(r);
    case '^':
    case '$':
        r->p++;
        return make(r, c == '^' ? FT_RE_BOL : FT_RE_EOL, NULL, NULL);
    case '.':
        r->p++;
        e = make(r, FT_RE_SET, NULL, NULL);
        ft_set_add(r->cx, &e->set, '\n', '\n');
        ft_set_add(r->cx, &e->set, '\r', '\r');
        ft_set_add(r->cx, &e->set, 0x2028, 0x2029);
        ft_set_tidy(r->cx, &e->set, true);
        return e;
    case '*':
    case '+':
    case '?':
        refuse(r, FT_EINVAL, "nothing to repeat");
        return NULL;
    default:
        e = make(r, FT_RE_SET, NULL, NULL);
        uint32_t v = one_char(r);
        ft_set_add(r->cx, &e->set, v, v);
        return e;
    }
}

/* {m}, {m,}, {m,n}; false (nothing consumed) if it is none: then the brace is a character. */
static bool parse_braces(struct parser *r, int *min, int *max)
{
    const char *q = r->p + 1;
    long lo = 0, hi = -1;
    const char *s = q;
    for (; q < r->end && *q >= '0' && *q <= '9'; q++)
        lo = FT_MIN(lo * 10 + (*q - '0'), REPEAT_MAX + 1l);
    if (q == s || q >= r->end)
        return false;
    if (*q == '}') {
        hi = lo;
    } else if (*q == ',') {
        s = ++q;
        for (; q < r->end && *q >= '0' && *q <= '9'; q++)
            hi = FT_MIN((hi < 0 ? 0 : hi) * 10 + (*q - '0'), REPEAT_MAX + 1l);
        if (q >= r->end || *q != '}')
            return false;
    } else {
        return false;
    }
    if (lo > REPEAT_MAX || hi > REPEAT_MAX)
        refuse(r, FT_EUNSUPPORTED, "a repetition count that large");
    if (hi >= 0 && hi < lo)
        refuse(r, FT_EINVAL, "a repetition whose bounds are out of order");
    r->p = q + 1;
    *min = (int)lo;
    *max = (int)hi;
    return true;
}

static struct ft_re *parse_repeat(struct parser *r)
{
    struct ft_re *e = parse_atom(r);
    while (r->p < r->end) {
        int min, max;
        if (*r->p == '*') {
            min = 0;
            max = -1;
            r->p++;
        } else if (*r->p == '+') {
            min = 1;
            max = -1;
            r->p++;
        } else if (*r->p == '?') {
            min = 0;
            max = 1;
            r->p++;
        } else if (*r->p != '{' || !parse_braces(r, &min, &max)) {
            break;
        }
        if (r->p < r->end && *r->p == '?') /* lazy: the same language */
            r->p++;
        else if (r->p < r->end && *r->p == '+')
            refuse(r, FT_EUNSUPPORTED, "a possessive quantifier");
        e = make(r, FT_RE_REPEAT, e, NULL);
        e->min = min;
        e->max = max;
    }
    return e;
}

static struct ft_re *parse_cat(struct parser *r)
{
    struct ft_re *e = NULL;
    while (r->p < r->end && *r->p != '|' && *r->p != ')') {
        struct ft_re *b = parse_repeat(r);
        e = e == NULL ? b : make(r, FT_RE_CAT, e, b);
    }
    return e != NULL ? e : make(r, FT_RE_EMPTY, NULL, NULL);
}

static struct ft_re *parse_alt(struct parser *r)
{
    if (++r->depth > FT_REGEX_DEPTH_MAX)
        refuse(r, FT_EUNSUPPORTED, "groups nested too deeply");
    struct ft_re *e = parse_cat(r);
    while (r->p < r->end && *r->p == '|') {
        r->p++;
        e = make(r, FT_RE_ALT, e, parse_cat(r));
    }
    r->depth--;
    return e;
}

struct ft_re *ft_regex_parse(struct ft_cx *cx, const char *re, size_t n)
{
    if (n > FT_REGEX_BYTES_MAX)
        ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: longer than %d bytes",
                   cx->what != NULL ? cx->what : "regular expression", FT_REGEX_BYTES_MAX);
    struct parser r = {cx, re, re + n, re, 0};
    struct ft_re *e = parse_alt(&r);
    if (r.p != r.end)
        refuse(&r, FT_EINVAL, "an unmatched )");
    return e;
}
