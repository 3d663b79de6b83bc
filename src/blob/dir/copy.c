/* Copies within the store, and out of it into a file by its path.
 *
 * Where all of an object is one data file, the copy is another name of that file (a hard link): no
 * byte is moved. Otherwise the bytes are read, checked, and written anew. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "blob/dir/calls.h"

#define COPY_BYTES (1u << 20)

/* From the reader to the writer. */
static int stream(struct ft_blob_reader *r, int64_t offset, int64_t n, struct ft_blob_writer *w,
                  struct ft_err *err)
{
    uint8_t *buf = malloc(COPY_BYTES);
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for a copy") : 0;
    while (rc == 0 && n > 0) {
        size_t take = (size_t)FT_MIN(n, (int64_t)COPY_BYTES);
        rc = ft_blob_read(r, offset, buf, take, err);
        if (rc == 0)
            rc = ft_blob_put_write(w, buf, take, err);
        offset += (int64_t)take;
        n -= (int64_t)take;
    }
    free(buf);
    return rc;
}

static int copy_read(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_reader *r,
                     struct ft_blob_done *ret, struct ft_err *err)
{
    const struct ft_blob_info *info = ft_dir_reader_info(r);
    int64_t size = copy->size < 0 ? info->size : copy->size;
    struct ft_blob_put to = copy->to;
    struct ft_blob_writer *w = NULL;
    if (copy->from_etag != NULL && strcmp(copy->from_etag, info->etag) != 0)
        return ft_blob_err(err, FT_EBUSY, FT_BLOB_CONDITION, "%s: is another by now",
                           copy->from_key);
    if (copy->offset > info->size || size > info->size - copy->offset)
        return ft_err_set(err, FT_EINVAL, "copy: %lld bytes from %lld of %lld", (long long)size,
                          (long long)copy->offset, (long long)info->size);
    to.size = size;
    int rc = ft_dir_put(b, &to, &w, err);
    if (rc != 0)
        return rc;
    int64_t file = size == info->size ? ft_dir_reader_file(r) : 0;
    /* a file that has too many names already is copied */
    if (file == 0 || ft_dir_put_link(w, file, info, NULL) != 0)
        rc = stream(r, copy->offset, size, w, err);
    if (rc == 0)
        return ft_dir_put_commit(w, NULL, 0, ret, err);
    ft_dir_put_abort(w);
    return rc;
}

int ft_dir_copy(struct ft_blob *b, const struct ft_blob_copy *copy, struct ft_blob_done *ret,
                struct ft_err *err)
{
    struct ft_blob_reader *r;
    int rc = ft_dir_open(b, copy->from_bucket, copy->from_key, copy->from_version, &r, err);
    if (rc != 0)
        return rc;
    rc = copy_read(b, copy, r, ret, err);
    ft_dir_close_reader(r);
    return rc;
}

/* Reads all of it against its checksums; into fd, unless that is -1. */
static int pour(struct ft_dir *d, struct ft_blob_reader *r, int fd, struct ft_err *err)
{
    int64_t size = ft_dir_reader_info(r)->size;
    uint8_t *buf = malloc(COPY_BYTES);
    int rc = buf == NULL ? ft_err_set(err, FT_ENOMEM, "no memory for a copy") : 0;
    for (int64_t at = 0; rc == 0 && at < size;) {
        size_t n = (size_t)FT_MIN(size - at, (int64_t)COPY_BYTES);
        rc = ft_dir_read(r, at, buf, n, err);
        if (rc == 0 && fd >= 0)
            rc = ft_disk_write(&d->disk, fd, buf, n, err);
        at += (int64_t)n;
    }
    free(buf);
    return rc;
}

/* A file of its own, which has its name only when it is whole. */
static int pour_file(struct ft_dir *d, struct ft_blob_reader *r, const char *path,
                     struct ft_err *err)
{
    char temp[FT_DIR_PATH_MAX];
    int fd = -1;
    if ((size_t)snprintf(temp, sizeof temp, "%s.partial-%d", path, (int)getpid()) >= sizeof temp)
        return ft_err_set(err, FT_EINVAL, "%s: the path is too long", path);
    int rc = ft_disk_create(&d->disk, temp, &fd, err);
    if (rc != 0)
        return rc;
    rc = pour(d, r, fd, err);
    if (rc == 0)
        rc = ft_disk_sync(&d->disk, fd, err);
    close(fd);
    if (rc == 0 && renameat2(AT_FDCWD, temp, AT_FDCWD, path, RENAME_NOREPLACE) != 0)
        rc = errno == EEXIST ? ft_err_set(err, FT_EEXIST, "%s: is there already", path)
                             : ft_disk_err(err, "name", path);
    if (rc != 0)
        unlink(temp);
    return rc;
}

int ft_dir_link(struct ft_blob *b, const char *bucket, const char *key, const char *version,
                const char *path, struct ft_err *err)
{
    struct ft_dir *d = ft_dir_of(b);
    struct ft_blob_reader *r;
    char from[FT_DIR_PATH_MAX];
    int rc = ft_dir_open(b, bucket, key, version, &r, err);
    if (rc != 0)
        return rc;
    int64_t file = ft_dir_reader_file(r);
    if (file != 0) {
        ft_dir_file_path(d, file, from);
        rc = pour(d, r, -1, err);
        if (rc == 0 && ft_disk_link(&d->disk, from, path, err) != 0)
            rc = errno == EEXIST ? ft_err_set(err, FT_EEXIST, "%s: is there already", path)
                                 : pour_file(d, r, path, err);
    } else {
        rc = pour_file(d, r, path, err);
    }
    ft_dir_close_reader(r);
    return rc;
}
