/* Removes what nothing refers to any more, on a thread of its own.
 *
 * - `trash`: data files (and small parts) whose object was removed; the row came with the removal,
 *   and goes once the file is gone. What a reader has open stays until it is closed.
 * - Doubtful files: their commit failed on the disk, so its rows might come back out of the log if
 *   the machine died now. They are removed after the next commit that succeeds, which overwrites
 *   that place of the log.
 * - Orphans: data files that a process which was killed wrote and did not commit. Numbers tell
 * them: files of earlier openings that the index does not know. */
#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cond.h"
#include "base/log.h"
#include "blob/dir/calls.h"

#define BATCH_MAX  256
#define RETRY_MS   2000 /* before what could not be removed is tried again */
#define DOUBTS_MAX 4096

struct ft_dir_doubt {
    int64_t id;
    struct ft_dir_doubt *next;
};

/* ---- pins ---- */

void ft_dir_pin(struct ft_dir *d, struct ft_dir_pin *pin)
{
    pthread_mutex_lock(&d->sweep_mutex);
    *pin = (struct ft_dir_pin){.next = d->pins};
    if (d->pins != NULL)
        d->pins->prev = pin;
    d->pins = pin;
    pthread_mutex_unlock(&d->sweep_mutex);
}

void ft_dir_pin_set(struct ft_dir *d, struct ft_dir_pin *pin, int64_t id)
{
    pthread_mutex_lock(&d->sweep_mutex);
    pin->id = id;
    pthread_mutex_unlock(&d->sweep_mutex);
}

void ft_dir_unpin(struct ft_dir *d, struct ft_dir_pin *pin)
{
    pthread_mutex_lock(&d->sweep_mutex);
    if (pin->prev != NULL)
        pin->prev->next = pin->next;
    else
        d->pins = pin->next;
    if (pin->next != NULL)
        pin->next->prev = pin->prev;
    if (d->sweep_left) { /* perhaps for this one */
        d->sweep_due = true;
        pthread_cond_signal(&d->sweep_more);
    }
    pthread_mutex_unlock(&d->sweep_mutex);
}

struct ft_blob_held {
    struct ft_dir_pin pin; /* of everything */
};

int ft_dir_hold(struct ft_blob *b, struct ft_blob_held **ret, struct ft_err *err)
{
    struct ft_blob_held *h = calloc(1, sizeof *h);
    if (h == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory to hold the store");
    ft_dir_pin(ft_dir_of(b), &h->pin);
    *ret = h;
    return 0;
}

void ft_dir_release(struct ft_blob *b, struct ft_blob_held *h)
{
    ft_dir_unpin(ft_dir_of(b), &h->pin);
    free(h);
}

static bool is_pinned(struct ft_dir *d, int64_t id)
{
    bool found = false;
    pthread_mutex_lock(&d->sweep_mutex);
    for (struct ft_dir_pin *p = d->pins; p != NULL && !found; p = p->next)
        found = p->id == 0 || p->id == id;
    pthread_mutex_unlock(&d->sweep_mutex);
    return found;
}

/* ---- trash ---- */

struct emptied {
    int64_t id[BATCH_MAX];
    int n;
};

static int forget(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    static const enum ft_sql each[] = {FT_SQL_SMALL_DROP, FT_SQL_FILE_DROP, FT_SQL_SUMS_DROP,
                                       FT_SQL_TRASH_DROP};
    const struct emptied *x = ctx;
    int rc = 0;
    (void)d;
    for (int i = 0; i < x->n; i++)
        for (size_t k = 0; k < FT_COUNT(each) && rc == 0; k++)
            rc = ft_sql_run(c, err, each[k], "i", x->id[i]);
    return rc;
}

struct trash {
    int64_t id, pin;
};

static int trash_list(struct ft_dir *d, int64_t after, struct trash *ret, int *ret_n,
                      struct ft_err *err)
{
    struct ft_conn *c;
    sqlite3_stmt *s;
    int n = 0, rc = ft_index_read(&d->index, &c, err);
    if (rc != 0)
        return rc;
    rc = ft_sql_row(c, &s, err, FT_SQL_TRASH_LIST, "ii", after, (int64_t)BATCH_MAX);
    for (; rc == 1 && n < BATCH_MAX; rc = ft_sql_step(c, s, err))
        ret[n++] = (struct trash){sqlite3_column_int64(s, 0), sqlite3_column_int64(s, 1)};
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    *ret_n = n;
    return rc < 0 ? rc : 0;
}

/* *ret_left: some of it had to stay. */
static int trash_empty(struct ft_dir *d, bool *ret_left, struct ft_err *err)
{
    struct trash t[BATCH_MAX];
    struct emptied x;
    char path[FT_DIR_PATH_MAX];
    int64_t after = 0;
    int n = 0;
    do {
        int rc = trash_list(d, after, t, &n, err);
        x.n = 0;
        for (int i = 0; i < n && rc == 0; i++) {
            after = t[i].id;
            if (is_pinned(d, t[i].pin)) {
                *ret_left = true;
                continue;
            }
            ft_dir_file_path(d, t[i].id, path);
            rc = ft_disk_unlink(&d->disk, path, err);
            x.id[x.n++] = t[i].id;
        }
        if (rc == 0 && x.n > 0)
            rc = ft_dir_commit(d, forget, &x, FT_DIR_FREES, NULL, err);
        if (rc != 0)
            return rc;
    } while (n == BATCH_MAX && !d->sweep_stopping);
    return 0;
}

/* ---- doubtful files ---- */

static int file_remove(struct ft_dir *d, int64_t id, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX];
    ft_dir_file_path(d, id, path);
    return ft_disk_unlink(&d->disk, path, err);
}

void ft_dir_file_drop(struct ft_dir *d, int64_t id, bool doubt)
{
    if (!doubt && file_remove(d, id, NULL) == 0)
        return;
    struct ft_dir_doubt *x = malloc(sizeof *x); /* the sweeper tries again */
    if (x == NULL)                              /* without memory the next start collects it */
        return;
    pthread_mutex_lock(&d->sweep_mutex);
    if (d->n_doubts < DOUBTS_MAX) {
        *x = (struct ft_dir_doubt){id, d->doubts};
        d->doubts = x;
        d->n_doubts++;
        x = NULL;
    }
    d->sweep_due = true;
    pthread_cond_signal(&d->sweep_more);
    pthread_mutex_unlock(&d->sweep_mutex);
    free(x); /* too many: so does it these */
}

static int touch(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    (void)d;
    (void)ctx;
    return ft_sql_run(c, err, FT_SQL_TOUCH, "");
}

static int doubts_remove(struct ft_dir *d, struct ft_err *err)
{
    pthread_mutex_lock(&d->sweep_mutex);
    struct ft_dir_doubt *list = d->doubts;
    d->doubts = NULL;
    d->n_doubts = 0;
    pthread_mutex_unlock(&d->sweep_mutex);
    if (list == NULL)
        return 0;
    int rc = ft_dir_commit(d, touch, NULL, FT_DIR_FREES, NULL, err);
    while (list != NULL) {
        struct ft_dir_doubt *x = list;
        list = x->next;
        if (rc != 0 || (rc = file_remove(d, x->id, err)) != 0)
            ft_dir_file_drop(d, x->id, true);
        free(x);
    }
    return rc;
}

/* ---- orphans ---- */

static bool is_known(struct ft_dir *d, int64_t id)
{
    struct ft_conn *c;
    sqlite3_stmt *s;
    if (ft_index_read(&d->index, &c, NULL) != 0)
        return true; /* who cannot tell removes nothing */
    int rc = ft_sql_row(c, &s, NULL, FT_SQL_FILE_GET, "i", id);
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    return rc != 0;
}

/* fn for every entry of a folder whose name is a number in base 16. A folder that is not there any
 * more was collected by somebody else meanwhile: a scrub and the sweeper may do so at once. */
typedef int entry_fn(struct ft_dir *d, const char *path, int64_t number, int64_t from,
                     struct ft_err *err);

static int each_entry(struct ft_dir *d, const char *path, entry_fn *fn, int64_t from,
                      struct ft_err *err)
{
    DIR *dir = opendir(path);
    if (dir == NULL)
        return errno == ENOENT ? 0 : ft_disk_err(err, "open", path);
    int rc = 0;
    struct dirent *e;
    while (rc == 0 && !d->sweep_stopping && (e = readdir(dir)) != NULL) {
        char below[FT_DIR_PATH_MAX], *end;
        int64_t number = strtoll(e->d_name, &end, 16);
        if (*end != '\0' || e->d_name[0] == '.' ||
            (size_t)snprintf(below, sizeof below, "%s/%s", path, e->d_name) >= sizeof below)
            continue;
        rc = fn(d, below, number, from, err);
    }
    closedir(dir);
    return d->sweep_stopping && rc == 0 ? FT_ECANCELED : rc;
}

static int orphan_file(struct ft_dir *d, const char *path, int64_t id, int64_t from,
                       struct ft_err *err)
{
    (void)from;
    return is_known(d, id) ? 0 : ft_disk_unlink(&d->disk, path, err);
}

static int orphan_folder(struct ft_dir *d, const char *path, int64_t number, int64_t from,
                         struct ft_err *err)
{
    (void)number;
    int rc = each_entry(d, path, orphan_file, from, err);
    if (rc == 0)
        rmdir(path); /* if it is empty now */
    return rc;
}

static int64_t collected(struct ft_dir *d)
{
    struct ft_conn *c;
    sqlite3_stmt *s;
    int64_t epoch = 0;
    if (ft_index_read(&d->index, &c, NULL) != 0)
        return 0;
    if (ft_sql_row(c, &s, NULL, FT_SQL_COLLECTED_GET, "") == 1)
        epoch = sqlite3_column_int64(s, 0);
    ft_sql_end(s);
    ft_index_done(&d->index, c);
    return epoch;
}

static int orphan_epoch(struct ft_dir *d, const char *path, int64_t epoch, int64_t from,
                        struct ft_err *err)
{
    if (epoch >= d->epoch || epoch < from)
        return 0;
    int rc = each_entry(d, path, orphan_folder, from, err);
    if (rc == 0)
        rmdir(path);
    return rc;
}

static int set_collected(struct ft_dir *d, struct ft_conn *c, void *ctx, struct ft_err *err)
{
    const int64_t *from = ctx;
    int rc = ft_sql_run(c, err, FT_SQL_SUMS_OLD, "ii", ft_dir_id_first(*from),
                        ft_dir_id_first(d->epoch));
    return rc != 0 ? rc : ft_sql_run(c, err, FT_SQL_COLLECTED_SET, "i", d->epoch);
}

int ft_dir_collect(struct ft_dir *d, int64_t from, struct ft_err *err)
{
    char path[FT_DIR_PATH_MAX + 8];
    snprintf(path, sizeof path, "%s/data", d->path);
    int rc = each_entry(d, path, orphan_epoch, from, err);
    return rc != 0 ? rc : ft_dir_commit(d, set_collected, &from, FT_DIR_FREES, NULL, err);
}

/* ---- the thread ---- */

static void *sweep_main(void *arg)
{
    struct ft_dir *d = arg;
    struct ft_err err = {.msg = ""};
    bool is_collected = false, was_trouble = false;
    pthread_mutex_lock(&d->sweep_mutex);
    d->sweep_due = true;
    while (!d->sweep_stopping) {
        bool left = false;
        d->sweep_due = false;
        pthread_mutex_unlock(&d->sweep_mutex);
        int rc = doubts_remove(d, &err);
        if (rc == 0 && d->is_full) /* after a commit it looks whether there is room again */
            ft_dir_commit(d, touch, NULL, FT_DIR_FREES, NULL, NULL);
        if (rc == 0)
            rc = trash_empty(d, &left, &err);
        if (rc == 0 && !is_collected) {
            rc = ft_dir_collect(d, collected(d), &err);
            is_collected = rc == 0;
        }
        if (rc != 0 && rc != FT_ECANCELED && !was_trouble)
            ft_log(FT_LOG_WARN, "blob", "removing unneeded files: %s", err.msg);
        was_trouble = rc != 0;
        pthread_mutex_lock(&d->sweep_mutex);
        d->sweep_left = left;
        left |= d->is_full;
        const struct timespec until = ft_cond_until(RETRY_MS);
        while (!d->sweep_stopping && !(d->sweep_due && rc == 0)) {
            if (rc == 0 && !left)
                pthread_cond_wait(&d->sweep_more, &d->sweep_mutex);
            else if (pthread_cond_timedwait(&d->sweep_more, &d->sweep_mutex, &until) != 0)
                break;
        }
    }
    pthread_mutex_unlock(&d->sweep_mutex);
    return NULL;
}

void ft_dir_sweep_wake(struct ft_dir *d)
{
    pthread_mutex_lock(&d->sweep_mutex);
    d->sweep_due = true;
    pthread_cond_signal(&d->sweep_more);
    pthread_mutex_unlock(&d->sweep_mutex);
}

int ft_dir_sweep_start(struct ft_dir *d, struct ft_err *err)
{
    pthread_mutex_init(&d->sweep_mutex, NULL);
    ft_cond_init(&d->sweep_more);
    if (pthread_create(&d->sweeper, NULL, sweep_main, d) == 0)
        return 0;
    pthread_cond_destroy(&d->sweep_more);
    pthread_mutex_destroy(&d->sweep_mutex);
    return ft_err_set(err, FT_ENOMEM, "no thread for a store");
}

void ft_dir_sweep_stop(struct ft_dir *d)
{
    pthread_mutex_lock(&d->sweep_mutex);
    d->sweep_stopping = true;
    pthread_cond_signal(&d->sweep_more);
    pthread_mutex_unlock(&d->sweep_mutex);
    pthread_join(d->sweeper, NULL);
    while (d->doubts != NULL) { /* the next start collects the files */
        struct ft_dir_doubt *x = d->doubts;
        d->doubts = x->next;
        free(x);
    }
    pthread_cond_destroy(&d->sweep_more);
    pthread_mutex_destroy(&d->sweep_mutex);
}
