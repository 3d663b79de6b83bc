/* Where a server listens: "HOST:PORT" of this machine, or "unix:/path". */
#include <errno.h>
#include <linux/tcp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/server_impl.h"

#define BACKLOG 4096 /* the system's own maximum applies */

/* Clients whose network is gone are noticed in about a minute: accepted sockets inherit these. */
static void set_keepalive(int fd)
{
    int on = 1, idle_s = 30, step_s = 10, tries = 3, unacked_ms = 60000;
    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle_s, sizeof idle_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &step_s, sizeof step_s);
    setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &tries, sizeof tries);
    setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &unacked_ms, sizeof unacked_ms);
}

static int open_socket(int family, const struct sockaddr *a, socklen_t len, int *ret_fd)
{
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -1;
    int on = 1;
    if (family != AF_UNIX)
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, a, len) != 0) {
        int keep = errno;
        close(fd);
        errno = keep;
        return -1;
    }
    *ret_fd = fd;
    return 0;
}

/* A socket's file that nobody listens to is what a killed process left behind. */
static bool is_stale(const struct sockaddr_un *a)
{
    struct stat st;
    if (lstat(a->sun_path, &st) != 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return false;
    bool refused = connect(fd, (const struct sockaddr *)a, sizeof *a) != 0 && errno == ECONNREFUSED;
    close(fd);
    return refused;
}

static int listen_unix(const char *path, int mode, int *ret_fd, struct ft_err *err)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (path[0] == '\0' || strlen(path) >= sizeof a.sun_path)
        return ft_err_set(err, FT_EINVAL, "listen: \"%s\": a socket's path has 1 to %zu bytes",
                          path, sizeof a.sun_path - 1);
    memcpy(a.sun_path, path, strlen(path) + 1);
    if (is_stale(&a))
        unlink(path);
    int fd;
    if (open_socket(AF_UNIX, (struct sockaddr *)&a, sizeof a, &fd) != 0)
        return ft_err_sys(err, "listen: %s", path);
    /* before listen(2), so nobody connects in between */
    if (chmod(path, mode != 0 ? (mode_t)mode : 0600) != 0 || listen(fd, BACKLOG) != 0) {
        int rc = ft_err_sys(err, "listen: %s", path);
        close(fd);
        unlink(path);
        return rc;
    }
    *ret_fd = fd;
    return 0;
}

/* "[::1]:80" and "127.0.0.1:80" into host and port. */
static int split_address(const char *where, char *host, size_t max, const char **ret_port,
                         struct ft_err *err)
{
    const char *colon = strrchr(where, ':');
    const char *from = where, *to = colon;
    if (colon != NULL && where[0] == '[' && colon > where && colon[-1] == ']') {
        from++;
        to--;
    } else if (colon != NULL && memchr(where, ':', (size_t)(colon - where)) != NULL) {
        colon = NULL; /* an IPv6 address without its brackets */
    }
    size_t digits = colon != NULL ? strspn(colon + 1, "0123456789") : 0;
    if (colon == NULL || digits == 0 || digits > 5 || colon[1 + digits] != '\0' ||
        atoi(colon + 1) > 65535 || (size_t)(to - from) >= max)
        return ft_err_set(err, FT_EINVAL,
                          "listen: \"%s\" is not HOST:PORT, [IPV6]:PORT or unix:/PATH", where);
    memcpy(host, from, (size_t)(to - from));
    host[to - from] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int listen_tcp(const char *where, int *ret_fd, char **ret_address, int *ret_port,
                      struct ft_err *err)
{
    char host[256], service[16];
    const char *port = NULL;
    int rc = split_address(where, host, sizeof host, &port, err);
    if (rc != 0)
        return rc;
    struct addrinfo hints = {.ai_flags = AI_PASSIVE | AI_NUMERICSERV, .ai_socktype = SOCK_STREAM};
    struct addrinfo *list = NULL;
    int g = getaddrinfo(host[0] != '\0' ? host : NULL, port, &hints, &list);
    if (g != 0)
        return ft_err_set(err, FT_EINVAL, "listen: \"%s\": %s", where, gai_strerror(g));
    int fd = -1;
    for (struct addrinfo *a = list; a != NULL && fd < 0; a = a->ai_next)
        if (open_socket(a->ai_family, a->ai_addr, a->ai_addrlen, &fd) != 0)
            fd = -1;
    if (fd < 0 || listen(fd, BACKLOG) != 0) {
        rc = ft_err_sys(err, "listen: %s", where);
        if (fd >= 0)
            close(fd);
        freeaddrinfo(list);
        return rc;
    }
    freeaddrinfo(list);
    set_keepalive(fd);
    struct sockaddr_storage a;
    socklen_t len = sizeof a;
    char numeric[256] = "";
    if (getsockname(fd, (struct sockaddr *)&a, &len) != 0 ||
        getnameinfo((struct sockaddr *)&a, len, numeric, sizeof numeric, service, sizeof service,
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0 ||
        asprintf(ret_address, strchr(numeric, ':') != NULL ? "[%s]:%s" : "%s:%s", numeric,
                 service) < 0) {
        *ret_address = NULL;
        close(fd);
        return ft_err_set(err, FT_EIO, "listen: %s: its address is not known", where);
    }
    *ret_port = atoi(service);
    *ret_fd = fd;
    return 0;
}

int ft_http_listen(const char *where, int unix_mode, int *ret_fd, char **ret_address,
                   char **ret_unix_path, int *ret_port, struct ft_err *err)
{
    if (strncmp(where, "unix:", 5) != 0)
        return listen_tcp(where, ret_fd, ret_address, ret_port, err);
    int rc = listen_unix(where + 5, unix_mode, ret_fd, err);
    if (rc != 0)
        return rc;
    *ret_address = strdup(where);
    *ret_unix_path = strdup(where + 5);
    return *ret_address != NULL && *ret_unix_path != NULL ? 0
                                                          : ft_err_set(err, FT_ENOMEM, "listen");
}
