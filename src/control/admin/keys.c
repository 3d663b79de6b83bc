/* Keys: made (and shown once), changed, revoked; and who the caller is.
 *
 * A key never gives more than its maker has: its role is at most the caller's. Developers see every
 * key of their project, and change those of their own: of their member, made by the key they use,
 * or that key itself. One operator's key that may do everything and does not expire is always
 * left. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/decimal.h"
#include "base/glob.h"
#include "control/admin/sign_in.h"
#include "control/inner.h"

static bool same(const char *a, const char *b)
{
    return a != NULL && b != NULL && strcmp(a, b) == 0;
}

struct key_filter {
    const char *member;
};

static bool of_member(void *ctx, const json_t *body)
{
    return same(ft_ctl_text(body, "member"), ((struct key_filter *)ctx)->member);
}

int ft_ctl_keys_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *project;
    struct key_filter f = {ft_ctl_text(c->params, "member")};
    int rc = ft_ctl_project_filter(c, &project);
    if (rc != 0)
        return rc;
    return ft_ctl_list(c, tx, "key", project, false, ft_ctl_view_key,
                       f.member != NULL ? of_member : NULL, &f, err);
}

int ft_ctl_keys_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "key", &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_key(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_own_member(struct ft_ctl_call *c, struct ft_state_tx *tx, char ret[CTL_ID_MAX + 1],
                      struct ft_err *err)
{
    struct ft_ctl_entity me = {0};
    int rc = ft_ctl_get(tx, "key", c->key, &me, err);
    const char *member = ft_ctl_text(me.body, "member");
    snprintf(ret, CTL_ID_MAX + 1, "%s", member != NULL ? member : "");
    ft_ctl_entity_fini(&me);
    return rc < 0 ? rc : 0;
}

static int check_role(struct ft_ctl_call *c, const json_t *body)
{
    enum ft_ctl_role role = ft_ctl_role_of(ft_ctl_text(body, "role"));
    if (role > c->role)
        return ft_ctl_refuse(c, 403, "insufficient_permissions", "role",
                             "role: %s is more than the caller's, %s", ft_ctl_role_name[role],
                             ft_ctl_role_name[c->role]);
    return 0;
}

/* A word that no route asks for would make a key that can do nothing. */
static int check_actions(struct ft_ctl_call *c)
{
    static const char *const known[] = {
        "chat",  "completions",  "embeddings",    "rerank",   "models",
        "usage", "objects.read", "objects.write", "hub.read", "hub.write",
        "files", "batches",      "fine_tuning",   "manage",   "metrics"};
    size_t i;
    json_t *glob;
    json_array_foreach(json_object_get(c->body, "actions"), i, glob)
    {
        char param[32];
        bool any = false;
        /* that of the whole cloud, other projects among it */
        if (strcmp(json_string_value(glob), "metrics") == 0 && c->role < CTL_OPERATOR)
            return ft_ctl_refuse(c, 403, "insufficient_permissions", "actions",
                                 "actions: operators alone give keys 'metrics'");
        for (size_t k = 0; k < FT_COUNT(known); k++)
            any |= ft_glob_match(json_string_value(glob), known[k]);
        snprintf(param, sizeof param, "actions[%zu]", i);
        if (!any)
            return ft_ctl_refuse(c, 400, "invalid_value", param,
                                 "%s: '%s' is none of chat, completions, embeddings, rerank, "
                                 "models, usage, objects.read, objects.write, hub.read, "
                                 "hub.write, files, batches, fine_tuning, manage, metrics",
                                 param, json_string_value(glob));
    }
    return 0;
}

static int check_expires(struct ft_ctl_call *c)
{
    if (ft_ctl_has(c->body, "expires") && ft_ctl_int(c->body, "expires", INT64_MAX) <= c->now_s)
        return ft_ctl_refuse(c, 400, "invalid_value", "expires", "expires: lies in the past");
    return 0;
}

/* ---- within the caller's own key ---- */

static int too_much(struct ft_ctl_call *c, const char *field, const char *name)
{
    char param[FT_OAI_PARAM_MAX];
    snprintf(param, sizeof param, "%s%s%s", field, name[0] != '\0' ? "." : "", name);
    return ft_ctl_refuse(c, 403, "insufficient_permissions", param,
                         "%s: is more than the key has that this is asked with", param);
}

static bool list_within(const json_t *mine, const json_t *wanted)
{
    size_t i, k;
    json_t *want, *have;
    json_array_foreach(wanted, i, want)
    {
        bool found = false;
        json_array_foreach(mine, k, have) found |=
            ft_glob_match(json_string_value(have), json_string_value(want));
        if (!found)
            return false;
    }
    return true;
}

/* Limits are numbers, budgets decimals. */
static bool at_most(const json_t *a, const json_t *b)
{
    int64_t x = json_integer_value(a), y = json_integer_value(b);
    if (json_is_string(a) && json_is_string(b))
        return ft_decimal_parse(json_string_value(a), 9, &x) &&
               ft_decimal_parse(json_string_value(b), 9, &y) && x <= y;
    return json_is_integer(a) && json_is_integer(b) && x <= y;
}

/* The members of `field` that the caller's key has: the wanted one's are at most these. */
static int group_within(struct ft_ctl_call *c, const json_t *mine, json_t *body, const char *field,
                        bool inherit)
{
    const char *name;
    json_t *have, *wanted = json_object_get(body, field);
    json_object_foreach(json_object_get(mine, field), name, have)
    {
        if (json_is_array(have))
            continue; /* warnings bind nobody */
        if (inherit && json_object_get(wanted, name) == NULL) {
            if (wanted == NULL) {
                wanted = json_object();
                json_object_set_new(body, field, wanted);
            }
            json_object_set(wanted, name, have);
        }
        if (!at_most(json_object_get(wanted, name), have))
            return too_much(c, field, name);
    }
    return 0;
}

int ft_ctl_within_own(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *body, bool inherit,
                      struct ft_err *err)
{
    static const char *const lists[] = {"models", "actions"};
    struct ft_ctl_entity me = {0};
    if (c->role == CTL_OPERATOR)
        return 0;
    int rc = ft_ctl_get(tx, "key", c->key, &me, err);
    if (rc <= 0)
        return rc; /* revoked meanwhile: the gateway will not know it any more */
    rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(lists); i++) {
        json_t *mine = json_object_get(me.body, lists[i]);
        if (inherit && !ft_ctl_has(c->body, lists[i]))
            json_object_set(body, lists[i], mine);
        if (!list_within(mine, json_object_get(body, lists[i])))
            rc = too_much(c, lists[i], "");
    }
    if (rc == 0)
        rc = group_within(c, me.body, body, "limits", inherit);
    if (rc == 0)
        rc = group_within(c, me.body, body, "budget", inherit);
    int64_t expires = ft_ctl_int(me.body, "expires", 0);
    if (rc == 0 && expires != 0) {
        if (inherit && !ft_ctl_has(body, "expires"))
            json_object_set_new(body, "expires", json_integer(expires));
        if (ft_ctl_int(body, "expires", INT64_MAX) > expires)
            rc = too_much(c, "expires", "");
    }
    ft_ctl_entity_fini(&me);
    return rc;
}

/* The body's member must be one of the project; a developer's key is the developer's own. */
static int settle_member(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *body,
                         struct ft_err *err)
{
    char own[CTL_ID_MAX + 1];
    struct ft_ctl_entity e = {0};
    const char *asked = ft_ctl_text(body, "member");
    int rc = ft_ctl_own_member(c, tx, own, err);
    if (rc != 0)
        return rc;
    if (c->role == CTL_DEVELOPER) {
        if (asked != NULL && strcmp(asked, own) != 0)
            return ft_ctl_refuse(c, 403, "insufficient_permissions", "member",
                                 "member: a developer makes keys of its own");
        if (own[0] != '\0')
            json_object_set_new(body, "member", json_string(own));
        return 0;
    }
    if (asked == NULL)
        return 0;
    rc = ft_ctl_get(tx, "member", asked, &e, err);
    if (rc == 0 ||
        (rc > 0 && !same(ft_ctl_text(e.body, "project"), ft_ctl_text(body, "project")))) {
        rc = ft_ctl_missing(c, "member", asked);
        snprintf(c->error.param, sizeof c->error.param, "member");
    }
    ft_ctl_entity_fini(&e);
    return rc < 0 ? rc : 0;
}

int ft_ctl_keys_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[CTL_ID_MAX], secret[CTL_SECRET_BYTES];
    const char *project, *role = ft_ctl_text(c->body, "role");
    int rc = ft_ctl_project_for(c, tx, &project, err);
    if (rc == 0)
        rc = check_expires(c);
    if (rc == 0)
        rc = check_actions(c);
    if (rc == 0)
        rc = ft_ctl_id_new("key_", id, err);
    if (rc == 0)
        rc = ft_ctl_secret_new(secret, err);
    if (rc != 0)
        return rc;
    json_t *made = ft_ctl_key_body(project, ft_ctl_text(c->body, "name"),
                                   role != NULL ? role : "developer", secret, c->now_s);
    json_t *body = ft_ctl_merge(made, c->body);
    json_object_set_new(body, "project", json_string(project));
    if (c->key[0] != '\0')
        json_object_set_new(body, "created_by", json_string(c->key));
    rc = check_role(c, body);
    if (rc == 0)
        rc = ft_ctl_within_own(c, tx, body, true, err);
    if (rc == 0)
        rc = settle_member(c, tx, body, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "key", id, NULL, body, err);
    if (rc == 0) {
        json_t *shown = ft_ctl_view_key(id, body);
        json_object_set_new(shown, "secret", json_string(secret));
        ft_ctl_answer(c, 201, shown);
    }
    explicit_bzero(secret, sizeof secret);
    json_decref(made);
    json_decref(body);
    return rc;
}

/* 403 unless the caller may change this key. */
static int check_own(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct ft_ctl_entity *e,
                     struct ft_err *err)
{
    char own[CTL_ID_MAX + 1];
    int rc = ft_ctl_own_member(c, tx, own, err);
    if (rc != 0)
        return rc;
    bool mine = strcmp(e->id, c->key) == 0 || same(ft_ctl_text(e->body, "created_by"), c->key) ||
                (own[0] != '\0' && same(ft_ctl_text(e->body, "member"), own));
    if (c->role == CTL_DEVELOPER && !mine)
        return ft_ctl_refuse(c, 403, "insufficient_permissions", NULL,
                             "a developer changes keys of its own");
    return check_role(c, e->body); /* an admin does not touch an operator's key */
}

static bool is_all(const json_t *list)
{
    return json_array_size(list) == 1 &&
           strcmp(json_string_value(json_array_get(list, 0)), "*") == 0;
}

/* Members are admins at most, and so is a key of one. */
bool ft_ctl_key_is_lasting_operator(const json_t *body)
{
    return ft_ctl_role_of(ft_ctl_text(body, "role")) == CTL_OPERATOR &&
           ft_ctl_text(body, "member") == NULL && is_all(json_object_get(body, "actions")) &&
           json_integer_value(json_object_get(body, "expires")) == 0;
}

struct others {
    const char *id;
    bool found;
};

static int is_other(void *ctx, const char *id, json_t *body)
{
    struct others *o = ctx;
    o->found = strcmp(id, o->id) != 0 && ft_ctl_key_is_lasting_operator(body);
    return o->found;
}

/* 409 if the key, which is about to go or to become less, is the last that everything hangs on. */
static int check_not_last(struct ft_ctl_call *c, struct ft_state_tx *tx,
                          const struct ft_ctl_entity *e, struct ft_err *err)
{
    struct others o = {.id = e->id};
    struct ft_ctl_scan scan = {.kind = "key"};
    if (!ft_ctl_key_is_lasting_operator(e->body))
        return 0;
    int rc = ft_ctl_scan(tx, &scan, is_other, &o, err);
    if (rc == 0 && !o.found)
        rc = ft_ctl_refuse(c, 409, "last_operator", NULL,
                           "it is the last operator's key that may do everything and does not "
                           "expire; make another first");
    return rc;
}

int ft_ctl_keys_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "key", &e, err);
    if (rc != 0)
        return rc;
    json_t *body = ft_ctl_merge(e.body, c->body);
    rc = check_own(c, tx, &e, err);
    if (rc == 0)
        rc = check_role(c, body);
    if (rc == 0)
        rc = check_expires(c);
    if (rc == 0)
        rc = check_actions(c);
    if (rc == 0)
        rc = ft_ctl_within_own(c, tx, body, false, err);
    if (rc == 0 && !ft_ctl_key_is_lasting_operator(body))
        rc = check_not_last(c, tx, &e, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "key", e.id, e.body, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_key(e.id, body));
    json_decref(body);
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_keys_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "key", &e, err);
    if (rc == 0)
        rc = check_own(c, tx, &e, err);
    if (rc == 0)
        rc = check_not_last(c, tx, &e, err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, "key", e.id, e.body, err);
    if (rc == 0)
        rc = ft_ctl_sessions_end_of_key(c, tx, e.id, err);
    if (rc == 0)
        rc = ft_ctl_password_drop(c, tx, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("key", e.id));
    ft_ctl_entity_fini(&e);
    return rc;
}

/* ---- the caller ---- */

static int view_of(struct ft_state_tx *tx, const char *kind, const char *id, ft_ctl_view_fn *view,
                   json_t **ret, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = id != NULL && id[0] != '\0' ? ft_ctl_get(tx, kind, id, &e, err) : 0;
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? view(id, e.body) : json_null();
    ft_ctl_entity_fini(&e);
    return 0;
}

/* Since when, until when, and as what: a key that was shown, or a session. */
static int add_session(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *me,
                       struct ft_err *err)
{
    struct ft_ctl_entity s = {0};
    json_t *expires = json_object_get(json_object_get(me, "key"), "expires");
    json_t *login = json_object_get(json_object_get(me, "member"), "login");
    int rc = c->session[0] != '\0' ? ft_ctl_get(tx, "session", c->session, &s, err) : 0;
    if (rc > 0)
        expires = json_object_get(s.body, "expires");
    json_object_set_new(me, "kind", json_string(c->session[0] != '\0' ? "session" : "key"));
    json_object_set_new(me, "session", rc > 0 ? json_string(c->session) : json_null());
    json_object_set_new(me, "login", login != NULL ? json_incref(login) : json_null());
    json_object_set_new(me, "expires", expires != NULL ? json_incref(expires) : json_null());
    ft_ctl_entity_fini(&s);
    return FT_MIN(rc, 0);
}

static int describe_me(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t **ret,
                       struct ft_err *err)
{
    json_t *key = NULL, *project = NULL, *member = NULL;
    int rc = view_of(tx, "key", c->key, ft_ctl_view_key, &key, err);
    if (rc == 0)
        rc = view_of(tx, "project", c->project, ft_ctl_view_project, &project, err);
    if (rc == 0)
        rc = view_of(tx, "member", ft_ctl_text(key, "member"), ft_ctl_view_member, &member, err);
    if (rc != 0) {
        json_decref(key);
        json_decref(project);
        return rc;
    }
    json_t *me =
        json_pack("{s:s,s:s,s:o,s:o,s:o}", "object", "me", "role", ft_ctl_role_name[c->role], "key",
                  key, "project", project, "member", member);
    rc = add_session(c, tx, me, err);
    if (rc == 0)
        *ret = me;
    else
        json_decref(me);
    return rc;
}

int ft_ctl_me(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    json_t *me;
    int rc = describe_me(c, tx, &me, err);
    return rc == 0 ? ft_ctl_answer(c, 200, me) : rc;
}

/* Of a live one: the gateway answers where there is none. */
int ft_ctl_session_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    json_t *me;
    int rc = describe_me(c, tx, &me, err);
    return rc == 0 ? ft_ctl_answer(c, 200, json_pack("{s:s,s:o}", "object", "sign_in", "me", me))
                   : rc;
}
