/* The sandbox of a process that reads hostile files: what it can no longer do, whatever runs in it.
 *
 * Entered once, by the process itself, after it has opened its listening socket and logs and before
 * it starts any thread (FT_EINVAL otherwise: the kernel binds most of this to threads). There is no
 * way back. After it:
 *
 *   reads      files below read_paths, and a few of the system's (/proc/self, /proc/meminfo, the
 *              processors' description in /sys, its control group, time zones)
 *   writes     only to files that are open: opening for writing, creating, renaming, removing and
 *              changing modes are refused; with write_path, below that too
 *   network    accepts on sockets it has; cannot make or connect one
 *   processes  no exec, no fork, no signal to another, no ptrace; threads yes
 *   privileges none can be gained; a root process has no capabilities left
 *
 * Refused calls fail with EPERM; those that only an attack makes (exec, ptrace, bpf, mount, reading
 * other processes' memory, kernel modules, ...) end the process with SIGSYS. */
#ifndef FT_SCHED_SANDBOX_H
#define FT_SCHED_SANDBOX_H

#include <stdbool.h>

#include "base/err.h"

#define FT_SANDBOX_PATHS_MAX 256
#define FT_SANDBOX_FDS_MAX   64

struct ft_sandbox_cfg {
    const char *const *read_paths; /* files and folders; they must exist */
    int n_read_paths;
    const char *write_path; /* a folder in which files and folders may be made, written, renamed and
                             * removed (and read); NULL: none. Without Landlock: wherever this user
                             * may */
    const int *keep_fds;    /* besides 0, 1, 2; all others are closed. NULL: none is closed */
    int n_keep_fds;
    int nofile;       /* limit of open files; 0: as it is */
    bool exec_memory; /* may map memory that is writable and executable (PCRE2's JIT; without it its
                       * interpreter works) */
    bool
        best_effort; /* where the kernel cannot filter calls, go on without; else FT_EUNSUPPORTED */
};

#define FT_SANDBOX_REPORT_MAX 384

/* What holds, for logs and `feitian doctor`. */
struct ft_sandbox_report {
    bool seccomp; /* calls are filtered */
    int landlock; /* version of Landlock that confines files; 0: the kernel has none, so every
                   * file this user may read can be read */
    bool no_new_privs, no_capabilities;
    char text[FT_SANDBOX_REPORT_MAX]; /* one line: what holds and what does not */
};

int ft_sandbox_enter(const struct ft_sandbox_cfg *cfg, struct ft_sandbox_report *ret_report,
                     struct ft_err *err);

/* What would hold here: a child process tries. */
int ft_sandbox_probe(struct ft_sandbox_report *ret_report, struct ft_err *err);

#endif
