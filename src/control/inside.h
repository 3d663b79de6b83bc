/* Control's jobs as clients of the cloud: through the gateway's inner socket
 * (HOME/run/gateway.sock), each request in the name of a key, so that what a job reads, writes and
 * spends is held to that key's rights and limits.
 *
 * Calls block, for the jobs' own threads; any thread may call. FT_EUNAVAIL: the gateway is not
 * there now, or asks for patience (429, 5xx): try again later. FT_ENOTFOUND: 404; FT_EEXIST: 409.
 * FT_EINVAL: any other refusal; the message is what the answer says. FT_ECANCELED: stop said so. */
#ifndef FT_CONTROL_INSIDE_H
#define FT_CONTROL_INSIDE_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "net/client.h"

#define FT_INSIDE_ANSWER_MAX ((size_t)16 << 20)

struct ft_inside;

/* stop (may be NULL) is asked several times a second while something blocks. */
int ft_inside_open(const char *home, bool (*stop)(void *ctx), void *ctx, struct ft_inside **ret,
                   struct ft_err *err);
void ft_inside_close(struct ft_inside *in); /* NULL is accepted */
/* For calls of a caller's own making. */
struct ft_http_client *ft_inside_client(struct ft_inside *in);
const char *ft_inside_socket(struct ft_inside *in);
/* What ft_inside_open's stop says now. ctx: the struct ft_inside. */
bool ft_inside_stops(void *ctx);

struct ft_inside_ask {
    const char *method, *path; /* with the query */
    /* Id of the key in whose name; or "project:ID", for files: the cloud itself for a project, also
     * when the job's key is gone. */
    const char *key;
    const char *file; /* of a new file: the id it is to have; NULL: drawn */
    const char *type; /* of the body; NULL: application/json */
    const void *body;
    size_t n_body;
};
/* The answer's JSON, if it is any: *ret may be NULL after 0; a new reference. ret may be NULL. */
int ft_inside_ask(struct ft_inside *in, const struct ft_inside_ask *a, json_t **ret,
                  struct ft_err *err);

/* The body of a GET into the file `to`, which appears whole or not at all. FT_ELIMIT above max. */
int ft_inside_fetch(struct ft_inside *in, const char *key, const char *path, const char *to,
                    int64_t max, struct ft_err *err);

/* A file as the body of a PUT, streamed. */
int ft_inside_send(struct ft_inside *in, const char *key, const char *path, const char *file,
                   struct ft_err *err);

/* A file into /v1/files, streamed. Its id was drawn before (api/openai/id.h, "file-"), so that
 * doing it again makes no second file. expires_s: after so long it goes; 0: it stays. */
struct ft_inside_file {
    const char *key; /* as in ft_inside_ask */
    const char *id, *purpose, *filename, *path;
    int64_t expires_s;
};
int ft_inside_put_file(struct ft_inside *in, const struct ft_inside_file *f, struct ft_err *err);

#endif
