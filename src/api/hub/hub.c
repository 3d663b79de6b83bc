/* The way of a request: its path in parts, who may, the handler, answers and errors as the Hub
 * gives them. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "api/hub/impl.h"
#include "api/openai/json.h"
#include "net/url.h"

#define REV_PARTS_MAX 4 /* parts of a branch's name that was not encoded */

int ft_hub_open(const struct ft_hub_config *c, struct ft_hub **ret, struct ft_err *err)
{
    struct ft_hub *h = calloc(1, sizeof *h);
    if (h == NULL || (h->known = json_object()) == NULL) {
        free(h);
        return ft_err_set(err, FT_ENOMEM, "hub: out of memory");
    }
    h->c = *c;
    h->repos = c->repos;
    sem_init(&h->commits, 0, FT_HUB_COMMITS_MAX);
    pthread_mutex_init(&h->lock, NULL);
    *ret = h;
    return 0;
}

void ft_hub_close(struct ft_hub *h)
{
    if (h == NULL)
        return;
    json_decref(h->known);
    pthread_mutex_destroy(&h->lock);
    sem_destroy(&h->commits);
    free(h);
}

/* ---- answers ---- */

void hub_field(struct hub_call *c, const char *name, const char *value)
{
    const char *own = ft_arena_strndup(&c->x->arena, value, strlen(value));
    if (own != NULL && c->n_fields < HUB_FIELDS_MAX)
        c->field[c->n_fields++] = (struct ft_http_field){name, own};
}

int hub_json(struct hub_call *c, int status, json_t *body)
{
    char *text = body != NULL ? json_dumps(body, JSON_COMPACT | JSON_ENCODE_ANY) : NULL;
    json_decref(body);
    if (text == NULL)
        return hub_fail(c, 500, NULL, "out of memory");
    hub_field(c, "content-type", "application/json; charset=utf-8");
    ft_http_respond(c->x, status, c->field, c->n_fields, text, strlen(text));
    free(text);
    return c->status = status;
}

int hub_fail(struct hub_call *c, int status, const char *code, const char *fmt, ...)
{
    char msg[FT_ERR_MSG_MAX];
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(msg, sizeof msg, fmt, ap);
    va_end(ap);
    json_t *body = json_pack("{s:s}", "error", msg);
    if (body == NULL) /* cut within a character, or bytes of the client's */
        body = json_pack("{s:s}", "error", "the request is wrong");
    if (c->scope)
        hub_scope_error(c, status, msg, body);
    for (char *p = msg; *p != '\0'; p++)
        if ((unsigned char)*p < ' ' || (unsigned char)*p >= 0x7f)
            *p = '?';
    if (code != NULL)
        hub_field(c, "X-Error-Code", code);
    hub_field(c, "X-Error-Message", msg);
    return hub_json(c, status, body);
}

int hub_fail_err(struct hub_call *c, const struct ft_err *err)
{
    switch (ft_repo_why(err)) {
    case FT_REPO_NO_REPO:
        return hub_fail(c, 404, "RepoNotFound", "%s", err->msg);
    case FT_REPO_NO_REVISION:
        return hub_fail(c, 404, "RevisionNotFound", "%s", err->msg);
    case FT_REPO_NO_FILE:
        return hub_fail(c, 404, "EntryNotFound", "%s", err->msg);
    case FT_REPO_IS_THERE:
        return hub_fail(c, 409, NULL, "%s", err->msg);
    case FT_REPO_HEAD_MOVED:
        return hub_fail(c, 412, NULL, "%s", err->msg);
    case FT_REPO_NO_CONTENT:
    case FT_REPO_SUM:
        return hub_fail(c, 422, NULL, "%s", err->msg);
    case FT_REPO_WHY_NONE:
        break;
    }
    int status = err->code == FT_EINVAL         ? 400
                 : err->code == FT_ENOTFOUND    ? 404
                 : err->code == FT_ELIMIT       ? 413
                 : err->code == FT_EBUSY        ? 503
                 : err->code == FT_EUNAVAIL     ? 503
                 : err->code == FT_EUNSUPPORTED ? 501
                                                : 500;
    return hub_fail(c, status, NULL, "%s", err->msg);
}

const char *hub_base(struct hub_call *c)
{
    const char *host = ft_http_header(c->x, "host");
    char text[512];
    if (host == NULL || host[0] == '\0' || strlen(host) > 400)
        host = "localhost";
    int n = snprintf(text, sizeof text, "%s://%s", c->x->secure ? "https" : "http", host);
    const char *own = ft_arena_strndup(&c->x->arena, text, (size_t)n);
    return own != NULL ? own : "";
}

void hub_next(struct hub_call *c, const char *cursor)
{
    struct ft_buf b;
    size_t at = 0;
    const char *name, *value;
    ft_buf_init(&b, 16384);
    ft_buf_addf(&b, "<%s%.*s?", hub_base(c), (int)strcspn(c->x->target, "?"), c->x->target);
    while (ft_url_param_next(c->x->query, &at, &c->x->arena, &name, &value, NULL) > 0) {
        if (strcmp(name, "cursor") == 0)
            continue;
        ft_url_encode(&b, name, strlen(name));
        ft_buf_add_byte(&b, '=');
        ft_url_encode(&b, value, strlen(value));
        ft_buf_add_byte(&b, '&');
    }
    ft_buf_add_str(&b, "cursor=");
    ft_url_encode(&b, cursor, strlen(cursor));
    ft_buf_add_str(&b, ">; rel=\"next\"");
    if (b.failed == 0)
        hub_field(c, "Link", b.data);
    ft_buf_fini(&b);
}

const char *hub_url_of(struct hub_call *c, const struct ft_repo *repo)
{
    char text[600];
    int n = snprintf(text, sizeof text, "%s/%s%s/%s", hub_base(c),
                     repo->kind == FT_REPO_DATASET ? "datasets/" : "", repo->org, repo->name);
    const char *own = ft_arena_strndup(&c->x->arena, text, (size_t)FT_MIN(n, 599));
    return own != NULL ? own : "";
}

/* ---- the request ---- */

int hub_body_text(struct hub_call *c, struct ft_buf *ret)
{
    char chunk[16384];
    struct ft_err err = {0};
    int64_t n;
    while ((n = ft_lane_read(c->lane, chunk, sizeof chunk, &err)) > 0)
        if (ft_buf_add(ret, chunk, (size_t)n) != 0)
            return hub_fail(c, 413, NULL, "the body has more than %zu bytes", ret->max_bytes);
    return n < 0 ? hub_fail_err(c, &err) : 0;
}

int hub_body(struct hub_call *c, json_t **ret)
{
    struct ft_buf b;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_buf_init(&b, FT_HUB_JSON_MAX);
    int rc = hub_body_text(c, &b);
    if (rc == 0 && ft_oai_json_object(b.len > 0 ? b.data : "", b.len, ret, &e) != 0)
        rc = hub_fail(c, 400, NULL, "%s", e.err.msg);
    ft_buf_fini(&b);
    return rc;
}

static const json_t *member(const json_t *body, const char *name)
{
    const json_t *v = json_object_get(body, name);
    return json_is_null(v) ? NULL : v;
}

int hub_text(struct hub_call *c, const json_t *body, const char *name, const char **ret)
{
    const json_t *v = member(body, name);
    if (v != NULL && !json_is_string(v))
        return hub_fail(c, 400, NULL, "%s: must be a text", name);
    *ret = v != NULL ? json_string_value(v) : *ret;
    return 0;
}

int hub_truth(struct hub_call *c, const json_t *body, const char *name, bool *ret)
{
    const json_t *v = member(body, name);
    if (v != NULL && !json_is_boolean(v))
        return hub_fail(c, 400, NULL, "%s: must be true or false", name);
    *ret = v != NULL ? json_is_true(v) : *ret;
    return 0;
}

int hub_list_of(struct hub_call *c, const json_t *body, const char *name, const json_t **ret)
{
    const json_t *v = member(body, name);
    if (v != NULL && !json_is_array(v))
        return hub_fail(c, 400, NULL, "%s: must be a list", name);
    *ret = v != NULL ? v : *ret;
    return 0;
}

const char *hub_param(struct hub_call *c, const char *name)
{
    const char *value = NULL;
    struct ft_err err;
    return ft_url_param(c->x->query, name, &c->x->arena, &value, &err) == 0 ? value : NULL;
}

bool hub_flag(struct hub_call *c, const char *name)
{
    const char *v = hub_param(c, name);
    return v != NULL && strcasecmp(v, "false") != 0 && strcmp(v, "0") != 0;
}

bool hub_expands(struct hub_call *c, const char *what)
{
    size_t at = 0;
    const char *name, *value;
    while (ft_url_param_next(c->x->query, &at, &c->x->arena, &name, &value, NULL) > 0)
        if (strncmp(name, "expand", 6) == 0 && strcmp(value, what) == 0)
            return true;
    return false;
}

int hub_limit(struct hub_call *c, int usual, int *ret)
{
    const char *v = hub_param(c, "limit");
    char *end = NULL;
    long n = v != NULL ? strtol(v, &end, 10) : usual;
    if (v != NULL && (v[0] < '0' || v[0] > '9' || *end != '\0' || n < 1))
        return hub_fail(c, 400, NULL, "limit: must be a whole number of at least 1");
    *ret = (int)FT_MIN(n, (long)FT_HUB_PAGE_MAX);
    return 0;
}

/* The target's path by its '/', each part decoded on its own: an encoded '/' is within one. */
static int split(struct hub_call *c)
{
    const char *p = c->x->target, *end = p + strcspn(p, "?");
    struct ft_err err;
    while (p < end) {
        const char *next = memchr(p + 1, '/', (size_t)(end - p) - 1), *part = NULL;
        if (next == NULL)
            next = end;
        if (c->n_parts == HUB_PARTS_MAX ||
            (next - p > 1 && ft_url_path(p, (size_t)(next - p), &c->x->arena, &part, &err) != 0))
            return hub_fail(c, 400, NULL, "the path of the URL is not one of a hub");
        c->part[c->n_parts++] = part != NULL ? part + 1 : "";
        p = next;
    }
    return 0;
}

bool hub_sees(const struct ft_hub_who *who, const struct ft_repo *repo)
{
    return !repo->is_private || who->everywhere || strcmp(who->project, repo->org) == 0;
}

bool hub_changes(const struct ft_hub_who *who, const char *org)
{
    return who->may_write && (who->everywhere || strcmp(who->project, org) == 0);
}

int hub_may_not(struct hub_call *c, const char *org)
{
    if (!c->who->may_write)
        return hub_fail(c, 403, NULL,
                        "this key may not write to the hub: that needs the action hub.write and "
                        "the role developer or admin");
    return hub_fail(c, 403, NULL,
                    "this key may not change what belongs to '%.64s': its organization is '%s'",
                    org, c->who->project);
}

static int no_repo(struct hub_call *c, enum ft_repo_kind kind, const char *org, const char *name)
{
    return hub_fail(c, 404, "RepoNotFound", "there is no %s '%.100s/%.100s'",
                    ft_repo_kind_name(kind), org, name);
}

int hub_repo(struct hub_call *c, enum ft_repo_kind kind, int at, bool write)
{
    struct ft_err err = {0};
    const char *org = c->n_parts > at ? c->part[at] : "";
    char name[256];
    snprintf(name, sizeof name, "%s", c->n_parts > at + 1 ? c->part[at + 1] : "");
    size_t n = strlen(name);
    if (n > 4 && strcmp(name + n - 4, ".git") == 0)
        name[n - 4] = '\0';
    c->kind = kind;
    int rc = ft_repo_get(c->hub->repos, kind, org, name, &c->repo, &err);
    if (rc == FT_ENOTFOUND || (rc == 0 && !hub_sees(c->who, &c->repo)))
        return no_repo(c, kind, org, name);
    if (rc != 0)
        return hub_fail_err(c, &err);
    if (write && !hub_changes(c->who, c->repo.org))
        return hub_may_not(c, c->repo.org);
    return 0;
}

/* The parts from `from` on, with '/'. */
static const char *joined(struct hub_call *c, int from, int end)
{
    struct ft_buf b;
    ft_buf_init(&b, 8192);
    for (int i = from; i < end; i++)
        ft_buf_addf(&b, "%s%s", i > from ? "/" : "", c->part[i]);
    while (b.len > 0 && b.data[b.len - 1] == '/')
        b.len--;
    const char *own = ft_arena_strndup(&c->x->arena, b.len > 0 ? b.data : "", b.len);
    ft_buf_fini(&b);
    return own != NULL ? own : "";
}

const char *hub_rest(struct hub_call *c, int at)
{
    return joined(c, at, c->n_parts);
}

/* A '/' in a branch's name should come encoded; not all clients do that, so a name that is not
 * there is tried with the parts behind it. */
int hub_revision(struct hub_call *c, int at)
{
    struct ft_err err = {0}, longer;
    int n = 1;
    c->rev = c->n_parts > at && c->part[at][0] != '\0' ? c->part[at] : "main";
    int rc = ft_repo_resolve(c->hub->repos, &c->repo, c->rev, c->commit, NULL, &err);
    for (; rc == FT_ENOTFOUND && n < REV_PARTS_MAX && at + n < c->n_parts; n++) {
        const char *rev = joined(c, at, at + n + 1);
        if (ft_repo_resolve(c->hub->repos, &c->repo, rev, c->commit, NULL, &longer) == 0) {
            c->rev = rev;
            rc = 0;
        }
    }
    if (rc != 0)
        return hub_fail_err(c, &err);
    c->path = joined(c, at + n, c->n_parts);
    hub_field(c, "X-Repo-Commit", c->commit);
    return 0;
}

int ft_hub_find(struct ft_hub *h, const struct ft_hub_who *who, const char *what,
                struct ft_repo *ret, char ret_commit[FT_REPO_OID_BYTES], struct ft_err *err)
{
    char text[512];
    snprintf(text, sizeof text, "%s", what);
    char *slash = strchr(text, '/'), *at = strchr(text, '@');
    if (at != NULL)
        *at++ = '\0';
    if (slash == NULL || strchr(slash + 1, '/') != NULL)
        return ft_err_set(err, FT_EINVAL, "'%.200s' is not ORG/NAME or ORG/NAME@REVISION", what);
    *slash++ = '\0';
    int rc = ft_repo_get(h->repos, FT_REPO_MODEL, text, slash, ret, err);
    if (rc == 0 && !hub_sees(who, ret))
        rc = ft_err_set(err, FT_ENOTFOUND, "there is no model '%.100s/%.100s'", text, slash);
    return rc != 0
               ? rc
               : ft_repo_resolve(h->repos, ret, at != NULL ? at : "main", ret_commit, NULL, err);
}

/* ---- routes ---- */

struct route {
    const char *method, *path; /* behind ORG/NAME; "*": anything more */
    bool write, revision;      /* the part behind is a revision */
    hub_handler *run;
};

static int auth_check(struct hub_call *c)
{
    return hub_json(c, 200, json_object());
}

static int no_xet(struct hub_call *c)
{
    return hub_fail(c, 501, "XetUnsupported",
                    "this hub has no Xet storage: set HF_HUB_DISABLE_XET=1 (or pip uninstall "
                    "hf_xet) and upload again");
}

static int no_discussions(struct hub_call *c)
{
    return hub_fail(c, 501, NULL, "this hub keeps no discussions and no pull requests");
}

/* Lists of what is not kept here are empty; clients look for them unasked. */
static int none(struct hub_call *c)
{
    return hub_json(c, 200, json_array());
}

static int discussions(struct hub_call *c)
{
    if (c->n_parts > 5)
        return no_discussions(c);
    return hub_json(c, 200, json_pack("{s:[],s:i,s:i}", "discussions", "count", 0, "start", 0));
}

static const struct route repo_routes[] = {
    {"GET", "", false, false, hub_info},
    {"GET", "revision", false, true, hub_info},
    {"GET", "tree", false, true, hub_tree},
    {"POST", "paths-info", false, true, hub_paths_info},
    {"GET", "refs", false, false, hub_refs},
    {"GET", "commits", false, true, hub_commits},
    {"POST", "preupload", true, false, hub_preupload},
    {"POST", "commit", true, false, hub_commit},
    {"POST", "super-squash", true, false, hub_squash},
    {"POST", "branch", true, false, hub_branch},
    {"DELETE", "branch", true, false, hub_branch},
    {"POST", "tag", true, false, hub_tag},
    {"DELETE", "tag", true, false, hub_tag},
    {"PUT", "settings", true, false, hub_settings},
    {"GET", "auth-check", false, false, auth_check},
    {"GET", "xet-read-token", false, false, no_xet},
    {"GET", "xet-write-token", false, false, no_xet},
    {"GET", "discussions", false, false, discussions},
    {"POST", "discussions", false, false, no_discussions},
    {"GET", "likers", false, false, none},
};

static int unknown(struct hub_call *c)
{
    return hub_fail(c, 404, NULL, "the hub has no %s %.200s", c->x->method, c->x->target);
}

static const char *method_of(const struct hub_call *c)
{
    return strcmp(c->x->method, "HEAD") == 0 ? "GET" : c->x->method;
}

/* /api/models/ORG/NAME/... */
static int on_repo(struct hub_call *c, enum ft_repo_kind kind)
{
    const char *verb = c->n_parts > 4 ? c->part[4] : "";
    for (size_t i = 0; i < FT_COUNT(repo_routes); i++) {
        const struct route *r = &repo_routes[i];
        if (strcmp(r->path, verb) != 0 || strcmp(r->method, method_of(c)) != 0)
            continue;
        int rc = hub_repo(c, kind, 2, r->write);
        if (rc == 0 && r->revision)
            rc = hub_revision(c, 5);
        return rc != 0 ? rc : r->run(c);
    }
    return unknown(c);
}

static const struct {
    const char *method, *a, *b; /* /api/a/b */
    hub_handler *run;
} api_routes[] = {
    {"GET", "whoami-v2", "", hub_whoami},
    {"POST", "repos", "create", hub_create},
    {"DELETE", "repos", "delete", hub_delete},
    {"POST", "repos", "move", hub_move},
    {"POST", "validate-yaml", "", hub_validate_yaml},
};

/* /api/spaces, /api/collections: there are none. */
static int on_none(struct hub_call *c, const char *what)
{
    if (strcmp(method_of(c), "GET") != 0)
        return hub_fail(c, 501, NULL, "this hub keeps no %s", what);
    return c->n_parts == 2 ? none(c)
                           : hub_fail(c, 404, "RepoNotFound", "this hub keeps no %s", what);
}

static int on_api(struct hub_call *c)
{
    const char *a = c->n_parts > 1 ? c->part[1] : "", *b = c->n_parts > 2 ? c->part[2] : "";
    bool models = strcmp(a, "models") == 0, datasets = strcmp(a, "datasets") == 0;
    for (size_t i = 0; i < FT_COUNT(api_routes); i++)
        if (strcmp(api_routes[i].a, a) == 0 && strcmp(api_routes[i].b, b) == 0 &&
            strcmp(api_routes[i].method, method_of(c)) == 0)
            return api_routes[i].run(c);
    c->kind = datasets ? FT_REPO_DATASET : FT_REPO_MODEL;
    if ((models || datasets) && c->n_parts == 2 && strcmp(method_of(c), "GET") == 0)
        return hub_list(c);
    if ((models || datasets) && c->n_parts > 3)
        return on_repo(c, c->kind);
    if (models || datasets) /* a name without its ORG */
        return no_repo(c, c->kind, "", b);
    if (strcmp(a, "spaces") == 0 || strcmp(a, "collections") == 0)
        return on_none(c, a);
    if (strcmp(a, "v1") == 0)
        return hub_scope(c);
    if (strcmp(a, "hub") == 0)
        return hub_lfs_transfer(c);
    return unknown(c);
}

/* /ORG/NAME/resolve/REV/PATH, /datasets/..., /models/... (ModelScope), /ORG/NAME.git/info/lfs */
static int on_files(struct hub_call *c)
{
    bool datasets = strcmp(c->part[0], "datasets") == 0;
    int at = datasets || strcmp(c->part[0], "models") == 0;
    enum ft_repo_kind kind = datasets ? FT_REPO_DATASET : FT_REPO_MODEL;
    const char *verb = c->n_parts > at + 2 ? c->part[at + 2] : "";
    bool get = strcmp(method_of(c), "GET") == 0;
    if (get && (strcmp(verb, "resolve") == 0 || strcmp(verb, "raw") == 0)) {
        int rc = hub_repo(c, kind, at, false);
        if (rc == 0 && at == 1 && !datasets)
            hub_scope_master(c, at + 3);
        if (rc == 0)
            rc = hub_revision(c, at + 3);
        c->pointers = strcmp(verb, "raw") == 0;
        return rc != 0 ? rc : hub_resolve(c);
    }
    if (strcmp(verb, "info") == 0 && c->n_parts == at + 6 && strcmp(c->part[at + 3], "lfs") == 0 &&
        strcmp(c->part[at + 4], "objects") == 0 && strcmp(c->x->method, "POST") == 0) {
        int rc = hub_repo(c, kind, at, false);
        if (rc == 0 && strcmp(c->part[at + 5], "batch") == 0)
            return hub_lfs_batch(c);
        if (rc == 0 && strcmp(c->part[at + 5], "verify") == 0)
            return hub_lfs_verify(c);
        return rc != 0 ? rc : unknown(c);
    }
    return unknown(c);
}

/* Who signs a commit: the key's name in letters that git takes. */
static void author_of(struct hub_call *c)
{
    const char *name = c->who->name[0] != '\0' ? c->who->name : c->who->key;
    snprintf(c->author, sizeof c->author, "%s", name[0] != '\0' ? name : "feitian");
    for (char *p = c->author; *p != '\0'; p++)
        if (strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-", *p) == NULL)
            *p = '-';
}

int ft_hub_serve(struct ft_hub *h, struct ft_lane *l, const struct ft_hub_who *who)
{
    struct hub_call c = {.hub = h, .lane = l, .x = l->x, .who = who, .path = "", .rev = ""};
    hub_field(&c, "X-Request-Id", who->request_id);
    author_of(&c);
    if (split(&c) != 0)
        return c.status;
    if (c.n_parts == 0)
        return unknown(&c);
    return strcmp(c.part[0], "api") == 0 ? on_api(&c) : on_files(&c);
}
