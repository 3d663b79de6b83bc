/* Text for a vocabulary, out of files: *.txt as they are; others JSONL, of which what people and
 * models wrote counts. */
#ifndef FT_TRAIN_TOKENIZER_CORPUS_H
#define FT_TRAIN_TOKENIZER_CORPUS_H

#include "train/tokenizer/trainer.h"

/* The strings of these fields of a line: text, prompt, completion, messages, chosen, rejected,
 * input, preferred_output, non_preferred_output, tools, functions; but for roles, types and ids in
 * them. FT_EINVAL names file and line, also of a line without any. progress as ft_bpe_train(), in
 * bytes. */
int ft_corpus_read(struct ft_bpe *b, const char *const *path, int n_paths,
                   int (*progress)(void *ctx, int64_t done, int64_t all), void *ctx,
                   struct ft_err *err);

#endif
