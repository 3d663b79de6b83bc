/* States of alerts: the file that they survive in, and how they are shown. */
#include <stdlib.h>
#include <string.h>

#include "base/file.h"
#include "base/log.h"
#include "control/watch/alarm_inner.h"

#define SAVED_MAX ((size_t)8 << 20)

/* ---- what survives ---- */

void ft_alarm_save(struct ft_alarm *a)
{
    char path[4096];
    struct ft_err err = {0};
    json_t *all = json_object();
    pthread_mutex_lock(&a->saving);
    pthread_mutex_lock(&a->lock);
    a->changed = false;
    for (int i = 0; i < a->n_rule; i++) {
        const struct ft_alarm_rule *r = a->rule[i];
        json_t *ones = json_array();
        for (int k = 0; k < r->n_one; k++)
            json_array_append_new(ones,
                                  json_pack("{s:s,s:s,s:s,s:o}", "label", r->one[k].label, "value",
                                            r->one[k].value, "owner", r->one[k].owner, "alert",
                                            ft_alert_save(&r->one[k].alert)));
        json_object_set_new(all, r->id, ones);
    }
    json_object_set_new(all, "notices", ft_notify_save(a->notify));
    pthread_mutex_unlock(&a->lock);
    char *text = json_dumps(all, JSON_COMPACT);
    pthread_mutex_lock(&a->lock);
    json_decref(all); /* it has the notices that wait */
    pthread_mutex_unlock(&a->lock);
    snprintf(path, sizeof path, "%s/monitor/alerts.json", a->ctl->home);
    if (text != NULL && ft_file_put(path, text, strlen(text), &err) != 0)
        ft_log(FT_LOG_WARN, "control", "alerts: %s", err.msg);
    pthread_mutex_unlock(&a->saving);
    free(text);
}

json_t *ft_alarm_load(const struct ft_ctl *ctl)
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

/* ---- shown ---- */

void ft_alarm_show_rule(struct ft_alarm *a, const char *id, json_t *view)
{
    enum ft_alert_state state = FT_ALERT_OK;
    const struct ft_alarm_one *worst = NULL;
    json_t *all = json_array();
    if (a != NULL)
        pthread_mutex_lock(&a->lock);
    const struct ft_alarm_rule *r = a != NULL ? ft_alarm_rule_find(a, id) : NULL;
    for (int i = 0; r != NULL && i < r->n_one; i++) {
        const struct ft_alarm_one *o = &r->one[i];
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
