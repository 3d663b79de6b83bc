/* Methods of strings that take them apart: split, rsplit, splitlines, partition. */
#include <string.h>

#include "model/jinja/method.h"

static bool line_break(uint32_t cp)
{
    return (cp >= 10 && cp <= 13) || (cp >= 0x1c && cp <= 0x1e) || cp == 0x85 || cp == 0x2028 ||
           cp == 0x2029;
}

struct jv jm_splitlines(struct jr *r, struct jv s, bool keep_ends)
{
    struct jv list = jv_list_new(r, 0);
    const char *base = s.s->p, *p = base, *end = p + s.s->n, *from = p;
    jr_charge(r, s.s->n);
    while (p < end) {
        const char *at = p;
        uint32_t cp = ju_next(&p);
        if (!line_break(cp))
            continue;
        if (cp == '\r' && p < end && *p == '\n')
            p++;
        jv_list_push(r, list,
                     jv_substr(r, s, (size_t)(from - base), (size_t)((keep_ends ? p : at) - base)));
        from = p;
    }
    if (from < end)
        jv_list_push(r, list, jv_substr(r, s, (size_t)(from - base), s.s->n));
    return list;
}

struct jv jm_splitlines_method(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv keep;
    jv_bind(r, "splitlines", "keepends", 0, a, &keep);
    if (jv_given(keep) && !jv_is_int(keep))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer",
                jv_type_name(keep));
    return jm_splitlines(r, self, jv_given(keep) && jv_as_int(keep) != 0);
}

static struct jv split_space(struct jr *r, struct jv s, int64_t max)
{
    struct jv list = jv_list_new(r, 0);
    const char *base = s.s->p, *p = base, *end = p + s.s->n;
    for (;;) {
        const char *from = p;
        while (from < end) {
            const char *q = from;
            if (!ju_space(ju_next(&q)))
                break;
            from = q;
        }
        if (from >= end)
            return list;
        if (max >= 0 && (int64_t)list.l->n >= max) { /* the rest, with its trailing space */
            jv_list_push(r, list, jv_substr(r, s, (size_t)(from - base), s.s->n));
            return list;
        }
        p = from;
        const char *to = p;
        while (p < end) {
            to = p;
            if (ju_space(ju_next(&p)))
                break;
            to = p;
        }
        jv_list_push(r, list, jv_substr(r, s, (size_t)(from - base), (size_t)(to - base)));
    }
}

static struct jv split_text(struct jr *r, struct jv s, const struct jv_str *sep, int64_t max)
{
    struct jv list = jv_list_new(r, 0);
    size_t from = 0;
    while (max < 0 || (int64_t)list.l->n < max) {
        const char *hit = memmem(s.s->p + from, s.s->n - from, sep->p, sep->n);
        if (hit == NULL)
            break;
        size_t at = (size_t)(hit - s.s->p);
        jv_list_push(r, list, jv_substr(r, s, from, at));
        from = at + sep->n;
    }
    jv_list_push(r, list, jv_substr(r, s, from, s.s->n));
    return list;
}

static void reverse(struct jv list)
{
    for (size_t i = 0, n = list.l->n; i < n / 2; i++) {
        struct jv t = list.l->v[i];
        list.l->v[i] = list.l->v[n - 1 - i];
        list.l->v[n - 1 - i] = t;
    }
}

static struct jv rsplit_space(struct jr *r, struct jv s, int64_t max)
{
    struct jv list = jv_list_new(r, 0);
    const char *base = s.s->p, *end = base + s.s->n;
    for (;;) {
        const char *to = end, *q;
        while (to > base && (q = to, ju_space(ju_prev(&q))))
            to = q;
        if (to == base)
            break;
        if (max >= 0 && (int64_t)list.l->n >= max) {
            jv_list_push(r, list, jv_substr(r, s, 0, (size_t)(to - base)));
            break;
        }
        const char *from = to;
        while (from > base && (q = from, !ju_space(ju_prev(&q))))
            from = q;
        jv_list_push(r, list, jv_substr(r, s, (size_t)(from - base), (size_t)(to - base)));
        end = from;
    }
    reverse(list);
    return list;
}

static const char *find_last(struct jr *r, const char *s, size_t n, const struct jv_str *what)
{
    for (size_t i = n; i + 1 > what->n; i--) {
        if (memcmp(s + i - what->n, what->p, what->n) == 0)
            return s + i - what->n;
        jr_charge(r, what->n);
    }
    return NULL;
}

static struct jv rsplit_text(struct jr *r, struct jv s, const struct jv_str *sep, int64_t max)
{
    struct jv list = jv_list_new(r, 0);
    size_t to = s.s->n;
    while (max < 0 || (int64_t)list.l->n < max) {
        const char *hit = find_last(r, s.s->p, to, sep);
        if (hit == NULL)
            break;
        size_t at = (size_t)(hit - s.s->p);
        jv_list_push(r, list, jv_substr(r, s, at + sep->n, to));
        to = at;
    }
    jv_list_push(r, list, jv_substr(r, s, 0, to));
    reverse(list);
    return list;
}

static struct jv split(struct jr *r, struct jv self, const struct jv_args *a, bool right)
{
    struct jv p[2];
    jv_bind(r, "split", "sep maxsplit", 0, a, p);
    if (jv_given(p[1]) && !jv_is_int(p[1]))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer",
                jv_type_name(p[1]));
    int64_t max = jv_given(p[1]) ? jv_as_int(p[1]) : -1;
    jr_charge(r, self.s->n);
    if (!jv_given(p[0]) || p[0].t == JV_NONE)
        return right ? rsplit_space(r, self, max) : split_space(r, self, max);
    if (p[0].t != JV_STR)
        jr_fail(r, FT_EINVAL, "must be str or None, not %s", jv_type_name(p[0]));
    if (p[0].s->n == 0)
        jr_fail(r, FT_EINVAL, "empty separator");
    return right ? rsplit_text(r, self, p[0].s, max) : split_text(r, self, p[0].s, max);
}

struct jv jm_split(struct jr *r, struct jv self, const struct jv_args *a)
{
    return split(r, self, a, false);
}

struct jv jm_rsplit(struct jr *r, struct jv self, const struct jv_args *a)
{
    return split(r, self, a, true);
}

static struct jv partition(struct jr *r, struct jv self, const struct jv_args *a, bool right)
{
    struct jv sep;
    jv_bind(r, "partition", "sep", 1, a, &sep);
    if (sep.t != JV_STR)
        jr_fail(r, FT_EINVAL, "must be str, not %s", jv_type_name(sep));
    if (sep.s->n == 0)
        jr_fail(r, FT_EINVAL, "empty separator");
    jr_charge(r, self.s->n);
    const char *s = self.s->p, *hit = right ? find_last(r, s, self.s->n, sep.s)
                                            : memmem(s, self.s->n, sep.s->p, sep.s->n);
    struct jv v = jv_tuple_new(r, 3);
    size_t n = self.s->n, at = hit == NULL ? (right ? 0 : n) : (size_t)(hit - s);
    size_t end = hit == NULL ? at : at + sep.s->n;
    v.l->v[0] = jv_substr(r, self, 0, at);
    v.l->v[1] = jv_substr(r, self, at, end);
    v.l->v[2] = jv_substr(r, self, end, n);
    return v;
}

struct jv jm_partition(struct jr *r, struct jv self, const struct jv_args *a)
{
    return partition(r, self, a, false);
}

struct jv jm_rpartition(struct jr *r, struct jv self, const struct jv_args *a)
{
    return partition(r, self, a, true);
}
