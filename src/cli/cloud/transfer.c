/* Transfers: a few threads take pieces of files, the next one that is there, whichever file it is
 * of. A small file is one piece; a large one is begun by whoever comes first, moved in parts by
 * all, and finished by whoever did the last. Parts that an earlier run moved are not moved again:
 * uploads are asked for what they have, downloads keep a list beside the file (transfer_parts.c).
 */
#include "cli/cloud/transfer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"

#define FILES_MAX 10000000
#define SHOW_US   100000

int ft_transfers_open(const struct ft_transfers_config *c, struct ft_transfers **ret,
                      struct ft_err *err)
{
    struct ft_transfers *t = calloc(1, sizeof *t);
    if (t == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    t->c = *c;
    pthread_mutex_init(&t->lock, NULL);
    pthread_cond_init(&t->changed, NULL);
    *ret = t;
    return 0;
}

int ft_transfers_add(struct ft_transfers *t, enum ft_transfer_kind kind, const char *path,
                     const struct ft_object_at *from, const struct ft_object_at *to, int64_t size,
                     struct ft_err *err)
{
    struct ft_transfer *f = calloc(1, sizeof *f);
    if (f == NULL || t->n == FILES_MAX) {
        free(f);
        return ft_err_set(err, FT_ELIMIT, "too many files");
    }
    if ((t->n & (t->n - 1)) == 0) {
        struct ft_transfer **more = realloc(t->file, 2 * (size_t)(t->n + 1) * sizeof(void *));
        if (more == NULL) {
            free(f);
            return ft_err_set(err, FT_ENOMEM, "no memory");
        }
        t->file = more;
    }
    *f = (struct ft_transfer){.kind = kind, .size = size, .fd = -1};
    t->file[t->n++] = f;
    if (size > 0)
        t->all += size;
    f->path = strdup(path != NULL ? path : "");
    f->from_bucket = strdup(from != NULL ? from->bucket : "");
    f->from_key = strdup(from != NULL ? from->key : "");
    f->to_bucket = strdup(to != NULL ? to->bucket : "");
    f->to_key = strdup(to != NULL ? to->key : "");
    return f->path == NULL || f->from_bucket == NULL || f->from_key == NULL ||
                   f->to_bucket == NULL || f->to_key == NULL
               ? ft_err_set(err, FT_ENOMEM, "no memory")
               : 0;
}

static void file_free(struct ft_transfer *f)
{
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->from_bucket);
    free(f->from_key);
    free(f->to_bucket);
    free(f->to_key);
    free(f->temp);
    free(f->part);
    free(f);
}

void ft_transfers_close(struct ft_transfers *t)
{
    if (t == NULL)
        return;
    for (int i = 0; i < t->n; i++)
        if (t->file[i] != NULL)
            file_free(t->file[i]);
    free(t->file);
    pthread_cond_destroy(&t->changed);
    pthread_mutex_destroy(&t->lock);
    free(t);
}

/* ---- what is to be done next ---- */

enum job { JOB_NONE, JOB_WAIT, JOB_BEGIN, JOB_PART, JOB_END };

/* Under the lock. */
static enum job next_of(struct ft_transfer *f, int *ret_part)
{
    if (f->state == FT_TRANSFER_NEW) {
        f->state = FT_TRANSFER_BEGINNING;
        return JOB_BEGIN;
    }
    if (f->state != FT_TRANSFER_MOVING)
        return f->state == FT_TRANSFER_DONE ? JOB_NONE : JOB_WAIT;
    while (f->next < f->n_parts && f->part[f->next].done)
        f->next++;
    if (f->next < f->n_parts && f->err.code == 0) {
        *ret_part = f->next++;
        f->moving++;
        return JOB_PART;
    }
    if (f->moving > 0)
        return JOB_WAIT;
    f->state = FT_TRANSFER_ENDING;
    return JOB_END;
}

static enum job take(struct ft_transfers *t, struct ft_transfer **ret_f, int *ret_part)
{
    enum job best = JOB_NONE;
    while (t->first < t->n && t->file[t->first]->state == FT_TRANSFER_DONE)
        t->first++;
    for (int i = t->first; i < t->n && *t->c.stop == 0; i++) {
        enum job j = next_of(t->file[i], ret_part);
        if (j > JOB_WAIT) {
            *ret_f = t->file[i];
            return j;
        }
        best = j == JOB_WAIT ? JOB_WAIT : best;
    }
    return *t->c.stop != 0 ? JOB_NONE : best;
}

static void do_job(struct ft_transfers *t, struct ft_transfer *f, enum job j, int part)
{
    struct ft_err err = {0};
    int rc = j == JOB_BEGIN  ? ft_transfer_begin(t, f, &err)
             : j == JOB_PART ? ft_transfer_part(t, f, part, &err)
                             : ft_transfer_end(t, f, &err);
    pthread_mutex_lock(&t->lock);
    if (rc != 0 && f->err.code == 0)
        f->err = err;
    if (j == JOB_BEGIN)
        f->state = f->n_parts > 0 || rc != 0 ? FT_TRANSFER_MOVING : FT_TRANSFER_DONE;
    if (j == JOB_PART)
        f->moving--;
    if (j == JOB_PART && rc == 0)
        f->part[part].done = true;
    if (j == JOB_END)
        f->state = FT_TRANSFER_DONE;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
}

static void *work(void *ctx)
{
    struct ft_transfers *t = ctx;
    for (;;) {
        struct ft_transfer *f = NULL;
        int part = 0;
        enum job j;
        pthread_mutex_lock(&t->lock);
        while ((j = take(t, &f, &part)) == JOB_WAIT)
            pthread_cond_wait(&t->changed, &t->lock);
        pthread_mutex_unlock(&t->lock);
        if (j == JOB_NONE)
            break;
        do_job(t, f, j, part);
    }
    pthread_mutex_lock(&t->lock);
    t->running--;
    pthread_cond_broadcast(&t->changed);
    pthread_mutex_unlock(&t->lock);
    return NULL;
}

void ft_transfer_moved(struct ft_transfers *t, int64_t bytes)
{
    atomic_fetch_add(&t->moved, bytes);
}

/* ---- all of them ---- */

static const char *name_of(const struct ft_transfer *f)
{
    return f->kind == FT_UPLOAD ? f->path : f->from_key;
}

/* What is not there, is refused or is damaged remains so; standard input cannot be read again. */
static bool may_go_on(const struct ft_transfer *f)
{
    enum ft_code code = f->err.code;
    return !ft_transfer_is_stream(f) &&
           (code == FT_EIO || code == FT_EBUSY || code == FT_ELIMIT || code == FT_EUNAVAIL);
}

static void say(struct ft_transfers *t, struct ft_transfers_sum *ret)
{
    for (int i = 0; i < t->n; i++) {
        const struct ft_transfer *f = t->file[i];
        bool done = f->state == FT_TRANSFER_DONE && f->err.code == 0;
        ret->failed += !done;
        ret->again += !done && may_go_on(f);
        if (done || f->state == FT_TRANSFER_NEW || *t->c.stop != 0)
            continue;
        fprintf(stderr, "%s: ", name_of(f));
        ft_cli_put_plain(stderr, f->err.msg);
        fputc('\n', stderr);
    }
}

int ft_transfers_run(struct ft_transfers *t, struct ft_transfers_sum *ret, struct ft_err *err)
{
    struct ft_progress bar = {.what = t->c.quiet ? "" : "moving"};
    pthread_t thread[FT_TRANSFERS_MAX];
    int n = 0;
    t->running = FT_MIN(t->c.n_threads, FT_TRANSFERS_MAX);
    int want = t->running;
    while (n < want && pthread_create(&thread[n], NULL, work, t) == 0)
        n++;
    pthread_mutex_lock(&t->lock);
    t->running -= want - n;
    while (t->running > 0) {
        pthread_mutex_unlock(&t->lock);
        usleep(SHOW_US);
        if (!t->c.quiet && t->all > 0)
            ft_progress_show(&bar, (uint64_t)FT_MIN(atomic_load(&t->moved), t->all),
                             (uint64_t)t->all);
        pthread_mutex_lock(&t->lock);
        if (*t->c.stop != 0) /* who waits looks again */
            pthread_cond_broadcast(&t->changed);
    }
    pthread_mutex_unlock(&t->lock);
    for (int i = 0; i < n; i++)
        pthread_join(thread[i], NULL);
    ft_progress_clear(&bar);
    *ret = (struct ft_transfers_sum){.bytes = atomic_load(&t->moved)};
    say(t, ret);
    if (n == 0)
        return ft_err_sys(err, "start a thread");
    return *t->c.stop != 0
               ? ft_err_set(err, FT_ECANCELED, "stopped; the same command goes on where it was")
               : 0;
}
