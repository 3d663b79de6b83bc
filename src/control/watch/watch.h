/* Control's look at the cloud: every 10 seconds the machine's figures and the gateway's metrics
 * become points of the history (monitor/history.h). On a thread of its own; with control dead,
 * calls go on and curves have a gap. */
#ifndef FT_CONTROL_WATCH_H
#define FT_CONTROL_WATCH_H

#include "control/inner.h"
#include "monitor/history.h"

struct ft_alarm;
struct ft_watch;

/* Never fails for what lies on the disk: without a history the rest goes on. */
int ft_watch_open(struct ft_ctl *ctl, struct ft_watch **ret, struct ft_err *err);
void ft_watch_close(struct ft_watch *w); /* NULL is accepted */
/* NULL: there is none now. */
struct ft_history *ft_watch_history(struct ft_watch *w);
struct ft_alarm *ft_watch_alarm(struct ft_watch *w);

#endif
