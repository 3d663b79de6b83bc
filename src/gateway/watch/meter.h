/* What the gateway counts of requests and calls, for /metrics (metrics.c shows it, with what others
 * tell). Counting never waits, and a project's name stands on counters alone. */
#ifndef FT_GATEWAY_METER_H
#define FT_GATEWAY_METER_H

#include "api/openai/error.h"
#include "base/metric.h"
#include "base/phases.h"
#include "ledger/record.h"
#include "serve/piece.h"

struct gw_request;

/* The families that are counted here. */
struct gw_meter {
    struct ft_metric_set *own, *vllm; /* vllm: what it has names for, under these */
    /* of requests */
    struct ft_metric *http, *http_ns, *refused;
    struct ft_metric *objects, *bytes_in, *bytes_out, *downloads;
    /* of calls */
    struct ft_metric *calls, *errors, *finishes, *prompt, *cached, *completion, *reasoning, *cost;
    struct ft_metric *first_ns, *next_ns, *call_ns, *prompt_size, *completion_size;
    struct ft_metric *queue_us, *prefill_us, *decode_us, *inference_us, *preemptions;
    struct ft_metric *energy, *cpu;
};

/* All families of the gateway, also those that metrics.c reads. */
int gw_meter_open(struct gw_meter *m, struct ft_err *err);
void gw_meter_close(struct gw_meter *m); /* a zeroed one is accepted */

/* A request is over, whatever it was. */
void gw_meter_request(struct gw_meter *m, const struct gw_request *r);
/* It was turned away before it began. */
void gw_meter_refused(struct gw_meter *m, const struct gw_request *r, const struct ft_oai_error *e);

/* One call of a model, on whichever thread its pieces come; zeroed: it is not counted. */
struct gw_meter_call {
    struct gw_meter *m;
    const char *model, *project; /* borrowed until the end; model: the endpoint's id */
    struct ft_series *next;      /* time between tokens */
    int64_t begun_ns, last_ns;   /* last_ns: of the last token; 0: none came yet */
    const char *finish;
};

struct gw_meter_end {
    enum ft_record_status status;
    int64_t prompt, cached, completion, reasoning, cost_nanos, cpu_us, energy_uj;
    const char *currency, *error; /* error: a code; "" */
    const struct ft_phases *phases;
};

/* model: the id of the endpoint that the call means, never the bare name: another project's
 * endpoint may have the same, and what is counted under a common one's is seen by everybody.
 * begun_ns: when its request came in. */
void gw_meter_call_begin(struct gw_meter_call *c, struct gw_meter *m, const char *model,
                         const char *project, int64_t begun_ns);
void gw_meter_call_piece(struct gw_meter_call *c, const struct ft_piece *p);
void gw_meter_call_end(struct gw_meter_call *c, const struct gw_meter_end *e);

#endif
