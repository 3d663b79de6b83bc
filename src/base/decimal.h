/* Decimal strings as whole numbers: money never goes through floating point. */
#ifndef FT_BASE_DECIMAL_H
#define FT_BASE_DECIMAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define FT_DECIMAL_BYTES 32

/* An amount of nanos (at least 0) as people write it: two decimals, and as many more as there are.
 * Returns ret. */
static inline const char *ft_decimal_nanos(int64_t nanos, char ret[FT_DECIMAL_BYTES])
{
    int n = snprintf(ret, FT_DECIMAL_BYTES, "%lld.%09lld", (long long)(nanos / 1000000000),
                     (long long)(nanos % 1000000000));
    for (int cut = 0; cut < 7 && ret[n - 1] == '0'; cut++)
        ret[--n] = '\0';
    return ret;
}

/* "12.5" with 3 decimals is 12500. Digits, and perhaps a point and 1 .. `decimals` digits; no
 * sign, no exponent, no spaces. False for anything else, and above INT64_MAX. */
static inline bool ft_decimal_parse(const char *text, int decimals, int64_t *ret)
{
    int64_t value = 0;
    int after = -1; /* digits behind the point; -1: none yet */
    if (*text < '0' || *text > '9')
        return false;
    for (; *text != '\0'; text++) {
        if (*text == '.' && after < 0) {
            after = 0;
            continue;
        }
        if (*text < '0' || *text > '9' || after == decimals)
            return false;
        if (__builtin_mul_overflow(value, 10, &value) ||
            __builtin_add_overflow(value, *text - '0', &value))
            return false;
        after += after >= 0;
    }
    if (after == 0)
        return false;
    for (int i = after < 0 ? 0 : after; i < decimals; i++)
        if (__builtin_mul_overflow(value, 10, &value))
            return false;
    *ret = value;
    return true;
}

#endif
