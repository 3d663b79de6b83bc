/* Traces: what requests did, sent to an OpenTelemetry collector (OTLP over HTTP, JSON).
 *
 * One request is one trace, or a part of its client's (W3C Trace Context): a server span of the
 * gateway; for a call of a model below it a client span by the conventions for generative AI; below
 * that where it waited, and what the worker did, which has no network and tells the gateway. Spans
 * are made of the request's record, so nothing is measured for them alone.
 *
 * Requests are handed over to a bounded queue; a thread makes spans of them and sends them in
 * batches. A collector that is slow or dead costs a lock and a copy: what does not fit is dropped,
 * and counted. */
#ifndef FT_MONITOR_TRACE_H
#define FT_MONITOR_TRACE_H

#include <stdbool.h>

#include "base/buf.h"
#include "base/err.h"
#include "ledger/record.h"

#define FT_TRACE_ID_BYTES   16
#define FT_TRACE_SPAN_BYTES 8
#define FT_TRACE_STATE_MAX  512 /* bytes of tracestate that are passed on; longer is dropped */
#define FT_TRACE_QUEUE_MAX  2048
#define FT_TRACE_BATCH_MAX  128 /* requests of one message */

/* ---- W3C Trace Context ---- */

struct ft_trace_context {
    uint8_t trace_id[FT_TRACE_ID_BYTES];
    uint8_t span_id[FT_TRACE_SPAN_BYTES];   /* of our server span */
    uint8_t call_id[FT_TRACE_SPAN_BYTES];   /* of the call of a model below it: also its server's
                                               parent */
    uint8_t parent_id[FT_TRACE_SPAN_BYTES]; /* the client's */
    bool has_parent, sampled;
    bool forced; /* sampled because the client's flag says so, not by the ratio */
};

/* A traceparent header. False: it is none that the recommendation allows; *ret is as it was. Fills
 * trace_id, parent_id, has_parent and sampled. */
bool ft_trace_parent_parse(const char *text, struct ft_trace_context *ret);
/* "00-...-...-01" of one of our spans, with NUL: for who works for it. */
#define FT_TRACE_PARENT_BYTES 56
void ft_trace_parent_write(const struct ft_trace_context *c,
                           const uint8_t span[FT_TRACE_SPAN_BYTES],
                           char ret[FT_TRACE_PARENT_BYTES]);
/* A tracestate header: a list that may be passed on as it is. */
bool ft_trace_state_ok(const char *text);

/* ---- options, as the environment variables of OpenTelemetry have them ---- */

struct ft_trace_options {
    const char *endpoint; /* "http://host:4318"; /v1/traces is appended */
    const char *url;      /* whole, instead (OTEL_EXPORTER_OTLP_TRACES_ENDPOINT); NULL */
    const char *headers;  /* "name=value,...", values percent-encoded; NULL: none */
    const char *service;  /* NULL: "feitian" */
    double ratio;         /* of traces that begin here: 0 .. 1 */
    const char *version;  /* of this program */
};
/* "name=value,name2=value%20x" to "name: value" lines; FT_EINVAL says which entry is wrong. At most
 * FT_TRACE_HEADERS_MAX. Frees what is there on failure; otherwise the caller does. */
#define FT_TRACE_HEADERS_MAX 16
int ft_trace_headers_parse(const char *text, char *ret[FT_TRACE_HEADERS_MAX], int *ret_n,
                           struct ft_err *err);

/* ---- requests to spans ---- */

enum ft_trace_operation {
    FT_TRACE_NONE,
    FT_TRACE_CHAT,
    FT_TRACE_TEXT,
    FT_TRACE_EMBED,
    FT_TRACE_RERANK
};

struct ft_trace_item {
    struct ft_trace_context context;
    struct ft_record record; /* with its moments */
    enum ft_trace_operation operation;
    char method[12], route[96]; /* the pattern, never a path of a client's */
    char finish[24];            /* "stop", ...; "" */
    bool secure;
    char state[FT_TRACE_STATE_MAX + 1];
};

/* A whole message (ExportTraceServiceRequest) of n requests. ids are drawn. */
void ft_trace_write(const struct ft_trace_options *o, const struct ft_trace_item *list, int n,
                    struct ft_buf *out);

/* ---- the exporter ---- */

struct ft_tracer;

/* FT_EINVAL names the option. */
int ft_tracer_open(const struct ft_trace_options *o, struct ft_tracer **ret, struct ft_err *err);
/* Sends what waits, for two seconds at most. NULL is accepted. */
void ft_tracer_close(struct ft_tracer *t);
/* The context of a new request: its client's trace, or a new one. parent: the header or NULL. */
void ft_tracer_begin(struct ft_tracer *t, const char *parent, struct ft_trace_context *ret);
/* Any thread. Of contexts that are not sampled nothing is kept. */
void ft_tracer_put(struct ft_tracer *t, const struct ft_trace_item *item);

struct ft_tracer_stats {
    int64_t sent, dropped, failed; /* requests; messages that could not be sent */
    int waiting;
};
void ft_tracer_stats(struct ft_tracer *t, struct ft_tracer_stats *ret);

#endif
