/* What the files of a run share: see train.c for their order. */
#ifndef FT_TRAIN_CORE_IMPL_H
#define FT_TRAIN_CORE_IMPL_H

#include <jansson.h>
#include <stdio.h>

#include "engine/arch/model.h"
#include "model/prompt/prompt.h"
#include "train/core/checkpoint.h"
#include "train/core/optim.h"
#include "train/core/train.h"
#include "train/data/pack.h"
#include "train/tape/tape.h"

#define FT_TRAIN_PATH_BYTES 4096

struct ft_train {
    const struct ft_train_options *o;
    const struct ft_train_events *ev;
    int lock_fd;                          /* of the output folder; -1: none */
    char model_path[FT_TRAIN_PATH_BYTES]; /* where the base lies */

    bool made_output; /* the folder was not there before */
    bool goes_on;     /* a run that was begun: run.json is there, and init/ if from scratch */
    bool old_split;   /* begun when a small part put aside could be none: it stays none */

    struct ft_weights *base;
    struct ft_tokenizer *tokenizer;
    struct ft_prompter *prompter; /* NULL: the model has no template */
    int64_t now;                  /* the day that templates see */
    int seq_len;

    /* the data; valid_set is `data` too unless it has files of its own */
    struct ft_data *data, *valid_own;
    const struct ft_data *valid_set;
    struct ft_data_split split;
    int32_t *valid; /* [n_valid] indices in valid_set; NULL: all of it */
    int n_valid;
    int64_t steps; /* in all */

    struct ft_dev *dev;
    struct ft_model *model;
    struct ft_kv *kv;
    bool recompute;

    struct ft_pack_batch batch;
    struct ft_seg *seg;    /* [batch.max_segs] */
    float *coef, *logprob; /* [batch.max_rows] */
    /* dpo: log-probability of each sample's targets by the model it started from */
    double *ref_train, *ref_valid;

    struct ft_optim *optim;
    struct ft_optim_param *oparam;
    struct ft_checkpoint_param *cparam;
    int n_params;
    struct ft_train_state state;
    json_t *run; /* what the run is, for checkpoints */
    FILE *metrics;
};

/* What a batch or several gave. */
struct ft_train_score {
    double loss; /* sum over targets (sft) or pairs (dpo) */
    int64_t count;
    double accuracy, margin; /* sums over pairs */
    int64_t tokens, targets;
};

/* setup.c: everything before the first step. */
int ft_train_setup(struct ft_train *t, struct ft_err *err);
void ft_train_teardown(struct ft_train *t);
struct ft_pack_config ft_train_pack(const struct ft_train *t, bool valid);

/* loss.c: runs what t->batch holds. */
enum ft_train_pass { FT_PASS_TRAIN, FT_PASS_SCORE };
/* weight: of each target's or pair's loss in the gradient. ref: by sample. Adds to *score. */
int ft_train_batch(struct ft_train *t, enum ft_train_pass pass, double weight, uint64_t key,
                   const double *ref, struct ft_train_score *score, struct ft_err *err);
/* Sums of targets' log-probabilities of every sample of d by the model as it is, with adapters off:
 * [d->n], the caller frees. */
int ft_train_reference(struct ft_train *t, const struct ft_data *d, const int32_t *index, int n,
                       double **ret, struct ft_err *err);
int64_t ft_train_units(const struct ft_train *t); /* targets or pairs in t->batch */

/* estimate.c: how long the steps that are left will take, by passing one sequence; 0: none are. */
int ft_train_estimate(struct ft_train *t, double *ret_seconds, struct ft_err *err);

/* metrics.c */
int ft_metrics_open(struct ft_train *t, struct ft_err *err); /* cuts what is past state.step */
int ft_metrics_step(struct ft_train *t, const struct ft_train_step *s, struct ft_err *err);
int ft_metrics_valid(struct ft_train *t, const struct ft_train_valid *v, struct ft_err *err);

/* result.c: what the run leaves. */
int ft_train_results(struct ft_train *t, struct ft_err *err);
/* With keep-adapters: the adapter as it is now, beside the checkpoint. */
int ft_train_keep_adapter(struct ft_train *t, struct ft_err *err);

/* events */
void ft_train_stage(const struct ft_train *t, const char *what);
void ft_train_note(const struct ft_train *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

#endif
