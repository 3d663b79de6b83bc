/* Figures as people read them. */
#ifndef FT_BASE_FIGURE_H
#define FT_BASE_FIGURE_H

#include <stdint.h>
#include <stdio.h>

#include "base/err.h"

#define FT_FIGURE_BYTES 32

/* Into out (FT_FIGURE_BYTES), which is returned: "4.1 MiB". */
static inline const char *ft_figure_bytes(char *out, uint64_t bytes)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double v = (double)bytes;
    size_t u = 0;
    for (; v >= 1024 && u + 1 < FT_COUNT(units); u++)
        v /= 1024;
    snprintf(out, FT_FIGURE_BYTES, u == 0 ? "%.0f %s" : "%.1f %s", v, units[u]);
    return out;
}

#endif
