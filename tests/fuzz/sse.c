/* Server-sent events: however the bytes are cut, the events are the same, and within their bound;
 * what is written of an event's data is read back, line ends made alike. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "net/sse.h"

#define EVENT_MAX 4096

static int take(void *ctx, const struct ft_sse_event *e)
{
    FT_ASSERT(e->n <= EVENT_MAX && strlen(e->name) <= FT_SSE_NAME_MAX);
    FT_ASSERT(memchr(e->data, '\r', e->n) == NULL && e->data[e->n] == '\0');
    struct ft_buf *b = ctx;
    ft_buf_add_str(b, e->name);
    ft_buf_add_byte(b, '\0');
    ft_buf_add(b, e->data, e->n);
    ft_buf_add_byte(b, '\0');
    return 0;
}

static int parse(const char *s, size_t n, size_t step, struct ft_buf *ret)
{
    struct ft_sse_parser p;
    ft_buf_init(ret, 64u << 20);
    ft_sse_init(&p, EVENT_MAX, take, ret);
    int rc = 0;
    for (size_t i = 0; i < n && rc == 0; i += step)
        rc = ft_sse_feed(&p, s + i, FT_MIN(step, n - i));
    ft_sse_fini(&p);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *s = (const char *)data;
    struct ft_buf whole, cut, written;
    int rc = parse(s, n, n + 1, &whole);
    for (size_t step = 1; step <= 7; step += 3) {
        int again = parse(s, n, step, &cut);
        /* a line too long is found when it is cut, also where its field is of no interest */
        if (again == 0)
            FT_ASSERT(rc == 0 && cut.len == whole.len &&
                      (cut.len == 0 || memcmp(cut.data, whole.data, cut.len) == 0));
        ft_buf_fini(&cut);
    }
    ft_buf_fini(&whole);
    ft_buf_init(&written, 64u << 20);
    ft_sse_write(&written, "e", s, n);
    rc = parse(written.data, written.len, 5, &cut);
    FT_ASSERT(rc == 0 || n > EVENT_MAX / 8);
    FT_ASSERT(rc != 0 || (cut.len >= 3 && memcmp(cut.data, "e", 2) == 0));
    ft_buf_fini(&cut);
    ft_buf_fini(&written);
    return 0;
}
