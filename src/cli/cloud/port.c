/* Whether an address is free, and who has it: /proc/net/tcp has the socket, /proc/PID/fd its owner.
 */
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "cli/cloud/up.h"

/* The inode of a socket that listens on the port, 0: none seen. */
static unsigned long listener(const char *table, int port)
{
    FILE *f = fopen(table, "re");
    char line[512];
    unsigned long found = 0;
    while (f != NULL && found == 0 && fgets(line, sizeof line, f) != NULL) {
        unsigned local, state;
        unsigned long inode;
        if (sscanf(line, " %*d: %*[0-9A-Fa-f]:%x %*s %x %*s %*s %*s %*d %*d %lu", &local, &state,
                   &inode) == 3 &&
            local == (unsigned)port && state == 0x0a)
            found = inode;
    }
    if (f != NULL)
        fclose(f);
    return found;
}

static bool has_socket(const char *pid, unsigned long inode)
{
    char path[PATH_MAX], link[64], wanted[64];
    bool found = false;
    snprintf(wanted, sizeof wanted, "socket:[%lu]", inode);
    snprintf(path, sizeof path, "/proc/%s/fd", pid);
    DIR *d = opendir(path);
    for (struct dirent *e; !found && d != NULL && (e = readdir(d)) != NULL;) {
        snprintf(path, sizeof path, "/proc/%s/fd/%s", pid, e->d_name);
        ssize_t n = readlink(path, link, sizeof link - 1);
        if (n > 0) {
            link[n] = '\0';
            found = strcmp(link, wanted) == 0;
        }
    }
    if (d != NULL)
        closedir(d);
    return found;
}

/* " by nginx (pid 12)", or "". */
static void owner_of(int port, char *ret, size_t n)
{
    unsigned long inode = listener("/proc/net/tcp", port);
    if (inode == 0)
        inode = listener("/proc/net/tcp6", port);
    DIR *d = inode != 0 ? opendir("/proc") : NULL;
    ret[0] = '\0';
    for (struct dirent *e; d != NULL && ret[0] == '\0' && (e = readdir(d)) != NULL;) {
        char path[64], name[64] = "?";
        if (!isdigit((unsigned char)e->d_name[0]) || !has_socket(e->d_name, inode))
            continue;
        snprintf(path, sizeof path, "/proc/%.20s/comm", e->d_name);
        FILE *f = fopen(path, "re");
        if (f != NULL && fgets(name, sizeof name, f) != NULL)
            name[strcspn(name, "\n")] = '\0';
        if (f != NULL)
            fclose(f);
        snprintf(ret, n, " by %s (pid %.20s)", name, e->d_name);
    }
    if (d != NULL)
        closedir(d);
}

/* Why it cannot be bound, by errno. */
static int refused(const char *host, int port, struct ft_err *err)
{
    char who[128];
    bool v6 = strchr(host, ':') != NULL;
    switch (errno) {
    case EADDRINUSE:
        owner_of(port, who, sizeof who);
        return ft_err_set(err, FT_EBUSY,
                          "port %d is in use%s: choose another one, as in --listen %s%s%s:%d", port,
                          who, v6 ? "[" : "", host, v6 ? "]" : "", port < 65535 ? port + 1 : 7700);
    case EADDRNOTAVAIL:
        return ft_err_set(err, FT_EINVAL, "--listen: %s is no address of this machine", host);
    case EACCES:
        return ft_err_set(err, FT_EINVAL,
                          "--listen: port %d is for root alone; take one above 1023", port);
    default:
        return ft_err_sys(err, "listen on %s:%d", host, port);
    }
}

int ft_port_check(const char *host, int port, struct ft_err *err)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE}, *list;
    char service[16];
    int rc = 0, one = 1;
    snprintf(service, sizeof service, "%d", port);
    int failed = getaddrinfo(host, service, &hints, &list);
    if (failed != 0)
        return ft_err_set(err, FT_EINVAL, "--listen: '%s' is no address of this machine: %s", host,
                          gai_strerror(failed));
    int fd = socket(list->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        rc = ft_err_sys(err, "socket");
    else
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (rc == 0 && (bind(fd, list->ai_addr, list->ai_addrlen) != 0 || listen(fd, 1) != 0))
        rc = refused(host, port, err);
    if (fd >= 0)
        close(fd);
    freeaddrinfo(list);
    return rc;
}
