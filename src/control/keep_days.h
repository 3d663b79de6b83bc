/* How long jobs and batches that have ended are kept: the setting "keep_jobs_days". */
#ifndef FT_CONTROL_KEEP_DAYS_H
#define FT_CONTROL_KEEP_DAYS_H

#include "control/inner.h"

#define CTL_KEEP_JOBS_DAYS 90   /* where the setting is not made */
#define CTL_PRUNE_MAX      100  /* rows of one transaction */
#define CTL_PRUNE_EVERY_S  3600 /* and sooner again while there are more */

struct ft_ctl_prune {
    struct ft_ctl *ctl;
    int64_t now_s;
    int gone; /* of the last transaction */
};
/* What ended before *ret goes. 0: nothing does (the setting is 0). */
int ft_ctl_keep_jobs_since(struct ft_state_tx *tx, int64_t now_s, int64_t *ret, struct ft_err *err);
/* Runs `fn` (ctx: a struct ft_ctl_prune) until it finds nothing more, at most once an hour: *next_s
 * is when it is next time. */
void ft_ctl_prune(struct ft_ctl *ctl, int64_t *next_s,
                  int (*fn)(struct ft_state_tx *tx, void *ctx, struct ft_err *err));

#endif
