/* The server's way out: what the holders of an exchange may call, from any thread. */
#include <errno.h>
#include <gnutls/gnutls.h>
#include <linux/tcp.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "net/server_impl.h"

#define RAW_BYTES_MAX (128u << 10)
#define OUT_KEEP      1024 /* a stream's memory up to this is kept while nothing waits */
#define STREAM_BLOCK  1024 /* libmicrohttpd's buffer for HTTP/1.0; chunks do not use it */

struct ft_http_exchange *ft_http_ref(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    x->refs++;
    pthread_mutex_unlock(&x->lock);
    return pub;
}

void ft_http_unref(struct ft_http_exchange *pub)
{
    if (pub == NULL)
        return;
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    int left = --x->refs;
    /* only the server is left, so nobody will ever answer, or end the stream */
    bool lost = left == 1 && x->handed_over && x->conn != NULL &&
                (!x->answered || (x->stream && !x->stream_ended));
    if (lost)
        ft_http_wake(x);
    pthread_mutex_unlock(&x->lock);
    if (left != 0)
        return;
    ft_arena_fini(&x->pub.arena);
    ft_buf_fini(&x->body);
    ft_buf_fini(&x->raw);
    free(x->out);
    if (x->block != NULL)
        MHD_destroy_response(x->block);
    pthread_mutex_destroy(&x->lock);
    free(x);
}

const char *ft_http_header(const struct ft_http_exchange *pub, const char *name)
{
    for (int i = 0; i < pub->n_fields; i++)
        if (strcasecmp(pub->fields[i].name, name) == 0)
            return pub->fields[i].value;
    return NULL;
}

void ft_http_on_close(struct ft_http_exchange *pub, ft_http_close_fn *fn, void *ctx)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    FT_ASSERT(x->on_close == NULL);
    x->on_close = fn;
    x->close_ctx = ctx;
    bool now = x->phase == PHASE_DONE, clean = x->closed_clean;
    pthread_mutex_unlock(&x->lock);
    if (now)
        fn(ctx, pub, clean);
}

/* ---- waiting ---- */

void ft_http_wake(struct exchange *x)
{
    if (!x->suspended)
        return;
    x->suspended = false;
    MHD_resume_connection(x->conn->mhd);
}

void ft_http_gone(struct exchange *x)
{
    x->gone = true;
    ft_http_wake(x);
    if (x->waiter != NULL)
        pthread_cond_signal(x->waiter);
}

bool ft_http_suspend(struct exchange *x)
{
    if (x->gone || atomic_load(&x->server->closing))
        return false;
    MHD_suspend_connection(x->conn->mhd);
    x->suspended = true;
    if (atomic_load(&x->conn->hup)) /* before: back to libmicrohttpd, which closes it */
        ft_http_gone(x);
    return true;
}

/* ---- whole answers ---- */

bool ft_http_is_bodyless(const struct exchange *x)
{
    return strcmp(x->pub.method, "HEAD") == 0 || x->status == 204 || x->status == 304;
}

int ft_http_add_fields(struct MHD_Response *r, const struct ft_http_field *fields, int n_fields)
{
    if (n_fields > FT_HTTP_FIELDS_MAX)
        return FT_EINVAL;
    for (int i = 0; i < n_fields; i++) {
        const struct ft_http_field *f = &fields[i];
        if (!ft_http_field_ok(f->name, f->value) || strlen(f->name) > FT_HTTP_FIELD_NAME_MAX ||
            strcasecmp(f->name, "Content-Length") == 0 ||
            strcasecmp(f->name, "Transfer-Encoding") == 0)
            return FT_EINVAL;
        /* MHD takes no empty value; a blank is one to whoever reads it (RFC 9110, 5.5) */
        const char *value = f->value[0] != '\0' ? f->value : " ";
        if (MHD_add_response_header(r, f->name, value) == MHD_NO)
            return FT_EINVAL;
    }
    return 0;
}

int ft_http_put_answer(struct exchange *x, int status, struct MHD_Response *r, bool stream,
                       int64_t length)
{
    pthread_mutex_lock(&x->lock);
    int rc = x->phase == PHASE_DONE || x->gone ? FT_ECANCELED : x->answered ? FT_EEXIST : 0;
    if (rc == 0) {
        x->answered = true;
        x->stream = stream;
        x->stream_left = length;
        x->stream_ended = length == 0;
        x->status = status;
        x->response = r;
        ft_http_wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    if (rc != 0)
        MHD_destroy_response(r);
    return rc;
}

struct MHD_Response *ft_http_whole(char *body, size_t n, int status,
                                   const struct ft_http_field *fields, int n_fields)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(n, body, MHD_RESPMEM_MUST_FREE);
    if (r == NULL) {
        free(body);
    } else if (ft_http_add_fields(r, fields, n_fields) != 0 || status < 200 || status > 599) {
        MHD_destroy_response(r);
        r = NULL;
    }
    return r;
}

static void render_head(struct ft_buf *b, int status, size_t n)
{
    ft_buf_init(b, RAW_BYTES_MAX);
    ft_buf_addf(b, "HTTP/1.1 %d %s\r\nContent-Length: %zu\r\nConnection: close\r\n", status,
                MHD_get_reason_phrase_for((unsigned)status), n);
}

/* Once a part of the body is in, libmicrohttpd takes an answer behind all of it only. So that
 * nobody must send five gigabytes to learn that the first was too many, the answer is kept as bytes
 * too, as long as the body is on its way. */
static void keep_raw(struct exchange *x, int status, const struct ft_http_field *fields,
                     int n_fields, const void *body, size_t n)
{
    struct ft_buf b;
    pthread_mutex_lock(&x->lock);
    bool coming = !x->answered && x->phase == PHASE_BODY && !x->body_ended;
    pthread_mutex_unlock(&x->lock);
    if (!coming)
        return;
    render_head(&b, status, n);
    for (int i = 0; i < n_fields; i++)
        if (fields[i].value[0] != '\0' && strcasecmp(fields[i].name, "Connection") != 0)
            ft_buf_addf(&b, "%s: %s\r\n", fields[i].name, fields[i].value);
    ft_buf_add_str(&b, "\r\n");
    ft_buf_add(&b, body, n);
    pthread_mutex_lock(&x->lock);
    if (b.failed == 0 && !x->answered) {
        ft_buf_fini(&x->raw);
        x->raw = b;
        ft_buf_init(&b, 0);
    }
    pthread_mutex_unlock(&x->lock);
    ft_buf_fini(&b);
}

int ft_http_respond(struct ft_http_exchange *pub, int status, const struct ft_http_field *fields,
                    int n_fields, const void *body, size_t n)
{
    struct exchange *x = ft_exchange_of(pub);
    struct MHD_Response *r =
        MHD_create_response_from_buffer(n, (void *)(uintptr_t)body, MHD_RESPMEM_MUST_COPY);
    if (r == NULL)
        return FT_ENOMEM;
    int rc = ft_http_add_fields(r, fields, n_fields);
    if (rc != 0 || status < 200 || status > 599) {
        MHD_destroy_response(r);
        return FT_EINVAL;
    }
    if (x->body_mode == BODY_STREAM)
        keep_raw(x, status, fields, n_fields, body, n);
    rc = ft_http_put_answer(x, status, r, false, (int64_t)n);
    pthread_mutex_lock(&x->lock);
    if (rc == 0 && !ft_http_is_bodyless(x))
        x->body_out = (int64_t)n;
    pthread_mutex_unlock(&x->lock);
    return rc;
}

void ft_http_body_bytes(struct ft_http_exchange *pub, int64_t *ret_in, int64_t *ret_out)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    *ret_in = x->body_seen;
    *ret_out = x->body_out;
    pthread_mutex_unlock(&x->lock);
}

/* Appends the body of an error; returns its content type. */
static const char *error_body(struct ft_http_server *s, int status, const char *why,
                              struct ft_buf *b)
{
    const char *type = "application/json";
    ft_buf_init(b, 64u << 10);
    if (s->config.error != NULL)
        s->config.error(s->config.ctx, status, why, b, &type);
    else /* `why` is ours and plain */
        ft_buf_addf(b, "{\"error\":{\"message\":\"%s\"}}\n", why);
    return type;
}

struct MHD_Response *ft_http_error_response(struct ft_http_server *s, int status, const char *why)
{
    struct ft_buf b;
    const char *type = error_body(s, status, why, &b);
    struct MHD_Response *r = MHD_create_response_from_buffer(b.len, b.data, MHD_RESPMEM_MUST_COPY);
    if (r != NULL)
        MHD_add_response_header(r, "Content-Type", type);
    ft_buf_fini(&b);
    return r;
}

void ft_http_refuse(struct exchange *x, int status, const char *why)
{
    struct MHD_Response *r = ft_http_error_response(x->server, status, why);
    atomic_fetch_add(&x->server->n_refused, 1);
    if (r != NULL)
        ft_http_put_answer(x, status, r, false, 0);
}

void ft_http_raw_send(struct conn *c, const struct ft_buf *b, bool own_thread)
{
    bool tls = c->server->cert != NULL;
    if (b->failed != 0 || (tls && !own_thread)) /* a session belongs to its thread */
        return;
    if (!tls) {
        /* what does not fit into an empty socket's buffer is not worth waiting for */
        ssize_t n = send(c->fd, b->data, b->len, MSG_NOSIGNAL | MSG_DONTWAIT);
        (void)n;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(c->mhd, MHD_CONNECTION_INFO_GNUTLS_SESSION);
    if (info != NULL && info->tls_session != NULL)
        gnutls_record_send(info->tls_session, b->data, b->len);
}

void ft_http_raw_error(struct conn *c, int status, const char *why, bool own_thread)
{
    struct ft_buf body, all;
    const char *type = error_body(c->server, status, why, &body);
    render_head(&all, status, body.len);
    ft_buf_addf(&all, "Content-Type: %s\r\n\r\n", type);
    ft_buf_add(&all, body.data, body.len);
    ft_http_raw_send(c, &all, own_thread);
    ft_buf_fini(&body);
    ft_buf_fini(&all);
}

/* ---- streams ---- */

int ft_http_stream_begin(struct ft_http_exchange *pub, int status, const char *content_type,
                         const struct ft_http_field *fields, int n_fields)
{
    struct exchange *x = ft_exchange_of(pub);
    struct MHD_Response *r = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK,
                                                               ft_http_stream_read, x, NULL);
    if (r == NULL)
        return FT_ENOMEM;
    struct ft_http_field type = {"Content-Type", content_type};
    int rc = content_type != NULL ? ft_http_add_fields(r, &type, 1) : 0;
    if (rc == 0)
        rc = ft_http_add_fields(r, fields, n_fields);
    if (rc != 0 || status < 200 || status > 599) {
        MHD_destroy_response(r);
        return FT_EINVAL;
    }
    return ft_http_put_answer(x, status, r, true, -1);
}

static bool out_reserve(struct exchange *x, size_t n)
{
    if (x->out_at + x->out_n + n <= x->out_cap)
        return true;
    if (x->out_at != 0) {
        memmove(x->out, x->out + x->out_at, x->out_n);
        x->out_at = 0;
    }
    size_t need = x->out_n + n;
    if (need <= x->out_cap)
        return true;
    size_t cap = FT_MAX(need, FT_MAX(2 * x->out_cap, OUT_KEEP));
    char *p = realloc(x->out, cap);
    if (p == NULL)
        return false;
    x->out = p;
    x->out_cap = cap;
    return true;
}

/* Ends the exchange soon, with the connection. Under x->lock. */
static void give_up(struct exchange *x)
{
    ft_http_gone(x);
    if (x->conn != NULL) /* also where libmicrohttpd waits for a client that does not read */
        shutdown(x->conn->fd, SHUT_RDWR);
}

int ft_http_stream_write(struct ft_http_exchange *pub, const void *data, size_t n)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    int rc = 0;
    if (x->phase == PHASE_DONE || x->gone) {
        rc = FT_ECANCELED;
    } else if (!x->stream || x->stream_ended || x->block != NULL) {
        rc = FT_EINVAL;
    } else if (n > FT_HTTP_STREAM_MAX - x->out_n) {
        give_up(x);
        rc = FT_ELIMIT;
    } else if (n != 0 && !out_reserve(x, n)) {
        give_up(x);
        rc = FT_ENOMEM;
    } else if (n != 0) {
        memcpy(x->out + x->out_at + x->out_n, data, n);
        x->out_n += n;
        if (x->phase == PHASE_SEND)
            ft_http_wake(x);
        if (x->out_n > FT_HTTP_STREAM_HIGH) {
            x->out_full = true;
            rc = FT_EBUSY;
        }
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

bool ft_http_stream_is_full(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    bool full = x->out_full && x->phase != PHASE_DONE;
    pthread_mutex_unlock(&x->lock);
    return full;
}

int ft_http_stream_end(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    bool all = x->stream && x->stream_left == 0; /* it has ended by itself */
    int rc = all ? 0 : x->phase == PHASE_DONE || x->gone ? FT_ECANCELED : 0;
    if (rc == 0 && !all && (!x->stream || x->stream_ended))
        rc = FT_EINVAL;
    if (rc == 0 && !all && x->stream_left > 0 && !ft_http_is_bodyless(x)) {
        give_up(x);
        rc = FT_EINVAL;
    }
    if (rc == 0 && !all) {
        x->stream_ended = true;
        if (x->phase == PHASE_SEND)
            ft_http_wake(x);
    }
    pthread_mutex_unlock(&x->lock);
    return rc;
}

void ft_http_stream_on_drained(struct ft_http_exchange *pub, ft_http_drained_fn *fn, void *ctx)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    x->on_drained = fn;
    x->drained_ctx = ctx;
    pthread_mutex_unlock(&x->lock);
}

void ft_http_abort(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    if (x->phase != PHASE_DONE && !x->gone)
        give_up(x);
    pthread_mutex_unlock(&x->lock);
}

/* The head of an answer is held back by libmicrohttpd (MSG_MORE) for a body to go with it. When
 * there is none yet, setting TCP_NODELAY anew sends what is held (tcp(7)). */
static void push_head(struct exchange *x)
{
    int on = 1;
    if (x->conn->is_tcp)
        setsockopt(x->conn->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    x->head_pushed = true;
}

ssize_t ft_http_stream_read(void *cls, uint64_t pos, char *buf, size_t max)
{
    struct exchange *x = cls;
    pthread_mutex_lock(&x->lock);
    ssize_t rc = 0;
    bool drained = false;
    if (x->gone) {
        rc = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (x->out_n != 0) {
        size_t n = FT_MIN(x->out_n, max);
        memcpy(buf, x->out + x->out_at, n);
        x->out_at += n;
        x->out_n -= n;
        rc = (ssize_t)n;
        drained = x->out_full && x->out_n < FT_HTTP_STREAM_LOW;
        if (drained)
            x->out_full = false;
        if (x->out_n == 0) {
            x->out_at = 0;
            if (x->out_cap > OUT_KEEP) {
                free(x->out);
                x->out = NULL;
                x->out_cap = 0;
            }
        }
    } else if (x->stream_ended) {
        rc = MHD_CONTENT_READER_END_OF_STREAM;
    } else if (x->refs == 1 && x->handed_over) { /* nobody will ever end it */
        rc = MHD_CONTENT_READER_END_WITH_ERROR;
    } else {
        if (pos == 0 && !x->head_pushed)
            push_head(x);
        if (!ft_http_suspend(x))
            rc = MHD_CONTENT_READER_END_WITH_ERROR;
    }
    ft_http_drained_fn *fn = drained ? x->on_drained : NULL;
    void *ctx = x->drained_ctx;
    pthread_cond_t *waiter = drained ? x->waiter : NULL;
    pthread_mutex_unlock(&x->lock);
    if (waiter != NULL)
        pthread_cond_signal(waiter);
    if (fn != NULL)
        fn(ctx, &x->pub);
    return rc;
}
