/* The one thread that changes the index.
 *
 * Callers queue changes and wait. The thread takes all that wait, runs them in one transaction and
 * commits it, which is one sync of the log: while it lasts the next ones gather. Those who were
 * answered together tend to come again together, so it waits for as many as there were before,
 * though no longer than a quarter of what a commit takes. A change that finds its condition unmet
 * leaves the others alone. When the index itself fails, the transaction
 * is rolled back and each change tried alone, so that what needs no room goes on when the disk is
 * full. */
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/cond.h"
#include "blob/dir/impl.h"

#define BATCH_MAX   256     /* changes of one transaction */
#define WAIT_NS_MAX 2000000 /* for more of them */

struct ft_dir_wait {
    ft_dir_change_fn *fn;
    void *ctx;
    int64_t folder_of;
    int rc;
    bool done, doubt;
    struct ft_err err;
    pthread_cond_t ready;
    struct ft_dir_wait *next;
};

/* The entries of new data files are on the disk before the index speaks of them. */
static int folders_sync(struct ft_dir *d, struct ft_dir_wait **batch, int n, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX], last[FT_DIR_PATH_MAX] = "";
    int rc = 0;
    for (int i = 0; i < n && rc == 0; i++) {
        if (batch[i]->folder_of <= 0)
            continue;
        ft_dir_file_folder(d, batch[i]->folder_of, path);
        if (strcmp(path, last) != 0) /* nearly always the same one */
            rc = ft_disk_folder_sync(&d->disk, path, err);
        memcpy(last, path, sizeof last);
    }
    return rc;
}

/* 0: committed. Otherwise nothing was, and what the log holds of it may be found after a crash. */
static int transaction(struct ft_dir *d, struct ft_dir_wait **batch, int n, struct ft_err *err)
{
    struct ft_conn *c = d->index.writer;
    c->broken = false;
    int rc = folders_sync(d, batch, n, err);
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_BEGIN, "");
    for (int i = 0; i < n && rc == 0; i++) {
        batch[i]->rc = batch[i]->fn(d, c, batch[i]->ctx, &batch[i]->err);
        if (c->broken) {
            *err = batch[i]->err;
            rc = batch[i]->rc < 0 ? batch[i]->rc : FT_EIO;
        }
    }
    if (rc == 0)
        rc = ft_sql_run(c, err, FT_SQL_COMMIT, "");
    if (rc != 0 && sqlite3_get_autocommit(c->db) == 0)
        ft_sql_run(c, NULL, FT_SQL_ROLLBACK, "");
    return rc;
}

static void run_batch(struct ft_dir *d, struct ft_dir_wait **batch, int n)
{
    struct ft_err err = {.msg = ""};
    if (transaction(d, batch, n, &err) == 0)
        return;
    for (int i = 0; i < n; i++) {
        int rc = n == 1 ? err.code : transaction(d, batch + i, 1, &err);
        if (rc == FT_ELIMIT && batch[i]->folder_of == FT_DIR_FREES && ft_dir_reserve_give_up(d))
            rc = transaction(d, batch + i, 1, &err);
        if (rc != 0) {
            batch[i]->rc = rc;
            batch[i]->err = err;
            batch[i]->doubt = true;
        }
    }
}

/* Until there is something to do; and a little longer if more is likely to come. */
static void gather(struct ft_dir *d, int n_before, int64_t commit_ns)
{
    struct timespec until;
    while (d->commit_head == NULL && !d->commit_stopping)
        pthread_cond_wait(&d->commit_more, &d->commit_mutex);
    if (d->n_queued >= n_before || d->commit_stopping)
        return;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += FT_MIN(commit_ns / 4, WAIT_NS_MAX);
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (d->n_queued < n_before && !d->commit_stopping &&
           pthread_cond_timedwait(&d->commit_more, &d->commit_mutex, &until) == 0)
        ;
}

static void *commit_main(void *arg)
{
    struct ft_dir *d = arg;
    struct ft_dir_wait *batch[BATCH_MAX];
    int n = 0;
    int64_t commit_ns = 0;
    pthread_mutex_lock(&d->commit_mutex);
    for (;;) {
        gather(d, n, commit_ns);
        n = 0;
        for (; d->commit_head != NULL && n < BATCH_MAX; d->commit_head = d->commit_head->next)
            batch[n++] = d->commit_head;
        if (n == 0)
            break;
        d->n_queued -= n;
        pthread_mutex_unlock(&d->commit_mutex);
        int64_t begun_ns = ft_clock_now_ns();
        run_batch(d, batch, n);
        if (d->is_full) { /* what the log takes, and perhaps what was removed, is room */
            ft_index_shrink(&d->index);
            ft_dir_reserve_make(d);
        }
        commit_ns = ft_clock_now_ns() - begun_ns;
        pthread_mutex_lock(&d->commit_mutex);
        for (int i = 0; i < n; i++) {
            batch[i]->done = true;
            pthread_cond_signal(&batch[i]->ready);
        }
    }
    pthread_mutex_unlock(&d->commit_mutex);
    return NULL;
}

int ft_dir_commit(struct ft_dir *d, ft_dir_change_fn *fn, void *ctx, int64_t folder_of,
                  bool *ret_doubt, struct ft_err *err)
{
    struct ft_dir_wait w = {.fn = fn, .ctx = ctx, .folder_of = folder_of};
    if (ret_doubt != NULL)
        *ret_doubt = false;
    if (d->is_full && folder_of != FT_DIR_FREES)
        return ft_err_set(err, FT_ELIMIT, "the disk is full");
    pthread_cond_init(&w.ready, NULL);
    pthread_mutex_lock(&d->commit_mutex);
    if (d->commit_head == NULL)
        d->commit_head = &w;
    else
        d->commit_tail->next = &w;
    d->commit_tail = &w;
    d->n_queued++;
    pthread_cond_signal(&d->commit_more);
    while (!w.done)
        pthread_cond_wait(&w.ready, &d->commit_mutex);
    pthread_mutex_unlock(&d->commit_mutex);
    pthread_cond_destroy(&w.ready);
    if (ret_doubt != NULL)
        *ret_doubt = w.doubt;
    if (w.rc < 0 && err != NULL)
        *err = w.err;
    return w.rc;
}

int ft_dir_commit_start(struct ft_dir *d, struct ft_err *err)
{
    pthread_mutex_init(&d->commit_mutex, NULL);
    ft_cond_init(&d->commit_more);
    if (pthread_create(&d->committer, NULL, commit_main, d) == 0)
        return 0;
    pthread_cond_destroy(&d->commit_more);
    pthread_mutex_destroy(&d->commit_mutex);
    return ft_err_set(err, FT_ENOMEM, "no thread for the index");
}

void ft_dir_commit_stop(struct ft_dir *d)
{
    pthread_mutex_lock(&d->commit_mutex);
    d->commit_stopping = true;
    pthread_cond_signal(&d->commit_more);
    pthread_mutex_unlock(&d->commit_mutex);
    pthread_join(d->committer, NULL);
    pthread_cond_destroy(&d->commit_more);
    pthread_mutex_destroy(&d->commit_mutex);
}
