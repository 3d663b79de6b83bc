/* Cookies of a request: "a=b; c=d", as browsers send them (RFC 6265, 5.4). */
#ifndef FT_NET_COOKIE_H
#define FT_NET_COOKIE_H

#include <stdbool.h>

#include "base/slice.h"

#define FT_COOKIES_MAX 128 /* of one header that are looked at */

/* The value of the first cookie of that name, without the quotes that may be around it, in the
 * header's own bytes. False: there is none. header may be NULL. */
bool ft_cookie_find(const char *header, const char *name, struct ft_slice *ret);

#endif
