/* What happened to a job: events, checkpoints, and how far its training's report was read. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "control/tune/tune.h"
#include "net/url.h"

#define PAGE_DEFAULT 20
#define PAGE_MAX     1000
#define PARAMS_BYTES (16u << 10)

static const struct ft_migration migrations[] = {
    {1, "events, checkpoints, progress",
     "CREATE TABLE tune_event (job TEXT NOT NULL, n BIGINT NOT NULL, at BIGINT NOT NULL,"
     " level TEXT NOT NULL, type TEXT NOT NULL, message TEXT NOT NULL, data TEXT,"
     " PRIMARY KEY (job, n));"
     "CREATE TABLE tune_checkpoint (job TEXT NOT NULL, step BIGINT NOT NULL, at BIGINT NOT NULL,"
     " model TEXT NOT NULL, metrics TEXT NOT NULL, PRIMARY KEY (job, step));"
     "CREATE TABLE tune_progress (job TEXT NOT NULL, read_to BIGINT NOT NULL,"
     " state TEXT NOT NULL, PRIMARY KEY (job));"},
    {2, "how far usage is on the record",
     "CREATE TABLE tune_settled (job TEXT NOT NULL, n BIGINT NOT NULL, tokens BIGINT NOT NULL,"
     " run BIGINT NOT NULL, run_cpu_us BIGINT NOT NULL, at_us BIGINT NOT NULL,"
     " PRIMARY KEY (job));"},
    {3, "an index of jobs",
     "CREATE TABLE tune_job (id TEXT NOT NULL, project TEXT NOT NULL, created_ns BIGINT NOT NULL,"
     " ended_at BIGINT NOT NULL, PRIMARY KEY (id));"
     "CREATE INDEX tune_job_project ON tune_job (project, created_ns, id);"
     "CREATE INDEX tune_job_ended ON tune_job (ended_at);"},
};

int ft_tune_migrate(struct ft_state *s, struct ft_err *err)
{
    int rc = ft_state_migrate(s, "tune", migrations, FT_COUNT(migrations), err);
    return rc == 0 ? ft_state_tx(s, ft_tune_index_all, NULL, err) : rc;
}

/* ---- writing ---- */

/* Text of a JSON value, to be freed; NULL for none. */
static char *text_of(const json_t *v)
{
    return v != NULL ? json_dumps(v, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
}

int ft_tune_note(struct ft_state_tx *tx, const char *job, int64_t now_s, const char *level,
                 const char *type, const char *message, const json_t *data, struct ft_err *err)
{
    char *text = text_of(data);
    int rc = ft_state_exec(
        tx,
        "INSERT INTO tune_event (job, n, at, level, type, message, data) VALUES ($1,"
        " (SELECT COALESCE(MAX(n), 0) + 1 FROM tune_event WHERE job = $1), $2, $3, $4, $5, $6)",
        FT_ARGS(ft_sql_text(job), ft_sql_int(now_s), ft_sql_text(level), ft_sql_text(type),
                ft_sql_text(message), ft_sql_text(text)),
        NULL, err);
    free(text);
    return rc;
}

int ft_tune_note_checkpoint(struct ft_state_tx *tx, const char *job, int64_t now_s, int64_t step,
                            const char *model, const json_t *metrics, struct ft_err *err)
{
    char *text = text_of(metrics);
    int rc = ft_state_exec(
        tx,
        "INSERT INTO tune_checkpoint (job, step, at, model, metrics) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (job, step) DO UPDATE SET at = excluded.at, metrics = excluded.metrics",
        FT_ARGS(ft_sql_text(job), ft_sql_int(step), ft_sql_int(now_s), ft_sql_text(model),
                ft_sql_text(text != NULL ? text : "{}")),
        NULL, err);
    free(text);
    return rc;
}

int ft_tune_progress(struct ft_state_tx *tx, const char *job, int64_t *ret_read_to,
                     json_t **ret_state, struct ft_err *err)
{
    struct ft_state_rows *r;
    *ret_read_to = 0;
    *ret_state = NULL;
    int rc = ft_state_query(tx, "SELECT read_to, state FROM tune_progress WHERE job = $1",
                            FT_ARGS(ft_sql_text(job)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        *ret_read_to = ft_rows_int(r, 0);
        *ret_state = json_loadb(ft_rows_text(r, 1).p, ft_rows_text(r, 1).n, 0, NULL);
    }
    ft_rows_close(r);
    return rc < 0 ? rc : 0;
}

int ft_tune_set_progress(struct ft_state_tx *tx, const char *job, int64_t read_to,
                         const json_t *state, struct ft_err *err)
{
    char *text = text_of(state);
    int rc = ft_state_exec(
        tx,
        "INSERT INTO tune_progress (job, read_to, state) VALUES ($1, $2, $3)"
        " ON CONFLICT (job) DO UPDATE SET read_to = excluded.read_to, state = excluded.state",
        FT_ARGS(ft_sql_text(job), ft_sql_int(read_to), ft_sql_text(text != NULL ? text : "{}")),
        NULL, err);
    free(text);
    return rc;
}

int ft_tune_forget(struct ft_state_tx *tx, const char *job, struct ft_err *err)
{
    static const char *const statements[] = {
        "DELETE FROM tune_event WHERE job = $1", "DELETE FROM tune_checkpoint WHERE job = $1",
        "DELETE FROM tune_progress WHERE job = $1", "DELETE FROM tune_settled WHERE job = $1",
        "DELETE FROM tune_job WHERE id = $1"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(statements); i++)
        rc = ft_state_exec(tx, statements[i], FT_ARGS(ft_sql_text(job)), NULL, err);
    return rc;
}

/* ---- pages ---- */

struct page {
    struct ft_arena arena;
    int64_t limit, before; /* numbers below this */
};

/* after: "ftevent-JOB-N", "ftckpt-JOB-N"; JOB is the job's digits. */
static int read_after(struct ft_ctl_call *c, const char *value, const char *kind, const char *job,
                      int64_t *ret)
{
    char head[CTL_ID_MAX + 16], rest;
    int n = snprintf(head, sizeof head, "%s-%s-", kind, strchr(job, '-') + 1);
    if (strncmp(value, head, (size_t)n) != 0 || sscanf(value + n, "%" SCNd64 "%c", ret, &rest) != 1)
        return ft_ctl_refuse(c, 400, "invalid_value", "after", "after: is none of this job");
    return 0;
}

static int read_page(struct ft_ctl_call *c, const char *kind, const char *job, struct page *p)
{
    const char *name, *value;
    struct ft_err err = {0};
    size_t at = 0;
    int rc;
    p->limit = PAGE_DEFAULT;
    p->before = INT64_MAX;
    while ((rc = ft_url_param_next(c->query, &at, &p->arena, &name, &value, &err)) > 0) {
        char *end;
        if (strcmp(name, "limit") == 0) {
            p->limit = strtoll(value, &end, 10);
            if (end == value || *end != '\0' || p->limit < 1 || p->limit > PAGE_MAX)
                return ft_ctl_refuse(c, 400, "invalid_value", "limit",
                                     "limit: must be from 1 to %d", PAGE_MAX);
        } else if (strcmp(name, "after") == 0) {
            rc = read_after(c, value, kind, job, &p->before);
            if (rc != 0)
                return rc;
        } else {
            return ft_ctl_refuse(c, 400, "unknown_parameter", name, "%.60s: is not known", name);
        }
    }
    return rc < 0 ? ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err.msg) : 0;
}

typedef json_t *entry_fn(const char *job, struct ft_state_rows *r);

/* Of one more than limit rows, to know whether there are more. */
static int answer_page(struct ft_ctl_call *c, struct ft_state_rows *r, const char *job,
                       int64_t limit, entry_fn *entry, struct ft_err *err)
{
    json_t *data = json_array();
    int rc;
    bool more = false;
    while ((rc = ft_rows_step(r, err)) > 0 && !more) {
        if ((int64_t)json_array_size(data) == limit)
            more = true;
        else
            json_array_append_new(data, entry(job, r));
    }
    ft_rows_close(r);
    if (rc < 0) {
        json_decref(data);
        return rc;
    }
    return ft_ctl_answer(c, 200, ft_ctl_page(data, more));
}

static json_t *parsed(struct ft_slice text)
{
    json_t *v = text.n > 0 ? json_loadb(text.p, text.n, JSON_DECODE_ANY, NULL) : NULL;
    return v != NULL ? v : json_null();
}

static json_t *event_entry(const char *job, struct ft_state_rows *r)
{
    char id[CTL_ID_MAX + 40];
    snprintf(id, sizeof id, "ftevent-%s-%lld", strchr(job, '-') + 1, (long long)ft_rows_int(r, 0));
    return json_pack("{s:s,s:s,s:I,s:s,s:s,s:s,s:o}", "id", id, "object", "fine_tuning.job.event",
                     "created_at", (json_int_t)ft_rows_int(r, 1), "level", ft_rows_text(r, 2).p,
                     "type", ft_rows_text(r, 3).p, "message", ft_rows_text(r, 4).p, "data",
                     parsed(ft_rows_text(r, 5)));
}

int ft_tune_events(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *job,
                   struct ft_err *err)
{
    struct page p;
    struct ft_state_rows *r;
    ft_arena_init(&p.arena, PARAMS_BYTES);
    int rc = read_page(c, "ftevent", job, &p);
    if (rc == 0)
        rc = ft_state_query(
            tx,
            "SELECT n, at, level, type, message, data FROM tune_event"
            " WHERE job = $1 AND n < $2 ORDER BY n DESC LIMIT $3",
            FT_ARGS(ft_sql_text(job), ft_sql_int(p.before), ft_sql_int(p.limit + 1)), &r, err);
    ft_arena_fini(&p.arena);
    return rc == 0 ? answer_page(c, r, job, p.limit, event_entry, err) : rc;
}

static json_t *checkpoint_entry(const char *job, struct ft_state_rows *r)
{
    char id[CTL_ID_MAX + 40];
    long long step = ft_rows_int(r, 0);
    snprintf(id, sizeof id, "ftckpt-%s-%lld", strchr(job, '-') + 1, step);
    return json_pack("{s:s,s:s,s:I,s:s,s:s,s:I,s:o}", "id", id, "object",
                     "fine_tuning.job.checkpoint", "created_at", (json_int_t)ft_rows_int(r, 1),
                     "fine_tuned_model_checkpoint", ft_rows_text(r, 2).p, "fine_tuning_job_id", job,
                     "step_number", (json_int_t)step, "metrics", parsed(ft_rows_text(r, 3)));
}

int ft_tune_checkpoints(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *job,
                        struct ft_err *err)
{
    struct page p;
    struct ft_state_rows *r;
    ft_arena_init(&p.arena, PARAMS_BYTES);
    int rc = read_page(c, "ftckpt", job, &p);
    if (rc == 0)
        rc = ft_state_query(
            tx,
            "SELECT step, at, model, metrics FROM tune_checkpoint"
            " WHERE job = $1 AND step < $2 ORDER BY step DESC LIMIT $3",
            FT_ARGS(ft_sql_text(job), ft_sql_int(p.before), ft_sql_int(p.limit + 1)), &r, err);
    ft_arena_fini(&p.arena);
    return rc == 0 ? answer_page(c, r, job, p.limit, checkpoint_entry, err) : rc;
}
