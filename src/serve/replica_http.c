/* Requests as HTTP calls, their answers through chunk.c.
 *
 * All of a job happens on the client's thread but submit, cancel and pause. A job has two holders,
 * its transfer and the submit that started it; END is given when the answer is whole ([DONE]) or
 * the transfer is done, whichever comes first. */
#include "serve/replica_http.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "net/client.h"
#include "net/sse.h"
#include "serve/chunk.h"

#define IDLE_TIMEOUT_MS    600000 /* of servers that are not ours; workers are asked for health */
#define CONNECT_TIMEOUT_MS 5000
#define BODY_MAX           ((size_t)256 << 20)
#define TRACE_PARENT_BYTES 96
#define TRACE_STATE_BYTES  640
#define RETRY_MS_DEFAULT   1000
#define RETRY_MS_MAX       600000

struct http {
    struct ft_replica base;
    struct ft_http_client *client;
    char *socket, *url, *authorization;
};

struct job {
    _Atomic int refs;
    struct ft_http_call *call; /* there before the first callback */
    struct ft_chunk_reader reader;
    struct ft_sse_parser sse;
    struct ft_buf body; /* of an answer that is no stream of events */
    json_t *request;    /* to count by where the server does not tell */
    int status;
    int retry_after_ms;
    bool events; /* the answer is a stream of events */
    bool ended;
    bool failed; /* fault and err say how */
    enum ft_piece_fault fault;
    struct ft_err err;
};

static const struct ft_replica_ops worker_ops, server_ops;

static struct http *http_of(struct ft_replica *r)
{
    FT_ASSERT(r->ops == &worker_ops || r->ops == &server_ops);
    return (struct http *)r;
}

static void job_unref(struct job *j)
{
    if (atomic_fetch_sub(&j->refs, 1) != 1)
        return;
    ft_http_call_unref(j->call);
    ft_chunk_fini(&j->reader);
    ft_sse_fini(&j->sse);
    ft_buf_fini(&j->body);
    ft_json_unref(j->request);
    free(j);
}

/* ---- the answer ---- */

static void job_fail(struct job *j, enum ft_piece_fault fault)
{
    j->failed = true;
    j->fault = fault;
}

/* At most once. What failed is told; otherwise the reader says whether the answer is whole. */
static void job_end(struct job *j)
{
    if (j->ended)
        return;
    j->ended = true;
    struct ft_piece p = {.kind = FT_PIECE_END};
    if (!j->failed && ft_chunk_end(&j->reader, j->request, &p.usage, &j->err) != 0)
        job_fail(j, FT_FAULT_REPLICA);
    if (j->failed) {
        ft_chunk_cut(&j->reader, j->request, &p.usage);
        p.err = &j->err;
        p.fault = j->fault;
        if (j->err.code == FT_EBUSY)
            p.retry_after_ms = j->retry_after_ms > 0 ? j->retry_after_ms : RETRY_MS_DEFAULT;
    }
    j->reader.on_piece(j->reader.ctx, &p);
}

static int on_event(void *ctx, const struct ft_sse_event *event)
{
    struct job *j = ctx;
    if (j->ended)
        return 0;
    int rc = ft_chunk_read(&j->reader, event->data, event->n, &j->fault, &j->err);
    if (rc != 0)
        j->failed = true;
    if (rc != 0 || j->reader.done)
        job_end(j);
    return rc;
}

static int retry_ms(const struct ft_http_answer_head *head)
{
    const char *ms = ft_http_answer_header(head, "retry-after-ms");
    const char *s = ft_http_answer_header(head, "retry-after");
    double wait = ms != NULL ? strtod(ms, NULL) : s != NULL ? strtod(s, NULL) * 1000 : 0;
    return !(wait > 0) ? 0 : wait > RETRY_MS_MAX ? RETRY_MS_MAX : (int)wait;
}

static void on_head(void *ctx, const struct ft_http_answer_head *head)
{
    struct job *j = ctx;
    const char *type = ft_http_answer_header(head, "content-type");
    j->status = head->status;
    j->retry_after_ms = retry_ms(head);
    j->events = head->status == 200 && type != NULL &&
                strncasecmp(type, "text/event-stream", strlen("text/event-stream")) == 0;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct job *j = ctx;
    int rc = 0;
    if (j->ended) {
        rc = j->failed ? FT_ECANCELED : 0; /* nothing more is of use */
    } else if (j->events) {
        rc = ft_sse_feed(&j->sse, data, n);
    } else {
        size_t most = j->status == 200 ? FT_REPLICA_ANSWER_MAX : FT_REPLICA_ERROR_MAX;
        size_t some = j->body.len < most ? FT_MIN(n, most - j->body.len) : 0;
        rc = ft_buf_add(&j->body, data, some);
        if (rc == 0 && some < n && j->status == 200)
            rc = FT_ELIMIT;
    }
    if (rc == 0)
        return true;
    if (!j->ended) {
        ft_err_set(&j->err, rc == FT_ENOMEM ? FT_ENOMEM : FT_ECORRUPT,
                   rc == FT_ENOMEM ? "out of memory" : "the server's answer is too long");
        job_fail(j, FT_FAULT_REPLICA);
        job_end(j);
    }
    ft_http_call_cancel(j->call);
    return true;
}

/* The whole answer is in, and was no stream of events. */
static void read_whole(struct job *j)
{
    const char *data = j->body.data != NULL ? j->body.data : "";
    if (j->status != 200) {
        ft_chunk_error(j->status, data, j->body.len, &j->fault, &j->err);
        j->failed = true;
        return;
    }
    if (ft_chunk_read(&j->reader, data, j->body.len, &j->fault, &j->err) != 0)
        j->failed = true;
    else
        j->reader.done = true;
}

static bool never_heard(const struct job *j, const struct ft_err *err)
{
    int e = err->sys_errno;
    return j->status == 0 && (e == ECONNREFUSED || e == ENOENT || e == EAGAIN);
}

static void on_done(void *ctx, const struct ft_err *err)
{
    struct job *j = ctx;
    if (!j->ended && err != NULL) {
        bool canceled = err->code == FT_ECANCELED;
        enum ft_piece_fault fault = canceled              ? FT_FAULT_CALL
                                    : never_heard(j, err) ? FT_FAULT_UNHEARD
                                                          : FT_FAULT_REPLICA;
        /* a timeout or nonsense on the line is a lost connection to those above */
        ft_err_set(&j->err, canceled ? FT_ECANCELED : FT_EIO, "%s", err->msg);
        j->err.sys_errno = err->sys_errno;
        job_fail(j, fault);
    } else if (!j->ended && !j->events) {
        read_whole(j);
    }
    job_end(j);
    job_unref(j);
}

/* ---- the seam ---- */

static const char *path_of(enum ft_task_kind kind)
{
    switch (kind) {
    case FT_TASK_CHAT:
        return "/chat/completions";
    case FT_TASK_TEXT:
        return "/completions";
    case FT_TASK_EMBED:
        return "/embeddings";
    case FT_TASK_RERANK:
        return "/rerank";
    default:
        return "/feitian/count";
    }
}

static struct job *job_new(const struct ft_job *job)
{
    static _Atomic uint64_t salts;
    struct job *j = calloc(1, sizeof *j);
    if (j == NULL)
        return NULL;
    atomic_init(&j->refs, 2);
    ft_chunk_init(&j->reader, job->kind, (uintptr_t)j + (atomic_fetch_add(&salts, 1) << 48),
                  job->on_piece, job->ctx);
    ft_sse_init(&j->sse, FT_REPLICA_EVENT_MAX, on_event, j);
    ft_buf_init(&j->body, FT_REPLICA_ANSWER_MAX);
    j->request = ft_json_ref((json_t *)job->body);
    return j;
}

/* The request's place in a trace, for servers that are not ours. */
static int add_trace(const char **headers, int n, const struct ft_job *job, char *parent,
                     size_t n_parent, char *state, size_t n_state)
{
    if (job->trace_parent == NULL)
        return n;
    snprintf(parent, n_parent, "traceparent: %s", job->trace_parent);
    headers[n++] = parent;
    if (job->trace_state != NULL &&
        (size_t)snprintf(state, n_state, "tracestate: %s", job->trace_state) < n_state)
        headers[n++] = state;
    return n;
}

static int job_start(struct http *h, struct job *j, const struct ft_job *job, const char *url,
                     struct ft_err *err)
{
    char *body = json_dumps(j->request, JSON_COMPACT);
    char parent[TRACE_PARENT_BYTES], state[TRACE_STATE_BYTES];
    if (body == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    const char *headers[5] = {"Content-Type: application/json",
                              "Accept: text/event-stream, application/json"};
    int n = 2;
    if (h->authorization != NULL)
        headers[n++] = h->authorization;
    if (h->socket == NULL)
        n = add_trace(headers, n, job, parent, sizeof parent, state, sizeof state);
    struct ft_http_call_config config = {
        .method = "POST",
        .url = url,
        .unix_socket = h->socket,
        .headers = headers,
        .n_headers = n,
        .body = body,
        .n_body = strlen(body),
        .connect_timeout_ms = CONNECT_TIMEOUT_MS,
        .idle_timeout_ms = h->socket != NULL ? 0 : IDLE_TIMEOUT_MS,
        .on_head = on_head,
        .on_data = on_data,
        .on_done = on_done,
        .ctx = j,
    };
    int rc = config.n_body <= BODY_MAX
                 ? ft_http_call_start(h->client, &config, &j->call, err)
                 : ft_err_set(err, FT_ELIMIT, "the request is too large for a replica");
    free(body);
    return rc;
}

static int http_submit(struct ft_replica *r, const struct ft_job *job, struct ft_replica_job **ret,
                       struct ft_err *err)
{
    struct http *h = http_of(r);
    if (job->kind == FT_TASK_COUNT && h->socket == NULL)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "tokens are not counted by servers that are reached by URL");
    struct job *j = job_new(job);
    char *url = NULL;
    if (j == NULL || asprintf(&url, "%s%s", job->kind == FT_TASK_COUNT ? "http://worker" : h->url,
                              path_of(job->kind)) < 0) {
        if (j != NULL) {
            j->refs = 1;
            job_unref(j);
        }
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    }
    *ret = (struct ft_replica_job *)j;
    int rc = job_start(h, j, job, url, err);
    free(url);
    if (rc != 0)
        atomic_store(&j->refs, 1); /* no callback will come */
    job_unref(j);
    return rc;
}

static void http_cancel(struct ft_replica *r, struct ft_replica_job *job)
{
    (void)r;
    ft_http_call_cancel(((struct job *)job)->call);
}

static void http_pause(struct ft_replica *r, struct ft_replica_job *job, bool paused)
{
    (void)r;
    ft_http_call_pause(((struct job *)job)->call, paused);
}

static void http_close(struct ft_replica *r)
{
    struct http *h = http_of(r);
    free(h->socket);
    free(h->url);
    free(h->authorization);
    free(h);
}

static const struct ft_replica_ops worker_ops = {
    .name = "worker",
    .submit = http_submit,
    .cancel = http_cancel,
    .pause = http_pause,
    .close = http_close,
    .resumes = true,
};
static const struct ft_replica_ops server_ops = {
    .name = "server",
    .submit = http_submit,
    .cancel = http_cancel,
    .pause = http_pause,
    .close = http_close,
    .resumes = false,
};

/* "https://host/v1/" without the last '/', "https://host" with "/v1". NULL: no memory. */
static char *base_url(const char *url)
{
    size_t n = strlen(url);
    while (n > 0 && url[n - 1] == '/')
        n--;
    const char *host = strstr(url, "://") + 3;
    bool path = memchr(host, '/', (size_t)(url + n - host)) != NULL;
    char *base;
    return asprintf(&base, "%.*s%s", (int)n, url, path ? "" : "/v1") < 0 ? NULL : base;
}

int ft_replica_http_open(const struct ft_replica_http_config *config, struct ft_replica **ret,
                         struct ft_err *err)
{
    const char *url = config->socket != NULL ? "http://worker/v1" : config->url;
    bool known = strncmp(url, "http://", 7) == 0 || strncmp(url, "https://", 8) == 0;
    if (!known || strlen(strstr(url, "://")) < 4 || ft_str_has_control(url, "") ||
        strchr(url, ' ') != NULL || strpbrk(url, "?#") != NULL)
        return ft_err_set(err, FT_EINVAL, "url: must be http://HOST[/PATH] or https://...");
    if (config->key != NULL && ft_str_has_control(config->key, ""))
        return ft_err_set(err, FT_EINVAL, "key: has control characters");
    struct http *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    h->base.ops = config->socket != NULL ? &worker_ops : &server_ops;
    h->client = config->client;
    h->url = base_url(url);
    h->socket = config->socket != NULL ? strdup(config->socket) : NULL;
    bool good = h->url != NULL && (config->socket == NULL || h->socket != NULL);
    if (good && config->key != NULL &&
        asprintf(&h->authorization, "Authorization: Bearer %s", config->key) < 0) {
        h->authorization = NULL;
        good = false;
    }
    if (!good) {
        http_close(&h->base);
        return ft_err_set(err, FT_ENOMEM, "out of memory");
    }
    *ret = &h->base;
    return 0;
}
