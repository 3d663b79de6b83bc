/* Metrics as text: written for Prometheus (text 0.0.4) and OpenMetrics 1.0, and read again.
 *
 * https://prometheus.io/docs/instrumenting/exposition_formats/
 * https://github.com/prometheus/OpenMetrics/blob/main/specification/OpenMetrics.md */
#ifndef FT_MONITOR_EXPOSE_H
#define FT_MONITOR_EXPOSE_H

#include "base/buf.h"
#include "base/metric.h"

#define FT_EXPOSE_BYTES_MAX   ((size_t)32 << 20)
#define FT_EXPOSE_LABELS_MAX  16   /* of a sample that is read */
#define FT_EXPOSE_SAMPLE_MAX  4096 /* bytes of one; longer lines are passed over */
#define FT_EXPOSE_NAME_LENGTH 200  /* of a metric or label that is read */

enum ft_expose_format { FT_EXPOSE_TEXT, FT_EXPOSE_OPENMETRICS };

/* By the request's Accept, as Prometheus asks; accept may be NULL. */
enum ft_expose_format ft_expose_choose(const char *accept);
const char *ft_expose_type(enum ft_expose_format format); /* Content-Type */

/* Appends all families. ctx: for families that are read. What is not UTF-8 is written as U+FFFD. A
 * failure is out's. */
void ft_expose_write(const struct ft_metric_set *m, void *ctx, enum ft_expose_format format,
                     struct ft_buf *out);
/* Ends the document; between them more families may be appended, of the same format. */
void ft_expose_end(enum ft_expose_format format, struct ft_buf *out);

/* ---- reading ---- */

struct ft_sample {
    const char *name; /* as it stands there: with "_total", "_bucket", ... */
    int n_label;
    struct {
        const char *name, *value;
    } label[FT_EXPOSE_LABELS_MAX]; /* of a bucket "le" is among them */
    double value;
};

/* A label's value, "" if the sample has none of this name. */
const char *ft_sample_label(const struct ft_sample *s, const char *name);

/* Reads either format: fn is called for every sample, which is valid during the call. What is no
 * sample (comments, lines that are broken, too long, or have too many labels) is passed over.
 * Returns how many lines were broken. */
int ft_expose_read(const char *text, size_t n, void (*fn)(void *ctx, const struct ft_sample *s),
                   void *ctx);

#endif
