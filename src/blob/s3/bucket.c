/* Buckets over S3: facts and documents lie in the hidden bucket, and in memory as this process is
 * the only one that changes them. */
#include <jansson.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "blob/s3/impl.h"
#include "net/xml.h"

#define DOC_KEY_MAX  256
#define VERSIONS_MAX (1u << 20)

/* ---- names ---- */

/* Ours may be what S3 does not take (capitals, '.', 63 bytes with the prefix): those are hashed. */
static void upstream_name(const struct ups *s, const char *name, char ret[FT_BLOB_BUCKET_MAX + 1])
{
    size_t n = strlen(name);
    bool plain = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == n && name[0] != '-' &&
                 name[n - 1] != '-' && n + strlen(s->prefix) <= FT_BLOB_BUCKET_MAX &&
                 strncmp(name, "feitian-", 8) != 0;
    if (plain) {
        strcpy(ret, s->prefix);
        strcat(ret, name);
        return;
    }
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&ctx);
    sha256_update(&ctx, n, (const uint8_t *)name);
    sha256_digest(&ctx, sizeof digest, digest);
    int at = snprintf(ret, FT_BLOB_BUCKET_MAX + 1, "%sfeitian-", s->prefix);
    for (int i = 0; i < 16; i++)
        at += snprintf(ret + at, 3, "%02x", digest[i]);
}

static void bucket_key(char ret[DOC_KEY_MAX], const char *name)
{
    snprintf(ret, DOC_KEY_MAX, "bucket/%s", name);
}

static void document_key(char ret[DOC_KEY_MAX], const char *name, const char *what)
{
    snprintf(ret, DOC_KEY_MAX, "config/%s/%s", name, what);
}

/* ---- the table ---- */

void ups_bucket_free(struct ups_bucket *k)
{
    while (k->documents != NULL) {
        struct ups_document *d = k->documents;
        k->documents = d->next;
        free(d->what);
        free(d->text);
        free(d);
    }
    free(k);
}

struct ups_bucket *ups_bucket_find(struct ups *s, const char *name)
{
    for (size_t i = 0; i < s->n_buckets; i++)
        if (strcmp(s->buckets[i]->facts.name, name) == 0)
            return s->buckets[i];
    return NULL;
}

/* Takes k over. */
static int table_add(struct ups *s, struct ups_bucket *k, struct ft_err *err)
{
    struct ups_bucket **more = realloc(s->buckets, (s->n_buckets + 1) * sizeof *more);
    if (more == NULL) {
        ups_bucket_free(k);
        return ft_err_set(err, FT_ENOMEM, "no memory for a bucket");
    }
    s->buckets = more;
    size_t at = s->n_buckets++;
    for (; at > 0 && strcmp(more[at - 1]->facts.name, k->facts.name) > 0; at--)
        more[at] = more[at - 1];
    more[at] = k;
    return 0;
}

static void table_drop(struct ups *s, const char *name)
{
    for (size_t i = 0; i < s->n_buckets; i++)
        if (strcmp(s->buckets[i]->facts.name, name) == 0) {
            ups_bucket_free(s->buckets[i]);
            s->n_buckets--;
            memmove(&s->buckets[i], &s->buckets[i + 1],
                    (s->n_buckets - i) * sizeof(struct ups_bucket *));
            return;
        }
}

static int facts_keep(struct ups *s, const struct ft_blob_bucket *facts, bool held,
                      struct ft_err *err)
{
    char key[DOC_KEY_MAX];
    json_t *j = json_pack("{s:s,s:I,s:i,s:b}", "owner", facts->owner, "created_ns",
                          (json_int_t)facts->created_ns, "versioning", (int)facts->versioning,
                          "held", (int)held);
    char *text = j != NULL ? json_dumps(j, JSON_COMPACT) : NULL;
    json_decref(j);
    if (text == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a document");
    bucket_key(key, facts->name);
    int rc = ups_doc_put(s, key, text, err);
    free(text);
    return rc;
}

struct loading {
    struct ups *s;
    struct ft_err *err;
};

static int load_one(void *ctx, const char *key, int64_t modified_s)
{
    struct loading *l = ctx;
    const char *name = key + strlen("bucket/"), *owner = NULL;
    char *text = NULL;
    json_int_t created = 0;
    int versioning = 0, held = 0;
    (void)modified_s;
    int rc = ups_doc_get(l->s, key, &text, l->err);
    if (rc <= 0)
        return rc;
    json_t *j = json_loads(text, 0, NULL);
    struct ups_bucket *k = calloc(1, sizeof *k);
    if (k == NULL || j == NULL || strlen(name) > FT_BLOB_BUCKET_MAX ||
        json_unpack(j, "{s:s,s:I,s:i,s:b}", "owner", &owner, "created_ns", &created, "versioning",
                    &versioning, "held", &held) != 0) {
        free(k);
        rc = ft_err_set(l->err, FT_ECORRUPT, "document %s: not what was written there", key);
    } else {
        snprintf(k->facts.name, sizeof k->facts.name, "%s", name);
        snprintf(k->facts.owner, sizeof k->facts.owner, "%s", owner);
        k->facts.created_ns = created;
        k->facts.versioning = (enum ft_blob_versioning)versioning;
        k->held = held != 0;
        upstream_name(l->s, name, k->upstream);
        rc = table_add(l->s, k, l->err);
    }
    json_decref(j);
    free(text);
    return rc;
}

int ups_buckets_load(struct ups *s, struct ft_err *err)
{
    struct loading l = {s, err};
    return ups_docs(s, "bucket/", load_one, &l, err);
}

/* ---- buckets ---- */

static int change_upstream(struct ups *s, const char *method, const char *upstream,
                           const char *what, const char *body, struct ft_err *err)
{
    struct ft_ups_request q;
    ft_ups_request_init(&q, method, upstream, NULL);
    if (what != NULL)
        ft_ups_query(&q, what, NULL);
    if (body != NULL)
        ft_ups_body(&q, body, strlen(body));
    int rc = ft_ups_do(&s->server, &q, upstream, NULL, err);
    ft_ups_request_fini(&q);
    return rc;
}

int ups_bucket_make(struct ups *s, const char *upstream, struct ft_err *err)
{
    char body[256];
    struct ft_err why;
    bool elsewhere = strcmp(s->server.region, "us-east-1") != 0; /* which must not be named */
    snprintf(body, sizeof body,
             "<CreateBucketConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
             "<LocationConstraint>%.64s</LocationConstraint></CreateBucketConfiguration>",
             s->server.region);
    int rc = change_upstream(s, "PUT", upstream, NULL, elsewhere ? body : NULL, &why);
    if (rc == FT_EEXIST)
        return 0;
    if (rc != 0 && err != NULL)
        *err = why;
    return rc;
}

/* Buckets are made and removed one at a time: the lock of the key "" stands for that. */
int ups_bucket_create(struct ft_blob *b, const char *name, const char *owner, struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place there;
    struct timespec now;
    pthread_mutex_t *lock = ups_key_lock(s, name, "");
    struct ups_bucket *k = calloc(1, sizeof *k);
    if (k == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a bucket");
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(k->facts.name, sizeof k->facts.name, "%s", name);
    snprintf(k->facts.owner, sizeof k->facts.owner, "%s", owner);
    k->facts.created_ns = (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
    upstream_name(s, name, k->upstream);
    pthread_mutex_lock(lock);
    int rc = 0;
    if (ups_place(s, name, &there, NULL) == 0)
        rc = ft_blob_err(err, FT_EEXIST, FT_BLOB_BUCKET_IS_THERE, "bucket %s is there already",
                         name);
    if (rc == 0)
        rc = ups_bucket_make(s, k->upstream, err);
    if (rc == 0)
        rc = facts_keep(s, &k->facts, false, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->lock);
        rc = table_add(s, k, err);
        pthread_mutex_unlock(&s->lock);
        k = NULL;
    }
    pthread_mutex_unlock(lock);
    if (k != NULL)
        ups_bucket_free(k);
    return rc;
}

static int stop_at_first(void *ctx, const struct ft_blob_info *info, const char *prefix)
{
    (void)info;
    (void)prefix;
    *(bool *)ctx = true;
    return 0;
}

struct uploads_end {
    struct ups *s;
    const struct ups_place *p;
    struct ft_err *err;
};

static int upload_end(void *ctx, const struct ft_blob_upload *u, const char *prefix)
{
    struct uploads_end *e = ctx;
    (void)prefix;
    int rc = ups_native_abort(e->s, e->p, u->key, u->id, e->err);
    if (rc == 0 || rc == FT_ENOTFOUND)
        rc = ups_upload_forget(e->s, e->p->name, u->key, u->id, e->err);
    return rc;
}

static int bucket_delete(struct ups *s, const struct ups_place *p, struct ft_err *err)
{
    struct uploads_end ending = {s, p, err};
    struct ft_blob_list first = {.bucket = p->name, .max = 1};
    struct ft_blob_list all = {.bucket = p->name, .max = FT_BLOB_LIST_MAX};
    char key[DOC_KEY_MAX];
    bool some = false, more = true;
    int rc = ups_list(&s->base, &first, true, stop_at_first, &some, &more, err);
    if (rc == 0 && some)
        rc = ft_blob_err(err, FT_EBUSY, FT_BLOB_BUCKET_FULL, "bucket %s is not empty", p->name);
    for (more = true; rc == 0 && more;) /* what is listed is gone afterwards */
        rc = ups_uploads(&s->base, &all, upload_end, &ending, &more, err);
    if (rc == 0)
        rc = change_upstream(s, "DELETE", p->upstream, NULL, NULL, err);
    if (rc == FT_ENOTFOUND)
        rc = 0;
    snprintf(key, sizeof key, "config/%s/", p->name);
    if (rc == 0)
        rc = ups_docs_remove(s, key, err);
    bucket_key(key, p->name);
    if (rc == 0)
        rc = ups_doc_remove(s, key, err);
    return rc;
}

int ups_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    pthread_mutex_t *lock = ups_key_lock(s, name, "");
    pthread_mutex_lock(lock);
    int rc = ups_place(s, name, &p, err);
    if (rc == 0)
        rc = bucket_delete(s, &p, err);
    if (rc == 0) {
        pthread_mutex_lock(&s->lock);
        table_drop(s, name);
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(lock);
    return rc;
}

static int no_bucket(const char *name, struct ft_err *err)
{
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: no such bucket", name);
}

int ups_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                   struct ft_err *err)
{
    struct ups *s = ups_of(b);
    pthread_mutex_lock(&s->lock);
    const struct ups_bucket *k = ups_bucket_find(s, name);
    if (k != NULL)
        *ret = k->facts;
    pthread_mutex_unlock(&s->lock);
    return k != NULL ? 0 : no_bucket(name, err);
}

int ups_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                    struct ft_err *err)
{
    struct ups *s = ups_of(b);
    size_t n = 0;
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    struct ft_blob_bucket *found = malloc((s->n_buckets + 1) * sizeof *found);
    for (size_t i = 0; found != NULL && i < s->n_buckets; i++)
        if (owner == NULL || strcmp(s->buckets[i]->facts.owner, owner) == 0)
            found[n++] = s->buckets[i]->facts;
    pthread_mutex_unlock(&s->lock);
    if (found == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a list of buckets");
    for (size_t i = 0; i < n && rc == 0; i++)
        rc = fn(ctx, &found[i]);
    free(found);
    return rc;
}

/* Upstream first, then the document, then memory. */
int ups_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                              struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    struct ft_blob_bucket facts;
    char body[256];
    pthread_mutex_t *lock = ups_key_lock(s, name, "");
    snprintf(body, sizeof body,
             "<VersioningConfiguration xmlns=\"http://s3.amazonaws.com/doc/2006-03-01/\">"
             "<Status>%s</Status></VersioningConfiguration>",
             v == FT_BLOB_VERSIONED ? "Enabled" : "Suspended");
    pthread_mutex_lock(lock);
    int rc = ups_place(s, name, &p, err);
    if (rc == 0)
        rc = ups_bucket_get(b, name, &facts, err);
    if (rc == 0)
        rc = change_upstream(s, "PUT", p.upstream, "versioning", body, err);
    if (rc == 0) {
        facts.versioning = v;
        rc = facts_keep(s, &facts, p.held, err);
    }
    if (rc == 0) {
        pthread_mutex_lock(&s->lock);
        struct ups_bucket *k = ups_bucket_find(s, name);
        if (k != NULL)
            k->facts.versioning = v;
        pthread_mutex_unlock(&s->lock);
    }
    pthread_mutex_unlock(lock);
    return rc;
}

int ups_bucket_held(struct ups *s, struct ups_place *p, struct ft_err *err)
{
    struct ft_blob_bucket facts;
    if (p->held)
        return 0;
    int rc = ups_bucket_get(&s->base, p->name, &facts, err);
    if (rc == 0)
        rc = facts_keep(s, &facts, true, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&s->lock);
    struct ups_bucket *k = ups_bucket_find(s, p->name);
    if (k != NULL)
        k->held = true;
    pthread_mutex_unlock(&s->lock);
    p->held = true;
    return 0;
}

void ups_bucket_added(struct ups *s, const char *name, int64_t bytes)
{
    pthread_mutex_lock(&s->lock);
    struct ups_bucket *k = ups_bucket_find(s, name);
    if (k != NULL) {
        k->usage.bytes += bytes;
        k->usage.objects++;
    }
    pthread_mutex_unlock(&s->lock);
}

/* ---- documents ---- */

static struct ups_document *document_find(const struct ups_bucket *k, const char *what)
{
    struct ups_document *d = k->documents;
    while (d != NULL && strcmp(d->what, what) != 0)
        d = d->next;
    return d;
}

/* Remembers a document (text is copied; NULL: that there is none), if the bucket is still there. */
static int remember(struct ups *s, const char *name, const char *what, const char *text,
                    struct ft_err *err)
{
    char *copy = text != NULL ? strdup(text) : NULL;
    struct ups_document *made = calloc(1, sizeof *made);
    if (made != NULL)
        made->what = strdup(what);
    if ((text != NULL && copy == NULL) || made == NULL || made->what == NULL) {
        free(copy);
        free(made);
        return ft_err_set(err, FT_ENOMEM, "no memory for a document");
    }
    pthread_mutex_lock(&s->lock);
    struct ups_bucket *k = ups_bucket_find(s, name);
    struct ups_document *d = k != NULL ? document_find(k, what) : NULL;
    if (d != NULL) {
        char *old = d->text;
        d->text = copy;
        copy = old;
    } else if (k != NULL) {
        made->text = copy;
        made->next = k->documents;
        k->documents = made;
        made = NULL;
        copy = NULL;
    }
    pthread_mutex_unlock(&s->lock);
    free(copy);
    if (made != NULL)
        free(made->what);
    free(made);
    return 0;
}

int ups_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                   struct ft_err *err)
{
    struct ups *s = ups_of(b);
    struct ups_place p;
    char key[DOC_KEY_MAX];
    pthread_mutex_t *lock = ups_key_lock(s, name, "");
    document_key(key, name, what);
    pthread_mutex_lock(lock);
    int rc = ups_place(s, name, &p, err);
    if (rc == 0)
        rc = text != NULL ? ups_doc_put(s, key, text, err) : ups_doc_remove(s, key, err);
    if (rc == 0)
        rc = remember(s, name, what, text, err);
    pthread_mutex_unlock(lock);
    return rc;
}

/* 1 or 0 if it is known whether there is one; -1: it is not. */
static int known(struct ups *s, const char *name, const char *what, struct ft_buf *ret,
                 struct ft_err *err, bool *ret_known)
{
    int rc = 0;
    pthread_mutex_lock(&s->lock);
    const struct ups_bucket *k = ups_bucket_find(s, name);
    const struct ups_document *d = k != NULL ? document_find(k, what) : NULL;
    *ret_known = k == NULL || d != NULL;
    if (k == NULL) {
        rc = no_bucket(name, err);
    } else if (d != NULL && d->text != NULL) {
        rc = ft_buf_add_str(ret, d->text);
        rc = rc == 0 ? 1 : ft_err_set(err, rc, "document %s of bucket %s", what, name);
    }
    pthread_mutex_unlock(&s->lock);
    return rc;
}

int ups_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                      struct ft_err *err)
{
    struct ups *s = ups_of(b);
    char key[DOC_KEY_MAX], *text = NULL;
    bool is_known;
    int rc = known(s, name, what, ret, err, &is_known);
    if (is_known)
        return rc;
    pthread_mutex_t *lock = ups_key_lock(s, name, "");
    document_key(key, name, what);
    pthread_mutex_lock(lock);
    rc = ups_doc_get(s, key, &text, err);
    if (rc >= 0)
        rc = remember(s, name, what, rc == 1 ? text : NULL, err);
    pthread_mutex_unlock(lock);
    free(text);
    return rc < 0 ? rc : known(s, name, what, ret, err, &is_known);
}
