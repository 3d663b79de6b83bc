/* Between metrics.c (lines to points), script.c (points to gnuplot's commands) and curve.c
 * (gnuplot).
 */
#ifndef FT_TRAIN_CURVE_IMPL_H
#define FT_TRAIN_CURVE_IMPL_H

#include "base/buf.h"
#include "train/curve/curve.h"

struct ft_curve_point {
    double step, loss;
};
struct ft_curve_points {
    struct ft_curve_point *at; /* [n], steps ascending */
    int n, cap;
};
struct ft_curve_metrics {
    struct ft_curve_points train, valid;
};

/* text: [n] the file. */
int ft_curve_metrics_read(const char *text, size_t n, struct ft_curve_metrics *ret,
                          struct ft_err *err);
void ft_curve_metrics_fini(struct ft_curve_metrics *m); /* a zeroed one is accepted */

/* What gnuplot is told, to write SVG to its standard output. m has a point at least. */
int ft_curve_script(const struct ft_curve_metrics *m, const char *title, struct ft_buf *out,
                    struct ft_err *err);

#endif
