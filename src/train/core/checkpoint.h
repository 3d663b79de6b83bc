/* Checkpoints: everything that a run's next step depends on, in a folder that appears whole or not
 * at all (OUTPUT/checkpoints/step-00000100: state.json, state.safetensors). */
#ifndef FT_TRAIN_CHECKPOINT_H
#define FT_TRAIN_CHECKPOINT_H

#include <jansson.h>
#include <stdint.h>

#include "base/err.h"
#include "train/core/optim.h"

/* Where a run is: after `step` optimiser steps. */
struct ft_train_state {
    int64_t step;
    int64_t epoch, batch; /* the next batch: of epoch `epoch`, number `batch` */
    int64_t tokens, targets;
    double seconds; /* spent, over all parts of the run */
    double best_valid;
    int64_t best_step, bad_valids; /* of early stopping */
    int64_t last_valid_step;
};

/* A parameter by name, with its values and moments. */
struct ft_checkpoint_param {
    const char *name;
    int64_t rows, cols;
    struct ft_optim_param *p;
};

/* Folders by step, OUTPUT/SUB/step-N: where that of `step` belongs (path: 4096 bytes), ... */
void ft_step_folder(char *path, const char *output, const char *sub, int64_t step);
/* ... and all but the newest `keep` removed, with what was left half-written. */
void ft_step_folders_trim(const char *output, const char *sub, int keep);

/* Writes OUTPUT/checkpoints/step-N, then removes all but the newest `keep`, and before it what was
 * left half-written: one process at a time has OUTPUT. run: what the run is
 * (its options and the data's fingerprint), which a resumed one must equal. */
int ft_checkpoint_write(const char *output, const struct ft_train_state *s, json_t *run,
                        const struct ft_checkpoint_param *param, int n, int keep,
                        struct ft_err *err);

/* Finds the newest one of a step below `before` (INT64_MAX: of all); its step. FT_ENOTFOUND if
 * there is none. path: at least 4096 bytes. */
int64_t ft_checkpoint_newest(const char *output, int64_t before, char *path, size_t path_n,
                             struct ft_err *err);

/* Loads the state and all parameters. FT_EINVAL: it belongs to another run, naming what differs;
 * FT_ECORRUPT: it is damaged, and parameters may have been overwritten. */
int ft_checkpoint_read(const char *path, json_t *run, struct ft_train_state *ret_s,
                       const struct ft_checkpoint_param *param, int n, struct ft_err *err);

#endif
