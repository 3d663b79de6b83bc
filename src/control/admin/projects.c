/* Projects and their members. */
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/admin/sign_in.h"
#include "control/batch/batch.h"
#include "control/inner.h"
#include "control/leftover.h"
#include "control/tune/tune.h"

#define OWNED_MAX 100000 /* entities that go with a project */

/* ---- projects ---- */

/* The name itself where it has the form of an id (the document's pattern), else one is drawn. */
static int project_id(struct ft_ctl_call *c, char ret[CTL_ID_MAX], struct ft_err *err)
{
    const char *id = ft_ctl_text(c->body, "id"), *name = ft_ctl_text(c->body, "name");
    regex_t re;
    if (id == NULL && regcomp(&re, "^[a-z0-9][a-z0-9_-]{0,47}$", REG_EXTENDED | REG_NOSUB) == 0) {
        if (regexec(&re, name, 0, NULL, 0) == 0)
            id = name;
        regfree(&re);
    }
    if (id == NULL)
        return ft_ctl_id_new("proj_", ret, err);
    snprintf(ret, CTL_ID_MAX, "%s", id);
    return 0;
}

int ft_ctl_projects_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    struct ft_ctl_entity old = {0};
    int rc = project_id(c, id, err);
    if (rc == 0)
        rc = ft_ctl_get(tx, "project", id, &old, err);
    ft_ctl_entity_fini(&old);
    if (rc > 0)
        return ft_ctl_refuse(c, 409, "already_exists", "id", "id: there is a project '%s' already",
                             id);
    if (rc == 0)
        rc = ft_ctl_was(tx, "project", id, err);
    if (rc > 0) /* its objects, files and repositories outlive it, and go by its id */
        return ft_ctl_refuse(c, 409, "already_exists", "id",
                             "id: '%s' was another project's, whose objects and usage go by it: "
                             "give another id",
                             id);
    if (rc < 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    json_object_del(body, "id");
    if (!ft_ctl_has(body, "weight"))
        json_object_set_new(body, "weight", json_real(1));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = ft_ctl_put(c, tx, "project", id, NULL, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 201, ft_ctl_view_project(id, body));
    json_decref(body);
    return rc;
}

int ft_ctl_projects_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    if (c->role == CTL_OPERATOR)
        return ft_ctl_list(c, tx, "project", NULL, false, ft_ctl_view_project, NULL, NULL, err);
    struct ft_ctl_entity own = {0};
    const char *after = ft_ctl_text(c->params, "after");
    int rc = ft_ctl_get(tx, "project", c->project, &own, err);
    if (rc < 0)
        return rc;
    json_t *data = json_array();
    if (rc > 0 && (after == NULL || strcmp(c->project, after) > 0))
        json_array_append_new(data, ft_ctl_view_project(c->project, own.body));
    ft_ctl_entity_fini(&own);
    return ft_ctl_answer(c, 200, ft_ctl_page(data, false));
}

int ft_ctl_projects_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "project", &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_project(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

/* A project's limits and budget bind its admins: its name, and whether its prompts are kept, are
 * theirs. */
static int admin_patch_allowed(struct ft_ctl_call *c)
{
    const char *name;
    json_t *value;
    json_object_foreach(c->body, name, value)
    {
        bool own = strcmp(name, "name") == 0 || strcmp(name, "log_prompts") == 0;
        if (c->role < CTL_OPERATOR && !own)
            return ft_ctl_refuse(c, 403, "insufficient_permissions", name,
                                 "%s: of a project is changed by operators", name);
    }
    return 0;
}

int ft_ctl_projects_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "project", &e, err);
    if (rc == 0)
        rc = admin_patch_allowed(c);
    if (rc == 0) {
        json_t *body = ft_ctl_merge(e.body, c->body);
        rc = ft_ctl_put(c, tx, "project", e.id, e.body, body, err);
        if (rc == 0)
            ft_ctl_answer(c, 200, ft_ctl_view_project(e.id, body));
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

struct owned {
    json_t *rows; /* [[kind, id, body], ...] */
    const char *kind;
    bool operator_left; /* a lasting operator's key in another project */
    const char *project;
};

static int collect(void *ctx, const char *id, json_t *body)
{
    struct owned *o = ctx;
    const char *project = ft_ctl_text(body, "project");
    if (project == NULL || strcmp(project, o->project) != 0) {
        o->operator_left |= strcmp(o->kind, "key") == 0 && ft_ctl_key_is_lasting_operator(body);
        return 0;
    }
    json_array_append_new(o->rows, json_pack("[s,s,O]", o->kind, id, body));
    return json_array_size(o->rows) > OWNED_MAX ? FT_ELIMIT : 0;
}

static int drop_one(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                    const json_t *body, struct ft_err *err)
{
    int rc = ft_ctl_drop(c, tx, kind, id, body, err);
    if (rc == 0 && strcmp(kind, TUNE_KIND) == 0)
        rc = ft_tune_forget(tx, id, err);
    if (rc == 0 && strcmp(kind, "key") == 0)
        rc = ft_ctl_sessions_end_of_key(c, tx, id, err);
    if (rc == 0 && strcmp(kind, "member") == 0)
        rc = ft_ctl_login_drop(tx, id, err);
    return rc;
}

/* Jobs that ran end, what it kept goes. */
static void wake(struct ft_ctl_call *c)
{
    ft_leftovers_wake(c->ctl->leftovers);
    ft_batches_wake(c->ctl->batches);
    ft_tune_wake(c->ctl->tune);
}

static int drop_owned(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct owned *o,
                      struct ft_err *err)
{
    size_t i;
    json_t *row;
    int rc = 0;
    json_array_foreach(o->rows, i, row)
    {
        if (rc == 0)
            rc = drop_one(c, tx, json_string_value(json_array_get(row, 0)),
                          json_string_value(json_array_get(row, 1)), json_array_get(row, 2), err);
    }
    return rc;
}

static int collect_all(struct ft_state_tx *tx, struct owned *o, struct ft_err *err)
{
    static const char *const kinds[] = {BATCH_KIND, "endpoint", TUNE_KIND,
                                        "key",      "member",   "model"};
    for (size_t i = 0; i < FT_COUNT(kinds); i++) {
        struct ft_ctl_scan scan = {.kind = kinds[i]};
        o->kind = kinds[i];
        int rc = ft_ctl_scan(tx, &scan, collect, o, err);
        if (rc != 0)
            return rc == FT_ELIMIT ? ft_err_set(err, rc, "the project has too much to remove") : rc;
    }
    return 0;
}

/* What its fine-tuning made lies in HOME/adapters; other models' files are operators'. */
static int note_leftover(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct owned *o,
                         struct ft_err *err)
{
    json_t *adapters = json_array();
    size_t i, n = strlen(c->ctl->home);
    json_t *row;
    json_array_foreach(o->rows, i, row)
    {
        const char *kind = json_string_value(json_array_get(row, 0));
        const char *path = ft_ctl_text(json_array_get(row, 2), "path");
        if (strcmp(kind, "model") == 0 && path != NULL && strncmp(path, c->ctl->home, n) == 0 &&
            strncmp(path + n, "/adapters/", 10) == 0)
            json_array_append_new(adapters, json_string(path + n + 1));
    }
    int rc = ft_leftover_note(tx, o->project, adapters, err);
    json_decref(adapters);
    return rc;
}

int ft_ctl_projects_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    struct owned o = {.rows = json_array(), .project = c->id};
    int rc = ft_ctl_fetch(c, tx, "project", &e, err);
    if (rc == 0)
        rc = collect_all(tx, &o, err);
    size_t n = json_array_size(o.rows);
    if (rc == 0 && n > 0 && !json_is_true(json_object_get(c->params, "cascade")))
        rc = ft_ctl_refuse(c, 409, "not_empty", NULL,
                           "the project has keys, members, endpoints, models or jobs (%zu of them, "
                           "such as the %s '%s'); cascade=true removes them too",
                           n, json_string_value(json_array_get(json_array_get(o.rows, 0), 0)),
                           json_string_value(json_array_get(json_array_get(o.rows, 0), 1)));
    if (rc == 0 && !o.operator_left)
        rc = ft_ctl_refuse(c, 409, "last_operator", NULL,
                           "no operator's key that does not expire would be left");
    if (rc == 0)
        rc = drop_owned(c, tx, &o, err);
    if (rc == 0)
        rc = note_leftover(c, tx, &o, err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, "project", e.id, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("project", e.id));
    c->after = wake;
    ft_ctl_entity_fini(&e);
    json_decref(o.rows);
    return rc;
}

/* ---- members ---- */

struct same_name {
    const char *name, *id;
    bool found;
};

static int is_same_name(void *ctx, const char *id, json_t *body)
{
    struct same_name *s = ctx;
    s->found = strcmp(ft_ctl_text(body, "name"), s->name) == 0 &&
               (s->id == NULL || strcmp(id, s->id) != 0);
    return s->found;
}

static int name_is_free(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *project,
                        const char *name, const char *id, struct ft_err *err)
{
    struct same_name s = {.name = name, .id = id};
    struct ft_ctl_scan scan = {.kind = "member", .project = project};
    int rc = ft_ctl_scan(tx, &scan, is_same_name, &s, err);
    if (rc == 0 && s.found)
        rc = ft_ctl_refuse(c, 409, "already_exists", "name",
                           "name: the project has a member '%s' already", name);
    return rc;
}

int ft_ctl_members_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *project;
    int rc = ft_ctl_project_filter(c, &project);
    if (rc != 0)
        return rc;
    return ft_ctl_list(c, tx, "member", project, false, ft_ctl_view_member, NULL, NULL, err);
}

int ft_ctl_members_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX];
    const char *project;
    int rc = ft_ctl_project_for(c, tx, &project, err);
    if (rc == 0)
        rc = name_is_free(c, tx, project, ft_ctl_text(c->body, "name"), NULL, err);
    if (rc == 0)
        rc = ft_ctl_id_new("mem_", id, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    json_object_set_new(body, "project", json_string(project));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = ft_ctl_put(c, tx, "member", id, NULL, body, err);
    if (rc == 0)
        rc = ft_ctl_login_put(c, tx, id, NULL, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 201, ft_ctl_view_member(id, body));
    json_decref(body);
    return rc;
}

int ft_ctl_members_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "member", &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_member(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_members_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "member", &e, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(e.body, c->body);
    rc = name_is_free(c, tx, ft_ctl_text(body, "project"), ft_ctl_text(body, "name"), e.id, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "member", e.id, e.body, body, err);
    if (rc == 0)
        rc = ft_ctl_login_put(c, tx, e.id, e.body, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_member(e.id, body));
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

struct keys_of {
    const char *member;
    json_t *rows;
};

static int collect_key(void *ctx, const char *id, json_t *body)
{
    struct keys_of *k = ctx;
    const char *member = ft_ctl_text(body, "member");
    if (member != NULL && strcmp(member, k->member) == 0)
        json_array_append_new(k->rows, json_pack("[s,s,O]", "key", id, body));
    return 0;
}

int ft_ctl_members_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "member", &e, err);
    if (rc != 0)
        return rc;
    struct keys_of keys = {.member = e.id, .rows = json_array()};
    struct ft_ctl_scan scan = {.kind = "key", .project = ft_ctl_text(e.body, "project")};
    rc = ft_ctl_scan(tx, &scan, collect_key, &keys, err);
    struct owned o = {.rows = keys.rows};
    if (rc == 0)
        rc = drop_owned(c, tx, &o, err);
    if (rc == 0)
        rc = drop_one(c, tx, "member", e.id, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("member", e.id));
    json_decref(keys.rows);
    ft_ctl_entity_fini(&e);
    return rc;
}
