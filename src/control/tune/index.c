/* Which jobs there are: a row each beside the entity, so that a list reads a page, the runner those
 * that have not ended, and who ended long ago is found. Written in the transaction that writes the
 * job. */
#include <stdio.h>
#include <stdlib.h>

#include "control/keep_days.h"
#include "control/tune/tune.h"

static int note(struct ft_state_tx *tx, const char *id, const json_t *body, struct ft_err *err)
{
    int64_t ended = ft_tune_has_ended(body) ? ft_ctl_int(body, "finished", 1) : 0;
    const char *project = ft_ctl_text(body, "project");
    return ft_state_exec(
        tx,
        "INSERT INTO tune_job (id, project, created_ns, ended_at) VALUES ($1, $2, $3, $4)"
        " ON CONFLICT (id) DO UPDATE SET ended_at = excluded.ended_at",
        FT_ARGS(ft_sql_text(id), ft_sql_text(project != NULL ? project : ""),
                ft_sql_int(ft_ctl_int(body, "created_ns", 0)), ft_sql_int(ended)),
        NULL, err);
}

int ft_tune_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id, const json_t *before,
                json_t *body, struct ft_err *err)
{
    int rc = ft_ctl_put(c, tx, TUNE_KIND, id, before, body, err);
    return rc == 0 ? note(tx, id, body, err) : rc;
}

/* ---- rows from before there was an index ---- */

static int collect(void *ctx, const char *id, json_t *body)
{
    json_array_append_new(ctx, json_pack("[s,O]", id, body));
    return 0;
}

int ft_tune_index_all(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct ft_ctl_scan all = {.kind = TUNE_KIND};
    json_t *rows = json_array();
    size_t i;
    json_t *row;
    (void)ctx;
    int rc = ft_ctl_scan(tx, &all, collect, rows, err);
    json_array_foreach(rows, i, row)
    {
        if (rc == 0)
            rc = note(tx, json_string_value(json_array_get(row, 0)), json_array_get(row, 1), err);
    }
    json_decref(rows);
    return rc;
}

/* ---- reading ---- */

static int ids_of(struct ft_state_rows *r, json_t *ids, struct ft_err *err)
{
    int rc;
    while ((rc = ft_rows_step(r, err)) > 0)
        json_array_append_new(ids, json_string(ft_rows_text(r, 0).p));
    ft_rows_close(r);
    return rc;
}

/* When the one was made that a page begins behind. 1: it is the project's. */
static int made_at(struct ft_state_tx *tx, const char *project, const char *id, int64_t *ret,
                   struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT created_ns FROM tune_job WHERE id = $1 AND project = $2",
                            FT_ARGS(ft_sql_text(id), ft_sql_text(project)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0)
        *ret = ft_rows_int(r, 0);
    ft_rows_close(r);
    return rc;
}

int ft_tune_ids_after(struct ft_state_tx *tx, const char *project, const char *after, int64_t limit,
                      json_t *ids, struct ft_err *err)
{
    struct ft_state_rows *r;
    int64_t before = INT64_MAX;
    int rc = after != NULL ? made_at(tx, project, after, &before, err) : 1;
    if (rc <= 0)
        return rc;
    rc = ft_state_query(tx,
                        "SELECT id FROM tune_job WHERE project = $1 AND created_ns <= $2"
                        " AND (created_ns < $2 OR id < $3) ORDER BY created_ns DESC, id DESC"
                        " LIMIT $4",
                        FT_ARGS(ft_sql_text(project), ft_sql_int(before),
                                ft_sql_text(after != NULL ? after : ""), ft_sql_int(limit)),
                        &r, err);
    return rc == 0 ? ids_of(r, ids, err) : rc;
}

int ft_tune_ids_active(struct ft_state_tx *tx, json_t *ids, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(
        tx, "SELECT id FROM tune_job WHERE ended_at = 0 ORDER BY created_ns LIMIT $1",
        FT_ARGS(ft_sql_int(TUNE_JOBS_MAX)), &r, err);
    return rc == 0 ? ids_of(r, ids, err) : rc;
}

int ft_tune_count(struct ft_state_tx *tx, const char *project, int *ret_all, int *ret_own,
                  struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT COUNT(*), CAST(COALESCE(SUM(CASE WHEN project = $1 THEN 1 ELSE"
                            " 0 END), 0) AS BIGINT) FROM tune_job WHERE ended_at = 0",
                            FT_ARGS(ft_sql_text(project)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        *ret_all = (int)ft_rows_int(r, 0);
        *ret_own = (int)ft_rows_int(r, 1);
    }
    ft_rows_close(r);
    return FT_MIN(rc, 0);
}

/* ---- those that ended long ago ---- */

static int drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, TUNE_KIND, id, &e, err);
    if (rc > 0)
        rc = ft_ctl_drop(c, tx, TUNE_KIND, id, e.body, err);
    ft_ctl_entity_fini(&e);
    return rc == 0 ? ft_tune_forget(tx, id, err) : rc;
}

int ft_tune_prune(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_ctl_prune *p = ctx;
    struct ft_ctl_call c = {.ctl = p->ctl, .now_s = p->now_s};
    struct ft_state_rows *r;
    int64_t before;
    json_t *ids = json_array();
    size_t i;
    json_t *id;
    int rc = ft_ctl_keep_jobs_since(tx, p->now_s, &before, err);
    if (rc == 0)
        rc = ft_state_query(tx,
                            "SELECT id FROM tune_job WHERE ended_at > 0 AND ended_at < $1"
                            " ORDER BY ended_at LIMIT $2",
                            FT_ARGS(ft_sql_int(before), ft_sql_int(CTL_PRUNE_MAX)), &r, err);
    if (rc == 0)
        rc = ids_of(r, ids, err);
    json_array_foreach(ids, i, id)
    {
        if (rc == 0)
            rc = drop(&c, tx, json_string_value(id), err);
    }
    p->gone = (int)json_array_size(ids);
    json_decref(ids);
    return rc;
}
