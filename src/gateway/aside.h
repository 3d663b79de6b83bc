/* A thread for answers that look at disks or are long, and are asked for seldom: the figures of
 * /metrics, lists of requests. Server threads, which all calls run on, hand those over. */
#ifndef FT_GATEWAY_ASIDE_H
#define FT_GATEWAY_ASIDE_H

#include "base/err.h"

#define GW_ASIDE_MAX 256 /* that may wait */

struct gw_request;
struct gw_aside;

int gw_aside_open(struct gw_aside **ret, struct ft_err *err);
void gw_aside_close(struct gw_aside *a); /* does what waits; NULL is accepted */

/* Any thread: fn runs there later, exactly once, and answers r. The caller holds a reference of the
 * exchange until then. Not 0: too many wait, r is answered with 503, and fn is not called. */
int gw_aside_do(struct gw_request *r, void (*fn)(void *ctx), void *ctx);

#endif
