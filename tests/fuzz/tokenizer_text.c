/* Any text through small vocabularies, one of bytes and one of characters, and back exactly; whole
 * and streaming. The first byte chooses the flags. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "model/token/tokenizer.h"

/* The 256 bytes in GPT-2's alphabet, or as <0xXX>; a few merges; an added token that merges too. */
static struct ft_tokenizer *vocabulary(int bytes)
{
    struct ft_buf b;
    struct ft_err err = {0};
    struct ft_tokenizer *t = NULL;
    ft_buf_init(&b, 1 << 20);
    ft_buf_add_str(&b, "{\"added_tokens\":[{\"id\":400,\"content\":\"<s>\",\"special\":true},"
                       "{\"id\":401,\"content\":\"  ab\"}],");
    ft_buf_add_str(&b, bytes ? "\"pre_tokenizer\":{\"type\":\"ByteLevel\",\"add_prefix_space\":"
                               "false}"
                             : "\"normalizer\":{\"type\":\"Sequence\",\"normalizers\":[{\"type\":"
                               "\"Prepend\",\"prepend\":\"\\u2581\"},{\"type\":\"Replace\","
                               "\"pattern\":{\"String\":\" \"},\"content\":\"\\u2581\"}]}");
    ft_buf_add_str(&b, ",\"model\":{\"byte_fallback\":true,\"vocab\":{");
    for (unsigned c = 0, k = 0; c < 256; c++) {
        int plain = (c > 0x20 && c < 0x7f) || (c > 0xa0 && c != 0xad);
        if (bytes)
            ft_buf_addf(&b, "\"\\u%04x\":%u,", plain ? c : 0x100 + k++, c);
        else
            ft_buf_addf(&b, "\"<0x%02X>\":%u,", c, c);
    }
    const char *space = bytes ? "\\u0120" : "\\u2581";
    if (!bytes)
        ft_buf_addf(&b, "\"a\":256,\"b\":257,\"%s\":258,", space);
    ft_buf_addf(&b, "\"ab\":300,\"%sa\":301,\"%s%s\":302},", space, space, space);
    ft_buf_addf(&b, "\"merges\":[\"a b\",\"%s %s\",[\"%s\",\"a\"]]}}", space, space, space);
    if (ft_tokenizer_open_json(b.data, b.len, NULL, 0, &t, &err) != 0) {
        fprintf(stderr, "%s\n", err.msg);
        abort();
    }
    ft_buf_fini(&b);
    return t;
}

static void round_trip(const struct ft_tokenizer *t, const char *text, size_t n, unsigned flags)
{
    struct ft_err err = {0};
    int32_t *ids = NULL;
    size_t n_ids = 0;
    struct ft_buf whole, streamed;
    struct ft_detok d;
    ft_buf_init(&whole, 1 << 24);
    ft_buf_init(&streamed, 1 << 24);
    if (ft_tokenizer_encode(t, text, n, flags, &ids, &n_ids, &err) != 0 ||
        ft_tokenizer_decode(t, ids, n_ids, false, &whole, &err) != 0 || whole.len != n ||
        (n != 0 && memcmp(whole.data, text, n) != 0))
        abort();
    ft_detok_init(&d, t, false);
    for (size_t i = 0; i < n_ids; i++)
        ft_detok_push(&d, ids[i], &streamed);
    ft_detok_finish(&d, &streamed);
    if (streamed.len != 0 && !ft_utf8_valid(streamed.data, streamed.len))
        abort();
    if (n != 0 && ft_utf8_valid(text, n) &&
        (streamed.len != n || memcmp(streamed.data, text, n) != 0))
        abort();
    free(ids);
    ft_buf_fini(&whole);
    ft_buf_fini(&streamed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static struct ft_tokenizer *t[2];
    if (t[0] == NULL)
        for (int i = 0; i < 2; i++)
            t[i] = vocabulary(i);
    if (n < 1)
        return 0;
    for (int i = 0; i < 2; i++)
        round_trip(t[i], (const char *)data + 1, n - 1, data[0] & FT_TOK_SPECIAL);
    return 0;
}
