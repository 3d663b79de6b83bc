/* A replica behind HTTP: one of our workers on its unix socket, or any OpenAI-compatible server.
 *
 * A worker's answers carry the ids of their tokens, so it can be resumed; others cannot. Errors get
 * the codes of their status with the server's own words; 429 and 503 become FT_EBUSY with its
 * Retry-After. FT_EIO: the connection was lost, FT_FAULT_UNHEARD if there never was one. */
#ifndef FT_SERVE_REPLICA_HTTP_H
#define FT_SERVE_REPLICA_HTTP_H

#include "serve/replica.h"

#define FT_REPLICA_EVENT_MAX  (16u << 20) /* bytes of one event */
#define FT_REPLICA_ANSWER_MAX (64u << 20) /* of an answer that is no stream */
#define FT_REPLICA_ERROR_MAX  (64u << 10) /* of an error's body that are looked at */

struct ft_http_client;

struct ft_replica_http_config {
    struct ft_http_client *client; /* borrowed */
    const char *socket;            /* a worker's; NULL: by url */
    const char *url; /* "https://host/v1", as OpenAI's clients take it; without a path "/v1" */
    const char *key; /* for "Authorization: Bearer"; may be NULL */
};

/* FT_EINVAL names the field. */
int ft_replica_http_open(const struct ft_replica_http_config *config, struct ft_replica **ret,
                         struct ft_err *err);

#endif
