/* Many requests at the same time, answered in the order in which they were asked. */
#ifndef FT_TRAIN_EVALUATE_ASK_H
#define FT_TRAIN_EVALUATE_ASK_H

#include "train/evaluate/evaluate.h"

struct ft_answer {
    int32_t *token; /* what was generated, end tokens left out */
    size_t n, cap;
    float *value; /* FT_REQUEST_PROMPT */
    int n_value, cap_value;
    enum ft_finish finish;
};

/* One kind of question. item: its number, from 0. */
struct ft_questions {
    /* Fills what differs from ft_request_init(); the prompt must live until submit returns. */
    void (*ask)(void *ctx, int64_t item, struct ft_request *r);
    int (*answered)(void *ctx, int64_t item, const struct ft_answer *a, struct ft_err *err);
    void *ctx;
    int64_t n;
};

/* Asks all n. FT_ECANCELED when progress says so; errors of a request end it. */
int ft_ask_all(const struct ft_eval_config *cfg, const struct ft_questions *q, struct ft_err *err);

#endif
