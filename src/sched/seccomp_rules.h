/* Which system calls a sandboxed process may make. For sandbox.c. */
#ifndef FT_SCHED_SECCOMP_RULES_H
#define FT_SCHED_SECCOMP_RULES_H

#include <stdbool.h>

#include "base/err.h"

/* For all threads of the process, for ever. writes: files may be made, opened for writing, renamed
 * and removed too. FT_EUNSUPPORTED: the kernel cannot. */
int ft_seccomp_load(bool exec_memory, bool writes, struct ft_err *err);

#endif
