/* Readiness: one byte down the pipe that exec.h promises, one datagram in sd_notify(3)'s protocol.
 */
#include "sched/ready.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

static int taken = -1; /* out of the environment, not told yet */

static int named_fd(void)
{
    const char *text = getenv("FEITIAN_READY_FD");
    if (text == NULL)
        return -1;
    char *end;
    long fd = strtol(text, &end, 10);
    return end == text || *end != 0 || fd < 3 || fd > 1 << 20 ? -1 : (int)fd;
}

int ft_ready_fd(void)
{
    return taken >= 0 ? taken : named_fd();
}

void ft_ready_take(void)
{
    int fd = named_fd();
    if (fd < 0)
        return;
    unsetenv("FEITIAN_READY_FD"); /* a child would write to whatever has that number there */
    fcntl(fd, F_SETFD, FD_CLOEXEC);
    taken = fd;
}

int ft_ready_tell(struct ft_err *err)
{
    if (taken < 0)
        ft_ready_take();
    int fd = taken;
    taken = -1;
    if (fd >= 0) {
        /* the owner may have gone: no reason to end by SIGPIPE, nor to fail */
        void (*was)(int) = signal(SIGPIPE, SIG_IGN);
        ssize_t n = write(fd, "1", 1);
        (void)n;
        signal(SIGPIPE, was);
        close(fd);
    }
    return ft_ready_systemd("READY=1", err);
}

int ft_ready_systemd(const char *message, struct ft_err *err)
{
    const char *path = getenv("NOTIFY_SOCKET");
    if (path == NULL || path[0] == 0)
        return 0;
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    size_t n = strlen(path);
    if (n >= sizeof to.sun_path || (path[0] != '/' && path[0] != '@'))
        return ft_err_set(err, FT_EINVAL, "NOTIFY_SOCKET: neither a path nor an abstract name");
    memcpy(to.sun_path, path, n);
    if (to.sun_path[0] == '@') /* the abstract name space */
        to.sun_path[0] = 0;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return ft_err_sys(err, "tell systemd: socket");
    socklen_t to_n = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
    ssize_t sent = sendto(fd, message, strlen(message), MSG_NOSIGNAL, (struct sockaddr *)&to, to_n);
    int e = sent < 0 ? ft_err_sys(err, "tell systemd at %s", path) : 0;
    close(fd);
    return e;
}
