/* The table of filters, how their arguments are bound, and the filters on numbers and JSON. */
#include "model/jinja/filter.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/jinja/unicode.h"

struct jv_filter {
    const char *name;
    jf_fn *fn;
    const char *params; /* NULL: any arguments */
    int n_required;
};

void jv_bind(struct jr *r, const char *what, const char *params, int n_required,
             const struct jv_args *args, struct jv *out)
{
    size_t n = 0, used = 0;
    for (const char *p = params; *p != '\0'; n++) {
        const char *end = strchrnul(p, ' ');
        size_t len = (size_t)(end - p);
        out[n] = n < args->n ? args->v[n] : jv_of(JV_MISSING);
        for (size_t k = 0; k < args->n_kw; k++) {
            const struct jv_str *name = args->kw_names[k].s;
            if (name->n != len || memcmp(name->p, p, len) != 0)
                continue;
            if (jv_given(out[n]))
                jr_fail(r, FT_EINVAL, "%s: multiple values for argument '%.*s'", what, (int)len, p);
            out[n] = args->kw[k];
            used++;
        }
        if ((int)n < n_required && !jv_given(out[n]))
            jr_fail(r, FT_EINVAL, "%s: missing argument '%.*s'", what, (int)len, p);
        p = *end == '\0' ? end : end + 1;
    }
    if (args->n > n)
        jr_fail(r, FT_EINVAL, "%s: takes at most %zu arguments (%zu given)", what, n, args->n);
    if (used < args->n_kw)
        jr_fail(r, FT_EINVAL, "%s: unexpected keyword argument", what);
}

int64_t jf_int(struct jr *r, struct jv v, int64_t absent)
{
    if (!jv_given(v))
        return absent;
    jr_check_defined(r, v);
    if (!jv_is_int(v))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer", jv_type_name(v));
    return jv_as_int(v);
}

static struct jv f_abs(struct jr *r, struct jf_call *c)
{
    if (!jv_is_num(c->v))
        jr_fail(r, FT_EINVAL, "bad operand type for abs(): '%s'", jv_type_name(c->v));
    if (c->v.t == JV_FLOAT)
        return jv_float(fabs(c->v.f));
    return jv_as_int(c->v) < 0 ? jv_negate(r, c->v, true) : jv_int(jv_as_int(c->v));
}

static struct jv f_attr(struct jr *r, struct jf_call *c)
{
    struct jv v;
    if (c->p[0].t != JV_STR)
        jr_fail(r, FT_EINVAL, "attribute name must be string, not '%s'", jv_type_name(c->p[0]));
    jr_check_defined(r, c->v);
    if (jv_find_attr(r, c->v, c->p[0].s->p, c->p[0].s->n, &v))
        return v;
    return jv_undef(r, "'%s object' has no attribute '%.*s'", jv_type_name(c->v),
                    (int)FT_MIN(c->p[0].s->n, (size_t)100), c->p[0].s->p);
}

static struct jv f_default(struct jr *r, struct jf_call *c)
{
    bool boolean = jv_given(c->p[1]) && jv_truth(r, c->p[1]);
    if (c->v.t != JV_UNDEF && !(boolean && !jv_truth(r, c->v)))
        return c->v;
    return jv_given(c->p[0]) ? c->p[0] : jv_strz(r, "");
}

/* Trims space, drops single underscores between digits; false where Python raises ValueError. */
static bool number_text(const struct jv_str *s, char *out, size_t cap)
{
    const char *p = s->p, *end = p + s->n, *q;
    while (p < end && (q = p, ju_space(ju_next(&q))))
        p = q;
    while (end > p && (q = end, ju_space(ju_prev(&q))))
        end = q;
    size_t n = 0;
    for (q = p; q < end; q++) {
        if (*q == '_') {
            bool between =
                q > p && q + 1 < end && q[-1] != '_' && q[1] != '_' && q[-1] != '.' && q[1] != '.';
            if (!between)
                return false;
            continue;
        }
        if (n + 1 >= cap || (unsigned char)*q >= 0x80 || *q == '\0')
            return false;
        out[n++] = *q;
    }
    out[n] = '\0';
    return n != 0;
}

bool jv_parse_int(struct jr *r, struct jv_str *s, int base, int64_t *ret)
{
    char buf[256];
    if (!number_text(s, buf, sizeof buf))
        return false;
    char *p = buf;
    bool neg = *p == '-';
    if (*p == '-' || *p == '+')
        p++;
    int prefix = p[0] != '0'          ? 0
                 : (p[1] | 32) == 'x' ? 16
                 : (p[1] | 32) == 'o' ? 8
                 : (p[1] | 32) == 'b' ? 2
                                      : 0;
    if (prefix != 0 && (base == prefix || base == 0)) {
        p += 2;
        base = prefix;
    } else if (base == 0) {
        if (p[0] == '0' && strspn(p, "0") != strlen(p))
            return false;
        base = 10;
    }
    if (*p == '\0' || *p == '-' || *p == '+' || ju_space((unsigned char)*p))
        return false;
    char *end;
    errno = 0;
    if (base == 16 && (p[0] == '0' && (p[1] | 32) == 'x'))
        return false;
    uint64_t u = strtoull(p, &end, base);
    if (*end != '\0')
        return false;
    if (errno != 0 || u > (uint64_t)INT64_MAX + neg)
        jr_fail(r, FT_EINVAL, "an integer exceeds 64 bits");
    *ret = (int64_t)(neg ? 0 - u : u);
    return true;
}

bool jv_parse_float(struct jv_str *s, double *ret)
{
    char buf[512];
    if (!number_text(s, buf, sizeof buf))
        return false;
    const char *p = buf + (buf[0] == '-' || buf[0] == '+');
    if (strcasecmp(p, "inf") != 0 && strcasecmp(p, "infinity") != 0 && strcasecmp(p, "nan") != 0 &&
        strspn(p, "0123456789.eE+-") != strlen(p))
        return false;
    if (*p == '-' || *p == '+')
        return false;
    char *end;
    *ret = strtod(buf, &end);
    return *end == '\0' && end != buf;
}

static struct jv float_to_int(struct jr *r, double f, struct jv absent)
{
    if (isnan(f))
        return absent;
    if (!(f > -9223372036854775808.0 - 1 && f < 9223372036854775808.0))
        jr_fail(r, FT_EINVAL, "cannot convert float to a 64-bit integer");
    return jv_int((int64_t)f);
}

static struct jv f_int(struct jr *r, struct jf_call *c)
{
    struct jv absent = jv_given(c->p[0]) ? c->p[0] : jv_int(0);
    int64_t base = jf_int(r, c->p[1], 10), i;
    double f;
    jr_check_defined(r, c->v);
    if (jv_is_int(c->v))
        return jv_int(jv_as_int(c->v));
    if (c->v.t == JV_FLOAT)
        return float_to_int(r, c->v.f, absent);
    if (c->v.t != JV_STR)
        return absent;
    if ((base == 0 || (base >= 2 && base <= 36)) && jv_parse_int(r, c->v.s, (int)base, &i))
        return jv_int(i);
    return jv_parse_float(c->v.s, &f) ? float_to_int(r, f, absent) : absent;
}

static struct jv f_float(struct jr *r, struct jf_call *c)
{
    double f;
    jr_check_defined(r, c->v);
    if (jv_is_num(c->v))
        return jv_float(jv_as_float(c->v));
    if (c->v.t == JV_STR && jv_parse_float(c->v.s, &f))
        return jv_float(f);
    return jv_given(c->p[0]) ? c->p[0] : jv_float(0);
}

/* Half to even on the exact value, as Python's round(): by way of decimal text, which is exact. */
static double round_float(double f, int64_t digits)
{
    char buf[400];
    if (isnan(f) || isinf(f) || digits > 22)
        return f;
    if (digits >= 0) {
        snprintf(buf, sizeof buf, "%.*f", (int)digits, f);
        return strtod(buf, NULL);
    }
    if (digits < -308)
        return 0 * f;
    int exp = f == 0 ? 0 : (int)floor(log10(fabs(f)));
    int64_t keep = exp + digits; /* digits after the first one */
    if (keep < -1)
        return copysign(0, f);
    if (keep == -1) {
        double unit = pow(10, (double)-digits);
        return copysign(fabs(f) > unit / 2 ? unit : 0, f);
    }
    snprintf(buf, sizeof buf, "%.*e", (int)keep, f);
    return strtod(buf, NULL);
}

static struct jv round_int(struct jr *r, int64_t i, int64_t digits)
{
    if (digits >= 0)
        return jv_int(i);
    if (digits < -18)
        return jv_int(0);
    int64_t unit = 1;
    for (int64_t k = 0; k > digits; k--)
        unit *= 10;
    int64_t rem = i % unit, down = i - rem, a = rem < 0 ? -rem : rem;
    bool up = a > unit / 2 || (a == unit / 2 && (down / unit) % 2 != 0);
    int64_t v;
    if (__builtin_add_overflow(down, up ? (i < 0 ? -unit : unit) : 0, &v))
        jr_fail(r, FT_EINVAL, "an integer exceeds 64 bits");
    return jv_int(v);
}

static struct jv f_round(struct jr *r, struct jf_call *c)
{
    const char *method = "common";
    if (jv_given(c->p[1])) {
        static const char *const known[] = {"common", "ceil", "floor"};
        method = NULL;
        for (size_t i = 0; i < FT_COUNT(known); i++)
            if (c->p[1].t == JV_STR && jv_eq(r, c->p[1], jv_strz(r, known[i])))
                method = known[i];
        if (method == NULL)
            jr_fail(r, FT_EINVAL, "method must be common, ceil or floor");
    }
    if (!jv_is_num(c->v))
        jr_fail(r, FT_EINVAL, "type %s doesn't define __round__ method", jv_type_name(c->v));
    if (method[1] == 'o' && jv_given(c->p[0]) && c->p[0].t == JV_NONE) { /* round(x, None) */
        if (c->v.t == JV_FLOAT)
            return float_to_int(r, rint(c->v.f), jv_int(0));
        return jv_int(jv_as_int(c->v));
    }
    int64_t digits = jf_int(r, c->p[0], 0);
    if (method[1] == 'o')
        return c->v.t == JV_FLOAT ? jv_float(round_float(c->v.f, digits))
                                  : round_int(r, jv_as_int(c->v), digits);
    double unit = pow(10, (double)digits), f = jv_as_float(c->v) * unit;
    if (isnan(f) || isinf(f))
        jr_fail(r, FT_EINVAL, "cannot convert float infinity or NaN to integer");
    f = method[0] == 'c' ? ceil(f) : floor(f);
    return jv_float((f == 0 ? 0 : f) / unit);
}

static struct jv f_filesizeformat(struct jr *r, struct jf_call *c)
{
    static const char prefixes[] = "kMGTPEZY";
    bool binary = jv_given(c->p[0]) && jv_truth(r, c->p[0]);
    double bytes, base = binary ? 1024 : 1000, unit = base;
    struct jb b;
    jb_init(&b, r);
    jr_check_defined(r, c->v);
    if (jv_is_num(c->v))
        bytes = jv_as_float(c->v);
    else if (c->v.t != JV_STR || !jv_parse_float(c->v.s, &bytes))
        jr_fail(r, FT_EINVAL, "could not convert to float");
    if (isnan(bytes) || (isinf(bytes) && bytes < 0))
        jr_fail(r, FT_EINVAL, "cannot convert float to integer");
    if (bytes == 1) {
        jb_adds(&b, "1 Byte");
    } else if (bytes < base) {
        jb_addf(&b, "%.0f Bytes", trunc(bytes) == 0 ? 0.0 : trunc(bytes));
    } else {
        int i = 0;
        for (unit = base * base; bytes >= unit && i < 7; i++)
            unit *= base;
        jb_addf(&b, "%.1f %c%sB", base * bytes / unit, binary && i == 0 ? 'K' : prefixes[i],
                binary ? "i" : "");
    }
    return jb_str(&b);
}

static struct jv f_tojson(struct jr *r, struct jf_call *c)
{
    struct jv_json_opts o = {0};
    struct jv *p = c->p; /* ensure_ascii indent separators sort_keys */
    o.ensure_ascii = jv_given(p[0]) && jv_truth(r, p[0]);
    o.sort_keys = jv_given(p[3]) && jv_truth(r, p[3]);
    o.indented = jv_given(p[1]) && p[1].t != JV_NONE;
    if (o.indented && p[1].t == JV_STR) {
        o.indent = p[1];
    } else if (o.indented) {
        struct jb b;
        jb_init(&b, r);
        jb_pad(&b, " ", 1, jf_int(r, p[1], 0));
        o.indent = jb_str(&b);
    }
    o.item_sep = jv_strz(r, o.indented ? "," : ", ");
    o.key_sep = jv_strz(r, ": ");
    if (jv_given(p[2]) && p[2].t != JV_NONE) {
        struct jv seps = jv_to_list(r, p[2]);
        if (seps.l->n != 2 || seps.l->v[0].t != JV_STR || seps.l->v[1].t != JV_STR)
            jr_fail(r, FT_EINVAL, "tojson: separators must be two strings");
        o.item_sep = seps.l->v[0];
        o.key_sep = seps.l->v[1];
    }
    struct jb b;
    jb_init(&b, r);
    jv_json_to(&b, c->v, &o);
    return jb_str(&b);
}

static struct jv f_pprint(struct jr *r, struct jf_call *c)
{
    return jv_pprint(r, c->v);
}

static struct jv f_random(struct jr *r, struct jf_call *c)
{
    (void)c;
    jr_fail(r, FT_EUNSUPPORTED,
            "the filter 'random' is not supported: the same input must render the same");
}

static const struct jv_filter filters[] = {
    {"abs", f_abs, "", 0},
    {"attr", f_attr, "name", 1},
    {"batch", jf_batch, "linecount fill_with", 1},
    {"capitalize", jf_capitalize, "", 0},
    {"center", jf_center, "width", 0},
    {"count", jf_length, "", 0},
    {"d", f_default, "default_value boolean", 0},
    {"default", f_default, "default_value boolean", 0},
    {"dictsort", jf_dictsort, "case_sensitive by reverse", 0},
    {"e", jf_escape, "", 0},
    {"escape", jf_escape, "", 0},
    {"filesizeformat", f_filesizeformat, "binary", 0},
    {"first", jf_first, "", 0},
    {"float", f_float, "default", 0},
    {"forceescape", jf_forceescape, "", 0},
    {"format", jf_format, NULL, 0},
    {"groupby", jf_groupby, "attribute default case_sensitive", 1},
    {"indent", jf_indent, "width first blank", 0},
    {"int", f_int, "default base", 0},
    {"items", jf_items, "", 0},
    {"join", jf_join, "d attribute", 0},
    {"last", jf_last, "", 0},
    {"length", jf_length, "", 0},
    {"list", jf_list, "", 0},
    {"lower", jf_lower, "", 0},
    {"map", jf_map, NULL, 0},
    {"max", jf_max, "case_sensitive attribute", 0},
    {"min", jf_min, "case_sensitive attribute", 0},
    {"pprint", f_pprint, "", 0},
    {"random", f_random, "", 0},
    {"reject", jf_reject, NULL, 0},
    {"rejectattr", jf_rejectattr, NULL, 0},
    {"replace", jf_replace, "old new count", 2},
    {"reverse", jf_reverse, "", 0},
    {"round", f_round, "precision method", 0},
    {"safe", jf_safe, "", 0},
    {"select", jf_select, NULL, 0},
    {"selectattr", jf_selectattr, NULL, 0},
    {"slice", jf_slice, "slices fill_with", 1},
    {"sort", jf_sort, "reverse case_sensitive attribute", 0},
    {"string", jf_string, "", 0},
    {"striptags", jf_striptags, "", 0},
    {"sum", jf_sum, "attribute start", 0},
    {"title", jf_title, "", 0},
    {"tojson", f_tojson, "ensure_ascii indent separators sort_keys", 0},
    {"trim", jf_trim, "chars", 0},
    {"truncate", jf_truncate, "length killwords end leeway", 0},
    {"unique", jf_unique, "case_sensitive attribute", 0},
    {"upper", jf_upper, "", 0},
    {"urlencode", jf_urlencode, "", 0},
    {"urlize", jf_urlize, "trim_url_limit nofollow target rel extra_schemes", 0},
    {"wordcount", jf_wordcount, "", 0},
    {"wordwrap", jf_wordwrap, "width break_long_words wrapstring break_on_hyphens", 0},
    {"xmlattr", jf_xmlattr, "autospace", 0},
};

const struct jv_filter *jv_filter_find(const char *name, size_t n)
{
    for (size_t i = 0; i < FT_COUNT(filters); i++)
        if (strlen(filters[i].name) == n && memcmp(filters[i].name, name, n) == 0)
            return &filters[i];
    return NULL;
}

struct jv jv_filter_call(struct jr *r, const struct jv_filter *f, struct jv value,
                         const struct jv_args *args)
{
    struct jf_call c = {.v = value, .a = args};
    jr_step(r);
    if (f->params != NULL)
        jv_bind(r, f->name, f->params, f->n_required, args, c.p);
    return f->fn(r, &c);
}
