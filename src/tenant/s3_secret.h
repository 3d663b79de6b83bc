/* Keys as S3's clients use them: the access key id is the key's id, the secret is made from the
 * hash of the key that its row has and from a file of the cloud, so that nothing more is stored and
 * every key works. Whoever reads the store alone cannot make it, nor can it be turned back. */
#ifndef FT_TENANT_S3_SECRET_H
#define FT_TENANT_S3_SECRET_H

#include "tenant/tenant.h"

#define FT_S3_MASTER_BYTES 32
#define FT_S3_SECRET_BYTES                                                                         \
    44 /* 43 characters of base64url, with the NUL; the first no '-' or '_' */

/* Reads the file, or makes one (0600) of random bytes if it is not there; of two who make it at the
 * same time both get the same. FT_EINVAL: it is not one. */
int ft_s3_master_open(const char *path, uint8_t ret[FT_S3_MASTER_BYTES], struct ft_err *err);

/* HMAC-SHA256(master, "s3:" key id ":" hash in hex), as text. */
void ft_tenant_s3_secret(const struct ft_tenant_ident *i, const uint8_t master[FT_S3_MASTER_BYTES],
                         char ret[FT_S3_SECRET_BYTES]);

#endif
