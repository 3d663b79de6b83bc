/* The exporter: a ring of requests, a thread that makes messages of them and sends them
 * (net/client.h). By the protocol 429, 502, 503 and 504 are tried again, after a growing pause;
 * meanwhile the ring fills, and then drops. Anything else that a collector refuses is dropped at
 * once. */
#include "monitor/trace.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "net/client.h"

#define WAIT_MS       1000 /* what has ended waits so long for others */
#define SEND_MS       10000
#define RETRIES_MAX   4
#define RETRY_MS      500 /* doubled each time */
#define CLOSE_MS      2000
#define MESSAGE_BYTES ((size_t)FT_TRACE_BATCH_MAX * 64 * 1024)
#define ANSWER_BYTES  ((size_t)64 << 10)
#define URL_MAX       2048

struct ft_tracer {
    struct ft_trace_options o; /* its texts are copies */
    char url[URL_MAX];
    char shown[URL_MAX]; /* that without user and password: for logs */
    char *header[FT_TRACE_HEADERS_MAX + 1];
    int n_headers;
    struct ft_http_client *client;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct ft_trace_item *item; /* [FT_TRACE_QUEUE_MAX], a ring */
    int first, n;
    bool stop, runs;
    int64_t stop_ns;
    int64_t sent, dropped, failed;
    bool trouble; /* its thread's: was said */
    pthread_t thread;
};

/* ---- sending ---- */

static bool may_retry(int status)
{
    return status == 429 || status == 502 || status == 503 || status == 504;
}

/* 0: taken; FT_EBUSY: worth another try; else not. */
static int send_once(struct ft_tracer *t, const struct ft_buf *body, struct ft_err *err)
{
    struct ft_http_answer a = {0};
    struct ft_http_call_config c = {.method = "POST",
                                    .url = t->url,
                                    .headers = (const char *const *)t->header,
                                    .n_headers = t->n_headers,
                                    .body = body->data,
                                    .n_body = body->len,
                                    .total_timeout_ms = SEND_MS};
    int rc = ft_http_fetch(t->client, &c, ANSWER_BYTES, &a, err);
    if (rc != 0)
        rc = FT_EBUSY;
    else if (a.status >= 300)
        rc = ft_err_set(err, may_retry(a.status) ? FT_EBUSY : FT_EINVAL, "status %d", a.status);
    ft_http_answer_fini(&a);
    return rc;
}

/* Waits, unless it is to end. False: it is, and its time is over. */
static bool pause_for(struct ft_tracer *t, int ms)
{
    const struct timespec until = ft_cond_until(ms);
    pthread_mutex_lock(&t->lock);
    while (!t->stop && pthread_cond_timedwait(&t->wake, &t->lock, &until) != ETIMEDOUT)
        continue;
    bool go_on = !t->stop;
    pthread_mutex_unlock(&t->lock);
    return go_on;
}

static void send_batch(struct ft_tracer *t, const struct ft_trace_item *list, int n)
{
    struct ft_buf body;
    struct ft_err err = {0};
    ft_buf_init(&body, MESSAGE_BYTES);
    ft_trace_write(&t->o, list, n, &body);
    int rc =
        body.failed != 0 ? ft_err_set(&err, FT_ENOMEM, "no memory") : send_once(t, &body, &err);
    int ms = RETRY_MS;
    for (int i = 0; rc == FT_EBUSY && i < RETRIES_MAX && pause_for(t, ms); i++, ms *= 2)
        rc = send_once(t, &body, &err);
    ft_buf_fini(&body);
    if (rc != 0 && !t->trouble)
        ft_log(FT_LOG_WARN, "trace", "the collector at %s: %s; traces are dropped", t->shown,
               err.msg);
    else if (rc == 0 && t->trouble)
        ft_log(FT_LOG_INFO, "trace", "the collector takes traces again");
    t->trouble = rc != 0;
    pthread_mutex_lock(&t->lock);
    t->sent += rc == 0 ? n : 0;
    t->dropped += rc == 0 ? 0 : n;
    t->failed += rc != 0;
    pthread_mutex_unlock(&t->lock);
}

/* Waits until some are due and takes them; 0: it is to end, and nothing is left. */
static int take(struct ft_tracer *t, struct ft_trace_item *ret)
{
    pthread_mutex_lock(&t->lock);
    while (!t->stop && t->n == 0)
        pthread_cond_wait(&t->wake, &t->lock);
    const struct timespec until = ft_cond_until(WAIT_MS);
    while (!t->stop && t->n < FT_TRACE_BATCH_MAX)
        if (pthread_cond_timedwait(&t->wake, &t->lock, &until) == ETIMEDOUT)
            break;
    int n = FT_MIN(t->n, FT_TRACE_BATCH_MAX);
    if (t->stop && ft_clock_now_ns() > t->stop_ns + CLOSE_MS * INT64_C(1000000))
        n = 0;
    for (int i = 0; i < n; i++)
        ret[i] = t->item[(t->first + i) % FT_TRACE_QUEUE_MAX];
    t->first = (t->first + n) % FT_TRACE_QUEUE_MAX;
    t->n -= n;
    pthread_mutex_unlock(&t->lock);
    return n;
}

static void *exporter_main(void *arg)
{
    struct ft_tracer *t = arg;
    struct ft_trace_item *list = calloc(FT_TRACE_BATCH_MAX, sizeof *list);
    for (int n; list != NULL && (n = take(t, list)) > 0;)
        send_batch(t, list, n);
    free(list);
    return NULL;
}

/* ---- requests ---- */

static void draw(void *ret, size_t n)
{
    while (getrandom(ret, n, 0) != (ssize_t)n)
        continue;
    ((uint8_t *)ret)[n - 1] |= 1; /* never all zero */
}

void ft_tracer_begin(struct ft_tracer *t, const char *parent, struct ft_trace_context *ret)
{
    uint64_t dice;
    *ret = (struct ft_trace_context){.has_parent = false};
    draw(ret->trace_id, sizeof ret->trace_id);
    memcpy(&dice, ret->trace_id, sizeof dice);
    bool drawn = (double)(dice >> 11) * 0x1p-53 < t->o.ratio;
    ret->sampled = drawn;
    if (parent != NULL)
        ft_trace_parent_parse(parent, ret); /* what is none leaves all as it is */
    ret->forced = ret->sampled && !drawn;
    draw(ret->span_id, sizeof ret->span_id);
    draw(ret->call_id, sizeof ret->call_id);
}

void ft_tracer_put(struct ft_tracer *t, const struct ft_trace_item *item)
{
    if (!item->context.sampled)
        return;
    pthread_mutex_lock(&t->lock);
    if (t->n == FT_TRACE_QUEUE_MAX) {
        t->dropped++;
    } else {
        t->item[(t->first + t->n++) % FT_TRACE_QUEUE_MAX] = *item;
        if (t->n == 1 || t->n == FT_TRACE_BATCH_MAX)
            pthread_cond_signal(&t->wake);
    }
    pthread_mutex_unlock(&t->lock);
}

void ft_tracer_stats(struct ft_tracer *t, struct ft_tracer_stats *ret)
{
    pthread_mutex_lock(&t->lock);
    *ret = (struct ft_tracer_stats){
        .sent = t->sent, .dropped = t->dropped, .failed = t->failed, .waiting = t->n};
    pthread_mutex_unlock(&t->lock);
}

/* ---- open, close ---- */

/* "https://user:password@host/..." without what stands before the host. */
static void show_url(const char *url, char ret[URL_MAX])
{
    const char *host = strstr(url, "://") + 3;
    const char *at = memrchr(host, '@', strcspn(host, "/?#"));
    snprintf(ret, URL_MAX, "%.*s%s", (int)(host - url), url, at != NULL ? at + 1 : host);
}

/* The collector's address: http or https, and a host. */
static int take_url(struct ft_tracer *t, const struct ft_trace_options *o, struct ft_err *err)
{
    const char *url = o->url != NULL ? o->url : o->endpoint;
    size_t n = url != NULL ? strlen(url) : 0;
    bool http = n > 7 && strncmp(url, "http://", 7) == 0;
    if (!http && !(n > 8 && strncmp(url, "https://", 8) == 0))
        return ft_err_set(err, FT_EINVAL, "--otlp: must begin with http:// or https://");
    while (o->url == NULL && n > 0 && url[n - 1] == '/')
        n--;
    if (n + 16 > sizeof t->url)
        return ft_err_set(err, FT_EINVAL, "--otlp: is too long");
    snprintf(t->url, sizeof t->url, "%.*s%s", (int)n, url, o->url == NULL ? "/v1/traces" : "");
    show_url(t->url, t->shown);
    return 0;
}

int ft_tracer_open(const struct ft_trace_options *o, struct ft_tracer **ret, struct ft_err *err)
{
    if (!(o->ratio >= 0 && o->ratio <= 1))
        return ft_err_set(err, FT_EINVAL, "--otlp-ratio: must be from 0 to 1");
    struct ft_tracer *t = calloc(1, sizeof *t);
    if (t == NULL || (t->item = calloc(FT_TRACE_QUEUE_MAX, sizeof *t->item)) == NULL) {
        free(t);
        return ft_err_set(err, FT_ENOMEM, "traces: no memory");
    }
    pthread_mutex_init(&t->lock, NULL);
    ft_cond_init(&t->wake);
    int rc = take_url(t, o, err);
    t->o = (struct ft_trace_options){.ratio = o->ratio};
    if (rc == 0 && o->headers != NULL)
        rc = ft_trace_headers_parse(o->headers, t->header, &t->n_headers, err);
    if (rc == 0) {
        t->header[t->n_headers] = strdup("Content-Type: application/json");
        t->o.service = strdup(o->service != NULL && o->service[0] != '\0' ? o->service : "feitian");
        t->o.version = strdup(o->version != NULL ? o->version : "");
        t->n_headers += t->header[t->n_headers] != NULL;
        rc = ft_http_client_open(&t->client, err);
    }
    if (rc == 0) {
        errno = pthread_create(&t->thread, NULL, exporter_main, t);
        t->runs = errno == 0;
        rc = t->runs ? 0 : ft_err_sys(err, "start a thread");
    }
    if (rc != 0) {
        ft_tracer_close(t);
        return rc;
    }
    *ret = t;
    return 0;
}

void ft_tracer_close(struct ft_tracer *t)
{
    if (t == NULL)
        return;
    pthread_mutex_lock(&t->lock);
    t->stop = true;
    t->stop_ns = ft_clock_now_ns();
    pthread_cond_broadcast(&t->wake);
    pthread_mutex_unlock(&t->lock);
    if (t->runs)
        pthread_join(t->thread, NULL);
    ft_http_client_close(t->client);
    for (int i = 0; i < t->n_headers; i++)
        free(t->header[i]);
    free((char *)t->o.service);
    free((char *)t->o.version);
    free(t->item);
    pthread_cond_destroy(&t->wake);
    pthread_mutex_destroy(&t->lock);
    free(t);
}
