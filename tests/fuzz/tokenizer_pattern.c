/* A pre-tokenizer's pattern (up to the first newline) over a text (the rest): bounded, whatever
 * both are. */
#include <jansson.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/token/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    const uint8_t *line = n == 0 ? NULL : memchr(data, '\n', n);
    if (line == NULL)
        return 0;
    json_t *pattern = json_stringn((const char *)data, (size_t)(line - data));
    if (pattern == NULL) /* not UTF-8: no JSON text has it */
        return 0;
    json_t *o = json_pack("{s:{s:s, s:{s:o}, s:s}, s:{s:{s:i}, s:[], s:s}}", "pre_tokenizer",
                          "type", "Split", "pattern", "Regex", pattern, "behavior",
                          "MergedWithNext", "model", "vocab", "?", 0, "merges", "unk_token", "?");
    char *text = json_dumps(o, JSON_COMPACT);
    struct ft_err err = {0};
    struct ft_tokenizer *t = NULL;
    if (text != NULL && ft_tokenizer_open_json(text, strlen(text), NULL, 0, &t, &err) == 0) {
        int32_t *ids = NULL;
        size_t n_ids = 0;
        ft_tokenizer_encode(t, (const char *)line + 1, n - (size_t)(line + 1 - data), 0, &ids,
                            &n_ids, &err);
        free(ids);
    }
    ft_tokenizer_close(t);
    free(text);
    json_decref(o);
    return 0;
}
