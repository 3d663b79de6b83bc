/* Series of the history from what a gateway shows at /metrics: counters become rates, histograms
 * the quantiles of what came since the last look, levels stay what they are; for the whole cloud
 * and by endpoint, project and worker. derive.c has the table.
 *
 *   begin -> sample, sample, ... -> end: every series of this look
 *
 * A counter that went down began anew with its process: what it shows now came since. The first
 * look, and one long after the last, give no rates. One thread. */
#ifndef FT_MONITOR_DERIVE_H
#define FT_MONITOR_DERIVE_H

#include "monitor/expose.h"
#include "monitor/history.h"

#define FT_DERIVE_MAX    4096 /* figures that are followed; more are left out */
#define FT_DERIVE_OLD_MS 35000

struct ft_derive;

/* Is there a series of this name? */
bool ft_derive_knows(const char *series);

int ft_derive_open(struct ft_derive **ret, struct ft_err *err);
void ft_derive_close(struct ft_derive *d); /* NULL is accepted */

/* now_ms: of a clock that never goes back. */
void ft_derive_begin(struct ft_derive *d, int64_t now_ms);
void ft_derive_sample(struct ft_derive *d, const struct ft_sample *s);
struct ft_derive_out {
    /* owner of an endpoint, by its id: a project, "" for everybody; false: it is not (or no longer)
     * there, and its series are left out */
    bool (*owner)(void *ctx, const char *endpoint, char *ret, size_t n);
    void (*put)(void *ctx, const struct ft_history_name *n, double value);
    void *ctx;
};
void ft_derive_end(struct ft_derive *d, const struct ft_derive_out *out);

/* The q-quantile of what buckets hold: bound[n] rising, count[n + 1] (the last: above all), as
 * Prometheus' histogram_quantile; NaN when they are empty. */
double ft_derive_quantile(const double *bound, const double *count, int n, double q);

#endif
