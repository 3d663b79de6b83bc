/* HTTP/1.1 server: keep-alive, bounded bodies, streaming both ways, TLS, graceful drain.
 *
 * A few threads of libmicrohttpd read and write; the handler is called on one of them when the head
 * of a request is in, and must not block (answering at once is fine and fast). Whoever holds an
 * exchange may answer it from any thread at any later time. Nothing is called while a lock of this
 * module is held.
 *
 * What never reaches the handler, because the server answers or closes by itself: malformed
 * requests, contradicting lengths, heads that are too long, clients that trickle. A client that
 * leaves is noticed within about a second even when no byte flows, and so is one that shuts only
 * its sending side while it waits: that counts as leaving. */
#ifndef FT_NET_SERVER_H
#define FT_NET_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"

#define FT_HTTP_HEAD_BYTES     (16u << 10)  /* request line and headers: the default bound */
#define FT_HTTP_CONNECTIONS    8192         /* default of max_connections */
#define FT_HTTP_ARENA_BYTES    (16u << 20)  /* an exchange's arena */
#define FT_HTTP_STREAM_HIGH    (256u << 10) /* bytes waiting for the client: writes say FT_EBUSY */
#define FT_HTTP_STREAM_LOW     (32u << 10)  /* on_drained once below, after FT_EBUSY */
#define FT_HTTP_STREAM_MAX     (4u << 20)   /* a writer that does not heed FT_EBUSY ends here */
#define FT_HTTP_FIELDS_MAX     160          /* headers of an answer: all that an object of S3 has */
#define FT_HTTP_FIELD_NAME_MAX 64           /* bytes in the name of one */

/* Content-Security-Policy of what users have stored, so that a browser that opens it there runs
 * nothing of it: it has no scripts, no forms and an origin of its own, whoever's it is served from.
 */
#define FT_HTTP_STORED_POLICY                                                                      \
    "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; font-src data:; "      \
    "media-src 'self' data:; frame-ancestors 'self'"

struct ft_http_server;
struct ft_http_exchange;

typedef void ft_http_handler_fn(void *ctx, struct ft_http_exchange *x);
/* Writes the body of an answer that the server makes itself (status 400, 408, 413, 500, ...), and
 * sets *ret_type, "application/json" before the call, to its content type. Any thread. */
typedef void ft_http_error_fn(void *ctx, int status, const char *why, struct ft_buf *ret_body,
                              const char **ret_type);

struct ft_http_server_config {
    const char *listen;   /* "127.0.0.1:7700", "[::1]:0" (0: any free port), "unix:/path" */
    int unix_mode;        /* permissions of the socket's file; 0: 0600. A stale one is replaced */
    bool raw_targets;     /* the handler gets targets without a safe path too: path is NULL */
    int n_threads;        /* 0: 1 */
    int max_connections;  /* 0: FT_HTTP_CONNECTIONS; beyond, they wait to be accepted */
    int max_per_ip;       /* 0: no bound */
    size_t head_bytes;    /* 0: FT_HTTP_HEAD_BYTES; longer ones get 431 or 414 */
    int head_timeout_ms;  /* first byte to whole head, whatever trickles; 0: 15 s; then 408 */
    int idle_timeout_ms;  /* between requests; 0: 75 s */
    int stall_timeout_ms; /* body or answer slower than 1 KB/s over this long; 0: 30 s */
    const char *tls_cert, *tls_key; /* PEM files, both or none */
    ft_http_handler_fn *handler;
    ft_http_error_fn *error; /* NULL: {"error":{"message":...}} */
    void *ctx;
};

/* Binds, starts the threads, and is ready to be asked when it returns. Raises the process's limit
 * of open files to twice max_connections; where it may not, max_connections is what fits. */
int ft_http_server_open(const struct ft_http_server_config *config, struct ft_http_server **ret,
                        struct ft_err *err);
/* The two halves of open, for who confines the process in between: bind listens, without a thread;
 * start begins to answer. A server that did not start is closed all the same. */
int ft_http_server_bind(const struct ft_http_server_config *config, struct ft_http_server **ret,
                        struct ft_err *err);
int ft_http_server_start(struct ft_http_server *s, struct ft_err *err);
/* Where it really listens: "127.0.0.1:40123" or "unix:/path". Lives as long as the server. */
const char *ft_http_server_address(const struct ft_http_server *s);
int ft_http_server_port(const struct ft_http_server *s); /* 0: a unix socket */

/* Accepts no more, tells kept connections to close, and waits for exchanges to end. 0 once all
 * have; FT_ELIMIT if some were left after timeout_ms. The file of a unix socket is removed. */
int ft_http_server_drain(struct ft_http_server *s, int timeout_ms);
/* Cuts what is still open (on_close with clean false): when it returns no callback runs any more,
 * and the address and the figures can still be asked for. Exchanges that others still hold stay
 * valid, also after the close, and answer FT_ECANCELED. Not from a callback. NULL is accepted. */
void ft_http_server_stop(struct ft_http_server *s);
/* Stops it, and frees. */
void ft_http_server_close(struct ft_http_server *s);

struct ft_http_stats {
    int64_t connections, exchanges; /* open now */
    int64_t requests;               /* since the start, those refused by the server too */
    int64_t refused;                /* of these: answered or cut by the server itself */
};
void ft_http_server_stats(struct ft_http_server *s, struct ft_http_stats *ret);

/* ---- the request ---- */

struct ft_http_field {
    const char *name, *value;
};

/* Read-only for others but `user` and the arena. Strings are the exchange's and live as long. */
struct ft_http_exchange {
    const char *method; /* "POST" */
    const char *path;   /* decoded: begins with '/', no NUL, no "." or ".." part; NULL:
                           there is none such (net/url.h), see raw_targets */
    const char *target; /* as it came, with the query; begins with '/', or is "*" */
    const char *query;  /* after the '?', still encoded; "" if none: net/url.h */
    const struct ft_http_field *fields; /* headers, in order, as many as n_fields */
    int n_fields;
    const char *peer;       /* "127.0.0.1", "::1" or "unix" */
    bool secure;            /* came over TLS */
    int64_t content_length; /* -1: chunked; 0: no body */
    int64_t begun_ns;       /* ft_clock_now_ns() when the request line was in */
    struct ft_arena arena;  /* one thread at a time: the handler's, then whoever took over */
    void *user;             /* the handler's own; NULL at first */
};

/* Shared between threads: whoever keeps x beyond a callback takes a reference, and drops it when it
 * will not touch x again. When nobody but the server holds an unanswered exchange it is answered
 * with 500, and a stream without an end is cut: a lost request is seen, it never hangs. */
struct ft_http_exchange *ft_http_ref(struct ft_http_exchange *x);
void ft_http_unref(struct ft_http_exchange *x);

/* A header of the request, any case; NULL if there is none. The first of several. */
const char *ft_http_header(const struct ft_http_exchange *x, const char *name);

/* Bytes of the bodies so far: of the request that came, of the answer that left. In on_close they
 * are what they will be. */
void ft_http_body_bytes(struct ft_http_exchange *x, int64_t *ret_in, int64_t *ret_out);

/* fn is called exactly once: clean is true when the whole answer was handed to the system, false
 * when the client left or was cut first. On a thread of the server, after every other callback of
 * x. If x is closed already: at once, here. One per exchange; any thread, but in the handler there
 * is no race. */
typedef void ft_http_close_fn(void *ctx, struct ft_http_exchange *x, bool clean);
void ft_http_on_close(struct ft_http_exchange *x, ft_http_close_fn *fn, void *ctx);

/* ---- the request's body; one of these, in the handler only; without, it is dropped ---- */

/* fn gets the whole body, NUL-terminated; it stays valid until ft_http_body_release or the end of
 * x. Called at once for an empty one. Bodies above max_bytes get 413, fn is never called. */
typedef void ft_http_body_fn(void *ctx, struct ft_http_exchange *x, const char *data, size_t n);
void ft_http_body_collect(struct ft_http_exchange *x, size_t max_bytes, ft_http_body_fn *fn,
                          void *ctx);
/* Frees the collected body early: what answers for long should not hold it. */
void ft_http_body_release(struct ft_http_exchange *x);

/* on_data returns how many bytes it took; fewer than n pauses the upload until
 * ft_http_body_resume (any thread, any time). on_end: whole is true when all of it came. Answering
 * before the end drops the rest. max_bytes: 0 for no bound; above it 413 and on_end(false). */
typedef size_t ft_http_body_data_fn(void *ctx, struct ft_http_exchange *x, const char *data,
                                    size_t n);
typedef void ft_http_body_end_fn(void *ctx, struct ft_http_exchange *x, bool whole);
void ft_http_body_stream(struct ft_http_exchange *x, int64_t max_bytes,
                         ft_http_body_data_fn *on_data, ft_http_body_end_fn *on_end, void *ctx);
void ft_http_body_resume(struct ft_http_exchange *x);
/* After ft_http_body_stream: nothing of the body is read, and a client that waits for "100
 * Continue" is not told to go on, until ft_http_body_resume. An answer before that is all the
 * client gets. */
void ft_http_body_hold(struct ft_http_exchange *x);

/* ---- the answer; any thread, once; everything is copied ----
 * FT_EINVAL: a header with control bytes, or a bad name (nothing was sent, answer again);
 * FT_EEXIST: answered before; FT_ECANCELED: the client is gone. */

int ft_http_respond(struct ft_http_exchange *x, int status, const struct ft_http_field *fields,
                    int n_fields, const void *body, size_t n);

/* The head of an answer of unknown length, sent at once. content_type may be NULL. */
int ft_http_stream_begin(struct ft_http_exchange *x, int status, const char *content_type,
                         const struct ft_http_field *fields, int n_fields);
/* More of it, sent at once. 0; FT_EBUSY: taken too, but more than FT_HTTP_STREAM_HIGH bytes wait,
 * so pause until on_drained; FT_ELIMIT: FT_HTTP_STREAM_MAX was passed, the stream is cut. */
int ft_http_stream_write(struct ft_http_exchange *x, const void *data, size_t n);
/* After FT_EBUSY: once fewer than FT_HTTP_STREAM_LOW wait. On a thread of the server. Set before
 * the first write. */
typedef void ft_http_drained_fn(void *ctx, struct ft_http_exchange *x);
void ft_http_stream_on_drained(struct ft_http_exchange *x, ft_http_drained_fn *fn, void *ctx);
/* Do writes say FT_EBUSY? on_drained may come before a writer has acted upon FT_EBUSY, so: pause
 * what feeds the stream, ask this, and if it is not full any more, go on. */
bool ft_http_stream_is_full(struct ft_http_exchange *x);
int ft_http_stream_end(struct ft_http_exchange *x);
/* Cuts the connection, so that the client can tell that the answer is not whole. */
void ft_http_abort(struct ft_http_exchange *x);

#endif
