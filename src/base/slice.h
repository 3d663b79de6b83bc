/* Text that is someone else's. */
#ifndef FT_BASE_SLICE_H
#define FT_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

/* A view of bytes; not NUL-terminated, may hold any bytes. */
struct ft_slice {
    const char *p;
    size_t n;
};

/* Does s end in tail? */
static inline bool ft_str_ends(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && memcmp(s + n - m, tail, m) == 0;
}

#endif
