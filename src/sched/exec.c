/* The wrappers of the execution seam, and what is the same for every implementation. */
#include "sched/exec.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <signal.h>

#include "base/clock.h"

#define SWEEP_POLL_NS (10 * 1000000)
#define KILL_WAIT_NS  (5LL * 1000000000) /* a killed task that stays longer hangs in the kernel */

bool ft_exec_id_valid(const char *id)
{
    size_t n = id == NULL ? 0 : strnlen(id, FT_EXEC_ID_MAX);
    if (n == 0 || n >= FT_EXEC_ID_MAX || id[0] == '.')
        return false;
    return strspn(id, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-") == n;
}

static int check_strings(const char *field, const char *const *list, struct ft_err *err)
{
    int n = 0;
    while (list[n] != NULL)
        if (++n > FT_EXEC_ARGS_MAX)
            return ft_err_set(err, FT_EINVAL, "%s: more than %d", field, FT_EXEC_ARGS_MAX);
    return 0;
}

int ft_exec_spec_check(const struct ft_exec_spec *spec, struct ft_err *err)
{
    const struct ft_exec_limits *l = &spec->limits;
    if (!ft_exec_id_valid(spec->id))
        return ft_err_set(err, FT_EINVAL,
                          "id: 1 to %d of letters, digits, '.', '_' and '-', the first no '.'",
                          FT_EXEC_ID_MAX - 1);
    if (spec->argv == NULL || spec->argv[0] == NULL || spec->argv[0][0] != '/')
        return ft_err_set(err, FT_EINVAL, "argv: the program must be an absolute path");
    int e = check_strings("argv", spec->argv, err);
    if (e == 0 && spec->env != NULL)
        e = check_strings("env", spec->env, err);
    if (e != 0)
        return e;
    if (l->memory_bytes < 0)
        return ft_err_set(err, FT_EINVAL, "limits.memory_bytes: negative");
    if (l->cpu_weight < 0 || l->cpu_weight > 10000)
        return ft_err_set(err, FT_EINVAL, "limits.cpu_weight: 1 to 10000, or 0");
    if (l->threads_max < 0)
        return ft_err_set(err, FT_EINVAL, "limits.threads_max: negative");
    if (l->nofile < 0)
        return ft_err_set(err, FT_EINVAL, "limits.nofile: negative");
    if (spec->log_bytes < 0)
        return ft_err_set(err, FT_EINVAL, "log_bytes: negative");
    if (spec->note != NULL && strlen(spec->note) >= FT_EXEC_NOTE_MAX)
        return ft_err_set(err, FT_EINVAL, "note: longer than %d bytes", FT_EXEC_NOTE_MAX - 1);
    return 0;
}

int ft_exec_start(struct ft_exec *x, const struct ft_exec_spec *spec, struct ft_err *err)
{
    int e = ft_exec_spec_check(spec, err);
    if (e == 0)
        e = x->ops->start(x, spec, err);
    if (e != 0 && err != NULL)
        ft_err_wrap(err, "start task %s", ft_exec_id_valid(spec->id) ? spec->id : "?");
    return e;
}

int ft_exec_kill(struct ft_exec *x, const char *id, int sig, struct ft_err *err)
{
    if (sig < 1 || sig > SIGRTMAX)
        return ft_err_set(err, FT_EINVAL, "signal %d", sig);
    return x->ops->kill(x, id, sig, err);
}

int ft_exec_query(struct ft_exec *x, const char *id, struct ft_exec_info *ret_info,
                  struct ft_err *err)
{
    return x->ops->query(x, id, ret_info, err);
}

void ft_exec_list(struct ft_exec *x, char (*ret_ids)[FT_EXEC_ID_MAX], int max, int *ret_n)
{
    x->ops->list(x, ret_ids, max, ret_n);
}

int ft_exec_remove(struct ft_exec *x, const char *id, struct ft_err *err)
{
    return x->ops->remove(x, id, err);
}

void ft_exec_close(struct ft_exec *x)
{
    if (x != NULL)
        x->ops->close(x);
}

/* Removes those that ended; true when none is left. */
static bool sweep_ended(struct ft_exec *x, char (*ids)[FT_EXEC_ID_MAX], int sig)
{
    int n, left = 0;
    ft_exec_list(x, ids, FT_EXEC_TASKS_MAX, &n);
    for (int i = 0; i < n; i++) {
        if (ft_exec_remove(x, ids[i], NULL) != FT_EBUSY)
            continue;
        left++;
        if (sig != 0)
            ft_exec_kill(x, ids[i], sig, NULL);
    }
    return left == 0;
}

void ft_exec_sweep(struct ft_exec *x, int grace_ms)
{
    char(*ids)[FT_EXEC_ID_MAX] = calloc(FT_EXEC_TASKS_MAX, sizeof *ids);
    if (ids == NULL)
        return;
    const struct timespec pause = {0, SWEEP_POLL_NS};
    const int64_t limits[2] = {(int64_t)grace_ms * 1000000, KILL_WAIT_NS};
    const int sigs[2] = {SIGTERM, SIGKILL};
    for (int round = 0; round < 2; round++) {
        int64_t until = ft_clock_now_ns() + limits[round];
        bool done = sweep_ended(x, ids, sigs[round]);
        while (!done && ft_clock_now_ns() < until) {
            nanosleep(&pause, NULL);
            done = sweep_ended(x, ids, 0);
        }
        if (done)
            break;
    }
    free(ids);
}

const char *ft_exec_how_ended(const struct ft_exec_info *info, char *buf, size_t n)
{
    const char *why = info->out_of_memory ? " (at its memory limit)" : "";
    if (!info->status_known)
        snprintf(buf, n, "ended%s", why);
    else if (info->term_signal != 0)
        snprintf(buf, n, "killed by signal %d%s", info->term_signal, why);
    else
        snprintf(buf, n, "exited with %d%s", info->exit_code, why);
    return buf;
}
