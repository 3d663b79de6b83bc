/* Opening, and counting the different pieces of text. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "train/tokenizer/impl.h"

#define ARENA_BYTES_MAX ((size_t)4 << 30)

static int check(const struct ft_bpe_config *c, struct ft_err *err)
{
    if (c->n_special < 0 || c->n_special > FT_BPE_SPECIALS_MAX)
        return ft_err_set(err, FT_EINVAL, "%d special tokens, more than %d", c->n_special,
                          FT_BPE_SPECIALS_MAX);
    for (int i = 0; i < c->n_special; i++) {
        const char *s = c->special[i];
        size_t n = strlen(s);
        if (n < 2 || n > FT_BPE_SPECIAL_BYTES || !ft_utf8_valid(s, n))
            return ft_err_set(err, FT_EINVAL,
                              "the special token '%.*s' is not 2 to %d bytes of UTF-8",
                              FT_BPE_SPECIAL_BYTES, s, FT_BPE_SPECIAL_BYTES);
        for (int k = 0; k < i; k++)
            if (strcmp(s, c->special[k]) == 0)
                return ft_err_set(err, FT_EINVAL, "the special token '%s' is given twice", s);
    }
    if (c->vocab_size < 256 + c->n_special || c->vocab_size > FT_BPE_VOCAB_MAX)
        return ft_err_set(err, FT_EINVAL,
                          "a vocabulary of %d is not from %d (bytes and special tokens) to %d",
                          c->vocab_size, 256 + c->n_special, FT_BPE_VOCAB_MAX);
    return c->min_count >= 1
               ? 0
               : ft_err_set(err, FT_EINVAL, "the least count of a pair is not 1 or more");
}

int ft_bpe_open(const struct ft_bpe_config *cfg, struct ft_bpe **ret_b, struct ft_err *err)
{
    int rc = check(cfg, err);
    if (rc != 0)
        return rc;
    struct ft_bpe *b = calloc(1, sizeof *b);
    if (b == NULL)
        return ft_err_set(err, FT_ENOMEM, "vocabulary: no memory");
    b->cfg = *cfg;
    ft_arena_init(&b->arena, ARENA_BYTES_MAX);
    rc = ft_pieces_open(cfg->pieces, &b->pieces, err);
    if (rc != 0) {
        ft_bpe_close(b);
        return rc;
    }
    *ret_b = b;
    return 0;
}

void ft_bpe_close(struct ft_bpe *b)
{
    if (b == NULL)
        return;
    ft_pieces_close(b->pieces);
    ft_strmap_fini(&b->words);
    ft_strmap_fini(&b->tokens);
    ft_arena_fini(&b->arena);
    free(b->word);
    free(b->word_text);
    free(b->sym);
    free(b->token);
    free(b->merge);
    free(b);
}

static int words_grow(struct ft_bpe *b)
{
    if (b->n_words < b->cap_words)
        return 0;
    size_t cap = b->cap_words == 0 ? 4096 : b->cap_words * 2;
    struct ft_bpe_word *w = realloc(b->word, cap * sizeof *w);
    if (w == NULL)
        return -1;
    b->word = w;
    const char **t = realloc(b->word_text, cap * sizeof *t);
    if (t == NULL)
        return -1;
    b->word_text = t;
    b->cap_words = cap;
    return 0;
}

static int add_word(void *ctx, const char *p, size_t n, struct ft_err *err)
{
    struct ft_bpe *b = ctx;
    int32_t i;
    b->n_pieces++;
    if (ft_strmap_get(&b->words, p, n, &i)) {
        b->word[i].count++;
        return 0;
    }
    if (b->n_words == FT_BPE_WORDS_MAX || n > FT_BPE_WORD_BYTES_MAX - b->word_bytes)
        return ft_err_set(err, FT_ELIMIT,
                          "more than %d different words, or %zu bytes of them: give less text",
                          FT_BPE_WORDS_MAX, FT_BPE_WORD_BYTES_MAX);
    char *copy = ft_arena_strndup(&b->arena, p, n);
    if (copy == NULL || words_grow(b) != 0 ||
        ft_strmap_add(&b->words, copy, n, (int32_t)b->n_words) != 0)
        return ft_err_set(err, FT_ENOMEM, "%zu words: no memory", b->n_words);
    b->word_text[b->n_words] = copy;
    b->word[b->n_words++] = (struct ft_bpe_word){.at = b->word_bytes, .n = (uint32_t)n, .count = 1};
    b->word_bytes += n;
    return 0;
}

int ft_bpe_add(struct ft_bpe *b, const char *text, size_t n, struct ft_err *err)
{
    FT_ASSERT(b->sym == NULL);
    b->bytes += (int64_t)n;
    return n == 0 ? 0 : ft_pieces_cut(b->pieces, text, n, add_word, b, err);
}
