/* String formatting: `fmt % args` and `fmt.format(...)`, as Python does them. */
#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

#define WIDTH_MAX     ((int64_t)1 << 20)
#define PRECISION_MAX 1000

/* How one value is to be laid out; shared by both kinds of formatting. */
struct spec {
    uint32_t fill;
    char align; /* 0 (default), '<', '>', '^', '=' */
    char sign;  /* '-', '+', ' ' */
    bool alt, zero;
    char group;               /* 0, ',' or '_' */
    char type;                /* 0 = default */
    int64_t width, precision; /* precision -1: none */
};

static int64_t read_number(struct jr *r, const char **p, const char *end)
{
    int64_t n = 0;
    for (; *p < end && isdigit((unsigned char)**p); ++*p) {
        n = n * 10 + (**p - '0');
        if (n > WIDTH_MAX)
            jr_fail(r, FT_ELIMIT, "a format asks for more than %lld characters",
                    (long long)WIDTH_MAX);
    }
    return n;
}

/* prefix (sign, 0x) and body, padded to the width; '=' puts the fill between them. */
static void put_padded(struct jb *b, const struct spec *s, const char *prefix, const char *body,
                       size_t n, char default_align)
{
    struct jv_str str = {.p = body, .n = n, .cps = -1};
    int64_t pad = s->width - (int64_t)strlen(prefix) - jv_cps(&str);
    char align = s->align != 0 ? s->align : default_align, fill[4];
    size_t fill_n = (size_t)ju_put(fill, s->fill);
    int64_t left = align == '>' ? pad : align == '^' ? pad / 2 : 0;
    jb_pad(b, fill, fill_n, left);
    jb_adds(b, prefix);
    if (align == '=')
        jb_pad(b, fill, fill_n, pad);
    jb_add(b, body, n);
    if (align == '<' || align == '^')
        jb_pad(b, fill, fill_n, pad - FT_MAX(left, 0));
}

static const char *sign_text(const struct spec *s, bool negative)
{
    return negative ? "-" : s->sign == '+' ? "+" : s->sign == ' ' ? " " : "";
}

/* Groups the leading digits of body by 3 (or 4 for b, o, x); zero padding counts as digits. */
static void add_groups(struct jb *out, const struct spec *s, const char *body, size_t n, int by,
                       size_t prefix_n)
{
    size_t digits = 0;
    while (digits < n && isxdigit((unsigned char)body[digits]) &&
           (by == 4 || isdigit((unsigned char)body[digits])))
        digits++;
    size_t rest = n - digits, want = digits;
    if (s->align == '=' && s->fill == '0') {
        while ((int64_t)(want + (want - 1) / (size_t)by + rest + prefix_n) < s->width)
            want++;
    }
    for (size_t i = 0; i < want; i++) {
        if (i != 0 && (want - i) % (size_t)by == 0)
            jb_addc(out, s->group);
        jb_addc(out, i < want - digits ? '0' : body[i - (want - digits)]);
    }
    jb_add(out, body + digits, rest);
}

static void put_number(struct jb *b, const struct spec *s, const char *prefix, const char *body,
                       size_t n, int by)
{
    if (s->group == 0) {
        put_padded(b, s, prefix, body, n, '>');
        return;
    }
    struct jb g;
    jb_init(&g, b->r);
    add_groups(&g, s, body, n, by, strlen(prefix));
    put_padded(b, s, prefix, g.p, g.n, '>');
}

static void put_int(struct jb *b, const struct spec *s, int64_t v, char type)
{
    char digits[72], prefix[4];
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    int base = type == 'b' ? 2 : type == 'o' ? 8 : type == 'x' || type == 'X' ? 16 : 10;
    size_t k = sizeof digits;
    do {
        digits[--k] = (type == 'X' ? "0123456789ABCDEF" : "0123456789abcdef")[u % (unsigned)base];
        u /= (unsigned)base;
    } while (u != 0);
    snprintf(prefix, sizeof prefix, "%s%s", sign_text(s, v < 0),
             !s->alt || base == 10 ? ""
             : type == 'b'         ? "0b"
             : type == 'o'         ? "0o"
             : type == 'x'         ? "0x"
                                   : "0X");
    put_number(b, s, prefix, digits + k, sizeof digits - k, base == 10 ? 3 : 4);
}

static void put_float(struct jb *b, const struct spec *s, double f, char type)
{
    struct jb t;
    jb_init(&t, b->r);
    bool negative = signbit(f) && !isnan(f);
    double a = fabs(f);
    int64_t prec = s->precision < 0 ? 6 : s->precision;
    if (prec > PRECISION_MAX)
        jr_fail(b->r, FT_ELIMIT, "a format asks for more than %d decimals", PRECISION_MAX);
    char fmt[8] = "%.*", conv = type == '%' ? 'f' : type == 'n' ? 'g' : type;
    if (isnan(f) || isinf(f)) {
        bool upper = isupper((unsigned char)type);
        jb_adds(&t, isnan(f) ? (upper ? "NAN" : "nan") : upper ? "INF" : "inf");
        if (type == '%')
            jb_addc(&t, '%');
    } else if (type == 0 && s->precision < 0) {
        jv_float_repr(&t, a);
    } else if (type == 0) { /* like g, but at least one digit after the point */
        jb_addf(&t, "%.*g", (int)(prec == 0 ? 1 : prec), a);
        if (memchr(t.p, '.', t.n) == NULL && memchr(t.p, 'e', t.n) == NULL)
            jb_adds(&t, ".0");
    } else {
        snprintf(fmt, sizeof fmt, "%%%s.*%c", s->alt ? "#" : "", conv);
        char *buf = jr_alloc(b->r, (size_t)prec + 400);
        snprintf(buf, (size_t)prec + 400, fmt, (int)prec, type == '%' ? a * 100 : a);
        jb_adds(&t, buf);
        if (type == '%')
            jb_addc(&t, '%');
    }
    put_number(b, s, sign_text(s, negative), t.p, t.n, 3);
}

static void put_str(struct jb *b, const struct spec *s, struct jv v)
{
    size_t n = v.s->n;
    if (s->precision >= 0 && s->precision < jv_cps(v.s))
        n = jv_byte_at(v.s, s->precision);
    put_padded(b, s, "", v.s->p, n, '<');
}

static struct jv repr_of(struct jr *r, struct jv v, bool ascii)
{
    struct jb b;
    jb_init(&b, r);
    jv_repr_to(&b, v);
    if (!ascii)
        return jb_str(&b);
    struct jb a;
    jb_init(&a, r);
    for (const char *p = b.p; p < b.p + b.n;) {
        uint32_t cp = ju_next(&p);
        if (cp < 0x80)
            jb_addc(&a, (char)cp);
        else
            jb_addf(&a, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
    }
    return jb_str(&a);
}

/* ---- fmt % args ---- */

struct percent {
    struct jr *r;
    struct jv args;
    size_t next, n; /* positional arguments */
    bool markup;
};

static struct jv next_arg(struct percent *x)
{
    if (x->next >= x->n)
        jr_fail(x->r, FT_EINVAL, "not enough arguments for format string");
    size_t i = x->next++;
    return x->args.t == JV_TUPLE ? x->args.l->v[i] : x->args;
}

static struct jv mapped_arg(struct percent *x, const char **p, const char *end)
{
    const char *from = ++*p;
    int open = 1;
    for (; *p < end; ++*p) {
        open += **p == '(' ? 1 : **p == ')' ? -1 : 0;
        if (open == 0)
            break;
    }
    if (*p >= end)
        jr_fail(x->r, FT_EINVAL, "incomplete format key");
    if (x->args.t != JV_DICT)
        jr_fail(x->r, FT_EINVAL, "format requires a mapping");
    struct jv v;
    if (!jv_dict_getn(x->r, x->args.d, from, (size_t)(*p - from), &v))
        jr_fail(x->r, FT_EINVAL, "'%.*s'", (int)FT_MIN((size_t)(*p - from), (size_t)100), from);
    ++*p;
    return v;
}

static void percent_char(struct jb *b, const struct spec *s, struct jv v)
{
    char ch[4];
    if (v.t == JV_STR && jv_cps(v.s) == 1) {
        put_padded(b, s, "", v.s->p, v.s->n, '>');
        return;
    }
    if (!jv_is_int(v) || jv_as_int(v) < 0 || jv_as_int(v) > 0x10ffff ||
        (jv_as_int(v) >= 0xd800 && jv_as_int(v) < 0xe000))
        jr_fail(b->r, FT_EINVAL, "%%c requires int or char");
    put_padded(b, s, "", ch, (size_t)ju_put(ch, (uint32_t)jv_as_int(v)), '>');
}

/* %d and its kin: precision is a least number of digits. */
static void percent_int(struct jb *b, struct spec *s, struct jv v, char c)
{
    char type = c == 'i' || c == 'u' ? 'd' : c;
    if (!jv_is_num(v) || (v.t == JV_FLOAT && type != 'd'))
        jr_fail(b->r, FT_EINVAL, "%%%c format: a%s number is required, not %s", c,
                type == 'd' ? " real" : "n integer", jv_type_name(v));
    if (v.t == JV_FLOAT && !(fabs(v.f) < 9.2e18))
        jr_fail(b->r, FT_EINVAL, "cannot convert float to a 64-bit integer");
    int64_t i = v.t == JV_FLOAT ? (int64_t)v.f : jv_as_int(v);
    struct spec digits = {
        .fill = '0', .align = '=', .sign = s->sign, .alt = s->alt, .precision = -1};
    struct jb t;
    jb_init(&t, b->r);
    digits.width = s->precision > 0
                       ? s->precision + (i < 0 || s->sign != '-') + (s->alt && type != 'd' ? 2 : 0)
                       : 0;
    if (s->zero && s->align != '<')
        digits.width = FT_MAX(digits.width, s->width);
    put_int(&t, &digits, i, type);
    struct spec outer = *s;
    outer.fill = ' ';
    outer.align = s->align == '<' ? '<' : '>';
    put_padded(b, &outer, "", t.p, t.n, '>');
}

static void percent_one(struct percent *x, struct jb *b, struct spec *s, char c, struct jv v)
{
    switch (c) {
    case 's':
    case 'r':
    case 'a':
        s->fill = ' ';
        v = c == 's' ? jv_soft_str(x->r, v) : repr_of(x->r, v, c == 'a');
        if (x->markup)
            v = jv_escape(x->r, v);
        if (s->align == 0)
            s->align = '>';
        put_str(b, s, v);
        return;
    case 'c':
        s->fill = ' ';
        percent_char(b, s, v);
        return;
    case 'd':
    case 'i':
    case 'u':
    case 'o':
    case 'x':
    case 'X':
        percent_int(b, s, v, c);
        return;
    case 'e':
    case 'E':
    case 'f':
    case 'F':
    case 'g':
    case 'G':
        if (!jv_is_num(v))
            jr_fail(x->r, FT_EINVAL, "must be real number, not %s", jv_type_name(v));
        if (s->zero && s->align != '<') {
            s->fill = '0';
            s->align = '=';
        }
        put_float(b, s, jv_as_float(v), c);
        return;
    default:
        jr_fail(x->r, FT_EINVAL, "unsupported format character '%c'", c);
    }
}

static int64_t star_or_number(struct percent *x, const char **p, const char *end, bool *negative)
{
    if (*p >= end || **p != '*')
        return read_number(x->r, p, end);
    ++*p;
    struct jv v = next_arg(x);
    if (!jv_is_int(v))
        jr_fail(x->r, FT_EINVAL, "* wants int");
    int64_t n = jv_as_int(v);
    if (n < -WIDTH_MAX || n > WIDTH_MAX)
        jr_fail(x->r, FT_ELIMIT, "a format asks for more than %lld characters",
                (long long)WIDTH_MAX);
    *negative = n < 0;
    return n < 0 ? -n : n;
}

static const char *percent_spec(struct percent *x, struct jb *b, const char *p, const char *end)
{
    struct spec s = {.fill = ' ', .sign = '-', .precision = -1};
    struct jv v = jv_of(JV_MISSING);
    bool negative = false;
    if (p < end && *p == '(') {
        v = mapped_arg(x, &p, end);
        x->next = x->n; /* a mapping is all of the arguments */
    }
    for (; p < end && strchr("#0- +", *p) != NULL && *p != '\0'; p++) {
        s.alt |= *p == '#';
        s.zero |= *p == '0';
        if (*p == '-')
            s.align = '<';
        if (*p == '+' || (*p == ' ' && s.sign != '+'))
            s.sign = *p;
    }
    s.width = star_or_number(x, &p, end, &negative);
    if (negative)
        s.align = '<';
    negative = false;
    if (p < end && *p == '.') {
        p++;
        s.precision = star_or_number(x, &p, end, &negative);
        if (negative)
            s.precision = 0;
    }
    if (p < end && (*p == 'h' || *p == 'l' || *p == 'L'))
        p++;
    if (p >= end)
        jr_fail(x->r, FT_EINVAL, "incomplete format");
    if (*p == '%')
        jb_addc(b, '%');
    else
        percent_one(x, b, &s, *p, jv_given(v) ? v : next_arg(x));
    return p + 1;
}

struct jv jv_percent(struct jr *r, struct jv fmt, struct jv args)
{
    struct percent x = {
        .r = r, .args = args, .n = args.t == JV_TUPLE ? args.l->n : 1, .markup = fmt.s->markup};
    struct jb b;
    jb_init(&b, r);
    const char *p = fmt.s->p, *end = p + fmt.s->n;
    bool mapped =
        args.t == JV_DICT || args.t == JV_LIST || args.t == JV_RANGE || args.t == JV_UNDEF;
    while (p < end) {
        const char *q = memchr(p, '%', (size_t)(end - p));
        jb_add(&b, p, (size_t)((q == NULL ? end : q) - p));
        if (q == NULL)
            break;
        p = percent_spec(&x, &b, q + 1, end);
    }
    if (x.next < x.n && !mapped)
        jr_fail(r, FT_EINVAL, "not all arguments converted during string formatting");
    struct jv v = jb_str(&b);
    v.s->markup = fmt.s->markup;
    return v;
}

/* ---- fmt.format() ---- */

struct formatter {
    struct jr *r;
    const struct jv_args *args;
    int64_t next; /* automatic numbering; -1 once numbers were given */
    bool markup;
};

static void parse_spec(struct jr *r, struct jv text, struct spec *s, char default_align)
{
    const char *p = text.s->p, *end = p + text.s->n, *q = p;
    *s = (struct spec){.fill = ' ', .sign = '-', .precision = -1};
    bool fill_given = false;
    if (p < end) {
        uint32_t cp = ju_next(&q);
        if (q < end && strchr("<>=^", *q) != NULL) {
            s->fill = cp;
            s->align = *q;
            p = q + 1;
            fill_given = true;
        } else if (strchr("<>=^", *p) != NULL) {
            s->align = *p++;
        }
    }
    if (p < end && (*p == '+' || *p == '-' || *p == ' '))
        s->sign = *p++;
    if (p < end && *p == 'z')
        jr_fail(r, FT_EUNSUPPORTED, "the format option 'z' is not supported");
    if (p < end && *p == '#') {
        s->alt = true;
        p++;
    }
    if (!fill_given && p < end && *p == '0') {
        s->fill = '0';
        if (s->align == 0 && default_align == '>')
            s->align = '=';
        p++;
    }
    s->width = read_number(r, &p, end);
    if (p < end && (*p == ',' || *p == '_'))
        s->group = *p++;
    if (p < end && *p == '.') {
        p++;
        if (p >= end || !isdigit((unsigned char)*p))
            jr_fail(r, FT_EINVAL, "Format specifier missing precision");
        s->precision = read_number(r, &p, end);
    }
    if (p < end)
        s->type = *p++;
    if (p < end)
        jr_fail(r, FT_EINVAL, "Invalid format specifier");
}

static void format_int(struct jb *b, struct spec *s, struct jv v)
{
    char t = s->type == 0 || s->type == 'n' ? 'd' : s->type;
    if (strchr("eEfFgG%", t) != NULL) {
        put_float(b, s, (double)jv_as_int(v), t);
        return;
    }
    if (strchr("bcdoxX", t) == NULL)
        jr_fail(b->r, FT_EINVAL, "Unknown format code '%c' for object of type 'int'", t);
    if (s->precision >= 0)
        jr_fail(b->r, FT_EINVAL, "Precision not allowed in integer format specifier");
    if (s->group == ',' && t != 'd')
        jr_fail(b->r, FT_EINVAL, "Cannot specify ',' with '%c'.", t);
    if (t == 'c') {
        if (s->sign != '-')
            jr_fail(b->r, FT_EINVAL, "Sign not allowed with integer format specifier 'c'");
        percent_char(b, s, v);
        return;
    }
    put_int(b, s, jv_as_int(v), t);
}

static void format_str(struct jb *b, struct spec *s, struct jv v)
{
    if (s->type != 0 && s->type != 's')
        jr_fail(b->r, FT_EINVAL, "Unknown format code '%c' for object of type 'str'", s->type);
    if (s->sign != '-' || s->alt || s->group != 0 || s->align == '=')
        jr_fail(b->r, FT_EINVAL,
                "sign, '#', grouping and '=' are not allowed in string format specifiers");
    put_str(b, s, v);
}

static void format_value(struct formatter *x, struct jb *b, struct jv v, struct jv spec)
{
    struct spec s;
    if (spec.s->n == 0) {
        jv_str_to(b, v);
        return;
    }
    parse_spec(x->r, spec, &s, v.t == JV_STR ? '<' : '>');
    if (v.t == JV_STR) {
        format_str(b, &s, v);
    } else if (jv_is_int(v)) {
        format_int(b, &s, v);
    } else if (v.t == JV_FLOAT) {
        if (s.type != 0 && strchr("eEfFgGn%", s.type) == NULL)
            jr_fail(x->r, FT_EINVAL, "Unknown format code '%c' for object of type 'float'", s.type);
        put_float(b, &s, v.f, s.type);
    } else {
        jr_fail(x->r, FT_EINVAL, "unsupported format string passed to %s.__format__",
                jv_type_name(v));
    }
}

static bool all_digits(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!isdigit((unsigned char)p[i]))
            return false;
    return n != 0 && n < 10;
}

/* "0.name[key]": the argument, then attributes and items. */
static struct jv field_value(struct formatter *x, const char *p, const char *end)
{
    struct jr *r = x->r;
    const char *q = p;
    while (q < end && *q != '.' && *q != '[')
        q++;
    struct jv v = jv_of(JV_MISSING);
    bool numbered = all_digits(p, (size_t)(q - p));
    if (q == p || numbered) {
        if (numbered ? x->next > 0 : x->next < 0)
            jr_fail(r, FT_EINVAL, "cannot mix automatic and manual field numbering");
        int64_t i = numbered ? atoll(p) : x->next++;
        if (numbered)
            x->next = -1;
        if ((size_t)i >= x->args->n)
            jr_fail(r, FT_EINVAL, "Replacement index %lld out of range", (long long)i);
        v = x->args->v[i];
    } else {
        for (size_t i = 0; i < x->args->n_kw; i++) {
            const struct jv_str *k = x->args->kw_names[i].s;
            if (k->n == (size_t)(q - p) && memcmp(k->p, p, k->n) == 0)
                v = x->args->kw[i];
        }
        if (!jv_given(v))
            jr_fail(r, FT_EINVAL, "'%.*s'", (int)FT_MIN(q - p, 100), p);
    }
    while (q < end) {
        const char *from = q + 1, *to = from;
        if (*q == '.') {
            while (to < end && *to != '.' && *to != '[')
                to++;
            q = to;
        } else {
            to = *q == '[' ? memchr(from, ']', (size_t)(end - from)) : NULL;
            if (to == NULL)
                jr_fail(r, FT_EINVAL, "Missing ']' in format string");
            q = to + 1;
            if (q < end && *q != '.' && *q != '[')
                jr_fail(r, FT_EINVAL, "Only '.' or '[' may follow ']' in format field specifier");
        }
        if (to == from)
            jr_fail(r, FT_EINVAL, "Empty attribute in format string");
        size_t n = (size_t)(to - from);
        bool attr = from[-1] == '.';
        v = attr                  ? jv_getattr(r, v, from, n)
            : all_digits(from, n) ? jv_getitem(r, v, jv_int(atoll(from)))
                                  : jv_getitem(r, v, jv_strn(r, from, n));
    }
    return v;
}

static void format_text(struct formatter *x, struct jb *b, const char *p, const char *end,
                        int depth);

/* One "{...}" whose inside is p..end. */
static void format_field(struct formatter *x, struct jb *b, const char *p, const char *end,
                         int depth)
{
    const char *q = p;
    int square = 0;
    while (q < end && (square > 0 || (*q != '!' && *q != ':'))) {
        square += *q == '[' ? 1 : *q == ']' ? -1 : 0;
        if (*q == '{' || *q == '}')
            jr_fail(x->r, FT_EINVAL, "unexpected '%c' in field name", *q);
        q++;
    }
    struct jv v = field_value(x, p, q);
    if (q < end && *q == '!') {
        char conv = q + 1 < end ? q[1] : '\0';
        q += 2;
        if (q < end && *q != ':')
            jr_fail(x->r, FT_EINVAL, "expected ':' after conversion specifier");
        if (conv == 's')
            v = jv_soft_str(x->r, v);
        else if (conv == 'r' || conv == 'a')
            v = repr_of(x->r, v, conv == 'a');
        else
            jr_fail(x->r, FT_EINVAL, "Unknown conversion specifier");
    }
    struct jb spec, out;
    jb_init(&spec, x->r);
    if (q < end)
        format_text(x, &spec, q + 1, end, depth + 1);
    jb_init(&out, x->r);
    format_value(x, &out, v, jb_str(&spec));
    struct jv text = jb_str(&out);
    if (x->markup && !(v.t == JV_STR && v.s->markup))
        jv_escape_to(b, text);
    else
        jb_add(b, text.s->p, text.s->n);
}

static void format_text(struct formatter *x, struct jb *b, const char *p, const char *end,
                        int depth)
{
    if (depth > 1)
        jr_fail(x->r, FT_EINVAL, "Max string recursion exceeded");
    while (p < end) {
        const char *q = p;
        while (q < end && *q != '{' && *q != '}')
            q++;
        jb_add(b, p, (size_t)(q - p));
        if (q == end)
            return;
        if (q + 1 < end && q[1] == *q) {
            jb_addc(b, *q);
            p = q + 2;
            continue;
        }
        if (*q == '}' || q + 1 == end)
            jr_fail(x->r, FT_EINVAL, "Single '%c' encountered in format string", *q);
        int open = 1;
        const char *f = q + 1;
        for (q = f; q < end; q++) {
            open += *q == '{' ? 1 : *q == '}' ? -1 : 0;
            if (open == 0)
                break;
        }
        if (q == end)
            jr_fail(x->r, FT_EINVAL, "expected '}' before end of string");
        format_field(x, b, f, q, depth);
        p = q + 1;
    }
}

struct jv jv_str_format(struct jr *r, struct jv fmt, const struct jv_args *args)
{
    struct formatter x = {.r = r, .args = args, .markup = fmt.s->markup};
    struct jb b;
    jb_init(&b, r);
    format_text(&x, &b, fmt.s->p, fmt.s->p + fmt.s->n, 0);
    struct jv v = jb_str(&b);
    v.s->markup = fmt.s->markup;
    return v;
}
