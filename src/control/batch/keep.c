/* The thread that begins batches: which are active, who is next, who is to be cancelled. */
#include <dirent.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cond.h"
#include "base/folder.h"
#include "base/log.h"
#include "control/batch/run.h"
#include "control/keep_days.h"

#define TICK_MS 300

struct ft_batches {
    struct ft_ctl *ctl;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stop, woken;
    /* the thread's own */
    struct batch *running[BATCH_RUNNING_MAX];
    pthread_t of[BATCH_RUNNING_MAX];
    json_t *active, *cancelling;
};

static int active_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct ft_batches *all = ctx;
    int rc = bt_active_list(tx, all->active, err);
    json_object_clear(all->cancelling);
    for (int i = 0; rc == 0 && i < BATCH_RUNNING_MAX; i++) {
        struct ft_ctl_entity e = {0};
        if (all->running[i] == NULL)
            continue;
        rc = ft_ctl_get(tx, BATCH_KIND, all->running[i]->id, &e, err);
        const char *now = ft_ctl_text(e.body, "status");
        if (rc == 0 || (now != NULL && strcmp(now, "cancelling") == 0))
            json_object_set_new(all->cancelling, all->running[i]->id, json_true());
        ft_ctl_entity_fini(&e);
        rc = FT_MIN(rc, 0);
    }
    return rc;
}

/* The oldest of the project that has the fewest running. No project has all places: what waits for
 * a budget, or for somebody's model, waits in its place. */
static const json_t *choose(const struct ft_batches *all)
{
    const json_t *best = NULL;
    int fewest = BATCH_PROJECT_MAX;
    for (size_t i = 0; i < json_array_size(all->active); i++) {
        const json_t *a = json_array_get(all->active, i);
        int n = 0;
        bool runs = false;
        for (int k = 0; k < BATCH_RUNNING_MAX; k++) {
            const struct batch *b = all->running[k];
            runs |= b != NULL && strcmp(b->id, ft_ctl_text(a, "id")) == 0;
            n += b != NULL && strcmp(b->project, ft_ctl_text(a, "project")) == 0;
        }
        if (!runs && n < fewest) {
            best = a;
            fewest = n;
        }
    }
    return best;
}

static void begin(struct ft_batches *all, int place, const json_t *a)
{
    struct batch *b = calloc(1, sizeof *b);
    if (b == NULL)
        return;
    b->ctl = all->ctl;
    snprintf(b->id, sizeof b->id, "%s", ft_ctl_text(a, "id"));
    snprintf(b->project, sizeof b->project, "%s", ft_ctl_text(a, "project"));
    snprintf(b->dir, sizeof b->dir, "%s/batches/%s", all->ctl->home, b->id);
    if (pthread_create(&all->of[place], NULL, bt_run, b) != 0) {
        ft_log(FT_LOG_ERROR, "control", "%s: no thread", b->id);
        free(b);
        return;
    }
    all->running[place] = b;
}

static void look(struct ft_batches *all)
{
    for (int i = 0; i < BATCH_RUNNING_MAX; i++)
        if (all->running[i] != NULL && atomic_load(&all->running[i]->finished)) {
            pthread_join(all->of[i], NULL);
            free(all->running[i]);
            all->running[i] = NULL;
        }
    if (ft_state_read(all->ctl->state, active_tx, all, NULL) != 0)
        return; /* the store is in trouble: at the next look */
    for (int i = 0; i < BATCH_RUNNING_MAX; i++) {
        const json_t *a = all->running[i] == NULL ? choose(all) : NULL;
        if (a != NULL)
            begin(all, i, a);
        else if (all->running[i] != NULL &&
                 json_object_get(all->cancelling, all->running[i]->id) != NULL)
            atomic_store(&all->running[i]->cancel, true);
    }
}

/* Folders of batches that ended while nobody could remove them. */
static void tidy(struct ft_batches *all)
{
    char dir[BATCH_DIR_MAX], path[BATCH_DIR_MAX + 300];
    snprintf(dir, sizeof dir, "%s/batches", all->ctl->home);
    DIR *d = opendir(dir);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        bool active = e->d_name[0] == '.';
        for (size_t i = 0; i < json_array_size(all->active); i++)
            active |= strcmp(ft_ctl_text(json_array_get(all->active, i), "id"), e->d_name) == 0;
        snprintf(path, sizeof path, "%s/%s", dir, e->d_name);
        if (!active)
            ft_folder_remove(path);
    }
    if (d != NULL)
        closedir(d);
}

static void *keep(void *ctx)
{
    struct ft_batches *all = ctx;
    int64_t prune_s = 0;
    if (ft_state_read(all->ctl->state, active_tx, all, NULL) == 0)
        tidy(all);
    pthread_mutex_lock(&all->lock);
    while (!all->stop) {
        pthread_mutex_unlock(&all->lock);
        look(all);
        ft_ctl_prune(all->ctl, &prune_s, bt_prune);
        pthread_mutex_lock(&all->lock);
        const struct timespec t = ft_cond_until(TICK_MS);
        while (!all->stop && !all->woken &&
               pthread_cond_timedwait(&all->changed, &all->lock, &t) == 0)
            ;
        all->woken = false;
    }
    pthread_mutex_unlock(&all->lock);
    return NULL;
}

void ft_batches_wake(struct ft_batches *all)
{
    if (all == NULL)
        return;
    pthread_mutex_lock(&all->lock);
    all->woken = true;
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
}

int ft_batches_open(struct ft_ctl *ctl, struct ft_batches **ret, struct ft_err *err)
{
    char dir[BATCH_DIR_MAX];
    struct ft_batches *all = calloc(1, sizeof *all);
    if (all == NULL)
        return ft_err_set(err, FT_ENOMEM, "batches: no memory");
    all->ctl = ctl;
    all->active = json_array();
    all->cancelling = json_object();
    pthread_mutex_init(&all->lock, NULL);
    ft_cond_init(&all->changed);
    snprintf(dir, sizeof dir, "%s/batches", ctl->home);
    mkdir(dir, 0700); /* there already, as a rule */
    if (pthread_create(&all->thread, NULL, keep, all) != 0) {
        json_decref(all->active);
        json_decref(all->cancelling);
        free(all);
        return ft_err_set(err, FT_ENOMEM, "batches: no thread");
    }
    *ret = all;
    return 0;
}

void ft_batches_close(struct ft_batches *all)
{
    if (all == NULL)
        return;
    pthread_mutex_lock(&all->lock);
    all->stop = true;
    pthread_cond_signal(&all->changed);
    pthread_mutex_unlock(&all->lock);
    pthread_join(all->thread, NULL);
    for (int i = 0; i < BATCH_RUNNING_MAX; i++)
        if (all->running[i] != NULL)
            atomic_store(&all->running[i]->stop, true);
    for (int i = 0; i < BATCH_RUNNING_MAX; i++)
        if (all->running[i] != NULL) {
            pthread_join(all->of[i], NULL);
            free(all->running[i]);
        }
    json_decref(all->active);
    json_decref(all->cancelling);
    pthread_mutex_destroy(&all->lock);
    pthread_cond_destroy(&all->changed);
    free(all);
}
