/* /v1/batches: create, list, get, cancel. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/openai/id.h"
#include "control/batch/run.h"

#define PREFIX         "batch_"
#define LIST_DEFAULT   20
#define METADATA_MAX   16
#define NAME_MAX_CHARS 64
#define VALUE_MAX      512
#define WINDOW_MAX_S   (14 * 86400)

/* "24h" as OpenAI has it; others in s, m, h or d. 0: none. */
static int64_t window_s(const char *text)
{
    char *end;
    long long n = text != NULL && *text >= '1' && *text <= '9' ? strtoll(text, &end, 10) : 0;
    if (n <= 0 || n > WINDOW_MAX_S || strlen(end) != 1)
        return 0;
    int64_t unit = *end == 's'   ? 1
                   : *end == 'm' ? 60
                   : *end == 'h' ? 3600
                   : *end == 'd' ? 86400
                                 : 0;
    return n * unit <= WINDOW_MAX_S ? n * unit : 0;
}

static int check_metadata(struct ft_ctl_call *c, const json_t *m)
{
    const char *name;
    json_t *value;
    if (m == NULL || json_is_null(m))
        return 0;
    if (!json_is_object(m) || json_object_size(m) > METADATA_MAX)
        return ft_ctl_refuse(c, 400, "invalid_value", "metadata",
                             "metadata: must be an object of at most %d members", METADATA_MAX);
    json_object_foreach((json_t *)m, name, value)
    {
        if (!json_is_string(value) || json_string_length(value) > VALUE_MAX ||
            strlen(name) > NAME_MAX_CHARS)
            return ft_ctl_refuse(c, 400, "invalid_value", "metadata",
                                 "metadata: names of at most %d bytes, texts of at most %d",
                                 NAME_MAX_CHARS, VALUE_MAX);
    }
    return 0;
}

/* What the document cannot say. */
static int check_create(struct ft_ctl_call *c)
{
    if (window_s(ft_ctl_text(c->body, "completion_window")) == 0)
        return ft_ctl_refuse(c, 400, "invalid_value", "completion_window",
                             "completion_window: must be 24h, or another time up to 14d");
    return check_metadata(c, json_object_get(c->body, "metadata"));
}

/* Is the input there, and is it one for batches? The gateway has the files. */
static void look(struct ft_ctl_call *c)
{
    struct ft_err err = {0};
    char path[128];
    const char *id = ft_ctl_text(c->body, "input_file_id"), *purpose;
    int rc = FT_ENOTFOUND;
    if (ft_oai_id_is(id, "file-")) {
        snprintf(path, sizeof path, "/v1/files/%s", id);
        struct ft_inside_ask a = {.method = "GET", .path = path, .key = c->key};
        rc = ft_inside_ask(c->ctl->inside, &a, &c->found, &err);
    }
    purpose = ft_ctl_text(c->found, "purpose");
    if (rc == FT_ENOTFOUND)
        ft_ctl_refuse(c, 400, "invalid_value", "input_file_id",
                      "input_file_id: there is no file '%.100s'", id);
    else if (rc == FT_EINVAL)
        ft_ctl_refuse(c, 400, "invalid_value", "input_file_id", "input_file_id: %s", err.msg);
    else if (rc != 0)
        ft_ctl_refuse(c, 503, "storage_unavailable", NULL, "files cannot be read now: %s", err.msg);
    else if (purpose == NULL || strcmp(purpose, "batch") != 0)
        ft_ctl_refuse(c, 400, "invalid_value", "input_file_id",
                      "input_file_id: the file's purpose must be batch, it is %s",
                      purpose != NULL ? purpose : "none");
}

void ft_ctl_batches_look(struct ft_ctl_call *c)
{
    if (check_create(c) == 0)
        look(c);
}

static void wake(struct ft_ctl_call *c)
{
    ft_batches_wake(c->ctl->batches);
}

static json_t *row_of(const struct ft_ctl_call *c)
{
    const json_t *b = c->body, *expires = json_object_get(b, "output_expires_after");
    json_t *metadata = json_object_get(b, "metadata");
    int64_t window = window_s(ft_ctl_text(b, "completion_window"));
    json_t *row = json_pack(
        "{s:s,s:s,s:s,s:s,s:s,s:s,s:I,s:I,s:O?}", "project", c->project, "key", c->key,
        "input_file_id", ft_ctl_text(b, "input_file_id"), "endpoint", ft_ctl_text(b, "endpoint"),
        "completion_window", ft_ctl_text(b, "completion_window"), "status", "validating",
        "created_at", (json_int_t)c->now_s, "expires_at", (json_int_t)(c->now_s + window),
        "metadata", json_is_object(metadata) ? metadata : NULL);
    if (json_is_object(expires))
        json_object_set_new(row, "output_expires_s",
                            json_integer(ft_ctl_int(expires, "seconds", 0)));
    return row;
}

int ft_ctl_batches_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[FT_OAI_ID_BYTES];
    struct bt_progress none = {0};
    int64_t active = 0;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    int rc = bt_active_count(tx, c->project, &active, err);
    if (rc == 0 && active >= BATCH_ACTIVE_MAX)
        return ft_ctl_refuse(c, 429, "too_many_batches", NULL,
                             "the project has %d batches that have not ended", BATCH_ACTIVE_MAX);
    if (rc == 0)
        rc = ft_oai_id_new(PREFIX, (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000, id, err);
    if (rc != 0)
        return rc;
    json_t *row = row_of(c);
    rc = ft_ctl_put(c, tx, BATCH_KIND, id, NULL, row, err);
    if (rc == 0)
        rc = bt_row_insert(tx, id, c->project, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, bt_view(id, row, &none));
    c->after = wake;
    json_decref(row);
    return rc;
}

/* ---- one ---- */

static int missing(struct ft_ctl_call *c, const char *id)
{
    return ft_ctl_refuse(c, 404, NULL, "id", "No such Batch object: %.100s", id);
}

/* Of the caller's project: operators too see here what their project has. */
static int get(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
               struct ft_ctl_entity *ret, struct bt_progress *p, struct ft_err *err)
{
    int rc = ft_oai_id_is(id, PREFIX) ? ft_ctl_get(tx, BATCH_KIND, id, ret, err) : 0;
    if (rc < 0)
        return rc;
    const char *project = ft_ctl_text(ret->body, "project");
    if (rc == 0 || project == NULL || strcmp(project, c->project) != 0)
        return missing(c, id);
    rc = bt_progress_get(tx, id, p, err);
    return FT_MIN(rc, 0);
}

int ft_ctl_batches_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    struct bt_progress p = {0};
    int rc = get(c, tx, c->id, &e, &p, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, bt_view(e.id, e.body, &p));
    ft_ctl_entity_fini(&e);
    return rc;
}

static int cancel(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    struct bt_progress p = {0};
    int rc = get(c, tx, id, &e, &p, err);
    const char *status = rc == 0 ? ft_ctl_text(e.body, "status") : "";
    bool already = strcmp(status, "cancelling") == 0;
    if (rc == 0 && !already && strcmp(status, "validating") != 0 &&
        strcmp(status, "in_progress") != 0)
        rc = ft_ctl_refuse(c, 409, "batch_ended", NULL, "Cannot cancel a batch with status '%s'.",
                           status);
    if (rc == 0) {
        json_t *body = json_copy(e.body);
        if (!already) {
            json_object_set_new(body, "status", json_string("cancelling"));
            json_object_set_new(body, "cancelling_at", json_integer(c->now_s));
        }
        rc = ft_ctl_put(c, tx, BATCH_KIND, e.id, e.body, body, err);
        if (rc == 0)
            ft_ctl_answer(c, 200, bt_view(e.id, body, &p));
        c->after = wake;
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

/* POST /v1/batches/ID/cancel */
int ft_ctl_batches_act(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[BATCH_ID_BYTES];
    const char *slash = strchr(c->id, '/');
    if (slash == NULL || strcmp(slash, "/cancel") != 0)
        return ft_ctl_refuse(c, 404, "unknown_url", NULL, "unknown request URL: %s %s", c->method,
                             c->path);
    snprintf(id, sizeof id, "%.*s", (int)FT_MIN(slash - c->id, (ptrdiff_t)sizeof id - 1), c->id);
    return cancel(c, tx, id, err);
}

/* ---- the list: newest first ---- */

static int list_rows(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *ids, bool *ret_more,
                     struct ft_err *err)
{
    struct ft_state_rows *r;
    const char *after = ft_ctl_text(c->params, "after");
    int64_t limit = ft_ctl_int(c->params, "limit", LIST_DEFAULT);
    int rc =
        ft_state_query(tx,
                       "SELECT id FROM batch WHERE project = $1 AND id < $2"
                       " AND ($2 = '" PREFIX "~'" /* behind one that is not there is nothing */
                       " OR EXISTS (SELECT 1 FROM batch WHERE project = $1 AND id = $2))"
                       " ORDER BY id DESC LIMIT $3",
                       FT_ARGS(ft_sql_text(c->project),
                               ft_sql_text(after != NULL && after[0] != '\0' ? after : PREFIX "~"),
                               ft_sql_int(limit + 1)),
                       &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0) {
        if ((int64_t)json_array_size(ids) == limit)
            *ret_more = true;
        else
            json_array_append_new(ids, json_string(ft_rows_text(r, 0).p));
    }
    ft_rows_close(r);
    return rc;
}

int ft_ctl_batches_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    json_t *ids = json_array(), *data = json_array();
    bool more = false;
    int rc = list_rows(c, tx, ids, &more, err);
    for (size_t i = 0; rc == 0 && i < json_array_size(ids); i++) {
        struct ft_ctl_entity e = {0};
        struct bt_progress p = {0};
        rc = get(c, tx, json_string_value(json_array_get(ids, i)), &e, &p, err);
        if (rc == 0)
            json_array_append_new(data, bt_view(e.id, e.body, &p));
        ft_ctl_entity_fini(&e);
    }
    json_decref(ids);
    if (rc == 0)
        return ft_ctl_answer(c, 200, ft_ctl_page(data, more));
    json_decref(data);
    return rc;
}
