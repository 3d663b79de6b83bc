/* What control answers: the admin API, reports of usage. The caller is known by then; who it is
 * goes along in headers, and the client's own of these names do not.
 *
 * A change is answered when this gateway knows of it (X-Feitian-Seq): a key works when its making
 * is answered, and is dead when its revoking is. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "gateway/inner.h"

#define PROXY_TIMEOUT_MS 60000

struct proxied {
    struct gw_request *r;
    struct ft_buf body;
    char type[128];
    int status;
    int64_t seq;
    char cookie[64]; /* the secret of a new session */
};

static void proxied_free(struct proxied *p)
{
    struct ft_http_exchange *x = p->r->x;
    ft_buf_fini(&p->body);
    free(p);
    ft_http_unref(x);
}

static void answer(void *ctx)
{
    struct proxied *p = ctx;
    if (p->cookie[0] != '\0')
        gw_session_cookie(p->r, p->cookie);
    explicit_bzero(p->cookie, sizeof p->cookie);
    gw_respond(p->r, p->status, p->type[0] != '\0' ? p->type : NULL, p->body.data, p->body.len);
    proxied_free(p);
}

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct proxied *p = ctx;
    const char *type = ft_http_answer_header(head, "content-type");
    const char *seq = ft_http_answer_header(head, "x-feitian-seq");
    p->status = head->status;
    snprintf(p->type, sizeof p->type, "%s", type != NULL ? type : "");
    p->seq = seq != NULL ? strtoll(seq, NULL, 10) : 0;
    const char *cookie = ft_http_answer_header(head, "x-feitian-cookie");
    snprintf(p->cookie, sizeof p->cookie, "%s", cookie != NULL ? cookie : "");
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct proxied *p = ctx;
    ft_buf_add(&p->body, data, n); /* a failure is seen at the end */
    return true;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct proxied *p = ctx;
    struct ft_oai_error e;
    ft_oai_error_init(&e);
    if (p->r->tried != NULL)
        p->r->tried(p->r, err == NULL ? p->status : 0);
    if (err == NULL && p->body.failed == 0) {
        gw_feed_after(p->r->gw->feed, p->seq, answer, p);
        return;
    }
    if (err == NULL)
        ft_oai_error_set(&e, FT_ELIMIT, NULL, NULL, "the answer is too long; ask for less");
    else
        ft_oai_error_set(&e, FT_EBUSY, "control_unavailable", NULL,
                         "the admin side of the cloud does not answer now; model calls go on, "
                         "changes and reports have to wait");
    e.status = 503;
    e.retry_after_ms = 1000;
    if (err != NULL)
        ft_log(FT_LOG_WARN, "gateway", "control: %s", err->msg);
    gw_fail(p->r, &e);
    proxied_free(p);
}

/* A header of ours, in the exchange's arena; NULL without memory. */
static const char *header(struct gw_request *r, const char *name, const char *value)
{
    size_t n = strlen(name) + strlen(value) + 3;
    char *s = ft_arena_alloc(&r->x->arena, n);
    if (s != NULL)
        snprintf(s, n, "%s: %s", name, value);
    return s;
}

void gw_proxy_send(struct gw_request *r, const char *data, size_t n)
{
    struct ft_http_exchange *x = r->x;
    struct gw *g = r->gw;
    struct ft_oai_error e;
    struct ft_err err = {0};
    struct proxied *p = calloc(1, sizeof *p);
    size_t url_bytes = strlen(x->target) + 16;
    char *url = ft_arena_alloc(&x->arena, url_bytes);
    const char *type = ft_http_header(x, "content-type"), *agent = ft_http_header(x, "user-agent");
    const char *fields[] = {
        header(r, "X-Feitian-Key", r->ident != NULL ? r->ident->key : ""),
        header(r, "X-Feitian-Project", r->ident != NULL ? r->ident->project : ""),
        header(r, "X-Feitian-Role",
               r->ident != NULL ? ft_tenant_role_name(ft_tenant_ident_role(r->ident)) : ""),
        header(r, "X-Request-Id", r->id),
        header(r, "X-Feitian-Session", r->session),
        header(r, "X-Feitian-Address", r->address != NULL ? r->address : ""),
        header(r, "User-Agent", agent != NULL ? agent : ""),
        header(r, "Content-Type", type != NULL ? type : "application/json")};
    ft_oai_error_init(&e);
    if (p == NULL || url == NULL || fields[FT_COUNT(fields) - 1] == NULL) {
        free(p);
        ft_oai_error_set(&e, FT_ENOMEM, NULL, NULL, "out of memory");
        gw_fail(r, &e);
        return;
    }
    snprintf(url, url_bytes, "http://control%s", x->target);
    p->r = r;
    ft_buf_init(&p->body, GW_ADMIN_ANSWER_MAX);
    ft_http_ref(x);
    struct ft_http_call_config c = {.method = x->method,
                                    .url = url,
                                    .unix_socket = g->control_socket,
                                    .headers = fields,
                                    .n_headers = FT_COUNT(fields),
                                    .body = n > 0 ? data : NULL,
                                    .n_body = n,
                                    .total_timeout_ms = PROXY_TIMEOUT_MS,
                                    .on_head = on_head,
                                    .on_data = on_data,
                                    .on_done = on_done,
                                    .ctx = p};
    if (ft_http_call_start(g->asking, &c, NULL, &err) != 0)
        on_done(p, &err);
}

static void forward(void *ctx, struct ft_http_exchange *x, const char *data, size_t n)
{
    (void)x;
    gw_proxy_send(ctx, data, n);
}

void gw_proxy(struct gw_request *r)
{
    /* nothing is held for who shows no key */
    ft_http_body_collect(r->x, r->ident != NULL ? GW_ADMIN_BODY_MAX : 0, forward, r);
}
