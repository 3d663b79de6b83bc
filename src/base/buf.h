/* Growable byte buffer with a named maximum. Not thread-safe.
 *
 * Appending returns 0 or a negative code (FT_ELIMIT past max_bytes, FT_ENOMEM), and after the first
 * failure every later append fails too, so a writer may append blindly and check once at the end.
 * `data` is always NUL-terminated once anything was appended. */
#ifndef FT_BASE_BUF_H
#define FT_BASE_BUF_H

#include <stddef.h>

struct ft_buf {
    char *data;
    size_t len, cap, max_bytes;
    int failed; /* 0, or the code of the first failed append */
};

void ft_buf_init(struct ft_buf *b, size_t max_bytes);
void ft_buf_fini(struct ft_buf *b);
void ft_buf_reset(struct ft_buf *b); /* empties, keeps the memory */

int ft_buf_reserve(struct ft_buf *b, size_t extra);
int ft_buf_add(struct ft_buf *b, const void *data, size_t n);
int ft_buf_add_str(struct ft_buf *b, const char *s);
int ft_buf_add_byte(struct ft_buf *b, unsigned char c);
int ft_buf_addf(struct ft_buf *b, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
