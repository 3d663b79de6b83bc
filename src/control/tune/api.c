/* /v1/fine_tuning/jobs: what is asked of jobs. The runner hears of it once it is committed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/openai/json.h"
#include "base/arena.h"
#include "base/folder.h"
#include "control/inside.h"
#include "control/tune/tune.h"
#include "net/url.h"

#define LIST_DEFAULT 20
#define LIST_MAX     100
#define PARAMS_BYTES (64u << 10)
#define METADATA_MAX 16 /* filters of a list */

static void wake(struct ft_ctl_call *c)
{
    ft_tune_wake(c->ctl->tune);
}

static int missing(struct ft_ctl_call *c, const char *id)
{
    return ft_ctl_refuse(c, 404, "fine_tune_not_found", "fine_tuning_job_id",
                         "Could not find fine tune: %.100s", id);
}

/* A job of the caller's project, by its id. */
static int fetch(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                 struct ft_ctl_entity *ret, struct ft_err *err)
{
    int rc = ft_ctl_get(tx, TUNE_KIND, id, ret, err);
    if (rc > 0 && ft_ctl_sees(c, ft_ctl_text(ret->body, "project")))
        return 0;
    ft_ctl_entity_fini(ret);
    return rc < 0 ? rc : missing(c, id);
}

/* The gateway passes it on once it has heard of everything up to here: a model that is named works.
 */
static int settle(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    return ft_state_seq_last(tx, &c->seq, err);
}

/* OpenAI's object, and how far the training has come: {"step", "steps", "train_loss", "valid_loss",
 * "tokens"}, null before its first step. */
static int with_progress(struct ft_state_tx *tx, const char *id, const json_t *body, json_t **ret,
                         struct ft_err *err)
{
    json_t *state, *o, *progress = json_null();
    int64_t at, finish;
    int rc = ft_tune_progress(tx, id, &at, &state, err);
    if (rc != 0)
        return rc;
    o = ft_tune_view(id, body);
    finish = ft_ctl_int(state, "estimated_finish", 0);
    if (finish > 0 && strcmp(ft_ctl_text(body, "status"), "running") == 0)
        json_object_set_new(o, "estimated_finish", json_integer(finish));
    if (ft_ctl_int(state, "steps", 0) > 0) {
        progress = state;
        json_object_del(progress, "estimated_finish");
        if (json_number_value(json_object_get(progress, "valid_loss")) <= 0) /* none yet */
            json_object_set_new(progress, "valid_loss", json_null());
    }
    json_object_set(o, "progress", progress);
    json_decref(state);
    *ret = o;
    return 0;
}

/* ---- create ---- */

static int look_at(struct ft_ctl_call *c, const char *param, const char *id)
{
    char path[256];
    struct ft_err err = {0};
    json_t *o = NULL;
    if (id == NULL || strlen(id) > 128 || strpbrk(id, "/?#% ") != NULL)
        return 0; /* the check of the body says what is wrong */
    snprintf(path, sizeof path, "/v1/files/%s", id);
    const struct ft_inside_ask a = {.method = "GET", .path = path, .key = c->key};
    int rc = ft_inside_ask(c->ctl->inside, &a, &o, &err);
    const char *purpose = ft_ctl_text(o, "purpose");
    if (rc == FT_EUNAVAIL)
        rc = ft_ctl_refuse(c, 503, "files_unavailable", param, "%s: cannot be looked at now: %s",
                           param, err.msg);
    else if (rc != 0)
        rc = ft_ctl_refuse(c, 400, "invalid_file", param, "invalid %s: %s", param, id);
    else if (purpose == NULL || strcmp(purpose, "fine-tune") != 0)
        rc = ft_ctl_refuse(c, 400, "invalid_file_purpose", param,
                           "invalid %s: its purpose is '%.30s', not 'fine-tune'", param,
                           purpose != NULL ? purpose : "");
    json_decref(o);
    return rc;
}

void ft_ctl_tune_look(struct ft_ctl_call *c)
{
    if (ft_oai_json_object(c->text, c->n_text, &c->body, &c->error) != 0) {
        c->refused = true;
        return;
    }
    if (look_at(c, "training_file", ft_ctl_text(c->body, "training_file")) == 0)
        look_at(c, "validation_file", ft_ctl_text(c->body, "validation_file"));
}

static int check_many(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    int all = 0, own = 0;
    int rc = ft_tune_count(tx, c->project, &all, &own, err);
    if (rc == 0 && (all >= TUNE_JOBS_MAX || own >= TUNE_PROJECT_MAX))
        rc = ft_ctl_refuse(c, 429, "too_many_jobs", NULL,
                           "%d jobs of the project have not ended, %d may; or %d of all projects: "
                           "wait for some, or cancel them",
                           own, TUNE_PROJECT_MAX, TUNE_JOBS_MAX);
    return rc;
}

int ft_ctl_tune_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    json_t *row;
    int rc = check_many(c, tx, err);
    if (rc == 0)
        rc = ft_tune_row_make(c, tx, &row, err);
    if (rc != 0)
        return rc;
    rc = ft_ctl_id_new("ftjob-", id, err);
    if (rc == 0)
        rc = ft_tune_put(c, tx, id, NULL, row, err);
    if (rc == 0)
        rc =
            ft_tune_note(tx, id, c->now_s, "info", "message", "Created fine-tuning job", NULL, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_tune_view(id, row));
    c->after = wake;
    json_decref(row);
    return rc;
}

/* ---- list ---- */

struct list {
    struct ft_arena arena;
    const char *after;
    int64_t limit;
    const char *name[METADATA_MAX], *value[METADATA_MAX];
    int n_metadata;
};

static int take_param(struct ft_ctl_call *c, struct list *l, const char *name, const char *value)
{
    char *end;
    size_t n = strlen(name);
    if (strcmp(name, "after") == 0) {
        l->after = value[0] != '\0' ? value : NULL;
    } else if (strcmp(name, "limit") == 0) {
        l->limit = strtoll(value, &end, 10);
        if (end == value || *end != '\0' || l->limit < 1 || l->limit > LIST_MAX)
            return ft_ctl_refuse(c, 400, "invalid_value", "limit", "limit: must be from 1 to %d",
                                 LIST_MAX);
    } else if (strncmp(name, "metadata[", 9) == 0 && name[n - 1] == ']' &&
               l->n_metadata < METADATA_MAX) {
        l->name[l->n_metadata] = ft_arena_strndup(&l->arena, name + 9, n - 10);
        l->value[l->n_metadata++] = value;
    } else {
        return ft_ctl_refuse(c, 400, "unknown_parameter", name, "%.60s: is not known", name);
    }
    return 0;
}

static bool is_asked_for(const struct list *l, const json_t *body)
{
    const json_t *metadata = json_object_get(body, "metadata");
    for (int i = 0; i < l->n_metadata; i++) {
        const char *v = l->name[i] != NULL ? ft_ctl_text(metadata, l->name[i]) : NULL;
        if (v == NULL || strcmp(v, l->value[i]) != 0)
            return false;
    }
    return true;
}

/* One job to the page, if it is asked for. */
static int list_one(struct ft_state_tx *tx, const struct list *l, const char *id, json_t *data,
                    bool *ret_more, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    json_t *one = NULL;
    int rc = ft_ctl_get(tx, TUNE_KIND, id, &e, err);
    if (rc > 0 && is_asked_for(l, e.body)) {
        *ret_more = (int64_t)json_array_size(data) == l->limit;
        rc = *ret_more ? 0 : with_progress(tx, id, e.body, &one, err);
        if (one != NULL)
            json_array_append_new(data, one);
    }
    ft_ctl_entity_fini(&e);
    return FT_MIN(rc, 0);
}

/* Page after page of the index until the answer's is full, and one more is known. */
static int answer_list(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct list *l,
                       struct ft_err *err)
{
    char after[CTL_ID_MAX];
    json_t *data = json_array(), *ids = json_array();
    bool more = false, first = l->after == NULL;
    int rc = 0;
    snprintf(after, sizeof after, "%s", first ? "" : l->after);
    do {
        json_array_clear(ids);
        rc = ft_tune_ids_after(tx, c->project, first ? NULL : after, LIST_MAX, ids, err);
        for (size_t i = 0; rc == 0 && !more && i < json_array_size(ids); i++) {
            snprintf(after, sizeof after, "%s", json_string_value(json_array_get(ids, i)));
            rc = list_one(tx, l, after, data, &more, err);
        }
        first = false;
    } while (rc == 0 && !more && json_array_size(ids) == LIST_MAX);
    json_decref(ids);
    if (rc == 0)
        return ft_ctl_answer(c, 200, ft_ctl_page(data, more));
    json_decref(data);
    return rc;
}

int ft_ctl_tune_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct list l = {.limit = LIST_DEFAULT};
    const char *name, *value;
    size_t at = 0;
    int rc = 0, got = 0;
    ft_arena_init(&l.arena, PARAMS_BYTES);
    while (rc == 0 && (got = ft_url_param_next(c->query, &at, &l.arena, &name, &value, err)) > 0)
        rc = take_param(c, &l, name, value);
    if (rc == 0 && got < 0)
        rc = ft_ctl_refuse(c, 400, "invalid_value", NULL, "%s", err->msg);
    if (rc == 0)
        rc = answer_list(c, tx, &l, err);
    if (rc == 0)
        rc = settle(c, tx, err);
    ft_arena_fini(&l.arena);
    return rc;
}

/* ---- one ---- */

/* "ID/word": the id into ret; the word, "" if there is none. */
static const char *split(const struct ft_ctl_call *c, char ret[CTL_ID_MAX])
{
    const char *slash = strchr(c->id, '/');
    snprintf(ret, CTL_ID_MAX, "%.*s",
             slash != NULL ? (int)FT_MIN(slash - c->id, CTL_ID_MAX - 1) : CTL_ID_MAX - 1, c->id);
    return slash != NULL ? slash + 1 : "";
}

static int unknown(struct ft_ctl_call *c)
{
    return ft_ctl_refuse(c, 404, "unknown_url", NULL, "unknown request URL: %s %s", c->method,
                         c->path);
}

static int answer_one(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct ft_ctl_entity *e,
                      struct ft_err *err)
{
    json_t *o;
    int rc = with_progress(tx, e->id, e->body, &o, err);
    if (rc != 0)
        return rc;
    ft_ctl_answer(c, 200, o);
    return settle(c, tx, err);
}

int ft_ctl_tune_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    struct ft_ctl_entity e = {0};
    const char *word = split(c, id);
    int rc = fetch(c, tx, id, &e, err);
    if (rc == 0 && strcmp(word, "events") == 0)
        rc = ft_tune_events(c, tx, id, err);
    else if (rc == 0 && strcmp(word, "checkpoints") == 0)
        rc = ft_tune_checkpoints(c, tx, id, err);
    else if (rc == 0 && word[0] != '\0')
        rc = unknown(c);
    else if (rc == 0)
        rc = answer_one(c, tx, &e, err);
    ft_ctl_entity_fini(&e);
    return rc;
}

static const struct {
    const char *word, *status, *said;
} acts[] = {{"cancel", "cancelled", "Fine-tuning job was cancelled"},
            {"pause", "paused", "Fine-tuning job was paused"},
            {"resume", "queued", "Fine-tuning job was resumed"}};

static int check_act(struct ft_ctl_call *c, const json_t *body, const char *word, const char *id)
{
    const char *status = ft_ctl_text(body, "status");
    bool paused = strcmp(status, "paused") == 0;
    if (!ft_tune_has_ended(body) &&
        (strcmp(word, "cancel") == 0 || paused == (strcmp(word, "resume") == 0)))
        return 0;
    return ft_ctl_refuse(c, 400, "invalid_state", NULL, "%s: the job %s is in the state '%s'", word,
                         id, status);
}

int ft_ctl_tune_act(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    struct ft_ctl_entity e = {0};
    size_t i = 0;
    const char *word = split(c, id);
    while (i < FT_COUNT(acts) && strcmp(acts[i].word, word) != 0)
        i++;
    if (i == FT_COUNT(acts))
        return unknown(c);
    int rc = fetch(c, tx, id, &e, err);
    if (rc == 0)
        rc = check_act(c, e.body, word, id);
    if (rc == 0) {
        json_t *body = json_deep_copy(e.body);
        json_object_set_new(body, "status", json_string(acts[i].status));
        json_object_del(body, "error"); /* that it waits for its budget: the runner sees anew */
        if (i == 0)
            json_object_set_new(body, "finished", json_integer(c->now_s));
        rc = ft_tune_put(c, tx, id, e.body, body, err);
        if (rc == 0)
            rc = ft_tune_note(tx, id, c->now_s, "info", "message", acts[i].said, NULL, err);
        if (rc == 0)
            ft_ctl_answer(c, 200, ft_tune_view(id, body));
        c->after = wake;
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

/* ---- results that go ---- */

struct going {
    const char *name;
    json_t *rows; /* [[name, body]] */
};

/* The model itself, and its checkpoints. */
static int goes(void *ctx, const char *id, json_t *body)
{
    struct going *g = ctx;
    if (strcmp(id, g->name) == 0 || ft_tune_is_checkpoint_of(id, g->name))
        json_array_append_new(g->rows, json_pack("[s,O]", id, body));
    return 0;
}

static int drop_endpoint(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *name,
                         const json_t *model, struct ft_err *err)
{
    char id[264];
    struct ft_ctl_entity e = {0};
    snprintf(id, sizeof id, "%s@%s", name, ft_ctl_text(model, "project"));
    int rc = ft_ctl_get(tx, "endpoint", id, &e, err);
    if (rc > 0)
        rc = ft_ctl_drop(c, tx, "endpoint", id, e.body, err);
    ft_ctl_entity_fini(&e);
    return rc;
}

static void remove_adapters(struct ft_ctl_call *c)
{
    size_t i;
    const json_t *row;
    json_array_foreach(c->found, i, row)
        ft_folder_remove_all(ft_ctl_text(json_array_get(row, 1), "path"));
}

int ft_ctl_tune_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct going g = {c->id, json_array()};
    const struct ft_ctl_scan own = {.kind = "model", .project = c->project};
    size_t i;
    json_t *row;
    int rc = ft_ctl_scan(tx, &own, goes, &g, err);
    json_decref(c->found);
    c->found = g.rows;
    if (rc == 0 && strncmp(c->id, "ft:", 3) != 0)
        return ft_ctl_refuse(c, 400, "invalid_value", "model",
                             "model: results of fine-tuning are deleted here; others are "
                             "operators' (feitian model rm)");
    if (rc == 0 && json_array_size(g.rows) == 0)
        return ft_ctl_refuse(c, 404, "model_not_found", "model",
                             "The model '%.96s' does not exist or you do not have access to it.",
                             c->id);
    json_array_foreach(g.rows, i, row)
    {
        const char *name = json_string_value(json_array_get(row, 0));
        if (rc == 0)
            rc = drop_endpoint(c, tx, name, json_array_get(row, 1), err);
        if (rc == 0)
            rc = ft_ctl_drop(c, tx, "model", name, json_array_get(row, 1), err);
    }
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("model", c->id));
    c->after = remove_adapters;
    return rc;
}
