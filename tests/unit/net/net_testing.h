/* A server on a free port, and raw sockets to misbehave with. */
#ifndef FT_NET_TESTING_H
#define FT_NET_TESTING_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>

#include "base/clock.h"
#include "net/client.h"
#include "net/server.h"
#include "testing.h"

#define FAR_MS 10000 /* what is waited for comes long before, also under a sanitizer */

static inline void nap_ms(int ms)
{
    nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000l}, NULL);
}

/* Waits until *what reaches at_least; fails after FAR_MS. */
static inline void await_int(_Atomic int *what, int at_least)
{
    for (int i = 0; i < FAR_MS && atomic_load(what) < at_least; i++)
        nap_ms(1);
    if (atomic_load(what) < at_least)
        fail_msg("waited for %d, is %d", at_least, atomic_load(what));
}

static inline struct ft_http_server *open_server(struct ft_http_server_config config,
                                                 ft_http_handler_fn *handler)
{
    struct ft_http_server *s = NULL;
    struct ft_err err;
    if (config.listen == NULL)
        config.listen = "127.0.0.1:0";
    config.handler = handler;
    if (ft_http_server_open(&config, &s, &err) != 0)
        fail_msg("%s", err.msg);
    return s;
}

static inline int raw_connect(struct ft_http_server *s)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons((uint16_t)ft_http_server_port(s)),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    return fd;
}

static inline void raw_send_n(int fd, const char *data, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, data, n, MSG_NOSIGNAL);
        if (k <= 0)
            return; /* the server has had enough */
        data += k;
        n -= (size_t)k;
    }
}

static inline void raw_send(int fd, const char *text)
{
    raw_send_n(fd, text, strlen(text));
}

/* Reads until the end, a timeout or `until` is in what came. What came, NUL-terminated. */
static inline const char *raw_read(int fd, const char *until)
{
    static char buf[1 << 16];
    size_t n = 0;
    buf[0] = '\0';
    int64_t stop = ft_clock_now_ns() + FAR_MS * 1000000ll;
    while (n < sizeof buf - 1 && ft_clock_now_ns() < stop) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0)
            continue;
        ssize_t k = recv(fd, buf + n, sizeof buf - 1 - n, 0);
        if (k <= 0)
            break;
        n += (size_t)k;
        buf[n] = '\0';
        if (until != NULL && strstr(buf, until) != NULL)
            break;
    }
    return buf;
}

/* True once the server has closed the connection. */
static inline bool raw_closed(int fd)
{
    char waste[4096];
    int64_t stop = ft_clock_now_ns() + FAR_MS * 1000000ll;
    while (ft_clock_now_ns() < stop) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        if (poll(&p, 1, 100) > 0 && recv(fd, waste, sizeof waste, 0) <= 0)
            return true;
    }
    return false;
}

#endif
