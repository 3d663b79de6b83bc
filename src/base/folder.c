/* Folders by rename(2): over nothing or an empty folder; a folder with files is exchanged for the
 * new one (renameat2) and removed. Where the file system cannot exchange, the old one steps aside
 * first, and for a moment there is none. */
#include "base/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "base/partial.h"

#define DEEP_FDS 16 /* open at once while a tree is removed */

struct ft_folder {
    char *path, *temp; /* temp NULL: not made */
    int fd;            /* of temp */
    bool committed, replaces;
};

/* What stands under the path: 0 nothing or an empty folder, 1 files alone, 2 anything else. */
static int occupied(const char *path)
{
    struct stat st;
    if (lstat(path, &st) != 0)
        return errno == ENOENT ? 0 : 2;
    DIR *d = S_ISDIR(st.st_mode) ? opendir(path) : NULL;
    if (d == NULL)
        return 2;
    int found = 0;
    for (struct dirent *e; found < 2 && (e = readdir(d)) != NULL;) {
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0)
            continue;
        found = fstatat(dirfd(d), e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(st.st_mode)
                    ? 1
                    : 2;
    }
    closedir(d);
    return found;
}

void ft_folder_remove(const char *path)
{
    DIR *d = opendir(path);
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;)
        if (strcmp(e->d_name, ".") != 0 && strcmp(e->d_name, "..") != 0)
            unlinkat(dirfd(d), e->d_name, 0);
    if (d != NULL)
        closedir(d);
    rmdir(path);
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw)
{
    (void)st;
    (void)flag;
    (void)ftw;
    remove(path);
    return 0;
}

void ft_folder_remove_all(const char *path)
{
    nftw(path, remove_one, DEEP_FDS, FTW_DEPTH | FTW_PHYS);
}

int ft_folder_open(const char *path, bool replace, struct ft_folder **ret_f, struct ft_err *err)
{
    int there = occupied(path);
    if (there == 1 && !replace)
        return ft_err_set(err, FT_EEXIST, "write %s: there are files in it already", path);
    if (there == 2)
        return ft_err_set(err, FT_EEXIST, "write %s: not a folder that may be replaced", path);
    struct ft_folder *f = calloc(1, sizeof *f);
    size_t n = strlen(path);
    while (n > 1 && path[n - 1] == '/')
        n--;
    if (f == NULL || (f->path = strndup(path, n)) == NULL) {
        free(f);
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", path);
    }
    f->fd = -1;
    f->replaces = there == 1;
    int rc = ft_partial_open(f->path, true, &f->temp, &f->fd, err);
    if (rc != 0) {
        ft_folder_close(f);
        return rc;
    }
    *ret_f = f;
    return 0;
}

void ft_folder_close(struct ft_folder *f)
{
    if (f == NULL)
        return;
    if (f->temp != NULL && !f->committed)
        ft_folder_remove(f->temp);
    if (f->fd >= 0)
        close(f->fd);
    free(f->path);
    free(f->temp);
    free(f);
}

const char *ft_folder_temp(const struct ft_folder *f)
{
    return f->temp;
}

int ft_folder_put(struct ft_folder *f, const char *name, const void *data, size_t n,
                  struct ft_err *err)
{
    char *path;
    if (asprintf(&path, "%s/%s", f->temp, name) < 0)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", name);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc =
        fd < 0 ? ft_err_sys(err, "create %s", path) : ft_file_write(fd, data, n, path, NULL, err);
    if (rc == 0 && fsync(fd) != 0)
        rc = ft_err_sys(err, "sync %s", path);
    if (fd >= 0)
        close(fd);
    free(path);
    return rc;
}

/* The new folder in the place of the old, which is removed. */
static int exchange(struct ft_folder *f, struct ft_err *err)
{
    char *aside;
    if (renameat2(AT_FDCWD, f->temp, AT_FDCWD, f->path, RENAME_EXCHANGE) == 0) {
        f->committed = true;
        ft_folder_remove(f->temp);
        return 0;
    }
    if (errno != EINVAL && errno != ENOSYS)
        return ft_err_sys(err, "rename %s to %s", f->temp, f->path);
    if (asprintf(&aside, "%s.old-%d", f->path, (int)getpid()) < 0)
        return ft_err_set(err, FT_ENOMEM, "rename %s: no memory", f->temp);
    int rc = 0;
    if (rename(f->path, aside) != 0)
        rc = ft_err_sys(err, "rename %s to %s", f->path, aside);
    else if (rename(f->temp, f->path) != 0)
        rc = ft_err_sys(err, "rename %s to %s", f->temp, f->path);
    f->committed = rc == 0;
    if (rc == 0)
        ft_folder_remove(aside);
    free(aside);
    return rc;
}

int ft_folder_commit(struct ft_folder *f, struct ft_err *err)
{
    int rc = fsync(f->fd) != 0 ? ft_err_sys(err, "sync %s", f->temp) : 0;
    if (rc != 0)
        return rc;
    if (f->replaces && (rc = exchange(f, err)) != 0)
        return rc;
    if (!f->replaces && rename(f->temp, f->path) != 0)
        return ft_err_sys(err, "rename %s to %s", f->temp, f->path);
    f->committed = true;
    return ft_partial_parent_sync(f->path, err);
}
