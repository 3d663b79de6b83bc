/* Which system calls a sandboxed process may make. For sandbox.c. */
#ifndef FT_SCHED_SECCOMP_RULES_H
#define FT_SCHED_SECCOMP_RULES_H

#include <stdbool.h>

#include "base/err.h"

/* For all threads of the process, for ever. FT_EUNSUPPORTED: the kernel cannot. */
int ft_seccomp_load(bool exec_memory, struct ft_err *err);

#endif
