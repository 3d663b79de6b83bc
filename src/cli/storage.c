/* See storage.h. */
#include "cli/storage.h"

#include <string.h>

#include "blob/dir/dir.h"
#include "blob/mem/mem.h"

#define MEMORY_BYTES ((int64_t)1 << 30)

int ft_storage_open(const char *where, struct ft_blob **ret, struct ft_err *err)
{
    if (strcmp(where, "memory") == 0)
        return ft_blob_mem_open(MEMORY_BYTES, ret, err);
    const struct ft_blob_dir_config dir = {.path = where};
    return ft_blob_dir_open(&dir, ret, err);
}
