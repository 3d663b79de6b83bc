/* Between the files of train/tokenizer. */
#ifndef FT_TRAIN_TOKENIZER_IMPL_H
#define FT_TRAIN_TOKENIZER_IMPL_H

#include "base/arena.h"
#include "base/map.h"
#include "model/token/pieces.h"
#include "train/tokenizer/trainer.h"

/* A different piece of the text. Its symbols are sym[at .. at + n) of the trainer. */
struct ft_bpe_word {
    size_t at;
    uint32_t n;
    int64_t count;
};

struct ft_bpe_token {
    const char *p; /* its bytes */
    uint32_t n;
};

struct ft_bpe_merge {
    int32_t left, right, made;
};

struct ft_bpe {
    struct ft_bpe_config cfg;
    struct ft_pieces *pieces;
    struct ft_arena arena;  /* bytes of words and tokens */
    struct ft_strmap words; /* bytes to index in word[] */
    struct ft_bpe_word *word;
    const char **word_text; /* until training */
    size_t n_words, cap_words;
    size_t word_bytes;
    int64_t bytes, n_pieces;

    int32_t *sym;               /* of all words */
    struct ft_bpe_token *token; /* [n_tokens]: bytes in GPT-2's order, then what was learnt */
    int n_tokens;
    struct ft_strmap tokens;
    struct ft_bpe_merge *merge;
    int n_merges, cap_merges;
};

/* In GPT-2's vocabulary bytes stand in the order of the characters that stand for them. */
int32_t ft_bpe_byte_id(unsigned char byte);

#endif
