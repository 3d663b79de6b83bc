/* Prices and settings. */
#include <stdio.h>
#include <string.h>

#include "control/inner.h"
#include "control/keep_days.h"
#include "ledger/price.h"

#define SLOW_MS     10000 /* so long requests keep their course, where the setting is not there */
#define BATCH_PRICE "0.5" /* of the price, where the setting is not there */

static int check_price(struct ft_ctl_call *c, const json_t *body)
{
    static const char *const fields[] = {"input", "cached_input", "output"};
    for (size_t i = 0; i < FT_COUNT(fields); i++) {
        struct ft_err err = {0};
        int64_t nanos;
        const char *text = ft_ctl_text(body, fields[i]);
        if (text != NULL && ft_price_parse(text, fields[i], &nanos, &err) != 0)
            return ft_ctl_refuse(c, 400, "invalid_value", fields[i], "%s", err.msg);
    }
    return 0;
}

struct same_model {
    const char *model, *id;
    bool found;
};

static int is_same_model(void *ctx, const char *id, json_t *body)
{
    struct same_model *s = ctx;
    s->found = strcmp(ft_ctl_text(body, "model"), s->model) == 0 &&
               (s->id == NULL || strcmp(id, s->id) != 0);
    return s->found;
}

static int put_price(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                     const json_t *before, json_t *body, struct ft_err *err)
{
    struct same_model s = {.model = ft_ctl_text(body, "model"), .id = id};
    struct ft_ctl_scan scan = {.kind = "price"};
    int rc = check_price(c, body);
    if (rc == 0)
        rc = ft_ctl_scan(tx, &scan, is_same_model, &s, err);
    if (rc == 0 && s.found)
        rc = ft_ctl_refuse(c, 409, "already_exists", "model", "model: '%s' has a price already",
                           s.model);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "price", id, before, body, err);
    if (rc == 0)
        ft_ctl_answer(c, before == NULL ? 201 : 200, ft_ctl_view_price(id, body));
    return rc;
}

int ft_ctl_prices_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return ft_ctl_list(c, tx, "price", NULL, false, ft_ctl_view_price, NULL, NULL, err);
}

int ft_ctl_prices_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    int rc = ft_ctl_id_new("price_", id, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = put_price(c, tx, id, NULL, body, err);
    json_decref(body);
    return rc;
}

int ft_ctl_prices_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "price", &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_price(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_prices_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "price", &e, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(e.body, c->body);
    rc = put_price(c, tx, e.id, e.body, body, err);
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_prices_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "price", &e, err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, "price", e.id, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("price", e.id));
    ft_ctl_entity_fini(&e);
    return rc;
}

/* ---- settings: one entity each, {NAME: value} ---- */

int ft_ctl_settings_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char currency[8], batch[16];
    int64_t slow_ms = SLOW_MS;
    int rc = ft_ctl_setting(tx, "currency", currency, sizeof currency, err);
    if (rc == 0)
        rc = ft_ctl_setting(tx, "batch_price", batch, sizeof batch, err);
    struct ft_ctl_entity slow = {0};
    if (rc == 0 && (rc = ft_ctl_get(tx, "setting", "slow_request_ms", &slow, err)) >= 0) {
        slow_ms = ft_ctl_int(slow.body, "slow_request_ms", SLOW_MS);
        rc = 0;
    }
    ft_ctl_entity_fini(&slow);
    int64_t keep_days = CTL_KEEP_JOBS_DAYS;
    struct ft_ctl_entity keep = {0};
    if (rc == 0 && (rc = ft_ctl_get(tx, "setting", "keep_jobs_days", &keep, err)) >= 0) {
        keep_days = ft_ctl_int(keep.body, "keep_jobs_days", keep_days);
        rc = 0;
    }
    ft_ctl_entity_fini(&keep);
    struct ft_ctl_entity smtp = {0};
    if (rc == 0 && c->role >= CTL_OPERATOR) /* whose relay it is, and who it knows us as */
        rc = FT_MIN(ft_ctl_get(tx, "setting", "smtp", &smtp, err), 0);
    json_t *shown = smtp.body != NULL ? ft_ctl_public("setting", smtp.body) : NULL;
    json_t *relay = json_incref(json_object_get(shown, "smtp"));
    json_decref(shown);
    ft_ctl_entity_fini(&smtp);
    if (rc != 0) {
        json_decref(relay);
        return rc;
    }
    return ft_ctl_answer(c, 200,
                         json_pack("{s:s,s:s,s:s,s:I,s:I,s:o?}", "object", "settings", "currency",
                                   currency, "batch_price", batch[0] != '\0' ? batch : BATCH_PRICE,
                                   "slow_request_ms", (json_int_t)slow_ms, "keep_jobs_days",
                                   (json_int_t)keep_days, "smtp", relay));
}

int ft_ctl_settings_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *name;
    json_t *value;
    json_object_foreach(c->body, name, value)
    {
        struct ft_ctl_entity old = {0};
        int rc = ft_ctl_get(tx, "setting", name, &old, err);
        if (rc >= 0) {
            /* the relay member by member, so that its password need not be said again */
            json_t *was = json_object_get(old.body, name);
            json_t *now = json_is_object(value) ? ft_ctl_merge(was, value) : json_incref(value);
            json_t *body = json_pack("{s:o}", name, now);
            rc = ft_ctl_put(c, tx, "setting", name, old.body, body, err);
            json_decref(body);
        }
        ft_ctl_entity_fini(&old);
        if (rc != 0)
            return rc;
    }
    return ft_ctl_settings_get(c, tx, err);
}
