/* A pull reader of JSON text, for what is too large for a tree or whose size is outside our
 * control: a vocabulary and its merges are half a million values, safetensors headers may be many
 * megabytes.
 *
 * Each function reads one thing at the cursor and moves past it; after a failure (which fills the
 * error, with the offset) the cursor is of no use. Strings without escapes are slices of the text.
 */
#ifndef FT_BASE_JSON_SCAN_H
#define FT_BASE_JSON_SCAN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/slice.h"

#define FT_JSCAN_DEPTH_MAX 64

struct ft_jscan {
    const char *begin, *p, *end;
    struct ft_arena *arena; /* of strings that have escapes */
    struct ft_err *err;
};

void ft_jscan_init(struct ft_jscan *s, const char *text, size_t n, struct ft_arena *arena,
                   struct ft_err *err);
int ft_jscan_fail(struct ft_jscan *s, const char *what);

/* The next byte after white space without taking it; '\0' at the end. */
char ft_jscan_peek(struct ft_jscan *s);
/* Takes the byte c, or fails. */
int ft_jscan_take(struct ft_jscan *s, char c);
int ft_jscan_string(struct ft_jscan *s, struct ft_slice *ret);
/* A string of 1 to max bytes without NUL, as a NUL-terminated copy in the scanner's arena. */
int ft_jscan_name(struct ft_jscan *s, size_t max, const char **ret);
int ft_jscan_u64(struct ft_jscan *s, uint64_t *ret);
/* Moves over any value; *ret is its text. */
int ft_jscan_value(struct ft_jscan *s, struct ft_slice *ret);
/* In an object after '{' or in an array after '[': 1 if another member or element follows (a comma
 * between two is taken), 0 if `close` was taken, or a negative code. *first: true before the first.
 */
int ft_jscan_next(struct ft_jscan *s, char close, bool *first);
/* The same for an object, with the member's name and its ':' taken. */
int ft_jscan_member(struct ft_jscan *s, bool *first, struct ft_slice *ret_name);

#endif
