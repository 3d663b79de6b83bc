/* UTF-8: what is called valid decodes and encodes back to the same bytes, and what is held back as
 * a cut-off character is at most three bytes that some continuation completes. */
#include <string.h>

#include "base/err.h"
#include "base/utf8.h"

static void check_round_trip(const char *s, size_t n)
{
    for (size_t i = 0; i < n;) {
        char back[FT_UTF8_BYTES_MAX];
        uint32_t cp = 0;
        int len = ft_utf8_decode(s + i, n - i, &cp);
        FT_ASSERT(len >= 1 && len <= FT_UTF8_BYTES_MAX);
        FT_ASSERT(ft_utf8_encode(cp, back) == len && memcmp(back, s + i, (size_t)len) == 0);
        i += (size_t)len;
    }
}

static void check_tail(const char *s, size_t n)
{
    size_t tail = ft_utf8_tail(s, n);
    FT_ASSERT(tail <= 3 && tail <= n);
    if (tail == 0)
        return;
    char whole[FT_UTF8_BYTES_MAX + 3];
    memcpy(whole, s + n - tail, tail);
    size_t len = (size_t)ft_utf8_lead_len((unsigned char)whole[0]);
    FT_ASSERT(len > tail);
    bool done = false;
    for (int c = 0x80; c <= 0xbf && !done; c++) { /* the first byte missing decides */
        memset(whole + tail, 0x80, len - tail);
        whole[tail] = (char)c;
        done = ft_utf8_decode(whole, len, NULL) == (int)len;
    }
    FT_ASSERT(done);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const char *s = (const char *)data;
    size_t valid = ft_utf8_valid_len(s, n);
    FT_ASSERT(valid <= n && (valid == n) == ft_utf8_valid(s, n));
    check_round_trip(s, valid);
    if (valid < n)
        FT_ASSERT(ft_utf8_decode(s + valid, n - valid, NULL) == 0);
    check_tail(s, n);
    return 0;
}
