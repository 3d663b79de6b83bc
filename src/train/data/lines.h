/* Files of one JSON text a line, read line by line in bounded memory. */
#ifndef FT_TRAIN_DATA_LINES_H
#define FT_TRAIN_DATA_LINES_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

#define FT_LINES_BYTES_MAX (64u << 20) /* of one line */

/* Gets each line that is not blank, without its newline; `line` counts all from 1. p is NULL for
 * one longer than FT_LINES_BYTES_MAX. A code other than 0 ends the reading. */
typedef int ft_lines_fn(void *ctx, int64_t line, const char *p, size_t n, struct ft_err *err);

/* path: "-" is standard input. A byte order mark at the beginning is left out. Returns what fn
 * returned, or FT_EIO, FT_ENOTFOUND, FT_ENOMEM. */
int ft_lines_read(const char *path, ft_lines_fn *fn, void *ctx, struct ft_err *err);

/* How messages call a file. */
const char *ft_lines_name(const char *path);

#endif
