/* How well a model does on data: perplexity, exact match, multiple choice, through the engine.
 *
 * - Perplexity: of the targets of data as it is trained on (train/data/data.h): answers,
 * completions, texts.
 * - Exact match: the model answers greedily what stands before the last answer of a line (messages,
 *   or prompt and completion); right if the texts are equal without the white space around them,
 * and without sections of reasoning before them.
 * - Multiple choice: {"prompt" | "question" | "messages", "choices": [...], "answer": index, letter
 * or text}; right if the answer has the highest log-probability of all choices. Of a "prompt" the
 *   choices are continuations; a "question" is asked in the model's chat template, or as "Question:
 *   ...\nAnswer:" where it has none. Twice: summed over a choice's tokens, and that per byte of its
 *   text (acc and acc_norm of the lm-evaluation-harness).
 *
 * Everything is read before anything is computed. One thread. */
#ifndef FT_TRAIN_EVALUATE_H
#define FT_TRAIN_EVALUATE_H

#include "base/slice.h"
#include "engine/core/engine.h"
#include "train/data/data.h"

#define FT_EVAL_CHOICES_MAX  64  /* of one line */
#define FT_EVAL_PARALLEL_MAX 256 /* requests at the same time */

/* AUTO: by the first line: choices, then messages or completions (EXACT), else PERPLEXITY. */
enum ft_eval_metric { FT_EVAL_AUTO, FT_EVAL_PERPLEXITY, FT_EVAL_EXACT, FT_EVAL_CHOICE };
const char *ft_eval_metric_name(enum ft_eval_metric m); /* "perplexity", "exact", "choice" */

/* One sample's outcome; texts are valid during the call. */
struct ft_eval_item {
    int32_t file;
    int64_t line;                        /* 0: a whole file */
    double nll;                          /* perplexity: summed over the targets */
    int targets;                         /* perplexity */
    struct ft_slice want, got;           /* exact: as compared */
    bool cut;                            /* exact: the answer reached max_tokens */
    int answer, choice, choice_per_byte; /* choice: indices */
    bool correct;                        /* exact, and choice by sum */
};

struct ft_eval_config {
    struct ft_engine *engine;
    const char *model, *adapter; /* ids in the engine; adapter NULL: none */
    enum ft_eval_metric metric;
    struct ft_data_config data; /* tokenizer, prompter, max_len, ...; its progress is of reading */
    int max_tokens;             /* exact: of an answer */
    int parallel;               /* requests at the same time: 1 .. FT_EVAL_PARALLEL_MAX */
    int64_t limit;              /* samples; 0: all */
    void (*on_item)(void *ctx, const struct ft_eval_item *item); /* may be NULL */
    /* Often, also while nothing is done; may be NULL. Not 0: stop, which is FT_ECANCELED. */
    int (*progress)(void *ctx, int64_t done, int64_t all);
    void *ctx;
};
void ft_eval_config_init(struct ft_eval_config *cfg); /* max_tokens 256, parallel 16 */

struct ft_eval_result {
    enum ft_eval_metric metric;
    int64_t samples;
    int64_t targets; /* perplexity */
    double nll;      /* perplexity is exp(nll / targets) */
    int64_t correct, correct_per_byte;
    int64_t cut;
};

/* The metric that is meant: cfg's, or what the first line of the file asks for. */
int ft_evaluate_metric(const struct ft_eval_config *cfg, const char *path, enum ft_eval_metric *ret,
                       struct ft_err *err);

/* FT_EINVAL names file and line of bad data, or what is wrong with the configuration. */
int ft_evaluate(const struct ft_eval_config *cfg, const char *const *path, int n_paths,
                struct ft_eval_result *ret, struct ft_err *err);

#endif
