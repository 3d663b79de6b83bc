/* pprint: Python's pprint.pformat() at its defaults (80 columns, sorted keys). */
#include <string.h>

#include "model/jinja/method.h"
#include "model/jinja/value.h"

#define WIDTH 80

static struct jv repr(struct jr *r, struct jv v);

/* Keys in order where they can be compared, else by type: Python's _safe_key. */
static bool key_less(struct jr *r, struct jv a, struct jv b)
{
    bool comparable = (jv_is_num(a) && jv_is_num(b)) || (a.t == JV_STR && b.t == JV_STR);
    if (comparable)
        return jv_order(r, a, b, JV_LT);
    return strcmp(jv_type_name(a), jv_type_name(b)) < 0;
}

static struct jv_entry *sorted(struct jr *r, const struct jv_dict *d)
{
    struct jv_entry *e = jr_array(r, d->n + 1, 2 * sizeof *e), *tmp = e + d->n + 1;
    if (d->n != 0)
        memcpy(e, d->e, d->n * sizeof *e);
    for (size_t w = 1; w < d->n; w *= 2) {
        for (size_t lo = 0; lo < d->n; lo += 2 * w) {
            size_t mid = FT_MIN(lo + w, d->n), hi = FT_MIN(lo + 2 * w, d->n), i = lo, j = mid,
                   k = lo;
            while (i < mid || j < hi)
                tmp[k++] =
                    j == hi || (i < mid && !key_less(r, e[j].key, e[i].key)) ? e[i++] : e[j++];
        }
        memcpy(e, tmp, d->n * sizeof *e);
    }
    return e;
}

/* The value with the keys of its dictionaries sorted, so that its repr() is pprint's. */
static struct jv ordered(struct jr *r, struct jv v)
{
    struct jv out = v;
    jr_enter(r);
    if (v.t == JV_DICT) {
        out = jv_dict_new(r);
        const struct jv_entry *e = sorted(r, v.d);
        for (size_t i = 0; i < v.d->n; i++)
            jv_dict_set(r, out.d, e[i].key, ordered(r, e[i].value));
    } else if (v.t == JV_LIST || v.t == JV_TUPLE) {
        out = jv_list_new(r, v.l->n);
        for (size_t i = 0; i < v.l->n; i++)
            jv_list_push(r, out, ordered(r, v.l->v[i]));
        out.t = v.t;
    }
    r->depth--;
    return out;
}

static struct jv repr(struct jr *r, struct jv v)
{
    struct jb b;
    jb_init(&b, r);
    jv_repr_to(&b, v);
    return jb_str(&b);
}

static void print_value(struct jb *b, struct jv v, int64_t indent, int64_t allowance, int level);

static void new_line(struct jb *b, int64_t indent)
{
    jb_addc(b, '\n');
    jb_pad(b, " ", 1, indent);
}

static void print_dict(struct jb *b, const struct jv_dict *d, int64_t indent, int64_t allowance,
                       int level)
{
    jb_addc(b, '{');
    for (size_t i = 0; i < d->n; i++) {
        struct jv key = repr(b->r, d->e[i].key);
        jb_add(b, key.s->p, key.s->n);
        jb_adds(b, ": ");
        print_value(b, d->e[i].value, indent + 1 + jv_cps(key.s) + 2,
                    i + 1 == d->n ? allowance + 1 : 1, level);
        if (i + 1 < d->n) {
            jb_addc(b, ',');
            new_line(b, indent + 1);
        }
    }
    jb_addc(b, '}');
}

static void print_items(struct jb *b, struct jv v, int64_t indent, int64_t allowance, int level)
{
    const char *close = v.t == JV_LIST ? "]" : v.l->n == 1 ? ",)" : ")";
    jb_addc(b, v.t == JV_LIST ? '[' : '(');
    for (size_t i = 0; i < v.l->n; i++) {
        bool last = i + 1 == v.l->n;
        print_value(b, v.l->v[i], indent + 1, last ? allowance + (int64_t)strlen(close) : 1, level);
        if (!last) {
            jb_addc(b, ',');
            new_line(b, indent + 1);
        }
    }
    jb_adds(b, close);
}

/* Splits a line between words so that each part's repr() fits. */
static void split_line(struct jr *r, struct jv line, int64_t width, int64_t last_width,
                       bool last_line, struct jv chunks)
{
    const char *s = line.s->p, *end = s + line.s->n, *p = s, *from = s;
    while (p < end) {
        const char *q = p, *x;
        while (q < end && (x = q, !ju_space(ju_next(&x))))
            q = x;
        while (q < end && (x = q, ju_space(ju_next(&x))))
            q = x;
        struct jv candidate = repr(r, jv_str_view(r, from, (size_t)(q - from)));
        int64_t max = q == end && last_line ? last_width : width;
        if (jv_cps(candidate.s) > max && p > from) {
            jv_list_push(r, chunks, repr(r, jv_str_view(r, from, (size_t)(p - from))));
            from = p;
        }
        p = q;
    }
    if (from < end)
        jv_list_push(r, chunks, repr(r, jv_str_view(r, from, (size_t)(end - from))));
}

static void print_str(struct jb *b, struct jv v, int64_t indent, int64_t allowance, int level)
{
    struct jr *r = b->r;
    struct jv lines = jm_splitlines(r, v, true), chunks = jv_list_new(r, 0),
              rep = jv_of(JV_MISSING);
    if (level == 1) {
        indent++;
        allowance++;
    }
    int64_t width = WIDTH - indent;
    for (size_t i = 0; i < lines.l->n; i++) {
        bool last = i + 1 == lines.l->n;
        rep = repr(r, lines.l->v[i]);
        if (jv_cps(rep.s) <= (last ? width - allowance : width))
            jv_list_push(r, chunks, rep);
        else
            split_line(r, lines.l->v[i], width, width - allowance, last, chunks);
    }
    if (chunks.l->n == 1) {
        jb_add(b, rep.s->p, rep.s->n);
        return;
    }
    if (level == 1)
        jb_addc(b, '(');
    for (size_t i = 0; i < chunks.l->n; i++) {
        if (i != 0)
            new_line(b, indent);
        jb_add(b, chunks.l->v[i].s->p, chunks.l->v[i].s->n);
    }
    if (level == 1)
        jb_addc(b, ')');
}

static void print_value(struct jb *b, struct jv v, int64_t indent, int64_t allowance, int level)
{
    jr_enter(b->r);
    struct jv rep = repr(b->r, v);
    bool fits = jv_cps(rep.s) <= WIDTH - indent - allowance;
    if (!fits && v.t == JV_DICT)
        print_dict(b, v.d, indent, allowance, level + 1);
    else if (!fits && (v.t == JV_LIST || v.t == JV_TUPLE))
        print_items(b, v, indent, allowance, level + 1);
    else if (!fits && v.t == JV_STR && !v.s->markup && v.s->n != 0)
        print_str(b, v, indent, allowance, level + 1);
    else
        jb_add(b, rep.s->p, rep.s->n);
    b->r->depth--;
}

struct jv jv_pprint(struct jr *r, struct jv v)
{
    struct jb b;
    jb_init(&b, r);
    print_value(&b, ordered(r, v), 0, 0, 0);
    return jb_str(&b);
}
