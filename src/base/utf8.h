/* UTF-8: decode, encode, validate, and find a character cut off at the end of a piece.
 *
 * Strict, as in RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef FT_BASE_UTF8_H
#define FT_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define FT_UTF8_BYTES_MAX   4
#define FT_UTF8_REPLACEMENT 0xfffdu

/* Length of the character that the lead byte announces (1 .. 4), or 0 if no character begins so. */
static inline int ft_utf8_lead_len(unsigned char c)
{
    return c < 0x80 ? 1 : c < 0xc2 ? 0 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : c < 0xf5 ? 4 : 0;
}

/* True if `c` may be the second byte after `lead`: rules out overlong forms, surrogates and
 * what lies past U+10FFFF. */
static inline bool ft_utf8_second_ok(unsigned char lead, unsigned char c)
{
    unsigned lo = lead == 0xe0 ? 0xa0 : lead == 0xf0 ? 0x90 : 0x80;
    unsigned hi = lead == 0xed ? 0x9f : lead == 0xf4 ? 0x8f : 0xbf;
    return c >= lo && c <= hi;
}

/* Decodes the character at s. Returns its length, 1 .. 4, or 0 if there is none: n is 0, the bytes
 * are not UTF-8, or the character is cut off (ft_utf8_tail tells). ret_cp may be NULL. */
static inline int ft_utf8_decode(const char *s, size_t n, uint32_t *ret_cp)
{
    const unsigned char *p = (const unsigned char *)s;
    int len = n == 0 ? 0 : ft_utf8_lead_len(p[0]);
    if (len == 0 || (size_t)len > n || (len > 1 && !ft_utf8_second_ok(p[0], p[1])))
        return 0;
    uint32_t cp = len == 1 ? p[0] : p[0] & (0x7fu >> len);
    for (int i = 1; i < len; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
        cp = cp << 6 | (p[i] & 0x3fu);
    }
    if (ret_cp != NULL)
        *ret_cp = cp;
    return len;
}

/* Writes cp's bytes, at most FT_UTF8_BYTES_MAX, without a NUL. Returns how many; 0 if cp is a
 * surrogate or above U+10FFFF. */
static inline int ft_utf8_encode(uint32_t cp, char *ret)
{
    if (cp < 0x80) {
        ret[0] = (char)cp;
        return 1;
    }
    if (cp < 0x800) {
        ret[0] = (char)(0xc0 | cp >> 6);
        ret[1] = (char)(0x80 | (cp & 0x3f));
        return 2;
    }
    if (cp < 0x10000) {
        if (cp >= 0xd800 && cp < 0xe000)
            return 0;
        ret[0] = (char)(0xe0 | cp >> 12);
        ret[1] = (char)(0x80 | (cp >> 6 & 0x3f));
        ret[2] = (char)(0x80 | (cp & 0x3f));
        return 3;
    }
    if (cp > 0x10ffff)
        return 0;
    ret[0] = (char)(0xf0 | cp >> 18);
    ret[1] = (char)(0x80 | (cp >> 12 & 0x3f));
    ret[2] = (char)(0x80 | (cp >> 6 & 0x3f));
    ret[3] = (char)(0x80 | (cp & 0x3f));
    return 4;
}

/* Length of the longest prefix that is whole, valid characters; n if all of it is. */
static inline size_t ft_utf8_valid_len(const char *s, size_t n)
{
    size_t i = 0;
    while (i < n) {
        int len = ft_utf8_decode(s + i, n - i, NULL);
        if (len == 0)
            break;
        i += (size_t)len;
    }
    return i;
}

static inline bool ft_utf8_valid(const char *s, size_t n)
{
    return ft_utf8_valid_len(s, n) == n;
}

/* Length of the byte order mark that a text begins with, which is none of its characters; or 0. */
static inline size_t ft_utf8_mark_len(const char *s, size_t n)
{
    return n >= 3 && memcmp(s, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
}

/* How many bytes at the end (0 .. 3) begin a character that more bytes could complete. A stream
 * holds these back until the rest comes; bytes that nothing can make valid are not counted. */
static inline size_t ft_utf8_tail(const char *s, size_t n)
{
    const unsigned char *p = (const unsigned char *)s;
    for (size_t back = 1; back <= 3 && back <= n; back++) {
        unsigned char c = p[n - back];
        if ((c & 0xc0) == 0x80)
            continue;
        size_t len = (size_t)ft_utf8_lead_len(c);
        if (len <= back) /* whole, or no lead byte at all */
            return 0;
        return back == 1 || ft_utf8_second_ok(c, p[n - back + 1]) ? back : 0;
    }
    return 0;
}

#endif
