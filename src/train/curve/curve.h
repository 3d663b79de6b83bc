/* The loss curve of a training run: its metrics as a picture, drawn by gnuplot.
 *
 * Metrics are JSON lines. {"step": 3, "loss": 2.1, ...} is a point of the training loss,
 * {"step": 3, "valid_loss": 2.3, ...} one of the validation loss, a line with neither is something
 * else. Steps ascend; where they fall back (a run that was resumed from a checkpoint) what the
 * later lines say counts. A last line without its end is one that was being written. */
#ifndef FT_TRAIN_CURVE_H
#define FT_TRAIN_CURVE_H

#include "base/err.h"

#define FT_CURVE_BYTES_MAX  ((size_t)1 << 30) /* of metrics */
#define FT_CURVE_POINTS_MAX (1 << 22)         /* of each kind */
#define FT_CURVE_WAIT_MS    30000             /* for gnuplot */

/* Draws the metrics to an SVG file, which appears whole or not at all. title: above the curve, any
 * text. gnuplot: the program to run; NULL: the one in $PATH. Blocks; any thread. FT_EUNSUPPORTED
 * where there is no gnuplot; FT_ECORRUPT names the line; FT_EINVAL if no line has a loss. */
int ft_curve_write(const char *metrics, const char *title, const char *svg, const char *gnuplot,
                   struct ft_err *err);

#endif
