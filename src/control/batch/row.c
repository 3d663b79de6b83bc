/* Batches in the store: how far each is, and what a client sees. */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "control/batch/run.h"
#include "control/keep_days.h"

static const struct ft_migration migrations[] = {
    {1, "batches",
     "CREATE TABLE batch (id TEXT NOT NULL PRIMARY KEY, project TEXT NOT NULL,"
     " active BIGINT NOT NULL, total BIGINT NOT NULL, completed BIGINT NOT NULL,"
     " failed BIGINT NOT NULL, out_bytes BIGINT NOT NULL, err_bytes BIGINT NOT NULL,"
     " prompt_tokens BIGINT NOT NULL, cached_tokens BIGINT NOT NULL,"
     " completion_tokens BIGINT NOT NULL, reasoning_tokens BIGINT NOT NULL);"
     "CREATE INDEX batch_active ON batch (active, project);"},
    {2, "when they ended; lists by project",
     "ALTER TABLE batch ADD COLUMN ended_at BIGINT NOT NULL DEFAULT 0;"
     "CREATE INDEX batch_project ON batch (project, id);"
     "CREATE INDEX batch_ended ON batch (active, ended_at);"},
};

int ft_batches_migrate(struct ft_state *s, struct ft_err *err)
{
    return ft_state_migrate(s, "batches", migrations, (int)FT_COUNT(migrations), err);
}

int bt_row_insert(struct ft_state_tx *tx, const char *id, const char *project, struct ft_err *err)
{
    return ft_state_exec(tx,
                         "INSERT INTO batch (id, project, active, total, completed, failed,"
                         " out_bytes, err_bytes, prompt_tokens, cached_tokens, completion_tokens,"
                         " reasoning_tokens) VALUES ($1, $2, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0)",
                         FT_ARGS(ft_sql_text(id), ft_sql_text(project)), NULL, err);
}

int bt_row_end(struct ft_state_tx *tx, const char *id, struct ft_err *err)
{
    return ft_state_exec(tx, "UPDATE batch SET active = 0, ended_at = $2 WHERE id = $1",
                         FT_ARGS(ft_sql_text(id), ft_sql_int((int64_t)time(NULL))), NULL, err);
}

int bt_progress_get(struct ft_state_tx *tx, const char *id, struct bt_progress *ret,
                    struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT total, completed, failed, out_bytes, err_bytes, prompt_tokens,"
                            " cached_tokens, completion_tokens, reasoning_tokens FROM batch"
                            " WHERE id = $1",
                            FT_ARGS(ft_sql_text(id)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0)
        *ret = (struct bt_progress){.total = ft_rows_int(r, 0),
                                    .completed = ft_rows_int(r, 1),
                                    .failed = ft_rows_int(r, 2),
                                    .out_bytes = ft_rows_int(r, 3),
                                    .err_bytes = ft_rows_int(r, 4),
                                    .prompt_tokens = ft_rows_int(r, 5),
                                    .cached_tokens = ft_rows_int(r, 6),
                                    .completion_tokens = ft_rows_int(r, 7),
                                    .reasoning_tokens = ft_rows_int(r, 8)};
    ft_rows_close(r);
    return rc;
}

int bt_progress_set(struct ft_state_tx *tx, const char *id, const struct bt_progress *p,
                    struct ft_err *err)
{
    int64_t n = 0;
    int rc = ft_state_exec(
        tx,
        "UPDATE batch SET total = $2, completed = $3, failed = $4, out_bytes = $5, err_bytes = $6,"
        " prompt_tokens = $7, cached_tokens = $8, completion_tokens = $9, reasoning_tokens = $10"
        " WHERE id = $1 AND active = 1",
        FT_ARGS(ft_sql_text(id), ft_sql_int(p->total), ft_sql_int(p->completed),
                ft_sql_int(p->failed), ft_sql_int(p->out_bytes), ft_sql_int(p->err_bytes),
                ft_sql_int(p->prompt_tokens), ft_sql_int(p->cached_tokens),
                ft_sql_int(p->completion_tokens), ft_sql_int(p->reasoning_tokens)),
        &n, err);
    return rc == 0 && n == 0 ? ft_err_set(err, FT_ENOTFOUND, "batch %s is gone", id) : rc;
}

int bt_active_count(struct ft_state_tx *tx, const char *project, int64_t *ret, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT COUNT(*) FROM batch WHERE active = 1 AND project = $1",
                            FT_ARGS(ft_sql_text(project)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0)
        *ret = ft_rows_int(r, 0);
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

int bt_active_list(struct ft_state_tx *tx, json_t *ret, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT id, project FROM batch WHERE active = 1 ORDER BY id",
                            FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    json_array_clear(ret);
    while ((rc = ft_rows_step(r, err)) > 0)
        json_array_append_new(ret, json_pack("{s:s,s:s}", "id", ft_rows_text(r, 0).p, "project",
                                             ft_rows_text(r, 1).p));
    ft_rows_close(r);
    return rc;
}

/* ---- those that ended long ago ---- */

static int drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, BATCH_KIND, id, &e, err);
    if (rc > 0)
        rc = ft_ctl_drop(c, tx, BATCH_KIND, id, e.body, err);
    ft_ctl_entity_fini(&e);
    return rc == 0 ? ft_state_exec(tx, "DELETE FROM batch WHERE id = $1", FT_ARGS(ft_sql_text(id)),
                                   NULL, err)
                   : rc;
}

static int ended_ids(struct ft_state_tx *tx, int64_t before, json_t *ids, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT id FROM batch WHERE active = 0 AND ended_at < $1"
                            " ORDER BY ended_at LIMIT $2",
                            FT_ARGS(ft_sql_int(before), ft_sql_int(CTL_PRUNE_MAX)), &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0)
        json_array_append_new(ids, json_string(ft_rows_text(r, 0).p));
    ft_rows_close(r);
    return rc;
}

int bt_prune(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_ctl_prune *p = ctx;
    struct ft_ctl_call c = {.ctl = p->ctl, .now_s = p->now_s};
    int64_t before;
    json_t *ids = json_array();
    size_t i;
    json_t *id;
    /* those from before it was told when they ended count from now on */
    int rc = ft_state_exec(tx, "UPDATE batch SET ended_at = $1 WHERE active = 0 AND ended_at = 0",
                           FT_ARGS(ft_sql_int(p->now_s)), NULL, err);
    if (rc == 0)
        rc = ft_ctl_keep_jobs_since(tx, p->now_s, &before, err);
    if (rc == 0)
        rc = ended_ids(tx, before, ids, err);
    json_array_foreach(ids, i, id)
    {
        if (rc == 0)
            rc = drop(&c, tx, json_string_value(id), err);
    }
    p->gone = (int)json_array_size(ids);
    json_decref(ids);
    return rc;
}

/* ---- what a client sees ---- */

const char *bt_route(const char *endpoint)
{
    static const struct {
        const char *endpoint, *route;
    } known[] = {{"/v1/chat/completions", "chat.completions"},
                 {"/v1/completions", "completions"},
                 {"/v1/embeddings", "embeddings"},
                 {"/v1/responses", "responses"},
                 {"/v1/rerank", "rerank"}};
    for (size_t i = 0; endpoint != NULL && i < FT_COUNT(known); i++)
        if (strcmp(endpoint, known[i].endpoint) == 0)
            return known[i].route;
    return NULL;
}

bool bt_has_ended(const json_t *body)
{
    static const char *const ended[] = {"completed", "failed", "expired", "cancelled"};
    const char *status = ft_ctl_text(body, "status");
    for (size_t i = 0; i < FT_COUNT(ended); i++)
        if (status != NULL && strcmp(status, ended[i]) == 0)
            return true;
    return false;
}

json_t *bt_view(const char *id, const json_t *body, const struct bt_progress *p)
{
    static const char *const names[] = {"endpoint",
                                        "model",
                                        "errors",
                                        "input_file_id",
                                        "completion_window",
                                        "status",
                                        "output_file_id",
                                        "error_file_id",
                                        "created_at",
                                        "in_progress_at",
                                        "expires_at",
                                        "finalizing_at",
                                        "completed_at",
                                        "failed_at",
                                        "expired_at",
                                        "cancelling_at",
                                        "cancelled_at",
                                        "metadata",
                                        NULL};
    json_t *o = json_pack("{s:s,s:s}", "id", id, "object", "batch");
    for (const char *const *n = names; *n != NULL; n++) {
        json_t *v = json_object_get(body, *n);
        json_object_set_new(o, *n, v != NULL ? json_incref(v) : json_null());
    }
    json_object_set_new(o, "request_counts",
                        json_pack("{s:I,s:I,s:I}", "total", (json_int_t)p->total, "completed",
                                  (json_int_t)p->completed, "failed", (json_int_t)p->failed));
    json_object_set_new(
        o, "usage",
        json_pack("{s:I,s:{s:I},s:I,s:{s:I},s:I}", "input_tokens", (json_int_t)p->prompt_tokens,
                  "input_tokens_details", "cached_tokens", (json_int_t)p->cached_tokens,
                  "output_tokens", (json_int_t)p->completion_tokens, "output_tokens_details",
                  "reasoning_tokens", (json_int_t)p->reasoning_tokens, "total_tokens",
                  (json_int_t)(p->prompt_tokens + p->completion_tokens)));
    return o;
}
