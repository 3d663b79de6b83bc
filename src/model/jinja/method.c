/* Methods of strings, as Python's str: positions are code points, case mapping is full Unicode. */
#include "model/jinja/method.h"

#include <string.h>

#include "model/jinja/unicode.h"

static void no_keywords(struct jr *r, const char *what, const struct jv_args *a)
{
    if (a->n_kw != 0)
        jr_fail(r, FT_EINVAL, "str.%s() takes no keyword arguments", what);
}

static struct jv_str *want_str(struct jr *r, struct jv v)
{
    if (v.t != JV_STR) {
        jr_fail(r, FT_EINVAL, "a str is required, not '%s'", jv_type_name(v));
    }
    return v.s;
}

static int64_t want_int(struct jr *r, struct jv v)
{
    if (!jv_is_int(v))
        jr_fail(r, FT_EINVAL, "'%s' object cannot be interpreted as an integer", jv_type_name(v));
    return jv_as_int(v);
}

/* ---- case ---- */

struct jv jm_map(struct jr *r, struct jv s, enum ju_case how)
{
    struct jb b;
    jb_init(&b, r);
    const char *p = s.s->p, *end = p + s.s->n;
    while (p < end) {
        const char *at = p;
        uint32_t cp = ju_next(&p), out[3];
        if (how == JU_LOWER && cp == 0x3a3) {
            jb_addcp(&b, ju_final_sigma(s.s->p, s.s->n, at, (size_t)(p - at)) ? 0x3c2 : 0x3c3);
            jr_step(r);
            continue;
        }
        int n = ju_map(how, cp, out);
        for (int i = 0; i < n; i++)
            jb_addcp(&b, out[i]);
    }
    jr_charge(r, s.s->n * 4);
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

static struct jv m_upper(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "upper", "", 0, a, NULL);
    return jm_map(r, self, JU_UPPER);
}

static struct jv m_lower(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "lower", "", 0, a, NULL);
    return jm_map(r, self, JU_LOWER);
}

static struct jv m_casefold(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "casefold", "", 0, a, NULL);
    return jm_map(r, self, JU_FOLD);
}

/* Maps the first code point one way and the rest to lower case. */
struct jv jm_capitalize(struct jr *r, struct jv s, enum ju_case first)
{
    if (s.s->n == 0)
        return s;
    struct jv low = jm_map(r, s, JU_LOWER);
    const char *p = s.s->p, *q = low.s->p;
    uint32_t cp = ju_next(&p), out[3], skip[3];
    int n = ju_map(first, cp, out), n_low = ju_map(JU_LOWER, cp, skip);
    struct jb b;
    jb_init(&b, r);
    for (int i = 0; i < n; i++)
        jb_addcp(&b, out[i]);
    for (int i = 0; i < n_low; i++)
        ju_next(&q);
    jb_add(&b, q, (size_t)(low.s->p + low.s->n - q));
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

static struct jv m_capitalize(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "capitalize", "", 0, a, NULL);
    return jm_capitalize(r, self, JU_TITLE);
}

static struct jv m_swapcase(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "swapcase", "", 0, a, NULL);
    struct jb b;
    jb_init(&b, r);
    for (const char *p = self.s->p, *end = p + self.s->n; p < end;) {
        uint32_t cp = ju_next(&p), out[3] = {cp};
        int n = ju_upper(cp)   ? ju_map(JU_LOWER, cp, out)
                : ju_lower(cp) ? ju_map(JU_UPPER, cp, out)
                               : 1;
        for (int i = 0; i < n; i++)
            jb_addcp(&b, out[i]);
    }
    jr_charge(r, self.s->n * 4);
    return jb_str(&b);
}

static struct jv m_title(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "title", "", 0, a, NULL);
    struct jb b;
    jb_init(&b, r);
    bool in_word = false;
    const char *s = self.s->p, *end = s + self.s->n;
    for (const char *p = s; p < end;) {
        const char *at = p;
        uint32_t cp = ju_next(&p), out[3];
        int n = 1;
        if (in_word && cp == 0x3a3)
            out[0] = ju_final_sigma(s, self.s->n, at, (size_t)(p - at)) ? 0x3c2 : 0x3c3;
        else
            n = ju_map(in_word ? JU_LOWER : JU_TITLE, cp, out);
        for (int i = 0; i < n; i++)
            jb_addcp(&b, out[i]);
        in_word = ju_upper(cp) || ju_lower(cp) || ju_title(cp);
    }
    jr_charge(r, self.s->n * 4);
    struct jv v = jb_str(&b);
    v.s->markup = self.s->markup;
    return v;
}

/* ---- classes ---- */

static struct jv all_are(struct jr *r, struct jv self, const struct jv_args *a,
                         bool (*is)(uint32_t), bool empty)
{
    jv_bind(r, "str method", "", 0, a, NULL);
    jr_charge(r, self.s->n);
    for (const char *p = self.s->p, *end = p + self.s->n; p < end;)
        if (!is(ju_next(&p)))
            return jv_bool(false);
    return jv_bool(self.s->n != 0 || empty);
}

static bool alnum(uint32_t cp)
{
    return ju_alpha(cp) || ju_digit(cp) || ju_numeric(cp);
}

static bool ascii(uint32_t cp)
{
    return cp < 0x80;
}

#define CLASS(name, is, empty)                                                                     \
    static struct jv m_##name(struct jr *r, struct jv self, const struct jv_args *a)               \
    {                                                                                              \
        return all_are(r, self, a, is, empty);                                                     \
    }
CLASS(isalpha, ju_alpha, false)
CLASS(isdigit, ju_digit, false)
CLASS(isdecimal, ju_decimal, false)
CLASS(isnumeric, ju_numeric, false)
CLASS(isalnum, alnum, false)
CLASS(isspace, ju_space, false)
CLASS(isascii, ascii, true)
CLASS(isprintable, ju_printable, true)

bool jm_is_cased(const struct jv_str *s, bool upper)
{
    bool any = false;
    for (const char *p = s->p, *end = p + s->n; p < end;) {
        uint32_t cp = ju_next(&p);
        if (ju_title(cp) || (upper ? ju_lower(cp) : ju_upper(cp)))
            return false;
        any |= upper ? ju_upper(cp) : ju_lower(cp);
    }
    return any;
}

static struct jv m_isupper(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "isupper", "", 0, a, NULL);
    return jv_bool(jm_is_cased(self.s, true));
}

static struct jv m_islower(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "islower", "", 0, a, NULL);
    return jv_bool(jm_is_cased(self.s, false));
}

static struct jv m_istitle(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "istitle", "", 0, a, NULL);
    bool any = false, cased = false;
    for (const char *p = self.s->p, *end = p + self.s->n; p < end;) {
        uint32_t cp = ju_next(&p);
        bool up = ju_upper(cp) || ju_title(cp), low = ju_lower(cp);
        if ((up && cased) || (low && !cased))
            return jv_bool(false);
        any |= up || low;
        cased = up || low;
    }
    return jv_bool(any);
}

static struct jv m_isidentifier(struct jr *r, struct jv self, const struct jv_args *a)
{
    jv_bind(r, "isidentifier", "", 0, a, NULL);
    const char *s = self.s->p;
    for (const char *p = s, *end = p + self.s->n; p < end;) {
        bool first = p == s;
        uint32_t cp = ju_next(&p);
        if (first ? !ju_ident_start(cp) : !ju_ident(cp))
            return jv_bool(false);
    }
    return jv_bool(self.s->n != 0);
}

/* ---- stripping and padding ---- */

static bool in_set(uint32_t cp, const struct jv_str *set)
{
    if (set == NULL)
        return ju_space(cp);
    for (const char *p = set->p, *end = p + set->n; p < end;)
        if (ju_next(&p) == cp)
            return true;
    return false;
}

struct jv jm_strip(struct jr *r, struct jv s, struct jv chars, bool left, bool right)
{
    const struct jv_str *set = !jv_given(chars) || chars.t == JV_NONE ? NULL : want_str(r, chars);
    const char *p = s.s->p, *end = p + s.s->n, *from = p;
    while (left && from < end) {
        const char *q = from;
        if (!in_set(ju_next(&q), set))
            break;
        from = q;
        jr_charge(r, set == NULL ? 16 : set->n);
    }
    while (right && end > from) {
        const char *q = end;
        if (!in_set(ju_prev(&q), set))
            break;
        end = q;
        jr_charge(r, set == NULL ? 16 : set->n);
    }
    return jv_substr(r, s, (size_t)(from - p), (size_t)(end - p));
}

static struct jv strip(struct jr *r, struct jv self, const struct jv_args *a, bool left, bool right)
{
    struct jv chars;
    no_keywords(r, "strip", a);
    jv_bind(r, "strip", "chars", 0, a, &chars);
    return jm_strip(r, self, chars, left, right);
}

static struct jv m_strip(struct jr *r, struct jv self, const struct jv_args *a)
{
    return strip(r, self, a, true, true);
}

static struct jv m_lstrip(struct jr *r, struct jv self, const struct jv_args *a)
{
    return strip(r, self, a, true, false);
}

static struct jv m_rstrip(struct jr *r, struct jv self, const struct jv_args *a)
{
    return strip(r, self, a, false, true);
}

struct jv jm_pad(struct jr *r, struct jv s, int64_t left, int64_t right, struct jv fill)
{
    struct jb b;
    jb_init(&b, r);
    const char *f = jv_given(fill) ? fill.s->p : " ";
    size_t n = jv_given(fill) ? fill.s->n : 1;
    jb_pad(&b, f, n, left);
    jb_add(&b, s.s->p, s.s->n);
    jb_pad(&b, f, n, right);
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

struct jv jm_center(struct jr *r, struct jv s, int64_t width, struct jv fill)
{
    int64_t pad = width - jv_cps(s.s);
    if (pad <= 0)
        return s;
    int64_t left = pad / 2 + (pad & width & 1);
    return jm_pad(r, s, left, pad - left, fill);
}

static struct jv justify(struct jr *r, struct jv self, const struct jv_args *a, int how)
{
    struct jv p[2];
    no_keywords(r, "just", a);
    jv_bind(r, "just", "width fillchar", 1, a, p);
    int64_t width = want_int(r, p[0]);
    if (jv_given(p[1]) && jv_cps(want_str(r, p[1])) != 1)
        jr_fail(r, FT_EINVAL, "The fill character must be exactly one character long");
    if (how == 0)
        return jm_center(r, self, width, p[1]);
    int64_t pad = width - jv_cps(self.s);
    return pad <= 0 ? self : jm_pad(r, self, how > 0 ? pad : 0, how < 0 ? pad : 0, p[1]);
}

static struct jv m_center(struct jr *r, struct jv self, const struct jv_args *a)
{
    return justify(r, self, a, 0);
}

static struct jv m_ljust(struct jr *r, struct jv self, const struct jv_args *a)
{
    return justify(r, self, a, -1);
}

static struct jv m_rjust(struct jr *r, struct jv self, const struct jv_args *a)
{
    return justify(r, self, a, 1);
}

static struct jv m_zfill(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv width;
    no_keywords(r, "zfill", a);
    jv_bind(r, "zfill", "width", 1, a, &width);
    int64_t pad = want_int(r, width) - jv_cps(self.s);
    if (pad <= 0)
        return self;
    bool sign = self.s->n != 0 && (self.s->p[0] == '+' || self.s->p[0] == '-');
    struct jb b;
    jb_init(&b, r);
    jb_add(&b, self.s->p, sign);
    jb_pad(&b, "0", 1, pad);
    jb_add(&b, self.s->p + sign, self.s->n - sign);
    return jb_str(&b);
}

static struct jv m_expandtabs(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv size;
    jv_bind(r, "expandtabs", "tabsize", 0, a, &size);
    int64_t tab = jv_given(size) ? want_int(r, size) : 8, col = 0;
    struct jb b;
    jb_init(&b, r);
    for (const char *p = self.s->p, *end = p + self.s->n; p < end;) {
        const char *at = p;
        uint32_t cp = ju_next(&p);
        if (cp == '\t') {
            int64_t n = tab > 0 ? tab - col % tab : 0;
            jb_pad(&b, " ", 1, n);
            col += n;
            continue;
        }
        col = cp == '\n' || cp == '\r' ? 0 : col + 1;
        jb_add(&b, at, (size_t)(p - at));
    }
    return jb_str(&b);
}

/* ---- searching ---- */

/* Byte offset of the first (last) occurrence in s[from..to), or -1. */
static int64_t find_bytes(struct jr *r, const char *s, size_t from, size_t to,
                          const struct jv_str *what, bool last)
{
    if (to < from || to - from < what->n)
        return -1;
    jr_charge(r, to - from);
    if (!last) {
        const char *hit = what->n == 0 ? s + from : memmem(s + from, to - from, what->p, what->n);
        return hit == NULL ? -1 : hit - s;
    }
    for (size_t i = to - what->n + 1; i-- > from;) {
        if (memcmp(s + i, what->p, what->n) == 0)
            return (int64_t)i;
        jr_charge(r, what->n);
    }
    return -1;
}

/* The bytes of self that start and end select, as in a slice. */
static bool bounds(struct jr *r, struct jv self, struct jv start, struct jv end, size_t *from,
                   size_t *to)
{
    int64_t n = jv_cps(self.s), lo = 0, hi = n;
    if (jv_given(start) && start.t != JV_NONE)
        lo = want_int(r, start);
    if (jv_given(end) && end.t != JV_NONE)
        hi = want_int(r, end);
    lo = lo < 0 ? FT_MAX(lo < -n ? 0 : lo + n, (int64_t)0) : lo;
    hi = hi < 0 ? (hi < -n ? 0 : hi + n) : FT_MIN(hi, n);
    if (lo > n || lo > hi)
        return false;
    jr_charge(r, self.s->n);
    *from = jv_byte_at(self.s, lo);
    *to = jv_byte_at(self.s, hi);
    return true;
}

static int64_t find(struct jr *r, struct jv self, const struct jv_args *a, const char *name,
                    bool last)
{
    struct jv p[3];
    size_t from, to;
    no_keywords(r, name, a);
    jv_bind(r, name, "sub start end", 1, a, p);
    want_str(r, p[0]);
    if (!bounds(r, self, p[1], p[2], &from, &to))
        return -1;
    int64_t at = find_bytes(r, self.s->p, from, to, p[0].s, last);
    if (at <= 0)
        return at;
    struct jv_str before = {.p = self.s->p, .n = (size_t)at, .cps = -1};
    return jv_cps(&before);
}

static struct jv m_find(struct jr *r, struct jv self, const struct jv_args *a)
{
    return jv_int(find(r, self, a, "find", false));
}

static struct jv m_rfind(struct jr *r, struct jv self, const struct jv_args *a)
{
    return jv_int(find(r, self, a, "rfind", true));
}

static struct jv index_of(struct jr *r, struct jv self, const struct jv_args *a, const char *name,
                          bool last)
{
    int64_t i = find(r, self, a, name, last);
    if (i < 0)
        jr_fail(r, FT_EINVAL, "substring not found");
    return jv_int(i);
}

static struct jv m_index(struct jr *r, struct jv self, const struct jv_args *a)
{
    return index_of(r, self, a, "index", false);
}

static struct jv m_rindex(struct jr *r, struct jv self, const struct jv_args *a)
{
    return index_of(r, self, a, "rindex", true);
}

static struct jv m_count(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p[3];
    size_t from, to;
    no_keywords(r, "count", a);
    jv_bind(r, "count", "sub start end", 1, a, p);
    const struct jv_str *what = want_str(r, p[0]);
    if (!bounds(r, self, p[1], p[2], &from, &to))
        return jv_int(0);
    int64_t n = 0;
    if (what->n == 0) {
        struct jv_str part = {.p = self.s->p + from, .n = to - from, .cps = -1};
        return jv_int(jv_cps(&part) + 1);
    }
    for (int64_t at; (at = find_bytes(r, self.s->p, from, to, what, false)) >= 0; n++)
        from = (size_t)at + what->n;
    return jv_int(n);
}

static bool affix(const char *s, size_t n, const struct jv_str *what, bool end)
{
    return what->n <= n && memcmp(end ? s + n - what->n : s, what->p, what->n) == 0;
}

static struct jv starts(struct jr *r, struct jv self, const struct jv_args *a, bool end)
{
    struct jv p[3];
    size_t from, to;
    no_keywords(r, end ? "endswith" : "startswith", a);
    jv_bind(r, "startswith", "prefix start end", 1, a, p);
    bool in = bounds(r, self, p[1], p[2], &from, &to), hit = false;
    if (p[0].t != JV_TUPLE)
        return jv_bool((want_str(r, p[0]), in) && affix(self.s->p + from, to - from, p[0].s, end));
    for (size_t i = 0; i < p[0].l->n && !hit; i++)
        hit = (want_str(r, p[0].l->v[i]), in) &&
              affix(self.s->p + from, to - from, p[0].l->v[i].s, end);
    return jv_bool(hit);
}

static struct jv m_startswith(struct jr *r, struct jv self, const struct jv_args *a)
{
    return starts(r, self, a, false);
}

static struct jv m_endswith(struct jr *r, struct jv self, const struct jv_args *a)
{
    return starts(r, self, a, true);
}

static struct jv m_removeprefix(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p;
    no_keywords(r, "removeprefix", a);
    jv_bind(r, "removeprefix", "prefix", 1, a, &p);
    return affix(self.s->p, self.s->n, want_str(r, p), false)
               ? jv_substr(r, self, p.s->n, self.s->n)
               : self;
}

static struct jv m_removesuffix(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p;
    no_keywords(r, "removesuffix", a);
    jv_bind(r, "removesuffix", "suffix", 1, a, &p);
    return affix(self.s->p, self.s->n, want_str(r, p), true)
               ? jv_substr(r, self, 0, self.s->n - p.s->n)
               : self;
}

struct jv jm_replace(struct jr *r, struct jv s, const struct jv_str *from, const struct jv_str *to,
                     int64_t count)
{
    struct jb b;
    jb_init(&b, r);
    size_t at = 0;
    if (count < 0)
        count = INT64_MAX;
    if (from->n == 0) { /* between all characters */
        for (const char *p = s.s->p, *end = p + s.s->n; count > 0; count--) {
            jb_add(&b, to->p, to->n);
            if (p >= end)
                break;
            const char *q = p;
            ju_next(&p);
            jb_add(&b, q, (size_t)(p - q));
            at = (size_t)(p - s.s->p);
        }
    }
    for (int64_t hit; from->n != 0 && count > 0; count--) {
        hit = find_bytes(r, s.s->p, at, s.s->n, from, false);
        if (hit < 0)
            break;
        jb_add(&b, s.s->p + at, (size_t)hit - at);
        jb_add(&b, to->p, to->n);
        at = (size_t)hit + from->n;
    }
    jb_add(&b, s.s->p + at, s.s->n - at);
    struct jv v = jb_str(&b);
    v.s->markup = s.s->markup;
    return v;
}

static struct jv m_replace(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p[3];
    no_keywords(r, "replace", a);
    jv_bind(r, "replace", "old new count", 2, a, p);
    return jm_replace(r, self, want_str(r, p[0]), want_str(r, p[1]),
                      jv_given(p[2]) ? want_int(r, p[2]) : -1);
}

static struct jv m_translate(struct jr *r, struct jv self, const struct jv_args *a)
{
    (void)self;
    (void)a;
    jr_fail(r, FT_EUNSUPPORTED, "this method of str is not supported");
}

static struct jv m_format(struct jr *r, struct jv self, const struct jv_args *a)
{
    return jv_str_format(r, self, a);
}

static struct jv m_format_map(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p;
    jv_bind(r, "format_map", "mapping", 1, a, &p);
    if (p.t != JV_DICT)
        jr_fail(r, FT_EINVAL, "format_map() wants a mapping");
    struct jv_args kw = {.kw = jr_array(r, p.d->n + 1, sizeof *kw.kw),
                         .kw_names = jr_array(r, p.d->n + 1, sizeof *kw.kw_names)};
    for (size_t i = 0; i < p.d->n; i++) {
        if (p.d->e[i].key.t != JV_STR)
            continue;
        kw.kw_names[kw.n_kw] = p.d->e[i].key;
        kw.kw[kw.n_kw++] = p.d->e[i].value;
    }
    return jv_str_format(r, self, &kw);
}

static struct jv m_join(struct jr *r, struct jv self, const struct jv_args *a)
{
    struct jv p, v;
    no_keywords(r, "join", a);
    jv_bind(r, "join", "iterable", 1, a, &p);
    struct jb b;
    jb_init(&b, r);
    struct jv_iter *it = jv_iter_of(r, p);
    for (int64_t i = 0; jv_next(r, it, &v); i++) {
        if (v.t != JV_STR)
            jr_fail(r, FT_EINVAL, "sequence item %lld: expected str instance, %s found",
                    (long long)i, jv_type_name(v));
        if (i != 0)
            jb_add(&b, self.s->p, self.s->n);
        if (self.s->markup)
            jv_escape_to(&b, v);
        else
            jb_add(&b, v.s->p, v.s->n);
    }
    v = jb_str(&b);
    v.s->markup = self.s->markup;
    return v;
}

static const struct jv_func methods[] = {
    {"capitalize", m_capitalize},
    {"casefold", m_casefold},
    {"center", m_center},
    {"count", m_count},
    {"encode", m_translate},
    {"endswith", m_endswith},
    {"expandtabs", m_expandtabs},
    {"find", m_find},
    {"format", m_format},
    {"format_map", m_format_map},
    {"index", m_index},
    {"isalnum", m_isalnum},
    {"isalpha", m_isalpha},
    {"isascii", m_isascii},
    {"isdecimal", m_isdecimal},
    {"isdigit", m_isdigit},
    {"isidentifier", m_isidentifier},
    {"islower", m_islower},
    {"isnumeric", m_isnumeric},
    {"isprintable", m_isprintable},
    {"isspace", m_isspace},
    {"istitle", m_istitle},
    {"isupper", m_isupper},
    {"join", m_join},
    {"ljust", m_ljust},
    {"lower", m_lower},
    {"lstrip", m_lstrip},
    {"maketrans", m_translate},
    {"partition", jm_partition},
    {"removeprefix", m_removeprefix},
    {"removesuffix", m_removesuffix},
    {"replace", m_replace},
    {"rfind", m_rfind},
    {"rindex", m_rindex},
    {"rjust", m_rjust},
    {"rpartition", jm_rpartition},
    {"rsplit", jm_rsplit},
    {"rstrip", m_rstrip},
    {"split", jm_split},
    {"splitlines", jm_splitlines_method},
    {"startswith", m_startswith},
    {"strip", m_strip},
    {"swapcase", m_swapcase},
    {"title", m_title},
    {"translate", m_translate},
    {"upper", m_upper},
    {"zfill", m_zfill},
};

const struct jv_func *jv_str_method(const char *name, size_t n)
{
    for (size_t i = 0; i < sizeof methods / sizeof methods[0]; i++)
        if (strlen(methods[i].name) == n && memcmp(methods[i].name, name, n) == 0)
            return &methods[i];
    return NULL;
}
