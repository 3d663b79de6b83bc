/* Energy: what the machine's counters say (RAPL), shared out by processor time; where it has none,
 * or they may not be read, an estimate, marked as such. */
#ifndef FT_WORKER_ENERGY_H
#define FT_WORKER_ENERGY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/energy.h"

#define FT_ENERGY_PACKAGES_MAX 8

struct ft_energy {
    int fd[FT_ENERGY_PACKAGES_MAX]; /* energy_uj of each package, kept open through the sandbox */
    int64_t wrap_uj[FT_ENERGY_PACKAGES_MAX];
    int n;
    int stat_fd; /* /proc/stat; -1: none */
};

struct ft_energy_mark {
    int64_t uj[FT_ENERGY_PACKAGES_MAX];
    int64_t busy_us; /* processor time of the whole machine */
    bool read;
};

/* root: "/sys/class/powercap"; stat: "/proc/stat". Without counters n is 0, which is no failure. */
void ft_energy_open(struct ft_energy *e, const char *root, const char *stat);
void ft_energy_close(struct ft_energy *e);
/* The files that it holds, at most n; returns how many. */
int ft_energy_fds(const struct ft_energy *e, int *fd, int n);

void ft_energy_mark(const struct ft_energy *e, struct ft_energy_mark *ret);
/* Energy of cpu_us of processor time spent since the mark: the packages' energy in that time by its
 * share of what the machine was busy, or the estimate. */
int64_t ft_energy_since(const struct ft_energy *e, const struct ft_energy_mark *from,
                        int64_t cpu_us, bool *ret_estimated);

#endif
