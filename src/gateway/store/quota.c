/* See quota.h. An entry per project that ever asked lives to the end; all are under one lock, which
 * is never held while the store is asked. */
#include "gateway/store/quota.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/map.h"

#define FRESH_NS    250000000 /* how long what the store said is gone by */
#define FRESH_TIMES 20        /* or so many times what asking took, if that is longer */

struct ft_quota_entry {
    char project[FT_BLOB_OWNER_MAX + 1];
    int lanes;
    int64_t used;       /* as the store said */
    int64_t until_ns;   /* that is gone by until then */
    int64_t held, kept; /* by requests under way; written since the store was asked */
    bool asking, asked;
};

struct ft_quota {
    pthread_mutex_t lock;
    struct ft_strmap index;
    struct ft_quota_entry **list;
    int n, cap;
    ft_quota_usage_fn *usage;
    void *ctx;
};

int ft_quota_open(ft_quota_usage_fn *usage, void *ctx, struct ft_quota **ret, struct ft_err *err)
{
    struct ft_quota *q = calloc(1, sizeof *q);
    if (q == NULL)
        return ft_err_set(err, FT_ENOMEM, "quotas: no memory");
    pthread_mutex_init(&q->lock, NULL);
    q->usage = usage;
    q->ctx = ctx;
    *ret = q;
    return 0;
}

void ft_quota_close(struct ft_quota *q)
{
    if (q == NULL)
        return;
    for (int i = 0; i < q->n; i++)
        free(q->list[i]);
    free(q->list);
    ft_strmap_fini(&q->index);
    pthread_mutex_destroy(&q->lock);
    free(q);
}

/* Under the lock; NULL: no memory, or too many. */
static struct ft_quota_entry *entry_of(struct ft_quota *q, const char *project)
{
    size_t n = strlen(project);
    int32_t i;
    if (ft_strmap_get(&q->index, project, n, &i))
        return q->list[i];
    if (q->n == q->cap) {
        int cap = q->cap == 0 ? 16 : 2 * q->cap;
        void *p = q->n < FT_QUOTA_PROJECTS_MAX
                      ? realloc(q->list, (size_t)cap * sizeof(struct ft_quota_entry *))
                      : NULL;
        if (p == NULL)
            return NULL;
        q->list = p;
        q->cap = cap;
    }
    struct ft_quota_entry *e = calloc(1, sizeof *e);
    if (e == NULL || n >= sizeof e->project) {
        free(e);
        return NULL;
    }
    memcpy(e->project, project, n + 1);
    if (ft_strmap_add(&q->index, e->project, n, q->n) != 0) {
        free(e);
        return NULL;
    }
    q->list[q->n++] = e;
    return e;
}

int ft_quota_lane(struct ft_quota *q, const char *project, struct ft_quota_hold *h,
                  struct ft_err *err)
{
    int rc = 0;
    int most = project[0] != '\0' ? FT_QUOTA_LANES_MAX : FT_QUOTA_LANES_OPEN;
    pthread_mutex_lock(&q->lock);
    struct ft_quota_entry *e = entry_of(q, project);
    if (e == NULL)
        rc = ft_err_set(err, FT_ENOMEM, "no memory");
    else if (e->lanes >= most)
        rc =
            ft_err_set(err, FT_EBUSY, "%d requests of the project are under way already", e->lanes);
    if (rc == 0) {
        e->lanes++;
        *h = (struct ft_quota_hold){.entry = e, .lane = true};
    }
    pthread_mutex_unlock(&q->lock);
    return rc;
}

/* Asks the store, unless what it said is fresh. What is written meanwhile may count twice until the
 * next time, never not at all. */
static int refresh(struct ft_quota *q, struct ft_quota_entry *e, struct ft_err *err)
{
    int64_t now = ft_clock_now_ns();
    pthread_mutex_lock(&q->lock);
    bool fresh = e->until_ns > now || (e->asking && e->asked);
    int64_t kept = e->kept;
    e->asking |= !fresh;
    pthread_mutex_unlock(&q->lock);
    if (fresh)
        return 0;
    int64_t bytes = 0;
    int rc = q->usage(q->ctx, e->project, &bytes, err);
    int64_t then = ft_clock_now_ns();
    pthread_mutex_lock(&q->lock);
    e->asking = false;
    if (rc == 0) {
        e->asked = true;
        e->used = bytes;
        e->kept -= kept;
        e->until_ns = then + FT_MAX((int64_t)FRESH_NS, FRESH_TIMES * (then - now));
    }
    pthread_mutex_unlock(&q->lock);
    return rc;
}

static int fresh_entry(struct ft_quota *q, const char *project, struct ft_quota_entry **ret,
                       struct ft_err *err)
{
    pthread_mutex_lock(&q->lock);
    *ret = entry_of(q, project);
    pthread_mutex_unlock(&q->lock);
    return *ret != NULL ? refresh(q, *ret, err) : ft_err_set(err, FT_ENOMEM, "no memory");
}

int ft_quota_take(struct ft_quota *q, const char *project, int64_t max, int64_t bytes,
                  struct ft_quota_hold *h, struct ft_err *err)
{
    struct ft_quota_entry *e = NULL;
    int rc = max < 0 ? 0 : fresh_entry(q, project, &e, err);
    if (rc != 0 || max < 0)
        return rc;
    pthread_mutex_lock(&q->lock);
    int64_t all = e->used + e->kept + e->held;
    if (bytes < 0 || all > max || bytes > max - all) {
        rc = ft_err_set(err, FT_ELIMIT,
                        "the project keeps %lld bytes and may keep %lld: %lld more are too many",
                        (long long)all, (long long)max, (long long)bytes);
    } else if (h->entry == NULL || h->entry == e) { /* a request writes for one project */
        h->entry = e;
        h->bytes += bytes;
        e->held += bytes;
    }
    pthread_mutex_unlock(&q->lock);
    return rc;
}

int ft_quota_left(struct ft_quota *q, const char *project, int64_t max, int64_t *ret,
                  struct ft_err *err)
{
    struct ft_quota_entry *e = NULL;
    int rc = fresh_entry(q, project, &e, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&q->lock);
    *ret = FT_MAX(max - e->used - e->kept - e->held, 0);
    pthread_mutex_unlock(&q->lock);
    return 0;
}

void ft_quota_give(struct ft_quota *q, struct ft_quota_hold *h, bool kept)
{
    struct ft_quota_entry *e = h->entry;
    if (e == NULL)
        return;
    pthread_mutex_lock(&q->lock);
    e->held -= h->bytes;
    e->kept += kept ? h->bytes : 0;
    e->lanes -= h->lane;
    pthread_mutex_unlock(&q->lock);
    *h = (struct ft_quota_hold){.entry = NULL};
}
