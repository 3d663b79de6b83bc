/* Rules of alerts as they are in the store: read at every look, each with the states of its
 * subjects for as long as it asks the same question. */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/log.h"
#include "control/watch/alarm_inner.h"
#include "monitor/zone.h"

void ft_alarm_rule_free(struct ft_alarm_rule *r)
{
    json_decref(r->body);
    free(r->one);
    free(r);
}

static struct ft_alarm_rule *find(const struct ft_alarm *a, const char *id)
{
    for (int i = 0; i < a->n_rule; i++)
        if (strcmp(a->rule[i]->id, id) == 0)
            return a->rule[i];
    return NULL;
}

const struct ft_alarm_rule *ft_alarm_rule_find(const struct ft_alarm *a, const char *id)
{
    return find(a, id);
}

static struct ft_alarm_rule *rule_new(struct ft_alarm *a, const char *id)
{
    struct ft_alarm_rule *r = a->n_rule < FT_ALARM_RULES_MAX ? calloc(1, sizeof *r) : NULL;
    if (r != NULL)
        r->one = calloc(FT_ALERT_SUBJECTS_MAX, sizeof *r->one);
    if (r == NULL || r->one == NULL) {
        free(r);
        return NULL;
    }
    snprintf(r->id, sizeof r->id, "%s", id);
    const json_t *was = json_object_get(a->saved, id);
    for (size_t i = 0; i < json_array_size(was) && r->n_one < FT_ALERT_SUBJECTS_MAX; i++) {
        const json_t *o = json_array_get(was, i);
        const char *label = ft_ctl_text(o, "label"), *value = ft_ctl_text(o, "value");
        struct ft_alarm_one *one = &r->one[r->n_one];
        if (label == NULL || value == NULL ||
            !ft_alert_load(json_object_get(o, "alert"), &one->alert))
            continue;
        snprintf(one->label, sizeof one->label, "%s", label);
        snprintf(one->value, sizeof one->value, "%s", value);
        const char *owner = ft_ctl_text(o, "owner");
        snprintf(one->owner, sizeof one->owner, "%s", owner != NULL ? owner : "");
        r->n_one++;
    }
    a->rule[a->n_rule++] = r;
    return r;
}

/* Another question: what was answered before says nothing. */
static bool same_question(const json_t *a, const json_t *b)
{
    static const char *const of[] = {"series", "labels", "op"};
    for (size_t i = 0; i < FT_COUNT(of); i++) {
        const json_t *x = json_object_get(a, of[i]), *y = json_object_get(b, of[i]);
        if ((x == NULL) != (y == NULL) || (x != NULL && !json_equal(x, y)))
            return false;
    }
    return true;
}

static void take_rule(struct ft_alarm *a, const char *id, json_t *body)
{
    struct ft_alarm_rule *r = find(a, id);
    if (r == NULL)
        r = rule_new(a, id);
    if (r == NULL)
        return;
    if (r->body != NULL && !same_question(r->body, body))
        r->n_one = 0;
    json_decref(r->body);
    r->body = json_incref(body);
    const char *op = ft_ctl_text(body, "op");
    r->of =
        (struct ft_alert_rule){.below = op != NULL && op[0] == '<',
                               .threshold = json_number_value(json_object_get(body, "threshold")),
                               .for_s = ft_ctl_int(body, "for_s", 0),
                               .repeat_s = ft_ctl_int(body, "repeat_s", FT_ALERT_REPEAT_S)};
    r->kept = true;
}

static int minutes(const char *text)
{
    int h, m;
    return text != NULL && sscanf(text, "%d:%d", &h, &m) == 2 ? 60 * h + m : 0;
}

bool ft_alarm_is_quiet(const json_t *body, int64_t now_s)
{
    struct ft_err err = {0};
    const json_t *q = json_object_get(body, "quiet");
    const char *zone = ft_ctl_text(q, "tz");
    bool quiet = false;
    if (!json_is_object(q))
        return false;
    if (ft_zone_within(zone != NULL ? zone : "UTC", now_s, minutes(ft_ctl_text(q, "from")),
                       minutes(ft_ctl_text(q, "to")), &quiet, &err) != 0)
        ft_log(FT_LOG_WARN, "control", "alert %s: quiet: %s", ft_ctl_text(body, "name"), err.msg);
    return quiet;
}

/* ---- what the store says ---- */

struct stored {
    json_t *rules, *channels, *smtp;
};

static int collect(void *ctx, const char *id, json_t *body)
{
    json_object_set(ctx, id, body);
    return 0;
}

static int read_stored(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct stored *s = ctx;
    struct ft_ctl_entity smtp = {0};
    struct ft_ctl_scan rules = {.kind = FT_ALERT_KIND, .limit = FT_ALARM_RULES_MAX};
    struct ft_ctl_scan channels = {.kind = FT_CHANNEL_KIND, .limit = FT_NOTIFY_CHANNELS_MAX};
    json_object_clear(s->rules);
    json_object_clear(s->channels);
    int rc = ft_ctl_scan(tx, &rules, collect, s->rules, err);
    if (rc == 0)
        rc = ft_ctl_scan(tx, &channels, collect, s->channels, err);
    if (rc == 0)
        rc = ft_ctl_get(tx, "setting", "smtp", &smtp, err);
    if (rc > 0)
        s->smtp = json_incref(json_object_get(smtp.body, "smtp"));
    ft_ctl_entity_fini(&smtp);
    return rc < 0 ? rc : 0;
}

static int begin(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_alarm *a = ctx;
    struct ft_ctl_call call = {.ctl = a->ctl, .now_s = (int64_t)time(NULL)};
    return ft_alarm_defaults(&call, tx, err);
}

/* Under the lock. */
static void take_channels(struct ft_alarm *a, json_t *channels)
{
    struct ft_notify_channel list[FT_NOTIFY_CHANNELS_MAX];
    const char *id;
    json_t *body;
    int n = 0;
    json_object_foreach(channels, id, body)
    {
        if (n == FT_NOTIFY_CHANNELS_MAX)
            break;
        snprintf(list[n].id, sizeof list[n].id, "%s", id);
        list[n++].heartbeat_s = ft_ctl_int(body, "heartbeat_s", 0);
    }
    ft_notify_channels(a->notify, list, n);
    json_decref(a->channels);
    a->channels = json_incref(channels);
}

bool ft_alarm_read_store(struct ft_alarm *a, int64_t now_s)
{
    struct ft_err err = {0};
    struct stored s = {json_object(), json_object(), NULL};
    const char *id;
    json_t *body;
    int rc = a->begun ? 0 : ft_state_tx(a->ctl->state, begin, a, &err);
    if (rc == 0)
        rc = ft_state_read(a->ctl->state, read_stored, &s, &err);
    if (rc == 0) {
        pthread_mutex_lock(&a->lock);
        for (int i = 0; i < a->n_rule; i++)
            a->rule[i]->kept = false;
        json_object_foreach(s.rules, id, body)
        {
            if (!json_is_false(json_object_get(body, "enabled")))
                take_rule(a, id, body);
        }
        for (int i = a->n_rule - 1; i >= 0; i--) {
            if (a->rule[i]->kept)
                continue;
            ft_alarm_rule_free(a->rule[i]);
            a->rule[i] = a->rule[--a->n_rule];
        }
        take_channels(a, s.channels);
        if (!a->begun)
            ft_notify_load(a->notify, json_object_get(a->saved, "notices"), now_s);
        json_decref(a->smtp);
        a->smtp = s.smtp;
        s.smtp = NULL;
        a->begun = true;
        json_decref(a->saved); /* a rule that comes back later begins anew */
        a->saved = NULL;
        pthread_mutex_unlock(&a->lock);
    }
    json_decref(s.rules);
    json_decref(s.channels);
    json_decref(s.smtp);
    return a->begun;
}
