/* HTTP to a cloud, and what its refusals mean for whoever sits before the terminal. */
#include "cli/cloud/client.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli.h"
#include "net/form_send.h"
#include "net/sse.h"
#include "net/url.h"

#define CALL_MS     120000
#define EVENT_MAX   ((size_t)8 << 20)
#define PAGES_MAX   100000
#define URL_BYTES   8192
#define REFUSED_US  100000 /* between tries of an address where nobody listens */
#define PROBE_MS    3000
#define PROBE_BYTES ((size_t)1 << 20)

static const char *env(const char *name)
{
    const char *v = getenv(name);
    return v != NULL && v[0] != '\0' ? v : NULL;
}

/* Without credentials: where the cloud is that runs in this home, and its own certificate. */
static void of_running(const struct ft_home *h, struct ft_home_credentials *ret)
{
    struct ft_home_up up = {0};
    struct ft_err ignored = {0};
    char path[FT_HOME_PATH];
    if (ft_home_running(h, &up, &ignored) != 1)
        return;
    snprintf(ret->url, sizeof ret->url, "%s", up.url);
    if (access(ft_home_at(h, "tls/cert.pem", path), R_OK) == 0)
        snprintf(ret->ca, sizeof ret->ca, "%s", path);
}

int ft_cloud_open(const struct ft_cloud_options *o, struct ft_cloud *ret, struct ft_err *err)
{
    struct ft_cloud c = {0};
    struct ft_home_credentials cred = {0};
    const char *url = o->url != NULL ? o->url : env("FEITIAN_URL");
    const char *key = o->key != NULL ? o->key : env("FEITIAN_API_KEY");
    int rc = ft_home_find(o->home, &c.home, err);
    if (rc != 0)
        return rc;
    rc = ft_home_credentials(&c.home, &cred, err);
    if (rc != 0 && rc != FT_ENOTFOUND && (url == NULL || key == NULL))
        return rc;
    if (url == NULL && cred.url[0] == '\0')
        of_running(&c.home, &cred);
    bool ours = url == NULL; /* HOME's key is for HOME's cloud, not for another address */
    if (url == NULL)
        url = cred.url[0] != '\0' ? cred.url : FT_CLOUD_URL;
    if (strncmp(url, "http://", 7) != 0 && strncmp(url, "https://", 8) != 0)
        return ft_err_set(err, FT_EINVAL, "%s: '%s' does not begin with http:// or https://",
                          o->url != NULL ? "--cloud" : "FEITIAN_URL", url);
    snprintf(c.url, sizeof c.url, "%s", url);
    for (size_t n = strlen(c.url); n > 8 && c.url[n - 1] == '/'; n--)
        c.url[n - 1] = '\0';
    size_t n = strlen(c.url); /* as OpenAI's clients are given it */
    if (n > 11 && strcmp(c.url + n - 3, "/v1") == 0)
        c.url[n - 3] = '\0';
    ours |= strcmp(c.url, cred.url) == 0;
    c.key_from = o->key != NULL ? "--api-key" : key != NULL ? "FEITIAN_API_KEY" : NULL;
    if (key == NULL && ours && cred.key[0] != '\0') {
        key = cred.key;
        c.key_from = "credentials.json";
    }
    snprintf(c.key, sizeof c.key, "%s", key != NULL ? key : "");
    const char *ca = o->ca != NULL ? o->ca : env("FEITIAN_CA");
    if (ca != NULL && access(ca, R_OK) != 0) {
        ft_err_sys(err, "%s: %s", o->ca != NULL ? "--ca" : "FEITIAN_CA", ca);
        return FT_EINVAL;
    }
    if (ca == NULL && ours)
        ca = cred.ca;
    snprintf(c.ca_file, sizeof c.ca_file, "%s",
             ca != NULL && strncmp(c.url, "https", 5) == 0 ? ca : "");
    rc = ft_http_client_open(&c.client, err);
    if (rc == 0)
        *ret = c;
    return rc;
}

void ft_cloud_close(struct ft_cloud *c)
{
    ft_http_client_close(c->client);
    *c = (struct ft_cloud){0};
}

/* ---- errors ---- */

bool ft_cloud_refused(const struct ft_err *err, int *tries)
{
    if (err->code != FT_EIO || err->sys_errno != ECONNREFUSED || *tries == FT_CLOUD_TRIES)
        return false;
    ++*tries;
    usleep(REFUSED_US);
    return true;
}

/* The cloud of this machine, and it is down: nobody will listen soon. */
static bool is_down(const struct ft_cloud *c)
{
    struct ft_home_up up;
    struct ft_err ignored = {0};
    bool here = strstr(c->url, "//127.") != NULL || strstr(c->url, "//localhost") != NULL ||
                strstr(c->url, "//[::1]") != NULL;
    return here && ft_home_running(&c->home, &up, &ignored) == 0;
}

/* Somebody is there, who did not understand: does the other one of http and https have an answer?
 * *ret: its address. What is said to it is no secret, so nothing is verified. */
static bool other_scheme(const struct ft_cloud *c, const struct ft_err *err, char *ret, size_t n)
{
    bool tls = strncmp(c->url, "https://", 8) == 0;
    char health[URL_BYTES];
    struct ft_http_answer a = {0};
    struct ft_err ignored = {0};
    const struct ft_http_call_config config = {
        .url = health, .total_timeout_ms = PROBE_MS, .fresh = true, .insecure = true};
    if (err->code != FT_EIO || err->sys_errno == ECONNREFUSED)
        return false;
    snprintf(ret, n, "%s://%s", tls ? "http" : "https", strstr(c->url, "://") + 3);
    snprintf(health, sizeof health, "%s/health", ret);
    int rc = ft_http_fetch(c->client, &config, PROBE_BYTES, &a, &ignored);
    ft_http_answer_fini(&a);
    return rc == 0;
}

/* Nobody answered: is there a cloud at all? */
static int no_answer(const struct ft_cloud *c, struct ft_err *err)
{
    char other[sizeof c->url + 8];
    if (err->code == FT_EIO && err->sys_errno == EKEYREJECTED) {
        const struct ft_err tls = *err;
        return ft_err_set(err, FT_EIO,
                          "the certificate of %s is not trusted (%.200s): name the one to trust by "
                          "--ca or FEITIAN_CA (of --tls-self-signed: tls/cert.pem of its folder)",
                          c->url, tls.msg);
    }
    if (other_scheme(c, err, other, sizeof other))
        return ft_err_set(err, FT_EIO, "%s speaks %s: use %s", c->url,
                          strncmp(other, "https", 5) == 0 ? "TLS" : "no TLS", other);
    if (is_down(c))
        return ft_err_set(err, FT_EIO,
                          "no cloud is running at %s: start it with 'feitian up' (or say where one "
                          "is: --cloud, FEITIAN_URL)",
                          c->url);
    char why[FT_ERR_MSG_MAX];
    snprintf(why, sizeof why, "%s", err->msg);
    return ft_err_set(err, FT_EIO, "no answer from %s: %.300s", c->url, why);
}

static int unauthorized(const struct ft_cloud *c, const char *message, struct ft_err *err)
{
    if (c->key[0] == '\0')
        return ft_err_set(
            err, FT_EINVAL,
            "%s wants a key: give it by FEITIAN_API_KEY or --api-key (the first one is "
            "in credentials.json of the cloud's folder; 'feitian key create' makes "
            "more)",
            c->url);
    return ft_err_set(err, FT_EINVAL, "%s does not accept the key from %s (%.12s...): %.200s",
                      c->url, c->key_from, c->key, message);
}

static int refused(const struct ft_cloud *c, const struct ft_http_answer *a, struct ft_err *err)
{
    json_t *j = a->body.data != NULL ? json_loadb(a->body.data, a->body.len, 0, NULL) : NULL;
    const json_t *error = json_object_get(j, "error"); /* the hub's is a text */
    const char *message = json_is_string(error)
                              ? json_string_value(error)
                              : json_string_value(json_object_get(error, "message"));
    char text[FT_ERR_MSG_MAX], retry[48] = "";
    const char *param = message != NULL ? strstr(message, "cascade=true") : NULL;
    if (param != NULL) /* commands have an option for it */
        snprintf(text, sizeof text, "%.*s--cascade%.400s", (int)FT_MIN(param - message, 400),
                 message, param + strlen("cascade=true"));
    else
        snprintf(text, sizeof text, "%.400s", message != NULL ? message : "");
    json_decref(j);
    if (a->status == 401)
        return unauthorized(c, text, err);
    if (message == NULL)
        return ft_err_set(err, FT_EIO, "%s answered with status %d", c->url, a->status);
    if (a->retry_after_s >= 0 && (a->status == 429 || a->status == 503))
        snprintf(retry, sizeof retry, " (try again in %d s)", a->retry_after_s);
    enum ft_code code = a->status == 404                       ? FT_ENOTFOUND
                        : a->status == 409                     ? FT_EEXIST
                        : a->status == 429 || a->status == 503 ? FT_EBUSY
                        : a->status < 500                      ? FT_EINVAL
                                                               : FT_EIO;
    return ft_err_set(err, code, "%s%s", text, retry);
}

/* ---- calls ---- */

struct request {
    char url[URL_BYTES], auth[300];
    const char *headers[3];
    char *text;
    struct ft_http_call_config config;
};

static int request_init(struct request *r, struct ft_cloud *c, const char *method, const char *path,
                        json_t *body, struct ft_err *err)
{
    memset(r, 0, sizeof *r);
    int n = 0;
    snprintf(r->auth, sizeof r->auth, "Authorization: Bearer %s", c->key);
    if (c->key[0] != '\0')
        r->headers[n++] = r->auth;
    r->headers[n++] = "User-Agent: feitian/" FT_VERSION;
    if (body != NULL) {
        r->headers[n++] = "Content-Type: application/json";
        r->text = json_dumps(body, JSON_COMPACT);
        json_decref(body);
        if (r->text == NULL)
            return ft_err_set(err, FT_ENOMEM, "request: no memory");
    }
    if (snprintf(r->url, sizeof r->url, "%s%s", c->url, path) >= (int)sizeof r->url)
        return ft_err_set(err, FT_EINVAL, "request: its address is too long");
    r->config = (struct ft_http_call_config){.method = method,
                                             .url = r->url,
                                             .headers = r->headers,
                                             .n_headers = n,
                                             .body = r->text,
                                             .n_body = r->text != NULL ? strlen(r->text) : 0,
                                             .ca_file = c->ca_file[0] != '\0' ? c->ca_file : NULL};
    return 0;
}

/* Asks, and reads the answer. */
static int request_run(struct request *r, struct ft_cloud *c, const char *path, json_t **ret,
                       struct ft_err *err)
{
    struct ft_http_answer a = {0};
    c->status = 0;
    int tries = 0, rc;
    while ((rc = ft_http_fetch(c->client, &r->config, FT_CLOUD_ANSWER_MAX, &a, err)) != 0 &&
           !is_down(c) && ft_cloud_refused(err, &tries))
        ft_http_answer_fini(&a);
    if (rc != 0)
        rc = rc == FT_EINVAL ? rc : no_answer(c, err);
    else if ((c->status = a.status) / 100 != 2)
        rc = refused(c, &a, err);
    else if (ret != NULL) {
        *ret = a.body.data != NULL ? json_loadb(a.body.data, a.body.len, 0, NULL) : NULL;
        if (*ret == NULL)
            rc = ft_err_set(err, FT_ECORRUPT, "%s%s: the answer is no JSON", c->url, path);
    }
    ft_http_answer_fini(&a);
    return rc;
}

int ft_cloud_call(struct ft_cloud *c, const char *method, const char *path, json_t *body,
                  json_t **ret, struct ft_err *err)
{
    struct request r;
    int rc = request_init(&r, c, method, path, body, err);
    r.config.total_timeout_ms = c->timeout_ms > 0 ? c->timeout_ms : CALL_MS;
    if (rc == 0)
        rc = request_run(&r, c, path, ret, err);
    free(r.text);
    return rc;
}

int ft_cloud_upload(struct ft_cloud *c, const char *path, const char *purpose, json_t **ret,
                    struct ft_err *err)
{
    struct request r;
    struct ft_form_send *f = NULL;
    const struct ft_form_field fields[] = {{"purpose", purpose}};
    const char *slash = strrchr(path, '/');
    int rc = ft_form_send_open(fields, 1, slash != NULL ? slash + 1 : path, path, &f, err);
    if (rc != 0)
        return rc;
    rc = request_init(&r, c, "POST", "/v1/files", NULL, err);
    r.headers[r.config.n_headers++] = "Content-Type: " FT_FORM_SEND_TYPE;
    r.config.on_read = ft_form_send_read;
    r.config.ctx = f;
    r.config.body_bytes = ft_form_send_bytes(f);
    r.config.idle_timeout_ms = CALL_MS;
    r.config.large = true;
    if (rc == 0)
        rc = request_run(&r, c, "/v1/files", ret, err);
    if (rc != 0 && ft_form_send_broke(f))
        rc = ft_err_set(err, FT_EIO, "%s became shorter while it was read", path);
    ft_form_send_close(f);
    return rc;
}

int ft_cloud_send(struct ft_cloud *c, const char *method, const char *where,
                  const struct ft_cloud_body *body, json_t **ret, struct ft_err *err)
{
    struct request r;
    char type[160];
    bool ours = where[0] == '/';
    int rc = request_init(&r, c, method, ours ? where : "", NULL, err);
    if (rc == 0 && !ours) { /* signed by the cloud: it takes no key */
        if (snprintf(r.url, sizeof r.url, "%s", where) >= (int)sizeof r.url)
            return ft_err_set(err, FT_EINVAL, "request: its address is too long");
        r.headers[0] = "User-Agent: feitian/" FT_VERSION;
        r.config.n_headers = 1;
    }
    if (body->type != NULL) {
        snprintf(type, sizeof type, "Content-Type: %s", body->type);
        r.headers[r.config.n_headers++] = type;
    }
    r.config.body = body->data;
    r.config.n_body = body->n;
    r.config.on_read = body->on_read;
    r.config.body_bytes = body->bytes;
    r.config.ctx = body->ctx;
    r.config.idle_timeout_ms = CALL_MS;
    r.config.large = true;
    return rc == 0 ? request_run(&r, c, where, ret, err) : rc;
}

int ft_cloud_fetch(struct ft_cloud *c, const char *path, ft_http_data_fn *on_data,
                   bool (*stop)(void *ctx), void *ctx, struct ft_err *err)
{
    struct request r;
    struct ft_http_answer a = {0};
    int tries = 0;
    c->status = 0;
    int rc = request_init(&r, c, "GET", path, NULL, err);
    r.config.idle_timeout_ms = CALL_MS;
    r.config.large = true;
    if (rc == 0)
        while ((rc = ft_http_fetch_stream(c->client, &r.config, on_data, stop, ctx, &a, err)) !=
                   0 &&
               !is_down(c) && ft_cloud_refused(err, &tries))
            ft_http_answer_fini(&a);
    if (rc == 0 && (c->status = a.status) / 100 != 2)
        rc = refused(c, &a, err);
    else if (rc == FT_EIO)
        rc = no_answer(c, err);
    ft_http_answer_fini(&a);
    return rc;
}

int ft_cloud_list(struct ft_cloud *c, const char *path, json_t **ret, struct ft_err *err)
{
    json_t *all = json_array();
    struct ft_buf at;
    int rc = 0;
    ft_buf_init(&at, URL_BYTES);
    for (int i = 0; rc == 0 && i < PAGES_MAX; i++) {
        json_t *page = NULL;
        if (i == 0)
            ft_buf_add_str(&at, path);
        rc = ft_cloud_call(c, "GET", at.data, NULL, &page, err);
        if (rc == 0 && json_array_extend(all, json_object_get(page, "data")) != 0)
            rc = ft_err_set(err, FT_ECORRUPT, "%s: the answer is no list", path);
        const char *last = json_string_value(json_object_get(page, "last_id"));
        bool more = rc == 0 && json_is_true(json_object_get(page, "has_more")) && last != NULL;
        ft_buf_reset(&at);
        ft_buf_addf(&at, "%s%cafter=", path, strchr(path, '?') != NULL ? '&' : '?');
        ft_cloud_escape(&at, last != NULL ? last : "");
        json_decref(page);
        if (!more)
            break;
    }
    ft_buf_fini(&at);
    if (rc != 0)
        json_decref(all);
    else
        *ret = all;
    return rc;
}

/* ---- streams ---- */

struct stream {
    struct ft_sse_parser sse;
    ft_cloud_event_fn *fn;
    void *ctx;
    const atomic_int *stop;
    struct ft_err err;
    bool done;
};

static int on_event(void *ctx, const struct ft_sse_event *event)
{
    struct stream *s = ctx;
    if (strcmp(event->data, "[DONE]") == 0) {
        s->done = true;
        return 0;
    }
    json_t *j = json_loadb(event->data, event->n, 0, NULL);
    const json_t *error = json_object_get(j, "error");
    int rc = 0;
    if (json_is_object(error))
        rc = ft_err_set(&s->err, FT_EIO, "%.400s", ft_cloud_text(error, "message", "failed"));
    else if (j != NULL)
        rc = s->fn(s->ctx, j, &s->err);
    json_decref(j);
    return rc;
}

static bool on_data(void *ctx, const char *data, size_t n)
{
    struct stream *s = ctx;
    int rc = ft_sse_feed(&s->sse, data, n);
    if (rc != 0 && s->err.code == 0)
        ft_err_set(&s->err, rc, "the answer's events are too long");
    return rc == 0;
}

static bool asked_to_stop(void *ctx)
{
    const struct stream *s = ctx;
    return s->stop != NULL && *s->stop != 0;
}

int ft_cloud_stream(struct ft_cloud *c, const char *path, json_t *body, ft_cloud_event_fn *fn,
                    void *ctx, const atomic_int *stop, struct ft_err *err)
{
    struct request r;
    struct ft_http_answer a = {0};
    c->status = 0;
    struct stream s = {.fn = fn, .ctx = ctx, .stop = stop};
    int rc = request_init(&r, c, "POST", path, body, err);
    ft_sse_init(&s.sse, EVENT_MAX, on_event, &s);
    if (rc == 0) {
        rc = ft_http_fetch_stream(c->client, &r.config, on_data, asked_to_stop, &s, &a, err);
        if (s.err.code != 0)
            *err = s.err, rc = s.err.code;
        else if (rc != 0 && asked_to_stop(&s))
            rc = 0;
        else if (rc != 0)
            rc = rc == FT_EINVAL ? rc : no_answer(c, err);
        else if ((c->status = a.status) / 100 != 2)
            rc = refused(c, &a, err);
        else if (!s.done)
            rc = ft_err_set(err, FT_EIO, "the answer broke off");
    }
    ft_sse_fini(&s.sse);
    ft_http_answer_fini(&a);
    free(r.text);
    return rc;
}

/* ---- for commands ---- */

void ft_cloud_escape(struct ft_buf *b, const char *text)
{
    ft_url_encode(b, text, strlen(text));
}

const char *ft_cloud_text(const json_t *o, const char *member, const char *absent)
{
    const char *s = json_string_value(json_object_get(o, member));
    return s != NULL ? s : absent;
}

int ft_cloud_command(const char *cmd, const struct ft_cloud_options *o, ft_cloud_command_fn *fn,
                     void *ctx)
{
    struct ft_cloud c = {0};
    struct ft_err err = {0};
    int rc = ft_cloud_open(o, &c, &err);
    if (rc == 0)
        rc = fn(&c, ctx, &err);
    ft_cloud_close(&c);
    return rc == 0 ? 0 : ft_cli_fail(rc == FT_EINVAL || rc == FT_EUNSUPPORTED ? 2 : 1, &err, cmd);
}
