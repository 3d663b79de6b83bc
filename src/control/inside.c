/* Requests of jobs over the inner socket. */
#include "control/inside.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/partial.h"
#include "net/form_send.h"

#define FOR_PROJECT "project:"
#define IDLE_MS     120000
#define FILE_MAX    ((size_t)64 << 10) /* of the answer */

struct ft_inside {
    struct ft_http_client *client;
    char socket[108];
    bool (*stop)(void *ctx);
    void *ctx;
};

int ft_inside_open(const char *home, bool (*stop)(void *ctx), void *ctx, struct ft_inside **ret,
                   struct ft_err *err)
{
    struct ft_inside *in = calloc(1, sizeof *in);
    if (in == NULL)
        return ft_err_set(err, FT_ENOMEM, "control: no memory");
    in->stop = stop;
    in->ctx = ctx;
    int n = snprintf(in->socket, sizeof in->socket, "%s/run/gateway.sock", home);
    int rc = n >= (int)sizeof in->socket
                 ? ft_err_set(err, FT_EINVAL, "%s: too long a path for a socket", home)
                 : ft_http_client_open(&in->client, err);
    if (rc != 0)
        free(in);
    else
        *ret = in;
    return rc;
}

void ft_inside_close(struct ft_inside *in)
{
    if (in == NULL)
        return;
    ft_http_client_close(in->client);
    free(in);
}

struct ft_http_client *ft_inside_client(struct ft_inside *in)
{
    return in->client;
}

const char *ft_inside_socket(struct ft_inside *in)
{
    return in->socket;
}

bool ft_inside_stops(void *ctx)
{
    const struct ft_inside *in = ctx;
    return in->stop != NULL && in->stop(in->ctx);
}

/* ---- one request ---- */

struct words {
    char url[4096], key[128], type[160], file[128];
    const char *header[4];
    struct ft_http_call_config config;
};

static int fill(struct ft_inside *in, const struct ft_inside_ask *a, struct words *w,
                struct ft_err *err)
{
    if (snprintf(w->url, sizeof w->url, "http://gateway%s", a->path) >= (int)sizeof w->url)
        return ft_err_set(err, FT_EINVAL, "the path is too long");
    bool project = strncmp(a->key, FOR_PROJECT, strlen(FOR_PROJECT)) == 0;
    snprintf(w->key, sizeof w->key, project ? "X-Feitian-Project: %.80s" : "X-Feitian-Key: %.100s",
             a->key + (project ? strlen(FOR_PROJECT) : 0));
    snprintf(w->type, sizeof w->type, "Content-Type: %.130s",
             a->type != NULL ? a->type : "application/json");
    w->header[0] = w->key;
    w->header[1] = w->type;
    int n = 2;
    if (a->file != NULL) {
        snprintf(w->file, sizeof w->file, "X-Feitian-File: %.100s", a->file);
        w->header[n++] = w->file;
    }
    w->config = (struct ft_http_call_config){.method = a->method,
                                             .url = w->url,
                                             .unix_socket = in->socket,
                                             .headers = w->header,
                                             .n_headers = n,
                                             .body = a->body,
                                             .n_body = a->n_body,
                                             .idle_timeout_ms = IDLE_MS};
    return 0;
}

/* What no 2xx says: {"error": {"message"}}, or the hub's {"error": "..."}. */
static int refused(const struct ft_http_answer *a, struct ft_err *err)
{
    json_t *o = a->body.len > 0 ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
    const json_t *e = json_object_get(o, "error");
    const char *message = json_string_value(json_is_string(e) ? e : json_object_get(e, "message"));
    enum ft_code code = a->status == 404                       ? FT_ENOTFOUND
                        : a->status == 409                     ? FT_EEXIST
                        : a->status == 429 || a->status >= 500 ? FT_EUNAVAIL
                                                               : FT_EINVAL;
    int rc = ft_err_set(err, code, "%.400s (%d)", message != NULL ? message : "refused", a->status);
    json_decref(o);
    return rc;
}

/* What could not even be asked. */
static int unreached(struct ft_err *err)
{
    if (err->code == FT_EIO || err->code == FT_ELIMIT || err->code == FT_ENOTFOUND)
        err->code = FT_EUNAVAIL;
    return err->code;
}

/* Where an answer goes: into memory, or a file. */
struct sink {
    struct ft_inside *in;
    struct ft_buf *buf; /* NULL: fd */
    int fd;
    int64_t left;
    struct ft_err err;
};

static bool stop(void *ctx)
{
    const struct sink *s = ctx;
    return s->in->stop != NULL && s->in->stop(s->in->ctx);
}

static bool take(void *ctx, const char *data, size_t n)
{
    struct sink *s = ctx;
    if ((int64_t)n > s->left) {
        ft_err_set(&s->err, FT_ELIMIT, "is too large");
        return false;
    }
    s->left -= (int64_t)n;
    if (s->buf != NULL)
        return ft_buf_add(s->buf, data, n) == 0;
    while (n > 0) {
        ssize_t done = write(s->fd, data, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0) {
            ft_err_sys(&s->err, "write");
            return false;
        }
        data += done;
        n -= (size_t)done;
    }
    return true;
}

/* Runs it; what comes with a 2xx goes to the sink. */
static int run(const struct ft_http_call_config *c, struct sink *s, struct ft_err *err)
{
    struct ft_http_answer answer = {0};
    int rc = ft_http_fetch_stream(s->in->client, c, take, stop, s, &answer, err);
    if (rc != 0 && s->err.code != 0) {
        *err = s->err;
        return s->err.code;
    }
    if (rc != 0)
        return unreached(err);
    if (answer.status / 100 != 2)
        rc = refused(&answer, err);
    ft_http_answer_fini(&answer);
    return rc;
}

int ft_inside_ask(struct ft_inside *in, const struct ft_inside_ask *a, json_t **ret,
                  struct ft_err *err)
{
    struct words w;
    struct ft_buf body;
    struct sink s = {.in = in, .buf = &body, .left = FT_INSIDE_ANSWER_MAX};
    ft_buf_init(&body, FT_INSIDE_ANSWER_MAX + 1);
    int rc = fill(in, a, &w, err);
    if (rc == 0)
        rc = run(&w.config, &s, err);
    if (rc == 0 && ret != NULL)
        *ret = body.len > 0 ? json_loadb(body.data, body.len, 0, NULL) : NULL;
    ft_buf_fini(&body);
    return rc;
}

/* ---- files ---- */

static int fetch_into(struct sink *s, const struct ft_inside_ask *a, struct ft_err *err)
{
    struct words w;
    int rc = fill(s->in, a, &w, err);
    w.config.large = true;
    if (rc == 0)
        rc = run(&w.config, s, err);
    if (rc == 0 && fsync(s->fd) != 0)
        rc = ft_err_sys(err, "sync");
    return rc;
}

int ft_inside_fetch(struct ft_inside *in, const char *key, const char *path, const char *to,
                    int64_t max, struct ft_err *err)
{
    struct sink s = {.in = in, .fd = -1, .left = max};
    const struct ft_inside_ask a = {.method = "GET", .path = path, .key = key};
    char *temp = NULL;
    int rc = ft_partial_open(to, false, &temp, &s.fd, err);
    if (rc != 0)
        return rc;
    rc = fetch_into(&s, &a, err);
    if (rc == 0 && rename(temp, to) != 0)
        rc = ft_err_sys(err, "%s", to);
    if (rc == 0)
        rc = ft_partial_parent_sync(to, err);
    if (rc != 0)
        unlink(temp);
    close(s.fd);
    free(temp);
    return rc;
}

/* A file as a body. */
struct source {
    int fd;
    int64_t left;
    bool broke;
};

static size_t read_source(void *ctx, char *data, size_t n)
{
    struct source *s = ctx;
    ssize_t got = s->left > 0 ? read(s->fd, data, FT_MIN(n, (size_t)s->left)) : 0;
    s->broke = s->left > 0 && got <= 0;
    if (s->broke)
        return FT_HTTP_READ_ABORT;
    s->left -= got;
    return (size_t)got;
}

int ft_inside_send(struct ft_inside *in, const char *key, const char *path, const char *file,
                   struct ft_err *err)
{
    struct words w;
    struct stat st;
    struct ft_buf body;
    struct sink s = {.in = in, .buf = &body, .left = FILE_MAX};
    const struct ft_inside_ask a = {
        .method = "PUT", .path = path, .key = key, .type = "application/octet-stream"};
    struct source from = {.fd = open(file, O_RDONLY | O_CLOEXEC)};
    if (from.fd < 0 || fstat(from.fd, &st) != 0) {
        if (from.fd >= 0)
            close(from.fd);
        return ft_err_sys(err, "%s", file);
    }
    from.left = st.st_size;
    ft_buf_init(&body, FILE_MAX + 1);
    int rc = fill(in, &a, &w, err);
    w.config.on_read = read_source;
    w.config.ctx = &from;
    w.config.body_bytes = st.st_size;
    w.config.large = true;
    if (rc == 0)
        rc = run(&w.config, &s, err);
    if (rc != 0 && from.broke)
        rc = ft_err_set(err, FT_EIO, "%s became shorter while it was read", file);
    close(from.fd);
    ft_buf_fini(&body);
    return rc;
}

static int send_form(struct ft_inside *in, const struct ft_inside_file *q, struct ft_form_send *f,
                     struct ft_err *err)
{
    struct words w;
    struct ft_buf body;
    struct sink s = {.in = in, .buf = &body, .left = FILE_MAX};
    const struct ft_inside_ask a = {.method = "POST",
                                    .path = "/v1/files",
                                    .key = q->key,
                                    .file = q->id,
                                    .type = FT_FORM_SEND_TYPE};
    ft_buf_init(&body, FILE_MAX + 1);
    int rc = fill(in, &a, &w, err);
    w.config.on_read = ft_form_send_read;
    w.config.ctx = f;
    w.config.body_bytes = ft_form_send_bytes(f);
    w.config.large = true;
    if (rc == 0)
        rc = run(&w.config, &s, err);
    if (rc != 0 && ft_form_send_broke(f))
        rc = ft_err_set(err, FT_EIO, "the file became shorter while it was read");
    ft_buf_fini(&body);
    return rc;
}

int ft_inside_put_file(struct ft_inside *in, const struct ft_inside_file *q, struct ft_err *err)
{
    struct ft_form_send *f = NULL;
    char seconds[24];
    const struct ft_form_field fields[] = {{"purpose", q->purpose},
                                           {"expires_after[anchor]", "created_at"},
                                           {"expires_after[seconds]", seconds}};
    snprintf(seconds, sizeof seconds, "%lld", (long long)q->expires_s);
    int rc = ft_form_send_open(fields, q->expires_s > 0 ? 3 : 1, q->filename, q->path, &f, err);
    if (rc == 0)
        rc = send_form(in, q, f, err);
    ft_form_send_close(f);
    return rc;
}
