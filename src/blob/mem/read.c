/* Readers of the store in memory. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/file.h"
#include "blob/mem/impl.h"

struct reader {
    struct ft_blob_reader base;
    struct ft_blob_object o;
    struct content *content;
};

static int find(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                struct version **ret, struct ft_err *err)
{
    struct bucket *k;
    int rc = mem_bucket(mem_of(b), bucket, &k, err);
    return rc != 0 ? rc : mem_version_find(k, key, version, ret, err);
}

int mem_head(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_object *ret, struct ft_err *err)
{
    struct version *v = NULL;
    struct ft_err why;
    pthread_mutex_lock(&mem_of(b)->lock);
    int rc = find(b, bucket, key, version, &v, err != NULL ? err : &why);
    if (v != NULL) { /* a marker is told as well */
        int copied = ft_blob_object_set(ret, &v->o.info, NULL, 0, err);
        rc = copied != 0 ? copied : rc;
    }
    pthread_mutex_unlock(&mem_of(b)->lock);
    return rc;
}

int mem_open(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             struct ft_blob_reader **ret, struct ft_err *err)
{
    struct version *v;
    struct reader *r = calloc(1, sizeof *r);
    if (r == NULL)
        return ft_err_set(err, FT_ENOMEM, "no memory for a reader");
    r->base.blob = b;
    pthread_mutex_lock(&mem_of(b)->lock);
    int rc = find(b, bucket, key, version, &v, err);
    if (rc == 0)
        rc = ft_blob_object_set(&r->o, &v->o.info, NULL, 0, err);
    if (rc == 0)
        r->content = mem_content_ref(v->content);
    pthread_mutex_unlock(&mem_of(b)->lock);
    if (rc != 0) {
        free(r);
        return rc;
    }
    *ret = &r->base;
    return 0;
}

const struct ft_blob_info *mem_reader_info(struct ft_blob_reader *r)
{
    return &((struct reader *)r)->o.info;
}

int mem_read(struct ft_blob_reader *base, int64_t offset, void *data, size_t n, struct ft_err *err)
{
    struct reader *r = (struct reader *)base;
    int rc = mem_content_check(r->content, err);
    if (rc == 0)
        memcpy(data, r->content->bytes + offset, n);
    return rc;
}

void mem_close_reader(struct ft_blob_reader *base)
{
    struct reader *r = (struct reader *)base;
    mem_content_unref(r->content);
    ft_blob_object_fini(&r->o);
    free(r);
}

int mem_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
             const char *path, struct ft_err *err)
{
    struct ft_blob_reader *base;
    int rc = mem_open(b, bucket, key, version, &base, err);
    if (rc != 0)
        return rc;
    struct content *c = ((struct reader *)base)->content;
    int fd = -1;
    rc = mem_content_check(c, err);
    if (rc == 0 && (fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444)) < 0)
        rc = errno == EEXIST ? ft_err_set(err, FT_EEXIST, "%s is there already", path)
                             : ft_err_sys(err, "create %s", path);
    if (rc == 0)
        rc = ft_file_write(fd, c->bytes, (size_t)c->size, path, NULL, err);
    if (fd >= 0) {
        close(fd);
        if (rc != 0)
            unlink(path);
    }
    mem_close_reader(base);
    return rc;
}

int mem_part_of(struct ft_blob_reader *base, int number, struct ft_blob_part *ret,
                int64_t *ret_offset, struct ft_err *err)
{
    const struct content *c = ((struct reader *)base)->content;
    if (number < 1 || number > c->n_pieces)
        return ft_blob_err(err, FT_EINVAL, FT_BLOB_NO_PART, "part %d: it has %d", number,
                           c->n_pieces);
    const struct piece *p = &c->pieces[number - 1];
    *ret = (struct ft_blob_part){.number = number,
                                 .size = p->size,
                                 .modified_ns = p->o.info.modified_ns,
                                 .fields = p->o.info.fields,
                                 .n_fields = p->o.info.n_fields};
    strcpy(ret->etag, p->o.info.etag);
    *ret_offset = p->offset;
    return 0;
}
