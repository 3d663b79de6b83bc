/* Shared by the tokenizer tests: the reference vocabularies, and encoding in one call. */
#ifndef FT_TEST_TOKEN_SUPPORT_H
#define FT_TEST_TOKEN_SUPPORT_H

#include "testing.h"

#include "base/file.h"
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

#endif
