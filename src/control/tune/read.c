/* The report of a training (cli/train_report.h), line by line, into the store.
 *
 * One pass reads what is new, up to PASS_BYTES, and writes what it means in one transaction with
 * how far it came. Words of the process that are no JSON (a crash's last ones) are passed over. */
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "control/tune/run.h"

#define PASS_BYTES ((size_t)256 << 10)
#define TOLD_MAX   5 /* bad lines that the message names */

struct pass {
    struct ft_tune *t;
    struct tune_job *job, after; /* the job as it was, and as it is after the lines read so far */
    const char *text;
    size_t n; /* whole lines */
};

static int note(struct pass *p, struct ft_state_tx *tx, const char *level, const char *type,
                const char *message, const json_t *data, struct ft_err *err)
{
    return ft_tune_note(tx, p->job->id, (int64_t)time(NULL), level, type, message, data, err);
}

/* ---- what lines mean ---- */

static int on_plan(struct pass *p, struct ft_state_tx *tx, const json_t *o, struct ft_err *err)
{
    char text[160];
    struct tune_job *a = &p->after;
    a->steps = ft_ctl_int(o, "steps", 0);
    snprintf(text, sizeof text, "Training begins: %lld steps, %lld samples, %lld for validation%s",
             (long long)a->steps, (long long)ft_ctl_int(o, "train", 0),
             (long long)ft_ctl_int(o, "valid", 0),
             ft_ctl_int(o, "resumed_step", 0) > 0 ? "; from its checkpoint on" : "");
    a->planned = true;
    return note(p, tx, "info", "message", text, o, err);
}

static int on_step(struct pass *p, struct ft_state_tx *tx, const json_t *o, struct ft_err *err)
{
    struct tune_job *a = &p->after;
    int64_t step = ft_ctl_int(o, "step", 0), every = 1 + a->steps / TUNE_METRICS_MAX;
    double left = json_number_value(json_object_get(o, "seconds_left"));
    char text[96];
    a->stepped = true;
    a->step = step;
    a->steps = ft_ctl_int(o, "steps", 0);
    a->tokens = ft_ctl_int(o, "tokens", 0);
    a->train_loss = json_number_value(json_object_get(o, "loss"));
    a->finish_s = (int64_t)time(NULL) + (int64_t)left;
    if (step % every != 0 && step != a->steps)
        return 0;
    json_t *loss = json_object_get(o, "loss"); /* left out: no number any more */
    int n = snprintf(text, sizeof text, "Step %lld/%lld: training loss=", (long long)step,
                     (long long)a->steps);
    snprintf(text + n, sizeof text - (size_t)n, loss != NULL ? "%.4f" : "NaN", a->train_loss);
    json_t *data = json_pack("{s:I,s:I,s:O*,s:O?}", "step", (json_int_t)step, "total_steps",
                             (json_int_t)a->steps, "train_loss", loss, "learning_rate",
                             json_object_get(o, "lr"));
    int rc = note(p, tx, "info", "metrics", text, data, err);
    json_decref(data);
    return rc;
}

static int on_valid(struct pass *p, struct ft_state_tx *tx, const json_t *o, struct ft_err *err)
{
    char text[96];
    long long step = ft_ctl_int(o, "step", 0);
    p->after.valid_loss = json_number_value(json_object_get(o, "loss"));
    snprintf(text, sizeof text, "Step %lld: validation loss=%.4f", step, p->after.valid_loss);
    json_t *data =
        json_pack("{s:I,s:f}", "step", (json_int_t)step, "valid_loss", p->after.valid_loss);
    int rc = note(p, tx, "info", "metrics", text, data, err);
    json_decref(data);
    return rc;
}

static int on_checkpoint(struct pass *p, struct ft_state_tx *tx, const json_t *o,
                         struct ft_err *err)
{
    const struct tune_job *a = &p->after;
    char name[TUNE_NAME_MAX];
    int64_t step = ft_ctl_int(o, "step", 0);
    ft_tune_model_name(p->job->id, p->job->body, step, name);
    json_t *metrics = json_pack("{s:I,s:f}", "step", (json_int_t)step, "train_loss", a->train_loss);
    if (a->valid_loss > 0)
        json_object_set_new(metrics, "valid_loss", json_real(a->valid_loss));
    int rc = ft_tune_note_checkpoint(tx, p->job->id, (int64_t)time(NULL), step, name, metrics, err);
    json_decref(metrics);
    return rc;
}

/* Bad lines by number, for the message of the failure that comes. */
static int on_data(struct pass *p, struct ft_state_tx *tx, const json_t *o, struct ft_err *err)
{
    const char *file =
        json_is_true(json_object_get(o, "valid")) ? "validation_file" : "training_file";
    char text[FT_ERR_MSG_MAX];
    long long bad = ft_ctl_int(o, "bad", 0);
    size_t i, at;
    const json_t *b;
    if (bad == 0) {
        snprintf(text, sizeof text, "%s: %lld lines, %lld samples, %lld tokens", file,
                 (long long)ft_ctl_int(o, "lines", 0), (long long)ft_ctl_int(o, "samples", 0),
                 (long long)ft_ctl_int(o, "tokens", 0));
        return note(p, tx, "info", "message", text, NULL, err);
    }
    at = (size_t)snprintf(text, sizeof text, "%s: %lld line%s cannot be used", file, bad,
                          bad == 1 ? "" : "s");
    json_array_foreach(json_object_get(o, "told"), i, b)
    {
        if (i == TOLD_MAX || at + 120 > sizeof text)
            break;
        at += (size_t)snprintf(text + at, sizeof text - at, "; line %lld: %.90s",
                               (long long)ft_ctl_int(b, "line", 0), ft_ctl_text(b, "message"));
    }
    p->after.end_param = file[0] == 'v' ? "validation_file" : "training_file";
    snprintf(p->after.end_code, sizeof p->after.end_code, "invalid_%s", p->after.end_param);
    snprintf(p->after.end_message, sizeof p->after.end_message, "%s", text);
    return 0;
}

static void on_end(struct pass *p, const json_t *o)
{
    struct tune_job *a = &p->after;
    const char *code = ft_ctl_text(o, "code"), *message = ft_ctl_text(o, "message");
    a->end_cpu_us = ft_ctl_int(o, "cpu_us", 0);
    if (json_is_true(json_object_get(o, "ok"))) {
        a->end = TUNE_END_DONE;
        return;
    }
    bool stopped = code != NULL && strcmp(code, ft_code_name(FT_ECANCELED)) == 0;
    a->end = stopped ? TUNE_END_STOPPED : TUNE_END_FAILED;
    if (stopped || a->end_param != NULL)
        return; /* the data is to blame, and it was said how */
    snprintf(a->end_code, sizeof a->end_code, "%.24s_error",
             code != NULL ? code : ft_code_name(FT_EINTERNAL));
    snprintf(a->end_message, sizeof a->end_message, "%s",
             message != NULL ? message : "the training failed");
}

static int take_line(struct pass *p, struct ft_state_tx *tx, const json_t *o, struct ft_err *err)
{
    const char *event = ft_ctl_text(o, "event");
    if (event == NULL)
        return 0;
    if (strcmp(event, "data") == 0)
        return on_data(p, tx, o, err);
    if (strcmp(event, "plan") == 0)
        return on_plan(p, tx, o, err);
    if (strcmp(event, "step") == 0)
        return on_step(p, tx, o, err);
    if (strcmp(event, "valid") == 0)
        return on_valid(p, tx, o, err);
    if (strcmp(event, "checkpoint") == 0)
        return on_checkpoint(p, tx, o, err);
    if (strcmp(event, "note") == 0)
        return note(p, tx, "warn", "message", ft_ctl_text(o, "text"), NULL, err);
    if (strcmp(event, "end") == 0)
        on_end(p, o);
    return 0;
}

/* ---- a pass ---- */

static json_t *state_of(const struct tune_job *a)
{
    return json_pack("{s:I,s:I,s:I,s:f,s:f,s:I}", "tokens", (json_int_t)a->tokens, "step",
                     (json_int_t)a->step, "steps", (json_int_t)a->steps, "train_loss",
                     a->train_loss, "valid_loss", a->valid_loss, "estimated_finish",
                     (json_int_t)a->finish_s);
}

/* Perhaps more than once. */
static int take_lines(struct ft_state_tx *tx, struct pass *p, struct ft_err *err)
{
    int rc = 0;
    p->after = *p->job;
    p->after.planned = false;
    for (size_t at = 0; rc == 0 && at < p->n;) {
        size_t n = (size_t)((const char *)memchr(p->text + at, '\n', p->n - at) - p->text) - at;
        json_t *o = json_loadb(p->text + at, n, 0, NULL);
        rc = take_line(p, tx, o, err);
        json_decref(o);
        at += n + 1;
    }
    p->after.read_to = p->job->read_to + (int64_t)p->n;
    if (rc != 0)
        return rc;
    json_t *state = state_of(&p->after);
    rc = ft_tune_set_progress(tx, p->job->id, p->after.read_to, state, err);
    json_decref(state);
    return rc;
}

static int in_pass(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct pass *p = ctx;
    struct ft_ctl_call c = {.ctl = p->t->ctl, .now_s = (int64_t)time(NULL)};
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, TUNE_KIND, p->job->id, &e, err);
    if (rc == 0) /* with its project: nothing of it is kept */
        return ft_err_set(err, FT_ENOTFOUND, "the job is gone");
    if (rc > 0)
        rc = take_lines(tx, p, err);
    const char *status = ft_ctl_text(e.body, "status");
    if (rc == 0 && strcmp(status, "queued") == 0 && p->after.planned && !ft_tune_is_held(e.body)) {
        json_t *body = json_deep_copy(e.body);
        json_object_set_new(body, "status", json_string("running"));
        rc = ft_tune_put(&c, tx, p->job->id, e.body, body, err);
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

static int known_read_to(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct tune_job *job = ctx;
    json_t *state;
    int rc = ft_tune_progress(tx, job->id, &job->read_to, &state, err);
    job->tokens = ft_ctl_int(state, "tokens", 0);
    job->step = ft_ctl_int(state, "step", 0);
    job->steps = ft_ctl_int(state, "steps", 0);
    job->train_loss = json_number_value(json_object_get(state, "train_loss"));
    job->valid_loss = json_number_value(json_object_get(state, "valid_loss"));
    json_decref(state);
    return rc;
}

/* Whole lines behind read_to; false: none. */
static bool read_some(struct ft_tune *t, struct tune_job *job, char *buf, size_t *ret_n)
{
    char path[PATH_MAX];
    ft_tune_path(t, job->id, "log", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n = fd >= 0 ? pread(fd, buf, PASS_BYTES, job->read_to) : 0;
    if (fd >= 0)
        close(fd);
    const char *last = n > 0 ? memrchr(buf, '\n', (size_t)n) : NULL;
    *ret_n = last != NULL ? (size_t)(last - buf) + 1 : n == (ssize_t)PASS_BYTES ? (size_t)n : 0;
    if (last == NULL && n == (ssize_t)PASS_BYTES)
        buf[n - 1] = '\n'; /* no report: passed over */
    return *ret_n > 0;
}

bool ft_tune_read(struct ft_tune *t, struct tune_job *job)
{
    struct ft_err err = {0};
    struct pass p = {.t = t, .job = job};
    char *buf = malloc(PASS_BYTES);
    int rc = 0;
    if (!job->has_read_to)
        rc = ft_state_read(t->ctl->state, known_read_to, job, &err);
    job->has_read_to = rc == 0;
    p.text = buf;
    while (rc == 0 && buf != NULL && read_some(t, job, buf, &p.n)) {
        rc = ft_state_tx(t->ctl->state, in_pass, &p, &err);
        if (rc != 0)
            break;
        *job = p.after;
        if (job->planned)
            atomic_store(&t->changed, true); /* the row's status may be another */
    }
    if (rc == FT_ENOTFOUND)
        atomic_store(&t->changed, true); /* its row went: to be looked at */
    else if (rc != 0)
        ft_log(FT_LOG_WARN, "tune", "%s: the report cannot be taken now: %s", job->id, err.msg);
    bool all = rc == 0 && buf != NULL;
    free(buf);
    return all;
}
