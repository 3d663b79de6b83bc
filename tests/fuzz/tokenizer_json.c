/* Any bytes as tokenizer.json; where they are one, a text through it and back. */
#include <stdint.h>
#include <stdlib.h>

#include "model/token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    static const char text[] = "The <x> q\xc3\xbcick 123 \xe5\xad\x97\n\n  'll \xff</s>";
    struct ft_err err = {0};
    struct ft_tokenizer *t = NULL;
    if (ft_tokenizer_open_json((const char *)data, n, NULL, 0, &t, &err) != 0)
        return 0;
    int32_t *ids = NULL;
    size_t n_ids = 0;
    struct ft_buf out;
    ft_buf_init(&out, 1 << 20);
    if (ft_tokenizer_encode(t, text, sizeof text - 1, FT_TOK_SPECIAL | FT_TOK_BOS | FT_TOK_EOS,
                            &ids, &n_ids, &err) == 0 &&
        ft_tokenizer_decode(t, ids, n_ids, false, &out, &err) != 0)
        abort(); /* what encoding gives are ids */
    free(ids);
    ft_buf_fini(&out);
    ft_tokenizer_close(t);
    return 0;
}
