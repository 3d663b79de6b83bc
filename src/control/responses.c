/* Stored answers of /v1/responses, per project, for CTL_RESPONSE_DAYS.
 *
 *   PUT    /internal/responses/ID   {"response": {...}, "input": [items]}
 *   GET    /internal/responses/ID   the same
 *   GET    /internal/responses/ID/input_items?limit=20&order=desc&after=ITEM    a list
 *   DELETE /internal/responses/ID   {id, object, deleted}
 *
 * Whose they are is X-Feitian-Project; another project's are not there (404). A project keeps at
 * most RESPONSES_MAX; the oldest go. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "base/arena.h"
#include "control/inner.h"
#include "net/url.h"

#define DAY               86400
#define CTL_RESPONSE_DAYS 30
#define RESPONSES_MAX     10000
#define ID_MAX            128
#define ITEMS_DEFAULT     20
#define ITEMS_MAX         100

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);
    return n <= ID_MAX && n == strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                          "0123456789_-");
}

static int missing(struct ft_ctl_call *c, const char *id)
{
    return ft_ctl_refuse(c, 404, "response_not_found", NULL, "Response with id '%.140s' not found.",
                         id);
}

/* ---- putting ---- */

static int make_room(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int rc = ft_state_exec(
        tx, "DELETE FROM response WHERE project = $1 AND created <= $2",
        FT_ARGS(ft_sql_text(c->project), ft_sql_int(c->now_s - (int64_t)CTL_RESPONSE_DAYS * DAY)),
        NULL, err);
    if (rc != 0)
        return rc;
    return ft_state_exec(
        tx,
        "DELETE FROM response WHERE project = $1 AND id IN (SELECT id FROM response"
        " WHERE project = $1 ORDER BY created DESC, id LIMIT $3 OFFSET $2)",
        FT_ARGS(ft_sql_text(c->project), ft_sql_int(RESPONSES_MAX - 1), ft_sql_int(RESPONSES_MAX)),
        NULL, err);
}

static int read_body(struct ft_ctl_call *c, char **ret_response, char **ret_input)
{
    json_t *body;
    if (ft_oai_json_object(c->text, c->n_text, &body, &c->error) != 0) {
        c->refused = true;
        return FT_EINVAL;
    }
    const json_t *response = json_object_get(body, "response"),
                 *input = json_object_get(body, "input");
    int rc = 0;
    if (!json_is_object(response))
        rc = ft_ctl_refuse(c, 400, "invalid_value", "response", "response: must be an object");
    else if (!json_is_array(input))
        rc = ft_ctl_refuse(c, 400, "invalid_value", "input", "input: must be a list");
    if (rc == 0) {
        *ret_response = json_dumps(response, JSON_COMPACT);
        *ret_input = json_dumps(input, JSON_COMPACT);
    }
    json_decref(body);
    return rc;
}

int ft_ctl_responses_put(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char *response = NULL, *input = NULL;
    if (!id_is_good(c->id))
        return ft_ctl_refuse(c, 400, "invalid_value", "id", "id: is not one of ours");
    if (c->project[0] == '\0')
        return ft_ctl_refuse(c, 400, "invalid_value", NULL, "X-Feitian-Project is missing");
    int rc = read_body(c, &response, &input);
    if (rc == 0)
        rc = make_room(c, tx, err);
    if (rc == 0)
        rc = ft_state_exec(
            tx,
            "INSERT INTO response (project, id, created, body, input) VALUES ($1, $2, $3, $4, $5)"
            " ON CONFLICT (project, id) DO UPDATE SET body = excluded.body, input = excluded.input",
            FT_ARGS(ft_sql_text(c->project), ft_sql_text(c->id), ft_sql_int(c->now_s),
                    ft_sql_text(response), ft_sql_text(input)),
            NULL, err);
    free(response);
    free(input);
    return rc == 0 ? ft_ctl_answer(c, 200, json_pack("{s:s}", "id", c->id)) : rc;
}

/* ---- reading ---- */

struct item_query {
    int64_t limit;
    bool ascending;
    const char *after;
};

static int read_item_query(struct ft_ctl_call *c, struct ft_arena *arena, struct item_query *q)
{
    struct ft_err err = {0};
    const char *name, *value;
    size_t at = 0;
    int rc;
    *q = (struct item_query){.limit = ITEMS_DEFAULT};
    while ((rc = ft_url_param_next(c->query, &at, arena, &name, &value, &err)) > 0) {
        if (strcmp(name, "limit") == 0) {
            char *end;
            q->limit = strtoll(value, &end, 10);
            if (*value == '\0' || *end != '\0' || q->limit < 1 || q->limit > ITEMS_MAX)
                return ft_ctl_refuse(c, 400, "invalid_value", name, "limit: must be 1 to %d",
                                     ITEMS_MAX);
        } else if (strcmp(name, "order") == 0) {
            q->ascending = strcmp(value, "asc") == 0;
            if (!q->ascending && strcmp(value, "desc") != 0)
                return ft_ctl_refuse(c, 400, "invalid_value", name, "order: must be asc or desc");
        } else if (strcmp(name, "after") == 0) {
            q->after = value;
        } else if (strncmp(name, "include", 7) != 0) { /* there is nothing more to include */
            return ft_ctl_refuse(c, 400, "unknown_parameter", name,
                                 "%.60s: there is no such parameter", name);
        }
    }
    return rc == 0 ? 0 : ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err.msg);
}

static int answer_items(struct ft_ctl_call *c, const json_t *items, const struct item_query *q)
{
    size_t n = json_array_size(items), begin = 0;
    for (size_t i = 0; q->after != NULL && i < n && begin == 0; i++) {
        const char *id = ft_ctl_text(json_array_get(items, q->ascending ? i : n - 1 - i), "id");
        begin = id != NULL && strcmp(id, q->after) == 0 ? i + 1 : 0;
    }
    if (q->after != NULL && begin == 0)
        return ft_ctl_refuse(c, 400, "invalid_value", "after", "after: there is no such item");
    json_t *data = json_array();
    size_t end = FT_MIN(n, begin + (size_t)q->limit);
    for (size_t i = begin; i < end; i++)
        json_array_append(data, json_array_get(items, q->ascending ? i : n - 1 - i));
    return ft_ctl_answer(c, 200, ft_ctl_page(data, end < n));
}

static int answer_input(struct ft_ctl_call *c, struct ft_slice input)
{
    struct ft_arena arena;
    struct item_query q;
    json_t *items = json_loadb(input.p, input.n, 0, NULL);
    ft_arena_init(&arena, 8192);
    int rc = read_item_query(c, &arena, &q);
    if (rc == 0)
        rc = answer_items(c, items, &q);
    ft_arena_fini(&arena);
    json_decref(items);
    return rc;
}

int ft_ctl_responses_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_state_rows *r;
    char id[ID_MAX + 20];
    snprintf(id, sizeof id, "%s", c->id);
    char *tail = strstr(id, "/input_items");
    bool items = tail != NULL && tail[12] == '\0';
    if (items)
        *tail = '\0';
    if (!id_is_good(id))
        return missing(c, c->id);
    int rc = ft_state_query(tx,
                            "SELECT body, input FROM response WHERE project = $1 AND id = $2"
                            " AND created > $3",
                            FT_ARGS(ft_sql_text(c->project), ft_sql_text(id),
                                    ft_sql_int(c->now_s - (int64_t)CTL_RESPONSE_DAYS * DAY)),
                            &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc == 0) {
        rc = missing(c, id);
    } else if (rc > 0 && items) {
        rc = answer_input(c, ft_rows_text(r, 1));
    } else if (rc > 0) {
        c->raw_type = "application/json";
        ft_buf_add_str(&c->raw, "{\"response\":");
        ft_buf_add(&c->raw, ft_rows_text(r, 0).p, ft_rows_text(r, 0).n);
        ft_buf_add_str(&c->raw, ",\"input\":");
        ft_buf_add(&c->raw, ft_rows_text(r, 1).p, ft_rows_text(r, 1).n);
        ft_buf_add_str(&c->raw, "}");
        rc = 0;
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
        rc = missing(c, c->id);
    return rc == 0 ? ft_ctl_answer(c, 200, ft_ctl_deleted("response", c->id)) : rc;
}
