/* OpenAI's forms of usage and costs: /v1/organization/usage/{completions,embeddings} and
 * /v1/organization/costs, and the same of the caller's project alone under /v1/usage.
 *
 * Buckets of a minute, an hour or a day, from multiples of their width (UTC), those without a
 * request too. What was refused before it began is no request to a model, and neither is what names
 * none: a client that went away before its body was here, storage, the admin API. They cost
 * nothing, and are in no group. Operators see every project, others their own. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/inner.h"
#include "ledger/store.h"

enum form { COMPLETIONS, EMBEDDINGS, COSTS };

struct ask {
    struct ft_ctl_call *c;
    enum form form;
    char currency[8];
    int64_t width, from, to, limit; /* from, to: of this page */
    int64_t end;                    /* of all pages */
    unsigned by;
    const char *value[3][FT_USAGE_VALUES_MAX];
    int n_values[3];
    /* the bucket being filled */
    json_t *data, *results;
    int64_t at;
    struct ft_usage_row sum;
    char project[FT_RECORD_ID_MAX + 1], key[FT_RECORD_ID_MAX + 1], model[FT_RECORD_MODEL_MAX + 1];
};

/* ---- what was asked ---- */

static const struct {
    const char *name;
    int64_t seconds, limit, most;
} widths[] = {{"1d", 86400, 7, 31}, {"1h", 3600, 24, 168}, {"1m", 60, 60, 1440}};
#define COST_DAYS_MAX 180

static void read_width(struct ask *a)
{
    const char *name = ft_ctl_text(a->c->params, "bucket_width");
    size_t i = FT_COUNT(widths) - 1;
    while (i > 0 && (name == NULL || strcmp(name, widths[i].name) != 0))
        i--;
    a->width = widths[i].seconds;
    a->limit = ft_ctl_int(a->c->params, "limit", widths[i].limit);
}

static int check_limit(struct ask *a)
{
    for (size_t i = 0; i < FT_COUNT(widths); i++) {
        int64_t most = a->form == COSTS && i == 0 ? COST_DAYS_MAX : widths[i].most;
        if (a->width == widths[i].seconds && a->limit > most)
            return ft_ctl_refuse(a->c, 400, "invalid_value", "limit",
                                 "limit: must be at most %d for a bucket_width of %s", (int)most,
                                 widths[i].name);
    }
    return 0;
}

static void read_groups(struct ask *a)
{
    size_t i;
    json_t *word;
    json_array_foreach(json_object_get(a->c->params, "group_by"), i, word)
    {
        const char *name = json_string_value(word);
        a->by |= strcmp(name, "project_id") == 0   ? FT_USAGE_BY_PROJECT
                 : strcmp(name, "api_key_id") == 0 ? FT_USAGE_BY_KEY
                                                   : FT_USAGE_BY_MODEL;
    }
}

static int read_values(struct ask *a)
{
    static const char *const names[] = {"project_ids", "api_key_ids", "models"};
    struct ft_ctl_call *c = a->c;
    for (int k = 0; k < 3; k++) {
        size_t i;
        json_t *v;
        json_array_foreach(json_object_get(c->params, names[k]), i, v)
            a->value[k][a->n_values[k]++] = json_string_value(v); /* bounded by the document */
    }
    bool own = c->role < CTL_OPERATOR || strncmp(c->path, "/v1/usage", 9) == 0;
    for (int i = 0; own && i < a->n_values[0]; i++)
        if (strcmp(a->value[0][i], c->project) != 0)
            return ft_ctl_refuse(c, 404, "not_found", "project_ids",
                                 "project_ids: there is no project '%.100s'", a->value[0][i]);
    if (own) {
        a->value[0][0] = c->project;
        a->n_values[0] = 1;
    }
    return 0;
}

static int read_ask(struct ask *a)
{
    struct ft_ctl_call *c = a->c;
    const char *page = ft_ctl_text(c->params, "page");
    char rest;
    read_width(a);
    read_groups(a);
    a->from = ft_ctl_int(c->params, "start_time", 0) / a->width * a->width;
    a->end = ft_ctl_int(c->params, "end_time", c->now_s + 1);
    if (page != NULL && (sscanf(page, "page_%" SCNd64 "%c", &a->from, &rest) != 1 || a->from < 0 ||
                         a->from % a->width != 0))
        return ft_ctl_refuse(c, 400, "invalid_value", "page", "page: is none of ours");
    if (page == NULL && a->end <= a->from)
        return ft_ctl_refuse(c, 400, "invalid_value", "end_time",
                             "end_time: must be after start_time");
    int64_t buckets = FT_MAX((a->end - a->from + a->width - 1) / a->width, 0);
    a->to = a->from + FT_MIN(buckets, a->limit) * a->width;
    int rc = check_limit(a);
    return rc == 0 ? read_values(a) : rc;
}

/* ---- what is answered ---- */

static void set_id(json_t *o, const char *name, bool grouped, const char *value)
{
    json_object_set_new(o, name, grouped ? json_string(value) : json_null());
}

static json_t *result(const struct ask *a)
{
    static const char *const objects[] = {"organization.usage.completions.result",
                                          "organization.usage.embeddings.result",
                                          "organization.costs.result"};
    const struct ft_usage_row *r = &a->sum;
    json_t *o = json_pack("{s:s}", "object", objects[a->form]);
    if (a->form == COSTS) {
        char currency[8];
        for (size_t i = 0; i < sizeof currency; i++)
            currency[i] = (char)tolower((unsigned char)a->currency[i]);
        json_object_set_new(
            o, "amount",
            json_pack("{s:f,s:s}", "value", (double)r->cost_nanos / 1e9, "currency", currency));
        set_id(o, "line_item", a->by & FT_USAGE_BY_MODEL, a->model);
    } else {
        json_object_set_new(o, "input_tokens", json_integer(r->prompt_tokens));
        json_object_set_new(o, "num_model_requests", json_integer(r->requests));
        set_id(o, "user_id", false, NULL);
        set_id(o, "model", a->by & FT_USAGE_BY_MODEL, a->model);
    }
    if (a->form == COMPLETIONS) {
        json_object_set_new(o, "input_cached_tokens", json_integer(r->cached_tokens));
        json_object_set_new(o, "output_tokens", json_integer(r->completion_tokens));
        json_object_set_new(o, "input_audio_tokens", json_integer(0));
        json_object_set_new(o, "output_audio_tokens", json_integer(0));
        set_id(o, "batch", false, NULL);
        set_id(o, "service_tier", false, NULL);
    }
    set_id(o, "project_id", a->by & FT_USAGE_BY_PROJECT, a->project);
    set_id(o, "api_key_id", a->by & FT_USAGE_BY_KEY, a->key);
    return o;
}

static void end_result(struct ask *a)
{
    if (a->sum.requests > 0)
        json_array_append_new(a->results, result(a));
    memset(&a->sum, 0, sizeof a->sum);
}

/* Ends the bucket at a->at, and empty ones up to that of `at`. */
static void advance(struct ask *a, int64_t at)
{
    end_result(a);
    for (; a->at < at; a->at += a->width) {
        json_array_append_new(a->data,
                              json_pack("{s:s,s:I,s:I,s:o}", "object", "bucket", "start_time",
                                        (json_int_t)a->at, "end_time",
                                        (json_int_t)(a->at + a->width), "results", a->results));
        a->results = json_array();
    }
}

/* Rows come in the order of time and names; of one name they differ in status, and in the model
 * where that is not asked for. */
static void take_row(void *ctx, const struct ft_usage_row *r)
{
    struct ask *a = ctx;
    bool other_model = (a->by & FT_USAGE_BY_MODEL) != 0 && strcmp(r->model, a->model) != 0;
    if (r->at_s > a->at)
        advance(a, r->at_s);
    if (strcmp(r->project, a->project) != 0 || strcmp(r->key, a->key) != 0 || other_model)
        end_result(a);
    if (strcmp(r->status, "refused") == 0 || (r->model[0] == '\0' && r->cost_nanos == 0))
        return;
    snprintf(a->project, sizeof a->project, "%s", r->project);
    snprintf(a->key, sizeof a->key, "%s", r->key);
    snprintf(a->model, sizeof a->model, "%s", r->model);
    a->sum.requests += r->requests;
    a->sum.prompt_tokens += r->prompt_tokens;
    a->sum.cached_tokens += r->cached_tokens;
    a->sum.completion_tokens += r->completion_tokens;
    a->sum.cost_nanos += r->cost_nanos;
}

static int answer(struct ft_ctl_call *c, struct ft_state_tx *tx, enum form form, struct ft_err *err)
{
    static const char *const text_routes[] = {"chat.completions", "completions", "responses",
                                              "messages"};
    static const char *const vector_routes[] = {"embeddings"};
    struct ask a = {.c = c, .form = form};
    char next[48];
    int rc = read_ask(&a);
    if (rc == 0)
        rc = ft_ctl_setting(tx, "currency", a.currency, sizeof a.currency, err);
    if (rc != 0)
        return rc;
    struct ft_usage_query q = {
        .filter = {.from_s = a.from,
                   .to_s = FT_MIN(a.to, a.end),
                   .projects = a.value[0],
                   .n_projects = a.n_values[0],
                   .keys = a.value[1],
                   .n_keys = a.n_values[1],
                   .models = a.value[2],
                   .n_models = a.n_values[2],
                   .routes = form == COMPLETIONS ? text_routes : vector_routes,
                   .n_routes = form == COMPLETIONS  ? 4
                               : form == EMBEDDINGS ? 1
                                                    : 0},
        .bucket_s = a.width,
        .by = a.by | FT_USAGE_BY_MODEL | FT_USAGE_BY_STATUS};
    if (q.filter.to_s > c->now_s) /* nothing lies in the future: whole hours */
        q.filter.to_s = (q.filter.to_s + 3599) / 3600 * 3600;
    a.data = json_array();
    a.results = json_array();
    a.at = a.from;
    if (a.from < a.to)
        rc = ft_usage_sum(tx, &q, take_row, &a, err);
    advance(&a, a.to);
    json_decref(a.results);
    if (rc != 0) {
        json_decref(a.data);
        return rc;
    }
    bool more = a.to < a.end;
    snprintf(next, sizeof next, "page_%" PRId64, a.to);
    return ft_ctl_answer(c, 200,
                         json_pack("{s:s,s:o,s:b,s:s?}", "object", "page", "data", a.data,
                                   "has_more", more, "next_page", more ? next : NULL));
}

int ft_ctl_org_completions(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return answer(c, tx, COMPLETIONS, err);
}

int ft_ctl_org_embeddings(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return answer(c, tx, EMBEDDINGS, err);
}

int ft_ctl_org_costs(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return answer(c, tx, COSTS, err);
}
