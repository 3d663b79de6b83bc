/* A copy of an SQLite file as it is at one moment, while other processes go on writing in it.
 *
 * Of any SQLite file with a log (WAL), whoever's it is: for backups. The file itself is not
 * changed. Not thread-safe. */
#ifndef FT_STATE_COPY_H
#define FT_STATE_COPY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ft_sqlite_copy;

/* By the file's first bytes. */
bool ft_sqlite_is(int fd);

/* The moment is now, until _end; meanwhile its log grows, as nobody can shorten it. FT_ENOTFOUND;
 * FT_ECORRUPT: it is none. */
int ft_sqlite_copy_begin(const char *path, struct ft_sqlite_copy **ret, struct ft_err *err);
int64_t ft_sqlite_copy_bytes(const struct ft_sqlite_copy *c); /* about */
/* Into a new file, which is a whole database without a log, and checked. FT_ELIMIT: the disk is
 * full; FT_ECORRUPT: it is damaged where it comes from; FT_ECANCELED. interrupt may be NULL. */
int ft_sqlite_copy_write(struct ft_sqlite_copy *c, const char *to, const atomic_int *interrupt,
                         struct ft_err *err);
void ft_sqlite_copy_end(struct ft_sqlite_copy *c); /* NULL is accepted */

#endif
