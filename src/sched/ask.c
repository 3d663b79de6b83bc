/* See ask.h. posix_spawn, two pipes, poll. */
#include "sched/ask.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define WAIT_US 2000

extern char **environ;

static int start(const struct ft_ask *a, pid_t *ret_pid, int *ret_out, int *ret_says)
{
    posix_spawn_file_actions_t actions;
    int out[2], says[2];
    if (pipe2(out, O_CLOEXEC) != 0)
        return -errno;
    if (pipe2(says, O_CLOEXEC) != 0) {
        close(out[0]);
        close(out[1]);
        return -ENFILE;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], 1);
    posix_spawn_file_actions_adddup2(&actions, says[1], 2);
    posix_spawn_file_actions_addclosefrom_np(&actions, 3);
    int rc = posix_spawn(ret_pid, a->argv[0], &actions, NULL, a->argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(says[1]);
    *ret_out = out[0];
    *ret_says = says[0];
    if (rc != 0) {
        close(out[0]);
        close(says[0]);
    }
    return -rc;
}

/* Reads both until they end; false: too long, too much. */
static bool drain(int64_t until, int out_fd, int says_fd, struct ft_buf *out, struct ft_buf *says)
{
    struct pollfd p[2] = {{out_fd, POLLIN, 0}, {says_fd, POLLIN, 0}};
    char chunk[65536];
    while (p[0].fd >= 0 || p[1].fd >= 0) {
        int64_t left_ms = (until - ft_clock_now_ns()) / 1000000;
        int ready = left_ms > 0 ? poll(p, 2, (int)left_ms) : 0;
        if (ready < 0 && errno == EINTR)
            continue;
        if (ready <= 0)
            return false;
        for (int i = 0; i < 2; i++) {
            if (p[i].fd < 0 || p[i].revents == 0)
                continue;
            ssize_t n = read(p[i].fd, chunk, sizeof chunk);
            if (n <= 0)
                p[i].fd = -1;
            else if (i == 0 && ft_buf_add(out, chunk, (size_t)n) != 0)
                return false;
            else if (i == 1 && says->len < FT_ASK_SAYS_MAX)
                ft_buf_add(says, chunk, FT_MIN((size_t)n, FT_ASK_SAYS_MAX - says->len));
        }
    }
    return true;
}

/* Its words have ended; that it ends too is not for it to decide. False: it had to be killed. */
static bool await(pid_t pid, int64_t until, int *ret_status)
{
    pid_t got;
    while ((got = waitpid(pid, ret_status, WNOHANG)) == 0 && ft_clock_now_ns() < until)
        usleep(WAIT_US);
    if (got == pid)
        return true;
    kill(pid, SIGKILL);
    while (waitpid(pid, ret_status, 0) < 0 && errno == EINTR)
        ;
    return false;
}

/* On one line. */
static void copy_plain(const struct ft_buf *says, char *ret)
{
    memcpy(ret, says->len > 0 ? says->data : "", says->len);
    ret[says->len] = '\0';
    for (char *p = ret; *p != '\0'; p++)
        if ((unsigned char)*p < ' ')
            *p = p[1] == '\0' ? '\0' : ' ';
}

int ft_ask(const struct ft_ask *a, struct ft_buf *out, struct ft_ask_answer *ret,
           struct ft_err *err)
{
    struct ft_buf says;
    pid_t pid;
    int out_fd = -1, says_fd = -1;
    int rc = start(a, &pid, &out_fd, &says_fd);
    if (rc != 0)
        return ft_err_set(err, FT_EBUSY, "start %s: %s", a->argv[0], strerror(-rc));
    ft_buf_init(&says, FT_ASK_SAYS_MAX + 1);
    int64_t until = ft_clock_now_ns() + a->timeout_ms * INT64_C(1000000);
    ret->whole = drain(until, out_fd, says_fd, out, &says);
    close(out_fd);
    close(says_fd);
    ret->status = 0;
    ret->whole &= await(pid, ret->whole ? until : 0, &ret->status);
    copy_plain(&says, ret->says);
    ft_buf_fini(&says);
    return 0;
}
