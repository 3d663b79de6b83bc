/* A store of objects in a folder of this machine. ../README.md documents its format. */
#ifndef FT_BLOB_DIR_DIR_H
#define FT_BLOB_DIR_DIR_H

#include "blob/blob.h"
#include "blob/dir/disk.h"

struct ft_blob_dir_config {
    const char *path; /* of the folder: made if it is not there */
    /* for tests; zeroed: none */
    struct ft_disk disk; /* faults of data files */
    const char *vfs;     /* SQLite's, for faults of the index */
};

/* One process has a folder at a time: FT_EBUSY. FT_EUNSUPPORTED: made by a newer feitian.
 * FT_ECORRUPT: data files lie there, and no index. What a process that was killed left behind is
 * collected by a thread of the store's own. */
int ft_blob_dir_open(const struct ft_blob_dir_config *config, struct ft_blob **ret,
                     struct ft_err *err);

/* Calls fn for each data file that a copy of an index refers to, by its path from the store's
 * folder on and its size, in the order of the paths; what was to be removed is left out. fn not 0
 * ends it. */
typedef int ft_blob_dir_file_fn(void *ctx, const char *path, int64_t bytes, struct ft_err *err);
int ft_blob_dir_files(const char *index, ft_blob_dir_file_fn *fn, void *ctx, struct ft_err *err);

#endif
