/* Shared by the two halves of sigv4: the canonical request and what is signed of it. */
#ifndef FT_NET_SIGV4_IMPL_H
#define FT_NET_SIGV4_IMPL_H

#include "net/sigv4.h"

int ft_sigv4_err(struct ft_err *err, int code, enum ft_sigv4_why why, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

void ft_sigv4_sha256_hex(const void *data, size_t n, char ret_hex[65]);

/* HMAC of `text` under the chain's key, in hex. */
void ft_sigv4_hmac_hex(const struct ft_sigv4_chain *c, const void *text, size_t n,
                       char ret_hex[65]);

/* What `names` ("host;x-amz-date", sorted, lower case) and payload make of r, hashed and signed.
 * skip: a parameter of the query that is not signed (X-Amz-Signature), or NULL. */
int ft_sigv4_signature(const struct ft_sigv4_request *r, const char *names, const char *payload,
                       const char *skip, const struct ft_sigv4_chain *c, char ret_hex[65],
                       struct ft_err *err);

/* Appends the query, each name and value decoded and encoded anew, sorted. FT_EINVAL: broken
 * escapes, more than FT_SIGV4_PARAMS_MAX. */
int ft_sigv4_canonical_query(struct ft_buf *b, const char *query, const char *skip,
                             struct ft_err *err);

#endif
