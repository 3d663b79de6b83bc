/* Unicode as Python sees it: decoding, character classes, case mapping of whole strings. */
#ifndef FT_MODEL_JINJA_UNICODE_H
#define FT_MODEL_JINJA_UNICODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Reads one code point of valid UTF-8 and advances. */
static inline uint32_t ju_next(const char **p)
{
    const unsigned char *s = (const unsigned char *)*p;
    if (s[0] < 0x80) {
        *p += 1;
        return s[0];
    }
    if (s[0] < 0xe0) {
        *p += 2;
        return (s[0] & 0x1fu) << 6 | (s[1] & 0x3fu);
    }
    if (s[0] < 0xf0) {
        *p += 3;
        return (s[0] & 0xfu) << 12 | (s[1] & 0x3fu) << 6 | (s[2] & 0x3fu);
    }
    *p += 4;
    return (s[0] & 7u) << 18 | (s[1] & 0x3fu) << 12 | (s[2] & 0x3fu) << 6 | (s[3] & 0x3fu);
}
/* The code point before p. */
static inline uint32_t ju_prev(const char **p)
{
    do
        --*p;
    while (((unsigned char)**p & 0xc0) == 0x80);
    const char *q = *p;
    return ju_next(&q);
}
int ju_put(char *out, uint32_t cp); /* bytes written, at most 4 */
/* Bytes up to the first invalid one; n if all is valid UTF-8. */
size_t ju_valid(const char *s, size_t n);

bool ju_space(uint32_t cp);
bool ju_alpha(uint32_t cp);
bool ju_decimal(uint32_t cp);
bool ju_digit(uint32_t cp);
bool ju_numeric(uint32_t cp);
bool ju_upper(uint32_t cp); /* is upper case */
bool ju_lower(uint32_t cp);
bool ju_title(uint32_t cp);
bool ju_printable(uint32_t cp);
bool ju_ident_start(uint32_t cp);
bool ju_ident(uint32_t cp);
bool ju_word(uint32_t cp); /* \w */

/* Case mapping of one code point in full (up to 3 code points out). `at` points into s, for the
 * final sigma. */
enum ju_case { JU_UPPER, JU_LOWER, JU_TITLE, JU_FOLD };
int ju_map(enum ju_case c, uint32_t cp, uint32_t out[3]);
bool ju_final_sigma(const char *s, size_t n, const char *at, size_t at_n);

#endif
