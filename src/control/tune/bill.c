/* What trainings use: on the record piece by piece, and held to budgets.
 *
 * A piece is a usage record "JOB.N": tokens learnt from and processor time since the one before.
 * It is written in one transaction with how far the record goes now (tune_settled), so that nothing
 * is there twice and nothing is left out, whoever is killed when. Tokens count up to the highest
 * that was reached: what a training does again after a kill costs nothing. Processor time is the
 * training's own, told apart by when it began.
 *
 * Budgets are held against the ledger's sums in the same transaction: where one is used up, the job
 * is queued again and says insufficient_quota, its training is stopped with a checkpoint, and it
 * goes on when there is some again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/decimal.h"
#include "base/energy.h"
#include "base/log.h"
#include "control/inside.h"
#include "control/tune/run.h"
#include "ledger/prices.h"
#include "ledger/store.h"

#define NO_QUOTA "insufficient_quota"

/* How far the record goes. */
struct settled {
    int64_t n, tokens, run, run_cpu_us, at_us;
};

struct bill {
    struct ft_tune *t;
    struct tune_job *job;
    const struct ft_exec_info *info; /* NULL: there is no training */
    bool over;
    int64_t cost_nanos;
    json_t *body; /* the row as it became; NULL: as it was */
};

bool ft_tune_is_held(const json_t *body)
{
    const char *code = ft_ctl_text(json_object_get(body, "error"), "code");
    return !ft_tune_has_ended(body) && code != NULL && strcmp(code, NO_QUOTA) == 0;
}

static const char *text_of(const json_t *body, const char *name)
{
    const char *s = ft_ctl_text(body, name);
    return s != NULL ? s : "";
}

/* ---- how far the record goes ---- */

static int settled_get(struct ft_state_tx *tx, const char *job, struct settled *ret,
                       struct ft_err *err)
{
    struct ft_state_rows *r;
    *ret = (struct settled){0};
    int rc = ft_state_query(
        tx, "SELECT n, tokens, run, run_cpu_us, at_us FROM tune_settled WHERE job = $1",
        FT_ARGS(ft_sql_text(job)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0)
        *ret = (struct settled){ft_rows_int(r, 0), ft_rows_int(r, 1), ft_rows_int(r, 2),
                                ft_rows_int(r, 3), ft_rows_int(r, 4)};
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

static int settled_set(struct ft_state_tx *tx, const char *job, const struct settled *s,
                       struct ft_err *err)
{
    return ft_state_exec(
        tx,
        "INSERT INTO tune_settled (job, n, tokens, run, run_cpu_us, at_us)"
        " VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (job) DO UPDATE SET n = excluded.n,"
        " tokens = excluded.tokens, run = excluded.run, run_cpu_us = excluded.run_cpu_us,"
        " at_us = excluded.at_us",
        FT_ARGS(ft_sql_text(job), ft_sql_int(s->n), ft_sql_int(s->tokens), ft_sql_int(s->run),
                ft_sql_int(s->run_cpu_us), ft_sql_int(s->at_us)),
        NULL, err);
}

/* ---- a piece ---- */

static int take_price(void *ctx, const char *id, json_t *body)
{
    struct ft_err err = {0};
    ft_prices_put(ctx, id, body, &err);
    return 0;
}

/* Trained tokens cost what tokens of a prompt do. A project names its endpoints itself: none makes
 * what is behind it cheaper. */
static int cost_of(struct ft_state_tx *tx, const json_t *body, int64_t tokens, int64_t *ret,
                   struct ft_err *err)
{
    static const char *const names[] = {"model", "base"};
    const struct ft_ctl_scan all = {.kind = "price"};
    struct ft_prices prices;
    *ret = 0;
    ft_prices_init(&prices);
    int rc = ft_ctl_scan(tx, &all, take_price, &prices, err);
    for (size_t i = 0; rc == 0 && i < FT_COUNT(names); i++) {
        struct ft_price price;
        ft_prices_find(&prices, text_of(body, names[i]), &price);
        *ret = FT_MAX(*ret, ft_price_cost(&price, tokens, 0, 0));
    }
    ft_prices_fini(&prices);
    return rc;
}

static int record(struct ft_state_tx *tx, const struct bill *b, const json_t *body,
                  const struct settled *s, struct ft_record *u, struct ft_err *err)
{
    struct ft_buf line;
    int64_t fresh;
    u->status = FT_RECORD_OK;
    u->http = 200;
    u->requests = s->n == 1; /* a job is one request */
    u->end_us = s->at_us;
    u->cost_nanos = b->cost_nanos;
    u->energy_uj = u->cpu_us * FT_ENERGY_UJ_PER_CPU_US;
    u->energy_estimated = true;
    snprintf(u->id, sizeof u->id, "%.40s.%lld", b->job->id, (long long)s->n);
    snprintf(u->project, sizeof u->project, "%s", text_of(body, "project"));
    snprintf(u->key, sizeof u->key, "%s", text_of(body, "key"));
    snprintf(u->model, sizeof u->model, "%s", text_of(body, "model"));
    snprintf(u->route, sizeof u->route, "fine_tuning.jobs");
    ft_buf_init(&line, FT_RECORD_LINE_MAX);
    int rc = ft_record_write(u, &line);
    if (rc == 0)
        rc = ft_usage_put(tx, line.data, line.len, &fresh, err);
    ft_buf_fini(&line);
    return rc;
}

/* What is not on the record yet. While a training runs, its time waits for tokens. */
static int put_piece(struct ft_state_tx *tx, struct bill *b, const json_t *body, struct ft_err *err)
{
    struct settled s;
    struct ft_record u = {0};
    const struct tune_job *job = b->job;
    b->cost_nanos = 0;
    int rc = settled_get(tx, job->id, &s, err);
    if (rc != 0)
        return rc;
    if (b->info != NULL) {
        int64_t cpu = FT_MAX(b->info->cpu_us, b->over ? job->end_cpu_us : 0);
        int64_t before = b->info->started_ns == s.run ? s.run_cpu_us : 0;
        u.cpu_us = FT_MAX(cpu - before, 0);
        s.run = b->info->started_ns;
        s.run_cpu_us = before + u.cpu_us;
    }
    u.prompt_tokens = FT_MAX(job->tokens - s.tokens, 0);
    if (u.prompt_tokens == 0 && (!b->over || u.cpu_us == 0))
        return 0;
    u.start_us = s.at_us > 0 ? s.at_us : ft_ctl_int(body, "created", 0) * 1000000;
    s.n++;
    s.tokens += u.prompt_tokens;
    s.at_us = FT_MAX(ft_clock_unix_us(), u.start_us);
    rc = cost_of(tx, body, u.prompt_tokens, &b->cost_nanos, err);
    if (rc == 0)
        rc = record(tx, b, body, &s, &u, err);
    return rc == 0 ? settled_set(tx, job->id, &s, err) : rc;
}

/* ---- budgets ---- */

/* Of a key's or project's row: is its budget used up? */
static int used_up(struct ft_state_tx *tx, const char *kind, const char *id, int64_t day,
                   int64_t month, bool *ret, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, kind, id, &e, err);
    const json_t *budget = json_object_get(e.body, "budget");
    const char *of_day = ft_ctl_text(budget, "day"), *of_month = ft_ctl_text(budget, "month");
    int64_t most;
    *ret = (of_day != NULL && ft_decimal_parse(of_day, 9, &most) && day >= most) ||
           (of_month != NULL && ft_decimal_parse(of_month, 9, &most) && month >= most);
    ft_ctl_entity_fini(&e);
    return FT_MIN(rc, 0);
}

/* *ret: whose is used up; NULL: there is some left. */
static int look_at_budgets(struct ft_state_tx *tx, const json_t *body, int64_t now_s,
                           const char **ret, struct ft_err *err)
{
    struct ft_usage_spent spent;
    const char *project = text_of(body, "project"), *key = text_of(body, "key");
    bool of_key = false, of_project = false;
    int rc = ft_usage_spent_of(tx, now_s, project, key, &spent, err);
    if (rc == 0)
        rc = used_up(tx, "key", key, spent.key_day, spent.key_month, &of_key, err);
    if (rc == 0)
        rc = used_up(tx, "project", project, spent.project_day, spent.project_month, &of_project,
                     err);
    *ret = of_key ? "key" : of_project ? "project" : NULL;
    return rc;
}

static int change_hold(struct ft_ctl_call *c, struct ft_state_tx *tx, struct bill *b,
                       const json_t *was, const char *whose, struct ft_err *err)
{
    char text[160] = "There is budget again: the job goes on";
    json_t *patch = json_pack("{s:n}", "error");
    if (whose != NULL) {
        snprintf(text, sizeof text,
                 NO_QUOTA ": the budget of the job's %s is used up. The job goes on when there is "
                          "some again",
                 whose);
        json_object_set_new(patch, "error",
                            json_pack("{s:s,s:s,s:n}", "code", NO_QUOTA, "message", text, "param"));
        json_object_set_new(patch, "status", json_string("queued"));
    }
    b->body = ft_ctl_merge(was, patch);
    int rc = ft_tune_put(c, tx, b->job->id, was, b->body, err);
    if (rc == 0)
        rc = ft_tune_note(tx, b->job->id, c->now_s, whose != NULL ? "warn" : "info", "message",
                          text, NULL, err);
    json_decref(patch);
    return rc;
}

/* Whoever paused it himself says when it goes on. A held one is let go once its training has
 * stopped. */
static int mind_budget(struct ft_ctl_call *c, struct ft_state_tx *tx, struct bill *b,
                       const json_t *body, struct ft_err *err)
{
    const char *whose, *status = ft_ctl_text(body, "status");
    bool held = ft_tune_is_held(body);
    if (strcmp(status, "queued") != 0 && strcmp(status, "running") != 0)
        return 0;
    int rc = look_at_budgets(tx, body, c->now_s, &whose, err);
    if (rc != 0 || held == (whose != NULL) || (held && b->info != NULL))
        return rc;
    return change_hold(c, tx, b, body, whose, err);
}

/* ---- both ---- */

static int settle_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct bill *b = ctx;
    struct ft_ctl_call c = {.ctl = b->t->ctl, .now_s = (int64_t)time(NULL)};
    struct ft_ctl_entity e = {0};
    json_decref(b->body);
    b->body = NULL;
    b->cost_nanos = 0;
    int rc = ft_ctl_get(tx, TUNE_KIND, b->job->id, &e, err);
    if (rc <= 0) /* with its project went its bill */
        return rc;
    rc = put_piece(tx, b, e.body, err);
    if (rc == 0)
        rc = mind_budget(&c, tx, b, e.body, err);
    ft_ctl_entity_fini(&e);
    return rc;
}

/* The gateway's budgets hear of it now; a gateway that does not, from the sums when it starts. */
void ft_tune_tell_cost(const struct ft_tune *t, const struct tune_job *job, int64_t nanos)
{
    struct ft_err err = {0};
    const char *project = ft_ctl_text(job->body, "project"), *key = ft_ctl_text(job->body, "key");
    if (nanos <= 0 || project == NULL || key == NULL)
        return;
    json_t *o =
        json_pack("{s:s,s:s,s:I}", "project", project, "key", key, "nanos", (json_int_t)nanos);
    char *text = json_dumps(o, JSON_COMPACT);
    const struct ft_inside_ask a = {.method = "POST",
                                    .path = "/internal/spent",
                                    .key = key,
                                    .body = text,
                                    .n_body = text != NULL ? strlen(text) : 0};
    if (ft_inside_ask(t->ctl->inside, &a, NULL, &err) != 0)
        ft_log(FT_LOG_WARN, "tune", "%s: its cost could not be told: %s", job->id, err.msg);
    free(text);
    json_decref(o);
}

int ft_tune_settle_in(struct ft_state_tx *tx, struct ft_tune *t, struct tune_job *job,
                      const json_t *body, int64_t *ret_cost, struct ft_err *err)
{
    struct bill b = {.t = t, .job = job, .over = true};
    int rc = put_piece(tx, &b, body, err);
    *ret_cost = b.cost_nanos;
    return rc;
}

bool ft_tune_settle(struct ft_tune *t, struct tune_job *job, const struct ft_exec_info *info,
                    bool over)
{
    struct bill b = {.t = t, .job = job, .info = info, .over = over};
    struct ft_err err = {0};
    int rc = ft_state_tx(t->ctl->state, settle_tx, &b, &err);
    if (rc != 0) {
        ft_log(FT_LOG_WARN, "tune", "%s: its usage cannot be recorded now: %s", job->id, err.msg);
        json_decref(b.body);
        return false;
    }
    ft_tune_tell_cost(t, job, b.cost_nanos);
    if (b.body != NULL) {
        ft_tune_job_set(job, b.body);
        atomic_store(&t->changed, true);
    }
    return true;
}
