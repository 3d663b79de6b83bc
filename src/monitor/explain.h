/* In words: why a request was slow, refused, or ended in the middle. From its record alone, so that
 * it can be asked for long afterwards. */
#ifndef FT_MONITOR_EXPLAIN_H
#define FT_MONITOR_EXPLAIN_H

#include <jansson.h>

#include "ledger/record.h"

/* [{code, text, ms?, values?}], new. The first is a summary; then what it waited for and what it
 * spent its time on, the longest first; where it failed, why comes before that. `code` and
 * `values` (numbers) are for programs, and for who says it in another language:
 *
 *   done, running, cancelled, refused, failed, lost      the summary
 *   target                                               which of the endpoint's versions had it
 *   rate_limit, budget, key, permission, model_unknown, context_too_long, queue_full,
 *   no_replica, bad_request, error                       why it was refused or failed
 *   upload, queue, cold_start, failover, prepare, worker_queue, machine_busy,
 *   model_load, prefill, decode, client_slow, elsewhere                               where the
 * time went
 *
 * running: it has not ended, and its end_us is now. */
json_t *ft_explain(const struct ft_record *r, bool running);

#endif
