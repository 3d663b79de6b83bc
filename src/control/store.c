/* Entities and events in the store.
 *
 * An entity is a row with a JSON body; every change of one bears the number of its transaction and
 * leaves an event behind, so the feed and the audit log cannot miss any. What was deleted stays as
 * a row without a body: those who follow the feed have to hear of it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "control/inner.h"

static const struct ft_migration migrations[] = {
    {1, "entities, events, responses",
     "CREATE TABLE entity (kind TEXT NOT NULL, id TEXT NOT NULL, project TEXT, body TEXT,"
     " seq BIGINT NOT NULL, PRIMARY KEY (kind, id));"
     "CREATE INDEX entity_seq ON entity (seq);"
     "CREATE TABLE event (seq BIGINT NOT NULL, n BIGINT NOT NULL, at_ms BIGINT NOT NULL,"
     " project TEXT, kind TEXT NOT NULL, target TEXT NOT NULL, action TEXT NOT NULL,"
     " actor_key TEXT, actor_project TEXT, actor_role TEXT NOT NULL, actor_member TEXT,"
     " body_before TEXT, body_after TEXT, request_id TEXT, PRIMARY KEY (seq, n));"
     "CREATE INDEX event_project ON event (project, seq);"
     "CREATE TABLE response (project TEXT NOT NULL, id TEXT NOT NULL, created BIGINT NOT NULL,"
     " document TEXT NOT NULL, PRIMARY KEY (project, id));"
     "CREATE INDEX response_created ON response (project, created);"},
    {2, "what removed projects leave (leftover.h)",
     "CREATE TABLE leftover (project TEXT PRIMARY KEY, next BIGINT NOT NULL, looks BIGINT NOT NULL,"
     " adapters TEXT NOT NULL);"},
};

int ft_ctl_store_migrate(struct ft_state *s, struct ft_err *err)
{
    return ft_state_migrate(s, "control", migrations, FT_COUNT(migrations), err);
}

void ft_ctl_entity_fini(struct ft_ctl_entity *e)
{
    json_decref(e->body);
    e->body = NULL;
}

static int parse_body(const char *kind, const char *id, struct ft_slice text, json_t **ret,
                      struct ft_err *err)
{
    json_error_t why;
    json_t *body = json_loadb(text.p, text.n, 0, &why);
    if (body == NULL)
        return ft_err_set(err, FT_ECORRUPT, "state store: %s %s: %s", kind, id, why.text);
    *ret = body;
    return 0;
}

int ft_ctl_get(struct ft_state_tx *tx, const char *kind, const char *id, struct ft_ctl_entity *ret,
               struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT body, seq FROM entity WHERE kind = $1 AND id = $2"
                            " AND body IS NOT NULL",
                            FT_ARGS(ft_sql_text(kind), ft_sql_text(id)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        json_t *body = NULL;
        int bad = parse_body(kind, id, ft_rows_text(r, 0), &body, err);
        if (bad != 0) {
            rc = bad;
        } else {
            snprintf(ret->id, sizeof ret->id, "%s", id);
            ret->body = body;
            ret->seq = ft_rows_int(r, 1);
        }
    }
    ft_rows_close(r);
    return rc;
}

int ft_ctl_was(struct ft_state_tx *tx, const char *kind, const char *id, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT 1 FROM entity WHERE kind = $1 AND id = $2 AND body IS NULL",
                            FT_ARGS(ft_sql_text(kind), ft_sql_text(id)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    ft_rows_close(r);
    return rc;
}

int ft_ctl_scan(struct ft_state_tx *tx, const struct ft_ctl_scan *scan, ft_ctl_scan_fn *fn,
                void *ctx, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(
        tx,
        "SELECT id, body FROM entity WHERE kind = $1 AND body IS NOT NULL AND id > $2"
        " AND (CAST($3 AS TEXT) IS NULL OR project = $3 OR (project IS NULL AND $4 = 1))"
        " ORDER BY id LIMIT $5",
        FT_ARGS(ft_sql_text(scan->kind), ft_sql_text(scan->after != NULL ? scan->after : ""),
                ft_sql_text(scan->project), ft_sql_int(scan->shared),
                ft_sql_int(scan->limit > 0 ? scan->limit : INT64_MAX)),
        &r, err);
    if (rc != 0)
        return rc;
    while ((rc = ft_rows_step(r, err)) > 0) {
        json_t *body;
        const char *id = ft_rows_text(r, 0).p;
        rc = parse_body(scan->kind, id, ft_rows_text(r, 1), &body, err);
        if (rc != 0)
            break;
        rc = fn(ctx, id, body);
        json_decref(body);
        if (rc != 0)
            break;
    }
    ft_rows_close(r);
    return rc > 0 ? 0 : rc;
}

int ft_ctl_fetch(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind,
                 struct ft_ctl_entity *ret, struct ft_err *err)
{
    int rc = ft_ctl_get(tx, kind, c->id, ret, err);
    if (rc < 0)
        return rc;
    const char *project = strcmp(kind, "project") == 0 ? c->id : ft_ctl_text(ret->body, "project");
    if (rc == 0 || !ft_ctl_sees(c, project)) {
        ft_ctl_entity_fini(ret);
        return ft_ctl_missing(c, kind, c->id);
    }
    return 0;
}

/* ---- changes ---- */

json_t *ft_ctl_public(const char *kind, const json_t *body)
{
    json_t *copy = json_deep_copy(body);
    if (strcmp(kind, "key") == 0 || strcmp(kind, "session") == 0)
        json_object_del(copy, "hash");
    if (strcmp(kind, "channel") == 0) {
        json_object_set_new(copy, "has_secret", json_boolean(ft_ctl_has(copy, "secret")));
        json_object_del(copy, "secret");
    }
    if (strcmp(kind, "setting") == 0 && json_is_object(json_object_get(copy, "smtp"))) {
        json_t *smtp = json_object_get(copy, "smtp");
        json_object_set_new(smtp, "has_password", json_boolean(ft_ctl_has(smtp, "password")));
        json_object_del(smtp, "password");
    }
    if (strcmp(kind, "endpoint") == 0) {
        size_t i;
        json_t *target;
        json_array_foreach(json_object_get(copy, "targets"), i, target)
        {
            if (json_is_string(json_object_get(target, "key")))
                json_object_set_new(target, "has_key", json_true());
            json_object_del(target, "key");
        }
    }
    return copy;
}

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static char *public_text(const char *kind, const json_t *body)
{
    if (body == NULL)
        return NULL;
    json_t *copy = ft_ctl_public(kind, body);
    char *text = json_dumps(copy, JSON_COMPACT);
    json_decref(copy);
    return text;
}

int ft_ctl_note(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                const json_t *before, const json_t *after, struct ft_err *err)
{
    int64_t seq;
    struct ft_ctl_entity actor = {0};
    char action[64];
    const char *what = before == NULL ? "create" : after == NULL ? "delete" : "update";
    const char *project = ft_ctl_text(after != NULL ? after : before, "project");
    if (strcmp(kind, "project") == 0)
        project = id;
    snprintf(action, sizeof action, "%s.%s", kind, what);
    int rc = ft_state_seq_next(tx, &seq, err);
    if (rc == 0 && c->key[0] != '\0')
        rc = ft_ctl_get(tx, "key", c->key, &actor, err);
    if (rc < 0)
        return rc;
    char *old = public_text(kind, before), *new = public_text(kind, after);
    rc = ft_state_exec(
        tx,
        "INSERT INTO event (seq, n, at_ms, project, kind, target, action, actor_key,"
        " actor_project, actor_role, actor_member, body_before, body_after, request_id)"
        " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)",
        FT_ARGS(ft_sql_int(seq), ft_sql_int(c->n_events++), ft_sql_int(now_ms()),
                ft_sql_text(project), ft_sql_text(kind), ft_sql_text(id), ft_sql_text(action),
                ft_sql_text(c->key[0] != '\0' ? c->key : NULL),
                ft_sql_text(c->project[0] != '\0' ? c->project : NULL),
                ft_sql_text(c->role == CTL_NOBODY ? "system" : ft_ctl_role_name[c->role]),
                ft_sql_text(ft_ctl_text(actor.body, "member")), ft_sql_text(old), ft_sql_text(new),
                ft_sql_text(c->request_id[0] != '\0' ? c->request_id : NULL)),
        NULL, err);
    free(old);
    free(new);
    ft_ctl_entity_fini(&actor);
    return rc;
}

static int write_row(struct ft_state_tx *tx, const char *kind, const char *id, const char *project,
                     const char *body, struct ft_err *err)
{
    int64_t seq;
    int rc = ft_state_seq_next(tx, &seq, err);
    if (rc != 0)
        return rc;
    return ft_state_exec(
        tx,
        "INSERT INTO entity (kind, id, project, body, seq) VALUES ($1, $2, $3, $4, $5)"
        " ON CONFLICT (kind, id) DO UPDATE SET project = excluded.project, body = excluded.body,"
        " seq = excluded.seq",
        FT_ARGS(ft_sql_text(kind), ft_sql_text(id), ft_sql_text(project), ft_sql_text(body),
                ft_sql_int(seq)),
        NULL, err);
}

int ft_ctl_put_quiet(struct ft_state_tx *tx, const char *kind, const char *id, const json_t *body,
                     struct ft_err *err)
{
    char *text = json_dumps(body, JSON_COMPACT);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    int rc = write_row(tx, kind, id, ft_ctl_text(body, "project"), text, err);
    free(text);
    return rc;
}

int ft_ctl_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
               const json_t *before, json_t *body, struct ft_err *err)
{
    if (before != NULL && json_equal(before, body))
        return 0; /* nothing is changed, so nothing is said */
    int rc = ft_ctl_put_quiet(tx, kind, id, body, err);
    return rc == 0 ? ft_ctl_note(c, tx, kind, id, before, body, err) : rc;
}

int ft_ctl_drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind, const char *id,
                const json_t *before, struct ft_err *err)
{
    int rc = write_row(tx, kind, id, ft_ctl_text(before, "project"), NULL, err);
    return rc == 0 ? ft_ctl_note(c, tx, kind, id, before, NULL, err) : rc;
}

int ft_ctl_setting(struct ft_state_tx *tx, const char *name, char *ret, size_t n,
                   struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "setting", name, &e, err);
    const char *value = ft_ctl_text(e.body, name);
    snprintf(ret, n, "%s", value != NULL ? value : "");
    ft_ctl_entity_fini(&e);
    return rc < 0 ? rc : 0;
}

/* ---- lists ---- */

json_t *ft_ctl_page(json_t *data, bool has_more)
{
    size_t n = json_array_size(data);
    json_t *first = n > 0 ? json_object_get(json_array_get(data, 0), "id") : NULL;
    json_t *last = n > 0 ? json_object_get(json_array_get(data, n - 1), "id") : NULL;
    return json_pack("{s:s,s:o,s:O?,s:O?,s:b}", "object", "list", "data", data, "first_id", first,
                     "last_id", last, "has_more", has_more);
}

json_t *ft_ctl_deleted(const char *kind, const char *id)
{
    return json_pack("{s:s,s:s,s:b}", "id", id, "object", kind, "deleted", 1);
}

struct listing {
    int64_t limit;
    bool has_more;
    json_t *data;
    ft_ctl_view_fn *view;
    bool (*keep)(void *ctx, const json_t *body);
    void *ctx;
};

static int list_one(void *ctx, const char *id, json_t *body)
{
    struct listing *l = ctx;
    if (l->keep != NULL && !l->keep(l->ctx, body))
        return 0;
    if ((int64_t)json_array_size(l->data) == l->limit) {
        l->has_more = true;
        return 1;
    }
    json_array_append_new(l->data, l->view(id, body));
    return 0;
}

int ft_ctl_list(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *kind,
                const char *project, bool shared, ft_ctl_view_fn *view,
                bool (*keep)(void *ctx, const json_t *body), void *ctx, struct ft_err *err)
{
    struct listing l = {.limit = ft_ctl_int(c->params, "limit", CTL_LIST_DEFAULT),
                        .data = json_array(),
                        .view = view,
                        .keep = keep,
                        .ctx = ctx};
    struct ft_ctl_scan scan = {.kind = kind,
                               .project = project,
                               .after = ft_ctl_text(c->params, "after"),
                               .shared = shared,
                               .limit = keep == NULL ? (int)l.limit + 1 : 0};
    int rc = ft_ctl_scan(tx, &scan, list_one, &l, err);
    if (rc != 0) {
        json_decref(l.data);
        return rc;
    }
    return ft_ctl_answer(c, 200, ft_ctl_page(l.data, l.has_more));
}

/* ---- what people see ---- */

/* An object of the members named, null for those that are missing, behind id and object. */
static json_t *view(const char *kind, const char *id, const json_t *body, const char *const *names)
{
    json_t *o = json_pack("{s:s,s:s}", "id", id, "object", kind);
    for (; *names != NULL; names++) {
        json_t *v = json_object_get(body, *names);
        json_object_set_new(o, *names, v != NULL ? json_incref(v) : json_null());
    }
    return o;
}

json_t *ft_ctl_view_project(const char *id, const json_t *body)
{
    static const char *const names[] = {"name", "limits", "budget", "weight", "created", NULL};
    json_t *o = view("project", id, body, names);
    bool logs = json_is_true(json_object_get(body, "log_prompts"));
    json_object_set_new(o, "log_prompts", json_boolean(logs));
    return o;
}

json_t *ft_ctl_view_member(const char *id, const json_t *body)
{
    static const char *const names[] = {"project",          "name", "login", "role", "created",
                                        "password_changed", NULL};
    return view("member", id, body, names);
}

json_t *ft_ctl_view_key(const char *id, const json_t *body)
{
    static const char *const names[] = {"project", "name",       "member", "role",   "prefix",
                                        "models",  "actions",    "limits", "budget", "expires",
                                        "created", "created_by", NULL};
    json_t *o = view("key", id, body, names);
    const char *kind = ft_ctl_text(body, "kind");
    json_object_set_new(o, "kind", json_string(kind != NULL ? kind : "key"));
    return o;
}

json_t *ft_ctl_view_price(const char *id, const json_t *body)
{
    static const char *const names[] = {"model",  "input",   "cached_input",
                                        "output", "created", NULL};
    return view("price", id, body, names);
}

json_t *ft_ctl_view_model(const char *id, const json_t *body)
{
    static const char *const names[] = {"name",   "path",    "adapter_of", "format", "arch",
                                        "params", "bytes",   "n_ctx",      "tasks",  "sha256",
                                        "hub",    "created", NULL};
    return view("model", id, body, names);
}

json_t *ft_ctl_view_endpoint(const char *id, const json_t *body)
{
    static const char *const names[] = {"name",   "project", "targets", "replicas", "target_load",
                                        "idle_s", "n_ctx",   "created", NULL};
    json_t *shown = ft_ctl_public("endpoint", body), *o = view("endpoint", id, shown, names);
    json_decref(shown);
    return o;
}
