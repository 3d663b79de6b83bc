/* One question to control, its whole answer to a callback. */
#include "gateway/ask.h"

#include <stdlib.h>
#include <string.h>

#include "base/log.h"

#define ASK_TIMEOUT_MS 5000

struct asking {
    gw_asked_fn *fn;
    void *ctx;
    int status;
    struct ft_buf body;
};

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    ((struct asking *)ctx)->status = head->status;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    ft_buf_add(&((struct asking *)ctx)->body, data, n); /* a failure is seen at the end */
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct asking *a = ctx;
    if (err != NULL)
        ft_log(FT_LOG_WARN, "gateway", "control: %s", err->msg);
    bool whole = err == NULL && a->body.failed == 0;
    a->fn(a->ctx, whole ? a->status : 0, a->body.data != NULL ? a->body.data : "", a->body.len);
    ft_buf_fini(&a->body);
    free(a);
}

void gw_control_ask(struct gw *g, const char *method, const char *path, const char *project,
                    const void *body, size_t n, size_t bytes_max, gw_asked_fn *fn, void *ctx)
{
    struct ft_err err = {0};
    char url[1024], whose[128];
    const char *fields[] = {whose, "Content-Type: application/json"};
    struct asking *a = calloc(1, sizeof *a);
    if (a == NULL) {
        fn(ctx, 0, "", 0);
        return;
    }
    a->fn = fn;
    a->ctx = ctx;
    ft_buf_init(&a->body, bytes_max);
    snprintf(url, sizeof url, "http://control%s", path);
    snprintf(whose, sizeof whose, "X-Feitian-Project: %s", project);
    struct ft_http_call_config c = {.method = method,
                                    .url = url,
                                    .unix_socket = g->control_socket,
                                    .headers = fields,
                                    .n_headers = FT_COUNT(fields),
                                    .body = body,
                                    .n_body = n,
                                    .total_timeout_ms = ASK_TIMEOUT_MS,
                                    .on_head = on_head,
                                    .on_data = on_data,
                                    .on_done = on_done,
                                    .ctx = a};
    if (ft_http_call_start(g->asking, &c, NULL, &err) != 0)
        on_done(a, &err);
}
