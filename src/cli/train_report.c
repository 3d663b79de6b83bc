/* Each line goes out as it is made: who reads it may be killed and come back for the rest. */
#include "cli/train_report.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <sys/resource.h>

/* Takes the reference. JSON has no infinity: such a figure is left out. */
static void put(json_t *o)
{
    json_dumpf(o, stdout, JSON_COMPACT | JSON_PRESERVE_ORDER);
    putchar('\n');
    fflush(stdout);
    json_decref(o);
}

static void real(json_t *o, const char *name, double v)
{
    if (isfinite(v))
        json_object_set_new(o, name, json_real(v));
}

static void on_stage(void *ctx, const char *what)
{
    (void)ctx;
    put(json_pack("{s:s,s:s}", "event", "stage", "what", what));
}

static void on_data(void *ctx, const struct ft_data_report *r, const char *const *path, bool valid)
{
    (void)ctx;
    json_t *told = json_array();
    for (int i = 0; i < r->n_told; i++) {
        const struct ft_data_bad *b = &r->told[i];
        json_array_append_new(told,
                              json_pack("{s:s,s:I,s:s}", "file", b->file >= 0 ? path[b->file] : "",
                                        "line", (json_int_t)b->line, "message", b->msg));
    }
    put(json_pack("{s:s,s:b,s:I,s:I,s:I,s:I,s:I,s:o}", "event", "data", "valid", valid, "lines",
                  (json_int_t)r->lines, "samples", (json_int_t)r->samples, "tokens",
                  (json_int_t)r->tokens, "targets", (json_int_t)r->targets, "bad",
                  (json_int_t)r->bad, "told", told));
}

static void on_plan(void *ctx, const struct ft_train_plan *p)
{
    (void)ctx;
    put(json_pack("{s:s,s:I,s:I,s:i,s:i,s:I,s:I,s:f}", "event", "plan", "steps",
                  (json_int_t)p->steps, "batches_epoch", (json_int_t)p->batches_epoch, "train",
                  p->n_train, "valid", p->n_valid, "memory_bytes", (json_int_t)p->memory_bytes,
                  "resumed_step", (json_int_t)p->resumed_step, "seconds", p->seconds));
}

static void on_step(void *ctx, const struct ft_train_step *s)
{
    (void)ctx;
    json_t *o = json_pack("{s:s,s:I,s:I,s:I}", "event", "step", "step", (json_int_t)s->step,
                          "steps", (json_int_t)s->steps, "tokens", (json_int_t)s->tokens);
    real(o, "epoch", s->epoch);
    real(o, "loss", s->loss);
    real(o, "lr", s->lr);
    real(o, "accuracy", s->accuracy);
    real(o, "seconds", s->seconds);
    real(o, "seconds_left", s->seconds_left);
    put(o);
}

static void on_valid(void *ctx, const struct ft_train_valid *v)
{
    (void)ctx;
    json_t *o =
        json_pack("{s:s,s:I,s:b}", "event", "valid", "step", (json_int_t)v->step, "best", v->best);
    real(o, "loss", v->loss);
    real(o, "accuracy", v->accuracy);
    put(o);
}

static void on_checkpoint(void *ctx, int64_t step)
{
    (void)ctx;
    put(json_pack("{s:s,s:I}", "event", "checkpoint", "step", (json_int_t)step));
}

static void on_note(void *ctx, const char *text)
{
    (void)ctx;
    put(json_pack("{s:s,s:s}", "event", "note", "text", text));
}

static void on_result(void *ctx, const char *kind, const char *path)
{
    (void)ctx;
    put(json_pack("{s:s,s:s,s:s}", "event", "result", "kind", kind, "path", path));
}

void ft_train_report_init(struct ft_train_events *ev)
{
    *ev = (struct ft_train_events){.on_stage = on_stage,
                                   .on_data = on_data,
                                   .on_plan = on_plan,
                                   .on_step = on_step,
                                   .on_valid = on_valid,
                                   .on_checkpoint = on_checkpoint,
                                   .on_note = on_note,
                                   .on_result = on_result};
}

static int64_t used_us(int whose)
{
    struct rusage u;
    if (getrusage(whose, &u) != 0)
        return 0;
    return ((int64_t)u.ru_utime.tv_sec + u.ru_stime.tv_sec) * 1000000 + u.ru_utime.tv_usec +
           u.ru_stime.tv_usec;
}

void ft_train_report_end(int rc, const struct ft_err *err)
{
    put(json_pack("{s:s,s:b,s:s,s:s,s:I}", "event", "end", "ok", rc == 0, "code",
                  rc == 0 ? "ok" : ft_code_name(err->code), "message", rc == 0 ? "" : err->msg,
                  "cpu_us", (json_int_t)(used_us(RUSAGE_SELF) + used_us(RUSAGE_CHILDREN))));
}
