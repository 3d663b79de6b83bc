/* What was spent in this day and month before this process began, so that budgets hold over
 * restarts, with control alive or dead.
 *
 * A record is in one of three places: in control's sums; in the journal, from a process before; or
 * settled by this one, which the tenants count themselves. Nothing is delivered before control has
 * told its sums, so what the three say never overlaps:
 *
 *   control alive   its sums, and what the journal held when we began
 *   control dead    HOME/spend, which a gateway writes every few seconds and which holds all that
 *                   had ended by then; and of the journal what ended after it */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/file.h"
#include "base/log.h"
#include "gateway/inner.h"

#define SAVE_EVERY_NS   (5ll * 1000000000)
#define SAVED_BYTES_MAX ((size_t)256 << 20)
#define DAY_S           86400

struct gw_spend {
    struct gw *gw;
    char path[4096];
    int64_t saved_ns;
    int64_t loaded_us; /* up to when HOME/spend told; 0: it did not */
    int64_t begun_s;   /* whose day and month are those of what follows */
    json_t *held;      /* of the journal, what HOME/spend holds: {"projects":{id:{..}},"keys":..} */
};

static int64_t int_of(const json_t *o, const char *name)
{
    return json_integer_value(json_object_get(o, name));
}

static const char *list_name(enum ft_tenant_scope scope)
{
    return scope == FT_SCOPE_PROJECT ? "projects" : "keys";
}

static void set(struct gw_spend *s, enum ft_tenant_scope scope, const char *id, int64_t day,
                int64_t month)
{
    struct ft_err err = {0};
    if (ft_tenant_spend_set(s->gw->tenant, scope, id, (int64_t)time(NULL), day, month, &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "spend of %s: %s", id, err.msg);
}

/* Adds to the sums of one project or key in `held`. */
static void hold(struct gw_spend *s, enum ft_tenant_scope scope, const char *id, int64_t day,
                 int64_t month)
{
    json_t *list = json_object_get(s->held, list_name(scope)), *sum = json_object_get(list, id);
    if (id[0] == '\0')
        return;
    if (sum == NULL) {
        sum = json_object();
        json_object_set_new(list, id, sum);
    }
    json_object_set_new(sum, "day", json_integer(int_of(sum, "day") + day));
    json_object_set_new(sum, "month", json_integer(int_of(sum, "month") + month));
}

static bool same_month(int64_t a_s, int64_t b_s)
{
    time_t a = (time_t)a_s, b = (time_t)b_s;
    struct tm at, bt;
    return gmtime_r(&a, &at) != NULL && gmtime_r(&b, &bt) != NULL && at.tm_year == bt.tm_year &&
           at.tm_mon == bt.tm_mon;
}

/* ---- at the beginning ---- */

static void load(struct gw_spend *s)
{
    char *text = NULL;
    size_t n = 0, i;
    if (ft_file_read(s->path, SAVED_BYTES_MAX, &text, &n, NULL) != 0)
        return;
    json_t *saved = json_loadb(text, n, 0, NULL), *row;
    int64_t at_us = int_of(saved, "at_us"), now_s = (int64_t)time(NULL);
    bool today = at_us / 1000000 / DAY_S == now_s / DAY_S;
    free(text);
    for (enum ft_tenant_scope scope = FT_SCOPE_PROJECT; scope <= FT_SCOPE_KEY; scope++)
        json_array_foreach(json_object_get(saved, list_name(scope)), i, row)
        {
            const char *id = json_string_value(json_object_get(row, "id"));
            if (id != NULL && same_month(at_us / 1000000, now_s))
                set(s, scope, id, today ? int_of(row, "day_nanos") : 0, int_of(row, "month_nanos"));
        }
    s->loaded_us = at_us;
    json_decref(saved);
}

static void pending(void *ctx, const struct ft_record *r)
{
    struct gw_spend *s = ctx;
    int64_t now_s = (int64_t)time(NULL), end_s = r->end_us / 1000000;
    if (r->end_us > s->loaded_us) {
        ft_tenant_spend_add(s->gw->tenant, r->project, r->key, now_s, end_s, r->cost_nanos, NULL);
        return;
    }
    int64_t day = end_s / DAY_S == s->begun_s / DAY_S ? r->cost_nanos : 0;
    int64_t month = same_month(end_s, s->begun_s) ? r->cost_nanos : 0;
    hold(s, FT_SCOPE_PROJECT, r->project, day, month);
    hold(s, FT_SCOPE_KEY, r->key, day, month);
}

int gw_spend_open(struct gw *g, struct gw_spend **ret, struct ft_err *err)
{
    struct gw_spend *s = calloc(1, sizeof *s);
    if (s == NULL || (s->held = json_pack("{s:{},s:{}}", "projects", "keys")) == NULL) {
        free(s);
        return ft_err_set(err, FT_ENOMEM, "spend: no memory");
    }
    s->gw = g;
    s->begun_s = (int64_t)time(NULL);
    snprintf(s->path, sizeof s->path, "%s/spend", g->opt->home);
    load(s);
    int rc = ft_ledger_pending(g->ledger, pending, s, err);
    if (rc != 0)
        gw_spend_close(s);
    else
        *ret = s;
    return rc;
}

void gw_spend_close(struct gw_spend *s)
{
    if (s == NULL)
        return;
    json_decref(s->held);
    free(s);
}

/* ---- control's sums ---- */

/* Another day has begun since the journal was read, or another month. */
static void forget_old(struct gw_spend *s, const char *list, int64_t now_s)
{
    const char *id;
    json_t *sum;
    json_object_foreach(json_object_get(s->held, list), id, sum)
    {
        if (now_s / DAY_S != s->begun_s / DAY_S)
            json_object_set_new(sum, "day", json_integer(0));
        if (!same_month(now_s, s->begun_s))
            json_object_set_new(sum, "month", json_integer(0));
    }
}

void gw_spend_learn(struct gw_spend *s, const char *text, size_t n)
{
    json_t *told = json_loadb(text, n, 0, NULL), *row;
    size_t i;
    for (enum ft_tenant_scope scope = FT_SCOPE_PROJECT; scope <= FT_SCOPE_KEY; scope++) {
        const char *id;
        forget_old(s, list_name(scope), (int64_t)time(NULL));
        json_array_foreach(json_object_get(told, list_name(scope)), i, row)
        {
            id = json_string_value(json_object_get(row, "id"));
            if (id != NULL)
                hold(s, scope, id, int_of(row, "day_nanos"), int_of(row, "month_nanos"));
        }
        json_object_foreach(json_object_get(s->held, list_name(scope)), id, row)
        {
            set(s, scope, id, int_of(row, "day"), int_of(row, "month"));
        }
        json_object_clear(json_object_get(s->held, list_name(scope)));
    }
    json_decref(told);
}

/* ---- HOME/spend ---- */

static void save_row(void *ctx, enum ft_tenant_scope scope, const char *id, int64_t day,
                     int64_t month)
{
    json_array_append_new(json_object_get(ctx, list_name(scope)),
                          json_pack("{s:s,s:I,s:I}", "id", id, "day_nanos", (json_int_t)day,
                                    "month_nanos", (json_int_t)month));
}

void gw_spend_save(struct gw_spend *s, bool now)
{
    int64_t now_ns = ft_clock_now_ns();
    if (!now && now_ns - s->saved_ns < SAVE_EVERY_NS)
        return;
    s->saved_ns = now_ns;
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    json_t *spend = json_pack("{s:I,s:[],s:[]}", "at_us",
                              (json_int_t)t.tv_sec * 1000000 + (json_int_t)t.tv_nsec / 1000,
                              "projects", "keys");
    ft_tenant_spend_each(s->gw->tenant, (int64_t)t.tv_sec, save_row, spend);
    char *text = json_dumps(spend, JSON_COMPACT);
    struct ft_err err = {0};
    if (text != NULL && ft_file_put(s->path, text, strlen(text), &err) != 0)
        ft_log(FT_LOG_WARN, "gateway", "spend: %s", err.msg);
    free(text);
    json_decref(spend);
}
