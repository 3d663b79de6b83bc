/* One request as people and programs are shown it: its record as JSON, and its course, phase by
 * phase. Made of what the record holds (ledger/record.h); where the moments are still there
 * (base/phases.h), of the exact course. */
#ifndef FT_MONITOR_TIMELINE_H
#define FT_MONITOR_TIMELINE_H

#include <jansson.h>

#include "ledger/record.h"

/* {id, object "request", project, key, model, route, status, http, stream, start, end, tokens,
 * cost, ..., duration_ms, first_token_ms|null, client_request_id|null, trace_id|null, target|null,
 * page, error {code, message}|null}: a new object. */
json_t *ft_request_json(const struct ft_record *r);
/* running: it has not ended; status is "running", end null, and durations are up to its end_us. */
json_t *ft_request_json_running(const struct ft_record *r);

/* A whole number of nanos as a decimal text, all digits and none more: "1.25". New. */
json_t *ft_money_json(int64_t nanos);

enum ft_phase_kind {
    FT_PHASE_ADMISSION,
    FT_PHASE_QUEUE,
    FT_PHASE_START,
    FT_PHASE_FAILOVER,
    FT_PHASE_PREPARE,
    FT_PHASE_WORKER_QUEUE,
    FT_PHASE_LOAD,
    FT_PHASE_PREFILL,
    FT_PHASE_DECODE,
    FT_PHASE_PAUSED,
};
#define FT_PHASE_KINDS 10
const char *ft_phase_name(enum ft_phase_kind k); /* "admission", ... as the API has them */

struct ft_timeline_entry {
    enum ft_phase_kind phase;
    int64_t at_us, us; /* since the request's head was in; how long */
    int n;             /* queue: how many were before it; -1: not known. failover: the worker, -1 */
};
#define FT_TIMELINE_MAX (FT_MOMENTS_MAX + 12)

/* In the order of their beginnings; returns how many, at most FT_TIMELINE_MAX. */
int ft_timeline(const struct ft_record *r, struct ft_timeline_entry *ret);
/* [{phase, at_ms, ms, detail|null}], new. */
json_t *ft_timeline_json(const struct ft_record *r);

#endif
