/* Values as text: Python's str() and repr(), json.dumps() and HTML escaping. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/jinja/ast.h"
#include "model/jinja/unicode.h"
#include "model/jinja/value.h"

/* The shortest digits that read back as f, laid out as Python does: exponents from 1e16 and below
 * 1e-4 on. */
void jv_float_repr(struct jb *b, double f)
{
    char tmp[40];
    if (isnan(f) || isinf(f)) {
        jb_adds(b, isnan(f) ? "nan" : f < 0 ? "-inf" : "inf");
        return;
    }
    for (int prec = 0; prec < 17; prec++) {
        snprintf(tmp, sizeof tmp, "%.*e", prec, f);
        if (strtod(tmp, NULL) == f)
            break;
    }
    char digits[24];
    int n = 0;
    const char *p = tmp;
    if (*p == '-') {
        jb_addc(b, '-');
        p++;
    }
    for (; *p != 'e'; p++)
        if (*p != '.')
            digits[n++] = *p;
    int exp = atoi(p + 1);
    if (exp < -4 || exp >= 16) {
        jb_addc(b, digits[0]);
        if (n > 1) {
            jb_addc(b, '.');
            jb_add(b, digits + 1, (size_t)n - 1);
        }
        jb_addf(b, "e%c%02d", exp < 0 ? '-' : '+', abs(exp));
        return;
    }
    if (exp < 0) {
        jb_adds(b, "0.");
        jb_pad(b, "0", 1, -exp - 1);
        jb_add(b, digits, (size_t)n);
        return;
    }
    for (int i = 0; i <= exp; i++)
        jb_addc(b, i < n ? digits[i] : '0');
    jb_addc(b, '.');
    if (n > exp + 1)
        jb_add(b, digits + exp + 1, (size_t)(n - exp - 1));
    else
        jb_addc(b, '0');
}

static void repr_str(struct jb *b, const struct jv_str *s)
{
    bool single = memchr(s->p, '\'', s->n) != NULL, dbl = memchr(s->p, '"', s->n) != NULL;
    char quote = single && !dbl ? '"' : '\'';
    jb_addc(b, quote);
    const char *p = s->p, *end = s->p + s->n;
    while (p < end) {
        const char *from = p;
        uint32_t cp = ju_next(&p);
        if (cp == (unsigned char)quote || cp == '\\')
            jb_addf(b, "\\%c", (int)cp);
        else if (cp == '\n' || cp == '\r' || cp == '\t')
            jb_adds(b, cp == '\n' ? "\\n" : cp == '\r' ? "\\r" : "\\t");
        else if (ju_printable(cp))
            jb_add(b, from, (size_t)(p - from));
        else
            jb_addf(b, cp < 0x100 ? "\\x%02x" : cp < 0x10000 ? "\\u%04x" : "\\U%08x", cp);
    }
    jb_addc(b, quote);
}

static void repr_items(struct jb *b, const struct jv *v, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (i != 0)
            jb_adds(b, ", ");
        jv_repr_to(b, v[i]);
    }
}

static void repr_dict(struct jb *b, const struct jv_dict *d)
{
    jb_addc(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i != 0)
            jb_adds(b, ", ");
        jv_repr_to(b, d->e[i].key);
        jb_adds(b, ": ");
        jv_repr_to(b, d->e[i].value);
    }
    jb_addc(b, '}');
}

static void repr_view(struct jb *b, const struct jv_view *view)
{
    jb_adds(b, view->kind == JV_KEYS     ? "dict_keys(["
               : view->kind == JV_VALUES ? "dict_values(["
                                         : "dict_items([");
    for (size_t i = 0; i < view->d->n; i++) {
        const struct jv_entry *e = &view->d->e[i];
        if (i != 0)
            jb_adds(b, ", ");
        if (view->kind == JV_ITEMS)
            jb_addc(b, '(');
        if (view->kind != JV_VALUES)
            jv_repr_to(b, e->key);
        if (view->kind == JV_ITEMS)
            jb_adds(b, ", ");
        if (view->kind != JV_KEYS)
            jv_repr_to(b, e->value);
        if (view->kind == JV_ITEMS)
            jb_addc(b, ')');
    }
    jb_adds(b, "])");
}

static void repr_object(struct jb *b, struct jv v)
{
    switch (v.t) {
    case JV_RANGE:
        jb_addf(b, "range(%lld, %lld", (long long)v.r->start, (long long)v.r->stop);
        if (v.r->step != 1)
            jb_addf(b, ", %lld", (long long)v.r->step);
        jb_addc(b, ')');
        return;
    case JV_NS:
        jb_adds(b, "<Namespace ");
        repr_dict(b, v.d);
        jb_addc(b, '>');
        return;
    case JV_LOOP:
        jb_addf(b, "<LoopContext %lld/%lld>", (long long)v.loop->index0 + 1,
                (long long)jv_len(b->r, v));
        return;
    case JV_MACRO:
        if (v.macro->node->name == NULL)
            jb_adds(b, "<Macro anonymous>");
        else
            jb_addf(b, "<Macro '%.*s'>", (int)v.macro->node->name->n, v.macro->node->name->s);
        return;
    case JV_METHOD:
        jb_addf(b, "<built-in method %s of %s object>", v.method->fn->name,
                jv_type_name(v.method->self));
        return;
    default: /* Python prints an address here, which no template can rely on */
        jb_addf(b, "<%s object>", jv_type_name(v));
    }
}

void jv_repr_to(struct jb *b, struct jv v)
{
    struct jr *r = b->r;
    jr_enter(r);
    switch (v.t) {
    case JV_UNDEF:
        jb_adds(b, "Undefined");
        break;
    case JV_NONE:
        jb_adds(b, "None");
        break;
    case JV_BOOL:
        jb_adds(b, v.b ? "True" : "False");
        break;
    case JV_INT:
        jb_addf(b, "%lld", (long long)v.i);
        break;
    case JV_FLOAT:
        jv_float_repr(b, v.f);
        break;
    case JV_STR:
        if (v.s->markup)
            jb_adds(b, "Markup(");
        repr_str(b, v.s);
        if (v.s->markup)
            jb_addc(b, ')');
        break;
    case JV_LIST:
        jb_addc(b, '[');
        repr_items(b, v.l->v, v.l->n);
        jb_addc(b, ']');
        break;
    case JV_TUPLE:
        jb_addc(b, '(');
        repr_items(b, v.l->v, v.l->n);
        jb_adds(b, v.l->n == 1 ? ",)" : ")");
        break;
    case JV_DICT:
        repr_dict(b, v.d);
        break;
    case JV_VIEW:
        repr_view(b, v.view);
        break;
    default:
        repr_object(b, v);
    }
    r->depth--;
}

void jv_str_to(struct jb *b, struct jv v)
{
    if (v.t == JV_STR)
        jb_add(b, v.s->p, v.s->n);
    else if (v.t != JV_UNDEF)
        jv_repr_to(b, v);
}

struct jv jv_soft_str(struct jr *r, struct jv v)
{
    if (v.t == JV_STR)
        return v;
    struct jb b;
    jb_init(&b, r);
    jv_str_to(&b, v);
    return jb_str(&b);
}

struct jv jv_to_str(struct jr *r, struct jv v)
{
    if (v.t == JV_STR && v.s->markup) {
        v = jv_substr(r, v, 0, v.s->n);
        v.s->markup = false;
        return v;
    }
    return jv_soft_str(r, v);
}

void jv_escape_to(struct jb *b, struct jv v)
{
    struct jv s = jv_soft_str(b->r, v);
    if (s.s->markup) {
        jb_add(b, s.s->p, s.s->n);
        return;
    }
    for (size_t i = 0; i < s.s->n; i++) {
        char c = s.s->p[i];
        const char *e = c == '&'    ? "&amp;"
                        : c == '<'  ? "&lt;"
                        : c == '>'  ? "&gt;"
                        : c == '\'' ? "&#39;"
                        : c == '"'  ? "&#34;"
                                    : NULL;
        if (e != NULL)
            jb_adds(b, e);
        else
            jb_addc(b, c);
    }
    jr_charge(b->r, s.s->n);
}

struct jv jv_markup(struct jr *r, struct jv v)
{
    struct jv s = jv_soft_str(r, v);
    if (s.s->markup)
        return s;
    s = jv_substr(r, s, 0, s.s->n);
    s.s->markup = true;
    return s;
}

struct jv jv_escape(struct jr *r, struct jv v)
{
    struct jb b;
    jb_init(&b, r);
    jv_escape_to(&b, v);
    struct jv s = jb_str(&b);
    s.s->markup = true;
    return s;
}

static void write_string(struct jb *b, const struct jv_str *s, bool ascii)
{
    jb_addc(b, '"');
    const char *p = s->p, *end = s->p + s->n;
    while (p < end) {
        const char *from = p;
        uint32_t cp = ju_next(&p);
        static const char plain[] = "\"\\\n\r\t\f\b", named[] = "\"\\nrtfb";
        const char *hit = cp < 0x80 && cp != 0 ? strchr(plain, (int)cp) : NULL;
        if (hit != NULL)
            jb_addf(b, "\\%c", named[hit - plain]);
        else if (cp < 0x20 || (ascii && cp >= 0x7f && cp < 0x10000))
            jb_addf(b, "\\u%04x", cp);
        else if (ascii && cp >= 0x10000)
            jb_addf(b, "\\u%04x\\u%04x", 0xd800 + ((cp - 0x10000) >> 10),
                    0xdc00 + ((cp - 0x10000) & 0x3ff));
        else
            jb_add(b, from, (size_t)(p - from));
    }
    jb_addc(b, '"');
}

static void write_float(struct jb *b, double f)
{
    if (isnan(f) || isinf(f))
        jb_adds(b, isnan(f) ? "NaN" : f < 0 ? "-Infinity" : "Infinity");
    else
        jv_float_repr(b, f);
}

static void write_break(struct jb *b, const struct jv_json_opts *o, int level)
{
    if (!o->indented)
        return;
    jb_addc(b, '\n');
    jb_pad(b, o->indent.s->p, o->indent.s->n, level);
}

static void write_value(struct jb *b, struct jv v, const struct jv_json_opts *o, int level);

static void write_key(struct jb *b, struct jv k, const struct jv_json_opts *o)
{
    if (k.t == JV_STR) {
        write_string(b, k.s, o->ensure_ascii);
        return;
    }
    if (!jv_is_num(k) && k.t != JV_NONE)
        jr_fail(b->r, FT_EINVAL, "keys must be str, int, float, bool or None, not %s",
                jv_type_name(k));
    jb_addc(b, '"');
    write_value(b, k, o, 0);
    jb_addc(b, '"');
}

static struct jv_entry *sorted_entries(struct jr *r, const struct jv_dict *d)
{
    struct jv_entry *e = jr_array(r, d->n + 1, 2 * sizeof *e), *tmp = e + d->n + 1;
    if (d->n != 0)
        memcpy(e, d->e, d->n * sizeof *e);
    for (size_t w = 1; w < d->n; w *= 2) { /* bottom-up merge sort: stable */
        for (size_t lo = 0; lo < d->n; lo += 2 * w) {
            size_t mid = FT_MIN(lo + w, d->n), hi = FT_MIN(lo + 2 * w, d->n), i = lo, j = mid,
                   k = lo;
            while (i < mid || j < hi)
                tmp[k++] = j == hi || (i < mid && !jv_order(r, e[j].key, e[i].key, JV_LT)) ? e[i++]
                                                                                           : e[j++];
        }
        memcpy(e, tmp, d->n * sizeof *e);
    }
    return e;
}

static void write_dict(struct jb *b, const struct jv_dict *d, const struct jv_json_opts *o,
                       int level)
{
    if (d->n == 0) {
        jb_adds(b, "{}");
        return;
    }
    const struct jv_entry *e = o->sort_keys ? sorted_entries(b->r, d) : d->e;
    jb_addc(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        if (i != 0)
            jb_add(b, o->item_sep.s->p, o->item_sep.s->n);
        write_break(b, o, level + 1);
        write_key(b, e[i].key, o);
        jb_add(b, o->key_sep.s->p, o->key_sep.s->n);
        write_value(b, e[i].value, o, level + 1);
    }
    write_break(b, o, level);
    jb_addc(b, '}');
}

static void write_list(struct jb *b, const struct jv_list *l, const struct jv_json_opts *o,
                       int level)
{
    if (l->n == 0) {
        jb_adds(b, "[]");
        return;
    }
    jb_addc(b, '[');
    for (size_t i = 0; i < l->n; i++) {
        if (i != 0)
            jb_add(b, o->item_sep.s->p, o->item_sep.s->n);
        write_break(b, o, level + 1);
        write_value(b, l->v[i], o, level + 1);
    }
    write_break(b, o, level);
    jb_addc(b, ']');
}

static void write_value(struct jb *b, struct jv v, const struct jv_json_opts *o, int level)
{
    jr_enter(b->r);
    switch (v.t) {
    case JV_NONE:
        jb_adds(b, "null");
        break;
    case JV_BOOL:
        jb_adds(b, v.b ? "true" : "false");
        break;
    case JV_INT:
        jb_addf(b, "%lld", (long long)v.i);
        break;
    case JV_FLOAT:
        write_float(b, v.f);
        break;
    case JV_STR:
        write_string(b, v.s, o->ensure_ascii);
        break;
    case JV_LIST:
    case JV_TUPLE:
        write_list(b, v.l, o, level);
        break;
    case JV_DICT:
        write_dict(b, v.d, o, level);
        break;
    default:
        jr_fail(b->r, FT_EINVAL, "Object of type %s is not JSON serializable", jv_type_name(v));
    }
    b->r->depth--;
}

void jv_json_to(struct jb *b, struct jv v, const struct jv_json_opts *o)
{
    write_value(b, v, o, 0);
}
