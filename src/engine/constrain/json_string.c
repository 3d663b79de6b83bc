/* Characters inside strings and keys: UTF-8 and escapes, byte by byte. See machine.h.
 *
 * A character may be written raw or escaped; what counts is the character. After every byte, also
 * within a character, some continuation must be left: the bytes read so far stand for a range of
 * characters, and the automaton must have a live step for one of them. */
#include <string.h>

#include "engine/constrain/machine.h"
#include "engine/constrain/utf8.h"

/* Alternative a of f can go on with some character in [lo, hi]. */
static bool alt_range(const struct ft_jtables *t, const struct ft_jframe *f,
                      const struct ft_jalt *a, uint32_t lo, uint32_t hi)
{
    if (f->kind == FT_J_STR) {
        const struct ft_jstr *s = &t->strs[a->id];
        if (s->any)
            return s->max < 0 || f->count < s->max;
        return ft_dfa_range_live(s->d, a->q, lo, hi);
    }
    const struct ft_jalt *o = &f->up->alt[a->id];
    const struct ft_dfa *d = t->objs[o->id].keys;
    if (!ft_dfa_range_live(d, a->q, lo, hi))
        return false;
    uint32_t i = 0, end = d->n_bounds;
    while (end - i > 1) {
        uint32_t mid = (i + end) / 2;
        if (d->bound[mid] <= lo)
            i = mid;
        else
            end = mid;
    }
    for (; i < d->n_bounds && d->bound[i] <= hi; i++) {
        uint32_t q = d->next[(size_t)a->q * d->n_cls + d->bound_cls[i]];
        if (q != 0 && ft_json_key_live(t, f->up, o, q, f->rope))
            return true;
    }
    return false;
}

/* The same frame with a part of a character read: alternatives that can finish it within either of
 * two ranges (an empty one has lo > hi). */
static const struct ft_jframe *partial(struct ft_scratch *s, const struct ft_jtables *t,
                                       const struct ft_jframe *f, enum ft_jchar chr, uint8_t left,
                                       uint32_t cp, const uint32_t range[4])
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    for (uint32_t i = 0; i < f->n_alts; i++)
        if ((range[0] <= range[1] && alt_range(t, f, &f->alt[i], range[0], range[1])) ||
            (range[2] <= range[3] && alt_range(t, f, &f->alt[i], range[2], range[3])))
            r->alt[r->n_alts++] = f->alt[i];
    r->chr = (uint8_t)chr;
    r->left = left;
    r->cp = cp;
    return r->n_alts != 0 ? r : NULL;
}

static const struct ft_jframe *whole(struct ft_scratch *s, const struct ft_jtables *t,
                                     const struct ft_jframe *f, uint32_t cp)
{
    struct ft_jframe *r = ft_jframe_new(s, f, f->up, (enum ft_jkind)f->kind, f->n_alts);
    if (r == NULL)
        return NULL;
    r->chr = FT_S_PLAIN;
    r->count = f->count + 1;
    r->hash = ft_jhash(f->hash, cp);
    if (f->kind == FT_J_KEY) {
        struct ft_jrope *rope = ft_scratch_alloc(s, sizeof *rope);
        if (rope == NULL)
            return NULL;
        *rope = (struct ft_jrope){f->rope, cp, r->count};
        r->rope = rope;
    }
    for (uint32_t i = 0; i < f->n_alts; i++) {
        const struct ft_jalt *a = &f->alt[i];
        uint32_t q = a->q;
        bool live;
        if (f->kind == FT_J_STR) {
            const struct ft_jstr *k = &t->strs[a->id];
            if (!k->any)
                q = ft_dfa_step(k->d, q, cp);
            live = k->any ? k->max < 0 || f->count < k->max : q != 0;
        } else {
            const struct ft_jalt *o = &f->up->alt[a->id];
            q = ft_dfa_step(t->objs[o->id].keys, q, cp);
            live = q != 0 && ft_json_key_live(t, f->up, o, q, r->rope);
        }
        if (live) {
            r->alt[r->n_alts] = *a;
            r->alt[r->n_alts++].q = q;
        }
    }
    return r->n_alts != 0 ? r : NULL;
}

/* Characters that a partial \u escape can become: directly, and as a pair of surrogates. */
static const struct ft_jframe *hex_range(struct ft_scratch *s, const struct ft_jtables *t,
                                         const struct ft_jframe *f, uint32_t v, uint8_t left)
{
    uint32_t lo = v << (4 * left), hi = lo + (1u << (4 * left)) - 1;
    uint32_t range[4] = {lo, hi, 1, 0};
    if (lo <= 0xdfff && hi >= 0xd800) {
        uint32_t a = lo > 0xd800 ? lo : 0xd800, b = hi < 0xdbff ? hi : 0xdbff;
        if (a <= b) {
            range[2] = 0x10000 + ((a - 0xd800) << 10);
            range[3] = 0x10000 + ((b - 0xd800) << 10) + 0x3ff;
        }
        /* what is left of the direct range lies on one side (a digit covers 0xd000 to 0xdfff) or,
         * before the first digit, on both: then the lower side alone decides nothing less */
        if (lo < 0xd800)
            range[1] = 0xd7ff;
        else if (hi > 0xdfff)
            range[0] = 0xe000;
        else
            range[0] = 1, range[1] = 0;
    }
    if (left == 0 && v >= 0xd800 && v <= 0xdbff)
        return partial(s, t, f, FT_S_LOW_BS, 0, v, range);
    if (left == 0)
        return range[0] <= range[1] ? whole(s, t, f, v) : NULL;
    return partial(s, t, f, FT_S_HEX, left, v, range);
}

static const struct ft_jframe *low_range(struct ft_scratch *s, const struct ft_jtables *t,
                                         const struct ft_jframe *f, uint32_t cp, uint8_t left)
{
    /* cp: the high surrogate in the upper half, the digits of the low one read so far below */
    uint32_t high = cp >> 16, v = cp & 0xffff;
    uint32_t lo = v << (4 * left), hi = lo + (1u << (4 * left)) - 1;
    lo = lo > 0xdc00 ? lo : 0xdc00;
    hi = hi < 0xdfff ? hi : 0xdfff;
    if (lo > hi)
        return NULL;
    uint32_t base = 0x10000 + ((high - 0xd800) << 10);
    if (left == 0)
        return whole(s, t, f, base + (v - 0xdc00));
    uint32_t range[4] = {base + (lo - 0xdc00), base + (hi - 0xdc00), 1, 0};
    return partial(s, t, f, FT_S_LOW, left, cp, range);
}

static const struct ft_jframe *utf8_lead(struct ft_scratch *s, const struct ft_jtables *t,
                                         const struct ft_jframe *f, uint32_t cp, uint8_t left,
                                         uint8_t bytes)
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lo = cp << (6 * left), hi = lo + (1u << (6 * left)) - 1;
    lo = lo > least[bytes] ? lo : least[bytes]; /* overlong forms end here */
    hi = hi < FT_CP_MAX ? hi : FT_CP_MAX;
    if (lo < 0xd800 && hi >= 0xd800 && hi <= 0xdfff)
        hi = 0xd7ff;
    if (lo > hi || (lo >= 0xd800 && hi <= 0xdfff))
        return NULL;
    if (left == 0)
        return whole(s, t, f, cp);
    uint32_t range[4] = {lo, hi, 1, 0};
    return partial(s, t, f, FT_S_UTF8, (uint8_t)(bytes << 4 | left), cp, range);
}

static const struct ft_jframe *plain_byte(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b)
{
    if (b < 0x20)
        return NULL;
    if (b == '\\') {
        static const uint32_t all[4] = {0, FT_CP_MAX, 1, 0};
        return partial(s, t, f, FT_S_ESC, 0, 0, all);
    }
    if (b < 0x80)
        return whole(s, t, f, b);
    if (b < 0xc2 || b > 0xf4)
        return NULL;
    if (b < 0xe0)
        return utf8_lead(s, t, f, b & 0x1f, 1, 2);
    if (b < 0xf0)
        return utf8_lead(s, t, f, b & 0x0f, 2, 3);
    return utf8_lead(s, t, f, b & 0x07, 3, 4);
}

const struct ft_jframe *ft_json_char_byte(struct ft_scratch *s, const struct ft_jtables *t,
                                          const struct ft_jframe *f, uint8_t b)
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    static const uint32_t all[4] = {0, FT_CP_MAX, 1, 0};
    int digit = ft_hex_digit(b);
    switch (f->chr) {
    case FT_S_PLAIN:
        return plain_byte(s, t, f, b);
    case FT_S_UTF8: {
        if ((b & 0xc0) != 0x80)
            return NULL;
        return utf8_lead(s, t, f, f->cp << 6 | (b & 0x3fu), (uint8_t)((f->left & 15) - 1),
                         f->left >> 4);
    }
    case FT_S_ESC: {
        if (b == 'u')
            return partial(s, t, f, FT_S_HEX, 4, 0, all);
        const char *at = b != 0 ? strchr(from, b) : NULL;
        return at != NULL ? whole(s, t, f, (unsigned char)to[at - from]) : NULL;
    }
    case FT_S_HEX:
        return digit < 0 ? NULL
                         : hex_range(s, t, f, f->cp << 4 | (uint32_t)digit, (uint8_t)(f->left - 1));
    case FT_S_LOW_BS:
    case FT_S_LOW_U: {
        bool bs = f->chr == FT_S_LOW_BS;
        if (b != (bs ? '\\' : 'u'))
            return NULL;
        uint32_t base = 0x10000 + (((bs ? f->cp : f->cp >> 16) - 0xd800) << 10);
        uint32_t range[4] = {base, base + 0x3ff, 1, 0};
        return bs ? partial(s, t, f, FT_S_LOW_U, 0, f->cp << 16, range)
                  : partial(s, t, f, FT_S_LOW, 4, f->cp, range);
    }
    default:
        return digit < 0
                   ? NULL
                   : low_range(s, t, f,
                               (f->cp & 0xffff0000u) | ((f->cp << 4 | (uint32_t)digit) & 0xffff),
                               (uint8_t)(f->left - 1));
    }
}
