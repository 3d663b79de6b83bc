/* metrics.jsonl: a line per step and per validation, cut back to the checkpoint on resuming. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "train/core/impl.h"

#define LINE_MAX_BYTES 4096

/* Bytes of the lines up to state.step. */
static long whole_lines(FILE *f, int64_t step)
{
    char line[LINE_MAX_BYTES];
    long end = 0;
    while (fgets(line, sizeof line, f) != NULL) {
        json_t *root = json_loads(line, 0, NULL);
        json_t *at = json_object_get(root, "step");
        bool keep = json_is_integer(at) && json_integer_value(at) <= step;
        json_decref(root);
        if (!keep || strchr(line, '\n') == NULL)
            break;
        end = ftell(f);
    }
    return end;
}

int ft_metrics_open(struct ft_train *t, struct ft_err *err)
{
    char path[FT_TRAIN_PATH_BYTES + 32];
    snprintf(path, sizeof path, "%s/metrics.jsonl", t->o->output);
    bool resumed = t->state.step > 0;
    t->metrics = fopen(path, resumed ? "r+e" : "we");
    if (t->metrics == NULL && resumed)
        t->metrics = fopen(path, "we");
    if (t->metrics == NULL)
        return ft_err_sys(err, "open %s", path);
    if (!resumed)
        return 0;
    long end = whole_lines(t->metrics, t->state.step);
    if (fseek(t->metrics, end, SEEK_SET) != 0 || ftruncate(fileno(t->metrics), end) != 0)
        return ft_err_sys(err, "cut %s", path);
    return 0;
}

static int put(struct ft_train *t, json_t *line, struct ft_err *err)
{
    char *text = line != NULL ? json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(9)) : NULL;
    json_decref(line);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "metrics: no memory");
    int n = fprintf(t->metrics, "%s\n", text);
    free(text);
    if (n < 0 || fflush(t->metrics) != 0)
        return ft_err_sys(err, "write %s/metrics.jsonl", t->o->output);
    return 0;
}

int ft_metrics_step(struct ft_train *t, const struct ft_train_step *s, struct ft_err *err)
{
    json_t *line =
        json_pack("{s:I, s:f, s:f, s:f, s:f, s:I, s:f, s:f, s:f}", "step", (json_int_t)s->step,
                  "epoch", s->epoch, "loss", s->loss, "lr", s->lr, "grad_norm", s->grad_norm,
                  "tokens", (json_int_t)s->tokens, "tokens_per_s", s->tokens_per_s, "seconds",
                  s->seconds, "gflop_s", s->gflop_s);
    if (line != NULL && t->o->objective == FT_TRAIN_DPO) {
        json_object_set_new(line, "accuracy", json_real(s->accuracy));
        json_object_set_new(line, "margin", json_real(s->margin));
    }
    return put(t, line, err);
}

int ft_metrics_valid(struct ft_train *t, const struct ft_train_valid *v, struct ft_err *err)
{
    json_t *line = json_pack("{s:I, s:f}", "step", (json_int_t)v->step, "valid_loss", v->loss);
    if (line != NULL && t->o->objective == FT_TRAIN_DPO) {
        json_object_set_new(line, "valid_accuracy", json_real(v->accuracy));
        json_object_set_new(line, "valid_margin", json_real(v->margin));
    }
    return put(t, line, err);
}
