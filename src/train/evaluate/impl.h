/* Between the files of train/evaluate. */
#ifndef FT_TRAIN_EVALUATE_IMPL_H
#define FT_TRAIN_EVALUATE_IMPL_H

#include "train/evaluate/ask.h"

/* Where the last answer of a sequence stands: token[from .. to), its end tokens left out. */
struct ft_eval_span {
    int from, to;
};
struct ft_eval_span ft_eval_last_answer(const struct ft_tokenizer *t, const int32_t *token,
                                        const uint8_t *loss, int n);

/* choice.c */
int ft_evaluate_choice(const struct ft_eval_config *cfg, const char *const *path, int n_paths,
                       struct ft_eval_result *ret, struct ft_err *err);

#endif
