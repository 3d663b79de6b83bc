/* Shared by the tokenizer tests: the reference vocabularies, encoding in one call, and
 * texts of all kinds. */
#ifndef FT_TEST_TOKEN_SUPPORT_H
#define FT_TEST_TOKEN_SUPPORT_H

#include "testing.h"

#include "base/file.h"
#include "base/rand.h"
#include "base/utf8.h"
#include "model/token/tokenizer.h"

static const char *const vocab_names[] = {"deepseek-coder", "deepseek-llm", "gpt-2", "llama-bpe",
                                          "llama-spm",      "qwen2",        "qwen35"};

struct vocab {
    struct ft_weights *w;
    struct ft_tokenizer *t;
};

/* False, and a line that says so, where the reference data is absent. */
static inline bool vocab_open(const char *name, struct vocab *v)
{
    char file[64];
    struct ft_err err = {0};
    snprintf(file, sizeof file, "vocab/ggml-vocab-%s.gguf", name);
    const char *path = ft_test_ref(file);
    if (path == NULL)
        return false;
    if (ft_weights_open(path, &v->w, &err) != 0 || ft_tokenizer_open(v->w, &v->t, &err) != 0)
        fail_msg("%s: %s", name, err.msg);
    return true;
}

static inline void vocab_close(struct vocab *v)
{
    ft_tokenizer_close(v->t);
    ft_weights_close(v->w);
}

static inline size_t encode(const struct ft_tokenizer *t, const char *text, size_t n,
                            unsigned flags, int32_t **ids)
{
    struct ft_err err = {0};
    size_t n_ids = 0;
    *ids = NULL;
    if (ft_tokenizer_encode(t, text, n, flags, ids, &n_ids, &err) != 0)
        fail_msg("encode: %s", err.msg);
    return n_ids;
}

/* Text of all kinds: valid characters of every length, special tokens, runs, and stray bytes. */
static inline size_t random_text(uint64_t seed, char *out, size_t max)
{
    static const char *const words[] = {
        "<|im_end|>", " the", "\xe2\x96\x81", "ü",    "õ",      "\xc2", "\xc3", "  ",
        "\r\n",       "字",   "e\u0301",      "</s>", "<0x41>", "1234", "\t\t", "\xfc"};
    size_t n = 0;
    int mode = (int)(seed % 4);
    for (uint64_t i = 0; n + 16 < max; i++) {
        uint64_t r = ft_rand_u64(seed, 1, i);
        if (mode == 0 || r % 5 == 0) {
            out[n++] = (char)(r >> 8);
        } else if (r % 5 == 1) {
            const char *w = words[(r >> 8) % FT_COUNT(words)];
            memcpy(out + n, w, strlen(w));
            n += strlen(w);
        } else {
            uint32_t top = mode == 1 ? 0x80 : mode == 2 ? 0x3000 : 0x110000;
            n += (size_t)ft_utf8_encode((uint32_t)((r >> 8) % top), out + n);
        }
    }
    return n;
}

#endif
