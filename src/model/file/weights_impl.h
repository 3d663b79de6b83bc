/* What the readers (gguf.c, hf.c) fill and weights.c and meta.c read. Not for other modules.
 *
 * Metadata values are kept as GGUF's own bytes, in the mapping or (hf.c) in the arena, so one
 * set of getters serves every source. */
#ifndef FT_MODEL_WEIGHTS_IMPL_H
#define FT_MODEL_WEIGHTS_IMPL_H

#include "base/arena.h"
#include "base/buf.h"
#include "base/file.h"
#include "model/file/weights.h"

/* GGUF's value types; the numbers are the file format's. */
enum ft_meta_type {
    FT_META_U8 = 0,
    FT_META_I8 = 1,
    FT_META_U16 = 2,
    FT_META_I16 = 3,
    FT_META_U32 = 4,
    FT_META_I32 = 5,
    FT_META_F32 = 6,
    FT_META_BOOL = 7,
    FT_META_STRING = 8,
    FT_META_ARRAY = 9,
    FT_META_U64 = 10,
    FT_META_I64 = 11,
    FT_META_F64 = 12,
};

/* Bounds on what a file may declare. */
#define FT_META_KEYS_MAX     65536
#define FT_META_KEY_LEN_MAX  65535
#define FT_TENSORS_MAX       (1 << 20)
#define FT_WEIGHTS_PARTS_MAX 4096 /* files of one model */

struct ft_meta_value {
    const char *key;              /* first member: the index below reads it */
    enum ft_meta_type type, elem; /* elem: of arrays */
    uint64_t n;                   /* bytes of a string, elements of an array, else 1 */
    const uint8_t *p;             /* the string's bytes, the first element, the number; unaligned */
    uint64_t bytes;               /* at p */
};

/* Names to positions in an array of structs whose first member is the name. */
struct ft_name_index {
    uint32_t *slot; /* position + 1; 0 = free */
    uint32_t mask;
    uint64_t seed; /* per process run: names come from outside and must not choose their slots */
};

struct ft_weights {
    enum ft_source source;
    char *path;
    struct ft_arena arena; /* names, arrays, made-up metadata */
    struct ft_map *map;
    int n_map;
    struct ft_meta_value *meta;
    int n_meta;
    struct ft_name_index meta_index;
    struct ft_tensor *tensor;
    int n_tensor, n_tensor_cap; /* cap: of a folder's array */
    struct ft_name_index tensor_index;
    uint64_t bytes;
    struct ft_fp8 *fp8; /* NULL: every tensor's bytes are as its files have them */
};

/* Bytes of one number of the type; 0 for strings, arrays and unknown types. */
int ft_meta_type_bytes(enum ft_meta_type type);

/* Allocates room for n names. */
int ft_name_index_init(struct ft_name_index *x, struct ft_arena *a, int n, struct ft_err *err);
/* The position of `name` among items (an array of structs of `stride` bytes), or -1. */
int ft_name_index_find(const struct ft_name_index *x, const void *items, size_t stride,
                       const char *name);
/* Adds items[i]; false if its name is there already. */
bool ft_name_index_add(struct ft_name_index *x, const void *items, size_t stride, int i);

/* Where a tensor's bytes lie in its file. */
struct ft_extent {
    uint64_t offset, bytes;
    const char *name;
};
/* FT_ECORRUPT if two tensors share bytes. Sorts e. */
int ft_extents_check(struct ft_extent *e, int n, struct ft_err *err);

const struct ft_meta_value *ft_meta_find(const struct ft_weights *w, const char *key);

/* weights.c: FT_EINVAL if `path` is one of w's own files: a model given as its own output would be
 * lost, as the result takes the place of what was there. */
int ft_weights_spare(const struct ft_weights *w, const char *path, struct ft_err *err);

/* gguf.c: reads one mapped file. Tensors point into `map`, which must outlive them. Fills `meta`,
 * `n_meta` and appends nothing but to its own arrays; `name` is for messages. */
struct ft_gguf {
    struct ft_meta_value *meta;
    int n_meta;
    struct ft_name_index meta_index;
    struct ft_tensor *tensor;
    int n_tensor;
};
int ft_gguf_read(const struct ft_map *map, struct ft_arena *a, struct ft_gguf *ret,
                 struct ft_err *err);

/* gguf_split.c: opens a file, or all parts of a split one given any of them, into w. */
int ft_gguf_open(struct ft_weights *w, struct ft_err *err);

/* hf.c: opens the folder w->path. */
int ft_hf_open(struct ft_weights *w, struct ft_err *err);

/* hf_fp8.c: what ft_weights_fetch() and ft_weights_drop() do; and the end of it. */
void ft_fp8_fetch(const struct ft_weights *w, int tensor);
void ft_fp8_drop(const struct ft_weights *w, int tensor);
void ft_fp8_close(struct ft_weights *w);

#endif
