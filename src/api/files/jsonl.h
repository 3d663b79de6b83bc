/* JSON Lines checked as they come: every line is an object, whole and well-formed. Nothing of them
 * is kept, so memory is one struct whatever the length of a line. Empty lines (white space) are
 * passed over. */
#ifndef FT_API_FILES_JSONL_H
#define FT_API_FILES_JSONL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_JSONL_DEPTH_MAX 128
#define FT_JSONL_LINE_MAX  (16u << 20) /* bytes of a line, its newline not counted */

struct ft_jsonl {
    uint8_t state, depth;
    bool failed;
    uint8_t utf8_left;                        /* bytes that the character still has */
    uint8_t utf8_low, utf8_high;              /* what the next of them may be */
    uint8_t left;                             /* of \uXXXX, and of a literal's rest */
    bool is_name;                             /* the string is a member's name */
    const char *literal;                      /* what a literal goes on with */
    uint8_t is_array[FT_JSONL_DEPTH_MAX / 8]; /* a bit a level */
    int64_t line, n_objects;                  /* the line that is read, from 1; whole ones so far */
    int64_t line_bytes;
    struct ft_err err; /* once failed: names the line */
};

void ft_jsonl_init(struct ft_jsonl *j);
/* Goes on after a failure without looking; the first is kept. */
void ft_jsonl_feed(struct ft_jsonl *j, const void *data, size_t n);
/* The file is over. 0: all lines are objects, and there is one at least; FT_EINVAL: "line 3: ...".
 */
int ft_jsonl_end(struct ft_jsonl *j, struct ft_err *err);

#endif
