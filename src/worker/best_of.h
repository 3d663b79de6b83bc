/* best_of: more candidates than choices are wanted; kept until all have ended, then the likeliest a
 * token. */
#ifndef FT_WORKER_BEST_OF_H
#define FT_WORKER_BEST_OF_H

#include <jansson.h>

#include "base/buf.h"
#include "engine/core/request.h"
#include "model/token/tokenizer.h"

struct ft_candidate {
    struct ft_buf text;
    int32_t *token; /* [n_token] */
    int n_token, cap;
    double logprob; /* sum */
    json_t *lp;     /* in the form of completions, offsets from its own begin; NULL: not wanted */
    size_t chars;
    bool length; /* it ran out of it */
    int stop_index;
};

struct ft_best_of;

/* For n_runs prompts with n candidates each. NULL without memory. */
struct ft_best_of *ft_best_of_new(int n_runs, int n, const struct ft_tokenizer *t, bool logprobs);
void ft_best_of_free(struct ft_best_of *b); /* NULL is accepted */
int ft_best_of_event(struct ft_best_of *b, int run, const struct ft_event *ev, struct ft_err *err);
/* The k-th best of a run that has ended; ties by index. */
struct ft_candidate *ft_best_of_pick(struct ft_best_of *b, int run, int k);

#endif
