/* The engine of alerts: rules as they are in the store, one state for each subject of each rule,
 * queues of notices, the threads that send them.
 *
 * Everything is under one lock, which is never held while the store, the gateway or a receiver is
 * waited for. */
#include "control/watch/alarm.h"

#include <math.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/file.h"
#include "base/log.h"
#include "control/inside.h"
#include "monitor/alert.h"
#include "monitor/zone.h"

#define SENDERS     3 /* one that waits for a dead receiver does not hold up the others */
#define RULES_MAX   128
#define VALUE_OLD_S 30 /* an older point says nothing of now */
#define FORGET_S    86400
#define SAVED_MAX   ((size_t)8 << 20)
#define TELL_MS     2000 /* an event, to the gateway */
#define NOTICE_MAX  32   /* alerts in one notice */
#define EVENTS_MAX  32   /* of one look */

struct one { /* a rule for one subject */
    char label[16], value[264];
    struct ft_alert alert;
    bool seen; /* at this look */
};

struct rule {
    char id[CTL_ID_MAX];
    json_t *body;
    struct ft_alert_rule of;
    bool kept, quiet;
    struct one *one; /* [FT_ALERT_SUBJECTS_MAX] */
    int n_one;
};

struct ft_alarm {
    struct ft_ctl *ctl;
    pthread_mutex_t lock;
    pthread_mutex_t saving; /* taken before the lock: one writes the file at a time */
    pthread_cond_t wake;
    pthread_t sender[SENDERS];
    int n_sender;
    bool stop;
    struct rule *rule[RULES_MAX];
    int n_rule;
    json_t *channels; /* id -> body */
    json_t *smtp;     /* of the settings; NULL */
    struct ft_notify *notify;
    bool changed;  /* since it was saved: a state, what was told, a queue */
    json_t *saved; /* states of before, until their rules were read */
    /* the watch's thread */
    bool begun; /* the rules were read once, those to begin with are there */
    json_t *events;
};

/* ---- rules ---- */

static void rule_free(struct rule *r)
{
    json_decref(r->body);
    free(r->one);
    free(r);
}

static struct rule *rule_find(const struct ft_alarm *a, const char *id)
{
    for (int i = 0; i < a->n_rule; i++)
        if (strcmp(a->rule[i]->id, id) == 0)
            return a->rule[i];
    return NULL;
}

static struct rule *rule_new(struct ft_alarm *a, const char *id)
{
    struct rule *r = a->n_rule < RULES_MAX ? calloc(1, sizeof *r) : NULL;
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
        struct one *one = &r->one[r->n_one];
        if (label == NULL || value == NULL ||
            !ft_alert_load(json_object_get(o, "alert"), &one->alert))
            continue;
        snprintf(one->label, sizeof one->label, "%s", label);
        snprintf(one->value, sizeof one->value, "%s", value);
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
    struct rule *r = rule_find(a, id);
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

static bool is_quiet(const json_t *body, int64_t now_s)
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
    struct ft_ctl_scan rules = {.kind = FT_ALERT_KIND, .limit = RULES_MAX};
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

static bool read_store(struct ft_alarm *a, int64_t now_s)
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
            rule_free(a->rule[i]);
            a->rule[i] = a->rule[--a->n_rule];
        }
        take_channels(a, s.channels);
        if (!a->begun)
            ft_notify_load(a->notify, json_object_get(a->saved, "notices"), now_s);
        json_decref(a->smtp);
        a->smtp = s.smtp != NULL ? json_incref(s.smtp) : NULL;
        a->begun = true;
        pthread_mutex_unlock(&a->lock);
    }
    json_decref(s.rules);
    json_decref(s.channels);
    json_decref(s.smtp);
    return a->begun;
}

/* ---- values ---- */

struct found {
    const struct rule *rule;
    int n;
    struct {
        int place;
        char label[16], value[264];
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
    f->n++;
}

static struct one *one_of(struct rule *r, const char *label, const char *value)
{
    for (int i = 0; i < r->n_one; i++)
        if (strcmp(r->one[i].value, value) == 0 && strcmp(r->one[i].label, label) == 0)
            return &r->one[i];
    if (r->n_one == FT_ALERT_SUBJECTS_MAX)
        return NULL;
    struct one *o = &r->one[r->n_one++];
    memset(o, 0, sizeof *o);
    strcpy(o->label, label);
    strcpy(o->value, value);
    return o;
}

/* ---- what is told ---- */

static const char *of_subject(const struct one *o, char *ret, size_t n)
{
    snprintf(ret, n, o->label[0] != '\0' ? " of %s %.200s" : "", o->label, o->value);
    return ret;
}

/* "disk nearly full (critical): disk_free_ratio is 0.04, below 0.05" */
static void sentence(const struct rule *r, const struct one *o, char *ret, size_t n)
{
    char subject[260];
    bool fires = o->alert.state == FT_ALERT_FIRING;
    of_subject(o, subject, sizeof subject);
    if (o->alert.state == FT_ALERT_NO_DATA)
        snprintf(ret, n, "%s: nothing is known of %s%s any more", ft_ctl_text(r->body, "name"),
                 ft_ctl_text(r->body, "series"), subject);
    else
        snprintf(ret, n, "%s (%s): %s%s is %.6g, %s%s %.6g", ft_ctl_text(r->body, "name"),
                 fires ? ft_ctl_text(r->body, "severity") : "over", ft_ctl_text(r->body, "series"),
                 subject, o->alert.value, fires ? "" : "no longer ",
                 r->of.below ? "below" : "above", r->of.threshold);
}

static json_t *alert_json(const struct rule *r, const struct one *o, enum ft_alert_news news)
{
    char text[800];
    sentence(r, o, text, sizeof text);
    json_t *labels = json_object();
    if (o->label[0] != '\0')
        json_object_set_new(labels, o->label, json_string(o->value));
    return json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:o,s:s,s:f,s:f,s:I,s:b,s:s}", "id", r->id, "name",
        ft_ctl_text(r->body, "name"), "severity", ft_ctl_text(r->body, "severity"), "status",
        o->alert.state == FT_ALERT_FIRING    ? "firing"
        : o->alert.state == FT_ALERT_NO_DATA ? "no_data"
                                             : "resolved",
        "series", ft_ctl_text(r->body, "series"), "labels", labels, "op", r->of.below ? "<" : ">",
        "threshold", r->of.threshold, "value", o->alert.value, "since",
        (json_int_t)o->alert.since_s, "repeated", news == FT_ALERT_TELL_AGAIN, "text", text);
}

static void note_event(struct ft_alarm *a, const struct rule *r, const struct one *o,
                       enum ft_alert_state was)
{
    bool fires = o->alert.state == FT_ALERT_FIRING;
    const char *severity = ft_ctl_text(r->body, "severity");
    char text[800];
    a->changed |= was != o->alert.state;
    if (fires == (was == FT_ALERT_FIRING) || json_array_size(a->events) >= EVENTS_MAX)
        return;
    sentence(r, o, text, sizeof text);
    json_array_append_new(
        a->events,
        json_pack("{s:s,s:s,s:s,s:s*}", "kind", fires ? "alert_firing" : "alert_resolved", "level",
                  !fires                                                  ? "info"
                  : severity != NULL && strcmp(severity, "critical") == 0 ? "error"
                                                                          : "warn",
                  "text", text, "rule", r->id));
}

/* Adds it to each of the rule's channels' notices. */
static void gather(json_t *notices, const struct rule *r, json_t *alert)
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

static void look_at_rule(struct ft_alarm *a, struct rule *r, struct ft_history *h, int64_t now_s,
                         json_t *notices)
{
    struct found f = {.rule = r};
    ft_history_each(h, match, &f);
    r->quiet = is_quiet(r->body, now_s);
    for (int i = 0; i < r->n_one; i++)
        r->one[i].seen = false;
    for (int i = 0; i < f.n; i++) {
        struct one *o = one_of(r, f.at[i].label, f.at[i].value);
        double v = NAN;
        if (o == NULL || !ft_history_last(h, f.at[i].place, now_s, VALUE_OLD_S, &v))
            continue;
        enum ft_alert_state was = o->alert.state;
        o->seen = true;
        ft_alert_look(&o->alert, &r->of, now_s, v);
        note_event(a, r, o, was);
    }
    for (int i = r->n_one - 1; i >= 0; i--) {
        struct one *o = &r->one[i];
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

/* One notice for a channel: all its news of this look. */
static void queue_notices(struct ft_alarm *a, json_t *notices, int64_t now_s)
{
    const char *channel;
    json_t *alerts;
    json_object_foreach(notices, channel, alerts)
    {
        char text[200];
        size_t n = json_array_size(alerts);
        const char *first = ft_ctl_text(json_array_get(alerts, 0), "text");
        bool fires = false;
        for (size_t i = 0; i < n; i++)
            fires |= strcmp(ft_ctl_text(json_array_get(alerts, i), "status"), "firing") == 0;
        while (json_array_size(alerts) > NOTICE_MAX)
            json_array_remove(alerts, NOTICE_MAX);
        if (n == 1)
            snprintf(text, sizeof text, "%s", first);
        else
            snprintf(text, sizeof text, "%zu alerts, %.150s", n, first);
        json_t *notice = ft_alarm_notice(a->ctl, "alerts", text);
        json_object_set_new(notice, "status", json_string(fires ? "firing" : "resolved"));
        json_object_set(notice, "alerts", alerts);
        ft_notify_add(a->notify, channel, notice, now_s);
        a->changed = true;
        json_decref(notice);
    }
}

/* ---- what survives ---- */

static void save(struct ft_alarm *a)
{
    char path[4096];
    struct ft_err err = {0};
    json_t *all = json_object();
    pthread_mutex_lock(&a->saving);
    pthread_mutex_lock(&a->lock);
    a->changed = false;
    for (int i = 0; i < a->n_rule; i++) {
        const struct rule *r = a->rule[i];
        json_t *ones = json_array();
        for (int k = 0; k < r->n_one; k++)
            json_array_append_new(ones, json_pack("{s:s,s:s,s:o}", "label", r->one[k].label,
                                                  "value", r->one[k].value, "alert",
                                                  ft_alert_save(&r->one[k].alert)));
        json_object_set_new(all, r->id, ones);
    }
    json_object_set_new(all, "notices", ft_notify_save(a->notify));
    pthread_mutex_unlock(&a->lock);
    char *text = json_dumps(all, JSON_COMPACT);
    snprintf(path, sizeof path, "%s/monitor/alerts.json", a->ctl->home);
    if (text != NULL && ft_file_put(path, text, strlen(text), &err) != 0)
        ft_log(FT_LOG_WARN, "control", "alerts: %s", err.msg);
    pthread_mutex_unlock(&a->saving);
    free(text);
    json_decref(all);
}

static json_t *load(const struct ft_ctl *ctl)
{
    char path[4096], *text;
    size_t n;
    struct ft_err err = {0};
    snprintf(path, sizeof path, "%s/monitor/alerts.json", ctl->home);
    if (ft_file_read(path, SAVED_MAX, &text, &n, &err) != 0)
        return NULL;
    json_t *all = json_loadb(text, n, 0, NULL);
    if (all == NULL)
        ft_log(FT_LOG_WARN, "control", "%s cannot be read: states of alerts begin anew", path);
    free(text);
    return all;
}

/* ---- one look ---- */

/* Without the lock; the gateway keeps them. */
static void tell_events(struct ft_alarm *a)
{
    size_t i;
    json_t *e;
    json_array_foreach(a->events, i, e)
    {
        struct ft_err err = {0};
        struct ft_http_answer answer = {0};
        char *text = json_dumps(e, JSON_COMPACT);
        ft_log(FT_LOG_WARN, "control", "alert: %s", ft_ctl_text(e, "text"));
        struct ft_http_call_config c = {.url = "http://gateway/internal/events",
                                        .unix_socket = ft_inside_socket(a->ctl->inside),
                                        .body = text,
                                        .n_body = text != NULL ? strlen(text) : 0,
                                        .total_timeout_ms = TELL_MS};
        if (text != NULL &&
            ft_http_fetch(ft_inside_client(a->ctl->inside), &c, 4096, &answer, &err) != 0)
            ft_log(FT_LOG_WARN, "control", "an alert's event was not kept: %s", err.msg);
        ft_http_answer_fini(&answer);
        free(text);
    }
    json_array_clear(a->events);
}

void ft_alarm_look(struct ft_alarm *a, struct ft_history *h, int64_t now_s)
{
    if (!read_store(a, now_s)) /* goes by what it knew, as soon as it knew anything */
        return;
    json_t *notices = json_object();
    pthread_mutex_lock(&a->lock);
    for (int i = 0; i < a->n_rule; i++)
        look_at_rule(a, a->rule[i], h, now_s, notices);
    queue_notices(a, notices, now_s);
    bool changed = a->changed;
    pthread_cond_broadcast(&a->wake);
    pthread_mutex_unlock(&a->lock);
    json_decref(notices);
    if (changed)
        save(a);
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
static void send_one(struct ft_alarm *a, const char *id, json_t *body)
{
    struct ft_err err = {0};
    json_t *channel = json_incref(json_object_get(a->channels, id));
    json_t *smtp = a->smtp != NULL ? json_incref(a->smtp) : NULL;
    pthread_mutex_unlock(&a->lock);
    json_t *notice =
        body != NULL ? body : ft_alarm_notice(a->ctl, "heartbeat", "the cloud is alive");
    int rc = channel != NULL ? ft_alarm_send(a->ctl, channel, smtp, notice, stops, a, &err) : 0;
    if (rc != 0 && rc != FT_ECANCELED)
        ft_log(FT_LOG_WARN, "control", "channel %s: %s", ft_ctl_text(channel, "name"), err.msg);
    json_decref(notice);
    json_decref(channel);
    json_decref(smtp);
    pthread_mutex_lock(&a->lock);
    if (a->stop) /* broken off: the next control tries it */
        return;
    ft_notify_done(a->notify, id, (int64_t)time(NULL), rc == 0 ? NULL : err.msg, rc == FT_EINVAL);
    pthread_mutex_unlock(&a->lock);
    save(a); /* now: a kill would have it sent again */
    pthread_mutex_lock(&a->lock);
}

static void *sender(void *ctx)
{
    struct ft_alarm *a = ctx;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        char id[FT_NOTIFY_ID_BYTES];
        json_t *body;
        int64_t now = (int64_t)time(NULL), wake;
        if (a->begun && ft_notify_next(a->notify, now, id, &body, &wake)) {
            send_one(a, id, body);
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
    a->saved = load(ctl);
    pthread_mutex_init(&a->lock, NULL);
    pthread_mutex_init(&a->saving, NULL);
    ft_cond_init(&a->wake);
    int rc = ft_notify_open(&a->notify, err);
    while (rc == 0 && a->n_sender < SENDERS) {
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
        save(a);
    for (int i = 0; i < a->n_rule; i++)
        rule_free(a->rule[i]);
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

/* ---- shown ---- */

void ft_alarm_show_rule(struct ft_alarm *a, const char *id, json_t *view)
{
    enum ft_alert_state state = FT_ALERT_OK;
    const struct one *worst = NULL;
    json_t *all = json_array();
    if (a != NULL)
        pthread_mutex_lock(&a->lock);
    const struct rule *r = a != NULL ? rule_find(a, id) : NULL;
    for (int i = 0; r != NULL && i < r->n_one; i++) {
        const struct one *o = &r->one[i];
        if (worst == NULL || (o->alert.state != worst->alert.state &&
                              ft_alert_worse(o->alert.state, worst->alert.state) == o->alert.state))
            worst = o;
        json_t *labels = json_object();
        if (o->label[0] != '\0')
            json_object_set_new(labels, o->label, json_string(o->value));
        json_array_append_new(
            all,
            json_pack("{s:o,s:s,s:I,s:o}", "labels", labels, "state",
                      ft_alert_state_name[o->alert.state], "since", (json_int_t)o->alert.since_s,
                      "value", o->alert.seen_s != 0 ? json_real(o->alert.value) : json_null()));
    }
    bool known = worst != NULL && worst->alert.seen_s != 0;
    state = worst != NULL ? worst->alert.state : FT_ALERT_NO_DATA;
    if (worst == NULL && r != NULL && json_object_size(json_object_get(r->body, "labels")) > 0)
        state = FT_ALERT_OK; /* of each of none */
    json_object_set_new(view, "state", json_string(ft_alert_state_name[state]));
    json_object_set_new(view, "since",
                        worst != NULL ? json_integer(worst->alert.since_s) : json_null());
    json_object_set_new(view, "value", known ? json_real(worst->alert.value) : json_null());
    json_object_set_new(view, "is_quiet", json_boolean(r != NULL && r->quiet));
    json_object_set_new(view, "instances", all);
    if (a != NULL)
        pthread_mutex_unlock(&a->lock);
}

void ft_alarm_show_channel(struct ft_alarm *a, const char *id, json_t *view)
{
    if (a == NULL)
        return;
    pthread_mutex_lock(&a->lock);
    json_t *status = ft_notify_status(a->notify, id);
    pthread_mutex_unlock(&a->lock);
    json_object_update(view, status);
    json_decref(status);
}
