/* A view of bytes owned by someone else; not NUL-terminated, may hold any bytes. */
#ifndef FT_BASE_SLICE_H
#define FT_BASE_SLICE_H

#include <stddef.h>

struct ft_slice {
    const char *p;
    size_t n;
};

#endif
