/* What an empty store begins with, so that a new cloud can be used at once.
 *
 * The first key goes into HOME/credentials.json before it is in the store: a crash in between
 * leaves a file with a key that nobody knows, and the next start makes another. HOME/state.id says
 * that there was a store here; while it is there, a missing one is never made anew.
 *
 * Where credentials.json was lost later, the next start makes another operator's key for it:
 * whoever can write to HOME owns the cloud anyway. That one is in the store first: a crash in
 * between leaves a key that nobody knows, and the next start makes another. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/file.h"
#include "base/log.h"
#include "control/inner.h"

#define PROJECT  "default"
#define CURRENCY "USD"

bool ft_control_known(const char *home)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/state.id", home);
    return access(path, F_OK) == 0;
}

static int put_private(const struct ft_ctl *ctl, const char *name, const char *text,
                       struct ft_err *err)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", ctl->home, name);
    mode_t mask = umask(077);
    int rc = ft_file_put(path, text, strlen(text), err);
    umask(mask);
    return rc;
}

struct first {
    struct ft_ctl_call *call;
    const char *secret;
    bool empty;
};

static int look(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct first *f = ctx;
    struct ft_state_rows *r;
    int rc = ft_state_query(tx, "SELECT id FROM entity LIMIT 1", FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    f->empty = rc == 0;
    ft_rows_close(r);
    return rc < 0 ? rc : 0;
}

static int put(struct first *f, struct ft_state_tx *tx, const char *kind, const char *id,
               json_t *body, struct ft_err *err)
{
    int rc = ft_ctl_put(f->call, tx, kind, id, NULL, body, err);
    json_decref(body);
    return rc;
}

static int put_nano(struct first *f, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_call *c = f->call;
    json_t *model = json_deep_copy(c->found);
    json_object_set_new(model, "name", json_string("nano"));
    json_object_set_new(model, "created", json_integer(c->now_s));
    int rc = put(f, tx, "model", "nano", model, err);
    if (rc != 0)
        return rc;
    return put(f, tx, "endpoint", "nano",
               json_pack("{s:s,s:[{s:s,s:i}],s:{s:i,s:i},s:i,s:i,s:I}", "name", "nano", "targets",
                         "model", "nano", "weight", 1, "replicas", "min", 0, "max", 1,
                         "target_load", 8, "idle_s", 300, "created", (json_int_t)c->now_s),
               err);
}

static int fill(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct first *f = ctx;
    char key[CTL_ID_MAX];
    json_int_t now = f->call->now_s;
    f->call->n_events = 0;
    int rc = look(tx, f, err);
    if (rc != 0 || !f->empty)
        return rc;
    rc = ft_ctl_id_new("key_", key, err);
    if (rc == 0)
        rc = put(f, tx, "setting", "currency", json_pack("{s:s}", "currency", CURRENCY), err);
    if (rc == 0)
        rc = put(f, tx, "price", "default",
                 json_pack("{s:s,s:s,s:s,s:s,s:I}", "model", "*", "input", "0.10", "cached_input",
                           "0.05", "output", "0.40", "created", now),
                 err);
    if (rc == 0)
        rc = put(f, tx, "project", PROJECT,
                 json_pack("{s:s,s:i,s:I}", "name", PROJECT, "weight", 1, "created", now), err);
    if (rc == 0)
        rc = put(f, tx, "key", key,
                 ft_ctl_key_body(PROJECT, "first key", "operator", f->secret, now), err);
    if (rc == 0 && f->call->found != NULL)
        rc = put_nano(f, tx, err);
    return rc;
}

/* The shipped model, if it is there and can be read. */
static void look_at_nano(struct ft_ctl_call *c)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/models/nano.gguf", c->ctl->home);
    if (access(path, R_OK) != 0)
        return;
    c->body = json_pack("{s:s}", "path", path);
    ft_ctl_models_inspect(c);
    if (c->refused)
        ft_log(FT_LOG_WARN, "control", "models/nano.gguf is left out: %s", c->error.err.msg);
    c->refused = false;
}

static int put_credentials(struct ft_ctl *ctl, const char *secret, struct ft_err *err)
{
    char text[1200];
    json_t *credentials = json_pack("{s:s,s:s}", "url", ctl->opt->url, "key", secret);
    char *json = json_dumps(credentials, JSON_COMPACT);
    snprintf(text, sizeof text, "%s\n", json != NULL ? json : "");
    free(json);
    json_decref(credentials);
    int rc = put_private(ctl, "credentials.json", text, err);
    explicit_bzero(text, sizeof text);
    return rc;
}

static int make(struct ft_ctl *ctl, struct ft_err *err)
{
    char secret[CTL_SECRET_BYTES];
    struct ft_ctl_call c = {.ctl = ctl, .now_s = (int64_t)time(NULL)};
    struct first f = {.call = &c, .secret = secret};
    int rc = ft_ctl_secret_new(secret, err);
    if (rc != 0)
        return rc;
    look_at_nano(&c);
    rc = put_credentials(ctl, secret, err);
    if (rc == 0)
        rc = ft_state_tx(ctl->state, fill, &f, err);
    if (rc == 0)
        ft_log(FT_LOG_INFO, "control",
               "a new cloud: project " PROJECT ", its first key in "
               "%s/credentials.json%s",
               ctl->home, c.found != NULL ? ", model nano" : "");
    explicit_bzero(secret, sizeof secret);
    ft_ctl_call_fini(&c);
    return rc;
}

/* ---- a lost credentials.json ---- */

/* The first project, or any. 1: there is one. */
static int some_project(struct ft_state_tx *tx, char ret[CTL_ID_MAX + 1], struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT id FROM entity WHERE kind = 'project' AND body IS NOT NULL"
                            " ORDER BY CASE WHEN id = '" PROJECT "' THEN 0 ELSE 1 END, id LIMIT 1",
                            FT_NO_ARGS, &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc == 1) {
        struct ft_slice id = ft_rows_text(r, 0);
        snprintf(ret, CTL_ID_MAX + 1, "%.*s", (int)id.n, id.p);
    }
    ft_rows_close(r);
    return rc;
}

static int add_recovered(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct first *f = ctx;
    char key[CTL_ID_MAX], project[CTL_ID_MAX + 1];
    f->call->n_events = 0;
    int rc = some_project(tx, project, err);
    if (rc <= 0)
        return rc < 0 ? rc : ft_err_set(err, FT_ENOTFOUND, "there is no project");
    rc = ft_ctl_id_new("key_", key, err);
    if (rc == 0)
        rc = put(f, tx, "key", key,
                 ft_ctl_key_body(project, "recovered", "operator", f->secret, f->call->now_s), err);
    return rc;
}

/* Without it the cloud goes on as it is. */
static void recover(struct ft_ctl *ctl)
{
    char secret[CTL_SECRET_BYTES], path[4096];
    struct ft_ctl_call c = {.ctl = ctl, .now_s = (int64_t)time(NULL)};
    struct first f = {.call = &c, .secret = secret};
    struct ft_err err = {0};
    snprintf(path, sizeof path, "%s/credentials.json", ctl->home);
    if (access(path, F_OK) == 0 || errno != ENOENT)
        return;
    int rc = ft_ctl_secret_new(secret, &err);
    if (rc == 0)
        rc = ft_state_tx(ctl->state, add_recovered, &f, &err);
    if (rc == 0)
        rc = put_credentials(ctl, secret, &err);
    if (rc == 0)
        ft_log(FT_LOG_WARN, "control",
               "%s was gone: a new key of an operator, 'recovered', is in it", path);
    else
        ft_log(FT_LOG_WARN, "control", "%s is gone, and cannot be made anew: %s", path, err.msg);
    explicit_bzero(secret, sizeof secret);
    ft_ctl_call_fini(&c);
}

int ft_ctl_bootstrap(struct ft_ctl *ctl, struct ft_err *err)
{
    struct first f = {0};
    char text[80];
    if (ft_control_known(ctl->home)) {
        recover(ctl);
        return 0;
    }
    int rc = ft_state_read(ctl->state, look, &f, err);
    if (rc == 0 && f.empty)
        rc = make(ctl, err);
    if (rc != 0)
        return rc;
    snprintf(text, sizeof text, "%s\n", ft_state_id(ctl->state));
    return put_private(ctl, "state.id", text, err);
}
