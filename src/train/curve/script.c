/* What gnuplot draws: the training loss of every step as a thin line, its moving average over it,
 * the validation loss as a line with points. A long run is thinned to what a picture can show. */
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "train/curve/impl.h"

#define SHOWN_MAX       1500 /* points of a line; a picture is 900 wide */
#define SMOOTH_PART     40   /* the average sees this part of the run to either side ... */
#define SMOOTH_MIN      12   /* ... if it has so many points */
#define TITLE_CHARS_MAX 80
#define STEPS_TOLD      10   /* fewer steps have a mark each */
#define SPIKE           1.35 /* times the highest of the other curves is shown; the rest is cut */

static const char style[] =
    "set terminal svg size 900,520 dynamic enhanced font 'Helvetica,Arial,sans-serif,14'"
    " background '#ffffff' linewidth 1\n"
    "set encoding utf8\n"
    "set border 3 linecolor '#777777' linewidth 1\n"
    "set tics nomirror out scale 0.6 textcolor '#333333'\n"
    "set grid ytics linetype 1 linecolor '#e6e6e6' linewidth 1\n"
    "set xlabel 'step' textcolor '#333333'\n"
    "set ylabel 'loss' textcolor '#333333'\n"
    "set format x '%.0f'\n"
    "set tmargin at screen 0.80\n"
    "set key at screen 0.5,0.85 center center horizontal reverse Left samplen 2 width 1"
    " textcolor '#333333'\n"
    "set style line 1 linecolor '#a6c8e4' linewidth 1\n"
    "set style line 2 linecolor '#1765a8' linewidth 2.2\n"
    "set style line 3 linecolor '#d1495b' linewidth 2 pointtype 7 pointsize 0.55\n";

/* A title as gnuplot's single-quoted string, in which nothing is special but the quote. What is not
 * UTF-8 would spoil the file, what is too long would stand outside the picture. */
static void quoted_put(struct ft_buf *out, const char *text)
{
    const char *p = text;
    size_t n = strlen(text);
    ft_buf_add_byte(out, '\'');
    for (int i = 0; n > 0 && i < TITLE_CHARS_MAX; i++) {
        int len = ft_utf8_decode(p, n, NULL);
        if (*p == '\'')
            ft_buf_add_byte(out, '\'');
        if (len == 0 || (unsigned char)*p < ' ' || *p == 0x7f)
            ft_buf_add_byte(out, len == 0 ? '?' : ' ');
        else
            ft_buf_add(out, p, (size_t)len);
        p += FT_MAX(len, 1);
        n -= (size_t)FT_MAX(len, 1);
    }
    ft_buf_add_str(out, n > 0 ? "...'" : "'");
}

/* The points as a table called $name; where they are many, the lowest and highest of each stretch.
 */
static void table_put(struct ft_buf *out, const char *name, const struct ft_curve_points *p)
{
    int stretch = p->n <= SHOWN_MAX ? 1 : (p->n + SHOWN_MAX / 2 - 1) / (SHOWN_MAX / 2);
    ft_buf_addf(out, "$%s << END\n", name);
    for (int i = 0; i < p->n; i += stretch) {
        int low = i, high = i;
        for (int k = i; k < FT_MIN(i + stretch, p->n); k++) {
            low = p->at[k].loss < p->at[low].loss ? k : low;
            high = p->at[k].loss > p->at[high].loss ? k : high;
        }
        const struct ft_curve_point *a = &p->at[FT_MIN(low, high)], *b = &p->at[FT_MAX(low, high)];
        ft_buf_addf(out, "%.0f %.6g\n", a->step, a->loss);
        if (a != b)
            ft_buf_addf(out, "%.0f %.6g\n", b->step, b->loss);
    }
    ft_buf_add_str(out, "END\n");
}

/* Moving averages over as many points to the left as to the right, so that nothing lags; but to the
 * end, where one has to be enough. *ret->at is the caller's. */
static int smooth(const struct ft_curve_points *p, struct ft_curve_points *ret, struct ft_err *err)
{
    double *sum = calloc((size_t)p->n + 1, sizeof *sum);
    *ret = (struct ft_curve_points){.at = calloc((size_t)p->n + 1, sizeof *ret->at), .n = p->n};
    if (sum == NULL || ret->at == NULL) {
        free(sum);
        free(ret->at);
        return ft_err_set(err, FT_ENOMEM, "no memory for the curve");
    }
    int half = p->n < SMOOTH_MIN ? 0 : FT_MAX(p->n / SMOOTH_PART, 1);
    for (int i = 0; i < p->n; i++)
        sum[i + 1] = sum[i] + p->at[i].loss;
    for (int i = 0; i < p->n; i++) {
        int left = FT_MIN(half, i), right = FT_MIN(left, p->n - 1 - i);
        ret->at[i].step = p->at[i].step;
        ret->at[i].loss = (sum[i + right + 1] - sum[i - left]) / (left + right + 1);
    }
    free(sum);
    return 0;
}

static const struct ft_curve_point *lowest(const struct ft_curve_points *p)
{
    const struct ft_curve_point *best = p->at;
    for (int i = 1; i < p->n; i++)
        best = p->at[i].loss < best->loss ? &p->at[i] : best;
    return best;
}

static double highest(const struct ft_curve_points *p, double at_least)
{
    for (int i = 0; i < p->n; i++)
        at_least = fmax(at_least, p->at[i].loss);
    return at_least;
}

/* From 0 to a little above the curves. A spike of one step does not press the others flat. */
static void ranges_put(struct ft_buf *out, const struct ft_curve_metrics *m,
                       const struct ft_curve_points *mean)
{
    double low = INFINITY, last = 1;
    if (m->train.n > 0) {
        low = lowest(&m->train)->loss;
        last = m->train.at[m->train.n - 1].step;
    }
    if (m->valid.n > 0) {
        low = fmin(low, lowest(&m->valid)->loss);
        last = fmax(last, m->valid.at[m->valid.n - 1].step);
    }
    double top = highest(&m->valid, highest(mean, low));
    top = FT_MIN(highest(&m->train, top), low + (top - low) * SPIKE);
    /* the bottom is 0 unless the whole curve is far above it */
    bool from_zero = low >= 0 && low < 0.4 * top;
    if (last < STEPS_TOLD)
        ft_buf_add_str(out, "set xtics 1\n"); /* there are no half steps */
    double room = 0.04 * (top > low ? top - low : 1);
    ft_buf_addf(out, "set xrange [0:%.0f]\nset yrange [%.9g:%.9g]\n", fmax(last, 1),
                from_zero ? 0 : low - room, top + room);
}

/* Title, and below it how it ended. */
static void head_put(struct ft_buf *out, const struct ft_curve_metrics *m, const char *title,
                     const struct ft_curve_points *mean)
{
    ft_buf_add_str(out, "set label 1 ");
    quoted_put(out, title);
    ft_buf_add_str(out, " at screen 0.5,0.955 center noenhanced font ',17' textcolor '#111111'\n"
                        "set label 2 '");
    if (m->train.n > 0)
        ft_buf_addf(out, "training loss %.4g at the end", mean->at[mean->n - 1].loss);
    if (m->valid.n > 0) {
        const struct ft_curve_point *best = lowest(&m->valid), *end = &m->valid.at[m->valid.n - 1];
        ft_buf_addf(out, "%svalidation loss %.4g", m->train.n > 0 ? ", " : "", end->loss);
        if (best != end)
            ft_buf_addf(out, ", lowest %.4g at step %.0f", best->loss, best->step);
    }
    ft_buf_add_str(out, "' at screen 0.5,0.905 center textcolor '#555555'\n");
}

static void plot_put(struct ft_buf *out, const struct ft_curve_metrics *m)
{
    const char *gap = "plot ";
    if (m->train.n >= SMOOTH_MIN) {
        ft_buf_addf(out, "%s$train with lines linestyle 1 title 'training loss'", gap);
        gap = ", ";
    }
    if (m->train.n > 0) {
        ft_buf_addf(out, "%s$mean with %s title '%s'", gap,
                    m->train.n > 1 ? "lines linestyle 2"
                                   : "points linestyle 2 pointtype 7 pointsize 0.6",
                    m->train.n >= SMOOTH_MIN ? "its average" : "training loss");
        gap = ", ";
    }
    if (m->valid.n > 0)
        ft_buf_addf(out, "%s$valid with linespoints linestyle 3 title 'validation loss'", gap);
    ft_buf_add_byte(out, '\n');
}

int ft_curve_script(const struct ft_curve_metrics *m, const char *title, struct ft_buf *out,
                    struct ft_err *err)
{
    struct ft_curve_points mean;
    int rc = smooth(&m->train, &mean, err);
    if (rc != 0)
        return rc;
    ft_buf_add_str(out, style);
    head_put(out, m, title, &mean);
    ranges_put(out, m, &mean);
    table_put(out, "train", &m->train);
    table_put(out, "mean", &mean);
    table_put(out, "valid", &m->valid);
    plot_put(out, m);
    free(mean.at);
    return out->failed == 0 ? 0 : ft_err_set(err, out->failed, "the curve's script is too long");
}
