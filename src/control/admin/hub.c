/* Models of the hub: "ORG/NAME@REV", perhaps with ":FILE", where a model is named. Without ORG it
 * is the caller's project's; "ORG/NAME" alone is its main branch, unless a model has that name.
 *
 * The gateway has the hub. It makes the files of the revision local, in the name of the caller's
 * key, and says where; from there on they are a model like any other, named by the commit, so that
 * what an endpoint serves does not change when a branch moves. Asked outside of the store, the rows
 * are written by the handler with what uses them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "control/inner.h"
#include "control/inside.h"
#include "control/unused.h"

#define WHY "?" /* in what was found: no name has it alone */

bool ft_ctl_is_hub(const char *name)
{
    return name != NULL && strchr(name, '@') != NULL;
}

/* "ORG/NAME@REV:FILE" apart; false: too long. */
static bool split(const struct ft_ctl_call *c, const char *asked, char *what, size_t n_what,
                  const char **ret_file)
{
    const char *at = strchr(asked, '@'), *colon = at != NULL ? strchr(at, ':') : NULL;
    const char *slash = memchr(asked, '/', at != NULL ? (size_t)(at - asked) : strlen(asked));
    size_t n = colon != NULL ? (size_t)(colon - asked) : strlen(asked);
    *ret_file = colon != NULL ? colon + 1 : "";
    return snprintf(what, n_what, "%s%s%.*s%s", slash == NULL ? c->project : "",
                    slash == NULL ? "/" : "", (int)n, asked,
                    at == NULL ? "@main" : "") < (int)n_what;
}

static int refuse(struct ft_ctl_call *c, const char *param, int rc, const struct ft_err *err)
{
    if (rc == FT_EUNAVAIL || rc == FT_ECANCELED)
        return ft_ctl_refuse(c, 503, "overloaded", param, "%s: the hub cannot be asked now: %s",
                             param, err->msg);
    return ft_ctl_refuse(c, 400, rc == FT_ENOTFOUND ? "not_found" : "invalid_value", param,
                         "%s: %s", param, err->msg);
}

static int clear_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    json_t *used = NULL;
    int rc = ft_used_paths(tx, &used, err);
    if (rc == 0)
        ft_remove_unused(used, ctx, 0);
    json_decref(used);
    return rc;
}

void ft_ctl_hub_clear(struct ft_ctl *ctl, const char *folder)
{
    struct ft_err err = {0};
    if (ft_state_tx(ctl->state, clear_tx, (char *)folder, &err) != 0)
        ft_log(FT_LOG_WARN, "control", "%s is no model and stays for now: %s", folder, err.msg);
}

/* What was made local for this goes if it is no model; others who asked for the same files since,
 * and found them there, are told the same. What was asked is named instead of its path. */
static int no_model(struct ft_ctl_call *c, const char *param, const char *made, bool none)
{
    static const char prefix[] = "path: ";
    char why[FT_ERR_MSG_MAX];
    const char *msg = c->error.err.msg;
    if (c->error.status != 400)
        return FT_EINVAL;
    if (made != NULL && none)
        ft_ctl_hub_clear(c->ctl, made);
    snprintf(why, sizeof why, "%s",
             strncmp(msg, prefix, strlen(prefix)) == 0 ? msg + strlen(prefix) : msg);
    return ft_ctl_refuse(c, 400, "invalid_value", param, "%s: %s", param, why);
}

int ft_ctl_hub_fetch(struct ft_ctl_call *c, const char *param, const char *asked, bool adapter,
                     json_t **ret)
{
    char what[512], name[400];
    const char *file;
    struct ft_err err = {0};
    json_t *answer = NULL, *row = NULL;
    if (!split(c, asked, what, sizeof what, &file))
        return ft_ctl_refuse(c, 400, "invalid_value", param, "%s: is too long", param);
    json_t *body = json_pack("{s:s,s:b}", "model", what, "adapter", adapter);
    if (file[0] != '\0')
        json_object_set_new(body, "file", json_string(file));
    char *text = json_dumps(body, JSON_COMPACT);
    json_decref(body);
    const struct ft_inside_ask ask = {.method = "POST",
                                      .path = "/internal/hub/local",
                                      .key = c->key,
                                      .body = text,
                                      .n_body = text != NULL ? strlen(text) : 0};
    int rc = text != NULL ? ft_inside_ask(c->ctl->inside, &ask, &answer, &err)
                          : ft_err_set(&err, FT_ENOMEM, "out of memory");
    free(text);
    const char *path = ft_ctl_text(answer, "path"), *commit = ft_ctl_text(answer, "commit");
    const char *repo = ft_ctl_text(answer, "repository");
    if (rc == 0 && (path == NULL || commit == NULL || repo == NULL))
        rc = ft_err_set(&err, FT_EUNAVAIL, "it answered something else");
    if (rc != 0) {
        json_decref(answer);
        return refuse(c, param, rc, &err);
    }
    bool none;
    rc = ft_ctl_model_look(c, path, adapter, &none, &row);
    if (rc != 0)
        rc = no_model(c, param, ft_ctl_text(answer, "made"), none);
    if (rc == 0) {
        snprintf(name, sizeof name, "%s@%.12s%s%s", repo, commit, file[0] != '\0' ? ":" : "", file);
        json_object_set_new(row, "name", json_string(name));
        snprintf(name, sizeof name, "%s@%s", repo, commit);
        json_object_set_new(row, "hub", json_string(name));
        if (json_is_true(json_object_get(answer, "private"))) {
            snprintf(name, sizeof name, "%.*s", (int)strcspn(repo, "/"), repo);
            json_object_set_new(row, "project", json_string(name));
        }
        *ret = row;
    }
    json_decref(answer);
    return rc;
}

/* ---- endpoints ---- */

/* What keeps the repository of the name from being a model; said if no model has the name. */
static void keep_why(struct ft_ctl_call *c, const char *asked, const char *why)
{
    json_t *all = json_object_get(c->found, WHY);
    if (all == NULL)
        json_object_set_new(c->found, WHY, all = json_object());
    json_object_set_new(all, asked, json_string(why));
}

const char *ft_ctl_hub_why(const struct ft_ctl_call *c, const char *asked)
{
    return asked != NULL ? ft_ctl_text(json_object_get(c->found, WHY), asked) : NULL;
}

/* One member of a target; what was found is kept by what was asked for. */
static int prepare(struct ft_ctl_call *c, const char *where, const json_t *target,
                   const char *member)
{
    char param[64];
    json_t *row = NULL;
    const char *asked = ft_ctl_text(target, member);
    bool may_be = asked != NULL && strchr(asked, '/') != NULL; /* or a model's name */
    if ((!ft_ctl_is_hub(asked) && !may_be) || ft_ctl_has(target, "url") ||
        ft_ctl_has(c->found, asked))
        return 0;
    snprintf(param, sizeof param, "%s.%s", where, member);
    int rc = ft_ctl_hub_fetch(c, param, asked, strcmp(member, "adapter") == 0, &row);
    if (rc == 0)
        json_object_set_new(c->found, asked, row);
    if (rc == 0 || ft_ctl_is_hub(asked))
        return rc;
    if (c->error.status == 400 && strcmp(c->error.code, "not_found") != 0) {
        const char *why = c->error.err.msg, *colon = strstr(why, ": "); /* behind the parameter */
        keep_why(c, asked, colon != NULL ? colon + 2 : why);
    }
    c->refused = false; /* the handler looks for a model */
    return 0;
}

/* Outside of the store. What is a model's name already (as an endpoint shows it) is found again:
 * its commit is in it. */
void ft_ctl_endpoints_prepare(struct ft_ctl_call *c)
{
    size_t i;
    json_t *target;
    char where[32];
    c->found = json_object();
    json_array_foreach(json_object_get(c->body, "targets"), i, target)
    {
        snprintf(where, sizeof where, "targets[%zu]", i);
        if (prepare(c, where, target, "model") != 0 || prepare(c, where, target, "adapter") != 0)
            return;
    }
}

/* The row of what was asked for, if it is not there yet. */
static int put_row(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *found, const char *base,
                   struct ft_err *err)
{
    struct ft_ctl_entity old = {0};
    const char *name = ft_ctl_text(found, "name");
    int rc = ft_ctl_get(tx, "model", name, &old, err);
    ft_ctl_entity_fini(&old);
    if (rc != 0)
        return FT_MIN(rc, 0);
    json_t *body = json_deep_copy(found);
    if (base != NULL)
        json_object_set_new(body, "adapter_of", json_string(base));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = ft_ctl_put(c, tx, "model", name, NULL, body, err);
    json_decref(body);
    return rc;
}

static int has_model(struct ft_state_tx *tx, const char *name, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "model", name, &e, err);
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_hub_take(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *target,
                    struct ft_err *err)
{
    static const char *const members[] = {"model", "adapter"};
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(members); i++) {
        const char *asked = ft_ctl_text(target, members[i]);
        json_t *found = asked != NULL ? json_object_get(c->found, asked) : NULL;
        if (found == NULL)
            continue;
        if (!ft_ctl_is_hub(asked) && (rc = has_model(tx, asked, err)) != 0) {
            rc = FT_MIN(rc, 0);
            continue;
        }
        rc = put_row(c, tx, found, i == 1 ? ft_ctl_text(target, "model") : NULL, err);
        json_object_set(target, members[i], json_object_get(found, "name"));
    }
    return rc;
}
