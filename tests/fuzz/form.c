/* multipart/form-data: the same parts however the bytes are cut, and within their bounds. */
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/utf8.h"
#include "net/form.h"

static int begin(void *ctx, const struct ft_form_part *p, struct ft_err *err)
{
    (void)err;
    FT_ASSERT(p->name[0] != '\0' && strlen(p->name) <= FT_FORM_NAME_MAX);
    FT_ASSERT(ft_utf8_valid(p->name, strlen(p->name)));
    ft_buf_addf(ctx, "<%s|%s|%s>", p->name, p->filename != NULL ? p->filename : "", p->type);
    return 0;
}

static int data(void *ctx, const void *bytes, size_t n, struct ft_err *err)
{
    (void)err;
    ft_buf_add(ctx, bytes, n);
    return 0;
}

static int end(void *ctx, struct ft_err *err)
{
    (void)err;
    ft_buf_add_str(ctx, "</>");
    return 0;
}

static int parse(const char *s, size_t n, size_t step, struct ft_buf *ret)
{
    static const struct ft_form_ops ops = {begin, data, end};
    struct ft_form *f;
    ft_buf_init(ret, 64u << 20);
    /* the first line may be the content type, for its own parser */
    const char *line = memchr(s, '\n', n);
    char type[200] = "multipart/form-data; boundary=XX";
    if (line != NULL && n > 9 && memcmp(s, "multipart", 9) == 0 && line - s < 199) {
        memcpy(type, s, (size_t)(line - s));
        type[line - s] = '\0';
        n -= (size_t)(line + 1 - s);
        s = line + 1;
    }
    int rc = ft_form_open(type, &ops, ret, &f, NULL);
    if (rc != 0)
        return rc;
    for (size_t i = 0; i < n && rc == 0; i += step)
        rc = ft_form_feed(f, s + i, FT_MIN(step, n - i), NULL);
    if (rc == 0)
        rc = ft_form_end(f, NULL);
    ft_form_close(f);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t n)
{
    struct ft_buf whole, cut;
    int rc = parse((const char *)bytes, n, n + 1, &whole);
    for (size_t step = 1; step <= 7; step += 3) {
        FT_ASSERT(parse((const char *)bytes, n, step, &cut) == rc);
        FT_ASSERT(cut.len == whole.len &&
                  (cut.len == 0 || memcmp(cut.data, whole.data, cut.len) == 0));
        ft_buf_fini(&cut);
    }
    ft_buf_fini(&whole);
    return 0;
}
