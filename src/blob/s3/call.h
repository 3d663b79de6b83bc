/* Requests to an S3 server: signed, sent again where that is safe, streamed both ways. */
#ifndef FT_BLOB_S3_CALL_H
#define FT_BLOB_S3_CALL_H

#include <pthread.h>

#include "base/buf.h"
#include "blob/object.h"
#include "net/client.h"
#include "net/xml.h"

#define S3_HEADERS_MAX 24
#define S3_ANSWER_MAX  ((size_t)32 << 20) /* bytes of a document that is answered */
#define S3_RING_BYTES  ((size_t)1 << 20)  /* of a stream wait in memory */

struct ft_ups_server {
    struct ft_http_client *client;
    char *endpoint, *host, *region, *access_key, *secret_key, *ca_file;
};

/* A request is put together, sent once or more, and finished. Failures of putting it together are
 * seen when it is sent. */
struct ft_ups_request {
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
void ft_ups_request_init(struct ft_ups_request *q, const char *method, const char *bucket,
                         const char *key); /* NULL: without */
void ft_ups_request_fini(struct ft_ups_request *q);
void ft_ups_query(struct ft_ups_request *q, const char *name,
                  const char *value); /* value NULL: bare */
void ft_ups_query_int(struct ft_ups_request *q, const char *name, int64_t value);
void ft_ups_header(struct ft_ups_request *q, const char *name, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* The body, with its MD5 for the server to check. Borrowed. */
void ft_ups_body(struct ft_ups_request *q, const void *data, size_t n);

struct ft_ups_answer {
    int status;
    struct ft_buf head; /* "name\0value\0"... */
    struct ft_buf body;
};
const char *ft_ups_answer_header(const struct ft_ups_answer *a, const char *name); /* lower case */
void ft_ups_answer_fini(struct ft_ups_answer *a); /* a zeroed one is accepted */

/* The whole exchange. 0: it answered, whatever the status. FT_EIO: there was no connection, or it
 * broke, and what was asked for may have happened. */
int ft_ups_call(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_answer *ret,
                struct ft_err *err);
/* ft_ups_call, and any status but 2xx is an error of ft_ups_refused. *ret may be NULL. */
int ft_ups_do(struct ft_ups_server *s, struct ft_ups_request *q, const char *what,
              struct ft_ups_answer *ret, struct ft_err *err);
/* The error that an answer means, of the seam where it has one. */
int ft_ups_refused(const struct ft_ups_answer *a, const char *what, struct ft_err *err);

/* The document in an answer. FT_EIO: it is none. */
int ft_ups_xml(const struct ft_ups_answer *a, struct ft_arena *arena, struct ft_xml_node **ret_root,
               struct ft_err *err);

/* ---- streams: one request, on its way ---- */

struct ft_ups_exchange;
int ft_ups_start(struct ft_ups_server *s, struct ft_ups_request *q, struct ft_ups_exchange **ret,
                 struct ft_err *err);
/* Of a request with `streamed`: waits for room. FT_EIO if the exchange ended; finish says why. */
int ft_ups_send(struct ft_ups_exchange *x, const void *data, size_t n, struct ft_err *err);
/* The head of the answer; other than 2xx comes whole. */
int ft_ups_wait_head(struct ft_ups_exchange *x, struct ft_ups_answer **ret, struct ft_err *err);
/* Exactly n bytes of a 2xx answer's body. */
int ft_ups_receive(struct ft_ups_exchange *x, void *data, size_t n, struct ft_err *err);
/* Waits for the end of the whole answer into *ret (NULL: not wanted), and frees x. */
int ft_ups_finish(struct ft_ups_exchange *x, struct ft_ups_answer *ret, struct ft_err *err);
void ft_ups_cancel(struct ft_ups_exchange *x); /* frees it; NULL is accepted */

#endif
