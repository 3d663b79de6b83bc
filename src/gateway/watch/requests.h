/* Requests one by one: those that run, and the latest that ended, in memory, so that each can be
 * looked at and explained; all that ended are in control's store besides, once they are delivered.
 *
 * What is kept of those that ended: the latest GW_KEPT_ENDED; of those that were refused, that
 * failed or that took longer than the setting "slow_request_ms", the latest of each kind with their
 * exact course. The last ones survive a restart, in two files of at most GW_KEPT_FILE_BYTES each
 * (HOME/requests.ndjson, requests.1.ndjson); one that ended within the second before a kill does
 * not. Requests with unknown keys have a place of their own, so that nobody pushes others out. */
#ifndef FT_GATEWAY_REQUESTS_H
#define FT_GATEWAY_REQUESTS_H

#include "gateway/request.h"
#include "ledger/ledger.h"

#define GW_KEPT_ENDED      2048
#define GW_KEPT_REFUSED    1024
#define GW_KEPT_SLOW       1024 /* and those that failed */
#define GW_KEPT_STRANGERS  256
#define GW_KEPT_FILE_BYTES (2 << 20)
#define GW_SLOW_MS_DEFAULT 10000

struct gw;
struct gw_requests;

int gw_requests_open(struct gw *g, struct gw_requests **ret, struct ft_err *err);
void gw_requests_close(struct gw_requests *q); /* NULL is accepted */
/* Settings of the feed; others are ignored. */
void gw_requests_apply(struct gw_requests *q, const char *kind, const char *id, const json_t *body);

/* A request that runs: part of what runs it. */
struct gw_running {
    struct gw_running *prev, *next;
    const char *id;
    /* Any thread, under a lock that enter and leave take: what is known of it now. */
    void (*look)(struct gw_running *u, struct ft_record *ret);
};
void gw_requests_enter(struct gw_requests *q, struct gw_running *u);
/* It has ended so: from those that run to those that ended, in one step, so that whoever looks
 * finds it. */
void gw_requests_leave(struct gw_requests *q, struct gw_running *u, const struct ft_record *r);

/* One that was not entered has ended: any thread; takes a lock and copies. Moments are since its
 * beginning. */
void gw_requests_ended(struct gw_requests *q, const struct ft_record *r);
/* Its record, as far as it is known without a call of a model; b: what the ledger has of it, with
 * at_us. */
void gw_request_record(const struct gw_request *r, const struct ft_ledger_begin *b,
                       enum ft_record_status status, struct ft_record *ret);
/* The same for one that calls no model; b: what the ledger has of it, with at_us. */
void gw_request_ended(struct gw_request *r, const struct ft_ledger_begin *b,
                      enum ft_record_status status, int64_t bytes_in, int64_t bytes_out);

/* The request's place in a trace, by its headers; nothing where there are no traces. Its client's
 * wish to be in one counts once its key was seen: strangers make no work for the collector. */
void gw_trace_begin(struct gw_request *r);
void gw_trace_known(struct gw_request *r);
/* What a server by URL is told of it (W3C Trace Context): below our span of the call, where we make
 * spans; else the client's own, as it came. *ret_state NULL: none. False: there is no trace. */
bool gw_trace_headers(const struct gw_request *r, char ret_parent[FT_TRACE_PARENT_BYTES],
                      const char **ret_state);
/* It has ended: its record goes to the collector, where it is in a trace, and into the log, where
 * requests are. finish: of a call's answer; NULL. */
void gw_request_told(struct gw_request *r, const struct ft_record *record, const char *finish);

/* How many ended, were refused, and were forgotten before they were written down. */
json_t *gw_requests_status(struct gw_requests *q);

extern const struct gw_table gw_request_routes;

#endif
