/* The safetensors format: a JSON header of names, types, shapes and extents, then the bytes. */
#ifndef FT_MODEL_SAFETENSORS_H
#define FT_MODEL_SAFETENSORS_H

#include <stdint.h>

#include "base/arena.h"
#include "base/err.h"
#include "base/file.h"

#define FT_ST_HEADER_MAX 100000000 /* the format's own bound */
#define FT_ST_DIMS_MAX   8
#define FT_ST_NAME_MAX   255

struct ft_st_tensor {
    const char *name;
    char dtype[16]; /* "BF16" as the file says it */
    int n_dims;
    int64_t dim[FT_ST_DIMS_MAX]; /* outermost first, as the file has them */
    const uint8_t *p;
    uint64_t bytes;
};

/* Reads one mapped file; the tensors point into it. Names and the list are in the arena. A tensor
 * whose type is F32, F16, BF16 or F8_E4M3 has exactly the bytes of its shape; of other types only
 * the extent is checked. FT_ECORRUPT names the tensor. */
int ft_st_read(const struct ft_map *map, struct ft_arena *a, struct ft_st_tensor **ret_tensors,
               int *ret_n, struct ft_err *err);

#endif
