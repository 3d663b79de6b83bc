/* Batches: OpenAI's /v1/batches, and what runs them.
 *
 *   validating --(the input is well-formed)--> in_progress --> finalizing --> completed
 *       |                                        |    |            |--> expired (its window is
 * over)
 *       |--> failed                              |    |            `--> failed (its key is gone)
 *       `------------(cancel)--> cancelling <----'    '
 *                                    `--> cancelled
 *
 * A batch is a row (kind "batch") and, in a table, how far it is. A thread each sends its lines to
 * the gateway in the name of the batch's key, many at a time. A line is done exactly once: its
 * result is written into a file of the batch, synced, and then one transaction of the store has
 * where the file ends, the counts and the line's usage record. What is behind that end after a kill
 * is overwritten; a line whose result was not seen is sent again, and was not billed.
 *
 * Files of a running batch: HOME/batches/ID/{input,output,errors}. */
#ifndef FT_CONTROL_BATCH_H
#define FT_CONTROL_BATCH_H

#include "control/inner.h"

#define BATCH_KIND          "batch"
#define BATCH_BYTES_MAX     ((int64_t)200 << 20)
#define BATCH_ACTIVE_MAX    1000 /* not ended, of one project */
#define BATCH_RUNNING_MAX   8    /* at a time; others wait as "validating" */
#define BATCH_PROJECT_MAX   4    /* of them of one project */
#define BATCH_IN_FLIGHT     32   /* lines of one batch at the gateway */
#define BATCH_ID_BYTES      40
#define BATCH_LINE_ID_BYTES (BATCH_ID_BYTES + 12) /* "ID.NUMBER" */
#define BATCH_DIR_MAX       3200

struct ft_batches;

int ft_batches_migrate(struct ft_state *s, struct ft_err *err);
/* Takes up what was going on. ctl's inside must be there. */
int ft_batches_open(struct ft_ctl *ctl, struct ft_batches **ret, struct ft_err *err);
/* Batches go on when control is there again. NULL is accepted. */
void ft_batches_close(struct ft_batches *b);
/* A row was changed; any thread. NULL is accepted. */
void ft_batches_wake(struct ft_batches *b);

/* ---- handlers (batch/api.c) ---- */

ft_ctl_handler ft_ctl_batches_create, ft_ctl_batches_list, ft_ctl_batches_get, ft_ctl_batches_act;
void ft_ctl_batches_look(struct ft_ctl_call *c); /* outside of the store: is the input there */

#endif
