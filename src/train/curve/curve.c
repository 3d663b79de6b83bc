/* gnuplot as a child process: its commands are its standard input, the picture its standard output.
 * Both, and what it complains of, are files without names, so nobody waits for a full pipe. */
#include "train/curve/curve.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/file.h"
#include "train/curve/impl.h"

#define SCRIPT_BYTES_MAX ((size_t)8 << 20)
#define COMPLAINT_MAX    200 /* bytes of it that a message shows */

extern char **environ;

struct run {
    int in, out, complaints; /* -1: none */
};

static int start(const struct run *r, const char *gnuplot, pid_t *ret_pid, struct ft_err *err)
{
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attr;
    sigset_t none, all;
    /* -d: no settings of the user's */
    char *argv[] = {(char *)(gnuplot != NULL ? gnuplot : "gnuplot"), "-d", "-", NULL};
    sigemptyset(&none);
    sigfillset(&all);
    if (posix_spawn_file_actions_init(&actions) != 0)
        return ft_err_set(err, FT_ENOMEM, "no memory to start gnuplot");
    if (posix_spawnattr_init(&attr) != 0) {
        posix_spawn_file_actions_destroy(&actions);
        return ft_err_set(err, FT_ENOMEM, "no memory to start gnuplot");
    }
    posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
    posix_spawnattr_setsigmask(&attr, &none);
    posix_spawnattr_setsigdefault(&attr, &all);
    posix_spawn_file_actions_adddup2(&actions, r->in, 0);
    posix_spawn_file_actions_adddup2(&actions, r->out, 1);
    posix_spawn_file_actions_adddup2(&actions, r->complaints, 2);
    errno = posix_spawnp(ret_pid, argv[0], &actions, &attr, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attr);
    if (errno == ENOENT)
        return ft_err_set(err, FT_EUNSUPPORTED,
                          "%s is not installed, which draws the curve (Debian: gnuplot-nox)",
                          argv[0]);
    return errno != 0 ? ft_err_sys(err, "start %s", argv[0]) : 0;
}

/* Until it has ended or its time is over. */
static int finish(pid_t pid, int *ret_status, struct ft_err *err)
{
    int fd = pidfd_open(pid, 0), rc = 0;
    struct pollfd p = {.fd = fd, .events = POLLIN};
    int n = 1; /* without such descriptors (Linux before 5.3) there is no limit */
    while (fd >= 0 && (n = poll(&p, 1, FT_CURVE_WAIT_MS)) < 0 && errno == EINTR)
        ;
    if (n == 0) {
        kill(pid, SIGKILL);
        rc = ft_err_set(err, FT_ELIMIT, "gnuplot did not end within %d s", FT_CURVE_WAIT_MS / 1000);
    }
    if (fd >= 0)
        close(fd);
    while (waitpid(pid, ret_status, 0) < 0)
        if (errno != EINTR)
            return ft_err_sys(err, "wait for gnuplot");
    return rc;
}

/* The last line of what it said: before it stands the command that it means. */
static int complain(const struct run *r, int status, struct ft_err *err)
{
    char text[COMPLAINT_MAX + 1];
    off_t all = lseek(r->complaints, 0, SEEK_END);
    ssize_t n = pread(r->complaints, text, COMPLAINT_MAX, FT_MAX(all - COMPLAINT_MAX, 0));
    while (n > 0 && strchr(" \t\n", text[n - 1]) != NULL)
        n--;
    text[n > 0 ? n : 0] = '\0';
    const char *newline = strrchr(text, '\n'), *line = newline != NULL ? newline + 1 : text;
    if (WIFSIGNALED(status))
        return ft_err_set(err, FT_EIO, "gnuplot was ended by signal %d", WTERMSIG(status));
    return ft_err_set(err, FT_EIO, "gnuplot: %s", *line != '\0' ? line : "it drew nothing");
}

static int draw(struct run *r, const struct ft_buf *script, const char *gnuplot, struct ft_err *err)
{
    pid_t pid;
    int status;
    r->in = memfd_create("gnuplot-in", MFD_CLOEXEC);
    r->complaints = memfd_create("gnuplot-err", MFD_CLOEXEC);
    if (r->in < 0 || r->complaints < 0)
        return ft_err_sys(err, "open a file in memory");
    int rc = ft_file_write(r->in, script->data, script->len, "a file in memory", NULL, err);
    if (rc == 0 && lseek(r->in, 0, SEEK_SET) != 0)
        rc = ft_err_sys(err, "rewind a file in memory");
    if (rc == 0)
        rc = start(r, gnuplot, &pid, err);
    if (rc != 0)
        return rc;
    rc = finish(pid, &status, err);
    if (rc == 0 && (status != 0 || lseek(r->out, 0, SEEK_END) == 0))
        rc = complain(r, status, err);
    return rc;
}

static void close_maybe(int fd)
{
    if (fd >= 0)
        close(fd);
}

/* Into a file beside it, which takes its name when it is whole. */
static int draw_to(const char *svg, const struct ft_buf *script, const char *gnuplot,
                   struct ft_err *err)
{
    struct run r = {-1, -1, -1};
    char *temp;
    if (asprintf(&temp, "%s.partial-%d", svg, (int)getpid()) < 0)
        return ft_err_set(err, FT_ENOMEM, "no memory");
    r.out = open(temp, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int rc = r.out < 0 ? ft_err_sys(err, "create %s", temp) : draw(&r, script, gnuplot, err);
    if (rc == 0 && rename(temp, svg) != 0)
        rc = ft_err_sys(err, "rename %s to %s", temp, svg);
    if (rc != 0 && r.out >= 0)
        unlink(temp);
    close_maybe(r.in);
    close_maybe(r.out);
    close_maybe(r.complaints);
    free(temp);
    return rc;
}

int ft_curve_write(const char *metrics, const char *title, const char *svg, const char *gnuplot,
                   struct ft_err *err)
{
    struct ft_curve_metrics m = {0};
    struct ft_buf script;
    char *text = NULL;
    size_t n = 0;
    ft_buf_init(&script, SCRIPT_BYTES_MAX);
    int rc = ft_file_read(metrics, FT_CURVE_BYTES_MAX, &text, &n, err);
    if (rc == 0 && (rc = ft_curve_metrics_read(text, n, &m, err)) != 0)
        ft_err_wrap(err, "%s", metrics);
    free(text);
    if (rc == 0)
        rc = ft_curve_script(&m, title, &script, err);
    if (rc == 0)
        rc = draw_to(svg, &script, gnuplot, err);
    ft_curve_metrics_fini(&m);
    ft_buf_fini(&script);
    return rc;
}
