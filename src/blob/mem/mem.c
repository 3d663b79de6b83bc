/* The store in memory: its buckets and their documents, the budget, usage and scrubs. */
#include "blob/mem/mem.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/rand.h"
#include "blob/mem/impl.h"

#define MEM_BYTES_DEFAULT ((int64_t)256 << 20)

int64_t mem_now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

void mem_new_id(struct mem *m, char *ret, size_t size)
{
    uint64_t n = ++m->last_number;
    snprintf(ret, size, "%016llx%08llx", (unsigned long long)ft_rand_mix(n), (unsigned long long)n);
}

int mem_take(struct mem *m, int64_t n, struct ft_err *err)
{
    if (atomic_fetch_add(&m->bytes, n) + n > m->bytes_max && n > 0) {
        atomic_fetch_sub(&m->bytes, n);
        return ft_err_set(err, FT_ELIMIT, "the store is full: %lld bytes", (long long)m->bytes_max);
    }
    return 0;
}

/* ---- buckets ---- */

int mem_bucket(struct mem *m, const char *name, struct bucket **ret, struct ft_err *err)
{
    struct bucket *k = m->buckets;
    while (k != NULL && strcmp(k->facts.name, name) != 0)
        k = k->next;
    *ret = k;
    if (k != NULL)
        return 0;
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: no such bucket", name);
}

int mem_bucket_to_change(struct mem *m, const char *name, struct bucket **ret, struct ft_err *err)
{
    *ret = NULL;
    if (m->broken)
        return ft_err_set(err, FT_EIO, "the store was told to fail");
    return mem_bucket(m, name, ret, err);
}

static void bucket_free(struct bucket *k)
{
    while (k->documents != NULL) {
        struct document *d = k->documents;
        k->documents = d->next;
        free(d->what);
        free(d->text);
        free(d);
    }
    while (k->uploads != NULL) {
        struct upload *u = k->uploads;
        k->uploads = u->next;
        mem_upload_free(u);
    }
    for (size_t i = 0; i < k->n_entries; i++) {
        mem_versions_free(k->entries[i].newest);
        free(k->entries[i].key);
    }
    free(k->entries);
    free(k);
}

static int bucket_create(struct mem *m, const char *name, const char *owner, struct ft_err *err)
{
    struct bucket **at = &m->buckets;
    if (m->broken)
        return ft_err_set(err, FT_EIO, "the store was told to fail");
    while (*at != NULL && strcmp((*at)->facts.name, name) < 0)
        at = &(*at)->next;
    if (*at != NULL && strcmp((*at)->facts.name, name) == 0)
        return ft_blob_err(err, FT_EEXIST, FT_BLOB_BUCKET_IS_THERE, "bucket %s is there already",
                           name);
    struct bucket *k = calloc(1, sizeof *k);
    if (k == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a bucket");
    snprintf(k->facts.name, sizeof k->facts.name, "%s", name);
    snprintf(k->facts.owner, sizeof k->facts.owner, "%s", owner);
    k->facts.created_ns = mem_now_ns();
    k->next = *at;
    *at = k;
    return 0;
}

static int mem_bucket_create(struct ft_blob *b, const char *name, const char *owner,
                             struct ft_err *err)
{
    struct mem *m = mem_of(b);
    pthread_mutex_lock(&m->lock);
    int rc = bucket_create(m, name, owner, err);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int mem_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, name, &k, err);
    if (rc == 0 && k->n_entries > 0)
        rc = ft_blob_err(err, FT_EBUSY, FT_BLOB_BUCKET_FULL, "bucket %s is not empty", name);
    if (rc == 0) {
        struct bucket **at = &m->buckets;
        while (*at != k)
            at = &(*at)->next;
        *at = k->next;
        bucket_free(k);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int mem_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                          struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket(m, name, &k, err);
    if (rc == 0)
        *ret = k->facts;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* The callbacks come without the lock, from a copy. */
static int mem_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                           struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct ft_blob_bucket *found = NULL;
    size_t n = 0;
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    for (struct bucket *k = m->buckets; k != NULL; k = k->next)
        n++;
    found = malloc((n + 1) * sizeof *found);
    n = 0;
    for (struct bucket *k = m->buckets; found != NULL && k != NULL; k = k->next)
        if (owner == NULL || strcmp(owner, k->facts.owner) == 0)
            found[n++] = k->facts;
    pthread_mutex_unlock(&m->lock);
    if (found == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of buckets");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = fn(ctx, &found[i]);
    free(found);
    return rc;
}

static int mem_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                     struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, name, &k, err);
    if (rc == 0)
        k->facts.versioning = v;
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static struct document **document_find(struct bucket *k, const char *what)
{
    struct document **at = &k->documents;
    while (*at != NULL && strcmp((*at)->what, what) != 0)
        at = &(*at)->next;
    return at;
}

static int document_set(struct bucket *k, const char *what, const char *text, struct ft_err *err)
{
    struct document **at = document_find(k, what), *d = *at;
    if (text == NULL) {
        if (d != NULL) {
            *at = d->next;
            free(d->what);
            free(d->text);
            free(d);
        }
        return 0;
    }
    char *copy = strdup(text);
    if (copy != NULL && d == NULL) {
        d = calloc(1, sizeof *d);
        if (d != NULL && (d->what = strdup(what)) != NULL) {
            *at = d;
        } else {
            free(d);
            free(copy);
            copy = NULL;
        }
    }
    if (copy == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a document");
    free(d->text);
    d->text = copy;
    return 0;
}

static int mem_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                          struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, name, &k, err);
    if (rc == 0)
        rc = document_set(k, what, text, err);
    pthread_mutex_unlock(&m->lock);
    return rc;
}

static int mem_bucket_config(struct ft_blob *b, const char *name, const char *what,
                             struct ft_buf *ret, struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket(m, name, &k, err);
    if (rc == 0 && *document_find(k, what) != NULL) {
        rc = ft_buf_add_str(ret, (*document_find(k, what))->text);
        rc = rc == 0 ? 1 : ft_err_set(err, rc, "document %s of bucket %s", what, name);
    }
    pthread_mutex_unlock(&m->lock);
    return rc;
}

/* ---- the whole ---- */

static void add_bucket(const struct bucket *k, struct ft_blob_usage *sum)
{
    for (size_t i = 0; i < k->n_entries; i++)
        for (struct version *v = k->entries[i].newest; v != NULL; v = v->older) {
            sum->objects++;
            sum->bytes += v->o.info.size;
        }
    for (struct upload *u = k->uploads; u != NULL; u = u->next)
        for (int i = 0; i < u->n_pieces; i++) {
            sum->objects++;
            sum->bytes += u->pieces[i].size;
        }
}

static int mem_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                     struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct ft_blob_usage sum = {0};
    (void)err; /* counting cannot fail here */
    pthread_mutex_lock(&m->lock);
    for (struct bucket *k = m->buckets; k != NULL; k = k->next) {
        if (owner != NULL && strcmp(owner, k->facts.owner) != 0)
            continue;
        add_bucket(k, &sum);
    }
    pthread_mutex_unlock(&m->lock);
    *ret = sum;
    return 0;
}

static int mem_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                            struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct ft_blob_usage sum = {0};
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket(m, name, &k, err);
    if (rc == 0)
        add_bucket(k, &sum);
    pthread_mutex_unlock(&m->lock);
    if (rc == 0)
        *ret = sum;
    return rc;
}

static void scrub_version(const struct bucket *k, const struct version *v,
                          const struct ft_blob_scrub *s, struct ft_blob_scrubbed *sum)
{
    struct ft_err err;
    sum->objects++;
    sum->bytes += v->o.info.size;
    if (v->content == NULL || mem_content_check(v->content, &err) == 0)
        return;
    sum->faults++;
    if (s->fault != NULL)
        s->fault(s->ctx,
                 &(struct ft_blob_fault){k->facts.name, v->o.info.key, v->o.info.version, err.msg});
}

/* At once, whatever bytes_per_s says: memory has nothing to spare others. */
static int mem_scrub(struct ft_blob *b, const struct ft_blob_scrub *s, struct ft_blob_scrubbed *ret,
                     struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct ft_blob_scrubbed sum = {0};
    int rc = 0;
    pthread_mutex_lock(&m->lock);
    for (struct bucket *k = m->buckets; rc == 0 && k != NULL; k = k->next)
        for (size_t i = 0; rc == 0 && i < k->n_entries; i++) {
            for (struct version *v = k->entries[i].newest; v != NULL; v = v->older)
                scrub_version(k, v, s, &sum);
            if (s->stop != NULL && s->stop(s->ctx))
                rc = ft_err_set(err, FT_ECANCELED, "stopped");
        }
    pthread_mutex_unlock(&m->lock);
    *ret = sum;
    return rc;
}

static void mem_close(struct ft_blob *b)
{
    struct mem *m = mem_of(b);
    while (m->buckets != NULL) {
        struct bucket *k = m->buckets;
        m->buckets = k->next;
        bucket_free(k);
    }
    FT_ASSERT(atomic_load(&m->bytes) == 0); /* a writer or reader is open, or bytes were lost */
    pthread_mutex_destroy(&m->lock);
    free(m);
}

void ft_blob_mem_damage(struct ft_blob *b, const char *bucket, const char *key)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct version *v = NULL;
    pthread_mutex_lock(&m->lock);
    if (mem_bucket(m, bucket, &k, NULL) == 0)
        mem_version_find(k, key, NULL, &v, NULL);
    FT_ASSERT(v != NULL && v->content->size > 0);
    v->content->bytes[v->content->size / 2] ^= 1;
    pthread_mutex_unlock(&m->lock);
}

void ft_blob_mem_break(struct ft_blob *b, bool broken)
{
    struct mem *m = mem_of(b);
    pthread_mutex_lock(&m->lock);
    m->broken = broken;
    pthread_mutex_unlock(&m->lock);
}

static const struct ft_blob_ops ops = {
    .name = "memory",
    .bucket_create = mem_bucket_create,
    .bucket_delete = mem_bucket_delete,
    .bucket_get = mem_bucket_get,
    .bucket_list = mem_bucket_list,
    .bucket_set_versioning = mem_bucket_set_versioning,
    .bucket_set = mem_bucket_set,
    .bucket_config = mem_bucket_config,
    .put = mem_put,
    .put_write = mem_put_write,
    .put_commit = mem_put_commit,
    .put_abort = mem_put_abort,
    .copy = mem_copy,
    .remove = mem_remove,
    .annotate = mem_annotate,
    .head = mem_head,
    .open = mem_open,
    .reader_info = mem_reader_info,
    .read = mem_read,
    .close_reader = mem_close_reader,
    .link = mem_link,
    .list = mem_list,
    .upload_begin = mem_upload_begin,
    .upload_get = mem_upload_get,
    .upload_complete = mem_upload_complete,
    .upload_abort = mem_upload_abort,
    .upload_parts = mem_upload_parts,
    .uploads = mem_uploads,
    .part_of = mem_part_of,
    .usage = mem_usage,
    .bucket_usage = mem_bucket_usage,
    .scrub = mem_scrub,
    .close = mem_close,
};

int ft_blob_mem_open(int64_t bytes_max, struct ft_blob **ret, struct ft_err *err)
{
    struct mem *m = calloc(1, sizeof *m);
    if (m == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a store");
    m->base.ops = &ops;
    m->bytes_max = bytes_max > 0 ? bytes_max : MEM_BYTES_DEFAULT;
    pthread_mutex_init(&m->lock, NULL);
    *ret = &m->base;
    return 0;
}
