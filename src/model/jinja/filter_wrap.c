/* wordwrap: Python's textwrap.wrap(), line by line; and urlize, which is refused. */
#include <string.h>

#include "model/jinja/filter.h"
#include "model/jinja/method.h"

/* A text as code points, so that its chunks are ranges of indices. */
struct text {
    const char **at; /* of each code point, and of the end */
    uint32_t *cp;
    size_t n;
};

static bool space(uint32_t cp)
{
    return cp == ' ' || (cp >= 9 && cp <= 13);
}

static bool letter(uint32_t cp)
{
    return ju_word(cp) && !ju_decimal(cp);
}

static bool word_punct(uint32_t cp)
{
    return ju_word(cp) || (cp < 0x80 && cp != 0 && strchr("!\"'&.,?", (int)cp) != NULL);
}

/* "--" or longer at i, with a word character after it: the end of the dashes, or 0. */
static size_t em_dash(const struct text *t, size_t i)
{
    size_t k = i;
    while (k < t->n && t->cp[k] == '-')
        k++;
    return k >= i + 2 && k < t->n && ju_word(t->cp[k]) ? k : 0;
}

/* A hyphen at j that a word may be broken after. */
static bool soft_hyphen(const struct text *t, size_t j)
{
    const uint32_t *c = t->cp;
    bool before = (j >= 2 && letter(c[j - 2]) && letter(c[j - 1])) ||
                  (j >= 3 && letter(c[j - 3]) && c[j - 2] == '-' && word_punct(c[j - 1]));
    if (c[j] != '-' || !before || j + 1 >= t->n || !letter(c[j + 1]))
        return false;
    size_t k = j + 2 + (j + 2 < t->n && c[j + 2] == '-');
    return (k < t->n && letter(c[k])) || (j + 2 < t->n && letter(c[j + 2]));
}

/* The end of the chunk that begins at i: space, dashes, or a word up to where it may break. */
static size_t chunk_end(const struct text *t, size_t i, bool hyphens)
{
    size_t j = i;
    bool sp = space(t->cp[i]);
    if (sp || !hyphens) {
        while (j < t->n && space(t->cp[j]) == sp)
            j++;
        return j;
    }
    if (i > 0 && word_punct(t->cp[i - 1]) && em_dash(t, i) != 0)
        return em_dash(t, i);
    for (j = i + 1;; j++) {
        if (j >= t->n || space(t->cp[j]))
            return j;
        if (soft_hyphen(t, j))
            return j + 1;
        if (word_punct(t->cp[j - 1]) && em_dash(t, j) != 0)
            return j;
    }
}

static bool blank(const struct text *t, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++)
        if (!ju_space(t->cp[i]))
            return false;
    return true;
}

/* How much of a chunk that is longer than a line goes on this one. */
static size_t cut_word(const struct text *t, size_t from, size_t len, size_t room, bool hyphens)
{
    if (!hyphens || len <= room)
        return room;
    for (size_t k = room; k-- > 1;) {
        if (t->cp[from + k] != '-')
            continue;
        for (size_t i = 0; i < k; i++)
            if (t->cp[from + i] != '-')
                return k + 1;
        break;
    }
    return room;
}

struct wrap {
    struct jr *r;
    size_t width;
    bool break_long, hyphens;
    struct jv lines;
};

/* One line from `i` on; chunk ends are in end[]. Returns where the next one begins. */
static size_t wrap_line(struct wrap *w, const struct text *t, const size_t *end, size_t i)
{
    size_t from = i, last = i; /* last: where the line's last chunk begins */
    if (w->lines.l->n != 0 && blank(t, i, end[i]))
        from = last = i = end[i];
    while (i < t->n && end[i] - from <= w->width) {
        last = i;
        i = end[i];
    }
    if (i < t->n && end[i] - i > w->width) {
        if (w->break_long) {
            size_t cut = cut_word(t, i, end[i] - i, w->width - (i - from), w->hyphens);
            last = i;
            i += FT_MIN(cut, end[i] - i);
        } else if (i == from) {
            last = i;
            i = end[i];
        }
    }
    size_t to = i;
    if (to > from && blank(t, last, to))
        to = last;
    if (to > from || i > from)
        if (to > from)
            jv_list_push(w->r, w->lines,
                         jv_strn(w->r, t->at[from], (size_t)(t->at[to] - t->at[from])));
    return i;
}

static void wrap_text(struct wrap *w, struct jv s)
{
    struct text t = {.n = (size_t)jv_cps(s.s)};
    t.at = jr_array(w->r, t.n + 1, sizeof *t.at);
    t.cp = jr_array(w->r, t.n + 1, sizeof *t.cp);
    const char *p = s.s->p;
    for (size_t i = 0; i < t.n; i++) {
        t.at[i] = p;
        t.cp[i] = ju_next(&p);
    }
    t.at[t.n] = p;
    /* end[i] for any i inside of a chunk, since a long word is cut anywhere. */
    size_t *end = jr_array(w->r, t.n + 1, sizeof *end);
    for (size_t i = 0; i < t.n;) {
        size_t e = chunk_end(&t, i, w->hyphens);
        jr_charge(w->r, 16 * (e - i));
        for (; i < e; i++)
            end[i] = e;
    }
    w->lines = jv_list_new(w->r, 0);
    for (size_t i = 0; i < t.n;)
        i = wrap_line(w, &t, end, i);
}

struct jv jf_wordwrap(struct jr *r, struct jf_call *c)
{
    struct wrap w = {.r = r, .break_long = true, .hyphens = true};
    struct jv sep = jv_given(c->p[2]) && c->p[2].t != JV_NONE ? c->p[2] : jv_strz(r, "\n");
    jr_check_defined(r, c->v);
    if (c->v.t != JV_STR || sep.t != JV_STR || (jv_given(c->p[0]) && !jv_is_int(c->p[0])))
        jr_fail(r, FT_EINVAL, "wordwrap: a text, a whole number and a separator are wanted");
    int64_t width = jv_given(c->p[0]) ? jv_as_int(c->p[0]) : 79;
    w.break_long = !jv_given(c->p[1]) || jv_truth(r, c->p[1]);
    w.hyphens = !jv_given(c->p[3]) || jv_truth(r, c->p[3]);
    struct jv lines = jm_splitlines(r, c->v, false);
    struct jb b;
    jb_init(&b, r);
    if (width <= 0 && lines.l->n != 0)
        jr_fail(r, FT_EINVAL, "invalid width %lld (must be > 0)", (long long)width);
    w.width = (size_t)width;
    for (size_t i = 0; i < lines.l->n; i++) {
        wrap_text(&w, lines.l->v[i]);
        if (i != 0)
            jb_add(&b, sep.s->p, sep.s->n);
        for (size_t k = 0; k < w.lines.l->n; k++) {
            if (k != 0)
                jb_add(&b, sep.s->p, sep.s->n);
            jb_add(&b, w.lines.l->v[k].s->p, w.lines.l->v[k].s->n);
        }
    }
    return jb_str(&b);
}

struct jv jf_urlize(struct jr *r, struct jf_call *c)
{
    (void)c;
    jr_fail(r, FT_EUNSUPPORTED, "the filter 'urlize' is not supported");
}
