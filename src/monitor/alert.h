/* Alerts: when a rule over a series of the history fires, is over, and when somebody is told.
 * Decisions alone: the caller has the clock, the values, and who to tell.
 *
 *                    bad                 bad for for_s
 *        OK ----------------> PENDING ------------------> FIRING
 *        ^  <-----(good)----    |                           |
 *        +-------------------------(good for for_s)---------+        any --(no values)--> NO_DATA
 *
 * for_s holds both ways, so a value at the threshold does not make one alert after the other. Who
 * is told is told what holds, once; while it fires again every repeat_s. What still goes to and fro
 * is told at most FT_ALERT_BURST times in a row and then once in FT_ALERT_REFILL_S. Quiet times
 * hold telling back, not states: what holds at their end is told then. */
#ifndef FT_MONITOR_ALERT_H
#define FT_MONITOR_ALERT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_ALERT_NO_DATA_S    120 /* without a value for so long: nothing is known */
#define FT_ALERT_BURST        6   /* times that one alert is told in a row */
#define FT_ALERT_REFILL_S     600 /* then once in so long */
#define FT_ALERT_REPEAT_S     14400
#define FT_ALERT_SUBJECTS_MAX 64 /* of a rule for any endpoint, project, ... */

enum ft_alert_state { FT_ALERT_OK, FT_ALERT_PENDING, FT_ALERT_FIRING, FT_ALERT_NO_DATA };
extern const char *const ft_alert_state_name[]; /* "ok", "pending", "firing", "no_data" */
/* The worse of two comes first: firing, pending, no_data, ok. */
enum ft_alert_state ft_alert_worse(enum ft_alert_state a, enum ft_alert_state b);

struct ft_alert_rule {
    bool below; /* fires below the threshold; else above it */
    double threshold;
    int64_t for_s;
    int64_t repeat_s; /* 0: told once */
};

/* A rule for one subject; zeroed: nothing is known. */
struct ft_alert {
    enum ft_alert_state state;
    int64_t since_s;   /* of the state */
    int64_t turned_s;  /* since when the value says otherwise than the state; 0: it does not */
    int64_t seen_s;    /* the last value's time; 0: there was none */
    double value;      /* the last one */
    bool told;         /* the last that was told is that it fires */
    int64_t told_s;    /* when; 0: never */
    int64_t tokens_ms; /* told so often that this much of FT_ALERT_BURST times is used up */
    int64_t tokens_s;  /* as of */
};

/* One look; value NaN: there is none now. Clocks may be set back: waiting begins anew. */
void ft_alert_look(struct ft_alert *a, const struct ft_alert_rule *r, int64_t now_s, double value);

enum ft_alert_news {
    FT_ALERT_NOTHING,
    FT_ALERT_TELL_FIRING,
    FT_ALERT_TELL_AGAIN,   /* it still fires */
    FT_ALERT_TELL_RESOLVED /* its state says whether it is well, or nothing is known any more */
};
/* What is to be told now, and counts as told by this. */
enum ft_alert_news ft_alert_news(struct ft_alert *a, const struct ft_alert_rule *r, int64_t now_s,
                                 bool quiet);

/* For the file that states survive in. load: false, and *a zeroed, for what save did not make. */
json_t *ft_alert_save(const struct ft_alert *a);
bool ft_alert_load(const json_t *o, struct ft_alert *a);

#endif
