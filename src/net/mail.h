/* A mail through a relay: SMTP, in the clear, with STARTTLS or over TLS (RFC 5321, 3207, 8314). */
#ifndef FT_NET_MAIL_H
#define FT_NET_MAIL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/err.h"

#define FT_MAIL_BYTES_MAX ((size_t)256 << 10)
#define FT_MAIL_MS        20000 /* of one, in all */

enum ft_mail_tls { FT_MAIL_CLEAR, FT_MAIL_STARTTLS, FT_MAIL_TLS };

struct ft_mail_relay {
    const char *host;
    int port;
    enum ft_mail_tls tls;        /* STARTTLS: never without; the relay's certificate is checked */
    const char *ca;              /* PEM file it is checked by; NULL: the system's */
    const char *user, *password; /* NULL: none is asked for */
};

struct ft_mail {
    const char *from, *to; /* addresses: user@host */
    const char *subject, *text;
};

/* An address that can stand in a mail: no spaces, no control characters, one '@'. */
bool ft_mail_address_ok(const char *address);

/* The mail as it goes over the wire (RFC 5322, text as base64). at_s and id: for its date and
 * message id. FT_EINVAL for an address that is none. */
int ft_mail_write(const struct ft_mail *m, int64_t at_s, const char *id, struct ft_buf *out,
                  struct ft_err *err);

/* Blocks until the relay has taken it: FT_MAIL_MS at most, or until stop (asked often; NULL: never)
 * says so: FT_ECANCELED. FT_EINVAL: the relay refuses it for good (5xx). FT_EUNAVAIL: perhaps
 * later. */
int ft_mail_send(const struct ft_mail_relay *r, const struct ft_mail *m, bool (*stop)(void *ctx),
                 void *ctx, struct ft_err *err);

#endif
