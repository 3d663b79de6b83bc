/* The way in: the table of routes, who may use them, and ids of requests. */
#include <string.h>
#include <strings.h>
#include <sys/random.h>
#include <time.h>

#include "gateway/sessions.h"
#include "gateway/watch/requests.h"
#include "net/cookie.h"
#include "net/url.h"

#define SCOPE_COOKIE    "m_session_id" /* ModelScope's, with a key in it */
#define ALLOW_BYTES_MAX 128            /* names of methods */

static const struct gw_route model_routes[] = {
    {"POST", "/v1/chat/completions", "chat", "chat.completions", GW_OPENAI, gw_call_model,
     FT_TASK_CHAT, 0, 0},
    {"POST", "/v1/completions", "completions", "completions", GW_OPENAI, gw_call_model,
     FT_TASK_TEXT, 0, 0},
    {"POST", "/v1/embeddings", "embeddings", "embeddings", GW_OPENAI, gw_call_model, FT_TASK_EMBED,
     0, 0},
    {"POST", "/v1/rerank", "rerank", "rerank", GW_OPENAI, gw_call_model, FT_TASK_RERANK, 0, 0},
    {"POST", "/v1/responses", "chat", "responses", GW_OPENAI, gw_responses, FT_TASK_CHAT, 0, 0},
    {"POST", "/v1/responses/input_tokens", "chat", "responses.count", GW_OPENAI, gw_responses,
     FT_TASK_COUNT, 0, 0},
    {"GET", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0, 0, 0},
    {"POST", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0, 0, 0},
    {"DELETE", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0, 0,
     0},
    {"POST", "/v1/messages", "chat", "messages", GW_ANTHROPIC, gw_call_message, FT_TASK_CHAT, 0, 0},
    {"POST", "/v1/messages/count_tokens", "chat", "messages.count", GW_ANTHROPIC, gw_call_message,
     FT_TASK_COUNT, 0, 0},
    {"GET", "/v1/models", "models", "models", GW_OPENAI, gw_list_models, 0, 0, 0},
    {"GET", "/v1/models/*", "models", "models", GW_OPENAI, gw_get_model, 0, 0, 0},
};
const struct gw_table gw_model_routes = {model_routes, FT_COUNT(model_routes)};

static const struct gw_route control_routes[] = {
    {"GET", "/v1/usage", "usage", "usage", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/v1/usage/*", "usage", "usage", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/v1/organization/*", "usage", "usage", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/api/v1/status", "models", "admin", GW_OPENAI, gw_status, 0, GW_BARE, 0},
    {"GET", "/api/v1/s3/credentials", "", "admin", GW_OPENAI, gw_s3_credentials, 0, GW_BARE, 0},
    {"POST", "/api/v1/s3/presign", "", "admin", GW_OPENAI, gw_s3_presign, 0, GW_BARE, 0},
    {"GET", "/api/v1/openapi.json", NULL, NULL, GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/api/v1/usage", "usage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/api/v1/usage/*", "usage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/api/v1/*", "models", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"POST", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"PUT", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"PATCH", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"DELETE", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0, 0, 0},
    {"GET", "/metrics", NULL, NULL, GW_OPENAI, gw_metrics, 0, 0, 0},
    {"GET", "/health", NULL, NULL, GW_OPENAI, gw_health, 0, 0, 0},
    {"GET", "/", NULL, NULL, GW_OPENAI, gw_index, 0, 0, 0},
    {"GET", "/console", NULL, NULL, GW_OPENAI, gw_console_enter, 0, 0, 0},
    {"GET", "/console/", NULL, NULL, GW_OPENAI, gw_console, 0, 0, 0},
    {"GET", "/console/*", NULL, NULL, GW_OPENAI, gw_console, 0, 0, 0},
};
const struct gw_table gw_control_routes = {control_routes, FT_COUNT(control_routes)};

/* What is narrower comes first; control's take all the rest of /api/v1. */
static const struct gw_table *const tables[] = {
    &gw_model_routes,   &gw_file_routes,  &gw_hub_routes,     &gw_tune_routes,
    &gw_request_routes, &gw_kept_routes,  &gw_session_routes, &gw_monitor_routes,
    &gw_control_routes, &gw_scrub_routes, &gw_hold_routes,    &gw_leftover_routes};

/* 24 digits of base 62: 142 bits. Random bytes are drawn for many ids at a time. */
void gw_id_new(char ret[GW_ID_BYTES])
{
    static const char digit[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    static __thread unsigned char pool[256];
    static __thread size_t left;
    strcpy(ret, "req_");
    for (size_t i = 4; i < 28;) {
        if (left == 0) {
            left = sizeof pool;
            while (getrandom(pool, left, 0) != (ssize_t)left)
                ;
        }
        unsigned char c = pool[--left];
        if (c < 248) /* 4 * 62: every digit as likely */
            ret[i++] = digit[c % 62];
    }
    ret[28] = '\0';
}

/* One part of the target's path, the '/' before it included, decoded without it; NULL: not one. */
static const char *part_of(struct ft_http_exchange *x, const char *raw, size_t n)
{
    const char *part = NULL;
    struct ft_err err;
    if (n < 2 || ft_url_path(raw, n, &x->arena, &part, &err) != 0)
        return NULL;
    return part + 1;
}

/* Where a path ends in a target. */
static const char *path_end(const char *target)
{
    return target + strcspn(target, "?");
}

/* A pattern with "{}": compared part by part with the target as it was sent. */
static bool parts_match(struct gw_request *r, const char *pattern)
{
    const char *at = r->x->target, *end = path_end(at);
    int n = 0;
    while (*pattern == '/' && at < end && *at == '/') {
        size_t n_want = 1 + strcspn(pattern + 1, "/");
        const char *next = memchr(at + 1, '/', (size_t)(end - at) - 1);
        size_t n_has = (size_t)((next != NULL ? next : end) - at);
        if (strcmp(pattern, "/*") == 0) {
            const char *rest = part_of(r->x, at, (size_t)(end - at));
            r->rest = rest != NULL ? rest : "";
            return rest != NULL;
        }
        if (n_want == 3 && memcmp(pattern, "/{}", 3) == 0) {
            const char *part = n < GW_PARTS_MAX ? part_of(r->x, at, n_has) : NULL;
            if (part == NULL)
                return false;
            r->part[n++] = part;
        } else if (n_want != n_has || memcmp(pattern, at, n_has) != 0) {
            return false;
        }
        pattern += n_want;
        at += n_has;
    }
    return *pattern == '\0' && at == end;
}

static bool path_matches(struct gw_request *r, const char *pattern)
{
    const char *path = r->x->path;
    size_t n = strlen(pattern);
    if (path == NULL)
        return false;
    if (strstr(pattern, "/{}") != NULL)
        return parts_match(r, pattern);
    if (pattern[n - 1] != '*')
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, n - 1) != 0 || path[n - 1] == '\0')
        return false;
    r->rest = path + n - 1;
    return true;
}

static bool method_matches(const struct gw_route *route, const char *method)
{
    return strcmp(route->method, method) == 0 || route->method[0] == '*';
}

/* Does it say that it is ModelScope's client? */
static bool is_scope(const struct gw_request *r)
{
    const char *agent = ft_http_header(r->x, "user-agent");
    return agent != NULL && strncasecmp(agent, "modelscope", 10) == 0;
}

/* The route, or NULL with *e filled: 404, or 405 if the path is there for other methods. */
static const struct gw_route *find(struct gw_request *r, struct ft_oai_error *e)
{
    struct ft_http_exchange *x = r->x;
    struct ft_buf allow;
    const char *method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
    ft_buf_init(&allow, ALLOW_BYTES_MAX);
    for (size_t t = 0; t < FT_COUNT(tables); t++) {
        for (const struct gw_route *row = tables[t]->rows; row < tables[t]->rows + tables[t]->n;
             row++) {
            if (((row->flags & GW_INNER) != 0 && !r->inner) ||
                ((row->flags & GW_SCOPE) != 0 && !is_scope(r)) || !path_matches(r, row->path))
                continue;
            if (method_matches(row, method)) {
                ft_buf_fini(&allow);
                return row;
            }
            if (allow.len == 0 || strstr(allow.data, row->method) == NULL)
                ft_buf_addf(&allow, "%s%s", allow.len > 0 ? ", " : "", row->method);
        }
    }
    if (allow.len == 0) {
        gw_unknown(r, e);
        return NULL;
    }
    r->allow = ft_arena_strndup(&x->arena, allow.data, allow.len);
    ft_buf_fini(&allow);
    ft_oai_error_set(e, FT_ENOTFOUND, "method_not_allowed", NULL, "%s is not allowed on %s",
                     x->method, x->path);
    e->status = 405;
    return NULL;
}

void gw_unknown(struct gw_request *r, struct ft_oai_error *e)
{
    const struct ft_http_exchange *x = r->x;
    ft_oai_error_set(e, FT_ENOTFOUND, "unknown_url", NULL, "Unknown request URL: %s %s", x->method,
                     x->path != NULL ? x->path : x->target);
    e->status = x->path != NULL ? 404 : 400;
}

/* What a request says that its route does not look at: a query, or a coding of JSON. */
static int check_unseen(struct gw_request *r, struct ft_oai_error *e)
{
    const struct ft_http_exchange *x = r->x;
    const char *coding = ft_http_header(x, "content-encoding"), *name, *value;
    struct ft_err err = {0};
    size_t at = 0;
    int rc = 0;
    if ((r->route->flags & GW_BARE) != 0)
        rc = ft_url_param_next(x->query, &at, &r->x->arena, &name, &value, &err);
    if (rc < 0) {
        ft_oai_error_from_query(e, &err);
        return rc;
    }
    if (rc > 0)
        return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", name,
                                "%.100s: there is no such parameter", name);
    bool json = (r->style == GW_OPENAI || r->style == GW_ANTHROPIC) &&
                (r->route->flags & (GW_LANE | GW_STORE)) == 0;
    if (!json || coding == NULL || strcasecmp(coding, "identity") == 0)
        return 0;
    ft_oai_error_set(e, FT_EUNSUPPORTED, "unsupported_media_type", NULL,
                     "Content-Encoding: bodies of requests are taken as they are, not %.32s",
                     coding);
    e->status = 415;
    return FT_EUNSUPPORTED;
}

/* "Authorization: Bearer KEY"; or "x-api-key: KEY" as Anthropic's clients send it; or a cookie, as
 * ModelScope's does (no browser has one: nobody sets it). */
static const char *sent_secret(struct ft_http_exchange *x)
{
    struct ft_slice v;
    const char *a = ft_http_header(x, "authorization");
    if (a != NULL && strncasecmp(a, "bearer ", 7) == 0) {
        a += 7;
        return a + strspn(a, " ");
    }
    a = ft_http_header(x, "x-api-key");
    if (a == NULL && ft_cookie_find(ft_http_header(x, "cookie"), SCOPE_COOKIE, &v))
        a = ft_arena_strndup(&x->arena, v.p, v.n);
    return a != NULL ? a : "";
}

/* Hugging Face's client for JavaScript sends nothing that does not begin with "hf_": keys may. */
static const char *secret_of(struct ft_http_exchange *x)
{
    const char *secret = sent_secret(x);
    return strncmp(secret, "hf_sk-ft-", 9) == 0 ? secret + 3 : secret;
}

/* By its secret; or, from a process of this cloud, by its id. */
static int identify(struct gw_request *r, enum ft_tenant_why *why, struct ft_err *err)
{
    const char *id = r->inner ? ft_http_header(r->x, "x-feitian-key") : NULL;
    if (id != NULL)
        return ft_tenant_find(r->gw->tenant, id, (int64_t)time(NULL), &r->ident, why, err);
    const char *secret = secret_of(r->x);
    return ft_tenant_authenticate(r->gw->tenant, secret, strlen(secret), (int64_t)time(NULL),
                                  &r->ident, why, err);
}

int gw_authenticate(struct gw_request *r, const char *action, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    enum ft_tenant_why why = FT_WHY_OK;
    bool cookie = gw_has_cookie(r) && !(r->inner && ft_http_header(r->x, "x-feitian-key") != NULL);
    int rc = cookie ? gw_identify_cookie(r, e) : identify(r, &why, &err);
    if (rc != 0 && cookie)
        return rc;
    if (rc == 0)
        r->project = ft_arena_strndup(&r->x->arena, r->ident->project, strlen(r->ident->project));
    if (rc == 0 && r->project == NULL)
        rc = ft_err_set(&err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        gw_trace_known(r);
    if (rc == 0 && action[0] != '\0')
        rc = ft_tenant_may(r->ident, action, NULL, &why, &err);
    if (rc == 0)
        return 0;
    ft_oai_error_set(e, FT_EINVAL, ft_tenant_why_code(why), NULL, "%s", err.msg);
    e->type = ft_tenant_why_type(why);
    e->status = ft_tenant_why_status(why);
    return rc;
}

/* ---- the end ---- */

static void let_go(struct gw_request *r)
{
    if (atomic_fetch_sub(&r->holds, 1) != 1)
        return;
    int status = atomic_load(&r->status);
    ft_quota_give(r->gw->quota, &r->lane_hold, false);
    ft_quota_give(r->gw->quota, &r->bytes_hold, status >= 200 && status < 300);
    gw_meter_request(&r->gw->meter, r);
    gw_record(r);
    ft_tenant_ident_unref(r->ident);
}

static const struct gw_closing is_closed;

static void closed(void *ctx, struct ft_http_exchange *x, bool clean)
{
    struct gw_request *r = ctx;
    (void)x;
    const struct gw_closing *c = atomic_exchange(&r->closing, &is_closed);
    if (c != NULL)
        c->fn(c->ctx, clean);
    let_go(r);
}

void gw_on_close(struct gw_request *r, const struct gw_closing *c)
{
    const struct gw_closing *none = NULL;
    if (!atomic_compare_exchange_strong(&r->closing, &none, c))
        c->fn(c->ctx, false);
}

/* ---- the beginning ---- */

static void on_lane(void *ctx, struct ft_lane *l)
{
    struct gw_request *r = ctx;
    struct ft_http_exchange *x = ft_http_ref(r->x); /* its arena holds r */
    r->lane = l;
    r->route->handler(r);
    let_go(r);
    ft_http_unref(x);
}

static void start_lane(struct gw_request *r)
{
    struct ft_err err = {0};
    struct ft_oai_error e;
    atomic_fetch_add(&r->holds, 1);
    int rc = 0;
    if (r->project[0] != '\0') /* of S3, api/s3 finds out whose it is */
        rc = ft_quota_lane(r->gw->quota, r->project, &r->lane_hold, &err);
    if (rc == 0)
        rc = gw_record_begin(r, &err);
    if (rc == 0)
        rc = ft_lane_start(r->gw->lanes, r->x, r->route->body_max, on_lane, r, &err);
    if (rc == 0)
        return;
    atomic_fetch_sub(&r->holds, 1);
    ft_oai_error_from(&e, &err);
    e.status = rc == FT_ELIMIT ? 413 : 503;
    e.retry_after_ms = rc == FT_ELIMIT ? 0 : 1000;
    gw_refuse(r, "", &e);
}

/* The cloud itself, for a project: what a job made is put away also when its key is gone. */
static bool is_for_project(struct gw_request *r)
{
    const char *id = r->inner ? ft_http_header(r->x, "x-feitian-project") : NULL;
    if ((r->route->flags & GW_PROJECT) == 0 || id == NULL || id[0] == '\0' ||
        ft_http_header(r->x, "x-feitian-key") != NULL)
        return false;
    const char *project = ft_arena_strndup(&r->x->arena, id, strlen(id));
    r->project = project != NULL ? project : "";
    return project != NULL;
}

static bool needs_key(const struct gw_request *r)
{
    bool shown = r->inner && ft_http_header(r->x, "x-feitian-key") != NULL;
    if (r->route == &gw_s3_route)
        return gw_s3_shows_key(r);
    return r->route->action != NULL && ((r->route->flags & GW_INNER) == 0 || shown);
}

static void dispatch(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    r->route = gw_is_s3(r) ? &gw_s3_route : find(r, &e);
    if (r->route == NULL && e.status != 405 && gw_blob(r->gw) != NULL)
        r->route = &gw_bucket_route;
    if (r->route == NULL) {
        gw_fail(r, &e);
        return;
    }
    if (r->style != GW_ANTHROPIC || r->route->style != GW_OPENAI)
        r->style = r->route->style;
    r->name = r->route->name;
    if (!is_for_project(r) && needs_key(r) &&
        gw_authenticate(r, r->route->action != NULL ? r->route->action : "", &e) != 0)
        gw_refuse(r, "", &e);
    else if (check_unseen(r, &e) != 0)
        gw_refuse(r, "", &e);
    else if ((r->route->flags & GW_STORE) != 0 && gw_blob(r->gw) == NULL)
        gw_no_storage(r);
    else if ((r->route->flags & GW_LANE) != 0)
        start_lane(r);
    else
        r->route->handler(r);
}

/* What the client calls its request itself: kept beside our id where it is plain and short. */
static const char *client_id_of(const struct ft_http_exchange *x)
{
    const char *id = ft_http_header(x, "x-request-id");
    size_t n = id != NULL ? strlen(id) : 0;
    if (n == 0 || n > FT_RECORD_ID_MAX)
        return NULL;
    for (const char *p = id; *p != '\0'; p++)
        if (*p <= ' ' || *p > '~')
            return NULL;
    return id;
}

void gw_handle(void *ctx, struct ft_http_exchange *x)
{
    const struct gw_door *door = ctx;
    struct gw_request *r = ft_arena_alloc(&x->arena, sizeof *r);
    if (r == NULL)
        return; /* the server answers 500 */
    r->gw = door->gw;
    r->inner = door->inner;
    const char *line = r->inner ? ft_http_header(x, "x-feitian-batch") : NULL;
    r->batch = line != NULL && strlen(line) <= FT_RECORD_ID_MAX && ft_record_batch(line) > 0;
    r->x = x;
    x->user = r;
    r->rest = "";
    r->project = "";
    r->key = "";
    r->session = "";
    r->slot = FT_LEDGER_SLOT_NONE;
    atomic_init(&r->holds, 1);
    atomic_init(&r->accounted, r->batch); /* who asked for a batch's call records it */
    gw_id_new(r->drawn);
    r->id = r->batch ? line : r->drawn;
    r->client_id = client_id_of(x);
    if (ft_http_header(x, "anthropic-version") != NULL)
        r->style = GW_ANTHROPIC; /* its clients read errors of its form alone, on every route */
    gw_trace_begin(r);
    ft_http_on_close(x, closed, r);
    dispatch(r);
}

void gw_server_error(void *ctx, int status, const char *why, struct ft_buf *ret_body,
                     const char **ret_type)
{
    struct ft_oai_error e;
    (void)ctx;
    (void)ret_type;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EINVAL, NULL, NULL, "%s", why);
    e.status = status;
    ft_oai_error_write(&e, ret_body);
}
