/* Asking control something, without waiting for it. */
#ifndef FT_GATEWAY_ASK_H
#define FT_GATEWAY_ASK_H

#include "gateway/inner.h"

/* status 0: control did not answer. body is NUL-terminated, valid during the call, on the client's
 * thread. */
typedef void gw_asked_fn(void *ctx, int status, const char *body, size_t n);

/* body may be NULL. The whole answer is at most bytes_max; longer counts as none. fn is called
 * exactly once, perhaps before this returns. */
void gw_control_ask(struct gw *g, const char *method, const char *path, const char *project,
                    const void *body, size_t n, size_t bytes_max, gw_asked_fn *fn, void *ctx);

#endif
