/* Signing in: the cookie of a session in the place of a key (sessions.c). */
#ifndef FT_GATEWAY_SESSIONS_H
#define FT_GATEWAY_SESSIONS_H

#include "gateway/inner.h"

#define GW_COOKIE "feitian_session"

extern const struct gw_table gw_session_routes;

int gw_sessions_open(struct gw_sessions **ret, struct ft_err *err);
void gw_sessions_close(struct gw_sessions *s); /* NULL is accepted */

/* Does the request show a session, and no key? */
bool gw_has_cookie(const struct gw_request *r);
/* Who it is, by its cookie: r->ident, r->session. -1 with *e filled: 401, or 403 where the request
 * may be another site's. Has the session renewed where it is time. */
int gw_identify_cookie(struct gw_request *r, struct ft_oai_error *e);

#endif
