/* The file system under the data files: whole reads and writes, and a place where tests put faults.
 *
 * Errors: FT_ELIMIT where the disk (or a quota) is full, else FT_EIO. */
#ifndef FT_BLOB_DIR_DISK_H
#define FT_BLOB_DIR_DISK_H

#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

enum ft_disk_op {
    FT_DISK_CREATE,
    FT_DISK_OPEN,
    FT_DISK_READ,
    FT_DISK_WRITE,
    FT_DISK_SYNC,
    FT_DISK_LINK,
    FT_DISK_UNLINK,
    FT_DISK_FOLDER /* made, or synced */
};

struct ft_disk {
    /* Asked before each call (NULL: never). 0 lets it happen; an errno fails it in its place; *n of
     * a read or write may be made smaller: a short one. Any thread. */
    int (*fault)(void *ctx, enum ft_disk_op op, size_t *n);
    void *ctx;
};

/* Fills err by errno (name: of the file or folder); returns its code. */
int ft_disk_err(struct ft_err *err, const char *what, const char *name);

/* A new file for writing, which nobody may write who opens it later. */
int ft_disk_create(const struct ft_disk *d, const char *path, int *ret_fd, struct ft_err *err);
/* For reading; FT_ECORRUPT if it is not there: the index says that it is. */
int ft_disk_open(const struct ft_disk *d, const char *path, int *ret_fd, struct ft_err *err);
/* All n bytes; FT_ECORRUPT at the end of the file. */
int ft_disk_read(const struct ft_disk *d, int fd, int64_t offset, void *data, size_t n,
                 struct ft_err *err);
int ft_disk_write(const struct ft_disk *d, int fd, const void *data, size_t n, struct ft_err *err);
/* Begins to write back what was written from offset on; says nothing of errors: the sync will. */
void ft_disk_flush(int fd, int64_t offset, int64_t n);
int ft_disk_sync(const struct ft_disk *d, int fd, struct ft_err *err);
int ft_disk_link(const struct ft_disk *d, const char *from, const char *to, struct ft_err *err);
/* One that is not there is removed well. */
int ft_disk_unlink(const struct ft_disk *d, const char *path, struct ft_err *err);
/* Makes the folder with its parents, each synced into the one above. One thread at a time. */
int ft_disk_folder(const struct ft_disk *d, const char *path, struct ft_err *err);
int ft_disk_folder_sync(const struct ft_disk *d, const char *path, struct ft_err *err);

#endif
