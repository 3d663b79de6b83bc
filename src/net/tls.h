/* A certificate for a server that has none yet. */
#ifndef FT_NET_TLS_H
#define FT_NET_TLS_H

#include "base/err.h"

#define FT_TLS_NAMES_MAX 16

/* Writes a self-signed certificate (ECDSA P-256) for the given DNS names and IP addresses, valid
 * from an hour ago for `days`, and its key (0600). Both files appear whole or not at all; the key
 * first. FT_EINVAL names a bad name. */
int ft_tls_self_signed(const char *const *names, int n_names, int days, const char *cert_path,
                       const char *key_path, struct ft_err *err);

#endif
