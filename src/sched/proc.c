/* /proc/PID/stat and status, proc(5). */
#include "sched/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_BYTES_MAX 4096

static bool read_text(const char *path, char *ret, size_t n)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return false;
    ssize_t got = read(fd, ret, n - 1);
    close(fd);
    if (got <= 0)
        return false;
    ret[got] = 0;
    return true;
}

bool ft_proc_stat(pid_t pid, struct ft_proc_stat *ret_stat)
{
    char path[64], text[TEXT_BYTES_MAX];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    if (!read_text(path, text, sizeof text))
        return false;
    const char *p = strrchr(text, ')'); /* the name before it may hold anything */
    char state;
    uint64_t user, kernel, start;
    int64_t child_user, child_kernel;
    if (p == NULL || sscanf(p,
                            ") %c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %" SCNu64 " %" SCNu64
                            " %" SCNd64 " %" SCNd64 " %*d %*d %*d %*d %" SCNu64,
                            &state, &user, &kernel, &child_user, &child_kernel, &start) != 6)
        return false;
    ret_stat->state = state;
    ret_stat->start_ticks = start;
    ret_stat->cpu_us = (int64_t)((user + kernel + (uint64_t)(child_user + child_kernel)) * 1000000 /
                                 (uint64_t)sysconf(_SC_CLK_TCK));
    return true;
}

int64_t ft_proc_peak_bytes(pid_t pid)
{
    char path[64], text[TEXT_BYTES_MAX];
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    if (!read_text(path, text, sizeof text))
        return 0;
    const char *p = strstr(text, "\nVmHWM:");
    return p == NULL ? 0 : strtoll(p + 7, NULL, 10) * 1024;
}

void ft_proc_boot(char ret[FT_PROC_BOOT_MAX])
{
    if (!read_text("/proc/sys/kernel/random/boot_id", ret, FT_PROC_BOOT_MAX))
        ret[0] = 0;
    ret[strcspn(ret, "\n")] = 0;
}
