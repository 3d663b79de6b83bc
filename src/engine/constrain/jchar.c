/* Characters byte by byte: see jchar.h. */
#include "engine/constrain/jchar.h"

#include <string.h>

#include "engine/constrain/utf8.h"

static enum ft_jchar_result part(struct ft_jchar *c, enum ft_jchar_kind kind, uint8_t left,
                                 uint32_t cp)
{
    c->kind = (uint8_t)kind;
    c->left = left;
    c->cp = cp;
    return FT_JCHAR_PART;
}

static enum ft_jchar_result whole(struct ft_jchar *c, uint32_t cp)
{
    *c = (struct ft_jchar){cp, FT_S_PLAIN, 0};
    return FT_JCHAR_WHOLE;
}

/* `left` bytes are to come of `bytes`; overlong forms and surrogates end as soon as nothing else
 * can follow. */
static enum ft_jchar_result utf8(struct ft_jchar *c, uint32_t cp, uint8_t left, uint8_t bytes,
                                 uint32_t range[4])
{
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    uint32_t lo = cp << (6 * left), hi = lo + (1u << (6 * left)) - 1;
    lo = lo > least[bytes] ? lo : least[bytes];
    hi = hi < FT_CP_MAX ? hi : FT_CP_MAX;
    if (lo < 0xd800 && hi >= 0xd800 && hi <= 0xdfff)
        hi = 0xd7ff;
    if (lo > hi || (lo >= 0xd800 && hi <= 0xdfff))
        return FT_JCHAR_BAD;
    if (left == 0)
        return whole(c, cp);
    range[0] = lo;
    range[1] = hi;
    return part(c, FT_S_UTF8, (uint8_t)(bytes << 4 | left), cp);
}

enum ft_jchar_result ft_jchar_step_raw(struct ft_jchar *c, uint8_t b, uint32_t range[4])
{
    range[2] = 1;
    range[3] = 0;
    if (c->kind == FT_S_UTF8)
        return (b & 0xc0) != 0x80 ? FT_JCHAR_BAD
                                  : utf8(c, c->cp << 6 | (b & 0x3fu), (uint8_t)((c->left & 15) - 1),
                                         c->left >> 4, range);
    if (b < 0x80)
        return whole(c, b);
    if (b < 0xc2 || b > 0xf4)
        return FT_JCHAR_BAD;
    uint8_t bytes = b < 0xe0 ? 2 : b < 0xf0 ? 3 : 4;
    return utf8(c, b & (0x7fu >> bytes), (uint8_t)(bytes - 1), bytes, range);
}

/* v: the digits of \uXXXX read so far, `left` to come. A high surrogate stands for a range of
 * characters past U+FFFF; a low one stands for nothing. */
static enum ft_jchar_result hex(struct ft_jchar *c, uint32_t v, uint8_t left, uint32_t range[4])
{
    uint32_t lo = v << (4 * left), hi = lo + (1u << (4 * left)) - 1;
    range[0] = lo;
    range[1] = hi;
    if (lo <= 0xdfff && hi >= 0xd800) {
        uint32_t a = lo > 0xd800 ? lo : 0xd800, b = hi < 0xdbff ? hi : 0xdbff;
        if (a <= b) {
            range[2] = 0x10000 + ((a - 0xd800) << 10);
            range[3] = 0x10000 + ((b - 0xd800) << 10) + 0x3ff;
        }
        if (lo < 0xd800) {
            range[1] = 0xd7ff;
        } else { /* the first digit is d: nothing past the surrogates is left */
            range[0] = 1;
            range[1] = 0;
        }
    }
    if (left > 0)
        return range[0] > range[1] && range[2] > range[3] ? FT_JCHAR_BAD
                                                          : part(c, FT_S_HEX, left, v);
    if (v >= 0xd800 && v <= 0xdbff)
        return part(c, FT_S_LOW_BS, 0, v);
    return range[0] <= range[1] ? whole(c, v) : FT_JCHAR_BAD;
}

/* cp: the high surrogate in the upper half, the digits of the low one read so far below. */
static enum ft_jchar_result low(struct ft_jchar *c, uint32_t cp, uint8_t left, uint32_t range[4])
{
    uint32_t v = cp & 0xffff, base = 0x10000 + (((cp >> 16) - 0xd800) << 10);
    uint32_t lo = v << (4 * left), hi = lo + (1u << (4 * left)) - 1;
    lo = lo > 0xdc00 ? lo : 0xdc00;
    hi = hi < 0xdfff ? hi : 0xdfff;
    if (lo > hi)
        return FT_JCHAR_BAD;
    if (left == 0)
        return whole(c, base + (v - 0xdc00));
    range[0] = base + (lo - 0xdc00);
    range[1] = base + (hi - 0xdc00);
    return part(c, FT_S_LOW, left, cp);
}

enum ft_jchar_result ft_jchar_step(struct ft_jchar *c, uint8_t b, uint32_t range[4])
{
    static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
    int digit = ft_hex_digit(b);
    range[0] = 0;
    range[1] = FT_CP_MAX;
    range[2] = 1;
    range[3] = 0;
    switch (c->kind) {
    case FT_S_PLAIN:
        if (b < 0x20)
            return FT_JCHAR_BAD;
        return b == '\\' ? part(c, FT_S_ESC, 0, 0) : ft_jchar_step_raw(c, b, range);
    case FT_S_UTF8:
        return ft_jchar_step_raw(c, b, range);
    case FT_S_ESC: {
        if (b == 'u')
            return part(c, FT_S_HEX, 4, 0);
        const char *at = b != 0 ? strchr(from, b) : NULL;
        return at != NULL ? whole(c, (unsigned char)to[at - from]) : FT_JCHAR_BAD;
    }
    case FT_S_HEX:
        return digit < 0 ? FT_JCHAR_BAD
                         : hex(c, c->cp << 4 | (uint32_t)digit, (uint8_t)(c->left - 1), range);
    case FT_S_LOW_BS:
    case FT_S_LOW_U: {
        bool bs = c->kind == FT_S_LOW_BS;
        if (b != (bs ? '\\' : 'u'))
            return FT_JCHAR_BAD;
        range[0] = 0x10000 + (((bs ? c->cp : c->cp >> 16) - 0xd800) << 10);
        range[1] = range[0] + 0x3ff;
        return bs ? part(c, FT_S_LOW_U, 0, c->cp << 16) : part(c, FT_S_LOW, 4, c->cp);
    }
    default:
        return digit < 0 ? FT_JCHAR_BAD
                         : low(c, (c->cp & 0xffff0000u) | ((c->cp << 4 | (uint32_t)digit) & 0xffff),
                               (uint8_t)(c->left - 1), range);
    }
}
