/* Sessions: begun with a key or a password, renewed by use, ended.
 *
 * One that has ended stays as a row with "ended" until its time would have been over: gateways hear
 * of it by the feed. Then row and entity go for good, a few with every sign-in, so that neither
 * grows with the years; a gateway that still has such a row knows by itself that it is over. */
#include "control/admin/sign_in.h"

#include <stdio.h>
#include <string.h>

#define GONE_AFTER_S 3600 /* clocks differ */
#define RENEW_S      60   /* less is not worth a write */

static const struct ft_migration migrations[] = {
    {1, "logins and sessions",
     "CREATE TABLE sign_in (login TEXT NOT NULL PRIMARY KEY, member TEXT NOT NULL UNIQUE,"
     " hash TEXT, key TEXT);"
     "CREATE TABLE session (id TEXT NOT NULL PRIMARY KEY, parent TEXT, member TEXT,"
     " created BIGINT NOT NULL, expires BIGINT NOT NULL);"
     "CREATE INDEX session_parent ON session (parent, created);"
     "CREATE INDEX session_member ON session (member);"
     "CREATE INDEX session_expires ON session (expires);"},
};

int ft_ctl_sign_in_migrate(struct ft_state *s, struct ft_err *err)
{
    return ft_state_migrate(s, "sign_in", migrations, FT_COUNT(migrations), err);
}

/* ---- ending ---- */

static bool is_live(const json_t *body, int64_t now_s)
{
    return !ft_ctl_has(body, "ended") && ft_ctl_int(body, "expires", 0) > now_s;
}

static int end_one(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                   struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "session", id, &e, err);
    if (rc <= 0 || !is_live(e.body, c->now_s)) {
        ft_ctl_entity_fini(&e);
        return FT_MIN(rc, 0);
    }
    json_t *body = json_deep_copy(e.body);
    json_object_set_new(body, "ended", json_integer(c->now_s));
    rc = ft_ctl_put_quiet(tx, "session", id, body, err);
    if (rc == 0)
        rc = ft_ctl_note(c, tx, "session", id, e.body, NULL, err);
    if (rc == 0)
        rc = ft_state_exec(tx, "UPDATE session SET parent = NULL, member = NULL WHERE id = $1",
                           FT_ARGS(ft_sql_text(id)), NULL, err);
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

/* Ids of up to CTL_SESSIONS_OF_KEY + 1 sessions that a query finds. */
static int collect(struct ft_state_rows *r, json_t *ids, struct ft_err *err)
{
    int rc;
    while ((rc = ft_rows_step(r, err)) > 0)
        json_array_append_new(ids, json_string(ft_rows_text(r, 0).p));
    ft_rows_close(r);
    return rc;
}

static int end_all(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *ids,
                   const char *except, struct ft_err *err)
{
    size_t i;
    json_t *id;
    int rc = 0;
    json_array_foreach(ids, i, id)
    {
        if (rc == 0 && (except == NULL || strcmp(json_string_value(id), except) != 0))
            rc = end_one(c, tx, json_string_value(id), err);
    }
    return rc;
}

/* Those that the statement finds by its one argument. */
static int end_found(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *sql,
                     const char *arg, const char *except, struct ft_err *err)
{
    struct ft_state_rows *r;
    json_t *ids = json_array();
    int rc = ft_state_query(tx, sql, FT_ARGS(ft_sql_text(arg)), &r, err);
    if (rc == 0)
        rc = collect(r, ids, err);
    if (rc == 0)
        rc = end_all(c, tx, ids, except, err);
    json_decref(ids);
    return rc;
}

int ft_ctl_sessions_end_of_key(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *key,
                               struct ft_err *err)
{
    return end_found(c, tx, "SELECT id FROM session WHERE parent = $1", key, NULL, err);
}

int ft_ctl_sessions_end_of_member(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *member,
                                  const char *except, struct ft_err *err)
{
    return end_found(c, tx, "SELECT id FROM session WHERE member = $1", member, except, err);
}

/* ---- beginning ---- */

/* What is over for good, a few at a time. */
static int sweep(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_state_rows *r;
    json_t *ids = json_array(), *id;
    size_t i;
    int rc = ft_state_query(
        tx, "SELECT id FROM session WHERE expires < $1 ORDER BY expires LIMIT $2",
        FT_ARGS(ft_sql_int(c->now_s - GONE_AFTER_S), ft_sql_int(CTL_SESSIONS_SWEPT)), &r, err);
    if (rc == 0)
        rc = collect(r, ids, err);
    json_array_foreach(ids, i, id)
    {
        const char *text = json_string_value(id);
        if (rc == 0)
            rc = ft_state_exec(tx, "DELETE FROM entity WHERE kind = 'session' AND id = $1",
                               FT_ARGS(ft_sql_text(text)), NULL, err);
        if (rc == 0)
            rc = ft_state_exec(tx, "DELETE FROM session WHERE id = $1", FT_ARGS(ft_sql_text(text)),
                               NULL, err);
    }
    json_decref(ids);
    return rc;
}

/* A key's oldest sessions end where there would be too many. */
static int make_room(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *key,
                     struct ft_err *err)
{
    struct ft_state_rows *r;
    json_t *ids = json_array();
    int rc = ft_state_query(
        tx,
        "SELECT id FROM session WHERE parent = $1 AND expires > $2"
        " ORDER BY created DESC, id LIMIT 1000 OFFSET $3",
        FT_ARGS(ft_sql_text(key), ft_sql_int(c->now_s), ft_sql_int(CTL_SESSIONS_OF_KEY - 1)), &r,
        err);
    if (rc == 0)
        rc = collect(r, ids, err);
    if (rc == 0)
        rc = end_all(c, tx, ids, NULL, err);
    json_decref(ids);
    return rc;
}

/* How long it lasts from now: not longer than its key, and than any may. */
static int64_t until(int64_t now_s, int64_t created, const json_t *key)
{
    int64_t end = FT_MIN(now_s + CTL_SESSION_S, created + CTL_SESSION_MOST_S);
    int64_t of_key = ft_ctl_int(key, "expires", 0);
    return of_key != 0 ? FT_MIN(end, of_key) : end;
}

/* Who it is, as the answer says it. role: the lesser of the key's and the member's. */
static json_t *answer_of(const char *id, const struct ft_ctl_entity *key,
                         const struct ft_ctl_entity *project, const struct ft_ctl_entity *member,
                         int64_t expires)
{
    enum ft_ctl_role role = ft_ctl_role_of(ft_ctl_text(key->body, "role"));
    json_t *who = json_null();
    if (member->body != NULL) {
        role = FT_MIN(role, ft_ctl_role_of(ft_ctl_text(member->body, "role")));
        who = json_pack("{s:s,s:s}", "id", member->id, "name", ft_ctl_text(member->body, "name"));
    }
    return json_pack("{s:s,s:s,s:s,s:{s:s,s:s?},s:o,s:s,s:I}", "object", "session", "id", id,
                     "role", ft_ctl_role_name[role], "project", "id", project->id, "name",
                     ft_ctl_text(project->body, "name"), "member", who, "key", key->id, "expires",
                     (json_int_t)expires);
}

static int insert(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                  const struct ft_ctl_entity *key, bool by_password, int64_t expires,
                  struct ft_err *err)
{
    char hash[65];
    const char *member = ft_ctl_text(key->body, "member");
    int rc = ft_ctl_secret_new(c->cookie, err);
    if (rc != 0)
        return rc;
    memcpy(c->cookie, "se", 2); /* none that could be taken for a key */
    ft_ctl_secret_hash(c->cookie, hash);
    json_t *body = json_pack("{s:s,s:s,s:s?,s:s,s:s,s:I,s:I,s:I,s:s,s:s}", "project",
                             ft_ctl_text(key->body, "project"), "parent", key->id, "member", member,
                             "hash", hash, "by", by_password ? "password" : "key", "created",
                             (json_int_t)c->now_s, "used", (json_int_t)c->now_s, "expires",
                             (json_int_t)expires, "address", c->address, "agent", c->agent);
    rc = ft_ctl_put(c, tx, "session", id, NULL, body, err);
    json_decref(body);
    if (rc != 0)
        return rc;
    return ft_state_exec(
        tx,
        "INSERT INTO session (id, parent, member, created, expires) VALUES ($1, $2, $3, $4, $5)",
        FT_ARGS(ft_sql_text(id), ft_sql_text(key->id), ft_sql_text(member), ft_sql_int(c->now_s),
                ft_sql_int(expires)),
        NULL, err);
}

int ft_ctl_refuse_sign_in(struct ft_ctl_call *c)
{
    return ft_ctl_refuse(c, 401, "invalid_sign_in", NULL,
                         "the key, or the login with the password, is not right");
}

/* The key that was shown (the gateway has seen it), or that of who gave the password. The caller is
 * who it is from then on. */
static int who_signs_in(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_ctl_entity *key,
                        struct ft_err *err)
{
    const char *login = ft_ctl_text(c->found, "login");
    int rc = 1;
    if (login != NULL) {
        struct ft_ctl_login l = {.hash = ""};
        rc = ft_ctl_login_get(tx, login, NULL, &l, err);
        if (rc > 0 && (l.hash[0] == '\0' || strcmp(l.hash, ft_ctl_text(c->found, "hash")) != 0))
            rc = 0; /* changed meanwhile */
        if (rc > 0)
            snprintf(c->key, sizeof c->key, "%s", l.key);
    }
    if (rc > 0)
        rc = ft_ctl_get(tx, "key", c->key, key, err);
    int64_t expires = ft_ctl_int(key->body, "expires", 0);
    if (rc < 0)
        return rc;
    return rc > 0 && (expires == 0 || expires > c->now_s) ? 0 : ft_ctl_refuse_sign_in(c);
}

int ft_ctl_session_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity key = {0}, member = {0}, project = {0};
    char id[CTL_ID_MAX];
    int rc = who_signs_in(c, tx, &key, err);
    const char *of = ft_ctl_text(key.body, "member"), *in = ft_ctl_text(key.body, "project");
    if (rc == 0 && of != NULL)
        rc = FT_MIN(ft_ctl_get(tx, "member", of, &member, err), 0);
    if (rc == 0 && of != NULL && member.body == NULL)
        rc = ft_ctl_refuse_sign_in(c);
    if (rc == 0)
        rc = FT_MIN(ft_ctl_get(tx, "project", in != NULL ? in : "", &project, err), 0);
    if (rc == 0 && project.body == NULL)
        rc = ft_ctl_refuse_sign_in(c);
    if (rc == 0)
        rc = sweep(c, tx, err);
    if (rc == 0)
        rc = make_room(c, tx, key.id, err);
    if (rc == 0)
        rc = ft_ctl_id_new("sess_", id, err);
    if (rc == 0) {
        int64_t expires = until(c->now_s, c->now_s, key.body);
        json_t *answer = answer_of(id, &key, &project, &member, expires);
        c->role = ft_ctl_role_of(ft_ctl_text(answer, "role")); /* for the audit log */
        snprintf(c->project, sizeof c->project, "%.64s", project.id);
        rc = insert(c, tx, id, &key, c->found != NULL, expires, err);
        ft_ctl_answer(c, 201, answer);
    }
    ft_ctl_entity_fini(&key);
    ft_ctl_entity_fini(&member);
    ft_ctl_entity_fini(&project);
    return rc;
}

/* ---- use ---- */

static int put_off(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *session,
                   const json_t *key, struct ft_err *err)
{
    int64_t end = until(c->now_s, ft_ctl_int(session, "created", 0), key);
    if (end < ft_ctl_int(session, "expires", 0) + RENEW_S)
        return 0; /* the end of its key, or of all its time, is near */
    json_object_set_new(session, "used", json_integer(c->now_s));
    json_object_set_new(session, "expires", json_integer(end));
    int rc = ft_ctl_put_quiet(tx, "session", c->id, session, err);
    if (rc != 0)
        return rc;
    return ft_state_exec(tx, "UPDATE session SET expires = $2 WHERE id = $1",
                         FT_ARGS(ft_sql_text(c->id), ft_sql_int(end)), NULL, err);
}

/* The gateway's word that it is in use. Not an event: people do not ask for it. */
int ft_ctl_session_renew(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0}, key = {0};
    int rc = ft_ctl_get(tx, "session", c->id, &e, err);
    if (rc > 0)
        rc = is_live(e.body, c->now_s)
                 ? ft_ctl_get(tx, "key", ft_ctl_text(e.body, "parent"), &key, err)
                 : 0;
    if (rc > 0)
        rc = put_off(c, tx, e.body, key.body, err);
    else if (rc == 0)
        rc = ft_ctl_missing(c, "session", c->id);
    if (rc == 0)
        ft_ctl_answer(c, 200, json_object());
    ft_ctl_entity_fini(&key);
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_session_end(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    if (c->session[0] == '\0')
        return ft_ctl_refuse(c, 400, "no_session", NULL,
                             "this request is not a session's: a key is removed with DELETE "
                             "/api/v1/keys/ID");
    int rc = end_one(c, tx, c->session, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("session", c->session));
    return rc;
}

/* ---- lists ---- */

static json_t *view_session(const char *id, const json_t *body)
{
    const char *member = ft_ctl_text(body, "member");
    return json_pack("{s:s,s:s,s:s,s:s,s:s?,s:s,s:I,s:I,s:I,s:s,s:s}", "id", id, "object",
                     "session", "project", ft_ctl_text(body, "project"), "key",
                     ft_ctl_text(body, "parent"), "member", member, "by", ft_ctl_text(body, "by"),
                     "created", (json_int_t)ft_ctl_int(body, "created", 0), "used",
                     (json_int_t)ft_ctl_int(body, "used", 0), "expires",
                     (json_int_t)ft_ctl_int(body, "expires", 0), "address",
                     ft_ctl_text(body, "address"), "agent", ft_ctl_text(body, "agent"));
}

struct mine {
    struct ft_ctl_call *c;
    char member[CTL_ID_MAX + 1];
};

/* Live, and the caller's: of its key, its member; admins see their project's (the list is of it).
 */
static bool is_shown(void *ctx, const json_t *body)
{
    const struct mine *m = ctx;
    const char *member = ft_ctl_text(body, "member");
    if (!is_live(body, m->c->now_s))
        return false;
    return m->c->role >= CTL_ADMIN || strcmp(ft_ctl_text(body, "parent"), m->c->key) == 0 ||
           (member != NULL && m->member[0] != '\0' && strcmp(member, m->member) == 0);
}

int ft_ctl_sessions_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct mine m = {.c = c};
    const char *project;
    size_t i;
    json_t *one;
    int rc = ft_ctl_project_filter(c, &project);
    if (rc == 0)
        rc = ft_ctl_own_member(c, tx, m.member, err);
    if (rc == 0)
        rc = ft_ctl_list(c, tx, "session", project, false, view_session, is_shown, &m, err);
    if (rc != 0)
        return rc;
    json_array_foreach(json_object_get(c->answer, "data"), i, one)
    {
        bool current = strcmp(ft_ctl_text(one, "id"), c->session) == 0;
        json_object_set_new(one, "current", json_boolean(current));
    }
    return 0;
}

int ft_ctl_sessions_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct mine m = {.c = c};
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_own_member(c, tx, m.member, err);
    if (rc == 0)
        rc = ft_ctl_fetch(c, tx, "session", &e, err);
    if (rc == 0 && !is_shown(&m, e.body))
        rc = ft_ctl_missing(c, "session", c->id);
    if (rc == 0)
        rc = end_one(c, tx, e.id, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("session", e.id));
    ft_ctl_entity_fini(&e);
    return rc;
}
