/* Room kept for removals: on a full disk they too need a little (the index's log grows before
 * anything shrinks). When one finds none, a file that was kept for it is given up; from then on
 * only what frees room is done, until the file could be made again. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "blob/dir/impl.h"

#define RESERVE_BYTES (16 << 20)

static void path_of(const struct ft_dir *d, char ret[FT_DIR_PATH_MAX])
{
    snprintf(ret, FT_DIR_PATH_MAX, "%.4000s/reserve", d->path);
}

bool ft_dir_reserve_make(struct ft_dir *d)
{
    char path[FT_DIR_PATH_MAX];
    size_t n = RESERVE_BYTES;
    path_of(d, path);
    bool bad = d->disk.fault != NULL && d->disk.fault(d->disk.ctx, FT_DISK_WRITE, &n) != 0;
    int fd = bad ? -1 : open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    bool made = fd >= 0 && posix_fallocate(fd, 0, RESERVE_BYTES) == 0;
    if (fd >= 0)
        close(fd);
    if (fd >= 0 && !made) /* a part of it would only take the room */
        unlink(path);
    d->is_full = !made;
    return made;
}

bool ft_dir_reserve_give_up(struct ft_dir *d)
{
    char path[FT_DIR_PATH_MAX];
    path_of(d, path);
    d->is_full = true;
    return unlink(path) == 0;
}
