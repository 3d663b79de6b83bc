/* Control groups of tasks: version 1 or 2, each controller where this machine has it.
 *
 * Groups are made beside the owner's own (v1: below it), so they stay within whatever limits the
 * owner has itself. Not thread-safe. */
#ifndef FT_SCHED_CGROUP_H
#define FT_SCHED_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

#include "sched/exec.h"

#define FT_CGROUP_PATH_MAX 512

enum ft_cgroup_kind { FT_CGROUP_MEMORY, FT_CGROUP_CPU, FT_CGROUP_PIDS, FT_CGROUP_KINDS };

/* Where groups can be made: per controller a version (0: nowhere) and the parent's folder. */
struct ft_cgroup_base {
    int version[FT_CGROUP_KINDS];
    char path[FT_CGROUP_KINDS][FT_CGROUP_PATH_MAX];
};

/* A task's groups; "": none. With v2 the paths are the same. */
struct ft_cgroup {
    char path[FT_CGROUP_KINDS][FT_CGROUP_PATH_MAX];
};

/* Looks where groups can be made. With v2 and a group of its own (systemd: Delegate=yes), this
 * process moves into a leaf "feitian-self" of it, since a group with processes can have no children
 * with limits. root: "" or, for tests, a folder with proc/self/{cgroup,mountinfo} in it, whose
 * mount points lie in it as well. */
void ft_cgroup_find(const char *root, struct ft_cgroup_base *ret_base);

/* Makes groups for what `limits` asks and sets it. What could not be made or set is left out of
 * *ret_group. name: a file name. */
void ft_cgroup_make(const struct ft_cgroup_base *base, const char *name,
                    const struct ft_exec_limits *limits, struct ft_cgroup *ret_group);
/* Moves a process into the groups; those that refuse are taken out of *group. */
void ft_cgroup_enter(struct ft_cgroup *group, pid_t pid);
/* Did the system kill in it for lack of memory? */
bool ft_cgroup_out_of_memory(const struct ft_cgroup *group);
/* Kills what is left in it and removes it; waits up to half a second for that. */
void ft_cgroup_remove(const struct ft_cgroup *group);
/* Removes empty groups below base whose names begin with `prefix`: what killed owners left. */
void ft_cgroup_sweep(const struct ft_cgroup_base *base, const char *prefix);

#endif
