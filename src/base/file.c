/* Mapped and whole-file reads, whole writes. Opens only regular files for mapping. */
#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/partial.h"

#define WRITE_BYTES_MAX ((size_t)16 << 20) /* between two looks for an interrupt */

int ft_map_open(const char *path, struct ft_map *ret_map, struct ft_err *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block us here */
    if (fd < 0)
        return ft_err_sys(err, "open %s", path);
    int rc = 0;
    struct stat st = {0};
    struct ft_map map = {0};
    if (fstat(fd, &st) != 0) {
        rc = ft_err_sys(err, "stat %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = ft_err_set(err, FT_EINVAL, "%s: not a regular file", path);
    }
    map.file_dev = (uint64_t)st.st_dev;
    map.file_ino = (uint64_t)st.st_ino;
    if (rc == 0 && st.st_size > 0) {
        map.bytes = (size_t)st.st_size;
        void *p = mmap(NULL, map.bytes, PROT_READ, MAP_PRIVATE, fd, 0);
        if (p == MAP_FAILED)
            rc = ft_err_sys(err, "map %s", path);
        else
            map.data = p;
    }
    close(fd);
    if (rc == 0)
        *ret_map = map;
    return rc;
}

void ft_map_close(struct ft_map *map)
{
    if (map->data != NULL)
        munmap((void *)map->data, map->bytes);
    *map = (struct ft_map){0};
}

static int read_all(int fd, const char *path, size_t max, char **ret, size_t *ret_len,
                    struct ft_err *err)
{
    size_t cap = 0, len = 0;
    char *data = NULL;
    for (;;) {
        if (len + 1 >= cap) {
            cap = cap == 0 ? 16384 : cap * 2;
            char *grown = realloc(data, cap);
            if (grown == NULL) {
                free(data);
                return ft_err_set(err, FT_ENOMEM, "read %s: no memory", path);
            }
            data = grown;
        }
        ssize_t n = read(fd, data + len, cap - len - 1);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0) {
            int rc = ft_err_sys(err, "read %s", path);
            free(data);
            return rc;
        }
        if (n == 0)
            break;
        len += (size_t)n;
        if (len > max) {
            free(data);
            return ft_err_set(err, FT_ELIMIT, "read %s: longer than %zu bytes", path, max);
        }
    }
    data[len] = '\0';
    *ret = data;
    *ret_len = len;
    return 0;
}

int ft_file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
                 struct ft_err *err)
{
    if (strcmp(path, "-") == 0)
        return read_all(STDIN_FILENO, "standard input", max_bytes, ret_data, ret_len, err);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return ft_err_sys(err, "open %s", path);
    int rc = read_all(fd, path, max_bytes, ret_data, ret_len, err);
    close(fd);
    return rc;
}

int ft_file_write(int fd, const void *data, size_t n, const char *name, const atomic_int *interrupt,
                  struct ft_err *err)
{
    const char *p = data;
    while (n > 0) {
        if (interrupt != NULL && *interrupt != 0)
            return ft_err_set(err, FT_ECANCELED, "write %s: interrupted", name);
        ssize_t got = write(fd, p, FT_MIN(n, WRITE_BYTES_MAX));
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return ft_err_sys(err, "write %s", name);
        p += got;
        n -= (size_t)got;
    }
    return 0;
}

int ft_file_put(const char *path, const void *data, size_t n, struct ft_err *err)
{
    char *temp;
    int fd, rc = ft_partial_open(path, false, &temp, &fd, err);
    if (rc != 0)
        return rc;
    rc = ft_file_write(fd, data, n, path, NULL, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = ft_err_sys(err, "sync %s", path);
    if (rc == 0 && rename(temp, path) != 0)
        rc = ft_err_sys(err, "rename %s to %s", temp, path);
    if (rc != 0)
        unlink(temp);
    close(fd); /* the lock goes last: without it, it would be one left behind */
    free(temp);
    return rc == 0 ? ft_partial_parent_sync(path, err) : rc;
}
