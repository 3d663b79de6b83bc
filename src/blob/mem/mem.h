/* The seam of storage in memory: the double that unit tests stand on, and what the contract test
 * holds the others against. Plain and strict: one lock, whole objects, nothing survives its close.
 * See blob/blob.h for what every call promises. */
#ifndef FT_BLOB_MEM_H
#define FT_BLOB_MEM_H

#include "blob/blob.h"

/* bytes_max: of all objects and unfinished writes together (0: 256 MiB); more is FT_ELIMIT. */
int ft_blob_mem_open(int64_t bytes_max, struct ft_blob **ret, struct ft_err *err);

/* Turns a byte of the latest version round, as a bad disk would: reads of it are FT_ECORRUPT, a
 * scrub reports it. The object must be there and not be empty. */
void ft_blob_mem_damage(struct ft_blob *b, const char *bucket, const char *key);
/* From now on everything that would change something fails with FT_EIO (true), until it is well
 * again (false). */
void ft_blob_mem_break(struct ft_blob *b, bool broken);

#endif
