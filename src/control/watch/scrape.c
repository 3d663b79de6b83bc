/* Asking for metrics, and whose they are. */
#include "control/watch/scrape.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/inside.h"
#include "ledger/price.h"
#include "ledger/store.h"
#include "monitor/derive.h"

#define SCRAPE_MS 5000

struct ft_scrape {
    struct ft_ctl *ctl;
    struct ft_derive *derive;
    json_t *owners;  /* endpoint's id -> project, "" for everybody */
    json_t *budgets; /* project -> {"day", "month": nanos} */
    bool known;      /* owners were read once */
    /* of one look */
    struct ft_history *history;
    int64_t at_s;
    struct ft_err *err;
    int rc;
};

int ft_scrape_open(struct ft_ctl *ctl, struct ft_scrape **ret, struct ft_err *err)
{
    struct ft_scrape *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    s->ctl = ctl;
    s->owners = json_object();
    s->budgets = json_object();
    int rc = ft_derive_open(&s->derive, err);
    if (rc != 0)
        ft_scrape_close(s);
    else
        *ret = s;
    return rc;
}

void ft_scrape_close(struct ft_scrape *s)
{
    if (s == NULL)
        return;
    ft_derive_close(s->derive);
    json_decref(s->owners);
    json_decref(s->budgets);
    free(s);
}

/* A series that finds no place, or a disk that is full: said once by the caller. */
static void put(void *ctx, const struct ft_history_name *n, double v)
{
    struct ft_scrape *s = ctx;
    int rc = ft_history_put(s->history, n, s->at_s, v, s->err);
    if (s->rc == 0)
        s->rc = rc;
}

/* ---- the store's part ---- */

static int take_endpoint(void *ctx, const char *id, json_t *body)
{
    const char *project = ft_ctl_text(body, "project");
    json_object_set_new(ctx, id, json_string(project != NULL ? project : ""));
    return 0;
}

static int64_t nanos(const json_t *budget, const char *name)
{
    struct ft_err ignored;
    int64_t v = 0;
    const char *text = ft_ctl_text(budget, name);
    return text != NULL && ft_price_parse(text, name, &v, &ignored) == 0 ? v : 0;
}

static int take_project(void *ctx, const char *id, json_t *body)
{
    const json_t *budget = json_object_get(body, "budget");
    int64_t day = nanos(budget, "day"), month = nanos(budget, "month");
    if (day > 0 || month > 0)
        json_object_set_new(
            ctx, id, json_pack("{s:I,s:I}", "day", (json_int_t)day, "month", (json_int_t)month));
    return 0;
}

static void take_spend(void *ctx, const char *project, const char *key, int64_t day, int64_t month)
{
    json_t *b = key[0] == '\0' ? json_object_get(ctx, project) : NULL;
    if (b == NULL)
        return;
    json_object_set_new(b, "day_spent", json_integer(day));
    json_object_set_new(b, "month_spent", json_integer(month));
}

static int read_store(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_scrape *s = ctx;
    json_object_clear(s->owners);
    json_object_clear(s->budgets);
    struct ft_ctl_scan endpoints = {.kind = "endpoint"}, projects = {.kind = "project"};
    int rc = ft_ctl_scan(tx, &endpoints, take_endpoint, s->owners, err);
    if (rc == 0)
        rc = ft_ctl_scan(tx, &projects, take_project, s->budgets, err);
    if (rc == 0 && json_object_size(s->budgets) > 0)
        rc = ft_usage_spend(tx, s->at_s, take_spend, s->budgets, err);
    return rc;
}

static double part(const json_t *b, const char *spent, const char *of)
{
    double all = json_number_value(json_object_get(b, of));
    return all > 0 ? json_number_value(json_object_get(b, spent)) / all : 0;
}

static void put_budgets(struct ft_scrape *s)
{
    const char *project;
    json_t *b;
    json_object_foreach(s->budgets, project, b)
    {
        struct ft_history_name n = {
            .name = "budget_used", .unit = "ratio", .label = "project", .fold = FT_FOLD_MAX};
        snprintf(n.value, sizeof n.value, "%s", project);
        snprintf(n.owner, sizeof n.owner, "%s", project);
        put(s, &n, FT_MAX(part(b, "day_spent", "day"), part(b, "month_spent", "month")));
    }
}

/* ---- the gateway's part ---- */

static bool owner(void *ctx, const char *endpoint, char *ret, size_t n)
{
    const struct ft_scrape *s = ctx;
    const char *project = ft_ctl_text(s->owners, endpoint);
    if (project != NULL)
        snprintf(ret, n, "%s", project);
    return project != NULL;
}

static void sample(void *ctx, const struct ft_sample *x)
{
    ft_derive_sample(ctx, x);
}

static int ask(struct ft_scrape *s, struct ft_http_answer *ret, struct ft_err *err)
{
    const char *fields[] = {"Accept: text/plain"};
    struct ft_http_call_config c = {.url = "http://gateway/metrics",
                                    .unix_socket = ft_inside_socket(s->ctl->inside),
                                    .headers = fields,
                                    .n_headers = 1,
                                    .total_timeout_ms = SCRAPE_MS};
    int rc = ft_http_fetch(ft_inside_client(s->ctl->inside), &c, FT_EXPOSE_BYTES_MAX, ret, err);
    if (rc == 0 && ret->status != 200)
        rc = ft_err_set(err, FT_EIO, "the gateway answered %d to /metrics", ret->status);
    return rc;
}

int ft_scrape_once(struct ft_scrape *s, struct ft_history *h, int64_t at_s, struct ft_err *err)
{
    struct ft_http_answer a = {0};
    struct ft_err store = {0};
    s->history = h;
    s->at_s = at_s;
    s->err = err;
    s->rc = 0;
    int rc = ft_state_read(s->ctl->state, read_store, s, &store);
    s->known |= rc == 0;
    if (rc == 0)
        put_budgets(s);
    rc = ask(s, &a, err);
    if (rc == 0 && s->known) { /* whose the series are must be known before any is begun */
        struct ft_derive_out out = {owner, put, s};
        ft_derive_begin(s->derive, ft_clock_now_ns() / 1000000);
        ft_expose_read(a.body.data != NULL ? a.body.data : "", a.body.len, sample, s->derive);
        ft_derive_end(s->derive, &out);
    }
    ft_http_answer_fini(&a);
    return rc != 0 ? rc : s->rc;
}
