/* What /proc tells of a process. */
#ifndef FT_SCHED_PROC_H
#define FT_SCHED_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct ft_proc_stat {
    char state;           /* 'R', 'S', ..., 'Z': has ended, its parent has not looked yet */
    uint64_t start_ticks; /* since the machine's start: with the pid, one process for ever */
    int64_t cpu_us;       /* with its children's that it has waited for */
};

#define FT_PROC_BOOT_MAX 64

/* False: there is no such process. */
bool ft_proc_stat(pid_t pid, struct ft_proc_stat *ret_stat);
/* Most memory it had resident; 0 if unknown. */
int64_t ft_proc_peak_bytes(pid_t pid);
/* Which start of this machine this is; "" if unknown. */
void ft_proc_boot(char ret[FT_PROC_BOOT_MAX]);

#endif
