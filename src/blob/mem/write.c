/* Writers and copies of the store in memory. */
#include <stdlib.h>
#include <string.h>

#include "blob/mem/impl.h"

struct writer {
    struct ft_blob_writer base;
    char bucket[FT_BLOB_BUCKET_MAX + 1];
    int64_t bucket_created_ns; /* 0: not looked for yet */
    struct ft_blob_object o;   /* as it is to be */
    char upload[FT_BLOB_UPLOAD_MAX + 1];
    int part; /* 0: an object */
    struct ft_blob_condition condition;
    char if_match[FT_BLOB_ETAG_MAX + 1], if_none_match[FT_BLOB_ETAG_MAX + 1];
    int64_t expected; /* -1: not known */
    unsigned char *bytes;
    int64_t n, cap; /* cap is what was taken of the budget */
    int failed;     /* code of the first failure; a failed writer cannot commit */
};

static void writer_free(struct writer *w)
{
    mem_take(mem_of(w->base.blob), -w->cap, NULL);
    ft_blob_object_fini(&w->o);
    free(w->bytes);
    free(w);
}

/* Is there a place for it now? */
static int place_find(struct mem *m, const struct writer *w, struct bucket **ret_bucket,
                      struct upload **ret_upload, struct ft_err *err)
{
    *ret_upload = NULL;
    int rc = mem_bucket_to_change(m, w->bucket, ret_bucket, err);
    if (rc == 0 && w->bucket_created_ns != 0 &&
        w->bucket_created_ns != (*ret_bucket)->facts.created_ns)
        rc = ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %s: is another by now",
                         w->bucket);
    if (rc == 0 && w->part > 0)
        rc = mem_upload_find(*ret_bucket, w->o.info.key, w->upload, ret_upload, err);
    return rc;
}

static const char *etag_keep(char *to, const char *etag)
{
    if (etag == NULL)
        return NULL;
    /* a longer one is nobody's ETag: shortened, it still is not */
    strncpy(to, etag, FT_BLOB_ETAG_MAX);
    return to;
}

static int writer_new(struct ft_blob *b, const struct ft_blob_put *put, struct writer **ret,
                      struct ft_err *err)
{
    struct ft_blob_info info = {.key = put->key, .fields = put->fields, .n_fields = put->n_fields};
    struct writer *w = calloc(1, sizeof *w);
    if (w == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a writer");
    w->base.blob = b;
    w->expected = put->size;
    strcpy(w->bucket, put->bucket);
    info.acl = "";
    if (put->upload != NULL) {
        w->part = put->part;
        strcpy(w->upload, put->upload);
    } else {
        info.tags = put->tags;
        info.n_tags = put->n_tags;
        info.hold = put->hold;
        info.acl = put->acl;
        w->condition = put->condition;
        w->condition.if_match = etag_keep(w->if_match, put->condition.if_match);
        w->condition.if_none_match = etag_keep(w->if_none_match, put->condition.if_none_match);
    }
    int rc = ft_blob_object_set(&w->o, &info, NULL, 0, err);
    if (rc != 0) {
        free(w);
        return rc;
    }
    *ret = w;
    return 0;
}

int mem_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
            struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct writer *w = NULL;
    struct bucket *k;
    struct upload *u;
    int rc = writer_new(b, put, &w, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&m->lock);
    rc = place_find(m, w, &k, &u, err);
    if (rc == 0)
        w->bucket_created_ns = k->facts.created_ns;
    pthread_mutex_unlock(&m->lock);
    if (rc != 0) {
        writer_free(w);
        return rc;
    }
    *ret = &w->base;
    return 0;
}

static int writer_grow(struct writer *w, int64_t need, struct ft_err *err)
{
    int64_t cap = FT_MAX(need, 2 * w->cap);
    if (need <= w->cap)
        return 0;
    int rc = mem_take(mem_of(w->base.blob), cap - w->cap, err);
    if (rc != 0)
        return rc;
    unsigned char *more = realloc(w->bytes, (size_t)cap);
    if (more == NULL) {
        mem_take(mem_of(w->base.blob), w->cap - cap, NULL);
        return ft_err_set(err, FT_ENOMEM, "no memory for an object's bytes");
    }
    w->bytes = more;
    w->cap = cap;
    return 0;
}

int mem_put_write(struct ft_blob_writer *base, const void *data, size_t n, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    int rc = 0;
    if (w->failed != 0)
        return ft_err_set(err, w->failed, "writing failed before");
    if (w->expected >= 0 && (int64_t)n > w->expected - w->n)
        rc = ft_err_set(err, FT_EINVAL, "size: more than the %lld bytes that were announced",
                        (long long)w->expected);
    if (rc == 0)
        rc = writer_grow(w, w->n + (int64_t)n, err);
    if (rc != 0) {
        w->failed = rc;
        return rc;
    }
    memcpy(w->bytes + w->n, data, n);
    w->n += (int64_t)n;
    return 0;
}

/* Puts content where the writer was to put it; both are taken over on success. */
static int place(struct mem *m, struct writer *w, struct content *content, struct ft_blob_done *ret,
                 struct ft_err *err)
{
    struct bucket *k;
    struct upload *u;
    int rc = place_find(m, w, &k, &u, err);
    if (rc != 0)
        return rc;
    if (u == NULL)
        return mem_version_put(m, k, &w->o, content, &w->condition, ret, err);
    w->o.info.modified_ns = mem_now_ns();
    *ret = (struct ft_blob_done){.size = content->size, .modified_ns = w->o.info.modified_ns};
    strcpy(ret->etag, w->o.info.etag);
    return mem_upload_put_part(u, w->part, &w->o, content, err);
}

static int commit(struct writer *w, const struct ft_blob_field *fields, int n_fields,
                  struct ft_blob_done *ret, struct ft_err *err)
{
    struct mem *m = mem_of(w->base.blob);
    struct content *content;
    struct ft_blob_object whole;
    struct ft_blob_done done;
    if (w->failed != 0)
        return ft_err_set(err, w->failed, "writing failed before");
    if (w->expected >= 0 && w->n != w->expected)
        return ft_err_set(err, FT_EINVAL, "size: %lld bytes came, %lld were announced",
                          (long long)w->n, (long long)w->expected);
    int rc = ft_blob_object_set(&whole, &w->o.info, fields, n_fields, err);
    if (rc != 0)
        return rc;
    ft_blob_object_fini(&w->o);
    w->o = whole;
    mem_md5_hex(w->bytes, (size_t)w->n, w->o.info.etag);
    w->o.info.size = w->n;
    mem_take(m, w->n - w->cap, NULL);
    unsigned char *bytes = w->bytes;
    w->bytes = NULL;
    w->cap = 0;
    rc = mem_content_new(m, bytes, w->n, &content, err);
    if (rc != 0)
        return rc;
    pthread_mutex_lock(&m->lock);
    rc = place(m, w, content, &done, err);
    pthread_mutex_unlock(&m->lock);
    if (rc != 0)
        mem_content_unref(content);
    else if (ret != NULL)
        *ret = done;
    return rc;
}

int mem_put_commit(struct ft_blob_writer *base, const struct ft_blob_field *fields, int n_fields,
                   struct ft_blob_done *ret, struct ft_err *err)
{
    struct writer *w = (struct writer *)base;
    int rc = commit(w, fields, n_fields, ret, err);
    writer_free(w);
    return rc;
}

void mem_put_abort(struct ft_blob_writer *base)
{
    writer_free((struct writer *)base);
}

/* ---- copies ---- */

/* The bytes to be copied, with what was copied from still locked out of changes. */
static int source(struct mem *m, const struct ft_blob_copy *copy, struct content **ret,
                  struct ft_err *err)
{
    struct bucket *k;
    struct version *v;
    int rc = mem_bucket(m, copy->from_bucket, &k, err);
    if (rc == 0)
        rc = mem_version_find(k, copy->from_key, copy->from_version, &v, err);
    if (rc != 0)
        return rc;
    if (copy->from_etag != NULL && strcmp(copy->from_etag, v->o.info.etag) != 0)
        return ft_blob_err(err, FT_EBUSY, FT_BLOB_CONDITION, "the source is %s now",
                           v->o.info.etag);
    int64_t size = v->content->size;
    if (copy->size >= 0 && (copy->offset > size || copy->size > size - copy->offset))
        return ft_err_set(err, FT_EINVAL, "range: behind the source's %lld bytes", (long long)size);
    *ret = mem_content_ref(v->content);
    return 0;
}

int mem_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
             struct ft_err *err)
{
    struct mem *m = mem_of(b);
    struct content *from = NULL;
    struct ft_blob_put to = copy->to;
    struct ft_blob_writer *w = NULL;
    pthread_mutex_lock(&m->lock);
    int rc = source(m, copy, &from, err);
    pthread_mutex_unlock(&m->lock);
    if (rc != 0)
        return rc;
    int64_t size = copy->size >= 0 ? copy->size : from->size;
    to.size = size;
    rc = mem_content_check(from, err);
    if (rc == 0)
        rc = mem_put(b, &to, &w, err);
    if (rc == 0 && size > 0 &&
        (rc = mem_put_write(w, from->bytes + copy->offset, (size_t)size, err)) != 0)
        mem_put_abort(w);
    if (rc == 0)
        rc = mem_put_commit(w, NULL, 0, ret, err);
    mem_content_unref(from);
    return rc;
}
