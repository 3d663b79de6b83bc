/* Bytes as digits: hashes, in lower case. */
#ifndef FT_BASE_HEX_H
#define FT_BASE_HEX_H

#include <stddef.h>
#include <stdint.h>

/* ret: 2 * n digits and a NUL. */
static inline void ft_hex(const uint8_t *bytes, size_t n, char *ret)
{
    static const char digit[] = "0123456789abcdef";
    for (size_t i = 0; i < n; i++) {
        ret[2 * i] = digit[bytes[i] >> 4];
        ret[2 * i + 1] = digit[bytes[i] & 15];
    }
    ret[2 * n] = '\0';
}

#endif
