/* The files that jobs train on, brought here on threads of their own: a slow one holds up neither
 * trainings nor other jobs. FETCH_MAX at a time, each for at most FETCH_S; a download ends early
 * when its job was cancelled or paused, or control ends. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/log.h"
#include "control/inside.h"
#include "control/tune/run.h"

#define FETCH_MAX 2
#define FETCH_S   INT64_C(3600)

static const char *const members[] = {"training_file", "validation_file"};
static const char *const names[] = {"train.jsonl", "valid.jsonl"};

struct fetch {
    char job[CTL_ID_MAX]; /* "": free */
    char home[PATH_MAX], key[CTL_ID_MAX + 1], folder[PATH_MAX];
    char id[FT_COUNT(names)][129]; /* of the files; "": none */
    pthread_t thread;
    atomic_bool stop, done;
    int64_t until_ns;
    /* the thread's, until done */
    int rc;
    const char *member; /* that rc is about */
    struct ft_err err;
};

struct ft_tune_fetches {
    struct fetch fetch[FETCH_MAX];
};

static bool has_to_stop(void *ctx)
{
    const struct fetch *f = ctx;
    return atomic_load(&f->stop) || ft_clock_now_ns() >= f->until_ns;
}

static int bring(struct fetch *f, struct ft_inside *in)
{
    char to[PATH_MAX + 16], path[256];
    int rc = 0;
    for (size_t i = 0; rc == 0 && i < FT_COUNT(names); i++) {
        f->member = members[i];
        snprintf(to, sizeof to, "%s/%s", f->folder, names[i]);
        snprintf(path, sizeof path, "/v1/files/%s/content", f->id[i]);
        if (f->id[i][0] != '\0' && access(to, F_OK) != 0)
            rc = ft_inside_fetch(in, f->key, path, to, TUNE_FILE_MAX, &f->err);
    }
    return rc;
}

static void *run(void *ctx)
{
    struct fetch *f = ctx;
    struct ft_inside *in = NULL;
    f->rc =
        mkdir(f->folder, 0700) != 0 && errno != EEXIST ? ft_err_sys(&f->err, "%s", f->folder) : 0;
    if (f->rc == 0)
        f->rc = ft_inside_open(f->home, has_to_stop, f, &in, &f->err);
    if (f->rc == 0)
        f->rc = bring(f, in);
    ft_inside_close(in);
    atomic_store(&f->done, true);
    return NULL;
}

static struct fetch *find(struct ft_tune *t, const char *job)
{
    for (int i = 0; i < FETCH_MAX; i++)
        if (strcmp(t->fetches->fetch[i].job, job) == 0)
            return &t->fetches->fetch[i];
    return NULL;
}

static void begin(struct ft_tune *t, struct fetch *f, const struct tune_job *job)
{
    const char *key = ft_ctl_text(job->body, "key");
    memset(f, 0, sizeof *f);
    snprintf(f->home, sizeof f->home, "%s", t->ctl->home);
    snprintf(f->key, sizeof f->key, "%s", key != NULL ? key : "");
    ft_tune_path(t, job->id, "", f->folder);
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        const char *id = ft_ctl_text(job->body, members[i]);
        snprintf(f->id[i], sizeof f->id[i], "%s", id != NULL ? id : "");
    }
    f->until_ns = ft_clock_now_ns() + FETCH_S * 1000000000;
    if (pthread_create(&f->thread, NULL, run, f) != 0)
        ft_log(FT_LOG_ERROR, "tune", "%s: no thread", job->id); /* at the next look */
    else
        snprintf(f->job, sizeof f->job, "%s", job->id);
}

bool ft_tune_has_files(const struct ft_tune *t, const struct tune_job *job)
{
    char path[PATH_MAX];
    for (size_t i = 0; i < FT_COUNT(names); i++) {
        ft_tune_path(t, job->id, names[i], path);
        if (ft_ctl_text(job->body, members[i]) != NULL && access(path, F_OK) != 0)
            return false;
    }
    return true;
}

bool ft_tune_fetch(struct ft_tune *t, struct tune_job *job, int *ret_rc, const char **ret_member,
                   struct ft_err *err)
{
    struct fetch *f = find(t, job->id);
    if (f == NULL) {
        if ((f = find(t, "")) != NULL)
            begin(t, f, job);
        return false;
    }
    if (!atomic_load(&f->done))
        return false;
    pthread_join(f->thread, NULL);
    *ret_rc = f->rc;
    *ret_member = f->member;
    *err = f->err;
    f->job[0] = '\0';
    return true;
}

bool ft_tune_fetch_stops(struct ft_tune *t, const char *id)
{
    struct fetch *f = find(t, id);
    if (f == NULL)
        return true;
    atomic_store(&f->stop, true);
    if (!atomic_load(&f->done))
        return false;
    pthread_join(f->thread, NULL);
    f->job[0] = '\0';
    return true;
}

int ft_tune_fetches_open(struct ft_tune *t, struct ft_err *err)
{
    t->fetches = calloc(1, sizeof *t->fetches);
    return t->fetches != NULL ? 0 : ft_err_set(err, FT_ENOMEM, "control: no memory");
}

void ft_tune_fetches_close(struct ft_tune *t)
{
    for (int i = 0; i < FETCH_MAX; i++)
        atomic_store(&t->fetches->fetch[i].stop, true);
    for (int i = 0; i < FETCH_MAX; i++)
        if (t->fetches->fetch[i].job[0] != '\0')
            pthread_join(t->fetches->fetch[i].thread, NULL);
    free(t->fetches);
}
