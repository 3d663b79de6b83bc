/* A training run, from its options to its results.
 *
 * ft_train_run() opens the model and the data, checks everything, says what it is going to do
 * (events), trains, and writes into the output folder:
 *   run.json           the options
 *   metrics.jsonl      a line per step and per validation
 *   loss.svg           the curve
 *   checkpoints/       what --resume goes on from
 *   init/              the model as it began, if from scratch
 *   adapter/, model.gguf, model/     as asked
 *
 * The same options, data and seed give the same bits, whatever the number of threads and however
 * often the run was killed and resumed. */
#ifndef FT_TRAIN_TRAIN_H
#define FT_TRAIN_TRAIN_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "train/core/options.h"
#include "train/data/data.h"

/* What is going to happen; told before the first step. */
struct ft_train_plan {
    const char *device; /* a line for people */
    char arch[32];
    int64_t model_params, trained_params;
    int n_trained;         /* tensors */
    int64_t steps;         /* in all, over all epochs */
    int64_t batches_epoch; /* of the first */
    int batch_rows;        /* most tokens of a batch */
    double fill;           /* tokens in sequences over their size */
    int n_train, n_valid;  /* samples (pairs) */
    bool recompute;
    /* samples; frozen weights; trained ones with gradients and moments; passes */
    uint64_t data_bytes, weight_bytes, state_bytes, pass_bytes;
    uint64_t memory_bytes, memory_max; /* their sum, and the limit */
    uint64_t program_bytes;            /* what the process has beside them: code, vocabulary */
    int64_t resumed_step;              /* 0: a new run */
    double seconds;                    /* that steps and validations will take, roughly */
};

struct ft_train_step {
    int64_t step, steps;
    double epoch; /* passed, with its fraction */
    double loss, lr, grad_norm;
    double accuracy, margin; /* dpo: share of pairs ranked rightly, mean margin of the rewards */
    double tokens_per_s;     /* over the last seconds */
    double seconds, seconds_left;
    double gflop_s; /* matrix operations done, recomputed ones too */
    int64_t tokens; /* so far */
};

struct ft_train_valid {
    int64_t step;
    double loss, accuracy, margin;
    bool best;
};

/* All optional; called on the running thread. */
struct ft_train_events {
    void (*on_stage)(void *ctx, const char *what); /* "reading data", ... */
    /* Also when the data is bad: then the run ends with its error. path: files by index. */
    void (*on_data)(void *ctx, const struct ft_data_report *r, const char *const *path, bool valid);
    void (*on_plan)(void *ctx, const struct ft_train_plan *p);
    void (*on_step)(void *ctx, const struct ft_train_step *s);
    void (*on_valid)(void *ctx, const struct ft_train_valid *v);
    void (*on_checkpoint)(void *ctx, int64_t step);
    void (*on_note)(void *ctx, const char *text); /* what went otherwise than asked */
    void (*on_result)(void *ctx, const char *kind, const char *path);
    void *ctx;
    /* Not 0: finish the step, write a checkpoint, end with FT_ECANCELED. 2: write none. */
    const atomic_int *interrupt;
};

/* o: checked (ft_train_options_check). FT_EINVAL, FT_ENOTFOUND, ...: the options, the model or the
 * data are wrong, named; FT_ELIMIT: too little memory, with what was needed; FT_ECORRUPT: the loss
 * is no number any more. */
int ft_train_run(const struct ft_train_options *o, const struct ft_train_events *ev,
                 struct ft_err *err);

#endif
