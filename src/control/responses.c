/* Stored answers of /v1/responses, per project, for RESPONSE_DAYS: documents of
 * api/openai/responses.h, of which nothing is known here but that they are JSON objects.
 *
 *   PUT, GET, DELETE /internal/responses/ID
 *
 * Whose they are is X-Feitian-Project; another project's are not there (404). A project keeps at
 * most RESPONSES_MAX; the oldest go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "control/inner.h"

#define DAY           86400
#define RESPONSE_DAYS 30
#define RESPONSES_MAX 10000
#define ID_CHARS      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define ID_MAX        128

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);
    return n <= ID_MAX && n == strspn(id, ID_CHARS);
}

static int missing(struct ft_ctl_call *c)
{
    return ft_ctl_refuse(c, 404, "response_not_found", NULL, "there is no response '%.140s'",
                         c->id);
}

static int make_room(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int rc = ft_state_exec(
        tx, "DELETE FROM response WHERE project = $1 AND created <= $2",
        FT_ARGS(ft_sql_text(c->project), ft_sql_int(c->now_s - (int64_t)RESPONSE_DAYS * DAY)), NULL,
        err);
    if (rc != 0)
        return rc;
    return ft_state_exec(
        tx,
        "DELETE FROM response WHERE project = $1 AND id IN (SELECT id FROM response"
        " WHERE project = $1 ORDER BY created DESC, id LIMIT $3 OFFSET $2)",
        FT_ARGS(ft_sql_text(c->project), ft_sql_int(RESPONSES_MAX - 1), ft_sql_int(RESPONSES_MAX)),
        NULL, err);
}

int ft_ctl_responses_forget(struct ft_state_tx *tx, const char *project, struct ft_err *err)
{
    return ft_state_exec(tx, "DELETE FROM response WHERE project = $1",
                         FT_ARGS(ft_sql_text(project)), NULL, err);
}

static int check_put(struct ft_ctl_call *c)
{
    json_t *document;
    if (!id_is_good(c->id))
        return ft_ctl_refuse(c, 400, "invalid_value", "id", "id: is not one of ours");
    if (c->project[0] == '\0')
        return ft_ctl_refuse(c, 400, "invalid_value", NULL, "X-Feitian-Project is missing");
    if (ft_oai_json_object(c->text, c->n_text, &document, &c->error) != 0) {
        c->refused = true;
        return FT_EINVAL;
    }
    json_decref(document);
    return 0;
}

int ft_ctl_responses_put(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int rc = check_put(c);
    if (rc == 0)
        rc = make_room(c, tx, err);
    if (rc == 0)
        rc = ft_state_exec(
            tx,
            "INSERT INTO response (project, id, created, document) VALUES ($1, $2, $3, $4)"
            " ON CONFLICT (project, id) DO UPDATE SET document = excluded.document",
            FT_ARGS(ft_sql_text(c->project), ft_sql_text(c->id), ft_sql_int(c->now_s),
                    ft_sql_textn(c->text, c->n_text)),
            NULL, err);
    return rc == 0 ? ft_ctl_answer(c, 200, json_pack("{s:s}", "id", c->id)) : rc;
}

int ft_ctl_responses_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT document FROM response WHERE project = $1 AND id = $2"
                            " AND created > $3",
                            FT_ARGS(ft_sql_text(c->project), ft_sql_text(c->id),
                                    ft_sql_int(c->now_s - (int64_t)RESPONSE_DAYS * DAY)),
                            &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        c->raw_type = "application/json";
        ft_buf_add(&c->raw, ft_rows_text(r, 0).p, ft_rows_text(r, 0).n);
        rc = 0;
    } else if (rc == 0) {
        rc = missing(c);
    }
    ft_rows_close(r);
    return rc;
}

int ft_ctl_responses_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int64_t n = 0;
    int rc = ft_state_exec(tx, "DELETE FROM response WHERE project = $1 AND id = $2",
                           FT_ARGS(ft_sql_text(c->project), ft_sql_text(c->id)), &n, err);
    if (rc == 0 && n == 0)
        rc = missing(c);
    return rc == 0 ? ft_ctl_answer(c, 200, ft_ctl_deleted("response", c->id)) : rc;
}
