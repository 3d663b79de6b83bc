/* Names and keys drawn at random, and what is kept of a key: its SHA-256.
 *
 * A key has 43 digits of base 62, 256 bits: nothing slower than SHA-256 is needed to keep it from
 * being guessed from its hash. */
#include <errno.h>
#include <nettle/sha2.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "base/hex.h"
#include "control/inner.h"

#define ID_DIGITS     20
#define SECRET_DIGITS 43
#define SHOWN         10 /* "sk-ft-" and 4 digits */

static int digits(char *ret, int n, struct ft_err *err)
{
    static const char digit[] = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    for (int i = 0; i < n;) {
        unsigned char b[64];
        if (getrandom(b, sizeof b, 0) != sizeof b) {
            if (errno == EINTR)
                continue;
            return ft_err_sys(err, "control: getrandom");
        }
        for (size_t k = 0; k < sizeof b && i < n; k++)
            if (b[k] < 248) /* 4 * 62: every digit as likely */
                ret[i++] = digit[b[k] % 62];
    }
    ret[n] = '\0';
    return 0;
}

int ft_ctl_id_new(const char *prefix, char ret[CTL_ID_MAX], struct ft_err *err)
{
    size_t n = (size_t)snprintf(ret, CTL_ID_MAX - ID_DIGITS, "%s", prefix);
    return digits(ret + n, ID_DIGITS, err);
}

int ft_ctl_secret_new(char ret[CTL_SECRET_BYTES], struct ft_err *err)
{
    memcpy(ret, "sk-ft-", 6);
    return digits(ret + 6, SECRET_DIGITS, err);
}

void ft_ctl_secret_hash(const char *secret, char ret_hex[65])
{
    struct sha256_ctx sha;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&sha);
    sha256_update(&sha, strlen(secret), (const uint8_t *)secret);
    sha256_digest(&sha, sizeof digest, digest);
    ft_hex(digest, sizeof digest, ret_hex);
}

json_t *ft_ctl_key_body(const char *project, const char *name, const char *role, const char *secret,
                        int64_t now_s)
{
    char hash[65];
    ft_ctl_secret_hash(secret, hash);
    return json_pack("{s:s,s:s,s:s,s:s,s:s%,s:[s],s:[s],s:I}", "project", project, "name", name,
                     "role", role, "hash", hash, "prefix", secret, (size_t)SHOWN, "models", "*",
                     "actions", "*", "created", (json_int_t)now_s);
}
