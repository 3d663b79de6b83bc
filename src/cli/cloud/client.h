/* Commands' way to a cloud: its address and a key, JSON there and back, errors in words that say
 * what to do. */
#ifndef FT_CLI_CLOUD_CLIENT_H
#define FT_CLI_CLOUD_CLIENT_H

#include <jansson.h>
#include <stdatomic.h>

#include "cli/cloud/home.h"
#include "cli/options.h"
#include "net/client.h"

#define FT_CLOUD_ANSWER_MAX (64u << 20)
#define FT_CLOUD_URL        "http://127.0.0.1:7700" /* where nothing else is said */

/* What every such command's options say; NULL: not given. */
struct ft_cloud_options {
    const char *url, *key, *home, *ca;
    bool json;
};
/* Rows for a table of options (options.h). */
#define FT_CLOUD_OPTIONS(o)                                                                        \
    {"cloud", 0, FT_OPT_TEXT, &(o).url, 0, 0}, {"api-key", 0, FT_OPT_TEXT, &(o).key, 0, 0},        \
        {"home", 0, FT_OPT_TEXT, &(o).home, 0, 0}, {"ca", 0, FT_OPT_TEXT, &(o).ca, 0, 0},          \
    {                                                                                              \
        "json", 0, FT_OPT_FLAG, &(o).json, 0, 0                                                    \
    }

struct ft_cloud {
    struct ft_home home;
    char url[512];              /* without a slash at the end */
    char key[256];              /* "": none */
    const char *key_from;       /* "--api-key", "FEITIAN_API_KEY", "credentials.json" or NULL */
    char ca_file[FT_HOME_PATH]; /* --ca, FEITIAN_CA, of the own cloud its own; "": the system's */
    int64_t timeout_ms;         /* of one call; 0: two minutes */
    int status;                 /* of the last answer; 0: none came */
    struct ft_http_client *client;
};

/* url, key, certificates that are trusted: the option, FEITIAN_URL, FEITIAN_API_KEY and FEITIAN_CA,
 * HOME/credentials.json, in this order. */
int ft_cloud_open(const struct ft_cloud_options *o, struct ft_cloud *ret, struct ft_err *err);
void ft_cloud_close(struct ft_cloud *c); /* a zeroed one is accepted */

/* One request; body (NULL: none) is taken over. *ret (may be NULL): the answer's JSON. An answer
 * that is an error becomes one: FT_ENOTFOUND 404, FT_EEXIST 409, FT_EINVAL 4xx, FT_EBUSY 429 and
 * 503, FT_EIO the rest and no answer. path may hold %-escapes already. */
int ft_cloud_call(struct ft_cloud *c, const char *method, const char *path, json_t *body,
                  json_t **ret, struct ft_err *err);
/* A file into /v1/files, streamed; *ret: OpenAI's object. */
int ft_cloud_upload(struct ft_cloud *c, const char *path, const char *purpose, json_t **ret,
                    struct ft_err *err);
/* All pages of a list, as one array. */
int ft_cloud_list(struct ft_cloud *c, const char *path, json_t **ret, struct ft_err *err);

/* A gateway that is started anew listens again after a moment: true, after a pause, if err says
 * that the connection was refused (nothing was sent), for about 3 seconds in all. */
#define FT_CLOUD_TRIES 30
bool ft_cloud_refused(const struct ft_err *err, int *tries);

/* Other bodies. */
struct ft_cloud_body {
    const void *data; /* or on_read, as of struct ft_http_call_config */
    size_t n;
    size_t (*on_read)(void *ctx, char *data, size_t n);
    void *ctx;
    int64_t bytes;    /* that on_read gives */
    const char *type; /* NULL: none is told */
};
/* where: a path of the cloud, or a whole URL that it signed. */
int ft_cloud_send(struct ft_cloud *c, const char *method, const char *where,
                  const struct ft_cloud_body *body, json_t **ret, struct ft_err *err);
/* A GET whose body goes to on_data, as ft_http_fetch_stream. */
int ft_cloud_fetch(struct ft_cloud *c, const char *path, ft_http_data_fn *on_data,
                   bool (*stop)(void *ctx), void *ctx, struct ft_err *err);

/* The same into the file `to`, which appears whole or not at all; "-": standard output. */
int ft_cloud_save(struct ft_cloud *c, const char *path, const char *to, struct ft_err *err);

/* A POST whose answer comes piece by piece (server-sent events): the data of each event to fn until
 * "[DONE]". stop: not 0 ends it, which is no error. */
typedef int ft_cloud_event_fn(void *ctx, const json_t *event, struct ft_err *err);
int ft_cloud_stream(struct ft_cloud *c, const char *path, json_t *body, ft_cloud_event_fn *fn,
                    void *ctx, const atomic_int *stop, struct ft_err *err);

/* ---- for commands ---- */

/* Appends a part of a path or a value of a query, escaped. */
void ft_cloud_escape(struct ft_buf *b, const char *text);
/* Text of a member, or `absent`. */
const char *ft_cloud_text(const json_t *o, const char *member, const char *absent);
/* Opens, runs, closes; prints the error as of the command. Returns the exit status. */
typedef int ft_cloud_command_fn(struct ft_cloud *c, void *ctx, struct ft_err *err);
int ft_cloud_command(const char *cmd, const struct ft_cloud_options *o, ft_cloud_command_fn *fn,
                     void *ctx);

#endif
