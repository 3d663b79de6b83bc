/* A model's files, opened: metadata and named tensors, whatever they are stored in.
 *
 * Three sources look the same from here: a GGUF file, the parts of a split GGUF (given any part),
 * and a Hugging Face folder (config.json, *.safetensors, ...). A Hugging Face folder shows the
 * GGUF names for its tensors ("blk.0.attn_q.weight") and GGUF keys for its configuration
 * ("qwen3.block_count"), so no caller cares which it was.
 *
 * Everything is validated when opened: after ft_weights_open() succeeds every tensor lies inside
 * its mapping, its shape times its type equals its bytes, and every offset, count and string was
 * within the file. Files are hostile input. Immutable after open; any thread may read. */
#ifndef FT_MODEL_WEIGHTS_H
#define FT_MODEL_WEIGHTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/slice.h"
#include "model/file/quant.h"

#define FT_TENSOR_DIMS_MAX 4
#define FT_TENSOR_NAME_MAX 255 /* bytes */

/* Row-major with dim[0] contiguous, as GGUF: a matrix that maps k inputs to m outputs has
 * dim = {k, m}; E stacked experts {k, m, E}. */
struct ft_tensor {
    const char *name;
    enum ft_type type;
    int n_dims;
    int64_t dim[FT_TENSOR_DIMS_MAX]; /* unused ones are 1 */
    /* n_parts == 1: the whole tensor. Otherwise one pointer per index of the last dimension (a
     * folder keeps every expert in a tensor of its own). Mapped, read-only, maybe unaligned. */
    int n_parts;
    const void *const *part;
    size_t part_bytes; /* of each part */
    bool is_mapped;    /* parts lie in a file's mapping: dropped pages come back when touched */
};

struct ft_weights;

/* path: a .gguf file or a folder. Tensors' bytes are mapped, not read. */
int ft_weights_open(const char *path, struct ft_weights **ret_w, struct ft_err *err);
void ft_weights_close(struct ft_weights *w);

int ft_weights_count(const struct ft_weights *w);
const struct ft_tensor *ft_weights_at(const struct ft_weights *w, int i);
/* NULL if there is none of that name. Its bytes are there: see ft_weights_fetch. */
const struct ft_tensor *ft_weights_find(const struct ft_weights *w, const char *name);
/* A folder's FP8 matrices are shown as BF16, which are made when first wanted. Whoever comes by a
 * tensor through ft_weights_at() calls this before reading its parts; any thread. */
void ft_weights_fetch(const struct ft_weights *w, const struct ft_tensor *t);
/* Frees what was made, if anything. Nobody may read the tensor's parts before it is fetched again.
 */
void ft_weights_drop(const struct ft_weights *w, const struct ft_tensor *t);
uint64_t ft_weights_bytes(const struct ft_weights *w); /* of all tensors */

enum ft_source { FT_SOURCE_GGUF, FT_SOURCE_HF };
enum ft_source ft_weights_source(const struct ft_weights *w);
const char *ft_weights_path(const struct ft_weights *w);

/* Metadata under GGUF keys. The getters convert between number types where the value is exact
 * and return false, leaving *ret alone, when the key is absent or of another kind. Strings may
 * hold any bytes and are not NUL-terminated; all memory belongs to `w`. */
bool ft_meta_has(const struct ft_weights *w, const char *key); /* whatever its kind */
bool ft_meta_u64(const struct ft_weights *w, const char *key, uint64_t *ret);
bool ft_meta_f64(const struct ft_weights *w, const char *key, double *ret);
bool ft_meta_bool(const struct ft_weights *w, const char *key, bool *ret);
bool ft_meta_str(const struct ft_weights *w, const char *key, struct ft_slice *ret);

/* Arrays: number of elements, or -1 when absent or not an array; then element by element. */
int64_t ft_meta_array_len(const struct ft_weights *w, const char *key);
bool ft_meta_array_u64(const struct ft_weights *w, const char *key, int64_t i, uint64_t *ret);
bool ft_meta_array_f64(const struct ft_weights *w, const char *key, int64_t i, double *ret);
/* All of an array of numbers at once: fills out[n] (n == its length); false if it is none. */
bool ft_meta_array_f64s(const struct ft_weights *w, const char *key, double *out, int64_t n);
/* One pass over an array of strings: fills out[n] (n == its length); false if it is none. */
bool ft_meta_array_strs(const struct ft_weights *w, const char *key, struct ft_slice *out,
                        int64_t n);

/* For `inspect` and the GGUF writer: keys in file order. */
struct ft_meta_value;
int ft_meta_count(const struct ft_weights *w);
const char *ft_meta_key(const struct ft_weights *w, int i);
/* A short printable form ("[151936 strings]"), written to out (at most n bytes, NUL-terminated). */
void ft_meta_print(const struct ft_weights *w, int i, char *out, size_t n);

#endif
