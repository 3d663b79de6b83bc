/* The server's way in: libmicrohttpd's callbacks, from a request line to the handler and the body.
 *
 * libmicrohttpd calls ft_http_access at least twice for each request: when the head is in, for
 * every piece of the body, and once at its end; again after each resume. It takes an answer only at
 * the first of these (and then closes the connection) or at the last, so answers wait in the
 * exchange until then. */
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/slice.h"
#include "net/server_impl.h"
#include "net/url.h"

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

size_t ft_http_keep_escapes(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls;
    (void)mhd;
    return strlen(s); /* net/url.h decodes, and refuses what this would let through */
}

void *ft_http_uri_log(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct ft_http_server *s = cls;
    struct conn *c = conn_of(mhd);
    struct exchange *x = c != NULL ? calloc(1, sizeof *x) : NULL;
    if (x == NULL)
        return NULL;
    ft_arena_init(&x->pub.arena, FT_HTTP_ARENA_BYTES);
    size_t n = uri != NULL ? strlen(uri) : 0;
    char *target = ft_arena_strndup(&x->pub.arena, n != 0 ? uri : "", n);
    if (target == NULL) {
        free(x);
        return NULL;
    }
    char *query = strchr(target, '?');
    /* The query is ours now. Ended here, it is not cut into parameters in the connection's memory,
     * which a few thousand '&' would exhaust. The buffer is libmicrohttpd's and writable. */
    if (query != NULL)
        ((char *)(uintptr_t)uri)[query - target + 1] = '\0';
    x->pub.target = target;
    x->pub.query = query != NULL ? query + 1 : "";
    x->pub.peer = ""; /* with the head */
    x->pub.begun_ns = ft_clock_now_ns();
    x->server = s;
    x->refs = 1;
    x->conn = c;
    pthread_mutex_init(&x->lock, NULL);
    atomic_fetch_add(&s->n_exchanges, 1);
    atomic_fetch_add(&s->n_requests, 1);
    pthread_mutex_lock(&c->lock);
    c->x = x;
    c->first = false;
    pthread_mutex_unlock(&c->lock);
    ft_http_conn_enter(c, CONN_HEAD);
    return x;
}

/* ---- the head ---- */

static bool is_token(const char *s)
{
    if (*s == '\0')
        return false;
    for (; *s != '\0'; s++) {
        bool alnum =
            (*s >= '0' && *s <= '9') || (*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z');
        if (!alnum && strchr("!#$%&'*+-.^_`|~", *s) == NULL)
            return false;
    }
    return true;
}

bool ft_http_field_ok(const char *name, const char *value)
{
    return is_token(name) && !ft_str_has_control(value, "\t");
}

struct head {
    struct exchange *x;
    struct ft_http_field *fields;
    int max;
    size_t bytes;     /* names and values with their ends */
    char *text;       /* NULL while counting */
    const char *last; /* the NUL behind the string before */
    bool broken;      /* it was not sent as it is told to us */
};

/* libmicrohttpd keeps a head where it read it, NUL in the place of what ends names and lines, so
 * between two of its strings stand blanks. Where there is more, it left something out without a
 * word: what follows a NUL or a line that begins with a colon, which it takes for the end; or it
 * moved a field, since it adds the text of a line that goes on with the one before to that one's
 * name. A "Transfer-Encoding" that is nobody's any more is what smugglers need. */
static bool only_blanks(const char *p, const char *end)
{
    if (p > end)
        return false;
    while (p < end && strchr(" \t\r\n", *p) != NULL) /* finds NUL too */
        p++;
    return p == end;
}

static enum MHD_Result count_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                   const char *value)
{
    (void)kind;
    struct head *h = cls;
    h->max++;
    h->bytes += strlen(name) + 1 + (value != NULL ? strlen(value) : 0) + 1;
    h->broken |= !only_blanks(h->last, name);
    h->broken |= value != NULL && !only_blanks(name + strlen(name), value);
    h->last = value != NULL ? value + strlen(value) : name + strlen(name);
    return MHD_YES;
}

static const char *head_copy(struct head *h, const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = memcpy(h->text, s, n);
    h->text += n;
    return p;
}

static enum MHD_Result take_field(void *cls, enum MHD_ValueKind kind, const char *name,
                                  const char *value)
{
    (void)kind;
    struct head *h = cls;
    struct ft_http_exchange *pub = &h->x->pub;
    if (pub->n_fields < h->max) {
        struct ft_http_field *f = &h->fields[pub->n_fields++];
        f->name = head_copy(h, name);
        f->value = head_copy(h, value != NULL ? value : "");
    }
    return MHD_YES;
}

/* What of the framing libmicrohttpd lets through. 0, or the status and *ret_why. */
static int check_framing(struct exchange *x, const char *version, const char **ret_why)
{
    struct ft_http_exchange *pub = &x->pub;
    const char *length = NULL, *coding = NULL;
    int n_host = 0;
    for (int i = 0; i < pub->n_fields; i++) {
        const struct ft_http_field *f = &pub->fields[i];
        *ret_why = "a header's name or value holds characters that it must not";
        if (!ft_http_field_ok(f->name, f->value))
            return 400;
        if (strcasecmp(f->name, "Content-Length") == 0) {
            *ret_why = "more than one Content-Length";
            if (length != NULL)
                return 400;
            length = f->value;
        } else if (strcasecmp(f->name, "Transfer-Encoding") == 0) {
            *ret_why = "Transfer-Encoding is not just chunked";
            if (coding != NULL || strcasecmp(f->value, "chunked") != 0)
                return 501;
            coding = f->value;
        } else if (strcasecmp(f->name, "Host") == 0) {
            *ret_why = "more than one Host";
            if (n_host++ != 0)
                return 400;
        } else if (strcasecmp(f->name, "Expect") == 0) {
            /* others are nobody's any more (RFC 9110, 10.1.1), and clients of S3 send them */
            x->expect = strcasecmp(f->value, "100-continue") == 0;
        }
    }
    *ret_why = "there is no Host";
    if (n_host == 0 && strcmp(version, "HTTP/1.0") != 0)
        return 400;
    *ret_why = "both Content-Length and Transfer-Encoding";
    if (length != NULL && coding != NULL)
        return 400;
    *ret_why = "Transfer-Encoding in HTTP/1.0";
    if (coding != NULL && strcmp(version, "HTTP/1.1") != 0)
        return 400;
    *ret_why = "Content-Length is not a number, or too large";
    if (length != NULL) {
        size_t n = strspn(length, "0123456789");
        if (n == 0 || n > 18 || length[n] != '\0')
            return 400;
        pub->content_length = strtoll(length, NULL, 10);
    }
    if (coding != NULL)
        pub->content_length = -1;
    return 0;
}

/* What a target must be for those who read it themselves: object keys may hold any bytes, escaped
 * or not, and parts of any name. */
static bool is_raw_target(const char *target)
{
    return target[0] == '/' && !ft_str_has_control(target, "");
}

/* A head ends with an empty line behind the last value, and its request line. */
static bool is_broken(const struct head *h, const char *end)
{
    return h->broken || end - h->last > (ptrdiff_t)strlen("\r\n\r\n") || !only_blanks(h->last, end);
}

/* 0, or the status to answer with. */
static int read_head(struct exchange *x, struct MHD_Connection *mhd, const char *method,
                     const char *version, struct ft_err *why)
{
    struct ft_http_exchange *pub = &x->pub;
    struct head h = {.x = x, .last = version + strlen(version)};
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, count_field, &h);
    h.bytes += strlen(method) + 1;
    h.fields = ft_arena_array(&pub->arena, (size_t)h.max + 1, sizeof *h.fields);
    h.text = ft_arena_alloc(&pub->arena, h.bytes);
    if (h.fields == NULL || h.text == NULL) {
        ft_err_set(why, FT_ENOMEM, "no memory");
        return 503;
    }
    pub->method = head_copy(&h, method);
    pub->fields = h.fields;
    pub->peer = ft_arena_strndup(&pub->arena, x->conn->peer, strlen(x->conn->peer));
    pub->path = "/";
    pub->secure = x->server->cert != NULL;
    MHD_get_connection_values(mhd, MHD_HEADER_KIND, take_field, &h);
    const union MHD_ConnectionInfo *size =
        MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    if (size == NULL || size->header_size > x->server->config.head_bytes) {
        ft_err_set(why, FT_ELIMIT, "the head of the request is longer than %zu bytes",
                   x->server->config.head_bytes);
        return 431;
    }
    if (is_broken(&h, method + size->header_size)) {
        ft_err_set(why, FT_EINVAL, "a header has no name, holds a NUL or goes on in the next line");
        return 400;
    }
    const char *text;
    int status = check_framing(x, version, &text);
    if (status != 0) {
        ft_err_set(why, FT_EINVAL, "%s", text);
        return status;
    }
    if (!is_token(method)) {
        ft_err_set(why, FT_EINVAL, "the method is not a word");
        return 400;
    }
    if (strchr(pub->target, ' ') != NULL) {
        ft_err_set(why, FT_EINVAL, "path: holds a space; %%20 stands for one");
        return 400;
    }
    if (strcmp(pub->target, "*") == 0 && strcmp(method, "OPTIONS") == 0) {
        pub->path = "*";
        return 0;
    }
    if (ft_url_path(pub->target, strlen(pub->target), &pub->arena, &pub->path, why) == 0)
        return 0;
    pub->path = NULL;
    return x->server->config.raw_targets && is_raw_target(pub->target) ? 0 : 400;
}

/* ---- queueing answers ---- */

static enum MHD_Result queue_answer(struct exchange *x, struct MHD_Connection *mhd)
{
    struct conn *c = x->conn;
    pthread_mutex_lock(&x->lock);
    struct MHD_Response *r = x->response;
    x->response = NULL;
    x->phase = PHASE_SEND;
    int status = x->status;
    pthread_mutex_unlock(&x->lock);
    if (r == NULL)
        return MHD_NO;
    if (atomic_load(&x->server->draining))
        MHD_add_response_header(r, "Connection", "close");
    ft_http_conn_enter(c, CONN_SEND);
    enum MHD_Result ok = MHD_queue_response(mhd, (unsigned)status, r);
    if (r != x->block) /* which stays */
        MHD_destroy_response(r);
    return ok;
}

static void refuse_lost(struct exchange *x)
{
    if (x->lost_status == 413)
        ft_http_refuse(x, 413, "the body of the request is too long");
    else
        ft_http_refuse(x, 500, "nobody answered this request");
}

/* Will nobody answer, though the body is not in? Under the lock. */
static bool is_lost(const struct exchange *x)
{
    return !x->answered && x->handed_over && x->refs == 1;
}

/* The request is in, or nobody wants the rest of it. */
static enum MHD_Result answer_or_wait(struct exchange *x, struct MHD_Connection *mhd)
{
    struct conn *c = x->conn;
    pthread_mutex_lock(&x->lock);
    x->phase = PHASE_WAIT;
    bool answered = x->answered, lost = !answered && x->refs == 1;
    bool gone = x->gone || (!answered && !lost && !ft_http_suspend(x));
    pthread_mutex_unlock(&x->lock);
    if (gone)
        return MHD_NO;
    if (lost)
        refuse_lost(x);
    if (answered || lost)
        return queue_answer(x, mhd);
    ft_http_conn_enter(c, CONN_WAIT);
    return MHD_YES;
}

static void end_stream_body(struct exchange *x, bool whole)
{
    if (x->body_mode != BODY_STREAM || x->body_ended)
        return;
    pthread_mutex_lock(&x->lock);
    x->body_ended = true;
    pthread_mutex_unlock(&x->lock);
    x->on_data_end(x->body_ctx, &x->pub, whole);
}

/* A body that nobody wants and that is too long to be read for nothing, or that the client has not
 * begun to send: answer before it, which closes the connection, and read on for a moment so that
 * the client sees the answer. */
static bool is_waste(const struct exchange *x)
{
    int64_t n = x->pub.content_length;
    return n != 0 && (n < 0 || n > FT_HTTP_DISCARD_MAX || x->expect);
}

/* The body is neither asked for nor read until somebody wants it, or answers. */
static enum MHD_Result hold(struct exchange *x, struct MHD_Connection *mhd)
{
    pthread_mutex_lock(&x->lock);
    bool lost = is_lost(x), answered = x->answered || lost;
    bool wait = !x->gone && !answered && !x->body_wanted;
    bool gone = x->gone || (wait && !ft_http_suspend(x));
    x->phase = wait ? PHASE_HOLD : PHASE_BODY;
    pthread_mutex_unlock(&x->lock);
    if (gone)
        return MHD_NO;
    ft_http_conn_enter(x->conn, wait ? CONN_WAIT : CONN_BODY);
    if (lost)
        refuse_lost(x);
    if (!answered || !is_waste(x))
        return MHD_YES;
    end_stream_body(x, false);
    x->conn->linger = true;
    return queue_answer(x, mhd);
}

static enum MHD_Result take_head(struct exchange *x, struct MHD_Connection *mhd, const char *method,
                                 const char *version)
{
    struct ft_http_server *s = x->server;
    struct conn *c = x->conn;
    struct ft_err why;
    int status = read_head(x, mhd, method, version, &why);
    pthread_mutex_lock(&c->lock);
    bool cut = c->cut;
    pthread_mutex_unlock(&c->lock);
    if (cut)
        return MHD_NO;
    ft_http_conn_enter(c, CONN_BODY);
    x->phase = PHASE_BODY;
    if (status != 0) { /* the framing is not to be trusted: nothing more is read of it */
        ft_http_refuse(x, status, why.msg);
        c->linger = true;
        return queue_answer(x, mhd);
    }
    s->config.handler(s->config.ctx, &x->pub);
    if (x->body_mode == BODY_DROP) {
        pthread_mutex_lock(&x->lock);
        x->handed_over = true;
        pthread_mutex_unlock(&x->lock);
    }
    if (x->body_mode == BODY_STREAM && x->body_held && x->pub.content_length != 0)
        return hold(x, mhd);
    if (x->body_mode != BODY_DROP || !is_waste(x))
        return MHD_YES;
    c->linger = true;
    return answer_or_wait(x, mhd);
}

/* ---- the body ---- */

void ft_http_body_collect(struct ft_http_exchange *pub, size_t max_bytes, ft_http_body_fn *fn,
                          void *ctx)
{
    struct exchange *x = ft_exchange_of(pub);
    FT_ASSERT(x->phase == PHASE_BODY && x->body_mode == BODY_DROP && !x->handed_over);
    if (pub->content_length > 0 && (uint64_t)pub->content_length > max_bytes) {
        ft_http_refuse(x, 413, "the body of the request is too long");
        return;
    }
    x->body_mode = BODY_COLLECT;
    x->body_max = (int64_t)FT_MIN(max_bytes, (size_t)INT64_MAX);
    x->on_body = fn;
    x->body_ctx = ctx;
    ft_buf_init(&x->body, max_bytes);
    if (pub->content_length > 0) /* what comes later grows it: announcing is cheap for a client */
        ft_buf_reserve(&x->body, FT_MIN((size_t)pub->content_length, FT_HTTP_BODY_RESERVE));
}

void ft_http_body_release(struct ft_http_exchange *pub)
{
    ft_buf_fini(&ft_exchange_of(pub)->body);
}

void ft_http_body_stream(struct ft_http_exchange *pub, int64_t max_bytes,
                         ft_http_body_data_fn *on_data, ft_http_body_end_fn *on_end, void *ctx)
{
    struct exchange *x = ft_exchange_of(pub);
    FT_ASSERT(x->phase == PHASE_BODY && x->body_mode == BODY_DROP && !x->handed_over);
    x->on_data_end = on_end;
    x->body_ctx = ctx;
    if (max_bytes > 0 && pub->content_length > max_bytes) {
        ft_http_refuse(x, 413, "the body of the request is too long");
        on_end(ctx, pub, false);
        return;
    }
    x->body_mode = BODY_STREAM;
    x->body_max = max_bytes > 0 ? max_bytes : INT64_MAX;
    x->on_data = on_data;
}

/* What of a body is left, as far as it is known. */
static int64_t still_to_come(const struct exchange *x)
{
    return x->pub.content_length < 0 ? 0 : x->pub.content_length - x->body_seen;
}

/* Ends an exchange that was answered before the body is in, with that answer. */
static enum MHD_Result cut_answered(struct exchange *x)
{
    static const char why[] = "answered before the body of the request was in";
    x->conn->linger = true;
    pthread_mutex_lock(&x->lock);
    x->raw_sent = x->raw.len != 0; /* written once, before `answered` */
    int status = x->status;
    pthread_mutex_unlock(&x->lock);
    if (x->raw_sent)
        ft_http_raw_send(x->conn, &x->raw, true);
    else
        ft_http_raw_error(x->conn, status, why, true);
    return MHD_NO;
}

/* Ends an exchange whose body cannot be read to its end. */
static enum MHD_Result cut_body(struct exchange *x, int status, const char *why)
{
    atomic_fetch_add(&x->server->n_refused, 1);
    x->conn->linger = true;
    ft_http_raw_error(x->conn, status, why, true);
    return MHD_NO;
}

void ft_http_body_hold(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    FT_ASSERT(x->phase == PHASE_BODY && x->body_mode == BODY_STREAM && !x->handed_over);
    x->body_held = true;
}

static enum MHD_Result stream_body(struct exchange *x, const char *data, size_t *n)
{
    for (;;) {
        pthread_mutex_lock(&x->lock);
        x->body_paused = true; /* until ft_http_body_resume */
        pthread_mutex_unlock(&x->lock);
        size_t taken = x->on_data(x->body_ctx, &x->pub, data, *n);
        FT_ASSERT(taken <= *n);
        data += taken;
        *n -= taken;
        if (*n == 0)
            return MHD_YES;
        pthread_mutex_lock(&x->lock);
        bool again = !x->body_paused;
        enum MHD_Result ok = again || ft_http_suspend(x) ? MHD_YES : MHD_NO;
        pthread_mutex_unlock(&x->lock);
        if (!again)
            return ok;
    }
}

void ft_http_want_body(struct exchange *x)
{
    x->body_paused = false;
    x->body_wanted = true;
    if (x->phase <= PHASE_BODY)
        ft_http_wake(x);
}

void ft_http_body_resume(struct ft_http_exchange *pub)
{
    struct exchange *x = ft_exchange_of(pub);
    pthread_mutex_lock(&x->lock);
    ft_http_want_body(x);
    pthread_mutex_unlock(&x->lock);
}

static enum MHD_Result take_body(struct exchange *x, const char *data, size_t *n)
{
    struct conn *c = x->conn;
    pthread_mutex_lock(&c->lock);
    bool cut = c->cut;
    c->in_bytes += *n;
    pthread_mutex_unlock(&c->lock);
    pthread_mutex_lock(&x->lock);
    bool lost = is_lost(x), answered = x->answered || lost, gone = x->gone;
    pthread_mutex_unlock(&x->lock);
    if (gone || cut)
        return MHD_NO;
    if (lost)
        refuse_lost(x);
    if (answered || x->body_mode == BODY_DROP) {
        end_stream_body(x, false);
        x->body_seen += (int64_t)*n;
        x->body_wasted += (int64_t)*n;
        *n = 0;
        if (x->body_wasted + still_to_come(x) <= FT_HTTP_DISCARD_MAX)
            return MHD_YES;
        return cut_answered(x);
    }
    if ((int64_t)*n > x->body_max - x->body_seen) {
        end_stream_body(x, false);
        return cut_body(x, 413, "the body of the request is too long");
    }
    if (x->body_mode == BODY_COLLECT) {
        x->body_seen += (int64_t)*n;
        if (ft_buf_add(&x->body, data, *n) != 0)
            return cut_body(x, 503, "no memory for the body of the request");
        *n = 0;
        return MHD_YES;
    }
    size_t before = *n;
    enum MHD_Result ok = stream_body(x, data, n);
    x->body_seen += (int64_t)(before - *n);
    return ok;
}

static enum MHD_Result end_body(struct exchange *x, struct MHD_Connection *mhd)
{
    pthread_mutex_lock(&x->lock);
    bool gone = x->gone;
    pthread_mutex_unlock(&x->lock);
    if (gone)
        return MHD_NO;
    if (x->body_mode == BODY_COLLECT)
        x->on_body(x->body_ctx, &x->pub, x->body.len != 0 ? x->body.data : "", x->body.len);
    end_stream_body(x, true);
    pthread_mutex_lock(&x->lock);
    x->handed_over = true;
    pthread_mutex_unlock(&x->lock);
    return answer_or_wait(x, mhd);
}

enum MHD_Result ft_http_access(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data, size_t *n,
                               void **con_cls)
{
    (void)cls;
    (void)url;
    struct exchange *x = *con_cls;
    if (x == NULL)
        return MHD_NO;
    if (x->phase == PHASE_HEAD)
        return take_head(x, mhd, method, version);
    if (x->phase == PHASE_HOLD)
        return hold(x, mhd);
    if (x->phase == PHASE_BODY)
        return *n != 0 ? take_body(x, data, n) : end_body(x, mhd);
    return x->phase == PHASE_WAIT ? answer_or_wait(x, mhd) : MHD_NO;
}

void ft_http_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode why)
{
    (void)mhd;
    struct ft_http_server *s = cls;
    struct exchange *x = *con_cls;
    if (x == NULL)
        return;
    *con_cls = NULL;
    struct conn *c = x->conn;
    pthread_mutex_lock(&c->lock);
    c->x = NULL;
    pthread_mutex_unlock(&c->lock);
    ft_http_conn_enter(c, CONN_IDLE);
    end_stream_body(x, false);
    pthread_mutex_lock(&x->lock);
    bool headers_only = x->pub.method != NULL && ft_http_is_bodyless(x);
    if (x->phase == PHASE_HEAD)
        atomic_fetch_add(&s->n_refused, 1); /* the handler never saw it */
    x->closed_clean = x->raw_sent || (why == MHD_REQUEST_TERMINATED_COMPLETED_OK && x->answered &&
                                      (!x->stream || x->stream_ended || headers_only));
    x->phase = PHASE_DONE;
    x->conn = NULL;
    if (x->response != NULL && x->response != x->block)
        MHD_destroy_response(x->response);
    x->response = NULL;
    free(x->out);
    x->out = NULL;
    x->out_n = x->out_cap = 0;
    ft_http_close_fn *fn = x->on_close;
    if (x->waiter != NULL)
        pthread_cond_signal(x->waiter);
    pthread_mutex_unlock(&x->lock);
    if (fn != NULL)
        fn(x->close_ctx, &x->pub, x->closed_clean);
    atomic_fetch_sub(&s->n_exchanges, 1);
    ft_http_unref(&x->pub);
}
