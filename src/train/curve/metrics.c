/* Metrics: JSON lines to the points of two curves. */
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "train/curve/impl.h"

#define STEP_MAX ((json_int_t)1 << 53)

static int point_add(struct ft_curve_points *p, double step, double loss, struct ft_err *err)
{
    while (p->n > 0 && p->at[p->n - 1].step >= step) /* of before the run was resumed */
        p->n--;
    if (p->n == FT_CURVE_POINTS_MAX)
        return ft_err_set(err, FT_ELIMIT, "more than %d points", FT_CURVE_POINTS_MAX);
    if (p->n == p->cap) {
        int cap = p->cap == 0 ? 1024 : p->cap * 2;
        struct ft_curve_point *grown = realloc(p->at, (size_t)cap * sizeof *grown);
        if (grown == NULL)
            return ft_err_set(err, FT_ENOMEM, "no memory for the points");
        p->at = grown;
        p->cap = cap;
    }
    p->at[p->n++] = (struct ft_curve_point){step, loss};
    return 0;
}

static int value_take(struct ft_curve_points *p, json_t *line, const char *key, struct ft_err *err)
{
    json_t *value = json_object_get(line, key), *step = json_object_get(line, "step");
    if (value == NULL)
        return 0;
    if (!json_is_integer(step) || json_integer_value(step) < 0 ||
        json_integer_value(step) > STEP_MAX)
        return ft_err_set(err, FT_ECORRUPT, "step: not a whole number of steps");
    if (!json_is_number(value))
        return ft_err_set(err, FT_ECORRUPT, "%s: not a number", key);
    return point_add(p, (double)json_integer_value(step), json_number_value(value), err);
}

static int line_read(const char *text, size_t n, struct ft_curve_metrics *m, struct ft_err *err)
{
    json_error_t e;
    if (strspn(text, " \t\r") >= n)
        return 0;
    json_t *line = json_loadb(text, n, JSON_REJECT_DUPLICATES, &e);
    if (line == NULL)
        return ft_err_set(err, FT_ECORRUPT, "%s", e.text);
    int rc = json_is_object(line) ? 0 : ft_err_set(err, FT_ECORRUPT, "not a JSON object");
    if (rc == 0)
        rc = value_take(&m->train, line, "loss", err);
    if (rc == 0)
        rc = value_take(&m->valid, line, "valid_loss", err);
    json_decref(line);
    return rc;
}

int ft_curve_metrics_read(const char *text, size_t n, struct ft_curve_metrics *ret,
                          struct ft_err *err)
{
    struct ft_curve_metrics m = {0};
    int rc = 0;
    long number = 1;
    for (const char *p = text, *end = text + n, *stop; rc == 0 && p < end; p = stop + 1) {
        stop = memchr(p, '\n', (size_t)(end - p));
        if (stop == NULL)
            break;
        rc = line_read(p, (size_t)(stop - p), &m, err);
        if (rc != 0)
            ft_err_wrap(err, "line %ld", number);
        number++;
    }
    if (rc == 0 && m.train.n == 0 && m.valid.n == 0)
        rc = ft_err_set(err, FT_EINVAL, "no line has a loss");
    if (rc == 0)
        *ret = m;
    else
        ft_curve_metrics_fini(&m);
    return rc;
}

void ft_curve_metrics_fini(struct ft_curve_metrics *m)
{
    free(m->train.at);
    free(m->valid.at);
    *m = (struct ft_curve_metrics){0};
}
