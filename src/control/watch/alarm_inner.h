/* The engine of alerts inside: what alarm.c (looks, notices, senders), alarm_rules.c (rules as they
 * are in the store) and alarm_state.c (what survives, what is shown) share. */
#ifndef FT_CONTROL_ALARM_INNER_H
#define FT_CONTROL_ALARM_INNER_H

#include <pthread.h>

#include "control/watch/alarm.h"
#include "monitor/alert.h"

#define FT_ALARM_SENDERS   3 /* one that waits for a dead receiver does not hold up the others */
#define FT_ALARM_RULES_MAX 128

struct ft_alarm_one { /* a rule for one subject */
    char label[16], value[264];
    char owner[72]; /* whose it is; "": nobody's in particular */
    struct ft_alert alert;
    bool seen; /* at this look */
};

struct ft_alarm_rule {
    char id[CTL_ID_MAX];
    json_t *body;
    struct ft_alert_rule of;
    bool kept, quiet;
    struct ft_alarm_one *one; /* [FT_ALERT_SUBJECTS_MAX] */
    int n_one;
};

struct ft_alarm {
    struct ft_ctl *ctl;
    pthread_mutex_t lock;
    pthread_mutex_t saving; /* taken before the lock: one writes the file at a time */
    pthread_cond_t wake;
    pthread_t sender[FT_ALARM_SENDERS];
    int n_sender;
    bool stop;
    struct ft_alarm_rule *rule[FT_ALARM_RULES_MAX];
    int n_rule;
    json_t *channels; /* id -> body */
    json_t *smtp;     /* of the settings; NULL */
    struct ft_notify *notify;
    bool changed;  /* since it was saved: a state, what was told, a queue */
    json_t *saved; /* states of before; NULL once the rules were read */
    /* the watch's thread */
    bool begun; /* the rules were read once, those to begin with are there */
    json_t *events;
};

/* alarm_rules.c */
/* Rules, channels and the relay as the store has them; false: they were never read yet. Without the
 * lock. */
bool ft_alarm_read_store(struct ft_alarm *a, int64_t now_s);
void ft_alarm_rule_free(struct ft_alarm_rule *r);
/* Under the lock; NULL: there is none. */
const struct ft_alarm_rule *ft_alarm_rule_find(const struct ft_alarm *a, const char *id);
bool ft_alarm_is_quiet(const json_t *rule, int64_t now_s);

/* alarm_state.c: the file of states. Without the lock. */
void ft_alarm_save(struct ft_alarm *a);
json_t *ft_alarm_load(const struct ft_ctl *ctl); /* NULL: there is none */

#endif
