/* Figures of this machine, from /proc: what its history shows. */
#ifndef FT_MONITOR_MACHINE_H
#define FT_MONITOR_MACHINE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct ft_machine {
    int64_t at_ns;           /* monotonic */
    double cpu_s;            /* processor time of all cores since the start that was no idling */
    int64_t memory_total;    /* bytes */
    int64_t memory_left;     /* that can be taken without swapping */
    int64_t disk_free, disk; /* of the file system that a path lies on; -1: not known */
};

int ft_machine_read(const char *path, struct ft_machine *ret, struct ft_err *err);
/* Cores that were busy between two looks; NaN where that cannot be said. */
double ft_machine_cores(const struct ft_machine *before, const struct ft_machine *now);
/* The first line of /proc/stat: user nice system idle iowait irq softirq steal. Ticks; -1: none. */
int64_t ft_machine_busy_ticks(const char *line);

#endif
