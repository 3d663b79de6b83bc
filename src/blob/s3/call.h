/* Requests to an S3 server: signed, sent again where that is safe, streamed both ways. */
#ifndef FT_BLOB_S3_CALL_H
#define FT_BLOB_S3_CALL_H

#include <pthread.h>

#include "base/buf.h"
#include "blob/object.h"
#include "net/client.h"

#define S3_HEADERS_MAX 24
#define S3_ANSWER_MAX  ((size_t)32 << 20) /* bytes of a document that is answered */
#define S3_RING_BYTES  ((size_t)1 << 20)  /* of a stream wait in memory */

struct ups_server {
    struct ft_http_client *client;
    char *endpoint, *host, *region, *access_key, *secret_key, *ca_file;
};

/* A request is put together, sent once or more, and finished. Failures of putting it together are
 * seen when it is sent. */
struct ups_request {
    const char *method;
    struct ft_buf path, query; /* encoded */
    char *headers[S3_HEADERS_MAX];
    int n_headers;
    const void *body; /* borrowed */
    int64_t body_bytes;
    bool streamed; /* the body is written to the exchange */
    bool once;     /* not sent again when nobody knows whether it came; and streams never are */
    bool failed;
};
void ups_request_init(struct ups_request *q, const char *method, const char *bucket,
                      const char *key); /* NULL: without */
void ups_request_fini(struct ups_request *q);
void ups_query(struct ups_request *q, const char *name, const char *value); /* value NULL: bare */
void ups_query_int(struct ups_request *q, const char *name, int64_t value);
void ups_header(struct ups_request *q, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The body, with its MD5 for the server to check. Borrowed. */
void ups_body(struct ups_request *q, const void *data, size_t n);

struct ups_answer {
    int status;
    struct ft_buf head; /* "name\0value\0"... */
    struct ft_buf body;
};
const char *ups_answer_header(const struct ups_answer *a, const char *name); /* lower case */
void ups_answer_fini(struct ups_answer *a); /* a zeroed one is accepted */

/* The whole exchange. 0: it answered, whatever the status. FT_EUNAVAIL: no connection, nothing
 * happened; FT_EIO: it broke, and what was asked for may have happened. */
int ups_call(struct ups_server *s, struct ups_request *q, struct ups_answer *ret,
             struct ft_err *err);
/* ups_call, and any status but 2xx is an error of ups_refused. *ret may be NULL. */
int ups_do(struct ups_server *s, struct ups_request *q, const char *what, struct ups_answer *ret,
           struct ft_err *err);
/* The error that an answer means, of the seam where it has one. */
int ups_refused(const struct ups_answer *a, const char *what, struct ft_err *err);

/* ---- streams: one request, on its way ---- */

struct ups_exchange;
int ups_start(struct ups_server *s, struct ups_request *q, struct ups_exchange **ret,
              struct ft_err *err);
/* Of a request with `streamed`: waits for room. FT_EIO if the exchange ended; finish says why. */
int ups_send(struct ups_exchange *x, const void *data, size_t n, struct ft_err *err);
/* The head of the answer; other than 2xx comes whole. */
int ups_wait_head(struct ups_exchange *x, struct ups_answer **ret, struct ft_err *err);
/* Exactly n bytes of a 2xx answer's body. */
int ups_receive(struct ups_exchange *x, void *data, size_t n, struct ft_err *err);
/* Waits for the end of the whole answer into *ret (NULL: not wanted), and frees x. */
int ups_finish(struct ups_exchange *x, struct ups_answer *ret, struct ft_err *err);
void ups_cancel(struct ups_exchange *x); /* frees it; NULL is accepted */

#endif
