/* Numbers: see number.h.
 *
 * A finite set of values is written out. Otherwise the automaton is found by breadth-first search
 * over what a reader of the digits must remember: how many digits so far, how they compare with
 * each bound's digits, and the remainder modulo the least common multiple of every multipleOf. */
#include "engine/constrain/number.h"

#include <stdio.h>
#include <string.h>

#include "engine/constrain/regex.h"

#define POINTS_MAX    96      /* bounds and excluded values */
#define LCM_MAX       2000000 /* larger moduli are enumerated or refused */
#define LCM_EASY      2000    /* above this, enumerating is tried first */
#define ENUMERATE_MAX 20000
#define N_CHARS       12 /* '0'..'9', '-', '.' */

enum phase { PH_START, PH_SIGN, PH_ZERO, PH_INT, PH_DOT, PH_FRAC };

/* All bytes take part in comparisons: no padding, zeroed. */
struct state {
    uint64_t rem;
    uint16_t n, k; /* digits before and after the point, clamped */
    uint8_t phase, neg;
    uint8_t nonzero; /* 1: some digit after the point, 2: some digit at all (bits) */
    uint8_t beyond;  /* a nonzero digit past the scale */
    uint8_t cmp[POINTS_MAX];
};

struct work {
    struct ft_cx *cx;
    const struct ft_numcon *c;
    struct ft_dec pt[POINTS_MAX];
    int n_pt, lo_pt, hi_pt; /* not_in values follow */
    int scale;
    uint64_t lcm, mul[POINTS_MAX], not_mul[POINTS_MAX];
    bool modular;
    uint16_t n_clamp, k_clamp;
    struct state *v;
    size_t n, cap;
    uint32_t *slot;
    size_t slots;
};

static void refuse(struct ft_cx *cx, const char *why)
{
    ft_cx_fail(cx, FT_EUNSUPPORTED, "%s: %s", cx->what != NULL ? cx->what : "multipleOf", why);
}

bool ft_number_possible(const struct ft_numcon *c)
{
    if (c->has_in && c->n_in == 0)
        return false;
    if (c->lo == NULL || c->hi == NULL)
        return true;
    int cmp = ft_dec_cmp(c->lo, c->hi);
    return cmp < 0 || (cmp == 0 && !c->lo_open && !c->hi_open);
}

bool ft_number_holds(struct ft_cx *cx, const struct ft_numcon *c, const struct ft_dec *v)
{
    if (c->integral != FT_ANY_NUMBER && ft_dec_is_int(v) != (c->integral == FT_INTEGER))
        return false;
    if (c->lo != NULL && ft_dec_cmp(v, c->lo) < (c->lo_open ? 1 : 0))
        return false;
    if (c->hi != NULL && ft_dec_cmp(v, c->hi) > (c->hi_open ? -1 : 0))
        return false;
    bool known;
    for (size_t i = 0; i < c->n_mul; i++)
        if (!ft_dec_multiple(v, c->mul[i], &known)) {
            if (!known)
                refuse(cx, "a multipleOf out of range");
            return false;
        }
    for (size_t i = 0; i < c->n_not_mul; i++) {
        if (ft_dec_multiple(v, c->not_mul[i], &known))
            return false;
        if (!known)
            refuse(cx, "a multipleOf out of range");
    }
    struct ft_dec d;
    for (size_t i = 0; i < c->n_not_in; i++)
        if (!ft_dec_parse(c->not_in[i]->s.p, c->not_in[i]->s.n, &d) || ft_dec_cmp(&d, v) == 0)
            return false;
    return true;
}

/* ---- finite sets of values ---- */

struct words {
    struct ft_str *v;
    size_t n, cap;
};

static void add_word(struct ft_cx *cx, struct words *w, const char *p, size_t n)
{
    char *copy = ft_cx_alloc(cx, n + 1, 1);
    memcpy(copy, p, n);
    FT_GROW(cx, w->v, w->n, w->cap);
    w->v[w->n++] = (struct ft_str){copy, n};
}

/* Every spelling we write: plain, with ".0" where an integer need not look like one, and the
 * schema's own. */
static void add_value(struct ft_cx *cx, const struct ft_numcon *c, struct words *w,
                      const struct ft_dec *v, const struct ft_str *own)
{
    char text[FT_DEC_TEXT_MAX];
    size_t n = ft_dec_print(v, text);
    if (n <= FT_NUMBER_BYTES_MAX)
        add_word(cx, w, text, n);
    if (ft_dec_is_int(v) && c->integral != FT_INTEGER && n + 2 <= FT_NUMBER_BYTES_MAX) {
        memcpy(text + n, ".0", 2);
        add_word(cx, w, text, n + 2);
    }
    if (own != NULL && own->n <= FT_NUMBER_BYTES_MAX && !(own->p[0] == '-' && ft_dec_is_zero(v)))
        add_word(cx, w, own->p, own->n);
}

static struct ft_dfa *finite_set(struct ft_cx *cx, const struct ft_numcon *c)
{
    struct words w = {NULL, 0, 0};
    for (size_t i = 0; i < c->n_in; i++) {
        struct ft_dec d;
        if (!ft_dec_parse(c->in[i]->s.p, c->in[i]->s.n, &d))
            refuse(cx, "a number with too many digits");
        if (ft_number_holds(cx, c, &d))
            add_value(cx, c, &w, &d, &c->in[i]->s);
    }
    return ft_dfa_words(cx, w.v, w.n, false);
}

static uint64_t gcd(uint64_t a, uint64_t b)
{
    while (b != 0) {
        uint64_t t = a % b;
        a = b;
        b = t;
    }
    return a;
}

/* Multiples in a bounded range, one by one; NULL if there are too many. */
static struct ft_dfa *enumerate(struct ft_cx *cx, const struct ft_numcon *c)
{
    int scale = c->integral == FT_INTEGER ? 0 : -1;
    if (c->lo == NULL || c->hi == NULL)
        return NULL;
    for (size_t i = 0; i < c->n_mul; i++)
        scale = FT_MAX(scale, (int)c->mul[i]->nf);
    if (scale < 0)
        return NULL;
    scale = FT_MAX(scale, FT_MAX((int)c->lo->nf, (int)c->hi->nf));
    uint64_t lo, hi, step = 1, m;
    if (!ft_dec_scaled(c->lo, scale, &lo) || !ft_dec_scaled(c->hi, scale, &hi))
        return NULL;
    for (int i = 0; c->integral == FT_INTEGER && i < scale; i++)
        step = step > UINT64_MAX / 10 ? 0 : step * 10;
    for (size_t i = 0; i < c->n_mul && step != 0; i++) {
        if (!ft_dec_scaled(c->mul[i], scale, &m) || m == 0)
            return NULL;
        unsigned __int128 l = (unsigned __int128)step / gcd(step, m) * m;
        step = l > INT64_MAX ? 0 : (uint64_t)l;
    }
    if (step == 0)
        return NULL;
    __int128 a = c->lo->neg ? -(__int128)lo : (__int128)lo;
    __int128 b = c->hi->neg ? -(__int128)hi : (__int128)hi;
    __int128 first = a / (__int128)step; /* toward zero */
    if (first * (__int128)step < a)
        first++;
    if ((b - first * (__int128)step) / (__int128)step > ENUMERATE_MAX)
        return NULL;
    struct words w = {NULL, 0, 0};
    for (__int128 i = first; i * (__int128)step <= b; i++) {
        __int128 v = i * (__int128)step;
        char text[64];
        uint64_t mag = (uint64_t)(v < 0 ? -v : v), unit = 1;
        for (int k = 0; k < scale; k++)
            unit *= 10;
        int n = snprintf(text, sizeof text, "%s%llu", v < 0 ? "-" : "",
                         (unsigned long long)(mag / unit));
        if (scale > 0)
            n += snprintf(text + n, sizeof text - (size_t)n, ".%0*llu", scale,
                          (unsigned long long)(mag % unit));
        struct ft_dec d;
        if (ft_dec_parse(text, (size_t)n, &d) && ft_number_holds(cx, c, &d))
            add_value(cx, c, &w, &d, NULL);
        ft_cx_work(cx, 50);
    }
    return ft_dfa_words(cx, w.v, w.n, false);
}

/* ---- the general case ---- */

static void add_point(struct work *w, const struct ft_dec *d)
{
    if (w->n_pt == POINTS_MAX)
        refuse(w->cx, "too many excluded numbers");
    w->pt[w->n_pt++] = *d;
}

static void prepare(struct work *w)
{
    const struct ft_numcon *c = w->c;
    w->lo_pt = w->hi_pt = -1;
    if (c->lo != NULL) {
        w->lo_pt = w->n_pt;
        add_point(w, c->lo);
    }
    if (c->hi != NULL) {
        w->hi_pt = w->n_pt;
        add_point(w, c->hi);
    }
    for (size_t i = 0; i < c->n_not_in; i++) {
        struct ft_dec d;
        if (!ft_dec_parse(c->not_in[i]->s.p, c->not_in[i]->s.n, &d))
            refuse(w->cx, "a number with too many digits");
        add_point(w, &d);
    }
    w->lcm = 1;
    w->modular = c->n_mul + c->n_not_mul > 0;
    if (c->n_mul > POINTS_MAX || c->n_not_mul > POINTS_MAX)
        refuse(w->cx, "too many multipleOf");
    for (size_t i = 0; i < c->n_mul + c->n_not_mul; i++) {
        const struct ft_dec *m = i < c->n_mul ? c->mul[i] : c->not_mul[i - c->n_mul];
        w->scale = FT_MAX(w->scale, (int)m->nf);
    }
    for (size_t i = 0; i < c->n_mul + c->n_not_mul; i++) {
        const struct ft_dec *m = i < c->n_mul ? c->mul[i] : c->not_mul[i - c->n_mul];
        uint64_t *to = i < c->n_mul ? &w->mul[i] : &w->not_mul[i - c->n_mul];
        if (!ft_dec_scaled(m, w->scale, to) || *to == 0)
            refuse(w->cx, "a multipleOf out of range");
        uint64_t step = *to / gcd(w->lcm, *to);
        if (step > LCM_MAX / w->lcm)
            refuse(w->cx, "the multipleOf have too large a common multiple");
        w->lcm *= step;
    }
    unsigned ni = 0, nf = 0;
    for (int i = 0; i < w->n_pt; i++) {
        ni = FT_MAX(ni, (unsigned)w->pt[i].ni);
        nf = FT_MAX(nf, (unsigned)w->pt[i].nf);
    }
    w->n_clamp = (uint16_t)(ni + 1);
    w->k_clamp = (uint16_t)(FT_MAX(nf, (unsigned)w->scale) + 1);
}

/* How the whole text so far, taken as finished, compares with point i: -1, 0, 1. */
static int relation(const struct work *w, const struct state *s, int i)
{
    const struct ft_dec *p = &w->pt[i];
    bool zero = s->nonzero == 0;
    if (ft_dec_is_zero(p))
        return zero ? 0 : s->neg ? -1 : 1;
    if (zero || s->neg != p->neg)
        return zero ? (p->neg ? 1 : -1) : s->neg ? -1 : 1;
    int c = s->cmp[i] - 1;
    if (s->phase == PH_ZERO || s->phase == PH_INT) {
        if (s->n != p->ni)
            c = s->n < p->ni ? -1 : 1;
        else if (c == 0 && p->nf > 0)
            c = -1;
    } else if (c == 0 && s->k < p->nf) {
        c = -1;
    }
    return s->neg ? -c : c;
}

static bool accepts(const struct work *w, const struct state *s)
{
    const struct ft_numcon *c = w->c;
    if (s->phase != PH_ZERO && s->phase != PH_INT && s->phase != PH_FRAC)
        return false;
    if (s->neg && s->nonzero == 0)
        return false;
    if (c->integral == FT_NOT_INTEGER && (s->nonzero & 1) == 0)
        return false;
    for (int i = 0; i < w->n_pt; i++) {
        int r = relation(w, s, i);
        if (i == w->lo_pt   ? r < (c->lo_open ? 1 : 0)
            : i == w->hi_pt ? r > (c->hi_open ? -1 : 0)
                            : r == 0)
            return false;
    }
    if (!w->modular)
        return true;
    uint64_t rem = s->rem;
    for (int k = s->phase == PH_FRAC ? s->k : 0; k < w->scale; k++)
        rem = rem * 10 % w->lcm;
    for (size_t i = 0; i < c->n_mul; i++)
        if (s->beyond || rem % w->mul[i] != 0)
            return false;
    for (size_t i = 0; i < c->n_not_mul; i++)
        if (!s->beyond && rem % w->not_mul[i] == 0)
            return false;
    return true;
}

static bool step_int(const struct work *w, struct state *s, int d)
{
    if (s->phase == PH_ZERO)
        return false;
    if (s->phase != PH_INT && d == 0) {
        s->phase = PH_ZERO;
        return true;
    }
    for (int i = 0; i < w->n_pt; i++)
        if (s->cmp[i] == 1 && s->n < w->pt[i].ni && d != w->pt[i].dig[s->n])
            s->cmp[i] = d < w->pt[i].dig[s->n] ? 0 : 2;
    s->phase = PH_INT;
    s->nonzero |= 2;
    if (s->n < w->n_clamp)
        s->n++;
    if (w->modular)
        s->rem = (s->rem * 10 + (uint64_t)d) % w->lcm;
    return true;
}

static bool step_frac(const struct work *w, struct state *s, int d)
{
    s->phase = PH_FRAC;
    if (w->c->n_mul > 0 && s->k >= w->scale)
        return false;
    for (int i = 0; i < w->n_pt; i++) {
        const struct ft_dec *p = &w->pt[i];
        int e = s->k < p->nf ? p->dig[p->ni + s->k] : 0;
        if (s->cmp[i] == 1 && d != e)
            s->cmp[i] = d < e ? 0 : 2;
    }
    if (d != 0)
        s->nonzero |= 3;
    if (w->modular && s->k < w->scale)
        s->rem = (s->rem * 10 + (uint64_t)d) % w->lcm;
    else if (w->modular && d != 0)
        s->beyond = 1;
    if (s->k < w->k_clamp)
        s->k++;
    return true;
}

/* ch: 0..9 a digit, 10 '-', 11 '.' */
static bool step(const struct work *w, struct state *s, int ch)
{
    if (ch == 10) {
        if (s->phase != PH_START)
            return false;
        s->phase = PH_SIGN;
        s->neg = 1;
        return true;
    }
    if (ch == 11) {
        if ((s->phase != PH_ZERO && s->phase != PH_INT) || w->c->integral == FT_INTEGER)
            return false;
        for (int i = 0; i < w->n_pt; i++) { /* the integer parts are now fully known */
            if (s->n != w->pt[i].ni)
                s->cmp[i] = s->n < w->pt[i].ni ? 0 : 2;
        }
        s->n = 0;
        s->phase = PH_DOT;
        return true;
    }
    return s->phase < PH_DOT ? step_int(w, s, ch) : step_frac(w, s, ch);
}

static uint32_t intern(struct work *w, const struct state *s)
{
    size_t bytes = offsetof(struct state, cmp) + (size_t)w->n_pt;
    const uint8_t *p = (const uint8_t *)s;
    uint64_t h = 14695981039346656037u;
    for (size_t i = 0; i < bytes; i++)
        h = (h ^ p[i]) * 1099511628211u;
    size_t at = (h ^ h >> 32) & (w->slots - 1);
    for (; w->slot[at] != 0; at = (at + 1) & (w->slots - 1))
        if (memcmp(&w->v[w->slot[at] - 1], s, bytes) == 0)
            return w->slot[at] - 1;
    if (w->n >= FT_DFA_STATES_MAX)
        refuse(w->cx, "the automaton of the numbers is too large");
    FT_GROW(w->cx, w->v, w->n, w->cap);
    w->v[w->n] = *s;
    w->slot[at] = (uint32_t)w->n + 1;
    return (uint32_t)w->n++;
}

static struct ft_dfa *search(struct work *w)
{
    /* Classes: 0 others, 1..10 the digits, 11 '-', 12 '.'. */
    static const uint32_t bound[] = {0,   '-', '.', '/', '0', '1', '2',    '3',
                                     '4', '5', '6', '7', '8', '9', '9' + 1};
    static const uint16_t cls[] = {0, 11, 12, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0};
    w->slots = 4 * FT_DFA_STATES_MAX / 2;
    size_t pow2 = 1;
    while (pow2 < w->slots)
        pow2 *= 2;
    w->slots = pow2;
    w->slot = ft_cx_alloc(w->cx, w->slots, sizeof *w->slot);
    uint32_t *next = NULL;
    size_t cap = 0;
    struct state s;
    memset(&s, 0, sizeof s);
    memset(s.cmp, 1, (size_t)w->n_pt);
    intern(w, &s);
    for (size_t i = 0; i < w->n; i++) {
        ft_cx_work(w->cx, (uint64_t)N_CHARS * (unsigned)(w->n_pt + 40));
        for (int ch = 0; ch < N_CHARS; ch++) {
            s = w->v[i];
            bool ok = step(w, &s, ch);
            FT_GROW(w->cx, next, i * N_CHARS + (size_t)ch, cap);
            next[i * N_CHARS + (size_t)ch] = ok ? intern(w, &s) + 1 : 0;
        }
    }
    struct ft_dfa *d =
        ft_dfa_raw(w->cx, (uint32_t)w->n + 1, FT_COUNT(bound), bound, cls, N_CHARS + 1);
    for (size_t i = 0; i < w->n; i++) {
        for (int ch = 0; ch < N_CHARS; ch++)
            d->next[(i + 1) * (N_CHARS + 1) + 1 + (size_t)ch] = next[i * N_CHARS + (size_t)ch];
        d->label[i + 1] = accepts(w, &w->v[i]);
    }
    d->start = 1;
    return ft_dfa_tidy(w->cx, d);
}

static struct ft_dfa *number_dfa(struct ft_cx *cx, const struct ft_numcon *c)
{
    static const char any[] =
        "-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE](\\+?[12]?[0-9]{1,2}|-[0-9]{1,3}))?";
    if (c->has_in)
        return finite_set(cx, c);
    if (!ft_number_possible(c))
        return ft_dfa_words(cx, NULL, 0, false);
    if (c->lo == NULL && c->hi == NULL && c->n_mul + c->n_not_mul + c->n_not_in == 0 &&
        c->integral == FT_ANY_NUMBER)
        return ft_regex_dfa(cx, any, sizeof any - 1, false);
    struct work *w = ft_cx_alloc(cx, 1, sizeof *w);
    w->cx = cx;
    w->c = c;
    uint64_t lcm = 1; /* only to choose the way */
    for (size_t i = 0; i < c->n_mul + c->n_not_mul; i++) {
        uint64_t m = 0;
        const struct ft_dec *d = i < c->n_mul ? c->mul[i] : c->not_mul[i - c->n_mul];
        if (ft_dec_scaled(d, 6, &m) && m != 0 && lcm < LCM_MAX)
            lcm = lcm / gcd(lcm, m) * FT_MIN(m, 1000000000u);
    }
    if (lcm > LCM_EASY) {
        struct ft_dfa *d = enumerate(cx, c);
        if (d != NULL)
            return d;
    }
    prepare(w);
    return search(w);
}

struct ft_dfa *ft_number_dfa(struct ft_cx *cx, const struct ft_numcon *c)
{
    static const char plain[] = "0|-?[1-9][0-9]*|-?(0|[1-9][0-9]*)\\.[0-9]*[1-9]";
    struct ft_dfa *d = number_dfa(cx, c);
    if (!c->plain)
        return d;
    return ft_dfa_combine(cx, FT_DFA_AND, d, ft_regex_dfa(cx, plain, sizeof plain - 1, false));
}
