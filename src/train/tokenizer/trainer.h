/* Learns a byte-level BPE vocabulary (Sennrich et al. 2016; bytes as in GPT-2) from text.
 *
 * Text is cut into pieces as the tokenizer will cut it; equal pieces are counted once. Then the
 * pair of neighbours that occurs most often becomes a token, again and again; of equally frequent
 * pairs the one of older tokens. The result depends on the text alone, not on its order. One
 * thread. */
#ifndef FT_TRAIN_TOKENIZER_TRAINER_H
#define FT_TRAIN_TOKENIZER_TRAINER_H

#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_BPE_VOCAB_MAX      (1 << 20)
#define FT_BPE_SPECIALS_MAX   256
#define FT_BPE_SPECIAL_BYTES  128                 /* of one special token */
#define FT_BPE_WORDS_MAX      (1 << 24)           /* different pieces */
#define FT_BPE_WORD_BYTES_MAX ((size_t)512 << 20) /* of all different pieces */

struct ft_bpe_config {
    const char *pieces; /* how text is cut: "qwen2", "llama-bpe", "gpt-2" (model/token/pieces.h) */
    int vocab_size;     /* 256 bytes, what is learnt, and the special tokens */
    int64_t min_count;  /* pairs that occur less often do not become tokens: 2 */
    const char *const *special; /* borrowed; they get the highest ids, in this order */
    int n_special;
};

struct ft_bpe;

/* FT_EINVAL names what is wrong. */
int ft_bpe_open(const struct ft_bpe_config *cfg, struct ft_bpe **ret_b, struct ft_err *err);
void ft_bpe_close(struct ft_bpe *b); /* NULL is accepted */

/* Counts a text of valid UTF-8. FT_ELIMIT at the bounds above. Not after ft_bpe_train. */
int ft_bpe_add(struct ft_bpe *b, const char *text, size_t n, struct ft_err *err);

struct ft_bpe_stats {
    int64_t bytes, pieces, words; /* of text; pieces in it; different ones */
    int vocab_size;               /* reached: less than asked where no pair is left */
    int64_t tokens;               /* the text would be in the learnt vocabulary */
};

/* Learns, once. progress (may be NULL): not 0 stops it with FT_ECANCELED. */
int ft_bpe_train(struct ft_bpe *b, int (*progress)(void *ctx, int done, int all), void *ctx,
                 struct ft_err *err);
void ft_bpe_stats(const struct ft_bpe *b, struct ft_bpe_stats *ret);

/* What is written beside the vocabulary. */
struct ft_bpe_files {
    const char *bos, *eos, *pad; /* special tokens, or NULL */
    const char *chat_template;   /* or NULL */
};
/* The text of tokenizer.json and of tokenizer_config.json, as the transformers library has them.
 * Appended to the buffers. */
int ft_bpe_write(const struct ft_bpe *b, const struct ft_bpe_files *f, struct ft_buf *tokenizer,
                 struct ft_buf *config, struct ft_err *err);

#endif
