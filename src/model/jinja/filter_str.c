/* Filters on text. */
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/filter.h"
#include "model/jinja/method.h"

static bool opt_true(struct jr *r, struct jv v)
{
    return jv_given(v) && jv_truth(r, v);
}

/* Filters that use a value as a string without converting it. */
static struct jv want_str(struct jr *r, struct jv v)
{
    jr_check_defined(r, v);
    if (v.t != JV_STR)
        jr_fail(r, FT_EINVAL, "a string is required, not '%s'", jv_type_name(v));
    return v;
}

struct jv jf_string(struct jr *r, struct jf_call *c)
{
    return jv_soft_str(r, c->v);
}

struct jv jf_upper(struct jr *r, struct jf_call *c)
{
    return jm_map(r, jv_soft_str(r, c->v), JU_UPPER);
}

struct jv jf_lower(struct jr *r, struct jf_call *c)
{
    return jm_map(r, jv_soft_str(r, c->v), JU_LOWER);
}

struct jv jf_capitalize(struct jr *r, struct jf_call *c)
{
    return jm_capitalize(r, jv_soft_str(r, c->v), JU_TITLE);
}

static bool word_break(uint32_t cp)
{
    return ju_space(cp) || cp == '-' || cp == '(' || cp == '{' || cp == '[' || cp == '<';
}

/* Words begin after any of "-({[<" and space. */
struct jv jf_title(struct jr *r, struct jf_call *c)
{
    struct jv s = jv_soft_str(r, c->v), part;
    struct jb b;
    jb_init(&b, r);
    const char *p = s.s->p, *end = p + s.s->n;
    while (p < end) {
        const char *from = p, *q = p;
        bool sep = word_break(ju_next(&q));
        while (p < end && (q = p, word_break(ju_next(&q)) == sep))
            p = q;
        part = jv_str_view(r, from, (size_t)(p - from));
        part = sep ? part : jm_capitalize(r, part, JU_UPPER);
        jb_add(&b, part.s->p, part.s->n);
    }
    return jb_str(&b);
}

struct jv jf_trim(struct jr *r, struct jf_call *c)
{
    return jm_strip(r, jv_soft_str(r, c->v), c->p[0], true, true);
}

struct jv jf_center(struct jr *r, struct jf_call *c)
{
    return jm_center(r, jv_soft_str(r, c->v), jf_int(r, c->p[0], 80), jv_of(JV_MISSING));
}

struct jv jf_replace(struct jr *r, struct jf_call *c)
{
    int64_t count = jv_given(c->p[2]) && c->p[2].t != JV_NONE ? jf_int(r, c->p[2], -1) : -1;
    struct jv s = jv_to_str(r, c->v), from = jv_to_str(r, c->p[0]), to = jv_to_str(r, c->p[1]);
    if (r->autoescape) {
        bool escape = c->p[0].t == JV_STR && c->p[0].s->markup;
        bool markup = c->v.t == JV_STR && c->v.s->markup;
        escape |= c->p[1].t == JV_STR && c->p[1].s->markup && !markup;
        s = escape ? jv_escape(r, c->v) : jv_soft_str(r, c->v);
        if (s.s->markup) {
            from = jv_escape(r, c->p[0]);
            to = jv_escape(r, c->p[1]);
        }
    }
    return jm_replace(r, s, from.s, to.s, count);
}

struct jv jf_format(struct jr *r, struct jf_call *c)
{
    const struct jv_args *a = c->a;
    struct jv args;
    if (a->n != 0 && a->n_kw != 0)
        jr_fail(r, FT_EINVAL, "can't handle positional and keyword arguments at the same time");
    if (a->n_kw != 0) {
        args = jv_dict_new(r);
        for (size_t i = 0; i < a->n_kw; i++)
            jv_dict_set(r, args.d, a->kw_names[i], a->kw[i]);
    } else {
        args = jv_tuple_new(r, a->n);
        for (size_t i = 0; i < a->n; i++)
            args.l->v[i] = a->v[i];
    }
    return jv_percent(r, jv_soft_str(r, c->v), args);
}

struct jv jf_indent(struct jr *r, struct jf_call *c)
{
    struct jv width = c->p[0], s = want_str(r, c->v);
    bool first = opt_true(r, c->p[1]), blank = opt_true(r, c->p[2]);
    if (!jv_given(width) || width.t != JV_STR)
        width = jm_pad(r, jv_strz(r, ""), jf_int(r, width, 4), 0, jv_of(JV_MISSING));
    /* A newline is added so that a trailing one gives an empty last line. */
    struct jv lines = jm_splitlines(r, jv_str_cat(r, jv_to_str(r, s), jv_strz(r, "\n")), false);
    struct jb b;
    jb_init(&b, r);
    if (first)
        jb_add(&b, width.s->p, width.s->n);
    for (size_t i = 0; i < lines.l->n; i++) {
        struct jv_str *line = lines.l->v[i].s;
        if (i != 0) {
            jb_addc(&b, '\n');
            if (blank || line->n != 0)
                jb_add(&b, width.s->p, width.s->n);
        }
        jb_add(&b, line->p, line->n);
    }
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

struct jv jf_truncate(struct jr *r, struct jf_call *c)
{
    int64_t length = jf_int(r, c->p[0], 255);
    int64_t leeway = jv_given(c->p[3]) && c->p[3].t != JV_NONE ? jf_int(r, c->p[3], 5) : 5;
    struct jv end = jv_given(c->p[2]) ? want_str(r, c->p[2]) : jv_strz(r, "..."), s = c->v;
    if (length < jv_cps(end.s))
        jr_fail(r, FT_EINVAL, "expected length >= %lld, got %lld", (long long)jv_cps(end.s),
                (long long)length);
    if (leeway < 0)
        jr_fail(r, FT_EINVAL, "expected leeway >= 0, got %lld", (long long)leeway);
    if (jv_len(r, s) <= length + leeway) /* anything with a length passes while it is short */
        return s;
    want_str(r, s);
    size_t to = jv_byte_at(s.s, length - jv_cps(end.s));
    if (!opt_true(r, c->p[1])) {
        const char *space = memrchr(s.s->p, ' ', to);
        if (space != NULL)
            to = (size_t)(space - s.s->p);
    }
    return jv_binary(r, T_ADD, jv_substr(r, s, 0, to), end);
}

struct jv jf_wordcount(struct jr *r, struct jf_call *c)
{
    struct jv s = jv_soft_str(r, c->v);
    int64_t n = 0;
    bool in = false;
    jr_charge(r, s.s->n);
    for (const char *p = s.s->p, *end = p + s.s->n; p < end;) {
        bool word = ju_word(ju_next(&p));
        n += word && !in;
        in = word;
    }
    return jv_int(n);
}

struct jv jf_safe(struct jr *r, struct jf_call *c)
{
    return jv_markup(r, c->v);
}

struct jv jf_escape(struct jr *r, struct jf_call *c)
{
    return jv_escape(r, c->v);
}

struct jv jf_forceescape(struct jr *r, struct jf_call *c)
{
    return jv_escape(r, jv_to_str(r, c->v));
}

static void quote_url(struct jb *b, struct jv v, bool query)
{
    struct jv s = jv_to_str(b->r, v);
    for (size_t i = 0; i < s.s->n; i++) {
        unsigned char ch = (unsigned char)s.s->p[i];
        bool plain = (ch >= '0' && ch <= '9') || ((ch | 32) >= 'a' && (ch | 32) <= 'z') ||
                     (ch != 0 && strchr("_.-~", ch) != NULL) || (ch == '/' && !query);
        if (plain)
            jb_addc(b, (char)ch);
        else if (ch == ' ' && query)
            jb_addc(b, '+');
        else
            jb_addf(b, "%%%02X", ch);
    }
    jr_charge(b->r, s.s->n * 4);
}

struct jv jf_urlencode(struct jr *r, struct jf_call *c)
{
    struct jb b;
    jb_init(&b, r);
    if (c->v.t == JV_STR || !jv_iterable(c->v)) {
        quote_url(&b, c->v, false);
        return jb_str(&b);
    }
    struct jv_iter *it;
    struct jv pair;
    if (c->v.t == JV_DICT) {
        struct jf_call items = {.v = c->v};
        it = jf_items(r, &items).it;
    } else {
        it = jv_iter_of(r, c->v);
    }
    for (bool first = true; jv_next(r, it, &pair); first = false) {
        struct jv two = jv_to_list(r, pair);
        if (two.l->n != 2)
            jr_fail(r, FT_EINVAL, "urlencode: pairs of key and value expected");
        if (!first)
            jb_addc(&b, '&');
        quote_url(&b, two.l->v[0], true);
        jb_addc(&b, '=');
        quote_url(&b, two.l->v[1], true);
    }
    return jb_str(&b);
}

struct jv jf_xmlattr(struct jr *r, struct jf_call *c)
{
    bool autospace = !jv_given(c->p[0]) || jv_truth(r, c->p[0]);
    jr_check_defined(r, c->v);
    if (c->v.t != JV_DICT)
        jr_fail(r, FT_EINVAL, "'%s' object has no attribute 'items'", jv_type_name(c->v));
    struct jb b;
    jb_init(&b, r);
    for (size_t i = 0; i < c->v.d->n; i++) {
        struct jv k = c->v.d->e[i].key, v = c->v.d->e[i].value;
        if (v.t == JV_NONE || v.t == JV_UNDEF)
            continue;
        if (k.t != JV_STR)
            jr_fail(r, FT_EINVAL, "expected string or bytes-like object, got '%s'",
                    jv_type_name(k));
        for (size_t j = 0; j < k.s->n; j++)
            if (strchr(" \t\n\r\f\v/>=", k.s->p[j]) != NULL && k.s->p[j] != '\0')
                jr_fail(r, FT_EINVAL, "Invalid character in attribute name");
        if (b.n != 0 || autospace)
            jb_addc(&b, ' ');
        jv_escape_to(&b, k);
        jb_adds(&b, "=\"");
        jv_escape_to(&b, v);
        jb_addc(&b, '"');
    }
    struct jv s = jb_str(&b);
    s.s->markup = r->autoescape;
    return s;
}

/* What a numeric reference stands for, by HTML 5's rules as Python's html.unescape() has them: a
 * few are read as Windows-1252, what no text may hold is nothing, what is no character U+FFFD. */
static void add_reference(struct jb *b, uint32_t cp)
{
    static const uint16_t windows_1252[32] = {
        0x20ac, 0x81,   0x201a, 0x192,  0x201e, 0x2026, 0x2020, 0x2021, 0x2c6,  0x2030, 0x160,
        0x2039, 0x152,  0x8d,   0x17d,  0x8f,   0x90,   0x2018, 0x2019, 0x201c, 0x201d, 0x2022,
        0x2013, 0x2014, 0x2dc,  0x2122, 0x161,  0x203a, 0x153,  0x9d,   0x17e,  0x178};
    bool none = cp < 9 || cp == 0xb || (cp >= 0xe && cp < 0x20) || cp == 0x7f ||
                (cp >= 0xfdd0 && cp <= 0xfdef) || (cp & 0xfffe) == 0xfffe;
    if (cp >= 0x80 && cp < 0xa0)
        jb_addcp(b, windows_1252[cp - 0x80]);
    else if (cp == 0 || cp > 0x10ffff || (cp >= 0xd800 && cp <= 0xdfff))
        jb_addcp(b, 0xfffd);
    else if (!none)
        jb_addcp(b, cp);
}

/* "&#12" and "&#x1f", with or without ";". Returns the bytes used, 0 if it is none. */
static size_t numeric_reference(struct jb *b, const char *p, size_t n)
{
    if (n < 3 || p[1] != '#')
        return 0;
    bool hex = (p[2] | 32) == 'x';
    size_t from = hex ? 3 : 2, i = from;
    uint32_t cp = 0;
    for (; i < n; i++) {
        int d = p[i] >= '0' && p[i] <= '9'                        ? p[i] - '0'
                : hex && (p[i] | 32) >= 'a' && (p[i] | 32) <= 'f' ? (p[i] | 32) - 'a' + 10
                                                                  : -1;
        if (d < 0)
            break;
        cp = FT_MIN(cp * (hex ? 16u : 10u) + (uint32_t)d, 0x110000u);
    }
    if (i == from)
        return 0;
    add_reference(b, cp);
    return i + (i < n && p[i] == ';');
}

/* Of the named references only those that escaping makes, and the space. */
static size_t unescape(struct jb *b, const char *p, size_t n)
{
    static const struct {
        const char *name, *text;
    } named[] = {{"&amp;", "&"},   {"&lt;", "<"},   {"&gt;", ">"},
                 {"&quot;", "\""}, {"&apos;", "'"}, {"&nbsp;", "\u00a0"}};
    for (size_t i = 0; i < FT_COUNT(named); i++) {
        size_t k = strlen(named[i].name);
        if (n >= k && memcmp(p, named[i].name, k) == 0) {
            jb_adds(b, named[i].text);
            return k;
        }
    }
    size_t used = numeric_reference(b, p, n);
    if (used == 0)
        jb_addc(b, '&');
    return used == 0 ? 1 : used;
}

/* Tags and comments go, runs of space become one, references are resolved. */
struct jv jf_striptags(struct jr *r, struct jf_call *c)
{
    struct jv s = jv_soft_str(r, c->v);
    struct jb text, out;
    jb_init(&text, r);
    const char *p = s.s->p, *end = p + s.s->n;
    while (p < end) {
        const char *lt = memchr(p, '<', (size_t)(end - p)), *close = NULL;
        size_t skip = 1;
        if (lt != NULL && end - lt >= 4 && memcmp(lt, "<!--", 4) == 0) {
            close = memmem(lt + 4, (size_t)(end - lt - 4), "-->", 3);
            skip = 3;
        }
        if (lt != NULL && close == NULL) {
            close = memchr(lt, '>', (size_t)(end - lt));
            skip = 1;
        }
        jb_add(&text, p, (size_t)((close == NULL ? end : lt) - p));
        p = close == NULL ? end : close + skip;
    }
    struct jv none = jv_of(JV_MISSING);
    struct jv plain = jm_split(r, jb_str(&text), &(struct jv_args){.v = &none, .n = 0});
    jb_init(&out, r);
    for (size_t i = 0; i < plain.l->n; i++) {
        if (i != 0)
            jb_addc(&out, ' ');
        const struct jv_str *w = plain.l->v[i].s;
        for (size_t k = 0; k < w->n;) {
            if (w->p[k] == '&')
                k += unescape(&out, w->p + k, w->n - k);
            else
                jb_addc(&out, w->p[k++]);
        }
    }
    return jb_str(&out);
}
