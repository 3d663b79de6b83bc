/* Tasks as processes of this machine.
 *
 * One thread does everything slow: it starts processes and waits in one epoll for their pidfds,
 * their readiness and the clock. A task is described in DIR/ID/task.json with its pid, its start
 * time and the machine's boot, written before its program runs: so a task whose owner was killed
 * at any moment is found again, and a pid that was given to another process is never taken for it.
 * A zombie counts as ended.
 *
 * Memory and processor limits are held by control groups (v2 where delegated, v1, or each where it
 * is), made beside the owner's own group. Where they cannot be made, that is logged once, and the
 * memory limit becomes RLIMIT_DATA (writable private memory; mapped weights do not count) and the
 * weight a nice value. */
#ifndef FT_SCHED_EXEC_LOCAL_H
#define FT_SCHED_EXEC_LOCAL_H

#include "sched/exec.h"

/* dir: made if absent (mode 0700), held by a lock while open. Tasks found in it that run are
 * adopted, except those that were not to outlive their owner: they are killed; remains that make no
 * sense are removed. on_event may come before this returns. FT_EBUSY: another process has dir. */
int ft_exec_local_open(const char *dir, ft_exec_event_fn *on_event, void *ctx,
                       struct ft_exec **ret_x, struct ft_err *err);

#endif
