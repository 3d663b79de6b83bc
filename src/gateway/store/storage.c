/* The blob store's life: opened on a thread of its own, because a disk may be slow, another server
 * away, and chats need neither; then the same thread keeps house.
 *
 * Open once, the store stays open until the gateway ends, so that who holds it need not ask again.
 * What works on it (S3, the hub, files) is a row of `parts`: opened with it, called now and then,
 * closed before it. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/cond.h"
#include "base/log.h"
#include "blob/blob.h"
#include "gateway/inner.h"

#define RETRY_MS_MIN 250
#define RETRY_MS_MAX 10000
#define TICK_MS      1000 /* how often parts are asked to keep house */
#define COUNT_NS     ((int64_t)5 * 1000000000)

struct gw_storage {
    struct gw *gw;
    _Atomic(struct ft_blob *) blob;
    pthread_t thread;
    bool running;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop, tried;             /* (lock) tried: the first time is over */
    char trouble[FT_ERR_MSG_MAX]; /* (lock) why it is not open, or gone; "" */
    struct ft_blob_usage stored;  /* (lock) by all, as it was when it was last counted */
    struct gw_buckets buckets;    /* (lock) */
    int64_t count_ns;             /* when it is counted next */
};

/* ---- parts ---- */

static const struct gw_part *const parts[] = {&gw_s3_part, &gw_scrub_part, &gw_file_part,
                                              &gw_hub_part, NULL};

static int open_parts(struct gw *g, struct ft_blob *b, struct ft_err *err)
{
    int rc = 0, n = 0;
    for (; parts[n] != NULL && rc == 0; n++)
        rc = parts[n]->open(g, b, err);
    while (rc != 0 && --n > 0)
        parts[n - 1]->close(g);
    return rc;
}

static void close_parts(struct gw *g)
{
    int n = 0;
    while (parts[n] != NULL)
        n++;
    while (n-- > 0)
        parts[n]->close(g);
}

/* ---- the thread ---- */

/* Sleeps; false: the end. Under the lock. */
static bool nap(struct gw_storage *s, int64_t ms)
{
    const struct timespec t = ft_cond_until(ms);
    if (!s->stop)
        pthread_cond_timedwait(&s->wake, &s->lock, &t);
    return !s->stop;
}

static int try_open(struct gw_storage *s, struct ft_err *err)
{
    struct gw *g = s->gw;
    struct ft_blob *b = NULL;
    int rc = gw_s3_master(g, err);
    if (rc == 0)
        rc = g->opt->open_blob(g->opt->ctx, &b, err);
    if (rc != 0)
        return rc;
    rc = open_parts(g, b, err);
    if (rc != 0)
        ft_blob_close(b);
    else
        atomic_store(&s->blob, b);
    return rc;
}

static void note(struct gw_storage *s, const char *trouble)
{
    bool news = strcmp(s->trouble, trouble) != 0;
    snprintf(s->trouble, sizeof s->trouble, "%s", trouble);
    s->tried = true;
    pthread_cond_broadcast(&s->wake);
    if (news && trouble[0] != '\0')
        ft_log(FT_LOG_ERROR, "gateway", "the store of objects is not open: %s", trouble);
    else if (trouble[0] == '\0')
        ft_log(FT_LOG_INFO, "gateway", "the store of objects is open: %s", s->gw->opt->storage);
}

struct counting {
    struct gw_storage *s;
    struct ft_blob_usage all;
    struct gw_buckets buckets;
};

static void add(struct ft_blob_usage *to, const struct ft_blob_usage *u)
{
    to->bytes += u->bytes;
    to->objects += u->objects;
}

static int count_bucket(void *ctx, const struct ft_blob_bucket *b)
{
    struct counting *c = ctx;
    struct gw_buckets *all = &c->buckets;
    struct gw_bucket new = {.facts = *b}, *least = all->list;
    if (ft_blob_bucket_usage(atomic_load(&c->s->blob), b->name, &new.kept, NULL) != 0)
        return 0; /* removed meanwhile */
    add(&c->all, &new.kept);
    if (all->n < GW_BUCKETS_TOLD) {
        all->list[all->n++] = new;
        return 0;
    }
    for (int i = 1; i < all->n; i++)
        if (all->list[i].kept.bytes < least->kept.bytes)
            least = &all->list[i];
    bool larger = new.kept.bytes > least->kept.bytes;
    add(&all->other, larger ? &least->kept : &new.kept);
    if (larger)
        *least = new;
    return 0;
}

/* For the status: seldom where it takes long. */
static void count(struct gw_storage *s)
{
    int64_t begun = ft_clock_now_ns();
    struct counting *c = begun >= s->count_ns ? calloc(1, sizeof *c) : NULL;
    if (c == NULL)
        return;
    c->s = s;
    int rc = ft_blob_bucket_list(atomic_load(&s->blob), NULL, count_bucket, c, NULL);
    int64_t end = ft_clock_now_ns();
    s->count_ns = end + FT_MAX(COUNT_NS, 100 * (end - begun));
    pthread_mutex_lock(&s->lock);
    if (rc == 0) {
        s->stored = c->all;
        s->buckets = c->buckets;
    }
    pthread_mutex_unlock(&s->lock);
    free(c);
}

/* A folder that was moved away under us takes nothing any more; it may come back. */
static void look_again(struct gw_storage *s)
{
    struct ft_err err = {0};
    if (s->gw->opt->still_there == NULL)
        return;
    bool gone = s->gw->opt->still_there(s->gw->opt->ctx, &err) != 0;
    pthread_mutex_lock(&s->lock);
    if (gone != (s->trouble[0] != '\0'))
        note(s, gone ? err.msg : "");
    pthread_mutex_unlock(&s->lock);
}

static void *keep_house(void *ctx)
{
    struct gw_storage *s = ctx;
    int64_t wait_ms = RETRY_MS_MIN;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        struct ft_err err = {0};
        pthread_mutex_unlock(&s->lock);
        int rc = try_open(s, &err);
        pthread_mutex_lock(&s->lock);
        note(s, rc == 0 ? "" : err.msg);
        if (rc == 0)
            break;
        nap(s, wait_ms);
        wait_ms = FT_MIN(2 * wait_ms, RETRY_MS_MAX);
    }
    while (!s->stop) {
        pthread_mutex_unlock(&s->lock);
        for (int i = 0; parts[i] != NULL; i++)
            if (parts[i]->tick != NULL)
                parts[i]->tick(s->gw);
        count(s);
        look_again(s);
        pthread_mutex_lock(&s->lock);
        nap(s, TICK_MS);
    }
    pthread_mutex_unlock(&s->lock);
    return NULL;
}

/* ---- the store, for others ---- */

struct ft_blob *gw_blob(struct gw *g)
{
    return g->storage != NULL ? atomic_load(&g->storage->blob) : NULL;
}

/* Why it is not open, or gone from where it was; "": nothing. */
static void trouble_of(struct gw *g, char *ret, size_t n)
{
    struct gw_storage *s = g->storage;
    if (s == NULL) {
        snprintf(ret, n, "this cloud has no store of objects");
        return;
    }
    pthread_mutex_lock(&s->lock);
    snprintf(ret, n, "%s", s->trouble[0] != '\0' || !s->tried ? s->trouble : "");
    if (!s->tried)
        snprintf(ret, n, "it is being opened");
    pthread_mutex_unlock(&s->lock);
}

void gw_no_storage(struct gw_request *r)
{
    struct ft_oai_error e;
    char why[FT_ERR_MSG_MAX];
    trouble_of(r->gw, why, sizeof why);
    ft_oai_error_init(&e);
    ft_oai_error_set(&e, FT_EBUSY, "storage_unavailable", NULL,
                     "the store of objects cannot be used now: %.460s", why);
    e.status = 503;
    e.retry_after_ms = 1000;
    gw_refuse(r, "", &e);
}

/* Of its buckets, its files among them, of the hub, whose bucket is nobody's, and of what its
 * fine-tuning made. */
int gw_kept(void *ctx, const char *project, int64_t *ret_bytes, struct ft_err *err)
{
    struct gw *g = ctx;
    struct ft_blob_usage u = {0};
    int64_t of_hub = 0;
    int rc = ft_blob_usage(gw_blob(g), project, &u, err);
    if (rc == 0)
        rc = gw_hub_kept(g, project, &of_hub, err);
    *ret_bytes = u.bytes + of_hub + ft_serve_kept(g->serve, project);
    return rc;
}

int gw_keep(struct gw_request *r, const char *project, int64_t bytes, struct ft_err *err)
{
    return ft_quota_take(r->gw->quota, project, ft_tenant_storage_max(r->gw->tenant, project),
                         bytes, &r->bytes_hold, err);
}

void gw_storage_buckets(struct gw *g, struct gw_buckets *ret)
{
    memset(ret, 0, sizeof *ret);
    if (g->storage == NULL)
        return;
    pthread_mutex_lock(&g->storage->lock);
    *ret = g->storage->buckets;
    pthread_mutex_unlock(&g->storage->lock);
}

json_t *gw_storage_status(struct gw *g)
{
    char why[FT_ERR_MSG_MAX];
    struct ft_blob_usage stored = {0};
    bool open = gw_blob(g) != NULL;
    trouble_of(g, why, sizeof why);
    open = open && why[0] == '\0';
    if (open) {
        pthread_mutex_lock(&g->storage->lock);
        stored = g->storage->stored;
        pthread_mutex_unlock(&g->storage->lock);
    }
    return json_pack("{s:s,s:b,s:s,s:I,s:I,s:I,s:I,s:I,s:o}", "where",
                     g->opt->storage != NULL ? g->opt->storage : "", "open", open, "trouble", why,
                     "objects", (json_int_t)stored.objects, "bytes", (json_int_t)stored.bytes,
                     "requests", (json_int_t)atomic_load(&g->moved.requests), "bytes_in",
                     (json_int_t)atomic_load(&g->moved.in), "bytes_out",
                     (json_int_t)atomic_load(&g->moved.out), "scrub", gw_scrub_status(g));
}

int gw_storage_open(struct gw *g, struct gw_storage **ret, struct ft_err *err)
{
    if (g->opt->open_blob == NULL)
        return 0;
    struct gw_storage *s = calloc(1, sizeof *s);
    if (s == NULL)
        return ft_err_set(err, FT_ENOMEM, "storage: no memory");
    s->gw = g;
    pthread_mutex_init(&s->lock, NULL);
    ft_cond_init(&s->wake);
    *ret = s; /* the thread asks for the store as others do */
    if (pthread_create(&s->thread, NULL, keep_house, s) != 0) {
        *ret = NULL;
        gw_storage_close(s);
        return ft_err_set(err, FT_ENOMEM, "storage: no thread");
    }
    s->running = true;
    int64_t until = ft_clock_now_ns() + (int64_t)GW_STORAGE_FIRST_MS * 1000000;
    pthread_mutex_lock(&s->lock);
    while (!s->tried && ft_clock_now_ns() < until)
        nap(s, (until - ft_clock_now_ns()) / 1000000 + 1);
    pthread_mutex_unlock(&s->lock);
    return 0;
}

void gw_storage_close(struct gw_storage *s)
{
    if (s == NULL)
        return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_broadcast(&s->wake);
    pthread_mutex_unlock(&s->lock);
    if (s->running)
        pthread_join(s->thread, NULL);
    struct ft_blob *b = atomic_load(&s->blob);
    if (b != NULL) {
        close_parts(s->gw);
        ft_blob_close(b);
    }
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
