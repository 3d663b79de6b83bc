/* What the files of batches share: batch/row.c (the store), batch/keep.c (who has a place),
 * batch/run.c (the life of one), batch/send.c (its lines). */
#ifndef FT_CONTROL_BATCH_RUN_H
#define FT_CONTROL_BATCH_RUN_H

#include <stdatomic.h>

#include "control/batch/batch.h"
#include "control/batch/lines.h"
#include "control/inside.h"

/* ---- rows (batch/row.c) ---- */

struct bt_progress {
    int64_t total, completed, failed;
    int64_t out_bytes, err_bytes; /* of the files: what is behind was never committed */
    int64_t prompt_tokens, cached_tokens, completion_tokens, reasoning_tokens;
};
/* 1: there is one. */
int bt_progress_get(struct ft_state_tx *tx, const char *id, struct bt_progress *ret,
                    struct ft_err *err);
/* FT_ENOTFOUND: the batch is gone. */
int bt_progress_set(struct ft_state_tx *tx, const char *id, const struct bt_progress *p,
                    struct ft_err *err);
int bt_row_insert(struct ft_state_tx *tx, const char *id, const char *project, struct ft_err *err);
/* It has ended, or was never: not among the active any more. */
int bt_row_end(struct ft_state_tx *tx, const char *id, struct ft_err *err);
int bt_active_count(struct ft_state_tx *tx, const char *project, int64_t *ret, struct ft_err *err);
/* [{"id","project"}, ...], oldest first. */
int bt_active_list(struct ft_state_tx *tx, json_t *ret, struct ft_err *err);
/* A transaction: those that ended long ago go (ctx: a struct ft_ctl_prune). */
int bt_prune(struct ft_state_tx *tx, void *ctx, struct ft_err *err);
/* OpenAI's object. */
json_t *bt_view(const char *id, const json_t *body, const struct bt_progress *p);
/* Where its calls go: the name in the ledger; NULL: no endpoint for batches. */
const char *bt_route(const char *endpoint);
bool bt_has_ended(const json_t *body);

/* ---- one batch (batch/run.c; sending: batch/send.c) ---- */

struct batch {
    struct ft_ctl *ctl;
    char id[BATCH_ID_BYTES], project[CTL_ID_MAX + 1];
    /* set by others */
    atomic_bool cancel, stop; /* the user's; the process ends */
    atomic_bool finished;     /* the thread is about to end */
    /* the thread's own */
    char key[CTL_ID_MAX + 1], who[CTL_ID_MAX + 16], endpoint[64], dir[BATCH_DIR_MAX];
    const char *route;
    int64_t expires_s;
    json_t *body;
    struct bt_progress done; /* as it is committed */
    struct ft_map input;
    struct ft_batch_lines lines;
    int out_fd, err_fd;
    bool gone; /* its row was removed */
};
/* The thread's function. */
void *bt_run(void *ctx);
bool bt_stops(void *ctx); /* of a struct batch: the process ends */
void bt_sleep(struct batch *b, int ms);
/* Why the lines are not all done. */
enum batch_end { BATCH_ALL, BATCH_CANCELLED, BATCH_EXPIRED, BATCH_KEY_GONE, BATCH_STOPPED };
/* Sends every line that has no result yet; answered: whose number is marked. */
int bt_send(struct batch *b, bool *answered, enum batch_end *ret, struct ft_err *err);
/* For lines that will not be sent: a line of the errors' file each. */
int bt_send_none(struct batch *b, bool *answered, const char *code, const char *message,
                 struct ft_err *err);
/* Says in the row why nothing goes on just now; NULL: it does again. */
void bt_say(struct batch *b, const char *code, const char *message);
/* Is the key, as the store has it, still good? */
bool bt_key_is_good(struct batch *b);

#endif
