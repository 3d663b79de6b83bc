/* Is a file a model? Asked of `feitian inspect` in a process of its own. */
#include "cli/cloud/model_check.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clock.h"

#define CHECK_MS 120000 /* for a model's head to be read */

/* Waits for the child, which is killed when time is up. Its wait status, -1 if there is none. */
static int await(pid_t child, const atomic_int *interrupt)
{
    int status = -1;
    int64_t until = ft_clock_now_ns() + CHECK_MS * (int64_t)1000000;
    while (waitpid(child, &status, WNOHANG) == 0) {
        if (ft_clock_now_ns() > until || (interrupt != NULL && *interrupt != 0))
            kill(child, SIGKILL);
        usleep(2000);
    }
    return status;
}

/* The folder that a model is looked at in is nobody's business: its files are told by their names.
 */
static void cut_folder(char *text, const char *path)
{
    const char *slash = strrchr(path, '/');
    char folder[PATH_MAX];
    if (slash == NULL || slash == path || (size_t)(slash - path) + 2 > sizeof folder)
        return;
    size_t n = (size_t)(slash - path) + 1;
    memcpy(folder, path, n);
    folder[n] = '\0';
    for (char *at; (at = strstr(text, folder)) != NULL;)
        memmove(at, at + n, strlen(at + n) + 1);
}

int ft_model_check(const char *path, const atomic_int *interrupt, struct ft_err *err)
{
    char self[PATH_MAX], text[600] = "";
    ssize_t len = readlink("/proc/self/exe", self, sizeof self - 1);
    int pipes[2], status = -1;
    pid_t child;
    posix_spawn_file_actions_t actions;
    if (len < 0 || pipe2(pipes, O_CLOEXEC) != 0)
        return ft_err_sys(err, "check the model");
    self[len] = '\0';
    char *argv[] = {self, "inspect", "--confined", (char *)path, NULL};
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, pipes[1], STDERR_FILENO);
    int failed = posix_spawn(&child, self, &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    close(pipes[1]);
    if (failed == 0)
        status = await(child, interrupt);
    ssize_t n = failed == 0 ? read(pipes[0], text, sizeof text - 1) : 0;
    close(pipes[0]);
    text[n > 0 ? n : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    cut_folder(text, path);
    if (failed != 0)
        return ft_err_set(err, FT_EIO, "start %s: %s", self, strerror(failed));
    const char *why = strstr(text, ": ");
    bool ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    if (ok && why != NULL) /* a well-formed file of something that cannot be run */
        return ft_err_set(err, FT_EUNSUPPORTED, "no model that feitian can run: %.300s", why + 2);
    if (ok)
        return 0;
    if (interrupt != NULL && *interrupt != 0)
        return ft_err_set(err, FT_ECANCELED, "interrupted");
    return ft_err_set(err, FT_ECORRUPT, "no model that feitian reads: %.300s",
                      WIFEXITED(status) && why != NULL ? why + 2
                                                       : "reading it ends in a crash or never");
}
