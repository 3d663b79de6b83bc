/* Starting a process from one with many threads. */
#ifndef FT_SCHED_SPAWN_H
#define FT_SCHED_SPAWN_H

#include <sys/types.h>

#include "sched/exec.h"

/* A child between fork and exec: it waits, so that it can be written down and put into control
 * groups first, and ends if its owner does. */
struct ft_spawn {
    pid_t pid;
    int pidfd;
    int ready_fd; /* what it says; -1: it was not asked to */
    int go_fd, status_fd;
};

/* log_fd: its standard output and error (-1: the caller's). data_bytes: RLIMIT_DATA, 0: none.
 * nice: 0 or more. The thread that calls this must live as long as tasks that are not to outlive
 * it: the kernel ties them to it. */
int ft_spawn_begin(const struct ft_exec_spec *spec, int log_fd, int64_t data_bytes, int nice,
                   struct ft_spawn *ret_spawn, struct ft_err *err);
/* Lets it run its program; an error if that cannot be run. pidfd and ready_fd are the caller's
 * then. On failure as ft_spawn_abort. */
int ft_spawn_go(struct ft_spawn *s, const char *program, struct ft_err *err);
/* Ends it, reaps it, closes everything. */
void ft_spawn_abort(struct ft_spawn *s);

#endif
