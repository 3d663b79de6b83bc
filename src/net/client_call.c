/* One call: what is asked for becomes options of curl, and curl's failures become errors. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/clock.h"
#include "base/slice.h"
#include "net/client_impl.h"

#define CONNECT_TIMEOUT_MS 5000
#define SMALL_BUFFER       4096L
#define LARGE_BUFFER       (256L << 10)
#define SMALL_UPLOAD       (16L << 10) /* curl's least */
#define FIELD_NAME_MAX     128
#define KEEP_IDLE_S        60L /* less than the 75 s after which our servers close */

static size_t take_read(char *data, size_t size, size_t n, void *arg)
{
    struct ft_http_call *call = arg;
    call->active_ns = ft_clock_now_ns();
    if (atomic_load(&call->cancelled))
        return CURL_READFUNC_ABORT;
    size_t k = call->on_read(call->ctx, data, size * n);
    if (k == FT_HTTP_READ_PAUSE) {
        call->pause_bits |= CURLPAUSE_SEND;
        return CURL_READFUNC_PAUSE;
    }
    return k == FT_HTTP_READ_ABORT || k > size * n ? CURL_READFUNC_ABORT : k;
}

static int add_header(struct ft_http_call *call, const char *line)
{
    struct curl_slist *list = curl_slist_append(call->headers, line);
    if (list == NULL)
        return FT_ENOMEM;
    call->headers = list;
    return 0;
}

static int set_headers(struct ft_http_call *call, const struct ft_http_call_config *config,
                       struct ft_err *err)
{
    if (config->n_headers > FT_HTTP_CALL_FIELDS_MAX)
        return ft_err_set(err, FT_ELIMIT, "headers: more than %d", FT_HTTP_CALL_FIELDS_MAX);
    /* without it curl holds back bodies of more than 1 MB for a second */
    int rc = add_header(call, "Expect:");
    for (int i = 0; i < config->n_headers && rc == 0; i++) {
        const char *line = config->headers[i], *colon = strchr(line, ':');
        if (colon == NULL || colon == line || colon - line > FIELD_NAME_MAX ||
            ft_str_has_control(line, ""))
            return ft_err_set(err, FT_EINVAL, "headers: number %d is not \"Name: value\"", i + 1);
        char empty[FIELD_NAME_MAX + 2];
        if (colon[1 + strspn(colon + 1, " ")] == '\0') { /* curl's way to send one without value */
            snprintf(empty, sizeof empty, "%.*s;", (int)(colon - line), line);
            line = empty;
        }
        rc = add_header(call, line);
    }
    if (rc != 0)
        return ft_err_set(err, FT_ENOMEM, "headers");
    curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers);
    return 0;
}

static bool is_loopback(const char *host)
{
    return strcasecmp(host, "localhost") == 0 || strncmp(host, "127.", 4) == 0 ||
           strcmp(host, "[::1]") == 0;
}

static int set_url(struct ft_http_call *call, const struct ft_http_call_config *config,
                   struct ft_err *err)
{
    CURLU *u = curl_url();
    char *host = NULL, *scheme = NULL;
    int rc = 0;
    if (config->url == NULL || ft_str_has_control(config->url, "") || u == NULL ||
        curl_url_set(u, CURLUPART_URL, config->url, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK)
        rc = ft_err_set(err, FT_EINVAL, "url: \"%.200s\" is none",
                        config->url != NULL ? config->url : "");
    else if (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0)
        rc = ft_err_set(err, FT_EINVAL, "url: \"%.200s\" is neither http nor https", config->url);
    else if (config->unix_socket != NULL || is_loopback(host))
        curl_easy_setopt(call->easy, CURLOPT_PROXY, ""); /* whatever the environment says */
    curl_free(host);
    curl_free(scheme);
    curl_url_cleanup(u);
    if (rc != 0)
        return rc;
    if (curl_easy_setopt(call->easy, CURLOPT_URL, config->url) != CURLE_OK ||
        (config->unix_socket != NULL &&
         curl_easy_setopt(call->easy, CURLOPT_UNIX_SOCKET_PATH, config->unix_socket) != CURLE_OK))
        return ft_err_set(err, FT_ENOMEM, "url");
    curl_easy_setopt(call->easy, CURLOPT_PATH_AS_IS, 1L); /* ".." is a name in the keys of S3 */
    curl_easy_setopt(call->easy, CURLOPT_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(call->easy, CURLOPT_REDIR_PROTOCOLS_STR, "http,https");
    curl_easy_setopt(call->easy, CURLOPT_FOLLOWLOCATION, (long)config->follow);
    curl_easy_setopt(call->easy, CURLOPT_MAXREDIRS, (long)FT_HTTP_REDIRECTS_MAX);
    return 0;
}

static int set_body(struct ft_http_call *call, const struct ft_http_call_config *config,
                    struct ft_err *err)
{
    CURL *e = call->easy;
    if (config->body != NULL && config->on_read != NULL)
        return ft_err_set(err, FT_EINVAL, "body: both a whole one and one in pieces");
    if (config->on_read != NULL) {
        curl_easy_setopt(e, CURLOPT_UPLOAD, 1L);
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST,
                         config->method != NULL ? config->method : "POST");
        curl_easy_setopt(e, CURLOPT_INFILESIZE_LARGE, (curl_off_t)config->body_bytes);
        curl_easy_setopt(e, CURLOPT_READFUNCTION, take_read);
        curl_easy_setopt(e, CURLOPT_READDATA, call);
        return 0;
    }
    if (config->body != NULL) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)config->n_body);
        if (curl_easy_setopt(e, CURLOPT_COPYPOSTFIELDS, config->body) != CURLE_OK)
            return ft_err_set(err, FT_ENOMEM, "body");
    } else if (config->method != NULL && strcmp(config->method, "POST") == 0) {
        curl_easy_setopt(e, CURLOPT_POST, 1L);
        curl_easy_setopt(e, CURLOPT_POSTFIELDSIZE, 0L);
    }
    if (config->method != NULL && strcmp(config->method, "HEAD") == 0)
        curl_easy_setopt(e, CURLOPT_NOBODY, 1L);
    else if (config->method != NULL)
        curl_easy_setopt(e, CURLOPT_CUSTOMREQUEST, config->method);
    return 0;
}

static void set_transport(struct ft_http_call *call, const struct ft_http_call_config *config)
{
    CURL *e = call->easy;
    int connect_ms =
        config->connect_timeout_ms > 0 ? config->connect_timeout_ms : CONNECT_TIMEOUT_MS;
    curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, (long)connect_ms);
    curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, (long)config->total_timeout_ms);
    curl_easy_setopt(e, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(e, CURLOPT_TCP_KEEPALIVE, 1L);
    curl_easy_setopt(e, CURLOPT_BUFFERSIZE, config->large ? LARGE_BUFFER : SMALL_BUFFER);
    curl_easy_setopt(e, CURLOPT_UPLOAD_BUFFERSIZE, config->large ? LARGE_BUFFER : SMALL_UPLOAD);
    curl_easy_setopt(e, CURLOPT_MAXAGE_CONN, KEEP_IDLE_S);
    curl_easy_setopt(e, CURLOPT_USERAGENT, "feitian/" FT_VERSION);
    if (config->fresh) {
        curl_easy_setopt(e, CURLOPT_FRESH_CONNECT, 1L);
        curl_easy_setopt(e, CURLOPT_FORBID_REUSE, 1L);
    }
    if (config->ca_file != NULL)
        curl_easy_setopt(e, CURLOPT_CAINFO, config->ca_file);
    if (config->insecure) {
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYPEER, 0L);
        curl_easy_setopt(e, CURLOPT_SSL_VERIFYHOST, 0L);
    }
    curl_easy_setopt(e, CURLOPT_ERRORBUFFER, call->error);
    curl_easy_setopt(e, CURLOPT_PRIVATE, call);
    curl_easy_setopt(e, CURLOPT_HEADERFUNCTION, ft_http_take_header);
    curl_easy_setopt(e, CURLOPT_HEADERDATA, call);
    curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, ft_http_take_data);
    curl_easy_setopt(e, CURLOPT_WRITEDATA, call);
}

static bool is_method(const char *s)
{
    size_t n = strspn(s, "ABCDEFGHIJKLMNOPQRSTUVWXYZ");
    return n != 0 && n <= 16 && s[n] == '\0';
}

int ft_http_call_setup(struct ft_http_call *call, const struct ft_http_call_config *config,
                       struct ft_err *err)
{
    if (config->method != NULL && !is_method(config->method))
        return ft_err_set(err, FT_EINVAL, "method: not a word in capitals");
    if (config->connect_timeout_ms < 0 || config->idle_timeout_ms < 0 ||
        config->total_timeout_ms < 0)
        return ft_err_set(err, FT_EINVAL, "timeouts: negative");
    call->easy = curl_easy_init();
    if (call->easy == NULL)
        return ft_err_set(err, FT_ENOMEM, "call");
    ft_buf_init(&call->head, FT_HTTP_ANSWER_HEAD_MAX);
    call->on_head = config->on_head;
    call->on_data = config->on_data;
    call->on_done = config->on_done;
    call->on_read = config->on_read;
    call->ctx = config->ctx;
    call->idle_timeout_ms = config->idle_timeout_ms;
    call->follow = config->follow;
    set_transport(call, config);
    int rc = set_url(call, config, err);
    if (rc == 0)
        rc = set_headers(call, config, err);
    return rc != 0 ? rc : set_body(call, config, err);
}

void ft_http_call_free(struct ft_http_call *call)
{
    if (call->easy != NULL)
        curl_easy_cleanup(call->easy);
    curl_slist_free_all(call->headers);
    ft_buf_fini(&call->head);
    free(call);
}

int ft_http_call_error(struct ft_http_call *call, CURLcode code, struct ft_err *err)
{
    enum ft_code ours = FT_EIO;
    if (code == CURLE_OPERATION_TIMEDOUT || code == CURLE_TOO_MANY_REDIRECTS ||
        code == CURLE_FILESIZE_EXCEEDED)
        ours = FT_ELIMIT;
    else if (code == CURLE_OUT_OF_MEMORY)
        ours = FT_ENOMEM;
    else if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL)
        ours = FT_EINVAL;
    else if (code == CURLE_WEIRD_SERVER_REPLY || code == CURLE_WRITE_ERROR)
        ours = FT_ECORRUPT; /* our write function fails for heads that are too long alone */
    else if (code == CURLE_ABORTED_BY_CALLBACK)
        ours = FT_ECANCELED; /* on_read gave up */
    long os = 0;
    curl_easy_getinfo(call->easy, CURLINFO_OS_ERRNO, &os);
    ft_err_set(err, ours, "%s", call->error[0] != '\0' ? call->error : curl_easy_strerror(code));
    if (err != NULL && ours == FT_EIO)
        err->sys_errno = code == CURLE_PEER_FAILED_VERIFICATION ? EKEYREJECTED : (int)os;
    return ours;
}
