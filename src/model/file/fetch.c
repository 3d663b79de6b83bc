/* Elements are counted over the whole tensor; a stack of experts has a part for each. */
#include "model/file/fetch.h"

#include <sys/mman.h>

#define PAGE       ((uintptr_t)4096)
#define COPY_BYTES ((size_t)4 << 20) /* a piece */

void ft_tensor_fetch(const struct ft_tensor *t, const struct ft_edit *e, int64_t at, int64_t n,
                     float *y)
{
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t part = ft_tensor_elements(t) / t->n_parts;
    for (int64_t done = 0, piece; done < n; done += piece) {
        int64_t from = (at + done) % part;
        piece = FT_MIN(n - done, part - from);
        const uint8_t *p = t->part[(at + done) / part];
        info->dequantise(p + ft_type_row_bytes(info, from), y + done, piece);
    }
    if (e != NULL)
        e->apply(e->ctx, t, at, n, y);
}

int ft_tensor_copy(const struct ft_tensor *t, int64_t at, int64_t n,
                   int (*put)(void *sink, const void *data, size_t bytes, struct ft_err *err),
                   void *sink, struct ft_err *err)
{
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t part = ft_tensor_elements(t) / t->n_parts;
    size_t row_bytes = ft_type_row_bytes(info, t->dim[0]);
    int64_t most = (int64_t)FT_MAX(COPY_BYTES / row_bytes, (size_t)1) * t->dim[0];
    int rc = 0;
    for (int64_t piece; rc == 0 && n > 0; at += piece, n -= piece) {
        int64_t from = at % part;
        piece = FT_MIN(most, FT_MIN(n, part - from));
        const uint8_t *p = t->part[at / part];
        rc = put(sink, p + ft_type_row_bytes(info, from), ft_type_row_bytes(info, piece), err);
        ft_tensor_release(t, at, piece);
    }
    return rc;
}

void ft_tensor_release(const struct ft_tensor *t, int64_t at, int64_t n)
{
    const struct ft_type_info *info = ft_type_info(t->type);
    int64_t part = ft_tensor_elements(t) / t->n_parts;
    if (!t->is_mapped)
        return;
    for (int64_t piece; n > 0; at += piece, n -= piece) {
        int64_t from = at % part;
        piece = FT_MIN(n, part - from);
        uintptr_t p = (uintptr_t)t->part[at / part] + ft_type_row_bytes(info, from);
        uintptr_t first = p & ~(PAGE - 1);
        uintptr_t end = (p + ft_type_row_bytes(info, piece)) & ~(PAGE - 1);
        if (end > first)
            madvise((void *)first, end - first, MADV_DONTNEED);
    }
}
