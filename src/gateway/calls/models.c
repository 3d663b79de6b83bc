/* Calls of models: a body becomes a checked request and a writer for its answer. */
#include <string.h>
#include <time.h>

#include "api/anthropic/messages.h"
#include "api/openai/request.h"
#include "api/openai/write.h"
#include "gateway/calls/call.h"

#define LIST_BYTES_MAX ((size_t)8 << 20)

/* ---- OpenAI's writers behind the face that calls know ---- */

static int piece(void *w, const struct ft_piece *p, struct ft_buf *out)
{
    return ft_oai_writer_piece(w, p, out);
}

static int status(const void *w)
{
    return ft_oai_writer_status(w);
}

static const struct ft_oai_error *error(const void *w)
{
    return ft_oai_writer_error(w);
}

static void close_writer(void *w)
{
    ft_oai_writer_close(w);
}

const struct gw_writer_ops gw_openai_writer = {piece, status, error, close_writer};

/* ---- calls ---- */

/* rc, w, err: what opening the writer gave. */
static void call_with(struct gw_request *r, const struct ft_oai_request *q, bool stream,
                      size_t body_bytes, struct ft_oai_writer *w, int rc, const struct ft_err *err)
{
    struct ft_oai_error e;
    if (rc != 0) {
        ft_oai_error_from(&e, err);
        gw_refuse(r, "", &e);
        return;
    }
    struct gw_ask ask = {.kind = q->kind,
                         .model = q->model,
                         .body = q->root,
                         .body_bytes = body_bytes,
                         .max_tokens = q->max_tokens,
                         .n = FT_MAX(q->n, q->best_of) * (int)FT_MAX(q->n_input, 1),
                         .stream = stream,
                         .ops = &gw_openai_writer,
                         .writer = w};
    gw_call(r, &ask);
}

static void on_body(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_oai_request q = {0};
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    int rc = ft_oai_parse((enum ft_task_kind)r->route->task, FT_OAI_GATEWAY, data, n, &q, &e);
    ft_http_body_release(x);
    if (rc != 0) {
        gw_refuse(r, "", &e);
        return;
    }
    struct ft_err err = {0};
    struct ft_oai_writer *w = NULL;
    struct ft_oai_writer_config cfg = {
        .id = r->drawn, .model = q.model, .created = (int64_t)time(NULL)};
    rc = ft_oai_writer_open(&cfg, &q, &w, &err);
    call_with(r, &q, q.stream, n, w, rc, &err);
    ft_oai_request_fini(&q);
}

void gw_call_model(struct gw_request *r)
{
    ft_http_body_collect(r->x, FT_OAI_BODY_BYTES_MAX, on_body, r);
}

static void on_message(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    struct gw_request *r = ctx;
    struct ft_anthropic_request q = {0};
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    int rc = ft_anthropic_parse(r->route->task == FT_TASK_COUNT, data, n, &q, &e);
    ft_http_body_release(x);
    if (rc != 0) {
        gw_refuse(r, "", &e);
        return;
    }
    struct ft_err err = {0};
    struct ft_oai_writer *w = NULL;
    struct ft_oai_writer_config cfg = {
        .id = r->drawn, .model = q.chat.model, .created = (int64_t)time(NULL)};
    rc = ft_anthropic_writer_open(&cfg, &q, &w, &err);
    call_with(r, &q.chat, q.stream, n, w, rc, &err);
    ft_anthropic_request_fini(&q);
}

void gw_call_message(struct gw_request *r)
{
    ft_http_body_collect(r->x, FT_OAI_BODY_BYTES_MAX, on_message, r);
}

/* ---- lists ---- */

/* Those that the key may call. */
static json_t *models_of(const struct gw_request *r)
{
    json_t *models = ft_serve_models(r->gw->serve, r->ident->project);
    for (size_t i = json_array_size(models); i-- > 0;) {
        const json_t *id = json_object_get(json_array_get(models, i), "id");
        if (!ft_tenant_ident_has_model(r->ident, json_string_value(id)))
            json_array_remove(models, i);
    }
    return models;
}

void gw_list_models(struct gw_request *r)
{
    struct ft_buf b;
    json_t *models = models_of(r);
    ft_buf_init(&b, LIST_BYTES_MAX);
    ft_oai_write_models(&b, models);
    gw_respond(r, 200, "application/json", b.data, b.len);
    ft_buf_fini(&b);
    json_decref(models);
}

void gw_get_model(struct gw_request *r)
{
    struct ft_oai_error e;
    struct ft_buf b;
    json_t *models = models_of(r);
    ft_oai_error_init(&e);
    ft_buf_init(&b, LIST_BYTES_MAX);
    if (ft_oai_write_model(&b, models, r->rest, &e) == 0)
        gw_respond(r, 200, "application/json", b.data, b.len);
    else
        gw_fail(r, &e);
    ft_buf_fini(&b);
    json_decref(models);
}
