/* A request through the table of routes (routes.c): who may, is it well-formed, its handler in a
 * transaction, and what is answered when the store is in trouble. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/openai/json.h"
#include "base/log.h"
#include "control/inner.h"

#define RETRY          1000 /* ms, when the store is in trouble */
#define TROUBLE_SAID_S 60

const char *const ft_ctl_role_name[] = {"nobody", "viewer", "developer", "admin", "operator"};

enum ft_ctl_role ft_ctl_role_of(const char *name)
{
    for (int r = CTL_VIEWER; name != NULL && r <= CTL_OPERATOR; r++)
        if (strcmp(name, ft_ctl_role_name[r]) == 0)
            return (enum ft_ctl_role)r;
    return CTL_NOBODY;
}

/* ---- for handlers ---- */

int ft_ctl_refuse(struct ft_ctl_call *c, int status, const char *code, const char *param,
                  const char *fmt, ...)
{
    enum ft_code of = status == 404   ? FT_ENOTFOUND
                      : status == 409 ? FT_EEXIST
                      : status == 503 ? FT_EBUSY
                                      : FT_EINVAL;
    char msg[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    ft_oai_error_set(&c->error, of, code, param, "%s", msg);
    c->error.status = status;
    c->refused = true;
    return of;
}

int ft_ctl_missing(struct ft_ctl_call *c, const char *kind, const char *id)
{
    return ft_ctl_refuse(c, 404, "not_found", NULL, "there is no %s '%.200s'", kind, id);
}

int ft_ctl_answer(struct ft_ctl_call *c, int status, json_t *answer)
{
    c->status = status;
    c->answer = answer;
    return 0;
}

const char *ft_ctl_text(const json_t *o, const char *name)
{
    return json_string_value(json_object_get(o, name));
}

int64_t ft_ctl_int(const json_t *o, const char *name, int64_t fallback)
{
    const json_t *v = json_object_get(o, name);
    return json_is_integer(v) ? json_integer_value(v) : fallback;
}

bool ft_ctl_has(const json_t *o, const char *name)
{
    return json_object_get(o, name) != NULL;
}

json_t *ft_ctl_merge(const json_t *target, const json_t *patch)
{
    const char *name;
    json_t *value, *merged = json_is_object(target) ? json_deep_copy(target) : json_object();
    json_object_foreach((json_t *)patch, name, value)
    {
        if (json_is_null(value))
            json_object_del(merged, name);
        else if (json_is_object(value)) /* as deep as the schema that it was checked by */
            json_object_set_new(merged, name, ft_ctl_merge(json_object_get(merged, name), value));
        else
            json_object_set_new(merged, name, json_deep_copy(value));
    }
    return merged;
}

bool ft_ctl_sees(const struct ft_ctl_call *c, const char *project)
{
    return c->role == CTL_OPERATOR || project == NULL || strcmp(project, c->project) == 0;
}

int ft_ctl_project_filter(struct ft_ctl_call *c, const char **ret)
{
    const char *asked = ft_ctl_text(c->params, "project");
    if (asked != NULL && !ft_ctl_sees(c, asked)) {
        ft_ctl_missing(c, "project", asked);
        snprintf(c->error.param, sizeof c->error.param, "project");
        return FT_ENOTFOUND;
    }
    *ret = asked != NULL ? asked : c->role == CTL_OPERATOR ? NULL : c->project;
    return 0;
}

int ft_ctl_project_for(struct ft_ctl_call *c, struct ft_state_tx *tx, const char **ret,
                       struct ft_err *err)
{
    const char *asked = ft_ctl_text(c->body, "project");
    const char *project = asked != NULL ? asked : c->project;
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_sees(c, project) ? ft_ctl_get(tx, "project", project, &e, err) : 0;
    ft_ctl_entity_fini(&e);
    if (rc < 0)
        return rc;
    if (rc == 0) {
        ft_ctl_missing(c, "project", project);
        snprintf(c->error.param, sizeof c->error.param, "project");
        return FT_ENOTFOUND;
    }
    *ret = project;
    return 0;
}

/* ---- the way in ---- */

static bool path_matches(struct ft_ctl_call *c, const char *pattern)
{
    const char *brace = strchr(pattern, '{'), *path = c->path;
    if (brace == NULL)
        return strcmp(pattern, path) == 0;
    const char *behind = strchr(brace, '}') + 1;
    size_t n = (size_t)(brace - pattern), len = strlen(path), tail = strlen(behind);
    if (strncmp(pattern, path, n) != 0 || len <= n + tail ||
        strcmp(path + len - tail, behind) != 0 || len - n - tail >= sizeof c->id_room)
        return false;
    snprintf(c->id_room, sizeof c->id_room, "%.*s", (int)(len - n - tail), path + n);
    return true;
}

static bool find(struct ft_ctl_call *c)
{
    bool there = false;
    const char *method = strcmp(c->method, "HEAD") == 0 ? "GET" : c->method;
    int n;
    const struct ft_ctl_route *routes = ft_ctl_routes(&n);
    for (int i = 0; i < n; i++) {
        if (!path_matches(c, routes[i].path))
            continue;
        there = true;
        if (strcmp(routes[i].method, method) == 0) {
            c->route = &routes[i];
            c->id = c->id_room;
            return true;
        }
    }
    if (there)
        ft_ctl_refuse(c, 405, "method_not_allowed", NULL, "%s is not allowed on %s", c->method,
                      c->path);
    else
        ft_ctl_refuse(c, 404, "unknown_url", NULL, "unknown request URL: %s %s", c->method,
                      c->path);
    return false;
}

static bool may(struct ft_ctl_call *c)
{
    if (c->role >= c->route->least)
        return true;
    if (c->role == CTL_NOBODY)
        ft_ctl_refuse(c, 401, "invalid_api_key", NULL, "a key is needed");
    else
        ft_ctl_refuse(c, 403, "insufficient_permissions", NULL,
                      "this takes the role %s; the key has %s", ft_ctl_role_name[c->route->least],
                      ft_ctl_role_name[c->role]);
    return false;
}

static const json_t *body_schema(const json_t *operation)
{
    const json_t *body = json_object_get(operation, "requestBody");
    return json_object_get(json_object_get(json_object_get(body, "content"), "application/json"),
                           "schema");
}

static bool well_formed(struct ft_ctl_call *c)
{
    const json_t *doc = c->ctl->doc, *op = ft_ctl_doc_operation(doc, c->route);
    if (op == NULL)
        return true; /* its handler reads what came */
    const json_t *schema = body_schema(op);
    int rc = ft_ctl_schema_query(doc, op, c->query, &c->params, &c->error);
    if (rc == 0 && schema == NULL && c->n_text > 0)
        rc = ft_oai_error_set(&c->error, FT_EINVAL, NULL, NULL, "this request takes no body");
    if (rc == 0 && schema != NULL)
        rc = ft_oai_json_object(c->text, c->n_text, &c->body, &c->error);
    if (rc == 0 && schema != NULL)
        rc = ft_ctl_schema_check(doc, schema, c->body, "", &c->error);
    c->refused = rc != 0;
    return rc == 0;
}

bool ft_ctl_call_begin(struct ft_ctl_call *c)
{
    c->now_s = (int64_t)time(NULL);
    c->wait_after = -1;
    c->status = 200;
    ft_oai_error_init(&c->error);
    ft_buf_init(&c->raw, CTL_ANSWER_MAX);
    return find(c) && may(c) && well_formed(c);
}

/* ---- running ---- */

static void empty(struct ft_ctl_call *c)
{
    json_decref(c->answer);
    c->answer = NULL;
    ft_buf_reset(&c->raw);
    c->refused = false;
    c->status = 200;
    c->seq = 0;
    c->cookie[0] = '\0';
    c->wait_after = -1;
    c->n_events = 0;
    c->after = NULL;
}

static int in_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_ctl_call *c = ctx;
    empty(c);
    int rc = c->route->run(c, tx, err);
    if (rc == 0 && c->n_events > 0)
        rc = ft_state_seq_next(tx, &c->seq, err);
    return rc;
}

/* The log has the store's trouble once when it begins, now and then while it lasts, and its end. */
static void say_trouble(struct ft_ctl *ctl, int64_t now_s, const char *msg)
{
    bool same = strcmp(ctl->trouble, msg) == 0;
    if (same && (msg[0] == '\0' || now_s < ctl->trouble_said_s + TROUBLE_SAID_S))
        return;
    if (msg[0] != '\0')
        ft_log(FT_LOG_WARN, "control", "the state store cannot be used now: %s", msg);
    else
        ft_log(FT_LOG_INFO, "control", "the state store can be used again");
    snprintf(ctl->trouble, sizeof ctl->trouble, "%s", msg);
    ctl->trouble_said_s = now_s;
}

static void failed(struct ft_ctl_call *c, int rc, const struct ft_err *err)
{
    c->refused = true;
    if (!ft_state_is_trouble(rc)) {
        ft_oai_error_from(&c->error, err);
        ft_log(FT_LOG_ERROR, "control", "%s%s%s %s: %s", c->request_id,
               c->request_id[0] != '\0' ? ": " : "", c->method, c->path, err->msg);
        return;
    }
    ft_oai_error_set(&c->error, FT_EBUSY, "store_unavailable", NULL,
                     "the state store cannot be used now, nothing was changed: %s", err->msg);
    c->error.status = 503;
    c->error.retry_after_ms = RETRY;
    say_trouble(c->ctl, c->now_s, err->msg);
}

/* Is there without one, too; its handler gets no transaction. */
static bool needs_no_store(const struct ft_ctl_route *route)
{
    return route->run == ft_ctl_openapi_get || route->run == ft_ctl_history_get ||
           route->run == ft_ctl_history_series;
}

void ft_ctl_call_run(struct ft_ctl_call *c)
{
    struct ft_err err = {0};
    if (c->refused)
        return;
    if (needs_no_store(c->route)) {
        if (c->route->run(c, NULL, &err) != 0 && !c->refused)
            failed(c, err.code, &err);
        return;
    }
    int rc = c->route->writes ? ft_state_tx(c->ctl->state, in_tx, c, &err)
                              : ft_state_read(c->ctl->state, in_tx, c, &err);
    if (rc == 0 && c->raw.failed != 0)
        rc = ft_err_set(&err, FT_ELIMIT, "the answer is too long; ask for less");
    if (rc == 0 || c->refused)
        say_trouble(c->ctl, c->now_s, "");
    else
        failed(c, rc, &err);
    if (rc == 0 && c->after != NULL)
        c->after(c);
}

void ft_ctl_call_fini(struct ft_ctl_call *c)
{
    json_decref(c->body);
    json_decref(c->params);
    json_decref(c->found);
    json_decref(c->answer);
    ft_buf_fini(&c->raw);
}
