/* A JSON scanner that allocates nothing: for headers whose size is outside our control (safetensors
 * headers and indexes may be many megabytes), where a tree would take many times their bytes.
 *
 * Forward only. Every function returns false at the first thing that is not as expected, and then
 * nothing after it may be trusted. What is skipped is checked for its structure only. */
#ifndef FT_MODEL_SCAN_H
#define FT_MODEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"

struct ft_scan {
    const char *p, *end;
};

void ft_scan_space(struct ft_scan *s);
/* Skips white space, then takes the character c. */
bool ft_scan_char(struct ft_scan *s, char c);
/* As ft_scan_char, but leaves everything in place when the next character is another. */
bool ft_scan_maybe(struct ft_scan *s, char c);
/* A string of 1 to max bytes without control bytes, unescaped, copied to the arena. */
bool ft_scan_string(struct ft_scan *s, struct ft_arena *a, size_t max, const char **ret);
/* A whole number from 0 to INT64_MAX. */
bool ft_scan_uint(struct ft_scan *s, int64_t *ret);
/* Any value, nested at most 16 deep. */
bool ft_scan_skip(struct ft_scan *s);

#endif
