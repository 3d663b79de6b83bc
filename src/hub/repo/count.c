/* Downloads: counted in memory by day, added to the repository's document now and then. A crash
 * loses what was counted since the last save. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "hub/repo/impl.h"

#define DAY_S      86400
#define DAYS_KEPT  60
#define MONTH      30
#define COUNTS_MAX 65536 /* repositories with unsaved counts */

struct ft_repo_count {
    char uid[33];
    int64_t day, n;
};

void ft_repo_counts_free(struct ft_repos *r)
{
    free(r->counts);
    r->counts = NULL;
    r->n_counts = 0;
}

/* Under the lock. False: the same one fetched it lately. */
static bool is_new(struct ft_repos *r, const struct ft_repo *repo, const char *who)
{
    char key[sizeof r->seen[0].key];
    snprintf(key, sizeof key, "%s %.120s", repo->uid, who);
    for (size_t i = 0; i < FT_COUNT(r->seen); i++)
        if (strcmp(r->seen[i].key, key) == 0)
            return false;
    strcpy(r->seen[r->seen_at].key, key);
    r->seen_at = (r->seen_at + 1) % (int)FT_COUNT(r->seen);
    return true;
}

void ft_repo_count_download(struct ft_repos *r, const struct ft_repo *repo, const char *who)
{
    int64_t day = ft_repo_now_s(r) / DAY_S;
    int i = 0;
    char whose[160];
    snprintf(whose, sizeof whose, "%lld %.120s", (long long)(ft_repo_now_s(r) / 60), who);
    pthread_mutex_lock(&r->lock);
    if (is_new(r, repo, whose)) {
        while (i < r->n_counts &&
               (r->counts[i].day != day || strcmp(r->counts[i].uid, repo->uid) != 0))
            i++;
        struct ft_repo_count *more = r->counts;
        if (i == r->n_counts && i < COUNTS_MAX && (i & (i - 1)) == 0)
            more = realloc(r->counts, (size_t)FT_MAX(2 * i, 1) * sizeof *more);
        if (more != NULL)
            r->counts = more;
        if (i == r->n_counts && more != NULL && i < COUNTS_MAX) {
            r->counts[i] = (struct ft_repo_count){.day = day};
            strcpy(r->counts[i].uid, repo->uid);
            r->n_counts++;
        }
        if (i < r->n_counts)
            r->counts[i].n++;
    }
    pthread_mutex_unlock(&r->lock);
}

static int load(struct ft_repos *r, const char *uid, json_t **ret, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX], *text = NULL;
    size_t n = 0;
    snprintf(key, sizeof key, "u/%s/downloads", uid);
    int rc = ft_repo_load(r, key, FT_REPO_SMALL_MAX, &text, &n, NULL, err);
    if (rc < 0)
        return rc;
    *ret = rc > 0 ? json_loadb(text, n, 0, NULL) : NULL;
    if (*ret == NULL)
        *ret = json_pack("{s:i,s:{}}", "all", 0, "days");
    free(text);
    return 0;
}

static void add(json_t *doc, int64_t day, int64_t n)
{
    json_t *days = json_object_get(doc, "days");
    char name[24];
    const char *old;
    void *next;
    json_t *v;
    snprintf(name, sizeof name, "%lld", (long long)day);
    json_object_set_new(days, name,
                        json_integer(json_integer_value(json_object_get(days, name)) + n));
    json_object_set_new(doc, "all",
                        json_integer(json_integer_value(json_object_get(doc, "all")) + n));
    json_object_foreach_safe(days, next, old, v)
    {
        if (atoll(old) < day - DAYS_KEPT)
            json_object_del(days, old);
    }
}

static int save_one(struct ft_repos *r, const struct ft_repo_count *c, struct ft_err *err)
{
    char key[FT_REPO_KEY_MAX];
    json_t *doc = NULL;
    int rc = load(r, c->uid, &doc, err);
    if (rc != 0)
        return rc;
    add(doc, c->day, c->n);
    char *text = json_dumps(doc, JSON_COMPACT);
    json_decref(doc);
    snprintf(key, sizeof key, "u/%s/downloads", c->uid);
    rc = text != NULL ? ft_repo_store(r, key, text, strlen(text), NULL, err)
                      : ft_err_set(err, FT_ENOMEM, "out of memory");
    free(text);
    return rc;
}

/* Takes one out of memory. */
static bool take(struct ft_repos *r, struct ft_repo_count *ret)
{
    pthread_mutex_lock(&r->lock);
    bool any = r->n_counts > 0;
    if (any)
        *ret = r->counts[--r->n_counts];
    pthread_mutex_unlock(&r->lock);
    return any;
}

/* Counting goes on. What could not be saved is lost, and told. */
int ft_repos_save(struct ft_repos *r, struct ft_err *err)
{
    struct ft_repo_count one;
    int rc = 0;
    bool any = true;
    for (int i = 0; rc == 0 && any && i < COUNTS_MAX; i++) {
        pthread_rwlock_wrlock(&r->saving);
        any = take(r, &one);
        if (any)
            rc = save_one(r, &one, err);
        pthread_rwlock_unlock(&r->saving);
    }
    return rc;
}

int ft_repo_downloads(struct ft_repos *r, const struct ft_repo *repo, int64_t *ret_all,
                      int64_t *ret_month, struct ft_err *err)
{
    json_t *doc = NULL, *v;
    const char *day;
    int64_t today = ft_repo_now_s(r) / DAY_S;
    pthread_rwlock_rdlock(&r->saving);
    int rc = load(r, repo->uid, &doc, err);
    pthread_mutex_lock(&r->lock);
    for (int i = 0; rc == 0 && i < r->n_counts; i++)
        if (strcmp(r->counts[i].uid, repo->uid) == 0)
            add(doc, r->counts[i].day, r->counts[i].n);
    pthread_mutex_unlock(&r->lock);
    pthread_rwlock_unlock(&r->saving);
    if (rc != 0)
        return rc;
    *ret_all = json_integer_value(json_object_get(doc, "all"));
    *ret_month = 0;
    json_object_foreach(json_object_get(doc, "days"), day, v)
    {
        if (atoll(day) > today - MONTH)
            *ret_month += json_integer_value(v);
    }
    json_decref(doc);
    return 0;
}
