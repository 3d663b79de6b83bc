/* Files: read-only mappings, bounded whole-file reads, whole writes. */
#ifndef FT_BASE_FILE_H
#define FT_BASE_FILE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"

/* A read-only private mapping of a whole regular file. `data` is NULL for an empty file. */
struct ft_map {
    const uint8_t *data;
    size_t bytes;
    uint64_t file_dev, file_ino; /* which file this is */
};

int ft_map_open(const char *path, struct ft_map *ret_map, struct ft_err *err);
void ft_map_close(struct ft_map *map); /* a zeroed map is accepted */

/* Reads a whole file ("-" is standard input) of at most max_bytes; *ret_data is malloc'ed,
 * NUL-terminated past ret_len. FT_ELIMIT if it is longer. */
int ft_file_read(const char *path, size_t max_bytes, char **ret_data, size_t *ret_len,
                 struct ft_err *err);

/* Writes all n bytes; name is for messages. interrupt (may be NULL): once it is not 0 (a signal's
 * handler sets it), FT_ECANCELED. */
int ft_file_write(int fd, const void *data, size_t n, const char *name, const atomic_int *interrupt,
                  struct ft_err *err);

/* A whole file in the place of whatever path names: written beside it ("PATH.partial-PID"), synced
 * and renamed, so that nobody ever sees half of it. */
int ft_file_put(const char *path, const void *data, size_t n, struct ft_err *err);

#endif
