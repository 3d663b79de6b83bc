/* Text that is someone else's. */
#ifndef FT_BASE_SLICE_H
#define FT_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

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

/* The same, whatever the case of ASCII's letters. */
static inline bool ft_str_ends_as(const char *s, const char *tail)
{
    size_t n = strlen(s), m = strlen(tail);
    return n >= m && strcasecmp(s + n - m, tail) == 0;
}

/* Has s a control byte (of ASCII) that is not among `but`? */
static inline bool ft_str_has_control(const char *s, const char *but)
{
    for (; *s != '\0'; s++)
        if (((unsigned char)*s < 0x20 || *s == 0x7f) && strchr(but, *s) == NULL)
            return true;
    return false;
}

#endif
