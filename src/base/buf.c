/* Growable byte buffer. */
#include "base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

void ft_buf_init(struct ft_buf *b, size_t max_bytes)
{
    *b = (struct ft_buf){.max_bytes = max_bytes};
}

void ft_buf_fini(struct ft_buf *b)
{
    free(b->data);
    *b = (struct ft_buf){.max_bytes = b->max_bytes};
}

void ft_buf_reset(struct ft_buf *b)
{
    b->len = 0;
    b->failed = 0;
    if (b->data != NULL)
        b->data[0] = '\0';
}

int ft_buf_reserve(struct ft_buf *b, size_t extra)
{
    if (b->failed != 0)
        return b->failed;
    if (extra > b->max_bytes - b->len)
        return b->failed = FT_ELIMIT;
    size_t need = b->len + extra + 1;
    if (need <= b->cap)
        return 0;
    size_t cap = b->cap < 64 ? 64 : b->cap;
    while (cap < need)
        cap = cap > need / 2 ? cap * 2 : need;
    char *p = realloc(b->data, cap);
    if (p == NULL)
        return b->failed = FT_ENOMEM;
    b->data = p;
    b->cap = cap;
    return 0;
}

int ft_buf_add(struct ft_buf *b, const void *data, size_t n)
{
    int rc = ft_buf_reserve(b, n);
    if (rc != 0)
        return rc;
    if (n != 0)
        memcpy(b->data + b->len, data, n);
    b->len += n;
    b->data[b->len] = '\0';
    return 0;
}

int ft_buf_add_str(struct ft_buf *b, const char *s)
{
    return ft_buf_add(b, s, strlen(s));
}

int ft_buf_add_byte(struct ft_buf *b, unsigned char c)
{
    return ft_buf_add(b, &c, 1);
}

int ft_buf_addf(struct ft_buf *b, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    va_list again;
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, fmt, ap);
    va_end(ap);
    int rc = n < 0 ? FT_EINVAL : ft_buf_reserve(b, (size_t)n);
    if (rc == 0) {
        vsnprintf(b->data + b->len, (size_t)n + 1, fmt, again);
        b->len += (size_t)n;
    }
    va_end(again);
    return rc;
}
