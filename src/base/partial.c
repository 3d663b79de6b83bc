/* See partial.h. Sweeping is a courtesy: where it fails, something is left behind, no more. */
#include "base/partial.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/crc32c.h"
#include "base/folder.h"

#define MARK       ".partial-"
#define MAKE_TRIES 100 /* each was lost to a thread that swept at that moment */

/* The folder that path is in, to be freed; NULL: no memory. */
static char *parent_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash == NULL   ? strdup(".")
           : slash == path ? strdup("/")
                           : strndup(path, (size_t)(slash - path));
}

/* The process that "MARK..." names; 0: it is none. */
static pid_t pid_of(const char *tail)
{
    size_t mark = strlen(MARK);
    if (strncmp(tail, MARK, mark) != 0)
        return 0;
    const char *digits = tail + mark;
    size_t len = strspn(digits, "0123456789");
    return len >= 1 && len <= 9 && digits[len] == '\0' ? (pid_t)strtol(digits, NULL, 10) : 0;
}

/* The process that `entry` says it is of, if it is a partial one of `name`; else 0. */
static pid_t owner_of(const char *entry, const char *name)
{
    size_t n = strlen(name);
    return strncmp(entry, name, n) == 0 ? pid_of(entry + n) : 0;
}

bool ft_partial_is(const char *name)
{
    const char *slash = strrchr(name, '/'), *dot = strrchr(name, '.');
    return dot != NULL && dot > (slash != NULL ? slash + 1 : name) && pid_of(dot) > 0;
}

char *ft_partial_stem(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    const size_t n = strlen(name), most = NAME_MAX - FT_PARTIAL_ROOM, tail = 9;
    char *stem;
    if (n <= most)
        return strdup(path);
    size_t cut = most - tail;
    while (cut > 1 && ((unsigned char)name[cut] & 0xc0) == 0x80) /* within a character */
        cut--;
    return asprintf(&stem, "%.*s~%08x", (int)((size_t)(name - path) + cut), path,
                    ft_crc32c(0, name, n)) < 0
               ? NULL
               : stem;
}

/* Does the name still stand for what was opened? With the lock, it does as long as that is held. */
static bool is_still(int dir, const char *entry, int fd)
{
    struct stat a, b;
    return fstat(fd, &a) == 0 && fstatat(dir, entry, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
           a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static void sweep_one(int dir, const char *dir_path, const char *entry)
{
    char *path;
    int fd = openat(dir, entry, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0)
        return;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0 && is_still(dir, entry, fd) &&
        unlinkat(dir, entry, 0) != 0 && asprintf(&path, "%s/%s", dir_path, entry) >= 0) {
        ft_folder_remove_all(path);
        free(path);
    }
    close(fd);
}

static void sweep(const char *path)
{
    const char *slash = strrchr(path, '/'), *name = slash != NULL ? slash + 1 : path;
    char *parent = parent_of(path);
    DIR *d = parent != NULL ? opendir(parent) : NULL;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        pid_t pid = owner_of(e->d_name, name);
        if (pid == getpid() || (pid > 0 && kill(pid, 0) != 0 && errno == ESRCH))
            sweep_one(dirfd(d), parent, e->d_name);
    }
    if (d != NULL)
        closedir(d);
    free(parent);
}

/* Makes and locks it; -1 with errno. Before it is locked another thread of ours may take it for one
 * that was left behind, and away: then *ret_gone. */
static int make(const char *temp, bool is_folder, bool *ret_gone)
{
    int made = is_folder ? mkdir(temp, 0777) : 0;
    int how = is_folder ? O_RDONLY | O_DIRECTORY : O_WRONLY | O_CREAT | O_EXCL;
    int fd = made == 0 ? open(temp, how | O_CLOEXEC, 0666) : -1;
    struct stat st;
    *ret_gone = made == 0 && fd < 0 && is_folder && errno == ENOENT;
    if (fd < 0) {
        int why = errno;
        if (is_folder && made == 0)
            rmdir(temp);
        errno = why;
        return -1;
    }
    /* who sweeps holds it for a moment; where there are no locks, the process's number counts */
    while (flock(fd, LOCK_EX) != 0 && errno == EINTR)
        ;
    *ret_gone = fstat(fd, &st) == 0 && st.st_nlink == 0;
    if (*ret_gone) {
        close(fd);
        fd = -1;
    }
    return fd;
}

int ft_partial_open(const char *path, bool is_folder, char **ret_temp, int *ret_fd,
                    struct ft_err *err)
{
    char *temp = NULL, *stem = ft_partial_stem(path);
    if (stem != NULL) {
        sweep(stem);
        if (asprintf(&temp, "%s" MARK "%d", stem, (int)getpid()) < 0)
            temp = NULL;
    }
    free(stem);
    if (temp == NULL)
        return ft_err_set(err, FT_ENOMEM, "write %s: no memory", path);
    bool gone = true;
    int fd = -1;
    for (int tries = 0; gone && tries < MAKE_TRIES; tries++)
        fd = make(temp, is_folder, &gone);
    if (fd < 0) {
        int rc = gone || errno == EEXIST
                     ? ft_err_set(err, FT_EEXIST, "write %s: it is being written: %s", path, temp)
                     : ft_err_sys(err, "create %s", path);
        free(temp);
        return rc;
    }
    *ret_temp = temp;
    *ret_fd = fd;
    return 0;
}

int ft_partial_parent_sync(const char *path, struct ft_err *err)
{
    char *parent = parent_of(path);
    if (parent == NULL)
        return ft_err_set(err, FT_ENOMEM, "sync %s: no memory", path);
    int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rc = fd < 0 || fsync(fd) != 0 ? ft_err_sys(err, "sync %s", parent) : 0;
    if (fd >= 0)
        close(fd);
    free(parent);
    return rc;
}
