/* Where a cloud keeps its objects. The one place where a backend of blob is chosen:
 *   /path/of/a/folder
 *   s3://HOST[:PORT], s3+http://HOST[:PORT]   an S3 server, over TLS or plain; whose keys are in
 *                                             HOME/storage.json (0600): "access_key_id",
 *                                             "secret_access_key", perhaps "region", "prefix" (of
 *                                             the names of buckets there), "ca_file"
 *   memory                                    for tests */
#ifndef FT_CLI_STORAGE_H
#define FT_CLI_STORAGE_H

#include "blob/blob.h"

/* May take long, and may be tried again. home: the folder of the cloud. */
int ft_storage_open(const char *where, const char *home, struct ft_blob **ret, struct ft_err *err);

/* The same for the cloud itself, which is to find the store that it had before: a store has an id,
 * drawn once and kept in it, and HOME/storage.id says which one is the cloud's. FT_EINVAL: it is
 * another one; nothing was changed in it. Removing HOME/storage.id accepts it. */
int ft_storage_open_own(const char *where, const char *home, struct ft_blob **ret,
                        struct ft_err *err);

/* Is a store that was opened still in its folder? 0 for what is none; cheap. */
int ft_storage_still_there(const char *where, struct ft_err *err);

/* FT_EINVAL for a scheme that there is none of. */
int ft_storage_check(const char *where, struct ft_err *err);

/* Does `where` name a server, or memory, and no folder? */
bool ft_storage_is_elsewhere(const char *where);

#endif
