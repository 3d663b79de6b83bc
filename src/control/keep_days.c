/* See keep_days.h. */
#include "control/keep_days.h"

#include <time.h>

#include "base/log.h"

#define ROUNDS_MAX 100 /* of one look: others want the thread too */

int ft_ctl_keep_jobs_since(struct ft_state_tx *tx, int64_t now_s, int64_t *ret, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "setting", "keep_jobs_days", &e, err);
    int64_t days = ft_ctl_int(e.body, "keep_jobs_days", CTL_KEEP_JOBS_DAYS);
    ft_ctl_entity_fini(&e);
    *ret = days > 0 ? now_s - days * 86400 : 0;
    return FT_MIN(rc, 0);
}

void ft_ctl_prune(struct ft_ctl *ctl, int64_t *next_s,
                  int (*fn)(struct ft_state_tx *tx, void *ctx, struct ft_err *err))
{
    struct ft_ctl_prune p = {.ctl = ctl, .now_s = (int64_t)time(NULL), .gone = CTL_PRUNE_MAX};
    struct ft_err err = {0};
    int rc = 0;
    if (p.now_s < *next_s)
        return;
    *next_s = p.now_s + CTL_PRUNE_EVERY_S;
    for (int i = 0; i < ROUNDS_MAX && rc == 0 && p.gone == CTL_PRUNE_MAX; i++)
        rc = ft_state_tx(ctl->state, fn, &p, &err);
    if (rc != 0 && !ft_state_is_trouble(rc))
        ft_log(FT_LOG_WARN, "control", "what ended long ago stays for now: %s", err.msg);
}
