/* See leftover.h: rows of the table `leftover`, and their thread. */
#include "control/leftover.h"

#include <limits.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/cond.h"
#include "base/log.h"
#include "control/handlers.h"
#include "control/inside.h"
#include "control/unused.h"

#define TICK_S      5 /* how often it is asked whether one is due, when nobody says so */
#define RETRY_S     5 /* the gateway is not there, or its store is not; doubled each time, */
#define RETRY_MAX_S 300

struct ft_leftovers {
    struct ft_ctl *ctl;
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t changed;
    bool stop, woken;
    /* the thread's own */
    json_t *failed; /* by project: the seconds until it was tried again */
    bool told;      /* that the store cannot do it now */
};

/* ---- rows ---- */

int ft_leftover_note(struct ft_state_tx *tx, const char *project, const json_t *adapters,
                     struct ft_err *err)
{
    char *text = json_dumps(adapters, JSON_COMPACT);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    int rc = ft_state_exec(tx,
                           "INSERT INTO leftover (project, next, looks, adapters)"
                           " VALUES ($1, 0, 0, $2) ON CONFLICT (project) DO NOTHING",
                           FT_ARGS(ft_sql_text(project), ft_sql_text(text)), NULL, err);
    free(text);
    return rc;
}

int ft_leftover_next(struct ft_state_tx *tx, int64_t now_s, struct ft_leftover *ret,
                     struct ft_err *err)
{
    struct ft_state_rows *r;
    int rc = ft_state_query(tx,
                            "SELECT project, looks, adapters FROM leftover WHERE next <= $1"
                            " ORDER BY next, project LIMIT 1",
                            FT_ARGS(ft_sql_int(now_s)), &r, err);
    if (rc != 0)
        return rc;
    rc = ft_rows_step(r, err);
    if (rc > 0) {
        struct ft_slice text = ft_rows_text(r, 2);
        snprintf(ret->project, sizeof ret->project, "%s", ft_rows_text(r, 0).p);
        ret->looks = (int)ft_rows_int(r, 1);
        json_decref(ret->adapters); /* of a run of the transaction before */
        ret->adapters = json_loadb(text.p, text.n, 0, NULL);
    }
    ft_rows_close(r);
    return rc;
}

int ft_leftover_later(struct ft_state_tx *tx, const char *project, int64_t next_s, int looks,
                      struct ft_err *err)
{
    return ft_state_exec(tx, "UPDATE leftover SET next = $2, looks = $3 WHERE project = $1",
                         FT_ARGS(ft_sql_text(project), ft_sql_int(next_s), ft_sql_int(looks)), NULL,
                         err);
}

int ft_leftover_drop(struct ft_state_tx *tx, const char *project, struct ft_err *err)
{
    return ft_state_exec(tx, "DELETE FROM leftover WHERE project = $1",
                         FT_ARGS(ft_sql_text(project)), NULL, err);
}

/* ---- clearing one ---- */

static void remove_one(const json_t *used, const char *home, const char *below, const char *name,
                       int depth)
{
    char path[PATH_MAX];
    if (name != NULL && name[0] != '\0' && strstr(name, "..") == NULL &&
        snprintf(path, sizeof path, "%s/%s%s", home, below, name) < (int)sizeof path)
        ft_remove_unused(used, path, depth);
}

int ft_leftover_files(struct ft_state_tx *tx, const char *home, const struct ft_leftover *one,
                      struct ft_err *err)
{
    json_t *used = NULL;
    size_t i;
    const json_t *name;
    int rc = ft_used_paths(tx, &used, err);
    if (rc != 0)
        return rc;
    json_array_foreach(one->adapters, i, name)
        remove_one(used, home, "", json_string_value(name), 0);
    remove_one(used, home, "models/hub/", one->project, 2); /* repositories, their revisions */
    json_decref(used);
    return 0;
}

struct look {
    struct ft_leftovers *l;
    struct ft_leftover one;
    int64_t now_s, removed;
    int64_t held, until_s; /* what has to stay, and when the first of it may go; 0: not known */
    int64_t again_s;       /* put off */
};

/* What control has itself. In one transaction, so that nobody names a file as a model meanwhile. */
static int clear_own_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct look *k = ctx;
    int rc = ft_leftover_files(tx, k->l->ctl->home, &k->one, err);
    return rc != 0 ? rc : ft_ctl_responses_forget(tx, k->one.project, err);
}

static void take_answer(struct look *k, const json_t *answer)
{
    int64_t until_s = ft_ctl_int(answer, "until", 0);
    k->removed += ft_ctl_int(answer, "removed", 0);
    k->held += ft_ctl_int(answer, "held", 0);
    if (until_s > 0 && (k->until_s == 0 || until_s < k->until_s))
        k->until_s = until_s;
}

/* The gateway looks at a bounded number of things at a time, and says where to go on. */
static int clear_store(struct ft_leftovers *l, struct look *k, struct ft_err *err)
{
    char path[160], whose[96];
    char *place = NULL;
    int rc = 0;
    snprintf(path, sizeof path, "/internal/projects/%s/forget", k->one.project);
    snprintf(whose, sizeof whose, "project:%s", k->one.project);
    for (bool more = true; rc == 0 && more;) {
        const char *body = place != NULL ? place : "{}";
        const struct ft_inside_ask ask = {
            .method = "POST", .path = path, .key = whose, .body = body, .n_body = strlen(body)};
        json_t *answer = NULL;
        rc = ft_inside_stops(l->ctl->inside) ? ft_err_set(err, FT_ECANCELED, "control ends")
                                             : ft_inside_ask(l->ctl->inside, &ask, &answer, err);
        take_answer(k, answer);
        free(place);
        place = json_dumps(json_object_get(answer, "next"), JSON_COMPACT);
        more = json_is_object(json_object_get(answer, "next"));
        if (more && place == NULL)
            rc = ft_err_set(err, FT_ENOMEM, "control: no memory");
        json_decref(answer);
    }
    free(place);
    return rc;
}

static int next_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    struct look *k = ctx;
    k->one.project[0] = '\0';
    return FT_MIN(ft_leftover_next(tx, k->now_s, &k->one, err), 0);
}

/* Done once, it is looked at once more: a request may have been under way. */
static int settle_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct look *k = ctx;
    int64_t next_s = k->now_s + FT_LEFTOVER_AGAIN_S;
    if (k->held == 0 && k->one.looks > 0)
        return ft_leftover_drop(tx, k->one.project, err);
    if (k->until_s > 0)
        next_s = FT_MIN(next_s, FT_MAX(k->until_s, k->now_s) + 1);
    return ft_leftover_later(tx, k->one.project, next_s, k->held == 0, err);
}

static int later_tx(struct ft_state_tx *tx, void *ctx, struct ft_err *err)
{
    const struct look *k = ctx;
    return ft_leftover_later(tx, k->one.project, k->again_s, k->one.looks, err);
}

/* It cannot be done now: the others' turn comes first. Said once, until it goes. */
static int put_off(struct ft_leftovers *l, struct look *k, const struct ft_err *why,
                   struct ft_err *err)
{
    const json_t *before = json_object_get(l->failed, k->one.project);
    json_int_t seconds = FT_MIN(2 * json_integer_value(before), RETRY_MAX_S);
    if (before == NULL) {
        ft_log(FT_LOG_WARN, "control", "what project %s kept: %s; tried again", k->one.project,
               why->msg);
        seconds = RETRY_S;
    }
    json_object_set_new(l->failed, k->one.project, json_integer(seconds));
    k->again_s = (int64_t)time(NULL) + seconds;
    return ft_state_tx(l->ctl->state, later_tx, k, err);
}

/* One that is due. 1: one was; 0: none is. Negative: the store is in trouble, or control ends. */
static int clear_next(struct ft_leftovers *l, struct ft_err *err)
{
    struct look k = {.l = l, .now_s = (int64_t)time(NULL)};
    struct ft_err why = {0};
    int rc = ft_state_read(l->ctl->state, next_tx, &k, err);
    bool due = rc == 0 && k.one.project[0] != '\0';
    if (due)
        rc = ft_state_tx(l->ctl->state, clear_own_tx, &k, err);
    int asked = due && rc == 0 ? clear_store(l, &k, &why) : 0;
    if (due && rc == 0 && asked == 0)
        rc = ft_state_tx(l->ctl->state, settle_tx, &k, err);
    else if (asked == FT_ECANCELED)
        rc = asked;
    else if (asked != 0)
        rc = put_off(l, &k, &why, err);
    if (asked == 0)
        json_object_del(l->failed, k.one.project);
    if (k.removed > 0)
        ft_log(FT_LOG_INFO, "control", "project %s is no more: %lld things that it kept removed%s",
               k.one.project, (long long)k.removed, k.held > 0 ? "; the rest is held" : "");
    json_decref(k.one.adapters);
    return rc != 0 ? rc : due;
}

/* ---- the thread ---- */

/* Under the lock. */
static void nap(struct ft_leftovers *l, int seconds)
{
    const struct timespec t = ft_cond_until(seconds * INT64_C(1000));
    while (!l->stop && !l->woken && pthread_cond_timedwait(&l->changed, &l->lock, &t) == 0)
        ;
    l->woken = false;
}

static void *run(void *ctx)
{
    struct ft_leftovers *l = ctx;
    pthread_mutex_lock(&l->lock);
    while (!l->stop) {
        struct ft_err err = {0};
        pthread_mutex_unlock(&l->lock);
        int rc = clear_next(l, &err);
        if (rc < 0 && rc != FT_ECANCELED && !ft_state_is_trouble(rc) && !l->told)
            ft_log(FT_LOG_WARN, "control", "what removed projects kept: %s; tried again", err.msg);
        l->told = rc < 0;
        pthread_mutex_lock(&l->lock);
        if (rc <= 0)
            nap(l, rc < 0 ? RETRY_S : TICK_S);
    }
    pthread_mutex_unlock(&l->lock);
    return NULL;
}

void ft_leftovers_wake(struct ft_leftovers *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->woken = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
}

int ft_leftovers_open(struct ft_ctl *ctl, struct ft_leftovers **ret, struct ft_err *err)
{
    struct ft_leftovers *l = calloc(1, sizeof *l);
    if (l == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    l->ctl = ctl;
    l->failed = json_object();
    pthread_mutex_init(&l->lock, NULL);
    ft_cond_init(&l->changed);
    if (l->failed == NULL || pthread_create(&l->thread, NULL, run, l) != 0) {
        json_decref(l->failed);
        free(l);
        return ft_err_set(err, FT_ENOMEM, "control: no thread for what projects leave");
    }
    *ret = l;
    return 0;
}

void ft_leftovers_close(struct ft_leftovers *l)
{
    if (l == NULL)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    pthread_cond_signal(&l->changed);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    pthread_cond_destroy(&l->changed);
    pthread_mutex_destroy(&l->lock);
    json_decref(l->failed);
    free(l);
}
