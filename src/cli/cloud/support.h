/* What `feitian support-bundle` leaves out: secrets, by their value and by their form. */
#ifndef FT_CLI_CLOUD_SUPPORT_H
#define FT_CLI_CLOUD_SUPPORT_H

#include "base/buf.h"
#include "base/err.h"

#define FT_SCRUB_SECRETS_MAX 256
#define FT_SCRUB_LEAST       6 /* bytes of a secret: shorter texts are words */

struct ft_scrub {
    char *secret[FT_SCRUB_SECRETS_MAX];
    int n;
};

/* Learns what the cloud's folder and the environment hold: keys, the store's, S3's, the collector's
 * headers, private keys. */
void ft_scrub_open(struct ft_scrub *s, const char *home);
void ft_scrub_close(struct ft_scrub *s);
/* Appends the text with "[secret]" in the place of each, and of whatever looks like a key. */
void ft_scrub_text(const struct ft_scrub *s, const char *text, size_t n, struct ft_buf *out);

#endif
