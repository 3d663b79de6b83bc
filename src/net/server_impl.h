/* Inside of the server; for src/net/server*.c alone.
 *
 * Objects and who frees them:
 *   server     open .. close
 *   conn       one accepted connection; made and freed by libmicrohttpd's notice, on its thread
 *   exchange   one request and its answer; counted: one reference is the server's (uri_log ..
 *              completed), the others are the users'. It may outlive its connection and the server.
 *
 * An exchange, seen from libmicrohttpd's thread:
 *
 *   HEAD --handler--> BODY --all of it in--> WAIT --answered--> SEND --sent--> DONE
 *    |                 ^|  (none or dropped)  |                  ^|
 *    |              resume                    |                  |
 *    +-- body_hold --> HOLD --answered-------------------------->+
 *                      |                      |                  |
 *                      +--------- client gone, cut --------------+------------> DONE
 *
 * In HOLD and WAIT, in BODY while it is paused, and in SEND while a stream has nothing to send, the
 * connection is suspended: taken out of libmicrohttpd's epoll. It then notices nothing, so
 * server_watch.c does: its own epoll hears of hang-ups, marks the exchange as gone and resumes it,
 * and libmicrohttpd's thread cleans up.
 *
 * Locks, in this order: server.lock (list of connections) > conn.lock (its exchange, its clock)
 * > exchange.lock. libmicrohttpd's own come after them; no callback of ours is called by it with
 * one of them held, but for a response's mutex, which nobody else takes. */
#ifndef FT_NET_SERVER_IMPL_H
#define FT_NET_SERVER_IMPL_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>

#include "net/server.h"

#define FT_HTTP_DISCARD_MAX  (256u << 10) /* of a body nobody wants, to keep the connection */
#define FT_HTTP_LINGER_MAX   256          /* connections that are being closed politely */
#define FT_HTTP_RATE_MIN     1024         /* bytes a second, else a client counts as stalled */
#define FT_HTTP_SWEEP_MS     250          /* how often deadlines are looked at */
#define FT_HTTP_BODY_RESERVE (64u << 10)  /* taken at once for an announced body */

enum conn_state { CONN_IDLE, CONN_HEAD, CONN_BODY, CONN_WAIT, CONN_SEND };

struct conn {
    struct conn *prev, *next; /* in the server's list */
    struct ft_http_server *server;
    struct MHD_Connection *mhd;
    int fd;
    uint32_t slot, generation; /* what the watcher's events carry */
    char peer[64];
    bool is_tcp, first; /* first: no request was in yet */
    pthread_mutex_t lock;
    /* under lock */
    struct exchange *x; /* the one in work; holds no reference of its own */
    enum conn_state state;
    int64_t since_ns;            /* when the state was entered */
    int64_t mark_ns;             /* since when `progress` is measured */
    uint64_t progress, in_bytes; /* at mark_ns; body bytes so far */
    bool cut;                    /* the server closes it: no more requests */
    /* libmicrohttpd's thread alone */
    bool watched;     /* in the watcher's epoll */
    bool linger;      /* read on for a moment when it is closed */
    _Atomic bool hup; /* the client has hung up */
};

enum phase { PHASE_HEAD, PHASE_HOLD, PHASE_BODY, PHASE_WAIT, PHASE_SEND, PHASE_DONE };
enum body_mode { BODY_DROP, BODY_COLLECT, BODY_STREAM };

struct exchange {
    struct ft_http_exchange pub;   /* first: what users see */
    struct ft_http_server *server; /* valid while conn is not NULL */
    pthread_mutex_t lock;
    int refs; /* under lock */
    enum phase phase;
    struct conn *conn; /* NULL once closed */
    bool suspended, gone, closed_clean;
    bool handed_over; /* the handler (or body's fn) has returned: someone else must answer */
    /* A lane's thread, with lock: told when x is gone or done, has drained, or has room.
     * The condition outlives the exchange, so that it may be signalled after unlocking. */
    pthread_cond_t *waiter;

    enum body_mode body_mode;
    int64_t body_max, body_seen, body_wasted; /* wasted: of those seen, after nobody wanted them */
    struct ft_buf body;
    ft_http_body_fn *on_body;
    ft_http_body_data_fn *on_data;
    ft_http_body_end_fn *on_data_end;
    void *body_ctx;
    bool body_ended, body_paused, raw_sent;
    bool body_held, body_wanted; /* body_held: by the handler, and for good */

    struct MHD_Response *response; /* until it is queued */
    int status, lost_status;       /* lost_status: for when nobody answers; 0: 500 */
    bool answered, stream, stream_ended, expect, head_pushed;
    int64_t stream_left; /* bytes that the head announced and nobody has written; -1: any number */
    struct ft_buf raw;   /* the answer as bytes, for before the body of the request is in */
    char *out;           /* of a stream: bytes out_at .. out_at + out_n wait */
    size_t out_at, out_n, out_cap;
    int64_t body_out;           /* bytes of the answer's body that left us */
    bool out_full;              /* FT_EBUSY was said */
    struct MHD_Response *block; /* server_block.c: whose buffer a lane fills */
    char *room;                 /* that buffer while it is the lane's, room_n bytes */
    size_t room_n, filled;      /* filled: bytes of it that are to be sent */
    ft_http_drained_fn *on_drained;
    void *drained_ctx;
    ft_http_close_fn *on_close;
    void *close_ctx;
};

struct ft_http_server {
    struct ft_http_server_config config;
    struct MHD_Daemon *daemon;
    int listen_fd; /* -1: none yet */
    bool stopped;  /* listening */
    char *address, *unix_path, *cert, *key;
    int port;
    int watch_fd, wake_fd; /* epoll, eventfd */
    pthread_t watcher;
    bool watching;
    _Atomic bool draining, closing;
    _Atomic int64_t n_exchanges, n_requests, n_refused;

    pthread_mutex_t lock;
    /* under lock */
    struct conn *conns;
    int64_t n_conns;
    struct conn **slots; /* by number; n_slots of them */
    uint32_t *free_slots, n_slots, n_free, generation;
    struct lingering {
        int fd; /* -1: free */
        int64_t until_ns;
    } linger[FT_HTTP_LINGER_MAX];
};

static inline struct exchange *ft_exchange_of(struct ft_http_exchange *x)
{
    return (struct exchange *)x;
}

/* server_request.c: libmicrohttpd's callbacks */
void *ft_http_uri_log(void *cls, const char *uri, struct MHD_Connection *mhd);
enum MHD_Result ft_http_access(void *cls, struct MHD_Connection *mhd, const char *url,
                               const char *method, const char *version, const char *data, size_t *n,
                               void **con_cls);
void ft_http_completed(void *cls, struct MHD_Connection *mhd, void **con_cls,
                       enum MHD_RequestTerminationCode why);
bool ft_http_field_ok(const char *name, const char *value);
/* ft_http_body_resume under x->lock. */
void ft_http_want_body(struct exchange *x);
size_t ft_http_keep_escapes(void *cls, struct MHD_Connection *mhd, char *s);

/* server_answer.c */
ssize_t ft_http_stream_read(void *cls, uint64_t pos, char *buf, size_t max);
/* Resumes if suspended. Under x->lock. */
void ft_http_wake(struct exchange *x);
/* The exchange will end soon: wakes whoever waits for it. Under x->lock. */
void ft_http_gone(struct exchange *x);
/* Suspends and has the watcher look after it; false if the client is gone already or the server
 * closes: then do not wait. Under x->lock, on the connection's thread. */
bool ft_http_suspend(struct exchange *x);
/* A whole answer whose body is body[n], which is freed with it; NULL: a field is not allowed, or no
 * memory (then body is freed). */
struct MHD_Response *ft_http_whole(char *body, size_t n, int status,
                                   const struct ft_http_field *fields, int n_fields);
/* Hands r over: to the exchange, or to nobody. A stream's length may be -1. */
int ft_http_put_answer(struct exchange *x, int status, struct MHD_Response *r, bool stream,
                       int64_t length);
int ft_http_add_fields(struct MHD_Response *r, const struct ft_http_field *fields, int n_fields);
/* Has the answer a head alone? Once there is one. */
bool ft_http_is_bodyless(const struct exchange *x);
/* An answer of the server's own, through config.error. */
void ft_http_refuse(struct exchange *x, int status, const char *why);
struct MHD_Response *ft_http_error_response(struct ft_http_server *s, int status, const char *why);
/* Writes an error as raw bytes where libmicrohttpd cannot answer any more. From the connection's
 * own thread (own_thread) or, without TLS, from any. */
void ft_http_raw_error(struct conn *c, int status, const char *why, bool own_thread);
void ft_http_raw_send(struct conn *c, const struct ft_buf *b, bool own_thread);

/* server_block.c: one thread, the exchange's waiter. The codes of ft_http_stream_begin, _write. */
int ft_http_block_begin(struct exchange *x, int status, int64_t length,
                        const struct ft_http_field *fields, int n_fields);
/* Waits for a place to write to; it stays the lane's until filled, 1 .. *ret_n bytes. */
int ft_http_block_room(struct exchange *x, char **ret, size_t *ret_n);
int ft_http_block_filled(struct exchange *x, size_t n);

/* server_watch.c */
void ft_http_notify_connection(void *cls, struct MHD_Connection *mhd, void **ctx,
                               enum MHD_ConnectionNotificationCode code);
int ft_http_watch_start(struct ft_http_server *s, struct ft_err *err);
void ft_http_watch_stop(struct ft_http_server *s);
/* Cuts every exchange there is. */
void ft_http_wake_all(struct ft_http_server *s);
void ft_http_conn_enter(struct conn *c, enum conn_state state);

/* server_listen.c */
int ft_http_listen(const char *where, int unix_mode, int *ret_fd, char **ret_address,
                   char **ret_unix_path, int *ret_port, struct ft_err *err);

#endif
