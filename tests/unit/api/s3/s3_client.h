/* Requests to the server of s3_testing.h, signed as asked: every byte is the test's own. */
#ifndef FT_TEST_S3_CLIENT_H
#define FT_TEST_S3_CLIENT_H

#include <netinet/in.h>
#include <nettle/sha2.h>
#include <sys/socket.h>
#include <time.h>

#include "net/sigv4.h"
#include "s3_testing.h"

struct s3_answer {
    int status;
    char head[8192];
    char *body; /* NUL-terminated */
    size_t n;
};
static struct s3_answer got;
/* Done once the server has let the request in and waits for its body, which is sent behind it; the
 * request must have "Expect: 100-continue". NULL: nothing. */
static void (*s3_meanwhile)(void);

/* To the end of the interim answer. */
static void s3_await_continue(int fd)
{
    char text[256] = "";
    for (size_t n = 0; strstr(text, "\r\n\r\n") == NULL; n++) {
        assert_true(n + 1 < sizeof text);
        assert_int_equal(recv(fd, text + n, 1, 0), 1);
    }
    assert_non_null(strstr(text, " 100 "));
}

static int s3_end(void **state)
{
    free(got.body);
    memset(&got, 0, sizeof got);
    return s3_teardown(state);
}

static void sha256_text(const void *data, size_t n, char hex[65])
{
    struct sha256_ctx ctx;
    uint8_t d[32];
    sha256_init(&ctx);
    sha256_update(&ctx, n, data);
    sha256_digest(&ctx, 32, d);
    for (int i = 0; i < 32; i++)
        sprintf(hex + 2 * i, "%02x", d[i]);
}

/* Sends bytes as they are, reads the answer to the connection's end. */
static void s3_raw(const char *head, size_t n_head, const void *body, size_t n)
{
    int fd = socket(AF_INET, SOCK_STREAM, 0),
        before = __atomic_load_n(&server.records, __ATOMIC_SEQ_CST);
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ft_http_server_port(server.http)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    const char *from[] = {head, body};
    size_t sizes[] = {n_head, n};
    for (int i = 0; i < 2; i++) {
        if (i == 1 && s3_meanwhile != NULL) {
            s3_await_continue(fd);
            s3_meanwhile();
        }
        for (size_t at = 0; at < sizes[i];) {
            ssize_t k = send(fd, from[i] + at, sizes[i] - at, MSG_NOSIGNAL);
            if (k <= 0)
                break;
            at += (size_t)k;
        }
    }
    size_t cap = 1 << 16, len = 0;
    char *all = malloc(cap);
    for (;;) {
        if (cap - len < 65536)
            all = realloc(all, cap *= 2);
        ssize_t k = recv(fd, all + len, cap - len - 1, 0);
        if (k <= 0)
            break;
        len += (size_t)k;
    }
    close(fd);
    all[len] = '\0';
    char *end = strstr(all, "\r\n\r\n");
    assert_non_null(end);
    /* the record follows the answer */
    for (int i = 0; i < 5000 && __atomic_load_n(&server.records, __ATOMIC_SEQ_CST) == before; i++)
        usleep(1000);
    free(got.body);
    got.status = atoi(all + 9);
    snprintf(got.head, sizeof got.head, "%.*s\r\n", (int)(end - all), all);
    got.n = len - (size_t)(end + 4 - all);
    got.body = malloc(got.n + 1);
    memcpy(got.body, end + 4, got.n + 1);
    free(all);
}

struct s3_ask {
    const char *key;     /* NULL: S3_KEY; "": anonymous */
    const char *secret;  /* NULL: the right one */
    const char *payload; /* x-amz-content-sha256; NULL: of the body */
    const char *host;    /* NULL: "localhost" */
    int64_t skew_s;
};

/* headers: "Name: value\n..." */
static int s3_send(const struct s3_ask *ask, const char *method, const char *target,
                   const char *headers, const void *body, size_t n)
{
    static const struct s3_ask plain;
    struct ft_http_field f[64];
    int n_f = 0;
    char copy[8192], head[16384], hash[65], path[4096];
    ask = ask != NULL ? ask : &plain;
    const char *host = ask->host != NULL ? ask->host : "localhost";
    f[n_f++] = (struct ft_http_field){"Host", host};
    snprintf(copy, sizeof copy, "%s", headers != NULL ? headers : "");
    for (char *save, *line = strtok_r(copy, "\n", &save); line != NULL;
         line = strtok_r(NULL, "\n", &save)) {
        char *colon = strstr(line, ": ");
        *colon = '\0';
        f[n_f++] = (struct ft_http_field){line, colon + 2};
    }
    size_t len = (size_t)snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nConnection: close\r\n",
                                  method, target);
    for (int i = 0; i < n_f; i++)
        len += (size_t)snprintf(head + len, sizeof head - len, "%s: %s\r\n", f[i].name, f[i].value);
    if (ask->key == NULL || ask->key[0] != '\0') {
        sha256_text(body, n, hash);
        const char *payload = ask->payload != NULL ? ask->payload : hash,
                   *query = strchr(target, '?');
        snprintf(path, sizeof path, "%.*s", (int)strcspn(target, "?"), target);
        const struct ft_sigv4_request r = {method, path, query != NULL ? query + 1 : "", f, n_f};
        const struct ft_sigv4_key k = {ask->key != NULL ? ask->key : S3_KEY,
                                       ask->secret != NULL ? ask->secret : S3_SECRET, "us-east-1",
                                       "s3"};
        struct ft_sigv4_signed s;
        assert_int_equal(
            ft_sigv4_sign(&r, &k, payload, (int64_t)time(NULL) + ask->skew_s, &s, NULL), 0);
        len += (size_t)snprintf(head + len, sizeof head - len,
                                "x-amz-date: %s\r\nx-amz-content-sha256: %s\r\n"
                                "Authorization: %s\r\n",
                                s.date, payload, s.authorization);
    }
    if ((headers == NULL || strstr(headers, "Transfer-Encoding") == NULL) &&
        strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0 && strcmp(method, "DELETE") != 0)
        len += (size_t)snprintf(head + len, sizeof head - len, "Content-Length: %zu\r\n", n);
    len += (size_t)snprintf(head + len, sizeof head - len, "\r\n");
    s3_raw(head, len, body, n);
    return got.status;
}

static int s3(const char *method, const char *target, const char *headers, const char *body)
{
    return s3_send(NULL, method, target, headers, body, body != NULL ? strlen(body) : 0);
}

/* The value of a header of the answer, in a static buffer; NULL: not there. */
__attribute__((unused)) static const char *s3_header(const char *name)
{
    static char value[1024];
    size_t n = strlen(name);
    for (const char *p = got.head; (p = strstr(p, "\r\n")) != NULL;) {
        p += 2;
        if (strncasecmp(p, name, n) == 0 && p[n] == ':') {
            p += n + 1 + strspn(p + n + 1, " ");
            snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\r"), p);
            return value;
        }
    }
    return NULL;
}

/* What is between <name> and </name> first in the answer, in a static buffer; NULL. */
static const char *s3_element(const char *name)
{
    static char value[4096];
    char open[128];
    snprintf(open, sizeof open, "<%s>", name);
    const char *p = strstr(got.body, open);
    if (p == NULL)
        return NULL;
    p += strlen(open);
    snprintf(open, sizeof open, "</%s>", name);
    const char *end = strstr(p, open);
    snprintf(value, sizeof value, "%.*s", end != NULL ? (int)(end - p) : 0, p);
    return value;
}

#define assert_s3_error(status_, code_)                                                            \
    do {                                                                                           \
        const char *code__ = s3_element("Code");                                                   \
        if (got.status != (status_) || code__ == NULL || strcmp(code__, code_) != 0)               \
            fail_msg("%d %s, not %d %s: %s", got.status, code__ != NULL ? code__ : "-", (status_), \
                     code_, got.body);                                                             \
    } while (0)

#endif
