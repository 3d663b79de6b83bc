/* OpenAI's Responses over HTTP: a turn behind a stored one, and what was stored.
 *
 * What is kept of an answer is kept by control, under the caller's project. With control dead,
 * answers go on; what they would have stored is then not there to be gone on from, which the log
 * says, and going on from an earlier one waits for control (503). */
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "api/openai/responses.h"
#include "base/log.h"
#include "gateway/ask.h"
#include "gateway/calls/call.h"
#include "net/url.h"

#define ID_CHARS "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"
#define ID_MAX   128

/* A request between its steps: the look-up of the turn before. */
struct turn {
    struct gw_request *r;
    struct ft_tenant_ident *ident; /* the request's, which may close meanwhile */
    struct ft_oai_responses q;
    size_t body_bytes;
};

static void turn_free(struct turn *t)
{
    struct ft_http_exchange *x = t->r->x;
    ft_tenant_ident_unref(t->ident);
    ft_oai_responses_fini(&t->q);
    free(t);
    ft_http_unref(x);
}

static bool id_is_good(const char *id)
{
    size_t n = strlen(id);
    return n > 0 && n <= ID_MAX && n == strspn(id, ID_CHARS);
}

static void path_of(const char *id, char *ret, size_t n)
{
    snprintf(ret, n, "/internal/responses/%s", id);
}

static void unavailable(struct gw_request *r)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EBUSY, "control_unavailable", NULL,
                     "stored responses cannot be read or changed now");
    e.status = 503;
    e.retry_after_ms = 1000;
    gw_refuse(r, "", &e); /* recorded where the route is accounted */
}

/* ---- storing, before the end of an answer is sent ---- */

struct storing {
    struct gw_request *r;
    void (*done)(void *ctx);
    void *ctx;
};

static void stored(void *ctx, int status, const char *body, size_t n)
{
    struct storing *s = ctx;
    if (status != 200)
        ft_log(FT_LOG_WARN, "gateway", "%s: the response was not stored: %d %.*s", s->r->id, status,
               (int)FT_MIN(n, 200), body);
    s->done(s->ctx);
    free(s);
}

static void store(struct gw_request *r, void *writer, void (*done)(void *ctx), void *ctx)
{
    char id[FT_OAI_ID_BYTES_MAX + 8], path[256];
    struct ft_buf b;
    struct storing *s = malloc(sizeof *s);
    ft_buf_init(&b, FT_OAI_DOCUMENT_BYTES_MAX);
    if (s == NULL || ft_oai_responses_document(writer, &b) != 0 || b.failed != 0) {
        ft_buf_fini(&b);
        free(s);
        done(ctx);
        return;
    }
    *s = (struct storing){r, done, ctx};
    ft_oai_responses_id(r->drawn, id, sizeof id);
    path_of(id, path, sizeof path);
    gw_control_ask(r->gw, "PUT", path, r->project, b.data, b.len, GW_ADMIN_BODY_MAX, stored, s);
    ft_buf_fini(&b);
}

/* ---- creating ---- */

static void create(struct turn *t, const json_t *previous)
{
    struct gw_request *r = t->r;
    struct ft_oai_error e;
    struct ft_err err = {0};
    struct ft_oai_writer *w = NULL;
    bool count = r->route->task == FT_TASK_COUNT;
    ft_oai_error_init(&e);
    if (ft_oai_responses_resolve(&t->q, previous, count, &e) != 0) {
        gw_refuse(r, "", &e);
        return;
    }
    if (count) {
        gw_count(r, &t->q.chat, t->body_bytes, ft_oai_responses_count);
        return;
    }
    struct ft_oai_writer_config cfg = {
        .id = r->drawn, .model = t->q.model, .created = (int64_t)time(NULL)};
    if (ft_oai_responses_writer_open(&cfg, &t->q, &w, &err) != 0) {
        ft_oai_error_from(&e, &err);
        gw_refuse(r, "", &e);
        return;
    }
    struct ft_oai_request *q = &t->q.chat;
    struct gw_ask ask = {.kind = q->kind,
                         .model = q->model,
                         .body = q->root,
                         .body_bytes = t->body_bytes,
                         .max_tokens = q->max_tokens,
                         .n = 1,
                         .stream = t->q.stream,
                         .ops = &gw_openai_writer,
                         .writer = w,
                         .before_end = t->q.store ? store : NULL};
    gw_call(r, &ask);
}

static void found(void *ctx, int status, const char *body, size_t n)
{
    struct turn *t = ctx;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (status == 200) {
        json_t *previous = json_loadb(body, n, 0, NULL);
        t->body_bytes += n; /* the turns before are read again */
        create(t, previous);
        json_decref(previous);
    } else if (status == 404) {
        ft_oai_responses_no_previous(&t->q, &e);
        gw_refuse(t->r, "", &e);
    } else {
        unavailable(t->r);
    }
    turn_free(t);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_oai_error e;
    char path[256];
    struct turn *t = calloc(1, sizeof *t);
    ft_oai_error_init(&e);
    if (t == NULL || ft_oai_responses_parse(data, n, r->drawn, &t->q, &e) != 0) {
        if (t == NULL)
            ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
        free(t);
        gw_refuse(r, "", &e);
        return;
    }
    t->r = r;
    t->ident = ft_tenant_ident_ref(r->ident);
    t->body_bytes = n;
    ft_http_ref(x);
    ft_http_body_release(x);
    if (t->q.previous == NULL) {
        create(t, NULL);
        turn_free(t);
    } else if (!id_is_good(t->q.previous)) {
        found(t, 404, "", 0);
    } else {
        path_of(t->q.previous, path, sizeof path);
        gw_control_ask(r->gw, "GET", path, r->project, NULL, 0, FT_OAI_DOCUMENT_BYTES_MAX, found,
                       t);
    }
}

void gw_responses(struct gw_request *r)
{
    ft_http_body_collect(r->x, FT_OAI_BODY_BYTES_MAX, on_body, r);
}

/* ---- what was stored: /v1/responses/ID, /v1/responses/ID/input_items, .../cancel ---- */

/* A look-up; what becomes of it, the path's last part and the method say. */
struct lookup {
    struct gw_request *r;
    char id[ID_MAX + 1];
    bool items;
};

static void lookup_answer(struct lookup *l, const json_t *document)
{
    struct gw_request *r = l->r;
    struct ft_http_exchange *x = r->x;
    struct ft_oai_error e;
    struct ft_err err = {0};
    struct ft_buf b;
    const char *limit = NULL, *order = NULL, *after = NULL;
    ft_oai_error_init(&e);
    ft_buf_init(&b, FT_OAI_DOCUMENT_BYTES_MAX);
    int rc = 0;
    if (!l->items) {
        rc = ft_oai_responses_show(document, &b, &e);
    } else if (ft_url_param(x->query, "limit", &x->arena, &limit, &err) != 0 ||
               ft_url_param(x->query, "order", &x->arena, &order, &err) != 0 ||
               ft_url_param(x->query, "after", &x->arena, &after, &err) != 0) {
        ft_oai_error_from_query(&e, &err);
        rc = err.code;
    } else {
        rc = ft_oai_responses_items(document, limit, order, after, &b, &e);
    }
    if (rc == 0)
        gw_respond(r, 200, "application/json", b.data, b.len);
    else
        gw_fail(r, &e);
    ft_buf_fini(&b);
}

static void looked_up(void *ctx, int status, const char *body, size_t n)
{
    struct lookup *l = ctx;
    struct gw_request *r = l->r;
    struct ft_http_exchange *x = r->x;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (status == 404) {
        ft_oai_responses_none(l->id, &e);
        gw_fail(r, &e);
    } else if (status != 200) {
        unavailable(r);
    } else if (strcmp(x->method, "DELETE") == 0) {
        struct ft_buf b;
        ft_buf_init(&b, GW_ADMIN_BODY_MAX);
        ft_oai_responses_deleted(l->id, &b);
        gw_respond(r, 200, "application/json", b.data, b.len);
        ft_buf_fini(&b);
    } else {
        json_t *document = json_loadb(body, n, 0, NULL);
        lookup_answer(l, document);
        json_decref(document);
    }
    free(l);
    ft_http_unref(x);
}

/* What a query asks for is done, or refused by its name. */
static int check_query(struct gw_request *r, bool items, struct ft_oai_error *e)
{
    static const char *const of_items[] = {"limit", "order", "after"};
    struct ft_err err = {0};
    const char *name, *value;
    size_t at = 0;
    int rc;
    while ((rc = ft_url_param_next(r->x->query, &at, &r->x->arena, &name, &value, &err)) > 0) {
        bool known = !items && strcmp(name, "stream") == 0;
        if (known && strcmp(value, "false") != 0)
            return ft_oai_error_set(e, FT_EUNSUPPORTED, "unsupported_parameter", name,
                                    "stream: not supported: a stored response is given whole");
        for (size_t i = 0; items && i < FT_COUNT(of_items); i++)
            known |= strcmp(name, of_items[i]) == 0;
        if (!known)
            return ft_oai_error_set(e, FT_EINVAL, "unknown_parameter", name,
                                    "%.100s: unknown parameter", name);
    }
    if (rc < 0)
        ft_oai_error_from_query(e, &err);
    return rc;
}

void gw_response_stored(struct gw_request *r)
{
    struct ft_oai_error e;
    char path[256];
    const char *slash = strchr(r->rest, '/');
    size_t n = slash != NULL ? (size_t)(slash - r->rest) : strlen(r->rest);
    const char *tail = slash != NULL ? slash : "";
    bool gone = strcmp(r->x->method, "DELETE") == 0, post = strcmp(r->x->method, "POST") == 0;
    bool get = !gone && !post; /* HEAD too */
    struct lookup *l = n <= ID_MAX ? calloc(1, sizeof *l) : NULL;
    ft_oai_error_init(&e);
    if (post && strcmp(tail, "/cancel") != 0) { /* of OpenAI's: compact */
        free(l);
        gw_unknown(r, &e);
        gw_fail(r, &e);
        return;
    }
    if (l != NULL)
        memcpy(l->id, r->rest, n);
    bool items = get && strcmp(tail, "/input_items") == 0;
    if (l == NULL || !id_is_good(l->id) || !(items || post || tail[0] == '\0')) {
        ft_oai_responses_none(l != NULL ? l->id : "", &e);
    } else if (post) {
        ft_oai_responses_cancel(&e);
    } else if (check_query(r, items, &e) == 0) {
        l->r = r;
        l->items = items;
        ft_http_ref(r->x);
        path_of(l->id, path, sizeof path);
        gw_control_ask(r->gw, get ? "GET" : "DELETE", path, r->project, NULL, 0,
                       FT_OAI_DOCUMENT_BYTES_MAX, looked_up, l);
        return;
    }
    free(l);
    gw_fail(r, &e);
}
