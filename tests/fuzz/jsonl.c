/* JSON Lines: the same verdict however the bytes are cut; what is taken, jansson takes line by
 * line, and what jansson takes as objects is taken, but for what only a tree has to refuse. */
#include <jansson.h>
#include <stdint.h>
#include <string.h>

#include "api/files/jsonl.h"

static int verdict(const uint8_t *data, size_t n, size_t step, struct ft_err *err)
{
    struct ft_jsonl j;
    ft_jsonl_init(&j);
    for (size_t i = 0; i < n; i += step)
        ft_jsonl_feed(&j, data + i, FT_MIN(step, n - i));
    return ft_jsonl_end(&j, err);
}

/* 1: all lines are objects; 0: one is not; -1: refused for what is no matter of form. */
static int oracle(const char *text, size_t n)
{
    int objects = 0;
    for (const char *end = text + n; text < end;) {
        const char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t len = (size_t)((newline != NULL ? newline : end) - text);
        size_t white = 0;
        while (white < len && (text[white] == ' ' || text[white] == '\t' || text[white] == '\r'))
            white++;
        if (white < len) {
            json_error_t why;
            json_t *v = json_loadb(text, len, JSON_ALLOW_NUL, &why);
            bool object = json_is_object(v);
            json_decref(v);
            if (v == NULL && (json_error_code(&why) == json_error_numeric_overflow ||
                              strstr(why.text, "surrogate") != NULL ||
                              strstr(why.text, "invalid Unicode") != NULL ||
                              strstr(why.text, "NUL byte") != NULL ||
                              json_error_code(&why) == json_error_null_byte_in_key))
                return -1;
            if (!object)
                return 0;
            objects++;
        }
        text += len + (newline != NULL);
    }
    return objects > 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    struct ft_err err = {0}, again = {0};
    int rc = verdict(data, n, n + 1, &err);
    for (size_t step = 1; step <= 7; step += 3) {
        FT_ASSERT(verdict(data, n, step, &again) == rc);
        FT_ASSERT(strcmp(err.msg, again.msg) == 0);
    }
    int want = oracle((const char *)data, n);
    FT_ASSERT(want < 0 || (rc == 0) == (want == 1) || strstr(err.msg, "nested") != NULL);
    return 0;
}
