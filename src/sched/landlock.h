/* Landlock: which files a process may reach, held by the kernel (landlock(7), version 1 of Linux
 * 5.13 and later). For sandbox.c. */
#ifndef FT_SCHED_LANDLOCK_H
#define FT_SCHED_LANDLOCK_H

#include "base/err.h"

/* The version this kernel has; 0: none, or not switched on. */
int ft_landlock_version(void);

/* From now on this thread, and threads it starts, may read what lies below `paths` (they must
 * exist) and `optional` (those that do), write nothing that is not open yet but below `writable`
 * (NULL: nothing at all), and, as the version
 * has it, neither make TCP connections nor signal other processes. no_new_privs must be set. */
int ft_landlock_enter(int version, const char *const *paths, int n_paths,
                      const char *const *optional, int n_optional, const char *writable,
                      struct ft_err *err);

#endif
