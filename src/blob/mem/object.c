/* Contents, versions and keys of the store in memory. */
#include <nettle/md5.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/crc32c.h"
#include "base/hex.h"
#include "blob/mem/impl.h"

/* ---- contents ---- */

struct content *mem_content_ref(struct content *c)
{
    if (c != NULL)
        atomic_fetch_add(&c->refs, 1);
    return c;
}

void mem_pieces_free(struct piece *p, int n)
{
    for (int i = 0; i < n; i++) {
        ft_blob_object_fini(&p[i].o);
        mem_content_unref(p[i].content);
    }
    free(p);
}

void mem_content_unref(struct content *c)
{
    if (c == NULL || atomic_fetch_sub(&c->refs, 1) > 1)
        return;
    mem_take(c->mem, -c->size, NULL);
    mem_pieces_free(c->pieces, c->n_pieces);
    free(c->bytes);
    free(c);
}

int mem_content_new(struct mem *m, unsigned char *bytes, int64_t size, struct content **ret,
                    struct ft_err *err)
{
    struct content *c = calloc(1, sizeof *c);
    if (c == NULL) {
        free(bytes);
        mem_take(m, -size, NULL);
        return ft_err_set(err, FT_ENOMEM, "no memory for an object");
    }
    c->refs = 1;
    c->mem = m;
    c->bytes = bytes;
    c->size = size;
    c->crc = ft_crc32c(0, bytes, (size_t)size);
    *ret = c;
    return 0;
}

int mem_content_check(const struct content *c, struct ft_err *err)
{
    if (ft_crc32c(0, c->bytes, (size_t)c->size) == c->crc)
        return 0;
    return ft_err_set(err, FT_ECORRUPT, "its bytes changed since they were written");
}

void mem_md5_hex(const void *bytes, size_t n, char ret[33])
{
    struct md5_ctx ctx;
    uint8_t digest[MD5_DIGEST_SIZE];
    md5_init(&ctx);
    md5_update(&ctx, n, bytes);
    md5_digest(&ctx, sizeof digest, digest);
    ft_hex(digest, sizeof digest, ret);
}

/* ---- keys ---- */

struct entry *mem_entry_find(struct bucket *k, const char *key, size_t *ret_at)
{
    size_t lo = 0, hi = k->n_entries;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = strcmp(k->entries[mid].key, key);
        if (c == 0)
            lo = hi = mid;
        else if (c < 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (ret_at != NULL)
        *ret_at = lo;
    return lo < k->n_entries && strcmp(k->entries[lo].key, key) == 0 ? &k->entries[lo] : NULL;
}

static struct entry *entry_make(struct bucket *k, const char *key)
{
    size_t at;
    struct entry *e = mem_entry_find(k, key, &at);
    if (e != NULL)
        return e;
    if (k->n_entries == k->cap_entries) {
        size_t cap = k->cap_entries == 0 ? 64 : 2 * k->cap_entries;
        struct entry *more = realloc(k->entries, cap * sizeof *more);
        if (more == NULL)
            return NULL;
        k->entries = more;
        k->cap_entries = cap;
    }
    char *copy = strdup(key);
    if (copy == NULL)
        return NULL;
    e = &k->entries[at];
    memmove(e + 1, e, (k->n_entries - at) * sizeof *e);
    k->n_entries++;
    *e = (struct entry){.key = copy};
    return e;
}

static void entry_drop_if_empty(struct bucket *k, struct entry *e)
{
    if (e->newest != NULL)
        return;
    free(e->key);
    k->n_entries--;
    memmove(e, e + 1, (size_t)(&k->entries[k->n_entries] - e) * sizeof *e);
}

/* ---- versions ---- */

static void version_free(struct version *v)
{
    ft_blob_object_fini(&v->o);
    mem_content_unref(v->content);
    free(v);
}

void mem_versions_free(struct version *v)
{
    while (v != NULL) {
        struct version *older = v->older;
        version_free(v);
        v = older;
    }
}

static struct version **version_slot(struct entry *e, const char *id)
{
    struct version **at = &e->newest;
    while (*at != NULL && strcmp((*at)->o.info.version, id) != 0)
        at = &(*at)->older;
    return at;
}

int mem_version_find(struct bucket *k, const char *key, const char *id, struct version **ret,
                     struct ft_err *err)
{
    struct entry *e = mem_entry_find(k, key, NULL);
    struct version *v = e == NULL ? NULL : id == NULL ? e->newest : *version_slot(e, id);
    if (v == NULL && id != NULL)
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_VERSION, "key %s has no version %s", key,
                           id);
    if (v == NULL || (v->o.info.is_marker && id == NULL))
        return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_KEY, "key %s is not there", key);
    *ret = v;
    if (v->o.info.is_marker)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_IS_MARKER, "version %s is a delete marker", id);
    return 0;
}

static void latest_is(struct entry *e)
{
    for (struct version *v = e->newest; v != NULL; v = v->older)
        v->o.info.is_latest = v == e->newest;
}

/* Where there are no versions, or none any more, a new one takes the place of the one named null;
 * which a hold forbids. */
static int null_check(struct bucket *k, const char *key, struct ft_err *err)
{
    struct entry *e = mem_entry_find(k, key, NULL);
    struct version *old = e == NULL ? NULL : *version_slot(e, "null");
    if (k->facts.versioning == FT_BLOB_VERSIONED || old == NULL)
        return 0;
    return ft_blob_hold_check(&old->o.info.hold, mem_now_ns() / 1000000000, false, err);
}

static void version_unlink(struct version **at)
{
    struct version *v = *at;
    *at = v->older;
    version_free(v);
}

int mem_version_put(struct mem *m, struct bucket *k, struct ft_blob_object *o,
                    struct content *content, const struct ft_blob_condition *condition,
                    struct ft_blob_done *ret, struct ft_err *err)
{
    struct entry *e = mem_entry_find(k, o->info.key, NULL);
    int rc = ft_blob_condition_check(condition, e != NULL ? &e->newest->o.info : NULL, err);
    if (rc == 0)
        rc = null_check(k, o->info.key, err);
    if (rc != 0)
        return rc;
    struct version *v = calloc(1, sizeof *v);
    if (v == NULL || (e = entry_make(k, o->info.key)) == NULL) {
        free(v);
        return ft_err_set(err, FT_ENOMEM, "no memory for a version");
    }
    if (k->facts.versioning == FT_BLOB_VERSIONED) {
        mem_new_id(m, o->info.version, sizeof o->info.version);
    } else {
        strcpy(o->info.version, "null");
        struct version **old = version_slot(e, "null");
        if (*old != NULL)
            version_unlink(old);
    }
    o->info.modified_ns = mem_now_ns();
    v->o = *o;
    *o = (struct ft_blob_object){.memory = NULL};
    v->content = content;
    v->older = e->newest;
    e->newest = v;
    latest_is(e);
    *ret = (struct ft_blob_done){.size = v->o.info.size, .modified_ns = v->o.info.modified_ns};
    strcpy(ret->version, v->o.info.version);
    strcpy(ret->etag, v->o.info.etag);
    return 0;
}

/* ---- removing ---- */

static int remove_version(struct bucket *k, const struct ft_blob_delete *d,
                          struct ft_blob_deleted *ret, struct ft_err *err)
{
    struct entry *e = mem_entry_find(k, d->key, NULL);
    struct version **at = e != NULL ? version_slot(e, d->version) : NULL;
    struct version *v = at != NULL ? *at : NULL;
    int rc = ft_blob_condition_check(&d->condition, v != NULL ? &v->o.info : NULL, err);
    if (rc == 0 && v != NULL)
        rc = ft_blob_hold_check(&v->o.info.hold, mem_now_ns() / 1000000000, d->bypass, err);
    if (rc != 0)
        return rc;
    snprintf(ret->version, sizeof ret->version, "%s", d->version);
    if (v == NULL)
        return 0;
    ret->is_marker = v->o.info.is_marker;
    version_unlink(at);
    latest_is(e);
    entry_drop_if_empty(k, e);
    return 0;
}

static int remove_latest(struct mem *m, struct bucket *k, const struct ft_blob_delete *d,
                         struct ft_blob_deleted *ret, struct ft_err *err)
{
    if (k->facts.versioning == FT_BLOB_UNVERSIONED) {
        struct ft_blob_delete named = *d;
        named.version = "null";
        int rc = remove_version(k, &named, ret, err);
        ret->version[0] = '\0';
        return rc;
    }
    struct ft_blob_object o;
    struct ft_blob_done done;
    struct ft_blob_info marker = {.key = d->key, .is_marker = true, .acl = ""};
    int rc = ft_blob_object_set(&o, &marker, NULL, 0, err);
    if (rc == 0 && (rc = mem_version_put(m, k, &o, NULL, &d->condition, &done, err)) != 0)
        ft_blob_object_fini(&o);
    if (rc != 0)
        return rc;
    strcpy(ret->version, done.version);
    ret->is_marker = true;
    return 0;
}

int mem_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
               struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct ft_blob_deleted made = {.is_marker = false};
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, d->bucket, &k, err);
    if (rc == 0)
        rc = d->version != NULL ? remove_version(k, d, &made, err)
                                : remove_latest(m, k, d, &made, err);
    pthread_mutex_unlock(&m->lock);
    if (rc == 0 && ret != NULL)
        *ret = made;
    return rc;
}

static int annotate(struct version *v, const struct ft_blob_marks *marks, struct ft_err *err)
{
    struct ft_blob_info info = v->o.info;
    struct ft_blob_object changed;
    if (marks->hold != NULL) {
        int rc = ft_blob_hold_change(&info.hold, marks->hold, mem_now_ns() / 1000000000,
                                     marks->bypass, err);
        if (rc != 0)
            return rc;
        info.hold = *marks->hold;
    }
    if (marks->tags != NULL) {
        info.tags = marks->tags;
        info.n_tags = marks->n_tags;
    }
    if (marks->acl != NULL)
        info.acl = marks->acl;
    int rc = ft_blob_object_set(&changed, &info, NULL, 0, err);
    if (rc != 0)
        return rc;
    ft_blob_object_fini(&v->o);
    v->o = changed;
    return 0;
}

int mem_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                 struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct bucket *k;
    struct version *v;
    pthread_mutex_lock(&m->lock);
    int rc = mem_bucket_to_change(m, bucket, &k, err);
    if (rc == 0)
        rc = mem_version_find(k, key, version, &v, err);
    if (rc == 0)
        rc = annotate(v, marks, err);
    if (rc == 0 && ret_version != NULL)
        strcpy(ret_version, v->o.info.version);
    pthread_mutex_unlock(&m->lock);
    return rc;
}
