/* UTF-8, strict: no surrogates, no overlong forms, nothing past U+10FFFF. */
#ifndef FT_CONSTRAIN_UTF8_H
#define FT_CONSTRAIN_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define FT_CP_MAX 0x10ffffu

static inline int ft_hex_digit(unsigned char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

/* Writes at most 4 bytes; returns how many. */
static inline int ft_utf8_put(uint32_t cp, char *out)
{
    if (cp < 0x80) {
        out[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        out[0] = (char)(0xc0 | cp >> 6);
        out[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        out[0] = (char)(0xe0 | cp >> 12);
        out[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        out[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | cp >> 18);
    out[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    out[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    out[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* Bytes of the character at p, 0 if there is none. */
static inline int ft_utf8_get(const char *p, size_t n, uint32_t *ret_cp)
{
    if (n == 0)
        return 0;
    unsigned char b = (unsigned char)p[0];
    if (b < 0x80) {
        *ret_cp = b;
        return 1;
    }
    int len = b >= 0xf0 ? 4 : b >= 0xe0 ? 3 : 2;
    if (b < 0xc2 || b > 0xf4 || (size_t)len > n)
        return 0;
    uint32_t cp = b & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (c & 0x3fu);
    }
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    if (cp < least[len] || cp > FT_CP_MAX || (cp >= 0xd800 && cp <= 0xdfff))
        return 0;
    *ret_cp = cp;
    return len;
}

#endif
