/* See storage.h. */
#include "cli/storage.h"

#include <string.h>

#include "blob/mem/mem.h"

#define MEMORY_BYTES ((int64_t)1 << 30)

int ft_storage_open(const char *where, struct ft_blob **ret, struct ft_err *err)
{
    if (strcmp(where, "memory") == 0)
        return ft_blob_mem_open(MEMORY_BYTES, ret, err);
    return ft_err_set(err, FT_EUNSUPPORTED, "%s: folders cannot keep objects yet", where);
}
