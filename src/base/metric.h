/* Metrics: counters, gauges and histograms, in families with labels.
 *
 * A family's series are found by their labels' values, made when they are first asked for, and stay
 * until the end. Counting is one atomic addition (a histogram's: two, and a search in its bounds),
 * from any thread, without a lock; who counts often keeps the series. What was counted is a whole
 * number in a unit of the caller's (nanoseconds, bytes, 1e-9 of the currency); `scale` makes base
 * units of it where it is shown, so sums of money and time are exact.
 *
 * Bounds: of a label FT_METRIC_VALUES_MAX values are told apart, of a family FT_METRIC_SERIES_MAX
 * series; whatever comes later counts under the value "other", as do values that are too long, or
 * no UTF-8. */
#ifndef FT_BASE_METRIC_H
#define FT_BASE_METRIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

#define FT_METRIC_FAMILIES_MAX 256
#define FT_METRIC_LABELS_MAX   4
#define FT_METRIC_VALUES_MAX   128  /* of one label */
#define FT_METRIC_SERIES_MAX   2048 /* of one family */
#define FT_METRIC_BOUNDS_MAX   48   /* of a histogram */
#define FT_METRIC_VALUE_BYTES  256  /* of a label's value, without its NUL */
#define FT_METRIC_OTHER        "other"

struct ft_metric_set; /* all families of a process */
struct ft_metric;     /* a family */
struct ft_series;     /* one combination of labels' values; never freed before the end */

enum ft_metric_kind { FT_METRIC_COUNTER, FT_METRIC_GAUGE, FT_METRIC_HISTOGRAM };

/* What a histogram holds at a time. Buckets are not cumulative; bucket[n_bound]: above all. */
struct ft_histogram {
    int n_bound;
    double bound[FT_METRIC_BOUNDS_MAX];
    uint64_t bucket[FT_METRIC_BOUNDS_MAX + 1];
    double sum;
};

/* Takes what is read: value: one for each label of the family, valid during the call. Either a
 * number, or, of a histogram, h. */
struct ft_metric_out {
    void (*give)(struct ft_metric_out *out, const char *const *value, double number,
                 const struct ft_histogram *h);
};

/* Strings and bounds are borrowed for good (literals). */
struct ft_metric_def {
    /* As it is shown, but "_total", which counters get there: "feitian_prompt_tokens". Its base
     * unit is its end, where it has one: "..._seconds". */
    const char *name;
    const char *help; /* one sentence */
    const char *unit; /* "seconds", "bytes", ...; NULL: none */
    enum ft_metric_kind kind;
    const char *label[FT_METRIC_LABELS_MAX]; /* up to the first NULL */
    double scale;                            /* what counting 1 stands for; 0: 1 */
    const double *bound;                     /* [n_bound] of a histogram, rising, in base units */
    int n_bound;
    /* Not NULL: the family has no series of its own; whoever shows it calls this, with what it
     * was told to (monitor/expose.h). */
    void (*read)(void *ctx, struct ft_metric_out *out);
};

int ft_metric_set_open(struct ft_metric_set **ret, struct ft_err *err);
void ft_metric_set_close(struct ft_metric_set *m); /* nobody counts any more; NULL is accepted */
/* Before other threads use m. FT_EINVAL names what is wrong with def, FT_EEXIST: the name is
 * taken; FT_ELIMIT: FT_METRIC_FAMILIES_MAX. ret may be NULL for a family that is read. */
int ft_metric_set_add(struct ft_metric_set *m, const struct ft_metric_def *def,
                      struct ft_metric **ret, struct ft_err *err);

/* Any thread: the series of these values, one for each label; never NULL: without memory, or past
 * the bounds, it is the one of "other". NULL as a value is "". Allocates when it makes one. */
struct ft_series *ft_metric_at(struct ft_metric *f, const char *const *value);
#define ft_metric_at1(f, a)       ft_metric_at(f, (const char *const[]){a})
#define ft_metric_at2(f, a, b)    ft_metric_at(f, (const char *const[]){a, b})
#define ft_metric_at3(f, a, b, c) ft_metric_at(f, (const char *const[]){a, b, c})

/* A counter goes up, a gauge both ways. Any thread. */
void ft_series_add(struct ft_series *s, int64_t n);
void ft_series_set(struct ft_series *s, int64_t n); /* of a gauge */
void ft_series_observe(struct ft_series *s, int64_t n);

/* ---- to be shown ---- */

int ft_metric_set_count(const struct ft_metric_set *m);
struct ft_metric *ft_metric_set_family(const struct ft_metric_set *m, int i);
const struct ft_metric_def *ft_metric_def(const struct ft_metric *f);
int ft_metric_labels(const struct ft_metric *f); /* how many */
/* Gives every series, in the order in which they came; of a family that is read, read's. */
void ft_metric_read(const struct ft_metric *f, void *ctx, struct ft_metric_out *out);

#endif
