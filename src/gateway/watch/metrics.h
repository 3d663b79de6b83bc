/* /metrics inside: the families that are read when they are shown. metrics.c has the route and what
 * is known of this process, metrics_serving.c what serving tells, metrics_vllm.c what vLLM calls
 * things. */
#ifndef FT_GATEWAY_METRICS_H
#define FT_GATEWAY_METRICS_H

#include <jansson.h>

#include "base/metric.h"
#include "ledger/ledger.h"
#include "monitor/machine.h"
#include "monitor/process.h"
#include "net/server.h"

struct gw;
struct gw_meter;
struct gw_buckets;

/* vLLM's bounds (vllm/v1/metrics/loggers.py). Ours hold them all. */
#define GW_VLLM_FIRST_BOUNDS                                                                       \
    0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40,  \
        80, 160, 640, 2560
#define GW_VLLM_NEXT_BOUNDS                                                                        \
    0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.75, 1, 2.5, 5, 7.5, 10, 20, 40, 80
#define GW_VLLM_CALL_BOUNDS                                                                        \
    0.3, 0.5, 0.8, 1, 1.5, 2, 2.5, 5, 10, 15, 20, 30, 40, 50, 60, 120, 240, 480, 960, 1920, 7680
#define GW_VLLM_SIZE_BOUNDS                                                                        \
    1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000, 200000

/* What all families of one answer are read from: ctx of their `read`. */
struct gw_scrape {
    struct gw *gw;
    json_t *serving, *tenants, *storage; /* as /api/v1/status has them */
    struct ft_ledger_stats ledger;
    struct ft_http_stats http;
    struct gw_buckets *buckets;
    struct ft_process_info process; /* of the gateway */
    struct ft_machine machine;
};

int gw_metrics_add(struct gw_meter *m, struct ft_err *err); /* metrics.c: all of them */
int gw_metrics_add_serving(struct ft_metric_set *m, struct ft_err *err); /* metrics_serving.c */
int gw_metrics_add_vllm(struct gw_meter *m, struct ft_err *err);         /* metrics_vllm.c */

/* ---- for `read` ---- */

int gw_metrics_add_list(struct ft_metric_set *m, const struct ft_metric_def *def, size_t n,
                        struct ft_err *err);
/* Of a family without labels. */
void gw_metrics_give(struct ft_metric_out *out, double v);
void gw_metrics_give1(struct ft_metric_out *out, const char *a, double v);
void gw_metrics_give2(struct ft_metric_out *out, const char *a, const char *b, double v);
void gw_metrics_give3(struct ft_metric_out *out, const char *a, const char *b, const char *c,
                      double v);

#endif
