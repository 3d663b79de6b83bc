/* How much memory this process may still take. */
#ifndef FT_BASE_MEMORY_H
#define FT_BASE_MEMORY_H

#include <stdint.h>
#include <sys/types.h>

/* Bytes: what the system has left without swapping, or what the process's control group leaves it
 * (version 1 or 2), whichever is less. */
uint64_t ft_memory_available(void);
/* Bytes of a process that are resident; 0: there is none such, or it may not be looked at. */
uint64_t ft_memory_resident(pid_t pid);

#endif
