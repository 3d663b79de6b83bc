/* Telling whoever started us that we are ready, and what we are doing.
 *
 * FEITIAN_READY_FD: a pipe of the task's owner (exec.h, tells_ready). NOTIFY_SOCKET: systemd's
 * (sd_notify(3)). Both are used if both are there. */
#ifndef FT_SCHED_READY_H
#define FT_SCHED_READY_H

#include "base/err.h"

/* Takes FEITIAN_READY_FD out of the environment, which must not change once there are threads that
 * read it: call it before starting any. ft_ready_tell() does so where nobody has. */
void ft_ready_take(void);
/* The service can be used from now on. At most once; later calls do nothing. Call before entering
 * a sandbox that keeps no such file descriptor, or keep ft_ready_fd(). Not thread-safe. 0 also
 * where nobody asked to be told. */
int ft_ready_tell(struct ft_err *err);
/* The pipe to whoever started us, or -1. */
int ft_ready_fd(void);

/* One message to systemd ("STOPPING=1", "STATUS=..."); 0 where there is none. */
int ft_ready_systemd(const char *message, struct ft_err *err);

#endif
