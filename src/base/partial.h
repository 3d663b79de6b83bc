/* Files and folders in the making: they stand beside PATH as "PATH.partial-PID" until they are
 * whole. A process that is killed leaves its one behind, which may be as large as a model; the
 * next to write the same path takes it away.
 *
 * Whoever writes holds a lock on it, so that one in the making is told from one left behind also
 * where the writer's number says nothing (another container or machine). */
#ifndef FT_BASE_PARTIAL_H
#define FT_BASE_PARTIAL_H

#include <stdbool.h>

#include "base/err.h"

/* Sweeps, then makes an empty one: *ret_temp is its name, to be freed, *ret_fd the file to write
 * (is_folder: the folder), which holds the lock while it is open. FT_EIO, FT_ENOMEM. */
int ft_partial_open(const char *path, bool is_folder, char **ret_temp, int *ret_fd,
                    struct ft_err *err);

/* Is that the name (or path) of one in the making? "NAME.partial-PID", digits and no more. */
bool ft_partial_is(const char *name);

/* The path to which what tells files in the making apart may be added, to be freed: itself, or,
 * where its name is so long that nothing can follow it, one with a shorter name that stands for it.
 * NULL: no memory. */
#define FT_PARTIAL_ROOM 32 /* bytes that may be added */
char *ft_partial_stem(const char *path);

/* The entry of `path` in its folder is on the disk. */
int ft_partial_parent_sync(const char *path, struct ft_err *err);

#endif
