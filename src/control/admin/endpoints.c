/* Endpoints: the names that clients call, and where the calls go.
 *
 * One of every project's (project null) is an operator's; a project's admin makes endpoints of the
 * project, of registered models: to name a URL is to make the gateway connect to it, which is an
 * operator's right. A project's own endpoint may have the name of a common one, and hides it there:
 * so nobody learns from a refusal what another project has. */
#include <stdio.h>
#include <string.h>

#include "control/inner.h"

#define TARGET_LOAD 8
#define IDLE_S      300

static const char *bare_or_of(const char *name, const char *project, char *ret, size_t n)
{
    snprintf(ret, n, "%s%s%s", name, project != NULL ? "@" : "", project != NULL ? project : "");
    return ret;
}

static bool has_bad_part(const char *name)
{
    for (const char *p = name; p != NULL; p = strchr(p, '/')) {
        p += *p == '/';
        size_t n = strcspn(p, "/");
        if (n == 0 || (n == 1 && p[0] == '.') || (n == 2 && p[0] == '.' && p[1] == '.'))
            return true;
    }
    return false;
}

int ft_ctl_check_name(struct ft_ctl_call *c, const char *name)
{
    if (has_bad_part(name))
        return ft_ctl_refuse(c, 400, "invalid_value", "name",
                             "name: must not have an empty part, '.' or '..' between '/'");
    return 0;
}

/* ---- targets ---- */

static int check_model(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *where,
                       const json_t *target, struct ft_err *err)
{
    char param[64];
    struct ft_ctl_entity base = {0}, adapter = {0};
    const char *model = ft_ctl_text(target, "model"), *of = ft_ctl_text(target, "adapter");
    int rc = ft_ctl_get(tx, "model", model, &base, err), found = 1;
    snprintf(param, sizeof param, "%s.model", where);
    if (rc > 0 && !ft_ctl_sees(c, ft_ctl_text(base.body, "project")))
        rc = 0; /* another project's is not there */
    const char *why = ft_ctl_hub_why(c, model);
    if (rc == 0 && why != NULL)
        rc = ft_ctl_refuse(c, 400, "invalid_value", param,
                           "%s: the hub has '%s', but it is no model: %s", param, model, why);
    else if (rc == 0)
        rc = ft_ctl_refuse(c, 400, "not_found", param, "%s: there is no model '%s'", param, model);
    else if (rc > 0 && of != NULL)
        found = rc = ft_ctl_get(tx, "model", of, &adapter, err);
    if (found > 0 && !ft_ctl_sees(c, ft_ctl_text(adapter.body, "project")))
        found = 0;
    const char *base_of = ft_ctl_text(adapter.body, "adapter_of");
    snprintf(param, sizeof param, "%s.adapter", where);
    if (rc >= 0 && found == 0)
        rc = ft_ctl_refuse(c, 400, "not_found", param, "%s: there is no adapter '%s'", param, of);
    else if (rc > 0 && of != NULL && (base_of == NULL || strcmp(base_of, model) != 0))
        rc = ft_ctl_refuse(c, 400, "invalid_value", param, "%s: '%s' is no adapter of '%s'", param,
                           of, model);
    ft_ctl_entity_fini(&base);
    ft_ctl_entity_fini(&adapter);
    return rc < 0 ? rc : 0;
}

static int check_members(struct ft_ctl_call *c, const char *where, const json_t *target)
{
    static const char *const of_url[] = {"key", "in_flight_max"};
    char param[64];
    bool url = ft_ctl_has(target, "url"), script = ft_ctl_has(target, "script");
    bool model = ft_ctl_has(target, "model"), adapter = ft_ctl_has(target, "adapter");
    if ((url && (script || adapter)) || (script && (model || adapter)) ||
        (!url && !script && !model))
        return ft_ctl_refuse(c, 400, "invalid_value", where,
                             "%s: must name a model (and perhaps an adapter), or a url (and the "
                             "model there), or a script",
                             where);
    for (size_t i = 0; i < FT_COUNT(of_url); i++) {
        snprintf(param, sizeof param, "%s.%s", where, of_url[i]);
        if (!url && ft_ctl_has(target, of_url[i]))
            return ft_ctl_refuse(c, 400, "invalid_value", param, "%s: is for a url", param);
    }
    if ((url || script) && c->role < CTL_OPERATOR)
        return ft_ctl_refuse(c, 403, "insufficient_permissions", where,
                             "%s: only operators send calls outside of the cloud's own models",
                             where);
    return 0;
}

/* A key that is left out stays as it was for the same URL. */
static void keep_key(json_t *target, const json_t *before)
{
    size_t i;
    json_t *old;
    const char *url = ft_ctl_text(target, "url");
    if (url == NULL || ft_ctl_has(target, "key"))
        return;
    json_array_foreach(json_object_get(before, "targets"), i, old)
    {
        const char *was = ft_ctl_text(old, "url");
        if (was != NULL && strcmp(was, url) == 0 && ft_ctl_has(old, "key")) {
            json_object_set(target, "key", json_object_get(old, "key"));
            return;
        }
    }
}

static int check_targets(struct ft_ctl_call *c, struct ft_state_tx *tx, const json_t *before,
                         json_t *body, struct ft_err *err)
{
    size_t i;
    json_t *target;
    double sum = 0;
    json_array_foreach(json_object_get(body, "targets"), i, target)
    {
        char where[32];
        snprintf(where, sizeof where, "targets[%zu]", i);
        int rc = check_members(c, where, target);
        if (rc == 0)
            rc = ft_ctl_hub_take(c, tx, target, err);
        if (rc == 0 && !ft_ctl_has(target, "url") && !ft_ctl_has(target, "script"))
            rc = check_model(c, tx, where, target, err);
        if (rc != 0)
            return rc;
        keep_key(target, before);
        if (json_is_null(json_object_get(target, "key")))
            json_object_del(target, "key");
        if (json_is_null(json_object_get(target, "adapter")))
            json_object_del(target, "adapter");
        if (!ft_ctl_has(target, "weight"))
            json_object_set_new(target, "weight", json_real(1));
        sum += json_number_value(json_object_get(target, "weight"));
    }
    if (!(sum > 0))
        return ft_ctl_refuse(c, 400, "invalid_value", "targets", "targets: no weight is above 0");
    return 0;
}

static int check_replicas(struct ft_ctl_call *c, json_t *body)
{
    json_t *replicas = json_object_get(body, "replicas");
    if (replicas == NULL) {
        replicas = json_object();
        json_object_set_new(body, "replicas", replicas);
    }
    int64_t min = ft_ctl_int(replicas, "min", 0), max = ft_ctl_int(replicas, "max", FT_MAX(min, 1));
    if (min > max)
        return ft_ctl_refuse(c, 400, "invalid_value", "replicas.min",
                             "replicas.min: is more than replicas.max, %d", (int)max);
    json_object_set_new(replicas, "min", json_integer(min));
    json_object_set_new(replicas, "max", json_integer(max));
    return 0;
}

static int put_endpoint(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                        const json_t *before, json_t *body, struct ft_err *err)
{
    int rc = check_replicas(c, body);
    if (rc == 0)
        rc = check_targets(c, tx, before, body, err);
    if (rc == 0 && !ft_ctl_has(body, "target_load"))
        json_object_set_new(body, "target_load", json_integer(TARGET_LOAD));
    if (rc == 0 && !ft_ctl_has(body, "idle_s"))
        json_object_set_new(body, "idle_s", json_integer(IDLE_S));
    if (rc == 0)
        rc = ft_ctl_put(c, tx, "endpoint", id, before, body, err);
    if (rc == 0)
        ft_ctl_answer(c, before == NULL ? 201 : 200, ft_ctl_view_endpoint(id, body));
    return rc;
}

json_t *ft_ctl_endpoint_body(const char *name, const char *project, const char *model,
                             const char *adapter, int64_t now_s)
{
    return json_pack("{s:s,s:s,s:[{s:s,s:s,s:f}],s:{s:i,s:i},s:i,s:i,s:I}", "name", name, "project",
                     project, "targets", "model", model, "adapter", adapter, "weight", 1.0,
                     "replicas", "min", 0, "max", 1, "target_load", TARGET_LOAD, "idle_s", IDLE_S,
                     "created", (json_int_t)now_s);
}

/* ---- handlers ---- */

int ft_ctl_endpoints_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *project;
    int rc = ft_ctl_project_filter(c, &project);
    if (rc != 0)
        return rc;
    return ft_ctl_list(c, tx, "endpoint", project, true, ft_ctl_view_endpoint, NULL, NULL, err);
}

/* Whose the new one is: said, or everyone's for an operator and the own project's for an admin. */
static int owner_of(struct ft_ctl_call *c, struct ft_state_tx *tx, const char **ret,
                    struct ft_err *err)
{
    bool said = ft_ctl_text(c->body, "project") != NULL;
    *ret = NULL;
    if (c->role == CTL_OPERATOR && !said)
        return 0;
    if (ft_ctl_has(c->body, "project") && !said)
        return ft_ctl_refuse(c, 403, "insufficient_permissions", "project",
                             "project: only operators make endpoints of every project");
    return ft_ctl_project_for(c, tx, ret, err);
}

int ft_ctl_endpoints_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char id[264];
    struct ft_ctl_entity old = {0};
    const char *project, *name = ft_ctl_text(c->body, "name");
    int rc = ft_ctl_check_name(c, name);
    if (rc == 0)
        rc = owner_of(c, tx, &project, err);
    if (rc != 0)
        return rc;
    rc = ft_ctl_get(tx, "endpoint", bare_or_of(name, project, id, sizeof id), &old, err);
    ft_ctl_entity_fini(&old);
    if (rc > 0)
        return ft_ctl_refuse(c, 409, "already_exists", "name",
                             "name: there is an endpoint '%s' already", name);
    if (rc < 0)
        return rc;
    json_t *body = ft_ctl_merge(NULL, c->body);
    if (project != NULL)
        json_object_set_new(body, "project", json_string(project));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = put_endpoint(c, tx, id, NULL, body, err);
    json_decref(body);
    return rc;
}

/* By its id; or by the name alone, of the caller's project first, as calls find it. */
static int fetch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_ctl_entity *ret,
                 struct ft_err *err)
{
    char id[264];
    const char *asked = c->id;
    if (strchr(asked, '@') == NULL && strlen(asked) < sizeof id / 2 && c->role < CTL_OPERATOR) {
        int rc = ft_ctl_get(tx, "endpoint", bare_or_of(asked, c->project, id, sizeof id), ret, err);
        if (rc != 0)
            return rc < 0 ? rc : 0;
    }
    return ft_ctl_fetch(c, tx, "endpoint", ret, err);
}

static int fetch_own(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_ctl_entity *ret,
                     struct ft_err *err)
{
    int rc = fetch(c, tx, ret, err);
    if (rc == 0 && c->role < CTL_OPERATOR && ft_ctl_text(ret->body, "project") == NULL)
        return ft_ctl_refuse(c, 403, "insufficient_permissions", NULL,
                             "'%s' is every project's; operators change it", ret->id);
    return rc;
}

int ft_ctl_endpoints_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = fetch(c, tx, &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_endpoint(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_endpoints_patch(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = fetch_own(c, tx, &e, err);
    if (rc == 0) {
        json_t *body = ft_ctl_merge(e.body, c->body);
        rc = put_endpoint(c, tx, e.id, e.body, body, err);
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_ctl_endpoints_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = fetch_own(c, tx, &e, err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, "endpoint", e.id, e.body, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("endpoint", e.id));
    ft_ctl_entity_fini(&e);
    return rc;
}
