/* Fine-tuning jobs: OpenAI's /v1/fine_tuning/jobs, and the runner that trains.
 *
 *   validating_files --(files are here)--> queued --(a place is free)--> running --> succeeded
 *        any of these --(cancel)--> cancelled, --(pause)--> paused --(resume)--> queued
 *        any of these --(it cannot be done)--> failed
 *
 * A job is a row (kind "fine_tuning_job"). Its status says what is to be: handlers set it, and the
 * runner's thread sees to it that a training runs, or none does. What happened is in tables of
 * events and checkpoints, written in one transaction with how far the training's report was read: a
 * killed control reads on from there.
 *
 * Training is a process of its own (`feitian train --json --confined`) under HOME/tune/ID, with a
 * small share of the processors where others want them; it outlives control and is found again.
 * Killed, it goes on from its checkpoint. What comes of it: an adapter in HOME/adapters, a model
 * and an endpoint named "ft:BASE:PROJECT:SUFFIX:ID", a repository of the hub. What it uses is on
 * the record piece by piece (tune/bill.c); one whose budget is used up is queued, with the error
 * "insufficient_quota", until there is some again. */
#ifndef FT_CONTROL_TUNE_H
#define FT_CONTROL_TUNE_H

#include "control/inner.h"

#define TUNE_KIND            "fine_tuning_job"
#define TUNE_RUNNING_MAX     1   /* trainings at a time; others are queued */
#define TUNE_JOBS_MAX        256 /* not ended, of all projects */
#define TUNE_PROJECT_MAX     16  /* and of one: paused ones may stay for ever, with their files */
#define TUNE_FILE_MAX        ((int64_t)1 << 30)
#define TUNE_CHECKPOINTS_MAX 3 /* kept, of a job */
#define TUNE_METRICS_MAX                                                                           \
    1000                 /* events of a job that are a step's; of more steps, some have none       \
                          */
#define TUNE_TRIES_MAX 3 /* trainings that died one after the other without a step */

struct ft_tune;

int ft_tune_migrate(struct ft_state *s, struct ft_err *err);
/* Starts the runner, which takes up what was going on. ctl's inside and opt->exec must be there. */
int ft_tune_open(struct ft_ctl *ctl, struct ft_tune **ret, struct ft_err *err);
/* Trainings go on. NULL is accepted. */
void ft_tune_close(struct ft_tune *t);
/* A row was changed; any thread. NULL is accepted. */
void ft_tune_wake(struct ft_tune *t);

/* ---- rows (tune/row.c) ---- */

/* The request's body as a row's, or refused. Reads the store for the model. */
int ft_tune_row_make(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t **ret,
                     struct ft_err *err);
/* OpenAI's object. */
json_t *ft_tune_view(const char *id, const json_t *body);
bool ft_tune_has_ended(const json_t *body);
/* "ft:nano:default::AbC123xy", with ":ckpt-step-N" for a checkpoint (step > 0). */
#define TUNE_NAME_MAX 97
void ft_tune_model_name(const char *id, const json_t *body, int64_t step, char ret[TUNE_NAME_MAX]);
/* Is `name` that of a checkpoint of `result`, which is such a name without a step? */
bool ft_tune_is_checkpoint_of(const char *name, const char *result);

/* ---- which there are (tune/index.c) ---- */

/* A job's row, as ft_ctl_put has it: rows are written by this alone. */
int ft_tune_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id, const json_t *before,
                json_t *body, struct ft_err *err);
/* Ids of a project's, newest first, behind `after` (NULL: from the newest; one that is not there
 * has nothing behind it). */
int ft_tune_ids_after(struct ft_state_tx *tx, const char *project, const char *after, int64_t limit,
                      json_t *ids, struct ft_err *err);
/* Appends those of all projects that have not ended, the oldest first. */
int ft_tune_ids_active(struct ft_state_tx *tx, json_t *ids, struct ft_err *err);
/* How many have not ended. */
int ft_tune_count(struct ft_state_tx *tx, const char *project, int *ret_all, int *ret_own,
                  struct ft_err *err);
/* Transactions: rows that the index does not have yet; those that ended long ago go (ctx: a struct
 * ft_ctl_prune). */
int ft_tune_index_all(struct ft_state_tx *tx, void *ctx, struct ft_err *err);
int ft_tune_prune(struct ft_state_tx *tx, void *ctx, struct ft_err *err);

/* ---- what happened (tune/log.c) ---- */

/* Appends an event. data may be NULL. */
int ft_tune_note(struct ft_state_tx *tx, const char *job, int64_t now_s, const char *level,
                 const char *type, const char *message, const json_t *data, struct ft_err *err);
int ft_tune_note_checkpoint(struct ft_state_tx *tx, const char *job, int64_t now_s, int64_t step,
                            const char *model, const json_t *metrics, struct ft_err *err);
/* Answers a page of them, newest first. */
int ft_tune_events(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *job,
                   struct ft_err *err);
int ft_tune_checkpoints(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *job,
                        struct ft_err *err);
/* How far the report was read (0 where it never was), and what was learnt of it: {"tokens",
 * "step", "steps", "train_loss", "valid_loss", "estimated_finish"}; *ret_state is a new reference,
 * or NULL.
 */
int ft_tune_progress(struct ft_state_tx *tx, const char *job, int64_t *ret_read_to,
                     json_t **ret_state, struct ft_err *err);
int ft_tune_set_progress(struct ft_state_tx *tx, const char *job, int64_t read_to,
                         const json_t *state, struct ft_err *err);

/* All of that, with the job's row. */
int ft_tune_forget(struct ft_state_tx *tx, const char *job, struct ft_err *err);

/* ---- handlers (tune/api.c) ---- */

ft_ctl_handler ft_ctl_tune_create, ft_ctl_tune_list, ft_ctl_tune_get, ft_ctl_tune_act,
    ft_ctl_tune_delete; /* of a result: the model with its endpoint, files and checkpoints */
void ft_ctl_tune_look(struct ft_ctl_call *c); /* outside of the store: are the files there */

#endif
