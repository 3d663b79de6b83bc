/* The engine of alerts at work: one look at every rule, what is told of it, the threads that send.
 *
 * Everything is under one lock, which is never held while the store, the gateway or a receiver is
 * waited for. JSON that others hold too is let go under it: jansson orders no last decref after
 * what another thread read before its own. */
#include "control/watch/alarm.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "base/utf8.h"
#include "control/inside.h"
#include "control/watch/alarm_inner.h"

#define VALUE_OLD_S       30 /* an older point says nothing of now */
#define FORGET_S          86400
#define TELL_MS           2000 /* a look's events, to the gateway */
#define NOTICE_MAX        32   /* alerts in one notice */
#define EVENTS_MAX        32   /* of one look */
#define TEXT_BYTES        1100 /* a rule's name has 128 characters of at most 4 bytes */
#define NOTICE_TEXT_BYTES 200

/* ---- values ---- */

struct found {
    const struct ft_alarm_rule *rule;
    int n;
    struct {
        int place;
        char label[16], value[264], owner[72];
    } at[FT_ALERT_SUBJECTS_MAX];
};

/* labels: {} is the cloud's; {"endpoint": "*"} any of them. */
static void match(void *ctx, int place, const struct ft_history_name *n, int64_t last_s)
{
    struct found *f = ctx;
    const json_t *labels = json_object_get(f->rule->body, "labels");
    (void)last_s;
    if (f->n == FT_ALERT_SUBJECTS_MAX || strcmp(n->name, ft_ctl_text(f->rule->body, "series")) != 0)
        return;
    const char *wanted = n->label[0] != '\0' ? ft_ctl_text(labels, n->label) : NULL;
    if (n->label[0] == '\0'
            ? json_object_size(labels) > 0
            : wanted == NULL || (strcmp(wanted, "*") != 0 && strcmp(wanted, n->value) != 0))
        return;
    f->at[f->n].place = place;
    strcpy(f->at[f->n].label, n->label);
    strcpy(f->at[f->n].value, n->value);
    strcpy(f->at[f->n].owner, n->owner);
    f->n++;
}

static struct ft_alarm_one *one_of(struct ft_alarm_rule *r, const char *label, const char *value,
                                   const char *owner)
{
    for (int i = 0; i < r->n_one; i++)
        if (strcmp(r->one[i].value, value) == 0 && strcmp(r->one[i].label, label) == 0 &&
            strcmp(r->one[i].owner, owner) == 0)
            return &r->one[i];
    if (r->n_one == FT_ALERT_SUBJECTS_MAX)
        return NULL;
    struct ft_alarm_one *o = &r->one[r->n_one++];
    memset(o, 0, sizeof *o);
    strcpy(o->label, label);
    strcpy(o->value, value);
    strcpy(o->owner, owner);
    return o;
}

/* ---- what is told ---- */

/* Takes a character away that lost its end when the text was cut. */
static void whole(char *text)
{
    text[ft_utf8_valid_len(text, strlen(text))] = '\0';
}

/* "disk nearly full (critical): disk_free_ratio is 0.04, below 0.05" */
static void sentence(const struct ft_alarm_rule *r, const struct ft_alarm_one *o, char *ret,
                     size_t n)
{
    char subject[300];
    bool fires = o->alert.state == FT_ALERT_FIRING;
    snprintf(subject, sizeof subject, o->label[0] != '\0' ? " of %s %s" : "", o->label, o->value);
    if (o->alert.state == FT_ALERT_NO_DATA)
        snprintf(ret, n, "%s: nothing is known of %s%s any more", ft_ctl_text(r->body, "name"),
                 ft_ctl_text(r->body, "series"), subject);
    else
        snprintf(ret, n, "%s (%s): %s%s is %.6g, %s%s %.6g", ft_ctl_text(r->body, "name"),
                 fires ? ft_ctl_text(r->body, "severity") : "over", ft_ctl_text(r->body, "series"),
                 subject, o->alert.value, fires ? "" : "no longer ",
                 r->of.below ? "below" : "above", r->of.threshold);
    whole(ret);
}

/* What is told of it: silence is not that it is well. */
static const char *status_of(const struct ft_alarm_one *o)
{
    return o->alert.state == FT_ALERT_FIRING    ? "firing"
           : o->alert.state == FT_ALERT_NO_DATA ? "no_data"
                                                : "resolved";
}

static json_t *alert_json(const struct ft_alarm_rule *r, const struct ft_alarm_one *o,
                          enum ft_alert_news news)
{
    char text[TEXT_BYTES];
    sentence(r, o, text, sizeof text);
    json_t *labels = json_object();
    if (o->label[0] != '\0')
        json_object_set_new(labels, o->label, json_string(o->value));
    return json_pack("{s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:f,s:f,s:I,s:b,s:s}", "id", r->id, "name",
                     ft_ctl_text(r->body, "name"), "severity", ft_ctl_text(r->body, "severity"),
                     "status", status_of(o), "series", ft_ctl_text(r->body, "series"), "labels",
                     labels, "op", r->of.below ? "<" : ">", "threshold", r->of.threshold, "value",
                     o->alert.value, "since", (json_int_t)o->alert.since_s, "repeated",
                     news == FT_ALERT_TELL_AGAIN, "text", text);
}

/* The endpoint's name out of its id: name, or name@project. NULL: it is of none. */
static json_t *endpoint_of(const struct ft_alarm_one *o)
{
    if (strcmp(o->label, "endpoint") != 0)
        return NULL;
    return json_stringn(o->value, strcspn(o->value, "@"));
}

static void note_event(struct ft_alarm *a, const struct ft_alarm_rule *r,
                       const struct ft_alarm_one *o, enum ft_alert_state was)
{
    bool fires = o->alert.state == FT_ALERT_FIRING, silent = o->alert.state == FT_ALERT_NO_DATA;
    const char *severity = ft_ctl_text(r->body, "severity");
    char text[TEXT_BYTES];
    a->changed |= was != o->alert.state;
    if (fires == (was == FT_ALERT_FIRING) || json_array_size(a->events) >= EVENTS_MAX)
        return;
    sentence(r, o, text, sizeof text);
    json_array_append_new(
        a->events, json_pack("{s:s,s:s,s:s,s:s,s:o*,s:s*}", "kind",
                             fires    ? "alert_firing"
                             : silent ? "alert_no_data"
                                      : "alert_resolved",
                             "level",
                             silent                                                  ? "warn"
                             : !fires                                                ? "info"
                             : severity != NULL && strcmp(severity, "critical") == 0 ? "error"
                                                                                     : "warn",
                             "text", text, "rule", r->id, "endpoint", endpoint_of(o), "project",
                             o->owner[0] != '\0' ? o->owner : NULL));
}

/* Adds it to each of the rule's channels' notices. */
static void gather(json_t *notices, const struct ft_alarm_rule *r, json_t *alert)
{
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(r->body, "channels"), i, id)
    {
        json_t *list = json_object_get(notices, json_string_value(id));
        if (list == NULL) {
            list = json_array();
            json_object_set_new(notices, json_string_value(id), list);
        }
        json_array_append(list, alert);
    }
    json_decref(alert);
}

static void look_at_rule(struct ft_alarm *a, struct ft_alarm_rule *r, struct ft_history *h,
                         int64_t now_s, json_t *notices)
{
    struct found f = {.rule = r};
    if (h != NULL)
        ft_history_each(h, match, &f);
    r->quiet = ft_alarm_is_quiet(r->body, now_s);
    for (int i = 0; i < r->n_one; i++)
        r->one[i].seen = false;
    for (int i = 0; i < f.n; i++) {
        struct ft_alarm_one *o = one_of(r, f.at[i].label, f.at[i].value, f.at[i].owner);
        double v = NAN;
        if (o == NULL || !ft_history_last(h, f.at[i].place, now_s, VALUE_OLD_S, &v))
            continue;
        enum ft_alert_state was = o->alert.state;
        o->seen = true;
        ft_alert_look(&o->alert, &r->of, now_s, v);
        note_event(a, r, o, was);
    }
    for (int i = r->n_one - 1; i >= 0; i--) {
        struct ft_alarm_one *o = &r->one[i];
        enum ft_alert_state was = o->alert.state;
        if (!o->seen)
            ft_alert_look(&o->alert, &r->of, now_s, NAN);
        if (!o->seen)
            note_event(a, r, o, was);
        enum ft_alert_news news = ft_alert_news(&o->alert, &r->of, now_s, r->quiet);
        if (news != FT_ALERT_NOTHING)
            gather(notices, r, alert_json(r, o, news));
        bool gone = o->alert.state == FT_ALERT_NO_DATA && !o->alert.told &&
                    now_s - o->alert.seen_s > FORGET_S;
        if (gone && o->alert.seen_s != 0) /* its endpoint or project is no more */
            *o = r->one[--r->n_one];
    }
}

/* The worst of its alerts: firing, no_data, resolved. */
static const char *status_of_all(const json_t *alerts)
{
    static const char *const worst[] = {"firing", "no_data"};
    size_t i;
    json_t *alert;
    for (size_t k = 0; k < FT_COUNT(worst); k++) {
        json_array_foreach(alerts, i, alert)
        {
            if (strcmp(ft_ctl_text(alert, "status"), worst[k]) == 0)
                return worst[k];
        }
    }
    return "resolved";
}

/* One notice for a channel: all its news of this look. */
static void queue_notices(struct ft_alarm *a, json_t *notices, int64_t now_s)
{
    const char *channel;
    json_t *alerts;
    json_object_foreach(notices, channel, alerts)
    {
        char text[NOTICE_TEXT_BYTES];
        size_t n = json_array_size(alerts);
        const char *first = ft_ctl_text(json_array_get(alerts, 0), "text");
        const char *status = status_of_all(alerts);
        while (json_array_size(alerts) > NOTICE_MAX)
            json_array_remove(alerts, NOTICE_MAX);
        if (n == 1)
            snprintf(text, sizeof text, "%s", first);
        else
            snprintf(text, sizeof text, "%zu alerts, %s", n, first);
        whole(text);
        json_t *notice = ft_alarm_notice(a->ctl, "alerts", text);
        if (notice == NULL) {
            ft_log(FT_LOG_ERROR, "control", "no memory for a notice: %s", text);
            continue;
        }
        json_object_set_new(notice, "status", json_string(status));
        json_object_set(notice, "alerts", alerts);
        ft_notify_add(a->notify, channel, notice, now_s);
        a->changed = true;
        json_decref(notice);
    }
}

/* ---- one look ---- */

/* Without the lock; the gateway keeps them. All at once: one that hangs holds up a look once. */
static void tell_events(struct ft_alarm *a)
{
    size_t i;
    json_t *e;
    struct ft_err err = {0};
    struct ft_http_answer answer = {0};
    if (json_array_size(a->events) == 0)
        return;
    json_array_foreach(a->events, i, e)
        ft_log(FT_LOG_WARN, "control", "alert: %s", ft_ctl_text(e, "text"));
    char *text = json_dumps(a->events, JSON_COMPACT);
    struct ft_http_call_config c = {.url = "http://gateway/internal/events",
                                    .unix_socket = ft_inside_socket(a->ctl->inside),
                                    .body = text,
                                    .n_body = text != NULL ? strlen(text) : 0,
                                    .total_timeout_ms = TELL_MS};
    int rc = text == NULL
                 ? ft_err_set(&err, FT_ENOMEM, "no memory")
                 : ft_http_fetch(ft_inside_client(a->ctl->inside), &c, 4096, &answer, &err);
    if (rc == 0 && answer.status != 200)
        rc = ft_err_set(&err, FT_EIO, "the gateway answered %d", answer.status);
    if (rc != 0)
        ft_log(FT_LOG_WARN, "control", "alerts' events were not kept: %s", err.msg);
    ft_http_answer_fini(&answer);
    free(text);
    json_array_clear(a->events);
}

void ft_alarm_look(struct ft_alarm *a, struct ft_history *h, int64_t now_s)
{
    if (!ft_alarm_read_store(a, now_s)) /* goes by what it knew, as soon as it knew anything */
        return;
    json_t *notices = json_object();
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < a->n_rule; i++)
        look_at_rule(a, a->rule[i], h, now_s, notices);
    queue_notices(a, notices, now_s);
    bool changed = a->changed;
    pthread_cond_broadcast(&a->wake);
    json_decref(notices);
    pthread_mutex_unlock(&a->lock);
    if (changed)
        ft_alarm_save(a);
    tell_events(a);
}

/* ---- sending ---- */

static bool stops(void *ctx)
{
    struct ft_alarm *a = ctx;
    pthread_mutex_lock(&a->lock);
    bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    return stop;
}

/* Under the lock, which it leaves while it sends. */
static void send_one(struct ft_alarm *a, const struct ft_notify_due *due)
{
    const char *id = due->channel;
    struct ft_err err = {0};
    json_t *channel = json_incref(json_object_get(a->channels, id));
    json_t *smtp = a->smtp != NULL ? json_incref(a->smtp) : NULL;
    pthread_mutex_unlock(&a->lock);
    json_t *notice =
        due->is_heartbeat ? ft_alarm_notice(a->ctl, "heartbeat", "the cloud is alive") : due->body;
    int rc = notice == NULL    ? ft_err_set(&err, FT_ENOMEM, "no memory")
             : channel != NULL ? ft_alarm_send(a->ctl, channel, smtp, notice, stops, a, &err)
                               : 0;
    if (rc != 0 && rc != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "control", "channel %s: %s", ft_ctl_text(channel, "name"), err.msg);
    pthread_mutex_lock(&a->lock);
    json_decref(notice);
    json_decref(channel);
    json_decref(smtp);
    if (a->stop) /* broken off: the next control tries it */
        return;
    ft_notify_done(a->notify, id, (int64_t)time(NULL), rc == 0 ? NULL : err.msg, rc == FT_EINVAL);
    pthread_mutex_unlock(&a->lock);
    ft_alarm_save(a); /* now: a kill would have it sent again */
    pthread_mutex_lock(&a->lock);
}

static void *sender(void *ctx)
{
    struct ft_alarm *a = ctx;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        struct ft_notify_due due;
        int64_t now = (int64_t)time(NULL), wake;
        if (a->begun && ft_notify_next(a->notify, now, &due, &wake)) {
            send_one(a, &due);
            continue;
        }
        int64_t end_ns = ft_clock_now_ns() + 1000000000;
        struct timespec until = {end_ns / 1000000000, end_ns % 1000000000};
        pthread_cond_timedwait(&a->wake, &a->lock, &until);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

int ft_alarm_open(struct ft_ctl *ctl, struct ft_alarm **ret, struct ft_err *err)
{
    struct ft_alarm *a = calloc(1, sizeof *a);
    if (a == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    a->ctl = ctl;
    a->channels = json_object();
    a->events = json_array();
    a->saved = ft_alarm_load(ctl);
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->saving, NULL);
    ft_cond_init(&a->wake);
    int rc = ft_notify_open(&a->notify, err);
    while (rc == 0 && a->n_sender < FT_ALARM_SENDERS) {
        if (pthread_create(&a->sender[a->n_sender], NULL, sender, a) != 0)
            rc = ft_err_sys(err, "control: start a thread");
        else
            a->n_sender++;
    }
    if (rc != 0)
        ft_alarm_close(a);
    else
        *ret = a;
    return rc;
}

void ft_alarm_close(struct ft_alarm *a)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_broadcast(&a->wake);
    pthread_mutex_unlock(&a->lock);
    for (int i = 0; i < a->n_sender; i++)
        pthread_join(a->sender[i], NULL);
    if (a->begun)
        ft_alarm_save(a);
    for (int i = 0; i < a->n_rule; i++)
        ft_alarm_rule_free(a->rule[i]);
    ft_notify_close(a->notify);
    json_decref(a->channels);
    json_decref(a->smtp);
    json_decref(a->events);
    json_decref(a->saved);
    pthread_cond_destroy(&a->wake);
    pthread_mutex_destroy(&a->lock);
    pthread_mutex_destroy(&a->saving);
    free(a);
}
