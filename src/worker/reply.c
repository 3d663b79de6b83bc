/* Whole answers, of the worker's own or the API's writing. */
#include <stdlib.h>
#include <string.h>

#include "api/openai/write.h"
#include "base/log.h"
#include "worker/impl.h"

void ft_reply_json(struct ft_http_exchange *x, int status, const struct ft_buf *body)
{
    static const struct ft_http_field field = {"content-type", FT_OAI_CONTENT_JSON};
    if (body->failed == 0) {
        ft_http_respond(x, status, &field, 1, body->data, body->len);
        return;
    }
    struct ft_err err;
    ft_err_set(&err, (enum ft_code)body->failed, "the answer is too long for one piece");
    ft_reply_err(x, &err);
}

void ft_reply_value(struct ft_http_exchange *x, int status, json_t *v)
{
    char *text = v != NULL ? json_dumps(v, JSON_COMPACT) : NULL;
    struct ft_buf out;
    ft_buf_init(&out, FT_OAI_ANSWER_BYTES_MAX);
    ft_buf_add_str(&out, text != NULL ? text : "{}");
    ft_reply_json(x, text != NULL ? status : 500, &out);
    ft_buf_fini(&out);
    free(text);
    json_decref(v);
}

void ft_reply_told(struct ft_http_exchange *x, const struct ft_oai_error *e)
{
    struct ft_http_field field[1 + FT_OAI_ERROR_HEADERS_MAX] = {
        {"content-type", FT_OAI_CONTENT_JSON}};
    struct ft_oai_header head[FT_OAI_ERROR_HEADERS_MAX];
    struct ft_buf out;
    int n = ft_oai_error_headers(e, head), status = ft_oai_error_status(e);
    for (int i = 0; i < n; i++)
        field[1 + i] = (struct ft_http_field){head[i].name, head[i].value};
    ft_buf_init(&out, 4 * FT_OAI_ERROR_BYTES_MAX);
    ft_oai_error_write(e, &out);
    ft_http_respond(x, status, field, 1 + n, out.data, out.len);
    ft_buf_fini(&out);
}

bool ft_reply_is_ours(const struct ft_oai_error *e)
{
    return ft_oai_error_status(e) >= 500 && e->err.code != FT_EBUSY;
}

void ft_reply_error(struct ft_http_exchange *x, const struct ft_oai_error *e)
{
    if (ft_reply_is_ours(e))
        ft_log(FT_LOG_ERROR, "worker", "%s", e->err.msg);
    ft_reply_told(x, e);
}

void ft_reply_err(struct ft_http_exchange *x, const struct ft_err *err)
{
    struct ft_oai_error e;
    ft_oai_error_from(&e, err);
    e.retry_after_ms = err->code == FT_EBUSY ? 1000 : 0;
    ft_reply_error(x, &e);
}
