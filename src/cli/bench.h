/* Measuring a model on this machine against what the machine's limits allow. */
#ifndef FT_CLI_BENCH_H
#define FT_CLI_BENCH_H

#include "cli/local.h"
#include "engine/cpu/probe.h"

#define FT_BENCH_BATCHES_MAX 16
#define FT_BENCH_REPEAT_MAX  101
#define FT_BENCH_SIZE_MAX    256 /* sequences of one batch */

struct ft_bench_config {
    int n_prefill, n_decode, depth; /* tokens; 0 prefill or decode: not measured */
    int batch[FT_BENCH_BATCHES_MAX], n_batch;
    int repeat; /* prefills measured; the median counts */
};

/* Rates are tokens per second, over all sequences; 0 where not measured. */
struct ft_bench_rates {
    double prefill, decode, batch[FT_BENCH_BATCHES_MAX];
};

struct ft_bench_result {
    struct ft_bench_rates got, limit;
    double ready_s;        /* from the process's start until the first token could be asked for */
    double overhead_bytes; /* resident beyond weights and the KV blocks in use */
    struct ft_cpu_limits machine;
};

/* l: opened with room for what ft_bench_blocks says. got and overhead are filled. */
int ft_bench_run(struct ft_local *l, const struct ft_bench_config *cfg, struct ft_bench_result *r,
                 struct ft_err *err);
/* Cache tokens that a run needs. */
int ft_bench_tokens(const struct ft_bench_config *cfg);

/* The rates that the machine's limits allow: every weight (and every key and value of the
 * context) is read once per step, every product takes its share of the peak of its number
 * format; the slower of the two counts. */
void ft_bench_limits(const struct ft_model *m, const struct ft_bench_config *cfg,
                     const struct ft_cpu_limits *machine, struct ft_bench_rates *ret);

/* What is done now, as a line on standard error if that is a terminal. */
void ft_bench_say(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* Seconds since this process was started (before any exec). */
double ft_bench_since_start(void);

#endif
