/* Bodies in aws-chunked: the same bytes come out however they are cut on the way, and within what
 * was said of them. The first byte chooses the form and the sizes; signatures are not known, so
 * signed forms get as far as the first of them. */
#include <stdint.h>
#include <string.h>

#include "api/s3/body.h"

struct source {
    const uint8_t *data;
    size_t n, at, step;
};
static struct source source;

static int64_t read_some(struct ft_s3_call *c, void *data, size_t n, struct ft_err *err)
{
    (void)c;
    (void)err;
    size_t k = FT_MIN(FT_MIN(n, source.step), source.n - source.at);
    memcpy(data, source.data + source.at, k);
    source.at += k;
    return (int64_t)k;
}

static int decode(const uint8_t *data, size_t n, int form, size_t step, struct ft_buf *ret,
                  enum ft_s3_code *ret_code)
{
    static struct ft_s3_call c;
    struct ft_arena arena;
    const struct ft_http_field fields[] = {{"x-amz-decoded-content-length", "20"},
                                           {"x-amz-trailer", "x-amz-checksum-crc32"}};
    struct ft_http_exchange x = {
        .method = "PUT", .target = "/b/k", .content_length = -1, .fields = fields};
    memset(&c, 0, sizeof c);
    ft_arena_init(&arena, 1 << 20);
    c.arena = &arena;
    c.x = &x;
    c.read = read_some;
    c.auth.payload = form == 0   ? FT_SIGV4_P_UNSIGNED_TRAILER
                     : form == 1 ? FT_SIGV4_P_CHUNKS_TRAILER
                     : form == 2 ? FT_SIGV4_P_CHUNKS
                                 : FT_SIGV4_P_UNSIGNED;
    x.n_fields = form < 2 ? 2 : 1;
    source = (struct source){data, n, 0, step};
    ft_buf_init(ret, 64u << 20);
    int rc = ft_s3_body_open(&c, 1 << 16, FT_S3_SUM_NONE);
    while (rc == 0) {
        const void *piece;
        size_t k;
        rc = ft_s3_body_next(&c, &piece, &k);
        if (rc != 0 || k == 0)
            break;
        ft_buf_add(ret, piece, k);
    }
    FT_ASSERT(ret->len <= (form < 3 ? 20u : 1u << 16));
    FT_ASSERT(rc != 0 || form == 3 || ret->len == 20);
    *ret_code = c.code;
    if (c.body != NULL)
        ft_s3_body_close(&c);
    ft_arena_fini(&arena);
    return rc;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0 || size > 1 << 16)
        return 0;
    int form = data[0] & 3;
    struct ft_buf whole, cut;
    enum ft_s3_code a, b;
    int rc = decode(data + 1, size - 1, form, size, &whole, &a);
    int rc2 = decode(data + 1, size - 1, form, (size_t)(data[0] >> 2) % 7 + 1, &cut, &b);
    FT_ASSERT(rc == rc2 && a == b);
    FT_ASSERT(rc != 0 || (whole.len == cut.len &&
                          (whole.len == 0 || memcmp(whole.data, cut.data, whole.len) == 0)));
    ft_buf_fini(&whole);
    ft_buf_fini(&cut);
    return 0;
}
