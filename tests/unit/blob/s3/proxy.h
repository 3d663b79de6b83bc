/* Between a store and its upstream, on loopback: passes bytes on, and loses answers when it is told
 * to, as networks do: the upstream has done what was asked, and nobody is told. */
#ifndef FT_UNIT_BLOB_S3_PROXY_H
#define FT_UNIT_BLOB_S3_PROXY_H

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "testing.h"

#define PROXY_CONNECTIONS 64

static struct {
    int listener, port, upstream_port;
    pthread_t acceptor, threads[PROXY_CONNECTIONS];
    int n_threads;
    atomic_bool stop;
    atomic_int lose; /* so many answers to requests that change something */
    atomic_int lost;
} proxy;

static inline int proxy_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    if (connect(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        close(fd);
        return -1;
    }
    return fd;
}

static inline bool proxy_pass(const char *bytes, ssize_t n, int to)
{
    while (n > 0) {
        ssize_t k = send(to, bytes, (size_t)n, MSG_NOSIGNAL);
        if (k <= 0)
            return false;
        bytes += k;
        n -= k;
    }
    return true;
}

static void *proxy_serve(void *arg)
{
    struct pollfd fds[2] = {{.fd = (int)(intptr_t)arg, .events = POLLIN}, {.events = POLLIN}};
    static const char *const changes[] = {"PUT ", "POST", "DELE"};
    bool changing = false, open = true;
    char bytes[65536];
    fds[1].fd = proxy_connect(proxy.upstream_port);
    while (open && fds[1].fd >= 0 && !atomic_load(&proxy.stop)) {
        if (poll(fds, 2, 50) <= 0)
            continue;
        for (int i = 0; i < 2 && open; i++) {
            if (fds[i].revents == 0)
                continue;
            ssize_t n = recv(fds[i].fd, bytes, sizeof bytes, 0);
            for (int c = 0; i == 0 && n >= 4 && c < 3; c++)
                if (memcmp(bytes, changes[c], 4) == 0)
                    changing = true;
            if (i == 0 && n >= 4 &&
                (memcmp(bytes, "GET ", 4) == 0 || memcmp(bytes, "HEAD", 4) == 0))
                changing = false;
            if (i == 1 && changing && atomic_load(&proxy.lose) > 0) {
                atomic_fetch_sub(&proxy.lose, 1);
                atomic_fetch_add(&proxy.lost, 1);
                open = false;
            } else {
                open = n > 0 && proxy_pass(bytes, n, fds[1 - i].fd);
            }
        }
    }
    close(fds[0].fd);
    if (fds[1].fd >= 0)
        close(fds[1].fd);
    return NULL;
}

static void *proxy_accept(void *arg)
{
    (void)arg;
    while (!atomic_load(&proxy.stop)) {
        struct pollfd p = {.fd = proxy.listener, .events = POLLIN};
        if (poll(&p, 1, 50) <= 0)
            continue;
        int fd = accept(proxy.listener, NULL, NULL);
        if (fd < 0 || proxy.n_threads == PROXY_CONNECTIONS ||
            pthread_create(&proxy.threads[proxy.n_threads], NULL, proxy_serve,
                           (void *)(intptr_t)fd) != 0)
            abort();
        proxy.n_threads++;
    }
    return NULL;
}

static inline void proxy_open(int upstream_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET};
    socklen_t n = sizeof a;
    memset(&proxy, 0, sizeof proxy);
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    proxy.upstream_port = upstream_port;
    proxy.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(proxy.listener, (struct sockaddr *)&a, sizeof a), 0);
    assert_int_equal(listen(proxy.listener, 16), 0);
    assert_int_equal(getsockname(proxy.listener, (struct sockaddr *)&a, &n), 0);
    proxy.port = ntohs(a.sin_port);
    assert_int_equal(pthread_create(&proxy.acceptor, NULL, proxy_accept, NULL), 0);
}

static inline void proxy_close(void)
{
    atomic_store(&proxy.stop, true);
    pthread_join(proxy.acceptor, NULL);
    for (int i = 0; i < proxy.n_threads; i++)
        pthread_join(proxy.threads[i], NULL);
    close(proxy.listener);
}

#endif
