/* Writing safetensors files, tensor by tensor, with memory bounded by the headers: one file, or
 * shards with the index that Hugging Face's loaders read.
 *
 * Order of use: declarations; then the tensors' bytes, in the order declared, in pieces of any
 * size; then finish. Files appear where they are written: a folder that becomes visible all at
 * once is the caller's (base/folder.h). Not thread-safe. */
#ifndef FT_MODEL_SAFETENSORS_WRITE_H
#define FT_MODEL_SAFETENSORS_WRITE_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/quant.h"

struct ft_st_writer;

/* folder/STEM.safetensors; where the tensors are more than shard_bytes (0: no bound),
 * STEM-00001-of-00003.safetensors, ... and STEM.safetensors.index.json. interrupt (may be NULL):
 * once it is not 0, writing ends with FT_ECANCELED. */
int ft_st_writer_open(const char *folder, const char *stem, uint64_t shard_bytes,
                      const atomic_int *interrupt, struct ft_st_writer **ret_w, struct ft_err *err);
/* Leaves the files as they are. NULL is accepted. */
void ft_st_writer_close(struct ft_st_writer *w);

/* Declares the next tensor; name is copied. type: F32, F16 or BF16. dim: outermost first, 1 to
 * FT_ST_DIMS_MAX. A failure (memory) is kept and returned by the first data call. */
void ft_st_put(struct ft_st_writer *w, const char *name, enum ft_type type, int n_dims,
               const int64_t *dim);
int ft_st_write(struct ft_st_writer *w, const void *data, size_t n, struct ft_err *err);
/* All bytes are there: they are synced, and the index is written. */
int ft_st_finish(struct ft_st_writer *w, struct ft_err *err);

#endif
