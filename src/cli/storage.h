/* Where a cloud keeps its objects: "/path/of/a/folder", or "memory" (for tests). The one place
 * where a backend of blob is chosen. */
#ifndef FT_CLI_STORAGE_H
#define FT_CLI_STORAGE_H

#include "blob/blob.h"

/* May take long, and may be tried again. */
int ft_storage_open(const char *where, struct ft_blob **ret, struct ft_err *err);

#endif
