/* HTTP client: many transfers on one thread (libcurl), over TCP, TLS or a unix socket.
 *
 * Connections are kept and used again. http and https only, no redirects unless asked for, no
 * proxies for unix sockets or loopback. Callbacks come on the client's one thread and must not
 * block; calls may be started, cancelled and paused from any thread, callbacks included. */
#ifndef FT_NET_CLIENT_H
#define FT_NET_CLIENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_HTTP_CALL_FIELDS_MAX 64
#define FT_HTTP_REDIRECTS_MAX   5
#define FT_HTTP_ANSWER_HEAD_MAX (64u << 10)

struct ft_http_client;
struct ft_http_call; /* refcounted: the starter holds one reference */

/* A header of the answer. Valid during the callback. */
struct ft_http_answer_field {
    const char *name; /* lower case */
    const char *value;
};
/* The head of the final answer (not of 100 Continue or a followed redirect). */
struct ft_http_answer_head {
    int status;
    const struct ft_http_answer_field *fields;
    int n_fields;
    int64_t content_length; /* -1: not told */
};
/* A field by name in any case, or NULL. */
const char *ft_http_answer_header(const struct ft_http_answer_head *head, const char *name);

struct ft_http_call_config {
    const char *method;      /* NULL: GET, or POST if there is a body */
    const char *url;         /* "http://host/path"; the host names itself even on a unix socket */
    const char *unix_socket; /* path; NULL: by the URL's host */
    const char *const *headers; /* "Name: value"; refused with control bytes in them */
    int n_headers;
    const void *body; /* copied */
    size_t n_body;
    /* A body in pieces instead (body NULL): on_read fills at most n bytes and returns how many, 0
     * at the end, FT_HTTP_READ_PAUSE to be asked again after ft_http_call_resume_read, or
     * FT_HTTP_READ_ABORT. body_bytes: -1 if unknown (chunked). */
    size_t (*on_read)(void *ctx, char *data, size_t n);
    int64_t body_bytes;
    int connect_timeout_ms; /* 0: 5 s */
    int idle_timeout_ms;    /* no byte either way while not paused; 0: none */
    int total_timeout_ms;   /* 0: none */
    bool follow;            /* redirects; authorization is sent to the first host only */
    bool fresh;             /* a connection of its own, for health checks and the like */
    bool large;             /* bulk data: 256 KB buffers instead of 4 KB ones */
    const char *ca_file;    /* PEM; NULL: the system's */
    bool insecure;          /* TLS without verification; for tests and addresses shown at doctor */
    /* All optional, in this order, on the client's thread. */
    void (*on_head)(void *ctx, const struct ft_http_answer_head *head);
    /* false: pause before this data; it comes again after ft_http_call_pause(call, false). */
    bool (*on_data)(void *ctx, const char *data, size_t n);
    /* Exactly once, the last: err is NULL if the whole answer came (whatever its status).
     * FT_ECANCELED: cancelled; FT_EIO: refused, reset, cut short, or with EKEYREJECTED a
     * certificate that is not trusted; FT_ELIMIT: a timeout. */
    void (*on_done)(void *ctx, const struct ft_err *err);
    void *ctx;
};

#define FT_HTTP_READ_PAUSE ((size_t)-1)
#define FT_HTTP_READ_ABORT ((size_t)-2)

int ft_http_client_open(struct ft_http_client **ret, struct ft_err *err);
/* Cancels what runs (their on_done comes first) and ends the thread. NULL is accepted. */
void ft_http_client_close(struct ft_http_client *c);

/* 0: on_done will come once, from the client's thread, perhaps before this returns. *ret_call is
 * there for callbacks already; ret_call may be NULL if it is not wanted. FT_EINVAL: names the
 * field; on_done is not called. */
int ft_http_call_start(struct ft_http_client *c, const struct ft_http_call_config *config,
                       struct ft_http_call **ret_call, struct ft_err *err);
/* Soon on_done with FT_ECANCELED, unless it was on its way already. */
void ft_http_call_cancel(struct ft_http_call *call);
/* Paused: no on_data (one may be on its way); the sender is held back by TCP. */
void ft_http_call_pause(struct ft_http_call *call, bool paused);
void ft_http_call_resume_read(struct ft_http_call *call);
/* Drops the starter's reference; the call goes on. NULL is accepted. */
void ft_http_call_unref(struct ft_http_call *call);

/* ---- waiting for the answer: for commands; never from a callback ---- */

struct ft_http_answer {
    int status;
    struct ft_buf body;
    char content_type[128];
    int retry_after_s; /* -1: not told */
};
void ft_http_answer_fini(struct ft_http_answer *a); /* a zeroed one is accepted */

/* The whole answer, at most max_bytes (FT_ELIMIT). Callbacks in config must be NULL but on_read,
 * which may not pause and gets config's ctx. */
int ft_http_fetch(struct ft_http_client *c, const struct ft_http_call_config *config,
                  size_t max_bytes, struct ft_http_answer *ret, struct ft_err *err);

/* As ft_http_fetch, but a 2xx answer's body goes to on_data, on the client's thread; returning
 * false ends it with FT_ECANCELED. Other answers' bodies are in ret->body. stop (may be NULL) is
 * asked several times a second; true ends it too. */
typedef bool ft_http_data_fn(void *ctx, const char *data, size_t n);
int ft_http_fetch_stream(struct ft_http_client *c, const struct ft_http_call_config *config,
                         ft_http_data_fn *on_data, bool (*stop)(void *ctx), void *ctx,
                         struct ft_http_answer *ret, struct ft_err *err);

#endif
