/* Requests to an S3 server. A body's bytes are not signed, TLS or the MD5 beside them protects
 * them; the head always is. */
#include "blob/s3/call.h"

#include <nettle/base64.h>
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "blob/backend.h"
#include "net/sigv4.h"
#include "net/url.h"

#define QUERY_MAX      16384
#define PATH_MAX_BYTES 8192
#define HEADER_MAX     16384
#define TRIES          5
#define BACKOFF_MS     100
#define IDLE_MS        60000
#define IDLE_STREAM_MS 600000 /* who sends may be slow */
#define ERROR_NODES    (256u << 10)

/* ---- putting it together ---- */

static void encode_path(struct ft_buf *b, const char *key)
{
    for (size_t n; *key != '\0'; key += n) {
        n = strcspn(key, "/");
        ft_url_encode(b, key, n);
        if (key[n] == '/') {
            ft_buf_add_byte(b, '/');
            n++;
        }
    }
}

void ft_ups_request_init(struct ft_ups_request *q, const char *method, const char *bucket,
                         const char *key)
{
    *q = (struct ft_ups_request){.method = method};
    ft_buf_init(&q->path, PATH_MAX_BYTES);
    ft_buf_init(&q->query, QUERY_MAX);
    ft_buf_add_byte(&q->path, '/');
    ft_buf_add_str(&q->query, "");
    if (bucket != NULL)
        ft_url_encode(&q->path, bucket, strlen(bucket));
    if (key != NULL) {
        ft_buf_add_byte(&q->path, '/');
        encode_path(&q->path, key);
    }
}

void ft_ups_request_fini(struct ft_ups_request *q)
{
    for (int i = 0; i < q->n_headers; i++)
        free(q->headers[i]);
    ft_buf_fini(&q->path);
    ft_buf_fini(&q->query);
}

void ft_ups_query(struct ft_ups_request *q, const char *name, const char *value)
{
    if (q->query.len > 0)
        ft_buf_add_byte(&q->query, '&');
    ft_url_encode(&q->query, name, strlen(name));
    ft_buf_add_byte(&q->query, '=');
    if (value != NULL)
        ft_url_encode(&q->query, value, strlen(value));
}

void ft_ups_query_int(struct ft_ups_request *q, const char *name, int64_t value)
{
    char text[24];
    snprintf(text, sizeof text, "%lld", (long long)value);
    ft_ups_query(q, name, text);
}

void ft_ups_header(struct ft_ups_request *q, const char *name, const char *fmt, ...)
{
    struct ft_buf line;
    va_list ap;
    char value[HEADER_MAX];
    va_start(ap, fmt);
    int n = vsnprintf(value, sizeof value, fmt, ap);
    va_end(ap);
    ft_buf_init(&line, HEADER_MAX + 128);
    ft_buf_addf(&line, "%s: %s", name, value);
    if (n >= (int)sizeof value || line.failed != 0 || q->n_headers == S3_HEADERS_MAX) {
        q->failed = true;
        ft_buf_fini(&line);
        return;
    }
    q->headers[q->n_headers++] = line.data;
}

void ft_ups_body(struct ft_ups_request *q, const void *data, size_t n)
{
    struct md5_ctx md5;
    uint8_t digest[MD5_DIGEST_SIZE];
    char text[BASE64_ENCODE_RAW_LENGTH(MD5_DIGEST_SIZE) + 1] = "";
    md5_init(&md5);
    md5_update(&md5, n, data);
    md5_digest(&md5, sizeof digest, digest);
    base64_encode_raw(text, sizeof digest, digest);
    ft_ups_header(q, "content-md5", "%s", text);
    q->body = data;
    q->body_bytes = (int64_t)n;
}

const char *ft_ups_answer_header(const struct ft_ups_answer *a, const char *name)
{
    const char *at = a->head.data, *end = at + a->head.len;
    while (at < end) {
        const char *value = at + strlen(at) + 1;
        if (strcmp(at, name) == 0)
            return value;
        at = value + strlen(value) + 1;
    }
    return NULL;
}

void ft_ups_answer_fini(struct ft_ups_answer *a)
{
    ft_buf_fini(&a->head);
    ft_buf_fini(&a->body);
}

/* ---- signing ---- */

struct wire { /* a request as it goes out */
    struct ft_buf url;
    char *lines[S3_HEADERS_MAX + 4];
    int n_lines, n_own; /* the first n_own are ours to free */
};

static void wire_fini(struct wire *w)
{
    for (int i = 0; i < w->n_own; i++)
        free(w->lines[i]);
    ft_buf_fini(&w->url);
}

static void wire_line(struct wire *w, const char *name, const char *value)
{
    struct ft_buf line;
    ft_buf_init(&line, HEADER_MAX);
    ft_buf_addf(&line, "%s: %s", name, value);
    if (line.failed != 0)
        ft_buf_fini(&line);
    else
        w->lines[w->n_own++] = line.data;
}

static int sign(struct ft_ups_server *s, const struct ft_ups_request *q, struct wire *w,
                struct ft_err *err)
{
    struct ft_http_field fields[S3_HEADERS_MAX + 1];
    char names[S3_HEADERS_MAX][64];
    struct ft_sigv4_request r = {
        .method = q->method, .path = q->path.data, .query = q->query.data, .fields = fields};
    struct ft_sigv4_key key = {s->access_key, s->secret_key, s->region, "s3"};
    struct ft_sigv4_signed *made = malloc(sizeof *made);
    if (made == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a signature");
    fields[r.n_fields++] = (struct ft_http_field){"host", s->host};
    for (int i = 0; i < q->n_headers; i++) {
        const char *colon = strchr(q->headers[i], ':');
        snprintf(names[i], sizeof names[i], "%.*s", (int)(colon - q->headers[i]), q->headers[i]);
        fields[r.n_fields++] = (struct ft_http_field){names[i], colon + 2};
    }
    int rc = ft_sigv4_sign(&r, &key, FT_SIGV4_UNSIGNED, time(NULL), made, err);
    if (rc == 0) {
        wire_line(w, "x-amz-date", made->date);
        wire_line(w, "x-amz-content-sha256", FT_SIGV4_UNSIGNED);
        wire_line(w, "authorization", made->authorization);
        if (w->n_own != 3)
            rc = ft_err_set(err, FT_ENOMEM, "no memory for a request");
    }
    free(made);
    return rc;
}

static int wire_make(struct ft_ups_server *s, const struct ft_ups_request *q, struct wire *w,
                     struct ft_err *err)
{
    *w = (struct wire){.n_lines = 0};
    ft_buf_init(&w->url, PATH_MAX_BYTES + QUERY_MAX + 1024);
    if (q->failed || q->path.failed != 0 || q->query.failed != 0)
        return ft_err_set(err, FT_ELIMIT, "a request to the upstream is too long");
    int rc = sign(s, q, w, err);
    if (rc != 0)
        return rc;
    w->n_lines = w->n_own;
    for (int i = 0; i < q->n_headers; i++)
        w->lines[w->n_lines++] = q->headers[i];
    ft_buf_addf(&w->url, "%s%s%s%s", s->endpoint, q->path.data, q->query.len > 0 ? "?" : "",
                q->query.data);
    return w->url.failed != 0 ? ft_err_set(err, w->url.failed, "url") : 0;
}

/* ---- exchanges ---- */

struct ft_ups_exchange {
    struct ft_ups_server *server;
    struct ft_http_call *call;
    const char *body; /* what is left of a whole one */
    size_t n_body;
    bool streamed;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under lock */
    struct ft_ups_answer answer;
    char *up, *down; /* rings */
    size_t up_at, up_n, down_at, down_n;
    bool up_ended, up_waits; /* the client asked for more than there was */
    bool want_down, down_waits, head_in, done;
    int rc;
    struct ft_err err;
};

static size_t ring_put(char *ring, size_t at, size_t n, const char *data, size_t len)
{
    size_t room = FT_MIN(len, S3_RING_BYTES - n), to = (at + n) % S3_RING_BYTES;
    size_t first = FT_MIN(room, S3_RING_BYTES - to);
    memcpy(ring + to, data, first);
    memcpy(ring, data + first, room - first);
    return room;
}

static size_t ring_take(const char *ring, size_t at, size_t n, char *data, size_t len)
{
    size_t k = FT_MIN(len, n), first = FT_MIN(k, S3_RING_BYTES - at);
    memcpy(data, ring + at, first);
    memcpy(data + first, ring, k - first);
    return k;
}

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct ft_ups_exchange *x = ctx;
    pthread_mutex_lock(&x->lock);
    x->answer.status = head->status;
    for (int i = 0; i < head->n_fields; i++) {
        ft_buf_add(&x->answer.head, head->fields[i].name, strlen(head->fields[i].name) + 1);
        ft_buf_add(&x->answer.head, head->fields[i].value, strlen(head->fields[i].value) + 1);
    }
    x->head_in = true;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct ft_ups_exchange *x = ctx;
    bool taken = true;
    pthread_mutex_lock(&x->lock);
    if (x->want_down && x->answer.status / 100 == 2) {
        taken = S3_RING_BYTES - x->down_n >= n;
        if (taken)
            x->down_n += ring_put(x->down, x->down_at, x->down_n, data, n);
        x->down_waits = !taken;
    } else {
        ft_buf_add(&x->answer.body, data, n); /* too long: seen at the end */
    }
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    return taken;
}

static size_t on_read(void *ctx, char *data, size_t n)
{
    struct ft_ups_exchange *x = ctx;
    size_t k;
    if (!x->streamed) {
        k = FT_MIN(n, x->n_body);
        memcpy(data, x->body, k);
        x->body += k;
        x->n_body -= k;
        return k;
    }
    pthread_mutex_lock(&x->lock);
    k = ring_take(x->up, x->up_at, x->up_n, data, n);
    x->up_at = (x->up_at + k) % S3_RING_BYTES;
    x->up_n -= k;
    x->up_waits = k == 0 && !x->up_ended;
    if (x->up_waits)
        k = FT_HTTP_READ_PAUSE;
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
    return k;
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct ft_ups_exchange *x = ctx;
    pthread_mutex_lock(&x->lock);
    x->done = true;
    if (err != NULL) {
        x->err = *err;
        x->rc = err->code;
    } else if (x->answer.body.failed != 0 || x->answer.head.failed != 0) {
        x->rc = ft_err_set(&x->err, FT_EIO, "the upstream's answer is too long");
    }
    pthread_cond_broadcast(&x->changed);
    pthread_mutex_unlock(&x->lock);
}

static void exchange_free(struct ft_ups_exchange *x)
{
    ft_http_call_unref(x->call);
    ft_ups_answer_fini(&x->answer);
    pthread_cond_destroy(&x->changed);
    pthread_mutex_destroy(&x->lock);
    free(x->up);
    free(x->down);
    free(x);
}

static int start(struct ft_ups_server *s, struct ft_ups_request *q, bool want_down,
                 struct ft_ups_exchange **ret, struct ft_err *err)
{
    struct wire w;
    struct ft_ups_exchange *x = calloc(1, sizeof *x);
    if (x == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a request");
    x->server = s;
    x->body = q->body;
    x->n_body = (size_t)q->body_bytes;
    x->streamed = q->streamed;
    x->want_down = want_down;
    pthread_mutex_init(&x->lock, NULL);
    pthread_cond_init(&x->changed, NULL);
    ft_buf_init(&x->answer.head, FT_HTTP_ANSWER_HEAD_MAX);
    ft_buf_init(&x->answer.body, S3_ANSWER_MAX);
    int rc = wire_make(s, q, &w, err);
    if (rc == 0 && q->streamed && (x->up = malloc(S3_RING_BYTES)) == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a stream");
    if (rc == 0 && want_down && (x->down = malloc(S3_RING_BYTES)) == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory for a stream");
    if (rc == 0) {
        bool puts = q->body != NULL || q->streamed || strcmp(q->method, "PUT") == 0 ||
                    strcmp(q->method, "POST") == 0;
        struct ft_http_call_config c = {.method = q->method,
                                        .url = w.url.data,
                                        .headers = (const char *const *)w.lines,
                                        .n_headers = w.n_lines,
                                        .on_read = puts ? on_read : NULL,
                                        .body_bytes = puts ? q->body_bytes : 0,
                                        .idle_timeout_ms = q->streamed ? IDLE_STREAM_MS : IDLE_MS,
                                        /* curl sends again by itself what a kept connection
                                         * swallowed, unless there is a body to be read anew */
                                        .fresh = q->once && q->body_bytes == 0,
                                        .large = q->streamed || want_down || q->body_bytes > 65536,
                                        .ca_file = s->ca_file,
                                        .on_head = on_head,
                                        .on_data = on_data,
                                        .on_done = on_done,
                                        .ctx = x};
        rc = ft_http_call_start(s->client, &c, &x->call, err);
    }
    wire_fini(&w);
    if (rc != 0) {
        exchange_free(x);
        return rc;
    }
    *ret = x;
    return 0;
}

int ft_ups_start(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_exchange **ret,
                 struct ft_err *err)
{
    return start(s, q, !q->streamed, ret, err);
}

static int failed(const struct ft_ups_exchange *x, struct ft_err *err)
{
    int rc = ft_err_set(err, x->rc == FT_ENOMEM ? FT_ENOMEM : FT_EIO, "%s", x->err.msg);
    if (err != NULL) /* ECONNREFUSED: nothing was sent */
        err->sys_errno = x->err.sys_errno;
    return rc;
}

int ft_ups_send(struct ft_ups_exchange *x, const void *data, size_t n, struct ft_err *err)
{
    int rc = 0;
    for (const char *at = data; n > 0 && rc == 0;) {
        bool wake = false;
        pthread_mutex_lock(&x->lock);
        while (x->up_n == S3_RING_BYTES && !x->done)
            pthread_cond_wait(&x->changed, &x->lock);
        if (x->done) {
            rc = x->rc != 0
                     ? failed(x, err)
                     : ft_err_set(err, FT_EIO, "answered %d before the end", x->answer.status);
        } else {
            size_t k = ring_put(x->up, x->up_at, x->up_n, at, n);
            x->up_n += k;
            at += k;
            n -= k;
            wake = x->up_waits;
            x->up_waits = false;
        }
        pthread_mutex_unlock(&x->lock);
        if (wake)
            ft_http_call_resume_read(x->call);
    }
    return rc;
}

int ft_ups_wait_head(struct ft_ups_exchange *x, struct ft_ups_answer **ret, struct ft_err *err)
{
    int rc = 0;
    pthread_mutex_lock(&x->lock);
    while (!x->done && (!x->head_in || x->answer.status / 100 != 2))
        pthread_cond_wait(&x->changed, &x->lock);
    if (x->rc != 0)
        rc = failed(x, err);
    pthread_mutex_unlock(&x->lock);
    if (rc == 0)
        *ret = &x->answer;
    return rc;
}

int ft_ups_receive(struct ft_ups_exchange *x, void *data, size_t n, struct ft_err *err)
{
    int rc = 0;
    for (char *at = data; n > 0 && rc == 0;) {
        bool wake = false;
        pthread_mutex_lock(&x->lock);
        while (x->down_n == 0 && !x->done)
            pthread_cond_wait(&x->changed, &x->lock);
        size_t k = ring_take(x->down, x->down_at, x->down_n, at, n);
        x->down_at = (x->down_at + k) % S3_RING_BYTES;
        x->down_n -= k;
        at += k;
        n -= k;
        if (k == 0)
            rc = x->rc != 0 ? failed(x, err) : ft_err_set(err, FT_EIO, "the answer is too short");
        if (x->down_waits && x->down_n <= S3_RING_BYTES / 2) {
            x->down_waits = false;
            wake = true;
        }
        pthread_mutex_unlock(&x->lock);
        if (wake)
            ft_http_call_pause(x->call, false);
    }
    return rc;
}

int ft_ups_finish(struct ft_ups_exchange *x, struct ft_ups_answer *ret, struct ft_err *err)
{
    bool wake;
    pthread_mutex_lock(&x->lock);
    x->up_ended = true;
    wake = x->up_waits;
    x->up_waits = false;
    pthread_mutex_unlock(&x->lock);
    if (wake)
        ft_http_call_resume_read(x->call);
    pthread_mutex_lock(&x->lock);
    while (!x->done)
        pthread_cond_wait(&x->changed, &x->lock);
    pthread_mutex_unlock(&x->lock);
    int rc = x->rc != 0 ? failed(x, err) : 0;
    if (rc == 0 && ret != NULL) {
        *ret = x->answer;
        x->answer = (struct ft_ups_answer){.status = 0};
    }
    exchange_free(x);
    return rc;
}

void ft_ups_cancel(struct ft_ups_exchange *x)
{
    if (x == NULL)
        return;
    ft_http_call_cancel(x->call);
    pthread_mutex_lock(&x->lock);
    while (!x->done)
        pthread_cond_wait(&x->changed, &x->lock);
    pthread_mutex_unlock(&x->lock);
    exchange_free(x);
}

/* ---- whole calls ---- */

static bool is_overload(int status)
{
    return status == 503 || status == 429;
}

static void back_off(int try)
{
    int64_t ms = (int64_t)BACKOFF_MS << try;
    ms += (int64_t)(ft_rand_unit((uint64_t)time(NULL), (uint64_t)pthread_self(), (uint64_t)try) *
                    (double)ms);
    struct timespec t = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&t, NULL);
}

int ft_ups_call(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_answer *ret,
                struct ft_err *err)
{
    for (int try = 0;; try++) {
        struct ft_ups_exchange *x;
        struct ft_ups_answer a;
        int rc = start(s, q, false, &x, err);
        if (rc != 0)
            return rc;
        rc = ft_ups_finish(x, &a, err);
        bool again = rc == FT_EIO
                         ? !q->once
                         : rc == 0 && (is_overload(a.status) || (a.status >= 500 && !q->once));
        if (!again || try + 1 == TRIES) {
            if (rc == 0)
                *ret = a;
            return rc;
        }
        if (rc == 0)
            ft_ups_answer_fini(&a);
        back_off(try);
    }
}

int ft_ups_do(struct ft_ups_server *s, struct ft_ups_request *q, const char *what,
              struct ft_ups_answer *ret, struct ft_err *err)
{
    struct ft_ups_answer a;
    int rc = ft_ups_call(s, q, &a, err);
    if (rc != 0)
        return ft_err_wrap(err, "%s", what);
    if (a.status / 100 != 2)
        rc = ft_ups_refused(&a, what, err);
    if (rc != 0 || ret == NULL)
        ft_ups_answer_fini(&a);
    else
        *ret = a;
    return rc;
}

int ft_ups_refused(const struct ft_ups_answer *a, const char *what, struct ft_err *err)
{
    static const struct {
        const char *code;
        int ours;
        enum ft_blob_why why;
    } known[] = {
        {"NoSuchBucket", FT_ENOTFOUND, FT_BLOB_NO_BUCKET},
        {"NoSuchKey", FT_ENOTFOUND, FT_BLOB_NO_KEY},
        {"NoSuchVersion", FT_ENOTFOUND, FT_BLOB_NO_VERSION},
        {"NoSuchUpload", FT_ENOTFOUND, FT_BLOB_NO_UPLOAD},
        {"InvalidPart", FT_EINVAL, FT_BLOB_NO_PART},
        {"InvalidPartOrder", FT_EINVAL, FT_BLOB_PART_ORDER},
        {"PreconditionFailed", FT_EBUSY, FT_BLOB_CONDITION},
        {"BucketAlreadyOwnedByYou", FT_EEXIST, FT_BLOB_BUCKET_IS_THERE},
        {"BucketNotEmpty", FT_EBUSY, FT_BLOB_BUCKET_FULL},
        {"EntityTooSmall", FT_EINVAL, FT_BLOB_WHY_NONE},
        {"EntityTooLarge", FT_ELIMIT, FT_BLOB_WHY_NONE},
        {"QuotaExceeded", FT_ELIMIT, FT_BLOB_WHY_NONE},
        {"NotImplemented", FT_EUNSUPPORTED, FT_BLOB_WHY_NONE},
        {"BadDigest", FT_ECORRUPT, FT_BLOB_WHY_NONE},
    };
    struct ft_arena arena;
    struct ft_xml_node *root = NULL;
    ft_arena_init(&arena, ERROR_NODES);
    if (a->body.len > 0)
        ft_xml_read(a->body.data, a->body.len, &arena, &root, NULL);
    const char *code = root != NULL ? ft_xml_child_text(root, "Code") : NULL;
    int rc = a->status == 507 ? FT_ELIMIT : FT_EIO;
    enum ft_blob_why why = FT_BLOB_WHY_NONE;
    for (size_t i = 0; code != NULL && i < FT_COUNT(known); i++)
        if (strcmp(known[i].code, code) == 0) {
            rc = known[i].ours;
            why = known[i].why;
        }
    if (why != FT_BLOB_WHY_NONE)
        ft_blob_err(err, rc, why, "%s: upstream: %s", what, code);
    else
        ft_err_set(err, rc, "%s: upstream: %d %s", what, a->status, code != NULL ? code : "");
    ft_arena_fini(&arena);
    return rc;
}

int ft_ups_xml(const struct ft_ups_answer *a, struct ft_arena *arena, struct ft_xml_node **ret_root,
               struct ft_err *err)
{
    struct ft_err why;
    int rc = ft_xml_read(a->body.len > 0 ? a->body.data : "", a->body.len, arena, ret_root, &why);
    if (rc == 0 || rc == FT_ENOMEM) {
        if (rc != 0 && err != NULL)
            *err = why;
        return rc;
    }
    return ft_err_set(err, FT_EIO, "the upstream's answer: %s", why.msg);
}
