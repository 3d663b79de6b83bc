/* See s3_secret.h. */
#include "tenant/s3_secret.h"

#include <errno.h>
#include <fcntl.h>
#include <nettle/base64.h>
#include <nettle/hmac.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "tenant/impl.h"

#define FILE_BYTES_MAX 4096 /* of what cannot be one, as far as it is read */

static int read_master(const char *path, uint8_t *ret, struct ft_err *err)
{
    char *data = NULL;
    size_t n = 0;
    int rc = ft_file_read(path, FILE_BYTES_MAX, &data, &n, err);
    if (rc != 0)
        return rc;
    if (n == FT_S3_MASTER_BYTES)
        memcpy(ret, data, n);
    else
        rc = ft_err_set(err, FT_EINVAL, "%s: has %zu bytes instead of %d", path, n,
                        FT_S3_MASTER_BYTES);
    explicit_bzero(data, n);
    free(data);
    return rc;
}

/* Whole and on the disk before it has its name, which the first of several gives. */
static int make_master(const char *path, struct ft_err *err)
{
    char tmp[4096];
    uint8_t bytes[FT_S3_MASTER_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != sizeof bytes)
        return ft_err_sys(err, "getrandom");
    snprintf(tmp, sizeof tmp, "%s.new-%d", path, (int)getpid());
    mode_t mask = umask(077);
    int rc = ft_file_put(tmp, bytes, sizeof bytes, err);
    umask(mask);
    explicit_bzero(bytes, sizeof bytes);
    if (rc != 0)
        return rc;
    if (link(tmp, path) != 0 && errno != EEXIST)
        rc = ft_err_sys(err, "%s", path);
    unlink(tmp);
    return rc;
}

int ft_s3_master_open(const char *path, uint8_t ret[FT_S3_MASTER_BYTES], struct ft_err *err)
{
    int rc = access(path, F_OK) != 0 && errno == ENOENT ? make_master(path, err) : 0;
    return rc != 0 ? rc : read_master(path, ret, err);
}

void ft_tenant_s3_secret(const struct ft_tenant_ident *i, const uint8_t master[FT_S3_MASTER_BYTES],
                         char ret[FT_S3_SECRET_BYTES])
{
    const struct ft_tenant_record *r = (const struct ft_tenant_record *)i;
    char text[FT_TENANT_ID_MAX + 2 * FT_TENANT_DIGEST + 8],
        padded[BASE64_ENCODE_RAW_LENGTH(32) + 1];
    uint8_t mac[SHA256_DIGEST_SIZE];
    struct hmac_sha256_ctx h;
    int n = snprintf(text, sizeof text, "s3:%s:", i->key);
    for (int k = 0; k < FT_TENANT_DIGEST; k++)
        n += snprintf(text + n, sizeof text - (size_t)n, "%02x", r->digest[k]);
    hmac_sha256_set_key(&h, FT_S3_MASTER_BYTES, master);
    hmac_sha256_update(&h, (size_t)n, (const uint8_t *)text);
    hmac_sha256_digest(&h, sizeof mac, mac);
    base64_encode_raw(padded, sizeof mac, mac);
    for (int k = 0; k < FT_S3_SECRET_BYTES - 1; k++) /* no '+' and '/': files and shells keep it */
        ret[k] = padded[k] == '+' ? '-' : padded[k] == '/' ? '_' : padded[k];
    if (ret[0] == '-' || ret[0] == '_') /* no option of a command's */
        ret[0] = ret[0] == '-' ? 'A' : 'B';
    ret[FT_S3_SECRET_BYTES - 1] = '\0';
    explicit_bzero(&h, sizeof h);
}
