/* Calls of the system, repeated until they are whole, with a place for faults. */
#include "blob/dir/disk.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CALL_MAX (1u << 30) /* bytes of one read or write */

static int fault(const struct ft_disk *d, enum ft_disk_op op, size_t *n)
{
    size_t none = 0;
    if (d->fault == NULL)
        return 0;
    int e = d->fault(d->ctx, op, n == NULL ? &none : n);
    if (e != 0)
        errno = e;
    return e;
}

int ft_disk_err(struct ft_err *err, const char *what, const char *name)
{
    int sys = errno;
    ft_err_sys(err, "%s %s", what, name);
    int code = sys == ENOSPC || sys == EDQUOT || sys == EFBIG ? FT_ELIMIT : FT_EIO;
    if (err != NULL)
        err->code = code;
    return code;
}

int ft_disk_create(const struct ft_disk *d, const char *path, int *ret_fd, struct ft_err *err)
{
    if (fault(d, FT_DISK_CREATE, NULL) != 0)
        return ft_disk_err(err, "create", path);
    int fd = open(path, O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0440);
    if (fd < 0)
        return ft_disk_err(err, "create", path);
    *ret_fd = fd;
    return 0;
}

int ft_disk_open(const struct ft_disk *d, const char *path, int *ret_fd, struct ft_err *err)
{
    if (fault(d, FT_DISK_OPEN, NULL) != 0)
        return ft_disk_err(err, "open", path);
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0 && errno == ENOENT)
        return ft_err_set(err, FT_ECORRUPT, "data file %s is missing", path);
    if (fd < 0)
        return ft_disk_err(err, "open", path);
    *ret_fd = fd;
    return 0;
}

int ft_disk_read(const struct ft_disk *d, int fd, int64_t offset, void *data, size_t n,
                 struct ft_err *err)
{
    for (size_t at = 0; at < n;) {
        size_t want = FT_MIN(n - at, CALL_MAX);
        if (fault(d, FT_DISK_READ, &want) != 0)
            return ft_disk_err(err, "read", "data file");
        ssize_t got = pread(fd, (char *)data + at, want, offset + (int64_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ft_disk_err(err, "read", "data file");
        if (got == 0)
            return ft_err_set(err, FT_ECORRUPT, "data file ends at %lld; %zu bytes more expected",
                              (long long)(offset + (int64_t)at), n - at);
        at += (size_t)got;
    }
    return 0;
}

int ft_disk_write(const struct ft_disk *d, int fd, const void *data, size_t n, struct ft_err *err)
{
    for (size_t at = 0; at < n;) {
        size_t want = FT_MIN(n - at, CALL_MAX);
        if (fault(d, FT_DISK_WRITE, &want) != 0)
            return ft_disk_err(err, "write", "data file");
        ssize_t put = write(fd, (const char *)data + at, want);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0)
            return ft_disk_err(err, "write", "data file");
        at += (size_t)put;
    }
    return 0;
}

void ft_disk_flush(int fd, int64_t offset, int64_t n)
{
    sync_file_range(fd, offset, n, SYNC_FILE_RANGE_WRITE);
}

int ft_disk_sync(const struct ft_disk *d, int fd, struct ft_err *err)
{
    if (fault(d, FT_DISK_SYNC, NULL) != 0 || fdatasync(fd) != 0)
        return ft_disk_err(err, "sync", "data file");
    return 0;
}

int ft_disk_link(const struct ft_disk *d, const char *from, const char *to, struct ft_err *err)
{
    if (fault(d, FT_DISK_LINK, NULL) != 0 || link(from, to) != 0)
        return ft_disk_err(err, "link", to);
    return 0;
}

int ft_disk_unlink(const struct ft_disk *d, const char *path, struct ft_err *err)
{
    if (fault(d, FT_DISK_UNLINK, NULL) != 0 || (unlink(path) != 0 && errno != ENOENT))
        return ft_disk_err(err, "remove", path);
    return 0;
}

int ft_disk_folder_sync(const struct ft_disk *d, const char *path, struct ft_err *err)
{
    if (fault(d, FT_DISK_FOLDER, NULL) != 0)
        return ft_disk_err(err, "sync", path);
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int bad = fd < 0 || fsync(fd) != 0;
    int rc = bad ? ft_disk_err(err, "sync", path) : 0;
    if (fd >= 0)
        close(fd);
    return rc;
}

static int make_one(const struct ft_disk *d, char *path, struct ft_err *err)
{
    if (fault(d, FT_DISK_FOLDER, NULL) != 0)
        return ft_disk_err(err, "make", path);
    if (mkdir(path, 0770) != 0)
        return errno == EEXIST ? 0 : ft_disk_err(err, "make", path);
    char *slash = strrchr(path, '/');
    if (slash == NULL || slash == path)
        return ft_disk_folder_sync(d, slash == NULL ? "." : "/", err);
    *slash = '\0';
    int rc = ft_disk_folder_sync(d, path, err);
    *slash = '/';
    if (rc != 0)
        rmdir(path); /* or the next would take it for one that the disk has */
    return rc;
}

int ft_disk_folder(const struct ft_disk *d, const char *path, struct ft_err *err)
{
    char p[PATH_MAX];
    struct stat st;
    if (stat(path, &st) == 0 && S_ISDIR(st.st_mode))
        return 0;
    if ((size_t)snprintf(p, sizeof p, "%s", path) >= sizeof p)
        return ft_err_set(err, FT_EINVAL, "folder %s: its path is too long", path);
    for (char *at = p + 1; *at != '\0'; at++)
        if (*at == '/' && at[-1] != '/') {
            *at = '\0';
            int rc = stat(p, &st) == 0 ? 0 : make_one(d, p, err);
            *at = '/';
            if (rc != 0)
                return rc;
        }
    return make_one(d, p, err);
}
