/* Writing GGUF version 3 files, tensor by tensor, with memory bounded by the metadata.
 *
 * Order of use: metadata and tensor declarations; then the tensors' bytes, in the order declared,
 * in pieces of any size; then commit. The file appears under its name only on commit (a temporary
 * file beside it, synced and renamed), so a reader never sees half a model. Not thread-safe. */
#ifndef FT_MODEL_GGUF_WRITE_H
#define FT_MODEL_GGUF_WRITE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "model/file/weights.h"

struct ft_gguf_writer;

/* path: a regular file, which is replaced, or nothing yet. interrupt (may be NULL): once it is not
 * 0 (a signal's handler sets it), writing ends with FT_ECANCELED. */
int ft_gguf_writer_open(const char *path, const atomic_int *interrupt,
                        struct ft_gguf_writer **ret_g, struct ft_err *err);
/* Removes the temporary file unless committed. NULL is accepted. */
void ft_gguf_writer_close(struct ft_gguf_writer *g);

/* Metadata; each key once. A failure (memory) is kept and returned by the first data call. */
void ft_gguf_put_u32(struct ft_gguf_writer *g, const char *key, uint32_t v);
void ft_gguf_put_f32(struct ft_gguf_writer *g, const char *key, float v);
void ft_gguf_put_bool(struct ft_gguf_writer *g, const char *key, bool v);
void ft_gguf_put_str(struct ft_gguf_writer *g, const char *key, const char *s, size_t n);
void ft_gguf_put_strs(struct ft_gguf_writer *g, const char *key, const struct ft_slice *s,
                      uint64_t n);
void ft_gguf_put_i32s(struct ft_gguf_writer *g, const char *key, const int32_t *v, uint64_t n);
void ft_gguf_put_f32s(struct ft_gguf_writer *g, const char *key, const float *v, uint64_t n);
/* Copies the i-th key of w as it is. */
void ft_gguf_put_meta(struct ft_gguf_writer *g, const struct ft_weights *w, int i);

/* Declares the next tensor; name is copied. dim[0] must be whole blocks of the type. */
void ft_gguf_put_tensor(struct ft_gguf_writer *g, const char *name, enum ft_type type, int n_dims,
                        const int64_t *dim);

/* Bytes of the tensors in order; padding between them is the writer's. */
int ft_gguf_write(struct ft_gguf_writer *g, const void *data, size_t n, struct ft_err *err);
/* durable: the bytes are on the disk before the name is. */
int ft_gguf_commit(struct ft_gguf_writer *g, bool durable, struct ft_err *err);

#endif
