/* One request: its way in (routes.c), and answers (answer.c). Included by inner.h. */
#ifndef FT_GATEWAY_REQUEST_H
#define FT_GATEWAY_REQUEST_H

#include <jansson.h>
#include <stdatomic.h>

#include "api/openai/error.h"
#include "gateway/store/quota.h"
#include "ledger/record.h"
#include "monitor/trace.h"
#include "net/lane.h"
#include "tenant/tenant.h"

#define GW_ID_BYTES   32 /* "req_" and 24 digits, with the NUL */
#define GW_FIELDS_MAX 20 /* headers of our answers */
#define GW_PARTS_MAX  6  /* of a path, named in a route */

struct gw;

enum gw_style { GW_OPENAI, GW_ANTHROPIC, GW_HUB, GW_S3 }; /* how errors are told */

struct gw_route;
struct trying;

/* Who wants to hear of the end of an exchange. */
struct gw_closing {
    void (*fn)(void *ctx, bool clean);
    void *ctx;
};

/* In the exchange's arena; lives as long as the exchange. */
struct gw_request {
    struct gw *gw;
    struct ft_http_exchange *x;
    const struct gw_route *route;
    /* Given back when the exchange closes: who goes on later, on another thread, needs a reference
     * of its own. */
    struct ft_tenant_ident *ident;
    const char *project;     /* its project, in the arena; "" */
    const char *key;         /* the key's id where there is no ident; "" */
    const char *session;     /* the id of the one that stands for the key; "": a key was shown */
    char drawn[GW_ID_BYTES]; /* ids of answers are made of it */
    const char *id;          /* the same; of a batch's call its line's */
    const char *rest;        /* what the path has in the place of the route's '*', decoded; "" */
    const char *part[GW_PARTS_MAX]; /* in the places of its "{}", decoded, in order */
    struct ft_lane *lane;           /* in handlers of routes with GW_LANE */
    bool content; /* there: what is asked for is the bytes of something stored, no list of it */
    bool inner;   /* came in by HOME/run/gateway.sock: from a process of this cloud */
    bool batch;   /* there, with a line's id in X-Feitian-Batch: see call.h */
    enum gw_style style;
    const char *name;      /* in the ledger; a handler may set a better one (static) */
    const char *allow;     /* 405: the methods that the path has; NULL */
    atomic_int status;     /* of the answer; 0: none yet */
    atomic_bool accounted; /* it has, or will have, a record of its own */
    struct ft_quota_hold lane_hold, bytes_hold;
    int slot;              /* on a lane: in the ledger, so that a kill leaves a record; or none */
    atomic_int holds;      /* the exchange, and its lane: the last one records it */
    const char *record;    /* of a batch's call, for the answer; NULL: none */
    const char *client_id; /* its own X-Request-Id, where that is one; NULL */
    struct ft_record_error error;           /* what it was told, once it failed */
    struct ft_trace_context trace;          /* where traces are made */
    char trace_id[FT_RECORD_TRACE_MAX + 1]; /* of one that is sent somewhere; "" */
    /* signing in (sessions.c) */
    const char *set_cookie; /* a header of the answer; NULL */
    const char *address;    /* of who tries; told to control; NULL */
    struct trying *trying;
    void (*tried)(struct gw_request *r, int status); /* what control answered; 0: nothing; NULL */
    /* once more is known (calls) */
    bool measured;
    struct ft_tenant_limits limits;
    _Atomic(const struct gw_closing *) closing; /* gw_on_close */
};

/* Any thread, once: c->fn is called when the exchange closes, or now if it is closed already. c
 * lives until then. */
void gw_on_close(struct gw_request *r, const struct gw_closing *c);

typedef void gw_handler_fn(struct gw_request *r);

struct gw_route {
    const char *method; /* "*": every one */
    /* A '*' at the end stands for anything, not empty; "{}" for one part, as it was sent: an
     * encoded '/' is within it. */
    const char *path;
    const char *action; /* what the key must be allowed; "": nothing; NULL: no key is asked for */
    const char *name;   /* in the ledger; NULL: no key, no record */
    enum gw_style style;
    gw_handler_fn *handler; /* the head is in, the key was checked */
    int task;               /* enum ft_task_kind of what calls models */
    unsigned flags;         /* enum gw_flag */
    int64_t body_max;       /* of what runs on a lane; 0: no bound */
};

enum gw_flag {
    GW_LANE = 1,    /* the handler may block: it runs on a lane, r->lane */
    GW_STORE = 2,   /* works on the blob store: 503 in the route's style while it is not open */
    GW_INNER = 4,   /* on HOME/run/gateway.sock alone, and needs no key there */
    GW_PROJECT = 8, /* there, also for a project without a key: X-Feitian-Project */
    GW_BARE = 16,   /* has no parameters in its query: those that are there are refused */
    GW_SCOPE = 32   /* for ModelScope's clients alone; others mean the admin API by this path */
};

/* Tables are searched in the order in which routes.c lists them. */
struct gw_table {
    const struct gw_route *rows;
    size_t n;
};
extern const struct gw_table gw_model_routes, gw_control_routes; /* routes.c */
extern const struct gw_table gw_file_routes;                     /* files.c */
extern const struct gw_table gw_hub_routes;                      /* hub.c */
extern const struct gw_table gw_tune_routes;                     /* tune.c */
extern const struct gw_table gw_monitor_routes;                  /* events.c */

ft_http_handler_fn gw_handle; /* ctx: struct gw_door */
ft_http_error_fn gw_server_error;

/* Finds out whose the request is, by the key that it shows, and that the key may do `action` ("":
 * nothing in particular). Not 0: *e says what the client is told. */
int gw_authenticate(struct gw_request *r, const char *action, struct ft_oai_error *e);

/* 404 for a path that nothing has; 400 for one that is none. */
void gw_unknown(struct gw_request *r, struct ft_oai_error *e);

/* A new id: unpredictable, unique. */
void gw_id_new(char ret[GW_ID_BYTES]);

/* ---- answers (answer.c) ---- */

/* Adds x-request-id, and the rate limits once they are known. Returns how many fields there are.
 * The strings live in the exchange's arena. */
int gw_fields(struct gw_request *r, struct ft_http_field *ret, int n);
void gw_respond(struct gw_request *r, int status, const char *type, const void *body, size_t n);
/* Takes the reference; NULL: 500. */
void gw_respond_json(struct gw_request *r, json_t *answer);
void gw_fail(struct gw_request *r, const struct ft_oai_error *e);
/* What a refusal of ft_tenant_admit (rc, err, r->limits) is to the client. */
void gw_admission_error(const struct gw_request *r, int rc, const struct ft_err *err,
                        struct ft_oai_error *e);
/* A request goes to a lane: it gets a slot of the ledger for the time being. FT_EBUSY: none can be
 * had, so it is not served. */
int gw_record_begin(struct gw_request *r, struct ft_err *err);
/* What a failed request's record says of it: r->error. endpoint: whose name may stand in quotes;
 * NULL: nothing may. */
void gw_error_note(struct gw_request *r, const char *endpoint, const struct ft_oai_error *e);
/* One record of a request that calls no model, when it is over; none if it has one. */
void gw_record(struct gw_request *r);
/* A batch's call takes its record along with its answer (call.h). */
void gw_record_tell(struct gw_request *r, const struct ft_record *n);
/* Fails and records the request as refused in the ledger. */
void gw_refuse(struct gw_request *r, const char *model, const struct ft_oai_error *e);

#endif
