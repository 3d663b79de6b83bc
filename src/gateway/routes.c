/* The way in: the table of routes, who may use them, and ids of requests. */
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/log.h"
#include "gateway/inner.h"

static const struct gw_route routes[] = {
    {"POST", "/v1/chat/completions", "chat", "chat.completions", GW_OPENAI, gw_call_model,
     FT_TASK_CHAT},
    {"POST", "/v1/completions", "completions", "completions", GW_OPENAI, gw_call_model,
     FT_TASK_TEXT},
    {"POST", "/v1/embeddings", "embeddings", "embeddings", GW_OPENAI, gw_call_model, FT_TASK_EMBED},
    {"POST", "/v1/rerank", "rerank", "rerank", GW_OPENAI, gw_call_model, FT_TASK_RERANK},
    {"POST", "/v1/responses", "chat", "responses", GW_OPENAI, gw_responses, FT_TASK_CHAT},
    {"POST", "/v1/responses/input_tokens", "chat", "responses.count", GW_OPENAI, gw_responses,
     FT_TASK_COUNT},
    {"GET", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0},
    {"POST", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0},
    {"DELETE", "/v1/responses/*", "chat", "responses.stored", GW_OPENAI, gw_response_stored, 0},
    {"POST", "/v1/messages", "chat", "messages", GW_ANTHROPIC, gw_call_message, FT_TASK_CHAT},
    {"POST", "/v1/messages/count_tokens", "chat", "messages.count", GW_ANTHROPIC, gw_call_message,
     FT_TASK_COUNT},
    {"GET", "/v1/models", "models", "models", GW_OPENAI, gw_list_models, 0},
    {"GET", "/v1/models/*", "models", "models", GW_OPENAI, gw_get_model, 0},
    {"GET", "/v1/usage", "usage", "usage", GW_OPENAI, gw_proxy, 0},
    {"GET", "/v1/usage/*", "usage", "usage", GW_OPENAI, gw_proxy, 0},
    {"GET", "/v1/organization/*", "usage", "usage", GW_OPENAI, gw_proxy, 0},
    {"GET", "/api/v1/status", "models", "admin", GW_OPENAI, gw_status, 0},
    {"GET", "/api/v1/openapi.json", NULL, NULL, GW_OPENAI, gw_proxy, 0},
    {"GET", "/api/v1/usage", "usage", "admin", GW_OPENAI, gw_proxy, 0},
    {"GET", "/api/v1/usage/*", "usage", "admin", GW_OPENAI, gw_proxy, 0},
    {"GET", "/api/v1/*", "models", "admin", GW_OPENAI, gw_proxy, 0},
    {"POST", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0},
    {"PUT", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0},
    {"PATCH", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0},
    {"DELETE", "/api/v1/*", "manage", "admin", GW_OPENAI, gw_proxy, 0},
    {"GET", "/health", NULL, NULL, GW_OPENAI, gw_health, 0},
    {"GET", "/", NULL, NULL, GW_OPENAI, gw_index, 0},
};

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

/* *ret_rest: what stands in the place of '*'. */
static bool path_matches(const char *pattern, const char *path, const char **ret_rest)
{
    size_t n = strlen(pattern);
    if (pattern[n - 1] != '*')
        return strcmp(pattern, path) == 0;
    if (strncmp(pattern, path, n - 1) != 0 || path[n - 1] == '\0')
        return false;
    *ret_rest = path + n - 1;
    return true;
}

/* The route, or NULL with *e filled: 404, or 405 if the path is there for other methods. */
static const struct gw_route *find(struct gw_request *r, struct ft_oai_error *e)
{
    const struct ft_http_exchange *x = r->x;
    bool there = false;
    const char *method = strcmp(x->method, "HEAD") == 0 ? "GET" : x->method;
    for (size_t i = 0; i < FT_COUNT(routes); i++) {
        if (!path_matches(routes[i].path, x->path, &r->rest))
            continue;
        if (strcmp(routes[i].method, method) == 0)
            return &routes[i];
        there = true;
    }
    ft_oai_error_set(e, FT_ENOTFOUND, there ? "method_not_allowed" : "unknown_url", NULL,
                     there ? "%s is not allowed on %s" : "Unknown request URL: %s %s", x->method,
                     x->path);
    e->status = there ? 405 : 404;
    return NULL;
}

/* "Authorization: Bearer KEY", or "x-api-key: KEY" as Anthropic's clients send it. */
static const char *secret_of(const struct ft_http_exchange *x)
{
    const char *a = ft_http_header(x, "authorization");
    if (a != NULL && strncasecmp(a, "bearer ", 7) == 0) {
        a += 7;
        return a + strspn(a, " ");
    }
    a = ft_http_header(x, "x-api-key");
    return a != NULL ? a : "";
}

static int authenticate(struct gw_request *r, struct ft_oai_error *e)
{
    struct ft_err err = {0};
    enum ft_tenant_why why = FT_WHY_OK;
    const char *secret = secret_of(r->x);
    int rc = ft_tenant_authenticate(r->gw->tenant, secret, strlen(secret), (int64_t)time(NULL),
                                    &r->ident, &why, &err);
    if (rc == 0)
        r->project = ft_arena_strndup(&r->x->arena, r->ident->project, strlen(r->ident->project));
    if (rc == 0 && r->project == NULL)
        rc = ft_err_set(&err, FT_ENOMEM, "out of memory");
    if (rc == 0)
        rc = ft_tenant_may(r->ident, r->route->action, NULL, &why, &err);
    if (rc == 0)
        return 0;
    ft_oai_error_set(e, FT_EINVAL, ft_tenant_why_code(why), NULL, "%s", err.msg);
    e->type = ft_tenant_why_type(why);
    e->status = ft_tenant_why_status(why);
    return rc;
}

static const struct gw_closing is_closed;

static void closed(void *ctx, struct ft_http_exchange *x, bool clean)
{
    struct gw_request *r = ctx;
    (void)x;
    const struct gw_closing *c = atomic_exchange(&r->closing, &is_closed);
    if (c != NULL)
        c->fn(c->ctx, clean);
    gw_record(r);
    ft_tenant_ident_unref(r->ident);
}

void gw_on_close(struct gw_request *r, const struct gw_closing *c)
{
    const struct gw_closing *none = NULL;
    if (!atomic_compare_exchange_strong(&r->closing, &none, c))
        c->fn(c->ctx, false);
}

void gw_handle(void *ctx, struct ft_http_exchange *x)
{
    struct gw *g = ctx;
    struct gw_request *r = ft_arena_alloc(&x->arena, sizeof *r);
    if (r == NULL)
        return; /* the server answers 500 */
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    r->gw = g;
    r->x = x;
    r->rest = "";
    r->project = "";
    gw_id_new(r->id);
    ft_http_on_close(x, closed, r);
    r->route = find(r, &e);
    if (r->route == NULL)
        gw_fail(r, &e);
    else if (r->route->action != NULL && authenticate(r, &e) != 0)
        gw_refuse(r, "", &e);
    else
        r->route->handler(r);
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
