/* What the system knows of a process: the process_* metrics that every client of Prometheus has. */
#ifndef FT_MONITOR_PROCESS_H
#define FT_MONITOR_PROCESS_H

#include <stdint.h>

#include "base/err.h"

struct ft_process_info {
    double cpu_s, start_s; /* start_s: unix time */
    int64_t resident_bytes, virtual_bytes;
    int64_t open_fds, max_fds; /* of our own user's processes; -1: not to be known */
    int threads;
};

/* pid 0: this one. FT_ENOTFOUND: there is none. */
int ft_process_info(int64_t pid, struct ft_process_info *ret, struct ft_err *err);

#endif
