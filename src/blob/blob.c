/* The way into the seam: what callers give is looked at here once for all implementations, which
 * may then rely on bounded names, keys, fields and ranges. */
#include "blob/blob.h"

#include <string.h>

#include "base/utf8.h"
#include "blob/backend.h"

#define WHAT_MAX 64 /* bytes of the name of a bucket's document */

static bool is_bucket(const char *s)
{
    size_t n = s == NULL ? 0 : strnlen(s, FT_BLOB_BUCKET_MAX + 1);
    if (n == 0 || n > FT_BLOB_BUCKET_MAX || strcmp(s, ".") == 0 || strcmp(s, "..") == 0)
        return false;
    for (; *s != '\0'; s++)
        if (!((*s >= 'a' && *s <= 'z') || (*s >= 'A' && *s <= 'Z') || (*s >= '0' && *s <= '9') ||
              strchr("._-", *s) != NULL))
            return false;
    return true;
}

/* A name that cannot be is never there. */
static int bucket_check(const char *name, struct ft_err *err)
{
    if (is_bucket(name))
        return 0;
    return ft_blob_err(err, FT_ENOTFOUND, FT_BLOB_NO_BUCKET, "bucket %.*s: no such bucket",
                       FT_BLOB_BUCKET_MAX, name == NULL ? "" : name);
}

static int key_check(const char *key, struct ft_err *err)
{
    size_t n = key == NULL ? 0 : strnlen(key, FT_BLOB_KEY_MAX + 1);
    if (n == 0 || n > FT_BLOB_KEY_MAX)
        return ft_err_set(err, FT_EINVAL, "key: 1 to %d bytes", FT_BLOB_KEY_MAX);
    for (size_t at = 0; at < n;) {
        int len = ft_utf8_decode(key + at, n - at, NULL);
        if (len == 0)
            return ft_err_set(err, FT_EINVAL, "key: byte %zu is not UTF-8", at);
        at += (size_t)len;
    }
    return 0;
}

static int name_check(const char *bucket, const char *key, struct ft_err *err)
{
    int rc = bucket_check(bucket, err);
    return rc != 0 ? rc : key_check(key, err);
}

static int id_check(const char *id, size_t max, enum ft_blob_why why, struct ft_err *err)
{
    if (id == NULL || (id[0] != '\0' && strnlen(id, max + 1) <= max))
        return 0;
    return ft_blob_err(err, FT_ENOTFOUND, why, "%s: none of this name",
                       why == FT_BLOB_NO_UPLOAD ? "upload" : "version");
}

static int version_check(const char *version, struct ft_err *err)
{
    return id_check(version, FT_BLOB_VERSION_MAX, FT_BLOB_NO_VERSION, err);
}

static int upload_check(const char *bucket, const char *key, const char *id, struct ft_err *err)
{
    int rc = name_check(bucket, key, err);
    return rc != 0 ? rc
                   : id_check(id == NULL ? "" : id, FT_BLOB_UPLOAD_MAX, FT_BLOB_NO_UPLOAD, err);
}

static int fields_check(const char *what, const struct ft_blob_field *f, int n, struct ft_err *err)
{
    size_t bytes = 0;
    if (n < 0 || n > FT_BLOB_FIELDS_MAX)
        return ft_err_set(err, FT_ELIMIT, "%s: at most %d", what, FT_BLOB_FIELDS_MAX);
    for (int i = 0; i < n; i++)
        bytes += strlen(f[i].name) + strlen(f[i].value);
    if (bytes > FT_BLOB_FIELDS_BYTES)
        return ft_err_set(err, FT_ELIMIT, "%s: at most %u bytes together", what,
                          FT_BLOB_FIELDS_BYTES);
    return 0;
}

static int acl_check(const char *acl, struct ft_err *err)
{
    if (acl == NULL || strnlen(acl, FT_BLOB_ACL_MAX + 1) <= FT_BLOB_ACL_MAX)
        return 0;
    return ft_err_set(err, FT_ELIMIT, "acl: at most %u bytes", FT_BLOB_ACL_MAX);
}

static int put_check(const struct ft_blob_put *p, struct ft_err *err)
{
    int rc = p->upload != NULL ? upload_check(p->bucket, p->key, p->upload, err)
                               : name_check(p->bucket, p->key, err);
    if (rc == 0)
        rc = fields_check("fields", p->fields, p->n_fields, err);
    if (rc == 0)
        rc = fields_check("tags", p->tags, p->n_tags, err);
    if (rc == 0)
        rc = acl_check(p->acl, err);
    if (rc == 0 && (p->size < -1 || p->size > FT_BLOB_SIZE_MAX))
        rc = ft_err_set(err, FT_ELIMIT, "size: at most %lld bytes", (long long)FT_BLOB_SIZE_MAX);
    if (rc == 0 && p->upload != NULL && (p->part < 1 || p->part > FT_BLOB_PART_MAX))
        rc = ft_err_set(err, FT_EINVAL, "part number: 1 to %d", FT_BLOB_PART_MAX);
    return rc;
}

static int list_check(const struct ft_blob_list *l, struct ft_err *err)
{
    int rc = bucket_check(l->bucket, err);
    if (rc == 0 && (l->max < 0 || l->max > FT_BLOB_LIST_MAX))
        rc = ft_err_set(err, FT_EINVAL, "max: 0 to %d", FT_BLOB_LIST_MAX);
    return rc;
}

/* ---- buckets ---- */

int ft_blob_bucket_create(struct ft_blob *b, const char *name, const char *owner,
                          struct ft_err *err)
{
    if (!is_bucket(name))
        return ft_err_set(err, FT_EINVAL,
                          "bucket name: 1 to %d letters, digits, dots, dashes, underscores",
                          FT_BLOB_BUCKET_MAX);
    if (strlen(owner) > FT_BLOB_OWNER_MAX)
        return ft_err_set(err, FT_EINVAL, "owner: at most %d bytes", FT_BLOB_OWNER_MAX);
    return b->ops->bucket_create(b, name, owner, err);
}

int ft_blob_bucket_delete(struct ft_blob *b, const char *name, struct ft_err *err)
{
    int rc = bucket_check(name, err);
    return rc != 0 ? rc : b->ops->bucket_delete(b, name, err);
}

int ft_blob_bucket_get(struct ft_blob *b, const char *name, struct ft_blob_bucket *ret,
                       struct ft_err *err)
{
    int rc = bucket_check(name, err);
    return rc != 0 ? rc : b->ops->bucket_get(b, name, ret, err);
}

int ft_blob_bucket_list(struct ft_blob *b, const char *owner, ft_blob_buckets_fn *fn, void *ctx,
                        struct ft_err *err)
{
    return b->ops->bucket_list(b, owner, fn, ctx, err);
}

int ft_blob_bucket_set_versioning(struct ft_blob *b, const char *name, enum ft_blob_versioning v,
                                  struct ft_err *err)
{
    int rc = bucket_check(name, err);
    if (rc == 0 && v != FT_BLOB_VERSIONED && v != FT_BLOB_SUSPENDED)
        rc = ft_err_set(err, FT_EINVAL, "versioning: may be enabled or suspended");
    return rc != 0 ? rc : b->ops->bucket_set_versioning(b, name, v, err);
}

int ft_blob_bucket_set(struct ft_blob *b, const char *name, const char *what, const char *text,
                       struct ft_err *err)
{
    int rc = bucket_check(name, err);
    if (rc == 0 && (what[0] == '\0' || strlen(what) > WHAT_MAX))
        rc = ft_err_set(err, FT_EINVAL, "name of a bucket's document: 1 to %d bytes", WHAT_MAX);
    if (rc == 0 && text != NULL && strlen(text) > FT_BLOB_CONFIG_MAX)
        rc = ft_err_set(err, FT_ELIMIT, "%s: at most %u bytes", what, FT_BLOB_CONFIG_MAX);
    return rc != 0 ? rc : b->ops->bucket_set(b, name, what, text, err);
}

int ft_blob_bucket_config(struct ft_blob *b, const char *name, const char *what, struct ft_buf *ret,
                          struct ft_err *err)
{
    int rc = bucket_check(name, err);
    return rc != 0 ? rc : b->ops->bucket_config(b, name, what, ret, err);
}

/* ---- writing ---- */

int ft_blob_put(struct ft_blob *b, const struct ft_blob_put *put, struct ft_blob_writer **ret,
                struct ft_err *err)
{
    int rc = put_check(put, err);
    return rc != 0 ? rc : b->ops->put(b, put, ret, err);
}

int ft_blob_put_write(struct ft_blob_writer *w, const void *data, size_t n, struct ft_err *err)
{
    return n == 0 ? 0 : w->blob->ops->put_write(w, data, n, err);
}

int ft_blob_put_commit(struct ft_blob_writer *w, const struct ft_blob_field *fields, int n_fields,
                       struct ft_blob_done *ret, struct ft_err *err)
{
    int rc = fields_check("fields", fields, n_fields, err);
    if (rc != 0) {
        w->blob->ops->put_abort(w);
        return rc;
    }
    return w->blob->ops->put_commit(w, fields, n_fields, ret, err);
}

void ft_blob_put_abort(struct ft_blob_writer *w)
{
    if (w != NULL)
        w->blob->ops->put_abort(w);
}

int ft_blob_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
                 struct ft_err *err)
{
    struct ft_blob_put to = copy->to;
    to.size = -1;
    int rc = name_check(copy->from_bucket, copy->from_key, err);
    if (rc == 0)
        rc = version_check(copy->from_version, err);
    if (rc == 0)
        rc = put_check(&to, err);
    if (rc == 0 && (copy->offset < 0 || copy->size < -1 || (copy->size < 0 && copy->offset != 0)))
        rc = ft_err_set(err, FT_EINVAL, "copy: a range that cannot be");
    return rc != 0 ? rc : b->ops->copy(b, copy, ret, err);
}

int ft_blob_remove(struct ft_blob *b, const struct ft_blob_delete *d, struct ft_blob_deleted *ret,
                   struct ft_err *err)
{
    int rc = name_check(d->bucket, d->key, err);
    if (rc == 0)
        rc = version_check(d->version, err);
    return rc != 0 ? rc : b->ops->remove(b, d, ret, err);
}

int ft_blob_annotate(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                     const struct ft_blob_marks *marks, char ret_version[FT_BLOB_VERSION_MAX + 1],
                     struct ft_err *err)
{
    int rc = name_check(bucket, key, err);
    if (rc == 0)
        rc = version_check(version, err);
    if (rc == 0 && marks->tags != NULL)
        rc = fields_check("tags", marks->tags, marks->n_tags, err);
    if (rc == 0)
        rc = acl_check(marks->acl, err);
    return rc != 0 ? rc : b->ops->annotate(b, bucket, key, version, marks, ret_version, err);
}

/* ---- reading ---- */

int ft_blob_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 struct ft_blob_object *ret, struct ft_err *err)
{
    int rc = name_check(bucket, key, err);
    if (rc == 0)
        rc = version_check(version, err);
    return rc != 0 ? rc : b->ops->head(b, bucket, key, version, ret, err);
}

int ft_blob_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 struct ft_blob_reader **ret, struct ft_err *err)
{
    int rc = name_check(bucket, key, err);
    if (rc == 0)
        rc = version_check(version, err);
    return rc != 0 ? rc : b->ops->open(b, bucket, key, version, ret, err);
}

const struct ft_blob_info *ft_blob_reader_info(struct ft_blob_reader *r)
{
    return r->blob->ops->reader_info(r);
}

int ft_blob_read(struct ft_blob_reader *r, int64_t offset, void *data, size_t n, struct ft_err *err)
{
    int64_t size = r->blob->ops->reader_info(r)->size;
    if (offset < 0 || offset > size || n > (uint64_t)(size - offset))
        return ft_err_set(err, FT_EINVAL, "read: %zu bytes from %lld of %lld", n, (long long)offset,
                          (long long)size);
    return n == 0 ? 0 : r->blob->ops->read(r, offset, data, n, err);
}

void ft_blob_close_reader(struct ft_blob_reader *r)
{
    if (r != NULL)
        r->blob->ops->close_reader(r);
}

int ft_blob_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                 const char *path, struct ft_err *err)
{
    int rc = name_check(bucket, key, err);
    if (rc == 0)
        rc = version_check(version, err);
    return rc != 0 ? rc : b->ops->link(b, bucket, key, version, path, err);
}

int ft_blob_list(struct ft_blob *b, const struct ft_blob_list *l, bool versions,
                 ft_blob_list_fn *fn, void *ctx, bool *ret_more, struct ft_err *err)
{
    int rc = list_check(l, err);
    return rc != 0 ? rc : b->ops->list(b, l, versions, fn, ctx, ret_more, err);
}

/* ---- uploads in parts ---- */

int ft_blob_upload_begin(struct ft_blob *b, const struct ft_blob_put *put,
                         char ret_id[FT_BLOB_UPLOAD_MAX + 1], struct ft_err *err)
{
    struct ft_blob_put p = *put;
    p.upload = NULL;
    p.size = -1;
    int rc = put_check(&p, err);
    return rc != 0 ? rc : b->ops->upload_begin(b, &p, ret_id, err);
}

int ft_blob_upload_get(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                       struct ft_blob_object *ret, struct ft_err *err)
{
    int rc = upload_check(bucket, key, id, err);
    return rc != 0 ? rc : b->ops->upload_get(b, bucket, key, id, ret, err);
}

int ft_blob_upload_complete(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                            const struct ft_blob_part *parts, int n_parts,
                            const struct ft_blob_condition *condition,
                            const struct ft_blob_field *fields, int n_fields,
                            struct ft_blob_done *ret, struct ft_err *err)
{
    static const struct ft_blob_condition none;
    int rc = upload_check(bucket, key, id, err);
    if (rc == 0)
        rc = fields_check("fields", fields, n_fields, err);
    if (rc == 0 && (n_parts < 1 || n_parts > FT_BLOB_PART_MAX))
        rc = ft_err_set(err, FT_EINVAL, "parts: 1 to %d", FT_BLOB_PART_MAX);
    for (int i = 0; rc == 0 && i < n_parts; i++)
        if (parts[i].number <= (i == 0 ? 0 : parts[i - 1].number) ||
            parts[i].number > FT_BLOB_PART_MAX)
            rc = ft_blob_err(err, FT_EINVAL, FT_BLOB_PART_ORDER, "part %d: numbers must rise",
                             parts[i].number);
    if (rc != 0)
        return rc;
    return b->ops->upload_complete(b, bucket, key, id, parts, n_parts,
                                   condition == NULL ? &none : condition, fields, n_fields, ret,
                                   err);
}

int ft_blob_upload_abort(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                         struct ft_err *err)
{
    int rc = upload_check(bucket, key, id, err);
    return rc != 0 ? rc : b->ops->upload_abort(b, bucket, key, id, err);
}

int ft_blob_upload_parts(struct ft_blob *b, const char *bucket, const char *key, const char *id,
                         int after, int max, ft_blob_parts_fn *fn, void *ctx, bool *ret_more,
                         struct ft_err *err)
{
    int rc = upload_check(bucket, key, id, err);
    if (rc == 0 && (max < 0 || max > FT_BLOB_PART_MAX))
        rc = ft_err_set(err, FT_EINVAL, "max: 0 to %d", FT_BLOB_PART_MAX);
    return rc != 0 ? rc
                   : b->ops->upload_parts(b, bucket, key, id, after, max, fn, ctx, ret_more, err);
}

int ft_blob_uploads(struct ft_blob *b, const struct ft_blob_list *l, ft_blob_uploads_fn *fn,
                    void *ctx, bool *ret_more, struct ft_err *err)
{
    int rc = list_check(l, err);
    return rc != 0 ? rc : b->ops->uploads(b, l, fn, ctx, ret_more, err);
}

int ft_blob_part_of(struct ft_blob_reader *r, int number, struct ft_blob_part *ret,
                    int64_t *ret_offset, struct ft_err *err)
{
    return r->blob->ops->part_of(r, number, ret, ret_offset, err);
}

/* ---- the whole ---- */

int ft_blob_usage(struct ft_blob *b, const char *owner, struct ft_blob_usage *ret,
                  struct ft_err *err)
{
    return b->ops->usage(b, owner, ret, err);
}

int ft_blob_bucket_usage(struct ft_blob *b, const char *name, struct ft_blob_usage *ret,
                         struct ft_err *err)
{
    return b->ops->bucket_usage(b, name, ret, err);
}

int ft_blob_scrub(struct ft_blob *b, const struct ft_blob_scrub *s, struct ft_blob_scrubbed *ret,
                  struct ft_err *err)
{
    return b->ops->scrub(b, s, ret, err);
}

int ft_blob_hold(struct ft_blob *b, struct ft_blob_held **ret, struct ft_err *err)
{
    *ret = NULL;
    return b->ops->hold != NULL ? b->ops->hold(b, ret, err) : 0;
}

void ft_blob_release(struct ft_blob *b, struct ft_blob_held *h)
{
    if (h != NULL)
        b->ops->release(b, h);
}

void ft_blob_close(struct ft_blob *b)
{
    if (b != NULL)
        b->ops->close(b);
}
