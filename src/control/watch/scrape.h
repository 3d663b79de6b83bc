/* One look at the gateway (its /metrics, over HOME/run/gateway.sock) and at the store (whose
 * endpoints they are, what projects have spent of their budgets), as points of the history. For the
 * watch's thread alone. */
#ifndef FT_CONTROL_SCRAPE_H
#define FT_CONTROL_SCRAPE_H

#include "control/inner.h"
#include "monitor/history.h"

struct ft_scrape;

int ft_scrape_open(struct ft_ctl *ctl, struct ft_scrape **ret, struct ft_err *err);
void ft_scrape_close(struct ft_scrape *s); /* NULL is accepted */
/* at_s: the time of all its points. Blocks for as long as the gateway takes, SCRAPE_MS at most. */
int ft_scrape_once(struct ft_scrape *s, struct ft_history *h, int64_t at_s, struct ft_err *err);

#endif
