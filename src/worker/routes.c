/* Which request is whose. */
#include <string.h>

#include "api/openai/write.h"
#include "worker/call.h"

struct route {
    const char *method, *path;
    enum ft_task_kind kind;
};

static const struct route calls[] = {
    {"POST", "/v1/chat/completions", FT_TASK_CHAT}, {"POST", "/v1/completions", FT_TASK_TEXT},
    {"POST", "/v1/embeddings", FT_TASK_EMBED},      {"POST", "/v1/rerank", FT_TASK_RERANK},
    {"POST", "/feitian/count", FT_TASK_COUNT},
};

void ft_worker_error_body(void *ctx, int status, const char *why, struct ft_buf *ret_body,
                          const char **ret_type)
{
    (void)ctx;
    (void)ret_type; /* application/json it is */
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, status >= 500 ? FT_EINTERNAL : FT_EINVAL, NULL, NULL, "%s", why);
    e.status = status;
    ft_oai_error_write(&e, ret_body);
}

static void refuse(struct ft_http_exchange *x, int status, const char *what)
{
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, status == 404 ? FT_ENOTFOUND : FT_EINVAL, NULL, NULL, "%s: %s %.200s",
                     what, x->method, x->path);
    e.status = status;
    ft_reply_error(x, &e);
}

static void models(struct ft_worker *w, struct ft_http_exchange *x, const char *id)
{
    struct ft_oai_error e;
    struct ft_buf out;
    json_t *list = ft_lodgers_list(&w->lodgers);
    ft_oai_error_init(&e);
    ft_buf_init(&out, FT_OAI_ANSWER_BYTES_MAX);
    int rc = 0;
    if (id == NULL)
        ft_oai_write_models(&out, list);
    else
        rc = ft_oai_write_model(&out, list, id, &e);
    if (rc == 0)
        ft_reply_json(x, 200, &out);
    else
        ft_reply_error(x, &e);
    ft_buf_fini(&out);
    json_decref(list);
}

static void get(struct ft_worker *w, struct ft_http_exchange *x)
{
    if (strcmp(x->path, "/v1/models") == 0)
        models(w, x, NULL);
    else if (strncmp(x->path, "/v1/models/", 11) == 0)
        models(w, x, x->path + 11);
    else
        refuse(x, 404, "No such route");
}

void ft_worker_handle(void *ctx, struct ft_http_exchange *x)
{
    struct ft_worker *w = ctx;
    if (strcmp(x->path, "/health") == 0 && strcmp(x->method, "GET") == 0) {
        ft_admin_health(w, x);
        return;
    }
    if (atomic_load(&w->draining)) {
        struct ft_err err;
        ft_err_set(&err, FT_EBUSY, "The worker is shutting down.");
        ft_reply_err(x, &err);
        return;
    }
    for (size_t i = 0; i < FT_COUNT(calls); i++)
        if (strcmp(x->path, calls[i].path) == 0) {
            if (strcmp(x->method, calls[i].method) == 0)
                ft_call_begin(w, x, calls[i].kind);
            else
                refuse(x, 405, "Not allowed");
            return;
        }
    if (strncmp(x->path, "/feitian/", 9) == 0)
        ft_admin_handle(w, x, x->path + 9);
    else if (strcmp(x->method, "GET") == 0)
        get(w, x);
    else
        refuse(x, 404, "No such route");
}
