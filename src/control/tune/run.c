/* The runner: a thread that brings jobs forward, a step of each at a time.
 *
 * It knows jobs by their rows, read anew when one was changed, and trainings by what exec says of
 * them; so nothing is lost with the process. Every change of a row is made upon the row as it is
 * then, and only if its status still is what the change is about. */
#include "control/tune/run.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/folder.h"
#include "base/log.h"
#include "base/memory.h"
#include "control/keep_days.h"

#define TICK_MS      250
#define PATIENCE_NS  INT64_C(5000000000) /* between two tries of what is not possible now */
#define SETTLE_NS    INT64_C(5000000000) /* between two pieces of a training's usage */
#define LOG_BYTES    (INT64_C(1) << 40)  /* never turned over: it is read once, from end to end */
#define MEMORY_SHARE 2                   /* of what is there now, for a training */
#define CPU_WEIGHT   10                  /* of 100: online requests come first */
#define LR           2e-4                /* times the learning_rate_multiplier */
#define LR_DPO       5e-6
#define ARGS_MAX     48

void ft_tune_path(const struct ft_tune *t, const char *id, const char *name, char *ret)
{
    snprintf(ret, PATH_MAX, "%s/tune/%s%s%s", t->ctl->home, id, name[0] != '\0' ? "/" : "", name);
}

/* ---- changes of rows ---- */

struct change {
    struct ft_tune *t;
    const struct tune_job *job;
    const struct ft_tune_change *what;
    bool done;
};

/* What has ended stays as it ended: a cancel may have come since the runner looked. */
static bool applies(const struct ft_tune_change *what, const json_t *body)
{
    const char *status = ft_ctl_text(body, "status");
    if (ft_tune_has_ended(body))
        return false;
    if (what->only != NULL)
        return strcmp(status, what->only) == 0;
    return !what->unless_paused || strcmp(status, "paused") != 0;
}

static int in_change(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct change *ch = ctx;
    struct ft_ctl_entity e = {0};
    struct ft_ctl_call c = {.ctl = ch->t->ctl, .now_s = (int64_t)time(NULL)};
    ch->done = false;
    int rc = ft_ctl_get(tx, TUNE_KIND, ch->job->id, &e, err);
    if (rc <= 0)
        return rc;
    rc = 0;
    if (applies(ch->what, e.body)) {
        json_t *body = ft_ctl_merge(e.body, ch->what->patch);
        ch->done = true;
        if (ch->what->more != NULL)
            rc = ch->what->more(&c, tx, ch->what->ctx, err);
        if (rc == 0)
            rc = ft_tune_put(&c, tx, ch->job->id, e.body, body, err);
        json_decref(body);
    }
    ft_ctl_entity_fini(&e);
    return rc;
}

int ft_tune_change(struct ft_tune *t, struct tune_job *job, const struct ft_tune_change *what,
                   struct ft_err *err)
{
    struct change ch = {t, job, what, false};
    int rc = ft_state_tx(t->ctl->state, in_change, &ch, err);
    atomic_store(&t->changed, true);
    if (rc == 0 && ch.done)
        ft_tune_job_set(job, ft_ctl_merge(job->body, what->patch));
    return rc;
}

void ft_tune_job_set(struct tune_job *job, json_t *body)
{
    json_decref(job->body);
    job->body = body;
}

struct saying {
    const struct tune_job *job;
    const char *level, *message;
};

static int say_in(struct ft_ctl_call *c, struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct saying *s = ctx;
    return ft_tune_note(tx, s->job->id, c->now_s, s->level, "message", s->message, NULL, err);
}

/* only: as it must still be; NULL: whatever but paused. Takes the patch. */
static void become(struct ft_tune *t, struct tune_job *job, const char *only, json_t *patch,
                   const char *level, const char *message)
{
    struct ft_err err = {0};
    struct saying s = {job, level, message};
    const struct ft_tune_change what = {only, only == NULL, patch, say_in, &s};
    if (ft_tune_change(t, job, &what, &err) != 0)
        ft_log(FT_LOG_WARN, "tune", "%s: %s", job->id, err.msg);
    json_decref(patch);
}

void ft_tune_fail(struct ft_tune *t, struct tune_job *job, const char *code, const char *param,
                  const char *message)
{
    json_t *why = json_pack("{s:s,s:s,s:o}", "code", code, "message", message, "param",
                            param != NULL ? json_string(param) : json_null());
    ft_log(FT_LOG_INFO, "tune", "%s fails: %s", job->id, message);
    become(t, job, NULL,
           json_pack("{s:s,s:I,s:o}", "status", "failed", "finished", (json_int_t)time(NULL),
                     "error", why),
           "error", message);
}

/* Not possible now; the reason once. */
static void later(struct tune_job *job, const char *what, const struct ft_err *err)
{
    if (strcmp(job->waits_for, err->msg) != 0)
        ft_log(FT_LOG_WARN, "tune", "%s: %s: %s", job->id, what, err->msg);
    snprintf(job->waits_for, sizeof job->waits_for, "%s", err->msg);
    job->not_before_ns = ft_clock_now_ns() + PATIENCE_NS;
}

/* ---- files ---- */

/* False: they are on their way, or cannot be had now; or the job has failed. */
static bool bring_files(struct ft_tune *t, struct tune_job *job)
{
    char message[FT_ERR_MSG_MAX + 80];
    const char *member;
    struct ft_err err = {0};
    int rc = 0;
    if (!ft_tune_has_files(t, job) && !ft_tune_fetch(t, job, &rc, &member, &err))
        return false;
    if (rc == FT_EUNAVAIL || rc == FT_ECANCELED || rc == FT_EIO) {
        later(job, member, &err);
        return false;
    }
    if (rc != 0) {
        snprintf(message, sizeof message, "%s: %s", member, err.msg);
        ft_tune_fail(t, job, "invalid_file", member, message);
        return false;
    }
    become(t, job, "validating_files", json_pack("{s:s}", "status", "queued"), "info",
           "Files are here, the job is queued");
    return true;
}

/* ---- a training ---- */

static int base_in(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct change *ch = ctx;
    struct ft_ctl_entity e = {0};
    int rc = ft_ctl_get(tx, "model", ft_ctl_text(ch->job->body, "base"), &e, err);
    const char *path = ft_ctl_text(e.body, "path");
    if (rc > 0 && path != NULL)
        snprintf(ch->t->base_path, sizeof ch->t->base_path, "%s", path);
    ft_ctl_entity_fini(&e);
    return rc < 0 ? rc : rc == 0 || path == NULL ? FT_ENOTFOUND : 0;
}

struct words {
    const char *argv[ARGS_MAX + 1];
    int n;
    char text[ARGS_MAX][64], model[PATH_MAX], data[PATH_MAX], valid[PATH_MAX], out[PATH_MAX],
        log[PATH_MAX];
};

static void word(struct words *w, const char *name, const char *value)
{
    FT_ASSERT(w->n + 2 <= ARGS_MAX);
    w->argv[w->n++] = name;
    if (value != NULL)
        w->argv[w->n++] = value;
}

static void figure(struct words *w, const char *name, double value)
{
    char *text = w->text[w->n];
    snprintf(text, sizeof w->text[0], "%.17g", value);
    word(w, name, text);
}

static double of(const struct tune_job *job, const char *name)
{
    return json_number_value(json_object_get(json_object_get(job->body, "hyperparameters"), name));
}

static void fill_words(struct ft_tune *t, const struct tune_job *job, struct words *w)
{
    bool dpo = strcmp(ft_ctl_text(job->body, "method"), "dpo") == 0;
    w->n = 0;
    snprintf(w->model, sizeof w->model, "%s", t->base_path);
    ft_tune_path(t, job->id, "train.jsonl", w->data);
    ft_tune_path(t, job->id, "valid.jsonl", w->valid);
    ft_tune_path(t, job->id, "out", w->out);
    ft_tune_path(t, job->id, "log", w->log);
    word(w, t->ctl->opt->program, NULL);
    word(w, "train", NULL);
    word(w, "--json", NULL);
    word(w, "--confined", NULL);
    word(w, "--no-curve", NULL);
    word(w, "--no-packing", NULL); /* batch_size counts examples */
    word(w, "--model", w->model);
    word(w, "--data", w->data);
    if (ft_ctl_has(job->body, "validation_file"))
        word(w, "--valid-data", w->valid);
    word(w, "--output", w->out);
    word(w, "--form", dpo ? "pair-openai" : "chat");
    word(w, "--objective", dpo ? "dpo" : "sft");
    if (dpo)
        figure(w, "--dpo-beta", of(job, "beta"));
    figure(w, "--epochs", of(job, "n_epochs"));
    figure(w, "--batch", of(job, "batch_size"));
    figure(w, "--lr", (dpo ? LR_DPO : LR) * of(job, "learning_rate_multiplier"));
    figure(w, "--seed", (double)ft_ctl_int(job->body, "seed", 0));
    figure(w, "--keep-adapters", TUNE_CHECKPOINTS_MAX);
    figure(w, "--memory-mb", (double)(t->memory >> 20));
    word(w, "--resume", NULL);
    w->argv[w->n] = NULL;
}

/* What a killed training began to say must not become one line with what the next says. */
static void end_line(const char *log)
{
    char last = '\n';
    int fd = open(log, O_RDWR | O_CLOEXEC);
    off_t n = fd >= 0 ? lseek(fd, 0, SEEK_END) : 0;
    if (n > 0 && pread(fd, &last, 1, n - 1) == 1 && last != '\n' && write(fd, "\n", 1) != 1)
        ft_log(FT_LOG_WARN, "tune", "%s: %s", log, strerror(errno));
    if (fd >= 0)
        close(fd);
}

static int start(struct ft_tune *t, struct tune_job *job, struct ft_err *err)
{
    struct words *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    t->memory = ft_memory_available() / MEMORY_SHARE;
    fill_words(t, job, w);
    const struct ft_exec_spec spec = {
        .id = job->id,
        .argv = w->argv,
        .limits = {.memory_bytes = (int64_t)(t->memory + t->memory / 4), .cpu_weight = CPU_WEIGHT},
        .log = w->log,
        .log_bytes = LOG_BYTES,
        .outlives = true};
    end_line(w->log);
    int rc = mkdir(w->out, 0700) != 0 && errno != EEXIST ? ft_err_sys(err, "%s", w->out)
                                                         : ft_exec_start(t->exec, &spec, err);
    free(w);
    return rc;
}

static void launch(struct ft_tune *t, struct tune_job *job)
{
    struct ft_err err = {0};
    struct change ch = {.t = t, .job = job};
    int rc = ft_state_read(t->ctl->state, base_in, &ch, &err);
    if (rc == FT_ENOTFOUND) {
        ft_tune_fail(t, job, "model_not_found", "model", "the model is not there any more");
        return;
    }
    if (rc == 0)
        rc = start(t, job, &err);
    if (rc != 0) {
        later(job, "start the training", &err);
        return;
    }
    job->end = TUNE_END_NONE;
    job->end_cpu_us = 0;
    job->stopping = 0;
    job->stepped = job->billed = false;
    job->settle_ns = ft_clock_now_ns() + SETTLE_NS;
    ft_log(FT_LOG_INFO, "tune", "%s: training begins", job->id);
}

/* The training is over: what now? */
static void conclude(struct ft_tune *t, struct tune_job *job, const struct ft_exec_info *info)
{
    char how[96], message[FT_ERR_MSG_MAX + 64];
    const char *status = ft_ctl_text(job->body, "status");
    ft_exec_how_ended(info, how, sizeof how);
    if (strcmp(status, "queued") != 0 && strcmp(status, "running") != 0)
        return;
    if (job->end == TUNE_END_DONE) {
        job->trained = true;
    } else if (job->end == TUNE_END_FAILED) {
        ft_tune_fail(t, job, job->end_code, job->end_param, job->end_message);
    } else if (job->end == TUNE_END_NONE && !job->stepped && ++job->tries >= TUNE_TRIES_MAX) {
        snprintf(message, sizeof message, "the training %s, %d times without a step%s", how,
                 job->tries,
                 info->out_of_memory ? ": it takes more memory than a training may have" : "");
        ft_tune_fail(t, job, info->out_of_memory ? "out_of_memory" : "server_error", NULL, message);
    } else if (!ft_tune_is_held(job->body)) {
        job->tries = job->stepped ? 0 : job->tries;
        snprintf(message, sizeof message, "The training %s; it goes on from its last checkpoint",
                 how);
        become(t, job, NULL, json_pack("{s:s}", "status", "queued"), "warn", message);
    }
}

/* ---- jobs, a step each ---- */

static void stop_training(struct ft_tune *t, struct tune_job *job, int sig)
{
    if (job->stopping != sig && ft_exec_kill(t->exec, job->id, sig, NULL) == 0)
        job->stopping = sig;
}

/* Nothing of it is needed any more. */
static void clear(struct ft_tune *t, struct tune_job *job)
{
    char folder[PATH_MAX];
    ft_tune_path(t, job->id, "", folder);
    ft_folder_remove_all(folder);
    if (strcmp(ft_ctl_text(job->body, "status"), "succeeded") != 0)
        ft_tune_drop_adapters(t, job);
    job->gone = true;
}

static void idle_step(struct ft_tune *t, struct tune_job *job, int *running)
{
    const char *status = ft_ctl_text(job->body, "status");
    if ((ft_tune_has_ended(job->body) || strcmp(status, "paused") == 0) &&
        !ft_tune_fetch_stops(t, job->id)) {
        return; /* its download writes where is to be cleared */
    } else if (ft_tune_has_ended(job->body)) {
        clear(t, job);
    } else if (job->trained) {
        struct ft_err err = {0};
        if (ft_tune_finish(t, job, &err) != 0)
            later(job, "keep the result", &err);
    } else if (strcmp(status, "validating_files") == 0) {
        bring_files(t, job);
    } else if (strcmp(status, "paused") != 0 && !ft_tune_has_files(t, job)) {
        bring_files(t, job); /* it was paused before they were here */
    } else if (strcmp(status, "paused") != 0 && *running < TUNE_RUNNING_MAX) {
        if (!ft_tune_settle(t, job, NULL, false) || ft_tune_is_held(job->body)) {
            job->not_before_ns = ft_clock_now_ns() + PATIENCE_NS;
            return;
        }
        launch(t, job);
        ++*running;
    }
}

static void step(struct ft_tune *t, struct tune_job *job, int *running)
{
    struct ft_exec_info info;
    bool there = ft_exec_query(t->exec, job->id, &info, NULL) == 0;
    if (there || !job->looked)
        job->looked |= ft_tune_read(t, job);
    if (there && info.state == FT_EXEC_RUNNING) {
        if (job->looked &&
            (ft_clock_now_ns() >= job->settle_ns || (job->stepped && !job->billed))) {
            job->billed = job->stepped;
            ft_tune_settle(t, job, &info, false);
            job->settle_ns = ft_clock_now_ns() + SETTLE_NS;
        }
        if (strcmp(ft_ctl_text(job->body, "status"), "paused") == 0 || ft_tune_is_held(job->body))
            stop_training(t, job, SIGTERM);
        else if (ft_tune_has_ended(job->body))
            stop_training(t, job, SIGKILL);
    } else if (there) {
        /* what it said last; a job whose row is gone says nothing any more */
        if (((ft_tune_read(t, job) && ft_tune_settle(t, job, &info, true)) || !job->seen) &&
            ft_exec_remove(t->exec, job->id, NULL) == 0)
            conclude(t, job, &info);
    } else if ((job->looked || !job->seen) && ft_clock_now_ns() >= job->not_before_ns) {
        idle_step(t, job, running);
    }
}

/* ---- the list of them ---- */

static struct tune_job *find(struct ft_tune *t, const char *id)
{
    for (int i = 0; i < t->n_jobs; i++)
        if (strcmp(t->job[i].id, id) == 0)
            return &t->job[i];
    return NULL;
}

static struct tune_job *add_job(struct ft_tune *t, const char *id, json_t *body)
{
    struct tune_job *job = &t->job[t->n_jobs++];
    *job = (struct tune_job){.body = body};
    snprintf(job->id, sizeof job->id, "%s", id);
    return job;
}

/* Has one that ended left something: a process, or, killed before it tidied, a folder? */
static bool left_something(const struct ft_tune *t, const char *id)
{
    char folder[PATH_MAX];
    struct ft_exec_info info;
    ft_tune_path(t, id, "", folder);
    return ft_exec_query(t->exec, id, &info, NULL) == 0 ||
           (!t->looked && access(folder, F_OK) == 0);
}

static int take_row(void *ctx, const char *id, json_t *body)
{
    struct ft_tune *t = ctx;
    struct tune_job *job = find(t, id);
    if (job != NULL)
        ft_tune_job_set(job, json_incref(body));
    else if (ft_tune_has_ended(body) && !left_something(t, id))
        return 0;
    else if (t->n_jobs < TUNE_JOBS_MAX) /* others are looked at when some have ended */
        job = add_job(t, id, json_incref(body));
    if (job != NULL)
        job->seen = true;
    return 0;
}

/* Rows go with their project, a training does not: its job is as if it were cancelled. */
static void cancel_gone(struct ft_tune *t)
{
    for (int i = 0; i < t->n_jobs; i++)
        if (!t->job[i].seen && !ft_tune_has_ended(t->job[i].body))
            ft_tune_job_set(&t->job[i], json_pack("{s:s}", "status", "cancelled"));
}

/* The same while no control ran: what is left is a folder. */
static void take_left(struct ft_tune *t)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/tune", t->ctl->home);
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && t->n_jobs < TUNE_JOBS_MAX && (e = readdir(d)) != NULL;)
        if (e->d_name[0] != '.' && strlen(e->d_name) < CTL_ID_MAX && find(t, e->d_name) == NULL)
            add_job(t, e->d_name, json_pack("{s:s}", "status", "cancelled"));
    if (d != NULL)
        closedir(d);
}

/* Rows by their ids, as far as they are there. */
static int take_rows(struct ft_state_tx *tx, struct ft_tune *t, const json_t *ids,
                     struct ft_err *err)
{
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < json_array_size(ids); i++) {
        struct ft_ctl_entity e = {0};
        const char *id = json_string_value(json_array_get(ids, i));
        rc = ft_ctl_get(tx, TUNE_KIND, id, &e, err);
        if (rc > 0)
            rc = take_row(t, id, e.body);
        ft_ctl_entity_fini(&e);
    }
    return rc;
}

/* Once all of them, for what a control before left; then those that have not ended, and those that
 * are known. */
static int read_rows(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_tune *t = ctx;
    const struct ft_ctl_scan all = {.kind = TUNE_KIND};
    if (!t->looked)
        return ft_ctl_scan(tx, &all, take_row, t, err);
    json_t *ids = json_array();
    for (int i = 0; i < t->n_jobs; i++)
        json_array_append_new(ids, json_string(t->job[i].id));
    int rc = ft_tune_ids_active(tx, ids, err);
    if (rc == 0)
        rc = take_rows(tx, t, ids, err);
    json_decref(ids);
    return rc;
}

/* The oldest first. */
static int by_age(const void *a, const void *b)
{
    const struct tune_job *x = a, *y = b;
    int64_t p = ft_ctl_int(x->body, "created_ns", 0), q = ft_ctl_int(y->body, "created_ns", 0);
    return p != q ? (p > q) - (p < q) : strcmp(x->id, y->id);
}

static void look(struct ft_tune *t)
{
    struct ft_err err = {0};
    if (!atomic_exchange(&t->changed, false))
        return;
    for (int i = 0; i < t->n_jobs; i++)
        t->job[i].seen = false;
    if (ft_state_read(t->ctl->state, read_rows, t, &err) != 0) {
        for (int i = 0; i < t->n_jobs; i++)
            t->job[i].seen = true;       /* for all that is known */
        atomic_store(&t->changed, true); /* the store is in trouble; control says so */
    } else {
        cancel_gone(t);
        if (!t->looked)
            take_left(t);
        t->looked = true;
    }
    qsort(t->job, (size_t)t->n_jobs, sizeof *t->job, by_age);
}

static int count_running(struct ft_tune *t)
{
    struct ft_exec_info info;
    int n = 0;
    for (int i = 0; i < t->n_jobs; i++)
        n += ft_exec_query(t->exec, t->job[i].id, &info, NULL) == 0;
    return n;
}

static void drop_gone(struct ft_tune *t)
{
    int kept = 0;
    for (int i = 0; i < t->n_jobs; i++) {
        if (t->job[i].gone)
            json_decref(t->job[i].body);
        else
            t->job[kept++] = t->job[i];
    }
    t->n_jobs = kept;
}

static void *run(void *ctx)
{
    struct ft_tune *t = ctx;
    while (!atomic_load(&t->end)) {
        look(t);
        int running = count_running(t);
        for (int i = 0; i < t->n_jobs && !atomic_load(&t->end); i++)
            step(t, &t->job[i], &running);
        drop_gone(t);
        ft_ctl_prune(t->ctl, &t->prune_s, ft_tune_prune);
        for (int ms = 0; ms < TICK_MS && !atomic_load(&t->end) && !atomic_load(&t->changed);
             ms += 25)
            usleep(25000);
    }
    return NULL;
}

void ft_tune_wake(struct ft_tune *t)
{
    if (t != NULL)
        atomic_store(&t->changed, true);
}

int ft_tune_open(struct ft_ctl *ctl, struct ft_tune **ret, struct ft_err *err)
{
    char path[PATH_MAX];
    struct ft_tune *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    t->ctl = ctl;
    t->exec = ctl->opt->exec;
    atomic_store(&t->changed, true);
    snprintf(path, sizeof path, "%s/tune", ctl->home);
    if (mkdir(path, 0700) != 0 && errno != EEXIST)
        ft_log(FT_LOG_WARN, "tune", "%s: %s", path, strerror(errno));
    if (ft_tune_fetches_open(t, err) != 0) {
        free(t);
        return FT_ENOMEM;
    }
    if (pthread_create(&t->thread, NULL, run, t) != 0) {
        ft_tune_fetches_close(t);
        free(t);
        return ft_err_sys(err, "control: start a thread");
    }
    *ret = t;
    return 0;
}

void ft_tune_close(struct ft_tune *t)
{
    if (t == NULL)
        return;
    atomic_store(&t->end, true);
    pthread_join(t->thread, NULL);
    ft_tune_fetches_close(t);
    for (int i = 0; i < t->n_jobs; i++)
        json_decref(t->job[i].body);
    free(t);
}
