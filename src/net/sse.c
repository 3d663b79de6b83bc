/* Server-sent events. Whole lines are read where they lie; only a line cut off at the end of a
 * piece is copied. */
#include "net/sse.h"

#include <string.h>

#include "base/utf8.h"

void ft_sse_init(struct ft_sse_parser *p, size_t event_bytes_max, ft_sse_fn *fn, void *ctx)
{
    *p = (struct ft_sse_parser){.fn = fn, .ctx = ctx};
    ft_buf_init(&p->data, event_bytes_max);
    ft_buf_init(&p->line, event_bytes_max);
}

void ft_sse_fini(struct ft_sse_parser *p)
{
    ft_buf_fini(&p->data);
    ft_buf_fini(&p->line);
}

static int dispatch(struct ft_sse_parser *p)
{
    int rc = 0;
    if (p->has_data) {
        struct ft_sse_event e = {
            .name = p->name, .data = p->data.data != NULL ? p->data.data : "", .n = p->data.len};
        rc = p->fn(p->ctx, &e);
    }
    ft_buf_reset(&p->data);
    p->name[0] = '\0';
    p->has_data = false;
    return rc;
}

static int take_line(struct ft_sse_parser *p, const char *s, size_t n)
{
    if (!p->begun) {
        p->begun = true;
        size_t mark = ft_utf8_mark_len(s, n);
        s += mark;
        n -= mark;
    }
    if (n == 0)
        return dispatch(p);
    const char *colon = memchr(s, ':', n);
    size_t n_field = colon != NULL ? (size_t)(colon - s) : n;
    const char *value = s + n_field + (colon != NULL);
    size_t n_value = n - n_field - (colon != NULL);
    if (n_value != 0 && value[0] == ' ') {
        value++;
        n_value--;
    }
    if (n_field == 4 && memcmp(s, "data", 4) == 0) {
        if (p->has_data)
            ft_buf_add_byte(&p->data, '\n');
        p->has_data = true;
        ft_buf_add(&p->data, value, n_value);
        return p->data.failed;
    }
    if (n_field == 5 && memcmp(s, "event", 5) == 0) {
        size_t k = n_value < FT_SSE_NAME_MAX ? n_value : FT_SSE_NAME_MAX;
        memcpy(p->name, value, k);
        p->name[k] = '\0';
    }
    return 0; /* comments (an empty field), id, retry, what nobody knows */
}

/* The first CR or LF of s, or NULL. */
static const char *line_end(const char *s, size_t n)
{
    const char *lf = memchr(s, '\n', n);
    const char *cr = memchr(s, '\r', lf != NULL ? (size_t)(lf - s) : n);
    return cr != NULL ? cr : lf;
}

int ft_sse_feed(struct ft_sse_parser *p, const char *bytes, size_t n)
{
    const char *s = bytes, *end = bytes + n;
    while (s < end) {
        if (p->skip_lf) {
            p->skip_lf = false;
            if (*s == '\n') {
                s++;
                continue;
            }
        }
        const char *stop = line_end(s, (size_t)(end - s));
        size_t len = (size_t)((stop != NULL ? stop : end) - s);
        if (stop == NULL || p->line.len != 0) {
            int rc = ft_buf_add(&p->line, s, len);
            if (rc != 0)
                return rc;
        }
        if (stop == NULL)
            return 0;
        p->skip_lf = *stop == '\r';
        int rc = p->line.len != 0 ? take_line(p, p->line.data, p->line.len) : take_line(p, s, len);
        if (rc != 0)
            return rc;
        ft_buf_reset(&p->line);
        s = stop + 1;
    }
    return 0;
}

void ft_sse_write(struct ft_buf *b, const char *name, const char *data, size_t n)
{
    if (name != NULL && name[0] != '\0' && strpbrk(name, "\r\n") == NULL) {
        ft_buf_add_str(b, "event: ");
        ft_buf_add_str(b, name);
        ft_buf_add_byte(b, '\n');
    }
    for (;;) {
        const char *stop = line_end(data, n);
        size_t len = stop != NULL ? (size_t)(stop - data) : n;
        ft_buf_add_str(b, "data: ");
        ft_buf_add(b, data, len);
        ft_buf_add_byte(b, '\n');
        if (stop == NULL)
            break;
        len += 1 + (stop[0] == '\r' && n - len > 1 && stop[1] == '\n');
        data += len;
        n -= len;
    }
    ft_buf_add_byte(b, '\n');
}
