/* Passwords: compared and hashed (yescrypt, of libxcrypt) outside of the store's transactions and
 * of the writer's thread, because that takes long by intent; two at a time at most (control.c).
 *
 * A login that is not there is compared with a password that nobody has, so that it takes as long
 * and is answered the same. What is kept is in the table `sign_in`: no feed and no log has it. */
#include <crypt.h>
#include <nettle/memops.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "control/admin/sign_in.h"

#define METHOD "$y$" /* yescrypt, at libxcrypt's own cost: 16 MiB each */

/* Of 16 random bytes that were thrown away. */
static const char nobodys[] =
    "$y$j9T$3WoLIo14yltpfw7KhEqLn0$3gafwwR3qWb0kno/BVR8v6wBwI5tXOLE6VrOSdJutPA";

/* ---- hashing ---- */

static int no_memory(struct ft_ctl_call *c)
{
    return ft_ctl_refuse(c, 503, "overloaded", NULL, "no memory to hash a password; try again");
}

static int compare(struct ft_ctl_call *c, const char *password, const char *hash, bool *ret_same)
{
    struct crypt_data *room = calloc(1, sizeof *room);
    if (room == NULL)
        return no_memory(c);
    size_t n = strlen(hash);
    const char *made = crypt_rn(password, hash, room, sizeof *room);
    *ret_same = made != NULL && strlen(made) == n && memeql_sec(made, hash, n);
    explicit_bzero(room, sizeof *room);
    free(room);
    return 0;
}

static int hash_new(struct ft_ctl_call *c, const char *password, char ret[CTL_HASH_BYTES])
{
    char setting[CRYPT_GENSALT_OUTPUT_SIZE];
    struct crypt_data *room = calloc(1, sizeof *room);
    if (room == NULL)
        return no_memory(c);
    const char *made = crypt_gensalt_rn(METHOD, 0, NULL, 0, setting, sizeof setting);
    if (made != NULL)
        made = crypt_rn(password, setting, room, sizeof *room);
    bool ok = made != NULL && strncmp(made, METHOD, 3) == 0 && strlen(made) < CTL_HASH_BYTES;
    if (ok)
        strcpy(ret, made);
    explicit_bzero(room, sizeof *room);
    free(room);
    return ok ? 0
              : ft_ctl_refuse(c, 500, "internal_error", NULL,
                              "the password could not be hashed by this machine's libcrypt");
}

/* ---- the table ---- */

int ft_ctl_login_get(struct ft_state_tx *tx, const char *login, const char *member,
                     struct ft_ctl_login *ret, struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc =
        ft_state_query(tx, "SELECT member, key, hash FROM sign_in WHERE login = $1 OR member = $2",
                       FT_ARGS(ft_sql_text(login), ft_sql_text(member)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        snprintf(ret->member, sizeof ret->member, "%s", ft_rows_text(r, 0).p);
        snprintf(ret->key, sizeof ret->key, "%s", ft_rows_text(r, 1).p);
        snprintf(ret->hash, sizeof ret->hash, "%s", ft_rows_text(r, 2).p);
    }
    ft_rows_close(r);
    return rc;
}

static bool same_text(const char *a, const char *b)
{
    return a == NULL || b == NULL ? a == b : strcmp(a, b) == 0;
}

/* The key that a member signs in with has the member's role. */
static int key_follows(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *member,
                       const json_t *body, struct ft_err *err)
{
    struct ft_ctl_login l = {.hash = ""};
    struct ft_ctl_entity key = {0};
    int rc = ft_ctl_login_get(tx, NULL, member, &l, err);
    if (rc > 0 && l.key[0] != '\0')
        rc = ft_ctl_get(tx, "key", l.key, &key, err);
    if (rc > 0 && key.body != NULL) {
        json_t *changed = json_deep_copy(key.body);
        json_object_set(changed, "role", json_object_get(body, "role"));
        rc = ft_ctl_put(c, tx, "key", key.id, key.body, changed, err);
        json_decref(changed);
    }
    ft_ctl_entity_fini(&key);
    return FT_MIN(rc, 0);
}

int ft_ctl_login_put(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *member,
                     const json_t *before, const json_t *body, struct ft_err *err)
{
    const char *old = ft_ctl_text(before, "login"), *new = ft_ctl_text(body, "login");
    struct ft_ctl_login l = {.hash = ""};
    int rc = 0;
    if (before != NULL && !same_text(ft_ctl_text(before, "role"), ft_ctl_text(body, "role")))
        rc = key_follows(c, tx, member, body, err);
    if (rc != 0 || same_text(old, new))
        return rc;
    if (new == NULL)
        return ft_ctl_refuse(c, 400, "invalid_value", "login",
                             "login: it cannot be taken away; removing the key that the member "
                             "signs in with ends its password");
    rc = ft_ctl_login_get(tx, new, NULL, &l, err);
    if (rc > 0)
        return ft_ctl_refuse(c, 409, "already_exists", "login",
                             "login: somebody signs in as '%s' already", new);
    if (rc == 0 && old != NULL)
        rc = ft_state_exec(tx, "UPDATE sign_in SET login = $2 WHERE member = $1",
                           FT_ARGS(ft_sql_text(member), ft_sql_text(new)), NULL, err);
    else if (rc == 0)
        rc = ft_state_exec(tx, "INSERT INTO sign_in (login, member) VALUES ($1, $2)",
                           FT_ARGS(ft_sql_text(new), ft_sql_text(member)), NULL, err);
    return rc;
}

int ft_ctl_login_drop(struct ft_state_tx *tx, const char *member, struct ft_err *err)
{
    return ft_state_exec(tx, "DELETE FROM sign_in WHERE member = $1", FT_ARGS(ft_sql_text(member)),
                         NULL, err);
}

int ft_ctl_password_drop(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *key,
                         struct ft_err *err)
{
    struct ft_ctl_entity m = {0};
    const char *member = ft_ctl_text(key, "member");
    if (!same_text(ft_ctl_text(key, "kind"), CTL_SIGN_IN) || member == NULL)
        return 0;
    int rc = ft_state_exec(tx, "UPDATE sign_in SET hash = NULL, key = NULL WHERE member = $1",
                           FT_ARGS(ft_sql_text(member)), NULL, err);
    if (rc == 0)
        rc = ft_ctl_get(tx, "member", member, &m, err);
    if (rc > 0) {
        json_t *body = json_deep_copy(m.body);
        json_object_del(body, "password_changed");
        rc = ft_ctl_put(c, tx, "member", m.id, m.body, body, err);
        json_decref(body);
    }
    ft_ctl_entity_fini(&m);
    return FT_MIN(rc, 0);
}

/* ---- before the store: whose password is it, is it right ---- */

struct looking {
    struct ft_ctl_call *c;
    const char *login, *member;
    struct ft_ctl_login found;
    bool there;
};

static int look_up(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct looking *l = ctx;
    struct ft_ctl_entity key = {0};
    int rc = 1;
    if (l->login == NULL && l->member == NULL) { /* the caller's own */
        rc = ft_ctl_get(tx, "key", l->c->key, &key, err);
        l->member = ft_ctl_text(key.body, "member");
    }
    l->there = false;
    if (rc > 0 && (l->login != NULL || l->member != NULL)) {
        rc = ft_ctl_login_get(tx, l->login, l->member, &l->found, err);
        l->there = rc > 0 && l->found.hash[0] != '\0';
    }
    if (key.body != NULL)
        l->member = NULL; /* its text goes; a run again finds it anew */
    ft_ctl_entity_fini(&key);
    return FT_MIN(rc, 0);
}

static int find_login(struct looking *l)
{
    struct ft_err err = {0};
    int rc = ft_state_read(l->c->ctl->state, look_up, l, &err);
    if (rc == 0)
        return 0;
    return ft_ctl_refuse(l->c, 503, "store_unavailable", NULL,
                         "the state store cannot be used now: %s", err.msg);
}

/* A lower-case login: people's phones begin with a capital. */
static void fold(const char *login, char ret[65])
{
    size_t n = 0;
    for (; n < 64 && login[n] != '\0'; n++)
        ret[n] = login[n] >= 'A' && login[n] <= 'Z' ? (char)(login[n] | 0x20) : login[n];
    ret[n] = '\0';
}

void ft_ctl_session_look(struct ft_ctl_call *c)
{
    char login[65];
    const char *asked = ft_ctl_text(c->body, "login"), *password = ft_ctl_text(c->body, "password");
    struct looking l = {.c = c, .login = login};
    bool same = false;
    if (ft_ctl_text(c->body, "key") != NULL) { /* the gateway knows keys */
        if (c->key[0] == '\0')
            ft_ctl_refuse_sign_in(c);
        return;
    }
    if (asked == NULL || password == NULL) {
        ft_ctl_refuse(c, 400, "missing_required_parameter", asked == NULL ? "login" : "password",
                      "give a key, or a login and a password");
        return;
    }
    fold(asked, login);
    c->key[0] = '\0';
    if (strlen(password) > CTL_PASSWORD_BYTES_MAX) {
        ft_ctl_refuse_sign_in(c);
        return;
    }
    if (find_login(&l) != 0 || compare(c, password, l.there ? l.found.hash : nobodys, &same) != 0)
        return;
    if (!l.there || !same)
        ft_ctl_refuse_sign_in(c);
    else
        c->found = json_pack("{s:s,s:s}", "login", login, "hash", l.found.hash);
}

static int check_new(struct ft_ctl_call *c, const char *field, const char *password)
{
    size_t n = strlen(password);
    if (n < CTL_PASSWORD_BYTES_MIN || n > CTL_PASSWORD_BYTES_MAX)
        return ft_ctl_refuse(c, 400, "invalid_value", field,
                             "%s: must have %d to %d bytes; several words are easier to keep than "
                             "signs",
                             field, CTL_PASSWORD_BYTES_MIN, CTL_PASSWORD_BYTES_MAX);
    return 0;
}

/* {"password"} of a member, or {"old", "new"} of the caller itself. */
void ft_ctl_password_look(struct ft_ctl_call *c)
{
    const char *old = ft_ctl_text(c->body, "old");
    const char *field = old != NULL ? "new" : "password", *new = ft_ctl_text(c->body, field);
    struct looking l = {.c = c};
    char hash[CTL_HASH_BYTES];
    bool same = true;
    if (check_new(c, field, new) != 0)
        return;
    if (old != NULL) {
        if (find_login(&l) != 0)
            return;
        if (!l.there) {
            ft_ctl_refuse(c, 409, "no_password", NULL,
                          "who calls has no password yet; an admin sets the first one (feitian "
                          "member password ID)");
            return;
        }
        if (compare(c, old, l.found.hash, &same) != 0)
            return;
        if (!same) {
            ft_ctl_refuse(c, 403, "wrong_password", "old", "old: is not the password");
            return;
        }
    }
    if (hash_new(c, new, hash) == 0)
        c->found =
            json_pack("{s:s,s:s,s:s}", "new", hash, "old", l.found.hash, "member", l.found.member);
}

bool ft_ctl_hashes(const struct ft_ctl_route *route)
{
    return route->before == ft_ctl_session_look || route->before == ft_ctl_password_look;
}

/* ---- setting one ---- */

/* A secret that nobody knows, so that what was made from the one before (of S3) ends. */
static int draw(const char *project, const char *name, const char *role, int64_t now_s,
                json_t **ret, struct ft_err *err)
{
    char secret[CTL_SECRET_BYTES];
    int rc = ft_ctl_secret_new(secret, err);
    if (rc == 0)
        *ret = ft_ctl_key_body(project, name, role, secret, now_s);
    explicit_bzero(secret, sizeof secret);
    return rc;
}

/* The member's key of sign-in with a new secret; makes it, within what the caller has. */
static int put_key(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct ft_ctl_entity *m,
                   char id[CTL_ID_MAX + 1], bool by_admin, struct ft_err *err)
{
    struct ft_ctl_entity old = {0};
    char name[128];
    json_t *body = NULL;
    snprintf(name, sizeof name, "sign-in of %s", ft_ctl_text(m->body, "login"));
    int rc = id[0] != '\0' ? FT_MIN(ft_ctl_get(tx, "key", id, &old, err), 0) : 0;
    if (rc == 0)
        rc = draw(ft_ctl_text(m->body, "project"), name, ft_ctl_text(m->body, "role"), c->now_s,
                  &body, err);
    if (rc == 0 && old.body != NULL) {
        json_t *changed = json_deep_copy(old.body);
        json_object_set(changed, "hash", json_object_get(body, "hash"));
        json_object_set(changed, "prefix", json_object_get(body, "prefix"));
        json_decref(body);
        body = changed;
    } else if (rc == 0) {
        rc = ft_ctl_id_new("key_", id, err);
        json_object_set_new(body, "kind", json_string(CTL_SIGN_IN));
        json_object_set_new(body, "member", json_string(m->id));
        json_object_set_new(body, "created_by", json_string(c->key));
    }
    if (rc == 0 && by_admin) /* nobody sets the password of somebody with more */
        rc = ft_ctl_within_own(c, tx, body, old.body == NULL, err);
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "key", id, old.body, body, err);
    json_decref(body);
    ft_ctl_entity_fini(&old);
    return rc;
}

static int set(struct ft_ctl_call *c, struct ft_state_tx *tx, const struct ft_ctl_entity *m,
               bool by_admin, struct ft_err *err)
{
    struct ft_ctl_login l = {.hash = ""};
    const char *old = ft_ctl_text(c->found, "old");
    int rc = ft_ctl_login_get(tx, NULL, m->id, &l, err);
    if (rc == 0)
        return ft_ctl_refuse(c, 409, "no_login", NULL,
                             "the member has no login; give it one first (\"login\")");
    if (rc > 0 && !by_admin && strcmp(l.hash, old) != 0)
        return ft_ctl_refuse(c, 409, "conflict", NULL, "the password was changed meanwhile");
    if (rc > 0)
        rc = put_key(c, tx, m, l.key, by_admin, err);
    if (rc == 0)
        rc = ft_state_exec(tx, "UPDATE sign_in SET hash = $2, key = $3 WHERE member = $1",
                           FT_ARGS(ft_sql_text(m->id), ft_sql_text(ft_ctl_text(c->found, "new")),
                                   ft_sql_text(l.key)),
                           NULL, err);
    if (rc == 0)
        rc = ft_ctl_sessions_end_of_member(c, tx, m->id, c->session, err);
    if (rc != 0)
        return rc;
    json_t *body = json_deep_copy(m->body);
    json_object_set_new(body, "password_changed", json_integer(c->now_s));
    rc = ft_ctl_put(c, tx, "member", m->id, m->body, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_member(m->id, body));
    json_decref(body);
    return rc;
}

int ft_ctl_member_password(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity m = {0};
    int rc = ft_ctl_fetch(c, tx, "member", &m, err);
    if (rc == 0)
        rc = set(c, tx, &m, true, err);
    ft_ctl_entity_fini(&m);
    return rc;
}

int ft_ctl_my_password(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity m = {0};
    const char *member = ft_ctl_text(c->found, "member");
    int rc = ft_ctl_get(tx, "member", member, &m, err);
    if (rc == 0)
        rc = ft_ctl_missing(c, "member", member);
    if (rc > 0)
        rc = set(c, tx, &m, false, err);
    ft_ctl_entity_fini(&m);
    return rc;
}
