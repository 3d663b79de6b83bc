/* Alerts and channels as entities: /api/v1/alerts, /api/v1/channels. Operators alone: an alert sees
 * all of the cloud, and a webhook reaches into its network. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/inside.h"
#include "control/watch/alarm.h"
#include "control/watch/watch.h"
#include "monitor/alert.h"
#include "monitor/derive.h"
#include "monitor/zone.h"
#include "net/mail.h"

#define ALERTS_MAX     128
#define WEBHOOK_SECRET "whsec_"

/* ---- what they begin with ---- */

static const struct {
    const char *id, *name, *series, *label, *op;
    double threshold;
    int for_s;
    const char *severity;
} first_rules[] = {
    {"disk", "disk nearly full", "disk_free_ratio", NULL, "<", 0.05, 60, "critical"},
    {"errors", "many requests fail", "error_ratio", "endpoint", ">", 0.1, 120, "warning"},
    {"workers", "workers die", "worker_deaths", NULL, ">", 2, 0, "warning"},
    {"unserved", "an endpoint lacks replicas", "replicas_missing", "endpoint", ">", 0, 120,
     "warning"},
    {"budget", "a budget is nearly used", "budget_used", "project", ">", 0.9, 0, "info"},
    {"ledger", "usage cannot be written down", "ledger_trouble", NULL, ">", 0, 60, "critical"},
};

int ft_alarm_defaults(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity made = {0};
    int rc = ft_ctl_get(tx, "setting", "default_alerts", &made, err);
    ft_ctl_entity_fini(&made);
    if (rc != 0)
        return rc < 0 ? rc : 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(first_rules); i++) {
        char id[CTL_ID_MAX];
        json_t *labels = json_object();
        if (first_rules[i].label != NULL)
            json_object_set_new(labels, first_rules[i].label, json_string("*"));
        json_t *body =
            json_pack("{s:s,s:s,s:o,s:s,s:f,s:i,s:i,s:s,s:[],s:b,s:I}", "name", first_rules[i].name,
                      "series", first_rules[i].series, "labels", labels, "op", first_rules[i].op,
                      "threshold", first_rules[i].threshold, "for_s", first_rules[i].for_s,
                      "repeat_s", FT_ALERT_REPEAT_S, "severity", first_rules[i].severity,
                      "channels", "enabled", 1, "created", (json_int_t)c->now_s);
        snprintf(id, sizeof id, "alert_%s", first_rules[i].id);
        rc = ft_ctl_put(c, tx, FT_ALERT_KIND, id, NULL, body, err);
        json_decref(body);
    }
    json_t *flag = json_pack("{s:b}", "default_alerts", 1);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "setting", "default_alerts", NULL, flag, err);
    json_decref(flag);
    return rc;
}

/* ---- alerts ---- */

static json_t *view(const char *kind, const char *id, const json_t *body)
{
    json_t *o = ft_ctl_public(kind, body);
    json_object_set_new(o, "id", json_string(id));
    json_object_set_new(o, "object", json_string(kind));
    return o;
}

static json_t *alert_view(const struct ft_ctl_call *c, const char *id, const json_t *body)
{
    json_t *o = view(FT_ALERT_KIND, id, body);
    if (!ft_ctl_has(o, "quiet"))
        json_object_set_new(o, "quiet", json_null());
    ft_alarm_show_rule(ft_watch_alarm(c->ctl->watch), id, o);
    if (json_is_false(json_object_get(body, "enabled")))
        json_object_set_new(o, "state", json_string("ok")); /* nobody looks */
    return o;
}

static json_t *channel_view(const struct ft_ctl_call *c, const char *id, const json_t *body)
{
    json_t *o = view(FT_CHANNEL_KIND, id, body);
    ft_alarm_show_channel(ft_watch_alarm(c->ctl->watch), id, o);
    return o;
}

struct listing {
    struct ft_ctl_call *c;
    json_t *data;
    json_t *(*view)(const struct ft_ctl_call *c, const char *id, const json_t *body);
};

static int list_one(void *ctx, const char *id, json_t *body)
{
    struct listing *l = ctx;
    json_array_append_new(l->data, l->view(l->c, id, body));
    return 0;
}

/* There are few of them: one page. */
static int list(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind,
                json_t *(*show)(const struct ft_ctl_call *c, const char *id, const json_t *body),
                struct ft_err *err)
{
    struct listing l = {c, json_array(), show};
    struct ft_ctl_scan scan = {.kind = kind};
    int rc = ft_ctl_scan(tx, &scan, list_one, &l, err);
    if (rc == 0)
        return ft_ctl_answer(c, 200, ft_ctl_page(l.data, false));
    json_decref(l.data);
    return rc;
}

static int count_one(void *ctx, const char *id, json_t *body)
{
    (void)id;
    (void)body;
    ++*(int *)ctx;
    return 0;
}

static int room_for(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, int most,
                    struct ft_err *err)
{
    int n = 0;
    struct ft_ctl_scan scan = {.kind = kind};
    int rc = ft_ctl_scan(tx, &scan, count_one, &n, err);
    if (rc == 0 && n >= most)
        rc = ft_ctl_refuse(c, 409, "too_many", NULL,
                           "there are %d %ss already: the most there can be", n, kind);
    return rc;
}

static int check_channels(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *body,
                          struct ft_err *err)
{
    size_t i;
    json_t *id;
    json_array_foreach(json_object_get(body, "channels"), i, id)
    {
        struct ft_ctl_entity e = {0};
        int rc = ft_ctl_get(tx, FT_CHANNEL_KIND, json_string_value(id), &e, err);
        ft_ctl_entity_fini(&e);
        if (rc == 0)
            return ft_ctl_refuse(c, 400, "invalid_value", "channels",
                                 "channels: there is no channel '%s'", json_string_value(id));
        if (rc < 0)
            return rc;
    }
    return 0;
}

/* Written without /metrics: by watch.c and scrape.c. */
static const char *const own_series[] = {"cpu", "memory_bytes", "disk_free_bytes",
                                         "disk_free_ratio", "budget_used"};

/* One that has no points yet is one too. */
static bool is_series(const char *name)
{
    for (size_t i = 0; i < FT_COUNT(own_series); i++)
        if (strcmp(own_series[i], name) == 0)
            return true;
    return ft_derive_knows(name);
}

static int check_alert(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *body,
                       struct ft_err *err)
{
    struct ft_err why = {0};
    int32_t offset;
    const char *zone = ft_ctl_text(json_object_get(body, "quiet"), "tz");
    const char *series = ft_ctl_text(c->body, "series"); /* not one that stands already */
    if (series != NULL && !is_series(series))
        return ft_ctl_refuse(c, 400, "invalid_value", "series",
                             "series: there is no curve '%.60s'; GET /api/v1/history/series lists "
                             "those with points, docs/monitoring.md all of them",
                             series);
    if (json_object_size(json_object_get(body, "labels")) > 1)
        return ft_ctl_refuse(c, 400, "invalid_value", "labels",
                             "labels: one of endpoint, project, bucket and worker");
    if (zone != NULL && ft_zone_offset(zone, c->now_s, &offset, &why) != 0)
        return ft_ctl_refuse(c, 400, "invalid_value", "quiet.tz", "quiet.tz: %s", why.msg);
    return check_channels(c, tx, body, err);
}

int ft_ctl_alerts_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return list(c, tx, FT_ALERT_KIND, alert_view, err);
}

static void set_default(json_t *body, const char *name, json_t *value)
{
    if (ft_ctl_has(body, name))
        json_decref(value);
    else
        json_object_set_new(body, name, value);
}

int ft_ctl_alerts_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    int rc = room_for(c, tx, FT_ALERT_KIND, ALERTS_MAX, err);
    if (rc == 0)
        rc = ft_ctl_id_new("alert_", id, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    set_default(body, "labels", json_object());
    set_default(body, "for_s", json_integer(60));
    set_default(body, "repeat_s", json_integer(FT_ALERT_REPEAT_S));
    set_default(body, "severity", json_string("warning"));
    set_default(body, "channels", json_array());
    set_default(body, "enabled", json_true());
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = check_alert(c, tx, body, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, FT_ALERT_KIND, id, NULL, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 201, alert_view(c, id, body));
    json_decref(body);
    return rc;
}

int ft_ctl_alerts_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, FT_ALERT_KIND, &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, alert_view(c, e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_alerts_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, FT_ALERT_KIND, &e, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(e.body, c->body);
    rc = check_alert(c, tx, body, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, FT_ALERT_KIND, e.id, e.body, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, alert_view(c, e.id, body));
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

static int drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, kind, &e, err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, kind, e.id, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted(kind, e.id));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_alerts_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return drop(c, tx, FT_ALERT_KIND, err);
}

/* ---- channels ---- */

static int check_channel(struct ft_ctl_call *c, const json_t *body)
{
    const char *kind = ft_ctl_text(body, "kind"), *url = ft_ctl_text(body, "url");
    const char *to = ft_ctl_text(body, "to");
    bool webhook = strcmp(kind, "webhook") == 0;
    if (webhook && url == NULL)
        return ft_ctl_refuse(c, 400, "missing_required_parameter", "url", "url: a webhook has one");
    if (webhook && ((strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0) ||
                    strchr(url, ' ') != NULL))
        return ft_ctl_refuse(c, 400, "invalid_value", "url",
                             "url: must begin with http:// or https://");
    if (!webhook && to == NULL)
        return ft_ctl_refuse(c, 400, "missing_required_parameter", "to", "to: a mail has one");
    if (!webhook && !ft_mail_address_ok(to))
        return ft_ctl_refuse(c, 400, "invalid_value", "to", "to: must be one address, user@host");
    if (ft_ctl_has(body, webhook ? "to" : "url"))
        return ft_ctl_refuse(c, 400, "invalid_value", webhook ? "to" : "url",
                             "%s: is for the other kind", webhook ? "to" : "url");
    return 0;
}

int ft_ctl_channels_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return list(c, tx, FT_CHANNEL_KIND, channel_view, err);
}

int ft_ctl_channels_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX], secret[CTL_ID_MAX];
    int rc = room_for(c, tx, FT_CHANNEL_KIND, FT_NOTIFY_CHANNELS_MAX, err);
    if (rc == 0)
        rc = ft_ctl_id_new("channel_", id, err);
    if (rc == 0)
        rc = ft_ctl_id_new(WEBHOOK_SECRET, secret, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    bool drawn = !ft_ctl_has(body, "secret") && strcmp(ft_ctl_text(body, "kind"), "webhook") == 0;
    if (drawn)
        json_object_set_new(body, "secret", json_string(secret));
    set_default(body, "heartbeat_s", json_integer(0));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = check_channel(c, body);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, FT_CHANNEL_KIND, id, NULL, body, err);
    if (rc == 0) {
        json_t *shown = channel_view(c, id, body);
        if (drawn) /* now, and never again */
            json_object_set_new(shown, "secret", json_string(secret));
        ft_ctl_answer(c, 201, shown);
    }
    json_decref(body);
    return rc;
}

int ft_ctl_channels_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, FT_CHANNEL_KIND, &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, channel_view(c, e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_channels_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, FT_CHANNEL_KIND, &e, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(e.body, c->body);
    rc = check_channel(c, body);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, FT_CHANNEL_KIND, e.id, e.body, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, channel_view(c, e.id, body));
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

struct users {
    struct ft_ctl_call *c;
    const char *channel;
    json_t *rows; /* [[id, body], ...] of alerts that name it */
};

static int collect_user(void *ctx, const char *id, json_t *body)
{
    struct users *u = ctx;
    size_t i;
    json_t *name;
    json_array_foreach(json_object_get(body, "channels"), i, name)
    {
        if (strcmp(json_string_value(name), u->channel) == 0) {
            json_array_append_new(u->rows, json_pack("[s,O]", id, body));
            break;
        }
    }
    return 0;
}

/* Alerts name it no longer. */
static int leave_alerts(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct users u = {c, c->id, json_array()};
    struct ft_ctl_scan scan = {.kind = FT_ALERT_KIND};
    int rc = ft_ctl_scan(tx, &scan, collect_user, &u, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(u.rows); i++) {
        const char *id = json_string_value(json_array_get(json_array_get(u.rows, i), 0));
        json_t *old = json_array_get(json_array_get(u.rows, i), 1), *body = json_deep_copy(old);
        json_t *list = json_object_get(body, "channels");
        for (size_t k = json_array_size(list); k-- > 0;)
            if (strcmp(json_string_value(json_array_get(list, k)), c->id) == 0)
                json_array_remove(list, k);
        rc = ft_ctl_put(c, tx, FT_ALERT_KIND, id, old, body, err);
        json_decref(body);
    }
    json_decref(u.rows);
    return rc;
}

int ft_ctl_channels_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int rc = drop(c, tx, FT_CHANNEL_KIND, err);
    return rc == 0 ? leave_alerts(c, tx, err) : rc;
}

/* ---- trying a channel ---- */

struct tried {
    const char *id;
    json_t *channel, *smtp;
};

static int read_channel(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct tried *t = ctx;
    struct ft_ctl_entity e = {0}, smtp = {0};
    int rc = ft_ctl_get(tx, FT_CHANNEL_KIND, t->id, &e, err);
    if (rc >= 0)
        rc = ft_ctl_get(tx, "setting", "smtp", &smtp, err);
    json_decref(t->channel);
    json_decref(t->smtp);
    t->channel = e.body != NULL ? json_incref(e.body) : NULL;
    t->smtp = json_incref(json_object_get(smtp.body, "smtp"));
    ft_ctl_entity_fini(&e);
    ft_ctl_entity_fini(&smtp);
    return rc < 0 ? rc : 0;
}

/* On a slow thread: what came of it is the answer. */
void ft_ctl_channels_try(struct ft_ctl_call *c)
{
    struct tried t = {.id = c->id};
    struct ft_err err = {0};
    int rc = ft_state_read(c->ctl->state, read_channel, &t, &err);
    if (rc == 0 && t.channel == NULL) {
        ft_ctl_missing(c, FT_CHANNEL_KIND, c->id);
    } else if (rc == 0) {
        json_t *notice = ft_alarm_notice(c->ctl, "test", "a test: this channel works");
        rc =
            ft_alarm_send(c->ctl, t.channel, t.smtp, notice, ft_inside_stops, c->ctl->inside, &err);
        c->found = json_pack("{s:s,s:b,s:s?}", "id", c->id, "ok", rc == 0, "error",
                             rc != 0 ? err.msg : NULL);
        json_decref(notice);
    }
    json_decref(t.channel);
    json_decref(t.smtp);
}

int ft_ctl_channels_test(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    (void)tx;
    if (c->found == NULL)
        return ft_err_set(err, FT_EBUSY, "the state store cannot be read now");
    return ft_ctl_answer(c, 200, json_incref(c->found));
}
