/* States of alerts, and when they are told. */
#include "monitor/alert.h"

#include <math.h>
#include <string.h>

const char *const ft_alert_state_name[] = {"ok", "pending", "firing", "no_data"};

enum ft_alert_state ft_alert_worse(enum ft_alert_state a, enum ft_alert_state b)
{
    static const int rank[] = {
        [FT_ALERT_OK] = 0, [FT_ALERT_NO_DATA] = 1, [FT_ALERT_PENDING] = 2, [FT_ALERT_FIRING] = 3};
    return rank[a] >= rank[b] ? a : b;
}

static void move(struct ft_alert *a, enum ft_alert_state to, int64_t now_s)
{
    a->state = to;
    a->since_s = now_s;
    a->turned_s = 0;
}

static void look_at_none(struct ft_alert *a, int64_t now_s)
{
    if (a->state != FT_ALERT_NO_DATA && now_s - a->seen_s > FT_ALERT_NO_DATA_S)
        move(a, FT_ALERT_NO_DATA, now_s);
}

void ft_alert_look(struct ft_alert *a, const struct ft_alert_rule *r, int64_t now_s, double value)
{
    if (a->seen_s > now_s || a->turned_s > now_s) { /* the clock was set back */
        a->seen_s = now_s;
        a->turned_s = a->turned_s != 0 ? now_s : 0;
    }
    if (a->since_s == 0 || a->since_s > now_s)
        a->since_s = now_s;
    if (isnan(value)) {
        look_at_none(a, now_s);
        return;
    }
    bool bad = r->below ? value < r->threshold : value > r->threshold;
    a->value = value;
    a->seen_s = now_s;
    if (a->state == FT_ALERT_NO_DATA)
        move(a, a->told ? FT_ALERT_FIRING : FT_ALERT_OK, now_s);
    if (bad == (a->state == FT_ALERT_PENDING || a->state == FT_ALERT_FIRING)) {
        if (a->state != FT_ALERT_PENDING)
            a->turned_s = 0;
    } else if (a->turned_s == 0) {
        a->turned_s = now_s;
    }
    if (a->state == FT_ALERT_OK && bad)
        a->state = FT_ALERT_PENDING, a->since_s = a->turned_s;
    if (a->state == FT_ALERT_PENDING && !bad)
        move(a, FT_ALERT_OK, now_s);
    if (a->state == FT_ALERT_PENDING && now_s - a->since_s >= r->for_s)
        move(a, FT_ALERT_FIRING, now_s);
    if (a->state == FT_ALERT_FIRING && !bad && now_s - a->turned_s >= r->for_s)
        move(a, FT_ALERT_OK, now_s);
}

/* A bucket: telling takes FT_ALERT_REFILL_S of it, time gives it back. */
static bool may_tell(struct ft_alert *a, int64_t now_s)
{
    const int64_t one = FT_ALERT_REFILL_S * INT64_C(1000);
    if (now_s > a->tokens_s)
        a->tokens_ms = FT_MAX(a->tokens_ms - (now_s - a->tokens_s) * 1000, 0);
    a->tokens_s = now_s;
    if (a->tokens_ms + one > FT_ALERT_BURST * one)
        return false;
    a->tokens_ms += one;
    return true;
}

enum ft_alert_news ft_alert_news(struct ft_alert *a, const struct ft_alert_rule *r, int64_t now_s,
                                 bool quiet)
{
    bool fires = a->state == FT_ALERT_FIRING;
    bool again = fires && a->told && r->repeat_s > 0 &&
                 (now_s - a->told_s >= r->repeat_s || now_s < a->told_s);
    if (quiet || (fires == a->told && !again) || !may_tell(a, now_s))
        return FT_ALERT_NOTHING;
    a->told = fires;
    a->told_s = now_s;
    return again ? FT_ALERT_TELL_AGAIN : fires ? FT_ALERT_TELL_FIRING : FT_ALERT_TELL_RESOLVED;
}

json_t *ft_alert_save(const struct ft_alert *a)
{
    return json_pack("{s:s,s:I,s:I,s:I,s:f,s:b,s:I,s:I,s:I}", "state",
                     ft_alert_state_name[a->state], "since", (json_int_t)a->since_s, "turned",
                     (json_int_t)a->turned_s, "seen", (json_int_t)a->seen_s, "value", a->value,
                     "told", a->told, "told_at", (json_int_t)a->told_s, "tokens",
                     (json_int_t)a->tokens_ms, "tokens_at", (json_int_t)a->tokens_s);
}

bool ft_alert_load(const json_t *o, struct ft_alert *a)
{
    const char *state;
    json_int_t since, turned, seen, told_at, tokens, tokens_at;
    int told;
    double value;
    memset(a, 0, sizeof *a);
    if (json_unpack((json_t *)o, "{s:s,s:I,s:I,s:I,s:F,s:b,s:I,s:I,s:I}", "state", &state, "since",
                    &since, "turned", &turned, "seen", &seen, "value", &value, "told", &told,
                    "told_at", &told_at, "tokens", &tokens, "tokens_at", &tokens_at) != 0)
        return false;
    int s = FT_ALERT_OK;
    while (s < FT_ALERT_NO_DATA && strcmp(state, ft_alert_state_name[s]) != 0)
        s++;
    *a = (struct ft_alert){.state = (enum ft_alert_state)s,
                           .since_s = since,
                           .turned_s = turned,
                           .seen_s = seen,
                           .value = value,
                           .told = told != 0,
                           .told_s = told_at,
                           .tokens_ms = tokens,
                           .tokens_s = tokens_at};
    return strcmp(state, ft_alert_state_name[s]) == 0;
}
