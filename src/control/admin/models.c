/* Models and adapters: files of HOME/models and HOME/adapters that workers may open.
 *
 * What a file says about itself is read by `feitian inspect` in a process of its own, since files
 * are hostile; control reads that process's JSON alone. Adapters are looked at when a worker loads
 * them; here only that their two files are there. */
#include <errno.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/folder.h"
#include "control/inner.h"
#include "control/tune/tune.h"
#include "sched/ask.h"

#define INSPECT_MS    60000
#define INSPECT_BYTES ((size_t)8 << 20)
#define USERS_SHOWN   4 /* of what uses a model, by name in a refusal */
#define USERS_BYTES   ((size_t)1024)

/* ---- where it is ---- */

/* The real path, which must lie in one of the two folders: no link leads out. */
static int real_path(struct ft_ctl_call *c, char ret[PATH_MAX])
{
    static const char *const folders[] = {"models", "adapters"};
    const char *path = ft_ctl_text(c->body, "path");
    char full[PATH_MAX], folder[PATH_MAX], root[PATH_MAX];
    int n = snprintf(full, sizeof full, "%s%s%s", path[0] == '/' ? "" : c->ctl->home,
                     path[0] == '/' ? "" : "/", path);
    if (n >= (int)sizeof full || realpath(full, ret) == NULL)
        return ft_ctl_refuse(c, 400, "invalid_value", "path", "path: %s: %s", path,
                             strerror(errno));
    for (size_t i = 0; i < FT_COUNT(folders); i++) {
        if (snprintf(folder, sizeof folder, "%s/%s", c->ctl->home, folders[i]) >= PATH_MAX ||
            realpath(folder, root) == NULL)
            continue;
        size_t len = strlen(root);
        if (strncmp(ret, root, len) == 0 && ret[len] == '/')
            return 0;
    }
    return ft_ctl_refuse(c, 400, "invalid_value", "path",
                         "path: must lie in %s/models or %s/adapters (where links lead counts)",
                         c->ctl->home, c->ctl->home);
}

static __thread int64_t total_bytes;

static int add_size(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)path;
    (void)ftw;
    if (flag == FTW_F)
        total_bytes += st->st_size;
    return 0;
}

static int64_t bytes_on_disk(const char *path)
{
    total_bytes = 0;
    nftw(path, add_size, 16, FTW_PHYS);
    return total_bytes;
}

/* ---- the process that reads it ---- */

/* What it says without its own name. */
static const char *plain_words(const char *says)
{
    return strncmp(says, "feitian inspect: ", 17) == 0 ? says + 17 : says;
}

/* *ret_none: it came to its end and says that this is no model. */
static int inspect(struct ft_ctl_call *c, const char *path, bool *ret_none, json_t **ret)
{
    char *const argv[] = {
        (char *)c->ctl->opt->program, "inspect", "--json", "--confined", (char *)path, NULL};
    struct ft_ask ask = {.argv = argv, .timeout_ms = INSPECT_MS};
    struct ft_ask_answer a;
    struct ft_buf out;
    struct ft_err err = {0};
    ft_buf_init(&out, INSPECT_BYTES);
    int rc = ft_ask(&ask, &out, &a, &err);
    if (rc != 0) {
        ft_buf_fini(&out);
        return ft_ctl_refuse(c, 503, "overloaded", NULL, "the file cannot be looked at now: %s",
                             err.msg);
    }
    json_t *found =
        a.whole && a.status == 0 && out.len > 0 ? json_loadb(out.data, out.len, 0, NULL) : NULL;
    if (!a.whole)
        rc = ft_ctl_refuse(c, 400, "invalid_value", "path", "path: takes too long to look at");
    else if (WIFSIGNALED(a.status))
        rc = ft_ctl_refuse(c, 400, "invalid_value", "path",
                           "path: reading it ended the process that did (signal %d)",
                           WTERMSIG(a.status));
    else if (found == NULL)
        rc = ft_ctl_refuse(c, 400, "invalid_value", "path", "path: is no model: %s",
                           plain_words(a.says));
    ft_buf_fini(&out);
    *ret_none = rc != 0 && a.whole && WIFEXITED(a.status) && a.status != 0;
    *ret = found;
    return rc;
}

/* ---- making one ---- */

static void copy(json_t *to, const char *name, json_t *v)
{
    if (v != NULL && !json_is_null(v))
        json_object_set(to, name, v);
}

/* The row's members from what inspect says; NULL in the answer where it does not say. */
static json_t *describe(const json_t *said)
{
    json_t *o = json_object(), *tasks = json_array();
    copy(o, "format", json_object_get(said, "source"));
    copy(o, "arch", json_object_get(said, "architecture"));
    copy(o, "params", json_object_get(said, "parameters"));
    copy(o, "n_ctx", json_object_get(json_object_get(said, "shape"), "context_length"));
    if (json_is_true(json_object_get(said, "chat_template")))
        json_array_append_new(tasks, json_string("chat"));
    json_array_append_new(tasks, json_string("completions"));
    json_array_append_new(tasks, json_string("embeddings"));
    json_array_append_new(tasks, json_string("rerank"));
    json_object_set_new(o, "tasks", tasks);
    return o;
}

static int describe_adapter(struct ft_ctl_call *c, const char *path, bool *ret_none, json_t **ret)
{
    static const char *const files[] = {"adapter_config.json", "adapter_model.safetensors"};
    char file[PATH_MAX];
    for (size_t i = 0; i < FT_COUNT(files); i++)
        if (snprintf(file, sizeof file, "%s/%s", path, files[i]) >= PATH_MAX ||
            access(file, R_OK) != 0) {
            *ret_none = true;
            return ft_ctl_refuse(c, 400, "invalid_value", "path",
                                 "path: an adapter is a folder with %s in it", files[i]);
        }
    *ret = json_pack("{s:s,s:[]}", "format", "peft", "tasks");
    return 0;
}

int ft_ctl_model_look(struct ft_ctl_call *c, const char *path, bool adapter, bool *ret_none,
                      json_t **ret)
{
    json_t *said = NULL, *row = NULL;
    *ret_none = false;
    int rc =
        adapter ? describe_adapter(c, path, ret_none, &row) : inspect(c, path, ret_none, &said);
    if (rc != 0)
        return rc;
    if (!adapter)
        row = describe(said);
    json_decref(said);
    json_object_set_new(row, "path", json_string(path));
    json_object_set_new(row, "bytes", json_integer(bytes_on_disk(path)));
    *ret = row;
    return 0;
}

/* Outside of the store: what lies at the path, or in the hub. */
void ft_ctl_models_inspect(struct ft_ctl_call *c)
{
    char path[PATH_MAX];
    bool none, adapter = ft_ctl_text(c->body, "adapter_of") != NULL;
    const char *hub = ft_ctl_text(c->body, "hub");
    if ((hub != NULL) == (ft_ctl_text(c->body, "path") != NULL))
        ft_ctl_refuse(c, 400, "invalid_value", "path", "path: either path or hub must be given");
    else if (hub != NULL && !ft_ctl_is_hub(hub))
        ft_ctl_refuse(c, 400, "invalid_value", "hub", "hub: must be ORG/NAME@REVISION");
    else if (hub != NULL)
        ft_ctl_hub_fetch(c, "hub", hub, adapter, &c->found);
    else if (real_path(c, path) == 0)
        ft_ctl_model_look(c, path, adapter, &none, &c->found);
}

static void default_name(const char *path, char *ret, size_t n)
{
    const char *base = strrchr(path, '/') + 1;
    snprintf(ret, n, "%s", base);
    size_t len = strlen(ret);
    if (len > 5 && strcmp(ret + len - 5, ".gguf") == 0)
        ret[len - 5] = '\0';
}

static int check_base(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity base = {0};
    const char *of = ft_ctl_text(c->body, "adapter_of");
    if (of == NULL)
        return 0;
    int rc = ft_ctl_get(tx, "model", of, &base, err);
    if (rc == 0 || (rc > 0 && ft_ctl_has(base.body, "adapter_of")))
        rc = ft_ctl_refuse(c, 400, "not_found", "adapter_of", "adapter_of: there is no model '%s'",
                           of);
    ft_ctl_entity_fini(&base);
    return rc < 0 ? rc : 0;
}

int ft_ctl_models_create(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    char name[400];
    struct ft_ctl_entity old = {0};
    json_t *as_name;
    bool of_hub = ft_ctl_text(c->body, "name") == NULL && ft_ctl_has(c->found, "hub");
    if (ft_ctl_text(c->body, "name") != NULL)
        snprintf(name, sizeof name, "%s", ft_ctl_text(c->body, "name"));
    else if (of_hub)
        snprintf(name, sizeof name, "%s", ft_ctl_text(c->found, "name"));
    else
        default_name(ft_ctl_text(c->found, "path"), name, sizeof name);
    as_name = json_string(name);
    int rc = 0;
    if (as_name == NULL ||
        (!of_hub &&
         ft_ctl_schema_check(
             c->ctl->doc,
             json_object_get(
                 json_object_get(
                     json_object_get(
                         json_object_get(json_object_get(c->ctl->doc, "components"), "schemas"),
                         "ModelCreate"),
                     "properties"),
                 "name"),
             as_name, "name", &c->error) != 0)) {
        c->refused = true;
        rc = FT_EINVAL;
    }
    json_decref(as_name);
    if (rc == 0)
        rc = ft_ctl_check_name(c, name);
    if (rc == 0)
        rc = check_base(c, tx, err);
    if (rc == 0)
        rc = ft_ctl_get(tx, "model", name, &old, err);
    ft_ctl_entity_fini(&old);
    if (rc > 0)
        return ft_ctl_refuse(c, 409, "already_exists", "name",
                             "name: there is a model '%s' already", name);
    if (rc < 0)
        return rc;
    json_t *body = ft_ctl_merge(c->found, c->body);
    json_object_set(body, "path", json_object_get(c->found, "path"));
    if (ft_ctl_has(c->found, "hub"))
        json_object_set(body, "hub", json_object_get(c->found, "hub"));
    json_object_set_new(body, "name", json_string(name));
    json_object_set_new(body, "created", json_integer(c->now_s));
    rc = ft_ctl_put(c, tx, "model", name, NULL, body, err);
    if (rc == 0)
        ft_ctl_answer(c, 201, ft_ctl_view_model(name, body));
    json_decref(body);
    return rc;
}

/* ---- the rest ---- */

int ft_ctl_models_list(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    const char *project = c->role == CTL_OPERATOR ? NULL : c->project;
    return ft_ctl_list(c, tx, "model", project, true, ft_ctl_view_model, NULL, NULL, err);
}

int ft_ctl_models_get(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_fetch(c, tx, "model", &e, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_view_model(e.id, e.body));
    ft_ctl_entity_fini(&e);
    return rc;
}

struct users {
    const char *model, *path; /* path: that would go too, or NULL */
    json_t *own;              /* endpoints that go along: [[id, body]]; NULL: none may */
    struct ft_buf by;         /* the others, for people */
    int n;
};

/* A name to those that use the model; past some it is counted alone. */
static void name_user(struct users *u, const char *what, const char *id)
{
    if (u->n++ < USERS_SHOWN)
        ft_buf_addf(&u->by, "%s%s '%.60s'", u->n > 1 ? ", " : "", what, id);
}

static bool is(const json_t *o, const char *member, const char *value)
{
    const char *v = ft_ctl_text(o, member);
    return v != NULL && strcmp(v, value) == 0;
}

static bool sends_to(const json_t *target, const char *model)
{
    return !ft_ctl_has(target, "url") &&
           (is(target, "model", model) || is(target, "adapter", model));
}

static int uses(void *ctx, const char *id, json_t *body)
{
    struct users *u = ctx;
    size_t i;
    bool any = false;
    json_t *target, *targets = json_object_get(body, "targets");
    json_array_foreach(targets, i, target) any |= sends_to(target, u->model);
    if (any && u->own != NULL && is(body, "name", u->model) && json_array_size(targets) == 1)
        json_array_append_new(u->own, json_pack("[s,O]", id, body));
    else if (any)
        name_user(u, "endpoint", id);
    return 0;
}

static int hangs_on(void *ctx, const char *id, json_t *body)
{
    struct users *u = ctx;
    if (is(body, "adapter_of", u->model))
        name_user(u, "adapter", id);
    else if (u->path != NULL && strcmp(id, u->model) != 0 && is(body, "path", u->path))
        name_user(u, "model of the same file,", id);
    return 0;
}

/* Once their rows are gone for good. */
static void remove_files(struct ft_ctl_call *c)
{
    size_t i;
    const json_t *path;
    json_array_foreach(c->found, i, path) ft_folder_remove_all(json_string_value(path));
}

/* All that still needs the model: refused, with their names. */
static int check_users(struct ft_ctl_call *c, struct ft_state_tx *tx, struct users *u,
                       struct ft_err *err)
{
    struct ft_ctl_scan endpoints = {.kind = "endpoint"}, models = {.kind = "model"};
    char more[32] = "";
    int rc = ft_ctl_scan(tx, &endpoints, uses, u, err);
    if (rc == 0)
        rc = ft_ctl_scan(tx, &models, hangs_on, u, err);
    if (rc != 0 || u->n == 0)
        return rc;
    if (u->n > USERS_SHOWN)
        snprintf(more, sizeof more, " and %d more", u->n - USERS_SHOWN);
    return ft_ctl_refuse(c, 409, "in_use", NULL, "the model is used by %s%s",
                         u->by.data != NULL ? u->by.data : "others", more);
}

/* One row, with its own endpoints where `cascade`; where `files` is given, its path goes there. */
static int drop_model(struct ft_ctl_call *c, struct ft_state_tx *tx, const char *id,
                      const json_t *body, bool cascade, json_t *files, struct ft_err *err)
{
    struct users u = {.model = id,
                      .path = files != NULL ? ft_ctl_text(body, "path") : NULL,
                      .own = cascade ? json_array() : NULL};
    size_t i;
    json_t *own;
    ft_buf_init(&u.by, USERS_BYTES);
    int rc = check_users(c, tx, &u, err);
    json_array_foreach(u.own, i, own) if (rc == 0) rc = ft_ctl_drop(
        c, tx, "endpoint", json_string_value(json_array_get(own, 0)), json_array_get(own, 1), err);
    if (rc == 0)
        rc = ft_ctl_drop(c, tx, "model", id, body, err);
    if (rc == 0 && files != NULL)
        json_array_append(files, json_object_get(body, "path"));
    json_decref(u.own);
    ft_buf_fini(&u.by);
    return rc;
}

struct checkpoints {
    const char *of;
    json_t *rows; /* [[id, body]] */
};

static int take_checkpoint(void *ctx, const char *id, json_t *body)
{
    struct checkpoints *p = ctx;
    if (ft_tune_is_checkpoint_of(id, p->of))
        json_array_append_new(p->rows, json_pack("[s,O]", id, body));
    return 0;
}

/* What a fine-tuning left beside its result has no use without it, and nobody lists it. */
static int drop_checkpoints(struct ft_ctl_call *c, struct ft_state_tx *tx, json_t *files,
                            struct ft_err *err)
{
    struct checkpoints p = {c->id, json_array()};
    const struct ft_ctl_scan models = {.kind = "model"};
    size_t i;
    json_t *row;
    int rc = ft_ctl_scan(tx, &models, take_checkpoint, &p, err);
    json_array_foreach(p.rows, i, row) if (rc == 0) rc = drop_model(
        c, tx, json_string_value(json_array_get(row, 0)), json_array_get(row, 1), true, files, err);
    json_decref(p.rows);
    return rc;
}

int ft_ctl_models_delete(struct ft_ctl_call *c, struct ft_state_tx *tx, struct ft_err *err)
{
    struct ft_ctl_entity e = {0};
    bool cascade = json_is_true(json_object_get(c->params, "cascade"));
    json_t *files = json_is_true(json_object_get(c->params, "delete_file")) ? json_array() : NULL;
    int rc = ft_ctl_fetch(c, tx, "model", &e, err);
    if (rc == 0)
        rc = drop_model(c, tx, e.id, e.body, cascade, files, err);
    if (rc == 0 && cascade)
        rc = drop_checkpoints(c, tx, files, err);
    if (rc == 0)
        ft_ctl_answer(c, 200, ft_ctl_deleted("model", e.id));
    if (rc == 0 && files != NULL) {
        json_decref(c->found);
        c->found = json_incref(files);
        c->after = remove_files;
    }
    json_decref(files);
    ft_ctl_entity_fini(&e);
    return rc;
}
