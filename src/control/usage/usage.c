/* What was used: taken from gateways, told to gateways (spend), reported to people. The tables and
 * their SQL are the ledger's (ledger/store.h). */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/inner.h"
#include "ledger/store.h"
#include "monitor/timeline.h"

#define HOUR          3600
#define DAY           86400
#define RECORD_DAYS   400 /* single records; sums stay */
#define PRUNE_RECORDS 200 /* with every batch that comes */
#define REPORT_DAYS   30  /* of a report that names no start */
#define ROWS_DEFAULT  1000
#define OFFSET_MAX    INT64_C(1000000000000)

/* ---- gateways ---- */

int ft_ctl_usage_take(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int64_t fresh = 0, gone = 0;
    int rc = ft_usage_put(tx, c->text, c->n_text, &fresh, err);
    if (rc == FT_EINVAL || rc == FT_ELIMIT)
        return ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err->msg);
    if (rc == 0)
        rc = ft_usage_prune(tx, c->now_s - (int64_t)RECORD_DAYS * DAY, PRUNE_RECORDS, &gone, err);
    return rc == 0 ? ft_ctl_answer(c, 200, json_pack("{s:I}", "new", (json_int_t)fresh)) : rc;
}

static void spend_row(void *ctx, const char *project, const char *key, int64_t day, int64_t month)
{
    bool of_key = key[0] != '\0';
    json_array_append_new(json_object_get(ctx, of_key ? "keys" : "projects"),
                          json_pack("{s:s,s:I,s:I}", "id", of_key ? key : project, "day_nanos",
                                    (json_int_t)day, "month_nanos", (json_int_t)month));
}

int ft_ctl_spend(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    c->answer = json_pack("{s:[],s:[]}", "projects", "keys");
    return ft_usage_spend(tx, c->now_s, spend_row, c->answer, err);
}

/* ---- reports ---- */

static void add_figures(json_t *o, const struct ft_usage_row *r)
{
    const struct {
        const char *name;
        int64_t v;
    } counts[] = {{"requests", r->requests},
                  {"prompt_tokens", r->prompt_tokens},
                  {"cached_tokens", r->cached_tokens},
                  {"completion_tokens", r->completion_tokens},
                  {"reasoning_tokens", r->reasoning_tokens},
                  {"cost_nanos", r->cost_nanos},
                  {"bytes_in", r->bytes_in},
                  {"bytes_out", r->bytes_out}};
    for (size_t i = 0; i < FT_COUNT(counts); i++)
        json_object_set_new(o, counts[i].name, json_integer(counts[i].v));
    json_object_set_new(o, "cost", ft_money_json(r->cost_nanos));
    json_object_set_new(o, "cpu_s", json_real((double)r->cpu_us / 1e6));
    json_object_set_new(o, "energy_j", json_real((double)r->energy_uj / 1e6));
    json_object_set_new(o, "energy_estimated", json_boolean(r->estimated_uj > 0));
}

struct report {
    unsigned by;
    int64_t bucket_s, limit;
    json_t *data;
    bool has_more;
};

static json_t *name_if(bool grouped, const char *name)
{
    return grouped ? json_string(name) : json_null();
}

static void report_row(void *ctx, const struct ft_usage_row *r)
{
    struct report *p = ctx;
    if ((int64_t)json_array_size(p->data) == p->limit) {
        p->has_more = true;
        return;
    }
    json_t *o = json_object();
    json_object_set_new(o, "start", p->bucket_s > 0 ? json_integer(r->at_s) : json_null());
    json_object_set_new(o, "project", name_if(p->by & FT_USAGE_BY_PROJECT, r->project));
    json_object_set_new(o, "key", name_if(p->by & FT_USAGE_BY_KEY, r->key));
    json_object_set_new(o, "model", name_if(p->by & FT_USAGE_BY_MODEL, r->model));
    json_object_set_new(o, "route", name_if(p->by & FT_USAGE_BY_ROUTE, r->route));
    json_object_set_new(o, "status", name_if(p->by & FT_USAGE_BY_STATUS, r->status));
    add_figures(o, r);
    json_array_append_new(p->data, o);
}

static void total_row(void *ctx, const struct ft_usage_row *r)
{
    add_figures(ctx, r);
}

static int read_groups(struct ft_ctl_call *c, struct report *p)
{
    static const char *const words[] = {"project", "key", "model", "route", "status"};
    size_t i;
    json_t *word;
    json_array_foreach(json_object_get(c->params, "group_by"), i, word)
    {
        const char *name = json_string_value(word);
        int64_t bucket = strcmp(name, "hour") == 0 ? HOUR : strcmp(name, "day") == 0 ? DAY : 0;
        for (size_t k = 0; k < FT_COUNT(words); k++)
            if (strcmp(name, words[k]) == 0)
                p->by |= 1u << k;
        if (bucket != 0 && p->bucket_s != 0 && bucket != p->bucket_s)
            return ft_ctl_refuse(c, 400, "invalid_value", "group_by",
                                 "group_by: hour or day, not both");
        p->bucket_s = bucket != 0 ? bucket : p->bucket_s;
    }
    return 0;
}

static int read_page(struct ft_ctl_call *c, int64_t *ret_offset)
{
    const char *page = ft_ctl_text(c->params, "page");
    char rest;
    *ret_offset = 0;
    if (page != NULL && (sscanf(page, "page_%" SCNd64 "%c", ret_offset, &rest) != 1 ||
                         *ret_offset < 0 || *ret_offset > OFFSET_MAX))
        return ft_ctl_refuse(c, 400, "invalid_value", "page", "page: is none of ours");
    return 0;
}

/* Ends of the interval as asked for, else whole hours, which are answered from the sums. */
static void read_interval(struct ft_ctl_call *c, int64_t *ret_from, int64_t *ret_to)
{
    int64_t now_up = (c->now_s / HOUR + 1) * HOUR;
    *ret_to = ft_ctl_int(c->params, "end_time", now_up);
    int64_t from = *ret_to - (int64_t)REPORT_DAYS * DAY;
    *ret_from = ft_ctl_int(c->params, "start_time", FT_MAX(from, 0));
}

static int report(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_usage_query *q,
                  struct report *p, json_t *total, struct ft_err *err)
{
    struct ft_usage_query all = {.filter = q->filter};
    int rc = ft_usage_sum(tx, q, report_row, p, err);
    if (rc == 0)
        rc = ft_usage_sum(tx, &all, total_row, total, err);
    if (rc == 0 && json_object_size(total) == 0)
        add_figures(total, &(struct ft_usage_row){0});
    if (rc == FT_EINVAL)
        rc = ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err->msg);
    return rc;
}

int ft_ctl_usage_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char currency[8], next[48];
    struct report p = {.limit = ft_ctl_int(c->params, "limit", ROWS_DEFAULT)};
    const char *project, *key = ft_ctl_text(c->params, "key"),
                         *model = ft_ctl_text(c->params, "model");
    int64_t offset, from, to;
    int rc = ft_ctl_project_filter(c, &project);
    if (rc == 0)
        rc = read_groups(c, &p);
    if (rc == 0)
        rc = read_page(c, &offset);
    if (rc == 0)
        rc = ft_ctl_setting(tx, "currency", currency, sizeof currency, err);
    if (rc != 0)
        return rc;
    read_interval(c, &from, &to);
    struct ft_usage_query q = {.filter = {.from_s = from,
                                          .to_s = FT_MAX(to, 1),
                                          .projects = &project,
                                          .n_projects = project != NULL,
                                          .keys = &key,
                                          .n_keys = key != NULL,
                                          .models = &model,
                                          .n_models = model != NULL},
                               .bucket_s = p.bucket_s,
                               .by = p.by,
                               .limit = p.limit + 1,
                               .offset = offset};
    json_t *total = json_object(), *by = json_object_get(c->params, "group_by");
    p.data = json_array();
    rc = report(c, tx, &q, &p, total, err);
    if (rc != 0) {
        json_decref(p.data);
        json_decref(total);
        return rc;
    }
    snprintf(next, sizeof next, "page_%" PRId64, offset + p.limit);
    return ft_ctl_answer(
        c, 200,
        json_pack("{s:s,s:I,s:I,s:s,s:o,s:o,s:b,s:s?,s:o}", "object", "usage", "start_time",
                  (json_int_t)from, "end_time", (json_int_t)to, "currency", currency, "group_by",
                  by != NULL ? json_incref(by) : json_array(), "data", p.data, "has_more",
                  p.has_more, "next_page", p.has_more ? next : NULL, "total", total));
}

/* ---- single requests ---- */

struct records {
    int64_t limit;
    json_t *data;
    bool has_more;
    struct ft_usage_place last;
};

static void record_row(void *ctx, const struct ft_record *r)
{
    struct records *p = ctx;
    if ((int64_t)json_array_size(p->data) == p->limit) {
        p->has_more = true;
        return;
    }
    json_t *o = ft_request_json(r);
    json_object_set_new(o, "object", json_string("usage_record"));
    json_object_set_new(o, "first_token_s",
                        r->first_us > 0 ? json_real((double)r->first_us / 1e6) : json_null());
    json_array_append_new(p->data, o);
    p->last.end_us = r->end_us;
    memcpy(p->last.id, r->id, sizeof p->last.id);
}

static int read_record_page(struct ft_ctl_call *c, struct ft_usage_place *ret)
{
    const char *page = ft_ctl_text(c->params, "page");
    *ret = (struct ft_usage_place){.end_us = 0};
    if (page != NULL &&
        (sscanf(page, "page_%" SCNd64 "_%64s", &ret->end_us, ret->id) != 2 || ret->end_us <= 0))
        return ft_ctl_refuse(c, 400, "invalid_value", "page", "page: is none of ours");
    return 0;
}

int ft_ctl_usage_records(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct records p = {.limit = ft_ctl_int(c->params, "limit", CTL_LIST_DEFAULT)};
    const char *project, *key = ft_ctl_text(c->params, "key"),
                         *model = ft_ctl_text(c->params, "model");
    char next[128];
    struct ft_usage_place from, on;
    int rc = ft_ctl_project_filter(c, &project);
    if (rc == 0)
        rc = read_record_page(c, &from);
    if (rc != 0)
        return rc;
    struct ft_usage_filter f = {.from_s = ft_ctl_int(c->params, "start_time", 0),
                                .to_s = ft_ctl_int(c->params, "end_time", 0),
                                .projects = &project,
                                .n_projects = project != NULL,
                                .keys = &key,
                                .n_keys = key != NULL,
                                .models = &model,
                                .n_models = model != NULL};
    p.data = json_array();
    rc = ft_usage_records(tx, &f, &from, p.limit + 1, record_row, &p, &on, err);
    if (rc != 0) {
        json_decref(p.data);
        return rc;
    }
    if (on.end_us != 0) { /* there may be more behind what was looked at */
        p.has_more = true;
        p.last = on;
    }
    snprintf(next, sizeof next, "page_%" PRId64 "_%s", p.last.end_us, p.last.id);
    return ft_ctl_answer(c, 200,
                         json_pack("{s:s,s:o,s:b,s:s?}", "object", "list", "data", p.data,
                                   "has_more", p.has_more, "next_page", p.has_more ? next : NULL));
}
