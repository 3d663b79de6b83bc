/* What the files of the gateway share. gateway.c opens and closes it all, routes.c is the way in.
 */
#ifndef FT_GATEWAY_INNER_H
#define FT_GATEWAY_INNER_H

#include <pthread.h>
#include <stdatomic.h>

#include "blob/blob.h"
#include "gateway/gateway.h"
#include "gateway/request.h"
#include "gateway/store/quota.h"
#include "gateway/watch/meter.h"
#include "ledger/ledger.h"
#include "monitor/events.h"
#include "net/client.h"
#include "net/server.h"
#include "tenant/s3_secret.h"

/* Of S3, told to clients; signatures for any other do as well. A name that botocore does not know:
 * for "us-east-1" it signs URLs as AWS did before version 4, which is refused here. */
#define GW_REGION "feitian"

#define GW_ADMIN_BODY_MAX   ((size_t)8 << 20)
#define GW_ADMIN_ANSWER_MAX ((size_t)64 << 20)

struct gw_feed;
struct gw_spend;
struct gw_storage;
struct gw_scrub;
struct gw_hub;
struct gw_sessions;
struct gw_requests;
struct gw_prompts;
struct gw_aside;
struct ft_tracer;
struct ft_s3;

/* Where a request came in: the public listener, or HOME/run/gateway.sock. */
struct gw_door {
    struct gw *gw;
    bool inner;
};

struct gw {
    const struct ft_gateway_options *opt;
    char control_socket[108];
    struct gw_door front, back;
    struct ft_http_server *server, *inner; /* of the two doors */
    struct ft_lanes *lanes;                /* handlers that block */
    struct gw_aside *aside;                /* answers that look at disks, or are long */
    struct gw_storage *storage;            /* gw_blob() */
    struct ft_quota *quota;
    struct gw_meter meter;
    struct ft_s3 *s3;    /* with the store */
    int64_t s3_swept_ns; /* when lifecycle rules were carried out last */
    struct {
        atomic_llong requests, in, out;
    } moved; /* by requests on lanes: how many, bytes of their bodies */
    _Atomic(struct gw_scrub *) scrub;
    atomic_bool forgetting;                /* what a removed project kept (leftover.c) */
    struct gw_hub *hub;                    /* with the store */
    uint8_t s3_master[FT_S3_MASTER_BYTES]; /* HOME/s3.secret, once */
    atomic_bool s3_has_master;             /* it was read */
    struct ft_http_client *client;         /* of serving, the feed and the ledger */
    struct ft_http_client
        *asking; /* of requests that control answers; closed before what those use */
    struct ft_tenant *tenant;
    struct ft_ledger *ledger;
    struct ft_serve *serve;
    struct gw_feed *feed;
    struct gw_sessions *sessions; /* tries to sign in */
    struct gw_requests *requests; /* those that run, and the latest */
    struct gw_prompts *prompts;
    struct ft_tracer *tracer; /* NULL: no traces */
    int64_t begun_ns;
    atomic_llong running;       /* calls */
    struct ft_blob *files_blob; /* of files.c */
    int64_t files_ticks;
    struct ft_events *events; /* NULL: none are kept */
    /* what the checks of the machine found (nodes.c), and when */
    pthread_mutex_t checks_lock;
    json_t *checks;
    bool checks_asked; /* somebody is asking just now */
    int64_t checks_ns;
};

/* ---- handlers ---- */

gw_handler_fn gw_call_model;   /* models.c */
gw_handler_fn gw_call_message; /* Anthropic's */
gw_handler_fn gw_list_models;  /* models.c */
gw_handler_fn gw_get_model;
gw_handler_fn gw_responses;       /* responses.c */
gw_handler_fn gw_response_stored; /* one that was stored */
gw_handler_fn gw_proxy;           /* proxy.c: to control */
/* The same with a body that is in already. */
void gw_proxy_send(struct gw_request *r, const char *body, size_t n);
/* Control made a session: its secret goes to the browser (sessions.c). */
void gw_session_cookie(struct gw_request *r, const char *secret);
gw_handler_fn gw_status;         /* status.c */
gw_handler_fn gw_s3_credentials; /* credentials.c */
gw_handler_fn gw_s3_presign;     /* presign.c */
/* Where the caller reached us, as it named it: "https://host:port". */
void gw_endpoint_of(const struct gw_request *r, char *ret, size_t n);
json_t *gw_status_all(struct gw *g); /* what operators see; a new object */
gw_handler_fn gw_metrics;            /* metrics.c */
/* ---- what happened (events.c), where (nodes.c) ---- */

/* Before serving is opened, which tells of it. */
void gw_events_open(struct gw *g, struct ft_serve_config *serve);
gw_handler_fn gw_nodes;
gw_handler_fn gw_health;
gw_handler_fn gw_index;
gw_handler_fn gw_console; /* console.c */
gw_handler_fn gw_console_enter;
/* Does it ask for a page, as browsers do? */
bool gw_is_browser(const struct gw_request *r);

/* ---- the blob store (storage.c) ---- */

/* Opens it on a thread of its own, again and again until it can be; that thread then keeps house.
 * Waits for the first try, GW_STORAGE_FIRST_MS at most: chats need none. */
#define GW_STORAGE_FIRST_MS 3000
int gw_storage_open(struct gw *g, struct gw_storage **ret, struct ft_err *err);
void gw_storage_close(struct gw_storage *s); /* after the lanes; NULL is accepted */
/* NULL: it is not open (GW_STORE routes never see that). Open once, it stays open to the end. */
struct ft_blob *gw_blob(struct gw *g);
/* Answers 503: the store is not open, and why not. */
void gw_no_storage(struct gw_request *r);
json_t *gw_storage_status(struct gw *g); /* new */
/* The largest buckets, and the rest as one sum, as they were when it was last counted. */
#define GW_BUCKETS_TOLD 100
struct gw_buckets {
    int n;
    struct gw_bucket {
        struct ft_blob_bucket facts;
        struct ft_blob_usage kept;
    } list[GW_BUCKETS_TOLD];
    struct ft_blob_usage other;
};
void gw_storage_buckets(struct gw *g, struct gw_buckets *ret);
/* Bytes that a project keeps, in all; ctx: struct gw. */
int gw_kept(void *ctx, const char *project, int64_t *ret_bytes, struct ft_err *err);
/* Those of the hub among them (hub.c). */
int gw_hub_kept(struct gw *g, const char *project, int64_t *ret_bytes, struct ft_err *err);
/* On a lane: the project is to keep so many bytes more; they are held until the request is over,
 * and kept if it is answered with less than 300. FT_ELIMIT, in words for the client. */
int gw_keep(struct gw_request *r, const char *project, int64_t bytes, struct ft_err *err);

/* ---- what is stored against its checksums (scrub.c) ---- */

extern const struct gw_part gw_scrub_part;
extern const struct gw_table gw_scrub_routes, gw_hold_routes; /* inner ones */
extern const struct gw_table gw_kept_routes;                  /* what a project keeps */
extern const struct gw_table gw_leftover_routes; /* what a removed one keeps goes; inner */
/* Repositories of a project that go; *left is counted down by each and by each key of its own that
 * goes with it (hub.c). 1: there are more. */
int gw_hub_forget(struct gw *g, const char *project, int *left, struct ft_err *err);
json_t *gw_scrub_status(struct gw *g); /* new */

/* ---- S3 (objects.c) ---- */

/* Is it of S3, whatever routes there are? Then it goes there. */
bool gw_is_s3(struct gw_request *r);
/* It is S3's because it says so (X-Feitian-S3), and shows a key or a session instead of a
 * signature.
 */
bool gw_s3_shows_key(const struct gw_request *r);
extern const struct gw_route gw_s3_route; /* S3 */
/* No route has the path: perhaps a bucket that everybody may read has. */
extern const struct gw_route gw_bucket_route;
extern const struct gw_part gw_s3_part;
/* Reads HOME/s3.secret, unless it is read; the storage's thread. */
int gw_s3_master(struct gw *g, struct ft_err *err);

/* What works on the store: a row of `parts` in storage.c. */
struct gw_part {
    /* With the store, before anybody else sees it; state of its own goes into struct gw. */
    int (*open)(struct gw *g, struct ft_blob *b, struct ft_err *err);
    void (*tick)(struct gw *g);  /* about once a second, may block; NULL: nothing to do */
    void (*close)(struct gw *g); /* no request runs any more */
};

extern const struct gw_part gw_file_part; /* files.c */
extern const struct gw_part gw_hub_part;  /* hub.c */

/* ---- what was spent (spend.c) ---- */

/* Tells the tenants what was spent before this process, as far as HOME/spend and the journal know.
 */
int gw_spend_open(struct gw *g, struct gw_spend **ret, struct ft_err *err);
/* What control says, once: its sums, without what was never delivered. */
void gw_spend_learn(struct gw_spend *s, const char *text, size_t n);
/* Into HOME/spend, every few seconds, or `now`. */
void gw_spend_save(struct gw_spend *s, bool now);
void gw_spend_close(struct gw_spend *s); /* NULL is accepted */

/* ---- the feed (feed.c) ---- */

/* Reads the snapshot, then follows control on a thread of its own. */
int gw_feed_open(struct gw *g, struct gw_feed **ret, struct ft_err *err);
void gw_feed_close(struct gw_feed *f); /* NULL is accepted */
/* Waits until there is something to go by: control's first answer, or, where it does not give one
 * soon, a snapshot. False: `end`. */
bool gw_feed_wait_first(struct gw_feed *f);
/* fn is called once the feed has come to seq, or after GW_FEED_WAIT_MS; perhaps at once, perhaps on
 * the feed's thread. */
#define GW_FEED_WAIT_MS 2000
void gw_feed_after(struct gw_feed *f, int64_t seq, void (*fn)(void *ctx), void *ctx);
int64_t gw_feed_seq(struct gw_feed *f);
bool gw_feed_connected(struct gw_feed *f); /* control answered lately */

#endif
