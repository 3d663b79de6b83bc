/* Alerts at work: the rules of the store over the history, at every look of the watch, and notices
 * to their channels. monitor/alert.h and monitor/notify.h decide; this has the clock, the store and
 * the way out. States survive in HOME/monitor/alerts.json. */
#ifndef FT_CONTROL_ALARM_H
#define FT_CONTROL_ALARM_H

#include "control/inner.h"
#include "monitor/history.h"
#include "monitor/notify.h"

#define FT_ALERT_KIND   "alert"
#define FT_CHANNEL_KIND "channel"

struct ft_alarm;

/* Starts the threads that send. */
int ft_alarm_open(struct ft_ctl *ctl, struct ft_alarm **ret, struct ft_err *err);
void ft_alarm_close(struct ft_alarm *a); /* NULL is accepted */
/* One look, of the watch's thread: evaluates every rule, queues what is to be told. Never waits for
 * a receiver. h: NULL: there is no history now, so nothing is known. */
void ft_alarm_look(struct ft_alarm *a, struct ft_history *h, int64_t now_s);

/* Any thread: adds state, since, value and instances to the view of a rule; waiting, sent ... to a
 * channel's. a NULL is accepted. */
void ft_alarm_show_rule(struct ft_alarm *a, const char *id, json_t *view);
void ft_alarm_show_channel(struct ft_alarm *a, const char *id, json_t *view);

/* In a transaction: the rules that a cloud begins with, once. */
int ft_alarm_defaults(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err);

/* alarm_send.c: one notice to a channel, now; blocks for seconds. channel, smtp: as in the store.
 * stop (may be NULL) is asked often. FT_EINVAL: it will never be taken. */
int ft_alarm_send(struct ft_ctl *ctl, const json_t *channel, const json_t *smtp,
                  const json_t *notice, bool (*stop)(void *ctx), void *ctx, struct ft_err *err);
/* A notice of no alert: kind "heartbeat" or "test". */
json_t *ft_alarm_notice(const struct ft_ctl *ctl, const char *kind, const char *text);

#endif
